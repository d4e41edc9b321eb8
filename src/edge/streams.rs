//! Ports that are passed on without HTTP: TCP connections and UDP datagrams. They have a thread of their own, so that a
//! flood on one of them leaves the sites alone.

mod datagrams;

pub use datagrams::FlowSocket;

use crate::{
    limits::holds,
    listen::{self, PortSocket},
    proxy_protocol,
};
use datagrams::{Talker, go_on, relay};
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use types::{Doing, EdgeStream, Result, StreamPort, StreamReport, Transport, Upstream, UpstreamUse};

const CONNECT: Duration = Duration::from_secs(5);
/// Between tries to open a port.
const AGAIN: Duration = Duration::from_millis(250);
/// UDP clients whose ways are handed over.
const FLOWS: usize = 2000;

type Wanted = BTreeMap<StreamPort, EdgeStream>;
type Ports = Arc<Mutex<BTreeMap<StreamPort, Arc<Port>>>>;
/// TCP connections under way, of all ports: by upstream.
type Uses = Arc<Mutex<HashMap<SocketAddr, u32>>>;
/// Sockets of the process before: those that listen, and those of its UDP clients.
type Given = Arc<Mutex<(Vec<PortSocket>, Vec<FlowSocket>)>>;

/// The thread, and what it is to do.
pub(crate) struct Streams {
    wanted: watch::Sender<Option<Arc<Wanted>>>,
    ports: Ports,
    given: Given,
    under_way: Arc<AtomicU64>,
    uses: Uses,
}

