//! The edge as a whole: what it does just now, its options, its kept answers, and ports without HTTP.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, page},
    failures::Answer,
    policies::{ProxyVersion, shown, typed, whole_networks},
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use std::str::FromStr;
use types::{LATENCY_MILLIS, StreamPort, UpstreamState};

/// What the edge tells about its work. Counters run since it started, so that rates are differences.
#[derive(Debug, Object)]
pub struct EdgeReport {
    pub domains: Vec<EdgeDomain>,
    /// Keys that were refused lately, the most often refused first.
    pub limited: Vec<LimitedKey>,
    pub upstreams: Vec<EdgeUpstream>,
    pub canaries: Vec<CanaryReport>,
    pub ports: Vec<PortReport>,
    pub cache: CacheReport,
    pub connections: u64,
    /// Connections refused because their address had too many.
    pub refused_connections: u64,
}

/// Requests to one domain.
#[derive(Debug, Object)]
pub struct EdgeDomain {
    pub host: String,
    pub requests: u64,
    /// Answers 1xx, 2xx, 3xx, 4xx, 5xx.
    pub statuses: Vec<u64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Under way.
    pub active: u64,
    /// How many answers took up to so many milliseconds.
    pub latency: Vec<LatencyCount>,
    pub p50_millis: Option<u64>,
    pub p95_millis: Option<u64>,
    pub p99_millis: Option<u64>,
    /// Refused by an address list.
    pub denied: u64,
    /// Refused by a rate limit.
    pub limited: u64,
    /// What limits that are being tried would have refused.
    pub would_limit: u64,
    pub cache_hits: u64,
    /// Hits that were stale.
    pub cache_stale: u64,
    pub cache_misses: u64,
    /// The paths asked for most, the most frequent first.
    pub top_paths: Vec<Frequent>,
    pub top_addresses: Vec<Frequent>,
}

/// Answers up to a time.
#[derive(Debug, Object)]
pub struct LatencyCount {
    /// Null: no bound.
    pub millis: Option<u64>,
    pub answers: u64,
}

/// A path or an address, and about how often it was seen.
#[derive(Debug, Object)]
pub struct Frequent {
    pub what: String,
    pub requests: u64,
}

/// One key that a rate limit refused, or would have.
#[derive(Debug, Object)]
pub struct LimitedKey {
    pub host: String,
    /// The limit's name.
    pub limit: String,
    /// An address, a header's value or a path.
    pub key: String,
    pub refused: u64,
    pub dry_run: bool,
    /// How long ago the last was.
    pub seconds_ago: u64,
}

/// Where requests go to.
#[derive(Debug, Object)]
pub struct EdgeUpstream {
    /// An address, `name:port` or a path.
    pub place: String,
    /// Requests under way.
    pub active: u64,
    /// `well`, `unhealthy` or `ejected`.
    pub state: String,
    pub why: Option<String>,
}

/// How a canary does.
#[derive(Debug, Object)]
pub struct CanaryReport {
    pub host: String,
    /// Its id.
    pub app: String,
    /// Since it was configured so.
    pub requests: u64,
    pub errors: u64,
    pub p95_millis: Option<u64>,
    /// Why all requests go to the stable app again.
    pub failed: Option<String>,
    /// The release of the domain's own app that is tried, with the numbers of all of the app's domains; null: it is another app.
    pub release: Option<String>,
}

/// How a port does.
#[derive(Debug, Object)]
pub struct PortReport {
    /// Such as `tcp/5432`.
    pub listen: String,
    /// Where it listens; null: it does not.
    pub bound: Option<String>,
    /// Why it does not.
    pub error: Option<String>,
    pub connections: u64,
    pub active: u64,
    pub refused: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Kept answers of all domains.
#[derive(Debug, Object)]
pub struct CacheReport {
    pub objects: u64,
    pub bytes: u64,
    pub max_bytes: u64,
    pub evicted: u64,
}

/// What to throw away of the kept answers.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PurgeWish {
    /// Left out: of all domains, which needs the role admin.
    pub host: Option<String>,
    /// A path, or with `*` at its end all that begin so; left out: all.
    pub path: Option<String>,
}

