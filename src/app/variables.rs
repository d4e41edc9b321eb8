//! Environment variables of apps and of what they are in: sealed at rest, byte for byte, with what they were.

mod levels;
mod references;

pub(crate) use levels::{effective, may_refer, missing_references, of_service, own_variables};

use crate::{
    apps::{find_app, not_trashed},
    deployments::{self, Wanted},
    dotenv,
    ground::Ground,
    releases::Difference,
};
use levels::{Kept, Owner, above, check_circles, find_owner, of_app, referring};
use references::{Given, Level};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Batch, Stored};
use types::{
    Action, Actor, AppId, Cause, EnvironmentId, Error, Fact, Family, Kind, Result, Secret, Time, Variable, VariableKey, VariableLevel,
    VariableOwner, VariableScope, VariableVersion, VersionId,
};

/// A variable to set. What is `None` stays as it was; a new one is for running and not secret.
#[derive(Debug, Clone)]
pub struct VariableChange {
    pub key: VariableKey,
    /// `None` keeps the value there is.
    pub value: Option<Secret>,
    pub scope: Option<VariableScope>,
    pub secret: Option<bool>,
}

/// A variable to look at.
#[derive(Debug, Clone)]
pub struct VariableView {
    pub key: VariableKey,
    /// As it was written; `None` when it is secret and was not asked for.
    pub value: Option<Secret>,
    pub scope: VariableScope,
    pub secret: bool,
    /// Whose it is.
    pub level: VariableLevel,
    pub from: String,
    /// It is of something that the one asked for is in.
    pub inherited: bool,
    pub updated_at: Time,
    pub updated_by: String,
}

/// What a variable was.
#[derive(Debug, Clone)]
pub struct VersionView {
    pub id: VersionId,
    pub key: VariableKey,
    /// `None` when it was removed, or is secret and was not asked for.
    pub value: Option<Secret>,
    pub removed: bool,
    pub scope: VariableScope,
    pub secret: bool,
    pub at: Time,
    pub by: String,
}

/// What a change would do.
#[derive(Debug, Clone)]
pub struct VariablePreview {
    /// By key; secrets show as `changed`, or as `set` where they are new or gone.
    pub changes: Vec<Difference>,
    /// Those that have what changes, by id and name.
    pub apps: Vec<(AppId, String)>,
}

/// What is to become of somebody's variables.
#[derive(Debug, Clone, Default)]
pub struct VariableWish {
    pub set: Vec<VariableChange>,
    pub unset: Vec<VariableKey>,
}

/// More than this no container could start with (the kernel's limit for one string is 128 KiB).
const VALUE_BYTES: usize = 120 << 10;
const VARIABLES: usize = 2000;
/// Kept of each variable.
const VERSIONS: usize = 50;

#[derive(Clone)]
pub struct Variables {
    ground: Arc<Ground>,
}

impl Variables {
    pub(crate) fn new(ground: Arc<Ground>) -> Variables {
        Variables { ground }
    }

    /// Of an app alone, by key. `reveal` needs the right to see secrets, and is recorded.
    pub async fn list(&self, actor: &Actor, app: &str, reveal: bool) -> Result<Vec<VariableView>> {
        actor.may_somewhere(Action::View)?;
        self.list_of(actor, &format!("app:{app}"), reveal, false).await
    }

    /// Of whoever is named (see [`levels::find_owner`]), by key; with what it inherits and has no own one of if `inherited`.
    pub async fn list_of(&self, actor: &Actor, owner: &str, reveal: bool, inherited: bool) -> Result<Vec<VariableView>> {
        actor.may_somewhere(Action::View)?;
        let action = if reveal { Action::RevealSecrets } else { Action::View };
        let owner = find_owner(&self.ground, actor, action, owner)?;
        let views = self.views(&owner, reveal, inherited)?;
        if reveal && views.iter().any(|view| view.secret) {
            self.tell_revealed(actor, &owner).await;
        }
        Ok(views)
    }

