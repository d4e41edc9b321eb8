//! `serverkit dns …`.

use crate::{
    ask,
    certificates::body,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone, when},
};
use clap::{Args, Subcommand};
use client::types::{DnsProvider, DnsRecord, DnsSetup, DnsZone};
use serde_json::{Map, Value, json};
use std::{fs, time::Duration};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The services where your zones are kept
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// List the zones of all providers
    Zones,
    /// The records of a zone
    #[command(subcommand, visible_alias = "record")]
    Records(RecordsCommand),
    /// Show what to set in DNS so that a name leads here, and which of it is there; the exit code is 1 while it does not
    Setup(Setup),
}

#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// Add a provider, and try it
    ///
    /// cloudflare    --credential token@FILE
    /// digitalocean  --credential token@FILE
    /// hetzner       --credential token@FILE
    /// route53       --credential access_key_id=… --credential secret_access_key@FILE
    /// rfc2136       --server ADDR --zone Z --key-name NAME [--algorithm A] --credential key@FILE
    /// exec          --zone Z --command /usr/local/bin/hook [--command ARG]…; credentials become its environment
    /// webhook       --zone Z --endpoint URL [--credential token@FILE]
    #[command(verbatim_doc_comment)]
    Add(Add),
    /// Change a provider, and try it: what is given takes the place of what was
    ///
    /// Credentials are given all anew, or none of them.
    Set(Change),
    /// List the providers
    #[command(visible_alias = "ls")]
    List,
    /// Try a provider: ask it for its zones
    Test(Called),
    /// Remove a provider; its zones stay as they are
    #[command(visible_alias = "rm")]
    Remove(Called),
}

#[derive(Debug, Args)]
pub struct Add {
    /// What you call it
    name: String,
    /// cloudflare, route53, digitalocean, hetzner, rfc2136, exec or webhook
    #[arg(long)]
    kind: String,
    #[command(flatten)]
    given: Given,
}

#[derive(Debug, Args)]
pub struct Change {
    /// Name or id of the provider
    name: String,
    /// What you call it from now on
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    #[command(flatten)]
    given: Given,
}

/// What a provider is reached with.
#[derive(Debug, Args)]
pub struct Given {
    /// NAME=VALUE, or NAME@FILE for the content of a file
    #[arg(long = "credential", value_name = "NAME@FILE", value_parser = credential)]
    credentials: Vec<(String, String)>,
    /// A zone that it has, for kinds that cannot list them
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// The address to call, or one in place of the service's own
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The primary name server
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,
    /// The name of the TSIG key
    #[arg(long, value_name = "NAME")]
    key_name: Option<String>,
    /// hmac-sha256, hmac-sha384 or hmac-sha512
    #[arg(long)]
    algorithm: Option<String>,
    /// The program, then its arguments, each with --command
    #[arg(long = "command", value_name = "ARG", allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Called {
    /// Name or id of the provider
    name: String,
}

