//! People: who is there, with which role; and the own account.

use crate::{
    access::{Access, check_person},
    sessions::Known,
};
use identity::Strength;
use std::sync::Arc;
use store::{Batch, Store, Stored};
use types::{Action, Actor, Assurance, Email, Error, Fact, Result, Role, Scope, Secret, User};

/// Words that an estimate takes into account, and bytes of one.
const KNOWN: usize = 4;
const KNOWN_BYTES: usize = 256;

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

    /// Adds an account for scripts: it has no password, and administrators make its tokens.
    pub async fn create_service(&self, actor: &Actor, name: &str, role: Role) -> Result<UserView> {
        actor.may(Action::ManageTeam)?;
        if role == Role::Owner {
            return Err(Error::invalid("role", "an owner is somebody who can sign in"));
        }
        may_give(actor, role)?;
        let name = check_person(name)?;
        let world = &self.access.world;
        let plain: String = name
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .take(30)
            .collect();
        let plain = match plain.trim_matches('-') {
            "" => "service",
            plain => plain,
        };
        let user = User {
            id: world.id(),
            organization: actor.organization.clone(),
            // RFC 2606: no mail ever goes there.
            email: format!("{plain}.{}@service.invalid", world.word(6)).parse()?,
            name,
            role,
            password_hash: String::new(),
            disabled: false,
            created_at: world.now(),
            last_seen_at: None,
            service: true,
        };
        let user = self.access.store.users.insert(user).await?.value;
        let fact = Fact::UserCreated {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(actor, fact).await;
        self.view(actor, user)
    }

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
        let email: Email = wish.email.parse()?;
        let name = check_person(&wish.name)?;
        self.access.passwords.check(&wish.password, &email).await?;
        let user = User {
            id: self.access.world.id(),
            organization: actor.organization.clone(),
            email,
            name,
            role: wish.role,
            password_hash: self.access.passwords.hash(&wish.password).await?,
            disabled: false,
            created_at: self.access.world.now(),
            last_seen_at: None,
            service: false,
        };
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
        if user.organization != actor.organization {
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
        self.tell_raised(actor, &user, before.role, user.role).await;
        self.view(actor, user)
    }

    /// A higher role is worth a notice of its own.
    async fn tell_raised(&self, actor: &Actor, user: &User, before: Role, role: Role) {
        if role > before {
            let fact = Fact::RoleRaised {
                user: user.id.clone(),
                email: user.email.to_string(),
                role: format!("{role:?}").to_lowercase(),
            };
            self.access.events.emit(actor, fact).await;
        }
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
            self.tell_raised(actor, &user, before, role).await;
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
            for identity in store.external_identities.list()?.iter().filter(|one| one.user == user.id) {
                batch = batch.remove(identity);
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

    /// Changes the own account. The present password must be right; guessing is slowed down as at signing in.
    pub async fn update_account(&self, known: &Known, change: AccountChange) -> Result<UserView> {
        let actor = &known.actor;
        let forbidden = |needs: &str| Error::Forbidden { needs: needs.into() };
        let id = actor
            .user()
            .ok_or_else(|| forbidden("somebody who is signed in; on the machine use `serverkit user`"))?;
        actor.reaches(Scope::Admin)?;
        // Who knows the password and has a stolen session must not lock the owner out.
        if change.password.is_some() && actor.assurance == Assurance::Stale {
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
            let address = actor.address.as_deref().unwrap_or_default();
            let attempt = self.access.throttle.attempt(user.email.as_str(), address)?;
            if !self.access.passwords.verify(&password.current, Some(&user.password_hash)).await? {
                return Err(Error::invalid("password.current", "is not the present password"));
            }
            attempt.succeeded();
            user.password_hash = self.access.passwords.hash(&password.new).await?;
        }
        if user.value == before {
            return self.view(actor, before);
        }
        let user = self.save(user, change.password.is_some(), Some(known)).await?;
        self.tell_changed(actor, &user).await;
        self.view(actor, user)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::tests::{Gate, PASSWORD, visitor},
        sessions::Further,
    };

    fn role(role: Role) -> UserChange {
        UserChange {
            role: Some(role),
            ..UserChange::default()
        }
    }
    fn disabled() -> UserChange {
        UserChange {
            disabled: Some(true),
            ..UserChange::default()
        }
    }
    fn wish(email: &str, role: Role) -> NewUser {
        NewUser {
            email: email.into(),
            name: "Bob".into(),
            role,
            password: PASSWORD.into(),
        }
    }

    #[tokio::test]
    async fn who_may_manage_people() {
        let (gate, owner) = Gate::claimed().await;
        let (admin_user, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
        let (_, developer) = gate.add(&admin, "developer@example.com", Role::Developer).await;
        let (viewer_user, viewer) = gate.add(&admin, "viewer@example.com", Role::Viewer).await;
        for actor in [&developer, &viewer] {
            assert!(matches!(gate.users.list(actor), Err(Error::Forbidden { .. })));
            assert!(matches!(
                gate.users.create(actor, wish("x@example.com", Role::Viewer)).await,
                Err(Error::Forbidden { .. })
            ));
            assert!(matches!(
                gate.users.update(actor, viewer_user.id.as_str(), role(Role::Admin)).await,
                Err(Error::Forbidden { .. })
            ));
            assert!(matches!(
                gate.users.remove(actor, viewer_user.id.as_str()).await,
                Err(Error::Forbidden { .. })
            ));
        }
        assert_eq!(gate.users.list(&admin).expect("lists").len(), 4);

        // Only owners make owners, and only owners touch them.
        let owner_id = owner.user().expect("a person").as_str();
        let password = UserChange {
            password: Some("another long secret".into()),
            ..UserChange::default()
        };
        assert!(matches!(
            gate.users.create(&admin, wish("x@example.com", Role::Owner)).await,
            Err(Error::Forbidden { .. })
        ));
        assert!(matches!(
            gate.users.update(&admin, admin_user.id.as_str(), role(Role::Owner)).await,
            Err(Error::Forbidden { .. })
        ));
        for change in [role(Role::Viewer), disabled(), password] {
            assert!(matches!(
                gate.users.update(&admin, owner_id, change).await,
                Err(Error::Forbidden { .. })
            ));
        }
        assert!(matches!(gate.users.remove(&admin, owner_id).await, Err(Error::Forbidden { .. })));
        let mut token = owner.clone();
        token.scopes = types::Scopes::up_to(Scope::Write);
        assert!(matches!(
            gate.users.create(&token, wish("x@example.com", Role::Viewer)).await,
            Err(Error::Forbidden { .. })
        ));

        // People of another organization are not there.
        let mut stranger = owner.clone();
        stranger.organization = gate.access.world.id();
        assert!(gate.users.list(&stranger).expect("lists").is_empty());
        assert!(matches!(
            gate.users.remove(&stranger, viewer_user.id.as_str()).await,
            Err(Error::NotFound { .. })
        ));
    }

    #[tokio::test]
    async fn the_last_owner_stays() {
        let (gate, owner) = Gate::claimed().await;
        let id = owner.user().expect("a person").as_str().to_owned();
        for change in [role(Role::Admin), disabled()] {
            let error = gate.users.update(&owner, &id, change).await.expect_err("the last");
            assert_eq!(
                error.to_string(),
                "ada@example.com is the last owner; make somebody else an owner first"
            );
        }
        assert!(matches!(gate.users.remove(&owner, &id).await, Err(Error::Busy { .. })));
        let (second, second_actor) = gate.add(&owner, "bob@example.com", Role::Owner).await;
        gate.users
            .update(&owner, second.id.as_str(), disabled())
            .await
            .expect("one is left");
        assert!(
            matches!(gate.users.remove(&owner, &id).await, Err(Error::Busy { .. })),
            "a disabled owner does not count"
        );
        let enabled = UserChange {
            disabled: Some(false),
            ..UserChange::default()
        };
        gate.users.update(&owner, second.id.as_str(), enabled).await.expect("enabled");

        // Both step down at once: one is too late.
        let (left, right) = tokio::join!(
            gate.users.update(&owner, &id, role(Role::Admin)),
            gate.users.update(&second_actor, second.id.as_str(), role(Role::Admin)),
        );
        assert_eq!(usize::from(left.is_ok()) + usize::from(right.is_ok()), 1);
    }

    #[tokio::test]
    async fn bad_wishes_are_refused() {
        let (gate, owner) = Gate::claimed().await;
        for (field, bad) in [
            (
                "email",
                NewUser {
                    email: "x".into(),
                    ..wish("", Role::Viewer)
                },
            ),
            (
                "name",
                NewUser {
                    name: "  ".into(),
                    ..wish("x@example.com", Role::Viewer)
                },
            ),
            (
                "name",
                NewUser {
                    name: "a\nb".into(),
                    ..wish("x@example.com", Role::Viewer)
                },
            ),
            (
                "name",
                NewUser {
                    name: "x".repeat(300),
                    ..wish("x@example.com", Role::Viewer)
                },
            ),
            (
                "password",
                NewUser {
                    password: "password123".into(),
                    ..wish("x@example.com", Role::Viewer)
                },
            ),
            (
                "password",
                NewUser {
                    password: "x@example.com".into(),
                    ..wish("x@example.com", Role::Viewer)
                },
            ),
        ] {
            let error = gate.users.create(&owner, bad).await.expect_err(field);
            assert!(
                matches!(&error, Error::Invalid { field: named, .. } if named == field),
                "{field}: {error}"
            );
        }
        let error = gate
            .users
            .create(&owner, wish("ADA@example.com", Role::Viewer))
            .await
            .expect_err("taken");
        assert_eq!(error.to_string(), "the user `ada@example.com` is taken");
        assert!(matches!(
            gate.users.update(&owner, "usr_x", role(Role::Admin)).await,
            Err(Error::NotFound { .. })
        ));
    }

    #[tokio::test]
    async fn a_new_password_ends_the_other_sessions() {
        let (gate, owner) = Gate::claimed().await;
        let sign_in = async |password: &str| {
            gate.sessions
                .create("ada@example.com", &password.into(), &Further::default(), &visitor("10.0.0.1"))
                .await
        };
        let (here, there) = (sign_in(PASSWORD).await.expect("in"), sign_in(PASSWORD).await.expect("in"));
        let known = gate.sessions.by_cookie(here.jwt.expose_str().expect("text"), None).expect("known");
        let change = |current: &str, new: &str| AccountChange {
            name: Some("Ada L.".into()),
            password: Some(PasswordChange {
                current: current.into(),
                new: new.into(),
            }),
        };
        let error = gate
            .users
            .update_account(&known, change("wrong", "a new long secret"))
            .await
            .expect_err("refused");
        assert!(
            matches!(&error, Error::Invalid { field, .. } if field == "password.current"),
            "{error}"
        );
        let error = gate
            .users
            .update_account(&known, change(PASSWORD, "short"))
            .await
            .expect_err("refused");
        assert!(matches!(&error, Error::Invalid { field, .. } if field == "password.new"), "{error}");
        assert_eq!(
            gate.access
                .member(&owner.organization, known.actor.user().expect("a person").as_str())
                .expect("there")
                .name,
            "Ada"
        );

        let user = gate
            .users
            .update_account(&known, change(PASSWORD, "a new long secret"))
            .await
            .expect("changed")
            .user;
        assert_eq!(user.name, "Ada L.");
        gate.sessions
            .by_cookie(here.jwt.expose_str().expect("text"), None)
            .expect("this one stays");
        assert!(
            gate.sessions.by_cookie(there.jwt.expose_str().expect("text"), None).is_err(),
            "the others end"
        );
        assert!(sign_in(PASSWORD).await.is_err());
        sign_in("a new long secret").await.expect("in");

        // Set by an administrator: all end.
        let password = UserChange {
            password: Some("a third long secret".into()),
            ..UserChange::default()
        };
        gate.users.update(&owner, user.id.as_str(), password).await.expect("changed");
        assert!(gate.sessions.by_cookie(here.jwt.expose_str().expect("text"), None).is_err());

        let machine = gate.sessions.by_machine(0).expect("known");
        assert!(matches!(
            gate.users.update_account(&machine, AccountChange::default()).await,
            Err(Error::Forbidden { .. })
        ));
    }

    #[tokio::test]
    async fn guessing_the_present_password_is_slowed_down() {
        let (gate, owner) = Gate::claimed().await;
        let known = Known {
            actor: owner,
            session: None,
            expires_at: None,
        };
        let guess = || AccountChange {
            name: None,
            password: Some(PasswordChange {
                current: "a wrong guess".into(),
                new: "a new long secret".into(),
            }),
        };
        for _ in 0..5 {
            assert!(matches!(
                gate.users.update_account(&known, guess()).await,
                Err(Error::Invalid { .. })
            ));
        }
        assert!(matches!(
            gate.users.update_account(&known, guess()).await,
            Err(Error::Throttled { .. })
        ));
    }

    #[tokio::test]
    async fn changing_nothing_says_nothing() {
        let (gate, owner) = Gate::claimed().await;
        let id = owner.user().expect("a person").as_str();
        let same = UserChange {
            name: Some("Ada".into()),
            role: Some(Role::Owner),
            disabled: Some(false),
            password: None,
        };
        gate.users.update(&owner, id, same).await.expect("as it is");
        assert_eq!(gate.facts(), ["panel_claimed"]);
    }
}
