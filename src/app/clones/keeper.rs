//! Carries clones through: stops what writes, copies, starts it again, deploys; or takes all of it away.
//!
//! Each step may be done again, so what a crash interrupts goes on at the next start. Work goes on beside the job's turns: a copy
//! may take hours, and nothing waits for it when the panel ends.

use super::{fact, forget_old, maker::LOCKER};
use crate::{
    apps::is_active,
    copies,
    deployments::{self, Wanted, moved},
    freezes,
    ground::Ground,
    quotas,
};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::{Batch, Stored};
use tokio::task::JoinHandle;
use types::{
    Actor, App, AppId, Cause, CloneId, ClonePhase, DesiredState, EnvironmentClone, Error, Fact, OrganizationId, Result, Source, Time,
    VolumeId, report,
};

/// Between two looks at what stops.
const PAUSE: Duration = Duration::from_millis(500);
/// Beyond the grace period of what stops.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub struct Cloner {
    ground: Arc<Ground>,
    working: HashMap<CloneId, JoinHandle<()>>,
}

/// What one turn found.
#[derive(Debug, Default, serde::Serialize)]
pub struct ClonerReport {
    /// Those that are under way: `staging from production: copying`.
    pub under_way: Vec<String>,
}

/// What follows a step.
enum Next {
    /// The next step.
    On,
    /// The same again, at the next turn.
    Later,
    Over,
}

impl Cloner {
    pub(crate) fn new(ground: Arc<Ground>) -> Cloner {
        Cloner {
            ground,
            working: HashMap::new(),
        }
    }
}

/// The next process goes on; two at once would write to the same volume.
impl Drop for Cloner {
    fn drop(&mut self) {
        for work in self.working.values() {
            work.abort();
        }
    }
}

#[async_trait]
impl jobs::Job for Cloner {
    const NAME: &'static str = "clones";
    type Report = ClonerReport;

    async fn run(&mut self) -> Result<ClonerReport> {
        let mut report = ClonerReport::default();
        self.working.retain(|_, work| !work.is_finished());
        for clone in self.ground.store.clones.list()?.into_iter().filter(|clone| !clone.phase.is_final()) {
            report
                .under_way
                .push(format!("{} from {}: {}", clone.name, clone.from_name, clone.phase.word()));
            let (ground, id, whose) = (self.ground.clone(), clone.id.clone(), clone.organization.clone());
            self.working
                .entry(clone.value.id)
                .or_insert_with(|| tokio::spawn(async move { carry(&ground, &id, &whose).await }));
        }
        Ok(report)
    }
}

/// Step by step, as far as it goes now.
async fn carry(ground: &Ground, id: &CloneId, whose: &OrganizationId) {
    loop {
        match step(ground, id).await {
            // Somebody changed it just now: looked at again.
            Ok(Next::On) | Err(Error::Stale { .. }) => {}
            Ok(Next::Later | Next::Over) => return,
            Err(error) => {
                let why = ground.redactor.redact_for(whose, &report(&error)).into_owned();
                match fail(ground, id, &why).await {
                    Ok(true) => {}
                    // It is being taken away already, and that is tried again.
                    Ok(false) => return,
                    Err(error) => {
                        tracing::warn!("the clone {id}: {}", report(&error));
                        return;
                    }
                }
            }
        }
    }
}

async fn step(ground: &Ground, id: &CloneId) -> Result<Next> {
    let Some(stored) = ground.store.clones.find(id.as_str())? else {
        return Ok(Next::Over);
    };
    if stored.cancel_requested && stored.phase.is_cancellable() {
        return enter(ground, stored, ClonePhase::Undoing, "it was cancelled: what was made goes").await;
    }
    match stored.phase {
        ClonePhase::Stopping => stop(ground, stored).await,
        ClonePhase::Copying => copy(ground, stored).await,
        ClonePhase::Starting => start_again(ground, stored, ClonePhase::Deploying, "its apps are about to be deployed").await,
        ClonePhase::Deploying => deploy(ground, stored).await,
        ClonePhase::Undoing => undo(ground, stored).await,
        ClonePhase::Done | ClonePhase::Failed | ClonePhase::Cancelled => Ok(Next::Over),
    }
}

async fn enter(ground: &Ground, mut stored: Stored<EnvironmentClone>, phase: ClonePhase, why: &str) -> Result<Next> {
    stored.enter(phase, why, ground.world.now());
    ground.store.clones.save(stored).await?;
    Ok(Next::On)
}

