//! Clones of environments: staging from production, with its data or without.
//!
//! `drafting` says what would be made, without making anything: a `Draft`, which is the plan and what is recorded. `keeper` copies the data and
//! deploys what was made, or takes all of it away again.

mod domains;
mod draft;
mod drafting;
mod keeper;
mod maker;
mod ways_in;

pub use keeper::Cloner;

use crate::{copies, domain_claims, ground::Ground, previews, quotas, sight::owned, uploads};
use draft::Draft;
use std::{collections::HashMap, sync::Arc};
use store::{Batch, Stored};
use types::{
    Action, Actor, App, AppId, AppName, ClonePhase, ClonedApp, ClonedVolume, DesiredState, Environment, EnvironmentClone, Error, Fact,
    GitRef, Host, HostPattern, Kind, OnNewImage, ProjectId, Result, Secret, Site, Slug, StreamPort, VariableKey, report,
};

/// Left free beside what a copy takes.
const SPARED: u64 = 1 << 30;
/// Clones that are remembered in a project once they are over.
const KEPT: usize = 20;

/// An environment to make from another one.
#[derive(Debug, Clone)]
pub struct CloneWish {
    pub name: Slug,
    /// `None`: all apps.
    pub apps: Option<Vec<CloneAppWish>>,
    /// What apps from Git follow in place of their own branch.
    pub branch: Option<GitRef>,
    /// Copy what is in the volumes; else they are empty.
    pub data: bool,
    /// Stop what writes to them for as long as that takes.
    pub stop: bool,
    /// Copy secret variables and files; else they are there without a value.
    pub secrets: bool,
    /// In place of what variables have.
    pub values: Vec<CloneValue>,
    /// Jobs go on as they are; else they are paused.
    pub jobs: bool,
    /// Ports of the server get other numbers; else none leads to the new apps.
    pub ports: bool,
    /// What may deploy an app from a CI may deploy its copy; else nothing may.
    pub ci: bool,
    /// Deploy at once.
    pub deploy: bool,
}

#[derive(Debug, Clone)]
pub struct CloneAppWish {
    /// Id or name.
    pub app: String,
    pub branch: Option<GitRef>,
    /// In place of `NAME-ENVIRONMENT.<domain of apps>`.
    pub domain: Option<Host>,
}

#[derive(Debug, Clone)]
pub struct CloneValue {
    /// `None`: wherever there is a variable of this key.
    pub app: Option<AppName>,
    pub key: VariableKey,
    pub value: Secret,
}

/// What would be made.
#[derive(Debug, Clone)]
pub struct ClonePlan {
    pub from: Environment,
    pub name: Slug,
    pub apps: Vec<PlannedApp>,
    /// Variables of the environment itself.
    pub variables: usize,
    pub secrets: Vec<PlannedSecret>,
    pub volumes: Vec<PlannedVolume>,
    /// Apps that are stopped while the data is copied.
    pub stops: Vec<AppName>,
    /// What the copies of the data take.
    pub bytes: u64,
    /// What the disk that they lie on has left; `None`: not known.
    pub free_bytes: Option<u64>,
    /// What to know of what is copied.
    pub notes: Vec<String>,
    /// What is not copied, and why.
    pub left_out: Vec<String>,
    /// Why it cannot be made.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct PlannedApp {
    pub from: AppId,
    pub name: AppName,
    /// `image nginx:1`, `main of https://…`
    pub source: String,
    pub branch: Option<GitRef>,
    pub hosts: Vec<String>,
    /// Of its domains.
    pub rules: Vec<PlannedRule>,
    /// Of the server, that lead to the app.
    pub ports: Vec<PlannedPort>,
    /// What may deploy the app from a CI.
    pub ci: Vec<PlannedCi>,
    /// What becomes of newer images; `None`: they are not watched for.
    pub image_watch: Option<OnNewImage>,
    /// Its own, with those of its services.
    pub variables: usize,
    pub files: usize,
    pub jobs: usize,
}

#[derive(Debug, Clone)]
pub struct PlannedRule {
    /// The new one.
    pub domain: HostPattern,
    pub name: String,
}

#[derive(Debug, Clone)]
pub struct PlannedPort {
    pub from: StreamPort,
    /// `None`: none leads to the new app.
    pub to: Option<StreamPort>,
}

