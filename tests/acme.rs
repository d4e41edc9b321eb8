//! Certificates: at once from the panel's own authority, then from Pebble by HTTP-01 and TLS-ALPN-01, and kept when it fails;
//! accounts, and Let's Encrypt's staging directory.

use crate::deploy::text;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{AcmeFront, EXTERNAL_ACCOUNT, Options, Pebble, TestPanel, eventually_ok};

pub const ORDERED: Duration = Duration::from_secs(90);

pub fn app(host: &str) -> Value {
    json!({"name": "shop", "source": {"kind": "image", "reference": "nginx"}, "domains": [host], "deploy": false})
}

pub async fn certificate(panel: &TestPanel, host: &str) -> Value {
    let all = panel.list("/api/v1/certificates").await;
    all.into_iter().find(|one| one["host"] == host).unwrap_or(Value::Null)
}

pub async fn in_state(panel: &TestPanel, host: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually_ok(&format!("the certificate of {host}"), ORDERED, || async {
        let now = certificate(panel, host).await;
        if wanted(&now) { Ok(now) } else { Err(now.to_string()) }
    })
    .await
}

/// What the edge shows for a host: the issuer's line of `openssl x509`.
pub fn shown_issuer(port: u16, host: &str) -> String {
    let client = std::process::Command::new("timeout")
        .args([
            "10",
            "openssl",
            "s_client",
            "-connect",
            &format!("127.0.0.1:{port}"),
            "-servername",
            host,
        ])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&client.stdout).into_owned();
    text.lines().find(|line| line.starts_with("issuer=")).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_certificate_from_pebble() {
    let mut panel = TestPanel::start().await;
    // One nonce in twenty is refused, as real servers do after a pause.
    let pebble = Pebble::start(panel.http_port, 5).await;
    let settings = json!({"acme_directory": pebble.directory(), "acme_ca_pem": pebble.ca_pem(), "acme_email": "ada@example.com"});
    panel.patch("/api/v1/settings", settings).await.expect(200);
    let host = "shop.example.com";
    panel.create_app(app(host)).await;
    let valid = in_state(&panel, host, |now| now["state"] == "valid" && now["origin"] == "acme").await;
    assert!(text(&valid, "issuer").contains("Pebble"), "{valid}");
    // It is served, whole, and a client that knows Pebble's root takes it.
    let trusting = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(pebble.root_pem().await.as_bytes()).unwrap()])
        .resolve(host, ([127, 0, 0, 1], 0).into())
        .build()
        .unwrap();
    eventually_ok("the edge shows Pebble's certificate", Duration::from_secs(15), || async {
        let answer = trusting
            .get(panel.site(host, "/"))
            .send()
            .await
            .map_err(|error| format!("{error:?}"))?;
        assert_eq!(answer.status().as_u16(), 503, "an app without a container");
        Ok(())
    })
    .await;
    // Renewal replaces it.
    panel
        .post(&format!("/api/v1/certificates/{host}/renew"), json!({}))
        .await
        .expect(202);
    let renewed = in_state(&panel, host, |now| {
        now["state"] == "valid" && now["fingerprint"] != valid["fingerprint"]
    })
    .await;
    assert!(text(&renewed, "not_after") >= text(&valid, "not_after"));
    // It outlives a restart without a new order.
    panel.kill();
    panel.start_again().await;
    assert_eq!(certificate(&panel, host).await["fingerprint"], renewed["fingerprint"]);
    assert!(shown_issuer(panel.https_port, host).contains("Pebble"));
    let events = panel.list("/api/v1/events/history").await;
    assert!(
        events.iter().any(|event| event["kind"] == "certificate_issued"),
        "it is in the history"
    );
    assert!(pebble.log().contains("Issued certificate"), "{}", pebble.log());
}

#[tokio::test]
async fn names_that_are_not_public_have_one_at_once() {
    let panel = TestPanel::start().await;
    for (number, host) in ["a.test", "b.localhost", "c.internal", "d.local", "10.9.8.7"]
        .into_iter()
        .enumerate()
    {
        let mut body = app(host);
        body["name"] = format!("shop{number}").into();
        panel.create_app(body).await;
        let now = in_state(&panel, host, |now| now["state"] == "valid").await;
        assert_eq!(now["origin"], "own", "{host}: {now}");
    }
}

