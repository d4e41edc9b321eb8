//! Apps from PyPI; one of them with a step after the installation.

use super::Installed;
use reqwest::Method;
use serde_json::json;
use testkit::TestPanel;

#[tokio::test]
async fn docker_catalog_jupyterlab_and_changedetection() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "jupyterlab", json!({})).await;
    assert!(app.get("/api").await.expect(200).json()["version"].is_string());
    app.get("/api/contents").await.expect(403);
    let token = app.value("token").to_owned();
    app.says(&format!("/lab?token={token}"), "JupyterLab").await;
    let note = json!({"type": "file", "format": "text", "content": "otters"});
    let saved = app
        .request(Method::PUT, &format!("/api/contents/work/note.txt?token={token}"))
        .json(&note);
    app.send(saved).await.expect(201);
    assert_eq!(app.run("jupyter", &["cat", "/home/jovyan/work/note.txt"]), "otters");
    app.remove().await;

    let app = Installed::new(&panel, "changedetection", json!({})).await;
    app.says("/", "Change Detection").await;
    assert!(app.run("changedetection", &["ls", "/datastore"]).contains("secret.txt"));
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_pgadmin() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "pgadmin", json!({"admin_mail": "otter@example.org"})).await;
    assert_eq!(app.get("/misc/ping").await.expect(200).text(), "PING");
    app.says("/login?next=/", "pgAdmin 4").await;
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_synapse_gets_its_first_account() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "synapse", json!({"admin_user": "otter"})).await;
    assert_eq!(app.get("/health").await.expect(200).text(), "OK");
    assert!(app.log.contains("Make the first administrator"), "{}", app.log);
    assert!(
        !app.log.contains(app.value("admin_password")),
        "no password in the log: {}",
        app.log
    );
    let sign_in =
        |password: &str| json!({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "otter"}, "password": password});
    app.post("/_matrix/client/v3/login", sign_in("wrong")).await.expect(403);
    let signed = app
        .post("/_matrix/client/v3/login", sign_in(app.value("admin_password")))
        .await
        .expect(200)
        .json();
    assert_eq!(signed["user_id"], "@otter:synapse.test");
    let token = signed["access_token"].as_str().unwrap();
    let admin = app.request(Method::GET, "/_synapse/admin/v2/users").bearer_auth(token);
    assert_eq!(app.send(admin).await.expect(200).json()["total"], 1);
    assert_eq!(
        app.get("/.well-known/matrix/server").await.expect(200).json()["m.server"],
        "synapse.test:443"
    );
    // The step is done once: not with the next deployment.
    let next = panel.deploy("synapse").await;
    panel.live(&next).await;
    assert!(!panel.build_log(&next).await.contains("Make the first administrator"));
    app.remove().await;
}
