//! The commands as a list, and what leads from one to its end.

use crate::{
    account, app_jobs, apps, audit, build_cache, build_servers, catalog, certificates, ci_trusts, completions, compose, deployments,
    diagnosis, dns, domains, edge,
    failure::{Failure, Result},
    files, forges, freezes, identity_providers, image_watches, logs, mail, organizations,
    output::Output,
    passkeys, previews, projects, quotas, registries, releases, rights, security, sessions, settings, status, target, terminal, tokens,
    trash, upgrade, users, variables, volumes, webhooks,
};
use clap::{Args, Subcommand, builder::FalseyValueParser};
use std::{io::Write, path::PathBuf, process::ExitCode};

/// For `serverkit --help`.
pub const ABOUT: &str = "Turns a Linux server into a place where people push code and get a live HTTPS site";

/// For the end of `serverkit --help`.
pub const AFTER_HELP: &str = "\
Which panel: on its own machine, its socket in the data folder (--data, --socket, ./.serverkit, /var/lib/serverkit), without a login.
From elsewhere: `serverkit login URL` once, or SERVERKIT_URL and SERVERKIT_TOKEN for scripts.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 not signed in or not allowed, 4 not found, 5 no panel answers.

Examples:
  serverkit app create blog --git https://git.example.com/ada/blog.git --domain blog.example.com --wait
  serverkit env set blog GREETING=hello DATABASE_URL@/run/secrets/url --secret
  serverkit deploy blog --wait
  serverkit logs blog --follow
  serverkit rollback blog";

/// What holds for every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// The data folder of a panel on this machine
    ///
    /// Commands reach the panel through `panel.sock` in it. Without it: ./.serverkit if a panel runs there (as
    /// `serve --dev` makes it), else the panel of the last `serverkit login`, else /var/lib/serverkit.
    #[arg(long, value_name = "DIR", global = true, help_heading = "Global options")]
    pub data: Option<PathBuf>,
    /// The socket of a panel on this machine
    #[arg(long, value_name = "PATH", global = true, help_heading = "Global options")]
    pub socket: Option<PathBuf>,
    /// The address of a panel elsewhere, such as https://panel.example.com:9443
    ///
    /// Its token comes from SERVERKIT_TOKEN, or from the `serverkit login` to this address.
    #[arg(
        long,
        value_name = "URL",
        global = true,
        env = "SERVERKIT_URL",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub url: Option<String>,
    /// Believe certificates that this authority signed (a PEM file), beside those that the machine trusts
    ///
    /// For a panel without a public certificate: `serverkit cert authority` on its machine prints its own authority.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "SERVERKIT_CA",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub ca: Option<PathBuf>,
    /// Believe any certificate of the panel; somebody on the way can then read everything
    #[arg(long, global = true, env = "SERVERKIT_INSECURE", hide_env_values = true, value_parser = FalseyValueParser::new(), help_heading = "Global options")]
    pub insecure: bool,
    /// Print the API's JSON, and nothing else
    ///
    /// Results go to standard output as the API describes them (`/api/docs` on the panel); lists are
    /// `{"items": […], "next": null}` with all items. A failure goes to standard error as one object with
    /// `code` and `detail`. Streams print one object a line.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Do it without asking
    #[arg(long, short = 'y', global = true, help_heading = "Global options")]
    pub yes: bool,
}

