//! Certificates: from a public authority by ACME (RFC 8555, HTTP-01), and from the panel's own authority for names
//! that no public one could know.
//!
//! Where challenges are published and certificates kept is the caller's business.

mod authority;
mod client;
mod facts;
mod failures;
mod schedule;
mod transport;

pub use authority::Authority;
pub use client::{Challenges, Client};
pub use facts::{Facts, inspect};
pub use schedule::{renew_at, retry_after};

use types::{Secret, Time};

/// A new certificate with its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Leaf first.
    pub chain_pem: String,
    /// PKCS #8.
    pub key_pem: Secret,
    pub issuer: String,
    /// SHA-256 of the leaf, hex.
    pub fingerprint: String,
    pub not_before: Time,
    pub not_after: Time,
}

impl Issued {
    fn of(chain_pem: String, key_pem: Secret) -> types::Result<Issued> {
        let facts = inspect(&chain_pem)?;
        Ok(Issued {
            chain_pem,
            key_pem,
            issuer: facts.issuer,
            fingerprint: facts.fingerprint,
            not_before: facts.not_before,
            not_after: facts.not_after,
        })
    }
}
