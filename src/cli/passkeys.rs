//! `serverkit passkey …`. Passkeys are made in a browser, by whoever has them; listed, named and removed here too.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists::{self, Listed},
    output::{Table, when},
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{Passkey, PasskeyPatch},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List your passkeys; they are made in the browser, under Account
    #[command(visible_alias = "ls")]
    List,
    /// Give a passkey another name
    Rename(Rename),
    /// Remove a passkey: nobody gets in with it any more
    #[command(visible_alias = "rm")]
    Remove(Named),
}

#[derive(Debug, Args)]
pub struct Rename {
    /// Name or id of the passkey
    passkey: String,
    /// What to call it
    name: String,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the passkey
    passkey: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List => list(context, &client).await,
        Command::Rename(args) => {
            let one = find(&client, &args.passkey).await?;
            let done = client
                .ask(client.passkey_rename(&one.id, &PasskeyPatch { name: args.name }))
                .await?;
            context
                .out
                .answer(&done.json, || format!("{} is called {} now", one.name, done.value.name))
        }
        Command::Remove(args) => {
            let one = find(&client, &args.passkey).await?;
            let question = format!(
                "This removes the passkey {} for {}: nobody gets in with it any more",
                one.name, one.host
            );
            ask::confirm(&question, context.globals.yes)?;
            let done = client.ask(client.passkey_remove(&one.id)).await?;
            context.out.answer(&done.json, || format!("the passkey {} is removed", one.name))
        }
    }
}

async fn all(client: &Client) -> Result<Listed<Passkey>> {
    lists::all::<Passkey, _>(async |cursor| client.ask(client.passkey_list(cursor, lists::LIMIT)).await).await
}

/// By its id, or by its name where that is of one only.
async fn find(client: &Client, called: &str) -> Result<Passkey> {
    let mut found = all(client).await?.items;
    found.retain(|one| one.id == called || one.name == called);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::not_found(format!("no passkey of yours is named `{called}`")).hint("see: serverkit passkey list")),
        _ => Err(Failure::usage(format!("several passkeys are named `{called}`")).hint("give the id; see: serverkit passkey list")),
    }
}

async fn list(context: &Context, client: &Client) -> Result {
    let found = all(client).await?;
    context
        .out
        .list(&found.json, "no passkeys; add one in the browser, under Account", || {
            let mut table = Table::new(["ID", "NAME", "FOR", "ADDED", "LAST USED"]);
            let now = SystemClock.now();
            for one in &found.items {
                table.row([
                    one.id.clone().into(),
                    one.name.clone().into(),
                    one.host.clone().into(),
                    when(&one.created_at, now).into(),
                    one.last_used_at.as_deref().map_or("never".to_owned(), |at| when(at, now)).into(),
                ]);
            }
            table
        })
}
