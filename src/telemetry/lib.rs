//! What the panel keeps about what happens: logs of deployments and apps, and measurements over time.
//!
//! Neither is state: they live beside the store, in files and in memory of their own, bounded in size. Every line
//! passes the [`Redactor`] before it touches the disk, so that no secret that the panel knows lands in a log.
//! Where lines and figures come from is others' business.

mod encodings;
mod logs;
mod metrics;
mod redactor;
mod segments;

pub use logs::{LogEntry, LogStore, LogWriter, Numbered, Page};
pub use metrics::Metrics;
pub use redactor::Redactor;
