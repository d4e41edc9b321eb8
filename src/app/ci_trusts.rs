//! Repositories whose CI may deploy an app: an ID token that their forge signs for a job is changed for an API token that can
//! deploy this app alone, for an hour. Nothing secret lies at the forge.

mod claims;

use crate::{
    access::Access,
    apps::{find_app, not_trashed},
    ci_workflow::workflow,
    ground::Ground,
    refusals,
};
use claims::{misfit, number_of, reference_of, repository_of, run_of};
use identity::{KeyState, Workload, WorkloadIssuer, Workloads, check_authority, checked_issuer, claimed, token};
use serde_json::Value;
use source::webhooks::Filter;
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored};
use tokio::time::{Instant, timeout_at};
use types::{
    Action, Actor, ApiToken, App, AppId, CiTrust, CiUse, Error, Fact, Kind, Result, Role, Scope, Scopes, Secret, Spot, Time, User, Who,
};

/// Whose tokens are believed when nothing else is said.
pub const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
/// How long what is given is good.
const LASTS: Duration = Duration::from_secs(60 * 60);
/// Of one app.
const MOST: usize = 50;
/// ID tokens of one repository within an hour.
const MOST_USES: usize = 500;
/// Of an own authority's certificates, in bytes.
const AUTHORITY: usize = 64 << 10;
/// What clocks may differ by, as for the ID token itself.
const LEEWAY: Duration = Duration::from_secs(60);

/// A repository to trust.
#[derive(Debug, Clone)]
pub struct CiTrustWish {
    /// `None`: GitHub's.
    pub issuer: Option<String>,
    /// Certificates in PEM that are believed of it, beside those of this machine.
    pub authority: Option<String>,
    pub repository: String,
    pub branches: Vec<String>,
    pub tags: Vec<String>,
    pub environment: Option<String>,
    pub workflow: Option<String>,
}

#[derive(Debug, Clone)]
pub struct CiTrustView {
    pub trust: CiTrust,
    /// Through whom its tokens act, if they are still there.
    pub by: Option<String>,
    /// Whether its issuer's keys are there.
    pub keys: KeyState,
}

/// What the trusts say of a token.
enum Found {
    /// One fits all that it says.
    Fitting(Box<(App, Stored<CiTrust>, Workload)>),
    /// It is of a repository that is trusted, but not as it must be.
    Misfit(Error),
    /// It would be of a repository that is trusted, if one of the keys that are known had signed it.
    Unsigned,
    Unknown,
}

/// What an ID token was changed for.
#[derive(Debug)]
pub struct CiToken {
    pub app: App,
    pub secret: Secret,
    pub expires_at: Time,
}

#[derive(Clone)]
pub struct CiTrusts {
    ground: Arc<Ground>,
    access: Arc<Access>,
    pub(crate) workloads: Arc<Workloads>,
}

impl CiTrusts {
    pub(crate) fn new(ground: Arc<Ground>, access: Arc<Access>) -> CiTrusts {
        let workloads = Arc::new(Workloads::new(ground.world.clone()));
        CiTrusts { ground, access, workloads }
    }

    /// For whom ID tokens must be made: where people reach the panel.
    pub fn audience(&self) -> Result<String> {
        self.ground.panel_address()
    }

