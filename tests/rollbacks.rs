//! The way back: that it brings all of a release back, and no route that is not one's own to change.

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

/// A policy that marks what the host answers.
async fn put_policy(panel: &TestPanel, place: &str) {
    let policy = json!({"response_headers": {"set": {"x-place": place}}});
    panel.put("/api/v1/domains/hello.test/policy", policy).await.expect(200);
}

async fn put_file(panel: &TestPanel, path: &str, content: &str, mode: &str) {
    let file = json!({"path": path, "content": content, "mode": mode});
    panel.put("/api/v1/apps/hello/files", file).await.expect(200);
}

/// The app `hello` with something of everything, live; and the rule of its host.
async fn first_release(panel: &TestPanel, repository: &GitFixture) -> (Value, Value) {
    let mut body = app_of("hello", repository);
    body["variables"] = json!([{"key": "COLOUR", "value": "green \"q\" $x\t"}, {"key": "PASSWORD", "value": "first-4711", "secret": true}]);
    body["limits"] = json!({"memory_bytes": 134217728, "cpu_millis": 500, "pids": 77});
    body["mounts"] = json!([{"volume": "data", "path": "/data", "read_only": true}]);
    body["deploy"] = json!(false);
    let app = panel.create_app(body).await;
    put_file(panel, "/etc/app/one.ini", "[a]\r\nb = ü\n", "640").await;
    put_policy(panel, "first").await;
    let rule = json!({"name": "old", "matches": {"path": {"kind": "exact", "path": "/old"}}, "action": {"kind": "respond", "status": 410, "content_type": "text/plain", "body": "gone"}});
    let rule = panel.post("/api/v1/domains/hello.test/rules", rule).await.expect(201).json();
    let first = panel.deploy("hello").await;
    panel.live(&first).await;
    // What is changed while it serves is a part of it too.
    let upkeep = json!({"before_stop": "true", "restart_limit": 7});
    panel.patch("/api/v1/apps/hello", upkeep).await.expect(200);
    (app, rule)
}

/// All of it becomes something else; what holds at once does when the next one is live.
async fn second_release(panel: &TestPanel, repository: &GitFixture, rule: &Value) {
    repository.edit("app.py", "\"one\"", "\"two\"");
    let set = json!({"set": [{"key": "COLOUR", "value": "blue"}, {"key": "NEW", "value": "x"}, {"key": "PASSWORD", "value": "second-4712", "secret": true}], "unset": []});
    panel.patch("/api/v1/apps/hello/variables", set).await.expect(200);
    let change = json!({
        "limits": {"memory_bytes": 268435456, "cpu_millis": 700, "pids": 88}, "grace_seconds": 9,
        "mounts": [{"volume": "data", "path": "/elsewhere"}, {"volume": "more", "path": "/more", "read_only": true}],
        "health": {"kind": "http", "path": "/"},
    });
    panel.patch("/api/v1/apps/hello", change).await.expect(200);
    put_file(panel, "/etc/app/one.ini", "other", "600").await;
    put_file(panel, "/etc/app/two.ini", "new", "644").await;
    panel
        .post("/api/v1/apps/hello/domains", json!({"host": "later.test"}))
        .await
        .expect(201);
    let second = panel.deploy("hello").await;
    panel.live(&second).await;
    put_policy(panel, "second").await;
    panel
        .delete(&format!("/api/v1/domains/hello.test/rules/{}", text(rule, "id")))
        .await
        .expect(204);
    let upkeep = json!({"before_stop": "sleep 0", "restart_limit": 3});
    panel.patch("/api/v1/apps/hello", upkeep).await.expect(200);
}

/// All that became something else, and no secret.
async fn is_all_in_the_diff(panel: &TestPanel) {
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
}

#[tokio::test]
async fn docker_the_way_back_is_byte_equal() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let (app, rule) = first_release(&panel, &repository).await;
    let before = effective(&panel, &app, "hello.test").await;
    assert!(
        before.contains("first") && before.contains("410") && before.contains("gone"),
        "{before}"
    );
    second_release(&panel, &repository, &rule).await;
    assert_ne!(effective(&panel, &app, "hello.test").await, before);
    is_all_in_the_diff(&panel).await;

    panel.cli(&["rollback", "hello", "1", "--wait"]).await.expect(0);
    assert_eq!(effective(&panel, &app, "hello.test").await, before);
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
    put_policy(&panel, "third").await;
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
