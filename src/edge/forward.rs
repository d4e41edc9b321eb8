//! Passes a request on to an app and its answer back.
//!
//! A request without a body is a plain loop over one upstream session. With a body, or once it has become a WebSocket,
//! three futures run beside each other (towards the app, from the app, and the client), so that no side can block
//! another by not reading.

mod both_ways;
mod errand;
mod plain;
mod writing;

pub(crate) use both_ways::{Activity, Client, PIECES, Piece};
pub(crate) use errand::Errand;

use crate::{
    connection::{Connection, Guest},
    headers::{self, Outgoing, Receiver},
    shape::Shaper,
    table::Serves,
    upstream::{Backend, Place, UnderWay},
    worker::Worker,
};
use http::{StatusCode, header};
use pingora::{http::RequestHeader, protocols::http::ServerSession};
use std::sync::Arc;
use tokio::time::timeout;

/// Why a request got no, or no whole, answer from its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Starting,
    /// Its app was asleep, and is not awake in time; or too many wait for it.
    Waking,
    Down(Box<str>),
    /// No upstream took a connection.
    Refused,
    /// The app ended the connection, or its answer is not HTTP.
    BadAnswer,
    TimedOut,
    SlowBody,
    BadBody,
    BodyTooLarge,
    /// The app says with this status that it cannot now, and another may.
    Unavailable(u16),
    ClientGone,
}

impl Failure {
    /// The upstream's fault, as far as one can tell.
    fn is_upstreams(&self) -> bool {
        matches!(
            self,
            Failure::Refused | Failure::BadAnswer | Failure::TimedOut | Failure::Unavailable(_)
        )
    }
}

/// Returns the status of the answer once it is passed on whole. `place` becomes where it went.
pub(crate) async fn forward(
    worker: &Worker,
    guest: &Guest,
    session: &mut ServerSession,
    errand: &Errand<'_>,
    shaper: &mut Shaper,
    place: &mut Option<Place>,
) -> Result<u16, Failure> {
    if declared_length(session.req_header()) > errand.limits.body_bytes {
        return Err(Failure::BodyTooLarge);
    }
    let awake;
    let serves = match errand.serves {
        // Nothing of the body is read meanwhile.
        Serves::Asleep(bed) => {
            awake = Box::pin(bed.awake(worker)).await?;
            awake.serves()
        }
        serves => serves,
    };
    let (backends, first, receiver) = match serves {
        Serves::App(balanced) => (&*balanced.backends, errand.first.unwrap_or_else(|| balanced.turn()), Receiver::App),
        Serves::Panel(backend) => (std::slice::from_ref(backend), 0, Receiver::Panel),
        Serves::Starting => return Err(Failure::Starting),
        Serves::Down(why) => return Err(Failure::Down(why.clone())),
        Serves::Asleep(_) => return Err(Failure::Waking),
    };
    shaper.2 = receiver;
    let now = worker.now();
    // When none is well, one that is not is better than nothing.
    let choosy = backends.len() > 1 && backends.iter().any(|backend| backend.is_usable(now));
    let mut failure = Failure::Refused;
    let mut retries = errand.retries;
    for n in 0..backends.len() {
        let backend = &backends[(first + n) % backends.len()];
        if choosy && !backend.is_usable(now) {
            continue;
        }
        let _under_way = UnderWay::on(backend);
        *place = Some(backend.place.clone());
        let may_retry = retries > 0
            && n + 1 < backends.len()
            && session.req_header().method.is_idempotent()
            && session.is_body_empty()
            && headers::upgrade_of(session.req_header()).is_none();
        let way = Way {
            worker,
            guest,
            backend,
            receiver,
            errand,
            may_decline: may_retry && errand.on_unavailable,
        };
        let tried = way.attempt(session, shaper).await;
        if let Some(ejection) = errand.ejection {
            note(backends, backend, &tried, ejection, now);
        }
        match tried {
            Ok(status) => return Ok(status),
            // Nothing was sent, so another may be tried.
            Err(Tried::NoConnection(why)) => failure = why,
            Err(Tried::Failed(why)) if may_retry && why.is_upstreams() && session.response_written().is_none() => {
                retries -= 1;
                failure = why;
            }
            Err(Tried::Failed(why)) => return Err(why),
        }
    }
    Err(failure)
}

