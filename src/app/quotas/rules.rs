//! What a quota refuses, in words that say what there may be, what there is, what was asked for, and who can change it.
//!
//! What is checked must stay so until it is on disk: [`gate`] is held from the check to the commit, so that two who ask at the
//! same time do not both get the last place.

use super::{
    builds::{builds, may_build},
    meters::meter,
    words::{Words, apps, bytes, cores, who_changes, whose},
};
use crate::{ground::Ground, releases};
use tokio::sync::MutexGuard;
use types::{App, AppId, Cause, Demand, Error, Limits, OrganizationId, ProjectId, Quota, Release, Result};

/// What apps take of a quota by being there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub apps: u64,
    pub demand: Demand,
}

/// Only one at a time adds to what counts.
pub(crate) async fn gate(ground: &Ground) -> MutexGuard<'_, ()> {
    ground.quota_gate.lock().await
}

/// Those that what lies in the project must keep to: its own, and the organization's.
pub(super) fn over(ground: &Ground, organization: &OrganizationId, project: &ProjectId) -> Result<Vec<Quota>> {
    let store = &ground.store.quotas;
    let found = [store.find(project.as_str())?, store.find(organization.as_str())?];
    Ok(found.into_iter().flatten().map(|stored| stored.value).collect())
}

/// Fails with `Busy` when the app, as it is to be, takes more than it did and more than there may be. `None`: it was not there,
/// or in the trash. Call with [`gate`] held.
pub(crate) fn must_fit(ground: &Ground, before: Option<&App>, after: &App) -> Result<()> {
    must_fit_with(ground, before, after, None)
}

/// The same for new apps that are made together or not at all, of one project.
pub(crate) fn must_fit_all(ground: &Ground, apps: &[&App]) -> Result<()> {
    let Some(first) = apps.first() else { return Ok(()) };
    let mut wants = Claim::default();
    for app in apps {
        let one = claim(ground, app)?;
        wants.apps += one.apps;
        wants.demand = wants.demand.plus(one.demand);
    }
    for quota in over(ground, &first.organization, &first.project)? {
        let others = claims(ground, &quota.organization, quota.project.as_ref(), None)?;
        fits(ground, &quota, others, Claim::default(), wants)?;
    }
    Ok(())
}

/// The same for an app that goes back to a release.
pub(crate) fn must_fit_with(ground: &Ground, before: Option<&App>, after: &App, release: Option<&Release>) -> Result<()> {
    let quotas = over(ground, &after.organization, &after.project)?;
    if quotas.is_empty() {
        return Ok(());
    }
    let had = before.map(|app| claim(ground, app)).transpose()?.unwrap_or_default();
    let mut wants = claim(ground, after)?;
    if let Some(release) = release {
        wants.demand = wants.demand.or_more(release.demand(release.replicas.unwrap_or(after.replicas)));
    }
    for quota in &quotas {
        let others = claims(ground, &quota.organization, quota.project.as_ref(), Some(&after.id))?;
        fits(ground, quota, others, had, wants)?;
    }
    Ok(())
}

