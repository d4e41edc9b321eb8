//! Projects and their environments.

use crate::{
    ground::Ground,
    sight::{of, owned, rights_at},
};
use std::sync::Arc;
use store::{Batch, Store};
use types::{Action, Actor, Environment, EnvironmentId, Error, Fact, Kind, Project, Result, Slug};

#[derive(Debug, Clone)]
pub struct ProjectView {
    pub project: Project,
    pub environments: Vec<EnvironmentView>,
    /// Apps that are not in the trash.
    pub apps: usize,
    /// What the actor may do in all of it.
    pub rights: Vec<Action>,
}

#[derive(Debug, Clone)]
pub struct EnvironmentView {
    pub environment: Environment,
    /// What the actor may do in all of it.
    pub rights: Vec<Action>,
}

impl EnvironmentView {
    fn of(actor: &Actor, environment: Environment) -> EnvironmentView {
        EnvironmentView {
            rights: rights_at(actor, &environment.place()),
            environment,
        }
    }
}

#[derive(Clone)]
pub struct Projects {
    ground: Arc<Ground>,
}

impl Projects {
    pub(crate) fn new(ground: Arc<Ground>) -> Projects {
        Projects { ground }
    }

    /// All projects of the organization, by name.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<ProjectView>> {
        actor.may_somewhere(Action::View)?;
        let mut views: Vec<_> = of(&self.ground, actor, self.ground.store.projects.list()?)?
            .into_iter()
            .map(|project| self.view(actor, project))
            .collect::<Result<_>>()?;
        views.sort_by(|a, b| a.project.name.cmp(&b.project.name));
        Ok(views)
    }

    pub async fn get(&self, actor: &Actor, project: &str) -> Result<ProjectView> {
        actor.may_somewhere(Action::View)?;
        self.view(actor, find_project(&self.ground, actor, Action::View, project)?)
    }

    /// Makes a project with an environment `production`.
    pub async fn create(&self, actor: &Actor, name: Slug, description: String) -> Result<ProjectView> {
        actor.may(Action::Configure)?;
        check_description(&description)?;
        let world = &self.ground.world;
        let organization = actor.organization.clone();
        let project = Project {
            id: world.id(),
            organization: organization.clone(),
            name,
            description,
            created_at: world.now(),
        };
        let environment = Environment {
            id: world.id(),
            organization,
            project: project.id.clone(),
            name: "production".parse()?,
            created_at: world.now(),
        };
        self.ground
            .store
            .commit(Batch::new().insert(project.clone()).insert(environment))
            .await?;
        self.ground
            .events
            .emit(
                actor,
                Fact::ProjectCreated {
                    project: project.id.clone(),
                    name: project.name.to_string(),
                },
            )
            .await;
        self.view(actor, project)
    }

    pub async fn update(&self, actor: &Actor, project: &str, name: Option<Slug>, description: Option<String>) -> Result<ProjectView> {
        actor.may_somewhere(Action::Configure)?;
        if let Some(description) = &description {
            check_description(description)?;
        }
        let project = find_project(&self.ground, actor, Action::Configure, project)?;
        let stored = self
            .ground
            .store
            .projects
            .update(project.id.as_str(), |project| {
                if let Some(name) = &name {
                    project.name = name.clone();
                }
                if let Some(description) = &description {
                    project.description = description.clone();
                }
                Ok(())
            })
            .await?;
        self.ground
            .events
            .emit(
                actor,
                Fact::ProjectChanged {
                    project: stored.id.clone(),
                    name: stored.name.to_string(),
                },
            )
            .await;
        self.view(actor, stored.value)
    }

    /// Removes an empty project. Fails with `Busy` while it has apps or volumes, in the trash or not.
    pub async fn remove(&self, actor: &Actor, project: &str) -> Result<()> {
        actor.may_somewhere(Action::Delete)?;
        let view = self.view(actor, find_project(&self.ground, actor, Action::Delete, project)?)?;
        if self
            .ground
            .store
            .projects
            .list()?
            .iter()
            .filter(|other| other.organization == actor.organization)
            .count()
            == 1
        {
            return Err(Error::busy("the last project stays: new apps need one"));
        }
        let environments = environments_of(&self.ground, &view.project.id)?;
        for environment in &environments {
            check_empty(&self.ground, environment)?;
        }
        let store = &self.ground.store;
        let mut batch = Batch::new().remove(&store.projects.get(view.project.id.as_str())?);
        batch = crate::variables::forget(&self.ground, batch, &format!("{}/", view.project.id))?;
        for environment in &environments {
            batch = batch.remove(&store.environments.get(environment.id.as_str())?);
            batch = forget_freezes(store, &environment.id, batch)?;
            batch = crate::variables::forget(&self.ground, batch, &format!("{}/", environment.id))?;
        }
        if let Some(quota) = store.quotas.find(view.project.id.as_str())? {
            batch = batch.remove(&quota);
        }
        for clone in store.clones.list()?.iter().filter(|clone| clone.project == view.project.id) {
            batch = batch.remove(clone);
        }
        store.commit(batch).await?;
        self.ground.wake_reconcile();
        let fact = Fact::ProjectRemoved {
            project: view.project.id.clone(),
            name: view.project.name.to_string(),
        };
        self.ground.events.emit(actor, fact).await;
        Ok(())
    }

    pub async fn add_environment(&self, actor: &Actor, project: &str, name: Slug) -> Result<EnvironmentView> {
        actor.may_somewhere(Action::Configure)?;
        let project = find_project(&self.ground, actor, Action::Configure, project)?;
        let environment = Environment {
            id: self.ground.world.id(),
            organization: actor.organization.clone(),
            project: project.id.clone(),
            name,
            created_at: self.ground.world.now(),
        };
        let environment = self.ground.store.environments.insert(environment).await?.value;
        self.ground
            .events
            .emit(
                actor,
                Fact::ProjectChanged {
                    project: project.id,
                    name: project.name.to_string(),
                },
            )
            .await;
        Ok(EnvironmentView::of(actor, environment))
    }

    pub async fn remove_environment(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may_somewhere(Action::Delete)?;
        let store = &self.ground.store;
        let environment = owned(
            &self.ground,
            actor,
            Action::Delete,
            store.environments.find(id)?,
            Kind::Environment,
            id,
        )?;
        check_empty(&self.ground, &environment)?;
        if environments_of(&self.ground, &environment.project)?.len() == 1 {
            return Err(Error::busy("the last environment of a project stays; delete the project instead"));
        }
        let mut batch = Batch::new().remove(&store.environments.get(id)?);
        batch = forget_freezes(store, &environment.id, batch)?;
        store
            .commit(crate::variables::forget(&self.ground, batch, &format!("{}/", environment.id))?)
            .await?;
        self.ground.wake_reconcile();
        Ok(())
    }

    fn view(&self, actor: &Actor, project: Project) -> Result<ProjectView> {
        let store = &self.ground.store;
        let apps = of(&self.ground, actor, store.apps.list()?)?;
        let apps = apps
            .iter()
            .filter(|app| app.project == project.id && app.trashed_at.is_none())
            .count();
        let environments = of(&self.ground, actor, store.environments.list()?)?.into_iter();
        Ok(ProjectView {
            environments: environments
                .filter(|environment| environment.project == project.id)
                .map(|environment| EnvironmentView::of(actor, environment))
                .collect(),
            apps,
            rights: rights_at(actor, &project.place()),
            project,
        })
    }
}

