//! A request to a site that has rules, a policy or a canary: which rule answers, whether the request may pass, where it
//! goes, and what was kept of it. A plain site never comes here.

use crate::{
    answers::Answer,
    balance::Asker,
    cache::{self, Capture, Doubted, Entry, Freshness, Kept},
    connection::Guest,
    cookies,
    fetch::fetch,
    forward::{self, Errand, Failure},
    headers::{self, Caller, Outgoing, Receiver},
    policy::{Own, Policy, Reply, Visitor},
    serve::{Dress, fail, write_answer, write_whole},
    shape::{Shape, Shaper},
    table::{BuiltCanary, BuiltRule, Does, Extras, Leads, Serves, Site},
    traffic::Counters,
    upstream::Place,
    worker::Worker,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::{http::RequestHeader, protocols::http::ServerSession};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};
use types::{Asked, Place as AskedAt, normal_path};

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

/// What a request on its way to such a site is known by.
pub(crate) struct Way<'a> {
    pub worker: &'a Arc<Worker>,
    pub guest: &'a Arc<Guest>,
    pub site: &'a Site,
    pub extras: &'a Extras,
    pub host: &'a HeaderValue,
    pub caller: &'a Caller,
}

/// What it asks for, in the spellings that are needed.
struct Wish {
    /// Path and query as they were written.
    uri: String,
    /// The path as rules see it.
    path: String,
    /// The host in lower case, without port.
    bare: String,
}

/// The rule that fits, and where it sends the client if it is a redirect.
struct Chosen<'a> {
    rule: Option<&'a BuiltRule>,
    location: String,
    policy: Option<&'a Arc<Policy>>,
}

/// Where a request that may pass goes.
struct Onward<'a> {
    leads: &'a Leads,
    policy: Option<&'a Arc<Policy>>,
    /// Headers that the app gets in place of the client's own.
    more: Vec<(HeaderName, HeaderValue)>,
}

pub(crate) async fn serve(way: &Way<'_>, session: &mut ServerSession, alt_svc: Option<HeaderValue>, place: &mut Option<Place>) -> Outcome {
    let Some(wish) = Wish::of(session.req_header(), way.host) else {
        return way.answered(write_answer(session, &Answer::bad_request("The path climbs above its root."), None).await);
    };
    let chosen = way.choose(session.req_header(), &wish);
    let policy = chosen.policy;
    let secure = way.caller.secure;
    let dress = policy.map(|policy| Dress { policy, secure });
    let more = match way.gate(session.req_header(), &wish, policy).await {
        Ok(more) => more,
        Err(own) => return way.answered(refuse(session, own, dress).await),
    };
    if let Some(status) = own_answer(session, &chosen, dress).await {
        return way.answered(status);
    }
    let canary = way.canary(session.req_header(), &wish, chosen.rule);
    let leads = match (chosen.rule.map(|rule| &rule.does), canary) {
        (Some(Does::Serve(leads)), _) => leads,
        (Some(Does::Split(split)), _) => {
            let how = policy.map(|policy| &policy.raw.balancing);
            split.choose(how, &way.asker(session.req_header(), &wish))
        }
        (_, Some(canary)) => &canary.leads,
        _ => &way.site.leads,
    };
    leads.counters.begin();
    let began = Instant::now();
    let (status, whole) = pass(way, session, &wish, &Onward { leads, policy, more }, alt_svc, place).await;
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

impl Wish {
    /// `None` when the path climbs above its root.
    fn of(request: &RequestHeader, host: &HeaderValue) -> Option<Wish> {
        let uri = request.uri.path_and_query().map_or("/", |uri| uri.as_str()).to_owned();
        let path = normal_path(&uri)?.into_owned();
        let bare = crate::decide::normal_host(host.to_str().unwrap_or_default()).into_owned();
        Some(Wish { uri, path, bare })
    }
}

impl<'a> Way<'a> {
    /// What the edge said itself is counted for the site.
    fn answered(&self, status: u16) -> Outcome {
        self.site.leads.counters.begin();
        Outcome {
            status,
            whole: true,
            counters: self.site.leads.counters.clone(),
        }
    }

    fn choose(&self, request: &RequestHeader, wish: &Wish) -> Chosen<'a> {
        let seen = Seen { request, path: &wish.path };
        let place = AskedAt {
            host: &wish.bare,
            pattern: &self.extras.pattern,
            uri: &wish.uri,
            path: &wish.path,
        };
        let (rule, location) = types::answering(&self.extras.rules, &seen, &place, |_| {}).unzip();
        Chosen {
            rule,
            location: location.flatten().unwrap_or_default(),
            policy: rule.map_or(self.extras.policy.as_ref(), |rule| rule.policy.as_ref()),
        }
    }

    async fn gate(
        &self,
        request: &RequestHeader,
        wish: &Wish,
        policy: Option<&Arc<Policy>>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Own> {
        let Some(policy) = policy else { return Ok(Vec::new()) };
        let visitor = Visitor {
            request,
            client: self.caller.ip,
            client_text: self.caller.text(self.guest),
            host: self.host,
            secure: self.caller.secure,
            path: &wish.path,
        };
        policy.gate(self.worker, &visitor, &self.site.tally).await
    }

    fn asker<'r>(&self, request: &'r RequestHeader, wish: &'r Wish) -> Asker<'r> {
        Asker {
            headers: &request.headers,
            path: &wish.path,
            client: self.caller.ip,
            now: self.worker.now(),
        }
    }

    /// The canary, when no rule answers and this request is one of its share.
    fn canary(&self, request: &RequestHeader, wish: &Wish, rule: Option<&BuiltRule>) -> Option<&'a BuiltCanary> {
        let canary = self.extras.canary.as_ref().filter(|_| rule.is_none())?;
        canary.takes(&Seen { request, path: &wish.path }).then_some(canary)
    }
}

