//! `serverkit edge limits`, `edge api-limit …` and `edge passthroughs`: what holds over all domains, and how often the
//! panel's own API may be asked.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Output, Table, Tone, span},
    spans,
};
use clap::{Args, Subcommand};
use client::types::{ApiCaller, ApiClass, ApiLimit, ApiLimits, DomainTraffic};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a rule for requests to the panel, or change the one of this name
    Set(Set),
    /// Remove a rule
    Remove(Remove),
    /// Set who is never limited; without any, everybody is
    Exempt(Exempt),
}

#[derive(Debug, Args)]
pub struct Set {
    /// The rule's name
    name: String,
    /// Which requests: any, read, write, sign_in or hooks
    #[arg(long, value_name = "CLASS", value_parser = class)]
    class: Option<ApiClass>,
    /// Only endpoints of this path, such as '/apps/*/deployments' (** at the end: all that follow); all: every endpoint
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Whose requests count together: address, or caller (a token or a person; else by address)
    #[arg(long, value_name = "WHOM", value_parser = caller)]
    per: Option<ApiCaller>,
    /// Requests allowed in each period
    #[arg(long, value_name = "COUNT")]
    requests: Option<u32>,
    /// The period, such as 60s or 10m
    #[arg(long, value_name = "TIME", value_parser = spans::seconds)]
    period: Option<u32>,
    /// Allowed at once when nothing came before; 0: as many as in a period
    #[arg(long, value_name = "COUNT")]
    burst: Option<u32>,
    /// Only count what would be refused: true or false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    dry_run: Option<bool>,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// The rule's name
    name: String,
}

#[derive(Debug, Args)]
pub struct Exempt {
    /// Addresses or networks, such as 203.0.113.0/24
    networks: Vec<String>,
}

fn class(text: &str) -> Result<ApiClass, String> {
    text.parse().map_err(|_| "use any, read, write, sign_in or hooks".to_owned())
}

fn caller(text: &str) -> Result<ApiCaller, String> {
    text.parse().map_err(|_| "use address or caller".to_owned())
}

pub async fn change(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    let now = client.ask(client.api_limits_show()).await?.value;
    let body = match command {
        Command::Set(args) => json!({ "rules": with(now.rules, args)? }),
        Command::Remove(args) => {
            let left: Vec<ApiLimit> = now.rules.iter().filter(|rule| rule.name != args.name).cloned().collect();
            if left.len() == now.rules.len() {
                return Err(Failure::usage(format!("the panel's API has no rate limit named `{}`", args.name)));
            }
            ask::confirm(
                &format!("requests to the panel will not be limited by `{}`", args.name),
                context.globals.yes,
            )?;
            json!({ "rules": left })
        }
        Command::Exempt(args) => json!({ "exempt": args.networks }),
    };
    let answer = client.ask(client.api_limits_update(&body)).await?;
    out.answer(&answer.json, || of_the_panel(&out, &answer.value))
}

/// The rules with one changed or added.
fn with(mut rules: Vec<ApiLimit>, args: Set) -> Result<Vec<ApiLimit>> {
    let place = rules.iter().position(|rule| rule.name == args.name);
    let before = place.map(|place| rules[place].clone());
    let needed = |flag: &str| Failure::usage(format!("a new rule needs {flag}")).hint("see `serverkit edge api-limit set --help`");
    let rule = ApiLimit {
        class: args
            .class
            .or(before.as_ref().map(|rule| rule.class))
            .ok_or_else(|| needed("--class"))?,
        path: match args.path {
            Some(path) => Some(path).filter(|path| path != "all"),
            None => before.as_ref().and_then(|rule| rule.path.clone()),
        },
        per: args.per.or(before.as_ref().map(|rule| rule.per)).unwrap_or(ApiCaller::Caller),
        requests: args
            .requests
            .or(before.as_ref().map(|rule| rule.requests))
            .ok_or_else(|| needed("--requests"))?,
        period_seconds: args.period.or(before.as_ref().map(|rule| rule.period_seconds)).unwrap_or(60),
        burst: args.burst.or(before.as_ref().and_then(|rule| rule.burst)),
        dry_run: args.dry_run.or(before.as_ref().and_then(|rule| rule.dry_run)),
        name: args.name,
    };
    match place {
        Some(place) => rules[place] = rule,
        None => rules.push(rule),
    }
    Ok(rules)
}

