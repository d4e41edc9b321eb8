//! How freeze windows are kept.

use crate::Record;
use types::{Freeze, Kind};

impl Record for Freeze {
    const KIND: Kind = Kind::Freeze;
    const TREE: &'static str = "freezes";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
}
