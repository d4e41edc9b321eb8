//! How invitations are kept.

use crate::{Audited, Record};
use types::{Invitation, Kind};

impl Record for Invitation {
    const KIND: Kind = Kind::Invitation;
    const TREE: &'static str = "invitations";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["mailed_hash", "mailed_at"],
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
        let mut claims = vec![self.hash.clone(), format!("{}/{}", self.organization, self.email)];
        claims.extend(self.mailed_hash.clone());
        claims
    }
}
