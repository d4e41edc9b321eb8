//! Live streams of the panel over WebSocket (RFC 6455): logs and terminals. They are not in openapi.json's terms.

use crate::{Address, Client, Failure, Link, Problem};
use http::{HeaderValue, Request, header::HOST};
use progenitor_client::ClientInfo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, client::IntoClientRequest},
};
use url::Url;

/// Any byte stream: a socket, TCP, TLS over TCP.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A WebSocket to the panel.
pub type Stream = WebSocketStream<Box<dyn Bytes>>;

impl Client {
    /// Opens the stream at `path` below the API, e.g. `["apps", "blog", "terminal"]`.
    pub async fn stream(&self, path: &[&str], query: &[(&str, String)]) -> Result<Stream, Failure> {
        let link = self.inner();
        let request = request(self.baseurl(), path, query, link)?;
        let bytes = connect(link).await?;
        match client_async(request, bytes).await {
            Ok((stream, _)) => Ok(stream),
            Err(tungstenite::Error::Http(answer)) if answer.status().is_success() => Err(Failure::Odd(
                "a page in place of a stream; is a proxy in between that knows no WebSockets?".to_owned(),
            )),
            Err(tungstenite::Error::Http(answer)) => Err(Failure::Refused(Box::new(Problem::read(
                answer.status().as_u16(),
                answer.body().as_deref().unwrap_or_default(),
            )))),
            Err(error) => Err(Failure::from_connection(&link.address, &error)),
        }
    }
}

fn request(base: &str, path: &[&str], query: &[(&str, String)], link: &Link) -> Result<Request<()>, Failure> {
    let wrong = |_| Failure::Invalid("the address of the stream cannot be formed".to_owned());
    let mut url: Url = base.parse().map_err(|_| wrong(()))?;
    url.set_scheme(if url.scheme() == "https" { "wss" } else { "ws" }).map_err(wrong)?;
    url.path_segments_mut().map_err(wrong)?.pop_if_empty().extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let mut request = url.as_str().into_client_request().map_err(|_| wrong(()))?;
    for (name, value) in link.login.headers()? {
        request.headers_mut().extend([(name, value)]);
    }
    if matches!(link.address, Address::Socket(_)) {
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    }
    Ok(request)
}

async fn connect(link: &Link) -> Result<Box<dyn Bytes>, Failure> {
    let failed = |error: std::io::Error| Failure::from_connection(&link.address, &error);
    let url = match &link.address {
        Address::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
        Address::Web { url, .. } => url,
    };
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
    tcp.set_nodelay(true).map_err(failed)?;
    if url.scheme() != "https" {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(host).map_err(|_| Failure::Invalid("the panel's address names no host".to_owned()))?;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&link.tls));
    Ok(Box::new(connector.connect(name, tcp).await.map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Login;

    #[test]
    fn names_are_escaped_in_paths_and_queries() {
        let link = Link::new(Address::Socket("/x".into()), Login::None).expect("a socket needs no certificates");
        let request = request(
            "http://localhost/api/v1",
            &["apps", "a/../b", "terminal"],
            &[("command", "a b&c".to_owned())],
            &link,
        )
        .expect("it forms");
        assert_eq!(request.uri(), "ws://localhost/api/v1/apps/a%2F..%2Fb/terminal?command=a+b%26c");
    }
}