/// How a try on one upstream failed.
enum Tried {
    NoConnection(Failure),
    Failed(Failure),
}

/// Passive ejection: counts failures in a row, and sends one that has too many away for a while.
fn note(backends: &[Arc<Backend>], backend: &Backend, tried: &Result<u16, Tried>, ejection: &types::Ejection, now: u64) {
    let failed = match tried {
        Ok(status) => matches!(status, 502..=504),
        Err(Tried::NoConnection(_)) => true,
        Err(Tried::Failed(why)) if why.is_upstreams() => true,
        Err(Tried::Failed(_)) => return,
    };
    if !failed {
        return backend.went_well();
    }
    if backend.went_badly(ejection.failures) && backend.is_usable(now) {
        let away = backends.iter().filter(|backend| !backend.is_usable(now)).count();
        let most = (backends.len() * ejection.max_percent as usize / 100).min(backends.len() - 1);
        if away < most {
            backend.eject(ejection.seconds, now);
        }
    }
}

fn declared_length(request: &RequestHeader) -> u64 {
    request
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.split(',').next()?.trim().parse().ok())
        .unwrap_or(0)
}

/// How a try on one connection ended without an answer.
pub(crate) enum Miss {
    /// The connection was an idle one that the app had closed meanwhile, and the request may be sent again.
    Stale,
    Failed(Failure),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Miss {
        Miss::Failed(failure)
    }
}

/// A request on its way to a backend.
pub(crate) struct Way<'a> {
    pub worker: &'a Worker,
    guest: &'a Guest,
    pub backend: &'a Arc<Backend>,
    receiver: Receiver,
    pub errand: &'a Errand<'a>,
    /// An answer that the app is unavailable is not passed on, since another upstream may do better.
    may_decline: bool,
}

impl Way<'_> {
    async fn attempt(&self, session: &mut ServerSession, shaper: &mut Shaper) -> Result<u16, Tried> {
        let failed = |miss| match miss {
            Miss::Stale => Tried::Failed(Failure::BadAnswer),
            Miss::Failed(Failure::Refused) => Tried::NoConnection(Failure::Refused),
            Miss::Failed(failure) => Tried::Failed(failure),
        };
        if self.backend.wire.h2c {
            return Box::pin(self.pass_h2c(session, shaper)).await.map_err(failed);
        }
        if let Some(connection) = self.backend.take(self.worker.index, self.worker.now()) {
            match self.pass(session, shaper, connection, true).await {
                Err(Miss::Stale) => {}
                done => return done.map_err(failed),
            }
        }
        match timeout(
            self.worker.shared.limits.connect_timeout,
            self.backend.connect(Some(self.guest.between)),
        )
        .await
        {
            Ok(Ok(connection)) => self.pass(session, shaper, Box::new(connection), false).await.map_err(failed),
            Ok(Err(_)) => Err(Tried::NoConnection(Failure::Refused)),
            Err(_) => Err(Tried::NoConnection(Failure::TimedOut)),
        }
    }

    async fn pass(&self, session: &mut ServerSession, shaper: &mut Shaper, connection: Box<Connection>, reused: bool) -> Result<u16, Miss> {
        let has_body = !session.is_body_empty();
        let upgrade = if has_body {
            None
        } else {
            headers::upgrade_of(session.req_header()).cloned()
        };
        if has_body || upgrade.is_some() {
            // Boxed, so that the common case does not carry the room for this one.
            Box::pin(self.pass_both_ways(session, shaper, connection, has_body, upgrade.as_ref()))
                .await
                .map_err(Miss::Failed)
        } else {
            self.pass_plain(session, shaper, connection, reused).await
        }
    }

    /// Whether to try another upstream instead.
    fn declines(&self, status: StatusCode) -> bool {
        self.may_decline && matches!(status.as_u16(), 502..=504)
    }

    pub(crate) fn outgoing<'a>(&'a self, session: &'a ServerSession) -> Outgoing<'a> {
        Outgoing {
            request: session.req_header(),
            errand: self.errand,
            guest: self.guest,
            receiver: self.receiver,
        }
    }

    fn give_back(&self, connection: Box<Connection>) {
        self.backend.give_back(self.worker.index, connection, self.worker.now());
    }
}
