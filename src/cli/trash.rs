//! `serverkit trash …`: apps that were deleted, until their time is over.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists::{self, Listed},
    output::{Table, bytes, when},
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{App, AppPurge},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what is in the trash
    #[command(visible_alias = "ls")]
    List,
    /// Take an app out of the trash
    Restore(Restore),
    /// Remove an app for good; its volumes stay unless told otherwise
    Purge(Purge),
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct Purge {
    /// Name or id of the app
    name: String,
    /// Remove the volumes that only this app mounts too; their data is gone then
    #[arg(long)]
    volumes: bool,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List => {
            let apps = all(&client).await?;
            context.out.list(&apps.json, "the trash is empty", || table(&apps.items))
        }
        Command::Restore(args) => {
            let app = find(&client, &args.name).await?;
            let answer = client.ask(client.app_restore(&app.id)).await?;
            context.out.answer(&answer.json, || match &answer.value.url {
                Some(url) => format!("{} is back at {url}", app.name),
                None => format!("{} is back; if it had domains, others have them now", app.name),
            })
        }
        Command::Purge(args) => purge(context, &client, args).await,
    }
}

async fn all(client: &Client) -> Result<Listed<App>> {
    lists::all(async |cursor| client.ask(client.trash_list(cursor, lists::LIMIT)).await).await
}

async fn find(client: &Client, called: &str) -> Result<App> {
    let mut found = all(client).await?.items;
    found.retain(|app| app.name == called || app.id == called);
    match found.len() {
        0 => Err(Failure::not_found(format!("no app named `{called}` is in the trash")).hint("see: serverkit trash list")),
        1 => Ok(found.remove(0)),
        _ => Err(Failure::usage(format!("the trash holds several apps named `{called}`")).hint("give the id; see: serverkit trash list")),
    }
}

async fn purge(context: &Context, client: &Client, args: Purge) -> Result {
    let app = find(client, &args.name).await?;
    if !context.globals.yes {
        let plan = client.ask(client.app_delete_plan(&app.id)).await?.value;
        let mut text = format!(
            "This removes {} for good: {} releases, {} of images",
            app.name,
            plan.releases,
            bytes(plan.bytes)
        );
        for volume in &plan.volumes {
            let fate = if args.volumes { "goes, if no other app mounts it" } else { "stays" };
            let size = volume.bytes.map(|count| format!(" ({})", bytes(count))).unwrap_or_default();
            text.push_str(&format!("\n  volume {}{size}: {fate}", volume.name));
        }
        ask::confirm(&text, false)?;
    }
    let done = client.ask(client.app_purge(&app.id, &AppPurge { volumes: args.volumes })).await?;
    context.out.answer(&done.json, || format!("{} is gone", app.name))
}

fn table(apps: &[App]) -> Table {
    let mut table = Table::new(["ID", "NAME", "PROJECT", "DELETED"]);
    let now = SystemClock.now();
    for app in apps {
        table.row([
            app.id.clone().into(),
            app.name.clone().into(),
            app.project.name.clone().into(),
            app.trashed_at.as_deref().map(|at| when(at, now)).unwrap_or_default().into(),
        ]);
    }
    table
}