#[derive(Debug, Clone)]
pub struct PlannedCi {
    pub repository: String,
    /// It may deploy the new app too.
    pub trusted: bool,
}

/// A secret variable or file, and what becomes of it.
#[derive(Debug, Clone)]
pub struct PlannedSecret {
    /// `None`: the environment's.
    pub app: Option<AppName>,
    pub service: Option<String>,
    /// Its key, or the path of a file.
    pub name: String,
    pub file: bool,
    pub becomes: SecretBecomes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretBecomes {
    Copied,
    /// A value was given for it.
    Given,
    /// It is there without a value.
    Empty,
}

#[derive(Debug, Clone)]
pub struct PlannedVolume {
    pub name: Slug,
    pub apps: Vec<AppName>,
    /// `None`: not measured, or not made yet.
    pub bytes: Option<u64>,
    /// With a copy of the data.
    pub data: bool,
}

#[derive(Clone)]
pub struct Clones {
    ground: Arc<Ground>,
}

impl Clones {
    pub(crate) fn new(ground: Arc<Ground>) -> Clones {
        Clones { ground }
    }

    /// What would be made, what would not and why. Nothing is made.
    pub async fn plan(&self, actor: &Actor, environment: &str, wish: &CloneWish) -> Result<ClonePlan> {
        actor.may_somewhere(Action::Configure)?;
        let from = self.find_environment(actor, environment, wish)?;
        let draft = drafting::draft(&self.ground, actor, &from, wish)?;
        let look = self.look(&draft, wish).await?;
        let mut problems = draft.problems.iter().map(|error| report(error)).collect::<Vec<_>>();
        problems.extend(look.problems.iter().map(|error| report(error)));
        let volume = |(old, _): &(types::Volume, types::Volume)| PlannedVolume {
            name: old.name.clone(),
            apps: draft
                .apps
                .iter()
                .filter(|(of, _)| of.mounts.iter().any(|mount| mount.volume == old.id))
                .map(|(of, _)| of.name.clone())
                .collect(),
            bytes: look.bytes.get(old.id.as_str()).copied().flatten(),
            data: wish.data,
        };
        Ok(ClonePlan {
            name: wish.name.clone(),
            apps: draft.planned_apps(),
            variables: draft.own_variables(),
            volumes: draft.volumes.iter().map(volume).collect(),
            stops: look.stops,
            bytes: look.bytes.values().flatten().sum(),
            free_bytes: look.free_bytes,
            secrets: draft.secrets,
            notes: draft.notes,
            left_out: draft.left_out,
            problems: self
                .ground
                .redactor
                .redact_for(&actor.organization, &problems.join("\n"))
                .lines()
                .map(str::to_owned)
                .collect(),
            from,
        })
    }

    /// Records the environment with all that is in it, in one step; its data and its deployments follow. Fails with `Busy` where the
    /// plan says why it cannot be made.
    pub async fn create(&self, actor: &Actor, environment: &str, wish: &CloneWish) -> Result<EnvironmentClone> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let from = self.find_environment(actor, environment, wish)?;
        let mut draft = drafting::draft(ground, actor, &from, wish)?;
        if !draft.problems.is_empty() {
            return Err(draft.problems.swap_remove(0));
        }
        if let Some(problem) = self.look(&draft, wish).await?.problems.into_iter().next() {
            return Err(problem);
        }
        for (old, new) in &draft.uploads {
            uploads::keep_again(ground, old, &new.id).await?;
        }
        let clone = self.record_of(actor, &from, &draft, wish);
        {
            let _claiming = domain_claims::gate(ground).await;
            for domain in &draft.domains {
                domain_claims::must_be_free(ground, actor, &domain.host)?;
            }
            let _gate = quotas::gate(ground).await;
            let made: Vec<&App> = draft.apps.iter().map(|(_, copy)| copy).collect();
            quotas::must_fit_all(ground, &made)?;
            ground.store.commit(draft.into_batch().insert(clone.clone())).await?;
        }
        self.tell(actor, &clone, "began to make", "").await;
        ground.wakes.clones.wake();
        ground.wake_reconcile();
        ground.wake_certificates();
        Ok(clone)
    }

