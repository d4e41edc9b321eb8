//! From a push to a live site, and every way in which that goes wrong while the old release serves on.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually, eventually_ok};

/// Long enough for a build on a busy machine of two cores.
const SOON: Duration = Duration::from_secs(90);

/// An app of a repository on this machine, at `NAME.test`, whose checks give up quickly.
pub fn app_of(name: &str, repository: &GitFixture) -> Value {
    json!({
        "name": name,
        "source": {"kind": "git", "url": repository.path()},
        "domains": [format!("{name}.test")],
        "health": {"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 8},
        "grace_seconds": 5,
    })
}

pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

/// Names of the running containers of an app.
pub fn containers(app: &Value) -> Vec<String> {
    let filter = format!("label=serverkit.app={}", text(app, "id"));
    let names = docker(&docker_host(), &["ps", "--filter", &filter, "--format", "{{.Names}}"]).unwrap();
    names.lines().map(str::to_owned).collect()
}

async fn says(panel: &TestPanel, host: &str, wanted: &str) {
    eventually_ok(&format!("{host} says {wanted:?}"), Duration::from_secs(20), || async {
        let reply = panel.visit(host, "/").await;
        if reply.status == 200 && reply.text() == wanted {
            Ok(())
        } else {
            Err(format!("{} {}", reply.status, reply.text()))
        }
    })
    .await
}

#[tokio::test]
async fn docker_from_a_push_to_a_live_site() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    assert_eq!(app["state"], "running", "{app}");
    assert_eq!(app["port"], Value::Null);
    assert_eq!(app["release"]["commit"]["subject"], "first version");
    let first = panel.visit("hello.test", "/").await.expect(200);
    assert_eq!(first.text(), "hello one");
    let log = panel.build_log(&text(&app["deployment"], "id")).await;
    assert!(log.contains("python:3.11-slim"), "the build is in the log: {log}");
    let steps: Vec<String> = app["deployment"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| text(step, "phase"))
        .collect();
    assert_eq!(steps, ["queued", "fetching", "building", "starting", "checking", "live"]);

    // A second push.
    let commit = repository.edit("app.py", "\"one\"", "\"two\"");
    let second = panel.deploy("hello").await;
    let done = panel.live(&second).await;
    assert_eq!(done["commit"]["id"], commit);
    assert_eq!(done["number"], 2);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    eventually("the old container goes", SOON, || async {
        (containers(&app).len() == 1).then_some(())
    })
    .await;
    let history = panel.list("/api/v1/apps/hello/deployments").await;
    assert_eq!(
        history.iter().map(|one| one["number"].as_u64().unwrap()).collect::<Vec<_>>(),
        [2, 1]
    );

    // Nothing changed: quick, and still a deployment of its own.
    let third = panel.deploy("hello").await;
    panel.live(&third).await;
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
}

