//! `serverkit passkey list`. Passkeys are made and removed in a browser, by whoever has them.

use crate::{
    commands::Context,
    failure::Result,
    lists,
    output::{Table, when},
};
use clap::Subcommand;
use client::types::Passkey;
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List your passkeys; they are made, named and removed in the browser, under Account
    #[command(visible_alias = "ls")]
    List,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let Command::List = command;
    let client = context.panel()?;
    let found = lists::all::<Passkey, _>(async |cursor| client.ask(client.passkey_list(cursor, lists::LIMIT)).await).await?;
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
