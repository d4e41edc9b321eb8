//! Hosts whose TLS is not ended here: the name is read from the greeting as it waits in the socket, and the connection is
//! passed on untouched.

use crate::{
    hello::{self, Hello},
    proxy_protocol,
    traffic::Counters,
    upstream::{Backend, Backends, Place, UnderWay, Wire},
    worker::Worker,
};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use types::{EdgeConfig, ProxyVersion};

/// The longest greeting that is read for its name.
const GREETING: usize = 16 << 10;

#[derive(Default)]
pub(crate) struct Passthroughs {
    hosts: HashMap<Box<str>, Arc<Through>>,
    wildcards: HashMap<Box<str>, Arc<Through>>,
    /// Names with a route of their own, whose TLS is ended here, whatever a wildcard above them does.
    ended: HashSet<Box<str>>,
}

pub(crate) struct Through {
    backends: Box<[Arc<Backend>]>,
    next: AtomicUsize,
    proxy: Option<ProxyVersion>,
    counters: Arc<Counters>,
}

impl Passthroughs {
    pub(crate) fn build(config: &EdgeConfig, backends: &Backends, ledger: &crate::traffic::Ledger) -> Passthroughs {
        let mut all = Passthroughs::default();
        if config.passthrough.is_empty() {
            return all;
        }
        let ended = config.routes.keys().filter(|host| !config.passthrough.contains_key(host));
        all.ended = ended.map(|host| host.as_str().into()).collect();
        for (host, entry) in &config.passthrough {
            let through = Arc::new(Through {
                backends: entry
                    .upstreams
                    .iter()
                    .map(|upstream| backends.of(Place::Tcp(upstream.address), Wire::default()))
                    .collect(),
                next: AtomicUsize::new(0),
                proxy: entry.proxy_protocol,
                counters: ledger.of(&entry.app),
            });
            match host.as_str().strip_prefix("*.") {
                Some(base) => all.wildcards.insert(base.into(), through),
                None => all.hosts.insert(host.as_str().into(), through),
            };
        }
        all
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.wildcards.is_empty()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Through>> {
        let wildcard = || {
            let above = self.wildcards.get(name.split_once('.')?.1);
            above.filter(|_| !self.ended.contains(name))
        };
        self.hosts.get(name).or_else(wildcard).cloned()
    }
}

/// The name in the greeting that waits in the socket; nothing of it is taken out. `None`: there is none.
pub(crate) async fn name_of(stream: &TcpStream) -> Option<Box<str>> {
    let mut bytes = vec![0; GREETING];
    loop {
        let n = stream.peek(&mut bytes).await.ok()?;
        match hello::server_name(&bytes[..n]) {
            Hello::Name(name) => return Some(name),
            Hello::Partial if n > 0 && n < GREETING => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            Hello::Partial | Hello::None => return None,
        }
    }
}

impl Through {
    pub(crate) async fn pass(&self, worker: &Worker, mut client: TcpStream, between: (SocketAddr, SocketAddr)) {
        let count = self.backends.len();
        let first = self.next.fetch_add(1, Relaxed);
        for n in 0..count {
            let backend = &self.backends[(first + n) % count];
            let Place::Tcp(address) = &backend.place else { continue };
            let limit = worker.shared.limits.connect_timeout;
            let Ok(Ok(mut upstream)) = timeout(limit, TcpStream::connect(address)).await else {
                continue;
            };
            let _ = upstream.set_nodelay(true);
            let _under_way = UnderWay::on(backend);
            if let Some(version) = self.proxy
                && upstream.write_all(&proxy_protocol::header(version, Some(between))).await.is_err()
            {
                continue;
            }
            self.counters.begin();
            let began = Instant::now();
            let moved = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            let (bytes_in, bytes_out) = moved.unwrap_or_default();
            self.counters.end(0, bytes_in, bytes_out, began.elapsed());
            return;
        }
    }
}
