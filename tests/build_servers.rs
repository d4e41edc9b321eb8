//! Build servers: a real sshd, and behind it an engine of the test's own that builds what runs on the tests' engine.

use crate::deploy::{app_of, containers, text};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, Options, PrivateEngine, SshServer, TestPanel, docker, docker_host, eventually, eventually_ok};

const SOON: Duration = Duration::from_secs(120);
const BASE: &str = "tests/http:latest";

/// Adds the engine as a build server and brings it as far as a person would.
async fn add(panel: &TestPanel, name: &str, ssh: &SshServer, engine: &PrivateEngine) {
    let body = json!({"name": name, "host": "127.0.0.1", "port": ssh.port(), "socket": engine.socket()});
    let made = panel.post("/api/v1/build-servers", body).await.expect(201).json();
    ssh.allow_sockets(&text(&made, "public_key"));
    let key = json!({"host_key": ssh.host_key().await});
    panel.patch(&format!("/api/v1/build-servers/{name}"), key).await.expect(200);
    let test = format!("/api/v1/build-servers/{name}/test");
    let tested = panel.post(&test, json!({})).await.expect(200).json();
    assert_eq!(tested["server"]["unready"], Value::Null, "{tested}");
}

/// A repository whose build says so, and does `step` on the way.
fn repository(step: &str) -> GitFixture {
    let dockerfile = format!("FROM {BASE}\nRUN {step}\nCOPY note /note\n");
    GitFixture::of(&[("Dockerfile", &dockerfile), ("note", "built\n")])
}

/// An app that is not deployed yet and is built on `place`.
async fn app_on(panel: &TestPanel, name: &str, repository: &GitFixture, place: &str) -> Value {
    app_with(panel, name, repository, place, json!([])).await
}

async fn app_with(panel: &TestPanel, name: &str, repository: &GitFixture, place: &str, variables: Value) -> Value {
    let mut body = app_of(name, repository);
    body["deploy"] = false.into();
    body["variables"] = variables;
    panel.create_app(body).await;
    let place = json!({"build_on": place});
    panel.patch(&format!("/api/v1/apps/{name}"), place).await.expect(200).json()
}

/// Ids of what is left of ours on an engine.
fn images_of(engine: &PrivateEngine, app: &Value) -> String {
    let filter = format!("label=serverkit.app={}", text(app, "id"));
    docker(&engine.host(), &["images", "-q", "--filter", &filter]).unwrap()
}

fn runs(command: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    entries
        .map(|entry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default())
        .any(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim() == command)
}

/// A number of seconds that nothing else on this machine sleeps.
fn odd_span(own: u32) -> String {
    format!("{}", 100_000 + (std::process::id() % 10_000) * 10 + own)
}

