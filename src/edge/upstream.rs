//! The apps' side: one upstream, its idle connections and how many requests it is working on.

use crate::connection::{Connection, Io};
use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::net::{TcpStream, UnixStream};
use types::Upstream;

/// An unused connection is closed after this. Shorter than the shortest common keep-alive of app servers (2 s), so a
/// request hardly ever meets a connection that the app is just closing.
const UNUSED: Duration = Duration::from_millis(1500);
/// Idle connections kept for each upstream and thread.
const KEPT: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    /// Looked up for each new connection.
    Name(Box<str>, u16),
    Unix(PathBuf),
}

pub(crate) struct Backend {
    pub place: Place,
    active: AtomicU64,
    /// By worker: a connection is used on the thread that made it.
    idle: Box<[Mutex<Vec<Unused>>]>,
}

struct Unused {
    connection: Box<Connection>,
    since: u64,
}

impl Backend {
    fn new(place: Place, workers: usize) -> Backend {
        Backend {
            place,
            active: AtomicU64::new(0),
            idle: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn active(&self) -> u64 {
        self.active.load(Relaxed)
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

    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        match &self.place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Connection::to_upstream(Io::Tcp(stream)))
            }
            Place::Name(host, port) => {
                let stream = TcpStream::connect((&**host, *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Connection::to_upstream(Io::Tcp(stream)))
            }
            Place::Unix(path) => Ok(Connection::to_upstream(Io::Unix(UnixStream::connect(path).await?))),
        }
    }
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

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Counts a request as under way on its upstream while it lives.
pub(crate) struct UnderWay(Arc<Backend>);

impl UnderWay {
    pub(crate) fn on(backend: &Arc<Backend>) -> UnderWay {
        backend.active.fetch_add(1, Relaxed);
        UnderWay(backend.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// All upstreams that are in the table or still at work, so that one keeps its connections and its count over swaps.
pub(crate) struct Backends {
    workers: usize,
    known: Mutex<HashMap<Place, Weak<Backend>>>,
}

impl Backends {
    pub(crate) fn new(workers: usize) -> Backends {
        Backends {
            workers,
            known: Mutex::default(),
        }
    }
    pub(crate) fn of(&self, place: Place) -> Arc<Backend> {
        let mut known = self.known.lock().expect("no panic under this lock");
        if let Some(backend) = known.get(&place).and_then(Weak::upgrade) {
            return backend;
        }
        let backend = Arc::new(Backend::new(place.clone(), self.workers));
        known.insert(place, Arc::downgrade(&backend));
        backend
    }
    pub(crate) fn active(&self, upstream: &Upstream) -> u64 {
        let known = self.known.lock().expect("no panic under this lock");
        known
            .get(&Place::Tcp(upstream.address))
            .and_then(Weak::upgrade)
            .map_or(0, |backend| backend.active())
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
}
