//! Whether those who signed in by OpenID Connect are still there: their provider is asked with the refresh token of their last sign-in,
//! when a session is renewed and by a job. A provider that gave none is not asked; nor is one of SAML, which has no such question.

use super::{Sessions, ended};
use crate::access::{Access, settled};
use async_trait::async_trait;
use identity::oidc::{Asked, Told};
use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};
use store::Stored;
use types::{Actor, Error, ExternalIdentity, Fact, IdentityProvider, OidcSettings, Protocol, Result, Sealed, report};

/// A provider is not asked more often about the same person.
const ASKED: Duration = Duration::from_secs(600);
/// A provider that gives no answer ends nothing for so long; then nobody knows any more who is still there.
const SILENT: Duration = Duration::from_secs(86_400);
/// The job's turn ends after so long, and the next one goes on: a provider that hangs holds up neither the others nor the panel's end.
const TURN: Duration = Duration::from_secs(10);

impl Sessions {
    /// Fails with `Unauthenticated` when the provider does not know them any more, or was silent for too long: what they began by it has
    /// ended then. Their API tokens go on, as they do at a logout there, unless they are in no group any more.
    pub(super) async fn ask_provider(
        &self,
        provider: &IdentityProvider,
        settings: &OidcSettings,
        mut known: Stored<ExternalIdentity>,
    ) -> Result<()> {
        let access = &self.access;
        let now = access.world.now();
        let Some(shown) = known.refresh.clone().filter(|_| now.since(known.checked_at) >= ASKED) else {
            return Ok(());
        };
        // Whoever notes it first asks: a token may be good for one question, and would be taken for stolen with a second.
        known.checked_at = now;
        let known = match access.store.external_identities.save(known).await {
            Ok(known) => known.value,
            Err(Error::Stale { .. } | Error::NotFound { .. }) => return Ok(()),
            Err(error) => {
                tracing::warn!("{} is not asked who is still there: {}", provider.name, report(&error));
                return Ok(());
            }
        };
        let refresh = access.store.unseal(&shown)?;
        let answer = access.relying(settings)?.ask_again(&access.world, &refresh, &known.subject).await;
        match answer {
            Ok(Asked::Still(told)) => access.still_known(provider, &known, &shown, told).await,
            Ok(Asked::Gone(why)) => access.not_known(provider, &known, &shown, &why).await,
            Err(error) => access.unanswered(provider, &known, &shown, &error).await,
        }
    }
}

fn key(known: &ExternalIdentity) -> String {
    format!("{}/{}", known.provider, known.subject)
}

impl Access {
    /// Keeps the next token, and gives the role of the groups of now.
    async fn still_known(&self, provider: &IdentityProvider, known: &ExternalIdentity, shown: &Sealed, told: Told) -> Result<()> {
        let next = told.refresh.map(|refresh| self.store.seal(&refresh)).transpose()?;
        let groups = told.person.as_ref().map(|person| self.groups_told(provider, person));
        let note = |one: &mut ExternalIdentity| {
            // Who signed in meanwhile has brought a newer one.
            if one.refresh.as_ref() == Some(shown) {
                if let Some(groups) = &groups {
                    one.groups.clone_from(groups);
                }
                one.unanswered_since = None;
                if next.is_some() {
                    one.refresh.clone_from(&next);
                }
            }
            Ok(())
        };
        let noted = self.store.external_identities.update(&key(known), note).await;
        noted.map(drop).or_else(settled)?;
        let Some(mut person) = told.person else { return Ok(()) };
        person.groups.extend(self.provisioned_groups(&provider.id, &known.user)?);
        let Some(role) = self.role_of(provider, &person) else {
            self.end_what_began(known).await?;
            self.tell_ended(provider, known, "none of their groups may use this panel").await?;
            return Err(ended());
        };
        if let Some(user) = self.store.users.find(known.user.as_str())? {
            self.follow_role(provider, user, role).await?;
        }
        Ok(())
    }

    async fn not_known(&self, provider: &IdentityProvider, known: &ExternalIdentity, shown: &Sealed, why: &str) -> Result<()> {
        let now = self.store.external_identities.find(&key(known))?;
        if now.is_some_and(|now| now.refresh.as_ref() != Some(shown)) {
            // They signed in there meanwhile.
            return Ok(());
        }
        let ended_some = self.end_sessions_by(known).await? > 0;
        let forget = |one: &mut ExternalIdentity| {
            if one.refresh.as_ref() == Some(shown) {
                one.refresh = None;
                // Nobody is asked about them any more, so what groups gave would stay for ever.
                one.groups.clear();
            }
            Ok(())
        };
        let forgotten = self.store.external_identities.update(&key(known), forget).await;
        forgotten.map(drop).or_else(settled)?;
        if ended_some {
            self.tell_ended(provider, known, &format!("it does not know them any more ({why})"))
                .await?;
        }
        Err(ended())
    }

