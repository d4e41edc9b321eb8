//! For tests: a panel that gives prepared answers, over a socket, TCP or TLS; and the tests that need one.
#![allow(clippy::unwrap_used)]

use crate::{Address, Client, Failure, Login, Trust};
use futures::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{accept_async, tungstenite::Message};

/// The requests that came, each with its body.
type Heard = Arc<Mutex<Vec<String>>>;

/// Answers request after request on each connection; an empty answer drops the connection.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: Arc<Mutex<Vec<&'static str>>>, heard: Heard) {
    loop {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                return;
            }
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break;
            }
        }
        heard.lock().unwrap().push(text);
        let answer = if answers.lock().unwrap().is_empty() {
            ""
        } else {
            answers.lock().unwrap().remove(0)
        };
        if answer.is_empty() {
            return;
        }
        let (head, body) = answer.split_once('\n').unwrap_or((answer, ""));
        let (status, kind) = head.split_once(' ').unwrap();
        let text = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
    }
}

/// A panel on a socket.
struct Peer {
    heard: Heard,
    client: Client,
    _folder: tempfile::TempDir,
}

fn peer(answers: Vec<&'static str>) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panel.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (answers, heard) = (Arc::new(Mutex::new(answers)), Heard::default());
    let ears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&answers), Arc::clone(&ears)));
        }
    });
    Peer {
        heard,
        client: Client::connect(Address::Socket(path), Login::None).unwrap(),
        _folder: folder,
    }
}

const SETUP: &str = "200 application/json\n{\"claimed\":true,\"version\":\"9.9\",\"mail\":false,\"later\":null}";

#[tokio::test]
async fn answers_keep_their_json() {
    let peer = peer(vec![SETUP]);
    let answer = peer.client.ask(peer.client.setup_show()).await.unwrap();
    assert!(answer.value.claimed);
    assert_eq!(
        answer.json,
        serde_json::json!({"claimed": true, "version": "9.9", "mail": false, "later": null})
    );
    assert!(peer.heard.lock().unwrap()[0].starts_with("GET /api/v1/setup HTTP/1.1\r\n"));
}

#[tokio::test]
async fn refusals_become_problems() {
    let peer = peer(vec![
        "404 application/problem+json\n{\"code\":\"not_found\",\"detail\":\"no app named `x`\"}",
        "418 text/html\n<h1>",
        "200 application/json\n{\"claimed\":1}",
        "302 text/plain\nelsewhere",
    ]);
    let client = &peer.client;
    let refused = |result: Result<(), Failure>| match result.unwrap_err() {
        Failure::Refused(problem) => (problem.status, problem.code.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(client.ask(client.app_delete("x")).await.map(|_| ())),
        (404, "not_found".to_owned())
    );
    assert_eq!(
        refused(client.ask(client.setup_show()).await.map(|_| ())),
        (418, "invalid".to_owned())
    );
    assert!(matches!(client.ask(client.setup_show()).await, Err(Failure::Odd(_))));
    assert!(matches!(client.ask(client.setup_show()).await, Err(Failure::Refused(_))));
}

#[tokio::test]
async fn names_cannot_leave_their_place_in_the_path() {
    let peer = peer(vec!["404 application/problem+json\n{}"]);
    let _ = peer.client.ask(peer.client.app_show("../users/x?y#z")).await;
    assert!(peer.heard.lock().unwrap()[0].starts_with("GET /api/v1/apps/..%2Fusers%2Fx%3Fy%23z HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_post_whose_answer_got_lost_is_sent_again_with_its_key() {
    let app = "202 application/json\n{}";
    let peer = peer(vec!["", app]);
    let _ = peer.client.ask(peer.client.app_restart("x")).await;
    let heard = peer.heard.lock().unwrap();
    let key = |request: &String| {
        request
            .lines()
            .find(|line| line.starts_with("idempotency-key: "))
            .unwrap()
            .to_owned()
    };
    assert_eq!(heard.len(), 2);
    assert_eq!(key(&heard[0]), key(&heard[1]));
}

#[tokio::test]
async fn a_delete_is_sent_once() {
    let peer = peer(vec!["", ""]);
    let lost = peer.client.ask(peer.client.app_delete("x")).await;
    assert!(matches!(lost, Err(Failure::Unreachable { .. })), "{lost:?}");
    assert_eq!(peer.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn texts_are_read_to_their_end() {
    let peer = peer(vec!["200 text/plain; charset=utf-8\nA=1\nB='x y'\n"]);
    let stream = peer.client.ask(peer.client.variable_export("x")).await.unwrap().value;
    assert_eq!(peer.client.read(stream).await.unwrap(), "A=1\nB='x y'\n");
}

#[tokio::test]
async fn nobody_there() {
    let client = Client::connect(Address::Socket("/nonexistent/panel.sock".into()), Login::None).unwrap();
    let failure = client.ask(client.setup_show()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "/nonexistent/panel.sock cannot be reached: no such file or directory"
    );
    assert!(matches!(client.stream(&["x"], &[]).await, Err(Failure::Unreachable { .. })));
}

/// A certificate for 127.0.0.1 from an authority of its own: the authority's PEM, and the server's configuration.
fn certificate() -> (String, ServerConfig) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (pem, config)
}

#[tokio::test]
async fn only_trusted_certificates() {
    let (pem, config) = certificate();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let ears = Arc::clone(&heard);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(converse(stream, Arc::new(Mutex::new(vec![SETUP])), Arc::clone(&ears)));
            }
        }
    });
    let ask = async |trust: Trust| {
        let client = Client::connect(Address::web(&url, trust)?, Login::Token("sk_x".into()))?;
        client.ask(client.setup_show()).await?;
        match client.stream(&["x"], &[]).await {
            Err(Failure::Odd(_)) => Ok(()), // this peer speaks no WebSocket
            Err(other) => Err(other),
            Ok(_) => panic!("that was no WebSocket"),
        }
    };
    let untrusted = ask(Trust::default()).await.unwrap_err();
    assert!(matches!(&untrusted, Failure::Untrusted { .. }), "{untrusted:?}");
    assert!(
        heard.lock().unwrap().is_empty(),
        "the token was sent to somebody who is not trusted"
    );
    let trust = Trust {
        authority_pem: Some(pem),
        insecure: false,
    };
    ask(trust).await.unwrap();
    let insecure = Trust {
        authority_pem: None,
        insecure: true,
    };
    ask(insecure).await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 4);
    assert!(
        heard
            .iter()
            .all(|request| request.to_lowercase().contains("authorization: bearer sk_x")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn streams_over_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panel.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let said = socket.next().await.unwrap().unwrap();
        socket.send(said).await.unwrap();
        socket.close(None).await.unwrap();
    });
    let client = Client::connect(Address::Socket(path), Login::None).unwrap();
    let mut stream = client.stream(&["apps", "x", "terminal"], &[]).await.unwrap();
    stream.send(Message::Binary(vec![0, 255].into())).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), Message::Binary(vec![0, 255].into()));
}

#[tokio::test]
async fn refused_streams_say_why() {
    let peer = peer(vec![
        "404 application/problem+json\n{\"code\":\"not_found\",\"detail\":\"no app named `x`\"}",
    ]);
    match peer.client.stream(&["apps", "x", "terminal"], &[]).await {
        Err(Failure::Refused(problem)) => assert_eq!(problem.detail, "no app named `x`"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}
