//! How volumes are kept.

use crate::Record;
use types::{Kind, Volume};

impl Record for Volume {
    const KIND: Kind = Kind::Volume;
    const TREE: &'static str = "volumes";
    const VERSION: u8 = 1;
    first_version!();
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
