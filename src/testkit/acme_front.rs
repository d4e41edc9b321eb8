//! A TLS server before [`Pebble`] that adds renewal information (RFC 9773), which Debian's Pebble does not have. Everything
//! else goes to Pebble as it came: it makes its addresses from the `Host` header, so they lead here.

use crate::acme::{Pebble, TestAuthority};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

/// What it says of renewing a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Between these moments (RFC 3339); to be asked again after so many seconds.
    Window { from: String, to: String, ask_after: u64 },
    /// A window that ends before it begins, which RFC 9773 (4.2) calls invalid.
    Nonsense,
    /// 500.
    Broken,
}

/// A running one; it stops when this is dropped.
pub struct AcmeFront {
    address: SocketAddr,
    name: String,
    ca_pem: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    pebble: String,
    client: reqwest::Client,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    advice: BTreeMap<String, Advice>,
    /// Ids of certificates that it was asked about, and that orders replace, as they came.
    asked: Vec<String>,
    replaced: Vec<Option<String>>,
    /// The names of each order.
    ordered: Vec<Vec<String>>,
    hosts: BTreeSet<String>,
    refuses_replacements: bool,
}

impl AcmeFront {
    /// Listens on `address`; its certificate is for `names`, the first of which is in [`AcmeFront::directory`].
    pub async fn start(pebble: &Pebble, address: SocketAddr, names: &[&str]) -> AcmeFront {
        let authority = TestAuthority::new();
        let (chain, key) = authority.issue(names, 30);
        let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).expect("what was issued is a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("what was made is a key");
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key belongs to the certificate");
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State {
            pebble: format!("https://127.0.0.1:{}", pebble.port()),
            // Pebble is asked under the name that the panel used, so with HTTP/1.1 and without its certificate.
            client: reqwest::Client::builder()
                .tls_danger_accept_invalid_certs(true)
                .http1_only()
                .no_proxy()
                .build()
                .expect("a client is made"),
            seen: Mutex::default(),
        });
        let (shared, acceptor) = (state.clone(), TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, acceptor) = (shared.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(state.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        AcmeFront {
            address,
            name: names[0].to_owned(),
            ca_pem: authority.pem(),
            state,
            task,
        }
    }

    /// For the setting `acme_directory`.
    pub fn directory(&self) -> String {
        format!("https://{}:{}/dir", self.name, self.address.port())
    }
    /// For the setting `acme_ca_pem`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.state.seen.lock().expect("no panic under this lock")
    }
    /// What it says of the certificate with this [`renewal_id`]. Of others it knows nothing: 404.
    pub fn advise(&self, id: &str, advice: Advice) {
        self.seen().advice.insert(id.to_owned(), advice);
    }
    /// From now on, an order that replaces a certificate is told that somebody did so already.
    pub fn refuse_replacements(&self) {
        self.seen().refuses_replacements = true;
    }
    /// How often it was asked when to renew this one.
    pub fn asked(&self, id: &str) -> usize {
        self.seen().asked.iter().filter(|asked| *asked == id).count()
    }
    /// What each order wanted to replace.
    pub fn replaced(&self) -> Vec<Option<String>> {
        self.seen().replaced.clone()
    }
    /// How many orders named this one.
    pub fn orders_for(&self, name: &str) -> usize {
        self.seen()
            .ordered
            .iter()
            .filter(|names| names.iter().any(|other| other == name))
            .count()
    }
    /// The names under which it was asked for anything.
    pub fn hosts(&self) -> BTreeSet<String> {
        self.seen().hosts.clone()
    }
}