    /// Oldest first.
    pub async fn list(&self, actor: &Actor, app: &str) -> Result<Vec<CiTrustView>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let all = self.ground.store.ci_trusts.prefix(&format!("{}/", app.id))?;
        all.into_iter().map(|stored| self.view(stored.value)).collect()
    }

    /// A workflow for GitHub Actions that deploys the app.
    pub async fn workflow(&self, actor: &Actor, app: &str) -> Result<String> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        Ok(workflow(&app, &self.audience()?))
    }

    /// Its tokens act through the one who asks, who must be allowed to deploy. On the machine that is the first owner. Fails with
    /// `Invalid` for what is no repository, issuer or pattern.
    pub async fn add(&self, actor: &Actor, app: &str, wish: CiTrustWish) -> Result<CiTrustView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Configure, app)?;
        must_be_sure(actor, &app)?;
        not_trashed(&app)?;
        let wish = checked(wish)?;
        let store = &ground.store;
        if store.ci_trusts.prefix(&format!("{}/", app.id))?.len() >= MOST {
            return Err(Error::busy(format!("`{}` trusts {MOST} repositories, which is the most", app.name)));
        }
        let trust = CiTrust {
            id: ground.world.id(),
            organization: app.organization.clone(),
            app: app.id.clone(),
            user: through(ground, actor)?.id,
            issuer: wish.issuer.unwrap_or_else(|| GITHUB_ISSUER.into()),
            authority: wish.authority,
            repository: wish.repository,
            repository_id: None,
            branches: wish.branches,
            tags: wish.tags,
            environment: wish.environment,
            workflow: wish.workflow,
            created_at: ground.world.now(),
            ends_at: ends_with(ground, actor)?,
            last_used_at: None,
            used: Default::default(),
        };
        let trust = store.ci_trusts.insert(trust).await?.value;
        ground.wakes.ci_keys.wake();
        self.tell(actor, &app, &trust, "added").await;
        self.view(trust)
    }

    /// What was given to its jobs ends too.
    pub async fn remove(&self, actor: &Actor, app: &str, id: &str) -> Result<()> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Configure, app)?;
        let found = ground.store.ci_trusts.find(&format!("{}/{id}", app.id))?;
        let trust = found.ok_or_else(|| Error::not_found(Kind::CiTrust, id))?;
        let mut batch = Batch::new().remove(&trust);
        for given in self.given(&trust, |_| true)? {
            batch = batch.remove(&given);
        }
        ground.store.commit(batch).await?;
        self.tell(actor, &app, &trust, "removed").await;
        Ok(())
    }

    /// Changes the ID token of a job for an API token. Fails with `Unauthenticated` unless a repository that the app trusts fits all
    /// that it says, and when it came before.
    ///
    /// Anybody may ask, and apps of all organizations have their names here: so nothing is said of an app or of an issuer, not even that it is
    /// known here, but to a job of a repository that the app trusts. All others get the same words at the same time after they asked.
    pub async fn exchange(&self, app: &str, id_token: &str) -> Result<CiToken> {
        // Keys that are missing may still come before that.
        let refused_at = refusals::moment();
        refusals::at(refused_at, self.change(app, id_token, refused_at).await).await
    }

    /// Waits until `last` for keys that are being read, of an issuer that has new ones or is trusted only just now.
    async fn change(&self, app: &str, id_token: &str, last: Instant) -> Result<CiToken> {
        let audience = self.audience()?;
        let claims = claimed(id_token, &audience, self.ground.world.now())?;
        let mut news = self.workloads.news();
        loop {
            match self.find(app, id_token, &claims, &audience)? {
                Found::Fitting(found) => {
                    let (app, trust, workload) = *found;
                    return self.give(app, trust, &workload).await;
                }
                Found::Misfit(why) => return Err(why),
                Found::Unknown => return Err(untrusted(app, &claims)),
                Found::Unsigned => self.ground.wakes.ci_keys.wake(),
            }
            if !matches!(timeout_at(last, news.changed()).await, Ok(Ok(()))) {
                return Err(untrusted(app, &claims));
            }
        }
    }

    /// Looks through the trusts that what the token claims is about.
    fn find(&self, app: &str, id_token: &str, claims: &Value, audience: &str) -> Result<Found> {
        let now = self.ground.world.now();
        let (mut unsigned, mut why) = (Vec::new(), None);
        let mut fitting: Option<(App, Stored<CiTrust>, Workload)> = None;
        for trust in self.ground.store.ci_trusts.list()? {
            let is_about = claims["iss"] == trust.issuer.as_str() && trust.repository.eq_ignore_ascii_case(repository_of(claims));
            let Some(meant) = is_about.then(|| self.meant(&trust, app)).transpose()?.flatten() else {
                continue;
            };
            // An authority of its own vouches for this trust alone.
            let Some(workload) = self.workloads.check(id_token, &issuer_of(&trust), audience) else {
                unsigned.push((meant.id, trust.value.authority));
                continue;
            };
            match misfit(&trust, &workload.claims, now)? {
                Some(reason) => why = Some(refused(&reason)),
                None if fitting.as_ref().is_some_and(|(other, ..)| other.id != meant.id) => {
                    return Ok(Found::Misfit(refused(&format!(
                        "more than one app `{app}` trusts `{}`; name it by its id",
                        trust.repository
                    ))));
                }
                None => fitting = fitting.or(Some((meant, trust, workload))),
            }
        }
        // Another app of this name may fit too, as soon as its organization has read the same keys.
        let may_be_two = |(app, trust, _): &(App, Stored<CiTrust>, Workload)| {
            let is_other = |(other, authority): &(AppId, Option<String>)| *other != app.id && *authority == trust.authority;
            unsigned.iter().any(is_other)
        };
        Ok(match (fitting, why) {
            (Some(found), _) if may_be_two(&found) => Found::Unsigned,
            (Some(found), _) => Found::Fitting(Box::new(found)),
            (None, Some(why)) => Found::Misfit(why),
            (None, None) if !unsigned.is_empty() => Found::Unsigned,
            (None, None) => Found::Unknown,
        })
    }

    /// The app of a trust, if it is there and goes by this id or name.
    fn meant(&self, trust: &CiTrust, wanted: &str) -> Result<Option<App>> {
        let app = self.ground.store.apps.find(trust.app.as_str())?;
        let app = app.filter(|app| app.trashed_at.is_none() && (app.id.as_str() == wanted || app.name.as_str() == wanted));
        Ok(app.map(|app| app.value))
    }

    /// Makes the token and notes that this ID token was changed, in one step: two that come at once cannot both succeed.
    async fn give(&self, app: App, mut trust: Stored<CiTrust>, workload: &Workload) -> Result<CiToken> {
        let (store, world) = (&self.ground.store, &self.ground.world);
        let now = world.now();
        let user = self.person(&trust, &app)?;
        let over = self.given(&trust, |used| used.until <= now)?;
        trust.used.retain(|_, used| used.until > now);
        let mark = token::hash(&workload.id);
        if trust.used.contains_key(&mark) {
            return Err(refused("it was changed already; each job asks for one of its own"));
        }
        if trust.used.len() >= MOST_USES {
            return Err(Error::busy(format!(
                "{MOST_USES} jobs of {} asked within the hour",
                trust.repository
            )));
        }
        let made = token::new(world);
        let expires_at = now.plus(LASTS);
        let expires_at = trust.ends_at.map_or(expires_at, |end| end.min(expires_at));
        let given = ApiToken {
            id: world.id(),
            organization: app.organization.clone(),
            user: user.id,
            name: format!("CI of {}", trust.repository).chars().take(60).collect(),
            hash: made.hash,
            hint: made.hint,
            scopes: Scopes::of([Scope::Deploy]),
            spots: Some(vec![Spot::App(app.id.clone())]),
            networks: Vec::new(),
            created_at: now,
            expires_at: Some(expires_at),
            last_used_at: None,
            last_used_address: None,
            replaced: None,
        };
        let used = CiUse {
            until: expires_at.max(workload.ends_at.plus(LEEWAY)),
            token: given.id.clone(),
        };
        trust.used.insert(mark, used);
        trust.last_used_at = Some(now);
        trust.repository_id = trust.repository_id.take().or_else(|| number_of(&workload.claims));
        let repository = trust.repository.clone();
        let mut batch = Batch::new().insert(given).save(trust);
        for old in over {
            batch = batch.remove(&old);
        }
        match store.commit(batch).await {
            Err(Error::Stale { .. }) => return Err(Error::busy("another job asked at the same moment; ask again")),
            other => other?,
        }
        let fact = Fact::CiTokenGiven {
            app: app.id.clone(),
            name: app.name.to_string(),
            repository,
            reference: reference_of(&workload.claims).unwrap_or_default(),
            run: run_of(&workload.claims),
        };
        self.ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
        Ok(CiToken {
            app,
            secret: made.secret,
            expires_at,
        })
    }

    /// Through whom it acts, if they may still deploy the app.
    fn person(&self, trust: &CiTrust, app: &App) -> Result<User> {
        let gone = || refused("who trusted this repository may not deploy the app any more; trust it again");
        let user = self.ground.store.users.find(trust.user.as_str())?;
        let user = user.filter(|user| !user.disabled).ok_or_else(gone)?.value;
        let actor = self.access.actor_in(&user, &app.organization, None)?.ok_or_else(gone)?;
        match actor.is_permitted(Action::Deploy, &app.place()) {
            true => Ok(user),
            false => Err(gone()),
        }
    }

    /// Tokens that it gave and that are there still.
    fn given(&self, trust: &CiTrust, which: impl Fn(&CiUse) -> bool) -> Result<Vec<Stored<ApiToken>>> {
        let mut found = Vec::new();
        for used in trust.used.values().filter(|used| which(used)) {
            found.extend(self.ground.store.tokens.find(used.token.as_str())?);
        }
        Ok(found)
    }

    fn view(&self, trust: CiTrust) -> Result<CiTrustView> {
        let user = self.ground.store.users.find(trust.user.as_str())?;
        Ok(CiTrustView {
            by: user.filter(|user| !user.disabled).map(|user| user.email.to_string()),
            keys: self.workloads.state(&issuer_of(&trust)),
            trust,
        })
    }

    async fn tell(&self, actor: &Actor, app: &App, trust: &CiTrust, what: &str) {
        let fact = Fact::CiTrustChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            repository: trust.repository.clone(),
            what: what.into(),
        };
        self.ground.events.emit(actor, fact).await;
    }
}

