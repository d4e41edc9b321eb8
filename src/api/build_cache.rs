//! What the engine keeps of builds.

use crate::{Panel, failures::Answer, signed::Signed, tags::Tag};
use poem_openapi::{Object, OpenApi, payload::Json};

/// What the engine keeps of builds, so that the next ones are quick.
#[derive(Debug, Object)]
pub struct BuildCache {
    /// Layers, cache mounts and sources.
    pub records: u64,
    pub bytes: u64,
    /// What is over goes once an hour, the longest unused first: `builds.cache_gib` in the configuration, else a tenth of the disk.
    pub limit_bytes: u64,
}

/// How much may stay.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct BuildCacheTrim {
    /// 0: nothing.
    pub keep_bytes: u64,
}

/// What it brought.
#[derive(Debug, Object)]
pub struct BuildCacheTrimmed {
    /// That came free.
    pub bytes: u64,
}

#[derive(Clone)]
pub(crate) struct BuildCacheApi(pub Panel);

#[OpenApi(tag = "Tag::Servers")]
impl BuildCacheApi {
    /// Show the build cache
    ///
    /// Needs the role admin.
    #[oai(path = "/build-cache", method = "get", operation_id = "build_cache_show")]
    async fn build_cache_show(&self, who: Signed) -> Answer<Json<BuildCache>> {
        let view = self.0.build_caches.show(&who.actor).await?;
        Ok(Json(BuildCache {
            records: view.cache.records,
            bytes: view.cache.bytes,
            limit_bytes: view.limit_bytes,
        }))
    }

    /// Trim the build cache
    ///
    /// What was not used for the longest time goes first, and nothing that a build uses just now. Without a cache the next build of
    /// an app begins anew. Needs the role admin.
    #[oai(path = "/build-cache/trim", method = "post", operation_id = "build_cache_trim")]
    async fn build_cache_trim(&self, who: Signed, body: Json<BuildCacheTrim>) -> Answer<Json<BuildCacheTrimmed>> {
        let bytes = self.0.build_caches.trim(&who.actor, body.0.keep_bytes).await?;
        Ok(Json(BuildCacheTrimmed { bytes }))
    }
}