/// A directory that refuses everything: the own authority serves, the error is told, and tries grow rarer.
#[tokio::test]
async fn an_order_that_fails() {
    let panel = TestPanel::start().await;
    // Pebble looks for the answer where nobody listens.
    let pebble = Pebble::start(testkit::free_port(), 0).await;
    let settings = json!({"acme_directory": pebble.directory(), "acme_ca_pem": pebble.ca_pem()});
    panel.patch("/api/v1/settings", settings).await.expect(200);
    let host = "shop.example.com";
    panel.create_app(app(host)).await;
    let failed = in_state(&panel, host, |now| now["failures"].as_u64() >= Some(1)).await;
    assert!(text(&failed, "last_error").len() > 10, "{failed}");
    assert!(!failed["next_try_at"].is_null(), "{failed}");
    assert!(!shown_issuer(panel.https_port, host).is_empty(), "something is served meanwhile");
    panel.visit(host, "/").await.expect(503);
    // A directory that is not there, or not trusted.
    for (directory, ca) in [("https://127.0.0.1:9/dir".to_owned(), None), (pebble.directory(), None::<String>)] {
        panel
            .patch("/api/v1/settings", json!({"acme_directory": directory, "acme_ca_pem": ca}))
            .await
            .expect(200);
        panel
            .post(&format!("/api/v1/certificates/{host}/renew"), json!({}))
            .await
            .expect(202);
        let again = in_state(&panel, host, |now| now["last_error"] != failed["last_error"]).await;
        assert!(text(&again, "last_error").len() > 10, "{again}");
    }
    for bad in [
        json!({"acme_directory": "not a url"}),
        json!({"acme_ca_pem": "no pem"}),
        json!({"acme_email": "nobody"}),
    ] {
        panel.patch("/api/v1/settings", bad.clone()).await.expect(422).code("invalid");
    }
}

/// The settings for a Pebble: also whom to ask before an order, and that this machine is the one.
pub async fn trust(panel: &TestPanel, pebble: &Pebble) {
    let settings = json!({
        "acme_directory": pebble.directory(),
        "acme_ca_pem": pebble.ca_pem(),
        "dns_servers": [pebble.name_server()],
        "public_addresses": ["127.0.0.1"],
    });
    panel.patch("/api/v1/settings", settings).await.expect(200);
}

#[tokio::test]
async fn by_tls_alone() {
    let panel = TestPanel::start().await;
    let pebble = Pebble::start_for(1, panel.https_port, 5, None, false).await;
    trust(&panel, &pebble).await;
    let changed = panel
        .patch("/api/v1/settings", json!({"acme_challenge": "tls_alpn"}))
        .await
        .expect(200)
        .json();
    assert_eq!(changed["acme_challenge"], "tls_alpn");
    panel.create_app(app("shop.example.com")).await;
    let valid = in_state(&panel, "shop.example.com", |now| now["origin"] == "acme").await;
    assert_eq!(valid["challenge"], "tls_alpn", "{valid}");
    assert!(shown_issuer(panel.https_port, "shop.example.com").contains("Pebble"));
    panel
        .patch("/api/v1/settings", json!({"acme_challenge": "smoke"}))
        .await
        .expect(422)
        .code("invalid");
}

