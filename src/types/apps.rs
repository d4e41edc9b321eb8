//! An app: how it should run. Where it comes from is in `sources.rs`.

use crate::{
    AppId, AppName, BuildPlace, ConfigFile, ContainerPath, Demand, DeployCommands, DeploymentId, Environment, EnvironmentId,
    OrganizationId, ProjectId, ReleaseCanary, ReleaseId, Source, Time, VolumeId,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// What should be. A deployment turns it into a [`crate::Release`]; until then a change has no effect on what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    pub id: AppId,
    pub organization: OrganizationId,
    pub project: ProjectId,
    pub environment: EnvironmentId,
    /// Unique in the environment.
    pub name: AppName,
    pub source: Source,
    /// The port it listens on inside its container; `None`: the first one that the image exposes, else 8080 given as `PORT`.
    pub port: Option<u16>,
    /// Arguments in place of the image's own command.
    pub command: Option<Vec<String>>,
    pub limits: Limits,
    pub health: HealthCheck,
    /// Before and after a deployment.
    #[serde(default)]
    pub commands: DeployCommands,
    pub mounts: Vec<Mount>,
    /// By path.
    #[serde(default)]
    pub files: Vec<ConfigFile>,
    /// From the signal to stop to the kill.
    pub grace_seconds: u32,
    /// A deployment that takes longer fails.
    pub deploy_timeout_seconds: u32,
    /// A new release gets a share of the requests first; `None`: all of them at once.
    #[serde(default)]
    pub canary: Option<ReleaseCanary>,
    /// Releases kept beside the live one.
    pub keep_releases: u32,
    /// They go when they are older than this; `None`: at any age.
    #[serde(default)]
    pub keep_release_days: Option<u32>,
    /// And when their images together are larger; `None`: at any size.
    #[serde(default)]
    pub keep_release_bytes: Option<u64>,
    /// What the engine may keep of its builds, as far as it can be told; `None`: as much as all of them may.
    #[serde(default)]
    pub build_cache_bytes: Option<u64>,
    /// Where its builds go; `None`: where the settings of the panel say.
    #[serde(default)]
    pub build_on: Option<BuildPlace>,
    /// A container that exits this often, never staying up for [`STEADY`], is not started again; 0: it always is.
    #[serde(default = "restart_limit")]
    pub restart_limit: u32,
    /// A release that is given up on so soon after it went live gives way to the one before; 0: never.
    #[serde(default = "rollback_within")]
    pub rollback_within_minutes: u32,
    /// What was given up on: of several services each by itself.
    #[serde(default, deserialize_with = "halts")]
    pub halted: Vec<Halt>,
    pub desired: DesiredState,
    /// Containers of the release at a time, between which the edge shares requests out. Of a stack, its file says it.
    #[serde(default = "one")]
    pub replicas: u32,
    /// Of an app of several services: what they may use together, by the file as it was read last.
    #[serde(default)]
    pub demand: Option<Demand>,
    /// When it is started and stopped by itself.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// It is put to sleep when nobody has used it for so long; `None`: never.
    #[serde(default)]
    pub sleep_after_minutes: Option<u32>,
    /// It should run, but not before somebody wants it.
    #[serde(default)]
    pub asleep: Option<Asleep>,
    /// What is live.
    pub release: Option<ReleaseId>,
    /// The newest deployment, whatever became of it.
    pub last_deployment: Option<DeploymentId>,
    /// Counts its deployments: #1, #2, …
    pub deployments: u64,
    /// Goes up at every change of its variables.
    pub variables_version: u64,
    pub created_at: Time,
    pub updated_at: Time,
    /// Nothing is deployed while it holds.
    #[serde(default)]
    pub lock: Option<DeployLock>,
    /// In the trash since; its containers are stopped, its domains are free, its volumes stay.
    pub trashed_at: Option<Time>,
}

fn one() -> u32 {
    1
}

/// A container that has run so long has started well.
pub const STEADY: Duration = Duration::from_secs(300);

/// As an app has it unless it says otherwise.
pub fn restart_limit() -> u32 {
    10
}

/// In minutes, as an app has it unless it says otherwise.
fn rollback_within() -> u32 {
    10
}

