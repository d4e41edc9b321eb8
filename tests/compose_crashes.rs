//! Apps of several services of which one keeps exiting soon after a release went live: the way back to the release before, by the panel itself.

use crate::{
    compose::{containers, id_of, says},
    deploy::text,
    releases::given_up,
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

const FILE: &str = r#"
services:
  web:
    build: {context: web}
    restart: always
    stop_grace_period: 1s
    ports: ["8080:8000"]
  worker:
    image: debian:bookworm-slim
    restart: always
    stop_grace_period: 1s
    command: [sh, -c, "while [ ! -e /tmp/dead ]; do sleep 0.2; done; echo the queue is gone; exit 4"]
"#;
const WEB: &str = "FROM python:3.11-slim\nCOPY app.py .\nEXPOSE 8000\nCMD [\"python3\", \"app.py\"]\n";
const PROGRAM: &str = r#"
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

def die():
    print("cannot open the table", flush=True)
    os._exit(3)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            open("/tmp/dead", "w").close()
            die()
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"v1")
    def log_message(self, *_):
        pass

if os.path.exists("/tmp/dead"):
    die()
HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"#;

#[tokio::test]
async fn docker_services_that_crash_loop_soon_are_rolled_back_once() {
    let panel = TestPanel::docker().await;
    let git = GitFixture::of(&[("compose.yaml", FILE), ("web/Dockerfile", WEB), ("web/app.py", PROGRAM)]);
    let source = json!({"kind": "git", "url": git.path(), "compose_file": ""});
    let body = json!({"name": "shop", "source": source, "domains": ["shop.test"], "grace_seconds": 2});
    let id = text(&panel.live_app(body).await, "id");
    panel.cli(&["app", "update", "shop", "--restart-limit", "3"]).await.expect(0);
    says(&panel, "shop.test", "v1").await;
    let worker = id_of(&containers(&id), "worker");
    git.edit("web/app.py", "b\"v1\"", "b\"v2\"");
    let second = panel.deploy("shop").await;
    panel.live(&second).await;
    says(&panel, "shop.test", "v2").await;

    panel.visit("shop.test", "/die").await;
    let back = eventually_ok("it goes back by itself", SOON, || async {
        let newest = panel.newest("shop").await;
        match newest["cause"] == "rollback" && newest["phase"] == "live" {
            true => Ok(newest),
            false => Err(newest.to_string()),
        }
    })
    .await;
    let why = text(&back, "rollback_why");
    assert!(why.starts_with("web: exited with code 3: cannot open the table"), "{why}");
    assert_eq!((text(&back, "by"), &back["number"]), ("serverkit".into(), &json!(3)));
    says(&panel, "shop.test", "v1").await;
    let app = panel.get("/api/v1/apps/shop").await.expect(200).json();
    assert_eq!(app["release"]["number"], 1, "{app}");
    let log = panel.build_log(&text(&back, "id")).await;
    assert!(
        log.contains("going back from what kept exiting: web: exited with code 3")
            && log.contains("worker: unchanged, its container stays"),
        "{log}"
    );
    assert_eq!(id_of(&containers(&id), "worker"), worker);
    eventually_ok("it is told", SOON, || async {
        let events = panel.list("/api/v1/events/history").await;
        let words = "rolled shop back to #1: web: exited with code 3";
        let told = |event: &Value| event["kind"] == "rolled_back" && event["text"].to_string().contains(words);
        match events.iter().any(told) {
            true => Ok(()),
            false => Err(format!("{events:?}")),
        }
    })
    .await;

    // The older one does the same: it is given up on, and the newer one does not come back.
    panel.visit("shop.test", "/die").await;
    let why = given_up(&panel, "shop").await;
    assert!(why.starts_with("web: exited with code 3"), "{why}");
    assert_eq!(panel.newest("shop").await["number"], 3);

    // A service that did not change would go on exiting: there is nothing to go back to.
    git.edit("web/app.py", "b\"v2\"", "b\"v3\"");
    let fourth = panel.deploy("shop").await;
    panel.live(&fourth).await;
    says(&panel, "shop.test", "v3").await;
    assert_eq!(id_of(&containers(&id), "worker"), worker);
    docker(&docker_host(), &["exec", &worker, "touch", "/tmp/dead"]).unwrap();
    let why = given_up(&panel, "shop").await;
    assert!(why.starts_with("worker: exited with code 4: the queue is gone"), "{why}");
    assert_eq!(panel.newest("shop").await["number"], 4);
}
