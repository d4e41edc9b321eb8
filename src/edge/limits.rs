//! Rate limits: how many requests a key may make, and who was refused. The counting is `governor`'s (GCRA, as nginx's
//! leaky bucket), by key.

use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock, clock::DefaultClock};
use http::HeaderMap;
use ipnet::IpNet;
use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use types::{HostPattern, LimitedKey, RateKey, RateLimit};

/// Refused keys that are remembered for each limit.
const REFUSED: usize = 1000;
/// And for how long.
const REMEMBERED: Duration = Duration::from_secs(600);
/// A key is cut to this, so that a client cannot fill memory with long ones.
const KEY_BYTES: usize = 200;

pub(crate) struct Limit {
    host: HostPattern,
    pub rule: RateLimit,
    limiter: DefaultKeyedRateLimiter<Box<str>>,
    clock: DefaultClock,
    refused: Mutex<HashMap<Box<str>, Refused>>,
    pub total: AtomicU64,
}

struct Refused {
    count: u64,
    last: Instant,
}

impl Limit {
    /// `rule` has been checked.
    pub(crate) fn new(host: HostPattern, rule: RateLimit) -> Limit {
        let requests = rule.requests.max(1);
        let each = (Duration::from_secs(rule.period_seconds.max(1).into()) / requests).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(if rule.burst == 0 { requests } else { rule.burst }).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(each).expect("not zero").allow_burst(burst);
        Limit {
            host,
            rule,
            limiter: DefaultKeyedRateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            refused: Mutex::default(),
            total: AtomicU64::new(0),
        }
    }

    /// `Err`: after which time the next one would pass. A limit that is being tried refuses too; the caller lets it pass.
    pub(crate) fn check(&self, client: IpAddr, path: &str, headers: &HeaderMap) -> Result<(), Duration> {
        if holds(&self.rule.exempt, client) {
            return Ok(());
        }
        let mut key = match &self.rule.key {
            RateKey::Address => of_address(client),
            RateKey::Path => path.to_owned(),
            RateKey::Header { name } => headers
                .get(name.as_str())
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .unwrap_or_default(),
        };
        if key.len() > KEY_BYTES {
            let end = (0..=KEY_BYTES).rev().find(|end| key.is_char_boundary(*end)).unwrap_or(0);
            key.truncate(end);
        }
        let key = key.into_boxed_str();
        let Err(not_until) = self.limiter.check_key(&key) else {
            return Ok(());
        };
        self.total.fetch_add(1, Relaxed);
        let mut refused = self.refused.lock().expect("no panic under this lock");
        if refused.len() < REFUSED || refused.contains_key(&key) {
            let entry = refused.entry(key).or_insert(Refused {
                count: 0,
                last: Instant::now(),
            });
            entry.count += 1;
            entry.last = Instant::now();
        }
        Err(not_until.wait_time_from(self.clock.now()))
    }

    pub(crate) fn tidy(&self) {
        self.limiter.retain_recent();
        self.refused
            .lock()
            .expect("no panic under this lock")
            .retain(|_, refused| refused.last.elapsed() < REMEMBERED);
    }

    pub(crate) fn report(&self, into: &mut Vec<LimitedKey>) {
        for (key, refused) in self.refused.lock().expect("no panic under this lock").iter() {
            into.push(LimitedKey {
                host: self.host.clone(),
                limit: self.rule.name.clone(),
                key: key.to_string(),
                refused: refused.count,
                dry_run: self.rule.dry_run,
                seconds_ago: refused.last.elapsed().as_secs(),
            });
        }
    }
}

/// An IPv4 address, or the /64 of an IPv6 one: a client has at least that many to choose from.
pub(crate) fn of_address(address: IpAddr) -> String {
    match key_of(address) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    }
}

pub(crate) fn key_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
    }
}

pub(crate) fn holds(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}
