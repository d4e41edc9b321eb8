//! The second factor with an independent authenticator: `oathtool` makes the codes.

use reqwest::Method;
use serde_json::{Value, json};
use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use testkit::{Api, OWNER, TestPanel, run_serverkit};

const WRONG: &str = "000000";

/// What an authenticator app with this key shows so many 30-second steps from now.
fn code(key: &str, steps: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let at = now.checked_add_signed(steps * 30).expect("a near time");
    let made = Command::new("oathtool")
        .args(["--totp", "--base32", "--now", &format!("@{at}"), key])
        .output()
        .expect("oathtool runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("text").trim().to_owned()
}

/// Waits for the begin of a step, so that the codes of a test do not move under it.
pub async fn early_in_a_step() {
    let into = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() % 30;
    if into > 12 {
        tokio::time::sleep(Duration::from_secs(30 - into)).await;
    }
}

fn sign_in(code: Option<&str>, remember: bool) -> Value {
    let mut body = json!({"email": OWNER.0, "password": OWNER.1, "remember": remember});
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    body
}

/// Sets up a second factor in this browser: the key, and the recovery codes. Uses up the code of one step ago.
pub async fn enrol(browser: &Api, password: &str) -> (String, Vec<String>) {
    let made = browser
        .post("/api/v1/account/second-factor", json!({"password": password}))
        .await
        .expect(200)
        .json();
    let key = made["key"].as_str().expect("a key").to_owned();
    assert!(made["uri"].as_str().expect("an address").contains(&key));
    assert!(made["qr_svg"].as_str().expect("a picture").starts_with("<svg"));
    let confirmed = browser
        .post("/api/v1/account/second-factor/confirm", json!({"code": code(&key, -1)}))
        .await
        .expect(200)
        .json();
    let codes = confirmed["codes"].as_array().expect("a list");
    (key, codes.iter().map(|code| code.as_str().expect("text").to_owned()).collect())
}

#[tokio::test]
async fn an_independent_app_makes_the_codes() {
    let panel = TestPanel::start().await;
    early_in_a_step().await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let other = panel.signed_in(OWNER.0, OWNER.1).await;
    browser
        .post("/api/v1/account/second-factor", json!({"password": "wrong wrong wrong"}))
        .await
        .expect(422);
    let (key, codes) = enrol(&browser, OWNER.1).await;
    assert_eq!(codes.len(), 10);
    other.get("/api/v1/apps").await.expect(401);
    browser.get("/api/v1/apps").await.expect(200);
    let shown = browser.get("/api/v1/session").await.expect(200).json();
    assert_eq!(shown["user"]["second_factor"], true);
    assert!(shown["confirmed_until"].is_string());

    // The password alone is not enough, and says so only to who has it.
    let second = panel.browser();
    second
        .post("/api/v1/session", sign_in(None, false))
        .await
        .expect(401)
        .code("second_factor_needed");
    let wrong = json!({"email": OWNER.0, "password": "wrong wrong wrong", "code": code(&key, 0)});
    second.post("/api/v1/session", wrong).await.expect(401).code("unauthenticated");
    second
        .post("/api/v1/session", sign_in(Some(WRONG), false))
        .await
        .expect(401)
        .code("unauthenticated");
    // Used before: by the set-up.
    second
        .post("/api/v1/session", sign_in(Some(&code(&key, -1)), false))
        .await
        .expect(401);
    let now = code(&key, 0);
    second.post("/api/v1/session", sign_in(Some(&now), true)).await.expect(201);
    // The same code again is a replay, in another browser and in this one.
    let third = panel.browser();
    third.post("/api/v1/session", sign_in(Some(&now), false)).await.expect(401);
    second.post("/api/v1/session/confirm", json!({"code": now})).await.expect(422);
    // A clock that is a step ahead.
    third
        .post("/api/v1/session", sign_in(Some(&code(&key, 1)), false))
        .await
        .expect(201);
    // A recovery code, once.
    third.post("/api/v1/session", sign_in(Some(&codes[0]), false)).await.expect(201);
    third.post("/api/v1/session", sign_in(Some(&codes[0]), false)).await.expect(401);

    // The remembered browser needs no code; its cookie is for signing in alone, and ends with its entry.
    let cookie = second.cookie("serverkit_device").expect("a cookie");
    second.post("/api/v1/session", sign_in(None, false)).await.expect(201);
    let thief = panel.browser();
    thief.set_cookie("serverkit_device", Some(&format!("{}x", cookie)));
    thief.post("/api/v1/session", sign_in(None, false)).await.expect(401);
    let devices = second.list("/api/v1/account/devices").await;
    let mine = devices.iter().find(|device| device["current"] == true).expect("this browser");
    assert!(mine["trusted_until"].is_string(), "{mine}");
    assert!(
        !second
            .get("/api/v1/account/devices")
            .await
            .text()
            .contains(cookie.split('.').nth(1).expect("a word"))
    );
    let path = format!("/api/v1/account/devices/{}", mine["id"].as_str().expect("an id"));
    third.delete(&path).await.expect(204);
    second
        .post("/api/v1/session", sign_in(None, false))
        .await
        .expect(401)
        .code("second_factor_needed");
    let kinds: Vec<String> = panel
        .list("/api/v1/events/history")
        .await
        .iter()
        .map(|event| event["kind"].as_str().expect("a kind").to_owned())
        .collect();
    for kind in [
        "second_factor_added",
        "second_factor_failed",
        "recovery_code_used",
        "device_remembered",
        "device_forgotten",
        "new_device",
    ] {
        assert!(kinds.iter().any(|known| known == kind), "no {kind} in {kinds:?}");
    }
    // Nothing secret is in the history or the log.
    let history = panel.get("/api/v1/events/history").await.text();
    for secret in [&key, &codes[1], &now] {
        assert!(!history.contains(secret.as_str()) && !panel.printed().contains(secret.as_str()));
    }
}

/// A session that began with a remembered browser shows the second factor before it does what is dangerous.
#[tokio::test]
async fn what_is_dangerous_is_confirmed() {
    let panel = TestPanel::start().await;
    let app = panel
        .create_app(json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}}))
        .await;
    let app = app["id"].as_str().expect("an id").to_owned();
    let ada = json!({"email": "ada@example.test", "name": "Ada", "role": "viewer", "password": "eleven green kettles boil"});
    let ada = panel.post("/api/v1/users", ada).await.expect(201).json();
    let ada = format!("/api/v1/users/{}", ada["id"].as_str().expect("an id"));
    early_in_a_step().await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let (key, codes) = enrol(&browser, OWNER.1).await;
    browser
        .post("/api/v1/session", sign_in(Some(&code(&key, 0)), true))
        .await
        .expect(201);
    let session = browser.post("/api/v1/session", sign_in(None, false)).await.expect(201).json();
    assert!(session["confirmed_until"].is_null());
    browser.patch(&format!("/api/v1/apps/{app}"), json!({"port": 81})).await.expect(200);
    let dangerous = async |browser: &Api| {
        let mut codes = Vec::new();
        for (method, path, body) in [
            ("GET", format!("/api/v1/apps/{app}/variables?reveal=true"), json!(null)),
            ("GET", format!("/api/v1/apps/{app}/variables/export"), json!(null)),
            ("PATCH", ada.clone(), json!({"role": "owner"})),
            (
                "POST",
                "/api/v1/tokens".to_owned(),
                json!({"name": "x", "scope": "admin", "expires_in_days": 1}),
            ),
            ("PATCH", "/api/v1/security".to_owned(), json!({"grace_days": 3})),
            ("DELETE", format!("{ada}/second-factor"), json!(null)),
            (
                "PATCH",
                "/api/v1/account".to_owned(),
                json!({"password": {"current": OWNER.1, "new": "twelve brown kettles boil"}}),
            ),
        ] {
            let request = browser.request(method.parse::<Method>().expect("a method"), &path);
            let request = if body.is_null() { request } else { request.json(&body) };
            let reply = browser.try_send(request).await.expect("answered");
            let problem: Value = serde_json::from_str(&reply.text()).unwrap_or_default();
            codes.push(problem["code"].as_str().unwrap_or("done").to_owned());
        }
        codes
    };
    assert_eq!(dangerous(&browser).await, ["unconfirmed"; 7]);
    browser.delete(&format!("/api/v1/apps/{app}")).await.expect(403).code("unconfirmed");
    for wrong in [
        json!({"code": WRONG}),
        json!({"password": OWNER.1}),
        json!({"code": codes[0], "password": OWNER.1}),
        json!({}),
    ] {
        browser.post("/api/v1/session/confirm", wrong).await.expect(422);
    }
    // Another site's page cannot confirm: it lacks the word.
    let csrf = session["csrf"].as_str().expect("a word").to_owned();
    browser.set_csrf("");
    browser
        .post("/api/v1/session/confirm", json!({"code": codes[0]}))
        .await
        .expect(403)
        .code("forbidden");
    browser.set_csrf(&csrf);
    browser.post("/api/v1/session/confirm", json!({"code": codes[0]})).await.expect(200);
    assert!(dangerous(&browser).await.iter().all(|code| code == "done" || code == "not_found"));
    browser.delete(&format!("/api/v1/apps/{app}")).await.expect(204);
    // Tokens that were made before, and the machine, are not asked.
    panel.get(&format!("/api/v1/apps/{app}")).await.expect(200);
}

