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
use client::types::{
    Encoding, Variable, VariableImport, VariableInput, VariablePreview, VariableRestore, VariableScope, VariableUpdate, VariableVersion,
};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};
use types::{Clock, SystemClock, VariableKey};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List variables; secret values show as dots
    #[command(visible_alias = "ls")]
    List(List),
    /// Set variables; they take effect with the next deployment
    ///
    /// ${NAME} in a value stands for another variable, ${APP.NAME} for one of another app of the same environment, $${NAME} for the text itself.
    Set(Set),
    /// Remove variables
    Unset(Unset),
    /// Set the variables of a .env file; what it does not name stays
    Import(Import),
    /// Print the variables as a .env file, secret values too
    Export(Export),
    /// Show what variables were, who changed them and when
    History(History),
    /// Make a variable what it was
    Restore(Restore),
}

/// Whose variables. What is in a project has its variables too: organization, project, environment, app, service; the
/// nearer one wins.
#[derive(Debug, Args)]
#[group(skip)]
struct Whose {
    /// Of a project (name or id), in place of an app
    #[arg(long, conflicts_with_all = ["environment", "organization", "service"])]
    project: Option<String>,
    /// Of an environment (PROJECT/NAME or id), in place of an app
    #[arg(long, conflicts_with_all = ["organization", "service"])]
    environment: Option<String>,
    /// Of the organization: everything has them
    #[arg(long, conflicts_with = "service")]
    organization: bool,
    /// Of one service of the app, which is from a Compose file
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
}

/// Whose they are, for the API and in words.
struct Owner {
    text: String,
    words: String,
    /// As they are named on the command line.
    typed: String,
    /// What brings a change live.
    live: String,
}

impl Whose {
    fn needs_app(&self) -> bool {
        self.project.is_none() && self.environment.is_none() && !self.organization
    }

    /// The owner, and what is left of the words: the first one is the app where one is needed.
    fn of(&self, mut words: Vec<String>) -> Result<(Owner, Vec<String>)> {
        let shared = |text: String, words: String, typed: String| Owner {
            text,
            words,
            typed,
            live: "with --deploy, or deploy its apps".to_owned(),
        };
        let owner = match (&self.project, &self.environment) {
            (Some(project), _) => shared(
                format!("project:{project}"),
                format!("project {project}"),
                format!("--project {project}"),
            ),
            (_, Some(environment)) => shared(
                format!("environment:{environment}"),
                format!("environment {environment}"),
                format!("--environment {environment}"),
            ),
            _ if self.organization => shared(
                "organization".to_owned(),
                "the organization".to_owned(),
                "--organization".to_owned(),
            ),
            _ if words.is_empty() => {
                return Err(Failure::usage("whose variables?").hint("name an app, or give --project, --environment or --organization"));
            }
            _ => {
                let app = words.remove(0);
                let (text, typed) = match &self.service {
                    Some(service) => (format!("service:{app}/{service}"), format!("{app} --service {service}")),
                    None => (format!("app:{app}"), app.clone()),
                };
                Owner {
                    text,
                    typed,
                    live: format!("serverkit deploy {app}"),
                    words: app,
                }
            }
        };
        Ok((owner, words))
    }

    /// The same where nothing else may follow.
    fn alone(&self, name: Option<String>) -> Result<Owner> {
        if let (false, Some(name)) = (self.needs_app(), &name) {
            return Err(Failure::usage(format!("`{name}` is too much: leave the app or the flag out")));
        }
        Ok(self.of(name.into_iter().collect())?.0)
    }
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the app
    name: Option<String>,
    #[command(flatten)]
    whose: Whose,
    /// With what it inherits, and from where
    #[arg(long, short = 'i')]
    inherited: bool,
    /// Show secret values too; this is recorded
    #[arg(long)]
    reveal: bool,
}

/// When a change is done, and whether.
#[derive(Debug, Args)]
#[group(skip)]
struct Apply {
    /// Bring it live at once in every running app that has it
    #[arg(long, conflicts_with = "dry_run")]
    deploy: bool,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the app, then KEY=VALUE, KEY@FILE for the content of a file, or KEY=- for standard input; files and input are
    /// taken byte for byte
    #[arg(required = true, value_name = "APP KEY=VALUE")]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    /// They are secret: their values are not shown in lists, and are build secrets at build time
    #[arg(long, conflicts_with = "plain")]
    secret: bool,
    /// They are not secret any more
    #[arg(long)]
    plain: bool,
    /// When they are there: in the running container, while the image is built, or both
    #[arg(long, value_parser = scope)]
    scope: Option<VariableScope>,
    #[command(flatten)]
    apply: Apply,
}

