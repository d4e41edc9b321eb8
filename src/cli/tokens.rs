//! `serverkit token …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Table, when},
};
use clap::{Args, Subcommand};
use client::types::{Token, TokenRotate, User};
use serde_json::{Value, json};
use types::{BoundScope, Clock, Scopes, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token; its secret is shown once
    Create(Create),
    /// List tokens; administrators see everybody's
    #[command(visible_alias = "ls")]
    List,
    /// Give a token another secret, which is shown once; the old one is good a little longer
    Rotate(Rotate),
    /// Revoke a token; it is of no use from then on
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub struct Create {
    /// What it is for, such as ci
    name: String,
    /// How far it reaches: read sees; deploy deploys, starts and stops too; write creates, changes and deletes too; admin is all that you may do. With a kind of things before it, as in apps:deploy or jobs:read, exactly that and for those alone; may be given again
    #[arg(long, default_value = "deploy", value_parser = scope)]
    scope: Vec<BoundScope>,
    /// Exactly these in place of --scope, and read; with commas between: deploy, write, secrets, terminal, admin, or of a kind as with --scope
    #[arg(long, value_delimiter = ',', value_parser = scope, conflicts_with = "scope")]
    scopes: Option<Vec<BoundScope>>,
    /// Only in this place: project:NAME, environment:PROJECT/NAME or app:NAME; may be given again
    #[arg(long = "in", value_name = "PLACE")]
    places: Vec<String>,
    /// Only from this address or network; may be given again
    #[arg(long = "from", value_name = "NETWORK")]
    networks: Vec<String>,
    /// For a service account, by name or id, in place of yourself
    #[arg(long = "for", value_name = "ACCOUNT")]
    account: Option<String>,
    /// Days until it ends; without it 90
    #[arg(long, conflicts_with = "never", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// It does not end by itself
    #[arg(long)]
    never: bool,
}

#[derive(Debug, Args)]
pub struct Rotate {
    /// Id or name of the token
    token: String,
    /// Minutes that the old secret is good too
    #[arg(long, default_value_t = 60, value_name = "MINUTES")]
    grace: u32,
}

#[derive(Debug, Args)]
pub struct Revoke {
    /// Id or name of the token
    token: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::Create(args) => {
            let days = if args.never { Some(None) } else { args.days.map(Some) };
            let mut body = body(&args.name, meant(&args.scope, args.scopes.as_deref()), days);
            if !args.places.is_empty() {
                body["places"] = json!(args.places);
            }
            if !args.networks.is_empty() {
                body["networks"] = json!(args.networks);
            }
            if let Some(account) = &args.account {
                body["user"] = json!(service_account(&client, account).await?);
            }
            let answer = client.ask(client.token_create(&body)).await?;
            context.out.note(format!(
                "token {} is made; keep it well, it is not shown again",
                answer.value.token.name
            ));
            context.out.answer(&answer.json, || answer.value.secret.clone())
        }
        Command::List => {
            let tokens = lists::all::<Token, _>(async |cursor| client.ask(client.token_list(cursor, lists::LIMIT)).await).await?;
            context
                .out
                .list(&tokens.json, "no tokens; make one: serverkit token create NAME", || {
                    table(&tokens.items)
                })
        }
        Command::Rotate(args) => {
            let token = find(&client, &args.token).await?;
            let body = TokenRotate {
                grace_minutes: Some(args.grace),
            };
            let answer = client.ask(client.token_rotate(&token.id, &body)).await?;
            context.out.note(format!(
                "token {} has a new secret, which is not shown again; the old one ends in {} minutes",
                token.name, args.grace
            ));
            context.out.answer(&answer.json, || answer.value.secret.clone())
        }
        Command::Revoke(args) => revoke(context, &client, &args.token).await,
    }
}

/// `scope`: as [`meant`] says it. `days`: `None` for the usual time, `Some(None)` for no end.
pub fn body(name: &str, (field, scope): (&str, Value), days: Option<Option<u32>>) -> Value {
    let mut body = json!({ "name": name, field: scope });
    if let Some(days) = days {
        body["expires_in_days"] = json!(days);
    }
    body
}

fn scope(text: &str) -> Result<BoundScope, String> {
    text.trim().parse()
}

/// The field of a wish, and what is in it. A verb alone is the short way, which includes others; beside one of a kind it means the same.
fn meant(scopes: &[BoundScope], exactly: Option<&[BoundScope]>) -> (&'static str, Value) {
    match (exactly, scopes) {
        (Some(exactly), _) => ("scopes", json!(exactly)),
        (None, [BoundScope { of: None, scope }]) => ("scope", json!(scope)),
        (None, several) => {
            let all = several.iter().flat_map(|one| match one.of {
                None => Scopes::up_to(one.scope).iter().collect(),
                Some(_) => vec![*one],
            });
            ("scopes", json!(Scopes::of(all)))
        }
    }
}

