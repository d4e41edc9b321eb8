//! Every part of a domain's policy, set through the API and seen by a visitor; servers that are no containers; HTTP/3; IPv6.
//! What `routing.rs` has is not here again.

use reqwest::Method;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use testkit::{Http3, Options, Reply, TestPanel, eventually_ok, tls_as};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};

const SOON: Duration = Duration::from_secs(20);

/// A server that counts what it is asked, and whose answers a test can change.
pub struct Origin {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Origin {
    async fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = asked.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, counted.clone()));
            }
        });
        Origin { address, asked }
    }
    pub fn count(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

/// One request of a connection.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, asked: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let n = asked.fetch_add(1, SeqCst) + 1;
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let large = "x".repeat(200_000);
    let (status, more, body) = match path.as_str() {
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(4)).await;
            ("200 OK", "", "slow".to_owned())
        }
        "/broken" => ("500 Internal Server Error", "", "the app's own words".to_owned()),
        "/stale" => ("200 OK", "cache-control: max-age=1, stale-while-revalidate=60\r\n", n.to_string()),
        "/large" if head.contains("range: bytes=10-19") => (
            "206 Partial Content",
            "content-range: bytes 10-19/200000\r\n",
            "0123456789".to_owned(),
        ),
        "/large" => ("200 OK", "", large),
        "/host" => (
            "200 OK",
            "",
            head.lines().find(|line| line.starts_with("host:")).unwrap_or_default().to_owned(),
        ),
        "/lines" => ("200 OK", "", head.lines().next().unwrap_or_default().to_owned()),
        _ => ("200 OK", "", "fine".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
}

pub async fn lead(panel: &TestPanel, host: &str, origin: Value) {
    let rule = json!({"name": "all", "action": {"kind": "origin", "origin": origin}});
    panel.post(&format!("/api/v1/domains/{host}/rules"), rule).await.expect(201);
}

pub fn at(address: SocketAddr) -> Value {
    json!({"kind": "host", "host": "127.0.0.1", "port": address.port()})
}

pub async fn with_domain(panel: TestPanel, origin: Value) -> TestPanel {
    let app = json!({"name": "a", "source": {"kind": "image", "reference": "nginx"}, "domains": ["a.test"], "deploy": false});
    panel.create_app(app).await;
    lead(&panel, "a.test", origin).await;
    panel
}

pub async fn site() -> (TestPanel, Origin) {
    let origin = Origin::start().await;
    (with_domain(TestPanel::start().await, at(origin.address)).await, origin)
}

pub async fn policy(panel: &TestPanel, policy: Value) {
    panel.put("/api/v1/domains/a.test/policy", policy).await.expect(200);
}

pub async fn asks(panel: &TestPanel, path: &str, header: (&str, &str)) -> Reply {
    let nobody = panel.anonymous();
    let request = nobody.request(Method::GET, &panel.site("a.test", path)).header(header.0, header.1);
    nobody.send(request).await
}

#[tokio::test]
async fn sizes_times_and_pages() {
    let (panel, origin) = site().await;
    let pages = json!([{"statuses": [504], "body": "<p>too slow: {status}</p>"},
        {"statuses": [500], "body": "<p>ours</p>", "replace_app": true}]);
    policy(
        &panel,
        json!({"limits": {"body_bytes": 100, "response_seconds": 1}, "error_pages": pages}),
    )
    .await;
    let nobody = panel.anonymous();
    let post = async |size: usize| {
        let request = nobody.request(Method::POST, &panel.site("a.test", "/")).body(vec![b'x'; size]);
        nobody.send(request).await.status.as_u16()
    };
    let before = origin.count();
    assert_eq!(post(101).await, 413);
    assert_eq!(origin.count(), before, "what is too long is not passed on");
    assert_eq!(post(100).await, 200);
    let slow = asks(&panel, "/slow", ("accept", "text/html")).await.expect(504);
    assert!(slow.text().contains("too slow: 504"), "{}", slow.text());
    let broken = asks(&panel, "/broken", ("accept", "text/html")).await.expect(500);
    assert!(
        broken.text().contains("ours") && !broken.text().contains("own words"),
        "{}",
        broken.text()
    );
    policy(&panel, json!({})).await;
    assert!(panel.visit("a.test", "/broken").await.expect(500).text().contains("own words"));
    // A part of what is there, as the app cuts it.
    let part = asks(&panel, "/large", ("range", "bytes=10-19")).await.expect(206);
    assert_eq!(part.header("content-range").as_deref(), Some("bytes 10-19/200000"));
    assert_eq!(part.text(), "0123456789");
}

