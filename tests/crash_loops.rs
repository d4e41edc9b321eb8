//! What keeps exiting: that it is given up on in words, and gives way to the release before soon after it went live.

use crate::deploy::{app_of, containers, text};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Death, GitFixture, Mortal, TestPanel, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

/// An app of one program that dies so, with 64 MiB, and its repository.
fn mortal(name: &str, death: &Death<'_>) -> (GitFixture, Value) {
    let Mortal { dockerfile, program } = Mortal::new("v1", death);
    let repository = GitFixture::of(&[("Dockerfile", dockerfile), ("app.py", &program)]);
    let mut app = app_of(name, &repository);
    app["limits"] = json!({"memory_bytes": 67108864});
    (repository, app)
}

/// Waits until the app is given up on; answers why.
pub async fn given_up(panel: &TestPanel, app: &str) -> String {
    given_up_for(panel, app, "not started again").await
}

/// Waits until that is said of it.
pub async fn given_up_for(panel: &TestPanel, app: &str, words: &str) -> String {
    eventually_ok("it is given up on", SOON, || async {
        let app = panel.get(&format!("/api/v1/apps/{app}")).await.expect(200).json();
        let why = app["state_detail"].as_str().unwrap_or_default().to_owned();
        match app["state"] == "crashing" && why.contains(words) {
            true => Ok(why),
            false => Err(app.to_string()),
        }
    })
    .await
}

/// Waits until the panel went back from the second release of an app to its first by itself, and told of it; answers the deployment and why.
pub async fn gone_back(panel: &TestPanel, name: &str) -> (Value, String) {
    let back = eventually_ok("it goes back by itself", SOON, || async {
        let newest = panel.newest(name).await;
        match newest["cause"] == "rollback" && newest["phase"] == "live" {
            true => Ok(newest),
            false => Err(newest.to_string()),
        }
    })
    .await;
    let why = text(&back, "rollback_why");
    assert_eq!((text(&back, "by"), &back["number"]), ("serverkit".into(), &json!(3)));
    let app = panel.get(&format!("/api/v1/apps/{name}")).await.expect(200).json();
    assert_eq!(app["release"]["number"], 1, "{app}");
    let words = format!("rolled {name} back to #1: {why}");
    eventually_ok("it is told", SOON, || async {
        let events = panel.list("/api/v1/events/history").await;
        let told = |event: &Value| event["kind"] == "rolled_back" && event["text"].as_str().is_some_and(|text| text == words);
        match events.iter().any(told) {
            true => Ok(()),
            false => Err(format!("{events:?}")),
        }
    })
    .await;
    (back, why)
}

#[tokio::test]
async fn docker_a_crash_loop_is_given_up_on_with_the_reason() {
    let panel = TestPanel::docker().await;
    let (_repository, body) = mortal("hungry", &Death::OutOfMemory);
    let app = panel.live_app(body).await;
    panel.cli(&["app", "update", "hungry", "--restart-limit", "3"]).await.expect(0);
    assert_eq!(panel.get("/api/v1/apps/hungry").await.json()["pending_changes"], false);
    panel.visit("hungry.test", "/die").await;
    let why = given_up(&panel, "hungry").await;
    assert!(why.contains("killed: out of memory, limit 64 MiB"), "{why}");
    let shown = panel.cli(&["app", "show", "hungry"]).await.expect(0).stdout;
    assert!(shown.contains("killed: out of memory, limit 64 MiB"), "{shown}");
    eventually_ok("nothing runs", SOON, || async {
        match containers(&app).is_empty() {
            true => Ok(()),
            false => Err(format!("{:?}", containers(&app))),
        }
    })
    .await;
    // Another turn of the reconciler changes nothing; a person does.
    panel.cli(&["app", "start", "hungry"]).await.expect(0);
    given_up(&panel, "hungry").await;
}

#[tokio::test]
async fn docker_a_release_that_crash_loops_soon_is_rolled_back_once() {
    let panel = TestPanel::docker().await;
    let (repository, body) = mortal("hungry", &Death::OutOfMemory);
    panel.live_app(body).await;
    panel.cli(&["app", "update", "hungry", "--restart-limit", "3"]).await.expect(0);
    repository.edit("app.py", "b\"v1\"", "b\"v2\"");
    let second = panel.deploy("hungry").await;
    panel.live(&second).await;
    let app = panel.get("/api/v1/apps/hungry").await.expect(200).json();
    assert_eq!(
        (&app["rollback_within_minutes"], &app["pending_changes"]),
        (&json!(10), &json!(false))
    );
    assert_eq!(panel.visit("hungry.test", "/").await.expect(200).text(), "v2");

    panel.visit("hungry.test", "/die").await;
    let (back, why) = gone_back(&panel, "hungry").await;
    assert!(why.starts_with("killed: out of memory, limit 64 MiB"), "{why}");
    assert_eq!(panel.visit("hungry.test", "/").await.expect(200).text(), "v1");
    let log = panel.build_log(&text(&back, "id")).await;
    assert!(log.contains("going back from what kept exiting: killed: out of memory"), "{log}");
    let listed = panel.cli(&["deployments", "hungry"]).await.expect(0).stdout;
    assert!(listed.contains("killed: out of memory, limit 64 MiB"), "{listed}");

    // The older one does the same: it is given up on, and the newer one does not come back.
    panel.visit("hungry.test", "/die").await;
    given_up(&panel, "hungry").await;
    assert_eq!(panel.newest("hungry").await["number"], 3);

    // Where it is turned off, the newest is given up on at once.
    panel.cli(&["app", "update", "hungry", "--rollback-within", "0"]).await.expect(0);
    let fourth = panel.deploy("hungry").await;
    panel.live(&fourth).await;
    panel.visit("hungry.test", "/die").await;
    given_up(&panel, "hungry").await;
    assert_eq!(panel.newest("hungry").await["number"], 4);
}

#[tokio::test]
async fn docker_a_crash_loop_is_given_up_on_with_the_last_words() {
    let panel = TestPanel::docker().await;
    let last = [
        "first",
        "second",
        "\u{1b}[31mcannot open\u{1b}[0m the table",
        "as $TOKEN",
        "",
        "giving up",
    ];
    let (_repository, mut body) = mortal("speaking", &Death::Saying(&last));
    body["variables"] = json!([{"key": "TOKEN", "value": "quiet-otters-swim-north", "secret": true}]);
    panel.live_app(body).await;
    panel.cli(&["app", "update", "speaking", "--restart-limit", "5"]).await.expect(0);
    panel.visit("speaking.test", "/die").await;
    let why = given_up(&panel, "speaking").await;
    let (before, after) = why.split_once(" / as ").expect("the line with the secret");
    assert!(before.ends_with("exited with code 3: cannot open the table"), "{why}");
    assert!(
        after.contains(" / giving up; not started again after ") && !why.contains("otters"),
        "{why}"
    );
    let shown = panel.cli(&["app", "show", "speaking"]).await.expect(0).stdout;
    assert!(
        shown.contains("cannot open the table / as ") && !shown.contains("otters"),
        "{shown}"
    );
}
