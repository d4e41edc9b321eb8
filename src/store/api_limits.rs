//! How the limits of the panel's own API are kept: one record, or none for the defaults.

use crate::Record;
use types::{ApiLimits, Kind};

/// The key of the one record.
pub const API_LIMITS_KEY: &str = "api";

impl Record for ApiLimits {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "api_limits";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        API_LIMITS_KEY.into()
    }
}
