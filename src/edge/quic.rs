//! HTTP/3: QUIC by quinn, HTTP by h3, and from there the same path as every request. pingora's sessions have a kind for
//! protocols that it does not know itself; here it is filled by two tasks for each stream, one for either direction.

use crate::{
    connection::{Guest, Port, Watch},
    limits::holds,
    listen,
    quic_socket::{self, QuicSocket},
    serve, tls,
    worker::{Greeting, Stage, Worker},
};
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use futures::Stream;
use h3::{error::Code, server::RequestStream};
use http::{HeaderMap, HeaderValue, Version, header};
use pingora::{
    ErrorType,
    http::{RequestHeader, ResponseHeader},
    protocols::{
        Digest,
        http::{
            HttpTask, ServerSession,
            custom::{CustomMessageWrite, server::Session as CustomSession},
        },
        l4::socket::SocketAddr as PingoraAddress,
    },
};
use std::{
    collections::{HashMap, HashSet},
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::mpsc;
use types::{Doing, Result};

/// Streams that one client may have open.
const STREAMS: u32 = 100;
/// Pieces that wait between a stream and its session.
const PIECES: usize = 4;
/// How long a request without a declared length may leave open whether it has a body.
const UNSURE: Duration = Duration::from_millis(20);

type Bidi = h3_quinn::BidiStream<Bytes>;

/// Between tries to open a port that somebody has.
const AGAIN: Duration = Duration::from_millis(250);
/// How long nothing new may have been sent before a connection without requests is closed.
const STILL: Duration = Duration::from_millis(200);
const STILL_TIMES: u32 = 3;

/// What other threads may do with the sockets of HTTP/3.
#[derive(Default)]
pub(crate) struct Sockets {
    open: Mutex<Vec<(SocketAddr, Arc<quic_socket::Shared>)>>,
    /// Those of the edge before.
    given: Mutex<Vec<QuicSocket>>,
}

impl Sockets {
    /// These are read from, in place of sockets of one's own, when HTTP/3 is wished for.
    pub(crate) fn adopt(&self, sockets: Vec<QuicSocket>) {
        *self.given.lock().expect("no panic under this lock") = sockets;
    }

    /// More handles of the open ones, each with a line to this edge.
    pub(crate) fn share(&self) -> Result<Vec<QuicSocket>> {
        let open = self.open.lock().expect("no panic under this lock");
        let share = |(listen, shared): &(SocketAddr, Arc<quic_socket::Shared>)| {
            let (socket, line) = shared.handles().doing("sharing the socket of HTTP/3")?;
            Ok(QuicSocket {
                listen: *listen,
                socket,
                line,
            })
        };
        open.iter().map(share).collect()
    }

    fn taken(&self, listen: SocketAddr) -> Option<QuicSocket> {
        let mut given = self.given.lock().expect("no panic under this lock");
        let at = given.iter().position(|one| one.listen == listen)?;
        Some(given.swap_remove(at))
    }
}

/// Listens while the options say so.
pub(crate) async fn follow(worker: Arc<Worker>, addresses: Vec<SocketAddr>) {
    let mut wanted = worker.shared.http3.subscribe();
    let mut stage = worker.stage.clone();
    let mut open: HashMap<SocketAddr, quinn::Endpoint> = HashMap::new();
    let sockets = &worker.shared.quic;
    let mut failed: HashSet<SocketAddr> = HashSet::new();
    loop {
        let now = *stage.borrow_and_update();
        let on = *wanted.borrow_and_update() && now == Stage::Running;
        if on {
            for address in addresses
                .iter()
                .filter(|address| !open.contains_key(address))
                .copied()
                .collect::<Vec<_>>()
            {
                match listen_on(&worker, address) {
                    Ok((endpoint, shared)) => {
                        failed.remove(&address);
                        sockets.open.lock().expect("no panic under this lock").push((address, shared));
                        tokio::spawn(accept(worker.clone(), endpoint.clone()));
                        open.insert(address, endpoint);
                    }
                    Err(Refusal::NoFamily) => {}
                    Err(Refusal::Words(error)) => {
                        if failed.insert(address) {
                            tracing::warn!(%address, "HTTP/3 is not served: {error}");
                        }
                    }
                }
            }
        } else {
            for (_, endpoint) in open.drain() {
                endpoint.set_server_config(None); // what is open goes on
            }
            for (_, shared) in std::mem::take(&mut *sockets.open.lock().expect("no panic under this lock")) {
                if now == Stage::Leaving {
                    shared.leave();
                }
            }
            failed.clear();
        }
        if now == Stage::Running {
            // What nobody wants is closed.
            sockets.given.lock().expect("no panic under this lock").clear();
        }
        let again = async {
            match on && !failed.is_empty() {
                true => tokio::time::sleep(AGAIN).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            changed = stage.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}

enum Refusal {
    /// This machine has no IPv6.
    NoFamily,
    Words(String),
}

impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal::Words(error.to_string())
    }
}

fn listen_on(worker: &Worker, address: SocketAddr) -> std::result::Result<(quinn::Endpoint, Arc<quic_socket::Shared>), Refusal> {
    let tls = tls::quic_config(worker.shared.resolver.clone())?;
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport.max_concurrent_bidi_streams(STREAMS.into());
    transport.max_idle_timeout(Some(quinn::IdleTimeout::try_from(worker.shared.limits.keep_alive)?));
    config.transport_config(Arc::new(transport));
    let (socket, line) = match worker.shared.quic.taken(address) {
        Some(given) => (UdpSocket::from(given.socket), Some(given.line)),
        None => (listen::bind_udp(address)?.ok_or(Refusal::NoFamily)?, None),
    };
    let names = quic_socket::Names::new(worker.shared.world.clone());
    let shared = quic_socket::Shared::new(socket, names.clone(), line)?;
    let mut endpoint = quinn::EndpointConfig::default();
    endpoint.cid_generator(move || Box::new(names.clone()));
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint = quinn::Endpoint::new_with_abstract_socket(endpoint, Some(config), shared.clone(), runtime)?;
    Ok((endpoint, shared))
}

async fn accept(worker: Arc<Worker>, endpoint: quinn::Endpoint) {
    let Ok(local) = endpoint.local_addr() else { return };
    while let Some(incoming) = endpoint.accept().await {
        let peer = incoming.remote_address();
        let options = worker.shared.table.load().options.clone();
        let ip = peer.ip().to_canonical();
        let trusted = holds(&options.trusted_proxies, ip);
        let cap = if trusted { 0 } else { options.connections_per_address };
        let Some(counted) = worker.shared.addresses.admit(ip, cap) else {
            incoming.refuse();
            continue;
        };
        let worker = worker.clone();
        let slot = worker.slot();
        tokio::spawn(async move {
            let _counted = (counted, slot);
            let limit = worker.shared.limits.header_timeout;
            if let Ok(Ok(connection)) = tokio::time::timeout(limit, async { incoming.await }).await {
                serve_connection(&worker, connection, peer, local, trusted).await;
            }
        });
    }
}

async fn serve_connection(worker: &Arc<Worker>, connection: quinn::Connection, peer: SocketAddr, local: SocketAddr, trusted: bool) {
    let greeting = connection
        .handshake_data()
        .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
    let server_name = greeting.and_then(|greeting| greeting.server_name);
    let guest = Arc::new(Guest {
        ip: peer.ip().to_canonical(),
        trusted,
        between: (peer, local),
        address: serve::text_value(&peer.ip().to_canonical().to_string()),
        port: Port::Https,
        port_text: serve::text_value(&local.port().to_string()),
        local,
        server_name: server_name.map(|name| name.trim_end_matches('.').to_ascii_lowercase().into_boxed_str()),
        watch: Watch::new(worker.shared.limits.header_bytes, worker.now()),
        greeting: Greeting::new(&worker.shared),
        linger: AtomicBool::new(false),
    });
    let built = h3::server::builder()
        .max_field_section_size(worker.shared.limits.header_bytes as u64)
        .build::<_, Bytes>(h3_quinn::Connection::new(connection.clone()))
        .await;
    let Ok(mut streams) = built else { return };
    let mut stage = worker.stage.clone();
    let mut ending = false;
    let under_way = Arc::new(());
    loop {
        tokio::select! {
            accepted = streams.accept() => {
                let Ok(Some(resolver)) = accepted else { return };
                let (worker, guest, connection) = (worker.clone(), guest.clone(), connection.clone());
                let counted = under_way.clone();
                tokio::spawn(async move {
                    if let Ok((request, stream)) = resolver.resolve_request().await
                        && let Some(session) = begin(request, stream, connection, counted.clone()).await
                    {
                        serve::exchange(&worker, &guest, ServerSession::new_custom(Box::new(session))).await;
                    }
                });
            }
            () = async { drop(stage.wait_for(|stage| *stage != Stage::Running).await) }, if !ending => {
                ending = true;
                // The client may ask again elsewhere for what it asks from now on (RFC 9114, 5.2).
                let _ = streams.shutdown(0).await;
            }
            () = at_rest(&under_way, &connection), if ending => return,
        }
    }
}

/// Until no request is under way and the last answer has been sent: nobody says so, but then nothing is sent any more.
async fn at_rest(under_way: &Arc<()>, connection: &quinn::Connection) {
    let (mut sent, mut times) = (0, 0);
    while times < STILL_TIMES {
        tokio::time::sleep(STILL).await;
        let now = connection.stats().frame_tx.stream;
        times = if now == sent && Arc::strong_count(under_way) == 1 {
            times + 1
        } else {
            0
        };
        sent = now;
    }
}

/// One request, between its stream and pingora.
struct Session {
    head: RequestHeader,
    body: mpsc::Receiver<Result<Bytes, Broken>>,
    body_done: bool,
    out: mpsc::Sender<Out>,
    written: Option<Box<ResponseHeader>>,
    ended: bool,
    sent: usize,
    read: usize,
    connection: quinn::Connection,
}

/// The client took its request back, or the connection broke.
struct Broken;

enum Out {
    Head(http::Response<()>),
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

/// `None`: the stream broke before it was clear what it is.
async fn begin(
    request: http::Request<()>,
    stream: RequestStream<Bidi, Bytes>,
    connection: quinn::Connection,
    counted: Arc<()>,
) -> Option<Session> {
    let (mut parts, ()) = request.into_parts();
    parts.version = Version::HTTP_3;
    let declared = parts.headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let (send, mut receive) = stream.split();
    let (body_in, body) = mpsc::channel(PIECES);
    let mut body_done = declared == Some(b"0");
    if declared.is_none() {
        match tokio::time::timeout(UNSURE, receive.recv_data()).await {
            Ok(Ok(Some(mut piece))) => {
                let piece = piece.copy_to_bytes(piece.remaining());
                let _ = body_in.send(Ok(piece)).await;
            }
            Ok(Ok(None)) => body_done = true,
            Ok(Err(_)) => return None,
            Err(_) => {}
        }
    }
    let nothing_comes = body_done;
    tokio::spawn(async move {
        if !nothing_comes {
            hand_in(receive, body_in).await;
        }
    });
    let (out, outs) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let _counted = counted;
        hand_out(outs, send).await;
    });
    Some(Session {
        head: RequestHeader::from(parts),
        body,
        body_done,
        out,
        written: None,
        ended: false,
        sent: 0,
        read: 0,
        connection,
    })
}

/// The body, from the client to the session.
async fn hand_in(mut stream: RequestStream<h3_quinn::RecvStream, Bytes>, body: mpsc::Sender<Result<Bytes, Broken>>) {
    loop {
        let received = tokio::select! {
            received = stream.recv_data() => received,
            () = body.closed() => break,
        };
        match received {
            Ok(Some(mut piece)) => {
                let piece = piece.copy_to_bytes(piece.remaining());
                if body.send(Ok(piece)).await.is_err() {
                    break;
                }
            }
            Ok(None) => return,
            Err(_) => {
                let _ = body.send(Err(Broken)).await;
                return;
            }
        }
    }
    // Nobody wants the rest.
    stream.stop_sending(Code::H3_NO_ERROR);
}

/// The answer, from the session to the client.
async fn hand_out(mut answer: mpsc::Receiver<Out>, mut stream: RequestStream<h3_quinn::SendStream<Bytes>, Bytes>) {
    while let Some(piece) = answer.recv().await {
        let sent = match piece {
            Out::Head(head) => stream.send_response(head).await,
            Out::Data(data) => stream.send_data(data).await,
            Out::Trailers(trailers) => stream.send_trailers(trailers).await,
            Out::End => {
                let _ = stream.finish().await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
    // An answer that was cut must not look whole.
    stream.stop_stream(Code::H3_INTERNAL_ERROR);
}

impl Session {
    async fn put(&self, out: Out) -> pingora::Result<()> {
        let gone = |_| pingora::Error::explain(ErrorType::WriteError, "the client is gone");
        self.out.send(out).await.map_err(gone)
    }
    async fn end(&mut self) -> pingora::Result<()> {
        if !std::mem::replace(&mut self.ended, true) {
            self.put(Out::End).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl CustomSession for Session {
    fn req_header(&self) -> &RequestHeader {
        &self.head
    }
    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }
    async fn read_body_bytes(&mut self) -> pingora::Result<Option<Bytes>> {
        if self.body_done {
            return Ok(None);
        }
        match self.body.recv().await {
            Some(Ok(piece)) => {
                self.read += piece.len();
                Ok(Some(piece))
            }
            Some(Err(Broken)) => Err(pingora::Error::explain(ErrorType::ConnectionClosed, "the client is gone")),
            None => {
                self.body_done = true;
                Ok(None)
            }
        }
    }
    async fn drain_request_body(&mut self) -> pingora::Result<()> {
        Ok(())
    }
    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> pingora::Result<()> {
        let mut answer = http::Response::new(());
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers.clone();
        self.written = Some(head);
        self.put(Out::Head(answer)).await?;
        if end { self.end().await } else { Ok(()) }
    }
    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> pingora::Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }
    async fn write_body(&mut self, data: Bytes, end: bool) -> pingora::Result<()> {
        if self.ended {
            return Ok(());
        }
        if !data.is_empty() {
            self.sent += data.len();
            self.put(Out::Data(data)).await?;
        }
        if end { self.end().await } else { Ok(()) }
    }
    async fn write_trailers(&mut self, trailers: HeaderMap) -> pingora::Result<()> {
        self.put(Out::Trailers(trailers)).await?;
        self.end().await
    }
    async fn response_duplex_vec(&mut self, _: Vec<HttpTask>) -> pingora::Result<bool> {
        Err(pingora::Error::explain(
            ErrorType::InternalError,
            "only pingora's own proxy asks for this",
        ))
    }
    fn set_read_timeout(&mut self, _: Option<Duration>) {}
    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }
    fn set_write_timeout(&mut self, _: Option<Duration>) {}
    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }
    fn set_total_drain_timeout(&mut self, _: Option<Duration>) {}
    fn get_total_drain_timeout(&self) -> Option<Duration> {
        None
    }
    fn request_summary(&self) -> String {
        format!("{} {}", self.head.method, self.head.uri)
    }
    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }
    async fn shutdown(&mut self, _: u32, _: &str) {}
    fn is_body_done(&mut self) -> bool {
        self.body_done
    }
    async fn finish(&mut self) -> pingora::Result<()> {
        if self.written.is_some() { self.end().await } else { Ok(()) }
    }
    fn is_body_empty(&mut self) -> bool {
        self.body_done && self.read == 0
    }
    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> pingora::Result<Option<Bytes>> {
        if !no_body_expected && !self.body_done {
            return self.read_body_bytes().await;
        }
        self.connection.closed().await;
        Err(pingora::Error::explain(ErrorType::ConnectionClosed, "the client is gone"))
    }
    fn body_bytes_sent(&self) -> usize {
        self.sent
    }
    fn body_bytes_read(&self) -> usize {
        self.read
    }
    fn digest(&self) -> Option<&Digest> {
        None
    }
    fn digest_mut(&mut self) -> Option<&mut Digest> {
        None
    }
    fn client_addr(&self) -> Option<&PingoraAddress> {
        None
    }
    fn server_addr(&self) -> Option<&PingoraAddress> {
        None
    }
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        Bytes::new()
    }
    fn enable_retry_buffering(&mut self) {}
    fn retry_buffer_truncated(&self) -> bool {
        true
    }
    fn get_retry_buffer(&self) -> Option<Bytes> {
        None
    }
    async fn finish_custom(&mut self) -> pingora::Result<()> {
        Ok(())
    }
    fn take_custom_message_reader(&mut self) -> Option<Box<dyn Stream<Item = pingora::Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }
    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn Stream<Item = pingora::Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> pingora::Result<()> {
        Ok(())
    }
    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }
    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> pingora::Result<()> {
        Ok(())
    }
}
