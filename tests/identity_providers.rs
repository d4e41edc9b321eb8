//! Single sign-on by OpenID Connect: with a real provider, and with one that forges.

mod leaving;
mod rights;

use reqwest::Method;
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use testkit::{Api, OWNER, Reply, TestPanel};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A server of `tests/peers`; it stops when this is dropped.
pub struct Peer {
    pub issuer: String,
    _process: Child,
}

impl Peer {
    pub async fn start(script: &str, arguments: &[&str]) -> Peer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        assert!(folder.join("node_modules").is_dir(), "run: npm ci in tests/peers");
        let mut process = Command::new("node")
            .arg(script)
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut issuer = String::new();
        while !issuer.starts_with("http://") && !issuer.starts_with("https://") {
            issuer = lines.next_line().await.expect("it talks").expect("it starts");
        }
        // It goes on talking, and ends when nobody listens.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Peer { issuer, _process: process }
    }
    pub async fn tell(&self, api: &Api, path: &str, body: Value) -> Value {
        let client = api.anonymous();
        let request = client.request(Method::POST, &format!("{}{path}", self.issuer)).json(&body);
        client.send(request).await.expect(200).json()
    }
}

/// As a page of the panel asks.
async fn from_page(panel: &TestPanel, browser: &Api, path: &str, body: Value) -> Reply {
    let request = browser.request(Method::POST, path).header("origin", panel.url()).json(&body);
    browser.send(request).await
}

fn oidc(name: &str, issuer: &str, client: &str, secret: Option<&str>) -> Value {
    json!({
        "name": name,
        "oidc": {"issuer": issuer, "client_id": client, "client_secret": secret},
        "groups": [{"group": "dev", "role": "developer"}, {"group": "ops", "role": "admin"}],
        "domains": ["example.com", "example.test"],
    })
}

/// Begins to sign in: the address that the browser is sent to.
async fn begin(panel: &TestPanel, browser: &Api, provider: &str) -> String {
    let away = from_page(panel, browser, "/api/v1/session/oidc/begin", json!({"provider": provider})).await;
    away.expect(200).json()["url"].as_str().expect("an address").to_owned()
}

/// A value in an address.
fn query(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found.map(|value| value.replace("%3A", ":").replace("%2F", "/"))
}

/// What the page `/sso` sends of the address that it was opened with.
fn back(url: &str) -> Value {
    json!({"state": query(url, "state"), "code": query(url, "code"), "iss": query(url, "iss")})
}

struct Stand {
    panel: TestPanel,
    owner: Api,
    peer: Peer,
    provider: String,
}

impl Stand {
    async fn new() -> Stand {
        let panel = TestPanel::start().await;
        let owner = panel.signed_in(OWNER.0, OWNER.1).await;
        let peer = Peer::start("provider.mjs", &[&format!("{}/sso", panel.url())]).await;
        let body = oidc("Example", &peer.issuer, "panel", Some("a secret: with % and +"));
        let made = owner.post("/api/v1/identity-providers", body).await.expect(201).json();
        let provider = made["id"].as_str().expect("an id").to_owned();
        Stand {
            panel,
            owner,
            peer,
            provider,
        }
    }
    async fn person(&self, account: &str, claims: Value) {
        self.peer
            .tell(&self.owner, "/people", json!({"account": account, "claims": claims}))
            .await;
    }
    async fn walk(&self, url: &str, account: &str) -> String {
        let walked = self.peer.tell(&self.owner, "/walk", json!({"url": url, "account": account})).await;
        walked["location"].as_str().expect("sent back").to_owned()
    }
    async fn sign_in(&self, browser: &Api, account: &str) -> Reply {
        let url = begin(&self.panel, browser, &self.provider).await;
        let returned = self.walk(&url, account).await;
        from_page(&self.panel, browser, "/api/v1/session/oidc", back(&returned)).await
    }
}

fn claims(email: &str, groups: &[&str]) -> Value {
    json!({"email": email, "email_verified": true, "name": "Bob Builder", "groups": groups})
}

