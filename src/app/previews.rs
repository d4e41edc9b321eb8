//! Previews of pull requests: which are made, by whom they are allowed, and what became of them. A preview is an ordinary app
//! in an environment of its own; nothing but this knows that it is one, save what keeps secrets from it (`variables::levels`).

mod comments;
mod keeper;
mod making;
mod rules;

pub use keeper::Previewer;

use crate::{
    apps::{find_app, not_trashed},
    deployments,
    forges::repository_of,
    ground::Ground,
    webhooks::Webhooks,
};
use rules::{HOST, host_of, left_out, rule};
use std::{collections::BTreeSet, sync::Arc};
use store::Stored;
use types::{
    Action, Actor, App, AppId, Decision, Deployment, EnvironmentId, Error, Fact, Host, Kind, Preview, PreviewApproval, PreviewData,
    PreviewDatabase, PreviewRules, PreviewState, PreviewVariable, PullRequest, Result, Secret, Site, Source, StackLimits, VariableKey,
    VariableScope, report,
};

/// Of secrets and of variables.
const MANY: usize = 200;

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

/// Rules to look at.
#[derive(Debug, Clone)]
pub struct PreviewRulesView {
    pub rules: PreviewRules,
    /// Where the preview of #42 would be; `Err`: why nowhere.
    pub example: std::result::Result<Host, String>,
    /// By key; the values of secret ones stay sealed.
    pub variables: Vec<(PreviewVariable, Option<Secret>)>,
    /// The app that is copied as its database.
    pub database: Option<(App, PreviewData)>,
    /// The app is from a connected forge: there are comments, and the hourly comparison.
    pub is_connected: bool,
    /// There is a webhook by which requests come, and the panel has made it at the forge.
    pub webhook: Option<bool>,
}

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct PreviewRulesChange {
    pub enabled: Option<bool>,
    pub host: Option<String>,
    pub only_label: Option<Option<String>>,
    pub never_label: Option<Option<String>>,
    pub most: Option<u32>,
    pub days: Option<u32>,
    pub memory_bytes: Option<Option<u64>>,
    pub cpu_millis: Option<Option<u32>>,
    pub secrets: Option<Vec<VariableKey>>,
    /// All of them.
    pub variables: Option<Vec<PreviewVariableWish>>,
    /// An app of the same environment, by id or name.
    pub database: Option<Option<(String, PreviewData)>>,
    pub comment: Option<bool>,
}

/// A variable that previews should have.
#[derive(Debug, Clone)]
pub struct PreviewVariableWish {
    pub key: VariableKey,
    /// `None` keeps the value there is.
    pub value: Option<Secret>,
    pub scope: Option<VariableScope>,
    pub secret: Option<bool>,
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

