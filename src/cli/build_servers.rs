//! `serverkit build-server …`: machines that build for the panel.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Facts, Table, Tone, bytes, when},
    spans,
};
use clap::{Args, Subcommand};
use client::types::{BuildCacheTrim, BuildServer, BuildServerCreate, BuildServerPatch};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List build servers, and what they do
    #[command(visible_alias = "ls")]
    List,
    /// Show one, with the key to put into authorized_keys there
    Show(Named),
    /// Add a machine with Docker and an sshd; nothing is installed there
    ///
    /// It gets a key pair of its own: put the public half into authorized_keys of the user there, who must be allowed to use
    /// Docker, then test it. Apps go there by `serverkit app update NAME --build-on SERVER`, or all by
    /// `serverkit settings set build_on=any`. The limits of builds on memory and processors hold on the panel's own server
    /// only: an engine takes none for builds.
    Add(Add),
    /// Confirm its host key, sign in, and ask its engine what it is
    Test(Named),
    /// Change it; with another host or port its key must be confirmed anew
    Update(Update),
    /// Throw away what its engine keeps of builds, the longest unused first
    Trim {
        /// Name or id of the build server
        server: String,
        /// What may stay, such as 2g; left out: nothing
        #[arg(long, value_name = "SIZE", value_parser = spans::memory)]
        keep: Option<u64>,
    },
    /// Forget it and its keys
    #[command(visible_alias = "rm")]
    Remove(Named),
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the build server
    server: String,
}

#[derive(Debug, Args)]
pub struct Add {
    /// What to call it; it cannot be changed
    name: String,
    /// Its name or address
    #[arg(long)]
    host: String,
    #[command(flatten)]
    more: More,
    /// Its host key, where it is known already, as `ssh-keygen -lf` prints it: SHA256:…
    #[arg(long, value_name = "KEY")]
    host_key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// Name or id of the build server
    server: String,
    /// Its name or address
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    more: More,
    /// Confirm this host key: SHA256:…
    #[arg(long, value_name = "KEY")]
    host_key: Option<String>,
    /// Build nothing new there
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Build there again
    #[arg(long)]
    enable: bool,
}

#[derive(Debug, Args)]
struct More {
    /// Where its sshd listens; 22 unless given
    #[arg(long)]
    port: Option<u16>,
    /// Who may use Docker there; root unless given
    #[arg(long)]
    user: Option<String>,
    /// The engine's socket there; /var/run/docker.sock unless given
    #[arg(long, value_name = "PATH")]
    engine_socket: Option<String>,
    /// Builds at once; 1 unless given
    #[arg(long)]
    slots: Option<u32>,
    /// What its engine may keep of builds, such as 20g; 10g unless given
    #[arg(long, value_name = "SIZE", value_parser = spans::memory)]
    cache_size: Option<u64>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        Command::List => {
            let servers =
                lists::all::<BuildServer, _>(async |cursor| client.ask(client.build_server_list(cursor, lists::LIMIT)).await).await?;
            let empty = "no build servers yet; apps are built where they run. Add one: serverkit build-server add NAME --host HOST";
            out.list(&servers.json, empty, || table(&servers.items))
        }
        Command::Show(args) => {
            let answer = client.ask(client.build_server_show(&args.server)).await?;
            out.answer(&answer.json, || facts(&answer.value).print(&out))
        }
        Command::Add(args) => {
            let body = BuildServerCreate {
                name: args.name,
                host: args.host,
                port: args.more.port,
                user: args.more.user,
                socket: args.more.engine_socket,
                slots: args.more.slots,
                cache_bytes: args.more.cache_size,
                host_key: args.host_key,
            };
            let answer = client.ask(client.build_server_create(&body)).await?;
            out.answer(&answer.json, || {
                let server = &answer.value;
                format!(
                    "{} is added. Put this line into ~{}/.ssh/authorized_keys on {}:\n{}\nThen: serverkit build-server test {}",
                    server.name, server.user, server.host, server.public_key, server.name
                )
            })
        }
        Command::Test(args) => test(context, &args.server).await,
        Command::Update(args) => {
            let body = BuildServerPatch {
                host: args.host,
                port: args.more.port,
                user: args.more.user,
                socket: args.more.engine_socket,
                slots: args.more.slots,
                cache_bytes: args.more.cache_size,
                enabled: (args.enable || args.disable).then_some(args.enable),
                host_key: args.host_key,
            };
            let answer = client.ask(client.build_server_update(&args.server, &body)).await?;
            out.answer(&answer.json, || match &answer.value.unready {
                Some(why) => format!("{} is changed; {why}", answer.value.name),
                None => format!("{} is changed", answer.value.name),
            })
        }
        Command::Trim { server, keep } => {
            let body = BuildCacheTrim {
                keep_bytes: keep.unwrap_or(0),
            };
            let answer = client.ask(client.build_server_trim(&server, &body)).await?;
            out.answer(&answer.json, || format!("{} came free", bytes(answer.value.bytes)))
        }
        Command::Remove(args) => {
            ask::confirm(
                &format!("forget the build server {} and its keys", args.server),
                context.globals.yes,
            )?;
            let done = client.ask(client.build_server_delete(&args.server)).await?;
            out.answer(&done.json, || format!("{} is removed", args.server))
        }
    }
}

