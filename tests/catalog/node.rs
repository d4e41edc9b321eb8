//! Apps from npm: those that stand alone, and those that want a database.

use super::Installed;
use reqwest::Method;
use serde_json::json;
use testkit::TestPanel;

#[tokio::test]
async fn docker_catalog_node_red_and_verdaccio() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "node-red", json!({})).await;
    app.says("/", "<title>Node-RED</title>").await;
    app.get("/flows").await.expect(401);
    let account = |password: &str| json!({"client_id": "node-red-admin", "grant_type": "password", "scope": "*", "username": "admin", "password": password});
    app.post("/auth/token", account("wrong")).await.expect(403);
    let token = app
        .post("/auth/token", account(app.value("admin_password")))
        .await
        .expect(200)
        .json();
    let signed = app
        .request(Method::GET, "/flows")
        .bearer_auth(token["access_token"].as_str().unwrap());
    app.send(signed).await.expect(200);
    app.remove().await;

    let app = Installed::new(&panel, "verdaccio", json!({"max_users": "1"})).await;
    app.get("/-/ping").await.expect(200);
    app.says("/", "Verdaccio").await;
    let join = |name: &str| {
        let path = format!("/-/user/org.couchdb.user:{name}");
        app.request(Method::PUT, &path)
            .json(&json!({"name": name, "password": "seven quiet otters"}))
    };
    let token = app.send(join("otter")).await.expect(201).json();
    let token = token["token"].as_str().unwrap();
    assert!(!app.send(join("seal")).await.status.is_success(), "one account is the limit");
    let me = app
        .send(app.request(Method::GET, "/-/whoami").bearer_auth(token))
        .await
        .expect(200)
        .json();
    assert_eq!(me["username"], "otter");
    let package = json!({
        "_id": "fish", "name": "fish", "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": {"name": "fish", "version": "1.0.0", "dist": {"tarball": "https://verdaccio.test/fish/-/fish-1.0.0.tgz"}}},
        "_attachments": {"fish-1.0.0.tgz": {"content_type": "application/octet-stream", "data": "ZmlzaA==", "length": 4}},
    });
    app.send(app.request(Method::PUT, "/fish").bearer_auth(token).json(&package))
        .await
        .expect(201);
    let tarball = app.request(Method::GET, "/fish/-/fish-1.0.0.tgz").bearer_auth(token);
    assert_eq!(app.send(tarball).await.expect(200).text(), "fish");
    app.get("/fish").await.expect(401);
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_directus_with_postgres_and_valkey() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "directus", json!({"admin_mail": "otter@example.org"})).await;
    assert_eq!(app.get("/server/ping").await.expect(200).text(), "pong");
    app.says("/admin/login", "Directus").await;
    let account = |password: &str| json!({"email": "otter@example.org", "password": password});
    app.post("/auth/login", account("wrong")).await.expect(401);
    let token = app
        .post("/auth/login", account(app.value("admin_password")))
        .await
        .expect(200)
        .json();
    let signed = app
        .request(Method::GET, "/users/me")
        .bearer_auth(token["data"]["access_token"].as_str().unwrap());
    assert_eq!(app.send(signed).await.expect(200).json()["data"]["email"], "otter@example.org");
    let tables = app.run("db", &["psql", "-U", "directus", "-Atc", "select count(*) from directus_users"]);
    assert_eq!(tables, "1");
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_unleash_with_postgres() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "unleash", json!({})).await;
    assert_eq!(app.get("/health").await.expect(200).json()["health"], "GOOD");
    app.says("/login", "Unleash").await;
    let account = |password: &str| json!({"username": "admin", "password": password});
    app.post("/auth/simple/login", account("unleash4all")).await.expect(401);
    app.post("/auth/simple/login", account(app.value("admin_password")))
        .await
        .expect(200);
    app.remove().await;
}
