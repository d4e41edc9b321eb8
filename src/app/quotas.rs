//! Quotas: who sets them, and what is used of them. `rules` says what they refuse, `builds` counts builds, `keeper` measures
//! what is not known from the records, into what `meters` has.
//!
//! An organization's is set by those who run the panel, a project's by the organization's administrators, within the
//! organization's. What is there when one is set or lowered stays; only what would be more is refused.

mod builds;
mod keeper;
mod meters;
mod rules;
#[cfg(test)]
mod tests;
mod words;

pub use builds::BuildFloor;
pub(crate) use builds::*;
pub use keeper::QuotaKeeper;
pub(crate) use meters::*;
pub(crate) use rules::*;
pub(crate) use words::*;

use crate::{ground::Ground, projects::find_project};
use std::sync::Arc;
use store::{Batch, Stored};
use types::{Action, Actor, Error, Fact, Kind, Organization, OrganizationId, Project, Quota, QuotaLimits, Result, Site};

/// A quota, and what is used of it.
#[derive(Debug, Clone)]
pub struct QuotaView {
    pub organization: Organization,
    /// `None`: it is of the organization as a whole.
    pub project: Option<Project>,
    pub limits: QuotaLimits,
    pub used: QuotaUse,
    /// Of traffic and builds: `2026-11`.
    pub month: String,
    /// Of the organization in which who asks acts, or of one of its projects.
    pub own: bool,
    /// Whether who asks may set it.
    pub changeable: bool,
}

#[derive(Debug, Clone, Default)]
pub struct QuotaUse {
    pub apps: u64,
    pub memory_bytes: u64,
    pub cpu_millis: u64,
    /// `None`: not measured yet.
    pub disk_bytes: Option<u64>,
    pub traffic_bytes: u64,
    pub builds: u64,
    /// Deployments that build now.
    pub builds_running: u64,
}

impl QuotaView {
    pub fn id(&self) -> &str {
        match &self.project {
            Some(project) => project.id.as_str(),
            None => self.organization.id.as_str(),
        }
    }
    pub fn name(&self) -> &str {
        match &self.project {
            Some(project) => project.name.as_str(),
            None => self.organization.name.as_str(),
        }
    }
}

#[derive(Clone)]
pub struct Quotas {
    ground: Arc<Ground>,
}

impl Quotas {
    pub(crate) fn new(ground: Arc<Ground>) -> Quotas {
        Quotas { ground }
    }

