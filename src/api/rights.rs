//! Roles that people make, teams, and who is granted what where.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, count, created, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use app::{GrantWish, RoleChange, TeamChange};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::Action;

/// Something that somebody may do. View, deploy, configure, secrets, terminal and delete can be given in one place; the
/// others are for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Right {
    /// See projects, apps, deployments, logs, metrics, certificates.
    View,
    /// Deploy, roll back, cancel, start, stop, restart.
    Deploy,
    /// Create and change apps, domains, variables, projects.
    Configure,
    /// Read the values of variables marked secret.
    Secrets,
    /// Open a terminal in a container.
    Terminal,
    /// Delete apps, projects, volumes; empty the trash.
    Delete,
    /// Make apps from a path on the panel's machine.
    UseLocalPaths,
    /// Run services that reach the host itself.
    UseHost,
    /// See the panel's own machines, and how they fare.
    ViewServers,
    /// See people, roles and tokens of others.
    ViewTeam,
    /// Read the audit log.
    Audit,
    /// Invite, change and remove people; roles, teams and service accounts.
    ManageTeam,
    /// Change DNS providers and catalogs.
    Administer,
    /// Change settings of the panel; see and mend the machine.
    Operate,
    /// Change what guards the panel.
    Secure,
    /// Make somebody an owner, or stop them being one. It is in no role that people make.
    ManageOwners,
    /// Make organizations. It is in no role that people make.
    ManageOrganizations,
}

macro_rules! rights {
    ($($right:ident = $action:ident),*) => {
        impl From<Action> for Right {
            fn from(action: Action) -> Right {
                match action {
                    $(Action::$action => Right::$right,)*
                }
            }
        }
        impl From<Right> for Action {
            fn from(right: Right) -> Action {
                match right {
                    $(Right::$right => Action::$action,)*
                }
            }
        }
    };
}
rights!(
    View = View,
    Deploy = Deploy,
    Configure = Configure,
    Secrets = RevealSecrets,
    Terminal = Terminal,
    Delete = Delete,
    UseLocalPaths = UseLocalPaths,
    UseHost = UseHost,
    ViewServers = ViewServers,
    ViewTeam = ViewTeam,
    Audit = Audit,
    ManageTeam = ManageTeam,
    Administer = Administer,
    Operate = Operate,
    Secure = Secure,
    ManageOwners = ManageOwners,
    ManageOrganizations = ManageOrganizations
);

/// A role that people made.
#[derive(Debug, Object)]
pub struct CustomRole {
    pub id: String,
    pub name: String,
    pub description: String,
    /// View is always among them.
    pub rights: Vec<Right>,
    /// How often it is granted.
    pub grants: u32,
    pub created_at: OffsetDateTime,
}

/// A role to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct RoleCreate {
    /// 1 to 60 characters, and not the name of a built-in role.
    pub name: String,
    #[oai(default)]
    pub description: String,
    pub rights: Vec<Right>,
}

/// What to change about a role; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct RolePatch {
    pub name: Option<String>,
    pub description: Option<String>,
    /// These, and no others. Everybody who has the role has them at once.
    pub rights: Option<Vec<Right>>,
}

/// People who are given rights together.
#[derive(Debug, Object)]
pub struct Team {
    pub id: String,
    pub name: String,
    /// People and service accounts: id and mail address.
    pub members: Vec<Named>,
    pub created_at: OffsetDateTime,
}

/// A team to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct TeamCreate {
    pub name: String,
    /// Mail addresses or ids.
    #[oai(default)]
    pub members: Vec<String>,
}

/// What to change about a team; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct TeamPatch {
    pub name: Option<String>,
    /// Mail addresses or ids: these, and no others.
    pub members: Option<Vec<String>>,
}

/// A role for somebody in some place.
#[derive(Debug, Object)]
pub struct Grant {
    pub id: String,
    /// The role's name.
    pub role: String,
    /// A mail address, or `team` and its name.
    pub to: String,
    /// As it is written, and in words.
    pub place: Named,
    pub created_at: OffsetDateTime,
}

/// A grant to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct GrantCreate {
    /// `viewer`, `developer`, `admin`, or the id or name of a role.
    pub role: String,
    /// `user:` with a mail address or id, or `team:` with a name or id.
    pub to: String,
    /// `organization`, `project:NAME`, `environment:PROJECT/NAME` or `app:NAME`; ids in place of names.
    pub place: String,
}

impl From<app::RoleView> for CustomRole {
    fn from(view: app::RoleView) -> CustomRole {
        CustomRole {
            id: view.role.id.to_string(),
            name: view.role.name,
            description: view.role.description,
            rights: view.role.rights.into_iter().map(Right::from).collect(),
            grants: count(view.grants),
            created_at: moment(view.role.created_at),
        }
    }
}

impl From<app::TeamView> for Team {
    fn from(view: app::TeamView) -> Team {
        Team {
            id: view.team.id.to_string(),
            name: view.team.name,
            members: view.members.into_iter().map(|user| Named::new(user.id, user.email)).collect(),
            created_at: moment(view.team.created_at),
        }
    }
}

