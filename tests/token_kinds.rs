//! Tokens that are for some kinds of things only: what they hear and find of others, and what they hand on.
//! `everybody.rs` walks every operation with such tokens.

use crate::probing::{id, image, streamed, token};
use serde_json::{Value, json};
use testkit::{OWNER, TestPanel};

/// What happened reaches a token as far as it is for those things, in the list, in the stream and at a glance.
#[tokio::test]
async fn events_of_other_kinds_stay_unheard() {
    let panel = TestPanel::start().await;
    panel.post("/api/v1/apps", image("zqjournal", None)).await.expect(201);
    panel.post("/api/v1/projects", json!({"name": "zqatelier"})).await.expect(201);
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    for (scopes, heard, unheard) in [
        (
            json!(["read"]),
            vec!["app_created", "domain_added", "project_created", "token_created", "signed_in"],
            vec![],
        ),
        (
            json!(["events:read", "apps:read"]),
            vec!["app_created"],
            vec!["domain_added", "project_created", "token_created", "signed_in"],
        ),
        (
            json!(["events:read", "domains:write", "projects:read"]),
            vec!["domain_added", "project_created"],
            vec!["app_created", "token_created", "signed_in"],
        ),
        (
            json!(["events:read"]),
            vec![],
            vec!["app_created", "domain_added", "project_created", "token_created"],
        ),
    ] {
        let script = token(&owner, json!({"name": "listens", "scopes": scopes})).await;
        let listed = script.list("/api/v1/events/history").await;
        let kinds: Vec<&str> = listed.iter().filter_map(|event| event["kind"].as_str()).collect();
        let stream = streamed(&script).await;
        for kind in heard {
            assert!(
                kinds.contains(&kind) && stream.contains(&format!("event: {kind}\n")),
                "{scopes} hears {kind}: {kinds:?}"
            );
        }
        for kind in unheard {
            assert!(
                !kinds.contains(&kind) && !stream.contains(&format!("event: {kind}\n")),
                "{scopes} hears {kind}: {kinds:?}"
            );
        }
        // Measurements are of servers.
        assert_eq!(stream.contains("\"servers\":[]"), scopes != json!(["read"]), "{scopes}: {stream}");
    }
    let reader = token(
        &owner,
        json!({"name": "apps", "scopes": ["events:read", "apps:read", "audit:read"]}),
    )
    .await;
    reader.get("/api/v1/events/history?app=zqjournal").await.expect(200);
    reader.get("/api/v1/overview").await.expect(403);
    reader.get("/metrics").await.expect(403);
    // The audit log is a kind of its own, and is shown whole.
    let log = reader.get("/api/v1/audit?text=zqatelier").await.expect(200).text();
    assert!(log.contains("zqatelier"), "{log}");
    let deaf = token(&owner, json!({"name": "deaf", "scopes": ["events:read"]})).await;
    deaf.get("/api/v1/events/history?app=zqjournal").await.expect(403);
}