#[tokio::test]
async fn a_real_provider_lets_people_in_and_out() {
    let stand = Stand::new().await;
    let (panel, owner) = (&stand.panel, &stand.owner);
    let offered = panel.anonymous().get("/api/v1/session/providers").await.expect(200).json();
    assert_eq!(
        (offered["items"][0]["name"].as_str(), offered["items"][0]["kind"].as_str()),
        (Some("Example"), Some("oidc"))
    );
    assert!(!offered.to_string().contains(&stand.peer.issuer), "no more than the button needs");
    let path = format!("/api/v1/identity-providers/{}", stand.provider);
    let shown = owner.get(&path).await.expect(200).text();
    assert!(!shown.contains("with %"), "the secret is not shown");
    let report = owner.post(&format!("{path}/test"), json!({})).await.expect(200).json();
    assert_eq!(report["ok"], true, "{report}");

    // A new account, with the role of the group.
    stand.person("bob", claims("bob@example.com", &["dev", "staff"])).await;
    let browser = panel.browser();
    let session = stand.sign_in(&browser, "bob").await.expect(201).json();
    assert_eq!(
        (session["user"]["email"].as_str(), session["user"]["role"].as_str()),
        (Some("bob@example.com"), Some("developer"))
    );
    assert_eq!(session["user"]["name"], "Bob Builder");
    browser.get("/api/v1/apps").await.expect(200);
    browser.get("/api/v1/users").await.expect(403);
    // The same person the second time, with another role now.
    stand.person("bob", claims("bob@example.com", &["ops"])).await;
    let again = panel.browser();
    let session = stand.sign_in(&again, "bob").await.expect(201).json();
    assert_eq!(session["user"]["role"], "admin");
    let people = owner.list("/api/v1/users").await;
    assert_eq!(people.len(), 2, "{people:?}");
    browser.get("/api/v1/users").await.expect(200);
    // They have no password here.
    panel
        .browser()
        .post("/api/v1/session", json!({"email": "bob@example.com", "password": ""}))
        .await
        .expect(401);

    // In no group any more: refused, and what they had ends, tokens too.
    let made = again
        .post("/api/v1/tokens", json!({"name": "ci", "scope": "read"}))
        .await
        .expect(201)
        .json();
    let script = panel.with_token(made["secret"].as_str().expect("shown once"));
    script.get("/api/v1/apps").await.expect(200);
    stand.person("bob", claims("bob@example.com", &["staff"])).await;
    let refused = stand.sign_in(&panel.browser(), "bob").await.expect(401).json();
    assert!(refused["detail"].as_str().expect("words").contains("groups"), "{refused}");
    browser.get("/api/v1/apps").await.expect(401);
    again.get("/api/v1/apps").await.expect(401);
    script.get("/api/v1/apps").await.expect(401);

    // Who may not come in, and in which words.
    for (account, claims, words) in [
        ("eve", claims("eve@evil.com", &["ops"]), "domain"),
        ("una", json!({"email": "una@example.com", "groups": ["dev"]}), "email_verified"),
        ("ray", json!({"email_verified": true, "groups": ["dev"]}), "mail address"),
        ("ada", claims(OWNER.0, &["ops"]), "owners"),
    ] {
        stand.person(account, claims).await;
        let refused = stand.sign_in(&panel.browser(), account).await.expect(401).json();
        assert!(refused["detail"].as_str().expect("words").contains(words), "{account}: {refused}");
    }

    // Turned off, its sessions end; the local owner gets in as ever.
    stand.person("bob", claims("bob@example.com", &["dev"])).await;
    let browser = panel.browser();
    stand.sign_in(&browser, "bob").await.expect(201);
    let off = json!({"name": "Example", "enabled": false, "oidc": {"issuer": stand.peer.issuer, "client_id": "panel"}});
    owner.put(&path, off).await.expect(200);
    browser.get("/api/v1/apps").await.expect(401);
    let away = from_page(panel, &browser, "/api/v1/session/oidc/begin", json!({"provider": stand.provider})).await;
    away.expect(401);
    panel.signed_in(OWNER.0, OWNER.1).await.get("/api/v1/apps").await.expect(200);
    owner.delete(&path).await.expect(204);
    assert!(owner.list("/api/v1/identity-providers").await.is_empty());
    let log = owner.get("/api/v1/audit?limit=500").await.expect(200).text();
    for word in ["identity_provider", "bob@example.com"] {
        assert!(log.contains(word), "the audit log tells of {word}");
    }
    assert!(!log.contains("with %"), "and not the secret");
}

