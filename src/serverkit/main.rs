//! The binary: `serve`, `config check`, and the commands of `cli`.

mod config;
mod handover;
mod jobs;
mod openapi;
mod serve;
mod terminal;
mod upgrade;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Its free lists keep a busy panel's memory flat; glibc's fragment.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "serverkit", version, about = cli::ABOUT, after_help = cli::AFTER_HELP)]
struct Program {
    #[command(flatten)]
    globals: cli::Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the panel, the edge and everything else on this machine
    Serve(serve::Serve),
    /// The configuration file
    #[command(subcommand)]
    Config(config::Command),
    /// Print the OpenAPI document
    #[command(hide = true)]
    Openapi,
    /// Hold the steps of builds to their limits, as root, for a panel that is not (systemd/serverkit-builds.service)
    #[command(hide = true)]
    HoldBuilds {
        /// The panel's runtime folder
        runtime: PathBuf,
    },
    #[command(flatten)]
    Panel(cli::Command),
}

fn main() -> ExitCode {
    // Where the kernel backs all memory by huge pages, small things far apart would hold 2 MB each: twice the memory in all.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let Program { globals, command } = Program::parse();
    // Once for the process: rustls must not guess between its back ends.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match command {
        Command::Serve(flags) => terminal::ended(serve::serve(globals.data, flags)),
        Command::Config(command) => terminal::ended(config::run(command)),
        Command::HoldBuilds { runtime } => terminal::ended(host::hold_builds(&runtime)),
        Command::Openapi => openapi::print(),
        Command::Panel(command) => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(cli::run(globals, command, Program::command())),
            Err(error) => terminal::ended(Err(types::Error::internal("starting", error))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        Program::command().debug_assert();
    }

    #[test]
    fn promised_forms_parse() {
        for line in [
            "serverkit serve",
            "serverkit serve --dev",
            "serverkit serve --data /tmp/x --http 127.0.0.1:8080 --https :8443 --panel 9443 --config /etc/x.toml",
            "serverkit --data /tmp/x serve",
            "serverkit config check",
            "serverkit config check /etc/x.toml",
            "serverkit openapi",
            "serverkit app list --json",
        ] {
            assert!(Program::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