/// From now on it is taken away; `false`: it was already, or its apps are being deployed, and the step is tried again. Keeps why.
async fn fail(ground: &Ground, id: &CloneId, why: &str) -> Result<bool> {
    let now = ground.world.now();
    let stored = ground.store.clones.get(id.as_str())?;
    let is_new = stored.phase.is_cancellable();
    let note = |clone: &mut EnvironmentClone| {
        match clone.phase {
            ClonePhase::Undoing => clone.notes = vec![why.to_owned()],
            // Its apps are there, with their data, and may run already.
            ClonePhase::Deploying => clone.why = format!("{why}; it is tried again"),
            phase if phase.is_final() => {}
            _ => clone.enter(ClonePhase::Undoing, why, now),
        }
        Ok(())
    };
    ground.store.clones.update(id.as_str(), note).await?;
    Ok(is_new)
}

/// Apps outside of the clone that mount what is copied.
fn writers(ground: &Ground, clone: &EnvironmentClone) -> Result<Vec<App>> {
    let volumes: Vec<&VolumeId> = clone
        .volumes
        .iter()
        .filter(|volume| volume.data)
        .map(|volume| &volume.from)
        .collect();
    let environment = ground.store.environments.get(clone.to.as_str())?.value;
    super::writers(ground, &environment, &volumes)
}

/// Stops what writes to the data, if that was asked for, and waits until nothing of it runs.
async fn stop(ground: &Ground, mut stored: Stored<EnvironmentClone>) -> Result<Next> {
    let writers = writers(ground, &stored)?;
    let is_wanted = |app: &&App| app.desired == DesiredState::Running && app.release.is_some();
    let running: Vec<App> = writers.iter().filter(is_wanted).cloned().collect();
    if let Some(first) = running.first() {
        if !stored.stop {
            return Err(copies::runs(first.name.as_str()));
        }
        let mut batch = Batch::new();
        for app in &running {
            let mut app = ground.store.apps.get(app.id.as_str())?;
            app.desired = DesiredState::Stopped;
            if !stored.stopped.contains(&app.id) {
                stored.stopped.push(app.id.clone());
            }
            batch = batch.save(app);
        }
        stored.updated_at = ground.world.now();
        let name = stored.name.clone();
        ground.store.commit(batch.save(stored)).await?;
        for app in &running {
            tell_state(ground, app, "stopped", &format!("while its data is copied to {name}")).await;
        }
        ground.wake_reconcile();
        return Ok(Next::On);
    }
    let grace = writers.iter().map(|app| app.grace_seconds).max().unwrap_or(0);
    let patience = Duration::from_secs(grace.into()) + PATIENCE;
    let begun = stored.steps.last().map_or(stored.created_at, |step| step.started_at);
    while let Err(error) = copies::must_be_still(ground, &writers).await {
        let is_over = ground.world.now().since(begun) > patience;
        if is_over || !matches!(error, Error::Busy { .. }) {
            return Err(error);
        }
        if is_cancelled(ground, &stored.id) {
            return Ok(Next::On);
        }
        tokio::time::sleep(PAUSE).await;
    }
    enter(ground, stored, ClonePhase::Copying, "the data is being copied").await
}

fn is_cancelled(ground: &Ground, id: &CloneId) -> bool {
    let found = ground.store.clones.find(id.as_str());
    found.is_ok_and(|found| found.is_none_or(|clone| clone.cancel_requested))
}

