//! `serverkit app …` and `serverkit open`.

mod args;
mod canary;
mod create;
mod describe;
mod running;
mod show;
mod update;

pub use show::table;

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Table, bytes},
    sources, spans, uploads,
};
use clap::{Args, Subcommand};
use client::types::{DeletePlan, DeployLockCreate, Service, SourceInput, SourceKind};
use create::{Create, create};
use running::{Hours, Scale, Sleep, hours, scale, sleep};
use serde_json::json;
use show::{list, show};
use update::{Update, update};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an app and deploy it
    Create(Box<Create>),
    /// List apps
    #[command(visible_alias = "ls")]
    List(List),
    /// Show an app
    Show(Named),
    /// Change an app; it takes effect with the next deployment
    Update(Box<Update>),
    /// Start an app
    Start(Named),
    /// Stop an app; it stays stopped, also over a restart of the machine
    Stop(Named),
    /// Restart an app
    Restart(Named),
    /// Have an app run in so many containers, at once and without a build
    #[command(visible_alias = "replicas")]
    Scale(Scale),
    /// Start and stop an app by the clock: staging that is off at night
    Hours(Hours),
    /// Let an app sleep while nobody uses it, or put it to sleep now; the first request wakes it
    Sleep(Sleep),
    /// Try new releases on a share of the requests before they go live
    Canary(canary::Canary),
    /// Move an app to the trash: its containers stop, its domains become free, its volumes stay
    #[command(visible_alias = "rm")]
    Delete(Named),
    /// Let nothing be deployed for a while; rolling back stays possible
    Lock(Lock),
    /// Let deployments happen again
    Unlock(Named),
    /// Look into a repository or a folder: how it would be built, its branches and folders
    Inspect(sources::Inspect),
    /// List the uploads of an app that are kept
    Uploads(Named),
    /// List the services of an app that is made from a Compose file
    Services(Named),
    /// Print the Compose file of an app
    Compose(Named),
    /// Print what to know for the first sign-in to an app of the catalog; it is told once
    FirstLogin(Named),
    /// Make or renew the key with which the panel fetches a private repository, and print its public half
    DeployKey(Named),
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the app
    pub name: String,
}

#[derive(Debug, Args)]
pub struct Lock {
    /// Name or id of the app
    name: String,
    /// Why, for those who want to deploy
    #[arg(long)]
    why: Option<String>,
    /// For how long, such as 2h; without it until it is unlocked
    #[arg(long = "for", value_name = "SPAN", value_parser = spans::seconds)]
    span: Option<u32>,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those of this project (name or id)
    #[arg(long)]
    project: Option<String>,
    /// Only those of this environment (name or id)
    #[arg(long)]
    environment: Option<String>,
}

#[derive(Debug, Args)]
pub struct Open {
    /// Name or id of the app
    name: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Create(args) => create(context, *args).await,
        Command::Scale(args) => scale(context, args).await,
        Command::Hours(args) => hours(context, args).await,
        Command::Sleep(args) => sleep(context, args).await,
        Command::Canary(args) => canary::canary(context, args).await,
        Command::List(args) => list(context, args).await,
        Command::Show(args) => show(context, &args.name).await,
        Command::Update(args) => update(context, *args).await,
        Command::Start(args) => {
            let client = context.panel()?;
            let app = client.ask(client.app_start(&args.name)).await?;
            context.out.answer(&app.json, || format!("{} is starting", app.value.name))
        }
        Command::Stop(args) => {
            let client = context.panel()?;
            let app = client.ask(client.app_stop(&args.name)).await?;
            context.out.answer(&app.json, || format!("{} is stopping", app.value.name))
        }
        Command::Restart(args) => {
            let client = context.panel()?;
            let app = client.ask(client.app_restart(&args.name)).await?;
            context.out.answer(&app.json, || format!("{} is restarting", app.value.name))
        }
        Command::Delete(args) => delete(context, &args.name).await,
        Command::Lock(args) => {
            let client = context.panel()?;
            let body = DeployLockCreate {
                why: args.why,
                minutes: args.span.map(|seconds| seconds.div_ceil(60)),
            };
            let app = client.ask(client.app_lock(&args.name, &body)).await?;
            context
                .out
                .answer(&app.json, || format!("deployments of {} are locked", app.value.name))
        }
        Command::Unlock(args) => {
            let client = context.panel()?;
            let app = client.ask(client.app_unlock(&args.name)).await?;
            context
                .out
                .answer(&app.json, || format!("deployments of {} are unlocked", app.value.name))
        }
        Command::Inspect(args) => sources::inspect(context, args).await,
        Command::Uploads(args) => uploads::list(context, &args.name).await,
        Command::Services(args) => services(context, &args.name).await,
        Command::Compose(args) => {
            let client = context.panel()?;
            let answer = client.ask(client.compose_show(&args.name)).await?;
            context.out.answer(&answer.json, || answer.value.compose.clone())
        }
        Command::FirstLogin(args) => {
            let client = context.panel()?;
            let answer = client.ask(client.app_first_login(&args.name)).await?;
            context.out.answer(&answer.json, || answer.value.text.clone())
        }
        Command::DeployKey(args) => {
            let client = context.panel()?;
            let key = client.ask(client.app_deploy_key(&args.name)).await?;
            context.out.answer(&key.json, || key.value.public_key.clone())
        }
    }
}

