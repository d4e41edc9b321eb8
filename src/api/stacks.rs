//! Compose files: a look at one, the text of an app's, and the services that run.

use crate::{
    Panel,
    answers::{Page, page},
    apps::Limits,
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};

/// A Compose file to look at.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ComposeCheck {
    pub compose: String,
    /// Services of these profiles run too; `*`: of all. Left out: those of `app`.
    pub profiles: Option<Vec<String>>,
    /// Id or name of the app whose variables it is read with.
    pub app: Option<String>,
}

/// What a Compose file comes to.
#[derive(Debug, Object)]
pub struct ComposeReport {
    /// Why it cannot be deployed; empty: it can.
    pub problems: Vec<ComposeNotice>,
    /// What is taken differently from what the file says.
    pub hints: Vec<ComposeNotice>,
    /// What reaches the host: only an administrator may save it.
    pub rights: Vec<ComposeRight>,
    /// In the order in which they start.
    pub services: Vec<PlannedService>,
    pub volumes: Vec<String>,
    /// The service that domains lead to, unless another is named.
    pub main_service: Option<String>,
}

/// Something to say about a file, with its place.
#[derive(Debug, Object)]
pub struct ComposeNotice {
    /// From 1; 0: the file as a whole.
    pub line: u32,
    pub what: String,
}

/// What a service asks for that reaches the host.
#[derive(Debug, Object)]
pub struct ComposeRight {
    pub service: String,
    /// Such as `docker_socket`.
    pub right: String,
    pub what: String,
    pub line: u32,
}

/// A service that would run.
#[derive(Debug, Object)]
pub struct PlannedService {
    pub name: String,
    pub image: String,
    /// Domains lead to it.
    pub main: bool,
    pub ports: Vec<u16>,
    pub replicas: u32,
    /// It ends when its work is done.
    pub once: bool,
    pub depends_on: Vec<String>,
    /// The networks of the file that it is on; none when all services share one.
    pub networks: Vec<String>,
    /// Why its old container stops before a new one starts, when it changed; null: the new one takes over while the old one serves.
    pub stops_first: Option<String>,
    /// What is run inside a container of it once that has started.
    pub post_start: Vec<String>,
    /// What is run inside a container of it before that is stopped.
    pub pre_stop: Vec<String>,
    /// What each of its containers may use.
    pub limits: Limits,
}

/// A service of an app, as it is.
#[derive(Debug, Object)]
pub struct Service {
    pub name: String,
    pub image: String,
    /// Domains lead to it.
    pub main: bool,
    pub ports: Vec<u16>,
    pub replicas: u32,
    /// It ends when its work is done.
    pub once: bool,
    pub depends_on: Vec<String>,
    /// The networks of the file that it is on; none when all services share one.
    pub networks: Vec<String>,
    /// Why its old container stops before a new one starts, when it changed; null: the new one takes over while the old one serves.
    pub stops_first: Option<String>,
    /// What is run inside a container of it once that has started.
    pub post_start: Vec<String>,
    /// What is run inside a container of it before that is stopped.
    pub pre_stop: Vec<String>,
    /// What each of its containers may use.
    pub limits: Limits,
    pub containers: Vec<ServiceContainer>,
}

