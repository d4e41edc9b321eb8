//! Variables of the organization, projects, environments, apps and services: who has which, references, what they were, and
//! bringing them live.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Api, GitFixture, TestPanel, docker, docker_host, eventually};

async fn set(api: &Api, owner: &str, pairs: &[(&str, &str)]) -> testkit::Reply {
    let set: Vec<Value> = pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    api.patch(&format!("/api/v1/variables?owner={owner}"), json!({"set": set})).await
}

/// Key, value and whose it is.
async fn all(api: &Api, owner: &str) -> Vec<(String, String, String)> {
    let list = api.list(&format!("/api/v1/variables?owner={owner}&inherited=true")).await;
    list.iter()
        .map(|one| (text(one, "key"), one["value"].as_str().unwrap_or("•").to_owned(), text(one, "from")))
        .collect()
}

async fn app(panel: &TestPanel, name: &str) -> Value {
    let body = json!({"name": name, "source": {"kind": "image", "reference": "redis:7"}, "deploy": false});
    panel.create_app(body).await
}

#[tokio::test]
async fn the_nearer_one_wins() {
    let panel = TestPanel::start().await;
    let app = app(&panel, "shop").await;
    let (project, environment) = (text(&app["project"], "id"), text(&app["environment"], "id"));
    set(
        &panel,
        "organization",
        &[
            ("A", "organization"),
            ("B", "organization"),
            ("C", "organization"),
            ("D", "organization"),
        ],
    )
    .await
    .expect(200);
    set(
        &panel,
        &format!("project:{project}"),
        &[("B", "project"), ("C", "project"), ("D", "project")],
    )
    .await
    .expect(200);
    let place = format!(
        "environment:{}/{}",
        text(&app["project"], "name"),
        text(&app["environment"], "name")
    );
    set(&panel, &place, &[("C", "environment"), ("D", "environment")]).await.expect(200);
    set(&panel, "app:shop", &[("D", "app")]).await.expect(200);
    let seen = all(&panel, "app:shop").await;
    let values: Vec<(&str, &str)> = seen.iter().map(|(key, value, _)| (key.as_str(), value.as_str())).collect();
    assert_eq!(
        values,
        [("A", "organization"), ("B", "project"), ("C", "environment"), ("D", "app")]
    );
    assert_eq!(seen[0].2, "the organization");
    assert_eq!(seen[2].2, format!("environment {}", text(&app["environment"], "name")));
    // Its own alone, as ever.
    assert_eq!(panel.list("/api/v1/apps/shop/variables").await.len(), 1);
    // What the environment has, of itself and of what it is in; not of what is in it.
    let above = all(&panel, &format!("environment:{environment}")).await;
    assert_eq!(
        above.iter().map(|one| one.1.as_str()).collect::<Vec<_>>(),
        ["organization", "project", "environment", "environment"]
    );
    for (owner, status) in [
        ("nobody:x", 422),
        ("project:nothing", 404),
        ("service:shop/x", 409),
        ("organization:x", 422),
        ("app:nothing", 404),
    ] {
        set(&panel, owner, &[("A", "1")]).await.expect(status);
    }
    // Gone with its project.
    let other = panel.post("/api/v1/projects", json!({"name": "other"})).await.expect(201).json();
    set(&panel, "project:other", &[("X", "1")]).await.expect(200);
    panel.delete(&format!("/api/v1/projects/{}", text(&other, "id"))).await.expect(204);
    set(&panel, "project:other", &[("X", "1")]).await.expect(404);
}

#[tokio::test]
async fn circles_are_refused_wherever_they_begin() {
    let panel = TestPanel::start().await;
    app(&panel, "shop").await;
    let refused = set(&panel, "app:shop", &[("A", "${B}"), ("B", "${C}"), ("C", "x${A}")])
        .await
        .expect(422);
    assert!(refused.detail().contains("A → B → C → A"), "{}", refused.detail());
    assert!(panel.list("/api/v1/apps/shop/variables").await.is_empty());
    // From above: the organization knows nothing of the app's.
    set(&panel, "app:shop", &[("A", "${B}")]).await.expect(200);
    let refused = set(&panel, "organization", &[("B", "${A}")]).await.expect(422);
    assert!(refused.detail().contains("in `shop`"), "{}", refused.detail());
    // What merely looks like a reference stays as it is.
    set(&panel, "app:shop", &[("SHELL", "${HOME:-/root} $B ${missing}")])
        .await
        .expect(200);
}

