//! How organizations, projects and environments are kept.

use crate::Record;
use types::{Environment, Kind, Organization, Project};

impl Record for Organization {
    const KIND: Kind = Kind::Organization;
    const TREE: &'static str = "organizations";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.name.to_string()]
    }
}

impl Record for Project {
    const KIND: Kind = Kind::Project;
    const TREE: &'static str = "projects";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.name)]
    }
}

impl Record for Environment {
    const KIND: Kind = Kind::Environment;
    const TREE: &'static str = "environments";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.project, self.name)]
    }
}
