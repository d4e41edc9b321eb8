//! Who may what where, beyond the four built-in roles: roles that people make, teams, grants; and where things lie.

use crate::{Action, AppId, CustomRoleId, EnvironmentId, GrantId, OrganizationId, ProjectId, Role, TeamId, Time, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where something lies in its organization.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    project: Option<ProjectId>,
    environment: Option<EnvironmentId>,
    app: Option<AppId>,
}

impl Site {
    /// The whole.
    pub fn organization() -> Site {
        Site::default()
    }
    pub fn project(project: ProjectId) -> Site {
        Site {
            project: Some(project),
            ..Site::default()
        }
    }
    pub fn environment(project: ProjectId, environment: EnvironmentId) -> Site {
        Site {
            project: Some(project),
            environment: Some(environment),
            app: None,
        }
    }
    pub fn app(project: ProjectId, environment: EnvironmentId, app: AppId) -> Site {
        Site {
            project: Some(project),
            environment: Some(environment),
            app: Some(app),
        }
    }
}

/// Where a grant or a token holds: there and in all that lies below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum Spot {
    Organization,
    Project(ProjectId),
    Environment(EnvironmentId),
    App(AppId),
}

impl Spot {
    pub fn covers(&self, place: &Site) -> bool {
        match self {
            Spot::Organization => true,
            Spot::Project(id) => place.project.as_ref() == Some(id),
            Spot::Environment(id) => place.environment.as_ref() == Some(id),
            Spot::App(id) => place.app.as_ref() == Some(id),
        }
    }
}

/// A role that people made: a name for some rights. `View` is always among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    pub id: CustomRoleId,
    pub organization: OrganizationId,
    /// Unique in the organization.
    pub name: String,
    pub description: String,
    pub rights: BTreeSet<Action>,
    pub created_at: Time,
}

/// People who are given rights together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    pub id: TeamId,
    pub organization: OrganizationId,
    /// Unique in the organization.
    pub name: String,
    /// People and service accounts.
    pub members: BTreeSet<UserId>,
    pub created_at: Time,
}

/// What is granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum GrantedRole {
    /// What of it can be done in one place; never owner.
    BuiltIn(Role),
    Custom(CustomRoleId),
}

/// To whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum Grantee {
    /// A person or a service account.
    User(UserId),
    Team(TeamId),
}

/// A role for somebody in some place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub id: GrantId,
    pub organization: OrganizationId,
    pub role: GrantedRole,
    pub to: Grantee,
    pub spot: Spot,
    pub created_at: Time,
}

/// Somebody whose account belongs to another organization, and who is in this one too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub organization: OrganizationId,
    pub user: UserId,
    pub role: Role,
    pub created_at: Time,
}
