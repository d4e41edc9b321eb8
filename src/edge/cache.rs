//! Answers kept in memory, as a shared cache may (RFC 9111): only of GET, only those that say so or that the policy gives
//! a time, never those that set cookies, never those to requests with credentials unless the answer allows it. One that
//! is too old is asked for with its validators, so that the app need not send it again.

use crate::compress::{self, Coding};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use quick_cache::{Weighter, sync::Cache};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};
use types::CachePolicy;

/// One domain's kept answers.
pub(crate) struct Share {
    kept: Cache<Box<str>, Arc<Entry>, Bytesize>,
    max_bytes: AtomicU64,
    stored: AtomicU64,
    /// How often all was thrown away: part of every key, so that an answer asked for before comes too late to be found.
    purges: AtomicU64,
}

#[derive(Clone)]
struct Bytesize;

impl Weighter<Box<str>, Arc<Entry>> for Bytesize {
    fn weight(&self, key: &Box<str>, entry: &Arc<Entry>) -> u64 {
        (key.len() + entry.size()) as u64
    }
}

impl Default for Share {
    fn default() -> Share {
        Share {
            kept: Cache::with_weighter(1024, 1 << 20, Bytesize),
            max_bytes: AtomicU64::new(1 << 20),
            stored: AtomicU64::new(0),
            purges: AtomicU64::new(0),
        }
    }
}

pub(crate) enum Entry {
    /// Under the plain key: which headers of a request choose among the answers.
    Varies(Vec<HeaderName>),
    Answer(Box<Kept>),
}

impl Entry {
    fn size(&self) -> usize {
        match self {
            Entry::Varies(names) => 100 + names.len() * 40,
            // The compressed forms come later and are smaller; half as much again stands for them.
            Entry::Answer(kept) => 500 + kept.headers.len() * 100 + kept.body.len() * 3 / 2,
        }
    }
}

pub(crate) struct Kept {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The path with its query, for purging.
    pub uri: Box<str>,
    stored: Instant,
    /// How old it was then.
    age: Duration,
    fresh: Duration,
    stale_while: Duration,
    stale_error: Duration,
    encoded: [OnceLock<Bytes>; 3],
    pub refreshing: AtomicBool,
}

/// A kept answer that is too old, while the app is asked whether it still holds.
pub(crate) struct Doubted {
    pub share: Arc<Share>,
    pub key: String,
    pub entry: Arc<Entry>,
}

impl Doubted {
    /// `None`: it has nothing by which the app could tell.
    pub(crate) fn of(share: &Arc<Share>, key: &str, entry: &Arc<Entry>) -> Option<Doubted> {
        let Entry::Answer(kept) = entry.as_ref() else { return None };
        (!kept.validators().is_empty()).then(|| Doubted {
            share: share.clone(),
            key: key.to_owned(),
            entry: entry.clone(),
        })
    }

    /// The app says that it holds (304): it is kept on with what the answer says of it now (RFC 9111, 4.3.4).
    pub(crate) fn holds(&self, policy: &CachePolicy, request: &RequestHeader, answer: &ResponseHeader) -> Option<Arc<Entry>> {
        let Entry::Answer(kept) = self.entry.as_ref() else { return None };
        let mut headers = kept.headers.clone();
        for name in answer.headers.keys().filter(|name| is_renewed(name)) {
            headers.remove(name);
            for value in answer.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let age = age_of(&headers);
        headers.remove(header::AGE);
        let lifetime = lifetime(policy, request, kept.status, &headers);
        let (stale_while, stale_error) = staleness(policy, &headers);
        let renewed = Kept {
            status: kept.status,
            body: kept.body.clone(),
            uri: kept.uri.clone(),
            stored: Instant::now(),
            age,
            fresh: lifetime.unwrap_or_default(),
            stale_while,
            stale_error,
            encoded: kept.encoded.clone(),
            refreshing: AtomicBool::new(false),
            headers,
        };
        match lifetime {
            Some(_) => Some(self.share.insert(&self.key, &request.headers, renewed)),
            // It may not be kept any more: given once.
            None => Some(Arc::new(Entry::Answer(Box::new(renewed)))),
        }
    }
}

/// Headers of a 304 that replace what was kept; those about the body stay with it.
fn is_renewed(name: &HeaderName) -> bool {
    !matches!(
        name.as_str(),
        "content-length" | "content-encoding" | "content-type" | "content-range" | "transfer-encoding" | "connection" | "cache-status"
    )
}

/// How a kept answer may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// May be given while a new one is fetched.
    Usable,
    /// Only when the app fails.
    OnError,
    Gone,
}

