//! Checks the health of what is live, from outside, at the interval that each app asks for.

use crate::{ground::Ground, observed::Health, releases};
use async_trait::async_trait;
use futures::StreamExt;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use types::{Container, Probe, Release, Result, report};

/// Checks under way at once.
const AT_ONCE: usize = 16;

/// See the module.
pub struct HealthChecker {
    ground: Arc<Ground>,
    checked: HashMap<String, Instant>,
}

/// What one turn found.
#[derive(Debug, serde::Serialize)]
pub struct HealthReport {
    pub checked: usize,
    pub failing: usize,
}

impl HealthChecker {
    pub(crate) fn new(ground: Arc<Ground>) -> HealthChecker {
        HealthChecker {
            ground,
            checked: HashMap::new(),
        }
    }

    /// Live, running containers whose interval is over.
    fn due(&mut self) -> Result<Vec<(Container, Release)>> {
        let observed = self.ground.observed.load();
        self.checked
            .retain(|id, _| observed.containers.iter().any(|container| container.id == *id));
        let mut due = Vec::new();
        for container in observed.containers.iter().filter(|container| container.state.is_running()) {
            let Some(app) = self.ground.store.apps.find(container.owner.app.as_str())? else {
                continue;
            };
            let Some(release) = releases::live(&self.ground, &app)?.filter(|release| release.serves_with(container)) else {
                continue;
            };
            let interval = Duration::from_secs(release.health.interval_seconds.into());
            let is_due = self.checked.get(&container.id).is_none_or(|at| at.elapsed() >= interval);
            if is_due && release.health.probe != Probe::Running {
                self.checked.insert(container.id.clone(), Instant::now());
                due.push((container.clone(), release));
            }
        }
        Ok(due)
    }
}

#[async_trait]
impl jobs::Job for HealthChecker {
    const NAME: &'static str = "health";
    type Report = HealthReport;

    async fn run(&mut self) -> Result<HealthReport> {
        let due = self.due()?;
        let checked = due.len();
        let ground = &self.ground;
        let results: Vec<(String, Option<String>)> = futures::stream::iter(due)
            .map(|(container, release)| async move {
                let Some(address) = container.address else {
                    return (container.id, Some("it has no address".into()));
                };
                let timeout = Duration::from_secs(release.health.timeout_seconds.into());
                let made = ground.node.probe(address, release.port, &release.health.probe, timeout).await;
                (container.id, made.err().map(|error| report(&error)))
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let failing = results.iter().filter(|(_, why)| why.is_some()).count();
        let mut turned = false;
        ground.observed.rcu(|observed| {
            let mut observed = (**observed).clone();
            turned = false;
            for (id, why) in &results {
                let before = observed.health.get(id).cloned().unwrap_or_default();
                let failures = if why.is_some() { before.failures + 1 } else { 0 };
                turned |= (before.failures == 0) != (failures == 0) || failures == 3;
                observed.health.insert(
                    id.clone(),
                    Health {
                        failures,
                        why: why.clone(),
                    },
                );
            }
            observed
        });
        if turned {
            ground.wake_reconcile();
        }
        Ok(HealthReport { checked, failing })
    }
}
