//! Mail about what happened: to the person whom it concerns, and to the administrators, for what the Security page shows, for quotas, for
//! canaries that failed, for jobs that begin to fail or are well again, and for newer images of apps whose watch tells of them.
//! It reads the events that are kept, up to a mark, so a crash neither loses a notice nor sends one twice.

use crate::{access::Access, ground::Ground, job_alerts, mail};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::{Batch, MAIL_KEY, NOTICE_MARK_KEY, Stored};
use types::{AppId, Event, Fact, Letter, NoticeMark, OnNewImage, OrganizationId, Result, Role, Time, User, UserId, Who};

/// A notice that could not be sent for so long is of no use any more.
const LASTS: Duration = Duration::from_secs(2 * 86_400);
/// Single wrong passwords are everyday; so many within the time are told, once in that time.
const FAILURES: u32 = 5;
const WITHIN: Duration = Duration::from_secs(3600);
/// Events looked at in one turn; of more, the older are on the Security page only.
const TURN: usize = 500;
/// Events read at once.
const PAGE: usize = 50;

/// See the module.
pub struct Notices {
    access: Arc<Access>,
    ground: Arc<Ground>,
    /// Failed sign-ins by organization: since when, how many.
    failures: HashMap<OrganizationId, (Time, u32)>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct NoticeReport {
    pub events: usize,
    pub letters: usize,
}

impl Notices {
    pub(crate) fn new(access: Arc<Access>, ground: Arc<Ground>) -> Notices {
        Notices {
            access,
            ground,
            failures: HashMap::new(),
        }
    }

    /// Those that were written after the mark, oldest first. Ids do not tell the order within a millisecond; revisions do.
    fn fresh(&self, mark: u64) -> Result<Vec<Stored<Event>>> {
        let mut fresh: Vec<Stored<Event>> = Vec::new();
        let mut page = self.ground.store.events.last(PAGE)?;
        while let Some(oldest) = page.last().map(|event| event.id.to_string()) {
            page.retain(|event| event.revision > mark);
            let ends = page.is_empty();
            fresh.append(&mut page);
            if ends || fresh.len() >= TURN {
                break;
            }
            page = self.ground.store.events.before(&oldest, PAGE)?;
        }
        fresh.sort_by_key(|event| event.revision);
        Ok(fresh)
    }

    /// What is written because of one event.
    fn letters(&mut self, event: &Event) -> Result<Vec<Letter>> {
        let is_wanted = match &event.fact {
            Fact::QuotaReached { .. } | Fact::CanaryFailed { .. } | Fact::RolledBack { .. } => true,
            Fact::RunFailed { app, run, .. } | Fact::RunRecovered { app, run, .. } => job_alerts::is_told(&self.ground, app, run)?,
            Fact::NewerImageFound { app, .. } => self.is_watched(app)?,
            fact => fact.is_security() || is_theirs_alone(fact),
        };
        if !is_wanted {
            return Ok(Vec::new());
        }
        let concerned = concerned(event)
            .map(|id| self.access.store.users.find(id.as_str()))
            .transpose()?
            .flatten();
        let mut letters = Vec::new();
        if let Some(user) = concerned.as_ref().filter(|user| !user.disabled && user.has_address()) {
            letters.push(self.write(event, user, true, 1)?);
        }
        let count = match event.fact {
            Fact::LoginFailed { .. } => match self.is_much(event) {
                Some(count) => count,
                None => return Ok(letters),
            },
            _ => 1,
        };
        if is_theirs_alone(&event.fact) {
            return Ok(letters);
        }
        for admin in self.administrators(&event.organization)? {
            if concerned.as_ref().is_none_or(|user| user.id != admin.id) {
                letters.push(self.write(event, &admin, false, count)?);
            }
        }
        Ok(letters)
    }

    /// Whether newer images of an app are to be told of. Where they are deployed, that is seen at the deployment.
    fn is_watched(&self, app: &AppId) -> Result<bool> {
        let watch = self.ground.store.image_watches.find(app.as_str())?;
        Ok(watch.is_some_and(|watch| watch.on_new == OnNewImage::Notify))
    }

