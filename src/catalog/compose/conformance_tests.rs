//! What the Compose Specification and its conformance tests say of a file, each with a sample of our own.
//! Sources: compose-spec.io, chapters "Interpolation", "Merge", "Include", "Profiles", "Fragments" and "Services"; the cases of the
//! repository compose-spec/conformance-tests.

use super::*;
use types::{Condition, StackHealth, StackService, Transport};

/// A text with what it comes to, or why it is refused; `tests/interpolation.txt` says what is set.
pub fn interpolation_cases() -> Vec<(&'static str, Result<&'static str, &'static str>)> {
    let lines = include_str!("../../../tests/interpolation.txt").lines();
    let case = |line: &'static str| match (line.split_once(" =>"), line.split_once(" !! ")) {
        (Some((text, value)), None) => (text, Ok(value.trim_start())),
        (None, Some((text, reason))) => (text, Err(reason)),
        _ => panic!("neither `=>` nor `!!` in {line}"),
    };
    let cases: Vec<_> = lines.filter(|line| !line.starts_with('#')).map(case).collect();
    assert!(cases.len() >= 62, "only {} cases", cases.len());
    cases
}

pub fn state(name: &str) -> Option<String> {
    match name {
        "SET" => Some("v".into()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn with(text: &str, files: &dyn Files, profiles: &[&str]) -> Result<Composed, Vec<Notice>> {
    let profiles: Vec<String> = profiles.iter().map(|one| (*one).to_owned()).collect();
    read(&Ask {
        text,
        files,
        variable: &state,
        template: None,
        profiles: &profiles,
    })
}

fn stack(text: &str) -> Stack {
    with(text, &NoFiles, &[])
        .unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
        .stack
}

fn service(text: &str, name: &str) -> StackService {
    stack(text).service(name).expect("there").clone()
}

fn words(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|one| (*one).to_owned()).collect())
}

#[test]
fn interpolation() {
    for (text, expected) in interpolation_cases() {
        let file = format!("services:\n  a:\n    image: x:1\n    restart: always\n    environment:\n      V: '{text}'\n");
        let found = with(&file, &NoFiles, &[]);
        match (found, expected) {
            (Ok(composed), Ok(expected)) => assert_eq!(composed.stack.services[0].environment["V"], expected, "{text}"),
            (Err(problems), Err(reason)) => {
                let told: Vec<_> = problems.iter().map(|problem| (problem.line, problem.what.as_str())).collect();
                assert_eq!(told, [(6, reason)], "{text}");
            }
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn interpolation_is_for_values_and_not_for_keys() {
    let a = service(
        "services:\n  a:\n    image: x:1\n    labels: { $SET: $SET }\n  b:\n    image: x:1\n    labels: ['$SET=$SET']\n",
        "a",
    );
    assert_eq!(a.labels["$SET"], "v");
    let b = service("services:\n  b:\n    image: x:1\n    labels: ['$SET=$SET']\n", "b");
    assert_eq!(b.labels["v"], "v");
}

#[test]
fn missing_variables_are_told() {
    let composed = with(
        "services:\n  a:\n    image: x:1\n    restart: always\n    user: $UNSET\n",
        &NoFiles,
        &[],
    )
    .expect("read");
    assert_eq!(composed.hints[0].line, 5);
    assert!(composed.hints[0].what.contains("UNSET is not set"), "{:?}", composed.hints);
    let problems = with("services:\n  a: {image: 'x:${UNSET:?tell the tag}'}\n", &NoFiles, &[]).expect_err("needed");
    assert!(problems[0].what.contains("UNSET must be set: tell the tag"), "{problems:?}");
}

/// conformance-tests: simple_lifecycle.
#[test]
fn a_service_with_an_image_alone() {
    let stack = stack("services:\n  only:\n    image: example/server\n");
    assert_eq!((stack.services.len(), stack.services[0].replicas), (1, 1));
    assert_eq!(stack.volumes, []);
}

/// The networks of a service, with those of its names that only hold there.
fn networks(stack: &Stack, name: &str) -> Vec<(String, Vec<String>)> {
    let all = stack.service(name).expect("there").networks.iter();
    all.map(|network| (network.name.clone(), network.aliases.clone())).collect()
}

/// conformance-tests: simple_network.
#[test]
fn services_of_one_network_share_the_apps_own() {
    let text = "services:\n  entry: {image: 'x:1', restart: always, networks: [entrynetwork]}\n  target: {image: 'x:1', restart: always, networks: {entrynetwork: {aliases: [store]}}}\nnetworks:\n  entrynetwork:\n";
    let composed = with(text, &NoFiles, &[]).expect("read");
    assert_eq!(composed.hints, []);
    for name in ["entry", "target"] {
        assert_eq!(networks(&composed.stack, name), [], "{name}");
    }
    assert_eq!(composed.stack.service("target").expect("there").aliases, ["store"]);
    let problems = with("services:\n  a: {image: 'x:1', networks: [gone]}\n", &NoFiles, &[]).expect_err("gone");
    assert!(problems[0].what.contains("`gone`"), "{problems:?}");
}

/// conformance-tests: different_networks.
#[test]
fn services_of_different_networks_are_apart() {
    let text = "services:\n  entry: {image: 'x:1', restart: always, networks: [entrynetwork]}\n  target: {image: 'x:1', restart: always, networks: [targetnetwork]}\nnetworks:\n  entrynetwork:\n  targetnetwork: {driver: bridge}\n";
    let composed = with(text, &NoFiles, &[]).expect("read");
    assert_eq!(composed.hints, []);
    for name in ["entry", "target"] {
        assert_eq!(networks(&composed.stack, name), [(format!("{name}network"), Vec::new())]);
    }
}

/// conformance-tests: scaling.
#[test]
fn replicas() {
    assert_eq!(
        service("services:\n  a:\n    image: x:1\n    deploy: { replicas: 3 }\n", "a").replicas,
        3
    );
    assert_eq!(
        service("services:\n  a:\n    image: x:1\n    deploy: { replicas: 0 }\n", "a").replicas,
        0
    );
}

/// conformance-tests: udp_port.
#[test]
fn ports_in_both_forms() {
    let a = service(
        "services:\n  a:\n    image: x:1\n    ports:\n      - 8080:8080/tcp\n      - target: 10001\n        published: 10001\n        protocol: udp\n        mode: host\n",
        "a",
    );
    let shown: Vec<_> = a.ports.iter().map(|port| (port.target, port.published, port.protocol)).collect();
    assert_eq!(shown, [(8080, Some(8080), Transport::Tcp), (10001, Some(10001), Transport::Udp)]);
}

/// conformance-tests: simple_configfile, simple_secretfile and simple_volume.
#[test]
fn files_of_configs_secrets_and_mounts() {
    let text = "services:\n  a:\n    image: x:1\n    restart: always\n    configs:\n      - { source: one, target: /put/one.txt }\n    secrets:\n      - { source: two, target: /put/two.txt }\n      - three\n    volumes: ['./three.txt:/put/three.txt:ro']\nconfigs:\n  one: { file: ./one.txt }\nsecrets:\n  two: { file: two.txt }\n  three: { file: ./three.txt }\n";
    let files = files(&[("one.txt", "1"), ("two.txt", "2"), ("three.txt", "3")]);
    let composed = with(text, &files, &[]).expect("read");
    let mut shown: Vec<_> = composed.stack.services[0]
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.content.as_str(), file.secret))
        .collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            ("/put/one.txt", "1", false),
            ("/put/three.txt", "3", false),
            ("/put/two.txt", "2", true),
            ("/run/secrets/three", "3", true)
        ]
    );
}

