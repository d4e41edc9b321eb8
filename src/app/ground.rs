//! What every service stands on: the store, the world, the node, and what was last seen of it.

use crate::{
    containers::Retiring, deployer::Running, drafts::Drafts, events::Events, forges::access::Known, image_watcher::Asked,
    job_runs::RunsUnderWay, observed::Observed, organizations, quotas::BuildFloor, routing::Routing, sleeping::Sleeping,
};
use arc_swap::ArcSwap;
use egress::{Bounds, Egress, Proxies};
use ipnet::IpNet;
use jobs::Wake;
use node::Node;
use std::{path::PathBuf, sync::Arc};
use store::Store;
use telemetry::{LogStore, Metrics, Redactor};
use types::{Host, OrganizationId, World};

/// What is fixed while the panel runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the panel keeps its state; work folders are made below it.
    pub data: PathBuf,
    /// As the world sees them: for addresses that people click.
    pub http_port: u16,
    pub https_port: u16,
    pub panel_port: u16,
    /// Networks of environments are cut from it, a `/24` each.
    pub network_range: IpNet,
    /// Apps get a name under it when the settings name no other domain (`localhost` with `--dev`).
    pub apps_domain: Option<Host>,
    /// In place of the setting, when given on the command line or in the configuration.
    pub acme_directory: Option<url::Url>,
    pub acme_ca_pem: Option<String>,
    /// Who signs new versions of the program: the public key of minisign, in base64.
    pub release_key: Option<String>,
    /// Asked whether an order would work, when the settings name none; empty: public ones.
    pub dns_servers: Vec<std::net::SocketAddr>,
    /// What the engine may keep of builds; `None`: a share of the disk.
    pub build_cache_bytes: Option<u64>,
    /// What the server must have left when a build begins.
    pub build_floor: BuildFloor,
    /// A list of passwords that nobody may choose, as a file or a folder; `None`: none is looked through.
    pub breached_passwords: Option<PathBuf>,
    /// Inner networks in which every organization may name addresses.
    pub open_networks: Vec<IpNet>,
}

/// Wakes the loops that close gaps.
#[derive(Default)]
pub(crate) struct Wakes {
    pub reconcile: Wake,
    pub deploy: Wake,
    pub certificates: Wake,
    pub mail: Wake,
    pub forge_reports: Wake,
    pub hooks: Wake,
    pub quotas: Wake,
    pub previews: Wake,
    pub clones: Wake,
    pub ci_keys: Wake,
}

pub(crate) struct Ground {
    pub store: Store,
    pub world: World,
    pub node: Arc<dyn Node>,
    pub logs: LogStore,
    pub metrics: Metrics,
    pub redactor: Redactor,
    pub options: Options,
    pub events: Events,
    pub observed: ArcSwap<Observed>,
    pub last_sample: ArcSwap<Option<types::MachineSample>>,
    pub routing: Routing,
    pub running: Running,
    pub retiring: Retiring,
    pub sleeping: Sleeping,
    pub forges: Known,
    pub job_runs: RunsUnderWay,
    pub registries_asked: Asked,
    pub drafts: Drafts,
    /// Held while what quotas count becomes more; see [`crate::quotas::gate`].
    pub quota_gate: tokio::sync::Mutex<()>,
    /// Held while a name is taken; see [`crate::domain_claims::gate`].
    pub domain_gate: tokio::sync::Mutex<()>,
    pub wakes: Wakes,
}

impl Ground {
    /// Where people reach the panel: by its domain, else by an address of this machine.
    pub fn panel_address(&self) -> types::Result<String> {
        if let Some(host) = &self.settings()?.panel_domain {
            return Ok(self.url_of(host));
        }
        let address = self
            .node
            .addresses()
            .first()
            .map_or_else(|| "127.0.0.1".into(), ToString::to_string);
        let bare = if address.contains(':') { format!("[{address}]") } else { address };
        Ok(format!("https://{bare}:{}", self.options.panel_port))
    }
    pub fn wake_reconcile(&self) {
        self.wakes.reconcile.wake();
    }
    pub fn wake_deploy(&self) {
        self.wakes.deploy.wake();
    }
    pub fn wake_forge_reports(&self) {
        self.wakes.forge_reports.wake();
    }
    pub fn wake_certificates(&self) {
        self.wakes.certificates.wake();
    }
    /// The settings, or the defaults on a fresh panel.
    pub fn settings(&self) -> types::Result<types::Settings> {
        Ok(self
            .store
            .settings
            .list()?
            .into_iter()
            .next()
            .map(|stored| stored.value)
            .unwrap_or_default())
    }
    /// How far addresses may lead that somebody in the organization names: only who runs the panel reaches what is inside.
    pub fn egress(&self, organization: &OrganizationId) -> types::Result<Egress> {
        if organizations::runs_the_panel(&self.store, organization)? {
            return Ok(Egress::Anywhere);
        }
        let mut own = self.settings()?.certificates.public_addresses;
        own.extend(self.node.addresses());
        Ok(Egress::public(Bounds {
            own,
            open: self.options.open_networks.clone(),
            proxies: Proxies::of_environment(),
            ..Bounds::default()
        }))
    }
    /// The domain under which new apps get a name.
    pub fn apps_domain(&self) -> types::Result<Option<Host>> {
        Ok(self.settings()?.apps_domain.or_else(|| self.options.apps_domain.clone()))
    }
    /// `https://HOST`, with the port when it is not 443.
    pub fn url_of(&self, host: impl std::fmt::Display) -> String {
        let mut host = host.to_string();
        if host.contains(':') {
            host = format!("[{host}]");
        }
        match self.options.https_port {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        }
    }
}
