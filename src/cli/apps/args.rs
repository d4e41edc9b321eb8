//! Flags that say where an app comes from and how it runs.

use super::{nothing, some};
use crate::{
    ask,
    failure::{Failure, Result},
    spans,
};
use clap::Args;
use client::types::{HealthInput, HealthKind, LimitsInput, MountInput, SourceInput, SourceKind};
use serde_json::Value;
use std::path::PathBuf;

/// Where an app comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SourceArgs {
    /// A Git repository: https://, http://, ssh://, git@host:path, or a path on the panel's machine
    #[arg(long, value_name = "URL")]
    pub(super) git: Option<String>,
    /// A repository at a connected forge: OWNER/NAME; see `serverkit forge repositories`
    #[arg(long, value_name = "REPOSITORY")]
    pub(super) repository: Option<String>,
    /// A ready image, such as redis:7
    #[arg(long, value_name = "REF")]
    pub(super) image: Option<String>,
    /// A folder or an archive of this machine, which is uploaded
    #[arg(long, value_name = "PATH")]
    pub(super) from: Option<PathBuf>,
    /// Several services: a Compose file; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) compose: Option<PathBuf>,
}

/// How a Compose file is read.
#[derive(Debug, Args)]
#[group(skip)]
pub struct ComposeArgs {
    /// With --git or --from: its services are in a Compose file of the source, seen from the folder; without PATH in compose.yaml or what
    /// else is usual
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["image", "compose"])]
    pub(super) compose_file: Option<String>,
    /// Services of this profile run too; may be given several times
    #[arg(long = "profile", value_name = "NAME", conflicts_with = "image")]
    pub(super) profiles: Vec<String>,
    /// The service that domains lead to; without it the first one with a port
    #[arg(long = "main", value_name = "SERVICE", conflicts_with = "image")]
    pub(super) main_service: Option<String>,
    /// Let its services have this of the host, in the words of the deployment that was refused; administrators only; may be given several
    /// times
    #[arg(long = "allow-host", value_name = "WORDS", conflicts_with_all = ["image", "compose"])]
    pub(super) allow_host: Vec<String>,
}

/// How to get at a repository.
#[derive(Debug, Args)]
#[group(skip)]
pub struct GitArgs {
    /// The branch to deploy; without it the repository's default branch
    #[arg(long, short = 'b', conflicts_with = "image")]
    pub(super) branch: Option<String>,
    /// The folder that is the build context
    #[arg(long, value_name = "PATH", conflicts_with = "image")]
    pub(super) folder: Option<String>,
    /// The Dockerfile, seen from that folder
    #[arg(long, value_name = "PATH", conflicts_with = "image")]
    pub(super) dockerfile: Option<String>,
    /// The stage of the Dockerfile to build; without it the last
    #[arg(long, value_name = "STAGE", conflicts_with = "image")]
    pub(super) target: Option<String>,
    /// Fetch submodules too
    #[arg(long, conflicts_with = "image")]
    pub(super) submodules: bool,
    /// With --repository: name or id of the connection that it is at; without it the only one there is
    #[arg(long, value_name = "FORGE", conflicts_with = "image")]
    pub(super) forge: Option<String>,
    /// User name for a private repository over https
    #[arg(long, conflicts_with = "image")]
    pub(super) user: Option<String>,
    /// File with the password or access token for a private repository; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    pub(super) password_file: Option<PathBuf>,
    /// Make a key for a private repository over ssh; the answer shows its public half, to be given to the forge
    #[arg(long, conflicts_with = "image")]
    pub(super) deploy_key: bool,
}

