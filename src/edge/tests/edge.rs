//! The edge through real sockets, in front of real servers.

#![allow(clippy::unwrap_used)]

mod arbitrary;
mod caching;
mod connections;
mod cookies;
mod exchanges;
mod http3;
mod limits;
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
