//! A request of the edge's own to a server, with its whole answer: forward auth, health checks, fresh copies for the cache.

use crate::{connection::Connection, forward::Failure, upstream::Backend, worker::Worker};
use pingora::{
    http::{RequestHeader, ResponseHeader},
    protocols::http::v1::client::HttpSession as AppSession,
};
use std::time::Duration;
use tokio::time::timeout;

/// The answer and its body, if it is no longer than `body_limit`; else `BodyTooLarge`. `limit` is for all of it.
pub(crate) async fn fetch(
    worker: &Worker,
    backend: &Backend,
    request: Box<RequestHeader>,
    body_limit: usize,
    limit: Duration,
) -> Result<(ResponseHeader, Vec<u8>), Failure> {
    timeout(limit, attempt(worker, backend, request, body_limit))
        .await
        .unwrap_or(Err(Failure::TimedOut))
}

async fn attempt(
    worker: &Worker,
    backend: &Backend,
    request: Box<RequestHeader>,
    body_limit: usize,
) -> Result<(ResponseHeader, Vec<u8>), Failure> {
    let connection = match backend.take(worker.index, worker.now()) {
        Some(connection) => connection,
        None => Box::new(backend.connect(None).await.map_err(|_| Failure::Refused)?),
    };
    let mut app = AppSession::new(connection);
    app.write_request_header(request).await.map_err(|_| Failure::BadAnswer)?;
    loop {
        app.read_response().await.map_err(|_| Failure::BadAnswer)?;
        if app.get_status().is_some_and(|status| !status.is_informational()) {
            break;
        }
    }
    let head = app.resp_header().ok_or(Failure::BadAnswer)?.clone();
    let mut body = Vec::new();
    while !app.is_body_done() {
        match app.read_body_bytes().await.map_err(|_| Failure::BadAnswer)? {
            Some(piece) => {
                if body.len() + piece.len() > body_limit {
                    return Err(Failure::BodyTooLarge);
                }
                body.extend_from_slice(&piece);
            }
            None => break,
        }
    }
    app.respect_keepalive();
    if let Some(stream) = app.reuse().await
        && let Ok(connection) = stream.into_any().downcast::<Connection>()
    {
        backend.give_back(worker.index, connection, worker.now());
    }
    Ok((head, body))
}
