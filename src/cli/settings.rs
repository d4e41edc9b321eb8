//! `serverkit settings …` and `serverkit export`.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    output::{Facts, Tone},
};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use std::{fs, path::PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the settings
    Show,
    /// Change settings
    ///
    /// panel_domain         under which the panel is reached beside its port
    /// apps_domain          apps get NAME.<this> when they are made
    /// acme_directory       the certificate authority, as the address of its ACME directory
    /// acme_email           where it sends warnings to
    /// acme_ca_pem          PEM of the authority behind the ACME server, if that is not public
    /// deployments_at_once  deployments that run at once on a server
    /// build_on             where apps are built that say nothing of it: here, any, or a build server
    /// trash_days           how long deleted things stay in the trash
    /// log_days             how long logs are kept
    /// acme_challenge       how names are proven: http, tls_alpn or dns; nothing: what fits each
    /// acme_staging         true: Let's Encrypt's staging directory in place of its real one
    /// acme_eab_key_id      the account made beforehand, for authorities that want one,
    /// acme_eab_hmac_key    and its key; best as acme_eab_hmac_key@FILE
    /// dns_servers          name servers that are asked before an order, with commas; nothing: public ones
    /// public_addresses     under which the world reaches this server, with commas
    #[command(verbatim_doc_comment)]
    Set(Set),
}

#[derive(Debug, Args)]
pub struct Set {
    /// KEY=VALUE, KEY@FILE for the content of a file, or KEY= to clear it
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = change)]
    changes: Vec<(String, Given)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    Value(Value),
    File(PathBuf),
}

#[derive(Debug, Args)]
pub struct Export {
    /// Write it to this file in place of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let answer = match command {
        Command::Show => client.ask(client.setting_show()).await?,
        Command::Set(args) => {
            let body = Value::Object(body(args.changes)?);
            client.ask(client.setting_update(&body)).await?
        }
    };
    let out = context.out;
    out.answer(&answer.json, || {
        let settings = &answer.value;
        let mut facts = Facts::new();
        let text = |value: &Option<String>| match value {
            Some(value) => crate::output::Cell::from(value.clone()),
            None => crate::output::Cell::tone("none", Tone::Faint),
        };
        facts.add("panel_domain", text(&settings.panel_domain));
        facts.add("apps_domain", text(&settings.apps_domain));
        facts.add("acme_directory", settings.acme_directory.clone());
        facts.add("acme_email", text(&settings.acme_email));
        facts.add(
            "acme_ca_pem",
            text(
                &settings
                    .acme_ca_pem
                    .as_ref()
                    .map(|pem| format!("{} certificates", pem.matches("-----BEGIN").count())),
            ),
        );
        facts.add("deployments_at_once", settings.deployments_at_once.to_string());
        facts.add("build_on", settings.build_on.clone());
        facts.add("trash_days", settings.trash_days.to_string());
        facts.add("log_days", settings.log_days.to_string());
        facts.add(
            "acme_challenge",
            text(&settings.acme_challenge.map(|challenge| challenge.to_string())),
        );
        facts.add("acme_staging", settings.acme_staging.to_string());
        facts.add("acme_eab_key_id", text(&settings.acme_eab_key_id));
        let list = |values: &[String]| text(&Some(values.join(", ")).filter(|values| !values.is_empty()));
        facts.add("dns_servers", list(&settings.dns_servers));
        facts.add("public_addresses", list(&settings.public_addresses));
        facts.print(&out)
    })
}

/// A number where it is one, else a text; nothing clears.
fn change(text: &str) -> Result<(String, Given), String> {
    let wrong = || "use KEY=VALUE, KEY@FILE, or KEY= to clear it".to_owned();
    let end = text.find(['=', '@']).filter(|end| *end > 0).ok_or_else(wrong)?;
    let (key, value) = (text[..end].to_owned(), &text[end + 1..]);
    let given = match &text[end..=end] {
        "@" if value.is_empty() => return Err(wrong()),
        "@" => Given::File(value.into()),
        _ if value.is_empty() => Given::Value(Value::Null),
        _ => Given::Value(value.parse::<u32>().map_or_else(|_| Value::from(value), Value::from)),
    };
    Ok((key, given))
}

fn body(changes: Vec<(String, Given)>) -> Result<Map<String, Value>> {
    changes
        .into_iter()
        .map(|(key, given)| match given {
            Given::Value(value) => {
                let value = of_its_kind(&key, value);
                Ok((key, value))
            }
            Given::File(path) => {
                let text = fs::read_to_string(&path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
                // A key's last line end is not part of it.
                let text = if key == "acme_eab_hmac_key" { text.trim().to_owned() } else { text };
                Ok((key, Value::from(text)))
            }
        })
        .collect()
}

/// Lists are typed with commas, switches as words.
fn of_its_kind(key: &str, value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.as_str(),
        _ => return value,
    };
    match key {
        "dns_servers" | "public_addresses" => text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
        "acme_staging" => text.parse::<bool>().map_or_else(|_| value.clone(), Value::from),
        _ => value,
    }
}

pub async fn export(context: &Context, args: Export) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.state_export()).await?;
    let mut text = serde_json::to_string_pretty(&answer.json).expect("a JSON value always prints");
    text.push('\n');
    match &args.output {
        None => context.out.bytes(text.as_bytes()),
        Some(path) => {
            fs::write(path, text).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
            context.out.note(format!("written to {}", path.display()));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_as_people_type_them() {
        for (text, expected) in [
            ("trash_days=14", Some(("trash_days", Given::Value(Value::from(14))))),
            (
                "apps_domain=apps.example.com",
                Some(("apps_domain", Given::Value(Value::from("apps.example.com")))),
            ),
            (
                "acme_directory=https://a.test/?x=y",
                Some(("acme_directory", Given::Value(Value::from("https://a.test/?x=y")))),
            ),
            ("apps_domain=", Some(("apps_domain", Given::Value(Value::Null)))),
            ("acme_ca_pem@/x", Some(("acme_ca_pem", Given::File("/x".into())))),
            ("apps_domain", None),
            ("=x", None),
            ("a@", None),
        ] {
            let read = change(text).ok();
            assert_eq!(read.as_ref().map(|(key, given)| (key.as_str(), given.clone())), expected, "{text}");
        }
    }
}