    /// How many failed sign-ins there were, when they have just become worth a mail.
    fn is_much(&mut self, event: &Event) -> Option<u32> {
        let (since, count) = self.failures.entry(event.organization.clone()).or_insert((event.at, 0));
        if event.at.since(*since) >= WITHIN {
            (*since, *count) = (event.at, 0);
        }
        *count += 1;
        (*count == FAILURES).then_some(*count)
    }

    fn administrators(&self, organization: &OrganizationId) -> Result<Vec<User>> {
        let mut found = Vec::new();
        for user in self.access.store.users.list()? {
            let guards = self.access.role_in(&user, organization)? >= Some(Role::Admin);
            if guards && !user.disabled && user.has_address() {
                found.push(user.value);
            }
        }
        Ok(found)
    }

    fn write(&self, event: &Event, to: &User, own: bool, count: u32) -> Result<Letter> {
        let panel = self.ground.panel_address()?;
        let by = match &event.by {
            Who::User { id, .. } if own && *id == to.id => "You".to_owned(),
            Who::System => "serverkit".to_owned(),
            by => by.to_string(),
        };
        let from = event
            .address
            .as_ref()
            .map(|address| format!("From: {address}\n"))
            .unwrap_or_default();
        let (what, subject) = match count {
            1 if matches!(event.fact, Fact::RunFailed { .. } | Fact::RunRecovered { .. }) => {
                (format!("On this panel {}.", event.fact.words()), subject(&event.fact))
            }
            1 => (format!("{by} {}.", event.fact.words()), subject(&event.fact)),
            count => (
                format!("{count} sign-ins have failed within an hour. The last one {}.", event.fact.words()),
                "Failed sign-ins",
            ),
        };
        let agent = match &event.fact {
            Fact::NewDevice { agent, .. } => format!("Browser: {agent}\n"),
            _ => String::new(),
        };
        let advice = match (&event.fact, own) {
            (Fact::RunFailed { app, .. }, _) => {
                format!("What it printed: {panel}/apps/{app}/jobs\nThe next mail of it comes when it has gone well again.")
            }
            (Fact::RunRecovered { app, .. }, _) => format!("Its runs: {panel}/apps/{app}/jobs"),
            (Fact::NewerImageFound { app, .. } | Fact::RolledBack { app, .. }, _) => format!("The app: {panel}/apps/{app}"),
            (_, true) => format!("If it was not you, change your password and end your other sessions: {panel}/account"),
            (Fact::CanaryFailed { host, .. }, _) => {
                format!("It gets nothing until it is saved again: {panel}/domains/{host}/canary")
            }
            (Fact::QuotaReached { .. }, _) => format!("All quotas: {panel}/quotas"),
            _ => format!("All security events: {panel}/security"),
        };
        let text = format!("{what}\n\nWhen: {}\n{from}{agent}Panel: {panel}\n\n{advice}\n", event.at);
        mail::letter(&self.ground, &to.email, format!("{subject} at the server panel"), &text, LASTS)
    }

