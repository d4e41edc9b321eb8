//! How ports that are passed on are kept: a port belongs to one app.

use crate::Record;
use types::{Kind, Stream};

impl Record for Stream {
    const KIND: Kind = Kind::Stream;
    const TREE: &'static str = "streams";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.listen.to_string()
    }
}