#[test]
fn commands_as_texts_and_lists() {
    for (written, expected) in [
        ("run it now", words(&["run", "it", "now"])),
        ("\"sh -c 'a  b'\"", words(&["sh", "-c", "a  b"])),
        ("[sh, -c, 'a  b']", words(&["sh", "-c", "a  b"])),
        ("[]", words(&[])),
        ("\"\"", words(&[])),
        ("", None),
    ] {
        let a = service(&format!("services:\n  a:\n    image: x:1\n    command: {written}\n"), "a");
        assert_eq!(a.command, expected, "{written}");
    }
}

#[test]
fn environments_in_both_forms() {
    let lists = service(
        "services:\n  a:\n    image: x:1\n    environment: [A=1, B=, SET, UNSET, 'C=a=b', 'D=\"q\"']\n",
        "a",
    );
    let maps = service(
        "services:\n  a:\n    image: x:1\n    environment: {A: 1, B: '', SET: , UNSET: , C: a=b, D: '\"q\"'}\n",
        "a",
    );
    assert_eq!(lists.environment, maps.environment);
    assert_eq!(lists.environment.keys().collect::<Vec<_>>(), ["A", "B", "C", "D", "SET"]);
}

#[test]
fn fragments() {
    let text = "x-common: &common\n  image: x:1\n  restart: always\n  environment: &env { A: one, B: two }\nservices:\n  first: *common\n  second:\n    <<: *common\n    environment:\n      <<: *env\n      B: own\n  third:\n    <<: [{ user: me }, *common]\n";
    let stack = stack(text);
    assert_eq!(stack.service("first").expect("there").environment["B"], "two");
    assert_eq!(stack.service("second").expect("there").environment["B"], "own");
    assert_eq!(stack.service("second").expect("there").environment["A"], "one");
    let third = stack.service("third").expect("there");
    assert_eq!((third.runtime.user.as_deref(), third.image.as_deref()), (Some("me"), Some("x:1")));
}

