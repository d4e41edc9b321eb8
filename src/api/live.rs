//! WebSockets: logs that flow out, and terminals.
//!
//! Browsers send cookies with a WebSocket from any page, so one that carries a cookie must come from the panel's own
//! address: its `Origin` is compared with its `Host`. The connection closes when serverkit stops.

use crate::failures::{Code, Failure};
use futures::{
    SinkExt, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, SplitStream},
};
use poem::{
    FromRequest, Request, RequestBody,
    http::header,
    web::websocket::{BoxWebSocketUpgraded, CloseCode, Message, WebSocket, WebSocketStream},
};
use serde::Deserialize;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Idle connections are kept alive through proxies.
const PING: Duration = Duration::from_secs(20);
/// How long the other may take to close too.
const GOODBYE: Duration = Duration::from_secs(2);
/// Lines that are sent with one flush.
const TOGETHER: usize = 256;

/// Cancelled when serverkit stops; in every request.
#[derive(Clone)]
pub(crate) struct Stop(pub CancellationToken);

/// Comes when the one who opened it may no longer have it.
pub(crate) type End = BoxFuture<'static, ()>;

/// A request that wants to become a WebSocket, from where it may.
pub(crate) struct Upgrade {
    socket: WebSocket,
    stop: CancellationToken,
}

impl<'a> FromRequest<'a> for Upgrade {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        if !is_own_origin(request) {
            return Err(Failure::new(Code::Forbidden, "a WebSocket must be opened from the panel's own pages").into());
        }
        let socket = WebSocket::from_request(request, body)
            .await
            .map_err(|_| Failure::new(Code::Invalid, "open this address as a WebSocket"))?;
        let stop = request.data::<Stop>().map(|stop| stop.0.clone()).unwrap_or_default();
        Ok(Upgrade { socket, stop })
    }
}

/// Programs send no `Origin`; then there must be no cookie either.
fn is_own_origin(request: &Request) -> bool {
    match request.header(header::ORIGIN) {
        None => request.header(header::COOKIE).is_none() || request.header(header::AUTHORIZATION).is_some(),
        Some(origin) => {
            let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
            request
                .header(header::HOST)
                .is_some_and(|host| host.eq_ignore_ascii_case(authority))
        }
    }
}

impl Upgrade {
    /// Sends each text as a frame, and closes after the last.
    pub fn send(self, end: End, texts: BoxStream<'static, String>) -> BoxWebSocketUpgraded {
        let stop = self.stop;
        // poem wants the callback to be `Sync`, although it calls it once.
        let held = Mutex::new((texts, end));
        self.socket
            .on_upgrade(move |socket| async move {
                let (texts, end) = held.into_inner().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = pump(socket, texts, end, stop).await {
                    tracing::debug!("a log WebSocket broke: {error}");
                }
            })
            .boxed()
    }

    /// Joins the frames with a running command.
    pub fn join(self, end: End, exec: node::Exec) -> BoxWebSocketUpgraded {
        let stop = self.stop;
        let held = Mutex::new((exec, end));
        self.socket
            .on_upgrade(move |socket| async move {
                let (exec, end) = held.into_inner().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = converse(socket, exec, end, stop).await {
                    tracing::debug!("a terminal WebSocket broke: {error}");
                }
            })
            .boxed()
    }
}

async fn pump(socket: WebSocketStream, texts: BoxStream<'static, String>, mut end: End, stop: CancellationToken) -> std::io::Result<()> {
    let (mut sink, mut source) = socket.split();
    let mut texts = texts.ready_chunks(TOGETHER);
    let mut ping = pings();
    loop {
        tokio::select! {
            chunk = texts.next() => match chunk {
                Some(chunk) => {
                    for text in chunk {
                        sink.feed(Message::Text(text)).await?;
                    }
                    sink.flush().await?;
                }
                None => return close(&mut sink, &mut source, CloseCode::Normal, "that was all").await,
            },
            said = source.next() => if is_over(said) { return Ok(()) },
            _ = ping.tick() => sink.send(Message::Ping(Vec::new())).await?,
            () = &mut end => return close(&mut sink, &mut source, CloseCode::Policy, "signed out").await,
            () = stop.cancelled() => return close(&mut sink, &mut source, CloseCode::Away, "serverkit is stopping").await,
        }
    }
}

