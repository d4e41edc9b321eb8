//! Clones of apps from templates and of uploads, with their data; from then on each goes its own way.

use super::{app_in, begin, done};
use crate::{
    catalogs::{add, compose as file_of, own_file_of, publish},
    compose,
    deploy::text,
};
use serde_json::json;
use std::fs;
use testkit::{GitFixture, TestPanel, docker, docker_host, sample};

const WISH: &str = r#"{"name": "staging", "data": true, "stop": true, "secrets": "copy"}"#;

fn wish() -> serde_json::Value {
    serde_json::from_str(WISH).unwrap()
}

/// What a command says inside the only running container of a service.
fn inside(app: &str, service: &str, command: &str) -> String {
    let running: Vec<_> = compose::containers(app)
        .into_iter()
        .filter(|(name, _, state)| name == service && state == "running")
        .collect();
    let [one] = &running[..] else { panic!("not one: {running:?}") };
    let said = docker(&docker_host(), &["exec", &one.1, "sh", "-c", command]).unwrap();
    said.trim_end().to_owned()
}

#[tokio::test]
async fn docker_a_template_with_its_data_goes_its_own_way() {
    let panel = TestPanel::docker().await;
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    let with_data = |memory: &str, more: &str| {
        let file = file_of("nginx:1.22", memory, more);
        let mounted = file.replace("    configs:\n      -", "    volumes: ['data:/data']\n    configs:\n      -");
        format!("{mounted}volumes:\n  data:\n")
    };
    publish(&git, "1.0-1", "", &with_data("64m", ""));
    add(&panel, &git).await;
    let values = json!({"values": {"domain": "wiki.test", "greeting": "good day"}});
    let made = panel.post("/api/v1/catalog/acme:wiki/install", values).await.expect(201).json();
    panel.live(&text(&made["deployment"], "id")).await;
    let old = text(&made, "id");
    inside(&old, "web", "echo precious >/data/page && chown 101:101 /data/page");

    done(&panel, &begin(&panel, wish()).await).await;
    let staging = app_in(&panel, "wiki", "staging").await;
    let new = text(&staging, "id");
    assert_eq!(staging["source"]["template"]["version"], "1.0-1", "{staging}");
    assert_eq!(inside(&new, "web", "cat /data/page && stat -c %u /data/page"), "precious\n101");
    compose::says(&panel, "wiki-staging.apps.test", "greeting good day").await;
    compose::says(&panel, "wiki.test", "greeting good day").await;

    // Its file, its values and its data are its own.
    inside(&new, "web", "echo changed >/data/page");
    assert_eq!(inside(&old, "web", "cat /data/page"), "precious");
    let mine = own_file_of(&panel, &new).await.replace("memory: 64m", "memory: 80m");
    let source = json!({"source": {"kind": "compose", "compose": mine, "main_service": "web"}});
    panel.patch(&format!("/api/v1/apps/{new}"), source).await.expect(200);
    let greeting = json!({"set": [{"key": "greeting", "value": "good night"}], "unset": []});
    panel
        .patch(&format!("/api/v1/variables?owner=app:{new}"), greeting)
        .await
        .expect(200);
    let deployment = panel.deploy(&new).await;
    panel.live(&deployment).await;
    compose::says(&panel, "wiki-staging.apps.test", "greeting good night").await;
    compose::says(&panel, "wiki.test", "greeting good day").await;
    assert!(own_file_of(&panel, &old).await.contains("memory: 64m"));

    // A newer template is tried there first, and its way back is its own too.
    publish(&git, "2.0-1", "", &with_data("64m", "      NEWER: \"yes\"\n"));
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let updated = panel
        .post(&format!("/api/v1/apps/{new}/template/update"), json!({}))
        .await
        .expect(200)
        .json();
    panel.live(&text(&updated["deployment"], "id")).await;
    assert_eq!(inside(&new, "web", "printenv NEWER && cat /data/page"), "yes\nchanged");
    let kept = own_file_of(&panel, &new).await;
    assert!(kept.contains("NEWER") && kept.contains("memory: 80m"), "{kept}");
    let production = panel.get(&format!("/api/v1/apps/{old}")).await.expect(200).json();
    assert_eq!(production["source"]["template"]["version"], "1.0-1");
    assert_eq!(production["pending_changes"], false, "{production}");
    let refused = panel
        .post(&format!("/api/v1/apps/{old}/template/undo"), json!({}))
        .await
        .expect(409);
    assert!(refused.detail().contains("no update to take back"), "{}", refused.detail());
    let undone = panel
        .post(&format!("/api/v1/apps/{new}/template/undo"), json!({}))
        .await
        .expect(200)
        .json();
    panel.live(&text(&undone["deployment"], "id")).await;
    assert_eq!(own_file_of(&panel, &new).await, mine);
    assert_eq!(inside(&old, "web", "cat /data/page"), "precious");
}

