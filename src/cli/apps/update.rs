//! `serverkit app update`.

use super::{
    args::{ComposeArgs, GitArgs, RunArgs},
    nothing, some,
};
use crate::{
    commands::Context,
    deployments,
    failure::{Failure, Result},
    forges,
    sources::BuildArgs,
    spans,
};
use clap::Args;
use client::{
    Client,
    types::{SourceInput, SourceKind},
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Update {
    /// Name or id of the app
    name: String,
    /// A new name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// The repository
    #[arg(long, value_name = "URL", conflicts_with = "image")]
    git: Option<String>,
    /// The repository at a connected forge: OWNER/NAME
    #[arg(long, value_name = "REPOSITORY", conflicts_with_all = ["image", "git"])]
    repository: Option<String>,
    /// The image, such as redis:7.4
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// The Compose file; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "git"])]
    compose: Option<PathBuf>,
    #[command(flatten)]
    services: ComposeArgs,
    #[command(flatten)]
    details: GitArgs,
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Releases to keep for going back to
    #[arg(long, value_name = "COUNT")]
    keep_releases: Option<u32>,
    /// Keep releases at most so many days; the newest to go back to always stays; 0: at any age
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Keep releases while their images together are not larger, such as 5g; 0: at any size
    #[arg(long, value_name = "BYTES", value_parser = spans::memory)]
    keep_size: Option<u64>,
    /// Let the engine keep so much of its builds, such as 2g; 0: as much as all builds may
    #[arg(long, value_name = "BYTES", value_parser = spans::memory)]
    cache_size: Option<u64>,
    /// Build it here, on any build server that has a slot, or on a named one; settings: where the settings of the panel say
    #[arg(long, value_name = "here|any|SERVER|settings")]
    build_on: Option<String>,
    /// A container that exits this often without staying up is not started again; 0: it always is
    #[arg(long, value_name = "COUNT")]
    restart_limit: Option<u32>,
    /// Go back from a release that is given up on so soon after it went live; 0: never
    #[arg(long, value_name = "MINUTES")]
    rollback_within: Option<u32>,
    /// Use the repository's default branch again
    #[arg(long, conflicts_with_all = ["branch", "image"])]
    no_branch: bool,
    /// Use the port that the image exposes again
    #[arg(long, conflicts_with = "port")]
    no_port: bool,
    /// Use the image's own command again
    #[arg(long, conflicts_with = "command")]
    no_command: bool,
    /// Mount no volumes any more; their data stays
    #[arg(long, conflicts_with = "volumes")]
    no_volumes: bool,
    /// Deploy the change at once
    #[arg(long)]
    deploy: bool,
    /// Deploy the change at once and wait until it is live
    #[arg(long)]
    wait: bool,
}

pub(super) async fn update(context: &Context, args: Update) -> Result {
    let client = context.panel()?;
    let source = changed_source(context, &client, &args).await?;
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            body.insert(key.to_owned(), value);
        }
    };
    set("name", json!(args.rename));
    set("source", json!(source));
    set("port", json!(args.run.port));
    set("limits", json!(args.run.limits()));
    set("health", json!(args.run.health()));
    set("grace_seconds", json!(args.run.grace));
    set("deploy_timeout_seconds", json!(args.run.deploy_timeout));
    set("replicas", json!(args.run.replicas));
    set("keep_releases", json!(args.keep_releases));
    set("keep_release_days", json!(args.keep_days.filter(|days| *days > 0)));
    set("keep_release_bytes", json!(args.keep_size.filter(|bytes| *bytes > 0)));
    set("build_cache_bytes", json!(args.cache_size.filter(|bytes| *bytes > 0)));
    set("build_on", json!(args.build_on.as_deref().filter(|place| *place != "settings")));
    set("restart_limit", json!(args.restart_limit));
    set("rollback_within_minutes", json!(args.rollback_within));
    set("before_deploy", json!(args.run.before_deploy));
    set("after_deploy", json!(args.run.after_deploy));
    set("before_stop", json!(args.run.before_stop));
    set("command", json!(some(args.run.command)));
    set("mounts", json!(some(args.run.volumes)));
    if args.no_volumes {
        set("mounts", json!([]));
    }
    for (given, key) in [
        (args.no_port, "port"),
        (args.no_command, "command"),
        (args.keep_days == Some(0), "keep_release_days"),
        (args.keep_size == Some(0), "keep_release_bytes"),
        (args.cache_size == Some(0), "build_cache_bytes"),
        (args.build_on.as_deref() == Some("settings"), "build_on"),
    ] {
        if given {
            body.insert(key.to_owned(), Value::Null);
        }
    }
    if body.is_empty() {
        return Err(Failure::usage("nothing to change was given").hint("see `serverkit app update --help`"));
    }
    let app = client.ask(client.app_update(&args.name, &Value::Object(body))).await?;
    if args.deploy || args.wait {
        return deployments::start(context, &client, &app.value.id, deployments::usual(), args.wait).await;
    }
    context.out.answer(&app.json, || {
        let app = &app.value;
        if app.pending_changes {
            format!("{} is changed; bring it live: serverkit deploy {}", app.name, app.name)
        } else {
            format!("{} is changed", app.name)
        }
    })
}

/// A change of the source is sent whole: what the flags leave out is taken from what is there.
async fn changed_source(context: &Context, client: &Client, args: &Update) -> Result<Option<SourceInput>> {
    if let Some(reference) = &args.image {
        return Ok(Some(SourceInput {
            reference: Some(reference.clone()),
            ..nothing(SourceKind::Image)
        }));
    }
    if let Some(file) = &args.compose {
        return args.services.source(file).map(Some);
    }
    let is_other = args.git.is_some() || args.repository.is_some();
    if !is_other && !args.no_branch && args.details.is_empty() && args.build.is_empty() && args.services.is_empty() {
        return Ok(None);
    }
    let app = client.ask(client.app_show(&args.name)).await?;
    let old = &app.json["source"];
    let text = |key: &str| old[key].as_str().map(str::to_owned);
    let is_upload = !is_other && text("kind").as_deref() == Some("upload");
    if !is_other && !is_upload && text("kind").as_deref() != Some("git") {
        return Err(
            Failure::usage(format!("{} comes from an image, not from a repository", app.value.name)).hint("give --git URL to change that"),
        );
    }
    let new = SourceInput {
        url: args
            .git
            .clone()
            .or_else(|| text("url"))
            .filter(|_| args.repository.is_none() && (args.git.is_some() || text("forge").is_none())),
        forge: match (&args.git, &args.repository) {
            (Some(_), _) => None,
            (None, None) => text("forge"),
            (None, Some(_)) => Some(match (&args.details.forge, text("forge")) {
                (None, Some(old)) => old,
                (wanted, _) => forges::only(context, wanted.as_deref()).await?,
            }),
        },
        repository: args.repository.clone().or_else(|| text("repository")),
        branch: text("branch").filter(|_| !args.no_branch),
        folder: text("folder"),
        dockerfile: text("dockerfile"),
        target: text("target"),
        submodules: old["submodules"].as_bool(),
        user: text("user"),
        build: args.build.input(Some(&old["build"]))?,
        ..nothing(if is_upload { SourceKind::Upload } else { SourceKind::Git })
    };
    let new = args.details.applied_to(new)?;
    args.services.applied_to(new, &old["services"]).map(Some)
}