#[test]
fn profiles() {
    let text = "services:\n  always: {image: 'x:1'}\n  tools: {image: 'x:1', profiles: [tools, more]}\n  debug: {image: 'x:1', profiles: [debug]}\n";
    for (profiles, expected) in [
        (&[][..], &["always"][..]),
        (&["tools"], &["always", "tools"]),
        (&["more", "debug"], &["always", "tools", "debug"]),
        (&["*"], &["always", "tools", "debug"]),
        (&["other"], &["always"]),
    ] {
        let composed = with(text, &NoFiles, profiles).expect("read");
        let names: Vec<_> = composed.stack.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, expected, "{profiles:?}");
    }
}

/// The chapter "extends": what is added, what is replaced.
#[test]
fn extending() {
    let base = "services:\n  base:\n    image: x:1\n    restart: always\n    command: [old]\n    environment: {A: base, B: base}\n    labels: [a=base]\n    ports: ['80', '81']\n    volumes: ['d:/data', 'd:/more']\n    cap_add: [CHOWN]\n    dns: 1.1.1.1\n    extra_hosts: ['one:10.0.0.1']\n    healthcheck: {test: [CMD, old], interval: 5s}\n    ulimits: {nofile: 10}\n    deploy: {replicas: 2, resources: {limits: {memory: 64M}}}\nvolumes: {d: }\n";
    let text = "services:\n  own:\n    extends: {file: base.yaml, service: base}\n    command: [new]\n    environment: [B=own, C=own]\n    labels: {b: own}\n    ports: ['81', '82']\n    volumes: ['e:/more']\n    cap_add: [KILL]\n    dns: [8.8.8.8]\n    extra_hosts: {two: 10.0.0.2}\n    healthcheck: {test: [CMD, new]}\n    ulimits: {nofile: 20, nproc: 5}\n    deploy: {resources: {limits: {cpus: '0.5'}}}\nvolumes: {d: , e: }\n";
    let composed = with(text, &files(&[("base.yaml", base)]), &[]).expect("read");
    let own = composed.stack.service("own").expect("there");
    assert_eq!(own.command, words(&["new"]));
    assert_eq!(own.environment.values().collect::<Vec<_>>(), ["base", "own", "own"]);
    assert_eq!(own.labels.len(), 2);
    assert_eq!(own.ports.iter().map(|port| port.target).collect::<Vec<_>>(), [80, 81, 82]);
    let mounts: Vec<_> = own.mounts.iter().map(|mount| (mount.path.as_str(), &mount.from)).collect();
    let volume = |name: &str| MountFrom::Volume { name: name.to_owned() };
    assert_eq!(mounts, [("/data", &volume("d")), ("/more", &volume("e"))]);
    assert_eq!(own.runtime.cap_add, ["CHOWN", "KILL"]);
    assert_eq!(own.runtime.dns, ["1.1.1.1", "8.8.8.8"]);
    assert_eq!(own.runtime.extra_hosts, ["one:10.0.0.1", "two:10.0.0.2"]);
    let StackHealth::Check(check) = &own.health else {
        panic!("a check")
    };
    assert_eq!(
        (check.test.clone(), check.interval_millis),
        (words(&["CMD", "new"]).expect("some"), Some(5000))
    );
    assert_eq!(own.runtime.ulimits.len(), 2);
    assert_eq!(
        (own.replicas, own.limits.memory_bytes, own.limits.cpu_millis),
        (2, Some(64 << 20), Some(500))
    );
}

