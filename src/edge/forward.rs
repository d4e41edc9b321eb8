//! Passes a request on to an app and its answer back.
//!
//! A request without a body is a plain loop over one upstream session. With a body, or once it has become a WebSocket,
//! three futures run beside each other (towards the app, from the app, and the client), so that no side can block
//! another by not reading.

use crate::{
    connection::{Connection, Guest, SharedWriter},
    headers::{self, Outgoing, Read, Receiver},
    table::{Serves, Site},
    upstream::{Backend, Place, UnderWay},
    worker::Worker,
};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, Version, header};
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
    ClientGone,
}

/// A larger head is left to pingora's session, which has a limit of its own.
const LARGEST_PLAIN_HEAD: usize = 32 << 10;
/// Bytes read at once from a body.
const LARGEST_PIECE: usize = 64 << 10;
/// Pieces of a body that wait between the two sides.
const PIECES: usize = 4;

/// Returns the status of the answer once it is passed on whole. `place` becomes where it went.
pub(crate) async fn forward(
    worker: &Worker,
    guest: &Guest,
    session: &mut ServerSession,
    site: &Site,
    host: &HeaderValue,
    place: &mut Option<Place>,
) -> Result<u16, Failure> {
    let (backends, first, receiver) = match &site.serves {
        Serves::App(balanced) => (&*balanced.backends, balanced.turn(), Receiver::App),
        Serves::Panel(backend) => (std::slice::from_ref(backend), 0, Receiver::Panel),
        Serves::Starting => return Err(Failure::Starting),
        Serves::Down(why) => return Err(Failure::Down(why.clone())),
    };
    if declared_length(session.req_header()) > worker.shared.limits.body_bytes {
        return Err(Failure::BodyTooLarge);
    }
    let mut failure = Failure::Refused;
    for n in 0..backends.len() {
        let backend = &backends[(first + n) % backends.len()];
        let _under_way = UnderWay::on(backend);
        *place = Some(backend.place.clone());
        let way = Way {
            worker,
            guest,
            backend,
            receiver,
            host,
        };
        if let Some(connection) = backend.take(worker.index, worker.now()) {
            match way.pass(session, connection, true).await {
                Err(Miss::Stale) => {}
                Err(Miss::Failed(failure)) => return Err(failure),
                Ok(status) => return Ok(status),
            }
        }
        // Another upstream is tried only when no connection could be made.
        match timeout(worker.shared.limits.connect_timeout, backend.connect()).await {
            Ok(Ok(connection)) => {
                return way.pass(session, Box::new(connection), false).await.map_err(|miss| match miss {
                    Miss::Stale => Failure::BadAnswer,
                    Miss::Failed(failure) => failure,
                });
            }
            Ok(Err(_)) => failure = Failure::Refused,
            Err(_) => failure = Failure::TimedOut,
        }
    }
    Err(failure)
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
enum Miss {
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
struct Way<'a> {
    worker: &'a Worker,
    guest: &'a Guest,
    backend: &'a Arc<Backend>,
    receiver: Receiver,
    host: &'a HeaderValue,
}

impl Way<'_> {
    async fn pass(&self, session: &mut ServerSession, connection: Box<Connection>, reused: bool) -> Result<u16, Miss> {
        let has_body = !session.is_body_empty();
        let websocket = !has_body && headers::is_websocket(session.req_header());
        if has_body || websocket {
            // Boxed, so that the common case does not carry the room for this one.
            Box::pin(self.pass_both_ways(session, connection, has_body, websocket))
                .await
                .map_err(Miss::Failed)
        } else {
            self.pass_plain(session, connection, reused).await
        }
    }

    fn outgoing<'a>(&'a self, session: &'a ServerSession) -> Outgoing<'a> {
        Outgoing {
            request: session.req_header(),
            host: self.host,
            guest: self.guest,
            receiver: self.receiver,
        }
    }

    fn give_back(&self, connection: Box<Connection>) {
        self.backend.give_back(self.worker.index, connection, self.worker.now());
    }

    /// A request without a body. When the answer has a declared length, nothing but this touches it.
    async fn pass_plain(&self, session: &mut ServerSession, mut connection: Box<Connection>, reused: bool) -> Result<u16, Miss> {
        let limits = &self.worker.shared.limits;
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
                    return Box::pin(self.pass_any(session, connection)).await.map_err(Miss::Failed);
                }
            }
        };
        let status = head.to_client.status.as_u16();
        let mut left = head.length;
        write_built_head(session, head.to_client, left == 0).await?;
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
            write_piece(session, answer.split_to(part).freeze(), left == 0, limits.idle_timeout).await?;
        }
        // More than it declared: nobody knows what that is.
        if answer.is_empty() {
            self.give_back(connection);
        }
        Ok(status)
    }

    /// A request without a body that was sent already, and any answer.
    async fn pass_any(&self, session: &mut ServerSession, connection: Box<Connection>) -> Result<u16, Failure> {
        let limits = &self.worker.shared.limits;
        let request = self.outgoing(session).to_header(false, false);
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
        let ended = app_is_done(session, head);
        write_head(session, head, ended).await?;
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
            write_piece(session, piece.unwrap_or_default(), last, limits.idle_timeout).await?;
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
        mut connection: Box<Connection>,
        has_body: bool,
        websocket: bool,
    ) -> Result<u16, Failure> {
        let limits = &self.worker.shared.limits;
        let chunked = has_body && !session.req_header().headers.contains_key(header::CONTENT_LENGTH);
        let writer = connection.split().ok_or(Failure::BadAnswer)?;
        let mut app = AppSession::new(connection);
        let request = self.outgoing(session).to_header(websocket, chunked);
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

async fn write_head(session: &mut ServerSession, head: &ResponseHeader, ended: bool) -> Result<(), Failure> {
    write_built_head(session, headers::to_client(head, false), ended).await
}

async fn write_built_head(session: &mut ServerSession, mut to_client: Box<ResponseHeader>, ended: bool) -> Result<(), Failure> {
    let unframed = !ended && !to_client.headers.contains_key(header::CONTENT_LENGTH);
    let written = match session {
        ServerSession::H2(session) => session.write_response_header(to_client, ended),
        session => {
            if unframed && session.req_header().version == Version::HTTP_11 {
                let _ = to_client.insert_header(header::TRANSFER_ENCODING, "chunked");
            }
            session.write_response_header(to_client).await
        }
    };
    written.map_err(|_| Failure::ClientGone)
}

async fn write_piece(session: &mut ServerSession, piece: Bytes, last: bool, limit: Duration) -> Result<(), Failure> {
    match timeout(limit, session.write_response_body(piece, last)).await {
        Ok(Ok(())) => Ok(()),
        // An app that sends more or less than it declared is an app's fault; a client that is gone is the common case.
        Ok(Err(_)) | Err(_) => Err(Failure::ClientGone),
    }
}

/// When something last moved, for limits that silence in both directions breaks.
struct Activity {
    began: Instant,
    last: AtomicU64,
}

/// Nothing moved for too long.
struct Silent;

impl Activity {
    fn new() -> Activity {
        Activity {
            began: Instant::now(),
            last: AtomicU64::new(0),
        }
    }
    fn touch(&self) {
        self.last
            .store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
    fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
    async fn unless_silent<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Silent> {
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
enum Piece {
    Data(Bytes),
    End,
    /// The client closed its side of a WebSocket.
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
struct Client<'a> {
    session: &'a mut ServerSession,
    body_limit: u64,
    idle_timeout: Duration,
    activity: &'a Activity,
    all_sent: &'a AtomicBool,
}

impl Client<'_> {
    /// Reads the body into `body` and writes what comes from `answer`, until the answer ends.
    async fn serve(
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
                write_head(self.session, &head, ended).await?;
                Ok((Some(head.status.as_u16()), ended))
            }
            HttpTask::Body(data, ended) | HttpTask::UpgradedBody(data, ended) => {
                write_piece(self.session, data.unwrap_or_default(), ended, self.idle_timeout).await?;
                Ok((None, ended))
            }
            HttpTask::Trailer(_) | HttpTask::Done => Ok((None, true)),
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
