//! `serverkit audit …`: who changed what.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    output::{Cell, Table, Tone, bytes, when},
    spans::moment,
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{AuditEntry, AuditReport},
};
use serde_json::{Value, json};
use std::{fs::File, io::Write, path::PathBuf};
use types::{Clock, SystemClock, Time};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show who did what, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Print the log as JSON lines, oldest first
    ///
    /// A line is an entry as it was hashed: SHA-256 over the line without `"hash"` is its hash, and `"previous"` the one of
    /// the entry before.
    Export(Export),
    /// Check that no entry was changed, taken out or put in; the exit code is 1 if one was
    ///
    /// Prints the number and the hash of the last entry. Noted elsewhere and given as --known later, they show too
    /// whether the end of the log was cut off or all of it was written anew.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub struct Search {
    /// Only of this person, token or address
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Only this: app, app.changed, user, variable.removed, signed_in, login_failed, secrets_revealed, terminal_opened, …
    #[arg(long, value_name = "WHAT")]
    what: Option<String>,
    /// From then on: 2h, 3d or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Words that must occur
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    search: Search,
    /// At most so many entries
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: usize,
    /// Show each field before and after
    #[arg(long)]
    fields: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    search: Search,
    /// Write to this file in place of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The last entry of a check before, as it was printed
    #[arg(long, value_name = "NUMBER:HASH")]
    known: Option<String>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List(args) => list(context, &client, args).await,
        Command::Export(args) => export(context, &client, args).await,
        Command::Verify(args) => {
            let answer = client.ask(client.audit_verify(args.known.as_deref())).await?;
            context.out.answer(&answer.json, || verdict(&answer.value))?;
            match answer.value.holds {
                true => Ok(()),
                false => Err(Failure::exit(1)),
            }
        }
    }
}

fn verdict(report: &AuditReport) -> String {
    match (&report.broken, &report.why) {
        (Some(number), Some(why)) => format!(
            "BROKEN at entry #{number}: {why}\nUp to #{} the log holds: {}:{}",
            report.last, report.last, report.hash
        ),
        _ => format!("{} entries hold\nThe last: {}:{}", report.entries, report.last, report.hash),
    }
}

/// A search as the API takes it.
struct Asked {
    by: Option<String>,
    what: Option<String>,
    since: Option<String>,
    until: Option<String>,
    text: Option<String>,
}

impl Search {
    fn asked(self) -> Result<Asked> {
        let now = SystemClock.now();
        let read = |text: Option<String>| -> Result<Option<String>> {
            let at: Option<Time> = text.map(|text| moment(&text, now)).transpose().map_err(Failure::usage)?;
            Ok(at.map(|at| at.to_string()))
        };
        Ok(Asked {
            by: self.by,
            what: self.what,
            since: read(self.since)?,
            until: read(self.until)?,
            text: Some(self.words.join(" ")).filter(|words| !words.is_empty()),
        })
    }
}

async fn list(context: &Context, client: &Client, args: List) -> Result {
    let asked = args.search.asked()?;
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let part = client
            .ask(client.audit_list(
                asked.by.as_deref(),
                cursor.as_deref(),
                Some(500),
                asked.since.as_ref(),
                asked.text.as_deref(),
                asked.until.as_ref(),
                asked.what.as_deref(),
            ))
            .await?;
        if let Some(more) = part.json["items"].as_array() {
            items.extend(more.iter().cloned());
        }
        cursor = part.value.next;
        if cursor.is_none() || items.len() >= args.limit {
            break;
        }
    }
    items.truncate(args.limit);
    let entries: Vec<AuditEntry> =
        serde_json::from_value(Value::Array(items.clone())).map_err(|error| Failure::from(client::Failure::Odd(error.to_string())))?;
    let json = json!({ "items": items, "next": null });
    context
        .out
        .list(&json, "nothing like this happened", || table(&entries, args.fields))
}

fn table(entries: &[AuditEntry], fields: bool) -> Table {
    let mut table = Table::new(["#", "WHEN", "WHO", "FROM", "WHAT"]);
    let now = SystemClock.now();
    for entry in entries {
        table.row([
            entry.number.to_string().into(),
            when(&entry.at, now).into(),
            entry.by.clone().into(),
            [entry.address.as_deref(), entry.country.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" ")
                .into(),
            entry.text.clone().into(),
        ]);
        if !fields {
            continue;
        }
        for field in entry.changes.iter().flat_map(|change| &change.fields) {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".into()).replace('\n', "⏎");
            let line = match field.secret {
                true => format!("  {}: changed", field.field),
                false => format!("  {}: {} → {}", field.field, shown(&field.before), shown(&field.after)),
            };
            table.row(["".into(), "".into(), "".into(), "".into(), Cell::tone(line, Tone::Faint)]);
        }
    }
    table
}

async fn export(context: &Context, client: &Client, args: Export) -> Result {
    let asked = args.search.asked()?;
    let mut file = match &args.output {
        Some(path) => {
            let made = File::create(path).map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
            Some((path, made))
        }
        None => None,
    };
    let (mut after, mut size) = (None, 0);
    loop {
        let stream = client
            .ask(client.audit_export(
                after,
                asked.by.as_deref(),
                asked.since.as_ref(),
                asked.text.as_deref(),
                asked.until.as_ref(),
                asked.what.as_deref(),
            ))
            .await?
            .value;
        let part = client.read(stream).await?;
        let Some(last) = part
            .trim_ascii_end()
            .rsplit(|byte| *byte == b'\n')
            .next()
            .filter(|line| !line.is_empty())
        else {
            break;
        };
        let last: Value = serde_json::from_slice(last).map_err(|error| Failure::from(client::Failure::Odd(error.to_string())))?;
        after = last["sequence"].as_u64();
        size += part.len() as u64;
        match &mut file {
            Some((path, file)) => file
                .write_all(&part)
                .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?,
            None => context.out.bytes(&part)?,
        }
    }
    if let Some((path, _)) = &file {
        context.out.note(format!("{} of log are in {}", bytes(size), path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_names_the_first_broken_entry() {
        let mut report = AuditReport {
            holds: true,
            entries: 7,
            first: 1,
            last: 7,
            hash: "ab".into(),
            broken: None,
            why: None,
        };
        assert_eq!(verdict(&report), "7 entries hold\nThe last: 7:ab");
        (report.holds, report.last, report.broken, report.why) = (false, 4, Some(5), Some("it was changed".into()));
        assert_eq!(verdict(&report), "BROKEN at entry #5: it was changed\nUp to #4 the log holds: 4:ab");
    }
}
