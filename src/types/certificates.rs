//! A certificate for one host, and how it came to be.

use crate::{Host, Sealed, Time};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub host: Host,
    pub origin: CertificateOrigin,
    pub state: CertificateState,
    /// The chain, leaf first, in PEM; empty while there is none.
    pub chain_pem: String,
    /// The private key (PKCS #8, PEM).
    pub key: Option<Sealed>,
    pub issuer: String,
    /// SHA-256 of the leaf, hex.
    pub fingerprint: String,
    pub not_before: Option<Time>,
    pub not_after: Option<Time>,
    /// Why the last try failed, in words.
    pub last_error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// No order is sent before then.
    pub next_try_at: Option<Time>,
    pub created_at: Time,
    pub updated_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateOrigin {
    /// From the certificate authority in the settings, by ACME.
    Acme,
    /// From the panel's own authority: for names that are not public, and while the public one is on its way.
    Own,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateState {
    /// Ordered; the own authority's serves meanwhile.
    Pending,
    Valid,
    /// The last try failed; see `last_error` and `next_try_at`.
    Failed,
}

/// The panel's own authority. There is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAuthority {
    pub certificate_pem: String,
    pub key: Sealed,
    pub created_at: Time,
}

/// An account at an ACME directory (RFC 8555, 7.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeAccount {
    /// The directory's address.
    pub directory: String,
    pub credentials: Sealed,
    pub created_at: Time,
}
