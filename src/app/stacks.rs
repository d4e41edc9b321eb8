//! Apps of several services: from the Compose file of an app to a stack with this app's values, its volumes and its
//! containers.

use crate::{
    containers::{app_network, ensure_network, must_be_here, tail},
    ground::Ground,
    releases::Difference,
    variables,
    volumes::new_volume,
};
use catalog::{
    compose::{self, Ask, Composed, NoFiles},
    template::{self, Values},
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};
use types::{
    Action, Actor, App, ComposeSource, Container, ContainerSpec, ContainerState, Doing, Environment, Error, Host, HostRight, Kind, Mount,
    MountFrom, MountSpec, Notice, Owner, Release, ReleaseService, ReleaseStack, Result, Secret, ServiceMark, ServiceSpec, Slug, Stack,
    StackService, Volume, VolumeId,
};

/// A look at a Compose file, for whoever is writing it.
#[derive(Debug, Clone, Default)]
pub struct ComposeReport {
    /// Why it cannot be deployed; empty: it can.
    pub problems: Vec<Notice>,
    pub hints: Vec<Notice>,
    /// What only an administrator may allow.
    pub rights: Vec<HostRight>,
    /// In the order in which they start.
    pub services: Vec<ServiceView>,
    pub volumes: Vec<String>,
    /// The service that domains would lead to.
    pub main: Option<String>,
}

#[derive(Clone)]
pub struct Stacks {
    ground: Arc<Ground>,
}

impl Stacks {
    pub(crate) fn new(ground: Arc<Ground>) -> Stacks {
        Stacks { ground }
    }

    /// What a Compose file comes to, with the variables of `app` where one is named.
    pub async fn check(&self, actor: &Actor, text: &str, profiles: &[String], app: Option<&str>) -> Result<ComposeReport> {
        actor.may(Action::Configure)?;
        let app = app.map(|app| crate::apps::find_app(&self.ground, actor, app)).transpose()?;
        let (variables, template) = match &app {
            Some(app) if compose_of(app).is_ok() => (values_of(&self.ground, app)?, template_values(&self.ground, app)?),
            _ => (BTreeMap::new(), None),
        };
        match read(text, profiles, &variables, template.as_ref()) {
            Ok(composed) => {
                let named = app.as_ref().and_then(|app| compose_of(app).ok()?.main.clone());
                let main = main_of(&composed.stack, named.as_deref()).map(|service| service.name.clone());
                let view = |service: &StackService| ServiceView::new(service, None, main.as_deref(), Vec::new());
                Ok(ComposeReport {
                    problems: Vec::new(),
                    services: composed.stack.services.iter().map(view).collect(),
                    volumes: composed.stack.volumes.iter().map(|volume| volume.name.clone()).collect(),
                    hints: composed.hints,
                    rights: composed.rights,
                    main,
                })
            }
            Err(problems) => Ok(ComposeReport {
                problems,
                ..ComposeReport::default()
            }),
        }
    }

    /// The file as it was written. Passwords may be in it, so seeing it takes the right to change it.
    pub async fn text(&self, actor: &Actor, app: &str) -> Result<String> {
        actor.may(Action::Configure)?;
        let app = crate::apps::find_app(&self.ground, actor, app)?;
        text_of(&self.ground, compose_of(&app)?)
    }

    /// The services of what is live, or of the file when nothing was deployed yet.
    pub async fn services(&self, actor: &Actor, app: &str) -> Result<Vec<ServiceView>> {
        actor.may(Action::View)?;
        let app = crate::apps::find_app(&self.ground, actor, app)?;
        let source = compose_of(&app)?;
        let release = match &app.release {
            Some(id) => crate::releases::find(&self.ground, id)?,
            None => None,
        };
        let Some((release, live)) = release.as_ref().and_then(|release| Some((release, release.stack.as_ref()?))) else {
            let stack = compose(&self.ground, &app)?.stack;
            let main = main_of(&stack, source.main.as_deref()).map(|service| service.name.clone());
            let view = |service: &StackService| ServiceView::new(service, None, main.as_deref(), Vec::new());
            return Ok(stack.services.iter().map(view).collect());
        };
        let stack = open(&self.ground, live)?;
        let observed = self.ground.observed.load();
        let view = |service: &StackService| {
            let is_own = |container: &&Container| {
                release.owns(container) && container.owner.service.as_ref().is_some_and(|mark| mark.name == service.name)
            };
            let containers = observed.containers.iter().filter(is_own).cloned().collect();
            let made = live.services.iter().find(|one| one.name == service.name);
            ServiceView::new(service, made, Some(&live.main), containers)
        };
        Ok(stack.services.iter().map(view).collect())
    }
}

