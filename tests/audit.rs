//! The audit log of a running panel: who, from where, what before and after; searched, exported, checked.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use testkit::{OWNER, TestPanel, eventually};

const SECRET: &str = "correct-horse-9f3a";

fn find<'a>(entries: &'a [Value], what: &str) -> &'a Value {
    let found = entries.iter().find(|entry| entry["what"] == what);
    found.unwrap_or_else(|| panic!("no {what} in {entries:#?}"))
}

fn field<'a>(entry: &'a Value, name: &str) -> &'a Value {
    let fields = entry["changes"][0]["fields"].as_array().expect("a list");
    let found = fields.iter().find(|field| field["field"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {entry:#}"))
}

/// The log is one chain over all organizations; what others do, how much and when, does not show in it.
#[tokio::test]
async fn another_organizations_changes_do_not_show() {
    let panel = TestPanel::start().await;
    let there = panel.organization("acme").await;
    let change = async |name: &str| {
        there.post("/api/v1/projects", json!({"name": name})).await.expect(201);
    };
    let check = async || there.get("/api/v1/audit/verification").await.expect(200).json();
    change("one").await;
    let before = check().await;
    for name in ["a", "b", "c"] {
        panel.post("/api/v1/projects", json!({"name": name})).await.expect(201);
    }
    assert_eq!(check().await, before, "nothing of it changes by what others do");
    assert_eq!(before["holds"], true);
    for name in ["two", "three", "four"] {
        change(name).await;
    }
    let own = there.list("/api/v1/audit").await;
    assert!(own.iter().all(|entry| entry["previous"] == ""), "{own:?}");
    assert_eq!(check().await["entries"].as_u64(), Some(own.len() as u64));
    // In parts, by cursor and by number, it is the same.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = there.get(&format!("/api/v1/audit?limit=2{cursor}")).await.expect(200).json();
        paged.extend(
            page["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|entry| entry["number"].clone()),
        );
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut numbers: Vec<Value> = own.iter().map(|entry| entry["number"].clone()).collect();
    assert_eq!(paged, numbers);
    numbers.reverse();
    let exported = there.get("/api/v1/audit/export").await.expect(200).text();
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().map(|line| line["sequence"].clone()).collect::<Vec<_>>(), numbers);
    let rest = there
        .get(&format!("/api/v1/audit/export?after={}", numbers[1]))
        .await
        .expect(200)
        .text();
    assert_eq!(rest.lines().count(), numbers.len() - 2);
    // What was noted is found again, and what was not there is not.
    let noted = format!("{}:{}", before["last"], before["hash"].as_str().expect("a hash"));
    let holds = |known: String| {
        let there = &there;
        async move {
            let path = format!("/api/v1/audit/verification?known={known}");
            there.get(&path).await.expect(200).json()["holds"].clone()
        }
    };
    assert_eq!(holds(noted).await, true);
    assert_eq!(holds(format!("7:{}", "a".repeat(64))).await, false);
}

#[tokio::test]
async fn every_change_is_told_and_no_secret_is() {
    let panel = TestPanel::start().await;
    let app = panel
        .post(
            "/api/v1/apps",
            json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}, "deploy": false}),
        )
        .await
        .expect(201)
        .json();
    let id = app["id"].as_str().expect("an id");
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    browser
        .patch(&format!("/api/v1/apps/{id}"), json!({"port": 8123}))
        .await
        .expect(200);
    let variable = json!({"set": [{"key": "TOKEN", "value": SECRET, "secret": true}], "unset": []});
    browser.patch(&format!("/api/v1/apps/{id}/variables"), variable).await.expect(200);
    browser.get(&format!("/api/v1/apps/{id}/variables?reveal=true")).await.expect(200);
    panel.cli(&["app", "update", "blog", "--port", "8124"]).await.expect(0);
    let nobody = panel.browser();
    let wrong = json!({"email": OWNER.0, "password": SECRET});
    nobody.post("/api/v1/session", wrong).await.expect(401);
    // Refused: nothing was done.
    browser.patch(&format!("/api/v1/apps/{id}"), json!({"port": 0})).await.expect(422);

    let entries = panel.list("/api/v1/audit").await;
    let newest = find(&entries, "app.changed");
    assert_eq!(newest["by_kind"], "machine");
    assert_eq!(
        field(newest, "port"),
        &json!({"field": "port", "before": "8123", "after": "8124", "secret": false})
    );
    let changes: Vec<&Value> = entries.iter().filter(|entry| entry["what"] == "app.changed").collect();
    let by_browser = changes.iter().find(|entry| entry["by"] == OWNER.0).expect("told");
    assert_eq!(by_browser["address"], "127.0.0.1");
    assert_eq!(field(by_browser, "port")["after"], "8123");
    let made = find(&entries, "app.created");
    assert_eq!(made["by_kind"], "token");
    assert_eq!(made["changes"][0]["name"], "blog");
    let variable = find(&entries, "variable.created");
    assert_eq!(
        field(variable, "value"),
        &json!({"field": "value", "before": null, "after": null, "secret": true})
    );
    assert_eq!(variable["text"], "created variable TOKEN of app blog");
    assert_eq!(find(&entries, "secrets_revealed")["by"], OWNER.0);
    assert_eq!(find(&entries, "signed_in")["address"], "127.0.0.1");
    assert!(find(&entries, "login_failed")["text"].as_str().expect("text").contains(OWNER.0));

    for (query, expected) in [
        ("what=app.changed&by=machine", 1),
        ("what=app.changed&by=root", 1),
        ("what=app.changed&text=8123", 2),
        ("what=app.changed&text=8123+nothing-like-it", 0),
        ("what=app&until=2001-01-01T00:00:00Z", 0),
        ("what=app.created&since=2001-01-01T00:00:00Z", 1),
        ("what=variable&text=blog", 1),
        ("what=login_failed&by=127.0.0.1", 1),
    ] {
        let found = panel.list(&format!("/api/v1/audit?{query}")).await.len();
        let holds = found == expected || query.ends_with("by=machine") && found == 0;
        assert!(holds, "{query}: {found}");
    }
    let paged = panel.list("/api/v1/audit?limit=3").await;
    assert!(paged.len() >= entries.len());
    for wrong in ["limit=0", "limit=501", "cursor=x", "since=yesterday"] {
        let status = panel.get(&format!("/api/v1/audit?{wrong}")).await.status.as_u16();
        assert!(matches!(status, 400 | 422), "{wrong}: {status}");
    }
}

