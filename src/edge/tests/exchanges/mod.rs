//! Requests and answers as they go by: streamed, early, in a row, abandoned, broken off.

use crate::support::*;
use futures::StreamExt;
use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use types::{Target, Upstream};

#[tokio::test]
async fn answers_and_bodies_are_streamed() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    for client in [stand.client(), stand.client_builder().http1_only().build().unwrap()] {
        // Ticks arrive one by one, not at the end.
        let answer = client.get(stand.https_url("/ticks")).send().await.unwrap();
        let mut pieces = answer.bytes_stream();
        let (mut arrivals, mut text) = (Vec::new(), Vec::new());
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece.unwrap());
            arrivals.push(Instant::now());
        }
        assert_eq!(text, b"tick 0\ntick 1\ntick 2\n");
        assert!(arrivals.last().unwrap().duration_since(arrivals[0]) > Duration::from_millis(120));
        // 64 MiB each way.
        let big = client.get(stand.https_url("/big")).send().await.unwrap();
        let (mut pieces, mut at) = (big.bytes_stream(), 0usize);
        while let Some(piece) = pieces.next().await {
            for byte in piece.unwrap() {
                assert_eq!(byte, ((at / (128 << 10)) % 251) as u8);
                at += 1;
            }
        }
        assert_eq!(at, 64 << 20);
        let upload = futures::stream::iter((0..512).map(|_| Ok::<_, std::io::Error>(vec![7u8; 128 << 10])));
        let answer = client
            .post(stand.https_url("/size"))
            .body(reqwest::Body::wrap_stream(upload))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.text().await.unwrap(), (64 << 20).to_string());
        // Both at once: an app that answers while it reads.
        let upload = futures::stream::iter((0..256).map(|_| Ok::<_, std::io::Error>(vec![7u8; 128 << 10])));
        let answer = client
            .post(stand.https_url("/echo"))
            .body(reqwest::Body::wrap_stream(upload))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.bytes().await.unwrap().len(), 32 << 20);
    }
}

#[tokio::test]
async fn an_app_may_answer_before_it_has_read_the_body() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    for client in [stand.client(), stand.client_builder().http1_only().build().unwrap()] {
        for _ in 0..3 {
            let answer = client
                .post(stand.https_url("/refuse-body"))
                .body(vec![0; 4 << 20])
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 403);
            assert_eq!(answer.text().await.unwrap(), "no");
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    stream
        .write_all(b"POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 25];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n5"), "{answer}");
}

#[tokio::test]
async fn requests_in_a_row_and_ahead_of_their_answers() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let one = "POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 3\r\n\r\nabc";
    let two = "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n";
    let last = "GET /target HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    stream.write_all(format!("{two}{one}{two}{one}{last}").as_bytes()).await.unwrap();
    let answers = read_all(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 5, "{answers}");
    assert!(answers.ends_with("/target"), "{answers}");
}

#[tokio::test]
async fn old_clients_are_served() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let answer = raw(stand.http, "GET /ticks HTTP/1.0\r\nHost: blog.test\r\n\r\n").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "tick 0\ntick 1\ntick 2\n"),
        "without chunks"
    );
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(raw(stand.http, "GET / HTTP/1.0\r\n\r\n").await.status, 404);
}

#[tokio::test]
async fn an_abandoned_request_is_abandoned_at_the_app_too() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: blog.test\r\n\r\n").await.unwrap();
    eventually("the app has it", || app.requests.load(SeqCst) == 1).await;
    assert_eq!(stand.edge.active(&app.upstream()), 1);
    drop(stream);
    eventually("the app sees it go", || app.abandoned.load(SeqCst) == 1).await;
    let client = stand.client();
    let h2 = tokio::spawn(client.get(stand.https_url("/never")).send());
    eventually("the app has it", || app.requests.load(SeqCst) == 2).await;
    h2.abort();
    eventually("the app sees it go", || app.abandoned.load(SeqCst) == 2).await;
    eventually("nothing is under way", || stand.edge.active(&app.upstream()) == 0).await;
    drop(client);
    eventually("the log says so", || {
        stand.log_lines().iter().filter(|line| line["status"] == 499).count() == 2
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_or_too_short_is_not_passed_off_as_whole() {
    let (stand, listener) = (Stand::start(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let upstream = Upstream {
        address: listener.local_addr().unwrap(),
    };
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let n = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..n]).into_owned();
            let says: &[u8] = match head.split(' ').nth(1).unwrap_or_default() {
                "/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
                "/cut" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
                "/silent" => b"",
                "/early" => b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                "/close" => b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
                _ => b"SSH-2.0-OpenSSH\r\n",
            };
            let _ = stream.write_all(says).await;
        }
    });
    stand.apply(&[("blog.test", route(1, Target::Upstreams(vec![upstream])))]);
    let client = stand.client();
    for path in ["/silent", "/ssh"] {
        let answer = stand.get("blog.test", path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (502, "app1 ended the connection without a proper answer.\n"),
            "{path}"
        );
    }
    for path in ["/short", "/cut"] {
        let http1 = stand.client_builder().http1_only().build().unwrap();
        for client in [&client, &http1] {
            let answer = client.get(stand.https_url(path)).send().await.unwrap();
            assert!(answer.bytes().await.is_err(), "{path}");
        }
    }
    assert_eq!(stand.get("blog.test", "/early").await.body, "ok");
    assert_eq!(
        client.get(stand.https_url("/close")).send().await.unwrap().text().await.unwrap(),
        "until the end"
    );
}
