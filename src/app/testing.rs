//! For this crate's own tests: a panel on a real store in a temporary folder, with an engine that exists in memory only
//! and does as it is told.

use crate::{Options, ground::Ground};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use node::{Egress, Exec, Lines, Node, RegistryLogin};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{Batch, Store};
use telemetry::{LogStore, Metrics, Redactor};
use types::*;

/// What the engine should do.
#[derive(Default)]
pub struct Orders {
    /// Probes fail with this.
    pub unhealthy: Option<String>,
    /// New containers exit with this code.
    pub exit: Option<i64>,
    pub engine_down: bool,
    /// Getting an image never ends, and what is run once goes on until somebody stops it.
    pub hang: bool,
    /// What the registry has under every tag; what is pulled has it too.
    pub digest: Option<String>,
    /// Ids of images that somebody took off the engine; pulled by its digest, one is there again.
    pub gone: BTreeSet<String>,
    /// It wants to be left alone so long.
    pub registry_rests: Option<u64>,
    /// How often it was asked.
    pub digests_asked: u32,
    /// The edge takes its time to take a configuration.
    pub slow_edge: bool,
    /// How often more it says that a volume is in use.
    pub volume_in_use: u32,
    /// How often more a container that is removed is still there.
    pub removal_under_way: u32,
    /// What each volume takes.
    pub volume_bytes: Option<u64>,
    /// How the canaries of the edge do.
    pub canaries: Vec<CanaryReport>,
    /// Bytes that the edge has sent for apps.
    pub sent: HashMap<AppId, u64>,
}

#[derive(Default)]
pub struct FakeNode {
    pub orders: Mutex<Orders>,
    pub containers: Mutex<HashMap<String, Container>>,
    pub edge: Mutex<EdgeConfig>,
    pub volumes: Mutex<Vec<String>>,
    pub networks: Mutex<BTreeSet<String>>,
    pub removed_images: Mutex<Vec<String>>,
    made: Mutex<u8>,
    /// What was stopped.
    stopped: Mutex<Vec<String>>,
}

impl FakeNode {
    fn check(&self) -> Result<()> {
        if self.orders.lock().expect("test").engine_down {
            Err(Error::unavailable("the engine does not answer"))
        } else {
            Ok(())
        }
    }
    /// Names of running containers, in order.
    pub fn running(&self) -> Vec<String> {
        let containers = self.containers.lock().expect("test");
        let mut names: Vec<_> = containers
            .values()
            .filter(|c| c.state.is_running())
            .map(|c| c.name.clone())
            .collect();
        names.sort();
        names
    }
    pub fn target_of(&self, host: &str) -> Option<Target> {
        self.edge
            .lock()
            .expect("test")
            .routes
            .get(&host.parse().expect("a host"))
            .map(|route| route.target.clone())
    }
}

