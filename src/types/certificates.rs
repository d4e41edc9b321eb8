//! Certificates, how they came to be, and what is remembered of orders.

use crate::{CertificateId, CertificateName, DnsProviderId, Host, OrganizationId, Sealed, Time};
use serde::{Deserialize, Serialize};

/// The certificate of one host, or what a [`SharedCertificate`] holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The host that it is kept for; of a shared one, its first name without `*.`.
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
    /// How the authority was shown that the names are ours.
    pub challenge: Option<ChallengeKind>,
    /// Why the last try failed, in words.
    pub last_error: Option<String>,
    /// What to do about it, in words.
    pub next_step: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// No order is sent before then.
    pub next_try_at: Option<Time>,
    /// When the authority wants it renewed.
    pub renewal: Option<Renewal>,
    /// The least of 21, 7 and 2 days before its end for which an event was sent.
    pub warned_days: Option<u32>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// What the authority says of renewing (RFC 9773).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    pub from: Time,
    pub to: Time,
    /// When to ask again.
    pub ask_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateOrigin {
    /// From the certificate authority in the settings, by ACME.
    Acme,
    /// From the panel's own authority: for names that are not public, and while the public one is on its way.
    Own,
    /// Brought by somebody, with its key.
    Uploaded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateState {
    /// Ordered; the own authority's serves meanwhile.
    Pending,
    /// An order would fail, so none is sent: see `last_error` and `next_step`. It is looked at again by itself.
    Waiting,
    Valid,
    /// The last order failed; see `last_error` and `next_try_at`.
    Failed,
}

/// How a name is shown to be ours (RFC 8555, 8; RFC 8737).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeKind {
    /// HTTP-01: the authority fetches a file on port 80.
    Http,
    /// TLS-ALPN-01: the authority opens TLS on port 443.
    TlsAlpn,
    /// DNS-01: the authority looks for a TXT record. The only one for wildcards.
    Dns,
}

impl ChallengeKind {
    /// As in RFC 8555, RFC 8737 and CAA's `validationmethods`.
    pub fn name(self) -> &'static str {
        match self {
            ChallengeKind::Http => "http-01",
            ChallengeKind::TlsAlpn => "tls-alpn-01",
            ChallengeKind::Dns => "dns-01",
        }
    }
}

/// A certificate for names that somebody chose: brought, or ordered for several names or a wildcard. It serves every
/// host of its organization that it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedCertificate {
    pub id: CertificateId,
    pub organization: OrganizationId,
    /// At least one.
    pub names: Vec<CertificateName>,
    /// How to prove the names; `None`: what fits.
    pub wish: Option<ChallengeKind>,
    /// For DNS-01; `None`: whichever has the zone.
    pub provider: Option<DnsProviderId>,
    /// Kept by the panel itself, for the domain of its apps.
    pub automatic: bool,
    pub certificate: Certificate,
}

/// Why an order failed, as far as the next try depends on it. Source: RFC 8555, 6.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderFailure {
    /// The authority wants us to wait.
    RateLimited,
    /// The name is not found.
    Dns,
    /// A CAA record forbids it.
    Caa,
    /// Nothing answers at the name.
    Connection,
    /// Something else answers at the name.
    Unauthorized,
    /// The authority issues nothing for the name.
    Rejected,
    /// The account or its contact is refused.
    Account,
    /// The authority itself does not answer, or not well.
    Unreachable,
    Other,
}

/// The orders of one registered domain, newest last, of the last seven days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLog {
    /// The domain that somebody registered, such as `example.co.uk`, by the public suffix list.
    pub domain: String,
    pub orders: Vec<OrderTry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTry {
    pub at: Time,
    /// Sorted, with commas.
    pub names: String,
    /// It replaces one of the same names.
    pub renewal: bool,
    /// `None`: it went well.
    pub failure: Option<OrderFailure>,
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
