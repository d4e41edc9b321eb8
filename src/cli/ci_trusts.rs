//! `serverkit ci-trust …`: repositories whose CI may deploy an app.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    output::{Cell, Table, Tone, when},
};
use clap::{Args, Subcommand};
use client::types::{CiTrust, CiTrustCreate};
use std::{
    fs,
    path::{Path, PathBuf},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List repositories whose CI may deploy an app
    #[command(visible_alias = "ls")]
    List(Named),
    /// Let the CI of a repository deploy an app
    ///
    /// Nothing secret lies at the forge: each job changes an ID token, which the forge signs for it, for a token that can deploy
    /// this app for an hour. Print a workflow that does so: serverkit ci-trust workflow NAME
    Add(Add),
    /// Trust a repository no more; tokens that its jobs have got end at once
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Print a workflow for GitHub Actions that deploys an app and waits for the outcome
    Workflow(Named),
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct Add {
    /// Name or id of the app
    name: String,
    /// The repository, owner/name
    repository: String,
    /// A pattern of branches whose jobs may deploy; may be given several times
    #[arg(long = "branch", value_name = "PATTERN", required_unless_present = "tags")]
    branches: Vec<String>,
    /// A pattern of tags whose jobs may deploy; may be given several times
    #[arg(long = "tag", id = "tags", value_name = "PATTERN")]
    tags: Vec<String>,
    /// Only jobs of this environment at the forge
    #[arg(long)]
    environment: Option<String>,
    /// Only jobs of this file, such as .github/workflows/deploy.yml
    #[arg(long, value_name = "FILE")]
    workflow: Option<String>,
    /// Who signs ID tokens; GitHub unless said: https://gitlab.com, or the address of an own GitLab
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Certificates (PEM) of an own authority that signed the issuer's own certificate
    #[arg(long, value_name = "FILE", requires = "issuer")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Name or id of the app
    name: String,
    /// Its id (see `serverkit ci-trust list`)
    id: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List(args) => {
            let answer = client.ask(client.ci_trust_list(&args.name)).await?;
            let empty = format!(
                "no CI may deploy {0}; trust one: serverkit ci-trust add {0} OWNER/NAME --branch main",
                args.name
            );
            context.out.list(&answer.json, &empty, || table(&answer.value.items))
        }
        Command::Add(args) => {
            let body = CiTrustCreate {
                issuer: args.issuer,
                authority: args.ca_file.as_deref().map(certificates_in).transpose()?,
                repository: args.repository,
                branches: Some(args.branches),
                tags: Some(args.tags),
                environment: args.environment,
                workflow: args.workflow,
            };
            let made = client.ask(client.ci_trust_add(&args.name, &body)).await?;
            let repository = &made.value.repository;
            context.out.answer(&made.json, || {
                format!(
                    "jobs of {repository} may deploy {0}; a workflow for them: serverkit ci-trust workflow {0}",
                    args.name
                )
            })
        }
        Command::Remove(args) => {
            ask::confirm(&format!("its jobs will not deploy {} any more", args.name), context.globals.yes)?;
            let done = client.ask(client.ci_trust_remove(&args.name, &args.id)).await?;
            context.out.answer(&done.json, || format!("{} is not trusted any more", args.id))
        }
        Command::Workflow(args) => {
            let answer = client.ask(client.ci_trust_list(&args.name)).await?;
            let text = serde_json::json!({ "workflow": answer.value.workflow });
            context.out.answer(&text, || answer.value.workflow.clone())
        }
    }
}

fn certificates_in(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn table(trusts: &[CiTrust]) -> Table {
    let mut table = Table::new(["REPOSITORY", "ISSUER", "KEYS", "OF", "ONLY", "BY", "USED", "ID"]);
    let now = SystemClock.now();
    for trust in trusts {
        let of = [
            trust.branches.join(", "),
            trust.tags.iter().map(|tag| format!("tag {tag}")).collect::<Vec<_>>().join(", "),
        ];
        let of: Vec<&str> = of.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        let only: Vec<&str> = [&trust.environment, &trust.workflow]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        table.row([
            trust.repository.clone().into(),
            trust.issuer.trim_start_matches("https://").to_owned().into(),
            match (&trust.problem, &trust.keys_read_at) {
                (Some(problem), _) => Cell::tone(problem.clone(), Tone::Bad),
                (None, Some(_)) => "read".to_owned().into(),
                (None, None) => "being read".to_owned().into(),
            },
            of.join(", ").into(),
            only.join(", ").into(),
            match &trust.by {
                Some(by) => Cell::from(by.clone()),
                None => Cell::tone("gone; trust it again", Tone::Bad),
            },
            trust.last_used_at.as_deref().map(|at| when(at, now)).unwrap_or_default().into(),
            trust.id.clone().into(),
        ]);
    }
    table
}
