//! `serverkit preview …`: pull requests that run.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Facts, Table, Tone, bytes, when},
    spans,
    variables::{Assignment, assignment, read},
};
use clap::{Args, Subcommand, ValueEnum};
use client::types::{Encoding, Preview, PreviewRules, PreviewState};
use serde_json::{Map, Value, json};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the previews of an app
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one preview
    Show(One),
    /// Make or renew a preview now, also in spite of its labels
    Deploy(One),
    /// Allow a commit of a fork to run; the next push of it waits again
    Approve(Approve),
    /// Remove a preview with all that it has; the next push makes it anew
    #[command(visible_alias = "rm")]
    Remove(One),
    /// Show which pull requests are previewed, and how
    Settings(Named),
    /// Change which pull requests are previewed, and how; it holds for previews that are made from then on
    ///
    /// A preview has the app's variables without the secret ones, unless --give-secret names them or --secret-env gives others; one of
    /// a fork has no secrets ever. --database names an app of the same environment, such as a PostgreSQL from the catalog: each
    /// preview gets a copy of it under the same name, with new passwords, which a variable finds by its name, such as
    /// --env 'DATABASE_URL=postgres://app:${POSTGRES_PASSWORD}@db/app'.
    Set(Box<Set>),
    /// Ask the forge which requests are open, and remove the previews of others; this is done each hour too
    Compare(Named),
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the app
    name: String,
    /// With those that are gone
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub struct One {
    /// Name or id of the app
    name: String,
    /// Number of the pull request
    number: String,
}

#[derive(Debug, Args)]
pub struct Approve {
    /// Name or id of the app
    name: String,
    /// Number of the pull request
    number: String,
    /// The commit that you have looked at, whole; without it the newest one is shown and asked about
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the app
    name: String,
    /// Make previews
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Make none, and remove all there are
    #[arg(long)]
    off: bool,
    /// Where they are, such as 'pr-{number}.{app}.{domain}'; '' for that
    #[arg(long, value_name = "PATTERN")]
    host: Option<String>,
    /// Only requests with this label; '' for all
    #[arg(long, value_name = "LABEL")]
    only_label: Option<String>,
    /// No request with this label; '' for none
    #[arg(long, value_name = "LABEL")]
    never_label: Option<String>,
    /// So many at a time
    #[arg(long, value_name = "NUMBER")]
    most: Option<u32>,
    /// One goes after so many days without a push
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Memory of each, such as 256m; 0 for as much as the app. Of several services it is for each of them
    #[arg(long, value_parser = memory)]
    memory: Option<u64>,
    /// Cores of each, such as 0.5; 0 for as many as the app. Of several services they are for each of them
    #[arg(long, value_parser = cores)]
    cpus: Option<u32>,
    /// A variable of previews, in place of the app's own: KEY=VALUE or KEY@FILE
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = assignment)]
    variables: Vec<Assignment>,
    /// The same, secret, and not for forks
    #[arg(long = "secret-env", value_name = "KEY=VALUE", value_parser = assignment)]
    secret_variables: Vec<Assignment>,
    /// Take a variable of previews away
    #[arg(long = "unset-env", value_name = "KEY")]
    unset: Vec<String>,
    /// Hand a secret variable of the app on to previews, save those of forks; once for each, '' for none
    #[arg(long = "give-secret", value_name = "KEY")]
    secrets: Option<Vec<String>>,
    /// An app of the same environment, or APP@ENVIRONMENT, that each preview gets a copy of; '' for none
    #[arg(long, value_name = "APP")]
    database: Option<String>,
    /// What is in the copy: nothing, or what is in the app's volumes, while it is stopped
    #[arg(long, value_enum, requires = "database")]
    database_data: Option<Data>,
    /// Keep a comment beside each request
    #[arg(long, value_name = "TRUE|FALSE")]
    comment: Option<bool>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Data {
    Fresh,
    Copy,
}

fn memory(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { spans::memory(text) }
}

fn cores(text: &str) -> Result<u32, String> {
    if text == "0" { Ok(0) } else { spans::cores(text) }
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::List(args) => list(context, &args).await,
        Command::Show(args) => show(context, &args).await,
        Command::Deploy(args) => deploy(context, &args).await,
        Command::Approve(args) => approve(context, args).await,
        Command::Remove(args) => remove(context, &args).await,
        Command::Settings(args) => settings(context, &args.name).await,
        Command::Set(args) => set(context, *args).await,
        Command::Compare(args) => compare(context, &args.name).await,
    }
}

