//! `serverkit quota …`: what an organization or a project may take of the machine.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Facts, Output, Table, Tone, bytes},
    spans,
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{Quota, QuotaLimits, QuotaOwner},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what may be used and what is: of the organization and its projects, or of one of them
    Show(Show),
    /// Set what an organization or a project may have; what is not named stays as it is, `none` takes a limit away
    ///
    /// What is there stays, also when it is more: only what would be more is refused. An organization's is set by those who run
    /// the panel, a project's by the organization's administrators, within the organization's.
    Set(Box<Set>),
}

#[derive(Debug, Args)]
pub struct Show {
    /// A project (name or id)
    #[arg(long, conflicts_with = "organization")]
    project: Option<String>,
    /// An organization (name or id)
    #[arg(long)]
    organization: Option<String>,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Of this project (name or id)
    #[arg(long, conflicts_with = "organization", required_unless_present = "organization")]
    project: Option<String>,
    /// Of this organization (name or id)
    #[arg(long)]
    organization: Option<String>,
    /// Apps
    #[arg(long, value_name = "COUNT", value_parser = count)]
    apps: Option<Limit>,
    /// Memory of all apps by their limits, such as 8g
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<Limit>,
    /// Cores of all apps by their limits, such as 2 or 0.5
    #[arg(long, value_name = "CORES", value_parser = millis)]
    cpus: Option<Limit>,
    /// Disk of volumes, kept images and uploads, such as 50g
    #[arg(long, value_name = "SIZE", value_parser = size)]
    disk: Option<Limit>,
    /// Traffic of a month, such as 1t
    #[arg(long, value_name = "SIZE", value_parser = size)]
    traffic: Option<Limit>,
    /// Bytes a second for each domain when the traffic of the month is used up, such as 1m; without it people are only told
    #[arg(long, value_name = "SIZE", value_parser = size)]
    traffic_cap: Option<Limit>,
    /// Builds of a month
    #[arg(long, value_name = "COUNT", value_parser = count)]
    builds: Option<Limit>,
    /// Deployments that build at the same time; others wait
    #[arg(long, value_name = "COUNT", value_parser = count)]
    builds_at_once: Option<Limit>,
}

/// What was typed; `None`: no limit.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u64>);

fn limit(text: &str, read: impl FnOnce(&str) -> Result<u64, String>) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        text => read(text).map(|value| Limit(Some(value))),
    }
}

fn count(text: &str) -> Result<Limit, String> {
    limit(text, |text| {
        text.parse()
            .map_err(|_| format!("`{text}` is no number; use for example 10, or none"))
    })
}

fn size(text: &str) -> Result<Limit, String> {
    limit(text, spans::memory)
}

fn millis(text: &str) -> Result<Limit, String> {
    limit(text, |text| spans::cores(text).map(u64::from))
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::Show(Show {
            project: None,
            organization: None,
        }) => {
            let all = lists::all::<Quota, _>(async |cursor| client.ask(client.quota_list(cursor, lists::LIMIT)).await).await?;
            context.out.list(&all.json, "no quotas are to be seen", || table(&all.items))
        }
        Command::Show(args) => {
            let found = find(&client, args.project.as_deref(), args.organization.as_deref()).await?;
            let json = serde_json::to_value(&found).unwrap_or_default();
            context.out.answer(&json, || facts(&found, &context.out))
        }
        Command::Set(args) => {
            let wishes = [
                args.apps,
                args.memory,
                args.cpus,
                args.disk,
                args.traffic,
                args.traffic_cap,
                args.builds,
                args.builds_at_once,
            ];
            if wishes.iter().all(Option::is_none) {
                return Err(Failure::usage("name what is to be bounded, for example --apps 10 or --memory 8g"));
            }
            let Quota { id, mut limits, of, .. } = find(&client, args.project.as_deref(), args.organization.as_deref()).await?;
            let places = [
                &mut limits.apps,
                &mut limits.memory_bytes,
                &mut limits.cpu_millis,
                &mut limits.disk_bytes,
                &mut limits.traffic_bytes,
                &mut limits.traffic_cap,
                &mut limits.builds_per_month,
                &mut limits.builds_at_once,
            ];
            for (place, wish) in places.into_iter().zip(wishes) {
                if let Some(Limit(value)) = wish {
                    *place = value;
                }
            }
            let answer = match of {
                QuotaOwner::Project => client.ask(client.project_quota_set(&id, &limits)).await?,
                QuotaOwner::Organization => client.ask(client.organization_quota_set(&id, &limits)).await?,
            };
            context.out.answer(&answer.json, || facts(&answer.value, &context.out))
        }
    }
}

