//! What a plan tells before anything is made: domains of further ports, and accounts that everybody knows.

use crate::deploy::text;
use serde_json::json;
use testkit::TestPanel;

#[tokio::test]
async fn further_ports_get_the_domains_that_are_asked_for() {
    let panel = TestPanel::start().await;
    let detail = panel.get("/api/v1/catalog/minio").await.expect(200).json();
    let asked = detail["variables"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&asked["name"], &asked["kind"], &asked["required"]),
        (&json!("domain_minio_9001"), &json!("domain"), &json!(false)),
    );
    let shown = panel.cli(&["catalog", "show", "minio"]).await;
    assert!(shown.stdout.contains("domain_minio_9001"), "{shown:?}");

    let plan = "/api/v1/catalog/minio/plan";
    let body = |console: &str| json!({"values": {"domain": "files.test", "domain_minio_9001": console}});
    // None is made up.
    assert_eq!(panel.post(plan, body("")).await.expect(200).json()["further_domains"], json!([]));
    let planned = panel.post(plan, body("console.test")).await.expect(200).json();
    let further = json!([{"host": "console.test", "service": "minio", "port": 9001}]);
    assert_eq!(planned["further_domains"], further, "{planned}");
    for (console, words) in [("files.test", "another port"), ("no domain", "domain name")] {
        let refused = panel.post(plan, body(console)).await.expect(422).json();
        assert_eq!(refused["field"], "domain_minio_9001", "{refused}");
        assert!(text(&refused, "detail").contains(words), "{refused}");
    }
    assert_eq!(panel.list("/api/v1/apps").await.len(), 0, "nothing was made");

    let further = "domain_minio_9001=console.test";
    let install = ["catalog", "install", "minio", "-d", "files.test", "--set", further];
    let told = panel.cli(&[&install[..], &["--plan"]].concat()).await;
    assert!(told.stdout.contains("console.test to minio:9001"), "{told:?}");
    let made = panel.cli(&install).await;
    assert_eq!(made.code, 0, "{made:?}");
    let mut domains = panel.list("/api/v1/apps/minio/domains").await;
    domains.sort_by_key(|domain| text(domain, "host"));
    let shown: Vec<_> = domains
        .iter()
        .map(|one| (text(one, "host"), &one["service"], &one["service_port"], &one["primary"]))
        .collect();
    assert_eq!(
        shown,
        [
            ("console.test".to_owned(), &json!("minio"), &json!(9001), &json!(false)),
            ("files.test".to_owned(), &json!(null), &json!(null), &json!(true)),
        ],
    );
    // Another app cannot have it.
    let wish = json!({"name": "two", "values": {"domain": "two.test", "domain_minio_9001": "console.test"}});
    let refused = panel.post("/api/v1/catalog/minio/install", wish).await.expect(409).json();
    assert_eq!(refused["code"], "taken", "{refused}");
    assert_eq!(panel.list("/api/v1/apps").await.len(), 1, "nothing was made");
}

#[tokio::test]
async fn an_account_that_everybody_knows_is_told_before() {
    let panel = TestPanel::start().await;
    let plan = ["catalog", "install", "joplin-server", "-d", "notes.test", "--plan"];
    let told = panel.cli(&plan).await;
    let words = "anybody can sign in as `admin@localhost` with the password `admin` until you change it";
    assert!(told.code == 0 && told.stdout.contains(words), "{told:?}");
    let wish = json!({"values": {"domain": "tools.test"}});
    let planned = panel.post("/api/v1/catalog/adminer/plan", wish).await.expect(200).json();
    assert!(!planned["warnings"].to_string().contains("anybody"), "{planned}");
}

/// Not only the usual one is rendered: what each version comes to is asked for, with the image that it says it is.
#[tokio::test]
async fn every_version_that_is_offered_can_be_planned() {
    let panel = TestPanel::start().await;
    let mut planned = 0;
    for entry in panel.list("/api/v1/catalog").await {
        let name = text(&entry, "name");
        let detail = panel.get(&format!("/api/v1/catalog/{name}")).await.expect(200).json();
        let mut values = json!({});
        for asked in detail["variables"].as_array().unwrap() {
            if asked["required"] == true {
                values[text(asked, "name")] = match asked["kind"].as_str() {
                    Some("domain") => json!(format!("{name}.test")),
                    Some("mail") => json!("you@example.test"),
                    _ => continue,
                };
            }
        }
        for version in detail["versions"].as_array().unwrap() {
            let wish = json!({"values": values, "version": version["name"]});
            let plan = panel.post(&format!("/api/v1/catalog/{name}/plan"), wish).await.expect(200).json();
            assert_eq!(plan["chosen"], version["name"], "{name}: {plan}");
            let services = plan["services"].as_array().unwrap();
            assert!(services.iter().any(|one| one["image"] == version["image"]), "{name}: {plan}");
            planned += 1;
        }
    }
    assert!(planned > 25, "{planned} versions");
}
