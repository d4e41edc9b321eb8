//! A domain: a host that leads to an app. Unique over the whole panel.

use crate::{AppId, Host, OrganizationId, Time};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    pub host: Host,
    pub organization: OrganizationId,
    pub app: AppId,
    /// The one that links show.
    pub primary: bool,
    /// Plain HTTP is sent to HTTPS.
    pub force_https: bool,
    pub created_at: Time,
}
