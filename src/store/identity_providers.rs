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
    const VERSION: u8 = 3;
    const AUDIT: Audited = Audited::NEVER;
    type Previous = v2::ExternalIdentity;
    fn upgrade(previous: v2::ExternalIdentity) -> ExternalIdentity {
        previous.0
    }
    fn key(&self) -> String {
        format!("{}/{}", self.provider, self.subject)
    }
    /// Nobody else can want one: they are how those of one person are next to each other, and those of one name in a directory.
    fn claims(&self) -> Vec<String> {
        let by_login = |login: &String| format!("login/{}/{}/{}", self.provider, login.to_lowercase(), self.subject);
        let mut claims = vec![format!("user/{}/{}", self.user, self.key())];
        claims.extend(self.login.as_ref().map(by_login));
        claims
    }
}

read_as_the_next! {
    /// Before those who sign in to a directory were found by their name.
    mod v2: ExternalIdentity, 2, after v1;
    /// Before those of one person were found by a claim.
    mod v1: ExternalIdentity, 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn external_identities_of_versions_1_and_2_are_read() {
        let old = serde_json::json!({
            "provider": "idp_00000000000000000000000000", "subject": "cn=bob/x", "organization": "org_00000000000000000000000000",
            "user": "usr_00000000000000000000000000", "login": "Bob", "created_at": 1, "last_used_at": 2, "checked_at": 3
        });
        for version in [1, 2] {
            let mut known: ExternalIdentity = decode(version, old.to_string().as_bytes()).expect("read");
            assert_eq!(
                (known.login.as_deref(), known.refresh.as_ref(), known.groups.len()),
                (Some("Bob"), None, 0)
            );
            let by_user = "user/usr_00000000000000000000000000/idp_00000000000000000000000000/cn=bob/x";
            assert_eq!(known.claims(), [by_user, "login/idp_00000000000000000000000000/bob/cn=bob/x"]);
            known.login = None;
            assert_eq!(known.claims(), [by_user]);
        }
    }
}
