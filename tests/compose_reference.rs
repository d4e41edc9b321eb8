//! The same Compose file, run by the panel and by Debian's docker-compose on the same engine: both must come to the same
//! containers. `catalog` compares how both read many files; this is what the engine gets of one.

use crate::compose::{containers, id_of};
use crate::deploy::text;
use serde_json::{Map, Value, json};
use std::{path::Path, process::Command};
use testkit::{TestPanel, docker, docker_host};

/// Everything that both can say of a container and that says nothing of names, addresses or restarts, which are the panel's own.
const FILE: &str = r#"
x-base: &base
  image: debian:bookworm-slim
  mem_limit: 64m
  cpus: 0.5
  pids_limit: 64
  stop_grace_period: 3s
services:
  plain:
    <<: *base
    command: ["sh", "-c", "trap exit TERM; sleep infinity & wait"]
    environment:
      GREETING: "two words, a $$dollar and \"quotes\""
      EMPTY: ""
      CHOSEN: ${CHOSEN:-by default}
    labels: {org.example.tier: front}
    stop_signal: SIGUSR1
    networks: [front]
  shaped:
    <<: *base
    entrypoint: ["sleep"]
    command: "infinity"
    user: "1000:1000"
    working_dir: /srv
    hostname: shaped-host
    read_only: true
    init: true
    tty: true
    tmpfs: [/run, "/tmp:size=8m"]
    shm_size: 32m
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    group_add: ["44"]
    ulimits: {nofile: {soft: 512, hard: 1024}, nproc: 128}
    extra_hosts: ["db.test:192.0.2.7"]
    networks: {back: {aliases: [shape, form]}}
    dns: [192.0.2.53]
    healthcheck: {test: ["CMD", "true"], interval: 2s, timeout: 3s, retries: 4, start_period: 1s}
  stored:
    <<: *base
    command: sleep infinity
    volumes:
      - data:/var/lib/data
      - type: volume
        source: data
        target: /mnt/seen
        read_only: true
    healthcheck: {test: "true || false", interval: 5s}
    networks: {front: {aliases: [kept]}, back: }
volumes:
  data:
networks:
  front:
  back: {internal: true}
"#;

/// Ends the project with what it made, however the test ends.
struct Project(tempfile::TempDir, String);

impl Project {
    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker-compose")
            .args(["--project-name", &self.1, "--file", "compose.yaml"])
            .args(arguments)
            .current_dir(self.0.path())
            .env("DOCKER_HOST", docker_host())
            .output()
            .expect("docker-compose is missing: apt-get install docker-compose");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "docker-compose {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = Command::new("docker-compose")
            .args([
                "--project-name",
                &self.1,
                "--file",
                "compose.yaml",
                "down",
                "--volumes",
                "--timeout",
                "1",
            ])
            .current_dir(self.0.path())
            .env("DOCKER_HOST", docker_host())
            .output();
    }
}

fn inspected(id: &str) -> Value {
    let text = docker(&docker_host(), &["inspect", id]).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

/// Null, nothing and zero are the same to the engine.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(list) if list.is_empty() => Value::Null,
        Value::Object(map) if map.is_empty() => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Bool(false) => Value::Null,
        other if other == &json!(0) => Value::Null,
        other => other.clone(),
    }
}

