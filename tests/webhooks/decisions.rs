//! What is decided about a delivery, by the rules of the webhook, and how the inbox tells it.

use super::{Hook, ZERO, app_and_hook, commit, pushed};
use crate::deploy::text;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::TestPanel;

#[tokio::test]
async fn each_kind_of_delivery_has_its_own_decision() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let mut seen = by_the_rules(&panel, &hook).await;
    switched_off_and_on(&panel, &hook).await;
    with_a_wrong_signature(&panel, &hook).await;
    seen.extend(["disabled", "bad_signature"]);
    assert!(seen.len() >= 12, "{seen:?}");

    let inbox = panel.list("/api/v1/apps/blog/deliveries").await;
    the_inbox_has_all(&panel, &inbox).await;
    the_secret_is_its_owners(&panel, &hook).await;
    goes_through_after_the_rule_has_changed(&panel, &inbox).await;
}

/// The decisions that there were.
async fn by_the_rules(panel: &TestPanel, hook: &Hook) -> BTreeSet<&'static str> {
    let rules = json!({"branches": ["main", "release/*"], "tags": ["v*", "!v0.*"], "paths": ["services/web", "!**/*.md"]});
    panel.patch("/api/v1/apps/blog/webhook", rules).await.expect(200);
    let web = &["services/web/a.js"][..];
    let tag = |name: &str| json!({"ref": format!("refs/tags/{name}"), "before": ZERO, "after": commit(70), "commits": []});
    let mut seen = BTreeSet::new();
    for (event, id, body, status, decision, words) in [
        (
            "push",
            "1",
            pushed("main", &commit(1), web, "fix"),
            202,
            "deployed",
            "deploying 0000000000 of branch main as #1",
        ),
        (
            "push",
            "1",
            pushed("main", &commit(1), web, "fix"),
            200,
            "repeated",
            "the same delivery came",
        ),
        (
            "push",
            "2",
            pushed("main", &commit(1), web, "fix"),
            200,
            "unchanged",
            "is deployed already as #1",
        ),
        (
            "push",
            "3",
            pushed("dev", &commit(2), web, "fix"),
            200,
            "branch_filter",
            "dev does not fit main, release/*",
        ),
        ("push", "4", tag("v0.1"), 200, "tag_filter", "v0.1 does not fit v*, !v0.*"),
        (
            "push",
            "5",
            pushed("main", &commit(3), &["docs/a", "docs/b"], "fix"),
            200,
            "path_filter",
            "path filter; changed only docs/",
        ),
        (
            "push",
            "6",
            pushed("main", &commit(4), web, "wip [skip deploy]"),
            200,
            "skipped_by_commit",
            "[skip deploy]",
        ),
        (
            "push",
            "7",
            pushed("main", ZERO, &[], ""),
            200,
            "deleted",
            "branch main was deleted",
        ),
        ("ping", "8", json!({"zen": "x"}), 200, "ping", "reaches this panel"),
        ("issues", "9", json!({}), 200, "other_event", "`issues` does not deploy"),
        ("push", "10", json!({"ref": 7}), 422, "unreadable", "not understood"),
        ("push", "11", tag("v1.0"), 202, "deployed", "of tag v1.0 as #2"),
        (
            "push",
            "12",
            pushed("release/1", &commit(5), &["services/web/x.md", "services/web/b"], "x"),
            202,
            "deployed",
            "#3",
        ),
        (
            "push",
            "13",
            pushed("main", &commit(6), &["services/web/x.md"], "x"),
            200,
            "path_filter",
            "only services/",
        ),
    ] {
        let reply = hook.github(panel, event, id, &body).await.expect(status).json();
        assert_eq!(reply["decision"], decision, "{id}: {reply}");
        assert!(text(&reply, "why").contains(words), "{id}: {reply}");
        assert_eq!(reply["deployment"].is_string(), decision == "deployed", "{reply}");
        seen.insert(decision);
    }
    seen
}

async fn switched_off_and_on(panel: &TestPanel, hook: &Hook) {
    let push = pushed("main", &commit(8), &["services/web/a.js"], "x");
    panel
        .patch("/api/v1/apps/blog/webhook", json!({"enabled": false}))
        .await
        .expect(200);
    let off = hook.github(panel, "push", "14", &push).await.expect(200).json();
    assert_eq!(off["decision"], "disabled");
    // The same id may come again when nothing was deployed before: the forge's button `Redeliver`.
    panel.patch("/api/v1/apps/blog/webhook", json!({"enabled": true})).await.expect(200);
    let again = hook.github(panel, "push", "14", &push).await.expect(202).json();
    assert_eq!(again["decision"], "deployed");
}

async fn with_a_wrong_signature(panel: &TestPanel, hook: &Hook) {
    let wrong = hook
        .send(
            panel,
            &[
                ("x-github-event", "push"),
                ("x-github-delivery", "15"),
                ("x-hub-signature-256", "sha256=00"),
            ],
            "{}",
        )
        .await;
    assert_eq!(wrong.expect(401).json()["decision"], "bad_signature");
}

