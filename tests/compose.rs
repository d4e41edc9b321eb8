//! Compose files and the marketplace, from the file to what runs: order, health, what stays when a file changes, the way
//! back, the way out without leftovers; and every refusal in words.

use crate::{
    deploy::text,
    engine::{mounted, objects},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use testkit::{Load, TestPanel, docker, docker_host, eventually, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

/// Nine services: a database with data, a cache, work that is done once, a site, replicas, and what waits for them.
const NINE: &str = r#"
x-idle: &idle
  image: debian:bookworm-slim
  restart: always
  command: [sleep, infinity]
  stop_grace_period: 1s
  deploy: {resources: {limits: {memory: 32m}}}
services:
  web:
    image: nginx:1.22
    restart: always
    depends_on:
      migrate: {condition: service_completed_successfully}
      cache: {condition: service_healthy}
    ports: ["8080:80"]
    configs: [{source: page, target: /usr/share/nginx/html/index.html}]
    deploy: {resources: {limits: {memory: 64m}}}
  db:
    image: postgres:15
    restart: always
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: "${PASSWORD:?needed}"}
    volumes: [data:/var/lib/postgresql/data]
    healthcheck: {test: [CMD, pg_isready, -h, 127.0.0.1, -U, shop], interval: 1s, timeout: 5s, retries: 30}
    deploy: {resources: {limits: {memory: 256m}}}
  cache:
    image: redis:7
    restart: always
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1s, retries: 30}
    tmpfs: [/data]
    deploy: {resources: {limits: {memory: 64m}}}
  migrate:
    image: postgres:15
    restart: "no"
    depends_on: {db: {condition: service_healthy}}
    environment: {PGPASSWORD: "${PASSWORD}"}
    command: [psql, -h, db, -U, shop, -c, "create table if not exists done (at timestamptz)"]
  api:
    <<: *idle
    deploy: {replicas: 2, resources: {limits: {memory: 32m}}}
    depends_on: [db]
  one: *idle
  two: *idle
  three: *idle
  late:
    <<: *idle
    depends_on: [web, one]
volumes:
  data:
configs:
  page: {content: "${GREETING:-hello} from compose\n"}
"#;

fn app(name: &str, compose: &str) -> Value {
    json!({
        "name": name,
        "source": {"kind": "compose", "compose": compose},
        "domains": [format!("{name}.test")],
        "variables": [{"key": "PASSWORD", "value": "p$ss \"w\" {{x}}", "secret": true}],
        "grace_seconds": 2,
    })
}

/// Containers of an app by service: id and whether it runs.
pub fn containers(app: &str) -> Vec<(String, String, String)> {
    let filter = format!("label=serverkit.app={app}");
    let format = r#"{{.Label "serverkit.service"}} {{.ID}} {{.State}}"#;
    let lines = docker(&docker_host(), &["ps", "-a", "--filter", &filter, "--format", format]).unwrap();
    let mut all: Vec<_> = lines
        .lines()
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut next = || words.next().unwrap_or_default();
            (next(), next(), next())
        })
        .collect();
    all.sort();
    all
}

/// The container of a service: the one that runs, for what it has replaced may still be there.
pub fn id_of(all: &[(String, String, String)], service: &str) -> String {
    let of_it = all.iter().filter(|(name, ..)| name == service);
    let found = of_it.min_by_key(|(.., state)| state != "running");
    found.unwrap_or_else(|| panic!("no {service} in {all:?}")).1.clone()
}

pub async fn says(panel: &TestPanel, host: &str, wanted: &str) {
    eventually_ok(&format!("{host} says {wanted:?}"), SOON, || async {
        let reply = panel.visit(host, "/").await;
        match reply.text().contains(wanted) {
            true => Ok(()),
            false => Err(format!("{} {}", reply.status, reply.text())),
        }
    })
    .await
}

