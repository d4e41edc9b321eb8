//! A request to a site that has rules, a policy or a canary: which rule answers, whether the request may pass, where it
//! goes, and what was kept of it. A plain site never comes here.

use crate::{
    answers::Answer,
    cache::{self, Capture, Entry, Freshness, Kept},
    compress::{self, Coding},
    connection::Guest,
    fetch::fetch,
    forward::{self, Errand, Failure},
    headers::{self, Caller, Outgoing, Receiver},
    policy::{Policy, Reply, Visitor},
    serve::{Dress, fail, write_answer, write_whole},
    shape::{Shape, Shaper},
    table::{Does, Extras, Leads, Serves, Site},
    traffic::Counters,
    upstream::Place,
    worker::Worker,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pingora::{http::RequestHeader, protocols::http::ServerSession};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};
use types::{Asked, normal_path};

pub(crate) struct Outcome {
    pub status: u16,
    /// The answer is whole; else the connection cannot go on.
    pub whole: bool,
    /// Of the app that the request belongs to; `begin` has been called.
    pub counters: Arc<Counters>,
}

/// A request as rules look at it.
pub(crate) struct Seen<'a> {
    request: &'a RequestHeader,
    path: &'a str,
}

impl Asked for Seen<'_> {
    fn method(&self) -> &str {
        self.request.method.as_str()
    }
    fn path(&self) -> &str {
        self.path
    }
    fn values<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        Box::new(self.request.headers.get_all(name).iter().map(HeaderValue::as_bytes))
    }
}

/// A refreshed answer may take this long.
const REFRESHING: std::time::Duration = std::time::Duration::from_secs(30);

#[allow(clippy::too_many_arguments)]
pub(crate) async fn serve(
    worker: &Arc<Worker>,
    guest: &Arc<Guest>,
    session: &mut ServerSession,
    site: &Site,
    extras: &Extras,
    host: &HeaderValue,
    caller: &Caller,
    alt_svc: Option<HeaderValue>,
    place: &mut Option<Place>,
) -> Outcome {
    let site_counters = |status| {
        site.leads.counters.begin();
        Outcome {
            status,
            whole: true,
            counters: site.leads.counters.clone(),
        }
    };
    let request = session.req_header();
    let uri = request.uri.path_and_query().map_or("/", |uri| uri.as_str()).to_owned();
    let Some(path) = normal_path(&uri).map(|path| path.into_owned()) else {
        return site_counters(write_answer(session, &Answer::bad_request("The path climbs above its root."), None).await);
    };
    let bare = crate::decide::normal_host(host.to_str().unwrap_or_default()).into_owned();
    let seen = Seen { request, path: &path };
    let mut location = None;
    let rule = extras.rules.iter().find(|rule| {
        rule.matches.fits(&seen)
            && match &rule.does {
                Does::Redirect(redirect) => {
                    location = redirect.location(&bare, &extras.pattern, &uri, &path);
                    location.is_some()
                }
                _ => true,
            }
    });
    let policy = match rule {
        Some(rule) => rule.policy.as_ref(),
        None => extras.policy.as_ref(),
    };
    let secure = caller.secure;
    let dress = policy.map(|policy| Dress { policy, secure });
    let mut more = Vec::new();
    if let Some(policy) = policy {
        let visitor = Visitor {
            request,
            client: caller.ip,
            client_text: caller.text(guest),
            host,
            secure,
            path: &path,
        };
        match policy.gate(worker, &visitor, &site.tally).await {
            Ok(passed) => more = passed,
            Err(own) => {
                let status = match own.answer {
                    Reply::Words(answer) => crate::serve::write_answer_with(session, &answer, dress, own.headers).await,
                    Reply::Whole(status, body) => write_whole(session, status, own.headers, body, dress).await,
                };
                return site_counters(status);
            }
        }
    }
    let mut canary = None;
    let leads: &Leads = match rule.map(|rule| &rule.does) {
        Some(Does::Redirect(redirect)) => {
            let mut headers = HeaderMap::new();
            let to = location.unwrap_or_default();
            let Ok(value) = HeaderValue::from_str(&to) else {
                return site_counters(write_answer(session, &Answer::bad_request("The address cannot be redirected."), dress).await);
            };
            headers.insert(header::LOCATION, value);
            let status = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::PERMANENT_REDIRECT);
            return site_counters(write_whole(session, status, headers, Bytes::new(), dress).await);
        }
        Some(Does::Respond { status, kind, body }) => {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.clone())]);
            return site_counters(write_whole(session, *status, headers, body.clone(), dress).await);
        }
        Some(Does::Serve(leads)) => leads,
        None => match &extras.canary {
            Some(built) if built.takes(&Seen { request, path: &path }) => {
                canary = Some(built);
                &built.leads
            }
            _ => &site.leads,
        },
    };
    leads.counters.begin();
    let began = Instant::now();
    let changed = leads.path.as_ref().map(|change| change.apply(&uri, &path));
    let mut errand = Errand::new(worker, &leads.serves, host, caller);
    errand.path = changed.as_deref();
    errand.prefix = leads.path.as_ref().and_then(|change| change.strip_prefix.as_deref());
    errand.more = &more;
    let mut shaper = Shaper(None, alt_svc);
    if let Some(policy) = policy {
        errand.obey(policy);
        let mut shape = Shape::new(policy.clone(), secure);
        if let Serves::App(balanced) = &leads.serves {
            let first = balanced.choose(&request.headers, &path, caller.ip, worker.now());
            errand.first = Some(first);
            shape.cookie = balanced
                .cookie_for(first, &request.headers, guest)
                .and_then(|cookie| HeaderValue::from_str(&cookie).ok());
        }
        shaper.0 = Some(Box::new(shape));
    }
    let mut kept = None;
    if let (Some(policy), Some(shape)) = (policy, &mut shaper.0)
        && let Some(share) = policy.share.as_ref().filter(|_| cache::is_about(request))
    {
        let key = cache::key(&leads.name, &bare, secure, changed.as_deref().unwrap_or(&uri));
        errand.for_cache = true;
        kept = share.find(&key, &request.headers);
        if let Some(Entry::Answer(found)) = kept.as_deref() {
            let freshness = found.freshness();
            if matches!(freshness, Freshness::Fresh | Freshness::Usable) {
                let note = if freshness == Freshness::Fresh {
                    site.tally.cache_hits.fetch_add(1, Relaxed);
                    "serverkit; hit"
                } else {
                    site.tally.cache_hits.fetch_add(1, Relaxed);
                    site.tally.cache_stale.fetch_add(1, Relaxed);
                    if !found.refreshing.swap(true, Relaxed) {
                        refresh(worker, guest, request, &errand, policy, &key, kept.clone());
                    }
                    "serverkit; hit; detail=stale"
                };
                let status = write_kept(session, found, note, policy, secure).await;
                return Outcome {
                    status,
                    whole: true,
                    counters: leads.counters.clone(),
                };
            }
        }
        site.tally.cache_misses.fetch_add(1, Relaxed);
        shape.note = Some("serverkit; fwd=miss");
        if request.method == Method::GET {
            shape.keep = Some((share.clone(), key));
        }
    }
    let served = forward::forward(worker, guest, session, &errand, &mut shaper, place).await;
    let (status, whole) = match served {
        Ok(status) => (status, true),
        Err(failure) => {
            let stale = match kept.as_deref() {
                Some(Entry::Answer(found)) if found.freshness() != Freshness::Gone && session.response_written().is_none() => Some(found),
                _ => None,
            };
            match (stale, policy) {
                (Some(found), Some(policy)) if failure != Failure::ClientGone => {
                    site.tally.cache_stale.fetch_add(1, Relaxed);
                    let note = "serverkit; hit; detail=stale-if-error";
                    (write_kept(session, found, note, policy, secure).await, true)
                }
                _ => (fail(session, &leads.name, failure, errand.limits.body_bytes, dress).await, false),
            }
        }
    };
    if let Some(canary) = canary
        && status != 499
    {
        canary.state.record(status, began.elapsed());
    }
    Outcome {
        status,
        whole,
        counters: leads.counters.clone(),
    }
}

