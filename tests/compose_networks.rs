//! The networks of a Compose file on a real engine: who finds whom, who is on which, what is reached from outside all the same, and that
//! nothing of them is left.

use crate::{
    compose::{containers, id_of, organization_of, says},
    deploy::text,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use testkit::{TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(90);

/// `front` and `db` meet nobody but `back`, and what `db` is on leads nowhere.
const APART: &str = r#"
x-site: &site
  image: nginx:1.22
  restart: always
  stop_grace_period: 1s
services:
  front:
    <<: *site
    ports: ["8080:80"]
    networks: [outer]
    configs: [{source: front, target: /usr/share/nginx/html/index.html}]
  back:
    <<: *site
    networks:
      outer: {aliases: [api]}
      inner: {aliases: [worker]}
  db:
    <<: *site
    expose: [80]
    networks: [inner]
    configs: [{source: db, target: /usr/share/nginx/html/index.html}]
networks:
  outer:
  inner: {internal: true}
configs:
  front: {content: the front}
  db: {content: the database}
"#;

fn shop(file: &str) -> Value {
    json!({
        "name": "shop", "source": {"kind": "compose", "compose": file, "main_service": "front"}, "domains": ["shop.test"], "grace_seconds": 2,
    })
}

async fn change(panel: &TestPanel, file: &str) {
    let source = json!({"source": {"kind": "compose", "compose": file, "main_service": "front"}});
    panel.patch("/api/v1/apps/shop", source).await.expect(200);
    let id = panel.deploy("shop").await;
    panel.live(&id).await;
}

/// Whether a service finds a name. The engine answers at once for those that there are; others it may look for elsewhere.
fn finds(app: &str, service: &str, name: &str) -> bool {
    let id = id_of(&containers(app), service);
    docker(&docker_host(), &["exec", &id, "timeout", "3", "getent", "hosts", name]).is_ok()
}

/// Waits until a connection from one service to port 80 of another, by its name, is made.
async fn reaches(app: &str, service: &str, name: &str) {
    let line = format!("exec 3<>/dev/tcp/{name}/80");
    eventually_ok(&format!("{service} reaches {name}"), SOON, || async {
        let id = id_of(&containers(app), service);
        docker(&docker_host(), &["exec", &id, "timeout", "5", "bash", "-c", &line]).map(drop)
    })
    .await;
}

/// The networks that a service is on, as the engine calls them.
fn joined(app: &str, service: &str) -> BTreeSet<String> {
    let id = id_of(&containers(app), service);
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let names = docker(&docker_host(), &["inspect", "--format", format, &id]).unwrap();
    names.split_whitespace().map(str::to_owned).collect()
}

/// All networks of the organization that an app's container is in.
fn networks(organization: &str) -> BTreeSet<String> {
    let filter = format!("label=serverkit.organization={organization}");
    let names = docker(&docker_host(), &["network", "ls", "--filter", &filter, "--format", "{{.Name}}"]).unwrap();
    names.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn docker_services_are_kept_apart_as_the_file_says() {
    let panel = TestPanel::docker().await;
    let app = text(&panel.live_app(shop(APART)).await, "id");
    let bare = app.split_once('_').unwrap().1.to_owned();
    let (outer, inner) = (format!("serverkit-{bare}.outer"), format!("serverkit-{bare}-internal.inner"));
    let before = containers(&app);
    let organization = organization_of(&id_of(&before, "front"));
    says(&panel, "shop.test", "the front").await;

    // Where two share a network they find each other, by every name that holds there; where they share none, by no name.
    for (from, to) in [
        ("front", "back"),
        ("front", "api"),
        ("back", "front"),
        ("back", "db"),
        ("db", "back"),
        ("db", "worker"),
    ] {
        reaches(&app, from, to).await;
    }
    for (from, to) in [("front", "db"), ("front", "worker"), ("db", "front"), ("db", "shop")] {
        assert!(!finds(&app, from, to), "{from} finds {to}");
    }

    // Only the main one meets other apps; the others are where the file has them and nowhere else, so that one which is only on an
    // internal network has no other way out. That the engine gives that none is its firewall's work, which the tests' engine goes without.
    let of_front = joined(&app, "front");
    assert!(of_front.len() == 2 && of_front.contains(&outer), "{of_front:?}");
    assert_eq!(joined(&app, "back"), BTreeSet::from([outer.clone(), inner.clone()]));
    assert_eq!(joined(&app, "db"), BTreeSet::from([inner.clone()]));
    let internal = docker(&docker_host(), &["network", "inspect", "--format", "{{.Internal}}", &inner]).unwrap();
    assert_eq!(internal, "true");

    // From outside, what has no way out answers all the same; and what runs once is on the networks of its service.
    let place = json!({"host": "db.test", "service": "db", "service_port": 80});
    panel.post("/api/v1/apps/shop/domains", place).await.expect(201);
    says(&panel, "db.test", "the database").await;
    for (service, found) in [("back", true), ("front", false)] {
        let words = "if timeout 3 getent hosts db >/dev/null; then echo db is there; else echo db is nowhere; fi";
        let run = panel
            .cli(&["run", "shop", "--service", service, "--", "sh", "-c", words])
            .await
            .expect(0);
        assert_eq!(run.stdout.contains("db is there"), found, "{service}: {run:?}");
        assert_eq!(run.stdout.contains("db is nowhere"), !found, "{service}: {run:?}");
    }
    let shown = panel.cli(&["app", "show", "shop"]).await.expect(0).stdout;
    assert!(shown.contains("back: inner, outer") && shown.contains("db: inner"), "{shown}");
    let table = panel.cli(&["app", "services", "shop"]).await.expect(0).stdout;
    let of_back = table.lines().find(|line| line.starts_with("back ")).unwrap_or_default();
    assert!(table.contains("NETWORKS") && of_back.contains("inner, outer"), "{table}");

    // The same file again keeps every container.
    change(&panel, APART).await;
    let ids = |all: &[(String, String, String)]| -> Vec<String> { all.iter().map(|(_, id, _)| id.clone()).collect() };
    assert_eq!(ids(&containers(&app)), ids(&before));

    // A network that the file has no more goes, and with it nothing else.
    let together = APART
        .replace("networks: [inner]", "networks: [outer]")
        .replace("      inner: {aliases: [worker]}\n", "");
    change(&panel, &together).await;
    eventually_ok("one network of the environment and one of the app are left", SOON, || async {
        let left = networks(&organization);
        match left.len() == 2 && !left.contains(&inner) && containers(&app).len() == 3 {
            true => Ok(()),
            false => Err(format!("{left:?}, {:?}", containers(&app))),
        }
    })
    .await;
    reaches(&app, "front", "db").await;

    // Back again, and then away without a trace: the network of the environment stays for the next app.
    change(&panel, APART).await;
    panel.delete("/api/v1/apps/shop").await.expect(204);
    panel
        .post(&format!("/api/v1/apps/{app}/purge"), json!({"volumes": true}))
        .await
        .expect(204);
    let left = networks(&organization);
    assert!(left.len() == 1 && !left.iter().any(|name| name.contains(&bare)), "{left:?}");
}

#[tokio::test]
async fn networks_of_a_file_are_said_before_anything_runs() {
    let panel = TestPanel::start().await;
    let look = async |file: &str| {
        let body = json!({"compose": file});
        panel.post("/api/v1/compose/check", body).await.expect(200).json()
    };
    let report = look(APART).await;
    assert_eq!(report["problems"], json!([]), "{report}");
    assert!(
        !report["hints"].to_string().contains("network"),
        "all of it is taken as it is written: {report}"
    );
    let services = report["services"].as_array().unwrap();
    let of = |name: &str| services.iter().find(|one| one["name"] == name).unwrap()["networks"].clone();
    assert_eq!(
        (of("front"), of("back"), of("db")),
        (json!(["outer"]), json!(["inner", "outer"]), json!(["inner"]))
    );
    let shared = look("services: {web: {image: 'nginx:1.22', restart: always}, db: {image: 'redis:7', restart: always}}").await;
    assert_eq!(shared["services"][0]["networks"], json!([]), "{shared}");
    let wrong = look("services: {web: {image: 'nginx:1.22', networks: [nowhere]}}").await;
    assert_eq!(wrong["problems"][0]["line"], 1, "{wrong}");
}
