//! How certificates, the own authority and ACME accounts are kept.

use crate::{Never, Record};
use types::{AcmeAccount, Certificate, Kind, OwnAuthority};

/// The key of the one own authority.
pub const AUTHORITY_KEY: &str = "authority";

impl Record for Certificate {
    const KIND: Kind = Kind::Certificate;
    const TREE: &'static str = "certificates";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> Certificate {
        match previous {}
    }
    fn key(&self) -> String {
        self.host.to_string()
    }
}

impl Record for OwnAuthority {
    const KIND: Kind = Kind::Authority;
    const TREE: &'static str = "authority";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> OwnAuthority {
        match previous {}
    }
    fn key(&self) -> String {
        AUTHORITY_KEY.into()
    }
}

impl Record for AcmeAccount {
    const KIND: Kind = Kind::Account;
    const TREE: &'static str = "acme_accounts";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> AcmeAccount {
        match previous {}
    }
    fn key(&self) -> String {
        self.directory.clone()
    }
}
