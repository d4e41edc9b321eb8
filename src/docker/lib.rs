//! The Engine API in serverkit's words: containers, images, builds, networks, volumes, exec, logs, stats and events.
//!
//! Only this crate names bollard. [`Docker`] is a cheap clone that connects when it is used, so that an engine which is
//! not there yet, stops or is upgraded is a failed call and not a broken client. What should run is decided elsewhere;
//! everything here may be called again after a crash: what exists already is left as it is.

mod build_cache;
mod builds;
mod connect;
mod containers;
mod copies;
mod dial;
mod digests;
mod events;
mod exec;
mod failures;
mod held;
mod images;
mod lines;
mod logs;
mod moves;
mod networks;
mod progress;
mod runs;
mod services;
mod session;
mod ssh;
mod stats;
mod transport;
mod volumes;

#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod testing;

/// bollard prints whole requests and answers at debug level, and they hold secrets: nobody must be able to ask for it.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Info as usize);

pub use connect::Docker;
pub use dial::{Dial, Wire};
pub use exec::{Exec, ExecControl};
pub use ssh::{SshDial, ssh_host_key};
