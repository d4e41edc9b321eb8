//! What the edge does with the requests of one domain, or of one rule, beside passing them on. The default does nothing.

mod check;

pub(crate) use check::check_method;

use crate::{Error, HeaderField, Host, Result};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use url::Url;

/// All of it. Every part is off by default; a plain domain costs nothing for the parts it does not use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TrafficPolicy {
    /// While set, everybody but those allowed gets this page.
    pub maintenance: Option<Maintenance>,
    /// Who may come at all, by address.
    pub access: AccessList,
    /// The first that is used up refuses the request.
    pub rate_limits: Vec<RateLimit>,
    pub limits: RequestLimits,
    pub basic_auth: Option<BasicAuth>,
    pub forward_auth: Option<ForwardAuth>,
    pub cors: Option<Cors>,
    pub response_headers: ResponseHeaders,
    /// With gzip, brotli or zstd, whichever the client takes, for kinds that gain from it.
    pub compression: bool,
    pub cache: Option<CachePolicy>,
    pub error_pages: Vec<ErrorPage>,
    pub balancing: Balancing,
    pub active_health: Option<ActiveHealth>,
    pub ejection: Option<Ejection>,
    /// An upstream that is new, or well again, gets its full share only after this many seconds; 0: at once.
    pub slow_start_seconds: u32,
    pub retries: Retries,
    pub upstream: UpstreamProtocol,
    /// What upstreams get as `Host`; `None`: what the client wrote, which is in `X-Forwarded-Host` always.
    pub upstream_host: Option<Host>,
    /// PROXY protocol sent to the upstream before each connection's first byte. Such connections serve one client only.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Bytes of answers a second, over all clients of the domain; `None`: as fast as it goes.
    pub bandwidth: Option<u64>,
}

impl TrafficPolicy {
    /// Whether it does nothing.
    pub fn is_plain(&self) -> bool {
        *self == TrafficPolicy::default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintenance {
    /// Shown as text; empty: a sentence of the edge's own.
    pub message: String,
    /// These see the app as always.
    pub allow: Vec<IpNet>,
    /// What clients are told to wait; 0: not told.
    pub retry_after_seconds: u32,
}

/// Addresses. What is denied is denied; if anything is allowed, only that may come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessList {
    pub allow: Vec<IpNet>,
    pub deny: Vec<IpNet>,
}

/// Requests that one key may make; what is over gets 429 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Shown with its counters.
    pub name: String,
    pub key: RateKey,
    /// Allowed in each period.
    pub requests: u32,
    pub period_seconds: u32,
    /// Allowed at once when nothing came before; 0: as many as `requests`.
    #[serde(default)]
    pub burst: u32,
    /// Only count and log what would be refused.
    #[serde(default)]
    pub dry_run: bool,
    /// These are never limited.
    #[serde(default)]
    pub exempt: Vec<IpNet>,
}

/// Whose requests count together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RateKey {
    /// An IPv4 address, or the /64 of an IPv6 one.
    Address,
    /// The value of a header; requests without it share one.
    Header { name: HeaderField },
    /// The path, over all clients.
    Path,
}