/// A database is an app beside the one that uses it: its password is said once, where it is.
#[tokio::test]
async fn values_of_another_app_are_for_those_who_may_see_them() {
    let panel = TestPanel::start().await;
    app(&panel, "shop").await;
    let database = app(&panel, "db").await;
    let secret = json!({"set": [{"key": "PASSWORD", "value": "of-the-database", "secret": true}, {"key": "USER", "value": "ada"}]});
    panel.patch("/api/v1/variables?owner=app:db", secret).await.expect(200);
    // Who may not see the database's secrets gets none of them by naming them.
    let writer = panel.custom_member("writer", &["view", "configure"]).await;
    set(&writer, "app:shop", &[("URL", "pg://${db.PASSWORD}@db")]).await.expect(403);
    set(&writer, "app:shop", &[("TEXT", "${none.PASSWORD} ${self.name}")])
        .await
        .expect(200);
    set(&panel, "app:shop", &[("URL", "pg://${db.USER}:${db.PASSWORD}@db")])
        .await
        .expect(200);
    let version = |app: Value| app["updated_at"].clone();
    let before = version(panel.get("/api/v1/apps/shop").await.expect(200).json());
    // A change of the one is a change of the other.
    let preview = json!({"set": [{"key": "USER", "value": "eve"}]});
    let told = panel
        .post("/api/v1/variables/preview?owner=app:db", preview)
        .await
        .expect(200)
        .json();
    assert!(told["apps"].to_string().contains("shop"), "{told}");
    set(&panel, "app:db", &[("USER", "eve")]).await.expect(200);
    let after = version(panel.get("/api/v1/apps/shop").await.expect(200).json());
    assert_ne!(before, after);
    // In circles neither goes.
    let refused = set(&panel, "app:db", &[("BACK", "${shop.URL}"), ("PASSWORD", "${BACK}")])
        .await
        .expect(422);
    assert!(refused.detail().contains("in a circle"), "{}", refused.detail());
    // The environment may say it for all of its apps, the database too.
    let place = format!("environment:{}", text(&database["environment"], "id"));
    set(&panel, &place, &[("ALL", "pg://${db.PASSWORD}@db")]).await.expect(200);
    assert!(panel.list("/api/v1/apps/db/variables").await.iter().all(|one| one["key"] != "ALL"));
}

