//! Inviting people: a link that is good once and for a while, with which somebody makes their own account.

#[cfg(test)]
mod tests;

use crate::access::{Access, SignedIn, Visitor};
use crate::users::{NewUser, may_give};
use identity::token;
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored, acting};
use types::{
    Action, Actor, Asker, Email, Error, Fact, Invitation, Kind, Membership, Organization, Result, Role, Scope, Secret, Site, Slug, Who,
};

/// An address gets no second mail so soon.
const REST: Duration = Duration::from_secs(300);
/// Days that a link is good unless said.
const USUAL: u32 = 7;
const MOST: u32 = 30;
const DAY: Duration = Duration::from_secs(86_400);

/// Makes, shows and voids invitations; lets those who were invited in.
#[derive(Clone)]
pub struct Invitations {
    access: Arc<Access>,
}

/// Somebody to invite.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    pub email: String,
    pub role: Role,
    /// 1 to 30; `None`: 7.
    pub days: Option<u32>,
    /// The address gets a link of its own by mail.
    pub mailed: bool,
}

/// A new invitation, and the words of its links, which are not told again.
#[derive(Debug, Clone)]
pub struct Invited {
    pub invitation: Invitation,
    /// For who invites, to be handed on.
    pub word: String,
    /// For the mail, if one was wished for: nobody else is shown it.
    pub mailed: Option<String>,
}

/// What a link is for.
#[derive(Debug, Clone)]
pub struct Shown {
    pub invitation: Invitation,
    /// Its name.
    pub organization: Slug,
    /// Who is invited signs in and joins; all others make their account. `None`: not told to who has this link, which
    /// does not show whose the address is.
    pub has_account: Option<bool>,
}

/// What the invited one chooses.
#[derive(Debug, Clone)]
pub struct Acceptance {
    pub name: String,
    pub password: Secret,
}

impl Invitations {
    pub(crate) fn new(access: Arc<Access>) -> Invitations {
        Invitations { access }
    }

    /// Those of the organization that are still good, newest first.
    pub fn list(&self, actor: &Actor) -> Result<Vec<Invitation>> {
        actor.may(Action::ViewTeam)?;
        let now = self.access.world.now();
        let mut found: Vec<Invitation> = self
            .access
            .store
            .invitations
            .list()?
            .into_iter()
            .map(|stored| stored.value)
            .collect();
        found.retain(|one| one.organization == actor.organization && now < one.expires_at);
        found.reverse();
        Ok(found)
    }

    /// Fails with `Taken` when the address is somebody's in the organization, or has an invitation that is still good. Whether it has an
    /// account elsewhere is not told: who has one joins with it.
    pub async fn create(&self, actor: &Actor, wish: NewInvitation) -> Result<Invited> {
        actor.may(Action::ManageTeam)?;
        may_give(actor, wish.role)?;
        let days = wish.days.unwrap_or(USUAL);
        if !(1..=MOST).contains(&days) {
            return Err(Error::invalid("expires_in_days", format!("must be 1 to {MOST}")));
        }
        let email: Email = wish.email.parse()?;
        let (store, world) = (&self.access.store, &self.access.world);
        let now = world.now();
        let known = store.users.claimed(email.as_str())?;
        let role = known.map(|user| self.access.role_in(&user, &actor.organization)).transpose()?;
        if role.flatten().is_some() {
            return Err(Error::Taken {
                kind: Kind::User,
                name: email.to_string(),
                by: None,
            });
        }
        self.remove_ended().await?;
        let word = token::word(world);
        let mailed = wish.mailed.then(|| token::word(world));
        let invitation = Invitation {
            id: world.id(),
            organization: actor.organization.clone(),
            email,
            role: wish.role,
            hash: token::hash(&word),
            mailed_hash: mailed.as_deref().map(token::hash),
            mailed_at: mailed.is_some().then_some(now),
            by: actor.who.clone(),
            created_at: now,
            expires_at: now.plus(DAY * days),
        };
        let invitation = store.invitations.insert(invitation).await?.value;
        let fact = Fact::UserInvited {
            email: invitation.email.to_string(),
        };
        self.access.events.emit(actor, fact).await;
        Ok(Invited { invitation, word, mailed })
    }

