//! `serverkit edge …` and `serverkit port …`.

use crate::{
    ask,
    commands::Context,
    failure::Result,
    limits, lists,
    output::{Cell, Facts, Output, Table, Tone, bytes, span},
    policies::{change, facts, put},
};
use clap::{Args, Subcommand};
use client::types::{EdgeReport, Port, PortWish, ProxyVersion, PurgeWish};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Traffic by domain, who is being limited, canaries, ports and kept answers, just now
    Status,
    /// Throw kept answers away
    Purge(Purge),
    /// Show or change what holds for the whole edge
    ///
    /// trusted_proxies          proxies in front of this server, as JSON: ["10.0.0.0/8"]
    /// proxy_protocol           they begin each connection with the PROXY protocol: true or false
    /// cache_bytes              memory for kept answers, over all domains
    /// connections_per_address  connections that one address may have open; 0: any number
    /// http3                    HTTP/3 on the HTTPS port: true or false
    #[command(verbatim_doc_comment)]
    Options(Options),
    /// All rate limits: of the panel's own API and of every domain, and who is being limited
    Limits,
    /// How often the panel's own API may be asked
    #[command(subcommand)]
    ApiLimit(limits::Command),
    /// Domains whose TLS is not ended here
    Passthroughs,
}

#[derive(Debug, Args)]
pub struct Purge {
    /// Of this domain; without it of all
    host: Option<String>,
    /// Only this path, or with * at its end all that begin so
    #[arg(long)]
    path: Option<String>,
}

#[derive(Debug, Args)]
pub struct Options {
    /// KEY=VALUE; without any they are shown
    #[arg(value_name = "KEY=VALUE", value_parser = change)]
    changes: Vec<(String, Option<Value>)>,
}

#[derive(Debug, Subcommand)]
pub enum PortCommand {
    /// Let a port of this server lead to an app, without HTTP
    Open(Open),
    /// List ports that lead to apps
    #[command(visible_alias = "ls")]
    List,
    /// Close a port
    Close(Close),
}

#[derive(Debug, Args)]
pub struct Open {
    /// The port, such as tcp/5432 or udp/53
    listen: String,
    /// Name or id of the app
    app: String,
    /// The port in the app's container; without it the same
    #[arg(long, value_name = "PORT")]
    target: Option<u16>,
    /// Which service of an app of several; without it the main one
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Tell the app who the client is, by the PROXY protocol: v1 or v2
    #[arg(long, value_name = "VERSION")]
    proxy_protocol: Option<ProxyVersion>,
    /// An address or network that may come; may be given several times; without it everybody
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<String>,
    /// Connections at once
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Close {
    /// The port, such as tcp/5432
    listen: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        Command::Limits => limits::list(context).await,
        Command::ApiLimit(command) => limits::change(context, command).await,
        Command::Passthroughs => limits::passthroughs(context).await,
        Command::Status => {
            let answer = client.ask(client.edge_report()).await?;
            out.answer(&answer.json, || status(&out, &answer.value))
        }
        Command::Purge(args) => {
            let body = PurgeWish {
                host: args.host,
                path: args.path,
            };
            let answer = client.ask(client.edge_purge(&body)).await?;
            out.answer(&answer.json, || format!("{} kept answers are thrown away", answer.value.answers))
        }
        Command::Options(args) => {
            let answer = if args.changes.is_empty() {
                client.ask(client.edge_options_show()).await?
            } else {
                let mut body = json!({});
                for (key, value) in args.changes {
                    put(&mut body, &key, value)?;
                }
                client.ask(client.edge_options_update(&body)).await?
            };
            let options = &answer.value;
            out.answer(&answer.json, || {
                facts([
                    ("trusted_proxies", json!(options.trusted_proxies)),
                    ("proxy_protocol", json!(options.proxy_protocol)),
                    ("cache_bytes", json!(options.cache_bytes)),
                    ("connections_per_address", json!(options.connections_per_address)),
                    ("http3", json!(options.http3)),
                ])
                .print(&out)
            })
        }
    }
}

fn status(out: &Output, report: &EdgeReport) -> String {
    let mut facts = Facts::new();
    facts.add("Connections", report.connections.to_string());
    facts.add("Refused", report.refused_connections.to_string());
    let cache = &report.cache;
    facts.add(
        "Cache",
        format!("{} answers, {} of {}", cache.objects, bytes(cache.bytes), bytes(cache.max_bytes)),
    );
    let mut text = facts.print(out);
    for (is_empty, table) in [
        (report.domains.is_empty(), domain_table(report)),
        (report.limited.is_empty(), limited_table(report)),
        (report.upstreams.is_empty(), upstream_table(report)),
        (report.canaries.is_empty(), canary_table(report)),
        (report.ports.is_empty(), port_table(report)),
    ] {
        if !is_empty {
            text.push('\n');
            text.push_str(&table.print(out));
        }
    }
    text
}

