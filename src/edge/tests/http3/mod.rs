//! HTTP/3, by h3's own client.

use crate::support::*;
use bytes::{Buf, Bytes};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use types::EdgeConfig;

type Sender = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// A connection to the stand's UDP port.
async fn connect(stand: &Stand, name: &str) -> Result<(quinn::Endpoint, Sender), String> {
    let mut tls = (*stand.tls_config(&["h3"])).clone();
    tls.enable_early_data = false;
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let connecting = endpoint.connect(stand.https, name).unwrap();
    let connection = tokio::time::timeout(Duration::from_secs(5), connecting)
        .await
        .map_err(|_| "silence".to_owned())?
        .map_err(|error| error.to_string())?;
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
    Ok((endpoint, sender))
}

async fn ask(sender: &mut Sender, request: http::Request<()>, body: Option<Vec<u8>>) -> (http::Response<()>, Vec<u8>) {
    let (mut out, mut back) = sender.send_request(request).await.unwrap().split();
    let sending = async {
        for piece in body.unwrap_or_default().chunks(100_000) {
            if out.send_data(Bytes::copy_from_slice(piece)).await.is_err() {
                break; // answered already
            }
        }
        let _ = out.finish().await;
    };
    let reading = async {
        let answer = back.recv_response().await.unwrap();
        let mut all = Vec::new();
        while let Some(mut piece) = back.recv_data().await.unwrap() {
            all.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        (answer, all)
    };
    tokio::join!(sending, reading).1
}

fn get(path: &str) -> http::Request<()> {
    http::Request::get(format!("https://blog.test{path}")).body(()).unwrap()
}

fn on(stand: &Stand, app: &App) -> EdgeConfig {
    let mut config = stand.config(&[
        ("blog.test", to(app)),
        ("shop.test", with_policy(to(app), json!({"limits": {"body_bytes": 10}}))),
    ]);
    config.options.http3 = true;
    config
}

#[tokio::test]
async fn apps_get_no_cookie_of_the_panel_over_quic() {
    let stand = Stand::start();
    let app = Script::start(|head| reply(200, "Set-Cookie: serverkit_session=fixed\r\nSet-Cookie: own=3\r\n", head)).await;
    let mut config = stand.config(&[("blog.test", app.route())]);
    config.options.http3 = true;
    stand.edge.apply(config).unwrap();
    let (_endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
    let mut request = get("/");
    for cookie in ["serverkit_session=stolen", "own=1", "__Host-serverkit_session=stolen", "theirs=2"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let (answer, body) = ask(&mut sender, request, None).await;
    let set: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert_eq!(set, ["own=3"]);
    let seen = String::from_utf8(body).unwrap();
    assert!(seen.contains("own=1; theirs=2") && !seen.contains("stolen"), "{seen}");
}

#[tokio::test]
async fn requests_over_quic_take_the_same_way() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.edge.apply(on(&stand, &app)).unwrap();
    let answer = stand.client().get(stand.https_url("/")).send().await.unwrap();
    let told = answer.headers()["alt-svc"].to_str().unwrap().to_owned();
    assert_eq!(told, format!("h3=\":{}\"; ma=86400", stand.https.port()));
    assert_eq!(stand.get("blog.test", "/").await.header("alt-svc"), None, "not over plain HTTP");
    let (_endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
    for _ in 0..3 {
        let (answer, body) = ask(&mut sender, get("/"), None).await;
        assert_eq!((answer.status().as_u16(), &body[..]), (200, &b"blog"[..]));
        assert!(answer.headers().get("alt-svc").is_none());
    }
    let (_, body) = ask(&mut sender, get("/headers"), None).await;
    let seen = String::from_utf8(body).unwrap();
    for line in ["host: blog.test\n", "x-forwarded-for: 127.0.0.1\n", "x-forwarded-proto: https\n"] {
        assert!(seen.contains(line), "{line}: {seen}");
    }
    // Bodies of known and unknown length, both ways.
    for (declared, size) in [(true, 3 << 20), (false, 3 << 20), (true, 0), (false, 1)] {
        let mut request = http::Request::post("https://blog.test/echo");
        if declared {
            request = request.header("content-length", size);
        }
        let (answer, body) = ask(&mut sender, request.body(()).unwrap(), Some(vec![b'x'; size])).await;
        assert_eq!((answer.status().as_u16(), body.len()), (200, size), "{declared} {size}");
    }
    let (answer, body) = ask(&mut sender, http::Request::head("https://blog.test/").body(()).unwrap(), None).await;
    assert_eq!((answer.status().as_u16(), body.len()), (200, 0));
    assert_eq!(ask(&mut sender, get("/none"), None).await.0.status(), 204);
    let (answer, body) = ask(&mut sender, get("/big"), None).await;
    assert_eq!((answer.status().as_u16(), body.len()), (200, 64 << 20));
    // Another host than the connection's is refused, and the policy holds.
    let other = http::Request::get("https://shop.test/").body(()).unwrap();
    assert_eq!(ask(&mut sender, other, None).await.0.status(), 421);
    let (_endpoint, mut shop) = connect(&stand, "shop.test").await.unwrap();
    let post = http::Request::post("https://shop.test/size").body(()).unwrap();
    assert_eq!(ask(&mut shop, post, Some(vec![0; 1000])).await.0.status(), 413);
    eventually("lines", || stand.log_lines().iter().any(|line| line["protocol"] == "h3")).await;
    eventually("nothing is left", || stand.edge.active(&app.upstream()) == 0).await;
}

#[tokio::test]
async fn a_request_over_quic_wakes_an_app() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut config = on(&stand, &app);
    config.routes.get_mut(&"blog.test".parse().unwrap()).unwrap().target = types::Target::Asleep {
        wait: Duration::from_secs(20),
    };
    stand.edge.apply(config).unwrap();
    let mut wishes = Box::pin(stand.edge.wanted());
    let (_endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
    let request = http::Request::post("https://blog.test/size").body(()).unwrap();
    let asking = tokio::spawn(async move { ask(&mut sender, request, Some(vec![b'x'; 300_000])).await });
    let wanted = futures::StreamExt::next(&mut wishes);
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(10), wanted).await.unwrap(),
        Some(app_id(1))
    );
    stand.edge.apply(on(&stand, &app)).unwrap();
    let (answer, body) = asking.await.unwrap();
    assert_eq!((answer.status().as_u16(), &body[..]), (200, &b"300000"[..]));
}

#[tokio::test]
async fn http_3_is_served_only_when_it_is_wished_for() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut config = on(&stand, &app);
    config.options.http3 = false;
    stand.edge.apply(config.clone()).unwrap();
    assert!(std::net::UdpSocket::bind(stand.https).is_ok(), "the port is free");
    let answer = stand.client().get(stand.https_url("/")).send().await.unwrap();
    assert!(answer.headers().get("alt-svc").is_none());
    config.options.http3 = true;
    stand.edge.apply(config.clone()).unwrap();
    eventually("it listens", || std::net::UdpSocket::bind(stand.https).is_err()).await;
    let (endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
    assert_eq!(ask(&mut sender, get("/"), None).await.0.status(), 200);
    assert!(connect(&stand, "unknown.test").await.is_err());
    // Stopping ends what is open.
    drop(sender);
    endpoint.close(0u32.into(), b"");
    stand.edge.stop(Duration::from_secs(5)).await;
    assert!(std::net::UdpSocket::bind(stand.https).is_ok(), "the port is free again");
}

/// Connections stay where they began until their requests are answered; the next edge takes new ones meanwhile.
#[tokio::test]
async fn another_edge_takes_the_socket_over() {
    let (stand, listeners) = Stand::on_shared_sockets();
    let (app, newer) = (App::start("one").await, App::start("two").await);
    let config = on(&stand, &app);
    stand.edge.apply(config.clone()).unwrap();
    let mut moved = config.clone();
    moved.routes.insert("blog.test".parse().unwrap(), to(&newer));
    let (_endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
    assert_eq!(ask(&mut sender, get("/"), None).await.1, b"one");
    // An answer that takes its time, begun before.
    let (mut out, mut back) = sender.send_request(get("/big")).await.unwrap().split();
    out.finish().await.unwrap();
    back.recv_response().await.unwrap();
    let next = stand.next(listeners);
    next.apply(moved).unwrap();
    // Whoever of the two gets a datagram, each client is answered by the one that it knows.
    for _ in 0..20 {
        assert_eq!(ask(&mut sender, get("/"), None).await.1, b"one");
    }
    let (_endpoint, mut early) = connect(&stand, "blog.test").await.unwrap();
    assert_eq!(ask(&mut early, get("/"), None).await.0.status(), 200);
    let newcomers = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
            assert_eq!(ask(&mut sender, get("/"), None).await.1, b"two");
            endpoint.close(0u32.into(), b"");
        }
        let mut size = 0;
        while let Some(piece) = back.recv_data().await.unwrap() {
            size += piece.remaining();
        }
        size
    };
    let ((), size) = tokio::join!(stand.edge.leave(Duration::from_secs(60)), newcomers);
    assert_eq!(size, 64 << 20, "what was under way is answered whole");
    let again = sender.send_request(get("/")).await;
    assert!(again.is_err(), "the old one has said goodbye");
    for _ in 0..3 {
        let (_endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
        assert_eq!(ask(&mut sender, get("/"), None).await.1, b"two");
    }
}

#[tokio::test]
async fn a_port_that_somebody_has_is_taken_when_it_is_free() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let holder = std::net::UdpSocket::bind(stand.https).unwrap();
    stand.edge.apply(on(&stand, &app)).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(holder);
    let (_endpoint, mut sender) = connect(&stand, "blog.test").await.unwrap();
    assert_eq!(ask(&mut sender, get("/"), None).await.0.status(), 200);
}
