//! Whose variables an app has: from the organization down to a service, the nearer one wins.

use super::references::{Given, Level, Resolved, apps_named, resolve};
use crate::{
    apps::find_app,
    ground::Ground,
    previews,
    projects::{find_environment, find_project},
};
use std::collections::{BTreeMap, BTreeSet};
use store::Stored;
use types::{
    Action, Actor, App, AppId, AppName, EnvironmentId, Error, Kind, Result, Secret, Variable, VariableKey, VariableOwner, VariableScope,
};

/// Somebody who has variables, found by what people call it.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub owner: VariableOwner,
    /// `project shop`
    pub words: String,
    /// Those that have its variables; not those in the trash.
    pub apps: Vec<App>,
}

/// `organization`, `project:NAME`, `environment:PROJECT/NAME` or `environment:ID`, `app:NAME`, `service:APP/NAME`; ids in
/// place of names. Fails where the actor may not do this there.
pub(crate) fn find_owner(ground: &Ground, actor: &Actor, action: Action, text: &str) -> Result<Owner> {
    let apps = |wanted: &dyn Fn(&App) -> bool| -> Result<Vec<App>> {
        let all = ground.store.apps.list()?.into_iter().map(|stored| stored.value);
        Ok(all
            .filter(|app| app.organization == actor.organization && app.trashed_at.is_none() && wanted(app))
            .collect())
    };
    let (level, name) = text.split_once(':').unwrap_or((text, ""));
    match level {
        "organization" if name.is_empty() => {
            actor.may(action)?;
            Ok(Owner {
                owner: VariableOwner::Organization(actor.organization.clone()),
                words: "the organization".into(),
                apps: apps(&|_| true)?,
            })
        }
        "project" => {
            let project = find_project(ground, actor, action, name)?;
            // Who sees only an app in it, does not see what all of it has.
            actor.may_in(action, &project.place())?;
            Ok(Owner {
                words: format!("project {}", project.name),
                apps: apps(&|app| app.project == project.id)?,
                owner: VariableOwner::Project(project.id),
            })
        }
        "environment" => {
            let environment = match name.split_once('/') {
                Some((project, name)) => find_environment(ground, actor, action, Some(project), Some(name))?,
                None => find_environment(ground, actor, action, None, Some(name))?,
            };
            actor.may_in(action, &environment.place())?;
            Ok(Owner {
                words: format!("environment {}", environment.name),
                apps: apps(&|app| app.environment == environment.id)?,
                owner: VariableOwner::Environment(environment.id),
            })
        }
        "app" => Ok(of_app(find_app(ground, actor, action, name)?)),
        "service" => {
            let (app, service) = name
                .split_once('/')
                .ok_or_else(|| Error::invalid("owner", "must be `service:APP/SERVICE`"))?;
            let app = find_app(ground, actor, action, app)?;
            if app.source.stack().is_none() {
                return Err(Error::busy(format!("`{}` is one container; set its own variables", app.name)));
            }
            let fits =
                (1..=100).contains(&service.len()) && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if !fits {
                return Err(Error::not_found(Kind::Service, service));
            }
            Ok(Owner {
                owner: VariableOwner::Service {
                    app: app.id.clone(),
                    service: service.to_owned(),
                },
                words: format!("service {service} of {}", app.name),
                apps: vec![app],
            })
        }
        _ => Err(Error::invalid(
            "owner",
            "must be `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`",
        )),
    }
}

pub(crate) fn of_app(app: App) -> Owner {
    Owner {
        owner: VariableOwner::App(app.id.clone()),
        words: app.name.to_string(),
        apps: vec![app],
    }
}

/// Whose variables an app has, from the nearest to the farthest.
pub(crate) fn chain(app: &App) -> Vec<VariableOwner> {
    vec![
        VariableOwner::App(app.id.clone()),
        VariableOwner::Environment(app.environment.clone()),
        VariableOwner::Project(app.project.clone()),
        VariableOwner::Organization(app.organization.clone()),
    ]
}

