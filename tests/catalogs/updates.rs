//! Newer versions of templates: what the template changed and what people changed come together, and the way back.

use super::{add, compose, own_file_of, publish};
use crate::deploy::text;
use serde_json::{Value, json};
use std::{fs, time::Duration};
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually};

const KEY: &str = "  - { name: key, type: secret, title: Key, length: 24 }\n";

async fn own_file(panel: &TestPanel) -> String {
    own_file_of(panel, "wiki").await
}

#[tokio::test]
async fn docker_a_newer_template_comes_with_what_people_changed_and_goes_back() {
    let panel = TestPanel::docker().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    let catalog = add(&panel, &git).await;
    assert_eq!(catalog["templates"], 1, "{catalog}");
    let made = panel
        .post(
            "/api/v1/catalog/acme:wiki/install",
            json!({"values": {"domain": "wiki.example.test", "greeting": "good day"}}),
        )
        .await
        .expect(201)
        .json();
    panel.live(&text(&made["deployment"], "id")).await;
    let host = "wiki.example.test".to_owned();
    assert!(panel.visit(&host, "/").await.expect(200).text().contains("greeting good day"));
    let nothing = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await;
    assert!(nothing.expect(409).text().contains("newest version"), "no other version yet");

    // Somebody gives it more memory; the template gets a variable and says so in its file.
    let mine = own_file(&panel).await.replace("memory: 64m", "memory: 96m");
    let source = json!({"source": {"kind": "compose", "compose": mine, "main_service": "web"}});
    panel.patch("/api/v1/apps/wiki", source).await.expect(200);
    let newer = compose("nginx:1.22", "64m", "      KEY: \"{{ key }}\"\n");
    publish(&git, "1.1-1", KEY, &newer);
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let listed = panel.list("/api/v1/catalog").await;
    let entry = listed.iter().find(|entry| entry["name"] == "acme:wiki").expect("listed");
    assert_eq!(entry["installed"][0]["outdated"], true, "{entry}");

    let plan = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await.expect(200).json();
    assert_eq!(
        (&plan["from"], &plan["to"], &plan["edited"]),
        (&json!("1.0-1"), &json!("1.1-1"), &json!(true))
    );
    assert_eq!(plan["generated"], json!(["key"]), "{plan}");
    assert!(text(&plan, "diff").contains("+      KEY: "), "{plan}");
    assert!(!text(&plan, "diff").contains("64m"), "what people changed stays: {plan}");
    let updated = panel.post("/api/v1/apps/wiki/template/update", json!({})).await.expect(200).json();
    panel.live(&text(&updated["deployment"], "id")).await;
    assert_eq!(updated["source"]["template"]["version"], "1.1-1");
    assert_eq!(updated["source"]["template"]["before"], "1.0-1");
    let file = own_file(&panel).await;
    assert!(file.contains("memory: 96m") && file.contains("KEY: "), "{file}");
    let variables = panel.list("/api/v1/apps/wiki/variables").await;
    assert!(
        variables.iter().any(|one| one["key"] == "key" && one["secret"] == true),
        "{variables:?}"
    );

    let output = panel.cli(&["catalog", "update", "wiki", "--undo", "--wait"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let back = panel.get("/api/v1/apps/wiki").await.expect(200).json();
    assert_eq!(back["source"]["template"]["version"], "1.0-1");
    assert_eq!(own_file(&panel).await, mine, "the file is what it was");
    assert!(panel.visit(&host, "/").await.expect(200).text().contains("greeting good day"));
    let again = panel.post("/api/v1/apps/wiki/template/undo", json!({})).await;
    assert!(again.expect(409).text().contains("no update to take back"));
}

#[tokio::test]
async fn lines_that_both_changed_are_settled_by_a_person() {
    let panel = TestPanel::start().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    add(&panel, &git).await;
    panel
        .post(
            "/api/v1/catalog/acme:wiki/install",
            json!({"values": {"domain": "wiki.example.test"}}),
        )
        .await
        .expect(201);
    let mine = own_file(&panel).await.replace("memory: 64m", "memory: 96m");
    let source = json!({"source": {"kind": "compose", "compose": mine, "main_service": "web"}});
    panel.patch("/api/v1/apps/wiki", source).await.expect(200);
    publish(&git, "2.0-1", "", &compose("nginx:1.22", "128m", ""));
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);

    let plan = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await.expect(200).json();
    let conflict = &plan["conflicts"][0];
    assert!(
        text(conflict, "mine").contains("96m") && text(conflict, "theirs").contains("128m"),
        "{plan}"
    );
    let marked = text(&plan, "compose");
    let line = conflict["line"].as_u64().unwrap() as usize;
    assert!(marked.lines().nth(line - 1).unwrap().starts_with("<<<<<<<"), "{marked}");
    let refused = panel.post("/api/v1/apps/wiki/template/update", json!({})).await.expect(422).text();
    assert!(refused.contains("changed the same lines"), "{refused}");
    let unsettled = panel.post("/api/v1/apps/wiki/template/update", json!({"compose": marked})).await;
    assert!(unsettled.expect(422).text().contains("conflict"), "marks are no file");
    let output = panel.cli(&["catalog", "update", "wiki", "--plan"]).await;
    assert!(output.stdout.contains("changed the same lines"), "{output:?}");

    let settled = mine.replace("memory: 96m", "memory: 128m");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settled.yaml");
    fs::write(&path, &settled).unwrap();
    let output = panel.cli(&["catalog", "update", "wiki", "--file", path.to_str().unwrap()]).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(own_file(&panel).await, settled);
}

#[tokio::test]
async fn an_update_whose_ports_cannot_be_had_changes_nothing() {
    let panel = TestPanel::start().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    publish(&git, "1.0-1", "", &compose("nginx:1.22", "64m", ""));
    add(&panel, &git).await;
    let values = json!({"values": {"domain": "wiki.example.test"}});
    panel.post("/api/v1/catalog/acme:wiki/install", values).await.expect(201);
    let mine = own_file(&panel).await;
    let taken = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let free = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let (taken_port, free_port) = (taken.local_addr().unwrap().port(), free.local_addr().unwrap().port());
    drop(free);
    let asked =
        "  - { name: first, type: port, title: First, default: 20001 }\n  - { name: second, type: port, title: Second, default: 20002 }\n";
    let newer = compose("nginx:1.22", "64m", "").replace(
        "    configs:\n      -",
        "    ports: ['{{ first }}:81', '{{ second }}:82']\n    configs:\n      -",
    );
    publish(&git, "1.1-1", asked, &newer);
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let update = |first: u16, second: u16| json!({"values": {"first": first.to_string(), "second": second.to_string()}});
    let refused = panel
        .post("/api/v1/apps/wiki/template/update", update(free_port, taken_port))
        .await
        .expect(409)
        .text();
    assert!(refused.contains(&taken_port.to_string()), "{refused}");
    let shown = panel.get("/api/v1/apps/wiki").await.expect(200).json();
    assert_eq!(shown["source"]["template"]["version"], "1.0-1", "{shown}");
    assert_eq!(own_file(&panel).await, mine);
    assert_eq!(
        panel.list("/api/v1/ports").await,
        Vec::<Value>::new(),
        "the first one is closed again"
    );
    let variables = panel.list("/api/v1/apps/wiki/variables").await;
    assert!(!variables.iter().any(|one| one["key"] == "second"), "{variables:?}");

    // With the port free it goes through, and going back gives the ports back.
    drop(taken);
    panel
        .post("/api/v1/apps/wiki/template/update", update(free_port, taken_port))
        .await
        .expect(200);
    assert_eq!(panel.list("/api/v1/ports").await.len(), 2);
    panel.post("/api/v1/apps/wiki/template/undo", json!({})).await.expect(200);
    assert_eq!(panel.list("/api/v1/ports").await, Vec::<Value>::new());
}

#[tokio::test]
async fn docker_data_is_copied_before_an_update_and_comes_back_with_it() {
    let panel = TestPanel::docker().await;
    let git = GitFixture::of(&[("README.md", "a catalog")]);
    let with_data = |image: &str, more: &str| {
        let file = compose(image, "64m", more).replace("    configs:\n      -", "    volumes: ['data:/data']\n    configs:\n      -");
        format!("{file}volumes:\n  data:\n")
    };
    publish(&git, "1.0-1", "", &with_data("nginx:1.22", ""));
    add(&panel, &git).await;
    let made = panel
        .post(
            "/api/v1/catalog/acme:wiki/install",
            json!({"values": {"domain": "wiki.example.test"}}),
        )
        .await
        .expect(201)
        .json();
    panel.live(&text(&made["deployment"], "id")).await;
    let id = text(&made, "id");
    let inside = |command: &str| {
        let all = crate::compose::containers(&id);
        let running: Vec<_> = all.iter().filter(|(_, _, state)| state == "running").collect();
        let [web] = running[..] else { panic!("not one: {all:?}") };
        let said = docker(&docker_host(), &["exec", &web.1, "sh", "-c", command]).unwrap();
        said.trim_end().to_owned()
    };
    inside("echo first >/data/page && chown 101:101 /data/page && head -c 2000000 /dev/zero | tr '\\0' x >/data/large");

    publish(&git, "2.0-1", KEY, &with_data("nginx:1.22", "      KEY: \"{{ key }}\"\n"));
    panel.post("/api/v1/catalogs/acme/refresh", json!({})).await.expect(200);
    let plan = panel.post("/api/v1/apps/wiki/template/plan", json!({})).await.expect(200).json();
    assert_eq!(plan["data"]["volumes"][0]["name"], "data", "{plan}");
    assert!(
        plan["data"]["bytes"].as_u64().unwrap() > 2_000_000 && plan["data"]["problem"].is_null(),
        "{plan}"
    );
    let output = panel.cli(&["catalog", "update", "wiki", "--wait"]).await;
    assert!(output.code == 0 && output.stdout.contains("copied the volume data"), "{output:?}");
    let shown = panel.get("/api/v1/apps/wiki").await.expect(200).json();
    let copy = shown["source"]["template"]["copies"][0].clone();
    assert!(copy["name"] == "data" && copy["bytes"].as_u64().unwrap() > 2_000_000, "{shown}");
    assert_eq!(inside("cat /data/page"), "first", "the new version has the data");
    inside("echo second >/data/page");

    // Back with the data of then; what was written since is kept beside it.
    let output = panel.cli(&["catalog", "update", "wiki", "--undo", "--with-data", "--wait"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    crate::compose::says(&panel, "wiki.example.test", "greeting").await;
    eventually("the newer one goes", Duration::from_secs(60), || async {
        (crate::compose::containers(&id).len() == 1).then_some(())
    })
    .await;
    assert_eq!(inside("cat /data/page && stat -c %u /data/page"), "first\n101");
    let volumes = panel.list("/api/v1/volumes").await;
    let apart = volumes.iter().filter(|volume| volume["apps"] == json!([])).count();
    assert_eq!((volumes.len(), apart), (2, 1), "{volumes:?}");

    // Once more, and forward again: the copy is replaced, and goes with the app.
    for _ in 0..2 {
        let updated = panel.post("/api/v1/apps/wiki/template/update", json!({})).await.expect(200).json();
        panel.live(&text(&updated["deployment"], "id")).await;
        let undone = panel.post("/api/v1/apps/wiki/template/undo", json!({})).await.expect(200).json();
        panel.live(&text(&undone["deployment"], "id")).await;
    }
    let none = panel
        .post("/api/v1/apps/wiki/template/update", json!({"without_copy": true}))
        .await
        .expect(200)
        .json();
    panel.live(&text(&none["deployment"], "id")).await;
    let refused = panel
        .post("/api/v1/apps/wiki/template/undo", json!({"data": true}))
        .await
        .expect(409)
        .text();
    assert!(refused.contains("no copy of the data"), "{refused}");
    let left = docker(&docker_host(), &["ps", "-aq", "--filter", "label=serverkit.copy"]).unwrap();
    assert_eq!(left.trim(), "", "no container of a copy is left");

    // What the way back left goes with the app: the volume that was written to, and the copies.
    let own = panel.list("/api/v1/volumes").await.len();
    assert!(own > 2, "{own} volumes");
    panel.delete("/api/v1/apps/wiki").await.expect(204);
    eventually("its containers go", Duration::from_secs(60), || async {
        crate::compose::containers(&id).is_empty().then_some(())
    })
    .await;
    let purge = panel.cli(&["trash", "purge", "wiki", "--volumes", "--yes"]).await;
    assert_eq!(purge.code, 0, "{purge:?}");
    assert_eq!(panel.list("/api/v1/volumes").await, Vec::<Value>::new(), "nothing is left behind");
}
