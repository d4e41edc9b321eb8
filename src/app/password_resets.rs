//! A forgotten password: a link by mail with which somebody chooses a new one. Whoever asks learns nothing: the answer and
//! its time are the same whether there is such an account, and it is looked for only after the answer.

use crate::{
    access::{Access, Visitor},
    ground::Ground,
    mail,
    users::retry,
};
use identity::token;
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored, acting};
use types::{Asker, Email, Error, Fact, PasswordReset, Result, Secret, User, report};

/// How long a link is good.
const GOOD: Duration = Duration::from_secs(30 * 60);
/// A person gets no second mail so soon.
const REST: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct PasswordResets {
    access: Arc<Access>,
    ground: Arc<Ground>,
}

impl PasswordResets {
    pub(crate) fn new(access: Arc<Access>, ground: Arc<Ground>) -> PasswordResets {
        PasswordResets { access, ground }
    }

    /// Asks for a link. Fails with `Busy` when the panel sends no mail, with `Throttled` when it was asked too often; both
    /// whoever it is for.
    pub async fn ask(&self, email: &str, visitor: &Visitor) -> Result<()> {
        if !mail::is_on(&self.ground)? {
            return Err(Error::busy(
                "this panel sends no mail: ask an administrator for a new password, or use `serverkit user` on the server",
            ));
        }
        let email: Email = email.parse()?;
        let address = visitor.address.as_deref().unwrap_or_default();
        // It stays counted: there is nothing to succeed at.
        drop(self.access.throttle.attempt(&format!("forgotten {email}"), address)?);
        let (here, visitor) = (self.clone(), visitor.clone());
        tokio::spawn(async move {
            if let Err(error) = here.send(&email, &visitor).await {
                tracing::warn!("a link for a new password was not sent: {}", report(&error));
            }
        });
        Ok(())
    }

    async fn send(&self, email: &Email, visitor: &Visitor) -> Result<()> {
        let (store, world) = (&self.access.store, &self.access.world);
        let found = store.users.claimed(email.as_str())?;
        let Some(user) = found else { return Ok(()) };
        if !self.may_forget(&user)? {
            return Ok(());
        }
        let now = world.now();
        let before = store.password_resets.find(user.id.as_str())?;
        if before.as_ref().is_some_and(|before| now.since(before.created_at) < REST) {
            return Ok(());
        }
        let word = token::word(world);
        let reset = PasswordReset {
            user: user.id.clone(),
            organization: user.organization.clone(),
            hash: token::hash(&word),
            created_at: now,
            expires_at: now.plus(GOOD),
        };
        match before {
            Some(mut stored) => {
                stored.value = reset;
                store.password_resets.save(stored).await?;
            }
            None => {
                store.password_resets.insert(reset).await?;
            }
        }
        let panel = self.ground.panel_address()?;
        let text = format!(
            "Somebody, from {}, has asked for a new password for your account at {panel}.\n\nChoose one here, within 30 minutes:\n\n\
             {panel}/new-password#{word}\n\nIf it was not you, forget this: your password stays as it is.\n",
            visitor.address.as_deref().unwrap_or("the server itself"),
        );
        let letter = mail::letter(&self.ground, &user.email, "A new password for the server panel", &text, GOOD)?;
        mail::post(&self.ground, letter).await?;
        let fact = Fact::PasswordForgotten {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access
            .events
            .emit(&self.access.actor(&user, visitor.address.clone()), fact)
            .await;
        Ok(())
    }

    /// Takes the new password, ends every session and forgets remembered browsers; the link is void from then on. It signs
    /// nobody in: who has a second factor still shows it. The same refusal for whatever is wrong with a link.
    pub async fn complete(&self, word: &str, password: &Secret, visitor: &Visitor) -> Result<()> {
        let access = &self.access;
        let attempt = access
            .throttle
            .attempt_link("new password", visitor.address.as_deref().unwrap_or_default())?;
        let (_, user) = self.good(word)?;
        attempt.succeeded();
        access.passwords.check(password, &user.email).await?;
        let hash = access.passwords.hash(password).await?;
        let _team = access.team.lock().await;
        let actor = access.actor(&user, visitor.address.clone());
        let change = retry(&access.store, || {
            // Hashing took a while, and somebody may have used the link meanwhile.
            let (reset, mut user) = self.good(word)?;
            user.password_hash.clone_from(&hash);
            let batch = Batch::new().remove(&reset).save(user.clone());
            let batch = access.end_sessions(batch, &user.id, None)?;
            Ok((access.end_trust(batch, &user.id)?, ()))
        });
        acting(Asker::from(&actor), change).await?;
        let fact = Fact::PasswordReset {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        access.events.emit(&actor, fact).await;
        Ok(())
    }

    fn good(&self, word: &str) -> Result<(Stored<PasswordReset>, Stored<User>)> {
        let store = &self.access.store;
        let found = store.password_resets.claimed(&token::hash(word))?;
        let reset = found.filter(|one| self.access.world.now() < one.expires_at).ok_or_else(refused)?;
        let user = store.users.find(reset.user.as_str())?.ok_or_else(refused)?;
        match self.may_forget(&user)? {
            true => Ok((reset, user)),
            false => Err(refused()),
        }
    }

    /// To whom a password lets in, and to nobody else: who is taken away at an identity provider must not come back by a password that
    /// nobody gave them. Who has one beside the provider's account comes in by it anyway; and owners have no other way.
    fn may_forget(&self, user: &User) -> Result<bool> {
        let is_somebodys = !user.disabled && user.has_address();
        Ok(is_somebodys && self.access.comes_by_own(user)?)
    }
}

fn refused() -> Error {
    Error::Forbidden {
        needs: "a link that is still good; ask for a new one".into(),
    }
}