/// A session of somebody who has only a password shows that again, once signing in is a while ago.
#[tokio::test]
async fn without_a_second_factor_the_password_is_shown_again() {
    let mut panel = TestPanel::start().await;
    let app = panel
        .create_app(json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}}))
        .await;
    let path = format!("/api/v1/apps/{}", app["id"].as_str().expect("an id"));
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let fresh = browser.get("/api/v1/session").await.expect(200).json();
    assert!(
        fresh["confirms_by_password"] == true && fresh["confirmed_until"].is_string(),
        "{fresh}"
    );
    browser.get(&format!("{path}/variables/export")).await.expect(200);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+20m"))).await;
    let later = browser.post("/api/v1/session/refresh", json!({})).await.expect(200).json();
    assert!(later["confirmed_until"].is_null(), "{later}");
    browser.patch(&path, json!({"port": 81})).await.expect(200);
    browser
        .get(&format!("{path}/variables/export"))
        .await
        .expect(403)
        .code("unconfirmed");
    browser.delete(&path).await.expect(403).code("unconfirmed");
    let confirm = async |password: &str| browser.post("/api/v1/session/confirm", json!({"password": password})).await;
    confirm("twelve brown kettles boil").await.expect(422).code("invalid");
    browser.delete(&path).await.expect(403).code("unconfirmed");
    let shown = confirm(OWNER.1).await.expect(200).json();
    assert!(shown["confirmed_until"].is_string(), "{shown}");
    browser.delete(&path).await.expect(204);
    // Tokens are not asked.
    let by_token = panel.get("/api/v1/session").await.expect(200).json();
    assert_eq!(by_token["confirms_by_password"], false);
    panel
        .post("/api/v1/session/confirm", json!({"password": OWNER.1}))
        .await
        .expect(403);
}

