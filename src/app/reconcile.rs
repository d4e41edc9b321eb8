//! Closes the gap between what should run and what runs: makes containers that are missing, retires those that nobody
//! wants, and keeps the edge's routes in step. Runs at start, on a wake-up, on engine events, and every minute.

use crate::{
    apps::is_active,
    containers::{self, must_stop_first},
    crash_loops::CrashLoops,
    deployments,
    ground::Ground,
    networks,
    observed::{AppState, Observed},
    releases, routing, sleeping, stacks,
};
use async_trait::async_trait;
use futures::StreamExt;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use types::{
    Actor, App, AppId, Container, ContainerState, DesiredState, EngineEvent, EngineStatus, Fact, Phase, Release, ReleaseId, Result, report,
};

/// See the module.
pub struct Reconciler {
    ground: Arc<Ground>,
    states: HashMap<AppId, AppState>,
    loops: CrashLoops,
    engine_up: Option<bool>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct ReconcileReport {
    pub started: Vec<String>,
    pub retired: Vec<String>,
    pub problems: Vec<String>,
}

/// What should be, at one moment.
struct Wanted {
    /// What should run.
    live: Vec<(App, Release)>,
    /// Containers of these are a deployment's business.
    deploying: HashSet<ReleaseId>,
    /// The releases that are being deployed.
    coming: Vec<Release>,
    /// Their containers are kept, and do not run.
    asleep: Vec<App>,
}

impl Wanted {
    /// Whether a release that is live or being deployed has this container.
    fn has(&self, container: &Container) -> bool {
        self.live.iter().any(|(app, release)| release.wants(container, app.replicas))
            || self.coming.iter().any(|release| release.owns(container))
            || self.deploying.contains(&container.owner.release)
    }
}

impl Reconciler {
    pub(crate) fn new(ground: Arc<Ground>) -> Reconciler {
        Reconciler {
            ground,
            states: HashMap::new(),
            loops: CrashLoops::default(),
            engine_up: None,
        }
    }

    fn wanted(&self) -> Result<Wanted> {
        let ground = &self.ground;
        let mut wanted = Wanted {
            live: Vec::new(),
            deploying: HashSet::new(),
            coming: Vec::new(),
            asleep: Vec::new(),
        };
        let mut no_room = HashSet::new();
        for deployment in ground
            .store
            .deployments
            .list()?
            .into_iter()
            .filter(|deployment| is_active(deployment.phase))
        {
            let Some(release) = &deployment.release else { continue };
            wanted.deploying.insert(release.clone());
            let starting = matches!(deployment.phase, Phase::Starting | Phase::Checking);
            let Some(release) = releases::find(ground, release)? else {
                continue;
            };
            // Of a stack, some services stop first and others do not: the deployment alone decides.
            if starting && (must_stop_first(&release) || release.stack.is_some()) {
                no_room.insert(deployment.app.clone());
            }
            wanted.coming.push(release);
        }
        for app in ground.store.apps.list()? {
            if app.sleeps() && app.desired == DesiredState::Running && app.trashed_at.is_none() {
                wanted.asleep.push(app.value);
            } else if !no_room.contains(&app.id)
                && app.should_run()
                && let Some(release) = releases::live(ground, &app)?
            {
                wanted.live.push((app.value, release));
            }
        }
        Ok(wanted)
    }

    /// Makes or starts what is missing. A problem of one app does not keep the others.
    async fn start_missing(&self, wanted: &Wanted, containers: &[Container], report_: &mut ReconcileReport) -> HashMap<AppId, String> {
        let mut problems = HashMap::new();
        for (app, release) in &wanted.live {
            if release.stack.is_some() {
                match stacks::start_missing(&self.ground, app, release, containers).await {
                    Ok(true) => report_.started.push(app.name.to_string()),
                    Ok(false) => {}
                    Err(error) => {
                        let why = report(&error);
                        report_.problems.push(format!("{}: {why}", app.name));
                        problems.insert(app.id.clone(), why);
                    }
                }
                continue;
            }
            if app.given_up(&release.id).next().is_some() {
                continue;
            }
            if wanted.deploying.contains(&release.id) {
                continue;
            }
            for replica in 0..release.room_for(app.replicas) {
                let is_it = |container: &&Container| container.owner.release == release.id && container.owner.replica == replica;
                let fine = containers
                    .iter()
                    .find(is_it)
                    .is_some_and(|container| !matches!(container.state, ContainerState::Created | ContainerState::Exited { .. }));
                if fine {
                    continue;
                }
                match containers::bring_up(&self.ground, app, release, replica).await {
                    Ok(()) => report_.started.push(app.name.to_string()),
                    Err(error) => {
                        let why = report(&error);
                        report_.problems.push(format!("{}: {why}", app.name));
                        problems.insert(app.id.clone(), why);
                    }
                }
            }
        }
        problems
    }

    /// Drains, stops and removes what nobody wants. That takes a while, so it goes on beside the next turns.
    fn retire_unwanted(&self, wanted: &Wanted, containers: &[Container], report_: &mut ReconcileReport) {
        for container in containers {
            if wanted.has(container) || self.waits_for_its_turn(container) {
                continue;
            }
            if containers::retire(&self.ground, container) {
                report_.retired.push(container.name.clone());
            }
        }
    }

