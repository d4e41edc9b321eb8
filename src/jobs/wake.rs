//! The bell of a job.

use std::sync::Arc;
use tokio::sync::Notify;

/// Wakes a job. Make one first and give it to [`crate::Runner::start_with`] where the bell is needed before the job is.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    pub fn new() -> Wake {
        Wake::default()
    }
    /// The job runs soon: now if it sleeps, once more if it runs. Many calls before it begins are one.
    pub fn wake(&self) {
        self.0.notify_one();
    }
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}