/// Newest first; what nobody proved to be from the forge is not replayed.
async fn the_inbox_has_all(panel: &TestPanel, inbox: &[Value]) {
    assert_eq!(inbox.len(), 17);
    assert_eq!(
        (inbox[0]["decision"].as_str(), inbox[0]["can_replay"].as_bool()),
        (Some("bad_signature"), Some(false))
    );
    assert_eq!(inbox[1]["push"]["by"], "ada");
    let id = text(&inbox[0], "id");
    panel
        .post(&format!("/api/v1/deliveries/{id}/replay"), json!({}))
        .await
        .expect(409)
        .code("busy");
}

async fn the_secret_is_its_owners(panel: &TestPanel, hook: &Hook) {
    let viewer = panel.member("viewer", "admin").await;
    assert_eq!(
        viewer.get("/api/v1/apps/blog/webhook").await.expect(200).json()["secret"],
        Value::Null
    );
    viewer.get("/api/v1/apps/blog/webhook?reveal=true").await.expect(403);
    assert!(!panel.printed().contains(&hook.secret));
}

/// What was left out by a rule.
async fn goes_through_after_the_rule_has_changed(panel: &TestPanel, inbox: &[Value]) {
    let docs = inbox
        .iter()
        .find(|one| one["why"].as_str().unwrap().contains("only docs/"))
        .unwrap();
    panel.patch("/api/v1/apps/blog/webhook", json!({"paths": []})).await.expect(200);
    let replayed = panel
        .post(&format!("/api/v1/deliveries/{}/replay", text(docs, "id")), json!({}))
        .await
        .expect(202)
        .json();
    assert_eq!(
        (replayed["decision"].as_str(), replayed["replay_of"].as_str()),
        (Some("deployed"), docs["id"].as_str())
    );
    let newest = panel.newest("blog").await;
    assert_eq!(newest["cause"], "push");
    assert_eq!(newest["delivery"], replayed["id"]);
    assert!(
        panel
            .cli(&["webhook", "inbox", "blog"])
            .await
            .stdout
            .contains("path filter; changed only docs/")
    );
    for (delivery, words) in [
        (docs, ["path_filter", "refs/heads/main", "2 files", "docs/a, docs/b"]),
        (
            &replayed,
            ["deployed", "refs/heads/main", "docs/a, docs/b", docs["id"].as_str().unwrap()],
        ),
    ] {
        let shown = panel.cli(&["webhook", "delivery", &text(delivery, "id")]).await.expect(0).stdout;
        for word in words {
            assert!(shown.contains(word), "{word}: {shown}");
        }
    }
    panel.cli(&["webhook", "delivery", "dlv_0"]).await.expect(4);
}

#[tokio::test]
async fn a_script_is_judged_by_what_it_tells() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let rules = json!({"branches": ["main"], "paths": ["src/**"]});
    panel.patch("/api/v1/apps/blog/webhook", rules).await.expect(200);
    // In the forges' shape, by a script.
    let commits = |message: &str, file: &str| json!([{"message": message, "modified": [file]}]);
    for (body, status, decision, words) in [
        (
            json!({"ref": "refs/heads/main", "after": commit(1), "commits": commits("x [skip deploy]", "src/a")}),
            200,
            "skipped_by_commit",
            "[skip deploy]",
        ),
        (
            json!({"ref": "main", "after": commit(2), "commits": commits("x", "docs/a")}),
            200,
            "path_filter",
            "changed only docs/",
        ),
        (
            json!({"ref": "main", "files": ["docs/b"]}),
            200,
            "path_filter",
            "changed only docs/",
        ),
        (
            json!({"ref": "main", "commit": commit(3), "commits": commits("x", "src/a")}),
            202,
            "deployed",
            "of branch main as #1",
        ),
        // What it does not tell is not held against it, and said.
        (
            json!({"ref": "main"}),
            202,
            "deployed",
            "deploying branch main (without the path filter: the call tells neither of `files`",
        ),
        (json!({"commit": commit(4)}), 202, "deployed", "without the path filter"),
    ] {
        let body = body.to_string();
        let signature = format!("sha256={}", hook.signed(body.as_bytes()));
        let headers = [("x-event", "deploy"), ("x-signature-256", signature.as_str())];
        let reply = hook.send(&panel, &headers, body.clone()).await.expect(status).json();
        assert_eq!(reply["decision"], decision, "{body}: {reply}");
        assert!(text(&reply, "why").contains(words), "{body}: {reply}");
    }
    // Where all counts, nothing is to be said.
    panel.patch("/api/v1/apps/blog/webhook", json!({"paths": []})).await.expect(200);
    let body = json!({"ref": "main", "commit": commit(5)}).to_string();
    let signature = format!("sha256={}", hook.signed(body.as_bytes()));
    let headers = [("x-event", "deploy"), ("x-signature-256", signature.as_str())];
    let plain = hook.send(&panel, &headers, body).await.expect(202).json();
    assert!(!text(&plain, "why").contains("path filter"), "{plain}");
}
