//! Freeze windows: times in which nothing is deployed, in an environment or the whole organization. People are refused in
//! words, pushes wait in the inbox until the end, rolling back stays possible, and an administrator may deploy anyway.

use crate::{
    cron::{last_before, next_after},
    ground::Ground,
    projects::find_environment,
    sight::{of, owned},
};
use std::{sync::Arc, time::Duration};
use store::Store;
use types::{Action, Actor, Environment, EnvironmentId, Error, Fact, Freeze, FreezeWhen, Frozen, Kind, OrganizationId, Result, Time};

/// Of one organization.
const MOST: usize = 100;
/// The longest window that begins again and again: nearly a month.
const LONGEST: u32 = 30 * 24 * 60;

/// A window to make.
#[derive(Debug, Clone)]
pub struct FreezeWish {
    pub name: String,
    /// In the whole organization.
    pub everywhere: bool,
    /// Ids or names; the first ones where none are given.
    pub project: Option<String>,
    pub environment: Option<String>,
    pub when: FreezeWhen,
}

#[derive(Debug, Clone)]
pub struct FreezeView {
    pub freeze: Freeze,
    /// With the name of its project.
    pub environment: Option<(Environment, String)>,
    /// Until when it holds, if it does now.
    pub until: Option<Time>,
    /// When it holds next; `None`: never again.
    pub next_at: Option<Time>,
}

#[derive(Clone)]
pub struct Freezes {
    ground: Arc<Ground>,
}

impl Freezes {
    pub(crate) fn new(ground: Arc<Ground>) -> Freezes {
        Freezes { ground }
    }

    /// By name.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<FreezeView>> {
        actor.may_somewhere(Action::View)?;
        let mut all = of(&self.ground, actor, self.ground.store.freezes.list()?)?;
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all.into_iter().map(|freeze| self.view(freeze)).collect()
    }

    pub async fn create(&self, actor: &Actor, wish: FreezeWish) -> Result<FreezeView> {
        actor.may(Action::Administer)?;
        let ground = &self.ground;
        let (name, environment) = self.checked(actor, &wish)?;
        let own = ground.store.freezes.list()?.into_iter();
        if own.filter(|freeze| freeze.organization == actor.organization).count() >= MOST {
            return Err(Error::busy(format!("there are {MOST} freeze windows, which is the most")));
        }
        let freeze = Freeze {
            id: ground.world.id(),
            organization: actor.organization.clone(),
            environment,
            name,
            when: wish.when,
            created_at: ground.world.now(),
            created_by: actor.who.to_string(),
        };
        let freeze = ground.store.freezes.insert(freeze).await?.value;
        self.tell(actor, &freeze, "made").await;
        self.view(freeze)
    }

    /// Makes it what is wished; who made it stays. One that holds no more ends at once.
    pub async fn replace(&self, actor: &Actor, id: &str, wish: FreezeWish) -> Result<FreezeView> {
        actor.may(Action::Administer)?;
        let ground = &self.ground;
        let found = ground.store.freezes.find(id)?;
        let freeze = owned(ground, actor, Action::View, found, Kind::Freeze, id)?;
        let (name, environment) = self.checked(actor, &wish)?;
        let change = |freeze: &mut Freeze| {
            freeze.name.clone_from(&name);
            freeze.environment.clone_from(&environment);
            freeze.when = wish.when.clone();
            Ok(())
        };
        let freeze = ground.store.freezes.update(freeze.id.as_str(), change).await?.value;
        self.tell(actor, &freeze, "changed").await;
        self.view(freeze)
    }

    /// Its name, and its environment unless it is everywhere.
    fn checked(&self, actor: &Actor, wish: &FreezeWish) -> Result<(String, Option<EnvironmentId>)> {
        let ground = &self.ground;
        let name = wish.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(Error::invalid("name", "must be one line of 1 to 100 letters"));
        }
        check(&wish.when, ground.world.now())?;
        if wish.everywhere {
            return Ok((name, None));
        }
        let (project, environment) = (wish.project.as_deref(), wish.environment.as_deref());
        let environment = find_environment(ground, actor, Action::View, project, environment)?;
        Ok((name, Some(environment.id)))
    }

    /// One that holds ends at once; what waited is deployed.
    pub async fn remove(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::Administer)?;
        let found = self.ground.store.freezes.find(id)?;
        let freeze = owned(&self.ground, actor, Action::View, found, Kind::Freeze, id)?;
        self.ground.store.freezes.remove(freeze.id.as_str()).await?;
        self.tell(actor, &freeze, "removed").await;
        Ok(())
    }

    fn view(&self, freeze: Freeze) -> Result<FreezeView> {
        let store = &self.ground.store;
        let now = self.ground.world.now();
        let environment = match &freeze.environment {
            Some(id) => store.environments.find(id.as_str())?.map(|stored| stored.value),
            None => None,
        };
        let environment = match environment {
            Some(environment) => {
                let project = store.projects.find(environment.project.as_str())?;
                let name = project.map(|project| project.name.to_string()).unwrap_or_default();
                Some((environment, name))
            }
            None => None,
        };
        let next_at = match &freeze.when {
            FreezeWhen::Once { from, .. } => Some(*from).filter(|from| *from > now),
            FreezeWhen::Repeated { cron, zone, .. } => next_after(cron, zone, now)?,
        };
        Ok(FreezeView {
            until: holds_until(&freeze.when, now)?,
            next_at,
            environment,
            freeze,
        })
    }

    async fn tell(&self, actor: &Actor, freeze: &Freeze, what: &str) {
        let fact = Fact::FreezeChanged {
            name: freeze.name.clone(),
            what: what.into(),
        };
        self.ground.events.emit(actor, fact).await;
    }
}

