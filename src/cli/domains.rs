//! `serverkit domain …`.

use crate::{
    ask,
    commands::Context,
    domain_traffic,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone, when},
    policies, rules,
};
use clap::{Args, Subcommand};
use client::types::{Domain, DomainAdd};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let a domain lead to an app; its certificate follows by itself
    Add(Add),
    /// Take a domain away from its app
    #[command(visible_alias = "rm")]
    Remove(Named),
    /// Check that a name leads to this panel; the exit code is 1 if it does not
    Check(Named),
    /// List domains
    #[command(visible_alias = "ls")]
    List(List),
    /// What is done with requests beside passing them on: limits, passwords, headers, cache, maintenance and more
    #[command(subcommand)]
    Policy(policies::Command),
    /// Rules: which requests go elsewhere than to the domain's app
    #[command(subcommand, visible_alias = "rules")]
    Rule(rules::Command),
    /// Say which rule answers a request, and why
    Explain(rules::Explain),
    /// Show who asks for what since the edge started: counts, times, top paths and addresses, and who is being limited
    Traffic(domain_traffic::Traffic),
    /// Send a share of the requests to another app, until it fails
    Canary(policies::Canary),
    /// Let the app end TLS itself
    Passthrough(policies::Passthrough),
}

#[derive(Debug, Args)]
pub struct Add {
    /// Name or id of the app
    name: String,
    /// The domain, such as blog.example.com
    host: String,
    /// Serve plain HTTP too, in place of sending it to HTTPS
    #[arg(long)]
    allow_http: bool,
    /// Another service than the main one, for an app of several: SERVICE:PORT
    #[arg(long, value_name = "SERVICE:PORT", value_parser = place)]
    service: Option<(String, u16)>,
}

fn place(text: &str) -> Result<(String, u16), String> {
    let wrong = || "use SERVICE:PORT, such as console:9001".to_owned();
    let (service, port) = text.rsplit_once(':').filter(|(service, _)| !service.is_empty()).ok_or_else(wrong)?;
    match port.parse() {
        Ok(port) if port > 0 => Ok((service.to_owned(), port)),
        _ => Err(wrong()),
    }
}

#[derive(Debug, Args)]
pub struct Named {
    /// The domain
    host: String,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those of this app (name or id)
    name: Option<String>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Add(args) => add(context, args).await,
        Command::Remove(args) => remove(context, &args.host).await,
        Command::Check(args) => check(context, &args.host).await,
        Command::List(args) => list(context, args).await,
        Command::Policy(command) => policies::run(context, command).await,
        Command::Rule(command) => rules::run(context, command).await,
        Command::Explain(args) => rules::explain(context, args).await,
        Command::Traffic(args) => domain_traffic::run(context, args).await,
        Command::Canary(args) => policies::canary(context, args).await,
        Command::Passthrough(args) => policies::passthrough(context, args).await,
    }
}

async fn add(context: &Context, args: Add) -> Result {
    let client = context.panel()?;
    let (service, service_port) = args.service.unzip();
    let body = DomainAdd {
        host: args.host,
        force_https: args.allow_http.then_some(false),
        service,
        service_port,
    };
    let answer = client.ask(client.domain_add(&args.name, &body)).await?;
    context.out.answer(&answer.json, || {
        let domain = &answer.value;
        format!(
            "{} leads to {}\ncheck that the name points here: serverkit domain check {}",
            domain.url, domain.app.name, domain.host
        )
    })
}

async fn remove(context: &Context, host: &str) -> Result {
    ask::confirm(
        &format!("{host} will not lead to its app any more, and its certificate goes"),
        context.globals.yes,
    )?;
    let client = context.panel()?;
    let done = client.ask(client.domain_remove(host)).await?;
    context.out.answer(&done.json, || format!("{host} is removed"))
}

async fn check(context: &Context, host: &str) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.domain_check(host)).await?;
    let check = &answer.value;
    if !check.ok && !context.out.json {
        return Err(Failure::failed(format!("{host} does not lead here")).hint(&check.detail));
    }
    context
        .out
        .answer(&answer.json, || format!("{host} leads here ({})", check.addresses.join(", ")))?;
    if check.ok { Ok(()) } else { Err(Failure::exit(1)) }
}

async fn list(context: &Context, args: List) -> Result {
    let client = context.panel()?;
    let domains = match &args.name {
        Some(name) => lists::all::<Domain, _>(async |cursor| client.ask(client.domain_list_app(name, cursor, lists::LIMIT)).await).await?,
        None => lists::all::<Domain, _>(async |cursor| client.ask(client.domain_list(cursor, lists::LIMIT)).await).await?,
    };
    context
        .out
        .list(&domains.json, "no domains yet; add one: serverkit domain add APP HOST", || {
            let mut table = Table::new(["DOMAIN", "APP", "CERTIFICATE", "UNTIL", "ISSUER"]);
            let now = SystemClock.now();
            for domain in &domains.items {
                let certificate = domain.certificate.as_ref();
                let state = certificate.map(|certificate| Cell::state(certificate.state.to_string()));
                table.row([
                    domain.host.clone().into(),
                    domain.app.name.clone().into(),
                    state.unwrap_or_else(|| Cell::tone("none yet", Tone::Faint)),
                    certificate
                        .and_then(|certificate| certificate.not_after.as_deref())
                        .map(|end| when(end, now))
                        .unwrap_or_default()
                        .into(),
                    certificate.map(|certificate| certificate.issuer.clone()).unwrap_or_default().into(),
                ]);
            }
            table
        })
}
