//! What the edge does with the requests of a domain, set through the API and seen through real sockets: policies, rules,
//! explanations, kept answers, ports.

use crate::deploy::app_of;
use reqwest::Method;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use testkit::{GitFixture, TestPanel, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A server that says its name, the path it saw and how often it was asked; kept for a minute below `/kept`.
async fn origin(name: &'static str) -> SocketAddr {
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
async fn site() -> (TestPanel, SocketAddr) {
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
async fn rules_and_why() {
    let (panel, _) = site().await;
    let api = origin("api").await;
    let rules = "/api/v1/domains/a.test/rules";
    let add = async |rule: Value| panel.post(rules, rule).await.expect(201).json();
    add(
        json!({"name": "api", "matches": {"path": {"kind": "prefix", "path": "/api"}, "methods": ["GET"]}, "action": {"kind": "origin",
        "origin": {"kind": "host", "host": "127.0.0.1", "port": api.port()}, "path": {"strip_prefix": "/api"}}}),
    )
    .await;
    add(json!({"name": "old", "action": {"kind": "redirect", "pattern": "^/old/(.*)$", "to": "/new/$1", "status": 308}})).await;
    panel
        .cli(&[
            "domain",
            "rule",
            "add",
            "a.test",
            "robots",
            "--exact",
            "/robots.txt",
            "--respond",
            "go away",
        ])
        .await
        .expect(0);
    let says = async |path: &str| panel.visit("a.test", path).await.expect(200).text();
    assert!(says("/api/x?y=1").await.starts_with("api /x?y=1"));
    assert!(says("/%61pi/x").await.starts_with("api /x"), "no spelling goes around a rule");
    assert!(says("/apix").await.starts_with("origin /apix"));
    assert_eq!(says("/robots.txt").await, "go away");
    let moved = panel.visit("a.test", "/old/a?b").await.expect(308);
    assert_eq!(moved.header("location").as_deref(), Some("/new/a"));
    for status in ["301", "302", "307", "308"] {
        let change = format!("action.status={status}");
        panel.cli(&["domain", "rule", "set", "a.test", "old", &change]).await.expect(0);
        panel.visit("a.test", "/old/a").await.expect(status.parse().unwrap());
    }

    // Why this?
    let why = async |method: &str, url: &str| {
        let body = json!({"url": url, "method": method});
        panel.post("/api/v1/domains/explain", body).await.expect(200).json()
    };
    let told = why("GET", "https://a.test/api/x").await;
    let all = panel.list(rules).await;
    let id = |name: &str| all.iter().find(|rule| rule["name"] == name).unwrap()["id"].clone();
    assert_eq!(told["rule"], id("api"), "{told}");
    let told = why("POST", "https://a.test/api/x").await;
    assert_eq!(told["rule"], id("all"), "{told}");
    assert!(told["steps"].to_string().contains("the method POST is not GET"), "{told}");
    let told = panel.cli(&["domain", "explain", "https://a.test/old/a"]).await.expect(0).stdout;
    assert!(told.contains("308: to /new/a"), "{told}");

    // The order, then off, then gone.
    let names = |rules: Vec<Value>| {
        rules
            .iter()
            .map(|rule| rule["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(all).last().map(String::as_str), Some("all"));
    let order = json!({"rules": ["all", "api", "old", "robots"]});
    panel.put("/api/v1/domains/a.test/rule-order", order).await.expect(200);
    assert_eq!(names(panel.list(rules).await), ["all", "api", "old", "robots"]);
    assert!(says("/api/x").await.starts_with("origin /api/x"));
    let few = json!({"rules": ["all"]});
    panel.put("/api/v1/domains/a.test/rule-order", few).await.expect(422);
    panel
        .cli(&["domain", "rule", "set", "a.test", "all", "priority=-5", "enabled=true"])
        .await
        .expect(0);
    assert!(says("/api/x").await.starts_with("api /x"));
    panel.cli(&["--yes", "domain", "rule", "remove", "a.test", "api"]).await.expect(0);
    assert!(says("/api/x").await.starts_with("origin /api/x"));
    panel.delete(&format!("{rules}/api")).await.expect(404);
    // Refused: the same name, an open redirect, a pattern that is none.
    let respond = json!({"kind": "respond", "status": 200, "content_type": "text/plain", "body": ""});
    panel.post(rules, json!({"name": "all", "action": respond})).await.expect(409);
    for (to, pattern) in [("//evil.test", Value::Null), ("https://$1/", json!("(.*)")), ("/x", json!("("))] {
        let rule = json!({"name": "bad", "action": {"kind": "redirect", "to": to, "status": 308, "pattern": pattern}});
        panel.post(rules, rule).await.expect(422);
    }
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

#[tokio::test]
async fn docker_ports_rules_and_canaries_to_other_apps() {
    let mut panel = TestPanel::docker().await;
    let one = GitFixture::sample("hello");
    let two = GitFixture::sample("hello");
    two.edit("app.py", "\"one\"", "\"two\"");
    panel.live_app(app_of("one", &one)).await;
    panel.live_app(app_of("two", &two)).await;
    let rule = json!({"name": "two", "matches": {"path": {"kind": "prefix", "path": "/two"}},
        "action": {"kind": "app", "app": "two", "path": {"strip_prefix": "/two"}}});
    panel.post("/api/v1/domains/one.test/rules", rule).await.expect(201);
    assert_eq!(panel.visit("one.test", "/two/").await.expect(200).text(), "hello two");
    assert_eq!(panel.visit("one.test", "/").await.expect(200).text(), "hello one");

    let canary = json!({"app": "two", "percent": 100});
    panel.put("/api/v1/domains/one.test/canary", canary).await.expect(200);
    assert_eq!(panel.visit("one.test", "/").await.expect(200).text(), "hello two");
    panel.cli(&["domain", "canary", "one.test", "--off"]).await.expect(0);
    assert_eq!(panel.visit("one.test", "/").await.expect(200).text(), "hello one");
    // By a header alone: testers see it, nobody else does.
    panel
        .cli(&["domain", "canary", "one.test", "two", "--percent", "0", "--header", "x-tester*=ada"])
        .await
        .expect(0);
    let asks = async |value: &str| {
        let nobody = panel.anonymous();
        let request = nobody.request(Method::GET, &panel.site("one.test", "/")).header("x-tester", value);
        nobody.send(request).await.expect(200).text()
    };
    for _ in 0..5 {
        assert_eq!(
            (asks("ada l.").await.as_str(), asks("bob").await.as_str()),
            ("hello two", "hello one")
        );
    }
    let told = panel
        .cli(&["domain", "explain", "https://one.test/", "--header", "x-tester=ada"])
        .await
        .expect(0)
        .stdout;
    assert!(told.contains("the header x-tester asks for two"), "{told}");
    // One that fails gets nothing any more, by itself.
    panel.post("/api/v1/apps/two/stop", json!({})).await.expect(202);
    let canary = json!({"app": "two", "percent": 100, "limits": {"min_requests": 5, "max_error_percent": 10}});
    panel.put("/api/v1/domains/one.test/canary", canary).await.expect(200);
    eventually("the canary is taken back", Duration::from_secs(20), || async {
        (panel.visit("one.test", "/").await.text() == "hello one").then_some(())
    })
    .await;
    panel.cli(&["domain", "canary", "one.test", "--off"]).await.expect(0);
    // So does one that is slow.
    panel.post("/api/v1/apps/two/start", json!({})).await.expect(202);
    eventually("it runs again", Duration::from_secs(60), || async {
        (panel.visit("one.test", "/two/").await.text() == "hello two").then_some(())
    })
    .await;
    let canary = json!({"app": "two", "percent": 100, "limits": {"min_requests": 3, "max_p95_millis": 400}});
    panel.put("/api/v1/domains/one.test/canary", canary).await.expect(200);
    for _ in 0..3 {
        assert_eq!(panel.visit("one.test", "/slow?seconds=1").await.expect(200).text(), "hello two");
    }
    eventually("the canary is taken back", Duration::from_secs(20), || async {
        (panel.visit("one.test", "/").await.text() == "hello one").then_some(())
    })
    .await;
    let status = panel.cli(&["edge", "status"]).await.expect(0).stdout;
    assert!(status.contains("and 400 ms is the limit"), "{status}");
    // It stays failed over a restart of the panel, and is told.
    let failed = eventually("that it failed is kept", Duration::from_secs(20), || async {
        let shown = panel.get("/api/v1/domains/one.test/traffic").await.expect(200).json();
        Some(shown["canary"]["failed"].clone()).filter(|failed| failed.is_object())
    })
    .await;
    assert!(failed["why"].to_string().contains("400 ms is the limit"), "{failed}");
    panel.stop().await;
    panel.start_again().await;
    eventually("it serves again", Duration::from_secs(60), || async {
        (panel.visit("one.test", "/").await.status == 200).then_some(())
    })
    .await;
    for _ in 0..3 {
        assert_eq!(panel.visit("one.test", "/").await.expect(200).text(), "hello one");
    }
    let status = panel.cli(&["edge", "status"]).await.expect(0).stdout;
    assert!(status.contains("and 400 ms is the limit"), "{status}");
    let events = panel.list("/api/v1/events/history").await;
    let told = events.iter().filter(|event| event["kind"] == "canary_failed");
    assert!(told.clone().any(|event| event["text"].to_string().contains("400 ms")), "{events:?}");
    // Setting it again is another try.
    let canary = json!({"app": "two", "percent": 100, "limits": {"min_requests": 3, "max_p95_millis": 400}});
    panel.put("/api/v1/domains/one.test/canary", canary).await.expect(200);
    assert_eq!(panel.visit("one.test", "/").await.expect(200).text(), "hello two");
    panel.cli(&["domain", "canary", "one.test", "--off"]).await.expect(0);

    // TCP: the app's own HTTP, on a port of its own.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let app_port = panel.get("/api/v1/apps/one").await.expect(200).json()["release"]["port"]
        .as_u64()
        .unwrap_or(8000);
    let wish = json!({"listen": format!("tcp/{free}"), "app": "one", "target_port": app_port});
    let opened = panel.post("/api/v1/ports", wish.clone()).await.expect(201).json();
    assert_eq!(opened["app"]["name"], "one", "{opened}");
    panel.post("/api/v1/ports", wish).await.expect(409);
    eventually("the port leads to the app", Duration::from_secs(10), || async {
        let mut stream = TcpStream::connect(("127.0.0.1", free)).await.ok()?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.contains("hello one").then_some(())
    })
    .await;
    let https = json!({"listen": format!("tcp/{}", panel.https_port), "app": "one"});
    panel.post("/api/v1/ports", https).await.expect(409);
    let list = panel.cli(&["port", "list"]).await.expect(0).stdout;
    assert!(list.contains(&format!("tcp/{free}")), "{list}");
    panel.delete(&format!("/api/v1/ports/tcp-{free}")).await.expect(204);
    eventually("the port is closed", Duration::from_secs(10), || async {
        TcpStream::connect(("127.0.0.1", free)).await.is_err().then_some(())
    })
    .await;
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
async fn header_matches_and_rewrites() {
    let (panel, address) = site().await;
    let rule = json!({"name": "beta", "matches": {"headers": [{"name": "x-beta", "test": {"kind": "equals", "value": "yes"}}]},
        "action": {"kind": "origin", "origin": {"kind": "host", "host": "127.0.0.1", "port": address.port()},
            "path": {"rewrite": {"pattern": "^/shop/([0-9]+)$", "to": "/item/$1"}}}});
    panel.post("/api/v1/domains/a.test/rules", rule).await.expect(201);
    let nobody = panel.anonymous();
    let asks = async |value: &str| {
        let request = nobody
            .request(Method::GET, &panel.site("a.test", "/shop/7?x=1"))
            .header("x-beta", value);
        nobody.send(request).await.expect(200).text()
    };
    assert!(asks("yes").await.starts_with("origin /item/7?x=1"));
    assert!(asks("no").await.starts_with("origin /shop/7?x=1"));
    // The same in the shell, by every test that a header may have to pass.
    let origin = address.to_string();
    let add = ["domain", "rule", "add", "a.test", "--origin", &origin, "--rewrite", "^/(.*)$"];
    for (name, header, to) in [
        ("has", "x-kind*=bot", "/bots/$1"),
        ("is", "x-kind", "/kinds/$1"),
        ("none", "!x-plain", "/others/$1"),
    ] {
        panel.cli(&[&add[..], &[to, name, "--header", header]].concat()).await.expect(0);
    }
    let order = ["domain", "rule", "order", "a.test", "has", "is", "none", "beta", "all"];
    panel.cli(&order).await.expect(0);
    let with = async |name: &str, value: &str| {
        let request = nobody.request(Method::GET, &panel.site("a.test", "/p")).header(name, value);
        nobody.send(request).await.expect(200).text()
    };
    for ((name, value), path) in [
        (("x-kind", "a robot"), "/bots/p"),
        (("x-kind", "goodbot/1"), "/bots/p"),
        (("x-kind", "human"), "/kinds/p"),
        (("x-plain", ""), "/p"),
        (("x-other", "1"), "/others/p"),
    ] {
        let said = with(name, value).await;
        assert!(said.starts_with(&format!("origin {path} ")), "{name}: {value}: {said}");
    }
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

/// Several servers behind one path: each as often as its weight says, changed while it serves.
#[tokio::test]
async fn several_answer_by_weight() {
    let (panel, one) = site().await;
    let two = origin("other").await;
    let server = |weight: u32, address: SocketAddr| json!({"weight": weight, "origin": {"kind": "host", "host": "127.0.0.1", "port": address.port()}});
    let rule = |parts: Value| json!({"name": "both", "matches": {"path": {"kind": "prefix", "path": "/both"}}, "action": {"kind": "split", "parts": parts}});
    let made = panel
        .post("/api/v1/domains/a.test/rules", rule(json!([server(3, one), server(1, two)])))
        .await
        .expect(201)
        .json();
    assert_eq!(made["action"]["parts"][1]["weight"], 1, "{made}");
    let share = async |count: usize| {
        let mut second = 0;
        for _ in 0..count {
            second += usize::from(panel.visit("a.test", "/both").await.expect(200).text().starts_with("other"));
        }
        second
    };
    assert_eq!(share(20).await, 5);
    let rules = panel.cli(&["domain", "rule", "list", "a.test"]).await.expect(0).stdout;
    assert!(rules.contains(&format!("1 to server 127.0.0.1:{}", two.port())), "{rules}");
    let parts = format!("action.parts={}", json!([server(0, one), server(1, two)]));
    panel.cli(&["domain", "rule", "set", "a.test", "both", &parts]).await.expect(0);
    assert_eq!(share(4).await, 4);
    let told = panel.cli(&["domain", "explain", "https://a.test/both"]).await.expect(0).stdout;
    assert!(told.contains("by weight"), "{told}");

    // An app that does not run is passed over.
    panel
        .cli(&[
            "domain", "rule", "add", "a.test", "own", "--exact", "/own", "--split", ".=9", "--split", "a=1",
        ])
        .await
        .expect(0);
    panel.visit("a.test", "/own").await.expect(503);
    for (parts, field) in [
        (json!([server(1, one)]), "parts"),
        (json!([server(0, one), server(0, two)]), "parts"),
        (json!([server(1, one), server(2000, two)]), "parts[1].weight"),
        (
            json!([{"weight": 1, "service": {"service": "", "port": 1}}, server(1, two)]),
            "parts[0].service",
        ),
    ] {
        let refused = panel.put("/api/v1/domains/a.test/rules/both", rule(parts)).await.expect(422).json();
        assert_eq!(refused["field"], field, "{refused}");
    }
    let unknown = json!([{"weight": 1, "app": "nosuch"}, server(1, two)]);
    panel.put("/api/v1/domains/a.test/rules/both", rule(unknown)).await.expect(404);
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
