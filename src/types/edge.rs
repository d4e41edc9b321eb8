//! What one server's edge should do. The panel computes it, the edge builds it whole, checks it, and swaps it in.

use crate::{
    AppId, CanaryLimits, EdgeOptions, HeaderMatch, Host, HostPattern, Origin, PanelGate, PathChange, ProxyVersion, Redirect, ReleaseId,
    RequestMatch, RuleId, Secret, StreamPort, Time, TrafficPolicy,
};
use ipnet::IpNet;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// The whole of it. Two equal ones mean the same edge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgeConfig {
    /// By host, lower case. An exact host goes before a wildcard.
    pub routes: BTreeMap<HostPattern, Route>,
    pub certificates: BTreeMap<HostPattern, EdgeCertificate>,
    /// Answers of `/.well-known/acme-challenge/TOKEN` (RFC 8555, 8.3), by token.
    pub challenges: BTreeMap<String, String>,
    /// Certificates for TLS-ALPN-01 (RFC 8737): given to a client that offers `acme-tls/1` and nothing else, and only then.
    pub alpn_challenges: BTreeMap<Host, EdgeCertificate>,
    /// Hosts whose TLS is not ended here.
    pub passthrough: BTreeMap<HostPattern, EdgePassthrough>,
    pub streams: BTreeMap<StreamPort, EdgeStream>,
    pub options: EdgeOptions,
    /// Who may reach the panel itself, by address.
    pub gate: PanelGate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `None` for the panel itself.
    pub app: Option<AppId>,
    /// For pages and the access log.
    pub name: String,
    pub force_https: bool,
    pub target: Target,
    /// `None`: nothing beside passing requests on.
    pub policy: Option<Box<TrafficPolicy>>,
    pub rules: Vec<EdgeRule>,
    pub canary: Option<Box<EdgeCanary>>,
}

impl Route {
    /// One without policy, rules and canary.
    pub fn plain(app: Option<AppId>, name: impl Into<String>, force_https: bool, target: Target) -> Route {
        Route {
            app,
            name: name.into(),
            force_https,
            target,
            policy: None,
            rules: Vec::new(),
            canary: None,
        }
    }
}

/// A rule, with what it leads to found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeRule {
    pub id: RuleId,
    pub name: String,
    pub priority: i32,
    pub matches: RequestMatch,
    pub action: EdgeAction,
    /// `None`: the route's.
    pub policy: Option<Box<TrafficPolicy>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EdgeAction {
    Serve {
        app: Option<AppId>,
        /// For pages and the access log.
        name: String,
        target: Target,
        path: PathChange,
    },
    /// By turns, as the weights say.
    Split {
        parts: Vec<EdgePart>,
        path: PathChange,
    },
    Redirect(Redirect),
    Respond {
        status: u16,
        content_type: String,
        body: String,
    },
}

/// One of several that answer by turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgePart {
    pub weight: u32,
    pub app: Option<AppId>,
    /// For pages and the access log.
    pub name: String,
    pub target: Target,
}

/// A share of a route's requests that goes elsewhere, until it fails. What has failed stays failed, wherever its app's containers are,
/// until the configuration names another app, time, percentage or limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeCanary {
    pub app: AppId,
    pub name: String,
    pub target: Target,
    /// 0 to 100 of a hundred requests.
    pub percent: u8,
    /// Requests that fit always go to it.
    pub header: Option<HeaderMatch>,
    pub limits: CanaryLimits,
    /// [`crate::Canary::since`], or when the release began to be tried.
    pub since: Time,
    /// A release of the route's own app that is tried: at all hosts it is one canary, counted together, and fails at all of them at once.
    /// `None`: another app.
    pub release: Option<ReleaseId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Any of these; which, the policy says.
    Upstreams(Vec<Upstream>),
    /// A server that is no container of ours.
    Origin(Origin),
    /// The panel's own API.
    Panel,
    /// The "is starting" page, with 503 and `Retry-After`.
    Starting,
    /// Its app is to be woken: a request says so and waits, at most so long, until a later configuration leads elsewhere.
    Asleep { wait: Duration },
    /// The "is down" page, with 503 and the reason.
    Down { why: String },
}

/// One container's port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upstream {
    pub address: SocketAddr,
}

/// How much an upstream is used, whoever leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUse {
    pub upstream: Upstream,
    /// Requests, WebSockets and connections that began. It begins anew when no route has led there for a while, and after
    /// 2^32: only that it differs says something.
    pub begun: u32,
    /// Under way.
    pub active: u32,
}

/// TLS that is passed on as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgePassthrough {
    pub app: Option<AppId>,
    pub name: String,
    /// Empty: connections are closed at once.
    pub upstreams: Vec<Upstream>,
    pub proxy_protocol: Option<ProxyVersion>,
}

/// A port that is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeStream {
    pub app: Option<AppId>,
    pub name: String,
    /// Empty: connections are closed at once, datagrams dropped.
    pub upstreams: Vec<Upstream>,
    /// For TCP only.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Empty: everybody.
    pub allow: Vec<IpNet>,
    /// 0: any number.
    pub max_connections: u32,
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