/// The id of a service account.
async fn service_account(client: &client::Client, called: &str) -> Result<String> {
    let users = lists::all::<User, _>(async |cursor| client.ask(client.user_list(cursor, lists::LIMIT)).await).await?;
    let mut found = users
        .items
        .into_iter()
        .filter(|user| user.service && (user.name == called || user.id == called));
    match (found.next(), found.next()) {
        (Some(user), None) => Ok(user.id),
        (None, _) => Err(Failure::not_found(format!("no service account named `{called}`")).hint("see: serverkit user list")),
        (Some(_), Some(_)) => Err(Failure::usage(format!("several service accounts are named `{called}`")).hint("give the id")),
    }
}

async fn find(client: &client::Client, called: &str) -> Result<Token> {
    let mut found = lists::all::<Token, _>(async |cursor| client.ask(client.token_list(cursor, lists::LIMIT)).await)
        .await?
        .items;
    found.retain(|token| token.id == called || token.name == called);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::not_found(format!("no token named `{called}`")).hint("see: serverkit token list")),
        _ => Err(Failure::usage(format!("several tokens are named `{called}`")).hint("give the id; see: serverkit token list")),
    }
}

async fn revoke(context: &Context, client: &client::Client, called: &str) -> Result {
    let token = find(client, called).await?;
    ask::confirm(
        &format!("This revokes the token {} ({}…) of {}", token.name, token.hint, token.user.name),
        context.globals.yes,
    )?;
    let done = client.ask(client.token_revoke(&token.id)).await?;
    context.out.answer(&done.json, || format!("token {} is revoked", token.name))
}

fn table(tokens: &[Token]) -> Table {
    let mut table = Table::new(["ID", "NAME", "BEGINS", "FOR", "WHERE", "OF", "ENDS", "LAST USED"]);
    let now = SystemClock.now();
    for token in tokens {
        table.row([
            token.id.clone().into(),
            token.name.clone().into(),
            format!("{}…", token.hint).into(),
            scopes(token).into(),
            places(token).into(),
            token.user.name.clone().into(),
            token.expires_at.as_deref().map_or("never".to_owned(), |at| when(at, now)).into(),
            used(token, now).into(),
        ]);
    }
    table
}

/// What it is for; all of it is `admin`.
fn scopes(token: &Token) -> String {
    match token.scopes.iter().any(|scope| scope == "admin") {
        true => "admin".to_owned(),
        false => token.scopes.join(", "),
    }
}

/// Where it is of use and where it may come from.
fn places(token: &Token) -> String {
    let mut words: Vec<String> = token.places.iter().flatten().map(|place| place.name.clone()).collect();
    words.extend(token.networks.iter().map(|network| format!("from {network}")));
    words.join(", ")
}

fn used(token: &Token, now: types::Time) -> String {
    let at = token.last_used_at.as_deref().map_or("never".to_owned(), |at| when(at, now));
    match &token.last_used_address {
        Some(address) => format!("{at} from {address}"),
        None => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_end_is_said_and_the_usual_time_is_not() {
        let scope = |word: &str| ("scope", json!(word));
        assert_eq!(body("a", scope("read"), None), json!({"name": "a", "scope": "read"}));
        assert_eq!(
            body("a", scope("admin"), Some(None)),
            json!({"name": "a", "scope": "admin", "expires_in_days": null})
        );
        assert_eq!(body("a", scope("write"), Some(Some(3)))["expires_in_days"], 3);
    }

    #[test]
    fn a_verb_alone_is_the_short_way() {
        let read = |texts: &[&str]| texts.iter().map(|text| scope(text).expect("a scope")).collect::<Vec<_>>();
        for (scopes, exactly, field, expected) in [
            (vec!["write"], None, "scope", json!("write")),
            (vec!["apps:deploy"], None, "scopes", json!(["apps:read", "apps:deploy"])),
            (
                vec!["jobs:read", "apps:deploy"],
                None,
                "scopes",
                json!(["apps:read", "apps:deploy", "jobs:read"]),
            ),
            (
                vec!["deploy", "jobs:write"],
                None,
                "scopes",
                json!(["read", "deploy", "jobs:write"]),
            ),
            (
                vec!["write", "jobs:write"],
                None,
                "scopes",
                json!(["read", "deploy", "write", "secrets", "terminal"]),
            ),
            (vec!["deploy"], Some(vec!["write"]), "scopes", json!(["write"])),
        ] {
            let exactly = exactly.map(|texts| read(&texts));
            assert_eq!(meant(&read(&scopes), exactly.as_deref()), (field, expected), "{scopes:?}");
        }
        assert!(scope("app:read").is_err_and(|why| why.contains("use apps, audit")));
    }
}
