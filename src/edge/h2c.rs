//! HTTP/2 towards an upstream, without TLS and with prior knowledge: what gRPC servers speak. All requests of a thread
//! share one connection.

use crate::{
    forward::{Activity, Client, Failure, Miss, PIECES, Piece, Way},
    shape::Shaper,
};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderValue, header};
use pingora::{
    http::ResponseHeader,
    protocols::http::{HttpTask, ServerSession},
};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::mpsc;

/// What one stream may have on its way here before it is read.
const WINDOW: u32 = 1 << 20;

impl Way<'_> {
    /// A sender over the shared connection, or over a new one if there is none or it is broken.
    async fn sender(&self) -> Result<SendRequest<Bytes>, Failure> {
        let slot = &self.backend.h2[self.worker.index];
        let mut shared = slot.lock().await;
        if let Some(sender) = &*shared
            && let Ok(sender) = sender.clone().ready().await
        {
            return Ok(sender);
        }
        *shared = None;
        let limit = self.worker.shared.limits.connect_timeout;
        let connected = tokio::time::timeout(limit, async {
            let connection = self.backend.connect(None).await.map_err(|_| Failure::Refused)?;
            h2::client::Builder::new()
                .initial_window_size(WINDOW)
                .initial_connection_window_size(4 * WINDOW)
                .enable_push(false)
                .handshake::<_, Bytes>(connection)
                .await
                .map_err(|_| Failure::BadAnswer)
        });
        let (sender, connection) = connected.await.map_err(|_| Failure::TimedOut)??;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let sender = sender.ready().await.map_err(|_| Failure::BadAnswer)?;
        *shared = Some(sender.clone());
        Ok(sender)
    }

    pub(crate) async fn pass_h2c(&self, session: &mut ServerSession, shaper: &mut Shaper) -> Result<u16, Miss> {
        let has_body = !session.is_body_empty();
        let mut sender = self.sender().await?;
        let request = self.h2_request(session)?;
        let (answer, body) = sender.send_request(request, !has_body).map_err(|_| Failure::BadAnswer)?;
        let (activity, all_sent) = (Activity::new(), AtomicBool::new(!has_body));
        let (pieces_in, pieces) = mpsc::channel(PIECES);
        let (answers, answers_out) = mpsc::channel(PIECES);
        let limits = self.errand.limits;
        let to_app = send_body(body, pieces, &activity);
        let from_app = read_answer(answer, answers, limits.response_timeout, limits.idle_timeout, &activity, &all_sent);
        let client = Client {
            session,
            shaper,
            body_limit: limits.body_bytes,
            idle_timeout: limits.idle_timeout,
            activity: &activity,
            all_sent: &all_sent,
        };
        let client = client.serve(pieces_in, answers_out, has_body);
        tokio::pin!(to_app, from_app, client);
        let (mut sending, mut reading) = (has_body, true);
        loop {
            tokio::select! {
                biased;
                done = &mut client => return done.map_err(Miss::Failed),
                () = &mut from_app, if reading => reading = false,
                () = &mut to_app, if sending => sending = false,
            }
        }
    }

    fn h2_request(&self, session: &ServerSession) -> Result<http::Request<()>, Failure> {
        let head = self.outgoing(session).to_header(None, false);
        let host = self.errand.upstream_host.unwrap_or(self.errand.host).to_str().unwrap_or("upstream");
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = http::Uri::builder().scheme("http").authority(host).path_and_query(path).build();
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = head.method.clone();
        parts.version = http::Version::HTTP_2;
        parts.uri = uri.map_err(|_| Failure::BadBody)?;
        for (name, value) in &head.headers {
            if *name != header::HOST {
                parts.headers.append(name.clone(), value.clone());
            }
        }
        // gRPC needs it, and it is the only one that HTTP/2 allows (RFC 9113, 8.2.2).
        let te = session.req_header().headers.get(header::TE);
        if te.is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
            parts.headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        Ok(http::Request::from_parts(parts, ()))
    }
}

async fn send_body(mut body: h2::SendStream<Bytes>, mut pieces: mpsc::Receiver<Piece>, activity: &Activity) {
    while let Some(piece) = pieces.recv().await {
        let Piece::Data(mut data) = piece else {
            let _ = body.send_data(Bytes::new(), true);
            return;
        };
        while !data.is_empty() {
            body.reserve_capacity(data.len());
            let Some(Ok(room)) = std::future::poll_fn(|context| body.poll_capacity(context)).await else {
                return;
            };
            let part = data.split_to(room.min(data.len()));
            if body.send_data(part, false).is_err() {
                return;
            }
            activity.touch();
        }
    }
    // The client is gone.
    body.send_reset(h2::Reason::CANCEL);
}

async fn read_answer(
    answer: ResponseFuture,
    answers: mpsc::Sender<Result<HttpTask, Failure>>,
    response_timeout: Duration,
    idle_timeout: Duration,
    activity: &Activity,
    all_sent: &AtomicBool,
) {
    let silent = || {
        if all_sent.load(Relaxed) {
            Failure::TimedOut
        } else {
            Failure::SlowBody
        }
    };
    let (head, mut body) = match activity.unless_silent(response_timeout, answer).await {
        Ok(Ok(answer)) => answer.into_parts(),
        Ok(Err(_)) => return drop(answers.send(Err(Failure::BadAnswer)).await),
        Err(_) => return drop(answers.send(Err(silent())).await),
    };
    activity.touch();
    let ended = body.is_end_stream();
    let head = Box::new(ResponseHeader::from(head));
    if answers.send(Ok(HttpTask::Header(head, ended))).await.is_err() || ended {
        return;
    }
    loop {
        let task = match activity.unless_silent(idle_timeout, body.data()).await {
            Ok(Some(Ok(data))) => {
                let _ = body.flow_control().release_capacity(data.len());
                Ok(HttpTask::Body(Some(data), false))
            }
            Ok(Some(Err(_))) => Err(Failure::BadAnswer),
            Ok(None) => match body.trailers().await {
                Ok(trailers) => Ok(HttpTask::Trailer(trailers.map(Box::new))),
                Err(_) => Err(Failure::BadAnswer),
            },
            Err(_) => Err(silent()),
        };
        activity.touch();
        let last = task.as_ref().map_or(true, HttpTask::is_end);
        if answers.send(task).await.is_err() || last {
            return;
        }
    }
}
