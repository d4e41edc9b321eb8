//! What the edge refuses or gives up: framing, bodies and heads that are too large, and whoever is too slow.

use crate::support::*;
use futures::{SinkExt, StreamExt};
use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use types::{EdgeLimits, Target, Upstream};

#[tokio::test]
async fn framing_on_which_two_servers_could_disagree_is_refused() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let rest = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: blog.test\r\n\r\n";
    for (why, head) in [
        ("length and coding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ("coding and length", "Transfer-Encoding: chunked\r\ncontent-length: 5\r\n"),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("two lengths in one", "Content-Length: 5, 6\r\n"),
        ("negative length", "Content-Length: -1\r\n"),
        ("signed length", "Content-Length: +5\r\n"),
        ("length with letters", "Content-Length: 5x\r\n"),
        ("hex length", "Content-Length: 0x5\r\n"),
        ("another coding", "Transfer-Encoding: gzip\r\n"),
        ("two codings", "Transfer-Encoding: gzip, chunked\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        (
            "chunked and identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        ),
        ("chunked with a prefix", "Transfer-Encoding: xchunked\r\n"),
        ("space before the colon", "Transfer-Encoding : chunked\r\n"),
        ("space before the colon of a length", "Content-Length : 5\r\n"),
        ("folded line", "Transfer-Encoding:\r\n chunked\r\n"),
        ("vertical tab", "Transfer-Encoding: \u{b}chunked\r\n"),
        ("two hosts", "Host: other.test\r\n"),
        ("nul in a value", "X-A: a\0b\r\n"),
        ("carriage return in a value", "X-A: a\rContent-Length: 5\r\n"),
    ] {
        let answer = raw(stand.http, format!("POST /size HTTP/1.1\r\nHost: blog.test\r\n{head}\r\n{rest}")).await;
        assert_eq!(answer.status, 400, "{why}: {} {}", answer.head, answer.body);
        assert!(!answer.body.contains("HTTP/1.1"), "{why}: one answer only");
        assert_eq!(answer.header("server"), None, "{why}");
    }
    for (why, request) in [
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (
            "coding in HTTP/1.0",
            format!("POST / HTTP/1.0\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"),
        ),
        ("not HTTP", "hello\r\n\r\n".to_owned()),
        (
            "another host in the target",
            "GET http://shop.test/ HTTP/1.1\r\nHost: blog.test\r\n\r\n".to_owned(),
        ),
    ] {
        assert_eq!(raw(stand.http, request).await.status, 400, "{why}");
    }
    assert_eq!(app.requests.load(SeqCst), 0, "nothing reached the app");
    let bad_chunk = raw(
        stand.http,
        "POST /size HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(bad_chunk.status, 400, "{}", bad_chunk.head);
    let connect = raw(
        stand.http,
        "CONNECT blog.test:443 HTTP/1.1\r\nHost: blog.test:443\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(connect.status, 405, "{}", connect.head);
    let right = raw(
        stand.http,
        "POST /size HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!((right.status, right.body.as_str()), (200, "13"));
}

#[tokio::test]
async fn bodies_have_a_limit_however_they_are_sent() {
    let limits = EdgeLimits {
        body_bytes: 100_000,
        ..EdgeLimits::default()
    };
    let (stand, app) = (Stand::with_limits(limits), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let declared = raw(
        stand.http,
        "POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 100001\r\n\r\n",
    )
    .await;
    assert_eq!(
        (declared.status, declared.body.as_str()),
        (413, "The body of a request may have at most 100000 bytes here.\n")
    );
    let chunks = format!("2710\r\n{}\r\n", "x".repeat(10_000)).repeat(30);
    let chunked = raw(
        stand.http,
        format!("POST /size HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
    )
    .await;
    assert_eq!(chunked.status, 413, "{}", chunked.head);
    for client in [stand.client(), stand.client_builder().http1_only().build().unwrap()] {
        for size in [100_000, 100_001] {
            let pieces = futures::stream::iter(
                (0..size / 1000)
                    .map(|_| Ok::<_, std::io::Error>(vec![0u8; 1000]))
                    .chain((size % 1000 > 0).then(|| Ok(vec![0; size % 1000]))),
            );
            let answer = client
                .post(stand.https_url("/size"))
                .body(reqwest::Body::wrap_stream(pieces))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), if size > 100_000 { 413 } else { 200 }, "{size}");
        }
    }
    // A client that only ever sends still gets to read the answer.
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    stream
        .write_all(b"POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 8000000\r\n\r\n")
        .await
        .unwrap();
    let sent = stream.write_all(&vec![b'x'; 8_000_000]).await;
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{sent:?} {answer}");
}

#[tokio::test]
async fn heads_have_a_limit() {
    let limits = EdgeLimits {
        header_bytes: 8 << 10,
        ..EdgeLimits::default()
    };
    let (stand, app) = (Stand::with_limits(limits), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    for (size, status) in [(4 << 10, 200), (9 << 10, 431), (300 << 10, 431), (3 << 20, 431)] {
        let answer = raw(
            stand.http,
            format!(
                "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\nX-Long: {}\r\n\r\n",
                "x".repeat(size)
            ),
        )
        .await;
        assert_eq!(answer.status, status, "{size}: {}", answer.head);
    }
    let many = "X-A: b\r\n".repeat(3000);
    assert!(matches!(
        raw(stand.http, format!("GET / HTTP/1.1\r\nHost: blog.test\r\n{many}\r\n"))
            .await
            .status,
        400 | 431
    ));
    let answer = stand
        .client()
        .get(stand.https_url("/"))
        .header("x-long", "x".repeat(20 << 10))
        .send()
        .await;
    assert!(answer.is_err() || answer.unwrap().status() == 431);
}

#[tokio::test]
async fn slow_and_idle_clients_are_let_go() {
    let limits = EdgeLimits {
        header_timeout: Duration::from_millis(300),
        keep_alive: Duration::from_millis(600),
        ..EdgeLimits::default()
    };
    let (stand, app) = (Stand::with_limits(limits), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let began = Instant::now();
    let half = raw(stand.http, "GET / HTTP/1.1\r\nHost: bl").await;
    assert_eq!(half.status, 408, "{}", half.head);
    assert!((250..2000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    // One byte now and then does not help.
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    let began = Instant::now();
    while stream.write_all(b"G").await.is_ok() && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // A TLS greeting that never comes, and an HTTP/2 client that never asks.
    let mut silent = TcpStream::connect(stand.https).await.unwrap();
    let began = Instant::now();
    assert_eq!(silent.read(&mut [0; 10]).await.unwrap_or(0), 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut h2 = stand.tls(stand.https, "blog.test", &["h2"]).await.unwrap();
    let began = Instant::now();
    let _ = read_all(&mut h2).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // An idle connection is closed without a word.
    let mut idle = TcpStream::connect(stand.http).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n").await.unwrap();
    let began = Instant::now();
    let answers = read_all(&mut idle).await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!((500..3000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    // A client in use is not.
    let client = reqwest::Client::builder().resolve("blog.test", stand.http).build().unwrap();
    assert_eq!(client.get(stand.http_url("/slow")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn slow_apps_are_given_up() {
    let limits = EdgeLimits {
        connect_timeout: Duration::from_millis(300),
        response_timeout: Duration::from_millis(400),
        idle_timeout: Duration::from_millis(900),
        ..EdgeLimits::default()
    };
    let (stand, app) = (Stand::with_limits(limits), App::start("blog").await);
    let full_backlog = full_backlog();
    stand.apply(&[
        ("blog.test", to(&app)),
        ("shop.test", route(2, Target::Upstreams(vec![full_backlog.0.clone()]))),
    ]);
    let answer = stand.get("blog.test", "/never").await;
    assert_eq!((answer.status, answer.body.as_str()), (504, "app1 took too long to answer.\n"));
    let post = raw(
        stand.http,
        "POST /never HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    )
    .await;
    assert_eq!(post.status, 504);
    assert_eq!(stand.client().get(stand.https_url("/never")).send().await.unwrap().status(), 504);
    assert_eq!(stand.get("shop.test", "/").await.status, 504, "no connection within the limit");
    // A body that stops in the middle: the answer has begun, so the client sees it cut.
    let stalled = stand.client().get(stand.https_url("/stall")).send().await.unwrap();
    assert!(stalled.bytes().await.is_err());
    // A client that stops in the middle of its body.
    let slow = raw(
        stand.http,
        "POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 10\r\n\r\nabc",
    )
    .await;
    assert_eq!(slow.status, 408, "{}", slow.head);
    // A WebSocket may be silent as long as a body.
    let plain = TcpStream::connect(stand.http).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://blog.test/ws", plain).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        socket.send("x".into()).await.unwrap();
        assert!(socket.next().await.unwrap().is_ok());
    }
    let began = Instant::now();
    assert!(!matches!(socket.next().await, Some(Ok(message)) if message.is_text()));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    eventually("nothing is under way", || stand.edge.active(&app.upstream()) == 0).await;
}

/// An address that takes no connection: its queue is full.
fn full_backlog() -> (Upstream, Vec<std::net::TcpStream>) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&socket, 0).unwrap();
    let address: std::net::SocketAddr = getsockname(&socket).unwrap().try_into().unwrap();
    let held = (0..4)
        .filter_map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok())
        .collect();
    std::mem::forget(socket);
    (Upstream { address }, held)
}
