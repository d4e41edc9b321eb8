//! People and what lets them in.

use crate::{DeviceId, Email, IdentityProviderId, OrganizationId, Scopes, SessionId, Spot, Time, TokenId, UserId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a person may do in an organization; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nothing but what is granted.
    Member,
    Viewer,
    Developer,
    Admin,
    Owner,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub organization: OrganizationId,
    pub email: Email,
    pub name: String,
    pub role: Role,
    /// PHC string of Argon2id (RFC 9106); empty: no password lets in.
    pub password_hash: String,
    pub disabled: bool,
    pub created_at: Time,
    pub last_seen_at: Option<Time>,
    /// Nobody: an account for scripts, without a password, whose tokens administrators make.
    #[serde(default)]
    pub service: bool,
}

impl User {
    /// Whether a password of the panel's own lets in: not into accounts of scripts, nor of those who only ever came by an identity
    /// provider.
    pub fn has_password(&self) -> bool {
        !self.service && !self.password_hash.is_empty()
    }

    /// Whether the account's mail address is somebody's: those of service accounts, and of people whom an identity provider
    /// put in and who have not signed in yet, are nobody's.
    pub fn has_address(&self) -> bool {
        !self.service && !self.email.as_str().ends_with(crate::SCIM_NOWHERE)
    }
}

/// A signed-in browser. Deleting the record ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub organization: OrganizationId,
    pub user: UserId,
    /// SHA-256 of the refresh secret in use, hex. A renewal gives the browser a new one; using that retires this.
    pub secret_hash: String,
    /// Hashes of secrets that were given out since and not used yet: an answer may have been lost on its way.
    pub next_hashes: Vec<String>,
    /// Hashes of secrets that others took the place of; somebody who comes with one has stolen it, or was robbed.
    pub retired_hashes: Vec<String>,
    /// When `secret_hash` took its place.
    pub rotated_at: Time,
    /// What the browser must send back in `X-CSRF-Token` with every unsafe request.
    pub csrf: String,
    pub address: String,
    pub agent: String,
    pub created_at: Time,
    pub last_used_at: Time,
    pub expires_at: Time,
    /// When the second factor was shown last in this session, or by those who have none the password, after signing in; `None`: not yet.
    #[serde(default)]
    pub confirmed_at: Option<Time>,
    /// The browser.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// The identity provider that let them in; `None`: a password or passkey of the panel's own.
    #[serde(default)]
    pub provider: Option<IdentityProviderId>,
    /// What that provider calls the session that it has with them.
    #[serde(default)]
    pub provider_session: Option<String>,
    /// When that session ends there at the latest, as the provider said at the sign-in.
    #[serde(default)]
    pub provider_until: Option<Time>,
}

/// A token for scripts: `sk_` and 52 letters, shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    pub id: TokenId,
    pub organization: OrganizationId,
    pub user: UserId,
    pub name: String,
    /// SHA-256 of the whole token, hex: it has 256 random bits, so no slow hash is needed.
    pub hash: String,
    /// The first letters, to tell tokens apart in a list.
    pub hint: String,
    pub scopes: Scopes,
    /// Where it is of use; `None`: wherever its user may.
    pub spots: Option<Vec<Spot>>,
    /// Where it may come from; empty: from anywhere.
    pub networks: Vec<IpNet>,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub last_used_at: Option<Time>,
    pub last_used_address: Option<String>,
    /// The secret before, which is good a little longer.
    pub replaced: Option<ReplacedSecret>,
}

/// What a token was before it was rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedSecret {
    pub hash: String,
    /// The last moment at which it is good.
    pub until: Time,
}

/// The one-time link with which the first administrator takes a fresh panel. There is at most one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupLink {
    /// SHA-256 of the word in the link, hex.
    pub hash: String,
    pub expires_at: Time,
}
