//! The browsers that somebody is signed in with: looking at them, and ending one, the others, or those whose time is over.

use super::{Known, SessionInfo, Sessions};
use crate::access::settled;
use types::{Error, Fact, Kind, Result, Scope, Session, Time};

impl Sessions {
    /// The browsers that the one who asks is signed in with, newest first.
    pub fn list(&self, known: &Known) -> Result<Vec<SessionInfo>> {
        let Some(user) = known.actor.user() else { return Ok(Vec::new()) };
        let mut sessions = Vec::new();
        for session in self.access.sessions_of(user)? {
            if !self.is_over(&session)? {
                sessions.push(SessionInfo {
                    current: known.session.as_ref().is_some_and(|current| current.id == session.id),
                    ends_at: self.ends_at(&session)?,
                    country: self.access.country(&session.address)?,
                    session: session.value,
                });
            }
        }
        sessions.sort_by(|a, b| b.session.id.cmp(&a.session.id));
        Ok(sessions)
    }

    /// Ends one of the own sessions.
    pub async fn revoke(&self, known: &Known, id: &str) -> Result<()> {
        let store = &self.access.store;
        let own = store.sessions.find(id)?.filter(|session| known.actor.user() == Some(&session.user));
        let own = own.ok_or_else(|| Error::not_found(Kind::Session, id))?;
        known.actor.reaches(Scope::Admin)?;
        self.remove(&own).await?;
        let fact = Fact::SignedOut { user: own.user.clone() };
        self.access.events.emit(&known.actor, fact).await;
        Ok(())
    }

    /// Ends all own sessions but the one that asks; how many. A token ends all, and needs the scope admin.
    pub async fn end_others(&self, known: &Known) -> Result<usize> {
        let Some(user) = known.actor.user() else { return Ok(0) };
        known.actor.reaches(Scope::Admin)?;
        let mut ended = 0;
        for session in self.access.sessions_of(user)? {
            if known.session.as_ref().is_none_or(|own| own.id != session.id) {
                self.remove(&session).await?;
                ended += 1;
            }
        }
        if ended > 0 {
            let fact = Fact::SignedOut { user: user.clone() };
            self.access.events.emit(&known.actor, fact).await;
        }
        Ok(ended)
    }

    /// Signs out: ends the session that asks. For tokens and on the machine there is nothing to end.
    pub async fn end(&self, known: &Known) -> Result<()> {
        let Some(session) = &known.session else { return Ok(()) };
        self.remove(session).await?;
        let fact = Fact::SignedOut {
            user: session.user.clone(),
        };
        self.access.events.emit(&known.actor, fact).await;
        Ok(())
    }

    /// Removes the records of sessions that have ended by themselves.
    pub(super) async fn remove_ended(&self) -> Result<usize> {
        let mut removed = 0;
        for session in self.access.store.sessions.list()? {
            if self.is_over(&session)? {
                self.remove(&session).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(super) fn is_over(&self, session: &Session) -> Result<bool> {
        Ok(self.access.world.now() >= self.ends_at(session)?)
    }

    /// By the rules of now, which may have become shorter since it was renewed.
    fn ends_at(&self, session: &Session) -> Result<Time> {
        Ok(session.expires_at.min(self.access.end_of(session)?))
    }

    async fn remove(&self, session: &Session) -> Result<()> {
        self.access.store.sessions.remove(session.id.as_str()).await.or_else(settled)
    }
}
