//! The whole edge: started, told what to do, stopped.

use crate::{
    access_log::AccessLog,
    connection::Port,
    decide::Rules,
    listen::{Bound, Listeners, PortSocket},
    quic,
    quic_socket::QuicSocket,
    registry::Registry,
    sleeping::Sleepers,
    streams::{FlowSocket, Streams},
    table::{Table, Workshop},
    tls::{self, Certificates, Resolver},
    traffic::Ledger,
    upstream::Backends,
    worker::{self, Addresses, Shared, Stage, Worker},
};
use arc_swap::ArcSwap;
use futures::Stream;
use http::HeaderValue;
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use types::{AppId, CanaryReport, Doing, EdgeConfig, EdgeReport, EdgeSettings, Purge, Result, Traffic, Upstream, UpstreamUse, World};

/// Refused keys in a report.
const LIMITED_SHOWN: usize = 200;

/// How long those that have not got an answer yet are waited for, beyond the drain.
const GREETINGS: Duration = Duration::from_secs(10);

/// Sockets beside the [`Listeners`]: see [`Edge::share`].
#[derive(Debug, Default)]
pub struct SharedSockets {
    pub ports: Vec<PortSocket>,
    /// The way of each UDP client to its app.
    pub flows: Vec<FlowSocket>,
    pub quic: Vec<QuicSocket>,
}

impl SharedSockets {
    /// More handles of all of them.
    pub fn try_clone(&self) -> Result<SharedSockets> {
        Ok(SharedSockets {
            ports: self.ports.iter().map(PortSocket::try_clone).collect::<Result<_>>()?,
            flows: self.flows.iter().map(FlowSocket::try_clone).collect::<Result<_>>()?,
            quic: self.quic.iter().map(QuicSocket::try_clone).collect::<Result<_>>()?,
        })
    }
}

