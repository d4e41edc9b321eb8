//! How often the panel's own API may be asked: by class of request, by token and by address; on trial; exempt; shown.

use serde_json::{Value, json};
use testkit::TestPanel;

/// A panel on which loopback is limited too, by these rules.
async fn limited(rules: Value) -> TestPanel {
    let panel = TestPanel::start().await;
    panel
        .patch("/api/v1/api-limits", json!({"rules": rules, "exempt": []}))
        .await
        .expect(200);
    panel
}

fn rule(name: &str, class: &str, per: &str, requests: u32) -> Value {
    json!({"name": name, "class": class, "per": per, "requests": requests, "period_seconds": 3600})
}

async fn token(panel: &TestPanel, name: &str) -> String {
    let wish = json!({"name": name, "scope": "write", "expires_in_days": 1});
    let made = panel.post("/api/v1/tokens", wish).await.expect(201).json();
    made["secret"].as_str().expect("a token").to_owned()
}

/// By the machine's own socket, which is never limited.
async fn shown(panel: &TestPanel) -> Value {
    panel.cli(&["edge", "limits", "--json"]).await.expect(0).json()
}

#[tokio::test]
async fn a_token_that_asks_too_often_waits_and_others_do_not() {
    let panel = TestPanel::start().await;
    let (one, other) = (token(&panel, "one").await, token(&panel, "other").await);
    let rules = json!([rule("reads", "read", "caller", 3), rule("changes", "write", "caller", 1)]);
    panel
        .patch("/api/v1/api-limits", json!({"rules": rules, "exempt": []}))
        .await
        .expect(200);
    let api = panel.with_token(one);
    for _ in 0..3 {
        api.get("/api/v1/projects").await.expect(200);
    }
    let refused = api.get("/api/v1/projects").await.expect(429);
    let wait: u64 = refused.header("retry-after").expect("it says when").parse().expect("seconds");
    assert!((1000..=1201).contains(&wait), "{wait}");
    refused.code("throttled");
    api.post("/api/v1/projects", json!({"name": "first"})).await.expect(201);
    api.post("/api/v1/projects", json!({"name": "second"})).await.expect(429);
    panel.with_token(other).get("/api/v1/projects").await.expect(200);
    let now = shown(&panel).await;
    let who = &now["panel"]["limited"];
    assert_eq!(who.as_array().expect("a list").len(), 2, "{who}");
    assert!(who[0]["key"].as_str().expect("a key").starts_with("one (tok_"), "{who}");
}

/// A rule may be about one endpoint, however its path is written.
#[tokio::test]
async fn an_endpoint_has_a_limit_of_its_own() {
    let panel = TestPanel::start().await;
    let secret = token(&panel, "one").await;
    let words = [
        "edge",
        "api-limit",
        "set",
        "one app",
        "--class",
        "read",
        "--path",
        "/apps/*",
        "--requests",
        "2",
        "--period",
        "1h",
    ];
    panel.cli(&words).await.expect(0);
    panel.cli(&["edge", "api-limit", "exempt"]).await.expect(0);
    let api = panel.with_token(secret);
    for path in ["/api/v1/apps/first", "/api/v1/apps/%66irst"] {
        assert_ne!(api.get(path).await.status, 429, "{path}");
    }
    for path in ["/api/v1/apps/first", "/api/v1/apps/nosuch", "/api/v1/apps/%66irst"] {
        api.get(path).await.expect(429).code("throttled");
    }
    api.get("/api/v1/apps").await.expect(200);
    api.patch("/api/v1/apps/first", json!({"port": 80})).await.expect(404);
    assert!(shown(&panel).await.to_string().contains("/apps/*"));
    panel.cli(&["edge", "api-limit", "set", "one app", "--path", "all"]).await.expect(0);
    assert!(!shown(&panel).await.to_string().contains("/apps/*"));
    let wrong = json!({"name": "x", "class": "any", "path": "apps", "per": "caller", "requests": 1, "period_seconds": 1});
    let refused = panel
        .patch("/api/v1/api-limits", json!({"rules": [wrong]}))
        .await
        .expect(422)
        .text();
    assert!(refused.contains("rules[0].path"), "{refused}");
}

#[tokio::test]
async fn what_needs_no_sign_in_counts_by_address() {
    let panel = limited(json!([rule("doors", "sign_in", "caller", 2), rule("hooks", "hooks", "address", 1)])).await;
    let stranger = panel.anonymous();
    let wrong = json!({"email": "nobody@example.test", "password": "eleven green kettles boil"});
    for _ in 0..2 {
        stranger.post("/api/v1/session", wrong.clone()).await.expect(401);
    }
    stranger.post("/api/v1/session", wrong).await.expect(429);
    // Another class is counted apart.
    panel.get("/api/v1/projects").await.expect(200);
    let first = stranger.post("/hooks/nosuch", json!({})).await.status;
    assert_ne!(first, 429);
    stranger.post("/hooks/nosuch", json!({})).await.expect(429);
}