impl Kept {
    pub(crate) fn age(&self) -> Duration {
        self.age + self.stored.elapsed()
    }
    pub(crate) fn freshness(&self) -> Freshness {
        let over = match self.age().checked_sub(self.fresh) {
            None => return Freshness::Fresh,
            Some(over) => over,
        };
        if over < self.stale_while {
            Freshness::Usable
        } else if over < self.stale_error {
            Freshness::OnError
        } else {
            Freshness::Gone
        }
    }
    /// Status, headers and body for a client: 304 if it has it already, compressed if it likes.
    pub(crate) fn given(&self, request: &RequestHeader, compression: bool) -> (StatusCode, HeaderMap, Bytes) {
        let mut headers = self.headers.clone();
        headers.insert(header::AGE, HeaderValue::from(self.age().as_secs()));
        if self.status == StatusCode::OK && is_known(&request.headers, &self.headers) {
            headers.remove(header::CONTENT_LENGTH);
            return (StatusCode::NOT_MODIFIED, headers, Bytes::new());
        }
        if compression && compress::gains(self.status, &headers) {
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            if let Some(coding) = Coding::wanted(&request.headers)
                && let Some(encoded) = self.encoded(coding)
            {
                compress::mark(&mut headers, coding);
                return (self.status, headers, encoded);
            }
        }
        (self.status, headers, self.body.clone())
    }
    /// Headers of a request that asks whether it still holds (RFC 9110, 13.1).
    pub(crate) fn validators(&self) -> Vec<(HeaderName, HeaderValue)> {
        let of = |own: HeaderName, asked: HeaderName| Some((asked, self.headers.get(own)?.clone()));
        let tag = of(header::ETAG, header::IF_NONE_MATCH);
        tag.into_iter()
            .chain(of(header::LAST_MODIFIED, header::IF_MODIFIED_SINCE))
            .collect()
    }
    /// The body in a coding; made once.
    pub(crate) fn encoded(&self, coding: Coding) -> Option<Bytes> {
        let place = Coding::ALL.iter().position(|one| *one == coding)?;
        let made = self.encoded[place].get_or_init(|| compress::whole(coding, &self.body).map(Bytes::from).unwrap_or_default());
        (!made.is_empty()).then(|| made.clone())
    }
}

/// Whether an answer may come from here, or go in.
pub(crate) fn is_about(request: &RequestHeader) -> bool {
    matches!(request.method, Method::GET | Method::HEAD)
        && !request.headers.contains_key(header::RANGE)
        && !request.headers.contains_key(header::UPGRADE)
        && !directives(&request.headers).any(|(name, _)| name == "no-store")
}

