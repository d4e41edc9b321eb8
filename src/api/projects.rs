//! Projects and their environments.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, count, created, moment, page},
    failures::Answer,
    rights::Right,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;

/// Things that belong together.
#[derive(Debug, Object)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub description: String,
    pub environments: Vec<Environment>,
    /// How many apps it has, those in the trash left out.
    pub apps: u32,
    /// What who asks may do in all of it: view, deploy, configure, secrets, terminal, delete.
    pub rights: Vec<Right>,
    pub created_at: OffsetDateTime,
}

/// A project to make; it gets the environment `production`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ProjectCreate {
    /// 1 to 63 of a-z, 0-9 and -.
    pub name: String,
    pub description: Option<String>,
}

/// What to change about a project; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub description: Option<String>,
}

/// An environment to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct EnvironmentCreate {
    /// 1 to 63 of a-z, 0-9 and -; unique in its project.
    pub name: String,
}

/// One running copy of a project: production, staging. Apps in it reach each other by name.
#[derive(Debug, Object)]
pub struct Environment {
    pub id: String,
    pub name: String,
    pub project: Named,
    /// What who asks may do in all of it: view, deploy, configure, secrets, terminal, delete.
    pub rights: Vec<Right>,
}

impl Environment {
    fn of(view: app::EnvironmentView, project: &types::Project) -> Environment {
        Environment {
            id: view.environment.id.to_string(),
            name: view.environment.name.to_string(),
            project: Named::new(project.id.clone(), project.name.clone()),
            rights: view.rights.into_iter().map(Right::from).collect(),
        }
    }
}

impl From<app::ProjectView> for Project {
    fn from(view: app::ProjectView) -> Project {
        let project = view.project;
        let environments = view.environments.into_iter();
        Project {
            environments: environments.map(|one| Environment::of(one, &project)).collect(),
            id: project.id.to_string(),
            name: project.name.to_string(),
            description: project.description,
            apps: count(view.apps),
            rights: view.rights.into_iter().map(Right::from).collect(),
            created_at: moment(project.created_at),
        }
    }
}

impl From<types::Environment> for Named {
    fn from(environment: types::Environment) -> Named {
        Named::new(environment.id, environment.name)
    }
}

#[derive(Clone)]
pub(crate) struct ProjectsApi(pub Panel);

#[OpenApi(tag = "Tag::Projects")]
impl ProjectsApi {
    /// List projects
    #[oai(path = "/projects", method = "get", operation_id = "project_list")]
    async fn project_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Project>>> {
        let projects = self.0.projects.list(&who.actor).await?;
        page(projects, cursor.0.as_deref(), limit.0, |view| view.project.id.to_string())
    }

    /// Make a project
    ///
    /// With the environment `production`.
    #[oai(path = "/projects", method = "post", operation_id = "project_create")]
    async fn project_create(&self, who: Signed, body: Json<ProjectCreate>) -> Answer<Created<Project>> {
        let name = body.0.name.parse()?;
        let project = self
            .0
            .projects
            .create(&who.actor, name, body.0.description.unwrap_or_default())
            .await?;
        Ok(created(project))
    }

    /// Change a project
    #[oai(path = "/projects/:id", method = "patch", operation_id = "project_update")]
    async fn project_update(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        body: Json<ProjectPatch>,
    ) -> Answer<Json<Project>> {
        let ProjectPatch { name, description } = body.0;
        let name = name.map(|name| name.parse()).transpose()?;
        Ok(Json(self.0.projects.update(&who.actor, &id.0, name, description).await?.into()))
    }

    /// Delete a project
    ///
    /// Fails with `busy` while it has apps.
    #[oai(path = "/projects/:id", method = "delete", operation_id = "project_delete")]
    async fn project_delete(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.projects.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }

    /// Make an environment
    #[oai(path = "/projects/:id/environments", method = "post", operation_id = "environment_create")]
    async fn environment_create(
        &self,
        who: Signed,
        /// The project's id.
        id: Path<String>,
        body: Json<EnvironmentCreate>,
    ) -> Answer<Created<Environment>> {
        let made = self.0.projects.add_environment(&who.actor, &id.0, body.0.name.parse()?).await?;
        let project = self.0.projects.get(&who.actor, made.environment.project.as_str()).await?.project;
        Ok(created(Environment::of(made, &project)))
    }

    /// Delete an environment
    ///
    /// Fails with `busy` while it has apps.
    #[oai(path = "/environments/:id", method = "delete", operation_id = "environment_delete")]
    async fn environment_delete(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.projects.remove_environment(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}
