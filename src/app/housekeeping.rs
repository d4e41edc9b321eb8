//! Takes away what is over: what the build cache has beyond its budget, old releases and their images, old events, audit entries and logs, the trash, networks of environments that
//! are gone, work folders that a crash left. Only things that are ours, never volumes.

use crate::{
    audit, build_cache, builders::Engine, deployer::work_folder, deployments::log_name, forge_reports, ground::Ground,
    organization_removal, releases::releases_of, trash, uploads,
};
use async_trait::async_trait;
use std::{collections::HashSet, sync::Arc, time::Duration};
use store::Batch;
use types::{Actor, App, Fact, Release, Result, Time};

/// Events kept.
const EVENTS: usize = 20_000;
const DAY: Duration = Duration::from_secs(86_400);

/// See the module.
pub struct Housekeeping {
    ground: Arc<Ground>,
    /// When the audit log was looked through last, and what was told of it.
    audited: Option<(Time, Option<String>)>,
}

/// What one turn removed.
#[derive(Debug, Default, serde::Serialize)]
pub struct HousekeepingReport {
    pub releases: usize,
    pub deployments: usize,
    pub events: usize,
    /// Entries of the audit log.
    pub audit: u64,
    pub apps: Vec<String>,
    pub networks: usize,
    pub uploads: usize,
    pub runs: usize,
    pub organizations: usize,
    /// Of the build cache, that came free.
    pub build_cache_bytes: u64,
}

impl Housekeeping {
    pub(crate) fn new(ground: Arc<Ground>) -> Housekeeping {
        Housekeeping { ground, audited: None }
    }

    /// Looks through the chain of the audit log once a day, and tells once of each break.
    async fn audit(&mut self) -> Result<()> {
        let (ground, now) = (&self.ground, self.ground.world.now());
        let known = match &self.audited {
            Some((at, _)) if now.since(*at) < DAY => return Ok(()),
            Some((_, known)) => known.clone(),
            None => None,
        };
        let broken = audit::broken(&ground.store).await?;
        if let (Some(why), true) = (&broken, broken != known)
            && let Some(host) = crate::organizations::host(&ground.store)?
        {
            let fact = Fact::AuditBroken { why: why.clone() };
            ground.events.emit(&Actor::system(host.id.clone()), fact).await;
        }
        self.audited = Some((now, broken));
        Ok(())
    }

    /// Releases beyond what the app keeps, by number, age and bytes; never the live one, one that is being deployed, a pinned
    /// one, or the newest of the others: it is the way back.
    async fn releases(&self, app: &App) -> Result<usize> {
        let ground = &self.ground;
        let active: HashSet<_> = ground
            .store
            .deployments
            .prefix(&format!("{}/", app.id))?
            .into_iter()
            .filter(|deployment| !deployment.phase.is_final())
            .filter_map(|deployment| deployment.release.clone())
            .collect();
        let spare: Vec<_> = releases_of(ground, &app.id)?
            .into_iter()
            .filter(|release| app.release.as_ref() != Some(&release.id) && !active.contains(&release.id) && !release.pinned)
            .collect();
        let over = over(app, &spare, ground.world.now());
        for release in &spare[..over] {
            if let Some(stored) = ground.store.releases.claimed(release.id.as_str())? {
                ground.store.commit(Batch::new().remove(&stored)).await?;
            }
            for (image, _) in trash::built_images(release) {
                trash::remove_image(ground, &image).await;
            }
        }
        Ok(over)
    }

    /// Deployments that ended long ago, with their logs; the newest 20 of an app stay.
    async fn deployments(&self, app: &App, log_days: u32) -> Result<usize> {
        let ground = &self.ground;
        let all = ground.store.deployments.prefix(&format!("{}/", app.id))?;
        let limit = ground.world.now().minus(DAY * log_days);
        let releases: HashSet<_> = releases_of(ground, &app.id)?
            .into_iter()
            .map(|release| release.deployment)
            .collect();
        let old = all[..all.len().saturating_sub(20)]
            .iter()
            .filter(|deployment| deployment.finished_at.is_some_and(|at| at < limit) && !releases.contains(&deployment.id));
        let mut removed = 0;
        for deployment in old {
            let batch = forge_reports::forget(ground, &deployment.id, Batch::new())?;
            ground.store.commit(batch.remove(deployment)).await?;
            ground.logs.remove(&log_name(&deployment.id)).await?;
            removed += 1;
        }
        Ok(removed)
    }

