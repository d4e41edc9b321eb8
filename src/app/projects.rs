//! Projects and their environments.

use crate::ground::Ground;
use std::sync::Arc;
use store::Batch;
use types::{Action, Actor, Environment, Error, Fact, Kind, Project, Result, Slug};

#[derive(Debug, Clone)]
pub struct ProjectView {
    pub project: Project,
    pub environments: Vec<Environment>,
    /// Apps that are not in the trash.
    pub apps: usize,
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
        actor.may(Action::View)?;
        let mut views: Vec<_> = of(actor, self.ground.store.projects.list()?, |project| &project.organization)
            .map(|project| self.view(project))
            .collect::<Result<_>>()?;
        views.sort_by(|a, b| a.project.name.cmp(&b.project.name));
        Ok(views)
    }

    pub async fn get(&self, actor: &Actor, project: &str) -> Result<ProjectView> {
        actor.may(Action::View)?;
        self.view(find_project(&self.ground, actor, project)?)
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
        self.view(project)
    }

    pub async fn update(&self, actor: &Actor, project: &str, name: Option<Slug>, description: Option<String>) -> Result<ProjectView> {
        actor.may(Action::Configure)?;
        if let Some(description) = &description {
            check_description(description)?;
        }
        let project = find_project(&self.ground, actor, project)?;
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
        self.view(stored.value)
    }

    /// Removes an empty project. Fails with `Busy` while it has apps or volumes, in the trash or not.
    pub async fn remove(&self, actor: &Actor, project: &str) -> Result<()> {
        actor.may(Action::Delete)?;
        let view = self.view(find_project(&self.ground, actor, project)?)?;
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
        for environment in &view.environments {
            check_empty(&self.ground, environment)?;
        }
        let store = &self.ground.store;
        let mut batch = Batch::new().remove(&store.projects.get(view.project.id.as_str())?);
        batch = crate::variables::forget(&self.ground, batch, &format!("{}/", view.project.id))?;
        for environment in &view.environments {
            batch = batch.remove(&store.environments.get(environment.id.as_str())?);
            batch = crate::variables::forget(&self.ground, batch, &format!("{}/", environment.id))?;
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

    pub async fn add_environment(&self, actor: &Actor, project: &str, name: Slug) -> Result<Environment> {
        actor.may(Action::Configure)?;
        let project = find_project(&self.ground, actor, project)?;
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
        Ok(environment)
    }

    pub async fn remove_environment(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::Delete)?;
        let store = &self.ground.store;
        let environment = owned(actor, store.environments.find(id)?, Kind::Environment, id, |environment| {
            &environment.organization
        })?;
        check_empty(&self.ground, &environment)?;
        if environments_of(&self.ground, &environment.project)?.len() == 1 {
            return Err(Error::busy("the last environment of a project stays; delete the project instead"));
        }
        let batch = Batch::new().remove(&store.environments.get(id)?);
        store
            .commit(crate::variables::forget(&self.ground, batch, &format!("{}/", environment.id))?)
            .await?;
        self.ground.wake_reconcile();
        Ok(())
    }

    fn view(&self, project: Project) -> Result<ProjectView> {
        let apps = self.ground.store.apps.list()?;
        let apps = apps
            .iter()
            .filter(|app| app.project == project.id && app.trashed_at.is_none())
            .count();
        Ok(ProjectView {
            environments: environments_of(&self.ground, &project.id)?,
            apps,
            project,
        })
    }
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
pub(crate) fn find_project(ground: &Ground, actor: &Actor, wanted: &str) -> Result<Project> {
    let projects = of(actor, ground.store.projects.list()?, |project| &project.organization);
    projects
        .into_iter()
        .find(|project| project.id.as_str() == wanted || project.name.as_str() == wanted)
        .ok_or_else(|| Error::not_found(Kind::Project, wanted))
}

/// The environment that is meant: of the project (its only or first one where none is named), else the first of all.
pub(crate) fn find_environment(ground: &Ground, actor: &Actor, project: Option<&str>, environment: Option<&str>) -> Result<Environment> {
    if let Some(id) = environment.filter(|text| text.starts_with("env_")) {
        return owned(actor, ground.store.environments.find(id)?, Kind::Environment, id, |environment| {
            &environment.organization
        });
    }
    let project = match project {
        Some(project) => find_project(ground, actor, project)?,
        None => of(actor, ground.store.projects.list()?, |project| &project.organization)
            .next()
            .ok_or_else(|| Error::not_found(Kind::Project, "default"))?,
    };
    let mut environments = environments_of(ground, &project.id)?.into_iter();
    match environment {
        Some(name) => environments
            .find(|environment| environment.name.as_str() == name)
            .ok_or_else(|| Error::not_found(Kind::Environment, name)),
        None => environments.next().ok_or_else(|| Error::not_found(Kind::Environment, "production")),
    }
}

/// The records of the actor's organization.
pub(crate) fn of<T>(
    actor: &Actor,
    all: Vec<store::Stored<T>>,
    organization: fn(&T) -> &types::OrganizationId,
) -> impl Iterator<Item = T> + use<T> {
    let mine = actor.organization.clone();
    all.into_iter()
        .map(|stored| stored.value)
        .filter(move |value| *organization(value) == mine)
}

/// The record, if it is the actor's organization's; else `NotFound`, as if it were not there.
pub(crate) fn owned<T>(
    actor: &Actor,
    found: Option<store::Stored<T>>,
    kind: Kind,
    name: &str,
    organization: fn(&T) -> &types::OrganizationId,
) -> Result<T> {
    found
        .map(|stored| stored.value)
        .filter(|value| *organization(value) == actor.organization)
        .ok_or_else(|| Error::not_found(kind, name))
}
