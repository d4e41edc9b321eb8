//! Releases: that the way back brings all of one back, how two differ, which are kept, and how one gets elsewhere.

use crate::deploy::{app_of, containers, text};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use testkit::{Api, GitFixture, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

/// What the app's one container is made of and what its hosts do, without ids, names, dates and addresses.
async fn effective(panel: &TestPanel, app: &Value, host: &str) -> String {
    let name = eventually_ok("one container is left", SOON, || async {
        match containers(app).as_slice() {
            [one] => Ok(one.clone()),
            several => Err(format!("{several:?}")),
        }
    })
    .await;
    let found: Value = serde_json::from_str(&docker(&docker_host(), &["inspect", &name]).unwrap()).unwrap();
    let found = &found[0];
    let mut config = found["Config"].clone();
    config.as_object_mut().unwrap().remove("Hostname");
    config["Env"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    let mut labels: BTreeMap<String, Value> = serde_json::from_value(config["Labels"].clone()).unwrap();
    labels.remove("serverkit.release");
    config["Labels"] = json!(labels);
    let networks = found["NetworkSettings"]["Networks"].as_object().unwrap();
    // The engine adds the container's short id.
    let aliases = |network: &Value| -> Vec<Value> {
        let short = &text(found, "Id")[..12];
        network["Aliases"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|alias| *alias != short)
            .cloned()
            .collect()
    };
    let networks: BTreeMap<&String, Vec<Value>> = networks.iter().map(|(name, network)| (name, aliases(network))).collect();
    let mut files = Vec::new();
    for path in ["/etc/app/one.ini", "/etc/app/two.ini"] {
        files.push(docker(&docker_host(), &["exec", &name, "stat", "-c", "%a %u %s", path]).ok());
        files.push(docker(&docker_host(), &["exec", &name, "cat", path]).ok());
    }
    let mut routes = panel.list("/api/v1/apps/hello/domains").await;
    routes.retain(|route| route["host"] == host);
    let mut edge = Vec::new();
    for part in ["policy", "rules"] {
        edge.push(panel.get(&format!("/api/v1/domains/{host}/{part}")).await.expect(200).json());
    }
    let answers = [panel.visit(host, "/").await, panel.visit(host, "/old").await];
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| json!([answer.status.as_u16(), answer.header("x-place"), answer.text()]))
        .collect();
    let all = json!({
        "image": found["Image"], "config": config, "host": found["HostConfig"], "networks": json!(networks), "files": files,
        "routes": routes, "edge": edge, "answers": answers,
    });
    serde_json::to_string_pretty(&all).unwrap()
}

#[tokio::test]
async fn docker_the_way_back_is_byte_equal() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["variables"] = json!([{"key": "COLOUR", "value": "green \"q\" $x\t"}, {"key": "PASSWORD", "value": "first-4711", "secret": true}]);
    body["limits"] = json!({"memory_bytes": 134217728, "cpu_millis": 500, "pids": 77});
    body["mounts"] = json!([{"volume": "data", "path": "/data", "read_only": true}]);
    let app = panel
        .create_app({
            body["deploy"] = json!(false);
            body
        })
        .await;
    let file = |path: &str, content: &str, mode: &str| json!({"path": path, "content": content, "mode": mode});
    let put = async |body: Value| panel.put("/api/v1/apps/hello/files", body).await.expect(200);
    put(file("/etc/app/one.ini", "[a]\r\nb = ü\n", "640")).await;
    let policy = |place: &str| json!({"response_headers": {"set": {"x-place": place}}});
    panel.put("/api/v1/domains/hello.test/policy", policy("first")).await.expect(200);
    let rule = json!({"name": "old", "matches": {"path": {"kind": "exact", "path": "/old"}}, "action": {"kind": "respond", "status": 410, "content_type": "text/plain", "body": "gone"}});
    let rule = panel.post("/api/v1/domains/hello.test/rules", rule).await.expect(201).json();
    let first = panel.deploy("hello").await;
    panel.live(&first).await;
    // What is changed while it serves is a part of it too.
    let upkeep = json!({"before_stop": "true", "restart_limit": 7});
    panel.patch("/api/v1/apps/hello", upkeep).await.expect(200);
    let before = effective(&panel, &app, "hello.test").await;
    assert!(
        before.contains("first") && before.contains("410") && before.contains("gone"),
        "{before}"
    );

    // All of it becomes something else; what holds at once does when the next one is live.
    repository.edit("app.py", "\"one\"", "\"two\"");
    let set = json!({"set": [{"key": "COLOUR", "value": "blue"}, {"key": "NEW", "value": "x"}, {"key": "PASSWORD", "value": "second-4712", "secret": true}], "unset": []});
    panel.patch("/api/v1/apps/hello/variables", set).await.expect(200);
    let change = json!({
        "limits": {"memory_bytes": 268435456, "cpu_millis": 700, "pids": 88}, "grace_seconds": 9,
        "mounts": [{"volume": "data", "path": "/elsewhere"}, {"volume": "more", "path": "/more", "read_only": true}],
        "health": {"kind": "http", "path": "/"},
    });
    panel.patch("/api/v1/apps/hello", change).await.expect(200);
    put(file("/etc/app/one.ini", "other", "600")).await;
    put(file("/etc/app/two.ini", "new", "644")).await;
    panel
        .post("/api/v1/apps/hello/domains", json!({"host": "later.test"}))
        .await
        .expect(201);
    let second = panel.deploy("hello").await;
    panel.live(&second).await;
    panel.put("/api/v1/domains/hello.test/policy", policy("second")).await.expect(200);
    panel
        .delete(&format!("/api/v1/domains/hello.test/rules/{}", text(&rule, "id")))
        .await
        .expect(204);
    let upkeep = json!({"before_stop": "sleep 0", "restart_limit": 3});
    panel.patch("/api/v1/apps/hello", upkeep).await.expect(200);
    let changed = effective(&panel, &app, "hello.test").await;
    assert_ne!(changed, before);
    let diff = panel.get("/api/v1/apps/hello/diff?from=1&to=live").await.expect(200).json();
    let whats: Vec<String> = diff["changes"].as_array().unwrap().iter().map(|one| text(one, "what")).collect();
    for what in [
        "commit",
        "variable COLOUR",
        "variable NEW",
        "variable PASSWORD",
        "file /etc/app/one.ini",
        "file /etc/app/two.ini",
        "mount /data",
        "mount /elsewhere",
        "memory",
        "cpu",
        "pids",
        "health check",
        "domains",
        "route hello.test",
        "command before it stops",
        "restarts",
    ] {
        assert!(whats.iter().any(|one| one == what), "{what} in {whats:?}");
    }
    let told = diff.to_string();
    assert!(!told.contains("first-47") && !told.contains("second-47"), "{diff}");

    panel.cli(&["rollback", "hello", "1", "--wait"]).await.expect(0);
    let after = effective(&panel, &app, "hello.test").await;
    assert_eq!(after, before);
    let app = panel.get("/api/v1/apps/hello").await.expect(200).json();
    assert_eq!((text(&app, "before_stop"), &app["restart_limit"]), ("true".into(), &json!(7)));
    // What came since is not taken away, and leads to what is live.
    let later = panel.visit("later.test", "/").await.expect(200);
    assert_eq!(later.text(), "hello one");
    // Forward again, with the routes as they are.
    panel.cli(&["rollback", "hello", "2", "--keep-routes", "--wait"]).await.expect(0);
    let kept = panel.visit("hello.test", "/").await.expect(200);
    assert_eq!(
        (kept.text(), kept.header("x-place").as_deref()),
        ("hello two".into(), Some("first"))
    );

    // A policy that was changed the day after it was deployed comes back with it.
    panel.put("/api/v1/domains/hello.test/policy", policy("third")).await.expect(200);
    panel.cli(&["rollback", "hello", "1", "--wait"]).await.expect(0);
    assert_eq!(panel.visit("hello.test", "/").await.header("x-place").as_deref(), Some("first"));
    panel.cli(&["rollback", "hello", "2", "--wait"]).await.expect(0);
    let back = panel.visit("hello.test", "/").await.expect(200);
    assert_eq!(
        (back.text(), back.header("x-place").as_deref()),
        ("hello two".into(), Some("third"))
    );
}

