//! Passwords that leaked: refused wherever somebody chooses one, when the administrator keeps a list of them.

use serde_json::json;
use std::fs;
use testkit::{OWNER, Options, TestPanel};

/// Strong by itself; and its SHA-1.
const LEAKED: &str = "four green bottles hang askew";
const HASH: &str = "46CC9CD7C91DB3008D09302EA5C5AC459FB8733E";

#[tokio::test]
async fn a_leaked_password_is_refused_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("leaked.txt");
    let least = "0".repeat(40);
    fs::write(&list, format!("{least}:3\r\n{HASH}:12\r\n")).unwrap();
    let config = format!("[passwords]\nbreached = \"{}\"\n", list.display());
    let panel = Options::default().config(&config).start().await;
    let estimate = panel
        .post("/api/v1/password/estimate", json!({"password": LEAKED}))
        .await
        .expect(200)
        .json();
    assert_eq!(estimate["accepted"], false, "{estimate}");
    assert!(estimate["why"].as_str().unwrap().contains("leaked"), "{estimate}");
    let security = panel.get("/api/v1/security").await.expect(200).json();
    assert_eq!(security["leaked_passwords_refused"], true, "{security}");
    let shown = panel.cli(&["security", "show"]).await.expect(0).stdout;
    for words in ["refused, by the list", "not told: no database"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let user = |password: &str| json!({"email": "bob@example.test", "name": "Bob", "role": "viewer", "password": password});
    let refused = panel.post("/api/v1/users", user(LEAKED)).await.expect(422);
    assert!(
        refused.text().contains("leaked") && !refused.text().contains(LEAKED),
        "{}",
        refused.text()
    );
    panel.post("/api/v1/users", user(OWNER.1)).await.expect(201);
    let browser = panel.signed_in("bob@example.test", OWNER.1).await;
    let change = json!({"password": {"current": OWNER.1, "new": LEAKED}});
    browser.patch("/api/v1/account", change).await.expect(422);
    let made = panel
        .post("/api/v1/invitations", json!({"email": "eve@example.test", "role": "viewer"}))
        .await
        .expect(201)
        .json();
    let word = made["link"].as_str().unwrap().split('#').nth(1).unwrap().to_owned();
    let accept = |password: &str| json!({"token": word, "name": "Eve", "password": password});
    let stranger = panel.browser();
    stranger.post("/api/v1/invitation/accept", accept(LEAKED)).await.expect(422);
    // A list that is gone refuses nobody.
    fs::remove_file(&list).unwrap();
    stranger.post("/api/v1/invitation/accept", accept(LEAKED)).await.expect(201);
    assert!(panel.printed().contains("the list of leaked passwords cannot be read"));
    assert!(!panel.printed().contains(LEAKED));
}

#[tokio::test]
async fn without_a_list_it_is_said_that_there_is_none() {
    let panel = TestPanel::start().await;
    let security = panel.get("/api/v1/security").await.expect(200).json();
    assert_eq!(security["leaked_passwords_refused"], false, "{security}");
    let shown = panel.cli(&["security", "show"]).await.expect(0).stdout;
    assert!(shown.contains("not looked for; name a list"), "{shown}");
}