struct Port {
    listen: StreamPort,
    /// TCP connections of all ports.
    under_way: Arc<AtomicU64>,
    uses: Uses,
    /// More handles of its sockets, for who takes over. Empty once it is closed.
    sockets: Mutex<Vec<OwnedFd>>,
    stream: Mutex<Arc<EdgeStream>>,
    bound: Mutex<Result<SocketAddr, String>>,
    talkers: Mutex<HashMap<SocketAddr, Talker>>,
    next: AtomicUsize,
    connections: AtomicU64,
    active: Arc<AtomicU64>,
    refused: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Streams {
    pub(crate) fn start() -> Result<(Streams, std::thread::JoinHandle<()>)> {
        let (wanted, changes) = watch::channel(Some(Arc::new(Wanted::new())));
        let (ports, given, under_way) = (Ports::default(), Given::default(), Arc::<AtomicU64>::default());
        let uses = Uses::default();
        let streams = Streams {
            wanted,
            ports: ports.clone(),
            given: given.clone(),
            under_way: under_way.clone(),
            uses: uses.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing("starting the runtime of the ports")?;
        let thread = std::thread::Builder::new()
            .name("edge-ports".into())
            .spawn(move || runtime.block_on(follow(changes, ports, given, (under_way, uses))))
            .doing("starting the thread of the ports")?;
        Ok((streams, thread))
    }

    /// Opens and closes ports as `wanted`; connections under way stay. After the end it does nothing: the thread may not have seen that
    /// yet, and would go on for ever.
    pub(crate) fn apply(&self, wanted: &Wanted) {
        self.wanted.send_if_modified(|now| match now {
            Some(known) if **known != *wanted => {
                *known = Arc::new(wanted.clone());
                true
            }
            _ => false,
        });
    }

    /// Ports among these are not bound but taken as they are, by the next [`Streams::apply`] that wants them.
    pub(crate) fn adopt(&self, sockets: Vec<PortSocket>, flows: Vec<FlowSocket>) {
        *self.given.lock().expect("no panic under this lock") = (sockets, flows);
    }

    /// More handles of the sockets of UDP clients: of those that said something last, at most so many as a process of
    /// usual limits can have open beside everything else.
    pub(crate) fn flows(&self) -> Result<Vec<FlowSocket>> {
        let mut all = Vec::new();
        for port in self.ports.lock().expect("no panic under this lock").values() {
            for (client, talker) in port.talkers.lock().expect("no panic under this lock").iter() {
                let last = *talker.last.lock().expect("no panic under this lock");
                all.push((last, port.listen, *client, talker.socket.clone()));
            }
        }
        all.sort_by_key(|(last, ..)| std::cmp::Reverse(*last));
        let share = |(_, listen, client, socket): (_, _, _, Arc<tokio::net::UdpSocket>)| {
            let socket = socket.as_fd().try_clone_to_owned().doing("sharing a socket")?;
            Ok(FlowSocket { listen, client, socket })
        };
        all.into_iter().take(FLOWS).map(share).collect()
    }

    /// TCP connections under way, of ports that are still open or not any more.
    pub(crate) fn connections(&self) -> usize {
        usize::try_from(self.under_way.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// The same by upstream.
    pub(crate) fn uses(&self) -> Vec<UpstreamUse> {
        let uses = self.uses.lock().expect("no panic under this lock");
        let used = |(address, active): (&SocketAddr, &u32)| UpstreamUse {
            upstream: Upstream { address: *address },
            begun: 0,
            active: *active,
        };
        uses.iter().map(used).collect()
    }

    /// More handles of all open ports.
    pub(crate) fn sockets(&self) -> Result<Vec<PortSocket>> {
        let mut all = Vec::new();
        for port in self.ports.lock().expect("no panic under this lock").values() {
            for socket in port.sockets.lock().expect("no panic under this lock").iter() {
                let socket = socket.try_clone().doing("sharing a socket")?;
                all.push(PortSocket {
                    listen: port.listen,
                    socket,
                });
            }
        }
        Ok(all)
    }

    pub(crate) fn end(&self) {
        self.wanted.send_replace(None);
    }

    pub(crate) fn report(&self) -> Vec<StreamReport> {
        let ports = self.ports.lock().expect("no panic under this lock");
        let report = |port: &Arc<Port>| StreamReport {
            listen: port.listen,
            bound: port.bound.lock().expect("no panic under this lock").clone(),
            connections: port.connections.load(Relaxed),
            active: port.active.load(Relaxed),
            refused: port.refused.load(Relaxed),
            bytes_in: port.bytes_in.load(Relaxed),
            bytes_out: port.bytes_out.load(Relaxed),
        };
        ports.values().map(report).collect()
    }
}

async fn follow(mut changes: watch::Receiver<Option<Arc<Wanted>>>, ports: Ports, given: Given, counts: (Arc<AtomicU64>, Uses)) {
    let mut open: HashMap<StreamPort, Vec<tokio::task::JoinHandle<()>>> = HashMap::new();
    loop {
        let Some(wanted) = changes.borrow_and_update().clone() else {
            return;
        };
        open.retain(|listen, tasks| {
            let keep = wanted.contains_key(listen);
            if !keep {
                tasks.iter().for_each(tokio::task::JoinHandle::abort);
                if let Some(port) = ports.lock().expect("no panic under this lock").remove(listen) {
                    port.sockets.lock().expect("no panic under this lock").clear();
                    port.talkers.lock().expect("no panic under this lock").clear();
                }
            }
            keep
        });
        for (listen, stream) in wanted.iter() {
            let known = ports.lock().expect("no panic under this lock").get(listen).cloned();
            let failed = known
                .as_ref()
                .is_some_and(|port| port.bound.lock().expect("no panic under this lock").is_err());
            if let Some(port) = &known {
                *port.stream.lock().expect("no panic under this lock") = Arc::new(stream.clone());
            }
            if known.is_none() || failed {
                let (port, tasks) = begin(*listen, stream, taken(&given, *listen), &counts, !failed);
                ports.lock().expect("no panic under this lock").insert(*listen, port);
                open.insert(*listen, tasks);
            }
        }
        if !wanted.is_empty() {
            // What nobody wanted is closed.
            *given.lock().expect("no panic under this lock") = Default::default();
        }
        let failed = ports
            .lock()
            .expect("no panic under this lock")
            .values()
            .any(|port| port.bound.lock().expect("no panic under this lock").is_err());
        // A port that somebody holds may be free soon.
        let again = async {
            match failed {
                true => tokio::time::sleep(AGAIN).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}

/// The sockets of a port that were handed over, and those of its clients.
fn taken(given: &Given, listen: StreamPort) -> (Vec<OwnedFd>, Vec<FlowSocket>) {
    let mut given = given.lock().expect("no panic under this lock");
    let (own, others) = std::mem::take(&mut given.0)
        .into_iter()
        .partition(|one: &PortSocket| one.listen == listen);
    given.0 = others;
    let (flows, others) = std::mem::take(&mut given.1)
        .into_iter()
        .partition(|one: &FlowSocket| one.listen == listen);
    given.1 = others;
    (own.into_iter().map(|one| one.socket).collect(), flows)
}

/// On the sockets that are given, or on every address of both families.
fn begin(
    listen: StreamPort,
    stream: &EdgeStream,
    (given, mut flows): (Vec<OwnedFd>, Vec<FlowSocket>),
    (under_way, uses): &(Arc<AtomicU64>, Uses),
    aloud: bool,
) -> (Arc<Port>, Vec<tokio::task::JoinHandle<()>>) {
    let port = Arc::new(Port {
        listen,
        under_way: under_way.clone(),
        uses: uses.clone(),
        sockets: Mutex::default(),
        stream: Mutex::new(Arc::new(stream.clone())),
        bound: Mutex::new(Err("not yet".into())),
        talkers: Mutex::default(),
        next: AtomicUsize::new(0),
        connections: AtomicU64::new(0),
        active: Arc::default(),
        refused: AtomicU64::new(0),
        bytes_in: AtomicU64::new(0),
        bytes_out: AtomicU64::new(0),
    });
    let mut tasks = Vec::new();
    let mut bound = Err("no address".to_owned());
    let sockets: Vec<Result<Option<OwnedFd>>> = if given.is_empty() {
        let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        everywhere.map(|ip| bind(SocketAddr::new(ip, listen.port), listen.protocol)).into()
    } else {
        given.into_iter().map(|socket| Ok(Some(socket))).collect()
    };
    for socket in sockets {
        let opened = match socket {
            Ok(Some(socket)) => open(socket, &port, &mut flows).map(Some).map_err(|error| error.to_string()),
            Ok(None) => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok(Some((local, task))) => {
                tasks.push(task);
                bound = Ok(local);
            }
            Ok(None) => {}
            Err(why) => {
                if aloud {
                    tracing::warn!(%listen, "the port cannot be opened: {why}");
                }
                bound = Err(why);
                break;
            }
        }
    }
    *port.bound.lock().expect("no panic under this lock") = bound;
    (port, tasks)
}

/// `Ok(None)`: this machine has no such family.
fn bind(address: SocketAddr, protocol: Transport) -> Result<Option<OwnedFd>> {
    Ok(match protocol {
        Transport::Tcp => listen::bind(address)?.map(OwnedFd::from),
        Transport::Udp => listen::bind_udp(address)?.map(OwnedFd::from),
    })
}

/// Serves a socket that listens.
fn open(socket: OwnedFd, port: &Arc<Port>, flows: &mut Vec<FlowSocket>) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let another = socket.as_fd().try_clone_to_owned()?;
    let (local, task) = match port.listen.protocol {
        Transport::Tcp => {
            let listener = TcpListener::from_std(socket.into())?;
            (listener.local_addr()?, tokio::spawn(accept(listener, port.clone())))
        }
        Transport::Udp => {
            let socket = Arc::new(tokio::net::UdpSocket::from_std(socket.into())?);
            let local = socket.local_addr()?;
            go_on(&socket, port, flows.extract_if(.., |flow| flow.client.is_ipv4() == local.is_ipv4()));
            (local, tokio::spawn(relay(socket, port.clone())))
        }
    };
    port.sockets.lock().expect("no panic under this lock").push(another);
    Ok((local, task))
}

impl Port {
    fn stream(&self) -> Arc<EdgeStream> {
        self.stream.lock().expect("no panic under this lock").clone()
    }
    fn admits(&self, stream: &EdgeStream, client: IpAddr) -> bool {
        let full = stream.max_connections > 0 && self.active.load(Relaxed) >= u64::from(stream.max_connections);
        let allowed = stream.allow.is_empty() || holds(&stream.allow, client.to_canonical());
        if full || !allowed {
            self.refused.fetch_add(1, Relaxed);
        }
        allowed && !full
    }
}

async fn accept(listener: TcpListener, port: Arc<Port>) {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let stream = port.stream();
                if !port.admits(&stream, peer.ip()) {
                    continue;
                }
                port.connections.fetch_add(1, Relaxed);
                port.active.fetch_add(1, Relaxed);
                port.under_way.fetch_add(1, Relaxed);
                let port = port.clone();
                tokio::spawn(async move {
                    pass(&port, &stream, client, peer).await;
                    port.active.fetch_sub(1, Relaxed);
                    port.under_way.fetch_sub(1, Relaxed);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection to an upstream.
struct Use<'a>(&'a Uses, SocketAddr);

impl Use<'_> {
    fn begin(uses: &Uses, upstream: SocketAddr) -> Use<'_> {
        *uses.lock().expect("no panic under this lock").entry(upstream).or_default() += 1;
        Use(uses, upstream)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let mut uses = self.0.lock().expect("no panic under this lock");
        if let Some(active) = uses.get_mut(&self.1) {
            *active -= 1;
            if *active == 0 {
                uses.remove(&self.1);
            }
        }
    }
}

async fn pass(port: &Port, stream: &EdgeStream, mut client: TcpStream, peer: SocketAddr) {
    let _ = client.set_nodelay(true);
    let first = port.next.fetch_add(1, Relaxed);
    let count = stream.upstreams.len();
    for n in 0..count {
        let address = stream.upstreams[(first + n) % count].address;
        let Ok(Ok(mut upstream)) = timeout(CONNECT, TcpStream::connect(address)).await else {
            continue;
        };
        let _ = upstream.set_nodelay(true);
        let _under_way = Use::begin(&port.uses, address);
        if let (Some(version), Ok(local)) = (stream.proxy_protocol, client.local_addr())
            && upstream
                .write_all(&proxy_protocol::header(version, Some((peer, local))))
                .await
                .is_err()
        {
            continue;
        }
        if let Ok((bytes_in, bytes_out)) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
            port.bytes_in.fetch_add(bytes_in, Relaxed);
            port.bytes_out.fetch_add(bytes_out, Relaxed);
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_after_the_end_does_not_go_on() {
        let (streams, thread) = Streams::start().expect("started");
        streams.end();
        streams.apply(&Wanted::new());
        assert!(streams.wanted.borrow().is_none(), "it has ended");
        thread.join().expect("it ends");
    }
}