#[tokio::test]
async fn docker_what_a_container_is_made_with() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["limits"] = json!({"memory_bytes": 134217728, "cpu_millis": 500, "pids": 77});
    body["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    let awkward = "a 'b' \"c\" $HOME $(id) `x` \\ #\nsecond line\ttab žluť 🐎";
    body["variables"] = json!([
        {"key": "AWKWARD", "value": awkward},
        {"key": "EMPTY", "value": ""},
        {"key": "ONLY_BUILD", "value": "x", "scope": "build"},
    ]);
    let app = panel.live_app(body).await;
    let name = containers(&app).pop().unwrap();
    let inspected: Value = serde_json::from_str(&docker(&docker_host(), &["inspect", &name]).unwrap()).unwrap();
    let host = &inspected[0]["HostConfig"];
    assert_eq!(host["Memory"], 134217728);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 77);
    assert_eq!(host["Privileged"], false);
    assert!(
        host["LogConfig"]["Config"]["max-size"].is_string(),
        "logs rotate: {}",
        host["LogConfig"]
    );
    assert!(
        host["PortBindings"].as_object().is_none_or(serde_json::Map::is_empty),
        "nothing is published"
    );
    assert_ne!(host["RestartPolicy"]["Name"], "");
    // What the app sees.
    let seen = panel.visit("hello.test", "/environment").await.expect(200).json();
    let decode = |key: &str| seen[key].as_str().map(str::to_owned);
    assert_eq!(decode("EMPTY").as_deref(), Some(""));
    assert_eq!(decode("ONLY_BUILD"), None);
    let sent = seen["AWKWARD"].as_str().unwrap();
    let printed = std::process::Command::new("base64")
        .arg("-d")
        .stdin(into_pipe(sent))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), awkward);

    // Data outlives a deployment, and the app's deletion.
    panel.visit("hello.test", "/write?file=/data/kept&text=precious").await.expect(200);
    let again = panel.deploy("hello").await;
    panel.live(&again).await;
    assert_eq!(
        panel.visit("hello.test", "/read?file=/data/kept").await.expect(200).text(),
        "precious"
    );
    panel.delete("/api/v1/apps/hello").await.expect(204);
    eventually("the containers stop", SOON, || async { containers(&app).is_empty().then_some(()) }).await;
    panel
        .post(&format!("/api/v1/apps/{}/restore", text(&app, "id")), json!({}))
        .await
        .expect(200);
    let path = format!("/api/v1/apps/{}/domains", text(&app, "id"));
    // The domain may have come back with the app or may be free: both are fine.
    panel.post(&path, json!({"host": "hello.test"})).await;
    panel.post("/api/v1/apps/hello/start", json!({})).await;
    eventually("the data is there after a restore", SOON, || async {
        let reply = panel.visit("hello.test", "/read?file=/data/kept").await;
        (reply.status == 200 && reply.text() == "precious").then_some(())
    })
    .await;
}

fn into_pipe(text: &str) -> std::process::Stdio {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    reader.into()
}

