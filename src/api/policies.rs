//! What the edge does with the requests of a domain beside passing them on, as the wire writes it. Names and shapes are
//! those of `types::TrafficPolicy`, so that one turns into the other through JSON.

use poem_openapi::{
    Enum, Object,
    types::{ParseFromJSON, ToJSON},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is done with requests beside passing them on. What is left out is off.
#[derive(Debug, Default, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct TrafficPolicy {
    /// While set, everybody but those allowed gets this page.
    pub maintenance: Option<Maintenance>,
    /// Who may come at all, by address.
    pub access: Option<AccessList>,
    /// The first that is used up refuses the request.
    pub rate_limits: Option<Vec<RateLimit>>,
    pub limits: Option<RequestLimits>,
    pub basic_auth: Option<BasicAuth>,
    /// Needs the role admin to set.
    pub forward_auth: Option<ForwardAuth>,
    pub cors: Option<Cors>,
    pub response_headers: Option<ResponseHeaders>,
    /// With gzip, brotli or zstd, whichever the client takes, for kinds that gain from it.
    pub compression: Option<bool>,
    pub cache: Option<CachePolicy>,
    pub error_pages: Option<Vec<ErrorPage>>,
    pub balancing: Option<Balancing>,
    pub active_health: Option<ActiveHealth>,
    pub ejection: Option<Ejection>,
    /// An upstream that is new, or well again, gets its full share only after this many seconds; 0: at once.
    pub slow_start_seconds: Option<u32>,
    pub retries: Option<Retries>,
    pub upstream: Option<UpstreamProtocol>,
    /// What upstreams get as `Host`; left out: what the client wrote, which is in `X-Forwarded-Host` always.
    pub upstream_host: Option<String>,
    /// PROXY protocol sent to the upstream before each connection's first byte.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Bytes of answers a second, over all clients of the domain; left out: as fast as it goes.
    pub bandwidth: Option<u64>,
}

/// The page that everybody gets while the app is worked on.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Maintenance {
    /// Shown as text; empty: a sentence of the edge's own.
    pub message: Option<String>,
    /// Addresses or networks that see the app as always.
    pub allow: Option<Vec<String>>,
    /// What clients are told to wait; 0: not told.
    pub retry_after_seconds: Option<u32>,
}

/// Addresses or networks, such as `203.0.113.0/24`. What is denied is denied; if anything is allowed, only that may come.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct AccessList {
    pub allow: Option<Vec<String>>,
    pub deny: Option<Vec<String>>,
}

/// Requests that one key may make; what is over gets 429 with `Retry-After`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct RateLimit {
    /// Shown with its counters.
    pub name: String,
    pub key: RateKey,
    /// Allowed in each period.
    pub requests: u32,
    pub period_seconds: u32,
    /// Allowed at once when nothing came before; 0: as many as `requests`.
    pub burst: Option<u32>,
    /// Only count and log what would be refused.
    pub dry_run: Option<bool>,
    /// Addresses or networks that are never limited.
    pub exempt: Option<Vec<String>>,
}

/// Whose requests count together.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct RateKey {
    pub kind: RateKeyKind,
    /// Of the header, with `header`.
    pub name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum RateKeyKind {
    /// An IPv4 address, or the /64 of an IPv6 one.
    Address,
    /// The value of a header; requests without it share one.
    Header,
    /// The path, over all clients.
    Path,
}

/// Left out: the edge's own limits.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct RequestLimits {
    /// Of one request's body; longer ones get 413.
    pub body_bytes: Option<u64>,
    /// Silence of the app before the first byte of its answer; then 504.
    pub response_seconds: Option<u32>,
    /// Silence in the middle of a body or a WebSocket.
    pub idle_seconds: Option<u32>,
}

/// A user name and a password, asked for by the browser.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct BasicAuth {
    /// What browsers show.
    pub realm: String,
    pub users: Vec<BasicUser>,
}

/// Somebody who may come. Passwords and hashes are never shown; a user with neither keeps the one from before.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct BasicUser {
    pub name: String,
    /// 1 to 72 bytes; kept as a hash.
    pub password: Option<String>,
    /// In place of `password`: bcrypt, as `htpasswd -B` writes it.
    pub hash: Option<String>,
}

