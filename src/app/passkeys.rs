//! Passkeys: making, naming and removing one's own; what they prove is `identity`'s business.
//!
//! Who has one has a second factor: the password alone is no longer enough. So the first one comes with recovery codes.

use crate::{
    access::{Access, Visitor, check_name},
    second_factors::CONFIRMED,
    sessions::Known,
    users::retry,
};
use identity::{Question, Site, passkeys, recovery};
use serde_json::Value;
use std::sync::Arc;
use store::{Batch, Stored};
use types::{Error, Fact, Kind, Passkey, Result, Scope, Sealed, SecondFactor, Secret, Session, User, UserId};

/// Of one person.
const MOST: usize = 20;
const NAME: usize = 60;

/// Makes, names and removes passkeys.
#[derive(Clone)]
pub struct Passkeys {
    access: Arc<Access>,
}

/// What a browser answers to [`Passkeys::ask`].
#[derive(Debug, Clone)]
pub struct PasskeyShown {
    /// Of the question.
    pub id: String,
    /// `AuthenticationResponseJSON` of WebAuthn Level 3.
    pub credential: Value,
}

/// What a browser answers to [`Passkeys::begin`].
#[derive(Debug, Clone)]
pub struct PasskeyMade {
    pub id: String,
    /// `RegistrationResponseJSON` of WebAuthn Level 3.
    pub credential: Value,
    /// What the person calls it.
    pub name: String,
}

impl Passkeys {
    pub(crate) fn new(access: Arc<Access>) -> Passkeys {
        Passkeys { access }
    }

    /// The own ones, oldest first.
    pub fn list(&self, known: &Known) -> Result<Vec<Passkey>> {
        let Some(user) = known.actor.user() else { return Ok(Vec::new()) };
        Ok(self.access.passkeys_of(user)?.into_iter().map(|one| one.value).collect())
    }

    /// Asks whoever is there for a passkey of this panel. Fails with `Busy` where none can work.
    pub fn ask(&self, visitor: &Visitor) -> Result<Question> {
        let site = self.access.site(visitor)?;
        self.access.ceremonies.show(&site, visitor.address.as_deref().unwrap_or_default())
    }

    /// Begins to make a passkey. Who has a second factor must have shown it lately; who has none gives the password, or
    /// somebody at an open screen could make themselves at home.
    pub async fn begin(&self, known: &Known, password: Option<&Secret>, visitor: &Visitor) -> Result<Question> {
        let user = self.access.in_browser(known)?;
        let site = self.access.site(visitor)?;
        if self.access.has_second_factor(&user.id)? {
            known.actor.is_certain()?;
        } else if !self.is_fresh(known) {
            let password = password.ok_or_else(|| Error::invalid("password", "is needed: the present one"))?;
            self.access.check_password(known, &user, "password", password).await?;
        }
        let there = self.access.passkeys_of(&user.id)?;
        if there.len() >= MOST {
            return Err(Error::busy(format!("you have {MOST} passkeys; remove one that you do not use")));
        }
        let ids: Vec<String> = there.iter().map(|one| one.credential_id.clone()).collect();
        self.access.ceremonies.make(&site, &user.id, user.email.as_str(), &user.name, &ids)
    }

    /// Whether they signed in by an identity provider a moment ago: they may have no password here.
    fn is_fresh(&self, known: &Known) -> bool {
        let now = self.access.world.now();
        let session = known.session.as_ref().filter(|session| session.provider.is_some());
        session.is_some_and(|session| now.since(session.created_at) < CONFIRMED)
    }

    /// Takes the new passkey. When it is the first second factor, the other sessions end, and there are ten recovery
    /// codes; otherwise there are none.
    pub async fn create(&self, known: &Known, made: PasskeyMade, visitor: &Visitor) -> Result<(Passkey, Vec<Secret>)> {
        let user = self.access.in_browser(known)?;
        let site = self.access.site(visitor)?;
        let name = check_name("name", &made.name, NAME)?;
        let new = self.access.ceremonies.made(&site, &made.id, &user.id, made.credential)?;
        let is_first = !self.access.has_second_factor(&user.id)?;
        let passkey = Passkey {
            id: self.access.world.id(),
            organization: user.organization.clone(),
            user: user.id.clone(),
            name,
            host: site.host,
            credential_id: new.credential_id,
            credential: new.credential,
            created_at: self.access.world.now(),
            last_used_at: None,
        };
        let codes = if is_first { recovery::new(&self.access.world) } else { Vec::new() };
        self.insert(&user, &passkey, &codes, known.session.as_ref()).await?;
        self.access.note_confirmed(known).await?;
        let fact = Fact::PasskeyAdded {
            user: user.id.clone(),
            email: user.email.to_string(),
            name: passkey.name.clone(),
        };
        self.access.events.emit(&known.actor, fact).await;
        Ok((passkey, codes))
    }

