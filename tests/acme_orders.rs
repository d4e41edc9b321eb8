//! Orders that are not sent: where they would fail, where the budget is used up, and for what is gone.

use crate::{
    acme::{app, in_state, shown_issuer, trust},
    deploy::text,
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Pebble, TestPanel};

async fn forecast(panel: &TestPanel, names: &str) -> Value {
    panel
        .get(&format!("/api/v1/certificates/forecast?name={names}"))
        .await
        .expect(200)
        .json()
}

/// Names that do not lead here, and one that CAA forbids: no order is sent until that changes.
#[tokio::test]
async fn wrong_domains_send_no_orders() {
    let panel = TestPanel::start().await;
    let pebble = Pebble::start(panel.http_port, 0).await;
    trust(&panel, &pebble).await;
    let elsewhere = |host: &str| json!({"host": host, "addresses": ["203.0.113.9"]});
    pebble.dns("add-a", elsewhere("shop.example.com")).await;
    pebble.dns("add-a", elsewhere("gone.example.com")).await;
    let nobody = json!({"host": "caa.example.org", "policies": [{"tag": "issue", "value": ";"}]});
    pebble.dns("add-caa", nobody).await;
    for (name, host) in [("a", "shop.example.com"), ("b", "gone.example.com"), ("c", "caa.example.org")] {
        let mut body = app(host);
        body["name"] = name.into();
        panel.create_app(body).await;
    }
    let waiting = in_state(&panel, "shop.example.com", |now| now["state"] == "waiting").await;
    assert!(
        text(&waiting, "last_error").contains("leads to 203.0.113.9, which is not this server"),
        "{waiting}"
    );
    assert!(text(&waiting, "next_step").contains("127.0.0.1"), "{waiting}");
    let forbidden = in_state(&panel, "caa.example.org", |now| now["state"] == "waiting").await;
    assert!(
        text(&forbidden, "last_error").contains("it allows no authority at all"),
        "{forbidden}"
    );
    assert!(
        !shown_issuer(panel.https_port, "shop.example.com").is_empty(),
        "something is served meanwhile"
    );
    let told = forecast(&panel, "shop.example.com").await;
    assert_eq!(
        (&told["ok"], &told["notes"][0]["level"]),
        (&json!(false), &json!("problem")),
        "{told}"
    );
    assert_eq!(forecast(&panel, "fine.example.com").await["ok"], true);
    assert_eq!(
        forecast(&panel, "*.example.com").await["ok"],
        false,
        "a wildcard needs a DNS provider"
    );
    panel.cli(&["cert", "forecast", "shop.example.com"]).await.expect(1);
    panel.cli(&["cert", "forecast", "fine.example.com"]).await.expect(0);
    // Removed while it waits: it is not asked for again.
    panel.delete("/api/v1/domains/gone.example.com").await.expect(204);
    assert_eq!(pebble.orders(), 0, "{}", pebble.log());
    // What to set is said; once it is there, the order goes out by itself.
    let setup = panel.get("/api/v1/dns/setup/shop.example.com").await.expect(200).json();
    assert_eq!(setup["ok"], false, "{setup}");
    let told = panel.cli(&["dns", "setup", "shop.example.com"]).await.expect(1).stdout;
    assert!(told.contains("127.0.0.1") && told.contains("203.0.113.9"), "{told}");
    let sets = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        pebble.dns("clear-a", json!({"host": "shop.example.com"})).await;
        let here = json!({"host": "shop.example.com", "addresses": ["127.0.0.1"]});
        pebble.dns("add-a", here).await;
    };
    let (watched, ()) = tokio::join!(panel.cli(&["dns", "setup", "shop.example.com", "--watch"]), sets);
    watched.expect(0);
    let valid = in_state(&panel, "shop.example.com", |now| now["origin"] == "acme").await;
    assert_eq!((&valid["challenge"], &valid["state"]), (&json!("http"), &json!("valid")), "{valid}");
    assert_eq!(valid["last_error"], Value::Null, "{valid}");
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());
}