/// Freeze windows go with their environment.
pub(crate) fn forget_freezes(store: &Store, environment: &EnvironmentId, mut batch: Batch) -> Result<Batch> {
    for freeze in store
        .freezes
        .list()?
        .iter()
        .filter(|freeze| freeze.environment.as_ref() == Some(environment))
    {
        batch = batch.remove(freeze);
    }
    Ok(batch)
}

fn check_description(description: &str) -> Result<()> {
    if description.len() > 1000 {
        Err(Error::invalid("description", "is longer than 1000 bytes"))
    } else {
        Ok(())
    }
}

fn check_empty(ground: &Ground, environment: &Environment) -> Result<()> {
    let apps = ground.store.apps.list()?;
    if let Some(app) = apps.iter().find(|app| app.environment == environment.id) {
        let place = if app.trashed_at.is_some() { " in the trash" } else { "" };
        return Err(Error::busy(format!(
            "`{}` still has the app `{}`{place}",
            environment.name, app.name
        )));
    }
    if let Some(volume) = ground
        .store
        .volumes
        .list()?
        .iter()
        .find(|volume| volume.environment == environment.id)
    {
        return Err(Error::busy(format!(
            "`{}` still has the volume `{}`",
            environment.name, volume.name
        )));
    }
    Ok(())
}

pub(crate) fn environments_of(ground: &Ground, project: &types::ProjectId) -> Result<Vec<Environment>> {
    let all = ground.store.environments.list()?;
    Ok(all
        .into_iter()
        .map(|stored| stored.value)
        .filter(|environment| environment.project == *project)
        .collect())
}

/// By id or by name.
pub(crate) fn find_project(ground: &Ground, actor: &Actor, action: Action, wanted: &str) -> Result<Project> {
    let mut projects = ground.store.projects.list()?.into_iter();
    let found = projects
        .find(|project| project.organization == actor.organization && (project.id.as_str() == wanted || project.name.as_str() == wanted));
    owned(ground, actor, action, found, Kind::Project, wanted)
}

/// The environment that is meant, where the actor may do this: of the project (its only or first one where none is
/// named), else the first of all.
pub(crate) fn find_environment(
    ground: &Ground,
    actor: &Actor,
    action: Action,
    project: Option<&str>,
    environment: Option<&str>,
) -> Result<Environment> {
    actor.may_somewhere(action)?;
    if let Some(id) = environment.filter(|text| text.starts_with("env_")) {
        return owned(ground, actor, action, ground.store.environments.find(id)?, Kind::Environment, id);
    }
    let project = project
        .map(|project| find_project(ground, actor, Action::View, project))
        .transpose()?;
    let mut all = of(ground, actor, ground.store.environments.list()?)?;
    // The first project is the first that was made.
    all.sort_by(|a, b| (&a.project, &a.id).cmp(&(&b.project, &b.id)));
    all.retain(|one| project.as_ref().is_none_or(|project| one.project == project.id));
    match environment {
        Some(name) => {
            let first = all.first().map(|one| one.project.clone());
            let found = all
                .into_iter()
                .find(|one| one.name.as_str() == name && Some(&one.project) == first.as_ref());
            let found = found.ok_or_else(|| Error::not_found(Kind::Environment, name))?;
            actor.may_in(action, &found.place())?;
            Ok(found)
        }
        None => {
            let at = all.iter().position(|one| actor.is_permitted(action, &one.place()));
            match (at, all.first()) {
                (Some(at), _) => Ok(all.swap_remove(at)),
                (None, Some(first)) => Err(actor
                    .may_in(action, &first.place())
                    .err()
                    .unwrap_or_else(|| Error::not_found(Kind::Environment, "production"))),
                (None, None) => Err(Error::not_found(Kind::Environment, "production")),
            }
        }
    }
}