/// All rate limits: of the panel's API for administrators, and of all domains.
pub async fn list(context: &Context) -> Result {
    let client = context.panel()?;
    let out = context.out;
    let panel = match client.ask(client.api_limits_show()).await {
        Ok(answer) => Some(answer),
        Err(client::Failure::Refused(problem)) if problem.status == 403 => None,
        Err(failure) => return Err(failure.into()),
    };
    let domains = lists::all::<DomainTraffic, _>(async |cursor| client.ask(client.domain_traffic_list(cursor, lists::LIMIT)).await).await?;
    let report = client.ask(client.edge_report()).await?;
    let limits = rows(&domains.items);
    let json = json!({
        "panel": panel.as_ref().map(|panel| &panel.json),
        "domains": limits,
        "limited": report.json["limited"],
    });
    out.answer(&json, || {
        let mut text = panel.as_ref().map(|panel| of_the_panel(&out, &panel.value)).unwrap_or_default();
        let mut table = Table::new(["DOMAIN", "RULE", "LIMIT", "ALLOWS", "FOR EACH", "LIMITED NOW"]);
        for row in &limits {
            let limit = &row["limit"];
            let now = report
                .value
                .limited
                .iter()
                .filter(|one| Some(one.host.as_str()) == row["host"].as_str() && Some(one.limit.as_str()) == limit["name"].as_str())
                .count();
            table.row([
                word(&row["host"]).into(),
                word(&row["rule"]).into(),
                trial(word(&limit["name"]), limit["dry_run"] == true).into(),
                allows(limit["requests"].as_u64(), limit["period_seconds"].as_u64()).into(),
                [word(&limit["key"]["kind"]), word(&limit["key"]["name"])]
                    .join(" ")
                    .trim()
                    .to_owned()
                    .into(),
                now.to_string().into(),
            ]);
        }
        if limits.is_empty() {
            text.push_str("no domain has a rate limit; set one: serverkit domain policy HOST rate_limits=…\n");
        } else {
            text.push_str(&table.print(&out));
        }
        text
    })
}

/// `{"host", "rule", "limit"}` for each limit of each domain; `rule` is null for the domain's own.
fn rows(domains: &[DomainTraffic]) -> Vec<Value> {
    let of = |host: &str, rule: Option<&str>, policy: &Value| -> Vec<Value> {
        let limits = policy["rate_limits"].as_array().cloned().unwrap_or_default();
        limits
            .into_iter()
            .map(|limit| json!({ "host": host, "rule": rule, "limit": limit }))
            .collect()
    };
    let all = domains.iter().flat_map(|domain| {
        let rules = domain.rules.iter().filter_map(|rule| Some((rule, rule.policy.as_ref()?)));
        let own = of(&domain.host, None, &domain.policy);
        own.into_iter()
            .chain(rules.flat_map(|(rule, policy)| of(&domain.host, Some(&rule.name), policy)))
            .collect::<Vec<_>>()
    });
    all.collect()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn trial(name: String, dry_run: bool) -> String {
    if dry_run { format!("{name} (dry run)") } else { name }
}

fn allows(requests: Option<u64>, seconds: Option<u64>) -> String {
    format!("{} in {}", requests.unwrap_or_default(), span(seconds.unwrap_or_default()))
}

fn of_the_panel(out: &Output, limits: &ApiLimits) -> String {
    let mut rules = Table::new(["PANEL'S API", "REQUESTS", "TO", "FOR EACH", "ALLOWS", "AT ONCE"]);
    for rule in &limits.rules {
        rules.row([
            trial(rule.name.clone(), rule.dry_run == Some(true)).into(),
            rule.class.to_string().into(),
            rule.path.clone().unwrap_or_default().into(),
            rule.per.to_string().into(),
            allows(Some(rule.requests.into()), Some(rule.period_seconds.into())).into(),
            rule.burst.filter(|burst| *burst > 0).unwrap_or(rule.requests).to_string().into(),
        ]);
    }
    let mut text = match limits.rules.is_empty() {
        true => "the panel's API has no rate limit\n".to_owned(),
        false => rules.print(out),
    };
    if !limits.exempt.is_empty() {
        text.push_str(&format!("never limited: {}\n", limits.exempt.join(", ")));
    }
    if !limits.limited.is_empty() {
        let mut limited = Table::new(["LIMITED NOW", "BY", "REFUSED", "LAST"]);
        for one in &limits.limited {
            limited.row([
                one.key.clone().into(),
                trial(one.limit.clone(), one.dry_run).into(),
                Cell::tone(one.refused.to_string(), if one.dry_run { Tone::Warn } else { Tone::Bad }),
                format!("{} ago", span(one.seconds_ago)).into(),
            ]);
        }
        text.push('\n');
        text.push_str(&limited.print(out));
    }
    text.push('\n');
    text
}

/// Domains whose TLS is not ended at the edge.
pub async fn passthroughs(context: &Context) -> Result {
    let client = context.panel()?;
    let mut domains =
        lists::all::<DomainTraffic, _>(async |cursor| client.ask(client.domain_traffic_list(cursor, lists::LIMIT)).await).await?;
    domains.items.retain(|domain| domain.passthrough.is_some());
    let kept: Vec<Value> = domains.json["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| !one["passthrough"].is_null())
        .cloned()
        .collect();
    let json = json!({ "items": kept, "next": null });
    context.out.list(
        &json,
        "no domain's TLS is passed through; serverkit domain passthrough HOST PORT",
        || {
            let mut table = Table::new(["DOMAIN", "APP", "PORT", "PROXY PROTOCOL"]);
            for domain in &domains.items {
                let through = domain.passthrough.as_ref();
                table.row([
                    domain.host.clone().into(),
                    domain.app.name.clone().into(),
                    through.map(|through| through.port.to_string()).unwrap_or_default().into(),
                    through
                        .and_then(|through| through.proxy_protocol)
                        .map(|version| version.to_string())
                        .unwrap_or_default()
                        .into(),
                ]);
            }
            table
        },
    )
}
