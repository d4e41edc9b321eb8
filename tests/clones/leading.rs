//! What leads to an app and what of it goes along: rules of domains, TLS that is passed through, ports, CIs, watches over images.

use super::{app_in, begin, done, image, production};
use crate::deploy::text;
use serde_json::{Value, json};
use testkit::{TestPanel, free_port};

/// `blog` with rules of every kind, `wiki` that ends TLS itself, and `notes` that has no copy.
async fn much_that_leads(panel: &TestPanel) -> u16 {
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    for name in ["blog", "wiki", "notes"] {
        panel.post("/api/v1/apps", image(name)).await.expect(201);
    }
    let www = json!({"host": "www.blog.test"});
    panel.post("/api/v1/apps/blog/domains", www).await.expect(201);
    let rules = [
        json!({"name": "pages", "matches": {"path": {"kind": "prefix", "path": "/pages"}}, "action": {"kind": "app", "app": "wiki"}}),
        json!({"name": "notes", "matches": {"path": {"kind": "prefix", "path": "/notes"}}, "action": {"kind": "app", "app": "notes"}}),
        json!({"name": "moved", "matches": {"path": {"kind": "exact", "path": "/old"}},
            "action": {"kind": "redirect", "to": "https://blog.test/new", "status": 308}}),
        json!({"name": "away", "matches": {"path": {"kind": "exact", "path": "/www"}},
            "action": {"kind": "redirect", "to": "https://www.blog.test/", "status": 308}}),
        json!({"name": "outside", "matches": {"path": {"kind": "prefix", "path": "/outside"}},
            "action": {"kind": "origin", "origin": {"kind": "host", "host": "127.0.0.1", "port": 9}}}),
        json!({"name": "shares", "matches": {"path": {"kind": "prefix", "path": "/shares"}},
            "action": {"kind": "split", "parts": [{"weight": 1}, {"weight": 3, "app": "wiki"}]}}),
    ];
    for rule in rules {
        panel.post("/api/v1/domains/blog.test/rules", rule).await.expect(201);
    }
    let canary = json!({"app": "wiki", "percent": 10});
    panel.put("/api/v1/domains/blog.test/canary", canary).await.expect(200);
    panel
        .put("/api/v1/domains/wiki.test/passthrough", json!({"port": 8443}))
        .await
        .expect(200);
    let port = free_port();
    let wish = json!({"listen": format!("tcp/{port}"), "app": "blog", "target_port": 5000, "allow": ["127.0.0.0/8"], "max_connections": 7});
    panel.post("/api/v1/ports", wish).await.expect(201);
    let trust = json!({"repository": "ada/blog", "branches": ["main"]});
    panel.post("/api/v1/apps/blog/ci-trusts", trust).await.expect(201);
    let watch = json!({"on_new": "notify", "every_minutes": 30});
    panel.put("/api/v1/apps/blog/image-watch", watch).await.expect(200);
    port
}

fn two() -> Value {
    json!([{"app": "blog"}, {"app": "wiki"}])
}

async fn plan(panel: &TestPanel, wish: Value) -> Value {
    let from = production(panel).await;
    let at = format!("/api/v1/environments/{from}/clone-plan");
    panel.post(&at, wish).await.expect(200).json()
}

