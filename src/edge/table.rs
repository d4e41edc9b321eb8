//! A configuration, built: every certificate parsed, every host ready to be found.

use crate::{
    tls::Certificates,
    traffic::{Counters, Ledger},
    upstream::{Backend, Backends, Place},
};
use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use types::{EdgeConfig, Error, Origin, Result, Route, Target};

/// One route. Requests hold it while they are under way, so it outlives its table.
pub(crate) struct Site {
    pub name: Box<str>,
    pub force_https: bool,
    pub serves: Serves,
    pub counters: Arc<Counters>,
}

pub(crate) enum Serves {
    App(Balanced),
    Panel(Arc<Backend>),
    Starting,
    Down(Box<str>),
}

/// Upstreams, in turn.
pub(crate) struct Balanced {
    pub backends: Box<[Arc<Backend>]>,
    next: AtomicUsize,
}

impl Balanced {
    /// Where this request begins; the ones after it are for when no connection can be made.
    pub(crate) fn turn(&self) -> usize {
        if self.backends.len() == 1 {
            0
        } else {
            self.next.fetch_add(1, Relaxed) % self.backends.len()
        }
    }
}

pub(crate) struct Table {
    hosts: HashMap<Box<str>, Arc<Site>>,
    /// By what stands behind `*.`.
    wildcards: HashMap<Box<str>, Arc<Site>>,
    pub challenges: HashMap<Box<str>, Box<str>>,
    /// What the panel port serves, whatever the host.
    pub panel: Arc<Site>,
}

impl Table {
    pub(crate) fn empty(ledger: &Ledger, backends: &Backends, panel_socket: &Path) -> Table {
        Table {
            hosts: HashMap::new(),
            wildcards: HashMap::new(),
            challenges: HashMap::new(),
            panel: Arc::new(panel(ledger, backends, panel_socket, "panel", false)),
        }
    }

    /// Builds all of `config` or nothing. Fails with `Invalid` that names the host.
    pub(crate) fn build(
        config: &EdgeConfig,
        before: &Certificates,
        ledger: &Ledger,
        backends: &Backends,
        panel_socket: &Path,
    ) -> Result<(Table, Certificates)> {
        let certificates = Certificates::build(config, before)?;
        let (mut hosts, mut wildcards) = (HashMap::with_capacity(config.routes.len()), HashMap::new());
        for (host, route) in &config.routes {
            let site = Arc::new(site(host.as_str(), route, ledger, backends, panel_socket)?);
            match host.as_str().strip_prefix("*.") {
                Some(base) => wildcards.insert(base.into(), site),
                None => hosts.insert(host.as_str().into(), site),
            };
        }
        let table = Table {
            hosts,
            wildcards,
            challenges: config
                .challenges
                .iter()
                .map(|(token, answer)| (token.as_str().into(), answer.as_str().into()))
                .collect(),
            ..Table::empty(ledger, backends, panel_socket)
        };
        Ok((table, certificates))
    }

    /// Finds a site by host: lower case, without port and last dot. An exact one goes before a wildcard.
    pub(crate) fn site(&self, host: &str) -> Option<&Arc<Site>> {
        let exact = self.hosts.get(host);
        if exact.is_some() || self.wildcards.is_empty() {
            return exact;
        }
        let (label, base) = host.split_once('.')?;
        if label.is_empty() { None } else { self.wildcards.get(base) }
    }
}

fn site(host: &str, route: &Route, ledger: &Ledger, backends: &Backends, panel_socket: &Path) -> Result<Site> {
    let serves = match &route.target {
        Target::Upstreams(upstreams) if upstreams.is_empty() => {
            return Err(Error::invalid(format!("route of {host}"), "has no upstream"));
        }
        Target::Upstreams(upstreams) => Serves::App(Balanced {
            backends: upstreams.iter().map(|upstream| backends.of(Place::Tcp(upstream.address))).collect(),
            next: AtomicUsize::new(0),
        }),
        Target::Origin(origin) => Serves::App(Balanced {
            backends: Box::new([backends.of(match origin {
                Origin::Host { host, port } => match host.address() {
                    Some(address) => Place::Tcp((address, *port).into()),
                    None => Place::Name(host.as_str().into(), *port),
                },
                Origin::Socket { path } => Place::Unix(path.clone()),
            })]),
            next: AtomicUsize::new(0),
        }),
        Target::Panel => return Ok(panel(ledger, backends, panel_socket, &route.name, route.force_https)),
        Target::Starting => Serves::Starting,
        Target::Down { why } => Serves::Down(why.as_str().into()),
    };
    Ok(Site {
        name: route.name.as_str().into(),
        force_https: route.force_https,
        serves,
        counters: ledger.of(&route.app),
    })
}

fn panel(ledger: &Ledger, backends: &Backends, socket: &Path, name: &str, force_https: bool) -> Site {
    Site {
        name: name.into(),
        force_https,
        serves: Serves::Panel(backends.of(Place::Unix(socket.to_owned()))),
        counters: ledger.of(&None),
    }
}