#[tokio::test]
async fn docker_nine_services_come_change_go_back_and_go() {
    let panel = TestPanel::docker().await;
    let before = objects();
    let made = panel.create_app(app("shop", NINE)).await;
    let id = text(&made, "id");
    let first = panel.newest("shop").await["id"].as_str().unwrap().to_owned();
    panel.live(&first).await;
    says(&panel, "shop.test", "hello from compose").await;
    let log = panel.build_log(&first).await;
    assert!(log.contains("migrate: waiting for db"), "{log}");
    assert!(!log.contains("p$ss"), "no password in the log: {log}");
    nine_are_in_the_order_of_their_start(&panel).await;

    let old = containers(&id);
    assert_eq!(old.len(), 10, "two of the api: {old:?}");
    let organization = organization_of(&id_of(&old, "web"));
    let there: Vec<String> = objects()
        .into_iter()
        .filter(|(_, owner)| *owner == organization)
        .map(|(object, _)| object)
        .collect();
    let count = |kind: &str| there.iter().filter(|one| one.starts_with(kind)).count();
    assert_eq!((count("network "), count("volume ")), (2, 1), "{there:?}");
    containers_are_as_the_file_says(&old);
    each_is_seen_by_itself(&panel).await;
    let mut volumes = volumes_of(&old);

    let first_release = only_the_site_is_made_anew(&panel, &id, &old).await;
    volumes.append(&mut volumes_of(&containers(&id)));
    what_cannot_come_up_changes_nothing(&panel).await;
    all_of_it_goes_back(&panel, &first_release).await;
    a_lost_database_comes_back(&id).await;

    panel.delete("/api/v1/apps/shop").await.expect(204);
    eventually("its containers stop", SOON, || async { containers(&id).is_empty().then_some(()) }).await;
    panel
        .post(&format!("/api/v1/apps/{id}/purge"), json!({"volumes": true}))
        .await
        .expect(204);
    // Another run may use the same engine; volumes that came with an image have no owner.
    let left: Vec<String> = objects()
        .into_iter()
        .filter(|(object, owner)| *owner == organization || volumes.contains(object))
        .map(|(object, _)| object)
        .filter(|object| !before.contains_key(object))
        .collect();
    // The network of the environment stays for the next app.
    assert!(left.len() == 1 && left[0].starts_with("network "), "left {left:?}");
}

pub fn organization_of(container: &str) -> String {
    let format = r#"{{index .Config.Labels "serverkit.organization"}}"#;
    docker(&docker_host(), &["inspect", "--format", format, container]).unwrap()
}

/// Those that the containers mount, in the words of [`objects`].
fn volumes_of(all: &[(String, String, String)]) -> BTreeSet<String> {
    let names = all.iter().flat_map(|(_, container, _)| mounted(container));
    names.map(|name| format!("volume {name}")).collect()
}

async fn nine_are_in_the_order_of_their_start(panel: &TestPanel) {
    let services = panel.list("/api/v1/apps/shop/services").await;
    let names: Vec<String> = services.iter().map(|one| text(one, "name")).collect();
    let place = |name: &str| names.iter().position(|one| one == name).unwrap();
    assert_eq!(names.len(), 9);
    assert!(
        place("db") < place("migrate") && place("migrate") < place("web") && place("web") < place("late"),
        "{names:?}"
    );
    let main: Vec<&Value> = services.iter().filter(|one| one["main"] == true).collect();
    assert_eq!((main.len(), text(main[0], "name").as_str()), (1, "web"));
}

/// Nothing is published, the password came through whole, and each has its own limits.
fn containers_are_as_the_file_says(all: &[(String, String, String)]) {
    let ports = docker(&docker_host(), &["port", &id_of(all, "web")]).unwrap();
    assert_eq!(ports.trim(), "");
    let inside = docker(&docker_host(), &["exec", &id_of(all, "db"), "printenv", "POSTGRES_PASSWORD"]).unwrap();
    assert_eq!(inside.trim_end(), "p$ss \"w\" {{x}}");
    for (service, bytes) in [("web", 64 << 20), ("db", 256 << 20), ("one", 32 << 20)] {
        let format = "{{.HostConfig.Memory}}";
        let limit = docker(&docker_host(), &["inspect", "--format", format, &id_of(all, service)]).unwrap();
        assert_eq!(limit.trim(), bytes.to_string(), "{service}");
    }
}