#[derive(Debug, Args)]
pub struct Unset {
    /// Name or id of the app, then the variables to remove
    #[arg(required = true, value_name = "APP KEY")]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    apply: Apply,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Name or id of the app, then the file; - for standard input
    #[arg(required = true, value_name = "APP FILE")]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    /// Mark all of them as secret
    #[arg(long)]
    secret: bool,
    /// When they are there: in the running container, while the image is built, or both
    #[arg(long, value_parser = scope)]
    scope: Option<VariableScope>,
    /// Bring it live at once in every running app that has it
    #[arg(long)]
    deploy: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Name or id of the app
    name: Option<String>,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, Args)]
pub struct History {
    /// Name or id of the app, then a variable; without it all of them
    #[arg(value_name = "APP KEY")]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
    /// Show secret values too; this is recorded
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Name or id of the app, then the version (ver_…, see `serverkit env history`)
    #[arg(required = true, value_name = "APP VERSION")]
    words: Vec<String>,
    #[command(flatten)]
    whose: Whose,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::List(args) => list(context, args).await,
        Command::Set(args) => {
            let (owner, words) = args.whose.of(args.words)?;
            let given: Result<Vec<Assignment>, String> = words.iter().map(|word| assignment(word)).collect();
            let given = given.map_err(|why| Failure::usage(format!("not a variable: {why}")))?;
            if given.is_empty() {
                return Err(Failure::usage("nothing to set was given; use KEY=VALUE"));
            }
            let secret = if args.plain { Some(false) } else { args.secret.then_some(true) };
            let set = inputs(given, secret, args.scope)?;
            let keys = set.iter().map(|each| each.key.clone()).collect();
            let body = VariableUpdate {
                set: Some(set),
                unset: None,
            };
            change(context, &owner, body, keys, "set", &args.apply).await
        }
        Command::Unset(args) => {
            let (owner, keys) = args.whose.of(args.words)?;
            if keys.is_empty() {
                return Err(Failure::usage("no variable to remove was given"));
            }
            let keys = match args.apply.dry_run {
                true => keys,
                false => those_there(context, &owner, keys).await?,
            };
            if !args.apply.dry_run {
                ask::confirm(
                    &format!("This removes {} from {}", keys.join(", "), owner.words),
                    context.globals.yes || !ask::is_possible(),
                )?;
            }
            let body = VariableUpdate {
                set: None,
                unset: Some(keys.clone()),
            };
            change(context, &owner, body, keys, "removed", &args.apply).await
        }
        Command::Import(args) => import(context, args).await,
        Command::Export(args) => export(context, args).await,
        Command::History(args) => history(context, args).await,
        Command::Restore(args) => {
            let (owner, words) = args.whose.of(args.words)?;
            let [version] = <[String; 1]>::try_from(words).map_err(|_| Failure::usage("give one version (ver_…)"))?;
            let client = context.panel()?;
            let answer = client
                .ask(client.variable_restore(Some(&owner.text), &VariableRestore { version }))
                .await?;
            context
                .out
                .answer(&answer.json, || format!("restored; bring it live: {}", owner.live))
        }
    }
}

async fn list(context: &Context, args: List) -> Result {
    let client = context.panel()?;
    let owner = args.whose.alone(args.name)?;
    let (inherited, reveal) = (args.inherited.then_some(true), args.reveal.then_some(true));
    let variables = lists::all::<Variable, _>(async |cursor| {
        client
            .ask(client.shared_variable_list(cursor, inherited, lists::LIMIT, Some(&owner.text), reveal))
            .await
    })
    .await?;
    let empty = format!(
        "{} has no variables; set one: serverkit env set {} KEY=VALUE",
        owner.words, owner.typed
    );
    context.out.list(&variables.json, &empty, || {
        let mut table = Table::new(["KEY", "VALUE", "WHEN", "FROM", "CHANGED", "BY"]);
        let now = SystemClock.now();
        for variable in &variables.items {
            table.row([
                variable.key.clone().into(),
                value_cell(variable.value.as_deref(), variable.encoding),
                variable.scope.to_string().into(),
                variable.from.clone().into(),
                when(&variable.updated_at, now).into(),
                variable.updated_by.clone().into(),
            ]);
        }
        table
    })
}

async fn history(context: &Context, args: History) -> Result {
    let (owner, mut words) = args.whose.of(args.words)?;
    let key = words.pop();
    if !words.is_empty() {
        return Err(Failure::usage("give one variable, or none for all"));
    }
    let client = context.panel()?;
    let reveal = args.reveal.then_some(true);
    let versions = lists::all::<VariableVersion, _>(async |cursor| {
        client
            .ask(client.variable_history(cursor, key.as_deref(), lists::LIMIT, Some(&owner.text), reveal))
            .await
    })
    .await?;
    context.out.list(&versions.json, "nothing was changed yet", || {
        let mut table = Table::new(["VERSION", "KEY", "VALUE", "WHEN", "CHANGED", "BY"]);
        let now = SystemClock.now();
        for version in &versions.items {
            let value = if version.removed {
                Cell::tone("removed", Tone::Faint)
            } else {
                value_cell(version.value.as_deref(), version.encoding)
            };
            table.row([
                version.id.clone().into(),
                version.key.clone().into(),
                value,
                version.scope.to_string().into(),
                when(&version.at, now).into(),
                version.by.clone().into(),
            ]);
        }
        table
    })
}

