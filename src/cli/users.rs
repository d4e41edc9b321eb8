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
    types::{Invitation, InvitationCreate, Role, ServiceAccountCreate, User, UserCreate, UserPatch},
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
    /// Add a service account: for scripts, without a password; its tokens are made with `token create --for`
    #[command(name = "create-service")]
    CreateService(CreateService),
    /// Invite somebody: prints a link that is good once, with which they choose their own password
    ///
    /// Give them the link over a safe way: nothing is sent without --mail.
    Invite(Invite),
    /// List invitations that were not accepted yet
    Invitations,
    /// Revoke an invitation: its link leads nowhere from then on
    Uninvite(Named),
    /// Change somebody: name, role, password; disable and enable them
    Update(Update),
    /// Remove somebody; their sessions and tokens end
    #[command(visible_alias = "rm")]
    Delete(Named),
    /// Give somebody a new password, which is printed once; their sessions end
    ///
    /// On the panel's machine it needs no sign-in: the way back for an owner who has forgotten theirs.
    #[command(name = "reset-password")]
    ResetPassword(ResetPassword),
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
    /// member may only what is granted; viewer sees; developer creates, deploys and deletes apps; admin manages people and settings; owner may do everything
    #[arg(long, default_value = "developer", value_parser = role)]
    role: Role,
    /// File with the first password; - for standard input; without it, you are asked
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CreateService {
    /// What it is for, such as ci
    name: String,
    /// member may only what is granted; viewer sees; developer creates, deploys and deletes apps; admin manages people and settings
    #[arg(long, default_value = "member", value_parser = role)]
    role: Role,
}

#[derive(Debug, Args)]
pub struct Invite {
    /// Mail address, which is the name to sign in with
    email: String,
    /// member may only what is granted; viewer sees; developer creates, deploys and deletes apps; admin manages people and settings; owner may do everything
    #[arg(long, default_value = "developer", value_parser = role)]
    role: Role,
    /// Days that the link is good, 1 to 30
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    days: u32,
    /// Send a link of its own to the address by mail too
    #[arg(long)]
    mail: bool,
}

#[derive(Debug, Args)]
pub struct Update {
    /// Mail address or id
    user: String,
    /// What to call them
    #[arg(long)]
    name: Option<String>,
    /// member, viewer, developer, admin or owner
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
pub struct ResetPassword {
    /// Mail address or id
    user: String,
    /// File with the password to set; - for standard input; without it, one is made up
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
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
        Command::CreateService(args) => {
            let body = ServiceAccountCreate {
                name: args.name,
                role: args.role,
            };
            let answer = client.ask(client.service_account_create(&body)).await?;
            context.out.answer(&answer.json, || {
                let made = &answer.value;
                format!(
                    "the service account {} is made; give it a token: serverkit token create NAME --for {:?}",
                    made.name, made.name
                )
            })
        }
        Command::Invite(args) => invite(context, &client, args).await,
        Command::Invitations => invitations(context, &client).await,
        Command::Uninvite(args) => uninvite(context, &client, args).await,
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
        Command::ResetPassword(args) => reset_password(context, &client, args).await,
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

async fn reset_password(context: &Context, client: &Client, args: ResetPassword) -> Result {
    let user = find(client, &args.user).await?;
    let question = format!("This gives {} another password and ends their sessions", user.email);
    ask::confirm(&question, context.globals.yes)?;
    let made_up = args.password_file.is_none().then(made_up);
    let new = match &made_up {
        Some(text) => text.clone(),
        None => password(args.password_file.as_ref())?,
    };
    let body = UserPatch {
        name: None,
        role: None,
        disabled: None,
        password: Some(new),
    };
    let mut answer = client.ask(client.user_update(&user.id, &body)).await?;
    if let (Some(text), Some(object)) = (&made_up, answer.json.as_object_mut()) {
        object.insert("password".to_owned(), text.clone().into());
    }
    context.out.answer(&answer.json, || match &made_up {
        Some(text) => format!("{text}\nThis is the new password of {}; it is not shown again", user.email),
        None => format!("{} has the new password", user.email),
    })
}

/// 125 bits, in groups that can be read out.
fn made_up() -> String {
    let letters = types::World::system().word(25);
    let groups: Vec<&str> = (0..5).map(|group| &letters[group * 5..group * 5 + 5]).collect();
    groups.join("-")
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| "use member, viewer, developer, admin or owner".to_owned())
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

async fn invite(context: &Context, client: &Client, args: Invite) -> Result {
    let body = InvitationCreate {
        email: args.email,
        role: args.role,
        expires_in_days: Some(args.days),
        mail: Some(args.mail),
    };
    let answer = client.ask(client.invitation_create(&body)).await?;
    context.out.answer(&answer.json, || {
        let made = &answer.value;
        format!(
            "{}\n{} {} over a safe way: it is good once, for {} days, and is not shown again",
            made.link,
            if args.mail {
                "Another link goes by mail. This one is for"
            } else {
                "Give this link to"
            },
            made.invitation.email,
            args.days
        )
    })
}

async fn invited(client: &Client) -> Result<Listed<Invitation>> {
    lists::all(async |cursor| client.ask(client.invitation_list(cursor, lists::LIMIT)).await).await
}

async fn invitations(context: &Context, client: &Client) -> Result {
    let found = invited(client).await?;
    context
        .out
        .list(&found.json, "nobody is invited; see: serverkit user invite --help", || {
            let mut table = Table::new(["EMAIL", "ROLE", "BY", "INVITED", "ENDS"]);
            let now = SystemClock.now();
            for one in &found.items {
                table.row([
                    one.email.clone().into(),
                    one.role.to_string().into(),
                    one.by.clone().into(),
                    when(&one.created_at, now).into(),
                    when(&one.expires_at, now).into(),
                ]);
            }
            table
        })
}

async fn uninvite(context: &Context, client: &Client, args: Named) -> Result {
    let found = invited(client)
        .await?
        .items
        .into_iter()
        .find(|one| one.email.eq_ignore_ascii_case(&args.user) || one.id == args.user);
    let found =
        found.ok_or_else(|| Failure::not_found(format!("`{}` is not invited", args.user)).hint("see: serverkit user invitations"))?;
    let done = client.ask(client.invitation_revoke(&found.id)).await?;
    context
        .out
        .answer(&done.json, || format!("the link of {} leads nowhere now", found.email))
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