    /// The app's rules; what would hold, if there are none yet.
    pub async fn rules(&self, actor: &Actor, app: &str) -> Result<PreviewRulesView> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let known = self.ground.store.preview_rules.find(app.id.as_str())?;
        let rules = known.map_or_else(|| fresh_rules(&self.ground, &app), |stored| stored.value);
        self.rules_view(&app, rules)
    }

    /// Changes the rules. They hold for what is made from then on; switched off, they take all previews away.
    pub async fn update(&self, actor: &Actor, app: &str, change: PreviewRulesChange) -> Result<PreviewRulesView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Configure, app)?;
        not_trashed(&app)?;
        let known = ground.store.preview_rules.find(app.id.as_str())?;
        let mut rules = known
            .as_ref()
            .map_or_else(|| fresh_rules(ground, &app), |stored| stored.value.clone());
        let before = rules.clone();
        self.apply(actor, &app, &mut rules, change)?;
        if rules.enabled {
            self.must_be_possible(actor, &app, &rules)?;
        }
        if rules == before && known.is_some() {
            return self.rules_view(&app, rules);
        }
        rules.updated_at = ground.world.now();
        rules = match known {
            Some(mut stored) => {
                stored.value = rules;
                ground.store.preview_rules.save(stored).await?.value
            }
            None => ground.store.preview_rules.insert(rules).await?.value,
        };
        let what = match (before.enabled, rules.enabled) {
            (false, true) => "switched on",
            (true, false) => "switched off",
            _ => "changed",
        };
        let fact = Fact::PreviewRulesChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            what: what.into(),
        };
        ground.events.emit(actor, fact).await;
        if before.enabled != rules.enabled {
            rules.problem = self.hear_of_requests(actor, &app, rules.enabled).await?;
        }
        ground.wakes.previews.wake();
        self.rules_view(&app, rules)
    }

    fn apply(&self, actor: &Actor, app: &App, rules: &mut PreviewRules, change: PreviewRulesChange) -> Result<()> {
        rules.enabled = change.enabled.unwrap_or(rules.enabled);
        rules.comment = change.comment.unwrap_or(rules.comment);
        if let Some(host) = change.host {
            rules.host = match host.trim() {
                "" => HOST.to_owned(),
                host => host.to_lowercase(),
            };
            if rules.host.len() > 200 {
                return Err(Error::invalid("host", "is longer than any name may be"));
            }
        }
        for (field, wanted, label) in [
            ("only_label", change.only_label, &mut rules.only_label),
            ("never_label", change.never_label, &mut rules.never_label),
        ] {
            if let Some(wanted) = wanted {
                *label = checked_label(field, wanted)?;
            }
        }
        rules.most = in_range("most", change.most.unwrap_or(rules.most), 1, 100)?;
        rules.days = in_range("days", change.days.unwrap_or(rules.days), 1, 365)?;
        if let Some(bytes) = change.memory_bytes {
            rules.memory_bytes = bytes;
        }
        if let Some(millis) = change.cpu_millis {
            rules.cpu_millis = millis;
        }
        let mut limits = app.limits.clone();
        limits.memory_bytes = rules.memory_bytes.unwrap_or(limits.memory_bytes);
        limits.cpu_millis = rules.cpu_millis.unwrap_or(limits.cpu_millis);
        crate::apps::checked_limits(limits)?;
        if let Some(secrets) = change.secrets {
            // Whoever pushes a branch can have them printed then.
            if secrets.iter().any(|key| !rules.secrets.contains(key)) {
                actor.may_in(Action::RevealSecrets, &app.place())?;
            }
            rules.secrets = secrets;
        }
        if let Some(wishes) = change.variables {
            rules.variables = self.variables(&rules.variables, wishes)?;
        }
        if let Some(database) = change.database {
            rules.database = database
                .map(|(called, data)| self.database(actor, app, &called, data))
                .transpose()?;
        }
        if rules.secrets.len() > MANY || rules.variables.len() > MANY {
            return Err(Error::invalid("variables", format!("there are at most {MANY}")));
        }
        Ok(())
    }

    fn variables(&self, old: &[PreviewVariable], wishes: Vec<PreviewVariableWish>) -> Result<Vec<PreviewVariable>> {
        let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
        for wish in wishes {
            if !seen.insert(wish.key.clone()) {
                return Err(Error::invalid(wish.key.as_str(), "is given twice"));
            }
            let before = old.iter().find(|one| one.key == wish.key);
            let secret = wish.secret.or(before.map(|one| one.secret)).unwrap_or(false);
            let value = match (&wish.value, before) {
                (Some(value), _) => self.seal(&wish.key, value, secret)?,
                (None, Some(before)) => before.value.clone(),
                (None, None) => return Err(Error::invalid(wish.key.as_str(), "has no value yet, so one must be given")),
            };
            if secret {
                self.ground.redactor.learn(&self.ground.store.unseal(&value)?);
            }
            all.push(PreviewVariable {
                value,
                scope: wish.scope.or(before.map(|one| one.scope)).unwrap_or(VariableScope::Run),
                secret,
                key: wish.key,
            });
        }
        all.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(all)
    }

    fn seal(&self, key: &VariableKey, value: &Secret, secret: bool) -> Result<types::Sealed> {
        let fits = value
            .expose_str()
            .is_some_and(|text| text.len() <= 64 << 10 && !text.contains('\0'));
        if !fits {
            return Err(Error::invalid(key.as_str(), "must be text of at most 64 KiB"));
        }
        if secret {
            self.ground.redactor.learn(value);
        }
        self.ground.store.seal(value)
    }

    /// Whoever hands its data on must be allowed to change it.
    fn database(&self, actor: &Actor, app: &App, called: &str, data: PreviewData) -> Result<PreviewDatabase> {
        let ground = &self.ground;
        let environment = ground.store.environments.get(app.environment.as_str())?.value;
        let place = match called.starts_with("app_") || called.contains('@') {
            true => called.to_owned(),
            false => format!("{called}@{}", environment.name),
        };
        let found = find_app(ground, actor, Action::Configure, &place)?;
        let wrong = |why: &str| Err(Error::invalid("database", format!("`{}` {why}", found.name)));
        if found.id == app.id || found.project != app.project {
            return wrong("must be another app of the same project");
        }
        if found.name == app.name {
            return wrong("has the name of the app itself, and both are in one environment then");
        }
        if matches!(found.source, Source::Upload(_)) {
            return wrong("is made from an upload, which belongs to it alone");
        }
        if data == PreviewData::Copy {
            actor.may_in(Action::RevealSecrets, &found.place())?;
        }
        Ok(PreviewDatabase { app: found.id, data })
    }

    /// Fails with `Busy` or `Invalid` where there could be no previews.
    fn must_be_possible(&self, actor: &Actor, app: &App, rules: &PreviewRules) -> Result<()> {
        let ground = &self.ground;
        if !matches!(app.source, Source::Git(_)) {
            return Err(Error::busy("only an app from Git has pull requests"));
        }
        if of_environment(ground, &app.environment)?.is_some() {
            return Err(Error::busy("this is a preview itself; switch them on for the app that it is of"));
        }
        // Each is an environment of the project.
        actor.may_in(Action::Configure, &Site::project(app.project.clone()))?;
        actor.may_in(Action::Deploy, &Site::project(app.project.clone()))?;
        if repository_of(app).is_none() && ground.store.webhooks.find(app.id.as_str())?.is_none() {
            return Err(Error::busy(
                "pull requests reach the panel by the app's webhook, and there is none; make it first",
            ));
        }
        host_of(&rules.host, 42, &app.name, ground.apps_domain()?.as_ref()).map(drop)
    }

    /// Has the forge send pull requests too, where the panel makes the webhook. Answers what went wrong, which is no reason to
    /// keep previews off.
    async fn hear_of_requests(&self, actor: &Actor, app: &App, enabled: bool) -> Result<Option<String>> {
        let ground = &self.ground;
        let registered = ground
            .store
            .webhooks
            .find(app.id.as_str())?
            .is_some_and(|webhook| webhook.registered.is_some());
        let wanted = repository_of(app).is_some() && (enabled || registered);
        if !wanted {
            return Ok(None);
        }
        let made = Webhooks::new(ground.clone()).register(actor, app.id.as_str()).await;
        let Err(error) = made else { return Ok(None) };
        let why = format!("the webhook was not changed at the forge: {}", report(&error));
        let problem = Some(ground.redactor.redact(&why).into_owned());
        let note = |rules: &mut PreviewRules| {
            rules.problem.clone_from(&problem);
            Ok(())
        };
        ground.store.preview_rules.update(app.id.as_str(), note).await?;
        Ok(problem)
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

    fn rules_view(&self, app: &App, rules: PreviewRules) -> Result<PreviewRulesView> {
        let ground = &self.ground;
        let domain = ground.apps_domain()?;
        let mut variables = Vec::new();
        for variable in &rules.variables {
            let shown = match variable.secret {
                true => None,
                false => Some(ground.store.unseal(&variable.value)?),
            };
            variables.push((variable.clone(), shown));
        }
        let database = match &rules.database {
            Some(wish) => ground.store.apps.find(wish.app.as_str())?.map(|app| (app.value, wish.data)),
            None => None,
        };
        let webhook = ground.store.webhooks.find(app.id.as_str())?;
        Ok(PreviewRulesView {
            example: host_of(&rules.host, 42, &app.name, domain.as_ref()).map_err(|error| error.to_string()),
            variables,
            database,
            is_connected: repository_of(app).is_some(),
            webhook: webhook.map(|webhook| webhook.registered.is_some()),
            rules,
        })
    }
}