    /// Newest first: of one project, or of all.
    pub async fn list(&self, actor: &Actor, project: Option<&str>) -> Result<Vec<EnvironmentClone>> {
        actor.may_somewhere(Action::View)?;
        let project = project
            .map(|project| crate::projects::find_project(&self.ground, actor, Action::View, project))
            .transpose()?;
        let all = self.ground.store.clones.list()?.into_iter().rev().map(|stored| stored.value);
        Ok(all
            .filter(|clone| clone.organization == actor.organization && actor.is_permitted(Action::View, &place(clone)))
            .filter(|clone| project.as_ref().is_none_or(|project| clone.project == project.id))
            .collect())
    }

    pub async fn get(&self, actor: &Actor, id: &str) -> Result<EnvironmentClone> {
        actor.may_somewhere(Action::View)?;
        Ok(self.find(actor, Action::View, id)?.value)
    }

    /// Takes all of it back, as if it had never been asked for. Fails with `Busy` once its apps are being deployed.
    pub async fn cancel(&self, actor: &Actor, id: &str) -> Result<EnvironmentClone> {
        actor.may_somewhere(Action::Configure)?;
        let found = self.find(actor, Action::Configure, id)?;
        let cancel = |clone: &mut EnvironmentClone| {
            if !clone.phase.is_cancellable() {
                return Err(Error::busy(match clone.phase {
                    ClonePhase::Deploying | ClonePhase::Done => {
                        format!("`{}` is made; delete its apps instead", clone.name)
                    }
                    phase => format!("it is {} already", phase.word()),
                }));
            }
            clone.cancel_requested = true;
            Ok(())
        };
        let stored = self.ground.store.clones.update(found.id.as_str(), cancel).await?;
        self.ground.wakes.clones.wake();
        Ok(stored.value)
    }

    fn find(&self, actor: &Actor, action: Action, id: &str) -> Result<Stored<EnvironmentClone>> {
        let missing = || Error::not_found(Kind::EnvironmentClone, id);
        let found = self.ground.store.clones.find(id)?.ok_or_else(missing)?;
        if found.organization != actor.organization || !actor.is_permitted(Action::View, &place(&found)) {
            return Err(missing());
        }
        actor.may_in(action, &place(&found))?;
        Ok(found)
    }

    /// Whoever clones reads all of it and makes an environment of the project.
    fn find_environment(&self, actor: &Actor, called: &str, wish: &CloneWish) -> Result<Environment> {
        let ground = &self.ground;
        let found = ground.store.environments.find(called)?;
        let from = owned(ground, actor, Action::View, found, Kind::Environment, called)?;
        let project = Site::project(from.project.clone());
        actor.may_in(Action::Configure, &project)?;
        if wish.deploy || wish.stop {
            actor.may_in(Action::Deploy, &project)?;
        }
        // What is in a volume can be read in the copy.
        if wish.secrets || wish.data {
            actor.may_in(Action::RevealSecrets, &project)?;
        }
        if previews::of_environment(ground, &from.id)?.is_some() {
            return Err(Error::busy("this is a preview; clone the environment of the app that it is of"));
        }
        Ok(from)
    }

    fn record_of(&self, actor: &Actor, from: &Environment, draft: &Draft, wish: &CloneWish) -> EnvironmentClone {
        let now = self.ground.world.now();
        let volume = |(old, new): &(types::Volume, types::Volume)| ClonedVolume {
            from: old.id.clone(),
            to: new.id.clone(),
            name: old.name.clone(),
            data: wish.data,
            copied: false,
            bytes: None,
        };
        let fresh = |new: &types::Volume| ClonedVolume {
            from: new.id.clone(),
            to: new.id.clone(),
            name: new.name.clone(),
            data: false,
            copied: false,
            bytes: None,
        };
        let app = |(of, copy): &(App, App)| ClonedApp {
            from: of.id.clone(),
            to: copy.id.clone(),
            name: copy.name.clone(),
        };
        let mut clone = EnvironmentClone {
            id: self.ground.world.id(),
            organization: from.organization.clone(),
            project: from.project.clone(),
            from: from.id.clone(),
            from_name: from.name.clone(),
            to: draft.environment.id.clone(),
            name: draft.environment.name.clone(),
            apps: draft.apps.iter().map(app).collect(),
            volumes: draft.volumes.iter().map(volume).chain(draft.fresh.iter().map(fresh)).collect(),
            hosts: draft.domains.iter().filter_map(|domain| domain.host.exact()).collect(),
            stop: wish.stop,
            stopped: Vec::new(),
            deploy: wish.deploy,
            phase: ClonePhase::Stopping,
            why: String::new(),
            notes: Vec::new(),
            steps: Vec::new(),
            cancel_requested: false,
            by: actor.who.to_string(),
            created_at: now,
            updated_at: now,
            finished_at: None,
        };
        match clone.copies_data() {
            true => clone.enter(ClonePhase::Stopping, "waiting until nothing writes to the data", now),
            false => clone.enter(ClonePhase::Deploying, "its apps are about to be deployed", now),
        }
        clone
    }