    async fn unanswered(&self, provider: &IdentityProvider, known: &ExternalIdentity, shown: &Sealed, error: &Error) -> Result<()> {
        tracing::warn!(
            "whether {} is still in {} is not known: {}",
            known.subject,
            provider.name,
            report(error)
        );
        let now = self.world.now();
        let note = |one: &mut ExternalIdentity| {
            if one.refresh.as_ref() == Some(shown) {
                one.unanswered_since = one.unanswered_since.or(Some(now));
            }
            Ok(())
        };
        let noted = match self.store.external_identities.update(&key(known), note).await {
            Ok(noted) => noted,
            Err(error) => return settled(error),
        };
        if noted.unanswered_since.is_none_or(|since| now.since(since) < SILENT) {
            return Ok(());
        }
        if self.end_sessions_by(known).await? > 0 {
            self.tell_ended(provider, known, "it gave no answer for a day").await?;
        }
        Err(ended())
    }

    async fn tell_ended(&self, provider: &IdentityProvider, known: &ExternalIdentity, why: &str) -> Result<()> {
        let Some(user) = self.store.users.find(known.user.as_str())? else {
            return Ok(());
        };
        let fact = Fact::ProviderSessionsEnded {
            user: user.id.clone(),
            email: user.email.to_string(),
            provider: provider.name.clone(),
            why: why.to_owned(),
        };
        self.events.emit(&Actor::system(user.organization.clone()), fact).await;
        Ok(())
    }
}

/// Asks providers of OpenID Connect about those who have something to lose: a session that began there, or a token.
pub struct ProviderAsker {
    sessions: Sessions,
}

/// What one turn found.
#[derive(Debug, Default, serde::Serialize)]
pub struct ProviderAskerReport {
    /// People whose turn it was.
    pub due: usize,
    pub ended: usize,
    pub problems: Vec<String>,
}

impl ProviderAsker {
    pub(crate) fn new(sessions: Sessions) -> ProviderAsker {
        ProviderAsker { sessions }
    }

    /// Those who have something to lose and were not asked about lately. All others whom providers know are not read.
    fn due(&self) -> Result<Vec<Stored<ExternalIdentity>>> {
        let access = &self.sessions.access;
        let now = access.world.now();
        let sessions = access.store.sessions.list()?.into_iter().map(|session| session.value);
        let began: HashSet<_> = sessions.filter_map(|session| Some((session.user, session.provider?))).collect();
        let with_token: HashSet<_> = access.store.tokens.list()?.into_iter().map(|token| token.value.user).collect();
        let people: BTreeSet<_> = began.iter().map(|(user, _)| user).chain(&with_token).collect();
        let mut due = Vec::new();
        for user in people {
            let mut known = access.known_as(user)?;
            known.retain(|known| {
                let has_something = with_token.contains(user) || began.contains(&(user.clone(), known.provider.clone()));
                has_something && known.refresh.is_some() && now.since(known.checked_at) >= ASKED
            });
            due.extend(known);
        }
        Ok(due)
    }
}

#[async_trait]
impl jobs::Job for ProviderAsker {
    const NAME: &'static str = "provider_asker";
    type Report = ProviderAskerReport;