/// A terminal in each of two services, for they are other programs; one service's log, and a command in one service.
async fn each_is_seen_by_itself(panel: &TestPanel) {
    let terminal = |service: &str| format!("/api/v1/apps/shop/terminal?service={service}");
    let mut cache = panel.socket(&terminal("cache")).await;
    cache.send_bytes(b"redis-cli ping; echo $((40+2))-end\n").await;
    assert!(cache.until("42-end").await.contains("PONG"));
    cache.close().await;
    let mut database = panel.socket(&format!("{}&command=psql&command=--version", terminal("db"))).await;
    database.until("psql (PostgreSQL) 15").await;
    database.close().await;
    let lines = panel.get("/api/v1/apps/shop/logs?service=db").await.expect(200).text();
    assert!(lines.contains("database system is ready") && !lines.contains("nginx"), "{lines}");
    let said = panel
        .cli(&["ssh", "shop", "--service", "db", "--", "printenv", "POSTGRES_USER"])
        .await;
    assert!(said.code == 0 && said.stdout.trim() == "shop", "{said:?}");
}

/// Changes what the site says. Answers the release from before.
async fn only_the_site_is_made_anew(panel: &TestPanel, id: &str, old: &[(String, String, String)]) -> String {
    let set = json!({"set": [{"key": "GREETING", "value": "good day"}]});
    panel.patch("/api/v1/apps/shop/variables", set).await.expect(200);
    let second = panel.deploy("shop").await;
    panel.live(&second).await;
    says(panel, "shop.test", "good day from compose").await;
    eventually("the old site goes", SOON, || async { (containers(id).len() == 10).then_some(()) }).await;
    let new = containers(id);
    assert_eq!(id_of(&new, "db"), id_of(old, "db"));
    assert_eq!(id_of(&new, "cache"), id_of(old, "cache"));
    assert_ne!(id_of(&new, "web"), id_of(old, "web"));
    let releases = panel.list("/api/v1/apps/shop/releases").await;
    let (from, to) = (text(&releases[1], "id"), text(&releases[0], "id"));
    let diff = format!("/api/v1/apps/shop/diff?from={from}&to={to}");
    let diff = panel.get(&diff).await.expect(200).text();
    assert!(diff.contains("service web files") && !diff.contains("service db"), "{diff}");
    from
}

fn changed_to(file: &str) -> Value {
    json!({"source": {"kind": "compose", "compose": file}})
}

async fn what_cannot_come_up_changes_nothing(panel: &TestPanel) {
    let broken = NINE.replace("image: redis:7", "image: no-such.invalid/image:1.2");
    panel.patch("/api/v1/apps/shop", changed_to(&broken)).await.expect(200);
    let third = panel.deploy("shop").await;
    let why = panel.fails(&third).await;
    assert!(why.contains("no-such.invalid/image:1.2 of `cache`"), "{why}");
    says(panel, "shop.test", "good day from compose").await;
    let failing = NINE.replace("command: [psql,", "command: [psql, --no-such-option,");
    panel.patch("/api/v1/apps/shop", changed_to(&failing)).await.expect(200);
    let fourth = panel.deploy("shop").await;
    let why = panel.fails(&fourth).await;
    assert!(why.contains("`web` cannot start") && why.contains("`migrate` exited"), "{why}");
    says(panel, "shop.test", "good day from compose").await;
}

async fn all_of_it_goes_back(panel: &TestPanel, release: &str) {
    panel.patch("/api/v1/apps/shop", changed_to(NINE)).await.expect(200);
    let back = panel
        .post("/api/v1/apps/shop/rollback", json!({"to": release}))
        .await
        .expect(202)
        .json();
    panel.live(&text(&back, "id")).await;
    says(panel, "shop.test", "hello from compose").await;
}

