//! A command inside a running container, from its start to its end.

use crate::ground::Ground;
use node::Lines;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use types::{Error, ExecSetting, ExecSpec, LogLine, LogStream, Result, Secret, StackHook};

/// Between two looks at how it ended, of one that let go of its output before.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs it to its end, and hands on what it writes where somebody listens: a log, which takes secrets out of it. Fails with `Busy` when it exits with anything but 0; how long
/// it may take is the caller's business.
pub(crate) async fn run(ground: &Ground, container: &str, spec: &ExecSpec, heard: Option<&Lines>) -> Result<()> {
    let node::Exec {
        output,
        input: _open,
        control,
    } = ground.node.exec(container, spec).await?;
    let mut lines = BufReader::new(output).lines();
    // A line that breaks is no reason to stop it.
    while let Ok(Some(text)) = lines.next_line().await {
        if let Some(heard) = heard {
            let at = ground.world.now();
            let stream = LogStream::Stdout;
            let _ = heard.send(LogLine { at, stream, text }).await;
        }
    }
    loop {
        match control.exit_code().await? {
            Some(0) => return Ok(()),
            Some(code) => return Err(Error::busy(format!("it exited with code {code}"))),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A hook of a Compose file as a command inside of its service's container.
pub(crate) fn hook(hook: &StackHook) -> ExecSpec {
    let environment = hook.environment.iter();
    ExecSpec {
        setting: ExecSetting {
            user: hook.user.clone(),
            working_dir: hook.working_dir.clone(),
            environment: environment.map(|(key, value)| (key.clone(), Secret::from(value.clone()))).collect(),
            privileged: hook.privileged,
        },
        ..ExecSpec::plain(hook.command.clone())
    }
}
