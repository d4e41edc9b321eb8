//! Builds: how many may begin in a month, how many at the same time, and with how much left of the server.

use super::{
    meters::{change_meter, has_any, meter, month},
    rules::{gate, over},
    words::{bytes, who_changes, whose},
};
use crate::ground::Ground;
use std::collections::HashMap;
use store::Stored;
use types::{App, Cause, Deployment, Error, MachineSample, OrganizationId, Phase, ProjectId, Quota, Result};

/// What a server must have left when a build begins, unless the configuration says otherwise; of small ones a part.
const MEMORY: u64 = 256 << 20;
const DISK: u64 = 1 << 30;

/// What the configuration says of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuildFloor {
    pub memory_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
}

impl BuildFloor {
    /// Why a build should not begin beside others, if there is too little left.
    fn short_of(&self, sample: &MachineSample) -> Option<String> {
        let total = sample.memory_total_bytes.saturating_add(sample.swap_total_bytes);
        let used = sample.memory_used_bytes.saturating_add(sample.swap_used_bytes);
        let (free, floor) = (
            total.saturating_sub(used),
            self.memory_bytes.unwrap_or(MEMORY.min(sample.memory_total_bytes / 4)),
        );
        match free < floor {
            true => Some(format!(
                "the server has {} of memory free, and a build beside others begins with {}",
                bytes(free),
                bytes(floor)
            )),
            false => self.short_of_disk(sample),
        }
    }

    fn short_of_disk(&self, sample: &MachineSample) -> Option<String> {
        let free = sample.disk_total_bytes.saturating_sub(sample.disk_used_bytes);
        let floor = self.disk_bytes.unwrap_or(DISK.min(sample.disk_total_bytes / 20));
        (free < floor).then(|| {
            format!(
                "the server's disk has {} left, and a build begins with {}",
                bytes(free),
                bytes(floor)
            )
        })
    }
}

/// Whether the deployment makes images.
pub(crate) fn builds(app: &App, cause: &Cause) -> bool {
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

/// Fails with `Busy` when what the deployment builds might fill the disk, on which the panel's own state lies too.
pub(crate) async fn must_have_disk(ground: &Ground, app: &App, cause: &Cause) -> Result<()> {
    let short = |sample: &MachineSample| ground.options.build_floor.short_of_disk(sample);
    let seems = ground.last_sample.load().as_ref().as_ref().and_then(short);
    if !builds(app, cause) || seems.is_none() {
        return Ok(());
    }
    // It may have been a moment ago that there was too little.
    match ground.node.sample().await.ok().as_ref().and_then(short) {
        Some(_) if !sees_server(ground, &app.organization)? => Err(Error::busy(
            "the server's disk has too little left for a build; those who run the panel can make room",
        )),
        Some(why) => Err(Error::busy(format!(
            "{why}; make room first, for example by `serverkit build-cache trim`"
        ))),
        None => Ok(()),
    }
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
    /// Of all that are made on this server.
    count: u64,
    /// Why none may begin beside others.
    short: Option<String>,
}

impl BuildRoom {
    /// `open`: deployments that are not over.
    pub fn of(ground: &Ground, open: &[Stored<Deployment>]) -> Result<BuildRoom> {
        let mut quotas: Vec<Quota> = ground.store.quotas.list()?.into_iter().map(|stored| stored.value).collect();
        quotas.retain(|quota| quota.limits.builds_at_once.is_some());
        let mut room = BuildRoom {
            quotas,
            under_way: HashMap::new(),
            count: 0,
            short: match ground.last_sample.load().as_ref() {
                Some(sample) => ground.options.build_floor.short_of(sample),
                None => None,
            },
        };
        for deployment in open.iter().filter(|one| ground.running.has(&one.id)) {
            room.enter(ground, deployment, false, ground.running.builds_here(&deployment.id))?;
        }
        Ok(room)
    }

    /// Why it may not begin now; `None`: it may, and counts from now on. `here`: on this server, whose memory it takes.
    pub fn admit(&mut self, ground: &Ground, deployment: &Deployment, here: bool) -> Result<Option<String>> {
        self.enter(ground, deployment, true, here)
    }

    fn enter(&mut self, ground: &Ground, deployment: &Deployment, asks: bool, here: bool) -> Result<Option<String>> {
        if !is_building(deployment) {
            return Ok(None);
        }
        let Some(app) = ground.store.apps.find(deployment.app.as_str())? else {
            return Ok(None);
        };
        if !builds(&app, &deployment.cause) {
            return Ok(None);
        }
        if let (true, Some(why)) = (asks && here && self.count > 0, &self.short) {
            return Ok(Some(match sees_server(ground, &app.organization)? {
                true => why.clone(),
                false => "the server has too little left for a build beside others".to_owned(),
            }));
        }
        let own: Vec<&Quota> = self
            .quotas
            .iter()
            .filter(|quota| quota.covers(&app.organization, &app.project))
            .collect();
        let is_full = |quota: &&Quota| {
            self.under_way.get(&quota.key()).copied().unwrap_or_default() >= quota.limits.builds_at_once.unwrap_or(u64::MAX)
        };
        if let Some(quota) = own.iter().find(|quota| is_full(quota)).filter(|_| asks) {
            let most = quota.limits.builds_at_once.unwrap_or_default();
            return Ok(Some(format!("{} builds as many at once as it may: {most}", whose(ground, quota)?)));
        }
        let keys: Vec<String> = own.iter().map(|quota| quota.key()).collect();
        for key in keys {
            *self.under_way.entry(key).or_default() += 1;
        }
        self.count += u64::from(here);
        Ok(None)
    }
}

/// Whether its people may know how much the server has left and does: with it others could watch what all organizations do.
pub(crate) fn sees_server(ground: &Ground, organization: &OrganizationId) -> Result<bool> {
    let host = crate::organizations::host(&ground.store)?;
    Ok(host.is_none_or(|host| host.id == *organization))
}

/// Not beyond its build yet.
pub(crate) fn is_building(deployment: &Deployment) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `free_memory`, `free_disk` of 4 GiB and 40 GiB, in MiB.
    fn check(floor: BuildFloor, free_memory: u64, free_disk: u64, wanted: Option<&str>) {
        let sample = MachineSample {
            memory_total_bytes: 3 << 30,
            memory_used_bytes: (3 << 30) - (free_memory << 20).min(3 << 30),
            swap_total_bytes: 1 << 30,
            swap_used_bytes: 1 << 30,
            disk_total_bytes: 40 << 30,
            disk_used_bytes: (40 << 30) - (free_disk << 20),
            ..MachineSample::default()
        };
        let why = floor.short_of(&sample);
        assert_eq!(
            why.as_deref().map(|why| &why[..wanted.unwrap_or_default().len()]),
            wanted,
            "{why:?}"
        );
    }

    #[test]
    fn what_is_left_when_a_build_begins() {
        let usual = BuildFloor::default();
        check(usual, 300, 2000, None);
        check(
            usual,
            200,
            2000,
            Some("the server has 200 MiB of memory free, and a build beside others begins with 256 MiB"),
        );
        check(
            usual,
            300,
            900,
            Some("the server's disk has 900 MiB left, and a build begins with 1 GiB"),
        );
        let own = BuildFloor {
            memory_bytes: Some(1 << 30),
            disk_bytes: Some(1 << 20),
        };
        check(own, 300, 900, Some("the server has 300 MiB"));
        check(own, 2000, 900, None);
    }
}