/// A service as people see it.
#[derive(Debug, Clone)]
pub struct ServiceView {
    pub name: String,
    pub image: String,
    /// Domains lead to it.
    pub main: bool,
    pub ports: Vec<u16>,
    pub replicas: u32,
    pub once: bool,
    pub depends_on: Vec<String>,
    pub containers: Vec<Container>,
}

impl ServiceView {
    pub(crate) fn new(
        service: &StackService,
        made: Option<&ReleaseService>,
        main: Option<&str>,
        containers: Vec<Container>,
    ) -> ServiceView {
        let image = made.map(|made| made.image_name.clone()).or_else(|| service.image.clone());
        ServiceView {
            name: service.name.clone(),
            image: image.unwrap_or_default(),
            main: main == Some(service.name.as_str()),
            ports: service.ports.iter().map(|port| port.target).collect(),
            replicas: service.replicas,
            once: service.runs_once(),
            depends_on: service.depends_on.iter().map(|one| one.service.clone()).collect(),
            containers,
        }
    }
}

pub(crate) fn compose_of(app: &App) -> Result<&ComposeSource> {
    match &app.source {
        types::Source::Compose(source) => Ok(source),
        _ => Err(Error::invalid("app", format!("`{}` is not made from a Compose file", app.name))),
    }
}

/// Fails with `NotFound` unless the app's file has this service.
pub(crate) fn must_have(ground: &Ground, app: &App, service: &str) -> Result<()> {
    compose_of(app)?;
    let stack = compose(ground, app)?.stack;
    stack
        .service(service)
        .map(drop)
        .ok_or_else(|| Error::not_found(Kind::Service, service))
}

pub(crate) fn text_of(ground: &Ground, source: &ComposeSource) -> Result<String> {
    let open = ground.store.unseal(&source.text)?;
    Ok(String::from_utf8_lossy(open.expose()).into_owned())
}

/// What `$NAME` stands for in this app.
pub(crate) fn values_of(ground: &Ground, app: &App) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for variable in variables::effective(ground, app)? {
        if let Some(text) = variable.value.expose_str() {
            values.insert(variable.key.to_string(), text.to_owned());
        }
    }
    Ok(values)
}

/// What `{{ name }}` stands for, when the app is from a template.
pub(crate) fn template_values(ground: &Ground, app: &App) -> Result<Option<Values>> {
    template_with(ground, app, values_of(ground, app)?, None)
}

/// The same with variables and a domain that are about to be recorded.
pub(crate) fn template_with(
    ground: &Ground,
    app: &App,
    mut given: BTreeMap<String, String>,
    host: Option<&Host>,
) -> Result<Option<Values>> {
    let Some(installed) = compose_of(app)?.template.as_ref() else {
        return Ok(None);
    };
    let template = template::read(&installed.template).map_err(|notice| Error::invalid("template", notice.to_string()))?;
    let domains = ground.store.domains.list()?;
    let main = domains.iter().filter(|domain| domain.app == app.id && domain.service.is_none());
    let primary = main.max_by_key(|domain| domain.primary).map(|domain| domain.host.to_string());
    let primary = host.map(ToString::to_string).or(primary);
    let url = match &primary {
        Some(host) => ground.url_of(host),
        None => String::new(),
    };
    // The domain that leads to it now, whatever was typed when it was installed.
    if let Some(host) = primary {
        given.insert("domain".into(), host);
    }
    let values = Values::new(&template, &given, &url, app.id.as_str()).map_err(|why| Error::invalid("template", why))?;
    Ok(Some(values))
}

pub(crate) fn read(
    text: &str,
    profiles: &[String],
    variables: &BTreeMap<String, String>,
    template: Option<&Values>,
) -> std::result::Result<Composed, Vec<Notice>> {
    let evaluate = |expression: &str| match template {
        Some(values) => values.evaluate(expression),
        None => Err(String::new()),
    };
    compose::read(&Ask {
        text,
        files: &NoFiles,
        variable: &|name| variables.get(name).cloned(),
        template: template.is_some().then_some(&evaluate),
        profiles,
    })
}

