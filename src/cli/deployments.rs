//! `serverkit deploy`, `deployments`, `cancel`, `rollback` and `diff`.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    lists, logs,
    output::{Cell, Table, span, tone_of, when},
    progress::Progress,
    uploads,
};
use clap::Args;
use client::{
    Client,
    types::{Commit, Deployment, DeploymentCause, DeploymentCreate, Phase, Rollback as RollbackBody, Waits},
};
use std::{path::PathBuf, time::Duration};
use types::{Clock, SystemClock};

/// Between two looks at a deployment.
pub const PAUSE: Duration = Duration::from_millis(500);
/// How many looks in a row may find nobody: a panel that restarts is back within 30 s.
pub const PATIENCE: u32 = 60;

#[derive(Debug, Args)]
pub struct Deploy {
    /// Name or id of the app
    name: String,
    /// A branch, tag or commit in place of the app's branch
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// A folder or an archive (tar, tar.gz, tar.zst, zip) of this machine: it is uploaded and built
    ///
    /// Of a folder, what .gitignore and .dockerignore name stays here. The upload is kept as long as the release.
    #[arg(long, value_name = "PATH", conflicts_with = "reference")]
    from: Option<PathBuf>,
    /// An earlier upload (upl_…, see `serverkit app uploads`), to build it again
    #[arg(long, value_name = "ID", conflicts_with_all = ["reference", "from"])]
    upload: Option<String>,
    /// Another tag (v2) or digest (sha256:…) of the repository that the app's image is from, for this deployment only
    #[arg(long, value_name = "TAG", conflicts_with_all = ["reference", "from", "upload"])]
    image_tag: Option<String>,
    /// Deploy although a freeze window holds, for this reason; for administrators, and the audit log has it
    #[arg(long, value_name = "WHY")]
    anyway: Option<String>,
    /// Wait until it is live, showing the log; the exit code is 1 if it does not get there
    #[arg(long, short = 'w')]
    wait: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the app; left out: what is under way and what waits, of all apps
    name: Option<String>,
    /// At most so many, the newest first
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// Name or id of the app
    name: String,
    /// Number or id of the deployment; without it the one that is under way
    deployment: Option<String>,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// Name or id of the app
    name: String,
    /// Number or id of the deployment to go back to (see `serverkit deployments`); without it, what was live before
    deployment: Option<String>,
    /// Leave domains and ports of the server as they are now, in place of giving them what the release had
    #[arg(long)]
    keep_routes: bool,
    /// Wait until it is live, showing the log; the exit code is 1 if it does not get there
    #[arg(long, short = 'w')]
    wait: bool,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// Name or id of the app
    name: String,
    /// Number or id of a release, or `live`
    from: String,
    /// Number or id of another, or `live`
    to: String,
    /// The other one is of this app of the project, or of the app with the same name in this environment
    #[arg(long = "with", value_name = "APP|ENVIRONMENT")]
    other: Option<String>,
}

pub async fn deploy(context: &Context, args: Deploy) -> Result {
    let client = context.panel()?;
    let upload = match &args.from {
        Some(from) => Some(uploads::send(context, &client, &args.name, from).await?.value.id),
        None => args.upload,
    };
    let wish = DeploymentCreate {
        reference: args.reference,
        upload,
        image: args.image_tag,
        anyway: args.anyway,
    };
    start(context, &client, &args.name, wish, args.wait).await
}

/// Nothing said: as the app's source says.
pub fn usual() -> DeploymentCreate {
    DeploymentCreate {
        reference: None,
        upload: None,
        image: None,
        anyway: None,
    }
}

/// Asks for a deployment, and waits for its end if `wait`.
pub async fn start(context: &Context, client: &Client, app: &str, wish: DeploymentCreate, wait: bool) -> Result {
    let deployment = client.ask(client.deployment_create(app, &wish)).await?;
    begun(context, client, &deployment.value, &deployment.json, wait).await
}

/// Says that it was asked for, or waits for its end.
pub async fn begun(context: &Context, client: &Client, deployment: &Deployment, json: &serde_json::Value, wait: bool) -> Result {
    if wait {
        return follow(context, client, &deployment.id).await;
    }
    let name = &deployment.app.name;
    let number = deployment.number;
    context.out.answer(json, || {
        format!(
            "deployment #{number} of {name} is {}\nfollow it: serverkit logs {name} --build {number} --follow",
            deployment.phase
        )
    })
}