    /// Sets some, unsets others, in one step.
    pub async fn update(&self, actor: &Actor, app: &str, wish: VariableWish) -> Result<Vec<VariableView>> {
        actor.may_somewhere(Action::Configure)?;
        self.update_of(actor, &format!("app:{app}"), wish, false).await
    }

    /// The same for whoever is named; then, with `deploy`, brings it live in every running app that has them.
    pub async fn update_of(&self, actor: &Actor, owner: &str, wish: VariableWish, deploy: bool) -> Result<Vec<VariableView>> {
        actor.may_somewhere(Action::Configure)?;
        let owner = find_owner(&self.ground, actor, Action::Configure, owner)?;
        let deployer = actor.touching(Family::Deployments);
        if deploy {
            deployer.may_somewhere(Action::Deploy)?;
            for app in &owner.apps {
                deployer.may_in(Action::Deploy, &app.place())?;
            }
        }
        self.write(actor, &owner, wish).await?;
        if deploy {
            self.deploy(&deployer, &owner).await?;
        }
        self.views(&owner, false, false)
    }

    /// What a change would do; changes nothing.
    pub async fn preview(&self, actor: &Actor, owner: &str, wish: VariableWish) -> Result<VariablePreview> {
        actor.may_somewhere(Action::Configure)?;
        let owner = find_owner(&self.ground, actor, Action::Configure, owner)?;
        let old = self.old(&owner)?;
        let plan = self.plan(actor, &owner, &old, wish)?;
        let mut changes = Vec::new();
        for (key, next) in &plan {
            let before = old.get(key).map(|stored| &stored.value);
            let hidden = before.is_some_and(|one| one.secret) || next.as_ref().is_some_and(|one| one.secret);
            let shown = |one: Option<&Variable>| -> Result<Option<String>> {
                let Some(one) = one else { return Ok(None) };
                if hidden {
                    return Ok(Some(if before.is_some() && next.is_some() { "changed" } else { "set" }.into()));
                }
                let value = self.ground.store.unseal(&one.value)?;
                Ok(Some(String::from_utf8_lossy(value.expose()).into_owned()))
            };
            changes.push(Difference::new(key.to_string(), shown(before)?, shown(next.as_ref())?));
        }
        let mut apps = owner.apps;
        apps.extend(referring(&self.ground, &apps)?);
        Ok(VariablePreview {
            changes,
            apps: apps.into_iter().map(|app| (app.id, app.name.to_string())).collect(),
        })
    }

    /// Makes them exactly these.
    pub async fn replace(&self, actor: &Actor, app: &str, items: Vec<VariableChange>) -> Result<Vec<VariableView>> {
        actor.may_somewhere(Action::Configure)?;
        let owner = of_app(find_app(&self.ground, actor, Action::Configure, app)?);
        let unset = own_variables(&self.ground, &owner.owner)?
            .into_iter()
            .map(|stored| stored.value.key)
            .filter(|key| !items.iter().any(|item| item.key == *key))
            .collect();
        self.write(actor, &owner, VariableWish { set: items, unset }).await?;
        self.views(&owner, false, false)
    }

    /// What a `.env` file asks for. Fails with the line that cannot be read.
    pub fn read_dotenv(text: &str, scope: Option<VariableScope>, secret: Option<bool>) -> Result<VariableWish> {
        let change = |(key, value): (VariableKey, String)| VariableChange {
            key,
            value: Some(Secret::from(value)),
            scope,
            secret,
        };
        Ok(VariableWish {
            set: dotenv::parse(text)?.into_iter().map(change).collect(),
            unset: Vec::new(),
        })
    }

