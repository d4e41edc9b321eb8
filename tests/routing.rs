//! What the edge does with the requests of a domain, set through the API and seen through real sockets: policies, kept answers,
//! wildcards. Which requests go elsewhere is in `rules.rs`.

use reqwest::Method;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use testkit::{TestPanel, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A server that says its name, the path it saw and how often it was asked; kept for a minute below `/kept`.
pub async fn origin(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut asked = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let Some(path) = head.split_whitespace().nth(1) else { continue };
            asked += 1;
            let long = if path.starts_with("/long") {
                " again and again".repeat(200)
            } else {
                String::new()
            };
            let body = format!("{name} {path} {asked}{long}");
            let kept = if path.starts_with("/kept") { "max-age=60" } else { "no-store" };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\ncache-control: {kept}\r\nx-app: yes\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// A panel with the domain `a.test`, all of whose requests go to a server of the test.
pub async fn site() -> (TestPanel, SocketAddr) {
    let panel = TestPanel::start().await;
    let address = origin("origin").await;
    panel
        .create_app(json!({"name": "a", "source": {"kind": "image", "reference": "nginx"}, "domains": ["a.test"], "deploy": false}))
        .await;
    let rule = json!({"name": "all", "priority": -100, "action": {"kind": "origin",
        "origin": {"kind": "host", "host": "127.0.0.1", "port": address.port()}}});
    panel.post("/api/v1/domains/a.test/rules", rule).await.expect(201);
    (panel, address)
}

async fn policy(panel: &TestPanel, policy: Value) -> Value {
    panel.put("/api/v1/domains/a.test/policy", policy).await.expect(200).json()
}

/// What is set holds as soon as it is answered.
#[tokio::test]
async fn policies() {
    let (panel, _) = site().await;
    assert!(panel.visit("a.test", "/x").await.expect(200).text().starts_with("origin /x"));

    policy(
        &panel,
        json!({"response_headers": {"set": {"x-own": "1"}, "remove": ["x-app"], "hsts": {"max_age_seconds": 60}}}),
    )
    .await;
    let reply = panel.visit("a.test", "/").await.expect(200);
    assert_eq!(reply.header("x-own").as_deref(), Some("1"));
    assert_eq!(reply.header("x-app"), None);
    assert!(reply.header("strict-transport-security").unwrap().contains("max-age=60"));

    let shown = policy(
        &panel,
        json!({"basic_auth": {"realm": "inside", "users": [{"name": "ada", "password": "hunter22"}]}}),
    )
    .await;
    assert!(
        !shown.to_string().contains("$2y$") && !shown.to_string().contains("hunter22"),
        "{shown}"
    );
    panel.visit("a.test", "/").await.expect(401);
    let nobody = panel.anonymous();
    let with = async |password: &str| {
        let request = nobody
            .request(Method::GET, &panel.site("a.test", "/"))
            .basic_auth("ada", Some(password));
        nobody.send(request).await.status.as_u16()
    };
    assert_eq!((with("hunter22").await, with("hunter23").await), (200, 401));
    // Shown, changed and sent back, the password stays.
    let mut again = shown;
    again["compression"] = json!(true);
    policy(&panel, again).await;
    assert_eq!((with("hunter22").await, with("").await), (200, 401));

    policy(
        &panel,
        json!({"rate_limits": [{"name": "few", "key": {"kind": "address"}, "requests": 2, "period_seconds": 600}]}),
    )
    .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(panel.visit("a.test", "/").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    let report = panel.get("/api/v1/edge/report").await.expect(200).json();
    assert_eq!(report["limited"][0]["limit"], "few", "{report}");
    assert_eq!(report["limited"][0]["key"], "127.0.0.1", "{report}");

    panel
        .cli(&[
            "domain",
            "policy",
            "set",
            "a.test",
            "rate_limits=",
            "maintenance.message=back at noon",
        ])
        .await
        .expect(0);
    let reply = panel.visit("a.test", "/").await.expect(503);
    assert!(reply.text().contains("back at noon"), "{}", reply.text());
    panel.cli(&["domain", "policy", "set", "a.test", "maintenance="]).await.expect(0);
    panel.visit("a.test", "/").await.expect(200);

    // Who may not come, by a bare address.
    policy(&panel, json!({"access": {"deny": ["127.0.0.1"]}})).await;
    panel.visit("a.test", "/").await.expect(403);
    assert_eq!(policy(&panel, json!({})).await, json!({}));

    let activity = panel.list("/api/v1/events/history").await;
    let words = activity.iter().map(Value::to_string).collect::<String>();
    assert!(words.contains("domain_changed"), "{words}");
}

#[tokio::test]
async fn wrong_policies_are_refused_by_field_and_change_nothing() {
    let (panel, _) = site().await;
    for (body, field) in [
        (json!({"bandwidth": 0}), "bandwidth"),
        (json!({"access": {"allow": ["nowhere"]}}), "access"),
        (json!({"cors": {"origins": ["*"], "credentials": true}}), "cors"),
        (
            json!({"rate_limits": [{"name": "a", "key": {"kind": "moon"}, "requests": 1, "period_seconds": 1}]}),
            "rate_limits[0].key.kind",
        ),
        (json!({"basic_auth": {"realm": "x", "users": [{"name": "new"}]}}), "basic_auth"),
        (json!({"nonsense": 1}), "nonsense"),
    ] {
        let reply = panel.put("/api/v1/domains/a.test/policy", body.clone()).await.expect(422).json();
        assert_eq!(reply["field"], field, "{body}: {reply}");
    }
    // What only the edge itself can see, such as a certificate that is none.
    let upstream = json!({"upstream": {"kind": "https", "name": "inner.test", "ca_pem": "no PEM"}});
    let reply = panel.put("/api/v1/domains/a.test/policy", upstream).await;
    assert!(reply.status.is_client_error(), "{} {}", reply.status, reply.text());
    assert_eq!(panel.get("/api/v1/domains/a.test/policy").await.expect(200).json(), json!({}));
    panel.visit("a.test", "/").await.expect(200);
    panel.put("/api/v1/domains/nosuch.test/policy", json!({})).await.expect(404);
    // Servers in an inner network are for administrators to name.
    let developer = panel.member("developer", "write").await;
    let asks = json!({"forward_auth": {"url": "http://127.0.0.1:1/"}});
    developer.put("/api/v1/domains/a.test/policy", asks).await.expect(403);
    let rule = json!({"name": "in", "action": {"kind": "origin", "origin": {"kind": "host", "host": "127.0.0.1", "port": 1}}});
    developer.post("/api/v1/domains/a.test/rules", rule).await.expect(403);
}

#[tokio::test]
async fn kept_answers_and_purge() {
    let (panel, _) = site().await;
    policy(&panel, json!({"cache": {}})).await;
    let get = async || panel.visit("a.test", "/kept/1").await.expect(200).text();
    let first = get().await;
    assert_eq!(get().await, first);
    let report = panel.get("/api/v1/edge/report").await.expect(200).json();
    assert!(report["domains"][0]["cache_hits"].as_u64().unwrap() >= 1, "{report}");
    let purged = panel.post("/api/v1/edge/purge", json!({"host": "a.test", "path": "/kept/*"})).await;
    assert_eq!(purged.expect(200).json()["answers"], 1);
    assert_ne!(get().await, first);
    let status = panel.cli(&["edge", "status"]).await.expect(0).stdout;
    assert!(status.contains("a.test"), "{status}");
    panel.cli(&["edge", "purge", "a.test"]).await.expect(0);
    panel.post("/api/v1/edge/purge", json!({"host": "nosuch.test"})).await.expect(404);
}

#[tokio::test]
async fn options_of_the_edge() {
    let (panel, _) = site().await;
    let options = "/api/v1/edge/options";
    panel.patch(options, json!({"proxy_protocol": true})).await.expect(422);
    panel.patch(options, json!({"trusted_proxies": ["moon"]})).await.expect(422);
    panel.patch(options, json!({"trusted_proxies": ["127.0.0.1"]})).await.expect(200);
    // A trusted proxy may say who asks.
    policy(&panel, json!({"access": {"deny": ["203.0.113.0/24"]}})).await;
    // Who may speak for others is settled when a connection begins: each asks on its own.
    let asks = async |client: &str| {
        let fresh = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .resolve("a.test", ([127, 0, 0, 1], 0).into())
            .build()
            .unwrap();
        let request = fresh.get(panel.site("a.test", "/")).header("x-forwarded-for", client);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((asks("203.0.113.7").await, asks("198.51.100.7").await), (403, 200));
    panel.patch(options, json!({"trusted_proxies": []})).await.expect(200);
    assert_eq!(asks("203.0.113.7").await, 200, "nobody else may");
}

/// The one on a wildcard answers for every name below it that has none of its own; it is never the address that is shown.
#[tokio::test]
async fn wildcard_domains() {
    let (panel, _) = site().await;
    let domains = "/api/v1/apps/a/domains";
    panel.post(domains, json!({"host": "*.w.test"})).await.expect(201);
    panel.post(domains, json!({"host": "own.w.test"})).await.expect(201);
    panel.post(domains, json!({"host": "*.w.test"})).await.expect(409);
    for wrong in ["*.test", "a.*.test", "*", "*a.test"] {
        panel.post(domains, json!({"host": wrong})).await.expect(422);
    }
    let says =
        |text: &str| json!({"name": "say", "action": {"kind": "respond", "status": 200, "content_type": "text/plain", "body": text}});
    panel.post("/api/v1/domains/*.w.test/rules", says("any")).await.expect(201);
    panel.post("/api/v1/domains/own.w.test/rules", says("own")).await.expect(201);
    for (host, expected) in [("one.w.test", "any"), ("two.w.test", "any"), ("own.w.test", "own")] {
        assert_eq!(panel.visit(host, "/").await.expect(200).text(), expected, "{host}");
    }
    panel.visit("w.test", "/").await.expect(404);
    panel.visit("a.b.w.test", "/").await.expect(404);
    // What serves the wildcard is beside it.
    eventually("it has its certificate", Duration::from_secs(20), || async {
        let all = panel.list("/api/v1/domains").await;
        let one = all.into_iter().find(|one| one["host"] == "*.w.test")?;
        (one["certificate"]["state"] == "valid").then_some(())
    })
    .await;
    let check = panel.get("/api/v1/domains/*.w.test/check").await.expect(200).json();
    assert!(check["detail"].as_str().unwrap().starts_with("*.w.test"), "{check}");
    let all = panel.list("/api/v1/domains").await;
    let primary: Vec<_> = all.iter().filter(|one| one["primary"] == true).map(|one| &one["host"]).collect();
    assert_eq!(primary, ["a.test"]);
    // Its heir is a name that people can open.
    panel.delete("/api/v1/domains/a.test").await.expect(204);
    let all = panel.list("/api/v1/domains").await;
    assert!(
        all.iter().any(|one| one["host"] == "own.w.test" && one["primary"] == true),
        "{all:?}"
    );
    panel.cli(&["--yes", "domain", "remove", "*.w.test"]).await.expect(0);
    panel.visit("one.w.test", "/").await.expect(404);
}

#[tokio::test]
async fn cross_origin_compression_and_another_server_that_says_who_may() {
    let (panel, _) = site().await;
    policy(&panel, json!({"cors": {"origins": ["https://app.test"], "methods": ["PUT"]}})).await;
    let nobody = panel.anonymous();
    let preflight = async |origin: &str| {
        let request = nobody
            .request(Method::OPTIONS, &panel.site("a.test", "/"))
            .header("origin", origin)
            .header("access-control-request-method", "PUT");
        nobody.send(request).await.header("access-control-allow-origin")
    };
    assert_eq!(preflight("https://app.test").await.as_deref(), Some("https://app.test"));
    assert_eq!(preflight("https://evil.test").await, None);

    policy(&panel, json!({"compression": true})).await;
    let request = nobody
        .request(Method::GET, &panel.site("a.test", "/long"))
        .header("accept-encoding", "zstd");
    let reply = nobody.send(request).await.expect(200);
    assert_eq!(reply.header("content-encoding").as_deref(), Some("zstd"));
    let plain = nobody.request(Method::GET, &panel.site("a.test", "/long"));
    let plain = nobody.send(plain).await.expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.text().ends_with("again and again"));

    // A server that lets those in who know the word, and says their name.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let guard = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            let knows = String::from_utf8_lossy(&head[..length]).to_lowercase().contains("x-word: sesame");
            let answer = match knows {
                true => "HTTP/1.1 200 OK\r\nx-user: ada\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                false => "HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\nconnection: close\r\n\r\nwho?",
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    policy(
        &panel,
        json!({"forward_auth": {"url": format!("http://{guard}/check"), "pass_headers": ["x-user"]}}),
    )
    .await;
    let asks = async |word: &str| {
        let request = nobody.request(Method::GET, &panel.site("a.test", "/")).header("x-word", word);
        nobody.send(request).await.status.as_u16()
    };
    assert_eq!((asks("sesame").await, asks("please").await), (200, 401));
}

/// Behind a balancer that speaks the PROXY protocol, who asks is whom it names.
#[tokio::test]
async fn the_proxy_protocol_says_who_asks() {
    let (panel, _) = site().await;
    panel
        .post("/api/v1/apps/a/domains", json!({"host": "plain.test", "force_https": false}))
        .await
        .expect(201);
    let respond = json!({"name": "say", "action": {"kind": "respond", "status": 200, "content_type": "text/plain", "body": "in"}});
    panel.post("/api/v1/domains/plain.test/rules", respond).await.expect(201);
    let deny = json!({"access": {"deny": ["203.0.113.0/24"]}});
    panel.put("/api/v1/domains/plain.test/policy", deny).await.expect(200);
    let options = json!({"trusted_proxies": ["127.0.0.1"], "proxy_protocol": true});
    panel.patch("/api/v1/edge/options", options).await.expect(200);
    let asks = async |line: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", panel.http_port)).await.unwrap();
        let request = format!("{line}GET / HTTP/1.1\r\nhost: plain.test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer.split(' ').nth(1).unwrap_or("closed").to_owned()
    };
    assert_eq!(asks("PROXY TCP4 203.0.113.9 127.0.0.1 4000 80\r\n").await, "403");
    assert_eq!(asks("PROXY TCP4 198.51.100.9 127.0.0.1 4000 80\r\n").await, "200");
    assert_ne!(asks("").await, "200", "a trusted proxy must say it");
    // The second version is in bytes: IPv4 and IPv6.
    let asks = async |family: u8, addresses: &[u8]| {
        let mut request = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
        request.push(family);
        request.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        request.extend(addresses);
        request.extend(b"GET / HTTP/1.1\r\nhost: plain.test\r\nconnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", panel.http_port)).await.unwrap();
        stream.write_all(&request).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer.split(' ').nth(1).unwrap_or("closed").to_owned()
    };
    let v4 = |last: u8| [203, 0, 113, last, 127, 0, 0, 1, 15, 160, 0, 80];
    assert_eq!(asks(0x11, &v4(9)).await, "403");
    let deny = json!({"access": {"deny": ["2001:db8::/32"]}});
    panel.put("/api/v1/domains/plain.test/policy", deny).await.expect(200);
    assert_eq!(asks(0x11, &v4(9)).await, "200");
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    assert_eq!(asks(0x21, &v6).await, "403");
    assert_ne!(asks(0x11, &[203, 0]).await, "200", "addresses that are cut off");
}

/// What all domains do, in one list.
#[tokio::test]
async fn limits_and_passthroughs_of_all_domains() {
    let (panel, _) = site().await;
    let limits = json!({"rate_limits": [{"name": "visitors", "key": {"kind": "address"}, "requests": 1, "period_seconds": 3600}]});
    policy(&panel, limits).await;
    for host in ["b.test", "c.test"] {
        panel.post("/api/v1/apps/a/domains", json!({ "host": host })).await.expect(201);
    }
    panel
        .put("/api/v1/domains/c.test/passthrough", json!({"port": 8443, "proxy_protocol": "v2"}))
        .await
        .expect(200);
    panel.visit("a.test", "/").await;
    panel.visit("a.test", "/").await.expect(429);
    let all = panel.list("/api/v1/traffic?limit=2").await;
    assert_eq!(
        all.iter().map(|one| one["host"].as_str().unwrap()).collect::<Vec<_>>(),
        ["a.test", "b.test", "c.test"]
    );
    let shown = panel.cli(&["edge", "limits"]).await.expect(0).stdout;
    let line = shown
        .lines()
        .find(|line| line.starts_with("a.test"))
        .expect("a line for the domain");
    assert!(
        line.contains("visitors") && line.contains("1 in 60 min") && line.trim_end().ends_with('1'),
        "{shown}"
    );
    let through = panel.cli(&["edge", "passthroughs"]).await.expect(0).stdout;
    assert!(
        through.contains("c.test") && through.contains("8443") && !through.contains("b.test"),
        "{through}"
    );
}
