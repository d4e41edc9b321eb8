//! A release: everything that a container of an app is made of, never changed once made.

use crate::{AppId, Commit, DeploymentId, HealthCheck, Limits, Mount, OrganizationId, ReleaseId, Sealed, Time, VariableKey};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub organization: OrganizationId,
    pub app: AppId,
    /// The deployment that made it.
    pub deployment: DeploymentId,
    pub number: u64,
    /// The engine's id of the image (`sha256:…`).
    pub image: String,
    /// What people call it.
    pub image_name: String,
    /// By what its registry knows it, `name@sha256:…`: it can be fetched again by it. `None` for one that was built here.
    pub digest: Option<String>,
    pub commit: Option<Commit>,
    pub variables: Vec<ReleaseVariable>,
    pub variables_version: u64,
    pub port: u16,
    pub command: Option<Vec<String>>,
    pub mounts: Vec<Mount>,
    /// The hosts it was made live under.
    pub domains: Vec<String>,
    pub limits: Limits,
    pub health: HealthCheck,
    pub grace_seconds: u32,
    pub created_at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseVariable {
    pub key: VariableKey,
    pub value: Sealed,
    pub secret: bool,
}