/// Fails with `Invalid` for a window that never holds.
pub(crate) fn check(when: &FreezeWhen, now: Time) -> Result<()> {
    match when {
        FreezeWhen::Once { from, until } if until <= from => Err(Error::invalid("until", "must be after the beginning")),
        FreezeWhen::Once { until, .. } if *until <= now => Err(Error::invalid("until", "is over already")),
        FreezeWhen::Once { .. } => Ok(()),
        FreezeWhen::Repeated { minutes, .. } if !(1..=LONGEST).contains(minutes) => {
            Err(Error::invalid("minutes", format!("must be between 1 and {LONGEST}")))
        }
        FreezeWhen::Repeated { cron, zone, .. } => match next_after(cron, zone, now)? {
            Some(_) => Ok(()),
            None => Err(Error::invalid("cron", "never comes again")),
        },
    }
}

/// The end of the window that holds now.
pub(crate) fn holds_until(when: &FreezeWhen, now: Time) -> Result<Option<Time>> {
    let (from, until) = match when {
        FreezeWhen::Once { from, until } => (*from, *until),
        FreezeWhen::Repeated { cron, zone, minutes } => match last_before(cron, zone, now)? {
            Some(from) => (from, from.plus(Duration::from_secs(u64::from(*minutes) * 60))),
            None => return Ok(None),
        },
    };
    Ok(Some(until).filter(|until| from <= now && now < *until))
}

/// The freeze that holds in the environment now; of several the one that lasts longest.
pub(crate) fn frozen(store: &Store, organization: &OrganizationId, environment: &EnvironmentId, now: Time) -> Result<Option<Frozen>> {
    let all: Vec<Freeze> = store.freezes.list()?.into_iter().map(|stored| stored.value).collect();
    frozen_of(&all, organization, environment, now)
}

/// The same, of windows that are at hand.
pub(crate) fn frozen_of(all: &[Freeze], organization: &OrganizationId, environment: &EnvironmentId, now: Time) -> Result<Option<Frozen>> {
    let mut longest: Option<Frozen> = None;
    for freeze in all {
        let is_its = freeze.environment.as_ref().is_none_or(|own| own == environment);
        if freeze.organization != *organization || !is_its {
            continue;
        }
        let Some(until) = holds_until(&freeze.when, now)? else { continue };
        if longest.as_ref().is_none_or(|longest| longest.until < until) {
            longest = Some(Frozen {
                id: freeze.id.clone(),
                name: freeze.name.clone(),
                until,
            });
        }
    }
    Ok(longest)
}

/// Fails with `Busy` while a freeze holds.
pub(crate) fn must_not_hold(ground: &Ground, organization: &OrganizationId, environment: &EnvironmentId) -> Result<()> {
    match frozen(&ground.store, organization, environment, ground.world.now())? {
        Some(frozen) => Err(Error::busy(format!(
            "{}; an administrator may deploy anyway with a reason",
            frozen.words()
        ))),
        None => Ok(()),
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
    fn when_a_window_holds() {
        let weekend = FreezeWhen::Repeated {
            cron: "0 16 * * FRI".into(),
            zone: "Europe/Berlin".into(),
            minutes: 64 * 60,
        };
        for (now, until) in [
            ("2026-01-02T14:59:59Z", None),
            ("2026-01-02T15:00:00Z", Some("2026-01-05T07:00:00Z")),
            ("2026-01-04T12:00:00Z", Some("2026-01-05T07:00:00Z")),
            ("2026-01-05T07:00:00Z", None),
        ] {
            let found = holds_until(&weekend, at(now)).expect("a cron line");
            assert_eq!(found.map(|at| at.to_string()).as_deref(), until, "{now}");
        }
        let once = FreezeWhen::Once {
            from: at("2026-01-01T00:00:00Z"),
            until: at("2026-01-02T00:00:00Z"),
        };
        assert_eq!(
            holds_until(&once, at("2026-01-01T12:00:00Z")).expect("it is one"),
            Some(at("2026-01-02T00:00:00Z"))
        );
        assert_eq!(holds_until(&once, at("2026-01-02T00:00:00Z")).expect("it is one"), None);
    }

    #[test]
    fn what_is_no_window() {
        let now = at("2026-01-01T00:00:00Z");
        let repeated = |cron: &str, minutes| FreezeWhen::Repeated {
            cron: cron.into(),
            zone: "UTC".into(),
            minutes,
        };
        assert!(check(&repeated("0 0 * * *", 60), now).is_ok());
        let past = FreezeWhen::Once {
            from: Time(0),
            until: Time(1),
        };
        let backwards = FreezeWhen::Once {
            from: now.plus(Duration::from_secs(2)),
            until: now.plus(Duration::from_secs(1)),
        };
        for wrong in [
            repeated("0 0 * * *", 0),
            repeated("0 0 * * *", LONGEST + 1),
            repeated("nonsense", 60),
            repeated("0 0 30 2 *", 60),
            past,
            backwards,
        ] {
            assert!(check(&wrong, now).is_err(), "{wrong:?}");
        }
    }
}
