//! How networks are kept: one for an environment and one for each app of several services, no subnet twice.

use crate::{Audited, Record};
use types::{Kind, Network};

impl Record for Network {
    const KIND: Kind = Kind::Network;
    const TREE: &'static str = "networks";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        match &self.app {
            Some(app) => app.to_string(),
            None => self.environment.to_string(),
        }
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.subnet.to_string()]
    }
}
