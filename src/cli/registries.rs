//! `serverkit registry …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::Table,
};
use clap::{Args, Subcommand};
use client::types::{Registry, RegistryCreate};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep a login at a registry; it takes the place of the one for the same server
    ///
    /// Private images are pulled with it, and builds use it for their base images. The registry is asked first whether it
    /// takes it.
    Add(Add),
    /// List logins
    #[command(visible_alias = "ls")]
    List,
    /// Ask the registry whether it still takes the login
    Test(Named),
    /// Forget a login
    #[command(visible_alias = "rm")]
    Remove(Named),
}

#[derive(Debug, Args)]
pub struct Add {
    /// The registry's host: ghcr.io, registry.example.com:5000, docker.io
    server: String,
    /// The user
    #[arg(long)]
    user: String,
    /// File with the password or token; - for standard input; without it, you are asked
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Keep it without asking the registry
    #[arg(long)]
    unchecked: bool,
}

#[derive(Debug, Args)]
pub struct Named {
    /// The registry's host, or the login's id
    server: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        Command::Add(args) => {
            let password = match &args.password_file {
                Some(path) => ask::secret_file(path)?,
                None => ask::secret("Password or token")?,
            };
            let body = RegistryCreate {
                server: args.server,
                user: args.user,
                password: password
                    .expose_str()
                    .ok_or_else(|| Failure::usage("the password is not text in UTF-8"))?
                    .to_owned(),
                unchecked: Some(args.unchecked),
            };
            let answer = client.ask(client.registry_create(&body)).await?;
            out.answer(&answer.json, || {
                format!("images of {} are pulled as {}", answer.value.server, answer.value.user)
            })
        }
        Command::List => {
            let registries = lists::all::<Registry, _>(async |cursor| client.ask(client.registry_list(cursor, lists::LIMIT)).await).await?;
            let empty = "no logins yet; public images need none. Keep one: serverkit registry add SERVER --user USER";
            out.list(&registries.json, empty, || {
                let mut table = Table::new(["SERVER", "USER"]);
                for registry in &registries.items {
                    table.row([registry.server.clone().into(), registry.user.clone().into()]);
                }
                table
            })
        }
        Command::Test(args) => {
            let done = client.ask(client.registry_test(&args.server)).await?;
            out.answer(&done.json, || format!("{} takes the login", args.server))
        }
        Command::Remove(args) => {
            let done = client.ask(client.registry_delete(&args.server)).await?;
            out.answer(&done.json, || format!("the login at {} is forgotten", args.server))
        }
    }
}