/// What was thrown away.
#[derive(Debug, Object)]
pub struct Purged {
    pub answers: u64,
}

/// What holds for the whole edge.
#[derive(Debug, Object)]
pub struct EdgeOptions {
    /// Addresses or networks of proxies in front of this server: from these, and only these, `X-Forwarded-For` and
    /// `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<String>,
    /// Trusted proxies begin each connection with the PROXY protocol; one that does not is refused.
    pub proxy_protocol: bool,
    /// Memory for kept answers, over all domains.
    pub cache_bytes: u64,
    /// Connections that one address (IPv6: one /64) may have open; 0: any number.
    pub connections_per_address: u32,
    /// HTTP/3 on the HTTPS port, told to browsers by `Alt-Svc`.
    pub http3: bool,
}

/// What to change; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct EdgeOptionsPatch {
    pub trusted_proxies: Option<Vec<String>>,
    pub proxy_protocol: Option<bool>,
    pub cache_bytes: Option<u64>,
    pub connections_per_address: Option<u32>,
    pub http3: Option<bool>,
}

/// A port of the server that leads to an app without HTTP.
#[derive(Debug, Object)]
pub struct Port {
    /// Such as `tcp/5432`.
    pub listen: String,
    pub app: Named,
    /// In the app's container.
    pub target_port: u16,
    pub proxy_protocol: Option<ProxyVersion>,
    /// Empty: everybody.
    pub allow: Vec<String>,
    /// At once; 0: any number.
    pub max_connections: u32,
    pub report: Option<PortReport>,
}

/// A port to open.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PortWish {
    /// Such as `tcp/5432` or `udp/53`.
    pub listen: String,
    /// Id or name.
    pub app: String,
    /// In the app's container; left out: the same.
    pub target_port: Option<u16>,
    /// Which service of an app of several; left out: the main one.
    pub service: Option<String>,
    /// Tells the app who the client is; for TCP only.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Addresses or networks that may come; left out: everybody.
    pub allow: Option<Vec<String>>,
    /// At once, over all clients; left out: any number.
    pub max_connections: Option<u32>,
}

impl From<types::EdgeReport> for EdgeReport {
    fn from(report: types::EdgeReport) -> EdgeReport {
        EdgeReport {
            domains: report.domains.into_iter().map(EdgeDomain::from).collect(),
            limited: report.limited.into_iter().map(LimitedKey::from).collect(),
            upstreams: report.upstreams.into_iter().map(EdgeUpstream::from).collect(),
            canaries: report.canaries.into_iter().map(CanaryReport::from).collect(),
            ports: report.streams.into_iter().map(PortReport::from).collect(),
            cache: CacheReport {
                objects: report.cache.objects,
                bytes: report.cache.bytes,
                max_bytes: report.cache.max_bytes,
                evicted: report.cache.evicted,
            },
            connections: report.connections,
            refused_connections: report.refused_connections,
        }
    }
}

impl From<types::DomainTraffic> for EdgeDomain {
    fn from(domain: types::DomainTraffic) -> EdgeDomain {
        let bounds = LATENCY_MILLIS.iter().copied().map(Some).chain([None]);
        let frequent = |all: Vec<(String, u64)>| all.into_iter().map(|(what, requests)| Frequent { what, requests }).collect();
        EdgeDomain {
            p50_millis: domain.percentile_millis(50),
            p95_millis: domain.percentile_millis(95),
            p99_millis: domain.percentile_millis(99),
            latency: bounds
                .zip(domain.latency)
                .map(|(millis, answers)| LatencyCount { millis, answers })
                .collect(),
            host: domain.host.to_string(),
            requests: domain.requests,
            statuses: domain.statuses.to_vec(),
            bytes_in: domain.bytes_in,
            bytes_out: domain.bytes_out,
            active: domain.active,
            denied: domain.denied,
            limited: domain.limited,
            would_limit: domain.would_limit,
            cache_hits: domain.cache_hits,
            cache_stale: domain.cache_stale,
            cache_misses: domain.cache_misses,
            top_paths: frequent(domain.top_paths),
            top_addresses: frequent(domain.top_addresses),
        }
    }
}

