//! What the services around signing in share: the store, passwords, the signing key, the brake, and the rules of
//! sessions and of who is the last owner.

use crate::{
    events::Events,
    ground::Ground,
    second_factors::Standing,
    sessions::{Away, Landed, Seen},
    sight::rights_everywhere,
};
use identity::{Attempt, Breached, Ceremonies, Claims, Countries, Passwords, Pending, Signer, Throttle, token};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use store::{Batch, Store, Stored};
use telemetry::Redactor;
use tokio::sync::Mutex;
use types::{
    Action, Actor, Assurance, DeviceId, Error, ExternalIdentity, Fact, Grant, GrantedRole, Grantee, Held, Kind, Membership, Organization,
    OrganizationId, Result, Role, Scopes, Secret, Session, Site, Time, User, UserId, Who, World,
};

/// How long a signed cookie is good; then it is renewed with the refresh cookie.
const JWT: Duration = Duration::from_secs(600);
/// How long somebody may take at an identity provider.
const AWAY: Duration = Duration::from_secs(600);
/// What a browser does at once: from the answer of a SAML provider to the page that signs in with it.
const LANDED: Duration = Duration::from_secs(120);
/// Characters of a person's name.
const NAME: usize = 100;
/// What is kept of what a browser calls itself.
const AGENT: usize = 300;

pub(crate) struct Access {
    pub store: Store,
    pub world: World,
    pub events: Events,
    pub redactor: Redactor,
    pub passwords: Passwords,
    pub throttle: Throttle,
    pub ceremonies: Ceremonies,
    pub countries: Countries,
    /// Sign-ins at identity providers, by their state.
    pub away: Pending<Away>,
    /// Logout tokens that came, so that each counts once.
    pub logouts: Seen,
    /// Answers of SAML whose browser has not come for them yet.
    pub landed: Pending<Landed>,
    /// Where browsers reach the panel, beside 443.
    pub ports: Vec<u16>,
    signer: Signer,
    /// Held while people change, so that two owners cannot stop being the last one at the same time.
    pub team: Mutex<()>,
}

/// Where somebody who is not known yet comes from.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    pub address: Option<String>,
    /// What the browser calls itself.
    pub agent: String,
    /// The cookie by which a browser is known again.
    pub device: Option<String>,
    /// The `Origin` header.
    pub origin: Option<String>,
}

impl Visitor {
    /// What the browser calls itself, as far as it is kept.
    pub(crate) fn short_agent(&self) -> String {
        self.agent.chars().filter(|c| !c.is_control()).take(AGENT).collect()
    }
}

/// What a browser gets when it signs in or renews.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub user: User,
    pub session: Session,
    /// For the cookie `__Host-serverkit_session`.
    pub jwt: Secret,
    pub jwt_expires_at: Time,
    /// For the cookie `serverkit_refresh`; good until the session's `expires_at`.
    pub refresh: Secret,
    /// For the cookie `serverkit_device`, when the browser was not known.
    pub device: Option<Secret>,
    pub standing: Standing,
    /// The one they act in.
    pub organization: Organization,
    /// What they may do somewhere in it.
    pub rights: Vec<Action>,
    /// What they may do everywhere in it.
    pub rights_everywhere: Vec<Action>,
}

/// The parts of `identity` put together over the panel's ground.
pub(crate) fn identity_parts(ground: &Ground) -> Result<Arc<Access>> {
    let ports = vec![ground.options.panel_port, ground.options.https_port];
    let mut access = Access::open(ground.store.clone(), ground.world.clone(), ground.events.clone(), ports)?;
    let breached = ground.options.breached_passwords.as_deref().map(Breached::open).transpose()?;
    access.passwords = access.passwords.against(breached);
    access.redactor = ground.redactor.clone();
    Ok(Arc::new(access))
}

impl Access {
    /// Reads the signing key beside the state, or makes it.
    pub fn open(store: Store, world: World, events: Events, ports: Vec<u16>) -> Result<Access> {
        Ok(Access {
            signer: Signer::load_or_create(&store.dir().join("session.key"), world.clone())?,
            passwords: Passwords::new(world.clone()),
            throttle: Throttle::new(world.clone()),
            ceremonies: Ceremonies::new(world.clone()),
            countries: Countries::default(),
            away: Pending::new(world.clone(), AWAY),
            logouts: Seen::default(),
            landed: Pending::new(world.clone(), LANDED),
            ports,
            team: Mutex::default(),
            redactor: Redactor::default(),
            store,
            world,
            events,
        })
    }

