//! DNS providers: RFC 2136 against a real BIND (Debian package bind9), the services against a local server that keeps to
//! their published interfaces, programs and webhooks as they would be written.

#![allow(clippy::unwrap_used)]

use acme::providers::{Credentials, Provider, open};
use serde_json::{Value, json};
use serverkit_acme as acme;
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::{DnsProviderKind, DnsProviderOptions, DnsRecord, DnsRecordKind, Secret, World};

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

// ---- a name server of one's own ----

struct Bind {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

const KEY: &str = "c2VjcmV0LW9mLXRoZS10ZXN0cy1vbmx5LTMyLWJ5dGVz";

impl Bind {
    fn start() -> Bind {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(
            folder.path().join("zone"),
            "$TTL 300\n@ IN SOA ns.example.com. admin.example.com. 1 3600 600 86400 60\n@ IN NS ns.example.com.\nns IN A 127.0.0.1\nmail IN A 127.0.0.1\nsip IN A 127.0.0.1\n",
        )
        .unwrap();
        std::fs::write(
            folder.path().join("named.conf"),
            format!(
                r#"options {{ directory "{path}"; pid-file "{path}/pid"; session-keyfile "{path}/session"; listen-on port {port} {{ 127.0.0.1; }};
                listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; allow-transfer {{ none; }}; }};
                controls {{ }};
                key "serverkit" {{ algorithm hmac-sha256; secret "{KEY}"; }};
                key "reader" {{ algorithm hmac-sha512; secret "{KEY}"; }};
                zone "example.com" {{ type primary; file "zone"; allow-update {{ key serverkit; }}; allow-transfer {{ key serverkit; }}; }};"#
            ),
        )
        .unwrap();
        let named = ["/usr/sbin/named", "/usr/bin/named"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        let process = Command::new(named.expect("named is installed (Debian package bind9)"))
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let bind = Bind {
            process,
            port,
            _folder: folder,
        };
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < until,
                "named does not listen: {}",
                std::fs::read_to_string(bind._folder.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        bind
    }

    fn open(&self, key_name: &str, algorithm: &str, key: &str) -> Box<dyn Provider> {
        let options = DnsProviderOptions {
            server: Some(format!("127.0.0.1:{}", self.port)),
            zones: vec!["example.com".into()],
            key_name: Some(key_name.into()),
            algorithm: Some(algorithm.into()),
            ..DnsProviderOptions::default()
        };
        open(DnsProviderKind::Rfc2136, &options, &credentials(&[("key", key)]), &World::system()).unwrap()
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn rfc_2136_with_bind() {
    let bind = Bind::start();
    exercise(&*bind.open("serverkit", "hmac-sha256", KEY)).await;
    let refused = async |key_name: &str, algorithm: &str, key: &str| {
        let provider = bind.open(key_name, algorithm, key);
        (
            provider.zones().await.unwrap_err().to_string(),
            provider.records("example.com").await.unwrap_err().to_string(),
        )
    };
    let (update, list) = refused("serverkit", "hmac-sha256", "b3RoZXI=").await;
    assert!(update.contains("does not accept the key"), "{update}");
    assert!(list.contains("check the key"), "{list}");
    let (update, _) = refused("nobody", "hmac-sha256", KEY).await;
    assert!(update.contains("does not accept the key"), "{update}");
    let (update, list) = refused("reader", "hmac-sha512", KEY).await;
    assert!(update.contains("does not allow this to the key"), "{update}");
    assert!(list.contains("allow-transfer"), "{list}");
    let outside = bind
        .open("serverkit", "hmac-sha256", KEY)
        .create("example.com", &record("www.example.org", DnsRecordKind::A, "192.0.2.1"))
        .await
        .unwrap_err();
    assert!(outside.to_string().contains("not within the zone"), "{outside}");
}

// ---- services ----

#[derive(Debug, Clone)]
struct Asked {
    method: String,
    path: String,
    query: String,
    body: String,
    authorization: String,
}

type Handler = Arc<dyn Fn(&Asked) -> (u16, String) + Send + Sync>;

/// A server on a port of its own; its address.
async fn serve(handler: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> String {
    let handler: Handler = Arc::new(handler);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, handler.clone()));
        }
    });
    format!("http://127.0.0.1:{port}")
}

