//! A brake on guessing, in memory. It counts per account and address together, per address, and per account.
//!
//! An attempt counts when it begins and is taken back when it succeeds, so that a hundred at once are a hundred. One
//! address adds little to an account's own count, so it cannot lock the account's owner out. A browser that the account's
//! owner has signed in with before counts by itself: nobody else has it, so nobody else makes it wait, not even who shares
//! its address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use types::{Error, Result, Time, World};

/// Failures are forgotten this long after the last one.
const FORGET: Duration = Duration::from_secs(3600);
/// Entries; beyond that the oldest go.
const ENTRIES: usize = 20_000;
/// What one address can add to an account's count.
const SHARE: u32 = 8;
/// Letters of an account's name that tell it from others. None is longer; what is typed may be.
const NAME: usize = 400;

/// How many failures are free, and the longest wait after that. It begins with a second and doubles.
#[derive(Clone, Copy)]
struct Rule {
    free: u32,
    longest: Duration,
}

const PAIR: Rule = Rule {
    free: 5,
    longest: Duration::from_secs(900),
};
const ADDRESS: Rule = Rule {
    free: 30,
    longest: Duration::from_secs(900),
};
const ACCOUNT: Rule = Rule {
    free: 50,
    longest: Duration::from_secs(30),
};
/// Codes of a second factor, by account alone: who tries them has the password already, so this locks out no stranger's
/// victim; and a million codes of which three are good at a time need a brake over all addresses.
const CODE: Rule = Rule {
    free: 10,
    longest: Duration::from_secs(300),
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, String),
    Address(String),
    Account(String),
    Code(String),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    last: Time,
}

/// Shared by its clones.
#[derive(Clone)]
pub struct Throttle {
    world: World,
    counts: Arc<Mutex<HashMap<Key, Count>>>,
}

/// An attempt that has been counted as failed, until [`Attempt::succeeded`].
#[must_use]
pub struct Attempt {
    throttle: Throttle,
    pair: Key,
    counted: Vec<Key>,
}

impl Throttle {
    pub fn new(world: World) -> Throttle {
        Throttle {
            world,
            counts: Arc::default(),
        }
    }

    /// Begins an attempt to get into `account` from `address`. Fails with `Throttled` while it is too early.
    pub fn attempt(&self, account: &str, address: &str) -> Result<Attempt> {
        let (account, address) = (called(account), network(address));
        let wider = [(Key::Address(address.clone()), ADDRESS), (Key::Account(account.clone()), ACCOUNT)];
        self.begin(Key::Pair(account, address), &wider)
    }

    /// The same in a browser of the account's owner. What others do at this address neither holds it up nor is held up by it; all
    /// browsers of the account do.
    pub fn attempt_known(&self, account: &str, browser: &str, address: &str) -> Result<Attempt> {
        let (account, address) = (called(account), network(address));
        let here = format!("{account} in {browser}");
        let own = Key::Address(format!("{address} of {account}"));
        let wider = [(own, ADDRESS), (Key::Account(here.clone()), ACCOUNT)];
        self.begin(Key::Pair(here, address), &wider)
    }

    /// Begins an attempt at a word that nobody guesses, of a link of this kind. It counts against the address alone: the links
    /// are everybody's, and no stranger's wrong words may make others wait.
    pub fn attempt_link(&self, kind: &str, address: &str) -> Result<Attempt> {
        let address = network(address);
        let wider = [(Key::Address(address.clone()), ADDRESS)];
        self.begin(Key::Pair(called(kind), address), &wider)
    }

    /// Begins an attempt to show the second factor of `account`. Fails with `Throttled` while it is too early.
    pub fn attempt_code(&self, account: &str) -> Result<Attempt> {
        let mut counts = self.counts();
        let key = Key::Code(called(account));
        self.must_not_wait(&mut counts, &[(&key, CODE)])?;
        Ok(self.count(&mut counts, key.clone(), vec![key]))
    }

    fn begin(&self, pair: Key, wider: &[(Key, Rule)]) -> Result<Attempt> {
        let mut counts = self.counts();
        let mut held_by = vec![(&pair, PAIR)];
        held_by.extend(wider.iter().map(|(key, rule)| (key, *rule)));
        self.must_not_wait(&mut counts, &held_by)?;
        let has_share = counts.get(&pair).is_none_or(|count| count.failures < SHARE);
        let counts_too = wider
            .iter()
            .map(|(key, _)| key)
            .filter(|key| has_share || !matches!(key, Key::Account(_)));
        let counted = std::iter::once(&pair).chain(counts_too).cloned().collect();
        Ok(self.count(&mut counts, pair, counted))
    }

