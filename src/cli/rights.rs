//! `serverkit role …` and `serverkit team …`.

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
    types::{CustomRole, Grant, GrantCreate, Right, RoleCreate, RolePatch, Team, TeamCreate, TeamPatch},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Role {
    /// List the roles that people made; owner, admin, developer, viewer and member are built in
    #[command(visible_alias = "ls")]
    List,
    /// Make a role: a name for some rights
    Create(RoleMade),
    /// Change a role; everybody who has it has the new rights at once
    Update(RoleChanged),
    /// Remove a role that is granted to nobody
    #[command(visible_alias = "rm")]
    Delete(Named),
    /// Give a role to somebody, in the whole or in one place
    Grant(Granted),
    /// List what people and teams may do beside their role, and where
    Grants,
    /// Take a grant away
    Take(Taken),
}

#[derive(Debug, Args)]
pub struct RoleMade {
    /// What to call it
    name: String,
    /// Rights, with commas between: view, deploy, configure, secrets, terminal, delete; for the whole also view_servers, view_team, audit, manage_team, administer, operate, secure, use_host, use_local_paths
    #[arg(long, required = true, value_delimiter = ',', value_parser = right)]
    rights: Vec<Right>,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
}

#[derive(Debug, Args)]
pub struct RoleChanged {
    /// Name or id of the role
    role: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// These rights, and no others; with commas between
    #[arg(long, value_delimiter = ',', value_parser = right)]
    rights: Option<Vec<Right>>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id
    name: String,
}

#[derive(Debug, Args)]
pub struct Granted {
    /// viewer, developer, admin, or the name of a role that people made
    role: String,
    /// Who gets it: a mail address, or team:NAME
    #[arg(long)]
    to: String,
    /// Where: organization, project:NAME, environment:PROJECT/NAME or app:NAME
    #[arg(long = "in", default_value = "organization", value_name = "PLACE")]
    place: String,
}

#[derive(Debug, Args)]
pub struct Taken {
    /// Its id; see `role grants`
    id: String,
}

#[derive(Debug, Subcommand)]
pub enum TeamCommand {
    /// List teams and who is in them
    #[command(visible_alias = "ls")]
    List,
    /// Make a team
    Create(TeamMade),
    /// Change who is in a team, or its name
    Update(TeamChanged),
    /// Remove a team, with what was granted to it
    #[command(visible_alias = "rm")]
    Delete(Named),
}

#[derive(Debug, Args)]
pub struct TeamMade {
    /// What to call it
    name: String,
    /// Mail addresses of those in it
    members: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TeamChanged {
    /// Name or id of the team
    team: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// Lets somebody in: a mail address
    #[arg(long, value_name = "EMAIL")]
    add: Vec<String>,
    /// Takes somebody out: a mail address
    #[arg(long, value_name = "EMAIL")]
    remove: Vec<String>,
}

fn right(text: &str) -> Result<Right, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("`{text}` is no right; see: serverkit role create --help"))
}

pub async fn role(context: &Context, command: Role) -> Result {
    let client = context.panel()?;
    match command {
        Role::List => roles(context, &client).await,
        Role::Create(args) => {
            let body = RoleCreate {
                name: args.name,
                description: Some(args.description),
                rights: args.rights,
            };
            let answer = client.ask(client.role_create(&body)).await?;
            context
                .out
                .answer(&answer.json, || format!("the role {} is made", answer.value.name))
        }
        Role::Update(args) => {
            if args.name.is_none() && args.rights.is_none() && args.description.is_none() {
                return Err(Failure::usage("nothing to change").hint("see: serverkit role update --help"));
            }
            let body = RolePatch {
                name: args.name,
                description: args.description,
                rights: args.rights,
            };
            let answer = client.ask(client.role_update(&args.role, &body)).await?;
            context
                .out
                .answer(&answer.json, || format!("the role {} is changed", answer.value.name))
        }
        Role::Delete(args) => {
            ask::confirm(&format!("This removes the role {}", args.name), context.globals.yes)?;
            let done = client.ask(client.role_delete(&args.name)).await?;
            context.out.answer(&done.json, || format!("the role {} is removed", args.name))
        }
        Role::Grant(args) => {
            let to = if args.to.contains(':') {
                args.to
            } else {
                format!("user:{}", args.to)
            };
            let body = GrantCreate {
                role: args.role,
                to,
                place: args.place,
            };
            let answer = client.ask(client.grant_create(&body)).await?;
            context.out.answer(&answer.json, || {
                let made = &answer.value;
                format!("{} has the role {} in {}", made.to, made.role, made.place.name)
            })
        }
        Role::Grants => grants(context, &client).await,
        Role::Take(args) => {
            ask::confirm(&format!("This takes the grant {} away", args.id), context.globals.yes)?;
            let done = client.ask(client.grant_delete(&args.id)).await?;
            context.out.answer(&done.json, || format!("the grant {} is taken away", args.id))
        }
    }
}

