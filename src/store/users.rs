//! How people, and what lets them in, are kept.

use crate::{Audited, Record};
use types::{ApiToken, Kind, Session, SetupLink, User};

/// The key of the one link with which a fresh panel is claimed.
pub const SETUP_KEY: &str = "setup";

impl Record for User {
    const KIND: Kind = Kind::User;
    const TREE: &'static str = "users";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["last_seen_at"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.email.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.email.to_string()]
    }
}

impl Record for Session {
    const KIND: Kind = Kind::Session;
    const TREE: &'static str = "sessions";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
}

impl Record for ApiToken {
    const KIND: Kind = Kind::Token;
    const TREE: &'static str = "tokens";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["last_used_at"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.hash.clone()]
    }
}

impl Record for SetupLink {
    const KIND: Kind = Kind::SetupLink;
    const TREE: &'static str = "setup";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        SETUP_KEY.into()
    }
}
