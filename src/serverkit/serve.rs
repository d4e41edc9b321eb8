//! `serverkit serve`: starts everything in order, and stops it in reverse.

use crate::{
    config::{Config, Flags, RawConfig, make_data_dir},
    handover::{Before, Listening, Next},
    jobs,
    terminal::Greeting,
    upgrade::{become_successor, close_interrupted, failed, hand_over, open_store, settle},
    watch::{self, Signals},
};
use ::jobs::Runner;
use api::{Api, Sockets};
use app::{Options, Panel, Parts, UpgradeFiles};
use clap::Args;
use docker::Docker;
use edge::{Bound, Edge, Listeners, SharedSockets};
use host::{Builds, Host};
use node::{LocalNode, Node};
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
use sd_notify::NotifyState;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use store::ReturnPoint;
use telemetry::{LogStore, Metrics, Redactor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use types::{Doing, EdgeLimits, EdgeSettings, EngineStatus, Error, Result, Upgrade, World, report};

/// The edge, the panel and its API, in one process
///
/// State lies in the data folder (--data; /var/lib/serverkit). Further settings are in /etc/serverkit/config.toml.
/// On a fresh panel it prints a link that makes the first administrator, once.
#[derive(Debug, Args)]
pub struct Serve {
    /// For a try on the own machine: data in ./.serverkit, http 127.0.0.1:8080, https 127.0.0.1:8443,
    /// panel 127.0.0.1:8444, apps at NAME.localhost
    #[arg(long)]
    dev: bool,
    /// Where sites are served in plain, such as :80 or 192.0.2.1:80; several with commas [default: :80]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Where sites are served over TLS [default: :443]
    #[arg(long, value_name = "ADDR")]
    https: Option<String>,
    /// Where the panel is served over TLS [default: :9443]
    #[arg(long, value_name = "ADDR")]
    panel: Option<String>,
    /// The configuration file [default: /etc/serverkit/config.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn serve(data: Option<PathBuf>, flags: Serve) -> Result<()> {
    let began = Instant::now();
    let raw = match &flags.config {
        Some(path) => RawConfig::read(path)?,
        None if flags.dev => RawConfig::default(),
        None => RawConfig::usual()?,
    };
    let Serve {
        dev, http, https, panel, ..
    } = flags;
    let config = Config::resolve(
        raw,
        Flags {
            dev,
            data,
            http,
            https,
            panel,
        },
    )?;
    prepare_process(&config)?;
    make_data_dir(&config.data)?;
    let before = Before::here()?;
    if before.is_none() {
        become_successor(&config.data);
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, 8))
        .thread_name("panel")
        .enable_all()
        .build()
        .doing("starting the runtime")?;
    let mut begin = before.clone().map_or(Begin::Fresh, Begin::TakingOver);
    let ended = loop {
        match runtime.block_on(run(&config, began, begin)) {
            Ok(Ended::Returned(listening, back)) => begin = Begin::Returning(listening, back),
            Ok(Ended::Stopped) => break Ok(()),
            Err(error) => {
                before.inspect(|before| before.failed(&error));
                break Err(error);
            }
        }
    };
    // What still blocks a thread now is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

/// How a panel comes to its sockets.
enum Begin {
    Fresh,
    /// From the process before, which runs another version.
    TakingOver(Before),
    /// Its own ones again: the next version failed. The state as it was.
    Returning(Listening, Option<Arc<ReturnPoint>>),
}

impl Begin {
    /// Who was there before, the sockets that are open already, and the state as it was.
    async fn taken(self) -> Result<(Option<Before>, Option<Listening>, Option<Arc<ReturnPoint>>)> {
        Ok(match self {
            Begin::Fresh => (None, None, None),
            Begin::TakingOver(before) => {
                let waiting = before.clone();
                let listening = tokio::task::spawn_blocking(move || waiting.take_over())
                    .await
                    .doing("taking over")??;
                (Some(before), Some(listening), None)
            }
            Begin::Returning(listening, back) => (None, Some(listening), back),
        })
    }
}

enum Ended {
    Stopped,
    /// The next version failed; this one goes on.
    Returned(Listening, Option<Arc<ReturnPoint>>),
}

fn prepare_process(config: &Config) -> Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| format!("{},sled=warn,poem=warn,pingora=warn", config.log));
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter).map_err(|error| Error::invalid("RUST_LOG", error.to_string()))?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    // A panic ends its task only; it must not go unseen.
    std::panic::set_hook(Box::new(|panic| tracing::error!("panic: {panic}")));
    umask(Mode::from_raw_mode(0o077));
    // Each connection is a file or two.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
    Ok(())
}

