//! Compose files and what they come to: a row for each feature, and for each refusal its line.

use super::*;
use std::collections::BTreeMap;
use types::{Condition, PullPolicy, Restart, StackHealth, StackService, Transport};

fn outside(name: &str) -> Option<String> {
    match name {
        "TAG" => Some("1.2.3".into()),
        "PASSWORD" => Some("p$ss\"w{{x}}".into()),
        _ => None,
    }
}

fn ask<T>(text: &str, files: &dyn Files, profiles: &[&str], then: impl FnOnce(&Ask<'_>) -> T) -> T {
    let profiles: Vec<String> = profiles.iter().map(|one| (*one).to_owned()).collect();
    then(&Ask {
        text,
        files,
        variable: &outside,
        template: None,
        profiles: &profiles,
    })
}

fn composed(text: &str) -> Composed {
    ask(text, &NoFiles, &[], |ask| {
        read(ask).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
    })
}

/// A file with one service that has these keys.
fn one(keys: &str) -> String {
    let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
    format!("services:\n  web:\n    image: nginx:1.27\n    restart: always\n{keys}")
}

fn web(keys: &str) -> StackService {
    composed(&one(keys)).stack.services.remove(0)
}

fn refused(text: &str) -> Vec<Notice> {
    ask(text, &NoFiles, &[], |ask| read(ask).expect_err(text))
}

#[track_caller]
fn check_refused(text: &str, line: u32, words: &str) {
    let problems = refused(text);
    assert!(
        problems.iter().any(|one| one.line == line && one.what.contains(words)),
        "{text}\nline {line}: {words} is not in {problems:?}"
    );
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

#[test]
fn processes() {
    assert_eq!(web("command: run -a 'b c'").command, Some(owned(&["run", "-a", "b c"])));
    assert_eq!(web("command: [run, \"b c\"]").command, Some(owned(&["run", "b c"])));
    assert_eq!(web("command: []").command, Some(vec![]));
    assert_eq!(web("command:").command, None);
    assert_eq!(web("entrypoint: /x").entrypoint, Some(owned(&["/x"])));
    assert_eq!(web("stop_grace_period: 1m").grace_millis, Some(60_000));
    assert_eq!(web("pull_policy: always").pull, PullPolicy::Always);
    assert_eq!(web("user: \"1000:1000\"").runtime.user.as_deref(), Some("1000:1000"));
}

#[test]
fn environments() {
    let pairs = |keys: &str| web(keys).environment.into_iter().collect::<Vec<_>>();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        pairs("environment: {A: 1, B: true, C: \"x y\"}"),
        [pair("A", "1"), pair("B", "true"), pair("C", "x y")]
    );
    assert_eq!(
        pairs("environment: [A=1=2, B=, TAG, GONE]"),
        [pair("A", "1=2"), pair("B", ""), pair("TAG", "1.2.3")]
    );
    assert_eq!(pairs("environment:\n  A: ${PASSWORD}"), [pair("A", "p$ss\"w{{x}}")]);
    assert_eq!(pairs("environment:\n  TAG:"), [pair("TAG", "1.2.3")]);
    assert_eq!(
        pairs("environment: {A: 0010, B: 1.10, C: 0x1F, D: 1_000}"),
        [pair("A", "0010"), pair("B", "1.10"), pair("C", "0x1F"), pair("D", "1_000")]
    );
}

#[test]
fn ports_and_networks() {
    let service = web("ports: [\"8080:80\", 443, \"53:53/udp\"]\nexpose: [9000]");
    let shown: Vec<_> = service
        .ports
        .iter()
        .map(|port| (port.target, port.published, port.protocol))
        .collect();
    use Transport::{Tcp, Udp};
    assert_eq!(
        shown,
        [(80, Some(8080), Tcp), (443, None, Tcp), (53, Some(53), Udp), (9000, None, Tcp)]
    );
    let service = web("ports:\n  - target: 80\n    published: \"8080\"\n    protocol: tcp");
    assert_eq!(service.ports[0].published, Some(8080));
    assert_eq!(web("container_name: old-name").aliases, ["old-name"]);
    let text = "services:\n  a:\n    image: x:1\n    restart: always\n    networks:\n      back: {aliases: [db]}\nnetworks:\n  back:\n";
    assert_eq!(composed(text).stack.services[0].aliases, ["db"]);
}

#[test]
fn limits() {
    let service = web("deploy:\n  replicas: 3\n  resources:\n    limits: {memory: 256M, cpus: '0.5', pids: 100}");
    assert_eq!(service.replicas, 3);
    assert_eq!(service.limits.memory_bytes, Some(256 << 20));
    assert_eq!(service.limits.cpu_millis, Some(500));
    assert_eq!(service.limits.pids, Some(100));
    let service = web("mem_limit: 64m\ncpus: 1.5\nscale: 2");
    assert_eq!(
        (service.limits.memory_bytes, service.limits.cpu_millis, service.replicas),
        (Some(64 << 20), Some(1500), 2)
    );
}

#[test]
fn the_order_of_an_update() {
    for (keys, stops_first) in [
        ("", false),
        ("deploy: {update_config: {order: stop-first, delay: 5s}}", true),
        ("deploy: {update_config: {order: start-first}}", false),
        ("deploy: {update_config: {parallelism: 2}}", false),
    ] {
        assert_eq!(web(keys).stops_first, stops_first, "{keys}");
    }
}

#[test]
fn deploy_goes_over_the_older_keys_wherever_it_stands() {
    let deploy = "deploy: {replicas: 3, resources: {limits: {memory: 64M}}, restart_policy: {condition: on-failure}}";
    let older = "scale: 2\nmem_limit: 32m\nrestart: \"no\"";
    for keys in [format!("{deploy}\n{older}"), format!("{older}\n{deploy}")] {
        let text = one(&keys).replace("    restart: always\n", "");
        let service = composed(&text).stack.services.remove(0);
        assert_eq!((service.replicas, service.limits.memory_bytes), (3, Some(64 << 20)), "{keys}");
        assert_eq!(service.restart, Restart::OnFailure { times: None }, "{keys}");
    }
}

/// Docker Compose reads the words of `restart` in a restart policy too.
#[test]
fn conditions_of_a_restart_policy() {
    for (policy, expected) in [
        ("{}", Restart::Always),
        ("{delay: 5s}", Restart::Always),
        ("{condition: any}", Restart::Always),
        ("{condition: always}", Restart::Always),
        ("{condition: unless-stopped}", Restart::Always),
        ("{condition: none}", Restart::No),
        ("{condition: \"no\"}", Restart::No),
        ("{condition: on-failure, max_attempts: 3}", Restart::OnFailure { times: Some(3) }),
    ] {
        assert_eq!(web(&format!("deploy: {{restart_policy: {policy}}}")).restart, expected, "{policy}");
    }
    check_refused(&one("deploy: {restart_policy: {condition: often}}"), 5, "`often` is not one of");
}

#[test]
fn health_checks() {
    let StackHealth::Check(check) = web("healthcheck:\n  test: [CMD, pg_isready]\n  interval: 5s\n  retries: 4").health else {
        panic!("a check")
    };
    assert_eq!(
        (check.test, check.interval_millis, check.retries),
        (owned(&["CMD", "pg_isready"]), Some(5000), Some(4))
    );
    let StackHealth::Check(check) = web("healthcheck: {test: curl localhost}").health else {
        panic!("a check")
    };
    assert_eq!(check.test, owned(&["CMD-SHELL", "curl localhost"]));
    assert_eq!(web("healthcheck: {disable: true}").health, StackHealth::Off);
    assert_eq!(web("healthcheck: {test: [NONE]}").health, StackHealth::Off);
    assert_eq!(web("").health, StackHealth::Image);
}

#[test]
fn volumes_and_files() {
    let text = "services:
  db:
    image: postgres:15
    restart: always
    volumes:
      - data:/var/lib/postgresql/data
      - /scratch
      - type: volume
        source: data
        target: /again
        read_only: true
    tmpfs: [\"/run:size=16m\", /tmp]
    configs:
      - app
      - {source: app, target: /etc/app.ini, mode: 0440, uid: '999'}
    secrets: [token]
volumes:
  data:
  unused:
configs:
  app: {content: \"tag=${TAG}\\n\"}
secrets:
  token: {environment: PASSWORD}
";
    let stack = composed(text).stack;
    assert_eq!(
        stack.volumes.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(),
        ["data", "db-scratch"]
    );
    let db = &stack.services[0];
    assert_eq!(
        db.mounts
            .iter()
            .map(|mount| (mount.path.as_str(), mount.read_only))
            .collect::<Vec<_>>(),
        [("/var/lib/postgresql/data", false), ("/scratch", false), ("/again", true)]
    );
    assert_eq!(db.runtime.tmpfs.get("/run").map(String::as_str), Some("size=16m"));
    let files: Vec<_> = db
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.content.as_str(), file.mode, file.uid))
        .collect();
    assert_eq!(
        files,
        [
            ("/app", "tag=1.2.3\n", 0o444, 0),
            ("/etc/app.ini", "tag=1.2.3\n", 0o440, 999),
            ("/run/secrets/token", "p$ss\"w{{x}}", 0o444, 0)
        ]
    );
}

#[test]
fn services_start_after_those_they_need() {
    let text = "services:
  web:
    image: web:1
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
      extra: {condition: service_started, required: false}
  migrate: {image: web:1, depends_on: [db]}
  db: {image: db:1}
  extra: {image: e:1, profiles: [more]}
";
    let stack = composed(text).stack;
    assert_eq!(
        stack.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        ["db", "migrate", "web"]
    );
    assert!(stack.service("migrate").is_some_and(StackService::runs_once));
    assert!(stack.service("db").is_some_and(|service| !service.runs_once()));
    let conditions: Vec<_> = stack.services[2].depends_on.iter().map(|one| one.condition).collect();
    assert_eq!(conditions, [Condition::Healthy, Condition::Completed]);
    let with = ask(text, &NoFiles, &["more"], |ask| read(ask).expect("read"));
    assert_eq!(with.stack.services.len(), 4);
    let all = ask(text, &NoFiles, &["*"], |ask| read(ask).expect("read"));
    assert_eq!(all.stack.services.len(), 4);
}

#[test]
fn anchors_fragments_and_extensions() {
    let text = "x-base: &base
  restart: always
  environment: &env {A: 1}
services:
  one:
    <<: *base
    image: x:${TAG}
  two:
    <<: *base
    image: x:1
    environment:
      <<: *env
      B: 2
    x-note: mine
";
    let stack = composed(text).stack;
    assert_eq!(stack.services[0].image.as_deref(), Some("x:1.2.3"));
    assert_eq!(stack.services[1].environment.len(), 2);
}

fn files() -> BTreeMap<String, String> {
    [
        ("base.yaml", "services:\n  web:\n    image: base:1\n    restart: always\n    environment: [A=base, B=base]\n    ports: ['80']\n    command: [old]\n"),
        ("db/compose.yaml", "services:\n  db:\n    image: db:${DB_TAG:-0}\n    restart: always\n    env_file: db.env\n    volumes: ['d:/d', './init.sql:/init.sql:ro']\nvolumes:\n  d:\n"),
        ("db/db.env", "USER_NAME=ada\nGREETING=\"hi $USER_NAME\"\n"),
        ("db/.env", "DB_TAG=16\n"),
        ("db/init.sql", "select 1;\n"),
        ("circle.yaml", "include: [circle.yaml]\nservices:\n  a: {image: x:1}\n"),
        ("app/Dockerfile", "FROM scratch\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into()
}

#[test]
fn extends_and_include() {
    let text = "include:
  - path: db/compose.yaml
    env_file: db/.env
services:
  web:
    extends: {file: base.yaml, service: web}
    environment: {B: own}
    ports: ['443']
    command: [new]
  again:
    extends: web
    image: other:1
";
    let stack = ask(text, &files(), &[], |ask| read(ask).expect("read")).stack;
    let web = stack.service("web").expect("there");
    assert_eq!(web.image.as_deref(), Some("base:1"));
    assert_eq!(
        web.environment,
        BTreeMap::from([("A".into(), "base".into()), ("B".into(), "own".into())])
    );
    assert_eq!(web.ports.len(), 2);
    assert_eq!(web.command, Some(owned(&["new"])));
    let again = stack.service("again").expect("there");
    assert_eq!((again.image.as_deref(), again.environment.len()), (Some("other:1"), 2));
    let db = stack.service("db").expect("there");
    assert_eq!(db.image.as_deref(), Some("db:16"));
    assert_eq!(db.environment.get("GREETING").map(String::as_str), Some("hi ada"));
    assert_eq!(db.files[0].content, "select 1;\n");
}

#[test]
fn builds() {
    let text = "services:\n  app:\n    restart: always\n    build: {context: ./app, args: [A=1, TAG], target: run}\n  two: {build: app, restart: always}\n";
    let stack = ask(text, &files(), &[], |ask| read(ask).expect("read")).stack;
    let build = stack.services[0].build.as_ref().expect("a build");
    assert_eq!((build.context.as_str(), build.target.as_deref()), ("./app", Some("run")));
    assert_eq!(
        build.arguments,
        BTreeMap::from([("A".into(), "1".into()), ("TAG".into(), "1.2.3".into())])
    );
    assert_eq!(stack.services[1].build.as_ref().expect("a build").context, "app");
}

#[test]
fn refusals_have_their_line() {
    for (keys, line, words) in [
        ("imagee: x", 5, "`image` is meant?"),
        ("nonsense: x", 5, "no key `nonsense`"),
        ("volumes: [data:/data]", 2, "not among the `volumes`"),
        ("depends_on: [db]", 5, "`db`, which is not there"),
        ("networks: [back]", 5, "not among the `networks`"),
        ("configs: [x]", 5, "not among the `configs`"),
        ("command: \"a 'b\"", 5, "not closed"),
        ("mem_limit: lots", 5, "not a size"),
        ("mem_limit: 1m", 5, "less than the 6m"),
        ("environment: 3", 5, "takes a list"),
        ("environment:\n  A: [1]", 6, "takes a text"),
        ("ports: ['99999']", 5, "not a port"),
        ("healthcheck: {test: [curl]}", 5, "begins with CMD"),
        ("gpus: all", 5, "graphics"),
        ("volumes_from: [x]", 5, "named volume"),
        ("network_mode: service:x", 5, "not supported"),
        ("env_file: x.env", 5, "comes alone"),
        ("build: .", 5, "no files to build from"),
        ("environment: {A: '${1}'}", 5, "names no variable"),
        ("environment: {A: '${X:?say why}'}", 5, "say why"),
        ("volumes: ['./x:/x']", 5, "comes alone"),
        ("volumes: ['../x:/x']", 5, "leads out"),
        ("labels: {serverkit.app: x}", 5, "panel's own"),
        ("deploy: {mode: global}", 5, "not supported"),
        ("deploy: {replicas: 99}", 5, "from 0 to 50"),
        ("read_only: true\nconfigs: [c]", 2, "read_only"),
    ] {
        let text = format!("{}configs: {{c: {{content: x}}}}\n", one(keys));
        check_refused(&text, line, words);
    }
    check_refused("services: {a: {image: x:1, restart: sometimes}}", 1, "not one of no");
    check_refused("", 1, "empty");
    check_refused("- a", 1, "must be a mapping");
    check_refused("version: '3'", 0, "no `services`");
    check_refused("services:\n  a: {}\n", 2, "neither `image` nor `build`");
    check_refused(
        "services:\n  a: {image: x:1, depends_on: [b]}\n  b: {image: x:1, depends_on: [a]}\n",
        2,
        "in a circle",
    );
    check_refused("services:\n  a: {image: x:1, extends: {service: a}}\n", 2, "circle");
    check_refused("services:\n  a: {image: x:1}\nservice:\n  b: 1\n", 3, "`services` is meant?");
    check_refused("services:\n  a: {image: 'UPPER:1'}\n", 2, "image");
    check_refused("services:\n  -x: {image: x:1}\n", 2, "no name for a service");
    check_refused(
        "services:\n  a: {image: x:1, volumes: ['d:/d']}\nvolumes:\n  d: {driver: nfs}\n",
        4,
        "driver",
    );
    check_refused(
        "services:\n<<<<<<< mine\n  a: {image: x:1}\n=======\n  a: {image: x:2}\n>>>>>>> theirs\n",
        2,
        "a conflict is not settled",
    );
    let circle = ask("include: [circle.yaml]\nservices: {b: {image: x:1}}", &files(), &[], |ask| {
        read(ask).expect_err("a circle")
    });
    assert!(
        circle
            .iter()
            .any(|one| one.file == "circle.yaml" && one.what.contains("too deeply")),
        "{circle:?}"
    );
}

#[test]
fn what_is_wrong_is_told_once() {
    for (text, words) in [
        (
            "services:\n  a:\n    restart: always\n    image: x:${NO_SUCH:?which one}\n",
            "NO_SUCH must be set: which one",
        ),
        (
            "services:\n  a: {image: 'x:${NO_SUCH:?which one}', restart: always}\n",
            "NO_SUCH must be set: which one",
        ),
        ("services:\n  a:\n    image: NO SUCH\n", "image: must be an image reference"),
    ] {
        let problems = refused(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].what.contains(words), "{problems:?}");
        assert!(!problems[0].what.contains("image: image"), "{problems:?}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let problems = refused("services:\n  a: {image: x:1, gpus: all}\n  b: {image: y:1, mem_limit: x}\n");
    assert_eq!(problems.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn what_reaches_the_host_is_named() {
    let rights = |keys: &str| -> Vec<&'static str> { composed(&one(keys)).rights.iter().map(|right| right.right).collect() };
    assert_eq!(rights("privileged: true"), ["privileged"]);
    assert_eq!(rights("privileged: false"), [""; 0]);
    assert_eq!(rights("network_mode: host"), ["host_network"]);
    assert_eq!(
        rights("volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']"),
        ["docker_socket"]
    );
    assert_eq!(rights("volumes: ['/etc:/etc']"), ["host_paths"]);
    assert_eq!(rights("volumes: [{type: bind, source: /etc, target: /etc}]"), ["host_paths"]);
    assert_eq!(rights("devices: ['/dev/ttyUSB0:/dev/ttyUSB0']"), ["devices"]);
    assert_eq!(rights("cap_add: [SYS_ADMIN, CHOWN]"), ["capabilities"]);
    assert_eq!(rights("cap_add: [cap_net_admin]"), ["capabilities"]);
    assert_eq!(rights("cap_add: [CAP_NET_ADMIN]"), ["capabilities"]);
    assert_eq!(rights("pid: host\nipc: host"), ["host_namespaces", "host_namespaces"]);
    assert_eq!(
        rights("security_opt: ['seccomp:unconfined', 'no-new-privileges:true']"),
        ["security_options"]
    );
}

#[test]
fn what_is_taken_differently_is_hinted_at() {
    let hints = |text: &str| composed(text).hints;
    let of = |keys: &str| hints(&one(keys)).into_iter().map(|hint| (hint.line, hint.what)).collect::<Vec<_>>();
    assert_eq!(of("logging: {driver: json-file}")[0].0, 5);
    assert!(of("volumes: [/data]")[0].1.contains("web-data"));
    assert!(of("annotations: {a: b}")[0].1.contains("goes into `labels`"));
    let of_ports = |ports: &str| of(&format!("ports: {ports}"));
    for (ports, published) in [
        ("[\"8080:80\"]", "8080"),
        ("[\"53:53/udp\"]", "53"),
        ("[\"127.0.0.1:8001:80\"]", "8001"),
        ("[\"9000-9002:80-82\"]", "9000"),
        ("[{target: 80, published: 8443}]", "8443"),
    ] {
        let told = of_ports(ports);
        let words = format!("port {published} of the server is not opened");
        let is_it = |(line, what): &&(u32, String)| *line == 5 && what.contains(&words) && what.contains("`serverkit port open`");
        assert_eq!(told.iter().filter(is_it).count(), 1, "{ports}: {told:?}");
    }
    assert_eq!(of_ports("[80, {target: 81}, {target: 82, mode: ingress}]"), []);
    let host = of_ports("[{target: 80, mode: host}]");
    assert!(host.len() == 1 && host[0].1.contains("`mode: host` is left out"), "{host:?}");
    // What a template publishes is opened when it is installed.
    let text = one("ports: [\"{{ port }}:80\"]");
    let installed = read(&Ask {
        text: &text,
        files: &NoFiles,
        variable: &|_| None,
        template: Some(&|_| Ok("2222".into())),
        profiles: &[],
    });
    assert_eq!(installed.expect("read").hints, []);
    assert!(of("environment: {A: $GONE}")[0].1.contains("GONE is not set"));
    assert!(
        hints("version: '3'\nservices: {a: {image: x:1, restart: always}}")[0]
            .what
            .contains("version")
    );
    assert!(hints("services: {a: {image: x:1}}")[0].what.contains("kept running"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}|(services:|\n  |- |\\[|\\]|\\{|\\}|image|: |&a |\\*a|<<|\\$\\{|\"|'|#|x){0,60}") {
        let _ = ask(&text, &NoFiles, &[], read);
    }
}
