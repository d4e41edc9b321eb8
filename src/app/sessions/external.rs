//! Signing in by an identity provider, and whether those who did are still there.
//!
//! Owners are the panel's own people: no provider lets one in, so a provider that is broken or taken over neither locks
//! the panel nor owns it.

use super::{Entry, Sessions};
use crate::{
    access::{Access, SignedIn, Visitor, check_person, settled},
    identity_providers::redirect,
    refusals,
};
use identity::{Person, ldap, oidc, saml, token};
use std::time::Duration;
use store::{Batch, Stored, acting};
use types::{
    Actor, Asker, Email, Error, ExternalIdentity, Fact, IdentityProvider, IdentityProviderId, Protocol, Result, Role, Sealed, Secret,
    Session, User, UserId, report,
};

/// A directory is not asked more often whether somebody is still there.
const CHECKED: Duration = Duration::from_secs(30);

/// A sign-in that a browser was sent away for.
pub(crate) struct Away {
    pub(super) provider: IdentityProviderId,
    pub(super) started: Started,
    /// SHA-256 of the word in the browser's cookie: nobody is signed in as another by being sent to the way back.
    pub(super) cookie_hash: String,
}

/// What its answer is checked with.
pub(super) enum Started {
    Oidc(oidc::Started),
    Saml(Box<saml::Started>),
}

/// What is noted of a sign-in beside the person.
struct Note {
    /// What they typed as their name.
    login: Option<String>,
    refresh: Option<Sealed>,
    /// As in [`ExternalIdentity`].
    groups: Vec<String>,
}

/// What the browser brings back from OpenID Connect.
#[derive(Debug, Clone)]
pub struct Back {
    pub state: String,
    pub code: String,
    pub issuer: Option<String>,
    /// The value of the cookie that [`Sessions::send_away`] gave.
    pub cookie: Option<String>,
}

impl Sessions {
    /// Where the browser goes to sign in, and the value of the cookie that it shows when it comes back.
    pub async fn send_away(&self, provider: &str, visitor: &Visitor) -> Result<(String, Secret)> {
        let access = &self.access;
        let provider = access.offered(provider)?;
        let Protocol::Oidc(settings) = &provider.protocol else {
            return Err(Error::invalid("provider", "does not speak OpenID Connect"));
        };
        let relying = access.relying(settings)?;
        let (mut address, started) = relying.start(&access.world, redirect(visitor)?).await?;
        let (state, cookie) = self.note(&provider, Started::Oidc(started), visitor);
        address.query_pairs_mut().append_pair("state", &state);
        Ok((address.into(), cookie))
    }

    /// Remembers a browser that goes away: the word that it brings back, and the one in its cookie.
    pub(super) fn note(&self, provider: &IdentityProvider, started: Started, visitor: &Visitor) -> (String, Secret) {
        let cookie = token::word(&self.access.world);
        let away = Away {
            provider: provider.id.clone(),
            started,
            cookie_hash: token::hash(&cookie),
        };
        let state = self.access.away.insert(visitor.address.as_deref().unwrap_or_default(), away);
        (state, cookie.into())
    }

    /// Signs in with what the browser brought back: once, in time, and in the browser that was sent away.
    pub async fn create_by_oidc(&self, back: Back, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let away = access.away.take(&back.state).ok_or_else(lost)?;
        if !back.cookie.is_some_and(|cookie| token::matches(&cookie, &away.cookie_hash)) {
            return Err(lost());
        }
        let provider = access.offered(away.provider.as_str())?;
        let (Protocol::Oidc(settings), Started::Oidc(started)) = (&provider.protocol, &away.started) else {
            return Err(lost());
        };
        let returned = oidc::Returned {
            code: back.code,
            issuer: back.issuer,
        };
        let relying = access.relying(settings)?;
        let mut person = relying.finish(&access.world, started, &returned).await?;
        person.email_verified |= settings.trusts_emails;
        self.let_person_in(&provider, person, None, visitor).await
    }

