//! This machine: what it is, what it uses now, whether an address answers, and what a doctor would say.
//!
//! Everything is read from the kernel's own files or asked with a time limit. Nothing here changes the machine, but that
//! [`Builds`] holds the steps of builds to their limits. Linux only.

mod build_disk;
mod build_steps;
mod builds;
mod clock;
mod doctor;
mod folders;
mod interfaces;
mod machine;
mod names;
mod ports;
mod probes;

pub use build_disk::DiskExcess;
pub use build_steps::Excess;
pub use builds::{BuildPermit, Builds, hold_builds};
pub use folders::{folder_bytes, free_bytes};
pub use machine::{Host, disk_bytes};
pub use probes::probe;