/// The app's file with the app's values of now.
pub(crate) fn compose(ground: &Ground, app: &App) -> Result<Composed> {
    let source = compose_of(app)?;
    let template = template_values(ground, app)?;
    let found = read(
        &text_of(ground, source)?,
        &source.profiles,
        &values_of(ground, app)?,
        template.as_ref(),
    );
    let composed = found.map_err(|problems| refusal(&problems))?;
    allowed(source, &composed.rights)?;
    Ok(composed)
}

/// All problems in one message.
pub(crate) fn refusal(problems: &[Notice]) -> Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Error::invalid("compose", lines.join("; "))
}

fn right_key(right: &HostRight) -> String {
    format!("{}: {}", right.service, right.what)
}

/// Fails unless an administrator allowed each of these for this app.
fn allowed(source: &ComposeSource, rights: &[HostRight]) -> Result<()> {
    for right in rights {
        if !source.host_allowed.contains(&right_key(right)) {
            return Err(Error::Forbidden {
                needs: format!("an administrator who saves this file: `{}` {}", right.service, right.what),
            });
        }
    }
    Ok(())
}

/// Checks a new or changed source with the values it will have, records what the actor allows, and gives each of its
/// volumes its place. Answers the volumes that must be made.
pub(crate) fn settle(ground: &Ground, actor: &Actor, app: &mut App, environment: &Environment, composed: &Composed) -> Result<Vec<Volume>> {
    let types::Source::Compose(source) = &mut app.source else {
        return Ok(Vec::new());
    };
    let rights: Vec<String> = composed.rights.iter().map(right_key).collect();
    if rights.iter().any(|right| !source.host_allowed.contains(right)) {
        actor.may(Action::UseHost)?;
    }
    source.host_allowed = rights;
    if let Some(main) = &source.main
        && composed.stack.service(main).is_none()
    {
        return Err(Error::not_found(Kind::Service, main));
    }
    let known = ground.store.volumes.list()?;
    let mut taken: HashSet<String> = known
        .iter()
        .filter(|volume| volume.environment == environment.id)
        .map(|volume| volume.name.to_string())
        .collect();
    let mut made = Vec::new();
    for volume in &composed.stack.volumes {
        if source.volumes.contains_key(&volume.name) {
            continue;
        }
        let id = match &volume.external {
            Some(name) => {
                let found = known
                    .iter()
                    .find(|one| one.environment == environment.id && one.name.as_str() == name);
                found
                    .map(|one| one.id.clone())
                    .ok_or_else(|| Error::not_found(Kind::Volume, name))?
            }
            None => {
                let name = free_name(&app.name, &volume.name, &mut taken)?;
                made.push(new_volume(ground, environment, name));
                made.last().expect("just pushed").id.clone()
            }
        };
        source.volumes.insert(volume.name.clone(), id);
    }
    app.mounts = mounts(&composed.stack, &source.volumes)?;
    Ok(made)
}

/// Where each volume is mounted first: what people see of an app's storage.
fn mounts(stack: &Stack, volumes: &BTreeMap<String, VolumeId>) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for (name, id) in volumes {
        let all = stack.services.iter().flat_map(|service| &service.mounts);
        let first = all
            .into_iter()
            .find(|mount| matches!(&mount.from, MountFrom::Volume { name: own } if own == name));
        mounts.push(Mount {
            volume: id.clone(),
            path: first.map_or("/unused", |mount| mount.path.as_str()).parse()?,
            read_only: first.is_some_and(|mount| mount.read_only),
        });
    }
    Ok(mounts)
}

/// `<app>-<volume>` as a name that is free in the environment: another app's data is never taken over.
fn free_name(app: &Slug, volume: &str, taken: &mut HashSet<String>) -> Result<Slug> {
    let clean: String = volume
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let whole: String = format!("{app}-{}", clean.trim_matches('-')).chars().take(56).collect();
    let base = whole.trim_end_matches('-');
    let mut name = base.to_owned();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{base}-{number}");
    }
    name.parse()
}

/// Of a file and what is chosen beside it; see [`ComposeSource::hash`].
pub(crate) fn text_hash(text: &Secret, profiles: &[String], main: Option<&str>) -> String {
    let profiles = profiles.join("\n");
    digest(&[text.expose(), profiles.as_bytes(), main.unwrap_or_default().as_bytes()].join(&0))
}

