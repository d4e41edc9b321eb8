//! The UDP socket of HTTP/3, which one edge can share with the next one. While both have it, either may get any datagram;
//! what belongs to a connection of the other one is passed on over a pair of sockets. So connections live on where they
//! began until they end, and new ones are taken all the time.
//!
//! A datagram names its connection (RFC 9000, 17): each edge signs the names that it gives with a key of its own.

use arc_swap::ArcSwapOption;
use futures::task::AtomicWaker;
use quinn::{
    AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Runtime, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};
use std::{
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixDatagram as StdLine},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{io::ReadBuf, net::UnixDatagram};
use types::{Doing, Result, World};

/// A socket of HTTP/3 as it is handed over: both edges keep a handle of it, and each has one end of the line.
#[derive(Debug)]
pub struct QuicSocket {
    /// The HTTPS address that it belongs to.
    pub listen: SocketAddr,
    pub socket: OwnedFd,
    pub line: OwnedFd,
}

impl QuicSocket {
    /// More handles of the same two.
    pub fn try_clone(&self) -> Result<QuicSocket> {
        Ok(QuicSocket {
            listen: self.listen,
            socket: self.socket.try_clone().doing("sharing a socket")?,
            line: self.line.try_clone().doing("sharing a socket")?,
        })
    }
}

const NONCE: usize = 4;
const NAME: usize = 8;

/// Names connections so that this edge knows its own ones.
#[derive(Clone)]
pub(crate) struct Names {
    key: RandomState,
    world: World,
}

impl Names {
    pub(crate) fn new(world: World) -> Names {
        Names {
            key: RandomState::new(),
            world,
        }
    }

    fn signature(&self, nonce: &[u8]) -> [u8; NAME - NONCE] {
        let hash = self.key.hash_one(nonce).to_le_bytes();
        std::array::from_fn(|at| hash[at])
    }

    fn gave(&self, name: &[u8]) -> bool {
        name.len() == NAME && name[NONCE..] == self.signature(&name[..NONCE])
    }

    /// Whether a datagram belongs to a connection that another edge has. The first ones of a connection (Initial, 0-RTT)
    /// are for whoever gets them.
    fn are_anothers(&self, datagram: &[u8]) -> bool {
        const LONG: u8 = 0x80;
        const KIND: u8 = 0x30;
        const HANDSHAKE: u8 = 0x20;
        let name = match datagram.first() {
            Some(first) if first & LONG == 0 => datagram.get(1..1 + NAME),
            Some(first) if first & KIND == HANDSHAKE => datagram.get(5).and_then(|length| datagram.get(6..6 + usize::from(*length))),
            _ => None,
        };
        name.is_some_and(|name| !self.gave(name))
    }
}

impl ConnectionIdGenerator for Names {
    fn generate_cid(&mut self) -> ConnectionId {
        let nonce: [u8; NONCE] = self.world.bytes();
        let mut name = [0; NAME];
        name[..NONCE].copy_from_slice(&nonce);
        name[NONCE..].copy_from_slice(&self.signature(&nonce));
        ConnectionId::new(&name)
    }
    fn cid_len(&self) -> usize {
        NAME
    }
    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// What quinn reads from and writes to.
pub(crate) struct Shared {
    socket: Arc<dyn AsyncUdpSocket>,
    /// One more of the same, to be shared.
    handle: OwnedFd,
    names: Names,
    /// To the other edge that has this socket.
    line: ArcSwapOption<UnixDatagram>,
    /// One that the runtime does not know yet.
    new_line: Mutex<Option<StdLine>>,
    /// Only the other one reads the socket now.
    left: AtomicBool,
    reader: AtomicWaker,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(socket: UdpSocket, names: Names, line: Option<OwnedFd>) -> io::Result<Arc<Shared>> {
        let handle = socket.try_clone()?.into();
        Ok(Arc::new(Shared {
            socket: quinn::TokioRuntime.wrap_udp_socket(socket)?,
            handle,
            names,
            line: ArcSwapOption::empty(),
            new_line: Mutex::new(line.map(StdLine::from)),
            left: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }))
    }

    /// For an edge that is to share it: the socket, and one end of a new line; the line before that is given up.
    pub(crate) fn handles(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let socket = self.handle.try_clone()?;
        let (own, theirs) = StdLine::pair()?;
        *self.new_line.lock().expect("no panic under this lock") = Some(own);
        self.reader.wake();
        Ok((socket, theirs.into()))
    }

    /// From now on the other edge reads, if there is one, and passes on what is for this one.
    pub(crate) fn leave(&self) {
        if self.line.load().is_some() || self.new_line.lock().expect("no panic under this lock").is_some() {
            self.left.store(true, Relaxed);
            self.reader.wake();
        }
    }

    fn line(&self) -> Option<Arc<UnixDatagram>> {
        let new = self.new_line.lock().expect("no panic under this lock").take();
        if let Some(new) = new {
            let known = new.set_nonblocking(true).and_then(|()| UnixDatagram::from_std(new));
            match known {
                Ok(line) => self.line.store(Some(Arc::new(line))),
                Err(error) => tracing::warn!("datagrams cannot be passed on: {error}"),
            }
        }
        self.line.load_full()
    }