/// What the file says of a container, in the engine's words. Two things the panel does its own way: the image is named by its id, so that
/// a tag that moves changes nothing, and each container has an init, so that nothing dead stays.
fn told(container: &Value) -> Map<String, Value> {
    const CONFIG: [&str; 8] = [
        "Cmd",
        "Entrypoint",
        "User",
        "WorkingDir",
        "StopSignal",
        "StopTimeout",
        "Tty",
        "Healthcheck",
    ];
    const HOST: [&str; 14] = [
        "Memory",
        "NanoCpus",
        "PidsLimit",
        "ReadonlyRootfs",
        "Tmpfs",
        "ShmSize",
        "CapAdd",
        "CapDrop",
        "GroupAdd",
        "Ulimits",
        "ExtraHosts",
        "Dns",
        "Privileged",
        "OomKillDisable",
    ];
    let mut all = Map::new();
    for name in CONFIG {
        all.insert(name.to_owned(), plain(&container["Config"][name]));
    }
    for name in HOST {
        let mut value = plain(&container["HostConfig"][name]);
        if let Value::Array(list) = &mut value {
            list.sort_by_key(Value::to_string);
        }
        all.insert(name.to_owned(), value);
    }
    let mut environment: Vec<_> = container["Config"]["Env"].as_array().into_iter().flatten().cloned().collect();
    environment.sort_by_key(Value::to_string);
    all.insert("Env".to_owned(), environment.into());
    let labels = container["Config"]["Labels"].as_object().into_iter().flatten();
    let labels = labels.filter(|(name, _)| !name.starts_with("serverkit.") && !name.starts_with("com.docker.compose."));
    all.insert(
        "Labels".to_owned(),
        plain(&labels.map(|(name, value)| (name.clone(), value.clone())).collect()),
    );
    let mut mounts: Vec<Value> = container["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| json!([mount["Destination"], mount["Type"], mount["RW"]]))
        .collect();
    mounts.sort_by_key(Value::to_string);
    all.insert("Mounts".to_owned(), mounts.into());
    all
}

/// The networks of the file that a container is on: whether each is internal, and the container's names there. `name_of`: what the file
/// calls one, of those that are its own. The engine may add the container's short id.
fn places(container: &Value, name_of: impl Fn(&str) -> Option<String>) -> Map<String, Value> {
    let short = &text(container, "Id")[..12];
    let networks = container["NetworkSettings"]["Networks"].as_object().unwrap();
    let place = |(on_engine, network): (&String, &Value)| {
        let mut aliases: Vec<&str> = network["Aliases"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        aliases.retain(|alias| *alias != short);
        aliases.sort_unstable();
        aliases.dedup();
        let internal = docker(&docker_host(), &["network", "inspect", "--format", "{{.Internal}}", on_engine]).unwrap();
        Some((name_of(on_engine)?, json!([internal, aliases])))
    };
    networks.iter().filter_map(place).collect()
}

#[tokio::test]
async fn docker_containers_as_docker_compose_makes_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(Path::new(folder.path()).join("compose.yaml"), FILE).unwrap();
    let panel = TestPanel::docker().await;
    let body = json!({
        "name": "same",
        "source": {"kind": "compose", "compose": FILE, "main_service": "plain"},
        "domains": [],
        "health": {"kind": "running", "start_seconds": 5},
        "grace_seconds": 2,
    });
    let app = panel.live_app(body).await;
    let project = Project(folder, format!("same{}", std::process::id()));
    project.run(&["up", "--detach", "--quiet-pull"]);

    let id = text(&app, "id");
    let ours = containers(&id);
    let front = format!("serverkit-{}", id.split_once('_').unwrap().1);
    let our_name = |name: &str| {
        let rest = name.strip_prefix(&front)?;
        rest.split_once('.').map(|(_, name)| name.to_owned())
    };
    let their_name = |name: &str| name.strip_prefix(&format!("{}_", project.1)).map(str::to_owned);
    let mut differ = Vec::new();
    for service in ["plain", "shaped", "stored"] {
        let theirs = project.run(&["ps", "--quiet", service]);
        let (ours, theirs) = (inspected(&id_of(&ours, service)), inspected(theirs.trim()));
        let (on, they_on) = (places(&ours, our_name), places(&theirs, their_name));
        assert!(!on.is_empty() && on == they_on, "{service}: {on:?} and not {they_on:?}");
        let (ours, theirs) = (told(&ours), told(&theirs));
        let other = ours.iter().filter(|(name, value)| theirs[*name] != **value);
        differ.extend(other.map(|(name, value)| format!("{service}: {name} is {value} and not {}", theirs[name])));
    }
    assert!(differ.is_empty(), "{differ:#?}");
}
