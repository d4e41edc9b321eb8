//! Previews: an app's pull requests, each running in an environment of its own while it is open.
//!
//! What runs is an ordinary app in an ordinary environment; a [`Preview`] says whose they are and what should become of them.

use crate::{AppId, EnvironmentId, Host, OrganizationId, Sealed, Time, VariableKey, VariableScope};
use serde::{Deserialize, Serialize};

/// Which pull requests of an app are previewed, and how. There is at most one for each app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRules {
    pub organization: OrganizationId,
    pub app: AppId,
    /// While they are off there are no previews.
    pub enabled: bool,
    /// Where they are: `pr-{number}.{app}.{domain}`; `{domain}` is the apps' domain.
    pub host: String,
    /// Only requests with this label.
    pub only_label: Option<String>,
    /// No request with this label.
    pub never_label: Option<String>,
    /// So many at a time.
    pub most: u32,
    /// One goes after so many days without a push.
    pub days: u32,
    /// In place of the app's own.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core, in place of the app's own.
    pub cpu_millis: Option<u32>,
    /// Secret variables that previews get nevertheless; those of forks never do.
    pub secrets: Vec<VariableKey>,
    /// In place of the app's own, and of what it inherits.
    pub variables: Vec<PreviewVariable>,
    pub database: Option<PreviewDatabase>,
    /// Write a comment beside the request, and keep it true.
    pub comment: bool,
    /// When the open requests were asked for last.
    pub compared_at: Option<Time>,
    /// Why they could not be.
    pub problem: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// A variable that previews have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewVariable {
    pub key: VariableKey,
    pub value: Sealed,
    pub scope: VariableScope,
    /// Not for requests from forks.
    pub secret: bool,
}

/// An app beside the previewed one that each preview gets a copy of, under the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewDatabase {
    pub app: AppId,
    pub data: PreviewData,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviewData {
    /// Empty volumes, and new passwords.
    Fresh,
    /// A copy of its volumes. It must be stopped: the files of a running database are not of one moment.
    Copy,
}

/// A pull or merge request, as a forge tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    /// Its page at the forge.
    pub url: String,
    pub author: Option<String>,
    /// What is to be merged.
    pub branch: String,
    /// Where to.
    pub base: String,
    /// The newest commit: 40 hex digits, at Bitbucket the first 12.
    pub head: String,
    /// It comes from another repository than the one it is for.
    pub fork: bool,
    /// `owner/name` that it comes from; `None`: that is gone.
    pub from: Option<String>,
    pub labels: Vec<String>,
    /// Neither merged nor closed.
    pub open: bool,
    pub merged: bool,
}

impl PullRequest {
    /// Ten digits of the newest commit.
    pub fn short(&self) -> &str {
        self.head.get(..10).unwrap_or(&self.head)
    }
}

/// What should be, and what is, of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    pub organization: OrganizationId,
    /// The app that is previewed.
    pub of: AppId,
    pub request: PullRequest,
    pub state: PreviewState,
    /// The state in words.
    pub why: String,
    /// Somebody asked for it in spite of its labels.
    pub forced: bool,
    /// The commit of a fork that somebody has looked at and allowed.
    pub approved: Option<PreviewApproval>,
    /// `None`: nothing is made.
    pub environment: Option<EnvironmentId>,
    pub app: Option<AppId>,
    /// The copy of its database.
    pub database: Option<AppId>,
    pub host: Option<Host>,
    /// The commit that was handed to the deployer last.
    pub deployed: Option<String>,
    /// Why the next step cannot be done; it is tried again.
    pub problem: Option<String>,
    /// The forge's id of the comment.
    pub comment: Option<String>,
    /// What it says.
    pub told: Option<String>,
    /// In a row, that telling failed; it is tried again at `tell_at`.
    pub tell_failures: u32,
    pub tell_at: Option<Time>,
    pub tell_problem: Option<String>,
    /// Who pushed last, in words.
    pub by: String,
    pub pushed_at: Time,
    pub created_at: Time,
    pub updated_at: Time,
}

/// Somebody has looked at one commit of a fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewApproval {
    pub commit: String,
    pub by: String,
    pub at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviewState {
    /// From a fork: somebody must allow its commit first. What was allowed before runs on.
    Waiting,
    /// There are as many as there may be.
    Full,
    /// Its labels leave it out.
    LeftOut,
    /// It is to be made, or renewed.
    Wanted,
    /// What the deployer was given is the newest.
    Up,
    /// It is to be removed.
    Going,
    /// Nothing is left of it but this record.
    Gone,
}

impl PreviewState {
    pub fn word(self) -> &'static str {
        match self {
            PreviewState::Waiting => "waiting",
            PreviewState::Full => "full",
            PreviewState::LeftOut => "left out",
            PreviewState::Wanted => "wanted",
            PreviewState::Up => "up",
            PreviewState::Going => "going",
            PreviewState::Gone => "gone",
        }
    }
}

impl Preview {
    /// Counts among those that there may be.
    pub fn takes_place(&self) -> bool {
        self.environment.is_some() || matches!(self.state, PreviewState::Wanted | PreviewState::Up)
    }
    /// Its newest commit may run: it is of nobody else, or was looked at.
    pub fn is_trusted(&self) -> bool {
        !self.request.fork || self.approved.as_ref().is_some_and(|approved| approved.commit == self.request.head)
    }
}