/// Also as it was when one could be given up on at a time: that one, or none.
fn halts<'de, D: Deserializer<'de>>(stored: D) -> Result<Vec<Halt>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Several(Vec<Halt>),
        One(Option<Halt>),
    }
    Ok(match Stored::deserialize(stored)? {
        Stored::Several(halts) => halts,
        Stored::One(halt) => halt.into_iter().collect(),
    })
}

/// A container that kept exiting and is not started again until somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    pub release: ReleaseId,
    /// Which of a stack's services.
    pub service: Option<String>,
    /// `killed: out of memory, limit 256 MiB`
    pub why: String,
    pub restarts: u32,
    pub at: Time,
}

impl Halt {
    /// `web: exited with code 1: cannot open the database; not started again after 10 restarts`
    pub fn words(&self) -> String {
        format!("{}; not started again after {} restarts", self.reason(), self.restarts)
    }
    /// `web: exited with code 1: cannot open the database`
    pub fn reason(&self) -> String {
        let service = self.service.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        format!("{service}{}", self.why)
    }
}

/// An app that runs at some hours only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// When it is started: minute, hour, day of month, month, day of week.
    pub start: String,
    pub stop: String,
    /// By its name in the IANA database.
    pub zone: String,
    /// Times until then have been heeded.
    pub checked_at: Time,
}

/// An app whose containers are stopped until a request for it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asleep {
    pub since: Time,
    /// `nobody used it for 30 minutes`
    pub why: String,
    /// It is being started, and awake once it is well.
    #[serde(default)]
    pub waking: Option<Waking>,
    /// How the last try to wake it ended.
    #[serde(default)]
    pub failed: Option<FailedWake>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waking {
    pub at: Time,
    /// `a request`
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedWake {
    pub at: Time,
    pub why: String,
    /// In a row.
    pub tries: u32,
}

impl FailedWake {
    /// Until then requests do not try it again.
    pub fn rests_until(&self) -> Time {
        let seconds = 10_u64 << self.tries.saturating_sub(1).min(6);
        self.at.plus(Duration::from_secs(seconds.min(600)))
    }
}

/// Somebody wants no deployments for a while. Rolling back stays possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployLock {
    pub by: String,
    /// In a few words; may be empty.
    pub why: String,
    pub at: Time,
    /// It ends by itself then; `None`: never.
    pub until: Option<Time>,
}

impl App {
    /// One with what is usual, of which nothing was deployed yet.
    pub fn new(id: AppId, place: &Environment, name: AppName, source: Source, now: Time) -> App {
        App {
            id,
            organization: place.organization.clone(),
            project: place.project.clone(),
            environment: place.id.clone(),
            name,
            source,
            port: None,
            command: None,
            limits: Limits::default(),
            health: HealthCheck::default(),
            commands: DeployCommands::default(),
            mounts: Vec::new(),
            files: Vec::new(),
            grace_seconds: 15,
            deploy_timeout_seconds: 1800,
            canary: None,
            keep_releases: 5,
            keep_release_days: None,
            keep_release_bytes: None,
            build_cache_bytes: None,
            build_on: None,
            restart_limit: restart_limit(),
            rollback_within_minutes: rollback_within(),
            halted: Vec::new(),
            desired: DesiredState::Running,
            replicas: one(),
            demand: None,
            hours: None,
            sleep_after_minutes: None,
            asleep: None,
            release: None,
            last_deployment: None,
            deployments: 0,
            variables_version: 0,
            created_at: now,
            updated_at: now,
            lock: None,
            trashed_at: None,
        }
    }

    /// The same settings for another app in another environment of the project, as if nothing was ever done with it. Its volumes are
    /// the first one's, so it has none.
    pub fn again(&self, id: AppId, place: &Environment, now: Time) -> App {
        let fresh = App::new(id, place, self.name.clone(), self.source.clone(), now);
        App {
            id: fresh.id,
            organization: fresh.organization,
            project: fresh.project,
            environment: fresh.environment,
            mounts: fresh.mounts,
            halted: fresh.halted,
            desired: fresh.desired,
            asleep: fresh.asleep,
            release: fresh.release,
            last_deployment: fresh.last_deployment,
            deployments: fresh.deployments,
            variables_version: fresh.variables_version,
            created_at: fresh.created_at,
            updated_at: fresh.updated_at,
            lock: fresh.lock,
            trashed_at: fresh.trashed_at,
            ..self.clone()
        }
    }

