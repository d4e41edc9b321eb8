//! `serverkit project …`: projects and their environments.

use crate::{
    ask, clones,
    commands::Context,
    failure::{Failure, Result},
    lists::{self, Listed},
    output::{Table, when},
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{EnvironmentCreate, Project, ProjectCreate, ProjectPatch},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a project, with the environment production
    Create(Create),
    /// List projects
    #[command(visible_alias = "ls")]
    List,
    /// Change the name of a project, or what it is for
    Set(Set),
    /// Delete a project that has no apps
    #[command(visible_alias = "rm")]
    Delete(Named),
    /// Add an environment to a project, such as staging
    AddEnvironment(Environment),
    /// Delete an environment that has no apps
    DeleteEnvironment(Environment),
    /// Make an environment from another one: staging from production
    ///
    /// Its apps are made anew with their source, variables, files, limits, health checks, jobs and the policies of their domains; domains
    /// get new names, and volumes are empty unless --with-data copies what is in them. It is made as a whole or not at all, then deployed.
    /// Files of a running database are not of one moment: stop it, or let --stop stop it for the copy and start it again.
    CloneEnvironment(Box<clones::Create>),
    /// List what is and was made from other environments, and how it fares
    Clones(clones::List),
    /// Take back an environment that is being made; nothing of it is left
    CancelClone(clones::Cancel),
}

#[derive(Debug, Args)]
pub struct Create {
    /// Its name: 1 to 63 of a-z, 0-9 and -
    name: String,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the project
    name: String,
    /// A new name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// What it is for; '' for nothing
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the project
    name: String,
}

#[derive(Debug, Args)]
pub struct Environment {
    /// Name or id of the project
    project: String,
    /// Name of the environment
    name: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::Create(args) => {
            let body = ProjectCreate {
                name: args.name,
                description: args.description,
            };
            let answer = client.ask(client.project_create(&body)).await?;
            context
                .out
                .answer(&answer.json, || format!("project {} is made", answer.value.name))
        }
        Command::List => list(context, &client).await,
        Command::Set(args) => {
            let project = find(&client, &args.name).await?;
            let body = ProjectPatch {
                name: args.rename,
                description: args.description,
            };
            let answer = client.ask(client.project_update(&project.id, &body)).await?;
            context
                .out
                .answer(&answer.json, || format!("project {} is changed", answer.value.name))
        }
        Command::Delete(args) => {
            let project = find(&client, &args.name).await?;
            ask::confirm(
                &format!("This deletes the project {} and its environments", project.name),
                context.globals.yes,
            )?;
            let done = client.ask(client.project_delete(&project.id)).await?;
            context.out.answer(&done.json, || format!("project {} is deleted", project.name))
        }
        Command::AddEnvironment(args) => {
            let project = find(&client, &args.project).await?;
            let answer = client
                .ask(client.environment_create(&project.id, &EnvironmentCreate { name: args.name }))
                .await?;
            context.out.answer(&answer.json, || {
                format!("environment {} of {} is made", answer.value.name, project.name)
            })
        }
        Command::CloneEnvironment(args) => clones::create(context, *args).await,
        Command::Clones(args) => clones::list(context, args).await,
        Command::CancelClone(args) => clones::cancel(context, args).await,
        Command::DeleteEnvironment(args) => {
            let project = find(&client, &args.project).await?;
            let environment = environment(&project, &args.name)?;
            ask::confirm(
                &format!("This deletes the environment {} of {}", environment.name, project.name),
                context.globals.yes,
            )?;
            let done = client.ask(client.environment_delete(&environment.id)).await?;
            context.out.answer(&done.json, || {
                format!("environment {} of {} is deleted", environment.name, project.name)
            })
        }
    }
}

async fn all(client: &Client) -> Result<Listed<Project>> {
    lists::all(async |cursor| client.ask(client.project_list(cursor, lists::LIMIT)).await).await
}

/// By name or id.
pub fn environment<'a>(project: &'a Project, called: &str) -> Result<&'a client::types::Environment> {
    let mut all = project.environments.iter();
    let found = all.find(|each| each.name == called || each.id == called);
    found.ok_or_else(|| Failure::not_found(format!("{} has no environment named `{called}`", project.name)))
}

/// The API knows projects by id; people know them by name.
pub async fn find(client: &Client, called: &str) -> Result<Project> {
    let found = all(client)
        .await?
        .items
        .into_iter()
        .find(|project| project.name == called || project.id == called);
    found.ok_or_else(|| Failure::not_found(format!("no project named `{called}`")).hint("see: serverkit project list"))
}

async fn list(context: &Context, client: &Client) -> Result {
    let projects = all(client).await?;
    context
        .out
        .list(&projects.json, "no projects yet; make one: serverkit project create NAME", || {
            let mut table = Table::new(["NAME", "ENVIRONMENTS", "APPS", "CREATED", "DESCRIPTION"]);
            let now = SystemClock.now();
            for project in &projects.items {
                let environments: Vec<&str> = project.environments.iter().map(|each| each.name.as_str()).collect();
                table.row([
                    project.name.clone().into(),
                    environments.join(", ").into(),
                    project.apps.to_string().into(),
                    when(&project.created_at, now).into(),
                    project.description.clone().into(),
                ]);
            }
            table
        })
}
