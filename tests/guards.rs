//! What guards the panel in a browser: the headers of every kind of answer, and that no other site's page can do anything
//! with the cookies of somebody who is signed in.

use reqwest::Method;
use serde_json::json;
use testkit::{OWNER, TestPanel};

/// Framing, foreign scripts, guessed types, leaking addresses: refused by whatever is answered, pages and failures alike.
#[tokio::test]
async fn every_answer_has_the_headers() {
    let panel = TestPanel::start().await;
    for path in [
        "/",
        "/sign-in",
        "/nowhere",
        "/first.js",
        "/api/docs",
        "/api/docs/errors",
        "/api/openapi.json",
        "/api/v1/apps",
        "/api/v1/nowhere",
        "/health",
        "/metrics",
        "/hooks/nowhere",
        "/scim/v2/Users",
        "/saml/nowhere/metadata",
        "/oidc/nowhere/logout",
    ] {
        let reply = panel.anonymous().get(path).await;
        let policy = reply
            .header("content-security-policy")
            .unwrap_or_else(|| panic!("{path} has no policy"));
        for part in [
            "default-src 'self'",
            "script-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split(';').any(|one| one.trim() == part), "{path}: {policy} lacks {part}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name).as_deref(), Some(value), "{path}: {name}");
        }
        assert!(reply.header("access-control-allow-origin").is_none(), "{path}");
        if path.starts_with("/api/v1") {
            assert!(
                reply.header("cache-control").is_some_and(|value| value.contains("no-store")),
                "{path}"
            );
        }
    }
}

/// Every operation that changes something, with the cookies and without the word that only our own page knows.
#[tokio::test]
async fn no_other_sites_page_changes_anything() {
    let panel = TestPanel::start().await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let open = include_str!("open_endpoints.txt");
    let document = panel.anonymous().get("/api/openapi.json").await.expect(200).json();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let method = method.to_uppercase();
            let id = operation["operationId"].as_str().unwrap_or_default();
            let is_open = open.lines().any(|line| line.trim() == format!("{method} {path}"));
            if method == "GET" || id.is_empty() || is_open {
                continue;
            }
            let filled: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
            for word in ["", "wrong"] {
                browser.set_csrf(word);
                let request = browser.request(method.parse::<Method>().expect("a method"), &format!("/api/v1{}", filled.join("/")));
                let reply = browser.try_send(request.json(&json!({}))).await.expect("an answer");
                if reply.status != 403 || !reply.text().contains("X-CSRF-Token") {
                    wrong.push(format!("{id}: {} {}", reply.status, reply.text()));
                }
                asked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 150, "{asked} requests");
    browser.get("/api/v1/session").await.expect(200);
}
