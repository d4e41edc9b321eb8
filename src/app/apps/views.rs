//! Apps as people see them: with their domains, volumes, state, and what is live.

use crate::{
    containers::why_stop_first,
    cron::next_after,
    deployer::Waits,
    deployments, freezes,
    ground::Ground,
    observed::{AppState, Observed},
    releases,
    sight::{of, rights_at},
    sleeping::Ways,
    stacks,
};
use std::{collections::HashMap, sync::Arc};
use types::{
    Action, Actor, App, AppId, Container, Deployment, Domain, Environment, EnvironmentId, Freeze, Frozen, HealthCheck, Hours, ImageWatch,
    Mount, OnNewImage, Phase, Project, ProjectId, Release, Result, Source, Time, Volume, VolumeId, WatchedImage,
};

/// An app with what people want to see beside it.
#[derive(Debug, Clone)]
pub struct AppView {
    pub app: App,
    pub project: Project,
    pub environment: Environment,
    pub domains: Vec<Domain>,
    pub mounts: Vec<(Mount, Volume)>,
    /// Containers of what is live that run now.
    pub running: usize,
    /// A registry has a newer image than runs.
    pub newer_image: bool,
    /// A freeze holds.
    pub frozen: Option<Frozen>,
    /// When its hours start and stop it next.
    pub next_hours: Option<(Option<Time>, Option<Time>)>,
    /// Why it does not sleep although it should when nobody uses it.
    pub kept_awake: Option<String>,
    pub state: AppState,
    pub state_detail: Option<String>,
    pub url: Option<String>,
    /// What is live.
    pub release: Option<Release>,
    /// The newest.
    pub deployment: Option<Deployment>,
    /// Why that has not begun yet.
    pub waits: Option<Waits>,
    /// Why a deployment stops the old container before it starts the new one.
    pub stops_first: Option<String>,
    /// Its configuration differs from what is live.
    pub pending_changes: bool,
    /// What the actor may do to it.
    pub rights: Vec<Action>,
}

/// Views of the apps that `wanted` takes, by name. Loads each collection once, so that 100 apps cost as little as one.
pub(crate) fn views(ground: &Ground, actor: &Actor, wanted: impl Fn(&App, &Project, &Environment) -> bool) -> Result<Vec<AppView>> {
    let mut beside = Beside::load(ground, actor)?;
    let mut views = Vec::new();
    for app in of(ground, actor, ground.store.apps.list()?)? {
        if let Some((project, environment)) = beside.place_of(&app)
            && wanted(&app, project, environment)
        {
            let (project, environment) = (project.clone(), environment.clone());
            views.push(beside.view(app, project, environment)?);
        }
    }
    views.sort_by(|a, b| a.app.name.cmp(&b.app.name));
    Ok(views)
}

/// What lies beside apps, loaded once for all their views.
struct Beside<'a> {
    ground: &'a Ground,
    actor: &'a Actor,
    projects: HashMap<ProjectId, Project>,
    environments: HashMap<EnvironmentId, Environment>,
    volumes: HashMap<VolumeId, Volume>,
    domains: HashMap<AppId, Vec<Domain>>,
    freezes: Vec<Freeze>,
    watches: HashMap<AppId, ImageWatch>,
    /// Once an app that may sleep asks for them.
    ways: Option<Ways>,
    observed: Arc<Observed>,
    now: Time,
}

