//! Passes a request on to an app and its answer back.
//!
//! A request without a body is a plain loop over one upstream session. With a body, or once it has become a WebSocket,
//! three futures run beside each other (towards the app, from the app, and the client), so that no side can block
//! another by not reading.

use crate::{
    connection::{Connection, Guest, SharedWriter},
    headers::{self, Caller, Outgoing, Read, Receiver},
    policy::Policy,
    shape::Shaper,
    table::Serves,
    upstream::{Backend, Place, UnderWay},
    worker::Worker,
};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::{
    ErrorType,
    http::{RequestHeader, ResponseHeader},
    protocols::http::{HttpTask, ServerSession, v1::client::HttpSession as AppSession},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

/// Why a request got no, or no whole, answer from its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Starting,
    Down(Box<str>),
    /// No upstream took a connection.
    Refused,
    /// The app ended the connection, or its answer is not HTTP.
    BadAnswer,
    TimedOut,
    SlowBody,
    BadBody,
    BodyTooLarge,
    /// The app says with this status that it cannot now, and another may.
    Unavailable(u16),
    ClientGone,
}

impl Failure {
    /// The upstream's fault, as far as one can tell.
    fn is_upstreams(&self) -> bool {
        matches!(
            self,
            Failure::Refused | Failure::BadAnswer | Failure::TimedOut | Failure::Unavailable(_)
        )
    }
}

/// Bounds of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub body_bytes: u64,
    pub response_timeout: Duration,
    pub idle_timeout: Duration,
}

/// What is to be done with a request.
pub(crate) struct Errand<'a> {
    pub serves: &'a Serves,
    /// As the client wrote it.
    pub host: &'a HeaderValue,
    /// In its place, for the upstream.
    pub upstream_host: Option<&'a HeaderValue>,
    pub caller: &'a Caller,
    /// In place of the request's path and query.
    pub path: Option<&'a str>,
    /// What was taken off the path.
    pub prefix: Option<&'a str>,
    /// In place of the client's own headers.
    pub more: &'a [(HeaderName, HeaderValue)],
    /// The answer may be kept: it must be whole and in no coding.
    pub for_cache: bool,
    /// Asks whether a kept answer still holds.
    pub validators: Vec<(HeaderName, HeaderValue)>,
    /// The upstream to begin with.
    pub first: Option<usize>,
    pub limits: Limits,
    retries: u32,
    on_unavailable: bool,
    ejection: Option<&'a types::Ejection>,
}

