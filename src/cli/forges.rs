//! `serverkit forge …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone},
};
use clap::{Args, Subcommand};
use client::types::{ForgeAccess, ForgeConnection, ForgeCreate, ForgeKind};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect a forge: GitHub, GitLab, Bitbucket, Gitea or Forgejo
    ///
    /// By an access token (--token-file), by an OAuth application (--client-id), or at GitHub by an App that is there already
    /// (--app-id). In the panel, an App is made by one click.
    Add(Box<Add>),
    /// List connections
    #[command(visible_alias = "ls")]
    List,
    /// Change a connection
    Set(Set),
    /// Ask the forge as whom it knows the panel
    Test(Named),
    /// Print where to allow a connection by OAuth, in a browser that is signed in to the panel
    Authorize(Named),
    /// List repositories there
    Repositories(Repositories),
    /// List branches of a repository there
    Branches(Branches),
    /// Show what a forge was told of a deployment
    Report(Report),
    /// Forget a connection
    #[command(visible_alias = "rm")]
    Remove(Named),
}

#[derive(Debug, Args)]
pub struct Add {
    /// A name for it
    name: String,
    /// What it is: github, gitlab, bitbucket, bitbucket_data_center or gitea (also Forgejo)
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// Where it is; without it the public one
    #[arg(long = "at", value_name = "URL")]
    at: Option<String>,
    /// Only repositories of this organization, group, workspace or project; bitbucket needs it
    #[arg(long)]
    owner: Option<String>,
    /// The account's mail address, for API tokens of Bitbucket; at Data Center its name
    #[arg(long)]
    user: Option<String>,
    /// File with an access token; - for standard input; without another way in, you are asked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_id", "app_id"])]
    token_file: Option<PathBuf>,
    /// An OAuth application's id
    #[arg(long, value_name = "ID", conflicts_with = "app_id")]
    client_id: Option<String>,
    /// File with the application's secret
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// A GitHub App's id
    #[arg(long, value_name = "ID")]
    app_id: Option<u64>,
    /// File with the App's private key
    #[arg(long, value_name = "FILE", requires = "app_id")]
    private_key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the connection
    forge: String,
    /// A new name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// Only repositories of this organization, group, workspace or project; '' for all
    #[arg(long)]
    owner: Option<String>,
    /// The account's mail address, for API tokens of Bitbucket, or its name; '' for none
    #[arg(long)]
    user: Option<String>,
    /// File with a new token, client secret or private key; - for standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the connection
    forge: String,
}

#[derive(Debug, Args)]
pub struct Repositories {
    /// Name or id of the connection
    forge: String,
    /// What their names have in them
    #[arg(default_value = "")]
    search: String,
}

#[derive(Debug, Args)]
pub struct Branches {
    /// Name or id of the connection
    forge: String,
    /// The repository: OWNER/NAME
    repository: String,
    /// What their names have in them
    #[arg(default_value = "")]
    search: String,
}

#[derive(Debug, Args)]
pub struct Report {
    /// Id of the deployment
    deployment: String,
    /// Tell it again now
    #[arg(long)]
    again: bool,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Add(args) => add(context, *args).await,
        Command::List => list(context).await,
        Command::Set(args) => set(context, args).await,
        Command::Test(args) => {
            let client = context.panel()?;
            let answer = client.ask(client.forge_test(&args.forge)).await?;
            let one = &answer.value;
            context.out.answer(&answer.json, || {
                format!("{} knows the panel as {}", one.url, one.account.as_deref().unwrap_or("itself"))
            })
        }
        Command::Authorize(args) => {
            let client = context.panel()?;
            let answer = client.ask(client.forge_authorize(&args.forge)).await?;
            context.out.answer(&answer.json, || answer.value.url.clone())
        }
        Command::Repositories(args) => repositories(context, args).await,
        Command::Branches(args) => branches(context, args).await,
        Command::Report(args) => report(context, args).await,
        Command::Remove(args) => {
            ask::confirm(
                &format!("the panel forgets {}; at the forge nothing changes", args.forge),
                context.globals.yes,
            )?;
            let client = context.panel()?;
            let done = client.ask(client.forge_delete(&args.forge)).await?;
            context.out.answer(&done.json, || format!("{} is forgotten", args.forge))
        }
    }
}

async fn add(context: &Context, args: Add) -> Result {
    let kind: ForgeKind = args
        .kind
        .to_lowercase()
        .replace("forgejo", "gitea")
        .parse()
        .map_err(|_| Failure::usage("--kind must be github, gitlab, bitbucket, bitbucket_data_center or gitea"))?;
    let token = match (&args.token_file, &args.client_id, args.app_id) {
        (Some(path), ..) => Some(secret(path)?),
        (None, None, None) => ask::secret("Access token")?.expose_str().map(str::to_owned),
        _ => None,
    };
    let body = ForgeCreate {
        name: args.name,
        kind,
        url: args.at,
        owner: args.owner,
        user: args.user,
        token,
        client_id: args.client_id,
        client_secret: args.client_secret_file.as_deref().map(secret).transpose()?,
        app_id: args.app_id,
        private_key: args.private_key_file.as_deref().map(secret).transpose()?,
    };
    let client = context.panel()?;
    let answer = client.ask(client.forge_create(&body)).await?;
    let one = &answer.value;
    context.out.answer(&answer.json, || match one.access {
        ForgeAccess::Oauth => format!(
            "{} is kept; allow it in the panel, or in a browser there: serverkit forge authorize {}",
            one.name, one.name
        ),
        _ => format!("{} is connected as {}", one.name, one.account.as_deref().unwrap_or("itself")),
    })
}

