//! `serverkit token …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Table, when},
};
use clap::{Args, Subcommand};
use client::types::{Scope, Token};
use serde_json::{Value, json};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token; its secret is shown once
    Create(Create),
    /// List tokens; administrators see everybody's
    #[command(visible_alias = "ls")]
    List,
    /// Revoke a token; it is of no use from then on
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub struct Create {
    /// What it is for, such as ci
    name: String,
    /// How far it reaches: read sees; deploy deploys, starts and stops too; write creates, changes and deletes too; admin is all that you may do
    #[arg(long, default_value = "deploy", value_parser = scope)]
    scope: Scope,
    /// Days until it ends; without it 90
    #[arg(long, conflicts_with = "never", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// It does not end by itself
    #[arg(long)]
    never: bool,
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
            let body = body(&args.name, args.scope, if args.never { Some(None) } else { args.days.map(Some) });
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
        Command::Revoke(args) => revoke(context, &client, &args.token).await,
    }
}

/// `days`: `None` for the usual time, `Some(None)` for no end.
pub fn body(name: &str, scope: Scope, days: Option<Option<u32>>) -> Value {
    let mut body = json!({ "name": name, "scope": scope });
    if let Some(days) = days {
        body["expires_in_days"] = json!(days);
    }
    body
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|_| "use read, deploy, write or admin".to_owned())
}

async fn revoke(context: &Context, client: &client::Client, called: &str) -> Result {
    let mut found = lists::all::<Token, _>(async |cursor| client.ask(client.token_list(cursor, lists::LIMIT)).await)
        .await?
        .items;
    found.retain(|token| token.id == called || token.name == called);
    let token = match found.as_slice() {
        [token] => token,
        [] => return Err(Failure::not_found(format!("no token named `{called}`")).hint("see: serverkit token list")),
        _ => return Err(Failure::usage(format!("several tokens are named `{called}`")).hint("give the id; see: serverkit token list")),
    };
    ask::confirm(
        &format!("This revokes the token {} ({}…) of {}", token.name, token.hint, token.user.name),
        context.globals.yes,
    )?;
    let done = client.ask(client.token_revoke(&token.id)).await?;
    context.out.answer(&done.json, || format!("token {} is revoked", token.name))
}

fn table(tokens: &[Token]) -> Table {
    let mut table = Table::new(["ID", "NAME", "BEGINS", "SCOPE", "OF", "ENDS", "LAST USED"]);
    let now = SystemClock.now();
    for token in tokens {
        table.row([
            token.id.clone().into(),
            token.name.clone().into(),
            format!("{}…", token.hint).into(),
            token.scope.to_string().into(),
            token.user.name.clone().into(),
            token.expires_at.as_deref().map_or("never".to_owned(), |at| when(at, now)).into(),
            token.last_used_at.as_deref().map_or("never".to_owned(), |at| when(at, now)).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_end_is_said_and_the_usual_time_is_not() {
        assert_eq!(body("a", Scope::Read, None), json!({"name": "a", "scope": "read"}));
        assert_eq!(
            body("a", Scope::Admin, Some(None)),
            json!({"name": "a", "scope": "admin", "expires_in_days": null})
        );
        assert_eq!(body("a", Scope::Write, Some(Some(3)))["expires_in_days"], 3);
    }
}