/// Asks another server about each request: 2xx lets it pass, anything else is the client's answer.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct ForwardAuth {
    /// Gets a GET with the request's headers, `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`.
    pub url: String,
    /// Headers of its answer that the app gets, in place of the client's own.
    pub pass_headers: Option<Vec<String>>,
}

/// Cross-origin requests, answered by the edge.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Cors {
    /// `https://app.example.com`, or `*` for any.
    pub origins: Option<Vec<String>>,
    /// Empty: GET, HEAD and POST.
    pub methods: Option<Vec<String>>,
    /// Headers that a request may have; empty: those it asks for.
    pub headers: Option<Vec<String>>,
    /// Headers of the answer that scripts may read.
    pub expose: Option<Vec<String>>,
    pub credentials: Option<bool>,
    /// How long a browser may remember; 0: its own default.
    pub max_age_seconds: Option<u32>,
}

/// Headers of answers.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct ResponseHeaders {
    /// Only on HTTPS (RFC 6797).
    pub hsts: Option<Hsts>,
    pub content_security_policy: Option<String>,
    /// In place of what the app says.
    pub set: Option<BTreeMap<String, String>>,
    pub remove: Option<Vec<String>>,
}

/// Tells browsers to come by HTTPS only.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Hsts {
    pub max_age_seconds: u64,
    pub include_subdomains: Option<bool>,
    pub preload: Option<bool>,
}

/// Answers kept in memory, as `Cache-Control` allows a shared cache (RFC 9111).
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct CachePolicy {
    /// This domain's share of the edge's memory for answers; left out: 64 MiB.
    pub max_bytes: Option<u64>,
    /// Larger answers are passed on and not kept; left out: 4 MiB.
    pub max_object_bytes: Option<u64>,
    /// For answers that do not say how long they are fresh; 0: those are not kept.
    pub default_seconds: Option<u32>,
    /// How long a stale answer may still be given while a new one is fetched, if the answer does not say (RFC 5861).
    pub stale_while_revalidate_seconds: Option<u32>,
    /// How long a stale answer may be given when the app fails.
    pub stale_if_error_seconds: Option<u32>,
}

/// In place of the edge's own page. `{status}` and `{title}` in it are filled in.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct ErrorPage {
    /// From 400 to 599.
    pub statuses: Vec<u16>,
    /// HTML, at most 256 KiB.
    pub body: String,
    /// Also in place of the app's own answer with this status, not only of the edge's.
    pub replace_app: Option<bool>,
}

/// Which upstream a request goes to.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Balancing {
    pub kind: BalancingKind,
    /// With `consistent_hash`.
    pub key: Option<HashKey>,
    /// Of the cookie, with `sticky_cookie`.
    pub name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum BalancingKind {
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastConnections,
    /// The same key, the same upstream, as far as upstreams come and go.
    ConsistentHash,
    /// The first answer sets a cookie that brings the client back to the same upstream.
    StickyCookie,
}

/// What decides with `consistent_hash`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct HashKey {
    pub kind: HashKeyKind,
    /// Of the header or the cookie.
    pub name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum HashKeyKind {
    Address,
    Path,
    Header,
    Cookie,
}

/// Upstreams are asked whether they are well; one that is not gets no requests while another is.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ActiveHealth {
    pub probe: HealthProbe,
    pub interval_seconds: u32,
    pub timeout_seconds: u32,
    /// Successes in a row.
    pub healthy_after: u32,
    /// Failures in a row.
    pub unhealthy_after: u32,
}

/// One question to an upstream.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct HealthProbe {
    pub kind: HealthProbeKind,
    /// With `http`.
    pub path: Option<String>,
    /// With `http`: exactly this; left out: 200 to 399.
    pub status: Option<u16>,
    /// With `grpc`; empty: the whole server.
    pub service: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum HealthProbeKind {
    /// It takes connections.
    Tcp,
    Http,
    /// `grpc.health.v1.Health/Check` answers SERVING.
    Grpc,
}

/// An upstream that keeps failing on real requests gets none for a while.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct Ejection {
    /// In a row: no connection, no answer, or 502 to 504.
    pub failures: u32,
    /// The first time; each further time doubles it, up to ten times this.
    pub seconds: u32,
    /// Never more than this share of the upstreams at once; one always stays.
    pub max_percent: u32,
}

