//! Previews of pull requests: which are made, by whom they are allowed, and what became of them. A preview is an ordinary app
//! in an environment of its own; nothing but this knows that it is one, save what keeps secrets from it (`variables::levels`).

mod comments;
mod judging;
mod keeper;
mod making;
mod rules;
mod settings;

pub(crate) use judging::{Keep, judge};
pub use keeper::Previewer;
pub use settings::{PreviewRulesChange, PreviewRulesView, PreviewVariableWish};

use crate::{
    apps::{find_app, not_trashed},
    deployments,
    ground::Ground,
};
use rules::{left_out, rule};
use std::sync::Arc;
use store::Stored;
use types::{
    Action, Actor, App, AppId, Deployment, EnvironmentId, Error, Fact, Kind, Preview, PreviewApproval, PreviewRules, PreviewState, Result,
    StackLimits, VariableKey,
};

/// A preview to look at.
#[derive(Debug, Clone)]
pub struct PreviewView {
    pub preview: Preview,
    /// The app that was made for it.
    pub app: Option<App>,
    /// The newest of that app.
    pub deployment: Option<Deployment>,
    pub url: Option<String>,
    /// How it fares, in words.
    pub words: String,
    /// How many days are left without a push.
    pub days_left: Option<u32>,
}

#[derive(Clone)]
pub struct Previews {
    ground: Arc<Ground>,
}

impl Previews {
    pub(crate) fn new(ground: Arc<Ground>) -> Previews {
        Previews { ground }
    }

