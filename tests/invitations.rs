//! Invitations: a copied link makes one account, once, and nothing else gets in by it.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Api, OWNER, TestPanel};

const PASSWORD: &str = "eleven green kettles boil";

#[tokio::test]
async fn a_link_lets_one_person_in_once() {
    let panel = TestPanel::start().await;
    let wish = json!({"email": "bob@example.test", "role": "developer"});
    let made = panel.post("/api/v1/invitations", wish.clone()).await.expect(201).json();
    let link = made["link"].as_str().unwrap();
    let token = link.split('#').nth(1).unwrap();
    assert!(link.starts_with("https://") && link.contains("/invitation#"), "{link}");
    panel.post("/api/v1/invitations", wish).await.expect(409).code("taken");
    assert!(!panel.get("/api/v1/invitations").await.expect(200).text().contains(token));

    let bob = panel.browser();
    let shown = bob.post("/api/v1/invitation", json!({"token": token})).await.expect(200).json();
    assert_eq!((&shown["email"], &shown["role"]), (&json!("bob@example.test"), &json!("developer")));
    let weak = json!({"token": token, "name": "Bob", "password": "qwertyuiop1"});
    bob.post("/api/v1/invitation/accept", weak).await.expect(422);
    // Nobody chooses another address or role than the one that was meant.
    let more = json!({"token": token, "name": "Bob", "password": PASSWORD, "role": "owner"});
    bob.post("/api/v1/invitation/accept", more).await.expect(422);
    let accept = json!({"token": token, "name": "Bob", "password": PASSWORD});
    let made = bob.post("/api/v1/invitation/accept", accept.clone()).await.expect(201).json();
    assert_eq!(made["user"]["role"], "developer");
    bob.get("/api/v1/apps").await.expect(200);
    bob.get("/api/v1/users").await.expect(403);

    // Used, made up and revoked links answer alike.
    let other = panel
        .post("/api/v1/invitations", json!({"email": "eve@example.test", "role": "viewer"}))
        .await
        .expect(201)
        .json();
    let revoked = other["link"].as_str().unwrap().split('#').nth(1).unwrap();
    let id = other["invitation"]["id"].as_str().unwrap();
    panel.delete(&format!("/api/v1/invitations/{id}")).await.expect(204);
    let mut answers = Vec::new();
    for token in [token, revoked, "made-up", ""] {
        let body = json!({"token": token, "name": "Bob", "password": PASSWORD});
        for (path, body) in [("/api/v1/invitation", json!({"token": token})), ("/api/v1/invitation/accept", body)] {
            answers.push(refused(&panel.anonymous(), path, body).await);
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");

    let entries = panel.list("/api/v1/audit?what=invitation").await;
    let verbs: Vec<&str> = entries.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(
        verbs,
        [
            "invitation.removed",
            "invitation.created",
            "invitation.removed",
            "invitation.created"
        ]
    );
    assert_eq!(entries[2]["by"], "bob@example.test");
    assert!(!json!(entries).to_string().contains(token));
}

/// What a wrong link is told, waiting as long as guessing is slowed down.
async fn refused(api: &Api, path: &str, body: Value) -> Value {
    for _ in 0..60 {
        let reply = api.post(path, body.clone()).await;
        if reply.status != 429 {
            return reply.expect(403).json()["detail"].clone();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{path} is slowed down for a minute");
}

#[tokio::test]
async fn invitations_by_the_command_line() {
    let panel = TestPanel::start().await;
    let said = panel
        .cli(&["user", "invite", "cy@example.test", "--role", "viewer", "--days", "2"])
        .await
        .expect(0)
        .stdout;
    assert!(said.lines().next().unwrap().contains("/invitation#"), "{said}");
    let listed = panel.cli(&["user", "invitations"]).await.expect(0).stdout;
    assert!(listed.contains("cy@example.test"), "{listed}");
    panel.cli(&["user", "uninvite", "cy@example.test"]).await.expect(0);
    panel.cli(&["user", "uninvite", "cy@example.test"]).await.expect(4);
    panel.cli(&["user", "invite", "cy@example.test", "--days", "31"]).await.expect(1);
}

/// Whoever invites an address learns nothing of accounts in other organizations; who has one joins with it.
#[tokio::test]
async fn an_account_is_invited_into_a_second_organization() {
    let panel = TestPanel::start().await;
    let body = json!({"email": "bob@example.test", "name": "Bob", "role": "viewer", "password": PASSWORD});
    panel.post("/api/v1/users", body).await.expect(201);
    let owner = panel.organization("acme").await;
    let mut words = Vec::new();
    for email in ["bob@example.test", "nobody@example.test"] {
        let wish = json!({"email": email, "role": "developer"});
        let made = owner.post("/api/v1/invitations", wish.clone()).await.expect(201).json();
        words.push(made["link"].as_str().unwrap().split('#').nth(1).unwrap().to_owned());
        owner.post("/api/v1/invitations", wish).await.expect(409);
    }
    let stranger = panel.anonymous();
    let look = async |word: &str| stranger.post("/api/v1/invitation", json!({"token": word})).await.expect(200).json();
    let shown = look(&words[0]).await;
    assert_eq!((&shown["organization"], &shown["has_account"]), (&json!("acme"), &json!(true)));
    assert_eq!(look(&words[1]).await["has_account"], false);
    // The link alone is no way into the account.
    let accept = json!({"token": words[0], "name": "Eve", "password": "nine brown foxes at dusk"});
    stranger.post("/api/v1/invitation/accept", accept).await.expect(409);
    stranger
        .post("/api/v1/invitation/join", json!({"token": words[0]}))
        .await
        .expect(401);
    panel.post("/api/v1/invitation/join", json!({"token": words[0]})).await.expect(404);
    let bob = panel.signed_in("bob@example.test", PASSWORD).await;
    bob.post("/api/v1/invitation/join", json!({"token": words[1]})).await.expect(404);
    let joined = bob
        .post("/api/v1/invitation/join", json!({"token": words[0]}))
        .await
        .expect(200)
        .json();
    assert_eq!(joined["name"], "acme");
    bob.post("/api/v1/invitation/join", json!({"token": words[0]})).await.expect(404);
    assert_eq!(bob.list("/api/v1/organizations").await.len(), 2);
    bob.post("/api/v1/session/switch", json!({"organization": "acme"}))
        .await
        .expect(200);
    let session = bob.get("/api/v1/session").await.expect(200).json();
    assert_eq!(session["user"]["role"], "developer", "{session}");
    owner.patch("/api/v1/organizations/acme", json!({"name": "lab"})).await.expect(200);
    bob.patch("/api/v1/organizations/lab", json!({"name": "mine"})).await.expect(403);
    owner
        .patch("/api/v1/organizations/default", json!({"name": "mine"}))
        .await
        .expect(404);
    // Neither organization's log tells of what is in the other.
    let entries = panel.list("/api/v1/audit").await;
    assert!(
        !entries
            .iter()
            .any(|entry| entry["what"] == "membership.created" && entry.to_string().contains("bob")),
        "{entries:?}"
    );
}

/// Whose account reaches further than one organization is not let in as by its administrators, there or here.
#[tokio::test]
async fn an_administrator_takes_nobody_over_who_is_elsewhere_too() {
    let panel = TestPanel::start().await;
    let owner = panel.organization("acme").await;
    let bob = owner.join("bob@acme.test", "Bob", "developer", PASSWORD).await;
    let path = format!("/api/v1/users/{}", bob["id"].as_str().unwrap());
    let other = "nine brown foxes at dusk";
    let password = |word: &str| json!({"password": word});
    owner.patch(&path, password(other)).await.expect(200);
    owner.patch(&path, password(PASSWORD)).await.expect(200);

    // He is let into the one that runs the panel, as an administrator.
    let wish = json!({"email": "bob@acme.test", "role": "admin"});
    let made = panel.post("/api/v1/invitations", wish).await.expect(201).json();
    let word = made["link"].as_str().unwrap().split('#').nth(1).unwrap().to_owned();
    let browser = panel.signed_in("bob@acme.test", PASSWORD).await;
    browser.post("/api/v1/invitation/join", json!({"token": word})).await.expect(200);
    let refused = owner.patch(&path, password(other)).await.expect(403).detail();
    assert!(refused.contains("reaches further than this organization"), "{refused}");
    owner.delete(&format!("{path}/second-factor")).await.expect(403);
    browser.get("/api/v1/session").await.expect(200);
    owner.patch(&path, json!({"name": "Robert"})).await.expect(200);
    // An administrator of the other organization, of which he is a guest, no more than before.
    let body = json!({"email": "adm@example.test", "name": "Adm", "role": "admin", "password": PASSWORD});
    panel.post("/api/v1/users", body).await.expect(201);
    let admin = panel.signed_in("adm@example.test", PASSWORD).await;
    admin.patch(&path, password(other)).await.expect(403);
    // Those who run the panel help who has no mail.
    panel.patch(&path, password(other)).await.expect(200);
    browser.get("/api/v1/session").await.expect(401);
    panel.signed_in("bob@acme.test", other).await;
}

/// Which organizations there are is not told by what is taken, and a tab that shows another one does nothing.
#[tokio::test]
async fn an_organization_does_not_learn_the_names_of_others() {
    let panel = TestPanel::start().await;
    for name in ["acme", "zqhidden"] {
        let made = json!({"name": name, "owner": OWNER.0});
        panel.post("/api/v1/organizations", made).await.expect(201);
    }
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let before = owner.get("/api/v1/session").await.expect(200).json();
    owner
        .post("/api/v1/session/switch", json!({"organization": "acme"}))
        .await
        .expect(200);
    let after = owner.get("/api/v1/session").await.expect(200).json();
    assert_ne!(before["csrf"], after["csrf"]);
    owner.set_csrf(before["csrf"].as_str().unwrap());
    owner.post("/api/v1/projects", json!({"name": "stray"})).await.expect(403);
    owner.set_csrf(after["csrf"].as_str().unwrap());
    owner.post("/api/v1/projects", json!({"name": "meant"})).await.expect(201);

    owner.join("eve@acme.test", "Eve", "owner", PASSWORD).await;
    let eve = panel.signed_in("eve@acme.test", PASSWORD).await;
    let mut answers = Vec::new();
    for name in ["zqhidden", "nosuch"] {
        let renamed = eve.patch("/api/v1/organizations/acme", json!({"name": name})).await;
        answers.push(renamed.expect(403).detail());
        eve.post("/api/v1/session/switch", json!({"organization": name})).await.expect(404);
        eve.get(&format!("/api/v1/organizations/{name}/delete-plan")).await.expect(404);
    }
    assert_eq!(answers[0], answers[1]);
    owner.patch("/api/v1/organizations/acme", json!({"name": "lab"})).await.expect(200);
}
