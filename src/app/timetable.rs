//! What the clock does to apps: starts and stops those that have hours, and takes up pushes whose freeze has ended.

use crate::{
    cron::{last_before, next_after},
    ground::Ground,
    held_pushes,
};
use async_trait::async_trait;
use std::sync::Arc;
use types::{Actor, App, DesiredState, Error, Fact, Hours, Result, Time, report};

/// See the module.
pub struct Timetable {
    ground: Arc<Ground>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct TimetableReport {
    pub started: Vec<String>,
    pub stopped: Vec<String>,
    pub released: usize,
    pub problems: Vec<String>,
}

/// Fails with `Invalid` for times that do not come, or are the same.
pub(crate) fn checked_hours(start: String, stop: String, zone: String, now: Time) -> Result<Hours> {
    for (field, cron) in [("start", &start), ("stop", &stop)] {
        let renamed = |error| match error {
            Error::Invalid { field: found, why } if found == "cron" => Error::invalid(field, why),
            other => other,
        };
        if next_after(cron, &zone, now).map_err(renamed)?.is_none() {
            return Err(Error::invalid(field, "never comes again"));
        }
    }
    if next_after(&start, &zone, now)? == next_after(&stop, &zone, now)? {
        return Err(Error::invalid("stop", "comes at the same time as the start"));
    }
    Ok(Hours {
        start,
        stop,
        zone,
        checked_at: now,
    })
}

/// What the newest of the times that came since the last look wants; `None`: none came.
fn wanted(hours: &Hours, now: Time) -> Result<Option<DesiredState>> {
    let started = last_before(&hours.start, &hours.zone, now)?;
    let stopped = last_before(&hours.stop, &hours.zone, now)?;
    let state = match started > stopped {
        true => DesiredState::Running,
        false => DesiredState::Stopped,
    };
    Ok(started.max(stopped).filter(|at| *at > hours.checked_at).map(|_| state))
}

impl Timetable {
    pub(crate) fn new(ground: Arc<Ground>) -> Timetable {
        Timetable { ground }
    }

    /// Somebody who starts or stops it meanwhile is heeded until the next of its times.
    async fn heed(&self, app: &App, hours: &Hours, report_: &mut TimetableReport) -> Result<()> {
        let ground = &self.ground;
        let now = ground.world.now();
        let Some(state) = wanted(hours, now)? else { return Ok(()) };
        let set = |app: &mut App| {
            if let Some(hours) = &mut app.hours {
                hours.checked_at = now;
            }
            app.desired = state;
            match state {
                DesiredState::Running => app.halted.clear(),
                // Out of its hours nothing wakes it.
                DesiredState::Stopped => app.asleep = None,
            }
            Ok(())
        };
        ground.store.apps.update(app.id.as_str(), set).await?;
        if app.desired == state || app.release.is_none() {
            return Ok(());
        }
        let word = match state {
            DesiredState::Running => "started",
            DesiredState::Stopped => "stopped",
        };
        match state {
            DesiredState::Running => report_.started.push(app.name.to_string()),
            DesiredState::Stopped => report_.stopped.push(app.name.to_string()),
        }
        let fact = Fact::AppStateChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            state: word.into(),
            why: Some("its hours".into()),
        };
        ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
        ground.wake_reconcile();
        Ok(())
    }
}

#[async_trait]
impl jobs::Job for Timetable {
    const NAME: &'static str = "timetable";
    type Report = TimetableReport;

    async fn run(&mut self) -> Result<TimetableReport> {
        let mut report_ = TimetableReport::default();
        for app in self.ground.store.apps.list()?.into_iter().filter(|app| app.trashed_at.is_none()) {
            if let Some(hours) = &app.hours
                && let Err(error) = self.heed(&app, hours, &mut report_).await
            {
                report_.problems.push(format!("{}: {}", app.name, report(&error)));
            }
            match held_pushes::release(&self.ground, &app).await {
                Ok(released) => report_.released += released,
                Err(error) => report_.problems.push(format!("{}: {}", app.name, report(&error))),
            }
        }
        Ok(report_)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        let moment = chrono::DateTime::parse_from_rfc3339(text).expect("a date");
        Time(moment.timestamp_millis())
    }

    #[test]
    fn hours_are_heeded_once() {
        let hours = |checked: &str| Hours {
            start: "0 8 * * MON-FRI".into(),
            stop: "0 19 * * *".into(),
            zone: "UTC".into(),
            checked_at: at(checked),
        };
        for (checked, now, state) in [
            ("2026-01-05T07:00:00Z", "2026-01-05T07:59:59Z", None),
            ("2026-01-05T07:00:00Z", "2026-01-05T08:00:00Z", Some(DesiredState::Running)),
            ("2026-01-05T08:00:00Z", "2026-01-05T12:00:00Z", None),
            ("2026-01-05T08:00:00Z", "2026-01-05T19:00:01Z", Some(DesiredState::Stopped)),
            // The panel was off for days: only the last one counts.
            ("2026-01-05T08:00:00Z", "2026-01-08T10:00:00Z", Some(DesiredState::Running)),
            ("2026-01-09T08:00:00Z", "2026-01-11T10:00:00Z", Some(DesiredState::Stopped)),
        ] {
            assert_eq!(wanted(&hours(checked), at(now)).expect("cron lines"), state, "{checked} {now}");
        }
    }

    #[test]
    fn hours_that_cannot_be() {
        let now = at("2026-01-05T07:00:00Z");
        for (start, stop, zone, field) in [
            ("x", "0 19 * * *", "UTC", "start"),
            ("0 8 * * *", "0 0 30 2 *", "UTC", "stop"),
            ("0 8 * * *", "0 8 * * *", "UTC", "stop"),
            ("0 8 * * *", "0 19 * * *", "Mars/Olympus", "zone"),
        ] {
            match checked_hours(start.into(), stop.into(), zone.into(), now) {
                Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field, "{start} {stop}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
