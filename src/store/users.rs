//! How people, and what lets them in, are kept.

use crate::{Audited, Record};
use types::{ApiToken, Kind, Scopes, Session, SetupLink, User};

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
    const VERSION: u8 = 2;
    const AUDIT: Audited = Audited {
        quiet: &["last_used_at", "last_used_address"],
        ..Audited::ALWAYS
    };
    type Previous = v1::ApiToken;
    fn upgrade(previous: v1::ApiToken) -> ApiToken {
        ApiToken {
            id: previous.id,
            organization: previous.organization,
            user: previous.user,
            name: previous.name,
            hash: previous.hash,
            hint: previous.hint,
            scopes: Scopes::up_to(previous.scope),
            spots: None,
            networks: Vec::new(),
            created_at: previous.created_at,
            expires_at: previous.expires_at,
            last_used_at: previous.last_used_at,
            last_used_address: None,
            replaced: None,
        }
    }
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        let replaced = self.replaced.iter().map(|replaced| replaced.hash.clone());
        std::iter::once(self.hash.clone()).chain(replaced).collect()
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

mod v1 {
    //! When a token had one scope of four, and reached everything.
    use super::{Kind, Record};
    use serde::{Deserialize, Serialize};
    use types::{OrganizationId, Scope, Time, TokenId, UserId};

    #[derive(Clone, PartialEq, Serialize, Deserialize)]
    pub struct ApiToken {
        pub id: TokenId,
        pub organization: OrganizationId,
        pub user: UserId,
        pub name: String,
        pub hash: String,
        pub hint: String,
        pub scope: Scope,
        pub created_at: Time,
        pub expires_at: Option<Time>,
        pub last_used_at: Option<Time>,
    }

    impl Record for ApiToken {
        const KIND: Kind = Kind::Token;
        const TREE: &'static str = "tokens";
        const VERSION: u8 = 1;
        first_version!();
        fn key(&self) -> String {
            self.id.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use types::Scope;

    #[test]
    fn tokens_of_before_keep_what_they_could() {
        let old = br#"{"id":"tok_00000000000000000000000000","organization":"org_00000000000000000000000000",
            "user":"usr_00000000000000000000000000","name":"ci","hash":"ab","hint":"sk_a","scope":"write","created_at":1,
            "expires_at":null,"last_used_at":5}"#;
        let token: ApiToken = crate::record::decode(1, old).unwrap();
        assert_eq!(token.scopes, Scopes::up_to(Scope::Write));
        assert!(!token.scopes.is_bound() && token.scopes.has(Scope::Terminal, None) && !token.scopes.has(Scope::Admin, None));
        assert_eq!((token.spots, token.networks.len(), token.replaced), (None, 0, None));
    }
}