async fn answer(mut stream: tokio::net::TcpStream, handler: Handler) {
    let mut bytes = Vec::new();
    let end = loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        bytes.extend_from_slice(&part[..length]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap_or(0);
        body.extend_from_slice(&part[..read]);
    }
    let mut first = head.lines().next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let target = first.next().unwrap_or_default().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let asked = Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        authorization: header("authorization"),
    };
    let (status, text) = handler(&asked);
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn at(endpoint: String) -> DnsProviderOptions {
    DnsProviderOptions {
        endpoint: Some(endpoint),
        ..DnsProviderOptions::default()
    }
}

/// Records in a service's own words, by its ids.
#[derive(Default)]
struct Kept(Mutex<(u64, Vec<(String, Value)>)>);

impl Kept {
    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().1.iter().map(|(_, value)| value.clone()).collect()
    }
    fn add(&self, mut value: Value, number: bool) -> Value {
        let mut kept = self.0.lock().unwrap();
        kept.0 += 1;
        let id = kept.0.to_string();
        value["id"] = if number { kept.0.into() } else { id.clone().into() };
        kept.1.push((id, value.clone()));
        value
    }
    fn remove(&self, id: &str) -> bool {
        let mut kept = self.0.lock().unwrap();
        let before = kept.1.len();
        kept.1.retain(|(own, _)| own != id);
        kept.1.len() < before
    }
    fn change(&self, id: &str, new: &Value) -> bool {
        let mut kept = self.0.lock().unwrap();
        let Some((_, value)) = kept.1.iter_mut().find(|(own, _)| own == id) else {
            return false;
        };
        for (field, part) in new.as_object().unwrap() {
            value[field] = part.clone();
        }
        true
    }
}

#[tokio::test]
async fn cloudflare() {
    let kept = Arc::new(Kept::default());
    let state = kept.clone();
    let endpoint = serve(move |asked| {
        let failed = |status, code: u32, message: &str| {
            (
                status,
                json!({"success": false, "errors": [{"code": code, "message": message}], "result": null}).to_string(),
            )
        };
        if asked.authorization != "Bearer right" {
            return failed(403, 9109, "Invalid access token");
        }
        let fine = |result: Value| {
            let pages = json!({"page": 1, "per_page": 50, "total_pages": 1, "count": 1, "total_count": 1});
            (
                200,
                json!({"success": true, "errors": [], "result": result, "result_info": pages}).to_string(),
            )
        };
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["zones"]) if asked.query.contains("name=") && !asked.query.contains("name=example.com") => fine(json!([])),
            ("GET", ["zones"]) => fine(json!([{"id": "z1", "name": "example.com"}])),
            ("GET", ["zones", "z1", "dns_records"]) => fine(state.all().into()),
            ("POST", ["zones", "z1", "dns_records"]) => {
                let mut value = body;
                // The service shows structured records as text too.
                if value["type"] == "CAA" {
                    let data = &value["data"];
                    let text = format!("{} {} {}", data["flags"], data["tag"].as_str().unwrap(), data["value"]);
                    value["content"] = text.into();
                }
                if value["type"] == "SRV" {
                    let data = value["data"].clone();
                    value["content"] = format!("{} {} {}", data["weight"], data["port"], data["target"].as_str().unwrap()).into();
                    value["priority"] = data["priority"].clone();
                }
                fine(state.add(value, false))
            }
            ("PATCH", ["zones", "z1", "dns_records", id]) if state.change(id, &body) => fine(json!({"id": id})),
            ("DELETE", ["zones", "z1", "dns_records", id]) if state.remove(id) => fine(json!({"id": id})),
            _ => failed(404, 7003, "Could not route to it"),
        }
    })
    .await;
    let world = World::system();
    let with = |token: &str| {
        open(
            DnsProviderKind::Cloudflare,
            &at(endpoint.clone()),
            &credentials(&[("token", token)]),
            &world,
        )
        .unwrap()
    };
    exercise(&*with("right")).await;
    let refused = with("wrong").zones().await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "Cloudflare does not accept the credentials, or they lack a right: Invalid access token"
    );
    let missing = with("right").records("example.org").await.unwrap_err().to_string();
    assert_eq!(missing, "no DNS zone named `example.org`");
}

