//! Connections of clients: the TLS greeting, then one request after the other, or HTTP/2 with many at once.

use crate::{
    access_log::Line,
    answers::Answer,
    connection::{Batched, Connection, Guest, Io, Over, Port, Watch},
    considered,
    decide::{Decision, decide},
    forward::{self, Errand, Failure},
    headers::{Caller, Receiver, response_of},
    limits::holds,
    passthrough,
    policy::Policy,
    proxy_protocol,
    shape::{self, Shaper},
    table::Site,
    tls::{ACME_ALPN, Handshake},
    traffic::Counters,
    upstream::Place,
    worker::{Greeting, Stage, Worker},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use pingora::protocols::{
    Digest, Stream,
    http::{ReusableHttpStream, ServerSession, v2::server as h2},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

/// Streams that one HTTP/2 client may have open.
const STREAMS: u32 = 250;
/// Malformed streams after which an HTTP/2 connection is given up.
const MALFORMED: usize = 32;

pub(crate) async fn connection(worker: &Arc<Worker>, mut stream: TcpStream, mut peer: SocketAddr, port: Port) {
    let _ = stream.set_nodelay(true);
    let greeting = Greeting::new(&worker.shared);
    let Ok(local) = stream.local_addr() else { return };
    let limit = worker.shared.limits.header_timeout;
    let table = worker.shared.table.load_full();
    let mut between = (peer, local);
    let mut trusted = holds(&table.options.trusted_proxies, peer.ip().to_canonical());
    if trusted && table.options.proxy_protocol && port != Port::Panel {
        let Ok(Ok(told)) = tokio::time::timeout(limit, proxy_protocol::accept(&mut stream)).await else {
            return;
        };
        if let Some((client, server)) = told.between {
            (peer, between) = (client, (client, server));
            trusted = holds(&table.options.trusted_proxies, peer.ip().to_canonical());
        }
    }
    let cap = if trusted { 0 } else { table.options.connections_per_address };
    let Some(_counted) = worker.shared.addresses.admit(peer.ip(), cap) else {
        return;
    };
    if port == Port::Panel && !trusted && !table.gate.opens_to(peer.ip()) {
        return; // no request of theirs could be let through: they see no certificate
    }
    if port == Port::Https && !table.passthrough.is_empty() {
        let name = tokio::time::timeout(limit, passthrough::name_of(&stream)).await;
        if let Some(through) = name.ok().flatten().and_then(|name| table.passthrough.find(&name)) {
            drop((table, greeting));
            return through.pass(worker, stream, between).await;
        }
    }
    drop(table);
    let (io, port, server_name, is_h2) = match port {
        Port::Http | Port::Mistaken => (Io::Tcp(stream), port, None, false),
        Port::Https | Port::Panel => {
            match tokio::time::timeout(limit, greet(worker, stream, local, port)).await {
                Ok(Some(greeted)) => greeted,
                _ => return, // a scanner, or a client that does not like our certificate: not worth a line
            }
        }
    };
    let guest = Arc::new(Guest {
        ip: peer.ip().to_canonical(),
        trusted,
        between,
        address: text_value(&peer.ip().to_canonical().to_string()),
        port,
        port_text: text_value(&local.port().to_string()),
        local,
        server_name,
        watch: Watch::new(worker.shared.limits.header_bytes, worker.now()),
        greeting,
        linger: AtomicBool::new(false),
    });
    let _registered = worker.register(guest.clone());
    let connection = Connection::to_client(io, guest.clone(), worker.ticks.clone());
    if is_h2 {
        let batched = Batched::new(connection);
        batched.drive(serve_h2(worker, &guest, Box::new(batched.clone()))).await;
    } else {
        serve_h1(worker, &guest, Box::new(connection)).await;
    }
}

pub(crate) fn text_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("addresses and ports are visible ASCII")
}

/// The TLS handshake. A client that speaks plain HTTP to a TLS port is served as [`Port::Mistaken`].
async fn greet(worker: &Worker, stream: TcpStream, local: SocketAddr, port: Port) -> Option<(Io, Port, Option<Box<str>>, bool)> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0].is_ascii_uppercase() {
        return Some((Io::Tcp(stream), Port::Mistaken, None, false));
    }
    let handshake = Handshake {
        local: local.ip().to_canonical(),
        inner: worker.shared.tls.accept(stream),
    };
    let stream = handshake.await.ok()?;
    let session = stream.get_ref().1;
    let server_name = session
        .server_name()
        .map(|name| name.trim_end_matches('.').to_ascii_lowercase().into_boxed_str());
    if session.alpn_protocol() == Some(ACME_ALPN) {
        return None; // the handshake was all that the authority wanted (RFC 8737, 3)
    }
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    Some((Io::Tls(Box::new(stream)), port, server_name, is_h2))
}