/// After the grace period somebody without a second factor gets at nothing but setting one up.
#[tokio::test]
async fn the_policy_leaves_one_way() {
    let panel = TestPanel::start().await;
    let ada = json!({"email": "ada@example.test", "name": "Ada", "role": "admin", "password": "eleven green kettles boil"});
    panel.post("/api/v1/users", ada).await.expect(201);
    let browser = panel.signed_in("ada@example.test", "eleven green kettles boil").await;
    panel
        .patch("/api/v1/security", json!({"second_factor": "administrators", "grace_days": 0}))
        .await
        .expect(200);
    let document = panel.anonymous().get("/api/openapi.json").await.expect(200).json();
    let rights = include_str!("rights.txt");
    let mut wrong = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("operations") {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let line = rights
                .lines()
                .find(|line| line.split_whitespace().next() == Some(id))
                .expect("a row");
            let role = line.split_whitespace().nth(1).expect("a role");
            let is_socket = ["_stream", "_terminal"].iter().any(|end| id.ends_with(end)) && id != "event_stream";
            if matches!(role, "open" | "signed" | "browser" | "machine" | "owner" | "-") || is_socket {
                continue;
            }
            let address = format!("/api/v1{}", path.replace("{host}", "nosuch.test").replace(['{', '}'], ""));
            let mut request = browser.request(method.to_uppercase().parse::<Method>().expect("a method"), &address);
            if let Some(start) = line.find('{') {
                request = request.json(&serde_json::from_str::<Value>(&line[start..]).expect("a body"));
            } else if method == "post" {
                request = request.json(&json!({}));
            }
            let reply = browser.try_send(request).await.expect("answered");
            // What is no id at all, and a parameter that is missing, may be refused as such first.
            let code = serde_json::from_str::<Value>(&reply.text()).unwrap_or_default()["code"].clone();
            if code != "unenrolled" && code != "invalid" {
                wrong.push(format!("{id}: {} {code}", reply.status));
            }
        }
    }
    assert!(wrong.is_empty(), "without a second factor:\n{}", wrong.join("\n"));
    browser
        .post("/api/v1/tokens", json!({"name": "x", "scope": "read"}))
        .await
        .expect(403)
        .code("unenrolled");
    early_in_a_step().await;
    enrol(&browser, "eleven green kettles boil").await;
    browser.get("/api/v1/apps").await.expect(200);
    browser.get("/api/v1/users").await.expect(200);
}