#[test]
fn including() {
    let part = "services:\n  db: {image: 'db:${TAG:-0}', restart: always, volumes: ['d:/d']}\nvolumes: {d: }\n";
    let same = "include: [part.yaml, part.yaml]\nservices:\n  web: {image: 'x:1', restart: always, depends_on: [db]}\n";
    let composed = with(same, &files(&[("part.yaml", part)]), &[]).expect("read");
    let names: Vec<_> = composed.stack.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["db", "web"]);
    assert_eq!(composed.stack.volumes[0].name, "d");
    let other = "include: [part.yaml]\nservices:\n  db: {image: 'other:1', restart: always}\n";
    let problems = with(other, &files(&[("part.yaml", part)]), &[]).expect_err("two of one name");
    assert!(problems[0].what.contains("`db` is in an included file too"), "{problems:?}");
}

#[test]
fn durations_and_sizes() {
    let a = service(
        "services:\n  a:\n    image: x:1\n    stop_grace_period: 1m30s\n    shm_size: 64m\n    mem_limit: 1.5gb\n    healthcheck: {test: x, interval: 10s, timeout: 500ms, start_period: 1h, start_interval: 2s}\n",
        "a",
    );
    assert_eq!(
        (a.grace_millis, a.runtime.shm_bytes, a.limits.memory_bytes),
        (Some(90_000), Some(64 << 20), Some(1536 << 20))
    );
    let StackHealth::Check(check) = a.health else { panic!("a check") };
    assert_eq!(
        (
            check.interval_millis,
            check.timeout_millis,
            check.start_millis,
            check.start_interval_millis
        ),
        (Some(10_000), Some(500), Some(3_600_000), Some(2000))
    );
}

#[test]
fn hooks() {
    let text = "services:\n  a:\n    image: x:1\n    post_start:\n      - {command: 'chown -R \"1001\" /d', user: root}\n    pre_stop:\n      - {command: [a, b c], working_dir: /w, environment: [KEY=$SET, SET]}\n      - {command: x, environment: {OTHER: 1}, privileged: true}\n";
    let composed = with(text, &NoFiles, &[]).expect("read");
    let a = composed.stack.service("a").expect("there");
    assert_eq!(a.post_start[0].command, ["chown", "-R", "1001", "/d"]);
    assert_eq!(a.post_start[0].user.as_deref(), Some("root"));
    let [first, second] = a.pre_stop.as_slice() else {
        panic!("two: {:?}", a.pre_stop)
    };
    assert_eq!(
        (first.command.as_slice(), first.working_dir.as_deref()),
        (["a".to_owned(), "b c".to_owned()].as_slice(), Some("/w"))
    );
    let pairs: Vec<_> = first
        .environment
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(pairs, [("KEY", "v"), ("SET", "v")]);
    assert_eq!((second.environment["OTHER"].as_str(), second.privileged), ("1", true));
    let rights: Vec<_> = composed.rights.iter().map(|right| (right.right, right.line)).collect();
    assert_eq!(rights, [("privileged", 8)], "only an administrator lets it reach the host");
}

