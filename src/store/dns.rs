//! How DNS providers are kept.

use crate::{Never, Record};
use types::{DnsProvider, Kind};

impl Record for DnsProvider {
    const KIND: Kind = Kind::DnsProvider;
    const TREE: &'static str = "dns_providers";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> DnsProvider {
        match previous {}
    }
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.name)]
    }
}
