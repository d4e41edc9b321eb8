//! One thread of the edge: its own runtime, its own connections, its own idle upstream connections. A client stays on
//! the thread that got it, so requests never cross threads.

use crate::{
    access_log::AccessLog,
    connection::{Guest, Port, Ticks},
    decide::Rules,
    health,
    limits::key_of,
    quic,
    registry::Registry,
    serve,
    sleeping::Sleepers,
    table::Table,
    tls::Resolver,
    traffic::Ledger,
    upstream::Backends,
};
use arc_swap::ArcSwap;
use http::HeaderValue;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use types::{EdgeLimits, World};

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No connections are taken before the first configuration: they wait.
    Preparing,
    Running,
    /// No new connections; each ends with its next answer, which says so.
    Leaving,
    /// No new connections; those that are idle end.
    Draining,
    /// What is left is cut.
    Ended,
}

/// A connection whose client has not got an answer yet; counted until it has, or until the connection ends.
pub(crate) struct Greeting {
    shared: Arc<Shared>,
    goes_on: AtomicBool,
}

impl Greeting {
    pub(crate) fn new(shared: &Arc<Shared>) -> Greeting {
        shared.greeting.fetch_add(1, Relaxed);
        Greeting {
            shared: shared.clone(),
            goes_on: AtomicBool::new(true),
        }
    }

    pub(crate) fn over(&self) {
        // Asked after each answer, and only the first one writes.
        if self.goes_on.load(Relaxed) && self.goes_on.swap(false, Relaxed) {
            self.shared.greeting.fetch_sub(1, Relaxed);
        }
    }
}

impl std::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Greeting({})", self.goes_on.load(Relaxed))
    }
}

impl Drop for Greeting {
    fn drop(&mut self) {
        self.over();
    }
}

/// What all threads share.
pub(crate) struct Shared {
    pub table: ArcSwap<Table>,
    pub resolver: Arc<Resolver>,
    pub ledger: Ledger,
    pub registry: Registry,
    pub addresses: Addresses,
    /// Whether HTTP/3 is served, and how clients are told.
    pub http3: watch::Sender<bool>,
    pub alt_svc: Option<HeaderValue>,
    pub https: Vec<SocketAddr>,
    pub quic: quic::Sockets,
    /// Ticks of the first thread.
    pub now: AtomicU64,
    pub backends: Backends,
    pub limits: EdgeLimits,
    pub rules: Rules,
    pub world: World,
    pub log: Arc<AccessLog>,
    pub tls: TlsAcceptor,
    /// From `Leaving` on.
    pub draining: AtomicBool,
    /// Connections whose client has not got an answer yet.
    pub greeting: AtomicUsize,
    /// Open connections, by thread.
    pub loads: Box<[AtomicUsize]>,
    pub sleepers: Sleepers,
}

impl Shared {
    /// The clock of the first thread, by which health is kept.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }
    pub(crate) fn connections(&self) -> usize {
        self.loads.iter().map(|load| load.load(Relaxed)).sum()
    }
}

type Open = Arc<Mutex<HashMap<IpAddr, u32>>>;

/// How many connections each address has.
#[derive(Default)]
pub(crate) struct Addresses {
    open: Open,
    pub refused: AtomicU64,
}

/// One connection of an address.
pub(crate) struct Counted(Option<(Open, IpAddr)>);

impl Addresses {
    /// `None`: it has `cap` already. A cap of 0 is none.
    pub(crate) fn admit(&self, address: IpAddr, cap: u32) -> Option<Counted> {
        if cap == 0 {
            return Some(Counted(None));
        }
        let key = key_of(address);
        let mut open = self.open.lock().expect("no panic under this lock");
        let count = open.entry(key).or_insert(0);
        if *count >= cap {
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        *count += 1;
        Some(Counted(Some((self.open.clone(), key))))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((open, key)) = &self.0 else { return };
        let mut open = open.lock().expect("no panic under this lock");
        if let Some(count) = open.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                open.remove(key);
            }
        }
    }
}

/// A connection that another thread accepted for this one.
pub(crate) struct Arrival {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    port: Port,
}

pub(crate) struct Worker {
    pub index: usize,
    pub shared: Arc<Shared>,
    /// Milliseconds since the thread began, as of the last tick.
    pub ticks: Ticks,
    pub stage: watch::Receiver<Stage>,
    guests: Mutex<HashMap<u64, Arc<Guest>>>,
    next_guest: AtomicU64,
    peers: Vec<mpsc::UnboundedSender<Arrival>>,
}

/// A registered guest; leaves the register when it goes.
pub(crate) struct Registered<'a>(&'a Worker, u64);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.guests.lock().expect("no panic under this lock").remove(&self.1);
    }
}

