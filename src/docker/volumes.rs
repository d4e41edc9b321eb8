//! Volumes: data that outlives containers. They are removed by name only, never swept up.

use crate::{
    connect::Docker,
    failures::{checked, is_missing, words},
};
use bollard::{models::VolumeCreateRequest, query_parameters::RemoveVolumeOptions};
use std::path::PathBuf;
use types::{Kind, Result};

impl Docker {
    /// Makes it; one with its name stays as it is.
    pub async fn volume_ensure(&self, name: &str, labels: &[(String, String)]) -> Result<()> {
        let request = VolumeCreateRequest {
            name: Some(checked(Kind::Volume, name)?.to_owned()),
            driver: Some("local".into()),
            labels: Some(labels.iter().cloned().collect()),
            ..Default::default()
        };
        self.client()
            .create_volume(request)
            .await
            .map(|_| ())
            .map_err(words(format!("making the volume `{name}`")))
    }

    pub async fn volume_exists(&self, name: &str) -> Result<bool> {
        Ok(self.volume_folder(name).await?.is_some())
    }

    /// Where its data lies on the engine's machine; `None` when there is no such volume.
    pub async fn volume_folder(&self, name: &str) -> Result<Option<PathBuf>> {
        match self.client().inspect_volume(checked(Kind::Volume, name)?).await {
            Ok(volume) => Ok(Some(volume.mountpoint.into())),
            Err(refusal) if is_missing(&refusal) => Ok(None),
            Err(refusal) => Err(words(format!("looking at the volume `{name}`"))(refusal)),
        }
    }

    /// Removes it and its data. Gone already is fine; `Busy` while a container has it.
    pub async fn volume_remove(&self, name: &str) -> Result<()> {
        let removed = self
            .client()
            .remove_volume(checked(Kind::Volume, name)?, None::<RemoveVolumeOptions>)
            .await;
        match removed {
            Err(refusal) if is_missing(&refusal) => Ok(()),
            Err(refusal) => Err(words(format!("removing the volume `{name}`"))(refusal)),
            Ok(()) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, World};
    use std::time::Duration;
    use types::{Error, MountSpec};

    #[tokio::test]
    async fn docker_volume_keeps_its_data() {
        let world = World::new("volume").await;
        let name = world.name.clone();
        world
            .docker
            .volume_ensure(&name, &[("serverkit.test".into(), "volume".into())])
            .await
            .expect("it is made");
        world.docker.volume_ensure(&name, &[]).await.expect("again is fine");
        assert!(world.docker.volume_exists(&name).await.expect("the engine answers"));

        let mut spec = world.spec("tests/http:latest");
        spec.mounts = vec![MountSpec {
            volume: name.clone(),
            path: "/data".into(),
            read_only: false,
        }];
        let id = world.docker.container_start(&spec).await.expect("it starts");
        testing::run(&world.docker, &id, &["sh", "-c", "echo kept >/data/file"]).await;
        let error = world.docker.volume_remove(&name).await.expect_err("it is in use");
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        world.docker.container_stop(&id, Duration::from_secs(5)).await.expect("it stops");
        world.docker.container_remove(&id).await.expect("it goes");
        assert!(
            world.docker.volume_exists(&name).await.expect("the engine answers"),
            "named volumes stay"
        );

        spec.mounts[0].read_only = true;
        let id = world.docker.container_start(&spec).await.expect("it starts");
        assert_eq!(testing::run(&world.docker, &id, &["cat", "/data/file"]).await, "kept\n");
        assert!(
            testing::run(&world.docker, &id, &["sh", "-c", "echo no >/data/file"])
                .await
                .contains("Read-only")
        );
        world.docker.container_remove(&id).await.expect("it goes");
        world.docker.volume_remove(&name).await.expect("it is free");
        world.docker.volume_remove(&name).await.expect("gone already is fine");
        assert!(!world.docker.volume_exists(&name).await.expect("the engine answers"));
    }
}
