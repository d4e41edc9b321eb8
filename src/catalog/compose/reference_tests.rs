//! The same files, read by us and by Debian's docker-compose: both must come to the same containers.
//!
//! docker-compose prints a file with everything filled in and merged. That is read again by us and compared as a whole, and the parts that
//! a container sees first are compared with what it printed.

use super::{
    conformance_tests::{interpolation_cases, state},
    *,
};
use crate::yaml;
use std::{fs, path::Path, process::Command};

/// What `docker-compose config` prints, with paths from the folder; `Err` holds what it says.
fn printed(folder: &Path) -> Result<String, String> {
    let output = Command::new("docker-compose")
        .args(["--file", "compose.yaml", "config"])
        .current_dir(folder)
        .env_remove("COMPOSE_FILE")
        .env_remove("UNSET")
        .envs([("SET", "v"), ("EMPTY", "")])
        .output()
        .expect("docker-compose is missing: these tests compare with Debian's package of that name (apt-get install docker-compose)");
    let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let folder = folder.canonicalize().expect("a folder").to_string_lossy().into_owned();
    match output.status.success() {
        true => Ok(text.replace(&format!("{folder}/"), "./").replace(&folder, ".")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn read_here(text: &str, folder: &Path) -> Result<Composed, Vec<Notice>> {
    read(&Ask {
        text,
        files: &Folder(folder.to_owned()),
        variable: &state,
        template: None,
        profiles: &[],
    })
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let top = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = top.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    top
}

/// Both readings of `compose.yaml` among these files.
#[track_caller]
fn check(files: &[(&str, &str)]) -> Stack {
    let top = folder(files);
    let text = files.iter().find(|(path, _)| *path == "compose.yaml").expect("a Compose file").1;
    let printed = printed(top.path()).unwrap_or_else(|why| panic!("docker-compose refuses:\n{text}\n{why}"));
    let ours = read_here(text, top.path()).unwrap_or_else(|problems| panic!("we refuse:\n{text}\n{problems:?}"));
    let theirs = read_here(&printed, top.path()).unwrap_or_else(|problems| panic!("we refuse what it prints: {problems:?}\n{printed}"));
    assert_eq!(sorted(ours.stack.clone()), sorted(theirs.stack), "\n{text}\n---\n{printed}");
    compare(&ours.stack, &printed);
    ours.stack
}

/// It prints services by name.
fn sorted(mut stack: Stack) -> Stack {
    stack.services.sort_by(|one, other| one.name.cmp(&other.name));
    for service in &mut stack.services {
        service.depends_on.sort_by(|one, other| one.service.cmp(&other.service));
        service.mounts.sort_by(|one, other| one.path.cmp(&other.path));
        service.files.sort_by(|one, other| one.path.cmp(&other.path));
        service.ports.sort_by_key(|port| (port.target, port.published));
        service.runtime.ulimits.sort();
        service.runtime.extra_hosts.sort();
    }
    stack
}

/// Image, environment and labels as they are printed, with `$$` as a dollar.
fn compare(stack: &Stack, printed: &str) {
    let tree = yaml::parse(printed, 0).expect("it prints YAML");
    let services = tree.get("services").and_then(Node::map).expect("it prints services");
    assert_eq!(services.len(), stack.services.len(), "{printed}");
    for (name, node) in services {
        let ours = stack.service(&name.text).expect("the same names");
        let text = |node: &Node| node.text().unwrap_or_default().replace("$$", "$");
        assert_eq!(ours.image, node.get("image").map(text), "{printed}");
        for (part, own) in [("environment", &ours.environment), ("labels", &ours.labels)] {
            let pairs = node.get(part).and_then(Node::map).into_iter().flatten();
            let theirs: BTreeMap<String, String> = pairs
                .filter(|(_, node)| !node.is_null())
                .map(|(key, node)| (key.text.clone(), text(node)))
                .collect();
            assert_eq!(*own, theirs, "{part}\n{printed}");
        }
    }
}

#[test]
fn single_keys() {
    let keys = [
        "command: run -a 'b c' \"d e\"",
        "command: [run, 'b c']",
        "entrypoint: /bin/x -y",
        "environment: [A=1, B=, SET, 'C=a=b', 'D=$$x']",
        "environment: {A: 1, B: '', C: 1.5, D: '0010', SET: , UNSET: }",
        "labels: [a=b, 'c=d=e']",
        "labels: {a: b, c: '1'}",
        "ports: ['8080:80', '53:53/udp', 443]",
        "ports: ['3000-3002', '9090-9091:8080-8081', '127.0.0.1:8001:8001']",
        "ports: [{target: 80, published: 8080, protocol: tcp, mode: host}]",
        "expose: [3000, '8000']",
        "volumes: ['data:/data', 'data:/more:ro']",
        "volumes: [{type: volume, source: data, target: /data, read_only: true}]",
        "volumes: [{type: tmpfs, target: /tmp}]",
        "tmpfs: [/run, '/tmp:size=64m']",
        "healthcheck: {test: [CMD, curl, localhost], interval: 1m30s, timeout: 10s, retries: 3, start_period: 40s}",
        "healthcheck: {test: curl localhost}",
        "healthcheck: {disable: true}",
        "stop_grace_period: 1m30s\nstop_signal: SIGINT",
        "user: '1000:1000'\nworking_dir: /srv\nhostname: web\ndomainname: example.com",
        "init: true\ntty: true\nstdin_open: true\nread_only: true",
        "cap_add: [NET_BIND_SERVICE]\ncap_drop: [ALL]",
        "dns: 1.1.1.1\ndns_search: [a.example, b.example]",
        "extra_hosts: ['one:10.0.0.1', 'two:10.0.0.2']",
        "ulimits: {nproc: 65535, nofile: {soft: 20000, hard: 40000}}",
        "sysctls: {net.core.somaxconn: 1024}",
        "shm_size: 64m",
        "deploy: {replicas: 3, resources: {limits: {cpus: '0.50', memory: 50M}, reservations: {memory: 20M}}}",
        "deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}",
        "depends_on: [db]\nlinks: ['db:store']",
        "privileged: true",
        "devices: ['/dev/ttyUSB0:/dev/ttyUSB0']",
        "logging: {driver: none}",
        "networks: {default: {aliases: [a, b]}}",
        "configs: [{source: c, target: /etc/c, uid: '103'}]\nsecrets: [s, {source: s, target: other}]",
    ];
    // One file: the program takes a second to start.
    let mut text = "version: '3.9'\nservices:\n  db: {image: 'postgres:15', restart: always}\n".to_owned();
    for (number, keys) in keys.iter().enumerate() {
        text.push_str(&format!("  web-{number}:\n    image: nginx:1.27\n    restart: always\n"));
        keys.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    text.push_str("volumes: {data: {}}\nconfigs: {c: {file: ./c.txt}}\nsecrets: {s: {file: ./s.txt}}\n");
    let stack = check(&[("compose.yaml", &text), ("c.txt", "c"), ("s.txt", "s")]);
    assert_eq!(stack.services.len(), keys.len() + 1);
}

#[test]
fn interpolation_is_the_same() {
    // Newer than that version: `+`, words in words, braces in words, and a `$` that means nothing.
    let is_known = |text: &str| {
        let is_nested = text.matches("${").count() > 1 || text.contains('"');
        !text.contains('+') && !is_nested && !["$", "a $ b", "$}", "$1", "${UNSET-$SET}", "${UNSET:-$$5}"].contains(&text)
    };
    let rows: Vec<_> = interpolation_cases().into_iter().filter(|(text, _)| is_known(text)).collect();
    let head = "version: '3.9'\nservices:\n  a:\n    image: x:1\n    restart: always\n    environment:\n";
    let mut file = head.to_owned();
    for (number, (text, _)) in rows.iter().enumerate().filter(|(_, (_, expected))| expected.is_ok()) {
        file.push_str(&format!("      V{number}: '{text}'\n"));
    }
    let stack = check(&[("compose.yaml", &file)]);
    for (number, (text, expected)) in rows.iter().enumerate() {
        match expected {
            Ok(expected) => assert_eq!(stack.services[0].environment[&format!("V{number}")], *expected, "{text}"),
            Err(_) => {
                let file = format!("{head}      V: '{text}'\n");
                let top = folder(&[("compose.yaml", &file)]);
                assert!(printed(top.path()).is_err(), "{text}");
                assert!(read_here(&file, top.path()).is_err(), "{text}");
            }
        }
    }
}

#[test]
fn whole_files() {
    let anchors = "version: '3.9'\nx-base: &base\n  image: x:${TAG:-1.2}\n  restart: always\n  environment: &env {A: one, B: two}\nservices:\n  first: *base\n  second:\n    <<: *base\n    environment:\n      <<: *env\n      B: own\n    depends_on: [first]\n";
    check(&[("compose.yaml", anchors)]);
    let env_files = "version: '3.9'\nservices:\n  a:\n    image: x:1\n    restart: always\n    env_file: [one.env, two.env]\n    environment: {C: own, D: '${FROM_DOT_ENV}'}\n";
    check(&[
        ("compose.yaml", env_files),
        ("one.env", "# words\nA=1\nB=\"quoted words\"\nC=file\n"),
        ("two.env", "A=2\nE='single'\n\nF=a=b\n"),
        (".env", "FROM_DOT_ENV=dot\n"),
    ]);
    let extends = "version: '3.9'\nservices:\n  a:\n    extends: {file: base/base.yaml, service: base}\n    environment: [B=own]\n    ports: ['81']\n    command: [new]\n";
    let base = "version: '3.9'\nservices:\n  base:\n    image: x:1\n    restart: always\n    environment: {A: base, B: base}\n    ports: ['80']\n    command: [old]\n    labels: {l: base}\n    env_file: ./base.env\n";
    check(&[("compose.yaml", extends), ("base/base.yaml", base), ("base/base.env", "C=base\n")]);
    let profiles = "version: '3.9'\nservices:\n  a: {image: 'x:1', restart: always}\n  b: {image: 'x:1', restart: always, depends_on: {a: {condition: service_healthy}}}\n  c: {image: 'x:1', restart: always, network_mode: host}\n";
    check(&[("compose.yaml", profiles)]);
    let networks = "version: '3.9'\nservices:\n  web: {image: 'x:1', restart: always, networks: [front]}\n  api:\n    image: x:1\n    restart: always\n    networks:\n      front:\n      back: {aliases: [store, deep]}\n  db: {image: 'x:1', restart: always, networks: [back]}\n  plain: {image: 'x:1', restart: always}\nnetworks:\n  front: {}\n  back: {internal: true}\n";
    let stack = check(&[("compose.yaml", networks)]);
    assert_eq!(stack.service("api").expect("there").networks.len(), 2);
    let build = "version: '3.9'\nservices:\n  a:\n    restart: always\n    build: {context: ./app, dockerfile: own.Dockerfile, args: {A: 1}, target: run, labels: {l: x}}\n  b:\n    restart: always\n    build: ./app\n";
    check(&[
        ("compose.yaml", build),
        ("app/own.Dockerfile", "FROM scratch"),
        ("app/Dockerfile", "FROM scratch"),
    ]);
}

#[test]
fn refusals_are_the_same() {
    for text in [
        "version: '3.9'\nservices:\n  a: {image: 'x:1', unheard_of: 1}\n",
        "version: '3.9'\nservices:\n  a: {image: 'x:1', ports: ['none']}\n",
        "version: '3.9'\nservices:\n  a: {image: 'x:1', environment: 3}\n",
        "version: '3.9'\nservices:\n  a: {image: 'x:1', depends_on: [gone]}\n",
        "version: '3.9'\nservices:\n  a: {image: 'x:1', volumes: ['gone:/x']}\n",
        "version: '3.9'\nservices:\n  a: {image: 'x:1', network_mode: host, networks: [n]}\nnetworks: {n: {}}\n",
        "version: '3.9'\nservices:\n  a: {image: 'x:1', env_file: gone.env}\n",
        "version: '3.9'\nservices:\n  a: {command: x}\n",
        "version: '3.9'\nservices:\n  a: {image: 'x:1', depends_on: [b]}\n  b: {image: 'x:1', depends_on: [a]}\n",
        "version: '3.9'\nservices:\n  a: [1]\n",
        "services: [\n",
    ] {
        let top = folder(&[("compose.yaml", text)]);
        assert!(printed(top.path()).is_err(), "docker-compose takes:\n{text}");
        assert!(read_here(text, top.path()).is_err(), "we take:\n{text}");
    }
}
