//! Brings deployments from `queued` to an end. The phase is saved before its work begins, and each step may be repeated,
//! so that a crash costs at most one step: at the next start the same step is done again.

mod stack;

use crate::{
    build_cache,
    containers::{self, must_stop_first, tail},
    deployments::{git_login, log_name, moved},
    forge_reports,
    ground::Ground,
    last_words, quotas, registries, release_ports, releases, routing, uploads,
    variables::effective,
};
use async_trait::async_trait;
use node::Lines;
use source::Fetch;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{Batch, Stored};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use types::{
    Actor, App, AppId, BuildSpec, Buildable, Cause, Container, ContainerState, Deployment, DeploymentId, Error, GitSource, Image, LogLine,
    LogQuery, LogStream, Phase, Probe, Purge, Release, ReleaseVariable, Result, RunEnd, Source, UploadId, report,
};

/// Why a deployment has not begun yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// 1 is the next one.
    pub place: u32,
    pub why: String,
}

/// Deployments whose work is under way in this process.
#[derive(Default)]
pub(crate) struct Running {
    tokens: Mutex<HashMap<DeploymentId, CancellationToken>>,
    waits: Mutex<HashMap<DeploymentId, Waits>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Running {
    fn enter(&self, id: &DeploymentId) -> CancellationToken {
        let token = CancellationToken::new();
        self.tokens.lock().expect("no panic while held").insert(id.clone(), token.clone());
        token
    }
    fn leave(&self, id: &DeploymentId) {
        self.tokens.lock().expect("no panic while held").remove(id);
    }
    pub fn has(&self, id: &DeploymentId) -> bool {
        self.tokens.lock().expect("no panic while held").contains_key(id)
    }
    fn count(&self) -> usize {
        self.tokens.lock().expect("no panic while held").len()
    }
    /// What it waited for when the queue was looked at last.
    pub fn waits(&self, id: &DeploymentId) -> Option<Waits> {
        self.waits.lock().expect("no panic while held").get(id).cloned()
    }
    /// Ends the deployment's work at once, if it is under way.
    pub fn cancel(&self, id: &DeploymentId) {
        if let Some(token) = self.tokens.lock().expect("no panic while held").get(id) {
            token.cancel();
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
        let mut open: Vec<_> = ground
            .store
            .deployments
            .list()?
            .into_iter()
            .filter(|deployment| !deployment.phase.is_final())
            .collect();
        // What was under way before a restart goes first, then the oldest.
        open.sort_by_key(|deployment| (deployment.phase == Phase::Queued, deployment.id.clone()));
        let mut busy: HashSet<AppId> = open
            .iter()
            .filter(|deployment| ground.running.has(&deployment.id))
            .map(|deployment| deployment.app.clone())
            .collect();
        let mut builds = quotas::BuildRoom::of(ground, &open)?;
        let mut waits = HashMap::new();
        for deployment in open {
            if ground.running.has(&deployment.id) {
                continue;
            }
            if deployment.cancel_requested && deployment.phase == Phase::Queued {
                finish(ground, deployment, Phase::Cancelled, None).await?;
                continue;
            }
            let why = if ground.running.stopping.is_cancelled() {
                Some("serverkit is stopping".to_owned())
            } else if ground.running.count() >= slots {
                Some(match slots {
                    1 => "another deployment is under way, and one may be at once".to_owned(),
                    slots => format!("{slots} deployments are under way, as many as may be at once"),
                })
            } else if !busy.insert(deployment.app.clone()) {
                Some("an earlier one of the same app is under way".to_owned())
            } else {
                builds.admit(ground, &deployment)?
            };
            if let Some(why) = why {
                let place = u32::try_from(waits.len() + 1).unwrap_or(u32::MAX);
                waits.insert(deployment.id.clone(), Waits { place, why });
                continue;
            }
            let cancel = ground.running.enter(&deployment.id);
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

/// Leaves the list of running ones however the work ends.
struct Leave(Arc<Ground>, DeploymentId);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.running.leave(&self.1);
        self.0.wake_deploy();
        self.0.wake_reconcile();
    }
}

/// Does the work of one deployment to its end.
async fn drive(ground: Arc<Ground>, id: DeploymentId, cancel: CancellationToken) {
    let _leave = Leave(ground.clone(), id.clone());
    if let Err(error) = drive_to_end(&ground, &id, cancel).await {
        tracing::error!("deployment {id}: {}", report(&error));
    }
}

async fn drive_to_end(ground: &Arc<Ground>, id: &DeploymentId, cancel: CancellationToken) -> Result<()> {
    let mut deployment = load(ground, id)?;
    let app = ground.store.apps.get(deployment.app.as_str())?.value;
    let log = Log::open(ground, id).await?;
    if deployment.phase != Phase::Queued {
        log.note(format!(
            "serverkit was restarted while this was {}; going on from there",
            deployment.phase.word()
        ))
        .await;
    }
    if deployment.cancel_requested {
        cancel.cancel();
    }
    let limit = Duration::from_secs(app.deploy_timeout_seconds.into());
    let deadline = tokio::time::Instant::now() + limit;
    while !deployment.phase.is_final() {
        let step = Step {
            ground,
            app: &app,
            deployment: &deployment.value,
            log: &log,
        };
        let phase = deployment.phase;
        let made = tokio::select! {
            made = step.perform() => made,
            () = cancel.cancelled() => Err(Error::Cancelled),
            () = ground.running.stopping.cancelled() => {
                log.note("serverkit is stopping; this goes on when it is back".into()).await;
                log.pause().await;
                return Ok(());
            }
            () = tokio::time::sleep_until(deadline) => {
                Err(Error::busy(format!("it took longer than {} s while {}", limit.as_secs(), phase.word())))
            }
        };
        deployment = match made {
            Ok(next) => {
                let at = ground.world.now();
                let mut changed = deployment.clone();
                next.change(&mut changed.value);
                changed.enter(next.phase, at);
                if let Some(Made::Live(release)) = &next.live
                    && let Err(error) = routing::go_ahead(ground, &app.id, release).await
                {
                    tracing::warn!("the route of deployment {id}: {}", report(&error));
                }
                let saved = save(ground, &app, changed, next.live).await;
                ground.routing.recorded(&app.id);
                saved?
            }
            Err(error) => {
                let (phase, why) = match error {
                    Error::Cancelled => (Phase::Cancelled, None),
                    error => (Phase::Failed, Some(ground.redactor.redact(&report(&error)).into_owned())),
                };
                log.note(why.clone().unwrap_or_else(|| "cancelled".into())).await;
                abandon(ground, &deployment, &log).await;
                finish(ground, deployment, phase, why).await?
            }
        };
    }
    if deployment.phase == Phase::Live {
        let step = Step {
            ground,
            app: &app,
            deployment: &deployment.value,
            log: &log,
        };
        step.settle(deadline).await?;
    }
    log.finish().await;
    let _ = tokio::fs::remove_dir_all(work_folder(ground, id)).await;
    Ok(())
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
                stored.release = Some(release.clone());
                stored.halted = None;
                stored.asleep = None;
                if let (Cause::Rollback { .. }, Some(made)) = (&deployment.cause, releases::find(ground, release)?) {
                    stored.replicas = made.replicas.unwrap_or(stored.replicas);
                }
                batch = batch.save(stored);
                if let Cause::Rollback { keep_routes: false, .. } = &deployment.cause {
                    batch = releases::routes_back(ground, release, batch)?;
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
        return Ok(saved);
    }
}

async fn finish(ground: &Ground, mut deployment: Stored<Deployment>, phase: Phase, why: Option<String>) -> Result<Stored<Deployment>> {
    deployment.enter(phase, ground.world.now());
    deployment.error = why;
    let app = ground.store.apps.get(deployment.app.as_str())?.value;
    save(ground, &app, deployment, None).await
}

/// Takes away what a deployment that failed has made: its container, and its release unless that was live before.
async fn abandon(ground: &Ground, deployment: &Deployment, log: &Log) {
    let Some(release) = &deployment.release else { return };
    let app = ground.store.apps.find(deployment.app.as_str()).ok().flatten();
    if app.as_ref().is_none_or(|app| app.release.as_ref() == Some(release)) {
        return;
    }
    let find = |id: &types::ReleaseId| releases::find(ground, id).ok().flatten();
    let (failed, live) = (find(release), app.and_then(|app| find(app.release.as_ref()?)));
    for container in ground.node.containers().await.unwrap_or_default() {
        let is_its = failed.as_ref().is_some_and(|failed| failed.owns(&container));
        // A service that did not change has one container for both.
        if is_its && !live.as_ref().is_some_and(|live| live.owns(&container)) {
            log.tail_of(ground, &container).await;
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
}

pub(crate) fn work_folder(ground: &Ground, id: &DeploymentId) -> PathBuf {
    ground.options.data.join("work").join(id.as_str())
}

/// What a step made, and where the deployment goes from there.
struct Next {
    phase: Phase,
    commit: Option<types::Commit>,
    release: Option<types::ReleaseId>,
    live: Option<Made>,
}

enum Made {
    Release(Box<Release>),
    Live(types::ReleaseId),
}

impl Next {
    fn to(phase: Phase) -> Next {
        Next {
            phase,
            commit: None,
            release: None,
            live: None,
        }
    }
    fn change(&self, deployment: &mut Deployment) {
        if let Some(commit) = &self.commit {
            deployment.commit = Some(commit.clone());
        }
        if let Some(release) = &self.release {
            deployment.release = Some(release.clone());
        }
    }
}

/// The work of one phase.
struct Step<'a> {
    ground: &'a Arc<Ground>,
    app: &'a App,
    deployment: &'a Deployment,
    log: &'a Log,
}

impl Step<'_> {
    async fn perform(&self) -> Result<Next> {
        match (self.deployment.phase, &self.deployment.cause) {
            (Phase::Queued, Cause::Rollback { .. }) => Ok(Next::to(Phase::Starting)),
            (Phase::Queued, cause) => {
                // What was pushed is asked nowhere else, and what waited may have waited long.
                quotas::may_deploy(self.ground, self.app, cause)?;
                quotas::must_have_disk(self.ground, self.app, cause).await?;
                Ok(Next::to(Phase::Fetching))
            }
            (Phase::Fetching, Cause::Promotion { release, .. }) => self.fetch_promoted(release).await,
            (Phase::Fetching, _) => {
                let next = self.fetch().await?;
                if next.phase == Phase::Building {
                    quotas::count_build(self.ground, self.app).await?;
                }
                Ok(next)
            }
            (Phase::Building, _) => self.build().await,
            (Phase::Starting, _) => self.start().await,
            (Phase::Checking, _) => self.check().await,
            (Phase::Live | Phase::Failed | Phase::Cancelled | Phase::Superseded, _) => unreachable!("a final phase has no work"),
        }
    }

    async fn fetch(&self) -> Result<Next> {
        if let Some(upload) = &self.deployment.upload {
            return self.fetch_upload(upload).await;
        }
        match &self.app.source {
            Source::Git(git) => {
                let commit = self.fetch_source(git).await?;
                Ok(Next {
                    commit: Some(commit),
                    ..Next::to(Phase::Building)
                })
            }
            Source::Image { reference } => {
                let reference = self.deployment.image.as_ref().unwrap_or(reference);
                let login = registries::login_for(self.ground, &self.app.organization, reference.as_str())?;
                let by = login.as_ref().map(|login| format!(" as {}", login.user)).unwrap_or_default();
                self.log.note(format!("getting the image {reference}{by}")).await;
                let image = self
                    .ground
                    .node
                    .image_pull(reference.as_str(), login.as_ref(), true, &self.log.lines())
                    .await?;
                self.released(image, reference.as_str().to_owned(), self.app.health.probe.settled(false))
            }
            Source::Compose(source) => self.fetch_stack(source).await,
            Source::Upload(_) => Err(Error::busy("what was uploaded is gone; upload it again")),
        }
    }

    /// The image of another app's release, as it is; from its registry if the engine has it no more.
    async fn fetch_promoted(&self, id: &types::ReleaseId) -> Result<Next> {
        let gone = || Error::busy("the release to promote is gone");
        let from = releases::find(self.ground, id)?.ok_or_else(gone)?;
        let node = &self.ground.node;
        self.log
            .note(format!("taking the image of release #{}: {}", from.number, from.image_name))
            .await;
        let image = match (node.image_find(&from.image).await?, &from.digest) {
            (Some(image), _) => image,
            (None, Some(digest)) => {
                let login = registries::login_for(self.ground, &self.app.organization, digest)?;
                node.image_pull(digest, login.as_ref(), false, &self.log.lines()).await?
            }
            (None, None) => {
                return Err(Error::busy(format!(
                    "the image of release #{} is gone from this server",
                    from.number
                )));
            }
        };
        let probe = match self.app.health.probe {
            Probe::Auto => from.health.probe.clone(),
            _ => self.app.health.probe.clone(),
        };
        let mut next = self.released(image, from.image_name.clone(), probe)?;
        if let Some(Made::Release(release)) = &mut next.live {
            release.commit.clone_from(&from.commit);
            release.digest.clone_from(&from.digest);
        }
        next.commit = from.commit;
        Ok(next)
    }

    async fn fetch_upload(&self, id: &UploadId) -> Result<Next> {
        let upload = uploads::find(self.ground, self.app, id)?;
        self.log
            .note(format!("unpacking {}, uploaded by {} at {}", upload.words(), upload.by, upload.at))
            .await;
        uploads::unpack(self.ground, &upload, work_folder(self.ground, &self.deployment.id)).await?;
        Ok(Next::to(Phase::Building))
    }

    async fn fetch_source(&self, git: &GitSource) -> Result<types::Commit> {
        let folder = work_folder(self.ground, &self.deployment.id);
        let _ = tokio::fs::remove_dir_all(&folder).await;
        let login = git_login(self.ground, git).await?;
        let reference = self.deployment.reference.clone().or_else(|| git.branch.clone());
        let wanted = reference
            .as_ref()
            .map_or_else(|| "the default branch".to_owned(), ToString::to_string);
        self.log.note(format!("fetching {wanted} from {}", git.url)).await;
        let cancel = CancellationToken::new();
        let _stop_with_us = cancel.clone().drop_guard();
        let fetch = Fetch {
            url: git.url.clone(),
            reference,
            login,
            submodules: git.submodules,
            lfs: true,
            host_key: git.host_key.clone(),
            into: folder,
        };
        let fetched = source::fetch(fetch, self.log.words(), cancel).await?;
        if let Some(seen) = fetched.host_key.filter(|seen| git.host_key.as_ref() != Some(seen)) {
            let pin = |app: &mut App| {
                if let Source::Git(git) = &mut app.source {
                    git.host_key = Some(seen.clone());
                }
                Ok(())
            };
            self.ground.store.apps.update(self.app.id.as_str(), pin).await?;
        }
        let short = &fetched.commit.id[..fetched.commit.id.len().min(10)];
        self.log
            .note(format!("at {short} {} ({})", fetched.commit.subject, fetched.commit.author))
            .await;
        Ok(fetched.commit)
    }

    async fn build(&self) -> Result<Next> {
        let Some(source) = self.app.source.buildable() else {
            return Ok(Next::to(Phase::Fetching));
        };
        let folder = work_folder(self.ground, &self.deployment.id);
        if !folder.exists() {
            return Ok(Next::to(Phase::Fetching));
        }
        if let Some(tree) = self.app.source.tree_stack() {
            return self.build_stack(&folder, &source.folder, tree).await;
        }
        let tag = self.tag("");
        let (image, web) = self.image_built(&folder, &source, BTreeMap::new(), &tag).await?;
        self.released(image, tag, self.app.health.probe.settled(web))
    }

    /// `serverkit/blog-1a2b3c4d:7`, for a service `serverkit/blog-1a2b3c4d-web:7`.
    fn tag(&self, service: &str) -> String {
        let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name = format!("{}-{}-{service}", self.app.name, tail(self.app.id.as_str(), 8));
        let name: String = name.chars().map(clean).collect();
        format!("serverkit/{}:{}", name.trim_end_matches('-'), self.deployment.number)
    }

    /// Builds what `source` names in the tree, with the app's variables for builds; `given` goes before those. Answers also
    /// whether it is known to serve pages.
    async fn image_built(
        &self,
        tree: &std::path::Path,
        source: &Buildable,
        given: BTreeMap<String, String>,
        tag: &str,
    ) -> Result<(Image, bool)> {
        let (mut arguments, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for variable in effective(self.ground, self.app)?
            .into_iter()
            .filter(|variable| variable.scope.at_build())
        {
            let value = variable.value;
            match value.expose_str() {
                Some(text) if !variable.secret => {
                    arguments.insert(variable.key.to_string(), text.to_owned());
                }
                _ => {
                    secrets.insert(variable.key.to_string(), value);
                }
            }
        }
        secrets.retain(|key, _| !given.contains_key(key));
        arguments.extend(given);
        let keys = build::BuildKeys {
            arguments: arguments.keys().cloned().collect(),
            secrets: secrets.keys().cloned().collect(),
            cache: Some(self.app.id.to_string()),
        };
        let plan = self.plan(tree, source, keys, &arguments).await?;
        if let Some(builder) = &plan.builder {
            arguments.extend(self.builder_arguments(builder).await?);
        }
        let web = plan.recipe.as_ref().is_some_and(build::Recipe::is_web);
        let spec = BuildSpec {
            tag: tag.to_owned(),
            owner_app: self.app.id.clone(),
            context: plan.context,
            dockerfile: plan.dockerfile.clone(),
            target: source.target.clone(),
            arguments,
            secrets,
            logins: registries::logins(self.ground, &self.app.organization)?,
            labels: BTreeMap::from([
                ("serverkit.organization".into(), self.app.organization.to_string()),
                ("serverkit.app".into(), self.app.id.to_string()),
            ]),
        };
        self.log.note(format!("building {} as {tag}", plan.dockerfile)).await;
        let image = self.ground.node.image_build(&spec, &self.log.lines()).await?;
        if let Err(error) = build_cache::keep_app_within(self.ground, self.app).await {
            tracing::warn!("the build cache of {}: {}", self.app.name, report(&error));
        }
        Ok((image, web))
    }

    /// Finds out how to build, and writes the Dockerfile where there is none.
    async fn plan(
        &self,
        folder: &std::path::Path,
        source: &Buildable,
        keys: build::BuildKeys,
        settings: &BTreeMap<String, String>,
    ) -> Result<build::Plan> {
        let (folder, source, settings) = (folder.to_owned(), source.clone(), settings.clone());
        let planned = tokio::task::spawn_blocking(move || {
            let plan = build::Plan::of(&folder, &source, &settings)?;
            plan.write(&keys)?;
            Ok(plan)
        });
        let plan: build::Plan = planned.await.map_err(|error| Error::internal("planning a build", error))??;
        if let Some(recipe) = &plan.recipe {
            self.log
                .note(format!("no Dockerfile: building it as {} ({})", recipe.name(), recipe.why))
                .await;
            for (what, command) in [("install", &recipe.install), ("build", &recipe.build), ("start", &recipe.start)] {
                if let Some(command) = command {
                    self.log.note(format!("{what}: {command}")).await;
                }
            }
        }
        Ok(plan)
    }

    /// Gets the image that has the buildpacks; answers what its build is to be told.
    async fn builder_arguments(&self, builder: &str) -> Result<BTreeMap<String, String>> {
        let (node, log) = (&self.ground.node, &self.log.lines());
        let login = registries::login_for(self.ground, &self.app.organization, builder)?;
        self.log.note(format!("getting the builder {builder}")).await;
        node.image_pull(builder, login.as_ref(), true, log).await?;
        let arguments = build::builder_arguments(builder, &node.image_labels(builder).await?)?;
        let words: Vec<String> = arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.log.note(format!("its lifecycle: {}", words.join(", "))).await;
        Ok(arguments)
    }

    /// Makes the release of this image with the app's configuration of now.
    fn released(&self, image: Image, image_name: String, probe: Probe) -> Result<Next> {
        let ground = self.ground;
        let app = ground.store.apps.get(self.app.id.as_str())?.value;
        let mut variables = Vec::new();
        for variable in effective(ground, &app)?.into_iter().filter(|variable| variable.scope.at_run()) {
            variables.push(ReleaseVariable {
                value: match variable.sealed {
                    Some(sealed) => sealed,
                    None => ground.store.seal(&variable.value)?,
                },
                key: variable.key,
                secret: variable.secret,
            });
        }
        let routes = releases::routes_of(ground, &app.id)?;
        let release = Release {
            id: ground.world.id(),
            organization: app.organization.clone(),
            app: app.id.clone(),
            deployment: self.deployment.id.clone(),
            number: self.deployment.number,
            port: app.port.or_else(|| image.ports.first().copied()).unwrap_or(8080),
            image: image.id,
            digest: image.digest,
            image_name,
            commit: self.deployment.commit.clone(),
            upload: self.deployment.upload.clone(),
            variables,
            variables_version: app.variables_version,
            command: app.command.clone(),
            mounts: app.mounts.clone(),
            files: app.files.clone(),
            domains: routes.iter().map(|domain| domain.host.to_string()).collect(),
            routes: Some(routes),
            ports: Some(release_ports::ports_of(ground, &app.id)?),
            limits: app.limits.clone(),
            health: types::HealthCheck {
                probe,
                ..app.health.clone()
            },
            grace_seconds: app.grace_seconds,
            created_at: ground.world.now(),
            bytes: image.bytes,
            pinned: false,
            replicas: app.source.stack().is_none().then_some(app.replicas),
            stack: None,
        };
        let id = release.id.clone();
        Ok(Next {
            release: Some(id),
            live: Some(Made::Release(Box::new(release))),
            ..Next::to(Phase::Starting)
        })
    }

    async fn start(&self) -> Result<Next> {
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
            let others = self.ground.node.containers().await?;
            for old in others
                .iter()
                .filter(|old| old.owner.app == release.app && old.owner.release != release.id && old.state.is_running())
            {
                self.log
                    .note("stopping the old container first, because both would write to the same volume".into())
                    .await;
                last_words::stop_well(self.ground, old, Duration::from_secs(release.grace_seconds.into())).await?;
            }
        }
        self.log.note(format!("starting a container from {}", release.image_name)).await;
        containers::bring_up(self.ground, self.app, &release, 0).await?;
        Ok(Next::to(Phase::Checking))
    }

    async fn check(&self) -> Result<Next> {
        let release = self.release()?;
        if let Some(stack) = &release.stack {
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
        Ok(Next {
            live: Some(Made::Live(release.id.clone())),
            ..Next::to(Phase::Live)
        })
    }

    /// Waits until one container of the release serves.
    async fn check_replica(&self, release: &Release, replica: u32) -> Result<()> {
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
            let why = match &container.state {
                ContainerState::Exited { out_of_memory: true, .. } | ContainerState::Restarting { out_of_memory: true, .. } => {
                    return Err(Error::unavailable(format!(
                        "the container was killed: out of memory, limit {} MiB",
                        release.limits.memory_bytes >> 20
                    )));
                }
                ContainerState::Exited { .. } | ContainerState::Restarting { .. } => {
                    return Err(Error::unavailable(format!("the container {}", container.state.words())));
                }
                _ if container.restarts > 0 => return Err(Error::unavailable("the container exited at once and was started again")),
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

    async fn probe(&self, release: &Release, container: &Container, began: tokio::time::Instant) -> Result<()> {
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
    async fn settle(&self, deadline: tokio::time::Instant) -> Result<()> {
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

    fn is_rollback(&self) -> bool {
        matches!(self.deployment.cause, Cause::Rollback { .. })
    }

    /// Runs one of the app's own commands in a container of the release, beside what is live.
    async fn run_once(&self, release: &Release, command: &str, what: &str) -> Result<RunEnd> {
        let spec = containers::run_spec(self.ground, self.app, release, command, what).await?;
        self.ground.node.container_run(&spec, &self.log.lines()).await
    }

    /// What is to happen once it is live. A failure is told, and changes nothing.
    async fn after(&self) -> Result<()> {
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

    fn release(&self) -> Result<Release> {
        let id = self
            .deployment
            .release
            .as_ref()
            .ok_or_else(|| Error::busy("its release is gone; deploy again"))?;
        releases::find(self.ground, id)?.ok_or_else(|| Error::busy("its release was removed meanwhile; deploy again"))
    }
}

/// `exited with code 3`, `was killed: out of memory, limit 256 MiB`.
fn ended_words(end: RunEnd, release: &Release) -> String {
    match end.out_of_memory {
        true => format!("was killed: out of memory, limit {} MiB", release.limits.memory_bytes >> 20),
        false => format!("exited with code {}", end.code),
    }
}

/// The log of a deployment: lines from everywhere go into one file, in order.
struct Log {
    ground: Arc<Ground>,
    sender: mpsc::Sender<LogLine>,
    writer: tokio::task::JoinHandle<telemetry::LogWriter>,
}

impl Log {
    async fn open(ground: &Arc<Ground>, id: &DeploymentId) -> Result<Log> {
        let writer = ground.logs.writer(&log_name(id)).await?;
        let (sender, mut receiver) = mpsc::channel::<LogLine>(1024);
        let writer = tokio::spawn(async move {
            while let Some(line) = receiver.recv().await {
                writer.line(line).await;
            }
            writer
        });
        Ok(Log {
            ground: ground.clone(),
            sender,
            writer,
        })
    }

    fn lines(&self) -> Lines {
        self.sender.clone()
    }

    /// A channel for plain words of progress.
    fn words(&self) -> mpsc::Sender<String> {
        let (sender, mut receiver) = mpsc::channel::<String>(256);
        let (lines, world) = (self.sender.clone(), self.ground.world.clone());
        tokio::spawn(async move {
            while let Some(text) = receiver.recv().await {
                let _ = lines
                    .send(LogLine {
                        at: world.now(),
                        stream: LogStream::Stdout,
                        text,
                    })
                    .await;
            }
        });
        sender
    }

    async fn note(&self, text: String) {
        let _ = self
            .sender
            .send(LogLine {
                at: self.ground.world.now(),
                stream: LogStream::Note,
                text,
            })
            .await;
    }

    /// The last words of a container that is about to go.
    async fn tail_of(&self, ground: &Ground, container: &Container) {
        use futures::StreamExt;
        self.note("the last lines of the container:".into()).await;
        let lines = ground.node.container_logs(
            &container.id,
            LogQuery {
                tail: Some(50),
                ..LogQuery::default()
            },
        );
        let copy = lines.for_each(|line| async {
            if let Ok(line) = line {
                let _ = self.sender.send(line).await;
            }
        });
        let _ = tokio::time::timeout(Duration::from_secs(5), copy).await;
    }

    /// Closes the log for good.
    async fn finish(self) {
        drop(self.sender);
        match self.writer.await {
            Ok(writer) => {
                if let Err(error) = writer.finish().await {
                    tracing::warn!("closing a deployment's log: {}", report(&error));
                }
            }
            Err(error) => tracing::warn!("closing a deployment's log: {error}"),
        }
    }

    /// Writes what there is, and leaves the log open for the next start.
    async fn pause(self) {
        drop(self.sender);
        let _ = self.writer.await;
    }
}