impl<'a> Errand<'a> {
    pub(crate) fn new(worker: &Worker, serves: &'a Serves, host: &'a HeaderValue, caller: &'a Caller) -> Errand<'a> {
        let limits = &worker.shared.limits;
        Errand {
            serves,
            host,
            upstream_host: None,
            caller,
            path: None,
            prefix: None,
            more: &[],
            for_cache: false,
            validators: Vec::new(),
            first: None,
            limits: Limits {
                body_bytes: limits.body_bytes,
                response_timeout: limits.response_timeout,
                idle_timeout: limits.idle_timeout,
            },
            retries: 0,
            on_unavailable: false,
            ejection: None,
        }
    }

    pub(crate) fn obey(&mut self, policy: &'a Policy) {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let limits = &policy.raw.limits;
        self.limits = Limits {
            body_bytes: limits.body_bytes.unwrap_or(self.limits.body_bytes),
            response_timeout: limits.response_seconds.map_or(self.limits.response_timeout, seconds),
            idle_timeout: limits.idle_seconds.map_or(self.limits.idle_timeout, seconds),
        };
        self.upstream_host = policy.upstream_host.as_ref();
        self.retries = policy.raw.retries.attempts;
        self.on_unavailable = policy.raw.retries.on_unavailable;
        self.ejection = policy.raw.ejection.as_ref();
    }
}

/// A larger head is left to pingora's session, which has a limit of its own.
const LARGEST_PLAIN_HEAD: usize = 32 << 10;
/// Bytes read at once from a body.
const LARGEST_PIECE: usize = 64 << 10;
/// Pieces of a body that wait between the two sides.
pub(crate) const PIECES: usize = 4;

/// Returns the status of the answer once it is passed on whole. `place` becomes where it went.
pub(crate) async fn forward(
    worker: &Worker,
    guest: &Guest,
    session: &mut ServerSession,
    errand: &Errand<'_>,
    shaper: &mut Shaper,
    place: &mut Option<Place>,
) -> Result<u16, Failure> {
    let (backends, first, receiver) = match errand.serves {
        Serves::App(balanced) => (&*balanced.backends, errand.first.unwrap_or_else(|| balanced.turn()), Receiver::App),
        Serves::Panel(backend) => (std::slice::from_ref(backend), 0, Receiver::Panel),
        Serves::Starting => return Err(Failure::Starting),
        Serves::Down(why) => return Err(Failure::Down(why.clone())),
    };
    if declared_length(session.req_header()) > errand.limits.body_bytes {
        return Err(Failure::BodyTooLarge);
    }
    let now = worker.now();
    // When none is well, one that is not is better than nothing.
    let choosy = backends.len() > 1 && backends.iter().any(|backend| backend.is_usable(now));
    let mut failure = Failure::Refused;
    let mut retries = errand.retries;
    for n in 0..backends.len() {
        let backend = &backends[(first + n) % backends.len()];
        if choosy && !backend.is_usable(now) {
            continue;
        }
        let _under_way = UnderWay::on(backend);
        *place = Some(backend.place.clone());
        let may_retry = retries > 0
            && n + 1 < backends.len()
            && session.req_header().method.is_idempotent()
            && session.is_body_empty()
            && headers::upgrade_of(session.req_header()).is_none();
        let way = Way {
            worker,
            guest,
            backend,
            receiver,
            errand,
            may_decline: may_retry && errand.on_unavailable,
        };
        let tried = way.attempt(session, shaper).await;
        if let Some(ejection) = errand.ejection {
            note(backends, backend, &tried, ejection, now);
        }
        match tried {
            Ok(status) => return Ok(status),
            // Nothing was sent, so another may be tried.
            Err(Tried::NoConnection(why)) => failure = why,
            Err(Tried::Failed(why)) if may_retry && why.is_upstreams() && session.response_written().is_none() => {
                retries -= 1;
                failure = why;
            }
            Err(Tried::Failed(why)) => return Err(why),
        }
    }
    Err(failure)
}

/// How a try on one upstream failed.
enum Tried {
    NoConnection(Failure),
    Failed(Failure),
}

/// Passive ejection: counts failures in a row, and sends one that has too many away for a while.
fn note(backends: &[Arc<Backend>], backend: &Backend, tried: &Result<u16, Tried>, ejection: &types::Ejection, now: u64) {
    let failed = match tried {
        Ok(status) => matches!(status, 502..=504),
        Err(Tried::NoConnection(_)) => true,
        Err(Tried::Failed(why)) if why.is_upstreams() => true,
        Err(Tried::Failed(_)) => return,
    };
    if !failed {
        return backend.went_well();
    }
    if backend.went_badly(ejection.failures) && backend.is_usable(now) {
        let away = backends.iter().filter(|backend| !backend.is_usable(now)).count();
        let most = (backends.len() * ejection.max_percent as usize / 100).min(backends.len() - 1);
        if away < most {
            backend.eject(ejection.seconds, now);
        }
    }
}

fn declared_length(request: &RequestHeader) -> u64 {
    request
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.split(',').next()?.trim().parse().ok())
        .unwrap_or(0)
}

/// How a try on one connection ended without an answer.
pub(crate) enum Miss {
    /// The connection was an idle one that the app had closed meanwhile, and the request may be sent again.
    Stale,
    Failed(Failure),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Miss {
        Miss::Failed(failure)
    }
}

