//! Signing in and out, and telling who somebody is: by cookie, by token, or by being on the machine.

use crate::{
    access::{Access, settled},
    second_factors::Standing,
};
use identity::token;
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored};
use types::{Actor, Assurance, Error, Fact, Kind, Result, Role, Scope, Secret, Session, SessionId, Time, User, Who, report};

pub use crate::access::{SignedIn, Visitor};

/// After a renewal the secret before still works this long: two tabs renew at once, and both are right.
const GRACE: Duration = Duration::from_secs(30);
/// Secrets given out and not used that are remembered; a browser that loses every answer has other troubles.
const NEXT: usize = 8;
const RETIRED: usize = 16;
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
    /// Asks for no code in this browser for a while; counts only with a code.
    pub remember: bool,
}

/// A signed-in browser of the one who asks.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    pub session: Session,
    /// The one that asks.
    pub current: bool,
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
        let attempt = access.throttle.attempt(email, visitor.address.as_deref().unwrap_or_default())?;
        let email = email.parse::<types::Email>().map(String::from).ok();
        let user = match &email {
            Some(email) => access.store.users.claimed(email)?,
            None => None,
        };
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        let is_right = access.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|user| is_right && !user.disabled) else {
            self.note_failure(email, visitor).await?;
            return Err(wrong());
        };
        let known = access.device(&user.id, visitor.device.as_deref())?;
        let mut confirmed_at = None;
        if access.factor(&user.id)?.is_some() && !access.is_trusted(known.as_ref()) {
            let Some(code) = &further.code else {
                attempt.withdrawn();
                return Err(Error::SecondFactorNeeded);
            };
            let Some(shown) = access.show_code(&user, code).await? else {
                access.tell_wrong_code(&user, visitor.address.clone()).await;
                return Err(wrong_code());
            };
            access
                .tell_shown(&access.actor(&user, visitor.address.clone()), &user, &shown)
                .await;
            confirmed_at = Some(access.world.now());
        }
        attempt.succeeded();
        let is_first = access.devices_of(&user.id)?.is_empty();
        let was_known = known.is_some();
        let remember = further.remember && confirmed_at.is_some();
        let (mut session, word) = access.new_session(&user, visitor);
        session.confirmed_at = confirmed_at;
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

    /// Renews with the value of the refresh cookie, and gives a new one. Fails with `Unauthenticated`; a value that
    /// was replaced longer ago than a moment ends the session, because two now have it.
    pub async fn refresh(&self, refresh: &str, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let (id, word) = refresh.split_once('.').ok_or_else(ended)?;
        let id: SessionId = id.parse().map_err(|_| ended())?;
        let hash = token::hash(word);
        // Others may renew the same session at the same moment: look and save again until both fit.
        for _ in 0..20 {
            let mut session = access.store.sessions.find(id.as_str())?.ok_or_else(ended)?;
            let user = self.holder(&session)?;
            let next = token::word(&access.world);
            match place(&session, &hash, access.world.now()) {
                Place::Current | Place::Graced => {}
                Place::Next => confirm(&mut session, &hash, access.world.now()),
                Place::Retired => {
                    access.store.commit(Batch::new().remove(&session)).await.or_else(settled)?;
                    tracing::warn!("a refresh cookie was used twice: the session of {} is ended", user.email);
                    return Err(ended());
                }
                Place::Unknown => return Err(ended()),
            }
            session.next_hashes.push(token::hash(&next));
            keep_last(&mut session.next_hashes, NEXT);
            access.extend(&mut session);
            if let Some(address) = &visitor.address {
                session.address.clone_from(address);
            }
            match access.store.sessions.save(session).await {
                Ok(session) => return access.let_in(access.see(user).await?, session.value, &next),
                Err(Error::Stale { .. }) => {}
                Err(Error::NotFound { .. }) => return Err(ended()),
                Err(error @ Error::Unavailable { .. }) => {
                    // A full disk: who is signed in can still look, and make room.
                    tracing::warn!("a session is renewed without noting it: {}", report(&error));
                    let session = access.store.sessions.get(id.as_str())?.value;
                    return access.let_in(user, session, word);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::busy("the session is being renewed by too many at once"))
    }

    /// Who has this session cookie. Fails with `Unauthenticated` when it has expired, the session was ended, or the
    /// person is disabled or gone. The role is the person's present one.
    pub fn by_cookie(&self, jwt: &str, address: Option<String>) -> Result<Known> {
        let claims = self.access.check_jwt(jwt)?;
        let session = self.access.store.sessions.find(claims.session.as_str())?.ok_or_else(ended)?.value;
        let user = self.holder(&session)?;
        if user.id != claims.user || user.organization != claims.organization {
            return Err(ended());
        }
        let mut actor = self.access.actor(&user, address);
        actor.assurance = self.access.assurance(&user, &session)?;
        Ok(Known {
            actor,
            expires_at: Some(session.expires_at),
            session: Some(session),
        })
    }

    /// Who has this API token. Fails with `Unauthenticated` when there is none such, it has expired, or its person is
    /// disabled or gone.
    pub async fn by_token(&self, secret: &str, address: Option<String>) -> Result<Known> {
        let (store, now) = (&self.access.store, self.access.world.now());
        let refused = |why: &str| Error::Unauthenticated { why: why.into() };
        let found = store.tokens.claimed(&token::hash(secret))?;
        let mut api_token = found.ok_or_else(|| refused("the API token is not valid; it may have been revoked"))?;
        if api_token.expires_at.is_some_and(|end| now >= end) {
            return Err(refused("the API token has expired; make a new one"));
        }
        let user = store.users.find(api_token.user.as_str())?.filter(|user| !user.disabled);
        let user = user.ok_or_else(|| refused("the API token is not valid; its owner may not sign in"))?;
        if api_token.last_used_at.is_none_or(|last| now.since(last) >= USE_NOTED) {
            api_token.last_used_at = Some(now);
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
                organization: user.organization.clone(),
                role: user.role,
                scope: api_token.scope,
                assurance: self.access.token_assurance(&user)?,
                address,
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
                organization: organization.id,
                role: Role::Owner,
                scope: Scope::Admin,
                assurance: Assurance::Full,
                address: None,
            },
            session: None,
            expires_at: None,
        })
    }

    /// Who is asking.
    pub fn show(&self, known: &Known) -> Result<SessionView> {
        let user = match known.actor.user() {
            Some(id) => Some(self.access.member(&known.actor.organization, id.as_str())?.value),
            None => None,
        };
        let standing = match &user {
            Some(user) => Some(self.access.standing(user, known.session.as_ref())?),
            None => None,
        };
        Ok(SessionView {
            standing,
            user,
            actor: known.actor.clone(),
            csrf: known.session.as_ref().map(|session| session.csrf.clone()).unwrap_or_default(),
            expires_at: known.expires_at,
        })
    }

    /// The browsers that the one who asks is signed in with, newest first.
    pub fn list(&self, known: &Known) -> Result<Vec<SessionInfo>> {
        let Some(user) = known.actor.user() else { return Ok(Vec::new()) };
        let now = self.access.world.now();
        let mut sessions: Vec<SessionInfo> = self
            .access
            .sessions_of(user)?
            .into_iter()
            .filter(|session| now < session.expires_at)
            .map(|session| SessionInfo {
                current: known.session.as_ref().is_some_and(|current| current.id == session.id),
                session: session.value,
            })
            .collect();
        sessions.sort_by(|a, b| b.session.id.cmp(&a.session.id));
        Ok(sessions)
    }

    /// Ends one of the own sessions.
    pub async fn revoke(&self, known: &Known, id: &str) -> Result<()> {
        let store = &self.access.store;
        let own = store.sessions.find(id)?.filter(|session| known.actor.user() == Some(&session.user));
        let own = own.ok_or_else(|| Error::not_found(Kind::Session, id))?;
        if known.actor.scope < Scope::Admin {
            return Err(Error::Forbidden {
                needs: "a token with the scope admin".into(),
            });
        }
        self.remove(&own).await?;
        let fact = Fact::SignedOut { user: own.user.clone() };
        self.access.events.emit(&known.actor, fact).await;
        Ok(())
    }

    /// Signs out: ends the session that asks. For tokens and on the machine there is nothing to end.
    pub async fn end(&self, known: &Known) -> Result<()> {
        let Some(session) = &known.session else { return Ok(()) };
        self.remove(session).await?;
        let fact = Fact::SignedOut {
            user: session.user.clone(),
        };
        self.access.events.emit(&known.actor, fact).await;
        Ok(())
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

    /// Removes the records of sessions that have ended by themselves.
    async fn remove_ended(&self) -> Result<usize> {
        let now = self.access.world.now();
        let mut removed = 0;
        for session in self.access.store.sessions.list()? {
            if now >= session.expires_at {
                self.remove(&session).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn remove(&self, session: &Session) -> Result<()> {
        self.access.store.sessions.remove(session.id.as_str()).await.or_else(settled)
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
        if self.access.world.now() >= session.expires_at {
            return Err(ended());
        }
        let user = self.access.store.users.find(session.user.as_str())?.filter(|user| !user.disabled);
        Ok(user.ok_or_else(ended)?.value)
    }

    /// Keeps the address that was tried, if it was one: what is typed there by mistake may be a password.
    async fn note_failure(&self, email: Option<String>, visitor: &Visitor) -> Result<()> {
        if let (Some(organization), Some(email)) = (self.access.organization()?, email) {
            let mut actor = Actor::system(organization.id);
            actor.address.clone_from(&visitor.address);
            self.access.events.emit(&actor, Fact::LoginFailed { email }).await;
        }
        Ok(())
    }
}

/// Where a refresh secret stands in its session.
#[derive(Debug, PartialEq)]
enum Place {
    Current,
    /// Given out by a renewal, and now used for the first time.
    Next,
    /// Replaced a moment ago.
    Graced,
    /// Replaced before that.
    Retired,
    Unknown,
}

fn place(session: &Session, hash: &str, now: Time) -> Place {
    let among = |hashes: &[String]| hashes.iter().any(|known| token::same(known, hash));
    if token::same(&session.secret_hash, hash) {
        Place::Current
    } else if among(&session.next_hashes) {
        Place::Next
    } else if !among(&session.retired_hashes) {
        Place::Unknown
    } else if now.since(session.rotated_at) < GRACE {
        Place::Graced
    } else {
        Place::Retired
    }
}

/// The secret with this hash is the one in use from now on; all others are retired.
fn confirm(session: &mut Session, hash: &str, now: Time) {
    let before = std::mem::replace(&mut session.secret_hash, hash.to_owned());
    session.retired_hashes.push(before);
    session
        .retired_hashes
        .extend(session.next_hashes.drain(..).filter(|next| next != hash));
    keep_last(&mut session.retired_hashes, RETIRED);
    session.rotated_at = now;
}

fn keep_last(hashes: &mut Vec<String>, count: usize) {
    hashes.drain(..hashes.len().saturating_sub(count));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::tests::{Gate, PASSWORD, visitor},
        users::UserChange,
    };

    fn jwt(signed: &SignedIn) -> &str {
        signed.jwt.expose_str().expect("text")
    }
    fn cookie(signed: &SignedIn) -> &str {
        signed.refresh.expose_str().expect("text")
    }
    fn is_refused<T: std::fmt::Debug>(result: Result<T>) -> bool {
        matches!(result, Err(Error::Unauthenticated { .. }))
    }

    #[tokio::test]
    async fn signing_in_and_out() {
        let (gate, owner) = Gate::claimed().await;
        let sessions = &gate.sessions;
        let signed = sessions
            .create("ADA@example.com ", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect("signed in");
        let known = sessions.by_cookie(jwt(&signed), Some("10.0.0.2".into())).expect("known");
        assert_eq!(known.actor.who, owner.who);
        assert_eq!(
            (known.actor.role, known.actor.scope, known.actor.address.as_deref()),
            (Role::Owner, Scope::Admin, Some("10.0.0.2"))
        );
        let view = sessions.show(&known).expect("shown");
        assert_eq!(view.user.expect("a person").email.as_str(), "ada@example.com");
        assert_eq!(view.csrf, signed.session.csrf);
        sessions.check_csrf(&known, Some(&view.csrf)).expect("ours");
        for wrong in [None, Some(""), Some("x"), Some(&view.csrf[1..])] {
            assert!(
                matches!(sessions.check_csrf(&known, wrong), Err(Error::Forbidden { .. })),
                "{wrong:?}"
            );
        }

        let other = sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.3"))
            .await
            .expect("signed in");
        let list = sessions.list(&known).expect("lists");
        assert_eq!(list.len(), 2);
        assert_eq!(
            list.iter()
                .filter(|info| info.current)
                .map(|info| &info.session.id)
                .collect::<Vec<_>>(),
            [&signed.session.id]
        );
        sessions.revoke(&known, other.session.id.as_str()).await.expect("revoked");
        assert!(is_refused(sessions.by_cookie(jwt(&other), None)), "though the JWT has not expired");
        assert!(matches!(
            sessions.revoke(&known, other.session.id.as_str()).await,
            Err(Error::NotFound { .. })
        ));

        sessions.end(&known).await.expect("signed out");
        assert!(is_refused(sessions.by_cookie(jwt(&signed), None)));
        assert!(is_refused(sessions.refresh(cookie(&signed), &visitor("10.0.0.1")).await));
        sessions.end(&known).await.expect("twice is once");
        assert_eq!(
            gate.facts(),
            [
                "panel_claimed",
                "signed_in",
                "signed_in",
                "new_device",
                "signed_out",
                "signed_out",
                "signed_out"
            ]
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_sign_in_at_once() {
        let (gate, _) = Gate::claimed().await;
        let tasks: Vec<_> = (0..20)
            .map(|index| {
                let sessions = gate.sessions.clone();
                tokio::spawn(async move {
                    sessions
                        .create(
                            "ada@example.com",
                            &PASSWORD.into(),
                            &Further::default(),
                            &visitor(&format!("10.0.1.{index}")),
                        )
                        .await
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("signed in");
        }
        assert_eq!(gate.access.store.sessions.list().expect("lists").len(), 20);
    }

    #[tokio::test]
    async fn wrong_password_unknown_and_disabled_look_the_same() {
        let (gate, owner) = Gate::claimed().await;
        let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
        let change = UserChange {
            disabled: Some(true),
            ..UserChange::default()
        };
        gate.users.update(&owner, bob.id.as_str(), change).await.expect("disabled");
        let mut words = Vec::new();
        for (email, password) in [
            ("ada@example.com", "wrong horse battery"),
            ("nobody@example.com", PASSWORD),
            ("bob@example.com", PASSWORD),
            ("hunter2", PASSWORD),
            ("ada@example.com", ""),
        ] {
            let error = gate
                .sessions
                .create(email, &password.into(), &Further::default(), &visitor("10.0.0.1"))
                .await
                .expect_err("refused");
            assert!(matches!(error, Error::Unauthenticated { .. }), "{error}");
            words.push(error.to_string());
        }
        words.dedup();
        assert_eq!(words, ["mail address or password is wrong"]);
        let failed: Vec<String> = gate
            .events()
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::LoginFailed { email } => Some(format!("{email} from {}", event.address.clone().unwrap_or_default())),
                _ => None,
            })
            .collect();
        assert_eq!(failed.len(), 4, "what is no address is not kept: {failed:?}");
        assert_eq!(failed[0], "ada@example.com from 10.0.0.1");
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_and_the_owner_is_not_locked_out() {
        let (gate, _) = Gate::claimed().await;
        for _ in 0..5 {
            assert!(is_refused(
                gate.sessions
                    .create(
                        "ada@example.com",
                        &"wrong password".into(),
                        &Further::default(),
                        &visitor("10.0.0.66")
                    )
                    .await
            ));
        }
        let error = gate
            .sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.66"))
            .await
            .expect_err("too soon");
        assert!(matches!(error, Error::Throttled { .. }), "{error}");
        gate.sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect("from elsewhere");
        gate.clock.forward(Duration::from_secs(2));
        gate.sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.66"))
            .await
            .expect("after the wait");
    }

    #[tokio::test]
    async fn a_session_is_renewed_with_a_new_secret_each_time() {
        let (gate, _) = Gate::claimed().await;
        let first = gate
            .sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect("signed in");
        gate.clock.forward(Duration::from_secs(601));
        assert!(is_refused(gate.sessions.by_cookie(jwt(&first), None)), "the JWT is short-lived");
        let mut now = first.clone();
        for _ in 0..40 {
            let next = gate.sessions.refresh(cookie(&now), &visitor("10.0.0.2")).await.expect("renewed");
            assert_ne!(cookie(&next), cookie(&now));
            assert_eq!((&next.session.id, &next.session.csrf), (&first.session.id, &first.session.csrf));
            gate.sessions.by_cookie(jwt(&next), None).expect("known");
            gate.clock.forward(Duration::from_secs(600));
            now = next;
        }
        assert_eq!(now.session.address, "10.0.0.2");
        for wrong in [
            "",
            ".",
            "x.y",
            &format!("{}.", first.session.id),
            &format!("{}.wrong", first.session.id),
        ] {
            assert!(is_refused(gate.sessions.refresh(wrong, &visitor("10.0.0.1")).await), "{wrong}");
        }
        gate.sessions
            .refresh(cookie(&now), &visitor("10.0.0.1"))
            .await
            .expect("a wrong guess ends nothing");
        gate.clock.forward(Duration::from_secs(31 * 86_400));
        assert!(
            is_refused(gate.sessions.refresh(cookie(&now), &visitor("10.0.0.1")).await),
            "not used for too long"
        );
        assert_eq!(gate.sessions.remove_ended().await.expect("removed"), 1);
    }

    #[tokio::test]
    async fn a_stolen_secret_ends_the_session() {
        let (gate, _) = Gate::claimed().await;
        let first = gate
            .sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect("signed in");
        let second = gate.sessions.refresh(cookie(&first), &visitor("10.0.0.1")).await.expect("renewed");
        let third = gate.sessions.refresh(cookie(&second), &visitor("10.0.0.1")).await.expect("renewed");
        gate.clock.forward(Duration::from_secs(5));
        gate.sessions
            .refresh(cookie(&first), &visitor("10.0.0.1"))
            .await
            .expect("a slow tab, a moment later");
        gate.clock.forward(GRACE);
        assert!(is_refused(gate.sessions.refresh(cookie(&first), &visitor("10.0.0.66")).await));
        assert!(
            is_refused(gate.sessions.refresh(cookie(&third), &visitor("10.0.0.1")).await),
            "ended for both"
        );
        assert!(is_refused(gate.sessions.by_cookie(jwt(&third), None)));
    }

    #[tokio::test]
    async fn lost_answers_and_two_tabs_do_not_sign_out() {
        let (gate, _) = Gate::claimed().await;
        let first = gate
            .sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect("signed in");
        for _ in 0..3 {
            // The answer never arrives; the browser comes again much later with what it has.
            gate.sessions.refresh(cookie(&first), &visitor("10.0.0.1")).await.expect("renewed");
            gate.clock.forward(Duration::from_secs(3600));
        }
        let nobody = Visitor::default();
        let (left, right) = tokio::join!(
            gate.sessions.refresh(cookie(&first), &nobody),
            gate.sessions.refresh(cookie(&first), &nobody),
        );
        let (left, right) = (left.expect("renewed"), right.expect("renewed"));
        gate.clock.forward(Duration::from_secs(600));
        gate.sessions
            .refresh(cookie(&right), &Visitor::default())
            .await
            .expect("whichever cookie came last");
        gate.clock.forward(Duration::from_secs(600));
        assert!(
            is_refused(gate.sessions.refresh(cookie(&left), &Visitor::default()).await),
            "the other one is retired"
        );
    }

    #[tokio::test]
    async fn disabled_and_removed_people_are_out_at_once() {
        let (gate, owner) = Gate::claimed().await;
        for removed in [false, true] {
            let (bob, _) = gate.add(&owner, "bob@example.com", Role::Developer).await;
            let signed = gate
                .sessions
                .create("bob@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
                .await
                .expect("signed in");
            gate.sessions.by_cookie(jwt(&signed), None).expect("known");
            if removed {
                gate.users.remove(&owner, bob.id.as_str()).await.expect("removed");
            } else {
                let change = UserChange {
                    role: Some(Role::Viewer),
                    ..UserChange::default()
                };
                gate.users.update(&owner, bob.id.as_str(), change).await.expect("lowered");
                assert_eq!(
                    gate.sessions.by_cookie(jwt(&signed), None).expect("known").actor.role,
                    Role::Viewer,
                    "at once"
                );
                let change = UserChange {
                    disabled: Some(true),
                    ..UserChange::default()
                };
                gate.users.update(&owner, bob.id.as_str(), change).await.expect("disabled");
            }
            assert!(is_refused(gate.sessions.by_cookie(jwt(&signed), None)));
            assert!(is_refused(gate.sessions.refresh(cookie(&signed), &visitor("10.0.0.1")).await));
            if !removed {
                gate.users.remove(&owner, bob.id.as_str()).await.expect("removed");
            }
        }
    }

    #[tokio::test]
    async fn the_machine_is_owner_once_there_is_something_to_own() {
        let gate = Gate::open();
        let error = gate.sessions.by_machine(0).expect_err("nobody has it");
        assert!(error.to_string().contains("serverkit setup"), "{error}");
        let (gate, owner) = Gate::claimed().await;
        let known = gate.sessions.by_machine(0).expect("known");
        assert_eq!((known.actor.role, &known.actor.organization), (Role::Owner, &owner.organization));
        assert!(gate.sessions.show(&known).expect("shown").user.is_none());
        assert!(gate.sessions.list(&known).expect("lists").is_empty());
        gate.sessions.check_csrf(&known, None).expect("no browser, no need");
        gate.sessions.end(&known).await.expect("nothing to end");
    }
}
