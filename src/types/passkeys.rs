//! Passkeys (WebAuthn): keys in a phone, a computer or a stick with which somebody signs in without a password.

use crate::{OrganizationId, PasskeyId, Time, UserId};
use serde::{Deserialize, Serialize};

/// A passkey of somebody. Its private half never leaves the authenticator, so nothing in here is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    pub id: PasskeyId,
    pub organization: OrganizationId,
    pub user: UserId,
    /// What the person calls it.
    pub name: String,
    /// The name of the panel that it is for (the relying party's id): it works nowhere else.
    pub host: String,
    /// The credential's id, base64url.
    pub credential_id: String,
    /// Public key and counter, as `identity` writes them: JSON.
    pub credential: String,
    pub created_at: Time,
    pub last_used_at: Option<Time>,
}
