//! `serverkit domain rule …` and `serverkit domain explain`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone},
    policies::{change, facts, put, read},
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{ExplainHeader, ExplainQuestion, Rule, RuleOrder},
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the rules of a domain, in the order in which they are asked
    #[command(visible_alias = "ls")]
    List(Host),
    /// Add a rule to a domain
    ///
    /// Examples:
    ///   serverkit domain rule add a.test api --prefix /api --app api --strip
    ///   serverkit domain rule add a.test admin --prefix /admin --app ./console:9001
    ///   serverkit domain rule add a.test old --redirect '/new/$1' --pattern '^/old/(.*)'
    ///   serverkit domain rule add a.test beta --header x-beta=1 --app beta
    ///   serverkit domain rule add a.test items --rewrite '^/shop/(\d+)$' '/item/$1' --app .
    ///   serverkit domain rule add a.test try --split .=90 --split beta=10
    ///   serverkit domain rule add a.test robots --exact /robots.txt --respond 'User-agent: *'
    #[command(verbatim_doc_comment)]
    Add(Box<Add>),
    /// Change fields of a rule: priority=5, enabled=false, matches.methods='["GET"]'
    Set(Set),
    /// Set the order in which rules are asked, by naming all of them
    Order(Order),
    /// Remove a rule
    #[command(visible_alias = "rm")]
    Remove(Named),
}

#[derive(Debug, Args)]
pub struct Host {
    /// The domain
    host: String,
}

#[derive(Debug, Args)]
pub struct Named {
    /// The domain
    host: String,
    /// Name or id of the rule
    rule: String,
}

#[derive(Debug, Args)]
pub struct Order {
    /// The domain
    host: String,
    /// Names or ids; the first is asked first
    #[arg(required = true)]
    rules: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Set {
    /// The domain
    host: String,
    /// Name or id of the rule
    rule: String,
    /// KEY=VALUE, or KEY= to clear it
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = change)]
    changes: Vec<(String, Option<Value>)>,
}

#[derive(Debug, Args)]
pub struct Add {
    /// The domain
    host: String,
    /// What to call the rule
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// A file with the whole rule as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,
    /// For this path and all below it
    #[arg(long, value_name = "PATH", conflicts_with = "exact")]
    prefix: Option<String>,
    /// For exactly this path
    #[arg(long, value_name = "PATH")]
    exact: Option<String>,
    /// For this method; may be given several times
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// For requests with this header, and this value if one is given; may be given several times
    ///
    /// NAME*=TEXT: with this text in it; !NAME: without the header.
    #[arg(long, value_name = "NAME[=VALUE]")]
    header: Vec<String>,
    /// Rules of higher priority are asked first
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    priority: i32,
    /// Name or id of the app that answers
    ///
    /// `.` is the domain's own app; APP/SERVICE:PORT another service of an app than its main one.
    #[arg(long, group = "action", value_parser = place)]
    app: Option<Value>,
    /// One of several apps that answer by turns, and its weight; given for each of them
    ///
    /// `.` is the domain's own app; APP/SERVICE:PORT another service of an app than its main one.
    #[arg(long, value_name = "APP=WEIGHT", group = "action", value_parser = part)]
    split: Vec<Value>,
    /// A server that the panel does not run, such as 10.0.0.5:8080, or a Unix socket such as /run/app.sock
    #[arg(long, value_name = "HOST:PORT|SOCKET", group = "action", value_parser = server_of)]
    origin: Option<Value>,
    /// Send the browser there: an address or a path
    #[arg(long, value_name = "ADDRESS", group = "action")]
    redirect: Option<String>,
    /// Answer with this text
    #[arg(long, value_name = "TEXT", group = "action")]
    respond: Option<String>,
    /// With --app, --split and --origin: take the prefix off the path
    #[arg(long, requires = "prefix")]
    strip: bool,
    /// With --app, --split and --origin: a regular expression over the path, and what takes its place
    #[arg(long, num_args = 2, value_names = ["REGEX", "PATH"], conflicts_with_all = ["redirect", "respond"])]
    rewrite: Vec<String>,
    /// With --redirect: only for paths that fit this regular expression, whose captures are $1, $2 in the address
    #[arg(long, value_name = "REGEX", requires = "redirect")]
    pattern: Option<String>,
    /// With --redirect: 301, 302, 307 or 308 (308 if left out); with --respond: 200 if left out
    #[arg(long)]
    status: Option<u16>,
    /// With --respond
    #[arg(long, value_name = "TYPE", default_value = "text/plain; charset=utf-8")]
    content_type: String,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The address, such as https://blog.example.com/api
    url: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header of the request; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<String>,
    /// The address of who asks
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        Command::List(args) => list(context, &client, &args.host).await,
        Command::Add(args) => {
            let body = match &args.file {
                Some(path) => read(path)?,
                None => wish(&args),
            };
            let answer = client.ask(client.domain_rule_add(&args.host, &body)).await?;
            out.answer(&answer.json, || {
                format!("{} has the rule {} ({})", args.host, answer.value.name, answer.value.id)
            })
        }
        Command::Set(args) => {
            let rules = all(&client, &args.host).await?.json;
            let found = rules["items"].as_array().into_iter().flatten().find(|rule| {
                let is = |key: &str| rule[key].as_str() == Some(&args.rule);
                is("id") || is("name")
            });
            let mut rule = found
                .cloned()
                .ok_or_else(|| Failure::not_found(format!("{} has no rule `{}`", args.host, args.rule)))?;
            let id = rule["id"].as_str().unwrap_or_default().to_owned();
            if let Some(fields) = rule.as_object_mut() {
                fields.remove("id");
            }
            for (key, value) in args.changes {
                put(&mut rule, &key, value)?;
            }
            let answer = client.ask(client.domain_rule_replace(&args.host, &id, &rule)).await?;
            out.answer(&answer.json, || format!("the rule {} is changed", answer.value.name))
        }
        Command::Order(args) => {
            let body = RuleOrder { rules: args.rules };
            client.ask(client.domain_rule_order(&args.host, &body)).await?;
            list(context, &client, &args.host).await
        }
        Command::Remove(args) => {
            ask::confirm(
                &format!("{} will not have the rule {} any more", args.host, args.rule),
                context.globals.yes,
            )?;
            let done = client.ask(client.domain_rule_remove(&args.host, &args.rule)).await?;
            out.answer(&done.json, || format!("the rule {} is removed", args.rule))
        }
    }
}

