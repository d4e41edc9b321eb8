//! What was last seen of the engine, and what that means for an app.

use std::collections::{HashMap, HashSet};
use types::{App, AppId, Container, ContainerState, DesiredState, EngineHealth, EngineStatus, Halt, Phase, Probe, Release};

/// One look at the engine. The last good one is kept while the engine does not answer, so that routes stay.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// `None` before the first look.
    pub engine: Option<EngineStatus>,
    pub containers: Vec<Container>,
    /// By the engine's container id: what the last checks said.
    pub health: HashMap<String, Health>,
    /// By the engine's container id: those that get nothing while they are drained, stopped and started anew, whatever a check says.
    pub aside: HashSet<String>,
    /// By the engine's container id: how it ended last.
    pub deaths: HashMap<String, String>,
    /// Why an app's container could not be brought up.
    pub problems: HashMap<AppId, String>,
}

/// What the checks of a container said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    pub failures: u32,
    /// Why the last one failed; `None` if it did not.
    pub why: Option<String>,
}

/// Failures in a row before an app is called unhealthy.
const PATIENCE: u32 = 3;

/// The state that people see, one vocabulary everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppState {
    /// Never deployed.
    New,
    /// A deployment is on its way and nothing serves yet.
    Deploying,
    Running,
    /// Its container is being brought up.
    Starting,
    Stopped,
    /// It is started when a request comes.
    Asleep,
    /// A request came, and waits for it.
    Waking,
    /// It runs, but its health check fails.
    Unhealthy,
    /// It keeps exiting.
    Crashing,
    /// Its last deployment failed and nothing was live before.
    Failed,
    /// The engine does not answer.
    Unknown,
}

impl AppState {
    pub fn word(self) -> &'static str {
        match self {
            AppState::New => "new",
            AppState::Deploying => "deploying",
            AppState::Running => "running",
            AppState::Starting => "starting",
            AppState::Stopped => "stopped",
            AppState::Asleep => "asleep",
            AppState::Waking => "waking",
            AppState::Unhealthy => "unhealthy",
            AppState::Crashing => "crashing",
            AppState::Failed => "failed",
            AppState::Unknown => "unknown",
        }
    }
}

impl Observed {
    /// The container that serves this release.
    pub fn container(&self, release: &Release) -> Option<&Container> {
        self.containers.iter().find(|container| release.serves_with(container))
    }

    /// The first service of a stack, in the order in which they start, that is not as it should be.
    fn ailing(&self, release: &Release, deploying: bool) -> Option<(AppState, String)> {
        for service in release
            .stack
            .iter()
            .flat_map(|stack| &stack.services)
            .filter(|service| service.replicas > 0)
        {
            let name = &service.name;
            let is_its =
                |container: &&Container| release.owns(container) && container.owner.service.as_ref().is_some_and(|mark| mark.name == *name);
            let Some(container) = self.containers.iter().find(is_its) else {
                return Some((AppState::Starting, format!("{name} is being started")));
            };
            match &container.state {
                ContainerState::Exited { code: 0, .. } if service.once => {}
                ContainerState::Running => {
                    if container.health == Some(EngineHealth::Unhealthy) {
                        return Some((AppState::Unhealthy, format!("{name}: its health check fails")));
                    }
                }
                ContainerState::Created | ContainerState::Removing => {
                    return Some((AppState::Starting, format!("{name} is being started")));
                }
                state if deploying && is_stopped(state) => {
                    return Some((AppState::Starting, format!("{name} is stopped for the deployment")));
                }
                state => return Some((AppState::Crashing, format!("{name} {}", state.words()))),
            }
        }
        None
    }