#[tokio::test]
async fn digitalocean() {
    let kept = Arc::new(Kept::default());
    let state = kept.clone();
    let endpoint = serve(move |asked| {
        if asked.authorization != "Bearer right" {
            return (
                401,
                json!({"id": "unauthorized", "message": "Unable to authenticate you"}).to_string(),
            );
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["domains"]) => (
                200,
                json!({"domains": [{"name": "example.com", "ttl": 1800}], "links": {}}).to_string(),
            ),
            ("GET", ["domains", "example.com", "records"]) => (200, json!({"domain_records": state.all(), "links": {}}).to_string()),
            ("POST", ["domains", "example.com", "records"]) => {
                let data = body["data"].as_str().unwrap();
                let kind = body["type"].as_str().unwrap();
                assert!(!["CNAME", "MX", "SRV"].contains(&kind) || data.ends_with('.'), "{body}");
                // It keeps names without the last dot.
                let mut value = body.clone();
                if ["CNAME", "MX", "SRV", "CAA"].contains(&kind) {
                    value["data"] = data.trim_end_matches('.').into();
                }
                (201, json!({"domain_record": state.add(value, true)}).to_string())
            }
            ("PUT", ["domains", "example.com", "records", id]) if state.change(id, &body) => (200, "{}".into()),
            ("DELETE", ["domains", "example.com", "records", id]) if state.remove(id) => (204, String::new()),
            _ => (
                404,
                json!({"id": "not_found", "message": "The resource you were accessing could not be found."}).to_string(),
            ),
        }
    })
    .await;
    let world = World::system();
    let with = |token: &str| {
        open(
            DnsProviderKind::DigitalOcean,
            &at(endpoint.clone()),
            &credentials(&[("token", token)]),
            &world,
        )
        .unwrap()
    };
    exercise(&*with("right")).await;
    let refused = with("wrong").zones().await.unwrap_err().to_string();
    assert!(refused.ends_with("Unable to authenticate you"), "{refused}");
}

/// Sets of values by name and type.
#[derive(Default)]
struct Sets(Mutex<Vec<Set>>);

/// Name, type, seconds, values.
type Set = (String, String, u32, Vec<String>);

impl Sets {
    fn add(&self, name: &str, kind: &str, ttl: u32, value: &str) {
        let mut sets = self.0.lock().unwrap();
        match sets.iter_mut().find(|set| set.0 == name && set.1 == kind) {
            Some(set) => set.3.push(value.to_owned()),
            None => sets.push((name.to_owned(), kind.to_owned(), ttl, vec![value.to_owned()])),
        }
    }
    fn remove(&self, name: &str, kind: &str, value: &str) {
        let mut sets = self.0.lock().unwrap();
        for set in sets.iter_mut().filter(|set| set.0 == name && set.1 == kind) {
            set.3.retain(|own| own != value);
        }
        sets.retain(|set| !set.3.is_empty());
    }
}

#[tokio::test]
async fn hetzner() {
    let sets = Arc::new(Sets::default());
    let state = sets.clone();
    let endpoint = serve(move |asked| {
        if asked.authorization != "Bearer right" {
            return (
                401,
                json!({"error": {"code": "unauthorized", "message": "unable to authenticate"}}).to_string(),
            );
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let parts: Vec<String> = asked
            .path
            .trim_matches('/')
            .split('/')
            .map(|part| part.replace("%40", "@"))
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let meta = json!({"pagination": {"page": 1, "per_page": 50, "next_page": null}});
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["zones"]) => (
                200,
                json!({"zones": [{"id": 42, "name": "example.com", "mode": "primary"}], "meta": meta}).to_string(),
            ),
            ("GET", ["zones", "example.com", "rrsets"]) => {
                let sets = state.0.lock().unwrap();
                let sets: Vec<_> = sets
                    .iter()
                    .map(|(name, kind, ttl, values)| {
                        let records: Vec<_> = values.iter().map(|value| json!({"value": value, "comment": ""})).collect();
                        json!({"id": format!("{name}/{kind}"), "name": name, "type": kind, "ttl": ttl, "records": records})
                    })
                    .collect();
                (200, json!({"rrsets": sets, "meta": meta}).to_string())
            }
            ("POST", ["zones", "example.com", "rrsets", name, kind, "actions", verb]) => {
                for record in body["records"].as_array().unwrap() {
                    let value = record["value"].as_str().unwrap();
                    match *verb {
                        "add_records" => state.add(name, kind, u32::try_from(body["ttl"].as_u64().unwrap()).unwrap(), value),
                        "remove_records" => state.remove(name, kind, value),
                        _ => return (404, String::new()),
                    }
                }
                (201, json!({"action": {"id": 1, "status": "running", "error": null}}).to_string())
            }
            _ => (404, json!({"error": {"code": "not_found", "message": "not found"}}).to_string()),
        }
    })
    .await;
    let world = World::system();
    let with = |token: &str| {
        open(
            DnsProviderKind::Hetzner,
            &at(endpoint.clone()),
            &credentials(&[("token", token)]),
            &world,
        )
        .unwrap()
    };
    exercise(&*with("right")).await;
    assert!(
        sets.0.lock().unwrap().iter().all(|set| set.3[0] == "192.0.2.77"),
        "only what was changed is left"
    );
    let refused = with("wrong").zones().await.unwrap_err().to_string();
    assert!(refused.ends_with("unable to authenticate"), "{refused}");
}

fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}

#[tokio::test]
async fn route53() {
    let sets = Arc::new(Sets::default());
    let state = sets.clone();
    let endpoint = serve(move |asked| {
        let signed = asked.authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/")
            && asked.authorization.contains("/us-east-1/route53/aws4_request")
            && asked.authorization.contains("Signature=");
        if !signed {
            let text = "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>The security token is invalid.</Message></Error></ErrorResponse>";
            return (403, text.into());
        }
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let plain = |text: &str| text.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/2013-04-01/hostedzone") => (
                200,
                "<?xml version=\"1.0\"?><ListHostedZonesResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><HostedZones>\
                 <HostedZone><Id>/hostedzone/Z1</Id><Name>example.com.</Name><CallerReference>x</CallerReference>\
                 <Config><PrivateZone>false</PrivateZone></Config><ResourceRecordSetCount>2</ResourceRecordSetCount></HostedZone>\
                 <HostedZone><Id>/hostedzone/Z2</Id><Name>inside.example.</Name><CallerReference>y</CallerReference>\
                 <Config><PrivateZone>true</PrivateZone></Config></HostedZone>\
                 </HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>"
                    .into(),
            ),
            ("GET", "/2013-04-01/hostedzone/Z1/rrset") => {
                let sets = state.0.lock().unwrap();
                let sets: String = sets
                    .iter()
                    .map(|(name, kind, ttl, values)| {
                        let values: String = values
                            .iter()
                            .map(|value| format!("<ResourceRecord><Value>{}</Value></ResourceRecord>", escape(value)))
                            .collect();
                        let name = name.replace('*', "\\052");
                        format!(
                            "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>{ttl}</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet>"
                        )
                    })
                    .collect();
                let alias = "<ResourceRecordSet><Name>alias.example.com.</Name><Type>A</Type><AliasTarget><HostedZoneId>Z9</HostedZoneId>\
                    <DNSName>lb.example.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>";
                let text = format!(
                    "<ListResourceRecordSetsResponse><ResourceRecordSets>{alias}{sets}</ResourceRecordSets>\
                     <IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>"
                );
                (200, text)
            }
            ("POST", "/2013-04-01/hostedzone/Z1/rrset/") => {
                let (action, name) = (between(&asked.body, "Action")[0], between(&asked.body, "Name")[0]);
                let kind = between(&asked.body, "Type")[0];
                let ttl = between(&asked.body, "TTL")[0].parse().unwrap();
                let values: Vec<String> = between(&asked.body, "Value").into_iter().map(plain).collect();
                let mut sets = state.0.lock().unwrap();
                let there = sets.iter().position(|set| set.0 == name && set.1 == kind);
                match (action, there) {
                    ("UPSERT", Some(at)) => sets[at] = (name.into(), kind.into(), ttl, values),
                    ("UPSERT", None) => sets.push((name.into(), kind.into(), ttl, values)),
                    ("DELETE", Some(at)) if sets[at].3 == values && sets[at].2 == ttl => drop(sets.remove(at)),
                    _ => {
                        let text = "<ErrorResponse><Error><Code>InvalidChangeBatch</Code><Message>no such set</Message></Error></ErrorResponse>";
                        return (400, text.into());
                    }
                }
                (200, "<ChangeResourceRecordSetsResponse><ChangeInfo><Status>PENDING</Status></ChangeInfo></ChangeResourceRecordSetsResponse>".into())
            }
            _ => (404, "<ErrorResponse><Error><Message>nothing here</Message></Error></ErrorResponse>".into()),
        }
    })
    .await;
    let world = World::system();
    let with = |id: &str| {
        let given = credentials(&[("access_key_id", id), ("secret_access_key", "shhh")]);
        open(DnsProviderKind::Route53, &at(endpoint.clone()), &given, &world).unwrap()
    };
    let provider = with("AKID");
    exercise(&*provider).await;
    let alias = provider
        .create("example.com", &record("alias.example.com", DnsRecordKind::A, "192.0.2.1"))
        .await;
    assert!(alias.unwrap_err().to_string().contains("alias"), "an alias is left alone");
    let refused = with("OTHER").zones().await.unwrap_err().to_string();
    assert!(refused.ends_with("The security token is invalid."), "{refused}");
}

