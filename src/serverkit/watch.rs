//! The service manager and the signals.

use sd_notify::NotifyState;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use types::{Doing, Result};

/// Tells systemd, if that is who started it.
pub fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!("systemd was not told: {error}");
    }
}

/// Answers systemd's watchdog as long as the runtime turns; never returns, unless there is none.
pub async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut tick = tokio::time::interval((limit / 3).max(Duration::from_millis(100)));
    loop {
        tick.tick().await;
        tell(NotifyState::Watchdog);
    }
}

/// SIGTERM and SIGINT. SIGHUP, which ends a program that does not listen, is answered with a word in the log.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub fn listen() -> Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).doing("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).doing("listening for SIGINT")?,
            hang_up: signal(SignalKind::hangup()).doing("listening for SIGHUP")?,
        })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => tracing::info!("SIGHUP: the configuration is read at the start only; it goes on as it was"),
            }
        }
    }
}
