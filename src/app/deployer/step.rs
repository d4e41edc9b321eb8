//! The work of one phase of a deployment, and where it goes from there.

use super::log::Log;
use crate::{builders::Place, ground::Ground, quotas, releases};
use std::sync::Arc;
use types::{App, Cause, Deployment, Error, Phase, Release, Result};

/// What a step made, and where the deployment goes from there.
pub(super) struct Next {
    pub(super) phase: Phase,
    pub(super) commit: Option<types::Commit>,
    pub(super) release: Option<types::ReleaseId>,
    pub(super) live: Option<Made>,
    /// Why it ends, where it ends in another way than live.
    pub(super) why: Option<String>,
}

pub(super) enum Made {
    Release(Box<Release>),
    Live(types::ReleaseId),
}

impl Next {
    pub(super) fn to(phase: Phase) -> Next {
        Next {
            phase,
            commit: None,
            release: None,
            live: None,
            why: None,
        }
    }
    pub(super) fn live(release: &Release) -> Next {
        Next {
            live: Some(Made::Live(release.id.clone())),
            ..Next::to(Phase::Live)
        }
    }
    /// It is not to go live, though nothing failed.
    pub(super) fn ends(phase: Phase, why: impl Into<String>) -> Next {
        Next {
            why: Some(why.into()),
            ..Next::to(phase)
        }
    }
    pub(super) fn change(&self, deployment: &mut Deployment) {
        if let Some(commit) = &self.commit {
            deployment.commit = Some(commit.clone());
        }
        if let Some(release) = &self.release {
            deployment.release = Some(release.clone());
        }
    }
}
/// The work of one phase.
pub(super) struct Step<'a> {
    pub(super) ground: &'a Arc<Ground>,
    pub(super) app: &'a App,
    pub(super) deployment: &'a Deployment,
    pub(super) log: &'a Log,
    /// Its work was begun before a restart of the panel.
    pub(super) goes_on: bool,
}
impl Step<'_> {
    pub(super) async fn perform(&self) -> Result<Next> {
        match (self.deployment.phase, &self.deployment.cause) {
            (Phase::Queued, Cause::Rollback { kept, why, .. }) => {
                if let Some(why) = why {
                    self.log.note(format!("going back from what kept exiting: {why}")).await;
                }
                for words in kept {
                    self.log.note(words.clone()).await;
                }
                Ok(Next::to(Phase::Starting))
            }
            (Phase::Queued, cause) => {
                // What was pushed is asked nowhere else, and what waited may have waited long.
                quotas::may_deploy(self.ground, self.app, cause)?;
                quotas::must_have_disk(self.ground, self.app, cause).await?;
                if let Some(Place::Nowhere(why)) = self.ground.running.place(&self.deployment.id) {
                    return Err(Error::busy(why));
                }
                Ok(Next::to(Phase::Fetching))
            }
            (Phase::Fetching, Cause::Promotion { release, .. }) => self.fetch_promoted(release).await,
            (Phase::Fetching, _) => {
                let next = self.fetch().await?;
                if next.phase == Phase::Building {
                    quotas::count_build(self.ground, self.app).await?;
                }
                Ok(next)
            }
            (Phase::Building, _) => self.build().await,
            (Phase::Starting, _) => self.start().await,
            (Phase::Checking, _) => self.check().await,
            (Phase::Trying, _) => self.try_out().await,
            (Phase::Live | Phase::Failed | Phase::Cancelled | Phase::Superseded, _) => unreachable!("a final phase has no work"),
        }
    }

    pub(super) fn is_rollback(&self) -> bool {
        matches!(self.deployment.cause, Cause::Rollback { .. })
    }

    pub(super) fn release(&self) -> Result<Release> {
        let id = self
            .deployment
            .release
            .as_ref()
            .ok_or_else(|| Error::busy("its release is gone; deploy again"))?;
        releases::find(self.ground, id)?.ok_or_else(|| Error::busy("its release was removed meanwhile; deploy again"))
    }
}