#[test]
fn conditions_and_optional_dependencies() {
    let text = "services:\n  a:\n    image: x:1\n    depends_on:\n      b: {condition: service_healthy, restart: true}\n      c: {condition: service_completed_successfully}\n      gone: {condition: service_started, required: false}\n  b: {image: 'x:1', healthcheck: {test: x}}\n  c: {image: 'x:1'}\n";
    let a = service(text, "a");
    let shown: Vec<_> = a
        .depends_on
        .iter()
        .map(|one| (one.service.as_str(), one.condition, one.restart))
        .collect();
    assert_eq!(shown, [("b", Condition::Healthy, true), ("c", Condition::Completed, false)]);
}

/// Whatever the specification has and we do not is refused or told, with its line.
#[test]
fn nothing_is_left_out_in_silence() {
    for key in [
        "blkio_config: {weight: 300}",
        "cgroup: host",
        "cgroup_parent: m",
        "cpu_count: 2",
        "cpu_percent: 50",
        "cpu_period: 1",
        "cpu_quota: 1",
        "cpu_rt_period: 1",
        "cpu_rt_runtime: 1",
        "credential_spec: {file: x}",
        "device_cgroup_rules: ['c 1:3 mr']",
        "external_links: [x]",
        "gpus: all",
        "isolation: default",
        "mac_address: 02:42:ac:11:65:43",
        "mem_swappiness: 1",
        "memswap_limit: 1g",
        "models: [x]",
        "oom_kill_disable: true",
        "post_start: [{user: x}]",
        "pre_stop: [{command: x, unheard_of: 1}]",
        "provider: {type: x}",
        "runtime: runc",
        "storage_opt: {size: 1G}",
        "use_api_socket: true",
        "uts: host",
        "volumes_from: [x]",
        "logging: {driver: none}",
        "annotations: {a: b}",
        "attach: false",
        "develop: {}",
        "pid: 'service:x'",
        "network_mode: 'container:x'",
        "deploy: {mode: global}",
        "deploy: {placement: {}}",
        "deploy: {endpoint_mode: vip}",
        "userns_mode: keep-id",
        "ports: ['127.0.0.1:8080:80']",
        "ports: ['[::1]:8080:80']",
        "ports: [{target: 80, published: 8080, host_ip: 127.0.0.1}]",
        "ports: [{target: 80, app_protocol: h2c}]",
        "ports: ['8080:80']",
        "ports: [{target: 80, mode: host}]",
        "volumes: ['d:/d:nocopy']",
        "volumes: ['/srv:/d:z']",
        "volumes: [{type: volume, source: d, target: /d, volume: {nocopy: true}}]",
        "volumes: [{type: volume, source: d, target: /d, volume: {subpath: x}}]",
        "volumes: [{type: volume, source: d, target: /d, volume: {unheard_of: x}}]",
        "volumes: [{type: bind, source: /srv, target: /d, bind: {propagation: shared}}]",
        "volumes: [{type: bind, source: /srv, target: /d, bind: {create_host_path: false, selinux: z}}]",
        "volumes: [{type: bind, source: /srv, target: /d, bind: {recursive: disabled}}]",
        "volumes: [{type: image, source: x:1, target: /d}]",
        "volumes: [{type: cluster, source: x, target: /d}]",
        "networks: {default: {ipv4_address: 10.0.0.2}}",
        "networks: {default: {gw_priority: 1}}",
        "env_file: [{path: x.env, required: false, format: other}]",
        "env_file: [{path: x.env, required: false, unheard_of: 1}]",
        "deploy: {mode: replicated-job}",
        "deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
        "pull_policy: daily",
        "unheard_of: 1",
    ] {
        let text = format!("services:\n  a:\n    image: x:1\n    restart: always\n    {key}\nvolumes: {{d: }}\n");
        let told = match with(&text, &NoFiles, &[]) {
            Ok(composed) => composed.hints,
            Err(problems) => problems,
        };
        let of_it = told.iter().find(|one| one.line == 5).unwrap_or_else(|| panic!("{key}: {told:?}"));
        // Not only that it is so, but why, or what to do instead.
        let has_reason = [": ", "; ", ", such as", "no key"].iter().any(|sign| of_it.what.contains(sign));
        assert!(has_reason, "{key}: {told:?}");
    }
}