async fn serve_h1(worker: &Arc<Worker>, guest: &Arc<Guest>, mut stream: Stream) {
    let mut ahead = None;
    loop {
        let mut session = ServerSession::new_http1(stream);
        session.set_pipelining_enabled(true);
        session.set_keepalive(Some(0)); // without a timer of pingora's: the watch has one for all
        session.set_read_timeout(None);
        if let Some(ahead) = ahead.take() {
            session.set_pipelined_prefix(ahead);
        }
        match session.read_request().await {
            Ok(true) => guest.watch.busy(),
            Ok(false) => return,
            Err(error) => return refuse(guest, session, &error).await,
        }
        let Some(reusable) = exchange(worker, guest, session).await else {
            return;
        };
        // An answer that was begun before did not say that it is the last one: only a next one can.
        if worker.shared.draining.load(Relaxed) && *worker.stage.borrow() != Stage::Leaving {
            return;
        }
        (stream, ahead) = reusable.into_parts();
        guest.watch.idle(worker.now());
    }
}

/// Answers a head that could not be read.
async fn refuse(guest: &Guest, mut session: ServerSession, error: &pingora::Error) {
    let over = guest.watch.over();
    guest.watch.busy();
    let answer = match over {
        Some(Over::Idle) => return,
        Some(Over::SlowHead) => Answer::slow_request(),
        Some(Over::LargeHead) => Answer::head_too_large(),
        None if *error.etype() == pingora::ErrorType::InvalidHTTPHeader => Answer::bad_request("The request is not well-formed HTTP."),
        None => return, // the connection broke
    };
    guest.linger.store(over != Some(Over::SlowHead), Relaxed);
    session.set_keepalive(None);
    let (kind, body) = answer.render(None);
    let _ = write_own(&mut session, answer.status, &[(header::CONTENT_TYPE, kind)], body.into(), false).await;
    session.shutdown().await;
}

