//! Git: a working tree of a branch, tag or commit, from https, http, ssh or a path on this machine.
//!
//! Beside it, the APIs of forges: [`forges`]; what they send when something was pushed: [`webhooks`]; and source that people upload: [`archive`].
//!
//! It is libgit2, so no `git` is needed on the machine and nothing of the machine's own Git configuration has a say.
//! libgit2 blocks, so the work runs on threads for blocking work. What to fetch, when, and where the keys are kept is
//! others' business.
//!
//! Names are resolved by libc (`getaddrinfo`), not by the resolver that the rest uses, as libgit2 opens its own
//! connections. glibc has `files` and `dns` within itself since 2.34, so that works in a static binary too. Where addresses are bounded
//! libgit2 connects to a door of ours instead ([`egress::Door`]), which looks the name up and connects to what it looked at.

pub mod archive;
#[cfg(test)]
mod bounded_tests;
mod branches;
mod compare;
mod deploy_key;
mod download;
mod failures;
mod fetch;
pub mod forges;
mod lfs;
mod lfs_by_ssh;
mod progress;
mod references;
mod remote;
mod setup;
mod ssh;
mod submodules;
mod target;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;
pub mod webhooks;

pub use branches::{Branch, branches};
pub use compare::{Compare, Compared, Tip, compare, tips};
pub use deploy_key::DeployKey;
pub use download::Downloads;
pub use fetch::{Fetch, Fetched, fetch};
pub use setup::prepare;

use types::Secret;

/// How to get in.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// Public, or a path on this machine.
    #[default]
    None,
    /// For http(s): a password or an access token. Some forges want a certain user name with a token.
    Password { user: String, password: Secret },
    /// For ssh: a private key in OpenSSH's format, without a passphrase.
    Key { private: Secret },
}