// ---- hooks ----

#[tokio::test]
async fn a_program() {
    let folder = tempfile::tempdir().unwrap();
    let (program, log) = (folder.path().join("hook"), folder.path().join("log"));
    let text = format!(
        "#!/bin/sh\nif [ \"$2\" = delete ]; then echo \"no, by $TOKEN\" >&2; exit 3; fi\necho \"$*\" >> {}\necho \"$TOKEN $HOME\" >> {0}\n",
        log.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let options = DnsProviderOptions {
        zones: vec!["example.com".into()],
        command: vec![program.display().to_string(), "--dns".into()],
        ..DnsProviderOptions::default()
    };
    let world = World::system();
    let given = credentials(&[("TOKEN", "hunter22")]);
    let provider = open(DnsProviderKind::Exec, &options, &given, &world).unwrap();
    assert_eq!(provider.zones().await.unwrap(), ["example.com"]);
    let odd = record("_acme-challenge.example.com", DnsRecordKind::Txt, "a b; $(touch /tmp/x) 'c'");
    provider.create("example.com", &odd).await.unwrap();
    let failed = provider.delete("example.com", &odd).await.unwrap_err().to_string();
    assert!(failed.contains("no, by ••••") && !failed.contains("hunter22"), "{failed}");
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "--dns test\nhunter22 \n--dns create example.com _acme-challenge.example.com TXT 300 a b; $(touch /tmp/x) 'c'\nhunter22 \n",
        "arguments come as they are, and no other environment"
    );
    assert!(provider.records("example.com").await.is_err());
    for (command, zones) in [
        (vec![], vec!["example.com"]),
        (vec!["hook"], vec!["example.com"]),
        (vec!["/bin/true"], vec![]),
    ] {
        let options = DnsProviderOptions {
            zones: zones.into_iter().map(str::to_owned).collect(),
            command: command.into_iter().map(str::to_owned).collect(),
            ..DnsProviderOptions::default()
        };
        assert!(
            open(DnsProviderKind::Exec, &options, &Credentials::new(), &world).is_err(),
            "{options:?}"
        );
    }
}

#[tokio::test]
async fn a_webhook() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let endpoint = serve(move |asked| {
        hears
            .lock()
            .unwrap()
            .push((asked.method.clone(), asked.authorization.clone(), asked.body.clone()));
        match asked.body.contains("\"delete\"") {
            true => (422, "never heard of it\n<html>".into()),
            false => (204, String::new()),
        }
    })
    .await;
    let options = DnsProviderOptions {
        zones: vec!["example.com".into()],
        ..at(format!("{endpoint}/hook"))
    };
    let provider = open(
        DnsProviderKind::Webhook,
        &options,
        &credentials(&[("token", "t0ken")]),
        &World::system(),
    )
    .unwrap();
    assert_eq!(provider.zones().await.unwrap(), ["example.com"]);
    let text = record("a.example.com", DnsRecordKind::Txt, "x");
    provider.create("example.com", &text).await.unwrap();
    let failed = provider.delete("example.com", &text).await.unwrap_err().to_string();
    assert_eq!(failed, "the webhook refuses (status 422): never heard of it");
    let heard = heard.lock().unwrap().clone();
    assert!(
        heard
            .iter()
            .all(|(method, authorization, _)| method == "POST" && authorization == "Bearer t0ken")
    );
    let body: Value = serde_json::from_str(&heard[1].2).unwrap();
    assert_eq!(
        body,
        json!({"action": "create", "zone": "example.com", "name": "a.example.com", "type": "TXT", "ttl_seconds": 300, "value": "x"})
    );
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
