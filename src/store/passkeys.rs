//! How passkeys are kept.

use crate::{Audited, Record};
use types::{Kind, Passkey};

impl Record for Passkey {
    const KIND: Kind = Kind::Passkey;
    const TREE: &'static str = "passkeys";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.credential_id.clone()]
    }
}
