//! How volumes are kept.

use crate::{Never, Record};
use types::{Kind, Volume};

impl Record for Volume {
    const KIND: Kind = Kind::Volume;
    const TREE: &'static str = "volumes";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> Volume {
        match previous {}
    }
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.environment, self.name)]
    }
}