async fn roles(context: &Context, client: &Client) -> Result {
    let found: Listed<CustomRole> = lists::all(async |cursor| client.ask(client.role_list(cursor, lists::LIMIT)).await).await?;
    context.out.list(
        &found.json,
        "only the built-in roles; make one: serverkit role create --help",
        || {
            let mut table = Table::new(["NAME", "RIGHTS", "GRANTED", "FOR"]);
            for role in &found.items {
                let rights: Vec<String> = role.rights.iter().map(ToString::to_string).collect();
                table.row([
                    role.name.clone().into(),
                    rights.join(", ").into(),
                    role.grants.to_string().into(),
                    role.description.clone().into(),
                ]);
            }
            table
        },
    )
}

async fn grants(context: &Context, client: &Client) -> Result {
    let found: Listed<Grant> = lists::all(async |cursor| client.ask(client.grant_list(cursor, lists::LIMIT)).await).await?;
    context
        .out
        .list(&found.json, "nothing is granted; people have their own role only", || {
            let mut table = Table::new(["ID", "TO", "ROLE", "IN", "SINCE"]);
            let now = SystemClock.now();
            for grant in &found.items {
                table.row([
                    grant.id.clone().into(),
                    grant.to.clone().into(),
                    grant.role.clone().into(),
                    grant.place.name.clone().into(),
                    when(&grant.created_at, now).into(),
                ]);
            }
            table
        })
}

pub async fn team(context: &Context, command: TeamCommand) -> Result {
    let client = context.panel()?;
    match command {
        TeamCommand::List => teams(context, &client).await,
        TeamCommand::Create(args) => {
            let body = TeamCreate {
                name: args.name,
                members: Some(args.members),
            };
            let answer = client.ask(client.team_create(&body)).await?;
            context
                .out
                .answer(&answer.json, || format!("the team {} is made", answer.value.name))
        }
        TeamCommand::Update(args) => {
            if args.name.is_none() && args.add.is_empty() && args.remove.is_empty() {
                return Err(Failure::usage("nothing to change").hint("see: serverkit team update --help"));
            }
            let members = match args.add.is_empty() && args.remove.is_empty() {
                true => None,
                false => Some(changed(&client, &args).await?),
            };
            let body = TeamPatch { name: args.name, members };
            let answer = client.ask(client.team_update(&args.team, &body)).await?;
            context
                .out
                .answer(&answer.json, || format!("the team {} is changed", answer.value.name))
        }
        TeamCommand::Delete(args) => {
            ask::confirm(
                &format!("This removes the team {}, with what was granted to it", args.name),
                context.globals.yes,
            )?;
            let done = client.ask(client.team_delete(&args.name)).await?;
            context.out.answer(&done.json, || format!("the team {} is removed", args.name))
        }
    }
}

async fn all_teams(client: &Client) -> Result<Listed<Team>> {
    lists::all(async |cursor| client.ask(client.team_list(cursor, lists::LIMIT)).await).await
}

async fn changed(client: &Client, args: &TeamChanged) -> Result<Vec<String>> {
    let found = all_teams(client).await?.items.into_iter();
    let mut meant = found.filter(|team| team.name == args.team || team.id == args.team);
    let team = meant
        .next()
        .ok_or_else(|| Failure::not_found(format!("no team named `{}`", args.team)).hint("see: serverkit team list"))?;
    let mut members: Vec<String> = team.members.into_iter().map(|member| member.name).collect();
    for gone in &args.remove {
        if !members.iter().any(|member| member.eq_ignore_ascii_case(gone)) {
            return Err(Failure::not_found(format!("{gone} is not in the team {}", args.team)));
        }
        members.retain(|member| !member.eq_ignore_ascii_case(gone));
    }
    members.extend(args.add.iter().cloned());
    Ok(members)
}

async fn teams(context: &Context, client: &Client) -> Result {
    let found = all_teams(client).await?;
    context.out.list(&found.json, "no teams; make one: serverkit team create NAME", || {
        let mut table = Table::new(["NAME", "MEMBERS"]);
        for team in &found.items {
            let members: Vec<String> = team.members.iter().map(|member| member.name.clone()).collect();
            table.row([team.name.clone().into(), members.join(", ").into()]);
        }
        table
    })
}
