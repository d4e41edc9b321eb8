//! How jobs and their runs are kept: by app, so that one app's are next to each other.

use crate::{Audited, Record, Told};
use types::{AppJob, JobRun, Kind};

impl Record for AppJob {
    const KIND: Kind = Kind::Job;
    const TREE: &'static str = "app_jobs";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["next_at", "waiting_since"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.id)
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.id.to_string(), format!("{}/{}", self.app, self.name)]
    }
}

impl Record for JobRun {
    const KIND: Kind = Kind::Run;
    const TREE: &'static str = "job_runs";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::when(Told::ByPeople);
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.id)
    }
    fn name(&self) -> String {
        self.id.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}
