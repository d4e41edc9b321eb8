//! From which countries people sign in.

use crate::{OrganizationId, UserId};
use serde::{Deserialize, Serialize};

/// Where somebody has signed in from: a sign-in from elsewhere is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCountries {
    pub user: UserId,
    pub organization: OrganizationId,
    /// Codes of two letters (ISO 3166-1).
    pub codes: Vec<String>,
}