/// What holds until somebody says otherwise.
fn fresh_rules(ground: &Ground, app: &App) -> PreviewRules {
    let now = ground.world.now();
    PreviewRules {
        organization: app.organization.clone(),
        app: app.id.clone(),
        enabled: false,
        host: HOST.to_owned(),
        only_label: None,
        never_label: None,
        most: 5,
        days: 14,
        memory_bytes: None,
        cpu_millis: None,
        secrets: Vec::new(),
        variables: Vec::new(),
        database: None,
        comment: true,
        compared_at: None,
        problem: None,
        created_at: now,
        updated_at: now,
    }
}

fn in_range(field: &str, value: u32, least: u32, most: u32) -> Result<u32> {
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(Error::invalid(field, format!("must be between {least} and {most}"))),
    }
}

fn checked_label(field: &str, label: Option<String>) -> Result<Option<String>> {
    let Some(label) = label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()) else {
        return Ok(None);
    };
    if label.chars().count() > 100 || label.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must be one line of at most 100 letters"));
    }
    Ok(Some(label))
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

/// What was decided of a request that came, and the record to keep.
pub(crate) struct Judged {
    pub decision: Decision,
    pub why: String,
    pub keep: Option<Keep>,
}

/// A record that is new, or changed.
// There is one at a time.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Keep {
    New(Preview),
    Changed(Stored<Preview>),
}

