//! When to renew, and when to try again.

use std::time::Duration;
use types::Time;

/// When to renew: at two thirds of the lifetime, and by `jitter` (0.0 to 1.0) up to 5 % of it earlier, so that
/// certificates of one day are not renewed all at once.
pub fn renew_at(not_before: Time, not_after: Time, jitter: f64) -> Time {
    let life = not_after.since(not_before);
    not_before.plus(life * 2 / 3).minus(life.mul_f64(0.05 * jitter.clamp(0.0, 1.0)))
}

/// How long to wait after `failures` (1 or more) in a row: 2 minutes, four times that each time, at most 12 hours; by
/// `share` (0.0 to 1.0) up to a quarter more. Fewer than the five failed orders an hour that Let's Encrypt allows.
pub fn retry_after(failures: u32, share: f64) -> Duration {
    const FIRST: f64 = 120.0;
    const LONGEST: f64 = 12.0 * 3600.0;
    let steps = failures.saturating_sub(1).min(16);
    let seconds = (FIRST * 4f64.powi(i32::try_from(steps).unwrap_or(16))).min(LONGEST);
    Duration::from_secs_f64(seconds * (1.0 + 0.25 * share.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    #[test]
    fn renews_at_two_thirds() {
        assert_eq!(renew_at(Time(0), Time(90 * DAY), 0.0), Time(60 * DAY));
        assert_eq!(renew_at(Time(0), Time(90 * DAY), 1.0), Time(55 * DAY + DAY / 2));
        assert_eq!(renew_at(Time(5), Time(5), 0.5), Time(5));
    }

    #[test]
    fn waits_longer_with_each_failure() {
        let minutes: Vec<u64> = (0..8).map(|failures| retry_after(failures, 0.0).as_secs() / 60).collect();
        assert_eq!(minutes, [2, 2, 8, 32, 128, 512, 720, 720]);
        assert_eq!(retry_after(u32::MAX, 1.0), Duration::from_secs(15 * 3600));
        let first_hour = (1..).map(|n| retry_after(n, 0.0)).scan(Duration::ZERO, |at, wait| {
            *at += wait;
            (*at < Duration::from_secs(3600)).then_some(())
        });
        assert!(first_hour.count() < 5);
    }
}