    /// Signs in with the name and the password of a directory. What is wrong is not told apart; guessing is slowed down.
    pub async fn create_by_ldap(&self, provider: &str, login: &str, password: &Secret, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let provider = access.offered(provider)?;
        let Protocol::Ldap(settings) = &provider.protocol else {
            return Err(Error::invalid("provider", "does not ask for a password here"));
        };
        let account = format!("{}/{}", provider.id, login.trim());
        let user = access.who_comes_as(&provider, login)?;
        let browser = user.as_ref().map(|user| access.device(&user.id, visitor.device.as_deref()));
        let browser = browser.transpose()?.flatten();
        let attempt = access.attempt(&account, browser.as_ref().map(|browser| &browser.id), visitor.address.as_deref())?;
        // A directory is asked for the password only of those whom it has, which takes it longer.
        let refused_at = refusals::moment();
        match access.directory(settings)?.show(login, password).await {
            Ok(ldap::Shown::Right(person)) => {
                attempt.succeeded();
                self.let_person_in(&provider, person, Some(login.trim()), visitor).await
            }
            Ok(ldap::Shown::Wrong) => {
                let typed = login.trim().parse::<Email>().map(String::from).ok();
                self.note_failure(user.as_deref(), typed, visitor).await?;
                refusals::at(refused_at, Err(no("name or password is wrong"))).await
            }
            Err(error) => {
                attempt.withdrawn();
                Err(error)
            }
        }
    }

    /// Somebody whom the provider has shown. That an account of theirs is not let in is told as a failed sign-in.
    pub(super) async fn let_person_in(
        &self,
        provider: &IdentityProvider,
        person: Person,
        login: Option<&str>,
        visitor: &Visitor,
    ) -> Result<SignedIn> {
        let of = self.access.account_of(provider, &person)?;
        let entered = self.enter_as(provider, person, login, visitor).await;
        if let (Err(Error::Unauthenticated { .. } | Error::Forbidden { .. }), Some(user)) = (&entered, &of) {
            self.note_failure(Some(user), None, visitor).await?;
        }
        entered
    }

    async fn enter_as(&self, provider: &IdentityProvider, mut person: Person, login: Option<&str>, visitor: &Visitor) -> Result<SignedIn> {
        let access = &self.access;
        let key = format!("{}/{}", provider.id, person.subject);
        let known = access.store.external_identities.find(&key)?;
        let email = address(provider, &person)?;
        let told = access.groups_told(provider, &person);
        // Groups that the provider put them into by SCIM count as those that it tells now.
        let put_in = access.provisioned(&provider.id, &email)?.filter(|_| person.email_verified);
        let account = known
            .as_ref()
            .map(|known| &known.user)
            .or(put_in.as_ref().map(|put_in| &put_in.user));
        if let Some(account) = account {
            person.groups.extend(access.provisioned_groups(&provider.id, account)?);
        }
        let Some(role) = access.role_of(provider, &person) else {
            if let Some(known) = &known {
                access.end_what_began(known).await?;
            }
            return Err(no("none of your groups may use this panel; ask its administrator"));
        };
        let note = Note {
            login: login.map(str::to_owned),
            refresh: access.sealed_refresh(&person)?,
            groups: told,
        };
        let user = match known {
            Some(known) => self.known_person(provider, known, &note, role).await?,
            None => None,
        };
        let user = match user {
            Some(user) => user,
            None => self.new_person(provider, &person, email, role, &note, visitor).await?,
        };
        let entry = Entry {
            provider: Some(provider.id.clone()),
            provider_session: person.session.take(),
            provider_until: person.until,
            ..Entry::default()
        };
        self.enter(user, entry, visitor).await
    }

    /// Somebody who was here before; `None` when their account is gone.
    async fn known_person(
        &self,
        provider: &IdentityProvider,
        known: Stored<ExternalIdentity>,
        note: &Note,
        role: Role,
    ) -> Result<Option<Stored<User>>> {
        let access = &self.access;
        let Some(user) = access.store.users.find(known.user.as_str())? else {
            access.store.commit(Batch::new().remove(&known)).await.or_else(settled)?;
            return Ok(None);
        };
        may_enter(&user)?;
        let now = access.world.now();
        let noted = |known: &mut ExternalIdentity| {
            known.last_used_at = now;
            known.checked_at = now;
            known.login.clone_from(&note.login);
            known.refresh.clone_from(&note.refresh);
            known.unanswered_since = None;
            known.groups.clone_from(&note.groups);
            Ok(())
        };
        let key = format!("{}/{}", known.provider, known.subject);
        access.store.external_identities.update(&key, noted).await?;
        access.follow_role(provider, user, role).await.map(Some)
    }