    /// Letters and mark are one batch.
    async fn note(&self, mut mark: Stored<NoticeMark>, last: u64, letters: Vec<Letter>) -> Result<()> {
        mark.value.told = last;
        let batch = Batch::new().save(mark);
        let wakes = !letters.is_empty();
        let batch = letters.into_iter().fold(batch, Batch::insert);
        self.ground.store.commit(batch).await?;
        if wakes {
            self.ground.wakes.mail.wake();
        }
        Ok(())
    }
}

/// From now on: what happened before anybody wished for mail is not told.
pub(crate) async fn begin(ground: &Ground) -> Result<()> {
    let newest = ground.store.events.last(PAGE)?;
    let told = newest.iter().map(|event| event.revision).max().unwrap_or_default();
    let marks = &ground.store.notice_mark;
    match marks.find(NOTICE_MARK_KEY)? {
        Some(mut stored) => {
            stored.value.told = told;
            marks.save(stored).await?;
        }
        None => {
            marks.insert(NoticeMark { told }).await?;
        }
    }
    Ok(())
}

/// The person whose account it is about; not somebody who only did it.
fn concerned(event: &Event) -> Option<&UserId> {
    match &event.fact {
        Fact::SecondFactorFailed { user, .. }
        | Fact::SecondFactorRemoved { user, .. }
        | Fact::SecondFactorAdded { user, .. }
        | Fact::PasskeyAdded { user, .. }
        | Fact::PasskeyRemoved { user, .. }
        | Fact::RecoveryCodeUsed { user, .. }
        | Fact::NewCountry { user, .. }
        | Fact::NewDevice { user, .. }
        | Fact::PasswordReset { user, .. }
        | Fact::PasswordSet { user, .. }
        | Fact::RoleRaised { user, .. } => Some(user),
        Fact::TokenCreated { .. } | Fact::TokenRotated { .. } => match &event.by {
            Who::User { id, .. } => Some(id),
            _ => None,
        },
        _ => None,
    }
}

/// What somebody changed at their own account that leaves it as safe as it was: for them to know, if it was not they.
fn is_theirs_alone(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::SecondFactorAdded { .. } | Fact::PasskeyAdded { .. } | Fact::PasskeyRemoved { .. }
    )
}

fn subject(fact: &Fact) -> &'static str {
    match fact {
        Fact::NewCountry { .. } => "A sign-in from a new country",
        Fact::NewDevice { .. } => "A new browser",
        Fact::PasswordReset { .. } | Fact::PasswordSet { .. } => "A new password",
        Fact::SecondFactorFailed { .. } => "A wrong code",
        Fact::SecondFactorRemoved { .. } => "A second factor was taken away",
        Fact::SecondFactorAdded { .. } => "A new second factor",
        Fact::PasskeyAdded { .. } => "A new passkey",
        Fact::PasskeyRemoved { .. } => "A passkey was removed",
        Fact::RecoveryCodeUsed { .. } => "A recovery code was used",
        Fact::TokenCreated { .. } | Fact::TokenRotated { .. } => "A new token",
        Fact::ProviderSessionsEnded { .. } => "Signed out by a provider",
        Fact::IdentityProviderChanged { .. } => "An identity provider",
        Fact::RoleRaised { .. } | Fact::RoleChanged { .. } | Fact::RightsGranted { .. } => "More rights",
        Fact::UserCreated { .. } | Fact::InvitationAccepted { .. } => "A new account",
        Fact::AllowListsChanged { .. } | Fact::AllowListsReverted { .. } => "Where the panel is reached from",
        Fact::OrganizationRemoved { .. } => "An organization was deleted",
        Fact::QuotaReached { percent: 100, .. } => "A quota is used up",
        Fact::QuotaReached { .. } => "A quota is nearly used up",
        Fact::CanaryFailed { .. } => "A canary failed",
        Fact::RolledBack { .. } => "A release was rolled back",
        Fact::AuditBroken { .. } => "The audit log is broken",
        Fact::RunFailed { .. } => "A job failed",
        Fact::RunRecovered { .. } => "A job is well again",
        Fact::NewerImageFound { .. } => "A newer image",
        _ => "A security event",
    }
}

#[async_trait]
impl jobs::Job for Notices {
    const NAME: &'static str = "notices";
    type Report = NoticeReport;

    async fn run(&mut self) -> Result<NoticeReport> {
        let wanted = self.ground.store.mail.find(MAIL_KEY)?.is_some_and(|server| server.notices);
        let mark = self.ground.store.notice_mark.find(NOTICE_MARK_KEY)?;
        let Some(mark) = mark.filter(|_| wanted) else {
            return Ok(NoticeReport::default());
        };
        let fresh = self.fresh(mark.value.told)?;
        let Some(last) = fresh.last().map(|event| event.revision) else {
            return Ok(NoticeReport::default());
        };
        let mut letters = Vec::new();
        for event in &fresh {
            letters.extend(self.letters(event)?);
        }
        let done = NoticeReport {
            events: fresh.len(),
            letters: letters.len(),
        };
        self.note(mark, last, letters).await?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MailService, MailWish, access::identity_parts, testing::Bench};
    use jobs::Job;
    use types::{Actor, ImageWatch, MailSecurity};

