//! The client, and whether the engine answers.

use crate::{
    failures,
    stats::Samples,
    transport::{Address, PATIENCE, Transport},
};
use bollard::{API_DEFAULT_VERSION, BollardRequest};
use std::{io, path::Path, sync::Arc, time::Duration};
use types::{EngineStatus, Result, World};

/// Silence that counts when the only question is whether it answers.
const STATUS_PATIENCE: Duration = Duration::from_secs(3);

/// One engine. Clones share everything.
#[derive(Clone)]
pub struct Docker {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub client: bollard::Docker,
    pub transport: Arc<Transport>,
    pub world: World,
    pub samples: Samples,
    /// Looking at the networks and adding one is a single step.
    pub networks: tokio::sync::Mutex<()>,
}

impl Docker {
    /// The engine that `DOCKER_HOST` names, or the one of this machine. Nothing is sent yet.
    /// Fails with `Invalid` when `DOCKER_HOST` makes no sense.
    pub fn connect(world: World) -> Result<Docker> {
        Docker::at(std::env::var("DOCKER_HOST").ok().as_deref(), world)
    }

    /// The engine at `unix:///path` or `tcp://host:port`.
    pub fn at(host: Option<&str>, world: World) -> Result<Docker> {
        let transport = Arc::new(Transport::new(Address::parse(host)?));
        let sender = Arc::clone(&transport);
        let send = move |request: BollardRequest| {
            let sender = Arc::clone(&sender);
            async move { sender.send(request).await }
        };
        let client = bollard::Docker::connect_with_custom_transport(send, Some("http://engine"), PATIENCE.as_secs(), API_DEFAULT_VERSION)
            .map_err(failures::words("setting up the Docker client"))?;
        let inner = Inner {
            client,
            transport,
            world,
            samples: Samples::default(),
            networks: tokio::sync::Mutex::new(()),
        };
        Ok(Docker { inner: Arc::new(inner) })
    }

    pub(crate) fn client(&self) -> &bollard::Docker {
        &self.inner.client
    }

    /// For calls that rightly take long.
    pub(crate) fn patient(&self, patience: Duration) -> bollard::Docker {
        self.inner.client.clone().with_timeout(patience)
    }

    /// Asks the engine; waits 3 s at most.
    pub async fn status(&self) -> EngineStatus {
        match self.patient(STATUS_PATIENCE).version().await {
            Ok(version) => EngineStatus::Up {
                version: version.version.unwrap_or_default(),
                api_version: version.api_version.unwrap_or_default(),
            },
            Err(bollard::errors::Error::IOError { err }) => self.down(&err),
            Err(bollard::errors::Error::RequestTimeoutError) => EngineStatus::Down {
                why: "the Docker engine does not answer".into(),
                fix: "systemctl restart docker".into(),
            },
            Err(refusal) => EngineStatus::Down {
                why: types::report(&failures::words("asking the Docker engine for its version")(refusal)),
                fix: "journalctl -u docker --since -10min".into(),
            },
        }
    }

    fn down(&self, cause: &io::Error) -> EngineStatus {
        let (why, fix) = match (&self.inner.transport.address, cause.kind()) {
            (Address::Unix(path), io::ErrorKind::PermissionDenied) => (
                format!("no permission to use the Docker engine's socket {}", path.display()),
                "usermod -aG docker USER, then sign in again; or run serverkit as root".to_owned(),
            ),
            (Address::Unix(_), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => match is_installed() {
                true => (
                    "Docker is installed but not running".to_owned(),
                    "systemctl enable --now docker".to_owned(),
                ),
                false => (
                    "Docker is not installed".to_owned(),
                    "apt-get install -y docker.io, or see https://docs.docker.com/engine/install".to_owned(),
                ),
            },
            (Address::Unix(path), _) => (
                format!("the Docker engine's socket {} does not work: {cause}", path.display()),
                "systemctl restart docker".to_owned(),
            ),
            (Address::Tcp(address), _) => (
                format!("no Docker engine answers at {address}: {cause}"),
                "start it, or set DOCKER_HOST to where it listens".to_owned(),
            ),
        };
        EngineStatus::Down { why, fix }
    }
}

fn is_installed() -> bool {
    [
        "/usr/bin/dockerd",
        "/usr/sbin/dockerd",
        "/usr/local/bin/dockerd",
        "/snap/bin/dockerd",
    ]
    .iter()
    .any(|path| Path::new(path).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::World;

    #[tokio::test]
    async fn a_missing_engine_says_what_to_do() {
        let docker = Docker::at(Some("unix:///nonexistent/docker.sock"), World::system()).expect("the address is right");
        let EngineStatus::Down { why, fix } = docker.status().await else {
            panic!("nothing listens there");
        };
        assert!(why.starts_with("Docker is"), "{why}");
        assert!(fix.contains("docker"), "{fix}");
        let error = docker.containers().await.expect_err("nothing listens there");
        assert_eq!(error.to_string(), "the Docker engine is not running");
    }

    #[tokio::test]
    async fn docker_status_names_the_version() {
        let EngineStatus::Up { version, api_version } = crate::testing::docker().status().await else {
            panic!("the tests need an engine");
        };
        assert!(!version.is_empty() && api_version.starts_with("1."), "{version} {api_version}");
    }
}
