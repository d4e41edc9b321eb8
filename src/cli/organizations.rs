//! `serverkit organization …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Table, bytes},
};
use clap::{Args, Subcommand};
use client::types::{Organization, OrganizationCreate, OrganizationDeletePlan, OrganizationPatch};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the organizations that you are in; a token and the machine itself know only their own
    #[command(visible_alias = "ls")]
    List,
    /// Make an organization: its people see nothing of the others, and not the machine
    ///
    /// Its owner switches to it in the browser, invites people there, and makes tokens for it.
    Create(Create),
    /// Delete the organization that you act in, for good; for its owners
    ///
    /// Apps, volumes with their data, domains, certificates, tokens and the accounts of people who are in no other organization go; it
    /// says which before. The organization that runs the panel stays.
    #[command(visible_alias = "rm")]
    Delete(Delete),
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
pub struct Delete {
    /// Its name or id
    organization: String,
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
        Command::Delete(args) => {
            let plan = client.ask(client.organization_delete_plan(&args.organization)).await?.value;
            if !context.globals.yes {
                ask::confirm(&plan_text(&plan), false)?;
                let typed = ask::text(&format!("Type {} to confirm", plan.name))?;
                if typed.trim() != plan.name {
                    return Err(Failure::failed("that is another name; nothing was changed"));
                }
            }
            let done = client
                .ask(client.organization_delete(&args.organization, Some(plan.name.as_str())))
                .await?;
            context.out.answer(&done.json, || {
                format!("the organization {} is deleted; what it had on the server goes now", plan.name)
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

fn plan_text(plan: &OrganizationDeletePlan) -> String {
    let mut lines = vec![format!("This deletes the organization {} for good, and with it:", plan.name)];
    for (what, names) in [
        ("projects", &plan.projects),
        ("apps", &plan.apps),
        ("domains", &plan.domains),
        ("certificates", &plan.certificates),
        ("accounts of", &plan.people),
    ] {
        if !names.is_empty() {
            lines.push(format!("  {what}: {}", names.join(", ")));
        }
    }
    for volume in &plan.volumes {
        lines.push(format!("  volume {} with its data ({})", volume.name, bytes(volume.bytes)));
    }
    if plan.tokens > 0 {
        lines.push(format!("  tokens: {}", plan.tokens));
    }
    if !plan.staying.is_empty() {
        lines.push(format!(
            "These stay, since they are in other organizations too: {}",
            plan.staying.join(", ")
        ));
    }
    lines.join("\n")
}