    /// All of its own as a `.env` file, which [`Variables::read_dotenv`] reads back to the same bytes.
    /// Fails with `Invalid` when a value is not UTF-8.
    pub async fn export(&self, actor: &Actor, owner: &str) -> Result<String> {
        actor.may_somewhere(Action::RevealSecrets)?;
        let mut pairs = Vec::new();
        for view in self.list_of(actor, owner, true, false).await? {
            let value = view.value.unwrap_or_default();
            let text = value
                .expose_str()
                .ok_or_else(|| Error::invalid(view.key.as_str(), "is not text; a .env file cannot hold it"))?;
            pairs.push((view.key, text.to_owned()));
        }
        Ok(dotenv::print(&pairs))
    }

    /// What they were, newest first: of one key, or of all. `reveal` needs the right to see secrets, and is recorded.
    pub async fn history(&self, actor: &Actor, owner: &str, key: Option<&VariableKey>, reveal: bool) -> Result<Vec<VersionView>> {
        actor.may_somewhere(Action::View)?;
        let action = if reveal { Action::RevealSecrets } else { Action::View };
        let owner = find_owner(&self.ground, actor, action, owner)?;
        let prefix = match key {
            Some(key) => format!("{}/{key}/", owner.owner),
            None => format!("{}/", owner.owner),
        };
        let mut views = Vec::new();
        for version in self.ground.store.variable_versions.prefix(&prefix)? {
            let version = version.value;
            let shown = version.value.as_ref().filter(|_| reveal || !version.secret);
            views.push(VersionView {
                value: shown.map(|sealed| self.ground.store.unseal(sealed)).transpose()?,
                removed: version.value.is_none(),
                id: version.id,
                key: version.key,
                scope: version.scope,
                secret: version.secret,
                at: version.at,
                by: version.by,
            });
        }
        views.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
        if reveal && views.iter().any(|view| view.secret) {
            self.tell_revealed(actor, &owner).await;
        }
        Ok(views)
    }

    /// Makes a variable what it was: value, scope, whether it is secret, or that there was none.
    pub async fn restore(&self, actor: &Actor, owner: &str, version: &str) -> Result<Vec<VariableView>> {
        actor.may_somewhere(Action::Configure)?;
        let owner = find_owner(&self.ground, actor, Action::Configure, owner)?;
        let found = self.ground.store.variable_versions.claimed(version)?.map(|stored| stored.value);
        let found = found
            .filter(|found| found.owner == owner.owner)
            .ok_or_else(|| Error::not_found(Kind::Variable, version))?;
        let wish = match &found.value {
            Some(sealed) => VariableWish {
                set: vec![VariableChange {
                    value: Some(self.ground.store.unseal(sealed)?),
                    key: found.key,
                    scope: Some(found.scope),
                    secret: Some(found.secret),
                }],
                unset: Vec::new(),
            },
            None => VariableWish {
                set: Vec::new(),
                unset: vec![found.key],
            },
        };
        self.write(actor, &owner, wish).await?;
        self.views(&owner, false, false)
    }

    fn views(&self, owner: &Owner, reveal: bool, inherited: bool) -> Result<Vec<VariableView>> {
        let ground = &self.ground;
        let mut found: BTreeMap<VariableKey, VariableView> = BTreeMap::new();
        let mut owners = vec![owner.owner.clone()];
        let kept = match &owner.owner {
            VariableOwner::Environment(environment) => Some(Kept::of(ground, environment)?),
            VariableOwner::App(app) | VariableOwner::Service { app, .. } => {
                Some(Kept::of(ground, &ground.store.apps.get(app.as_str())?.environment)?)
            }
            VariableOwner::Organization(_) | VariableOwner::Project(_) => None,
        };
        if inherited {
            owners.extend(above(ground, &owner.owner)?);
        }
        for one in owners {
            let is_own = one == owner.owner;
            let from = if is_own { owner.words.clone() } else { self.words_of(&one)? };
            for stored in own_variables(ground, &one)? {
                let variable = stored.value;
                if found.contains_key(&variable.key) || kept.as_ref().is_some_and(|kept| !kept.has(&variable)) {
                    continue;
                }
                let shown = reveal || !variable.secret;
                let value = if shown { Some(ground.store.unseal(&variable.value)?) } else { None };
                let view = VariableView {
                    key: variable.key.clone(),
                    value,
                    scope: variable.scope,
                    secret: variable.secret,
                    level: one.level(),
                    from: from.clone(),
                    inherited: !is_own,
                    updated_at: variable.updated_at,
                    updated_by: variable.updated_by,
                };
                found.insert(variable.key, view);
            }
        }
        Ok(found.into_values().collect())
    }

