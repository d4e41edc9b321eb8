//! Renewing a session by its refresh cookie, whose secret is another each time: a stolen one ends the session.

use super::{Sessions, ended};
use crate::access::{SignedIn, Visitor, settled};
use identity::token;
use std::time::Duration;
use store::Batch;
use types::{Error, Result, Session, SessionId, Time, report};

/// After a renewal the secret before still works this long: two tabs renew at once, and both are right.
pub(super) const GRACE: Duration = Duration::from_secs(30);
/// Secrets given out and not used that are remembered; a browser that loses every answer has other troubles.
const NEXT: usize = 8;
const RETIRED: usize = 16;

impl Sessions {
    /// Renews with the value of the refresh cookie, and gives a new one. Fails with `Unauthenticated`; a value that
    /// was replaced longer ago than a moment ends the session, because two now have it.
    pub async fn refresh(&self, refresh: &str, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let (id, word) = refresh.split_once('.').ok_or_else(ended)?;
        let id: SessionId = id.parse().map_err(|_| ended())?;
        let hash = token::hash(word);
        if let Some(session) = access.store.sessions.find(id.as_str())? {
            // Only who has its secret may have the directory asked.
            if place(&session, &hash, access.world.now()) != Place::Unknown {
                self.check_external(&session).await?;
            }
        }
        // Others may renew the same session at the same moment: look and save again until both fit.
        for _ in 0..20 {
            let mut session = access.store.sessions.find(id.as_str())?.ok_or_else(ended)?;
            let user = self.holder(&session)?;
            let next = token::word(&access.world);
            match place(&session, &hash, access.world.now()) {
                Place::Current | Place::Graced => {}
                Place::Next => confirm(&mut session, &hash, access.world.now()),
                Place::Retired => {
                    access.store.commit(Batch::new().remove(&session)).await.or_else(settled)?;
                    tracing::warn!("a refresh cookie was used twice: the session of {} is ended", user.email);
                    return Err(ended());
                }
                Place::Unknown => return Err(ended()),
            }
            session.next_hashes.push(token::hash(&next));
            keep_last(&mut session.next_hashes, NEXT);
            access.extend(&mut session)?;
            if let Some(address) = &visitor.address {
                session.address.clone_from(address);
            }
            match access.store.sessions.save(session).await {
                Ok(session) => return access.let_in(access.see(user).await?, session.value, &next),
                Err(Error::Stale { .. }) => {}
                Err(Error::NotFound { .. }) => return Err(ended()),
                Err(error @ Error::Unavailable { .. }) => {
                    // A full disk: who is signed in can still look, and make room.
                    tracing::warn!("a session is renewed without noting it: {}", report(&error));
                    let session = access.store.sessions.get(id.as_str())?.value;
                    return access.let_in(user, session, word);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::busy("the session is being renewed by too many at once"))
    }
}

/// Where a refresh secret stands in its session.
#[derive(Debug, PartialEq)]
enum Place {
    Current,
    /// Given out by a renewal, and now used for the first time.
    Next,
    /// Replaced a moment ago.
    Graced,
    /// Replaced before that.
    Retired,
    Unknown,
}

fn place(session: &Session, hash: &str, now: Time) -> Place {
    let among = |hashes: &[String]| hashes.iter().any(|known| token::same(known, hash));
    if token::same(&session.secret_hash, hash) {
        Place::Current
    } else if among(&session.next_hashes) {
        Place::Next
    } else if !among(&session.retired_hashes) {
        Place::Unknown
    } else if now.since(session.rotated_at) < GRACE {
        Place::Graced
    } else {
        Place::Retired
    }
}

/// The secret with this hash is the one in use from now on; all others are retired.
fn confirm(session: &mut Session, hash: &str, now: Time) {
    let before = std::mem::replace(&mut session.secret_hash, hash.to_owned());
    session.retired_hashes.push(before);
    session
        .retired_hashes
        .extend(session.next_hashes.drain(..).filter(|next| next != hash));
    keep_last(&mut session.retired_hashes, RETIRED);
    session.rotated_at = now;
}

fn keep_last(hashes: &mut Vec<String>, count: usize) {
    hashes.drain(..hashes.len().saturating_sub(count));
}
