//! The second factor: setting it up, showing it, losing it; the password in its place. The browsers that are remembered are `devices`.
//!
//! Only somebody in a browser manages their own: a token acts for a person, it does not decide how they get in. What
//! proves it is `identity`'s business; who must have one says [`types::Security`].

mod devices;

use crate::{
    access::{Access, Visitor},
    passkeys::PasskeyShown,
    sessions::Known,
    users::retry,
};
pub use devices::{DEVICE, DeviceInfo};
use identity::{recovery, totp};
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored};
use types::{Action, Actor, Assurance, Error, Fact, Kind, Result, SecondFactor, Secret, Security, Session, Time, User, UserId};

/// How long a second factor that was shown is enough for what is dangerous, or the password of those who have none.
pub(crate) const CONFIRMED: Duration = Duration::from_secs(15 * 60);
/// How long a set-up may take.
const SET_UP: Duration = Duration::from_secs(3600);

/// Manages second factors.
#[derive(Clone)]
pub struct SecondFactors {
    access: Arc<Access>,
}

/// How somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// They have a second factor.
    pub has_factor: bool,
    /// They have none, and a password: that is what they show before what is dangerous.
    pub by_password: bool,
    /// Until when it is enough that the one or the other was shown.
    pub confirmed_until: Option<Time>,
    /// When they must have one; `None`: they have, or need not.
    pub due_at: Option<Time>,
}

/// The own second factor.
#[derive(Debug, Clone)]
pub struct SecondFactorView {
    pub standing: Standing,
    /// Since when there is an authenticator app.
    pub since: Option<Time>,
    pub passkeys: usize,
    pub recovery_codes_left: usize,
    /// Whether the policy asks for it, so that it cannot be given up.
    pub required: bool,
}

/// What the person's app is to be told, once.
pub struct SetUp {
    pub key: Secret,
    pub uri: Secret,
    pub qr_svg: Secret,
}

/// What somebody shows in a session that goes on.
#[derive(Debug, Clone)]
pub enum Proof {
    /// Of the authenticator app, or a recovery code.
    Code(String),
    /// Of those who have no second factor.
    Password(Secret),
}

/// How a code was right.
pub(crate) enum Shown {
    ByApp,
    /// So many recovery codes are left.
    ByRecovery(usize),
}

impl SecondFactors {
    pub(crate) fn new(access: Arc<Access>) -> SecondFactors {
        SecondFactors { access }
    }

    /// The own second factor.
    pub fn get(&self, known: &Known) -> Result<SecondFactorView> {
        let user = self.access.person(known)?;
        let factor = self.access.store.second_factors.find(user.id.as_str())?;
        Ok(SecondFactorView {
            passkeys: self.access.passkeys_of(&user.id)?.len(),
            standing: self.access.standing(&user, known.session.as_ref())?,
            since: factor.as_ref().and_then(|factor| factor.confirmed_at),
            recovery_codes_left: factor.map_or(0, |factor| factor.recovery_hashes.len()),
            required: self.access.security()?.second_factor.binds(user.role),
        })
    }

    /// Makes a new secret for the person's app; it counts once [`SecondFactors::confirm`] has seen a code of it. Asks for
    /// the password, or somebody at an open screen could lock its owner out. Fails with `Busy` when there is one already.
    pub async fn begin(&self, known: &Known, password: &Secret) -> Result<SetUp> {
        let user = self.access.in_browser(known)?;
        self.access.check_password(known, &user, "password", password).await?;
        let (store, now) = (&self.access.store, self.access.world.now());
        let secret = totp::new_secret(&self.access.world);
        let made = totp::enrolment(&secret, user.email.as_str())?;
        let mut record = SecondFactor {
            user: user.id.clone(),
            organization: user.organization.clone(),
            secret: store.seal(&secret)?,
            created_at: now,
            confirmed_at: None,
            last_step: 0,
            recovery_hashes: Vec::new(),
            last_used_at: None,
        };
        match store.second_factors.find(user.id.as_str())? {
            Some(found) if found.confirmed_at.is_some() => {
                return Err(Error::busy(
                    "you have a second factor already; turn it off before you set up another",
                ));
            }
            Some(mut found) => {
                // Those that came with a passkey.
                record.recovery_hashes = std::mem::take(&mut found.recovery_hashes);
                found.value = record;
                store.second_factors.save(found).await?;
            }
            None => drop(store.second_factors.insert(record).await?),
        }
        Ok(SetUp {
            key: made.key,
            uri: made.uri,
            qr_svg: made.qr_svg,
        })
    }