    /// Newest first; those that are gone only with `all`.
    pub async fn list(&self, actor: &Actor, app: &str, all: bool) -> Result<Vec<PreviewView>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let found = previews_of(&self.ground, &app.id)?.into_iter().rev();
        found
            .filter(|preview| all || preview.state != PreviewState::Gone)
            .map(|preview| self.view(preview.value))
            .collect()
    }

    /// By the request's number.
    pub async fn get(&self, actor: &Actor, app: &str, called: &str) -> Result<PreviewView> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        self.view(self.find(&app, called)?.value)
    }

    /// Makes it, or deploys its newest commit again, also in spite of its labels. Fails with `Busy` for a commit that waits to be
    /// allowed, where there is no room, and for a request that is closed.
    pub async fn deploy(&self, actor: &Actor, app: &str, called: &str) -> Result<PreviewView> {
        actor.may_somewhere(Action::Deploy)?;
        let (app, mut stored) = self.open(actor, app, called)?;
        let number = stored.request.number;
        if !stored.is_trusted() {
            return Err(Error::busy(format!(
                "{} of #{number} comes from a fork, and nobody has allowed it yet",
                stored.request.short()
            )));
        }
        let rules = self.enabled_rules(&app)?;
        let others = others_of(&self.ground, &stored)?;
        if !stored.takes_place() && others >= rules.most as usize {
            return Err(Error::busy(format!(
                "there are {others} previews already, and at most {}",
                rules.most
            )));
        }
        stored.forced = left_out(&rules, &stored.request).is_some();
        stored.state = PreviewState::Wanted;
        stored.why = format!("making a preview of #{number} from {}", stored.request.short());
        stored.pushed_at = self.ground.world.now();
        stored.by = actor.who.to_string();
        self.save(actor, &app, stored, "asked for").await
    }

    /// Lets a commit of a fork run: the newest, which must be `commit`. So nobody allows what they have not seen.
    pub async fn approve(&self, actor: &Actor, app: &str, called: &str, commit: &str) -> Result<PreviewView> {
        actor.may_somewhere(Action::Deploy)?;
        let (app, mut stored) = self.open(actor, app, called)?;
        let number = stored.request.number;
        if !stored.request.fork {
            return Err(Error::busy(format!(
                "#{number} is of the repository itself, so nobody needs to allow it"
            )));
        }
        if stored.request.head != commit.trim().to_lowercase() {
            return Err(Error::busy(format!(
                "the newest commit of #{number} is {}; look at that one first",
                stored.request.head
            )));
        }
        let rules = self.enabled_rules(&app)?;
        let others = others_of(&self.ground, &stored)?;
        stored.approved = Some(PreviewApproval {
            commit: stored.request.head.clone(),
            by: actor.who.to_string(),
            at: self.ground.world.now(),
        });
        let request = stored.request.clone();
        let ruling = rule(&rules, Some(&stored.value), &request, others);
        stored.state = ruling.state.unwrap_or(stored.state);
        stored.why = ruling.why;
        stored.pushed_at = self.ground.world.now();
        self.save(actor, &app, stored, "allowed").await
    }

    /// Takes it away with all that it has. The next push makes it anew.
    pub async fn remove(&self, actor: &Actor, app: &str, called: &str) -> Result<()> {
        actor.may_somewhere(Action::Delete)?;
        let app = find_app(&self.ground, actor, Action::Delete, app)?;
        let mut stored = self.find(&app, called)?;
        let number = stored.request.number;
        if stored.state == PreviewState::Gone {
            return Err(Error::busy(format!("the preview of #{number} is gone already")));
        }
        stored.state = PreviewState::Going;
        stored.why = format!("{} removed it", actor.who);
        self.save(actor, &app, stored, "removed").await.map(drop)
    }

    /// Asks the forge now which requests are open, as it is done each hour. Answers how many previews go.
    pub async fn compare(&self, actor: &Actor, app: &str) -> Result<usize> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        self.enabled_rules(&app)?;
        keeper::compare(&self.ground, &app).await
    }

    fn find(&self, app: &App, called: &str) -> Result<Stored<Preview>> {
        let number = called.trim_start_matches('#').parse::<u64>().ok();
        let found = match number {
            Some(number) => self.ground.store.previews.find(&key_of(&app.id, number))?,
            None => None,
        };
        found.ok_or_else(|| Error::not_found(Kind::Preview, called))
    }

    /// One of a request that is open, whose app may be deployed.
    fn open(&self, actor: &Actor, app: &str, called: &str) -> Result<(App, Stored<Preview>)> {
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        let stored = self.find(&app, called)?;
        match stored.request.open {
            true => Ok((app, stored)),
            false => Err(Error::busy(format!("#{} is closed at the forge", stored.request.number))),
        }
    }

    fn enabled_rules(&self, app: &App) -> Result<PreviewRules> {
        let rules = self.ground.store.preview_rules.find(app.id.as_str())?;
        rules
            .map(|stored| stored.value)
            .filter(|rules| rules.enabled)
            .ok_or_else(|| Error::busy(format!("`{}` has no previews: they are switched off", app.name)))
    }

    async fn save(&self, actor: &Actor, app: &App, mut stored: Stored<Preview>, what: &str) -> Result<PreviewView> {
        stored.updated_at = self.ground.world.now();
        let saved = self.ground.store.previews.save(stored).await?;
        let fact = Fact::PreviewMoved {
            app: app.id.clone(),
            name: app.name.to_string(),
            number: saved.request.number,
            what: what.to_owned(),
            why: String::new(),
        };
        self.ground.events.emit(actor, fact).await;
        self.ground.wakes.previews.wake();
        self.view(saved.value)
    }

    fn view(&self, preview: Preview) -> Result<PreviewView> {
        let ground = &self.ground;
        let deployment = deployment_of(ground, &preview)?;
        let app = match &preview.app {
            Some(id) => ground.store.apps.find(id.as_str())?.map(|app| app.value),
            None => None,
        };
        let rules = ground.store.preview_rules.find(preview.of.as_str())?;
        let past = ground.world.now().since(preview.pushed_at).as_secs() / 86_400;
        let left = |rules: Stored<PreviewRules>| rules.days.saturating_sub(u32::try_from(past).unwrap_or(u32::MAX));
        let words = match preview.state {
            PreviewState::Up => comments::state_words(&preview, deployment.as_ref()).replace('`', ""),
            _ => preview.why.clone(),
        };
        Ok(PreviewView {
            url: preview.host.as_ref().map(|host| ground.url_of(host)),
            days_left: rules.filter(|_| preview.takes_place()).map(left),
            app,
            deployment,
            words,
            preview,
        })
    }
}