/// What the page tells a terminal beside bytes.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Resize { columns: u16, rows: u16 },
}

async fn converse(socket: WebSocketStream, exec: node::Exec, mut end: End, stop: CancellationToken) -> std::io::Result<()> {
    let node::Exec {
        mut output,
        mut input,
        control,
    } = exec;
    let (mut sink, mut source) = socket.split();
    let mut buffer = vec![0; 16 << 10];
    let mut ping = pings();
    loop {
        tokio::select! {
            read = output.read(&mut buffer) => match read {
                Ok(0) | Err(_) => {
                    let code = exit_code(&*control).await;
                    sink.send(Message::Text(serde_json::json!({ "exit": code }).to_string())).await?;
                    return close(&mut sink, &mut source, CloseCode::Normal, "the command ended").await;
                }
                Ok(bytes) => sink.send(Message::Binary(buffer[..bytes].to_vec())).await?,
            },
            said = source.next() => match said {
                Some(Ok(Message::Binary(bytes))) => {
                    // A command that no longer reads ends soon: its output tells.
                    let _ = input.write_all(&bytes).await;
                    let _ = input.flush().await;
                }
                Some(Ok(Message::Text(text))) => {
                    if let Ok(Said::Resize { columns, rows }) = serde_json::from_str(&text) {
                        let _ = control.resize(columns.clamp(2, 1000), rows.clamp(2, 1000)).await;
                    }
                }
                said => if is_over(said) { return Ok(()) },
            },
            _ = ping.tick() => sink.send(Message::Ping(Vec::new())).await?,
            () = &mut end => return close(&mut sink, &mut source, CloseCode::Policy, "signed out").await,
            () = stop.cancelled() => return close(&mut sink, &mut source, CloseCode::Away, "serverkit is stopping").await,
        }
    }
}

/// The engine knows the code a moment after the output ended.
async fn exit_code(control: &dyn node::ExecControl) -> Option<i64> {
    for _ in 0..20 {
        match control.exit_code().await {
            Ok(Some(code)) => return Some(code),
            Ok(None) => sleep(Duration::from_millis(100)).await,
            Err(_) => return None,
        }
    }
    None
}

fn pings() -> tokio::time::Interval {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    ping
}

fn is_over(said: Option<std::io::Result<Message>>) -> bool {
    matches!(said, None | Some(Err(_)) | Some(Ok(Message::Close(_))))
}

/// Says goodbye, and waits for the other's: what it sent meanwhile must be read, or the kernel would cut the connection
/// before our last frames arrive.
async fn close<S>(sink: &mut S, source: &mut SplitStream<WebSocketStream>, code: CloseCode, why: &str) -> std::io::Result<()>
where
    S: SinkExt<Message, Error = std::io::Error> + Unpin,
{
    sink.send(Message::Close(Some((code, why.to_owned())))).await?;
    let goodbye = async { while let Some(Ok(_)) = source.next().await {} };
    let _ = timeout(GOODBYE, goodbye).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_need_the_own_origin() {
        for (headers, allowed) in [
            (&[][..], true),
            (&[("authorization", "Bearer sk_x")][..], true),
            (&[("cookie", "__Host-serverkit_session=x")][..], false),
            (&[("cookie", "a=b"), ("origin", "https://panel.test:8444")][..], true),
            (&[("cookie", "a=b"), ("origin", "https://PANEL.test:8444")][..], true),
            (&[("cookie", "a=b"), ("origin", "https://panel.test")][..], false),
            (&[("cookie", "a=b"), ("origin", "https://evil.test")][..], false),
            (&[("cookie", "a=b"), ("origin", "null")][..], false),
            (&[("authorization", "Bearer sk_x"), ("origin", "https://evil.test")][..], false),
        ] {
            let mut request = Request::builder().header("host", "panel.test:8444");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            assert_eq!(is_own_origin(&request.finish()), allowed, "{headers:?}");
        }
    }
}
