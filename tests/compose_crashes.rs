//! Apps of several services of which some keep exiting: the way back to the release before, by the panel itself, and what is given up on.

use crate::{
    compose::{containers, id_of, says},
    crash_loops::{given_up, given_up_for, gone_back},
    deploy::text,
};
use serde_json::json;
use std::time::Duration;
use testkit::{Death, GitFixture, Mortal, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

const FILE: &str = r#"
services:
  web:
    build: {context: web}
    restart: always
    stop_grace_period: 1s
    ports: ["8080:8000"]
  worker:
    image: debian:bookworm-slim
    restart: always
    stop_grace_period: 1s
    command: [sh, -c, "while [ ! -e /tmp/dead ]; do sleep 0.2; done; echo the queue is gone; exit 4"]
"#;

/// The app `shop` with its repository and its id: given up on after three restarts.
async fn shop(panel: &TestPanel) -> (GitFixture, String) {
    let web = Mortal::new("v1", &Death::Saying(&["cannot open the table"]));
    let git = GitFixture::of(&[
        ("compose.yaml", FILE),
        ("web/Dockerfile", web.dockerfile),
        ("web/app.py", &web.program),
    ]);
    let source = json!({"kind": "git", "url": git.path(), "compose_file": ""});
    let body = json!({"name": "shop", "source": source, "domains": ["shop.test"], "grace_seconds": 2});
    let id = text(&panel.live_app(body).await, "id");
    panel.cli(&["app", "update", "shop", "--restart-limit", "3"]).await.expect(0);
    says(panel, "shop.test", "v1").await;
    (git, id)
}

/// A release with another `web`, which is live.
async fn moves_on(panel: &TestPanel, git: &GitFixture, from: &str, to: &str) {
    git.edit("web/app.py", &format!("b\"{from}\""), &format!("b\"{to}\""));
    let deployed = panel.deploy("shop").await;
    panel.live(&deployed).await;
    says(panel, "shop.test", to).await;
}

fn end_worker(id: &str) {
    let worker = id_of(&containers(id), "worker");
    docker(&docker_host(), &["exec", &worker, "touch", "/tmp/dead"]).unwrap();
}

#[tokio::test]
async fn docker_services_that_crash_loop_soon_are_rolled_back_once() {
    let panel = TestPanel::docker().await;
    let (git, id) = shop(&panel).await;
    let worker = id_of(&containers(&id), "worker");
    moves_on(&panel, &git, "v1", "v2").await;

    panel.visit("shop.test", "/die").await;
    let (back, why) = gone_back(&panel, "shop").await;
    assert!(why.starts_with("web: exited with code 3: cannot open the table"), "{why}");
    says(&panel, "shop.test", "v1").await;
    let log = panel.build_log(&text(&back, "id")).await;
    assert!(
        log.contains("going back from what kept exiting: web: exited with code 3")
            && log.contains("worker: unchanged, its container stays"),
        "{log}"
    );
    assert_eq!(id_of(&containers(&id), "worker"), worker);

    // The older one does the same: it is given up on, and the newer one does not come back.
    panel.visit("shop.test", "/die").await;
    let why = given_up(&panel, "shop").await;
    assert!(why.starts_with("web: exited with code 3"), "{why}");
    assert_eq!(panel.newest("shop").await["number"], 3);

    // A service that did not change would go on exiting: there is nothing to go back to.
    moves_on(&panel, &git, "v2", "v3").await;
    assert_eq!(id_of(&containers(&id), "worker"), worker);
    end_worker(&id);
    let why = given_up(&panel, "shop").await;
    assert!(why.starts_with("worker: exited with code 4: the queue is gone"), "{why}");
    assert_eq!(panel.newest("shop").await["number"], 4);
}

/// They must not take turns: giving up on the second one once brought the first one back.
#[tokio::test]
async fn docker_services_that_both_crash_loop_are_both_given_up_on() {
    let mut panel = TestPanel::docker().await;
    let (_git, id) = shop(&panel).await;
    end_worker(&id);
    given_up_for(&panel, "shop", "worker: exited with code 4").await;
    panel.visit("shop.test", "/die").await;
    let why = given_up_for(&panel, "shop", "web: exited with code 3").await;
    assert!(why.starts_with("worker: exited with code 4: the queue is gone"), "{why}");
    nothing_runs(&id).await;

    // Both are kept over a restart, and neither is started then.
    panel.stop().await;
    panel.start_again().await;
    assert_eq!(given_up(&panel, "shop").await, why);
    nothing_runs(&id).await;
    assert_eq!(panel.newest("shop").await["number"], 1, "there is nothing to go back to");
}

async fn nothing_runs(app: &str) {
    eventually_ok("none of its containers runs", SOON, || async {
        let all = containers(app);
        match all.iter().all(|(.., state)| state == "exited") {
            true => Ok(()),
            false => Err(format!("{all:?}")),
        }
    })
    .await;
}
