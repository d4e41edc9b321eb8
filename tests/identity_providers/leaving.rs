//! Who signs out at the provider, or is taken away there, is out here: logouts that it tells of, and what it answers when it is asked again.

use super::{Peer, Stand, back, begin, claims, from_page, oidc, query};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Api, OWNER, Reply, TestPanel, eventually};

/// As a provider tells that somebody has signed out.
async fn log_out(panel: &TestPanel, provider: &str, token: &str) -> Reply {
    let api = panel.anonymous();
    let request = api.request(Method::POST, &format!("/oidc/{provider}/logout"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    api.send(request.body(format!("logout_token={token}"))).await
}

#[tokio::test]
async fn who_signs_out_at_the_provider_is_out_here() {
    let stand = Stand::new().await;
    let panel = &stand.panel;
    let shown = stand.owner.get(&format!("/api/v1/identity-providers/{}", stand.provider)).await;
    let path = shown.expect(200).json()["logout"].as_str().expect("a path").to_owned();
    stand.person("bob", claims("bob@example.com", &["dev"])).await;
    let (first, second) = (panel.browser(), panel.browser());
    for browser in [&first, &second] {
        stand.sign_in(browser, "bob").await.expect(201);
        browser.get("/api/v1/apps").await.expect(200);
    }
    // The browser of the second sign-in signs out there: that session ends, the other one is another.
    let url = format!("{}{path}", panel.url());
    let handed = stand.peer.tell(&stand.owner, "/leave", json!({"url": url})).await;
    assert_eq!(
        (&handed["handed"][0]["status"], &handed["handed"][1]),
        (&json!(200), &Value::Null),
        "{handed}"
    );
    second.get("/api/v1/apps").await.expect(401);
    first.get("/api/v1/apps").await.expect(200);
    // Once.
    let token = handed["handed"][0]["token"].as_str().expect("a token");
    let again = log_out(panel, &stand.provider, token).await.expect(400).json();
    assert_eq!(again["error"], "invalid_request", "{again}");
    log_out(panel, "idp_nobody", token).await.expect(400);
    panel.anonymous().post(&path, json!({})).await.expect(400);
    panel.anonymous().get(&path).await.expect(404);
}

/// Renews until the answer is this one: whose session it is may be asked about by the job in the same moment.
async fn renewed(browser: &Api, wanted: impl Fn(&Reply) -> bool) -> Reply {
    eventually("the provider's answer shows", Duration::from_secs(30), || async {
        let reply = browser.post("/api/v1/session/refresh", json!({})).await;
        wanted(&reply).then_some(reply)
    })
    .await
}

#[tokio::test]
async fn who_is_taken_away_at_the_provider_is_out_here() {
    let Stand {
        mut panel,
        owner,
        peer,
        provider,
    } = Stand::new().await;
    let person = async |account: &str, claims: Value| {
        peer.tell(&owner, "/people", json!({"account": account, "claims": claims})).await;
    };
    let enter = async |panel: &TestPanel, account: &str| {
        let browser = panel.browser();
        let url = begin(panel, &browser, &provider).await;
        assert!(query(&url, "scope").is_some_and(|scope| scope.contains("offline_access")), "{url}");
        let walked = peer.tell(&owner, "/walk", json!({"url": url, "account": account})).await;
        let returned = back(walked["location"].as_str().expect("sent back"));
        from_page(panel, &browser, "/api/v1/session/oidc", returned).await.expect(201);
        browser
    };
    person("bob", claims("bob@example.com", &["dev"])).await;
    person("amy", claims("amy@example.com", &["dev"])).await;
    let bob = enter(&panel, "bob").await;
    let amy = enter(&panel, "amy").await;
    let made = bob
        .post("/api/v1/tokens", json!({"name": "ci", "scope": "read"}))
        .await
        .expect(201)
        .json();
    let script = panel.with_token(made["secret"].as_str().expect("shown once"));

    // Ten minutes have passed: other groups give another role.
    person("bob", claims("bob@example.com", &["ops"])).await;
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+20m"))).await;
    let session = renewed(&bob, |reply| reply.status == 200 && reply.json()["user"]["role"] == "admin").await;
    assert_eq!(session.json()["user"]["email"], "bob@example.com");
    amy.post("/api/v1/session/refresh", json!({})).await.expect(200);

    // The account is gone there: his session is over, and nobody else's.
    person("bob", Value::Null).await;
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+40m"))).await;
    renewed(&bob, |reply| reply.status == 401).await;
    let session = amy.post("/api/v1/session/refresh", json!({})).await.expect(200).json();
    assert_eq!(session["user"]["role"], "developer");
    script.get("/api/v1/apps").await.expect(200);
    let ended = eventually("it is told", Duration::from_secs(20), || async {
        let told = panel.list("/api/v1/events/history?security=true").await;
        let ended: Vec<_> = told
            .into_iter()
            .filter(|event| event["kind"] == "provider_sessions_ended")
            .collect();
        (!ended.is_empty()).then_some(ended)
    })
    .await;
    let words = json!(ended).to_string();
    assert!(
        ended.len() == 1 && words.contains("bob@example.com") && words.contains("invalid_grant"),
        "{words}"
    );
    let log = panel.get("/api/v1/audit?limit=500").await.expect(200).text();
    assert!(log.contains("provider_sessions_ended"), "the audit log tells of it");

    // A provider that gives no answer ends nothing, for a day.
    drop(peer);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+80m"))).await;
    amy.post("/api/v1/session/refresh", json!({})).await.expect(200);
    eventually("it was asked", Duration::from_secs(30), || async {
        panel.printed().contains("is not known").then_some(())
    })
    .await;
    amy.get("/api/v1/apps").await.expect(200);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+2d"))).await;
    renewed(&amy, |reply| reply.status == 401).await;
    panel.signed_in(OWNER.0, OWNER.1).await.get("/api/v1/apps").await.expect(200);
}

/// Its tokens are good for one question each: with the answer comes the next one, also when it cannot say more of its people then.
#[tokio::test]
async fn a_new_refresh_token_is_kept_when_userinfo_fails() {
    let mut stand = Stand::new().await;
    stand.person("bob", claims("bob@example.com", &["dev"])).await;
    let bob = stand.panel.browser();
    stand.sign_in(&bob, "bob").await.expect(201);
    let asked = async |stand: &Stand, status: u16| {
        let broken = stand.peer.tell(&stand.owner, "/break", json!({"status": status})).await;
        broken["answers"].as_u64().expect("a number")
    };
    stand.person("bob", claims("bob@example.com", &["ops"])).await;
    assert_eq!(asked(&stand, 503).await, 0);
    stand.panel.stop().await;
    stand.panel.start_again_with(|options| options.clock(Some("+20m"))).await;
    eventually("its userinfo was asked", Duration::from_secs(30), || async {
        bob.post("/api/v1/session/refresh", json!({})).await.expect(200);
        (asked(&stand, 503).await > 0).then_some(())
    })
    .await;
    let session = bob.post("/api/v1/session/refresh", json!({})).await.expect(200).json();
    assert_eq!(session["user"]["role"], "developer", "of his groups nothing is known");
    bob.get("/api/v1/apps").await.expect(200);

    // The next question is by the new one: the provider takes the old one for stolen when it comes again.
    stand.panel.stop().await;
    assert_eq!(asked(&stand, 0).await, 1, "it was asked once");
    stand.panel.start_again_with(|options| options.clock(Some("+40m"))).await;
    renewed(&bob, |reply| reply.status == 200 && reply.json()["user"]["role"] == "admin").await;
    bob.get("/api/v1/apps").await.expect(200);
    let told = stand.panel.list("/api/v1/events/history?security=true").await;
    assert!(told.iter().all(|event| event["kind"] != "provider_sessions_ended"), "{told:?}");
}

#[tokio::test]
async fn forged_logouts_end_nothing() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let forger = Peer::start("forger.mjs", &[]).await;
    let body = oidc("Forger", &forger.issuer, "panel", Some("secret"));
    let made = owner.post("/api/v1/identity-providers", body).await.expect(201).json();
    let provider = made["id"].as_str().expect("an id");
    let browser = panel.browser();
    let url = begin(&panel, &browser, provider).await;
    let next = json!({"how": "good", "nonce": query(&url, "nonce"), "client": "panel"});
    forger.tell(&owner, "/next", next).await;
    let body = json!({"state": query(&url, "state"), "code": "x", "iss": forger.issuer});
    from_page(&panel, &browser, "/api/v1/session/oidc", body).await.expect(201);
    for how in [
        "nonce",
        "issuer",
        "audience",
        "expired",
        "old without end",
        "of tomorrow",
        "no event",
        "another event",
        "event is no object",
        "no name",
        "nobody",
        "other key",
        "none",
        "hmac of the key",
        "hmac of the secret",
    ] {
        let made = forger.tell(&owner, "/logout", json!({"how": how, "client": "panel"})).await;
        let reply = log_out(&panel, provider, made["token"].as_str().expect("a token")).await;
        assert_eq!(reply.status.as_u16(), 400, "{how}: {}", reply.text());
        browser.get("/api/v1/apps").await.expect(200);
    }
    log_out(&panel, provider, "nonsense").await.expect(400);
    let made = forger.tell(&owner, "/logout", json!({"how": "good", "client": "panel"})).await;
    log_out(&panel, provider, made["token"].as_str().expect("a token"))
        .await
        .expect(200);
    browser.get("/api/v1/apps").await.expect(401);
    owner.get("/api/v1/apps").await.expect(200);
}
