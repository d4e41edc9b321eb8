//! What the engine keeps of builds.

use crate::{Panel, answers::moment, failures::Answer, signed::Signed, tags::Tag};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use time::OffsetDateTime;

/// What the engine keeps of builds, so that the next ones are quick.
#[derive(Debug, Object)]
pub struct BuildCache {
    /// Layers, cache mounts and sources.
    pub records: u64,
    pub bytes: u64,
    /// What is over goes once an hour, the longest unused first: `builds.cache_gib` in the configuration, else a tenth of the disk.
    pub limit_bytes: u64,
    /// What of it is whose, the largest first. Of the rest nobody can tell: base images, sources, copied files, and the steps of
    /// Dockerfiles that are somebody's own.
    pub apps: Vec<AppShare>,
}

/// What is one app's of the build cache.
#[derive(Debug, Object)]
pub struct AppShare {
    pub app: String,
    pub name: String,
    pub bytes: u64,
}

/// What the engine keeps of one app's builds, as far as it can be told: steps and cache mounts of Dockerfiles that serverkit wrote.
#[derive(Debug, Object)]
pub struct AppBuildCache {
    pub bytes: u64,
    /// What is over goes after each build and once an hour, the longest unused first; null: as much as all builds may.
    pub limit_bytes: Option<u64>,
    /// The largest first.
    pub records: Vec<CacheRecord>,
}

#[derive(Debug, Object)]
pub struct CacheRecord {
    /// The engine's.
    pub id: String,
    /// What it was made by, in the engine's words.
    pub what: String,
    /// 0 for what an image has anyway.
    pub bytes: u64,
    /// A build uses it just now.
    pub in_use: bool,
    /// Null: never since it was made.
    pub used_at: Option<OffsetDateTime>,
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

impl From<app::AppShare> for AppShare {
    fn from(share: app::AppShare) -> AppShare {
        AppShare {
            app: share.app.to_string(),
            name: share.name.to_string(),
            bytes: share.bytes,
        }
    }
}

impl From<types::CacheRecord> for CacheRecord {
    fn from(record: types::CacheRecord) -> CacheRecord {
        CacheRecord {
            id: record.id,
            what: record.what,
            bytes: record.bytes,
            in_use: record.in_use,
            used_at: record.used_at.map(moment),
        }
    }
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
            apps: view.apps.into_iter().map(AppShare::from).collect(),
        }))
    }

    /// Show an app's build cache
    #[oai(path = "/apps/:app/build-cache", method = "get", operation_id = "app_build_cache_show")]
    async fn app_build_cache_show(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<AppBuildCache>> {
        let view = self.0.build_caches.of_app(&who.actor, &app.0).await?;
        Ok(Json(AppBuildCache {
            bytes: view.bytes,
            limit_bytes: view.limit_bytes,
            records: view.records.into_iter().map(CacheRecord::from).collect(),
        }))
    }

    /// Trim an app's build cache
    ///
    /// What was not used for the longest time goes first, and nothing that a build uses just now.
    #[oai(path = "/apps/:app/build-cache/trim", method = "post", operation_id = "app_build_cache_trim")]
    async fn app_build_cache_trim(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<BuildCacheTrim>,
    ) -> Answer<Json<BuildCacheTrimmed>> {
        let bytes = self.0.build_caches.trim_app(&who.actor, &app.0, body.0.keep_bytes).await?;
        Ok(Json(BuildCacheTrimmed { bytes }))
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
