//! How it is kept from where people sign in.

use crate::{Audited, Record};
use types::{Kind, KnownCountries};

impl Record for KnownCountries {
    const KIND: Kind = Kind::Device;
    const TREE: &'static str = "known_countries";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.user.to_string()
    }
}