impl Drop for AcmeFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Answer, std::convert::Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    state.seen.lock().expect("no panic under this lock").hosts.insert(name);
    let path = match parts.uri.path() {
        "/directory" => "/dir", // as Let's Encrypt calls it
        path => path,
    };
    if let Some(id) = path.strip_prefix("/renewal-info/") {
        return Ok(renewal_info(&state, id));
    }
    // An order is the request whose payload names identifiers (RFC 8555, 7.4).
    let payload = payload(&body);
    let order = payload.as_ref().filter(|payload| payload["identifiers"].is_array());
    let replaces = order.and_then(|order| order["replaces"].as_str().map(str::to_owned));
    if let Some(order) = order {
        let names = order["identifiers"].as_array().into_iter().flatten();
        let names = names.filter_map(|one| one["value"].as_str().map(str::to_owned)).collect();
        let mut seen = state.seen.lock().expect("no panic under this lock");
        seen.replaced.push(replaces.clone());
        seen.ordered.push(names);
        if replaces.is_some() && seen.refuses_replacements {
            return Ok(problem(409, "alreadyReplaced", "an order has replaced this certificate"));
        }
    }
    let asked = state.client.request(parts.method.clone(), format!("{}{path}", state.pebble));
    let mut headers = parts.headers.clone();
    headers.remove(header::CONTENT_LENGTH);
    let Ok(answered) = asked.headers(headers).body(body).send().await else {
        return Ok(problem(502, "serverInternal", "Pebble does not answer"));
    };
    let mut response = Response::builder().status(answered.status());
    for (name, value) in answered.headers() {
        if !matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection") {
            response = response.header(name, value);
        }
    }
    let mut bytes = answered.bytes().await.unwrap_or_default();
    if let Ok(Value::Object(mut json)) = serde_json::from_slice(&bytes) {
        if path == "/dir" && parts.method == Method::GET {
            json.insert("renewalInfo".to_owned(), format!("https://{host}/renewal-info").into());
        }
        // RFC 9773, 5: who accepts it says so in the order.
        if let Some(replaces) = replaces.filter(|_| json.contains_key("finalize")) {
            json.insert("replaces".to_owned(), replaces.into());
        }
        bytes = serde_json::to_vec(&json).expect("JSON is written").into();
    }
    Ok(response.body(Full::new(bytes)).expect("what Pebble answers is well-formed"))
}

fn renewal_info(state: &State, id: &str) -> Answer {
    let mut seen = state.seen.lock().expect("no panic under this lock");
    seen.asked.push(id.to_owned());
    let window = |from: &str, to: &str, ask_after: u64| {
        let body = json!({"suggestedWindow": {"start": from, "end": to}}).to_string();
        let answer = Response::builder().header("content-type", "application/json");
        let answer = answer.header("retry-after", ask_after).body(Full::new(body.into()));
        answer.expect("a literal answer is well-formed")
    };
    match seen.advice.get(id) {
        Some(Advice::Window { from, to, ask_after }) => window(from, to, *ask_after),
        Some(Advice::Nonsense) => window("2030-01-02T00:00:00Z", "2030-01-01T00:00:00Z", 60),
        Some(Advice::Broken) => problem(500, "serverInternal", "it is broken"),
        None => problem(404, "malformed", "no such certificate"),
    }
}

/// RFC 7807 and RFC 8555, 6.7.
fn problem(status: u16, kind: &str, detail: &str) -> Answer {
    let body = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status});
    let answer = Response::builder()
        .status(status)
        .header("content-type", "application/problem+json");
    let answer = answer.body(Full::new(body.to_string().into()));
    answer.expect("a literal answer is well-formed")
}

/// What was signed (RFC 7515).
fn payload(body: &[u8]) -> Option<Value> {
    let signed: Value = serde_json::from_slice(body).ok()?;
    let bytes = BASE64.decode(signed["payload"].as_str()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// So many days from now as RFC 3339 writes it, to the second.
pub fn moment(days: i64) -> String {
    let at = time::OffsetDateTime::now_utc() + time::Duration::days(days);
    let at = at.replace_nanosecond(0).expect("0 is in its range");
    at.format(&time::format_description::well_known::Rfc3339)
        .expect("a date of now can be written")
}

/// What a certificate (DER) is called in renewal information: the identifier of its authority's key and its serial
/// number (RFC 9773, 4.1), as `openssl` reads them.
pub fn renewal_id(der: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("leaf.der");
    std::fs::write(&path, der).expect("the certificate is written");
    let output = std::process::Command::new("openssl")
        .args([
            "x509",
            "-inform",
            "DER",
            "-noout",
            "-serial",
            "-ext",
            "authorityKeyIdentifier",
            "-in",
        ])
        .arg(&path)
        .output()
        .expect("openssl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let serial = text.lines().find_map(|line| line.strip_prefix("serial=")).expect("a serial number");
    let key = text
        .lines()
        .map(str::trim)
        .find(|line| line.contains(':') && !line.starts_with("X509v3"));
    let key = key.expect("an identifier of the authority's key").trim_start_matches("keyid:");
    let mut serial = bytes_of(serial);
    if serial[0] >= 0x80 {
        serial.insert(0, 0); // DER has signed numbers
    }
    format!("{}.{}", BASE64.encode(bytes_of(&key.replace(':', ""))), BASE64.encode(serial))
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(|pair| byte(pair).expect("hexadecimal digits")).collect()
}
