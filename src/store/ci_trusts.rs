//! How repositories whose CI may deploy an app are kept.

use crate::{Audited, Record};
use types::{CiTrust, Kind};

impl Record for CiTrust {
    const KIND: Kind = Kind::CiTrust;
    const TREE: &'static str = "ci_trusts";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["last_used_at", "used"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.id)
    }
    fn name(&self) -> String {
        self.repository.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}