    fn words_of(&self, owner: &VariableOwner) -> Result<String> {
        let store = &self.ground.store;
        Ok(match owner {
            VariableOwner::Organization(_) => "the organization".into(),
            VariableOwner::Project(id) => format!("project {}", store.projects.get(id.as_str())?.name),
            VariableOwner::Environment(id) => format!("environment {}", store.environments.get(id.as_str())?.name),
            VariableOwner::App(id) => store.apps.get(id.as_str())?.name.to_string(),
            VariableOwner::Service { service, .. } => format!("service {service}"),
        })
    }

    fn old(&self, owner: &Owner) -> Result<BTreeMap<VariableKey, Stored<Variable>>> {
        let own = own_variables(&self.ground, &owner.owner)?;
        Ok(own.into_iter().map(|stored| (stored.key.clone(), stored)).collect())
    }

    /// What really changes, by key: `None` for what goes. Fails with `Invalid` for what cannot be.
    fn plan(
        &self,
        actor: &Actor,
        owner: &Owner,
        old: &BTreeMap<VariableKey, Stored<Variable>>,
        wish: VariableWish,
    ) -> Result<BTreeMap<VariableKey, Option<Variable>>> {
        let ground = &self.ground;
        let places: BTreeSet<EnvironmentId> = owner.apps.iter().map(|app| app.environment.clone()).collect();
        let mut plan: BTreeMap<VariableKey, Option<Variable>> = BTreeMap::new();
        let mut named: Vec<VariableKey> = Vec::new();
        for key in wish.unset {
            if old.contains_key(&key) {
                plan.insert(key.clone(), None);
            }
            named.push(key);
        }
        for change in wish.set {
            let key = change.key.clone();
            if named.contains(&key) {
                return Err(Error::invalid(key.as_str(), "is given twice"));
            }
            named.push(key.clone());
            let Some(before) = old.get(&key).map(|stored| &stored.value) else {
                plan.insert(key, Some(sealed_variable(ground, actor, owner.owner.clone(), &places, change)?));
                continue;
            };
            let mut next = before.clone();
            if let Some(value) = &change.value {
                if ground.store.unseal(&before.value)? != *value {
                    next.value = seal_value(ground, &key, value)?;
                }
                next.refers = may_refer(ground, actor, &places, owner.owner.app(), value)?;
            }
            next.scope = change.scope.unwrap_or(before.scope);
            next.secret = change.secret.unwrap_or(before.secret);
            if next == *before {
                continue;
            }
            let value = ground.store.unseal(&next.value)?;
            check_text(&key, &value, next.scope, next.secret)?;
            if next.secret {
                ground.redactor.learn(&actor.organization, &value);
            }
            next.updated_at = ground.world.now();
            next.updated_by = actor.who.to_string();
            plan.insert(key, Some(next));
        }
        let gone = plan.values().filter(|next| next.is_none()).count();
        let new = plan.iter().filter(|(key, next)| next.is_some() && !old.contains_key(*key)).count();
        if old.len() - gone + new > VARIABLES {
            return Err(Error::invalid("variables", format!("there are at most {VARIABLES} of one owner")));
        }
        check_circles(ground, owner, &self.level_with(old, &plan)?)?;
        Ok(plan)
    }

    /// What the owner would have.
    fn level_with(&self, old: &BTreeMap<VariableKey, Stored<Variable>>, plan: &BTreeMap<VariableKey, Option<Variable>>) -> Result<Level> {
        let kept = old
            .iter()
            .filter(|(key, _)| !plan.contains_key(*key))
            .map(|(_, stored)| &stored.value);
        let next = plan.values().flatten();
        kept.chain(next)
            .map(|variable| {
                let text = self.ground.store.unseal(&variable.value)?.expose_str().map(str::to_owned);
                let (secret, refers) = (variable.secret, variable.refers.clone());
                Ok((variable.key.clone(), Given { text, secret, refers }))
            })
            .collect()
    }

