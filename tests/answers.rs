//! What comes through the edge as it comes: events, uploads and parts of answers; and what it adds: codings, security headers,
//! who asks.

use crate::policies::{asks, at, policy, site, with_domain};
use reqwest::Method;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use testkit::{TestPanel, eventually, tls_as};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};

const SOON: Duration = Duration::from_secs(20);

/// One connection at a time, told by `serve`.
async fn origin<F, T>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        head.push(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

#[tokio::test]
async fn each_coding_that_a_client_takes() {
    let text = "again and again ".repeat(500);
    let said = text.clone();
    let address = origin(move |mut stream| {
        let text = said.clone();
        async move {
            head_of(&mut stream).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                text.len()
            );
            let _ = stream.write_all((head + &text).as_bytes()).await;
        }
    })
    .await;
    let panel = with_domain(TestPanel::start().await, at(address)).await;
    policy(&panel, json!({"compression": true})).await;
    for (takes, coding) in [
        ("gzip", Some("gzip")),
        ("br", Some("br")),
        ("zstd", Some("zstd")),
        ("gzip;q=0, br;q=0.5", Some("br")),
        ("deflate", None),
        ("identity", None),
    ] {
        let reply = asks(&panel, "/", ("accept-encoding", takes)).await.expect(200);
        assert_eq!(reply.header("content-encoding").as_deref(), coding, "{takes}");
        assert!(
            reply
                .header("vary")
                .is_some_and(|vary| vary.to_lowercase().contains("accept-encoding")),
            "{takes}"
        );
        if coding.is_none() {
            assert_eq!(reply.text(), text);
        }
    }
}

#[tokio::test]
async fn headers_that_keep_browsers_safe() {
    let (panel, _) = site().await;
    let own = "default-src 'self'; frame-ancestors 'none'";
    let changes = [
        format!("response_headers.content_security_policy={own}"),
        "response_headers.hsts={\"max_age_seconds\": 63072000, \"include_subdomains\": true, \"preload\": true}".to_owned(),
    ];
    panel
        .cli(&["domain", "policy", "set", "a.test", &changes[0], &changes[1]])
        .await
        .expect(0);
    let reply = panel.visit("a.test", "/").await.expect(200);
    assert_eq!(reply.header("content-security-policy").as_deref(), Some(own));
    assert_eq!(
        reply.header("strict-transport-security").as_deref(),
        Some("max-age=63072000; includeSubDomains; preload")
    );
    // Never over plain HTTP, where anybody on the way could set it (RFC 6797, 7.2).
    panel
        .post("/api/v1/apps/a/domains", json!({"host": "plain.test", "force_https": false}))
        .await
        .expect(201);
    let respond = json!({"name": "say", "action": {"kind": "respond", "status": 200, "content_type": "text/plain", "body": "in"}});
    panel.post("/api/v1/domains/plain.test/rules", respond).await.expect(201);
    let hsts = json!({"response_headers": {"hsts": {"max_age_seconds": 60}}});
    panel.put("/api/v1/domains/plain.test/policy", hsts).await.expect(200);
    let nobody = panel.anonymous();
    let plain = nobody.get(&panel.plain_site("plain.test", "/")).await.expect(200);
    assert_eq!(plain.header("strict-transport-security"), None);
    let secure = panel.visit("plain.test", "/").await.expect(200);
    assert_eq!(secure.header("strict-transport-security").as_deref(), Some("max-age=60"));
}

/// Server-sent events reach the browser one by one.
#[tokio::test]
async fn events_come_as_they_are_sent() {
    let next = Arc::new(Notify::new());
    let told = next.clone();
    let address = origin(move |mut stream| {
        let next = told.clone();
        async move {
            head_of(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            for event in 0..3 {
                let _ = stream.write_all(format!("data: {event}\n\n").as_bytes()).await;
                next.notified().await;
            }
        }
    })
    .await;
    let panel = with_domain(TestPanel::start().await, at(address)).await;
    policy(&panel, json!({"compression": true})).await;
    let (mut stream, _) = tls_as(panel.https_port, "a.test", &["http/1.1"]).await.unwrap();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nhost: a.test\r\naccept: text/event-stream\r\n\r\n")
        .await
        .unwrap();
    let mut seen = String::new();
    for event in 0..3 {
        let wanted = format!("data: {event}\n");
        let reads = async {
            while !seen.contains(&wanted) {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).await.unwrap();
                assert_ne!(length, 0, "{seen}");
                seen.push_str(&String::from_utf8_lossy(&part[..length]));
            }
        };
        timeout(SOON, reads).await.expect("it comes before the next one is sent");
        next.notify_one();
    }
}

