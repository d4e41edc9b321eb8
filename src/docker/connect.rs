//! The client, and whether the engine answers.

use crate::{
    dial::Dial,
    failures,
    stats::Samples,
    transport::{Address, PATIENCE, Transport},
};
use bollard::{API_DEFAULT_VERSION, BollardRequest};
use std::{io, sync::Arc, time::Duration};
use types::{EngineFacts, EngineStatus, Result, World};

/// Silence that counts when the only question is whether it answers.
const STATUS_PATIENCE: Duration = Duration::from_secs(3);

/// The same for an engine that may be far away, and measures itself before it answers.
const ABOUT_PATIENCE: Duration = Duration::from_secs(20);

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
        Docker::over(Arc::new(Address::parse(host)?), world)
    }

    /// The engine at the other end of `dial`. Nothing is sent yet.
    pub fn over(dial: Arc<dyn Dial>, world: World) -> Result<Docker> {
        let transport = Arc::new(Transport::new(dial));
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

    /// Another engine, in the same world.
    pub fn beside(&self, dial: Arc<dyn Dial>) -> Result<Docker> {
        Docker::over(dial, self.inner.world.clone())
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

    /// What it says of itself and of its machine. Source: Engine API, `GET /version` and `GET /info`.
    pub async fn about(&self) -> Result<EngineFacts> {
        let client = self.patient(ABOUT_PATIENCE);
        let version = client
            .version()
            .await
            .map_err(failures::words("asking the Docker engine for its version"))?;
        let info = client
            .info()
            .await
            .map_err(failures::words("asking the Docker engine about its machine"))?;
        let positive = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        Ok(EngineFacts {
            // Older engines of one machine, and of machines that were copied, have the same one.
            id: [info.id, info.name, info.docker_root_dir].map(Option::unwrap_or_default).join(" "),
            version: version.version.unwrap_or_default(),
            os: version.os.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            cpus: positive(info.ncpu),
            memory_bytes: positive(info.mem_total),
        })
    }

    fn down(&self, cause: &io::Error) -> EngineStatus {
        let (why, fix) = self.inner.transport.dial.trouble(cause);
        EngineStatus::Down { why, fix }
    }
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