/// What somebody inherits from, from the nearest to the farthest; without itself.
pub(crate) fn above(ground: &Ground, owner: &VariableOwner) -> Result<Vec<VariableOwner>> {
    let of_app = |app: &AppId| -> Result<Vec<VariableOwner>> { Ok(chain(&ground.store.apps.get(app.as_str())?.value)) };
    Ok(match owner {
        VariableOwner::Organization(_) => Vec::new(),
        VariableOwner::Project(project) => {
            let project = ground.store.projects.get(project.as_str())?;
            vec![VariableOwner::Organization(project.organization.clone())]
        }
        VariableOwner::Environment(environment) => {
            let environment = ground.store.environments.get(environment.as_str())?;
            vec![
                VariableOwner::Project(environment.project.clone()),
                VariableOwner::Organization(environment.organization.clone()),
            ]
        }
        VariableOwner::App(app) => of_app(app)?.split_off(1),
        VariableOwner::Service { app, .. } => of_app(app)?,
    })
}

/// By key.
pub(crate) fn own_variables(ground: &Ground, owner: &VariableOwner) -> Result<Vec<Stored<Variable>>> {
    ground.store.variables.prefix(&format!("{owner}/"))
}

pub(crate) fn level_of(ground: &Ground, owner: &VariableOwner) -> Result<Level> {
    level(ground, &own_variables(ground, owner)?)
}

fn level(ground: &Ground, own: &[Stored<Variable>]) -> Result<Level> {
    let given = |variable: &Stored<Variable>| {
        let text = ground.store.unseal(&variable.value.value)?.expose_str().map(str::to_owned);
        let (secret, refers) = (variable.secret, variable.refers.clone());
        Ok((variable.key.clone(), Given { text, secret, refers }))
    };
    own.iter().map(given).collect()
}

/// A variable as an app has it.
#[derive(Debug, Clone)]
pub(crate) struct Effective {
    pub key: VariableKey,
    /// With what it refers to.
    pub value: Secret,
    /// As it lies on disk, where it refers to nothing.
    pub sealed: Option<types::Sealed>,
    pub scope: VariableScope,
    /// It is, or something in it is.
    pub secret: bool,
    /// What it refers to that is not there, with why.
    pub missing: Vec<String>,
}

/// All variables of an app, of its own and inherited, by key. Fails with `Invalid` for a circle.
pub(crate) fn effective(ground: &Ground, app: &App) -> Result<Vec<Effective>> {
    gathered(ground, app, &chain(app))
}

/// An app by its name, where it is not in the trash.
fn app_in(ground: &Ground, environment: &EnvironmentId, name: &AppName) -> Result<Option<App>> {
    let mut all = ground.store.apps.list()?.into_iter().map(|stored| stored.value);
    Ok(all.find(|app| app.environment == *environment && app.name == *name && app.trashed_at.is_none()))
}

/// What other apps of an environment have, for what refers to it; with what is about to be one owner's.
fn others<'a>(
    ground: &'a Ground,
    environment: &'a EnvironmentId,
    next: Option<(&'a VariableOwner, &'a Level)>,
) -> impl Fn(&AppName) -> Result<Option<Vec<Level>>> + 'a {
    move |name| {
        let Some(app) = app_in(ground, environment, name)? else {
            return Ok(None);
        };
        let kept = Kept::of(ground, environment)?;
        let mut levels = Vec::new();
        for owner in chain(&app) {
            levels.push(match next {
                Some((changed, level)) if *changed == owner => level.clone(),
                _ => {
                    let mut own = own_variables(ground, &owner)?;
                    own.retain(|stored| kept.has(stored));
                    level(ground, &own)?
                }
            });
        }
        Ok(Some(levels))
    }
}

/// Other apps that a value names and may refer to: those that are there, whose secrets its writer may see. Fails with `Forbidden` for one
/// whose secrets they may not.
pub(crate) fn may_refer(
    ground: &Ground,
    actor: &Actor,
    to: &BTreeSet<EnvironmentId>,
    own: Option<&AppId>,
    value: &Secret,
) -> Result<Vec<AppName>> {
    let mut names = Vec::new();
    for name in apps_named(value.expose_str().unwrap_or_default()) {
        let mut is_there = false;
        for environment in to {
            let Some(app) = app_in(ground, environment, &name)? else { continue };
            if own != Some(&app.id) {
                actor.may_in(Action::RevealSecrets, &app.place())?;
            }
            is_there = true;
        }
        if is_there {
            names.push(name);
        }
    }
    Ok(names)
}