/// Shows the log of a deployment until it is over. Fails with its error if it did not get live. With `--json` the
/// log stays away and the finished deployment is printed.
pub async fn follow(context: &Context, client: &Client, id: &str) -> Result {
    let progress = Progress::new(context.out);
    let first = client.ask(client.deployment_show(id)).await?.value;
    progress.begin(&first);
    let done = {
        let lines = logs::build_lines(client, id, async |line| {
            if !context.out.json {
                progress.line(&line.text)?;
            }
            Ok(())
        });
        let watch = watch(client, id, &progress);
        tokio::try_join!(lines, watch)?.1
    };
    progress.end();
    let deployment = done.value;
    if context.out.json {
        context.out.value(&done.json)?;
    }
    let (name, number) = (&deployment.app.name, deployment.number);
    if deployment.phase != Phase::Live {
        let why = deployment.error.clone().unwrap_or_else(|| match deployment.phase {
            Phase::Superseded => "a newer deployment came before it".to_owned(),
            Phase::Cancelled => "somebody cancelled it".to_owned(),
            _ => "no reason was recorded".to_owned(),
        });
        let mut failure = Failure::failed(format!("deployment #{number} of {name} {}: {why}", verb(deployment.phase)))
            .hint("what was live before is still live");
        if deployment.previous.is_none() {
            failure.hint = Some(format!("mend it and deploy again: serverkit deploy {name} --wait"));
        }
        failure.quiet = context.out.json;
        return Err(failure);
    }
    if context.out.json {
        return Ok(());
    }
    let app = client.ask(client.app_show(&deployment.app.id)).await?;
    let took = seconds_between(&deployment.queued_at, deployment.finished_at.as_deref());
    context.out.note(format!(
        "deployment #{number} of {name} is live{}",
        took.map(|seconds| format!(" after {}", span(seconds))).unwrap_or_default()
    ));
    context.out.line(app.value.url.unwrap_or_else(|| {
        let kind = app.json["source"]["kind"].as_str();
        match (kind, app.json["port"].as_u64()) {
            // What answers no HTTP is reached like this.
            (Some("compose"), Some(port)) => format!("{name} has no domain; other apps of its environment reach it at {name}:{port}"),
            _ => format!("{name} has no domain; give it one: serverkit domain add {name} HOST"),
        }
    }))
}

fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Cancelled => "was cancelled",
        Phase::Superseded => "was superseded",
        _ => "failed",
    }
}

