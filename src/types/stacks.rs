//! A stack: what a Compose file comes to, with every value in it. No file, anchor or placeholder is left to be looked up.

use crate::Limits;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// What should run together. Source of the words: the Compose Specification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// In the order in which they start: after those that they depend on.
    pub services: Vec<StackService>,
    /// Named volumes that a service mounts.
    pub volumes: Vec<StackVolume>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackVolume {
    /// Under which the file speaks of it.
    pub name: String,
    /// It must be there already, under this name in its environment; the stack does not own it.
    pub external: Option<String>,
}

/// One service. Durations are in milliseconds, sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackService {
    pub name: String,
    /// What to pull, or how the result of `build` is called.
    pub image: Option<String>,
    pub build: Option<StackBuild>,
    pub pull: PullPolicy,
    /// In place of the image's own.
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub environment: BTreeMap<String, String>,
    pub depends_on: Vec<Dependency>,
    pub health: StackHealth,
    pub restart: Restart,
    pub replicas: u32,
    pub limits: StackLimits,
    pub mounts: Vec<StackMount>,
    /// Configs and secrets, put into the container before it starts.
    pub files: Vec<StackFile>,
    /// Ports of `ports:` and `expose:`; none is published by itself.
    pub ports: Vec<StackPort>,
    /// Further names under which the other services find it, on each of its networks.
    pub aliases: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub grace_millis: Option<u64>,
    pub runtime: StackRuntime,
    // What a container is made of is compared by how this is written, so what most have not is not written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<StackHook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<StackHook>,
    /// By name; none: it is on the app's own network, as all services of its stack are, or on the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<StackNetwork>,
    /// The file wishes that its old container stops before a new one starts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stops_first: bool,
}

/// A network of a stack, as one of its services is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackNetwork {
    /// Under which the file speaks of it.
    pub name: String,
    /// Nothing on it reaches what is outside of it.
    pub internal: bool,
    /// Further names of the service on this network, beyond [`StackService::aliases`].
    pub aliases: Vec<String>,
}

/// A command inside a container of a service, once that has started or before it is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackHook {
    pub command: Vec<String>,
    /// In place of the service's own.
    pub user: Option<String>,
    pub working_dir: Option<String>,
    /// Over the service's own.
    pub environment: BTreeMap<String, String>,
    /// A [`HostRight`].
    pub privileged: bool,
}

/// What is passed to the engine as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackRuntime {
    pub user: Option<String>,
    pub group_add: Vec<String>,
    pub working_dir: Option<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub init: Option<bool>,
    pub tty: bool,
    pub stdin_open: bool,
    /// The container's own file system, not its volumes.
    pub read_only: bool,
    pub stop_signal: Option<String>,
    /// Path and options, `size=64m` for example.
    pub tmpfs: BTreeMap<String, String>,
    pub shm_bytes: Option<u64>,
    pub sysctls: BTreeMap<String, String>,
    /// Name, soft and hard limit.
    pub ulimits: Vec<(String, i64, i64)>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_opt: Vec<String>,
    pub platform: Option<String>,
    pub cpuset: Option<String>,
    pub cpu_shares: Option<i64>,
    pub memory_reservation_bytes: Option<u64>,
    pub oom_score_adj: Option<i64>,
    // With these a container can do what only the host's administrator may; see [`HostRight`].
    pub privileged: bool,
    pub host_network: bool,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub host_users: bool,
    /// `/dev/x:/dev/y:rwm`.
    pub devices: Vec<String>,
}

/// How an image is made from the files beside the Compose file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackBuild {
    /// From the top of the files that the Compose file lies in.
    pub context: String,
    /// From the context; may lead out of it, but not out of the files.
    pub dockerfile: Option<String>,
    /// The Dockerfile itself, in place of one among the files.
    pub inline: Option<String>,
    pub arguments: BTreeMap<String, String>,
    pub target: Option<String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Only when the engine does not have it.
    #[default]
    Missing,
    Always,
    Never,
}

/// A service that has to be there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub service: String,
    pub condition: Condition,
    /// Also restarted when the other one is changed.
    pub restart: bool,
    /// Without it the other one may be missing or fail.
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Started,
    Healthy,
    /// It ran to its end, with code 0.
    Completed,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StackHealth {
    /// What the image says, if it says something.
    #[default]
    Image,
    Off,
    Check(EngineCheck),
}