async fn run(config: &Config, began: Instant, begin: Begin) -> Result<Ended> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let world = World::system();
    let upgrades = UpgradeFiles::new(&config.data);

    let returns = matches!(begin, Begin::Returning(..));
    let (before, listening, back) = begin.taken().await?;
    // The store comes before the sockets: its lock says that no other panel has this folder.
    let patience = if returns { Duration::from_secs(30) } else { Duration::ZERO };
    let store = open_store(&config.data, &world, patience, back.as_ref()).await?;
    let settings = edge_settings(config);
    let mut listening = match listening {
        Some(listening) => listening,
        None => Listening {
            api: Sockets::bind(&config.data)?,
            edge: Listeners::bind(&settings)?,
            shared: SharedSockets::default(),
        },
    };
    let edge = Arc::new(Edge::start_on(listening.edge.try_clone()?, settings, world.clone())?);
    edge.adopt(std::mem::take(&mut listening.shared));
    let bound = listening.edge.bound()?;
    let redactor = Redactor::default();
    let node = this_machine(config, &world, edge.clone())?;
    let (order, mut orders) = mpsc::channel(1);
    let panel = Panel::open(Parts {
        store: store.clone(),
        world: world.clone(),
        node: node.clone(),
        logs: LogStore::open(&config.data.join("logs"), redactor.clone())?,
        metrics: Metrics::new(),
        redactor,
        options: options(config, &bound),
        upgrades: order,
    })
    .await?;
    panel.route_now().await?;

    let runner = Runner::new(world.clone(), stop.clone());
    jobs::start(&runner, &panel);
    let api = Api::new(panel.clone(), world.clone(), stop.clone());
    let serving = tokio::spawn(api.clone().serve(listening.api.try_clone()?, Duration::from_secs(5)));
    let watched = panel.clone();
    let watching = tokio::spawn(async move { watched.watch().await });
    let watchdog = tokio::spawn(watch::watchdog());
    api.set_ready();
    watch::tell(NotifyState::Ready);
    greeting(config, &bound, &panel, &*node, began).await?.print();
    match before {
        Some(before) => drop(tokio::spawn(settle(before, upgrades.clone(), world.clone()))),
        None => close_interrupted(&upgrades, &world)?,
    }

    let next = until_told(&mut signals, &mut orders, &upgrades, &world).await?;
    let panel_stops = stop_panel(stop, panel, runner, serving, config.drain);
    let Some((upgrade, next)) = next else {
        watch::tell(NotifyState::Stopping);
        tokio::select! {
            _ = async { tokio::join!(edge.stop(config.drain), panel_stops) } => {}
            signal = signals.next() => tracing::warn!("{signal} again: requests under way are cut"),
        }
        watching.abort();
        store.close().await;
        Sockets::remove(&config.data);
        return Ok(Ended::Stopped);
    };
    tracing::info!("version {} takes over", upgrade.to);
    // The edge serves on, from its last configuration; who asks the panel waits until somebody serves it again.
    panel_stops.await;
    watching.abort();
    listening.shared = edge.share()?;
    let back = store.return_point().await;
    store.close().await;
    let (handed, back) = match back {
        Ok(back) => (hand_over(config, next, &listening, &edge).await, Some(Arc::new(back))),
        Err(error) => (Err(error), None),
    };
    watchdog.abort();
    match handed {
        Ok(process) => {
            watch::tell(NotifyState::MainPid(process));
            Ok(Ended::Stopped)
        }
        Err(error) => {
            failed(&upgrades, upgrade, &error, &world)?;
            tokio::spawn(async move { edge.leave(Duration::from_secs(30)).await });
            Ok(Ended::Returned(listening, back))
        }
    }
}

/// The engine, the builds and the edge of this machine.
fn this_machine(config: &Config, world: &World, edge: Arc<Edge>) -> Result<Arc<dyn Node>> {
    let host = Host::new(config.data.clone(), world.clone());
    let limits = config.builds.on(host.facts().memory_bytes);
    let disk = config.builds.on_disk(host::disk_bytes(&config.data)?);
    let runtime = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    let builds = Builds::bounded(limits, Some(disk), runtime.as_deref());
    let docker = Docker::at(
        config.docker_host.clone().or_else(|| std::env::var("DOCKER_HOST").ok()).as_deref(),
        world.clone(),
    )?;
    Ok(Arc::new(LocalNode::new(docker, host, builds, edge)))
}