/// Ends when somebody cancels it.
async fn cancelled(ground: &Ground, id: &CloneId) {
    while !is_cancelled(ground, id) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Copies the next volume that is not copied yet.
async fn copy(ground: &Ground, stored: Stored<EnvironmentClone>) -> Result<Next> {
    for one in &stored.apps {
        let from = ground.store.apps.find(one.from.as_str())?;
        if from.is_none_or(|from| from.trashed_at.is_some()) {
            return Err(Error::busy(format!("`{}` was deleted while its data was copied", one.name)));
        }
    }
    let writers = writers(ground, &stored)?;
    copies::must_be_still(ground, &writers).await?;
    let begun = stored.steps.last().map_or(stored.created_at, |step| step.started_at);
    let Some(place) = stored.volumes.iter().position(|volume| volume.data && !volume.copied) else {
        must_have_been_still(ground, &writers, begun)?;
        return enter(ground, stored, ClonePhase::Starting, "the data is copied").await;
    };
    let volume = stored.volumes[place].clone();
    let of = writers
        .iter()
        .find(|app| app.mounts.iter().any(|mount| mount.volume == volume.from));
    let bytes = match of {
        Some(app) => tokio::select! {
            copied = copies::copy_volume(ground, app, &volume.from, &volume.to) => copied?,
            () = cancelled(ground, &stored.id) => return Ok(Next::On),
        },
        None => None,
    };
    let now = ground.world.now();
    let note = |clone: &mut EnvironmentClone| {
        let volume = &mut clone.volumes[place];
        volume.copied = true;
        volume.bytes = bytes;
        let left = clone.volumes.iter().filter(|volume| volume.data && !volume.copied).count();
        clone.why = match left {
            0 => "the data is copied".into(),
            1 => "1 volume is still to be copied".into(),
            left => format!("{left} volumes are still to be copied"),
        };
        clone.updated_at = now;
        Ok(())
    };
    ground.store.clones.update(stored.id.as_str(), note).await?;
    Ok(Next::On)
}

/// A job that came and went while the data was copied may have written to it.
fn must_have_been_still(ground: &Ground, writers: &[App], since: Time) -> Result<()> {
    for app in writers {
        let runs = ground.store.job_runs.prefix(&format!("{}/", app.id))?;
        if runs.iter().any(|run| run.started_at >= since) {
            return Err(Error::busy(format!(
                "a job of `{}` ran while its data was copied, so the copy may not be of one moment; try again",
                app.name
            )));
        }
    }
    Ok(())
}

/// What was stopped for the copy runs again, unless somebody has done something else with it meanwhile.
async fn start_again(ground: &Ground, mut stored: Stored<EnvironmentClone>, then: ClonePhase, why: &str) -> Result<Next> {
    let (mut batch, mut started) = (Batch::new(), Vec::new());
    for id in std::mem::take(&mut stored.stopped) {
        let Some(mut app) = ground.store.apps.find(id.as_str())? else {
            continue;
        };
        if app.trashed_at.is_none() && app.desired == DesiredState::Stopped {
            app.desired = DesiredState::Running;
            started.push(app.value.clone());
            batch = batch.save(app);
        }
    }
    let name = stored.name.clone();
    if stored.phase != then {
        stored.enter(then, why, ground.world.now());
    }
    ground.store.commit(batch.save(stored)).await?;
    for app in &started {
        tell_state(ground, app, "started", &format!("its data is not copied to {name} any more")).await;
    }
    ground.wake_reconcile();
    Ok(Next::On)
}

async fn tell_state(ground: &Ground, app: &App, state: &str, why: &str) {
    let fact = Fact::AppStateChanged {
        app: app.id.clone(),
        name: app.name.to_string(),
        state: state.into(),
        why: Some(why.to_owned()),
    };
    ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
}

/// Deploys what needs no build first: a database is there when what uses it begins.
async fn deploy(ground: &Ground, stored: Stored<EnvironmentClone>) -> Result<Next> {
    let mut apps = Vec::new();
    for one in &stored.apps {
        let app = ground.store.apps.find(one.to.as_str())?;
        apps.extend(app.map(|app| app.value).filter(|app| app.trashed_at.is_none()));
    }
    let is_served = |app: &App| app.source.buildable().is_none();
    for first in [true, false] {
        let wave: Vec<&App> = apps.iter().filter(|app| is_served(app) == first).collect();
        let waiting: Vec<&&App> = wave.iter().filter(|app| is_locked(app)).collect();
        for app in &waiting {
            release(ground, &stored, &app.id).await?;
        }
        if !waiting.is_empty() {
            return Ok(Next::On);
        }
        for app in wave {
            let last = app.last_deployment.as_ref().map(|id| deployments::find(ground, id)).transpose()?;
            if stored.deploy && last.flatten().is_some_and(|last| is_active(last.phase)) {
                return Ok(Next::Later);
            }
        }
    }
    finish(ground, stored, &apps).await
}

fn is_locked(app: &App) -> bool {
    app.lock.as_ref().is_some_and(|lock| lock.by == LOCKER)
}

/// Unlocks an app, and deploys it if that is wished and possible; else it is noted why not.
async fn release(ground: &Ground, clone: &EnvironmentClone, id: &AppId) -> Result<()> {
    let mut app = ground.store.apps.get(id.as_str())?;
    app.lock = None;
    let refused = match clone.deploy {
        true => must_wait(ground, &app)?,
        false => None,
    };
    if !clone.deploy || refused.is_some() {
        if !clone.deploy {
            app.desired = DesiredState::Stopped;
        }
        let name = app.name.clone();
        ground.store.apps.save(app).await?;
        if let Some(why) = refused {
            let note = |clone: &mut EnvironmentClone| {
                clone.notes.push(format!("`{name}` is not deployed: {why}"));
                Ok(())
            };
            ground.store.clones.update(clone.id.as_str(), note).await?;
        }
        return Ok(());
    }
    let batch = deployments::queue(
        ground,
        clone.by.clone(),
        &mut app.value,
        Cause::Created,
        Wanted::Usual,
        Batch::new(),
    )?;
    let told = app.value.clone();
    ground.store.commit(batch.save(app)).await?;
    if let Some(id) = &told.last_deployment
        && let Some(deployment) = deployments::find(ground, id)?
    {
        let actor = Actor::system(told.organization.clone());
        ground.events.emit(&actor, moved(&told, &deployment)).await;
    }
    ground.wake_deploy();
    Ok(())
}

/// Why an app is not deployed now.
fn must_wait(ground: &Ground, app: &App) -> Result<Option<String>> {
    if let Source::Upload(upload) = &app.source
        && upload.newest.is_none()
    {
        return Ok(Some("nothing was uploaded for it yet".into()));
    }
    if let Some(frozen) = freezes::frozen(&ground.store, &app.organization, &app.environment, ground.world.now())? {
        return Ok(Some(frozen.words()));
    }
    match quotas::may_deploy(ground, app, &Cause::Created) {
        Err(error @ Error::Busy { .. }) => Ok(Some(report(&error))),
        other => other.map(|()| None),
    }
}

async fn finish(ground: &Ground, mut stored: Stored<EnvironmentClone>, apps: &[App]) -> Result<Next> {
    let live = apps.iter().filter(|app| app.release.is_some()).count();
    let why = match stored.deploy {
        true => format!("{live} of {} apps are live", apps.len()),
        false => format!("{} apps are made; none is deployed yet", apps.len()),
    };
    let is_wanted = stored.deploy;
    for app in apps.iter().filter(|app| is_wanted && app.release.is_none()) {
        let last = app.last_deployment.as_ref().map(|id| deployments::find(ground, id)).transpose()?;
        if let Some(error) = last.flatten().and_then(|last| last.error) {
            stored.notes.push(format!("`{}` is not live: {error}", app.name));
        }
    }
    stored.enter(ClonePhase::Done, why.clone(), ground.world.now());
    end(ground, stored, "made", &why).await
}

async fn end(ground: &Ground, stored: Stored<EnvironmentClone>, what: &str, why: &str) -> Result<Next> {
    let clone = stored.value.clone();
    let batch = forget_old(ground, &clone.project, Batch::new())?;
    ground.store.commit(batch.save(stored)).await?;
    let actor = Actor::system(clone.organization.clone());
    ground.events.emit(&actor, fact(&clone, what, why)).await;
    Ok(Next::Over)
}

/// Starts what was stopped, then removes all that was made, and nothing that somebody else put beside it.
async fn undo(ground: &Ground, stored: Stored<EnvironmentClone>) -> Result<Next> {
    if !stored.stopped.is_empty() {
        return start_again(ground, stored, ClonePhase::Undoing, "").await;
    }
    let apps: Vec<AppId> = stored.apps.iter().map(|app| app.to.clone()).collect();
    if !copies::remove_apps(ground, &apps).await? {
        return Ok(Next::Later);
    }
    let store = &ground.store;
    let left = store.apps.list()?;
    for volume in &stored.volumes {
        if !left.iter().any(|app| app.mounts.iter().any(|mount| mount.volume == volume.to)) {
            copies::remove_volume(ground, &volume.to).await?;
        }
    }
    let is_there = |environment: &types::EnvironmentId| *environment == stored.to;
    let others = store.apps.list()?.iter().any(|app| is_there(&app.environment))
        || store.volumes.list()?.iter().any(|volume| is_there(&volume.environment));
    if !others {
        copies::remove_environment(ground, &stored.to).await?;
    }
    for host in &stored.hosts {
        let is_ours = store.domains.find(host.as_str())?.is_none();
        if is_ours && store.certificates.find(host.as_str())?.is_some() {
            store.certificates.remove(host.as_str()).await?;
        }
    }
    for mut webhook in store.webhooks.list()? {
        let before = webhook.passes_to.len();
        webhook.passes_to.retain(|to| !apps.contains(to));
        if webhook.passes_to.len() != before {
            store.webhooks.save(webhook).await?;
        }
    }
    let mut stored = stored;
    let why = match stored.cancel_requested {
        true => "it was cancelled, and all that was made is gone".to_owned(),
        false => stored.why.clone(),
    };
    let (phase, what) = match stored.cancel_requested {
        true => (ClonePhase::Cancelled, "took back"),
        false => (ClonePhase::Failed, "could not make"),
    };
    stored.notes.clear();
    stored.enter(phase, why.clone(), ground.world.now());
    ground.wake_reconcile();
    ground.wake_certificates();
    end(ground, stored, what, &why).await
}