/// A check that the engine makes inside the container.
/// Source: Engine API, `HealthConfig`. `None`: what the image or the engine says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineCheck {
    /// `["CMD", …]` or `["CMD-SHELL", line]`; empty: the image's own.
    pub test: Vec<String>,
    pub interval_millis: Option<u64>,
    pub timeout_millis: Option<u64>,
    pub retries: Option<u32>,
    pub start_millis: Option<u64>,
    pub start_interval_millis: Option<u64>,
}

impl EngineCheck {
    /// How long it may take until the engine has made up its mind, by the engine's own defaults.
    pub fn longest(&self) -> Duration {
        let interval = self.interval_millis.unwrap_or(30_000);
        let timeout = self.timeout_millis.unwrap_or(30_000);
        let retries = u64::from(self.retries.unwrap_or(3).max(1));
        Duration::from_millis(
            self.start_millis
                .unwrap_or(0)
                .saturating_add((interval + timeout).saturating_mul(retries)),
        )
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Restart {
    /// It runs to its end once.
    No,
    OnFailure {
        /// `None`: always again.
        times: Option<u32>,
    },
    #[default]
    Always,
}

/// What is not said is the app's own limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackLimits {
    pub memory_bytes: Option<u64>,
    pub cpu_millis: Option<u32>,
    pub pids: Option<u32>,
}

impl StackLimits {
    pub fn or(&self, limits: &Limits) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes.unwrap_or(limits.memory_bytes),
            cpu_millis: self.cpu_millis.unwrap_or(limits.cpu_millis),
            pids: self.pids.unwrap_or(limits.pids),
        }
    }
}

impl Stack {
    /// Holds each container of each service to these, where what its file says or `usual` is more. Answers whose limits became less.
    pub fn hold_to(&mut self, most: &StackLimits, usual: &Limits) -> Vec<String> {
        let mut held = Vec::new();
        for service in &mut self.services {
            let had = service.limits.or(usual);
            let may = Limits {
                memory_bytes: most.memory_bytes.map_or(had.memory_bytes, |most| most.min(had.memory_bytes)),
                cpu_millis: most.cpu_millis.map_or(had.cpu_millis, |most| most.min(had.cpu_millis)),
                pids: most.pids.map_or(had.pids, |most| most.min(had.pids)),
            };
            if may != had {
                service.limits = StackLimits {
                    memory_bytes: Some(may.memory_bytes),
                    cpu_millis: Some(may.cpu_millis),
                    pids: service.limits.pids.or(most.pids),
                };
                held.push(service.name.clone());
            }
        }
        held
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackMount {
    pub from: MountFrom,
    /// Absolute, in the container.
    pub path: String,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum MountFrom {
    /// A volume of [`Stack::volumes`].
    Volume { name: String },
    /// A path of the host: a [`HostRight`].
    Host { path: String },
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFile {
    /// Absolute, in the container.
    pub path: String,
    pub content: String,
    /// Permission bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// It is to show in no log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl std::fmt::Debug for StackFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StackFile({}, {} bytes, {:o})", self.path, self.content.len(), self.mode)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackPort {
    /// In the container.
    pub target: u16,
    pub protocol: crate::Transport,
    /// Where the file would have it on the host.
    pub published: Option<u16>,
}

/// What a service asks for that only an administrator may give, since it reaches the host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRight {
    pub service: String,
    /// Like `host_network` or `docker_socket`; a template names these in its `rights`.
    pub right: &'static str,
    /// In words: "mounts /etc of the host".
    pub what: String,
    pub line: u32,
}

/// Something to say about a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Notice {
    /// From 1; 0: the file as a whole.
    pub line: u32,
    /// Empty: the Compose file itself; else the file that it includes or extends.
    pub file: String,
    pub what: String,
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", 0) => f.write_str(&self.what),
            ("", line) => write!(f, "line {line}: {}", self.what),
            (file, 0) => write!(f, "{file}: {}", self.what),
            (file, line) => write!(f, "{file}, line {line}: {}", self.what),
        }
    }
}

impl Stack {
    pub fn service(&self, name: &str) -> Option<&StackService> {
        self.services.iter().find(|service| service.name == name)
    }
}