/// SHA-256 in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The service that domains lead to: the one that is named, else the first that publishes a port, has one, or is last to start.
pub(crate) fn main_of<'s>(stack: &'s Stack, named: Option<&str>) -> Option<&'s StackService> {
    if let Some(name) = named {
        return stack.service(name);
    }
    let lasting = || stack.services.iter().filter(|service| !service.runs_once());
    lasting()
        .find(|service| service.ports.iter().any(|port| port.published.is_some()))
        .or_else(|| lasting().rfind(|service| !service.ports.is_empty()))
        .or_else(|| lasting().next_back())
}

pub(crate) fn port_of(service: &StackService) -> Option<u16> {
    let tcp = || service.ports.iter().filter(|port| port.protocol == types::Transport::Tcp);
    tcp()
        .find(|port| port.published.is_some())
        .or_else(|| tcp().next())
        .map(|port| port.target)
}

/// What a service's containers are made of, as one number: equal means that a running one can stay.
pub(crate) fn hash_of(
    service: &StackService,
    image: &str,
    app: &App,
    volumes: &BTreeMap<String, VolumeId>,
    others: &str,
) -> Result<String> {
    let mut plain = service.clone();
    plain.replicas = 0;
    plain.depends_on.clear();
    plain.ports.clear();
    plain.image = None;
    let limits = service.limits.or(&app.limits);
    let own: Vec<_> = volumes.iter().filter(|(name, _)| mounts_volume(service, name)).collect();
    let all = (
        plain,
        image,
        (limits.memory_bytes, limits.cpu_millis, limits.pids),
        own,
        app.grace_seconds,
        others,
    );
    let json = serde_json::to_vec(&all).doing("describing a service")?;
    Ok(digest(&json)[..16].to_owned())
}

fn mounts_volume(service: &StackService, volume: &str) -> bool {
    service
        .mounts
        .iter()
        .any(|mount| matches!(&mount.from, MountFrom::Volume { name } if name == volume))
}

pub(crate) fn seal(ground: &Ground, stack: &Stack) -> Result<types::Sealed> {
    ground.store.seal(&Secret::new(serde_json::to_vec(stack).doing("writing a stack")?))
}

/// The stack of a release, with every value in it.
pub(crate) fn open(ground: &Ground, live: &ReleaseStack) -> Result<Stack> {
    serde_json::from_slice(ground.store.unseal(&live.sealed)?.expose()).doing("reading a stack")
}

/// A container's name: the same service with the same content has the same one.
pub(crate) fn container_name(app: &App, service: &ReleaseService, replica: u32) -> String {
    let clean: String = service
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let number = if replica == 0 { String::new() } else { format!("-{}", replica + 1) };
    format!("sk-{}-{clean}-{}{}{number}", app.name, tail(app.id.as_str(), 4), &service.hash[..6])
}

/// Makes and starts one container of a service, or starts the one that is there.
pub(crate) async fn bring_up(ground: &Ground, app: &App, release: &Release, service: &StackService, replica: u32) -> Result<()> {
    let spec = spec(ground, app, release, service, replica).await?;
    ground.retiring.take_back_named(&spec.name).await;
    ground.node.container_start(&spec).await?;
    Ok(())
}

