//! Several containers of one app: requests are shared out, one may fail, and scaling, deploying and restarting drop nothing.

use crate::deploy::{app_of, containers, text};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

/// Which containers answer 40 requests.
async fn who_answers(panel: &TestPanel) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let answer = panel.visit("hello.test", "/environment").await.expect(200).json();
        seen.insert(text(&answer, "HOSTNAME"));
    }
    seen
}

async fn answered_by(panel: &TestPanel, number: usize) {
    eventually_ok(&format!("{number} answer"), SOON, || async {
        let app = panel.get("/api/v1/apps/hello").await.expect(200).json();
        match (who_answers(panel).await.len(), &app["running"], &app["state"]) {
            (found, running, state) if found == number && *running == number && *state == "running" => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn docker_an_app_in_several_containers() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    let deployments = async || panel.list("/api/v1/apps/hello/deployments").await.len();
    panel.cli(&["app", "scale", "hello", "3"]).await.expect(0);
    answered_by(&panel, 3).await;
    assert_eq!(deployments().await, 1, "no deployment is needed");
    assert_eq!(containers(&app).len(), 3);
    let shown = panel.cli(&["app", "show", "hello"]).await.expect(0).stdout;
    assert!(shown.contains("3 of 3 run"), "{shown}");

    // One that is taken away comes back by itself.
    let one = containers(&app).pop().unwrap();
    docker(&docker_host(), &["rm", "-f", &one]).unwrap();
    answered_by(&panel, 3).await;

    // A deployment goes from one to the next; nobody notices.
    repository.edit("app.py", "\"one\"", "\"two\"");
    let second = panel.deploy("hello").await;
    loop {
        let answer = panel.visit("hello.test", "/").await.expect(200).text();
        if answer == "hello two" {
            break;
        }
        assert_eq!(answer, "hello one");
    }
    panel.live(&second).await;
    answered_by(&panel, 3).await;
    let log = panel.build_log(&second).await;
    assert!(log.contains("starting container 3 of 3"), "{log}");
    eventually_ok("the old ones go", SOON, || async {
        match containers(&app).len() {
            3 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;

    // A restart too.
    let before: BTreeSet<String> = containers(&app).into_iter().collect();
    panel.post("/api/v1/apps/hello/restart", json!({})).await.expect(202);
    for _ in 0..100 {
        panel.visit("hello.test", "/").await.expect(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answered_by(&panel, 3).await;
    assert_eq!(containers(&app).into_iter().collect::<BTreeSet<_>>(), before, "the same containers");

    panel.cli(&["app", "scale", "hello", "1"]).await.expect(0);
    answered_by(&panel, 1).await;
    let differs = panel.cli(&["diff", "hello", "1", "2"]).await.expect(0).stdout;
    assert!(differs.contains("containers"), "{differs}");
    eventually_ok("the others go", SOON, || async {
        match containers(&app).len() {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    // The way back brings as many as it ran in.
    panel.cli(&["rollback", "hello", "--wait"]).await.expect(0);
    answered_by(&panel, 3).await;
}

#[tokio::test]
async fn what_is_refused() {
    let panel = TestPanel::start().await;
    let body = json!({"name": "db", "source": {"kind": "image", "reference": "redis:7"}, "mounts": [{"volume": "data", "path": "/data"}], "deploy": false});
    panel.create_app(body).await;
    let scale = async |replicas: Value| panel.patch("/api/v1/apps/db", json!({"replicas": replicas})).await;
    let reply = scale(json!(2)).await.expect(422);
    assert!(
        reply.detail().contains("would write to the volume at `/data`"),
        "{}",
        reply.detail()
    );
    let read_only = json!({"mounts": [{"volume": "data", "path": "/data", "read_only": true}], "replicas": 2});
    panel.patch("/api/v1/apps/db", read_only).await.expect(200);
    let writes = json!({"mounts": [{"volume": "data", "path": "/data"}]});
    panel.patch("/api/v1/apps/db", writes).await.expect(422);
    scale(json!(0)).await.expect(422);
    scale(json!(51)).await.expect(422);
    let compose = json!({"name": "shop", "source": {"kind": "compose", "compose": "services: {web: {image: 'nginx:1'}}"}, "deploy": false});
    panel.create_app(compose).await;
    let reply = panel.patch("/api/v1/apps/shop", json!({"replicas": 2})).await.expect(422);
    assert!(reply.detail().contains("Compose file"), "{}", reply.detail());
}
