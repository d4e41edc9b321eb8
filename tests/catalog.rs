//! Templates of the catalog, truly run: installed through the API, asked through the edge, removed without leftovers.
//!
//! No registry of images is asked. `tests/images/catalog` makes images under the names and tags that the templates pin, of what
//! Debian, npm and PyPI have, with the variables, paths, ports and commands of the public ones. So what is proven is the
//! template; where [`RUN`] names another version than the pinned one, that version is not. What leads from one version to the next
//! is run on versions that are what they are called.

mod brokers;
mod databases;
mod further;
mod node;
mod python;
mod servers;
mod sites;
mod versions;

use crate::{
    deploy::text,
    engine::{mounted, objects},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use testkit::{Reply, TestPanel, docker, docker_host, eventually, eventually_ok, free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Templates that are run here; the version that runs, where it is not the pinned one; and what has it.
const RUN: [(&str, &str, &str); 21] = [
    ("adminer", "4.8.1", "Debian"),
    ("changedetection", "", "PyPI"),
    ("directus", "", "npm"), // its PostgreSQL is 15, its Valkey 8.0
    ("jupyterlab", "", "PyPI"),
    ("mariadb", "11.8.6", "Debian's next release"), // and 10.11 as it is pinned
    ("mosquitto", "2.0.11", "Debian"),
    ("nats", "2.9.10", "Debian"),
    ("node-red", "", "npm"),
    ("pgadmin", "", "PyPI"),
    ("phpmyadmin", "5.2.1", "Debian"),
    ("postgresql", "15", "Debian"), // under the names of 18 and 15
    ("prometheus", "2.42.0", "Debian"),
    ("rabbitmq", "3.10.8", "Debian"),
    ("redis", "7.0", "Debian"),
    ("registry", "2.8.2", "Debian"),
    ("synapse", "", "PyPI"),
    ("syncthing", "1.19.2", "Debian"),
    ("unleash", "7.4.1", "npm"), // its PostgreSQL is 15
    ("valkey", "8.0.1", "Debian's backports"),
    ("verdaccio", "", "npm"),
    ("wordpress", "6.1.9", "Debian"), // its PHP is 8.2, its MariaDB 11.8.6
];

const SOON: Duration = Duration::from_secs(60);
/// A first start on a busy machine: databases are made, tables are filled.
const FIRST_START: Duration = Duration::from_secs(300);

/// An app from the catalog that is live.
struct Installed<'a> {
    panel: &'a TestPanel,
    id: String,
    name: String,
    /// Every variable's value, also the generated ones.
    values: BTreeMap<String, String>,
    /// As shown once.
    first_login: String,
    /// What the deployment said.
    log: String,
    /// What the engine had before.
    before: BTreeMap<String, String>,
}

impl<'a> Installed<'a> {
    /// Installs it with `values` and a domain, and waits until it is live and its hint was read.
    async fn new(panel: &'a TestPanel, template: &str, values: Value) -> Installed<'a> {
        Installed::of_version(panel, template, None, values).await
    }

    /// The same with one of the versions that the template offers.
    async fn of_version(panel: &'a TestPanel, template: &str, version: Option<&str>, values: Value) -> Installed<'a> {
        let app = Installed::begin(panel, template, version, values).await;
        let deployment = panel.newest(&app.id).await;
        let over = panel.over(&text(&deployment, "id"), FIRST_START).await;
        let log = panel.build_log(&text(&deployment, "id")).await;
        assert!(over["phase"] == "live", "{template}: {}\n{log}\n{}", over["error"], app.own_logs());
        let hint = panel.post(&format!("/api/v1/apps/{}/first-login", app.id), json!({})).await;
        let first_login = text(&hint.expect(200).json(), "text");
        assert!(
            !first_login.is_empty() && !first_login.contains("{{"),
            "{template}: {first_login:?}"
        );
        let again = format!("/api/v1/apps/{}/first-login", app.id);
        panel.post(&again, json!({})).await.expect(409);
        Installed { log, first_login, ..app }
    }

    async fn begin(panel: &'a TestPanel, template: &str, version: Option<&str>, mut values: Value) -> Installed<'a> {
        assert!(RUN.iter().any(|(name, ..)| *name == template), "{template} is not in the table");
        let entry = panel.get(&format!("/api/v1/catalog/{template}")).await.expect(200).json();
        let name = text(&entry, "suggested_name");
        if entry["web"] == true {
            values["domain"] = json!(format!("{name}.test"));
        }
        let before = objects();
        let path = format!("/api/v1/catalog/{template}/install");
        let wish = json!({"values": values, "version": version});
        let app = panel.post(&path, wish).await.expect(201).json();
        assert_eq!(text(&app, "name"), name);
        let id = text(&app, "id");
        let variables = panel.list(&format!("/api/v1/apps/{id}/variables?reveal=true")).await;
        Installed {
            panel,
            values: variables.iter().map(|one| (text(one, "key"), text(one, "value"))).collect(),
            id,
            name,
            first_login: String::new(),
            log: String::new(),
            before,
        }
    }

    fn value(&self, name: &str) -> &str {
        self.values
            .get(name)
            .unwrap_or_else(|| panic!("no variable {name} in {:?}", self.values.keys()))
    }

    fn host(&self) -> String {
        format!("{}.test", self.name)
    }

    /// A page through the edge.
    async fn get(&self, path: &str) -> Reply {
        self.panel.visit(&self.host(), path).await
    }

    /// A request through the edge, to fill further; [`Installed::send`] sends it.
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.panel.anonymous().request(method, &self.panel.site(&self.host(), path))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.panel.anonymous().send(request).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(reqwest::Method::POST, path).json(&body)).await
    }

    /// Waits until the page answers 200 with these words: an app may still be filling its caches.
    async fn says(&self, path: &str, wanted: &str) -> Reply {
        eventually_ok(&format!("{} says {wanted:?} at {path}", self.name), SOON, || async {
            let reply = self.get(path).await;
            let said = reply.text();
            match reply.status.as_u16() == 200 && said.contains(wanted) {
                true => Ok(reply),
                false => Err(format!("{} {}", reply.status, said.chars().take(2000).collect::<String>())),
            }
        })
        .await
    }

    /// Runs a command in the container of a service; the answer is what it printed.
    fn run(&self, service: &str, command: &[&str]) -> String {
        let container = self
            .containers(service)
            .pop()
            .unwrap_or_else(|| panic!("no container of {service}"));
        docker(&docker_host(), &[&["exec", &container], command].concat()).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Ids of the containers of a service; of all, when it is empty.
    fn containers(&self, service: &str) -> Vec<String> {
        let app = format!("label=serverkit.app={}", self.id);
        let service = match service {
            "" => "label=serverkit.service".to_owned(),
            name => format!("label=serverkit.service={name}"),
        };
        let found = docker(&docker_host(), &["ps", "-aq", "--filter", &app, "--filter", &service]).unwrap();
        found.lines().map(str::to_owned).collect()
    }

    fn own_logs(&self) -> String {
        let log = |container: &String| docker(&docker_host(), &["logs", "--tail", "40", container]).unwrap_or_else(|error| error);
        self.containers("").iter().map(log).collect::<Vec<_>>().join("\n---\n")
    }

    /// A port of the server that leads to the main service: for what is not HTTP.
    async fn open_port(&self, target: u16) -> u16 {
        let port = free_port();
        let wish = json!({"listen": format!("tcp/{port}"), "app": self.id, "target_port": target});
        self.panel.post("/api/v1/ports", wish).await.expect(201);
        port
    }

    /// Deletes the app and its volumes: nothing of it may be left on the engine, and of others nothing may go with it.
    async fn remove(self) {
        let containers = self.containers("");
        let volumes: BTreeSet<String> = containers.iter().flat_map(|container| mounted(container)).collect();
        let format = r#"{{index .Config.Labels "serverkit.organization"}}"#;
        let organization = docker(&docker_host(), &["inspect", "--format", format, &containers[0]]).unwrap();
        self.panel.delete(&format!("/api/v1/apps/{}", self.id)).await.expect(204);
        eventually("its containers go", SOON, || async { self.containers("").is_empty().then_some(()) }).await;
        let purge = format!("/api/v1/apps/{}/purge", self.id);
        self.panel.post(&purge, json!({"volumes": true})).await.expect(204);
        let after = objects();
        // Another run may use the same engine.
        let ours = |all: &BTreeMap<String, String>| -> BTreeSet<String> {
            let own = all.iter().filter(|(_, owner)| **owner == organization);
            own.map(|(object, _)| object.clone()).collect()
        };
        let (before, now) = (ours(&self.before), ours(&after));
        let lost: Vec<&String> = before.difference(&now).collect();
        assert!(lost.is_empty(), "{}: took {lost:?} with it", self.name);
        let left: Vec<&String> = now.difference(&before).collect();
        // The environment's network comes with the first app and stays for the next one.
        let network = usize::from(before.is_empty());
        assert!(
            left.len() == network && left.iter().all(|one| one.starts_with("network ")),
            "{}: left {left:?}",
            self.name
        );
        // Volumes that came with the image have no owner.
        let left: Vec<&String> = volumes
            .iter()
            .filter(|volume| after.contains_key(&format!("volume {volume}")))
            .collect();
        assert!(left.is_empty(), "{}: left the volumes {left:?}", self.name);
        self.panel.get(&format!("/api/v1/apps/{}", self.id)).await.expect(404);
    }
}

/// Sends bytes to a port of this machine and reads until the answer contains `wanted`.
async fn speaks(port: u16, words: &[u8], wanted: &[u8]) -> Vec<u8> {
    eventually_ok(&format!("port {port} answers {wanted:?}"), SOON, || async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
        stream.write_all(words).await.map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        let read = async {
            let mut part = [0; 4096];
            while !contains(&answer, wanted) {
                match stream.read(&mut part).await {
                    Ok(0) => break,
                    Ok(length) => answer.extend_from_slice(&part[..length]),
                    Err(error) => return Err(error.to_string()),
                }
            }
            Ok(())
        };
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        match contains(&answer, wanted) {
            true => Ok(answer),
            false => Err(format!("{read:?}: {:?}", String::from_utf8_lossy(&answer))),
        }
    })
    .await
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

/// The table, the recipes and the catalog tell the same: a template that goes is missed here, not in silence.
#[tokio::test]
async fn what_is_run_is_in_the_catalog() {
    let panel = TestPanel::start().await;
    let recipes = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/images/catalog/recipes")).unwrap();
    for (name, version, source) in RUN {
        let entry = panel.get(&format!("/api/v1/catalog/{name}")).await.expect(200).json();
        let pinned = text(&entry["entry"], "version");
        assert!(
            version.is_empty() || !pinned.starts_with(&format!("{version}-")),
            "{name} {pinned} is what runs"
        );
        let of_it = recipes.lines().find(|line| line.split_whitespace().nth(2) == Some(name));
        assert!(of_it.is_some() && !source.is_empty(), "no recipe of {name}");
    }
}

#[tokio::test]
async fn a_plan_says_that_a_domain_is_taken() {
    let panel = TestPanel::start().await;
    let body = json!({"values": {"domain": "tools.example.test"}});
    panel.post("/api/v1/catalog/adminer/plan", body.clone()).await.expect(200);
    panel.post("/api/v1/catalog/adminer/install", body.clone()).await.expect(201);
    let planned = panel.post("/api/v1/catalog/phpmyadmin/plan", body.clone()).await.expect(409).json();
    let refused = panel.post("/api/v1/catalog/phpmyadmin/install", body).await.expect(409).json();
    for part in ["code", "detail", "field", "errors"] {
        assert_eq!(planned[part], refused[part], "{planned}");
    }
    assert_eq!(planned["code"], "taken", "{planned}");
    let words = text(&planned, "detail");
    assert!(words.contains("`tools.example.test` is taken by the app `adminer`"), "{words}");
    let plan = panel
        .cli(&["catalog", "install", "phpmyadmin", "-d", "tools.example.test", "--plan"])
        .await;
    assert!(plan.code != 0 && plan.stderr.contains("is taken"), "{plan:?}");
}

#[tokio::test]
async fn a_plan_fails_as_installing_would() {
    let panel = TestPanel::start().await;
    let port = free_port();
    let body = |name: &str, port: u16| json!({"name": name, "values": {"domain": format!("{name}.test"), "sync_port": port.to_string()}});
    let plan = "/api/v1/catalog/syncthing/plan";
    // Opening ports is not for everybody who may install.
    let developer = panel.member("developer", "admin").await;
    developer.post(plan, body("one", port)).await.expect(403);
    let planned = panel.post(plan, body("one", port)).await.expect(200).json();
    assert!(planned["warnings"].is_array(), "{planned}");
    panel.post("/api/v1/catalog/syncthing/install", body("one", port)).await.expect(201);
    for (mut wish, words) in [
        (body("two", port), format!("`tcp/{port}` is taken")),
        (body("one", free_port()), "`one` is taken".to_owned()),
    ] {
        // The domain of the first is taken as well, and not what is asked about.
        wish["values"]["domain"] = json!("three.test");
        let planned = panel.post(plan, wish.clone()).await.expect(409).json();
        let refused = panel.post("/api/v1/catalog/syncthing/install", wish).await.expect(409).json();
        assert_eq!(
            (&planned["code"], &planned["detail"]),
            (&refused["code"], &refused["detail"]),
            "{planned}"
        );
        assert!(text(&planned, "detail").contains(&words), "{words}: {planned}");
    }
    assert_eq!(panel.list("/api/v1/apps").await.len(), 1, "nothing was made");
}

#[tokio::test]
async fn a_licence_is_accepted_by_a_person() {
    let panel = TestPanel::start().await;
    let detail = panel.get("/api/v1/catalog/minecraft").await.expect(200).json();
    let asked = detail["variables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "accept_eula");
    let asked = asked.expect("it asks");
    assert_eq!(
        (&asked["must_accept"], &asked["required"], &asked["default"]),
        (&json!(true), &json!(true), &Value::Null)
    );
    for values in [json!({}), json!({"accept_eula": "false"})] {
        let refused = panel
            .post("/api/v1/catalog/minecraft/plan", json!({"values": values}))
            .await
            .expect(422)
            .json();
        assert!(text(&refused, "detail").contains("accept_eula: must be accepted"), "{refused}");
    }
    let shown = panel.cli(&["catalog", "show", "minecraft"]).await;
    assert!(shown.stdout.contains("(must be true)"), "{shown:?}");
    let refused = panel.cli(&["catalog", "install", "minecraft"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("must be accepted"), "{refused:?}");
    assert!(refused.stderr.contains("serverkit catalog show minecraft"), "{refused:?}");
    let plan = ["catalog", "install", "minecraft", "--set", "accept_eula=true", "--plan"];
    assert_eq!(panel.cli(&plan).await.code, 0);
}

#[tokio::test]
async fn what_an_app_is_told_of_its_memory_follows_its_size() {
    let panel = TestPanel::start().await;
    let install = ["catalog", "install", "redis", "--memory", "256m"];
    let made = panel.cli(&install).await;
    assert_eq!(made.code, 0, "{made:?}");
    let file = text(&panel.get("/api/v1/apps/redis/compose").await.expect(200).json(), "compose");
    assert!(file.contains("{{ memory_mb * 75% }}mb") && file.contains("memory: 256M"), "{file}");
    // Written down by a person it counts as well; without a limit there is nothing to take a part of.
    let check = async |file: &str| {
        let body = json!({"compose": file, "app": "redis"});
        panel.post("/api/v1/compose/check", body).await.expect(200).json()
    };
    let fine = check(&file.replace("memory: 256M", "memory: 1G")).await;
    assert_eq!((&fine["problems"], &fine["hints"]), (&json!([]), &json!([])), "{fine}");
    let without = check(&file.replace("memory: 256M", "cpus: '1'")).await;
    let problem = text(&without["problems"][0], "what");
    assert!(
        problem.contains("`memory_mb` is for Compose files in which `redis` has a memory limit"),
        "{without}"
    );
}

#[tokio::test]
async fn the_size_of_the_main_service_is_a_choice() {
    let panel = TestPanel::start().await;
    let detail = panel.get("/api/v1/catalog/adminer").await.expect(200).json();
    let usual = detail["size"]["usual"]["memory_bytes"].as_u64().unwrap();
    assert_eq!(
        (&detail["size"]["service"], &detail["size"]["least_memory_bytes"]),
        (&json!("adminer"), &json!(64 << 20))
    );
    assert!(usual > 64 << 20, "{detail}");
    let body = |memory: u64| json!({"values": {"domain": "tools.example.test"}, "limits": {"memory_bytes": memory, "cpu_millis": 500}});
    let few = panel.post("/api/v1/catalog/adminer/plan", body(32 << 20)).await.expect(422).json();
    assert_eq!(few["errors"][0]["field"], "limits.memory_bytes", "{few}");
    assert!(text(&few, "detail").contains("`adminer` needs 64 MiB of memory at least"), "{few}");
    let plan = panel.post("/api/v1/catalog/adminer/plan", body(96 << 20)).await.expect(200).json();
    assert_eq!(plan["memory_bytes"], 96 << 20, "{plan}");
    assert_eq!(plan["services"][0]["limits"]["cpu_millis"], 500, "{plan}");

    // It is in the app's own file, as if somebody had written it there, and every view says what the service has.
    let install = [
        "catalog",
        "install",
        "adminer",
        "-d",
        "tools.example.test",
        "--memory",
        "96m",
        "--cpus",
        "0.5",
    ];
    let made = panel.cli(&install).await;
    assert_eq!(made.code, 0, "{made:?}");
    let file = panel.get("/api/v1/apps/adminer/compose").await.expect(200).json();
    assert!(text(&file, "compose").contains("memory: 96M, cpus: \"0.5\""), "{file}");
    let services = panel.list("/api/v1/apps/adminer/services").await;
    assert_eq!(
        services[0]["limits"],
        json!({"memory_bytes": 96 << 20, "cpu_millis": 500, "pids": 512}),
        "{services:?}"
    );
    let shown = panel.cli(&["app", "show", "adminer"]).await;
    assert!(shown.stdout.contains("adminer: 96 MiB memory, 0.5 cores"), "{shown:?}");
    assert!(!shown.stdout.contains("512 MiB"), "{shown:?}");
}

#[tokio::test]
async fn what_answers_no_http_gets_no_domain() {
    let panel = TestPanel::start().await;
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.example.test"}))
        .await
        .expect(200);
    let detail = panel.get("/api/v1/catalog/postgresql").await.expect(200).json();
    assert_eq!((&detail["web"], &detail["port"]), (&json!(false), &json!(5432)));
    assert_eq!(detail["suggested_domain"], Value::Null);
    let asked = detail["variables"].as_array().unwrap();
    assert!(asked.iter().all(|one| one["kind"] != "domain"), "{detail}");
    let plan = panel.post("/api/v1/catalog/postgresql/plan", json!({})).await.expect(200).json();
    assert_eq!(plan["domain"], Value::Null, "{plan}");
    let given = panel.cli(&["catalog", "install", "postgresql", "-d", "db.example.test"]).await;
    assert!(given.code != 0 && given.stderr.contains("no such variable"), "{given:?}");
    let made = panel.cli(&["catalog", "install", "postgresql", "--name", "shop-db"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let hint = panel.cli(&["app", "first-login", "shop-db"]).await;
    assert!(
        hint.stdout.contains("postgres://app@shop-db:5432/app"),
        "its own name is in it: {hint:?}"
    );
    let app = panel.get("/api/v1/apps/shop-db").await.expect(200).json();
    assert_eq!((&app["url"], &app["domains"]), (&Value::Null, &json!([])), "{app}");
    assert_eq!(panel.list("/api/v1/domains").await, Vec::<Value>::new());
    // What is a web page has its name below the apps' domain still.
    panel.post("/api/v1/catalog/adminer/install", json!({})).await.expect(201);
    assert_eq!(panel.list("/api/v1/domains").await[0]["host"], "adminer.apps.example.test");
}

#[tokio::test]
async fn the_command_line_searches_and_installs_with_values() {
    let panel = TestPanel::start().await;
    for (words, first) in [
        ("wordpres", "wordpress"),
        ("vaultwraden", "vaultwarden"),
        ("uptimekuma", "uptime-kuma"),
    ] {
        let found = panel.cli(&["catalog", "search", words, "--json"]).await;
        let found: Value = serde_json::from_str(&found.stdout).unwrap();
        assert_eq!(found["items"][0]["name"], first, "{words}: {found}");
    }
    let nothing = panel.cli(&["catalog", "search", "xqzjwvxq"]).await;
    assert!(
        format!("{}{}", nothing.stdout, nothing.stderr).contains("nothing in the catalog fits"),
        "{nothing:?}"
    );
    let shown = panel.cli(&["catalog", "show", "redis"]).await;
    let asked = shown.stdout.split_once("Values for --set").expect("it says what may be set").1;
    assert!(asked.contains("policy") && asked.contains("allkeys-lru"), "{shown:?}");

    let refused = panel.cli(&["catalog", "install", "redis", "--set", "policy=often"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("policy"), "{refused:?}");
    let install = ["catalog", "install", "redis", "--name", "cache", "--set", "policy=allkeys-lru"];
    let made = panel.cli(&[&install[..], &["--set", "password=seven=quiet=otters"]].concat()).await;
    assert_eq!(made.code, 0, "{made:?}");
    let variables = panel.list("/api/v1/apps/cache/variables?reveal=true").await;
    for (key, value) in [("policy", "allkeys-lru"), ("password", "seven=quiet=otters")] {
        assert!(
            variables.iter().any(|one| one["key"] == key && one["value"] == value),
            "{key}: {variables:?}"
        );
    }
    // The same once more, beside it, with values of its own.
    assert_eq!(panel.cli(&["catalog", "install", "redis"]).await.code, 0);
    let listed = panel.cli(&["catalog", "list", "--category", "databases"]).await;
    assert!(
        listed.stdout.contains("cache (8), redis (8)") || listed.stdout.contains("redis (8), cache (8)"),
        "{listed:?}"
    );
}

#[tokio::test]
async fn the_schema_of_templates_is_published() {
    let panel = TestPanel::start().await;
    let schema = panel.anonymous().get("/api/v1/catalog/schema").await.expect(200).json();
    assert_eq!(schema["properties"]["main"]["$ref"], "#/$defs/Main", "{schema}");
    assert_eq!(schema["$defs"]["Main"]["properties"]["web"]["default"], true);
    let printed = panel.cli(&["catalog", "schema"]).await;
    assert_eq!(serde_json::from_str::<Value>(&printed.stdout).unwrap(), schema);
    // Templates are for those who signed in.
    panel.anonymous().get("/api/v1/catalog/adminer").await.expect(401);
}