async fn spec(ground: &Ground, app: &App, release: &Release, service: &StackService, replica: u32) -> Result<ContainerSpec> {
    let live = release.stack.as_ref().ok_or_else(|| Error::busy("the release has no services"))?;
    let made = live.services.iter().find(|one| one.name == service.name);
    let made = made.ok_or_else(|| Error::not_found(Kind::Service, &service.name))?;
    let (mut mounts, mut host_paths) = (Vec::new(), Vec::new());
    for mount in &service.mounts {
        match &mount.from {
            MountFrom::Host { path } => host_paths.push((path.clone(), mount.path.clone(), mount.read_only)),
            MountFrom::Volume { name } => {
                let id = live.volumes.get(name).ok_or_else(|| Error::not_found(Kind::Volume, name))?;
                mounts.push(MountSpec {
                    volume: must_be_here(ground, id).await?,
                    path: mount.path.clone(),
                    read_only: mount.read_only,
                });
            }
        }
    }
    let own_network = app_network(ground, app).await?;
    let shared = ensure_network(ground, app).await?;
    let mut aliases = vec![service.name.clone()];
    aliases.extend(service.aliases.clone());
    let mut outside = vec![format!("{}-{}", app.name, service.name)];
    if live.main == service.name {
        outside.push(app.name.to_string());
    }
    let environment = service
        .environment
        .iter()
        .map(|(key, value)| (key.clone(), Secret::from(value.clone())))
        .collect();
    Ok(ContainerSpec {
        name: container_name(app, made, replica),
        owner: Owner {
            organization: app.organization.clone(),
            environment: app.environment.clone(),
            app: app.id.clone(),
            release: release.id.clone(),
            service: Some(ServiceMark {
                name: service.name.clone(),
                replica,
                hash: made.hash.clone(),
            }),
        },
        image: made.image.clone(),
        command: service.command.clone(),
        environment,
        network: own_network,
        aliases,
        mounts,
        limits: service.limits.or(&app.limits),
        grace_seconds: grace_of(service, app),
        service: Some(Box::new(ServiceSpec {
            entrypoint: service.entrypoint.clone(),
            labels: service.labels.clone(),
            health: service.health.clone(),
            restart: service.restart,
            runtime: service.runtime.clone(),
            files: service.files.clone(),
            host_paths,
            also: Some((shared, outside)),
        })),
    })
}

/// From the signal to the kill, in seconds.
pub(crate) fn grace_of(service: &StackService, app: &App) -> u32 {
    let own = service
        .grace_millis
        .map(|millis| u32::try_from(millis.div_ceil(1000)).unwrap_or(3600));
    own.unwrap_or(app.grace_seconds).min(3600)
}

/// Whether a container does what its service should: it runs, or has run to its end.
pub(crate) fn is_fine(service: &StackService, container: &Container) -> bool {
    match &container.state {
        ContainerState::Running | ContainerState::Restarting { .. } | ContainerState::Removing => true,
        ContainerState::Exited { code: 0, .. } => service.runs_once(),
        ContainerState::Created | ContainerState::Exited { .. } => false,
    }
}

/// Whether what a service waits for is so, going by what was seen; `Err` says why it never will be.
pub(crate) fn is_met(release: &Release, one: &types::Dependency, seen: &[Container]) -> std::result::Result<bool, String> {
    use types::{Condition, EngineHealth};
    let is_it =
        |container: &&Container| release.owns(container) && container.owner.service.as_ref().is_some_and(|mark| mark.name == one.service);
    let Some(container) = seen.iter().find(is_it) else {
        return Ok(false);
    };
    let name = &one.service;
    match (one.condition, &container.state) {
        (Condition::Completed, ContainerState::Exited { code: 0, .. }) => Ok(true),
        (Condition::Completed, ContainerState::Exited { .. }) => Err(format!("`{name}` {}", container.state.words())),
        (Condition::Completed, _) => Ok(false),
        (Condition::Started, ContainerState::Exited { code: 0, .. }) => Ok(true),
        (_, ContainerState::Exited { .. } | ContainerState::Restarting { .. }) => Err(format!("`{name}` {}", container.state.words())),
        (Condition::Started, state) => Ok(state.is_running()),
        (Condition::Healthy, state) => match container.health {
            _ if !state.is_running() => Ok(false),
            Some(EngineHealth::Healthy) => Ok(true),
            Some(EngineHealth::Starting) => Ok(false),
            Some(EngineHealth::Unhealthy) => Err(format!("`{name}` is unhealthy: its health check fails")),
            None => Err(format!("`{name}` has no health check, so nothing can wait for it to be healthy")),
        },
    }
}

/// Starts what is missing of a live release, as far as what it waits for is there; the rest waits for the next turn.
/// Answers whether something was started.
pub(crate) async fn start_missing(ground: &Ground, app: &App, release: &Release, seen: &[Container]) -> Result<bool> {
    let Some(live) = &release.stack else { return Ok(false) };
    let there = |service: &ReleaseService, replica: u32| {
        seen.iter().find(|container| {
            let mark = container.owner.service.as_ref();
            release.owns(container) && mark.is_some_and(|mark| mark.name == service.name && mark.replica == replica)
        })
    };
    let all_run = live.services.iter().all(|service| {
        (0..service.replicas).all(|replica| {
            there(service, replica).is_some_and(|container| match container.state {
                ContainerState::Exited { code: 0, .. } => service.once,
                ContainerState::Created | ContainerState::Exited { .. } => false,
                _ => true,
            })
        })
    });
    if all_run {
        return Ok(false);
    }
    let stack = open(ground, live)?;
    let mut started = false;
    for service in &stack.services {
        let ready = service
            .depends_on
            .iter()
            .all(|one| matches!(is_met(release, one, seen), Ok(true)) || !one.required);
        let Some(made) = live.services.iter().find(|made| made.name == service.name) else {
            continue;
        };
        for replica in 0..made.replicas {
            let found = there(made, replica);
            let failed_once =
                service.runs_once() && found.is_some_and(|container| matches!(container.state, ContainerState::Exited { .. }));
            if failed_once || found.is_some_and(|container| is_fine(service, container)) || !ready {
                continue;
            }
            bring_up(ground, app, release, service, replica).await?;
            started = true;
        }
    }
    Ok(started)
}

