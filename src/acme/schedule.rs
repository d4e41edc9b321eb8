//! When to renew, and when to try again.

use std::time::Duration;
use types::{OrderFailure, Time};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// When to renew: at two thirds of the lifetime, and by `jitter` (0.0 to 1.0) up to 5 % of it earlier, so that
/// certificates of one day are not renewed all at once.
pub fn renew_at(not_before: Time, not_after: Time, jitter: f64) -> Time {
    let life = not_after.since(not_before);
    not_before.plus(life * 2 / 3).minus(life.mul_f64(0.05 * jitter.clamp(0.0, 1.0)))
}

/// When to renew by what the authority says: anywhere in its window (RFC 9773, 4.2), by `share` (0.0 to 1.0).
pub fn renew_within(from: Time, to: Time, share: f64) -> Time {
    from.plus(to.since(from).mul_f64(share.clamp(0.0, 1.0)))
}

/// How long to wait after `failures` (1 or more) in a row of this kind; by `share` (0.0 to 1.0) up to a quarter more.
/// What people mend in DNS or in the firewall is tried again soon; what needs a decision, later; and never before the
/// authority allows. In any case fewer than the five failed orders an hour that Let's Encrypt allows.
pub fn retry_after(kind: OrderFailure, failures: u32, allowed_after: Option<Duration>, share: f64) -> Duration {
    let (first, factor, longest) = match kind {
        OrderFailure::Dns | OrderFailure::Connection | OrderFailure::Other => (2.0 * MINUTE, 4.0, 12.0 * HOUR),
        OrderFailure::Unreachable => (2.0 * MINUTE, 3.0, 2.0 * HOUR),
        OrderFailure::Unauthorized | OrderFailure::Caa => (10.0 * MINUTE, 4.0, 24.0 * HOUR),
        OrderFailure::RateLimited => (HOUR, 2.0, 24.0 * HOUR),
        OrderFailure::Rejected | OrderFailure::Account => (HOUR, 4.0, 24.0 * HOUR),
    };
    let steps = i32::try_from(failures.saturating_sub(1).min(16)).unwrap_or(16);
    let seconds = (first * f64::powi(factor, steps)).min(longest);
    let wait = Duration::from_secs_f64(seconds * (1.0 + 0.25 * share.clamp(0.0, 1.0)));
    wait.max(allowed_after.unwrap_or_default())
}

/// How long to wait before it is looked again whether an order would work, after `looks` (1 or more) that said no. A
/// look asks name servers only, so it may be soon: 30 seconds, then twice that each time, at most an hour.
pub fn look_after(looks: u32, share: f64) -> Duration {
    let steps = i32::try_from(looks.saturating_sub(1).min(16)).unwrap_or(16);
    let seconds = (30.0 * f64::powi(2.0, steps)).min(HOUR);
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
        assert_eq!(renew_within(Time(DAY), Time(3 * DAY), 0.5), Time(2 * DAY));
    }

    #[test]
    fn waits_longer_with_each_failure() {
        let minutes = |kind| -> Vec<u64> { (0..8).map(|n| retry_after(kind, n, None, 0.0).as_secs() / 60).collect() };
        assert_eq!(minutes(OrderFailure::Dns), [2, 2, 8, 32, 128, 512, 720, 720]);
        assert_eq!(minutes(OrderFailure::Caa), [10, 10, 40, 160, 640, 1440, 1440, 1440]);
        assert_eq!(minutes(OrderFailure::RateLimited), [60, 60, 120, 240, 480, 960, 1440, 1440]);
        assert_eq!(retry_after(OrderFailure::Dns, u32::MAX, None, 1.0), Duration::from_secs(15 * 3600));
        let first_hour = (1..)
            .map(|n| retry_after(OrderFailure::Dns, n, None, 0.0))
            .scan(Duration::ZERO, |at, wait| {
                *at += wait;
                (*at < Duration::from_secs(3600)).then_some(())
            });
        assert!(first_hour.count() < 5);
        let told = Duration::from_secs(100_000);
        assert_eq!(
            retry_after(OrderFailure::RateLimited, 1, Some(told), 0.0),
            told,
            "the authority's own time holds"
        );
        assert!(retry_after(OrderFailure::RateLimited, 1, Some(Duration::from_secs(1)), 0.0) >= Duration::from_secs(3600));
        assert_eq!(look_after(1, 0.0), Duration::from_secs(30));
        assert_eq!(look_after(40, 0.0), Duration::from_secs(3600));
    }
}
