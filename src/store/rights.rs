//! How roles, teams, grants and memberships are kept.

use crate::Record;
use types::{CustomRole, Grant, Kind, Membership, Team};

impl Record for CustomRole {
    const KIND: Kind = Kind::Role;
    const TREE: &'static str = "roles";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.name)]
    }
}

impl Record for Team {
    const KIND: Kind = Kind::Team;
    const TREE: &'static str = "teams";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.name)]
    }
}

impl Record for Grant {
    const KIND: Kind = Kind::Grant;
    const TREE: &'static str = "grants";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    /// The same twice is one.
    fn claims(&self) -> Vec<String> {
        let what = serde_json::to_string(&(&self.to, &self.role, &self.spot)).unwrap_or_default();
        vec![format!("{}/{what}", self.organization)]
    }
}

impl Record for Membership {
    const KIND: Kind = Kind::Membership;
    const TREE: &'static str = "memberships";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.organization, self.user)
    }
}