#[tokio::test]
async fn docker_an_upload_with_its_data_goes_its_own_way() {
    let panel = TestPanel::docker().await;
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("hello");
    fs::create_dir(&folder).unwrap();
    crate::samples_live::copy(&sample("hello"), &folder);
    let from = folder.to_str().unwrap();
    let app = panel
        .create_app(json!({
            "name": "hello", "source": {"kind": "upload"}, "domains": ["hello.test"], "grace_seconds": 2,
            "health": {"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 20},
            "mounts": [{"volume": "data", "path": "/data"}],
        }))
        .await;
    panel.cli(&["deploy", "hello", "--from", from, "--wait"]).await.expect(0);
    panel.visit("hello.test", "/write?file=/data/kept&text=precious").await.expect(200);
    let of = |app: serde_json::Value| text(&app["source"], "newest");
    let first = of(panel.get("/api/v1/apps/hello").await.expect(200).json());

    done(&panel, &begin(&panel, wish()).await).await;
    let staging = app_in(&panel, "hello", "staging").await;
    let copy = text(&staging["source"], "newest");
    assert_ne!(copy, first, "an upload of its own");
    let host = "hello-staging.apps.test";
    compose::says(&panel, host, "hello one").await;
    assert_eq!(panel.visit(host, "/read?file=/data/kept").await.expect(200).text(), "precious");

    // The next version goes to the copy alone.
    let program = fs::read_to_string(folder.join("app.py")).unwrap();
    fs::write(folder.join("app.py"), program.replace("\"one\"", "\"two\"")).unwrap();
    panel.cli(&["deploy", "hello@staging", "--from", from, "--wait"]).await.expect(0);
    compose::says(&panel, host, "hello two").await;
    compose::says(&panel, "hello.test", "hello one").await;
    panel.visit(host, "/write?file=/data/kept&text=-and-more").await.expect(200);
    assert_eq!(
        panel.visit("hello.test", "/read?file=/data/kept").await.expect(200).text(),
        "precious"
    );
    assert_eq!(
        of(panel.get(&format!("/api/v1/apps/{}", text(&app, "id"))).await.expect(200).json()),
        first
    );
    panel.cli(&["rollback", "hello@staging", "--wait"]).await.expect(0);
    compose::says(&panel, host, "hello one").await;

    let port = |app: &str, listen: &str| json!({"listen": listen, "app": app, "target_port": 9000});
    let listen = format!("tcp/{}", testkit::free_port());
    panel.post("/api/v1/ports", port("hello@staging", &listen)).await.expect(201);
    panel.post("/api/v1/ports", port("hello@production", &listen)).await.expect(409);
    // Gone with all that was its own; the other one has what it had, and can be built from it again.
    let id = text(&staging, "id");
    panel.delete(&format!("/api/v1/apps/{id}")).await.expect(204);
    panel
        .post(&format!("/api/v1/apps/{id}/purge"), json!({"volumes": true}))
        .await
        .expect(204);
    assert!(!panel.data().join("uploads").join(&copy).exists());
    assert!(panel.data().join("uploads").join(&first).exists());
    panel.post("/api/v1/ports", port("hello", &listen)).await.expect(201);
    let again = panel.deploy("hello").await;
    panel.live(&again).await;
    assert_eq!(
        panel.visit("hello.test", "/read?file=/data/kept").await.expect(200).text(),
        "precious"
    );
}
