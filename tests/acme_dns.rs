//! Names proven by DNS-01: wildcards through a real name server (BIND), with all that a DNS provider does for its zones;
//! through each service, as `peers/dns.mjs` plays it, and through a program and a webhook of one's own.

use crate::{
    acme::{ORDERED, app, shown_issuer, trust},
    deploy::text,
    identity_providers::Peer,
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};
use testkit::{NameServer, Pebble, TestPanel, eventually_ok};

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

const TOKEN: &str = "dns-token-0123456789";

/// By the zone that each has: added and tried in the shell, records changed where it lists them, and a wildcard proven.
#[tokio::test]
async fn each_provider_proves_a_wildcard() {
    let panel = TestPanel::start().await;
    let pebble = Pebble::start(panel.http_port, 0).await;
    trust(&panel, &pebble).await;
    let peer = Peer::start("dns.mjs", &[&pebble.dns_interface()]).await;
    let token = format!("token={TOKEN}");
    let keys = ["access_key_id=AKID", "secret_access_key=dns-secret-0123456789"];
    let kinds: [(&str, &str, &[&str]); 5] = [
        ("cloudflare", "/cloudflare", &[&token]),
        ("digitalocean", "/digitalocean", &[&token]),
        ("hetzner", "/hetzner", &[&token]),
        ("route53", "", &keys),
        ("webhook", "/webhook", &[&token]),
    ];
    for (kind, endpoint, credentials) in kinds {
        let (endpoint, zone) = (format!("{}{endpoint}", peer.issuer), format!("{kind}.example.com"));
        let mut add = vec!["dns", "provider", "add", kind, "--kind", kind, "--endpoint", &endpoint];
        if kind == "webhook" {
            add.extend(["--zone", &zone]);
        }
        for credential in credentials {
            add.extend(["--credential", *credential]);
        }
        let added = panel.cli(&add).await.expect(0).stdout;
        assert!(added.contains(&format!("its zones: {zone}")), "{added}");
        if kind != "webhook" {
            records(&panel, &zone).await;
        }
        let left = proves(&panel, &zone).await;
        assert!(left.is_empty(), "the proofs are taken away: {left:?}");
    }
    // Credentials that are wrong are said to be, by whom, and are shown nowhere.
    let wrong = ["dns", "provider", "set", "hetzner", "--credential", "token=other"];
    let said = panel.cli(&wrong).await.expect(1).stderr;
    assert!(said.contains("Hetzner does not accept the credentials"), "{said}");
    let listed = panel.get("/api/v1/dns/providers").await.expect(200).text();
    assert!(!listed.contains("0123456789"), "{listed}");
}

/// Records through the provider: made, listed, changed, deleted.
async fn records(panel: &TestPanel, zone: &str) {
    let add = ["--json", "dns", "records", "add", zone, "www", "A", "192.0.2.1"];
    let id = text(&panel.cli(&add).await.expect(0).json(), "id");
    let set = ["--json", "dns", "records", "set", &id, zone, "www", "A", "192.0.2.2"];
    let id = text(&panel.cli(&set).await.expect(0).json(), "id");
    let list = panel.list(&format!("/api/v1/dns/zones/{zone}/records")).await;
    let values: Vec<_> = list.iter().map(|one| (text(one, "name"), text(one, "value"))).collect();
    assert_eq!(values, [(format!("www.{zone}"), "192.0.2.2".to_owned())]);
    panel.cli(&["dns", "records", "remove", zone, &id, "--yes"]).await.expect(0);
    assert!(panel.list(&format!("/api/v1/dns/zones/{zone}/records")).await.is_empty());
}

/// Orders a wildcard of the zone, and waits for it; what is left in the zone then, where it can be listed.
async fn proves(panel: &TestPanel, zone: &str) -> Vec<Value> {
    let wildcard = format!("*.{zone}");
    let order = panel.cli(&["--json", "cert", "order", &wildcard]).await.expect(0).json();
    let id = text(&order, "id");
    let made = eventually_ok(&format!("the certificate of {wildcard}"), ORDERED, || async {
        let all = panel.list("/api/v1/certificates").await;
        let one = all.into_iter().find(|one| one["id"] == id.as_str()).unwrap_or(Value::Null);
        if one["origin"] == "acme" { Ok(one) } else { Err(one.to_string()) }
    })
    .await;
    assert_eq!((&made["challenge"], &made["names"]), (&json!("dns"), &json!([wildcard])), "{made}");
    let records = panel.get(&format!("/api/v1/dns/zones/{zone}/records")).await;
    if records.status == 409 {
        return Vec::new();
    }
    records.expect(200).json()["items"].as_array().cloned().unwrap_or_default()
}

/// A program of one's own, as an administrator would write it.
#[tokio::test]
async fn a_program_proves_a_wildcard() {
    let panel = TestPanel::start().await;
    let pebble = Pebble::start(panel.http_port, 0).await;
    trust(&panel, &pebble).await;
    let folder = tempfile::tempdir().unwrap();
    let (program, log) = (folder.path().join("hook"), folder.path().join("log"));
    let lines = format!(
        "#!/bin/sh\necho \"$*\" >> {}\ncase $1 in test) exit;; create) verb=set-txt;; delete) verb=clear-txt;; esac\n\
         curl -sf -d \"{{\\\"host\\\": \\\"$3.\\\", \\\"value\\\": \\\"$6\\\"}}\" \"$NAMES/$verb\"\n",
        log.display()
    );
    fs::write(&program, lines).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (program, names) = (program.display().to_string(), format!("NAMES={}", pebble.dns_interface()));
    let add = [
        "dns",
        "provider",
        "add",
        "own",
        "--kind",
        "exec",
        "--zone",
        "own.example.com",
        "--command",
        &program,
    ];
    panel.cli(&[&add[..], &["--credential", &names]].concat()).await.expect(0);
    proves(&panel, "own.example.com").await;
    let said = fs::read_to_string(&log).unwrap();
    for verb in ["create", "delete"] {
        let wanted = format!("{verb} own.example.com _acme-challenge.own.example.com TXT 60 ");
        assert!(said.lines().any(|line| line.starts_with(&wanted)), "{said}");
    }
}