    /// Takes the first code, which shows that the person's app has the secret, and gives ten recovery codes. The other
    /// sessions end: they began with the password alone.
    pub async fn confirm(&self, known: &Known, code: &str) -> Result<Vec<Secret>> {
        let user = self.access.in_browser(known)?;
        let attempt = self.access.throttle.attempt_code(user.id.as_str())?;
        let (store, now) = (&self.access.store, self.access.world.now());
        let none = || Error::busy("no second factor is being set up; begin again");
        let mut factor = store.second_factors.find(user.id.as_str())?.ok_or_else(none)?;
        if factor.confirmed_at.is_some() || now.since(factor.created_at) >= SET_UP {
            return Err(none());
        }
        let secret = store.unseal(&factor.secret)?;
        let Some(step) = totp::matching_step(&secret, code, now, 0)? else {
            return Err(Error::invalid(
                "code",
                "is not what the app should show now; is the phone's clock right?",
            ));
        };
        let codes = recovery::new(&self.access.world);
        factor.last_step = step;
        factor.confirmed_at = Some(now);
        factor.last_used_at = Some(now);
        factor.recovery_hashes = codes.iter().map(|code| recovery::hash(&user.id, code)).collect();
        store.second_factors.save(factor).await?;
        attempt.succeeded();
        retry(store, || {
            let batch = self.access.end_sessions(Batch::new(), &user.id, known.session.as_ref())?;
            Ok((batch, ()))
        })
        .await?;
        self.access.note_confirmed(known).await?;
        let fact = Fact::SecondFactorAdded {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(&known.actor, fact).await;
        Ok(codes)
    }

    /// Ten new recovery codes in place of those before, against a code of the app or one of the old ones; without one for
    /// who has shown a passkey lately.
    pub async fn renew_codes(&self, known: &Known, code: &str) -> Result<Vec<Secret>> {
        let user = self.access.in_browser(known)?;
        if code.is_empty() && !self.access.passkeys_of(&user.id)?.is_empty() {
            known.actor.is_certain()?;
        } else {
            self.show(known, &user, code).await?;
        }
        let codes = recovery::new(&self.access.world);
        let hashes: Vec<String> = codes.iter().map(|code| recovery::hash(&user.id, code)).collect();
        let factors = &self.access.store.second_factors;
        factors
            .update(user.id.as_str(), |factor| {
                factor.recovery_hashes.clone_from(&hashes);
                Ok(())
            })
            .await?;
        self.access.note_confirmed(known).await?;
        let fact = Fact::RecoveryCodesRenewed {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(&known.actor, fact).await;
        Ok(codes)
    }

    /// Gives the authenticator app up, against a code; passkeys stay. Fails with `Forbidden` when it is the only second
    /// factor and the policy asks for one.
    pub async fn remove(&self, known: &Known, code: &str) -> Result<()> {
        let user = self.access.in_browser(known)?;
        let is_only = self.access.passkeys_of(&user.id)?.is_empty();
        if is_only && self.access.security()?.second_factor.binds(user.role) {
            return Err(Error::Forbidden {
                needs: "a policy that does not ask for a second factor; this panel's does".into(),
            });
        }
        self.show(known, &user, code).await?;
        self.take_away(&known.actor, &user, known.session.as_ref(), false).await
    }

    /// Takes somebody's second factor away, app and passkeys, for a phone that is lost and codes that are gone too. Owners, and those on
    /// the machine. Their sessions end, and no browser is remembered.
    pub async fn reset(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::ManageOwners)?;
        let user = self.access.member(&actor.organization, id)?;
        self.access.may_open(actor, &user)?;
        if self.access.store.second_factors.find(user.id.as_str())?.is_none() && self.access.passkeys_of(&user.id)?.is_empty() {
            return Err(Error::not_found(Kind::SecondFactor, &user.email));
        }
        self.take_away(actor, &user, None, true).await
    }

    /// Shows the second factor in a session that goes on, or the password where there is none: what is dangerous may be done for a
    /// while. Guessing is slowed down and told as at signing in.
    pub async fn step_up(&self, known: &Known, proof: &Proof) -> Result<Standing> {
        let user = self.access.in_browser(known)?;
        match proof {
            Proof::Code(code) => self.show(known, &user, code).await?,
            Proof::Password(password) => self.show_password(known, &user, password).await?,
        }
        let session = self.access.note_confirmed(known).await?;
        self.access.standing(&user, Some(&session))
    }

    /// The same with a passkey.
    pub async fn step_up_by_passkey(&self, known: &Known, shown: PasskeyShown, visitor: &Visitor) -> Result<Standing> {
        let user = self.access.in_browser(known)?;
        if self.access.show_passkey(shown, visitor).await?.id != user.id {
            return Err(Error::invalid("credential", "is a passkey of somebody else"));
        }
        let session = self.access.note_confirmed(known).await?;
        self.access.standing(&user, Some(&session))
    }

    /// A code of somebody who is signed in. Wrong ones are counted and told.
    async fn show(&self, known: &Known, user: &User, code: &str) -> Result<()> {
        match self.access.show_code(user, code).await? {
            Some(shown) => {
                self.access.tell_shown(&known.actor, user, &shown).await;
                Ok(())
            }
            None => {
                self.access.tell_wrong_code(user, known.actor.address.clone()).await;
                Err(Error::invalid("code", "is wrong, or was used already; wait for the next one"))
            }
        }
    }

    /// The password of somebody who is signed in and has no more to show. With a second factor it is not enough, right or wrong.
    async fn show_password(&self, known: &Known, user: &User, password: &Secret) -> Result<()> {
        if self.access.has_second_factor(&user.id)? {
            return Err(Error::invalid("password", "is not enough: you have a second factor, give its code"));
        }
        if !user.has_password() {
            return Err(Error::invalid(
                "password",
                "is not what you sign in by: you have none of the panel's own",
            ));
        }
        let shown = self.access.check_password(known, user, "password", password).await;
        if matches!(shown, Err(Error::Invalid { .. })) {
            let email = user.email.to_string();
            self.access.events.emit(&known.actor, Fact::LoginFailed { email }).await;
        }
        shown
    }

    async fn take_away(&self, actor: &Actor, user: &User, kept: Option<&Session>, with_passkeys: bool) -> Result<()> {
        let store = &self.access.store;
        retry(store, || {
            let mut batch = self.access.end_sessions(Batch::new(), &user.id, kept)?;
            let passkeys = self.access.passkeys_of(&user.id)?;
            if let Some(mut factor) = store.second_factors.find(user.id.as_str())? {
                batch = match with_passkeys || passkeys.is_empty() {
                    true => batch.remove(&factor),
                    // The recovery codes are for the passkeys then.
                    false => {
                        factor.confirmed_at = None;
                        batch.save(factor)
                    }
                };
            }
            for passkey in passkeys.iter().filter(|_| with_passkeys) {
                batch = batch.remove(passkey);
            }
            Ok((self.access.end_trust(batch, &user.id)?, ()))
        })
        .await?;
        self.access.tell_without_factor(actor, user).await;
        Ok(())
    }
}

/// What signing in, sessions and the people's list need of it.
impl Access {
    pub(crate) async fn note_confirmed(&self, known: &Known) -> Result<Session> {
        let own = known.session.as_ref().ok_or_else(only_browsers)?;
        let now = self.world.now();
        let saved = self.store.sessions.update(own.id.as_str(), |session| {
            session.confirmed_at = Some(now);
            Ok(())
        });
        Ok(saved.await?.value)
    }

