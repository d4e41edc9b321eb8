//! How an app runs, as the wire writes it: limits, health check, volumes.

use crate::answers::Named;
use poem_openapi::{Enum, Object};
use types::Error;

/// What an app may use; always bounded.
#[derive(Debug, Object)]
pub struct Limits {
    pub memory_bytes: u64,
    /// Thousandths of a core.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub pids: u32,
}

/// How to tell that it serves; made from outside the container.
#[derive(Debug, Object)]
pub struct Health {
    pub kind: HealthKind,
    /// What to ask for, with `http` and `web`.
    pub path: Option<String>,
    /// Between two tries.
    pub interval_seconds: u32,
    /// Of one try.
    pub timeout_seconds: u32,
    /// How long a new container may take until its first success.
    pub start_seconds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum HealthKind {
    /// As it is made: `web` at `/` for what a web framework's preset builds, else `tcp`.
    Auto,
    /// `GET path` answers, and not with a failure of the app: below 500.
    Web,
    /// The port takes connections.
    Tcp,
    /// `GET path` answers 200 to 399.
    Http,
    /// It need only stay up: for workers that listen on nothing.
    Running,
}

/// A volume in a container.
#[derive(Debug, Object)]
pub struct Mount {
    pub volume: Named,
    /// Where, inside the container.
    pub path: String,
    pub read_only: bool,
}

/// What is left out keeps its value, or gets the usual one: 512 MiB, one core, 512 processes.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct LimitsInput {
    pub memory_bytes: Option<u64>,
    pub cpu_millis: Option<u32>,
    pub pids: Option<u32>,
}

/// What is left out keeps its value, or gets the usual one: auto, each 5 s, 60 s to start.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct HealthInput {
    pub kind: Option<HealthKind>,
    pub path: Option<String>,
    pub interval_seconds: Option<u32>,
    pub timeout_seconds: Option<u32>,
    pub start_seconds: Option<u32>,
}

/// A volume to mount.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct MountInput {
    /// Id or name; a name that is not there yet makes a volume.
    pub volume: String,
    /// Where, inside the container: absolute.
    pub path: String,
    pub read_only: Option<bool>,
}

impl From<types::Limits> for Limits {
    fn from(limits: types::Limits) -> Limits {
        Limits {
            memory_bytes: limits.memory_bytes,
            cpu_millis: limits.cpu_millis,
            pids: limits.pids,
        }
    }
}

impl From<types::HealthCheck> for Health {
    fn from(check: types::HealthCheck) -> Health {
        let (kind, path) = match check.probe {
            types::Probe::Auto => (HealthKind::Auto, None),
            types::Probe::Web { path } => (HealthKind::Web, Some(path)),
            types::Probe::Tcp => (HealthKind::Tcp, None),
            types::Probe::Http { path } => (HealthKind::Http, Some(path)),
            types::Probe::Running => (HealthKind::Running, None),
        };
        Health {
            kind,
            path,
            interval_seconds: check.interval_seconds,
            timeout_seconds: check.timeout_seconds,
            start_seconds: check.start_seconds,
        }
    }
}

impl From<(types::Mount, types::Volume)> for Mount {
    fn from((mount, volume): (types::Mount, types::Volume)) -> Mount {
        Mount {
            volume: Named::new(volume.id, volume.name),
            path: mount.path.to_string(),
            read_only: mount.read_only,
        }
    }
}

impl LimitsInput {
    /// What is said here, and the rest from `base`.
    pub(super) fn over(self, base: types::Limits) -> types::Limits {
        types::Limits {
            memory_bytes: self.memory_bytes.unwrap_or(base.memory_bytes),
            cpu_millis: self.cpu_millis.unwrap_or(base.cpu_millis),
            pids: self.pids.unwrap_or(base.pids),
        }
    }
}

impl HealthInput {
    /// What is said here, and the rest from `base`.
    pub(super) fn over(self, base: types::HealthCheck) -> types::Result<types::HealthCheck> {
        let probe = match (self.kind, self.path, base.probe) {
            (Some(HealthKind::Auto), _, _) => types::Probe::Auto,
            (Some(HealthKind::Web), Some(path), _) | (None, Some(path), types::Probe::Web { .. }) => types::Probe::Web { path },
            (Some(HealthKind::Web), None, types::Probe::Web { path }) => types::Probe::Web { path },
            (Some(HealthKind::Web), None, _) => types::Probe::Web { path: "/".to_owned() },
            (Some(HealthKind::Tcp), _, _) => types::Probe::Tcp,
            (Some(HealthKind::Running), _, _) => types::Probe::Running,
            (Some(HealthKind::Http), Some(path), _) | (None, Some(path), types::Probe::Http { .. }) => types::Probe::Http { path },
            (Some(HealthKind::Http), None, types::Probe::Http { path }) => types::Probe::Http { path },
            (Some(HealthKind::Http), None, _) => types::Probe::Http { path: "/".to_owned() },
            (None, Some(_), _) => return Err(Error::invalid("health.path", "goes with the kinds http and web only")),
            (None, None, probe) => probe,
        };
        Ok(types::HealthCheck {
            probe,
            interval_seconds: self.interval_seconds.unwrap_or(base.interval_seconds),
            timeout_seconds: self.timeout_seconds.unwrap_or(base.timeout_seconds),
            start_seconds: self.start_seconds.unwrap_or(base.start_seconds),
        })
    }
}

pub(super) fn mounts(inputs: Vec<MountInput>) -> types::Result<Vec<app::MountWish>> {
    inputs
        .into_iter()
        .map(|input| {
            let volume = match input.volume.parse() {
                Ok(id) => app::VolumeName::Id(id),
                Err(_) => app::VolumeName::Name(input.volume.parse()?),
            };
            Ok(app::MountWish {
                volume,
                path: input.path.parse()?,
                read_only: input.read_only.unwrap_or(false),
            })
        })
        .collect()
}
