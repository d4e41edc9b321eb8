//! The machine this runs on, as a [`Node`].

use crate::{
    Builder, Exec, ExecControl, Lines, Node, RemoteBuilder,
    build_disk::{self, Makers},
    building,
};
use async_trait::async_trait;
use docker::Docker;
use edge::Edge;
use egress::Egress;
use futures::stream::BoxStream;
use host::{Builds, Host};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;
use types::{
    AppId, BuildSpec, Container, ContainerSpec, ContainerStats, Doing, EdgeConfig, EngineEvent, EngineFacts, EngineStatus, Error, ExecSpec,
    Finding, Image, LogLine, LogQuery, LogStream, MachineFacts, MachineSample, NetworkSpec, Probe, PullPolicy, RegistryLogin, Result,
    SshEngine, Traffic, report,
};

/// Lines of a build that are on their way to its log.
const HEARD: usize = 64;
/// How long a build that went beyond its limits may take to fail by itself and say in which step.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Its engine, itself, and its edge.
pub struct LocalNode {
    docker: Docker,
    host: Host,
    builds: Builds,
    makers: Makers,
    /// The builds that run on other engines, by where those are.
    elsewhere: Mutex<HashMap<String, Arc<Makers>>>,
    edge: Arc<Edge>,
}

impl LocalNode {
    pub fn new(docker: Docker, host: Host, builds: Builds, edge: Arc<Edge>) -> LocalNode {
        LocalNode {
            docker,
            host,
            builds,
            makers: Makers::default(),
            elsewhere: Mutex::default(),
            edge,
        }
    }

    /// Where the engine keeps what it builds, as far as this machine can see it.
    async fn build_folders(&self) -> Vec<PathBuf> {
        self.docker.data_folders().await.unwrap_or_else(|error| {
            tracing::warn!("a build runs without a bound for the disk: {}", report(&error));
            Vec::new()
        })
    }

