//! The edge through real sockets, in front of real servers.

#![allow(clippy::unwrap_used)]

mod arbitrary;
mod caching;
mod cookies;
mod http3;
mod policies;
mod ports;
mod routing;
mod safety;
mod sleeping;
mod support;
mod upstreams;

use futures::{SinkExt, StreamExt};
use serverkit_edge::{CLIENT_HEADER, Edge};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use types::{EdgeCertificate, EdgeConfig, EdgeLimits, EdgeSettings, HostPattern, Route, Secret, Target, Upstream, World};

#[tokio::test]
async fn hosts_lead_to_their_apps() {
    let (stand, blog, shop) = (Stand::start(), App::start("blog").await, App::start("shop").await);
    stand.apply(&[
        ("blog.test", to(&blog)),
        ("shop.test", route(2, Target::Upstreams(vec![shop.upstream()]))),
    ]);
    for (host, body) in [
        ("blog.test", "blog"),
        ("BLOG.test:80", "blog"),
        ("shop.test.", "shop"),
        ("shop.test:9", "shop"),
    ] {
        let answer = stand.get(host, "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{host}");
    }
    let answer = stand.get("unknown.test", "/").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.body, "No site on this server answers to unknown.test.\n");
    assert_eq!(answer.header("server"), None, "{}", answer.head);
    let page = raw(
        stand.http,
        "GET / HTTP/1.1\r\nHost: <b>.test\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(
        page.body.contains("Nothing here yet") && page.body.contains("&lt;b&gt;.test"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn the_path_and_query_reach_the_app_unchanged() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    for path in ["/target?a=1&b=%20x", "/target?x={}|^`~'", "/target?q=../..//", "/target"] {
        let answer = stand.get("blog.test", path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body, path);
    }
    let absolute = raw(
        stand.http,
        "GET http://blog.test/target?x HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(absolute.body, "/target?x");
}

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
async fn websockets_pass_and_count() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let plain = TcpStream::connect(stand.http).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://blog.test/ws", plain).await.unwrap();
    let secure = stand.tls(stand.https, "blog.test", &["http/1.1"]).await.unwrap();
    let (mut secure, _) = tokio_tungstenite::client_async("wss://blog.test/ws", secure).await.unwrap();
    for n in 0..50 {
        let text = format!("message {n} {}", "x".repeat(n * 1000));
        socket.send(text.clone().into()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), text);
        secure.send(text.clone().into()).await.unwrap();
        assert_eq!(secure.next().await.unwrap().unwrap().into_text().unwrap().as_str(), text);
    }
    assert_eq!(stand.edge.active(&app.upstream()), 2);
    // A swap does not disturb them, though their upstream has left the table.
    stand.apply(&[("blog.test", route(1, Target::Starting))]);
    assert_eq!(stand.edge.active(&app.upstream()), 2);
    socket.send("still here".into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "still here");
    socket.close(None).await.unwrap();
    drop(secure);
    eventually("both are gone", || stand.edge.active(&app.upstream()) == 0).await;
    let (_, traffic) = stand.edge.traffic().into_iter().find(|(app, _)| *app == Some(app_id(1))).unwrap();
    assert_eq!((traffic.requests, traffic.active), (2, 0));
    assert!(traffic.bytes_in > 1_000_000 && traffic.bytes_out > 1_000_000, "{traffic:?}");
}