    /// The app's state and, where there is something to say, why. `last` is the phase of its newest deployment.
    pub fn state_of(&self, app: &App, live: Option<&Release>, last: Option<Phase>) -> (AppState, Option<String>) {
        if app.trashed_at.is_some() {
            return (AppState::Stopped, Some("in the trash".into()));
        }
        let deploying = last.is_some_and(|phase| !phase.is_final());
        let Some(release) = live else {
            return match last {
                Some(phase) if !phase.is_final() => (AppState::Deploying, Some(phase.word().into())),
                Some(Phase::Failed) => (AppState::Failed, None),
                _ => (AppState::New, None),
            };
        };
        if app.desired == DesiredState::Stopped {
            return (AppState::Stopped, None);
        }
        if let Some(asleep) = &app.asleep {
            return match (&asleep.waking, &asleep.failed) {
                (Some(waking), _) => (AppState::Waking, Some(format!("woken by {}", waking.why))),
                (None, Some(failed)) => (
                    AppState::Asleep,
                    Some(format!("{}; it could not be woken: {}", asleep.why, failed.why)),
                ),
                (None, None) => (AppState::Asleep, Some(asleep.why.clone())),
            };
        }
        match &self.engine {
            None => return (AppState::Starting, None),
            Some(EngineStatus::Down { why, .. }) => return (AppState::Unknown, Some(why.clone())),
            Some(EngineStatus::Up { .. }) => {}
        }
        let given_up: Vec<String> = app.given_up(&release.id).map(Halt::words).collect();
        if !given_up.is_empty() {
            return (AppState::Crashing, Some(given_up.join("; ")));
        }
        if let Some((state, why)) = self.ailing(release, deploying) {
            let why = self.problems.get(&app.id).cloned().unwrap_or(why);
            return (
                if deploying && state == AppState::Starting {
                    AppState::Deploying
                } else {
                    state
                },
                Some(why),
            );
        }
        if let Some(found) = self.missing(app, release) {
            return found;
        }
        let Some(container) = self.container(release) else {
            if let Some(why) = self.problems.get(&app.id) {
                return (AppState::Crashing, Some(why.clone()));
            }
            return (if deploying { AppState::Deploying } else { AppState::Starting }, None);
        };
        match &container.state {
            ContainerState::Running => match self.health.get(&container.id) {
                Some(health) if health.failures >= PATIENCE => (AppState::Unhealthy, health.why.clone()),
                _ if container.restarts > 2 && self.is_unproven(container) => {
                    let death = self.deaths.get(&container.id).map(|why| format!("; {why}")).unwrap_or_default();
                    (AppState::Crashing, Some(format!("restarted {} times{death}", container.restarts)))
                }
                _ => (AppState::Running, None),
            },
            ContainerState::Created | ContainerState::Removing => (AppState::Starting, None),
            state if deploying && is_stopped(state) => (AppState::Deploying, Some("stopped for the deployment".into())),
            state @ (ContainerState::Exited { out_of_memory: true, .. } | ContainerState::Restarting { out_of_memory: true, .. }) => (
                AppState::Crashing,
                Some(format!("{}, limit {} MiB", state.words(), app.limits.memory_bytes >> 20)),
            ),
            state => (AppState::Crashing, Some(state.words())),
        }
    }

    /// Of several containers that are the same: when some serve and others do not. `None`: all do, or none, or there is one.
    fn missing(&self, app: &App, release: &Release) -> Option<(AppState, Option<String>)> {
        let wanted = usize::try_from(release.room_for(app.replicas)).unwrap_or(usize::MAX);
        if wanted < 2 || release.stack.is_some() {
            return None;
        }
        let serves = |container: &&Container| {
            let well = self.health.get(&container.id).is_none_or(|health| health.failures < PATIENCE);
            container.state.is_running() && well && release.wants(container, app.replicas)
        };
        let number = self.containers.iter().filter(serves).count();
        if number == 0 || number >= wanted {
            return None;
        }
        let ill = self
            .containers
            .iter()
            .find(|container| release.wants(container, app.replicas) && !serves(container));
        let why = ill.map(|container| match (&container.state, self.health.get(&container.id)) {
            (ContainerState::Running, Some(health)) => health.why.clone().unwrap_or_default(),
            (state, _) => state.words(),
        });
        let why = why
            .or_else(|| self.problems.get(&app.id).cloned())
            .unwrap_or_else(|| "others are being started".into());
        Some((AppState::Unhealthy, Some(format!("{number} of {wanted} containers serve: {why}"))))
    }

    /// Whether its last check went well; of one that is not checked, whether it runs. Never while it is set aside.
    pub fn is_well(&self, container: &Container, release: &Release) -> bool {
        let last = self.health.get(&container.id).map(|health| health.why.is_none());
        container.state.is_running() && !self.is_aside(container) && last.unwrap_or(release.health.probe == Probe::Running)
    }

    /// Whether no route is to lead to it, though it runs.
    pub fn is_aside(&self, container: &Container) -> bool {
        self.aside.contains(&container.id)
    }

    /// Whether its health has not been seen since it last started.
    fn is_unproven(&self, container: &Container) -> bool {
        self.health.get(&container.id).is_none_or(|health| health.why.is_some())
    }
}

/// Whether somebody stopped it: what exits by itself is started again by the engine.
fn is_stopped(state: &ContainerState) -> bool {
    matches!(state, ContainerState::Exited { out_of_memory: false, .. })
}
