//! `serverkit app …` and `serverkit open`.

use crate::{
    ask,
    commands::Context,
    deployments,
    failure::{Failure, Result},
    lists,
    output::{Cell, Facts, Output, Table, bytes, when},
    sources::{self, BuildArgs},
    spans, variables,
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{
        App, AppCreate, DeletePlan, DeployLockCreate, HealthInput, HealthKind, LimitsInput, MountInput, Service, SourceInput, SourceKind,
    },
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use types::{Clock, SystemClock};

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
    /// Move an app to the trash: its containers stop, its domains become free, its volumes stay
    #[command(visible_alias = "rm")]
    Delete(Named),
    /// Let nothing be deployed for a while; rolling back stays possible
    Lock(Lock),
    /// Let deployments happen again
    Unlock(Named),
    /// Look into a repository: how it would be built, its branches and folders
    Inspect(sources::Inspect),
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

/// Where an app comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// A Git repository: https://, http://, ssh://, git@host:path, or a path on the panel's machine
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// A ready image, such as redis:7
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Several services: a Compose file; - for standard input
    #[arg(long, value_name = "FILE")]
    compose: Option<PathBuf>,
}

/// How a Compose file is read.
#[derive(Debug, Args)]
#[group(skip)]
struct ComposeArgs {
    /// Services of this profile run too; may be given several times
    #[arg(long = "profile", value_name = "NAME", requires = "compose", conflicts_with_all = ["image", "git"])]
    profiles: Vec<String>,
    /// The service that domains lead to; without it the first one with a port
    #[arg(long = "main", value_name = "SERVICE", requires = "compose", conflicts_with_all = ["image", "git"])]
    main_service: Option<String>,
}

/// How to get at a repository.
#[derive(Debug, Args)]
#[group(skip)]
struct GitArgs {
    /// The branch to deploy; without it the repository's default branch
    #[arg(long, short = 'b', conflicts_with = "image")]
    branch: Option<String>,
    /// The folder that is the build context
    #[arg(long, value_name = "PATH", conflicts_with = "image")]
    folder: Option<String>,
    /// The Dockerfile, seen from that folder
    #[arg(long, value_name = "PATH", conflicts_with = "image")]
    dockerfile: Option<String>,
    /// The stage of the Dockerfile to build; without it the last
    #[arg(long, value_name = "STAGE", conflicts_with = "image")]
    target: Option<String>,
    /// Fetch submodules too
    #[arg(long, conflicts_with = "image")]
    submodules: bool,
    /// User name for a private repository over https
    #[arg(long, conflicts_with = "image")]
    user: Option<String>,
    /// File with the password or access token for a private repository; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    password_file: Option<PathBuf>,
    /// Make a key for a private repository over ssh; the answer shows its public half, to be given to the forge
    #[arg(long, conflicts_with = "image")]
    deploy_key: bool,
}

/// How an app runs.
#[derive(Debug, Args)]
#[group(skip)]
struct RunArgs {
    /// The port it listens on; without it the first that the image exposes, else 8080, given to it as PORT
    #[arg(long, short = 'p', value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// A volume: NAME:/path or NAME:/path:ro; made if it does not exist; may be given several times
    #[arg(long = "volume", short = 'v', value_name = "NAME:PATH", value_parser = mount)]
    volumes: Vec<MountInput>,
    /// Memory it may use, such as 512m or 1.5g
    #[arg(long, value_parser = spans::memory)]
    memory: Option<u64>,
    /// Cores it may use, such as 2 or 0.5
    #[arg(long, value_parser = spans::cores)]
    cpus: Option<u32>,
    /// Processes and threads it may have
    #[arg(long, value_name = "COUNT")]
    pids: Option<u32>,
    /// How to tell that it serves: tcp (the port answers), http:/path (2xx or 3xx), running (it stays up)
    #[arg(long, value_name = "CHECK", value_parser = health)]
    health: Option<(HealthKind, Option<String>)>,
    /// How long it may take until it serves, such as 60s
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    start_time: Option<u32>,
    /// How long it may take to stop before it is killed, such as 10s
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    grace: Option<u32>,
    /// A deployment that takes longer fails, such as 30m
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    deploy_timeout: Option<u32>,
    /// A command of a shell in the new image before it starts, such as "python manage.py migrate"; when it fails, so does the
    /// deployment; '' for none
    #[arg(long, value_name = "COMMAND")]
    before_deploy: Option<String>,
    /// A command of a shell in the new image once it is live; '' for none
    #[arg(long, value_name = "COMMAND")]
    after_deploy: Option<String>,
    /// One argument of the command to run in place of the image's own; given once for each argument
    #[arg(long = "command", value_name = "ARG", allow_hyphen_values = true)]
    command: Vec<String>,
}

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

