//! Runs what must happen again and again: reconcilers, clean-up, samplers.
//!
//! A job's run takes no input: it reads what should be and what is, and closes the gap. So a run after a crash, a lost
//! wake-up or a jump of the clock is like any other. The runner owns when to run, the stop signal and the status; what a
//! job does is its own business.

mod runner;
mod status;
mod wake;

pub use runner::Runner;
pub use status::Status;
pub use wake::Wake;

use async_trait::async_trait;
use serde::Serialize;
use types::Result;

/// Something that is done at start, after each wake-up, and every so often.
#[async_trait]
pub trait Job: Send + 'static {
    /// In the log, the API and the UI: `certificate_renew`.
    const NAME: &'static str;
    /// What one run found and did.
    type Report: Serialize + Send;
    /// One run. A failure waits for the next turn; a panic counts as one, and the job is used again after it.
    async fn run(&mut self) -> Result<Self::Report>;
}
