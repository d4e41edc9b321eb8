//! How answers under an `Idempotency-Key` are kept.

use crate::{Audited, Never, Record};
use types::{Answer, Kind};

impl Record for Answer {
    const KIND: Kind = Kind::Answer;
    const TREE: &'static str = "answers";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    type Previous = Never;
    fn upgrade(previous: Never) -> Answer {
        match previous {}
    }
    fn key(&self) -> String {
        self.key.clone()
    }
}