/// Apps that refer to variables of these, and are none of them.
pub(crate) fn referring(ground: &Ground, changed: &[App]) -> Result<Vec<App>> {
    let names_one = |variable: &Variable| variable.refers.iter().any(|name| changed.iter().any(|app| app.name == *name));
    let all = ground.store.variables.list()?.into_iter().map(|stored| stored.value);
    let variables: Vec<Variable> = all.filter(names_one).collect();
    if variables.is_empty() {
        return Ok(Vec::new());
    }
    let refers = |app: &App, variable: &Variable| {
        let has = match &variable.owner {
            VariableOwner::Service { app: id, .. } => *id == app.id,
            owner => chain(app).contains(owner),
        };
        has && changed
            .iter()
            .any(|one| one.environment == app.environment && variable.refers.contains(&one.name))
    };
    let apps = ground.store.apps.list()?.into_iter().map(|stored| stored.value);
    Ok(apps
        .filter(|app| app.trashed_at.is_none() && !changed.iter().any(|one| one.id == app.id))
        .filter(|app| variables.iter().any(|variable| refers(app, variable)))
        .collect())
}

/// What a preview has of what it inherits: no secrets, save those that its owner has marked. Its own are its own.
pub(crate) struct Kept(Option<Vec<VariableKey>>);

impl Kept {
    pub fn of(ground: &Ground, environment: &EnvironmentId) -> Result<Kept> {
        previews::shared_secrets(ground, environment).map(Kept)
    }
    pub fn has(&self, variable: &Variable) -> bool {
        let shared = matches!(variable.owner, VariableOwner::Organization(_) | VariableOwner::Project(_));
        match &self.0 {
            Some(marked) if shared && variable.secret => marked.contains(&variable.key),
            _ => true,
        }
    }
}

/// Those of one service alone, which may refer to all that its app has.
pub(crate) fn of_service(ground: &Ground, app: &App, service: &str) -> Result<Vec<Effective>> {
    let own = VariableOwner::Service {
        app: app.id.clone(),
        service: service.to_owned(),
    };
    let keys: Vec<VariableKey> = own_variables(ground, &own)?.into_iter().map(|stored| stored.value.key).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut owners = vec![own];
    owners.extend(chain(app));
    let mut all = gathered(ground, app, &owners)?;
    all.retain(|one| keys.contains(&one.key));
    Ok(all)
}

fn gathered(ground: &Ground, app: &App, owners: &[VariableOwner]) -> Result<Vec<Effective>> {
    let kept = Kept::of(ground, &app.environment)?;
    let mut nearest: BTreeMap<VariableKey, Variable> = BTreeMap::new();
    let mut levels = Vec::new();
    for owner in owners {
        let own: Vec<_> = own_variables(ground, owner)?
            .into_iter()
            .filter(|stored| kept.has(stored))
            .collect();
        levels.push(level(ground, &own)?);
        for stored in own {
            nearest.entry(stored.key.clone()).or_insert(stored.value);
        }
    }
    let mut resolved = resolve(
        &app.name,
        &levels.iter().collect::<Vec<_>>(),
        &others(ground, &app.environment, None),
    )?;
    let mut all = Vec::new();
    for (key, variable) in nearest {
        let Resolved { text, secret, missing } = resolved.remove(&key).unwrap_or(Resolved {
            text: None,
            secret: variable.secret,
            missing: Vec::new(),
        });
        let (value, sealed) = match text {
            Some(text) => (Secret::from(text), None),
            None => (ground.store.unseal(&variable.value)?, Some(variable.value)),
        };
        if secret {
            ground.redactor.learn(&app.organization, &value);
        }
        all.push(Effective {
            key,
            value,
            sealed,
            scope: variable.scope,
            secret,
            missing,
        });
    }
    Ok(all)
}

