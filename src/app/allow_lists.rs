//! From which addresses the panel and its API are reached. The edge enforces it; here it is decided, and made sure that
//! nobody locks themselves out: a change is in force at once and is taken back by itself unless somebody confirms it from
//! where it still lets them in. Who is on the machine itself always gets in.

use crate::{ground::Ground, routing};
use async_trait::async_trait;
use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc, time::Duration};
use store::{ALLOW_LISTS_KEY, Stored};
use types::{Action, Actor, AllowLists, AllowTrial, Allowed, Error, Fact, PanelGate, Result, Time, Who};

/// Minutes until a change is taken back.
const USUAL_MINUTES: u32 = 5;
const MOST_MINUTES: u32 = 60;

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct AllowListsChange {
    pub panel: Option<Vec<IpNet>>,
    pub api: Option<Vec<IpNet>>,
    /// Also when it keeps out who asks.
    pub force: bool,
    /// Until it is taken back; `None`: as usual. 0 is for the machine itself: it stays.
    pub confirm_minutes: Option<u32>,
}

/// What holds, for who asks.
#[derive(Debug, Clone)]
pub struct AllowListsView {
    pub allowed: Allowed,
    pub trial: Option<AllowTrial>,
    pub left: Duration,
    /// Where the request came from; `None`: the machine itself.
    pub own: Option<IpAddr>,
}

#[derive(Clone)]
pub struct AllowListsService {
    ground: Arc<Ground>,
    /// One change at a time.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// What the edge is to know.
pub(crate) fn gate(ground: &Ground) -> Result<PanelGate> {
    let allowed = recorded(ground)?.map(|stored| stored.value.in_force(ground.world.now()).clone());
    Ok(PanelGate {
        allowed: allowed.unwrap_or_default(),
        webhooks: !ground.store.webhooks.list()?.is_empty(),
    })
}

fn recorded(ground: &Ground) -> Result<Option<Stored<AllowLists>>> {
    ground.store.allow_lists.find(ALLOW_LISTS_KEY)
}

/// What lets the actor in from their address.
fn admits(allowed: &Allowed, actor: &Actor, address: IpAddr) -> bool {
    match actor.who {
        Who::Token { .. } => allowed.api_admits(address),
        _ => allowed.panel_admits(address),
    }
}

fn address_of(actor: &Actor) -> Option<IpAddr> {
    actor.address.as_ref().and_then(|text| text.parse().ok())
}

impl AllowListsService {
    pub(crate) fn new(ground: Arc<Ground>) -> AllowListsService {
        AllowListsService {
            ground,
            changing: Arc::default(),
        }
    }

    pub fn show(&self, actor: &Actor) -> Result<AllowListsView> {
        actor.may(Action::Operate)?;
        self.view(actor)
    }

    /// Whether the lists still let somebody in who is in already: streams ask from time to time.
    pub fn admits(&self, actor: &Actor) -> Result<bool> {
        let Some(address) = address_of(actor) else { return Ok(true) };
        Ok(admits(&gate(&self.ground)?.allowed, actor, address))
    }

    /// In force when it returns. What may keep somebody out is on trial, unless it is asked for on the machine itself.
    /// Fails with `Invalid` when it would keep out who asks, unless they insist; then it is taken back unless somebody
    /// else confirms it.
    pub async fn update(&self, actor: &Actor, change: AllowListsChange) -> Result<AllowListsView> {
        actor.may(Action::Secure)?;
        let _one_at_a_time = self.changing.lock().await;
        let found = recorded(&self.ground)?;
        let now = self.ground.world.now();
        let lists = found.as_ref().map(|stored| stored.value.clone()).unwrap_or_default();
        let before = lists.in_force(now).clone();
        let after = Allowed {
            panel: change.panel.unwrap_or_else(|| before.panel.clone()),
            api: change.api.unwrap_or_else(|| before.api.clone()),
        };
        let after = after.checked()?;
        if let Some(address) = address_of(actor)
            && !change.force
            && !admits(&after, actor, address)
        {
            let field = if matches!(actor.who, Who::Token { .. }) { "api" } else { "panel" };
            return Err(Error::invalid(
                field,
                format!("your own address, {address}, is not in it: add it, or insist with `force`"),
            ));
        }
        let minutes = minutes(actor, change.confirm_minutes)?;
        if after == before {
            return self.view(actor);
        }
        // What was confirmed last is what comes back.
        let sure = match lists.trial {
            Some(trial) => trial.before,
            None => before.clone(),
        };
        let trial = (minutes > 0 && after.narrows(&sure)).then(|| AllowTrial {
            before: sure,
            until: now.plus(Duration::from_secs(60) * minutes),
        });
        let until = trial.as_ref().map(|trial| trial.until);
        let what = told(&before, &after);
        self.record(found, AllowLists { allowed: after, trial }).await?;
        self.ground.events.emit(actor, Fact::AllowListsChanged { what, until }).await;
        self.view(actor)
    }