/// Whoever lets a repository in must be allowed to deploy, and be as sure as for a token: what acts for them later is not asked for a
/// second factor.
fn must_be_sure(actor: &Actor, app: &App) -> Result<()> {
    actor.is_certain()?;
    actor.reaches(Scope::Write)?;
    actor.may_in(Action::Deploy, &app.place())?;
    // What a job gets is a token, which is for all kinds of things in the app.
    match actor.scopes.includes(&Scopes::of([Scope::Deploy])) {
        true => Ok(()),
        false => Err(Error::Forbidden {
            needs: "a token with the scope deploy of all kinds".into(),
        }),
    }
}

/// The same trust for another app, through the one who asks: whoever made the first one has not said so of this app.
pub(crate) fn for_copy(ground: &Ground, actor: &Actor, old: &CiTrust, copy: &App) -> Result<CiTrust> {
    must_be_sure(actor, copy)?;
    let ends_at = [old.ends_at, ends_with(ground, actor)?].into_iter().flatten().min();
    Ok(CiTrust {
        id: ground.world.id(),
        app: copy.id.clone(),
        user: through(ground, actor)?.id,
        created_at: ground.world.now(),
        ends_at,
        last_used_at: None,
        used: Default::default(),
        ..old.clone()
    })
}

/// When what it makes ends too: with the token that it is. `None`: never.
fn ends_with(ground: &Ground, actor: &Actor) -> Result<Option<Time>> {
    Ok(match &actor.who {
        Who::Token { id, .. } => ground.store.tokens.get(id.as_str())?.expires_at,
        _ => None,
    })
}