fn varied(key: &str, names: &[HeaderName], request: &HeaderMap) -> String {
    let mut full = key.to_owned();
    for name in names {
        full.push('\n');
        full.push_str(name.as_str());
        for value in request.get_all(name) {
            full.push('=');
            full.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
    }
    full
}

impl Share {
    /// Host, scheme, path and query. A rule that leads elsewhere has another `site`.
    pub(crate) fn key(&self, site: &str, host: &str, secure: bool, uri: &str) -> String {
        let scheme = if secure { "https" } else { "http" };
        let purges = self.purges.load(Relaxed);
        format!("{purges}\n{site}\n{scheme}://{host}{uri}")
    }

    pub(crate) fn find(&self, key: &str, request: &HeaderMap) -> Option<Arc<Entry>> {
        let entry = self.kept.get(key)?;
        match &*entry {
            Entry::Answer(_) => Some(entry),
            Entry::Varies(names) => self.kept.get(varied(key, names, request).as_str()),
        }
    }

    pub(crate) fn insert(&self, key: &str, request: &HeaderMap, kept: Kept) -> Arc<Entry> {
        let names: Vec<HeaderName> = kept
            .headers
            .get_all(header::VARY)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            // The body is kept as it is without a coding, whoever asks.
            .filter(|name| *name != header::ACCEPT_ENCODING)
            .collect();
        let full = if names.is_empty() {
            key.to_owned()
        } else {
            let full = varied(key, &names, request);
            self.kept.insert(key.into(), Arc::new(Entry::Varies(names)));
            full
        };
        self.stored.fetch_add(1, Relaxed);
        let entry = Arc::new(Entry::Answer(Box::new(kept)));
        self.kept.insert(full.into_boxed_str(), entry.clone());
        entry
    }

    pub(crate) fn set_bytes(&self, bytes: u64) {
        if self.max_bytes.swap(bytes, Relaxed) != bytes {
            self.kept.set_capacity(bytes);
        }
    }

    /// `path`: as in [`types::Purge`].
    pub(crate) fn purge(&self, path: Option<&str>) -> u64 {
        if path.is_none() {
            self.purges.fetch_add(1, Relaxed);
        }
        let before = self.kept.len();
        self.kept.retain(|_, entry| match (&**entry, path) {
            (Entry::Varies(_), Some(_)) => true,
            (Entry::Answer(kept), Some(path)) => match path.strip_suffix('*') {
                Some(begin) => !kept.uri.starts_with(begin),
                None => kept.uri.split('?').next() != Some(path) && &*kept.uri != path,
            },
            (_, None) => false,
        });
        (before - self.kept.len().min(before)) as u64
    }

    /// Objects, bytes, the most bytes, and how many were evicted or replaced.
    pub(crate) fn read(&self) -> (u64, u64, u64, u64) {
        let objects = self.kept.len() as u64;
        let evicted = self.stored.load(Relaxed).saturating_sub(objects);
        (objects, self.kept.weight(), self.max_bytes.load(Relaxed), evicted)
    }
}

/// An answer on its way that may be kept.
pub(crate) struct Capture {
    pub share: Arc<Share>,
    pub key: String,
    request: HeaderMap,
    kept: Kept,
    body: Vec<u8>,
    largest: usize,
    too_large: bool,
}

impl Capture {
    /// `None`: it may not be kept.
    pub(crate) fn begin(
        share: &Arc<Share>,
        key: &str,
        policy: &CachePolicy,
        request: &RequestHeader,
        answer: &ResponseHeader,
    ) -> Option<Capture> {
        if request.method != Method::GET {
            return None;
        }
        let fresh = lifetime(policy, request, answer.status, &answer.headers)?;
        let (stale_while, stale_error) = staleness(policy, &answer.headers);
        let largest = usize::try_from(policy.max_object_bytes).unwrap_or(usize::MAX);
        let mut headers = answer.headers.clone();
        headers.remove(header::AGE);
        Some(Capture {
            share: share.clone(),
            key: key.to_owned(),
            request: request.headers.clone(),
            kept: Kept {
                status: answer.status,
                headers,
                body: Bytes::new(),
                uri: request.uri.path_and_query().map_or("/", |uri| uri.as_str()).into(),
                stored: Instant::now(),
                age: age_of(&answer.headers),
                fresh,
                stale_while,
                stale_error,
                encoded: Default::default(),
                refreshing: AtomicBool::new(false),
            },
            body: Vec::new(),
            largest,
            too_large: false,
        })
    }

    pub(crate) fn piece(&mut self, piece: &[u8]) {
        if self.body.len() + piece.len() > self.largest {
            self.too_large = true;
            self.body = Vec::new();
        }
        if !self.too_large {
            self.body.extend_from_slice(piece);
        }
    }

    pub(crate) fn end(mut self) {
        let declared = self
            .kept
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        let whole = declared.is_none_or(|declared| declared.parse() == Ok(self.body.len()));
        if whole && !self.too_large {
            self.kept.body = Bytes::from(self.body);
            self.share.insert(&self.key, &self.request, self.kept);
        }
    }
}

/// How old an answer was when it came.
fn age_of(headers: &HeaderMap) -> Duration {
    let said = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.parse().ok());
    said.map_or(Duration::ZERO, Duration::from_secs)
}

/// How long an answer may be given after its time: while a new one is fetched, and when the app fails (RFC 5861).
fn staleness(policy: &CachePolicy, headers: &HeaderMap) -> (Duration, Duration) {
    let strict = |name: &str| matches!(name, "must-revalidate" | "proxy-revalidate" | "s-maxage" | "no-cache");
    if directives(headers).any(|(name, _)| strict(&name)) {
        return (Duration::ZERO, Duration::ZERO);
    }
    let stale = |name: &str, default: u32| {
        let said = directives(headers).find(|(directive, _)| directive == name);
        let seconds = said.and_then(|(_, value)| value.parse().ok());
        Duration::from_secs(seconds.unwrap_or(u64::from(default)))
    };
    (
        stale("stale-while-revalidate", policy.stale_while_revalidate_seconds),
        stale("stale-if-error", policy.stale_if_error_seconds),
    )
}

/// How long an answer is fresh, zero if it must be asked for each time; `None`: it may not be kept at all.
fn lifetime(policy: &CachePolicy, request: &RequestHeader, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let understood = matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
    let several = headers.get_all(header::VARY).iter().any(|value| value.as_bytes().contains(&b'*'));
    if !understood || several || headers.contains_key(header::SET_COOKIE) || headers.contains_key(header::CONTENT_ENCODING) {
        return None;
    }
    let (mut max_age, mut shared, mut allows, mut asks) = (None, None, false, false);
    for (name, value) in directives(headers) {
        match name.as_str() {
            "no-store" | "private" => return None,
            "no-cache" => asks = true,
            "max-age" => max_age = Some(value.parse().ok()?),
            "s-maxage" => (shared, allows) = (Some(value.parse().ok()?), true),
            "public" | "must-revalidate" => allows = true,
            _ => {}
        }
    }
    if request.headers.contains_key(header::AUTHORIZATION) && !allows {
        return None;
    }
    let expires = || {
        let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
        let end = date(header::EXPIRES)?;
        let begin = date(header::DATE).unwrap_or_else(SystemTime::now);
        Some(end.duration_since(begin).unwrap_or_default().as_secs())
    };
    let has_validator = headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    if asks {
        return has_validator.then_some(Duration::ZERO);
    }
    let said: Option<u64> = shared.or(max_age).or_else(expires);
    let default = || (policy.default_seconds > 0 && status.as_u16() == 200).then_some(u64::from(policy.default_seconds));
    let seconds = said.or_else(default)?;
    let stale = policy.stale_while_revalidate_seconds > 0 || policy.stale_if_error_seconds > 0;
    (seconds > 0 || stale || has_validator).then(|| Duration::from_secs(seconds.min(31_536_000)))
}

