//! Measures what the records do not say: the disk that volumes, images and uploads take, and the traffic of a month. Tells
//! when 80 and 100 % of a quota are reached, once each.

use super::{Words, bytes, change_meter, meter, month, whose};
use crate::ground::Ground;
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use types::{Actor, AppId, EnvironmentId, Fact, Meter, Metered, OrganizationId, ProjectId, Quota, Result, Time};

/// Turns between two looks at the disk: all files of all volumes are counted for it.
const DISK_EVERY: u64 = 10;

/// See the module.
pub struct QuotaKeeper {
    ground: Arc<Ground>,
    turns: u64,
    /// Bytes of each app as the edge has counted them since it began.
    traffic: HashMap<AppId, u64>,
    /// When the newest quota was set that has been looked at.
    seen: Option<Time>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct QuotaReport {
    /// Organizations that have quotas.
    pub organizations: usize,
    /// Quotas of which 80 or 100 % were told.
    pub told: usize,
}

impl QuotaKeeper {
    pub(crate) fn new(ground: Arc<Ground>) -> QuotaKeeper {
        QuotaKeeper {
            ground,
            turns: 0,
            traffic: HashMap::new(),
            seen: None,
        }
    }

    /// What came and went since the last turn, by app.
    async fn passed(&mut self) -> Result<HashMap<AppId, u64>> {
        let mut passed = HashMap::new();
        for (app, traffic) in self.ground.node.edge_traffic().await? {
            let Some(app) = app else { continue };
            let now = traffic.bytes_in.saturating_add(traffic.bytes_out);
            let before = self.traffic.insert(app.clone(), now).unwrap_or_default();
            // Counters that went back are those of an edge that began anew.
            passed.insert(app, if now < before { now } else { now - before });
        }
        Ok(passed)
    }

    /// Adds it all up in the organization's meter; answers it.
    async fn meter(
        &self,
        organization: &OrganizationId,
        passed: &BTreeMap<ProjectId, u64>,
        disk: Option<&BTreeMap<ProjectId, u64>>,
    ) -> Result<Meter> {
        let add = |meter: &mut Meter| {
            for (project, bytes) in passed {
                let metered = meter.projects.entry(project.clone()).or_default();
                metered.traffic_bytes = metered.traffic_bytes.saturating_add(*bytes);
            }
            let Some(disk) = disk else { return };
            for (project, metered) in &mut meter.projects {
                metered.disk_bytes = disk.get(project).copied();
            }
            for (project, bytes) in disk {
                meter.projects.entry(project.clone()).or_default().disk_bytes = Some(*bytes);
            }
            meter.projects.retain(|_, metered| *metered != Metered::default());
        };
        Ok(change_meter(&self.ground, organization, add).await?.1)
    }