async fn test(context: &Context, server: &str) -> Result {
    let client = context.panel()?;
    let out = context.out;
    let mut answer = client.ask(client.build_server_test(server)).await?;
    if !answer.value.confirmed {
        let key = answer.value.host_key.clone();
        let host = &answer.value.server.host;
        out.note(format!(
            "{host} shows the host key {key}\ncompare it with what the machine itself says: for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done"
        ));
        ask::confirm(&format!("trust {host} by this key"), context.globals.yes).map_err(|failure| {
            Failure::hint(
                failure,
                format!("serverkit build-server update {server} --host-key {key} confirms it too"),
            )
        })?;
        let body = BuildServerPatch {
            host_key: Some(key),
            ..BuildServerPatch::default()
        };
        client.ask(client.build_server_update(server, &body)).await?;
        answer = client.ask(client.build_server_test(server)).await?;
    }
    out.answer(&answer.json, || {
        let server = &answer.value.server;
        match &server.engine {
            Some(engine) => format!(
                "{} is ready: Docker {}, {}, {} processors, {} of memory",
                server.name,
                engine.version,
                engine.platform,
                engine.cpus,
                bytes(engine.memory_bytes)
            ),
            None => format!("{} answers", server.name),
        }
    })
}

fn table(servers: &[BuildServer]) -> Table {
    let mut table = Table::new(["NAME", "AT", "STATE", "BUILDS", "USED", "NOTE"]);
    let now = SystemClock.now();
    for server in servers {
        let state = match (&server.unready, &server.problem) {
            (None, None) => Cell::tone("ready", Tone::Good),
            (Some(_), _) => Cell::tone("not ready", Tone::Warn),
            (None, Some(_)) => Cell::tone("silent", Tone::Bad),
        };
        table.row([
            server.name.clone().into(),
            format!("{}@{}:{}", server.user, server.host, server.port).into(),
            state,
            format!("{} of {}", server.building, server.slots).into(),
            server.used_at.as_deref().map(|at| when(at, now)).unwrap_or_default().into(),
            server.problem.clone().or_else(|| server.unready.clone()).unwrap_or_default().into(),
        ]);
    }
    table
}

fn facts(server: &BuildServer) -> Facts {
    let now = SystemClock.now();
    let mut facts = Facts::new();
    facts.add("name", server.name.clone());
    facts.add("at", format!("{}@{}:{}", server.user, server.host, server.port));
    facts.add("socket", server.socket.clone());
    facts.add("builds", format!("{} of {} at once", server.building, server.slots));
    facts.maybe("not ready", server.unready.clone());
    facts.maybe("problem", server.problem.clone());
    if let Some(engine) = &server.engine {
        facts.add("engine", format!("Docker {}, {}", engine.version, engine.platform));
        facts.add(
            "machine",
            format!("{} processors, {} of memory", engine.cpus, bytes(engine.memory_bytes)),
        );
    }
    let used = server.cache_used_bytes.map_or_else(|| "not known".to_owned(), bytes);
    facts.add("build cache", format!("{used}, at most {}", bytes(server.cache_bytes)));
    facts.maybe("answered", server.seen_at.as_deref().map(|at| when(at, now)));
    facts.maybe("used", server.used_at.as_deref().map(|at| when(at, now)));
    facts.add("host key", server.host_key.clone().unwrap_or_else(|| "not confirmed".into()));
    facts.add("public key", server.public_key.clone());
    if !server.apps.is_empty() {
        facts.add("apps", server.apps.join(", "));
    }
    facts
}
