//! A client of HTTP/3 that takes any certificate, on one connection.

use crate::network::insecure_tls;
use bytes::{Buf, Bytes};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};

/// A connection to a UDP port of the loopback address. It is closed when this is dropped.
pub struct Http3 {
    endpoint: quinn::Endpoint,
    sender: h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// `https://HOST`
    site: String,
}

impl Http3 {
    /// Fails in words when nobody answers within five seconds.
    pub async fn connect(port: u16, host: &str) -> Result<Http3, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let mut tls = (*insecure_tls()).clone();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).map_err(|error| words(&error))?;
        let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).map_err(|error| words(&error))?;
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
        let connecting = endpoint
            .connect((Ipv4Addr::LOCALHOST, port).into(), host)
            .map_err(|error| words(&error))?;
        let connection = tokio::time::timeout(Duration::from_secs(5), connecting)
            .await
            .map_err(|_| "silence".to_owned())?
            .map_err(|error| words(&error))?;
        let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection))
            .await
            .map_err(|error| words(&error))?;
        tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
        Ok(Http3 {
            endpoint,
            sender,
            site: format!("https://{host}"),
        })
    }

    /// Status and body.
    pub async fn get(&mut self, path: &str) -> Result<(u16, String), String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let request = http::Request::get(format!("{}{path}", self.site))
            .body(())
            .map_err(|error| words(&error))?;
        let mut stream = self.sender.send_request(request).await.map_err(|error| words(&error))?;
        stream.finish().await.map_err(|error| words(&error))?;
        let answer = stream.recv_response().await.map_err(|error| words(&error))?;
        let mut body = Vec::new();
        while let Some(mut piece) = stream.recv_data().await.map_err(|error| words(&error))? {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        Ok((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Drop for Http3 {
    fn drop(&mut self) {
        self.endpoint.close(0u32.into(), b"");
    }
}
