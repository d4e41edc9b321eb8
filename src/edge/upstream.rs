//! The apps' side: one upstream, its idle connections, how many requests it is working on, and whether it is well.

use crate::{
    connection::{Connection, Io},
    proxy_protocol,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
};
use types::{Error, ProxyVersion, Result, TrafficPolicy, Upstream, UpstreamProtocol, UpstreamReport, UpstreamState, UpstreamUse};

/// An unused connection is closed after this. Shorter than the shortest common keep-alive of app servers (2 s), so a
/// request hardly ever meets a connection that the app is just closing.
const UNUSED: Duration = Duration::from_millis(1500);
/// One more that has begun, in the count of an upstream's work.
const BEGUN: u64 = 1 << 32;
/// Idle connections kept for each upstream and thread.
const KEPT: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    /// Looked up for each new connection.
    Name(Box<str>, u16),
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Name(host, port) => write!(f, "{host}:{port}"),
            Place::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How an upstream is spoken to.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Wire {
    pub tls: Option<Arc<TlsOut>>,
    pub h2c: bool,
    /// Begins each connection; such a connection is for one client only.
    pub proxy: Option<ProxyVersion>,
}

/// TLS towards an upstream, whose certificate must be for `name`.
pub(crate) struct TlsOut {
    name: String,
    ca_pem: Option<String>,
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl PartialEq for TlsOut {
    fn eq(&self, other: &TlsOut) -> bool {
        (&self.name, &self.ca_pem) == (&other.name, &other.ca_pem)
    }
}
impl Eq for TlsOut {}
impl Hash for TlsOut {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.ca_pem).hash(state);
    }
}

pub(crate) struct Backend {
    pub place: Place,
    pub wire: Wire,
    /// Below 2^32 what is under way; above it what has begun.
    work: AtomicU64,
    /// By worker: a connection is used on the thread that made it.
    idle: Box<[Mutex<Vec<Unused>>]>,
    /// By worker: the connection of HTTP/2 that all requests share.
    pub h2: Box<[tokio::sync::Mutex<Option<h2::client::SendRequest<bytes::Bytes>>>]>,
    health: Health,
}

/// Whether it is well. Times are a worker's ticks.
#[derive(Default)]
struct Health {
    unhealthy: AtomicBool,
    why: Mutex<String>,
    ejected_until: AtomicU64,
    /// In a row, on requests.
    failures: AtomicU32,
    ejections: AtomicU32,
    /// 0: not known yet.
    well_since: AtomicU64,
    slow_start: AtomicU64,
    check: Mutex<Check>,
}

/// Active checks.
#[derive(Default)]
struct Check {
    next_at: u64,
    well: u32,
    bad: u32,
}

struct Unused {
    connection: Box<Connection>,
    since: u64,
}

impl Backend {
    fn new(place: Place, wire: Wire, workers: usize) -> Backend {
        Backend {
            place,
            wire,
            work: AtomicU64::new(0),
            idle: (0..workers).map(|_| Mutex::default()).collect(),
            h2: (0..workers).map(|_| tokio::sync::Mutex::default()).collect(),
            health: Health::default(),
        }
    }

    pub(crate) fn active(&self) -> u64 {
        u64::from(self.begun_and_active().1)
    }

    fn begun_and_active(&self) -> (u32, u32) {
        let work = self.work.load(Relaxed);
        let half = |work: u64| u32::try_from(work & u64::from(u32::MAX)).expect("it is 32 bits");
        (half(work >> 32), half(work))
    }

    /// An idle connection that the other side has not closed.
    pub(crate) fn take(&self, worker: usize, now: u64) -> Option<Box<Connection>> {
        let mut idle = self.idle[worker].lock().expect("no panic under this lock");
        while let Some(unused) = idle.pop() {
            if now.saturating_sub(unused.since) > millis(UNUSED) {
                idle.clear(); // those below are older still
                return None;
            }
            if unused.connection.is_quiet() {
                return Some(unused.connection);
            }
        }
        None
    }

    pub(crate) fn give_back(&self, worker: usize, connection: Box<Connection>, now: u64) {
        if self.wire.proxy.is_some() {
            return;
        }
        let mut idle = self.idle[worker].lock().expect("no panic under this lock");
        if idle.len() < KEPT {
            idle.push(Unused { connection, since: now });
        }
    }

    /// Closes what is unused for too long.
    pub(crate) fn sweep(&self, worker: usize, now: u64) {
        let mut idle = self.idle[worker].lock().expect("no panic under this lock");
        let fresh = idle
            .iter()
            .position(|unused| now.saturating_sub(unused.since) <= millis(UNUSED))
            .unwrap_or(idle.len());
        idle.drain(..fresh);
    }

