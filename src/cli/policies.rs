//! `serverkit domain policy …`, `domain canary` and `domain passthrough`.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    output::{Cell, Facts, Tone},
    rules,
};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::{fs, path::PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the policy of a domain
    Show(Host),
    /// Change the policy of a domain, or replace it by that in a file
    ///
    /// KEY is a field of the policy, or a field in one: compression, cors, cache.default_seconds, maintenance.message.
    /// VALUE is JSON, or else a text. KEY= turns the field off.
    ///
    /// Examples:
    ///   serverkit domain policy set a.test maintenance.message="back at noon"
    ///   serverkit domain policy set a.test maintenance=
    ///   serverkit domain policy set a.test compression=true cache={} bandwidth=1000000
    ///   serverkit domain policy set a.test rate_limits='[{"name":"all","key":{"kind":"address"},"requests":60,"period_seconds":60}]'
    ///   serverkit domain policy set a.test basic_auth='{"realm":"x","users":[{"name":"ada","password":"secret"}]}'
    #[command(verbatim_doc_comment)]
    Set(Set),
}

#[derive(Debug, Args)]
pub struct Host {
    /// The domain
    host: String,
}

#[derive(Debug, Args)]
pub struct Set {
    /// The domain
    host: String,
    /// KEY=VALUE, or KEY= to turn it off
    #[arg(required_unless_present = "file", value_name = "KEY=VALUE", value_parser = change)]
    changes: Vec<(String, Option<Value>)>,
    /// A file with the whole policy as JSON, in place of what is there
    #[arg(long, value_name = "FILE", conflicts_with = "changes")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Canary {
    /// The domain
    host: String,
    /// Name or id of the app that gets a share of the requests
    #[arg(required_unless_present = "off")]
    app: Option<String>,
    /// Requests of a hundred that go to it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: u8,
    /// Requests with this header, and this value if one is given, always go to it
    ///
    /// NAME*=TEXT: with this text in it; !NAME: without the header.
    #[arg(long, value_name = "NAME[=VALUE]")]
    header: Option<String>,
    /// It has failed when more than so many of a hundred answers are errors
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    max_errors: u8,
    /// It has failed when 5 of a hundred answers take longer than this
    #[arg(long, value_name = "MILLISECONDS")]
    max_p95: Option<u32>,
    /// Nothing is decided on fewer requests than this
    #[arg(long, value_name = "REQUESTS", default_value_t = 50)]
    min_requests: u32,
    /// Send all requests to the domain's own app again
    #[arg(long, conflicts_with_all = ["app", "header", "max_p95"])]
    off: bool,
}

#[derive(Debug, Args)]
pub struct Passthrough {
    /// The domain
    host: String,
    /// The port in the app's container that speaks TLS
    #[arg(required_unless_present = "off", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Begin each connection with the PROXY protocol: v1 or v2
    #[arg(long, value_name = "VERSION", value_parser = ["v1", "v2"])]
    proxy_protocol: Option<String>,
    /// End TLS at the edge again
    #[arg(long, conflicts_with_all = ["port", "proxy_protocol"])]
    off: bool,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::Show(args) => {
            let answer = client.ask(client.domain_policy_show(&args.host)).await?;
            print(context, &answer.json)
        }
        Command::Set(args) => {
            let policy = match &args.file {
                Some(path) => read(path)?,
                None => {
                    let mut policy = client.ask(client.domain_policy_show(&args.host)).await?.json;
                    for (key, value) in args.changes {
                        put(&mut policy, &key, value)?;
                    }
                    policy
                }
            };
            let answer = client.ask(client.domain_policy_replace(&args.host, &policy)).await?;
            print(context, &answer.json)
        }
    }
}

