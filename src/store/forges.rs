//! How connections to forges are kept, and what forges were told.

use crate::{Audited, Record};
use types::{ForgeConnection, ForgeReport, Kind};

impl Record for ForgeConnection {
    const KIND: Kind = Kind::ForgeConnection;
    const TREE: &'static str = "forges";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["account", "checked_at", "problem"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.name.to_lowercase())]
    }
}

impl Record for ForgeReport {
    const KIND: Kind = Kind::ForgeReport;
    const TREE: &'static str = "forge_reports";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.deployment.to_string()
    }
}
