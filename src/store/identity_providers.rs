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
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.provider, self.subject)
    }
}
