//! From the store and what was last seen of the engine to the edge's configuration: computed whole, applied whole.

use crate::{ground::Ground, observed::Observed};
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Mutex,
};
use types::{
    App, AppId, Container, DesiredState, EdgeCertificate, EdgeConfig, EngineStatus, Host, Release, ReleaseId, Result, Route, Target,
    Upstream,
};

/// What routes need beyond the store: what was applied last, and answers to ACME challenges.
#[derive(Default)]
pub(crate) struct Routing {
    applied: tokio::sync::Mutex<Option<EdgeConfig>>,
    challenges: Mutex<BTreeMap<String, String>>,
    /// Releases that have their route already and are about to be recorded as live.
    ahead: Mutex<HashMap<AppId, ReleaseId>>,
}

impl Routing {
    pub fn publish_challenge(&self, token: &str, answer: &str) {
        self.challenges
            .lock()
            .expect("no panic while held")
            .insert(token.to_owned(), answer.to_owned());
    }
    pub fn withdraw_challenge(&self, token: &str) {
        self.challenges.lock().expect("no panic while held").remove(token);
    }
    fn ahead_of_record(&self, app: &AppId, release: &ReleaseId) {
        let mut ahead = self.ahead.lock().expect("no panic while held");
        ahead.insert(app.clone(), release.clone());
    }
    /// The record says it now, or never will.
    pub fn recorded(&self, app: &AppId) {
        self.ahead.lock().expect("no panic while held").remove(app);
    }
}

/// Sends an app's requests to a release before it is recorded as live, so that who reads `live` finds it serving.
/// [`Routing::recorded`] ends it.
pub(crate) async fn go_ahead(ground: &Ground, app: &AppId, release: &ReleaseId) -> Result<()> {
    crate::containers::look(ground).await?;
    ground.routing.ahead_of_record(app, release);
    apply(ground).await
}

/// Computes the configuration and applies it if it changed.
pub(crate) async fn apply(ground: &Ground) -> Result<()> {
    let mut applied = ground.routing.applied.lock().await;
    let config = compute(ground)?;
    if applied.as_ref() != Some(&config) {
        ground.node.edge_apply(config.clone()).await?;
        *applied = Some(config);
    }
    Ok(())
}

fn compute(ground: &Ground) -> Result<EdgeConfig> {
    let store = &ground.store;
    let observed = ground.observed.load();
    let apps: HashMap<AppId, App> = store
        .apps
        .list()?
        .into_iter()
        .map(|stored| (stored.id.clone(), stored.value))
        .collect();
    let ahead = ground.routing.ahead.lock().expect("no panic while held").clone();
    let mut config = EdgeConfig {
        challenges: ground.routing.challenges.lock().expect("no panic while held").clone(),
        ..EdgeConfig::default()
    };
    for domain in store.domains.list()? {
        let Some(app) = apps.get(&domain.app).filter(|app| app.trashed_at.is_none()) else {
            continue;
        };
        let release = match ahead.get(&app.id).or(app.release.as_ref()) {
            Some(id) => crate::releases::find(ground, id)?,
            None => None,
        };
        let route = Route {
            app: Some(app.id.clone()),
            name: app.name.to_string(),
            force_https: domain.force_https,
            target: target(app, release.as_ref(), &observed),
        };
        config.routes.insert(domain.host.clone(), route);
    }
    if let Some(host) = ground.settings()?.panel_domain {
        config.routes.insert(
            host,
            Route {
                app: None,
                name: "panel".into(),
                force_https: true,
                target: Target::Panel,
            },
        );
    }
    for certificate in store.certificates.list()? {
        let wanted = config.routes.contains_key(&certificate.host) || certificate.host == default_host();
        if let (true, false, Some(key)) = (wanted, certificate.chain_pem.is_empty(), &certificate.key) {
            let entry = EdgeCertificate {
                chain_pem: certificate.chain_pem.clone(),
                key_pem: store.unseal(key)?,
            };
            config.certificates.insert(certificate.host.clone(), entry);
        }
    }
    Ok(config)
}

/// The host of the certificate that serves where no other fits: bare addresses, the panel's port.
pub(crate) fn default_host() -> Host {
    "localhost".parse().expect("a literal host parses")
}

/// Where requests of an app go.
fn target(app: &App, release: Option<&Release>, observed: &Observed) -> Target {
    let Some(release) = release else {
        return match app.last_deployment {
            Some(_) => Target::Starting,
            None => Target::Down {
                why: "it has not been deployed yet".into(),
            },
        };
    };
    if app.desired == DesiredState::Stopped {
        return Target::Down {
            why: "it is stopped".into(),
        };
    }
    let upstreams: Vec<Upstream> = observed
        .containers
        .iter()
        .filter(|container| container.owner.app == app.id && container.owner.release == release.id)
        .filter_map(|container| upstream(container, release.port))
        .collect();
    if !upstreams.is_empty() {
        return Target::Upstreams(upstreams);
    }
    match (&observed.engine, observed.container(&release.id)) {
        (Some(EngineStatus::Down { .. }), _) => Target::Down {
            why: "its server's Docker engine does not answer".into(),
        },
        (_, Some(container)) if !matches!(container.state, types::ContainerState::Created) => Target::Down {
            why: container.state.words(),
        },
        _ => Target::Starting,
    }
}

/// Where a running container listens.
pub(crate) fn upstream(container: &Container, port: u16) -> Option<Upstream> {
    let address = container.address.filter(|_| container.state.is_running())?;
    Some(Upstream {
        address: SocketAddr::new(address, port),
    })
}
