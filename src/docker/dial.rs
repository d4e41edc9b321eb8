//! Ways to an engine. Everything above needs nothing of one but a stream of bytes to the engine's API, so an engine on
//! another machine is another way and nothing else.

use crate::transport::Address;
use futures::future::BoxFuture;
use std::{fmt, io, path::Path};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// What a connection is made of.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Opens streams to one engine.
pub trait Dial: fmt::Debug + Send + Sync {
    /// A new stream; dropping it closes it at the other end too.
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>>;
    /// Whether the engine runs beside us, on this machine's kernel.
    fn is_local(&self) -> bool;
    /// Why no stream could be opened, and what to do about it.
    fn trouble(&self, cause: &io::Error) -> (String, String);
}

impl Dial for Address {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>> {
        Box::pin(async move {
            Ok(match self {
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Wire>,
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream) as Box<dyn Wire>
                }
            })
        })
    }

    fn is_local(&self) -> bool {
        matches!(self, Address::Unix(_))
    }

    fn trouble(&self, cause: &io::Error) -> (String, String) {
        match (self, cause.kind()) {
            (Address::Unix(path), io::ErrorKind::PermissionDenied) => (
                format!("no permission to use the Docker engine's socket {}", path.display()),
                "usermod -aG docker USER, then sign in again; or run serverkit as root".to_owned(),
            ),
            (Address::Unix(_), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => match is_installed() {
                true => (
                    "Docker is installed but not running".to_owned(),
                    "systemctl enable --now docker".to_owned(),
                ),
                false => (
                    "Docker is not installed".to_owned(),
                    "apt-get install -y docker.io, or see https://docs.docker.com/engine/install".to_owned(),
                ),
            },
            (Address::Unix(path), _) => (
                format!("the Docker engine's socket {} does not work: {cause}", path.display()),
                "systemctl restart docker".to_owned(),
            ),
            (Address::Tcp(address), _) => (
                format!("no Docker engine answers at {address}: {cause}"),
                "start it, or set DOCKER_HOST to where it listens".to_owned(),
            ),
        }
    }
}

fn is_installed() -> bool {
    [
        "/usr/bin/dockerd",
        "/usr/sbin/dockerd",
        "/usr/local/bin/dockerd",
        "/snap/bin/dockerd",
    ]
    .iter()
    .any(|path| Path::new(path).exists())
}
