//! Binds ports, and says in words why one cannot be bound.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
};
use types::{Doing, EdgeSettings, Error, Result, StreamPort};

/// Where the edge listens in fact: with port 0 in the settings, the port that the system chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    pub panel: Vec<SocketAddr>,
}

/// The sockets on which the edge listens. They can be shared with another edge, also of another process: while one of
/// them is open somewhere, no connection is refused.
#[derive(Debug)]
pub struct Listeners {
    pub http: Vec<TcpListener>,
    pub https: Vec<TcpListener>,
    pub panel: Vec<TcpListener>,
}

/// A port without HTTP, listening; one of possibly two, since each family has its own. As [`Listeners`] it can be shared.
#[derive(Debug)]
pub struct PortSocket {
    pub listen: StreamPort,
    pub socket: OwnedFd,
}

impl PortSocket {
    /// One more handle of the same socket.
    pub fn try_clone(&self) -> Result<PortSocket> {
        Ok(PortSocket {
            listen: self.listen,
            socket: self.socket.try_clone().doing("sharing a socket")?,
        })
    }
}

impl Listeners {
    /// Fails with `Busy` in words when a port cannot be had.
    pub fn bind(settings: &EdgeSettings) -> Result<Listeners> {
        let all =
            |addresses: &[SocketAddr]| -> Result<Vec<_>> { addresses.iter().filter_map(|address| bind(*address).transpose()).collect() };
        Ok(Listeners {
            http: all(&settings.http)?,
            https: all(&settings.https)?,
            panel: all(&settings.panel)?,
        })
    }

    /// More handles of the same sockets.
    pub fn try_clone(&self) -> Result<Listeners> {
        let all = |listeners: &[TcpListener]| -> Result<Vec<_>> {
            listeners.iter().map(|one| one.try_clone().doing("sharing a socket")).collect()
        };
        Ok(Listeners {
            http: all(&self.http)?,
            https: all(&self.https)?,
            panel: all(&self.panel)?,
        })
    }

    pub fn bound(&self) -> Result<Bound> {
        let all = |listeners: &[TcpListener]| -> Result<Vec<_>> {
            let address = |one: &TcpListener| one.local_addr().doing("asking for the bound address");
            listeners.iter().map(address).collect()
        };
        Ok(Bound {
            http: all(&self.http)?,
            https: all(&self.https)?,
            panel: all(&self.panel)?,
        })
    }
}

/// A listening socket on `address`, not blocking. An IPv6 one takes IPv6 only, so both families can be bound.
/// `Ok(None)`: this machine has no IPv6, and `address` is "any IPv6 address".
/// Fails with `Busy` that names the holder of a port that is taken.
pub(crate) fn bind(address: SocketAddr) -> Result<Option<TcpListener>> {
    match try_bind(address) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && no_ipv6(&error) => {
            tracing::warn!(%address, "this machine has no IPv6; not listening there");
            Ok(None)
        }
        Err(error) => Err(explain(address, error)),
    }
}

fn try_bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    use rustix::net::{SocketType, bind, ipproto, listen, sockopt};
    let socket = open(address, SocketType::STREAM, ipproto::TCP)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, 4096)?;
    Ok(TcpListener::from(socket))
}

fn try_bind_udp(address: SocketAddr) -> std::io::Result<UdpSocket> {
    use rustix::net::{SocketType, bind, ipproto};
    let socket = open(address, SocketType::DGRAM, ipproto::UDP)?;
    bind(&socket, &address)?;
    Ok(UdpSocket::from(socket))
}

/// A socket of the address's family, and of no other.
fn open(address: SocketAddr, kind: rustix::net::SocketType, protocol: rustix::net::Protocol) -> std::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, socket_with, sockopt};
    let family = if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

/// As [`bind`], for datagrams.
pub(crate) fn bind_udp(address: SocketAddr) -> Result<Option<UdpSocket>> {
    match try_bind_udp(address) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && no_ipv6(&error) => Ok(None),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(Error::busy(format!("UDP port {} is taken by another program", address.port())))
        }
        Err(error) => Err(explain(address, error)),
    }
}

fn no_ipv6(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn explain(address: SocketAddr, error: std::io::Error) -> Error {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => Error::busy(match holder(port) {
            Some((name, pid)) => format!("port {port} is taken by {name} (pid {pid})"),
            None => format!("port {port} is taken by another program"),
        }),
        ErrorKind::PermissionDenied => Error::busy(format!("port {port} may only be used by root or with CAP_NET_BIND_SERVICE")),
        ErrorKind::AddrNotAvailable => Error::busy(format!("{} is not an address of this machine", address.ip())),
        _ => Error::internal(format!("listening on {address}"), error),
    }
}

/// Name and pid of a process that listens on TCP `port`. Source: `/proc/net/tcp{,6}` and `/proc/PID/fd`; processes of
/// other users show their sockets to root only.
fn holder(port: u16) -> Option<(String, u32)> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        for file in files.flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            if target.to_str().is_some_and(|target| inodes.iter().any(|inode| inode == target)) {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                return Some((name.trim().to_owned(), pid));
            }
        }
    }
    None
}

/// The inodes of sockets that listen on `port` (state `0A`), from the text of `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let local = fields.get(1)?.rsplit(':').next()?;
            let is_it = u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == "0A";
            is_it.then(|| (*fields.get(9).unwrap_or(&"")).to_owned())
        })
        .collect()
}

/// One more handle of the same listening socket, for another thread's event loop.
pub(crate) fn share(listener: &TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener.try_clone()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder() {
        let first = bind("127.0.0.1:0".parse().expect("address")).expect("bound").expect("IPv4");
        let address = first.local_addr().expect("bound");
        let error = bind(address).expect_err("taken").to_string();
        assert!(error.starts_with(&format!("port {} is taken by ", address.port())), "{error}");
        assert!(error.ends_with(&format!("(pid {})", std::process::id())), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_said_so() {
        let error = bind("192.0.2.1:0".parse().expect("address")).expect_err("not ours").to_string();
        assert_eq!(error, "192.0.2.1 is not an address of this machine");
    }

    #[test]
    fn both_families_share_a_port() {
        let six = bind("[::]:0".parse().expect("address")).expect("bound");
        if let Some(six) = six {
            let port = six.local_addr().expect("bound").port();
            assert!(bind(SocketAddr::from(([0, 0, 0, 0], port))).expect("bound").is_some());
        }
    }
}
