//! From a stack to its containers: what each is made of, whether it is as it should be, and starting what is missing.

use super::digest;
use crate::{
    containers::{must_be_here, tail},
    ground::Ground,
    inside, networks, release_images,
};
use node::Lines;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use types::{
    App, Container, ContainerSpec, ContainerState, Doing, Error, Kind, MountFrom, MountSpec, Owner, Release, ReleaseService, ReleaseStack,
    Result, Secret, ServiceMark, ServiceSpec, Stack, StackService, VolumeId, report,
};

/// What runs after a start that is no part of a deployment is ended then; a deployment has a limit of its own.
const AFTER_START: Duration = Duration::from_secs(300);

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
    plain.stops_first = false;
    // The same file is there either way.
    plain.files.iter_mut().for_each(|file| file.secret = false);
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
    let mut stack: Stack = serde_json::from_slice(ground.store.unseal(&live.sealed)?.expose()).doing("reading a stack")?;
    // A release from before this was written does not say which are secret; most are where the format puts them.
    for file in stack.services.iter_mut().flat_map(|service| &mut service.files) {
        file.secret |= file.path.starts_with("/run/secrets/");
    }
    Ok(stack)
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

/// Makes and starts one container of a service, or starts the one that is there; an image that is gone comes from its registry again.
/// Answers its id; what the service does after its start is for `after_start`.
pub(crate) async fn bring_up(ground: &Ground, app: &App, release: &Release, service: &StackService, replica: u32) -> Result<String> {
    let mut spec = spec(ground, app, release, service, replica).await?;
    ground.retiring.take_back_named(&spec.name).await;
    match ground.node.container_start(&spec).await {
        Err(error) => {
            let lines = release_images::unheard();
            spec.image = release_images::again(ground, app, release, Some(&service.name), error, &lines).await?;
            ground.node.container_start(&spec).await
        }
        started => started,
    }
}

/// Runs the `post_start` of a service in a container that was just started. Fails with the first that does.
pub(crate) async fn after_start(ground: &Ground, service: &StackService, container: &str, heard: Option<&Lines>) -> Result<()> {
    for hook in &service.post_start {
        let ran = inside::run(ground, container, &inside::hook(hook), heard).await;
        ran.map_err(|error| Error::unavailable_by(format!("`post_start` of the service `{}`", service.name), error))?;
    }
    Ok(())
}

/// As `after_start`, beside what else happens: nobody waits for it, and that it fails is told.
fn follow_start(ground: &Arc<Ground>, service: &StackService, container: String) {
    if service.post_start.is_empty() {
        return;
    }
    let (ground, service) = (ground.clone(), service.clone());
    tokio::spawn(async move {
        let ran = tokio::time::timeout(AFTER_START, after_start(&ground, &service, &container, None)).await;
        let late = |_| Err(Error::busy(format!("it took longer than {} s", AFTER_START.as_secs())));
        if let Err(error) = ran.unwrap_or_else(late) {
            let why = ground.redactor.redact(&report(&error)).into_owned();
            tracing::warn!("after the start of {}: {why}", service.name);
        }
    });
}

pub(crate) async fn spec(ground: &Ground, app: &App, release: &Release, service: &StackService, replica: u32) -> Result<ContainerSpec> {
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
    let mut own = networks::of_service(ground, app, service).await?;
    let (network, aliases) = own.remove(0);
    let mut outside = vec![format!("{}-{}", app.name, service.name)];
    if live.main == service.name {
        outside.push(app.name.to_string());
    }
    let also = match service.meets_other_apps(&live.main) {
        true => Some((networks::ensure_network(ground, app).await?, outside)),
        false => None,
    };
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
            replica,
            service: Some(ServiceMark {
                name: service.name.clone(),
                replica,
                hash: made.hash.clone(),
            }),
        },
        image: made.image.clone(),
        command: service.command.clone(),
        environment,
        network,
        aliases,
        mounts,
        limits: service.limits.or(&app.limits),
        grace_seconds: grace_of(service, app),
        files: service.files.clone(),
        service: Some(Box::new(ServiceSpec {
            entrypoint: service.entrypoint.clone(),
            labels: service.labels.clone(),
            health: service.health.clone(),
            restart: service.restart,
            runtime: service.runtime.clone(),
            host_paths,
            further: own,
            also,
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
pub(crate) async fn start_missing(ground: &Arc<Ground>, app: &App, release: &Release, seen: &[Container]) -> Result<bool> {
    let Some(live) = &release.stack else { return Ok(false) };
    let there = |service: &ReleaseService, replica: u32| {
        seen.iter().find(|container| {
            let mark = container.owner.service.as_ref();
            release.owns(container) && mark.is_some_and(|mark| mark.name == service.name && mark.replica == replica)
        })
    };
    let is_given_up = |name: &str| app.given_up(&release.id).any(|halt| halt.service.as_deref() == Some(name));
    let all_run = live.services.iter().filter(|service| !is_given_up(&service.name)).all(|service| {
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
        if is_given_up(&service.name) {
            continue;
        }
        for replica in 0..made.replicas {
            let found = there(made, replica);
            let failed_once =
                service.runs_once() && found.is_some_and(|container| matches!(container.state, ContainerState::Exited { .. }));
            if failed_once || found.is_some_and(|container| is_fine(service, container)) || !ready {
                continue;
            }
            let container = bring_up(ground, app, release, service, replica).await?;
            follow_start(ground, service, container);
            started = true;
        }
    }
    Ok(started)
}