async fn list(context: &Context, args: &List) -> Result {
    let client = context.panel()?;
    let (name, all) = (&args.name, args.all);
    let found =
        lists::all::<Preview, _>(async |cursor| client.ask(client.preview_list(name, Some(all), cursor, lists::LIMIT)).await).await?;
    let empty = "no previews; switch them on: serverkit preview set APP --on, then push to a pull request";
    context.out.list(&found.json, empty, || {
        let mut table = Table::new(["REQUEST", "TITLE", "STATE", "WHERE", "COMMIT", "PUSHED"]);
        let now = SystemClock.now();
        for one in &found.items {
            table.row([
                format!("#{}", one.number).into(),
                one.title.clone().into(),
                Cell::tone(&one.why, tone(one)),
                one.url.clone().unwrap_or_default().into(),
                short(&one.commit).into(),
                when(&one.pushed_at, now).into(),
            ]);
        }
        table
    })
}

fn tone(one: &Preview) -> Tone {
    match one.state {
        _ if one.problem.is_some() => Tone::Bad,
        PreviewState::Up => Tone::Good,
        PreviewState::Waiting | PreviewState::Full => Tone::Warn,
        PreviewState::LeftOut | PreviewState::Gone => Tone::Faint,
        PreviewState::Wanted | PreviewState::Going => Tone::Plain,
    }
}

fn short(commit: &str) -> String {
    commit.chars().take(10).collect()
}

async fn show(context: &Context, args: &One) -> Result {
    let client = context.panel()?;
    let found = client.ask(client.preview_show(&args.name, &args.number)).await?;
    context.out.answer(&found.json, || facts(context, &found.value))
}

fn facts(context: &Context, one: &Preview) -> String {
    let origin = match (&one.from, one.fork) {
        (Some(from), true) => format!("{} of the fork {from}", one.branch),
        (None, true) => format!("{} of a fork", one.branch),
        (_, false) => one.branch.clone(),
    };
    let mut facts = Facts::new();
    facts
        .add("Request", format!("#{} {}", one.number, one.title))
        .add("At", one.request_url.clone())
        .add("State", Cell::tone(&one.why, tone(one)))
        .maybe("Problem", one.problem.clone())
        .maybe("Address", one.url.clone())
        .add("Branch", origin)
        .add("Commit", one.commit.clone())
        .maybe("Allowed by", one.approved_by.clone())
        .maybe("App", one.app.as_ref().map(|app| app.id.clone()))
        .maybe("Deployment", one.deployment.clone())
        .maybe("Goes in", one.days_left.map(|days| format!("{days} days without a push")))
        .maybe("Comment", one.comment_problem.clone());
    facts.print(&context.out)
}

async fn deploy(context: &Context, args: &One) -> Result {
    let client = context.panel()?;
    let made = client.ask(client.preview_deploy(&args.name, &args.number)).await?;
    context.out.answer(&made.json, || made.value.why.clone())
}

async fn approve(context: &Context, args: Approve) -> Result {
    let client = context.panel()?;
    let commit = match args.commit {
        Some(commit) => commit,
        None => {
            let one = client.ask(client.preview_show(&args.name, &args.number)).await?.value;
            let from = one.from.as_deref().unwrap_or("a fork");
            let what = format!("commit {} of {from} is built and run on this server: look at it first", one.commit);
            ask::confirm(&what, context.globals.yes)?;
            one.commit
        }
    };
    let body = client::types::PreviewApproval { commit };
    let made = client.ask(client.preview_approve(&args.name, &args.number, &body)).await?;
    context.out.answer(&made.json, || made.value.why.clone())
}

async fn remove(context: &Context, args: &One) -> Result {
    let what = format!("the preview of #{} goes with its containers, volumes and domain", args.number);
    ask::confirm(&what, context.globals.yes)?;
    let client = context.panel()?;
    let done = client.ask(client.preview_remove(&args.name, &args.number)).await?;
    context
        .out
        .answer(&done.json, || format!("the preview of #{} is being removed", args.number))
}

async fn compare(context: &Context, name: &str) -> Result {
    let client = context.panel()?;
    let done = client.ask(client.preview_compare(name)).await?;
    context.out.answer(&done.json, || match done.value.removed {
        0 => "every preview is of an open request".to_owned(),
        1 => "1 preview goes: its request is not open any more".to_owned(),
        count => format!("{count} previews go: their requests are not open any more"),
    })
}

async fn settings(context: &Context, name: &str) -> Result {
    let client = context.panel()?;
    let found = client.ask(client.preview_rules_show(name)).await?;
    context.out.answer(&found.json, || words(context, name, &found.value))
}

