//! What the engine keeps of builds, and keeping it within a budget.

use crate::{connect::Docker, failures::words};
use bollard::{BollardRequest, body_full};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde::{Deserialize, de::DeserializeOwned};
use types::{BuildCache, Error, Result};

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
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    size: Option<u64>,
    /// An image has it too, so that it takes nothing of its own.
    #[serde(default)]
    shared: bool,
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

    #[tokio::test]
    async fn docker_build_cache_is_measured() {
        let docker = testing::docker();
        let before = docker.build_cache().await.expect("the engine answers");
        // More than there can be: nothing goes, whoever builds beside this test.
        assert_eq!(docker.build_cache_trim(1 << 60).await.expect("the engine answers"), 0);
        assert!(before.records == 0 || before.bytes > 0, "{before:?}");
    }
}
