//! Environment variables of an app: sealed at rest, byte for byte.

use crate::{
    apps::{find_app, not_trashed},
    dotenv,
    ground::Ground,
};
use std::{collections::BTreeMap, sync::Arc};
use store::{Batch, Stored};
use types::{Action, Actor, App, AppId, Error, Fact, Result, Secret, Source, Time, Variable, VariableKey, VariableScope};

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
    /// `None` when it is secret and was not asked for.
    pub value: Option<Secret>,
    pub scope: VariableScope,
    pub secret: bool,
    pub updated_at: Time,
    pub updated_by: String,
}

/// More than this no container could start with (the kernel's limit for one string is 128 KiB).
const VALUE_BYTES: usize = 120 << 10;
const VARIABLES: usize = 2000;

#[derive(Clone)]
pub struct Variables {
    ground: Arc<Ground>,
}

impl Variables {
    pub(crate) fn new(ground: Arc<Ground>) -> Variables {
        Variables { ground }
    }

    /// By key. `reveal` needs the right to see secrets, and is recorded.
    pub async fn list(&self, actor: &Actor, app: &str, reveal: bool) -> Result<Vec<VariableView>> {
        actor.may(Action::View)?;
        if reveal {
            actor.may(Action::RevealSecrets)?;
        }
        let app = find_app(&self.ground, actor, app)?;
        let views = self.views(&app.id, reveal)?;
        if reveal && views.iter().any(|view| view.secret) {
            self.ground
                .events
                .emit(
                    actor,
                    Fact::SecretsRevealed {
                        app: app.id,
                        name: app.name.to_string(),
                    },
                )
                .await;
        }
        Ok(views)
    }

    /// Sets some, unsets others, in one step.
    pub async fn update(&self, actor: &Actor, app: &str, set: Vec<VariableChange>, unset: Vec<VariableKey>) -> Result<Vec<VariableView>> {
        actor.may(Action::Configure)?;
        let app = find_app(&self.ground, actor, app)?;
        self.write(actor, &app, set, unset).await?;
        self.views(&app.id, false)
    }

    /// Makes them exactly these.
    pub async fn replace(&self, actor: &Actor, app: &str, items: Vec<VariableChange>) -> Result<Vec<VariableView>> {
        actor.may(Action::Configure)?;
        let app = find_app(&self.ground, actor, app)?;
        let gone = variables_of(&self.ground, &app.id)?
            .into_iter()
            .map(|stored| stored.value.key)
            .filter(|key| !items.iter().any(|item| item.key == *key))
            .collect();
        self.write(actor, &app, items, gone).await?;
        self.views(&app.id, false)
    }

    /// Sets what a `.env` file says. Fails with the line that cannot be read, and then sets nothing.
    pub async fn import(
        &self,
        actor: &Actor,
        app: &str,
        text: &str,
        scope: Option<VariableScope>,
        secret: Option<bool>,
    ) -> Result<Vec<VariableView>> {
        actor.may(Action::Configure)?;
        let set = dotenv::parse(text)?
            .into_iter()
            .map(|(key, value)| VariableChange {
                key,
                value: Some(Secret::from(value)),
                scope,
                secret,
            })
            .collect();
        self.update(actor, app, set, Vec::new()).await
    }

    /// All of them as a `.env` file, which [`Variables::import`] reads back to the same bytes.
    /// Fails with `Invalid` when a value is not UTF-8.
    pub async fn export(&self, actor: &Actor, app: &str) -> Result<String> {
        actor.may(Action::RevealSecrets)?;
        let mut pairs = Vec::new();
        for view in self.list(actor, app, true).await? {
            let value = view.value.unwrap_or_default();
            let text = value
                .expose_str()
                .ok_or_else(|| Error::invalid(view.key.as_str(), "is not text; a .env file cannot hold it"))?;
            pairs.push((view.key, text.to_owned()));
        }
        Ok(dotenv::print(&pairs))
    }

    fn views(&self, app: &AppId, reveal: bool) -> Result<Vec<VariableView>> {
        variables_of(&self.ground, app)?
            .into_iter()
            .map(|stored| {
                let variable = stored.value;
                let shown = reveal || !variable.secret;
                Ok(VariableView {
                    value: if shown {
                        Some(self.ground.store.unseal(&variable.value)?)
                    } else {
                        None
                    },
                    key: variable.key,
                    scope: variable.scope,
                    secret: variable.secret,
                    updated_at: variable.updated_at,
                    updated_by: variable.updated_by,
                })
            })
            .collect()
    }

