//! Signing in by SAML. The answer comes by a form that another site sends, and a browser shows no cookie of ours there. So
//! it is checked when it comes and put aside for a moment, the browser is sent to the panel's own page, and that page asks
//! for it with the cookie of the browser that began: an answer that somebody else was given signs nobody in.

use super::{
    Sessions,
    external::{Started, lost},
};
use crate::{
    access::{SignedIn, Visitor},
    identity_providers::redirect,
    saml::{own_place, settings},
};
use identity::{Person, token};
use types::{Error, IdentityProviderId, Result, Secret};

/// What an answer named, for the browser that began the sign-in.
pub(crate) struct Landed {
    provider: IdentityProviderId,
    cookie_hash: String,
    /// Or why it is not taken, in words for them.
    found: std::result::Result<Person, String>,
}

impl Sessions {
    /// Where the browser goes to sign in by SAML, and the value of the cookie that it shows when it comes back.
    pub async fn send_away_by_saml(&self, provider: &str, visitor: &Visitor) -> Result<(String, Secret)> {
        let access = &self.access;
        let provider = access.offered(provider)?;
        let peer = access.peer(settings(&provider)?)?;
        let place = own_place(provider.id.as_str(), &redirect(visitor)?);
        let started = peer.start(&access.world, place).await?;
        let (state, cookie) = self.note(&provider, Started::Saml(Box::new(started.clone())), visitor);
        let address = peer.address(&started, &state, access.world.now())?;
        Ok((address.into(), cookie))
    }

    /// Takes the answer of a provider, whose sign-in `state` names, once: the word under which it waits for its browser. An
    /// answer that nobody asked for has none, and is not looked at.
    pub fn land(&self, provider: &str, state: &str, answer: &str, visitor: &Visitor) -> Option<String> {
        let access = &self.access;
        let away = access.away.take(state).filter(|away| away.provider.as_str() == provider)?;
        let Started::Saml(started) = &away.started else { return None };
        let found = (|| {
            let provider = access.offered(away.provider.as_str())?;
            access.peer(settings(&provider)?)?.finish(started, answer, access.world.now())
        })();
        let landed = Landed {
            provider: away.provider,
            cookie_hash: away.cookie_hash,
            found: found.map_err(|error| error.to_string()),
        };
        Some(access.landed.insert(visitor.address.as_deref().unwrap_or_default(), landed))
    }

    /// Signs in with what was put aside: once, at once, and in the browser that was sent away.
    pub async fn create_by_saml(&self, landed: &str, cookie: Option<&str>, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let landed = access.landed.take(landed).ok_or_else(lost)?;
        if !cookie.is_some_and(|cookie| token::matches(cookie, &landed.cookie_hash)) {
            return Err(lost());
        }
        let provider = access.offered(landed.provider.as_str())?;
        settings(&provider)?;
        let person = landed.found.map_err(|why| Error::Unauthenticated { why })?;
        self.let_person_in(&provider, person, None, visitor).await
    }
}