async fn refuse(session: &mut ServerSession, own: Own, dress: Option<Dress<'_>>) -> u16 {
    match own.answer {
        Reply::Words(answer) => crate::serve::write_answer_with(session, &answer, dress, own.headers).await,
        Reply::Whole(status, body) => write_whole(session, status, own.headers, body, dress).await,
    }
}

/// The answer of a rule that passes nothing on.
async fn own_answer(session: &mut ServerSession, chosen: &Chosen<'_>, dress: Option<Dress<'_>>) -> Option<u16> {
    Some(match &chosen.rule?.does {
        Does::Serve(_) | Does::Split(_) => return None,
        Does::Redirect(redirect) => {
            let Ok(to) = HeaderValue::from_str(&chosen.location) else {
                return Some(write_answer(session, &Answer::bad_request("The address cannot be redirected."), dress).await);
            };
            let status = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::PERMANENT_REDIRECT);
            write_whole(session, status, HeaderMap::from_iter([(header::LOCATION, to)]), Bytes::new(), dress).await
        }
        Does::Respond { status, kind, body } => {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.clone())]);
            write_whole(session, *status, headers, body.clone(), dress).await
        }
    })
}

/// From what is kept, or from the app. The status, and whether the answer is whole.
async fn pass(
    way: &Way<'_>,
    session: &mut ServerSession,
    wish: &Wish,
    onward: &Onward<'_>,
    alt_svc: Option<HeaderValue>,
    place: &mut Option<Place>,
) -> (u16, bool) {
    let (leads, secure) = (onward.leads, way.caller.secure);
    let changed = leads.path.as_ref().map(|change| change.apply(&wish.uri, &wish.path));
    let mut errand = Errand::new(way.worker, &leads.serves, way.host, way.caller);
    errand.path = changed.as_deref();
    errand.prefix = leads.path.as_ref().and_then(|change| change.strip_prefix.as_deref());
    errand.more = &onward.more;
    let mut shaper = Shaper(None, alt_svc, Receiver::App);
    let Some(policy) = onward.policy else {
        return match forward::forward(way.worker, way.guest, session, &errand, &mut shaper, place).await {
            Ok(status) => (status, true),
            Err(failure) => (fail(session, &leads.name, failure, errand.limits.body_bytes, None).await, false),
        };
    };
    errand.obey(policy);
    let mut shape = shape_for(way, session.req_header(), wish, policy, &mut errand);
    let mut kept = None;
    if let Some(share) = policy.share.as_ref().filter(|_| cache::is_about(session.req_header())) {
        let key = share.key(&leads.name, &wish.bare, secure, changed.as_deref().unwrap_or(&wish.uri));
        errand.for_cache = true;
        kept = share.find(&key, &session.req_header().headers);
        if let Some((found, note)) = recall(way, session.req_header(), &errand, policy, &key, kept.as_ref()) {
            return (write_kept(session, found, note, policy, secure).await, true);
        }
        way.site.tally.cache_misses.fetch_add(1, Relaxed);
        shape.note = Some("serverkit; fwd=miss");
        shape.doubted = kept.as_ref().and_then(|entry| Doubted::of(share, &key, entry));
        if let Some(Entry::Answer(found)) = shape.doubted.as_ref().map(|doubted| doubted.entry.as_ref()) {
            shape.note = Some("serverkit; fwd=stale");
            errand.validators = found.validators();
        }
        if session.req_header().method == Method::GET {
            shape.keep = Some((share.clone(), key));
        }
    }
    shaper.0 = Some(Box::new(shape));
    let failure = match forward::forward(way.worker, way.guest, session, &errand, &mut shaper, place).await {
        // What the client got: an answer of the app that something kept still holds is not its own.
        Ok(status) => return (session.response_written().map_or(status, |head| head.status.as_u16()), true),
        Err(failure) => failure,
    };
    if let Some(Entry::Answer(found)) = kept.as_deref()
        && failure != Failure::ClientGone
        && found.freshness() != Freshness::Gone
        && session.response_written().is_none()
    {
        way.site.tally.cache_stale.fetch_add(1, Relaxed);
        let note = "serverkit; hit; detail=stale-if-error";
        return (write_kept(session, found, note, policy, secure).await, true);
    }
    let dress = Some(Dress { policy, secure });
    (fail(session, &leads.name, failure, errand.limits.body_bytes, dress).await, false)
}