    async fn insert(&self, user: &User, passkey: &Passkey, codes: &[Secret], kept: Option<&Session>) -> Result<()> {
        let store = &self.access.store;
        let secret = store.seal(&Secret::from(self.access.world.word(32)))?;
        retry(store, || {
            let mut batch = Batch::new().insert(passkey.clone());
            if !codes.is_empty() {
                let hashes = codes.iter().map(|code| recovery::hash(&user.id, code)).collect();
                batch = match store.second_factors.find(user.id.as_str())? {
                    Some(mut factor) => {
                        factor.recovery_hashes = hashes;
                        batch.save(factor)
                    }
                    None => batch.insert(self.only_codes(user, secret.clone(), hashes)),
                };
                batch = self.access.end_sessions(batch, &user.id, kept)?;
            }
            Ok((batch, ()))
        })
        .await
    }

    /// Recovery codes of somebody who has no authenticator app: `secret` is of no app, and counts for nothing.
    fn only_codes(&self, user: &User, secret: Sealed, hashes: Vec<String>) -> SecondFactor {
        SecondFactor {
            user: user.id.clone(),
            organization: user.organization.clone(),
            secret,
            created_at: self.access.world.now(),
            confirmed_at: None,
            last_step: 0,
            recovery_hashes: hashes,
            last_used_at: None,
        }
    }

    /// Gives one of the own passkeys another name.
    pub async fn rename(&self, known: &Known, id: &str, name: &str) -> Result<Passkey> {
        self.holder(known)?;
        let name = check_name("name", name, NAME)?;
        let mut passkey = self.own(known, id)?;
        passkey.name = name;
        Ok(self.access.store.passkeys.save(passkey).await?.value)
    }

    /// Removes one of the own passkeys; whoever has it cannot get in with it any more. With the last one the second
    /// factor is gone, unless there is an authenticator app: fails with `Forbidden` while the policy asks for one, and for a
    /// token.
    pub async fn remove(&self, known: &Known, id: &str) -> Result<()> {
        let user = self.holder(known)?;
        let passkey = self.own(known, id)?.value;
        known.actor.is_certain()?;
        let _team = self.access.team.lock().await;
        let is_last = self.access.passkeys_of(&user.id)?.len() == 1 && self.access.factor(&user.id)?.is_none();
        if is_last {
            self.access.in_browser(known)?;
        }
        if is_last && self.access.security()?.second_factor.binds(user.role) {
            return Err(Error::Forbidden {
                needs: "another second factor first: this panel asks for one".into(),
            });
        }
        let store = &self.access.store;
        retry(store, || {
            let mut batch = Batch::new().remove(&store.passkeys.get(id)?);
            if is_last {
                batch = self.access.end_sessions(batch, &user.id, known.session.as_ref())?;
                if let Some(factor) = store.second_factors.find(user.id.as_str())? {
                    batch = batch.remove(&factor);
                }
                batch = self.access.end_trust(batch, &user.id)?;
            }
            Ok((batch, ()))
        })
        .await?;
        let fact = Fact::PasskeyRemoved {
            user: user.id.clone(),
            email: user.email.to_string(),
            name: passkey.name,
        };
        self.access.events.emit(&known.actor, fact).await;
        if is_last {
            self.access.tell_without_factor(&known.actor, &user).await;
        }
        Ok(())
    }

    /// The person, in a browser or with a token that may do everything.
    fn holder(&self, known: &Known) -> Result<User> {
        known.actor.reaches(Scope::Admin)?;
        self.access.person(known)
    }

    fn own(&self, known: &Known, id: &str) -> Result<Stored<Passkey>> {
        let found = self.access.store.passkeys.find(id)?;
        let own = found.filter(|one| known.actor.user() == Some(&one.user));
        own.ok_or_else(|| Error::not_found(Kind::Passkey, id))
    }
}