/// What differs between the services of two releases; values are not shown.
pub(crate) fn differences(ground: &Ground, from: &ReleaseStack, to: &ReleaseStack) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let mut say = |what: String, from: Option<String>, to: Option<String>| found.push(Difference { what, from, to });
    let (old, new) = (open(ground, from)?, open(ground, to)?);
    let names: std::collections::BTreeSet<&str> = from
        .services
        .iter()
        .chain(&to.services)
        .map(|service| service.name.as_str())
        .collect();
    for name in names {
        let pick = |stack: &ReleaseStack| stack.services.iter().find(|service| service.name == name).cloned();
        let (a, b) = (pick(from), pick(to));
        let label = |what: &str| format!("service {name}{what}");
        let (Some(a), Some(b)) = (&a, &b) else {
            let image = |one: &Option<ReleaseService>| one.as_ref().map(|one| one.image_name.clone());
            say(label(""), image(&a), image(&b));
            continue;
        };
        if a.image_name != b.image_name || a.image != b.image {
            say(label(" image"), Some(a.image_name.clone()), Some(b.image_name.clone()));
        }
        if a.replicas != b.replicas {
            say(label(" replicas"), Some(a.replicas.to_string()), Some(b.replicas.to_string()));
        }
        if let (Some(a), Some(b)) = (old.service(name), new.service(name)) {
            for (what, changed) in parts(a, b) {
                if changed {
                    say(label(&format!(" {what}")), Some("before".into()), Some("changed".into()));
                }
            }
        }
    }
    Ok(found)
}

fn parts(a: &StackService, b: &StackService) -> [(&'static str, bool); 10] {
    [
        ("command", a.command != b.command || a.entrypoint != b.entrypoint),
        ("environment", a.environment != b.environment),
        ("volumes", a.mounts != b.mounts),
        ("files", a.files != b.files),
        ("ports", a.ports != b.ports),
        ("limits", a.limits != b.limits),
        ("health check", a.health != b.health),
        ("labels", a.labels != b.labels),
        ("order", a.depends_on != b.depends_on),
        (
            "runtime",
            a.runtime != b.runtime || a.restart != b.restart || a.aliases != b.aliases,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_volumes_never_take_over_another() {
        let mut taken = HashSet::from(["blog-data".to_owned()]);
        let app: Slug = "blog".parse().expect("a name");
        let mut name = |volume: &str| free_name(&app, volume, &mut taken).expect("a name").to_string();
        assert_eq!(name("data"), "blog-data-2");
        assert_eq!(name("data"), "blog-data-3");
        assert_eq!(name("_My.Files_"), "blog-my-files");
        assert!(name(&"x".repeat(200)).len() <= 63);
    }

    #[test]
    fn the_main_service() {
        let main = |text: &str| {
            let composed = read(text, &[], &BTreeMap::new(), None).expect("a stack");
            main_of(&composed.stack, None).map(|service| (service.name.clone(), port_of(service)))
        };
        let is = |text: &str, name: &str, port: Option<u16>| assert_eq!(main(text), Some((name.to_owned(), port)), "{text}");
        is("services: {a: {image: x:1}, b: {image: x:1, ports: ['8080:80']}}", "b", Some(80));
        is("services: {a: {image: x:1, expose: [9]}, b: {image: x:1}}", "a", Some(9));
        is("services: {web: {image: x:1, depends_on: [db]}, db: {image: x:1}}", "web", None);
        is(
            "services: {one: {image: x:1, restart: 'no', ports: ['1:1']}, two: {image: x:1}}",
            "two",
            None,
        );
    }
}
