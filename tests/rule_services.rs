//! Several services of one app behind one domain: a rule leads to a service and a port of it.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::{TestPanel, eventually_ok};

/// Each says its name and the path that it saw.
const APP: &str = r#"
x-says: &says
  image: python:3.11-slim
  stop_grace_period: 1s
  deploy: {resources: {limits: {memory: 64m}}}
  command:
    - python3
    - -c
    - |
      import os
      from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
      class Handler(BaseHTTPRequestHandler):
          def do_GET(self):
              body = f"{os.environ['NAME']} {self.path}".encode()
              self.send_response(200)
              self.send_header("content-length", str(len(body)))
              self.end_headers()
              self.wfile.write(body)
          def log_message(self, *_):
              pass
      ThreadingHTTPServer(("", int(os.environ["AT"])), Handler).serve_forever()
services:
  web:
    <<: *says
    environment: {NAME: web, AT: "8000"}
    ports: ["8000"]
  console:
    <<: *says
    environment: {NAME: console, AT: "9001"}
"#;

fn app(deploy: bool) -> Value {
    json!({"name": "two", "source": {"kind": "compose", "compose": APP}, "domains": ["two.test"], "grace_seconds": 1, "deploy": deploy})
}

#[tokio::test]
async fn docker_a_rule_leads_to_another_service() {
    let panel = TestPanel::docker().await;
    panel.live_app(app(true)).await;
    let rule = [
        "domain",
        "rule",
        "add",
        "two.test",
        "admin",
        "--prefix",
        "/admin",
        "--strip",
        "--app",
        "./console:9001",
    ];
    panel.cli(&rule).await.expect(0);
    let says = async |path: &str, wanted: &str| {
        eventually_ok(&format!("{path} is answered"), Duration::from_secs(30), || async {
            let reply = panel.visit("two.test", path).await;
            match reply.text() == wanted {
                true => Ok(()),
                false => Err(format!("{} {}", reply.status, reply.text())),
            }
        })
        .await;
    };
    says("/admin/x?y", "console /x?y").await;
    says("/", "web /").await;
    let list = panel.cli(&["domain", "rule", "list", "two.test"]).await.expect(0).stdout;
    assert!(list.contains("the domain's app console:9001"), "{list}");
    let why = panel.cli(&["domain", "explain", "https://two.test/admin"]).await.expect(0).stdout;
    assert!(why.contains("two console answers") && why.contains(":9001"), "{why}");
    // Back to the main one, by clearing the field.
    panel
        .cli(&["domain", "rule", "set", "two.test", "admin", "action.service="])
        .await
        .expect(0);
    says("/admin/x", "web /x").await;
}

#[tokio::test]
async fn services_that_are_none_are_refused() {
    let panel = TestPanel::start().await;
    panel.create_app(app(false)).await;
    let image = json!({"name": "one", "source": {"kind": "image", "reference": "nginx"}, "domains": ["one.test"], "deploy": false});
    panel.create_app(image).await;
    let rules = |host: &str| format!("/api/v1/domains/{host}/rules");
    let to = |service: &str, port: u16| json!({"name": "r", "action": {"kind": "app", "service": {"service": service, "port": port}}});
    panel.post(&rules("two.test"), to("nosuch", 80)).await.expect(404);
    for (service, port) in [("", 80), ("console", 0)] {
        let refused = panel.post(&rules("two.test"), to(service, port)).await.expect(422).json();
        assert_eq!(refused["field"], "service", "{refused}");
    }
    panel.post(&rules("one.test"), to("web", 80)).await.expect(422);
    let split = json!({"name": "s", "action": {"kind": "split", "parts": [
        {"weight": 1}, {"weight": 1, "service": {"service": "nosuch", "port": 80}}]}});
    panel.post(&rules("two.test"), split).await.expect(404);
    // One that does not run is said so, and changing the rule elsewhere stays possible.
    let made = panel.post(&rules("two.test"), to("console", 9001)).await.expect(201).json();
    assert_eq!(made["action"]["service"], json!({"service": "console", "port": 9001}), "{made}");
    let why = panel.cli(&["domain", "explain", "https://two.test/"]).await.expect(0).stdout;
    assert!(why.contains("its service `console` does not run"), "{why}");
    panel.cli(&["domain", "rule", "set", "two.test", "r", "priority=3"]).await.expect(0);
}
