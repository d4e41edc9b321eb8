//! Whether an app that is being woken is well: its containers run, and the one that domains lead to passes the health check.

use crate::{containers, ground::Ground};
use std::time::Duration;
use tokio::time::Instant;
use types::{App, Container, ContainerState, EngineHealth, Error, Probe, Release, Result, report};

/// Why an app is not awake yet.
pub(super) enum NotYet {
    Wait(String),
    Never(String),
}

/// Whether its containers are as they should be, and the one that domains lead to passes the health check. Of several that
/// are the same, one is enough. `up_since`: when it was first seen to run.
pub(super) async fn is_ready(
    ground: &Ground,
    app: &App,
    release: &Release,
    up_since: &mut Option<Instant>,
) -> std::result::Result<(), NotYet> {
    let seen = ground.node.containers().await.map_err(|error| NotYet::Wait(report(&error)))?;
    if let Some(why) = services_wait(release, &seen) {
        return Err(NotYet::Wait(why));
    }
    let serving = |one: &&Container| release.serves_with(one) && release.wants(one, app.replicas);
    let mut last = NotYet::Wait("its container is being started".into());
    for container in seen.iter().filter(serving) {
        match &container.state {
            ContainerState::Restarting { .. } if release.stack.is_none() => {
                return Err(NotYet::Never(format!("the container {}", container.state.words())));
            }
            ContainerState::Running if container.restarts > 0 && release.stack.is_none() => {
                return Err(NotYet::Never("the container exited at once and was started again".into()));
            }
            ContainerState::Running => match probe(ground, release, container, up_since).await {
                Ok(()) => return Ok(()),
                Err(error) => last = NotYet::Wait(report(&error)),
            },
            _ => {}
        }
    }
    Err(last)
}

async fn probe(ground: &Ground, release: &Release, container: &Container, up_since: &mut Option<Instant>) -> Result<()> {
    let up_since = up_since.get_or_insert_with(Instant::now);
    if release.health.probe == Probe::Running {
        // Long enough to see a process that exits at once.
        return match up_since.elapsed() > Duration::from_secs(3) {
            true => Ok(()),
            false => Err(Error::unavailable("just started")),
        };
    }
    let address = container.address;
    let address = address.ok_or_else(|| Error::unavailable("the container has no address yet"))?;
    let timeout = Duration::from_secs(release.health.timeout_seconds.into());
    ground.node.probe(address, release.port, &release.health.probe, timeout).await?;
    containers::mark(ground, &container.id, None);
    Ok(())
}

/// The first service of a stack that is not up; `None` for one container, too.
fn services_wait(release: &Release, seen: &[Container]) -> Option<String> {
    let services = release.stack.iter().flat_map(|stack| &stack.services);
    for service in services.filter(|service| !service.once) {
        for replica in 0..service.replicas {
            let mark = |one: &&Container| {
                let mark = one.owner.service.as_ref();
                release.owns(one) && mark.is_some_and(|mark| mark.name == service.name && mark.replica == replica)
            };
            let well = seen.iter().find(mark).is_some_and(|one| {
                let ill = matches!(one.health, Some(EngineHealth::Starting | EngineHealth::Unhealthy));
                one.state.is_running() && !ill
            });
            if !well {
                return Some(format!("`{}` is not up", service.name));
            }
        }
    }
    None
}
