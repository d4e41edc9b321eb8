//! Signing in and out, and telling who somebody is: by cookie, by token, or by being on the machine.

mod asking;
mod back_channel;
mod external;
mod own;
mod renewal;
mod saml;
#[cfg(test)]
mod tests;

use crate::{access::Access, passkeys::PasskeyShown, second_factors::Standing};
use identity::token;
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use store::{Batch, Stored};
use types::{Actor, Error, Fact, Kind, Organization, ReplacedSecret, Result, Role, Secret, Session, Time, User, Who, report};

pub use crate::access::{SignedIn, Visitor};
pub use asking::{ProviderAsker, ProviderAskerReport};
pub(crate) use back_channel::Seen;
pub(crate) use external::Away;
pub use external::Back;
pub(crate) use saml::Landed;

/// A token's `last_used_at` is not written more often.
const USE_NOTED: Duration = Duration::from_secs(60);

/// Signs in and out, and knows people.
#[derive(Clone)]
pub struct Sessions {
    access: Arc<Access>,
}

/// Somebody who is known.
#[derive(Debug, Clone)]
pub struct Known {
    pub actor: Actor,
    /// The browser's session; `None` for tokens and on the machine.
    pub session: Option<Session>,
    /// When a token ends.
    pub expires_at: Option<Time>,
}

/// Who is asking, for themselves.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// The person, or the person behind the token; `None` on the machine itself.
    pub user: Option<User>,
    /// The one they act in.
    pub organization: Organization,
    pub actor: Actor,
    /// Empty for tokens and on the machine.
    pub csrf: String,
    /// When the session or the token ends.
    pub expires_at: Option<Time>,
    /// `None` on the machine.
    pub standing: Option<Standing>,
}

/// What somebody who wants in shows beside the password.
#[derive(Debug, Clone, Default)]
pub struct Further {
    /// Of the authenticator app, or a recovery code.
    pub code: Option<String>,
    /// In place of the code.
    pub passkey: Option<PasskeyShown>,
    /// Asks for no code in this browser for a while; counts only with a code.
    pub remember: bool,
}

/// How somebody got in.
#[derive(Default)]
struct Entry {
    /// When a second factor was shown.
    confirmed_at: Option<Time>,
    /// The browser needs no code for a while.
    remember: bool,
    provider: Option<types::IdentityProviderId>,
    /// What the provider calls its session.
    provider_session: Option<String>,
    /// When that ends at the latest.
    provider_until: Option<Time>,
}

/// A signed-in browser of the one who asks.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    pub session: Session,
    /// The one that asks.
    pub current: bool,
    /// When it ends unless it is used.
    pub ends_at: Time,
    /// Where its address is: two letters, if a database says so.
    pub country: Option<String>,
}

impl Sessions {
    pub(crate) fn new(access: Arc<Access>) -> Sessions {
        Sessions { access }
    }

    /// Signs in. A wrong password and an unknown or disabled person fail with the same words after the same time;
    /// too many tries fail with `Throttled`. Who has a second factor shows it too, unless the browser is remembered:
    /// without a code it fails with `SecondFactorNeeded`, and the same comes again with one.
    pub async fn create(&self, email: &str, password: &Secret, further: &Further, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let typed = email;
        let email = email.parse::<types::Email>().map(String::from).ok();
        let user = match &email {
            Some(email) => access.store.users.claimed(email)?,
            None => None,
        };
        let known = user.as_ref().map(|user| access.device(&user.id, visitor.device.as_deref()));
        let known = known.transpose()?.flatten();
        // An address has many spellings, with a dot at its end or in other letters, which are one account.
        let account = email.as_deref().unwrap_or(typed);
        let attempt = access.attempt(account, known.as_ref().map(|known| &known.id), visitor.address.as_deref())?;
        let hash = user.as_ref().filter(|user| !user.service).map(|user| user.password_hash.as_str());
        let is_right = access.passwords.verify(password, hash).await?;
        let Some(user) = user.clone().filter(|user| is_right && !user.disabled && !user.service) else {
            self.note_failure(user.as_deref(), email, visitor).await?;
            return Err(wrong());
        };
        let mut confirmed_at = None;
        if access.has_second_factor(&user.id)? && !access.is_trusted(known.as_ref()) {
            match (&further.code, &further.passkey) {
                (Some(code), _) => self.show_code(&user, code, visitor).await?,
                (None, Some(shown)) => self.show_passkey(&user, shown.clone(), visitor).await?,
                (None, None) => {
                    attempt.withdrawn();
                    return Err(Error::SecondFactorNeeded);
                }
            }
            confirmed_at = Some(access.world.now());
        }
        attempt.succeeded();
        let entry = Entry {
            remember: further.remember && confirmed_at.is_some(),
            confirmed_at,
            ..Entry::default()
        };
        self.enter(user, entry, visitor).await
    }

