//! What a container uses now. CPU is a difference, so the last reading of each container is kept.

use crate::{
    connect::Docker,
    failures::{checked, is_missing, words},
};
use bollard::{models::ContainerStatsResponse, query_parameters::StatsOptionsBuilder};
use futures::StreamExt;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use time::OffsetDateTime;
use types::{ContainerStats, Kind, Result};

/// Between the two readings of the first sample.
const FIRST_SPAN: Duration = Duration::from_millis(200);
/// Readings older than this say nothing about now.
const OLDEST: Duration = Duration::from_secs(300);

/// Total CPU time, in nanoseconds, at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    at: OffsetDateTime,
    cpu_nanos: u64,
}

/// The last reading of each container.
#[derive(Default)]
pub struct Samples(Mutex<HashMap<String, Reading>>);

impl Samples {
    fn swap(&self, id: &str, reading: Reading) -> Option<Reading> {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readings.retain(|_, earlier| reading.at - earlier.at < OLDEST);
        readings.insert(id.to_owned(), reading)
    }

    pub fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Docker {
    /// Since the last call for this container; the first call takes two readings 200 ms apart. `None` when it does not run.
    pub async fn container_stats(&self, id: &str) -> Result<Option<ContainerStats>> {
        let id = checked(Kind::Container, id)?;
        let Some((mut stats, mut reading)) = self.reading(id).await? else {
            return Ok(None);
        };
        let mut earlier = self.inner.samples.swap(id, reading);
        if earlier.is_none() {
            tokio::time::sleep(FIRST_SPAN).await;
            match self.reading(id).await? {
                Some(second) => (stats, reading) = second,
                None => return Ok(None),
            }
            earlier = self.inner.samples.swap(id, reading);
        }
        stats.cpu_cores = earlier.map_or(0.0, |earlier| cores_between(earlier, reading));
        Ok(Some(stats))
    }

    async fn reading(&self, id: &str) -> Result<Option<(ContainerStats, Reading)>> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        match self.client().stats(id, Some(options)).next().await {
            Some(Ok(answer)) => Ok(stats_of(&answer)),
            Some(Err(refusal)) if !is_missing(&refusal) => Err(words("reading a container's use")(refusal)),
            _ => {
                self.inner.samples.forget(id);
                Ok(None)
            }
        }
    }
}

/// `None` for a container that does not run: the engine answers zeros and the year 1.
fn stats_of(answer: &ContainerStatsResponse) -> Option<(ContainerStats, Reading)> {
    let at = answer.read.filter(|at| at.year() > 1)?;
    let cpu_nanos = answer.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?;
    let memory = answer.memory_stats.clone().unwrap_or_default();
    let total = |pick: fn(&bollard::models::ContainerNetworkStats) -> Option<u64>| {
        answer.networks.iter().flatten().filter_map(|(_, network)| pick(network)).sum()
    };
    // What the kernel can take back at once does not count, as in `docker stats`.
    let pages = memory.stats.unwrap_or_default();
    let reclaimable = pages
        .get("inactive_file")
        .or_else(|| pages.get("total_inactive_file"))
        .copied()
        .unwrap_or(0);
    let stats = ContainerStats {
        cpu_cores: 0.0,
        memory_bytes: memory.usage.unwrap_or(0).saturating_sub(reclaimable),
        memory_limit_bytes: memory.limit.unwrap_or(0),
        net_in_bytes: total(|network| network.rx_bytes),
        net_out_bytes: total(|network| network.tx_bytes),
        pids: answer
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.current)
            .and_then(|pids| u32::try_from(pids).ok())
            .unwrap_or(0),
    };
    Some((stats, Reading { at, cpu_nanos }))
}

/// 0 when the counter went back, as it does after a restart.
fn cores_between(earlier: Reading, later: Reading) -> f64 {
    let wall = (later.at - earlier.at).as_seconds_f64();
    let cpu = later.cpu_nanos.saturating_sub(earlier.cpu_nanos) as f64 / 1e9;
    if wall > 0.0 { cpu / wall } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn cores_are_cpu_time_over_wall_time() {
        let reading = |seconds: i64, cpu_nanos| Reading {
            at: OffsetDateTime::from_unix_timestamp(1_700_000_000 + seconds).expect("it is a moment"),
            cpu_nanos,
        };
        assert_eq!(cores_between(reading(0, 0), reading(2, 3_000_000_000)), 1.5);
        assert_eq!(cores_between(reading(0, 9), reading(2, 0)), 0.0);
        assert_eq!(cores_between(reading(0, 0), reading(0, 5)), 0.0);
    }

    #[tokio::test]
    async fn docker_stats_see_a_busy_core() {
        let world = World::new("stats").await;
        let mut spec = world.spec("tests/http:latest");
        spec.limits.cpu_millis = 500;
        spec.command = Some(vec!["sh".into(), "-c".into(), "while :; do :; done".into()]);
        let id = world.docker.container_start(&spec).await.expect("it starts");
        let first = world
            .docker
            .container_stats(&id)
            .await
            .expect("the engine answers")
            .expect("it runs");
        assert_eq!(first.memory_limit_bytes, 512 << 20);
        assert!(first.memory_bytes > 0 && first.pids >= 1, "{first:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = world
            .docker
            .container_stats(&id)
            .await
            .expect("the engine answers")
            .expect("it runs");
        // The quota is half a core; a busy machine gives less.
        assert!(second.cpu_cores > 0.05 && second.cpu_cores < 0.7, "{second:?}");
        world.docker.container_stop(&id, Duration::from_secs(1)).await.expect("it stops");
        assert_eq!(world.docker.container_stats(&id).await.expect("the engine answers"), None);
        world.docker.container_remove(&id).await.expect("it goes");
        assert_eq!(world.docker.container_stats(&id).await.expect("the engine answers"), None);
    }
}