fn domain_table(report: &EdgeReport) -> Table {
    let mut table = Table::new(["DOMAIN", "REQUESTS", "5XX", "P95", "HITS", "LIMITED", "DENIED", "OUT"]);
    for domain in &report.domains {
        table.row([
            domain.host.clone().into(),
            domain.requests.to_string().into(),
            domain.statuses.get(4).copied().unwrap_or(0).to_string().into(),
            domain.p95_millis.map(|millis| format!("{millis} ms")).unwrap_or_default().into(),
            domain.cache_hits.to_string().into(),
            domain.limited.to_string().into(),
            domain.denied.to_string().into(),
            bytes(domain.bytes_out).into(),
        ]);
    }
    table
}

fn limited_table(report: &EdgeReport) -> Table {
    let mut table = Table::new(["LIMIT", "DOMAIN", "KEY", "REFUSED", "LAST"]);
    for key in &report.limited {
        let name = if key.dry_run {
            format!("{} (dry run)", key.limit)
        } else {
            key.limit.clone()
        };
        table.row([
            name.into(),
            key.host.clone().into(),
            key.key.clone().into(),
            key.refused.to_string().into(),
            format!("{} ago", span(key.seconds_ago)).into(),
        ]);
    }
    table
}

fn upstream_table(report: &EdgeReport) -> Table {
    let mut table = Table::new(["UPSTREAM", "ACTIVE", "STATE", ""]);
    for upstream in &report.upstreams {
        let tone = if upstream.state == "well" { Tone::Good } else { Tone::Bad };
        table.row([
            upstream.place.clone().into(),
            upstream.active.to_string().into(),
            Cell::tone(upstream.state.clone(), tone),
            upstream.why.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

fn canary_table(report: &EdgeReport) -> Table {
    let mut table = Table::new(["CANARY OF", "REQUESTS", "ERRORS", "P95", "STATE"]);
    for canary in &report.canaries {
        table.row([
            canary.host.clone().into(),
            canary.requests.to_string().into(),
            canary.errors.to_string().into(),
            canary.p95_millis.map(|millis| format!("{millis} ms")).unwrap_or_default().into(),
            match &canary.failed {
                Some(why) => Cell::tone(format!("failed: {why}"), Tone::Bad),
                None => Cell::tone("goes on", Tone::Good),
            },
        ]);
    }
    table
}

fn port_table(report: &EdgeReport) -> Table {
    let mut table = Table::new(["PORT", "CONNECTIONS", "ACTIVE", "REFUSED", ""]);
    for port in &report.ports {
        table.row([
            port.listen.clone().into(),
            port.connections.to_string().into(),
            port.active.to_string().into(),
            port.refused.to_string().into(),
            Cell::tone(port.error.clone().unwrap_or_default(), Tone::Bad),
        ]);
    }
    table
}

pub async fn port(context: &Context, command: PortCommand) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        PortCommand::Open(args) => {
            let body = PortWish {
                listen: args.listen,
                app: args.app,
                target_port: args.target,
                service: args.service,
                proxy_protocol: args.proxy_protocol,
                allow: Some(args.allow),
                max_connections: args.max_connections,
            };
            let answer = client.ask(client.port_open(&body)).await?;
            let port = &answer.value;
            out.answer(&answer.json, || {
                format!("{} leads to port {} of {}", port.listen, port.target_port, port.app.name)
            })
        }
        PortCommand::List => {
            let ports = lists::all::<Port, _>(async |cursor| client.ask(client.port_list(cursor, lists::LIMIT)).await).await?;
            out.list(&ports.json, "no ports yet; open one: serverkit port open tcp/5432 APP", || {
                let mut table = Table::new(["PORT", "APP", "TARGET", "CONNECTIONS", "STATE"]);
                for port in &ports.items {
                    let report = port.report.as_ref();
                    table.row([
                        port.listen.clone().into(),
                        port.app.name.clone().into(),
                        port.target_port.to_string().into(),
                        report.map(|report| report.connections.to_string()).unwrap_or_default().into(),
                        match report.map(|report| &report.error) {
                            Some(None) => Cell::tone("open", Tone::Good),
                            Some(Some(why)) => Cell::tone(why.clone(), Tone::Bad),
                            None => Cell::tone("not open yet", Tone::Warn),
                        },
                    ]);
                }
                table
            })
        }
        PortCommand::Close(args) => {
            ask::confirm(&format!("{} will not lead to its app any more", args.listen), context.globals.yes)?;
            let done = client.ask(client.port_close(&args.listen.replacen('/', "-", 1))).await?;
            out.answer(&done.json, || format!("{} is closed", args.listen))
        }
    }
}