    /// What the engine and the quotas say of it.
    async fn look(&self, draft: &Draft, wish: &CloneWish) -> Result<Look> {
        let ground = &self.ground;
        let mut look = Look::default();
        let made: Vec<&App> = draft.apps.iter().map(|(_, copy)| copy).collect();
        look.problems.extend(quotas::must_fit_all(ground, &made).err());
        for (old, _) in &draft.volumes {
            let there = ground.node.volume_exists(&old.engine_name).await.unwrap_or(false);
            let bytes = match wish.data && there {
                true => ground.node.volume_bytes(&old.engine_name).await.unwrap_or(None),
                false => None,
            };
            look.bytes.insert(old.id.to_string(), bytes);
            if there && look.free_bytes.is_none() {
                look.free_bytes = ground.node.volume_room(&old.engine_name).await.unwrap_or(None);
            }
        }
        if !wish.data {
            return Ok(look);
        }
        let from: Vec<_> = draft.volumes.iter().map(|(old, _)| &old.id).collect();
        for app in writers(ground, &draft.environment, &from)? {
            if app.desired != DesiredState::Running || app.release.is_none() {
                continue;
            }
            if !wish.stop {
                let why = format!(
                    "{}; stop it, or let it be stopped for the copy and started again",
                    copies::runs(app.name.as_str())
                );
                look.problems.push(Error::busy(why));
            }
            look.stops.push(app.name);
        }
        let bytes: u64 = look.bytes.values().flatten().sum();
        if let Some((of, _)) = draft.apps.first() {
            look.problems
                .extend(quotas::must_have_room(ground, &of.organization, &of.project, bytes).err());
        }
        if let Some(free) = look.free_bytes.filter(|free| *free < bytes.saturating_add(SPARED)) {
            look.problems.push(Error::busy(format!(
                "a copy of the data takes {} MiB and a GiB should stay free, but {} MiB are left on the disk; make room, or clone without data",
                bytes >> 20,
                free >> 20
            )));
        }
        Ok(look)
    }

    async fn tell(&self, actor: &Actor, clone: &EnvironmentClone, what: &str, why: &str) {
        self.ground.events.emit(actor, fact(clone, what, why)).await;
    }
}

#[derive(Default)]
struct Look {
    stops: Vec<AppName>,
    /// Of the old volumes, by id.
    bytes: HashMap<String, Option<u64>>,
    free_bytes: Option<u64>,
    problems: Vec<Error>,
}

/// It is the project's: who sees only an app in it does not see what all of it has.
fn place(clone: &EnvironmentClone) -> Site {
    Site::project(clone.project.clone())
}

fn fact(clone: &EnvironmentClone, what: &str, why: &str) -> Fact {
    Fact::EnvironmentCloned {
        project: clone.project.clone(),
        name: clone.name.to_string(),
        from: clone.from_name.to_string(),
        what: what.into(),
        why: why.into(),
    }
}

/// Apps outside of the new environment that mount one of these volumes.
fn writers(ground: &Ground, to: &Environment, volumes: &[&types::VolumeId]) -> Result<Vec<App>> {
    let all = ground.store.apps.list()?.into_iter().map(|stored| stored.value);
    Ok(all
        .filter(|app| app.trashed_at.is_none() && app.environment != to.id)
        .filter(|app| app.mounts.iter().any(|mount| volumes.contains(&&mount.volume)))
        .collect())
}

/// Of what is over, only the newest are kept.
fn forget_old(ground: &Ground, project: &ProjectId, mut batch: Batch) -> Result<Batch> {
    let all = ground.store.clones.list()?;
    let over: Vec<_> = all
        .iter()
        .filter(|clone| clone.project == *project && clone.phase.is_final())
        .collect();
    for clone in &over[..over.len().saturating_sub(KEPT)] {
        batch = batch.remove(clone);
    }
    Ok(batch)
}