/// What is refused is told by kind; what a wish carries of other kinds needs those too.
#[tokio::test]
async fn what_is_carried_along_needs_its_own_kind() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let bare = |name: &str, more: Value| {
        let mut wish = json!({"name": name, "source": {"kind": "image", "reference": "nginx"}, "deploy": false});
        for (field, value) in more.as_object().expect("fields") {
            wish[field.as_str()] = value.clone();
        }
        wish
    };
    let script = token(&owner, json!({"name": "apps", "scopes": ["apps:write", "apps:deploy"]})).await;
    script.post("/api/v1/apps", bare("plain", json!({}))).await.expect(201);
    for (name, more, scope) in [
        ("domains", json!({"domains": ["zq.test"]}), "write of domains"),
        (
            "variables",
            json!({"variables": [{"key": "A", "value": "b"}]}),
            "write of variables",
        ),
        (
            "mounts",
            json!({"mounts": [{"volume": "data", "path": "/data"}]}),
            "write of volumes",
        ),
        ("deploys", json!({"deploy": true}), "deploy of deployments"),
    ] {
        let refused = script.post("/api/v1/apps", bare(name, more.clone())).await.expect(403).detail();
        assert!(refused.contains(&format!("a token with the scope {scope}")), "{name}: {refused}");
        let (verb, kind) = scope.split_once(" of ").expect("a verb and a kind");
        let both = json!(["apps:write", format!("{kind}:{verb}")]);
        let able = token(&owner, json!({"name": name, "scopes": both})).await;
        able.post("/api/v1/apps", bare(name, more)).await.expect(201);
    }
    let refused = script.get("/api/v1/apps/plain/jobs").await.expect(403).detail();
    assert!(refused.contains("needs a token with the scope read of jobs"), "{refused}");
    let refused = script.get("/api/v1/overview").await.expect(403).detail();
    assert!(refused.contains("the scope read of all kinds"), "{refused}");
    // Whatever it is for, it may know who it is.
    let session = script.get("/api/v1/session").await.expect(200).json();
    assert_eq!((&session["user"]["email"], &session["rights"]), (&json!(OWNER.0), &json!([])));
    // A job of a CI would get a token for everything in the app.
    let trust = json!({"repository": "ada/blog", "branches": ["main"]});
    let bound = token(&owner, json!({"name": "trusts", "scopes": ["tokens:write", "tokens:deploy"]})).await;
    let refused = bound.post("/api/v1/apps/plain/ci-trusts", trust).await.expect(403).detail();
    assert!(refused.contains("the scope deploy of all kinds"), "{refused}");
}

/// Bringing variables live, and what makes a webhook or a watch deploy, is deploying: a token for those kinds alone does not.
#[tokio::test]
async fn deploying_by_the_way_needs_deployments() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    panel.post("/api/v1/apps", image("zqjournal", None)).await.expect(201);
    let of = async |name: &str, scopes: Value| token(&owner, json!({"name": name, "scopes": scopes})).await;
    let set = json!({"set": [{"key": "A", "value": "b"}]});
    let live = "/api/v1/variables?owner=app:zqjournal&deploy=true";
    let alone = of("variables", json!(["variables:write", "variables:deploy"])).await;
    let refused = alone.patch(live, set.clone()).await.expect(403).detail();
    assert!(refused.contains("a token with the scope deploy of deployments"), "{refused}");
    alone.patch("/api/v1/variables?owner=app:zqjournal", set.clone()).await.expect(200);
    let both = of("both", json!(["variables:write", "deployments:deploy"])).await;
    both.patch(live, set).await.expect(200);

    let at = "/api/v1/apps/zqjournal/webhook";
    let alone = of("webhooks", json!(["webhooks:write", "webhooks:deploy"])).await;
    let both = of("webhooks and deployments", json!(["webhooks:write", "deployments:deploy"])).await;
    for change in [
        json!({"enabled": true}),
        json!({"branches": ["main"]}),
        json!({"tags": ["v*"]}),
        json!({"secret": "twelve-green-kettles-boil"}),
    ] {
        let refused = alone.patch(at, change.clone()).await.expect(403).detail();
        assert!(
            refused.contains("a token with the scope deploy of deployments"),
            "{change}: {refused}"
        );
        both.patch(at, change).await.expect(200);
    }
    alone.post(&format!("{at}/rotate"), json!({})).await.expect(403);
    alone.patch(at, json!({"enabled": false})).await.expect(200);

    let at = "/api/v1/apps/zqjournal/image-watch/check";
    let alone = of("registries", json!(["registries:deploy"])).await;
    let refused = alone.post(at, json!({})).await.expect(403).detail();
    assert!(refused.contains("a token with the scope deploy of deployments"), "{refused}");
    // Nothing is watched: so far it comes.
    let both = of("watches", json!(["registries:deploy", "deployments:deploy"])).await;
    both.post(at, json!({})).await.expect(409);
}