/// A request on its way to a backend.
pub(crate) struct Way<'a> {
    pub worker: &'a Worker,
    guest: &'a Guest,
    pub backend: &'a Arc<Backend>,
    receiver: Receiver,
    pub errand: &'a Errand<'a>,
    /// An answer that the app is unavailable is not passed on, since another upstream may do better.
    may_decline: bool,
}

impl Way<'_> {
    async fn attempt(&self, session: &mut ServerSession, shaper: &mut Shaper) -> Result<u16, Tried> {
        let failed = |miss| match miss {
            Miss::Stale => Tried::Failed(Failure::BadAnswer),
            Miss::Failed(Failure::Refused) => Tried::NoConnection(Failure::Refused),
            Miss::Failed(failure) => Tried::Failed(failure),
        };
        if self.backend.wire.h2c {
            return Box::pin(self.pass_h2c(session, shaper)).await.map_err(failed);
        }
        if let Some(connection) = self.backend.take(self.worker.index, self.worker.now()) {
            match self.pass(session, shaper, connection, true).await {
                Err(Miss::Stale) => {}
                done => return done.map_err(failed),
            }
        }
        match timeout(
            self.worker.shared.limits.connect_timeout,
            self.backend.connect(Some(self.guest.between)),
        )
        .await
        {
            Ok(Ok(connection)) => self.pass(session, shaper, Box::new(connection), false).await.map_err(failed),
            Ok(Err(_)) => Err(Tried::NoConnection(Failure::Refused)),
            Err(_) => Err(Tried::NoConnection(Failure::TimedOut)),
        }
    }

    async fn pass(&self, session: &mut ServerSession, shaper: &mut Shaper, connection: Box<Connection>, reused: bool) -> Result<u16, Miss> {
        let has_body = !session.is_body_empty();
        let upgrade = if has_body {
            None
        } else {
            headers::upgrade_of(session.req_header()).cloned()
        };
        if has_body || upgrade.is_some() {
            // Boxed, so that the common case does not carry the room for this one.
            Box::pin(self.pass_both_ways(session, shaper, connection, has_body, upgrade.as_ref()))
                .await
                .map_err(Miss::Failed)
        } else {
            self.pass_plain(session, shaper, connection, reused).await
        }
    }

    /// Whether to try another upstream instead.
    fn declines(&self, status: StatusCode) -> bool {
        self.may_decline && matches!(status.as_u16(), 502..=504)
    }

    pub(crate) fn outgoing<'a>(&'a self, session: &'a ServerSession) -> Outgoing<'a> {
        Outgoing {
            request: session.req_header(),
            errand: self.errand,
            guest: self.guest,
            receiver: self.receiver,
        }
    }

    fn give_back(&self, connection: Box<Connection>) {
        self.backend.give_back(self.worker.index, connection, self.worker.now());
    }

    /// A request without a body. When the answer has a declared length, nothing but this touches it.
    async fn pass_plain(
        &self,
        session: &mut ServerSession,
        shaper: &mut Shaper,
        mut connection: Box<Connection>,
        reused: bool,
    ) -> Result<u16, Miss> {
        let limits = self.errand.limits;
        let may_repeat = reused && session.req_header().method.is_idempotent();
        let missed = || if may_repeat { Miss::Stale } else { Failure::BadAnswer.into() };
        self.outgoing(session).write(connection.buffer());
        connection.flush().await.map_err(|_| missed())?;
        let mut answer = BytesMut::with_capacity(4096);
        let head = loop {
            let read = tokio::select! {
                biased;
                read = timeout(limits.response_timeout, connection.read_buf(&mut answer)) => read,
                _ = session.read_body_or_idle(true) => return Err(Failure::ClientGone.into()),
            };
            match read {
                Ok(Ok(n)) if n > 0 => {}
                Ok(_) if answer.is_empty() => return Err(missed()),
                Ok(_) => return Err(Failure::BadAnswer.into()),
                Err(_) => return Err(Failure::TimedOut.into()),
            }
            match headers::read_plain(&answer, &session.req_header().method) {
                Read::Plain(head) => break head,
                Read::Partial if answer.len() < LARGEST_PLAIN_HEAD => {}
                Read::Partial | Read::Other => {
                    connection.take_back(answer);
                    return Box::pin(self.pass_any(session, shaper, connection)).await.map_err(Miss::Failed);
                }
            }
        };
        let status = head.to_client.status.as_u16();
        if self.declines(head.to_client.status) {
            return Err(Failure::Unavailable(status).into());
        }
        let mut left = head.length;
        write_built_head(session, shaper, head.to_client, left == 0).await?;
        answer.advance(head.size);
        while left > 0 {
            if answer.is_empty() {
                answer.reserve(usize::try_from(left).unwrap_or(LARGEST_PIECE).min(LARGEST_PIECE));
                let read = tokio::select! {
                    biased;
                    read = timeout(limits.idle_timeout, connection.read_buf(&mut answer)) => read,
                    _ = session.read_body_or_idle(true) => return Err(Failure::ClientGone.into()),
                };
                match read {
                    Ok(Ok(n)) if n > 0 => {}
                    Ok(_) => return Err(Failure::BadAnswer.into()),
                    Err(_) => return Err(Failure::TimedOut.into()),
                }
            }
            let part = answer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= part as u64;
            write_piece(session, shaper, answer.split_to(part).freeze(), left == 0, limits.idle_timeout).await?;
        }
        // More than it declared: nobody knows what that is.
        if answer.is_empty() {
            self.give_back(connection);
        }
        Ok(status)
    }

    /// A request without a body that was sent already, and any answer.
    async fn pass_any(&self, session: &mut ServerSession, shaper: &mut Shaper, connection: Box<Connection>) -> Result<u16, Failure> {
        let limits = self.errand.limits;
        let request = self.outgoing(session).to_header(None, false);
        let mut app = AppSession::new(connection);
        app.write_request_header(request).await.map_err(|_| Failure::BadAnswer)?;
        let status = loop {
            tokio::select! {
                biased;
                read = timeout(limits.response_timeout, app.read_response()) => match read {
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) => return Err(Failure::BadAnswer),
                    Err(_) => return Err(Failure::TimedOut),
                },
                _ = session.read_body_or_idle(true) => return Err(Failure::ClientGone),
            }
            match app.get_status() {
                Some(status) if !status.is_informational() => break status,
                Some(StatusCode::SWITCHING_PROTOCOLS) | None => return Err(Failure::BadAnswer),
                Some(_) => {}
            }
        };
        let head = app.resp_header().expect("the head has just been read");
        if self.declines(head.status) {
            return Err(Failure::Unavailable(head.status.as_u16()));
        }
        let ended = app_is_done(session, head);
        write_head(session, shaper, head, ended).await?;
        while !ended && !app.is_body_done() {
            let piece = tokio::select! {
                biased;
                read = timeout(limits.idle_timeout, app.read_body_bytes()) => match read {
                    Ok(Ok(piece)) => piece,
                    Ok(Err(_)) => return Err(Failure::BadAnswer),
                    Err(_) => return Err(Failure::TimedOut),
                },
                _ = session.read_body_or_idle(true) => return Err(Failure::ClientGone),
            };
            let last = app.is_body_done();
            write_piece(session, shaper, piece.unwrap_or_default(), last, limits.idle_timeout).await?;
        }
        app.respect_keepalive();
        if let Some(stream) = app.reuse().await
            && let Ok(connection) = stream.into_any().downcast::<Connection>()
        {
            self.give_back(connection);
        }
        Ok(status.as_u16())
    }

    /// A request with a body, or a WebSocket.
    async fn pass_both_ways(
        &self,
        session: &mut ServerSession,
        shaper: &mut Shaper,
        mut connection: Box<Connection>,
        has_body: bool,
        upgrade: Option<&HeaderValue>,
    ) -> Result<u16, Failure> {
        let limits = self.errand.limits;
        let chunked = has_body && !session.req_header().headers.contains_key(header::CONTENT_LENGTH);
        let writer = connection.split().ok_or(Failure::BadAnswer)?;
        let mut app = AppSession::new(connection);
        let request = self.outgoing(session).to_header(upgrade, chunked);
        app.write_request_header(request).await.map_err(|_| Failure::BadAnswer)?;
        if expects_continue(session) {
            session.write_continue_response().await.map_err(|_| Failure::ClientGone)?;
        }

        let activity = Activity::new();
        let all_sent = AtomicBool::new(!has_body);
        let (body, pieces) = mpsc::channel(PIECES);
        let (answers, answer) = mpsc::channel(PIECES);
        let result = {
            let to_app = send_body(writer, pieces, chunked, &activity);
            let from_app = read_answer(
                &mut app,
                answers,
                limits.response_timeout,
                limits.idle_timeout,
                &activity,
                &all_sent,
            );
            let client = Client {
                session,
                shaper,
                body_limit: limits.body_bytes,
                idle_timeout: limits.idle_timeout,
                activity: &activity,
                all_sent: &all_sent,
            };
            let client = client.serve(body, answer, has_body);
            tokio::pin!(to_app, from_app, client);
            let (mut sending, mut reading, mut whole) = (true, true, false);
            loop {
                tokio::select! {
                    biased;
                    done = &mut client => break done.map(|status| (status, whole)),
                    _ = &mut from_app, if reading => reading = false,
                    sent = &mut to_app, if sending => (sending, whole) = (false, sent),
                }
            }
        };
        let (status, whole) = result?;
        if whole && status != 101 {
            app.respect_keepalive();
            if let Some(stream) = app.reuse().await
                && let Ok(mut connection) = stream.into_any().downcast::<Connection>()
                && connection.unsplit()
            {
                self.give_back(connection);
            }
        }
        Ok(status)
    }
}