async fn services(context: &Context, app: &str) -> Result {
    let client = context.panel()?;
    let services = lists::all::<Service, _>(async |cursor| client.ask(client.service_list(app, cursor, lists::LIMIT)).await).await?;
    context.out.list(&services.json, "no services", || {
        let mut table = Table::new(["SERVICE", "IMAGE", "STATE", "HEALTH", "PORTS", "NETWORKS"]);
        for service in &services.items {
            let states: Vec<String> = service.containers.iter().map(|container| container.state.clone()).collect();
            let health = service
                .containers
                .iter()
                .filter_map(|container| container.health.map(|health| health.to_string()));
            let ports: Vec<String> = service.ports.iter().map(ToString::to_string).collect();
            let name = if service.main {
                format!("{} (main)", service.name)
            } else {
                service.name.clone()
            };
            table.row([
                name.into(),
                service.image.clone().into(),
                if states.is_empty() {
                    "not deployed".into()
                } else {
                    states.join(", ").into()
                },
                health.collect::<Vec<_>>().join(", ").into(),
                ports.join(", ").into(),
                service.networks.join(", ").into(),
            ]);
        }
        table
    })
}

/// A source of which nothing is said yet but its kind.
pub fn nothing(kind: SourceKind) -> SourceInput {
    SourceInput {
        kind,
        url: None,
        forge: None,
        repository: None,
        branch: None,
        folder: None,
        dockerfile: None,
        target: None,
        submodules: None,
        build: None,
        user: None,
        password: None,
        deploy_key: None,
        reference: None,
        compose: None,
        compose_file: None,
        allow_host: None,
        profiles: None,
        main_service: None,
    }
}

pub(crate) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

async fn delete(context: &Context, name: &str) -> Result {
    let client = context.panel()?;
    let app = client.ask(client.app_show(name)).await?.value;
    if !context.globals.yes {
        let plan = client.ask(client.app_delete_plan(&app.id)).await?.value;
        ask::confirm(&plan_text(&app.name, &plan), false)?;
    }
    let done = client.ask(client.app_delete(&app.id)).await?;
    context.out.answer(&done.json, || {
        let name = &app.name;
        format!("{name} is in the trash; take it back: serverkit trash restore {name}\nfor good: serverkit trash purge {name}, with --volumes its data too")
    })
}

fn plan_text(name: &str, plan: &DeletePlan) -> String {
    let mut lines = vec![format!("Deleting {name} moves it to the trash:")];
    let names = |list: Vec<&str>| list.join(", ");
    if !plan.containers.is_empty() {
        lines.push(format!(
            "  containers that stop: {}",
            names(plan.containers.iter().map(|each| each.name.as_str()).collect())
        ));
    }
    if !plan.domains.is_empty() {
        lines.push(format!("  domains that become free: {}", plan.domains.join(", ")));
    }
    if plan.releases > 0 || plan.bytes > 0 {
        lines.push(format!(
            "  once the trash is emptied: {} releases, {} of images",
            plan.releases,
            bytes(plan.bytes)
        ));
    }
    for volume in &plan.volumes {
        let size = volume.bytes.map(|count| format!(" ({})", bytes(count))).unwrap_or_default();
        lines.push(format!("  volume {}{size}: stays", volume.name));
    }
    lines.join("\n")
}

/// Starts the browser where there is one; else only says where the app is.
pub async fn open(context: &Context, args: Open) -> Result {
    let client = context.panel()?;
    let app = client.ask(client.app_show(&args.name)).await?.value;
    let Some(url) = app.url else {
        return Err(
            Failure::failed(format!("{} has no address", app.name)).hint(format!("give it one: serverkit domain add {} HOST", app.name))
        );
    };
    let browser = context.out.terminal
        && !context.out.json
        && (std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some() || cfg!(target_os = "macos"));
    if browser {
        let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        // Without such a program the address below is all there is.
        let _ = std::process::Command::new(program)
            .arg(&url)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
    }
    context.out.answer(&json!({ "url": url }), || url.clone())
}
