//! Compose files among source: from a push to what runs, with what lies beside the file; what stays when something else changes,
//! the way back, the way out; and the same from a folder that is uploaded.

use crate::{
    compose::{containers, id_of, says},
    deploy::text,
    webhooks::{Hook, pushed},
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually};

const SOON: Duration = Duration::from_secs(60);

const FILE: &str = r#"
include: [../shared/cache.yaml]
services:
  web:
    build: {context: ../web, args: {WORD: "${WORD:-plain}"}}
    restart: always
    ports: ["8080:80"]
    env_file: [web.env]
    depends_on: [api]
    configs: [{source: note, target: /usr/share/nginx/html/note.txt}]
    volumes: [kept:/kept]
  api:
    extends: {file: base.yaml, service: base}
    build: {context: .., dockerfile: docker/api.Dockerfile}
    secrets: [token]
volumes: {kept: {}}
configs: {note: {file: note.txt}}
secrets: {token: {file: token.txt}}
"#;
const BASE: &str = "services:\n  base:\n    restart: always\n    stop_grace_period: 1s\n    deploy: {resources: {limits: {memory: 32m}}}\n";
const CACHE: &str = "services:\n  cache: {image: 'redis:7', restart: always, stop_grace_period: 1s}\n";
const WEB: &str = "FROM nginx:1.22\nARG WORD\nCOPY index.html /usr/share/nginx/html/\nRUN echo \"$WORD\" >/usr/share/nginx/html/word.txt\n";
const API: &str = "FROM debian:bookworm-slim\nCOPY api/version /version\nCMD [\"sleep\", \"infinity\"]\n";

fn repository() -> GitFixture {
    GitFixture::of(&[
        ("deploy/docker-compose.yml", FILE),
        ("deploy/base.yaml", BASE),
        ("deploy/web.env", "GREETING=from a file\n"),
        ("deploy/note.txt", "first note\n"),
        ("deploy/token.txt", "t0ken"),
        ("shared/cache.yaml", CACHE),
        ("web/Dockerfile", WEB),
        ("web/index.html", "page one"),
        ("docker/api.Dockerfile", API),
        ("api/version", "1"),
    ])
}

fn inside(container: &str, command: &[&str]) -> String {
    let arguments = [&["exec", container], command].concat();
    docker(&docker_host(), &arguments).unwrap().trim_end().to_owned()
}

