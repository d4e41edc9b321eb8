//! How the settings are kept: one record.

use crate::{Never, Record};
use types::{Kind, Settings};

/// The key of the one record of settings.
pub const SETTINGS_KEY: &str = "settings";

impl Record for Settings {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "settings";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> Settings {
        match previous {}
    }
    fn key(&self) -> String {
        SETTINGS_KEY.into()
    }
}
