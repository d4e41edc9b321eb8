//! Organizations: which ones there are for somebody, making one, and acting in another.

use crate::{
    Panel,
    answers::{Created, Done, Page, count, created, moment, page},
    failures::Answer,
    sessions::{Session, let_in},
    signed::Signed,
    tags::Tag,
    users::Role,
};
use poem::web::cookie::CookieJar;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::World;

/// Who owns things. Nothing crosses from one to another.
#[derive(Debug, Object)]
pub struct Organization {
    pub id: String,
    pub name: String,
    /// Of the one who asks.
    pub role: Role,
    /// The one in which they act.
    pub current: bool,
    /// It runs the panel: only its people change settings, and see the machine.
    pub hosts: bool,
    pub created_at: OffsetDateTime,
}

/// An organization to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct OrganizationCreate {
    /// Small letters, digits and hyphens.
    pub name: String,
    /// The mail address of its first owner, who is in the organization that asks; left out: who asks.
    pub owner: Option<String>,
}

/// Another name for an organization.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct OrganizationPatch {
    /// Small letters, digits and hyphens.
    pub name: String,
}

/// What deleting an organization takes away. Nothing of it comes back.
#[derive(Debug, Object)]
pub struct OrganizationDeletePlan {
    pub name: String,
    pub projects: Vec<String>,
    /// With those in the trash.
    pub apps: Vec<String>,
    pub volumes: Vec<OrganizationVolume>,
    pub domains: Vec<String>,
    pub certificates: Vec<String>,
    pub tokens: u32,
    /// Mail addresses of accounts that go: they are in no other organization.
    pub people: Vec<String>,
    /// Those of accounts that stay, since they are in others too.
    pub staying: Vec<String>,
}

/// A volume that goes with its data.
#[derive(Debug, Object)]
pub struct OrganizationVolume {
    pub id: String,
    pub name: String,
    pub bytes: u64,
}

/// Where to act.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SessionSwitch {
    /// The id or name of an organization.
    pub organization: String,
}

impl From<app::OrganizationPlan> for OrganizationDeletePlan {
    fn from(plan: app::OrganizationPlan) -> OrganizationDeletePlan {
        let volumes = plan.volumes.into_iter().map(|one| OrganizationVolume {
            id: one.id,
            name: one.name,
            bytes: one.bytes,
        });
        OrganizationDeletePlan {
            name: plan.name,
            projects: plan.projects,
            apps: plan.apps,
            volumes: volumes.collect(),
            domains: plan.domains,
            certificates: plan.certificates,
            tokens: count(plan.tokens),
            people: plan.people,
            staying: plan.staying,
        }
    }
}

impl From<app::OrganizationView> for Organization {
    fn from(view: app::OrganizationView) -> Organization {
        Organization {
            id: view.organization.id.to_string(),
            name: view.organization.name.to_string(),
            role: view.role.into(),
            current: view.current,
            hosts: view.hosts,
            created_at: moment(view.organization.created_at),
        }
    }
}

#[derive(Clone)]
pub(crate) struct OrganizationsApi(pub Panel, pub World);

#[OpenApi(tag = "Tag::Users")]
impl OrganizationsApi {
    /// List the own organizations
    #[oai(path = "/organizations", method = "get", operation_id = "organization_list")]
    async fn organization_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Organization>>> {
        let found = self.0.organizations.list(&who.actor)?;
        page(found, cursor.0.as_deref(), limit.0, |view| view.organization.id.to_string())
    }

    /// Make an organization
    ///
    /// With a project and an environment. Only owners in the organization that runs the panel may.
    #[oai(path = "/organizations", method = "post", operation_id = "organization_create")]
    async fn organization_create(&self, who: Signed, body: Json<OrganizationCreate>) -> Answer<Created<Organization>> {
        let OrganizationCreate { name, owner } = body.0;
        Ok(created(
            self.0.organizations.create(&who.actor, name.parse()?, owner.as_deref()).await?,
        ))
    }

    /// Rename an organization
    ///
    /// The one in which who asks acts. Needs the role owner; there and in the organization that runs the panel, if that is another, since
    /// names are told apart over all.
    #[oai(path = "/organizations/:organization", method = "patch", operation_id = "organization_rename")]
    async fn organization_rename(
        &self,
        who: Signed,
        /// Its id or name.
        organization: Path<String>,
        body: Json<OrganizationPatch>,
    ) -> Answer<Json<Organization>> {
        who.actor.may(types::Action::ManageOwners)?;
        let name = body.0.name.parse()?;
        Ok(Json(self.0.organizations.rename(&who.actor, &organization.0, name).await?.into()))
    }

    /// See what deleting an organization would take away
    ///
    /// The one in which who asks acts. Needs the role owner.
    #[oai(
        path = "/organizations/:organization/delete-plan",
        method = "get",
        operation_id = "organization_delete_plan"
    )]
    async fn organization_delete_plan(
        &self,
        who: Signed,
        /// Its id or name.
        organization: Path<String>,
    ) -> Answer<Json<OrganizationDeletePlan>> {
        Ok(Json(self.0.organization_removal.plan(&who.actor, &organization.0).await?.into()))
    }

    /// Delete an organization
    ///
    /// The one in which who asks acts, for good: apps, volumes with their data, domains, certificates, tokens, and the accounts of
    /// people who are in no other. Sessions and tokens there end at once, what is on the server goes in the background. The one
    /// that runs the panel stays. Needs the role owner.
    #[oai(path = "/organizations/:organization", method = "delete", operation_id = "organization_delete")]
    async fn organization_delete(
        &self,
        who: Signed,
        /// Its id or name.
        organization: Path<String>,
        /// Its name, so that it is the right one.
        confirm: Query<Option<String>>,
    ) -> Answer<Done> {
        self.0
            .organization_removal
            .remove(&who.actor, &organization.0, confirm.0.as_deref().unwrap_or_default())
            .await?;
        Ok(Done::Done)
    }

    /// Act in another organization
    ///
    /// The session goes on there; its cookies and its `csrf` change, so that a page that shows the one before changes nothing. Fails with
    /// `forbidden` for who signed in by an identity provider and is an owner there.
    #[oai(path = "/session/switch", method = "post", operation_id = "session_switch")]
    async fn session_switch(&self, who: Signed, jar: &CookieJar, body: Json<SessionSwitch>) -> Answer<Json<Session>> {
        let signed = self.0.sessions.switch(&who.known, &body.0.organization).await?;
        Ok(Json(let_in(jar, signed, self.1.now())))
    }
}
