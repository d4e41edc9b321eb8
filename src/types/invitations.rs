//! Invitations: a link with which somebody makes their own account.

use crate::{Email, InvitationId, OrganizationId, Role, Time, Who};
use serde::{Deserialize, Serialize};

/// A link that is good once. Deleting the record voids it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub id: InvitationId,
    pub organization: OrganizationId,
    /// The address of the account that will be made.
    pub email: Email,
    pub role: Role,
    /// SHA-256 of the word in the link that who invites was shown, hex.
    pub hash: String,
    /// The same of another word, which went to the address by mail: whoever has it reads that mail.
    #[serde(default)]
    pub mailed_hash: Option<String>,
    #[serde(default)]
    pub mailed_at: Option<Time>,
    /// Whoever invites must still have the right to when it is accepted.
    pub by: Who,
    pub created_at: Time,
    pub expires_at: Time,
}
