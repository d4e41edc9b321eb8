//! An engine on another machine, which builds for this one.

use crate::{Builder, Lines, build_disk::Makers, building, remote_disk::Taken};
use async_trait::async_trait;
use docker::{Dial, Docker, SshDial};
use egress::Egress;
use std::{collections::BTreeMap, pin::pin, sync::Arc};
use tokio::sync::mpsc;
use types::{BuildCache, BuildSpec, CacheRecord, EngineFacts, Image, PullPolicy, RegistryLogin, Result, SshEngine, report};

/// Lines of a build that are on their way to its log.
const HEARD: usize = 64;

/// The engine there, and the one here that gets its images. How it is reached is one [`Dial`] or another.
pub struct RemoteBuilder {
    there: Docker,
    here: Docker,
    /// The builds that run there.
    makers: Arc<Makers>,
    /// What a build may take of the disk there; `None`: that has no bound.
    most_bytes: Option<u64>,
}

impl RemoteBuilder {
    /// Nothing is sent yet.
    pub(crate) fn through(at: SshEngine, here: &Docker, makers: Arc<Makers>, most_bytes: Option<u64>) -> Result<RemoteBuilder> {
        RemoteBuilder::over(Arc::new(SshDial(at)), here, makers, most_bytes)
    }

    pub(crate) fn over(dial: Arc<dyn Dial>, here: &Docker, makers: Arc<Makers>, most_bytes: Option<u64>) -> Result<RemoteBuilder> {
        Ok(RemoteBuilder {
            there: here.beside(dial)?,
            here: here.clone(),
            makers,
            most_bytes,
        })
    }

    /// Builds it there, and ends it when it has taken too much of the disk there.
    async fn build_there(&self, spec: &BuildSpec, lines: &Lines) -> Result<Image> {
        let Some(most_bytes) = self.most_bytes else {
            return building::build(&self.there, spec, lines).await;
        };
        let taken = Taken::begin(&self.there, &self.makers, spec, most_bytes).await?;
        let (tell, said) = mpsc::channel(HEARD);
        let took_bytes = {
            let mut building = pin!(async {
                tokio::join!(
                    async { building::build(&self.there, spec, &{ tell }).await },
                    taken.listen(said, lines)
                )
                .0
            });
            tokio::select! {
                built = &mut building => return built,
                took_bytes = taken.exceeded() => took_bytes,
            }
        };
        // Its connection is closed now, so the engine there ends it.
        Err(taken.failure(spec, took_bytes).await)
    }
}

#[async_trait]
impl Builder for RemoteBuilder {
    async fn facts(&self) -> Result<EngineFacts> {
        self.there.about().await
    }
    async fn image_pull(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
        policy: PullPolicy,
        egress: &Egress,
        lines: &Lines,
    ) -> Result<Image> {
        self.there.image_pull(reference, login, policy, egress, lines).await
    }
    async fn image_labels(&self, reference: &str) -> Result<BTreeMap<String, String>> {
        self.there.image_labels(reference).await
    }
    async fn image_build(&self, spec: &BuildSpec, lines: &Lines) -> Result<Image> {
        // What a move that broke off has left; the app is deployed once at a time.
        self.there.images_forget(&spec.owner_app).await?;
        let built = self.build_there(spec, lines).await?;
        let image = self.here.image_bring(&self.there, &built, &spec.tag, lines).await?;
        // The next build begins with what the engine there keeps of this one anyway.
        if let Err(error) = self.there.image_remove(&spec.tag).await {
            tracing::warn!("removing {} where it was built: {}", spec.tag, report(&error));
        }
        Ok(image)
    }
    async fn build_cache(&self) -> Result<BuildCache> {
        self.there.build_cache().await
    }
    async fn build_cache_trim(&self, keep: u64) -> Result<u64> {
        self.there.build_cache_trim(keep).await
    }
    async fn build_cache_records(&self) -> Result<Vec<CacheRecord>> {
        self.there.build_cache_records().await
    }
    async fn build_cache_remove(&self, id: &str) -> Result<u64> {
        self.there.build_cache_remove(id).await
    }
}
