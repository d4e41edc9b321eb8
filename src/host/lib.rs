//! This machine: what it is, what it uses now, whether an address answers, and what a doctor would say.
//!
//! Everything is read from the kernel's own files or asked with a time limit; nothing here changes the machine. Linux only.

mod clock;
mod doctor;
mod folders;
mod interfaces;
mod machine;
mod names;
mod ports;
mod probes;

pub use folders::folder_bytes;
pub use machine::Host;
pub use probes::probe;