/// Who may deploy only brings no policy back and takes none away; who may not ask other servers brings none back that does.
#[tokio::test]
async fn docker_a_rollback_changes_no_route_that_is_not_ones_own_to_change() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    let second = panel.deploy("hello").await;
    panel.live(&second).await;
    let path = "/api/v1/domains/hello.test/policy";
    let policy = async || panel.get(path).await.expect(200).json();
    let back = async |api: &Api, to: &str| {
        let asked = api.post("/api/v1/apps/hello/rollback", json!({"to": to})).await.expect(202).json();
        panel.live(&text(&asked, "id")).await
    };
    let guarded = json!({"response_headers": {"set": {"x-place": "guarded"}}});
    panel.put(path, guarded).await.expect(200);
    let guarded = policy().await;

    // Release 1 had no policy. A token of a CI leaves the one that came since, and is told so.
    let ci = panel.member("developer", "deploy").await;
    let done = back(&ci, "1").await;
    assert!(done["kept"][0].as_str().unwrap().starts_with("domains stay as they are"), "{done}");
    assert_eq!(policy().await, guarded);
    let log = panel.build_log(&text(&done, "id")).await;
    assert!(log.contains("domains stay as they are"), "{log}");

    // An administrator has both as they were.
    let asks = json!({"forward_auth": {"url": "http://127.0.0.1:1/"}});
    panel.put(path, asks).await.expect(200);
    let asks = policy().await;
    let admin = panel.member("admin", "admin").await;
    let done = back(&admin, "2").await;
    assert_eq!((&done["kept"], policy().await), (&json!([]), guarded.clone()));
    back(&admin, "1").await;
    assert_eq!(policy().await, asks);
    back(&admin, "2").await;

    // Who may change domains, and may not set forward-auth, does not bring it back.
    let developer = panel.member("developer", "admin").await;
    let done = back(&developer, "1").await;
    let told = done["kept"][0].as_str().unwrap();
    assert!(
        told.starts_with("hello.test stays as it is") && told.contains("forward-auth"),
        "{done}"
    );
    assert_eq!(policy().await, guarded);
    // Without that they bring back what the release had.
    let other = json!({"response_headers": {"set": {"x-place": "other"}}});
    panel.put(path, other).await.expect(200);
    let done = back(&developer, "2").await;
    assert_eq!((&done["kept"], policy().await), (&json!([]), guarded));
}