    /// Whether its containers should run now.
    pub fn should_run(&self) -> bool {
        self.desired == DesiredState::Running && self.trashed_at.is_none() && !self.sleeps()
    }
    /// What of this release was given up on.
    pub fn given_up(&self, release: &ReleaseId) -> impl Iterator<Item = &Halt> {
        self.halted.iter().filter(move |halt| halt.release == *release)
    }
    /// Asleep, and nobody wakes it yet.
    pub fn sleeps(&self) -> bool {
        self.asleep.as_ref().is_some_and(|asleep| asleep.waking.is_none())
    }
    /// The lock, unless it has ended.
    pub fn locked(&self, now: Time) -> Option<&DeployLock> {
        self.lock.as_ref().filter(|lock| lock.until.is_none_or(|until| now < until))
    }
}

impl DeployLock {
    /// `deployments are locked by ada until 2026-01-02T00:00:00Z: release week`
    pub fn words(&self) -> String {
        let until = self.until.map(|until| format!(" until {until}")).unwrap_or_default();
        let why = if self.why.is_empty() {
            String::new()
        } else {
            format!(": {}", self.why)
        };
        format!("deployments are locked by {}{until}{why}", self.by)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    Running,
    Stopped,
}

/// Always set, so that one app cannot take the machine down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: u64,
    /// Thousandths of a core.
    pub cpu_millis: u32,
    pub pids: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes: 512 << 20,
            cpu_millis: 1000,
            pids: 512,
        }
    }
}

/// How to tell that it serves. Made from outside the container, so the image needs no tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    pub probe: Probe,
    /// Between two tries.
    pub interval_seconds: u32,
    /// Of one try.
    pub timeout_seconds: u32,
    /// How long a new container may take until its first success.
    pub start_seconds: u32,
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck {
            probe: Probe::Auto,
            interval_seconds: 5,
            timeout_seconds: 5,
            start_seconds: 60,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Probe {
    /// As it is made: [`Probe::Web`] at `/` for what a web framework's preset builds, else [`Probe::Tcp`]. A release has one
    /// of the others.
    Auto,
    /// `GET path` answers, and not with a failure of the app: below 500.
    Web { path: String },
    /// The port takes connections.
    Tcp,
    /// `GET path` answers 200 to 399.
    Http { path: String },
    /// It need only stay up: for workers that listen on nothing.
    Running,
}

impl Probe {
    /// What an app's wish means for one release. `web`: a web framework's preset built it.
    pub fn settled(&self, web: bool) -> Probe {
        match self {
            Probe::Auto if web => Probe::Web { path: "/".into() },
            Probe::Auto => Probe::Tcp,
            probe => probe.clone(),
        }
    }

    /// Whether a release with the probe `made` is what this asks for.
    pub fn is_met_by(&self, made: &Probe) -> bool {
        match self {
            Probe::Auto => *made == Probe::Tcp || *made == Probe::Web { path: "/".into() },
            probe => probe == made,
        }
    }

    /// `port 80 takes connections`, `GET /up on port 80 answers 200 to 399`.
    pub fn words(&self, port: u16) -> String {
        match self {
            Probe::Tcp => format!("port {port} takes connections"),
            Probe::Http { path } => format!("GET {path} on port {port} answers 200 to 399"),
            Probe::Web { path } => format!("GET {path} on port {port} answers below 500"),
            Probe::Running => "it stays up".to_owned(),
            Probe::Auto => format!("port {port} serves"),
        }
    }
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub volume: VolumeId,
    pub path: ContainerPath,
    pub read_only: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_failures_grow_to_ten_minutes() {
        let rests = |tries| {
            let failed = FailedWake {
                at: Time(0),
                why: "x".into(),
                tries,
            };
            failed.rests_until().0 / 1000
        };
        assert_eq!([1, 2, 3, 6, 7, 8, u32::MAX].map(rests), [10, 20, 40, 320, 600, 600, 600]);
    }
}
