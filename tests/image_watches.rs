//! Newer images under an app's tags at a real registry: told, held for their window, deployed, and not again after somebody went back.

use crate::deploy::text;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Registry, TestPanel, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(60);

async fn with_registry() -> (TestPanel, Registry) {
    let panel = TestPanel::docker().await;
    let registry = Registry::start().await;
    registry.push(&docker_host(), "tests/http:latest", "team/web:1");
    let login = json!({"server": registry.address(), "user": Registry::USER, "password": Registry::PASSWORD});
    panel.post("/api/v1/registries", login).await.expect(201);
    (panel, registry)
}

/// Asks until the registry is found to have, or not to have, a newer image for the app. What was asked just now is not asked again.
async fn checked(panel: &TestPanel, app: &str, newer: bool) -> Value {
    let path = format!("/api/v1/apps/{app}/image-watch/check");
    eventually_ok("the registry says so", SOON, || async {
        let watch = panel.post(&path, json!({})).await.expect(200).json();
        match watch["images"][0]["newer"] == newer && watch["images"][0]["problem"].is_null() {
            true => Ok(watch),
            false => Err(watch.to_string()),
        }
    })
    .await
}

async fn told(panel: &TestPanel) -> usize {
    let events = panel.list("/api/v1/events/history").await;
    events.iter().filter(|event| event["kind"] == "newer_image_found").count()
}

async fn deployments(panel: &TestPanel, app: &str) -> usize {
    panel.list(&format!("/api/v1/apps/{app}/deployments")).await.len()
}

#[tokio::test]
async fn docker_a_newer_image_is_told_then_deployed_in_its_window() {
    let (panel, registry) = with_registry().await;
    let image = format!("{}/team/web:1", registry.address());
    let body = json!({"name": "web", "source": {"kind": "image", "reference": image}, "domains": ["web.test"], "port": 8080});
    panel.live_app(body).await;
    let watch = panel.get("/api/v1/apps/web/image-watch").await.expect(200).json();
    assert_eq!((&watch["on_new"], &watch["every_minutes"]), (&json!("off"), &json!(15)), "{watch}");
    panel.post("/api/v1/apps/web/image-watch/check", json!({})).await.expect(409);

    panel.cli(&["image-watch", "set", "web", "notify"]).await.expect(0);
    checked(&panel, "web", false).await;
    registry.push(&docker_host(), "tests/http:latest", "team/web:1");
    let watch = checked(&panel, "web", true).await;
    let newest = text(&watch["images"][0], "newest");
    assert_ne!(watch["images"][0]["live"], watch["images"][0]["newest"]);
    assert_eq!((told(&panel).await, deployments(&panel, "web").await), (1, 1));
    assert_eq!(panel.get("/api/v1/apps/web").await.expect(200).json()["newer_image"], true);
    let shown = panel.cli(&["image-watch", "show", "web"]).await.expect(0).stdout;
    assert!(shown.contains("a newer one is there"), "{shown}");

    // Outside of its window it waits.
    let words = [
        "image-watch",
        "set",
        "web",
        "deploy",
        "--at",
        "0 0 29 2 *",
        "--for",
        "1m",
        "--every",
        "5m",
    ];
    panel.cli(&words).await.expect(0);
    let watch = checked(&panel, "web", true).await;
    assert_eq!(watch["waiting"], "it waits for its window", "{watch}");
    assert_eq!(deployments(&panel, "web").await, 1);

    // A window that is open: the job of the panel deploys it by itself.
    let words = [
        "image-watch",
        "set",
        "web",
        "deploy",
        "--at",
        "* * * * *",
        "--for",
        "1h",
        "--zone",
        "Europe/Berlin",
    ];
    let shown = panel.cli(&words).await.expect(0).stdout;
    assert!(shown.contains("open until"), "{shown}");
    let deployment = eventually_ok("it is deployed", SOON, || async {
        let newest = panel.newest("web").await;
        if newest["cause"] == "new_image" {
            Ok(newest)
        } else {
            Err(newest.to_string())
        }
    })
    .await;
    assert_eq!(text(&deployment, "new_image"), format!("{image}@{newest}"));
    panel.live(&text(&deployment, "id")).await;
    let watch = checked(&panel, "web", false).await;
    assert_eq!(watch["images"][0]["live"], json!(newest));
    assert_eq!(panel.get("/api/v1/apps/web").await.expect(200).json()["newer_image"], false);

    // Somebody goes back, and stays there.
    let back = panel.post("/api/v1/apps/web/rollback", json!({})).await.expect(202).json();
    panel.live(&text(&back, "id")).await;
    checked(&panel, "web", true).await;
    assert_eq!(deployments(&panel, "web").await, 3);

    // The registry is away: that is said, and nothing else happens.
    drop(registry);
    let problem = eventually_ok("it is said", SOON, || async {
        let watch = panel.post("/api/v1/apps/web/image-watch/check", json!({})).await.expect(200).json();
        watch["images"][0]["problem"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| watch.to_string())
    })
    .await;
    assert!(!problem.contains(Registry::PASSWORD), "{problem}");
    assert_eq!(deployments(&panel, "web").await, 3);
}

