//! Promotion of apps of several services: the very same images go live elsewhere, with the file and the variables that are there.

use crate::{
    compose::{containers, id_of, says},
    deploy::{app_of, text},
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, Registry, TestPanel, docker, docker_host, eventually, eventually_ok};

const SOON: Duration = Duration::from_secs(60);

const FILE: &str = r#"
services:
  web:
    build: {context: web}
    restart: always
    stop_grace_period: 1s
    ports: ["8080:80"]
    environment: {PLACE: "${PLACE}"}
  cache: {image: 'redis:7', restart: always, stop_grace_period: 1s}
"#;
const WEB: &str = "FROM nginx:1.22\nCOPY index.html /usr/share/nginx/html/\nRUN head -c 16 /dev/urandom >/once\n";

fn shop(git: &GitFixture, host: &str, place: &str) -> Value {
    json!({
        "name": "shop",
        "source": {"kind": "git", "url": git.path(), "compose_file": ""},
        "domains": [host],
        "variables": [{"key": "PLACE", "value": place}],
        "grace_seconds": 2,
    })
}

/// What the container of a service is made from, once as many as there should be are left.
async fn image_of(app: &str, service: &str, services: usize) -> String {
    eventually("old containers go", SOON, || async {
        (containers(app).len() == services).then_some(())
    })
    .await;
    let container = id_of(&containers(app), service);
    docker(&docker_host(), &["inspect", "--format", "{{.Image}}", &container]).unwrap()
}

#[tokio::test]
async fn docker_services_are_promoted_with_their_images() {
    let panel = TestPanel::docker().await;
    let git = GitFixture::of(&[("compose.yaml", FILE), ("web/Dockerfile", WEB), ("web/index.html", "page one")]);
    let project = text(&panel.list("/api/v1/projects").await[0], "id");
    let made = panel
        .post(&format!("/api/v1/projects/{project}/environments"), json!({"name": "staging"}))
        .await
        .expect(201)
        .json();
    let production = text(&panel.live_app(shop(&git, "shop.test", "production")).await, "id");
    let tried = git.edit("web/index.html", "one", "two");
    let mut body = shop(&git, "staging.test", "staging");
    body["environment"] = json!(text(&made, "id"));
    let staged = text(&panel.live_app(body).await, "id");
    says(&panel, "staging.test", "page two").await;
    says(&panel, "shop.test", "page one").await;
    // What was pushed since then does not come along.
    git.edit("web/index.html", "two", "three");

    let differs = panel
        .cli(&["promote", "shop@staging", "--to", "production", "--dry-run"])
        .await
        .expect(0)
        .stdout;
    assert!(
        differs.contains("service web image") && !differs.contains("service web environment") && !differs.contains("service cache"),
        "{differs}"
    );
    let there = image_of(&staged, "web", 2).await;
    assert_ne!(image_of(&production, "web", 2).await, there);
    panel
        .cli(&["promote", "shop@staging", "--to", "production", "--wait"])
        .await
        .expect(0);
    says(&panel, "shop.test", "page two").await;
    assert_eq!(image_of(&production, "web", 2).await, there);
    let web = id_of(&containers(&production), "web");
    let place = docker(&docker_host(), &["exec", &web, "printenv", "PLACE"]).unwrap();
    assert_eq!(place.trim_end(), "production");
    let newest = panel.newest(&production).await;
    assert_eq!((&newest["cause"], &newest["commit"]["id"]), (&json!("promotion"), &json!(tried)));

    // To a file that the panel keeps: the services that are in it.
    let keeps = |name: &str, services: &str| {
        let source = json!({"kind": "compose", "compose": format!("services: {services}\n")});
        json!({"name": name, "source": source, "domains": [], "deploy": false, "grace_seconds": 2})
    };
    let kept = text(
        &panel
            .create_app(keeps("kept", "{web: {image: 'nginx:1.22', ports: ['80'], restart: always}}"))
            .await,
        "id",
    );
    let promote = async |to: &str| {
        let body = json!({"to": to});
        panel.post(&format!("/api/v1/apps/{staged}/promote"), body).await
    };
    let queued = promote("kept").await.expect(202).json();
    panel.live(&text(&queued, "id")).await;
    assert_eq!(image_of(&kept, "web", 1).await, there);
    let log = panel.build_log(&text(&queued, "id")).await;
    assert!(log.contains("cache: the file of this app has no such service"), "{log}");

    // What cannot be says why.
    panel
        .create_app(keeps("other", "{other: {image: 'nginx:1.22', ports: ['80']}}"))
        .await;
    let refused = promote("other").await.expect(422);
    assert!(refused.detail().contains("has no service `other`"), "{}", refused.detail());
    let mut one = app_of("one", &git);
    one["deploy"] = json!(false);
    panel.create_app(one).await;
    let refused = promote("one").await.expect(422);
    assert!(refused.detail().contains("`one` is one container"), "{}", refused.detail());
}

/// Somebody tidies the engine up.
async fn take_off(image: &str) {
    eventually_ok("the image can go", SOON, || async {
        docker(&docker_host(), &["rmi", "--force", image]).map(drop)
    })
    .await;
}

#[tokio::test]
async fn docker_services_of_a_registry_come_back_by_their_digests() {
    let panel = TestPanel::docker().await;
    let registry = Registry::start().await;
    let reference = format!("{}/team/web:1", registry.address());
    registry.push(&docker_host(), "nginx:1.22", "team/web:1");
    let login = json!({"server": registry.address(), "user": Registry::USER, "password": Registry::PASSWORD});
    panel.post("/api/v1/registries", login).await.expect(201);
    let web = format!("{{image: '{reference}', ports: ['80'], restart: always, pull_policy: always, stop_grace_period: 1s}}");
    let of_registry = |name: &str, deploy: bool| {
        let source = json!({"kind": "compose", "compose": format!("services:\n  web: {web}\n")});
        json!({"name": name, "source": source, "domains": [format!("{name}.test")], "deploy": deploy, "grace_seconds": 2})
    };
    let shop = text(&panel.live_app(of_registry("shop", true)).await, "id");
    let first = image_of(&shop, "web", 1).await;

    // The tag moves.
    registry.push(&docker_host(), "nginx:1.22", "team/web:1");
    let deployed = panel.deploy("shop").await;
    panel.live(&deployed).await;
    assert_ne!(image_of(&shop, "web", 1).await, first);
    take_off(&first).await;
    let back = panel.post("/api/v1/apps/shop/rollback", json!({})).await.expect(202).json();
    panel.live(&text(&back, "id")).await;
    assert_eq!(image_of(&shop, "web", 1).await, first);

    let deployed = panel.deploy("shop").await;
    panel.live(&deployed).await;
    assert_ne!(image_of(&shop, "web", 1).await, first);
    take_off(&first).await;
    let other = text(&panel.create_app(of_registry("other", false)).await, "id");
    let body = json!({"to": "other", "release": "1"});
    let queued = panel.post("/api/v1/apps/shop/promote", body).await.expect(202).json();
    panel.live(&text(&queued, "id")).await;
    assert_eq!(image_of(&other, "web", 1).await, first);
    says(&panel, "other.test", "nginx").await;
}
