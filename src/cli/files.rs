//! `serverkit file …`: configuration files of apps.

use crate::{
    ask,
    commands::Context,
    deployments,
    failure::{Failure, Result},
    output::{Cell, Table, Tone, bytes, when},
};
use clap::{Args, Subcommand};
use client::types::FilePut;
use std::path::PathBuf;
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the files of an app
    #[command(visible_alias = "ls")]
    List(List),
    /// Write a file; it is there with the next deployment, and part of its release
    Set(Set),
    /// Print what is in a file
    Show(Show),
    /// Remove a file; it is gone with the next deployment
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the app
    name: String,
    /// Where, inside the container, such as /etc/app.ini
    path: String,
    /// The file on this machine; - for standard input; without it the content stays
    file: Option<PathBuf>,
    /// Permission bits, such as 640; a new file has 644
    #[arg(long, value_name = "BITS")]
    mode: Option<String>,
    /// It is secret: its content is not shown
    #[arg(long, conflicts_with = "plain")]
    secret: bool,
    /// It is not secret any more
    #[arg(long)]
    plain: bool,
    /// Deploy the app right after
    #[arg(long)]
    deploy: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Name or id of the app
    name: String,
    /// Where, inside the container
    path: String,
    /// Show a secret one too; this is recorded
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Name or id of the app
    name: String,
    /// Where, inside the container
    path: String,
    /// Deploy the app right after
    #[arg(long)]
    deploy: bool,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List(args) => {
            let files = client.ask(client.file_list(&args.name, None)).await?;
            let empty = format!("no files; write one: serverkit file set {} /etc/app.ini app.ini", args.name);
            context.out.list(&files.json, &empty, || {
                let mut table = Table::new(["PATH", "MODE", "SIZE", "SECRET", "CHANGED", "BY"]);
                let now = SystemClock.now();
                for file in &files.value.items {
                    table.row([
                        file.path.clone().into(),
                        file.mode.clone().into(),
                        bytes(file.bytes).into(),
                        if file.secret {
                            Cell::from("yes")
                        } else {
                            Cell::tone("no", Tone::Faint)
                        },
                        when(&file.updated_at, now).into(),
                        file.updated_by.clone().into(),
                    ]);
                }
                table
            })
        }
        Command::Set(args) => {
            let body = FilePut {
                content: args.file.as_deref().map(ask::text_file).transpose()?,
                path: args.path.clone(),
                mode: args.mode,
                secret: if args.plain { Some(false) } else { args.secret.then_some(true) },
            };
            let files = client.ask(client.file_put(&args.name, &body)).await?;
            if args.deploy {
                return deployments::start(context, &client, &args.name, deployments::usual(), false).await;
            }
            context.out.answer(&files.json, || {
                format!("{} is written; bring it live: serverkit deploy {}", args.path, args.name)
            })
        }
        Command::Show(args) => {
            let files = client.ask(client.file_list(&args.name, args.reveal.then_some(true))).await?.value;
            let file = files.items.into_iter().find(|file| file.path == args.path);
            let file = file.ok_or_else(|| Failure::not_found(format!("{} has no file {}", args.name, args.path)))?;
            let content = file
                .content
                .ok_or_else(|| Failure::failed(format!("{} is secret", args.path)).hint("give --reveal to see it; that is recorded"))?;
            match context.out.json {
                true => context
                    .out
                    .value(&serde_json::json!({ "path": file.path, "mode": file.mode, "content": content })),
                false => context.out.bytes(content.as_bytes()),
            }
        }
        Command::Remove(args) => {
            let done = client.ask(client.file_remove(&args.name, Some(&args.path))).await?;
            if args.deploy {
                return deployments::start(context, &client, &args.name, deployments::usual(), false).await;
            }
            context.out.answer(&done.json, || {
                format!("{} is gone with the next deployment: serverkit deploy {}", args.path, args.name)
            })
        }
    }
}
