//! A provider says by itself, without a browser, that somebody has signed out there (OpenID Connect Back-Channel Logout
//! 1.0): what they began by it here ends. Their tokens go on, as they do when they sign out here.

use super::Sessions;
use std::sync::{Mutex, PoisonError};
use store::acting;
use types::{Actor, Asker, Error, Fact, Protocol, Result, Session, Time, UserId};

/// Tokens that are remembered; when there are more, the oldest could come a second time.
const MOST: usize = 4096;

/// Names of tokens, each with its end.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Vec<(String, Time)>>);

impl Seen {
    /// `false`: it came before.
    fn is_first(&self, name: String, until: Time, now: Time) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, end)| now < *end);
        if all.iter().any(|(known, _)| *known == name) {
            return false;
        }
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push((name, until));
        true
    }
}

impl Sessions {
    /// Ends the sessions that a logout token names. Fails with `Unauthenticated` when it is not as it must be; that there are
    /// none is as wanted.
    pub async fn end_by_provider(&self, provider: &str, token: &str, address: Option<String>) -> Result<()> {
        let access = &self.access;
        let provider = access.offered(provider)?;
        let Protocol::Oidc(settings) = &provider.protocol else {
            return Err(refused("this provider does not speak OpenID Connect"));
        };
        let told = access.relying(settings)?.logged_out(&access.world, token).await?;
        let name = format!("{}/{}", provider.id, told.id);
        if !access.logouts.is_first(name, told.until, access.world.now()) {
            return Err(refused("this token came before"));
        }
        let person = match &told.subject {
            Some(subject) => {
                let known = access.store.external_identities.find(&format!("{}/{subject}", provider.id))?;
                let Some(known) = known else { return Ok(()) };
                Some(known.user.clone())
            }
            None => None,
        };
        let actor = Actor {
            address,
            ..Actor::system(provider.organization.clone())
        };
        for session in access.store.sessions.list()? {
            let is_meant = session.provider.as_ref() == Some(&provider.id) && is_meant(&session, person.as_ref(), told.session.as_deref());
            if !is_meant {
                continue;
            }
            let removed = acting(Asker::from(&actor), access.store.sessions.remove(session.id.as_str())).await;
            removed.or_else(crate::access::settled)?;
            let fact = Fact::SignedOut {
                user: session.user.clone(),
            };
            access.events.emit(&actor, fact).await;
        }
        Ok(())
    }
}

/// With both a person and a session, it is that session of theirs. One of which the provider gave no name is meant by the person.
fn is_meant(session: &Session, person: Option<&UserId>, named: Option<&str>) -> bool {
    let is_theirs = person.is_none_or(|person| session.user == *person);
    let is_named = match (named, session.provider_session.as_deref()) {
        (None, _) => true,
        (Some(named), Some(own)) => named == own,
        (Some(_), None) => person.is_some(),
    };
    is_theirs && is_named
}

fn refused(why: &str) -> Error {
    Error::Unauthenticated { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_once() {
        let seen = Seen::default();
        assert!(seen.is_first("a".into(), Time(100), Time(0)));
        assert!(!seen.is_first("a".into(), Time(100), Time(99)));
        assert!(
            seen.is_first("a".into(), Time(300), Time(100)),
            "it could not be taken any more by its own end"
        );
        for number in 0..MOST {
            assert!(seen.is_first(number.to_string(), Time(300), Time(100)));
        }
        assert!(seen.0.lock().expect("held by nobody").len() <= MOST);
    }
}
