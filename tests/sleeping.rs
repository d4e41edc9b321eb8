//! Apps that sleep while nobody uses them, and are woken by the first request.

use crate::deploy::{app_of, containers, text};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, Http3, Socket, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(60);

async fn state_is(panel: &TestPanel, app: &str, wanted: &str) -> Value {
    let name = format!("{app} is {wanted}");
    eventually_ok(&name, SOON, || async {
        let shown = panel.get(&format!("/api/v1/apps/{app}")).await.expect(200).json();
        match shown["state"] == wanted {
            true => Ok(shown),
            false => Err(format!("{}: {}", shown["state"], shown["state_detail"])),
        }
    })
    .await
}

/// Its containers are there and do not run.
async fn stopped(app: &Value, number: usize) {
    let filter = format!("label=serverkit.app={}", text(app, "id"));
    eventually_ok("its containers are stopped and kept", SOON, || async {
        let all = docker(&docker_host(), &["ps", "--all", "--quiet", "--filter", &filter]).unwrap();
        match (containers(app).len(), all.lines().count()) {
            (0, kept) if kept == number => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// It may sleep, and does.
async fn put_to_sleep(panel: &TestPanel, app: &Value) {
    let name = text(app, "name");
    panel.cli(&["app", "sleep", &name, "--after", "2h"]).await.expect(0);
    // What a test asked for a moment ago may still be under way.
    eventually_ok("it goes to sleep", SOON, || async {
        let done = panel.cli(&["app", "sleep", &name]).await;
        match done.code {
            0 => Ok(()),
            _ => Err(done.stderr),
        }
    })
    .await;
    state_is(panel, &name, "asleep").await;
}

/// How often something of this kind happened.
async fn happened(panel: &TestPanel, kind: &str) -> usize {
    let history = panel.list("/api/v1/events/history").await;
    history.iter().filter(|event| event["kind"] == kind).count()
}

#[tokio::test]
async fn docker_an_app_sleeps_and_the_first_requests_wake_it() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    put_to_sleep(&panel, &app).await;
    stopped(&app, 1).await;
    let shown = panel.cli(&["app", "show", "hello"]).await.expect(0).stdout;
    assert!(
        shown.contains("the next request wakes it") && shown.contains("after 120 min"),
        "{shown}"
    );
    // Who asks for something else wakes nobody.
    panel.visit("unknown.test", "/").await.expect(404);
    panel.anonymous().get(&panel.plain_site("hello.test", "/")).await.expect(308);

    let mut asked = tokio::task::JoinSet::new();
    for n in 0..20_usize {
        let (visitor, url) = (panel.anonymous(), panel.site("hello.test", "/"));
        asked.spawn(async move {
            if n % 2 == 0 {
                return assert_eq!(visitor.get(&url).await.expect(200).text(), "hello one");
            }
            let request = visitor.request(Method::POST, &url).body(vec![b'x'; n * 50_000]);
            assert_eq!(visitor.send(request).await.expect(200).text(), (n * 50_000).to_string());
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    let awake = state_is(&panel, "hello", "running").await;
    assert!(awake["asleep"].is_null(), "{awake}");
    assert_eq!((happened(&panel, "app_asleep").await, happened(&panel, "app_awake").await), (1, 1));
    assert_eq!(containers(&app).len(), 1);

    // One in use does not sleep; a WebSocket wakes it too.
    put_to_sleep(&panel, &app).await;
    stopped(&app, 1).await;
    let url = format!("wss://hello.test:{}/ws", panel.https_port);
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    socket.send_text("one").await;
    assert_eq!(socket.next_text().await.as_deref(), Some("one"));
    let refused = panel.post("/api/v1/apps/hello/sleep", json!({})).await.expect(409);
    assert!(
        refused.detail().contains("1 requests or WebSockets are under way"),
        "{}",
        refused.detail()
    );
    drop(socket);

    // And HTTP/3.
    panel.patch("/api/v1/edge/options", json!({"http3": true})).await.expect(200);
    put_to_sleep(&panel, &app).await;
    let mut quick = eventually_ok("HTTP/3 answers", SOON, || Http3::connect(panel.https_port, "hello.test")).await;
    assert_eq!(quick.get("/").await.unwrap(), (200, "hello one".into()));

    // A deployment, and somebody who starts it.
    put_to_sleep(&panel, &app).await;
    repository.edit("app.py", "\"one\"", "\"two\"");
    let second = panel.deploy("hello").await;
    panel.live(&second).await;
    state_is(&panel, "hello", "running").await;
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    put_to_sleep(&panel, &app).await;
    panel.cli(&["app", "start", "hello"]).await.expect(0);
    state_is(&panel, "hello", "running").await;
}

#[tokio::test]
async fn docker_an_app_that_nobody_uses_falls_asleep_by_itself() {
    let panel = TestPanel::docker().await;
    let site = |name: &str| json!({"name": name, "source": {"kind": "image", "reference": "nginx:1.22"}, "port": 80, "domains": [format!("{name}.test")]});
    panel.live_app(site("used")).await;
    let app = panel.live_app(site("site")).await;
    for name in ["used", "site"] {
        let said = panel.cli(&["app", "sleep", name, "--after", "1m"]).await.expect(0).stdout;
        assert!(said.contains("sleeps after a minute without a request"), "{said}");
    }
    let limit = Duration::from_secs(150);
    let shown = eventually_ok("it falls asleep", limit, || async {
        panel.visit("used.test", "/").await.expect(200);
        let shown = panel.get("/api/v1/apps/site").await.expect(200).json();
        match shown["state"] == "asleep" {
            true => Ok(shown),
            false => Err(shown["state"].to_string()),
        }
    })
    .await;
    assert_eq!(shown["asleep"]["why"], "nobody used it for a minute");
    assert_eq!(panel.get("/api/v1/apps/used").await.expect(200).json()["state"], "running");
    stopped(&app, 1).await;
    panel.visit("site.test", "/").await.expect(200);
    state_is(&panel, "site", "running").await;
}

#[tokio::test]
async fn docker_what_does_not_start_is_said_and_tried_again() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    // Its container starts once, and then no more unless somebody says so inside.
    let script = "[ \"$(cat /tmp/ran)\" = yes ] && exit 3; echo yes > /tmp/ran; exec python3 app.py";
    body["command"] = json!(["sh", "-c", script]);
    let app = panel.live_app(body).await;
    let name = containers(&app).pop().unwrap();
    put_to_sleep(&panel, &app).await;
    stopped(&app, 1).await;
    let page = panel.visit("hello.test", "/").await.expect(503);
    assert!(page.header("retry-after").is_some(), "{}", page.text());
    assert!(page.text().contains("could not be woken"), "{}", page.text());
    let shown = state_is(&panel, "hello", "asleep").await;
    assert!(!text(&shown["asleep"], "problem").is_empty(), "{shown}");
    eventually_ok("it is told", SOON, || async {
        let told = happened(&panel, "wake_failed").await;
        if told >= 1 { Ok(()) } else { Err(told.to_string()) }
    })
    .await;
    stopped(&app, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ran");
    std::fs::write(&file, "no").unwrap();
    docker(&docker_host(), &["cp", file.to_str().unwrap(), &format!("{name}:/tmp/ran")]).unwrap();
    eventually_ok("a later request wakes it", SOON, || async {
        let reply = panel.visit("hello.test", "/").await;
        match reply.status.as_u16() {
            200 => Ok(()),
            _ => Err(reply.text()),
        }
    })
    .await;
    state_is(&panel, "hello", "running").await;
}

#[tokio::test]
async fn docker_it_sleeps_over_a_crash_of_the_panel_and_not_out_of_its_hours() {
    let mut panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    put_to_sleep(&panel, &app).await;
    panel.kill();
    panel.start_again().await;
    stopped(&app, 1).await;
    state_is(&panel, "hello", "asleep").await;
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    // Out of its hours it is stopped, and no request wakes it.
    put_to_sleep(&panel, &app).await;
    panel
        .cli(&["app", "hours", "hello", "--start", "0 0 1 1 *", "--stop", "* * * * *"])
        .await
        .expect(0);
    panel.stop().await;
    panel.start_again_before_a_minute().await;
    eventually_ok("it is out of its hours", Duration::from_secs(100), || async {
        let shown = panel.get("/api/v1/apps/hello").await.expect(200).json();
        match shown["state"] == "stopped" {
            true => Ok(()),
            false => Err(shown["state"].to_string()),
        }
    })
    .await;
    let page = panel.visit("hello.test", "/").await.expect(503);
    assert!(page.text().contains("it is stopped"), "{}", page.text());
    assert!(containers(&app).is_empty());
}

#[tokio::test]
async fn docker_a_compose_app_sleeps_and_wakes_as_a_whole() {
    let panel = TestPanel::docker().await;
    let compose = "services:\n  web:\n    image: nginx:1.22\n    restart: always\n    ports: ['80']\n    depends_on: [cache]\n  cache:\n    image: redis:7\n    restart: always\n";
    let body = json!({"name": "shop", "source": {"kind": "compose", "compose": compose, "main_service": "web"}, "domains": ["shop.test"]});
    let app = panel.live_app(body).await;
    assert_eq!(containers(&app).len(), 2);
    put_to_sleep(&panel, &app).await;
    stopped(&app, 2).await;
    panel.visit("shop.test", "/").await.expect(200);
    state_is(&panel, "shop", "running").await;
    assert_eq!(containers(&app).len(), 2);
    // A job may need the other services.
    put_to_sleep(&panel, &app).await;
    stopped(&app, 2).await;
    let ran = panel
        .cli(&["run", "shop", "--service", "cache", "--", "redis-cli", "-h", "cache", "ping"])
        .await
        .expect(0);
    assert!(ran.stdout.contains("PONG"), "{}", ran.stdout);
    state_is(&panel, "shop", "running").await;
}

#[tokio::test]
async fn who_may_and_what_is_refused() {
    let panel = TestPanel::start().await;
    let body = json!({"name": "site", "source": {"kind": "image", "reference": "nginx:1"}, "domains": ["site.test"], "deploy": false});
    panel.create_app(body).await;
    for minutes in [json!(0), json!(10_081), json!(-1), json!("soon")] {
        let reply = panel.patch("/api/v1/apps/site", json!({"sleep_after_minutes": minutes})).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{minutes}: {}", reply.text());
    }
    let refused = panel.post("/api/v1/apps/site/sleep", json!({})).await.expect(409);
    assert!(
        refused.detail().contains("say after how many minutes it may"),
        "{}",
        refused.detail()
    );
    let set = panel
        .patch("/api/v1/apps/site", json!({"sleep_after_minutes": 10_080}))
        .await
        .expect(200)
        .json();
    assert_eq!((&set["sleep_after_minutes"], &set["kept_awake"]), (&json!(10_080), &Value::Null));
    let viewer = panel.member("viewer", "admin").await;
    viewer
        .patch("/api/v1/apps/site", json!({"sleep_after_minutes": 5}))
        .await
        .expect(403);
    viewer.post("/api/v1/apps/site/sleep", json!({})).await.expect(403);
    // It does not run, so there is nothing to put to sleep.
    panel.post("/api/v1/apps/site/sleep", json!({})).await.expect(409);
    panel.delete("/api/v1/domains/site.test").await.expect(204);
    let shown = panel.get("/api/v1/apps/site").await.expect(200).json();
    assert!(text(&shown, "kept_awake").contains("no domain leads to it"), "{shown}");
    let said = panel.cli(&["app", "sleep", "site", "--never"]).await.expect(0).stdout;
    assert!(said.contains("site never sleeps"), "{said}");
    let shown = panel.get("/api/v1/apps/site").await.expect(200).json();
    assert!(shown["sleep_after_minutes"].is_null() && shown["kept_awake"].is_null(), "{shown}");
}

#[tokio::test]
async fn docker_an_app_has_its_last_words_before_it_sleeps() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    body["before_stop"] = "echo good night >> /data/words".into();
    let app = panel.live_app(body).await;
    put_to_sleep(&panel, &app).await;
    stopped(&app, 1).await;
    let words = panel.visit("hello.test", "/read?file=/data/words").await.expect(200).text();
    assert_eq!(words, "good night\n");
}
