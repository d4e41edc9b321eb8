//! The rules of an app's previews, as people set them: what they may say, and whether there can be previews at all.

use super::{
    Previews, of_environment,
    rules::{HOST, host_of},
};
use crate::{
    apps::{checked_limits, find_app, in_range, not_trashed, shared_label},
    forges::repository_of,
    ground::Ground,
    webhooks::Webhooks,
};
use std::collections::BTreeSet;
use types::{
    Action, Actor, App, Error, Fact, Host, OrganizationId, PreviewData, PreviewDatabase, PreviewRules, PreviewVariable, Result, Sealed,
    Secret, Site, Source, VariableKey, VariableScope, report,
};

/// Of secrets and of variables.
const MANY: usize = 200;

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

impl Previews {
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
        set_plain(app, rules, &change)?;
        if let Some(secrets) = change.secrets {
            // Whoever pushes a branch can have them printed then.
            if secrets.iter().any(|key| !rules.secrets.contains(key)) {
                actor.may_in(Action::RevealSecrets, &app.place())?;
            }
            rules.secrets = secrets;
        }
        if let Some(wishes) = change.variables {
            rules.variables = self.variables(&app.organization, &rules.variables, wishes)?;
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

    fn variables(&self, whose: &OrganizationId, old: &[PreviewVariable], wishes: Vec<PreviewVariableWish>) -> Result<Vec<PreviewVariable>> {
        let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
        for wish in wishes {
            if !seen.insert(wish.key.clone()) {
                return Err(Error::invalid(wish.key.as_str(), "is given twice"));
            }
            let before = old.iter().find(|one| one.key == wish.key);
            let secret = wish.secret.or(before.map(|one| one.secret)).unwrap_or(false);
            let value = match (&wish.value, before) {
                (Some(value), _) => self.seal(whose, &wish.key, value, secret)?,
                (None, Some(before)) => before.value.clone(),
                (None, None) => return Err(Error::invalid(wish.key.as_str(), "has no value yet, so one must be given")),
            };
            if secret {
                self.ground.redactor.learn(whose, &self.ground.store.unseal(&value)?);
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

    fn seal(&self, whose: &OrganizationId, key: &VariableKey, value: &Secret, secret: bool) -> Result<Sealed> {
        let fits = value
            .expose_str()
            .is_some_and(|text| text.len() <= 64 << 10 && !text.contains('\0'));
        if !fits {
            return Err(Error::invalid(key.as_str(), "must be text of at most 64 KiB"));
        }
        if secret {
            self.ground.redactor.learn(whose, value);
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
        host_for(ground, app, &rules.host, 42).map(drop)
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
        let problem = Some(ground.redactor.redact_for(&app.organization, &why).into_owned());
        let note = |rules: &mut PreviewRules| {
            rules.problem.clone_from(&problem);
            Ok(())
        };
        ground.store.preview_rules.update(app.id.as_str(), note).await?;
        Ok(problem)
    }

    fn rules_view(&self, app: &App, rules: PreviewRules) -> Result<PreviewRulesView> {
        let ground = &self.ground;
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
            example: host_for(ground, app, &rules.host, 42).map_err(|error| error.to_string()),
            variables,
            database,
            is_connected: repository_of(app).is_some(),
            webhook: webhook.map(|webhook| webhook.registered.is_some()),
            rules,
        })
    }
}

/// Where the preview of a request is; below the apps' domain, which all organizations share, by a name that is the
/// organization's own.
pub(super) fn host_for(ground: &Ground, app: &App, pattern: &str, number: u64) -> Result<Host> {
    let mut name = app.name.clone();
    if pattern.contains("{domain}") {
        let label = shared_label(ground, &app.organization, name.as_str())?;
        let long = |_| {
            Error::invalid(
                "host",
                format!("`{label}` is too long for a part of a name; give a pattern without {{domain}}"),
            )
        };
        name = label.parse().map_err(long)?;
    }
    host_of(pattern, number, &name, ground.apps_domain()?.as_ref())
}

/// What needs nothing but a look at its value.
fn set_plain(app: &App, rules: &mut PreviewRules, change: &PreviewRulesChange) -> Result<()> {
    rules.enabled = change.enabled.unwrap_or(rules.enabled);
    rules.comment = change.comment.unwrap_or(rules.comment);
    if let Some(host) = &change.host {
        rules.host = match host.trim() {
            "" => HOST.to_owned(),
            host => host.to_lowercase(),
        };
        if rules.host.len() > 200 {
            return Err(Error::invalid("host", "is longer than any name may be"));
        }
    }
    for (field, wanted, label) in [
        ("only_label", &change.only_label, &mut rules.only_label),
        ("never_label", &change.never_label, &mut rules.never_label),
    ] {
        if let Some(wanted) = wanted {
            *label = checked_label(field, wanted.clone())?;
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
    checked_limits(limits).map(drop)
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

fn checked_label(field: &str, label: Option<String>) -> Result<Option<String>> {
    let Some(label) = label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()) else {
        return Ok(None);
    };
    if label.chars().count() > 100 || label.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must be one line of at most 100 letters"));
    }
    Ok(Some(label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Apps, NewApp, testing::Bench};

    #[tokio::test]
    async fn previews_of_other_organizations_carry_their_name_below_the_apps_domain() {
        let bench = Bench::new().await;
        let acme = bench.stranger("acme").await;
        for (actor, shared) in [(&bench.owner, "pr-7.blog.localhost"), (&acme, "pr-7.blog-acme.localhost")] {
            let wish = NewApp {
                deploy: false,
                ..crate::tests::wish("blog")
            };
            let app = Apps::new(bench.ground.clone()).create(actor, wish).await.expect("made").app;
            let host = |pattern: &str| host_for(&bench.ground, &app, pattern, 7).expect("a host").to_string();
            assert_eq!(host(HOST), shared);
            assert_eq!(host("{app}-{number}.example.com"), "blog-7.example.com");
        }
    }
}
