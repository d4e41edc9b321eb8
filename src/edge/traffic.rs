//! Counters of requests, one set for each app, that live through swaps of the configuration.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use types::{AppId, Traffic};

/// Found in the route, so counting needs no look-up.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    errors: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    active: AtomicU64,
    millis: AtomicU64,
}

impl Counters {
    pub(crate) fn begin(&self) {
        self.active.fetch_add(1, Relaxed);
    }
    pub(crate) fn end(&self, status: u16, bytes_in: u64, bytes_out: u64, took: Duration) {
        self.active.fetch_sub(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        if status >= 500 {
            self.errors.fetch_add(1, Relaxed);
        }
        if bytes_in > 0 {
            self.bytes_in.fetch_add(bytes_in, Relaxed);
        }
        self.bytes_out.fetch_add(bytes_out, Relaxed);
        self.millis.fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
    fn read(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Relaxed),
            errors: self.errors.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            active: self.active.load(Relaxed),
            millis: self.millis.load(Relaxed),
        }
    }
}

/// All sets since the edge started, by app; `None` is the panel. An app that lost its routes keeps its set, so that a
/// difference between two readings is never negative.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<HashMap<Option<AppId>, Arc<Counters>>>);

impl Ledger {
    pub(crate) fn of(&self, app: &Option<AppId>) -> Arc<Counters> {
        self.0
            .lock()
            .expect("no panic under this lock")
            .entry(app.clone())
            .or_default()
            .clone()
    }
    pub(crate) fn read(&self) -> Vec<(Option<AppId>, Traffic)> {
        let mut all: Vec<_> = self
            .0
            .lock()
            .expect("no panic under this lock")
            .iter()
            .map(|(app, counters)| (app.clone(), counters.read()))
            .collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }
}
