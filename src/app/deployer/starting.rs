//! Starts the containers of a release beside those of the one before or after them, and looks whether they serve.

use super::{
    purge_kept,
    step::{Next, Step},
};
use crate::{
    containers::{self, must_stop_first},
    release_images::ReleaseImage,
    routing,
};
use std::time::Duration;
use types::{Container, ContainerState, Error, Phase, Probe, Release, Result, RunEnd, report};

impl Step<'_> {
    pub(super) async fn start(&self) -> Result<Next> {
        let release = self.release()?;
        if let Some(stack) = &release.stack {
            return self.start_stack(&release, stack).await;
        }
        // While the old one still serves: when it fails, nothing has changed.
        if let (Some(command), false) = (&self.app.commands.before, self.is_rollback()) {
            self.log.note(format!("before the start: {command}")).await;
            let end = self.run_once(&release, command, "before").await?;
            if end.code != 0 || end.out_of_memory {
                let why = ended_words(end, &release);
                return Err(Error::invalid(
                    "before_deploy",
                    format!("`{command}` {why}; nothing was changed over"),
                ));
            }
        }
        if must_stop_first(&release) {
            if release.digest.is_some() {
                // Before anything stops: it may have to come from its registry again, which takes a while, or fails.
                let image = ReleaseImage::single(&release);
                image.bring(self.ground, &self.app.organization, &self.log.lines()).await?;
            }
            let others = self.ground.node.containers().await?;
            for old in others
                .iter()
                .filter(|old| old.owner.app == release.app && old.owner.release != release.id && old.state.is_running())
            {
                self.log
                    .note("stopping the old container first, because both would write to the same volume".into())
                    .await;
                containers::stop_drained(self.ground, old, Duration::from_secs(release.grace_seconds.into())).await?;
            }
        }
        self.log.note(format!("starting a container from {}", release.image_name)).await;
        containers::bring_up(self.ground, self.app, &release, 0).await?;
        Ok(Next::to(Phase::Checking))
    }

    pub(super) async fn check(&self) -> Result<Next> {
        let release = self.release()?;
        if let Some(stack) = &release.stack {
            // It has no place; the log says so.
            self.places(&release).await?;
            return self.check_stack(&release, stack).await;
        }
        // One after the other, so that a bad release stops at its first container and the old ones serve on.
        let app = self.ground.store.apps.get(self.app.id.as_str())?;
        let wanted = release.replicas.filter(|_| self.is_rollback()).unwrap_or(app.replicas);
        let replicas = release.room_for(wanted);
        for replica in 0..replicas {
            if replica > 0 {
                self.log.note(format!("starting container {} of {replicas}", replica + 1)).await;
                containers::bring_up(self.ground, self.app, &release, replica).await?;
            }
            self.check_replica(&release, replica).await?;
        }
        self.after_checks(&release).await
    }

    /// Waits until one container of the release serves.
    pub(super) async fn check_replica(&self, release: &Release, replica: u32) -> Result<()> {
        let health = &release.health;
        let what = health.probe.words(release.port);
        self.log
            .note(format!("waiting until {what}, at most {} s", health.start_seconds))
            .await;
        let began = tokio::time::Instant::now();
        let limit = Duration::from_secs(health.start_seconds.into());
        let mut pause = Duration::from_millis(100);
        loop {
            let containers = self.ground.node.containers().await?;
            let is_it = |container: &Container| container.owner.release == release.id && container.owner.replica == replica;
            let Some(container) = containers.into_iter().find(is_it) else {
                return Err(Error::unavailable("the new container is gone; somebody removed it"));
            };
            if let Some(why) = broken(release, &container) {
                return Err(Error::unavailable(why));
            }
            let why = match &container.state {
                ContainerState::Running => match self.probe(release, &container, began).await {
                    Ok(()) => {
                        self.log.note(format!("healthy after {:.1} s", began.elapsed().as_secs_f64())).await;
                        return Ok(());
                    }
                    Err(error) => report(&error),
                },
                state => state.words(),
            };
            if began.elapsed() > limit {
                let hint = match health.probe {
                    Probe::Running => "",
                    _ => "; is that the port on which the app listens, on all addresses (0.0.0.0)?",
                };
                return Err(Error::unavailable(format!("not healthy after {} s: {why}{hint}", limit.as_secs())));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(health.interval_seconds.min(2).into()));
        }
    }

    pub(super) async fn probe(&self, release: &Release, container: &Container, began: tokio::time::Instant) -> Result<()> {
        if release.health.probe == Probe::Running {
            // Long enough to see a process that exits at once.
            return if began.elapsed() > Duration::from_secs(3) {
                Ok(())
            } else {
                Err(Error::unavailable("just started"))
            };
        }
        let address = container
            .address
            .ok_or_else(|| Error::unavailable("the container has no address yet"))?;
        let timeout = Duration::from_secs(release.health.timeout_seconds.into());
        self.ground.node.probe(address, release.port, &release.health.probe, timeout).await
    }

    /// What follows once it is live: routes, kept answers, the command after the deployment.
    pub(super) async fn settle(&self, deadline: tokio::time::Instant) -> Result<()> {
        let (ground, app) = (self.ground, self.app);
        // It has its route already, unless that failed just now.
        let routed = async {
            containers::look(ground).await?;
            routing::apply(ground).await
        };
        if let Err(error) = routed.await {
            tracing::warn!("routes after deployment {}: {}", self.deployment.id, report(&error));
        }
        purge_kept(ground, &app.id).await;
        let domains = ground.store.domains.list()?;
        let words = match domains.iter().find(|domain| domain.app == app.id && domain.primary) {
            Some(domain) => format!("live at {}", ground.url_of(&domain.host)),
            None => "live".into(),
        };
        self.log.note(words).await;
        ground.wake_reconcile();
        ground.wake_certificates();
        if tokio::time::timeout_at(deadline, self.after()).await.is_err() {
            let why = "the command after the deployment took too long";
            self.log.note(format!("ended after {} s: {why}", app.deploy_timeout_seconds)).await;
        }
        Ok(())
    }

    /// Runs one of the app's own commands in a container of the release, beside what is live.
    pub(super) async fn run_once(&self, release: &Release, command: &str, what: &str) -> Result<RunEnd> {
        let spec = containers::run_spec(self.ground, self.app, release, command, what).await?;
        containers::run(self.ground, self.app, release, None, spec, &self.log.lines()).await
    }

    /// What is to happen once it is live. A failure is told, and changes nothing.
    pub(super) async fn after(&self) -> Result<()> {
        let (Some(command), false) = (&self.app.commands.after, self.is_rollback()) else {
            return Ok(());
        };
        self.log.note(format!("now that it is live: {command}")).await;
        let release = self.release()?;
        match self.run_once(&release, command, "after").await {
            Ok(end) if end.code == 0 => {}
            Ok(end) => self.log.note(format!("`{command}` {}", ended_words(end, &release))).await,
            Err(error) => self.log.note(format!("`{command}` could not be run: {}", report(&error))).await,
        }
        Ok(())
    }
}

/// Why a container that began with this release does not stay up: it ended, whether or not it was started again. `None`: it stays up.
pub(super) fn broken(release: &Release, container: &Container) -> Option<String> {
    match &container.state {
        ContainerState::Exited { out_of_memory: true, .. } | ContainerState::Restarting { out_of_memory: true, .. } => Some(format!(
            "the container was killed: out of memory, limit {} MiB",
            release.limits.memory_bytes >> 20
        )),
        ContainerState::Exited { .. } | ContainerState::Restarting { .. } => Some(format!("the container {}", container.state.words())),
        _ if container.restarts > 0 => Some("the container exited at once and was started again".to_owned()),
        _ => None,
    }
}

/// `exited with code 3`, `was killed: out of memory, limit 256 MiB`.
pub(super) fn ended_words(end: RunEnd, release: &Release) -> String {
    match end.out_of_memory {
        // Each service has its own limit.
        true if release.stack.is_some() => "was killed: out of memory".to_owned(),
        true => format!("was killed: out of memory, limit {} MiB", release.limits.memory_bytes >> 20),
        false => format!("exited with code {}", end.code),
    }
}
