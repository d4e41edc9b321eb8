//! Quotas: set by who may, shown, refused in words, and nobody else's business.

use serde_json::{Value, json};
use testkit::TestPanel;

fn app(name: &str, memory_mib: u64) -> Value {
    json!({"name": name, "source": {"kind": "image", "reference": "nginx"}, "deploy": false,
           "limits": {"memory_bytes": memory_mib << 20, "cpu_millis": 500, "pids": 100}})
}

async fn of(panel: &testkit::Api, name: &str) -> Value {
    let all = panel.list("/api/v1/quotas").await;
    all.iter()
        .find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("{name} in {all:?}"))
        .clone()
}

#[tokio::test]
async fn a_quota_is_set_shown_and_kept_to() {
    let panel = TestPanel::start().await;
    let shown = panel.cli(&["quota", "show"]).await.expect(0).stdout;
    assert!(shown.contains("organization") && shown.contains("project"), "{shown}");
    let words = [
        "quota",
        "set",
        "--organization",
        "default",
        "--memory",
        "1g",
        "--cpus",
        "2.5",
        "--builds-at-once",
        "1",
    ];
    panel.cli(&words).await.expect(0);
    let set = panel
        .cli(&["quota", "set", "--project", "default", "--apps", "2"])
        .await
        .expect(0)
        .stdout;
    assert!(set.contains("0 of 2"), "{set}");
    let more = panel
        .cli(&["quota", "set", "--project", "default", "--memory", "2g"])
        .await
        .expect(1)
        .stderr;
    assert!(more.contains("which the whole organization may have"), "{more}");

    panel.post("/api/v1/apps", app("one", 512)).await.expect(201);
    let refused = panel.post("/api/v1/apps", app("two", 600)).await.expect(409).code("busy");
    let detail = refused.detail();
    assert!(
        detail.contains("the organization `default` may have 1 GiB of memory and has 512 MiB of memory, and this asks for 600 MiB"),
        "{detail}"
    );
    panel.post("/api/v1/apps", app("two", 512)).await.expect(201);
    let refused = panel.cli(&["app", "scale", "one", "2"]).await.expect(1).stderr;
    assert!(refused.contains("this asks for 512 MiB of memory more"), "{refused}");
    let refused = panel.post("/api/v1/apps", app("three", 6)).await.expect(409).detail();
    assert!(
        refused.contains("the project `default` may have 2 apps and has 2 apps"),
        "{refused}"
    );

    let project = panel.cli(&["quota", "show", "--project", "default"]).await.expect(0).stdout;
    assert!(project.contains("2 of 2") && project.contains("1.0 GiB"), "{project}");
    let own = of(&panel, "default").await;
    assert_eq!(
        (own["of"].as_str(), own["limits"]["cpu_millis"].as_u64()),
        (Some("organization"), Some(2500))
    );
    assert_eq!(own["used"]["cpu_millis"], 1000);
    // One limit is taken away, the others stay.
    panel
        .cli(&["quota", "set", "--organization", "default", "--memory", "none"])
        .await
        .expect(0);
    let own = of(&panel, "default").await;
    assert!(
        own["limits"]["memory_bytes"].is_null() && own["limits"]["builds_at_once"] == 1,
        "{own}"
    );
    for bad in [
        json!({"traffic_cap": 5}),
        json!({"builds_at_once": 0}),
        json!({"apps": -1}),
        json!({"rooms": 3}),
    ] {
        let status = panel.put("/api/v1/projects/default/quota", bad).await.status.as_u16();
        assert!([400, 422].contains(&status), "{status}");
    }
}

#[tokio::test]
async fn many_at_once_get_no_more_than_there_is() {
    let panel = TestPanel::start().await;
    panel
        .put("/api/v1/organizations/default/quota", json!({"apps": 2}))
        .await
        .expect(200);
    let panel = &panel;
    let made = (0..8).map(|n| async move { panel.post("/api/v1/apps", app(&format!("app{n}"), 64)).await.status.as_u16() });
    let mut made = futures::future::join_all(made).await;
    made.sort_unstable();
    assert_eq!(made, [201, 201, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn nobody_sees_anothers_numbers_and_only_the_panels_people_set_them() {
    let panel = TestPanel::start().await;
    let there = panel.organization("acme").await;
    panel.put("/api/v1/organizations/acme/quota", json!({"apps": 1})).await.expect(200);
    panel
        .put("/api/v1/organizations/default/quota", json!({"apps": 4711}))
        .await
        .expect(200);
    assert_eq!(of(&panel, "acme").await["own"], false);
    let seen = there.list("/api/v1/quotas").await;
    assert_eq!(seen.len(), 2, "its own and its project's: {seen:?}");
    assert!(
        seen.iter().all(|one| one["own"] == true) && !format!("{seen:?}").contains("4711"),
        "{seen:?}"
    );
    let own = of(&there, "acme").await;
    assert_eq!(
        (own["changeable"].as_bool(), own["limits"]["apps"].as_u64()),
        (Some(false), Some(1))
    );
    for organization in ["acme", "default", "nobody"] {
        let path = format!("/api/v1/organizations/{organization}/quota");
        there.put(&path, json!({"apps": 100})).await.expect(403);
    }
    there
        .put("/api/v1/projects/default/quota", json!({"apps": 1, "disk_bytes": 1000}))
        .await
        .expect(200);
    there.post("/api/v1/apps", app("one", 64)).await.expect(201);
    let refused = there.post("/api/v1/apps", app("two", 64)).await.expect(409).detail();
    assert!(refused.contains("may have 1 app and has 1 app"), "{refused}");
    // Beside it nothing of that counts.
    panel.post("/api/v1/apps", app("one", 64)).await.expect(201);
    panel.put("/api/v1/projects/nobody/quota", json!({})).await.expect(404);
    // Who sees one app does not see what the rest comes to.
    let user = json!({"email": "eve@example.test", "name": "Eve", "role": "member", "password": "eleven green kettles boil"});
    panel.post("/api/v1/users", user).await.expect(201);
    let grant = json!({"role": "viewer", "to": "user:eve@example.test", "place": "app:one"});
    panel.post("/api/v1/grants", grant).await.expect(201);
    let eve = panel.signed_in("eve@example.test", "eleven green kettles boil").await;
    assert!(eve.list("/api/v1/quotas").await.is_empty());
    panel.put("/api/v1/projects/default/quota", json!({"apps": 1999})).await.expect(200);
    let heard = async || eve.get("/api/v1/events/history?limit=500").await.expect(200).text();
    let told = heard().await;
    assert!(told.contains("app_created") && !told.contains("apps 1999"), "{told}");
    // Who sees the project whole does.
    let grant = json!({"role": "viewer", "to": "user:eve@example.test", "place": "project:default"});
    panel.post("/api/v1/grants", grant).await.expect(201);
    assert_eq!(eve.list("/api/v1/quotas").await.len(), 1);
    let told = heard().await;
    assert!(
        told.contains("quota_changed") && told.contains("apps 1999") && !told.contains("apps 4711"),
        "{told}"
    );
}
