//! Certificates of one's own: checked, served, replaced, and told of before they end.

use crate::{
    acme::{app, shown_issuer},
    deploy::text,
};
use serde_json::json;
use std::time::Duration;
use testkit::{TestAuthority, TestPanel, eventually_ok};

#[tokio::test]
async fn a_certificate_of_ones_own() {
    let panel = TestPanel::start().await;
    panel.create_app(app("shop.test")).await;
    let authority = TestAuthority::new();
    let (chain, key) = authority.issue(&["shop.test", "*.shop.test"], 90);
    let upload = async |chain: &str, key: &str| {
        panel
            .post("/api/v1/certificates/upload", json!({"chain_pem": chain, "key_pem": key}))
            .await
    };
    let (_, strange) = authority.issue(&["shop.test"], 90);
    let (old, old_key) = authority.issue(&["shop.test"], -1);
    for (chain, key, words) in [
        (chain.as_str(), strange.as_str(), "the private key belongs to another certificate"),
        (old.as_str(), old_key.as_str(), "ended on"),
        ("x", key.as_str(), "holds no certificate"),
        (chain.as_str(), "x", "holds no private key"),
    ] {
        let refused = upload(chain, key).await.expect(422).code("invalid");
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    let whole = format!("{}{chain}", authority.pem());
    let made = upload(&whole, &key).await.expect(201).json();
    let certificate = &made["certificate"];
    assert_eq!(certificate["serves"], json!(["shop.test"]), "{made}");
    assert_eq!(
        (&certificate["origin"], &certificate["days_left"]),
        (&json!("uploaded"), &json!(89))
    );
    upload(&whole, &key).await.expect(409).code("taken");
    let shows = async |words: &str| {
        eventually_ok("the edge shows it", Duration::from_secs(15), || async {
            let issuer = shown_issuer(panel.https_port, "shop.test");
            if issuer.contains(words) { Ok(()) } else { Err(issuer) }
        })
        .await;
    };
    shows("the authority of one test").await;
    let domains = panel.list("/api/v1/domains").await;
    assert!(
        text(&domains[0]["certificate"], "issuer").contains("the authority of one test"),
        "the domain has the one that serves it: {domains:?}"
    );
    // It ends soon: that is told at 21, 7 and 2 days.
    let id = text(certificate, "id");
    let path = format!("/api/v1/certificates/{id}");
    let mut told = Vec::new();
    for (left, days) in [(30, None), (20, Some(21)), (6, Some(7)), (1, Some(2))] {
        let (chain, key) = authority.issue(&["shop.test"], left);
        panel.put(&path, json!({"chain_pem": chain, "key_pem": key})).await.expect(200);
        told.extend(days);
        eventually_ok("events say that it ends", Duration::from_secs(15), || async {
            let events = panel.list("/api/v1/events/history").await;
            let mut all: Vec<_> = events.iter().filter(|event| event["kind"] == "certificate_expiring").collect();
            all.sort_by_key(|event| std::cmp::Reverse(event["data"]["days"].as_u64()));
            let days: Vec<_> = all.iter().filter_map(|event| event["data"]["days"].as_u64()).collect();
            if days == told {
                Ok(())
            } else {
                Err(format!("{all:?}, and {told:?} is due"))
            }
        })
        .await;
    }
    panel.delete("/api/v1/certificates/shop.test").await.expect(409);
    panel.cli(&["cert", "remove", &id, "--yes"]).await.expect(0);
    shows("serverkit authority").await;
}
