//! What an edge tells about its work: counters since it started, so that rates are differences.

use crate::{AppId, HostPattern, ReleaseId, StreamPort, Time};
use std::net::SocketAddr;

/// All of it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgeReport {
    pub domains: Vec<DomainTraffic>,
    /// Keys that were refused lately, the most often refused first.
    pub limited: Vec<LimitedKey>,
    pub upstreams: Vec<UpstreamReport>,
    pub canaries: Vec<CanaryReport>,
    pub streams: Vec<StreamReport>,
    pub cache: CacheReport,
    pub connections: u64,
    /// Connections refused because their address had too many.
    pub refused_connections: u64,
}

/// Requests to one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainTraffic {
    pub host: HostPattern,
    pub requests: u64,
    /// Answers 1xx, 2xx, 3xx, 4xx, 5xx.
    pub statuses: [u64; 5],
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub active: u64,
    /// How many answers took up to so many milliseconds; the last one has no bound ([`LATENCY_MILLIS`]).
    pub latency: [u64; LATENCY_MILLIS.len() + 1],
    /// Refused by address list, by rate limit, and counted only by a limit that is being tried.
    pub denied: u64,
    pub limited: u64,
    pub would_limit: u64,
    pub cache_hits: u64,
    /// Hits that were stale.
    pub cache_stale: u64,
    pub cache_misses: u64,
    /// The paths and addresses asked for most, and about how often, the most frequent first; over the whole life of the edge.
    pub top_paths: Vec<(String, u64)>,
    pub top_addresses: Vec<(String, u64)>,
}

/// Upper ends of the latency counts.
pub const LATENCY_MILLIS: [u64; 15] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

impl DomainTraffic {
    /// The time that `percent` of 100 answers stayed below, as far as the counts tell; `None` without requests.
    pub fn percentile_millis(&self, percent: u64) -> Option<u64> {
        percentile(&self.latency, percent)
    }
}

/// The bound in [`LATENCY_MILLIS`] below which `percent` of 100 of the counted lie; those without bound count as the last.
pub fn percentile(counts: &[u64; LATENCY_MILLIS.len() + 1], percent: u64) -> Option<u64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = (u128::from(all) * u128::from(percent)).div_ceil(100);
    let mut sum = 0u128;
    let place = counts.iter().position(|count| {
        sum += u128::from(*count);
        sum >= wanted
    });
    Some(LATENCY_MILLIS[place.unwrap_or(usize::MAX).min(LATENCY_MILLIS.len() - 1)])
}

/// One key that a limit refused, or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitedKey {
    pub host: HostPattern,
    /// [`crate::RateLimit::name`]
    pub limit: String,
    /// An address, a header's value or a path.
    pub key: String,
    pub refused: u64,
    pub dry_run: bool,
    /// How long ago the last was.
    pub seconds_ago: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamReport {
    /// An address, `name:port` or a path.
    pub place: String,
    pub active: u64,
    pub state: UpstreamState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamState {
    Well,
    /// Active checks fail, and why.
    Unhealthy {
        why: String,
    },
    /// It failed too often on requests; it comes back in this many seconds.
    Ejected {
        seconds: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryReport {
    pub host: HostPattern,
    pub app: AppId,
    /// [`crate::EdgeCanary::since`]
    pub since: Time,
    /// Since it was configured so.
    pub requests: u64,
    pub errors: u64,
    pub p95_millis: Option<u64>,
    /// Why all requests go to the stable app again.
    pub failed: Option<String>,
    /// [`crate::EdgeCanary::release`]: then the numbers are those of all hosts.
    pub release: Option<ReleaseId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    pub listen: StreamPort,
    /// Where it listens in fact, or why it does not.
    pub bound: Result<SocketAddr, String>,
    pub connections: u64,
    pub active: u64,
    pub refused: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheReport {
    pub objects: u64,
    pub bytes: u64,
    pub max_bytes: u64,
    pub evicted: u64,
}

/// What to throw away of the kept answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purge {
    /// `None`: of all domains.
    pub host: Option<HostPattern>,
    /// A path, or with `*` at its end all that begin so; `None`: all.
    pub path: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let mut counts = [0; LATENCY_MILLIS.len() + 1];
        assert_eq!(percentile(&counts, 95), None);
        counts[0] = 95;
        counts[6] = 5;
        assert_eq!(
            (percentile(&counts, 50), percentile(&counts, 95), percentile(&counts, 96)),
            (Some(1), Some(1), Some(100))
        );
        counts[LATENCY_MILLIS.len()] = 1000;
        assert_eq!(percentile(&counts, 99), Some(60_000));
    }
}
