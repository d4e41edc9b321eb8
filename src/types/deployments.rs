//! A deployment: the recorded way from a wish to a live release.
//!
//! The phase is on disk before its work begins, so that after a crash the work is done again or closed in words.

use crate::{AppId, CanaryLimits, DeliveryId, DeploymentId, GitRef, ImageRef, OrganizationId, ReleaseId, Slug, Time, UploadId};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub organization: OrganizationId,
    pub app: AppId,
    /// #1, #2, … within the app.
    pub number: u64,
    pub cause: Cause,
    /// Who asked, in words.
    pub by: String,
    /// What was asked for, in place of the app's branch.
    pub reference: Option<GitRef>,
    pub commit: Option<Commit>,
    /// What is built, where it was uploaded.
    #[serde(default)]
    pub upload: Option<UploadId>,
    /// In place of the app's image: another tag or digest of its repository.
    #[serde(default)]
    pub image: Option<ImageRef>,
    /// The build server that its builds went to; `None`: they were made here, or there were none.
    #[serde(default)]
    pub built_on: Option<Slug>,
    pub phase: Phase,
    /// The phases so far, oldest first.
    pub steps: Vec<Step>,
    /// What is being made live.
    pub release: Option<ReleaseId>,
    /// What was live when it began.
    pub previous: Option<ReleaseId>,
    /// Why it failed, in one sentence.
    pub error: Option<String>,
    pub cancel_requested: bool,
    /// How often its work was begun: anew after each restart, and after work that broke off.
    #[serde(default)]
    pub begun: u32,
    pub queued_at: Time,
    pub finished_at: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Queued,
    /// The source or the image is brought here.
    Fetching,
    Building,
    /// A container of the new release is made beside the old one.
    Starting,
    /// Its health is checked; the old one still serves.
    Checking,
    /// It serves a share of the requests, beside the old one: [`ReleaseCanary`].
    Trying,
    /// It serves. What it replaced drains, and is then stopped.
    Live,
    Failed,
    Cancelled,
    /// A newer deployment of the same app came before this one began, or while its canary was tried.
    Superseded,
}

impl Phase {
    pub fn is_final(self) -> bool {
        matches!(self, Phase::Live | Phase::Failed | Phase::Cancelled | Phase::Superseded)
    }
    pub fn word(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Fetching => "fetching",
            Phase::Building => "building",
            Phase::Starting => "starting",
            Phase::Checking => "checking",
            Phase::Trying => "trying",
            Phase::Live => "live",
            Phase::Failed => "failed",
            Phase::Cancelled => "cancelled",
            Phase::Superseded => "superseded",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub phase: Phase,
    pub started_at: Time,
    pub finished_at: Option<Time>,
}

/// How a new release is tried before all requests go to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseCanary {
    /// 1 to 50 of a hundred requests.
    pub percent: u8,
    /// For so long it has to do well.
    pub seconds: u32,
    /// When it has failed, over the requests to all hosts of the app.
    #[serde(default)]
    pub limits: CanaryLimits,
}

impl ReleaseCanary {
    pub fn words(&self) -> String {
        share_in_words(self.percent, self.seconds)
    }
}

/// `10 of 100 requests for 10 min`
pub fn share_in_words(percent: impl std::fmt::Display, seconds: u32) -> String {
    let span = match seconds {
        hours if hours.is_multiple_of(3600) => format!("{} h", hours / 3600),
        minutes if minutes.is_multiple_of(60) => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    };
    format!("{percent} of 100 requests for {span}")
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Cause {
    /// Somebody asked for it.
    Manual,
    /// The app's first.
    Created,
    /// Back to a release that was live before.
    Rollback {
        to: ReleaseId,
        /// Domains stay as they are now: it was wished, or is not for whoever goes back to change.
        #[serde(default)]
        keep_routes: bool,
        /// Ports of the server stay as they are now: it was wished, or is not for whoever goes back to change.
        #[serde(default = "yes")]
        keep_ports: bool,
        /// Where routes that come back may lead besides.
        #[serde(default)]
        reach: Reach,
        /// What stays as it is because whoever goes back may not change it, in words.
        #[serde(default)]
        kept: Vec<String>,
        /// Why the panel goes back by itself; `None`: somebody asked for it.
        #[serde(default)]
        why: Option<String>,
    },
    /// The image of another app's release, with this app's own configuration.
    Promotion { app: AppId, release: ReleaseId },
    /// Something was pushed.
    Push { delivery: DeliveryId },
    /// Its registry has a newer image under the tag.
    NewImage { image: String, digest: String },
}

impl Cause {
    pub fn word(&self) -> &'static str {
        match self {
            Cause::Manual => "by hand",
            Cause::Created => "the first",
            Cause::Rollback { .. } => "rollback",
            Cause::Promotion { .. } => "promotion",
            Cause::Push { .. } => "push",
            Cause::NewImage { .. } => "newer image",
        }
    }
}

fn yes() -> bool {
    true
}

/// Where routes that come back may lead though they do not now, by the rights of whoever goes back. By default nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reach {
    /// To servers that the panel does not run, forward-auth and origins: those may lie in an inner network.
    pub outside: bool,
    /// To these apps.
    pub apps: Vec<AppId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// 40 hex digits.
    pub id: String,
    /// The first line of the message.
    pub subject: String,
    pub author: String,
    pub at: Time,
}

impl Deployment {
    /// Moves on to `phase`, closing the step before it.
    pub fn enter(&mut self, phase: Phase, now: Time) {
        if let Some(step) = self.steps.last_mut() {
            step.finished_at.get_or_insert(now);
        }
        self.phase = phase;
        let finished_at = phase.is_final().then_some(now);
        self.steps.push(Step {
            phase,
            started_at: now,
            finished_at,
        });
        if phase.is_final() {
            self.finished_at = Some(now);
        }
    }
}