/// The commands that talk to a panel.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the first administrator of a fresh panel, on its machine
    Setup(account::Setup),
    /// Sign in to a panel elsewhere and remember it
    Login(account::Login),
    /// Revoke the token of a login and forget it
    Logout(account::Logout),
    /// Show who you are to the panel
    Whoami,
    /// API tokens for scripts
    #[command(subcommand)]
    Token(tokens::Command),
    /// Roles that people make, and who has which where
    #[command(subcommand)]
    Role(rights::Role),
    /// Teams: people who are given rights together
    #[command(subcommand)]
    Team(rights::TeamCommand),
    /// Organizations: nothing crosses from one to another
    #[command(subcommand)]
    Organization(organizations::Command),
    /// Apps: create, show, change, start, stop, delete
    #[command(subcommand, visible_alias = "apps")]
    App(apps::Command),
    /// The catalog: ready apps to install
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Compose files: look at one before it is deployed
    #[command(subcommand)]
    Compose(compose::Command),
    /// Bring the newest source, or a chosen one, live
    Deploy(deployments::Deploy),
    /// List the deployments of an app, or without a name what is under way and what waits
    Deployments(deployments::List),
    /// Cancel a deployment; what is live stays live
    Cancel(deployments::Cancel),
    /// Make an earlier release live again
    Rollback(deployments::Rollback),
    /// Show what differs between two releases
    Diff(deployments::Diff),
    /// Releases: what is kept to go back to
    #[command(subcommand, visible_alias = "releases")]
    Release(releases::Command),
    /// Bring the image of a release live in another environment, with the variables there
    Promote(releases::Promote),
    /// Show what an app prints, or the log of a deployment
    Logs(logs::Logs),
    /// Open a terminal in an app's container, or run a command there
    Ssh(terminal::Ssh),
    /// Run a command once in an app's image, in a container of its own, and show what it prints
    Run(app_jobs::Run),
    /// Jobs: commands that an app's image runs at times
    #[command(subcommand, visible_alias = "jobs")]
    Job(app_jobs::Command),
    /// Freeze windows: times in which nothing is deployed
    #[command(subcommand)]
    Freeze(freezes::Command),
    /// Quotas: what an organization or a project may take of the machine
    #[command(subcommand)]
    Quota(quotas::Command),
    /// Open an app in the browser
    Open(apps::Open),
    /// Environment variables of apps, and of what they are in
    #[command(subcommand)]
    Env(variables::Command),
    /// Configuration files of an app: text that is put into its container
    #[command(subcommand, visible_alias = "files")]
    File(files::Command),
    /// Pushes that deploy: the address for the forge, its rules, and what came
    #[command(subcommand, visible_alias = "hook")]
    Webhook(webhooks::Command),
    /// Repositories whose CI may deploy an app, without a secret there
    #[command(subcommand)]
    CiTrust(ci_trusts::Command),
    /// Newer images under an app's tags: told or deployed by themselves
    #[command(subcommand)]
    ImageWatch(image_watches::Command),
    /// Previews of pull requests: each runs in an environment of its own while it is open
    #[command(subcommand, visible_alias = "previews")]
    Preview(previews::Command),
    /// Domains that lead to apps
    #[command(subcommand)]
    Domain(domains::Command),
    /// What stands before the apps, as a whole
    #[command(subcommand)]
    Edge(edge::Command),
    /// Ports that lead to apps without HTTP
    #[command(subcommand, visible_alias = "ports")]
    Port(edge::PortCommand),
    /// Certificates
    #[command(subcommand)]
    Cert(certificates::Command),
    /// DNS providers, records, and what to set for a name
    #[command(subcommand)]
    Dns(dns::Command),
    /// Projects and their environments
    #[command(subcommand)]
    Project(projects::Command),
    /// Volumes: data that outlives containers
    #[command(subcommand)]
    Volume(volumes::Command),
    /// Connections to forges: GitHub, GitLab, Bitbucket, Gitea, Forgejo
    #[command(subcommand)]
    Forge(forges::Command),
    /// Logins at registries of private images
    #[command(subcommand)]
    Registry(registries::Command),
    /// People and their roles
    #[command(subcommand)]
    User(users::Command),
    /// Single sign-on: where people are known who need no password here
    #[command(subcommand, visible_alias = "idp")]
    IdentityProvider(identity_providers::Command),
    /// Your passkeys
    #[command(subcommand)]
    Passkey(passkeys::Command),
    /// Your sessions: where you are signed in
    #[command(subcommand)]
    Session(sessions::Session),
    /// The browsers that you signed in with
    #[command(subcommand)]
    Device(sessions::Device),
    /// Deleted apps, until their time is over
    #[command(subcommand)]
    Trash(trash::Command),
    /// Everything at a glance: the machine, apps, what needs attention
    Status,
    /// Examine the panel's machine, and say what to do
    Doctor,
    /// What the engine keeps of builds
    #[command(subcommand)]
    BuildCache(build_cache::Command),
    /// Machines that build for the panel, reached through their sshd
    #[command(subcommand, visible_alias = "build-servers")]
    BuildServer(build_servers::Command),
    /// Change to the newest version, without a request lost; on the panel's machine
    ///
    /// The new program must be signed by the release key. It takes the listening sockets over and is watched for a while
    /// (`upgrade.window_seconds` in the configuration); if it fails, the version before goes on.
    Upgrade(upgrade::Upgrade),
    /// Print settings, projects, volumes and apps as JSON, without secret values
    Export(settings::Export),
    /// Settings of the panel
    #[command(subcommand)]
    Settings(settings::Command),
    /// The server through which the panel sends mail
    #[command(subcommand)]
    Mail(mail::Command),
    /// Who must have a second factor, and when sessions end
    #[command(subcommand)]
    Security(security::Command),
    /// Who changed what, in a log that nobody can alter unseen
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print completions for a shell
    Completions(completions::Completions),
}

