//! How logins at registries are kept.

use crate::Record;
use types::{Kind, Registry};

impl Record for Registry {
    const KIND: Kind = Kind::Registry;
    const TREE: &'static str = "registries";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.server.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.server)]
    }
}
