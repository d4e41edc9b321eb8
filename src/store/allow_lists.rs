//! How the lists of who may reach the panel are kept: one record, or none for everybody.

use crate::Record;
use types::{AllowLists, Kind};

/// The key of the one record.
pub const ALLOW_LISTS_KEY: &str = "allow";

impl Record for AllowLists {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "allow_lists";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        ALLOW_LISTS_KEY.into()
    }
}
