//! Releases: which are kept, and how they are asked whether they serve.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

/// Numbers of an app's releases, newest first, as the command line lists them: sessions do not outlive a clock that jumps.
async fn numbers(panel: &TestPanel, app: &str) -> Vec<u64> {
    let listed = panel.cli(&["--json", "release", "list", app]).await.expect(0).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let all = listed
        .as_array()
        .or_else(|| listed["items"].as_array())
        .unwrap_or_else(|| panic!("{listed}"));
    all.iter().filter_map(|one| one["number"].as_u64()).collect()
}

/// Waits until these are left; each start tidies up.
async fn are_left(panel: &TestPanel, app: &str, wanted: &[u64]) {
    eventually_ok(&format!("{wanted:?} are left"), SOON, || async {
        let left = numbers(panel, app).await;
        if left == wanted { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

/// An app whose every build is another image, some megabytes large.
fn growing(name: &str) -> (GitFixture, Value) {
    let dockerfile = "FROM tests/http:latest\nCOPY turn /turn\nRUN head -c 3000000 /dev/urandom >/blob\nEXPOSE 8080\nCMD [\"serve\"]\n";
    let repository = GitFixture::of(&[("Dockerfile", dockerfile), ("turn", "1")]);
    let app = app_of(name, &repository);
    (repository, app)
}

#[tokio::test]
async fn docker_a_release_that_is_pinned_stays() {
    let mut panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    let second = panel.deploy("hello").await;
    panel.live(&second).await;
    // The limit of one does not reach it.
    panel.cli(&["release", "pin", "hello", "1"]).await.expect(0);
    let one = ["--keep-releases", "1", "--keep-days", "30", "--keep-size", "100g"];
    panel.cli(&[&["app", "update", "hello"][..], &one[..]].concat()).await.expect(0);
    for _ in 0..3 {
        let deployed = panel.deploy("hello").await;
        panel.live(&deployed).await;
    }
    panel.stop().await;
    panel.start_again().await;
    are_left(&panel, "hello", &[5, 4, 1]).await;
    let listed = panel.cli(&["release", "list", "hello"]).await.expect(0).stdout;
    assert!(listed.contains("pinned") && listed.contains("live"), "{listed}");
    panel.cli(&["release", "unpin", "hello", "1"]).await.expect(0);
}

#[tokio::test]
async fn docker_releases_go_when_they_are_old() {
    let mut panel = TestPanel::docker().await;
    let (repository, app) = growing("aging");
    panel.live_app(app).await;
    for turn in ["2", "3"] {
        repository.commit(&[("turn", turn)], "another turn");
        panel.cli(&["deploy", "aging", "--wait"]).await.expect(0);
    }
    panel.cli(&["release", "pin", "aging", "1"]).await.expect(0);
    panel
        .cli(&["app", "update", "aging", "--keep-releases", "50", "--keep-days", "30"])
        .await
        .expect(0);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+29d"))).await;
    panel.cli(&["deploy", "aging", "--wait"]).await.expect(0);
    panel.cli(&["deploy", "aging", "--wait"]).await.expect(0);
    assert_eq!(numbers(&panel, "aging").await, [5, 4, 3, 2, 1], "none is old enough");

    // Days later those of the first day are, but for the one that is pinned.
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+31d"))).await;
    are_left(&panel, "aging", &[5, 4, 1]).await;
    // And when all are: what serves and the newest to go back to stay.
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+300d"))).await;
    panel.cli(&["release", "unpin", "aging", "1"]).await.expect(0);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+301d"))).await;
    are_left(&panel, "aging", &[5, 4]).await;
    panel.cli(&["rollback", "aging", "4", "--wait"]).await.expect(0);
}

#[tokio::test]
async fn docker_releases_go_when_they_are_large_together() {
    let mut panel = TestPanel::docker().await;
    let (repository, app) = growing("large");
    panel.live_app(app).await;
    for turn in ["2", "3", "4", "5"] {
        repository.commit(&[("turn", turn)], "another turn");
        panel.cli(&["deploy", "large", "--wait"]).await.expect(0);
    }
    let all = panel.list("/api/v1/apps/large/releases").await;
    let bytes: Vec<u64> = all.iter().map(|one| one["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.iter().all(|bytes| (3_000_000..100_000_000).contains(bytes)), "{bytes:?}");
    let image = |number: u64| text(all.iter().find(|one| one["number"] == number).unwrap(), "image");
    // Room for the two newest beside the live one, and not for a third.
    let keep = (bytes[1] + bytes[2] + 1).to_string();
    panel
        .cli(&["app", "update", "large", "--keep-releases", "50", "--keep-size", &keep])
        .await
        .expect(0);
    panel.stop().await;
    panel.start_again().await;
    are_left(&panel, "large", &[5, 4, 3]).await;
    let is_there = |id: &str| docker(&docker_host(), &["image", "inspect", id]).is_ok();
    eventually_ok("their images go too", SOON, || async {
        match !is_there(&image(1)) && !is_there(&image(2)) {
            true => Ok(()),
            false => Err("they are there".to_owned()),
        }
    })
    .await;
    assert!(is_there(&image(3)) && is_there(&image(5)));

    // The newest to go back to stays at any size.
    panel.cli(&["app", "update", "large", "--keep-size", "1k"]).await.expect(0);
    panel.stop().await;
    panel.start_again().await;
    are_left(&panel, "large", &[5, 4]).await;
}

#[tokio::test]
async fn docker_web_frameworks_are_asked_for_an_answer() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("static");
    let mut body = app_of("site", &repository);
    body.as_object_mut().unwrap().remove("health");
    let app = panel.live_app(body).await;
    assert_eq!(app["health"]["kind"], "auto", "{app}");
    assert_eq!(app["pending_changes"], false, "{app}");
    let release = panel.list("/api/v1/apps/site/releases").await[0].clone();
    assert_eq!(
        (&release["health"]["kind"], &release["health"]["path"]),
        (&json!("web"), &json!("/"))
    );
    let log = panel.build_log(&text(&app["deployment"], "id")).await;
    assert!(log.contains("answers below 500"), "{log}");
    // With a Dockerfile nobody knows what it is.
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body.as_object_mut().unwrap().remove("health");
    panel.live_app(body).await;
    let release = panel.list("/api/v1/apps/hello/releases").await[0].clone();
    assert_eq!(release["health"]["kind"], "tcp", "{release}");
}
