//! Is the clock right? Certificates and one-time codes fail on a wrong one, in ways that do not name it.

use std::{process::Stdio, time::Duration};
use tokio::process::Command;
use types::{Finding, FindingLevel, Time};

const CHECK: &str = "clock";
const FIX: &str = "timedatectl set-ntp true";
const DAY: Duration = Duration::from_secs(24 * 3600);

pub async fn finding(now: Time) -> Finding {
    judge(now, built_at(), is_synchronized().await)
}

/// This program cannot run before it was put here.
fn built_at() -> Option<Time> {
    let modified = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Time::default().plus(since))
}

/// What the time service says; `None` when there is none to ask.
async fn is_synchronized() -> Option<bool> {
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(3), asked).await.ok()?.ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn judge(now: Time, built_at: Option<Time>, is_synchronized: Option<bool>) -> Finding {
    let finding = |level, summary: String, fix: &str| Finding {
        check: CHECK,
        level,
        summary,
        fix: fix.to_owned(),
    };
    let year = now.to_utc().year();
    if !(2025..2100).contains(&year) || built_at.is_some_and(|built| now.plus(DAY) < built) {
        let summary = format!("the clock says {now}, which cannot be; certificates will be refused");
        return finding(FindingLevel::Problem, summary, FIX);
    }
    match is_synchronized {
        Some(true) => finding(FindingLevel::Ok, "the clock is synchronized".into(), ""),
        Some(false) => finding(
            FindingLevel::Warning,
            format!("the clock says {now}, but nothing keeps it right"),
            FIX,
        ),
        None => finding(
            FindingLevel::Ok,
            format!("the clock says {now}; there is no time service to ask"),
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged() {
        let now = Time(1_800_000_000_000);
        let level = |now, built, synchronized| judge(now, built, synchronized).level;
        assert_eq!(level(now, Some(now.minus(DAY)), Some(true)), FindingLevel::Ok);
        assert_eq!(level(now, None, None), FindingLevel::Ok);
        assert_eq!(level(now, Some(now), Some(false)), FindingLevel::Warning);
        assert_eq!(level(now, Some(now.plus(DAY * 3)), Some(true)), FindingLevel::Problem);
        assert_eq!(level(Time(1000), None, Some(true)), FindingLevel::Problem);
        assert!(judge(Time(1000), None, None).summary.contains("1970-01-01"));
    }

    #[tokio::test]
    async fn asking_ends() {
        assert_eq!(finding(Time(1000)).await.check, CHECK);
    }
}
