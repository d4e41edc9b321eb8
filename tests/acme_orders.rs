//! Orders that are not sent: where they would fail, where the budget is used up, and for what is gone.

use crate::{
    acme::{ORDERED, app, certificate, in_state, shown_issuer, trust},
    deploy::text,
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{AcmeFront, Pebble, TestPanel, eventually_ok};

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

/// What fails is tried again, later and later; but not for a domain that is gone.
#[tokio::test]
async fn orders_for_removed_domains_stop() {
    let mut panel = TestPanel::start().await;
    // Pebble looks for the answer where nobody listens, so each order fails.
    let pebble = Pebble::start(testkit::free_port(), 0).await;
    let front = AcmeFront::start(&pebble, ([127, 0, 0, 1], 0).into(), &["localhost"]).await;
    let settings = json!({"acme_directory": front.directory(), "acme_ca_pem": front.ca_pem()});
    panel.patch("/api/v1/settings", settings).await.expect(200);
    // In the order in which they are tried: the one that goes comes first.
    let (goes, stays) = ("gone.example.com", "kept.example.org");
    for (name, host) in [("a", goes), ("b", stays)] {
        let mut body = app(host);
        body["name"] = name.into();
        panel.create_app(body).await;
    }
    for host in [goes, stays] {
        in_state(&panel, host, |now| now["state"] == "failed").await;
    }
    panel.delete(&format!("/api/v1/domains/{goes}")).await.expect(204);
    eventually_ok("its certificate goes", ORDERED, || async {
        let left = certificate(&panel, goes).await;
        if left.is_null() { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    let renew = format!("/api/v1/certificates/{goes}/renew");
    panel.post(&renew, json!({})).await.expect(404);
    // So much later the next try is due, whatever it was that failed.
    let before = (front.orders_for(goes), front.orders_for(stays));
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+20h"))).await;
    in_state(&panel, stays, |now| now["failures"].as_u64() >= Some(2)).await;
    assert!(front.orders_for(stays) > before.1, "{}", pebble.log());
    assert_eq!(front.orders_for(goes), before.0, "{}", pebble.log());
}

/// Authorities issue five certificates for the same names in a week: the panel stops before that, says so, and goes on
/// when the week is over.
#[tokio::test]
async fn a_registered_domain_has_a_budget() {
    let mut panel = TestPanel::start().await;
    let pebble = Pebble::start(panel.http_port, 0).await;
    let settings = json!({"acme_directory": pebble.directory(), "acme_ca_pem": pebble.ca_pem()});
    panel.patch("/api/v1/settings", settings).await.expect(200);
    let host = "shop.example.com";
    panel.create_app(app(host)).await;
    let other = |before: Value| move |now: &Value| now["origin"] == "acme" && now["fingerprint"] != before["fingerprint"];
    let mut newest = in_state(&panel, host, |now| now["origin"] == "acme").await;
    for _ in 0..3 {
        panel.cli(&["cert", "renew", host]).await.expect(0);
        newest = in_state(&panel, host, other(newest)).await;
    }
    panel.cli(&["cert", "renew", host]).await.expect(0);
    let held = in_state(&panel, host, |now| !now["last_error"].is_null()).await;
    assert!(
        text(&held, "last_error").contains("4 certificates for shop.example.com have been issued within a week"),
        "{held}"
    );
    assert_eq!(
        (&held["fingerprint"], &held["state"]),
        (&newest["fingerprint"], &json!("valid")),
        "it serves on: {held}"
    );
    assert_eq!(pebble.orders(), 4, "{}", pebble.log());
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+8d"))).await;
    eventually_ok("the next order is sent", ORDERED, || async {
        let orders = pebble.orders();
        if orders == 5 { Ok(()) } else { Err(format!("{orders} orders")) }
    })
    .await;
}
