//! New releases that are tried on a share of the requests before they go live.

use crate::deploy::{app_of, containers, text};
use serde_json::{Value, json};
use std::{cell::Cell, time::Duration};
use testkit::{GitFixture, TestPanel, eventually};

/// Long enough for a build on a busy machine of two cores.
const SOON: Duration = Duration::from_secs(90);

fn steps(deployment: &Value) -> Vec<String> {
    let steps = deployment["steps"].as_array().unwrap();
    steps.iter().map(|step| text(step, "phase")).collect()
}

/// What the next requests to a host are answered with.
async fn answers(panel: &TestPanel, host: &str, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..count {
        let reply = panel.visit(host, "/").await;
        found.push(format!("{} {}", reply.status.as_u16(), reply.text()));
    }
    found
}

/// All requests to both hosts go to one release, and its containers are the only ones.
async fn serves_alone(panel: &TestPanel, app: &Value, wanted: &str) {
    eventually("one container is left", SOON, || async {
        (containers(app).len() == 1).then_some(())
    })
    .await;
    for host in ["hello.test", "www.hello.test"] {
        assert_eq!(answers(panel, host, 6).await, vec![format!("200 hello {wanted}"); 6]);
    }
}

async fn two_hosts(panel: &TestPanel, repository: &GitFixture) -> Value {
    let mut body = app_of("hello", repository);
    body["domains"] = json!(["hello.test", "www.hello.test"]);
    panel.live_app(body).await
}

/// Where a new release never runs beside what is live, that is said when it is wished.
#[tokio::test]
async fn a_canary_that_could_never_be_is_refused() {
    let panel = TestPanel::start().await;
    let body = |name: &str, read_only: bool| {
        json!({"name": name, "source": {"kind": "image", "reference": "redis:7"}, "deploy": false, "domains": [],
            "mounts": [{"volume": name, "path": "/data", "read_only": read_only}]})
    };
    panel.create_app(body("db", false)).await;
    panel.create_app(body("reader", true)).await;
    let canary = json!({"canary": {"percent": 10, "seconds": 600}});
    let refused = panel.patch("/api/v1/apps/db", canary.clone()).await.expect(422).json();
    assert_eq!(refused["field"], "canary", "{refused}");
    assert!(text(&refused, "detail").contains("the volume at `/data`"), "{refused}");
    panel.patch("/api/v1/apps/reader", canary).await.expect(200);
    let said = panel.cli(&["app", "canary", "db", "--percent", "10"]).await.expect(1);
    assert!(said.stderr.contains("would never be tried") && said.stdout.is_empty(), "{said:?}");
    // To take it away is always right.
    panel.cli(&["app", "canary", "db", "--off"]).await.expect(0);
}

