//! `serverkit project clone-environment …`: staging from production, with its data or without.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone, bytes, when},
    projects::{environment, find},
    variables::{Assignment, assignment, read},
};
use clap::{Args, ValueEnum};
use client::{
    Client,
    types::{
        CloneAppInput, CloneCi, CloneCreate, CloneJobs, ClonePhase, ClonePlan, ClonePlanApp, ClonePorts, CloneSecretBecomes, CloneSecrets,
        CloneValueInput, Encoding, EnvironmentClone,
    },
};
use std::time::Duration;
use types::{Clock, SystemClock};

/// Between two looks at one that is waited for.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct Create {
    /// Name or id of the project
    project: String,
    /// The environment to clone, such as production
    from: String,
    /// Name of the new one, such as staging
    name: String,
    /// Only this app; once for each
    #[arg(long = "app", value_name = "APP")]
    apps: Vec<String>,
    /// What the new apps that are from Git follow, such as dev; APP=BRANCH for one of them
    #[arg(long = "branch", value_name = "[APP=]BRANCH")]
    branches: Vec<String>,
    /// The domain of a new app, in place of APP-NAME.<domain of apps>
    #[arg(long = "domain", value_name = "APP=HOST")]
    domains: Vec<String>,
    /// Copy what is in the volumes; without it they are empty
    #[arg(long)]
    with_data: bool,
    /// Stop what writes to the data for as long as the copy takes, and start it again
    #[arg(long, requires = "with_data")]
    stop: bool,
    /// Secret variables and files: with the same values, or there without a value
    #[arg(long, value_enum, default_value = "empty")]
    secrets: Secrets,
    /// Another value for a variable, wherever it is: KEY=VALUE or KEY@FILE
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    values: Vec<Assignment>,
    /// Let jobs run as they do; without it they are paused
    #[arg(long)]
    keep_jobs: bool,
    /// Lead ports of the server to the new apps too, each under the next number that is free
    #[arg(long)]
    open_ports: bool,
    /// Let what may deploy the apps from a CI deploy the new ones too
    #[arg(long)]
    trust_ci: bool,
    /// Deploy nothing
    #[arg(long)]
    no_deploy: bool,
    /// Show what would be made, and make nothing
    #[arg(long)]
    plan: bool,
    /// Wait until it is made and its apps are deployed
    #[arg(long, short = 'w')]
    wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Secrets {
    Copy,
    Empty,
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of a project; without it of all
    project: Option<String>,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// Its id, as `serverkit project clones` shows it
    id: String,
}

pub async fn create(context: &Context, args: Create) -> Result {
    let client = context.panel()?;
    let project = find(&client, &args.project).await?;
    let from = environment(&project, &args.from)?.clone();
    let (show, wait, yes) = (args.plan, args.wait, context.globals.yes);
    let body = body(args)?;
    let plan = client.ask(client.clone_plan(&from.id, &body)).await?;
    if show {
        return context.out.answer(&plan.json, || words(&plan.value));
    }
    if let Some(problem) = plan.value.problems.first() {
        return Err(Failure::failed(problem.clone()).hint("see all of it: the same command with --plan"));
    }
    if !plan.value.stops.is_empty() {
        let what = format!("{} stops while {} are copied", plan.value.stops.join(", "), bytes(plan.value.bytes));
        ask::confirm(&what, yes)?;
    }
    let made = client.ask(client.clone_create(&from.id, &body)).await?;
    if wait {
        return follow(context, &client, &made.value.id).await;
    }
    context.out.answer(&made.json, || {
        let clone = &made.value;
        format!(
            "{} is being made from {}: {}\nsee how it fares: serverkit project clones {}\n",
            clone.to.name, clone.from.name, clone.why, project.name
        )
    })
}

