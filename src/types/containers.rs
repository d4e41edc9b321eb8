//! What is asked of an engine and what it answers, in our words. Which API call does it is `docker`'s business.

use crate::{
    AppId, EnvironmentId, Limits, OrganizationId, RegistryId, RegistryServer, ReleaseId, Restart, Secret, StackFile, StackHealth,
    StackRuntime, Time,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

/// Whether the engine answers, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineStatus {
    Up {
        version: String,
        api_version: String,
    },
    /// Why not, and what to do.
    Down {
        why: String,
        fix: String,
    },
}

/// What an engine says of itself and of its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineFacts {
    /// Tells engines apart.
    pub id: String,
    /// Docker's: `26.1.5`.
    pub version: String,
    /// `linux`
    pub os: String,
    /// `amd64`, `arm64`
    pub architecture: String,
    pub cpus: u64,
    pub memory_bytes: u64,
}

impl EngineFacts {
    /// What its images run on: `linux/amd64`.
    pub fn platform(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }
}

/// A container to be. Nothing is published: the edge dials its address on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    pub name: String,
    pub owner: Owner,
    /// An image id or reference that is on the engine already.
    pub image: String,
    pub command: Option<Vec<String>>,
    pub environment: Vec<(String, Secret)>,
    /// The network's name on the engine, and under which names others on it find this one.
    pub network: String,
    pub aliases: Vec<String>,
    pub mounts: Vec<MountSpec>,
    pub limits: Limits,
    pub grace_seconds: u32,
    /// Put into it before it starts.
    pub files: Vec<StackFile>,
    /// What only a service of a stack has.
    pub service: Option<Box<ServiceSpec>>,
}

/// What a Compose file says of a container beyond what every app has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceSpec {
    pub entrypoint: Option<Vec<String>>,
    pub labels: BTreeMap<String, String>,
    pub health: StackHealth,
    pub restart: Restart,
    pub runtime: StackRuntime,
    /// Paths of the host: source, target, read only.
    pub host_paths: Vec<(String, String, bool)>,
    /// Further networks of its app, and its names on each.
    pub further: Vec<(String, Vec<String>)>,
    /// The network of its environment, and the names on it.
    pub also: Option<(String, Vec<String>)>,
}

/// Whose it is; kept in `serverkit.*` labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub organization: OrganizationId,
    pub environment: EnvironmentId,
    pub app: AppId,
    pub release: ReleaseId,
    /// From 0: which of several that are the same.
    pub replica: u32,
    /// Which of a stack's services.
    pub service: Option<ServiceMark>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceMark {
    pub name: String,
    /// From 0.
    pub replica: u32,
    /// [`crate::ReleaseService::hash`].
    pub hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// The volume's name on the engine.
    pub volume: String,
    pub path: String,
    pub read_only: bool,
}

/// A container of ours, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    pub name: String,
    pub owner: Owner,
    pub image: String,
    pub state: ContainerState,
    /// Where the edge dials it, while it runs.
    pub address: Option<IpAddr>,
    pub created_at: Time,
    pub started_at: Option<Time>,
    pub restarts: u32,
    /// What the check inside it says; `None`: it has none.
    pub health: Option<EngineHealth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineHealth {
    Starting,
    Healthy,
    Unhealthy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    /// The engine starts it again after each exit.
    Restarting {
        code: i64,
        out_of_memory: bool,
    },
    Exited {
        code: i64,
        out_of_memory: bool,
    },
    Removing,
}

impl ContainerState {
    pub fn is_running(&self) -> bool {
        matches!(self, ContainerState::Running)
    }
    /// In words: "killed: out of memory", "exited with code 1".
    pub fn words(&self) -> String {
        match self {
            ContainerState::Created => "not started".into(),
            ContainerState::Running => "running".into(),
            ContainerState::Restarting { out_of_memory: true, .. } => "keeps being killed: out of memory".into(),
            ContainerState::Restarting { code, .. } => format!("keeps exiting with code {code}"),
            ContainerState::Exited { out_of_memory: true, .. } => "killed: out of memory".into(),
            ContainerState::Exited { code, .. } => format!("exited with code {code}"),
            ContainerState::Removing => "being removed".into(),
        }
    }
}

/// How a container that does one thing has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    pub code: i64,
    pub out_of_memory: bool,
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`
    pub id: String,
    /// By what its registry knows it, `name@sha256:…`; `None` for one that was built or loaded here.
    pub digest: Option<String>,
    /// TCP ports that it declares, in order.
    pub ports: Vec<u16>,
    pub bytes: u64,
}

/// A registry's user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// Of the login as it is kept: what it brings is named after it.
    pub id: RegistryId,
    pub server: RegistryServer,
    pub user: String,
    pub password: Secret,
}

/// An image to build with BuildKit.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    /// Names the result: `serverkit/<app>:<deployment>`.
    pub tag: String,
    pub owner_app: AppId,
    /// The folder that is the context, on the machine that builds.
    pub context: PathBuf,
    /// From the context.
    pub dockerfile: String,
    pub target: Option<String>,
    pub arguments: BTreeMap<String, String>,
    /// `RUN --mount=type=secret,id=KEY`.
    pub secrets: BTreeMap<String, Secret>,
    /// For base images that are not public.
    pub logins: Vec<RegistryLogin>,
    pub labels: BTreeMap<String, String>,
}

/// A line that something printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub at: Time,
    pub stream: LogStream,
    /// Without the newline; bytes that are not UTF-8 are replaced. Cut at 16 KiB.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
    /// serverkit's own words: which step, what was decided.
    Note,
}

/// Which lines of a container's log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    pub since: Option<Time>,
    /// The last so many; `None`: all there are.
    pub tail: Option<u32>,
    pub follow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    pub name: String,
    pub organization: OrganizationId,
    pub environment: EnvironmentId,
    pub subnet: IpNet,
    /// The engine gives it no way out; this machine reaches what is on it all the same.
    pub internal: bool,
}

/// What a container uses. Source: Engine API, `GET /containers/{id}/stats`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ContainerStats {
    /// Cores since the last sample: 0.0 to the number of cores.
    pub cpu_cores: f64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub net_in_bytes: u64,
    pub net_out_bytes: u64,
    pub pids: u32,
}

/// A command inside a running container.
#[derive(Debug, Clone)]
pub struct ExecSpec {
    pub command: Vec<String>,
    pub tty: bool,
    pub columns: u16,
    pub rows: u16,
    pub setting: ExecSetting,
}

/// How a command inside a container differs from the container's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSetting {
    pub user: Option<String>,
    pub working_dir: Option<String>,
    /// Beside what the container has, and over it.
    pub environment: Vec<(String, Secret)>,
    pub privileged: bool,
}

impl ExecSpec {
    /// One without a terminal.
    pub fn plain(command: Vec<String>) -> ExecSpec {
        ExecSpec {
            command,
            tty: false,
            columns: 80,
            rows: 24,
            setting: ExecSetting::default(),
        }
    }
}

/// Something changed on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEvent {
    /// The event stream was (re)connected: anything may have changed.
    Connected,
    /// It broke; it is tried again.
    Lost {
        why: String,
    },
    Container {
        id: String,
        app: Option<AppId>,
        action: String,
    },
}

/// What clean-up would remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    pub kind: crate::Kind,
    pub id: String,
    pub name: String,
    pub bytes: u64,
}