#[tokio::test]
async fn docker_what_a_release_does_before_its_stop_is_its_own() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    body["before_stop"] = "echo one >> /data/words".into();
    panel.live_app(body).await;
    let said = async || panel.visit("hello.test", "/read?file=/data/words").await.expect(200).text();
    panel.cli(&["deploy", "hello", "--wait"]).await.expect(0);
    assert_eq!(said().await, "one\n");
    let change = json!({"before_stop": "echo two >> /data/words"});
    panel.patch("/api/v1/apps/hello", change).await.expect(200);
    panel.cli(&["rollback", "hello", "1", "--wait"]).await.expect(0);
    assert_eq!(said().await, "one\ntwo\n");
    panel.cli(&["deploy", "hello", "--wait"]).await.expect(0);
    assert_eq!(said().await, "one\ntwo\none\n");
}

/// What has another name may have been meant as an environment.
#[tokio::test]
async fn docker_a_promotion_to_an_app_of_another_name_is_asked_for() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    let mut other = app_of("nope", &repository);
    other["source"] = json!({"kind": "image", "reference": "nginx:1.22"});
    let nope = text(&panel.live_app(other).await, "id");

    let preview = panel.cli(&["promote", "hello", "--to", "nope", "--dry-run"]).await.expect(0).stdout;
    let image = preview.lines().find(|line| line.starts_with("image ")).unwrap_or_default();
    assert_eq!(image.split_whitespace().nth(1), Some("nginx:1.22"), "{preview}");
    let plan = panel.get("/api/v1/apps/hello/promotion-plan?to=nope").await.expect(200).json();
    let warnings = [
        "`nope` in production is another app than `hello`",
        "`nope` is made from the image nginx, `hello` from a repository",
    ];
    assert_eq!(plan["warnings"], json!(warnings));
    assert_eq!((&plan["app"]["id"], &plan["live"]), (&json!(nope), &json!(1)));

    // Nobody is there to answer.
    let refused = panel.cli(&["promote", "hello", "--to", "nope", "--wait"]).await.expect(2);
    assert!(
        refused.stderr.contains("of nope in production") && refused.stderr.contains("--yes"),
        "{}",
        refused.stderr
    );
    assert_eq!(panel.newest(&nope).await["cause"], "created");
    panel.cli(&["promote", "hello", "--to", "nope", "--yes", "--wait"]).await.expect(0);
    assert_eq!(panel.visit("nope.test", "/").await.expect(200).text(), "hello one");
}

