//! The two sockets of the API.
//!
//! `panel.sock` is for people and programs on the machine: whoever connects is known by the kernel's word (peer
//! credentials), and root and the server's own user are let in without signing in. `edge.sock` is what the edge dials:
//! the edge is this very process, so credentials would say nothing there and are never looked at, and the client's
//! address in `X-Real-IP` is believed.

use poem::{
    Addr, Request,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use std::{
    fs::{Permissions, set_permissions},
    io,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::UnixStream;
use types::{Doing, Error, Result};

/// Which socket a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `panel.sock`, and whose process it is.
    Machine { uid: u32 },
    /// `edge.sock`.
    Edge,
    /// Neither: credentials could not be read, or a test.
    Unknown,
}

const MACHINE: &str = "machine";
const EDGE: &str = "edge";

impl Door {
    pub fn of(request: &Request) -> Door {
        match &request.remote_addr().0 {
            Addr::Custom(MACHINE, uid) => uid.parse().map_or(Door::Unknown, |uid| Door::Machine { uid }),
            Addr::Custom(EDGE, _) => Door::Edge,
            _ => Door::Unknown,
        }
    }
}

/// The sockets, bound. Handles of them can be passed on, also to another process.
#[derive(Debug)]
pub struct Sockets {
    pub panel: UnixListener,
    pub edge: UnixListener,
}

impl Sockets {
    /// Where the two are in a data folder: `panel.sock` and `edge.sock`.
    pub fn paths(data: &Path) -> (PathBuf, PathBuf) {
        (data.join("panel.sock"), data.join("edge.sock"))
    }

    /// Binds both, readable for the owner only. Sockets left behind by a crash are replaced: the store's lock has made
    /// sure by now that no other panel uses this folder.
    pub fn bind(data: &Path) -> Result<Sockets> {
        let (panel, edge) = Sockets::paths(data);
        Ok(Sockets {
            panel: bind(&panel)?,
            edge: bind(&edge)?,
        })
    }

    /// More handles of the same sockets.
    pub fn try_clone(&self) -> Result<Sockets> {
        Ok(Sockets {
            panel: self.panel.try_clone().doing("sharing a socket")?,
            edge: self.edge.try_clone().doing("sharing a socket")?,
        })
    }

    /// Removes their files, when the panel stops for good.
    pub fn remove(data: &Path) {
        let (panel, edge) = Sockets::paths(data);
        for path in [panel, edge] {
            let _ = std::fs::remove_file(path);
        }
    }

    /// For the server: the machine's door and the edge's. Needs a runtime.
    pub(crate) fn doors(self) -> Result<(Socket, Socket)> {
        let door = |listener: UnixListener, is_edge| -> Result<Socket> {
            listener.set_nonblocking(true).doing("preparing a socket")?;
            let path = listener.local_addr().doing("preparing a socket")?;
            Ok(Socket {
                path: path.as_pathname().unwrap_or(Path::new("")).to_owned(),
                listener: tokio::net::UnixListener::from_std(listener).doing("preparing a socket")?,
                is_edge,
            })
        };
        Ok((door(self.panel, false)?, door(self.edge, true)?))
    }
}

fn bind(path: &Path) -> Result<UnixListener> {
    // sockaddr_un holds 107 bytes and a zero.
    if path.as_os_str().len() > 107 {
        return Err(Error::invalid(
            "data",
            format!(
                "{} is too long for a Unix socket (107 bytes at most); choose a shorter folder",
                path.display()
            ),
        ));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).doing(format!("removing {}", path.display())),
        _ => {}
    }
    let listener = UnixListener::bind(path).doing(format!("listening on {}", path.display()))?;
    set_permissions(path, Permissions::from_mode(0o600)).doing(format!("protecting {}", path.display()))?;
    Ok(listener)
}

/// One of them, served.
pub(crate) struct Socket {
    listener: tokio::net::UnixListener,
    path: PathBuf,
    is_edge: bool,
}

impl Acceptor for Socket {
    type Io = UnixStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![self.local()]
    }

    async fn accept(&mut self) -> io::Result<(UnixStream, LocalAddr, RemoteAddr, Scheme)> {
        let (stream, _) = match self.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: poem asks again at once.
                tracing::warn!("{}: {error}", self.path.display());
                tokio::time::sleep(Duration::from_millis(100)).await;
                return Err(error);
            }
        };
        let remote = match (self.is_edge, stream.peer_cred()) {
            (true, _) => Addr::Custom(EDGE, "edge".into()),
            (false, Ok(peer)) => Addr::Custom(MACHINE, peer.uid().to_string().into()),
            (false, Err(_)) => Addr::default(),
        };
        Ok((stream, self.local(), RemoteAddr(remote), Scheme::HTTP))
    }
}

impl Socket {
    fn local(&self) -> LocalAddr {
        LocalAddr(Addr::custom("unix", self.path.display().to_string()))
    }
}

/// Where a request comes from: its address as the edge saw it, `None` on the machine itself.
pub(crate) fn address(request: &Request) -> Option<String> {
    match Door::of(request) {
        Door::Edge => {
            let address = request.header("x-real-ip")?;
            address.parse::<std::net::IpAddr>().ok().map(|address| address.to_string())
        }
        Door::Machine { .. } | Door::Unknown => None,
    }
}