#[tokio::test]
async fn docker_a_new_release_is_tried_before_it_goes_live() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = two_hosts(&panel, &repository).await;
    assert_eq!(app["canary"], Value::Null);
    let set = |more: &'static [&'static str]| {
        let panel = &panel;
        async move {
            let words = ["app", "canary", "hello", "--percent", "50", "--min-requests", "4"];
            panel.cli(&[&words[..], more].concat()).await.expect(0).stdout
        }
    };
    let said = set(&["--for", "15s"]).await;
    assert!(said.contains("gets 50 of 100 requests for 15 s before it goes live"), "{said}");
    let shown = panel.cli(&["app", "show", "hello"]).await.expect(0).stdout;
    assert!(shown.contains("50 of 100 requests for 15 s"), "{shown}");

    // A good one: half of the requests, and all of them after its time.
    repository.edit("app.py", "\"one\"", "\"two\"");
    let id = panel.deploy("hello").await;
    panel.in_phase(&id, "trying", SOON).await;
    eventually("it has its share", Duration::from_secs(8), || async {
        (panel.visit("hello.test", "/").await.text() == "hello two").then_some(())
    })
    .await;
    let found = answers(&panel, "www.hello.test", 10).await;
    let new = found.iter().filter(|one| *one == "200 hello two").count();
    let old = found.iter().filter(|one| *one == "200 hello one").count();
    assert_eq!((old, new), (5, 5), "{found:?}");
    let done = panel.live(&id).await;
    assert!(steps(&done).ends_with(&["checking", "trying", "live"].map(str::to_owned)), "{done}");
    serves_alone(&panel, &app, "two").await;
    let log = panel.build_log(&id).await;
    assert!(
        log.contains("50 of 100 requests for 15 s to hello.test, www.hello.test go to it"),
        "{log}"
    );
    assert!(log.contains("the canary did well"), "{log}");

    // A bad one, whose health check sees nothing of it: all requests go back at once, and the old one stays.
    set(&["--for", "5m"]).await;
    repository.edit("app.py", "self.send_response(200)", "self.send_response(500)");
    let id = panel.deploy("hello").await;
    panel.in_phase(&id, "trying", SOON).await;
    let broken = Cell::new(0);
    let visits = async {
        while broken.get() < 100 {
            for host in ["hello.test", "www.hello.test"] {
                let reply = panel.visit(host, "/").await;
                broken.set(broken.get() + u32::from(reply.status == 500));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let error = tokio::select! {
        error = panel.fails(&id) => error,
        () = visits => panic!("the requests do not go back"),
    };
    assert_eq!(error, "the canary failed: 100 of 100 requests failed, and 5 may");
    assert!((4..=6).contains(&broken.get()), "{} requests failed", broken.get());
    serves_alone(&panel, &app, "two").await;
    let app = panel.get("/api/v1/apps/hello").await.expect(200).json();
    assert_eq!((&app["state"], &app["release"]["number"]), (&json!("running"), &json!(2)), "{app}");

    // The way back is not tried.
    let back = panel.post("/api/v1/apps/hello/rollback", json!({})).await.expect(202).json();
    let done = panel.live(&text(&back, "id")).await;
    assert!(!steps(&done).contains(&"trying".to_owned()), "{done}");
    serves_alone(&panel, &app, "one").await;
}

#[tokio::test]
async fn docker_what_ends_a_release_that_is_tried() {
    let mut panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = two_hosts(&panel, &repository).await;
    let canary = json!({"canary": {"percent": 20, "seconds": 600}});
    let app_path = "/api/v1/apps/hello";
    let set = panel.patch(app_path, canary).await.expect(200).json();
    assert_eq!(set["canary"]["limits"]["min_requests"], 50, "{set}");
    assert_eq!(
        set["pending_changes"], false,
        "it is about deployments, not about what is live: {set}"
    );
    for (field, value) in [
        ("percent", json!({"percent": 51, "seconds": 60})),
        ("seconds", json!({"percent": 5, "seconds": 0})),
    ] {
        let refused = panel.patch(app_path, json!({ "canary": value })).await.expect(422);
        assert!(refused.text().contains(field), "{}", refused.text());
    }
    repository.edit("app.py", "\"one\"", "\"two\"");

    // Somebody cancels it.
    let id = panel.deploy("hello").await;
    panel.in_phase(&id, "trying", SOON).await;
    panel.post(&format!("/api/v1/deployments/{id}/cancel"), json!({})).await.expect(202);
    let over = panel.over(&id, SOON).await;
    assert_eq!(over["phase"], "cancelled", "{over}");
    serves_alone(&panel, &app, "one").await;

    // The panel is restarted: it is checked and tried anew.
    let id = panel.deploy("hello").await;
    panel.in_phase(&id, "trying", SOON).await;
    panel.stop().await;
    panel.start_again().await;
    eventually("it is tried anew", SOON, || async {
        let now = panel.deployment(&id).await;
        let again = ["checking", "trying", "checking", "trying"].map(str::to_owned);
        steps(&now).ends_with(&again).then_some(())
    })
    .await;
    eventually("it has its share again", SOON, || async {
        (panel.visit("hello.test", "/").await.text() == "hello two").then_some(())
    })
    .await;

    // A newer deployment comes, of an app that tries nothing any more.
    panel.cli(&["app", "canary", "hello", "--off"]).await.expect(0);
    repository.edit("app.py", "\"two\"", "\"three\"");
    let newer = panel.deploy("hello").await;
    let over = panel.over(&id, SOON).await;
    assert_eq!(over["phase"], "superseded", "{over}");
    assert!(text(&over, "error").contains("came before its canary was over"), "{over}");
    panel.live(&newer).await;
    serves_alone(&panel, &app, "three").await;
}
