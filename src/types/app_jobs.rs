//! Jobs of an app: a command in its image, at times or once, and what became of each run.

use crate::{AppId, JobId, OrganizationId, ReleaseId, RunId, Slug, Time};
use serde::{Deserialize, Serialize};

/// A command that is run again and again, with the image, variables, files and volumes of what is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppJob {
    pub id: JobId,
    pub organization: OrganizationId,
    pub app: AppId,
    /// Unique in the app.
    pub name: Slug,
    /// Arguments; no shell.
    pub command: Vec<String>,
    /// Which service's image, of a stack; `None`: the main one's.
    pub service: Option<String>,
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// By its name in the IANA database, such as `Europe/Berlin`.
    pub zone: String,
    /// A run that takes longer is ended.
    pub limit_seconds: u32,
    pub overlap: Overlap,
    /// A time that passed while the panel was off is made up for, once.
    pub catch_up: bool,
    pub enabled: bool,
    /// Administrators get a mail when it fails, after it went well before.
    #[serde(default = "yes")]
    pub alert: bool,
    /// `None`: never, or not while it is off.
    pub next_at: Option<Time>,
    /// Since when a run waits for the one before it to end.
    pub waiting_since: Option<Time>,
    pub created_at: Time,
}

fn yes() -> bool {
    true
}

/// What happens when it is time again and the run before is still going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The new one is left out.
    Skip,
    /// The new one waits until the old one has ended; at most one waits.
    Queue,
    /// The old one is ended.
    Replace,
    /// Both go on.
    Beside,
}

/// One run of a job, or of a command that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRun {
    pub id: RunId,
    pub organization: OrganizationId,
    pub app: AppId,
    /// `None`: a command that somebody gave.
    pub job: Option<JobId>,
    /// What it was called then.
    pub name: Option<Slug>,
    pub release: ReleaseId,
    /// Without what is known to be secret.
    pub command: Vec<String>,
    pub service: Option<String>,
    pub limit_seconds: u32,
    /// It ends when nobody follows its output any more.
    pub attached: bool,
    /// Who asked, in words.
    pub by: String,
    pub phase: RunPhase,
    /// The command's exit code, once it has ended by itself.
    pub code: Option<i64>,
    /// Why it did not go well, in one sentence.
    pub error: Option<String>,
    pub started_at: Time,
    pub finished_at: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    Running,
    Done,
    Failed,
    /// It took longer than its limit.
    TimedOut,
    Cancelled,
    /// The one before was still going, or too many were.
    Skipped,
    /// The panel was off when it was time.
    Missed,
    /// The panel ended while it ran.
    Lost,
}

impl RunPhase {
    pub fn is_final(self) -> bool {
        self != RunPhase::Running
    }
    /// Somebody should know.
    pub fn is_bad(self) -> bool {
        matches!(self, RunPhase::Failed | RunPhase::TimedOut | RunPhase::Missed | RunPhase::Lost)
    }
}
