//! The edge alone, to be measured beside other proxies:
//! `bench --http PORT --https PORT --upstream ADDRESS --domains N --certificate FILE --key FILE --folder DIR [--sockets ADDRESS] [--threads N]`.
//!
//! Serves `h0.test` to `hN.test` from one upstream, with one certificate; its access log goes to DIR. `kept.test` leads there
//! too, and its answers are kept as they allow.

use serverkit_edge::Edge;
use std::{collections::HashMap, error::Error, net::SocketAddr, path::PathBuf};
use types::{
    AppId, CachePolicy, EdgeCertificate, EdgeConfig, EdgeLimits, EdgeSettings, Host, Route, Secret, Target, TrafficPolicy, Upstream, World,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flags: HashMap<&str, &str> = arguments
        .chunks_exact(2)
        .map(|pair| (pair[0].trim_start_matches('-'), pair[1].as_str()))
        .collect();
    let flag = |name: &str| flags.get(name).copied().ok_or(format!("--{name} is missing"));
    let local = |port: &str| Ok::<SocketAddr, Box<dyn Error>>(SocketAddr::from(([127, 0, 0, 1], port.parse()?)));
    let folder = PathBuf::from(flag("folder")?);
    let upstream = Upstream {
        address: flag("upstream")?.parse()?,
    };

    let edge = Edge::start(
        EdgeSettings {
            http: vec![local(flag("http")?)?],
            https: vec![local(flag("https")?)?],
            panel: vec![],
            panel_socket: folder.join("panel.sock"),
            access_log: folder.join("access.log"),
            limits: EdgeLimits::default(),
            threads: flags.get("threads").map_or(Ok(0), |threads| threads.parse())?,
        },
        World::system(),
    )?;
    let certificate = EdgeCertificate {
        chain_pem: std::fs::read_to_string(flag("certificate")?)?,
        key_pem: Secret::from(std::fs::read_to_string(flag("key")?)?),
    };
    let app: AppId = World::system().id();
    let mut config = EdgeConfig::default();
    // All connections are from one address here.
    config.options.connections_per_address = 0;
    for n in 0..flag("domains")?.parse::<usize>()? {
        let host: Host = format!("h{n}.test").parse()?;
        config.certificates.insert(host.clone().into(), certificate.clone());
        config.routes.insert(
            host.into(),
            Route::plain(Some(app.clone()), "bench", false, Target::Upstreams(vec![upstream.clone()])),
        );
    }
    let mut kept = Route::plain(Some(app), "kept", false, Target::Upstreams(vec![upstream]));
    kept.policy = Some(Box::new(TrafficPolicy {
        cache: Some(CachePolicy::default()),
        ..TrafficPolicy::default()
    }));
    let host: Host = "kept.test".parse()?;
    config.certificates.insert(host.clone().into(), certificate);
    config.routes.insert(host.into(), kept);
    if let Some(sockets) = flags.get("sockets") {
        let upstream = Upstream { address: sockets.parse()? };
        let route = Route::plain(None, "sockets", false, Target::Upstreams(vec![upstream]));
        config.routes.insert("sockets.test".parse::<Host>()?.into(), route);
    }
    edge.apply(config)?;
    loop {
        std::thread::park();
    }
}
