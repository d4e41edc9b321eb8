//! What the black-box tests are written with: a real panel per test ([`TestPanel`]), a client of its API
//! ([`Api`]), Git repositories ([`GitFixture`]) and a server for them, an ACME server ([`Pebble`], and [`AcmeFront`] before it), a name server ([`NameServer`]), an engine that
//! may be stopped ([`PrivateEngine`]), WebSockets, HTTP/3 ([`Http3`]), load, and polling ([`eventually`]).
//!
//! It uses nothing of serverkit's own code: what it checks is what a user would see.
#![allow(clippy::print_stdout)]

mod acme;
mod acme_front;
mod api;
mod cli;
mod deployments;
mod engine;
mod git;
mod git_server;
mod http3;
mod load;
mod mortal;
mod name_server;
mod network;
mod panel;
mod polling;
mod python;
mod registry;
mod socket;

pub use acme::{EXTERNAL_ACCOUNT, Pebble, TestAuthority};
pub use acme_front::{AcmeFront, Advice, moment, renewal_id};
pub use api::{Api, Reply};
pub use cli::{Output, run_serverkit};
pub use engine::{PrivateEngine, docker, docker_host};
pub use git::GitFixture;
pub use git_server::{GitServer, SshServer};
pub use http3::Http3;
pub use load::{Load, LoadReport};
pub use mortal::{Death, Mortal};
pub use name_server::NameServer;
pub use network::{Tls, free_port, insecure_tls, reserve_ports, tls, tls_as};
pub use panel::{OWNER, Options, TestPanel, serverkit_binary};
pub use polling::{eventually, eventually_ok};
pub use python::python;
pub use registry::Registry;
pub use socket::Socket;

/// A folder of `tests/samples`.
pub fn sample(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/samples")
        .join(name);
    assert!(folder.is_dir(), "no sample `{name}` in tests/samples");
    folder
}
