//! What is counted and measured under quotas, and what it means for domains.

use crate::ground::Ground;
use std::collections::HashMap;
use store::Stored;
use types::{App, Error, Meter, OrganizationId, Result, TrafficPolicy};

/// Whether anything is to be metered.
pub(crate) fn has_any(ground: &Ground, organization: &OrganizationId) -> Result<bool> {
    Ok(ground.store.quotas.list()?.iter().any(|quota| quota.organization == *organization))
}

/// As it stands now.
pub(crate) fn meter(ground: &Ground, organization: &OrganizationId) -> Result<Meter> {
    let month = month(ground);
    Ok(match ground.store.meters.find(organization.as_str())? {
        Some(stored) => stored.value.in_month(&month),
        None => Meter::new(organization.clone(), month),
    })
}

/// Changes it as it stands now; answers it before and after.
pub(crate) async fn change_meter(ground: &Ground, organization: &OrganizationId, change: impl Fn(&mut Meter)) -> Result<(Meter, Meter)> {
    let store = &ground.store.meters;
    loop {
        let known = store.find(organization.as_str())?;
        let before = meter(ground, organization)?;
        let mut after = before.clone();
        change(&mut after);
        let done = match known {
            Some(known) if known.value == after => return Ok((before, after)),
            Some(known) => {
                let changed = Stored {
                    revision: known.revision,
                    value: after.clone(),
                };
                store.save(changed).await
            }
            None => store.insert(after.clone()).await,
        };
        match done {
            Err(Error::Stale { .. } | Error::Taken { .. }) => {}
            other => return other.map(|_| (before, after)),
        }
    }
}

/// `2026-11`, UTC.
pub(crate) fn month(ground: &Ground) -> String {
    ground.world.now().to_string().chars().take(7).collect()
}

/// Bytes a second to which the domains of apps are held, since the traffic of a month is used up.
#[derive(Default)]
pub(crate) struct Caps(HashMap<String, u64>);

impl Caps {
    pub fn now(ground: &Ground) -> Result<Caps> {
        let mut caps = HashMap::new();
        for quota in ground.store.quotas.list()? {
            let (Some(cap), Some(limit)) = (quota.limits.traffic_cap, quota.limits.traffic_bytes) else {
                continue;
            };
            if meter(ground, &quota.organization)?.of(quota.project.as_ref()).traffic_bytes >= limit {
                caps.insert(quota.key(), cap);
            }
        }
        Ok(Caps(caps))
    }

    /// The policy of a domain of the app, held to what it may have.
    pub fn over(&self, app: &App, policy: &TrafficPolicy) -> TrafficPolicy {
        let own = [app.project.as_str(), app.organization.as_str()];
        let cap = own
            .into_iter()
            .filter_map(|key| self.0.get(key).copied())
            .chain(policy.bandwidth)
            .min();
        TrafficPolicy {
            bandwidth: cap,
            ..policy.clone()
        }
    }
}