#[tokio::test]
async fn docker_a_newer_image_of_a_service_is_deployed() {
    let (panel, registry) = with_registry().await;
    let compose = format!(
        "services:\n  web:\n    image: {}/team/web:1\n    expose: [8080]\n",
        registry.address()
    );
    let body = json!({"name": "shop", "source": {"kind": "compose", "compose": compose}, "domains": ["shop.test"]});
    panel.live_app(body).await;
    panel
        .put("/api/v1/apps/shop/image-watch", json!({"on_new": "deploy"}))
        .await
        .expect(200);
    checked(&panel, "shop", false).await;
    registry.push(&docker_host(), "tests/http:latest", "team/web:1");
    let deployment = eventually_ok("it is deployed", SOON, || async {
        panel.post("/api/v1/apps/shop/image-watch/check", json!({})).await.expect(200);
        let newest = panel.newest("shop").await;
        if newest["cause"] == "new_image" {
            Ok(newest)
        } else {
            Err(newest.to_string())
        }
    })
    .await;
    panel.live(&text(&deployment, "id")).await;
    checked(&panel, "shop", false).await;
    assert_eq!((told(&panel).await, deployments(&panel, "shop").await), (1, 2));
}

#[tokio::test]
async fn what_cannot_be_watched() {
    let panel = TestPanel::start().await;
    let app = |name: &str, source: Value| json!({"name": name, "source": source, "deploy": false});
    let built = app("built", json!({"kind": "git", "url": "http://127.0.0.1:9/nothing.git"}));
    panel.post("/api/v1/apps", built).await.expect(201);
    panel
        .post("/api/v1/apps", app("web", json!({"kind": "image", "reference": "nginx:1"})))
        .await
        .expect(201);
    panel
        .put("/api/v1/apps/built/image-watch", json!({"on_new": "notify"}))
        .await
        .expect(422);
    for wrong in [
        json!({"on_new": "notify", "every_minutes": 4}),
        json!({"on_new": "deploy", "window": {"cron": "nonsense", "minutes": 60}}),
        json!({"on_new": "deploy", "window": {"cron": "0 3 * * *", "zone": "Mars/Olympus", "minutes": 60}}),
        json!({"on_new": "deploy", "window": {"cron": "0 3 * * *", "minutes": 0}}),
    ] {
        panel.put("/api/v1/apps/web/image-watch", wrong).await.expect(422);
    }
    let set = panel
        .cli(&["image-watch", "set", "web", "notify", "--every", "1h"])
        .await
        .expect(0)
        .stdout;
    assert!(set.contains("every 60 min"), "{set}");
}

/// What a CI has pushed under a tag of its own runs by that tag, and the release knows it.
#[tokio::test]
async fn docker_a_tag_for_one_deployment() {
    let (panel, registry) = with_registry().await;
    let own = format!("{}/team/web:1", registry.address());
    let body = json!({"name": "web", "source": {"kind": "image", "reference": own}, "domains": ["web.test"], "port": 8080});
    panel.live_app(body).await;
    registry.push(&docker_host(), "tests/http:latest", "team/web:4f2a91c");
    for (wish, words) in [
        (json!({"image": "nginx:1"}), "is not of"),
        (json!({"image": "no tag"}), "must be an image reference"),
        (json!({"image": "1", "reference": "main"}), "goes without a reference"),
    ] {
        let refused = panel.post("/api/v1/apps/web/deployments", wish).await.expect(422);
        assert!(refused.detail().contains(words), "{}", refused.detail());
    }
    panel.cli(&["deploy", "web", "--image-tag", "4f2a91c", "--wait"]).await.expect(0);
    let live = panel.get("/api/v1/apps/web").await.expect(200).json();
    let tagged = format!("{}/team/web:4f2a91c", registry.address());
    assert_eq!(live["release"]["image_name"], tagged, "{live}");
    assert_eq!(live["source"]["reference"], own, "the app keeps its own");
    assert_eq!(panel.newest("web").await["image"], tagged);
    // By the digest that it has there.
    let digest = text(&live["release"], "digest");
    let digest = digest.split_once('@').expect("by its digest").1;
    panel.cli(&["deploy", "web", "--image-tag", digest, "--wait"]).await.expect(0);
    panel.cli(&["rollback", "web", "1", "--wait"]).await.expect(0);
    let back = panel.get("/api/v1/apps/web").await.expect(200).json();
    assert_eq!(back["release"]["image_name"], own, "{back}");
    panel.cli(&["rollback", "web", "2", "--wait"]).await.expect(0);
    let forth = panel.get("/api/v1/apps/web").await.expect(200).json();
    assert_eq!(forth["release"]["image_name"], tagged, "{forth}");
    // The next usual one is the app's own again.
    let usual = panel.deploy("web").await;
    panel.live(&usual).await;
    let usual = panel.get("/api/v1/apps/web").await.expect(200).json();
    assert_eq!(usual["release"]["image_name"], own, "{usual}");
}