/// The directives of `Cache-Control`, in lower case.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned())
        })
}

/// Keeps an answer, and gives it; for fuzzing.
pub(crate) fn rehearse(request: &RequestHeader, answer: &ResponseHeader) {
    let (share, policy) = (Arc::new(Share::default()), CachePolicy::default());
    let Some(mut capture) = Capture::begin(&share, "key", &policy, request, answer) else {
        return;
    };
    capture.piece(b"body");
    capture.end();
    if let Some(entry) = share.find("key", &request.headers)
        && let Some(doubted) = Doubted::of(&share, "key", &entry)
        && let Some(renewed) = doubted.holds(&policy, request, answer)
        && let Entry::Answer(kept) = renewed.as_ref()
    {
        kept.given(request, true);
        kept.freshness();
    }
}

/// Whether the client has this answer already (RFC 9110, 13.1).
pub(crate) fn is_known(request: &HeaderMap, kept: &HeaderMap) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if let Some(wanted) = request.get(header::IF_NONE_MATCH) {
        let own = kept.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(weak);
        let wanted = wanted.to_str().unwrap_or_default();
        return wanted.trim() == "*" || own.is_some_and(|own| wanted.split(',').any(|tag| weak(tag) == own));
    }
    let date = |headers: &HeaderMap, name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    match (date(request, header::IF_MODIFIED_SINCE), date(kept, header::LAST_MODIFIED)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// What happened, as in RFC 9211.
pub(crate) fn note(headers: &mut HeaderMap, what: &'static str) {
    headers.insert(HeaderName::from_static("cache-status"), HeaderValue::from_static(what));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_kept_and_how_long() {
        let policy = CachePolicy::default();
        let generous = CachePolicy {
            default_seconds: 7,
            ..CachePolicy::default()
        };
        for (policy, status, fields, seconds) in [
            (&policy, 200, &[("cache-control", "max-age=60")][..], Some(60)),
            (&policy, 200, &[("cache-control", "public, max-age=60, s-maxage=5")], Some(5)),
            (&policy, 200, &[], None),
            (&generous, 200, &[], Some(7)),
            (&generous, 404, &[], None),
            (&generous, 200, &[("cache-control", "no-store")], None),
            (&generous, 200, &[("cache-control", "no-cache")], None),
            (&policy, 200, &[("cache-control", "no-cache"), ("etag", "\"a\"")], Some(0)),
            (&policy, 200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")], Some(0)),
            (&policy, 200, &[("cache-control", "max-age=0")], None),
            (&policy, 200, &[("etag", "\"a\"")], None),
            (&generous, 200, &[("cache-control", "Private")], None),
            (&policy, 200, &[("cache-control", "max-age=60"), ("set-cookie", "a=b")], None),
            (&policy, 200, &[("cache-control", "max-age=60"), ("vary", "*")], None),
            (&policy, 206, &[("cache-control", "max-age=60")], None),
            (&policy, 500, &[("cache-control", "max-age=60")], None),
            (
                &policy,
                200,
                &[
                    ("date", "Thu, 01 Jan 1970 00:00:10 GMT"),
                    ("expires", "Thu, 01 Jan 1970 00:00:40 GMT"),
                ],
                Some(30),
            ),
            (&policy, 200, &[("cache-control", "max-age=x")], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let request = RequestHeader::build("GET", b"/", None).expect("a request");
            let found = lifetime(policy, &request, StatusCode::from_u16(status).expect("valid"), &headers);
            assert_eq!(found, seconds.map(Duration::from_secs), "{status} {fields:?}");
        }
        let mut secret = RequestHeader::build("GET", b"/", None).expect("a request");
        secret.insert_header("authorization", "Basic eA==").expect("a header");
        for (value, kept) in [("max-age=60", false), ("public, max-age=60", true), ("s-maxage=60", true)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(lifetime(&policy, &secret, StatusCode::OK, &headers).is_some(), kept, "{value}");
        }
    }
}
