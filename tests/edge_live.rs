//! The edge in front of real apps: redirects, headers, WebSockets, pages for what is not there.

use crate::deploy::{app_of, text};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, Reply, Socket, TestPanel, eventually, free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

#[tokio::test]
async fn pages_for_what_is_not_there() {
    let panel = TestPanel::start().await;
    panel
        .create_app(json!({"name": "new", "source": {"kind": "image", "reference": "nginx"}, "domains": ["new.test"], "deploy": false}))
        .await;
    let browser = async |url: String| {
        let api = panel.anonymous();
        let request = api.request(Method::GET, &url).header("accept", "text/html");
        api.send(request).await
    };
    let unknown = browser(panel.site("nosuch.test", "/")).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert!(unknown.text().contains("nosuch.test"), "{}", unknown.text());
    let page = unknown.text();
    assert!(
        page.contains("<html") && !page.contains("http://") && !page.contains("cdn"),
        "{page}"
    );
    browser(panel.plain_site("nosuch.test", "/")).await.expect(404);
    // A host that tries to write into the page.
    let api = panel.anonymous();
    let request = api
        .request(Method::GET, &panel.plain_site("x.test", "/"))
        .header("host", "<script>alert(1)</script>")
        .header("accept", "text/html");
    if let Ok(reply) = api.try_send(request).await {
        assert!(
            reply.status.is_client_error() && !reply.text().contains("<script>alert"),
            "{}",
            reply.text()
        );
    }
    eventually("a new app has a page", Duration::from_secs(10), || async {
        let reply = browser(panel.site("new.test", "/")).await;
        (reply.status == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn docker_redirects_headers_and_bodies() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    let nobody = panel.anonymous();
    let plain = nobody.get(&panel.plain_site("hello.test", "/a?b=c%20d")).await;
    assert!(matches!(plain.status.as_u16(), 301 | 302 | 307 | 308), "{}", plain.status);
    let location = plain.header("location").unwrap();
    assert!(
        location.starts_with("https://hello.test") && location.ends_with("/a?b=c%20d"),
        "{location}"
    );

    // What the app is told, and what a client cannot tell it.
    let request = nobody
        .request(Method::GET, &panel.site("hello.test", "/request"))
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "http")
        .header("x-real-ip", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6");
    let seen = nobody.send(request).await.expect(200).json();
    let headers = &seen["headers"];
    assert_eq!(headers["x-forwarded-proto"], "https", "{headers}");
    assert!(headers["host"].as_str().unwrap().starts_with("hello.test"), "{headers}");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1", "{headers}");
    assert!(!headers.to_string().contains("6.6.6.6"), "{headers}");

    // Bodies of any size arrive whole.
    for size in [0, 1, 65_536, 20 << 20] {
        let request = nobody.request(Method::POST, &panel.site("hello.test", "/")).body(vec![b'x'; size]);
        assert_eq!(nobody.send(request).await.expect(200).text(), size.to_string());
    }
    // An own certificate at once, under the panel's own authority.
    let authority = panel.get("/api/v1/certificates/authority").await.expect(200).text();
    let trusting = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes()).unwrap()])
        .resolve("hello.test", ([127, 0, 0, 1], 0).into())
        .build()
        .unwrap();
    let answer = trusting
        .get(panel.site("hello.test", "/"))
        .send()
        .await
        .expect("the certificate is for this name");
    assert_eq!(answer.text().await.unwrap(), "hello one");

    // A second domain, without a redirect, then gone.
    panel
        .post(
            "/api/v1/apps/hello/domains",
            json!({"host": "www.hello.test", "force_https": false}),
        )
        .await
        .expect(201);
    eventually("the second domain serves", Duration::from_secs(10), || async {
        (nobody.get(&panel.plain_site("www.hello.test", "/")).await.text() == "hello one").then_some(())
    })
    .await;
    panel.delete("/api/v1/domains/www.hello.test").await.expect(204);
    eventually("the second domain is gone", Duration::from_secs(10), || async {
        (nobody.get(&panel.plain_site("www.hello.test", "/")).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn docker_websockets_live_until_the_old_release_goes() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["grace_seconds"] = json!(15);
    panel.live_app(body).await;
    let url = format!("wss://hello.test:{}/ws", panel.https_port);
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    socket.send_text("one").await;
    assert_eq!(socket.next_text().await.as_deref(), Some("one"));
    let long = "x".repeat(9_000);
    socket.send_text(&long).await;
    assert_eq!(socket.next_text().await.as_deref(), Some(long.as_str()));
    // A deployment while it is open: the old container serves it on until it drains.
    repository.edit("app.py", "\"one\"", "\"two\"");
    let id = panel.deploy("hello").await;
    eventually("it is live, and nobody was cut off on the way", Duration::from_secs(60), || async {
        let phase = text(&panel.deployment(&id).await, "phase");
        (phase == "live").then_some(())
    })
    .await;
    socket.send_text("in the middle").await;
    assert_eq!(socket.next_text().await.as_deref(), Some("in the middle"));
    // Adding a domain swaps the whole table, and must not touch it either.
    panel
        .post("/api/v1/apps/hello/domains", json!({"host": "more.test"}))
        .await
        .expect(201);
    socket.send_text("after a swap").await;
    assert_eq!(socket.next_text().await.as_deref(), Some("after a swap"));
    panel.live(&id).await;
    let mut second = Socket::open(&url, &[]).await.unwrap();
    second.send_text("two").await;
    assert_eq!(second.next_text().await.as_deref(), Some("two"));
    println!("{}", text(&panel.deployment(&id).await, "phase"));
}

/// The edge keeps serving when the panel's API does nothing at all.
#[tokio::test]
async fn docker_an_app_that_dies_and_one_that_is_slow() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    let slow = panel.anonymous();
    let url = panel.site("hello.test", "/slow?seconds=3");
    let slow = tokio::spawn(async move { slow.get(&url).await });
    let name = crate::deploy::containers(&app).pop().unwrap();
    assert_eq!(slow.await.unwrap().expect(200).text(), "hello one");
    testkit::docker(&testkit::docker_host(), &["pause", &name]).unwrap();
    panel.get("/api/v1/apps/hello").await.expect(200);
    testkit::docker(&testkit::docker_host(), &["unpause", &name]).unwrap();
    testkit::docker(&testkit::docker_host(), &["kill", &name]).unwrap();
    eventually("it serves again by itself", Duration::from_secs(60), || async {
        (panel.visit("hello.test", "/").await.status == 200).then_some(())
    })
    .await;
}

/// testssl.sh (Debian's, 3.0) against the panel's own port: nothing above low.
#[tokio::test]
#[ignore = "long, it takes minutes: tests/run.sh --long"]
async fn testssl_finds_nothing_above_low() {
    let panel = TestPanel::start().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = panel.cli(&["cert", "authority"]).await.expect(0).stdout;
    std::fs::write(folder.path().join("ca.pem"), authority).unwrap();
    let port = panel.url().rsplit(':').next().unwrap().to_owned();
    let output = std::process::Command::new("testssl")
        .current_dir(&folder)
        .args([
            "--warnings=off",
            "--quiet",
            "--color=0",
            "--add-ca=ca.pem",
            "--jsonfile=found.json",
            "--ip=127.0.0.1",
        ])
        .arg(format!("https://localhost:{port}/"))
        .output()
        .expect("tests/run.sh installs testssl.sh");
    let found = std::fs::read_to_string(folder.path().join("found.json")).unwrap_or_default();
    let found: Vec<Value> =
        serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)));
    assert!(found.len() > 100, "it looked at little: {}", found.len());
    let above_low: Vec<&Value> = found
        .iter()
        .filter(|one| matches!(one["severity"].as_str(), Some("MEDIUM" | "HIGH" | "CRITICAL")))
        // Nobody asks the panel's own authority whether it revoked something: it replaces its certificates.
        .filter(|one| one["id"] != "cert_revocation")
        .collect();
    assert!(above_low.is_empty(), "{above_low:#?}");
}

