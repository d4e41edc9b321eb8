//! Builds: how many may begin in a month, and how many at the same time.

use super::{
    meters::{change_meter, has_any, meter, month},
    rules::{gate, over},
    words::{who_changes, whose},
};
use crate::ground::Ground;
use std::collections::HashMap;
use store::Stored;
use types::{App, Cause, Deployment, Error, OrganizationId, Phase, ProjectId, Quota, Result};

/// Whether the deployment makes images.
pub(super) fn builds(app: &App, cause: &Cause) -> bool {
    app.source.buildable().is_some() && matches!(cause, Cause::Manual | Cause::Created | Cause::Push { .. })
}

/// Fails with `Busy` when enough have begun in this month.
pub(super) fn may_build(ground: &Ground, app: &App) -> Result<()> {
    for quota in over(ground, &app.organization, &app.project)? {
        let Some(limit) = quota.limits.builds_per_month else { continue };
        let begun = meter(ground, &app.organization)?.of(quota.project.as_ref()).builds;
        if begun >= limit {
            return Err(Error::busy(format!(
                "{} may begin {} in a month and has begun {begun} in {}, and this asks for 1 more; {}",
                whose(ground, &quota)?,
                if limit == 1 {
                    "1 build".to_owned()
                } else {
                    format!("{limit} builds")
                },
                month(ground),
                who_changes(&quota),
            )));
        }
    }
    Ok(())
}

/// Counts a build that begins now. Fails with `Busy` when there were enough.
pub(crate) async fn count_build(ground: &Ground, app: &App) -> Result<()> {
    if !has_any(ground, &app.organization)? {
        return Ok(());
    }
    let _gate = gate(ground).await;
    may_build(ground, app)?;
    change_meter(ground, &app.organization, |meter| {
        meter.projects.entry(app.project.clone()).or_default().builds += 1
    })
    .await?;
    ground.wakes.quotas.wake();
    Ok(())
}

/// How many deployments build, and how many may.
pub(crate) struct BuildRoom {
    quotas: Vec<Quota>,
    under_way: HashMap<String, u64>,
}

impl BuildRoom {
    /// `open`: deployments that are not over.
    pub fn of(ground: &Ground, open: &[Stored<Deployment>]) -> Result<BuildRoom> {
        let mut quotas: Vec<Quota> = ground.store.quotas.list()?.into_iter().map(|stored| stored.value).collect();
        quotas.retain(|quota| quota.limits.builds_at_once.is_some());
        let mut room = BuildRoom {
            quotas,
            under_way: HashMap::new(),
        };
        if !room.quotas.is_empty() {
            for deployment in open.iter().filter(|one| ground.running.has(&one.id)) {
                room.enter(ground, deployment, false)?;
            }
        }
        Ok(room)
    }

    /// Whether it may begin now; then it counts.
    pub fn admit(&mut self, ground: &Ground, deployment: &Deployment) -> Result<bool> {
        self.enter(ground, deployment, true)
    }

    fn enter(&mut self, ground: &Ground, deployment: &Deployment, asks: bool) -> Result<bool> {
        if self.quotas.is_empty() || !is_building(deployment) {
            return Ok(true);
        }
        let Some(app) = ground.store.apps.find(deployment.app.as_str())? else {
            return Ok(true);
        };
        if !builds(&app, &deployment.cause) {
            return Ok(true);
        }
        let own: Vec<&Quota> = self
            .quotas
            .iter()
            .filter(|quota| quota.covers(&app.organization, &app.project))
            .collect();
        let is_full = |quota: &&Quota| {
            self.under_way.get(&quota.key()).copied().unwrap_or_default() >= quota.limits.builds_at_once.unwrap_or(u64::MAX)
        };
        if asks && own.iter().any(is_full) {
            return Ok(false);
        }
        let keys: Vec<String> = own.iter().map(|quota| quota.key()).collect();
        for key in keys {
            *self.under_way.entry(key).or_default() += 1;
        }
        Ok(true)
    }
}

/// Not beyond its build yet.
fn is_building(deployment: &Deployment) -> bool {
    matches!(deployment.phase, Phase::Queued | Phase::Fetching | Phase::Building)
}

pub(crate) fn builds_running(ground: &Ground, organization: &OrganizationId, project: Option<&ProjectId>) -> Result<u64> {
    let mut count = 0;
    for deployment in ground.store.deployments.list()? {
        if deployment.organization == *organization && is_building(&deployment) && ground.running.has(&deployment.id) {
            let app = ground.store.apps.find(deployment.app.as_str())?;
            let is_its = |app: &App| builds(app, &deployment.cause) && project.is_none_or(|project| app.project == *project);
            count += u64::from(app.is_some_and(|app| is_its(&app)));
        }
    }
    Ok(count)
}