#[derive(Debug, Subcommand)]
pub enum RecordsCommand {
    /// List the records of a zone
    #[command(visible_alias = "ls")]
    List(Zone),
    /// Add a record
    Add(Write),
    /// Put another record in the place of one
    Set(Set),
    /// Delete a record
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

#[derive(Debug, Args)]
pub struct Zone {
    /// Such as example.com
    zone: String,
}

#[derive(Debug, Args)]
pub struct Write {
    /// Such as example.com
    zone: String,
    /// The whole name or the part before the zone; @ for the zone itself
    name: String,
    /// A, AAAA, CAA, CNAME, MX, NS, SRV or TXT
    kind: String,
    /// As in a zone file, texts without quotes
    value: String,
    /// Seconds that others may remember it [default: 300]
    #[arg(long)]
    ttl: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Set {
    /// The id of the record; see: serverkit dns records list ZONE
    id: String,
    #[command(flatten)]
    record: Write,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Such as example.com
    zone: String,
    /// The id of the record; see: serverkit dns records list ZONE
    id: String,
}

#[derive(Debug, Args)]
pub struct Setup {
    /// The domain, or a wildcard such as '*.apps.example.com'
    host: String,
    /// Set it through the DNS provider that has the zone
    #[arg(long)]
    apply: bool,
    /// Wait until it is there
    #[arg(long)]
    watch: bool,
}

/// `NAME=VALUE` or `NAME@FILE`; one line end at the end of a file is not part of it.
fn credential(text: &str) -> Result<(String, String), String> {
    let wrong = || "use NAME=VALUE or NAME@FILE".to_owned();
    let end = text.find(['=', '@']).filter(|end| *end > 0).ok_or_else(wrong)?;
    let (name, value) = (text[..end].to_owned(), &text[end + 1..]);
    if value.is_empty() {
        return Err(wrong());
    }
    if &text[end..=end] == "=" {
        return Ok((name, value.to_owned()));
    }
    let read = fs::read_to_string(value).map_err(|error| format!("cannot read {value}: {error}"))?;
    Ok((name, read.trim_end_matches(['\n', '\r']).to_owned()))
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Provider(ProviderCommand::Add(args)) => add(context, args).await,
        Command::Provider(ProviderCommand::Set(args)) => change(context, args).await,
        Command::Provider(ProviderCommand::List) => providers(context).await,
        Command::Provider(ProviderCommand::Test(args)) => {
            let client = context.panel()?;
            let answer = client.ask(client.dns_provider_test(&args.name)).await?;
            tested(context, &answer.value, &answer.json)
        }
        Command::Provider(ProviderCommand::Remove(args)) => {
            ask::confirm(
                &format!("This removes the DNS provider {}; its zones stay as they are", args.name),
                context.globals.yes,
            )?;
            let client = context.panel()?;
            let done = client.ask(client.dns_provider_delete(&args.name)).await?;
            context.out.answer(&done.json, || format!("{} is removed", args.name))
        }
        Command::Zones => zones(context).await,
        Command::Records(RecordsCommand::List(args)) => records(context, &args.zone).await,
        Command::Records(RecordsCommand::Add(args)) => {
            let client = context.panel()?;
            let answer = client.ask(client.dns_record_create(&args.zone, &body(written(&args))?)).await?;
            context.out.answer(&answer.json, || words(&answer.value))
        }
        Command::Records(RecordsCommand::Set(args)) => {
            let client = context.panel()?;
            let record = body(written(&args.record))?;
            let answer = client.ask(client.dns_record_update(&args.record.zone, &args.id, &record)).await?;
            context.out.answer(&answer.json, || words(&answer.value))
        }
        Command::Records(RecordsCommand::Remove(args)) => {
            ask::confirm(&format!("This deletes a record of {}", args.zone), context.globals.yes)?;
            let client = context.panel()?;
            let done = client.ask(client.dns_record_delete(&args.zone, &args.id)).await?;
            context.out.answer(&done.json, || "the record is deleted".to_owned())
        }
        Command::Setup(args) => setup(context, args).await,
    }
}

impl Given {
    /// Those of the options that are there, and the credentials.
    fn split(self) -> (Map<String, Value>, Map<String, Value>) {
        let mut options = Map::new();
        for (name, value) in [
            ("endpoint", self.endpoint),
            ("server", self.server),
            ("key_name", self.key_name),
            ("algorithm", self.algorithm),
        ] {
            options.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        }
        for (name, values) in [("zones", self.zones), ("command", self.command)] {
            if !values.is_empty() {
                options.insert(name.to_owned(), values.into());
            }
        }
        let credentials = self.credentials.into_iter().map(|(name, value)| (name, value.into()));
        (options, credentials.collect())
    }
}

async fn add(context: &Context, args: Add) -> Result {
    const KINDS: [&str; 7] = ["cloudflare", "route53", "digitalocean", "hetzner", "rfc2136", "exec", "webhook"];
    if !KINDS.contains(&args.kind.as_str()) {
        return Err(Failure::usage(format!("there is no kind `{}`", args.kind)).hint(format!("use {}", KINDS.join(", "))));
    }
    let (options, credentials) = args.given.split();
    let json = json!({"name": args.name, "kind": args.kind, "options": options, "credentials": credentials});
    let client = context.panel()?;
    let answer = client.ask(client.dns_provider_create(&body(json)?)).await?;
    tested(context, &answer.value, &answer.json)
}

async fn change(context: &Context, args: Change) -> Result {
    let client = context.panel()?;
    let (given, credentials) = args.given.split();
    let mut json = json!({});
    if let Some(name) = args.rename {
        json["name"] = name.into();
    }
    if !given.is_empty() {
        let all = lists::all::<DnsProvider, _>(async |cursor| client.ask(client.dns_provider_list(cursor, lists::LIMIT)).await).await?;
        let mut all = all.json["items"].as_array().into_iter().flatten();
        let known = all.find(|one| one["name"] == args.name.as_str() || one["id"] == args.name.as_str());
        let mut options = known.and_then(|one| one["options"].as_object().cloned()).unwrap_or_default();
        options.retain(|_, value| !value.is_null());
        options.extend(given);
        json["options"] = options.into();
    }
    if !credentials.is_empty() {
        json["credentials"] = credentials.into();
    }
    if json.as_object().is_some_and(Map::is_empty) {
        return Err(Failure::usage("nothing to change").hint("see `serverkit dns provider set --help`"));
    }
    let answer = client.ask(client.dns_provider_update(&args.name, &body(json)?)).await?;
    tested(context, &answer.value, &answer.json)
}

/// How its test went; the exit code is 1 if it failed.
fn tested(context: &Context, provider: &DnsProvider, json: &Value) -> Result {
    let test = provider.tested.as_ref();
    let error = test.and_then(|test| test.error.clone());
    if let Some(error) = &error
        && !context.out.json
    {
        return Err(Failure::failed(format!("{} does not work: {error}", provider.name))
            .hint(format!("it is kept; mend it: serverkit dns provider set {}", provider.name)));
    }
    context.out.answer(json, || {
        let zones = test.map(|test| test.zones.join(", ")).unwrap_or_default();
        format!("{} works; its zones: {zones}", provider.name)
    })?;
    if error.is_none() { Ok(()) } else { Err(Failure::exit(1)) }
}

async fn providers(context: &Context) -> Result {
    let client = context.panel()?;
    let providers = lists::all::<DnsProvider, _>(async |cursor| client.ask(client.dns_provider_list(cursor, lists::LIMIT)).await).await?;
    let empty = "no DNS providers yet; add one: serverkit dns provider add NAME --kind KIND";
    context.out.list(&providers.json, empty, || {
        let mut table = Table::new(["ID", "NAME", "KIND", "TESTED", "ZONES", "ERROR"]);
        let now = SystemClock.now();
        for provider in &providers.items {
            let test = provider.tested.as_ref();
            table.row([
                provider.id.clone().into(),
                provider.name.clone().into(),
                provider.kind.to_string().into(),
                test.map(|test| when(&test.at, now)).unwrap_or_default().into(),
                test.map(|test| test.zones.join(", ")).unwrap_or_default().into(),
                Cell::tone(test.and_then(|test| test.error.clone()).unwrap_or_default(), Tone::Bad),
            ]);
        }
        table
    })
}

async fn zones(context: &Context) -> Result {
    let client = context.panel()?;
    let zones = lists::all::<DnsZone, _>(async |cursor| client.ask(client.dns_zone_list(cursor, lists::LIMIT)).await).await?;
    let empty = "no zones; add where they are kept: serverkit dns provider add NAME --kind KIND";
    context.out.list(&zones.json, empty, || {
        let mut table = Table::new(["ZONE", "PROVIDER"]);
        for zone in &zones.items {
            table.row([zone.name.clone().into(), zone.provider.name.clone().into()]);
        }
        table
    })
}

async fn records(context: &Context, zone: &str) -> Result {
    let client = context.panel()?;
    let records = lists::all::<DnsRecord, _>(async |cursor| client.ask(client.dns_record_list(zone, cursor, lists::LIMIT)).await).await?;
    context.out.list(&records.json, "the zone has no records", || {
        let mut table = Table::new(["NAME", "TYPE", "VALUE", "TTL", "ID"]);
        for record in &records.items {
            table.row([
                record.name.clone().into(),
                record.kind.to_string().into(),
                record.value.clone().into(),
                record.ttl_seconds.to_string().into(),
                Cell::tone(record.id.clone(), Tone::Faint),
            ]);
        }
        table
    })
}

fn written(record: &Write) -> Value {
    let mut json = json!({"name": record.name, "kind": record.kind.to_uppercase(), "value": record.value});
    if let Some(ttl) = record.ttl {
        json["ttl_seconds"] = ttl.into();
    }
    json
}

fn words(record: &DnsRecord) -> String {
    format!("{} {} {} {}", record.name, record.ttl_seconds, record.kind, record.value)
}

async fn setup(context: &Context, args: Setup) -> Result {
    let client = context.panel()?;
    let mut answer = match args.apply {
        true => client.ask(client.dns_setup_apply(&args.host)).await?,
        false => client.ask(client.dns_setup_show(&args.host)).await?,
    };
    if args.watch && !answer.value.ok {
        context.out.note(&answer.value.detail);
    }
    while args.watch && !answer.value.ok {
        tokio::time::sleep(Duration::from_secs(3)).await;
        answer = client.ask(client.dns_setup_show(&args.host)).await?;
    }
    let setup = &answer.value;
    context.out.answer(&answer.json, || setup_words(context, setup))?;
    if setup.ok { Ok(()) } else { Err(Failure::exit(1)) }
}

fn setup_words(context: &Context, setup: &DnsSetup) -> String {
    let mut lines: Vec<String> = setup
        .records
        .iter()
        .map(|record| {
            let state = match record.ok {
                true => context.out.paint(Tone::Good, "there"),
                false if record.found.is_empty() => context.out.paint(Tone::Warn, "missing"),
                false => context.out.paint(Tone::Warn, &format!("it is {} now", record.found.join(", "))),
            };
            format!("{} {} {}  {state}", record.name, record.kind, record.value)
        })
        .collect();
    lines.push(setup.detail.clone());
    if let (false, Some(provider)) = (setup.ok, &setup.provider) {
        lines.push(format!("{provider} has the zone: serverkit dns setup {} --apply", setup.host));
    }
    lines.join("\n")
}