#[tokio::test]
async fn docker_a_release_is_promoted_and_pinned() {
    let mut panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let project = text(&panel.list("/api/v1/projects").await[0], "id");
    let made = panel
        .post(&format!("/api/v1/projects/{project}/environments"), json!({"name": "staging"}))
        .await
        .expect(201)
        .json();
    let mut body = app_of("hello", &repository);
    body["variables"] = json!([{"key": "PLACE", "value": "production"}]);
    let mut staging = app_of("hello", &repository);
    staging["domains"] = json!(["staging.test"]);
    staging["environment"] = json!(text(&made, "id"));
    staging["variables"] = json!([{"key": "PLACE", "value": "staging"}]);
    let production = panel.live_app(body).await;
    let production = text(&production, "id");
    repository.edit("app.py", "\"one\"", "\"two\"");
    let staged = panel.create_app(staging).await;
    let staged = text(&staged, "id");
    panel.live(&text(&panel.newest(&staged).await, "id")).await;
    assert_eq!(panel.visit("staging.test", "/").await.expect(200).text(), "hello two");
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");

    // One name in two environments: the name alone is not enough, with the environment it is.
    panel.cli(&["release", "list", "hello"]).await.expect(1);
    let preview = panel
        .cli(&["promote", "hello@staging", "--to", "production", "--dry-run"])
        .await
        .expect(0)
        .stdout;
    let commit = preview
        .lines()
        .find(|line| line.trim_start().starts_with("commit"))
        .unwrap_or_default();
    let commits = [
        text(&panel.newest(&production).await["commit"], "id"),
        text(&panel.newest(&staged).await["commit"], "id"),
    ];
    let places = commits.map(|id| commit.find(&id[..10]));
    assert!(
        places[0].is_some() && places[0] < places[1],
        "from what is live to what would be: {preview}"
    );
    assert!(preview.contains("image id"), "{preview}");
    for own in ["variable PLACE", "domain", "memory"] {
        assert!(!preview.contains(own), "{own} is the target's own: {preview}");
    }
    panel
        .cli(&["promote", "hello@staging", "--to", "production", "--wait"])
        .await
        .expect(0);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    let environment = panel.visit("hello.test", "/environment").await.expect(200).json();
    assert_eq!(environment["PLACE"], "cHJvZHVjdGlvbg==", "its own variables");
    let release = async |app: &str| panel.list(&format!("/api/v1/apps/{app}/releases")).await[0].clone();
    let (from, to) = (release(&staged).await, release(&production).await);
    assert_eq!((&to["image"], &to["commit"]), (&from["image"], &from["commit"]));
    let newest = panel.newest(&production).await;
    assert_eq!(
        (text(&newest, "cause"), text(&newest, "promoted")),
        ("promotion".into(), text(&from, "id"))
    );

    // What it must not be done with.
    let promote = async |body: Value| panel.post(&format!("/api/v1/apps/{staged}/promote"), body).await;
    promote(json!({"to": "nowhere"})).await.expect(404);
    promote(json!({"to": production, "release": "77"})).await.expect(404);
    let same = promote(json!({"to": staged})).await.expect(422);
    assert!(same.detail().contains("the same app"), "{}", same.detail());

    // Where nothing is live yet there is nothing to compare with.
    let first = json!({"name": "fourth", "source": {"kind": "image", "reference": "nginx:1.22"}, "domains": [], "deploy": false});
    panel.create_app(first).await;
    let preview = panel.cli(&["promote", &staged, "--to", "fourth", "--dry-run"]).await.expect(0);
    assert!(preview.stdout.contains("the first of fourth in production"), "{}", preview.stdout);

    // The first one is pinned, so that the limit of one does not reach it.
    panel.cli(&["release", "pin", &production, "1"]).await.expect(0);
    let limits = [
        "app",
        "update",
        &production,
        "--keep-releases",
        "1",
        "--keep-days",
        "30",
        "--keep-size",
        "100g",
    ];
    panel.cli(&limits).await.expect(0);
    for _ in 0..3 {
        let deployed = panel.deploy(&production).await;
        panel.live(&deployed).await;
    }
    // Each start tidies up.
    panel.stop().await;
    panel.start_again().await;
    eventually_ok("old releases go", SOON, || async {
        let left = panel.list(&format!("/api/v1/apps/{production}/releases")).await;
        let numbers: Vec<u64> = left.iter().filter_map(|one| one["number"].as_u64()).collect();
        match numbers == [5, 4, 1] {
            true => Ok(()),
            false => Err(format!("{numbers:?}")),
        }
    })
    .await;
    let listed = panel.cli(&["release", "list", &production]).await.expect(0).stdout;
    assert!(listed.contains("pinned") && listed.contains("live"), "{listed}");
    panel.cli(&["release", "unpin", &production, "1"]).await.expect(0);
}

