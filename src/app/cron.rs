//! When cron lines are due, in a time zone.

use chrono::{DateTime, FixedOffset, Offset, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::{Cron, JobType};
use std::str::FromStr;
use types::{Error, Result, Time};

/// The first moment after `after`; `None`: never again. What has one time of the day comes once in the hour that summer time
/// gives twice, what comes at many comes in both. Fails with `Invalid` for what is no cron line of five fields, or no zone.
pub(crate) fn next_after(cron: &str, zone: &str, after: Time) -> Result<Option<Time>> {
    let (line, there) = read(cron, zone, after)?;
    let (mut from, mut found) = (there, None);
    // In the second of such hours the parser finds times of the first: then it looks on from a minute later.
    for _ in 0..=180 {
        match line.find_next_occurrence(&from, false) {
            Ok(at) if at.timestamp_millis() > after.0 => {
                found = Some(at);
                break;
            }
            Ok(_) => from += TimeDelta::minutes(1),
            Err(_) => return Ok(None),
        }
    }
    let Some(found) = found else { return Ok(None) };
    let winter = found.offset().fix();
    // It leaves the second hour out, so that is counted with the hours that hold afterwards.
    let again = line.find_next_occurrence(&there.with_timezone(&winter), false).ok();
    let is_real = |at: &DateTime<FixedOffset>| at.with_timezone(&there.timezone()).offset().fix() == winter && *at < found;
    let again = again.filter(|at| line.determine_job_type() == JobType::IntervalWildcard && is_real(at));
    let first = again.map_or(found.timestamp_millis(), |at| at.timestamp_millis());
    Ok(Some(Time(first)))
}

/// The last moment that is not after `now`; `None`: there was none. Fails as [`next_after`] does.
pub(crate) fn last_before(cron: &str, zone: &str, now: Time) -> Result<Option<Time>> {
    let (line, now_there) = read(cron, zone, now)?;
    let found = line.find_previous_occurrence(&now_there, true).ok();
    Ok(found.map(|at| Time(at.timestamp_millis())).filter(|at| *at <= now))
}

fn read(cron: &str, zone: &str, at: Time) -> Result<(Cron, DateTime<Tz>)> {
    let wrong = |why: String| Error::invalid("cron", format!("is no cron line of five fields, such as `0 3 * * *`: {why}"));
    let fields = cron.split_whitespace().count();
    if fields != 5 && !cron.starts_with('@') {
        return Err(wrong(format!("it has {fields}")));
    }
    let line = Cron::from_str(cron).map_err(|error| wrong(error.to_string()))?;
    let unknown = |_| Error::invalid("zone", "is no time zone such as UTC or Europe/Berlin");
    let zone: Tz = zone.parse().map_err(unknown)?;
    // The parser carries what is below a second into what it finds.
    let at = DateTime::<Utc>::from_timestamp(at.0.div_euclid(1000), 0).unwrap_or_default();
    Ok((line, at.with_timezone(&zone)))
}

/// The next `most` moments, as far as there are so many.
pub(crate) fn upcoming(cron: &str, zone: &str, after: Time, most: usize) -> Vec<Time> {
    let mut at = after;
    let next = || {
        at = next_after(cron, zone, at).ok()??;
        Some(at)
    };
    std::iter::from_fn(next).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str) -> Option<String> {
        let after = DateTime::parse_from_rfc3339(after).expect("a date");
        let found = next_after(cron, zone, Time(after.timestamp_millis())).expect("a cron line");
        found.map(|at| at.to_string())
    }

    #[test]
    fn times_are_of_the_zone() {
        for (cron, zone, after, expected) in [
            ("0 3 * * *", "UTC", "2026-01-01T00:00:00Z", Some("2026-01-01T03:00:00Z")),
            ("0 3 * * *", "UTC", "2026-01-01T03:00:00Z", Some("2026-01-02T03:00:00Z")),
            ("0 3 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", Some("2026-01-01T02:00:00Z")),
            ("0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", Some("2026-07-01T01:00:00Z")),
            ("*/15 * * * MON", "UTC", "2026-01-01T00:00:00Z", Some("2026-01-05T00:00:00Z")),
            ("@hourly", "UTC", "2026-01-01T00:00:01Z", Some("2026-01-01T01:00:00Z")),
            ("0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z", None),
            // The hour that summer time takes away, and the one that it gives twice.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", Some("2026-03-29T01:00:00Z")),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", Some("2026-10-25T00:30:00Z")),
            ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", Some("2026-10-26T01:30:00Z")),
            ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", Some("2026-10-26T01:30:00Z")),
            (
                "*/15 * * * *",
                "Europe/Berlin",
                "2026-10-25T00:45:00Z",
                Some("2026-10-25T01:00:00Z"),
            ),
            (
                "*/15 * * * *",
                "Europe/Berlin",
                "2026-10-25T01:20:00Z",
                Some("2026-10-25T01:30:00Z"),
            ),
            (
                "*/15 * * * *",
                "Europe/Berlin",
                "2026-10-25T01:50:00Z",
                Some("2026-10-25T02:00:00Z"),
            ),
        ] {
            assert_eq!(next(cron, zone, after).as_deref(), expected, "{cron} in {zone}");
        }
    }

    #[test]
    fn what_is_found_is_a_whole_minute() {
        let now = Time(1_700_000_000_991);
        assert_eq!(
            next_after("* * * * *", "UTC", now).expect("a cron line"),
            Some(Time(1_700_000_040_000))
        );
        assert_eq!(
            last_before("* * * * *", "UTC", now).expect("a cron line"),
            Some(Time(1_699_999_980_000))
        );
    }

    #[test]
    fn the_last_moment() {
        for (now, expected) in [
            ("2026-01-02T04:00:00Z", "2026-01-02T03:00:00Z"),
            ("2026-01-02T03:00:00Z", "2026-01-02T03:00:00Z"),
            ("2026-01-02T02:59:59Z", "2026-01-01T03:00:00Z"),
        ] {
            let at = DateTime::parse_from_rfc3339(now).expect("a date");
            let found = last_before("0 3 * * *", "UTC", Time(at.timestamp_millis())).expect("a cron line");
            assert_eq!(found.map(|at| at.to_string()).as_deref(), Some(expected), "{now}");
        }
    }

    #[test]
    fn what_is_no_cron_line() {
        for (cron, zone) in [
            ("", "UTC"),
            ("* * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("* * * * * *", "UTC"),
            ("x", "UTC"),
            ("0 3 * * *", "Mars/Olympus"),
        ] {
            assert!(next_after(cron, zone, Time(0)).is_err(), "{cron} in {zone}");
        }
    }
}
