//! Measures the machine, the containers and the traffic, so that charts have a past.

use crate::{ground::Ground, servers};
use async_trait::async_trait;
use futures::StreamExt;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use types::{AppId, ContainerStats, Result, Time, Traffic};

/// Turns between two looks at the containers: the engine works for each of them.
const CONTAINERS_EVERY: u64 = 5;

/// See the module.
pub struct Sampler {
    ground: Arc<Ground>,
    turns: u64,
    traffic: HashMap<AppId, Traffic>,
    networks: HashMap<String, (Time, ContainerStats)>,
}

/// What one turn measured.
#[derive(Debug, serde::Serialize)]
pub struct SamplerReport {
    pub containers: usize,
}

impl Sampler {
    pub(crate) fn new(ground: Arc<Ground>) -> Sampler {
        Sampler {
            ground,
            turns: 0,
            traffic: HashMap::new(),
            networks: HashMap::new(),
        }
    }

    async fn machine(&self, now: Time) -> Result<()> {
        let sample = self.ground.node.sample().await?;
        let Some(server) = servers::local(&self.ground)? else {
            return Ok(());
        };
        for (name, value) in [
            ("cpu", sample.cpu),
            ("load_1m", sample.load_1m),
            ("memory_used_bytes", sample.memory_used_bytes as f64),
            ("disk_used_bytes", sample.disk_used_bytes as f64),
            ("net_in", sample.net_in_per_second),
            ("net_out", sample.net_out_per_second),
            ("panel_memory_bytes", sample.panel_memory_bytes as f64),
        ] {
            self.ground.metrics.record(&format!("server/{}/{name}", server.id), now, value);
        }
        self.ground.last_sample.store(Arc::new(Some(sample)));
        Ok(())
    }

    async fn traffic(&mut self, now: Time) -> Result<()> {
        for (app, traffic) in self.ground.node.edge_traffic().await? {
            let Some(app) = app else { continue };
            let before = self.traffic.insert(app.clone(), traffic).unwrap_or_default();
            let requests = traffic.requests.saturating_sub(before.requests);
            let record = |name: &str, value: f64| self.ground.metrics.record(&format!("app/{app}/{name}"), now, value);
            record("requests", requests as f64 / 2.0);
            record("errors", traffic.errors.saturating_sub(before.errors) as f64 / 2.0);
            if requests > 0 {
                record("latency_ms", traffic.millis.saturating_sub(before.millis) as f64 / requests as f64);
            }
        }
        Ok(())
    }

    async fn containers(&mut self, now: Time) -> usize {
        let observed = self.ground.observed.load_full();
        let running: Vec<_> = observed
            .containers
            .iter()
            .filter(|container| container.state.is_running())
            .cloned()
            .collect();
        let node = &self.ground.node;
        let stats: Vec<_> = futures::stream::iter(running)
            .map(|container| async move {
                let stats = node.container_stats(&container.id).await.ok().flatten()?;
                Some((container, stats))
            })
            .buffer_unordered(8)
            .filter_map(|found| async move { found })
            .collect()
            .await;
        let mut apps: BTreeMap<&AppId, Used> = BTreeMap::new();
        for (container, stats) in &stats {
            let before = self.networks.insert(container.id.clone(), (now, *stats));
            apps.entry(&container.owner.app).or_default().add(now, stats, before);
        }
        for (app, used) in &apps {
            for (name, value) in used.figures() {
                self.ground.metrics.record(&format!("app/{app}/{name}"), now, value);
            }
        }
        self.networks
            .retain(|id, _| observed.containers.iter().any(|container| container.id == *id));
        stats.len()
    }
}

/// What all containers of an app take together: services and replicas.
#[derive(Default)]
struct Used {
    cores: f64,
    memory_bytes: u64,
    /// In and out, bytes a second; `None` before a container was measured twice.
    network: Option<(f64, f64)>,
}

impl Used {
    /// One more container, and what it had at its last measurement.
    fn add(&mut self, now: Time, stats: &ContainerStats, before: Option<(Time, ContainerStats)>) {
        self.cores += stats.cpu_cores;
        self.memory_bytes += stats.memory_bytes;
        if let Some((then, before)) = before {
            let seconds = now.since(then).as_secs_f64().max(0.1);
            let (into, out) = self.network.unwrap_or_default();
            self.network = Some((
                into + stats.net_in_bytes.saturating_sub(before.net_in_bytes) as f64 / seconds,
                out + stats.net_out_bytes.saturating_sub(before.net_out_bytes) as f64 / seconds,
            ));
        }
    }

    fn figures(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let network = self.network.map(|(into, out)| [("net_in", into), ("net_out", out)]);
        [("cpu_cores", self.cores), ("memory_bytes", self.memory_bytes as f64)]
            .into_iter()
            .chain(network.into_iter().flatten())
    }
}

#[async_trait]
impl jobs::Job for Sampler {
    const NAME: &'static str = "metrics";
    type Report = SamplerReport;

    async fn run(&mut self) -> Result<SamplerReport> {
        let now = self.ground.world.now();
        self.machine(now).await?;
        self.traffic(now).await?;
        let turn = self.turns;
        self.turns += 1;
        let containers = if turn.is_multiple_of(CONTAINERS_EVERY) {
            self.containers(now).await
        } else {
            0
        };
        Ok(SamplerReport { containers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_takes_what_all_of_its_containers_take() {
        let stats = |cpu_cores, memory_bytes, net_in_bytes| ContainerStats {
            cpu_cores,
            memory_bytes,
            memory_limit_bytes: 0,
            net_in_bytes,
            net_out_bytes: 0,
            pids: 1,
        };
        let mut used = Used::default();
        used.add(Time(10_000), &stats(0.5, 100, 4_000), None);
        assert_eq!(used.figures().count(), 2, "nothing is known of the network yet");
        used.add(Time(10_000), &stats(0.25, 30, 3_000), Some((Time(0), stats(0.0, 0, 1_000))));
        used.add(Time(10_000), &stats(0.0, 5, 500), Some((Time(0), stats(0.0, 0, 0))));
        let figures: Vec<_> = used.figures().collect();
        assert_eq!(
            figures,
            [("cpu_cores", 0.75), ("memory_bytes", 135.0), ("net_in", 250.0), ("net_out", 0.0)]
        );
    }
}