    fn wish(notices: bool) -> MailWish {
        MailWish {
            host: "127.0.0.1".into(),
            port: 25,
            security: MailSecurity::Plain,
            user: None,
            password: None,
            from: "panel@example.com".into(),
            ca_pem: None,
            notices,
        }
    }

    fn person(bench: &Bench, email: &str, role: Role) -> User {
        User {
            id: bench.ground.world.id(),
            organization: bench.owner.organization.clone(),
            email: email.parse().expect("an address"),
            name: "Somebody".into(),
            role,
            password_hash: String::new(),
            disabled: false,
            created_at: bench.ground.world.now(),
            last_seen_at: None,
            service: false,
        }
    }

    #[tokio::test]
    async fn mail_goes_to_whom_it_concerns_and_to_those_who_guard() {
        let bench = Bench::new().await;
        let (ground, access) = (bench.ground.clone(), identity_parts(&bench.ground).expect("opens"));
        let (owner, bob) = (
            person(&bench, "ada@example.com", Role::Owner),
            person(&bench, "bob@example.com", Role::Viewer),
        );
        for user in [&owner, &bob] {
            ground.store.users.insert(user.clone()).await.expect("added");
        }
        let mut notices = Notices::new(access.clone(), ground.clone());
        let bobs = access.actor(&bob, Some("192.0.2.7".into()));
        let browser = || Fact::NewDevice {
            user: bob.id.clone(),
            email: bob.email.to_string(),
            agent: "a browser".into(),
        };
        let told = || {
            let letters = ground.store.letters.list().expect("lists").into_iter();
            let mut all: Vec<(String, String)> = letters.map(|one| (one.to.to_string(), one.subject.clone())).collect();
            all.sort();
            all
        };
        // Before anybody wishes for mail.
        ground.events.emit(&bobs, browser()).await;
        notices.run().await.expect("looks");
        let service = MailService::new(ground.clone());
        service.set(&bench.owner, wish(true)).await.expect("set");
        notices.run().await.expect("looks");
        assert!(told().is_empty());
        ground.events.emit(&bobs, browser()).await;
        ground.events.emit(&bobs, Fact::SignedIn { user: bob.id.clone() }).await;
        notices.run().await.expect("looks");
        notices.run().await.expect("looks");
        let subject = "A new browser at the server panel".to_owned();
        assert_eq!(
            told(),
            [("ada@example.com".into(), subject.clone()), ("bob@example.com".into(), subject)]
        );
        for letter in ground.store.letters.list().expect("lists") {
            let text = ground.store.unseal(&letter.text).expect("opens");
            let text = text.expose_str().expect("text");
            let who = if letter.to == bob.email { "You" } else { "bob@example.com" };
            assert!(text.starts_with(&format!("{who} signed in with a new browser.")), "{text}");
            assert!(text.contains("From: 192.0.2.7\nBrowser: a browser\n"), "{text}");
            ground.store.letters.remove(letter.id.as_str()).await.expect("removed");
        }

        // One wrong password is everyday; the fifth within an hour is told, and once.
        let mut nobody = Actor::system(bench.owner.organization.clone());
        nobody.address = Some("198.51.100.1".into());
        for _ in 0..9 {
            let failed = Fact::LoginFailed {
                email: "bob@example.com".into(),
            };
            ground.events.emit(&nobody, failed).await;
        }
        notices.run().await.expect("looks");
        assert_eq!(told(), [("ada@example.com".into(), "Failed sign-ins at the server panel".into())]);
        let failed = Fact::CanaryFailed {
            app: ground.world.id(),
            host: "blog.example.com".parse().expect("a host"),
            name: "next".into(),
            why: "7 of 100 requests failed, and 5 may".into(),
        };
        ground.events.emit(&Actor::system(bench.owner.organization.clone()), failed).await;
        notices.run().await.expect("looks");
        assert_eq!(told()[0], ("ada@example.com".into(), "A canary failed at the server panel".into()));
        let letters = ground.store.letters.list().expect("lists");
        let letter = letters.iter().find(|one| one.subject.starts_with("A canary")).expect("it is there");
        let text = ground.store.unseal(&letter.text).expect("opens");
        let text = text.expose_str().expect("text");
        let begins = "serverkit took blog.example.com back from the canary next: 7 of 100";
        assert!(
            text.starts_with(begins) && text.contains("/domains/blog.example.com/canary"),
            "{text}"
        );
        service.set(&bench.owner, wish(false)).await.expect("set");
        ground.events.emit(&bobs, browser()).await;
        notices.run().await.expect("looks");
        assert_eq!(told().len(), 2, "nobody wishes for them");
    }

