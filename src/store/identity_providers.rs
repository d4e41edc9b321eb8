//! How identity providers and those who are known there are kept.

use crate::{Audited, Record};
use types::{ExternalIdentity, IdentityProvider, Kind};

impl Record for IdentityProvider {
    const KIND: Kind = Kind::IdentityProvider;
    const TREE: &'static str = "identity_providers";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.name.to_lowercase())]
    }
}

impl Record for ExternalIdentity {
    const KIND: Kind = Kind::ExternalIdentity;
    const TREE: &'static str = "external_identities";
    const VERSION: u8 = 2;
    const AUDIT: Audited = Audited::NEVER;
    type Previous = v1::ExternalIdentity;
    fn upgrade(previous: v1::ExternalIdentity) -> ExternalIdentity {
        previous.0
    }
    fn key(&self) -> String {
        format!("{}/{}", self.provider, self.subject)
    }
    /// Nobody else can want it: it is how those of one person are next to each other.
    fn claims(&self) -> Vec<String> {
        vec![format!("user/{}/{}", self.user, self.key())]
    }
}

read_as_the_next! {
    /// Before those of one person were found by a claim.
    mod v1: ExternalIdentity, 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn an_external_identity_of_version_1_is_read() {
        let old = serde_json::json!({
            "provider": "idp_00000000000000000000000000", "subject": "cn=bob/x", "organization": "org_00000000000000000000000000",
            "user": "usr_00000000000000000000000000", "login": "bob", "created_at": 1, "last_used_at": 2, "checked_at": 3
        });
        let known: ExternalIdentity = decode(1, old.to_string().as_bytes()).expect("read");
        assert_eq!(
            (known.login.as_deref(), known.refresh.as_ref(), known.groups.len()),
            (Some("bob"), None, 0)
        );
        assert_eq!(
            known.claims(),
            ["user/usr_00000000000000000000000000/idp_00000000000000000000000000/cn=bob/x"]
        );
    }
}
