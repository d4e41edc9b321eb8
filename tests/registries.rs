//! Apps from a registry that wants a login: deployed, moved on with the tag, and brought back by digest.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Registry, TestPanel, docker, docker_host};

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
    testkit::eventually_ok("the old image can go", SOON, || async {
        docker(&docker_host(), &["rmi", digest]).map(drop)
    })
    .await;
    let back = panel.post("/api/v1/apps/web/rollback", json!({})).await.expect(202).json();
    panel.live(back["id"].as_str().unwrap()).await;
    assert!(panel.visit("web.test", "/").await.expect(200).text().contains("nginx"));
}
