//! One socket, as pingora's sessions take it: with a small write buffer, so that a head and a short body leave in one
//! packet and one TLS record; and, towards clients, with the watch that ends it when it is idle or too slow.

mod batched;
mod io;
mod watch;

pub(crate) use batched::Batched;
pub(crate) use io::{Io, SharedWriter};
pub(crate) use watch::{Over, Watch};

use self::io::{ReadHalf, WriteHalf};
use crate::worker::Greeting;
use async_trait::async_trait;
use bytes::BytesMut;
use http::HeaderValue;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID, raw_connect::ProxyDigest,
};
use std::{
    fmt,
    io::{ErrorKind, IoSlice, Result},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Writes up to this size wait in the buffer for the next one or a flush; one TLS record.
const BUFFER: usize = 16 << 10;

/// Which of the edge's ports a client came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Http,
    Https,
    Panel,
    /// Plain HTTP sent to a TLS port: all it gets is the way to `https://`.
    Mistaken,
}

/// A connected client: where it came from, and the watch over its silence.
#[derive(Debug)]
pub(crate) struct Guest {
    /// The client: the peer, or whom the PROXY protocol names.
    pub ip: IpAddr,
    /// The peer is a proxy that is believed.
    pub trusted: bool,
    /// The client's address and port, and ours or the proxy's that it came to.
    pub between: (SocketAddr, SocketAddr),
    /// The client's address as header value; made once, shared by all its requests.
    pub address: HeaderValue,
    pub port: Port,
    /// Our port, as header value.
    pub port_text: HeaderValue,
    pub local: SocketAddr,
    /// The name in the TLS greeting, lower case.
    pub server_name: Option<Box<str>>,
    pub watch: Watch,
    pub greeting: Greeting,
    /// Whether bytes may still come that nobody will read; then the socket is drained before it is closed, or the
    /// client would lose our answer to the reset (RFC 9112, 9.6).
    pub linger: AtomicBool,
}

impl Guest {
    pub(crate) fn secure(&self) -> bool {
        matches!(self.port, Port::Https | Port::Panel)
    }
}

/// The milliseconds of a worker's coarse clock.
pub(crate) type Ticks = Arc<AtomicU64>;

pub(crate) struct Connection {
    io: Io,
    waiting: Vec<u8>,
    written: usize,
    guest: Option<(Arc<Guest>, Ticks)>,
    /// Bytes that were read and are to be read again.
    unread: BytesMut,
    /// What is written until the next flush was sent already.
    sent_already: bool,
}