    /// The organization that claimed the panel, once one has.
    pub fn organization(&self) -> Result<Option<Organization>> {
        Ok(crate::organizations::host(&self.store)?.map(|stored| stored.value))
    }

    /// Begins an attempt at the password of an account that is called so. A browser that its person has signed in with before counts by
    /// itself: strangers who guess, from however many addresses or from its own, do not keep it out.
    pub(crate) fn attempt(&self, account: &str, browser: Option<&DeviceId>, address: Option<&str>) -> Result<Attempt> {
        let address = address.unwrap_or_default();
        match browser {
            Some(browser) => self.throttle.attempt_known(account, browser.as_str(), address),
            None => self.throttle.attempt(account, address),
        }
    }

    /// Somebody who is signed in with this record in its own organization, of whom no more is asked; without what was
    /// granted to them beside their role.
    pub fn actor(&self, user: &User, address: Option<String>) -> Actor {
        let hosts = self.organization().ok().flatten().is_some_and(|own| own.id == user.organization);
        Actor {
            who: Who::User {
                id: user.id.clone(),
                email: user.email.to_string(),
            },
            organization: user.organization.clone(),
            role: user.role,
            held: Vec::new(),
            scopes: Scopes::all(),
            about: None,
            spots: None,
            hosts,
            assurance: Assurance::Full,
            address,
        }
    }

    /// The same in any organization, with all rights; `None` when they are not in it.
    pub fn actor_in(&self, user: &User, organization: &OrganizationId, address: Option<String>) -> Result<Option<Actor>> {
        let Some(role) = self.role_in(user, organization)? else {
            return Ok(None);
        };
        let hosts = self.organization()?.is_some_and(|own| own.id == *organization);
        Ok(Some(Actor {
            organization: organization.clone(),
            role,
            held: self.held(&user.id, organization)?,
            hosts,
            ..self.actor(user, address)
        }))
    }

    /// A higher role is worth a notice of its own, whoever gave it.
    pub async fn tell_raised(&self, actor: &Actor, user: &UserId, email: String, before: Role, role: Role) {
        if role > before {
            let fact = Fact::RoleRaised {
                user: user.clone(),
                email,
                role: format!("{role:?}").to_lowercase(),
            };
            self.events.emit(actor, fact).await;
        }
    }

    /// Their role in an organization, their own or another; `None`: they are not in it.
    pub fn role_in(&self, user: &User, organization: &OrganizationId) -> Result<Option<Role>> {
        if user.organization == *organization {
            return Ok(Some(user.role));
        }
        let found = self.store.memberships.find(&format!("{organization}/{}", user.id))?;
        Ok(found.map(|membership| membership.role))
    }

    /// What was granted to somebody and to their teams, and what the groups of their identity providers give. It is asked at each request: what
    /// other organizations grant is not read, or its time would tell how much that is.
    pub fn held(&self, user: &UserId, organization: &OrganizationId) -> Result<Vec<Held>> {
        let mut held = self.held_by_groups(user, organization)?;
        let grants = self.store.grants.claiming(&format!("{organization}/"))?;
        if grants.is_empty() {
            return Ok(held);
        }
        let mut teams = self.store.teams.claiming(&format!("{organization}/"))?;
        teams.retain(|team| team.members.contains(user));
        let is_theirs = |grant: &Grant| match &grant.to {
            Grantee::User(id) => id == user,
            Grantee::Team(id) => teams.iter().any(|team| team.id == *id),
        };
        for grant in grants {
            if is_theirs(&grant) {
                held.push(Held {
                    rights: self.rights_of(&grant.role)?,
                    spot: grant.value.spot,
                });
            }
        }
        Ok(held)
    }

    /// By the rules of now: one that was changed, or whose provider is off, gives nothing from that moment. It is asked at each request, so
    /// only what is this person's is read, and only where a rule gives something.
    fn held_by_groups(&self, user: &UserId, organization: &OrganizationId) -> Result<Vec<Held>> {
        let mut providers = self.store.identity_providers.list()?;
        providers.retain(|one| one.enabled && one.organization == *organization && one.groups.iter().any(|rule| rule.given.is_some()));
        if providers.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.known_as(user)?;
        let mut held = Vec::new();
        for provider in providers {
            let there = known.iter().filter(|known| known.provider == provider.id);
            let mut groups: Vec<String> = there.flat_map(|known| &known.groups).cloned().collect();
            for rule in provider.groups.iter().filter(|rule| rule.given.is_some()) {
                if self.is_put_into(&provider.id, &rule.group, user)? {
                    groups.push(rule.group.clone());
                }
            }
            for given in provider.given(&groups) {
                held.push(Held {
                    rights: self.rights_of(&given.role)?,
                    spot: given.spot.clone(),
                });
            }
        }
        Ok(held)
    }

