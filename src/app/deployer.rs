//! Brings deployments from `queued` to an end. The phase is saved before its work begins, and each step may be repeated,
//! so that a crash costs at most one step: at the next start the same step is done again.

mod building;
mod driving;
mod fetching;
mod log;
mod promoting;
mod stack;
mod starting;
mod step;
mod trying;

use self::{
    driving::{close_logs, drive},
    log::Log,
    step::Made,
};
use crate::{
    builders::{self, Place, Slots},
    containers, crash_rollbacks,
    deployments::moved,
    domain_claims, forge_reports,
    ground::Ground,
    quotas, release_ports, release_routes, releases, routing, trash,
};
use async_trait::async_trait;
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{Batch, Stored};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use types::{Actor, App, AppId, Cause, Deployment, DeploymentId, Error, OrganizationId, Phase, Purge, Result, report};

/// Why a deployment has not begun yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// Among those of its organization that wait: 1 is the next one.
    pub place: u32,
    pub why: String,
}

/// The work of one deployment.
struct Work {
    token: CancellationToken,
    place: Place,
    /// It only waits how its canary does: that takes no slot from others.
    rests: bool,
}

/// Deployments whose work is under way in this process.
#[derive(Default)]
pub(crate) struct Running {
    work: Mutex<HashMap<DeploymentId, Work>>,
    waits: Mutex<HashMap<DeploymentId, Waits>>,
    /// Those of each app that had not ended when the queue was looked at last; `None`: it was not yet.
    open: Mutex<Option<HashMap<AppId, Vec<DeploymentId>>>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Running {
    fn enter(&self, id: &DeploymentId, place: Place) -> CancellationToken {
        let token = CancellationToken::new();
        let work = Work {
            token: token.clone(),
            place,
            rests: false,
        };
        self.work.lock().expect("no panic while held").insert(id.clone(), work);
        token
    }
    fn leave(&self, id: &DeploymentId) {
        self.work.lock().expect("no panic while held").remove(id);
    }
    pub fn has(&self, id: &DeploymentId) -> bool {
        self.work.lock().expect("no panic while held").contains_key(id)
    }
    fn count(&self) -> usize {
        self.work.lock().expect("no panic while held").len()
    }
    /// How many take a slot in such a place.
    pub fn count_at(&self, wanted: impl Fn(&Place) -> bool) -> usize {
        let work = self.work.lock().expect("no panic while held");
        work.values().filter(|work| !work.rests && wanted(&work.place)).count()
    }
    fn rest(&self, id: &DeploymentId, rests: bool) {
        if let Some(work) = self.work.lock().expect("no panic while held").get_mut(id) {
            work.rests = rests;
        }
    }
    /// Where it builds, if it is under way.
    pub fn place(&self, id: &DeploymentId) -> Option<Place> {
        let work = self.work.lock().expect("no panic while held");
        work.get(id).map(|work| work.place.clone())
    }
    pub fn builds_here(&self, id: &DeploymentId) -> bool {
        !matches!(self.place(id), Some(Place::There(_)))
    }
    fn move_to(&self, id: &DeploymentId, place: Place) {
        if let Some(work) = self.work.lock().expect("no panic while held").get_mut(id) {
            work.place = place;
        }
    }
    /// What it waited for when the queue was looked at last.
    pub fn waits(&self, id: &DeploymentId) -> Option<Waits> {
        self.waits.lock().expect("no panic while held").get(id).cloned()
    }
    /// Of the app, those that had not ended when the queue was looked at last; `None`: it was not since this process began.
    pub fn open(&self, app: &AppId) -> Option<Vec<DeploymentId>> {
        let open = self.open.lock().expect("no panic while held");
        open.as_ref().map(|open| open.get(app).cloned().unwrap_or_default())
    }
    fn has_looked(&self) -> bool {
        self.open.lock().expect("no panic while held").is_some()
    }
    fn keep_open<'a>(&self, found: impl Iterator<Item = &'a Deployment>) {
        let mut open: HashMap<AppId, Vec<DeploymentId>> = HashMap::new();
        for deployment in found {
            open.entry(deployment.app.clone()).or_default().push(deployment.id.clone());
        }
        *self.open.lock().expect("no panic while held") = Some(open);
    }
    /// Ends the deployment's work at once, if it is under way.
    pub fn cancel(&self, id: &DeploymentId) {
        if let Some(work) = self.work.lock().expect("no panic while held").get(id) {
            work.token.cancel();
        }
    }
}

