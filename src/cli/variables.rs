//! `serverkit env …`. Values are bytes: what goes in comes out.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone, when},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::{Args, Subcommand};
use client::types::{Encoding, Variable, VariableImport, VariableInput, VariableScope, VariableUpdate};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};
use types::{Clock, SystemClock, VariableKey};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the variables of an app; secret values show as dots
    #[command(visible_alias = "ls")]
    List(List),
    /// Set variables; they take effect with the next deployment
    Set(Set),
    /// Remove variables
    Unset(Unset),
    /// Set the variables of a .env file; what it does not name stays
    Import(Import),
    /// Print all variables as a .env file, secret values too
    Export(Export),
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the app
    name: String,
    /// Show secret values too; this is recorded
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the app
    name: String,
    /// KEY=VALUE, KEY@FILE for the content of a file, or KEY=- for standard input; files and input are taken byte for byte
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = assignment)]
    variables: Vec<Assignment>,
    /// They are secret: their values are not shown in lists, and are build secrets at build time
    #[arg(long, conflicts_with = "plain")]
    secret: bool,
    /// They are not secret any more
    #[arg(long)]
    plain: bool,
    /// When they are there: in the running container, while the image is built, or both
    #[arg(long, value_parser = scope)]
    scope: Option<VariableScope>,
}

#[derive(Debug, Args)]
pub struct Unset {
    /// Name or id of the app
    name: String,
    /// The variables to remove
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Name or id of the app
    name: String,
    /// The file; - for standard input
    file: PathBuf,
    /// Mark all of them as secret
    #[arg(long)]
    secret: bool,
    /// When they are there: in the running container, while the image is built, or both
    #[arg(long, value_parser = scope)]
    scope: Option<VariableScope>,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Name or id of the app
    name: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::List(args) => list(context, args).await,
        Command::Set(args) => {
            let secret = if args.plain { Some(false) } else { args.secret.then_some(true) };
            let set = inputs(args.variables, secret, args.scope)?;
            let keys = set.iter().map(|each| each.key.clone()).collect();
            change(context, &args.name, Some(set), None, keys, "set").await
        }
        Command::Unset(args) => {
            ask::confirm(
                &format!("This removes {} from {}", args.keys.join(", "), args.name),
                context.globals.yes || !ask::is_possible(),
            )?;
            change(context, &args.name, None, Some(args.keys.clone()), args.keys, "removed").await
        }
        Command::Import(args) => import(context, args).await,
        Command::Export(args) => export(context, args).await,
    }
}

async fn list(context: &Context, args: List) -> Result {
    let client = context.panel()?;
    let reveal = args.reveal.then_some(true);
    let variables =
        lists::all::<Variable, _>(async |cursor| client.ask(client.variable_list(&args.name, cursor, lists::LIMIT, reveal)).await).await?;
    let empty = format!("{} has no variables; set one: serverkit env set {} KEY=VALUE", args.name, args.name);
    context.out.list(&variables.json, &empty, || {
        let mut table = Table::new(["KEY", "VALUE", "WHEN", "CHANGED", "BY"]);
        let now = SystemClock.now();
        for variable in &variables.items {
            table.row([
                variable.key.clone().into(),
                value_cell(variable),
                variable.scope.to_string().into(),
                when(&variable.updated_at, now).into(),
                variable.updated_by.clone().into(),
            ]);
        }
        table
    })
}

/// A value fit for a table: long ones are cut, bytes are counted.
fn value_cell(variable: &Variable) -> Cell {
    let Some(value) = &variable.value else {
        return Cell::tone("••••••••", Tone::Faint);
    };
    if variable.encoding == Encoding::Base64 {
        let count = BASE64_STANDARD.decode(value).map_or(0, |bytes| bytes.len());
        return Cell::tone(format!("({count} bytes)"), Tone::Faint);
    }
    let line = value.replace('\n', "⏎");
    if line.chars().count() > 60 {
        return Cell::from(format!("{}…", line.chars().take(59).collect::<String>()));
    }
    Cell::from(line)
}

async fn change(
    context: &Context,
    name: &str,
    set: Option<Vec<VariableInput>>,
    unset: Option<Vec<String>>,
    keys: Vec<String>,
    verb: &str,
) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.variable_update(name, &VariableUpdate { set, unset })).await?;
    context.out.answer(&answer.json, || {
        format!("{verb} {}; bring it live: serverkit deploy {name}", keys.join(", "))
    })
}

async fn import(context: &Context, args: Import) -> Result {
    let bytes = read_bytes(&args.file)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is not text in UTF-8", args.file.display())))?;
    let body = VariableImport {
        text,
        secret: args.secret.then_some(true),
        scope: args.scope,
    };
    let client = context.panel()?;
    let answer = client.ask(client.variable_import(&args.name, &body)).await?;
    context.out.answer(&answer.json, || {
        format!(
            "{} has {} variables now; bring them live: serverkit deploy {}",
            args.name,
            answer.value.items.len(),
            args.name
        )
    })
}

