//! Which requests of a domain go elsewhere, and where: rules and why they answer, canaries, weights, ports of other apps.

use crate::{
    deploy::app_of,
    routing::{origin, site},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use testkit::{GitFixture, TestPanel, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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
