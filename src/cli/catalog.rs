//! `serverkit catalog …`: ready apps, and the check of a catalog's own files.

use crate::{
    catalog_search, catalog_sources,
    commands::Context,
    deployments,
    failure::{Failure, Result},
    imports,
    lists::{self, Listed},
    output::{Facts, Output, Table, bytes},
    spans, template_updates, variables,
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{CatalogDetail, CatalogEntry, CatalogInstall, CatalogLimits, CatalogPlan},
};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};
use types::World;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the apps of the catalog
    #[command(visible_alias = "ls")]
    List(List),
    /// Find apps by what they are called or do; small mistakes in writing are forgiven
    Search(Search),
    /// Show an app of the catalog: what it is, needs and asks
    Show(Show),
    /// Install an app; what is not set is generated or has its default
    Install(Install),
    /// Update an app to the newest version of its template, keeping what was changed in its Compose file
    Update(template_updates::Update),
    /// Turn a template of Portainer, CapRover, Coolify or Dokploy into one of this
    Import(imports::Import),
    /// Catalogs beside the one that comes with the program
    #[command(subcommand)]
    Source(catalog_sources::Command),
    /// Print the JSON Schema of template.yaml, for editors
    Schema,
    /// Check the templates of a folder, or those that come with this program; the exit code is 1 if one breaks a rule
    Check(Check),
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those of this category
    #[arg(long)]
    category: Option<String>,
}

#[derive(Debug, Args)]
pub struct Search {
    /// What to look for
    #[arg(required = true)]
    words: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Its name in the catalog
    name: String,
    /// Print its Compose file
    #[arg(long)]
    compose: bool,
}

#[derive(Debug, Args)]
pub struct Install {
    /// Its name in the catalog
    template: String,
    /// The name of the app; without it the template's, with a number where it is taken
    #[arg(long)]
    name: Option<String>,
    /// Project (name or id); without it the first one
    #[arg(long)]
    project: Option<String>,
    /// Environment (name or id); without it the project's first one
    #[arg(long)]
    environment: Option<String>,
    /// The domain that leads to it
    #[arg(long, short = 'd', value_name = "HOST")]
    domain: Option<String>,
    /// A value: KEY=VALUE, KEY@FILE, or KEY=- for standard input; may be given several times
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE", value_parser = variables::assignment)]
    set: Vec<variables::Assignment>,
    /// One of the versions that `catalog show` lists, such as 17; without it the first
    #[arg(long, value_name = "NAME")]
    version: Option<String>,
    /// Memory that its main service may use, such as 512m or 1.5g; without it the template's
    #[arg(long, value_parser = spans::memory)]
    memory: Option<u64>,
    /// Cores that its main service may use, such as 2 or 0.5; without it the template's
    #[arg(long, value_parser = spans::cores)]
    cpus: Option<u32>,
    /// Only say what would be made
    #[arg(long, conflicts_with = "wait")]
    plan: bool,
    /// Wait until it is live, showing the log
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// A folder with one folder for each app; without it the program's own catalog
    folder: Option<PathBuf>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::List(args) => {
            let client = context.panel()?;
            let entries = all(&client).await?;
            if let Some(category) = &args.category {
                must_be_known(category, &entries.items)?;
            }
            let wanted = |entry: &CatalogEntry| args.category.as_ref().is_none_or(|category| entry.categories.contains(category));
            let places: Vec<usize> = (0..entries.items.len()).filter(|place| wanted(&entries.items[*place])).collect();
            show_list(context, &picked(entries, &places))
        }
        Command::Search(args) => {
            let client = context.panel()?;
            let entries = all(&client).await?;
            let texts: Vec<String> = entries.items.iter().map(search_text).collect();
            let places = catalog_search::find(&args.words.join(" "), &texts);
            show_list(context, &picked(entries, &places))
        }
        Command::Show(args) => show(context, args).await,
        Command::Install(args) => install(context, args).await,
        Command::Update(args) => template_updates::run(context, args).await,
        Command::Import(args) => imports::run(context, args).await,
        Command::Source(command) => catalog_sources::run(context, command).await,
        // Needs no panel: it is that of this program.
        Command::Schema => {
            let text = || ::catalog::template::SCHEMA.trim_end().to_owned();
            context.out.answer(&::catalog::template::schema(), text)
        }
        Command::Check(args) => check(context, args),
    }
}

