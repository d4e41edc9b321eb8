//! Certificates: at once from the panel's own authority, then from Pebble by HTTP-01, TLS-ALPN-01 and DNS-01 (with BIND),
//! renewed when the authority says so (RFC 9773), and kept when it fails; no order where it would fail; certificates of one's own; DNS providers.

use crate::deploy::text;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{
    AcmeFront, Advice, EXTERNAL_ACCOUNT, NameServer, Options, Pebble, TestAuthority, TestPanel, eventually_ok, moment, renewal_id, tls,
};

const ORDERED: Duration = Duration::from_secs(90);

fn app(host: &str) -> Value {
    json!({"name": "shop", "source": {"kind": "image", "reference": "nginx"}, "domains": [host], "deploy": false})
}

async fn certificate(panel: &TestPanel, host: &str) -> Value {
    let all = panel.list("/api/v1/certificates").await;
    all.into_iter().find(|one| one["host"] == host).unwrap_or(Value::Null)
}

async fn in_state(panel: &TestPanel, host: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually_ok(&format!("the certificate of {host}"), ORDERED, || async {
        let now = certificate(panel, host).await;
        if wanted(&now) { Ok(now) } else { Err(now.to_string()) }
    })
    .await
}

/// What the edge shows for a host: the issuer's line of `openssl x509`.
fn shown_issuer(port: u16, host: &str) -> String {
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
async fn trust(panel: &TestPanel, pebble: &Pebble) {
    let settings = json!({
        "acme_directory": pebble.directory(),
        "acme_ca_pem": pebble.ca_pem(),
        "dns_servers": [pebble.name_server()],
        "public_addresses": ["127.0.0.1"],
    });
    panel.patch("/api/v1/settings", settings).await.expect(200);
}

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

/// A wildcard by DNS-01 through RFC 2136 at a real BIND: it serves what it covers, and apps below it need no orders.
#[tokio::test]
async fn wildcards_through_a_name_server() {
    let panel = TestPanel::start().await;
    let names = NameServer::start("example.com", "@ IN A 127.0.0.1\n*.apps IN A 127.0.0.1\nshop IN A 127.0.0.1").await;
    let pebble = Pebble::start_for(panel.http_port, 1, 5, Some(names.port), false).await;
    trust(&panel, &pebble).await;
    let refused = panel
        .post("/api/v1/certificates", json!({"names": ["*.shop.test"]}))
        .await
        .expect(422);
    assert!(refused.detail().contains("no public certificate authority"), "{}", refused.detail());
    // The command line adds the provider, and says when it does not work.
    let server = names.address();
    let key = format!("key={}", NameServer::KEY);
    let mut add = vec![
        "dns",
        "provider",
        "add",
        "bind",
        "--kind",
        "rfc2136",
        "--zone",
        "example.com",
        "--key-name",
        NameServer::KEY_NAME,
    ];
    add.extend(["--server", &server, "--credential"]);
    let wrong = panel.cli(&[add.as_slice(), &["key=b3RoZXI="]].concat()).await.expect(1);
    assert!(wrong.stderr.contains("does not accept the key"), "{}", wrong.stderr);
    // It is mended, or added anew.
    let set = ["dns", "provider", "set", "bind"];
    let mended = panel.cli(&[&set[..], &["--credential", &key]].concat()).await.expect(0);
    assert!(mended.stdout.contains("its zones: example.com"), "{}", mended.stdout);
    let lost = panel.cli(&[&set[..], &["--zone", "example.org"]].concat()).await.expect(1);
    assert!(
        lost.stderr.contains("bind does not work") && lost.stderr.contains("does not serve this zone"),
        "{}",
        lost.stderr
    );
    panel.cli(&set).await.expect(2);
    panel.cli(&["dns", "provider", "remove", "bind", "--yes"]).await.expect(0);
    let added = panel.cli(&[add.as_slice(), &[key.as_str()]].concat()).await.expect(0);
    assert!(added.stdout.contains("its zones: example.com"), "{}", added.stdout);
    let listed = panel.get("/api/v1/dns/providers").await.expect(200);
    assert!(!listed.text().contains(NameServer::KEY), "the key is never shown");
    assert_eq!(listed.json()["items"][0]["credentials"], json!(["key"]));
    panel.cli(&["dns", "provider", "test", "bind"]).await.expect(0);
    // Records.
    panel
        .cli(&["dns", "records", "add", "example.com", "www", "A", "192.0.2.1", "--ttl", "120"])
        .await
        .expect(0);
    let records = panel.list("/api/v1/dns/zones/example.com/records").await;
    let www = records.iter().find(|record| record["name"] == "www.example.com").unwrap();
    assert_eq!((&www["value"], &www["ttl_seconds"]), (&json!("192.0.2.1"), &json!(120)));
    let path = format!("/api/v1/dns/zones/example.com/records/{}", text(www, "id"));
    let changed = panel
        .put(&path, json!({"name": "www", "kind": "A", "value": "192.0.2.2"}))
        .await
        .expect(200)
        .json();
    let path = format!("/api/v1/dns/zones/example.com/records/{}", text(&changed, "id"));
    panel
        .put(&path, json!({"name": "www", "kind": "A", "value": "nonsense"}))
        .await
        .expect(422)
        .code("invalid");
    panel.delete(&path).await.expect(204);
    panel.delete(&path).await.expect(404);
    panel.get("/api/v1/dns/zones/example.org/records").await.expect(404);
    let zones = panel.cli(&["dns", "zones"]).await.expect(0).stdout;
    assert!(zones.contains("example.com") && zones.contains("bind"), "{zones}");
    let added = ["--json", "dns", "records", "add", "example.com", "note", "TXT", "v=one"];
    let id = text(&panel.cli(&added).await.expect(0).json(), "id");
    let set = ["--json", "dns", "records", "set", &id, "example.com", "note", "TXT", "v=two"];
    let id = text(&panel.cli(&set).await.expect(0).json(), "id");
    let list = async || panel.cli(&["dns", "records", "list", "example.com"]).await.expect(0).stdout;
    let listed = list().await;
    assert!(listed.contains("v=two") && !listed.contains("v=one"), "{listed}");
    panel
        .cli(&["dns", "records", "remove", "example.com", &id, "--yes"])
        .await
        .expect(0);
    assert!(!list().await.contains("v=two"));
    // Through the provider a name is pointed here.
    let setup = panel.post("/api/v1/dns/setup/new.example.com", json!({})).await.expect(200).json();
    assert_eq!((&setup["ok"], &setup["provider"]), (&json!(true), &json!("bind")), "{setup}");
    // Several names in one, one of them a wildcard.
    let order = panel
        .cli(&["--json", "cert", "order", "example.com", "*.example.com"])
        .await
        .expect(0)
        .json();
    let id = text(&order, "id").to_owned();
    let ready = eventually_ok("the wildcard", ORDERED, || async {
        let all = panel.list("/api/v1/certificates").await;
        let one = all.into_iter().find(|one| one["id"] == id.as_str()).unwrap_or(Value::Null);
        if one["origin"] == "acme" { Ok(one) } else { Err(one.to_string()) }
    })
    .await;
    assert_eq!(ready["challenge"], "dns", "{ready}");
    let left = panel.list("/api/v1/dns/zones/example.com/records").await;
    assert!(
        left.iter().all(|record| record["kind"] != "TXT"),
        "the proofs are taken away: {left:?}"
    );
    let orders = pebble.orders();
    panel.create_app(app("shop.example.com")).await;
    eventually_ok("the wildcard serves", Duration::from_secs(20), || async {
        let issuer = shown_issuer(panel.https_port, "shop.example.com");
        if issuer.contains("Pebble") { Ok(()) } else { Err(issuer) }
    })
    .await;
    assert_eq!(pebble.orders(), orders, "a covered host needs no order");
    // The domain of the apps gets a wildcard by itself; each new app has its name and certificate at once.
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.example.com"}))
        .await
        .expect(200);
    eventually_ok("the wildcard of the apps", ORDERED, || async {
        let all = panel.list("/api/v1/certificates").await;
        let one = all
            .into_iter()
            .find(|one| one["names"] == json!(["*.apps.example.com"]))
            .unwrap_or(Value::Null);
        if one["origin"] == "acme" { Ok(()) } else { Err(one.to_string()) }
    })
    .await;
    let orders = pebble.orders();
    let body = json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}, "deploy": false});
    panel.create_app(body).await;
    eventually_ok("the new app has its certificate", Duration::from_secs(20), || async {
        let issuer = shown_issuer(panel.https_port, "blog.apps.example.com");
        if issuer.contains("Pebble") { Ok(()) } else { Err(issuer) }
    })
    .await;
    assert_eq!(pebble.orders(), orders);
    // A provider that is in use by name stays; the certificate goes when it is removed.
    panel.delete(&format!("/api/v1/certificates/{id}")).await.expect(204);
    panel.delete(&format!("/api/v1/certificates/{id}")).await.expect(404);
}

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
