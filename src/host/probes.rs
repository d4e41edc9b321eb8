//! Does it serve? One try, over the network, so that images need no tools for it.

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::net::TcpStream;
use types::{Error, Probe, Result};

/// Fails with `Unavailable`, and one sentence, when it does not serve within `timeout`.
pub async fn probe(address: IpAddr, port: u16, probe: &Probe, timeout: Duration) -> Result<()> {
    let at = SocketAddr::new(address, port);
    let tried = async {
        match probe {
            Probe::Running => Ok(()),
            Probe::Tcp | Probe::Auto => connect(at).await.map(|_| ()),
            Probe::Http { path } => get(at, path, 400).await,
            Probe::Web { path } => get(at, path, 500).await,
        }
    };
    match tokio::time::timeout(timeout, tried).await {
        Ok(result) => result,
        Err(_) => Err(Error::unavailable(format!("no answer from {at} within {}", seconds(timeout)))),
    }
}

async fn connect(at: SocketAddr) -> Result<TcpStream> {
    TcpStream::connect(at).await.map_err(|error| {
        Error::unavailable(match error.kind() {
            io::ErrorKind::ConnectionRefused => format!("connection refused on {at}"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => format!("{at} cannot be reached"),
            _ => format!("no connection to {at}: {error}"),
        })
    })
}

/// `GET path` answers with a status from 200 to less than `below`.
async fn get(at: SocketAddr, path: &str, below: u16) -> Result<()> {
    let uri: Uri = path
        .parse()
        .ok()
        .filter(|uri: &Uri| uri.host().is_none() && path.starts_with('/'))
        .ok_or_else(|| Error::invalid("health", format!("the path `{path}` must begin with `/` and hold no spaces")))?;
    let request = Request::get(uri)
        .header(header::HOST, at.to_string())
        .header(header::USER_AGENT, "serverkit-health")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Error::invalid("health", error.to_string()))?;
    let broke = |error: hyper::Error| {
        Error::unavailable(match error.is_parse() {
            true => format!("what {at} answers is not HTTP"),
            false => format!("{at} closed the connection without an answer"),
        })
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connect(at).await?))
        .await
        .map_err(broke)?;
    // The head is all that matters; the body goes with the connection.
    let mut answering = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answering => answer,
        _ = connection => answering.await,
    };
    let answer = answer.map_err(broke)?;
    judge(answer.status(), path, below)
}

fn judge(status: StatusCode, path: &str, below: u16) -> Result<()> {
    match status.as_u16() {
        status if (200..below).contains(&status) => Ok(()),
        status => Err(Error::unavailable(format!("answered {status} on {path}"))),
    }
}

fn seconds(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("{} s", span.as_secs()),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// A server that says `answer` to each connection and closes it, unless it is to stay silent.
    async fn server(answer: Option<&'static str>) -> u16 {
        let listener = TcpListener::bind((LOCAL, 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 1024]).await;
                    match answer {
                        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                        None => tokio::time::sleep(Duration::from_secs(60)).await,
                    }
                });
            }
        });
        port
    }

    async fn check(probe_: &Probe, port: u16, expected: Option<&str>) {
        let result = probe(LOCAL, port, probe_, Duration::from_millis(500)).await;
        let said = result
            .err()
            .map(|error| error.to_string().replace(&format!("127.0.0.1:{port}"), "HERE"));
        assert_eq!(said.as_deref(), expected);
    }

    fn http(path: &str) -> Probe {
        Probe::Http { path: path.to_owned() }
    }

    #[tokio::test]
    async fn answers_are_judged() {
        let free = TcpListener::bind((LOCAL, 0))
            .await
            .expect("a port is free")
            .local_addr()
            .expect("it is bound")
            .port();
        let silent = server(None).await;
        let rude = server(Some("")).await;
        let other = server(Some("SSH-2.0-OpenSSH_9.2\r\n\r\n")).await;
        check(&Probe::Running, free, None).await;
        check(&Probe::Tcp, free, Some("connection refused on HERE")).await;
        check(&Probe::Tcp, silent, None).await;
        check(&http("/"), silent, Some("no answer from HERE within 0.5 s")).await;
        check(&http("/"), rude, Some("HERE closed the connection without an answer")).await;
        check(&http("/"), other, Some("what HERE answers is not HTTP")).await;
        check(&http("/"), free, Some("connection refused on HERE")).await;
        check(
            &http("no slash"),
            silent,
            Some("health: the path `no slash` must begin with `/` and hold no spaces"),
        )
        .await;
        let lost = server(Some("HTTP/1.1 404 Not Found\r\n\r\n")).await;
        let broken = server(Some("HTTP/1.1 500 No\r\n\r\n")).await;
        let web = Probe::Web { path: "/".into() };
        check(&web, lost, None).await;
        check(&web, broken, Some("answered 500 on /")).await;
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\nhello", None),
            ("HTTP/1.1 204 No Content\r\n\r\n", None),
            ("HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n", None),
            ("HTTP/1.1 404 Not Found\r\n\r\n", Some("answered 404 on /up?x=1")),
            (
                "HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n",
                Some("answered 500 on /up?x=1"),
            ),
        ] {
            check(&http("/up?x=1"), server(Some(answer)).await, expected).await;
        }
    }
}