#[async_trait]
impl Node for FakeNode {
    async fn engine(&self) -> EngineStatus {
        match self.check() {
            Ok(()) => EngineStatus::Up {
                version: "test".into(),
                api_version: "1.51".into(),
            },
            Err(error) => EngineStatus::Down {
                why: error.to_string(),
                fix: "start it".into(),
            },
        }
    }
    fn engine_events(&self) -> BoxStream<'static, EngineEvent> {
        futures::stream::pending().boxed()
    }
    async fn image_find(&self, reference: &str) -> Result<Option<Image>> {
        if self.orders.lock().expect("test").gone.contains(reference) {
            return Ok(None);
        }
        Ok(Some(Image {
            id: format!("sha256:{reference}"),
            digest: None,
            ports: vec![80],
            bytes: 1,
        }))
    }
    async fn image_pull(&self, reference: &str, _: Option<&RegistryLogin>, _: PullPolicy, _: &Egress, _: &Lines) -> Result<Image> {
        self.check()?;
        if self.orders.lock().expect("test").hang {
            std::future::pending::<()>().await;
        }
        let exact = reference.split_once('@').map(|(name, _)| format!("sha256:{name}"));
        let was_gone = exact.filter(|id| self.orders.lock().expect("test").gone.remove(id));
        Ok(Image {
            id: was_gone.unwrap_or_else(|| format!("sha256:{reference}")),
            digest: self
                .orders
                .lock()
                .expect("test")
                .digest
                .as_ref()
                .map(|digest| format!("{reference}@{digest}")),
            ports: vec![80],
            bytes: 1,
        })
    }
    async fn image_digest(&self, _: &str, _: Option<&RegistryLogin>, _: &Egress) -> Result<String> {
        let mut orders = self.orders.lock().expect("test");
        orders.digests_asked += 1;
        match (&orders.registry_rests, &orders.digest) {
            (Some(seconds), _) => Err(Error::Throttled { seconds: *seconds }),
            (None, Some(digest)) => Ok(digest.clone()),
            (None, None) => Err(Error::unavailable("there is no registry")),
        }
    }
    async fn registry_check(&self, login: &RegistryLogin, _: &Egress) -> Result<()> {
        match login.password.expose() {
            b"wrong" => Err(Error::invalid("password", "the registry does not take this user and password")),
            _ => Ok(()),
        }
    }
    async fn image_build(&self, spec: &BuildSpec, _: &Lines) -> Result<Image> {
        Ok(Image {
            id: format!("sha256:{}", spec.tag),
            digest: None,
            ports: vec![80],
            bytes: 1,
        })
    }
    async fn image_labels(&self, _: &str) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }
    async fn engine_facts(&self) -> Result<types::EngineFacts> {
        Ok(types::EngineFacts::default())
    }
    async fn image_remove(&self, id: &str) -> Result<()> {
        self.removed_images.lock().expect("test").push(id.to_owned());
        Ok(())
    }
    async fn network_ensure(&self, spec: &NetworkSpec) -> Result<()> {
        self.networks.lock().expect("test").insert(spec.name.clone());
        self.check()
    }
    async fn network_remove(&self, name: &str) -> Result<()> {
        self.networks.lock().expect("test").remove(name);
        self.check()
    }
    async fn volume_ensure(&self, name: &str, _: &[(String, String)]) -> Result<()> {
        self.volumes.lock().expect("test").push(name.to_owned());
        Ok(())
    }
    async fn volume_exists(&self, name: &str) -> Result<bool> {
        Ok(self.volumes.lock().expect("test").iter().any(|volume| volume == name))
    }
    async fn build_cache(&self) -> Result<types::BuildCache> {
        Ok(types::BuildCache::default())
    }
    async fn build_cache_trim(&self, _: u64) -> Result<u64> {
        Ok(0)
    }
    async fn build_cache_records(&self) -> Result<Vec<types::CacheRecord>> {
        Ok(Vec::new())
    }
    async fn build_cache_remove(&self, _: &str) -> Result<u64> {
        Ok(0)
    }
    async fn volume_bytes(&self, _: &str) -> Result<Option<u64>> {
        Ok(self.orders.lock().expect("test").volume_bytes)
    }
    async fn volume_room(&self, _: &str) -> Result<Option<u64>> {
        Ok(None)
    }
    async fn volume_copy(&self, _: &str, _: &str, _: &str) -> Result<u64> {
        Ok(0)
    }
    async fn volume_remove(&self, name: &str) -> Result<()> {
        let orders = &mut self.orders.lock().expect("test");
        if orders.volume_in_use > 0 {
            orders.volume_in_use -= 1;
            return Err(Error::busy("volume is in use"));
        }
        self.volumes.lock().expect("test").retain(|volume| volume != name);
        Ok(())
    }
    async fn containers(&self) -> Result<Vec<Container>> {
        self.check()?;
        Ok(self.containers.lock().expect("test").values().cloned().collect())
    }
    async fn container_find(&self, id: &str) -> Result<Option<Container>> {
        Ok(self.containers.lock().expect("test").get(id).cloned())
    }
    async fn container_start(&self, spec: &ContainerSpec) -> Result<String> {
        self.check()?;
        if self.orders.lock().expect("test").gone.contains(&spec.image) {
            return Err(Error::not_found(types::Kind::Image, &spec.image));
        }
        let exit = self.orders.lock().expect("test").exit;
        let state = exit.map_or(ContainerState::Running, |code| ContainerState::Exited {
            code,
            out_of_memory: false,
        });
        let mut made = self.made.lock().expect("test");
        *made += 1;
        let container = Container {
            id: spec.name.clone(),
            name: spec.name.clone(),
            owner: spec.owner.clone(),
            image: spec.image.clone(),
            state,
            address: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, *made))),
            created_at: Time(0),
            started_at: None,
            restarts: 0,
            health: spec.service.as_ref().and_then(|service| match service.health {
                StackHealth::Check(_) => Some(EngineHealth::Healthy),
                _ => None,
            }),
        };
        self.containers.lock().expect("test").insert(spec.name.clone(), container);
        Ok(spec.name.clone())
    }
    async fn container_run(&self, spec: &ContainerSpec, _: &Lines) -> Result<RunEnd> {
        if self.orders.lock().expect("test").gone.contains(&spec.image) {
            return Err(Error::not_found(types::Kind::Image, &spec.image));
        }
        let is_stopped = || self.stopped.lock().expect("test").contains(&spec.name);
        let hangs = self.orders.lock().expect("test").hang;
        while hangs && !is_stopped() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(RunEnd {
            code: 0,
            out_of_memory: false,
        })
    }
    async fn runs_remove(&self, _: &[AppId]) -> Result<usize> {
        Ok(0)
    }
    async fn container_stop(&self, id: &str, _: Duration) -> Result<()> {
        self.stopped.lock().expect("test").push(id.to_owned());
        if let Some(container) = self.containers.lock().expect("test").get_mut(id) {
            container.state = ContainerState::Exited {
                code: 0,
                out_of_memory: false,
            };
        }
        Ok(())
    }
    async fn container_remove(&self, id: &str) -> Result<()> {
        let orders = &mut self.orders.lock().expect("test");
        if orders.removal_under_way > 0 {
            orders.removal_under_way -= 1;
            return Ok(());
        }
        self.containers.lock().expect("test").remove(id);
        Ok(())
    }
    fn container_logs(&self, _: &str, _: LogQuery) -> BoxStream<'static, Result<LogLine>> {
        futures::stream::empty().boxed()
    }
    async fn container_stats(&self, _: &str) -> Result<Option<ContainerStats>> {
        Ok(None)
    }
    async fn exec(&self, _: &str, _: &ExecSpec) -> Result<Exec> {
        Err(Error::unavailable("this engine runs no commands"))
    }
    async fn probe(&self, _: IpAddr, _: u16, _: &Probe, _: Duration) -> Result<()> {
        match &self.orders.lock().expect("test").unhealthy {
            Some(why) => Err(Error::unavailable(why.clone())),
            None => Ok(()),
        }
    }
    fn facts(&self) -> MachineFacts {
        MachineFacts {
            hostname: "test".into(),
            ..MachineFacts::default()
        }
    }
    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }
    async fn sample(&self) -> Result<MachineSample> {
        Ok(MachineSample::default())
    }
    async fn doctor(&self, _: Option<&str>) -> Vec<Finding> {
        Vec::new()
    }
    async fn edge_apply(&self, config: EdgeConfig) -> Result<()> {
        let slow = self.orders.lock().expect("test").slow_edge;
        if slow {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        *self.edge.lock().expect("test") = config;
        Ok(())
    }
    async fn edge_traffic(&self) -> Result<Vec<(Option<AppId>, Traffic)>> {
        let orders = self.orders.lock().expect("test");
        let counted = |(app, bytes): (&AppId, &u64)| {
            let traffic = Traffic {
                bytes_out: *bytes,
                ..Traffic::default()
            };
            (Some(app.clone()), traffic)
        };
        Ok(orders.sent.iter().map(counted).collect())
    }
    async fn edge_canaries(&self) -> Result<Vec<CanaryReport>> {
        Ok(self.orders.lock().expect("test").canaries.clone())
    }
}