    /// Fails with `Invalid` of this `field` unless it is the present password of the one who asks.
    pub(crate) async fn check_password(&self, known: &Known, user: &User, field: &str, password: &Secret) -> Result<()> {
        let browser = known.session.as_ref().and_then(|session| session.device.as_ref());
        let attempt = self.attempt(user.email.as_str(), browser, known.actor.address.as_deref())?;
        if !self.passwords.verify(password, Some(&user.password_hash)).await? {
            return Err(Error::invalid(field, "is not the present password"));
        }
        attempt.succeeded();
        Ok(())
    }

    /// A second factor is gone: of an authenticator app, or of the last passkey.
    pub(crate) async fn tell_without_factor(&self, actor: &Actor, user: &User) {
        let fact = Fact::SecondFactorRemoved {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.events.emit(actor, fact).await;
    }

    /// The person behind the session or the token.
    pub(crate) fn person(&self, known: &Known) -> Result<User> {
        let id = known.actor.user().ok_or_else(only_browsers)?;
        Ok(self.member(&known.actor.organization, id.as_str())?.value)
    }

    /// The person, if they are in a browser.
    pub(crate) fn in_browser(&self, known: &Known) -> Result<User> {
        match known.session {
            Some(_) => self.person(known),
            None => Err(only_browsers()),
        }
    }

    /// The rules of getting in.
    pub fn security(&self) -> Result<Security> {
        let found = self.store.security.find(store::SECURITY_KEY)?;
        Ok(found.map(|stored| stored.value).unwrap_or_default())
    }

    /// Somebody's authenticator app, if they have set one up to the end.
    pub fn factor(&self, user: &UserId) -> Result<Option<Stored<SecondFactor>>> {
        let found = self.store.second_factors.find(user.as_str())?;
        Ok(found.filter(|factor| factor.confirmed_at.is_some()))
    }

    pub fn standing(&self, user: &User, session: Option<&Session>) -> Result<Standing> {
        let has_factor = self.has_second_factor(&user.id)?;
        // Who signed in by an identity provider has shown there what it asks for.
        let is_external = session.is_some_and(|session| session.provider.is_some());
        let due_at = match has_factor || is_external {
            true => None,
            false => self.security()?.second_factor_due(user.role, user.created_at),
        };
        // Who has neither came by an identity provider, which asks again as often as it sees fit.
        let by_password = !has_factor && user.has_password() && session.is_some();
        let now = self.world.now();
        let shown_at = match session {
            Some(session) if has_factor => session.confirmed_at,
            // To sign in is to show it.
            Some(session) if by_password => session.confirmed_at.or(Some(session.created_at)),
            Some(_) | None => None,
        };
        let confirmed_until = shown_at
            // A clock that was set back does not make a confirmation last.
            .filter(|at| *at <= now)
            .map(|at| at.plus(CONFIRMED))
            .filter(|end| now < *end);
        Ok(Standing {
            has_factor,
            by_password,
            confirmed_until,
            due_at,
        })
    }

    /// For a session.
    pub fn assurance(&self, user: &User, session: &Session) -> Result<Assurance> {
        let standing = self.standing(user, Some(session))?;
        Ok(match standing {
            Standing { due_at: Some(due), .. } if due <= self.world.now() => Assurance::Lacking,
            Standing {
                confirmed_until: None,
                has_factor,
                by_password,
                ..
            } if has_factor || by_password => Assurance::Stale,
            _ => Assurance::Full,
        })
    }

    /// For a token of this person: never asked to show anything again, but bound by the policy where that says so.
    pub fn token_assurance(&self, user: &User) -> Result<Assurance> {
        let security = self.security()?;
        let is_due = security
            .second_factor_due(user.role, user.created_at)
            .is_some_and(|due| due <= self.world.now());
        match security.tokens_bound && !user.service && is_due && !self.has_second_factor(&user.id)? && !self.is_external(&user.id)? {
            true => Ok(Assurance::Lacking),
            false => Ok(Assurance::Full),
        }
    }

    /// Whether the code is right; it is used up then. `None` is wrong. Fails with `Throttled` after too many.
    pub(crate) async fn show_code(&self, user: &User, code: &str) -> Result<Option<Shown>> {
        let attempt = self.throttle.attempt_code(user.id.as_str())?;
        for _ in 0..50 {
            // Without an app there may be recovery codes that came with a passkey.
            let Some(mut factor) = self.store.second_factors.find(user.id.as_str())? else {
                return Ok(None);
            };
            let now = self.world.now();
            let shown = if recovery::looks_like_one(code) {
                match recovery::place(&user.id, &code.into(), &factor.recovery_hashes) {
                    Some(place) => drop(factor.recovery_hashes.remove(place)),
                    None => return Ok(None),
                }
                Shown::ByRecovery(factor.recovery_hashes.len())
            } else if factor.confirmed_at.is_none() {
                return Ok(None);
            } else {
                let secret = self.store.unseal(&factor.secret)?;
                match totp::matching_step(&secret, code, now, factor.last_step)? {
                    Some(step) => factor.last_step = step,
                    None => return Ok(None),
                }
                Shown::ByApp
            };
            factor.last_used_at = Some(now);
            // Who saves first has used the code; the other one looks again and finds it used.
            match self.store.second_factors.save(factor).await {
                Ok(_) => {
                    attempt.succeeded();
                    return Ok(Some(shown));
                }
                Err(Error::Stale { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::busy("too many codes for this account at once; try again"))
    }

    pub(crate) async fn tell_shown(&self, actor: &Actor, user: &User, shown: &Shown) {
        if let Shown::ByRecovery(left) = shown {
            let fact = Fact::RecoveryCodeUsed {
                user: user.id.clone(),
                email: user.email.to_string(),
                left: *left,
            };
            self.events.emit(actor, fact).await;
        }
    }

    pub(crate) async fn tell_wrong_code(&self, user: &User, address: Option<String>) {
        let mut actor = Actor::system(user.organization.clone());
        actor.address = address;
        let fact = Fact::SecondFactorFailed {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.events.emit(&actor, fact).await;
    }
}

fn only_browsers() -> Error {
    Error::Forbidden {
        needs: "somebody who is signed in in a browser".into(),
    }
}
