//! Several replicas behind one domain: who gets a request, and who gets none for a while.

use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use testkit::{Reply, TestPanel, docker, docker_host, eventually, eventually_ok};

const SOON: Duration = Duration::from_secs(60);
/// How long a replica that is new takes to its full share.
const WARMING: Duration = Duration::from_secs(10);

/// Each says its name; one that was made sick fails its check and what is asked at `/work`.
const APP: &str = r#"
services:
  web:
    image: python:3.11-slim
    stop_grace_period: 1s
    ports: ["8000"]
    deploy: {replicas: 3, resources: {limits: {memory: 64m}}}
    command:
      - python3
      - -c
      - |
        import socket, time
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            sick = False
            def do_GET(self):
                if self.path == "/sicken":
                    Handler.sick = True
                if self.path == "/heal":
                    Handler.sick = False
                if self.path == "/slow":
                    time.sleep(4)
                body = socket.gethostname().encode()
                self.send_response(503 if Handler.sick and self.path in ("/check", "/work") else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *_):
                pass
        ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"#;

struct Site(TestPanel);

impl Site {
    async fn policy(&self, policy: Value) {
        self.0.put("/api/v1/domains/many.test/policy", policy).await.expect(200);
    }
    async fn ask(&self, path: &str, header: Option<(&str, &str)>) -> Reply {
        let nobody = self.0.anonymous();
        let mut request = nobody.request(Method::GET, &self.0.site("many.test", path));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        nobody.send(request).await
    }
    async fn names(&self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.ask("/", None).await.expect(200).text());
        }
        names
    }
    /// Each on its own replica.
    async fn cookies(&self) -> BTreeMap<String, String> {
        let mut cookies = BTreeMap::new();
        for _ in 0..30 {
            let reply = self.ask("/", None).await.expect(200);
            let set = reply.header("set-cookie").expect("the first answer brings a cookie");
            cookies.insert(reply.text(), set.split(';').next().unwrap().to_owned());
        }
        cookies
    }
}

fn distinct(names: &[String]) -> BTreeSet<&String> {
    names.iter().collect()
}

