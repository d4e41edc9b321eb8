//! What values of a Compose file come to, as a running panel says it: each row of `interpolation.txt`.

use crate::probing::token;
use serde_json::json;
use testkit::{Api, OWNER, TestPanel};

/// The cases of `interpolation.txt`, which says how they are written.
fn interpolation_cases() -> Vec<(&'static str, Result<&'static str, &'static str>)> {
    let lines = include_str!("interpolation.txt").lines();
    let case = |line: &'static str| match (line.split_once(" =>"), line.split_once(" !! ")) {
        (Some((text, value)), None) => (text, Ok(value.trim_start())),
        (None, Some((text, reason))) => (text, Err(reason)),
        _ => panic!("neither `=>` nor `!!` in {line}"),
    };
    lines.filter(|line| !line.starts_with('#')).map(case).collect()
}

#[tokio::test]
async fn values_of_variables_come_out_as_the_table_says() {
    let panel = TestPanel::start().await;
    let source = json!({"kind": "compose", "compose": "services:\n  a: {image: x:1, restart: always}\n"});
    let variables = json!([{"key": "SET", "value": "v"}, {"key": "EMPTY", "value": ""}]);
    let app = json!({"name": "words", "source": source, "variables": variables, "deploy": false});
    panel.create_app(app).await;
    let look = async |file: &str| {
        let body = json!({"compose": file, "app": "words"});
        panel.post("/api/v1/compose/check", body).await.expect(200).json()
    };
    let (taken, refused): (Vec<_>, Vec<_>) = interpolation_cases().into_iter().partition(|(_, expected)| expected.is_ok());
    assert!(taken.len() >= 50 && refused.len() >= 12, "{} and {}", taken.len(), refused.len());

    // What a hook runs is shown as it comes out, so one file asks for all of them.
    let mut file = "services:\n  a:\n    image: x:1\n    restart: always\n    post_start:\n".to_owned();
    for (text, _) in &taken {
        file.push_str(&format!("      - command: [say, '<{text}>']\n"));
    }
    let report = look(&file).await;
    assert_eq!(report["problems"], json!([]), "{report}");
    let said = report["services"][0]["post_start"].as_array().unwrap();
    assert_eq!(said.len(), taken.len(), "{report}");
    for ((text, expected), said) in taken.iter().zip(said) {
        assert_eq!(*said, json!(format!("say <{}>", expected.unwrap())), "{text}");
    }

    for (text, expected) in refused {
        let file = format!("services:\n  a:\n    image: x:1\n    restart: always\n    environment:\n      V: '{text}'\n");
        let report = look(&file).await;
        assert_eq!(report["problems"], json!([{"line": 6, "what": expected.unwrap_err()}]), "{text}");
    }
}

/// Whoever writes a file could ask by it what secret variables are: only those who may see them get their values in what is shown.
#[tokio::test]
async fn values_of_secret_variables_are_not_read_by_a_look() {
    const SECRET: &str = "pelican-lantern-42";
    let panel = TestPanel::start().await;
    let file = |lines: &str| format!("services:\n  a:\n    restart: always\n{lines}");
    let source = json!({"kind": "compose", "compose": file("    image: x:1\n")});
    let variables = json!([{"key": "TAG", "value": "seven"}, {"key": "DB_PASSWORD", "value": SECRET, "secret": true}]);
    let app = json!({"name": "words", "source": source, "variables": variables, "deploy": false});
    panel.create_app(app).await;
    let image = file("    image: x:${TAG}-${DB_PASSWORD}\n");
    let policy = file("    image: x:1\n    pull_policy: ${DB_PASSWORD}\n");
    let look = async |api: &Api, file: &str| {
        let body = json!({"compose": file, "app": "words"});
        api.post("/api/v1/compose/check", body).await.expect(200).json()
    };
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let writes = token(&owner, json!({"name": "writes", "scopes": ["write"]})).await;
    let catalog = token(&owner, json!({"name": "catalog", "scopes": ["catalog:write"]})).await;
    let reads = json!({"name": "reads", "scopes": ["catalog:write", "variables:read"]});
    let reads = token(&owner, reads).await;
    let reveals = json!({"name": "reveals", "scopes": ["catalog:write", "variables:secrets"]});
    let reveals = token(&owner, reveals).await;
    for (who, api, tag) in [
        ("a token without secrets", &writes, "x:seven-hidden"),
        ("a token for the catalog", &catalog, "x:hidden-hidden"),
        ("a token that reads variables", &reads, "x:seven-hidden"),
        ("a token that reveals variables", &reveals, "x:seven-pelican-lantern-42"),
        ("the owner", &owner, "x:seven-pelican-lantern-42"),
    ] {
        let report = look(api, &image).await;
        assert_eq!(report["problems"], json!([]), "{who}: {report}");
        let shown = report["services"][0]["image"].as_str().unwrap_or_default();
        assert!(shown.ends_with(tag), "{who}: {report}");
        let report = look(api, &policy).await;
        assert_ne!(report["problems"], json!([]), "{who}: {report}");
        assert_eq!(report.to_string().contains(SECRET), tag.contains(SECRET), "{who}: {report}");
    }

    // Neither does saving the file tell them.
    let saved = |text: &str| json!({"source": {"kind": "compose", "compose": text}});
    let refused = writes.patch("/api/v1/apps/words", saved(&policy)).await.expect(422).detail();
    assert!(refused.contains("is not supported") && !refused.contains(SECRET), "{refused}");
    writes.patch("/api/v1/apps/words", saved(&image)).await.expect(200);
    let services = async |api: &Api| api.get("/api/v1/apps/words/services").await.expect(200).json();
    let (theirs, ours) = (services(&writes).await, services(&owner).await);
    assert!(!theirs.to_string().contains(SECRET), "{theirs}");
    assert!(ours.to_string().contains(SECRET), "{ours}");
}