#[tokio::test]
async fn state_code_and_browser_belong_together() {
    let stand = Stand::new().await;
    let panel = &stand.panel;
    stand.person("bob", claims("bob@example.com", &["dev"])).await;
    let browser = panel.browser();
    let url = begin(panel, &browser, &stand.provider).await;
    for (name, expected) in [("response_type", "code"), ("code_challenge_method", "S256"), ("client_id", "panel")] {
        assert_eq!(query(&url, name).as_deref(), Some(expected), "{url}");
    }
    assert!(query(&url, "nonce").is_some_and(|nonce| nonce.len() > 40) && query(&url, "state").is_some_and(|state| state.len() > 40));
    let returned = back(&stand.walk(&url, "bob").await);
    let finish = async |browser: &Api, body: Value| from_page(panel, browser, "/api/v1/session/oidc", body).await;

    // Another browser: somebody sent the way back to a victim.
    finish(&panel.browser(), returned.clone()).await.expect(401);
    // That used the state up, for the right one too.
    finish(&browser, returned.clone()).await.expect(401);

    // A state that nobody gave out, and the code with another state of the same browser.
    let mut wrong = returned.clone();
    wrong["state"] = json!("made-up");
    finish(&browser, wrong).await.expect(401);
    let url = begin(panel, &browser, &stand.provider).await;
    let mut crossed = returned.clone();
    crossed["state"] = json!(query(&url, "state"));
    let refused = finish(&browser, crossed).await.expect(401).json();
    assert!(
        refused["detail"].as_str().expect("words").contains("invalid_grant"),
        "its verifier is another: {refused}"
    );

    // Another provider says that it sent the browser.
    let url = begin(panel, &browser, &stand.provider).await;
    let mut mixed = back(&stand.walk(&url, "bob").await);
    mixed["iss"] = json!("https://other.example.com");
    finish(&browser, mixed).await.expect(401);

    // As it should be; and then the same again.
    let url = begin(panel, &browser, &stand.provider).await;
    let good = back(&stand.walk(&url, "bob").await);
    finish(&browser, good.clone()).await.expect(201);
    finish(&browser, good.clone()).await.expect(401);
    let url = begin(panel, &browser, &stand.provider).await;
    let mut replayed = good;
    replayed["state"] = json!(query(&url, "state"));
    finish(&browser, replayed).await.expect(401);
}

#[tokio::test]
async fn forged_tokens_let_nobody_in() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let forger = Peer::start("forger.mjs", &[]).await;
    let body = oidc("Forger", &forger.issuer, "panel", Some("secret"));
    let made = owner.post("/api/v1/identity-providers", body).await.expect(201).json();
    let provider = made["id"].as_str().expect("an id");
    for how in [
        "nonce",
        "no nonce",
        "issuer",
        "audience",
        "two audiences",
        "for another",
        "expired",
        "of tomorrow",
        "other key",
        "unknown key",
        "none",
        "hmac of the key",
        "hmac of the modulus",
        "hmac of the secret",
        "changed",
        "nobody",
        "good",
    ] {
        let browser = panel.browser();
        let url = begin(&panel, &browser, provider).await;
        let next = json!({"how": how, "nonce": query(&url, "nonce"), "client": "panel"});
        forger.tell(&owner, "/next", next).await;
        let body = json!({"state": query(&url, "state"), "code": "x", "iss": forger.issuer});
        let reply = from_page(&panel, &browser, "/api/v1/session/oidc", body).await;
        assert_eq!(
            reply.status.as_u16(),
            if how == "good" { 201 } else { 401 },
            "{how}: {}",
            reply.text()
        );
        browser.get("/api/v1/apps").await.expect(if how == "good" { 200 } else { 401 });
    }
    // It promises to say who it is, so an answer that does not is not its own.
    let browser = panel.browser();
    let url = begin(&panel, &browser, provider).await;
    let next = json!({"how": "good", "nonce": query(&url, "nonce"), "client": "panel"});
    forger.tell(&owner, "/next", next).await;
    let body = json!({"state": query(&url, "state"), "code": "x"});
    from_page(&panel, &browser, "/api/v1/session/oidc", body).await.expect(401);
}

async fn create(owner: &Api, body: Value) -> Reply {
    owner.post("/api/v1/identity-providers", body).await
}

