//! Counters of one domain, for people who look at its traffic. They live through swaps.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use types::{DomainTraffic, HostPattern, LATENCY_MILLIS};

/// Paths and addresses that are counted at once; the rarest makes room for a new one and gives it its count (the
/// space-saving sketch of Metwally and others), so what is frequent is never missed.
const WATCHED: usize = 64;
const SHOWN: usize = 20;
/// Of busy domains, one in so many requests is looked at for paths and addresses.
const SAMPLE: u64 = 16;
const ALL_UNTIL: u64 = 1024;

#[derive(Default)]
pub(crate) struct Tally {
    requests: AtomicU64,
    statuses: [AtomicU64; 5],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    active: AtomicU64,
    latency: [AtomicU64; LATENCY_MILLIS.len() + 1],
    pub denied: AtomicU64,
    pub limited: AtomicU64,
    pub would_limit: AtomicU64,
    pub cache_hits: AtomicU64,
    pub cache_stale: AtomicU64,
    pub cache_misses: AtomicU64,
    top: Mutex<(Top, Top)>,
}

#[derive(Default)]
struct Top(HashMap<Box<str>, u64>);

impl Top {
    fn add(&mut self, key: &str, by: u64) {
        if let Some(count) = self.0.get_mut(key) {
            *count += by;
            return;
        }
        let mut count = by;
        if self.0.len() >= WATCHED
            && let Some((rarest, least)) = self
                .0
                .iter()
                .min_by_key(|(_, count)| **count)
                .map(|(key, count)| (key.clone(), *count))
        {
            self.0.remove(&rarest);
            count += least;
        }
        self.0.insert(key.into(), count);
    }
    fn list(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(key, count)| (key.to_string(), *count)).collect();
        all.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all.truncate(SHOWN);
        all
    }
}

/// The place of a time in the latency counts.
pub(crate) fn bucket(took: Duration) -> usize {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    LATENCY_MILLIS
        .iter()
        .position(|bound| millis < *bound)
        .unwrap_or(LATENCY_MILLIS.len())
}

impl Tally {
    pub(crate) fn begin(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    /// `client` and `path` are text, as far as they are ASCII.
    pub(crate) fn end(&self, status: u16, bytes: (u64, u64), took: Duration, client: &[u8], path: &[u8]) {
        self.active.fetch_sub(1, Relaxed);
        let n = self.requests.fetch_add(1, Relaxed);
        if let Some(count) = self.statuses.get(usize::from(status / 100).wrapping_sub(1)) {
            count.fetch_add(1, Relaxed);
        }
        if bytes.0 > 0 {
            self.bytes_in.fetch_add(bytes.0, Relaxed);
        }
        self.bytes_out.fetch_add(bytes.1, Relaxed);
        self.latency[bucket(took)].fetch_add(1, Relaxed);
        let by = if n < ALL_UNTIL { 1 } else { SAMPLE };
        if n.is_multiple_of(by)
            && let Ok(mut top) = self.top.try_lock()
        {
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
            top.0.add(&text(path), by);
            top.1.add(&text(client), by);
        }
    }

    pub(crate) fn read(&self, host: &HostPattern) -> DomainTraffic {
        let top = self.top.lock().expect("no panic under this lock");
        let read = |count: &AtomicU64| count.load(Relaxed);
        DomainTraffic {
            host: host.clone(),
            requests: read(&self.requests),
            statuses: std::array::from_fn(|n| read(&self.statuses[n])),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            active: read(&self.active),
            latency: std::array::from_fn(|n| read(&self.latency[n])),
            denied: read(&self.denied),
            limited: read(&self.limited),
            would_limit: read(&self.would_limit),
            cache_hits: read(&self.cache_hits),
            cache_stale: read(&self.cache_stale),
            cache_misses: read(&self.cache_misses),
            top_paths: top.0.list(),
            top_addresses: top.1.list(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_frequent_stays_among_many() {
        let mut top = Top::default();
        for n in 0..10_000 {
            top.add(&format!("/rare/{n}"), 1);
            if n % 5 == 0 {
                top.add("/often", 1);
            }
        }
        assert_eq!(top.list()[0].0, "/often");
        assert_eq!(top.0.len(), WATCHED);
    }

    #[test]
    fn buckets() {
        for (millis, place) in [(0, 0), (1, 1), (4, 2), (5, 3), (59_999, 14), (60_000, 15), (1 << 40, 15)] {
            assert_eq!(bucket(Duration::from_millis(millis)), place, "{millis}");
        }
    }
}