    /// Voids a link.
    pub async fn revoke(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::ManageTeam)?;
        let store = &self.access.store;
        let found = store.invitations.find(id)?.filter(|one| one.organization == actor.organization);
        let found = found.ok_or_else(|| Error::not_found(Kind::Invitation, id))?;
        if found.role == Role::Owner {
            actor.may(Action::ManageOwners)?;
        }
        store.invitations.remove(id).await?;
        let fact = Fact::InvitationRevoked {
            email: found.email.to_string(),
        };
        self.access.events.emit(actor, fact).await;
        Ok(())
    }

    /// What a link is for. Anybody who has it may ask; all others get the same refusal, whatever is wrong with it.
    pub fn look(&self, word: &str, visitor: &Visitor) -> Result<Shown> {
        let attempt = self
            .access
            .throttle
            .attempt_link("invitation", visitor.address.as_deref().unwrap_or_default())?;
        let found = self.good(word)?;
        attempt.succeeded();
        let store = &self.access.store;
        Ok(Shown {
            organization: store.organizations.get(found.organization.as_str())?.value.name,
            has_account: match self.is_vouched(&found, word)? {
                true => Some(store.users.claimed(found.email.as_str())?.is_some()),
                false => None,
            },
            invitation: found.value,
        })
    }

    /// The word of another link, for a mail to the address: whoever has that one has shown that they read its mail. Anybody
    /// who has a link may ask. Fails with `Throttled` soon after the last one.
    pub async fn word_to_mail(&self, word: &str, visitor: &Visitor) -> Result<(Invitation, String)> {
        let access = &self.access;
        let attempt = access
            .throttle
            .attempt_link("invitation", visitor.address.as_deref().unwrap_or_default())?;
        let mut found = self.good(word)?;
        attempt.succeeded();
        let now = access.world.now();
        let waits = found.mailed_at.map(|last| REST.saturating_sub(now.since(last)));
        if let Some(wait) = waits.filter(|wait| !wait.is_zero()) {
            return Err(Error::Throttled {
                seconds: wait.as_secs() + 1,
            });
        }
        let mailed = token::word(&access.world);
        found.mailed_hash = Some(token::hash(&mailed));
        found.mailed_at = Some(now);
        let actor = Actor::system(found.organization.clone());
        match acting(Asker::from(&actor), access.store.invitations.save(found)).await {
            Ok(saved) => Ok((saved.value, mailed)),
            // Somebody asked at the same moment, or used it.
            Err(Error::Stale { .. } | Error::NotFound { .. }) => Err(refused()),
            Err(error) => Err(error),
        }
    }

    /// Lets somebody who has an account into the organization of an invitation to their own address. The link is void from
    /// then on. Fails with `NotFound` for whatever is wrong with it, also when it is somebody else's.
    pub async fn join(&self, actor: &Actor, word: &str) -> Result<Organization> {
        actor.reaches(Scope::Admin)?;
        let missing = || Error::not_found(Kind::Invitation, "of yours that is still good");
        let store = &self.access.store;
        let attempt = self
            .access
            .throttle
            .attempt_link("invitation", actor.address.as_deref().unwrap_or_default())?;
        let _team = self.access.team.lock().await;
        let invitation = self.good(word).map_err(|_| missing())?;
        let id = actor.user().ok_or_else(missing)?;
        let user = store.users.get(id.as_str())?;
        if user.email != invitation.email || user.service || self.access.role_in(&user, &invitation.organization)?.is_some() {
            return Err(missing());
        }
        attempt.succeeded();
        let membership = Membership {
            organization: invitation.organization.clone(),
            user: user.id.clone(),
            role: invitation.role,
            created_at: self.access.world.now(),
        };
        // It is told where it happened.
        let there = Actor {
            organization: invitation.organization.clone(),
            ..actor.clone()
        };
        let batch = Batch::new().remove(&invitation).insert(membership);
        match acting(Asker::from(&there), store.commit(batch)).await {
            Err(Error::NotFound { .. } | Error::Stale { .. }) => return Err(missing()),
            done => done?,
        }
        let fact = Fact::InvitationAccepted {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(&there, fact).await;
        Ok(store.organizations.get(invitation.organization.as_str())?.value)
    }

    /// Makes the account and signs it in. The link is void from then on: of two at once, one gets in.
    pub async fn accept(&self, word: &str, wish: Acceptance, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let attempt = access
            .throttle
            .attempt_link("invitation", visitor.address.as_deref().unwrap_or_default())?;
        let invitation = self.good(word)?;
        attempt.succeeded();
        if !self.is_vouched(&invitation, word)? {
            return Err(Error::Forbidden {
                needs: "the link that goes to this address by mail: a copied one does not show whose the address is, and only lets an \
                        account join that is there; where the panel sends no mail, those who run it make the account"
                    .into(),
            });
        }
        if access.store.users.claimed(invitation.email.as_str())?.is_some() {
            return Err(Error::busy(
                "this address has an account here: sign in with it, then open the link again",
            ));
        }
        let chosen = NewUser {
            email: invitation.email.to_string(),
            name: wish.name,
            role: invitation.role,
            password: wish.password,
        };
        let mut user = access.account_with_password(&invitation.organization, &chosen).await?;
        user.last_seen_at = Some(user.created_at);
        // Hashing took a while: who invites may have lost the right meanwhile.
        let _team = access.team.lock().await;
        self.good(word)?;
        let (session, secret) = access.new_session(&user, visitor)?;
        let batch = Batch::new().remove(&invitation).insert(user.clone()).insert(session.clone());
        let actor = access.actor(&user, visitor.address.clone());
        match acting(Asker::from(&actor), access.store.commit(batch)).await {
            Ok(()) => {}
            Err(Error::NotFound { .. } | Error::Stale { .. }) => return Err(refused()),
            Err(error) => return Err(error),
        }
        let fact = Fact::InvitationAccepted {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        access.events.emit(&actor, fact).await;
        // The first browser is known: a sign-in from any other is told as new.
        let (device, cookie) = access.note_device(&user, None, false, visitor).await?;
        let from_here = |session: &mut types::Session| {
            session.device = Some(device.id.clone());
            Ok(())
        };
        let session = access.store.sessions.update(session.id.as_str(), from_here).await?.value;
        let mut signed = access.let_in(user, session, &secret)?;
        signed.device = cookie;
        Ok(signed)
    }

    /// The invitation with this word, if it is in time and whoever made it may still make it.
    fn good(&self, word: &str) -> Result<Stored<Invitation>> {
        let found = self.access.store.invitations.claimed(&token::hash(word))?;
        let found = found.filter(|one| self.access.world.now() < one.expires_at).ok_or_else(refused)?;
        match self.may_still(&found)? {
            true => Ok(found),
            false => Err(refused()),
        }
    }

    /// Whether who has this word may make an account with the address, and be told that it has one: because the word came to them
    /// by mail, or because they have it from those who run the panel, who know its accounts. Others would learn from it who is in
    /// other organizations, and could take an address that is not theirs.
    fn is_vouched(&self, invitation: &Invitation, word: &str) -> Result<bool> {
        if invitation.mailed_hash.as_deref().is_some_and(|hash| token::matches(word, hash)) {
            return Ok(true);
        }
        let Some(host) = crate::organizations::host(&self.access.store)? else {
            return Ok(false);
        };
        if invitation.organization == host.id {
            return Ok(true);
        }
        match &invitation.by {
            Who::User { id, .. } | Who::Token { user: id, .. } => {
                let by = self.access.store.users.find(id.as_str())?;
                let role = by
                    .filter(|by| !by.disabled)
                    .map(|by| self.access.role_in(&by, &host.id))
                    .transpose()?;
                Ok(role.flatten() == Some(Role::Owner))
            }
            Who::Machine { .. } | Who::System => Ok(true),
        }
    }

    fn may_still(&self, invitation: &Invitation) -> Result<bool> {
        let id = match &invitation.by {
            Who::User { id, .. } | Who::Token { user: id, .. } => id,
            Who::Machine { .. } | Who::System => return Ok(true),
        };
        let by = self.access.store.users.find(id.as_str())?;
        let Some(by) = by.filter(|by| !by.disabled) else { return Ok(false) };
        let actor = self.access.actor_in(&by, &invitation.organization, None)?;
        let everywhere = Site::organization();
        Ok(actor.is_some_and(|actor| actor.is_permitted(Action::ManageTeam, &everywhere) && actor.covers(invitation.role)))
    }

    /// Takes those away whose time is over, so that their addresses are free.
    async fn remove_ended(&self) -> Result<()> {
        let store = &self.access.store;
        for one in store.invitations.list()? {
            if self.access.world.now() >= one.expires_at {
                store.invitations.remove(one.id.as_str()).await.or_else(crate::access::settled)?;
            }
        }
        Ok(())
    }
}

/// The same for a word that nobody has, one that was used, voided, or is too old.
fn refused() -> Error {
    Error::Forbidden {
        needs: "an invitation that is still good; ask for a new one".into(),
    }
}
