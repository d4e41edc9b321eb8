//! What is known of a job's runs.

use serde::Serialize;
use types::Time;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    pub name: &'static str,
    /// Begun so far.
    pub runs: u64,
    pub running: bool,
    pub last_started: Option<Time>,
    pub last_finished: Option<Time>,
    /// Of the last run that went well; null before the first.
    pub report: serde_json::Value,
    /// 0 after a run that went well.
    pub failures_in_row: u32,
    /// Why the last failure failed; `None` after a run that went well.
    pub last_error: Option<String>,
}

impl Status {
    pub(crate) fn new(name: &'static str) -> Status {
        Status {
            name,
            runs: 0,
            running: false,
            last_started: None,
            last_finished: None,
            report: serde_json::Value::Null,
            failures_in_row: 0,
            last_error: None,
        }
    }
    pub(crate) fn begin(&mut self, now: Time) {
        self.runs += 1;
        self.running = true;
        self.last_started = Some(now);
    }
    pub(crate) fn end(&mut self, now: Time, outcome: Result<serde_json::Value, String>) {
        self.running = false;
        self.last_finished = Some(now);
        match outcome {
            Ok(report) => {
                self.report = report;
                self.failures_in_row = 0;
                self.last_error = None;
            }
            Err(error) => {
                self.failures_in_row = self.failures_in_row.saturating_add(1);
                self.last_error = Some(error);
            }
        }
    }
}