    /// The ports that should be the edge's.
    fn ports(&self) -> Vec<u16> {
        let bound = self.edge.bound();
        let mut ports: Vec<u16> = bound.http.iter().chain(&bound.https).map(std::net::SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

#[async_trait]
impl ExecControl for docker::ExecControl {
    async fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        docker::ExecControl::resize(self, columns, rows).await
    }
    async fn exit_code(&self) -> Result<Option<i64>> {
        docker::ExecControl::exit_code(self).await
    }
}

#[async_trait]
impl Node for LocalNode {
    async fn engine(&self) -> EngineStatus {
        self.docker.status().await
    }
    fn engine_events(&self) -> BoxStream<'static, EngineEvent> {
        self.docker.events()
    }

    async fn image_find(&self, reference: &str) -> Result<Option<Image>> {
        self.docker.image_find(reference).await
    }
    async fn image_labels(&self, reference: &str) -> Result<BTreeMap<String, String>> {
        self.docker.image_labels(reference).await
    }
    async fn image_pull(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
        policy: PullPolicy,
        egress: &Egress,
        lines: &Lines,
    ) -> Result<Image> {
        self.docker.image_pull(reference, login, policy, egress, lines).await
    }
    async fn image_digest(&self, reference: &str, login: Option<&RegistryLogin>, egress: &Egress) -> Result<String> {
        self.docker.image_digest(reference, login, egress).await
    }
    async fn registry_check(&self, login: &RegistryLogin, egress: &Egress) -> Result<()> {
        self.docker.registry_check(login, egress).await
    }
    /// Waits for its turn, and is held to the limits of builds.
    async fn image_build(&self, spec: &BuildSpec, lines: &Lines) -> Result<Image> {
        let at = self.host.now();
        let permit = self
            .builds
            .enter(async |text| {
                let stream = LogStream::Note;
                let _ = lines.send(LogLine { at, stream, text }).await;
            })
            .await;
        permit.watch_disk(self.build_folders().await);
        let maker = self.makers.enter(spec, self.host.now());
        let (tell, said) = mpsc::channel(HEARD);
        let outgrown = {
            let mut building = pin!(async {
                tokio::join!(
                    async { building::build(&self.docker, spec, &{ tell }).await },
                    maker.listen(said, lines)
                )
                .0
            });
            let mut proving = pin!(build_disk::prove(&self.docker, &self.makers, &maker, &permit));
            tokio::select! {
                built = &mut building => Ok(built),
                never = &mut proving => match never {},
                excess = permit.outgrew_disk() => Err(excess),
                excess = permit.exceeded() => match tokio::time::timeout(LAST_WORDS, &mut building).await {
                    Ok(built) => Ok(built),
                    Err(_) => return Err(permit.failure(excess, None)),
                },
            }
        };
        // Its connection is closed now, so the engine ends it.
        let built = match outgrown {
            Ok(built) => built,
            Err(excess) => {
                // It may have been seen when the image was all but made, which would hold what is to go.
                if let Err(error) = self.docker.image_remove(&spec.tag).await {
                    tracing::warn!("removing what a build that was ended left as {}: {}", spec.tag, report(&error));
                }
                let freed = build_disk::clean(&self.docker, &self.makers, &maker, permit.was_alone()).await;
                return Err(build_disk::failure(excess, &freed));
            }
        };
        built.map_err(|error| match &error {
            Error::Invalid { why, .. } => permit.reason(why).map(|excess| permit.failure(excess, Some(why))).unwrap_or(error),
            _ => error,
        })
    }
    async fn image_remove(&self, id: &str) -> Result<()> {
        self.docker.image_remove(id).await
    }
    async fn engine_facts(&self) -> Result<EngineFacts> {
        self.docker.about().await
    }
    fn builder(&self, at: SshEngine) -> Result<Arc<dyn Builder>> {
        let place = format!("{}:{}{}", at.host, at.port, at.socket);
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        let makers = elsewhere.entry(place).or_default().clone();
        let most_bytes = self.builds.disk().map(|disk| disk.most_bytes);
        Ok(Arc::new(RemoteBuilder::through(at, &self.docker, makers, most_bytes)?))
    }
    async fn host_key(&self, host: &str, port: u16) -> Result<String> {
        docker::ssh_host_key(host, port).await
    }

    async fn network_ensure(&self, spec: &NetworkSpec) -> Result<()> {
        self.docker.network_ensure(spec).await
    }
    async fn network_remove(&self, name: &str) -> Result<()> {
        self.docker.network_remove(name).await
    }
    async fn volume_ensure(&self, name: &str, labels: &[(String, String)]) -> Result<()> {
        self.docker.volume_ensure(name, labels).await
    }
    async fn volume_exists(&self, name: &str) -> Result<bool> {
        self.docker.volume_exists(name).await
    }
    async fn build_cache(&self) -> Result<types::BuildCache> {
        self.docker.build_cache().await
    }
    async fn build_cache_trim(&self, keep: u64) -> Result<u64> {
        self.docker.build_cache_trim(keep).await
    }
    async fn build_cache_records(&self) -> Result<Vec<types::CacheRecord>> {
        self.docker.build_cache_records().await
    }
    async fn build_cache_remove(&self, id: &str) -> Result<u64> {
        self.docker.build_cache_remove(id).await
    }
    async fn volume_bytes(&self, name: &str) -> Result<Option<u64>> {
        let Some(folder) = self.docker.volume_folder(name).await? else {
            return Ok(None);
        };
        // A folder that this process may not read is no failure of the volume.
        let counted = tokio::task::spawn_blocking(move || host::folder_bytes(&folder)).await;
        Ok(counted.doing("measuring a volume")?.ok())
    }
    async fn volume_room(&self, name: &str) -> Result<Option<u64>> {
        let folder = self.docker.volume_folder(name).await?;
        Ok(folder.and_then(|folder| host::free_bytes(&folder).ok()))
    }
    async fn volume_copy(&self, from: &str, to: &str, image: &str) -> Result<u64> {
        self.docker.volume_copy(from, to, image).await
    }
    async fn volume_remove(&self, name: &str) -> Result<()> {
        self.docker.volume_remove(name).await
    }

    async fn containers(&self) -> Result<Vec<Container>> {
        self.docker.containers().await
    }
    async fn container_find(&self, id: &str) -> Result<Option<Container>> {
        self.docker.container_find(id).await
    }
    async fn container_start(&self, spec: &ContainerSpec) -> Result<String> {
        self.docker.container_start(spec).await
    }
    async fn container_run(&self, spec: &ContainerSpec, lines: &Lines) -> Result<types::RunEnd> {
        self.docker.container_run(spec, lines).await
    }
    async fn runs_remove(&self, apps: &[types::AppId]) -> Result<usize> {
        self.docker.runs_remove(|app| apps.contains(app)).await
    }
    async fn container_stop(&self, id: &str, grace: Duration) -> Result<()> {
        self.docker.container_stop(id, grace).await
    }
    async fn container_remove(&self, id: &str) -> Result<()> {
        self.docker.container_remove(id).await
    }
    fn container_logs(&self, id: &str, query: LogQuery) -> BoxStream<'static, Result<LogLine>> {
        self.docker.container_logs(id, query)
    }
    async fn container_stats(&self, id: &str) -> Result<Option<ContainerStats>> {
        self.docker.container_stats(id).await
    }
    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<Exec> {
        let docker::Exec { output, input, control } = self.docker.exec(id, spec).await?;
        Ok(Exec {
            output,
            input,
            control: Box::new(control),
        })
    }
    async fn probe(&self, address: IpAddr, port: u16, probe: &Probe, timeout: Duration) -> Result<()> {
        host::probe(address, port, probe, timeout).await
    }

