//! How invitations are kept.

use crate::Record;
use types::{Invitation, Kind};

impl Record for Invitation {
    const KIND: Kind = Kind::Invitation;
    const TREE: &'static str = "invitations";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.email.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.hash.clone(), format!("{}/{}", self.organization, self.email)]
    }
}
