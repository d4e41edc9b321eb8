//! Environments made from others: what is copied, what is left out and said, who may, and that it is whole or nothing.

mod leading;
mod sources;

use crate::{
    compose,
    deploy::{app_of, containers, text},
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(150);

/// The id of an environment of the only project.
async fn environment(panel: &TestPanel, name: &str) -> Option<String> {
    let project = &panel.list("/api/v1/projects").await[0];
    let mut all = project["environments"].as_array().unwrap().iter();
    all.find(|one| one["name"] == name).map(|one| text(one, "id"))
}

async fn production(panel: &TestPanel) -> String {
    environment(panel, "production").await.expect("it is there from the start")
}

async fn begin(panel: &TestPanel, wish: Value) -> Value {
    let from = production(panel).await;
    panel
        .post(&format!("/api/v1/environments/{from}/clones"), wish)
        .await
        .expect(202)
        .json()
}

/// Waits until it is over, and answers how.
async fn over(panel: &TestPanel, clone: &Value) -> Value {
    eventually_ok("the clone is over", SOON, || async {
        let now = panel.get(&format!("/api/v1/clones/{}", text(clone, "id"))).await.expect(200).json();
        match now["finished_at"].is_string() {
            true => Ok(now),
            false => Err(now.to_string()),
        }
    })
    .await
}

async fn done(panel: &TestPanel, clone: &Value) -> Value {
    let over = over(panel, clone).await;
    assert_eq!(over["phase"], "done", "{over}");
    over
}

/// An app of an environment.
async fn app_in(panel: &TestPanel, name: &str, environment: &str) -> Value {
    panel.get(&format!("/api/v1/apps/{name}@{environment}")).await.expect(200).json()
}

fn inside(app: &Value, command: &[&str]) -> String {
    let name = containers(app).pop().expect("it runs");
    docker(&docker_host(), &[&["exec", &name], command].concat())
        .unwrap()
        .trim()
        .to_owned()
}

fn image(name: &str) -> Value {
    json!({
        "name": name, "source": {"kind": "image", "reference": "nginx"}, "deploy": false, "domains": [format!("{name}.test")],
        "limits": {"memory_bytes": 64 << 20, "cpu_millis": 500, "pids": 100},
        "health": {"kind": "http", "path": "/up", "interval_seconds": 7, "timeout_seconds": 2, "start_seconds": 9},
        "mounts": [{"volume": "data", "path": "/data"}],
        "variables": [{"key": "COLOR", "value": "red"}, {"key": "TOKEN", "value": "of-production-only", "secret": true}],
    })
}

#[tokio::test]
async fn what_a_clone_has_and_what_it_leaves_out() {
    let panel = TestPanel::start().await;
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    panel.post("/api/v1/apps", image("blog")).await.expect(201);
    panel.post("/api/v1/apps", image("wiki")).await.expect(201);
    let shared = json!({"set": [{"key": "PLAIN", "value": "seen"}, {"key": "SHARED", "value": "quiet-word", "secret": true}], "unset": []});
    let from = production(&panel).await;
    panel
        .patch(&format!("/api/v1/variables?owner=environment:{from}"), shared)
        .await
        .expect(200);
    for (path, content, secret) in [("/etc/plain.conf", "plain", false), ("/etc/key.conf", "secret-text", true)] {
        let file = json!({"path": path, "content": content, "secret": secret});
        panel.put("/api/v1/apps/blog/files", file).await.expect(200);
    }
    let job = json!({"name": "tidy", "command": ["true"], "cron": "0 3 * * *"});
    panel.post("/api/v1/apps/blog/jobs", job).await.expect(201);

    let plan_at = format!("/api/v1/environments/{from}/clone-plan");
    let plan = panel.post(&plan_at, json!({"name": "staging"})).await.expect(200).json();
    assert_eq!(plan["problems"], json!([]), "{plan}");
    let domains: Vec<&Value> = plan["apps"].as_array().unwrap().iter().map(|app| &app["domains"]).collect();
    assert_eq!(domains, [&json!(["blog-staging.apps.test"]), &json!(["wiki-staging.apps.test"])]);
    let secrets = plan["secrets"].as_array().unwrap();
    assert_eq!(secrets.len(), 4, "two tokens, the environment's and a file: {plan}");
    assert!(secrets.iter().all(|secret| secret["becomes"] == "empty"), "{plan}");
    assert!(plan["left_out"].to_string().contains("blog.test"), "{plan}");
    assert!(!plan.to_string().contains("of-production-only"), "{plan}");
    assert_eq!(environment(&panel, "staging").await, None, "a plan makes nothing");

    for (wish, status, words) in [
        (json!({"name": "no name"}), 422, "use 1 to 63"),
        (json!({"name": "staging", "apps": []}), 422, "must name an app"),
        (json!({"name": "staging", "apps": [{"app": "nobody"}]}), 404, "nobody"),
        (
            json!({"name": "staging", "apps": [{"app": "blog"}, {"app": "blog"}]}),
            422,
            "named twice",
        ),
        (
            json!({"name": "staging", "apps": [{"app": "blog", "branch": "dev"}]}),
            422,
            "follows no branch",
        ),
        (
            json!({"name": "staging", "values": [{"key": "NOWHERE", "value": "x"}]}),
            422,
            "is no variable of",
        ),
        (json!({"name": "production"}), 409, "production"),
        (
            json!({"name": "staging", "apps": [{"app": "blog", "domain": "wiki.test"}]}),
            409,
            "wiki.test",
        ),
    ] {
        let refused = panel
            .post(&format!("/api/v1/environments/{from}/clones"), wish)
            .await
            .expect(status);
        assert!(refused.detail().contains(words), "{}", refused.detail());
    }

    let wish = json!({"name": "staging", "deploy": false, "values": [{"key": "TOKEN", "app": "wiki", "value": "of-staging"}]});
    let clone = begin(&panel, wish).await;
    let made = done(&panel, &clone).await;
    assert_eq!(
        (&made["to"]["name"], &made["cancellable"]),
        (&json!("staging"), &json!(false)),
        "{made}"
    );
    let blog = app_in(&panel, "blog", "staging").await;
    let of = app_in(&panel, "blog", "production").await;
    for same in ["limits", "health", "grace_seconds", "keep_releases"] {
        assert_eq!(blog[same], of[same], "{same}");
    }
    assert!(
        blog["lock"].is_null() && blog["deployment"].is_null(),
        "it is deployed when somebody wants it: {blog}"
    );
    assert_ne!(blog["mounts"], of["mounts"], "a volume of its own");
    let revealed = |app: &Value| format!("/api/v1/variables?owner=app:{}&inherited=true&reveal=true", text(app, "id"));
    let value = async |app: &Value, key: &str| {
        let all = panel.list(&revealed(app)).await;
        let found = all
            .iter()
            .find(|one| one["key"] == key)
            .unwrap_or_else(|| panic!("no {key} in {all:?}"));
        (found["value"].as_str().unwrap_or_default().to_owned(), found["secret"] == true)
    };
    assert_eq!(value(&blog, "COLOR").await, ("red".to_owned(), false));
    assert_eq!(value(&blog, "PLAIN").await, ("seen".to_owned(), false));
    assert_eq!(value(&blog, "TOKEN").await, (String::new(), true), "named, and without its value");
    assert_eq!(value(&blog, "SHARED").await, (String::new(), true));
    let wiki = app_in(&panel, "wiki", "staging").await;
    assert_eq!(value(&wiki, "TOKEN").await, ("of-staging".to_owned(), true));
    let files = panel.list(&format!("/api/v1/apps/{}/files?reveal=true", text(&blog, "id"))).await;
    let content: Vec<&str> = files.iter().map(|file| file["content"].as_str().unwrap_or_default()).collect();
    assert!(content.contains(&"plain") && !content.contains(&"secret-text"), "{files:?}");
    let jobs = panel.list(&format!("/api/v1/apps/{}/jobs", text(&blog, "id"))).await;
    assert_eq!((jobs.len(), &jobs[0]["enabled"]), (1, &json!(false)), "{jobs:?}");
    let volumes = panel.list("/api/v1/volumes").await;
    assert_eq!(volumes.len(), 2, "both apps of each share one: {volumes:?}");

    let taken = panel.post(&plan_at, json!({"name": "staging"})).await.expect(200).json();
    assert!(taken["problems"].to_string().contains("staging"), "{taken}");
    let events = panel.list("/api/v1/events/history").await;
    let ends = events.iter().filter(|event| event["kind"] == "environment_cloned").count();
    assert_eq!(ends, 2, "its begin and its end: {events:?}");
    let told = panel.list("/api/v1/audit").await;
    assert!(
        told.iter().any(|entry| entry.to_string().contains("staging from production")),
        "{told:?}"
    );
    assert!(!format!("{told:?}").contains("of-production-only"), "no secret in the log");
    let one = panel.cli(&["project", "clones", "default"]).await.expect(0).stdout;
    assert!(one.contains("staging") && one.contains("done"), "{one}");
    let by_cli = [
        "project",
        "clone-environment",
        "default",
        "production",
        "seed",
        "--app",
        "wiki",
        "--no-deploy",
    ];
    let planned = panel.cli(&[&by_cli[..], &["--plan"]].concat()).await.expect(0).stdout;
    assert!(planned.contains("seed from production") && !planned.contains("blog ("), "{planned}");
    panel.cli(&[&by_cli[..], &["--wait"]].concat()).await.expect(0);
    assert!(environment(&panel, "seed").await.is_some());
}

#[tokio::test]
async fn who_may_clone_and_how_much_fits() {
    let panel = TestPanel::start().await;
    panel.post("/api/v1/apps", image("blog")).await.expect(201);
    let from = production(&panel).await;
    let at = format!("/api/v1/environments/{from}/clones");
    let viewer = panel.member("viewer", "read").await;
    viewer.post(&at, json!({"name": "staging"})).await.expect(403);
    let careful = panel.custom_member("careful", &["view", "configure", "deploy"]).await;
    for wish in [
        json!({"name": "staging", "secrets": "copy"}),
        json!({"name": "staging", "data": true}),
    ] {
        careful.post(&at, wish).await.expect(403);
    }
    let writer = panel.custom_member("writer", &["view", "configure"]).await;
    writer.post(&at, json!({"name": "staging"})).await.expect(403);
    let made = careful
        .post(&at, json!({"name": "staging", "deploy": false}))
        .await
        .expect(202)
        .json();
    done(&panel, &made).await;
    viewer.get(&format!("/api/v1/clones/{}", text(&made, "id"))).await.expect(200);
    viewer
        .post(&format!("/api/v1/clones/{}/cancel", text(&made, "id")), json!({}))
        .await
        .expect(403);
    panel
        .post(&format!("/api/v1/clones/{}/cancel", text(&made, "id")), json!({}))
        .await
        .expect(409);
    panel.get("/api/v1/clones/cln_00000000000000000000000000").await.expect(404);

    panel.cli(&["quota", "set", "--project", "default", "--apps", "2"]).await.expect(0);
    let plan = panel
        .post(&format!("/api/v1/environments/{from}/clone-plan"), json!({"name": "more"}))
        .await
        .expect(200)
        .json();
    assert!(plan["problems"].to_string().contains("may have 2 apps"), "{plan}");
    let refused = panel.post(&at, json!({"name": "more"})).await.expect(409);
    assert!(refused.detail().contains("may have 2 apps"), "{}", refused.detail());
    assert_eq!(environment(&panel, "more").await, None, "nothing of it is there");
}

/// An app from Git that writes to a volume, with the branch `dev` beside `main`.
async fn writing(panel: &TestPanel, repository: &GitFixture) -> Value {
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    let mut body = app_of("blog", repository);
    body["source"]["branch"] = json!("main");
    body["grace_seconds"] = json!(60);
    body["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    body["variables"] = json!([{"key": "TOKEN", "value": "of-production", "secret": true}]);
    let app = panel.live_app(body).await;
    panel.visit("blog.test", "/write?file=/data/kept&text=precious").await.expect(200);
    app
}

#[tokio::test]
async fn docker_staging_with_the_data_of_production() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let app = writing(&panel, &repository).await;
    repository.git(&["checkout", "-q", "-b", "dev"]);
    repository.edit("app.py", "\"one\"", "\"of dev\"");
    let from = production(&panel).await;
    // Files that somebody writes to are not of one moment.
    let running = json!({"name": "staging", "data": true, "secrets": "copy", "branch": "dev"});
    let refused = panel
        .post(&format!("/api/v1/environments/{from}/clones"), running)
        .await
        .expect(409);
    assert!(refused.detail().contains("only while it is stopped"), "{}", refused.detail());
    let wish = json!({"name": "staging", "data": true, "stop": true, "secrets": "copy", "branch": "dev"});
    let plan = panel
        .post(&format!("/api/v1/environments/{from}/clone-plan"), wish.clone())
        .await
        .expect(200)
        .json();
    assert_eq!((&plan["stops"], &plan["problems"]), (&json!(["blog"]), &json!([])), "{plan}");
    assert!(plan["bytes"].as_u64().is_some_and(|bytes| bytes >= 8), "{plan}");

    let clone = begin(&panel, wish).await;
    let made = done(&panel, &clone).await;
    assert_eq!(
        (&made["notes"], &made["volumes"][0]["copied"]),
        (&json!([]), &json!(true)),
        "{made}"
    );
    let staging = app_in(&panel, "blog", "staging").await;
    assert_eq!(staging["source"]["branch"], "dev", "{staging}");
    let host = "blog-staging.apps.test";
    eventually_ok("staging serves", SOON, || async {
        match panel.visit(host, "/").await.text() {
            page if page == "hello of dev" => Ok(()),
            page => Err(page),
        }
    })
    .await;
    assert_eq!(panel.visit(host, "/read?file=/data/kept").await.expect(200).text(), "precious");
    assert_eq!(inside(&staging, &["printenv", "TOKEN"]), "of-production");
    // Production goes on, and neither sees what the other writes.
    eventually_ok("production serves again", SOON, || async {
        match panel.visit("blog.test", "/").await.text() {
            page if page == "hello one" => Ok(()),
            page => Err(page),
        }
    })
    .await;
    panel.visit(host, "/write?file=/data/kept&text=-and-more").await.expect(200);
    assert_eq!(
        panel.visit("blog.test", "/read?file=/data/kept").await.expect(200).text(),
        "precious"
    );
    assert_eq!(containers(&app).len(), 1);

    // Without data the volume is there and empty.
    let clone = begin(&panel, json!({"name": "fresh", "branch": "main"})).await;
    done(&panel, &clone).await;
    let fresh = app_in(&panel, "blog", "fresh").await;
    assert_eq!(inside(&fresh, &["ls", "-A", "/data"]), "");
    assert_eq!(inside(&fresh, &["printenv", "TOKEN"]), "");
}

#[tokio::test]
async fn docker_a_cancelled_clone_leaves_nothing() {
    let panel = TestPanel::docker().await;
    // It does not heed the signal to stop, so that stopping it takes all of its grace.
    let stubborn = "echo precious >/data/kept; trap '' TERM; while true; do sleep 1; done";
    let app = panel
        .live_app(json!({
            "name": "stubborn", "source": {"kind": "image", "reference": "debian:bookworm-slim"}, "command": ["sh", "-c", stubborn],
            "domains": [], "health": {"kind": "running"}, "grace_seconds": 20, "mounts": [{"volume": "data", "path": "/data"}],
        }))
        .await;
    let organization = text(&panel.list("/api/v1/organizations").await[0], "id");
    let filter = format!("label=serverkit.organization={organization}");
    let volumes = || docker(&docker_host(), &["volume", "ls", "--filter", &filter, "--format", "{{.Name}}"]).unwrap();
    let before = volumes();
    let clone = begin(&panel, json!({"name": "staging", "data": true, "stop": true})).await;
    panel
        .post(&format!("/api/v1/clones/{}/cancel", text(&clone, "id")), json!({}))
        .await
        .expect(202);
    let over = over(&panel, &clone).await;
    assert_eq!(over["phase"], "cancelled", "{over}");
    assert_eq!(environment(&panel, "staging").await, None);
    assert_eq!(panel.list("/api/v1/apps").await.len(), 1);
    assert_eq!(panel.list("/api/v1/volumes").await.len(), 1);
    assert_eq!(volumes(), before);
    eventually_ok("production runs again", SOON, || async {
        let now = panel.get("/api/v1/apps/stubborn").await.expect(200).json();
        match now["state"] == "running" && containers(&app).len() == 1 {
            true => Ok(()),
            false => Err(now["state"].to_string()),
        }
    })
    .await;
}

const STACK: &str = r#"
services:
  web:
    image: nginx:1.22
    restart: always
    stop_grace_period: 1s
    ports: ["8080:80"]
    volumes: [kept:/kept]
  cache: {image: 'redis:7', restart: always, stop_grace_period: 1s, environment: {PASSWORD: "$PASSWORD"}}
volumes: {kept: {}}
"#;

/// It is killed wherever it is just then; at the next start it goes on and comes to its end.
#[tokio::test]
async fn docker_a_clone_of_services_outlives_a_crash() {
    let mut panel = TestPanel::docker().await;
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
    let app = panel
        .live_app(json!({
            "name": "shop", "source": {"kind": "compose", "compose": STACK}, "domains": ["shop.test"], "grace_seconds": 2,
            "variables": [{"key": "PASSWORD", "value": "of-the-cache", "secret": true}],
        }))
        .await;
    let running = compose::containers(&text(&app, "id"));
    let web = compose::id_of(&running, "web");
    docker(
        &docker_host(),
        &[
            "exec",
            &web,
            "sh",
            "-c",
            "dd if=/dev/urandom of=/kept/big bs=1M count=200 2>/dev/null",
        ],
    )
    .unwrap();
    let sum = docker(&docker_host(), &["exec", &web, "md5sum", "/kept/big"]).unwrap();
    let clone = begin(&panel, json!({"name": "staging", "data": true, "stop": true, "secrets": "copy"})).await;
    panel.kill();
    panel.start_again().await;
    eventually_ok("it is copied, or on its way", SOON, || async {
        let now = panel
            .get(&format!("/api/v1/clones/{}", text(&clone, "id")))
            .await
            .expect(200)
            .json();
        match now["phase"] == "stopping" {
            true => Err(now.to_string()),
            false => Ok(()),
        }
    })
    .await;
    panel.kill();
    panel.start_again().await;
    let made = done(&panel, &clone).await;
    assert_eq!(made["notes"], json!([]), "{made}");
    let staging = app_in(&panel, "shop", "staging").await;
    let own = compose::containers(&text(&staging, "id"));
    assert_eq!(own.len(), 2, "{own:?}");
    let copied = docker(&docker_host(), &["exec", &compose::id_of(&own, "web"), "md5sum", "/kept/big"]).unwrap();
    assert_eq!(copied, sum, "every byte");
    let word = docker(&docker_host(), &["exec", &compose::id_of(&own, "cache"), "printenv", "PASSWORD"]).unwrap();
    assert_eq!(word.trim(), "of-the-cache");
    eventually_ok("production runs again", SOON, || async {
        let all = compose::containers(&text(&app, "id"));
        match all.iter().filter(|(_, _, state)| state == "running").count() {
            2 => Ok(()),
            _ => Err(format!("{all:?}")),
        }
    })
    .await;
}
