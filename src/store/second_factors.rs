//! How second factors, remembered browsers and the rules of getting in are kept.

use crate::{Audited, Record};
use types::{Device, Kind, SecondFactor, Security};

/// The key of the one record of rules.
pub const SECURITY_KEY: &str = "security";

impl Record for SecondFactor {
    const KIND: Kind = Kind::SecondFactor;
    const TREE: &'static str = "second_factors";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.user.to_string()
    }
}

impl Record for Device {
    const KIND: Kind = Kind::Device;
    const TREE: &'static str = "devices";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
}

impl Record for Security {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "security";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        SECURITY_KEY.into()
    }
}