    /// What holds for the organization and for its projects, with or without limits, as far as who asks sees them whole; then,
    /// for those who run the panel, that of the other organizations, without their projects.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<QuotaView>> {
        actor.may_somewhere(Action::View)?;
        let store = &self.ground.store;
        let mut views = Vec::new();
        let own = store.organizations.get(actor.organization.as_str())?;
        if actor.sees_all() {
            views.push(self.view(actor, &own, None)?);
        }
        let mut projects = store.projects.list()?;
        projects.retain(|project| project.organization == actor.organization && actor.is_permitted(Action::View, &project.place()));
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        for project in projects {
            views.push(self.view(actor, &own, Some(project.value))?);
        }
        if actor.is_permitted(Action::Operate, &Site::organization()) {
            let mut others = store.organizations.list()?;
            others.retain(|one| one.id != actor.organization && !one.removing);
            others.sort_by(|a, b| a.name.cmp(&b.name));
            for other in others {
                views.push(self.view(actor, &other, None)?);
            }
        }
        Ok(views)
    }

    /// Says what an organization may have, by id or name; for those who run the panel.
    pub async fn set_organization(&self, actor: &Actor, organization: &str, limits: QuotaLimits) -> Result<QuotaView> {
        actor.may(Action::Operate)?;
        let mut all = self.ground.store.organizations.list()?.into_iter();
        let found = all.find(|one| one.id.as_str() == organization || one.name.as_str() == organization);
        let found = found.ok_or_else(|| Error::not_found(Kind::Organization, organization))?;
        self.set(actor, &found.id, None, limits.checked()?).await?;
        self.view(actor, &found, None)
    }

    /// Says what a project may have, within what the organization may; for its administrators.
    pub async fn set_project(&self, actor: &Actor, project: &str, limits: QuotaLimits) -> Result<QuotaView> {
        actor.may(Action::Administer)?;
        let project = find_project(&self.ground, actor, Action::View, project)?;
        let limits = limits.checked()?;
        let store = &self.ground.store;
        if let Some(whole) = store.quotas.find(actor.organization.as_str())? {
            limits.within(&whole.limits)?;
        }
        self.set(actor, &actor.organization, Some(&project), limits).await?;
        let own = store.organizations.get(actor.organization.as_str())?;
        self.view(actor, &own, Some(project))
    }

    async fn set(&self, actor: &Actor, organization: &OrganizationId, project: Option<&Project>, limits: QuotaLimits) -> Result<()> {
        let ground = &self.ground;
        let quota = Quota {
            organization: organization.clone(),
            project: project.map(|project| project.id.clone()),
            limits,
            by: actor.who.to_string(),
            changed_at: ground.world.now(),
        };
        // What is being made must have been counted, or is measured by what is set now.
        let _gate = gate(ground).await;
        let known = ground.store.quotas.find(&quota.key())?;
        let before = known.as_ref().map(|known| known.limits.clone()).unwrap_or_default();
        if before == quota.limits {
            return Ok(());
        }
        let what = changes(&before, &quota.limits);
        let whose = whose(ground, &quota)?;
        let batch = match known {
            Some(known) if quota.limits.is_empty() => Batch::new().remove(&known),
            Some(known) => Batch::new().save(Stored {
                revision: known.revision,
                value: quota.clone(),
            }),
            None => Batch::new().insert(quota.clone()),
        };
        ground.store.commit(batch).await?;
        let fact = Fact::QuotaChanged {
            project: quota.project,
            whose,
            what,
        };
        // It is told where it holds, whoever set it.
        let told = Actor {
            organization: organization.clone(),
            ..actor.clone()
        };
        ground.events.emit(&told, fact).await;
        ground.wakes.quotas.wake();
        ground.wake_deploy();
        ground.wake_reconcile();
        Ok(())
    }

    fn view(&self, actor: &Actor, organization: &Organization, project: Option<Project>) -> Result<QuotaView> {
        let ground = &self.ground;
        let key = project.as_ref().map_or(organization.id.as_str(), |project| project.id.as_str());
        let action = if project.is_some() { Action::Administer } else { Action::Operate };
        Ok(QuotaView {
            limits: ground.store.quotas.find(key)?.map(|stored| stored.value.limits).unwrap_or_default(),
            used: used(ground, &organization.id, project.as_ref().map(|project| &project.id))?,
            month: month(ground),
            changeable: actor.is_permitted(action, &Site::organization()),
            own: organization.id == actor.organization,
            organization: organization.clone(),
            project,
        })
    }
}

fn used(ground: &Ground, organization: &OrganizationId, project: Option<&types::ProjectId>) -> Result<QuotaUse> {
    let claim = claims(ground, organization, project, None)?;
    let metered = meter(ground, organization)?.of(project);
    Ok(QuotaUse {
        apps: claim.apps,
        memory_bytes: claim.demand.memory_bytes,
        cpu_millis: claim.demand.cpu_millis,
        disk_bytes: metered.disk_bytes,
        traffic_bytes: metered.traffic_bytes,
        builds: metered.builds,
        builds_running: builds_running(ground, organization, project)?,
    })
}

/// What is other than before, in words.
fn changes(before: &QuotaLimits, after: &QuotaLimits) -> Vec<String> {
    let number = |n: u64| n.to_string();
    let rate = |n: u64| format!("{}/s", bytes(n));
    let fields: [(&str, Option<u64>, Option<u64>, Words<'_>); 8] = [
        ("apps", before.apps, after.apps, &number),
        ("memory", before.memory_bytes, after.memory_bytes, &bytes),
        ("cores", before.cpu_millis, after.cpu_millis, &cores),
        ("disk", before.disk_bytes, after.disk_bytes, &bytes),
        ("traffic a month", before.traffic_bytes, after.traffic_bytes, &bytes),
        ("speed beyond it", before.traffic_cap, after.traffic_cap, &rate),
        ("builds a month", before.builds_per_month, after.builds_per_month, &number),
        ("builds at once", before.builds_at_once, after.builds_at_once, &number),
    ];
    let changed = fields.into_iter().filter(|(_, before, after, _)| before != after);
    changed
        .map(|(name, _, after, words)| match after {
            Some(after) => format!("{name} {}", words(after)),
            None => format!("{name} without limit"),
        })
        .collect()
}