/// What signing in and the second factor need of it.
impl Access {
    pub(crate) fn passkeys_of(&self, user: &UserId) -> Result<Vec<Stored<Passkey>>> {
        let mut found = self.store.passkeys.list()?;
        found.retain(|one| one.user == *user);
        Ok(found)
    }

    /// Whether the password alone is not enough: there is an authenticator app, or a passkey.
    pub(crate) fn has_second_factor(&self, user: &UserId) -> Result<bool> {
        Ok(self.factor(user)?.is_some() || !self.passkeys_of(user)?.is_empty())
    }

    /// The panel as this browser has it.
    pub(crate) fn site(&self, visitor: &Visitor) -> Result<Site> {
        let settings = self.store.settings.list()?.into_iter().next();
        let domain = settings
            .and_then(|settings| settings.panel_domain.clone())
            .map(|host| host.to_string());
        Site::of(visitor.origin.as_deref().unwrap_or_default(), domain.as_deref(), &self.ports)
    }

    /// Whose passkey somebody says that they show; `None`: nobody's.
    pub(crate) fn passkey_of(&self, shown: &PasskeyShown) -> Result<Option<Stored<User>>> {
        let Some(id) = passkeys::credential_id(&shown.credential) else {
            return Ok(None);
        };
        match self.store.passkeys.claimed(&id)? {
            Some(passkey) => self.store.users.find(passkey.user.as_str()),
            None => Ok(None),
        }
    }

    /// Whose passkey this is. Fails with `Unauthenticated` when it is nobody's, or was not shown rightly: the same for
    /// all, and for those who may not sign in.
    pub(crate) async fn show_passkey(&self, shown: PasskeyShown, visitor: &Visitor) -> Result<Stored<User>> {
        let site = self.site(visitor)?;
        let id = passkeys::credential_id(&shown.credential).ok_or_else(unknown)?;
        let passkey = self.store.passkeys.claimed(&id)?.filter(|one| one.host == site.host);
        let mut passkey = passkey.ok_or_else(unknown)?;
        let user = self.store.users.find(passkey.user.as_str())?.filter(|user| !user.disabled);
        let user = user.ok_or_else(unknown)?;
        let seen = self
            .ceremonies
            .shown(&site, &shown.id, shown.credential, &user.id, &passkey.credential);
        passkey.credential = seen.ok_or_else(unknown)?;
        passkey.last_used_at = Some(self.world.now());
        // Removed in this moment, or shown twice at once: its counter would not be kept, so it does not count.
        match self.store.passkeys.save(passkey).await {
            Ok(_) => Ok(user),
            Err(Error::Stale { .. } | Error::NotFound { .. }) => Err(unknown()),
            Err(error) => Err(error),
        }
    }
}

fn unknown() -> Error {
    Error::Unauthenticated {
        why: "this passkey is not known here, was removed, or was shown too late; try again, or sign in with your password".into(),
    }
}

#[cfg(test)]
mod tests {
    //! What an authenticator answers is tried in a real browser: `tests/ui/passkeys.e2e.mjs`.
    use super::*;
    use crate::{
        access::tests::{Gate, PASSWORD, visitor},
        security::SecurityChange,
        sessions::Further,
    };
    use serde_json::json;
    use types::{Role, SecondFactorPolicy};

    const ADA: &str = "ada@example.com";

    impl Gate {
        async fn browser(&self, email: &str, code: Option<&str>) -> Result<Known> {
            let further = Further {
                code: code.map(str::to_owned),
                ..Further::default()
            };
            let signed = self
                .sessions
                .create(email, &PASSWORD.into(), &further, &visitor("10.0.0.1"))
                .await?;
            self.sessions
                .by_cookie(signed.jwt.expose_str().expect("text"), Some("10.0.0.1".into()))
        }
        /// Somebody with a passkey that no authenticator has, and its recovery codes.
        async fn with_passkey(&self, known: &Known, credential_id: &str) -> (Passkey, Vec<String>) {
            let user = self.access.in_browser(known).expect("a person");
            let passkey = Passkey {
                id: self.access.world.id(),
                organization: user.organization.clone(),
                user: user.id.clone(),
                name: "phone".into(),
                host: "localhost".into(),
                credential_id: credential_id.into(),
                credential: "{}".into(),
                created_at: self.access.world.now(),
                last_used_at: None,
            };
            let codes = match self.access.has_second_factor(&user.id).expect("read") {
                true => Vec::new(),
                false => recovery::new(&self.access.world),
            };
            self.passkeys
                .insert(&user, &passkey, &codes, known.session.as_ref())
                .await
                .expect("kept");
            let text = |code: &Secret| code.expose_str().expect("text").to_owned();
            (passkey, codes.iter().map(text).collect())
        }
    }

