//! Who a connection is from; ports without HTTP; TLS that is passed on.

use crate::support::*;
use serde_json::json;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};
use types::{EdgePassthrough, EdgeStream, ProxyVersion, StreamPort, Upstream};

fn forwarded(answer: &Answer) -> Option<String> {
    let line = answer.body.lines().find(|line| line.starts_with("x-forwarded-for: "))?;
    Some(line.trim_start_matches("x-forwarded-for: ").to_owned())
}

#[tokio::test]
async fn only_trusted_proxies_say_who_asks() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut config = stand.config(&[("blog.test", with_policy(to(&app), json!({"access": {"deny": ["203.0.113.0/24"]}})))]);
    for (trusted, header, client) in [
        (vec![], "6.6.6.6", Some("127.0.0.1")),
        (vec!["10.0.0.0/8"], "6.6.6.6", Some("127.0.0.1")),
        (vec!["127.0.0.0/8"], "192.0.2.7", Some("192.0.2.7")),
        // What the client itself sent stands before what the proxy added.
        (vec!["127.0.0.0/8"], "6.6.6.6, 192.0.2.7", Some("192.0.2.7")),
        (vec!["127.0.0.0/8", "10.0.0.0/8"], "6.6.6.6, 192.0.2.7, 10.1.1.1", Some("192.0.2.7")),
        (vec!["127.0.0.0/8"], "6.6.6.6, nonsense", Some("127.0.0.1")),
        (vec!["127.0.0.0/8"], "[2001:db8::1]:443", Some("2001:db8::1")),
        (vec!["127.0.0.0/8"], "203.0.113.9", None),
        (vec!["127.0.0.0/8"], "203.0.113.9, 192.0.2.7", Some("192.0.2.7")),
    ] {
        config.options.trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
        stand.edge.apply(config.clone()).unwrap();
        let headers = format!("X-Forwarded-For: {header}\r\nX-Forwarded-Proto: https\r\n");
        let answer = stand.get_with("blog.test", "/headers", &headers).await;
        match client {
            Some(client) => assert_eq!(forwarded(&answer).as_deref(), Some(client), "{trusted:?} {header}"),
            None => assert_eq!(answer.status, 403),
        }
        let believed = answer.body.contains("x-forwarded-proto: https");
        assert_eq!(believed, trusted.contains(&"127.0.0.0/8") && client.is_some(), "{trusted:?}");
    }
}

#[tokio::test]
async fn the_proxy_protocol_is_heard_from_trusted_proxies() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut config = stand.config(&[("blog.test", to(&app))]);
    config.options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config.options.proxy_protocol = true;
    stand.edge.apply(config.clone()).unwrap();
    let request = "GET /headers HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n";
    let from: SocketAddr = "192.0.2.9:5000".parse().unwrap();
    let to_us: SocketAddr = "198.51.100.1:80".parse().unwrap();
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let header = serverkit_edge::proxy_protocol::header(version, Some((from, to_us)));
        let answer = raw(stand.http, [&header, request.as_bytes()].concat()).await;
        assert_eq!(forwarded(&answer).as_deref(), Some("192.0.2.9"), "{version:?}");
        // In two packets, and before TLS.
        let mut stream = TcpStream::connect(stand.https).await.unwrap();
        stream.write_all(&header[..7]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.write_all(&header[7..]).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("blog.test").unwrap();
        let connector = tokio_rustls::TlsConnector::from(stand.tls_config(&["http/1.1"]));
        let mut tls = connector.connect(name, stream).await.unwrap();
        tls.write_all(request.as_bytes()).await.unwrap();
        assert!(read_all(&mut tls).await.contains("x-forwarded-for: 192.0.2.9"));
    }
    let answer = raw(stand.http, request).await;
    assert_eq!(answer.status, 0, "without a header the connection is closed: {answer:?}");
    // From others it is no header at all.
    config.options.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    stand.edge.apply(config).unwrap();
    assert_eq!(forwarded(&raw(stand.http, request).await).as_deref(), Some("127.0.0.1"));
    let header = serverkit_edge::proxy_protocol::header(ProxyVersion::V1, Some((from, to_us)));
    assert_eq!(raw(stand.http, [&header, request.as_bytes()].concat()).await.status, 400);
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn stream_to(upstreams: Vec<SocketAddr>) -> EdgeStream {
    EdgeStream {
        app: Some(app_id(1)),
        name: "db".into(),
        upstreams: upstreams.into_iter().map(|address| Upstream { address }).collect(),
        proxy_protocol: None,
        allow: vec![],
        max_connections: 0,
    }
}