#[tokio::test]
async fn bandwidth_is_bounded_and_counted() {
    let (panel, _) = site().await;
    let unbounded = Instant::now();
    assert_eq!(panel.visit("a.test", "/large").await.expect(200).text().len(), 200_000);
    let unbounded = unbounded.elapsed();
    policy(&panel, json!({"bandwidth": 50_000})).await;
    let begun = Instant::now();
    assert_eq!(panel.visit("a.test", "/large").await.expect(200).text().len(), 200_000);
    assert!(
        begun.elapsed() > Duration::from_secs(2) && begun.elapsed() > unbounded,
        "{:?}",
        begun.elapsed()
    );
    // What it was, who asked and for what is counted.
    let report = panel.get("/api/v1/edge/report").await.expect(200).json();
    let traffic = &report["domains"][0];
    assert!(traffic["bytes_out"].as_u64() >= Some(400_000), "{traffic}");
    assert!(traffic["top_paths"].to_string().contains("/large"), "{traffic}");
    assert!(traffic["top_addresses"].to_string().contains("127.0.0.1"), "{traffic}");
    assert!(traffic["p95_millis"].as_u64() > Some(1000), "{traffic}");
    let shown = panel.cli(&["domain", "traffic", "a.test"]).await.expect(0).stdout;
    for words in ["/large", "127.0.0.1", "2xx ", "95 of 100 within"] {
        assert!(shown.contains(words), "{shown}");
    }
    panel
        .post("/api/v1/apps/a/domains", json!({"host": "quiet.test"}))
        .await
        .expect(201);
    let shown = panel.cli(&["domain", "traffic", "quiet.test"]).await.expect(0).stdout;
    assert!(shown.contains("nobody has asked for quiet.test"), "{shown}");
    panel.cli(&["domain", "traffic", "nosuch.test"]).await.expect(4);
}

/// What a quota says of a month's traffic holds for visitors: once it is used up, the domains of the project are held to a speed.
#[tokio::test]
async fn who_has_used_up_the_months_traffic_is_slow_until_the_quota_is_raised() {
    let (panel, _) = site().await;
    let quota = |limits: Value| {
        let panel = &panel;
        async move { panel.put("/api/v1/projects/default/quota", limits).await.expect(200).json() }
    };
    quota(json!({"traffic_bytes": 300_000, "traffic_cap": 50_000})).await;
    let large = || async {
        let begun = Instant::now();
        assert_eq!(panel.visit("a.test", "/large").await.expect(200).text().len(), 200_000);
        begun.elapsed()
    };
    large().await;
    large().await;
    // What is set makes the panel look at once, in place of in a minute.
    quota(json!({"traffic_bytes": 300_000, "traffic_cap": 50_000, "apps": 9})).await;
    let project = || async {
        let all = panel.list("/api/v1/quotas").await;
        all.into_iter().find(|one| one["of"] == "project").expect("the project's")
    };
    eventually_ok("the traffic is counted", Duration::from_secs(100), || async {
        let quota = project().await;
        match quota["used"]["traffic_bytes"].as_u64() >= Some(400_000) {
            true => Ok(()),
            false => Err(quota.to_string()),
        }
    })
    .await;
    let slow = Duration::from_secs(2);
    eventually_ok("visitors are held to the speed", Duration::from_secs(40), || async {
        let took = large().await;
        if took > slow { Ok(()) } else { Err(format!("{took:?}")) }
    })
    .await;
    let shown = panel.cli(&["quota", "show", "--project", "default"]).await.expect(0).stdout;
    assert!(shown.contains("/s for each domain"), "{shown}");
    let told = panel.list("/api/v1/events/history").await;
    assert!(
        told.iter()
            .any(|event| event["kind"] == "quota_reached" && event["text"].to_string().contains("used up")),
        "{told:?}"
    );
    quota(json!({"traffic_bytes": 900_000_000, "traffic_cap": 50_000})).await;
    eventually_ok("nobody is held any more", Duration::from_secs(40), || async {
        let took = large().await;
        if took < slow { Ok(()) } else { Err(format!("{took:?}")) }
    })
    .await;
}