/// An upload flows: the app has its first part while the last one is not sent yet.
#[tokio::test]
async fn uploads_flow() {
    const SIZE: usize = 32 << 20;
    let got = Arc::new(AtomicUsize::new(0));
    let counted = got.clone();
    let address = origin(move |mut stream| {
        let got = counted.clone();
        async move {
            head_of(&mut stream).await;
            let mut part = vec![0; 64 << 10];
            while got.load(SeqCst) < SIZE {
                match stream.read(&mut part).await {
                    Ok(length) if length > 0 => got.fetch_add(length, SeqCst),
                    _ => return,
                };
            }
            let _ = stream
                .write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await;
        }
    })
    .await;
    let panel = with_domain(TestPanel::start().await, at(address)).await;
    let (mut stream, _) = tls_as(panel.https_port, "a.test", &["http/1.1"]).await.unwrap();
    let head = format!("PUT /big HTTP/1.1\r\nhost: a.test\r\ncontent-length: {SIZE}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; SIZE / 2]).await.unwrap();
    stream.flush().await.unwrap();
    eventually("the app has what was sent", SOON, || async {
        (got.load(SeqCst) == SIZE / 2).then_some(())
    })
    .await;
    stream.write_all(&vec![b'x'; SIZE / 2]).await.unwrap();
    let mut answer = String::new();
    let _ = timeout(SOON, stream.read_to_string(&mut answer)).await.expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

/// A part of an answer that is kept whole is a part still.
#[tokio::test]
async fn parts_of_kept_answers() {
    let address = origin(|mut stream| async move {
        let head = head_of(&mut stream).await.to_lowercase();
        let answer = match head.contains("range: bytes=2-4") {
            true => "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 2-4/10\r\ncontent-length: 3\r\ncache-control: max-age=60\r\nconnection: close\r\n\r\n234",
            false => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncache-control: max-age=60\r\nconnection: close\r\n\r\n0123456789",
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let panel = with_domain(TestPanel::start().await, at(address)).await;
    policy(&panel, json!({"cache": {}})).await;
    for _ in 0..2 {
        assert_eq!(panel.visit("a.test", "/v").await.expect(200).text(), "0123456789");
        let part = asks(&panel, "/v", ("range", "bytes=2-4")).await.expect(206);
        assert_eq!(
            (part.text().as_str(), part.header("content-range").as_deref()),
            ("234", Some("bytes 2-4/10"))
        );
    }
    let report = panel.get("/api/v1/edge/report").await.expect(200).json();
    assert!(report["domains"][0]["cache_hits"].as_u64() >= Some(1), "{report}");
}

/// A server behind the edge is told by the PROXY protocol who asks, in both versions.
#[tokio::test]
async fn upstreams_hear_who_asks() {
    let address = origin(|mut stream| async move {
        let mut first = [0; 12];
        if stream.read_exact(&mut first).await.is_err() {
            return;
        }
        let body = match &first {
            b"\r\n\r\n\0\r\nQUIT\n" => {
                let mut fixed = [0; 4];
                stream.read_exact(&mut fixed).await.unwrap();
                let mut addresses = vec![0; usize::from(u16::from_be_bytes([fixed[2], fixed[3]]))];
                stream.read_exact(&mut addresses).await.unwrap();
                format!("v2 {:?} {:#x}", &addresses[..4], fixed[0])
            }
            _ => {
                let mut line = first.to_vec();
                while !line.ends_with(b"\r\n") {
                    line.push(stream.read_u8().await.unwrap());
                }
                String::from_utf8_lossy(&line).trim_end().to_owned()
            }
        };
        head_of(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all((head + &body).as_bytes()).await;
    })
    .await;
    let panel = with_domain(TestPanel::start().await, at(address)).await;
    policy(&panel, json!({"proxy_protocol": "v1"})).await;
    let said = panel.visit("a.test", "/").await.expect(200).text();
    assert!(said.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{said}");
    panel
        .cli(&["domain", "policy", "set", "a.test", "proxy_protocol=v2"])
        .await
        .expect(0);
    assert_eq!(panel.visit("a.test", "/").await.expect(200).text(), "v2 [127, 0, 0, 1] 0x21");
}

/// Of one address only so many connections are open at once; what is over is closed and counted.
#[tokio::test]
async fn connections_of_one_address() {
    let (panel, _) = site().await;
    panel.cli(&["edge", "options", "connections_per_address=8"]).await.expect(0);
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..30 {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", panel.http_port)).await else {
            refused += 1;
            continue;
        };
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
        let answered = timeout(SOON, stream.read_u8()).await.expect("an answer or the end");
        match (asked, answered) {
            (Ok(()), Ok(_)) => open.push(stream),
            _ => refused += 1,
        }
    }
    assert!(
        open.len() <= 8 && !open.is_empty() && refused >= 22,
        "{} open, {refused} refused",
        open.len()
    );
    open.clear();
    eventually("there is room again", SOON, || async {
        let request = panel.anonymous();
        let asked = request.request(Method::GET, &panel.plain_site("a.test", "/"));
        request.try_send(asked).await.ok().map(drop)
    })
    .await;
    panel.cli(&["edge", "options", "connections_per_address=0"]).await.expect(0);
    let report = panel.get("/api/v1/edge/report").await.expect(200).json();
    assert!(report["refused_connections"].as_u64() >= Some(22), "{report}");
}