#[tokio::test]
async fn an_app_that_refuses_an_upgrade_just_answers() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let upgrade =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    stream
        .write_all(format!("GET / HTTP/1.1\r\nHost: blog.test\r\n{upgrade}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 4096];
    let n = stream.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..n]).starts_with("HTTP/1.1 200 "));
    // Other protocols are not spoken: the app does not see the wish.
    let answer = raw(
        stand.http,
        "GET /headers HTTP/1.1\r\nHost: blog.test\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    )
    .await;
    assert!(
        !answer.body.contains("upgrade") && !answer.body.contains("http2-settings"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_swap_under_load_drops_nothing() {
    let stand = Arc::new(Stand::start());
    let apps = [App::start("one").await, App::start("two").await];
    stand.apply(&[("blog.test", to(&apps[0]))]);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (stand, stop, served) = (stand.clone(), stop.clone(), served.clone());
            tokio::spawn(async move {
                let client = if n % 2 == 0 {
                    stand.client()
                } else {
                    stand.client_builder().http1_only().build().unwrap()
                };
                while !stop.load(SeqCst) {
                    let answer = if n % 3 == 0 {
                        client.post(stand.https_url("/echo")).body("one or two").send().await.unwrap()
                    } else {
                        client.get(stand.https_url("/")).send().await.unwrap()
                    };
                    assert_eq!(answer.status(), 200);
                    assert!(answer.text().await.unwrap().contains(['o', 'w']));
                    served.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for n in 0..60 {
        stand.apply(&[("blog.test", to(&apps[n % 2]))]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(served.load(SeqCst) > 100, "{served:?}");
    for app in &apps {
        assert!(app.requests.load(SeqCst) > 0);
        assert_eq!(stand.edge.active(&app.upstream()), 0);
    }
}

#[tokio::test]
async fn a_bad_configuration_changes_nothing() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let broken = |change: &dyn Fn(&mut EdgeConfig)| {
        let mut config = stand.config(&[("shop.test", to(&app))]);
        change(&mut config);
        stand.edge.apply(config).unwrap_err().to_string()
    };
    let shop: HostPattern = "shop.test".parse().unwrap();
    let certificate = |config: &mut EdgeConfig, change: &dyn Fn(&mut EdgeCertificate)| change(config.certificates.get_mut(&shop).unwrap());
    for (change, words) in [
        (
            &(|c: &mut EdgeCertificate| c.chain_pem = "nonsense".into()) as &dyn Fn(&mut EdgeCertificate),
            "certificate of shop.test: the chain holds no certificate",
        ),
        (
            &|c| c.chain_pem = c.chain_pem.replace("MII", "AAA"),
            "certificate of shop.test: the certificate cannot be read",
        ),
        (
            &|c| c.key_pem = Secret::from("nonsense"),
            "certificate of shop.test: the private key is not PEM",
        ),
        (
            &|c| c.key_pem = stand.certificate("shop.test").key_pem,
            "certificate of shop.test: the private key belongs to another certificate",
        ),
    ] {
        let error = broken(&|config| certificate(config, change));
        assert!(error.starts_with(words), "{error}");
    }
    let error = broken(&|config| config.routes.get_mut(&shop).unwrap().target = Target::Upstreams(vec![]));
    assert_eq!(error, "route of shop.test: has no upstream");
    assert_eq!(stand.get("blog.test", "/").await.body, "blog");
    assert_eq!(stand.get("shop.test", "/").await.status, 404);
    stand.client().get(stand.https_url("/")).send().await.unwrap();
}

#[tokio::test]
async fn upstreams_take_turns_and_a_dead_one_is_passed_over() {
    let stand = Stand::start();
    let (one, two) = (App::start("one").await, App::start("two").await);
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Upstream {
            address: listener.local_addr().unwrap(),
        }
    };
    stand.apply(&[(
        "blog.test",
        route(1, Target::Upstreams(vec![one.upstream(), dead.clone(), two.upstream()])),
    )]);
    for _ in 0..30 {
        let answer = raw(
            stand.http,
            "POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        )
        .await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "5"));
    }
    assert!(one.requests.load(SeqCst) >= 10 && two.requests.load(SeqCst) >= 10);
    stand.apply(&[("blog.test", route(1, Target::Upstreams(vec![dead])))]);
    let answer = stand.get("blog.test", "/").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (502, "app1 does not accept connections right now.\n")
    );
}

#[tokio::test]
async fn a_request_is_sent_to_one_upstream_only() {
    // One that takes the connection and then ends it: the request may have been acted on.
    let breaks = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broken = Upstream {
        address: breaks.local_addr().unwrap(),
    };
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = breaks.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", route(1, Target::Upstreams(vec![broken, app.upstream()])))]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(stand.get("blog.test", "/").await.status);
    }
    seen.sort_unstable();
    assert_eq!(seen, [200, 200, 502, 502]);
}

#[tokio::test]
async fn a_closed_idle_connection_is_not_met_again() {
    let (stand, app) = (Stand::start(), App::start("one").await);
    let address = app.address;
    stand.apply(&[("blog.test", to(&app))]);
    let client = reqwest::Client::builder().resolve("blog.test", stand.http).build().unwrap();
    for round in 0..20 {
        let answer = client.get(stand.http_url("/")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "round {round}");
    }
    app.close();
    // Its old connections live on in hyper until they are idle; a new server takes the address over.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _again = App::start_on("two", address).await;
    for _ in 0..20 {
        assert_eq!(client.get(stand.http_url("/")).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn starting_and_down_say_so() {
    let stand = Stand::start();
    stand.apply(&[
        ("blog.test", route(1, Target::Starting)),
        (
            "shop.test",
            route(
                2,
                Target::Down {
                    why: "the last deployment failed.".into(),
                },
            ),
        ),
    ]);
    let answer = stand.get("blog.test", "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3")));
    let answer = stand.get("shop.test", "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("30")));
    assert_eq!(answer.body, "app2 is not running: the last deployment failed.\n");
    let json = raw(
        stand.http,
        "GET / HTTP/1.1\r\nHost: shop.test\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(problem["title"], "Not running");
    let (_, traffic) = stand.edge.traffic().into_iter().find(|(app, _)| *app == Some(app_id(2))).unwrap();
    assert_eq!((traffic.requests, traffic.errors), (2, 2));
}

#[tokio::test]
async fn what_a_client_says_about_itself_is_replaced() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let spoofed = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
        Forwarded: for=6.6.6.6\r\nX-Serverkit-Client: 6.6.6.6\r\nProxy: evil\r\nX-Forwarded-Prefix: /evil\r\n\
        X-Kept: yes\r\nX-Hop: gone\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nConnection: close, X-Hop, Host, X-Forwarded-For\r\n";
    let answer = raw(stand.http, format!("GET /headers HTTP/1.1\r\nHost: blog.test\r\n{spoofed}\r\n")).await;
    let has = |line: &str| answer.body.lines().any(|found| found == line);
    assert!(
        !answer.body.contains("6.6.6.6") && !answer.body.contains("evil") && !answer.body.contains("gone"),
        "{}",
        answer.body
    );
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: blog.test",
        "x-kept: yes",
        "host: blog.test",
    ] {
        assert!(has(line), "{line} in {}", answer.body);
    }
    assert!(
        !answer.body.contains(CLIENT_HEADER) && !answer.body.contains("keep-alive") && !answer.body.contains("te:"),
        "{}",
        answer.body
    );
    assert_eq!(
        (answer.header("server"), answer.header("via"), answer.header("x-own")),
        (None, None, Some("kept")),
        "{}",
        answer.head
    );
    let secure = stand
        .client()
        .get(stand.https_url("/headers"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(secure.contains("x-forwarded-proto: https\n"), "{secure}");
}

#[tokio::test]
async fn the_panel_is_served_on_its_port_and_domain() {
    let stand = Stand::start();
    let panel = App::start("unused").await;
    let socket = tokio::net::UnixListener::bind(stand.folder.path().join("api.sock")).unwrap();
    let target = panel.address;
    tokio::spawn(async move {
        loop {
            let (mut unix, _) = socket.accept().await.unwrap();
            tokio::spawn(async move {
                let mut tcp = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut unix, &mut tcp).await;
            });
        }
    });
    let mut config = stand.config(&[("panel.test", Route::plain(None, "panel", false, Target::Panel))]);
    config
        .certificates
        .insert("127.0.0.1".parse().unwrap(), stand.certificate("127.0.0.1"));
    stand.edge.apply(config).unwrap();
    let client = stand.client();
    let spoof = |request: reqwest::RequestBuilder| request.header(CLIENT_HEADER, "6.6.6.6").header("x-serverkit-other", "evil");
    for url in [
        format!("https://127.0.0.1:{}/headers", stand.panel.port()),
        format!("https://panel.test:{}/headers", stand.https.port()),
    ] {
        let text = spoof(client.get(&url)).send().await.unwrap().text().await.unwrap();
        assert!(text.contains(&format!("{CLIENT_HEADER}: 127.0.0.1\n")), "{text}");
        assert!(!text.contains("6.6.6.6") && !text.contains("evil"), "{text}");
    }
    let size = client
        .post(format!("https://127.0.0.1:{}/size", stand.panel.port()))
        .body(vec![0; 1 << 20])
        .send()
        .await
        .unwrap();
    assert_eq!(size.text().await.unwrap(), (1 << 20).to_string());
    // Somebody who forgot the `s` is shown the way.
    let answer = raw(stand.panel, "GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some(format!("https://127.0.0.1:{}/x?y", stand.panel.port()).as_str()))
    );
    let (_, traffic) = stand.edge.traffic().into_iter().find(|(app, _)| app.is_none()).unwrap();
    assert_eq!(traffic.requests, 3);
}

#[tokio::test]
async fn a_panel_that_is_stuck_does_not_stop_the_apps() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let _nobody_accepts = std::os::unix::net::UnixListener::bind(stand.folder.path().join("api.sock")).unwrap();
    let mut config = stand.config(&[("blog.test", to(&app))]);
    config
        .certificates
        .insert("127.0.0.1".parse().unwrap(), stand.certificate("127.0.0.1"));
    stand.edge.apply(config).unwrap();
    let client = stand.client();
    let stuck: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn(
                client
                    .get(format!("https://127.0.0.1:{}/", stand.panel.port()))
                    .timeout(Duration::from_secs(3))
                    .send(),
            )
        })
        .collect();
    for _ in 0..50 {
        assert_eq!(stand.get("blog.test", "/").await.status, 200);
    }
    stuck.into_iter().for_each(|task| task.abort());
}

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

#[tokio::test]
async fn a_taken_port_names_its_holder() {
    let stand = Stand::start();
    let again = EdgeSettings {
        http: vec![stand.http],
        https: vec![],
        panel: vec![],
        panel_socket: stand.folder.path().join("api.sock"),
        access_log: stand.folder.path().join("other.log"),
        limits: EdgeLimits::default(),
        threads: 1,
    };
    let error = Edge::start(again, World::system()).err().unwrap().to_string();
    assert!(error.starts_with(&format!("port {} is taken by ", stand.http.port())), "{error}");
    assert!(error.ends_with(&format!("(pid {})", std::process::id())), "{error}");
}

#[tokio::test]
async fn stopping_lets_requests_end_and_frees_the_ports() {
    let (stand, app) = (Arc::new(Stand::start()), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let (h1, h2) = (
        reqwest::Client::builder().resolve("blog.test", stand.http).build().unwrap(),
        stand.client(),
    );
    h1.get(stand.http_url("/")).send().await.unwrap();
    let slow = [
        tokio::spawn(h1.get(stand.http_url("/slow")).send()),
        tokio::spawn(h2.get(stand.https_url("/slow")).send()),
    ];
    eventually("both are under way", || stand.edge.active(&app.upstream()) == 2).await;
    let mut idle = TcpStream::connect(stand.http).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n").await.unwrap();
    assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
    let began = Instant::now();
    stand.edge.stop(Duration::from_secs(10)).await;
    assert!((300..5000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    for request in slow {
        assert_eq!(request.await.unwrap().unwrap().text().await.unwrap(), "slow");
    }
    assert_eq!(idle.read(&mut [0; 10]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(stand.http).await.is_err());
    std::net::TcpListener::bind(stand.https).unwrap();
    let lines = stand.log_lines();
    assert_eq!(lines.len(), 4, "everything is written: {lines:?}");
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let never = tokio::spawn(stand.client().get(stand.https_url("/never")).send());
    eventually("it is under way", || stand.edge.active(&app.upstream()) == 1).await;
    let began = Instant::now();
    stand.edge.stop(Duration::from_millis(200)).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(never.await.unwrap().is_err());
}

#[tokio::test]
async fn each_request_leaves_a_line() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    stand
        .client()
        .post(stand.https_url("/size?token=secret"))
        .header("user-agent", "test \"1\"")
        .body("hello")
        .send()
        .await
        .unwrap();
    stand.get("nowhere.test", "/x").await;
    eventually("two lines", || stand.log_lines().len() == 2).await;
    let lines = stand.log_lines();
    let first = lines.iter().find(|line| line["status"] == 200).unwrap();
    for (key, value) in [
        ("host", "blog.test"),
        ("method", "POST"),
        ("path", "/size"),
        ("protocol", "h2"),
        ("app", "app1"),
        ("client", "127.0.0.1"),
        ("port", "https"),
        ("agent", "test \"1\""),
    ] {
        assert!(first[key].as_str().unwrap().starts_with(value), "{key}: {first}");
    }
    assert_eq!((first["bytes_in"].as_u64(), first["bytes_out"].as_u64()), (Some(5), Some(1)));
    assert_eq!(first["upstream"], app.address.to_string());
    assert!(
        !std::fs::read_to_string(stand.folder.path().join("access.log"))
            .unwrap()
            .contains("secret")
    );
    assert!(
        lines
            .iter()
            .any(|line| line["status"] == 404 && line["host"] == "nowhere.test" && line["app"].is_null())
    );
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

#[tokio::test]
async fn ten_thousand_domains_are_swapped_in_quickly() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let certificate = stand.certificate("blog.test");
    let config = EdgeConfig {
        routes: (0..10_000).map(|n| (format!("h{n}.test").parse().unwrap(), to(&app))).collect(),
        certificates: (0..10_000)
            .map(|n| (format!("h{n}.test").parse().unwrap(), certificate.clone()))
            .collect(),
        ..EdgeConfig::default()
    };
    let began = Instant::now();
    stand.edge.apply(config.clone()).unwrap();
    stand.edge.apply(config).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(stand.get("h9999.test", "/").await.body, "blog");
}