    #[tokio::test]
    async fn beginning_needs_a_browser_a_name_and_the_password() {
        let (gate, owner) = Gate::claimed().await;
        let known = gate.browser(ADA, None).await.expect("in");
        let here = visitor("10.0.0.1");
        let begin = async |password: Option<&str>, from: &Visitor| {
            let password = password.map(Secret::from);
            gate.passkeys.begin(&known, password.as_ref(), from).await
        };
        assert!(matches!(begin(None, &here).await, Err(Error::Invalid { .. })));
        assert!(matches!(begin(Some("wrong wrong wrong"), &here).await, Err(Error::Invalid { .. })));
        let by_address = Visitor {
            origin: Some("https://192.0.2.7:9443".into()),
            ..visitor("10.0.0.1")
        };
        let error = begin(Some(PASSWORD), &by_address).await.expect_err("no name");
        assert!(error.to_string().contains("domain"), "{error}");
        assert!(matches!(gate.passkeys.ask(&by_address), Err(Error::Busy { .. })));
        let asked = begin(Some(PASSWORD), &here).await.expect("asked");
        assert_eq!(asked.options["rp"]["id"], "localhost");
        let made = |id: &str, name: &str| PasskeyMade {
            id: id.into(),
            credential: json!({"id": "x"}),
            name: name.into(),
        };
        for (id, name) in [(asked.id.as_str(), ""), (asked.id.as_str(), "phone"), (asked.id.as_str(), "again")] {
            let refused = gate.passkeys.create(&known, made(id, name), &here).await;
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{name}");
        }
        let token = Known {
            actor: owner,
            session: None,
            expires_at: None,
        };
        assert!(matches!(
            gate.passkeys.begin(&token, Some(&PASSWORD.into()), &here).await,
            Err(Error::Forbidden { .. })
        ));
    }

    #[tokio::test]
    async fn with_a_passkey_the_password_is_not_enough() {
        let (gate, owner) = Gate::claimed().await;
        let known = gate.browser(ADA, None).await.expect("in");
        let other = gate.browser(ADA, None).await.expect("in");
        let (passkey, codes) = gate.with_passkey(&known, "AAEC").await;
        assert_eq!(codes.len(), 10);
        let sessions = gate.sessions.list(&known).expect("lists");
        assert!(
            sessions.len() == 1 && sessions[0].current,
            "those that began with the password alone have ended: {:?}",
            other.session
        );
        assert!(matches!(gate.browser(ADA, None).await, Err(Error::SecondFactorNeeded)));
        assert!(matches!(
            gate.browser(ADA, Some("000000")).await,
            Err(Error::Unauthenticated { .. })
        ));
        let again = gate.browser(ADA, Some(&codes[0])).await.expect("by a recovery code");
        assert!(gate.browser(ADA, Some(&codes[0])).await.is_err(), "once");
        let view = gate.second_factors.get(&again).expect("shown");
        assert_eq!((view.passkeys, view.since, view.recovery_codes_left), (1, None, 9));
        assert!(view.standing.has_factor);

        // Another's passkey, an unknown one, and a made-up answer get the same words.
        let (bob, bob_actor) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
        let here = visitor("10.0.0.1");
        let mut words = Vec::new();
        for raw in ["AAEC", "BBBB", "not base64!"] {
            let question = gate.passkeys.ask(&here).expect("asked");
            let shown = PasskeyShown {
                id: question.id,
                credential: json!({"id": raw, "rawId": raw, "type": "public-key", "response": {}}),
            };
            words.push(
                gate.sessions
                    .create_by_passkey(shown, &here)
                    .await
                    .expect_err("refused")
                    .to_string(),
            );
        }
        words.dedup();
        assert_eq!(words.len(), 1, "{words:?}");
        let failed = gate.events().into_iter().filter_map(|event| match event.fact {
            Fact::LoginFailed { email } => Some(email),
            _ => None,
        });
        assert_eq!(
            failed.collect::<Vec<_>>(),
            [ADA],
            "told of the account whose passkey it was, and of none else"
        );

        // Nobody sees or touches another's.
        let bobs = gate.browser("bob@example.com", None).await.expect("in");
        assert!(gate.passkeys.list(&bobs).expect("lists").is_empty());
        assert!(matches!(
            gate.passkeys.remove(&bobs, passkey.id.as_str()).await,
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            gate.passkeys.rename(&bobs, passkey.id.as_str(), "mine").await,
            Err(Error::NotFound { .. })
        ));
        let (_, none) = gate.with_passkey(&bobs, "BBEC").await;
        assert_eq!(none.len(), 10);
        gate.users.remove(&owner, bob.id.as_str()).await.expect("removed");
        assert!(gate.access.passkeys_of(&bob.id).expect("lists").is_empty());
        drop(bob_actor);
    }