fn body(args: Create) -> Result<CloneCreate> {
    let mut apps: Vec<CloneAppInput> = Vec::new();
    let named = !args.apps.is_empty();
    for app in args.apps {
        input(&mut apps, app);
    }
    let mut branch = None;
    for wanted in args.branches {
        match wanted.split_once('=') {
            Some((app, branch)) => input(&mut apps, app.to_owned()).branch = Some(branch.to_owned()),
            None => branch = Some(wanted),
        }
    }
    for wanted in args.domains {
        let (app, host) = wanted
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{wanted}` must be APP=HOST")))?;
        input(&mut apps, app.to_owned()).domain = Some(host.to_owned());
    }
    if !named && !apps.is_empty() {
        return Err(Failure::usage(
            "name each app that is to be made by --app where one gets a branch or a domain of its own",
        ));
    }
    let mut values = Vec::new();
    for one in read(args.values, false, None)? {
        if one.encoding == Some(Encoding::Base64) {
            return Err(Failure::usage(format!("the value of {} is not text in UTF-8", one.key.as_str())));
        }
        values.push(CloneValueInput {
            app: None,
            key: one.key.to_string(),
            value: one.value.unwrap_or_default(),
        });
    }
    Ok(CloneCreate {
        name: args.name,
        apps: named.then_some(apps),
        branch,
        data: Some(args.with_data),
        stop: Some(args.stop),
        secrets: Some(match args.secrets {
            Secrets::Copy => CloneSecrets::Copy,
            Secrets::Empty => CloneSecrets::Empty,
        }),
        values: (!values.is_empty()).then_some(values),
        jobs: Some(if args.keep_jobs { CloneJobs::Same } else { CloneJobs::Paused }),
        ports: Some(if args.open_ports { ClonePorts::Other } else { ClonePorts::Closed }),
        ci: Some(if args.trust_ci { CloneCi::Same } else { CloneCi::None }),
        deploy: Some(!args.no_deploy),
    })
}

fn input(apps: &mut Vec<CloneAppInput>, app: String) -> &mut CloneAppInput {
    let place = apps.iter().position(|one| one.app == app).unwrap_or_else(|| {
        apps.push(CloneAppInput {
            app,
            branch: None,
            domain: None,
        });
        apps.len() - 1
    });
    &mut apps[place]
}

fn words(plan: &ClonePlan) -> String {
    let mut text = format!("{} from {}:\n", plan.name, plan.from.name);
    for app in &plan.apps {
        let branch = app.branch.as_ref().map(|branch| format!(", {branch}")).unwrap_or_default();
        let domains = match app.domains.is_empty() {
            true => String::new(),
            false => format!(" at {}", app.domains.join(", ")),
        };
        text.push_str(&format!("  {} ({}{branch}){domains}\n", app.from.name, app.source));
        ways_in(app, &mut text);
    }
    for volume in &plan.volumes {
        let what = match (volume.data, volume.bytes) {
            (true, Some(size)) => format!("a copy of {}", bytes(size)),
            (true, None) => "a copy of what is in it".to_owned(),
            (false, _) => "empty".to_owned(),
        };
        text.push_str(&format!("  volume {}: {what}\n", volume.name));
    }
    for secret in &plan.secrets {
        let place = secret.app.as_ref().map(|app| format!(" of {app}")).unwrap_or_default();
        let becomes = match secret.becomes {
            CloneSecretBecomes::Copied => "copied",
            CloneSecretBecomes::Given => "as you give it",
            CloneSecretBecomes::Empty => "there without a value",
        };
        text.push_str(&format!("  secret {}{place}: {becomes}\n", secret.name));
    }
    for (what, list) in [
        ("stops for the copy", &plan.stops),
        ("note", &plan.notes),
        ("not copied", &plan.left_out),
        ("problem", &plan.problems),
    ] {
        for one in list {
            text.push_str(&format!("{what}: {one}\n"));
        }
    }
    text
}

/// What leads to a new app beside its domains.
fn ways_in(app: &ClonePlanApp, text: &mut String) {
    for rule in &app.rules {
        text.push_str(&format!("    rule {} of {}\n", rule.name, rule.domain));
    }
    for port in &app.ports {
        let to = port.to.as_deref().unwrap_or("not open");
        text.push_str(&format!("    port {}: {to}\n", port.from));
    }
    for ci in &app.ci {
        let may = if ci.trusted { "may deploy it" } else { "may not deploy it" };
        text.push_str(&format!("    CI of {}: {may}\n", ci.repository));
    }
    if let Some(on_new) = app.image_watch {
        text.push_str(&format!("    newer images: {on_new}\n"));
    }
}

async fn follow(context: &Context, client: &Client, id: &str) -> Result {
    let mut told = String::new();
    loop {
        let answer = client.ask(client.clone_show(id)).await?;
        let clone = &answer.value;
        if clone.why != told && !context.out.json {
            told.clone_from(&clone.why);
            context.out.note(format!("{}: {}", clone.phase, clone.why));
        }
        match clone.phase {
            ClonePhase::Done => {
                return context.out.answer(&answer.json, || {
                    let notes: String = clone.notes.iter().map(|note| format!("{note}\n")).collect();
                    format!("{} is made from {}: {}\n{notes}", clone.to.name, clone.from.name, clone.why)
                });
            }
            ClonePhase::Failed | ClonePhase::Cancelled => {
                return Err(Failure::failed(format!("{} was not made: {}", clone.to.name, clone.why)).hint("nothing of it is left"));
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

pub async fn list(context: &Context, args: List) -> Result {
    let client = context.panel()?;
    let project = args.project.as_deref();
    let found =
        lists::all::<EnvironmentClone, _>(async |cursor| client.ask(client.clone_list(cursor, lists::LIMIT, project)).await).await?;
    let empty = "no clones; make one: serverkit project clone-environment PROJECT production staging --plan";
    context.out.list(&found.json, empty, || {
        let mut table = Table::new(["ID", "FROM", "TO", "STATE", "HOW", "BEGUN"]);
        let now = SystemClock.now();
        for one in &found.items {
            let tone = match one.phase {
                ClonePhase::Done => Tone::Good,
                ClonePhase::Failed | ClonePhase::Undoing => Tone::Bad,
                ClonePhase::Cancelled => Tone::Faint,
                _ => Tone::Plain,
            };
            table.row([
                one.id.clone().into(),
                one.from.name.clone().into(),
                one.to.name.clone().into(),
                Cell::tone(one.phase.to_string(), tone),
                one.why.clone().into(),
                when(&one.created_at, now).into(),
            ]);
        }
        table
    })
}

pub async fn cancel(context: &Context, args: Cancel) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.clone_cancel(&args.id)).await?;
    context
        .out
        .answer(&answer.json, || format!("{} is being taken back", answer.value.to.name))
}