impl From<types::LimitedKey> for LimitedKey {
    fn from(limited: types::LimitedKey) -> LimitedKey {
        LimitedKey {
            host: limited.host.to_string(),
            limit: limited.limit,
            key: limited.key,
            refused: limited.refused,
            dry_run: limited.dry_run,
            seconds_ago: limited.seconds_ago,
        }
    }
}

impl From<types::UpstreamReport> for EdgeUpstream {
    fn from(upstream: types::UpstreamReport) -> EdgeUpstream {
        let (state, why) = match upstream.state {
            UpstreamState::Well => ("well", None),
            UpstreamState::Unhealthy { why } => ("unhealthy", Some(why)),
            UpstreamState::Ejected { seconds } => (
                "ejected",
                Some(format!("it failed too often on requests; it comes back in {seconds} s")),
            ),
        };
        EdgeUpstream {
            place: upstream.place,
            active: upstream.active,
            state: state.to_owned(),
            why,
        }
    }
}

impl From<types::CanaryReport> for CanaryReport {
    fn from(canary: types::CanaryReport) -> CanaryReport {
        CanaryReport {
            host: canary.host.to_string(),
            app: canary.app.to_string(),
            requests: canary.requests,
            errors: canary.errors,
            p95_millis: canary.p95_millis,
            failed: canary.failed,
            release: canary.release.map(|release| release.to_string()),
        }
    }
}

impl From<types::StreamReport> for PortReport {
    fn from(report: types::StreamReport) -> PortReport {
        let (bound, error) = match report.bound {
            Ok(address) => (Some(address.to_string()), None),
            Err(why) => (None, Some(why)),
        };
        PortReport {
            listen: report.listen.to_string(),
            bound,
            error,
            connections: report.connections,
            active: report.active,
            refused: report.refused,
            bytes_in: report.bytes_in,
            bytes_out: report.bytes_out,
        }
    }
}

impl From<types::EdgeOptions> for EdgeOptions {
    fn from(options: types::EdgeOptions) -> EdgeOptions {
        EdgeOptions {
            trusted_proxies: options.trusted_proxies.iter().map(ToString::to_string).collect(),
            proxy_protocol: options.proxy_protocol,
            cache_bytes: options.cache_bytes,
            connections_per_address: options.connections_per_address,
            http3: options.http3,
        }
    }
}

impl From<app::StreamView> for Port {
    fn from(view: app::StreamView) -> Port {
        let stream = view.stream;
        Port {
            listen: stream.listen.to_string(),
            app: Named::new(stream.app, view.app_name),
            target_port: stream.port,
            proxy_protocol: stream.proxy_protocol.map(|version| shown(&version)),
            allow: stream.allow.iter().map(ToString::to_string).collect(),
            max_connections: stream.max_connections,
            report: view.report.map(PortReport::from),
        }
    }
}

/// Addresses and networks as people write them.
pub(crate) fn networks<T: FromStr>(field: &str, list: Vec<String>) -> types::Result<Vec<T>> {
    let mut list = Some(list);
    whole_networks(&mut list);
    let read = |text: String| {
        let wrong = || types::Error::invalid(field, format!("`{text}` is no address or network such as 203.0.113.0/24"));
        text.trim().parse().map_err(|_| wrong())
    };
    list.into_iter().flatten().map(read).collect()
}

/// `tcp/5432`; in paths `tcp-5432`.
fn port(field: &str, text: &str) -> types::Result<StreamPort> {
    let read = text.replacen('-', "/", 1).parse();
    read.map_err(|_| types::Error::invalid(field, "must be like tcp/5432 or udp/53"))
}

#[derive(Clone)]
pub(crate) struct EdgeApi(pub Panel);