async fn serve_h2(worker: &Arc<Worker>, guest: &Arc<Guest>, stream: Stream) {
    let limits = &worker.shared.limits;
    let mut options = h2::default_h2_options();
    options
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let Ok(mut connection) = h2::handshake(stream, Some(options)).await else {
        return;
    };
    guest.watch.busy(); // from here on the loop below watches
    let digest = Arc::new(Digest::default());
    let active = Arc::new(AtomicUsize::new(0));
    let (mut malformed, mut ending, mut idle_since) = (0, false, Instant::now());
    let mut stage = worker.stage.clone();
    let mut check = tokio::time::interval((limits.keep_alive / 4).clamp(Duration::from_millis(10), Duration::from_secs(5)));
    loop {
        tokio::select! {
            biased;
            accepted = h2::HttpSession::from_h2_conn(&mut connection, digest.clone()) => match accepted {
                Ok(Some(h2::H2Accept::Session(session))) => {
                    let (worker, guest, stream) = (worker.clone(), guest.clone(), ActiveStream::new(&active));
                    tokio::spawn(async move {
                        let _stream = stream;
                        exchange(&worker, &guest, ServerSession::new_http2(session)).await;
                    });
                }
                Ok(Some(h2::H2Accept::Rejected)) => {
                    malformed += 1;
                    if malformed >= MALFORMED {
                        return;
                    }
                }
                _ => return,
            },
            _ = stage.wait_for(|stage| *stage != Stage::Running), if !ending => {
                ending = true;
                connection.graceful_shutdown();
            }
            _ = check.tick() => {
                if active.load(Relaxed) > 0 {
                    idle_since = Instant::now();
                } else if idle_since.elapsed() > limits.keep_alive {
                    if ending {
                        return;
                    }
                    (ending, idle_since) = (true, Instant::now());
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

struct ActiveStream(Arc<AtomicUsize>);

impl ActiveStream {
    fn new(active: &Arc<AtomicUsize>) -> ActiveStream {
        active.fetch_add(1, Relaxed);
        ActiveStream(active.clone())
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// One request and its answer. `None`: the connection is not to be used again.
pub(crate) async fn exchange(worker: &Arc<Worker>, guest: &Arc<Guest>, mut session: ServerSession) -> Option<ReusableHttpStream> {
    let (began, at) = (Instant::now(), worker.shared.world.now());
    if worker.shared.draining.load(Relaxed) {
        session.set_keepalive(None);
    }
    let (decision, caller, alt_svc) = looked_at(worker, guest, &session);
    let (mut site, mut counters, mut place, mut whole) = (None, None, None, true);
    let status = match decision {
        Decision::Serve(found, host) => {
            found.tally.begin();
            let status = match &found.extras {
                None => {
                    found.leads.counters.begin();
                    let errand = Errand::new(worker, &found.leads.serves, &host, &caller);
                    let mut shaper = Shaper(None, alt_svc, Receiver::App);
                    match forward::forward(worker, guest, &mut session, &errand, &mut shaper, &mut place).await {
                        Ok(status) => status,
                        Err(failure) => {
                            whole = false;
                            fail(&mut session, &found.leads.name, failure, errand.limits.body_bytes, None).await
                        }
                    }
                }
                Some(extras) => {
                    // Boxed, so that the common case does not carry the room for this one.
                    let way = considered::Way {
                        worker,
                        guest,
                        site: &found,
                        extras,
                        host: &host,
                        caller: &caller,
                    };
                    let outcome = Box::pin(considered::serve(&way, &mut session, alt_svc, &mut place)).await;
                    (whole, counters) = (outcome.whole, Some(outcome.counters));
                    outcome.status
                }
            };
            site = Some(found);
            status
        }
        Decision::Challenge(answer) => {
            write_plain(
                &mut session,
                200,
                &[(header::CONTENT_TYPE, "application/octet-stream")],
                answer.into_string(),
            )
            .await
        }
        Decision::Redirect(to) => match HeaderValue::from_str(&to) {
            Ok(_) => write_plain(&mut session, 308, &[(header::LOCATION, &to)], String::new()).await,
            Err(_) => write_answer(&mut session, &Answer::bad_request("The address cannot be redirected."), None).await,
        },
        Decision::Answer(answer) => write_answer(&mut session, &answer, None).await,
    };
    let done = Done {
        at,
        took: began.elapsed(),
        status,
        site: site.as_deref(),
        counters: counters.as_deref(),
        place: place.as_ref(),
    };
    done.account(worker, guest, &caller, &session);
    guest.greeting.over();
    if !session.is_body_done() {
        guest.linger.store(true, Relaxed);
    }
    if !whole {
        // An answer that was cut must not look whole: HTTP/1 closes; a dropped HTTP/2 stream that has not ended is reset.
        if session.as_http1().is_some() {
            session.shutdown().await;
        }
        return None;
    }
    session.finish().await.ok().flatten()
}

/// What a request gets, who makes it, and how it is told of HTTP/3.
fn looked_at(worker: &Worker, guest: &Guest, session: &ServerSession) -> (Decision, Caller, Option<HeaderValue>) {
    let table = worker.shared.table.load();
    let raw = session.as_http1().map(|session| session.get_headers_raw_bytes());
    let request = session.req_header();
    let caller = if guest.trusted {
        Caller::told(guest, &request.headers, &table.options.trusted_proxies)
    } else {
        Caller::plain(guest)
    };
    let tells = table.options.http3 && guest.port == Port::Https && request.version != Version::HTTP_3;
    let alt_svc = if tells { worker.shared.alt_svc.clone() } else { None };
    let decision = decide(request, raw.as_deref(), guest, &caller, &table, worker.shared.rules);
    (decision, caller, alt_svc)
}

/// A request that has its answer.
struct Done<'a> {
    at: types::Time,
    took: Duration,
    status: u16,
    site: Option<&'a Site>,
    /// In place of the site's own.
    counters: Option<&'a Counters>,
    place: Option<&'a Place>,
}

impl Done<'_> {
    /// Counts it, and writes its line.
    fn account(&self, worker: &Worker, guest: &Guest, caller: &Caller, session: &ServerSession) {
        let (bytes_in, bytes_out) = (session.body_bytes_read() as u64, session.body_bytes_sent() as u64);
        let request = session.req_header();
        let (client, path) = (caller.text(guest).as_bytes(), request.uri.path().as_bytes());
        if let Some(site) = self.site {
            let counters = self.counters.unwrap_or(&site.leads.counters);
            counters.end(self.status, bytes_in, bytes_out, self.took);
            site.tally.end(self.status, (bytes_in, bytes_out), self.took, client, path);
        }
        let header = |name: &header::HeaderName| request.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let host = match request.headers.get(header::HOST) {
            Some(host) => host.as_bytes(),
            None => request.uri.authority().map_or(&b""[..], |authority| authority.as_str().as_bytes()),
        };
        let line = Line {
            at: self.at,
            port: guest.port,
            client,
            host,
            method: request.method.as_str(),
            path,
            protocol: match request.version {
                Version::HTTP_2 => "h2",
                Version::HTTP_3 => "h3",
                Version::HTTP_11 => "http/1.1",
                _ => "http/1.0",
            },
            status: self.status,
            bytes_in,
            bytes_out,
            took: self.took,
            site: self.site.map(|site| &*site.leads.name),
            upstream: self.place,
            agent: header(&header::USER_AGENT),
            referer: header(&header::REFERER),
        };
        worker.shared.log.line(worker.index, &line);
    }
}

/// What a policy does to an answer of the edge's own.
#[derive(Clone, Copy)]
pub(crate) struct Dress<'a> {
    pub policy: &'a Policy,
    pub secure: bool,
}

/// Says what went wrong, if the answer has not begun. Returns the status for the log: what the client saw, or 499 when
/// it went away.
pub(crate) async fn fail(session: &mut ServerSession, name: &str, failure: Failure, body_limit: u64, dress: Option<Dress<'_>>) -> u16 {
    if let Some(begun) = session.response_written() {
        let status = begun.status.as_u16();
        return if failure == Failure::ClientGone { 499 } else { status };
    }
    let answer = match failure {
        Failure::ClientGone => return 499,
        Failure::Starting => Answer::starting(name),
        Failure::Waking => Answer::waking(name),
        Failure::Down(why) => Answer::down(name, &why),
        Failure::Refused | Failure::Unavailable(_) => Answer::no_connection(name),
        Failure::BadAnswer => Answer::bad_answer(name),
        Failure::TimedOut => Answer::timed_out(name),
        Failure::SlowBody => Answer::slow_request(),
        Failure::BadBody => Answer::bad_request("The body of the request is not well-formed."),
        Failure::BodyTooLarge => Answer::body_too_large(body_limit),
    };
    write_answer(session, &answer, dress).await
}

pub(crate) async fn write_answer(session: &mut ServerSession, answer: &Answer, dress: Option<Dress<'_>>) -> u16 {
    write_answer_with(session, answer, dress, HeaderMap::new()).await
}

/// With more headers.
pub(crate) async fn write_answer_with(session: &mut ServerSession, answer: &Answer, dress: Option<Dress<'_>>, mut more: HeaderMap) -> u16 {
    if answer.status == 400 {
        session.set_keepalive(None); // whatever comes next on this connection may be a misunderstanding too
    }
    let status = http::StatusCode::from_u16(answer.status).expect("our own status codes are valid");
    let page = dress.and_then(|dress| dress.policy.page(answer.status));
    let (kind, body) = match page {
        Some(page) => ("text/html; charset=utf-8", shape::filled(&page.body, status)),
        None => {
            let (kind, body) = answer.render(Some(&session.req_header().headers));
            (kind, body.into())
        }
    };
    more.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = answer.retry_after {
        more.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    guarded(&mut more);
    write_whole(session, status, more, body, dress).await
}

async fn write_plain(session: &mut ServerSession, status: u16, fields: &[(header::HeaderName, &str)], body: String) -> u16 {
    let head_only = session.req_header().method == Method::HEAD;
    let _ = write_own(session, status, fields, body.into(), head_only).await;
    status
}

async fn write_own(
    session: &mut ServerSession,
    status: u16,
    fields: &[(header::HeaderName, &str)],
    body: Bytes,
    head_only: bool,
) -> pingora::Result<()> {
    let mut headers = HeaderMap::with_capacity(fields.len() + 6);
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(name.clone(), value);
        }
    }
    guarded(&mut headers);
    let status = http::StatusCode::from_u16(status).expect("our own status codes are valid");
    write_built(session, status, headers, body, head_only).await
}

/// Nobody keeps our own pages, or guesses what they are.
fn guarded(headers: &mut HeaderMap) {
    headers.append(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.append(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// A whole answer. Returns its status.
pub(crate) async fn write_whole(
    session: &mut ServerSession,
    status: http::StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    dress: Option<Dress<'_>>,
) -> u16 {
    let request = session.req_header();
    if let Some(dress) = dress {
        dress.policy.decorate(&request.headers, &mut headers, dress.secure);
    }
    let head_only = request.method == Method::HEAD || matches!(status.as_u16(), 204 | 304);
    let _ = write_built(session, status, headers, body, head_only).await;
    status.as_u16()
}

async fn write_built(
    session: &mut ServerSession,
    status: http::StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    head_only: bool,
) -> pingora::Result<()> {
    if !matches!(status.as_u16(), 204 | 304) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    session.write_response_header(response_of(status, headers)).await?;
    if !head_only && !body.is_empty() {
        session.write_response_body(body, true).await?;
    } else if session.as_http1().is_none() {
        session.write_response_body(Bytes::new(), true).await?;
    }
    Ok(())
}