#[tokio::test]
async fn parts_are_told_with_the_app_that_they_are_of() {
    let panel = TestPanel::start().await;
    let body = json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}, "domains": ["blog.test"], "deploy": false});
    let app = panel.post("/api/v1/apps", body).await.expect(201).json();
    let id = app["id"].as_str().expect("an id");
    panel
        .patch(&format!("/api/v1/apps/{id}/webhook"), json!({"branches": ["main"]}))
        .await
        .expect(200);
    let place = app["project"]["id"].as_str().expect("an id");
    panel
        .put(&format!("/api/v1/projects/{place}/quota"), json!({"apps": 7}))
        .await
        .expect(200);
    let entries = panel.list("/api/v1/audit").await;
    // The app comes before what belongs to it.
    let made = find(&entries, "app.created");
    assert_eq!(made["text"], "created app blog; and 1 more");
    assert_eq!(made["changes"][1]["name"], "blog.test of app blog");
    assert_eq!(find(&entries, "webhook.created")["text"], "created webhook of app blog");
    let project = app["project"]["name"].as_str().expect("a name");
    assert_eq!(
        find(&entries, "quota.created")["text"],
        format!("created quota of project {project}")
    );
}

/// Without any of our code: each line hashes to its own hash, and names the one before.
#[tokio::test]
async fn an_export_is_checked_by_others_and_the_check_survives_a_restart() {
    let mut panel = TestPanel::start().await;
    for name in ["shop", "press", "forge"] {
        panel.post("/api/v1/projects", json!({"name": name})).await.expect(201);
    }
    let file = panel.data().join("audit.jsonl");
    panel
        .cli(&["audit", "export", "--output", file.to_str().expect("text")])
        .await
        .expect(0);
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(!text.contains("argon2"), "{text}");
    let mut before = "0".repeat(64);
    let mut last = 0;
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        let hash = entry["hash"].as_str().expect("a hash");
        let without = line.replacen(&format!("\"hash\":\"{hash}\","), "", 1);
        let digest: String = Sha256::digest(without.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, hash, "{line}");
        assert_eq!(entry["previous"], before.as_str());
        last = entry["sequence"].as_u64().expect("a number");
        before = hash.to_owned();
    }
    assert!(last > 5, "{text}");

    let known = format!("{last}:{before}");
    panel.cli(&["audit", "verify", "--known", &known]).await.expect(0);
    panel.kill();
    panel.start_again().await;
    panel.post("/api/v1/projects", json!({"name": "after"})).await.expect(201);
    let said = panel.cli(&["audit", "verify", "--known", &known]).await.expect(0);
    assert!(said.stdout.contains("entries hold"), "{}", said.stdout);
    let other = format!("{last}:{}", "0".repeat(64));
    let said = panel.cli(&["audit", "verify", "--known", &other]).await.expect(1);
    assert!(said.stdout.contains(&format!("BROKEN at entry #{last}")), "{}", said.stdout);
    panel.cli(&["audit", "verify", "--known", "nonsense"]).await.expect(1);
    let said = panel.cli(&["--json", "audit", "verify"]).await.expect(0);
    assert_eq!(said.json()["holds"], true);
    let said = panel
        .cli(&["audit", "list", "--what", "project.created", "--fields", "after"])
        .await
        .expect(0);
    assert!(said.stdout.contains("created project after"), "{}", said.stdout);

    panel.patch("/api/v1/security", json!({"audit_days": 29})).await.expect(422);
    panel.patch("/api/v1/security", json!({"audit_days": 60})).await.expect(200);
    let entries = panel.list("/api/v1/audit?what=setting").await;
    assert_eq!(field(&entries[0], "audit_days")["after"], "60");
}

#[tokio::test]
async fn what_is_old_goes_and_the_rest_still_holds() {
    let mut panel = TestPanel::start().await;
    panel.post("/api/v1/projects", json!({"name": "early"})).await.expect(201);
    panel.patch("/api/v1/security", json!({"audit_days": 30})).await.expect(200);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+40d"))).await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    owner.post("/api/v1/projects", json!({"name": "late"})).await.expect(201);
    let kept = eventually("old entries go", Duration::from_secs(60), || async {
        let report = owner.get("/api/v1/audit/verification").await.expect(200).json();
        (report["first"].as_u64() > Some(1)).then_some(report)
    })
    .await;
    assert_eq!(kept["holds"], true, "{kept}");
    let entries = owner.list("/api/v1/audit?what=project.created").await;
    let names: Vec<&Value> = entries.iter().map(|entry| &entry["changes"][0]["name"]).collect();
    assert_eq!(names, [&json!("late")]);
    panel.cli(&["audit", "verify"]).await.expect(0);
}
