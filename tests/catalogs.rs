//! Catalogs of one's own, and newer versions of templates: what the template changed and what people changed come together,
//! and the way back.

use crate::deploy::text;
use serde_json::{Value, json};
use std::{fs, path::Path};
use testkit::{GitFixture, TestPanel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn template(version: &str, more: &str) -> String {
    format!(
        r##"schema: 1
name: wiki
title: Team wiki
version: "{version}"
description: Pages that a team writes together.
details: |
  A site of one service. It needs little memory.
icon: {{ text: W, color: "#336699" }}
categories: [notes]
tags: [wiki]
links: {{ website: "https://example.com" }}
licence: MIT
needs: {{ memory_mb: 32, disk_mb: 64 }}
main: {{ service: web, port: 80, health: {{ kind: http, path: / }} }}
variables:
  - {{ name: domain, type: domain, title: Domain }}
  - {{ name: greeting, type: text, title: Greeting, default: hello }}
{more}"##
    )
}

fn compose(image: &str, memory: &str, more: &str) -> String {
    format!(
        r#"services:
  web:
    image: {image}
    restart: unless-stopped
    environment:
      GREETING: "{{{{ greeting }}}}"
{more}    configs:
      - source: page
        target: /usr/share/nginx/html/index.html
    deploy:
      resources:
        limits:
          memory: {memory}
configs:
  page:
    content: |
      greeting {{{{ greeting }}}} of version {image}
"#
    )
}

const KEY: &str = "  - { name: key, type: secret, title: Key, length: 24 }\n";

fn publish(git: &GitFixture, version: &str, more: &str, file: &str) {
    git.commit(
        &[
            ("templates/wiki/template.yaml", &template(version, more)),
            ("templates/wiki/compose.yaml", file),
        ],
        version,
    );
}

async fn add(panel: &TestPanel, git: &GitFixture) -> Value {
    let body = json!({"name": "acme", "kind": "git", "url": git.path(), "folder": "templates"});
    panel.post("/api/v1/catalogs", body).await.expect(201).json()
}

async fn own_file(panel: &TestPanel) -> String {
    let file = panel.get("/api/v1/apps/wiki/compose").await.expect(200).json();
    text(&file, "compose")
}

#[tokio::test]
async fn docker_a_newer_template_comes_with_what_people_changed_and_goes_back() {
    let panel = TestPanel::docker().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    let catalog = add(&panel, &git).await;
    assert_eq!(catalog["templates"], 1, "{catalog}");
    let made = panel
        .post(
            "/api/v1/catalog/acme:wiki/install",
            json!({"values": {"domain": "wiki.example.test", "greeting": "good day"}}),
        )
        .await
        .expect(201)
        .json();
    panel.live(&text(&made["deployment"], "id")).await;
    let host = "wiki.example.test".to_owned();
    assert!(panel.visit(&host, "/").await.expect(200).text().contains("greeting good day"));
    let nothing = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await;
    assert!(nothing.expect(409).text().contains("newest version"), "no other version yet");

    // Somebody gives it more memory; the template gets a variable and says so in its file.
    let mine = own_file(&panel).await.replace("memory: 64m", "memory: 96m");
    let source = json!({"source": {"kind": "compose", "compose": mine, "main_service": "web"}});
    panel.patch("/api/v1/apps/wiki", source).await.expect(200);
    let newer = compose("nginx:1.22", "64m", "      KEY: \"{{ key }}\"\n");
    publish(&git, "1.1-1", KEY, &newer);
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let listed = panel.list("/api/v1/catalog").await;
    let entry = listed.iter().find(|entry| entry["name"] == "acme:wiki").expect("listed");
    assert_eq!(entry["installed"][0]["outdated"], true, "{entry}");

    let plan = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await.expect(200).json();
    assert_eq!(
        (&plan["from"], &plan["to"], &plan["edited"]),
        (&json!("1.0-1"), &json!("1.1-1"), &json!(true))
    );
    assert_eq!(plan["generated"], json!(["key"]), "{plan}");
    assert!(text(&plan, "diff").contains("+      KEY: "), "{plan}");
    assert!(!text(&plan, "diff").contains("64m"), "what people changed stays: {plan}");
    let updated = panel.post("/api/v1/apps/wiki/template/update", json!({})).await.expect(200).json();
    panel.live(&text(&updated["deployment"], "id")).await;
    assert_eq!(updated["source"]["template"]["version"], "1.1-1");
    assert_eq!(updated["source"]["template"]["before"], "1.0-1");
    let file = own_file(&panel).await;
    assert!(file.contains("memory: 96m") && file.contains("KEY: "), "{file}");
    let variables = panel.list("/api/v1/apps/wiki/variables").await;
    assert!(
        variables.iter().any(|one| one["key"] == "key" && one["secret"] == true),
        "{variables:?}"
    );

    let output = panel.cli(&["catalog", "update", "wiki", "--undo", "--wait"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let back = panel.get("/api/v1/apps/wiki").await.expect(200).json();
    assert_eq!(back["source"]["template"]["version"], "1.0-1");
    assert_eq!(own_file(&panel).await, mine, "the file is what it was");
    assert!(panel.visit(&host, "/").await.expect(200).text().contains("greeting good day"));
    let again = panel.post("/api/v1/apps/wiki/template/undo", json!({})).await;
    assert!(again.expect(409).text().contains("no update to take back"));
}

#[tokio::test]
async fn lines_that_both_changed_are_settled_by_a_person() {
    let panel = TestPanel::start().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    add(&panel, &git).await;
    panel
        .post(
            "/api/v1/catalog/acme:wiki/install",
            json!({"values": {"domain": "wiki.example.test"}}),
        )
        .await
        .expect(201);
    let mine = own_file(&panel).await.replace("memory: 64m", "memory: 96m");
    let source = json!({"source": {"kind": "compose", "compose": mine, "main_service": "web"}});
    panel.patch("/api/v1/apps/wiki", source).await.expect(200);
    publish(&git, "2.0-1", "", &compose("nginx:1.22", "128m", ""));
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);

    let plan = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await.expect(200).json();
    let conflict = &plan["conflicts"][0];
    assert!(
        text(conflict, "mine").contains("96m") && text(conflict, "theirs").contains("128m"),
        "{plan}"
    );
    let marked = text(&plan, "compose");
    let line = conflict["line"].as_u64().unwrap() as usize;
    assert!(marked.lines().nth(line - 1).unwrap().starts_with("<<<<<<<"), "{marked}");
    let refused = panel.post("/api/v1/apps/wiki/template/update", json!({})).await.expect(422).text();
    assert!(refused.contains("changed the same lines"), "{refused}");
    let unsettled = panel.post("/api/v1/apps/wiki/template/update", json!({"compose": marked})).await;
    assert!(unsettled.expect(422).text().contains("conflict"), "marks are no file");
    let output = panel.cli(&["catalog", "update", "wiki", "--plan"]).await;
    assert!(output.stdout.contains("changed the same lines"), "{output:?}");

    let settled = mine.replace("memory: 96m", "memory: 128m");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settled.yaml");
    fs::write(&path, &settled).unwrap();
    let output = panel.cli(&["catalog", "update", "wiki", "--file", path.to_str().unwrap()]).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(own_file(&panel).await, settled);
}

/// Serves a folder as it is, over plain HTTP.
async fn serve(folder: &Path) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let folder = folder.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 8192];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
                let answer = match fs::read(folder.join(path)) {
                    Ok(bytes) => [
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len()).into_bytes(),
                        bytes,
                    ]
                    .concat(),
                    Err(_) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
                };
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_signed_catalog_is_taken_only_as_its_publisher_signed_it() {
    let panel = TestPanel::start().await;
    let folder = tempfile::tempdir().unwrap();
    let wiki = folder.path().join("wiki");
    fs::create_dir(&wiki).unwrap();
    fs::write(wiki.join("template.yaml"), template("1.0-1", "")).unwrap();
    fs::write(wiki.join("compose.yaml"), compose("nginx:1.22", "64m", "")).unwrap();
    let output = panel.cli(&["catalog", "source", "index", folder.path().to_str().unwrap()]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let keys = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let sign = || {
        let index = fs::read(folder.path().join("index.json")).unwrap();
        let signature = minisign::sign(None, &keys.sk, index.as_slice(), None, None).unwrap();
        fs::write(folder.path().join("index.json.minisig"), signature.to_string()).unwrap();
    };
    sign();
    let url = format!("{}/index.json", serve(folder.path()).await);
    let create = |name: &str, key: Option<String>| json!({"name": name, "kind": "web", "url": url, "key": key});
    let plain = panel.post("/api/v1/catalogs", create("plain", None)).await;
    assert!(plain.expect(422).text().contains("https://"), "not signed, so not over http");
    let stranger = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
    let other = panel.post("/api/v1/catalogs", create("other", Some(stranger))).await;
    assert!(other.expect(422).text().contains("signature"), "of somebody else");
    panel.post("/api/v1/catalogs", create("bad", Some("xyz".into()))).await.expect(422);
    let made = panel.post("/api/v1/catalogs", create("signed", Some(keys.pk.to_base64()))).await;
    assert_eq!(made.expect(201).json()["templates"], 1);
    panel.get("/api/v1/catalog/signed:wiki").await.expect(200);

    // A file that the index does not know is refused, and what was read before stays.
    fs::write(wiki.join("compose.yaml"), compose("nginx:1.22", "65m", "")).unwrap();
    let refused = panel.post("/api/v1/catalogs/signed/refresh", json!({})).await.expect(422).text();
    assert!(refused.contains("wiki/compose.yaml"), "{refused}");
    let listed = panel.list("/api/v1/catalogs").await;
    assert!(text(&listed[0], "problem").contains("compose.yaml"), "{listed:?}");
    let kept = panel.get("/api/v1/catalog/signed:wiki").await.expect(200).json();
    assert!(text(&kept, "compose").contains("64m"));
    panel.delete("/api/v1/catalogs/signed").await.expect(204);
    panel.get("/api/v1/catalog/signed:wiki").await.expect(404);
}

#[tokio::test]
async fn a_catalog_filled_by_hand() {
    let panel = TestPanel::start().await;
    panel
        .post("/api/v1/catalogs", json!({"name": "ours", "kind": "own"}))
        .await
        .expect(201);
    let twice = panel.post("/api/v1/catalogs", json!({"name": "ours", "kind": "own"})).await;
    assert!(twice.expect(409).text().contains("taken"));
    let folder = tempfile::tempdir().unwrap();
    let wiki = folder.path().join("wiki");
    fs::create_dir(&wiki).unwrap();
    fs::write(wiki.join("template.yaml"), template("1.0-1", "")).unwrap();
    fs::write(wiki.join("compose.yaml"), "services: [").unwrap();
    let path = wiki.to_str().unwrap();
    let broken = panel.cli(&["catalog", "source", "put", "ours", path]).await;
    assert!(broken.code != 0 && broken.stderr.contains("compose.yaml"), "{broken:?}");
    fs::write(wiki.join("compose.yaml"), compose("nginx:1.22", "64m", "")).unwrap();
    let put = panel.cli(&["catalog", "source", "put", "ours", path]).await;
    assert_eq!(put.code, 0, "{put:?}");
    let plan = panel
        .cli(&["catalog", "install", "ours:wiki", "--domain", "wiki.example.test", "--plan"])
        .await;
    assert!(plan.code == 0 && plan.stdout.contains("nginx:1.22"), "{plan:?}");
    let listed = panel.cli(&["catalog", "source", "list"]).await;
    assert!(listed.stdout.contains("filled by hand"), "{listed:?}");
    let take = panel.cli(&["catalog", "source", "take", "ours", "wiki"]).await;
    assert_eq!(take.code, 0, "{take:?}");
    panel.get("/api/v1/catalog/ours:wiki").await.expect(404);
    panel.post("/api/v1/catalogs/ours/refresh", json!({})).await.expect(409);

    // What another panel installs from, through the command line into the catalog, and out of it as a plan.
    let file = folder.path().join("templates.json");
    let hello = json!({"type": 1, "title": "Hello", "name": "hello", "description": "Says hello.", "image": "nginx:1.22", "ports": ["8080:80/tcp"]});
    fs::write(&file, json!({"version": "2", "templates": [hello]}).to_string()).unwrap();
    let path = file.to_str().unwrap();
    let import = panel.cli(&["catalog", "import", path, "--into", "ours"]).await;
    assert!(import.code == 0 && import.stdout.contains("hello"), "{import:?}");
    let plan = panel
        .cli(&["catalog", "install", "ours:hello", "--domain", "hello.example.test", "--plan"])
        .await;
    assert!(plan.code == 0 && plan.stdout.contains("nginx:1.22"), "{plan:?}");
    fs::write(&file, "no template at all").unwrap();
    let nonsense = panel.cli(&["catalog", "import", path]).await;
    assert!(nonsense.code != 0 && nonsense.stderr.contains("text"), "{nonsense:?}");
}