    /// Fails with `Throttled` for the longest wait of these. What is long ago is forgotten.
    fn must_not_wait(&self, counts: &mut HashMap<Key, Count>, held_by: &[(&Key, Rule)]) -> Result<()> {
        let now = self.world.now();
        let mut longest: Option<Duration> = None;
        for (key, rule) in held_by {
            if counts.get(*key).is_some_and(|count| now.since(count.last) >= FORGET) {
                counts.remove(*key);
            }
            longest = longest.max(counts.get(*key).and_then(|count| rule.wait(*count, now)));
        }
        match longest {
            Some(wait) => Err(Error::Throttled {
                seconds: wait.as_secs().max(1),
            }),
            None => Ok(()),
        }
    }

    fn count(&self, counts: &mut HashMap<Key, Count>, pair: Key, counted: Vec<Key>) -> Attempt {
        let now = self.world.now();
        for key in &counted {
            let count = counts.entry(key.clone()).or_insert(Count { failures: 0, last: now });
            count.failures += 1;
            count.last = now;
        }
        if counts.len() > ENTRIES {
            shed(counts);
        }
        Attempt {
            throttle: self.clone(),
            pair,
            counted,
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// Takes it back and forgets nothing: it was neither right nor wrong yet. Else a password that somebody knows would
    /// clear, between two guesses at the code, what the guesses have counted.
    pub fn withdrawn(self) {
        let mut counts = self.throttle.counts();
        for key in &self.counted {
            if let Some(count) = counts.get_mut(key) {
                count.failures = count.failures.saturating_sub(1);
            }
        }
    }

    /// Takes it back, and forgets the failures of this account from this address.
    pub fn succeeded(self) {
        let mut counts = self.throttle.counts();
        for key in &self.counted {
            if let Some(count) = counts.get_mut(key) {
                count.failures = count.failures.saturating_sub(1);
            }
        }
        counts.remove(&self.pair);
    }
}

impl Rule {
    /// How long is left to wait.
    fn wait(&self, count: Count, now: Time) -> Option<Duration> {
        let over = count.failures.checked_sub(self.free)?;
        let delay = Duration::from_secs(1 << over.min(20)).min(self.longest);
        let left = delay.saturating_sub(now.since(count.last));
        (!left.is_zero()).then(|| Duration::from_secs(left.as_secs_f64().ceil() as u64))
    }
}

/// An account's name in one way of writing it: letters of either case and any space between words are the same one's.
fn called(account: &str) -> String {
    let words: Vec<&str> = account.split_whitespace().collect();
    words.join(" ").chars().take(NAME).collect::<String>().to_lowercase()
}

/// Whoever has one IPv6 address has the 2^64 beside it.
fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => format!("{:x?}", &address.segments()[..4]),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

/// Drops the older half.
fn shed(counts: &mut HashMap<Key, Count>) {
    let mut times: Vec<Time> = counts.values().map(|count| count.last).collect();
    times.sort();
    let middle = times[times.len() / 2];
    counts.retain(|_, count| count.last > middle);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use types::{Clock, SystemChance};

    #[derive(Default)]
    struct Hand(AtomicI64);
    impl Clock for Hand {
        fn now(&self) -> Time {
            Time(self.0.load(Ordering::Relaxed))
        }
    }

    fn throttle() -> (Throttle, Arc<Hand>) {
        let clock = Arc::new(Hand::default());
        (Throttle::new(World::new(clock.clone(), Arc::new(SystemChance))), clock)
    }

    /// Tries and fails; the seconds to wait if it was refused.
    fn fail(throttle: &Throttle, account: &str, address: &str) -> Option<u64> {
        match throttle.attempt(account, address) {
            Ok(_) => None,
            Err(Error::Throttled { seconds }) => Some(seconds),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn waits_grow_after_five_and_end() {
        let (throttle, clock) = throttle();
        for _ in 0..5 {
            assert_eq!(fail(&throttle, "ada", "10.0.0.1"), None);
        }
        let mut waits = Vec::new();
        for _ in 0..13 {
            let wait = fail(&throttle, "ADA ", "10.0.0.1").expect("too early");
            waits.push(wait);
            clock.0.fetch_add(i64::try_from(wait).expect("small") * 1000, Ordering::Relaxed);
            assert_eq!(fail(&throttle, "ada", "10.0.0.1"), None, "allowed once after the wait");
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        clock.0.fetch_add(3_600_000, Ordering::Relaxed);
        for _ in 0..5 {
            assert_eq!(fail(&throttle, "ada", "10.0.0.1"), None, "forgotten after an hour");
        }
    }

    #[test]
    fn one_address_cannot_lock_an_account_for_others() {
        let (throttle, clock) = throttle();
        for _ in 0..500 {
            fail(&throttle, "ada", "10.0.0.66");
            clock.0.fetch_add(2_000, Ordering::Relaxed);
        }
        assert!(fail(&throttle, "ada", "10.0.0.66").is_some());
        throttle.attempt("ada", "10.0.0.1").expect("ada herself").succeeded();
    }

    #[test]
    fn one_address_cannot_try_many_accounts_nor_many_addresses_one() {
        let (throttle, _) = throttle();
        let tried = (0..100)
            .filter(|index| fail(&throttle, &format!("user{index}"), "10.0.0.66").is_none())
            .count();
        assert_eq!(tried, 30);
        let tried = (0..100)
            .filter(|index| fail(&throttle, "ada", &format!("10.0.1.{index}")).is_none())
            .count();
        assert_eq!(tried, 50);
        // The neighbours of an IPv6 address are the same somebody.
        let tried = (1..100)
            .filter(|index| fail(&throttle, &format!("x{index}"), &format!("2001:db8::{index:x}")).is_none())
            .count();
        assert_eq!(tried, 30);
    }

    #[test]
    fn who_shares_an_address_makes_no_known_browser_wait() {
        let (throttle, _) = throttle();
        for index in 0..100 {
            fail(&throttle, &format!("user{index}"), "10.0.0.1");
        }
        assert!(throttle.attempt("ada", "10.0.0.1").is_err(), "a browser that nobody knows waits");
        let known = |browser: &str, address: &str| throttle.attempt_known("ada", browser, address);
        known("dev_1", "10.0.0.1").expect("ada's own does not").succeeded();
        // It is slowed down by what is tried in it, here and everywhere, and by what is tried in all of hers here.
        let tried = (0..20).filter(|_| known("dev_1", "10.0.0.2").is_ok()).count();
        assert_eq!(tried, 5);
        let tried = (0..100).filter(|index| known("dev_1", &format!("10.0.1.{index}")).is_ok()).count();
        assert_eq!(tried, 45);
        let tried = (0..100).filter(|index| known(&format!("dev_x{index}"), "10.0.0.3").is_ok()).count();
        assert_eq!(tried, 30);
        assert!(throttle.attempt("bob", "10.0.0.3").is_ok(), "and makes nobody else wait");
    }

    #[test]
    fn an_account_has_one_name_however_it_is_written() {
        for (written, name) in [
            ("ada", "ada"),
            (" ADA ", "ada"),
            ("Ada  Lovelace", "ada lovelace"),
            ("ada\tlovelace\n", "ada lovelace"),
        ] {
            assert_eq!(called(written), name);
        }
        assert_eq!(called(&"x".repeat(1 << 20)).len(), NAME, "memory is bounded");
    }

    #[test]
    fn wrong_links_make_nobody_else_wait() {
        let (throttle, _) = throttle();
        for index in 0..100 {
            for _ in 0..5 {
                drop(throttle.attempt_link("invitation", &format!("10.0.1.{index}")));
            }
        }
        assert!(throttle.attempt_link("invitation", "10.0.1.1").is_err(), "whoever tried them waits");
        assert!(throttle.attempt_link("invitation", "10.0.2.1").is_ok());
    }

    #[test]
    fn success_is_not_counted_and_what_is_under_way_is() {
        let (throttle, _) = throttle();
        for _ in 0..200 {
            throttle.attempt("ada", "10.0.0.1").expect("free").succeeded();
        }
        let under_way: Vec<_> = (0..10).map(|_| throttle.attempt("ada", "10.0.0.1")).collect();
        assert_eq!(under_way.iter().filter(|attempt| attempt.is_ok()).count(), 5);
    }

    #[test]
    fn what_is_withdrawn_clears_nothing() {
        let (throttle, _) = throttle();
        for _ in 0..5 {
            assert_eq!(fail(&throttle, "ada", "10.0.0.1"), None);
        }
        assert!(fail(&throttle, "ada", "10.0.0.1").is_some());
        let (throttle, _) = self::throttle();
        for _ in 0..5 {
            throttle.attempt("ada", "10.0.0.1").expect("free").withdrawn();
            assert_eq!(fail(&throttle, "ada", "10.0.0.1"), None);
        }
        assert!(fail(&throttle, "ada", "10.0.0.1").is_some());
    }

    #[test]
    fn codes_are_slowed_down_over_all_addresses_and_apart_from_passwords() {
        let (throttle, clock) = throttle();
        let tries = (0..50).filter(|_| throttle.attempt_code("ada").is_ok()).count();
        assert_eq!(tries, 10);
        throttle.attempt_code("bob").expect("somebody else").succeeded();
        throttle.attempt("ada", "10.0.0.1").expect("her password").succeeded();
        let mut in_a_day = 0;
        for _ in 0..86_400 {
            clock.0.fetch_add(1000, Ordering::Relaxed);
            in_a_day += u32::from(throttle.attempt_code("ada").is_ok());
        }
        assert!(in_a_day < 300, "{in_a_day} guesses in a day");
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, clock) = throttle();
        for index in 0..30_000u32 {
            let [_, a, b, c] = index.to_be_bytes();
            fail(&throttle, &format!("user{index}"), &format!("10.{a}.{b}.{c}"));
            clock.0.fetch_add(1, Ordering::Relaxed);
            if index % 1000 == 0 {
                assert!(throttle.counts().len() <= ENTRIES + 3);
            }
        }
    }
}
