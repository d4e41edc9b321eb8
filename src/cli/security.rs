//! `serverkit security …`: the rules of getting in.

use crate::{
    allow_lists,
    commands::Context,
    failure::{Failure, Result},
    output::{Facts, when},
};
use clap::{Args, Subcommand};
use client::types::{SecondFactorRule, SecurityPatch};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the rules of getting in
    Show,
    /// Change the rules of getting in
    Set(Set),
    /// From which addresses the panel and its API are reached
    #[command(subcommand)]
    AllowList(allow_lists::Command),
}

#[derive(Debug, Args)]
pub struct Set {
    /// Who must have a second factor: off, administrators (admins and owners) or everyone
    #[arg(long, value_name = "WHO", value_parser = rule)]
    second_factor: Option<SecondFactorRule>,
    /// Days that they may go on without one, 0 to 90; after them they can only set one up
    #[arg(long, value_name = "DAYS")]
    grace_days: Option<u32>,
    /// Whether API tokens of those who must have a second factor and have none are refused too
    #[arg(long, value_name = "BOOL")]
    bind_tokens: Option<bool>,
    /// Days that entries of the audit log are kept, 30 to 3650
    #[arg(long, value_name = "DAYS")]
    audit_days: Option<u32>,
    /// Days without use after which a session ends, 1 to 90
    #[arg(long, value_name = "DAYS")]
    session_idle_days: Option<u32>,
    /// Days after signing in at which a session ends, used or not; 1 to 365
    #[arg(long, value_name = "DAYS")]
    session_days: Option<u32>,
    /// File on the server that says in which country an address is (.mmdb with countries, of DB-IP or GeoLite2), or none; a sign-in from a country that is new for an account is told
    #[arg(long, value_name = "PATH")]
    countries: Option<String>,
}

fn rule(text: &str) -> Result<SecondFactorRule, String> {
    text.parse().map_err(|_| "use off, administrators or everyone".to_owned())
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let answer = match command {
        Command::AllowList(command) => return allow_lists::run(context, command).await,
        Command::Show => client.ask(client.security_show()).await?,
        Command::Set(args) => {
            let body = SecurityPatch {
                second_factor: args.second_factor,
                grace_days: args.grace_days,
                tokens_bound: args.bind_tokens,
                audit_days: args.audit_days,
                session_idle_days: args.session_idle_days,
                session_days: args.session_days,
                countries: args.countries.map(|path| if path == "none" { String::new() } else { path }),
            };
            let days = [body.grace_days, body.audit_days, body.session_idle_days, body.session_days];
            if body.second_factor.is_none() && body.tokens_bound.is_none() && body.countries.is_none() && days.iter().all(Option::is_none) {
                return Err(Failure::usage("nothing to change was given").hint("see `serverkit security set --help`"));
            }
            client.ask(client.security_update(&body)).await?
        }
    };
    let out = context.out;
    out.answer(&answer.json, || {
        let security = &answer.value;
        let mut facts = Facts::new();
        facts.add("Second factor", security.second_factor.to_string());
        let since = security.since.as_deref().map(|at| when(at, SystemClock.now()));
        facts.maybe("Since", since);
        facts.add("Grace", format!("{} days", security.grace_days));
        facts.add("Tokens", if security.tokens_bound { "bound too" } else { "exempt" });
        facts.add("Audit log", format!("{} days", security.audit_days));
        facts.add(
            "Sessions",
            format!(
                "end after {} days without use, and {} days after signing in",
                security.session_idle_days, security.session_days
            ),
        );
        facts.add("Countries", security.countries.as_deref().unwrap_or("not told: no database"));
        facts.maybe("Broken", security.countries_problem.clone());
        let leaked = match security.leaked_passwords_refused {
            true => "refused, by the list that the server's configuration names",
            false => "not looked for; name a list in the server's configuration: breached, below [passwords]",
        };
        facts.add("Leaked passwords", leaked);
        facts.print(&out)
    })
}
