//! A traffic policy, built: its parts ready to be used, and the gate that a request passes before anything is passed on.

use crate::{
    answers::Answer,
    auth::{Basic, Forward},
    cache::Share,
    limits::{Limit, holds},
    registry::Registry,
    tally::Tally,
    upstream::Backends,
    worker::Worker,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::http::RequestHeader;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use types::{Cors, Error, ErrorPage, HostPattern, Maintenance, Result, TrafficPolicy};

pub(crate) struct Policy {
    pub raw: TrafficPolicy,
    limits: Vec<Arc<Limit>>,
    basic: Option<Basic>,
    forward: Option<Forward>,
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
    hsts: Option<HeaderValue>,
    pub share: Option<Arc<Share>>,
    pub throttle: Option<Throttle>,
    pub upstream_host: Option<HeaderValue>,
}

/// An answer of the edge's own, with what it says beside its words.
pub(crate) struct Own {
    pub answer: Reply,
    pub headers: HeaderMap,
}

pub(crate) enum Reply {
    /// In our words, or on the policy's page.
    Words(Answer),
    /// As it is.
    Whole(StatusCode, Bytes),
}

impl Own {
    fn words(answer: Answer) -> Own {
        Own {
            answer: Reply::Words(answer),
            headers: HeaderMap::new(),
        }
    }
    fn with(mut self, name: HeaderName, value: &str) -> Own {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }
}

/// What a request is, as the gate sees it.
pub(crate) struct Visitor<'a> {
    pub request: &'a RequestHeader,
    pub client: IpAddr,
    pub client_text: &'a HeaderValue,
    pub host: &'a HeaderValue,
    pub secure: bool,
    /// The normal path.
    pub path: &'a str,
}

impl Policy {
    /// Fails with `Invalid`. `rule` is empty for a domain's own policy.
    pub(crate) fn build(raw: &TrafficPolicy, host: &HostPattern, rule: &str, registry: &Registry, backends: &Backends) -> Result<Policy> {
        raw.check()?;
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Error::invalid("response_headers", "a value cannot be used"));
        let name = |text: &str| {
            HeaderName::from_bytes(text.as_bytes()).map_err(|_| Error::invalid("response_headers", format!("{text} is no header name")))
        };
        let headers = &raw.response_headers;
        let mut set = Vec::new();
        for (key, text) in &headers.set {
            set.push((name(key.as_str())?, value(text)?));
        }
        if let Some(text) = &headers.content_security_policy {
            set.push((header::CONTENT_SECURITY_POLICY, value(text)?));
        }
        let hsts = headers.hsts.as_ref().map(|hsts| {
            let subdomains = if hsts.include_subdomains { "; includeSubDomains" } else { "" };
            let preload = if hsts.preload { "; preload" } else { "" };
            format!("max-age={}{subdomains}{preload}", hsts.max_age_seconds)
        });
        Ok(Policy {
            limits: raw.rate_limits.iter().map(|limit| registry.limit(host, rule, limit)).collect(),
            basic: raw.basic_auth.clone().map(|auth| Basic::new(auth, registry.hashing.clone())),
            forward: raw.forward_auth.as_ref().map(|auth| Forward::build(auth, backends)).transpose()?,
            set,
            remove: headers.remove.iter().map(|key| name(key.as_str())).collect::<Result<_>>()?,
            hsts: hsts.as_deref().map(value).transpose()?,
            share: raw.cache.as_ref().map(|_| registry.shares.of(host.clone(), Share::default)),
            upstream_host: raw.upstream_host.as_ref().map(|host| value(host.as_str())).transpose()?,
            throttle: raw.bandwidth.map(Throttle::new),
            raw: raw.clone(),
        })
    }

    /// `Ok`: it may pass, and the app gets these headers in place of the client's own. `Err`: this is the answer.
    pub(crate) async fn gate(&self, worker: &Worker, visitor: &Visitor<'_>, tally: &Tally) -> Result<Vec<(HeaderName, HeaderValue)>, Own> {
        let access = &self.raw.access;
        if holds(&access.deny, visitor.client) || (!access.allow.is_empty() && !holds(&access.allow, visitor.client)) {
            tally.denied.fetch_add(1, Relaxed);
            return Err(Own::words(Answer::denied()));
        }
        if let Some(maintenance) = &self.raw.maintenance
            && !holds(&maintenance.allow, visitor.client)
        {
            return Err(Own::words(Answer::maintenance(
                &words(maintenance),
                maintenance.retry_after_seconds,
            )));
        }
        for limit in &self.limits {
            if let Err(wait) = limit.check(visitor.client, visitor.path, &visitor.request.headers) {
                if limit.rule.dry_run {
                    tally.would_limit.fetch_add(1, Relaxed);
                    continue;
                }
                tally.limited.fetch_add(1, Relaxed);
                return Err(Own::words(Answer::too_many(
                    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1),
                )));
            }
        }
        if let Some(cors) = &self.raw.cors
            && let Some(answer) = preflight(cors, visitor.request)
        {
            return Err(answer);
        }
        if let Some(basic) = &self.basic
            && !basic.admits(&visitor.request.headers).await
        {
            let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", basic.realm().replace(['"', '\\'], ""));
            return Err(Own::words(Answer::unauthorized()).with(header::WWW_AUTHENTICATE, &challenge));
        }
        match &self.forward {
            Some(forward) => forward.ask(worker, visitor).await,
            None => Ok(Vec::new()),
        }
    }

    /// The policy's own page for a status.
    pub(crate) fn page(&self, status: u16) -> Option<&ErrorPage> {
        self.raw.error_pages.iter().find(|page| page.statuses.contains(&status))
    }

    /// What every answer says.
    pub(crate) fn decorate(&self, request: &HeaderMap, headers: &mut HeaderMap, secure: bool) {
        if let Some(cors) = &self.raw.cors {
            allow_origin(cors, request, headers);
        }
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(hsts) = self.hsts.as_ref().filter(|_| secure) {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}

fn words(maintenance: &Maintenance) -> String {
    match maintenance.message.trim() {
        "" => "This site is being worked on and will be back soon.".to_owned(),
        message => message.to_owned(),
    }
}

fn origin_of<'a>(cors: &Cors, request: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let origin = request.get(header::ORIGIN)?;
    let fits = |allowed: &String| allowed == "*" || origin.as_bytes() == allowed.as_bytes();
    cors.origins.iter().any(fits).then_some(origin)
}