fn expects_continue(session: &ServerSession) -> bool {
    let request = session.req_header();
    request.version == Version::HTTP_11
        && request
            .headers
            .get(header::EXPECT)
            .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whether an answer with this head has no body (RFC 9112, 6.3).
fn app_is_done(session: &ServerSession, head: &ResponseHeader) -> bool {
    session.req_header().method == Method::HEAD
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0")
}

async fn write_head(session: &mut ServerSession, shaper: &mut Shaper, head: &ResponseHeader, ended: bool) -> Result<(), Failure> {
    write_built_head(session, shaper, headers::to_client(head, false), ended).await
}

async fn write_built_head(
    session: &mut ServerSession,
    shaper: &mut Shaper,
    mut to_client: Box<ResponseHeader>,
    ended: bool,
) -> Result<(), Failure> {
    let mut page = None;
    if let Some(shape) = &mut shaper.0 {
        (to_client, page) = shape.head(session.req_header(), to_client, ended);
    }
    if let Some(alt_svc) = &shaper.1 {
        let _ = to_client.insert_header(header::ALT_SVC, alt_svc.clone());
    }
    // A page in place of the app's answer is written here, whole; what comes of the answer is dropped.
    let bodiless = page.is_some() && matches!(to_client.status.as_u16(), 204 | 304);
    let page = page.filter(|_| session.req_header().method != Method::HEAD && !bodiless);
    let ended = bodiless || (ended && page.is_none());
    let unframed = !ended && !to_client.headers.contains_key(header::CONTENT_LENGTH);
    let written = match &mut *session {
        ServerSession::H2(session) => session.write_response_header(to_client, ended),
        session => {
            if unframed && session.req_header().version == Version::HTTP_11 {
                let _ = to_client.insert_header(header::TRANSFER_ENCODING, "chunked");
            }
            session.write_response_header(to_client).await
        }
    };
    written.map_err(|_| Failure::ClientGone)?;
    match page {
        Some(page) => session.write_response_body(page, true).await.map_err(|_| Failure::ClientGone),
        None => Ok(()),
    }
}

async fn write_piece(
    session: &mut ServerSession,
    shaper: &mut Shaper,
    mut piece: Bytes,
    last: bool,
    limit: Duration,
) -> Result<(), Failure> {
    if let Some(shape) = &mut shaper.0 {
        match shape.piece(piece, last) {
            Ok(Some(shaped)) => piece = shaped,
            Ok(None) => return Ok(()),
            Err(_) => return Err(Failure::BadAnswer),
        }
        let wait = shape.wait(piece.len());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
    match timeout(limit, session.write_response_body(piece, last)).await {
        Ok(Ok(())) => Ok(()),
        // An app that sends more or less than it declared is an app's fault; a client that is gone is the common case.
        Ok(Err(_)) | Err(_) => Err(Failure::ClientGone),
    }
}

/// When something last moved, for limits that silence in both directions breaks.
pub(crate) struct Activity {
    began: Instant,
    last: AtomicU64,
}

/// Nothing moved for too long.
pub(crate) struct Silent;

impl Activity {
    pub(crate) fn new() -> Activity {
        Activity {
            began: Instant::now(),
            last: AtomicU64::new(0),
        }
    }
    pub(crate) fn touch(&self) {
        self.last
            .store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
    fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
    pub(crate) async fn unless_silent<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Silent> {
        tokio::pin!(work);
        loop {
            let left = limit.saturating_sub(self.silence());
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(left) => {
                    if self.silence() >= limit {
                        return Err(Silent);
                    }
                }
            }
        }
    }
}

/// A piece of the client's body, or its end.
pub(crate) enum Piece {
    Data(Bytes),
    End,
    /// The client closed its side of an upgraded connection.
    Close,
}

/// Writes the body to the app. True: all of it. When the app stops reading it may have answered already, so that is
/// no failure here.
async fn send_body(mut writer: SharedWriter, mut pieces: mpsc::Receiver<Piece>, chunked: bool, activity: &Activity) -> bool {
    let mut frame = Vec::new();
    while let Some(piece) = pieces.recv().await {
        let written = match piece {
            Piece::Data(data) if chunked => {
                frame.clear();
                frame.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                frame.extend_from_slice(&data);
                frame.extend_from_slice(b"\r\n");
                writer.write_all(&frame).await
            }
            Piece::Data(data) => writer.write_all(&data).await,
            Piece::End if chunked => return writer.write_all(b"0\r\n\r\n").await.is_ok(),
            Piece::End => return true,
            Piece::Close => break,
        };
        if written.is_err() {
            return false;
        }
        activity.touch();
    }
    // The client is gone, or has closed its WebSocket.
    let _ = writer.shutdown().await;
    false
}

/// Reads the app's answer and hands it on, piece by piece; the last thing handed on is its end or why there is none.
async fn read_answer(
    app: &mut AppSession,
    answers: mpsc::Sender<Result<HttpTask, Failure>>,
    response_timeout: Duration,
    idle_timeout: Duration,
    activity: &Activity,
    all_sent: &AtomicBool,
) {
    let mut limit = response_timeout;
    loop {
        let handed = match activity.unless_silent(limit, app.read_response_task()).await {
            Ok(Ok(HttpTask::Header(head, _))) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {
                continue;
            }
            Ok(Ok(task)) => {
                limit = idle_timeout;
                Ok(task)
            }
            Ok(Err(_)) => Err(Failure::BadAnswer),
            // While the client still owes a part of its body, the silence is the client's.
            Err(Silent) if all_sent.load(Relaxed) => Err(Failure::TimedOut),
            Err(Silent) => Err(Failure::SlowBody),
        };
        activity.touch();
        let last = handed.as_ref().map_or(true, HttpTask::is_end);
        if answers.send(handed).await.is_err() || last {
            return;
        }
    }
}

/// The client's side of a request with a body, or of a WebSocket.
pub(crate) struct Client<'a> {
    pub session: &'a mut ServerSession,
    pub shaper: &'a mut Shaper,
    pub body_limit: u64,
    pub idle_timeout: Duration,
    pub activity: &'a Activity,
    pub all_sent: &'a AtomicBool,
}

impl Client<'_> {
    /// Reads the body into `body` and writes what comes from `answer`, until the answer ends.
    pub(crate) async fn serve(
        mut self,
        body: mpsc::Sender<Piece>,
        mut answer: mpsc::Receiver<Result<HttpTask, Failure>>,
        has_body: bool,
    ) -> Result<u16, Failure> {
        let (mut received, mut status) = (0u64, 0);
        let (mut reads, mut upgraded) = (if has_body { Reads::Body } else { Reads::Nothing }, false);
        loop {
            tokio::select! {
                biased;
                task = answer.recv() => {
                    let (begun, ended) = self.write(task.ok_or(Failure::BadAnswer)??).await?;
                    status = begun.unwrap_or(status);
                    if begun == Some(101) {
                        (upgraded, reads) = (true, Reads::Body);
                    }
                    if ended {
                        return Ok(status);
                    }
                }
                next = next_piece(self.session, &body, reads) => match next? {
                    Some((permit, Some(data))) => {
                        received += data.len() as u64;
                        if received > self.body_limit && !upgraded {
                            return Err(Failure::BodyTooLarge);
                        }
                        self.activity.touch();
                        permit.send(Piece::Data(data));
                    }
                    Some((permit, None)) if upgraded => {
                        reads = Reads::Never;
                        permit.send(Piece::Close);
                    }
                    Some((permit, None)) => {
                        reads = Reads::Nothing;
                        self.all_sent.store(true, Relaxed);
                        permit.send(Piece::End);
                    }
                    None => reads = Reads::Never, // the app reads no more
                },
            }
        }
    }

    /// Returns the status if this was the head, and whether it was the end.
    async fn write(&mut self, task: HttpTask) -> Result<(Option<u16>, bool), Failure> {
        match task {
            HttpTask::Header(head, ended) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                let to_client = headers::to_client(&head, true);
                self.session
                    .write_response_header(to_client)
                    .await
                    .map_err(|_| Failure::ClientGone)?;
                Ok((Some(101), ended))
            }
            HttpTask::Header(head, ended) => {
                write_head(self.session, self.shaper, &head, ended).await?;
                Ok((Some(head.status.as_u16()), ended))
            }
            HttpTask::Body(data, ended) | HttpTask::UpgradedBody(data, ended) => {
                write_piece(self.session, self.shaper, data.unwrap_or_default(), ended, self.idle_timeout).await?;
                Ok((None, ended))
            }
            // HTTP/1.1 clients get none; gRPC does not speak it.
            HttpTask::Trailer(Some(trailers)) if self.session.as_http1().is_none() => {
                self.session
                    .write_response_trailers(*trailers)
                    .await
                    .map_err(|_| Failure::ClientGone)?;
                Ok((None, true))
            }
            HttpTask::Trailer(_) => {
                write_piece(self.session, self.shaper, Bytes::new(), true, self.idle_timeout).await?;
                Ok((None, true))
            }
            HttpTask::Done => Ok((None, true)),
            HttpTask::Failed(_) => Err(Failure::BadAnswer),
        }
    }
}

/// What is awaited from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Body,
    /// Nothing but that it may go away.
    Nothing,
    /// Not even that: its side is closed, or nobody wants what it sends.
    Never,
}

/// The next piece of the client's body, once there is room for it; without data it is the end. `None`: nobody wants it.
async fn next_piece<'a>(
    session: &mut ServerSession,
    body: &'a mpsc::Sender<Piece>,
    reads: Reads,
) -> Result<Option<(mpsc::Permit<'a, Piece>, Option<Bytes>)>, Failure> {
    match reads {
        Reads::Body => {}
        Reads::Nothing => {
            let _ = session.read_body_or_idle(true).await;
            return Err(Failure::ClientGone);
        }
        Reads::Never => return std::future::pending().await,
    }
    let Ok(permit) = body.reserve().await else { return Ok(None) };
    match session.read_request_body().await {
        Ok(data) => Ok(Some((permit, data))),
        Err(error) => Err(match error.etype() {
            ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::H2Error | ErrorType::ReadTimedout => Failure::ClientGone,
            _ => Failure::BadBody,
        }),
    }
}
