//! Environment variables of an app. Values are bytes: what goes in comes out.

use crate::{AppId, OrganizationId, Sealed, Time, VariableKey};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub organization: OrganizationId,
    pub app: AppId,
    pub key: VariableKey,
    pub value: Sealed,
    pub scope: VariableScope,
    /// Shown as dots unless somebody with the right asks.
    pub secret: bool,
    pub updated_at: Time,
    pub updated_by: String,
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
