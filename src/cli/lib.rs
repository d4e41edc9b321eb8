//! The commands of `serverkit` that talk to a running panel. Everything goes through its API, by way of `client`;
//! on the panel's own machine over its socket, from elsewhere over https with a token.
//!
//! The binary adds what runs without a panel (`serve`, `config check`):
//!
//! ```ignore
//! #[derive(clap::Parser)]
//! #[command(name = "serverkit", version, about = cli::ABOUT, after_help = cli::AFTER_HELP)]
//! struct Cli {
//!     #[command(flatten)]
//!     globals: cli::Globals,
//!     #[command(subcommand)]
//!     command: Command,
//! }
//! #[derive(clap::Subcommand)]
//! enum Command {
//!     Serve(Serve),
//!     #[command(flatten)]
//!     Panel(cli::Command),
//! }
//! // Command::Panel(command) => cli::run(cli.globals, command, Cli::command()).await
//! ```
//!
//! A noun has one file, with its arguments and what they do; the texts of `--help` are the manual. Exit codes and
//! hints are in [`failure`], tables and JSON in [`output`].

mod account;
mod allow_lists;
mod app_jobs;
mod apps;
mod ask;
mod audit;
mod build_cache;
mod build_servers;
mod catalog;
mod catalog_search;
mod catalog_sources;
mod certificates;
mod ci_trusts;
mod clones;
mod commands;
mod completions;
mod compose;
mod config;
mod deployments;
mod diagnosis;
mod dns;
mod domain_traffic;
mod domains;
mod edge;
mod failure;
mod files;
mod forges;
mod freezes;
mod identity_providers;
mod image_watches;
mod imports;
mod limits;
mod lists;
mod logs;
mod mail;
mod organizations;
mod output;
mod passkeys;
mod policies;
mod previews;
mod progress;
mod projects;
mod quotas;
mod registries;
mod releases;
mod rights;
mod rules;
mod saml;
mod security;
mod sessions;
mod settings;
mod sources;
mod spans;
mod status;
mod target;
mod template_updates;
mod terminal;
mod tokens;
mod trash;
mod typed;
mod upgrade;
mod uploads;
mod users;
mod variables;
mod volumes;
mod webhooks;

pub use commands::{ABOUT, AFTER_HELP, Command, Globals, run};
