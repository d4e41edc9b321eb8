//! Sites whose app sleeps: a request for one says that the app is wanted, and waits until a later table leads to it. That a
//! request comes here means that it has passed the site's rules and its gate. Nothing of its body is read meanwhile, so
//! nothing of it can be lost.
//!
//! Who wakes the app listens to [`Sleepers::wanted`]. A wish may be lost there, so waiting requests repeat it.

use crate::{
    forward::Failure,
    table::{Does, Leads, Serves, Site},
    worker::{Shared, Stage, Worker},
};
use futures::Stream;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep},
};
use types::{AppId, HostPattern, RuleId};

/// Requests that wait for one app.
const EACH: usize = 256;
/// And for all of them.
const ALL: usize = 1024;
/// From one wish for an app to the next.
const AGAIN: Duration = Duration::from_secs(1);
/// Wishes that nobody has heard yet; beyond them the oldest are lost, and said again.
const UNHEARD: usize = 256;

/// What all threads share of it.
pub(crate) struct Sleepers {
    wanted: broadcast::Sender<AppId>,
    tables: watch::Sender<()>,
    waiting: AtomicUsize,
}

impl Default for Sleepers {
    fn default() -> Sleepers {
        Sleepers {
            wanted: broadcast::channel(UNHEARD).0,
            tables: watch::channel(()).0,
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Sleepers {
    pub(crate) fn table_changed(&self) {
        self.tables.send_replace(());
    }

    pub(crate) fn wanted(&self) -> impl Stream<Item = AppId> + Send + use<> {
        futures::stream::unfold(self.wanted.subscribe(), |mut wanted| async move {
            loop {
                match wanted.recv().await {
                    Ok(app) => return Some((app, wanted)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    // The edge is gone, and nobody asks any more.
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        })
    }
}

/// One place in the configuration that leads somewhere: the site's own target, or one of a rule's.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub host: HostPattern,
    /// The rule, and which of its parts.
    rule: Option<(RuleId, usize)>,
}

impl Slot {
    pub(crate) fn of(host: &HostPattern) -> Slot {
        Slot {
            host: host.clone(),
            rule: None,
        }
    }
    pub(crate) fn of_rule(host: &HostPattern, rule: &RuleId, part: usize) -> Slot {
        Slot {
            host: host.clone(),
            rule: Some((rule.clone(), part)),
        }
    }
    fn leads<'s>(&self, site: &'s Site) -> Option<&'s Leads> {
        let Some((rule, part)) = &self.rule else {
            return Some(&site.leads);
        };
        let built = site.extras.as_ref()?.rules.iter().find(|built| built.id == *rule)?;
        match &built.does {
            Does::Serve(leads) => Some(leads),
            Does::Split(split) => split.parts.get(*part),
            Does::Redirect(_) | Does::Respond { .. } => None,
        }
    }
}

/// Requests that wait for an app, over all its places and tables.
#[derive(Default)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    /// When it was said last that it is wanted, by the clock of the first thread; 0: never.
    said_at: AtomicU64,
}

/// Where an app sleeps.
pub(crate) struct Bed {
    app: AppId,
    slot: Slot,
    /// The longest that a request waits.
    wait: Duration,
    waiting: Arc<Waiting>,
}

/// The way to an app that sleeps no more.
pub(crate) struct Awake {
    site: Arc<Site>,
    slot: Slot,
}

impl Awake {
    pub(crate) fn serves(&self) -> &Serves {
        let leads = self.slot.leads(&self.site);
        &leads.expect("it was found in this very site").serves
    }
}

/// One request that waits.
struct Seat<'a>(&'a Shared, &'a Waiting);

impl Seat<'_> {
    /// `None`: too many wait already.
    fn take<'a>(shared: &'a Shared, waiting: &'a Waiting) -> Option<Seat<'a>> {
        let seat = Seat(shared, waiting);
        let all = shared.sleepers.waiting.fetch_add(1, Relaxed);
        let own = waiting.count.fetch_add(1, Relaxed);
        (all < ALL && own < EACH).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.sleepers.waiting.fetch_sub(1, Relaxed);
        self.1.count.fetch_sub(1, Relaxed);
    }
}

impl Bed {
    pub(crate) fn new(app: AppId, slot: Slot, wait: Duration, waiting: Arc<Waiting>) -> Bed {
        Bed { app, slot, wait, waiting }
    }

    /// Says that the app is wanted, unless that was said a moment ago.
    fn want(&self, shared: &Shared) {
        let now = shared.now().max(1);
        let said = self.waiting.said_at.load(Relaxed);
        let due = said == 0 || u128::from(now.saturating_sub(said)) >= AGAIN.as_millis();
        if due && self.waiting.said_at.compare_exchange(said, now, Relaxed, Relaxed).is_ok() {
            // Without a listener it is said again soon.
            let _ = shared.sleepers.wanted.send(self.app.clone());
        }
    }

    /// Waits until the table leads somewhere from where this is. Fails with `Waking` when that takes too long, when too many
    /// wait, and when this edge is to end: then nobody changes its table any more.
    pub(crate) async fn awake(&self, worker: &Worker) -> Result<Awake, Failure> {
        let shared = &*worker.shared;
        let _seat = Seat::take(shared, &self.waiting).ok_or(Failure::Waking)?;
        let deadline = Instant::now() + self.wait;
        let mut tables = shared.sleepers.tables.subscribe();
        let mut stage = worker.stage.clone();
        loop {
            tables.mark_unchanged();
            let site = shared.table.load().at(&self.slot).cloned();
            match site.as_ref().and_then(|site| self.slot.leads(site)).map(|leads| &leads.serves) {
                Some(Serves::Asleep(bed)) => bed.want(shared),
                Some(Serves::Starting) => {}
                Some(Serves::Down(why)) => return Err(Failure::Down(why.clone())),
                Some(Serves::App(_) | Serves::Panel(_)) => {
                    let site = site.expect("it was looked into");
                    let slot = self.slot.clone();
                    return Ok(Awake { site, slot });
                }
                None => return Err(Failure::Starting),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Waking);
            }
            tokio::select! {
                _ = tables.changed() => {}
                _ = stage.wait_for(|stage| *stage != Stage::Running) => return Err(Failure::Waking),
                () = sleep(left.min(AGAIN)) => {}
            }
        }
    }
}