/// Says who it is, then echoes.
async fn echo(name: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(name.as_bytes()).await;
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn tcp_ports_are_passed_on() {
    let stand = Stand::start();
    let (one, two) = (echo("one").await, echo("two").await);
    let port: StreamPort = format!("tcp/{}", free_port()).parse().unwrap();
    let mut config = stand.config(&[]);
    config.streams.insert(port, stream_to(vec![one, two]));
    stand.edge.apply(config.clone()).unwrap();
    let bound = || stand.edge.report().streams.first().is_some_and(|stream| stream.bound.is_ok());
    eventually("it listens", bound).await;
    let local: SocketAddr = ([127, 0, 0, 1], port.port).into();
    let talk = async |bytes: &[u8], wanted: usize| {
        let mut stream = TcpStream::connect(local).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut seen = vec![0; wanted];
        let whole = stream.read_exact(&mut seen).await.is_ok();
        (stream, if whole { String::from_utf8(seen).unwrap() } else { String::new() })
    };
    let (mut open, said) = talk(b"hello", 8).await;
    assert_eq!(said, "onehello");
    assert_eq!(talk(b"again", 8).await.1, "twoagain");
    // A change of upstreams leaves connections; limits and lists hold for new ones.
    let mut limited = stream_to(vec![two]);
    limited.max_connections = 1;
    limited.proxy_protocol = Some(ProxyVersion::V1);
    config.streams.insert(port, limited);
    stand.edge.apply(config.clone()).unwrap();
    eventually("two connections have ended", || stand.edge.report().streams[0].active == 1).await;
    assert_eq!(talk(b"x", 1).await.1, "", "one connection is open already");
    open.write_all(b"still").await.unwrap();
    let mut seen = [0; 5];
    open.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"still");
    drop(open);
    eventually("it has ended", || stand.edge.report().streams[0].active == 0).await;
    let (_, said) = talk(b"x", 34).await;
    assert!(said.starts_with("twoPROXY TCP4 127.0.0.1 127.0.0.1 "), "{said}");
    let mut closed = stream_to(vec![two]);
    closed.allow = vec!["10.0.0.0/8".parse().unwrap()];
    config.streams.insert(port, closed);
    stand.edge.apply(config.clone()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(talk(b"x", 1).await.1, "");
    let report = stand.edge.report().streams.remove(0);
    assert!(report.refused >= 2 && report.bytes_in >= 5, "{report:?}");
    // Gone from the configuration, the port is free.
    config.streams.clear();
    stand.edge.apply(config).unwrap();
    eventually("it listens no more", || std::net::TcpStream::connect(local).is_err()).await;
    // A port that somebody has is said so.
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port: StreamPort = format!("tcp/{}", taken.local_addr().unwrap().port()).parse().unwrap();
    let mut config = stand.config(&[]);
    config.streams.insert(port, stream_to(vec![one]));
    stand.edge.apply(config).unwrap();
    eventually("it says who has it", || {
        let report = stand.edge.report();
        let why = report.streams.first().and_then(|stream| stream.bound.clone().err());
        why.is_some_and(|why| why.contains("is taken by"))
    })
    .await;
}

#[tokio::test]
async fn udp_ports_are_passed_on() {
    let stand = Stand::start();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let upstream = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 2048];
        while let Ok((n, from)) = server.recv_from(&mut bytes).await {
            let answer = [format!("{} ", from.port()).as_bytes(), &bytes[..n]].concat();
            server.send_to(&answer, from).await.unwrap();
        }
    });
    let port: StreamPort = format!("udp/{}", free_port()).parse().unwrap();
    let mut config = stand.config(&[]);
    config.streams.insert(port, stream_to(vec![upstream]));
    stand.edge.apply(config).unwrap();
    let bound = || stand.edge.report().streams.first().is_some_and(|stream| stream.bound.is_ok());
    eventually("it listens", bound).await;
    let mut ways = Vec::new();
    for n in 0..3 {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(("127.0.0.1", port.port)).await.unwrap();
        let mut ports = Vec::new();
        for m in 0..3 {
            let text = format!("datagram {n} {m}");
            client.send(text.as_bytes()).await.unwrap();
            let mut bytes = [0; 2048];
            let received = tokio::time::timeout(Duration::from_secs(5), client.recv(&mut bytes))
                .await
                .unwrap()
                .unwrap();
            let answer = String::from_utf8_lossy(&bytes[..received]).into_owned();
            let (way, echoed) = answer.split_once(' ').unwrap();
            assert_eq!(echoed, text);
            ports.push(way.to_owned());
        }
        ports.dedup();
        assert_eq!(ports.len(), 1, "one client keeps one way: {ports:?}");
        ways.extend(ports);
    }
    ways.dedup();
    assert_eq!(ways.len(), 3, "each client has its own");
    let report = stand.edge.report().streams.remove(0);
    assert_eq!((report.connections, report.active), (3, 3));
}

