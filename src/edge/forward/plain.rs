//! Requests without a body: one side after the other.

use super::{
    Failure, Miss, Way,
    writing::{app_is_done, write_built_head, write_head, write_piece},
};
use crate::{
    connection::Connection,
    headers::{self, Read},
    shape::Shaper,
};
use bytes::{Buf, BytesMut};
use http::StatusCode;
use pingora::protocols::http::{ServerSession, v1::client::HttpSession as AppSession};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// A larger head is left to pingora's session, which has a limit of its own.
const LARGEST_PLAIN_HEAD: usize = 32 << 10;
/// Bytes read at once from a body.
const LARGEST_PIECE: usize = 64 << 10;
impl Way<'_> {
    /// A request without a body. When the answer has a declared length, nothing but this touches it.
    pub(super) async fn pass_plain(
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
    pub(super) async fn pass_any(
        &self,
        session: &mut ServerSession,
        shaper: &mut Shaper,
        connection: Box<Connection>,
    ) -> Result<u16, Failure> {
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
}