async fn find(client: &Client, project: Option<&str>, organization: Option<&str>) -> Result<Quota> {
    let all = lists::all::<Quota, _>(async |cursor| client.ask(client.quota_list(cursor, lists::LIMIT)).await).await?;
    let (of, noun, called) = match (project, organization) {
        (Some(called), _) => (QuotaOwner::Project, "project", called),
        (None, called) => (QuotaOwner::Organization, "organization", called.unwrap_or_default()),
    };
    let mut found = all.items.into_iter().filter(|one| one.of == of);
    found
        .find(|one| one.id == called || one.name == called)
        .ok_or_else(|| Failure::not_found(format!("no {noun} named `{called}` is to be seen")).hint("see: serverkit quota show"))
}

/// Name, use, limit, and how to say both.
type Line = (&'static str, Option<u64>, Option<u64>, fn(u64) -> String);

fn lines(quota: &Quota) -> [Line; 7] {
    let (used, limits): (_, &QuotaLimits) = (&quota.used, &quota.limits);
    let number = |count: u64| count.to_string();
    [
        ("apps", Some(used.apps), limits.apps, number),
        ("memory", Some(used.memory_bytes), limits.memory_bytes, bytes),
        ("cores", Some(used.cpu_millis), limits.cpu_millis, cores),
        ("disk", used.disk_bytes, limits.disk_bytes, bytes),
        ("traffic of the month", Some(used.traffic_bytes), limits.traffic_bytes, bytes),
        ("builds of the month", Some(used.builds_this_month), limits.builds_per_month, number),
        ("builds now", Some(used.builds_now), limits.builds_at_once, number),
    ]
}

fn cores(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn cell((_, used, limit, words): &Line) -> Cell {
    let said = used.map_or_else(|| "?".to_owned(), words);
    match (limit, used) {
        (Some(limit), used) => {
            let text = format!("{said} of {}", words(*limit));
            match used.unwrap_or_default() {
                used if used >= *limit => Cell::tone(text, Tone::Bad),
                used if used.saturating_mul(5) >= limit.saturating_mul(4) => Cell::tone(text, Tone::Warn),
                _ => text.into(),
            }
        }
        (None, Some(_)) => Cell::tone(said, Tone::Faint),
        (None, None) => "".into(),
    }
}

fn facts(quota: &Quota, out: &Output) -> String {
    let mut facts = Facts::new();
    facts.add(
        if quota.of == QuotaOwner::Project {
            "project"
        } else {
            "organization"
        },
        quota.name.as_str(),
    );
    for line in &lines(quota) {
        facts.add(line.0, cell(line));
    }
    facts.maybe(
        "beyond the traffic",
        quota.limits.traffic_cap.map(|cap| format!("{}/s for each domain", bytes(cap))),
    );
    facts.print(out)
}

fn table(quotas: &[Quota]) -> Table {
    let mut table = Table::new(["OF", "NAME", "APPS", "MEMORY", "CORES", "DISK", "TRAFFIC", "BUILDS"]);
    for quota in quotas {
        let [apps, memory, cores, disk, traffic, builds, _] = lines(quota);
        table.row([
            quota.of.to_string().into(),
            quota.name.clone().into(),
            cell(&apps),
            cell(&memory),
            cell(&cores),
            cell(&disk),
            cell(&traffic),
            cell(&builds),
        ]);
    }
    table
}
