//! Copies of volumes, through the engine's archives: it packs what one container sees and unpacks it into another. The containers are made
//! of any image that is here and never started, so the image needs no tools and nothing of it runs.

use crate::{
    connect::Docker,
    failures::{checked, words, words_or_missing},
    runs::Removed,
};
use bollard::{
    body_try_stream,
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
    query_parameters::{CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::{collections::HashMap, io, time::Duration};
use tokio::sync::mpsc;
use types::{Error, Kind, Result};

/// Whose copy it is.
const COPY: &str = "serverkit.copy";
/// Where both containers have their volume; no image has it.
const PLACE: &str = "/serverkit-copy";
/// The longest that one volume may take.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

impl Docker {
    /// Copies everything in the volume `from` into the volume `to`, with owners, rights, times and links; sparse files become full ones and
    /// of extended attributes only capabilities are kept. Nobody should write to either meanwhile. Answers the bytes of the archive.
    /// Dropping the future ends it. Source: Engine API, `GET` and `PUT /containers/{id}/archive`.
    pub async fn volume_copy(&self, from: &str, to: &str, image: &str) -> Result<u64> {
        // The engine would make a missing volume, empty.
        for volume in [from, to] {
            if !self.volume_exists(volume).await? {
                return Err(Error::not_found(Kind::Volume, volume));
            }
        }
        let source = self.carrier(from, "from", image).await?;
        let target = self.carrier(to, "to", image).await?;
        let copied = self.carried(source.id(), target.id()).await;
        source.now().await?;
        target.now().await?;
        copied.map_err(|error| Error::unavailable_by(format!("copying the volume `{from}`"), error))
    }

    /// A container that has a volume. One that a crash left is removed first.
    async fn carrier(&self, volume: &str, what: &str, image: &str) -> Result<Removed> {
        let name = format!("sk-copy-{what}-{volume}");
        self.container_remove(checked(Kind::Container, &name)?).await?;
        let body = ContainerCreateBody {
            image: Some(checked(Kind::Image, image)?.to_owned()),
            // Never run, but the engine wants one where the image has none.
            entrypoint: Some(vec!["/never".into()]),
            labels: Some(HashMap::from([(COPY.to_owned(), volume.to_owned())])),
            host_config: Some(HostConfig {
                network_mode: Some("none".into()),
                mounts: Some(vec![Mount {
                    typ: Some(MountType::VOLUME),
                    source: Some(volume.to_owned()),
                    target: Some(PLACE.into()),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let made = self.client().create_container(Some(options), body).await;
        let made = made.map_err(words_or_missing("making a container for a copy", Kind::Image, image))?;
        Ok(Removed::new(self, made.id))
    }

    async fn carried(&self, source: &str, target: &str) -> Result<u64> {
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(16);
        let (client, source) = (self.patient(PATIENCE), source.to_owned());
        let reading = async move {
            let options = DownloadFromContainerOptionsBuilder::default().path(PLACE).build();
            let mut packed = std::pin::pin!(client.download_from_container(&source, Some(options)));
            let mut bytes = 0;
            while let Some(piece) = packed.next().await {
                match piece {
                    Ok(piece) => {
                        bytes += piece.len() as u64;
                        if sender.send(Ok(piece)).await.is_err() {
                            break;
                        }
                    }
                    Err(refusal) => {
                        let _ = sender.send(Err(io::Error::other("the archive broke off"))).await;
                        return Err(words("packing a volume")(refusal));
                    }
                }
            }
            Ok(bytes)
        };
        let body = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let client = self.patient(PATIENCE);
        let writing = client.upload_to_container(target, Some(options), body_try_stream(body));
        let (bytes, written) = tokio::join!(reading, writing);
        // What went wrong with reading is why writing failed.
        let bytes = bytes?;
        written.map_err(words("unpacking a volume"))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{self, World};
    use types::{Error, MountSpec};

    #[tokio::test]
    async fn docker_a_volume_is_copied_whole() {
        let world = World::new("copy").await;
        let (one, two) = (world.name.clone(), format!("{}-2", world.name));
        for name in [&one, &two] {
            world.docker.volume_ensure(name, &[]).await.expect("it is made");
        }
        let spec = |volume: &str| {
            let mut spec = world.spec("tests/http:latest");
            spec.mounts = vec![MountSpec {
                volume: volume.to_owned(),
                path: "/data".into(),
                read_only: false,
            }];
            spec
        };
        let id = world.docker.container_start(&spec(&one)).await.expect("it starts");
        let fill = "cd /data && mkdir -p a/b && echo kept >a/b/file && chown 7:8 a/b/file && chmod 0640 a/b/file && ln -s b/file a/link \
            && chmod 0701 /data && head -c 3000000 /dev/urandom >large && md5sum <large >sum";
        testing::run(&world.docker, &id, &["sh", "-c", fill]).await;
        world.docker.container_remove(&id).await.expect("it goes");

        let bytes = world.docker.volume_copy(&one, &two, "tests/http:latest").await.expect("copied");
        assert!(bytes > 3_000_000, "{bytes}");
        let id = world.docker.container_start(&spec(&two)).await.expect("it starts");
        let look = "cd /data && cat a/link && stat -c '%u %g %a' a/b/file && stat -c %a . && md5sum <large | diff - sum && echo same";
        assert_eq!(
            testing::run(&world.docker, &id, &["sh", "-c", look]).await,
            "kept\n7 8 640\n701\nsame\n"
        );
        world.docker.container_remove(&id).await.expect("it goes");
        let missing = world.docker.volume_copy(&one, "serverkit-none", "tests/http:latest").await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        for name in [&one, &two] {
            world.docker.volume_remove(name).await.expect("no container of a copy is left");
        }
    }
}