async fn all(client: &Client, host: &str) -> Result<lists::Listed<Rule>> {
    lists::all(async |cursor| client.ask(client.domain_rule_list(host, cursor, lists::LIMIT)).await).await
}

async fn list(context: &Context, client: &Client, host: &str) -> Result {
    let rules = all(client, host).await?;
    let empty = format!("{host} has no rules; all requests go to its app");
    context.out.list(&rules.json, &empty, || {
        let mut table = Table::new(["PRIORITY", "NAME", "FOR", "DOES", ""]);
        for (rule, json) in rules.items.iter().zip(rules.json["items"].as_array().into_iter().flatten()) {
            table.row([
                rule.priority.to_string().into(),
                rule.name.clone().into(),
                fits(&json["matches"], &json["action"]["pattern"]).into(),
                does(&json["action"]).into(),
                if rule.enabled { "".into() } else { Cell::tone("off", Tone::Faint) },
            ]);
        }
        table
    })
}

/// `GET /api* with x-beta`
fn fits(matches: &Value, pattern: &Value) -> String {
    let texts = |list: &Value| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut words = texts(&matches["methods"]);
    let path = matches["path"]["path"].as_str().unwrap_or_default();
    words.push(match matches["path"]["kind"].as_str() {
        Some("prefix") => format!("{}/*", path.trim_end_matches('/')),
        Some("exact") => path.to_owned(),
        _ if pattern.is_string() => String::new(),
        _ => "every path".to_owned(),
    });
    // A redirect leaves paths that do not fit its pattern to the next rule.
    words.extend(pattern.as_str().map(str::to_owned));
    words.retain(|word| !word.is_empty());
    for header in matches["headers"].as_array().into_iter().flatten() {
        let (kind, value) = (&header["test"]["kind"], header["test"]["value"].as_str().unwrap_or_default());
        let name = header["name"].as_str().unwrap_or_default();
        words.push(match kind.as_str() {
            Some("absent") => format!("without {name}"),
            Some("equals") => format!("with {name}={value}"),
            Some("contains") => format!("with {value} in {name}"),
            _ => format!("with {name}"),
        });
    }
    words.join(" ")
}