    /// Somebody who was never here: an account with their verified address, or a new one.
    async fn new_person(
        &self,
        provider: &IdentityProvider,
        person: &Person,
        email: Email,
        role: Role,
        note: &Note,
        visitor: &Visitor,
    ) -> Result<Stored<User>> {
        let access = &self.access;
        if !person.email_verified {
            return Err(no(
                "the identity provider does not say that your mail address is yours (email_verified)",
            ));
        }
        let now = access.world.now();
        let identity = |user: &User| ExternalIdentity {
            provider: provider.id.clone(),
            subject: person.subject.clone(),
            organization: user.organization.clone(),
            user: user.id.clone(),
            login: note.login.clone(),
            created_at: now,
            last_used_at: now,
            checked_at: now,
            refresh: note.refresh.clone(),
            unanswered_since: None,
            groups: note.groups.clone(),
        };
        if let Some(put_in) = access.provisioned(&provider.id, &email)? {
            let user = access.store.users.get(put_in.user.as_str())?;
            may_enter(&user)?;
            let user = access.take_address(user, email).await?;
            access.store.external_identities.insert(identity(&user)).await?;
            return access.follow_role(provider, user, role).await;
        }
        if let Some(user) = access.store.users.claimed(email.as_str())? {
            if user.organization != provider.organization {
                return Err(no("your mail address has an account elsewhere"));
            }
            may_enter(&user)?;
            access.store.external_identities.insert(identity(&user)).await?;
            return access.follow_role(provider, user, role).await;
        }
        if !provider.provision {
            return Err(no("you have no account here; ask an administrator for one"));
        }
        let name = person
            .name
            .as_deref()
            .unwrap_or_else(|| email.as_str().split('@').next().unwrap_or("Somebody"));
        let name = check_person(&name.chars().take(100).collect::<String>()).unwrap_or_else(|_| "Somebody".into());
        let user = access.account(&provider.organization, email, name, role);
        let batch = Batch::new().insert(user.clone()).insert(identity(&user));
        let actor = access.actor(&user, visitor.address.clone());
        acting(Asker::from(&actor), access.store.commit(batch)).await?;
        let fact = Fact::UserProvisioned {
            user: user.id.clone(),
            email: user.email.to_string(),
            provider: provider.name.clone(),
        };
        access.events.emit(&actor, fact).await;
        access.store.users.get(user.id.as_str())
    }

    /// Whether somebody who signed in by a directory, or by a provider that can be asked, is still there, with the role that they have
    /// there now. A directory that does not answer takes nothing from anybody. Asked when a session is renewed.
    pub(super) async fn check_external(&self, session: &Session) -> Result<()> {
        let access = &self.access;
        let Some(id) = &session.provider else { return Ok(()) };
        let Ok(provider) = access.offered(id.as_str()) else {
            return Err(super::ended());
        };
        if matches!(provider.protocol, Protocol::Saml(_)) {
            return Ok(());
        }
        let known = access.known_as(&session.user)?;
        match known.into_iter().find(|known| known.provider == *id) {
            Some(known) => match &provider.protocol {
                Protocol::Oidc(settings) => self.ask_provider(&provider, settings, known).await,
                _ => self.still_there(&provider, known).await,
            },
            None => Err(super::ended()),
        }
    }

    /// The same of somebody in a directory who comes by a token, which lasts longer than sessions do.
    pub(super) async fn check_directories(&self, user: &UserId) -> Result<()> {
        for known in self.access.known_as(user)? {
            if let Ok(provider) = self.access.offered(known.provider.as_str()) {
                self.still_there(&provider, known).await?;
            }
        }
        Ok(())
    }

