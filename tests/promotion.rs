//! How a release gets elsewhere: the image of one environment live in another, with what is that one's own.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use testkit::{GitFixture, TestPanel};

/// What has another name may have been meant as an environment.
#[tokio::test]
async fn docker_a_promotion_to_an_app_of_another_name_is_asked_for() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    let mut other = app_of("nope", &repository);
    other["source"] = json!({"kind": "image", "reference": "nginx:1.22"});
    let nope = text(&panel.live_app(other).await, "id");

    let preview = panel.cli(&["promote", "hello", "--to", "nope", "--dry-run"]).await.expect(0).stdout;
    let image = preview.lines().find(|line| line.starts_with("image ")).unwrap_or_default();
    assert_eq!(image.split_whitespace().nth(1), Some("nginx:1.22"), "{preview}");
    let plan = panel.get("/api/v1/apps/hello/promotion-plan?to=nope").await.expect(200).json();
    let warnings = [
        "`nope` in production is another app than `hello`",
        "`nope` is made from the image nginx, `hello` from a repository",
    ];
    assert_eq!(plan["warnings"], json!(warnings));
    assert_eq!((&plan["app"]["id"], &plan["live"]), (&json!(nope), &json!(1)));

    // Nobody is there to answer.
    let refused = panel.cli(&["promote", "hello", "--to", "nope", "--wait"]).await.expect(2);
    assert!(
        refused.stderr.contains("of nope in production") && refused.stderr.contains("--yes"),
        "{}",
        refused.stderr
    );
    assert_eq!(panel.newest(&nope).await["cause"], "created");
    panel.cli(&["promote", "hello", "--to", "nope", "--yes", "--wait"]).await.expect(0);
    assert_eq!(panel.visit("nope.test", "/").await.expect(200).text(), "hello one");
}

/// The app `hello` in production and, a commit later, in staging; their ids.
async fn in_two_places(panel: &TestPanel) -> (String, String) {
    let repository = GitFixture::sample("hello");
    let project = text(&panel.list("/api/v1/projects").await[0], "id");
    let made = panel
        .post(&format!("/api/v1/projects/{project}/environments"), json!({"name": "staging"}))
        .await
        .expect(201)
        .json();
    let mut body = app_of("hello", &repository);
    body["variables"] = json!([{"key": "PLACE", "value": "production"}]);
    let mut staging = app_of("hello", &repository);
    staging["domains"] = json!(["staging.test"]);
    staging["environment"] = json!(text(&made, "id"));
    staging["variables"] = json!([{"key": "PLACE", "value": "staging"}]);
    let production = text(&panel.live_app(body).await, "id");
    repository.edit("app.py", "\"one\"", "\"two\"");
    let staged = text(&panel.create_app(staging).await, "id");
    panel.live(&text(&panel.newest(&staged).await, "id")).await;
    assert_eq!(panel.visit("staging.test", "/").await.expect(200).text(), "hello two");
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    (production, staged)
}

/// The commits, from what is live to what would be, and nothing that stays the target's own.
async fn says_what_would_change(panel: &TestPanel, production: &str, staged: &str) {
    let preview = panel
        .cli(&["promote", "hello@staging", "--to", "production", "--dry-run"])
        .await
        .expect(0)
        .stdout;
    let commit = preview
        .lines()
        .find(|line| line.trim_start().starts_with("commit"))
        .unwrap_or_default();
    let commits = [
        text(&panel.newest(production).await["commit"], "id"),
        text(&panel.newest(staged).await["commit"], "id"),
    ];
    let places = commits.map(|id| commit.find(&id[..10]));
    assert!(
        places[0].is_some() && places[0] < places[1],
        "from what is live to what would be: {preview}"
    );
    assert!(preview.contains("image id"), "{preview}");
    for own in ["variable PLACE", "domain", "memory"] {
        assert!(!preview.contains(own), "{own} is the target's own: {preview}");
    }
}

#[tokio::test]
async fn docker_a_release_is_promoted() {
    let panel = TestPanel::docker().await;
    let (production, staged) = in_two_places(&panel).await;
    // One name in two environments: the name alone is not enough, with the environment it is.
    panel.cli(&["release", "list", "hello"]).await.expect(1);
    says_what_would_change(&panel, &production, &staged).await;
    panel
        .cli(&["promote", "hello@staging", "--to", "production", "--wait"])
        .await
        .expect(0);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    let environment = panel.visit("hello.test", "/environment").await.expect(200).json();
    assert_eq!(environment["PLACE"], "cHJvZHVjdGlvbg==", "its own variables");
    let release = async |app: &str| panel.list(&format!("/api/v1/apps/{app}/releases")).await[0].clone();
    let (from, to) = (release(&staged).await, release(&production).await);
    assert_eq!((&to["image"], &to["commit"]), (&from["image"], &from["commit"]));
    let newest = panel.newest(&production).await;
    assert_eq!(
        (text(&newest, "cause"), text(&newest, "promoted")),
        ("promotion".into(), text(&from, "id"))
    );

    // What it must not be done with.
    let promote = async |body: Value| panel.post(&format!("/api/v1/apps/{staged}/promote"), body).await;
    promote(json!({"to": "nowhere"})).await.expect(404);
    promote(json!({"to": production, "release": "77"})).await.expect(404);
    let same = promote(json!({"to": staged})).await.expect(422);
    assert!(same.detail().contains("the same app"), "{}", same.detail());

    // Where nothing is live yet there is nothing to compare with.
    let first = json!({"name": "fourth", "source": {"kind": "image", "reference": "nginx:1.22"}, "domains": [], "deploy": false});
    panel.create_app(first).await;
    let preview = panel.cli(&["promote", &staged, "--to", "fourth", "--dry-run"]).await.expect(0);
    assert!(preview.stdout.contains("the first of fourth in production"), "{}", preview.stdout);
}
