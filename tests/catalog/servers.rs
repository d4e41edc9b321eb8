//! Servers written in Go: with accounts that the template hashes, and with files that it brings.

use super::{Installed, speaks};
use serde_json::json;
use testkit::{TestPanel, eventually_ok, free_port};

#[tokio::test]
async fn docker_catalog_prometheus_watches_itself() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "prometheus", json!({"retention": "3d"})).await;
    app.get("/-/ready").await.expect(401);
    let signed = |path: &str| {
        app.request(reqwest::Method::GET, path)
            .basic_auth("admin", Some(app.value("password")))
    };
    app.send(signed("/-/ready")).await.expect(200);
    let flags = app.send(signed("/api/v1/status/flags")).await.expect(200).json();
    assert_eq!(flags["data"]["storage.tsdb.retention.time"], "3d");
    eventually_ok("it scrapes itself", std::time::Duration::from_secs(90), || async {
        let targets = app.send(signed("/api/v1/targets")).await.expect(200).json();
        let target = &targets["data"]["activeTargets"][0];
        (target["health"] == "up").then_some(()).ok_or_else(|| target.to_string())
    })
    .await;
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_registry_and_syncthing() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "registry", json!({})).await;
    app.get("/").await.expect(200);
    let asked = app.get("/v2/").await.expect(401);
    assert!(asked.header("www-authenticate").unwrap().contains("Basic"), "{asked:?}");
    let signed = |method, path: &str| app.request(method, path).basic_auth("push", Some(app.value("password")));
    app.send(signed(reqwest::Method::GET, "/v2/")).await.expect(200);
    let begun = app
        .send(signed(reqwest::Method::POST, "/v2/otter/blobs/uploads/"))
        .await
        .expect(202);
    assert!(begun.header("location").unwrap().starts_with("https://registry.test"), "{begun:?}");
    app.remove().await;

    let port = free_port();
    let app = Installed::new(&panel, "syncthing", json!({"sync_port": port.to_string()})).await;
    app.says("/", "Syncthing").await;
    // What its own protocol begins with: TLS, here an alert or a hello.
    let hello = b"\x16\x03\x01\0\x05\x01\0\0\x01\0";
    speaks(port, hello, b"\x15\x03").await;
    app.remove().await;
}
