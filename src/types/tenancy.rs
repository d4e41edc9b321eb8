//! Organization > Project > Environment. A fresh panel has one of each, so that a single user never meets the words.

use crate::{App, EnvironmentId, OrganizationId, ProjectId, Site, Slug, Time};
use serde::{Deserialize, Serialize};

/// Who owns things. Nothing crosses from one to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    pub id: OrganizationId,
    pub name: Slug,
    pub created_at: Time,
    /// It claimed the panel and runs it. Older state has one organization and does not say so.
    #[serde(default)]
    pub hosts: bool,
    /// It is being taken away: nobody is in it any more.
    #[serde(default)]
    pub removing: bool,
}

/// Things that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: ProjectId,
    pub organization: OrganizationId,
    /// Unique in the organization.
    pub name: Slug,
    pub description: String,
    pub created_at: Time,
}

/// One running copy of a project: production, staging, preview-42. It has a network of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub id: EnvironmentId,
    pub organization: OrganizationId,
    pub project: ProjectId,
    /// Unique in the project.
    pub name: Slug,
    pub created_at: Time,
}

impl Project {
    pub fn place(&self) -> Site {
        Site::project(self.id.clone())
    }
}

impl Environment {
    pub fn place(&self) -> Site {
        Site::environment(self.project.clone(), self.id.clone())
    }
}

impl App {
    pub fn place(&self) -> Site {
        Site::app(self.project.clone(), self.environment.clone(), self.id.clone())
    }
}
