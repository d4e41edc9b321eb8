//! What those who came by a provider have here: roles by their groups, ownership of nothing, and no way around the provider.

use super::{Stand, claims, oidc};
use crate::mail::Post;
use serde_json::json;
use testkit::OWNER;

/// A role that people made, in one project: theirs for as long as the group, the rule and the role are there.
#[tokio::test]
async fn groups_give_roles_that_people_made_in_one_place() {
    let stand = Stand::new().await;
    let (panel, owner) = (&stand.panel, &stand.owner);
    let app = json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}});
    let app = panel.create_app(app).await;
    let path = format!("/api/v1/apps/{}", app["id"].as_str().expect("an id"));
    let projects = owner.list("/api/v1/projects").await;
    let text = |name: &str| projects[0][name].as_str().expect("a text").to_owned();
    let (here, by_name) = (format!("project:{}", text("id")), format!("project:{}", text("name")));
    owner.post("/api/v1/projects", json!({"name": "other"})).await.expect(201);
    let role = json!({"name": "Builder", "rights": ["configure"]});
    owner.post("/api/v1/roles", role).await.expect(201);
    let provider = format!("/api/v1/identity-providers/{}", stand.provider);
    let put = async |role: &str, place: &str| {
        let mut body = oidc("Example", &stand.peer.issuer, "panel", None);
        body["groups"] = json!([{"group": "dev", "role": role, "place": place}]);
        owner.put(&provider, body).await
    };
    for (role, place, words) in [
        ("Nobody", "organization", "no role named"),
        ("Builder", "project:nowhere", "no project named"),
        ("Builder", "nowhere", "must be `organization`"),
        ("owner", here.as_str(), "cannot make owners"),
    ] {
        let refused = put(role, place).await.expect(422).code("invalid").text();
        assert!(refused.contains(words) && refused.contains("groups"), "{refused}");
    }
    let kept = put("Builder", by_name.as_str()).await.expect(200).json();
    assert_eq!(kept["groups"], json!([{"group": "dev", "role": "Builder", "place": here}]));

    stand.person("bob", claims("bob@example.com", &["dev"])).await;
    let bob = panel.browser();
    let session = stand.sign_in(&bob, "bob").await.expect(201).json();
    assert_eq!(session["user"]["role"], "member");
    bob.patch(&path, json!({"port": 81})).await.expect(200);
    bob.delete(&path).await.expect(403);
    // The rule is another, for who is signed in too.
    put("Builder", "project:other").await.expect(200);
    assert!(bob.list("/api/v1/apps").await.is_empty());
    put("Builder", here.as_str()).await.expect(200);
    assert_eq!(bob.list("/api/v1/apps").await.len(), 1);
    // Without the role there is nothing, not more; and the rule is in nobody's way.
    owner.delete("/api/v1/roles/Builder").await.expect(204);
    bob.get("/api/v1/apps").await.expect(403);
    stand.sign_in(&bob, "bob").await.expect(201);
    bob.get("/api/v1/apps").await.expect(403);
    panel.cli(&["identity-provider", "disable", "Example"]).await.expect(0);
    bob.get("/api/v1/apps").await.expect(401);
    let made = [
        "identity-provider",
        "add-oidc",
        "Another",
        "--issuer",
        "http://127.0.0.1:1",
        "--client-id",
        "x",
        "--group",
        "cn=ops,dc=example=viewer@project:other",
    ];
    panel.cli(&made).await.expect(0);
    let list = panel.cli(&["--json", "identity-provider", "list"]).await.expect(0).json();
    let items = list["items"].as_array().expect("a list");
    let rule = &items.iter().find(|one| one["name"] == "Another").expect("it is in the list")["groups"][0];
    assert_eq!(
        (&rule["group"], &rule["role"]),
        (&json!("cn=ops,dc=example"), &json!("viewer")),
        "{list}"
    );
    assert!(
        rule["place"]
            .as_str()
            .is_some_and(|place| place.starts_with("project:") && *place != here),
        "{list}"
    );
}