    /// Somebody else may change one of many apps meanwhile: then it is done anew.
    async fn write(&self, actor: &Actor, owner: &Owner, wish: VariableWish) -> Result<()> {
        for _ in 0..5 {
            match self.try_write(actor, owner, wish.clone()).await {
                Err(Error::Stale { .. }) => continue,
                other => return other,
            }
        }
        self.try_write(actor, owner, wish).await
    }

    async fn try_write(&self, actor: &Actor, owner: &Owner, wish: VariableWish) -> Result<()> {
        let ground = &self.ground;
        for app in owner.apps.iter().filter(|_| owner.owner.level() >= VariableLevel::App) {
            not_trashed(app)?;
        }
        let mut old = self.old(owner)?;
        let plan = self.plan(actor, owner, &old, wish)?;
        if plan.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        let keys: Vec<String> = plan.keys().map(ToString::to_string).collect();
        for (key, next) in plan {
            batch = self.remember(batch, actor, owner, &key, next.as_ref(), old.get(&key))?;
            batch = match (next, old.remove(&key)) {
                (Some(next), Some(mut stored)) => {
                    stored.value = next;
                    batch.save(stored)
                }
                (Some(next), None) => batch.insert(next),
                (None, Some(stored)) => batch.remove(&stored),
                (None, None) => batch,
            };
        }
        // What refers to them is another value too.
        for app in owner.apps.iter().chain(&referring(ground, &owner.apps)?) {
            let mut stored = ground.store.apps.get(app.id.as_str())?;
            stored.variables_version += 1;
            stored.updated_at = ground.world.now();
            batch = batch.save(stored);
        }
        ground.store.commit(batch).await?;
        let fact = match &owner.owner {
            VariableOwner::App(app) | VariableOwner::Service { app, .. } => Fact::VariablesChanged {
                app: app.clone(),
                name: owner.words.clone(),
                keys,
            },
            _ => Fact::SharedVariablesChanged {
                owner: owner.words.clone(),
                keys,
            },
        };
        ground.events.emit(actor, fact).await;
        Ok(())
    }

    /// Adds what a variable becomes to its history, and what it was if nothing is known of that.
    fn remember(
        &self,
        mut batch: Batch,
        actor: &Actor,
        owner: &Owner,
        key: &VariableKey,
        next: Option<&Variable>,
        before: Option<&Stored<Variable>>,
    ) -> Result<Batch> {
        let ground = &self.ground;
        let kept = ground.store.variable_versions.prefix(&format!("{}/{key}/", owner.owner))?;
        let version = |variable: Option<&Variable>, fallback: Option<&Variable>| VariableVersion {
            id: ground.world.id(),
            organization: actor.organization.clone(),
            owner: owner.owner.clone(),
            key: key.clone(),
            value: variable.map(|one| one.value.clone()),
            scope: variable.or(fallback).map_or(VariableScope::Run, |one| one.scope),
            secret: variable.or(fallback).is_some_and(|one| one.secret),
            at: variable.map_or_else(|| ground.world.now(), |one| one.updated_at),
            by: variable.map_or_else(|| actor.who.to_string(), |one| one.updated_by.clone()),
        };
        let before = before.map(|stored| &stored.value);
        if let (true, Some(before)) = (kept.is_empty(), before) {
            batch = batch.insert(version(Some(before), None));
        }
        for old in kept.iter().take((kept.len() + 1).saturating_sub(VERSIONS)) {
            batch = batch.remove(old);
        }
        Ok(batch.insert(version(next, before)))
    }

