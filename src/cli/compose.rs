//! `serverkit compose …`: a Compose file, looked at before it is deployed.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    output::{Facts, Output, shown},
};
use clap::{Args, Subcommand};
use client::types::{ComposeCheck, ComposeReport};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a Compose file comes to; the exit code is 1 if it cannot be deployed
    Check(Check),
}

#[derive(Debug, Args)]
pub struct Check {
    /// The file; - for standard input
    file: PathBuf,
    /// Name or id of an app: it is read with the variables of that, and its profiles unless others are given
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Services of this profile run too (* for all); may be given several times
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Check(args) => check(context, args).await,
    }
}

async fn check(context: &Context, args: Check) -> Result {
    let body = ComposeCheck {
        compose: ask::text_file(&args.file)?,
        profiles: (!args.profiles.is_empty()).then_some(args.profiles),
        app: args.app,
    };
    let client = context.panel()?;
    let report = client.ask(client.compose_check(&body)).await?;
    context.out.answer(&report.json, || words(&report.value, &context.out))?;
    if report.value.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::exit(1))
    }
}

fn words(report: &ComposeReport, out: &Output) -> String {
    if !report.problems.is_empty() {
        let lines: Vec<String> = report.problems.iter().map(|one| shown(&placed(one.line, &one.what))).collect();
        return lines.join("\n");
    }
    let mut facts = Facts::new();
    for service in &report.services {
        let main = if service.main { ", main" } else { "" };
        let networks = match service.networks.is_empty() {
            true => String::new(),
            false => format!(", on {}", service.networks.join(" and ")),
        };
        facts.add("Service", format!("{} ({}){main}{networks}", service.name, service.image));
    }
    for volume in &report.volumes {
        facts.add("Volume", volume.clone());
    }
    for right in &report.rights {
        let what = format!("{} {}: only an administrator may save this", right.service, right.what);
        facts.add("Right", placed(right.line, &what));
    }
    for hint in &report.hints {
        facts.add("Hint", placed(hint.line, &hint.what));
    }
    facts.print(out)
}

/// With its line; 0 is the file as a whole.
fn placed(line: u32, what: &str) -> String {
    match line {
        0 => what.to_owned(),
        line => format!("line {line}: {what}"),
    }
}