/// A token makes none with more than itself, and is a token for itself whatever it is for.
#[tokio::test]
async fn a_token_hands_on_no_other_kind() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let parent = token(&owner, json!({"name": "parent", "scopes": ["tokens:write", "jobs:write"]})).await;
    for (scopes, status) in [
        (json!(["jobs:read"]), 201),
        (json!(["jobs:write", "tokens:read"]), 201),
        (json!(["read"]), 403),
        (json!([]), 403),
        (json!(["write"]), 403),
        (json!(["apps:read"]), 403),
        (json!(["jobs:deploy"]), 403),
        (json!(["jobs:read", "apps:read"]), 403),
        (json!(["admin"]), 403),
    ] {
        let wish = json!({"name": "child", "scopes": scopes});
        parent.post("/api/v1/tokens", wish).await.expect(status);
    }
    let listed = panel.list("/api/v1/tokens").await;
    let named = |name: &str| {
        let found = listed.iter().find(|token| token["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!(
        named("parent")["scopes"],
        json!(["jobs:read", "jobs:write", "tokens:read", "tokens:write"])
    );
    // Another secret for one that has more is more.
    let strong = token(&owner, json!({"name": "strong", "scopes": ["apps:read"]})).await;
    let listed = panel.list("/api/v1/tokens").await;
    let strong_id = id(listed.iter().find(|token| token["name"] == "strong").expect("listed"));
    let at = format!("/api/v1/tokens/{strong_id}");
    parent.post(&format!("{at}/rotate"), json!({})).await.expect(403);
    // Its own it gets, and its end too, although it is not for tokens.
    strong.get("/api/v1/tokens").await.expect(403);
    let next = strong
        .post(&format!("{at}/rotate"), json!({"grace_minutes": 0}))
        .await
        .expect(200)
        .json();
    assert_eq!(next["token"]["scopes"], json!(["apps:read"]));
    let next = panel.with_token(next["secret"].as_str().expect("shown once"));
    next.get("/api/v1/apps").await.expect(200);
    next.delete(&format!("/api/v1/tokens/{}", id(&named("parent")))).await.expect(403);
    next.delete(&at).await.expect(204);
    next.get("/api/v1/apps").await.expect(401);
    for (scopes, words) in [
        (json!(["app:read"]), "`app` is no kind of things: use apps, audit, catalog"),
        (json!(["apps:reed"]), "`reed` is no verb: use read, deploy"),
        (json!(["apps:admin"]), "admin is everything that its owner may do"),
    ] {
        let refused = owner
            .post("/api/v1/tokens", json!({"name": "x", "scopes": scopes}))
            .await
            .expect(422);
        let detail = refused.code("invalid").detail();
        assert!(detail.contains(words), "{detail}");
    }
}

/// The command line says scopes as the API does.
#[tokio::test]
async fn kinds_by_the_command_line() {
    let panel = TestPanel::start().await;
    let made = panel
        .cli(&["token", "create", "watch", "--scope", "jobs:read", "--scope", "apps:deploy"])
        .await
        .expect(0)
        .stdout;
    let script = panel.with_token(made.trim());
    script.get("/api/v1/apps").await.expect(200);
    script.get("/api/v1/domains").await.expect(403);
    for arguments in [
        ["token", "create", "both", "--scope", "deploy", "--scope", "variables:write"],
        ["token", "create", "exact", "--scopes", "write,jobs:terminal", "--days", "3"],
        ["token", "create", "short", "--scope", "write", "--days", "3"],
    ] {
        panel.cli(&arguments).await.expect(0);
    }
    let listed = panel.list("/api/v1/tokens").await;
    for (name, scopes) in [
        ("watch", json!(["apps:read", "apps:deploy", "jobs:read"])),
        ("both", json!(["read", "deploy", "variables:write"])),
        ("exact", json!(["read", "write", "jobs:terminal"])),
        ("short", json!(["read", "deploy", "write", "secrets", "terminal"])),
    ] {
        let found = listed.iter().find(|token| token["name"] == name).expect("listed");
        assert_eq!(found["scopes"], scopes, "{name}");
    }
    let shown = panel.cli(&["token", "list"]).await.expect(0).stdout;
    assert!(shown.contains("apps:read, apps:deploy, jobs:read"), "{shown}");
    for (scope, words) in [
        ("app:read", "`app` is no kind of things: use apps, audit"),
        ("apps:reed", "`reed` is no verb"),
        ("apps:admin", "admin is everything"),
    ] {
        let refused = panel.cli(&["token", "create", "x", "--scope", scope]).await.expect(2);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
}