#[tokio::test]
async fn an_account_made_beforehand() {
    let panel = TestPanel::start().await;
    let pebble = Pebble::start_for(panel.http_port, 1, 0, None, true).await;
    trust(&panel, &pebble).await;
    panel.create_app(app("shop.example.com")).await;
    let failed = in_state(&panel, "shop.example.com", |now| now["state"] == "failed").await;
    assert!(text(&failed, "last_error").contains("acme_eab_key_id"), "{failed}");
    let (id, key) = EXTERNAL_ACCOUNT;
    panel
        .patch("/api/v1/settings", json!({"acme_eab_key_id": id}))
        .await
        .expect(422)
        .code("invalid");
    let changed = panel
        .patch("/api/v1/settings", json!({"acme_eab_key_id": id, "acme_eab_hmac_key": key}))
        .await
        .expect(200);
    assert!(!changed.text().contains(key), "the key is not shown");
    panel
        .post("/api/v1/certificates/shop.example.com/renew", json!({}))
        .await
        .expect(202);
    in_state(&panel, "shop.example.com", |now| now["origin"] == "acme").await;
}

/// The authority forgets its accounts: a new one is made, kept, and used after a restart.
#[tokio::test]
async fn a_lost_account_is_made_again_and_kept() {
    let mut panel = TestPanel::start().await;
    let mut pebble = Pebble::start(panel.http_port, 0).await;
    trust(&panel, &pebble).await;
    panel.create_app(app("shop.example.com")).await;
    let first = in_state(&panel, "shop.example.com", |now| now["origin"] == "acme").await;
    pebble.restart().await;
    let renew = "/api/v1/certificates/shop.example.com/renew";
    panel.post(renew, json!({})).await.expect(202);
    let other = |before: Value| move |now: &Value| now["state"] == "valid" && now["fingerprint"] != before["fingerprint"];
    let second = in_state(&panel, "shop.example.com", other(first)).await;
    panel.kill();
    panel.start_again().await;
    panel.post(renew, json!({})).await.expect(202);
    in_state(&panel, "shop.example.com", other(second)).await;
    assert!(!pebble.log().contains("There are now 2 accounts"), "{}", pebble.log());
}

/// Let's Encrypt's staging directory in place of its real one, by a switch. Both names are this machine, as the panel
/// sees it: it has an `/etc/hosts` of its own, and no name server.
#[tokio::test]
async fn the_staging_switch() {
    const REAL: &str = "acme-v02.api.letsencrypt.org";
    const STAGING: &str = "acme-staging-v02.api.letsencrypt.org";
    // All of 127.0.0.0/8 is loopback: an address on which nobody else has port 443.
    let [.., a, b] = std::process::id().to_be_bytes();
    let address = std::net::SocketAddr::from(([127, 77, a, b.max(1)], 443));
    let folder = tempfile::tempdir().unwrap();
    let (hosts, resolv) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
    std::fs::write(&hosts, format!("127.0.0.1 localhost\n{} {REAL} {STAGING}\n", address.ip())).unwrap();
    std::fs::write(&resolv, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    let (hosts, resolv) = (hosts.display().to_string(), resolv.display().to_string());
    let inside = "mount --bind \"$0\" /etc/hosts && mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
    let panel = Options::default()
        .through(&["unshare", "--mount", "sh", "-c", inside, &hosts, &resolv])
        .start()
        .await;
    let pebble = Pebble::start(panel.http_port, 0).await;
    let front = AcmeFront::start(&pebble, address, &[REAL, STAGING]).await;
    let settings = json!({
        "acme_ca_pem": front.ca_pem(),
        "acme_staging": true,
        "dns_servers": [pebble.name_server()],
        "public_addresses": ["127.0.0.1"],
    });
    let changed = panel.patch("/api/v1/settings", settings).await.expect(200).json();
    assert_eq!(changed["acme_staging"], true);
    panel.create_app(app("shop.example.com")).await;
    let first = in_state(&panel, "shop.example.com", |now| now["origin"] == "acme").await;
    assert_eq!(front.hosts(), [STAGING.to_owned()].into(), "the real one hears nothing");
    panel.cli(&["settings", "set", "acme_staging=false"]).await.expect(0);
    panel
        .post("/api/v1/certificates/shop.example.com/renew", json!({}))
        .await
        .expect(202);
    in_state(&panel, "shop.example.com", |now| {
        now["state"] == "valid" && now["fingerprint"] != first["fingerprint"]
    })
    .await;
    assert_eq!(front.hosts(), [REAL.to_owned(), STAGING.to_owned()].into());
}