    /// Signs in with a passkey alone: the authenticator has checked that it is its owner, so it is both factors. Fails with
    /// `Unauthenticated`, also for who has only an identity provider; what has 256 random bits behind it needs no brake on guessing.
    pub async fn create_by_passkey(&self, shown: PasskeyShown, visitor: &Visitor) -> Result<SignedIn> {
        let of = self.access.passkey_of(&shown)?;
        let user = match self.access.show_passkey(shown, visitor).await {
            Err(error @ Error::Unauthenticated { .. }) => {
                self.note_failure(of.as_deref(), None, visitor).await?;
                return Err(error);
            }
            shown => shown?,
        };
        self.enter_by_passkey(user, visitor).await
    }

    /// Somebody whose passkey was shown. Fails with `Unauthenticated` for who comes by an identity provider and by nothing else: the
    /// passkey is their second factor, and no way around the provider.
    async fn enter_by_passkey(&self, user: Stored<User>, visitor: &Visitor) -> Result<SignedIn> {
        if !self.access.comes_by_own(&user)? {
            self.note_failure(Some(&user), None, visitor).await?;
            return Err(Error::Unauthenticated {
                why: "sign in by your identity provider: a passkey alone is for who has a password here too; yours confirms what you do"
                    .into(),
            });
        }
        let entry = Entry {
            confirmed_at: Some(self.access.world.now()),
            ..Entry::default()
        };
        self.enter(user, entry, visitor).await
    }

    async fn show_code(&self, user: &User, code: &str, visitor: &Visitor) -> Result<()> {
        let access = &self.access;
        let Some(shown) = access.show_code(user, code).await? else {
            access.tell_wrong_code(user, visitor.address.clone()).await;
            return Err(wrong_code());
        };
        access.tell_shown(&access.actor(user, visitor.address.clone()), user, &shown).await;
        Ok(())
    }

    async fn show_passkey(&self, user: &User, shown: PasskeyShown, visitor: &Visitor) -> Result<()> {
        let access = &self.access;
        match access.show_passkey(shown, visitor).await {
            Ok(of) if of.id == user.id => Ok(()),
            Err(error) if !matches!(error, Error::Unauthenticated { .. }) => Err(error),
            _ => {
                access.tell_wrong_code(user, visitor.address.clone()).await;
                Err(Error::Unauthenticated {
                    why: "this is no passkey of the account; use another, or a code".into(),
                })
            }
        }
    }

