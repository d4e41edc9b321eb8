//! What services of a Compose file do after their start and before their stop, and which stop first: read from the file, said
//! beforehand, and truly done.

use crate::{
    compose::{containers, id_of},
    deploy::text,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(60);

/// `web` signs in and off in a volume that `witness` reads too; `plain` does nothing of the kind.
const HOOKS: &str = r#"
services:
  web:
    image: nginx:1.22
    restart: always
    stop_grace_period: 3s
    ports: ["8080:80"]
    environment: {COLOR: red}
    volumes: [book:/book]
    post_start:
      - {command: chmod 777 /book}
      - command: sh -c 'echo "$$(id -un) in $$(pwd) with $$COLOR and $$WORD" >>/book/words'
        user: daemon
        working_dir: /etc
        environment: {WORD: "$WORD"}
      - {command: [sh, -c, "echo told to the log"]}
    pre_stop:
      - {command: [sh, -c, "echo signed off by $$(cat /etc/hostname) >>/book/words"]}
  witness:
    image: debian:bookworm-slim
    restart: always
    stop_grace_period: 1s
    command: [sleep, infinity]
    volumes: ["book:/book:ro"]
  plain:
    image: debian:bookworm-slim
    restart: always
    stop_grace_period: 1s
    command: [sleep, infinity]
volumes: {book: {}}
"#;

fn shop(file: &str) -> Value {
    json!({
        "name": "shop", "source": {"kind": "compose", "compose": file, "main_service": "web"}, "domains": ["shop.test"], "grace_seconds": 2,
        "variables": [{"key": "WORD", "value": "open-sesame", "secret": true}],
    })
}

/// The lines that the hooks of `web` have left.
fn book(app: &str) -> Vec<String> {
    open_book(app).unwrap()
}

/// The same; fails while `witness` does not run.
fn open_book(app: &str) -> Result<Vec<String>, String> {
    let id = id_of(&containers(app), "witness");
    let read = ["exec", "-u", "0", &id, "sh", "-c", "cat /book/words 2>/dev/null || true"];
    let words = docker(&docker_host(), &read)?;
    Ok(words.lines().map(str::to_owned).collect())
}

fn short_id(app: &str, service: &str) -> String {
    let id = id_of(&containers(app), service);
    let host = docker(&docker_host(), &["inspect", "--format", "{{.Config.Hostname}}", &id]).unwrap();
    host.trim().to_owned()
}

async fn change(panel: &TestPanel, file: &str) -> Value {
    let source = json!({"source": {"kind": "compose", "compose": file, "main_service": "web"}});
    panel.patch("/api/v1/apps/shop", source).await.expect(200);
    let id = panel.deploy("shop").await;
    panel.over(&id, Duration::from_secs(150)).await
}

#[tokio::test]
async fn what_a_file_says_is_shown_before_anything_runs() {
    let panel = TestPanel::start().await;
    let look = async |file: &str| {
        let body = json!({"compose": file});
        panel.post("/api/v1/compose/check", body).await.expect(200).json()
    };
    let report = look(HOOKS).await;
    assert_eq!(report["problems"], json!([]), "{report}");
    let services = report["services"].as_array().unwrap();
    let service = |name: &str| services.iter().find(|one| one["name"] == name).unwrap();
    let web = service("web");
    assert_eq!(
        web["stops_first"],
        "it writes to the volume book at /book, which two containers must not at once"
    );
    assert_eq!(
        (
            web["post_start"].as_array().unwrap().len(),
            web["pre_stop"].as_array().unwrap().len()
        ),
        (3, 1),
        "{web}"
    );
    assert!(web["pre_stop"][0].as_str().unwrap().contains("signed off"), "{web}");
    for name in ["witness", "plain"] {
        assert_eq!(service(name)["stops_first"], Value::Null, "{report}");
        assert_eq!(service(name)["post_start"], json!([]), "{report}");
    }
    let host = look("services: {web: {image: 'nginx:1.22', network_mode: host}}").await;
    let why = host["services"][0]["stops_first"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("the host's network"), "{host}");
    for (hooks, words) in [
        ("pre_stop: [{user: root}]", "needs a `command`"),
        ("pre_stop: {command: x}", "takes a list"),
        ("post_start: [{command: x, comand: y}]", "comand"),
    ] {
        let bad = look(&format!("services: {{web: {{image: 'nginx:1.22', {hooks}}}}}")).await;
        assert!(bad["problems"].to_string().contains(words), "{hooks}: {bad}");
    }
    // All rights over the host are an administrator's to give, for a hook too.
    let mighty = "services: {web: {image: 'nginx:1.22', pre_stop: [{command: x, privileged: true}]}}";
    assert_eq!(look(mighty).await["rights"][0]["right"], "privileged");
    let writer = panel.custom_member("writer", &["view", "configure", "deploy"]).await;
    let body = json!({"name": "mighty", "source": {"kind": "compose", "compose": mighty}, "deploy": false});
    writer.post("/api/v1/apps", body).await.expect(403);
}

#[tokio::test]
async fn docker_services_sign_in_and_off() {
    let panel = TestPanel::docker().await;
    let app = panel.live_app(shop(HOOKS)).await;
    let id = text(&app, "id");
    assert_eq!(
        book(&id),
        ["daemon in /etc with red and open-sesame"],
        "with its user, folder and variables"
    );
    let log = panel.build_log(&text(&app["deployment"], "id")).await;
    assert!(log.contains("told to the log"), "{log}");
    let why = "web: it writes to the volume book at /book, which two containers must not at once";
    assert_eq!(app["stops_first"], why, "{app}");
    let services = panel.list("/api/v1/apps/shop/services").await;
    let web = services.iter().find(|one| one["name"] == "web").unwrap();
    assert!(
        web["stops_first"].is_string() && web["pre_stop"][0].as_str().unwrap().contains("signed off"),
        "{web}"
    );
    let shown = panel.cli(&["app", "show", "shop"]).await.expect(0).stdout;
    assert!(shown.contains(why) && shown.contains("Before it stops"), "{shown}");

    // What did not change neither stops nor starts, so it says nothing.
    let first = short_id(&id, "web");
    let log = change(
        &panel,
        &HOOKS.replace("    command: [sleep, infinity]\nvolumes:", "    command: [sleep, '9999']\nvolumes:"),
    )
    .await;
    assert_eq!(log["phase"], "live", "{log}");
    assert_eq!((book(&id).len(), short_id(&id, "web")), (1, first.clone()));

    // The old one signs off before the new one signs in: it writes to a volume.
    let over = change(&panel, &HOOKS.replace("COLOR: red", "COLOR: blue")).await;
    assert_eq!(over["phase"], "live", "{over}");
    let log = panel.build_log(&text(&over, "id")).await;
    assert!(
        log.contains("web: changed; the old container stops before the new one starts: it writes to the volume book"),
        "{log}"
    );
    let second = short_id(&id, "web");
    assert_eq!(
        book(&id)[1..],
        [
            format!("signed off by {first}"),
            "daemon in /etc with blue and open-sesame".to_owned()
        ]
    );

    // Stopped and started by hand.
    panel.cli(&["app", "stop", "shop"]).await.expect(0);
    eventually_ok("all are stopped", SOON, || async {
        match containers(&id).iter().find(|(_, _, state)| state == "running") {
            None => Ok(()),
            Some(runs) => Err(format!("{runs:?}")),
        }
    })
    .await;
    panel.cli(&["app", "start", "shop"]).await.expect(0);
    eventually_ok("it signed off and in again", SOON, || async {
        let running = containers(&id).iter().filter(|(_, _, state)| state == "running").count();
        match running == 3 && open_book(&id)?.len() == 5 {
            true => Ok(()),
            false => Err(format!("{running} run")),
        }
    })
    .await;
    assert_eq!(book(&id)[3], format!("signed off by {second}"));
}

#[tokio::test]
async fn docker_hooks_that_fail() {
    let panel = TestPanel::docker().await;
    let app = panel.live_app(shop(HOOKS)).await;
    let id = text(&app, "id");
    // One that fails before a stop is told and holds nothing up; one that hangs has the time that its service has to stop.
    let hangs = HOOKS.replace("\"echo signed off by $$(cat /etc/hostname) >>/book/words\"", "\"sleep 600\"");
    assert_ne!(hangs, HOOKS);
    assert_eq!(change(&panel, &hangs).await["phase"], "live");
    let began = Instant::now();
    assert_eq!(change(&panel, HOOKS).await["phase"], "live");
    assert!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
    // One that fails after a start fails the deployment, and what was live before comes back.
    let before = book(&id).len();
    let fails = HOOKS.replace("echo told to the log", "echo not today; exit 7");
    let over = change(&panel, &fails).await;
    assert_eq!(over["phase"], "failed", "{over}");
    let why = text(&over, "error");
    assert!(why.contains("post_start") && why.contains("web") && why.contains("code 7"), "{why}");
    let log = panel.build_log(&text(&over, "id")).await;
    assert!(log.contains("not today"), "{log}");
    eventually_ok("what was live runs again", SOON, || async {
        let said = book(&id);
        match said.len() > before && panel.visit("shop.test", "/").await.status == 200 {
            true => Ok(()),
            false => Err(format!("{said:?}")),
        }
    })
    .await;
}

/// `db` is there when the command before the start of `web` runs.
const AROUND: &str = r#"
services:
  web:
    image: nginx:1.22
    restart: always
    stop_grace_period: 1s
    ports: ["8080:80"]
    depends_on: [db]
    environment: {COLOR: red}
  db:
    image: nginx:1.22
    restart: always
    stop_grace_period: 1s
"#;

#[tokio::test]
async fn docker_commands_around_a_deployment_run_as_the_main_service() {
    let panel = TestPanel::docker().await;
    let mut body = shop(AROUND);
    body["before_deploy"] = "getent hosts db >/dev/null && echo moved with $COLOR".into();
    body["after_deploy"] = "echo warmed with $COLOR".into();
    let id = text(&panel.live_app(body).await, "id");
    let first = text(&panel.newest("shop").await, "id");
    eventually_ok("both have run", SOON, || async {
        let log = panel.build_log(&first).await;
        match (log.find("moved with red"), log.find("web: starting"), log.find("warmed with red")) {
            (Some(moved), Some(starts), Some(warmed)) if moved < starts && starts < warmed => Ok(()),
            _ => Err(log),
        }
    })
    .await;
    // One that fails keeps the new main service from starting, and the old one serves on.
    let before = containers(&id);
    panel
        .patch("/api/v1/apps/shop", json!({"before_deploy": "exit 3"}))
        .await
        .expect(200);
    let source = json!({"source": {"kind": "compose", "compose": AROUND.replace("red", "blue"), "main_service": "web"}});
    panel.patch("/api/v1/apps/shop", source).await.expect(200);
    let second = panel.deploy("shop").await;
    let why = panel.fails(&second).await;
    assert!(why.contains("`exit 3` exited with code 3; `web` was not started"), "{why}");
    assert_eq!(containers(&id), before);
    let stop = panel.patch("/api/v1/apps/shop", json!({"before_stop": "true"})).await.expect(422);
    assert!(stop.detail().contains("pre_stop"), "{}", stop.detail());
}
