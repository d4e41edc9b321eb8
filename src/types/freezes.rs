//! Times in which nothing is deployed.

use crate::{EnvironmentId, FreezeId, OrganizationId, Time};
use serde::{Deserialize, Serialize};

/// While it holds, pushes wait and people are refused; rolling back stays possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    pub id: FreezeId,
    pub organization: OrganizationId,
    /// `None`: all of the organization.
    pub environment: Option<EnvironmentId>,
    /// Why, in a few words: `Black Friday`.
    pub name: String,
    pub when: FreezeWhen,
    pub created_at: Time,
    pub created_by: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FreezeWhen {
    Once {
        from: Time,
        until: Time,
    },
    /// Begins again and again, and lasts so long.
    Repeated {
        /// Minute, hour, day of month, month, day of week.
        cron: String,
        /// By its name in the IANA database.
        zone: String,
        minutes: u32,
    },
}

/// A freeze that holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    pub id: FreezeId,
    pub name: String,
    pub until: Time,
}

impl Frozen {
    /// `deployments are frozen until 2026-01-02T00:00:00Z: Black Friday`
    pub fn words(&self) -> String {
        format!("deployments are frozen until {}: {}", self.until, self.name)
    }
}