/// A request that takes a while, once it is under way.
async fn begun(panel: &TestPanel, host: &str, path: &str) -> JoinHandle<Reply> {
    let (visitor, url) = (panel.anonymous(), panel.site(host, path));
    let request = tokio::spawn(async move { visitor.get(&url).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!request.is_finished());
    request
}

/// Nothing but the wait before it keeps the signal from ending what is under way: there is no grace period.
#[tokio::test]
async fn docker_what_is_under_way_ends_before_a_restart_and_before_what_stops_first() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["grace_seconds"] = json!(0);
    body["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    panel.live_app(body).await;
    let port = free_port();
    let wish = json!({"listen": format!("tcp/{port}"), "app": "hello", "target_port": 8000});
    panel.post("/api/v1/ports", wish).await.expect(201);
    let ask = async |path: &str| {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
        let asked = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        connection.write_all(asked.as_bytes()).await?;
        std::io::Result::Ok(connection)
    };
    eventually("the port leads to the app", Duration::from_secs(10), || async {
        let mut answer = String::new();
        ask("/").await.ok()?.read_to_string(&mut answer).await.ok()?;
        answer.contains("hello one").then_some(())
    })
    .await;
    let mut connection = ask("/slow?seconds=6").await.unwrap();
    let slow = begun(&panel, "hello.test", "/slow?seconds=4").await;
    panel.post("/api/v1/apps/hello/restart", json!({})).await.expect(202);
    assert_eq!(slow.await.unwrap().expect(200).text(), "hello one");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("hello one"), "{answer}");
    eventually("it serves again", Duration::from_secs(60), || async {
        (panel.visit("hello.test", "/").await.text() == "hello one").then_some(())
    })
    .await;

    let slow = begun(&panel, "hello.test", "/slow?seconds=20").await;
    let id = panel.deploy("hello").await;
    assert_eq!(slow.await.unwrap().expect(200).text(), "hello one");
    panel.live(&id).await;
    let log = panel.build_log(&id).await;
    assert!(log.contains("stopping the old container first"), "{log}");
}