    /// Who somebody is at identity providers.
    pub(crate) fn known_as(&self, user: &UserId) -> Result<Vec<Stored<ExternalIdentity>>> {
        self.store.external_identities.claiming(&format!("user/{user}/"))
    }

    /// The rights that a granted role has; none when the role is gone.
    pub fn rights_of(&self, role: &GrantedRole) -> Result<BTreeSet<Action>> {
        Ok(match role {
            GrantedRole::BuiltIn(role) => Action::ALL.into_iter().filter(|action| action.needs().0 <= *role).collect(),
            GrantedRole::Custom(id) => self
                .store
                .roles
                .find(id.as_str())?
                .map(|role| role.value.rights)
                .unwrap_or_default(),
        })
    }

    /// Fails with `Forbidden` unless the actor may all that somebody may: who manages people gains nothing by it.
    pub fn covers(&self, actor: &Actor, user: &User) -> Result<()> {
        let role = self.role_in(user, &actor.organization)?.unwrap_or(Role::Member);
        let held = self.held(&user.id, &actor.organization)?;
        let may = |right: &Action| !right.is_grantable() || actor.is_permitted(*right, &Site::organization());
        if actor.covers(role) && held.iter().flat_map(|held| &held.rights).all(may) {
            return Ok(());
        }
        Err(Error::Forbidden {
            needs: "all the rights that this person has".into(),
        })
    }

    /// Whether somebody is an owner of any organization: they sign in by what is the panel's own.
    pub fn owns_some(&self, user: &User) -> Result<bool> {
        let owns = |one: &Stored<Membership>| one.user == user.id && one.role == Role::Owner;
        Ok(user.role == Role::Owner || self.store.memberships.list()?.iter().any(owns))
    }

    /// Whether what is the panel's own lets somebody in, a password or a passkey: not who only ever came by an identity provider, else
    /// they would come back by it when the provider takes them away. Owners have no other way.
    pub fn comes_by_own(&self, user: &User) -> Result<bool> {
        Ok(user.has_password() || self.owns_some(user)?)
    }

    /// Somebody who is in the organization.
    pub fn member(&self, organization: &OrganizationId, id: &str) -> Result<Stored<User>> {
        let missing = || Error::not_found(Kind::User, id);
        let found = self.store.users.find(id)?;
        // Asked whether the account is there or not: else the time would tell who has one elsewhere.
        let guest = self.store.memberships.find(&format!("{organization}/{id}"))?;
        let found = found.ok_or_else(missing)?;
        match guest.is_some() || found.organization == *organization {
            true => Ok(found),
            false => Err(missing()),
        }
    }

    /// Fails with `Forbidden` when the account belongs to another organization, which alone changes it.
    pub fn must_be_at_home(&self, actor: &Actor, user: &User) -> Result<()> {
        if user.organization == actor.organization {
            return Ok(());
        }
        Err(Error::Forbidden {
            needs: "the organization that the account belongs to; here only the role can be changed".into(),
        })
    }

    /// For what would let others in as somebody: another password, no second factor. Fails with `Forbidden` when the account belongs to
    /// another organization, or is in others too, where its own has nothing to say. Owners of the organization that runs the panel may.
    pub fn may_open(&self, actor: &Actor, user: &User) -> Result<()> {
        if actor.is_permitted(Action::ManageOrganizations, &Site::organization()) {
            return Ok(());
        }
        self.must_be_at_home(actor, user)?;
        match self.store.memberships.list()?.iter().any(|one| one.user == user.id) {
            false => Ok(()),
            true => Err(Error::Forbidden {
                needs: "the person themselves, by a link for a forgotten password, or an owner of the organization that runs the panel: \
                        the account reaches further than this organization"
                    .into(),
            }),
        }
    }

    /// Fails with `Busy` unless somebody else is left who can sign in as an owner of the organization. Call with `team`
    /// held.
    pub fn keep_an_owner(&self, user: &User, organization: &OrganizationId) -> Result<()> {
        for other in self.store.users.list()? {
            let is_other = other.id != user.id && !other.disabled && !other.service;
            if is_other && self.role_in(&other, organization)? == Some(Role::Owner) {
                return Ok(());
            }
        }
        Err(Error::busy(format!(
            "{} is the last owner; make somebody else an owner first",
            user.email
        )))
    }

