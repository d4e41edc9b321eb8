//! One interface to a server, near or far: its engine, the machine itself, and its edge.
//!
//! `app` speaks only to [`Node`]. The panel's own machine is [`LocalNode`]; an agent on another machine will be a
//! second implementation. Everything here may be called again after a crash: what exists already is left as it is.

mod build_disk;
mod building;
mod local;
mod remote;
mod remote_disk;

pub use egress::Egress;
pub use local::LocalNode;
pub use remote::RemoteBuilder;
pub use types::RegistryLogin;

use async_trait::async_trait;
use futures::stream::BoxStream;
use std::{collections::BTreeMap, net::IpAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use types::{
    AppId, BuildCache, BuildSpec, CacheRecord, Container, ContainerSpec, ContainerStats, EdgeConfig, EngineEvent, EngineFacts,
    EngineStatus, Error, ExecSpec, Finding, Image, LogLine, LogQuery, MachineFacts, MachineSample, NetworkSpec, Probe, PullPolicy, Result,
    RunEnd, SshEngine, Traffic,
};

/// Where a long step sends what it prints. A full channel slows the step down, a closed one does not stop it.
pub type Lines = mpsc::Sender<LogLine>;

/// A running command in a container. Dropping it closes the command's input.
pub struct Exec {
    pub output: Pin<Box<dyn AsyncRead + Send>>,
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    pub control: Box<dyn ExecControl>,
}

/// Beside the streams of an [`Exec`].
#[async_trait]
pub trait ExecControl: Send + Sync {
    async fn resize(&self, columns: u16, rows: u16) -> Result<()>;
    /// `None` while it runs.
    async fn exit_code(&self) -> Result<Option<i64>>;
}

/// An engine on another machine that builds for a node and runs nothing of it. Every method fails with `Unavailable` when it
/// cannot be reached.
#[async_trait]
pub trait Builder: Send + Sync {
    async fn facts(&self) -> Result<EngineFacts>;
    /// As on [`Node`].
    async fn image_pull(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
        policy: PullPolicy,
        egress: &Egress,
        lines: &Lines,
    ) -> Result<Image>;
    async fn image_labels(&self, reference: &str) -> Result<BTreeMap<String, String>>;
    /// Builds as a node does, but nothing there is held to the limits of builds; then moves the image to the node's own engine and
    /// takes it away from there. Dropping the future cancels it. `Invalid { field: "build" }` as on [`Node`].
    async fn image_build(&self, spec: &BuildSpec, lines: &Lines) -> Result<Image>;
    async fn build_cache(&self) -> Result<BuildCache>;
    async fn build_cache_trim(&self, keep: u64) -> Result<u64>;
    async fn build_cache_records(&self) -> Result<Vec<CacheRecord>>;
    async fn build_cache_remove(&self, id: &str) -> Result<u64>;
}

/// A server. Every method fails with `Unavailable` when what it needs does not answer.
#[async_trait]
pub trait Node: Send + Sync {
    // the engine
    async fn engine(&self) -> EngineStatus;
    /// Never ends; it reconnects by itself and says so. Ends only when dropped.
    fn engine_events(&self) -> BoxStream<'static, EngineEvent>;

    async fn image_find(&self, reference: &str) -> Result<Option<Image>>;
    /// What it is labelled with; `NotFound` when the engine has it not.
    async fn image_labels(&self, reference: &str) -> Result<BTreeMap<String, String>>;
    /// Pulls it unless the engine has it. `Always` asks the registry even then, and keeps what is there if it does not answer.
    /// `egress`: of whom it is for. Who may not go everywhere is not told why a registry failed.
    async fn image_pull(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
        policy: PullPolicy,
        egress: &Egress,
        lines: &Lines,
    ) -> Result<Image>;
    /// What the registry has under the reference's tag now: `sha256:…`. Fails with `Throttled` when the registry wants to be left
    /// alone for a while. `egress`: how far the registry may lead.
    async fn image_digest(&self, reference: &str, login: Option<&RegistryLogin>, egress: &Egress) -> Result<String>;
    /// Whether the registry takes this login; `Invalid { field: "password" }` when not.
    async fn registry_check(&self, login: &RegistryLogin, egress: &Egress) -> Result<()>;
    /// Builds with BuildKit. Dropping the future cancels the build. Fails with `Invalid { field: "build" }` when the
    /// Dockerfile's own steps fail, with the last lines in `why`.
    async fn image_build(&self, spec: &BuildSpec, lines: &Lines) -> Result<Image>;
    async fn image_remove(&self, id: &str) -> Result<()>;
    async fn engine_facts(&self) -> Result<EngineFacts>;
    /// Another engine that builds for this one. Nothing is sent yet.
    fn builder(&self, at: SshEngine) -> Result<Arc<dyn Builder>> {
        Err(Error::unavailable(format!("this server reaches no engine at {}", at.host)))
    }
    /// The key that an sshd shows now: `SHA256:…`. Nobody signs in.
    async fn host_key(&self, host: &str, port: u16) -> Result<String> {
        let _ = port;
        Err(Error::unavailable(format!("this server does not reach {host}")))
    }
    async fn build_cache(&self) -> Result<BuildCache>;
    /// Throws away what was not used for the longest time, until `keep` bytes are left. Answers the bytes that came free.
    async fn build_cache_trim(&self, keep: u64) -> Result<u64>;
    async fn build_cache_records(&self) -> Result<Vec<CacheRecord>>;
    /// Throws away one of these, unless a build uses it. Answers the bytes that came free.
    async fn build_cache_remove(&self, id: &str) -> Result<u64>;

    /// Makes the network, or checks that the one with its name has its subnet.
    async fn network_ensure(&self, spec: &NetworkSpec) -> Result<()>;
    async fn network_remove(&self, name: &str) -> Result<()>;
    async fn volume_ensure(&self, name: &str, labels: &[(String, String)]) -> Result<()>;
    async fn volume_exists(&self, name: &str) -> Result<bool>;
    async fn volume_bytes(&self, name: &str) -> Result<Option<u64>>;
    /// What the disk that it lies on has left; `None` when there is no such volume or nobody can say.
    async fn volume_room(&self, name: &str) -> Result<Option<u64>>;
    /// Copies what is in `from` into `to`, through containers of `image` that are never started. Answers the bytes that went over.
    async fn volume_copy(&self, from: &str, to: &str, image: &str) -> Result<u64>;
    async fn volume_remove(&self, name: &str) -> Result<()>;

    /// All of ours, running or not.
    async fn containers(&self) -> Result<Vec<Container>>;
    async fn container_find(&self, id: &str) -> Result<Option<Container>>;
    /// Makes it and starts it; one with its name that is already there is started. Answers its id.
    async fn container_start(&self, spec: &ContainerSpec) -> Result<String>;
    /// Makes a container that does one thing, hands on what it prints, waits for its end and removes it. Dropping the future
    /// removes it too.
    async fn container_run(&self, spec: &ContainerSpec, lines: &Lines) -> Result<RunEnd>;
    /// Removes what a crash left of such runs once they have ended, of the apps that are in `apps`.
    async fn runs_remove(&self, apps: &[AppId]) -> Result<usize>;
    /// Sends the image's stop signal, and kills it after `grace`.
    async fn container_stop(&self, id: &str, grace: Duration) -> Result<()>;
    /// Removes it with its anonymous volumes, never named ones. Gone already is fine.
    async fn container_remove(&self, id: &str) -> Result<()>;
    fn container_logs(&self, id: &str, query: LogQuery) -> BoxStream<'static, Result<LogLine>>;
    /// `None` when it does not run.
    async fn container_stats(&self, id: &str) -> Result<Option<ContainerStats>>;
    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<Exec>;
    /// One try, made from the machine over the network. `Err(Unavailable)` says in words why it is not healthy.
    async fn probe(&self, address: IpAddr, port: u16, probe: &Probe, timeout: Duration) -> Result<()>;

    // the machine
    fn facts(&self) -> MachineFacts;
    /// Addresses of its interfaces, without loopback, link-local ones and bridges.
    fn addresses(&self) -> Vec<IpAddr>;
    async fn sample(&self) -> Result<MachineSample>;
    /// `authority`: the host that certificates come from, if it has a name.
    async fn doctor(&self, authority: Option<&str>) -> Vec<Finding>;

    // the edge
    /// Builds it whole, then swaps it in; on failure the old one stays and the error names the route or certificate.
    async fn edge_apply(&self, config: EdgeConfig) -> Result<()>;
    /// By app; the panel itself is `None`.
    async fn edge_traffic(&self) -> Result<Vec<(Option<types::AppId>, Traffic)>>;
    /// How much each upstream is used, also after it has left the configuration.
    async fn edge_uses(&self) -> Result<Vec<types::UpstreamUse>> {
        Ok(Vec::new())
    }
    /// Apps that the edge has requests for and that sleep, each again and again until it is awake. Never ends.
    fn edge_wanted(&self) -> BoxStream<'static, AppId> {
        Box::pin(futures::stream::pending())
    }
    /// Traffic by domain, limits, upstreams, canaries, ports, cache.
    async fn edge_report(&self) -> Result<types::EdgeReport> {
        Ok(types::EdgeReport::default())
    }
    /// How the canaries that are in its table do.
    async fn edge_canaries(&self) -> Result<Vec<types::CanaryReport>> {
        Ok(Vec::new())
    }
    /// Throws kept answers away; returns how many.
    async fn edge_purge(&self, purge: types::Purge) -> Result<u64> {
        let _ = purge;
        Ok(0)
    }
}