async fn write_kept(session: &mut ServerSession, kept: &Kept, note: &'static str, policy: &Policy, secure: bool) -> u16 {
    let request = session.req_header();
    let mut headers = kept.headers.clone();
    headers.insert(header::AGE, HeaderValue::from(kept.age().as_secs()));
    cache::note(&mut headers, note);
    let dress = Some(Dress { policy, secure });
    if cache::is_known(&request.headers, &kept.headers) {
        headers.remove(header::CONTENT_LENGTH);
        return write_whole(session, StatusCode::NOT_MODIFIED, headers, Bytes::new(), dress).await;
    }
    let mut body = kept.body.clone();
    if policy.raw.compression && compress::gains(kept.status, &headers) {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(coding) = Coding::wanted(&request.headers)
            && let Some(encoded) = kept.encoded(coding)
        {
            compress::mark(&mut headers, coding);
            body = encoded;
        }
    }
    write_whole(session, kept.status, headers, body, dress).await
}

/// Fetches a new answer for one that is stale, while the stale one is given.
fn refresh(
    worker: &Arc<Worker>,
    guest: &Arc<Guest>,
    request: &RequestHeader,
    errand: &Errand<'_>,
    policy: &Arc<Policy>,
    key: &str,
    stale: Option<Arc<Entry>>,
) {
    let Serves::App(balanced) = errand.serves else { return };
    let backend = balanced.backends[errand.first.unwrap_or(0) % balanced.backends.len()].clone();
    let outgoing = Outgoing {
        request,
        errand,
        guest,
        receiver: Receiver::App,
    };
    let mut asked = outgoing.to_header(None, false);
    asked.set_method(Method::GET);
    let (worker, policy, key) = (worker.clone(), policy.clone(), key.to_owned());
    let original = request.clone();
    tokio::spawn(async move {
        let (Some(share), Some(rules)) = (&policy.share, &policy.raw.cache) else {
            return;
        };
        let largest = usize::try_from(rules.max_object_bytes).unwrap_or(usize::MAX);
        if let Ok((head, body)) = fetch(&worker, &backend, asked, largest, REFRESHING).await {
            let head = headers::to_client(&head, false);
            if let Some(mut capture) = Capture::begin(share, &key, rules, &original, &head) {
                capture.piece(&body);
                capture.end();
            }
        }
        if let Some(Entry::Answer(stale)) = stale.as_deref() {
            stale.refreshing.store(false, Relaxed);
        }
    });
}
