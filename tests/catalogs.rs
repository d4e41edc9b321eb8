//! Catalogs of one's own: where their templates come from, and whose they are.

mod updates;
mod versions;

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

pub fn compose(image: &str, memory: &str, more: &str) -> String {
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

pub fn publish(git: &GitFixture, version: &str, more: &str, file: &str) {
    git.commit(
        &[
            ("templates/wiki/template.yaml", &template(version, more)),
            ("templates/wiki/compose.yaml", file),
        ],
        version,
    );
}

pub async fn add(panel: &TestPanel, git: &GitFixture) -> Value {
    let body = json!({"name": "acme", "kind": "git", "url": git.path(), "folder": "templates"});
    panel.post("/api/v1/catalogs", body).await.expect(201).json()
}

pub async fn own_file_of(panel: &TestPanel, app: &str) -> String {
    let file = panel.get(&format!("/api/v1/apps/{app}/compose")).await.expect(200).json();
    text(&file, "compose")
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
    let sign = |comment: &str| {
        let index = fs::read(folder.path().join("index.json")).unwrap();
        let signature = minisign::sign(None, &keys.sk, index.as_slice(), Some(comment), None).unwrap();
        fs::write(folder.path().join("index.json.minisig"), signature.to_string()).unwrap();
    };
    sign("timestamp:1700000000\tfile:index.json");
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

    // A newer one is taken; the old one is signed as rightly as ever, and is refused when it is shown again.
    let files = ["wiki/compose.yaml", "index.json", "index.json.minisig"].map(|name| folder.path().join(name));
    fs::write(wiki.join("compose.yaml"), compose("nginx:1.22", "64m", "")).unwrap();
    let old: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::write(wiki.join("compose.yaml"), compose("nginx:1.22", "66m", "")).unwrap();
    let output = panel.cli(&["catalog", "source", "index", folder.path().to_str().unwrap()]).await;
    assert_eq!(output.code, 0, "{output:?}");
    sign("timestamp:1700000100\tfile:index.json");
    let read = panel.post("/api/v1/catalogs/signed/refresh", json!({})).await.expect(200).json();
    assert_eq!(read["signed_at"], "2023-11-14T22:15:00Z", "{read}");
    for (path, bytes) in files.iter().zip(&old) {
        fs::write(path, bytes).unwrap();
    }
    let refused = panel.post("/api/v1/catalogs/signed/refresh", json!({})).await.expect(422).text();
    assert!(refused.contains("an old one is shown again"), "{refused}");
    let kept = panel.get("/api/v1/catalog/signed:wiki").await.expect(200).json();
    assert!(text(&kept, "compose").contains("66m"));
    sign("by hand");
    let refused = panel.post("/api/v1/catalogs/signed/refresh", json!({})).await.expect(422).text();
    assert!(refused.contains("does not say when"), "{refused}");
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

    // What it keeps apart is said beforehand too.
    let values = json!({"values": {"domain": "wiki.example.test"}});
    let plan = panel
        .post("/api/v1/catalog/ours:wiki/plan", values.clone())
        .await
        .expect(200)
        .json();
    assert_eq!(plan["networks"], json!([]), "{plan}");
    let db = "  db:\n    image: nginx:1.22\n    restart: unless-stopped\n    networks: [back]\n    deploy: {resources: {limits: {memory: 64m}}}\n";
    let networks = "networks:\n  front:\n  back: {internal: true}\n";
    let apart = compose("nginx:1.22", "64m", "    networks: [front, back]\n")
        .replace("configs:\n  page:", &format!("{db}{networks}configs:\n  page:"));
    fs::write(wiki.join("compose.yaml"), apart).unwrap();
    panel.cli(&["catalog", "source", "put", "ours", path]).await.expect(0);
    let plan = panel.post("/api/v1/catalog/ours:wiki/plan", values).await.expect(200).json();
    let expected = json!([{"name": "back", "internal": true}, {"name": "front", "internal": false}]);
    assert_eq!(plan["networks"], expected, "{plan}");
    let plan = panel
        .cli(&["catalog", "install", "ours:wiki", "--domain", "wiki.example.test", "--plan"])
        .await
        .expect(0);
    assert!(
        plan.stdout.contains("back, no way out") && plan.stdout.contains("front"),
        "{plan:?}"
    );
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
    assert!(
        nonsense.code != 0 && nonsense.stderr.contains("templates.json: this is no template of"),
        "{nonsense:?}"
    );
}

#[tokio::test]
async fn what_an_import_needs_from_elsewhere() {
    let panel = TestPanel::start().await;
    panel
        .post("/api/v1/catalogs", json!({"name": "ours", "kind": "own"}))
        .await
        .expect(201);
    let folder = tempfile::tempdir().unwrap();
    let url = serve(folder.path()).await;
    fs::write(
        folder.path().join("stack.yml"),
        "services:\n  web: {image: 'nginx:1.22', ports: ['8080:80'], restart: always}\n",
    )
    .unwrap();
    let stack = |file: &str| {
        let repository = json!({"stackfile": format!("{url}/{file}")});
        json!({"type": 3, "title": "Hello", "name": "hello", "description": "Says hello.", "repository": repository})
    };
    let body = |file: &str, more: Value| {
        let text = json!({"version": "2", "templates": [stack(file)]}).to_string();
        let mut body = json!({"text": text});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let convert = async |body: Value| {
        let found = panel.post("/api/v1/catalog-imports", body).await.expect(200).json();
        found["templates"][0].clone()
    };
    // Nothing is got unless it is asked for.
    let asks = convert(body("stack.yml", json!({}))).await;
    let address = asks["fetch"][0].as_str().expect("it is named").to_owned();
    assert!(asks["template"] == "" && address.starts_with(&url), "{asks}");
    let given = convert(body(
        "stack.yml",
        json!({"files": {address.clone(): "services: {web: {image: 'nginx:1.22', restart: always}}"}}),
    ))
    .await;
    assert!(
        given["fetch"] == json!([]) && text(&given, "compose").contains("nginx:1.22"),
        "{given}"
    );
    let got = convert(body("stack.yml", json!({"fetch": true}))).await;
    assert!(got["fetch"] == json!([]) && text(&got, "compose").contains("nginx:1.22"), "{got}");
    let gone = convert(body("none.yml", json!({"fetch": true}))).await;
    assert!(gone["notes"].to_string().contains("404"), "{gone}");

    // The list itself lies on the web too.
    fs::write(folder.path().join("list.json"), text(&body("stack.yml", json!({})), "text")).unwrap();
    let whole = convert(json!({"url": format!("{url}/list.json"), "fetch": true})).await;
    assert!(
        whole["fetch"] == json!([]) && text(&whole, "compose").contains("nginx:1.22"),
        "{whole}"
    );
    fs::write(folder.path().join("page.json"), "<!DOCTYPE html><html></html>").unwrap();
    for (wish, words) in [
        (json!({"url": format!("{url}/none.json")}), "404"),
        (json!({"url": format!("{url}/page.json")}), "a page for people"),
        (json!({"url": "ftp://example.com/x"}), "is not on the web"),
        (json!({"url": "nonsense"}), "is no address"),
        (json!({"url": format!("{url}/list.json"), "text": "{}"}), "either `text` or `url`"),
        (json!({}), "either `text` or `url`"),
    ] {
        let refused = panel.post("/api/v1/catalog-imports", wish.clone()).await.expect(422).text();
        assert!(refused.contains(words) && refused.contains(r#""field":"url""#), "{wish}: {refused}");
    }
    fs::create_dir(folder.path().join("board")).unwrap();
    let toml = "[variables]\nmain_domain = \"${domain}\"\n\n[config]\n[[config.domains]]\nserviceName = \"web\"\nport = 80\nhost = \"${main_domain}\"\n";
    fs::write(folder.path().join("board/template.toml"), toml).unwrap();
    fs::write(
        folder.path().join("board/docker-compose.yml"),
        "services:\n  web:\n    image: nginx:1.22\n",
    )
    .unwrap();
    let address = format!("{url}/board/template.toml");
    let board = panel.cli(&["catalog", "import", &address, "--into", "ours", "--json"]).await;
    assert!(board.code == 0 && board.stdout.contains("nginx:1.22"), "{board:?}");

    let file = folder.path().join("templates.json");
    fs::write(&file, text(&body("stack.yml", json!({})), "text")).unwrap();
    let path = file.to_str().unwrap();
    let import = panel.cli(&["catalog", "import", path, "--fetch", "--into", "ours"]).await;
    assert!(import.code == 0 && import.stdout.contains("hello"), "{import:?}");
    panel.get("/api/v1/catalog/ours:hello").await.expect(200);
}
