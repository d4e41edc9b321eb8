//! What somebody shows beside the password, the browsers that are remembered, and who must have a second factor.

use crate::{DeviceId, OrganizationId, Role, Sealed, Time, UserId};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// A person's second factor: codes by time (TOTP, RFC 6238), and ten codes on paper. There is at most one of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    pub user: UserId,
    pub organization: OrganizationId,
    /// 20 random bytes that the person's app knows too.
    pub secret: Sealed,
    pub created_at: Time,
    /// `None` until the first code has shown that the app has the secret; before that it counts for nothing.
    pub confirmed_at: Option<Time>,
    /// The last 30-second step whose code was used: that code and all before it are refused from then on.
    pub last_step: u64,
    /// SHA-256 of each recovery code that was not used yet, with the person's id before it, hex.
    pub recovery_hashes: Vec<String>,
    pub last_used_at: Option<Time>,
}

/// A browser that somebody has signed in with; its cookie holds a random word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub id: DeviceId,
    pub organization: OrganizationId,
    pub user: UserId,
    /// SHA-256 of the word in its cookie, hex.
    pub hash: String,
    /// What the browser called itself last.
    pub agent: String,
    /// Where it signed in from last.
    pub address: String,
    pub created_at: Time,
    pub last_used_at: Time,
    /// Until then the password is enough here. A new password ends it.
    pub trusted_until: Option<Time>,
}

/// Who must have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactorPolicy {
    /// Nobody; everybody may.
    #[default]
    Off,
    /// Those with the roles admin and owner.
    Administrators,
    Everyone,
}

/// What an administrator may say about how people get in. There is one record, or none for the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    pub second_factor: SecondFactorPolicy,
    /// How long those who must have a second factor may go on without one.
    pub grace_days: u32,
    /// Whether the tokens of somebody who must have a second factor and has none are refused too.
    pub tokens_bound: bool,
    /// Since when the policy asks at least for what it asks now.
    pub since: Time,
    /// How long entries of the audit log are kept.
    pub audit_days: u32,
    /// A session that is not used for this long ends.
    pub session_idle_days: u32,
    /// A session ends this long after signing in, used or not.
    pub session_days: u32,
    /// The file that says in which country an address is; `None`: nothing is said of countries.
    pub countries: Option<PathBuf>,
}

impl Default for Security {
    fn default() -> Security {
        Security {
            second_factor: SecondFactorPolicy::Off,
            grace_days: 7,
            tokens_bound: false,
            since: Time(0),
            audit_days: 365,
            session_idle_days: 30,
            session_days: 90,
            countries: None,
        }
    }
}

impl SecondFactorPolicy {
    /// Whether somebody with this role must have one.
    pub fn binds(self, role: Role) -> bool {
        match self {
            SecondFactorPolicy::Off => false,
            SecondFactorPolicy::Administrators => role >= Role::Admin,
            SecondFactorPolicy::Everyone => true,
        }
    }
}

impl Security {
    /// When a session that began and was used last at these moments ends.
    pub fn session_end(&self, began: Time, used: Time) -> Time {
        let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
        used.plus(days(self.session_idle_days)).min(began.plus(days(self.session_days)))
    }

    /// When somebody with this role, who is there since `joined`, must have a second factor; `None`: never.
    pub fn second_factor_due(&self, role: Role, joined: Time) -> Option<Time> {
        let grace = Duration::from_secs(u64::from(self.grace_days) * 86_400);
        self.second_factor.binds(role).then(|| self.since.max(joined).plus(grace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_binds_by_role_and_from_the_later_of_two_days() {
        let day = 86_400_000;
        let mut security = Security {
            grace_days: 2,
            since: Time(10 * day),
            ..Security::default()
        };
        for (policy, role, joined, due) in [
            (SecondFactorPolicy::Off, Role::Owner, 0, None),
            (SecondFactorPolicy::Administrators, Role::Developer, 0, None),
            (SecondFactorPolicy::Administrators, Role::Admin, 0, Some(12)),
            (SecondFactorPolicy::Administrators, Role::Owner, 20, Some(22)),
            (SecondFactorPolicy::Everyone, Role::Viewer, 0, Some(12)),
        ] {
            security.second_factor = policy;
            let found = security.second_factor_due(role, Time(joined * day));
            assert_eq!(found, due.map(|due: i64| Time(due * day)), "{policy:?} {role:?}");
        }
    }
}
