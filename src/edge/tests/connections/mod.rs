//! Plain and over TLS: protocols, certificates by name, sessions, both families.

use crate::support::*;
use serverkit_edge::Edge;
use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use types::{EdgeLimits, EdgeSettings, Route, World};

#[tokio::test]
async fn plain_http_is_sent_to_https_but_challenges_are_not() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let forced = Route {
        force_https: true,
        ..to(&app)
    };
    let mut config = stand.config(&[("blog.test", forced)]);
    config.challenges.insert("tok-en".into(), "tok-en.thumb".into());
    stand.edge.apply(config).unwrap();
    let answer = stand.get("blog.test:1234", "/a/b?c=d&e").await;
    assert_eq!(answer.status, 308);
    assert_eq!(
        answer.header("location"),
        Some(format!("https://blog.test:{}/a/b?c=d&e", stand.https.port()).as_str())
    );
    for host in ["blog.test", "unknown.test"] {
        let answer = stand.get(host, "/.well-known/acme-challenge/tok-en").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "tok-en.thumb"));
    }
    assert_eq!(stand.get("blog.test", "/.well-known/acme-challenge/other").await.status, 308);
    assert_eq!(app.requests.load(SeqCst), 0);
}

#[tokio::test]
async fn https_speaks_http_2_and_http_1() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    for (client, version) in [
        (stand.client(), reqwest::Version::HTTP_2),
        (stand.client_builder().http1_only().build().unwrap(), reqwest::Version::HTTP_11),
    ] {
        let answer = client.get(stand.https_url("/")).send().await.unwrap();
        assert_eq!(answer.version(), version);
        assert_eq!(answer.headers().get("server"), None);
        assert_eq!(answer.text().await.unwrap(), "blog");
        let answer = client
            .post(stand.https_url("/echo"))
            .body(vec![b'x'; 3 << 20])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.bytes().await.unwrap().len(), 3 << 20);
        let answer = client.head(stand.https_url("/")).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-length"].to_str().unwrap()),
            (200, "4")
        );
        for (path, status) in [("/none", 204), ("/same", 304)] {
            assert_eq!(client.get(stand.https_url(path)).send().await.unwrap().status().as_u16(), status);
        }
        let missing = client.get(stand.https_url("/")).header("host", "").send().await;
        assert!(missing.is_err() || missing.unwrap().status().as_u16() >= 400);
    }
}

#[tokio::test]
async fn one_http_2_connection_carries_many_requests_at_once() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let client = stand.client();
    client.get(stand.https_url("/")).send().await.unwrap();
    let began = Instant::now();
    let slow = (0..100).map(|_| client.get(stand.https_url("/slow")).send());
    for answer in futures::future::join_all(slow).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_certificate_follows_the_name() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut config = stand.config(&[("blog.test", to(&app)), ("shop.test", to(&app))]);
    config
        .certificates
        .insert("localhost".parse().unwrap(), stand.certificate("localhost"));
    config
        .certificates
        .insert("127.0.0.1".parse().unwrap(), stand.certificate("127.0.0.1"));
    config.routes.insert("127.0.0.1".parse().unwrap(), to(&app));
    stand.edge.apply(config).unwrap();
    for name in ["blog.test", "shop.test", "localhost", "127.0.0.1"] {
        stand
            .tls(stand.https, name, &[])
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    // For a name it does not know, the certificate of localhost: the client sees that it is another's.
    assert!(
        stand
            .tls(stand.https, "unknown.test", &[])
            .await
            .unwrap_err()
            .to_string()
            .contains("not valid for name")
    );
    let answer = stand
        .client()
        .get(format!("https://127.0.0.1:{}/", stand.https.port()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), "blog");
}

#[tokio::test]
async fn a_connection_for_one_host_is_not_used_for_another() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app)), ("shop.test", to(&app))]);
    let mut stream = stand.tls(stand.https, "blog.test", &["http/1.1"]).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 421 "));
    let mut stream = stand.tls(stand.https, "blog.test", &["http/1.1"]).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: BLOG.test:443\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn sessions_of_tls_are_resumed() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let connector = tokio_rustls::TlsConnector::from(stand.tls_config(&["http/1.1"]));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(stand.https).await.unwrap();
        let mut tls = connector.connect("blog.test".try_into().unwrap(), stream).await.unwrap();
        tls.write_all(b"GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        read_all(&mut tls).await;
        kinds.push(tls.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
}

#[tokio::test]
async fn both_families_are_served() {
    let Ok(_) = std::net::TcpListener::bind("[::1]:0") else { return };
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::start(
        EdgeSettings {
            http: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
            https: vec!["[::1]:0".parse().unwrap()],
            panel: vec![],
            panel_socket: folder.path().join("api.sock"),
            access_log: folder.path().join("access.log"),
            limits: EdgeLimits::default(),
            threads: 1,
        },
        World::system(),
    )
    .unwrap();
    let config = stand.config(&[("blog.test", to(&app)), ("::1", to(&app))]);
    edge.apply(config).unwrap();
    let bound = edge.bound();
    for address in &bound.http {
        let answer = raw(*address, "GET /headers HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n").await;
        let line = format!("x-forwarded-for: {}\n", address.ip());
        assert!(answer.body.contains(&line), "{}", answer.body);
    }
    let url = format!("https://[::1]:{}/", bound.https[0].port());
    assert_eq!(stand.client().get(url).send().await.unwrap().text().await.unwrap(), "blog");
}
