//! Why an app stays awake: as it is set up (`Ways`), or because of what is under way in it.

use crate::{deployments, ground::Ground, job_runs};
use types::{App, AppId, DesiredState, Domain, Result, RuleAction, Stream};

/// What leads to apps, for those who look at many of them.
pub(crate) struct Ways {
    domains: Vec<Domain>,
    streams: Vec<Stream>,
}

impl Ways {
    pub fn of(ground: &Ground) -> Result<Ways> {
        Ok(Ways {
            domains: ground.store.domains.list()?.into_iter().map(|one| one.value).collect(),
            streams: ground.store.streams.list()?.into_iter().map(|one| one.value).collect(),
        })
    }

    /// Why the app may not sleep, as it is set up; `None`: it may.
    pub fn keep_awake(&self, app: &App) -> Option<String> {
        if let Some(stream) = self.streams.iter().find(|stream| stream.app == app.id) {
            return Some(format!(
                "port {} of the server leads to it, and only HTTP can wake it",
                stream.listen
            ));
        }
        if let Some(domain) = self.domains.iter().find(|one| one.app == app.id && one.passthrough.is_some()) {
            return Some(format!(
                "TLS of {} is passed on to it unopened, and only HTTP can wake it",
                domain.host
            ));
        }
        for domain in &self.domains {
            match domain.canary.as_ref().filter(|canary| canary.failed.is_none()) {
                Some(_) if domain.app == app.id => return Some(format!("a canary at {} is under way", domain.host)),
                // Whose domain that is, is not for everybody who sees this app.
                Some(canary) if canary.app == app.id => return Some("it is the canary of another app".into()),
                _ => {}
            }
        }
        let leads = |domain: &Domain| {
            let mut rules = domain.rules.iter().filter(|rule| rule.enabled);
            domain.app == app.id || rules.any(|rule| names(&rule.action, &app.id))
        };
        match self.domains.iter().any(leads) {
            true => None,
            false => Some("no domain leads to it, so no request could wake it".into()),
        }
    }
}

fn names(action: &RuleAction, app: &AppId) -> bool {
    action.apps().any(|named| named == app)
}

/// Why it is not put to sleep now although it is set up so that it may.
pub(super) fn is_busy(ground: &Ground, app: &App) -> Result<Option<String>> {
    if app.desired == DesiredState::Stopped || app.release.is_none() {
        return Ok(Some("it does not run".into()));
    }
    if app.release.as_ref().is_some_and(|live| app.given_up(live).next().is_some()) {
        return Ok(Some("it was given up on, which has to be seen".into()));
    }
    // Not the newest alone: while the canary of one is tried, a newer one may have come and gone.
    if deployments::is_any_active(ground, app)? {
        return Ok(Some("a deployment is under way".into()));
    }
    if ground.sleeping.terminals.lock().expect("no panic while held").contains_key(&app.id) {
        return Ok(Some("a terminal is open in it".into()));
    }
    if app.source.stack().is_some() && !job_runs::going(ground, &app.id)?.is_empty() {
        return Ok(Some("a job is under way, which may need its services".into()));
    }
    Ok(None)
}
