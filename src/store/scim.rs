//! How people and groups of SCIM are kept.

use crate::{Audited, Record};
use types::{Kind, Provisioning, ScimGroup, ScimUser};

impl Record for Provisioning {
    const KIND: Kind = Kind::Provisioning;
    const TREE: &'static str = "provisionings";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["last_used_at"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.provider.to_string()
    }
    fn name(&self) -> String {
        self.hint.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.hash.clone()]
    }
}

impl Record for ScimUser {
    const KIND: Kind = Kind::ScimUser;
    const TREE: &'static str = "scim_users";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.provider, self.user)
    }
    fn name(&self) -> String {
        self.profile.user_name.clone()
    }
    fn claims(&self) -> Vec<String> {
        // An account belongs to one provider at most; the name of whom it took away is free again.
        let mut claims = vec![format!("user/{}", self.user)];
        if !self.gone {
            claims.push(format!("{}/{}", self.provider, self.profile.user_name.to_lowercase()));
        }
        claims
    }
}

impl Record for ScimGroup {
    const KIND: Kind = Kind::ScimGroup;
    const TREE: &'static str = "scim_groups";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.provider, self.id)
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.provider, self.name.to_lowercase())]
    }
}