/// Decides on a request. `by`: who sends, in words.
pub(crate) fn judge(ground: &Ground, app: &App, request: &PullRequest, by: &str) -> Result<Judged> {
    let rules = ground.store.preview_rules.find(app.id.as_str())?;
    let Some(rules) = rules.filter(|rules| rules.enabled) else {
        return Ok(Judged {
            decision: Decision::OtherEvent,
            why: format!(
                "ignored: #{} is a pull request, and previews are off; pushes deploy",
                request.number
            ),
            keep: None,
        });
    };
    let now = ground.world.now();
    let known = ground.store.previews.find(&key_of(&app.id, request.number))?;
    let all = previews_of(ground, &app.id)?;
    let others = all
        .iter()
        .filter(|one| one.takes_place() && one.request.number != request.number)
        .count();
    let ruling = rule(&rules, known.as_ref().map(|known| &known.value), request, others);
    let keep = match (known, ruling.state) {
        (None, None) => None,
        (None, Some(state)) => Some(Keep::New(fresh(app, request, state, &ruling.why, by, now))),
        (Some(mut known), state) => {
            if known.request.head != request.head || state == Some(PreviewState::Wanted) {
                known.pushed_at = now;
                by.clone_into(&mut known.by);
            }
            known.request = request.clone();
            if let Some(state) = state {
                known.state = state;
                known.why.clone_from(&ruling.why);
            }
            known.updated_at = now;
            Some(Keep::Changed(known))
        }
    };
    Ok(Judged {
        decision: ruling.decision,
        why: ruling.why,
        keep,
    })
}

fn fresh(app: &App, request: &PullRequest, state: PreviewState, why: &str, by: &str, now: types::Time) -> Preview {
    Preview {
        organization: app.organization.clone(),
        of: app.id.clone(),
        request: request.clone(),
        state,
        why: why.to_owned(),
        forced: false,
        approved: None,
        environment: None,
        app: None,
        database: None,
        host: None,
        deployed: None,
        problem: None,
        comment: None,
        told: None,
        tell_failures: 0,
        tell_at: None,
        tell_problem: None,
        by: by.to_owned(),
        pushed_at: now,
        created_at: now,
        updated_at: now,
    }
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
            ground.redactor.learn(&ground.store.unseal(&variable.value)?);
        }
    }
    Ok(())
}