/// A running edge. When it is dropped without [`Edge::stop`], connections are cut.
pub struct Edge {
    shared: Arc<Shared>,
    panel_socket: PathBuf,
    streams: Streams,
    bound: Bound,
    stage: watch::Sender<Stage>,
    /// One configuration is built at a time.
    applying: Mutex<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Edge {
    /// Binds all ports and starts to serve: the panel on its port, nothing else until [`Edge::apply`].
    /// Fails with `Busy` in words when a port cannot be had: "port 80 is taken by nginx (pid 12)".
    pub fn start(settings: EdgeSettings, world: World) -> Result<Edge> {
        let listeners = Listeners::bind(&settings)?;
        let edge = Edge::start_on(listeners, settings, world)?;
        edge.begin();
        Ok(edge)
    }

    /// The same, on sockets that listen already; the addresses in the settings are not looked at. Connections wait until
    /// the first [`Edge::apply`], so that nobody is refused for want of a route or a certificate.
    pub fn start_on(listeners: Listeners, settings: EdgeSettings, world: World) -> Result<Edge> {
        let bound = listeners.bound()?;
        let Listeners { http, https, panel } = listeners;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let (ledger, backends, registry) = (Ledger::default(), Backends::new(threads), Registry::default());
        let (streams, streams_thread) = Streams::start()?;
        let resolver = Arc::new(Resolver(ArcSwap::from_pointee(Certificates::default())));
        let tls = TlsAcceptor::from(Arc::new(tls::server_config(resolver.clone())?));
        let (log, log_thread) = AccessLog::start(&settings.access_log, threads, world.clone())?;
        let shared = Arc::new(Shared {
            table: ArcSwap::from_pointee(Table::empty(Workshop {
                ledger: &ledger,
                backends: &backends,
                registry: &registry,
                panel_socket: &settings.panel_socket,
            })),
            resolver,
            ledger,
            registry,
            addresses: Addresses::default(),
            http3: watch::Sender::new(false),
            alt_svc: bound
                .https
                .first()
                .and_then(|address| HeaderValue::from_str(&format!("h3=\":{}\"; ma=86400", address.port())).ok()),
            https: bound.https.clone(),
            quic: quic::Sockets::default(),
            now: AtomicU64::new(0),
            backends,
            rules: Rules {
                https_port: bound.https.first().map(SocketAddr::port),
                head_bytes: settings.limits.header_bytes,
            },
            limits: settings.limits,
            world,
            log,
            tls,
            draining: AtomicBool::new(false),
            greeting: AtomicUsize::new(0),
            loads: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
            sleepers: Sleepers::default(),
        });
        let (stage, _) = watch::channel(Stage::Preparing);
        let edge = Edge {
            shared,
            panel_socket: settings.panel_socket,
            streams,
            bound,
            stage,
            applying: Mutex::new(()),
            threads: Mutex::new(vec![log_thread, streams_thread]),
        };
        let listeners: Vec<(Arc<TcpListener>, Port)> = [(http, Port::Http), (https, Port::Https), (panel, Port::Panel)]
            .into_iter()
            .flat_map(|(listeners, port)| listeners.into_iter().map(move |listener| (Arc::new(listener), port)))
            .collect();
        edge.start_threads(threads, &listeners)?;
        Ok(edge)
    }

    fn start_threads(&self, threads: usize, listeners: &[(Arc<TcpListener>, Port)]) -> Result<()> {
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::unbounded_channel()).unzip();
        let (ready, started) = std::sync::mpsc::channel();
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let worker = Worker::new(index, self.shared.clone(), self.stage.subscribe(), senders.clone());
            let thread = worker::spawn(worker, listeners.to_vec(), inbox, ready.clone()).doing("starting a thread of the edge")?;
            self.threads.lock().expect("no panic under this lock").push(thread);
        }
        drop(ready);
        for _ in 0..threads {
            started
                .recv()
                .doing("starting a thread of the edge")?
                .doing("starting a thread of the edge")?;
        }
        Ok(())
    }

    pub fn bound(&self) -> Bound {
        self.bound.clone()
    }

    /// Takes what another edge opened: the ports that the next [`Edge::apply`] names are served without being bound.
    pub fn adopt(&self, shared: SharedSockets) {
        self.streams.adopt(shared.ports, shared.flows);
        self.shared.quic.adopt(shared.quic);
    }

    /// More handles of the sockets that carry no HTTP over TCP, for an edge that takes over. It may use them at once: what
    /// belongs to this one reaches it until it ends.
    pub fn share(&self) -> Result<SharedSockets> {
        Ok(SharedSockets {
            ports: self.streams.sockets()?,
            flows: self.streams.flows()?,
            quic: self.shared.quic.share()?,
        })
    }

    /// Builds all of `config`, checks it, and swaps it in; requests under way end as they began. Fails with `Invalid`
    /// that names the host, and then everything stays as it was. Takes some milliseconds for a thousand new
    /// certificates, next to nothing for those it has already.
    pub fn apply(&self, config: EdgeConfig) -> Result<()> {
        let _one_at_a_time = self.applying.lock().expect("no panic under this lock");
        let shared = &self.shared;
        let workshop = Workshop {
            ledger: &shared.ledger,
            backends: &shared.backends,
            registry: &shared.registry,
            panel_socket: &self.panel_socket,
        };
        let (table, certificates) = Table::build(&config, &shared.resolver.0.load(), workshop)?;
        shared.resolver.0.store(Arc::new(certificates));
        shared.table.store(Arc::new(table));
        shared.sleepers.table_changed();
        // Before it begins: a socket of HTTP/3 that was handed over is closed when it begins without wishing for it.
        shared
            .http3
            .send_if_modified(|on| std::mem::replace(on, config.options.http3) != config.options.http3);
        self.begin();
        self.streams.apply(&config.streams);
        Ok(())
    }

    /// Takes connections, if it does not yet.
    fn begin(&self) {
        self.stage.send_if_modified(|stage| {
            let prepares = *stage == Stage::Preparing;
            if prepares {
                *stage = Stage::Running;
            }
            prepares
        });
    }

    /// Counters since the start, by app; `None` is the panel. WebSockets and bodies count when they end.
    pub fn traffic(&self) -> Vec<(Option<AppId>, Traffic)> {
        self.shared.ledger.read()
    }

    /// How much each upstream with an address is used, by domains and by ports.
    pub fn uses(&self) -> Vec<UpstreamUse> {
        let mut uses = self.shared.backends.uses();
        uses.extend(self.streams.uses());
        uses
    }

    /// Apps that are to be woken, each about once a second as long as requests wait for it. Never ends.
    pub fn wanted(&self) -> impl Stream<Item = AppId> + Send + use<> {
        self.shared.sleepers.wanted()
    }

    /// What it tells about its work beyond [`Edge::traffic`].
    pub fn report(&self) -> EdgeReport {
        let shared = &self.shared;
        let mut report = EdgeReport {
            connections: shared.connections() as u64,
            refused_connections: shared.addresses.refused.load(Relaxed),
            upstreams: shared.backends.report(shared.now()),
            streams: self.streams.report(),
            ..EdgeReport::default()
        };
        let registry = &shared.registry;
        registry.tallies.each(|host, tally| report.domains.push(tally.read(host)));
        report.domains.sort_by(|one, other| one.host.cmp(&other.host));
        registry.limits.each(|_, limit| limit.report(&mut report.limited));
        report.limited.sort_by_key(|limited| std::cmp::Reverse(limited.refused));
        report.limited.truncate(LIMITED_SHOWN);
        registry.shares.each(|_, share| {
            let (objects, bytes, max_bytes, evicted) = share.read();
            report.cache.objects += objects;
            report.cache.bytes += bytes;
            report.cache.max_bytes += max_bytes;
            report.cache.evicted += evicted;
        });
        report.canaries = self.canaries();
        report
    }

    /// How the canaries do.
    pub fn canaries(&self) -> Vec<CanaryReport> {
        let mut all = Vec::new();
        for (host, site) in &self.shared.table.load().canaries {
            let Some(canary) = site.extras.as_ref().and_then(|extras| extras.canary.as_ref()) else {
                continue;
            };
            let (requests, errors, p95_millis, failed) = canary.state.read();
            all.push(CanaryReport {
                host: host.clone(),
                app: canary.app.clone(),
                since: canary.since,
                requests,
                errors,
                p95_millis,
                failed,
                release: canary.release.clone(),
            });
        }
        all
    }

    /// Throws kept answers away; returns how many.
    pub fn purge(&self, purge: &Purge) -> u64 {
        let mut purged = 0;
        self.shared.registry.shares.each(|host, share| {
            if purge.host.as_ref().is_none_or(|wanted| wanted == host) {
                purged += share.purge(purge.path.as_deref());
            }
        });
        purged
    }

    /// Requests and WebSockets under way on `upstream`, also after it has left the configuration.
    pub fn active(&self, upstream: &Upstream) -> u64 {
        self.shared.backends.active(upstream)
    }

    /// Lets another edge on the same sockets take over, so that no client notices: takes no new connections, and ends
    /// each with its next answer, which says so (RFC 9112, 9.6; RFC 9113, 6.8). A client that may send a request at any
    /// moment would lose it if its idle connection were closed at once, as [`Edge::stop`] does. What is left after
    /// `drain` is ended so.
    pub async fn leave(&self, drain: Duration) {
        self.shared.draining.store(true, Relaxed);
        self.stage.send_replace(Stage::Leaving);
        self.streams.apply(&Default::default());
        self.connections_end(drain).await;
        self.greetings_end().await;
        self.stop(Duration::from_secs(1)).await;
    }

    /// Clients that have not got their first answer yet, such as those in the middle of a TLS handshake: to them this edge
    /// is the one that they reached.
    async fn greetings_end(&self) {
        let deadline = tokio::time::Instant::now() + GREETINGS;
        while self.shared.greeting.load(Relaxed) > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn connections_end(&self, limit: Duration) {
        let deadline = tokio::time::Instant::now() + limit;
        while self.shared.connections() + self.streams.connections() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Closes the ports at once, lets what is under way end for at most `drain`, then cuts the rest.
    pub async fn stop(&self, drain: Duration) {
        self.shared.draining.store(true, Relaxed);
        self.stage.send_replace(Stage::Draining);
        self.connections_end(drain).await;
        self.end();
        let threads = std::mem::take(&mut *self.threads.lock().expect("no panic under this lock"));
        let _ = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
    }

    fn end(&self) {
        self.stage.send_replace(Stage::Ended);
        self.streams.end();
        self.shared.log.end();
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.end();
    }
}