    async fn events(&self) -> Result<usize> {
        let all = self.ground.store.events.list()?;
        let over = all.len().saturating_sub(EVENTS);
        for chunk in all[..over].chunks(500) {
            let batch = chunk.iter().fold(Batch::new(), Batch::remove);
            self.ground.store.commit(batch).await?;
        }
        Ok(over)
    }

    /// Answers to repeated requests that are too old to be asked for.
    async fn answers(&self) -> Result<()> {
        let limit = self.ground.world.now().minus(DAY);
        let old: Vec<_> = self
            .ground
            .store
            .answers
            .list()?
            .into_iter()
            .filter(|answer| answer.at < limit)
            .collect();
        for chunk in old.chunks(500) {
            self.ground.store.commit(chunk.iter().fold(Batch::new(), Batch::remove)).await?;
        }
        Ok(())
    }

    async fn networks(&self) -> Result<usize> {
        let ground = &self.ground;
        let mut removed = 0;
        for network in ground.store.networks.list()? {
            let gone = match &network.app {
                Some(app) => ground.store.apps.find(app.as_str())?.is_none(),
                None => ground.store.environments.find(network.environment.as_str())?.is_none(),
            };
            if gone {
                ground.node.network_remove(&network.name).await?;
                ground.store.commit(Batch::new().remove(&network)).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Folders of deployments that have ended.
    async fn work_folders(&self) -> Result<()> {
        let ground = &self.ground;
        let Ok(mut entries) = tokio::fs::read_dir(ground.options.data.join("work")).await else {
            return Ok(());
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let over = crate::deployments::find(ground, &id)?.is_none_or(|deployment| deployment.phase.is_final());
            if over && !ground.running.has(&id) {
                let _ = tokio::fs::remove_dir_all(work_folder(ground, &id)).await;
            }
        }
        Ok(())
    }
}

/// How many of these releases go, oldest first.
fn over(app: &App, spare: &[Release], now: Time) -> usize {
    let most = usize::try_from(app.keep_releases).unwrap_or(usize::MAX);
    let oldest = app.keep_release_days.map(|days| now.minus(DAY * days));
    let mut bytes = 0_u64;
    let kept = spare.iter().rev().enumerate().take_while(|(place, release)| {
        bytes = bytes.saturating_add(release.bytes);
        let fits = *place < most
            && oldest.is_none_or(|oldest| release.created_at >= oldest)
            && app.keep_release_bytes.is_none_or(|limit| bytes <= limit);
        fits || *place == 0
    });
    spare.len() - kept.count()
}

#[async_trait]
impl jobs::Job for Housekeeping {
    const NAME: &'static str = "housekeeping";
    type Report = HousekeepingReport;

    async fn run(&mut self) -> Result<HousekeepingReport> {
        let ground = self.ground.clone();
        let settings = ground.settings()?;
        let mut done = HousekeepingReport {
            events: self.events().await?,
            audit: audit::cut_old(&ground.store, &ground.world).await?,
            ..HousekeepingReport::default()
        };
        let limit = ground.world.now().minus(DAY * settings.trash_days);
        for app in ground.store.apps.list()? {
            if app.trashed_at.is_some_and(|at| at < limit) {
                trash::purge(&ground, &app, false).await?;
                let fact = Fact::AppRemoved {
                    app: app.id.clone(),
                    name: app.name.to_string(),
                };
                ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
                done.apps.push(app.name.to_string());
                continue;
            }
            done.releases += self.releases(&app).await?;
            done.deployments += self.deployments(&app, settings.log_days).await?;
            done.uploads += uploads::sweep(&ground, &app).await?;
        }
        self.answers().await?;
        self.audit().await?;
        // What an engine that was away has left.
        done.organizations = organization_removal::sweep(&ground).await.unwrap_or_else(|error| {
            tracing::warn!("removing an organization: {}", types::report(&error));
            0
        });
        let apps: Vec<_> = ground.store.apps.list()?.into_iter().map(|app| app.value.id).collect();
        done.runs = ground.node.runs_remove(&apps).await.unwrap_or_default();
        // An engine that is away keeps nobody from the rest.
        for app in ground.store.apps.list()? {
            done.build_cache_bytes += build_cache::keep_app_within(&Engine::Here(&ground), &app).await.unwrap_or_default();
        }
        done.build_cache_bytes += build_cache::keep_within(&ground).await.unwrap_or_default();
        done.networks = self.networks().await?;
        self.work_folders().await?;
        uploads::sweep_files(&ground).await?;
        Ok(done)
    }
}