impl Connection {
    pub(crate) fn to_client(io: Io, guest: Arc<Guest>, ticks: Ticks) -> Connection {
        Connection {
            io,
            waiting: Vec::new(),
            written: 0,
            guest: Some((guest, ticks)),
            unread: BytesMut::new(),
            sent_already: false,
        }
    }
    pub(crate) fn to_upstream(io: Io) -> Connection {
        Connection {
            io,
            waiting: Vec::new(),
            written: 0,
            guest: None,
            unread: BytesMut::new(),
            sent_already: false,
        }
    }
    /// For writing without a copy: what is put here is sent with the next flush.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }
    /// Makes it as if the last request had not been sent and `answer` had not been read, for a session of pingora's to
    /// take over: its writes up to a flush go nowhere, and it reads `answer` first.
    pub(crate) fn take_back(&mut self, answer: BytesMut) {
        self.sent_already = true;
        self.unread = answer;
    }
    /// Splits it; the writer may be used beside the session that owns `self`.
    pub(crate) fn split(&mut self) -> Option<SharedWriter> {
        let (read, write) = match std::mem::replace(&mut self.io, Io::Gone) {
            Io::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Io::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
            Io::TlsOut(stream) => {
                let (read, write) = tokio::io::split(stream);
                (ReadHalf::Tls(read), WriteHalf::Tls(write))
            }
            other => {
                self.io = other;
                return None;
            }
        };
        let writer = SharedWriter(Arc::new(Mutex::new(write)));
        self.io = Io::Split(read, writer.clone());
        Some(writer)
    }
    /// Makes it whole again; false if the other writer still lives, and then it cannot be used again.
    pub(crate) fn unsplit(&mut self) -> bool {
        let Io::Split(read, writer) = std::mem::replace(&mut self.io, Io::Gone) else {
            return true;
        };
        let Some(writer) = Arc::into_inner(writer.0) else { return false };
        let Ok(writer) = writer.into_inner() else { return false };
        self.io = match (read, writer) {
            (ReadHalf::Tcp(read), WriteHalf::Tcp(write)) => match read.reunite(write) {
                Ok(stream) => Io::Tcp(stream),
                Err(_) => return false,
            },
            (ReadHalf::Unix(read), WriteHalf::Unix(write)) => match read.reunite(write) {
                Ok(stream) => Io::Unix(stream),
                Err(_) => return false,
            },
            (ReadHalf::Tls(read), WriteHalf::Tls(write)) if read.is_pair_of(&write) => Io::TlsOut(read.unsplit(write)),
            _ => return false,
        };
        true
    }
    /// Whether the other side has neither closed nor sent anything: what an idle connection must be to be used again.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let read = match &self.io {
            Io::Tcp(stream) => stream.try_read(&mut byte),
            Io::Unix(stream) => stream.try_read(&mut byte),
            // Whatever comes on the socket now is no part of an answer.
            Io::TlsOut(stream) => stream.get_ref().0.try_read(&mut byte),
            _ => return false,
        };
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
    fn poll_empty(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while self.written < self.waiting.len() {
            let n = ready!(self.io.poll_write(context, &self.waiting[self.written..]))?;
            if n == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.written += n;
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let Some((guest, ticks)) = &this.guest else {
            if !this.unread.is_empty() {
                let part = this.unread.len().min(buffer.remaining());
                buffer.put_slice(&this.unread.split_to(part));
                return Poll::Ready(Ok(()));
            }
            return this.io.poll_read(context, buffer);
        };
        let watch = &guest.watch;
        if !watch.waits_for_head() {
            return this.io.poll_read(context, buffer);
        }
        if watch.over().is_some() {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        match this.io.poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let bytes = buffer.filled().len() - before;
                if bytes > 0 {
                    watch.heard(bytes, &|| ticks.load(Relaxed))?;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                watch.waker.register(context.waker());
                if watch.over().is_some() {
                    return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if this.sent_already {
            return Poll::Ready(Ok(data.len()));
        }
        if this.waiting.len() + data.len() <= BUFFER {
            this.waiting.extend_from_slice(data);
            return Poll::Ready(Ok(data.len()));
        }
        while this.written < this.waiting.len() {
            let waiting = this.waiting.len() - this.written;
            let both = [IoSlice::new(&this.waiting[this.written..]), IoSlice::new(data)];
            let n = ready!(this.io.poll_write_vectored(context, &both))?;
            if n == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            this.written += n.min(waiting);
            if n > waiting {
                this.waiting.clear();
                this.written = 0;
                return Poll::Ready(Ok(n - waiting));
            }
        }
        this.waiting.clear();
        this.written = 0;
        this.io.poll_write(context, data)
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        this.sent_already = false;
        ready!(this.poll_empty(context))?;
        this.io.poll_flush(context)
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_empty(context))?;
        this.io.poll_shutdown(context)
    }
}

/// How long, and how much, to read from a client that still sends what nobody needs.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

async fn drain(mut io: Io) {
    let read_out = async {
        let _ = std::future::poll_fn(|context| io.poll_shutdown(context)).await;
        let mut rest = vec![0; 16 << 10];
        let mut total = 0;
        while total < LINGER_BYTES {
            let read = match &mut io {
                Io::Tcp(stream) => stream.read(&mut rest).await,
                Io::Tls(stream) => stream.read(&mut rest).await,
                _ => return,
            };
            match read {
                Ok(n) if n > 0 => total += n,
                _ => return,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, read_out).await;
}

impl Drop for Connection {
    fn drop(&mut self) {
        let lingers = self.guest.as_ref().is_some_and(|(guest, _)| guest.linger.load(Relaxed));
        if lingers && self.waiting.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            let io = std::mem::replace(&mut self.io, Io::Gone);
            tokio::spawn(drain(io));
        }
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

/// pingora asks its streams for more than bytes; `serve` knows all of that already.
macro_rules! nothing_more_to_tell {
    ($($stream:ty),*) => {$(
        impl Ssl for $stream {}
        impl Peek for $stream {}
        impl GetTimingDigest for $stream {
            fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
                Vec::new()
            }
        }
        impl GetProxyDigest for $stream {
            fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
                None
            }
        }
        impl GetSocketDigest for $stream {
            fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
                None
            }
        }
        impl UniqueID for $stream {
            fn id(&self) -> i32 {
                0 // asked for by pingora's connection pool only, which the edge does not use
            }
        }
        impl fmt::Debug for $stream {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($stream))
            }
        }
    )*};
}

nothing_more_to_tell!(Connection, Batched);
