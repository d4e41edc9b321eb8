//! Templates that offer several versions: which an app has, and how it goes from one to another.

use super::{add, compose, publish};
use crate::deploy::text;
use serde_json::{Value, json};
use testkit::{GitFixture, Reply, TestPanel};

const TWO: &str = "versions:
- { name: '2', notes: the newest, set: { tag: '2.1' }, takes_over: ['1'] }
- { name: '1', notes: for old pages, set: { tag: 1.22.1 } }
";

/// The template's version, which of those it offers, and the image in the app's file.
async fn version_of(panel: &TestPanel, app: &str) -> (String, Value, String) {
    let shown = panel.get(&format!("/api/v1/apps/{app}")).await.expect(200).json();
    let template = &shown["source"]["template"];
    let file = text(
        &panel.get(&format!("/api/v1/apps/{app}/compose")).await.expect(200).json(),
        "compose",
    );
    let image = file
        .lines()
        .find_map(|line| line.trim().strip_prefix("image: "))
        .unwrap_or_default();
    (text(template, "version"), template["chosen"].clone(), image.to_owned())
}

async fn install(panel: &TestPanel, name: &str, version: Value) -> Reply {
    let body = json!({"name": name, "version": version, "values": {"domain": format!("{name}.example.test")}});
    panel.post("/api/v1/catalog/acme:wiki/install", body).await
}

/// The catalog has this, and the panel has read it.
async fn publishes(panel: &TestPanel, git: &GitFixture, version: &str, choices: &str) {
    publish(git, version, choices, &compose("nginx:{{ version.tag }}", "64m", ""));
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
}

async fn updates(panel: &TestPanel, app: &str, wish: Value) -> Reply {
    panel.post(&format!("/api/v1/apps/{app}/template/update"), wish).await
}

#[tokio::test]
async fn an_app_keeps_the_version_that_was_chosen_for_it() {
    let panel = TestPanel::start().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    add(&panel, &git).await;
    install(&panel, "old", Value::Null).await.expect(201);
    let refused = install(&panel, "no", json!("1")).await.expect(422).json();
    assert!(text(&refused, "detail").contains("comes in one version only"), "{refused}");
    publishes(&panel, &git, "2.0-1", TWO).await;
    an_app_from_before_is_one_of_them(&panel).await;
    each_is_shown_and_can_be_chosen(&panel).await;
    publishes(&panel, &git, "2.1-1", &TWO.replace("1.22.1", "1.22.2").replace("2.1'", "2.2'")).await;
    each_keeps_its_own(&panel).await;
    let gone =
        "versions:\n- { name: '3', set: { tag: '3.0' }, takes_over: ['2'] }\n- { name: '2', set: { tag: '2.3' }, takes_over: ['1'] }\n";
    publishes(&panel, &git, "3.0-1", gone).await;
    what_is_offered_no_more_is_said(&panel).await;
}

async fn an_app_from_before_is_one_of_them(panel: &TestPanel) {
    let plan = panel.post("/api/v1/apps/old/template/plan", json!({})).await.expect(200).json();
    assert_eq!(
        (&plan["from_chosen"], &plan["to_chosen"], &plan["choices"]),
        (&Value::Null, &json!("1"), &json!(["1", "2"]))
    );
    let diff = text(&plan, "diff");
    assert!(diff.contains("+    image: nginx:1.22.1") && !diff.contains("nginx:2.1"), "{diff}");
    updates(panel, "old", json!({})).await.expect(200);
    assert_eq!(version_of(panel, "old").await, ("2.0-1".into(), json!("1"), "nginx:1.22.1".into()));
}