pub async fn canary(context: &Context, args: Canary) -> Result {
    let client = context.panel()?;
    let body = match &args.app {
        None => json!({ "app": null }),
        Some(app) => json!({
            "app": app,
            "percent": args.percent,
            "header": args.header.as_deref().map(rules::header),
            "limits": {"min_requests": args.min_requests, "max_error_percent": args.max_errors, "max_p95_millis": args.max_p95},
        }),
    };
    let answer = client.ask(client.domain_canary(&args.host, &body)).await?;
    context.out.answer(&answer.json, || match &args.app {
        None => format!("all requests to {} go to {} again", args.host, answer.value.app.name),
        Some(app) => format!(
            "{} of 100 requests to {} go to {app}; see how it does: serverkit edge status",
            args.percent, args.host
        ),
    })
}

pub async fn passthrough(context: &Context, args: Passthrough) -> Result {
    let client = context.panel()?;
    let body = json!({"port": args.port, "proxy_protocol": args.proxy_protocol});
    let answer = client.ask(client.domain_passthrough(&args.host, &body)).await?;
    context.out.answer(&answer.json, || match args.port {
        None => format!("TLS for {} ends at the edge again", args.host),
        Some(port) => format!("TLS for {} is passed on to port {port} of {}", args.host, answer.value.app.name),
    })
}

/// JSON of a file.
pub fn read(path: &PathBuf) -> Result<Value> {
    let text = fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{} is not JSON: {error}", path.display())))
}

/// JSON where it is that, else a text; nothing turns it off.
pub fn change(text: &str) -> Result<(String, Option<Value>), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or("use KEY=VALUE, or KEY= to turn it off")?;
    let value = match value {
        "" => None,
        value => Some(serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))),
    };
    Ok((key.to_owned(), value))
}

/// Sets `a.b.c`, making objects on the way.
pub fn put(into: &mut Value, key: &str, value: Option<Value>) -> Result {
    let mut place = into;
    let (front, last) = key.rsplit_once('.').map_or((None, key), |(front, last)| (Some(front), last));
    let objects = || Failure::usage(format!("{key}: only fields of objects can be set so"));
    for part in front.into_iter().flat_map(|front| front.split('.')) {
        let fields = place.as_object_mut().ok_or_else(objects)?;
        place = fields.entry(part).or_insert(Value::Null);
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
    }
    let fields = place.as_object_mut().ok_or_else(objects)?;
    match value {
        Some(value) => fields.insert(last.to_owned(), value),
        None => fields.remove(last),
    };
    Ok(())
}

fn print(context: &Context, policy: &Value) -> Result {
    let out = context.out;
    out.answer(policy, || {
        let fields: Vec<(&String, &Value)> = policy
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null())
            .collect();
        if fields.is_empty() {
            return out.paint(Tone::Faint, "requests are passed on as they come");
        }
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
        let line = |(name, value): &(&String, &Value)| format!("{name:width$}{value}\n");
        fields.iter().map(line).collect()
    })
}

/// A policy or an action in one cell.
pub fn short(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::tone("none", Tone::Faint),
        Value::String(text) => Cell::from(text.clone()),
        other => Cell::from(other.to_string()),
    }
}

/// What is known of one thing.
pub fn facts(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Facts {
    let mut facts = Facts::new();
    for (name, value) in pairs {
        facts.add(name, short(&value));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_as_people_type_them() {
        let mut policy = json!({"cors": {"origins": ["*"]}, "bandwidth": 5});
        for text in [
            "compression=true",
            "maintenance.message=back at noon",
            "cors.max_age_seconds=7",
            "bandwidth=",
            "access={\"allow\":[]}",
        ] {
            let (key, value) = change(text).expect("well-formed");
            assert!(put(&mut policy, &key, value).is_ok(), "{text}");
        }
        assert_eq!(
            policy,
            json!({"compression": true, "maintenance": {"message": "back at noon"}, "access": {"allow": []},
                "cors": {"origins": ["*"], "max_age_seconds": 7}})
        );
        assert!(change("compression").is_err() && change("=x").is_err());
        assert!(put(&mut policy, "compression.x", Some(json!(1))).is_err());
    }
}
