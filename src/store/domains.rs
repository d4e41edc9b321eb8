//! How domains are kept: a host belongs to one app in the whole panel.

use crate::{Never, Record};
use types::{Domain, Kind};

impl Record for Domain {
    const KIND: Kind = Kind::Domain;
    const TREE: &'static str = "domains";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> Domain {
        match previous {}
    }
    fn key(&self) -> String {
        self.host.to_string()
    }
}
