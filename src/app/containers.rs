//! Containers of releases: how they are made, looked at, and taken away.

use crate::{files, ground::Ground, last_words, networks, observed::Health, release_images, releases, routing, stacks, trash};
use node::Lines;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use types::{
    App, Container, ContainerSpec, Error, Kind, MountSpec, Owner, Release, ReleaseService, Result, RunEnd, Secret, UpstreamUse, VolumeId,
    report,
};

/// How long requests and WebSockets of a container that was replaced may go on.
const DRAIN: Duration = Duration::from_secs(30);
/// A request that was given the old route in the moment of the swap has begun by then.
const SETTLE: Duration = Duration::from_millis(300);

/// Containers that are on their way out, by name.
#[derive(Default)]
pub(crate) struct Retiring {
    tokens: Mutex<HashMap<String, CancellationToken>>,
    looking: tokio::sync::Mutex<()>,
}

impl Retiring {
    fn enter(&self, key: &str) -> Option<CancellationToken> {
        let mut tokens = self.tokens.lock().expect("no panic while held");
        if tokens.contains_key(key) {
            return None;
        }
        let token = CancellationToken::new();
        tokens.insert(key.to_owned(), token.clone());
        Some(token)
    }

    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.tokens.lock().expect("no panic while held").is_empty()
    }

    /// The container is wanted again: one that still drains stays, one that is being stopped is waited for.
    pub async fn take_back_named(&self, key: &str) {
        loop {
            match self.tokens.lock().expect("no panic while held").get(key) {
                Some(token) => token.cancel(),
                None => return,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Looks at the engine's containers of our organizations and keeps what it saw. One look at a time, so that an older one
/// never replaces a newer one.
pub(crate) async fn look(ground: &Ground) -> Result<Vec<Container>> {
    let _one_at_a_time = ground.retiring.looking.lock().await;
    let mut containers = ground.node.containers().await?;
    let ours: HashSet<_> = ground
        .store
        .organizations
        .list()?
        .into_iter()
        .map(|organization| organization.value.id)
        .collect();
    containers.retain(|container| ours.contains(&container.owner.organization));
    ground.observed.rcu(|observed| {
        let mut observed = (**observed).clone();
        observed.containers = containers.clone();
        observed
            .health
            .retain(|id, _| containers.iter().any(|container| container.id == *id));
        observed
    });
    Ok(containers)
}

/// Makes and starts a container of a release, with its network and volumes; one that is there is started. An image that is gone comes
/// from its registry again.
pub(crate) async fn bring_up(ground: &Ground, app: &App, release: &Release, replica: u32) -> Result<()> {
    let mut spec = spec(ground, app, release, replica).await?;
    ground.retiring.take_back_named(&spec.name).await;
    if let Err(error) = ground.node.container_start(&spec).await {
        spec.image = release_images::again(ground, app, release, None, error, &release_images::unheard()).await?;
        ground.node.container_start(&spec).await?;
    }
    Ok(())
}

/// Drains, stops and removes a container, beside what else happens. `false` when that is under way already.
pub(crate) fn retire(ground: &Arc<Ground>, container: &Container) -> bool {
    let key = container.name.clone();
    let Some(taken_back) = ground.retiring.enter(&key) else {
        return false;
    };
    // Found now: the record of a release that failed may go before its container does.
    let release = releases::find(ground, &container.owner.release).unwrap_or_default();
    let grace = Duration::from_secs(release.as_ref().map_or(15, |release| release.grace_seconds).into());
    let (ground, container) = (ground.clone(), container.clone());
    tokio::spawn(async move {
        match drain_and_remove(&ground, &container, grace, taken_back).await {
            Ok(()) => forget_images(&ground, release.as_ref()).await,
            Err(error) => tracing::warn!("retiring {}: {}", container.name, report(&error)),
        }
        ground.retiring.tokens.lock().expect("no panic while held").remove(&key);
        ground.wake_reconcile();
    });
    true
}

/// Removes what was built for a release whose record has gone: it failed while its canary was tried.
async fn forget_images(ground: &Ground, release: Option<&Release>) {
    let Some(release) = release else { return };
    if !matches!(releases::find(ground, &release.id), Ok(None)) {
        return;
    }
    for (image, _) in trash::built_images(release) {
        trash::remove_image(ground, &image).await;
    }
}

/// Takes the container out of the routes and waits until nothing is under way to it; then stops it with its grace, and removes it.
async fn drain_and_remove(ground: &Ground, container: &Container, grace: Duration, taken_back: CancellationToken) -> Result<()> {
    let Some(_aside) = taken_back.run_until_cancelled(set_aside(ground, container)).await else {
        return Ok(());
    };
    last_words::stop_well(ground, container, grace).await?;
    ground.node.container_remove(&container.id).await
}

/// A container to which no route leads until this is dropped.
pub(crate) struct Aside<'a> {
    ground: &'a Ground,
    id: String,
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.ground.observed.rcu(|observed| {
            let mut observed = (**observed).clone();
            observed.aside.remove(&self.id);
            observed
        });
        self.ground.wake_reconcile();
    }
}

/// Takes a container that runs out of all routes, of domains and of ports of the server, and waits until nothing is under way to it, at
/// most [`DRAIN`]. An edge that does not take the routes holds nothing up.
pub(crate) async fn set_aside<'a>(ground: &'a Ground, container: &Container) -> Aside<'a> {
    ground.observed.rcu(|observed| {
        let mut observed = (**observed).clone();
        observed.aside.insert(container.id.clone());
        observed
    });
    let aside = Aside {
        ground,
        id: container.id.clone(),
    };
    if container.state.is_running()
        && let Err(error) = drain(ground, container).await
    {
        tracing::warn!("draining {}: {}", container.name, report(&error));
    }
    aside
}

