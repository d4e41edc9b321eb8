//! How clones of environments are kept.

use crate::{Audited, Record};
use types::{EnvironmentClone, Kind};

impl Record for EnvironmentClone {
    const KIND: Kind = Kind::EnvironmentClone;
    const TREE: &'static str = "clones";
    const VERSION: u8 = 1;
    // The records that it makes tell of themselves, and events of how it ended.
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        format!("{} from {}", self.name, self.from_name)
    }
}
