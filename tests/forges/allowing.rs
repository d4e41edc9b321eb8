//! The ways to let the panel in that go over the forge's own pages: a GitHub App by its manifest, and OAuth.

use super::{KINDS, Stand, paths};
use crate::deploy::text;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_github_app_by_its_manifest() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    let wish = json!({"name": "GitHub", "url": format!("{}/github", stand.peer.issuer)});
    let page = panel.post("/api/v1/forge-apps", wish.clone()).await.expect(200).json();
    let url = text(&page, "url");
    let state = url.split_once("state=").expect("a state").1.to_owned();
    let manifest: Value = serde_json::from_str(&text(&page, "manifest")).expect("JSON");
    assert!(text(&manifest, "redirect_url").ends_with("/forges/back"), "{manifest}");
    assert_eq!(
        (&manifest["public"], &manifest["hook_attributes"]["active"]),
        (&json!(false), &json!(false))
    );

    stand.peer.tell(panel, "/test/code", json!({"code": "good-code"})).await;
    let back = |state: &str, code: &str| json!({"state": state, "code": code});
    panel.post("/api/v1/forge-returns", back("made-up", "good-code")).await.expect(422);
    let admin = panel.member("admin", "admin").await;
    let stolen = admin.post("/api/v1/forge-returns", back(&state, "good-code")).await.expect(422);
    assert!(stolen.detail().contains("not begun here by you"), "{}", stolen.detail());
    let made = panel
        .post("/api/v1/forge-returns", back(&state, "good-code"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (text(&made, "account"), text(&made, "access")),
        ("panel-of-ada".into(), "app".into())
    );
    assert_eq!(
        made["install_url"],
        format!("{}/github/github-apps/panel-of-ada/installations/new", stand.peer.issuer)
    );
    panel.post("/api/v1/forge-returns", back(&state, "good-code")).await.expect(422);
    // GitHub gives its key out once, so nothing is begun that could not be kept.
    let again = panel.post("/api/v1/forge-apps", wish).await.expect(422);
    assert!(
        again.detail().contains("another connection is called `GitHub`"),
        "{}",
        again.detail()
    );

    let some = panel.get("/api/v1/forges/GitHub/repositories?search=blog").await.expect(200).json();
    assert_eq!(paths(&some), ["ada/blog"], "the suspended installation is passed over");
    for _ in 0..3 {
        panel.get("/api/v1/forges/GitHub/branches?repository=ada/blog").await.expect(200);
    }
    let seen = stand.seen().await;
    assert_eq!(seen["installationTokens"], 1, "it is kept until it ends");

    // One that was made by hand.
    let client = panel.anonymous();
    let request = client.request(Method::GET, &format!("{}/test/key", stand.peer.issuer));
    let key = text(&client.send(request).await.expect(200).json(), "key");
    let by_hand = |key: &str| json!({"name": "by hand", "app_id": 77, "private_key": key});
    let refused = panel
        .post("/api/v1/forges", stand.wish("github", by_hand("no key")))
        .await
        .expect(422);
    assert!(refused.detail().contains("BEGIN RSA PRIVATE KEY"), "{}", refused.detail());
    panel.post("/api/v1/forges", stand.wish("github", by_hand(&key))).await.expect(201);
    panel.post("/api/v1/forges", stand.wish("gitlab", by_hand(&key))).await.expect(422);
    stand.seen().await;
}

fn query(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
        .map(str::to_owned)
}

#[tokio::test]
async fn oauth_at_each_forge() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    for kind in KINDS {
        let made = stand
            .connect(kind, json!({"client_id": "client", "client_secret": "client-secret"}))
            .await;
        assert_eq!((&made["allowed"], &made["account"]), (&json!(false), &Value::Null));
        let early = panel.get(&format!("/api/v1/forges/{kind}/repositories")).await.expect(409);
        assert!(early.detail().contains("nobody has allowed"), "{}", early.detail());
        let away = panel
            .post(&format!("/api/v1/forges/{kind}/authorize"), json!({}))
            .await
            .expect(200)
            .json();
        let url = text(&away, "url");
        assert!(!url.contains("client-secret"), "{url}");
        let state = query(&url, "state").expect("a state");
        assert_eq!(query(&url, "code_challenge_method").is_some(), kind != "bitbucket");
        // It ends at once, so that it is renewed for the next request.
        stand.peer.tell(panel, "/test/code", json!({"code": "c0de", "lasts": 100})).await;
        let back = json!({"state": state, "code": "c0de"});
        let allowed = panel.post("/api/v1/forge-returns", back).await.expect(200).json();
        assert_eq!((&allowed["allowed"], text(&allowed, "account")), (&json!(true), "ada".into()));
        let at = format!("/api/v1/forges/{kind}/repositories?search=blog");
        let (one, two) = tokio::join!(panel.get(&at), panel.get(&at));
        assert_eq!((paths(&one.expect(200).json()).len(), paths(&two.expect(200).json()).len()), (1, 1));
    }
    let seen = stand.seen().await;
    // Each was given one, and renewed it once: the second lasts.
    assert_eq!(seen["accessTokens"], 8, "{}", seen["seen"]);
    let verified = seen["seen"].as_array().unwrap().iter().filter(|one| {
        let form = one["form"].as_str().unwrap_or_default();
        form.contains("code=c0de") && form.contains("code_verifier=")
    });
    assert_eq!(verified.count(), 3);
}