/// Waits until it is to stop, or until another version has started that is to take over.
async fn until_told(
    signals: &mut Signals,
    orders: &mut mpsc::Receiver<Upgrade>,
    upgrades: &UpgradeFiles,
    world: &World,
) -> Result<Option<(Upgrade, Next)>> {
    loop {
        tokio::select! {
            signal = signals.next() => {
                tracing::info!("{signal}: stopping; once more stops at once");
                return Ok(None);
            }
            Some(upgrade) = orders.recv() => match Next::start(&upgrade.binary).await {
                Ok(next) => return Ok(Some((upgrade, next))),
                Err(error) => failed(upgrades, upgrade, &error, world)?,
            },
        }
    }
}

/// Work in progress ends or is left so that the next start goes on with it; then nothing uses the store any more.
async fn stop_panel(stop: CancellationToken, panel: Panel, runner: Runner, serving: tokio::task::JoinHandle<Result<()>>, limit: Duration) {
    stop.cancel();
    let api = async {
        match serving.await {
            Ok(Err(error)) => tracing::error!("{}", report(&error)),
            Err(error) => tracing::error!("the API ended: {error}"),
            Ok(Ok(())) => {}
        }
    };
    let work = async {
        panel.stop(limit).await;
        runner.join().await;
    };
    tokio::join!(api, work);
}

fn edge_settings(config: &Config) -> EdgeSettings {
    EdgeSettings {
        http: config.http.clone(),
        https: config.https.clone(),
        panel: config.panel.clone(),
        panel_socket: Sockets::paths(&config.data).1,
        access_log: config.data.join("access.log"),
        limits: EdgeLimits::default(),
        threads: config.edge_threads,
    }
}

fn options(config: &Config, bound: &Bound) -> Options {
    let port = |addresses: &[SocketAddr], usual| addresses.first().map_or(usual, SocketAddr::port);
    Options {
        data: config.data.clone(),
        http_port: port(&bound.http, 80),
        https_port: port(&bound.https, 443),
        panel_port: port(&bound.panel, 9443),
        network_range: config.network_range.into(),
        apps_domain: config.apps_domain.clone(),
        acme_directory: config.acme_directory.clone(),
        acme_ca_pem: config.acme_ca_pem.clone(),
        release_key: config.release_key.clone(),
        dns_servers: config.dns_servers.clone(),
        build_cache_bytes: config.build_cache_bytes,
        build_floor: config.build_floor,
        breached_passwords: config.breached_passwords.clone(),
        open_networks: config.open_networks.clone(),
    }
}

async fn greeting(config: &Config, bound: &Bound, panel: &Panel, node: &dyn Node, began: Instant) -> Result<Greeting> {
    let millis = began.elapsed().as_millis();
    let urls = panel_urls(bound, node);
    let setup = panel.setup.link().await?.map(|word| format!("{}/setup#{word}", urls[0]));
    let mut warnings = Vec::new();
    // One second at most: everything else works without it.
    if let Ok(EngineStatus::Down { why, fix }) = tokio::time::timeout(Duration::from_secs(1), node.engine()).await {
        warnings.push(format!("{why}; apps cannot run until it does: {fix}"));
    }
    Ok(Greeting {
        panel: urls,
        setup,
        http: bound.http.clone(),
        https: bound.https.clone(),
        data: config.data.display().to_string(),
        warnings,
        millis,
    })
}

/// The addresses under which a browser reaches the panel; at least one.
fn panel_urls(bound: &Bound, node: &dyn Node) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for address in &bound.panel {
        let addresses = match address.ip().is_unspecified() {
            true => node
                .addresses()
                .into_iter()
                .filter(|ip| ip.is_ipv4() == address.is_ipv4())
                .collect(),
            false => vec![address.ip()],
        };
        urls.extend(
            addresses
                .into_iter()
                .map(|ip| format!("https://{}", SocketAddr::new(ip, address.port()))),
        );
    }
    if urls.is_empty() {
        let port = bound.panel.first().map_or(9443, SocketAddr::port);
        urls.push(format!("https://localhost:{port}"));
    }
    urls
}
