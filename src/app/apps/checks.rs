//! What an app may be: its port, command, limits, health check.

use types::{App, Error, HealthCheck, Limits, Probe, ReleaseCanary, Result};

/// Which of its services does what before it stops, a Compose file says itself.
pub(crate) fn commands_fit(app: &App) -> Result<()> {
    match (app.source.stack(), &app.commands.before_stop) {
        (Some(_), Some(_)) => Err(Error::invalid(
            "before_stop",
            "the services of an app from a Compose file have their own: say it as `pre_stop` of a service",
        )),
        _ => Ok(()),
    }
}

/// A Compose file says itself what is mounted where.
pub(crate) fn volumes_fit(app: &App, wishes: &[super::MountWish]) -> Result<()> {
    match app.source.stack() {
        Some(_) if !wishes.is_empty() => Err(Error::invalid("mounts", "the volumes of a Compose app are in its file")),
        _ => Ok(()),
    }
}

pub(crate) fn checked_port(port: Option<u16>) -> Result<Option<u16>> {
    if port == Some(0) {
        Err(Error::invalid("port", "must be between 1 and 65535"))
    } else {
        Ok(port)
    }
}

pub(crate) fn checked_command(command: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    match command {
        Some(words) if words.iter().any(|word| word.contains('\0')) => Err(Error::invalid("command", "contains a zero byte")),
        Some(words) if words.len() > 256 || words.iter().map(String::len).sum::<usize>() > 64 << 10 => {
            Err(Error::invalid("command", "is longer than 256 words or 64 KiB"))
        }
        Some(words) if words.is_empty() => Ok(None),
        other => Ok(other),
    }
}

pub(crate) fn checked_limits(limits: Limits) -> Result<Limits> {
    if limits.memory_bytes < 6 << 20 {
        return Err(Error::invalid(
            "memory_bytes",
            "must be at least 6 MiB, the least that the engine takes",
        ));
    }
    if limits.memory_bytes > 1 << 50 {
        return Err(Error::invalid("memory_bytes", "is more than any machine has"));
    }
    in_range("cpu_millis", limits.cpu_millis, 10, 1_024_000)?;
    in_range("pids", limits.pids, 8, 4_194_304)?;
    Ok(limits)
}

pub(crate) fn checked_health(health: HealthCheck) -> Result<HealthCheck> {
    in_range("interval_seconds", health.interval_seconds, 1, 3600)?;
    in_range("timeout_seconds", health.timeout_seconds, 1, 300)?;
    in_range("start_seconds", health.start_seconds, 1, 3600)?;
    if let Probe::Http { path } | Probe::Web { path } = &health.probe {
        let fits = path.starts_with('/') && path.len() <= 2048 && path.chars().all(|c| c.is_ascii_graphic());
        if !fits {
            return Err(Error::invalid("path", "must begin with / and have no spaces, such as /health"));
        }
    }
    Ok(health)
}

/// At most half of the requests, since the others tell whether what is live serves; and at most a day.
pub(crate) fn checked_canary(canary: ReleaseCanary) -> Result<ReleaseCanary> {
    in_range("percent", canary.percent.into(), 1, 50)?;
    in_range("seconds", canary.seconds, 1, 86_400)?;
    if let Some(percent) = canary.limits.max_error_percent {
        in_range("max_error_percent", percent.into(), 0, 100)?;
    }
    Ok(canary)
}

/// Fails with `Invalid` for an app whose new releases never run beside what is live, so that none could have a share.
pub(crate) fn canary_fits(app: &App) -> Result<()> {
    if app.source.stack().is_some() {
        return Err(Error::invalid(
            "canary",
            "is not for an app of several services: those go live as a whole, so there is nothing to try",
        ));
    }
    match app.mounts.iter().find(|mount| !mount.read_only) {
        Some(mount) => Err(Error::invalid(
            "canary",
            format!(
                "would never be tried: what is live stops first, because both would write to the volume at `{}`; mount it read-only",
                mount.path
            ),
        )),
        None => Ok(()),
    }
}

/// Minutes until a week.
pub(crate) fn checked_sleep(minutes: u32) -> Result<u32> {
    in_range("sleep_after_minutes", minutes, 1, 7 * 24 * 60)
}

/// Fails with `Invalid` for more containers than there may be of this app.
pub(crate) fn replicas_fit(app: &App) -> Result<()> {
    in_range("replicas", app.replicas, 1, 50)?;
    if app.replicas == 1 {
        return Ok(());
    }
    if app.source.stack().is_some() {
        return Err(Error::invalid("replicas", "are said by the app's Compose file"));
    }
    match app.mounts.iter().find(|mount| !mount.read_only) {
        Some(mount) => Err(Error::invalid(
            "replicas",
            format!(
                "must be 1: several containers would write to the volume at `{}`; mount it read-only",
                mount.path
            ),
        )),
        None => Ok(()),
    }
}

pub(crate) fn in_range(field: &str, value: u32, least: u32, most: u32) -> Result<u32> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(Error::invalid(field, format!("must be between {least} and {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::CanaryLimits;

    #[test]
    fn canaries_within_bounds() {
        let check = |percent, seconds, max_error_percent, wrong: Option<&str>| {
            let limits = CanaryLimits {
                max_error_percent,
                ..CanaryLimits::default()
            };
            let canary = ReleaseCanary { percent, seconds, limits };
            match (checked_canary(canary.clone()), wrong) {
                (Ok(checked), None) => assert_eq!(checked, canary),
                (Err(Error::Invalid { field, .. }), Some(wrong)) => assert_eq!(field, wrong),
                (other, _) => panic!("{canary:?}: {other:?}"),
            }
        };
        check(1, 1, None, None);
        check(50, 86_400, Some(100), None);
        check(0, 60, None, Some("percent"));
        check(51, 60, None, Some("percent"));
        check(10, 0, None, Some("seconds"));
        check(10, 86_401, None, Some("seconds"));
        check(10, 60, Some(101), Some("max_error_percent"));
    }
}