    /// Stops what runs of apps that sleep, and what a deployment does not just begin.
    fn put_to_sleep(&self, wanted: &Wanted, containers: &[Container]) {
        for app in &wanted.asleep {
            let runs = |container: &&Container| {
                let quiet = matches!(
                    container.state,
                    ContainerState::Created | ContainerState::Exited { .. } | ContainerState::Removing
                );
                container.owner.app == app.id && !quiet && !wanted.has(container)
            };
            let running: Vec<Container> = containers.iter().filter(runs).cloned().collect();
            if !running.is_empty() {
                sleeping::lie_down(&self.ground, app, running);
            }
        }
    }

    /// A live container that was stopped for a deployment that stops first is kept until that deployment is decided; that of
    /// an app that sleeps until it wakes.
    fn waits_for_its_turn(&self, container: &Container) -> bool {
        let app = self.ground.store.apps.find(container.owner.app.as_str()).ok().flatten();
        app.is_some_and(|app| {
            let release = releases::live(&self.ground, &app).ok().flatten();
            release.is_some_and(|release| release.wants(container, app.replicas))
                && app.desired == DesiredState::Running
                && app.trashed_at.is_none()
        })
    }

    async fn tell_states(&mut self, observed: &Observed) -> Result<()> {
        let mut now = HashMap::new();
        for app in self.ground.store.apps.list()? {
            let last = match &app.last_deployment {
                Some(id) => deployments::find(&self.ground, id)?.map(|deployment| deployment.phase),
                None => None,
            };
            let release = releases::live(&self.ground, &app)?;
            let (state, why) = observed.state_of(&app, release.as_ref(), last);
            let before = self.states.get(&app.id).copied();
            // Falling asleep and waking have facts of their own.
            let sleeps = |state: AppState| matches!(state, AppState::Asleep | AppState::Waking);
            if before.is_some_and(|before| before != state && !sleeps(before)) && !sleeps(state) {
                let fact = Fact::AppStateChanged {
                    app: app.id.clone(),
                    name: app.name.to_string(),
                    state: state.word().into(),
                    why,
                };
                self.ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
            }
            now.insert(app.id.clone(), state);
        }
        self.states = now;
        Ok(())
    }

    async fn tell_engine(&mut self, status: &EngineStatus) -> Result<()> {
        let up = matches!(status, EngineStatus::Up { .. });
        if self.engine_up.replace(up).is_some_and(|before| before != up) {
            let fact = match status {
                EngineStatus::Up { version, .. } => Fact::EngineFound { version: version.clone() },
                EngineStatus::Down { why, .. } => Fact::EngineLost { why: why.clone() },
            };
            for organization in self.ground.store.organizations.list()? {
                self.ground.events.emit(&Actor::system(organization.id.clone()), fact.clone()).await;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl jobs::Job for Reconciler {
    const NAME: &'static str = "apps";
    type Report = ReconcileReport;

    async fn run(&mut self) -> Result<ReconcileReport> {
        let mut report_ = ReconcileReport::default();
        let status = self.ground.node.engine().await;
        self.tell_engine(&status).await?;
        self.ground.observed.rcu(|observed| {
            let mut observed = (**observed).clone();
            observed.engine = Some(status.clone());
            observed
        });
        if let EngineStatus::Up { .. } = status {
            // The look comes first: what a deployment starts after it is not in it, and what is in it has its record.
            let seen = containers::look(&self.ground).await?;
            let mut wanted = self.wanted()?;
            self.loops.end(&self.ground, &mut wanted.live, &seen).await?;
            let problems = self.start_missing(&wanted, &seen, &mut report_).await;
            self.ground.observed.rcu(|observed| {
                let mut observed = (**observed).clone();
                observed.problems = problems.clone();
                observed
            });
            if !report_.started.is_empty() {
                containers::look(&self.ground).await?;
            }
            routing::apply(&self.ground).await?;
            self.put_to_sleep(&wanted, &seen);
            self.retire_unwanted(&wanted, &seen, &mut report_);
            if let Err(error) = networks::sweep(&self.ground, &seen).await {
                tracing::warn!("taking away networks that nothing needs: {}", report(&error));
            }
        } else {
            routing::apply(&self.ground).await?;
        }
        let observed = self.ground.observed.load_full();
        self.tell_states(&observed).await?;
        Ok(report_)
    }
}

/// Wakes the reconciler on what the engine says of our containers.
pub(crate) async fn watch_engine(ground: Arc<Ground>) {
    let mut events = ground.node.engine_events();
    while let Some(event) = events.next().await {
        match event {
            EngineEvent::Connected | EngineEvent::Lost { .. } => ground.wake_reconcile(),
            EngineEvent::Container { app: Some(_), action, .. } if concerns_us(&action) => ground.wake_reconcile(),
            EngineEvent::Container { .. } => {}
        }
    }
}

/// `health_status: healthy` is one of them: others may wait for it.
fn concerns_us(action: &str) -> bool {
    CONCERNS_US.contains(&action) || action.starts_with("health_status")
}

/// Actions after which something must be done or shown. `exec_…` and `top` are not among them.
const CONCERNS_US: [&str; 8] = ["start", "die", "stop", "kill", "destroy", "oom", "restart", "unpause"];