fn through(ground: &Ground, actor: &Actor) -> Result<User> {
    let users = &ground.store.users;
    if let Some(id) = actor.user() {
        return Ok(users.get(id.as_str())?.value);
    }
    let owner = |user: &Stored<User>| user.organization == actor.organization && user.role == Role::Owner && !user.disabled;
    let found = users.list()?.into_iter().find(owner);
    found
        .map(|stored| stored.value)
        .ok_or_else(|| Error::busy("there is no owner through whom it could act"))
}

fn checked(wish: CiTrustWish) -> Result<CiTrustWish> {
    let tidy = |list: Vec<String>| -> Vec<String> {
        let list = list.iter().map(|text| text.trim().to_owned());
        list.filter(|text| !text.is_empty()).collect()
    };
    let short = |field: &str, text: Option<String>| -> Result<Option<String>> {
        let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        match text
            .as_ref()
            .is_some_and(|text| text.len() > 255 || text.chars().any(char::is_control))
        {
            true => Err(Error::invalid(field, "must be one line of at most 255 letters")),
            false => Ok(text),
        }
    };
    let repository = wish.repository.trim().trim_matches('/').to_owned();
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if repository.len() > 255 || !repository.bytes().all(letters) || repository.split('/').count() < 2 || repository.contains("//") {
        return Err(Error::invalid("repository", "must be owner/name, as the forge writes it"));
    }
    let (branches, tags) = (tidy(wish.branches), tidy(wish.tags));
    Filter::of_names("branches", &branches)?;
    Filter::of_names("tags", &tags)?;
    if branches.is_empty() && tags.is_empty() {
        return Err(Error::invalid(
            "branches",
            "name at least one branch or tag, such as main, or * for all",
        ));
    }
    let authority = wish.authority.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Some(authority) = &authority {
        if authority.len() > AUTHORITY {
            return Err(Error::invalid("authority", "must be certificates of at most 64 KiB together"));
        }
        check_authority(authority)?;
    }
    Ok(CiTrustWish {
        issuer: wish.issuer.map(|text| checked_issuer(&text)).transpose()?,
        authority,
        repository,
        branches,
        tags,
        environment: short("environment", wish.environment)?,
        workflow: short("workflow", wish.workflow)?,
    })
}