fn server(origin: &Value) -> String {
    match origin["path"].as_str() {
        Some(path) => format!("server at {path}"),
        None => format!("server {}:{}", origin["host"].as_str().unwrap_or_default(), origin["port"]),
    }
}

fn does(action: &Value) -> String {
    let text = |key: &str| action[key].as_str().unwrap_or_default();
    match action["kind"].as_str() {
        Some("redirect") => format!("{} to {}", action["status"], text("to")),
        Some("respond") => format!("{} {}", action["status"], text("content_type")),
        Some("origin") => server(&action["origin"]),
        Some("split") => {
            let parts = action["parts"].as_array().into_iter().flatten();
            let words: Vec<String> = parts
                .map(|part| {
                    let place = match (part["origin"].is_object(), part["app"].as_str()) {
                        (true, _) => server(&part["origin"]),
                        (false, Some(app)) => app.to_owned(),
                        (false, None) => "the domain's app".to_owned(),
                    };
                    format!("{} to {place}{}", part["weight"], service_in(part))
                })
                .collect();
            words.join(", ")
        }
        _ => {
            let app = match action["app"].as_str() {
                Some(app) => format!("app {app}"),
                None => "the domain's app".to_owned(),
            };
            app + &service_in(action)
        }
    }
}

/// ` api:8080`, where another service than the main one is named.
fn service_in(place: &Value) -> String {
    let place = &place["service"];
    place["service"]
        .as_str()
        .map(|name| format!(" {name}:{}", place["port"]))
        .unwrap_or_default()
}

/// `blog=90`, `.=10` or `blog/admin:8080=5` as a part of a split.
fn part(text: &str) -> Result<Value, String> {
    let wrong = || format!("`{text}` is no part; use APP=WEIGHT, such as blog=90, or APP/SERVICE:PORT=WEIGHT");
    let (app, weight) = text.rsplit_once('=').ok_or_else(wrong)?;
    let weight: u32 = weight.parse().map_err(|_| wrong())?;
    let mut part = place(app).map_err(|_| wrong())?;
    part["weight"] = json!(weight);
    Ok(part)
}

/// `blog`, `.` or `blog/admin:8080` as the fields `app` and `service`.
fn place(text: &str) -> Result<Value, String> {
    let wrong = || format!("`{text}` is no app; use APP, such as blog, or APP/SERVICE:PORT");
    let (app, service) = match text.split_once('/') {
        Some((app, service)) => (app, Some(service)),
        None => (text, None),
    };
    if app.is_empty() {
        return Err(wrong());
    }
    let mut place = json!({});
    if app != "." {
        place["app"] = json!(app);
    }
    if let Some(service) = service {
        let (name, port) = service.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        place["service"] = json!({ "service": name, "port": port });
    }
    Ok(place)
}

/// `10.0.0.5:8080`, `[::1]:80` or `/run/app.sock`.
fn server_of(text: &str) -> Result<Value, String> {
    if text.starts_with('/') {
        return Ok(json!({ "kind": "socket", "path": text }));
    }
    let wrong = || format!("`{text}` is no server; use HOST:PORT, or the path of a Unix socket");
    let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    Ok(json!({ "kind": "host", "host": host.trim_matches(['[', ']']), "port": port }))
}

/// `x-beta`, `x-beta=1`, `user-agent*=bot` or `!x-old`.
pub fn header(text: &str) -> Value {
    let (name, test) = match (text.strip_prefix('!'), text.split_once('=')) {
        (Some(name), _) => (name, json!({ "kind": "absent" })),
        (None, Some((name, value))) => match name.strip_suffix('*') {
            Some(name) => (name, json!({ "kind": "contains", "value": value })),
            None => (name, json!({ "kind": "equals", "value": value })),
        },
        (None, None) => (text, json!({ "kind": "present" })),
    };
    json!({ "name": name, "test": test })
}