/// A container that somebody took away comes back, with its data.
async fn a_lost_database_comes_back(id: &str) {
    let db = id_of(&containers(id), "db");
    docker(&docker_host(), &["rm", "-f", &db]).unwrap();
    eventually("the database comes back", SOON, || async {
        containers(id)
            .iter()
            .any(|(name, own, state)| name == "db" && *own != db && state == "running")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn docker_the_same_file_twice_and_a_domain_of_another_service() {
    let panel = TestPanel::docker().await;
    let file = |words: &str| {
        format!(
            "services:\n  web: {{image: nginx:1.22, restart: always, ports: ['8080:80'], configs: [{{source: page, target: /usr/share/nginx/html/index.html}}]}}\n  \
             console: {{image: nginx:1.22, restart: always, expose: [80]}}\nconfigs: {{page: {{content: '{words}'}}}}\n"
        )
    };
    for name in ["one", "two"] {
        let made = panel.create_app(app(name, &file(name))).await;
        panel.live(&text(&made["deployment"], "id")).await;
    }
    says(&panel, "one.test", "one").await;
    says(&panel, "two.test", "two").await;
    // Each finds its own `console`, not the other's.
    let id = text(&panel.get("/api/v1/apps/one").await.expect(200).json(), "id");
    let web = id_of(&containers(&id), "web");
    let found = docker(&docker_host(), &["exec", &web, "getent", "hosts", "console"]).unwrap();
    assert_eq!(found.lines().count(), 1, "{found}");

    let place = json!({"host": "console.test", "service": "console", "service_port": 80});
    panel.post("/api/v1/apps/one/domains", place).await.expect(201);
    says(&panel, "console.test", "nginx").await;
    let nowhere = json!({"host": "x.test", "service": "nowhere", "service_port": 80});
    panel.post("/api/v1/apps/one/domains", nowhere).await.expect(404);
    panel
        .post("/api/v1/apps/one/domains", json!({"host": "x.test", "service": "web"}))
        .await
        .expect(422);
}

/// Two sites in two services, with a domain each.
fn pair(site: &str, console: &str) -> String {
    format!(
        r#"
services:
  web:
    image: nginx:1.22
    restart: always
    ports: ["8080:80"]
    stop_grace_period: 10s
    configs: [{{source: site, target: /usr/share/nginx/html/index.html}}]
  console:
    image: nginx:1.22
    restart: always
    expose: [80]
    stop_grace_period: 10s
    healthcheck: {{test: [CMD, test, -s, /run/nginx.pid], interval: 1s, retries: 30}}
    configs: [{{source: console, target: /usr/share/nginx/html/index.html}}]
configs:
  site: {{content: 'site {site}'}}
  console: {{content: 'console {console}'}}
"#
    )
}

#[tokio::test]
async fn docker_alone_a_change_of_one_service_drops_no_request_of_any() {
    let panel = TestPanel::docker().await;
    let id = text(&panel.live_app(app("pair", &pair("0", "0"))).await, "id");
    let place = json!({"host": "console.test", "service": "console", "service_port": 80});
    panel.post("/api/v1/apps/pair/domains", place).await.expect(201);
    says(&panel, "pair.test", "site 0").await;
    says(&panel, "console.test", "console 0").await;
    let loads = ["pair.test", "console.test"].map(|host| Load::start(&panel.site(host, "/"), 150));
    // First the one that is not the main service, then the main one. The other keeps its container.
    for (site, console, kept) in [("0", "1", "web"), ("1", "1", "console")] {
        let before = id_of(&containers(&id), kept);
        let source = json!({"source": {"kind": "compose", "compose": pair(site, console)}});
        panel.patch("/api/v1/apps/pair", source).await.expect(200);
        let deployment = panel.deploy("pair").await;
        panel.live(&deployment).await;
        says(&panel, "pair.test", &format!("site {site}")).await;
        says(&panel, "console.test", &format!("console {console}")).await;
        eventually("the old container goes", SOON, || async {
            (containers(&id).len() == 2).then_some(())
        })
        .await;
        assert_eq!(id_of(&containers(&id), kept), before, "{kept} did not change");
    }
    for load in loads {
        let report = load.finish().await;
        assert!(
            report.per_second > 100.0,
            "only {:.0} requests a second were sent",
            report.per_second
        );
        assert_eq!(report.failed, 0, "{:?}", report.reasons);
    }
}

#[tokio::test]
async fn compose_files_are_refused_in_words() {
    let panel = TestPanel::start().await;
    for (compose, words) in [
        ("", "the file is empty"),
        ("services: [", "not YAML"),
        ("services:\n  a: {image: x:1}\n  b: {imagee: y}\n", "line 3"),
        (
            "services:\n  a: {image: x:1, environment: {P: '${SECRET:?is needed}'}}\n",
            "SECRET must be set: is needed",
        ),
        ("services:\n  a: {image: x:1, volumes: ['data:/data']}\n", "not among the `volumes`"),
        ("services:\n  a: {build: .}\n", "no files to build from"),
    ] {
        let body = json!({"name": "bad", "source": {"kind": "compose", "compose": compose}});
        let refused = panel.post("/api/v1/apps", body).await.expect(422).text();
        assert!(refused.contains(words), "{compose:?}: {refused}");
    }
    let body = json!({"name": "bad", "source": {"kind": "compose"}});
    panel.post("/api/v1/apps", body).await.expect(422);

    // The same while it is written, with its line; nothing is kept.
    let text = "services:\n  a: {image: x:1, restart: always}\n  b: {image: y:1, gpus: all, privileged: true}\n";
    let report = panel
        .post("/api/v1/compose/check", json!({"compose": text}))
        .await
        .expect(200)
        .json();
    assert_eq!(report["problems"][0]["line"], 3, "{report}");
    let fine = "services:\n  a: {image: x:1, restart: always, ports: ['8080:80'], volumes: ['/etc:/etc:ro']}\n";
    let report = panel
        .post("/api/v1/compose/check", json!({"compose": fine}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (report["problems"].as_array().unwrap().len(), &report["main_service"]),
        (0, &json!("a"))
    );
    assert_eq!(report["rights"][0]["right"], "host_paths", "{report}");
    let hint = &report["hints"][0];
    assert_eq!(hint["line"], 2, "{report}");
    let what = hint["what"].as_str().unwrap();
    assert!(what.contains("port 8080 of the server is not opened"), "{report}");

    // The same on the command line, which fails with what is wrong.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compose.yaml");
    let path = path.to_str().unwrap();
    std::fs::write(path, fine).unwrap();
    let told = panel.cli(&["compose", "check", path]).await;
    assert!(told.code == 0 && told.stdout.contains("a (x:1), main"), "{told:?}");
    assert!(told.stdout.contains("line 2: port 8080 of the server is not opened"), "{told:?}");
    std::fs::write(
        path,
        "services:\n  a: {image: x:1, restart: always}\n  b: {image: y:1, gpus: all}\n",
    )
    .unwrap();
    let told = panel.cli(&["compose", "check", path]).await;
    assert!(
        told.code == 1 && told.stdout.contains("line 3: `gpus` is not supported"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_file_is_looked_at_with_its_profiles() {
    let panel = TestPanel::start().await;
    let file = "services:\n  a: {image: x:1, restart: always}\n  b: {image: y:1, restart: always, profiles: [jobs]}\n";
    let source = json!({"kind": "compose", "compose": file, "profiles": ["jobs"], "main_service": "b"});
    panel
        .post("/api/v1/apps", json!({"name": "shop", "source": source, "deploy": false}))
        .await
        .expect(201);
    let services = async |more: Value| {
        let mut body = json!({"compose": file});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let report = panel.post("/api/v1/compose/check", body).await.expect(200).json();
        report["services"].as_array().unwrap().len()
    };
    assert_eq!(services(json!({})).await, 1);
    assert_eq!(services(json!({"profiles": ["jobs"]})).await, 2);
    assert_eq!(services(json!({"app": "shop"})).await, 2, "those of the app");
    assert_eq!(
        services(json!({"app": "shop", "profiles": []})).await,
        1,
        "what is asked for goes first"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compose.yaml");
    let path = path.to_str().unwrap();
    std::fs::write(path, file).unwrap();
    let told = panel.cli(&["compose", "check", path, "--app", "shop"]).await;
    assert!(told.code == 0 && told.stdout.contains("b (y:1), main"), "{told:?}");
    let told = panel.cli(&["compose", "check", path, "--profile", "*"]).await;
    assert!(told.stdout.contains("a (x:1)") && told.stdout.contains("b (y:1)"), "{told:?}");
}

#[tokio::test]
async fn what_reaches_the_host_takes_an_administrator() {
    let panel = TestPanel::start().await;
    let developer = panel.member("developer", "admin").await;
    let file = |path: &str| format!("services:\n  a: {{image: x:1, restart: always, volumes: ['{path}:/x']}}\n");
    let body = |compose: String, deploy: bool| json!({"name": "host", "source": {"kind": "compose", "compose": compose}, "deploy": deploy});
    developer.post("/api/v1/apps", body(file("/etc"), false)).await.expect(403);
    panel.post("/api/v1/apps", body(file("/etc"), false)).await.expect(201);
    // What was allowed stays allowed, more does not come with it, also not by way of a variable.
    let change = |compose: String| json!({"source": {"kind": "compose", "compose": compose}});
    developer.patch("/api/v1/apps/host", change(file("/etc"))).await.expect(200);
    developer.patch("/api/v1/apps/host", change(file("/"))).await.expect(403);
    developer
        .patch("/api/v1/apps/host", change(file("${WHERE:-/etc}")))
        .await
        .expect(200);
    developer
        .patch("/api/v1/apps/host/variables", json!({"set": [{"key": "WHERE", "value": "/root"}]}))
        .await
        .expect(200);
    let deployment = developer.post("/api/v1/apps/host/deployments", json!({})).await.expect(202).json();
    let why = panel.fails(&text(&deployment, "id")).await;
    assert!(why.contains("administrator") && why.contains("/root"), "{why}");
}

/// Templates that people were told they would find.
const PROMISED: [&str; 38] = [
    "appwrite",
    "directus",
    "drone",
    "garage",
    "ghost",
    "gitea",
    "gitlab",
    "grafana",
    "influxdb",
    "listmonk",
    "mailcow",
    "mariadb",
    "mattermost",
    "minio",
    "mongodb",
    "mysql",
    "n8n",
    "nextcloud",
    "nginx-proxy-manager",
    "payload",
    "plausible",
    "portainer",
    "postgresql",
    "prometheus",
    "redis",
    "rocketchat",
    "seaweedfs",
    "sonarqube",
    "strapi",
    "supabase",
    "traefik",
    "umami",
    "uptime-kuma",
    "vault",
    "vaultwarden",
    "verdaccio",
    "woodpecker",
    "wordpress",
];

#[tokio::test]
async fn the_catalog_answers() {
    let panel = TestPanel::start().await;
    let all = panel.list("/api/v1/catalog").await;
    let names: Vec<String> = all.iter().map(|entry| text(entry, "name")).collect();
    assert!(names.len() >= 120, "{} templates", names.len());
    for wanted in PROMISED {
        assert!(names.iter().any(|name| name == wanted), "no {wanted} in the catalog");
    }
    panel.get("/api/v1/catalog/no-such-thing").await.expect(404);
    let output = panel.cli(&["catalog", "list", "--json"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let check = panel.cli(&["catalog", "check"]).await;
    assert_eq!(check.code, 0, "{}", check.stdout);
    for entry in &all {
        let name = text(entry, "name");
        let detail = panel.get(&format!("/api/v1/catalog/{name}")).await.expect(200).json();
        assert!(!detail["services"].as_array().unwrap().is_empty(), "{name}");
        let plan = panel
            .post(&format!("/api/v1/catalog/{name}/plan"), json!({"values": {"nonsense": "1"}}))
            .await;
        assert!(plan.expect(422).text().contains("no such variable"), "{name}");
    }
}