async fn drain(ground: &Ground, container: &Container) -> Result<()> {
    routing::apply(ground).await?;
    tokio::time::sleep(SETTLE).await;
    let began = tokio::time::Instant::now();
    while began.elapsed() < DRAIN && under_way(ground, std::slice::from_ref(container)).await? > 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Requests, WebSockets and connections that the edge has passed on to these containers and that have not ended, over all of their ports.
pub(crate) async fn under_way(ground: &Ground, containers: &[Container]) -> Result<u32> {
    let uses = ground.node.edge_uses().await?;
    let own = |one: &&UpstreamUse| {
        containers
            .iter()
            .any(|container| container.address == Some(one.upstream.address.ip()))
    };
    Ok(uses.iter().filter(own).map(|one| one.active).sum())
}

/// Stops a container to which a route may lead: that goes first, then what is under way ends, then it has its last words and its signal.
pub(crate) async fn stop_drained(ground: &Ground, container: &Container, grace: Duration) -> Result<()> {
    let _aside = set_aside(ground, container).await;
    last_words::stop_well(ground, container, grace).await?;
    // No route is to lead to it again before it was seen stopped.
    look(ground).await.map(drop)
}

/// Waits until a container that was set aside and stopped is started again and serves, as long as its health check gives it.
pub(crate) async fn serves_again(ground: &Ground, release: &Release, container: &Container) {
    let health = &release.health;
    let serving = async {
        loop {
            let seen = ground.node.containers().await.unwrap_or_default();
            let now = seen.iter().find(|now| now.name == container.name && now.state.is_running());
            if let Some(address) = now.and_then(|now| now.address) {
                let timeout = Duration::from_secs(health.timeout_seconds.into());
                if ground.node.probe(address, release.port, &health.probe, timeout).await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let is_well = tokio::time::timeout(Duration::from_secs(health.start_seconds.into()), serving)
        .await
        .is_ok();
    if is_well {
        mark(ground, &container.id, None);
    }
}

/// Says of a container how it fares, until its next check.
pub(crate) fn mark(ground: &Ground, id: &str, why: Option<String>) {
    ground.observed.rcu(|observed| {
        let mut observed = (**observed).clone();
        let failures = u32::from(why.is_some());
        observed.health.insert(
            id.to_owned(),
            Health {
                failures,
                why: why.clone(),
            },
        );
        observed
    });
}

/// Two containers must not write to one volume at the same time.
pub(crate) fn must_stop_first(release: &Release) -> bool {
    release.mounts.iter().any(|mount| !mount.read_only)
}

/// Why the next deployment of the app stops what is live before it starts the new one, in words; `None`: the new one takes over
/// while the old one serves. `name` says what people call a volume.
pub(crate) fn why_stop_first(app: &App, live: Option<&Release>, name: impl Fn(&VolumeId) -> Option<String>) -> Option<String> {
    if let Some(stack) = live.and_then(|release| release.stack.as_ref()) {
        let each = |service: &ReleaseService| Some(format!("{}: {}", service.name, service.stops_first.as_ref()?));
        let all: Vec<String> = stack.services.iter().filter_map(each).collect();
        return (!all.is_empty()).then(|| all.join("; "));
    }
    let mount = app.mounts.iter().find(|mount| !mount.read_only)?;
    let volume = name(&mount.volume).unwrap_or_else(|| mount.volume.to_string());
    Some(format!(
        "it writes to the volume {volume} at {}, which two containers must not at once",
        mount.path
    ))
}

/// The container of a release, with its network and volumes made and its secrets open.
async fn spec(ground: &Ground, app: &App, release: &Release, replica: u32) -> Result<ContainerSpec> {
    let network = networks::ensure_network(ground, app).await?;
    let mut mounts = Vec::new();
    for mount in &release.mounts {
        mounts.push(MountSpec {
            volume: must_be_here(ground, &mount.volume).await?,
            path: mount.path.to_string(),
            read_only: mount.read_only,
        });
    }
    let mut environment = Vec::new();
    for variable in &release.variables {
        environment.push((variable.key.to_string(), ground.store.unseal(&variable.value)?));
    }
    if !release.variables.iter().any(|variable| variable.key.as_str() == "PORT") {
        environment.push(("PORT".into(), Secret::from(release.port.to_string())));
    }
    let number = if replica == 0 { String::new() } else { format!("-{}", replica + 1) };
    Ok(ContainerSpec {
        name: format!("sk-{}-{}-{}{number}", app.name, release.number, tail(release.id.as_str(), 6)),
        owner: Owner {
            organization: app.organization.clone(),
            environment: app.environment.clone(),
            app: app.id.clone(),
            release: release.id.clone(),
            replica,
            service: None,
        },
        image: release.image.clone(),
        command: release.command.clone(),
        environment,
        network,
        aliases: vec![app.name.to_string()],
        mounts,
        limits: release.limits.clone(),
        grace_seconds: release.grace_seconds,
        files: files::opened(ground, release)?,
        service: None,
    })
}

/// A container of a release, of its main service where it has several, that runs one command of a shell and ends.
pub(crate) async fn run_spec(ground: &Ground, app: &App, release: &Release, command: &str, what: &str) -> Result<ContainerSpec> {
    let words = vec!["sh".into(), "-c".into(), command.to_owned()];
    let spec = job_spec(ground, app, release, None, words, release.id.as_str()).await?;
    Ok(ContainerSpec {
        name: format!("sk-{}-{}-{}-{what}", app.name, release.number, tail(release.id.as_str(), 6)),
        ..spec
    })
}

/// A container that runs one command with the image, variables, files and volumes of a release.
pub(crate) async fn job_spec(
    ground: &Ground,
    app: &App,
    release: &Release,
    service: Option<&str>,
    command: Vec<String>,
    run: &str,
) -> Result<ContainerSpec> {
    let spec = match &release.stack {
        None => spec(ground, app, release, 0).await?,
        Some(live) => {
            let stack = stacks::open(ground, live)?;
            let name = service.unwrap_or(&live.main);
            let service = stack.service(name).ok_or_else(|| Error::not_found(Kind::Service, name))?;
            stacks::spec(ground, app, release, service, 0).await?
        }
    };
    let service = spec.service.map(|mut service| {
        // Nobody waits for it to be healthy; it is on the networks of the service within the app, and nobody is to find it there.
        service.health = types::StackHealth::Off;
        service.further.iter_mut().for_each(|(_, names)| names.clear());
        service.also = service.also.take().map(|(network, _)| (network, Vec::new()));
        service
    });
    Ok(ContainerSpec {
        name: job_container(run),
        command: Some(command),
        aliases: Vec::new(),
        service,
        ..spec
    })
}

/// Runs what [`job_spec`] or [`run_spec`] made, to its end. An image that is gone comes from its registry again.
pub(crate) async fn run(
    ground: &Ground,
    app: &App,
    release: &Release,
    service: Option<&str>,
    mut spec: ContainerSpec,
    lines: &Lines,
) -> Result<RunEnd> {
    match ground.node.container_run(&spec, lines).await {
        Err(error) => {
            spec.image = release_images::again(ground, app, release, service, error, lines).await?;
            ground.node.container_run(&spec, lines).await
        }
        ended => ended,
    }
}

/// Of a run, whatever its app is called meanwhile.
pub(crate) fn job_container(run: &str) -> String {
    format!("sk-run-{}", tail(run, 12))
}

/// The volume's name on the engine, where it is made unless it is there.
pub(crate) async fn must_be_here(ground: &Ground, id: &VolumeId) -> Result<String> {
    let volume = ground.store.volumes.get(id.as_str())?.value;
    let labels = [
        ("serverkit.organization".to_owned(), volume.organization.to_string()),
        ("serverkit.volume".to_owned(), volume.id.to_string()),
    ];
    ground.node.volume_ensure(&volume.engine_name, &labels).await?;
    Ok(volume.engine_name)
}

/// The last letters of an id.
pub(crate) fn tail(id: &str, letters: usize) -> &str {
    &id[id.len() - letters..]
}
