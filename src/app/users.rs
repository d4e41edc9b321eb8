//! People: who is there, with which role.

mod accounts;
mod own;
mod service_accounts;
#[cfg(test)]
mod tests;

use crate::{
    access::{Access, check_person},
    sessions::Known,
};
use std::sync::Arc;
use store::{Batch, Store, Stored};
use types::{Action, Actor, Error, Fact, Result, Role, Secret, User};

pub use own::{AccountChange, PasswordChange};

/// Adds, changes and removes people.
#[derive(Clone)]
pub struct Users {
    access: Arc<Access>,
}

/// A person, and whether they have a second factor.
#[derive(Debug, Clone)]
pub struct UserView {
    /// With the role in the organization that asks.
    pub user: User,
    pub second_factor: bool,
    /// The account belongs to another organization.
    pub guest: bool,
}

/// Fails with `Forbidden` unless the actor has every right of a role: who manages people gives no more than they have.
pub(crate) fn may_give(actor: &Actor, role: Role) -> Result<()> {
    if role == Role::Owner {
        actor.may(Action::ManageOwners)?;
    }
    if actor.covers(role) {
        return Ok(());
    }
    Err(Error::Forbidden {
        needs: "all the rights of the role that is given".into(),
    })
}

/// Somebody to add.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub role: Role,
    pub password: Secret,
}

/// What to change about somebody; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub name: Option<String>,
    pub role: Option<Role>,
    /// Ends their sessions; their tokens rest meanwhile.
    pub disabled: Option<bool>,
    /// Ends their sessions.
    pub password: Option<Secret>,
}

impl Users {
    pub(crate) fn new(access: Arc<Access>) -> Users {
        Users { access }
    }

    /// Everybody in the organization, oldest first.
    pub fn list(&self, actor: &Actor) -> Result<Vec<UserView>> {
        actor.may(Action::ViewTeam)?;
        let mut views = Vec::new();
        for user in self.access.store.users.list()? {
            if self.access.role_in(&user, &actor.organization)?.is_some() {
                views.push(self.view(actor, user.value)?);
            }
        }
        Ok(views)
    }

    fn view(&self, actor: &Actor, mut user: User) -> Result<UserView> {
        let second_factor = self.access.has_second_factor(&user.id)?;
        user.role = self.access.role_in(&user, &actor.organization)?.unwrap_or(user.role);
        user.email = self.access.shown_address(&user)?;
        Ok(UserView {
            guest: user.organization != actor.organization,
            user,
            second_factor,
        })
    }

    /// Adds somebody, who may sign in at once. Fails with `Taken` when the address has an account.
    pub async fn create(&self, actor: &Actor, wish: NewUser) -> Result<UserView> {
        actor.may(Action::ManageTeam)?;
        may_give(actor, wish.role)?;
        // Whether an address is taken would say who is in other organizations.
        let host = crate::organizations::host(&self.access.store)?;
        if host.is_some_and(|host| host.id != actor.organization) {
            return Err(Error::invalid(
                "email",
                "people come into this organization by invitation; accounts are made only in the one that runs the panel",
            ));
        }
        let user = self.access.account_with_password(&actor.organization, &wish).await?;
        self.insert(actor, user).await
    }

