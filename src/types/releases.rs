//! A release: everything that a container of an app is made of, never changed once made; and what was around it when it was live last.

use crate::{
    App, AppId, Commit, ConfigFile, Container, Demand, DeploymentId, Domain, HealthCheck, Limits, Mount, OrganizationId, ReleaseId, Sealed,
    Stream, Time, UploadId, VariableKey, VolumeId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub organization: OrganizationId,
    pub app: AppId,
    /// The deployment that made it.
    pub deployment: DeploymentId,
    pub number: u64,
    /// The engine's id of the image (`sha256:…`).
    pub image: String,
    /// What people call it.
    pub image_name: String,
    /// By what its registry knows it, `name@sha256:…`: it can be fetched again by it. `None` for one that was built here.
    pub digest: Option<String>,
    pub commit: Option<Commit>,
    /// What it was built from, where that was uploaded; kept as long as the release.
    #[serde(default)]
    pub upload: Option<UploadId>,
    pub variables: Vec<ReleaseVariable>,
    pub variables_version: u64,
    pub port: u16,
    pub command: Option<Vec<String>>,
    pub mounts: Vec<Mount>,
    #[serde(default)]
    pub files: Vec<ConfigFile>,
    /// The hosts it was made live under.
    pub domains: Vec<String>,
    /// Its hosts with their rules and policies, for the way back: when it was made, and from when another one became live those of
    /// that moment. `None`: from before this was kept.
    #[serde(default)]
    pub routes: Option<Vec<Domain>>,
    /// Ports of the server that led to it, likewise.
    #[serde(default)]
    pub ports: Option<Vec<Stream>>,
    pub limits: Limits,
    pub health: HealthCheck,
    pub grace_seconds: u32,
    pub created_at: Time,
    /// Of its image, with what that shares with others.
    #[serde(default)]
    pub bytes: u64,
    /// It is kept until somebody says otherwise.
    #[serde(default)]
    pub pinned: bool,
    /// In how many containers it ran last, for the way back. `None`: from before this was kept, or it is a stack.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// Likewise. `None`: from before this was kept.
    #[serde(default)]
    pub upkeep: Option<Upkeep>,
    /// What runs, when it is more than one container.
    #[serde(default)]
    pub stack: Option<ReleaseStack>,
}

/// How its containers are kept and stopped. A change holds for what is live at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upkeep {
    /// [`crate::DeployCommands::before_stop`]
    pub before_stop: Option<String>,
    /// [`crate::App::restart_limit`]
    pub restart_limit: u32,
}

impl Upkeep {
    pub fn of(app: &App) -> Upkeep {
        Upkeep {
            before_stop: app.commands.before_stop.clone(),
            restart_limit: app.restart_limit,
        }
    }
}

/// The services of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStack {
    /// The [`crate::Stack`] as JSON, sealed: passwords are in it.
    pub sealed: Sealed,
    /// [`crate::ComposeSource::hash`] of the file it was made from; of one in a source tree, of which file it is.
    pub source: String,
    /// The service that the release's port is of.
    pub main: String,
    /// In the order in which they start.
    pub services: Vec<ReleaseService>,
    /// Which volume each of the file's is.
    pub volumes: BTreeMap<String, VolumeId>,
    /// What its services may use together. `None`: from before this was kept.
    #[serde(default)]
    pub demand: Option<Demand>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseService {
    pub name: String,
    /// The engine's id of the image, and what people call it.
    pub image: String,
    pub image_name: String,
    /// By what its registry knows it, as [`Release::digest`]. `None` also for one from before this was kept.
    #[serde(default)]
    pub digest: Option<String>,
    pub replicas: u32,
    /// Of everything that its containers are made of. A container with the same one is kept by the next release.
    pub hash: String,
    /// It ends when its work is done.
    pub once: bool,
    /// Why its old container stops before a new one starts. `None`: it need not, or it is from before this was kept.
    #[serde(default)]
    pub stops_first: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseVariable {
    pub key: VariableKey,
    pub value: Sealed,
    pub secret: bool,
}

impl Release {
    /// Whether this container is one of those that the release asks for. A service that did not change keeps the container
    /// that an earlier release made.
    pub fn owns(&self, container: &Container) -> bool {
        let owner = &container.owner;
        match (&self.stack, &owner.service) {
            (None, _) => owner.release == self.id,
            (Some(stack), Some(mark)) => {
                let own =
                    |service: &ReleaseService| service.name == mark.name && service.hash == mark.hash && mark.replica < service.replicas;
                owner.app == self.app && stack.services.iter().any(own)
            }
            (Some(_), None) => false,
        }
    }

    /// Whether this is one of the containers that are wanted when the app has so many.
    pub fn wants(&self, container: &Container, replicas: u32) -> bool {
        self.owns(container) && (self.stack.is_some() || container.owner.replica < self.room_for(replicas))
    }

    /// Of so many that the app should have, how many there may be of this release: two must not write to one volume.
    pub fn room_for(&self, wanted: u32) -> u32 {
        match self.mounts.iter().any(|mount| !mount.read_only) {
            true => 1,
            false => wanted,
        }
    }

    /// What its containers may use together, when it runs in so many.
    pub fn demand(&self, replicas: u32) -> Demand {
        match &self.stack {
            Some(stack) => stack.demand.unwrap_or_default(),
            None => Demand::of(&self.limits, self.room_for(replicas)),
        }
    }

    /// Whether domains lead to this container.
    pub fn serves_with(&self, container: &Container) -> bool {
        let is_main = match (&self.stack, &container.owner.service) {
            (Some(stack), Some(mark)) => mark.name == stack.main,
            _ => true,
        };
        is_main && self.owns(container)
    }

    /// Its images, without doubles.
    pub fn images(&self) -> Vec<(&str, &str)> {
        match &self.stack {
            None => vec![(&self.image, &self.image_name)],
            Some(stack) => {
                let mut images: Vec<_> = stack
                    .services
                    .iter()
                    .map(|one| (one.image.as_str(), one.image_name.as_str()))
                    .collect();
                images.sort_unstable();
                images.dedup();
                images
            }
        }
    }
}