/// What an app's variables, and those of its services, refer to that is not there, in sentences. Nothing of what is secret is in them.
pub(crate) fn missing_references(ground: &Ground, app: &App) -> Result<Vec<String>> {
    let sentences = |of: &str, all: Vec<Effective>| -> Vec<String> {
        let words = |one: &Effective, missing: &str| match one.secret {
            true => format!(
                "variable {}{of} refers to a variable that is not there: it stays as it is written",
                one.key
            ),
            false => format!("variable {}{of} refers to {missing}: it stays as it is written", one.key),
        };
        let mut said: Vec<String> = all
            .iter()
            .flat_map(|one| one.missing.iter().map(|missing| words(one, missing)))
            .collect();
        said.dedup();
        said
    };
    let mut all = sentences("", effective(ground, app)?);
    let owners = ground.store.variables.list()?.into_iter().map(|stored| stored.value.owner);
    let services: BTreeSet<String> = owners
        .filter_map(|owner| match owner {
            VariableOwner::Service { app: id, service } if id == app.id => Some(service),
            _ => None,
        })
        .collect();
    for service in services {
        all.extend(sentences(&format!(" of {service}"), of_service(ground, app, &service)?));
    }
    Ok(all)
}

/// Fails with `Invalid` when some app would have a circle once `owner` has `next`.
pub(crate) fn check_circles(ground: &Ground, owner: &Owner, next: &Level) -> Result<()> {
    for app in &owner.apps {
        let mut owners = chain(app);
        if matches!(owner.owner, VariableOwner::Service { .. }) {
            owners.insert(0, owner.owner.clone());
        }
        let mut levels = Vec::new();
        for one in &owners {
            levels.push(if *one == owner.owner {
                next.clone()
            } else {
                level_of(ground, one)?
            });
        }
        let beside = others(ground, &app.environment, Some((&owner.owner, next)));
        resolve(&app.name, &levels.iter().collect::<Vec<_>>(), &beside).map_err(|error| match error {
            Error::Invalid { field, why } if owner.owner.level() < types::VariableLevel::App => {
                Error::invalid(field, format!("{why} (in `{}`)", app.name))
            }
            error => error,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        Apps, Deployments, NewApp, VariableChange, VariableWish, Variables,
        testing::Bench,
        tests::{settle, wish},
    };
    use types::{Phase, Secret};

    #[tokio::test]
    async fn a_log_says_which_references_stay_as_they_are_written() {
        let bench = Bench::new().await;
        let blog = NewApp {
            deploy: false,
            ..wish("blog")
        };
        Apps::new(bench.ground.clone()).create(&bench.owner, blog).await.expect("made");
        let change = |key: &str, value: &str, secret| VariableChange {
            key: key.parse().expect("a name"),
            value: Some(Secret::from(value.to_owned())),
            scope: None,
            secret: Some(secret),
        };
        let set = vec![
            change("PLAIN", "${NOPE} ${GIVEN} ${user.name}", false),
            change("GIVEN", "x", false),
            change("HIDDEN", "my${PASS}word", true),
        ];
        let wish = VariableWish { set, unset: Vec::new() };
        let variables = Variables::new(bench.ground.clone());
        variables.update(&bench.owner, "blog", wish).await.expect("set");
        let orders = Deployments::new(bench.ground.clone());
        let view = orders.create(&bench.owner, "blog", Default::default()).await.expect("queued");
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let page = orders.log(&bench.owner, view.deployment.id.as_str(), 0, 1000).await;
        let lines: Vec<String> = page.expect("it has a log").lines.into_iter().map(|one| one.line.text).collect();
        let notes: Vec<&String> = lines.iter().filter(|line| line.contains("refers to")).collect();
        assert_eq!(notes.len(), 2, "{lines:?}");
        let whole = lines.join("\n");
        for sentence in [
            "variable PLAIN refers to ${NOPE}, which is not there: it stays as it is written",
            "variable HIDDEN refers to a variable that is not there: it stays as it is written",
        ] {
            assert!(whole.contains(sentence), "{whole}");
        }
        assert!(!whole.contains("PASS"), "a part of a secret: {whole}");
    }
}