    pub fn sessions_of(&self, user: &UserId) -> Result<Vec<Stored<Session>>> {
        let mut sessions = self.store.sessions.list()?;
        sessions.retain(|session| session.user == *user);
        Ok(sessions)
    }

    /// Adds the end of a person's sessions to `batch`, of all but `kept`.
    pub fn end_sessions(&self, mut batch: Batch, user: &UserId, kept: Option<&Session>) -> Result<Batch> {
        for session in self.sessions_of(user)? {
            if kept.is_none_or(|kept| kept.id != session.id) {
                batch = batch.remove(&session);
            }
        }
        Ok(batch)
    }

    /// Notes that somebody was here now.
    pub async fn see(&self, user: User) -> Result<User> {
        let now = self.world.now();
        let seen = |user: &mut User| {
            user.last_seen_at = Some(now);
            Ok(())
        };
        Ok(self.store.users.update(user.id.as_str(), seen).await?.value)
    }

    /// A new session, not saved yet, and its refresh secret.
    pub fn new_session(&self, user: &User, visitor: &Visitor) -> Result<(Session, String)> {
        let now = self.world.now();
        let word = token::word(&self.world);
        let session = Session {
            id: self.world.id(),
            organization: user.organization.clone(),
            user: user.id.clone(),
            secret_hash: token::hash(&word),
            next_hashes: Vec::new(),
            retired_hashes: Vec::new(),
            rotated_at: now,
            csrf: token::word(&self.world),
            address: visitor.address.clone().unwrap_or_default(),
            agent: visitor.short_agent(),
            created_at: now,
            last_used_at: now,
            expires_at: self.security()?.session_end(now, now),
            confirmed_at: None,
            device: None,
            provider: None,
            provider_session: None,
            provider_until: None,
        };
        Ok((session, word))
    }

    /// What lets a browser in with this session, whose record is saved.
    pub fn let_in(&self, mut user: User, session: Session, word: &str) -> Result<SignedIn> {
        user.role = self.role_in(&user, &session.organization)?.unwrap_or(Role::Member);
        let jwt_expires_at = self.world.now().plus(JWT);
        let claims = Claims {
            session: session.id.clone(),
            user: user.id.clone(),
            organization: session.organization.clone(),
            role: user.role,
            expires: jwt_expires_at,
        };
        let actor = self.actor_in(&user, &session.organization, None)?;
        Ok(SignedIn {
            standing: self.standing(&user, Some(&session))?,
            organization: self.store.organizations.get(session.organization.as_str())?.value,
            rights: actor.as_ref().map(Actor::rights).unwrap_or_default(),
            rights_everywhere: actor.as_ref().map(rights_everywhere).unwrap_or_default(),
            device: None,
            jwt: self.signer.jwt(&claims)?,
            jwt_expires_at,
            refresh: format!("{}.{word}", session.id).into(),
            user,
            session,
        })
    }

    /// Moves a session's end on, as at each renewal, but not beyond its longest life.
    pub fn extend(&self, session: &mut Session) -> Result<()> {
        session.last_used_at = self.world.now();
        session.expires_at = self.end_of(session)?;
        Ok(())
    }

    /// When a session ends by the rules of now: they may have become shorter since it was renewed. It does not outlive the one that
    /// the identity provider has with them, where that says when.
    pub fn end_of(&self, session: &Session) -> Result<Time> {
        let end = self.security()?.session_end(session.created_at, session.last_used_at);
        Ok(session.provider_until.map_or(end, |until| until.min(end)))
    }

    pub fn check_jwt(&self, jwt: &str) -> Result<Claims> {
        self.signer.check(jwt)
    }
}

/// Somebody else has removed it already: as wanted.
pub(crate) fn settled(error: Error) -> Result<()> {
    match error {
        Error::NotFound { .. } | Error::Stale { .. } => Ok(()),
        error => Err(error),
    }
}

/// A person's name, trimmed. Fails with `Invalid` when there is nothing to read in it, or far too much.
pub(crate) fn check_name(field: &str, name: &str, longest: usize) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > longest || name.chars().any(char::is_control) {
        return Err(Error::invalid(field, format!("must be 1 to {longest} characters on one line")));
    }
    Ok(name.to_owned())
}