/// Further tries on other upstreams, only where nothing can have happened twice.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Retries {
    /// Beyond those for refused connections; at most 10.
    pub attempts: Option<u32>,
    /// Also when the app answers 502, 503 or 504.
    pub on_unavailable: Option<bool>,
}

/// What is spoken with the upstream.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct UpstreamProtocol {
    pub kind: UpstreamKind,
    /// With `https`: whom the upstream's certificate must be for.
    pub name: Option<String>,
    /// With `https`: the authority that signed it, in PEM, if it is no public one.
    pub ca_pem: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum UpstreamKind {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS, with prior knowledge: what gRPC servers speak.
    H2c,
    /// HTTP/1.1 over TLS.
    Https,
}

/// A version of haproxy's PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ProxyVersion {
    V1,
    V2,
}

/// As it is shown: what does nothing is left out, and nobody's hash is in it.
impl From<types::TrafficPolicy> for TrafficPolicy {
    fn from(policy: types::TrafficPolicy) -> TrafficPolicy {
        let mut value = to_value(&policy);
        let off = to_value(&types::TrafficPolicy::default());
        if let (Value::Object(fields), Value::Object(off)) = (&mut value, off) {
            fields.retain(|name, value| off.get(name) != Some(&*value));
        }
        let users = value.pointer_mut("/basic_auth/users").and_then(Value::as_array_mut);
        for user in users.into_iter().flatten().filter_map(Value::as_object_mut) {
            user.remove("hash");
        }
        read_back(value)
    }
}

impl TrafficPolicy {
    /// The policy that was wished for. `Invalid` names the field. Who sets no password keeps the one from before.
    pub fn wish(self) -> types::Result<app::PolicyWish> {
        let mut passwords = Vec::new();
        let mut body = self;
        let maintenance = body.maintenance.iter_mut().map(|part| &mut part.allow);
        let access = body.access.iter_mut().flat_map(|part| [&mut part.allow, &mut part.deny]);
        let exempt = body.rate_limits.iter_mut().flatten().map(|limit| &mut limit.exempt);
        maintenance.chain(access).chain(exempt).for_each(whole_networks);
        for user in body.basic_auth.iter_mut().flat_map(|auth| &mut auth.users) {
            passwords.push((user.name.clone(), user.password.take().map(types::Secret::from)));
            user.hash.get_or_insert_default();
        }
        Ok(app::PolicyWish {
            policy: typed(&body)?,
            passwords,
        })
    }
}

/// A plain address is the network of it alone.
pub(crate) fn whole_networks(list: &mut Option<Vec<String>>) {
    for entry in list.iter_mut().flatten() {
        if let Ok(address) = entry.trim().parse::<std::net::IpAddr>() {
            *entry = format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
        }
    }
}

/// From the wire's form to ours, field by field, so that `Invalid` can name the one that does not fit.
pub(crate) fn typed<T: DeserializeOwned>(wire: &impl ToJSON) -> types::Result<T> {
    let mut value = wire.to_json().unwrap_or_default();
    without_nulls(&mut value);
    match serde_json::from_value(value.clone()) {
        Ok(fits) => Ok(fits),
        Err(error) => {
            let fields = value.as_object().cloned().unwrap_or_default();
            // The first field without which the rest fails otherwise is the one.
            let words = error.to_string();
            let culprit = fields.keys().find(|name| {
                let rest: Map<String, Value> = fields
                    .iter()
                    .filter(|(other, _)| other != name)
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                serde_json::from_value::<T>(Value::Object(rest))
                    .err()
                    .map(|error| error.to_string())
                    != Some(words.clone())
            });
            Err(types::Error::invalid(culprit.map_or("body", String::as_str), words))
        }
    }
}

/// From ours to the wire's form, which has the same shape.
pub(crate) fn shown<T: ParseFromJSON>(ours: &impl serde::Serialize) -> T {
    read_back(to_value(ours))
}

fn to_value(ours: &impl serde::Serialize) -> Value {
    serde_json::to_value(ours).expect("records are JSON")
}

