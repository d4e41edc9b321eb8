//! A share of a route's requests that goes to another app, until that one fails.

use crate::tally::bucket;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use types::{CanaryLimits, LATENCY_MILLIS, percentile};

/// The limits hold over the last so many requests, and the ones before count half.
const WINDOW: u64 = 1000;

pub(crate) struct CanaryState {
    limits: CanaryLimits,
    /// Counts the route's requests, for the share.
    turn: AtomicU64,
    failed: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: u64,
    errors: u64,
    recent: u64,
    recent_errors: u64,
    latency: [u64; LATENCY_MILLIS.len() + 1],
    why: Option<String>,
}

impl CanaryState {
    pub(crate) fn new(limits: CanaryLimits) -> CanaryState {
        CanaryState {
            limits,
            turn: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Whether the next request is one of the `percent` of a hundred, evenly spread.
    pub(crate) fn takes(&self, percent: u8) -> bool {
        let (n, percent) = (self.turn.fetch_add(1, Relaxed), u64::from(percent));
        (n + 1) * percent / 100 > n * percent / 100
    }

    /// One of its requests has ended.
    pub(crate) fn record(&self, status: u16, took: Duration) {
        let mut seen = self.seen.lock().expect("no panic under this lock");
        let is_error = status >= 500;
        seen.requests += 1;
        seen.errors += u64::from(is_error);
        seen.recent += 1;
        seen.recent_errors += u64::from(is_error);
        seen.latency[bucket(took)] += 1;
        if seen.why.is_none() {
            seen.why = self.verdict(&seen);
            if let Some(why) = &seen.why {
                tracing::warn!("a canary has failed: {why}");
                self.failed.store(true, Relaxed);
            }
        }
        if seen.recent >= WINDOW {
            seen.recent /= 2;
            seen.recent_errors /= 2;
            seen.latency.iter_mut().for_each(|count| *count /= 2);
        }
    }

    fn verdict(&self, seen: &Seen) -> Option<String> {
        if seen.recent < u64::from(self.limits.min_requests.max(1)) {
            return None;
        }
        let share = seen.recent_errors * 100 / seen.recent;
        if let Some(limit) = self.limits.max_error_percent
            && seen.recent_errors * 100 > u64::from(limit) * seen.recent
        {
            return Some(format!("{share} of 100 requests failed, and {limit} may"));
        }
        let (p95, limit) = (percentile(&seen.latency, 95)?, self.limits.max_p95_millis?);
        (p95 > u64::from(limit)).then(|| format!("95 of 100 answers took up to {p95} ms, and {limit} ms is the limit"))
    }

    /// Requests, errors, p95, and why it failed.
    pub(crate) fn read(&self) -> (u64, u64, Option<u64>, Option<String>) {
        let seen = self.seen.lock().expect("no panic under this lock");
        (seen.requests, seen.errors, percentile(&seen.latency, 95), seen.why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even() {
        for percent in [0, 1, 10, 33, 50, 100] {
            let state = CanaryState::new(CanaryLimits::default());
            let taken = (0..1000).filter(|_| state.takes(percent)).count();
            assert_eq!(taken, usize::from(percent) * 10);
        }
    }

    #[test]
    fn it_fails_by_errors_or_slowness_but_not_on_few_requests() {
        let limits = |errors, p95| CanaryLimits {
            min_requests: 10,
            max_error_percent: errors,
            max_p95_millis: p95,
        };
        let after = |limits, requests: &[(u16, u64)]| {
            let state = CanaryState::new(limits);
            for (status, millis) in requests {
                state.record(*status, Duration::from_millis(*millis));
            }
            state.has_failed()
        };
        assert!(!after(limits(Some(5), None), &[(500, 1); 9]));
        assert!(after(limits(Some(5), None), &[(500, 1); 10]));
        assert!(!after(limits(Some(5), None), &[(404, 1); 100]));
        assert!(after(limits(None, Some(100)), &[(200, 300); 10]));
        assert!(!after(limits(None, Some(500)), &[(200, 300); 10]));
    }
}
