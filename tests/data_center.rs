//! Bitbucket Data Center as its published REST contract describes it, where it is unlike the other forges of `forges.rs`.

use crate::forges::{DATA_CENTER, Stand, TOKEN, app, cloned, paths};
use serde_json::{Value, json};

#[tokio::test]
async fn a_data_center_is_connected_by_a_token_and_whose_it_is() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    let wish = |more: Value| stand.wish(DATA_CENTER, more);
    for (wish, words) in [
        (wish(json!({"token": TOKEN, "user": null})), "only with the name of its account"),
        (
            wish(json!({"client_id": "client", "client_secret": "client-secret"})),
            "by an HTTP access token",
        ),
        (wish(json!({"token": TOKEN, "url": null})), "where is it?"),
    ] {
        let refused = panel.post("/api/v1/forges", wish).await.expect(422);
        assert!(refused.detail().contains(words), "{}", refused.detail());
    }
    stand.connect(DATA_CENTER, json!({"token": TOKEN, "owner": "~ada"})).await;
    let at = format!("/api/v1/forges/{DATA_CENTER}");
    let nobody = panel.patch(&at, json!({"user": null})).await.expect(422);
    assert!(nobody.detail().contains("only with the name of its account"), "{}", nobody.detail());
    // What is a person's own.
    let own = panel.get(&format!("{at}/repositories?search=blog")).await.expect(200).json();
    assert_eq!(paths(&own), ["~ada/blog"]);
    let mut body = app("own", DATA_CENTER);
    body["source"]["repository"] = "~ada/blog".into();
    body["deploy"] = false.into();
    let made = panel.create_app(body).await;
    assert_eq!(
        made["source"]["url"],
        format!("{}/{}", stand.peer.issuer, cloned(DATA_CENTER, "~ada/blog"))
    );
    panel.post("/api/v1/apps/own/webhook/register", json!({})).await.expect(200);
    let seen = stand.seen().await;
    let hooks = seen["hooks"][format!("{DATA_CENTER} ~ada/blog")].as_array().unwrap();
    assert_eq!((hooks.len(), &hooks[0]["body"]["active"]), (1, &json!(true)), "{hooks:?}");
}

/// Pages without end, repositories that are none, and what is no list.
#[tokio::test]
async fn what_a_data_center_may_not_do() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    stand.connect(DATA_CENTER, json!({"token": TOKEN})).await;
    let at = format!("/api/v1/forges/{DATA_CENTER}/repositories");
    let told = |key: &str, slug: &str| json!({"slug": slug, "project": {"key": key}, "links": {"clone": [{"name": "http", "href": "http://elsewhere.test/x.git"}]}});
    let values = json!([told("WEB", "blog"), told("../x", "y"), told("WEB", ".."), told("WEB/x?y", "z"), {"slug": "x"}, 7]);
    let body = json!({"isLastPage": false, "nextPageStart": 0, "values": values});
    stand
        .next(json!({"status": 200, "times": 1000, "path": "/repos", "body": body}))
        .await;
    let all = panel.get(&at).await.expect(200).json();
    let all_paths = paths(&all);
    assert_eq!(
        (all_paths.len(), &all["more"]),
        (10, &json!(true)),
        "as many pages are looked at: {all}"
    );
    assert!(all_paths.iter().all(|path| path == "WEB/blog"), "{all}");
    for body in [json!({"values": "x"}), json!([]), json!({"isLastPage": true})] {
        stand.next(json!({"status": 200, "path": "/repos", "body": body})).await;
        let failed = panel.get(&at).await.expect(503);
        assert!(
            failed.detail().contains("Bitbucket Data Center answered without a list"),
            "{}",
            failed.detail()
        );
    }
    let busy = json!({"errors": [{"context": null, "message": "Too many", "exceptionName": null}]});
    stand
        .next(json!({"status": 429, "headers": {"retry-after": "9"}, "path": "/repos", "body": busy}))
        .await;
    let failed = panel.get(&at).await.expect(503);
    assert!(failed.detail().contains("takes no more requests for 9 s"), "{}", failed.detail());
}