/// A container of a service.
#[derive(Debug, Object)]
pub struct ServiceContainer {
    pub id: String,
    pub name: String,
    /// "running", "exited with code 1".
    pub state: String,
    pub running: bool,
    /// What the check inside it says; null: it has none.
    pub health: Option<ServiceHealth>,
    pub restarts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ServiceHealth {
    Starting,
    Healthy,
    Unhealthy,
}

/// The Compose file of an app.
#[derive(Debug, Object)]
pub struct ComposeText {
    pub compose: String,
}

impl From<types::Notice> for ComposeNotice {
    fn from(notice: types::Notice) -> ComposeNotice {
        let what = match notice.file.as_str() {
            "" => notice.what,
            file => format!("{file}: {}", notice.what),
        };
        ComposeNotice { line: notice.line, what }
    }
}

impl From<app::ComposeReport> for ComposeReport {
    fn from(report: app::ComposeReport) -> ComposeReport {
        ComposeReport {
            problems: report.problems.into_iter().map(ComposeNotice::from).collect(),
            hints: report.hints.into_iter().map(ComposeNotice::from).collect(),
            rights: report.rights.into_iter().map(ComposeRight::from).collect(),
            services: report.services.into_iter().map(PlannedService::from).collect(),
            volumes: report.volumes,
            main_service: report.main,
        }
    }
}

impl From<types::HostRight> for ComposeRight {
    fn from(right: types::HostRight) -> ComposeRight {
        ComposeRight {
            service: right.service,
            right: right.right.to_owned(),
            what: right.what,
            line: right.line,
        }
    }
}

impl From<app::ServiceView> for PlannedService {
    fn from(view: app::ServiceView) -> PlannedService {
        PlannedService {
            name: view.name,
            image: view.image,
            main: view.main,
            ports: view.ports,
            replicas: view.replicas,
            once: view.once,
            depends_on: view.depends_on,
            networks: view.networks,
            stops_first: view.stops_first,
            post_start: view.post_start,
            pre_stop: view.pre_stop,
            limits: view.limits.into(),
        }
    }
}

impl From<app::ServiceView> for Service {
    fn from(view: app::ServiceView) -> Service {
        Service {
            name: view.name,
            image: view.image,
            main: view.main,
            ports: view.ports,
            replicas: view.replicas,
            once: view.once,
            depends_on: view.depends_on,
            networks: view.networks,
            stops_first: view.stops_first,
            post_start: view.post_start,
            pre_stop: view.pre_stop,
            limits: view.limits.into(),
            containers: view.containers.into_iter().map(ServiceContainer::from).collect(),
        }
    }
}

impl From<types::Container> for ServiceContainer {
    fn from(container: types::Container) -> ServiceContainer {
        ServiceContainer {
            state: container.state.words(),
            running: container.state.is_running(),
            health: container.health.map(|health| match health {
                types::EngineHealth::Starting => ServiceHealth::Starting,
                types::EngineHealth::Healthy => ServiceHealth::Healthy,
                types::EngineHealth::Unhealthy => ServiceHealth::Unhealthy,
            }),
            restarts: container.restarts,
            id: container.id,
            name: container.name,
        }
    }
}

#[derive(Clone)]
pub(crate) struct StacksApi(pub Panel);

#[OpenApi(tag = "Tag::Catalog")]
impl StacksApi {
    /// Look at a Compose file
    ///
    /// Nothing is kept. Answers what it comes to, or every problem with its line.
    #[oai(path = "/compose/check", method = "post", operation_id = "compose_check")]
    async fn compose_check(&self, who: Signed, body: Json<ComposeCheck>) -> Answer<Json<ComposeReport>> {
        let ComposeCheck { compose, profiles, app } = body.0;
        let report = self
            .0
            .stacks
            .check(&who.actor, &compose, profiles.as_deref(), app.as_deref())
            .await?;
        Ok(Json(report.into()))
    }

    /// Show the Compose file of an app
    #[oai(path = "/apps/:app/compose", method = "get", operation_id = "compose_show")]
    async fn compose_show(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<ComposeText>> {
        let compose = self.0.stacks.text(&who.actor, &app.0).await?;
        Ok(Json(ComposeText { compose }))
    }

    /// List the services of an app
    ///
    /// In the order in which they start, with their containers.
    #[oai(path = "/apps/:app/services", method = "get", operation_id = "service_list")]
    async fn service_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Service>>> {
        let services = self.0.stacks.services(&who.actor, &app.0).await?;
        page(services, cursor.0.as_deref(), limit.0, |view| view.name.clone())
    }
}