/// How the answer will be shaped; chooses the upstream to begin with, because the answer may have to remember it.
fn shape_for(way: &Way<'_>, request: &RequestHeader, wish: &Wish, policy: &Arc<Policy>, errand: &mut Errand<'_>) -> Shape {
    let mut shape = Shape::new(policy.clone(), way.caller.secure);
    if let Serves::App(balanced) = errand.serves {
        let first = balanced.choose(&way.asker(request, wish));
        errand.first = Some(first);
        shape.cookie = balanced
            .cookie_for(first, &request.headers, way.guest)
            .and_then(|cookie| HeaderValue::from_str(&cookie).ok());
    }
    shape
}

/// What is kept and may be given at once, with the words of `Cache-Status` (RFC 9211). One that is stale is fetched anew meanwhile.
fn recall<'k>(
    way: &Way<'_>,
    request: &RequestHeader,
    errand: &Errand<'_>,
    policy: &Arc<Policy>,
    key: &str,
    kept: Option<&'k Arc<Entry>>,
) -> Option<(&'k Kept, &'static str)> {
    let entry = kept?;
    let Entry::Answer(found) = entry.as_ref() else { return None };
    let tally = &way.site.tally;
    match found.freshness() {
        Freshness::Fresh => {
            tally.cache_hits.fetch_add(1, Relaxed);
            Some((found, "serverkit; hit"))
        }
        Freshness::Usable => {
            tally.cache_hits.fetch_add(1, Relaxed);
            tally.cache_stale.fetch_add(1, Relaxed);
            if !found.refreshing.swap(true, Relaxed) {
                refresh(way.worker, way.guest, request, errand, policy, key, entry.clone());
            }
            Some((found, "serverkit; hit; detail=stale"))
        }
        _ => None,
    }
}

async fn write_kept(session: &mut ServerSession, kept: &Kept, note: &'static str, policy: &Policy, secure: bool) -> u16 {
    let (status, mut headers, body) = kept.given(session.req_header(), policy.raw.compression);
    cache::note(&mut headers, note);
    write_whole(session, status, headers, body, Some(Dress { policy, secure })).await
}

/// Fetches a new answer for one that is stale, while the stale one is given.
fn refresh(
    worker: &Arc<Worker>,
    guest: &Arc<Guest>,
    request: &RequestHeader,
    errand: &Errand<'_>,
    policy: &Arc<Policy>,
    key: &str,
    stale: Arc<Entry>,
) {
    let Serves::App(balanced) = errand.serves else {
        // Nobody asks one that sleeps; the next request may try again.
        if let Entry::Answer(found) = stale.as_ref() {
            found.refreshing.store(false, Relaxed);
        }
        return;
    };
    let backend = balanced.backends[errand.first.unwrap_or(0) % balanced.backends.len()].clone();
    let outgoing = Outgoing {
        request,
        errand,
        guest,
        receiver: Receiver::App,
    };
    let mut asked = outgoing.to_header(None, false);
    asked.set_method(Method::GET);
    if let Entry::Answer(found) = stale.as_ref() {
        for (name, value) in found.validators() {
            let _ = asked.insert_header(name, value);
        }
    }
    let (worker, policy, key) = (worker.clone(), policy.clone(), key.to_owned());
    let original = request.clone();
    tokio::spawn(async move {
        let (Some(share), Some(rules)) = (&policy.share, &policy.raw.cache) else {
            return;
        };
        let largest = usize::try_from(rules.max_object_bytes).unwrap_or(usize::MAX);
        if let Ok((head, body)) = fetch(&worker, &backend, asked, largest, REFRESHING).await {
            let mut head = headers::to_client(&head, false);
            cookies::keep_panels(&mut head);
            if head.status == StatusCode::NOT_MODIFIED
                && let Some(doubted) = Doubted::of(share, &key, &stale)
            {
                doubted.holds(rules, &original, &head);
            } else if let Some(mut capture) = Capture::begin(share, &key, rules, &original, &head) {
                capture.piece(&body);
                capture.end();
            }
        }
        if let Entry::Answer(stale) = stale.as_ref() {
            stale.refreshing.store(false, Relaxed);
        }
    });
}
