//! How build servers are kept. What was seen of one changes all the time, which nobody did.

use crate::{Audited, Record};
use types::{BuildServer, Kind};

impl Record for BuildServer {
    const KIND: Kind = Kind::BuildServer;
    const TREE: &'static str = "build_servers";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["seen"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.name.to_string()]
    }
}
