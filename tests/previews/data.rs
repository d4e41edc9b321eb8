//! Previews with data of their own, for as long as they last, within their limits.

use super::{SOON, apps_domain, live, objects, open_seven, preview, request, rules, send};
use crate::{
    deploy::{app_of, containers, text},
    webhooks::Hook,
};
use serde_json::{Value, json};
use testkit::{GitFixture, OWNER, TestPanel, docker, docker_host, eventually_ok};

/// `blog` from Git, live.
async fn blog(panel: &TestPanel) -> GitFixture {
    apps_domain(panel).await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("blog", &repository)).await;
    repository
}

/// The same, and `store` with something in its volume.
async fn blog_and_store(panel: &TestPanel) -> GitFixture {
    let repository = blog(panel).await;
    let mut store = app_of("store", &repository);
    store["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    panel.live_app(store).await;
    panel.visit("store.test", "/write?file=/data/kept&text=precious").await.expect(200);
    repository
}

/// The app `store` of an environment.
async fn store_in(panel: &TestPanel, environment: &str) -> Value {
    panel.get(&format!("/api/v1/apps/store@{environment}")).await.expect(200).json()
}

fn kept_in(store: &Value) -> String {
    let name = containers(store).pop().expect("it runs");
    docker(&docker_host(), &["exec", &name, "cat", "/data/kept"]).unwrap()
}

#[tokio::test]
async fn docker_a_preview_with_a_copy_of_data() {
    let panel = TestPanel::docker().await;
    let repository = blog_and_store(&panel).await;
    let hook = Hook::of(&panel, "blog").await;
    rules(
        &panel,
        "blog",
        json!({"enabled": true, "database": {"app": "store", "data": "copy"}}),
    )
    .await;
    let head = open_seven(&panel, &hook, &repository, "app.py", "\"one\"", "\"seven\"").await;
    // What a running one writes is not of one moment.
    let why = |one: &Value| one["problem"].as_str().is_some_and(|why| why.contains("only while it is stopped"));
    preview(&panel, "blog", 7, "waiting for the data", why).await;
    panel.post("/api/v1/apps/store/stop", json!({})).await.expect(202);
    live(&panel, "blog", 7, &head).await;
    assert_eq!(kept_in(&store_in(&panel, "blog-pr-7").await), "precious");
    // What the preview writes stays there, and goes with it.
    assert_eq!(
        send(&panel, &hook, &request("closed", 7, &head, json!({}))).await.0,
        "preview_removed"
    );
    preview(&panel, "blog", 7, "gone", |one| one["state"] == "gone").await;
    let volumes = panel.list("/api/v1/volumes").await;
    assert_eq!(volumes.len(), 1, "{volumes:?}");
}

/// Nobody pushes for longer than the rules say: it goes by itself, with all that it has.
#[tokio::test]
async fn docker_a_preview_that_nobody_pushes_to_goes() {
    let mut panel = TestPanel::docker().await;
    let repository = blog(&panel).await;
    let hook = Hook::of(&panel, "blog").await;
    rules(&panel, "blog", json!({"enabled": true, "days": 2})).await;
    let before = objects(&panel).await;
    let head = open_seven(&panel, &hook, &repository, "app.py", "\"one\"", "\"seven\"").await;
    let one = live(&panel, "blog", 7, &head).await;
    assert_eq!(one["days_left"], 2, "{one}");
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+26h"))).await;
    // The panel's own token lasts a day.
    let at = "/api/v1/apps/blog/previews/7";
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let later = owner.get(at).await.expect(200).json();
    assert_eq!((&later["days_left"], &later["state"]), (&json!(1), &json!("up")), "{later}");
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+50h"))).await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let gone = eventually_ok("the preview is gone", SOON, || async {
        let one = owner.get(at).await.expect(200).json();
        if one["state"] == "gone" { Ok(one) } else { Err(one.to_string()) }
    })
    .await;
    assert!(text(&gone, "why").contains("nothing was pushed for 2 days"), "{gone}");
    eventually_ok("nothing is left on the engine", SOON, || async {
        match objects(&owner).await {
            now if now == before => Ok(()),
            now => Err(format!("{:?}", now.symmetric_difference(&before).collect::<Vec<_>>())),
        }
    })
    .await;
}

/// Production is stopped for a moment when the seed is made, and for no preview.
#[tokio::test]
async fn docker_previews_get_the_data_of_a_seed_while_production_runs() {
    let panel = TestPanel::docker().await;
    let repository = blog_and_store(&panel).await;
    let wanted = ["project", "clone-environment", "default", "production", "seed", "--app", "store"];
    let how = ["--with-data", "--stop", "--no-deploy", "--yes", "--wait"];
    panel.cli(&[&wanted[..], &how[..]].concat()).await.expect(0);
    let hook = Hook::of(&panel, "blog").await;
    let database = json!({"enabled": true, "database": {"app": "store@seed", "data": "copy"}});
    rules(&panel, "blog", database).await;
    let head = open_seven(&panel, &hook, &repository, "app.py", "\"one\"", "\"seven\"").await;
    live(&panel, "blog", 7, &head).await;
    assert_eq!(kept_in(&store_in(&panel, "blog-pr-7").await), "precious");
    assert_eq!(containers(&store_in(&panel, "production").await).len(), 1, "production runs on");
    assert_eq!(containers(&store_in(&panel, "seed").await).len(), 0, "the seed only keeps data");
}

/// Of an app of several services: each of them is held to the limits of the rules, whatever its file says.
#[tokio::test]
async fn docker_services_of_a_preview_keep_to_its_limits() {
    const FILE: &str = "services:\n  web: {image: 'nginx:1.22', restart: always, ports: ['80'], stop_grace_period: 1s, deploy: {resources: {limits: {memory: 300m}}}}\n  cache: {image: 'redis:7', restart: always, stop_grace_period: 1s, deploy: {resources: {limits: {memory: 48m}}}}\n  idle: {image: 'redis:7', restart: always, stop_grace_period: 1s}\n";
    let panel = TestPanel::docker().await;
    apps_domain(&panel).await;
    let repository = GitFixture::of(&[("compose.yaml", FILE)]);
    panel
        .live_app(json!({
            "name": "shop", "source": {"kind": "git", "url": repository.path(), "compose_file": ""}, "domains": ["shop.test"], "grace_seconds": 2,
        }))
        .await;
    let hook = Hook::of(&panel, "shop").await;
    rules(
        &panel,
        "shop",
        json!({"enabled": true, "memory_bytes": 64 << 20, "cpu_millis": 250}),
    )
    .await;
    let head = open_seven(&panel, &hook, &repository, "compose.yaml", "300m", "310m").await;
    let one = live(&panel, "shop", 7, &head).await;
    let mut held: Vec<(String, String)> = Vec::new();
    for (service, id, _) in crate::compose::containers(&text(&one["app"], "id")) {
        let format = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}";
        held.push((
            service,
            docker(&docker_host(), &["inspect", "--format", format, &id])
                .unwrap()
                .trim()
                .to_owned(),
        ));
    }
    held.sort();
    let expected = [("cache", 48 << 20), ("idle", 64 << 20), ("web", 64 << 20)];
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(name, memory)| ((*name).to_owned(), format!("{memory} 250000000")))
        .collect();
    assert_eq!(held, expected);
}