impl From<app::GrantView> for Grant {
    fn from(view: app::GrantView) -> Grant {
        Grant {
            id: view.grant.id.to_string(),
            role: view.role,
            to: view.to,
            place: Named::new(view.place.0, view.place.1),
            created_at: moment(view.grant.created_at),
        }
    }
}

#[derive(Clone)]
pub(crate) struct RightsApi(pub Panel);

#[OpenApi(tag = "Tag::Users")]
impl RightsApi {
    /// List roles
    ///
    /// Those that people made; owner, admin, developer, viewer and member are built in.
    #[oai(path = "/roles", method = "get", operation_id = "role_list")]
    async fn role_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<CustomRole>>> {
        let roles = self.0.rights.roles(&who.actor)?;
        page(roles, cursor.0.as_deref(), limit.0, |view| view.role.id.to_string())
    }

    /// Make a role
    ///
    /// With rights that the one who asks has too.
    #[oai(path = "/roles", method = "post", operation_id = "role_create")]
    async fn role_create(&self, who: Signed, body: Json<RoleCreate>) -> Answer<Created<CustomRole>> {
        let RoleCreate { name, description, rights } = body.0;
        let rights = rights.into_iter().map(Action::from).collect();
        Ok(created(self.0.rights.create_role(&who.actor, &name, &description, rights).await?))
    }

    /// Change a role
    #[oai(path = "/roles/:role", method = "patch", operation_id = "role_update")]
    async fn role_update(
        &self,
        who: Signed,
        /// Its id or name.
        role: Path<String>,
        body: Json<RolePatch>,
    ) -> Answer<Json<CustomRole>> {
        let RolePatch { name, description, rights } = body.0;
        let change = RoleChange {
            name,
            description,
            rights: rights.map(|rights| rights.into_iter().map(Action::from).collect()),
        };
        Ok(Json(self.0.rights.update_role(&who.actor, &role.0, change).await?.into()))
    }

    /// Remove a role
    ///
    /// It must be granted to nobody.
    #[oai(path = "/roles/:role", method = "delete", operation_id = "role_delete")]
    async fn role_delete(
        &self,
        who: Signed,
        /// Its id or name.
        role: Path<String>,
    ) -> Answer<Done> {
        self.0.rights.remove_role(&who.actor, &role.0).await?;
        Ok(Done::Done)
    }

    /// List teams
    #[oai(path = "/teams", method = "get", operation_id = "team_list")]
    async fn team_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Team>>> {
        let teams = self.0.rights.teams(&who.actor)?;
        page(teams, cursor.0.as_deref(), limit.0, |view| view.team.id.to_string())
    }

    /// Make a team
    #[oai(path = "/teams", method = "post", operation_id = "team_create")]
    async fn team_create(&self, who: Signed, body: Json<TeamCreate>) -> Answer<Created<Team>> {
        let TeamCreate { name, members } = body.0;
        Ok(created(self.0.rights.create_team(&who.actor, &name, members).await?))
    }

    /// Change a team
    #[oai(path = "/teams/:team", method = "patch", operation_id = "team_update")]
    async fn team_update(
        &self,
        who: Signed,
        /// Its id or name.
        team: Path<String>,
        body: Json<TeamPatch>,
    ) -> Answer<Json<Team>> {
        let TeamPatch { name, members } = body.0;
        let change = TeamChange { name, members };
        Ok(Json(self.0.rights.update_team(&who.actor, &team.0, change).await?.into()))
    }

    /// Remove a team
    ///
    /// What was granted to it goes with it.
    #[oai(path = "/teams/:team", method = "delete", operation_id = "team_delete")]
    async fn team_delete(
        &self,
        who: Signed,
        /// Its id or name.
        team: Path<String>,
    ) -> Answer<Done> {
        self.0.rights.remove_team(&who.actor, &team.0).await?;
        Ok(Done::Done)
    }

    /// List grants
    ///
    /// What people and teams may do beside their role, and where.
    #[oai(path = "/grants", method = "get", operation_id = "grant_list")]
    async fn grant_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Grant>>> {
        let grants = self.0.rights.grants(&who.actor)?;
        page(grants, cursor.0.as_deref(), limit.0, |view| view.grant.id.to_string())
    }

    /// Grant a role
    ///
    /// In the whole, or in one project, environment or app. Nobody gives what they do not have there.
    #[oai(path = "/grants", method = "post", operation_id = "grant_create")]
    async fn grant_create(&self, who: Signed, body: Json<GrantCreate>) -> Answer<Created<Grant>> {
        let GrantCreate { role, to, place } = body.0;
        Ok(created(self.0.rights.grant(&who.actor, GrantWish { role, to, place }).await?))
    }

    /// Take a grant away
    #[oai(path = "/grants/:id", method = "delete", operation_id = "grant_delete")]
    async fn grant_delete(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.rights.take(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}
