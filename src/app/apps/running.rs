//! Whether an app runs: started, stopped, put to sleep, started anew; and locked against deployments.

use super::{AppView, Apps, find_app, in_range, not_trashed};
use crate::{containers, ground::Ground, last_words, releases, sleeping};
use std::{sync::Arc, time::Duration};
use types::{Action, Actor, App, Container, DeployLock, DesiredState, Error, Fact, ReleaseId, Result, report};

impl Apps {
    /// Lets nothing be deployed, for some minutes or until it is unlocked. Rolling back stays possible.
    pub async fn lock(&self, actor: &Actor, app: &str, why: String, minutes: Option<u32>) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        if why.chars().count() > 200 || why.chars().any(char::is_control) {
            return Err(Error::invalid("why", "must be one line of at most 200 letters"));
        }
        if let Some(minutes) = minutes {
            in_range("minutes", minutes, 1, 525_600)?;
        }
        let now = self.ground.world.now();
        let lock = DeployLock {
            by: actor.who.to_string(),
            why: why.trim().to_owned(),
            at: now,
            until: minutes.map(|minutes| now.plus(Duration::from_secs(u64::from(minutes) * 60))),
        };
        self.set_lock(actor, &app, Some(lock)).await
    }

    pub async fn unlock(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        self.set_lock(actor, &app, None).await
    }

    async fn set_lock(&self, actor: &Actor, app: &App, lock: Option<DeployLock>) -> Result<AppView> {
        let set = |app: &mut App| {
            app.lock.clone_from(&lock);
            Ok(())
        };
        self.ground.store.apps.update(app.id.as_str(), set).await?;
        let fact = Fact::DeploymentsLocked {
            app: app.id.clone(),
            name: app.name.to_string(),
            why: lock.map(|lock| lock.why),
        };
        self.ground.events.emit(actor, fact).await;
        self.view(actor, &app.id)
    }

    /// Asks for it to run. Fails with `Busy` when nothing was ever deployed.
    pub async fn start(&self, actor: &Actor, app: &str) -> Result<AppView> {
        self.want(actor, app, DesiredState::Running).await
    }

    /// Asks for it to stop; the edge answers that it is down.
    pub async fn stop(&self, actor: &Actor, app: &str) -> Result<AppView> {
        self.want(actor, app, DesiredState::Stopped).await
    }

    /// Puts it to sleep before its time: the next request wakes it. Fails with `Busy` when it may not sleep or is in use.
    pub async fn sleep(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let id = sleeping::put_to_sleep(&self.ground, actor, app).await?;
        self.view(actor, &id)
    }

    async fn want(&self, actor: &Actor, app: &str, desired: DesiredState) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        if desired == DesiredState::Running && app.release.is_none() {
            return Err(Error::busy(format!("`{}` has no release to start; deploy it", app.name)));
        }
        if desired == DesiredState::Running && app.asleep.is_some() {
            // The edge goes on holding its requests until it is well.
            sleeping::wake_now(&self.ground, &app.id, &actor.who.to_string()).await?;
            return self.view(actor, &app.id);
        }
        let changed = app.desired != desired || !app.halted.is_empty();
        self.ground
            .store
            .apps
            .update(app.id.as_str(), |app| {
                app.desired = desired;
                app.halted.clear();
                app.asleep = None;
                Ok(())
            })
            .await?;
        if changed {
            let state = if desired == DesiredState::Running { "started" } else { "stopped" };
            let fact = Fact::AppStateChanged {
                app: app.id.clone(),
                name: app.name.to_string(),
                state: state.into(),
                why: None,
            };
            self.ground.events.emit(actor, fact).await;
        }
        self.wake_all();
        self.view(actor, &app.id)
    }

    /// Stops the containers of the live release with their grace period and starts them again.
    pub async fn restart(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        if app.asleep.is_some() {
            return self.want(actor, app.id.as_str(), DesiredState::Running).await;
        }
        let release = app
            .release
            .clone()
            .ok_or_else(|| Error::busy(format!("`{}` has no release to start; deploy it", app.name)))?;
        let runs = |app: &mut App| {
            app.desired = DesiredState::Running;
            app.halted.clear();
            Ok(())
        };
        self.ground.store.apps.update(app.id.as_str(), runs).await?;
        tokio::spawn(stop_all(self.ground.clone(), app.clone(), release));
        let fact = Fact::AppStateChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            state: "restarted".into(),
            why: None,
        };
        self.ground.events.emit(actor, fact).await;
        self.view(actor, &app.id)
    }
}

/// Stops the containers of a release; the reconciler starts them again. One after the other where there are several, so that the
/// others serve meanwhile.
async fn stop_all(ground: Arc<Ground>, app: App, release: ReleaseId) {
    let found = ground.node.containers().await.unwrap_or_default();
    let Some(release) = releases::find(&ground, &release).ok().flatten() else {
        return ground.wake_reconcile();
    };
    let tell = |container: &Container, error: &Error| tracing::warn!("restart of {}: {}", container.name, report(error));
    let by_turns = app.replicas > 1;
    for container in found.iter().filter(|container| release.owns(container)) {
        // The one before is seen to serve again before this one goes.
        if by_turns && let Err(error) = containers::look(&ground).await {
            tell(container, &error);
        }
        let aside = containers::set_aside(&ground, container).await;
        let grace = Duration::from_secs(app.grace_seconds.into());
        if let Err(error) = last_words::stop_well(&ground, container, grace).await {
            tell(container, &error);
        }
        if by_turns {
            ground.wake_reconcile();
            containers::serves_again(&ground, &release, container).await;
        } else if let Err(error) = containers::look(&ground).await {
            tell(container, &error);
        }
        drop(aside);
    }
    ground.wake_reconcile();
}
