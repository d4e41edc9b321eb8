//! Certificates: from a public authority by ACME (RFC 8555; HTTP-01, TLS-ALPN-01, DNS-01), brought by people, and from the
//! panel's own authority for names that no public one could know. Whether an order would work, and how many a domain
//! gets. The services where DNS zones are kept.
//!
//! Where challenges are published and certificates kept is the caller's business.

mod authority;
pub mod budget;
mod caa;
mod challenge;
mod client;
mod dns;
mod facts;
mod failures;
pub mod planner;
pub mod providers;
mod schedule;
mod transport;
mod uploads;

pub use authority::Authority;
pub use challenge::{Challenges, Proof};
pub use client::{Client, Directory, RenewalWindow, Wish};
pub use dns::{Dns, Zone};
pub use facts::{Facts, inspect};
pub use failures::OrderError;
pub use schedule::{look_after, renew_at, renew_within, retry_after};
pub use uploads::{Upload, check_upload};

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
