//! Apps that Nixpacks plans, and apps that Cloud Native Buildpacks build: on stand-ins for their base images, made to the published
//! contracts, since no registry is asked in the tests.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually_ok};
use tokio::sync::OnceCell;

const BUILDER: &str = "tests/buildpacks-builder:latest";

/// Builds an image from a folder of `peers`.
pub fn make(folder: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(folder);
    let folder = folder.display().to_string();
    let words = [&["build", "-q", "--force-rm"], arguments, &[&folder]].concat();
    docker(&docker_host(), &words).unwrap();
}

async fn builder() {
    static MADE: OnceCell<()> = OnceCell::const_new();
    MADE.get_or_init(|| async {
        make("buildpacks", &["--target", "run", "-t", "tests/buildpacks-run:latest"]);
        make("buildpacks", &["-t", BUILDER]);
    })
    .await;
}

fn of_buildpacks(name: &str, repository: &GitFixture, more: Value) -> Value {
    let mut app = app_of(name, repository);
    app["source"]["build"] = json!({"preset": "buildpacks", "builder": BUILDER});
    for (key, value) in more.as_object().unwrap() {
        app["source"]["build"][key] = value.clone();
    }
    app["health"]["start_seconds"] = 30.into();
    app
}

fn page(words: &str) -> GitFixture {
    let repository = GitFixture::new();
    repository.commit(&[("page.txt", words)], "first version");
    repository
}

async fn says(panel: &TestPanel, host: &str, wanted: &str) {
    eventually_ok(&format!("{host} says {wanted:?}"), Duration::from_secs(20), || async {
        let reply = panel.visit(host, "/").await;
        match reply.status == 200 && reply.text() == wanted {
            true => Ok(()),
            false => Err(format!("{} {}", reply.status, reply.text())),
        }
    })
    .await;
}

async fn newest_log(panel: &TestPanel, app: &str) -> String {
    panel.build_log(&text(&panel.newest(app).await, "id")).await
}

#[tokio::test]
async fn docker_buildpacks_build_an_app() {
    builder().await;
    let panel = TestPanel::docker().await;
    let repository = page("otter");
    let mut app = of_buildpacks("pond", &repository, json!({}));
    app["variables"] = json!([
        {"key": "GREETING", "value": "good \"day\" $HOME", "scope": "build"},
        {"key": "TOKEN", "value": "seven-quiet-otters", "secret": true, "scope": "build"},
    ]);
    let app = panel.live_app(app).await;
    // As the run image's user, by the launcher, with what a layer gives.
    says(&panel, "pond.test", "good \"day\" $HOME otter as 1001 web").await;
    let log = newest_log(&panel, "pond").await;
    assert!(log.contains("CNB_PLATFORM_API=0.12") && log.contains("===> building"), "{log}");
    assert!(
        log.contains("a token of 18 letters") && !log.contains("seven-quiet-otters"),
        "the secret is there, and never in the log: {log}"
    );
    let image = text(&app["release"], "image_name");
    let shown = docker(&docker_host(), &["image", "inspect", &image]).unwrap()
        + &docker(&docker_host(), &["history", "--no-trunc", &image]).unwrap();
    assert!(
        !shown.contains("seven-quiet-otters") && shown.contains("/cnb/process/web"),
        "{shown}"
    );

    // The next build finds the layer that is kept, and the app by another process.
    repository.commit(&[("page.txt", "heron")], "another page");
    let source = of_buildpacks("pond", &repository, json!({"start": "quiet"}))["source"].clone();
    panel.patch("/api/v1/apps/pond", json!({"source": source})).await.expect(200);
    panel.live(&panel.deploy("pond").await).await;
    says(&panel, "pond.test", "good \"day\" $HOME heron as 1001 quiet").await;
    let log = newest_log(&panel, "pond").await;
    assert!(log.contains("kept from build 1"), "{log}");

    // A command, which the launcher starts with what the layers give.
    let source = of_buildpacks(
        "pond",
        &repository,
        json!({"start": "ROLE=own python3 /layers/tests_page/site/serve.py"}),
    )["source"]
        .clone();
    panel.patch("/api/v1/apps/pond", json!({"source": source})).await.expect(200);
    panel.live(&panel.deploy("pond").await).await;
    says(&panel, "pond.test", "good \"day\" $HOME heron as 1001 own").await;
}

#[tokio::test]
async fn docker_buildpacks_that_do_not_fit_fail_in_words() {
    builder().await;
    let panel = TestPanel::docker().await;
    let repository = page("otter");
    repository.commit(&[("other", "x")], "something");
    let nothing = GitFixture::new();
    nothing.commit(&[("README.md", "nothing to build")], "first version");
    for (name, app, wanted) in [
        (
            "none",
            of_buildpacks("none", &nothing, json!({})),
            "none of the builder's buildpacks fits",
        ),
        (
            "image",
            of_buildpacks("image", &repository, json!({"builder": "python:3.11-slim"})),
            "is no builder of Cloud Native Buildpacks",
        ),
        (
            "process",
            of_buildpacks("process", &repository, json!({"start": "worker"})),
            "made no process worker, but: web quiet",
        ),
        (
            "other",
            of_buildpacks("other", &repository, json!({"install": "make"})),
            "is nothing that buildpacks take",
        ),
    ] {
        panel.create_app(app).await;
        let error = panel.fails(&text(&panel.newest(name).await, "id")).await;
        let log = newest_log(&panel, name).await;
        assert!(error.contains(wanted) || log.contains(wanted), "{name}: {error}\n{log}");
    }
    let mut wrong = app_of("wrong", &repository);
    wrong["source"]["build"] = json!({"builder": BUILDER});
    panel.post("/api/v1/apps", wrong).await.expect(422).code("invalid");
}

