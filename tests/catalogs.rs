//! Catalogs of one's own, and newer versions of templates: what the template changed and what people changed come together,
//! and the way back.

use crate::deploy::text;
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually};
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

const KEY: &str = "  - { name: key, type: secret, title: Key, length: 24 }\n";

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

async fn own_file(panel: &TestPanel) -> String {
    own_file_of(panel, "wiki").await
}

pub async fn own_file_of(panel: &TestPanel, app: &str) -> String {
    let file = panel.get(&format!("/api/v1/apps/{app}/compose")).await.expect(200).json();
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

const TWO: &str = "versions:
- { name: '2', notes: the newest, set: { tag: '2.1' }, takes_over: ['1'] }
- { name: '1', notes: for old pages, set: { tag: 1.22.1 } }
";

/// The template's version, which of those it offers, and the image in the app's file.
async fn version_of(panel: &TestPanel, app: &str) -> (String, Value, String) {
    let shown = panel.get(&format!("/api/v1/apps/{app}")).await.expect(200).json();
    let template = &shown["source"]["template"];
    let file = text(
        &panel.get(&format!("/api/v1/apps/{app}/compose")).await.expect(200).json(),
        "compose",
    );
    let image = file
        .lines()
        .find_map(|line| line.trim().strip_prefix("image: "))
        .unwrap_or_default();
    (text(template, "version"), template["chosen"].clone(), image.to_owned())
}

#[tokio::test]
async fn an_app_keeps_the_version_that_was_chosen_for_it() {
    let panel = TestPanel::start().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    add(&panel, &git).await;
    let install = |name: &str, version: Value| {
        let body = json!({"name": name, "version": version, "values": {"domain": format!("{name}.example.test")}});
        panel.post("/api/v1/catalog/acme:wiki/install", body)
    };
    install("old", Value::Null).await.expect(201);
    let refused = install("no", json!("1")).await.expect(422).json();
    assert!(text(&refused, "detail").contains("comes in one version only"), "{refused}");

    // Versions come, and the app from before is one of them.
    let file = compose("nginx:{{ version.tag }}", "64m", "");
    publish(&git, "2.0-1", TWO, &file);
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let plan = panel.post("/api/v1/apps/old/template/plan", json!({})).await.expect(200).json();
    assert_eq!(
        (&plan["from_chosen"], &plan["to_chosen"], &plan["choices"]),
        (&Value::Null, &json!("1"), &json!(["1", "2"]))
    );
    let diff = text(&plan, "diff");
    assert!(diff.contains("+    image: nginx:1.22.1") && !diff.contains("nginx:2.1"), "{diff}");
    panel.post("/api/v1/apps/old/template/update", json!({})).await.expect(200);
    assert_eq!(version_of(&panel, "old").await, ("2.0-1".into(), json!("1"), "nginx:1.22.1".into()));

    let detail = panel.get("/api/v1/catalog/acme:wiki").await.expect(200).json();
    let first = json!({"name": "2", "notes": "the newest", "image": "nginx:2.1", "takes_over": ["1"]});
    assert_eq!(detail["versions"][0], first);
    assert!(text(&detail, "compose").contains("nginx:2.1"), "{detail}");
    let shown = panel.cli(&["catalog", "show", "acme:wiki"]).await;
    assert!(shown.stdout.contains("1 (nginx:1.22.1), for old pages"), "{shown:?}");
    let unknown = install("no", json!("7")).await.expect(422).json();
    assert_eq!(unknown["errors"][0]["field"], "version", "{unknown}");
    assert!(text(&unknown, "detail").contains("must be one of 2, 1"), "{unknown}");
    install("usual", Value::Null).await.expect(201);
    let wished = [
        "catalog",
        "install",
        "acme:wiki",
        "--name",
        "one",
        "--version",
        "1",
        "-d",
        "one.example.test",
        "--memory",
        "96m",
    ];
    let plan = panel.cli(&[&wished[..], &["--plan"]].concat()).await;
    assert!(plan.code == 0 && plan.stdout.contains("nginx:1.22.1"), "{plan:?}");
    let made = panel.cli(&wished).await;
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(version_of(&panel, "usual").await, ("2.0-1".into(), json!("2"), "nginx:2.1".into()));
    assert_eq!(version_of(&panel, "one").await, ("2.0-1".into(), json!("1"), "nginx:1.22.1".into()));
    let listed = panel.cli(&["catalog", "list"]).await;
    assert!(listed.stdout.contains("one (1)"), "{listed:?}");

    // Each keeps its own, with the size that was chosen; another one is asked for by name, where it can go on with the data.
    publish(&git, "2.1-1", &TWO.replace("1.22.1", "1.22.2").replace("2.1'", "2.2'"), &file);
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    for (app, chosen, image) in [("one", "1", "nginx:1.22.2"), ("usual", "2", "nginx:2.2")] {
        panel
            .post(&format!("/api/v1/apps/{app}/template/update"), json!({}))
            .await
            .expect(200);
        assert_eq!(version_of(&panel, app).await, ("2.1-1".into(), json!(chosen), image.into()));
    }
    let file_of_one = panel.get("/api/v1/apps/one/compose").await.expect(200).json();
    assert!(text(&file_of_one, "compose").contains("memory: 96M"), "{file_of_one}");
    let newest = panel.post("/api/v1/apps/one/template/plan", json!({})).await;
    assert!(newest.expect(409).text().contains("newest version"), "nothing is out");
    let down = panel.post("/api/v1/apps/usual/template/update", json!({"version": "1"})).await;
    assert!(down.expect(422).text().contains("cannot go on with the data of 2"), "no way down");
    let moved = panel.cli(&["catalog", "update", "old", "--version", "2"]).await;
    assert_eq!(moved.code, 0, "{moved:?}");
    assert_eq!(version_of(&panel, "old").await, ("2.1-1".into(), json!("2"), "nginx:2.2".into()));
    let back = panel.post("/api/v1/apps/old/template/undo", json!({})).await.expect(200).json();
    assert_eq!(back["source"]["template"]["chosen"], "1", "{back}");
    assert_eq!(version_of(&panel, "old").await, ("2.0-1".into(), json!("1"), "nginx:1.22.1".into()));

    // What the template has no more is said, and nothing moves.
    let gone =
        "versions:\n- { name: '3', set: { tag: '3.0' }, takes_over: ['2'] }\n- { name: '2', set: { tag: '2.3' }, takes_over: ['1'] }\n";
    publish(&git, "3.0-1", gone, &file);
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let refused = panel.post("/api/v1/apps/one/template/update", json!({})).await.expect(422).json();
    let words = "this app is version 1, which Team wiki 3.0-1 has no more; it stays as it is, or goes on as 2";
    assert!(text(&refused, "detail").contains(words), "{refused}");
    assert_eq!(version_of(&panel, "one").await, ("2.1-1".into(), json!("1"), "nginx:1.22.2".into()));
    let plan = panel.cli(&["catalog", "update", "usual", "--plan"]).await;
    assert!(plan.stdout.contains("2 (3.0-1)") && plan.stdout.contains("--version 3"), "{plan:?}");
    panel
        .post("/api/v1/apps/one/template/update", json!({"version": "2"}))
        .await
        .expect(200);
    assert_eq!(version_of(&panel, "one").await, ("3.0-1".into(), json!("2"), "nginx:2.3".into()));
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

#[tokio::test]
async fn an_update_whose_ports_cannot_be_had_changes_nothing() {
    let panel = TestPanel::start().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    add(&panel, &git).await;
    let values = json!({"values": {"domain": "wiki.example.test"}});
    panel.post("/api/v1/catalog/acme:wiki/install", values).await.expect(201);
    let mine = own_file(&panel).await;
    let taken = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let free = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let (taken_port, free_port) = (taken.local_addr().unwrap().port(), free.local_addr().unwrap().port());
    drop(free);
    let asked =
        "  - { name: first, type: port, title: First, default: 20001 }\n  - { name: second, type: port, title: Second, default: 20002 }\n";
    let newer = compose("nginx:1.22", "64m", "").replace(
        "    configs:\n      -",
        "    ports: ['{{ first }}:81', '{{ second }}:82']\n    configs:\n      -",
    );
    publish(&git, "1.1-1", asked, &newer);
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let update = |first: u16, second: u16| json!({"values": {"first": first.to_string(), "second": second.to_string()}});
    let refused = panel
        .post("/api/v1/apps/wiki/template/update", update(free_port, taken_port))
        .await
        .expect(409)
        .text();
    assert!(refused.contains(&taken_port.to_string()), "{refused}");
    let shown = panel.get("/api/v1/apps/wiki").await.expect(200).json();
    assert_eq!(shown["source"]["template"]["version"], "1.0-1", "{shown}");
    assert_eq!(own_file(&panel).await, mine);
    assert_eq!(
        panel.list("/api/v1/ports").await,
        Vec::<Value>::new(),
        "the first one is closed again"
    );
    let variables = panel.list("/api/v1/apps/wiki/variables").await;
    assert!(!variables.iter().any(|one| one["key"] == "second"), "{variables:?}");

    // With the port free it goes through, and going back gives the ports back.
    drop(taken);
    panel
        .post("/api/v1/apps/wiki/template/update", update(free_port, taken_port))
        .await
        .expect(200);
    assert_eq!(panel.list("/api/v1/ports").await.len(), 2);
    panel.post("/api/v1/apps/wiki/template/undo", json!({})).await.expect(200);
    assert_eq!(panel.list("/api/v1/ports").await, Vec::<Value>::new());
}

#[tokio::test]
async fn docker_data_is_copied_before_an_update_and_comes_back_with_it() {
    let panel = TestPanel::docker().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    let with_data = |image: &str, more: &str| {
        let file = compose(image, "64m", more).replace("    configs:\n      -", "    volumes: ['data:/data']\n    configs:\n      -");
        format!("{file}volumes:\n  data:\n")
    };
    publish(&git, "1.0-1", "", &with_data("nginx:1.22", ""));
    add(&panel, &git).await;
    let made = panel
        .post(
            "/api/v1/catalog/acme:wiki/install",
            json!({"values": {"domain": "wiki.example.test"}}),
        )
        .await
        .expect(201)
        .json();
    panel.live(&text(&made["deployment"], "id")).await;
    let id = text(&made, "id");
    let inside = |command: &str| {
        let all = crate::compose::containers(&id);
        let running: Vec<_> = all.iter().filter(|(_, _, state)| state == "running").collect();
        let [web] = running[..] else { panic!("not one: {all:?}") };
        let said = docker(&docker_host(), &["exec", &web.1, "sh", "-c", command]).unwrap();
        said.trim_end().to_owned()
    };
    inside("echo first >/data/page && chown 101:101 /data/page && head -c 2000000 /dev/zero | tr '\\0' x >/data/large");

    publish(&git, "2.0-1", KEY, &with_data("nginx:1.22", "      KEY: \"{{ key }}\"\n"));
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let plan = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await.expect(200).json();
    assert_eq!(plan["data"]["volumes"][0]["name"], "data", "{plan}");
    assert!(
        plan["data"]["bytes"].as_u64().unwrap() > 2_000_000 && plan["data"]["problem"].is_null(),
        "{plan}"
    );
    let output = panel.cli(&["catalog", "update", "wiki", "--wait"]).await;
    assert!(output.code == 0 && output.stdout.contains("copied the volume data"), "{output:?}");
    let shown = panel.get("/api/v1/apps/wiki").await.expect(200).json();
    let copy = shown["source"]["template"]["copies"][0].clone();
    assert!(copy["name"] == "data" && copy["bytes"].as_u64().unwrap() > 2_000_000, "{shown}");
    assert_eq!(inside("cat /data/page"), "first", "the new version has the data");
    inside("echo second >/data/page");

    // Back with the data of then; what was written since is kept beside it.
    let output = panel.cli(&["catalog", "update", "wiki", "--undo", "--with-data", "--wait"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    crate::compose::says(&panel, "wiki.example.test", "greeting").await;
    eventually("the newer one goes", Duration::from_secs(60), || async {
        (crate::compose::containers(&id).len() == 1).then_some(())
    })
    .await;
    assert_eq!(inside("cat /data/page && stat -c %u /data/page"), "first\n101");
    let volumes = panel.list("/api/v1/volumes").await;
    let apart = volumes.iter().filter(|volume| volume["apps"] == json!([])).count();
    assert_eq!((volumes.len(), apart), (2, 1), "{volumes:?}");

    // Once more, and forward again: the copy is replaced, and goes with the app.
    for _ in 0..2 {
        let updated = panel.post("/api/v1/apps/wiki/template/update", json!({})).await.expect(200).json();
        panel.live(&text(&updated["deployment"], "id")).await;
        let undone = panel.post("/api/v1/apps/wiki/template/undo", json!({})).await.expect(200).json();
        panel.live(&text(&undone["deployment"], "id")).await;
    }
    let none = panel
        .post("/api/v1/apps/wiki/template/update", json!({"without_copy": true}))
        .await
        .expect(200)
        .json();
    panel.live(&text(&none["deployment"], "id")).await;
    let refused = panel
        .post("/api/v1/apps/wiki/template/undo", json!({"data": true}))
        .await
        .expect(409)
        .text();
    assert!(refused.contains("no copy of the data"), "{refused}");
    let left = docker(&docker_host(), &["ps", "-aq", "--filter", "label=serverkit.copy"]).unwrap();
    assert_eq!(left.trim(), "", "no container of a copy is left");

    // What the way back left goes with the app: the volume that was written to, and the copies.
    let own = panel.list("/api/v1/volumes").await.len();
    assert!(own > 2, "{own} volumes");
    panel.delete("/api/v1/apps/wiki").await.expect(204);
    eventually("its containers go", Duration::from_secs(60), || async {
        crate::compose::containers(&id).is_empty().then_some(())
    })
    .await;
    let purge = panel.cli(&["trash", "purge", "wiki", "--volumes", "--yes"]).await;
    assert_eq!(purge.code, 0, "{purge:?}");
    assert_eq!(panel.list("/api/v1/volumes").await, Vec::<Value>::new(), "nothing is left behind");
}
