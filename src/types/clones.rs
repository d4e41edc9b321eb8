//! An environment that is made from another one: staging from production, with its data or without.
//!
//! What is made is recorded in one step, apps and all; its apps are locked until their data is there. An [`EnvironmentClone`]
//! says how far it is, what was stopped for it, and what goes again should it fail.

use crate::{AppId, AppName, CloneId, EnvironmentId, Host, OrganizationId, ProjectId, Slug, Time, VolumeId};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentClone {
    pub id: CloneId,
    pub organization: OrganizationId,
    pub project: ProjectId,
    pub from: EnvironmentId,
    /// What it was called then.
    pub from_name: Slug,
    pub to: EnvironmentId,
    pub name: Slug,
    pub apps: Vec<ClonedApp>,
    /// All that were made for it.
    pub volumes: Vec<ClonedVolume>,
    /// Hosts that were made for it.
    pub hosts: Vec<Host>,
    /// What writes to the volumes may be stopped while they are copied.
    pub stop: bool,
    /// They were stopped for the copy, and are started again.
    pub stopped: Vec<AppId>,
    /// Deploy the apps once their data is there.
    pub deploy: bool,
    pub phase: ClonePhase,
    /// How it fares, in one sentence.
    pub why: String,
    /// What was not done, each in one sentence: an app that could not be deployed.
    pub notes: Vec<String>,
    pub steps: Vec<CloneStep>,
    pub cancel_requested: bool,
    /// Who asked, in words.
    pub by: String,
    pub created_at: Time,
    pub updated_at: Time,
    pub finished_at: Option<Time>,
}

/// An app, and the one that was made from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClonedApp {
    pub from: AppId,
    pub to: AppId,
    pub name: AppName,
}

/// A volume, and the one that stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClonedVolume {
    pub from: VolumeId,
    pub to: VolumeId,
    pub name: Slug,
    /// It gets a copy of the data; else it is empty.
    pub data: bool,
    /// The copy is made.
    pub copied: bool,
    /// What is in the copy. `None`: not measured, or there was nothing to copy.
    pub bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneStep {
    pub phase: ClonePhase,
    pub started_at: Time,
    pub finished_at: Option<Time>,
}

/// Stops what writes to the data, copies it, starts that again, deploys what was made; or undoes all of it. What each means for people
/// is said where they read it: `ClonePhase` in `api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClonePhase {
    Stopping,
    Copying,
    Starting,
    Deploying,
    Done,
    Undoing,
    Failed,
    Cancelled,
}

impl ClonePhase {
    pub fn is_final(self) -> bool {
        matches!(self, ClonePhase::Done | ClonePhase::Failed | ClonePhase::Cancelled)
    }
    /// Whether it can be taken back as if it had never been: nothing of it has run yet.
    pub fn is_cancellable(self) -> bool {
        matches!(self, ClonePhase::Stopping | ClonePhase::Copying | ClonePhase::Starting)
    }
    pub fn word(self) -> &'static str {
        match self {
            ClonePhase::Stopping => "stopping",
            ClonePhase::Copying => "copying",
            ClonePhase::Starting => "starting",
            ClonePhase::Deploying => "deploying",
            ClonePhase::Done => "done",
            ClonePhase::Undoing => "undoing",
            ClonePhase::Failed => "failed",
            ClonePhase::Cancelled => "cancelled",
        }
    }
}

impl EnvironmentClone {
    /// Ends the step before, and begins one.
    pub fn enter(&mut self, phase: ClonePhase, why: impl Into<String>, now: Time) {
        if let Some(last) = self.steps.last_mut() {
            last.finished_at = last.finished_at.or(Some(now));
        }
        self.steps.push(CloneStep {
            phase,
            started_at: now,
            finished_at: phase.is_final().then_some(now),
        });
        self.phase = phase;
        self.why = why.into();
        self.updated_at = now;
        if phase.is_final() {
            self.finished_at = Some(now);
        }
    }
    /// Of the copies that are made.
    pub fn copied_bytes(&self) -> u64 {
        self.volumes.iter().filter_map(|volume| volume.bytes).sum()
    }
    pub fn copies_data(&self) -> bool {
        self.volumes.iter().any(|volume| volume.data)
    }
}
