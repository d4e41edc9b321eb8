//! What outlives a swap of the table: rate limits, kept answers, canaries and counters by domain. A new table finds by its
//! words what an old one had; what no table has any more is forgotten.

use crate::{
    cache::Share,
    canary::CanaryState,
    limits::Limit,
    sleeping::{Bed, Slot, Waiting},
    tally::Tally,
};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};
use tokio::sync::Semaphore;
use types::{AppId, EdgeCanary, HostPattern, RateLimit};

/// Passwords that are hashed at once: each takes a core for some hundredths of a second.
const HASHING: usize = 2;

pub(crate) struct Registry {
    pub limits: Kept<(HostPattern, String, String), Limit>,
    pub shares: Kept<HostPattern, Share>,
    /// Of a release that is tried, for all hosts.
    pub canaries: Kept<(Option<HostPattern>, String), CanaryState>,
    pub tallies: Kept<HostPattern, Tally>,
    /// Requests that wait for an app to wake.
    pub waiting: Kept<AppId, Waiting>,
    pub hashing: Arc<Semaphore>,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry {
            limits: Kept::default(),
            shares: Kept::default(),
            canaries: Kept::default(),
            tallies: Kept::default(),
            waiting: Kept::default(),
            hashing: Arc::new(Semaphore::new(HASHING)),
        }
    }
}

impl Registry {
    /// `rule`: empty for the domain's own policy.
    pub(crate) fn limit(&self, host: &HostPattern, rule: &str, limit: &RateLimit) -> Arc<Limit> {
        let key = (host.clone(), rule.to_owned(), format!("{limit:?}"));
        self.limits.of(key, || Limit::new(host.clone(), limit.clone()))
    }

    pub(crate) fn canary(&self, host: &HostPattern, canary: &EdgeCanary) -> Arc<CanaryState> {
        // Another share or limit is another canary, and so is one that was set again; other containers of its app are not.
        let words = format!("{:?}", (&canary.app, &canary.release, canary.since, canary.percent, &canary.limits));
        let key = (canary.release.is_none().then(|| host.clone()), words);
        self.canaries.of(key, || CanaryState::new(canary.limits.clone()))
    }

    pub(crate) fn bed(&self, app: &AppId, slot: Slot, wait: Duration) -> Bed {
        Bed::new(app.clone(), slot, wait, self.waiting.of(app.clone(), Waiting::default))
    }

    /// Forgets what is not used, a few times a minute.
    pub(crate) fn tidy(&self) {
        self.limits.tidy();
        self.shares.tidy();
        self.canaries.tidy();
        self.waiting.tidy();
        self.limits.each(|_, limit| limit.tidy());
    }
}

/// Things by key, as long as somebody else holds them.
pub(crate) struct Kept<K, T>(Mutex<HashMap<K, Weak<T>>>);

impl<K, T> Default for Kept<K, T> {
    fn default() -> Kept<K, T> {
        Kept(Mutex::default())
    }
}

impl<K: Hash + Eq, T> Kept<K, T> {
    pub(crate) fn of(&self, key: K, make: impl FnOnce() -> T) -> Arc<T> {
        let mut kept = self.0.lock().expect("no panic under this lock");
        if let Some(found) = kept.get(&key).and_then(Weak::upgrade) {
            return found;
        }
        let made = Arc::new(make());
        kept.insert(key, Arc::downgrade(&made));
        made
    }
    pub(crate) fn each(&self, mut work: impl FnMut(&K, &Arc<T>)) {
        for (key, value) in self.0.lock().expect("no panic under this lock").iter() {
            if let Some(value) = value.upgrade() {
                work(key, &value);
            }
        }
    }
    fn tidy(&self) {
        self.0
            .lock()
            .expect("no panic under this lock")
            .retain(|_, value| value.strong_count() > 0);
    }
}