fn must_be_known(category: &str, entries: &[CatalogEntry]) -> Result {
    let known: BTreeSet<&str> = entries
        .iter()
        .flat_map(|entry| entry.categories.iter().map(String::as_str))
        .collect();
    if known.contains(category) {
        return Ok(());
    }
    let known: Vec<&str> = known.into_iter().collect();
    Err(Failure::usage(format!("no app is of the category `{category}`")).hint(format!("there are {}", known.join(", "))))
}

async fn all(client: &Client) -> Result<Listed<CatalogEntry>> {
    lists::all(async |cursor| client.ask(client.catalog_list(cursor, lists::LIMIT)).await).await
}

fn show_list(context: &Context, entries: &Listed<CatalogEntry>) -> Result {
    context.out.list(&entries.json, "nothing in the catalog fits", || {
        let mut table = Table::new(["NAME", "VERSION", "WHAT IT IS", "INSTALLED"]);
        for entry in &entries.items {
            let installed = entry.installed.iter().map(|one| {
                let app = one
                    .chosen
                    .as_ref()
                    .map_or(one.app.clone(), |chosen| format!("{} ({chosen})", one.app));
                match one.outdated {
                    true => format!("{app} ({}, not the newest)", one.version),
                    false => app,
                }
            });
            table.row([
                entry.name.clone().into(),
                entry.version.clone().into(),
                entry.description.clone().into(),
                installed.collect::<Vec<_>>().join(", ").into(),
            ]);
        }
        table
    })
}

/// What a search looks through, the most important words first: as in the panel.
fn search_text(entry: &CatalogEntry) -> String {
    let (tags, categories) = (entry.tags.join(" "), entry.categories.join(" "));
    format!("{} {} {tags} {categories} {}", entry.title, entry.name, entry.description)
}

/// The entries at these places, in this order.
fn picked(mut entries: Listed<CatalogEntry>, places: &[usize]) -> Listed<CatalogEntry> {
    if let Some(items) = entries.json["items"].as_array_mut() {
        *items = places.iter().filter_map(|place| items.get(*place).cloned()).collect();
    }
    entries.items = places.iter().filter_map(|place| entries.items.get(*place).cloned()).collect();
    entries
}

async fn show(context: &Context, args: Show) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.catalog_show(&args.name)).await?;
    context.out.answer(&answer.json, || match args.compose {
        true => answer.value.compose.clone(),
        false => words(&answer.value, &context.out),
    })
}

fn words(detail: &CatalogDetail, out: &Output) -> String {
    let entry = &detail.entry;
    let mut facts = Facts::new();
    facts.add("Name", entry.name.clone());
    facts.add("Version", entry.version.clone());
    facts.add("Licence", detail.licence.clone());
    let mib = |amount: u32| bytes(u64::from(amount) << 20);
    facts.add(
        "Needs",
        format!("{} of memory, {} of disk", mib(entry.memory_mb), mib(entry.disk_mb)),
    );
    for version in &detail.versions {
        let notes = version.notes.as_deref().map(|notes| format!(", {notes}")).unwrap_or_default();
        let usual = if version.name == detail.versions[0].name {
            " [the usual one]"
        } else {
            ""
        };
        facts.add("Comes as", format!("{} ({}){notes}{usual}", version.name, version.image));
    }
    for service in &detail.services {
        facts.add("Service", format!("{} ({})", service.name, service.image));
    }
    if !detail.web {
        facts.add(
            "Reached",
            format!("by other apps of its environment, by its name on port {}", detail.port),
        );
    }
    let size = &detail.size;
    let usual = format!("{} of memory for {}", bytes(size.usual.memory_bytes), size.service);
    facts.add("Size", format!("{usual}, at least {}", bytes(size.least_memory_bytes)));
    facts.maybe("Website", detail.website.clone());
    facts.maybe("Documentation", detail.documentation.clone());
    facts.maybe("Source", detail.source.clone());
    let mut text = format!(
        "{}: {}\n\n{}\n\n{}",
        entry.title,
        entry.description,
        detail.details.trim(),
        facts.print(out)
    );
    for (title, words) in [
        ("Different from its own set-up", &detail.differs),
        ("Before an update", &detail.upgrade_notes),
    ] {
        if let Some(words) = words {
            text.push_str(&format!("\n{title}:\n{}\n", words.trim()));
        }
    }
    if !detail.variables.is_empty() {
        text.push_str("\nValues for --set:\n");
    }
    for variable in &detail.variables {
        let usual = match (&variable.default, variable.required) {
            (Some(default), _) => format!(" [{default}]"),
            (None, _) if variable.must_accept => " (must be true)".to_owned(),
            (None, _) if variable.generated => " [generated]".to_owned(),
            (None, true) => " (needed)".to_owned(),
            (None, false) => String::new(),
        };
        let options = match variable.options.is_empty() {
            true => String::new(),
            false => format!(": {}", variable.options.join(", ")),
        };
        text.push_str(&format!("  {:24} {}{options}{usual}\n", variable.name, variable.title));
    }
    text
}

