//! Quotas in words: whose they are, who changes them, and amounts.

use crate::ground::Ground;
use types::{Quota, Result};

/// How an amount is said.
pub(crate) type Words<'a> = &'a dyn Fn(u64) -> String;

/// `the project shop`
pub(crate) fn whose(ground: &Ground, quota: &Quota) -> Result<String> {
    Ok(match &quota.project {
        Some(id) => format!("the project `{}`", ground.store.projects.get(id.as_str())?.name),
        None => format!(
            "the organization `{}`",
            ground.store.organizations.get(quota.organization.as_str())?.name
        ),
    })
}

pub(super) fn who_changes(quota: &Quota) -> &'static str {
    match quota.project {
        Some(_) => "an administrator of the organization can raise the quota",
        None => "those who run this panel can raise the quota",
    }
}

pub(super) fn apps(count: u64) -> String {
    match count {
        1 => "1 app".into(),
        count => format!("{count} apps"),
    }
}

/// `1.5 cores`
pub(crate) fn cores(millis: u64) -> String {
    let (whole, rest) = (millis / 1000, millis % 1000);
    let decimals = format!("{rest:03}");
    match decimals.trim_end_matches('0') {
        "" if whole == 1 => "1 core".into(),
        "" => format!("{whole} cores"),
        decimals => format!("{whole}.{decimals} cores"),
    }
}

/// `1.5 GiB`
pub(crate) fn bytes(count: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = units.into_iter().find(|(shift, _)| count >= 1 << shift) else {
        return format!("{count} B");
    };
    let (whole, rest) = (count >> shift, count & ((1 << shift) - 1));
    // One decimal, cut off rather than rounded: what is shown as less than a limit is less.
    match (u128::from(rest) * 10) >> shift {
        0 => format!("{whole} {unit}"),
        tenth => format!("{whole}.{tenth} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_words() {
        for (count, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 20, "1 MiB"),
            (1536 << 20, "1.5 GiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (1 << 40, "1 TiB"),
        ] {
            assert_eq!(bytes(count), words);
        }
        for (millis, words) in [
            (1000, "1 core"),
            (2000, "2 cores"),
            (1500, "1.5 cores"),
            (250, "0.25 cores"),
            (0, "0 cores"),
        ] {
            assert_eq!(cores(millis), words);
        }
    }
}
