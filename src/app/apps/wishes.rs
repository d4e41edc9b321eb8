//! What somebody wants an app to be: a new one, or another than it is.

use crate::variables::VariableChange;
use types::{
    AppName, BuildPlace, BuildWish, ContainerPath, DeployCommands, GitRef, GitUrl, HealthCheck, Host, ImageRef, Installed, Limits,
    ReleaseCanary, RepoPath, RepositoryPath, Secret, Slug,
};

/// What somebody wants to run.
#[derive(Debug, Clone)]
pub struct NewApp {
    pub name: AppName,
    /// Ids or names; the first ones where none are given.
    pub project: Option<String>,
    pub environment: Option<String>,
    pub source: NewSource,
    pub port: Option<u16>,
    pub command: Option<Vec<String>>,
    /// `None`: one under the apps' domain, if there is one.
    pub domains: Option<Vec<Host>>,
    pub limits: Limits,
    pub health: Option<HealthCheck>,
    pub commands: DeployCommands,
    pub mounts: Vec<MountWish>,
    pub variables: Vec<VariableChange>,
    pub grace_seconds: Option<u32>,
    pub deploy_timeout_seconds: Option<u32>,
    pub replicas: Option<u32>,
    /// Deploy at once.
    pub deploy: bool,
}

// There is one in a wish, so the room that an image leaves unused does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum NewSource {
    Git {
        /// Left out with `forge`.
        url: Option<GitUrl>,
        /// A repository at a connected forge, by whose id or name; in place of `url`, `user` and `password`.
        forge: Option<(String, RepositoryPath)>,
        branch: Option<GitRef>,
        folder: RepoPath,
        dockerfile: RepoPath,
        target: Option<String>,
        submodules: bool,
        /// `None` leaves it as it was.
        build: Option<BuildWish>,
        compose: Option<TreeWish>,
        user: Option<String>,
        password: Option<Secret>,
        /// Make a key for ssh.
        deploy_key: bool,
    },
    Image {
        reference: ImageRef,
    },
    Upload {
        folder: RepoPath,
        dockerfile: RepoPath,
        target: Option<String>,
        /// `None` leaves it as it was.
        build: Option<BuildWish>,
        compose: Option<TreeWish>,
    },
    Compose {
        text: Secret,
        profiles: Vec<String>,
        /// The service that domains lead to.
        main: Option<String>,
        /// From which template it is.
        template: Option<Box<Installed>>,
    },
}

/// Services from a Compose file of the source tree, in place of one image.
#[derive(Debug, Clone, Default)]
pub struct TreeWish {
    /// From the folder; `None`: the first of the usual names that is there.
    pub file: Option<RepoPath>,
    pub profiles: Vec<String>,
    /// The service that domains lead to.
    pub main: Option<String>,
    /// What may reach the host, in the words of a deployment that was refused; `None` leaves it as it was.
    pub host_allowed: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
pub struct MountWish {
    pub volume: VolumeName,
    pub path: ContainerPath,
    pub read_only: bool,
}

/// A volume by id, or by name: one that is missing is made.
#[derive(Debug, Clone)]
pub enum VolumeName {
    Id(types::VolumeId),
    Name(Slug),
}

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct AppChange {
    pub name: Option<AppName>,
    pub source: Option<NewSource>,
    pub port: Option<Option<u16>>,
    pub command: Option<Option<Vec<String>>>,
    pub limits: Option<Limits>,
    pub health: Option<HealthCheck>,
    pub before_deploy: Option<Option<String>>,
    pub after_deploy: Option<Option<String>>,
    pub before_stop: Option<Option<String>>,
    pub mounts: Option<Vec<MountWish>>,
    pub grace_seconds: Option<u32>,
    pub deploy_timeout_seconds: Option<u32>,
    pub canary: Option<Option<ReleaseCanary>>,
    pub keep_releases: Option<u32>,
    pub keep_release_days: Option<Option<u32>>,
    pub keep_release_bytes: Option<Option<u64>>,
    pub build_cache_bytes: Option<Option<u64>>,
    pub build_on: Option<Option<BuildPlace>>,
    pub restart_limit: Option<u32>,
    pub rollback_within_minutes: Option<u32>,
    /// At once, without a deployment.
    pub replicas: Option<u32>,
    /// When it is started and when it is stopped, and in which time zone.
    pub hours: Option<Option<(String, String, String)>>,
    pub sleep_after_minutes: Option<Option<u32>>,
}