async fn install(context: &Context, args: Install) -> Result {
    let mut values = HashMap::new();
    for input in variables::read(args.set, false, None)? {
        values.insert(input.key, input.value.unwrap_or_default());
    }
    values.extend(args.domain.map(|domain| ("domain".to_owned(), domain)));
    let body = CatalogInstall {
        name: args.name,
        project: args.project,
        environment: args.environment,
        values: Some(values),
        version: args.version,
        limits: (args.memory.is_some() || args.cpus.is_some()).then_some(CatalogLimits {
            memory_bytes: args.memory,
            cpu_millis: args.cpus,
        }),
    };
    let client = context.panel()?;
    if args.plan {
        let plan = client
            .ask(client.catalog_plan(&args.template, &body))
            .await
            .map_err(|call| where_to_look(call.into(), &args.template))?;
        return context.out.answer(&plan.json, || plan_words(&plan.value, &context.out));
    }
    let app = client
        .ask(client.catalog_install(&args.template, &body))
        .await
        .map_err(|call| where_to_look(call.into(), &args.template))?;
    if let (true, Some(deployment)) = (args.wait, &app.value.deployment) {
        context.out.note(format!("{} is made", app.value.name));
        deployments::follow(context, &client, &deployment.id).await?;
        context
            .out
            .note(format!("for the first sign-in: serverkit app first-login {}", app.value.name));
        return Ok(());
    }
    context.out.answer(&app.json, || {
        let name = &app.value.name;
        format!("{name} is made and being deployed\nfollow it: serverkit logs {name} --build\nthen: serverkit app first-login {name}")
    })
}

/// A value that is missing or wrong: which there are, and how one is given.
fn where_to_look(failure: Failure, template: &str) -> Failure {
    let of_values = failure.problem.as_ref().is_some_and(|problem| problem["code"] == "invalid");
    match of_values && failure.hint.is_none() {
        true => failure.hint(format!(
            "what it asks for: serverkit catalog show {template}; give it with --domain HOST and --set KEY=VALUE"
        )),
        false => failure,
    }
}

fn plan_words(plan: &CatalogPlan, out: &Output) -> String {
    let mut facts = Facts::new();
    facts.add("App", plan.name.clone());
    facts.maybe("Version", plan.chosen.clone());
    facts.maybe("Domain", plan.domain.clone());
    for further in &plan.further_domains {
        facts.add("Domain", format!("{} to {}:{}", further.host, further.service, further.port));
    }
    for service in &plan.services {
        let limits = &service.limits;
        let cores = f64::from(limits.cpu_millis) / 1000.0;
        let unit = if limits.cpu_millis == 1000 { "core" } else { "cores" };
        let size = format!("{}, {cores} {unit}", bytes(limits.memory_bytes));
        facts.add("Service", format!("{} from {}, {size}", service.name, service.image));
    }
    for volume in &plan.volumes {
        facts.add("Volume", volume.clone());
    }
    for network in &plan.networks {
        let way_out = if network.internal { ", no way out" } else { "" };
        facts.add("Network", format!("{}{way_out}", network.name));
    }
    for port in &plan.ports {
        facts.add("Port", format!("{} to {}:{}", port.listen, port.service, port.port));
    }
    facts.add("Memory", format!("at most {}", bytes(plan.memory_bytes)));
    if !plan.generated.is_empty() {
        facts.add("Generated", plan.generated.join(", "));
    }
    for right in &plan.rights {
        facts.add("Right", format!("{} {}", right.service, right.what));
    }
    for warning in &plan.warnings {
        facts.add("Warning", warning.clone());
    }
    facts.print(out)
}

/// Needs no panel: who keeps a catalog of their own runs it before they publish.
fn check(context: &Context, args: Check) -> Result {
    let found = ::catalog::check_all(args.folder.as_deref(), &World::system()).map_err(|error| Failure::failed(error.to_string()))?;
    let mut lines = Vec::new();
    for (name, findings) in &found {
        lines.extend(findings.iter().map(|finding| format!("{name}/{finding}")));
    }
    let json = serde_json::json!({ "templates": found.len(), "problems": lines });
    context.out.answer(&json, || match lines.is_empty() {
        true => format!("{} templates, all fine", found.len()),
        false => lines.join("\n"),
    })?;
    if lines.is_empty() { Ok(()) } else { Err(Failure::exit(1)) }
}