    /// Begins the session of somebody who has shown enough, and tells of it.
    async fn enter(&self, user: Stored<User>, entry: Entry, visitor: &Visitor) -> Result<SignedIn> {
        let Entry {
            confirmed_at,
            remember,
            provider,
            provider_session,
            provider_until,
        } = entry;
        let access = &self.access;
        let known = access.device(&user.id, visitor.device.as_deref())?;
        let is_first = access.devices_of(&user.id)?.is_empty();
        let was_known = known.is_some();
        let country = access.note_country(&user, visitor).await.unwrap_or_else(|error| {
            tracing::warn!("from which country {} signed in was not noted: {}", user.email, report(&error));
            None
        });
        let (mut session, word) = access.new_session(&user, visitor)?;
        session.confirmed_at = confirmed_at;
        session.provider = provider;
        session.provider_session = provider_session;
        session.provider_until = provider_until;
        session.expires_at = access.end_of(&session)?;
        let (device, cookie) = access.note_device(&user, known, remember, visitor).await?;
        session.device = Some(device.id.clone());
        let user = self.begin(user, &session).await?;
        if let Err(error) = self.remove_ended().await {
            tracing::warn!("sessions that have ended were not removed: {}", report(&error));
        }
        let fact = Fact::SignedIn { user: user.id.clone() };
        let actor = access.actor(&user, visitor.address.clone());
        access.events.emit(&actor, fact).await;
        self.tell_device(&actor, &user, &device, is_first || was_known, remember).await;
        if let Some(country) = country {
            access.tell_country(&actor, &user, country).await;
        }
        let mut signed = access.let_in(user, session, &word)?;
        signed.device = cookie;
        Ok(signed)
    }

    async fn tell_device(&self, actor: &Actor, user: &User, device: &types::Device, was_known: bool, remembered: bool) {
        let (id, email) = (user.id.clone(), user.email.to_string());
        if !was_known {
            let fact = Fact::NewDevice {
                user: id.clone(),
                email: email.clone(),
                agent: device.agent.clone(),
            };
            self.access.events.emit(actor, fact).await;
        }
        if remembered {
            let fact = Fact::DeviceRemembered { user: id, email };
            self.access.events.emit(actor, fact).await;
        }
    }

    /// Who has this session cookie. Fails with `Unauthenticated` when it has expired, the session was ended, or the
    /// person is disabled or gone. The role is the person's present one.
    pub fn by_cookie(&self, jwt: &str, address: Option<String>) -> Result<Known> {
        let claims = self.access.check_jwt(jwt)?;
        let session = self.access.store.sessions.find(claims.session.as_str())?.ok_or_else(ended)?.value;
        let mut user = self.holder(&session)?;
        if user.id != claims.user || session.organization != claims.organization {
            return Err(ended());
        }
        let actor = self.access.actor_in(&user, &session.organization, address)?;
        let mut actor = actor.ok_or_else(ended)?;
        may_own(&session, actor.role).map_err(|_| ended())?;
        user.role = actor.role;
        actor.assurance = self.access.assurance(&user, &session)?;
        Ok(Known {
            actor,
            expires_at: Some(session.expires_at),
            session: Some(session),
        })
    }

    /// Acts in another organization from now on. Other tabs of the browser show the one from before: the word that they send with what
    /// they do is void, so that nothing is done where nobody meant it. Fails with `NotFound` when they are not in it, with `Forbidden` for who is
    /// not in a browser.
    pub async fn switch(&self, known: &Known, organization: &str) -> Result<SignedIn> {
        let access = &self.access;
        let (Some(session), Some(id)) = (&known.session, known.actor.user()) else {
            return Err(Error::Forbidden {
                needs: "a browser; a token acts in the organization that it was made in".into(),
            });
        };
        let missing = || Error::not_found(Kind::Organization, organization);
        let user = access.store.users.get(id.as_str())?.value;
        let found = match access.store.organizations.find(organization)? {
            Some(found) => found,
            None => access.store.organizations.claimed(organization)?.ok_or_else(missing)?,
        };
        may_own(session, access.role_in(&user, &found.id)?.ok_or_else(missing)?)?;
        let (next, csrf) = (token::word(&access.world), token::word(&access.world));
        let moved = |session: &mut Session| {
            session.organization = found.id.clone();
            session.next_hashes.push(token::hash(&next));
            session.csrf.clone_from(&csrf);
            Ok(())
        };
        let session = access.store.sessions.update(session.id.as_str(), moved).await?.value;
        access.let_in(user, session, &next)
    }