#[tokio::test]
async fn settings_are_checked() {
    let stand = Stand::new().await;
    let (owner, issuer) = (&stand.owner, stand.peer.issuer.as_str());
    for (body, field) in [
        (oidc("Example", issuer, "panel", None), "taken"),
        (oidc("", issuer, "panel", None), "name"),
        (oidc("A", "http://id.example.com", "panel", None), "issuer"),
        (oidc("A", "id.example.com", "panel", None), "issuer"),
        (oidc("A", "https://id.example.com/?x=1", "panel", None), "issuer"),
        (oidc("A", issuer, " ", None), "client_id"),
        (json!({"name": "A"}), "oidc"),
        (
            json!({"name": "A", "oidc": {"issuer": issuer, "client_id": "x"}, "groups": [{"group": "x", "role": "owner"}]}),
            "groups",
        ),
        (
            json!({"name": "A", "oidc": {"issuer": issuer, "client_id": "x"}, "default_role": "owner"}),
            "groups",
        ),
        (
            json!({"name": "A", "oidc": {"issuer": issuer, "client_id": "x"}, "domains": ["not a domain"]}),
            "domains",
        ),
        (
            json!({"name": "A", "oidc": {"issuer": issuer, "client_id": "x", "authority": "none"}}),
            "authority",
        ),
        (
            json!({"name": "A", "ldap": {"url": "ldap://ldap.example.com", "base": "dc=x"}}),
            "start_tls",
        ),
        (
            json!({"name": "A", "ldap": {"url": "https://ldap.example.com", "base": "dc=x"}}),
            "url",
        ),
        (
            json!({"name": "A", "ldap": {"url": "ldaps://ldap.example.com", "base": "dc=x", "filter": "(uid=ada)"}}),
            "filter",
        ),
        (
            json!({"name": "A", "ldap": {"url": "ldaps://ldap.example.com", "base": "dc=x", "bind_dn": "cn=x"}}),
            "bind_password",
        ),
    ] {
        let reply = create(owner, body.clone()).await;
        assert!(matches!(reply.status.as_u16(), 409 | 422), "{body}: {}", reply.status);
        assert!(reply.text().contains(field), "{body}: {}", reply.text());
    }
    // A secret does not follow an address that somebody else may own.
    let path = format!("/api/v1/identity-providers/{}", stand.provider);
    let moved = json!({"name": "Example", "oidc": {"issuer": "https://evil.example.com", "client_id": "panel"}});
    owner.put(&path, moved).await.expect(422);
    let same = json!({"name": "Example", "oidc": {"issuer": issuer, "client_id": "panel"}, "default_role": "viewer"});
    owner.put(&path, same).await.expect(200);
    let report = owner.post(&format!("{path}/test"), json!({})).await.expect(200).json();
    assert_eq!(report["ok"], true, "the secret is still there: {report}");
}

#[tokio::test]
async fn a_test_says_what_is_wrong() {
    let stand = Stand::new().await;
    let (panel, owner) = (&stand.panel, &stand.owner);
    let issuer = stand.peer.issuer.as_str();
    for (name, body, what) in [
        ("wrong secret", oidc("wrong secret", issuer, "panel", Some("guessed")), "client"),
        ("unknown client", oidc("unknown client", issuer, "nobody", Some("x")), "client"),
        ("slash", oidc("slash", &format!("{issuer}/"), "panel", None), "discovery"),
        ("elsewhere", oidc("elsewhere", "http://127.0.0.1:1", "panel", None), "discovery"),
        ("not a provider", oidc("not a provider", &panel.url(), "panel", None), "discovery"),
    ] {
        let made = create(owner, body).await.expect(201).json();
        let path = format!("/api/v1/identity-providers/{}", made["id"].as_str().expect("an id"));
        let report = owner.post(&format!("{path}/test"), json!({})).await.expect(200).json();
        assert_eq!(report["ok"], false, "{name}: {report}");
        let wrong = report["findings"].as_array().expect("a list").iter().find(|one| one["ok"] == false);
        assert_eq!(wrong.expect("something is wrong")["what"], what, "{name}: {report}");
        owner.delete(&path).await.expect(204);
    }
    // The secret in the form, for a client that was registered so.
    let posting = oidc("Posting", issuer, "posting", Some("posted"));
    create(owner, posting).await.expect(201);

    // The same on the command line.
    let list = panel.cli(&["--json", "identity-provider", "list"]).await.expect(0).json();
    assert_eq!(list["items"].as_array().expect("a list").len(), 2);
    panel.cli(&["identity-provider", "test", "example"]).await.expect(0);
    panel.cli(&["identity-provider", "disable", "Posting"]).await.expect(0);
    panel.cli(&["--yes", "identity-provider", "remove", "Posting"]).await.expect(0);
    panel.cli(&["identity-provider", "test", "Posting"]).await.expect(4);
    let made = [
        "identity-provider",
        "add-oidc",
        "Wrong",
        "--issuer",
        "http://127.0.0.1:1",
        "--client-id",
        "x",
        "--group",
        "cn=ops,dc=example=admin",
    ];
    panel.cli(&made).await.expect(0);
    panel.cli(&["identity-provider", "test", "Wrong"]).await.expect(1);
}