/// What a command works with.
pub struct Context {
    pub globals: Globals,
    pub out: Output,
}

impl Context {
    /// The panel that the flags, the environment and the logins point to.
    pub fn panel(&self) -> Result<client::Client> {
        target::connect(&self.globals)
    }
}

/// Runs a command to its end and says how it went. `program` is the whole command line, for completions.
pub async fn run(globals: Globals, command: Command, program: clap::Command) -> ExitCode {
    let context = Context {
        out: Output::of_process(globals.json),
        globals,
    };
    match dispatch(&context, command, program).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            let failure = failure.spelt_as_typed(&words);
            complain(&context.out, &failure);
            failure.exit_code()
        }
    }
}

async fn dispatch(context: &Context, command: Command, program: clap::Command) -> Result {
    match command {
        Command::Setup(args) => account::setup(context, args).await,
        Command::Login(args) => account::login(context, args).await,
        Command::Logout(args) => account::logout(context, args).await,
        Command::Whoami => account::whoami(context).await,
        Command::Token(command) => tokens::run(context, command).await,
        Command::Role(command) => rights::role(context, command).await,
        Command::Team(command) => rights::team(context, command).await,
        Command::Organization(command) => organizations::run(context, command).await,
        Command::App(command) => apps::run(context, command).await,
        Command::Catalog(command) => catalog::run(context, command).await,
        Command::Compose(command) => compose::run(context, command).await,
        Command::Deploy(args) => deployments::deploy(context, args).await,
        Command::Deployments(args) => deployments::list(context, args).await,
        Command::Cancel(args) => deployments::cancel(context, args).await,
        Command::Rollback(args) => deployments::rollback(context, args).await,
        Command::Diff(args) => deployments::diff(context, args).await,
        Command::Release(command) => releases::run(context, command).await,
        Command::Promote(args) => releases::promote(context, args).await,
        Command::Logs(args) => logs::logs(context, args).await,
        Command::Ssh(args) => terminal::ssh(context, args).await,
        Command::Run(args) => app_jobs::run_command(context, args).await,
        Command::Job(command) => app_jobs::run(context, command).await,
        Command::Freeze(command) => freezes::run(context, command).await,
        Command::Quota(command) => quotas::run(context, command).await,
        Command::Open(args) => apps::open(context, args).await,
        Command::Env(command) => variables::run(context, command).await,
        Command::File(command) => files::run(context, command).await,
        Command::Webhook(command) => webhooks::run(context, command).await,
        Command::CiTrust(command) => ci_trusts::run(context, command).await,
        Command::ImageWatch(command) => image_watches::run(context, command).await,
        Command::Preview(command) => previews::run(context, command).await,
        Command::Domain(command) => domains::run(context, command).await,
        Command::Edge(command) => edge::run(context, command).await,
        Command::Port(command) => edge::port(context, command).await,
        Command::Cert(command) => certificates::run(context, command).await,
        Command::Dns(command) => dns::run(context, command).await,
        Command::Project(command) => projects::run(context, command).await,
        Command::Volume(command) => volumes::run(context, command).await,
        Command::Forge(command) => forges::run(context, command).await,
        Command::Registry(command) => registries::run(context, command).await,
        Command::User(command) => users::run(context, command).await,
        Command::IdentityProvider(command) => identity_providers::run(context, command).await,
        Command::Passkey(command) => passkeys::run(context, command).await,
        Command::Session(command) => sessions::run(context, command).await,
        Command::Device(command) => sessions::device(context, command).await,
        Command::Trash(command) => trash::run(context, command).await,
        Command::Status => status::status(context).await,
        Command::Upgrade(args) => upgrade::run(context, args).await,
        Command::Doctor => diagnosis::doctor(context).await,
        Command::BuildCache(command) => build_cache::run(context, command).await,
        Command::BuildServer(command) => build_servers::run(context, command).await,
        Command::Export(args) => settings::export(context, args).await,
        Command::Settings(command) => settings::run(context, command).await,
        Command::Mail(command) => mail::run(context, command).await,
        Command::Security(command) => security::run(context, command).await,
        Command::Audit(command) => audit::run(context, command).await,
        Command::Completions(args) => completions::completions(context, args, program),
    }
}