/// One app, and every way in which its next version is broken: each ends in words, and the first version serves on.
#[tokio::test]
async fn docker_a_failed_deployment_leaves_the_old_release() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    let dockerfile = std::fs::read_to_string(repository.tree().join("Dockerfile")).unwrap();
    let app = std::fs::read_to_string(repository.tree().join("app.py")).unwrap();
    for (what, files, wanted) in [
        (
            "a failing step",
            vec![("Dockerfile", dockerfile.clone() + "RUN echo out of luck >&2 && exit 7\n")],
            vec!["7"],
        ),
        (
            "no such base image",
            vec![("Dockerfile", "FROM no-such-image:1\n".into())],
            vec!["no-such-image"],
        ),
        (
            "a Dockerfile that is none",
            vec![("Dockerfile", "FROM\nHELLO WORLD\n".into())],
            vec!["Dockerfile", "FROM", "HELLO", "line"],
        ),
        (
            "a file that is not there",
            vec![("Dockerfile", dockerfile.replace("app.py .", "nothing.py ."))],
            vec!["nothing.py"],
        ),
        (
            "an app that exits at once",
            vec![("app.py", "import sys\nprint('no database')\nsys.exit(3)\n".into())],
            vec!["3", "exited at once"],
        ),
        (
            "an app on another port",
            vec![("app.py", app.replace("os.environ.get(\"PORT\", \"8000\")", "9999"))],
            vec!["8000"],
        ),
        (
            "a command that does not exist",
            vec![("Dockerfile", dockerfile.replace("\"python3\"", "\"nothing\""))],
            vec!["nothing", "127"],
        ),
    ] {
        for (path, text) in &files {
            repository.commit(&[(path, text)], what);
        }
        let id = panel.deploy("hello").await;
        let error = panel.fails(&id).await;
        assert!(
            wanted.iter().any(|word| error.contains(word)),
            "{what}: {error:?} names none of {wanted:?}"
        );
        assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one", "after {what}");
        let now = panel.get("/api/v1/apps/hello").await.expect(200).json();
        assert_eq!(now["release"]["number"], 1, "after {what}");
        repository.commit(&[("Dockerfile", &dockerfile), ("app.py", &app)], "mend it");
        println!("{what}: {error}");
    }
    // What the app printed before it exited is in the deployment's log.
    let exited = panel.list("/api/v1/apps/hello/deployments").await;
    let exited = exited
        .iter()
        .find(|one| one["commit"]["subject"] == "an app that exits at once")
        .unwrap();
    assert!(panel.build_log(&text(exited, "id")).await.contains("no database"));
    let id = panel.deploy("hello").await;
    panel.live(&id).await;
    let app = panel.get("/api/v1/apps/hello").await.expect(200).json();
    eventually("one container is left", SOON, || async {
        (containers(&app).len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn docker_an_app_that_ignores_sigterm() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    repository.edit(
        "app.py",
        "signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    );
    let mut body = app_of("stubborn", &repository);
    body["grace_seconds"] = json!(2);
    let app = panel.live_app(body).await;
    let old = containers(&app);
    repository.edit("app.py", "\"one\"", "\"two\"");
    let id = panel.deploy("stubborn").await;
    panel.live(&id).await;
    assert_eq!(panel.visit("stubborn.test", "/").await.expect(200).text(), "hello two");
    eventually("the old container is killed after its grace", SOON, || async {
        let now = containers(&app);
        (now.len() == 1 && now != old).then_some(())
    })
    .await;
    panel.post("/api/v1/apps/stubborn/stop", json!({})).await.expect(202);
    eventually("stop ends it too", SOON, || async { containers(&app).is_empty().then_some(()) }).await;
    panel.visit("stubborn.test", "/").await.expect(503);
}

#[tokio::test]
async fn docker_a_build_that_hangs() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    repository.edit("Dockerfile", "EXPOSE", "RUN echo sleeping && sleep 3600\nEXPOSE");
    // Cancelled in the middle.
    let id = panel.deploy("hello").await;
    eventually("the build sleeps", SOON, || async {
        panel.build_log(&id).await.contains("sleeping").then_some(())
    })
    .await;
    assert_eq!(panel.deployment(&id).await["cancellable"], true);
    panel.post(&format!("/api/v1/deployments/{id}/cancel"), json!({})).await.expect(202);
    let over = panel.over(&id, Duration::from_secs(30)).await;
    assert_eq!(over["phase"], "cancelled", "{over}");
    assert_eq!(over["cancellable"], false);
    let again = panel.post(&format!("/api/v1/deployments/{id}/cancel"), json!({})).await;
    assert!(matches!(again.status.as_u16(), 202 | 409), "{}", again.text());
    // Out of time.
    panel
        .patch("/api/v1/apps/hello", json!({"deploy_timeout_seconds": 10}))
        .await
        .expect(200);
    let id = panel.deploy("hello").await;
    let error = panel.fails(&id).await;
    assert!(
        error.contains("10 s") || error.contains("longer") || error.contains("time"),
        "{error}"
    );
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    no_process_left("sleep 3600").await;
}

/// A cancelled build must not go on in the engine.
async fn no_process_left(command: &str) {
    eventually(&format!("no `{command}` runs"), Duration::from_secs(30), || async {
        let found = std::process::Command::new("pgrep").args(["-xf", command]).output().unwrap();
        found.stdout.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn docker_a_build_that_prints_100_megabytes() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    repository.edit(
        "Dockerfile",
        "EXPOSE",
        "RUN python3 -c \"import sys; [sys.stdout.write('x' * 99 + chr(10)) for _ in range(1048576)]\"\nRUN echo the end is near\nEXPOSE",
    );
    panel.live_app(app_of("hello", &repository)).await;
    let log = panel.build_log(&text(&panel.newest("hello").await, "id")).await;
    assert!(log.len() < 64 << 20, "{} bytes of log are kept", log.len());
    assert!(log.contains("the end is near"), "the end of the log is kept");
    let status = std::fs::read_to_string(format!("/proc/{}/status", panel.process_id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 400 << 10, "the panel took {peak} KiB for it");
}

#[tokio::test]
async fn docker_rollback_brings_back_all_of_a_release() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["variables"] = json!([{"key": "COLOUR", "value": "green"}, {"key": "PASSWORD", "value": "first-4711", "secret": true}]);
    body["limits"] = json!({"memory_bytes": 134217728, "cpu_millis": 500, "pids": 77});
    let app = panel.live_app(body).await;
    let first = text(&app["deployment"], "id");
    repository.edit("app.py", "\"one\"", "\"two\"");
    let set = json!({"set": [{"key": "COLOUR", "value": "blue"}, {"key": "NEW", "value": "x"}, {"key": "PASSWORD", "value": "second-4712", "secret": true}], "unset": []});
    panel.patch("/api/v1/apps/hello/variables", set).await.expect(200);
    panel
        .patch(
            "/api/v1/apps/hello",
            json!({"limits": {"memory_bytes": 268435456, "cpu_millis": 700, "pids": 88}}),
        )
        .await
        .expect(200);
    assert_eq!(panel.get("/api/v1/apps/hello").await.json()["pending_changes"], true);
    let second = panel.deploy("hello").await;
    panel.live(&second).await;
    assert_eq!(panel.get("/api/v1/apps/hello").await.json()["pending_changes"], false);
    let diff = panel
        .get(&format!("/api/v1/apps/hello/diff?from={first}&to={second}"))
        .await
        .expect(200)
        .text();
    assert!(diff.contains("COLOUR") && diff.contains("green") && diff.contains("blue"), "{diff}");
    assert!(
        diff.contains("PASSWORD") && !diff.contains("4711") && !diff.contains("4712"),
        "a secret is only `changed`: {diff}"
    );

    // Without a target: to what was live before.
    let back = panel.post("/api/v1/apps/hello/rollback", json!({})).await.expect(202).json();
    let done = panel.live(&text(&back, "id")).await;
    assert_eq!(done["cause"], "rollback");
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    let seen = panel.visit("hello.test", "/environment").await.expect(200).json();
    assert_eq!(seen["COLOUR"], "Z3JlZW4=", "green");
    assert_eq!(seen["NEW"], Value::Null);
    let name = containers(&app).pop().unwrap();
    let memory = docker(&docker_host(), &["inspect", "--format", "{{.HostConfig.Memory}}", &name]).unwrap();
    assert_eq!(memory, "134217728");
    // To a named one.
    let forward = panel
        .post("/api/v1/apps/hello/rollback", json!({"to": second}))
        .await
        .expect(202)
        .json();
    panel.live(&text(&forward, "id")).await;
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    // To nothing.
    let reply = panel
        .post("/api/v1/apps/hello/rollback", json!({"to": "dep_00000000000000000000000000"}))
        .await;
    reply.expect(404).code("not_found");
}

#[tokio::test]
async fn docker_the_newest_of_a_queue_wins() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    repository.edit("Dockerfile", "EXPOSE", "RUN sleep 4\nEXPOSE");
    let app = panel.create_app(app_of("hello", &repository)).await;
    let first = text(&panel.newest("hello").await, "id");
    panel.in_phase(&first, "building", SOON).await;
    repository.edit("app.py", "\"one\"", "\"two\"");
    let second = panel.deploy("hello").await;
    let third = panel.deploy("hello").await;
    panel.live(&third).await;
    assert_eq!(panel.over(&second, SOON).await["phase"], "superseded");
    assert_eq!(panel.over(&first, SOON).await["phase"], "live");
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    eventually("one container is left", SOON, || async {
        (containers(&app).len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn docker_from_an_image() {
    let panel = TestPanel::docker().await;
    let body = json!({"name": "web", "source": {"kind": "image", "reference": "nginx:1.22"}, "domains": ["web.test"]});
    let app = panel.live_app(body).await;
    assert!(panel.visit("web.test", "/").await.expect(200).text().contains("nginx"));
    assert_eq!(app["release"]["image_name"], "nginx:1.22");
    // One that is nowhere.
    let body = json!({"name": "none", "source": {"kind": "image", "reference": "127.0.0.1:9/no/such:1"}});
    panel.create_app(body).await;
    let error = panel.fails(&text(&panel.newest("none").await, "id")).await;
    assert!(error.contains("127.0.0.1:9/no/such:1"), "{error}");
}

#[tokio::test]
async fn docker_start_stop_restart() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    panel.post("/api/v1/apps/hello/stop", json!({})).await.expect(202);
    eventually("it stops", SOON, || async { containers(&app).is_empty().then_some(()) }).await;
    eventually("its state says so", SOON, || async {
        (panel.get("/api/v1/apps/hello").await.json()["state"] == "stopped").then_some(())
    })
    .await;
    panel.visit("hello.test", "/").await.expect(503);
    panel.post("/api/v1/apps/hello/start", json!({})).await.expect(202);
    says(&panel, "hello.test", "hello one").await;
    let before = containers(&app);
    let started = || {
        docker(
            &docker_host(),
            &[
                "inspect",
                "--format",
                "{{.State.StartedAt}}",
                containers(&app).first().map_or("", String::as_str),
            ],
        )
        .unwrap_or_default()
    };
    let at = started();
    panel.post("/api/v1/apps/hello/restart", json!({})).await.expect(202);
    eventually("it was started anew", SOON, || async {
        (containers(&app).len() == 1 && started() != at).then_some(())
    })
    .await;
    says(&panel, "hello.test", "hello one").await;
    println!("before {before:?}, after {:?}", containers(&app));
    // By hand: it comes back by itself.
    docker(&docker_host(), &["rm", "-f", &containers(&app)[0]]).unwrap();
    says(&panel, "hello.test", "hello one").await;
    // A restart of the panel changes nothing.
    let before = containers(&app);
    let mut panel = panel;
    panel.stop().await;
    assert_eq!(containers(&app), before, "apps run on without the panel");
    panel.start_again().await;
    says(&panel, "hello.test", "hello one").await;
    assert_eq!(containers(&app), before);
    // Deleted for good.
    let plan = panel.get("/api/v1/apps/hello/delete-plan").await.expect(200).json();
    assert_eq!(plan["containers"].as_array().unwrap().len(), 1, "{plan}");
    panel.delete("/api/v1/apps/hello").await.expect(204);
    panel
        .post(&format!("/api/v1/apps/{}/purge", text(&app, "id")), json!({"volumes": false}))
        .await
        .expect(204);
    eventually("all of it is gone", SOON, || async {
        let filter = format!("label=serverkit.app={}", text(&app, "id"));
        let left = docker(&docker_host(), &["ps", "-aq", "--filter", &filter]).unwrap();
        left.is_empty().then_some(())
    })
    .await;
    panel.get(&format!("/api/v1/apps/{}", text(&app, "id"))).await.expect(404);
}

#[tokio::test]
async fn docker_build_secrets_and_arguments() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    repository.edit(
        "Dockerfile",
        "EXPOSE",
        "ARG COLOUR\nRUN echo \"colour ${COLOUR}.\"\nRUN --mount=type=secret,id=NPM_TOKEN test \"$(cat /run/secrets/NPM_TOKEN)\" = \"$(printf canary-; printf 8812)\" && echo the secret is there\n\
         RUN --mount=type=cache,target=/cache echo x >>/cache/count && wc -l </cache/count\nEXPOSE",
    );
    let mut body = app_of("hello", &repository);
    body["variables"] = json!([
        {"key": "COLOUR", "value": "green", "scope": "build"},
        {"key": "NPM_TOKEN", "value": "canary-8812", "scope": "build", "secret": true},
    ]);
    let app = panel.live_app(body).await;
    let log = panel.build_log(&text(&app["deployment"], "id")).await;
    assert!(log.contains("colour green."), "{log}");
    assert!(log.contains("the secret is there"), "{log}");
    assert!(!log.contains("canary-8812"), "{log}");
    let image = docker(&docker_host(), &["inspect", "--format", "{{.Image}}", &containers(&app)[0]]).unwrap();
    let history = docker(&docker_host(), &["history", "--no-trunc", &image]).unwrap();
    assert!(!history.contains("canary-8812"), "a build secret is not in the image");
}

#[tokio::test]
async fn docker_logs_and_a_terminal() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    panel.visit("hello.test", "/print?text=a-line-of-its-own").await.expect(200);
    eventually("the line is in the log", SOON, || async {
        panel
            .get("/api/v1/apps/hello/logs?tail=50")
            .await
            .expect(200)
            .text()
            .contains("a-line-of-its-own")
            .then_some(())
    })
    .await;
    let found = panel.get("/api/v1/apps/hello/logs?search=OWN").await.expect(200).json();
    assert!(found["lines"].as_array().unwrap().len() <= 2, "{found}");
    let mut follow = panel.socket("/api/v1/apps/hello/logs/stream?tail=1").await;
    panel.visit("hello.test", "/print?text=seen-live").await.expect(200);
    follow.until("seen-live").await;
    follow.close().await;

    let mut terminal = panel.socket("/api/v1/apps/hello/terminal?columns=120&rows=30").await;
    terminal.send_bytes(b"stty size; echo $((40+2))-end\n").await;
    let shown = terminal.until("42-end").await;
    assert!(shown.contains("30 120"), "{shown:?}");
    terminal.send_text("{\"resize\":{\"columns\":99,\"rows\":33}}").await;
    terminal.send_bytes(b"sleep 1; stty size\n").await;
    terminal.until("33 99").await;
    terminal.send_bytes(b"exit 5\n").await;
    terminal.until("\"exit\":5").await;
    let events = panel.list("/api/v1/events/history").await;
    assert!(
        events.iter().any(|event| event["kind"] == "terminal_opened"),
        "who opened a terminal is known"
    );
}

/// Two panels share an engine: neither touches what the other made, though the names are the same.
#[tokio::test]
async fn docker_two_panels_on_one_engine() {
    let (first, second) = (TestPanel::docker().await, TestPanel::docker().await);
    let repository = GitFixture::sample("hello");
    let app = first.live_app(app_of("hello", &repository)).await;
    repository.edit("app.py", "\"one\"", "\"two\"");
    let other = second.live_app(app_of("hello", &repository)).await;
    assert_eq!(first.visit("hello.test", "/").await.expect(200).text(), "hello one");
    assert_eq!(second.visit("hello.test", "/").await.expect(200).text(), "hello two");
    second.delete("/api/v1/apps/hello").await.expect(204);
    eventually("the second's stops", SOON, || async { containers(&other).is_empty().then_some(()) }).await;
    assert_eq!(containers(&app).len(), 1);
    assert_eq!(first.visit("hello.test", "/").await.expect(200).text(), "hello one");
}

/// What a newcomer would build: Flask, and Redis beside it as an image app, found by its name.
#[tokio::test]
async fn docker_flask_with_redis() {
    let panel = TestPanel::docker().await;
    let redis = json!({
        "name": "redis",
        "source": {"kind": "image", "reference": "redis:7"},
        "mounts": [{"volume": "redis", "path": "/data"}],
    });
    panel.live_app(redis).await;
    let repository = GitFixture::sample("flask");
    let mut body = app_of("book", &repository);
    body["health"] = json!({"kind": "http", "path": "/health", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 30});
    panel.live_app(body).await;
    assert_eq!(panel.visit("book.test", "/").await.expect(200).text(), "nobody yet");
    let request = panel
        .anonymous()
        .request(reqwest::Method::POST, &panel.site("book.test", "/"))
        .body("Ada was here");
    panel.anonymous().send(request).await.expect(201);
    assert_eq!(panel.visit("book.test", "/").await.expect(200).text(), "Ada was here");
    let again = panel.deploy("redis").await;
    panel.live(&again).await;
}
