//! How the options of the edge are kept: one record, or none for the defaults.

use crate::Record;
use types::{EdgeOptions, Kind};

/// The key of the one record.
pub const EDGE_OPTIONS_KEY: &str = "edge";

impl Record for EdgeOptions {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "edge_options";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        EDGE_OPTIONS_KEY.into()
    }
}
