//! How deployments are kept: by app, so that one app's are next to each other; the id alone is a claim.

use crate::{Never, Record};
use types::{Deployment, Kind};

impl Record for Deployment {
    const KIND: Kind = Kind::Deployment;
    const TREE: &'static str = "deployments";
    const VERSION: u8 = 1;
    type Previous = Never;
    fn upgrade(previous: Never) -> Deployment {
        match previous {}
    }
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.id)
    }
    fn name(&self) -> String {
        self.id.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}
