//! How answers under an `Idempotency-Key` are kept.

use crate::{Audited, Record};
use types::{Answer, Kind};

impl Record for Answer {
    const KIND: Kind = Kind::Answer;
    const TREE: &'static str = "answers";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.key.clone()
    }
}
