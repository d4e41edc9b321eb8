//! Quotas: what an organization or a project may take of the machine, and what is used of it.

use crate::{
    Panel,
    answers::{Page, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use types::Action;

/// What a quota is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum QuotaOwner {
    Organization,
    Project,
}

/// What an organization or a project may have, and what is used of it.
#[derive(Debug, Object)]
pub struct Quota {
    /// Of the organization or the project.
    pub id: String,
    pub name: String,
    pub of: QuotaOwner,
    pub limits: QuotaLimits,
    pub used: QuotaUse,
    /// Of traffic and builds, such as `2026-11`; UTC.
    pub month: String,
    /// Of the organization in which who asks acts, or of one of its projects.
    pub own: bool,
    /// Whether who asks may set it.
    pub changeable: bool,
}

/// What there may be at most; null or left out: as much as there is.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct QuotaLimits {
    /// Those in the trash do not count.
    pub apps: Option<u64>,
    /// Of the containers of all apps together, by their limits. An app that names none has 512 MiB and one core.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core, counted like memory.
    pub cpu_millis: Option<u64>,
    /// Of volumes, kept images and uploads, as they are measured every few minutes. When it is used up nothing is deployed or
    /// uploaded; what runs goes on.
    pub disk_bytes: Option<u64>,
    /// What domains and ports pass on in both directions, in a calendar month.
    pub traffic_bytes: Option<u64>,
    /// Bytes a second to which each domain is held once the month's traffic is used up; without it people are only told.
    pub traffic_cap: Option<u64>,
    /// Begun in a calendar month.
    pub builds_per_month: Option<u64>,
    /// Deployments that build at the same time; others wait for their turn.
    pub builds_at_once: Option<u64>,
}

/// What counts. Traffic and builds are counted from the moment at which the organization gets its first quota.
#[derive(Debug, Object)]
pub struct QuotaUse {
    pub apps: u64,
    pub memory_bytes: u64,
    pub cpu_millis: u64,
    /// Null: not measured, since no quota bounds it.
    pub disk_bytes: Option<u64>,
    pub traffic_bytes: u64,
    pub builds_this_month: u64,
    pub builds_now: u64,
}

impl From<QuotaLimits> for types::QuotaLimits {
    fn from(limits: QuotaLimits) -> types::QuotaLimits {
        types::QuotaLimits {
            apps: limits.apps,
            memory_bytes: limits.memory_bytes,
            cpu_millis: limits.cpu_millis,
            disk_bytes: limits.disk_bytes,
            traffic_bytes: limits.traffic_bytes,
            traffic_cap: limits.traffic_cap,
            builds_per_month: limits.builds_per_month,
            builds_at_once: limits.builds_at_once,
        }
    }
}

impl From<types::QuotaLimits> for QuotaLimits {
    fn from(limits: types::QuotaLimits) -> QuotaLimits {
        QuotaLimits {
            apps: limits.apps,
            memory_bytes: limits.memory_bytes,
            cpu_millis: limits.cpu_millis,
            disk_bytes: limits.disk_bytes,
            traffic_bytes: limits.traffic_bytes,
            traffic_cap: limits.traffic_cap,
            builds_per_month: limits.builds_per_month,
            builds_at_once: limits.builds_at_once,
        }
    }
}

impl From<app::QuotaView> for Quota {
    fn from(view: app::QuotaView) -> Quota {
        Quota {
            id: view.id().to_owned(),
            name: view.name().to_owned(),
            of: match view.project {
                Some(_) => QuotaOwner::Project,
                None => QuotaOwner::Organization,
            },
            limits: view.limits.into(),
            used: QuotaUse {
                apps: view.used.apps,
                memory_bytes: view.used.memory_bytes,
                cpu_millis: view.used.cpu_millis,
                disk_bytes: view.used.disk_bytes,
                traffic_bytes: view.used.traffic_bytes,
                builds_this_month: view.used.builds,
                builds_now: view.used.builds_running,
            },
            month: view.month,
            own: view.own,
            changeable: view.changeable,
        }
    }
}

#[derive(Clone)]
pub(crate) struct QuotasApi(pub Panel);

#[OpenApi(tag = "Tag::Projects")]
impl QuotasApi {
    /// List quotas
    ///
    /// Of the own organization and its projects, also where nothing is bounded; for those who run the panel also of the other
    /// organizations, without their projects.
    #[oai(path = "/quotas", method = "get", operation_id = "quota_list")]
    async fn quota_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Quota>>> {
        let found = self.0.quotas.list(&who.actor).await?;
        page(found, cursor.0.as_deref(), limit.0, |view| view.id().to_owned())
    }

    /// Set the quota of an organization
    ///
    /// For administrators of the organization that runs the panel. What is there stays, also when it is more; only what would be
    /// more is refused. Limits that are left out end.
    #[oai(
        path = "/organizations/:organization/quota",
        method = "put",
        operation_id = "organization_quota_set"
    )]
    async fn organization_quota_set(
        &self,
        who: Signed,
        /// Its id or name.
        organization: Path<String>,
        body: Json<QuotaLimits>,
    ) -> Answer<Json<Quota>> {
        who.actor.may(Action::Operate)?;
        let view = self.0.quotas.set_organization(&who.actor, &organization.0, body.0.into()).await?;
        Ok(Json(view.into()))
    }

    /// Set the quota of a project
    ///
    /// For administrators; at most what the organization may have. What is there stays, also when it is more; only what would be
    /// more is refused. Limits that are left out end.
    #[oai(path = "/projects/:project/quota", method = "put", operation_id = "project_quota_set")]
    async fn project_quota_set(
        &self,
        who: Signed,
        /// Its id or name.
        project: Path<String>,
        body: Json<QuotaLimits>,
    ) -> Answer<Json<Quota>> {
        who.actor.may(Action::Administer)?;
        let view = self.0.quotas.set_project(&who.actor, &project.0, body.0.into()).await?;
        Ok(Json(view.into()))
    }
}