    /// Queues a deployment of each app that is live and has them, or refers to them and may be deployed too; those whose deployments are
    /// locked or frozen are left out.
    async fn deploy(&self, actor: &Actor, owner: &Owner) -> Result<()> {
        let ground = &self.ground;
        let mut referring = referring(ground, &owner.apps)?;
        referring.retain(|app| actor.is_permitted(Action::Deploy, &app.place()));
        for app in owner.apps.iter().chain(&referring).filter(|app| app.release.is_some()) {
            if deployments::must_be_unlocked(ground, app).is_err() {
                continue;
            }
            let mut stored = ground.store.apps.get(app.id.as_str())?;
            let by = actor.who.to_string();
            let batch = deployments::queue(ground, by, &mut stored.value, Cause::Manual, Wanted::Usual, Batch::new())?;
            ground.store.commit(batch.save(stored)).await?;
        }
        ground.wake_deploy();
        Ok(())
    }

    async fn tell_revealed(&self, actor: &Actor, owner: &Owner) {
        let fact = match &owner.owner {
            VariableOwner::App(app) | VariableOwner::Service { app, .. } => Fact::SecretsRevealed {
                app: app.clone(),
                name: owner.words.clone(),
            },
            _ => Fact::SharedSecretsRevealed {
                owner: owner.words.clone(),
            },
        };
        self.ground.events.emit(actor, fact).await;
    }
}

/// A new variable, sealed. Fails with `Invalid` when it has no value.
pub(crate) fn sealed_variable(
    ground: &Ground,
    actor: &Actor,
    owner: VariableOwner,
    places: &BTreeSet<EnvironmentId>,
    change: VariableChange,
) -> Result<Variable> {
    let value = change
        .value
        .ok_or_else(|| Error::invalid(change.key.as_str(), "has no value yet, so one must be given"))?;
    let secret = change.secret.unwrap_or(false);
    let scope = change.scope.unwrap_or(VariableScope::Run);
    check_text(&change.key, &value, scope, secret)?;
    if secret {
        ground.redactor.learn(&actor.organization, &value);
    }
    Ok(Variable {
        organization: actor.organization.clone(),
        refers: may_refer(ground, actor, places, owner.app(), &value)?,
        owner,
        value: seal_value(ground, &change.key, &value)?,
        key: change.key,
        scope,
        secret,
        updated_at: ground.world.now(),
        updated_by: actor.who.to_string(),
    })
}

/// The engine takes environments and build arguments as JSON, so as text; a build secret alone is a file.
fn check_text(key: &VariableKey, value: &Secret, scope: VariableScope, secret: bool) -> Result<()> {
    if value.expose_str().is_some() || secret && !scope.at_run() {
        return Ok(());
    }
    Err(Error::invalid(
        key.as_str(),
        "is not UTF-8 text, and no container can start with it; encode it, or make it a build secret",
    ))
}

pub(crate) fn seal_value(ground: &Ground, key: &VariableKey, value: &Secret) -> Result<types::Sealed> {
    if value.expose().len() > VALUE_BYTES {
        return Err(Error::invalid(
            key.as_str(),
            format!("is longer than {} KiB, and no container could start with it", VALUE_BYTES >> 10),
        ));
    }
    if value.expose().contains(&0) {
        return Err(Error::invalid(key.as_str(), "contains a zero byte, which no environment can hold"));
    }
    ground.store.seal(value)
}

/// Of an app alone, by key.
pub(crate) fn variables_of(ground: &Ground, app: &AppId) -> Result<Vec<Stored<Variable>>> {
    own_variables(ground, &VariableOwner::App(app.clone()))
}

/// Removes everything of an owner, or of all owners whose names begin so: variables and what they were.
pub(crate) fn forget(ground: &Ground, mut batch: Batch, owner: &str) -> Result<Batch> {
    for variable in ground.store.variables.prefix(owner)? {
        batch = batch.remove(&variable);
    }
    for version in ground.store.variable_versions.prefix(owner)? {
        batch = batch.remove(&version);
    }
    Ok(batch)
}
