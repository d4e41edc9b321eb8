//! How ports that are passed on are kept: a port belongs to one app.

use crate::{Never, Record};
use types::{Kind, Stream};

impl Record for Stream {
    const KIND: Kind = Kind::Stream;
    const TREE: &'static str = "streams";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> Stream {
        match previous {}
    }
    fn key(&self) -> String {
        self.listen.to_string()
    }
}