/// How an app runs.
#[derive(Debug, Args)]
#[group(skip)]
pub struct RunArgs {
    /// The port it listens on; without it the first that the image exposes, else 8080, given to it as PORT
    #[arg(long, short = 'p', value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
    /// A volume: NAME:/path or NAME:/path:ro; made if it does not exist; may be given several times
    #[arg(long = "volume", short = 'v', value_name = "NAME:PATH", value_parser = mount)]
    pub(super) volumes: Vec<MountInput>,
    /// Memory it may use, such as 512m or 1.5g
    #[arg(long, value_parser = spans::memory)]
    pub(super) memory: Option<u64>,
    /// Cores it may use, such as 2 or 0.5
    #[arg(long, value_parser = spans::cores)]
    pub(super) cpus: Option<u32>,
    /// Processes and threads it may have
    #[arg(long, value_name = "COUNT")]
    pub(super) pids: Option<u32>,
    /// How to tell that it serves: auto (web for web frameworks, else tcp), tcp (the port answers), http:/path (2xx or 3xx),
    /// web:/path (below 500), running (it stays up)
    #[arg(long, value_name = "CHECK", value_parser = health)]
    health: Option<(HealthKind, Option<String>)>,
    /// How long it may take until it serves, such as 60s
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    pub(super) start_time: Option<u32>,
    /// How long it may take to stop before it is killed, such as 10s
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    pub(super) grace: Option<u32>,
    /// A deployment that takes longer fails, such as 30m
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    pub(super) deploy_timeout: Option<u32>,
    /// A command of a shell in the new image before it starts, such as "python manage.py migrate"; when it fails, so does the
    /// deployment; '' for none
    #[arg(long, value_name = "COMMAND")]
    pub(super) before_deploy: Option<String>,
    /// A command of a shell in the new image once it is live; '' for none
    #[arg(long, value_name = "COMMAND")]
    pub(super) after_deploy: Option<String>,
    /// A command of a shell in a container that is about to be stopped, for at most its grace period; '' for none
    #[arg(long, value_name = "COMMAND")]
    pub(super) before_stop: Option<String>,
    /// Containers at a time, between which requests are shared out
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(super) replicas: Option<u32>,
    /// One argument of the command to run in place of the image's own; given once for each argument
    #[arg(long = "command", value_name = "ARG", allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
}

impl ComposeArgs {
    pub(super) fn source(&self, file: &std::path::Path) -> Result<SourceInput> {
        Ok(SourceInput {
            compose: Some(ask::text_file(file)?),
            profiles: some(self.profiles.clone()),
            main_service: self.main_service.clone(),
            ..nothing(SourceKind::Compose)
        })
    }
    pub(super) fn is_empty(&self) -> bool {
        self.compose_file.is_none() && self.profiles.is_empty() && self.main_service.is_none() && self.allow_host.is_empty()
    }
    /// `source`, a repository or what is uploaded, with its services; `old` is what there is of them (the API's `TreeServices`).
    pub(super) fn applied_to(&self, source: SourceInput, old: &Value) -> Result<SourceInput> {
        let before = |key: &str| old[key].as_str().map(str::to_owned);
        let kept = (!old.is_null()).then(|| before("compose_file").unwrap_or_default());
        let Some(file) = self.compose_file.clone().or(kept) else {
            return match self.is_empty() {
                true => Ok(source),
                false => Err(Failure::usage(
                    "--profile, --main and --allow-host are for services: give --compose-file, or --compose",
                )),
            };
        };
        let profiles = match self.profiles.is_empty() {
            true => serde_json::from_value(old["profiles"].clone()).unwrap_or_default(),
            false => self.profiles.clone(),
        };
        let mut allowed: Vec<String> = serde_json::from_value(old["allow_host"].clone()).unwrap_or_default();
        allowed.extend(self.allow_host.iter().cloned());
        Ok(SourceInput {
            compose_file: Some(file),
            profiles: some(profiles),
            main_service: self.main_service.clone().or_else(|| before("main_service")),
            allow_host: some(allowed).filter(|_| !self.allow_host.is_empty()),
            ..source
        })
    }
}

impl GitArgs {
    pub(super) fn is_empty(&self) -> bool {
        let texts = [&self.branch, &self.folder, &self.dockerfile, &self.target, &self.user];
        texts.iter().all(|text| text.is_none()) && self.password_file.is_none() && !self.submodules && !self.deploy_key
    }
    /// Fails for what only a repository has.
    pub(super) fn fit_an_upload(&self) -> Result {
        if self.branch.is_some() || self.submodules || self.user.is_some() || self.password_file.is_some() || self.deploy_key {
            return Err(Failure::usage(
                "--branch, --submodules, --user, --password-file and --deploy-key are for repositories; leave them out with --from",
            ));
        }
        Ok(())
    }
    /// `source` with what was given.
    pub(super) fn applied_to(&self, source: SourceInput) -> Result<SourceInput> {
        let password = match &self.password_file {
            Some(path) => {
                let secret = ask::secret_file(path)?;
                let text = secret.expose_str().map(str::to_owned);
                Some(text.ok_or_else(|| Failure::usage(format!("{} is not text", path.display())))?)
            }
            None => None,
        };
        Ok(SourceInput {
            branch: self.branch.clone().or(source.branch),
            folder: self.folder.clone().or(source.folder),
            dockerfile: self.dockerfile.clone().or(source.dockerfile),
            target: self.target.clone().or(source.target),
            submodules: self.submodules.then_some(true).or(source.submodules),
            user: self.user.clone().or(source.user),
            password: password.or(source.password),
            deploy_key: self.deploy_key.then_some(true),
            ..source
        })
    }
}