async fn set(context: &Context, args: Set) -> Result {
    let client = context.panel()?;
    let mut body = Map::new();
    if args.on || args.off {
        body.insert("enabled".into(), args.on.into());
    }
    let or_null = |text: String| if text.trim().is_empty() { Value::Null } else { text.into() };
    for (field, label) in [("only_label", args.only_label), ("never_label", args.never_label)] {
        if let Some(label) = label {
            body.insert(field.into(), or_null(label));
        }
    }
    if let Some(host) = args.host {
        body.insert("host".into(), host.into());
    }
    for (field, number) in [("most", args.most), ("days", args.days)] {
        if let Some(number) = number {
            body.insert(field.into(), number.into());
        }
    }
    if let Some(memory) = args.memory {
        body.insert("memory_bytes".into(), if memory == 0 { Value::Null } else { memory.into() });
    }
    if let Some(cores) = args.cpus {
        body.insert("cpu_millis".into(), if cores == 0 { Value::Null } else { cores.into() });
    }
    if let Some(comment) = args.comment {
        body.insert("comment".into(), comment.into());
    }
    if let Some(secrets) = args.secrets {
        body.insert("secrets".into(), secrets.into_iter().filter(|key| !key.trim().is_empty()).collect());
    }
    if let Some(database) = args.database {
        let data = match args.database_data {
            Some(Data::Copy) => "copy",
            Some(Data::Fresh) | None => "fresh",
        };
        let wanted = if database.is_empty() {
            Value::Null
        } else {
            json!({"app": database, "data": data})
        };
        body.insert("database".into(), wanted);
    }
    if !args.variables.is_empty() || !args.secret_variables.is_empty() || !args.unset.is_empty() {
        let known = client.ask(client.preview_rules_show(&args.name)).await?.value;
        let variables = merged(known, args.variables, args.secret_variables, &args.unset)?;
        body.insert("variables".into(), variables.into());
    }
    let answer = client.ask(client.preview_rules_update(&args.name, &Value::Object(body))).await?;
    context.out.answer(&answer.json, || words(context, &args.name, &answer.value))
}

/// What there is with what is given; values that are not given stay.
fn merged(known: PreviewRules, plain: Vec<Assignment>, secret: Vec<Assignment>, unset: &[String]) -> Result<Vec<Value>> {
    let mut all: Map<String, Value> = Map::new();
    for one in known.variables {
        let key = one.key.to_string();
        all.insert(key.clone(), json!({"key": key}));
    }
    for key in unset {
        if all.remove(key).is_none() {
            return Err(Failure::not_found(format!("previews have no variable `{key}` of their own")));
        }
    }
    for (given, secret) in [(plain, false), (secret, true)] {
        for one in read(given, secret, None)? {
            if one.encoding == Some(Encoding::Base64) {
                return Err(Failure::usage(format!("the value of {} is not text in UTF-8", one.key.as_str())));
            }
            let (key, value) = (one.key.to_string(), one.value.unwrap_or_default());
            all.insert(key.clone(), json!({"key": key, "value": value, "secret": secret}));
        }
    }
    Ok(all.into_iter().map(|(_, one)| one).collect())
}

fn words(context: &Context, name: &str, rules: &PreviewRules) -> String {
    let mut facts = Facts::new();
    let variables: Vec<String> = rules
        .variables
        .iter()
        .map(|one| match &one.value {
            Some(value) => format!("{}={value}", one.key),
            None => format!("{} (secret)", one.key),
        })
        .collect();
    let listed = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
    facts
        .add("Previews", if rules.enabled { "on" } else { "off" })
        .add("Where", rules.host.clone())
        .maybe("For example", rules.example.clone())
        .maybe("Wrong there", rules.host_problem.clone())
        .add("Requests", requests(rules))
        .add("At most", rules.most.to_string())
        .add("Removed", format!("after {} days without a push", rules.days))
        .maybe("Memory", rules.memory_bytes.map(bytes))
        .maybe("Cores", rules.cpu_millis.map(|millis| (f64::from(millis) / 1000.0).to_string()))
        .maybe("Variables", listed(&variables))
        .maybe("Secrets given", listed(&rules.secrets))
        .maybe(
            "Database",
            rules
                .database
                .as_ref()
                .map(|one| format!("a copy of {} ({})", one.app.name, one.data)),
        )
        .add("Comment", if rules.comment && rules.connected { "yes" } else { "no" })
        .maybe("Compared", rules.compared_at.clone())
        .maybe("Problem", rules.problem.clone());
    let mut text = facts.print(&context.out);
    if rules.enabled && rules.webhook == Some(false) {
        text.push_str("the webhook was made by hand: let the forge send pull requests by it too\n");
    }
    if !rules.enabled {
        text.push_str(&format!("switch them on: serverkit preview set {name} --on\n"));
    }
    text
}

fn requests(rules: &PreviewRules) -> String {
    match (&rules.only_label, &rules.never_label) {
        (None, None) => "all".to_owned(),
        (Some(only), None) => format!("with the label {only}"),
        (None, Some(never)) => format!("all but with the label {never}"),
        (Some(only), Some(never)) => format!("with the label {only}, and not {never}"),
    }
}
