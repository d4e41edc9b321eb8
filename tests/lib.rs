//! Black-box tests of a running panel, a subject to a file; `tidy` checks the shape of the code itself.
//!
//! Tests named `docker_…` use the tests' engine and run one at a time; the others run beside each other without one.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod acme;
mod allow_lists;
mod api_limits;
mod apps_bad_input;
mod audit;
mod balancing;
mod build_cache;
mod catalog;
mod catalogs;
mod ci_trusts;
mod cli;
mod compose;
mod compose_reference;
mod compose_source;
mod deploy;
mod edge_live;
mod faults;
mod files;
mod forges;
mod freezes;
mod guards;
mod identity_providers;
mod image_watches;
mod invitations;
mod jobs;
mod ldap;
mod mail;
mod organizations;
mod passwords;
mod policies;
mod ports;
mod quotas;
mod registries;
mod releases;
mod replicas;
mod rights;
mod routing;
mod saml;
mod samples_live;
mod schemathesis;
mod second_factor;
mod secrets;
mod setup_and_signin;
mod sources;
mod tidy;
mod upgrade;
mod uploads;
mod variables;
mod webhooks;
mod zero_downtime;
