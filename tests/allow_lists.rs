//! From which addresses the panel and its API are reached: by way and family, what is not touched, and that nobody locks
//! themselves out. All of 127.0.0.0/8 is this machine, so a client comes from where it wishes.

use reqwest::Method;
use serde_json::{Value, json};
use std::{net::IpAddr, time::Duration};
use testkit::{Api, Http3, OWNER, TestPanel, eventually};

/// Where clients come from unless they say otherwise.
const HERE: &str = "127.0.0.1";
const THERE: &str = "127.0.0.2";

fn there(api: &Api) -> Api {
    api.from_address(THERE.parse::<IpAddr>().expect("an address"))
}

async fn set(api: &Api, body: Value) -> Value {
    api.patch("/api/v1/allow-lists", body).await.expect(200).json()
}

/// By the machine's own socket, where nothing waits to be confirmed.
async fn fixed(panel: &TestPanel, arguments: &[&str]) {
    let all: Vec<&str> = ["security", "allow-list", "set"].iter().chain(arguments).copied().collect();
    panel.cli(&all).await.expect(0);
}

/// Whether a request gets an answer at all, and which.
async fn status(api: &Api, path: &str) -> Option<u16> {
    let reply = api.try_send(api.request(Method::GET, path)).await;
    reply.ok().map(|reply| reply.status.as_u16())
}

#[tokio::test]
async fn each_list_keeps_its_own_out() {
    let panel = TestPanel::start().await;
    // Signed in before: what is open already is asked again at each request.
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let token = there(&panel);
    fixed(&panel, &["--panel", HERE, "--api", THERE]).await;
    browser.get("/api/v1/projects").await.expect(200);
    token.get("/api/v1/projects").await.expect(200);
    let refused = there(&browser).get("/api/v1/projects").await.expect(403);
    assert!(
        refused.text().contains("may not be reached from your address"),
        "{}",
        refused.text()
    );
    panel.get("/api/v1/projects").await.expect(403);
    // A made-up token opens neither the pages nor the doors.
    let wrong = there(&panel.with_token("sk_nothing"));
    wrong.get("/").await.expect(403);
    wrong.get("/invitation").await.expect(403);
    let sign_in = json!({"email": OWNER.0, "password": OWNER.1});
    wrong.post("/api/v1/session", sign_in.clone()).await.expect(403);
    there(&panel.anonymous()).post("/api/v1/session", sign_in).await.expect(403);
    // What comes signed from servers of others is a program's: there it is read, and refused for what it is.
    for (path, body, read) in [
        ("/api/v1/ci/token", json!({"app": "blog", "id_token": "made-up"}), 401),
        ("/oidc/idp_nobody/logout", json!({}), 400),
    ] {
        there(&panel.anonymous()).post(path, body.clone()).await.expect(read);
        panel.anonymous().post(path, body).await.expect(403);
    }
    for path in ["/", "/health", "/ready", "/api/docs", "/invitation", "/setup"] {
        there(&panel.anonymous()).get(path).await.expect(403);
        panel.anonymous().get(path).await.expect(200);
    }
    panel.cli(&["security", "allow-list", "clear", "--yes"]).await.expect(0);
    there(&panel.anonymous()).get("/").await.expect(200);
    panel.get("/api/v1/projects").await.expect(200);
}

#[tokio::test]
async fn who_can_reach_nothing_sees_no_certificate_and_apps_and_webhooks_stay() {
    let panel = TestPanel::start().await;
    panel
        .create_app(json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}, "domains": ["blog.test"], "deploy": false}))
        .await;
    fixed(&panel, &["--panel", HERE, "--api", HERE]).await;
    let stranger = there(&panel.anonymous());
    assert_eq!(status(&stranger, "/").await, None, "the connection ends before TLS");
    eventually("the app has its page for everybody", Duration::from_secs(10), || async {
        (status(&stranger, &panel.site("blog.test", "/")).await == Some(503)).then_some(())
    })
    .await;
    // A challenge that nobody has is the app's business, as ever; the panel's list does not answer for it.
    let challenge = panel.plain_site("blog.test", "/.well-known/acme-challenge/nosuch");
    assert_ne!(status(&stranger, &challenge).await, Some(403));

    let webhook = panel
        .patch("/api/v1/apps/blog/webhook", json!({"enabled": true}))
        .await
        .expect(200)
        .json();
    let url = webhook["url"].as_str().expect("an address");
    let path = format!("/hooks/{}", url.rsplit('/').next().expect("a key"));
    eventually("a forge reaches the panel's port", Duration::from_secs(10), || async {
        let reply = stranger.try_send(stranger.request(Method::POST, &path).json(&json!({}))).await;
        matches!(reply, Ok(reply) if reply.status == 401).then_some(())
    })
    .await;
    assert_eq!(status(&stranger, "/").await, Some(403));
}