    /// What an app's watch deploys by itself is seen at the deployment.
    #[tokio::test]
    async fn a_newer_image_is_told_where_its_watch_says_so() {
        let bench = Bench::new().await;
        let ground = bench.ground.clone();
        let owner = person(&bench, "ada@example.com", Role::Owner);
        ground.store.users.insert(owner).await.expect("added");
        let service = MailService::new(ground.clone());
        service.set(&bench.owner, wish(true)).await.expect("set");
        let mut notices = Notices::new(identity_parts(&ground).expect("opens"), ground.clone());
        for (name, on_new) in [("blog", OnNewImage::Notify), ("shop", OnNewImage::Deploy)] {
            let watch = ImageWatch {
                app: ground.world.id(),
                organization: bench.owner.organization.clone(),
                on_new,
                every_minutes: 15,
                window: None,
                images: Vec::new(),
                waiting: None,
                created_at: ground.world.now(),
            };
            let found = Fact::NewerImageFound {
                app: watch.app.clone(),
                name: name.into(),
                image: "registry.test/web:1".into(),
                digest: "sha256:bbbb".into(),
            };
            ground.store.image_watches.insert(watch).await.expect("kept");
            ground.events.emit(&bench.owner, found).await;
        }
        notices.run().await.expect("looks");
        let letters = ground.store.letters.list().expect("lists");
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].subject, "A newer image at the server panel");
        let text = ground.store.unseal(&letters[0].text).expect("opens");
        let text = text.expose_str().expect("text");
        assert!(text.contains("found a newer registry.test/web:1 for blog."), "{text}");
    }

    #[tokio::test]
    async fn what_makes_an_account_safer_is_for_its_owner_alone() {
        let bench = Bench::new().await;
        let (ground, access) = (bench.ground.clone(), identity_parts(&bench.ground).expect("opens"));
        let bob = person(&bench, "bob@example.com", Role::Viewer);
        for user in [person(&bench, "ada@example.com", Role::Owner), bob.clone()] {
            ground.store.users.insert(user).await.expect("added");
        }
        let service = MailService::new(ground.clone());
        service.set(&bench.owner, wish(true)).await.expect("set");
        let mut notices = Notices::new(access.clone(), ground.clone());
        let (user, email, name) = (bob.id.clone(), bob.email.to_string(), "phone".to_owned());
        let facts = [
            Fact::PasskeyAdded {
                user: user.clone(),
                email: email.clone(),
                name: name.clone(),
            },
            Fact::PasskeyRemoved {
                user: user.clone(),
                email: email.clone(),
                name,
            },
            Fact::SecondFactorAdded {
                user: user.clone(),
                email: email.clone(),
            },
            Fact::SecondFactorRemoved { user, email },
        ];
        for fact in facts {
            ground.events.emit(&access.actor(&bob, None), fact).await;
        }
        notices.run().await.expect("looks");
        let letters = ground.store.letters.list().expect("lists").into_iter();
        let mut told: Vec<(String, String)> = letters.map(|one| (one.to.to_string(), one.subject.clone())).collect();
        told.sort();
        let expected = [
            ("ada@example.com", "A second factor was taken away"),
            ("bob@example.com", "A new passkey"),
            ("bob@example.com", "A new second factor"),
            ("bob@example.com", "A passkey was removed"),
            ("bob@example.com", "A second factor was taken away"),
        ];
        assert_eq!(
            told,
            expected.map(|(to, what)| (to.to_owned(), format!("{what} at the server panel")))
        );
    }
}
