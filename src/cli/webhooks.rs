//! `serverkit webhook …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Facts, Table, Tone, bytes, when},
};
use clap::{Args, Subcommand};
use client::types::{Decision, Delivery, Webhook};
use serde_json::{Map, Value};
use std::path::PathBuf;
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the address that a forge sends to, and which pushes deploy
    ///
    /// A script sends JSON of its own there, signed as `X-Signature-256: sha256=` and the HMAC-SHA256 of the body in hex. All
    /// keys may be left out: `ref` (a branch, or refs/tags/v1), `commit`, `message`, `by`, and `files`, the changed ones that
    /// --path is about; or `before`, `after` and `commits` as forges send them.
    Show(Show),
    /// Change which pushes deploy; the first time this makes the address and its secret
    ///
    /// Patterns have * (within a part), ** (any parts), ?, [a-z] and {a,b}; ! in front takes out again, and the last that
    /// fits decides. A folder stands for what is in it. A commit that says [skip deploy] is not deployed.
    Set(Set),
    /// Make it at the forge, for an app from a connected one; again, to mend it there
    Register(Named),
    /// Make a new address and secret; the old ones stop to work at once
    Rotate(Named),
    /// Take the address away; the inbox stays
    #[command(visible_alias = "rm")]
    Remove(Named),
    /// List what came, and what was decided of each
    Inbox(Named),
    /// Show a delivery: what was pushed, what was decided, and what it has led to
    Delivery(One),
    /// Decide on a delivery again, by the rules of now
    Replay(One),
}

#[derive(Debug, Args)]
pub struct Show {
    /// Name or id of the app
    name: String,
    /// Show the secret too; that is recorded
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct One {
    /// Id of the delivery
    id: String,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the app
    name: String,
    /// Branches that deploy, in place of the app's own; '' for the app's own
    #[arg(long = "branch", value_name = "PATTERN")]
    branches: Option<Vec<String>>,
    /// Tags that deploy; '' for none
    #[arg(long = "tag", value_name = "PATTERN")]
    tags: Option<Vec<String>>,
    /// Files of which a push must change one; '' for any
    #[arg(long = "path", value_name = "PATTERN", allow_hyphen_values = true)]
    paths: Option<Vec<String>>,
    /// Ask the repository each so many seconds, for forges that cannot reach the panel; 0 for never
    #[arg(long, value_name = "SECONDS")]
    poll: Option<u32>,
    /// Pass pushes on to the app of this name in another environment of the project, for its branch; '' for none
    #[arg(long = "environment", value_name = "ENVIRONMENT")]
    environments: Option<Vec<String>>,
    /// File with a secret of your own; - for standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Let pushes deploy
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Keep what comes in the inbox, and deploy nothing
    #[arg(long)]
    off: bool,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Show(args) => show(context, args).await,
        Command::Set(args) => set(context, args).await,
        Command::Register(args) => register(context, &args.name).await,
        Command::Rotate(args) => rotate(context, &args.name).await,
        Command::Remove(args) => remove(context, &args.name).await,
        Command::Inbox(args) => inbox(context, &args.name).await,
        Command::Delivery(args) => delivery(context, &args.id).await,
        Command::Replay(args) => replay(context, &args.id).await,
    }
}

async fn show(context: &Context, args: Show) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.webhook_show(&args.name, Some(args.reveal))).await?;
    context.out.answer(&answer.json, || words(context, &args.name, &answer.value))
}

async fn set(context: &Context, args: Set) -> Result {
    let client = context.panel()?;
    let secret = match &args.secret_file {
        None => None,
        Some(path) => {
            let secret = ask::secret_file(path)?;
            let text = secret
                .expose_str()
                .ok_or_else(|| Failure::usage("the secret is not text in UTF-8"))?;
            Some(text.to_owned())
        }
    };
    let mut body = Map::new();
    for (field, list) in [
        ("branches", args.branches),
        ("tags", args.tags),
        ("paths", args.paths),
        ("environments", args.environments),
    ] {
        if let Some(list) = list {
            body.insert(field.into(), list.into_iter().filter(|text| !text.trim().is_empty()).collect());
        }
    }
    if args.on || args.off {
        body.insert("enabled".into(), args.on.into());
    }
    if let Some(seconds) = args.poll {
        body.insert("poll_seconds".into(), if seconds == 0 { Value::Null } else { seconds.into() });
    }
    if let Some(secret) = secret {
        body.insert("secret".into(), secret.into());
    }
    let answer = client.ask(client.webhook_update(&args.name, &Value::Object(body))).await?;
    context.out.answer(&answer.json, || words(context, &args.name, &answer.value))
}

async fn register(context: &Context, name: &str) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.webhook_register(name)).await?;
    context.out.answer(&answer.json, || words(context, name, &answer.value))
}

async fn rotate(context: &Context, name: &str) -> Result {
    ask::confirm(
        "the old address and secret stop to work at once; the forge needs the new ones",
        context.globals.yes,
    )?;
    let client = context.panel()?;
    let answer = client.ask(client.webhook_rotate(name)).await?;
    context.out.answer(&answer.json, || words(context, name, &answer.value))
}

