//! `serverkit volume …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists::{self, Listed},
    output::{Table, bytes},
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{Volume, VolumeCreate},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a volume; `app create --volume` makes missing ones by itself
    Create(Create),
    /// List volumes
    #[command(visible_alias = "ls")]
    List,
    /// Delete a volume and its data, for good; no app may mount it
    #[command(visible_alias = "rm")]
    Delete(Named),
}

#[derive(Debug, Args)]
pub struct Create {
    /// Its name: 1 to 63 of a-z, 0-9 and -
    name: String,
    /// Project (name or id); without it the first one
    #[arg(long)]
    project: Option<String>,
    /// Environment (name or id); without it the project's first one
    #[arg(long)]
    environment: Option<String>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the volume
    name: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::Create(args) => {
            let body = VolumeCreate {
                name: args.name,
                project: args.project,
                environment: args.environment,
            };
            let answer = client.ask(client.volume_create(&body)).await?;
            context.out.answer(&answer.json, || format!("volume {} is made", answer.value.name))
        }
        Command::List => list(context, &client).await,
        Command::Delete(args) => delete(context, &client, &args.name).await,
    }
}

async fn all(client: &Client) -> Result<Listed<Volume>> {
    lists::all(async |cursor| client.ask(client.volume_list(cursor, lists::LIMIT)).await).await
}

async fn list(context: &Context, client: &Client) -> Result {
    let volumes = all(client).await?;
    context
        .out
        .list(&volumes.json, "no volumes yet; an app gets one with `--volume NAME:/path`", || {
            let mut table = Table::new(["NAME", "ENVIRONMENT", "SIZE", "MOUNTED BY"]);
            for volume in &volumes.items {
                let uses: Vec<String> = volume.apps.iter().map(|each| format!("{} at {}", each.name, each.path)).collect();
                table.row([
                    volume.name.clone().into(),
                    volume.environment.name.clone().into(),
                    volume.bytes.map(bytes).unwrap_or_default().into(),
                    uses.join(", ").into(),
                ]);
            }
            table
        })
}

async fn delete(context: &Context, client: &Client, called: &str) -> Result {
    let mut found: Vec<Volume> = all(client).await?.items;
    found.retain(|volume| volume.name == called || volume.id == called);
    let volume = match found.as_slice() {
        [volume] => volume,
        [] => return Err(Failure::not_found(format!("no volume named `{called}`")).hint("see: serverkit volume list")),
        _ => {
            return Err(Failure::usage(format!("several environments have a volume `{called}`"))
                .hint("give its id; see: serverkit volume list --json"));
        }
    };
    let size = volume.bytes.map(|count| format!(", {}", bytes(count))).unwrap_or_default();
    ask::confirm(
        &format!(
            "This deletes the volume {} and all data in it{size}. It cannot be taken back.",
            volume.name
        ),
        context.globals.yes,
    )?;
    let done = client.ask(client.volume_delete(&volume.id)).await?;
    context.out.answer(&done.json, || format!("volume {} is deleted", volume.name))
}
