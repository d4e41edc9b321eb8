//! What libgit2 keeps for the whole process.
#![allow(unsafe_code)] // libgit2's options are plain globals; they are set once, before anything else of it is used.

use git2::{ConfigLevel, opts};
use std::{sync::Once, time::Duration};

/// To connect.
const CONNECT: Duration = Duration::from_secs(15);
/// A server may be silent for so long. Git's own sends something every 5 s while it works.
pub const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 6 } else { 60 });

/// Makes libgit2 ready: time limits, the system's bundle of certificate authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR`
/// win), no regard for the machine's own Git configuration or for who owns a repository on this machine. Whatever here
/// needs it calls it; call it at start nevertheless, since finding the bundle may set those two variables, which is safe
/// only while there is one thread.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: nothing else sets these options, and `Once` keeps others from using libgit2 meanwhile.
        let done = unsafe {
            let levels = [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global];
            levels
                .into_iter()
                .try_for_each(|level| opts::set_search_path(level, ""))
                .and_then(|()| opts::set_verify_owner_validation(false))
                .and_then(|()| opts::set_server_connect_timeout_in_milliseconds(milliseconds(CONNECT)))
                .and_then(|()| opts::set_server_timeout_in_milliseconds(milliseconds(SILENCE)))
        };
        done.expect("libgit2 knows these options");
    });
}

fn milliseconds(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}