async fn trusts(panel: &TestPanel, app: &str) -> Vec<Value> {
    let found = panel.get(&format!("/api/v1/apps/{app}/ci-trusts")).await.expect(200).json();
    found["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn rules_lead_to_the_new_apps_and_nothing_back_to_production() {
    let panel = TestPanel::start().await;
    let port = much_that_leads(&panel).await;
    let wish = json!({"name": "staging", "apps": two(), "deploy": false});
    let planned = plan(&panel, wish.clone()).await;
    let blog = &planned["apps"][0];
    let names: Vec<&str> = blog["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| rule["name"].as_str())
        .collect();
    assert_eq!(names, ["pages", "moved", "outside", "shares"], "{planned}");
    assert_eq!(blog["rules"][0]["domain"], "blog-staging.apps.test");
    let left = planned["left_out"].to_string();
    for words in [
        "the rule notes of blog.test: it leads to an app that is not in the clone",
        "the rule away of blog.test: it leads to www.blog.test",
        "the canary of blog.test",
        "leads to `blog` only",
        "ada/blog may deploy `blog` from its CI, and not the copy",
    ] {
        assert!(left.contains(words), "{words}: {planned}");
    }
    assert!(
        planned["notes"]
            .to_string()
            .contains("TLS of wiki-staging.apps.test is left to the app"),
        "{planned}"
    );
    assert_eq!(blog["ports"], json!([{"from": format!("tcp/{port}"), "to": null}]));
    assert_eq!(blog["ci"], json!([{"repository": "ada/blog", "trusted": false}]));
    assert_eq!(blog["image_watch"], "notify");

    done(&panel, &begin(&panel, wish).await).await;
    let (own, wiki) = (app_in(&panel, "blog", "staging").await, app_in(&panel, "wiki", "staging").await);
    let made = panel.list("/api/v1/domains/blog-staging.apps.test/rules").await;
    let rule = |name: &str| {
        made.iter()
            .find(|rule| rule["name"] == name)
            .unwrap_or_else(|| panic!("no {name}: {made:?}"))
    };
    assert_eq!(made.len(), 4, "{made:?}");
    for name in ["pages", "shares"] {
        assert!(rule(name)["action"].to_string().contains(&text(&wiki, "id")), "{made:?}");
    }
    assert_eq!(rule("moved")["action"]["to"], "https://blog-staging.apps.test/new");
    let old = panel.list("/api/v1/domains/blog.test/rules").await;
    assert!(
        old.iter().all(|rule| made.iter().all(|other| other["id"] != rule["id"])),
        "rules of their own"
    );
    let shown = panel.get("/api/v1/domains/blog-staging.apps.test/traffic").await.expect(200).json();
    assert_eq!(shown["canary"], Value::Null, "{shown}");
    let shown = panel.get("/api/v1/domains/wiki-staging.apps.test/traffic").await.expect(200).json();
    assert_eq!(shown["passthrough"]["port"], 8443, "{shown}");
    // What a request there would meet.
    let question = json!({"url": "https://blog-staging.apps.test/old"});
    let told = panel.post("/api/v1/domains/explain", question).await.expect(200).json();
    assert!(told.to_string().contains("blog-staging.apps.test/new"), "{told}");

    assert!(trusts(&panel, &text(&own, "id")).await.is_empty());
    assert_eq!(panel.list("/api/v1/ports").await.len(), 1);
    let watch = panel
        .get(&format!("/api/v1/apps/{}/image-watch", text(&own, "id")))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&watch["on_new"], &watch["every_minutes"]),
        (&json!("notify"), &json!(30)),
        "{watch}"
    );
    // Each is its own: a rule that goes from one is still the other's.
    panel.delete("/api/v1/domains/blog-staging.apps.test/rules/moved").await.expect(204);
    assert_eq!(panel.list("/api/v1/domains/blog.test/rules").await.len(), 6);
}

#[tokio::test]
async fn ports_and_cis_go_along_where_somebody_says_so() {
    let panel = TestPanel::start().await;
    let port = much_that_leads(&panel).await;
    let words = [
        "project",
        "clone-environment",
        "default",
        "production",
        "staging",
        "--app",
        "blog",
        "--no-deploy",
        "--open-ports",
        "--trust-ci",
    ];
    let shown = panel.cli(&[&words[..], &["--plan"]].concat()).await.expect(0).stdout;
    assert!(shown.contains("CI of ada/blog: may deploy it"), "{shown}");
    assert!(shown.contains("rule moved of blog-staging.apps.test"), "{shown}");
    panel.cli(&[&words[..], &["--wait"]].concat()).await.expect(0);
    let own = app_in(&panel, "blog", "staging").await;
    let ports = panel.list("/api/v1/ports").await;
    let of_copy = |one: &&Value| one["app"].to_string().contains(&text(&own, "id"));
    let made = ports.iter().find(of_copy).unwrap_or_else(|| panic!("{ports:?}"));
    assert_ne!(made["listen"], format!("tcp/{port}"));
    assert_eq!(
        (&made["target_port"], &made["max_connections"]),
        (&json!(5000), &json!(7)),
        "{made}"
    );
    assert_eq!(
        made["allow"],
        json!(["127.0.0.0/8"]),
        "whoever may not reach the one may not reach the other"
    );
    let (old, new) = (trusts(&panel, "blog@production").await, trusts(&panel, &text(&own, "id")).await);
    assert_eq!(
        (new.len(), &new[0]["repository"], &new[0]["branches"]),
        (1, &json!("ada/blog"), &json!(["main"]))
    );
    assert_ne!(old[0]["id"], new[0]["id"], "what is taken from one stays the other's");

    // Who may not open ports or reach servers outside gets neither by cloning.
    let careful = panel.custom_member("careful", &["view", "configure", "deploy"]).await;
    let from = production(&panel).await;
    let at = format!("/api/v1/environments/{from}/clone-plan");
    let wish = json!({"name": "third", "apps": [{"app": "blog"}], "ports": "other"});
    let planned = careful.post(&at, wish).await.expect(200).json();
    assert_eq!(planned["apps"][0]["ports"][0]["to"], Value::Null, "{planned}");
    let left = planned["left_out"].to_string();
    assert!(left.contains("only an administrator opens ports"), "{planned}");
    assert!(
        left.contains("the rule outside of blog.test: it leads to a server outside"),
        "{planned}"
    );
}