async fn set(context: &Context, args: Set) -> Result {
    let mut body = Map::new();
    if let Some(name) = args.rename {
        body.insert("name".into(), name.into());
    }
    for (field, text) in [("owner", args.owner), ("user", args.user)] {
        if let Some(text) = text {
            body.insert(field.into(), if text.is_empty() { Value::Null } else { text.into() });
        }
    }
    if let Some(path) = &args.secret_file {
        body.insert("secret".into(), secret(path)?.into());
    }
    let client = context.panel()?;
    let answer = client.ask(client.forge_update(&args.forge, &Value::Object(body))).await?;
    context.out.answer(&answer.json, || format!("{} is changed", answer.value.name))
}

async fn list(context: &Context) -> Result {
    let client = context.panel()?;
    let forges = lists::all::<ForgeConnection, _>(async |cursor| client.ask(client.forge_list(cursor, lists::LIMIT)).await).await?;
    let empty = "no forge is connected; public repositories need none. Connect one: serverkit forge add NAME --kind github";
    context.out.list(&forges.json, empty, || {
        let mut table = Table::new(["NAME", "AT", "BY", "AS", "STATE"]);
        for one in &forges.items {
            let state = match (&one.problem, one.allowed) {
                (Some(problem), _) => Cell::tone(problem, Tone::Bad),
                (None, false) => Cell::tone("not allowed yet", Tone::Bad),
                (None, true) => Cell::tone("connected", Tone::Good),
            };
            table.row([
                one.name.clone().into(),
                one.url.clone().into(),
                one.access.to_string().into(),
                one.account.clone().unwrap_or_default().into(),
                state,
            ]);
        }
        table
    })
}

async fn repositories(context: &Context, args: Repositories) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.forge_repositories(&args.forge, some(&args.search))).await?;
    context.out.list(&answer.json, "no repository fits", || {
        let mut table = Table::new(["REPOSITORY", "BRANCH", "VISIBILITY"]);
        for one in &answer.value.items {
            table.row([
                one.path.clone().into(),
                one.default_branch.clone().unwrap_or_default().into(),
                (if one.private { "private" } else { "public" }).into(),
            ]);
        }
        table
    })
}

async fn branches(context: &Context, args: Branches) -> Result {
    let client = context.panel()?;
    let ask = client.forge_branches(&args.forge, Some(args.repository.as_str()), some(&args.search));
    let answer = client.ask(ask).await?;
    context.out.list(&answer.json, "no branch fits", || {
        let mut table = Table::new(["BRANCH", "COMMIT"]);
        for one in &answer.value.items {
            table.row([one.name.clone().into(), one.commit.chars().take(10).collect::<String>().into()]);
        }
        table
    })
}

async fn report(context: &Context, args: Report) -> Result {
    let client = context.panel()?;
    let answer = if args.again {
        client.ask(client.deployment_forge_report_again(&args.deployment)).await?
    } else {
        client.ask(client.deployment_forge_report(&args.deployment)).await?
    };
    context.out.answer(&answer.json, || match &answer.value.report {
        None => "no forge is told of it: the app is from no connected forge, or there is no commit yet".to_owned(),
        Some(report) => {
            let commit: String = match report.commit.is_empty() {
                true => "the branch's newest commit".to_owned(),
                false => report.commit.chars().take(10).collect(),
            };
            let told = match report.told {
                Some(told) => format!("{} knows {commit} as {told}", report.repository),
                None => format!("{} was not told of {commit} yet", report.repository),
            };
            match &report.problem {
                Some(problem) => format!("{told}; the last time it could not be told: {problem}"),
                None => told,
            }
        }
    })
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn secret(path: &Path) -> Result<String> {
    let secret = ask::secret_file(path)?;
    let text = secret.expose_str().map(str::to_owned);
    text.ok_or_else(|| Failure::usage(format!("{} is not text", path.display())))
}

/// The connection that is meant: the one that is named, else the only one.
pub async fn only(context: &Context, named: Option<&str>) -> Result<String> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let client = context.panel()?;
    let forges = lists::all::<ForgeConnection, _>(async |cursor| client.ask(client.forge_list(cursor, lists::LIMIT)).await).await?;
    match forges.items.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(Failure::usage("no forge is connected").hint("connect one: serverkit forge add NAME --kind github")),
        _ => Err(Failure::usage("there are several connections: say which by --forge")),
    }
}