/// Tokens are exempt from the policy unless it binds them too.
#[tokio::test]
async fn tokens_are_exempt_or_bound() {
    let panel = TestPanel::start().await;
    let ada = json!({"email": "ada@example.test", "name": "Ada", "role": "admin", "password": "eleven green kettles boil"});
    panel.post("/api/v1/users", ada).await.expect(201);
    let browser = panel.signed_in("ada@example.test", "eleven green kettles boil").await;
    let made = browser.post("/api/v1/tokens", json!({"name": "ci", "scope": "read"})).await;
    let made = made.expect(201).json();
    let token = browser.with_token(made["secret"].as_str().expect("shown once"));
    let policy = |bound: bool| json!({"second_factor": "administrators", "grace_days": 0, "tokens_bound": bound});
    panel.patch("/api/v1/security", policy(false)).await.expect(200);
    browser.get("/api/v1/apps").await.expect(403).code("unenrolled");
    token.get("/api/v1/apps").await.expect(200);
    panel.patch("/api/v1/security", policy(true)).await.expect(200);
    token.get("/api/v1/apps").await.expect(403).code("unenrolled");
    early_in_a_step().await;
    enrol(&browser, "eleven green kettles boil").await;
    token.get("/api/v1/apps").await.expect(200);
}

#[tokio::test]
async fn the_machine_lets_somebody_in_again() {
    let panel = TestPanel::start().await;
    early_in_a_step().await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let (key, _) = enrol(&browser, OWNER.1).await;
    let list = panel.cli(&["user", "list"]).await.expect(0).stdout;
    assert!(list.contains("2FA") && list.contains("yes"), "{list}");
    // The command line signs in with a code too.
    let folder = tempfile::tempdir().unwrap();
    let url = panel.url();
    let login = ["--insecure", "login", &url, "--email", OWNER.0, "--password-file", "-"];
    let refused = run_serverkit(folder.path(), &[], &login, OWNER.1).await.expect(3);
    assert!(refused.stderr.contains("--code"), "{}", refused.stderr);
    let code = code(&key, 0);
    let with_code: Vec<&str> = login.iter().chain(["--code", &code].iter()).copied().collect();
    run_serverkit(folder.path(), &[], &with_code, OWNER.1).await.expect(0);
    panel.cli(&["user", "reset-2fa", OWNER.0]).await.expect(2);
    panel.cli(&["user", "reset-2fa", OWNER.0, "--yes"]).await.expect(0);
    panel.cli(&["user", "reset-2fa", OWNER.0, "--yes"]).await.expect(4);
    browser.get("/api/v1/apps").await.expect(401);
    panel.signed_in(OWNER.0, OWNER.1).await.get("/api/v1/apps").await.expect(200);
    let shown = panel
        .cli(&["security", "set", "--second-factor", "everyone", "--grace-days", "5"])
        .await
        .expect(0)
        .stdout;
    assert!(shown.contains("everyone") && shown.contains("5 days"), "{shown}");
    panel.cli(&["security", "set", "--grace-days", "91"]).await.expect(1);
    panel.cli(&["security", "set"]).await.expect(2);
}