#[derive(Debug, Args)]
pub struct Open {
    /// Name or id of the app
    name: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Create(args) => create(context, *args).await,
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

async fn create(context: &Context, args: Create) -> Result {
    let mut inputs = variables::read(args.variables, false, None)?;
    inputs.extend(variables::read(args.secrets, true, None)?);
    let source = match (args.source.git, args.source.image, args.source.compose) {
        (_, Some(reference), _) => SourceInput {
            reference: Some(reference),
            ..nothing(SourceKind::Image)
        },
        (_, _, Some(file)) => args.services.source(&file)?,
        (url, None, None) => args.details.applied_to(SourceInput {
            url,
            build: args.build.input(None)?,
            ..nothing(SourceKind::Git)
        })?,
    };
    let body = AppCreate {
        name: args.name,
        project: args.project,
        environment: args.environment,
        source,
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
        deploy_timeout_seconds: args.run.deploy_timeout,
        deploy: args.no_deploy.then_some(false),
    };
    let client = context.panel()?;
    let app = client.ask(client.app_create(&body)).await?;
    if args.wait
        && let Some(deployment) = &app.value.deployment
    {
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

async fn update(context: &Context, args: Update) -> Result {
    let client = context.panel()?;
    let source = changed_source(&client, &args).await?;
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
    set("keep_releases", json!(args.keep_releases));
    set("before_deploy", json!(args.run.before_deploy));
    set("after_deploy", json!(args.run.after_deploy));
    set("command", json!(some(args.run.command)));
    set("mounts", json!(some(args.run.volumes)));
    if args.no_volumes {
        set("mounts", json!([]));
    }
    for (given, key) in [(args.no_port, "port"), (args.no_command, "command")] {
        if given {
            body.insert(key.to_owned(), Value::Null);
        }
    }
    if body.is_empty() {
        return Err(Failure::usage("nothing to change was given").hint("see `serverkit app update --help`"));
    }
    let app = client.ask(client.app_update(&args.name, &Value::Object(body))).await?;
    if args.deploy || args.wait {
        return deployments::start(context, &client, &app.value.id, None, args.wait).await;
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
async fn changed_source(client: &Client, args: &Update) -> Result<Option<SourceInput>> {
    if let Some(reference) = &args.image {
        return Ok(Some(SourceInput {
            reference: Some(reference.clone()),
            ..nothing(SourceKind::Image)
        }));
    }
    if let Some(file) = &args.compose {
        return args.services.source(file).map(Some);
    }
    if args.git.is_none() && !args.no_branch && args.details.is_empty() && args.build.is_empty() {
        return Ok(None);
    }
    let app = client.ask(client.app_show(&args.name)).await?;
    let old = &app.json["source"];
    let text = |key: &str| old[key].as_str().map(str::to_owned);
    if args.git.is_none() && text("kind").as_deref() != Some("git") {
        return Err(
            Failure::usage(format!("{} comes from an image, not from a repository", app.value.name)).hint("give --git URL to change that"),
        );
    }
    let new = SourceInput {
        url: args.git.clone().or_else(|| text("url")),
        branch: text("branch").filter(|_| !args.no_branch),
        folder: text("folder"),
        dockerfile: text("dockerfile"),
        target: text("target"),
        submodules: old["submodules"].as_bool(),
        user: text("user"),
        build: args.build.input(Some(&old["build"]))?,
        ..nothing(SourceKind::Git)
    };
    args.details.applied_to(new).map(Some)
}

impl ComposeArgs {
    fn source(&self, file: &std::path::Path) -> Result<SourceInput> {
        Ok(SourceInput {
            compose: Some(ask::text_file(file)?),
            profiles: some(self.profiles.clone()),
            main_service: self.main_service.clone(),
            ..nothing(SourceKind::Compose)
        })
    }
}

async fn services(context: &Context, app: &str) -> Result {
    let client = context.panel()?;
    let services = lists::all::<Service, _>(async |cursor| client.ask(client.service_list(app, cursor, lists::LIMIT)).await).await?;
    context.out.list(&services.json, "no services", || {
        let mut table = Table::new(["SERVICE", "IMAGE", "STATE", "HEALTH", "PORTS"]);
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
            ]);
        }
        table
    })
}

impl GitArgs {
    fn is_empty(&self) -> bool {
        let texts = [&self.branch, &self.folder, &self.dockerfile, &self.target, &self.user];
        texts.iter().all(|text| text.is_none()) && self.password_file.is_none() && !self.submodules && !self.deploy_key
    }
    /// `source` with what was given.
    fn applied_to(&self, source: SourceInput) -> Result<SourceInput> {
        let password = match &self.password_file {
            Some(path) => {
                let secret = ask::secret_file(path)?;
                let text = secret.expose_str().map(str::to_owned);
                Some(text.ok_or_else(|| Failure::usage(format!("{} is not text", path.display())))?)
            }
            None => None,
        };
        Ok(SourceInput {
            branch: self.branch.clone().or(source.branch),
            folder: self.folder.clone().or(source.folder),
            dockerfile: self.dockerfile.clone().or(source.dockerfile),
            target: self.target.clone().or(source.target),
            submodules: self.submodules.then_some(true).or(source.submodules),
            user: self.user.clone().or(source.user),
            password: password.or(source.password),
            deploy_key: self.deploy_key.then_some(true),
            ..source
        })
    }
}

impl RunArgs {
    fn limits(&self) -> Option<LimitsInput> {
        let limits = LimitsInput {
            memory_bytes: self.memory,
            cpu_millis: self.cpus,
            pids: self.pids,
        };
        (self.memory.is_some() || self.cpus.is_some() || self.pids.is_some()).then_some(limits)
    }
    fn health(&self) -> Option<HealthInput> {
        let (kind, path) = self.health.clone().map_or((None, None), |(kind, path)| (Some(kind), path));
        (kind.is_some() || self.start_time.is_some()).then_some(HealthInput {
            kind,
            path,
            interval_seconds: None,
            timeout_seconds: None,
            start_seconds: self.start_time,
        })
    }
}

/// A source of which nothing is said yet but its kind.
pub fn nothing(kind: SourceKind) -> SourceInput {
    SourceInput {
        kind,
        url: None,
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
        profiles: None,
        main_service: None,
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

async fn list(context: &Context, args: List) -> Result {
    let client = context.panel()?;
    let apps = lists::all::<App, _>(async |cursor| {
        let call = client.app_list(cursor, args.environment.as_deref(), lists::LIMIT, args.project.as_deref(), None);
        client.ask(call).await
    })
    .await?;
    let empty = "no apps yet; make one: serverkit app create NAME --git URL";
    context.out.list(&apps.json, empty, || table(&apps.items))
}

/// Apps as a table, here and in `status`.
pub fn table(apps: &[App]) -> Table {
    let mut table = Table::new(["NAME", "STATE", "SOURCE", "RELEASE", "DEPLOYED", "URL"]);
    let now = SystemClock.now();
    for app in apps {
        let state = app.state.to_string();
        let state = if app.pending_changes { format!("{state}*") } else { state };
        table.row([
            app.name.clone().into(),
            Cell::tone(state, crate::output::tone_of(&app.state.to_string())),
            source_text(app).into(),
            app.release
                .as_ref()
                .map(|release| format!("#{}", release.number))
                .unwrap_or_default()
                .into(),
            app.release
                .as_ref()
                .map(|release| when(&release.created_at, now))
                .unwrap_or_default()
                .into(),
            app.url.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

fn source_json(app: &App) -> Value {
    serde_json::to_value(&app.source).unwrap_or_default()
}

fn public_key(app: &App) -> Option<String> {
    source_json(app)["deploy_key_public"].as_str().map(str::to_owned)
}

/// `https://…/blog.git (main)` or `redis:7`.
fn source_text(app: &App) -> String {
    let source = source_json(app);
    let text = |key: &str| source[key].as_str().unwrap_or_default().to_owned();
    match (text("kind").as_str(), text("branch").as_str()) {
        ("image", _) => text("reference"),
        (_, "") => text("url"),
        (_, branch) => format!("{} ({branch})", text("url")),
    }
}

async fn show(context: &Context, name: &str) -> Result {
    let client = context.panel()?;
    let app = client.ask(client.app_show(name)).await?;
    let out = context.out;
    out.answer(&app.json, || describe(&app.value, &out))
}

fn describe(app: &App, out: &Output) -> String {
    let source = source_json(app);
    let now = SystemClock.now();
    let mut facts = Facts::new();
    facts.add("Name", app.name.clone());
    facts.add("Id", app.id.clone());
    facts.add("State", Cell::state(app.state.to_string()));
    facts.maybe("Why", app.state_detail.clone());
    facts.maybe("Address", app.url.clone());
    facts.add("In", format!("{}, {}", app.project.name, app.environment.name));
    facts.add("Source", source_text(app));
    for (name, key) in [
        ("Folder", "folder"),
        ("Dockerfile", "dockerfile"),
        ("Stage", "target"),
        ("Deploy key", "deploy_key_public"),
    ] {
        let text = source[key].as_str().filter(|text| !matches!(*text, "." | "Dockerfile"));
        facts.maybe(name, text);
    }
    facts.maybe("Port", app.port.map(|port| port.to_string()));
    facts.maybe("Command", app.command.as_ref().map(|command| format!("{command:?}")));
    facts.add(
        "Limits",
        format!(
            "{} memory, {} cores, {} processes",
            bytes(app.limits.memory_bytes),
            f64::from(app.limits.cpu_millis) / 1000.0,
            app.limits.pids
        ),
    );
    let health = match &app.health.path {
        Some(path) if app.health.kind == HealthKind::Http => format!("http {path}"),
        _ => app.health.kind.to_string(),
    };
    facts.add("Health check", health);
    for mount in &app.mounts {
        let mode = if mount.read_only { " (read only)" } else { "" };
        facts.add("Volume", format!("{} at {}{mode}", mount.volume.name, mount.path));
    }
    for domain in &app.domains {
        facts.add("Domain", domain.clone());
    }
    if let Some(release) = &app.release {
        let commit = release
            .commit
            .as_ref()
            .map(deployments::commit_text)
            .unwrap_or_else(|| release.image_name.clone());
        facts.add(
            "Live",
            format!("release #{}, {commit}, {}", release.number, when(&release.created_at, now)),
        );
    }
    if let Some(deployment) = &app.deployment {
        let phase = deployment.phase.to_string();
        facts.add(
            "Deployment",
            Cell::tone(format!("#{} {phase}", deployment.number), crate::output::tone_of(&phase)),
        );
        facts.maybe("Error", deployment.error.clone());
    }
    if app.pending_changes {
        facts.add(
            "Pending",
            format!("changes that are not live; bring them live: serverkit deploy {}", app.name),
        );
    }
    facts.add("Created", when(&app.created_at, now));
    facts.maybe("In the trash", app.trashed_at.as_ref().map(|at| when(at, now)));
    facts.print(out)
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
        format!("{} is in the trash; take it back: serverkit trash restore {}", app.name, app.name)
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

/// `data:/var/lib/data` or `data:/var/lib/data:ro`
fn mount(text: &str) -> Result<MountInput, String> {
    let wrong = || format!("`{text}` is no volume; use NAME:/path or NAME:/path:ro");
    let (volume, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (path, read_only) = match rest.rsplit_once(':') {
        Some((path, "ro")) => (path, true),
        Some((path, "rw")) => (path, false),
        _ => (rest, false),
    };
    if volume.is_empty() || !path.starts_with('/') {
        return Err(wrong());
    }
    Ok(MountInput {
        volume: volume.to_owned(),
        path: path.to_owned(),
        read_only: Some(read_only),
    })
}

/// `tcp`, `running`, `http` or `http:/path`
fn health(text: &str) -> Result<(HealthKind, Option<String>), String> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("tcp", "") => Ok((HealthKind::Tcp, None)),
        ("running", "") => Ok((HealthKind::Running, None)),
        ("http", "") => Ok((HealthKind::Http, Some("/".to_owned()))),
        ("http", path) if path.starts_with('/') => Ok((HealthKind::Http, Some(path.to_owned()))),
        _ => Err(format!("`{text}` is no health check; use tcp, http:/path or running")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_as_people_type_them() {
        for (text, expected) in [
            ("data:/srv", Some(("data", "/srv", false))),
            ("data:/srv:ro", Some(("data", "/srv", true))),
            ("data:/srv:rw", Some(("data", "/srv", false))),
            ("data:/a:b", Some(("data", "/a:b", false))),
            ("data", None),
            ("data:srv", None),
            (":/srv", None),
            ("data::ro", None),
        ] {
            let read = mount(text).ok();
            let read = read
                .as_ref()
                .map(|mount| (mount.volume.as_str(), mount.path.as_str(), mount.read_only == Some(true)));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn health_checks_as_people_type_them() {
        assert_eq!(health("http:/up"), Ok((HealthKind::Http, Some("/up".into()))));
        assert_eq!(health("http"), Ok((HealthKind::Http, Some("/".into()))));
        assert_eq!(health("tcp"), Ok((HealthKind::Tcp, None)));
        for wrong in ["", "http:up", "tcp:80", "https:/up"] {
            assert!(health(wrong).is_err(), "{wrong}");
        }
    }
}