    /// A new connection. `client` and `local` are what the PROXY protocol tells, if it is spoken.
    pub(crate) async fn connect(&self, between: Option<(SocketAddr, SocketAddr)>) -> io::Result<Connection> {
        let mut stream = match &self.place {
            Place::Tcp(address) => TcpStream::connect(address).await?,
            Place::Name(host, port) => TcpStream::connect((&**host, *port)).await?,
            Place::Unix(path) => return Ok(Connection::to_upstream(Io::Unix(UnixStream::connect(path).await?))),
        };
        stream.set_nodelay(true)?;
        if let Some(version) = self.wire.proxy {
            stream.write_all(&proxy_protocol::header(version, between)).await?;
        }
        let Some(tls) = &self.wire.tls else {
            return Ok(Connection::to_upstream(Io::Tcp(stream)));
        };
        let connector = tokio_rustls::TlsConnector::from(tls.config.clone());
        let stream = connector.connect(tls.server_name.clone(), stream).await?;
        Ok(Connection::to_upstream(Io::TlsOut(Box::new(stream))))
    }

    pub(crate) fn is_usable(&self, now: u64) -> bool {
        !self.health.unhealthy.load(Relaxed) && self.health.ejected_until.load(Relaxed) <= now
    }

    /// How much of its full share it may have, 1 to 100: less while it is new.
    pub(crate) fn warmth(&self, now: u64) -> u64 {
        let span = self.health.slow_start.load(Relaxed);
        if span == 0 {
            return 100;
        }
        let now = now.max(1);
        let since = match self.health.well_since.compare_exchange(0, now, Relaxed, Relaxed) {
            Ok(_) => now,
            Err(since) => since,
        };
        (now.saturating_sub(since) * 100 / span).clamp(1, 100)
    }

    pub(crate) fn start_slowly(&self, seconds: u32) {
        self.health.slow_start.store(u64::from(seconds) * 1000, Relaxed);
    }

    /// A request went well.
    pub(crate) fn went_well(&self) {
        if self.health.failures.load(Relaxed) > 0 {
            self.health.failures.store(0, Relaxed);
            self.health.ejections.store(0, Relaxed);
        }
    }

    /// A request failed. True: that was one too many, and it should be ejected.
    pub(crate) fn went_badly(&self, limit: u32) -> bool {
        self.health.failures.fetch_add(1, Relaxed) + 1 >= limit
    }

    pub(crate) fn eject(&self, seconds: u32, now: u64) {
        let times = self.health.ejections.fetch_add(1, Relaxed).min(10);
        let longer = (1u64 << times).min(10);
        let until = now + u64::from(seconds) * 1000 * longer;
        self.health.failures.store(0, Relaxed);
        self.health.ejected_until.store(until, Relaxed);
        self.health.well_since.store(until.max(1), Relaxed);
        tracing::warn!(upstream = %self.place, "it fails on requests and gets none for {} s", u64::from(seconds) * longer);
    }

    /// Whether a check is due; then the next is after `interval`.
    pub(crate) fn is_check_due(&self, now: u64, interval: u32) -> bool {
        let mut check = self.health.check.lock().expect("no panic under this lock");
        let due = now >= check.next_at;
        if due {
            check.next_at = now + u64::from(interval) * 1000;
        }
        due
    }

    /// A check has ended; `Err` says why it failed.
    pub(crate) fn checked(&self, result: Result<(), String>, healthy_after: u32, unhealthy_after: u32, now: u64) {
        let mut check = self.health.check.lock().expect("no panic under this lock");
        match result {
            Ok(()) => {
                (check.well, check.bad) = (check.well.saturating_add(1), 0);
                if check.well >= healthy_after && self.health.unhealthy.swap(false, Relaxed) {
                    self.health.well_since.store(now.max(1), Relaxed);
                    tracing::info!(upstream = %self.place, "it is well again");
                }
            }
            Err(why) => {
                (check.well, check.bad) = (0, check.bad.saturating_add(1));
                *self.health.why.lock().expect("no panic under this lock") = why;
                if check.bad >= unhealthy_after && !self.health.unhealthy.swap(true, Relaxed) {
                    tracing::warn!(upstream = %self.place, "its health check fails");
                }
            }
        }
    }

    /// Nobody checks it any more.
    pub(crate) fn unchecked(&self) {
        self.health.unhealthy.store(false, Relaxed);
    }

