//! A WebSocket client that takes any certificate and connects every name to this machine.

use crate::network::insecure_tls;
use futures::{SinkExt, StreamExt};
use std::{net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, ClientRequestBuilder, Message, http::Uri},
};

/// How long a frame may take.
const PATIENCE: Duration = Duration::from_secs(30);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<Box<dyn Stream>>,
}

impl Socket {
    /// Opens `ws://` or `wss://HOST:PORT/…`; the error is the HTTP status, or 0 and words when there was no answer.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Socket, (u16, String)> {
        let none = |error: &dyn std::fmt::Display| (0, error.to_string());
        let url: Uri = url.parse().map_err(|error| none(&error))?;
        let port = url.port_u16().ok_or_else(|| none(&"the address names no port"))?;
        let stream = connect(&url, port).await.map_err(|error| none(&error))?;
        let mut request = ClientRequestBuilder::new(url);
        for (name, value) in headers {
            request = request.with_header(*name, *value);
        }
        match client_async(request, stream).await {
            Ok((stream, _)) => Ok(Socket { stream }),
            Err(tungstenite::Error::Http(answer)) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err((answer.status().as_u16(), String::from_utf8_lossy(body).into_owned()))
            }
            Err(error) => Err(none(&error)),
        }
    }

    pub async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("the socket takes a frame");
    }
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream
            .send(Message::binary(bytes.to_vec()))
            .await
            .expect("the socket takes a frame");
    }

    /// The next text or binary frame; `None` once it is closed.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.stream.next())
                .await
                .expect("a frame comes within 30 s")?;
            match frame {
                Ok(frame @ (Message::Text(_) | Message::Binary(_))) => return Some(frame),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame as text; `None` once it is closed.
    pub async fn next_text(&mut self) -> Option<String> {
        let frame = self.next().await?;
        Some(String::from_utf8_lossy(&frame.into_data()).into_owned())
    }

    /// Reads frames until the texts together contain `wanted`; the answer is all of it. Panics when it closes before.
    pub async fn until(&mut self, wanted: &str) -> String {
        let mut all = String::new();
        while !all.contains(wanted) {
            match self.next_text().await {
                Some(text) => all.push_str(&text),
                None => panic!("the socket closed before {wanted:?}; it said {all:?}"),
            }
        }
        all
    }

    pub async fn close(mut self) {
        // The other side may have closed it already.
        let _ = self.stream.close(None).await;
    }
}

async fn connect(url: &Uri, port: u16) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    if url.scheme_str() == Some("ws") {
        return Ok(Box::new(stream));
    }
    let name = url.host().unwrap_or_default().to_owned();
    let name = name.try_into().map_err(std::io::Error::other)?;
    Ok(Box::new(TlsConnector::from(insecure_tls()).connect(name, stream).await?))
}