/// `None`: what the edge's own limits say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestLimits {
    /// Of one request's body; longer ones get 413.
    pub body_bytes: Option<u64>,
    /// Silence of the app before the first byte of its answer; then 504.
    pub response_seconds: Option<u32>,
    /// Silence in the middle of a body or a WebSocket.
    pub idle_seconds: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicAuth {
    /// What browsers show.
    pub realm: String,
    pub users: Vec<BasicUser>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicUser {
    pub name: String,
    pub hash: PasswordHash,
}

/// A bcrypt hash as `htpasswd -B` writes it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

impl PasswordHash {
    /// The salt is 16 random bytes. Takes some hundredths of a second of a core; bcrypt looks at the first 72 bytes only,
    /// so longer passwords are refused.
    pub fn of(password: &str, salt: [u8; 16]) -> Result<PasswordHash> {
        if password.is_empty() || password.len() > 72 || password.contains('\0') {
            return Err(Error::invalid("password", "must have 1 to 72 bytes"));
        }
        let hash = bcrypt::hash_with_salt(password, PASSWORD_COST, salt).map_err(|error| Error::internal("hashing a password", error))?;
        Ok(PasswordHash(hash.format_for_version(bcrypt::Version::TwoY)))
    }
    /// As slow as [`PasswordHash::of`]; false for a hash that is none.
    pub fn fits(&self, password: &[u8]) -> bool {
        self.parts().is_some() && password.len() <= 72 && bcrypt::verify(password, &self.0).unwrap_or(false)
    }
    /// Its cost, if it is well-formed and not so dear that checking it would be an attack.
    pub(crate) fn parts(&self) -> Option<u32> {
        let rest = ["$2y$", "$2b$", "$2a$"].iter().find_map(|kind| self.0.strip_prefix(kind))?;
        let (cost, hash) = rest.split_once('$')?;
        let cost = cost.parse().ok().filter(|cost| (4..=14).contains(cost))?;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
        (hash.len() == 53 && hash.bytes().all(letters)).then_some(cost)
    }
}

/// 2^10 rounds: about 50 ms.
const PASSWORD_COST: u32 = 10;

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hash")
    }
}

/// Asks another server about each request: 2xx lets it pass, anything else is the client's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardAuth {
    /// Gets a GET with the request's headers, `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`.
    pub url: Url,
    /// Headers of its answer that the app gets, in place of the client's own.
    #[serde(default)]
    pub pass_headers: Vec<HeaderField>,
}

/// Cross-origin requests (the Fetch standard, 3.2), answered by the edge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// `https://app.example.com`, or `*` for any.
    pub origins: Vec<String>,
    /// Empty: GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Headers that a request may have; empty: those it asks for.
    pub headers: Vec<HeaderField>,
    /// Headers of the answer that scripts may read.
    pub expose: Vec<HeaderField>,
    pub credentials: bool,
    /// How long a browser may remember; 0: its own default.
    pub max_age_seconds: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResponseHeaders {
    /// Only on HTTPS (RFC 6797).
    pub hsts: Option<Hsts>,
    pub content_security_policy: Option<String>,
    /// In place of what the app says.
    pub set: BTreeMap<HeaderField, String>,
    pub remove: Vec<HeaderField>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    pub max_age_seconds: u64,
    #[serde(default)]
    pub include_subdomains: bool,
    #[serde(default)]
    pub preload: bool,
}

/// Answers kept in memory, as `Cache-Control` allows a shared cache (RFC 9111).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CachePolicy {
    /// This domain's share of the edge's memory for answers.
    pub max_bytes: u64,
    /// Larger answers are passed on and not kept.
    pub max_object_bytes: u64,
    /// For answers that do not say how long they are fresh; 0: those are not kept.
    pub default_seconds: u32,
    /// How long a stale answer may still be given while a new one is fetched, if the answer does not say (RFC 5861).
    pub stale_while_revalidate_seconds: u32,
    /// How long a stale answer may be given when the app fails.
    pub stale_if_error_seconds: u32,
}

impl Default for CachePolicy {
    fn default() -> CachePolicy {
        CachePolicy {
            max_bytes: 64 << 20,
            max_object_bytes: 4 << 20,
            default_seconds: 0,
            stale_while_revalidate_seconds: 0,
            stale_if_error_seconds: 0,
        }
    }
}

/// In place of the edge's own page. `{status}` and `{title}` in it are filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorPage {
    pub statuses: Vec<u16>,
    /// HTML.
    pub body: String,
    /// Also in place of the app's own answer with this status, not only of the edge's.
    #[serde(default)]
    pub replace_app: bool,
}