    async fn insert(&self, actor: &Actor, user: User) -> Result<UserView> {
        let user = self.access.store.users.insert(user).await?.value;
        let fact = Fact::UserCreated {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(actor, fact).await;
        self.view(actor, user)
    }

    /// Changes somebody. Owners are changed by owners only; the last one stays an owner and may sign in.
    pub async fn update(&self, actor: &Actor, id: &str, change: UserChange) -> Result<UserView> {
        actor.may(Action::ManageTeam)?;
        let _team = self.access.team.lock().await;
        let mut user = self.access.member(&actor.organization, id)?;
        let role = self.access.role_in(&user, &actor.organization)?;
        if role == Some(Role::Owner) {
            actor.may(Action::ManageOwners)?;
        }
        self.access.covers(actor, &user)?;
        if let Some(new) = change.role {
            may_give(actor, new)?;
        }
        let loses_owner = change.role.is_some_and(|role| role != Role::Owner) || change.disabled == Some(true);
        if role == Some(Role::Owner) && loses_owner {
            self.access.keep_an_owner(&user, &actor.organization)?;
        }
        let opens = change.password.is_some();
        if opens {
            self.access.may_open(actor, &user)?;
        }
        let more = change.name.is_some() || change.role.is_some() || change.disabled.is_some();
        if user.organization != actor.organization && (more || !opens) {
            return self.update_guest(actor, user.value, change).await;
        }
        if user.service && (change.password.is_some() || change.role == Some(Role::Owner)) {
            return Err(Error::invalid("password", "a service account has none; make a token for it"));
        }
        // An owner is somebody who can sign in with a password of the panel's own.
        if !user.service && !user.has_address() && (change.password.is_some() || change.role == Some(Role::Owner)) {
            let field = if change.password.is_some() { "password" } else { "role" };
            return Err(Error::invalid(
                field,
                "its identity provider made this account, and its person has not signed in by it yet: there is no address to sign in with",
            ));
        }
        if change.disabled == Some(true) {
            self.keep_owners_elsewhere(&user, &actor.organization)?;
        }
        let before = user.value.clone();
        if let Some(name) = &change.name {
            user.name = check_person(name)?;
        }
        user.role = change.role.unwrap_or(user.role);
        user.disabled = change.disabled.unwrap_or(user.disabled);
        if let Some(password) = &change.password {
            self.access.passwords.check(password, &user.email).await?;
            user.password_hash = self.access.passwords.hash(password).await?;
        }
        if user.value == before {
            return self.view(actor, before);
        }
        let ends_sessions = user.disabled || change.password.is_some();
        let user = self.save(user, ends_sessions, None).await?;
        self.tell_changed(actor, &user).await;
        if change.password.is_some() && actor.user() != Some(&user.id) {
            let fact = Fact::PasswordSet {
                user: user.id.clone(),
                email: user.email.to_string(),
            };
            self.access.events.emit(actor, fact).await;
        }
        self.access
            .tell_raised(actor, &user.id, user.email.to_string(), before.role, user.role)
            .await;
        self.view(actor, user)
    }

    /// Who is disabled is so in all organizations: none of the others may lose its last owner by it.
    fn keep_owners_elsewhere(&self, user: &User, here: &types::OrganizationId) -> Result<()> {
        for membership in self.access.store.memberships.list()? {
            if membership.user == user.id && membership.role == Role::Owner && membership.organization != *here {
                let kept = self.access.keep_an_owner(user, &membership.organization);
                kept.map_err(|_| {
                    Error::busy(format!(
                        "{} is the last owner of another organization and stays able to sign in",
                        user.email
                    ))
                })?;
            }
        }
        Ok(())
    }

    /// Of an account that belongs elsewhere, only the role here changes.
    async fn update_guest(&self, actor: &Actor, user: User, change: UserChange) -> Result<UserView> {
        if change.name.is_some() || change.disabled.is_some() || change.password.is_some() {
            self.access.must_be_at_home(actor, &user)?;
        }
        if let Some(role) = change.role {
            let key = format!("{}/{}", actor.organization, user.id);
            let set = |membership: &mut types::Membership| {
                membership.role = role;
                Ok(())
            };
            let before = self.access.role_in(&user, &actor.organization)?.unwrap_or(Role::Member);
            self.access.store.memberships.update(&key, set).await?;
            self.tell_changed(actor, &user).await;
            self.access.tell_raised(actor, &user.id, user.email.to_string(), before, role).await;
        }
        self.view(actor, user)
    }

    /// Removes somebody with their sessions and tokens. What they made stays.
    pub async fn remove(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::ManageTeam)?;
        let _team = self.access.team.lock().await;
        let user = self.access.member(&actor.organization, id)?;
        let organizations = self.access.store.organizations.list()?;
        let leaves = |organization: &types::OrganizationId| user.organization == actor.organization || *organization == actor.organization;
        for organization in organizations.iter().filter(|organization| leaves(&organization.id)) {
            if self.access.role_in(&user, &organization.id)? == Some(Role::Owner) {
                actor.may(Action::ManageOwners)?;
                self.access.keep_an_owner(&user, &organization.id)?;
            }
        }
        self.access.covers(actor, &user)?;
        let store = &self.access.store;
        if user.organization != actor.organization {
            self.remove_guest(actor, &user).await?;
            let fact = Fact::UserRemoved {
                user: user.id.clone(),
                email: user.email.to_string(),
            };
            self.access.events.emit(actor, fact).await;
            return Ok(());
        }
        retry(store, || {
            let mut batch = Batch::new().remove(&store.users.get(id)?);
            batch = self.access.end_sessions(batch, &user.id, None)?;
            batch = self.forget_rights(batch, &user.id, None)?;
            for membership in store.memberships.list()?.iter().filter(|membership| membership.user == user.id) {
                batch = batch.remove(membership);
            }
            for device in self.access.devices_of(&user.id)? {
                batch = batch.remove(&device);
            }
            if let Some(factor) = store.second_factors.find(user.id.as_str())? {
                batch = batch.remove(&factor);
            }
            if let Some(known) = store.known_countries.find(user.id.as_str())? {
                batch = batch.remove(&known);
            }
            if let Some(reset) = store.password_resets.find(user.id.as_str())? {
                batch = batch.remove(&reset);
            }
            for identity in self.access.known_as(&user.id)? {
                batch = batch.remove(&identity);
            }
            if let Some(known) = store.scim_users.claimed(&format!("user/{}", user.id))? {
                batch = batch.remove(&known);
            }
            for mut group in store.scim_groups.list()? {
                if group.members.contains(&user.id) {
                    group.members.retain(|member| *member != user.id);
                    batch = batch.save(group);
                }
            }
            for passkey in self.access.passkeys_of(&user.id)? {
                batch = batch.remove(&passkey);
            }
            for token in store.tokens.list()?.iter().filter(|token| token.user == user.id) {
                batch = batch.remove(token);
            }
            Ok((batch, ()))
        })
        .await?;
        let fact = Fact::UserRemoved {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(actor, fact).await;
        Ok(())
    }

    /// Takes somebody whose account belongs elsewhere out of this organization.
    async fn remove_guest(&self, actor: &Actor, user: &User) -> Result<()> {
        let store = &self.access.store;
        retry(store, || {
            let key = format!("{}/{}", actor.organization, user.id);
            let mut batch = Batch::new().remove(&store.memberships.get(&key)?);
            batch = self.forget_rights(batch, &user.id, Some(&actor.organization))?;
            for session in self.access.sessions_of(&user.id)? {
                if session.organization == actor.organization {
                    batch = batch.remove(&session);
                }
            }
            for token in store.tokens.list()? {
                if token.user == user.id && token.organization == actor.organization {
                    batch = batch.remove(&token);
                }
            }
            Ok((batch, ()))
        })
        .await
    }

    /// Takes somebody out of teams and grants, of one organization or of all.
    fn forget_rights(&self, mut batch: Batch, user: &types::UserId, only: Option<&types::OrganizationId>) -> Result<Batch> {
        let store = &self.access.store;
        let is_here = |organization: &types::OrganizationId| only.is_none_or(|only| only == organization);
        for grant in store.grants.list()? {
            if is_here(&grant.organization) && grant.to == types::Grantee::User(user.clone()) {
                batch = batch.remove(&grant);
            }
        }
        for mut team in store.teams.list()? {
            if is_here(&team.organization) && team.members.remove(user) {
                batch = batch.save(team);
            }
        }
        Ok(batch)
    }

    /// Saves somebody, and with it ends their sessions but the one of `keep`.
    async fn save(&self, user: Stored<User>, ends_sessions: bool, keep: Option<&Known>) -> Result<User> {
        let store = &self.access.store;
        let kept = keep.and_then(|known| known.session.as_ref());
        let wish = user.value;
        retry(store, || {
            // Signing in and renewing note the time in the record; that is no conflict.
            let mut user = store.users.get(wish.id.as_str())?;
            let last_seen_at = user.last_seen_at;
            user.value = wish.clone();
            user.last_seen_at = last_seen_at;
            let after = user.value.clone();
            let mut batch = Batch::new().save(user);
            if ends_sessions {
                batch = self.access.end_sessions(batch, &wish.id, kept)?;
                batch = self.access.end_trust(batch, &wish.id)?;
                // A link for a new password that is under way is for the one before.
                if let Some(reset) = store.password_resets.find(wish.id.as_str())? {
                    batch = batch.remove(&reset);
                }
            }
            Ok((batch, after))
        })
        .await
    }

    async fn tell_changed(&self, actor: &Actor, user: &User) {
        let fact = Fact::UserChanged {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(actor, fact).await;
    }
}

/// Commits what `build` makes, and builds it again when a session was renewed or ended in between.
pub(crate) async fn retry<T>(store: &Store, build: impl Fn() -> Result<(Batch, T)>) -> Result<T> {
    for _ in 0..50 {
        let done = match build() {
            Ok((batch, made)) => store.commit(batch).await.map(|()| made),
            Err(error) => Err(error),
        };
        match done {
            Err(
                Error::Stale { .. }
                | Error::NotFound {
                    kind:
                        types::Kind::Session
                        | types::Kind::Token
                        | types::Kind::Grant
                        | types::Kind::Team
                        | types::Kind::Device
                        | types::Kind::SecondFactor
                        | types::Kind::Passkey
                        | types::Kind::PasswordReset
                        | types::Kind::ExternalIdentity,
                    ..
                },
            ) => {}
            done => return done,
        }
    }
    Err(Error::busy("the account is being used by too many at once; try again"))
}