/// One connection in the load of a thread.
pub(crate) struct Slot(Arc<Shared>, usize);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.loads[self.1].fetch_sub(1, Relaxed);
    }
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        stage: watch::Receiver<Stage>,
        peers: Vec<mpsc::UnboundedSender<Arrival>>,
    ) -> Arc<Worker> {
        Arc::new(Worker {
            index,
            shared,
            ticks: Ticks::default(),
            stage,
            guests: Mutex::default(),
            next_guest: AtomicU64::new(0),
            peers,
        })
    }

    pub(crate) fn now(&self) -> u64 {
        self.ticks.load(Relaxed)
    }

    /// One more connection on this thread.
    pub(crate) fn slot(&self) -> Slot {
        self.shared.loads[self.index].fetch_add(1, Relaxed);
        Slot(self.shared.clone(), self.index)
    }

    pub(crate) fn register(&self, guest: Arc<Guest>) -> Registered<'_> {
        let id = self.next_guest.fetch_add(1, Relaxed);
        self.guests.lock().expect("no panic under this lock").insert(id, guest);
        Registered(self, id)
    }

    /// Runs the thread until the stage is `Ended`.
    pub(crate) async fn run(
        self: Arc<Worker>,
        listeners: Vec<(tokio::net::TcpListener, Port)>,
        mut inbox: mpsc::UnboundedReceiver<Arrival>,
    ) {
        for (listener, port) in listeners {
            tokio::spawn(self.clone().accept(listener, port));
        }
        let worker = self.clone();
        tokio::spawn(async move {
            while let Some(arrival) = inbox.recv().await {
                match tokio::net::TcpStream::from_std(arrival.stream) {
                    Ok(stream) => worker.begin(stream, arrival.peer, arrival.port),
                    Err(error) => {
                        worker.shared.loads[worker.index].fetch_sub(1, Relaxed);
                        tracing::warn!(%error, "a connection could not be taken over");
                    }
                }
            }
        });
        if self.index == 0 {
            tokio::spawn(quic::follow(self.clone(), self.shared.https.clone()));
        }
        let mut stage = self.stage.clone();
        let mut tick = tokio::time::interval(self.tick_length());
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (began, mut tidy_at) = (Instant::now(), 0);
        loop {
            tokio::select! {
                changed = stage.changed() => {
                    let stage = *stage.borrow_and_update();
                    match stage {
                        _ if changed.is_err() => return,
                        Stage::Ended => return,
                        Stage::Draining => self.end_idle(),
                        Stage::Preparing | Stage::Running | Stage::Leaving => {}
                    }
                }
                _ = tick.tick() => {
                    let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.ticks.store(now, Relaxed);
                    self.sweep(now);
                    if self.index == 0 {
                        self.shared.now.store(now, Relaxed);
                        health::turn(&self, &self.shared.table.load());
                        if now >= tidy_at {
                            tidy_at = now + 10_000;
                            self.shared.registry.tidy();
                        }
                    }
                }
            }
        }
    }

    /// Fine enough for the shortest limit.
    fn tick_length(&self) -> Duration {
        let limits = &self.shared.limits;
        (limits.keep_alive.min(limits.header_timeout) / 4).clamp(Duration::from_millis(10), Duration::from_millis(250))
    }

    fn sweep(&self, now: u64) {
        let limits = &self.shared.limits;
        let draining = *self.stage.borrow() == Stage::Draining;
        for guest in self.guests.lock().expect("no panic under this lock").values() {
            guest.watch.sweep(now, limits.keep_alive, limits.header_timeout);
            if draining {
                guest.watch.end_if_idle();
            }
        }
        self.shared.backends.sweep(self.index, now);
    }

    fn end_idle(&self) {
        for guest in self.guests.lock().expect("no panic under this lock").values() {
            guest.watch.end_if_idle();
        }
    }

    async fn accept(self: Arc<Worker>, listener: tokio::net::TcpListener, port: Port) {
        let mut stage = self.stage.clone();
        if stage.wait_for(|stage| *stage != Stage::Preparing).await.is_err() {
            return;
        }
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                _ = stage.wait_for(|stage| *stage != Stage::Running) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.place(stream, peer, port),
                Err(error) => {
                    // Out of file descriptors, mostly: closing connections is what helps, and that takes a moment.
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Gives the connection to the thread with the fewest.
    fn place(self: &Arc<Worker>, stream: tokio::net::TcpStream, peer: SocketAddr, port: Port) {
        let loads = &self.shared.loads;
        let own = loads[self.index].load(Relaxed);
        let (least, load) = loads
            .iter()
            .enumerate()
            .map(|(index, load)| (index, load.load(Relaxed)))
            .min_by_key(|(_, load)| *load)
            .unwrap_or((self.index, own));
        if load >= own {
            loads[self.index].fetch_add(1, Relaxed);
            return self.begin(stream, peer, port);
        }
        match stream.into_std() {
            Ok(stream) => {
                loads[least].fetch_add(1, Relaxed);
                if self.peers[least].send(Arrival { stream, peer, port }).is_err() {
                    loads[least].fetch_sub(1, Relaxed);
                }
            }
            Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
        }
    }

    /// Its load is counted already.
    fn begin(self: &Arc<Worker>, stream: tokio::net::TcpStream, peer: SocketAddr, port: Port) {
        let slot = Slot(self.shared.clone(), self.index);
        let worker = self.clone();
        tokio::spawn(async move {
            let _slot = slot;
            serve::connection(&worker, stream, peer, port).await;
        });
    }
}

/// A thread that serves until the stage is `Ended`.
pub(crate) fn spawn(
    worker: Arc<Worker>,
    listeners: Vec<(Arc<TcpListener>, Port)>,
    inbox: mpsc::UnboundedReceiver<Arrival>,
    ready: std::sync::mpsc::Sender<std::io::Result<()>>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(format!("edge-{}", worker.index)).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        runtime.block_on(async move {
            let mut shared = Vec::with_capacity(listeners.len());
            for (listener, port) in &listeners {
                match crate::listen::share(listener) {
                    Ok(listener) => shared.push((listener, *port)),
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        return;
                    }
                }
            }
            drop(listeners);
            let _ = ready.send(Ok(()));
            worker.run(shared, inbox).await;
        });
        // What still runs is cut off with the runtime.
    })
}