    async fn run(&mut self) -> Result<ProviderAskerReport> {
        let mut told = ProviderAskerReport::default();
        let begun = Instant::now();
        for known in self.due()? {
            if begun.elapsed() > TURN {
                break;
            }
            let Ok(provider) = self.sessions.access.offered(known.provider.as_str()) else {
                continue;
            };
            let Protocol::Oidc(settings) = &provider.protocol else { continue };
            told.due += 1;
            match self.sessions.ask_provider(&provider, settings, known).await {
                Ok(()) => {}
                Err(Error::Unauthenticated { .. }) => told.ended += 1,
                Err(error) => told.problems.push(format!("{}: {}", provider.name, report(&error))),
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        GroupWish,
        access::tests::{Gate, PASSWORD, visitor},
        sessions::{Further, tests::by_oidc},
    };
    use types::{Action, Role, Secret};

    /// The job runs every minute, and most whom a provider knows are not here just now.
    #[tokio::test]
    async fn only_who_has_something_to_lose_is_read_and_asked_about() {
        let (gate, owner) = Gate::claimed().await;
        let (store, now) = (&gate.access.store, gate.access.world.now());
        let provider = gate.identity_providers.create(&owner, by_oidc(Vec::new())).await.expect("made");
        let refresh = store.seal(&Secret::from("first")).expect("sealed");
        let known = async |user: &types::User, subject: &str, refresh: Option<&Sealed>| {
            let identity = ExternalIdentity {
                provider: provider.id.clone(),
                subject: subject.into(),
                organization: owner.organization.clone(),
                user: user.id.clone(),
                login: None,
                created_at: now,
                last_used_at: now,
                checked_at: now,
                refresh: refresh.cloned(),
                unanswered_since: None,
                groups: Vec::new(),
            };
            store.external_identities.insert(identity).await.expect("kept");
        };
        let (amy, _) = gate.add(&owner, "amy@example.com", Role::Viewer).await;
        for number in 0..30 {
            known(&amy, &format!("amy {number}"), Some(&refresh)).await;
        }
        let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
        known(&bob, "bob", Some(&refresh)).await;
        let (cy, _) = gate.add(&owner, "cy@example.com", Role::Viewer).await;
        known(&cy, "cy", None).await;
        for user in [&bob, &cy] {
            let (mut session, _) = gate.access.new_session(user, &visitor("10.0.0.9")).expect("begun");
            session.provider = Some(provider.id.clone());
            store.sessions.insert(session).await.expect("kept");
        }
        let asker = ProviderAsker::new(gate.sessions.clone());
        let due = async || {
            let (due, effort) = store::counted(async { asker.due().expect("read") }).await;
            let subjects: Vec<String> = due.into_iter().map(|known| known.value.subject).collect();
            (subjects, effort.records)
        };
        assert_eq!(due().await.0, [""; 0], "they were shown a moment ago");
        gate.clock.forward(ASKED);
        let (subjects, records) = due().await;
        assert_eq!(subjects, ["bob"], "nobody can be asked about cy");
        assert!(records < 10, "{records}");
    }

    /// What groups give ends with them, also for who signs in with a password here.
    #[tokio::test]
    async fn who_is_gone_has_nothing_by_their_groups() {
        let (gate, owner) = Gate::claimed().await;
        let rights = [Action::Deploy].into();
        gate.rights.create_role(&owner, "Builder", "", rights).await.expect("made");
        let by_group = GroupWish {
            group: "dev".into(),
            role: "Builder".into(),
            place: None,
        };
        let provider = gate.identity_providers.create(&owner, by_oidc(vec![by_group])).await.expect("made");
        let (bob, _) = gate.add(&owner, "bob@example.com", Role::Member).await;
        let (access, store, now) = (&gate.access, &gate.access.store, gate.access.world.now());
        let seal = |word: &str| store.seal(&Secret::from(word)).expect("sealed");
        let (first, second) = (seal("first"), seal("second"));
        let identity = ExternalIdentity {
            provider: provider.id.clone(),
            subject: "1".into(),
            organization: owner.organization.clone(),
            user: bob.id.clone(),
            login: None,
            created_at: now,
            last_used_at: now,
            checked_at: now,
            refresh: Some(second.clone()),
            unanswered_since: None,
            groups: vec!["dev".into()],
        };
        store.external_identities.insert(identity.clone()).await.expect("kept");
        let signed = gate
            .sessions
            .create("bob@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect("signed in");
        let jwt = signed.jwt.expose_str().expect("text");
        let may = || {
            let known = gate.sessions.by_cookie(jwt, None).expect("by a password, it goes on");
            known.actor.may(Action::Deploy).is_ok()
        };
        let told = || gate.facts().iter().filter(|fact| *fact == "provider_sessions_ended").count();
        assert!(may());

        let late = access.not_known(&provider, &identity, &first, "invalid_grant").await;
        assert!(late.is_ok() && may(), "they signed in there meanwhile");
        let gone = access.not_known(&provider, &identity, &second, "invalid_grant").await;
        assert!(matches!(gone, Err(Error::Unauthenticated { .. })), "{gone:?}");
        assert!(!may());
        assert_eq!(told(), 0, "none of their sessions began there");

        let back = |one: &mut ExternalIdentity| {
            one.clone_from(&identity);
            Ok(())
        };
        store.external_identities.update(&key(&identity), back).await.expect("kept");
        let (mut session, _) = access.new_session(&bob, &visitor("10.0.0.9")).expect("begun");
        session.provider = Some(provider.id.clone());
        store.sessions.insert(session).await.expect("kept");
        assert!(may());
        let gone = access.not_known(&provider, &identity, &second, "invalid_grant").await;
        assert!(gone.is_err() && !may());
        assert_eq!(told(), 1);

        store.external_identities.update(&key(&identity), back).await.expect("kept");
        assert!(may());
        access.end_what_began(&identity).await.expect("ended");
        assert!(!may(), "in no group, or not in the directory any more");
    }
}
