//! An engine on another machine, which builds for this one.

use crate::{Builder, Lines, building};
use async_trait::async_trait;
use docker::{Dial, Docker, SshDial};
use egress::Egress;
use std::{collections::BTreeMap, sync::Arc};
use types::{BuildCache, BuildSpec, CacheRecord, EngineFacts, Image, PullPolicy, RegistryLogin, Result, SshEngine, report};

/// The engine there, and the one here that gets its images. How it is reached is one [`Dial`] or another.
pub struct RemoteBuilder {
    there: Docker,
    here: Docker,
}

impl RemoteBuilder {
    /// Nothing is sent yet.
    pub fn through(at: SshEngine, here: &Docker) -> Result<RemoteBuilder> {
        RemoteBuilder::over(Arc::new(SshDial(at)), here)
    }

    pub fn over(dial: Arc<dyn Dial>, here: &Docker) -> Result<RemoteBuilder> {
        let (there, here) = (here.beside(dial)?, here.clone());
        Ok(RemoteBuilder { there, here })
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
        let built = building::build(&self.there, spec, lines).await?;
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