    #[tokio::test]
    async fn a_token_names_and_removes_all_but_the_last() {
        let (gate, _) = Gate::claimed().await;
        let known = gate.browser(ADA, None).await.expect("in");
        let (first, codes) = gate.with_passkey(&known, "AAEC").await;
        let known = gate.browser(ADA, Some(&codes[0])).await.expect("in");
        let (second, _) = gate.with_passkey(&known, "AAED").await;
        let mut token = Known { session: None, ..known };
        token.actor.scopes = types::Scopes::up_to(types::Scope::Write);
        let refused = gate.passkeys.rename(&token, first.id.as_str(), "key ring").await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })), "its scope is too small");
        token.actor.scopes = types::Scopes::all();
        let renamed = gate.passkeys.rename(&token, first.id.as_str(), "key ring").await;
        assert_eq!(renamed.expect("renamed").name, "key ring");
        gate.passkeys.remove(&token, first.id.as_str()).await.expect("another one is left");
        let last = gate.passkeys.remove(&token, second.id.as_str()).await;
        assert!(matches!(last, Err(Error::Forbidden { .. })), "only in a browser");
        let machine = gate.sessions.by_machine(0).expect("known");
        assert!(matches!(
            gate.passkeys.rename(&machine, second.id.as_str(), "mine").await,
            Err(Error::Forbidden { .. })
        ));
    }

    #[tokio::test]
    async fn the_last_passkey_takes_the_factor_with_it() {
        let (gate, owner) = Gate::claimed().await;
        let known = gate.browser(ADA, None).await.expect("in");
        let (first, codes) = gate.with_passkey(&known, "AAEC").await;
        let known = gate.browser(ADA, Some(&codes[0])).await.expect("in");
        let (second, more) = gate.with_passkey(&known, "AAED").await;
        assert!(more.is_empty());
        let renamed = gate
            .passkeys
            .rename(&known, second.id.as_str(), " key ring ")
            .await
            .expect("renamed");
        assert_eq!(renamed.name, "key ring");
        let everyone = SecurityChange {
            second_factor: Some(SecondFactorPolicy::Everyone),
            grace_days: Some(0),
            ..SecurityChange::default()
        };
        gate.security.update(&known.actor, everyone).await.expect("changed");
        gate.passkeys.remove(&known, first.id.as_str()).await.expect("another one is left");
        let told = |kind: &str| gate.facts().iter().filter(|fact| *fact == kind).count();
        assert_eq!((told("passkey_removed"), told("second_factor_removed")), (1, 0));
        let error = gate.passkeys.remove(&known, second.id.as_str()).await.expect_err("the policy");
        assert!(matches!(error, Error::Forbidden { .. }));
        let off = SecurityChange {
            second_factor: Some(SecondFactorPolicy::Off),
            ..SecurityChange::default()
        };
        gate.security.update(&known.actor, off).await.expect("changed");
        gate.passkeys.remove(&known, second.id.as_str()).await.expect("removed");
        assert_eq!((told("passkey_removed"), told("second_factor_removed")), (2, 1));
        let known = gate.browser(ADA, None).await.expect("the password is enough again");
        assert!(gate.access.store.second_factors.list().expect("lists").is_empty());

        // An owner takes it away as a whole.
        gate.with_passkey(&known, "AAEE").await;
        let id = owner.user().expect("a person").as_str();
        gate.second_factors.reset(&owner, id).await.expect("reset");
        gate.browser(ADA, None).await.expect("in");
        assert!(matches!(gate.second_factors.reset(&owner, id).await, Err(Error::NotFound { .. })));
    }
}
