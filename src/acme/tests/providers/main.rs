//! DNS providers: RFC 2136 against a real BIND (Debian package bind9), the services against a local server that keeps to
//! their published interfaces, programs and webhooks as they would be written.

#![allow(clippy::unwrap_used)]

mod bind;
mod cloudflare;
mod digitalocean;
mod hetzner;
mod hooks;
mod route53;
mod server;
mod sets;

use acme::providers::{self, Credentials, Provider};
use egress::{Bounds, Egress};
use serde_json::{Value, json};
use serverkit_acme as acme;
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::{DnsProviderKind, DnsProviderOptions, DnsRecord, DnsRecordKind, Error, Result, Secret, World};

/// As for those who run the panel: its servers are on this machine.
fn open(kind: DnsProviderKind, options: &DnsProviderOptions, credentials: &Credentials, world: &World) -> Result<Box<dyn Provider>> {
    providers::open(kind, options, credentials, world, &Egress::Anywhere)
}

fn credentials(given: &[(&str, &str)]) -> Credentials {
    given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::from(*value)))
        .collect()
}

fn record(name: &str, kind: DnsRecordKind, value: &str) -> DnsRecord {
    DnsRecord {
        id: String::new(),
        name: name.into(),
        kind,
        value: value.into(),
        ttl_seconds: 300,
    }
}

/// What people keep in a zone.
fn samples() -> Vec<DnsRecord> {
    use DnsRecordKind::{A, Aaaa, Caa, Cname, Mx, Srv, Txt};
    vec![
        record("www.example.com", A, "192.0.2.1"),
        record("www.example.com", Aaaa, "2001:db8::1"),
        record("*.apps.example.com", A, "192.0.2.2"),
        record("blog.example.com", Cname, "www.example.com"),
        record("example.com", Mx, "10 mail.example.com"),
        record("example.com", Txt, "v=spf1 include:\"quoted\" -all"),
        record("_acme-challenge.example.com", Txt, "first"),
        record("_acme-challenge.example.com", Txt, "second"),
        record("example.com", Caa, "0 issue \"letsencrypt.org\""),
        record("_sip._tcp.example.com", Srv, "10 5 5060 sip.example.com"),
    ]
}

async fn says(provider: &dyn Provider, wanted: &DnsRecord) -> Option<DnsRecord> {
    let all = provider.records("example.com").await.unwrap();
    all.into_iter()
        .find(|found| (&found.name, found.kind, &found.value) == (&wanted.name, wanted.kind, &wanted.value))
}

/// Every kind of record is made, listed as it was given, changed and deleted, and its neighbours stay.
async fn exercise(provider: &dyn Provider) {
    assert_eq!(provider.zones().await.unwrap(), ["example.com"]);
    for sample in samples() {
        provider
            .create("example.com", &sample)
            .await
            .unwrap_or_else(|error| panic!("{sample:?}: {error}"));
    }
    for sample in samples() {
        let found = says(provider, &sample).await;
        let all = provider.records("example.com").await.unwrap();
        assert!(found.is_some_and(|found| found.ttl_seconds == 300), "{sample:?} is not in {all:#?}");
    }
    let old = says(provider, &samples()[0]).await.unwrap();
    let new = record("www.example.com", DnsRecordKind::A, "192.0.2.77");
    provider.replace("example.com", &old, &new).await.unwrap();
    assert!(says(provider, &old).await.is_none() && says(provider, &new).await.is_some());
    // By what it says, as a challenge is taken away; the other text of the name stays.
    provider.delete("example.com", &samples()[6]).await.unwrap();
    assert!(says(provider, &samples()[6]).await.is_none());
    assert!(says(provider, &samples()[7]).await.is_some());
    for sample in samples().into_iter().skip(1).filter(|sample| sample.value != "first") {
        let found = says(provider, &sample).await.unwrap();
        provider.delete("example.com", &found).await.unwrap();
        assert!(says(provider, &sample).await.is_none(), "{sample:?} is still there");
    }
}

fn at(endpoint: String) -> DnsProviderOptions {
    DnsProviderOptions {
        endpoint: Some(endpoint),
        ..DnsProviderOptions::default()
    }
}

#[test]
fn what_is_missing_is_said() {
    let world = World::system();
    for (kind, given, words) in [
        (DnsProviderKind::Cloudflare, vec![], "credentials.token: Cloudflare needs it"),
        (
            DnsProviderKind::Route53,
            vec![("access_key_id", "x")],
            "credentials.secret_access_key: Route 53 needs it",
        ),
        (
            DnsProviderKind::Hetzner,
            vec![("token", "x"), ("tokn", "y")],
            "credentials.tokn: Hetzner does not know it; it knows token",
        ),
        (
            DnsProviderKind::Rfc2136,
            vec![("key", "eA==")],
            "server: must be the address of the primary name server, such as 192.0.2.1 or 192.0.2.1:53",
        ),
        (DnsProviderKind::Webhook, vec![], "endpoint: must be the address that is called"),
    ] {
        let error = open(kind, &DnsProviderOptions::default(), &credentials(&given), &world)
            .err()
            .unwrap();
        assert_eq!(error.to_string(), words);
    }
}

#[tokio::test]
async fn others_reach_no_inner_server() {
    let inner = Egress::public(Bounds::default());
    let given = |kind| match kind {
        DnsProviderKind::Rfc2136 => credentials(&[("key", "c2VjcmV0")]),
        DnsProviderKind::Webhook => Credentials::new(),
        _ => credentials(&[("token", "x")]),
    };
    let at = |place: &str| DnsProviderOptions {
        endpoint: Some(format!("http://{place}/")),
        server: Some(place.to_owned()),
        zones: vec!["example.com".into()],
        key_name: Some("serverkit".into()),
        ..DnsProviderOptions::default()
    };
    let kinds = [DnsProviderKind::Rfc2136, DnsProviderKind::Webhook, DnsProviderKind::Cloudflare];
    for kind in kinds {
        let refused = providers::open(kind, &at("127.0.0.1:53"), &given(kind), &World::system(), &inner);
        let why = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(why.contains("127.0.0.1 leads to an inner address"), "{kind:?}: {why}");
        let outside = providers::open(kind, &at("8.8.8.8:53"), &given(kind), &World::system(), &inner);
        assert!(outside.is_ok(), "{kind:?}");
    }
    // A name is looked at when it is used.
    let kind = DnsProviderKind::Webhook;
    let named = providers::open(kind, &at("localhost:1"), &given(kind), &World::system(), &inner).unwrap();
    let why: Error = named.zones().await.unwrap_err();
    assert!(
        types::report(&why).contains("localhost leads to an inner address"),
        "{}",
        types::report(&why)
    );
}
