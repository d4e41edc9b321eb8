//! How often the panel's own API may be asked: the rules, who is limited now, and the counting itself, which is
//! `governor`'s (GCRA), as in the edge. Counters are in memory: a restart forgets them.

use crate::ground::Ground;
use arc_swap::ArcSwap;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use types::{Action, Actor, ApiCaller, ApiClass, ApiLimit, ApiLimited, ApiLimits, Error, Fact, Result, Who, normal_path};

/// Refused callers that are remembered for each rule.
const REFUSED: usize = 1000;
/// And for how long.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Of one answer.
const SHOWN: usize = 200;
/// After so many requests, callers that have not come for a while are forgotten.
const TIDY_EVERY: u64 = 4096;

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct ApiLimitsChange {
    pub rules: Option<Vec<ApiLimit>>,
    pub exempt: Option<Vec<ipnet::IpNet>>,
}

/// Who makes a request, as far as limits care.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// As the edge saw it; `None` on the machine itself, which is never limited.
    pub address: Option<&'a str>,
    /// `None`: not signed in.
    pub actor: Option<&'a Actor>,
}

#[derive(Clone)]
pub struct ApiLimitsService {
    ground: Arc<Ground>,
    /// What is recorded, with its counters.
    now: Arc<ArcSwap<Counted>>,
    /// One change at a time.
    changing: Arc<tokio::sync::Mutex<()>>,
}

struct Counted {
    limits: ApiLimits,
    counters: Vec<Arc<Counter>>,
    requests: AtomicU64,
}

/// One rule, and what it has counted.
struct Counter {
    rule: ApiLimit,
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
    refused: Mutex<HashMap<String, Refused>>,
}

struct Refused {
    count: u64,
    last: Instant,
}

impl ApiLimitsService {
    pub(crate) fn new(ground: Arc<Ground>) -> Result<ApiLimitsService> {
        let limits = recorded(&ground)?;
        Ok(ApiLimitsService {
            ground,
            now: Arc::new(ArcSwap::from_pointee(Counted::new(limits, &[]))),
            changing: Arc::default(),
        })
    }

    pub fn show(&self, actor: &Actor) -> Result<ApiLimits> {
        actor.may(Action::Operate)?;
        Ok(self.now.load().limits.clone())
    }

    /// Who was refused in the last ten minutes, or would have been; the most often refused first.
    pub fn limited(&self, actor: &Actor) -> Result<Vec<ApiLimited>> {
        actor.may(Action::Operate)?;
        let mut all: Vec<ApiLimited> = self.now.load().counters.iter().flat_map(|counter| counter.report()).collect();
        all.sort_by(|one, other| other.refused.cmp(&one.refused).then_with(|| one.key.cmp(&other.key)));
        all.truncate(SHOWN);
        Ok(all)
    }

    /// Rules that stay as they are keep their counters. Fails with `Invalid`.
    pub async fn update(&self, actor: &Actor, change: ApiLimitsChange) -> Result<ApiLimits> {
        actor.may(Action::Operate)?;
        let _one_at_a_time = self.changing.lock().await;
        let collection = &self.ground.store.api_limits;
        let found = collection.find(store::API_LIMITS_KEY)?;
        let before = found.as_ref().map(|stored| stored.value.clone()).unwrap_or_default();
        let after = ApiLimits {
            rules: change.rules.unwrap_or_else(|| before.rules.clone()),
            exempt: change.exempt.unwrap_or_else(|| before.exempt.clone()),
        };
        after.check()?;
        if after == before {
            return Ok(after);
        }
        match found {
            Some(mut stored) => {
                stored.value = after.clone();
                collection.save(stored).await?;
            }
            None => {
                collection.insert(after.clone()).await?;
            }
        }
        let counted = Counted::new(after.clone(), &self.now.load().counters);
        self.now.store(Arc::new(counted));
        self.ground
            .events
            .emit(
                actor,
                Fact::ApiLimitsChanged {
                    what: told(&before, &after),
                },
            )
            .await;
        Ok(after)
    }

    /// Counts one request to a path, which is without `/api/v1`. Fails with `Throttled` when a rule is used up.
    pub fn admit(&self, class: ApiClass, path: &str, asker: Asker<'_>) -> Result<()> {
        let Some(address) = asker.address.and_then(|text| text.parse::<IpAddr>().ok()) else {
            return Ok(());
        };
        let counted = self.now.load();
        if counted.requests.fetch_add(1, Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            counted.counters.iter().for_each(|counter| counter.tidy());
        }
        if counted.limits.exempt.iter().any(|net| net.contains(&address.to_canonical())) {
            return Ok(());
        }
        // No spelling of a path goes around a rule; one that climbs above the root leads nowhere.
        let path = normal_path(path).unwrap_or_default();
        let mut longest: Option<Duration> = None;
        for counter in counted.counters.iter().filter(|counter| counter.rule.covers(class, &path)) {
            if let Err(wait) = counter.count(key_of(counter.rule.per, address, asker.actor))
                && !counter.rule.dry_run
            {
                longest = longest.max(Some(wait));
            }
        }
        match longest {
            // Rounded up: who comes back at that second passes.
            Some(wait) => Err(Error::Throttled {
                seconds: wait.as_secs() + 1,
            }),
            None => Ok(()),
        }
    }
}