#[tokio::test]
async fn the_panels_domain_and_http3_ask_too() {
    let panel = TestPanel::start().await;
    panel
        .patch("/api/v1/settings", json!({"panel_domain": "panel.test"}))
        .await
        .expect(200);
    panel.patch("/api/v1/edge/options", json!({"http3": true})).await.expect(200);
    let page = panel.site("panel.test", "/health");
    eventually("the panel has its domain", Duration::from_secs(10), || async {
        (status(&panel.anonymous(), &page).await == Some(200)).then_some(())
    })
    .await;
    fixed(&panel, &["--panel", THERE]).await;
    assert_eq!(status(&panel.anonymous(), &page).await, Some(403));
    assert_eq!(status(&there(&panel.anonymous()), &page).await, Some(200));
    let mut client = Http3::connect(panel.https_port, "panel.test").await.expect("connects");
    assert_eq!(client.get("/health").await.expect("an answer").0, 403);
    fixed(&panel, &["--panel", HERE]).await;
    // The connection is the same; each request is asked.
    assert_eq!(client.get("/health").await.expect("an answer").0, 200);
}

#[tokio::test]
async fn behind_a_proxy_the_client_counts() {
    let panel = TestPanel::start().await;
    panel
        .patch("/api/v1/edge/options", json!({"trusted_proxies": [HERE]}))
        .await
        .expect(200);
    fixed(&panel, &["--panel", "192.0.2.0/24", "--panel", "2001:db8::/32"]).await;
    // On a connection of its own: who is trusted is decided when one begins.
    let proxy = panel.anonymous().from_address(HERE.parse::<IpAddr>().expect("an address"));
    let ask = async |client: &str| {
        let api = proxy.clone();
        let request = api.request(Method::GET, "/health").header("x-forwarded-for", client);
        api.send(request).await.status.as_u16()
    };
    assert_eq!(ask("192.0.2.77").await, 200);
    assert_eq!(ask("2001:db8::77").await, 200);
    assert_eq!(ask("198.51.100.1").await, 403);
    assert_eq!(ask("192.0.2.77, 198.51.100.1").await, 403, "what the client made up does not count");
    // Who is no proxy says nothing of others.
    let api = there(&panel.anonymous());
    let request = api.request(Method::GET, "/health").header("x-forwarded-for", "192.0.2.77");
    api.send(request).await.expect(403);
}

#[tokio::test]
async fn nobody_locks_themselves_out() {
    let panel = TestPanel::start().await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let refused = browser.patch("/api/v1/allow-lists", json!({"panel": [THERE]})).await.expect(422);
    assert!(refused.text().contains("your own address, 127.0.0.1"), "{}", refused.text());
    panel
        .patch("/api/v1/allow-lists", json!({"api": ["10.0.0.0/8"]}))
        .await
        .expect(422)
        .code("invalid");
    for (body, word) in [
        (json!({"panel": ["nonsense"]}), "no address or network"),
        (json!({"panel": ["::ffff:10.0.0.0/120"]}), "as an IPv4 network"),
        (json!({"panel": [HERE], "confirm_minutes": 0}), "on the machine itself"),
        (json!({"panel": [HERE], "confirm_minutes": 61}), "at most 60"),
    ] {
        let refused = browser.patch("/api/v1/allow-lists", body).await.expect(422);
        assert!(refused.text().contains(word), "{}", refused.text());
    }
    browser.post("/api/v1/allow-lists/confirm", json!({})).await.expect(409);

    let tried = set(&browser, json!({"panel": ["127.0.0.1/32", "::1"]})).await;
    assert_eq!(tried["panel"], json!(["127.0.0.1/32", "::1/128"]));
    assert_eq!(tried["your_address"], HERE);
    assert!(
        (290..=300).contains(&tried["trial"]["seconds_left"].as_u64().expect("seconds")),
        "{tried}"
    );
    let kept = browser.post("/api/v1/allow-lists/confirm", json!({})).await.expect(200).json();
    assert_eq!(kept["trial"], Value::Null);

    // Insisting keeps out who asks: only somebody else could confirm.
    let insisted = set(&browser, json!({"panel": [THERE], "force": true, "confirm_minutes": 1})).await;
    assert_eq!(insisted["trial"]["panel_before"], json!(["127.0.0.1/32", "::1/128"]));
    browser.get("/api/v1/session").await.expect(403);
    panel.cli(&["security", "allow-list", "revert"]).await.expect(0);
    browser.get("/api/v1/session").await.expect(200);
}

#[tokio::test]
async fn what_nobody_confirmed_is_taken_back_after_a_crash() {
    let mut panel = TestPanel::start().await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    set(&browser, json!({"panel": [HERE]})).await;
    browser.post("/api/v1/allow-lists/confirm", json!({})).await.expect(200);
    // `/ready` is asked from here when the panel starts, so the list must have this address; the API's need not.
    set(&browser, json!({"api": ["10.0.0.0/8"], "confirm_minutes": 1})).await;
    panel.get("/api/v1/projects").await.expect(403);
    panel.kill();
    panel.start_again().await;
    panel.get("/api/v1/projects").await.expect(403);
    panel.kill();
    panel.start_again_with(|options| options.clock(Some("+5m"))).await;
    panel.get("/api/v1/projects").await.expect(200);
    eventually("it is written too, and told", Duration::from_secs(20), || async {
        let shown = panel.cli(&["security", "allow-list", "show", "--json"]).await.expect(0).json();
        let events = panel.list("/api/v1/events/history?security=true").await;
        let told = events.iter().any(|event| event["kind"] == "allow_lists_reverted");
        (shown["api"] == json!([]) && shown["panel"] == json!(["127.0.0.1/32"]) && told).then_some(())
    })
    .await;
}