/// Says on standard error what went wrong and what to do next.
fn complain(out: &Output, failure: &Failure) {
    if failure.quiet {
        return;
    }
    let text = if out.json {
        failure.json().to_string()
    } else {
        format!("serverkit: {failure}")
    };
    // Nobody to tell if standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::{CommandFactory, Parser, error::ErrorKind};

    #[derive(Debug, Parser)]
    #[command(name = "serverkit", version, about = ABOUT, after_help = AFTER_HELP)]
    struct Program {
        #[command(flatten)]
        globals: Globals,
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &str) -> Result<Program, clap::Error> {
        Program::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_holds() {
        Program::command().debug_assert();
    }

    #[test]
    fn promised_forms_parse() {
        for line in include_str!("commands/promised_forms.txt").lines() {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_the_readme_shows_parses() {
        let text = include_str!("../../README.md");
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with("serverkit "));
        let mut tried = 0;
        for line in lines {
            Program::try_parse_from(shell_words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
            tried += 1;
        }
        assert!(tried > 100, "{tried} commands");
    }

    /// As a shell splits them: quotes hold words together, a comment and where the output goes are left out.
    fn shell_words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for letter in line.chars() {
            match (letter, quote) {
                ('\'' | '"', None) => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (_, Some(open)) if letter == open => quote = None,
                (' ', None) => words.extend(word.take()),
                ('#' | '>', None) if word.is_none() => break,
                _ => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn wrong_use_is_refused_with_exit_code_2() {
        for line in [
            "serverkit app create blog",
            "serverkit app create blog --git a --image b",
            "serverkit app create blog --image b --branch main",
            "serverkit app create blog --image b --profile x",
            "serverkit domain add shop a.test --service console",
            "serverkit app create blog --image b --memory lots",
            "serverkit app create blog --image b --port 70000",
            "serverkit deploy",
            "serverkit deploy blog --from . --ref main",
            "serverkit token create x --scope everything",
            "serverkit token create x --days 3 --never",
            "serverkit logs blog --build 3 --since 10m",
            "serverkit logs blog --output log.txt",
            "serverkit completions cobol",
            "serverkit nonsense",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}: {:?}", error.kind());
        }
    }

    #[test]
    fn everything_has_a_help_text() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {} says nothing", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Program::command());
        assert_eq!(parse("serverkit --help").unwrap_err().kind(), ErrorKind::DisplayHelp);
    }
}