fn key_of(app: &AppId, number: u64) -> String {
    format!("{app}/{number:010}")
}

/// By number.
fn previews_of(ground: &Ground, app: &AppId) -> Result<Vec<Stored<Preview>>> {
    ground.store.previews.prefix(&format!("{app}/"))
}

/// How many others of its app take a place.
fn others_of(ground: &Ground, preview: &Preview) -> Result<usize> {
    let all = previews_of(ground, &preview.of)?;
    let others = all
        .iter()
        .filter(|one| one.takes_place() && one.request.number != preview.request.number);
    Ok(others.count())
}

/// Those of requests that are not open any more.
fn gone_of(ground: &Ground, app: &AppId, open: &[u64]) -> Result<Vec<Preview>> {
    let mut all: Vec<Preview> = previews_of(ground, app)?.into_iter().map(|one| one.value).collect();
    all.retain(|one| !matches!(one.state, PreviewState::Going | PreviewState::Gone) && !open.contains(&one.request.number));
    Ok(all)
}

/// The newest of the app that was made for it.
fn deployment_of(ground: &Ground, preview: &Preview) -> Result<Option<Deployment>> {
    let Some(id) = &preview.app else { return Ok(None) };
    let Some(app) = ground.store.apps.find(id.as_str())? else {
        return Ok(None);
    };
    match &app.last_deployment {
        Some(id) => deployments::find(ground, id),
        None => Ok(None),
    }
}

fn short_of(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// Whose preview an environment is.
pub(crate) fn of_environment(ground: &Ground, environment: &EnvironmentId) -> Result<Option<Preview>> {
    Ok(ground.store.previews.claimed(environment.as_str())?.map(|stored| stored.value))
}

/// Secrets of what its project and organization have that a preview gets nevertheless; `None`: it is no preview, and gets all.
pub(crate) fn shared_secrets(ground: &Ground, environment: &EnvironmentId) -> Result<Option<Vec<VariableKey>>> {
    let Some(preview) = of_environment(ground, environment)? else {
        return Ok(None);
    };
    let rules = ground.store.preview_rules.find(preview.of.as_str())?;
    let rules = rules.filter(|_| !preview.request.fork);
    Ok(Some(rules.map(|rules| rules.value.secrets).unwrap_or_default()))
}

/// What each service of a previewed app may use at most, by its rules; `None`: it is no preview, or they say nothing.
pub(crate) fn service_limits(ground: &Ground, app: &App) -> Result<Option<StackLimits>> {
    let Some(preview) = of_environment(ground, &app.environment)?.filter(|preview| preview.app.as_ref() == Some(&app.id)) else {
        return Ok(None);
    };
    let rules = ground.store.preview_rules.find(preview.of.as_str())?;
    Ok(rules.map(|rules| StackLimits {
        memory_bytes: rules.memory_bytes,
        cpu_millis: rules.cpu_millis,
        pids: None,
    }))
}

/// Takes the rules along when their app goes for good; its previews follow.
pub(crate) fn forget(ground: &Ground, app: &AppId, batch: store::Batch) -> Result<store::Batch> {
    let known = ground.store.preview_rules.find(app.as_str())?;
    Ok(known.iter().fold(batch, store::Batch::remove))
}

/// So that no log shows what previews are given.
pub(crate) fn teach_redactor(ground: &Ground) -> Result<()> {
    for rules in ground.store.preview_rules.list()? {
        for variable in rules.variables.iter().filter(|variable| variable.secret) {
            ground.redactor.learn(&rules.organization, &ground.store.unseal(&variable.value)?);
        }
    }
    Ok(())
}
