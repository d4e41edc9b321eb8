//! How quotas and what is metered under them are kept.

use crate::{Audited, Record};
use types::{Kind, Meter, Quota};

/// By project, else by organization.
impl Record for Quota {
    const KIND: Kind = Kind::Quota;
    const TREE: &'static str = "quotas";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["changed_at", "by"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        Quota::key(self)
    }
}

/// By organization.
impl Record for Meter {
    const KIND: Kind = Kind::Quota;
    const TREE: &'static str = "meters";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.organization.to_string()
    }
}
