//! What people do to their own account, and how strong a password is that they think of.

use super::{UserView, Users};
use crate::{access::check_person, sessions::Known};
use identity::Strength;
use types::{Assurance, Error, Result, Scope, Secret};

/// Words that an estimate takes into account, and bytes of one.
const KNOWN: usize = 4;
const KNOWN_BYTES: usize = 256;

/// What to change about the own account; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    pub name: Option<String>,
    pub password: Option<PasswordChange>,
}

/// Ends the other sessions.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    pub current: Secret,
    pub new: Secret,
}

impl Users {
    /// How strong a password is that somebody thinks of. Anybody may ask: it is for those who have no account yet too.
    pub async fn estimate(&self, password: &Secret, known: Vec<String>) -> Result<Strength> {
        if known.len() > KNOWN || known.iter().any(|word| word.len() > KNOWN_BYTES) {
            return Err(Error::invalid(
                "known",
                format!("must be at most {KNOWN} words of {KNOWN_BYTES} bytes"),
            ));
        }
        self.access.passwords.estimate(password, known).await
    }

    /// Changes the own account. The present password must be right; guessing is slowed down as at signing in.
    pub async fn update_account(&self, known: &Known, change: AccountChange) -> Result<UserView> {
        let actor = &known.actor;
        let forbidden = |needs: &str| Error::Forbidden { needs: needs.into() };
        let id = actor
            .user()
            .ok_or_else(|| forbidden("somebody who is signed in; on the machine use `serverkit user`"))?;
        actor.reaches(Scope::Admin)?;
        // Who knows the password and has a stolen session must not lock the owner out. Without a second factor the password is all there
        // is to show, and it comes with the change.
        let is_stale = actor.assurance == Assurance::Stale;
        if change.password.is_some() && is_stale && self.access.has_second_factor(id)? {
            return Err(Error::Unconfirmed);
        }
        let _team = self.access.team.lock().await;
        let mut user = self.access.member(&actor.organization, id.as_str())?;
        let before = user.value.clone();
        if let Some(name) = &change.name {
            user.name = check_person(name)?;
        }
        if let Some(password) = &change.password {
            let checked = self.access.passwords.check(&password.new, &user.email).await;
            checked.map_err(|error| match error {
                Error::Invalid { why, .. } => Error::invalid("password.new", why),
                other => other,
            })?;
            self.access
                .check_password(known, &user, "password.current", &password.current)
                .await?;
            user.password_hash = self.access.passwords.hash(&password.new).await?;
        }
        if user.value == before {
            return self.view(actor, before);
        }
        let user = self.save(user, change.password.is_some(), Some(known)).await?;
        self.tell_changed(actor, &user).await;
        self.view(actor, user)
    }
}
