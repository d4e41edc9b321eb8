//! Apps from a registry that wants a login: deployed, moved on with the tag, and brought back by digest.

use crate::egress::OPEN;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, Options, Registry, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(60);

async fn release(panel: &TestPanel, app: &str) -> Value {
    let newest = panel.newest(app).await;
    let releases = panel.get(&format!("/api/v1/apps/{app}/releases")).await.expect(200).json();
    let items = releases["items"].as_array().unwrap();
    items.iter().find(|one| one["id"] == newest["release"]).unwrap().clone()
}

#[tokio::test]
async fn docker_an_app_from_a_private_registry() {
    let panel = TestPanel::docker().await;
    let registry = Registry::start().await;
    let image = format!("{}/team/web:1", registry.address());
    registry.push(&docker_host(), "nginx:1.22", "team/web:1");
    let body = json!({"name": "web", "source": {"kind": "image", "reference": image}, "domains": ["web.test"], "port": 80});
    panel.create_app(body).await;
    let first = panel.newest("web").await["id"].as_str().unwrap().to_owned();
    let error = panel.fails(&first).await;
    assert!(error.contains("serverkit registry add"), "{error}");

    let login = |password: &str| json!({"server": registry.address(), "user": Registry::USER, "password": password});
    panel.post("/api/v1/registries", login("let me in")).await.expect(422);
    panel.post("/api/v1/registries", login(Registry::PASSWORD)).await.expect(201);
    let deployed = panel.deploy("web").await;
    panel.live(&deployed).await;
    assert!(panel.visit("web.test", "/").await.expect(200).text().contains("nginx"));
    let old = release(&panel, "web").await;
    let digest = old["digest"].as_str().unwrap();
    assert!(digest.starts_with(&format!("{}/team/web@sha256:", registry.address())), "{old}");

    // The tag moves: a deployment runs what it means now.
    registry.push(&docker_host(), "tests/http:latest", "team/web:1");
    panel.patch("/api/v1/apps/web", json!({"port": 8080})).await.expect(200);
    let deployed = panel.deploy("web").await;
    panel.live(&deployed).await;
    let new = release(&panel, "web").await;
    assert_ne!(new["digest"], old["digest"]);
    let diff = format!(
        "/api/v1/apps/web/diff?from={}&to={}",
        old["id"].as_str().unwrap(),
        new["id"].as_str().unwrap()
    );
    let diff = panel.get(&diff).await.expect(200).json();
    assert!(
        diff["changes"].as_array().unwrap().iter().any(|one| one["what"] == "image digest"),
        "{diff}"
    );

    // Somebody tidied the engine up: the way back leads over the registry.
    let id = old["image"].as_str().unwrap();
    eventually_ok("the old image can go", SOON, || async {
        docker(&docker_host(), &["rmi", "--force", id]).map(drop)
    })
    .await;
    let back = panel.post("/api/v1/apps/web/rollback", json!({})).await.expect(202).json();
    panel.live(back["id"].as_str().unwrap()).await;
    assert!(panel.visit("web.test", "/").await.expect(200).text().contains("nginx"));
}

/// What one organization's login brought is nobody else's, though all use one engine.
#[tokio::test]
async fn docker_an_image_that_another_organization_pulled_is_not_there_for_others() {
    let panel = Options::docker().config(OPEN).start().await;
    let registry = Registry::start().await;
    let image = format!("{}/team/private:1", registry.address());
    registry.push(&docker_host(), "nginx:1.22", "team/private:1");
    let login = json!({"server": registry.address(), "user": Registry::USER, "password": Registry::PASSWORD});

    let there = panel.organization("acme").await;
    there.post("/api/v1/registries", login.clone()).await.expect(201);
    let of_image = |name: &str| json!({"name": name, "source": {"kind": "image", "reference": image}, "domains": [format!("{name}.test")], "port": 80});
    there.post("/api/v1/apps", of_image("theirs")).await.expect(201);
    eventually_ok("theirs is live", SOON, || async {
        let page = there.get("/api/v1/apps/theirs/deployments").await.expect(200).json();
        match page["items"][0]["phase"] == "live" {
            true => Ok(()),
            false => Err(page.to_string()),
        }
    })
    .await;
    docker(&docker_host(), &["image", "inspect", &image]).expect_err("its name is off");

    let file = GitFixture::of(&[("Dockerfile", &format!("FROM {image}\nEXPOSE 80\n"))]);
    let compose = |policy: &str| format!("services:\n  web:\n    image: {image}\n    pull_policy: {policy}\n    expose: [80]\n");
    let of_compose = |name: &str, policy: &str| json!({"name": name, "source": {"kind": "compose", "compose": compose(policy)}});
    for (body, why) in [
        (of_image("image"), "does not let us pull"),
        (of_compose("missing", "missing"), "does not let us pull"),
        (of_compose("never", "never"), "no image"),
        (
            json!({"name": "built", "source": {"kind": "git", "url": file.path()}}),
            "does not let us pull",
        ),
    ] {
        let name = body["name"].as_str().unwrap().to_owned();
        panel.create_app(body).await;
        let deployment = panel.newest(&name).await["id"].as_str().unwrap().to_owned();
        let error = panel.fails(&deployment).await;
        assert!(error.contains(why), "{name}: {error}");
    }

    // With a login of one's own all of it goes, `never` once the login brought it.
    panel.post("/api/v1/registries", login).await.expect(201);
    for app in ["built", "never"] {
        let deployment = panel.deploy(app).await;
        match app {
            "never" => drop(panel.fails(&deployment).await),
            _ => drop(panel.live(&deployment).await),
        }
    }
    for app in ["missing", "never", "image"] {
        let deployment = panel.deploy(app).await;
        panel.live(&deployment).await;
    }
}
