//! `serverkit user …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists::{self, Listed},
    output::{Cell, Table, Tone, when},
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{Role, User, UserCreate, UserPatch},
};
use std::path::PathBuf;
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List people
    #[command(visible_alias = "ls")]
    List,
    /// Add somebody
    Create(Create),
    /// Change somebody: name, role, password; disable and enable them
    Update(Update),
    /// Remove somebody; their sessions and tokens end
    #[command(visible_alias = "rm")]
    Delete(Named),
    /// Take somebody's second factor away, when phone and recovery codes are gone; their sessions end
    #[command(name = "reset-2fa")]
    ResetSecondFactor(Named),
}

#[derive(Debug, Args)]
pub struct Create {
    /// Mail address, which is the name to sign in with
    email: String,
    /// What to call them; without it the part of the address before the @
    #[arg(long)]
    name: Option<String>,
    /// viewer sees; developer creates, deploys and deletes apps; admin manages people and settings; owner may do everything
    #[arg(long, default_value = "developer", value_parser = role)]
    role: Role,
    /// File with the first password; - for standard input; without it, you are asked
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// Mail address or id
    user: String,
    /// What to call them
    #[arg(long)]
    name: Option<String>,
    /// viewer, developer, admin or owner
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// File with a new password, which ends their sessions; - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Let them not sign in any more
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Let them sign in again
    #[arg(long)]
    enable: bool,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Mail address or id
    user: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List => list(context, &client).await,
        Command::Create(args) => create(context, &client, args).await,
        Command::Update(args) => update(context, &client, args).await,
        Command::Delete(args) => {
            let user = find(&client, &args.user).await?;
            ask::confirm(
                &format!("This removes {} and ends their sessions and tokens", user.email),
                context.globals.yes,
            )?;
            let done = client.ask(client.user_delete(&user.id)).await?;
            context.out.answer(&done.json, || format!("{} is removed", user.email))
        }
        Command::ResetSecondFactor(args) => {
            let user = find(&client, &args.user).await?;
            ask::confirm(
                &format!(
                    "From now on the password of {} is enough to sign in, and their sessions end",
                    user.email
                ),
                context.globals.yes,
            )?;
            let done = client.ask(client.user_reset_second_factor(&user.id)).await?;
            context.out.answer(&done.json, || {
                format!("{} has no second factor any more and can set up a new one", user.email)
            })
        }
    }
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| "use viewer, developer, admin or owner".to_owned())
}

/// A password as text: from a file, or asked for at the terminal.
pub fn password(file: Option<&PathBuf>) -> Result<String> {
    let secret = match file {
        Some(path) => ask::secret_file(path)?,
        None if ask::is_possible() => ask::new_password()?,
        None => return Err(Failure::usage("a password is needed").hint("give it with --password-file FILE, or - for standard input")),
    };
    let text = secret.expose_str().map(str::to_owned);
    text.ok_or_else(|| Failure::usage("the password is not text in UTF-8"))
}

/// The name to begin with: the mail address before the @.
pub fn name_from(email: &str) -> String {
    email.split('@').next().unwrap_or(email).to_owned()
}

async fn create(context: &Context, client: &Client, args: Create) -> Result {
    let body = UserCreate {
        name: args.name.unwrap_or_else(|| name_from(&args.email)),
        email: args.email,
        role: args.role,
        password: password(args.password_file.as_ref())?,
    };
    let answer = client.ask(client.user_create(&body)).await?;
    context.out.answer(&answer.json, || {
        format!("{} is added with the role {}", answer.value.email, answer.value.role)
    })
}

async fn update(context: &Context, client: &Client, args: Update) -> Result {
    let body = UserPatch {
        name: args.name,
        role: args.role,
        disabled: if args.enable { Some(false) } else { args.disable.then_some(true) },
        password: match &args.password_file {
            Some(path) => Some(password(Some(path))?),
            None => None,
        },
    };
    if body.name.is_none() && body.role.is_none() && body.disabled.is_none() && body.password.is_none() {
        return Err(Failure::usage("nothing to change was given").hint("see `serverkit user update --help`"));
    }
    let user = find(client, &args.user).await?;
    let answer = client.ask(client.user_update(&user.id, &body)).await?;
    context.out.answer(&answer.json, || format!("{} is changed", answer.value.email))
}

async fn all(client: &Client) -> Result<Listed<User>> {
    lists::all(async |cursor| client.ask(client.user_list(cursor, lists::LIMIT)).await).await
}

/// The API knows people by id; they know each other by mail address.
async fn find(client: &Client, called: &str) -> Result<User> {
    let found = all(client)
        .await?
        .items
        .into_iter()
        .find(|user| user.email.eq_ignore_ascii_case(called) || user.id == called);
    found.ok_or_else(|| Failure::not_found(format!("no user named `{called}`")).hint("see: serverkit user list"))
}

async fn list(context: &Context, client: &Client) -> Result {
    let users = all(client).await?;
    context
        .out
        .list(&users.json, "nobody yet; make the first administrator: serverkit setup", || {
            let mut table = Table::new(["EMAIL", "NAME", "ROLE", "2FA", "LAST SEEN", "CREATED"]);
            let now = SystemClock.now();
            for user in &users.items {
                let seen = if user.disabled {
                    Cell::tone("disabled", Tone::Bad)
                } else {
                    user.last_seen_at.as_deref().map_or("never".to_owned(), |at| when(at, now)).into()
                };
                table.row([
                    user.email.clone().into(),
                    user.name.clone().into(),
                    user.role.to_string().into(),
                    if user.second_factor {
                        Cell::from("yes")
                    } else {
                        Cell::tone("no", Tone::Faint)
                    },
                    seen,
                    when(&user.created_at, now).into(),
                ]);
            }
            table
        })
}
