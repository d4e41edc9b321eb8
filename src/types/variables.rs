//! Environment variables: of an app, or of what it is in. Values are bytes: what goes in comes out.

use crate::{AppId, AppName, EnvironmentId, OrganizationId, ProjectId, Sealed, Time, VariableKey, VersionId};
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub organization: OrganizationId,
    pub owner: VariableOwner,
    pub key: VariableKey,
    /// As it was written: references to others are replaced when it is used.
    pub value: Sealed,
    pub scope: VariableScope,
    /// Shown as dots unless somebody with the right asks.
    pub secret: bool,
    /// Other apps whose variables it may refer to: whoever wrote it might see their secrets.
    #[serde(default)]
    pub refers: Vec<AppName>,
    pub updated_at: Time,
    pub updated_by: String,
}

/// Whose a variable is. What is in it has it too, unless something nearer has one of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableOwner {
    Organization(OrganizationId),
    Project(ProjectId),
    Environment(EnvironmentId),
    App(AppId),
    /// One service of an app from a Compose file: it is in that container only.
    Service {
        app: AppId,
        service: String,
    },
}

/// From the farthest to the nearest: the nearer one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableLevel {
    Organization,
    Project,
    Environment,
    App,
    Service,
}

impl VariableOwner {
    pub fn level(&self) -> VariableLevel {
        match self {
            VariableOwner::Organization(_) => VariableLevel::Organization,
            VariableOwner::Project(_) => VariableLevel::Project,
            VariableOwner::Environment(_) => VariableLevel::Environment,
            VariableOwner::App(_) => VariableLevel::App,
            VariableOwner::Service { .. } => VariableLevel::Service,
        }
    }
    /// The app that it is, or that it is a service of.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            VariableOwner::App(app) | VariableOwner::Service { app, .. } => Some(app),
            _ => None,
        }
    }
}

/// Unique, and without `/`: what keys in the store begin with.
impl fmt::Display for VariableOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VariableOwner::Organization(id) => id.fmt(f),
            VariableOwner::Project(id) => id.fmt(f),
            VariableOwner::Environment(id) => id.fmt(f),
            VariableOwner::App(id) => id.fmt(f),
            VariableOwner::Service { app, service } => write!(f, "{app}.{service}"),
        }
    }
}

/// What a variable was at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableVersion {
    pub id: VersionId,
    pub organization: OrganizationId,
    pub owner: VariableOwner,
    pub key: VariableKey,
    /// `None`: it was removed.
    pub value: Option<Sealed>,
    pub scope: VariableScope,
    pub secret: bool,
    pub at: Time,
    pub by: String,
}

/// When a variable is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableScope {
    /// In the container.
    Run,
    /// While the image is built: a build argument, or a build secret if the variable is secret.
    Build,
    Both,
}

impl VariableScope {
    pub fn at_run(self) -> bool {
        matches!(self, VariableScope::Run | VariableScope::Both)
    }
    pub fn at_build(self) -> bool {
        matches!(self, VariableScope::Build | VariableScope::Both)
    }
}