fn fits(ground: &Ground, quota: &Quota, others: Claim, had: Claim, wants: Claim) -> Result<()> {
    let limits = &quota.limits;
    let memory = |count: u64| format!("{} of memory", bytes(count));
    let (theirs, own, wanted) = (others.demand, had.demand, wants.demand);
    let of_memory = [theirs.memory_bytes, own.memory_bytes, wanted.memory_bytes];
    let of_cpu = [theirs.cpu_millis, own.cpu_millis, wanted.cpu_millis];
    // Limit, what the others have, what it had and what it wants, whether its limits say so, words.
    let resources: [(Option<u64>, [u64; 3], bool, Words<'_>); 3] = [
        (limits.apps, [others.apps, had.apps, wants.apps], false, &apps),
        (limits.memory_bytes, of_memory, true, &memory),
        (limits.cpu_millis, of_cpu, true, &cores),
    ];
    for (limit, [others, had, wants], by_limits, words) in resources {
        let Some(limit) = limit else { continue };
        if wants <= had || others.saturating_add(wants) <= limit {
            continue;
        }
        let given = match by_limits && had == 0 {
            true => {
                let usual = Limits::default();
                let (memory, cpu) = (bytes(usual.memory_bytes), cores(usual.cpu_millis.into()));
                format!(" (an app that names no limits gets {memory} and {cpu})")
            }
            false => String::new(),
        };
        return Err(Error::busy(format!(
            "{} may have {} and has {}, and this asks for {} more{given}; {}",
            whose(ground, quota)?,
            words(limit),
            words(others.saturating_add(had)),
            words(wants - had),
            who_changes(quota),
        )));
    }
    Ok(())
}

/// What the apps of the organization, or of one project, take; without one of them.
pub(crate) fn claims(
    ground: &Ground,
    organization: &OrganizationId,
    project: Option<&ProjectId>,
    without: Option<&AppId>,
) -> Result<Claim> {
    let mut sum = Claim::default();
    for app in ground.store.apps.list()? {
        let is_its = app.organization == *organization && project.is_none_or(|project| app.project == *project);
        if is_its && without != Some(&app.id) {
            let one = claim(ground, &app)?;
            sum.apps += one.apps;
            sum.demand = sum.demand.plus(one.demand);
        }
    }
    Ok(sum)
}

/// What an app may use: by what it is to be, or by what is live where that is more. Nothing in the trash.
fn claim(ground: &Ground, app: &App) -> Result<Claim> {
    if app.trashed_at.is_some() {
        return Ok(Claim::default());
    }
    let containers = if app.source.stack().is_some() { 1 } else { app.replicas };
    let mut demand = app.demand.unwrap_or_else(|| Demand::of(&app.limits, containers));
    if let Some(release) = releases::live(ground, app)? {
        demand = demand.or_more(release.demand(app.replicas));
    }
    Ok(Claim { apps: 1, demand })
}

/// Notes what an app of several services may use together, where its file says it; of one in a source tree what is live says it.
pub(crate) fn reckon(ground: &Ground, app: &mut App) -> Result<()> {
    if matches!(app.source, types::Source::Compose(_)) {
        // A file that cannot be read now is told when it is deployed.
        if let Ok(composed) = crate::stacks::compose(ground, app) {
            app.demand = Some(composed.stack.demand(&app.limits));
        }
    } else if app.source.stack().is_none() {
        app.demand = None;
    } else if let Some(stack) = releases::live(ground, app)?.and_then(|release| release.stack) {
        app.demand = Some(crate::stacks::open(ground, &stack)?.demand(&app.limits));
    }
    Ok(())
}

/// Notes what the services that are about to be deployed may use. Fails with `Busy` when it is too much.
pub(crate) async fn admit_stack(ground: &Ground, app: &AppId, demand: Demand) -> Result<()> {
    let _gate = gate(ground).await;
    loop {
        let mut stored = ground.store.apps.get(app.as_str())?;
        let before = stored.value.clone();
        stored.demand = Some(demand);
        if stored.value == before {
            return Ok(());
        }
        must_fit(ground, Some(&before), &stored)?;
        match ground.store.apps.save(stored).await {
            Err(Error::Stale { .. }) => {}
            other => return other.map(drop),
        }
    }
}

/// Fails with `Busy` when a deployment of this kind may not begin: it would build one time too often, or the disk is used up.
/// The way back to what was live takes neither.
pub(crate) fn may_deploy(ground: &Ground, app: &App, cause: &Cause) -> Result<()> {
    if matches!(cause, Cause::Rollback { .. }) {
        return Ok(());
    }
    must_have_room(ground, &app.organization, &app.project, 0)?;
    match builds(app, cause) {
        true => may_build(ground, app),
        false => Ok(()),
    }
}

/// Fails with `Busy` when `more` bytes do not fit on the disk that there may be; with 0 when nothing does any more.
pub(crate) fn must_have_room(ground: &Ground, organization: &OrganizationId, project: &ProjectId, more: u64) -> Result<()> {
    for quota in over(ground, organization, project)? {
        let Some(limit) = quota.limits.disk_bytes else { continue };
        let used = meter(ground, organization)?
            .of(quota.project.as_ref())
            .disk_bytes
            .unwrap_or_default();
        if used.saturating_add(more.max(1)) > limit {
            let asks = match more {
                0 => String::new(),
                more => format!(", and this asks for {} more", bytes(more)),
            };
            return Err(Error::busy(format!(
                "{} may take {} of disk and takes {}{asks}; delete volumes, releases or apps that are not needed, or {}",
                whose(ground, &quota)?,
                bytes(limit),
                bytes(used),
                who_changes(&quota),
            )));
        }
    }
    Ok(())
}