#[tokio::test]
async fn rates_by_header_and_path_on_trial_and_exempt() {
    let (panel, _) = site().await;
    let limit = |name: &str, key: Value, more: Value| {
        let mut limit = json!({"name": name, "key": key, "requests": 1, "period_seconds": 3600});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"rate_limits": [limit]})
    };
    let by_header = json!({"kind": "header", "name": "x-key"});
    policy(&panel, limit("keys", by_header, json!({}))).await;
    let statuses = async |values: [&str; 4]| {
        let mut all = Vec::new();
        for value in values {
            all.push(asks(&panel, "/", ("x-key", value)).await.status.as_u16());
        }
        all
    };
    assert_eq!(statuses(["one", "one", "two", "two"]).await, [200, 429, 200, 429]);
    let refused = asks(&panel, "/", ("x-key", "one")).await.expect(429);
    assert!(refused.header("retry-after").is_some());
    policy(&panel, limit("paths", json!({"kind": "path"}), json!({}))).await;
    let paths = async |path: &str| panel.visit("a.test", path).await.status.as_u16();
    assert_eq!((paths("/p").await, paths("/p").await, paths("/q").await), (200, 429, 200));
    let address = json!({"kind": "address"});
    policy(&panel, limit("trial", address.clone(), json!({"dry_run": true}))).await;
    assert_eq!(statuses(["a", "a", "a", "a"]).await, [200; 4]);
    let limited = panel.get("/api/v1/edge/report").await.expect(200).json()["limited"].clone();
    let trial = limited.as_array().unwrap().iter().find(|one| one["limit"] == "trial").unwrap();
    assert_eq!((&trial["refused"], &trial["dry_run"]), (&json!(3), &json!(true)), "{limited}");
    // Who is being limited now, in the shell.
    for command in [&["edge", "status"][..], &["domain", "traffic", "a.test"]] {
        let shown = panel.cli(command).await.expect(0).stdout;
        let line = shown.lines().find(|line| line.starts_with("trial (dry run)"));
        assert!(line.is_some_and(|line| line.contains("127.0.0.1")), "{shown}");
    }
    policy(&panel, limit("spared", address, json!({"exempt": ["127.0.0.0/8"]}))).await;
    assert_eq!(statuses(["a", "a", "a", "a"]).await, [200; 4]);
}

#[tokio::test]
async fn a_stale_answer_is_given_while_a_new_one_is_fetched() {
    let (panel, origin) = site().await;
    policy(&panel, json!({"cache": {}})).await;
    let get = async || panel.visit("a.test", "/stale").await.expect(200).text();
    let first = get().await;
    assert_eq!(get().await, first);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(get().await, first, "stale, and at once");
    eventually_ok("a new one has been fetched", SOON, || async {
        let now = get().await;
        if now == first { Err(now) } else { Ok(()) }
    })
    .await;
    assert!(origin.count() >= 2);
    let report = panel.get("/api/v1/edge/report").await.expect(200).json();
    assert!(report["domains"][0]["cache_stale"].as_u64() >= Some(1), "{report}");
    assert!(report["cache"]["max_bytes"].as_u64() > Some(0), "{report}");
}

/// The certificate must be signed by whom the policy names, and be for the name. The panel itself is the server here.
#[tokio::test]
async fn https_upstreams_with_checked_names() {
    let (panel, _) = site().await;
    panel
        .post("/api/v1/apps/a/domains", json!({"host": "inner.test"}))
        .await
        .expect(201);
    let respond = json!({"name": "say", "action": {"kind": "respond", "status": 200, "content_type": "text/plain", "body": "inside"}});
    panel.post("/api/v1/domains/inner.test/rules", respond).await.expect(201);
    panel.delete("/api/v1/domains/a.test/rules/all").await.expect(204);
    lead(
        &panel,
        "a.test",
        json!({"kind": "host", "host": "127.0.0.1", "port": panel.https_port}),
    )
    .await;
    let authority = panel.get("/api/v1/certificates/authority").await.expect(200).text();
    let upstream =
        |name: &str, ca: Option<&str>| json!({"upstream": {"kind": "https", "name": name, "ca_pem": ca}, "upstream_host": "inner.test"});
    eventually_ok("the inner site has its certificate", SOON, || async {
        policy(&panel, upstream("inner.test", Some(&authority))).await;
        let reply = panel.visit("a.test", "/").await;
        if reply.status == 200 && reply.text() == "inside" {
            Ok(())
        } else {
            Err(reply.text())
        }
    })
    .await;
    for wrong in [upstream("other.test", Some(&authority)), upstream("inner.test", None)] {
        policy(&panel, wrong).await;
        panel.visit("a.test", "/").await.expect(502);
    }
}