/// Whose keys a trust needs.
pub(crate) fn issuer_of(trust: &CiTrust) -> WorkloadIssuer {
    WorkloadIssuer {
        organization: trust.organization.clone(),
        issuer: trust.issuer.clone(),
        authority: trust.authority.clone(),
    }
}

/// Of what the one who asks has said, and of nothing else: so it is the same for a forged signature, an issuer that nobody trusts, an app
/// that is not there, and one that trusts others.
fn untrusted(app: &str, claims: &Value) -> Error {
    let short = |text: &str| text.chars().take(255).collect::<String>();
    refused(&format!(
        "no app `{}` trusts jobs of the repository `{}` that this issuer has signed; was it trusted only just now, ask again",
        short(app),
        short(repository_of(claims))
    ))
}

fn refused(why: &str) -> Error {
    Error::Unauthenticated {
        why: format!("the ID token is not taken: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_that_cannot_be() {
        let wish = |repository: &str, branches: &[&str], issuer: Option<&str>| CiTrustWish {
            issuer: issuer.map(str::to_owned),
            authority: None,
            repository: repository.into(),
            branches: branches.iter().map(|text| (*text).to_owned()).collect(),
            tags: Vec::new(),
            environment: None,
            workflow: None,
        };
        assert!(checked(wish(" ada/blog ", &["main"], None)).is_ok());
        assert!(checked(wish("group/sub/name", &["*"], Some("https://gitlab.example.com"))).is_ok());
        for (wrong, field) in [
            (wish("blog", &["main"], None), "repository"),
            (wish("ada//blog", &["main"], None), "repository"),
            (wish("ada/bl og", &["main"], None), "repository"),
            (wish("ada/blog", &[], None), "branches"),
            (wish("ada/blog", &[" "], None), "branches"),
            (wish("ada/blog", &["[z-a"], None), "branches"),
            (wish("ada/blog", &["main"], Some("http://gitlab.example.com")), "issuer"),
        ] {
            match checked(wrong) {
                Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