#[tokio::test]
async fn docker_an_app_is_built_there_and_runs_here() {
    let panel = TestPanel::docker().await;
    let engine = PrivateEngine::start(&[BASE]).await;
    let ssh = SshServer::start().await;

    // From nothing to ready, as a person does it on the command line.
    let port = ssh.port().to_string();
    let socket = engine.socket();
    let added = [
        "build-server",
        "add",
        "far",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--engine-socket",
        &socket,
    ];
    let said = panel.cli(&added).await.expect(0).stdout;
    assert!(said.contains("ssh-ed25519 AAAA"), "{said}");
    let shown = panel.get("/api/v1/build-servers/far").await.expect(200).json();
    assert_eq!(
        shown["unready"],
        "the build server far has a host key that nobody has confirmed yet"
    );
    let key = ssh.host_key().await;
    let first = panel.post("/api/v1/build-servers/far/test", json!({})).await.expect(200).json();
    assert_eq!((&first["confirmed"], &first["host_key"]), (&json!(false), &json!(key)), "{first}");
    // Confirmed, but the key is not known there.
    let refused = panel.cli(&["build-server", "test", "far", "--yes"]).await;
    assert!(refused.stderr.contains("authorized_keys"), "{}", refused.stderr);
    let public = text(&shown, "public_key");
    // A key that may not open sockets.
    ssh.allow(&public);
    let refused = panel.cli(&["build-server", "test", "far"]).await;
    assert!(refused.stderr.contains("opens no way to"), "{}", refused.stderr);
    ssh.allow_sockets(&public);
    let said = panel.cli(&["build-server", "test", "far"]).await.expect(0).stdout;
    assert!(said.contains("far is ready: Docker "), "{said}");

    let repository = GitFixture::of(&[
        (
            "Dockerfile",
            &format!(
                "FROM {BASE}\nARG PLAIN\nRUN echo plain is $PLAIN\nRUN --mount=type=secret,id=TOKEN test \"$(cat /run/secrets/TOKEN)\" = sesame-4711 && head -c 20000000 /dev/urandom >/large && cat /run/secrets/TOKEN\nCOPY note /note\n"
            ),
        ),
        ("note", "built\n"),
    ]);
    let variables = json!([
        {"key": "PLAIN", "value": "bread", "scope": "build"},
        {"key": "TOKEN", "value": "sesame-4711", "scope": "build", "secret": true},
    ]);
    let app = app_with(&panel, "hello", &repository, "far", variables).await;
    assert_eq!(app["build_on"], "far", "{app}");
    let id = panel.deploy("hello").await;
    let live = panel.live(&id).await;
    assert_eq!(live["built_on"], "far", "{live}");
    let log = panel.build_log(&id).await;
    for words in [
        "on the build server far (Docker ",
        "plain is bread",
        "moving the image here",
        "moved 2",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert!(!log.contains("sesame-4711"), "{log}");
    // It would be said if the image had another id here than there.
    assert!(!log.contains("in different ways"), "{log}");
    let app = panel.get("/api/v1/apps/hello").await.expect(200).json();
    let container = containers(&app).pop().expect("it runs here");
    assert_eq!(docker(&docker_host(), &["exec", &container, "cat", "/note"]).unwrap(), "built");
    assert_eq!(images_of(&engine, &app), "", "the image stays here only");

    // The next build takes its steps from the cache there.
    repository.edit("note", "built", "again");
    let id = panel.deploy("hello").await;
    panel.live(&id).await;
    let log = panel.build_log(&id).await;
    assert!(log.to_lowercase().contains("cached"), "{log}");
    let measured = eventually("the cache is measured", SOON, || async {
        let shown = panel.get("/api/v1/build-servers/far").await.expect(200).json();
        (shown["cache_used_bytes"].as_u64() > Some(0) && shown["used_at"].is_string()).then_some(shown)
    })
    .await;
    assert_eq!(measured["apps"], json!(["hello"]), "{measured}");
    let busy = panel.delete("/api/v1/build-servers/far").await.expect(409).json();
    assert!(text(&busy, "detail").contains("hello are built on far"), "{busy}");
    let freed = panel.cli(&["build-server", "trim", "far"]).await.expect(0).stdout;
    assert!(freed.contains("came free"), "{freed}");
    let listed = panel.cli(&["build-server", "list"]).await.expect(0).stdout;
    assert!(listed.contains("far") && listed.contains("ready"), "{listed}");
    panel.cli(&["app", "update", "hello", "--build-on", "here"]).await.expect(0);
    panel.cli(&["build-server", "remove", "far", "--yes"]).await.expect(0);
    panel.patch("/api/v1/apps/hello", json!({"build_on": "far"})).await.expect(404);
}

#[tokio::test]
async fn docker_a_build_server_that_is_gone_or_another_is_said_in_words() {
    let panel = TestPanel::docker().await;
    let mut engine = PrivateEngine::start(&[BASE]).await;
    let mut ssh = SshServer::start().await;
    add(&panel, "far", &ssh, &engine).await;
    let repository = repository("true");
    app_on(&panel, "hello", &repository, "far").await;
    let first = panel.deploy("hello").await;
    panel.live(&first).await;
    let live = panel.get("/api/v1/apps/hello").await.expect(200).json();
    let before = containers(&live);

    // Another machine answers under this address.
    let right = json!({"host_key": ssh.host_key().await});
    let wrong = json!({"host_key": "SHA256:qaQjPmpnYNe4DLLdYqoV3vNdZlNLcPJuYBdSzOkyvIs"});
    panel.patch("/api/v1/build-servers/far", wrong).await.expect(200);
    let refused = panel.post("/api/v1/build-servers/far/test", json!({})).await.expect(503).json();
    let words = text(&refused, "detail");
    assert!(words.contains("the host key of 127.0.0.1:") && words.contains("changed"), "{words}");
    let error = panel.fails(&panel.deploy("hello").await).await;
    assert!(error.contains("was not tested successfully yet"), "{error}");
    panel.patch("/api/v1/build-servers/far", right).await.expect(200);
    panel.post("/api/v1/build-servers/far/test", json!({})).await.expect(200);

    // Its engine stops, then its sshd.
    engine.stop();
    let error = panel.fails(&panel.deploy("hello").await).await;
    assert!(
        error.contains("the build server far cannot be used") && error.contains("Docker is not running there"),
        "{error}"
    );
    ssh.stop().await;
    let error = panel.fails(&panel.deploy("hello").await).await;
    assert!(error.contains("refuses the connection"), "{error}");
    let shown = panel.get("/api/v1/build-servers/far").await.expect(200).json();
    assert!(text(&shown, "problem").contains("refuses the connection"), "{shown}");
    // What was live is live.
    assert_eq!(containers(&live), before);

    // Whoever takes any build server gets one that answers, and is told of the other.
    let other_engine = PrivateEngine::start(&[BASE]).await;
    let other_ssh = SshServer::start().await;
    panel.cli(&["settings", "set", "build_on=any"]).await.expect(0);
    panel.patch("/api/v1/apps/hello", json!({"build_on": null})).await.expect(200);
    let error = panel.fails(&panel.deploy("hello").await).await;
    assert!(
        error.contains("no build server can build it: the build server far does not answer"),
        "{error}"
    );
    add(&panel, "near", &other_ssh, &other_engine).await;
    let id = panel.deploy("hello").await;
    assert_eq!(panel.live(&id).await["built_on"], "near");
    // A disabled one is used by nobody.
    panel.cli(&["build-server", "update", "near", "--disable"]).await.expect(0);
    panel.cli(&["build-server", "update", "far", "--disable"]).await.expect(0);
    let error = panel.fails(&panel.deploy("hello").await).await;
    assert!(error.contains("the build server near is disabled"), "{error}");
}

#[tokio::test]
async fn docker_this_server_is_no_build_server() {
    let panel = TestPanel::docker().await;
    let ssh = SshServer::start().await;
    let socket = docker_host().trim_start_matches("unix://").to_owned();
    let body = json!({"name": "self", "host": "127.0.0.1", "port": ssh.port(), "socket": socket, "host_key": ssh.host_key().await});
    let made = panel.post("/api/v1/build-servers", body).await.expect(201).json();
    ssh.allow_sockets(&text(&made, "public_key"));
    let refused = panel.post("/api/v1/build-servers/self/test", json!({})).await.expect(409).json();
    assert!(text(&refused, "detail").contains("is this server itself"), "{refused}");
    for (field, body) in [
        ("name", json!({"name": "any", "host": "x"})),
        ("host", json!({"name": "a", "host": "-oProxyCommand=x"})),
        ("socket", json!({"name": "a", "host": "x", "socket": "docker.sock"})),
        ("slots", json!({"name": "a", "host": "x", "slots": 0})),
        ("host_key", json!({"name": "a", "host": "x", "host_key": "SHA256:short"})),
    ] {
        let refused = panel.post("/api/v1/build-servers", body).await.expect(422).json();
        assert!(refused.to_string().contains(field), "{field}: {refused}");
    }
}

#[tokio::test]
async fn docker_cancelling_ends_the_build_there() {
    let panel = TestPanel::docker().await;
    let engine = PrivateEngine::start(&[BASE]).await;
    let ssh = SshServer::start().await;
    add(&panel, "far", &ssh, &engine).await;
    let span = odd_span(1);
    let command = format!("sleep {span}");
    let source = repository(&command);
    app_on(&panel, "hello", &source, "far").await;
    let id = panel.deploy("hello").await;
    eventually("it builds there", SOON, || async { runs(&command).then_some(()) }).await;
    let shown = panel.get("/api/v1/build-servers/far").await.expect(200).json();
    assert_eq!(shown["building"], 1, "{shown}");
    panel.cli(&["cancel", "hello"]).await.expect(0);
    assert_eq!(panel.over(&id, SOON).await["phase"], "cancelled");
    eventually("the step there ends", SOON, || async { (!runs(&command)).then_some(()) }).await;
}

/// The list of the engine there tells of a step once it is done; what it took is thrown away.
#[tokio::test]
async fn docker_a_build_there_that_takes_too_much_of_the_disk_is_ended() {
    let panel = Options::docker().config("[builds]\ndisk_mib = 64\n").start().await;
    let engine = PrivateEngine::start(&[BASE]).await;
    let ssh = SshServer::start().await;
    add(&panel, "far", &ssh, &engine).await;
    let waits = format!("sleep {}", odd_span(7));
    let source = repository(&format!("head -c 100000000 /dev/zero >/large-4711\nRUN {waits}"));
    app_on(&panel, "greedy", &source, "far").await;
    let id = panel.deploy("greedy").await;
    let error = panel.fails(&id).await;
    assert!(
        error.contains("of the build server's disk, and one may take 64 MiB") && error.contains("disk_mib"),
        "{error}"
    );
    eventually("the step there ends", SOON, || async { (!runs(&waits)).then_some(()) }).await;
    let list = docker(&engine.host(), &["system", "df", "--verbose", "--format", "{{json .BuildCache}}"]).unwrap();
    assert!(!list.contains("large-4711"), "{list}");
    // The next one is as any other.
    source.edit("Dockerfile", &waits, "true");
    source.edit("Dockerfile", "100000000", "1000");
    let id = panel.deploy("greedy").await;
    panel.live(&id).await;
}

#[tokio::test]
async fn docker_two_build_servers_with_one_slot_build_two_at_once() {
    // One deployment at a time on the server itself: what is built elsewhere does not count.
    let panel = Options::docker().start().await;
    panel
        .cli(&["settings", "set", "deployments_at_once=1", "build_on=any"])
        .await
        .expect(0);
    let (one, two) = (PrivateEngine::start(&[BASE]).await, PrivateEngine::start(&[BASE]).await);
    let (one_ssh, two_ssh) = (SshServer::start().await, SshServer::start().await);
    add(&panel, "one", &one_ssh, &one).await;
    add(&panel, "two", &two_ssh, &two).await;
    let spans = [odd_span(2), odd_span(3)];
    let mut repositories = Vec::new();
    for (name, span) in ["first", "second"].iter().zip(&spans) {
        let repository = repository(&format!("sleep {span}"));
        panel.create_app(app_of(name, &repository)).await;
        repositories.push(repository);
    }
    for span in &spans {
        let command = format!("sleep {span}");
        eventually("both build at once", SOON, || async { runs(&command).then_some(()) }).await;
    }
    let mut places = Vec::new();
    for name in ["first", "second"] {
        places.push(text(&panel.newest(name).await, "built_on"));
    }
    places.sort();
    assert_eq!(places, ["one", "two"]);
    // The third one waits, and says why; what is built here does not.
    let third = repository("true");
    panel.create_app(app_of("third", &third)).await;
    let waits = eventually_ok("the third one waits", SOON, || async {
        let now = panel.newest("third").await;
        now["waits"]["why"].as_str().map(str::to_owned).ok_or_else(|| now.to_string())
    })
    .await;
    assert_eq!(waits, "every build server builds as many at once as it may");
    app_on(&panel, "local", &third, "here").await;
    let local = panel.deploy("local").await;
    assert_eq!(panel.live(&local).await["built_on"], Value::Null);
    let queue = panel.cli(&["deployments"]).await.expect(0).stdout;
    assert!(queue.contains("on one") && queue.contains("on two"), "{queue}");
    panel.cli(&["cancel", "first"]).await.expect(0);
    let id = text(&panel.newest("third").await, "id");
    panel.live(&id).await;
    panel.cli(&["cancel", "second"]).await.expect(0);
    let id = text(&panel.newest("second").await, "id");
    panel.over(&id, SOON).await;
}