async fn each_is_shown_and_can_be_chosen(panel: &TestPanel) {
    let detail = panel.get("/api/v1/catalog/acme:wiki").await.expect(200).json();
    let first = json!({"name": "2", "notes": "the newest", "image": "nginx:2.1", "takes_over": ["1"]});
    assert_eq!(detail["versions"][0], first);
    assert!(text(&detail, "compose").contains("nginx:2.1"), "{detail}");
    let shown = panel.cli(&["catalog", "show", "acme:wiki"]).await;
    assert!(shown.stdout.contains("1 (nginx:1.22.1), for old pages"), "{shown:?}");
    let unknown = install(panel, "no", json!("7")).await.expect(422).json();
    assert_eq!(unknown["errors"][0]["field"], "version", "{unknown}");
    assert!(text(&unknown, "detail").contains("must be one of 2, 1"), "{unknown}");
    install(panel, "usual", Value::Null).await.expect(201);
    let wished = [
        "catalog",
        "install",
        "acme:wiki",
        "--name",
        "one",
        "--version",
        "1",
        "-d",
        "one.example.test",
        "--memory",
        "96m",
    ];
    let plan = panel.cli(&[&wished[..], &["--plan"]].concat()).await;
    assert!(plan.code == 0 && plan.stdout.contains("nginx:1.22.1"), "{plan:?}");
    let made = panel.cli(&wished).await;
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(version_of(panel, "usual").await, ("2.0-1".into(), json!("2"), "nginx:2.1".into()));
    assert_eq!(version_of(panel, "one").await, ("2.0-1".into(), json!("1"), "nginx:1.22.1".into()));
    let listed = panel.cli(&["catalog", "list"]).await;
    assert!(listed.stdout.contains("one (1)"), "{listed:?}");
}

/// With the size that was chosen; another one is asked for by name, where it can go on with the data.
async fn each_keeps_its_own(panel: &TestPanel) {
    for (app, chosen, image) in [("one", "1", "nginx:1.22.2"), ("usual", "2", "nginx:2.2")] {
        updates(panel, app, json!({})).await.expect(200);
        assert_eq!(version_of(panel, app).await, ("2.1-1".into(), json!(chosen), image.into()));
    }
    let file_of_one = panel.get("/api/v1/apps/one/compose").await.expect(200).json();
    assert!(text(&file_of_one, "compose").contains("memory: 96M"), "{file_of_one}");
    let newest = panel.post("/api/v1/apps/one/template/plan", json!({})).await;
    assert!(newest.expect(409).text().contains("newest version"), "nothing is out");
    let down = updates(panel, "usual", json!({"version": "1"})).await;
    assert!(down.expect(422).text().contains("cannot go on with the data of 2"), "no way down");
    let moved = panel.cli(&["catalog", "update", "old", "--version", "2"]).await;
    assert_eq!(moved.code, 0, "{moved:?}");
    assert_eq!(version_of(panel, "old").await, ("2.1-1".into(), json!("2"), "nginx:2.2".into()));
    let back = panel.post("/api/v1/apps/old/template/undo", json!({})).await.expect(200).json();
    assert_eq!(back["source"]["template"]["chosen"], "1", "{back}");
    assert_eq!(version_of(panel, "old").await, ("2.0-1".into(), json!("1"), "nginx:1.22.1".into()));
}

/// And nothing moves.
async fn what_is_offered_no_more_is_said(panel: &TestPanel) {
    let refused = updates(panel, "one", json!({})).await.expect(422).json();
    let words = "this app is version 1, which Team wiki 3.0-1 has no more; it stays as it is, or goes on as 2";
    assert!(text(&refused, "detail").contains(words), "{refused}");
    assert_eq!(version_of(panel, "one").await, ("2.1-1".into(), json!("1"), "nginx:1.22.2".into()));
    let plan = panel.cli(&["catalog", "update", "usual", "--plan"]).await;
    assert!(plan.stdout.contains("2 (3.0-1)") && plan.stdout.contains("--version 3"), "{plan:?}");
    updates(panel, "one", json!({"version": "2"})).await.expect(200);
    assert_eq!(version_of(panel, "one").await, ("3.0-1".into(), json!("2"), "nginx:2.3".into()));
}
