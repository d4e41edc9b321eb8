//! Requests with a body, and WebSockets: three futures beside each other, so that no side blocks another by not reading.

use super::{
    Failure, Way,
    writing::{write_head, write_piece},
};
use crate::{
    connection::{Connection, SharedWriter},
    cookies,
    headers::{self, Receiver},
    shape::Shaper,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version, header};
use pingora::{
    ErrorType,
    protocols::http::{HttpTask, ServerSession, v1::client::HttpSession as AppSession},
};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, sync::mpsc};

/// Pieces of a body that wait between the two sides.
pub(crate) const PIECES: usize = 4;

impl Way<'_> {
    /// A request with a body, or a WebSocket.
    pub(super) async fn pass_both_ways(
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
                let mut to_client = headers::to_client(&head, true);
                if self.shaper.2 == Receiver::App {
                    cookies::keep_panels(&mut to_client);
                }
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
