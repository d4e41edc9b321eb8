//! How events are kept: by id, so by time.

use crate::{Never, Record};
use types::{Event, Kind};

impl Record for Event {
    const KIND: Kind = Kind::Event;
    const TREE: &'static str = "events";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> Event {
        match previous {}
    }
    fn key(&self) -> String {
        self.id.to_string()
    }
}