    async fn still_there(&self, provider: &IdentityProvider, mut known: Stored<ExternalIdentity>) -> Result<()> {
        let access = &self.access;
        let Protocol::Ldap(settings) = &provider.protocol else {
            return Ok(());
        };
        let now = access.world.now();
        let Some(login) = known.login.clone().filter(|_| now.since(known.checked_at) >= CHECKED) else {
            return Ok(());
        };
        let found = match access.directory(settings)?.look_up(&login).await {
            Ok(found) => found.filter(|person| person.subject == known.subject),
            Err(error) => {
                tracing::warn!("whether {login} is still in {} is not known: {}", provider.name, report(&error));
                return Ok(());
            }
        };
        let role = match found {
            Some(mut person) => {
                known.groups = access.groups_told(provider, &person);
                person.groups.extend(access.provisioned_groups(&provider.id, &known.user)?);
                access.role_of(provider, &person)
            }
            None => None,
        };
        let Some(role) = role else {
            access.end_what_began(&known).await?;
            return Err(super::ended());
        };
        known.checked_at = now;
        let user = known.user.clone();
        access.store.external_identities.save(known).await.map(drop).or_else(settled)?;
        if let Some(user) = access.store.users.find(user.as_str())? {
            access.follow_role(provider, user, role).await?;
        }
        Ok(())
    }
}

impl Access {
    /// A provider that somebody may sign in by now.
    pub(super) fn offered(&self, id: &str) -> Result<IdentityProvider> {
        let found = self.store.identity_providers.find(id)?.filter(|one| one.enabled);
        found
            .map(|one| one.value)
            .ok_or_else(|| no("this identity provider is not there, or is turned off"))
    }

    /// Who signed in to a directory by this name last.
    pub(super) fn who_comes_as(&self, provider: &IdentityProvider, login: &str) -> Result<Option<Stored<User>>> {
        let login = login.trim().to_lowercase();
        let called = self
            .store
            .external_identities
            .claiming(&format!("login/{}/{login}/", provider.id))?;
        // A longer name may begin so: there may be a slash in it.
        let is_theirs = |one: &&Stored<ExternalIdentity>| one.login.as_deref().is_some_and(|last| last.to_lowercase() == login);
        match called.iter().find(is_theirs) {
            Some(known) => self.store.users.find(known.user.as_str()),
            None => Ok(None),
        }
    }

    /// The account that somebody has here, whether it may be entered or not: the one that they came to before, or in the provider's own
    /// organization the one with their verified address.
    fn account_of(&self, provider: &IdentityProvider, person: &Person) -> Result<Option<Stored<User>>> {
        if let Some(known) = self
            .store
            .external_identities
            .find(&format!("{}/{}", provider.id, person.subject))?
        {
            return self.store.users.find(known.user.as_str());
        }
        let email = address(provider, person).ok().filter(|_| person.email_verified);
        let found = email.map(|email| self.store.users.claimed(email.as_str())).transpose()?.flatten();
        Ok(found.filter(|user| user.organization == provider.organization))
    }

    /// Whether a session may go on: the provider that it began by is there and on.
    pub(crate) fn stands(&self, session: &Session) -> bool {
        session.provider.as_ref().is_none_or(|id| self.offered(id.as_str()).is_ok())
    }

    pub(super) fn role_of(&self, provider: &IdentityProvider, person: &Person) -> Option<Role> {
        match provider.protocol {
            Protocol::Ldap(_) => provider.role(&person.groups, ldap::is_group),
            Protocol::Oidc(_) | Protocol::Saml(_) => provider.role(&person.groups, |group, written| group == written),
        }
    }

    /// Of the groups in the provider's rules those that it tells itself; those of SCIM are read where they are.
    pub(super) fn groups_told(&self, provider: &IdentityProvider, person: &Person) -> Vec<String> {
        match provider.protocol {
            Protocol::Ldap(_) => provider.known_groups(&person.groups, ldap::is_group),
            Protocol::Oidc(_) | Protocol::Saml(_) => provider.known_groups(&person.groups, |group, written| group == written),
        }
    }