impl<'a> Beside<'a> {
    fn load(ground: &'a Ground, actor: &'a Actor) -> Result<Beside<'a>> {
        let store = &ground.store;
        let projects = of(ground, actor, store.projects.list()?)?;
        let environments = of(ground, actor, store.environments.list()?)?;
        let volumes = of(ground, actor, store.volumes.list()?)?;
        let watches = store.image_watches.list()?.into_iter();
        let mut domains: HashMap<AppId, Vec<Domain>> = HashMap::new();
        for domain in of(ground, actor, store.domains.list()?)? {
            domains.entry(domain.app.clone()).or_default().push(domain);
        }
        Ok(Beside {
            ground,
            actor,
            projects: projects.into_iter().map(|one| (one.id.clone(), one)).collect(),
            environments: environments.into_iter().map(|one| (one.id.clone(), one)).collect(),
            volumes: volumes.into_iter().map(|one| (one.id.clone(), one)).collect(),
            domains,
            freezes: store.freezes.list()?.into_iter().map(|stored| stored.value).collect(),
            watches: watches.map(|one| (one.app.clone(), one.value)).collect(),
            ways: None,
            observed: ground.observed.load_full(),
            now: ground.world.now(),
        })
    }

    /// `None` when the actor does not see it.
    fn place_of(&self, app: &App) -> Option<(&Project, &Environment)> {
        Some((self.projects.get(&app.project)?, self.environments.get(&app.environment)?))
    }

    fn view(&mut self, app: App, project: Project, environment: Environment) -> Result<AppView> {
        let ground = self.ground;
        let deployment = app
            .last_deployment
            .as_ref()
            .map(|id| deployments::find(ground, id))
            .transpose()?
            .flatten();
        let release = releases::live(ground, &app)?;
        let mut domains = self.domains.remove(&app.id).unwrap_or_default();
        domains.sort_by_key(|domain| !domain.primary);
        let last = deployment.as_ref().map(|deployment| deployment.phase);
        let (state, mut state_detail) = self.observed.state_of(&app, release.as_ref(), last);
        if state == AppState::Failed {
            state_detail = deployment.as_ref().and_then(|deployment| deployment.error.clone());
        }
        let queued = deployment.as_ref().filter(|deployment| deployment.phase == Phase::Queued);
        Ok(AppView {
            project,
            environment,
            mounts: self.mounts(&app),
            running: release.as_ref().map_or(0, |release| self.running(&app, release)),
            newer_image: self.watches.get(&app.id).is_some_and(|watch| is_newer(watch, release.as_ref())),
            frozen: freezes::frozen_of(&self.freezes, &app.organization, &app.environment, self.now)?,
            next_hours: app.hours.as_ref().map(|hours| self.next(hours)),
            kept_awake: self.kept_awake(&app)?,
            state,
            state_detail,
            url: domains.first().map(|domain| ground.url_of(&domain.host)),
            waits: queued.and_then(|deployment| ground.running.waits(&deployment.id)),
            stops_first: why_stop_first(&app, release.as_ref(), |id| {
                self.volumes.get(id).map(|volume| volume.name.to_string())
            }),
            pending_changes: release.as_ref().is_some_and(|release| differs(&app, release)),
            rights: rights_at(self.actor, &app.place()),
            domains,
            release,
            deployment,
            app,
        })
    }

    fn mounts(&self, app: &App) -> Vec<(Mount, Volume)> {
        let known = |mount: &Mount| Some((mount.clone(), self.volumes.get(&mount.volume)?.clone()));
        app.mounts.iter().filter_map(known).collect()
    }

    fn running(&self, app: &App, release: &Release) -> usize {
        let runs = |container: &&Container| container.state.is_running() && release.wants(container, app.replicas);
        self.observed.containers.iter().filter(runs).count()
    }

    fn next(&self, hours: &Hours) -> (Option<Time>, Option<Time>) {
        let next = |cron: &str| next_after(cron, &hours.zone, self.now).ok().flatten();
        (next(&hours.start), next(&hours.stop))
    }

    fn kept_awake(&mut self, app: &App) -> Result<Option<String>> {
        if app.sleep_after_minutes.is_none() {
            return Ok(None);
        }
        let ways = match self.ways.take() {
            Some(known) => known,
            None => Ways::of(self.ground)?,
        };
        Ok(self.ways.insert(ways).keep_awake(app))
    }
}

/// As it was found last, unless the newer one was deployed since.
fn is_newer(watch: &ImageWatch, live: Option<&Release>) -> bool {
    let digest = live.and_then(|release| release.digest.as_deref()?.split_once('@'));
    let runs = |image: &WatchedImage| digest.is_some_and(|(_, digest)| image.newest.as_deref() == Some(digest));
    watch.on_new != OnNewImage::Off && watch.images.iter().any(|image| image.is_newer() && !runs(image))
}

/// Whether a release's check is what the app asks for.
fn health_is(wish: &HealthCheck, made: &HealthCheck) -> bool {
    let times = |health: &HealthCheck| (health.interval_seconds, health.timeout_seconds, health.start_seconds);
    wish.probe.is_met_by(&made.probe) && times(wish) == times(made)
}

/// Whether a deployment of the same commit would change something.
pub(super) fn differs(app: &App, release: &Release) -> bool {
    app.variables_version != release.variables_version
        || app.limits != release.limits
        || !health_is(&app.health, &release.health)
        || (release.stack.is_none() && (app.mounts != release.mounts || app.files != release.files))
        || app.command != release.command
        || app.grace_seconds != release.grace_seconds
        || app.port.is_some_and(|port| port != release.port)
        || matches!(&app.source, Source::Image { reference } if reference.as_str() != release.image_name)
        || stacks::source_hash(&app.source).as_deref() != release.stack.as_ref().map(|live| live.source.as_str())
}