    fn facts(&self) -> MachineFacts {
        self.host.facts()
    }
    fn addresses(&self) -> Vec<IpAddr> {
        self.host.addresses()
    }
    async fn sample(&self) -> Result<MachineSample> {
        self.host.sample().await
    }
    async fn doctor(&self, authority: Option<&str>) -> Vec<Finding> {
        let engine = self.docker.status().await;
        self.host.doctor(&engine, &self.ports(), authority).await
    }

    async fn edge_apply(&self, config: EdgeConfig) -> Result<()> {
        let edge = self.edge.clone();
        // Reading many certificates takes a while.
        tokio::task::spawn_blocking(move || edge.apply(config))
            .await
            .doing("building the edge")?
    }
    async fn edge_traffic(&self) -> Result<Vec<(Option<AppId>, Traffic)>> {
        Ok(self.edge.traffic())
    }
    async fn edge_uses(&self) -> Result<Vec<types::UpstreamUse>> {
        Ok(self.edge.uses())
    }
    fn edge_wanted(&self) -> BoxStream<'static, AppId> {
        Box::pin(self.edge.wanted())
    }
    async fn edge_report(&self) -> Result<types::EdgeReport> {
        Ok(self.edge.report())
    }
    async fn edge_canaries(&self) -> Result<Vec<types::CanaryReport>> {
        Ok(self.edge.canaries())
    }
    async fn edge_purge(&self, purge: types::Purge) -> Result<u64> {
        Ok(self.edge.purge(&purge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, fs, path::Path};
    use types::{BuildLimits, EdgeLimits, EdgeSettings, World};

    fn node(folder: &Path) -> LocalNode {
        limited_node(folder, BuildLimits::usual(8 << 30))
    }

    fn limited_node(folder: &Path, limits: BuildLimits) -> LocalNode {
        let world = World::system();
        let local = vec!["127.0.0.1:0".parse().expect("it is an address")];
        let settings = EdgeSettings {
            http: local.clone(),
            https: local.clone(),
            panel: local,
            panel_socket: folder.join("panel.sock"),
            access_log: folder.join("access.log"),
            limits: EdgeLimits::default(),
            threads: 1,
        };
        let edge = Edge::start(settings, world.clone()).expect("ports are free");
        let docker = Docker::connect(world.clone()).expect("DOCKER_HOST is right");
        LocalNode::new(
            docker,
            Host::new(folder.to_owned(), world),
            Builds::new(limits, None),
            Arc::new(edge),
        )
    }

    fn spec(folder: &Path) -> BuildSpec {
        let world = World::system();
        BuildSpec {
            tag: format!("serverkit-test-node-{}:1", world.word(6)),
            owner_app: world.id(),
            context: folder.to_owned(),
            dockerfile: "Dockerfile".into(),
            target: None,
            arguments: BTreeMap::new(),
            secrets: BTreeMap::new(),
            logins: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn docker_a_folder_becomes_an_image() {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let node = node(folder.path());
        let context = folder.path().join("app");
        fs::create_dir(&context).expect("it is writable");
        let (lines, _said) = mpsc::channel(1000);
        let spec = spec(&context);
        let error = node.image_build(&spec, &lines).await.expect_err("there is no Dockerfile");
        assert!(error.to_string().contains("Dockerfile"), "{error}");

        fs::write(
            context.join("Dockerfile"),
            "FROM tests/http:latest\nCOPY . /app\nRUN test -e /app/large && test ! -e /app/secret\nEXPOSE 7000\n",
        )
        .expect("it is writable");
        fs::write(context.join(".dockerignore"), "secret\n").expect("it is writable");
        fs::write(context.join("secret"), "x").expect("it is writable");
        fs::write(context.join("large"), vec![7; 5_000_000]).expect("it is writable");
        let image = node.image_build(&spec, &lines).await.expect("it builds");
        assert_eq!(image.ports, [7000, 8080]);
        node.image_remove(&image.id).await.expect("nothing uses it");
        assert_eq!(node.image_find(&image.id).await.expect("the engine answers"), None);

        // It ends before all of the context was read.
        fs::write(context.join("Dockerfile"), "FRUM x\n").expect("it is writable");
        let error = node.image_build(&spec, &lines).await.expect_err("that is no Dockerfile");
        assert!(error.to_string().contains("FRUM"), "{error}");
    }

    /// How a build ends that runs this Python program, and what it printed.
    async fn failed_build(program: &str, limits: BuildLimits) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let node = limited_node(folder.path(), limits);
        let context = folder.path().join("app");
        fs::create_dir(&context).expect("it is writable");
        fs::write(context.join("take.py"), program).expect("it is writable");
        fs::write(
            context.join("Dockerfile"),
            "FROM python:3.11-slim\nCOPY take.py /\nRUN python3 /take.py\n",
        )
        .expect("it is writable");
        let (lines, mut said) = mpsc::channel(100_000);
        let built = tokio::time::timeout(Duration::from_secs(120), node.image_build(&spec(&context), &lines)).await;
        drop(lines);
        let mut log = Vec::new();
        while let Some(line) = said.recv().await {
            log.push(line.text);
        }
        let error = built
            .unwrap_or_else(|_| panic!("it still runs: {log:?}"))
            .expect_err("it takes too much");
        (error.to_string(), log)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn docker_alone_a_build_that_takes_too_much_memory_fails_in_words() {
        let limits = BuildLimits {
            memory_bytes: 700 << 20,
            ..BuildLimits::usual(8 << 30)
        };
        let program = "kept = [b'x' * (64 << 20) for _ in range(128)]";
        let (error, log) = failed_build(program, limits).await;
        assert!(error.contains("the build used more than its 700 MiB of memory"), "{error}\n{log:?}");
        assert!(error.contains("RUN python3"), "it says in which step: {error}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn docker_alone_a_build_that_forks_without_end_fails_in_words() {
        let limits = BuildLimits {
            pids: 333,
            ..BuildLimits::usual(8 << 30)
        };
        // It goes on trying: it ends only from outside.
        let program = "import os, time\nwhile True:\n  try:\n    os.fork()\n  except OSError:\n    time.sleep(0.01)\n";
        let (error, log) = failed_build(program, limits).await;
        assert!(error.contains("the build started more than its 333 processes"), "{error}\n{log:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn docker_a_volume_has_a_size() {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let node = node(folder.path());
        let name = format!("serverkit-test-node-{}", World::system().word(6));
        assert_eq!(node.volume_bytes(&name).await.expect("the engine answers"), None);
        node.volume_ensure(&name, &[]).await.expect("it is made");
        let bytes = node.volume_bytes(&name).await.expect("the engine answers");
        node.volume_remove(&name).await.expect("it goes");
        assert!(bytes.is_some_and(|bytes| bytes < 1 << 20), "{bytes:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn its_own_ports_are_no_problem() {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let node = node(folder.path());
        assert_eq!(node.ports().len(), 2);
        assert!(node.edge_apply(EdgeConfig::default()).await.is_ok());
        assert!(node.edge_traffic().await.is_ok());
    }
}
