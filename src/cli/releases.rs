//! `serverkit release …` and `serverkit promote`.

use crate::{
    ask,
    commands::Context,
    deployments,
    failure::Result,
    lists,
    output::{Cell, Table, Tone, bytes, shown, when},
};
use clap::{Args, Subcommand};
use client::{
    Answer,
    types::{Promotion, PromotionPlan, Release},
};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the releases of an app that are kept
    #[command(visible_alias = "ls")]
    List(List),
    /// Keep a release until it is unpinned, whatever its age
    Pin(Named),
    /// Let a release go when its time comes
    Unpin(Named),
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the app
    name: String,
    /// Number or id of the release
    release: String,
}

#[derive(Debug, Args)]
pub struct Promote {
    /// Name or id of the app that has the release; blog@staging where several environments have a blog
    name: String,
    /// Number or id of the release; without it what is live
    release: Option<String>,
    /// An app of the same project, or an environment of it that has an app of the same name
    #[arg(long, value_name = "APP|ENVIRONMENT")]
    to: String,
    /// Show what would change there, from what is live to what would be, and deploy nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until it is live, showing the log; the exit code is 1 if it does not get there
    #[arg(long, short = 'w')]
    wait: bool,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List(args) => {
            let app = &args.name;
            let releases =
                lists::all::<Release, _>(async |cursor| client.ask(client.release_list(app, cursor, lists::LIMIT)).await).await?;
            let empty = format!("{app} was never deployed; deploy it: serverkit deploy {app}");
            context.out.list(&releases.json, &empty, || table(&releases.items))
        }
        Command::Pin(args) => {
            let release = client.ask(client.release_pin(&args.name, number(&args.release))).await?;
            context.out.answer(&release.json, || {
                format!("release #{} is kept until it is unpinned", release.value.number)
            })
        }
        Command::Unpin(args) => {
            let release = client.ask(client.release_unpin(&args.name, number(&args.release))).await?;
            context.out.answer(&release.json, || {
                format!("release #{} goes when its time comes", release.value.number)
            })
        }
    }
}

pub async fn promote(context: &Context, args: Promote) -> Result {
    let client = context.panel()?;
    let release = args.release.as_deref().map(number);
    if args.dry_run {
        let answer = client.ask(client.promotion_plan(&args.name, release, Some(&args.to))).await?;
        return show_plan(context, &answer);
    }
    let body = if context.globals.yes {
        Promotion {
            to: args.to,
            release: args.release,
        }
    } else {
        let plan = client.ask(client.promotion_plan(&args.name, release, Some(&args.to))).await?.value;
        if !plan.warnings.is_empty() {
            ask::confirm(&plan_text(&args.name, &plan), false)?;
        }
        // What was shown is what is done.
        Promotion {
            to: plan.app.id,
            release: Some(plan.release.to_string()),
        }
    };
    let answer = client.ask(client.release_promote(&args.name, &body)).await?;
    deployments::begun(context, &client, &answer.value, &answer.json, args.wait).await
}

/// What would change there.
fn show_plan(context: &Context, answer: &Answer<PromotionPlan>) -> Result {
    let plan = &answer.value;
    if context.out.json {
        return context.out.value(&answer.json);
    }
    if plan.live.is_none() {
        let (app, environment) = (&plan.app.name, &plan.environment.name);
        return context.out.line(format!(
            "nothing is live there: release #{} would be the first of {app} in {environment}",
            plan.release
        ));
    }
    deployments::changes_table(context, &plan.changes)
}

fn plan_text(name: &str, plan: &PromotionPlan) -> String {
    let target = format!("{} in {}", plan.app.name, plan.environment.name);
    let mut lines = vec![match plan.live {
        Some(live) => format!("Release #{} of {name} takes the place of #{live} of {target}:", plan.release),
        None => format!("Release #{} of {name} becomes the first of {target}:", plan.release),
    }];
    lines.extend(plan.warnings.iter().map(|warning| format!("  {}", shown(warning))));
    for change in &plan.changes {
        let side = |side: &Option<String>| shown(side.as_deref().unwrap_or("-"));
        lines.push(format!("  {}: {} → {}", shown(&change.what), side(&change.from), side(&change.to)));
    }
    lines.join("\n")
}

/// `#` would end the path of an address.
fn number(release: &str) -> &str {
    release.trim_start_matches('#')
}

fn table(releases: &[Release]) -> Table {
    let mut table = Table::new(["NUMBER", "", "IMAGE", "DIGEST", "COMMIT", "VARIABLES", "FILES", "SIZE", "MADE"]);
    let now = SystemClock.now();
    for release in releases {
        let mark = match (release.live, release.pinned) {
            (true, _) => Cell::tone("live", Tone::Good),
            (false, true) => Cell::from("pinned"),
            (false, false) => Cell::from(""),
        };
        let digest = release.digest.as_deref().and_then(|digest| digest.split_once("@sha256:"));
        table.row([
            format!("#{}", release.number).into(),
            mark,
            release.image_name.clone().into(),
            digest
                .map(|(_, hex)| hex.chars().take(12).collect::<String>())
                .unwrap_or_default()
                .into(),
            release.commit.as_ref().map(deployments::commit_text).unwrap_or_default().into(),
            release.variables.len().to_string().into(),
            release.files.len().to_string().into(),
            if release.bytes > 0 { bytes(release.bytes) } else { String::new() }.into(),
            when(&release.created_at, now).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_question_names_both_apps_and_what_changes() {
        let plan: PromotionPlan = serde_json::from_value(serde_json::json!({
            "app": {"id": "app_1", "name": "nope"},
            "environment": {"id": "env_1", "name": "production"},
            "release": 3,
            "live": 7,
            "changes": [{"what": "image", "from": "redis:7", "to": "site:3", "from_page": null, "to_page": null}],
            "warnings": ["`nope` in production is another app than `site`"],
        }))
        .unwrap();
        assert_eq!(
            plan_text("site", &plan),
            "Release #3 of site takes the place of #7 of nope in production:\n  \
             `nope` in production is another app than `site`\n  image: redis:7 → site:3"
        );
        let first = PromotionPlan {
            live: None,
            changes: Vec::new(),
            warnings: Vec::new(),
            ..plan
        };
        assert_eq!(
            plan_text("site", &first),
            "Release #3 of site becomes the first of nope in production:"
        );
    }
}