#[tokio::test]
async fn docker_values_of_another_app_reach_the_container() {
    let panel = TestPanel::docker().await;
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    let database = json!({
        "name": "db", "source": {"kind": "image", "reference": "redis:7"}, "domains": [], "grace_seconds": 1,
        "health": {"kind": "running"}, "variables": [{"key": "PASSWORD", "value": "of-the-database", "secret": true}],
    });
    panel.live_app(database).await;
    let mut shop = json!({
        "name": "shop", "source": {"kind": "image", "reference": "redis:7"}, "domains": [], "grace_seconds": 1, "health": {"kind": "running"},
    });
    shop["variables"] = json!([{"key": "URL", "value": "redis://:${db.PASSWORD}@db"}]);
    let shop = panel.live_app(shop).await;
    let url = |app: &Value| {
        let name = crate::deploy::containers(app).pop().expect("it runs");
        docker(&docker_host(), &["exec", &name, "printenv", "URL"])
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(url(&shop), "redis://:of-the-database@db");
    // What holds a secret is one, also where it was none when it was written.
    let releases = panel.list("/api/v1/apps/shop/releases").await;
    assert!(releases[0]["variables"].to_string().contains("\"secret\":true"), "{releases:?}");
    // Staging has a database of its own, and refers to that.
    let how = ["--no-deploy", "--set", "PASSWORD=of-staging", "--wait"];
    let wanted = ["project", "clone-environment", "default", "production", "staging"];
    panel.cli(&[&wanted[..], &how[..]].concat()).await.expect(0);
    let deployment = panel.deploy("shop@staging").await;
    panel.live(&deployment).await;
    let staging = panel.get("/api/v1/apps/shop@staging").await.expect(200).json();
    assert_eq!(url(&staging), "redis://:of-staging@db");
    let shown = panel.get("/api/v1/apps/shop@production").await.expect(200).json();
    assert_eq!(
        (url(&shown).as_str(), &shown["pending_changes"]),
        ("redis://:of-the-database@db", &json!(false))
    );
}

#[tokio::test]
async fn history_preview_and_restore() {
    let panel = TestPanel::start().await;
    app(&panel, "shop").await;
    for value in ["one", "two", "three"] {
        set(&panel, "app:shop", &[("COLOUR", value)]).await.expect(200);
    }
    let secret = json!({"set": [{"key": "TOKEN", "value": "hunter2-is-hidden", "secret": true}]});
    panel.patch("/api/v1/variables?owner=app:shop", secret).await.expect(200);
    panel
        .patch("/api/v1/variables?owner=app:shop", json!({"unset": ["COLOUR", "TOKEN"]}))
        .await
        .expect(200);
    let versions = panel.list("/api/v1/variables/history?owner=app:shop&key=COLOUR").await;
    let told: Vec<&str> = versions.iter().map(|one| one["value"].as_str().unwrap_or("removed")).collect();
    assert_eq!(told, ["removed", "three", "two", "one"]);
    assert!(!text(&versions[0], "by").is_empty());
    let hidden = panel.get("/api/v1/variables/history?owner=app:shop").await.expect(200).text();
    assert!(!hidden.contains("hunter2"), "{hidden}");
    let developer = panel.member("developer", "read").await;
    developer
        .get("/api/v1/variables/history?owner=app:shop&reveal=true")
        .await
        .expect(403);
    let shown = panel
        .get("/api/v1/variables/history?owner=app:shop&reveal=true")
        .await
        .expect(200)
        .text();
    assert!(shown.contains("hunter2-is-hidden"));
    // Looking at what is shared is told like looking at an app's.
    let shared = json!({"set": [{"key": "TOKEN", "value": "hunter4-is-hidden", "secret": true}]});
    panel.patch("/api/v1/variables?owner=organization", shared).await.expect(200);
    let seen = panel
        .get("/api/v1/variables?owner=organization&reveal=true")
        .await
        .expect(200)
        .text();
    assert!(seen.contains("hunter4"), "{seen}");
    let told = panel.get("/api/v1/audit").await.expect(200).text() + &panel.get("/api/v1/events/history").await.expect(200).text();
    assert!(told.contains("shared_secrets_revealed") && !told.contains("hunter4"), "{told}");
    // What was, is again.
    let restored = panel
        .post("/api/v1/variables/restore?owner=app:shop", json!({"version": versions[2]["id"]}))
        .await
        .expect(200)
        .json();
    assert_eq!(restored["items"][0]["value"], "two", "{restored}");
    // Of another owner it is not there.
    panel
        .post(
            "/api/v1/variables/restore?owner=organization",
            json!({"version": versions[2]["id"]}),
        )
        .await
        .expect(404);
    // Looking ahead changes nothing and shows no secret.
    let wish = json!({"set": [{"key": "COLOUR", "value": "four"}, {"key": "NEW", "value": "x"}, {"key": "KEY", "value": "hunter3", "secret": true}]});
    let preview = panel
        .post("/api/v1/variables/preview?owner=app:shop", wish)
        .await
        .expect(200)
        .json();
    let changes: Vec<(&str, Option<&str>, Option<&str>)> = preview["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["what"].as_str().unwrap(), one["from"].as_str(), one["to"].as_str()))
        .collect();
    assert_eq!(
        changes,
        [
            ("COLOUR", Some("two"), Some("four")),
            ("KEY", None, Some("set")),
            ("NEW", None, Some("x"))
        ]
    );
    assert_eq!(preview["apps"][0]["name"], "shop");
    assert_eq!(panel.list("/api/v1/apps/shop/variables").await.len(), 1);
}

#[tokio::test]
async fn by_the_command_line() {
    let panel = TestPanel::start().await;
    app(&panel, "shop").await;
    panel
        .cli(&["env", "set", "--organization", "REGION=eu", "SHARED=1"])
        .await
        .expect(0);
    panel
        .cli(&["env", "set", "shop", "SHARED=2", "URL=https://${REGION}.test"])
        .await
        .expect(0);
    let listed = panel.cli(&["env", "list", "shop", "--inherited"]).await.expect(0).stdout;
    assert!(listed.contains("the organization") && listed.contains("${REGION}"), "{listed}");
    let ahead = panel.cli(&["env", "set", "shop", "SHARED=3", "--dry-run"]).await.expect(0).stdout;
    assert!(ahead.contains("~ SHARED: 2 → 3") && ahead.contains("in: shop"), "{ahead}");
    let exported = panel.cli(&["env", "export", "--organization"]).await.expect(0).stdout;
    assert!(exported.contains("REGION=eu"), "{exported}");
    panel.cli(&["env", "set", "shop", "SHARED=4"]).await.expect(0);
    let history = panel.cli(&["env", "history", "shop", "SHARED", "--json"]).await.expect(0).json();
    let first = text(&history["items"][1], "id");
    panel.cli(&["env", "restore", "shop", &first]).await.expect(0);
    let listed = panel.cli(&["env", "list", "shop", "--json"]).await.expect(0).json();
    assert_eq!(listed["items"][0]["value"], "2", "{listed}");
    panel.cli(&["env", "unset", "--organization", "REGION", "--yes"]).await.expect(0);
    for wrong in [
        &["env", "set", "shop"][..],
        &["env", "set", "shop", "=x"],
        &["env", "list"],
        &["env", "list", "shop", "--organization"],
    ] {
        panel.cli(wrong).await.expect(2);
    }
}

#[tokio::test]
async fn docker_shared_values_reach_the_container() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    let project = text(&app["project"], "id");
    let body = json!({"set": [
        {"key": "HOST", "value": "db"}, {"key": "PASSWORD", "value": "s3cret-of-the-project", "secret": true},
    ]});
    panel
        .patch(&format!("/api/v1/variables?owner=project:{project}"), body)
        .await
        .expect(200);
    let pending = panel.get("/api/v1/apps/hello").await.expect(200).json();
    assert_eq!(pending["pending_changes"], true);
    let awkward = "${HOST} $${HOST} ${NOTHING} $HOST 'q' \"d\" žluť";
    set(
        &panel,
        "app:hello",
        &[("URL", "postgres://u:${PASSWORD}@${HOST}/x"), ("AWKWARD", awkward)],
    )
    .await
    .expect(200);
    // Applied with a deployment of its own.
    let applied = json!({"set": [{"key": "HOST", "value": "db2"}]});
    panel
        .patch(&format!("/api/v1/variables?owner=project:{project}&deploy=true"), applied)
        .await
        .expect(200);
    let newest = panel.newest("hello").await;
    panel.live(&text(&newest, "id")).await;
    let seen = panel.visit("hello.test", "/environment").await.expect(200).json();
    let value = |key: &str| {
        use std::io::Write;
        let mut decode = std::process::Command::new("base64");
        let mut child = decode
            .arg("-d")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(seen[key].as_str().unwrap().as_bytes())
            .unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert_eq!(value("URL"), "postgres://u:s3cret-of-the-project@db2/x");
    assert_eq!(value("AWKWARD"), "db2 ${HOST} ${NOTHING} $HOST 'q' \"d\" žluť");
    // Whoever holds a secret is one: it is not told when releases are compared.
    let releases = panel.list("/api/v1/apps/hello/releases").await;
    let url = releases[0]["variables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == "URL")
        .unwrap();
    assert_eq!(url["secret"], true);
    let diff = panel.get("/api/v1/apps/hello/diff?from=1&to=2").await.expect(200).text();
    assert!(!diff.contains("s3cret"), "{diff}");
    // Back to before.
    panel.cli(&["rollback", "hello", "--wait"]).await.expect(0);
    let seen = panel.visit("hello.test", "/environment").await.expect(200).json();
    assert!(seen["URL"].is_null(), "{seen}");
}

#[tokio::test]
async fn docker_a_service_has_variables_of_its_own() {
    let panel = TestPanel::docker().await;
    let compose = "services:\n  web: {image: nginx:1.22, restart: always, ports: ['8080:80'], stop_grace_period: 1s, environment: {FROM_FILE: '$TEXT', MINE: file}}\n  \
                   side: {image: nginx:1.22, restart: always, stop_grace_period: 1s}\n";
    let body = json!({"name": "two", "source": {"kind": "compose", "compose": compose}, "variables": [{"key": "TEXT", "value": "words"}]});
    let made = panel.create_app(body).await;
    panel.live(&text(&made["deployment"], "id")).await;
    set(&panel, "service:two/web", &[("MINE", "the service's ${TEXT}"), ("OWN", "1")])
        .await
        .expect(200);
    assert!(
        panel.list("/api/v1/variables?owner=app:two").await.len() == 1,
        "the app's own stay its own"
    );
    let next = panel.deploy("two").await;
    panel.live(&next).await;
    let environment = |service: &str| {
        let (app, service) = (
            format!("label=serverkit.app={}", text(&made, "id")),
            format!("label=serverkit.service={service}"),
        );
        let ids = docker(&docker_host(), &["ps", "-q", "--filter", &app, "--filter", &service]).unwrap();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        let [id] = ids[..] else { return Vec::new() };
        let inspected = docker(&docker_host(), &["inspect", "--format", "{{json .Config.Env}}", id]).unwrap_or_default();
        serde_json::from_str::<Vec<String>>(&inspected).unwrap_or_default()
    };
    let has = |list: &[String], wanted: &str| list.iter().any(|one| one == wanted);
    eventually("the new container has them", Duration::from_secs(60), || async {
        let web = environment("web");
        (has(&web, "MINE=the service's words") && has(&web, "OWN=1") && has(&web, "FROM_FILE=words")).then_some(())
    })
    .await;
    assert!(!has(&environment("side"), "OWN=1"), "another service has them not");
}
