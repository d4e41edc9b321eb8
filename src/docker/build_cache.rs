//! What the engine keeps of builds, and keeping it within a budget.

use crate::{connect::Docker, failures::words};
use bollard::{BollardRequest, body_full};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde::{Deserialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{AppId, BuildCache, CacheRecord, Error, Result, Time};

/// `GET /system/df`: the list itself up to 1.51 of the Engine API, later in an object of its own.
#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "BuildCache")]
    list: Option<Vec<Kept>>,
    #[serde(rename = "BuildCacheUsage")]
    usage: Option<Sum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sum {
    total_count: Option<u64>,
    total_size: Option<u64>,
    items: Option<Vec<Kept>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    in_use: bool,
    created_at: Option<String>,
    last_used_at: Option<String>,
    size: Option<u64>,
    /// An image has it too, so that it takes nothing of its own.
    #[serde(default)]
    shared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    docker_root_dir: Option<String>,
    /// Names and values.
    driver_status: Option<Vec<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    space_reclaimed: Option<u64>,
}

impl Docker {
    /// How much the engine keeps of builds, without what images hold anyway. Takes seconds where there are many images: older engines measure these too.
    pub async fn build_cache(&self) -> Result<BuildCache> {
        let usage: Usage = self
            .ask(Method::GET, "/system/df?type=build-cache", "measuring the build cache")
            .await?;
        Ok(measured(usage))
    }

    /// Has the engine throw away what was not used for the longest time, until `keep` bytes are left; nothing that a build uses
    /// just now. Answers the bytes that came free.
    pub async fn build_cache_trim(&self, keep: u64) -> Result<u64> {
        // One name up to 1.47 of the Engine API, two since. bollard knows the newer ones only, and an engine that knew
        // neither would keep nothing.
        let path = format!("/build/prune?all=true&keep-storage={keep}&reserved-space={keep}&max-used-space={keep}");
        let pruned: Pruned = self.ask(Method::POST, &path, "cutting the build cache").await?;
        Ok(pruned.space_reclaimed.unwrap_or(0))
    }

    /// Folders of this machine in which the engine keeps images and builds; empty when it is on another one. They may be
    /// out of this process's sight.
    pub async fn data_folders(&self) -> Result<Vec<PathBuf>> {
        if !self.inner.transport.dial.is_local() {
            return Ok(Vec::new());
        }
        let doing = "asking the Docker engine where it keeps images";
        let info: Info = self.ask(Method::GET, "/info", doing).await?;
        let mut folders: Vec<PathBuf> = info.docker_root_dir.into_iter().map(PathBuf::from).collect();
        let containerd = Path::new("/var/lib/containerd");
        // Such engines keep them in containerd's own store.
        if info
            .driver_status
            .iter()
            .flatten()
            .any(|words| words.iter().any(|word| word.contains("snapshotter")))
            && containerd.exists()
        {
            folders.push(containerd.to_owned());
        }
        Ok(folders)
    }

    /// Each thing that the engine keeps of builds.
    pub async fn build_cache_records(&self) -> Result<Vec<CacheRecord>> {
        // Newer engines list them only when asked to be verbose; older ones do not know the word.
        let usage: Usage = self
            .ask(Method::GET, "/system/df?type=build-cache&verbose=1", "listing the build cache")
            .await?;
        let list = usage.usage.and_then(|sum| sum.items).or(usage.list);
        Ok(list.unwrap_or_default().into_iter().map(record).collect())
    }

    /// Has the engine throw away one of these, unless a build uses it. Answers the bytes that came free.
    pub async fn build_cache_remove(&self, id: &str) -> Result<u64> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::invalid("id", "is no id of the build cache"));
        }
        let path = format!("/build/prune?all=true&filters=%7B%22id%22%3A%5B%22{id}%22%5D%7D");
        let pruned: Pruned = self.ask(Method::POST, &path, "cutting the build cache").await?;
        Ok(pruned.space_reclaimed.unwrap_or(0))
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, doing: &str) -> Result<T> {
        let request: BollardRequest = Request::builder()
            .method(method)
            .uri(format!("http://engine{path}"))
            .body(body_full(Bytes::new()))
            .expect("the parts are literals and numbers");
        let answer = self.inner.transport.call(request).await.map_err(words(doing))?;
        let strange =
            |error: &dyn std::fmt::Display| Error::unavailable(format!("{doing}: the engine's answer is not understood: {error}"));
        let body = answer.into_body().collect().await.map_err(|error| strange(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| strange(&error))
    }
}

