//! How networks are kept: one for an environment, one for each app of several services, and those of its file; no subnet twice.

use crate::{Audited, Record};
use types::{Kind, Network};

impl Record for Network {
    const KIND: Kind = Kind::Network;
    const TREE: &'static str = "networks";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        match (&self.app, &self.segment) {
            (None, _) => self.environment.to_string(),
            (Some(app), None) => app.to_string(),
            // No name of a network has a `/`.
            (Some(app), Some(segment)) if segment.internal => format!("{app}/{}/internal", segment.name),
            (Some(app), Some(segment)) => format!("{app}/{}", segment.name),
        }
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.subnet.to_string()]
    }
}