    /// Ends the trial: the lists stay. Fails with `Busy` when none is on trial, with `Forbidden` for somebody whom the lists
    /// would not let in.
    pub async fn confirm(&self, actor: &Actor) -> Result<AllowListsView> {
        actor.may(Action::Secure)?;
        let _one_at_a_time = self.changing.lock().await;
        let (found, trial) = self.on_trial()?;
        let mut lists = found.value.clone();
        if self.ground.world.now() >= trial.until {
            return Err(Error::busy("the change was taken back: nobody confirmed it in time"));
        }
        if let Some(address) = address_of(actor)
            && !admits(&lists.allowed, actor, address)
        {
            return Err(Error::Forbidden {
                needs: "an address that the new lists let in".into(),
            });
        }
        lists.trial = None;
        self.record(Some(found), lists).await?;
        self.ground.events.emit(actor, Fact::AllowListsConfirmed).await;
        self.view(actor)
    }

    /// Ends the trial: what was before comes back now. Fails with `Busy` when none is on trial.
    pub async fn revert(&self, actor: &Actor) -> Result<AllowListsView> {
        actor.may(Action::Secure)?;
        let _one_at_a_time = self.changing.lock().await;
        let (found, trial) = self.on_trial()?;
        self.take_back(actor, found, trial, "somebody asked for it").await?;
        self.view(actor)
    }

    /// Takes back what nobody confirmed in time; answers whether there was anything.
    async fn settle(&self) -> Result<bool> {
        let _one_at_a_time = self.changing.lock().await;
        let Some(found) = recorded(&self.ground)? else { return Ok(false) };
        let Some(trial) = found.trial.clone().filter(|trial| self.ground.world.now() >= trial.until) else {
            return Ok(false);
        };
        let Some(host) = crate::organizations::host(&self.ground.store)? else {
            return Ok(false);
        };
        let system = Actor::system(host.id.clone());
        self.take_back(&system, found, trial, "nobody confirmed it in time").await?;
        Ok(true)
    }

    async fn take_back(&self, actor: &Actor, found: Stored<AllowLists>, trial: AllowTrial, why: &str) -> Result<()> {
        let lists = AllowLists {
            allowed: trial.before,
            trial: None,
        };
        self.record(Some(found), lists).await?;
        let fact = Fact::AllowListsReverted { why: why.to_owned() };
        self.ground.events.emit(actor, fact).await;
        Ok(())
    }

    fn on_trial(&self) -> Result<(Stored<AllowLists>, AllowTrial)> {
        let found = recorded(&self.ground)?;
        let trial = found.as_ref().and_then(|stored| stored.trial.clone());
        found.zip(trial).ok_or_else(|| Error::busy("no change waits to be confirmed"))
    }

    /// On disk first, then in the edge; if that does not take it now, the reconciler goes on trying.
    async fn record(&self, found: Option<Stored<AllowLists>>, lists: AllowLists) -> Result<()> {
        let collection = &self.ground.store.allow_lists;
        match found {
            Some(mut stored) => {
                stored.value = lists;
                collection.save(stored).await?;
            }
            None => {
                collection.insert(lists).await?;
            }
        }
        self.ground.wake_reconcile();
        routing::apply(&self.ground).await
    }