fn read_back<T: ParseFromJSON>(mut value: Value) -> T {
    without_nulls(&mut value);
    match T::parse_from_json(Some(value)) {
        Ok(read) => read,
        Err(error) => unreachable!("the wire has every field of the record: {}", error.message()),
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> types::Result<types::TrafficPolicy> {
        let policy = TrafficPolicy::parse_from_json(Some(value)).unwrap_or_else(|error| panic!("{}", error.message()));
        Ok(policy.wish()?.policy)
    }

    /// Every field there and back.
    #[test]
    fn the_wire_has_every_field() {
        let all = json!({
            "maintenance": {"message": "soon", "allow": ["10.0.0.0/8"], "retry_after_seconds": 60},
            "access": {"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16", "::1/128"]},
            "rate_limits": [{"name": "a", "key": {"kind": "header", "name": "x-key"}, "requests": 5, "period_seconds": 60,
                "burst": 9, "dry_run": true, "exempt": ["127.0.0.1/32"]}],
            "limits": {"body_bytes": 1, "response_seconds": 2, "idle_seconds": 3},
            "forward_auth": {"url": "https://auth.test/check", "pass_headers": ["x-user"]},
            "cors": {"origins": ["https://a.test"], "methods": ["PUT"], "headers": ["x-a"], "expose": ["x-b"],
                "credentials": true, "max_age_seconds": 5},
            "response_headers": {"hsts": {"max_age_seconds": 5, "include_subdomains": true, "preload": true},
                "content_security_policy": "default-src 'self'", "set": {"x-a": "1"}, "remove": ["server"]},
            "compression": true,
            "cache": {"max_bytes": 1, "max_object_bytes": 1, "default_seconds": 1, "stale_while_revalidate_seconds": 1,
                "stale_if_error_seconds": 1},
            "error_pages": [{"statuses": [404], "body": "x", "replace_app": true}],
            "balancing": {"kind": "consistent_hash", "key": {"kind": "cookie", "name": "id"}},
            "active_health": {"probe": {"kind": "http", "path": "/", "status": 204}, "interval_seconds": 1, "timeout_seconds": 1,
                "healthy_after": 1, "unhealthy_after": 1},
            "ejection": {"failures": 1, "seconds": 1, "max_percent": 50},
            "slow_start_seconds": 3,
            "retries": {"attempts": 1, "on_unavailable": true},
            "upstream": {"kind": "https", "name": "inner.test", "ca_pem": "x"},
            "upstream_host": "inner.test",
            "proxy_protocol": "v2",
            "bandwidth": 1000,
        });
        let fields = to_value(&types::TrafficPolicy::default());
        for field in fields.as_object().unwrap().keys().filter(|field| *field != "basic_auth") {
            assert!(all.get(field).is_some(), "{field} is not in this test");
        }
        let policy = read(all.clone()).unwrap();
        policy.check().unwrap();
        assert_eq!(TrafficPolicy::from(policy).to_json().unwrap(), all);
        assert_eq!(TrafficPolicy::from(types::TrafficPolicy::default()).to_json().unwrap(), json!({}));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (value, field) in [
            (json!({"compression": true, "access": {"allow": ["nowhere"]}}), "access"),
            (json!({"balancing": {"kind": "sticky_cookie"}, "bandwidth": 5}), "balancing"),
            (json!({"forward_auth": {"url": "no address"}}), "forward_auth"),
            (
                json!({"rate_limits": [{"name": "a", "key": {"kind": "header"}, "requests": 5, "period_seconds": 60}]}),
                "rate_limits",
            ),
        ] {
            let error = read(value).unwrap_err();
            assert!(
                matches!(&error, types::Error::Invalid { field: named, .. } if named == field),
                "{error}"
            );
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let body = json!({"basic_auth": {"realm": "x", "users": [{"name": "ada", "password": "secret"}, {"name": "bob"}]}});
        let wish = TrafficPolicy::parse_from_json(Some(body))
            .unwrap_or_else(|_| panic!("fits"))
            .wish()
            .unwrap();
        assert_eq!(wish.passwords.len(), 2);
        let shown = TrafficPolicy::from(wish.policy).to_json().unwrap();
        assert_eq!(shown["basic_auth"]["users"], json!([{"name": "ada"}, {"name": "bob"}]));
    }
}
