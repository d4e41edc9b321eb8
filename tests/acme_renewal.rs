//! Renewal information (RFC 9773): the authority says when a certificate is to be renewed.

use crate::{
    acme::{ORDERED, app, certificate, in_state},
    deploy::text,
};
use serde_json::json;
use testkit::{AcmeFront, Advice, Pebble, TestPanel, eventually_ok, moment, renewal_id, tls};

/// RFC 9773: the panel asks when to renew, keeps to when it may ask again, renews as early as it is told, and says what
/// the order replaces.
#[tokio::test]
async fn the_authority_says_when_to_renew() {
    let mut panel = TestPanel::start().await;
    let pebble = Pebble::start(panel.http_port, 0).await;
    let front = AcmeFront::start(&pebble, ([127, 0, 0, 1], 0).into(), &["localhost"]).await;
    let settings = json!({"acme_directory": front.directory(), "acme_ca_pem": front.ca_pem()});
    panel.patch("/api/v1/settings", settings).await.expect(200);
    let host = "shop.example.com";
    panel.create_app(app(host)).await;
    in_state(&panel, host, |now| now["state"] == "valid" && now["origin"] == "acme").await;
    let shown = async |port: u16| renewal_id(&tls(port, host).await.unwrap().1);
    let first = shown(panel.https_port).await;
    assert_eq!(front.replaced(), [None], "the first replaces nothing");
    let asks = async |times: usize| {
        eventually_ok("it asks", ORDERED, || async {
            let asked = front.asked(&first);
            if asked >= times {
                Ok(())
            } else {
                Err(format!("asked {asked} times"))
            }
        })
        .await;
    };
    // A new domain wakes the certifier: two turns of it, the first of which has ended.
    let mut made = 0;
    let mut turns = async |panel: &TestPanel| {
        for _ in 0..2 {
            made += 1;
            let host = format!("turn{made}.test");
            panel.post("/api/v1/apps/shop/domains", json!({ "host": host })).await.expect(201);
            in_state(panel, &host, |now| now["state"] == "valid").await;
        }
    };

    // Nothing is known of the first: what fails is asked again only after hours, and not in each turn.
    turns(&panel).await;
    asks(1).await;
    turns(&panel).await;
    assert_eq!(front.asked(&first), 1);
    let (from, to) = (moment(30), moment(31));
    let later = Advice::Window {
        from: from.clone(),
        to: to.clone(),
        ask_after: 4 * 3600,
    };
    front.advise(&first, later);
    panel.stop().await;
    panel.start_again().await;
    let told = in_state(&panel, host, |now| !now["renew_from"].is_null()).await;
    assert_eq!(
        (&text(&told, "renew_from")[..19], &text(&told, "renew_to")[..19]),
        (&from[..19], &to[..19])
    );
    let next = text(&told, "next_try_at");
    assert!(
        from[..19] <= next[..19] && next[..19] <= to[..19],
        "{next} is between {from} and {to}"
    );
    // Retry-After holds over a restart.
    let asked = front.asked(&first);
    panel.stop().await;
    panel.start_again().await;
    turns(&panel).await;
    assert_eq!(front.asked(&first), asked, "it may ask again in four hours");

    // Five hours later it may; a server that is broken then, or says nonsense, changes nothing.
    for (advice, clock) in [(Advice::Broken, "+5h"), (Advice::Nonsense, "+12h")] {
        front.advise(&first, advice);
        let asked = front.asked(&first);
        panel.stop().await;
        panel.start_again_with(|options| options.clock(Some(clock))).await;
        asks(asked + 1).await;
        turns(&panel).await;
        assert_eq!(front.asked(&first), asked + 1, "nor is it asked in each turn");
        assert_eq!(text(&certificate(&panel, host).await, "next_try_at"), next);
    }

    // Now it is to be renewed at once.
    let now = Advice::Window {
        from: moment(-2),
        to: moment(-1),
        ask_after: 3600,
    };
    front.advise(&first, now);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+19h"))).await;
    turns(&panel).await;
    let second = eventually_ok("it is renewed early", ORDERED, || async {
        let id = shown(panel.https_port).await;
        if id == first { Err("still the first".to_owned()) } else { Ok(id) }
    })
    .await;
    assert_eq!(
        front.replaced(),
        [None, Some(first.clone())],
        "the order says which one it replaces"
    );
    let renewed = in_state(&panel, host, |now| now["state"] == "valid" && now["renew_from"].is_null()).await;
    assert!(text(&renewed, "next_try_at") > next, "the new one is not renewed early: {renewed}");

    // Somebody replaced it already: then the order goes without that.
    front.refuse_replacements();
    panel
        .post(&format!("/api/v1/certificates/{host}/renew"), json!({}))
        .await
        .expect(202);
    eventually_ok("it is renewed all the same", ORDERED, || async {
        let id = shown(panel.https_port).await;
        if id == second { Err("still the second".to_owned()) } else { Ok(()) }
    })
    .await;
    assert_eq!(front.replaced(), [None, Some(first), Some(second), None]);
}