impl RunArgs {
    pub(super) fn limits(&self) -> Option<LimitsInput> {
        let limits = LimitsInput {
            memory_bytes: self.memory,
            cpu_millis: self.cpus,
            pids: self.pids,
        };
        (self.memory.is_some() || self.cpus.is_some() || self.pids.is_some()).then_some(limits)
    }
    pub(super) fn health(&self) -> Option<HealthInput> {
        let (kind, path) = self.health.clone().map_or((None, None), |(kind, path)| (Some(kind), path));
        (kind.is_some() || self.start_time.is_some()).then_some(HealthInput {
            kind,
            path,
            interval_seconds: None,
            timeout_seconds: None,
            start_seconds: self.start_time,
        })
    }
}

/// `data:/var/lib/data` or `data:/var/lib/data:ro`
fn mount(text: &str) -> Result<MountInput, String> {
    let wrong = || format!("`{text}` is no volume; use NAME:/path or NAME:/path:ro");
    let (volume, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (path, read_only) = match rest.rsplit_once(':') {
        Some((path, "ro")) => (path, true),
        Some((path, "rw")) => (path, false),
        _ => (rest, false),
    };
    if volume.is_empty() || !path.starts_with('/') {
        return Err(wrong());
    }
    Ok(MountInput {
        volume: volume.to_owned(),
        path: path.to_owned(),
        read_only: Some(read_only),
    })
}

/// `auto`, `tcp`, `running`, `http`, `http:/path`, `web` or `web:/path`
fn health(text: &str) -> Result<(HealthKind, Option<String>), String> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("auto", "") => Ok((HealthKind::Auto, None)),
        ("web", "") => Ok((HealthKind::Web, Some("/".to_owned()))),
        ("web", path) if path.starts_with('/') => Ok((HealthKind::Web, Some(path.to_owned()))),
        ("tcp", "") => Ok((HealthKind::Tcp, None)),
        ("running", "") => Ok((HealthKind::Running, None)),
        ("http", "") => Ok((HealthKind::Http, Some("/".to_owned()))),
        ("http", path) if path.starts_with('/') => Ok((HealthKind::Http, Some(path.to_owned()))),
        _ => Err(format!(
            "`{text}` is no health check; use auto, tcp, http:/path, web:/path or running"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_as_people_type_them() {
        for (text, expected) in [
            ("data:/srv", Some(("data", "/srv", false))),
            ("data:/srv:ro", Some(("data", "/srv", true))),
            ("data:/srv:rw", Some(("data", "/srv", false))),
            ("data:/a:b", Some(("data", "/a:b", false))),
            ("data", None),
            ("data:srv", None),
            (":/srv", None),
            ("data::ro", None),
        ] {
            let read = mount(text).ok();
            let read = read
                .as_ref()
                .map(|mount| (mount.volume.as_str(), mount.path.as_str(), mount.read_only == Some(true)));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn health_checks_as_people_type_them() {
        assert_eq!(health("http:/up"), Ok((HealthKind::Http, Some("/up".into()))));
        assert_eq!(health("http"), Ok((HealthKind::Http, Some("/".into()))));
        assert_eq!(health("tcp"), Ok((HealthKind::Tcp, None)));
        assert_eq!(health("auto"), Ok((HealthKind::Auto, None)));
        assert_eq!(health("web:/up"), Ok((HealthKind::Web, Some("/up".into()))));
        for wrong in ["", "http:up", "tcp:80", "https:/up"] {
            assert!(health(wrong).is_err(), "{wrong}");
        }
    }
}