/// Whoever tries words of invitations, or anything else that needs no sign-in, is held up as whoever tries passwords.
#[tokio::test]
async fn every_open_door_counts_as_signing_in() {
    let panel = limited(json!([rule("doors", "sign_in", "address", 1)])).await;
    let stranger = panel.anonymous();
    let guess = json!({"token": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"});
    assert_ne!(stranger.post("/api/v1/invitation", guess.clone()).await.status, 429);
    let open = include_str!("open_endpoints.txt");
    let doors = open.lines().filter_map(|line| line.strip_prefix("POST "));
    // Asked at every letter of a password.
    for path in doors.filter(|path| *path != "/password/estimate") {
        let reply = stranger.post(&format!("/api/v1{path}"), guess.clone()).await;
        assert_eq!(reply.status, 429, "{path}: {}", reply.text());
    }
    let estimate = json!({"password": "seven quiet otters swim north"});
    assert_ne!(stranger.post("/api/v1/password/estimate", estimate).await.status, 429);
}

#[tokio::test]
async fn a_rule_on_trial_counts_and_lets_pass_and_who_is_exempt_is_not_counted() {
    let mut trial = rule("all", "any", "address", 1);
    trial["dry_run"] = json!(true);
    let panel = limited(json!([trial.clone()])).await;
    for _ in 0..3 {
        panel.get("/api/v1/projects").await.expect(200);
    }
    let now = shown(&panel).await;
    let would = &now["panel"]["limited"][0];
    assert_eq!(
        (would["dry_run"].clone(), would["limit"].clone()),
        (json!(true), json!("all")),
        "{now}"
    );
    let before = would["refused"].as_u64().expect("a count");
    panel.cli(&["edge", "api-limit", "exempt", "127.0.0.1", "::1"]).await.expect(0);
    panel
        .cli(&["edge", "api-limit", "set", "all", "--dry-run", "false"])
        .await
        .expect(0);
    for _ in 0..3 {
        panel.get("/api/v1/projects").await.expect(200);
    }
    let now = panel.get("/api/v1/api-limits").await.expect(200).json();
    assert_eq!(now["limited"], json!([]), "a changed rule counts anew: {before} before, {now}");
    assert_eq!(now["exempt"], json!(["127.0.0.1/32", "::1/128"]));
}

#[tokio::test]
async fn the_machine_itself_is_never_locked_out() {
    let panel = limited(json!([rule("all", "any", "caller", 1)])).await;
    while panel.get("/api/v1/projects").await.status != 429 {}
    panel.cli(&["edge", "api-limit", "remove", "all", "--yes"]).await.expect(0);
    panel.get("/api/v1/projects").await.expect(200);
    panel.cli(&["edge", "api-limit", "remove", "all", "--yes"]).await.expect(2);
}

#[tokio::test]
async fn rules_outlive_a_restart_and_wrong_ones_are_refused() {
    let mut panel = TestPanel::start().await;
    let usual = panel.get("/api/v1/api-limits").await.expect(200).json();
    assert_eq!(usual["rules"].as_array().expect("rules").len(), 4, "{usual}");
    for (rules, field) in [
        (json!([rule("", "any", "caller", 1)]), "rules[0].name"),
        (
            json!([rule("a", "any", "caller", 1), rule("a", "read", "caller", 1)]),
            "rules[1].name",
        ),
        (json!([rule("a", "any", "caller", 0)]), "rules[0].requests"),
        (json!([rule("a", "all", "caller", 1)]), "rules[0].class"),
    ] {
        let refused = panel
            .patch("/api/v1/api-limits", json!({ "rules": rules }))
            .await
            .expect(422)
            .json();
        assert_eq!(refused["field"], field, "{refused}");
    }
    panel
        .patch("/api/v1/api-limits", json!({"exempt": ["somewhere"]}))
        .await
        .expect(422);
    panel
        .cli(&[
            "edge",
            "api-limit",
            "set",
            "scripts",
            "--class",
            "write",
            "--requests",
            "7",
            "--period",
            "10m",
        ])
        .await
        .expect(0);
    panel.kill();
    panel.start_again().await;
    let now = panel.get("/api/v1/api-limits").await.expect(200).json();
    let last = now["rules"].as_array().and_then(|rules| rules.last()).expect("rules").clone();
    assert_eq!(
        last,
        json!({"name": "scripts", "class": "write", "per": "caller", "requests": 7, "period_seconds": 600, "burst": 0, "dry_run": false})
    );
}