/// Numbers of an app's releases, newest first, as the command line lists them: sessions do not outlive a clock that jumps.
async fn numbers(panel: &TestPanel, app: &str) -> Vec<u64> {
    let listed = panel.cli(&["--json", "release", "list", app]).await.expect(0).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let all = listed
        .as_array()
        .or_else(|| listed["items"].as_array())
        .unwrap_or_else(|| panic!("{listed}"));
    all.iter().filter_map(|one| one["number"].as_u64()).collect()
}

/// Waits until these are left; each start tidies up.
async fn are_left(panel: &TestPanel, app: &str, wanted: &[u64]) {
    eventually_ok(&format!("{wanted:?} are left"), SOON, || async {
        let left = numbers(panel, app).await;
        if left == wanted { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

/// An app whose every build is another image, some megabytes large.
fn growing(name: &str) -> (GitFixture, Value) {
    let dockerfile = "FROM tests/http:latest\nCOPY turn /turn\nRUN head -c 3000000 /dev/urandom >/blob\nEXPOSE 8080\nCMD [\"serve\"]\n";
    let repository = GitFixture::of(&[("Dockerfile", dockerfile), ("turn", "1")]);
    let app = app_of(name, &repository);
    (repository, app)
}

#[tokio::test]
async fn docker_releases_go_when_they_are_old() {
    let mut panel = TestPanel::docker().await;
    let (repository, app) = growing("aging");
    panel.live_app(app).await;
    for turn in ["2", "3"] {
        repository.commit(&[("turn", turn)], "another turn");
        panel.cli(&["deploy", "aging", "--wait"]).await.expect(0);
    }
    panel.cli(&["release", "pin", "aging", "1"]).await.expect(0);
    panel
        .cli(&["app", "update", "aging", "--keep-releases", "50", "--keep-days", "30"])
        .await
        .expect(0);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+29d"))).await;
    panel.cli(&["deploy", "aging", "--wait"]).await.expect(0);
    panel.cli(&["deploy", "aging", "--wait"]).await.expect(0);
    assert_eq!(numbers(&panel, "aging").await, [5, 4, 3, 2, 1], "none is old enough");

    // Days later those of the first day are, but for the one that is pinned.
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+31d"))).await;
    are_left(&panel, "aging", &[5, 4, 1]).await;
    // And when all are: what serves and the newest to go back to stay.
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+300d"))).await;
    panel.cli(&["release", "unpin", "aging", "1"]).await.expect(0);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+301d"))).await;
    are_left(&panel, "aging", &[5, 4]).await;
    panel.cli(&["rollback", "aging", "4", "--wait"]).await.expect(0);
}

#[tokio::test]
async fn docker_releases_go_when_they_are_large_together() {
    let mut panel = TestPanel::docker().await;
    let (repository, app) = growing("large");
    panel.live_app(app).await;
    for turn in ["2", "3", "4", "5"] {
        repository.commit(&[("turn", turn)], "another turn");
        panel.cli(&["deploy", "large", "--wait"]).await.expect(0);
    }
    let all = panel.list("/api/v1/apps/large/releases").await;
    let bytes: Vec<u64> = all.iter().map(|one| one["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.iter().all(|bytes| (3_000_000..100_000_000).contains(bytes)), "{bytes:?}");
    let image = |number: u64| text(all.iter().find(|one| one["number"] == number).unwrap(), "image");
    // Room for the two newest beside the live one, and not for a third.
    let keep = (bytes[1] + bytes[2] + 1).to_string();
    panel
        .cli(&["app", "update", "large", "--keep-releases", "50", "--keep-size", &keep])
        .await
        .expect(0);
    panel.stop().await;
    panel.start_again().await;
    are_left(&panel, "large", &[5, 4, 3]).await;
    let is_there = |id: &str| docker(&docker_host(), &["image", "inspect", id]).is_ok();
    eventually_ok("their images go too", SOON, || async {
        match !is_there(&image(1)) && !is_there(&image(2)) {
            true => Ok(()),
            false => Err("they are there".to_owned()),
        }
    })
    .await;
    assert!(is_there(&image(3)) && is_there(&image(5)));

    // The newest to go back to stays at any size.
    panel.cli(&["app", "update", "large", "--keep-size", "1k"]).await.expect(0);
    panel.stop().await;
    panel.start_again().await;
    are_left(&panel, "large", &[5, 4]).await;
}

/// Serves until somebody asks for `/eat`; from then on it takes too much memory whenever it starts.
const HUNGRY: &str = r#"
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

def eat():
    kept = []
    while True:
        kept.append(b"x" * (8 << 20))

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/eat":
            open("/tmp/hungry", "w").close()
            eat()
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass

if os.path.exists("/tmp/hungry"):
    eat()
HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"#;

/// An app of one Python program.
fn program(name: &str, text: &str) -> (GitFixture, Value) {
    let dockerfile = "FROM python:3.11-slim\nCOPY app.py .\nEXPOSE 8000\nCMD [\"python3\", \"app.py\"]\n";
    let repository = GitFixture::of(&[("Dockerfile", dockerfile), ("app.py", text)]);
    let app = app_of(name, &repository);
    (repository, app)
}

/// Waits until the app is given up on; answers why.
pub async fn given_up(panel: &TestPanel, app: &str) -> String {
    eventually_ok("it is given up on", SOON, || async {
        let app = panel.get(&format!("/api/v1/apps/{app}")).await.expect(200).json();
        let why = app["state_detail"].as_str().unwrap_or_default().to_owned();
        match app["state"] == "crashing" && why.contains("not started again") {
            true => Ok(why),
            false => Err(app.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn docker_a_crash_loop_is_given_up_on_with_the_reason() {
    let panel = TestPanel::docker().await;
    let (_repository, mut body) = program("hungry", HUNGRY);
    body["limits"] = json!({"memory_bytes": 67108864});
    let app = panel.live_app(body).await;
    panel.cli(&["app", "update", "hungry", "--restart-limit", "3"]).await.expect(0);
    assert_eq!(panel.get("/api/v1/apps/hungry").await.json()["pending_changes"], false);
    panel.visit("hungry.test", "/eat").await;
    let why = given_up(&panel, "hungry").await;
    assert!(why.contains("killed: out of memory, limit 64 MiB"), "{why}");
    let shown = panel.cli(&["app", "show", "hungry"]).await.expect(0).stdout;
    assert!(shown.contains("killed: out of memory, limit 64 MiB"), "{shown}");
    eventually_ok("nothing runs", SOON, || async {
        match containers(&app).is_empty() {
            true => Ok(()),
            false => Err(format!("{:?}", containers(&app))),
        }
    })
    .await;
    // Another turn of the reconciler changes nothing; a person does.
    panel.cli(&["app", "start", "hungry"]).await.expect(0);
    given_up(&panel, "hungry").await;
}

#[tokio::test]
async fn docker_a_release_that_crash_loops_soon_is_rolled_back_once() {
    let panel = TestPanel::docker().await;
    let (repository, mut body) = program("hungry", &HUNGRY.replace("b\"ok\"", "b\"v1\""));
    body["limits"] = json!({"memory_bytes": 67108864});
    panel.live_app(body).await;
    panel.cli(&["app", "update", "hungry", "--restart-limit", "3"]).await.expect(0);
    repository.edit("app.py", "b\"v1\"", "b\"v2\"");
    let second = panel.deploy("hungry").await;
    panel.live(&second).await;
    let app = panel.get("/api/v1/apps/hungry").await.expect(200).json();
    assert_eq!(
        (&app["rollback_within_minutes"], &app["pending_changes"]),
        (&json!(10), &json!(false))
    );
    assert_eq!(panel.visit("hungry.test", "/").await.expect(200).text(), "v2");

    panel.visit("hungry.test", "/eat").await;
    let back = eventually_ok("it goes back by itself", SOON, || async {
        let newest = panel.newest("hungry").await;
        match newest["cause"] == "rollback" && newest["phase"] == "live" {
            true => Ok(newest),
            false => Err(newest.to_string()),
        }
    })
    .await;
    let why = text(&back, "rollback_why");
    assert!(why.starts_with("killed: out of memory, limit 64 MiB"), "{why}");
    assert_eq!((text(&back, "by"), &back["number"]), ("serverkit".into(), &json!(3)));
    assert_eq!(panel.visit("hungry.test", "/").await.expect(200).text(), "v1");
    let app = panel.get("/api/v1/apps/hungry").await.expect(200).json();
    assert_eq!(app["release"]["number"], 1, "{app}");
    let log = panel.build_log(&text(&back, "id")).await;
    assert!(log.contains("going back from what kept exiting: killed: out of memory"), "{log}");
    let listed = panel.cli(&["deployments", "hungry"]).await.expect(0).stdout;
    assert!(listed.contains("killed: out of memory, limit 64 MiB"), "{listed}");
    eventually_ok("it is told", SOON, || async {
        let events = panel.list("/api/v1/events/history").await;
        let words = "rolled hungry back to #1: killed: out of memory, limit 64 MiB";
        let told = |event: &Value| event["kind"] == "rolled_back" && event["text"].to_string().contains(words);
        match events.iter().any(told) {
            true => Ok(()),
            false => Err(format!("{events:?}")),
        }
    })
    .await;

    // The older one does the same: it is given up on, and the newer one does not come back.
    panel.visit("hungry.test", "/eat").await;
    given_up(&panel, "hungry").await;
    assert_eq!(panel.newest("hungry").await["number"], 3);

    // Where it is turned off, the newest is given up on at once.
    panel.cli(&["app", "update", "hungry", "--rollback-within", "0"]).await.expect(0);
    let fourth = panel.deploy("hungry").await;
    panel.live(&fourth).await;
    panel.visit("hungry.test", "/eat").await;
    given_up(&panel, "hungry").await;
    assert_eq!(panel.newest("hungry").await["number"], 4);
}

const SPEAKING: &str = r#"
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

def die():
    for line in ("first", "second", "\x1b[31mcannot open\x1b[0m the table", "as " + os.environ["TOKEN"], "", "giving up"):
        print(line, file=sys.stderr, flush=True)
    os._exit(3)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            open("/tmp/dead", "w").close()
            die()
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass

if os.path.exists("/tmp/dead"):
    die()
HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"#;

#[tokio::test]
async fn docker_a_crash_loop_is_given_up_on_with_the_last_words() {
    let panel = TestPanel::docker().await;
    let (_repository, mut body) = program("speaking", SPEAKING);
    body["variables"] = json!([{"key": "TOKEN", "value": "quiet-otters-swim-north", "secret": true}]);
    panel.live_app(body).await;
    panel.cli(&["app", "update", "speaking", "--restart-limit", "5"]).await.expect(0);
    panel.visit("speaking.test", "/die").await;
    let why = given_up(&panel, "speaking").await;
    let (before, after) = why.split_once(" / as ").expect("the line with the secret");
    assert!(before.ends_with("exited with code 3: cannot open the table"), "{why}");
    assert!(
        after.contains(" / giving up; not started again after ") && !why.contains("otters"),
        "{why}"
    );
    let shown = panel.cli(&["app", "show", "speaking"]).await.expect(0).stdout;
    assert!(
        shown.contains("cannot open the table / as ") && !shown.contains("otters"),
        "{shown}"
    );
}

#[tokio::test]
async fn docker_web_frameworks_are_asked_for_an_answer() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("static");
    let mut body = app_of("site", &repository);
    body.as_object_mut().unwrap().remove("health");
    let app = panel.live_app(body).await;
    assert_eq!(app["health"]["kind"], "auto", "{app}");
    assert_eq!(app["pending_changes"], false, "{app}");
    let release = panel.list("/api/v1/apps/site/releases").await[0].clone();
    assert_eq!(
        (&release["health"]["kind"], &release["health"]["path"]),
        (&json!("web"), &json!("/"))
    );
    let log = panel.build_log(&text(&app["deployment"], "id")).await;
    assert!(log.contains("answers below 500"), "{log}");
    // With a Dockerfile nobody knows what it is.
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body.as_object_mut().unwrap().remove("health");
    panel.live_app(body).await;
    let release = panel.list("/api/v1/apps/hello/releases").await[0].clone();
    assert_eq!(release["health"]["kind"], "tcp", "{release}");
}