#[OpenApi(tag = "Tag::Edge")]
impl EdgeApi {
    /// Show what the edge does just now
    ///
    /// Traffic by domain, limits, upstreams, canaries, ports and kept answers.
    #[oai(path = "/edge/report", method = "get", operation_id = "edge_report")]
    async fn edge_report(&self, who: Signed) -> Answer<Json<EdgeReport>> {
        Ok(Json(self.0.edge.report(&who.actor).await?.into()))
    }

    /// Throw kept answers away
    #[oai(path = "/edge/purge", method = "post", operation_id = "edge_purge")]
    async fn edge_purge(&self, who: Signed, body: Json<PurgeWish>) -> Answer<Json<Purged>> {
        who.actor.may_somewhere(types::Action::Configure)?;
        let purge = types::Purge {
            host: body.0.host.map(|host| host.parse()).transpose()?,
            path: body.0.path,
        };
        let answers = self.0.edge.purge(&who.actor, purge).await?;
        Ok(Json(Purged { answers }))
    }

    /// Show the options of the edge
    ///
    /// Needs the role admin.
    #[oai(path = "/edge/options", method = "get", operation_id = "edge_options_show")]
    async fn edge_options_show(&self, who: Signed) -> Answer<Json<EdgeOptions>> {
        Ok(Json(self.0.edge.options(&who.actor).await?.into()))
    }

    /// Change options of the edge
    ///
    /// Needs the role admin.
    #[oai(path = "/edge/options", method = "patch", operation_id = "edge_options_update")]
    async fn edge_options_update(&self, who: Signed, body: Json<EdgeOptionsPatch>) -> Answer<Json<EdgeOptions>> {
        let before = self.0.edge.options(&who.actor).await?;
        let EdgeOptionsPatch {
            trusted_proxies,
            proxy_protocol,
            cache_bytes,
            connections_per_address,
            http3,
        } = body.0;
        let options = types::EdgeOptions {
            trusted_proxies: match trusted_proxies {
                Some(list) => networks("trusted_proxies", list)?,
                None => before.trusted_proxies,
            },
            proxy_protocol: proxy_protocol.unwrap_or(before.proxy_protocol),
            cache_bytes: cache_bytes.unwrap_or(before.cache_bytes),
            connections_per_address: connections_per_address.unwrap_or(before.connections_per_address),
            http3: http3.unwrap_or(before.http3),
        };
        Ok(Json(self.0.edge.set_options(&who.actor, options).await?.into()))
    }

    /// List ports that lead to apps
    #[oai(path = "/ports", method = "get", operation_id = "port_list")]
    async fn port_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Port>>> {
        let ports = self.0.edge.streams(&who.actor).await?;
        page(ports, cursor.0.as_deref(), limit.0, |view| view.stream.listen.to_string())
    }

    /// Open a port that leads to an app
    ///
    /// TCP connections or UDP datagrams, passed on as they are.
    #[oai(path = "/ports", method = "post", operation_id = "port_open")]
    async fn port_open(&self, who: Signed, body: Json<PortWish>) -> Answer<Created<Port>> {
        who.actor.may_somewhere(types::Action::Configure)?;
        let listen = port("listen", &body.0.listen)?;
        let wish = app::NewStream {
            listen,
            app: body.0.app,
            port: body.0.target_port.unwrap_or(listen.port),
            service: body.0.service,
            proxy_protocol: body.0.proxy_protocol.map(|version| typed(&version)).transpose()?,
            allow: networks("allow", body.0.allow.unwrap_or_default())?,
            max_connections: body.0.max_connections.unwrap_or(0),
        };
        Ok(created(self.0.edge.open(&who.actor, wish).await?))
    }

    /// Close a port
    #[oai(path = "/ports/:listen", method = "delete", operation_id = "port_close")]
    async fn port_close(
        &self,
        who: Signed,
        /// Such as `tcp-5432`.
        listen: Path<String>,
    ) -> Answer<Done> {
        who.actor.may_somewhere(types::Action::Configure)?;
        self.0.edge.close(&who.actor, port("listen", &listen.0)?).await?;
        Ok(Done::Done)
    }
}
