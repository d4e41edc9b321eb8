//! What the client gets of an answer: its head and its pieces, shaped as the policy says.

use super::Failure;
use crate::{
    cookies,
    headers::{self, Receiver},
    shape::Shaper,
};
use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use pingora::{http::ResponseHeader, protocols::http::ServerSession};
use std::time::Duration;
use tokio::time::timeout;

/// Whether an answer with this head has no body (RFC 9112, 6.3).
pub(super) fn app_is_done(session: &ServerSession, head: &ResponseHeader) -> bool {
    session.req_header().method == Method::HEAD
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0")
}

pub(super) async fn write_head(
    session: &mut ServerSession,
    shaper: &mut Shaper,
    head: &ResponseHeader,
    ended: bool,
) -> Result<(), Failure> {
    write_built_head(session, shaper, headers::to_client(head, false), ended).await
}

pub(super) async fn write_built_head(
    session: &mut ServerSession,
    shaper: &mut Shaper,
    mut to_client: Box<ResponseHeader>,
    ended: bool,
) -> Result<(), Failure> {
    if shaper.2 == Receiver::App {
        cookies::keep_panels(&mut to_client);
    }
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

pub(super) async fn write_piece(
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
