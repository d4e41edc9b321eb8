//! How events are kept: by id, so by time.

use crate::{Audited, Record, Told};
use types::{Event, Kind};

impl Record for Event {
    const KIND: Kind = Kind::Event;
    const TREE: &'static str = "events";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::when(Told::Events);
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
}