fn recorded(ground: &Ground) -> Result<ApiLimits> {
    let found = ground.store.api_limits.find(store::API_LIMITS_KEY)?;
    Ok(found.map(|stored| stored.value).unwrap_or_default())
}

/// A token or a person; else, and where the rule says so, the address.
fn key_of(per: ApiCaller, address: IpAddr, actor: Option<&Actor>) -> String {
    match (per, actor.map(|actor| &actor.who)) {
        (ApiCaller::Caller, Some(Who::Token { id, name, .. })) => format!("{name} ({id})"),
        (ApiCaller::Caller, Some(Who::User { email, .. })) => email.clone(),
        _ => network_of(address),
    }
}

/// An IPv4 address, or the /64 of an IPv6 one: a client has at least that many to choose from.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", std::net::Ipv6Addr::from(bits))
        }
    }
}

fn told(before: &ApiLimits, after: &ApiLimits) -> Vec<String> {
    let names = |limits: &ApiLimits| limits.rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    let mut what: Vec<String> = after
        .rules
        .iter()
        .filter(|rule| !before.rules.contains(rule))
        .map(|rule| rule.name.clone())
        .collect();
    let left = names(after);
    what.extend(names(before).into_iter().filter(|name| !left.contains(name)));
    if before.exempt != after.exempt {
        what.push("who is never limited".into());
    }
    what
}

impl Counted {
    fn new(limits: ApiLimits, before: &[Arc<Counter>]) -> Counted {
        let kept = |rule: &ApiLimit| before.iter().find(|counter| counter.rule == *rule).cloned();
        let counters = limits
            .rules
            .iter()
            .map(|rule| kept(rule).unwrap_or_else(|| Arc::new(Counter::new(rule.clone()))));
        Counted {
            counters: counters.collect(),
            limits,
            requests: AtomicU64::new(0),
        }
    }
}

impl Counter {
    /// `rule` has been checked.
    fn new(rule: ApiLimit) -> Counter {
        let requests = rule.requests.max(1);
        let each = (Duration::from_secs(rule.period_seconds.max(1).into()) / requests).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(if rule.burst == 0 { requests } else { rule.burst }).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(each).expect("not zero").allow_burst(burst);
        Counter {
            rule,
            limiter: DefaultKeyedRateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            refused: Mutex::default(),
        }
    }

    /// `Err`: after which time the next one would pass.
    fn count(&self, key: String) -> Result<(), Duration> {
        let Err(not_until) = self.limiter.check_key(&key) else {
            return Ok(());
        };
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

    fn tidy(&self) {
        self.limiter.retain_recent();
        let mut refused = self.refused.lock().expect("no panic under this lock");
        refused.retain(|_, refused| refused.last.elapsed() < REMEMBERED);
    }

    fn report(&self) -> Vec<ApiLimited> {
        let refused = self.refused.lock().expect("no panic under this lock");
        let recent = refused.iter().filter(|(_, refused)| refused.last.elapsed() < REMEMBERED);
        recent
            .map(|(key, refused)| ApiLimited {
                limit: self.rule.name.clone(),
                key: key.clone(),
                refused: refused.count,
                dry_run: self.rule.dry_run,
                seconds_ago: refused.last.elapsed().as_secs(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_count_by_network() {
        for (address, key) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ] {
            assert_eq!(key_of(ApiCaller::Caller, address.parse().expect("an address"), None), key);
        }
    }

    #[test]
    fn a_rule_that_stays_keeps_its_counters() {
        let limits = ApiLimits::default();
        let before = Counted::new(limits.clone(), &[]);
        let mut changed = limits;
        changed.rules[0].requests = 7;
        let after = Counted::new(changed, &before.counters);
        assert!(!Arc::ptr_eq(&before.counters[0], &after.counters[0]));
        assert!(Arc::ptr_eq(&before.counters[1], &after.counters[1]));
    }

    #[test]
    fn what_is_over_is_refused_and_remembered() {
        let mut rule = ApiLimits::default().rules[0].clone();
        (rule.requests, rule.period_seconds) = (2, 3600);
        let counter = Counter::new(rule);
        let passes = |key: &str| counter.count(key.to_owned()).is_ok();
        assert!(passes("a") && passes("a") && passes("b"));
        let wait = counter.count("a".into()).expect_err("two are allowed");
        assert!(wait > Duration::from_secs(1700) && wait <= Duration::from_secs(1800), "{wait:?}");
        let report = counter.report();
        assert_eq!((report.len(), report[0].key.as_str(), report[0].refused), (1, "a", 1));
    }
}