    /// Whether somebody who was known before would be known now as the same, with the same rights: streams ask from time
    /// to time.
    pub async fn still_holds(&self, known: &Known) -> Result<bool> {
        let Some(session) = &known.session else { return Ok(true) };
        let Some(session) = self.access.store.sessions.find(session.id.as_str())? else {
            return Ok(false);
        };
        let Ok(user) = self.holder(&session) else { return Ok(false) };
        let now = self.access.actor_in(&user, &session.organization, None)?;
        Ok(now.is_some_and(|now| same_rights(&now, &known.actor)))
    }

    /// Who has this API token. Fails with `Unauthenticated` when there is none such, it has expired, it comes from where it
    /// may not, or its person is disabled or gone.
    pub async fn by_token(&self, secret: &str, address: Option<String>) -> Result<Known> {
        let (store, now) = (&self.access.store, self.access.world.now());
        let refused = |why: &str| Error::Unauthenticated { why: why.into() };
        let hash = token::hash(secret);
        let found = store.tokens.claimed(&hash)?;
        let mut api_token = found.ok_or_else(|| refused("the API token is not valid; it may have been revoked"))?;
        let is_over = |replaced: &ReplacedSecret| replaced.hash == hash && now >= replaced.until;
        if api_token.replaced.as_ref().is_some_and(is_over) {
            return Err(refused("the API token has another secret now"));
        }
        if !comes_from(&api_token.networks, address.as_deref()) {
            return Err(refused("the API token is not valid from this address"));
        }
        if api_token.expires_at.is_some_and(|end| now >= end) {
            return Err(refused("the API token has expired; make a new one"));
        }
        let user = store.users.find(api_token.user.as_str())?.filter(|user| !user.disabled);
        let of_nobody = || refused("the API token is not valid; its owner may not sign in");
        let mut user = user.ok_or_else(of_nobody)?;
        let actor = self.access.actor_in(&user, &api_token.organization, address.clone())?;
        let actor = actor.ok_or_else(of_nobody)?;
        user.role = actor.role;
        let moved = address.is_some() && api_token.last_used_address != address;
        if moved || api_token.last_used_at.is_none_or(|last| now.since(last) >= USE_NOTED) {
            if user.role != Role::Owner {
                self.check_directories(&user.id).await.map_err(|_| of_nobody())?;
            }
            api_token.last_used_at = Some(now);
            api_token.last_used_address.clone_from(&address);
            // Somebody else noting it at the same time is as good, and a full disk is no reason to refuse.
            if let Err(error) = store.tokens.save(api_token.clone()).await {
                tracing::debug!("the use of a token was not noted: {}", report(&error));
            }
        }
        Ok(Known {
            actor: Actor {
                who: Who::Token {
                    id: api_token.id.clone(),
                    user: user.id.clone(),
                    name: api_token.name.clone(),
                },
                scopes: api_token.scopes.clone(),
                spots: api_token.spots.clone(),
                assurance: self.access.token_assurance(&user)?,
                ..actor
            },
            session: None,
            expires_at: api_token.expires_at,
        })
    }

    /// Somebody on the machine, whom the kernel has named: the caller has checked that it is root or the panel's own
    /// user. Fails with `Busy` while nobody has claimed the panel.
    pub fn by_machine(&self, uid: u32) -> Result<Known> {
        let organization = self.access.organization()?.ok_or_else(|| {
            Error::busy("this panel has no administrator yet; run `serverkit setup`, or open the link that `serverkit serve` printed")
        })?;
        Ok(Known {
            actor: Actor {
                who: Who::Machine { uid },
                ..Actor::system(organization.id)
            },
            session: None,
            expires_at: None,
        })
    }

    /// Who is asking.
    pub fn show(&self, known: &Known) -> Result<SessionView> {
        let user = match known.actor.user() {
            Some(id) => Some(User {
                role: known.actor.role,
                ..self.access.member(&known.actor.organization, id.as_str())?.value
            }),
            None => None,
        };
        let standing = match &user {
            Some(user) => Some(self.access.standing(user, known.session.as_ref())?),
            None => None,
        };
        let organization = self.access.store.organizations.get(known.actor.organization.as_str())?;
        Ok(SessionView {
            organization: organization.value,
            standing,
            user,
            actor: known.actor.clone(),
            csrf: known.session.as_ref().map(|session| session.csrf.clone()).unwrap_or_default(),
            expires_at: known.expires_at,
        })
    }

