//! `serverkit organization …`.

use crate::{commands::Context, failure::Result, lists, output::Table};
use clap::{Args, Subcommand};
use client::types::{Organization, OrganizationCreate, OrganizationPatch};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the organizations that you are in; a token and the machine itself know only their own
    #[command(visible_alias = "ls")]
    List,
    /// Make an organization: its people see nothing of the others, and not the machine
    ///
    /// Its owner switches to it in the browser, invites people there, and makes tokens for it.
    Create(Create),
    /// Give the organization that you act in another name; for its owners
    Rename(Rename),
}

#[derive(Debug, Args)]
pub struct Create {
    /// Its name: a-z, 0-9 and -
    name: String,
    /// Mail address of its first owner; without it you, or on the machine the first owner of the panel
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
}

#[derive(Debug, Args)]
pub struct Rename {
    /// Its name or id
    organization: String,
    /// The new name: a-z, 0-9 and -
    name: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List => {
            let found =
                lists::all::<Organization, _>(async |cursor| client.ask(client.organization_list(cursor, lists::LIMIT)).await).await?;
            context.out.list(&found.json, "no organizations", || {
                let mut table = Table::new(["NAME", "YOUR ROLE", "ID", ""]);
                for one in &found.items {
                    table.row([
                        one.name.clone().into(),
                        one.role.to_string().into(),
                        one.id.clone().into(),
                        if one.current { "current" } else { "" }.into(),
                    ]);
                }
                table
            })
        }
        Command::Rename(args) => {
            let body = OrganizationPatch { name: args.name };
            let answer = client.ask(client.organization_rename(&args.organization, &body)).await?;
            context
                .out
                .answer(&answer.json, || format!("the organization is named {}", answer.value.name))
        }
        Command::Create(args) => {
            let body = OrganizationCreate {
                name: args.name,
                owner: args.owner,
            };
            let answer = client.ask(client.organization_create(&body)).await?;
            context
                .out
                .answer(&answer.json, || format!("the organization {} is made", answer.value.name))
        }
    }
}