async fn export(context: &Context, args: Export) -> Result {
    let client = context.panel()?;
    if context.out.json {
        let variables =
            lists::all::<Variable, _>(async |cursor| client.ask(client.variable_list(&args.name, cursor, lists::LIMIT, Some(true))).await)
                .await?;
        return context.out.value(&variables.json);
    }
    let stream = client.ask(client.variable_export(&args.name)).await?.value;
    context.out.bytes(&client.read(stream).await?)
}

/// A variable as given on the command line, its value not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    key: String,
    from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Text(String),
    File(PathBuf),
    Input,
}

/// `KEY=VALUE`, `KEY@FILE`, `KEY=-`. The value may hold anything, `=` and `@` too.
pub fn assignment(text: &str) -> Result<Assignment, String> {
    let wrong = || "use KEY=VALUE, KEY@FILE or KEY=-".to_owned();
    let end = text.find(['=', '@']).ok_or_else(wrong)?;
    let key: VariableKey = text[..end].parse().map_err(|error: types::Error| error.to_string())?;
    let value = &text[end + 1..];
    let from = match &text[end..=end] {
        "@" if value.is_empty() => return Err(wrong()),
        "@" => From::File(value.into()),
        _ if value == "-" => From::Input,
        _ => From::Text(value.to_owned()),
    };
    Ok(Assignment { key: key.into(), from })
}

fn scope(text: &str) -> Result<VariableScope, String> {
    text.parse().map_err(|_| "use run, build or both".to_owned())
}

/// Reads the values. Standard input can be given once.
pub fn read(assignments: Vec<Assignment>, secret: bool, scope: Option<VariableScope>) -> Result<Vec<VariableInput>> {
    inputs(assignments, secret.then_some(true), scope)
}

fn inputs(assignments: Vec<Assignment>, secret: Option<bool>, scope: Option<VariableScope>) -> Result<Vec<VariableInput>> {
    if assignments.iter().filter(|each| each.from == From::Input).count() > 1 {
        return Err(Failure::usage("standard input can be the value of one variable only"));
    }
    assignments
        .into_iter()
        .map(|each| {
            let (value, encoding) = match each.from {
                From::Text(text) => (text, Encoding::Utf8),
                From::File(path) => encode(read_bytes(&path)?),
                From::Input => encode(read_bytes(Path::new("-"))?),
            };
            Ok(VariableInput {
                key: each.key,
                value: Some(value),
                encoding: Some(encoding),
                scope,
                secret,
            })
        })
        .collect()
}

fn encode(bytes: Vec<u8>) -> (String, Encoding) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, Encoding::Utf8),
        Err(error) => (BASE64_STANDARD.encode(error.as_bytes()), Encoding::Base64),
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn assignments() {
        for (text, expected) in [
            ("A=1", Some(("A", From::Text("1".into())))),
            ("A=", Some(("A", From::Text(String::new())))),
            ("A=b=c@d", Some(("A", From::Text("b=c@d".into())))),
            ("A= x\n\"'$`", Some(("A", From::Text(" x\n\"'$`".into())))),
            ("A=@x", Some(("A", From::Text("@x".into())))),
            ("A@/run/x=y", Some(("A", From::File("/run/x=y".into())))),
            ("A=-", Some(("A", From::Input))),
            ("A=--", Some(("A", From::Text("--".into())))),
            ("A", None),
            ("A@", None),
            ("=x", None),
            ("1A=x", None),
            ("A-B=x", None),
            ("A B=x", None),
            ("", None),
        ] {
            let read = assignment(text).ok();
            assert_eq!(read.as_ref().map(|each| (each.key.as_str(), each.from.clone())), expected, "{text}");
        }
    }

    #[test]
    fn files_are_taken_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, value, encoding) in [
            (b"a\nb\r\n".as_slice(), "a\nb\r\n", Encoding::Utf8),
            (b"", "", Encoding::Utf8),
            (b"\xff\x00\n", "/wAK", Encoding::Base64),
        ] {
            let path = folder.path().join("value");
            fs::write(&path, bytes).unwrap();
            let given = assignment(&format!("KEY@{}", path.display())).unwrap();
            let input = inputs(vec![given], None, None).unwrap().remove(0);
            assert_eq!((input.value.as_deref(), input.encoding), (Some(value), Some(encoding)));
        }
        assert!(inputs(vec![assignment("A@/absent").unwrap()], None, None).is_err());
        assert!(inputs(vec![assignment("A=-").unwrap(), assignment("B=-").unwrap()], None, None).is_err());
    }
}