#[tokio::test]
async fn a_server_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, Arc::default()));
        }
    });
    let panel = with_domain(TestPanel::start().await, json!({"kind": "socket", "path": path})).await;
    assert!(panel.visit("a.test", "/host").await.expect(200).text().starts_with("host: a.test"));
}

/// What gRPC needs: HTTP/2 to the app, both ways at once, and trailers.
#[tokio::test]
async fn grpc_with_its_trailers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else {
                    return;
                };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        let head = http::Response::builder().header("content-type", "application/grpc");
                        let mut out = respond.send_response(head.body(()).unwrap(), false).unwrap();
                        let mut body = request.into_body();
                        while let Some(Ok(data)) = body.data().await {
                            let _ = body.flow_control().release_capacity(data.len());
                            out.send_data(data, false).unwrap();
                        }
                        let mut trailers = http::HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().unwrap());
                        out.send_trailers(trailers).unwrap();
                    });
                }
            });
        }
    });
    let panel = with_domain(TestPanel::start().await, at(address)).await;
    policy(&panel, json!({"upstream": {"kind": "h2c"}})).await;
    // The edge ends TLS and speaks HTTP/2 on both sides.
    let (stream, _) = tls_as(panel.https_port, "a.test", &["h2"]).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = http::Request::post("https://a.test/pkg.Service/Echo")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut body) = sender.send_request(request, false).unwrap();
    body.send_data("first".into(), false).unwrap();
    let mut back = answer.await.unwrap().into_body();
    assert_eq!(back.data().await.unwrap().unwrap(), "first", "before the request has ended");
    body.send_data("second".into(), true).unwrap();
    assert_eq!(back.data().await.unwrap().unwrap(), "second");
    assert!(back.data().await.is_none());
    assert_eq!(back.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn http_3_when_it_is_wished_for() {
    let (panel, _) = site().await;
    let told = async || panel.visit("a.test", "/").await.expect(200).header("alt-svc");
    assert_eq!(told().await, None);
    panel.cli(&["edge", "options", "http3=true"]).await.expect(0);
    assert_eq!(told().await, Some(format!("h3=\":{}\"; ma=86400", panel.https_port)));
    let mut client = eventually_ok("HTTP/3 answers", SOON, || Http3::connect(panel.https_port, "a.test")).await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.unwrap(), (200, "fine".to_owned()));
    }
    assert_eq!(client.get("/large").await.unwrap().1.len(), 200_000);
    // The same rules and policies hold.
    policy(&panel, json!({"access": {"deny": ["127.0.0.1"]}})).await;
    assert_eq!(client.get("/").await.unwrap().0, 403);
    policy(&panel, json!({})).await;
    panel.cli(&["edge", "options", "http3=false"]).await.expect(0);
    assert_eq!(told().await, None);
    eventually_ok("nobody answers there any more", SOON, || async {
        match Http3::connect(panel.https_port, "a.test").await {
            Ok(_) => Err("it does".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn by_ipv6_too() {
    let panel = Options::default().everywhere().start().await;
    let app = json!({"name": "a", "source": {"kind": "image", "reference": "nginx"}, "domains": ["a.test"], "deploy": false});
    panel.create_app(app).await;
    let respond = json!({"name": "say", "action": {"kind": "respond", "status": 200, "content_type": "text/plain", "body": "six"}});
    panel.post("/api/v1/domains/a.test/rules", respond).await.expect(201);
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .resolve("a.test", SocketAddr::new("::1".parse().unwrap(), panel.https_port))
        .build()
        .unwrap();
    let ask = async || {
        let answer = client.get(panel.site("a.test", "/")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask().await, (200, "six".to_owned()));
    // Lists know IPv6 addresses.
    policy(&panel, json!({"access": {"deny": ["::1"]}})).await;
    assert_eq!(ask().await.0, 403);
    let report = panel.get("/api/v1/edge/report").await.expect(200).json();
    assert!(report["domains"][0]["top_addresses"].to_string().contains("\"::1"), "{report}");
}