impl StackService {
    /// Why a new container of it must not run beside the old one, in words; `None`: it may.
    pub fn why_stop_first(&self) -> Option<String> {
        if self.runtime.host_network {
            return Some("it is on the host's network, where two containers cannot listen on the same ports".into());
        }
        let Some(mount) = self.mounts.iter().find(|mount| !mount.read_only) else {
            return self
                .stops_first
                .then(|| "its file says so (`update_config.order: stop-first`)".to_owned());
        };
        let (what, path) = match &mount.from {
            MountFrom::Volume { name } => (format!("the volume {name}"), &mount.path),
            MountFrom::Host { path } => (format!("{path} of the host"), &mount.path),
        };
        Some(format!("it writes to {what} at {path}, which two containers must not at once"))
    }
    /// Whether it is on its environment's network too, where other apps find it. Two services of one app must not meet there when the
    /// file keeps them apart, so of an app with networks only the main one is; and it is no way out for one that should have none.
    pub fn meets_other_apps(&self, main: &str) -> bool {
        let has_way_out = self.networks.iter().any(|network| !network.internal);
        self.networks.is_empty() || (self.name == main && has_way_out)
    }
    /// It has done its work when it ends.
    pub fn runs_once(&self) -> bool {
        matches!(self.restart, Restart::No | Restart::OnFailure { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_first() {
        let mount = |from: MountFrom, read_only| StackMount {
            from,
            path: "/data".into(),
            read_only,
        };
        let volume = || MountFrom::Volume { name: "kept".into() };
        let host = || MountFrom::Host { path: "/srv".into() };
        let why = |mounts: Vec<StackMount>, host_network| {
            let mut service = StackService {
                mounts,
                ..StackService::default()
            };
            service.runtime.host_network = host_network;
            service.why_stop_first()
        };
        assert_eq!(why(vec![mount(volume(), true), mount(host(), true)], false), None);
        for (mounts, host_network, words) in [
            (vec![mount(host(), true), mount(volume(), false)], false, "the volume kept at /data"),
            (vec![mount(host(), false)], false, "/srv of the host at /data"),
            (Vec::new(), true, "on the host's network"),
        ] {
            let found = why(mounts, host_network).expect("it stops first");
            assert!(found.contains(words), "{found}");
        }
        let wished = StackService {
            stops_first: true,
            ..StackService::default()
        };
        assert!(wished.why_stop_first().is_some_and(|why| why.contains("stop-first")));
    }

    #[test]
    fn a_service_without_hooks_and_networks_is_written_as_ever() {
        let written = serde_json::to_string(&StackService::default()).expect("it is written");
        for name in ["post_start", "pre_stop", "networks"] {
            assert!(!written.contains(name), "{written}");
        }
        let before: StackService = serde_json::from_str(&written).expect("it is read");
        assert_eq!(before, StackService::default());
        let hook = StackHook {
            command: vec!["true".into()],
            ..StackHook::default()
        };
        let service = StackService {
            pre_stop: vec![hook],
            ..StackService::default()
        };
        let written = serde_json::to_string(&service).expect("it is written");
        assert_eq!(serde_json::from_str::<StackService>(&written).expect("it is read"), service);
    }

    #[test]
    fn who_meets_other_apps() {
        let meets = |name: &str, networks: &[(&str, bool)]| {
            let network = |(name, internal): &(&str, bool)| StackNetwork {
                name: (*name).into(),
                internal: *internal,
                aliases: Vec::new(),
            };
            let service = StackService {
                name: name.into(),
                networks: networks.iter().map(network).collect(),
                ..StackService::default()
            };
            service.meets_other_apps("web")
        };
        assert!(meets("web", &[]) && meets("db", &[]), "without networks all do");
        assert!(meets("web", &[("front", false)]));
        assert!(meets("web", &[("back", true), ("front", false)]));
        assert!(!meets("web", &[("back", true)]), "that would be a way out");
        assert!(!meets("db", &[("front", false)]), "the main one would meet it there");
    }

    #[test]
    fn services_are_held_to_limits() {
        let usual = Limits {
            memory_bytes: 64,
            cpu_millis: 500,
            pids: 10,
        };
        let service = |name: &str, memory_bytes: Option<u64>| StackService {
            name: name.into(),
            limits: StackLimits {
                memory_bytes,
                ..StackLimits::default()
            },
            ..StackService::default()
        };
        let mut stack = Stack {
            services: vec![service("big", Some(100)), service("small", Some(10)), service("usual", None)],
            ..Stack::default()
        };
        let most = StackLimits {
            memory_bytes: Some(64),
            ..StackLimits::default()
        };
        assert_eq!(stack.hold_to(&most, &usual), ["big"]);
        let memory: Vec<u64> = stack.services.iter().map(|one| one.limits.or(&usual).memory_bytes).collect();
        assert_eq!(memory, [64, 10, 64]);
        assert_eq!(stack.services[0].limits.cpu_millis, Some(500), "and nothing else is another");
        assert_eq!(stack.hold_to(&StackLimits::default(), &usual), [""; 0]);
    }
}
