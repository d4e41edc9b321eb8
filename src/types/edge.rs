//! What one server's edge should do. The panel computes it, the edge builds it whole, checks it, and swaps it in.

use crate::{AppId, Host, Secret};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// The whole of it. Two equal ones mean the same edge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgeConfig {
    /// By host, lower case.
    pub routes: BTreeMap<Host, Route>,
    pub certificates: BTreeMap<Host, EdgeCertificate>,
    /// Answers of `/.well-known/acme-challenge/TOKEN` (RFC 8555, 8.3), by token.
    pub challenges: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `None` for the panel itself.
    pub app: Option<AppId>,
    /// For pages and the access log.
    pub name: String,
    pub force_https: bool,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Any of these, in turn.
    Upstreams(Vec<Upstream>),
    /// The panel's own API.
    Panel,
    /// The "is starting" page, with 503 and `Retry-After`.
    Starting,
    /// The "is down" page, with 503 and the reason.
    Down { why: String },
}

/// One container's port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upstream {
    pub address: SocketAddr,
}

/// A certificate as the edge needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeCertificate {
    pub chain_pem: String,
    pub key_pem: Secret,
}

/// What is fixed when the edge starts: where it listens and its limits.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    /// The panel's own TLS port.
    pub panel: Vec<SocketAddr>,
    /// The Unix socket on which the API listens.
    pub panel_socket: PathBuf,
    pub access_log: PathBuf,
    pub limits: EdgeLimits,
    /// 0: one for each core.
    pub threads: usize,
}

/// Bounds that hold from the first day; the defaults are what most sites want.
#[derive(Debug, Clone)]
pub struct EdgeLimits {
    /// The time to send all headers of a request.
    pub header_timeout: Duration,
    /// An idle connection is closed after.
    pub keep_alive: Duration,
    pub connect_timeout: Duration,
    /// Silence of the app before the first byte of its answer.
    pub response_timeout: Duration,
    /// Silence in the middle of a body or a WebSocket.
    pub idle_timeout: Duration,
    /// Bytes of one request's body; longer ones get 413.
    pub body_bytes: u64,
    /// Bytes of one request's headers; longer ones get 431.
    pub header_bytes: usize,
}

impl Default for EdgeLimits {
    fn default() -> EdgeLimits {
        EdgeLimits {
            header_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(3600),
            body_bytes: 1 << 30,
            header_bytes: 64 << 10,
        }
    }
}

/// Requests of one app since the edge started. Rates are differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    pub requests: u64,
    /// Answers 500 to 599.
    pub errors: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Requests and WebSockets under way.
    pub active: u64,
    /// Sum of the times to the last byte.
    pub millis: u64,
}
