//! A change of the running program for another version of it.

use crate::Time;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The newest one. It is kept in a file beside the store, because the old and the new process both write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The version that ran.
    pub from: String,
    /// The version that takes over.
    pub to: String,
    /// Our copy of it.
    pub binary: PathBuf,
    pub state: UpgradeState,
    /// Why the version before runs again.
    pub error: Option<String>,
    /// Who asked for it.
    pub by: String,
    pub started_at: Time,
    pub ended_at: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeState {
    /// The new process starts and takes over sockets and state.
    Switching,
    /// It serves; the old one watches it and stands by.
    Watching,
    Done,
    /// The version before runs again; see `error`.
    Failed,
}
