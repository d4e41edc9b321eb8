//! The rules of getting in, which an administrator sets.

use crate::access::Access;
use std::{path::PathBuf, sync::Arc};
use store::SECURITY_KEY;
use types::{Action, Actor, Doing, Error, Fact, Result, SecondFactorPolicy, Security};

const GRACE_MOST: u32 = 90;
const IDLE_MOST: u32 = 90;
const SESSION_MOST: u32 = 365;
/// Evidence cannot be cut while it is fresh.
const AUDIT_LEAST: u32 = 30;
const AUDIT_MOST: u32 = 3650;

/// Shows and changes them.
#[derive(Clone)]
pub struct SecurityService {
    access: Arc<Access>,
}

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct SecurityChange {
    pub second_factor: Option<SecondFactorPolicy>,
    pub grace_days: Option<u32>,
    pub tokens_bound: Option<bool>,
    pub audit_days: Option<u32>,
    pub session_idle_days: Option<u32>,
    pub session_days: Option<u32>,
    /// `Some(None)`: nothing is said of countries any more.
    pub countries: Option<Option<PathBuf>>,
}

impl SecurityService {
    pub(crate) fn new(access: Arc<Access>) -> SecurityService {
        SecurityService { access }
    }

    pub fn get(&self, actor: &Actor) -> Result<Security> {
        actor.may(Action::Operate)?;
        self.access.security()
    }

    /// What is wrong with the file that says in which country an address is.
    pub fn countries_problem(&self, actor: &Actor) -> Result<Option<String>> {
        let path = self.get(actor)?.countries;
        Ok(path.and_then(|path| self.access.countries.problem(&path)))
    }

    /// Whether passwords that leaked are refused: the server's configuration names a list of them.
    pub fn refuses_leaked_passwords(&self, actor: &Actor) -> Result<bool> {
        actor.may(Action::Operate)?;
        Ok(self.access.passwords.refuses_leaked())
    }

    /// In which country an address is, if a database says so. Anybody may ask of an address that they see.
    pub fn country(&self, address: &str) -> Result<Option<String>> {
        self.access.country(address)
    }

    /// A policy that asks for more than before begins with its grace period now.
    pub async fn update(&self, actor: &Actor, change: SecurityChange) -> Result<Security> {
        actor.may(Action::Secure)?;
        if change.grace_days.is_some_and(|days| days > GRACE_MOST) {
            return Err(Error::invalid("grace_days", format!("must be 0 to {GRACE_MOST}")));
        }
        if change.audit_days.is_some_and(|days| !(AUDIT_LEAST..=AUDIT_MOST).contains(&days)) {
            return Err(Error::invalid("audit_days", format!("must be {AUDIT_LEAST} to {AUDIT_MOST}")));
        }
        for (field, value, most) in [
            ("session_idle_days", change.session_idle_days, IDLE_MOST),
            ("session_days", change.session_days, SESSION_MOST),
        ] {
            if value.is_some_and(|days| !(1..=most).contains(&days)) {
                return Err(Error::invalid(field, format!("must be 1 to {most}")));
            }
        }
        if let Some(Some(path)) = &change.countries {
            let path = path.clone();
            let checked = tokio::task::spawn_blocking(move || identity::check_countries(&path)).await;
            checked.doing("reading the database of countries")??;
        }
        let store = &self.access.store;
        let _team = self.access.team.lock().await;
        let found = store.security.find(SECURITY_KEY)?;
        let before = found.as_ref().map(|stored| stored.value.clone()).unwrap_or_default();
        let mut after = before.clone();
        after.second_factor = change.second_factor.unwrap_or(before.second_factor);
        after.grace_days = change.grace_days.unwrap_or(before.grace_days);
        after.tokens_bound = change.tokens_bound.unwrap_or(before.tokens_bound);
        after.audit_days = change.audit_days.unwrap_or(before.audit_days);
        after.session_idle_days = change.session_idle_days.unwrap_or(before.session_idle_days);
        after.session_days = change.session_days.unwrap_or(before.session_days);
        after.countries = change.countries.unwrap_or(before.countries.clone());
        if rank(after.second_factor) > rank(before.second_factor) {
            after.since = self.access.world.now();
        }
        let fields = changed(&before, &after);
        if fields.is_empty() {
            return Ok(before);
        }
        match found {
            Some(mut stored) => {
                stored.value = after.clone();
                store.security.save(stored).await?;
            }
            None => {
                store.security.insert(after.clone()).await?;
            }
        }
        self.access.events.emit(actor, Fact::SecurityChanged { fields }).await;
        Ok(after)
    }
}

/// How many a policy binds.
fn rank(policy: SecondFactorPolicy) -> u8 {
    match policy {
        SecondFactorPolicy::Off => 0,
        SecondFactorPolicy::Administrators => 1,
        SecondFactorPolicy::Everyone => 2,
    }
}

fn changed(before: &Security, after: &Security) -> Vec<String> {
    [
        ("second_factor", before.second_factor != after.second_factor),
        ("grace_days", before.grace_days != after.grace_days),
        ("tokens_bound", before.tokens_bound != after.tokens_bound),
        ("session_idle_days", before.session_idle_days != after.session_idle_days),
        ("session_days", before.session_days != after.session_days),
        ("countries", before.countries != after.countries),
        ("audit_days", before.audit_days != after.audit_days),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| name.to_owned())
    .collect()
}