/// Looks at a deployment until it is over. A panel that restarts meanwhile is waited for.
async fn watch(client: &Client, id: &str, progress: &Progress) -> Result<client::Answer<Deployment>> {
    let mut silent = 0;
    loop {
        match client.ask(client.deployment_show(id)).await {
            Ok(answer) => {
                silent = 0;
                progress.phase(&answer.value);
                if is_final(answer.value.phase) {
                    return Ok(answer);
                }
            }
            Err(client::Failure::Unreachable { .. }) if silent < PATIENCE => silent += 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

pub fn is_final(phase: Phase) -> bool {
    matches!(phase, Phase::Live | Phase::Failed | Phase::Cancelled | Phase::Superseded)
}

/// The id of the deployment that somebody calls by number (`3`, `#3`) or id.
pub async fn find(client: &Client, app: &str, called: &str) -> Result<String> {
    if called.starts_with("dep_") || called.starts_with("rel_") {
        return Ok(called.to_owned());
    }
    let number: u64 = called
        .trim_start_matches('#')
        .parse()
        .map_err(|_| Failure::usage(format!("`{called}` is no deployment; give its number or its id (dep_…)")))?;
    let mut cursor = None;
    loop {
        let page = client
            .ask(client.deployment_list(app, cursor.as_deref(), lists::LIMIT))
            .await?
            .value;
        if let Some(found) = page.items.iter().find(|deployment| deployment.number == number) {
            return Ok(found.id.clone());
        }
        cursor = page.next;
        if cursor.is_none() {
            return Err(Failure::not_found(format!("{app} has no deployment #{number}")).hint(format!("see: serverkit deployments {app}")));
        }
    }
}

/// The newest deployment of an app.
pub async fn newest(client: &Client, app: &str) -> Result<Deployment> {
    let page = client.ask(client.deployment_list(app, None, Some(1))).await?.value;
    let newest = page.items.into_iter().next();
    newest.ok_or_else(|| Failure::not_found(format!("{app} was never deployed")).hint(format!("deploy it: serverkit deploy {app}")))
}

pub async fn list(context: &Context, args: List) -> Result {
    let client = context.panel()?;
    let Some(name) = &args.name else {
        return queue(context, &client, args.limit).await;
    };
    let answer = client.ask(client.deployment_list(name, None, Some(args.limit))).await?;
    let live = client.ask(client.app_show(name)).await?.value.release.map(|release| release.id);
    let empty = format!("{name} was never deployed; deploy it: serverkit deploy {name}");
    context
        .out
        .list(&answer.json, &empty, || table(&answer.value.items, live.as_deref()))
}

/// What is under way, then what waits, in its order.
async fn queue(context: &Context, client: &Client, limit: u32) -> Result {
    let mut answer = client.ask(client.deployment_list_all(Some(true), None, Some(limit))).await?;
    let place = |deployment: &Deployment| deployment.waits.as_ref().map_or(0, |waits| waits.place);
    answer
        .value
        .items
        .sort_by_key(|one| (one.phase == Phase::Queued, place(one), one.queued_at.clone()));
    context
        .out
        .list(&answer.json, "nothing is under way", || queue_table(&answer.value.items))
}

/// `building on far`
fn place_text(deployment: &Deployment, phase: &str) -> String {
    match &deployment.built_on {
        Some(server) => format!("{phase} on {server}"),
        None => phase.to_owned(),
    }
}

fn queue_table(deployments: &[Deployment]) -> Table {
    let mut table = Table::new(["APP", "NUMBER", "PHASE", "BY", "WHEN", "WAITS"]);
    let now = SystemClock.now();
    for deployment in deployments {
        let phase = deployment.phase.to_string();
        table.row([
            deployment.app.name.clone().into(),
            format!("#{}", deployment.number).into(),
            Cell::tone(place_text(deployment, &phase), tone_of(&phase)),
            deployment.by.clone().into(),
            when(&deployment.queued_at, now).into(),
            deployment.waits.as_ref().map(waits_text).unwrap_or_default().into(),
        ]);
    }
    table
}

fn table(deployments: &[Deployment], live: Option<&str>) -> Table {
    let mut table = Table::new(["NUMBER", "PHASE", "SOURCE", "BY", "WHEN", "TOOK", "ERROR"]);
    let now = SystemClock.now();
    // The newest that made the live release is the one that serves; older ones of the same release did once.
    let serving = deployments
        .iter()
        .position(|each| each.phase == Phase::Live && each.release.is_some() && each.release.as_deref() == live);
    for (place, deployment) in deployments.iter().enumerate() {
        let phase = match deployment.phase {
            Phase::Live if serving != Some(place) => Cell::from("was live"),
            phase => Cell::tone(phase.to_string(), tone_of(&phase.to_string())),
        };
        let source = match (&deployment.commit, &deployment.reference) {
            _ if deployment.cause == DeploymentCause::Rollback => "rollback".to_owned(),
            (None, _) if deployment.cause == DeploymentCause::NewImage => "newer image".to_owned(),
            (None, _) if deployment.cause == DeploymentCause::Promotion => "promotion".to_owned(),
            (Some(commit), _) => commit_text(commit),
            (None, reference) => reference.clone().or_else(|| deployment.image.clone()).unwrap_or_default(),
        };
        let took = seconds_between(&deployment.queued_at, deployment.finished_at.as_deref());
        table.row([
            format!("#{}", deployment.number).into(),
            phase,
            source.into(),
            deployment.by.clone().into(),
            when(&deployment.queued_at, now).into(),
            took.map(span).unwrap_or_default().into(),
            deployment
                .error
                .clone()
                .or_else(|| deployment.waits.as_ref().map(waits_text))
                .or_else(|| deployment.rollback_why.clone())
                .unwrap_or_default()
                .into(),
        ]);
    }
    table
}

/// `2nd in the queue: …`
pub fn waits_text(waits: &Waits) -> String {
    format!("{} in the queue: {}", ordinal(waits.place), waits.why)
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn seconds_between(from: &str, to: Option<&str>) -> Option<u64> {
    let (from, to) = (crate::output::parse_time(from)?, crate::output::parse_time(to?)?);
    Some(to.since(from).as_secs())
}

/// `1a2b3c4 Fix the login` with a subject of at most 40 letters.
pub fn commit_text(commit: &Commit) -> String {
    let short: String = commit.id.chars().take(7).collect();
    let mut subject: String = commit.subject.chars().take(40).collect();
    if subject.chars().count() < commit.subject.chars().count() {
        subject.push('…');
    }
    format!("{short} {subject}").trim_end().to_owned()
}

pub async fn cancel(context: &Context, args: Cancel) -> Result {
    let client = context.panel()?;
    let id = match &args.deployment {
        Some(called) => find(&client, &args.name, called).await?,
        None => {
            let newest = newest(&client, &args.name).await?;
            if is_final(newest.phase) {
                return Err(Failure::failed(format!("no deployment of {} is under way", args.name)));
            }
            newest.id
        }
    };
    let answer = client.ask(client.deployment_cancel(&id)).await?;
    context.out.answer(&answer.json, || {
        format!(
            "deployment #{} of {} is being cancelled",
            answer.value.number, answer.value.app.name
        )
    })
}

pub async fn rollback(context: &Context, args: Rollback) -> Result {
    let client = context.panel()?;
    let to = match &args.deployment {
        Some(called) => Some(find(&client, &args.name, called).await?),
        None => None,
    };
    let body = RollbackBody {
        to,
        keep_routes: args.keep_routes.then_some(true),
    };
    let answer = client.ask(client.app_rollback(&args.name, &body)).await?;
    // Who waits reads it in the log.
    for words in answer.value.kept.iter().filter(|_| !args.wait) {
        context.out.note(words);
    }
    begun(context, &client, &answer.value, &answer.json, args.wait).await
}

pub async fn diff(context: &Context, args: Diff) -> Result {
    let client = context.panel()?;
    let from = args.from.trim_start_matches('#');
    let to = args.to.trim_start_matches('#');
    let answer = client
        .ask(client.release_diff(&args.name, Some(from), Some(to), args.other.as_deref()))
        .await?;
    if context.out.json {
        return context.out.value(&answer.json);
    }
    changes_table(context, &answer.value.changes)
}

/// What differs, as a table.
pub fn changes_table(context: &Context, changes: &[client::types::Change]) -> Result {
    if changes.is_empty() {
        context.out.note("no difference");
        return Ok(());
    }
    let mut table = Table::new(["WHAT", "FROM", "TO"]);
    for change in changes {
        let side = |side: &Option<String>| Cell::from(side.clone().unwrap_or_else(|| "-".to_owned()));
        table.row([change.what.clone().into(), side(&change.from), side(&change.to)]);
    }
    context.out.line(table.print(&context.out).trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_queue() {
        let said = |place| {
            waits_text(&Waits {
                place,
                why: "others are under way".into(),
            })
        };
        for (place, word) in [
            (1, "1st"),
            (2, "2nd"),
            (3, "3rd"),
            (4, "4th"),
            (11, "11th"),
            (12, "12th"),
            (21, "21st"),
            (113, "113th"),
        ] {
            assert_eq!(said(place), format!("{word} in the queue: others are under way"));
        }
    }

    #[test]
    fn long_subjects_are_cut() {
        let commit = Commit {
            id: "0123456789abcdef0123456789abcdef01234567".into(),
            subject: "ü".repeat(50),
            author: "Ada".into(),
            at: "2026-01-01T00:00:00Z".into(),
        };
        let text = commit_text(&commit);
        assert!(text.starts_with("0123456 ü") && text.ends_with('…'), "{text}");
        assert_eq!(text.chars().count(), 8 + 40 + 1);
    }

    #[test]
    fn spans_of_deployments() {
        assert_eq!(seconds_between("2026-01-01T00:00:00Z", Some("2026-01-01T00:01:30.5Z")), Some(90));
        assert_eq!(seconds_between("2026-01-01T00:00:00Z", None), None);
    }
}