    /// Tells what is reached and was not before; answers how much.
    async fn tell(&self, organization: &OrganizationId, quotas: &[Quota]) -> Result<usize> {
        let ground = &self.ground;
        let reached = |meter: &Meter| -> BTreeMap<String, (u8, Fact)> {
            let each = quotas.iter().filter_map(|quota| Some((quota, whose(ground, quota).ok()?)));
            each.flat_map(|(quota, whose)| levels(quota, &whose, meter)).collect()
        };
        let now = meter(ground, organization)?;
        let levels = reached(&now);
        let (before, _) = change_meter(ground, organization, |meter| {
            meter.told = levels.iter().map(|(key, (percent, _))| (key.clone(), *percent)).collect();
        })
        .await?;
        let mut told = 0;
        for (key, (percent, fact)) in &levels {
            if before.told.get(key).copied().unwrap_or_default() < *percent {
                ground.events.emit(&Actor::system(organization.clone()), fact.clone()).await;
                told += 1;
            }
        }
        // Who is held to a speed, or is so no more.
        let of_traffic = |key: &&String| key.ends_with("/traffic");
        let full = |told: &BTreeMap<String, u8>| -> BTreeSet<String> {
            told.iter()
                .filter(|(key, percent)| of_traffic(key) && **percent == 100)
                .map(|(key, _)| key.clone())
                .collect()
        };
        let after = meter(ground, organization)?;
        if full(&before.told) != full(&after.told) {
            ground.wake_reconcile();
        }
        Ok(told)
    }
}

/// Of what 80 or 100 % are used.
fn levels(quota: &Quota, whose: &str, meter: &Meter) -> Vec<(String, (u8, Fact))> {
    let used = meter.of(quota.project.as_ref());
    let number = |count: u64| count.to_string();
    let kinds: [(&str, u64, Option<u64>, Words<'_>); 3] = [
        ("disk", used.disk_bytes.unwrap_or_default(), quota.limits.disk_bytes, &bytes),
        ("traffic", used.traffic_bytes, quota.limits.traffic_bytes, &bytes),
        ("builds", used.builds, quota.limits.builds_per_month, &number),
    ];
    let mut reached = Vec::new();
    for (of, used, limit, words) in kinds {
        let Some(limit) = limit.filter(|limit| *limit > 0) else { continue };
        let percent = match u128::from(used) * 100 / u128::from(limit) {
            0..80 => continue,
            80..100 => 80,
            _ => 100,
        };
        let fact = Fact::QuotaReached {
            project: quota.project.clone(),
            whose: whose.replace('`', ""),
            of: of.into(),
            percent,
            used: format!("{} of {}", words(used), words(limit)),
        };
        reached.push((format!("{}/{of}", quota.key()), (percent, fact)));
    }
    reached
}

/// What each project of the organization takes: its volumes, its images and what was uploaded for it. What images share with
/// each other counts for each. Fails while the engine does not answer.
async fn disk(ground: &Ground, organization: &OrganizationId) -> Result<BTreeMap<ProjectId, u64>> {
    let store = &ground.store;
    let mut sum: BTreeMap<ProjectId, u64> = BTreeMap::new();
    let mut projects: HashMap<EnvironmentId, ProjectId> = HashMap::new();
    for environment in store.environments.list()? {
        if environment.organization == *organization {
            sum.entry(environment.project.clone()).or_default();
            projects.insert(environment.id.clone(), environment.value.project);
        }
    }
    for volume in store.volumes.list()? {
        if let Some(project) = projects.get(&volume.environment) {
            let bytes = ground.node.volume_bytes(&volume.engine_name).await?.unwrap_or_default();
            *sum.entry(project.clone()).or_default() += bytes;
        }
    }
    let mut images: BTreeMap<(ProjectId, String), u64> = BTreeMap::new();
    for app in store.apps.list()?.into_iter().filter(|app| app.organization == *organization) {
        let prefix = format!("{}/", app.id);
        for release in store.releases.prefix(&prefix)? {
            images.insert((app.project.clone(), release.image.clone()), release.bytes);
        }
        for upload in store.uploads.prefix(&prefix)? {
            *sum.entry(app.project.clone()).or_default() += upload.bytes;
        }
    }
    for ((project, _), bytes) in images {
        *sum.entry(project).or_default() += bytes;
    }
    Ok(sum)
}

#[async_trait]
impl jobs::Job for QuotaKeeper {
    const NAME: &'static str = "quotas";
    type Report = QuotaReport;

    async fn run(&mut self) -> Result<QuotaReport> {
        let passed = self.passed().await?;
        let ground = self.ground.clone();
        let mut by_organization: BTreeMap<OrganizationId, Vec<Quota>> = BTreeMap::new();
        for quota in ground.store.quotas.list()? {
            by_organization.entry(quota.organization.clone()).or_default().push(quota.value);
        }
        let newest = by_organization.values().flatten().map(|quota| quota.changed_at).max();
        let looks = self.turns.is_multiple_of(DISK_EVERY) || newest > self.seen;
        self.turns += 1;
        let mut report = QuotaReport {
            organizations: by_organization.len(),
            told: 0,
        };
        for (organization, quotas) in by_organization {
            let mut traffic: BTreeMap<ProjectId, u64> = BTreeMap::new();
            for app in ground.store.apps.list()? {
                if let Some(bytes) = passed.get(&app.id).filter(|bytes| app.organization == organization && **bytes > 0) {
                    *traffic.entry(app.project.clone()).or_default() += bytes;
                }
            }
            let is_bounded = quotas.iter().any(|quota| quota.limits.disk_bytes.is_some());
            let disk = match looks && is_bounded {
                true => match disk(&ground, &organization).await {
                    Ok(disk) => Some(disk),
                    Err(error) => {
                        tracing::warn!("measuring the disk for quotas: {}", types::report(&error));
                        None
                    }
                },
                false => None,
            };
            self.meter(&organization, &traffic, disk.as_ref()).await?;
            report.told += self.tell(&organization, &quotas).await?;
        }
        self.seen = newest;
        tracing::debug!("quotas of {}: {report:?}", month(&ground));
        Ok(report)
    }
}