/// A panel's ground with an organization, a project and an environment.
pub struct Bench {
    pub ground: Arc<Ground>,
    pub node: Arc<FakeNode>,
    pub owner: Actor,
    _folder: Arc<tempfile::TempDir>,
}

impl Bench {
    pub async fn new() -> Bench {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        Bench::open(folder, Arc::new(FakeNode::default())).await
    }

    /// The owner of another organization, which does not run the panel.
    pub async fn stranger(&self, name: &str) -> Actor {
        let ground = &self.ground;
        let name = name.parse().expect("a name");
        let (organization, batch) = crate::organizations::founded(&ground.world, name, false).expect("made");
        ground.store.commit(batch).await.expect("saved");
        Actor {
            hosts: false,
            ..Actor::system(organization.id)
        }
    }

    /// As after a crash: the same folder and engine, everything else new.
    pub async fn again(self) -> Bench {
        let Bench { ground, node, _folder, .. } = self;
        ground.running.stop_for_test();
        ground.store.close().await;
        drop(ground);
        Bench::open(_folder, node).await
    }

    async fn open(folder: Arc<tempfile::TempDir>, node: Arc<FakeNode>) -> Bench {
        let world = World::system();
        let store = Store::open(folder.path(), world.clone()).expect("opens");
        let organization = match store.organizations.list().expect("lists").first() {
            Some(organization) => organization.id.clone(),
            None => seed(&store, &world).await,
        };
        let redactor = Redactor::default();
        let ground = Arc::new(Ground {
            logs: LogStore::open(&folder.path().join("logs"), redactor.clone()).expect("opens"),
            events: crate::Events::new(store.clone(), world.clone()),
            store,
            world,
            node: node.clone(),
            metrics: Metrics::new(),
            redactor,
            options: Options {
                data: folder.path().to_owned(),
                http_port: 80,
                https_port: 443,
                panel_port: 9443,
                network_range: "10.201.0.0/16".parse().expect("a range"),
                apps_domain: Some("localhost".parse().expect("a host")),
                acme_directory: None,
                acme_ca_pem: None,
                release_key: None,
                dns_servers: vec![],
                build_cache_bytes: None,
                build_floor: Default::default(),
                breached_passwords: None,
                open_networks: vec![],
            },
            observed: Default::default(),
            last_sample: Default::default(),
            routing: Default::default(),
            running: Default::default(),
            retiring: Default::default(),
            sleeping: Default::default(),
            forges: Default::default(),
            job_runs: Default::default(),
            registries_asked: Default::default(),
            drafts: Default::default(),
            quota_gate: Default::default(),
            domain_gate: Default::default(),
            wakes: Default::default(),
        });
        Bench {
            ground,
            node,
            owner: Actor::system(organization),
            _folder: folder,
        }
    }
}

async fn seed(store: &Store, world: &World) -> OrganizationId {
    let created_at = world.now();
    let organization = Organization {
        id: world.id(),
        name: "default".parse().expect("a name"),
        created_at,
        hosts: true,
        removing: false,
    };
    let project = Project {
        id: world.id(),
        organization: organization.id.clone(),
        name: "default".parse().expect("a name"),
        description: String::new(),
        created_at,
    };
    let environment = Environment {
        id: world.id(),
        organization: organization.id.clone(),
        project: project.id.clone(),
        name: "production".parse().expect("a name"),
        created_at,
    };
    let id = organization.id.clone();
    store
        .commit(Batch::new().insert(organization).insert(project).insert(environment))
        .await
        .expect("saved");
    id
}