/// Owners are the panel's own, also those of another organization than the provider's.
#[tokio::test]
async fn who_came_by_a_provider_is_an_owner_nowhere() {
    let stand = Stand::new().await;
    let panel = &stand.panel;
    stand.person("bob", claims("bob@example.com", &["dev"])).await;
    let bob = panel.browser();
    stand.sign_in(&bob, "bob").await.expect(201);
    let acme = panel.organization("acme").await;
    let switch = json!({"organization": "acme"});
    let wish = json!({"email": "bob@example.com", "role": "owner"});
    let made = acme.post("/api/v1/invitations", wish).await.expect(201).json();
    let word = made["link"].as_str().expect("a link").split('#').nth(1).expect("a word").to_owned();
    bob.post("/api/v1/invitation/join", json!({"token": word})).await.expect(200);
    let refused = bob.post("/api/v1/session/switch", switch.clone()).await.expect(403).detail();
    assert!(refused.contains("password or a passkey"), "{refused}");
    bob.get("/api/v1/apps").await.expect(200);
    let people = acme.list("/api/v1/users").await;
    let id = people.iter().find(|one| one["email"] == "bob@example.com").expect("he is in it")["id"].clone();
    let path = format!("/api/v1/users/{}", id.as_str().expect("an id"));
    acme.patch(&path, json!({"role": "developer"})).await.expect(200);
    bob.post("/api/v1/session/switch", switch).await.expect(200);
    bob.get("/api/v1/apps").await.expect(200);
    acme.patch(&path, json!({"role": "owner"})).await.expect(200);
    bob.get("/api/v1/apps").await.expect(401);
}

/// Who is taken away at the provider must not come back by a password that they make themselves.
#[tokio::test]
async fn who_signs_in_by_a_provider_gets_no_link_for_a_password() {
    let (stand, post) = (Stand::new().await, Post::start("starttls").await);
    let panel = &stand.panel;
    panel.put("/api/v1/mail", post.wish()).await.expect(200);
    stand.person("bob", claims("bob@example.com", &["dev"])).await;
    stand.sign_in(&panel.browser(), "bob").await.expect(201);
    let forgot = async |email: &str| {
        let asked = panel.anonymous().post("/api/v1/password/forgotten", json!({"email": email})).await;
        assert_eq!(
            (asked.status.as_u16(), asked.text().as_str()),
            (204, ""),
            "nobody learns who has a password"
        );
    };
    forgot("bob@example.com").await;
    forgot(OWNER.0).await;
    post.mail(OWNER.0, "new password").await;
    assert!(post.found("bob@example.com", "").is_empty());
    // Who has a password beside the provider's account may forget it, whether it was there first or was given later.
    const OWN: &str = "nine brave lanterns hum";
    let wish = json!({"email": "cy@example.com", "name": "Cy", "role": "viewer", "password": OWN});
    panel.post("/api/v1/users", wish).await.expect(201);
    for (who, has_one) in [("cy", true), ("dan", false)] {
        let email = format!("{who}@example.com");
        stand.person(who, claims(&email, &["dev"])).await;
        stand.sign_in(&panel.browser(), who).await.expect(201);
        forgot(&email).await;
        if has_one {
            post.mail(&email, "new password").await;
        }
    }
    let signed = json!({"email": "cy@example.com", "password": OWN});
    panel.browser().post("/api/v1/session", signed).await.expect(201);
    let people = stand.owner.list("/api/v1/users").await;
    let dan = people
        .iter()
        .find(|one| one["email"] == "dan@example.com")
        .expect("he has an account");
    let path = format!("/api/v1/users/{}", dan["id"].as_str().expect("an id"));
    assert!(post.found("dan@example.com", "").is_empty());
    panel.patch(&path, json!({"password": OWN})).await.expect(200);
    forgot("dan@example.com").await;
    post.mail("dan@example.com", "new password").await;
    // Owners sign in by what is the panel's own, so they may make one.
    let people = stand.owner.list("/api/v1/users").await;
    let bob = people
        .iter()
        .find(|one| one["email"] == "bob@example.com")
        .expect("he has an account");
    let path = format!("/api/v1/users/{}", bob["id"].as_str().expect("an id"));
    stand.owner.patch(&path, json!({"role": "owner"})).await.expect(200);
    forgot("bob@example.com").await;
    post.mail("bob@example.com", "new password").await;
}
