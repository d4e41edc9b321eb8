//! What an app wishes to do in a container before that is stopped: hand over its work, flush, sign off somewhere. The command has as long as
//! the signal has after it; that it fails or takes too long is told, and holds nothing up.

use crate::ground::Ground;
use std::time::Duration;
use tokio::io::{copy, sink};
use types::{App, Container, Error, ExecSpec, Result, report};

/// Runs the app's command in the container, if it has one, and stops the container then. Each has at most `grace`.
pub(crate) async fn stop_well(ground: &Ground, container: &Container, grace: Duration) -> Result<()> {
    let app = ground.store.apps.find(container.owner.app.as_str())?.map(|stored| stored.value);
    if let Some((app, command)) = app.as_ref().and_then(|app| Some((app, app.commands.before_stop.as_ref()?)))
        && container.state.is_running()
        && container.owner.service.is_none()
    {
        let said = tokio::time::timeout(grace, said(ground, container, command)).await;
        let late = |_| Err(Error::busy(format!("it took longer than {} s", grace.as_secs())));
        if let Err(error) = said.unwrap_or_else(late) {
            tell(ground, app, container, &report(&error));
        }
    }
    ground.node.container_stop(&container.id, grace).await
}

/// Fails with `Busy` when it exits with anything but 0.
async fn said(ground: &Ground, container: &Container, command: &str) -> Result<()> {
    let spec = ExecSpec {
        command: vec!["sh".into(), "-c".into(), command.to_owned()],
        tty: false,
        columns: 80,
        rows: 24,
    };
    let node::Exec {
        mut output,
        input: _open,
        control,
    } = ground.node.exec(&container.id, &spec).await?;
    // Its output ends with it; a line that breaks is no reason to wait.
    let _ = copy(&mut output, &mut sink()).await;
    match control.exit_code().await? {
        Some(0) => Ok(()),
        Some(code) => Err(Error::busy(format!("it exited with code {code}"))),
        None => Err(Error::busy("it let go of its output and goes on")),
    }
}

fn tell(ground: &Ground, app: &App, container: &Container, why: &str) {
    let why = ground.redactor.redact(why);
    tracing::warn!("the command before the stop of {} ({}): {why}", app.name, container.name);
}
