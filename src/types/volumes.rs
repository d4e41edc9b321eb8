//! A volume: data that outlives containers. Its name on the engine is fixed when it is made.

use crate::{EnvironmentId, OrganizationId, Slug, Time, VolumeId};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub id: VolumeId,
    pub organization: OrganizationId,
    pub environment: EnvironmentId,
    /// Unique in the environment.
    pub name: Slug,
    /// What the engine calls it: `serverkit-<id>`.
    pub engine_name: String,
    pub created_at: Time,
}