    /// As datagrams may, they are lost when the other one does not keep up.
    fn pass_on(&self, line: &UnixDatagram, datagrams: &[u8], meta: &RecvMeta) {
        for datagram in datagrams.chunks(meta.stride.max(1)) {
            if let Err(error) = line.try_send(&Passed::of(meta).with(datagram))
                && matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected
                )
            {
                return self.line.store(None); // it has ended
            }
        }
    }
}

impl AsyncUdpSocket for Shared {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }
    fn poll_recv(&self, context: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        self.reader.register(context.waker());
        let line = self.line();
        if let Some(line) = &line
            && Passed::receive(line, context, &mut bufs[0], &mut meta[0]).is_ready()
        {
            return Poll::Ready(Ok(1));
        }
        if self.left.load(Relaxed) {
            return Poll::Pending;
        }
        let count = ready!(self.socket.poll_recv(context, bufs, meta))?;
        if let Some(line) = &line {
            for (buf, meta) in bufs.iter().zip(&mut *meta).take(count) {
                if self.names.are_anothers(&buf[..meta.len]) {
                    self.pass_on(line, &buf[..meta.len], meta);
                    meta.len = 0; // nothing is left of it here
                }
            }
        }
        Poll::Ready(Ok(count))
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }
    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }
    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// Where a datagram is from, before it on the line: address and port of its sender, what it was sent to, and its ECN bits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Passed {
    from: SocketAddr,
    to: Option<IpAddr>,
    ecn: u8,
}

const HEAD: usize = 16 + 2 + 1 + 16 + 1;
/// The longest that QUIC sends here (`EndpointConfig::max_udp_payload_size`), and some room.
const DATAGRAM: usize = 2048;

impl Passed {
    fn of(meta: &RecvMeta) -> Passed {
        Passed {
            from: meta.addr,
            to: meta.dst_ip,
            ecn: meta.ecn.map_or(0, |ecn| ecn as u8),
        }
    }

    fn with(self, datagram: &[u8]) -> Vec<u8> {
        let six = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let mut out = Vec::with_capacity(HEAD + datagram.len());
        out.extend_from_slice(&six(self.from.ip()));
        out.extend_from_slice(&self.from.port().to_be_bytes());
        out.push(u8::from(self.to.is_some()));
        out.extend_from_slice(&self.to.map_or([0; 16], six));
        out.push(self.ecn);
        out.extend_from_slice(datagram);
        out
    }

    /// The head of a message; `None` if it is none.
    fn read(message: &[u8]) -> Option<(Passed, &[u8])> {
        let (head, datagram) = message.split_at_checked(HEAD)?;
        let ip = |at: usize| -> Option<IpAddr> {
            let bytes: [u8; 16] = head.get(at..at + 16)?.try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        };
        let port = u16::from_be_bytes([head[16], head[17]]);
        let passed = Passed {
            from: SocketAddr::new(ip(0)?, port),
            to: if head[18] == 1 { ip(19) } else { None },
            ecn: head[35],
        };
        Some((passed, datagram))
    }

    /// The next datagram of the line into the first place.
    fn receive(line: &UnixDatagram, context: &mut Context<'_>, buf: &mut IoSliceMut<'_>, meta: &mut RecvMeta) -> Poll<()> {
        let mut message = [0; HEAD + DATAGRAM];
        loop {
            let mut read = ReadBuf::new(&mut message);
            // A line that breaks has nothing more to say.
            let Poll::Ready(Ok(())) = line.poll_recv(context, &mut read) else {
                return Poll::Pending;
            };
            let Some((passed, datagram)) = Passed::read(read.filled()).filter(|(_, datagram)| datagram.len() <= buf.len()) else {
                continue;
            };
            buf[..datagram.len()].copy_from_slice(datagram);
            meta.addr = passed.from;
            meta.dst_ip = passed.to;
            meta.ecn = EcnCodepoint::from_bits(passed.ecn);
            meta.len = datagram.len();
            meta.stride = datagram.len();
            return Poll::Ready(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_knows_its_own_connections() {
        let (mut own, other) = (Names::new(World::system()), Names::new(World::system()));
        let name = own.generate_cid();
        let short = [&[0x40], &name[..], b"payload"].concat();
        let handshake = [&[0xe0, 0, 0, 0, 1, 8], &name[..], b"payload"].concat();
        let initial = [&[0xc0, 0, 0, 0, 1, 8], &name[..], b"payload"].concat();
        for datagram in [&short, &handshake] {
            assert!(!own.are_anothers(datagram) && other.are_anothers(datagram));
        }
        assert!(!other.are_anothers(&initial), "who gets it, has it");
        for cut in 0..9 {
            assert!(!own.are_anothers(&short[..cut]), "a datagram that is too short is nobody's");
        }
    }

    #[test]
    fn where_a_datagram_is_from_survives_the_line() {
        for (from, to) in [("192.0.2.1:5", Some("198.51.100.2")), ("[2001:db8::1]:65535", None)] {
            let passed = Passed {
                from: from.parse().expect("an address"),
                to: to.map(|ip| ip.parse().expect("an address")),
                ecn: 0b10,
            };
            assert_eq!(Passed::read(&passed.with(b"hello")), Some((passed, b"hello".as_slice())));
        }
        assert_eq!(Passed::read(&[0; HEAD - 1]), None);
    }
}