    /// Whom a provider put in has their address from now on, since they have shown that it is theirs; unless an account has it
    /// already.
    async fn take_address(&self, user: Stored<User>, email: Email) -> Result<Stored<User>> {
        if user.has_address() {
            return Ok(user);
        }
        let set = |user: &mut User| {
            user.email = email.clone();
            Ok(())
        };
        let actor = Actor::system(user.organization.clone());
        match acting(Asker::from(&actor), self.store.users.update(user.id.as_str(), set)).await {
            Err(Error::Taken { .. }) => Ok(user),
            done => done,
        }
    }

    /// Gives somebody the role that their groups give them; without rules for groups they keep what they have.
    pub(super) async fn follow_role(&self, provider: &IdentityProvider, mut user: Stored<User>, role: Role) -> Result<Stored<User>> {
        if provider.groups.is_empty() || user.role == role || user.role == Role::Owner {
            return Ok(user);
        }
        let _team = self.team.lock().await;
        let before = user.role;
        let set = |user: &mut User| {
            if user.role != Role::Owner {
                user.role = role;
            }
            Ok(())
        };
        let actor = Actor::system(user.organization.clone());
        user = acting(Asker::from(&actor), self.store.users.update(user.id.as_str(), set)).await?;
        let fact = Fact::UserChanged {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.events.emit(&actor, fact).await;
        self.tell_raised(&actor, &user.id, user.email.to_string(), before, user.role).await;
        Ok(user)
    }

    /// A refresh token as it is kept.
    fn sealed_refresh(&self, person: &Person) -> Result<Option<Sealed>> {
        person.refresh.as_ref().map(|refresh| self.store.seal(refresh)).transpose()
    }

    /// Ends the sessions that somebody began by this provider; how many.
    pub(super) async fn end_sessions_by(&self, known: &ExternalIdentity) -> Result<usize> {
        let mut ended = 0;
        for session in self.sessions_of(&known.user)? {
            if session.provider.as_ref() == Some(&known.provider) {
                self.store.sessions.remove(session.id.as_str()).await.or_else(settled)?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Ends what somebody began by this provider, what its groups gave them, and their tokens: they are not to be there any more.
    pub(super) async fn end_what_began(&self, known: &ExternalIdentity) -> Result<()> {
        let leave = |one: &mut ExternalIdentity| {
            one.groups.clear();
            Ok(())
        };
        let key = format!("{}/{}", known.provider, known.subject);
        let left = self.store.external_identities.update(&key, leave).await;
        left.map(drop).or_else(settled)?;
        self.end_sessions_by(known).await?;
        // Owners are the panel's own people, whoever else knows them.
        let user = self.store.users.find(known.user.as_str())?;
        if user.is_some_and(|user| user.role == Role::Owner) {
            return Ok(());
        }
        for token in self.store.tokens.list()?.iter().filter(|token| token.user == known.user) {
            self.store.tokens.remove(token.id.as_str()).await.or_else(settled)?;
        }
        Ok(())
    }

    /// Whether somebody's second factor is their provider's business: they signed in by one.
    pub(crate) fn is_external(&self, user: &UserId) -> Result<bool> {
        Ok(!self.known_as(user)?.is_empty())
    }
}

/// The mail address, if the provider may speak for it.
fn address(provider: &IdentityProvider, person: &Person) -> Result<Email> {
    let given = person.email.as_deref().unwrap_or_default();
    let email: Email = given
        .parse()
        .map_err(|_| no("the identity provider tells no mail address of yours"))?;
    match provider.takes(email.as_str()) {
        true => Ok(email),
        false => Err(no("mail addresses of your domain may not sign in here")),
    }
}

fn may_enter(user: &User) -> Result<()> {
    // Nobody is a service account, whatever address a provider tells.
    if user.disabled || user.service {
        return Err(no("your account here is disabled; ask an administrator"));
    }
    if user.role == Role::Owner {
        return Err(no("owners sign in with their password or passkey, not by an identity provider"));
    }
    Ok(())
}

/// Nothing is told apart: whoever sent the browser learns nothing.
pub(super) fn lost() -> Error {
    no("this sign-in took too long, was used already, or began in another browser; begin again")
}

fn no(why: &str) -> Error {
    Error::Unauthenticated { why: why.into() }
}