#[tokio::test]
async fn docker_replicas_share_the_requests_as_the_policy_says() {
    let panel = TestPanel::docker().await;
    let body = json!({"name": "many", "source": {"kind": "compose", "compose": APP}, "domains": ["many.test"], "grace_seconds": 1});
    let app = panel.live_app(body).await;
    let site = Site(panel);
    eventually_ok("all three answer", SOON, || async {
        let reply = site.ask("/", None).await;
        let names = site.names(6).await;
        if reply.status == 200 && distinct(&names).len() == 3 {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
    // By turns.
    let names = site.names(12).await;
    for name in distinct(&names) {
        assert_eq!(names.iter().filter(|one| one == &name).count(), 4, "{names:?}");
    }

    // A cookie brings a client back.
    site.policy(json!({"balancing": {"kind": "sticky_cookie", "name": "where"}})).await;
    let cookies = site.cookies().await;
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    for (name, cookie) in &cookies {
        for _ in 0..4 {
            assert_eq!(&site.ask("/", Some(("cookie", cookie))).await.text(), name);
        }
    }

    // The same key, the same replica.
    let by_header = json!({"balancing": {"kind": "consistent_hash", "key": {"kind": "header", "name": "x-user"}}});
    site.policy(by_header).await;
    let mut places = BTreeSet::new();
    for user in 0..12 {
        let user = format!("user-{user}");
        let first = site.ask("/", Some(("x-user", &user))).await.text();
        assert_eq!(site.ask("/", Some(("x-user", &user))).await.text(), first, "{user}");
        places.insert(first);
    }
    assert!(places.len() > 1, "{places:?}");

    // Two are busy: the third gets the rest.
    site.policy(json!({"balancing": {"kind": "least_connections"}})).await;
    let quick = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.names(5).await
    };
    let (one, two, names) = tokio::join!(site.ask("/slow", None), site.ask("/slow", None), quick);
    let busy = [one.text(), two.text()];
    assert_ne!(busy[0], busy[1]);
    assert!(distinct(&names).len() == 1 && !busy.contains(&names[0]), "{busy:?} {names:?}");

    // One that fails its check gets nothing, until it is well again.
    let sick = cookies.iter().next().unwrap();
    let sticky = json!({"kind": "sticky_cookie", "name": "where"});
    let check = json!({"probe": {"kind": "http", "path": "/check"}, "interval_seconds": 1, "timeout_seconds": 1, "healthy_after": 1, "unhealthy_after": 1});
    site.policy(json!({"balancing": sticky.clone(), "active_health": check.clone()}))
        .await;
    let own = Some(("cookie", sick.1.as_str()));
    assert_eq!(&site.ask("/sicken", own).await.text(), sick.0);
    eventually("the sick one is passed over", SOON, || async {
        (&site.ask("/", own).await.text() != sick.0).then_some(())
    })
    .await;
    assert!(!site.names(9).await.contains(sick.0));
    let report = site.0.get("/api/v1/edge/report").await.expect(200).json();
    assert!(report["upstreams"].to_string().contains("unhealthy"), "{report}");
    let status = site.0.cli(&["edge", "status"]).await.expect(0).stdout;
    assert!(status.contains("unhealthy") && status.contains("503"), "why is said: {status}");

    // Well again, it begins with little.
    let slowly = json!({"balancing": {"kind": "round_robin"}, "active_health": check, "slow_start_seconds": WARMING.as_secs()});
    site.policy(slowly).await;
    assert!(!site.names(9).await.contains(sick.0));
    // The others count as new from here on.
    tokio::time::sleep(WARMING).await;
    let healed = Instant::now();
    for (_, id, _) in crate::compose::containers(app["id"].as_str().expect("an app has an id")) {
        let ask = "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/heal')";
        docker(&docker_host(), &["exec", &id, "python3", "-c", ask]).expect("the container runs");
    }
    eventually("it is well again", SOON, || async {
        let report = site.0.get("/api/v1/edge/report").await.expect(200).json();
        (!report["upstreams"].to_string().contains("unhealthy")).then_some(())
    })
    .await;
    let names = site.names(60).await;
    let share = names.iter().filter(|one| *one == sick.0).count();
    // As much of its 20 as it is warm by then, and some, since shares are rough.
    let warm = healed.elapsed().as_secs_f64() / WARMING.as_secs_f64();
    assert!(
        share as f64 <= 20.0 * warm + 4.0,
        "{share} of 60 at {warm:.2} of its time: {names:?}"
    );
    site.policy(json!({"balancing": sticky})).await;
    assert_eq!(&site.ask("/sicken", own).await.text(), sick.0);

    // Without checks: real requests tell, a safe one is tried elsewhere, and who failed is sent away.
    site.policy(
        json!({"balancing": {"kind": "round_robin"}, "retries": {"attempts": 2, "on_unavailable": true},
        "ejection": {"failures": 1, "seconds": 60, "max_percent": 50}}),
    )
    .await;
    for _ in 0..9 {
        assert_ne!(&site.ask("/work", None).await.expect(200).text(), sick.0);
    }
    let report = site.0.get("/api/v1/edge/report").await.expect(200).json();
    assert!(report["upstreams"].to_string().contains("ejected"), "{report}");
    assert!(!site.names(6).await.contains(sick.0));
    // Asked for nothing of it, it gets its turns again.
    site.policy(json!({})).await;
    eventually("all three answer again", SOON, || async {
        (distinct(&site.names(6).await).len() == 3).then_some(())
    })
    .await;
}

/// nginx says over h2c what a service says by grpc.health.v1: a frame with two bytes of protobuf, and the status of the call as a trailer.
const GRPC: &str = r#"
services:
  web:
    image: nginx:1.22
    stop_grace_period: 1s
    ports: ["8000"]
    deploy: {replicas: 2, resources: {limits: {memory: 64m}}}
    configs: [{source: server, target: /etc/nginx/nginx.conf}]
    command: ["sh", "-c", "mkdir /www && printf '\\000\\000\\000\\000\\002\\010\\001' >/www/said && exec nginx -g 'daemon off;'"]
configs:
  server:
    content: |
      events {}
      http {
        server {
          listen 8000 http2;
          root /www;
          location = /grpc.health.v1.Health/Check { error_page 405 =200 /said; return 405; }
          location = /said { default_type application/grpc; add_trailer grpc-status 0; }
          location / { return 200 $$hostname; }
        }
      }
"#;

#[tokio::test]
async fn docker_a_grpc_service_that_says_it_does_not_serve_gets_nothing() {
    let panel = TestPanel::docker().await;
    let body = json!({"name": "many", "source": {"kind": "compose", "compose": GRPC}, "domains": ["many.test"], "grace_seconds": 1,
        "health": {"kind": "tcp"}});
    let app = panel.live_app(body).await;
    let site = Site(panel);
    let probe = json!({"kind": "grpc", "service": "blog"});
    site.policy(
        json!({"upstream": {"kind": "h2c"}, "active_health": {"probe": probe, "interval_seconds": 1, "timeout_seconds": 5,
        "healthy_after": 1, "unhealthy_after": 1}}),
    )
    .await;
    let both = || async { (distinct(&site.names(6).await).len() == 2).then_some(()) };
    eventually("both answer", SOON, both).await;
    let containers = crate::compose::containers(app["id"].as_str().expect("an app has an id"));
    let (_, sick, _) = &containers[0];
    let say = |status: u8| {
        let write = format!("printf '\\000\\000\\000\\000\\002\\010\\{status:03o}' >/www/said");
        docker(&docker_host(), &["exec", sick, "sh", "-c", &write]).expect("the container runs");
    };
    say(2);
    eventually("it gets nothing", SOON, || async {
        (distinct(&site.names(6).await).len() == 1).then_some(())
    })
    .await;
    let status = site.0.cli(&["edge", "status"]).await.expect(0).stdout;
    assert!(status.contains("its status is 2, not SERVING"), "why is said: {status}");
    say(1);
    eventually("both answer again", SOON, both).await;
}