/// Which upstream a request goes to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Balancing {
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastConnections,
    /// The same key, the same upstream, as far as upstreams come and go.
    ConsistentHash { key: HashKey },
    /// The first answer sets a cookie that brings the client back to the same upstream.
    StickyCookie { name: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HashKey {
    Address,
    Path,
    Header { name: HeaderField },
    Cookie { name: String },
}

/// Upstreams are asked whether they are well; one that is not gets no requests while another is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveHealth {
    pub probe: HealthProbe,
    pub interval_seconds: u32,
    pub timeout_seconds: u32,
    /// Successes in a row.
    pub healthy_after: u32,
    /// Failures in a row.
    pub unhealthy_after: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HealthProbe {
    /// It takes connections.
    Tcp,
    /// `GET path` answers 200 to 399, or exactly `status`.
    Http { path: String, status: Option<u16> },
    /// `grpc.health.v1.Health/Check` answers SERVING; an empty `service` is the whole server.
    Grpc { service: String },
}

/// An upstream that keeps failing on real requests gets none for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    /// In a row: no connection, no answer, or 502 to 504.
    pub failures: u32,
    /// The first time; each further time doubles it, up to ten times this.
    pub seconds: u32,
    /// Never more than this share of the upstreams at once; one always stays.
    pub max_percent: u32,
}

/// Further tries on other upstreams. Always, and only, where nothing can have happened twice: no connection was made; or
/// the method is idempotent and the request has no body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Retries {
    /// Beyond those for refused connections; 0: none.
    pub attempts: u32,
    /// Also when the app answers 502, 503 or 504.
    pub on_unavailable: bool,
}

/// What is spoken with the upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/2 without TLS, with prior knowledge: what gRPC servers speak.
    H2c,
    /// HTTP/1.1 over TLS; the certificate must be for `name`.
    Https {
        name: Host,
        /// The authority that signed it, if it is no public one.
        #[serde(default)]
        ca_pem: Option<String>,
    },
}

/// haproxy's PROXY protocol, by its specification of 2020.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyVersion {
    V1,
    V2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_the_default_and_old_records_have_it() {
        let policy: TrafficPolicy = serde_json::from_str("{}").expect("all fields are optional");
        assert!(policy.is_plain() && policy.check().is_ok());
        let policy: TrafficPolicy = serde_json::from_str(r#"{"cache":{},"cors":{"origins":["*"]}}"#).expect("parts have defaults");
        assert_eq!(policy.cache, Some(CachePolicy::default()));
        assert!(!policy.is_plain() && policy.check().is_ok());
    }

    #[test]
    fn wrong_values_are_named() {
        for (json, words) in [
            (
                r#"{"rate_limits":[{"name":"a","key":{"kind":"address"},"requests":0,"period_seconds":1}]}"#,
                "rate_limits: requests",
            ),
            (r#"{"basic_auth":{"realm":"x","users":[]}}"#, "basic_auth: name at least"),
            (
                r#"{"basic_auth":{"realm":"x","users":[{"name":"a","hash":"plain"}]}}"#,
                "basic_auth: a hash",
            ),
            (r#"{"forward_auth":{"url":"ftp://a/"}}"#, "forward_auth: the address must begin"),
            (r#"{"cors":{"origins":["*"],"credentials":true}}"#, "cors: credentials"),
            (r#"{"cors":{"origins":["https://a.test/x"]}}"#, "cors: an origin"),
            (
                r#"{"response_headers":{"set":{"content-length":"1"}}}"#,
                "response_headers: content-length belongs",
            ),
            (
                r#"{"response_headers":{"set":{"x-a":"b\r\nc"}}}"#,
                "response_headers: a header's value",
            ),
            (r#"{"error_pages":[{"statuses":[200],"body":""}]}"#, "error_pages: a page is for"),
            (r#"{"bandwidth":0}"#, "bandwidth: must"),
        ] {
            let policy: TrafficPolicy = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
            let error = policy.check().expect_err(json).to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn passwords() {
        let hash = PasswordHash::of("hunter2", [7; 16]).expect("hashed");
        assert!(hash.0.starts_with("$2y$10$") && hash.parts() == Some(10));
        assert!(hash.fits(b"hunter2") && !hash.fits(b"hunter3") && !hash.fits(b""));
        assert!(PasswordHash::of("", [0; 16]).is_err() && PasswordHash::of(&"x".repeat(73), [0; 16]).is_err());
        // From `htpasswd -nbB a secret`.
        let foreign = PasswordHash("$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe".into());
        assert!(!foreign.fits(b"wrong"));
        assert!(!PasswordHash("$2y$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".into()).fits(b"x"));
        assert_eq!(format!("{hash:?}"), "hash");
    }
}