#[test]
fn what_lies_outside_of_services_is_told_too() {
    for (line, part) in [
        (4, "volumes: {d: {labels: {a: b}}}"),
        (4, "volumes: {d: {driver: nfs}}"),
        (4, "volumes: {d: {driver_opts: {type: nfs}}}"),
        (4, "networks: {n: {name: own}}"),
        (4, "networks: {n: {attachable: true}}"),
        (4, "networks: {n: {driver: macvlan}}"),
        (4, "networks: {n: {ipam: {}}}"),
        (4, "networks: {n: {enable_ipv6: true}}"),
        (4, "configs: {c: {content: x, template_driver: golang}}"),
        (4, "configs: {c: {content: x, labels: {a: b}}}"),
        (4, "secrets: {c: {environment: SET, driver: vault}}"),
        (4, "secrets: {c: {external: true}}"),
        (4, "models: {m: {model: x}}"),
        (4, "unheard_of: 1"),
    ] {
        let kind = part.split(':').next().unwrap_or_default();
        let uses = match kind {
            "volumes" => "volumes: ['d:/d']",
            "networks" => "networks: [n]",
            "configs" => "configs: [c]",
            "secrets" => "secrets: [c]",
            _ => "user: me",
        };
        let text = format!("services:\n  a: {{image: 'x:1', restart: always, {uses}}}\n\n{part}\n");
        let told = match with(&text, &NoFiles, &[]) {
            Ok(composed) => composed.hints,
            Err(problems) => problems,
        };
        assert!(told.iter().any(|one| one.line == line && one.what.len() > 25), "{part}: {told:?}");
    }
    // A name of the writer's own choice is no key.
    let text = "x-own: 1\nservices:\n  a: {image: 'x:1', restart: always, x-own: 1}\n";
    assert_eq!(with(text, &NoFiles, &[]).expect("read").hints, []);
    let near = with("services:\n  a: {image: 'x:1', volums: ['d:/d']}\n", &NoFiles, &[]).expect_err("unknown");
    assert!(near[0].what.contains("`volumes` is meant?"), "{near:?}");
}

/// Whatever of `build` the specification has and we do not.
#[test]
fn nothing_of_a_build_is_left_out_in_silence() {
    for key in [
        "additional_contexts: {a: ./a}",
        "cache_from: [x]",
        "cache_to: [x]",
        "entitlements: [network.host]",
        "extra_hosts: ['a:1.1.1.1']",
        "isolation: default",
        "network: host",
        "no_cache: true",
        "no_cache_filter: [x]",
        "platforms: [linux/arm64]",
        "privileged: true",
        "provenance: true",
        "pull: true",
        "sbom: true",
        "secrets: [x]",
        "shm_size: 64m",
        "ssh: [default]",
        "tags: ['x:1']",
        "ulimits: {nofile: 1}",
        "unheard_of: 1",
    ] {
        let text = format!("services:\n  a:\n    restart: always\n    build:\n      {key}\n");
        let told = match with(&text, &files(&[("Dockerfile", "FROM scratch")]), &[]) {
            Ok(composed) => composed.hints,
            Err(problems) => problems,
        };
        assert!(told.iter().any(|one| one.line == 5 && one.what.len() > 25), "{key}: {told:?}");
    }
}