pub(crate) fn check_person(name: &str) -> Result<String> {
    check_name("name", name, NAME)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        identity_providers::IdentityProviders, invitations::Invitations, passkeys::Passkeys, rights::Rights, second_factors::SecondFactors,
        security::SecurityService, sessions::Sessions, setup::Setup, tokens::Tokens, users::Users,
    };
    use std::sync::atomic::{AtomicI64, Ordering};
    use types::{Clock, Event, SystemChance};

    /// A clock that a test moves.
    pub struct Hand(AtomicI64);
    impl Clock for Hand {
        fn now(&self) -> Time {
            Time(self.0.load(Ordering::Relaxed))
        }
    }
    impl Hand {
        pub fn forward(&self, span: Duration) {
            self.0
                .fetch_add(i64::try_from(span.as_millis()).expect("a short time"), Ordering::Relaxed);
        }
    }

    impl Hand {
        pub fn back(&self, span: Duration) {
            self.0
                .fetch_sub(i64::try_from(span.as_millis()).expect("a short time"), Ordering::Relaxed);
        }
    }

    pub const PASSWORD: &str = "correct horse battery";

    /// The services around signing in over a real store, with an owner `ada@example.com` once [`Gate::claim`] ran.
    pub struct Gate {
        pub setup: Setup,
        pub sessions: Sessions,
        pub users: Users,
        pub tokens: Tokens,
        pub rights: Rights,
        pub organizations: crate::organizations::Organizations,
        pub invitations: Invitations,
        pub second_factors: SecondFactors,
        pub passkeys: Passkeys,
        pub identity_providers: IdentityProviders,
        pub security: SecurityService,
        pub access: Arc<Access>,
        pub clock: Arc<Hand>,
        _dir: tempfile::TempDir,
    }

    impl Gate {
        pub fn open() -> Gate {
            let dir = tempfile::tempdir().expect("a temp dir");
            let clock = Arc::new(Hand(AtomicI64::new(1_800_000_000_000)));
            let world = World::new(clock.clone(), Arc::new(SystemChance));
            let store = Store::open(dir.path(), world.clone()).expect("opens");
            let events = Events::new(store.clone(), world.clone());
            let access = Arc::new(Access::open(store, world, events, vec![9443]).expect("opens"));
            Gate {
                setup: Setup::new(access.clone()),
                sessions: Sessions::new(access.clone()),
                users: Users::new(access.clone()),
                tokens: Tokens::new(access.clone()),
                rights: Rights::new(access.clone()),
                organizations: crate::organizations::Organizations::new(access.clone()),
                invitations: Invitations::new(access.clone()),
                second_factors: SecondFactors::new(access.clone()),
                passkeys: Passkeys::new(access.clone()),
                identity_providers: IdentityProviders::new(access.clone()),
                security: SecurityService::new(access.clone()),
                access,
                clock,
                _dir: dir,
            }
        }
        /// One with the owner in it.
        pub async fn claimed() -> (Gate, Actor) {
            let gate = Gate::open();
            let user = gate.setup.claim_on_machine(0, crate::setup::tests::ada()).await.expect("claimed");
            let actor = gate.access.actor(&user, Some("10.0.0.1".into()));
            (gate, actor)
        }
        /// Adds somebody.
        pub async fn add(&self, by: &Actor, email: &str, role: Role) -> (User, Actor) {
            let wish = crate::users::NewUser {
                email: email.into(),
                name: "Somebody".into(),
                role,
                password: PASSWORD.into(),
            };
            let user = self.users.create(by, wish).await.expect("added").user;
            let actor = self.access.actor(&user, None);
            (user, actor)
        }
        /// What happened, in its order also within a millisecond.
        pub fn events(&self) -> Vec<Event> {
            let mut events = self.access.store.events.list().expect("lists");
            events.sort_by_key(|event| event.revision);
            events.into_iter().map(|event| event.value).collect()
        }
        /// The kind of each event.
        pub fn facts(&self) -> Vec<String> {
            self.events().iter().map(kind).collect()
        }
    }

    fn kind(event: &Event) -> String {
        let fact = serde_json::to_value(&event.fact).expect("JSON");
        fact["kind"].as_str().expect("a kind").to_owned()
    }

    pub fn visitor(address: &str) -> Visitor {
        Visitor {
            address: Some(address.into()),
            agent: "Test\n/1.0".into(),
            device: None,
            origin: Some("https://localhost:9443".into()),
        }
    }
}
