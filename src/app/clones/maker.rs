//! Makes the records of a clone, app by app: what each has, what becomes of its secrets, and what it leaves behind.

use super::{CloneAppWish, CloneValue, CloneWish, PlannedSecret, SecretBecomes, draft::Draft};
use crate::{
    apps::settled,
    copies::{Twins, copy_of},
    cron::next_after,
    ground::Ground,
    uploads,
    variables::{VariableChange, may_refer, own_variables, seal_value},
};
use std::collections::{BTreeMap, BTreeSet};
use types::{
    Action, Actor, App, AppJob, DeployLock, Domain, Environment, Error, HostPattern, Result, Secret, Source, Upload, Variable,
    VariableOwner,
};

/// Whose lock it is that keeps a new app from being deployed before its data is there.
pub(super) const LOCKER: &str = "serverkit";

pub(super) struct Maker<'a> {
    pub ground: &'a Ground,
    pub actor: &'a Actor,
    pub wish: &'a CloneWish,
    pub from: &'a Environment,
    pub environment: &'a Environment,
    pub renamed: Vec<Renamed>,
    pub draft: Draft,
}

/// A domain that was made, and the one that it is like.
pub(super) struct Renamed {
    pub from: Domain,
    pub to: HostPattern,
}

impl Maker<'_> {
    pub fn app(&mut self, of: &App, wanted: &CloneAppWish, twins: &mut Twins<'_>) -> Result<()> {
        let ground = self.ground;
        let now = ground.world.now();
        let mut copy = copy_of(ground, of, self.environment);
        copy.lock = Some(DeployLock {
            by: LOCKER.into(),
            why: format!("it is being made from {}", self.from.name),
            at: now,
            until: None,
        });
        if let Some(hours) = &mut copy.hours {
            hours.checked_at = now;
        }
        twins.give(of, &mut copy)?;
        self.source(of, wanted, &mut copy)?;
        self.files(of, &mut copy)?;
        let own = self.draft.variables.len();
        self.variables(&VariableOwner::App(of.id.clone()), VariableOwner::App(copy.id.clone()), Some(of))?;
        self.service_variables(of, &copy)?;
        let host = self.domains(of, wanted, &copy)?;
        let changes = self.changes(own)?;
        // What an administrator allowed for the app holds for a copy that somebody makes who may allow as much.
        match settled(ground, self.actor, &mut copy, self.environment, &changes, host.as_ref()) {
            Ok(made) => self.draft.fresh.extend(made),
            Err(error) => self.problem(of, error),
        }
        self.jobs(of, &copy)?;
        self.ways_in(of, &copy)?;
        self.stays(of);
        self.draft.apps.push((of.clone(), copy));
        Ok(())
    }

    fn problem(&mut self, of: &App, error: Error) {
        self.draft.problems.push(match error {
            Error::Invalid { field, why } => Error::invalid(field, format!("`{}` could not be made: {why}", of.name)),
            error => error,
        });
    }

    fn source(&mut self, of: &App, wanted: &CloneAppWish, copy: &mut App) -> Result<()> {
        if self.actor.may(Action::UseHost).is_err()
            && let Some(setup) = copy.source.stack_mut()
        {
            setup.host_allowed.clear();
        }
        match &mut copy.source {
            Source::Git(git) => {
                if git.url.is_local() {
                    self.draft.problems.extend(self.actor.may(Action::UseLocalPaths).err());
                }
                let branch = wanted.branch.clone().or_else(|| self.wish.branch.clone());
                git.branch = branch.or(git.branch.take());
                if let Some(tree) = &mut git.compose {
                    tree.host_wanted.clear();
                }
            }
            Source::Upload(upload) => {
                if let Some(newest) = upload.newest.take() {
                    let old = uploads::find(self.ground, of, &newest)?;
                    let new = Upload {
                        id: self.ground.world.id(),
                        app: copy.id.clone(),
                        at: self.ground.world.now(),
                        ..old
                    };
                    upload.newest = Some(new.id.clone());
                    self.draft.uploads.push((newest, new));
                }
            }
            Source::Compose(source) => {
                if let Some(installed) = &mut source.template {
                    // What was done after the first deployment is in the data.
                    installed.prepared = installed.prepared && self.wish.data;
                }
            }
            Source::Image { .. } => {}
        }
        Ok(())
    }

    fn files(&mut self, of: &App, copy: &mut App) -> Result<()> {
        for file in copy.files.iter_mut().filter(|file| file.secret) {
            if !self.wish.secrets {
                file.content = self.ground.store.seal(&Secret::from(String::new()))?;
            }
            self.draft.secrets.push(PlannedSecret {
                app: Some(of.name.clone()),
                service: None,
                name: file.path.to_string(),
                file: true,
                becomes: if self.wish.secrets {
                    SecretBecomes::Copied
                } else {
                    SecretBecomes::Empty
                },
            });
        }
        Ok(())
    }

    fn service_variables(&mut self, of: &App, copy: &App) -> Result<()> {
        let mut services = BTreeSet::new();
        for variable in self.ground.store.variables.prefix(&format!("{}.", of.id))? {
            if let VariableOwner::Service { service, .. } = &variable.owner {
                services.insert(service.clone());
            }
        }
        for service in services {
            let owner = |app: &App| VariableOwner::Service {
                app: app.id.clone(),
                service: service.clone(),
            };
            self.variables(&owner(of), owner(copy), Some(of))?;
        }
        Ok(())
    }

    /// Those of one owner, for another: with what was given in place of their values, and without the values of secrets unless they
    /// are to be copied.
    pub fn variables(&mut self, of: &VariableOwner, to: VariableOwner, app: Option<&App>) -> Result<()> {
        let ground = self.ground;
        for stored in own_variables(ground, of)? {
            let given = self.given(app, &stored.value);
            let becomes = match (&given, self.wish.secrets) {
                (Some(_), _) => SecretBecomes::Given,
                (None, true) => SecretBecomes::Copied,
                (None, false) => SecretBecomes::Empty,
            };
            let mut refers = stored.refers.clone();
            let value = match (given, stored.secret) {
                (Some(value), secret) => {
                    if secret {
                        ground.redactor.learn(&self.actor.organization, &value);
                    }
                    // The copies have the names of these.
                    let from = BTreeSet::from([self.from.id.clone()]);
                    refers = may_refer(ground, self.actor, &from, of.app(), &value)?;
                    seal_value(ground, &stored.key, &value)?
                }
                (None, true) if !self.wish.secrets => ground.store.seal(&Secret::from(String::new()))?,
                (None, _) => stored.value.value.clone(),
            };
            if stored.secret {
                self.draft.secrets.push(PlannedSecret {
                    app: app.map(|app| app.name.clone()),
                    service: match of {
                        VariableOwner::Service { service, .. } => Some(service.clone()),
                        _ => None,
                    },
                    name: stored.key.to_string(),
                    file: false,
                    becomes,
                });
            }
            self.draft.variables.push(Variable {
                owner: to.clone(),
                value,
                refers,
                updated_at: ground.world.now(),
                updated_by: self.actor.who.to_string(),
                ..stored.value
            });
        }
        Ok(())
    }

    /// What is nearer wins.
    fn given(&self, app: Option<&App>, variable: &Variable) -> Option<Secret> {
        let fits =
            |value: &&CloneValue| value.key == variable.key && (value.app.is_none() || value.app.as_ref() == app.map(|app| &app.name));
        let mut found: Vec<&CloneValue> = self.wish.values.iter().filter(fits).collect();
        found.sort_by_key(|value| value.app.is_some());
        found.pop().map(|value| value.value.clone())
    }

    /// Of the environment and of the app whose variables begin there, by key: the app's own stand in place of the environment's.
    fn changes(&self, own: usize) -> Result<Vec<VariableChange>> {
        let mut all = BTreeMap::new();
        for (place, variable) in self.draft.variables.iter().enumerate() {
            let counts = match &variable.owner {
                VariableOwner::Environment(_) => true,
                VariableOwner::App(_) => place >= own,
                _ => false,
            };
            if counts {
                let change = VariableChange {
                    key: variable.key.clone(),
                    value: Some(self.ground.store.unseal(&variable.value)?),
                    scope: Some(variable.scope),
                    secret: Some(variable.secret),
                };
                all.insert(variable.key.clone(), change);
            }
        }
        Ok(all.into_values().collect())
    }

    fn jobs(&mut self, of: &App, copy: &App) -> Result<()> {
        let ground = self.ground;
        let now = ground.world.now();
        for job in ground.store.app_jobs.prefix(&format!("{}/", of.id))? {
            let enabled = job.enabled && self.wish.jobs;
            let next_at = match enabled {
                true => next_after(&job.cron, &job.zone, now)?,
                false => None,
            };
            self.draft.jobs.push(AppJob {
                id: ground.world.id(),
                app: copy.id.clone(),
                enabled,
                next_at,
                waiting_since: None,
                created_at: now,
                ..job.value
            });
        }
        Ok(())
    }

    /// What a copy begins without.
    fn stays(&mut self, of: &App) {
        if of.release.is_some() {
            self.leave(format!(
                "releases, deployments and logs of `{}`: the copy begins with its first deployment",
                of.name
            ));
        }
    }

    pub fn unmounted(&mut self, chosen: &[(App, CloneAppWish)]) -> Result<()> {
        let ground = self.ground;
        let twins: BTreeSet<_> = self.draft.volumes.iter().map(|(old, _)| old.id.clone()).collect();
        let all = ground.store.volumes.list()?;
        let others: Vec<String> = all
            .iter()
            .filter(|volume| volume.environment == self.from.id && !twins.contains(&volume.id))
            .map(|volume| volume.name.to_string())
            .collect();
        if !others.is_empty() && !chosen.is_empty() {
            self.leave(format!("volumes that none of these apps has: {}", others.join(", ")));
        }
        Ok(())
    }

    /// When production is left alone says nothing of staging.
    pub fn freezes(&mut self) -> Result<()> {
        let all = self.ground.store.freezes.list()?;
        let own = all.iter().filter(|freeze| freeze.environment.as_ref() == Some(&self.from.id));
        let names: Vec<String> = own.map(|freeze| freeze.name.clone()).collect();
        if !names.is_empty() {
            self.leave(format!(
                "times at which `{}` is not deployed to: {}",
                self.from.name,
                names.join(", ")
            ));
        }
        Ok(())
    }

    pub fn leave(&mut self, words: String) {
        self.draft.left_out.push(words);
    }
}
