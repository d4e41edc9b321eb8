//! How servers are kept.

use crate::{Audited, Record, Told};
use types::{Kind, NodeRecord};

impl Record for NodeRecord {
    const KIND: Kind = Kind::Node;
    const TREE: &'static str = "nodes";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::when(Told::ByPeople);
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
}
