//! What an app wishes to do in a container before that is stopped: hand over its work, flush, sign off somewhere. An app of one container
//! has a command for it, the services of a Compose file have their `pre_stop`. Each command has as long as the signal has after it; that it
//! fails or takes too long is told, and holds nothing up.

use crate::{ground::Ground, inside, releases, stacks};
use std::time::Duration;
use types::{App, Container, Error, ExecSpec, Release, Result, report};

/// Runs the commands that are to be run in the container, and stops it then. Each has at most `grace`, unless its service says another
/// time.
pub(crate) async fn stop_well(ground: &Ground, container: &Container, grace: Duration) -> Result<()> {
    let app = ground.store.apps.find(container.owner.app.as_str())?.map(|stored| stored.value);
    let Some(app) = app else {
        return ground.node.container_stop(&container.id, grace).await;
    };
    // Whatever cannot be read of it, it stops.
    let (commands, own) = words(ground, &app, container).unwrap_or_else(|error| {
        tell(ground, &app, container, &report(&error));
        (Vec::new(), None)
    });
    let grace = own.unwrap_or(grace);
    if container.state.is_running() {
        for command in &commands {
            let said = tokio::time::timeout(grace, inside::run(ground, &container.id, command, None)).await;
            let late = |_| Err(Error::busy(format!("it took longer than {} s", grace.as_secs())));
            if let Err(error) = said.unwrap_or_else(late) {
                tell(ground, &app, container, &report(&error));
            }
        }
    }
    ground.node.container_stop(&container.id, grace).await
}

/// The commands, and how long the service says that it takes to stop.
fn words(ground: &Ground, app: &App, container: &Container) -> Result<(Vec<ExecSpec>, Option<Duration>)> {
    let Some(mark) = &container.owner.service else {
        let shell = |command: &String| ExecSpec::plain(vec!["sh".into(), "-c".into(), command.clone()]);
        // What is live follows the app; one that was replaced has its own.
        let release = match app.release.as_ref() == Some(&container.owner.release) {
            true => None,
            false => releases::find(ground, &container.owner.release)?,
        };
        let own = release.and_then(|release| release.upkeep);
        let command = own.map_or_else(|| app.commands.before_stop.clone(), |upkeep| upkeep.before_stop);
        return Ok((command.iter().map(shell).collect(), None));
    };
    let Some(live) = maker(ground, app, container)?.and_then(|release| release.stack) else {
        return Ok((Vec::new(), None));
    };
    let stack = stacks::open(ground, &live)?;
    let Some(service) = stack.service(&mark.name) else {
        return Ok((Vec::new(), None));
    };
    let grace = Duration::from_secs(stacks::grace_of(service, app).into());
    Ok((service.pre_stop.iter().map(inside::hook).collect(), Some(grace)))
}

/// A release that is made of this container: the one that made it may be gone, since a service that did not change keeps its
/// container.
fn maker(ground: &Ground, app: &App, container: &Container) -> Result<Option<Release>> {
    let all = ground.store.releases.prefix(&format!("{}/", app.id))?;
    let found = all.into_iter().rev().find(|release| release.owns(container));
    Ok(found.map(|stored| stored.value))
}

fn tell(ground: &Ground, app: &App, container: &Container, why: &str) {
    let why = ground.redactor.redact(why);
    tracing::warn!("the command before the stop of {} ({}): {why}", app.name, container.name);
}