async fn remove(context: &Context, name: &str) -> Result {
    ask::confirm(&format!("pushes will not reach {name} any more"), context.globals.yes)?;
    let client = context.panel()?;
    let done = client.ask(client.webhook_remove(name)).await?;
    context.out.answer(&done.json, || format!("the webhook of {name} is removed"))
}

async fn inbox(context: &Context, name: &str) -> Result {
    let client = context.panel()?;
    let list = lists::all::<Delivery, _>(async |cursor| client.ask(client.delivery_list(name, cursor, lists::LIMIT)).await).await?;
    let empty = "nothing came yet; the address to give to the forge: serverkit webhook show APP --reveal";
    context.out.list(&list.json, empty, || {
        let mut table = Table::new(["WHEN", "FROM", "WHAT", "DECISION", "ID"]);
        let now = SystemClock.now();
        for delivery in &list.items {
            table.row([
                when(&delivery.at, now).into(),
                delivery.forge.to_string().into(),
                what(delivery).into(),
                Cell::tone(&delivery.why, tone_of(delivery.decision)),
                delivery.id.clone().into(),
            ]);
        }
        table
    })
}

fn tone_of(decision: Decision) -> Tone {
    match decision {
        Decision::Deployed | Decision::Ping | Decision::PreviewMade | Decision::PreviewRenewed => Tone::Good,
        Decision::PreviewWaits | Decision::PreviewFull => Tone::Warn,
        Decision::BadSignature | Decision::Unreadable | Decision::Failed => Tone::Bad,
        _ => Tone::Plain,
    }
}

async fn delivery(context: &Context, id: &str) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.delivery_show(id)).await?;
    context.out.answer(&answer.json, || delivery_words(context, &answer.value))
}

fn delivery_words(context: &Context, one: &Delivery) -> String {
    let from = match &one.address {
        Some(address) => format!("{} ({address})", one.forge),
        None => one.forge.to_string(),
    };
    let mut facts = Facts::new();
    facts
        .add("Came", when(&one.at, SystemClock.now()))
        .add("From", from)
        .maybe("Its id there", one.forge_id.clone())
        .add("Event", one.event.clone())
        .add("Size", bytes(one.bytes));
    if let Some(push) = &one.push {
        let files: Vec<&str> = push.files.iter().flatten().map(String::as_str).collect();
        facts
            .maybe("Pushed", push.reference.clone())
            .maybe("Before", push.before.clone())
            .maybe("After", push.after.clone())
            .maybe("By", push.by.clone())
            .maybe("Message", push.message.lines().next().map(str::to_owned))
            .maybe("Changed", push.file_count.map(|count| format!("{count} files")))
            .maybe("Files", (!files.is_empty()).then(|| files.join(", ")));
    }
    facts
        .add("Decision", Cell::tone(one.decision.to_string(), tone_of(one.decision)))
        .add("Why", one.why.clone())
        .maybe("Deployment", one.deployment.clone())
        .maybe("Replay of", one.replay_of.clone());
    facts.print(&context.out)
}

async fn replay(context: &Context, id: &str) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.delivery_replay(id)).await?;
    context.out.answer(&answer.json, || answer.value.why.clone())
}

/// `push to main`, `issues`.
fn what(delivery: &Delivery) -> String {
    let reference = delivery
        .push
        .as_ref()
        .and_then(|push| push.reference.as_deref())
        .unwrap_or_default();
    let name = reference.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/");
    match name {
        "" => delivery.event.clone(),
        name => format!("push to {name}"),
    }
}

/// `dev to staging`
fn some_environments(webhook: &Webhook) -> Option<String> {
    let words: Vec<String> = webhook
        .environments
        .iter()
        .map(|to| format!("{} to {}", to.branch.as_deref().unwrap_or("its branch"), to.environment.name))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn words(context: &Context, name: &str, webhook: &Webhook) -> String {
    let Some(url) = &webhook.url else {
        return format!("{name} has no webhook yet; make one: serverkit webhook set {name} --on");
    };
    let list = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
    let mut facts = Facts::new();
    facts
        .add("Address", url.clone())
        .maybe("Secret", webhook.secret.clone())
        .add("State", if webhook.enabled { "on" } else { "off" })
        .add("Branches", list(&webhook.branches, "the app's own"))
        .add("Tags", list(&webhook.tags, "none"))
        .add("Paths", list(&webhook.paths, "any"))
        .maybe("Polls", webhook.poll_seconds.map(|seconds| format!("each {seconds} s")))
        .maybe("Passes on", some_environments(webhook))
        .maybe("Registered", webhook.registered.clone())
        .maybe("Problem", webhook.poll_error.clone());
    let mut text = facts.print(&context.out);
    if !webhook.is_public {
        text.push_str("the address has no public certificate: switch the check off at the forge, or set panel_domain\n");
    }
    text
}
