//! `serverkit app create`.

use super::{
    args::{ComposeArgs, GitArgs, RunArgs, SourceArgs},
    nothing,
    show::public_key,
    some,
};
use crate::{
    commands::Context,
    deployments,
    failure::Result,
    forges,
    sources::{self, BuildArgs},
    uploads, variables,
};
use clap::Args;
use client::types::{AppCreate, DeploymentCreate, SourceInput, SourceKind, UploadTake};
use serde_json::Value;
use std::path::Path;

#[derive(Debug, Args)]
pub struct Create {
    /// Its name: 1 to 63 of a-z, 0-9 and -
    name: String,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    details: GitArgs,
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    services: ComposeArgs,
    /// Project (name or id); without it the first one
    #[arg(long)]
    project: Option<String>,
    /// Environment (name or id); without it the project's first one
    #[arg(long)]
    environment: Option<String>,
    /// A domain that leads to it; may be given several times
    #[arg(long = "domain", short = 'd', value_name = "HOST")]
    domains: Vec<String>,
    #[command(flatten)]
    run: RunArgs,
    /// A variable: KEY=VALUE, KEY@FILE, or KEY=- for standard input; may be given several times
    #[arg(long = "env", short = 'e', value_name = "KEY=VALUE", value_parser = variables::assignment)]
    variables: Vec<variables::Assignment>,
    /// A secret variable, in the same forms: its value is not shown in lists
    #[arg(long = "secret", value_name = "KEY=VALUE", value_parser = variables::assignment)]
    secrets: Vec<variables::Assignment>,
    /// Do not deploy it yet
    #[arg(long, conflicts_with = "wait")]
    no_deploy: bool,
    /// Wait until it is live, showing the log
    #[arg(long)]
    wait: bool,
}

pub(super) async fn create(context: &Context, args: Create) -> Result {
    let mut inputs = variables::read(args.variables, false, None)?;
    inputs.extend(variables::read(args.secrets, true, None)?);
    let from = args.source.from.clone();
    if from.is_some() {
        args.details.fit_an_upload()?;
    }
    let body = AppCreate {
        name: args.name,
        project: args.project,
        environment: args.environment,
        source: source(context, args.source, &args.details, &args.build, &args.services).await?,
        domains: some(args.domains),
        variables: some(inputs),
        limits: args.run.limits(),
        health: args.run.health(),
        port: args.run.port,
        command: some(args.run.command),
        mounts: some(args.run.volumes),
        grace_seconds: args.run.grace,
        before_deploy: args.run.before_deploy,
        after_deploy: args.run.after_deploy,
        before_stop: args.run.before_stop,
        deploy_timeout_seconds: args.run.deploy_timeout,
        replicas: args.run.replicas,
        deploy: args.no_deploy.then_some(false),
    };
    match from {
        Some(from) => from_upload(context, &body, &from, args.no_deploy, args.wait).await,
        None => from_elsewhere(context, &body, args.wait).await,
    }
}

async fn source(context: &Context, from: SourceArgs, details: &GitArgs, build: &BuildArgs, services: &ComposeArgs) -> Result<SourceInput> {
    match (from.git, from.image, from.compose) {
        (_, Some(reference), _) => Ok(SourceInput {
            reference: Some(reference),
            ..nothing(SourceKind::Image)
        }),
        (_, _, Some(file)) => services.source(&file),
        (url, None, None) => {
            let forge = match &from.repository {
                Some(_) => Some(forges::only(context, details.forge.as_deref()).await?),
                None => None,
            };
            let is_upload = from.from.is_some();
            let source = details.applied_to(SourceInput {
                url,
                forge,
                repository: from.repository,
                build: build.input(None)?,
                ..nothing(if is_upload { SourceKind::Upload } else { SourceKind::Git })
            })?;
            services.applied_to(source, &Value::Null)
        }
    }
}

/// What is sent is looked into first, so that an app is only made of what can be built.
async fn from_upload(context: &Context, body: &AppCreate, from: &Path, no_deploy: bool, wait: bool) -> Result {
    let client = context.panel()?;
    let draft = uploads::send_draft(context, &client, from).await?.value.id;
    if !no_deploy {
        sources::show_plan(context, &client, &draft, &body.source).await?;
    }
    let app = client.ask(client.app_create(body)).await?;
    let upload = client.ask(client.upload_take(&app.value.id, &UploadTake { upload: draft })).await?;
    if no_deploy {
        return context.out.answer(&app.json, || {
            format!("{} is made; deploy it: serverkit deploy {}", app.value.name, app.value.name)
        });
    }
    let wish = DeploymentCreate {
        reference: None,
        upload: Some(upload.value.id),
        image: None,
        anyway: None,
    };
    deployments::start(context, &client, &app.value.id, wish, wait).await
}

async fn from_elsewhere(context: &Context, body: &AppCreate, wait: bool) -> Result {
    let client = context.panel()?;
    let app = client.ask(client.app_create(body)).await?;
    if wait && let Some(deployment) = &app.value.deployment {
        context.out.note(format!("{} is made", app.value.name));
        return deployments::follow(context, &client, &deployment.id).await;
    }
    context.out.answer(&app.json, || {
        let app = &app.value;
        let mut text = match &app.deployment {
            Some(deployment) => format!(
                "{} is made; deployment #{} is {}\nfollow it: serverkit logs {} --build",
                app.name, deployment.number, deployment.phase, app.name
            ),
            None => format!("{} is made; deploy it: serverkit deploy {}", app.name, app.name),
        };
        if let Some(key) = public_key(app) {
            text.push_str("\ngive this key to the forge, read-only:\n");
            text.push_str(&key);
        }
        text
    })
}