fn wish(args: &Add) -> Value {
    let mut matches = Map::new();
    if let Some((kind, path)) = match (&args.prefix, &args.exact) {
        (Some(path), _) => Some(("prefix", path)),
        (None, Some(path)) => Some(("exact", path)),
        (None, None) => None,
    } {
        matches.insert("path".into(), json!({"kind": kind, "path": path}));
    }
    matches.insert("methods".into(), json!(args.method));
    matches.insert("headers".into(), args.header.iter().map(|text| header(text)).collect());
    let mut path = match (&args.prefix, args.strip) {
        (Some(prefix), true) => json!({ "strip_prefix": prefix }),
        _ => json!({}),
    };
    if let [pattern, to] = args.rewrite.as_slice() {
        path["rewrite"] = json!({ "pattern": pattern, "to": to });
    }
    let action = if let Some(to) = &args.redirect {
        json!({"kind": "redirect", "pattern": args.pattern, "to": to, "status": args.status.unwrap_or(308)})
    } else if let Some(body) = &args.respond {
        json!({"kind": "respond", "status": args.status.unwrap_or(200), "content_type": args.content_type, "body": body})
    } else if let Some(origin) = &args.origin {
        json!({"kind": "origin", "origin": origin, "path": path})
    } else if !args.split.is_empty() {
        json!({"kind": "split", "parts": args.split, "path": path})
    } else {
        let place = args.app.clone().unwrap_or_default();
        json!({"kind": "app", "app": place["app"], "service": place["service"], "path": path})
    };
    json!({"name": args.name, "priority": args.priority, "matches": matches, "action": action})
}

pub async fn explain(context: &Context, args: Explain) -> Result {
    let client = context.panel()?;
    let header = |text: String| match text.split_once('=') {
        Some((name, value)) => Ok(ExplainHeader {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        None => Err(Failure::usage("use --header NAME=VALUE")),
    };
    let body = ExplainQuestion {
        url: args.url,
        method: Some(args.method),
        headers: Some(args.header.into_iter().map(header).collect::<Result<_>>()?),
        client: args.client,
    };
    let answer = client.ask(client.domain_explain(&body)).await?;
    let out = context.out;
    out.answer(&answer.json, || {
        let told = &answer.value;
        let mut text = facts([("Answer", json!(told.answer)), ("Domain", json!(told.host))]).print(&out);
        for step in &told.steps {
            let sign = if step.decides { "→" } else { " " };
            text.push_str(&format!("{sign} {}: {}\n", step.what, step.why));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_in_short() {
        let matches = json!({"path": {"kind": "prefix", "path": "/api"}, "methods": ["GET"],
            "headers": [{"name": "x-beta", "test": {"kind": "equals", "value": "1"}}]});
        assert_eq!(fits(&matches, &Value::Null), "GET /api/* with x-beta=1");
        assert_eq!(fits(&json!({}), &Value::Null), "every path");
        assert_eq!(fits(&json!({"methods": ["GET"]}), &json!("^/old/")), "GET ^/old/");
        assert_eq!(does(&json!({"kind": "redirect", "to": "/x", "status": 308})), "308 to /x");
        assert_eq!(does(&json!({"kind": "app"})), "the domain's app");
        let service = json!({"service": "api", "port": 8080});
        assert_eq!(does(&json!({"kind": "app", "app": "b", "service": service})), "app b api:8080");
    }

    #[test]
    fn words_of_the_command_line() {
        assert_eq!(place("."), Ok(json!({})));
        assert_eq!(
            place("b/api:80"),
            Ok(json!({"app": "b", "service": {"service": "api", "port": 80}}))
        );
        assert_eq!(part(".=9"), Ok(json!({"weight": 9})));
        assert_eq!(server_of("[::1]:80"), Ok(json!({"kind": "host", "host": "::1", "port": 80})));
        assert_eq!(server_of("/run/a.sock"), Ok(json!({"kind": "socket", "path": "/run/a.sock"})));
        for wrong in ["/x:1", "b/api", "b/api:x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(server_of("host").is_err() && server_of(":80").is_err() && part("b").is_err());
        for (text, test) in [
            ("x-a", json!({"kind": "present"})),
            ("x-a=b=c", json!({"kind": "equals", "value": "b=c"})),
            ("x-a*=b", json!({"kind": "contains", "value": "b"})),
            ("!x-a", json!({"kind": "absent"})),
        ] {
            assert_eq!(header(text), json!({"name": "x-a", "test": test}), "{text}");
        }
    }
}