    async fn write(&self, actor: &Actor, app: &App, set: Vec<VariableChange>, unset: Vec<VariableKey>) -> Result<()> {
        let ground = &self.ground;
        let mut stored_app = ground.store.apps.get(app.id.as_str())?;
        not_trashed(&stored_app)?;
        let mut old: BTreeMap<VariableKey, Stored<Variable>> = variables_of(ground, &app.id)?
            .into_iter()
            .map(|stored| (stored.key.clone(), stored))
            .collect();
        let mut batch = Batch::new();
        let mut keys = Vec::new();
        for key in unset {
            if let Some(stored) = old.remove(&key) {
                batch = batch.remove(&stored);
                keys.push(key.to_string());
            }
        }
        for change in set {
            let key = change.key.clone();
            if keys.contains(&key.to_string()) {
                return Err(Error::invalid(key.as_str(), "is given twice"));
            }
            match old.remove(&key) {
                Some(mut stored) => {
                    let before = stored.value.clone();
                    if let Some(value) = &change.value
                        && ground.store.unseal(&before.value)? != *value
                    {
                        stored.value.value = seal_value(ground, &key, value)?;
                    }
                    stored.value.scope = change.scope.unwrap_or(before.scope);
                    stored.value.secret = change.secret.unwrap_or(before.secret);
                    if stored.value == before {
                        continue;
                    }
                    let value = ground.store.unseal(&stored.value.value)?;
                    check_text(&key, &value, stored.value.scope, stored.value.secret)?;
                    if stored.value.secret {
                        ground.redactor.learn(&value);
                    }
                    stored.value.updated_at = ground.world.now();
                    stored.value.updated_by = actor.who.to_string();
                    batch = batch.save(stored);
                }
                None => batch = batch.insert(sealed_variable(ground, actor, app, change)?),
            }
            keys.push(key.to_string());
        }
        if keys.is_empty() {
            return Ok(());
        }
        if old.len() + keys.len() > VARIABLES {
            return Err(Error::invalid("variables", format!("an app has at most {VARIABLES}")));
        }
        stored_app.variables_version += 1;
        stored_app.updated_at = ground.world.now();
        ground.store.commit(batch.save(stored_app)).await?;
        ground
            .events
            .emit(
                actor,
                Fact::VariablesChanged {
                    app: app.id.clone(),
                    name: app.name.to_string(),
                    keys,
                },
            )
            .await;
        Ok(())
    }
}

/// A new variable, sealed. Fails with `Invalid` when it has no value.
pub(crate) fn sealed_variable(ground: &Ground, actor: &Actor, app: &App, change: VariableChange) -> Result<Variable> {
    let value = change
        .value
        .ok_or_else(|| Error::invalid(change.key.as_str(), "has no value yet, so one must be given"))?;
    let secret = change.secret.unwrap_or(false);
    let scope = change.scope.unwrap_or(VariableScope::Run);
    check_text(&change.key, &value, scope, secret)?;
    if secret {
        ground.redactor.learn(&value);
    }
    Ok(Variable {
        organization: app.organization.clone(),
        app: app.id.clone(),
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

fn seal_value(ground: &Ground, key: &VariableKey, value: &Secret) -> Result<types::Sealed> {
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

pub(crate) fn variables_of(ground: &Ground, app: &AppId) -> Result<Vec<Stored<Variable>>> {
    ground.store.variables.prefix(&format!("{app}/"))
}

/// Tells the redactor every secret there is, so that none shows in any log.
pub(crate) fn teach_redactor(ground: &Ground) -> Result<()> {
    for variable in ground.store.variables.list()?.iter().filter(|variable| variable.secret) {
        ground.redactor.learn(&ground.store.unseal(&variable.value.value)?);
    }
    for app in ground.store.apps.list()? {
        if let Source::Git(git) = &app.source
            && let Some(password) = &git.password
        {
            ground.redactor.learn(&ground.store.unseal(password)?);
        }
    }
    for webhook in ground.store.webhooks.list()? {
        ground.redactor.learn(&ground.store.unseal(&webhook.secret)?);
    }
    for registry in ground.store.registries.list()? {
        ground.redactor.learn(&ground.store.unseal(&registry.password)?);
    }
    Ok(())
}