/// Names of the images on the engine that were built for an app.
fn images(id: &str) -> Vec<String> {
    let filter = format!("label=serverkit.app={id}");
    let all = docker(&docker_host(), &["images", "--filter", &filter, "--format", "{{.Repository}}"]).unwrap();
    all.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn docker_services_of_a_repository_from_a_push_to_the_way_out() {
    let panel = TestPanel::docker().await;
    let git = repository();
    let looked = panel
        .cli(&["app", "inspect", &git.path(), "--folder", "deploy", "--compose-file"])
        .await;
    assert!(
        looked.code == 0 && looked.stdout.contains("deploy/docker-compose.yml") && looked.stdout.contains("web (main)"),
        "{looked:?}"
    );
    let made = panel
        .create_app(json!({
            "name": "shop",
            "source": {"kind": "git", "url": git.path(), "folder": "deploy", "compose_file": ""},
            "domains": ["shop.test"],
            "variables": [{"key": "WORD", "value": "a \"word\""}],
            "grace_seconds": 2,
        }))
        .await;
    assert_eq!(
        made["source"]["services"]["compose_file"],
        Value::Null,
        "whichever is usual: {made}"
    );
    let id = text(&made, "id");
    let first = text(&panel.newest("shop").await, "id");
    let live = panel.live(&first).await;
    assert!(live["commit"]["id"].is_string(), "{live}");
    says(&panel, "shop.test", "page one").await;
    assert_eq!(panel.visit("shop.test", "/word.txt").await.text(), "a \"word\"\n");
    assert_eq!(panel.visit("shop.test", "/note.txt").await.text(), "first note\n");
    let old = containers(&id);
    assert_eq!(old.len(), 3, "{old:?}");
    assert_eq!(inside(&id_of(&old, "web"), &["printenv", "GREETING"]), "from a file");
    assert_eq!(inside(&id_of(&old, "api"), &["cat", "/run/secrets/token"]), "t0ken");
    inside(&id_of(&old, "web"), &["sh", "-c", "echo mine >/kept/file"]);

    // A push that changes one service replaces that one.
    let hook = Hook::of(&panel, "shop").await;
    let push = async |commit: &str, files: &[&str], word: &str| {
        let body = pushed("main", commit, files, word);
        let reply = hook.github(&panel, "push", word, &body).await.expect(202).json();
        assert_eq!(reply["decision"], "deployed", "{reply}");
        text(&reply, "deployment")
    };
    let commit = git.edit("web/index.html", "one", "two");
    let second = push(&commit, &["web/index.html"], "two").await;
    assert_eq!(panel.live(&second).await["commit"]["id"], commit);
    says(&panel, "shop.test", "page two").await;
    eventually("the old page goes", SOON, || async { (containers(&id).len() == 3).then_some(()) }).await;
    let new = containers(&id);
    assert_ne!(id_of(&new, "web"), id_of(&old, "web"));
    assert_eq!(id_of(&new, "api"), id_of(&old, "api"), "built anew, and the same");
    assert_eq!(id_of(&new, "cache"), id_of(&old, "cache"));
    assert_eq!(inside(&id_of(&new, "web"), &["cat", "/kept/file"]), "mine");

    // What reaches the host is not let in by a push, but by an administrator.
    let commit = git.edit("deploy/docker-compose.yml", "kept:/kept", "/etc:/host:ro");
    let refused = push(&commit, &["deploy/docker-compose.yml"], "host").await;
    let why = panel.fails(&refused).await;
    assert!(
        why.contains("administrator") && why.contains("web: mounts /etc of the host"),
        "{why}"
    );
    says(&panel, "shop.test", "page two").await;
    let shown = panel.get("/api/v1/apps/shop").await.expect(200).json();
    let wanted = shown["source"]["services"]["host_wanted"][0]
        .as_str()
        .expect("it is noted")
        .to_owned();
    let developer = panel.member("developer", "admin").await;
    let source = json!({"kind": "git", "url": git.path(), "folder": "deploy", "compose_file": "", "allow_host": [wanted]});
    developer.patch("/api/v1/apps/shop", json!({"source": source})).await.expect(403);
    let allowed = panel
        .cli(&["app", "update", "shop", "--allow-host", &wanted, "--deploy", "--wait"])
        .await;
    assert_eq!(allowed.code, 0, "{allowed:?}");
    eventually("the one before goes", SOON, || async { (containers(&id).len() == 3).then_some(()) }).await;
    let web = id_of(&containers(&id), "web");
    assert!(!inside(&web, &["cat", "/host/hostname"]).is_empty());

    // A file that is wrong is told with its lines, and changes nothing.
    let commit = git.edit("deploy/docker-compose.yml", "ports:", "portz:");
    let wrong = push(&commit, &["deploy/docker-compose.yml"], "wrong").await;
    let why = panel.fails(&wrong).await;
    assert!(why.contains("line 7") && why.contains("portz"), "{why}");
    git.edit("deploy/docker-compose.yml", "portz:", "ports:");
    let commit = git.edit("web/Dockerfile", "RUN echo", "RUN exit 3; echo");
    let broken = push(&commit, &["web/Dockerfile"], "broken").await;
    let why = panel.fails(&broken).await;
    assert!(why.contains("`web`") && why.contains("exit 3"), "{why}");
    says(&panel, "shop.test", "page two").await;

    // All of it goes back, without the repository.
    let releases = panel.list("/api/v1/apps/shop/releases").await;
    let oldest = text(releases.last().expect("some"), "id");
    std::fs::rename(git.path(), format!("{}.away", git.path())).unwrap();
    let back = panel
        .post("/api/v1/apps/shop/rollback", json!({"to": oldest}))
        .await
        .expect(202)
        .json();
    panel.live(&text(&back, "id")).await;
    says(&panel, "shop.test", "page one").await;

    panel.delete("/api/v1/apps/shop").await.expect(204);
    eventually("its containers stop", SOON, || async { containers(&id).is_empty().then_some(()) }).await;
    assert!(!images(&id).is_empty());
    panel
        .post(&format!("/api/v1/apps/{id}/purge"), json!({"volumes": true}))
        .await
        .expect(204);
    assert_eq!(images(&id), Vec::<String>::new(), "no image is left");
}

#[tokio::test]
async fn docker_services_of_a_folder_that_is_uploaded() {
    let panel = TestPanel::docker().await;
    let git = repository();
    let tree = git.tree();
    let copy = tempfile::tempdir().unwrap();
    crate::samples_live::copy(&tree, copy.path());
    let from = copy.path().to_str().unwrap();
    let create = [
        "app", "create", "up", "--from", from, "--folder", "deploy", "--grace", "2s", "--domain", "up.test",
    ];
    let made = panel
        .cli(&[&create[..], &["--compose-file", "docker-compose.yml", "--wait"]].concat())
        .await;
    assert_eq!(made.code, 0, "{made:?}");
    says(&panel, "up.test", "page one").await;
    let shown = panel.get("/api/v1/apps/up").await.expect(200).json();
    assert_eq!(shown["source"]["services"]["compose_file"], "docker-compose.yml", "{shown}");
    let services = panel.list("/api/v1/apps/up/services").await;
    assert_eq!(services.len(), 3, "{services:?}");
    let place = json!({"host": "cache.test", "service": "cache", "service_port": 6379});
    panel.post("/api/v1/apps/up/domains", place).await.expect(201);
    let nowhere = json!({"host": "x.test", "service": "nowhere", "service_port": 80});
    panel.post("/api/v1/apps/up/domains", nowhere).await.expect(404);
    let file = panel.get("/api/v1/apps/up/compose").await.expect(409).text();
    assert!(file.contains("among its source"), "{file}");
}

#[tokio::test]
async fn what_of_services_in_source_is_refused() {
    let panel = TestPanel::start().await;
    let git = repository();
    let app = |name: &str, more: Value| {
        let mut source = json!({"kind": "git", "url": git.path(), "folder": "deploy"});
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": name, "source": source, "deploy": false})
    };
    panel.post("/api/v1/apps", app("one", json!({}))).await.expect(201);
    panel
        .post("/api/v1/apps", app("several", json!({"compose_file": ""})))
        .await
        .expect(201);
    panel
        .post("/api/v1/apps", app("out", json!({"compose_file": "../../etc/compose.yaml"})))
        .await
        .expect(422);
    // What an app is stays: one container, or several services.
    for (name, more) in [("one", json!({"compose_file": ""})), ("several", json!({}))] {
        let change = json!({"source": app(name, more)["source"]});
        let refused = panel.patch(&format!("/api/v1/apps/{name}"), change).await.expect(422).text();
        assert!(refused.contains("make a new app"), "{refused}");
    }
    let volumes = json!({"mounts": [{"volume": "data", "path": "/data"}]});
    let refused = panel.patch("/api/v1/apps/several", volumes).await.expect(422).text();
    assert!(refused.contains("in its file"), "{refused}");
    let early = json!({"host": "x.test", "service": "web", "service_port": 80});
    let refused = panel.post("/api/v1/apps/several/domains", early).await.expect(409).text();
    assert!(refused.contains("once it was deployed"), "{refused}");
    assert_eq!(panel.list("/api/v1/apps/several/services").await, Vec::<Value>::new());

    let look = |more: Value| json!({"source": app("x", more)["source"]});
    let seen = panel
        .post("/api/v1/sources/inspect", look(json!({"compose_file": ""})))
        .await
        .expect(200)
        .json();
    assert_eq!(seen["compose_files"], json!(["deploy/docker-compose.yml"]), "{seen}");
    assert_eq!(seen["services"]["report"]["main_service"], "web", "{seen}");
    assert_eq!((&seen["plan"], &seen["problem"]), (&Value::Null, &Value::Null));
    let seen = panel
        .post("/api/v1/sources/inspect", look(json!({"compose_file": "none.yaml"})))
        .await
        .expect(200)
        .json();
    assert!(text(&seen, "problem").contains("there is `deploy/docker-compose.yml`"), "{seen}");
    let lonely = panel
        .cli(&["app", "create", "x", "--git", &git.path(), "--main", "web", "--no-deploy"])
        .await;
    assert!(lonely.code == 2 && lonely.stderr.contains("--compose-file"), "{lonely:?}");
}