    fn view(&self, actor: &Actor) -> Result<AllowListsView> {
        let now = self.ground.world.now();
        let lists = recorded(&self.ground)?.map(|stored| stored.value).unwrap_or_default();
        let trial = lists.trial.clone().filter(|trial| now < trial.until);
        Ok(AllowListsView {
            allowed: lists.in_force(now).clone(),
            left: trial.as_ref().map_or(Duration::ZERO, |trial| left(trial.until, now)),
            trial,
            own: address_of(actor),
        })
    }
}

fn left(until: Time, now: Time) -> Duration {
    until.since(now)
}

/// 0: no trial.
fn minutes(actor: &Actor, wish: Option<u32>) -> Result<u32> {
    match (wish, address_of(actor)) {
        (Some(minutes), _) if minutes > MOST_MINUTES => Err(Error::invalid("confirm_minutes", format!("may be at most {MOST_MINUTES}"))),
        (Some(0), Some(_)) => Err(Error::invalid(
            "confirm_minutes",
            format!("must be 1 to {MOST_MINUTES}: only on the machine itself a change needs no confirming"),
        )),
        (Some(minutes), _) => Ok(minutes),
        (None, Some(_)) => Ok(USUAL_MINUTES),
        (None, None) => Ok(0),
    }
}

fn told(before: &Allowed, after: &Allowed) -> Vec<String> {
    let words = |list: &[IpNet]| match list {
        [] => "everybody".to_owned(),
        list => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    [
        ("the panel", &before.panel, &after.panel),
        ("the API by tokens", &before.api, &after.api),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
    .map(|(name, _, after)| format!("{name}: {}", words(after)))
    .collect()
}

/// Takes back changes of the lists that nobody confirmed. It reads what is recorded, so a crash in between does not matter.
pub struct AllowListWatch(pub(crate) AllowListsService);

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct AllowListReport {
    pub taken_back: bool,
}

#[async_trait]
impl jobs::Job for AllowListWatch {
    const NAME: &'static str = "allow_lists";
    type Report = AllowListReport;

    async fn run(&mut self) -> Result<AllowListReport> {
        Ok(AllowListReport {
            taken_back: self.0.settle().await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn nets(list: &[&str]) -> Option<Vec<IpNet>> {
        Some(list.iter().map(|net| net.parse().expect("a network")).collect())
    }

    fn at(bench: &Bench, address: &str) -> Actor {
        Actor {
            who: Who::User {
                id: bench.ground.world.id(),
                email: "ada@example.test".into(),
            },
            address: Some(address.into()),
            ..bench.owner.clone()
        }
    }

    fn panel_list(bench: &Bench) -> Vec<IpNet> {
        bench.node.edge.lock().expect("test").gate.allowed.panel.clone()
    }

    #[tokio::test]
    async fn a_change_is_tried_and_taken_back_also_after_a_crash() {
        let bench = Bench::new().await;
        let service = AllowListsService::new(bench.ground.clone());
        let ada = at(&bench, "192.0.2.7");
        let wish = |panel: &[&str]| AllowListsChange {
            panel: nets(panel),
            ..AllowListsChange::default()
        };
        let error = service
            .update(&ada, wish(&["198.51.100.0/24"]))
            .await
            .expect_err("locks herself out");
        assert_eq!(
            error.to_string(),
            "panel: your own address, 192.0.2.7, is not in it: add it, or insist with `force`"
        );
        let first = service.update(&ada, wish(&["192.0.2.0/24"])).await.expect("she is in it");
        assert!(first.trial.is_some() && first.left > Duration::from_secs(290));
        assert_eq!(panel_list(&bench), nets(&["192.0.2.0/24"]).expect("some"));
        service.confirm(&ada).await.expect("from within");
        assert!(service.confirm(&ada).await.is_err(), "once");

        // She insists, and cannot confirm it: also after a change on top of it, what was confirmed comes back.
        let insist = AllowListsChange {
            force: true,
            ..wish(&["198.51.100.0/24"])
        };
        service.update(&ada, insist).await.expect("insisting");
        assert!(matches!(service.confirm(&ada).await, Err(Error::Forbidden { .. })));
        assert!(!service.settle().await.expect("looks"), "it is too early");
        let mut stored = recorded(&bench.ground).expect("reads").expect("some");
        let trial = stored.trial.as_mut().expect("on trial");
        trial.until = bench.ground.world.now().minus(Duration::from_secs(1));
        bench.ground.store.allow_lists.save(stored).await.expect("saves");

        drop(service);
        let bench = bench.again().await;
        let expected = nets(&["192.0.2.0/24"]).expect("some");
        assert_eq!(
            gate(&bench.ground).expect("reads").allowed.panel,
            expected,
            "before anything is written"
        );
        let service = AllowListsService::new(bench.ground.clone());
        assert!(service.settle().await.expect("takes back"));
        let now = recorded(&bench.ground).expect("reads").expect("some").value;
        assert_eq!((now.allowed.panel, now.trial), (expected, None));
    }

    #[tokio::test]
    async fn what_keeps_nobody_out_and_what_the_machine_says_needs_no_confirming() {
        let bench = Bench::new().await;
        let service = AllowListsService::new(bench.ground.clone());
        let machine = Actor {
            who: Who::Machine { uid: 0 },
            ..bench.owner.clone()
        };
        let wish = |panel: &[&str]| AllowListsChange {
            panel: nets(panel),
            ..AllowListsChange::default()
        };
        let made = service.update(&machine, wish(&["192.0.2.0/24"])).await.expect("the machine");
        assert_eq!(made.trial, None);
        let ada = at(&bench, "192.0.2.7");
        let wider = service.update(&ada, wish(&["192.0.2.0/23"])).await.expect("wider");
        assert_eq!(wider.trial, None);
        let narrower = service.update(&ada, wish(&["192.0.2.7/32"])).await.expect("narrower");
        assert!(narrower.trial.is_some());
        let back = service.revert(&ada).await.expect("taken back");
        assert_eq!((back.allowed.panel, back.trial), (nets(&["192.0.2.0/23"]).expect("some"), None));
        for (minutes, asker) in [(0, &ada), (61, &ada), (61, &machine)] {
            let change = AllowListsChange {
                confirm_minutes: Some(minutes),
                ..wish(&["192.0.2.0/24"])
            };
            assert!(service.update(asker, change).await.is_err(), "{minutes}");
        }
        assert_eq!(
            service.update(&machine, wish(&[])).await.expect("cleared").allowed,
            Allowed::default()
        );
    }
}