/// The app knows a client by the socket on which it came: that one is handed over too.
#[tokio::test]
async fn udp_clients_keep_their_ways_when_another_edge_takes_over() {
    let (stand, listeners) = Stand::on_shared_sockets();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let upstream = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 2048];
        while let Ok((_, from)) = server.recv_from(&mut bytes).await {
            server.send_to(from.port().to_string().as_bytes(), from).await.unwrap();
        }
    });
    let port: StreamPort = format!("udp/{}", free_port()).parse().unwrap();
    let mut config = stand.config(&[]);
    config.streams.insert(port, stream_to(vec![upstream]));
    stand.edge.apply(config.clone()).unwrap();
    eventually("it listens", || {
        stand.edge.report().streams.iter().any(|stream| stream.bound.is_ok())
    })
    .await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(("127.0.0.1", port.port)).await.unwrap();
    let way = async || {
        client.send(b"which?").await.unwrap();
        let mut bytes = [0; 64];
        let size = tokio::time::timeout(Duration::from_secs(5), client.recv(&mut bytes))
            .await
            .unwrap()
            .unwrap();
        String::from_utf8_lossy(&bytes[..size]).into_owned()
    };
    let before = way().await;
    let next = stand.next(listeners);
    next.apply(config.clone()).unwrap();
    eventually("the next one listens", || {
        next.report().streams.iter().any(|stream| stream.bound.is_ok())
    })
    .await;
    for _ in 0..10 {
        assert_eq!(way().await, before, "both have the port");
    }
    stand.edge.leave(Duration::from_secs(5)).await;
    for _ in 0..3 {
        assert_eq!(way().await, before);
    }
    assert_eq!(next.report().streams[0].active, 1);
    // One that leads elsewhere than the port does now begins anew.
    config.streams.insert(port, stream_to(vec![]));
    next.apply(config).unwrap();
}

/// Connections to a port live on until the drain is over, as those to sites do.
#[tokio::test]
async fn tcp_connections_of_ports_end_with_the_drain() {
    let stand = Stand::start();
    let port: StreamPort = format!("tcp/{}", free_port()).parse().unwrap();
    let mut config = stand.config(&[]);
    config.streams.insert(port, stream_to(vec![echo("one").await]));
    stand.edge.apply(config).unwrap();
    eventually("it listens", || {
        stand.edge.report().streams.iter().any(|stream| stream.bound.is_ok())
    })
    .await;
    let mut stream = TcpStream::connect(("127.0.0.1", port.port)).await.unwrap();
    let mut seen = [0; 3];
    stream.read_exact(&mut seen).await.unwrap();
    let client = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(b"still here").await.unwrap();
        let mut seen = [0; 10];
        stream.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"still here");
        drop(stream);
    };
    let begun = std::time::Instant::now();
    tokio::join!(stand.edge.stop(Duration::from_secs(30)), client);
    assert!(begun.elapsed() < Duration::from_secs(20), "it ends when the last connection does");
}

#[tokio::test]
async fn tls_is_passed_on_by_its_name() {
    let (stand, inner, app) = (Stand::start(), Stand::start(), App::start("inner").await);
    inner.apply(&[("inner.test", to(&app))]);
    let own = App::start("own").await;
    let mut config = stand.config(&[("blog.test", to(&own)), ("own.inner.test", to(&own))]);
    let through = EdgePassthrough {
        app: Some(app_id(1)),
        name: "inner".into(),
        upstreams: vec![Upstream { address: inner.https }],
        proxy_protocol: None,
    };
    config.passthrough.insert("inner.test".parse().unwrap(), through.clone());
    config.passthrough.insert("*.inner.test".parse().unwrap(), through);
    stand.edge.apply(config).unwrap();
    // The certificate is the inner one's, which only it has the key of.
    let mut tls = inner.tls(stand.https, "inner.test", &["http/1.1"]).await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nHost: inner.test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_all(&mut tls).await.ends_with("inner"));
    assert!(stand.tls(stand.https, "inner.test", &[]).await.is_err());
    // A name with a route of its own is not the wildcard's.
    let mut tls = stand.tls(stand.https, "own.inner.test", &["http/1.1"]).await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nHost: own.inner.test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_all(&mut tls).await.ends_with("own"));
    let answer = stand.client().get(stand.https_url("/")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "own");
}
