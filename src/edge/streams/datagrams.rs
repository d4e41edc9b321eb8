//! UDP by port: each client has a socket of its own towards the app.

use super::Port;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use types::{Doing, Result, StreamPort};

/// A UDP client that is silent for so long is forgotten.
const SILENT: Duration = Duration::from_secs(60);
/// UDP clients at once, where a port has no limit of its own.
const UDP_CLIENTS: usize = 10_000;
const DATAGRAM: usize = 65_536;

/// The way of one UDP client through a port: the socket on which its app knows it.
#[derive(Debug)]
pub struct FlowSocket {
    pub listen: StreamPort,
    pub client: SocketAddr,
    pub socket: OwnedFd,
}

impl FlowSocket {
    /// One more handle of the same socket.
    pub fn try_clone(&self) -> Result<FlowSocket> {
        Ok(FlowSocket {
            listen: self.listen,
            client: self.client,
            socket: self.socket.try_clone().doing("sharing a socket")?,
        })
    }
}

/// One UDP client: a socket of its own towards the upstream, so that answers find their way back.
pub(super) struct Talker {
    pub(super) socket: Arc<tokio::net::UdpSocket>,
    pub(super) last: Arc<Mutex<Instant>>,
    task: tokio::task::JoinHandle<()>,
    active: Arc<AtomicU64>,
}

impl Drop for Talker {
    fn drop(&mut self) {
        // It holds the socket of the port, which could not be opened again otherwise.
        self.task.abort();
        self.active.fetch_sub(1, Relaxed);
    }
}

pub(super) async fn relay(socket: Arc<tokio::net::UdpSocket>, port: Arc<Port>) {
    let mut datagram = vec![0; DATAGRAM];
    let mut tidy = tokio::time::interval(Duration::from_secs(5));
    loop {
        let (size, client) = tokio::select! {
            received = socket.recv_from(&mut datagram) => match received {
                Ok(received) => received,
                Err(_) => continue, // an answer to an answer: a client's port was closed
            },
            _ = tidy.tick() => {
                let mut talkers = port.talkers.lock().expect("no panic under this lock");
                talkers.retain(|_, talker| talker.last.lock().expect("no panic under this lock").elapsed() < SILENT);
                continue;
            }
        };
        let Some(way) = way_of(&socket, &port, client) else { continue };
        port.bytes_in.fetch_add(size as u64, Relaxed);
        // UDP may lose datagrams: here when the upstream's port is closed.
        let _ = way.send(&datagram[..size]).await;
    }
}

/// The socket of a client, which is made if need be; `None`: it may not come, or the machine has no more sockets.
fn way_of(socket: &Arc<tokio::net::UdpSocket>, port: &Arc<Port>, client: SocketAddr) -> Option<Arc<tokio::net::UdpSocket>> {
    let stream = port.stream();
    let mut talkers = port.talkers.lock().expect("no panic under this lock");
    if let Some(talker) = talkers.get(&client) {
        *talker.last.lock().expect("no panic under this lock") = Instant::now();
        return Some(talker.socket.clone());
    }
    if stream.upstreams.is_empty() || talkers.len() >= UDP_CLIENTS || !port.admits(&stream, client.ip()) {
        return None;
    }
    let first = port.next.fetch_add(1, Relaxed);
    let upstream = stream.upstreams[first % stream.upstreams.len()].address;
    let talker = towards(upstream).and_then(|way| talk(socket, port, client, way)).ok()?;
    let way = talker.socket.clone();
    talkers.insert(client, talker);
    Some(way)
}

/// Clients of the process before keep their ways, as far as these lead where the port leads still.
pub(super) fn go_on(socket: &Arc<tokio::net::UdpSocket>, port: &Arc<Port>, flows: impl Iterator<Item = FlowSocket>) {
    let stream = port.stream();
    let mut talkers = port.talkers.lock().expect("no panic under this lock");
    for flow in flows {
        let way = UdpSocket::from(flow.socket);
        let leads = way
            .peer_addr()
            .is_ok_and(|to| stream.upstreams.iter().any(|upstream| upstream.address == to));
        if let (true, Ok(talker)) = (leads, talk(socket, port, flow.client, way)) {
            talkers.insert(flow.client, talker);
        }
    }
}

fn towards(upstream: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = if upstream.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(upstream)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Brings answers that come on `way` to the client.
fn talk(listening: &Arc<tokio::net::UdpSocket>, port: &Arc<Port>, client: SocketAddr, way: UdpSocket) -> std::io::Result<Talker> {
    let socket = Arc::new(tokio::net::UdpSocket::from_std(way)?);
    let last = Arc::new(Mutex::new(Instant::now()));
    let (own, listening, counted, heard) = (socket.clone(), listening.clone(), port.clone(), last.clone());
    let task = tokio::spawn(async move {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            match own.recv(&mut datagram).await {
                Ok(size) => {
                    *heard.lock().expect("no panic under this lock") = Instant::now();
                    counted.bytes_out.fetch_add(size as u64, Relaxed);
                    let _ = listening.send_to(&datagram[..size], client).await;
                }
                // The upstream's port is closed just now.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    port.connections.fetch_add(1, Relaxed);
    port.active.fetch_add(1, Relaxed);
    Ok(Talker {
        socket,
        last,
        task,
        active: port.active.clone(),
    })
}
