//! How apps are kept: a name is free again once its app is in the trash.

use crate::{Never, Record};
use types::{App, Kind};

impl Record for App {
    const KIND: Kind = Kind::App;
    const TREE: &'static str = "apps";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> App {
        match previous {}
    }
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        if self.trashed_at.is_some() {
            return Vec::new();
        }
        vec![format!("{}/{}", self.environment, self.name)]
    }
}