/// In place of what the app itself says about origins.
fn allow_origin(cors: &Cors, request: &HeaderMap, headers: &mut HeaderMap) {
    for name in [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        headers.remove(name);
    }
    let any = cors.origins.iter().any(|origin| origin == "*");
    if !any {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = origin_of(cors, request) else { return };
    let allowed = if any { HeaderValue::from_static("*") } else { origin.clone() };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Ok(exposed) = HeaderValue::from_str(&joined(&cors.expose))
        && !exposed.is_empty()
    {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

fn joined(names: &[types::HeaderField]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The answer to a browser that asks before it sends (the Fetch standard, 3.2.2).
fn preflight(cors: &Cors, request: &RequestHeader) -> Option<Own> {
    if request.method != Method::OPTIONS {
        return None;
    }
    request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut own = Own {
        answer: Reply::Whole(StatusCode::NO_CONTENT, Bytes::new()),
        headers: HeaderMap::new(),
    };
    if origin_of(cors, &request.headers).is_some() {
        let methods = if cors.methods.is_empty() {
            "GET, HEAD, POST".to_owned()
        } else {
            cors.methods.join(", ")
        };
        own = own.with(header::ACCESS_CONTROL_ALLOW_METHODS, &methods);
        let asked = request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if cors.headers.is_empty() {
            if let Some(asked) = asked {
                own.headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        } else {
            own = own.with(header::ACCESS_CONTROL_ALLOW_HEADERS, &joined(&cors.headers));
        }
        if cors.max_age_seconds > 0 {
            own = own.with(header::ACCESS_CONTROL_MAX_AGE, &cors.max_age_seconds.to_string());
        }
    }
    Some(own)
}

/// Bytes a second, over all clients.
pub(crate) struct Throttle {
    bytes: u64,
    /// When the bytes that were let through would be over at that speed.
    over_at: Mutex<Instant>,
}

impl Throttle {
    fn new(bytes: u64) -> Throttle {
        Throttle {
            bytes,
            over_at: Mutex::new(Instant::now()),
        }
    }
    /// How long to wait before `bytes` more.
    pub(crate) fn wait(&self, bytes: usize) -> Duration {
        let now = Instant::now();
        let mut over_at = self.over_at.lock().expect("no panic under this lock");
        let begin = (*over_at).max(now);
        let millis = (bytes as u64).saturating_mul(1000) / self.bytes;
        *over_at = begin + Duration::from_millis(millis.min(60_000));
        begin - now
    }
}
