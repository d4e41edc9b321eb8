//! Deleting an organization: who may, what it says before, and that nothing of it is left on the engine.

use serde_json::json;
use std::time::Duration;
use testkit::{OWNER, TestPanel, docker, docker_host, eventually_ok};

const PASSWORD: &str = "eleven green kettles boil";

#[tokio::test]
async fn who_is_in_a_deleted_organization_is_out_at_once() {
    let panel = TestPanel::start().await;
    let there = panel.organization("acme").await;
    // People come by invitation: whether an address has an account elsewhere is not told.
    let mut answers = Vec::new();
    for email in ["bob@acme.test", OWNER.0] {
        let user = json!({"email": email, "name": "Somebody", "role": "admin", "password": PASSWORD});
        answers.push(there.post("/api/v1/users", user).await.expect(422).detail());
    }
    assert!(answers[0] == answers[1] && answers[0].contains("by invitation"), "{answers:?}");
    there.join("bob@acme.test", "Bob", "admin", PASSWORD).await;
    let bob = there.signed_in("bob@acme.test", PASSWORD).await;
    let made = json!({"name": "ci", "scope": "admin", "expires_in_days": 1});
    let made = bob.post("/api/v1/tokens", made).await.expect(201).json();
    let token = bob.with_token(made["secret"].as_str().unwrap());
    token.get("/api/v1/apps").await.expect(200);

    let plan = there.get("/api/v1/organizations/acme/delete-plan").await.expect(200).json();
    assert_eq!(
        (plan["people"][0].as_str(), plan["tokens"].as_u64()),
        (Some("bob@acme.test"), Some(1)),
        "{plan}"
    );
    bob.delete("/api/v1/organizations/acme?confirm=acme").await.expect(403);
    there.delete("/api/v1/organizations/acme").await.expect(422);
    there.delete("/api/v1/organizations/acme?confirm=default").await.expect(422);
    there.delete("/api/v1/organizations/default?confirm=default").await.expect(404);
    panel.delete("/api/v1/organizations/default?confirm=default").await.expect(409);
    panel.delete("/api/v1/organizations/acme?confirm=acme").await.expect(404);

    there.delete("/api/v1/organizations/acme?confirm=acme").await.expect(204);
    there.get("/api/v1/apps").await.expect(401);
    bob.get("/api/v1/apps").await.expect(401);
    token.get("/api/v1/apps").await.expect(401);
    let again = json!({"email": "bob@acme.test", "password": PASSWORD});
    panel.browser().post("/api/v1/session", again).await.expect(401);
    // Whose account belongs elsewhere goes on there.
    let home = panel.signed_in(OWNER.0, OWNER.1).await;
    let own = home.list("/api/v1/organizations").await;
    assert_eq!(own.len(), 1, "{own:?}");
    eventually_ok("its name is free again", Duration::from_secs(20), || async {
        let made = home.post("/api/v1/organizations", json!({"name": "acme"})).await;
        match made.status.as_u16() {
            201 => Ok(()),
            _ => Err(made.text()),
        }
    })
    .await;
    let said = panel.cli(&["organization", "delete", "default", "--yes"]).await.expect(1).stderr;
    assert!(said.contains("runs this panel and stays"), "{said}");
}

/// What another organization has is taken, whatever covers it, in words that tell nothing of it.
#[tokio::test]
async fn names_of_one_organization_lead_to_no_other() {
    let panel = TestPanel::start().await;
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    let there = panel.organization("acme").await;
    let app = |name: &str| json!({"name": name, "source": {"kind": "image", "reference": "nginx"}, "deploy": false});
    let own = panel.create_app(app("shop")).await;
    assert_eq!(own["domains"], json!(["shop.apps.test"]));
    panel
        .post("/api/v1/apps/shop/domains", json!({"host": "*.shop.test"}))
        .await
        .expect(201);
    let theirs = there.post("/api/v1/apps", app("shop")).await.expect(201).json();
    assert_eq!(
        theirs["domains"],
        json!(["shop-acme.apps.test"]),
        "it does not tell of the other one"
    );
    for (host, detail) in [
        ("login.shop.test", "the domain `login.shop.test` is taken"),
        ("*.shop.apps.test", "the domain `*.shop.apps.test` is taken"),
        ("127.0.0.1", "the domain `127.0.0.1` is taken by the panel itself"),
    ] {
        let refused = there.post("/api/v1/apps/shop/domains", json!({"host": host})).await.expect(409);
        assert_eq!(refused.code("taken").detail(), detail);
    }
    there
        .post("/api/v1/apps/shop/domains", json!({"host": "shop.example.test"}))
        .await
        .expect(201);
}

#[tokio::test]
async fn docker_nothing_of_a_deleted_organization_is_left_on_the_engine() {
    let panel = TestPanel::docker().await;
    let there = panel.organization("acme").await;
    let app = json!({"name": "shop", "source": {"kind": "image", "reference": "nginx:1.22"}, "domains": ["shop.test"], "grace_seconds": 1,
                     "mounts": [{"volume": "data", "path": "/data"}]});
    let made = there.post("/api/v1/apps", app).await.expect(201).json();
    eventually_ok("it runs", Duration::from_secs(60), || async {
        let app = there.get("/api/v1/apps/shop").await.expect(200).json();
        match app["state"] == "running" {
            true => Ok(()),
            false => Err(app.to_string()),
        }
    })
    .await;
    let volumes = there.list("/api/v1/volumes").await;
    let volume = volumes[0]["id"].as_str().unwrap().trim_start_matches("vol_").to_owned();
    let id = made["id"].as_str().unwrap().to_owned();
    let left = || {
        let containers = docker(
            &docker_host(),
            &["ps", "-a", "-q", "--filter", &format!("label=serverkit.app={id}")],
        )
        .unwrap();
        let volumes = docker(&docker_host(), &["volume", "ls", "-q", "--filter", &format!("name={volume}")]).unwrap();
        format!("{containers}{volumes}")
    };
    assert_ne!(left(), "", "it is there before");
    there.delete("/api/v1/organizations/acme?confirm=acme").await.expect(204);
    eventually_ok("it is gone from the engine", Duration::from_secs(60), || async {
        match left().as_str() {
            "" => Ok(()),
            left => Err(left.to_owned()),
        }
    })
    .await;
}