fn record(kept: Kept) -> CacheRecord {
    let time = |text: Option<String>| Some(Time::from_utc(OffsetDateTime::parse(&text?, &Rfc3339).ok()?));
    CacheRecord {
        app: owner(&kept.description),
        id: kept.id,
        what: kept.description,
        bytes: if kept.shared { 0 } else { kept.size.unwrap_or(0) },
        in_use: kept.in_use,
        made_at: time(kept.created_at),
        used_at: time(kept.last_used_at),
    }
}

/// The app that a step's mark or the id of its cache mount names; the last one, which is the mark.
fn owner(description: &str) -> Option<AppId> {
    let starts: Vec<usize> = description.match_indices("app_").map(|(start, _)| start).collect();
    starts.into_iter().rev().find_map(|start| {
        let rest = &description[start..];
        let end = rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

fn measured(usage: Usage) -> BuildCache {
    if let Some(sum) = usage.usage {
        return BuildCache {
            records: sum.total_count.unwrap_or(0),
            bytes: sum.total_size.unwrap_or(0),
        };
    }
    let list = usage.list.unwrap_or_default();
    BuildCache {
        records: list.len() as u64,
        bytes: list.iter().filter(|kept| !kept.shared).filter_map(|kept| kept.size).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn old_and_new_answers_are_read() {
        let old: Usage =
            serde_json::from_str(r#"{"Images":[],"BuildCache":[{"ID":"a","Size":5},{"ID":"b","Shared":true,"Size":7},{"ID":"c"}]}"#)
                .expect("it is read");
        assert_eq!(measured(old), BuildCache { records: 3, bytes: 5 });
        let new: Usage =
            serde_json::from_str(r#"{"BuildCacheUsage":{"TotalCount":4,"ActiveCount":0,"TotalSize":1234}}"#).expect("it is read");
        assert_eq!(measured(new), BuildCache { records: 4, bytes: 1234 });
    }

    #[test]
    fn what_is_kept_says_whose_it_is() {
        let app: AppId = types::World::system().id();
        for (description, expected) in [
            (format!("mount / from exec /bin/sh -c npm ci # {app}"), Some(&app)),
            (
                format!("cached mount /root/.npm from exec /bin/sh -c npm ci with id \"/{app}-/root/.npm\""),
                Some(&app),
            ),
            ("mount / from exec /bin/sh -c flask --app app_main run".to_owned(), None),
            ("pulled from docker.io/library/node:20".to_owned(), None),
        ] {
            assert_eq!(owner(&description).as_ref(), expected, "{description}");
        }
        let kept = r#"{"ID":"a1","Description":"x","InUse":true,"Size":5,"CreatedAt":"2026-11-21T21:50:12Z","LastUsedAt":"2026-11-21T21:50:13.275722199Z"}"#;
        let kept = record(serde_json::from_str(kept).expect("it is read"));
        assert_eq!((kept.id.as_str(), kept.bytes, kept.in_use), ("a1", 5, true));
        assert!(kept.made_at.is_some() && kept.made_at < kept.used_at, "{kept:?}");
    }

    #[tokio::test]
    async fn docker_build_cache_is_measured() {
        let docker = testing::docker();
        let before = docker.build_cache().await.expect("the engine answers");
        // More than there can be: nothing goes, whoever builds beside this test.
        assert_eq!(docker.build_cache_trim(1 << 60).await.expect("the engine answers"), 0);
        assert!(before.records == 0 || before.bytes > 0, "{before:?}");
        let folders = docker.data_folders().await.expect("the engine answers");
        assert!(
            !folders.is_empty() && folders.iter().all(|folder| folder.is_absolute()),
            "{folders:?}"
        );
    }
}
