//! How DNS providers are kept.

use crate::Record;
use types::{DnsProvider, Kind};

impl Record for DnsProvider {
    const KIND: Kind = Kind::DnsProvider;
    const TREE: &'static str = "dns_providers";
    const VERSION: u8 = 1;
    first_version!();
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
