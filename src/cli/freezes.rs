//! `serverkit freeze …`: times in which nothing is deployed.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone, span, when},
    spans,
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{Freeze, FreezeCreate},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List freeze windows
    #[command(visible_alias = "ls")]
    List,
    /// Make a freeze window: once (--from, --until), or again and again (--at, --for)
    ///
    /// While it holds, pushes are held in the inbox and deployed when it ends, people are refused, and an administrator may
    /// deploy anyway: serverkit deploy NAME --anyway WHY. Rolling back stays possible.
    Add(Add),
    /// Change a freeze window; what is not said stays
    Update(Update),
    /// Delete a freeze window; one that holds ends at once
    #[command(visible_alias = "rm")]
    Remove(Named),
}

#[derive(Debug, Args)]
pub struct Add {
    /// Why, in a few words
    name: String,
    /// In all of the organization, not in one environment
    #[arg(long, conflicts_with_all = ["project", "environment"])]
    everywhere: bool,
    /// Project (name or id); without it the first one
    #[arg(long)]
    project: Option<String>,
    /// Environment (name or id); without it the project's first one
    #[arg(long)]
    environment: Option<String>,
    /// Its beginning, such as 2026-12-24T00:00:00Z
    #[arg(long, value_name = "MOMENT", requires = "until", conflicts_with = "at")]
    from: Option<String>,
    /// Its end
    #[arg(long, value_name = "MOMENT", requires = "from")]
    until: Option<String>,
    /// When it begins: minute, hour, day of month, month, day of week, such as '0 16 * * FRI'
    #[arg(long, value_name = "CRON", requires = "lasts", required_unless_present = "from")]
    at: Option<String>,
    /// How long it holds each time, such as 64h
    #[arg(long = "for", id = "lasts", value_name = "SPAN", value_parser = spans::seconds, requires = "at")]
    lasts: Option<u32>,
    /// The time zone of the times, such as Europe/Berlin; UTC unless said
    #[arg(long, value_name = "ZONE", requires = "at")]
    zone: Option<String>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// Its name or id (see `serverkit freeze list`)
    freeze: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// In all of the organization
    #[arg(long, conflicts_with_all = ["project", "environment"])]
    everywhere: bool,
    /// Project (name or id)
    #[arg(long, requires = "environment")]
    project: Option<String>,
    /// Environment (name or id)
    #[arg(long)]
    environment: Option<String>,
    /// It holds once: its beginning
    #[arg(long, value_name = "MOMENT", conflicts_with_all = ["at", "lasts", "zone"])]
    from: Option<String>,
    /// Its end
    #[arg(long, value_name = "MOMENT", conflicts_with_all = ["at", "lasts", "zone"])]
    until: Option<String>,
    /// It begins again and again: when
    #[arg(long, value_name = "CRON")]
    at: Option<String>,
    /// How long it holds each time, such as 64h
    #[arg(long = "for", id = "lasts", value_name = "SPAN", value_parser = spans::seconds)]
    lasts: Option<u32>,
    /// The time zone of the times
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Its name or id (see `serverkit freeze list`)
    freeze: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List => {
            let all = lists::all::<Freeze, _>(async |cursor| client.ask(client.freeze_list(cursor, lists::LIMIT)).await).await?;
            let empty = "no freeze windows; make one: serverkit freeze add weekend --at '0 16 * * FRI' --for 64h";
            context.out.list(&all.json, empty, || table(&all.items))
        }
        Command::Add(args) => {
            let body = FreezeCreate {
                name: args.name,
                everywhere: Some(args.everywhere),
                project: args.project,
                environment: args.environment,
                from: args.from,
                until: args.until,
                cron: args.at,
                zone: args.zone,
                minutes: args.lasts.map(|seconds| seconds.div_ceil(60)),
            };
            let made = client.ask(client.freeze_create(&body)).await?;
            context.out.answer(&made.json, || described(&made.value))
        }
        Command::Update(args) => {
            let known = find(&client, &args.freeze).await?;
            let body = changed(&known, args);
            let made = client.ask(client.freeze_replace(&known.id, &body)).await?;
            context.out.answer(&made.json, || described(&made.value))
        }
        Command::Remove(args) => {
            let known = find(&client, &args.freeze).await?;
            let done = client.ask(client.freeze_delete(&known.id)).await?;
            context.out.answer(&done.json, || format!("the freeze {} is gone", args.freeze))
        }
    }
}

async fn find(client: &Client, called: &str) -> Result<Freeze> {
    let all = lists::all::<Freeze, _>(async |cursor| client.ask(client.freeze_list(cursor, lists::LIMIT)).await).await?;
    let mut named = all.items.into_iter().filter(|one| one.id == called || one.name == called);
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Failure::usage(format!("several are called `{called}`; use the id"))),
        (None, _) => Err(Failure::not_found(format!("no freeze window named `{called}`"))),
    }
}

/// The window as it is, with what was said.
fn changed(known: &Freeze, args: Update) -> FreezeCreate {
    let moved = args.environment.is_some();
    let place = known.environment.as_ref().map(|environment| environment.id.clone());
    let once = args.from.is_some() || args.until.is_some();
    let again = args.at.is_some() || args.lasts.is_some() || args.zone.is_some();
    let (from, until) = match again {
        true => (None, None),
        false => (args.from.or(known.from.clone()), args.until.or(known.until.clone())),
    };
    let minutes = args.lasts.map(|seconds| seconds.div_ceil(60));
    let (cron, zone, minutes) = match once {
        true => (None, None, None),
        false => (
            args.at.or(known.cron.clone()),
            args.zone.or(known.zone.clone()),
            minutes.or(known.minutes),
        ),
    };
    FreezeCreate {
        name: args.name.unwrap_or_else(|| known.name.clone()),
        everywhere: Some(args.everywhere || (!moved && place.is_none())),
        project: args.project,
        environment: if args.everywhere { None } else { args.environment.or(place) },
        from,
        until,
        cron,
        zone,
        minutes,
    }
}

fn described(freeze: &Freeze) -> String {
    match (&freeze.holds_until, &freeze.next_at) {
        (Some(until), _) => format!("the freeze {} holds now, until {until}", freeze.name),
        (None, Some(at)) => format!("the freeze {} holds next at {at}", freeze.name),
        (None, None) => format!("the freeze {} is over", freeze.name),
    }
}

fn table(freezes: &[Freeze]) -> Table {
    let mut table = Table::new(["NAME", "WHERE", "WHEN", "NOW", "NEXT", "BY", "ID"]);
    let now = SystemClock.now();
    for freeze in freezes {
        let place = match (&freeze.project, &freeze.environment) {
            (Some(project), Some(environment)) => format!("{project} / {}", environment.name),
            _ => "everywhere".to_owned(),
        };
        let times = match (&freeze.cron, freeze.minutes, &freeze.from, &freeze.until) {
            (Some(cron), Some(minutes), ..) => {
                let zone = freeze.zone.as_deref().unwrap_or("UTC");
                format!("{cron} ({zone}) for {}", span(u64::from(minutes) * 60))
            }
            (_, _, Some(from), Some(until)) => format!("{from} to {until}"),
            _ => String::new(),
        };
        let holds = match &freeze.holds_until {
            Some(until) => Cell::tone(format!("holds until {until}"), Tone::Warn),
            None => Cell::tone("no", Tone::Faint),
        };
        table.row([
            freeze.name.clone().into(),
            place.into(),
            times.into(),
            holds,
            freeze.next_at.as_deref().map(|at| when(at, now)).unwrap_or_default().into(),
            freeze.by.clone().into(),
            freeze.id.clone().into(),
        ]);
    }
    table
}