#[tokio::test]
async fn docker_what_another_service_has_begun_ends() {
    let panel = TestPanel::docker().await;
    let file = |words: &str| {
        let file = r#"services:
  web: {image: 'nginx:1.22', restart: always, ports: ['8080:80'], stop_grace_period: 1s}
  api:
    image: tests/http:latest
    restart: always
    expose: [8080]
    stop_grace_period: 1s
    environment: {MESSAGE: WORDS}
    command: ["sh", "-c", "printf '%s\\n' '#!/bin/sh' 'sleep 12' 'echo Content-Type: text/plain' echo 'echo slowly' >/www/cgi-bin/slow; chmod 755 /www/cgi-bin/slow; exec serve"]
"#;
        file.replace("WORDS", words)
    };
    let source = |words: &str| json!({"kind": "compose", "compose": file(words)});
    panel
        .live_app(json!({"name": "pair", "source": source("one"), "domains": ["pair.test"]}))
        .await;
    let place = json!({"host": "api.test", "service": "api", "service_port": 8080});
    panel.post("/api/v1/apps/pair/domains", place).await.expect(201);
    let says = async |words: &str| {
        eventually("the service answers", Duration::from_secs(30), || async {
            (panel.visit("api.test", "/").await.text().trim() == words).then_some(())
        })
        .await;
    };
    says("one").await;
    let slow = begun(&panel, "api.test", "/cgi-bin/slow").await;
    panel.patch("/api/v1/apps/pair", json!({"source": source("two")})).await.expect(200);
    let id = panel.deploy("pair").await;
    panel.live(&id).await;
    says("two").await;
    assert!(!slow.is_finished(), "the new one serves while the old one ends its work");
    assert_eq!(slow.await.unwrap().expect(200).text().trim(), "slowly");
}