#[cfg(test)]
impl Running {
    /// Forgets all work, as a crash does.
    pub async fn stopped_for_test(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
    pub fn stop_for_test(&self) {
        self.stopping.cancel();
    }
}

/// Stops the work of all deployments where it is; their phases stay on disk, and the next start goes on from there.
pub(crate) async fn stop(ground: &Ground, limit: Duration) {
    ground.running.stopping.cancel();
    ground.running.tasks.close();
    let _ = tokio::time::timeout(limit, ground.running.tasks.wait()).await;
}

/// Starts the work of deployments whose turn it is: as many at once as the settings say, one for each app.
pub struct Deployer {
    ground: Arc<Ground>,
}

/// What one turn found.
#[derive(Debug, serde::Serialize)]
pub struct DeployerReport {
    pub waiting: usize,
    pub running: usize,
}

impl Deployer {
    pub(crate) fn new(ground: Arc<Ground>) -> Deployer {
        Deployer { ground }
    }
}

#[async_trait]
impl jobs::Job for Deployer {
    const NAME: &'static str = "deployments";
    type Report = DeployerReport;

    async fn run(&mut self) -> Result<DeployerReport> {
        let ground = &self.ground;
        let slots = usize::try_from(ground.settings()?.deployments_at_once.max(1)).unwrap_or(1);
        let all = ground.store.deployments.list()?;
        if !ground.running.has_looked() {
            close_logs(ground, &all).await;
        }
        let mut open: Vec<_> = all.into_iter().filter(|deployment| !deployment.phase.is_final()).collect();
        // Before one of them is ended here: who asks meanwhile goes by it.
        ground.running.keep_open(open.iter().map(|stored| &stored.value));
        // What was under way before a restart goes first, then the oldest. Ids of one moment are in no order, numbers of an app are.
        open.sort_by_key(|deployment| {
            let waits = deployment.phase == Phase::Queued;
            (waits, deployment.queued_at, deployment.number, deployment.id.clone())
        });
        let mut busy: HashSet<AppId> = open
            .iter()
            .filter(|deployment| ground.running.has(&deployment.id))
            .map(|deployment| deployment.app.clone())
            .collect();
        let mut builds = quotas::BuildRoom::of(ground, &open)?;
        let mut places = Slots::of(ground, &open)?;
        let mut waits = HashMap::new();
        // How many others wait, and when they deploy, is nobody's business.
        let mut ranks: HashMap<OrganizationId, u32> = HashMap::new();
        for deployment in open {
            if ground.running.has(&deployment.id) {
                continue;
            }
            if deployment.cancel_requested && deployment.phase == Phase::Queued {
                finish(ground, deployment, Phase::Cancelled, None).await?;
                continue;
            }
            let place = places.choose(ground, &deployment)?;
            let here = !matches!(place, Ok(Place::There(_)) | Err(_));
            let why = if ground.running.stopping.is_cancelled() {
                Some("serverkit is stopping".to_owned())
            } else if here && builders::count_here(&ground.running) >= slots {
                Some(match slots {
                    _ if !quotas::sees_server(ground, &deployment.organization)? => "it waits for its turn on this server".to_owned(),
                    1 => "another deployment is under way, and one may be at once".to_owned(),
                    slots => format!("{slots} deployments are under way, as many as may be at once"),
                })
            } else if !busy.insert(deployment.app.clone()) {
                Some("an earlier one of the same app is under way".to_owned())
            } else if let Err(why) = &place {
                Some(match quotas::sees_server(ground, &deployment.organization)? {
                    true => why.clone(),
                    false => "it waits for its turn on a build server".to_owned(),
                })
            } else {
                builds.admit(ground, &deployment, here)?
            };
            let place = place.unwrap_or(Place::Here);
            if let Some(why) = why {
                let rank = ranks.entry(deployment.organization.clone()).or_default();
                *rank += 1;
                waits.insert(deployment.id.clone(), Waits { place: *rank, why });
                continue;
            }
            places.take(&place);
            let cancel = ground.running.enter(&deployment.id, place);
            ground.running.tasks.spawn(drive(ground.clone(), deployment.id.clone(), cancel));
        }
        let waiting = waits.len();
        *ground.running.waits.lock().expect("no panic while held") = waits;
        Ok(DeployerReport {
            waiting,
            running: ground.running.count(),
        })
    }
}

/// What the edge kept of the release before is not the site any more.
async fn purge_kept(ground: &Ground, app: &AppId) {
    let domains = ground.store.domains.list().unwrap_or_default();
    for domain in domains.iter().filter(|domain| domain.leads_to(app)) {
        let purge = Purge {
            host: Some(domain.host.clone()),
            path: None,
        };
        if let Err(error) = ground.node.edge_purge(purge).await {
            tracing::warn!("kept answers of {}: {}", domain.host, report(&error));
        }
    }
}

fn load(ground: &Ground, id: &DeploymentId) -> Result<Stored<Deployment>> {
    ground
        .store
        .deployments
        .claimed(id.as_str())?
        .ok_or_else(|| Error::not_found(types::Kind::Deployment, id))
}

/// Saves the deployment as it is now, with the release that became live if there is one. A wish to cancel that came
/// meanwhile is kept.
async fn save(ground: &Ground, app: &App, deployment: Stored<Deployment>, live: Option<Made>) -> Result<Stored<Deployment>> {
    let id = deployment.id.clone();
    let brings_names = live.is_some() && matches!(deployment.cause, Cause::Rollback { keep_routes: false, .. });
    let _claiming = match brings_names {
        true => Some(domain_claims::gate(ground).await),
        false => None,
    };
    loop {
        let mut current = load(ground, &id)?;
        let cancel_requested = current.cancel_requested;
        current.value = Deployment {
            cancel_requested,
            ..deployment.value.clone()
        };
        let mut batch = Batch::new().save(current);
        match &live {
            Some(Made::Release(release)) if releases::find(ground, &release.id)?.is_none() => batch = batch.insert((**release).clone()),
            Some(Made::Live(release)) => {
                let mut stored = ground.store.apps.get(app.id.as_str())?;
                if let Some(before) = stored.release.as_ref().filter(|before| *before != release)
                    && let Some(mut replaced) = ground.store.releases.claimed(before.as_str())?
                {
                    releases::keep_up(ground, &stored, &mut replaced)?;
                    batch = batch.save(replaced);
                }
                stored.release = Some(release.clone());
                stored.halted.clear();
                stored.asleep = None;
                if let (Cause::Rollback { .. }, Some(made)) = (&deployment.cause, releases::find(ground, release)?) {
                    stored.replicas = made.replicas.unwrap_or(stored.replicas);
                    if let Some(upkeep) = made.upkeep {
                        stored.commands.before_stop = upkeep.before_stop;
                        stored.restart_limit = upkeep.restart_limit;
                    }
                }
                batch = batch.save(stored);
                if let Cause::Rollback {
                    keep_routes: false, reach, ..
                } = &deployment.cause
                {
                    batch = release_routes::routes_back(ground, release, reach, batch)?;
                }
                if let Cause::Rollback { keep_ports: false, .. } = &deployment.cause {
                    batch = release_ports::ports_back(ground, release, batch)?;
                }
            }
            _ => {}
        }
        batch = forge_reports::note(ground, app, &deployment.value, batch)?;
        match ground.store.commit(batch).await {
            Err(Error::Stale { .. }) => continue,
            other => other?,
        }
        ground.wake_forge_reports();
        let saved = load(ground, &id)?;
        ground
            .events
            .emit(&Actor::system(app.organization.clone()), moved(app, &saved))
            .await;
        if live.is_some() {
            crash_rollbacks::tell_done(ground, app, &saved).await?;
        }
        return Ok(saved);
    }
}

async fn finish(ground: &Ground, mut deployment: Stored<Deployment>, phase: Phase, why: Option<String>) -> Result<Stored<Deployment>> {
    deployment.enter(phase, ground.world.now());
    deployment.error = why;
    let app = ground.store.apps.get(deployment.app.as_str())?.value;
    save(ground, &app, deployment, None).await
}

/// Takes away what a deployment that failed has made: its container, and its release with its images unless that was live before.
async fn abandon(ground: &Arc<Ground>, deployment: &Deployment, log: &Log) {
    let Some(release) = &deployment.release else { return };
    let app = ground.store.apps.find(deployment.app.as_str()).ok().flatten();
    if app.as_ref().is_none_or(|app| app.release.as_ref() == Some(release)) {
        return;
    }
    let was_tried = deployment.phase == Phase::Trying;
    if was_tried && let Err(error) = routing::apply(ground).await {
        tracing::warn!("taking back the share of release {release}: {}", report(&error));
    }
    let find = |id: &types::ReleaseId| releases::find(ground, id).ok().flatten();
    let (failed, live) = (find(release), app.and_then(|app| find(app.release.as_ref()?)));
    for container in ground.node.containers().await.unwrap_or_default() {
        let is_its = failed.as_ref().is_some_and(|failed| failed.owns(&container));
        // A service that did not change has one container for both.
        if is_its && !live.as_ref().is_some_and(|live| live.owns(&container)) {
            log.tail_of(ground, &container).await;
            if was_tried {
                // What it was sent goes on to its end.
                containers::retire(ground, &container);
                continue;
            }
            if let Err(error) = ground.node.container_remove(&container.id).await {
                tracing::warn!("removing {}: {}", container.name, report(&error));
            }
        }
    }
    if matches!(deployment.cause, Cause::Rollback { .. }) {
        return;
    }
    if let Ok(Some(stored)) = ground.store.releases.claimed(release.as_str())
        && let Err(error) = ground.store.commit(Batch::new().remove(&stored)).await
    {
        tracing::warn!("removing release {release}: {}", report(&error));
    }
    // What was tried drains yet, and takes them with it.
    for (image, _) in failed.iter().filter(|_| !was_tried).flat_map(trash::built_images) {
        trash::remove_image(ground, &image).await;
    }
}

pub(crate) fn work_folder(ground: &Ground, id: &DeploymentId) -> PathBuf {
    ground.options.data.join("work").join(id.as_str())
}