#[tokio::test]
async fn docker_a_build_by_buildpacks_is_cancelled() {
    builder().await;
    let panel = TestPanel::docker().await;
    let repository = page("otter");
    repository.commit(&[("wait.txt", "")], "one that takes long");
    panel.create_app(of_buildpacks("slow", &repository, json!({}))).await;
    let id = text(&panel.newest("slow").await, "id");
    eventually_ok("it waits", Duration::from_secs(90), || async {
        let log = panel.build_log(&id).await;
        if log.contains("waiting now") { Ok(()) } else { Err(log) }
    })
    .await;
    panel.post(&format!("/api/v1/deployments/{id}/cancel"), json!({})).await;
    let over = panel.over(&id, Duration::from_secs(30)).await;
    assert_eq!(over["phase"], "cancelled", "{over}");
}

#[tokio::test]
async fn docker_a_project_file_names_buildpacks() {
    builder().await;
    let panel = TestPanel::docker().await;
    let repository = page("otter");
    let file = format!("[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nbuilder = \"{BUILDER}\"\n");
    repository.commit(&[("project.toml", &file)], "a project file");
    let printed = panel.cli(&["app", "inspect", &repository.path()]).await.expect(0).stdout;
    assert!(
        printed.contains("Cloud Native Buildpacks") && printed.contains(BUILDER),
        "{printed}"
    );
    panel.live_app(app_of("pond", &repository)).await;
    says(&panel, "pond.test", "hello otter as 1001 web").await;
}

#[tokio::test]
async fn docker_nixpacks_plans_an_app() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("express");
    let inspected = json!({"source": {"kind": "git", "url": repository.path(), "build": {"preset": "nixpacks"}}});
    let plan = panel.post("/api/v1/sources/inspect", inspected).await.expect(200).json()["plan"].clone();
    assert_eq!(
        (&plan["preset"], &plan["start"]),
        (&json!("nixpacks"), &json!("npm run start")),
        "{plan}"
    );
    let written = text(&plan, "dockerfile");
    let base = written.lines().find_map(|line| line.strip_prefix("FROM ")).unwrap().to_owned();
    assert!(base.starts_with("ghcr.io/railwayapp/nixpacks:"), "{base}");
    make("nixpacks", &["-t", &base]);

    let mut app = app_of("express", &repository);
    // The stand-in has express already, and installs nothing.
    app["source"]["build"] =
        json!({"preset": "nixpacks", "start": "node server.js", "install": "test -n \"$NPM_TOKEN\" && echo \"with $NPM_TOKEN\""});
    app["variables"] = json!([
        {"key": "NPM_TOKEN", "value": "seven-quiet-otters", "secret": true, "scope": "build"},
        {"key": "NIXPACKS_NODE_VERSION", "value": "20", "scope": "build"},
    ]);
    app["health"]["start_seconds"] = 30.into();
    let app = panel.live_app(app).await;
    says(&panel, "express.test", "hello from express").await;
    let log = newest_log(&panel, "express").await;
    assert!(
        log.contains("building it as Nixpacks") && log.contains("nix-env -if .nixpacks/"),
        "{log}"
    );
    assert!(!log.contains("seven-quiet-otters"), "{log}");
    let history = docker(&docker_host(), &["history", "--no-trunc", &text(&app["release"], "image_name")]).unwrap();
    assert!(!history.contains("seven-quiet-otters"), "{history}");
}

/// Every sample that has no Dockerfile is planned too.
#[tokio::test]
async fn nixpacks_plans_the_samples() {
    let panel = TestPanel::start().await;
    for (sample, wanted) in [
        ("plain-flask", "pip install -r requirements.txt"),
        ("django", "python"),
        ("go", "go build"),
        ("rust", "cargo build --release"),
        ("ruby", "bundle install"),
        ("php", "/assets/"),
        ("vite", "npm run build"),
        ("next", "npm run build"),
        ("static", "nginx"),
    ] {
        let repository = GitFixture::sample(sample);
        let source = json!({"kind": "git", "url": repository.path(), "build": {"preset": "nixpacks", "start": "./begin"}});
        let seen = panel
            .post("/api/v1/sources/inspect", json!({"source": source}))
            .await
            .expect(200)
            .json();
        let dockerfile = seen["plan"]["dockerfile"]
            .as_str()
            .unwrap_or_else(|| panic!("{sample}: {}", seen["problem"]));
        assert!(
            dockerfile.contains(wanted) && dockerfile.contains("FROM ghcr.io/railwayapp/nixpacks:"),
            "{sample}: {dockerfile}"
        );
    }
}