    fn report(&self, now: u64) -> UpstreamReport {
        let ejected = self.health.ejected_until.load(Relaxed).saturating_sub(now);
        UpstreamReport {
            place: self.place.to_string(),
            active: self.active(),
            state: if self.health.unhealthy.load(Relaxed) {
                UpstreamState::Unhealthy {
                    why: self.health.why.lock().expect("no panic under this lock").clone(),
                }
            } else if ejected > 0 {
                UpstreamState::Ejected {
                    seconds: ejected.div_ceil(1000),
                }
            } else {
                UpstreamState::Well
            },
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Counts a request as under way on its upstream while it lives.
pub(crate) struct UnderWay(Arc<Backend>);

impl UnderWay {
    pub(crate) fn on(backend: &Arc<Backend>) -> UnderWay {
        backend.work.fetch_add(BEGUN | 1, Relaxed);
        UnderWay(backend.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.work.fetch_sub(1, Relaxed);
    }
}

/// All upstreams that are in the table or still at work, so that one keeps its connections and its count over swaps.
pub(crate) struct Backends {
    workers: usize,
    known: Mutex<HashMap<(Place, Wire), Weak<Backend>>>,
    /// The authorities that this machine trusts; read when the first upstream needs them.
    roots: OnceLock<Arc<RootCertStore>>,
}

impl Backends {
    pub(crate) fn new(workers: usize) -> Backends {
        Backends {
            workers,
            known: Mutex::default(),
            roots: OnceLock::new(),
        }
    }
    pub(crate) fn of(&self, place: Place, wire: Wire) -> Arc<Backend> {
        let mut known = self.known.lock().expect("no panic under this lock");
        let key = (place, wire);
        if let Some(backend) = known.get(&key).and_then(Weak::upgrade) {
            return backend;
        }
        let backend = Arc::new(Backend::new(key.0.clone(), key.1.clone(), self.workers));
        known.insert(key, Arc::downgrade(&backend));
        backend
    }
    pub(crate) fn active(&self, upstream: &Upstream) -> u64 {
        let place = Place::Tcp(upstream.address);
        let known = self.known.lock().expect("no panic under this lock");
        let same = known.iter().filter(|((known, _), _)| *known == place);
        same.filter_map(|(_, backend)| backend.upgrade())
            .map(|backend| backend.active())
            .sum()
    }
    /// Of all that have an address.
    pub(crate) fn uses(&self) -> Vec<UpstreamUse> {
        let known = self.known.lock().expect("no panic under this lock");
        let used = |((place, _), backend): (&(Place, Wire), &Weak<Backend>)| {
            let Place::Tcp(address) = place else { return None };
            let (begun, active) = backend.upgrade()?.begun_and_active();
            let upstream = Upstream { address: *address };
            Some(UpstreamUse { upstream, begun, active })
        };
        known.iter().filter_map(used).collect()
    }
    pub(crate) fn report(&self, now: u64) -> Vec<UpstreamReport> {
        let known = self.known.lock().expect("no panic under this lock");
        let mut all: Vec<_> = known
            .values()
            .filter_map(Weak::upgrade)
            .map(|backend| backend.report(now))
            .collect();
        all.sort_by(|one, other| one.place.cmp(&other.place));
        all
    }
    /// Forgets those that nobody uses, and has every other close what `worker` has left unused.
    pub(crate) fn sweep(&self, worker: usize, now: u64) {
        let mut known = self.known.lock().expect("no panic under this lock");
        known.retain(|_, backend| match backend.upgrade() {
            Some(backend) => {
                backend.sweep(worker, now);
                true
            }
            None => false,
        });
    }

    /// How a policy has its upstreams spoken to. Fails with `Invalid`.
    pub(crate) fn wire(&self, policy: Option<&TrafficPolicy>) -> Result<Wire> {
        let Some(policy) = policy else { return Ok(Wire::default()) };
        Ok(Wire {
            tls: match &policy.upstream {
                UpstreamProtocol::Https { name, ca_pem } => Some(Arc::new(self.tls_out(name.as_str(), ca_pem.as_deref())?)),
                UpstreamProtocol::Http | UpstreamProtocol::H2c => None,
            },
            h2c: policy.upstream == UpstreamProtocol::H2c,
            proxy: policy.proxy_protocol,
        })
    }

    pub(crate) fn tls_out(&self, name: &str, ca_pem: Option<&str>) -> Result<TlsOut> {
        let bad = |why: String| Error::invalid("upstream", why);
        let roots = match ca_pem {
            None => self.roots.get_or_init(|| Arc::new(system_roots())).clone(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate = certificate.map_err(|error| bad(format!("the authority is not PEM: {error}")))?;
                    roots
                        .add(certificate)
                        .map_err(|error| bad(format!("the authority cannot be used: {error}")))?;
                }
                if roots.is_empty() {
                    return Err(bad("the authority holds no certificate".into()));
                }
                Arc::new(roots)
            }
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("setting up TLS", error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsOut {
            server_name: ServerName::try_from(name.to_owned()).map_err(|_| bad(format!("{name} cannot be in a certificate")))?,
            name: name.to_owned(),
            ca_pem: ca_pem.map(str::to_owned),
            config: Arc::new(config),
        })
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 || !found.errors.is_empty() {
        tracing::warn!(
            ignored,
            errors = found.errors.len(),
            "some of this machine's authorities cannot be read"
        );
    }
    roots
}