/// A value fit for a table: long ones are cut, bytes are counted.
fn value_cell(value: Option<&str>, encoding: Encoding) -> Cell {
    let Some(value) = value else {
        return Cell::tone("••••••••", Tone::Faint);
    };
    if encoding == Encoding::Base64 {
        let count = BASE64_STANDARD.decode(value).map_or(0, |bytes| bytes.len());
        return Cell::tone(format!("({count} bytes)"), Tone::Faint);
    }
    let line = value.replace('\n', "⏎");
    if line.chars().count() > 60 {
        return Cell::from(format!("{}…", line.chars().take(59).collect::<String>()));
    }
    Cell::from(line)
}

async fn change(context: &Context, owner: &Owner, body: VariableUpdate, keys: Vec<String>, verb: &str, apply: &Apply) -> Result {
    let client = context.panel()?;
    if apply.dry_run {
        let preview = client.ask(client.shared_variable_preview(Some(&owner.text), &body)).await?;
        return context.out.answer(&preview.json, || preview_text(&preview.value));
    }
    let deploy = apply.deploy.then_some(true);
    let answer = client.ask(client.shared_variable_update(deploy, Some(&owner.text), &body)).await?;
    context.out.answer(&answer.json, || match apply.deploy {
        true => format!("{verb} {}; deployments are queued", keys.join(", ")),
        false => format!("{verb} {}; bring it live: {}", keys.join(", "), owner.live),
    })
}

/// Of these names those that the owner has, and says which it has not. Fails with `NotFound` when it has none of them.
async fn those_there(context: &Context, owner: &Owner, keys: Vec<String>) -> Result<Vec<String>> {
    let client = context.panel()?;
    let variables = lists::all::<Variable, _>(async |cursor| {
        client
            .ask(client.shared_variable_list(cursor, None, lists::LIMIT, Some(&owner.text), None))
            .await
    })
    .await?;
    let is_there = |key: &String| variables.items.iter().any(|variable| variable.key == *key);
    let (there, missing): (Vec<String>, Vec<String>) = keys.into_iter().partition(is_there);
    if missing.is_empty() {
        return Ok(there);
    }
    let sentence = format!("{} has no variable {} of its own", owner.words, missing.join(", "));
    if there.is_empty() {
        return Err(
            Failure::not_found(sentence).hint("`serverkit env list` shows those that there are; --inherited also those from farther away")
        );
    }
    context.out.note(sentence);
    Ok(there)
}

/// `A: 1 → 2`, a line each, and who has it.
fn preview_text(preview: &VariablePreview) -> String {
    if preview.changes.is_empty() {
        return "nothing would change".to_owned();
    }
    let mut lines: Vec<String> = preview
        .changes
        .iter()
        .map(|change| match (&change.from, &change.to) {
            (None, Some(to)) => format!("+ {}: {to}", change.what),
            (Some(from), None) => format!("- {}: {from}", change.what),
            (from, to) => format!(
                "~ {}: {} → {}",
                change.what,
                from.as_deref().unwrap_or_default(),
                to.as_deref().unwrap_or_default()
            ),
        })
        .collect();
    let apps: Vec<&str> = preview.apps.iter().map(|app| app.name.as_str()).collect();
    lines.push(format!(
        "in: {}",
        if apps.is_empty() {
            "no app yet".to_owned()
        } else {
            apps.join(", ")
        }
    ));
    lines.join("\n")
}

async fn import(context: &Context, args: Import) -> Result {
    let (owner, words) = args.whose.of(args.words)?;
    let [file] = <[String; 1]>::try_from(words).map_err(|_| Failure::usage("give one file; - for standard input"))?;
    let file = PathBuf::from(file);
    let bytes = read_bytes(&file)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is not text in UTF-8", file.display())))?;
    let body = VariableImport {
        text,
        secret: args.secret.then_some(true),
        scope: args.scope,
    };
    let client = context.panel()?;
    let deploy = args.deploy.then_some(true);
    let answer = client.ask(client.shared_variable_import(deploy, Some(&owner.text), &body)).await;
    let answer = answer.map_err(|refused| Failure::from(refused).calling("text", &file.display().to_string()))?;
    context.out.answer(&answer.json, || {
        let count = answer.value.items.len();
        format!("{} has {count} variables now; bring them live: {}", owner.words, owner.live)
    })
}

async fn export(context: &Context, args: Export) -> Result {
    let client = context.panel()?;
    let owner = args.whose.alone(args.name)?;
    if context.out.json {
        let variables = lists::all::<Variable, _>(async |cursor| {
            client
                .ask(client.shared_variable_list(cursor, None, lists::LIMIT, Some(&owner.text), Some(true)))
                .await
        })
        .await?;
        return context.out.value(&variables.json);
    }
    let stream = client.ask(client.shared_variable_export(Some(&owner.text))).await?.value;
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