    /// Whether the request of a browser comes from our own page: `csrf` is what it sent in `X-CSRF-Token`. Only for
    /// unsafe methods; without a session there is nothing to check.
    pub fn check_csrf(&self, known: &Known, csrf: Option<&str>) -> Result<()> {
        match &known.session {
            Some(session) if !token::same(csrf.unwrap_or_default(), &session.csrf) => Err(Error::Forbidden {
                needs: "the header X-CSRF-Token with the value of `csrf` from GET /session".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Saves a new session together with the person's record, so that none begins with a password that was changed, or
    /// for somebody who was removed, in this moment.
    async fn begin(&self, mut user: Stored<User>, session: &Session) -> Result<User> {
        let store = &self.access.store;
        let hash = user.password_hash.clone();
        for _ in 0..50 {
            user.last_seen_at = Some(self.access.world.now());
            match store.commit(Batch::new().save(user.clone()).insert(session.clone())).await {
                Ok(()) => return Ok(user.value),
                Err(Error::Stale { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            let found = store.users.find(user.id.as_str())?;
            user = found.filter(|now| now.password_hash == hash && !now.disabled).ok_or_else(wrong)?;
        }
        Err(Error::busy("too many sign in to this account at once"))
    }

    /// The person of a session that still stands.
    fn holder(&self, session: &Session) -> Result<User> {
        if self.is_over(session)? || !self.access.stands(session) {
            return Err(ended());
        }
        let user = self.access.store.users.find(session.user.as_str())?.filter(|user| !user.disabled);
        Ok(user.ok_or_else(ended)?.value)
    }

    /// Tells of a sign-in that failed: those at home in the account's organization, where there is one, else those who run the panel.
    /// Of what was `typed` only an address is kept: what is typed there by mistake may be a password.
    async fn note_failure(&self, user: Option<&User>, typed: Option<String>, visitor: &Visitor) -> Result<()> {
        let (organization, email) = match (user, typed) {
            (Some(user), _) => (Some(user.organization.clone()), user.email.to_string()),
            (None, Some(email)) => (self.access.organization()?.map(|host| host.id), email),
            (None, None) => return Ok(()),
        };
        if let Some(organization) = organization {
            let mut actor = Actor::system(organization);
            actor.address.clone_from(&visitor.address);
            self.access.events.emit(&actor, Fact::LoginFailed { email }).await;
        }
        Ok(())
    }
}

/// Owners are the panel's own people, wherever they are it: no session that an identity provider let in is an owner's.
fn may_own(session: &Session, role: Role) -> Result<()> {
    match role == Role::Owner && session.provider.is_some() {
        true => Err(Error::Forbidden {
            needs: "a sign-in with your password or a passkey: an identity provider lets no owner in".into(),
        }),
        false => Ok(()),
    }
}

/// Whether an address is among those that a token is for. On the machine itself there is none: that is the loopback.
fn comes_from(networks: &[IpNet], address: Option<&str>) -> bool {
    let address = match address {
        None => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(text) => text.parse::<IpAddr>().ok().map(|address| address.to_canonical()),
    };
    networks.is_empty() || address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
}

/// Whether two may the same; what they have shown of themselves may differ.
pub fn same_rights(one: &Actor, other: &Actor) -> bool {
    (one.role, &one.organization, &one.held, &one.scopes, &one.spots)
        == (other.role, &other.organization, &other.held, &other.scopes, &other.spots)
}

fn wrong() -> Error {
    Error::Unauthenticated {
        why: "mail address or password is wrong".into(),
    }
}

fn wrong_code() -> Error {
    Error::Unauthenticated {
        why: "the code is wrong, or was used already; wait for the next one".into(),
    }
}

fn ended() -> Error {
    Error::Unauthenticated {
        why: "the session has ended; sign in again".into(),
    }
}
