//! `serverkit session …` and `serverkit device …`: where one is signed in, and which browsers are known.

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
    types::{Device as Browser, SessionInfo},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Session {
    /// List your sessions: the browsers that are signed in now
    #[command(visible_alias = "ls")]
    List,
    /// End a session: its browser is signed out at once
    End(Ended),
    /// End all your sessions but the one that asks; a token ends all
    EndOthers,
}

#[derive(Debug, Args)]
pub struct Ended {
    /// Id of the session
    session: String,
}

#[derive(Debug, Subcommand)]
pub enum Device {
    /// List the browsers that you signed in with
    #[command(visible_alias = "ls")]
    List,
    /// Forget a browser: it needs a code again, and its next sign-in is told as a new one
    Forget(Forgotten),
}

#[derive(Debug, Args)]
pub struct Forgotten {
    /// Id of the browser
    device: String,
}

pub async fn run(context: &Context, command: Session) -> Result {
    let client = context.panel()?;
    match command {
        Session::List => list(context, &client).await,
        Session::End(args) => {
            let all = sessions(&client).await?.items;
            let one = all.iter().find(|one| one.id == args.session);
            let one = one.ok_or_else(|| {
                Failure::not_found(format!("no session of yours has the id `{}`", args.session)).hint("see: serverkit session list")
            })?;
            let question = format!("This signs out {} at {}", one.agent, one.address);
            ask::confirm(&question, context.globals.yes)?;
            let done = client.ask(client.session_revoke(&one.id)).await?;
            context.out.answer(&done.json, || format!("the session {} is ended", one.id))
        }
        Session::EndOthers => {
            ask::confirm("This signs out all your browsers but the one that asks", context.globals.yes)?;
            let done = client.ask(client.session_end_others()).await?;
            context.out.answer(&done.json, || "all other sessions are ended".to_owned())
        }
    }
}

pub async fn device(context: &Context, command: Device) -> Result {
    let client = context.panel()?;
    match command {
        Device::List => list_devices(context, &client).await,
        Device::Forget(args) => {
            let all = devices(&client).await?.items;
            let one = all.iter().find(|one| one.id == args.device);
            let one = one.ok_or_else(|| {
                Failure::not_found(format!("no browser of yours has the id `{}`", args.device)).hint("see: serverkit device list")
            })?;
            ask::confirm(&format!("This forgets {} at {}", one.agent, one.address), context.globals.yes)?;
            let done = client.ask(client.device_forget(&one.id)).await?;
            context.out.answer(&done.json, || format!("the browser {} is forgotten", one.id))
        }
    }
}

async fn sessions(client: &Client) -> Result<Listed<SessionInfo>> {
    lists::all::<SessionInfo, _>(async |cursor| client.ask(client.session_list(cursor, lists::LIMIT)).await).await
}

async fn devices(client: &Client) -> Result<Listed<Browser>> {
    lists::all::<Browser, _>(async |cursor| client.ask(client.device_list(cursor, lists::LIMIT)).await).await
}

async fn list(context: &Context, client: &Client) -> Result {
    let found = sessions(client).await?;
    context.out.list(&found.json, "no browser is signed in", || {
        let mut table = Table::new(["ID", "BROWSER", "FROM", "SINCE", "LAST USED", "ENDS"]);
        let now = SystemClock.now();
        for one in &found.items {
            table.row([
                one.id.clone().into(),
                one.agent.clone().into(),
                from(&one.address, one.country.as_deref()).into(),
                when(&one.created_at, now).into(),
                when(&one.last_used_at, now).into(),
                when(&one.expires_at, now).into(),
            ]);
        }
        table
    })
}

/// `192.0.2.1 (DE)`, where a database says so.
fn from(address: &str, country: Option<&str>) -> String {
    match country {
        Some(country) => format!("{address} ({country})"),
        None => address.to_owned(),
    }
}

async fn list_devices(context: &Context, client: &Client) -> Result {
    let found = devices(client).await?;
    context.out.list(&found.json, "you never signed in with a browser", || {
        let mut table = Table::new(["ID", "BROWSER", "FROM", "SINCE", "LAST USED", "WITHOUT A CODE"]);
        let now = SystemClock.now();
        for one in &found.items {
            let trusted = one.trusted_until.as_deref().map_or("never".to_owned(), |until| when(until, now));
            table.row([
                one.id.clone().into(),
                one.agent.clone().into(),
                one.address.clone().into(),
                when(&one.created_at, now).into(),
                when(&one.last_used_at, now).into(),
                trusted.into(),
            ]);
        }
        table
    })
}
