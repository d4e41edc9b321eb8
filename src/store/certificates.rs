//! How certificates, the own authority and ACME accounts are kept.

use crate::{Audited, Record, Told};
use types::{AcmeAccount, Certificate, Kind, OrderLog, OwnAuthority, SharedCertificate};

/// The key of the one own authority.
pub const AUTHORITY_KEY: &str = "authority";

impl Record for Certificate {
    const KIND: Kind = Kind::Certificate;
    const TREE: &'static str = "certificates";
    const VERSION: u8 = 2;
    const AUDIT: Audited = Audited::when(Told::ByPeople);
    type Previous = v1::Certificate;
    fn upgrade(previous: v1::Certificate) -> Certificate {
        let ordered = previous.origin == types::CertificateOrigin::Acme;
        Certificate {
            host: previous.host,
            origin: previous.origin,
            state: previous.state,
            chain_pem: previous.chain_pem,
            key: previous.key,
            issuer: previous.issuer,
            fingerprint: previous.fingerprint,
            not_before: previous.not_before,
            not_after: previous.not_after,
            challenge: ordered.then_some(types::ChallengeKind::Http),
            last_error: previous.last_error,
            next_step: None,
            failures: previous.failures,
            next_try_at: previous.next_try_at,
            renewal: None,
            warned_days: None,
            created_at: previous.created_at,
            updated_at: previous.updated_at,
        }
    }
    fn key(&self) -> String {
        self.host.to_string()
    }
}

/// Until 0.1: one host, always by HTTP-01.
mod v1 {
    use crate::Record;
    use serde::{Deserialize, Serialize};
    use types::{CertificateOrigin, CertificateState, Host, Kind, Sealed, Time};

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Certificate {
        pub host: Host,
        pub origin: CertificateOrigin,
        pub state: CertificateState,
        pub chain_pem: String,
        pub key: Option<Sealed>,
        pub issuer: String,
        pub fingerprint: String,
        pub not_before: Option<Time>,
        pub not_after: Option<Time>,
        pub last_error: Option<String>,
        pub failures: u32,
        pub next_try_at: Option<Time>,
        pub created_at: Time,
        pub updated_at: Time,
    }

    impl Record for Certificate {
        const KIND: Kind = Kind::Certificate;
        const TREE: &'static str = "certificates";
        const VERSION: u8 = 1;
        first_version!();
        fn key(&self) -> String {
            self.host.to_string()
        }
    }
}

impl Record for SharedCertificate {
    const KIND: Kind = Kind::Certificate;
    const TREE: &'static str = "shared_certificates";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.names.first().map(ToString::to_string).unwrap_or_default()
    }
}

impl Record for OrderLog {
    const KIND: Kind = Kind::OrderLog;
    const TREE: &'static str = "order_logs";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.domain.clone()
    }
}

impl Record for OwnAuthority {
    const KIND: Kind = Kind::Authority;
    const TREE: &'static str = "authority";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        AUTHORITY_KEY.into()
    }
}

impl Record for AcmeAccount {
    const KIND: Kind = Kind::Account;
    const TREE: &'static str = "acme_accounts";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::when(Told::ByPeople);
    first_version!();
    fn key(&self) -> String {
        self.directory.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn a_certificate_of_version_1_is_read() {
        let old = br#"{"host":"a.example.com","origin":"acme","state":"valid","chain_pem":"x","key":null,"issuer":"I","fingerprint":"f",
            "not_before":1,"not_after":2,"last_error":null,"failures":0,"next_try_at":3,"created_at":4,"updated_at":5}"#;
        let read: Certificate = decode(1, old).expect("it is read");
        assert_eq!(read.challenge, Some(types::ChallengeKind::Http));
        assert_eq!((read.next_try_at, read.renewal), (Some(types::Time(3)), None));
    }
}
