//! Apps that sleep: put to sleep when nobody has used them for a while, and woken by a request, by somebody, or by a job.
//!
//! What should be is in the app's record (`App::asleep`), so a crash, a reboot and a restart of the panel change nothing. An
//! app that is being woken is still asleep for the edge, which holds its requests until the same check that a start has to
//! pass went well. Only what the edge passes on to an app's containers counts as use.

mod lying_down;
mod readiness;
mod reasons;
mod sleeper;
mod terminals;
#[cfg(test)]
mod tests;
mod waking;

pub(crate) use lying_down::{lie_down, put_to_sleep};
pub(crate) use reasons::Ways;
pub use sleeper::Sleeper;
pub(crate) use terminals::while_open;
pub(crate) use waking::{awake, listen, wake_now};

use crate::ground::Ground;
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};
use types::{AppId, Asleep, Container, Release, Target, Time};

/// A stack has this long to start, or longer when its health check says so.
const STACK_START: u32 = 120;
/// The edge waits so much longer than a start may take: the route comes a moment later.
const MARGIN: Duration = Duration::from_secs(5);

/// Apps with which something is being done in this process.
#[derive(Default)]
pub(crate) struct Sleeping {
    /// Their containers are being stopped.
    lying_down: Mutex<HashSet<AppId>>,
    /// They are being woken.
    waking: Mutex<HashSet<AppId>>,
    /// Terminals that are open in them.
    terminals: Mutex<HashMap<AppId, usize>>,
}

impl Sleeping {
    fn is_lying_down(&self, app: &AppId) -> bool {
        self.lying_down.lock().expect("no panic while held").contains(app)
    }
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        let busy = |set: &Mutex<HashSet<AppId>>| !set.lock().expect("no panic while held").is_empty();
        !busy(&self.lying_down) && !busy(&self.waking)
    }
}

/// Where its requests go while it sleeps or is being woken: they wait, unless waking it has failed a moment ago.
pub(crate) fn target(asleep: &Asleep, release: &Release, now: Time) -> Target {
    match &asleep.failed {
        Some(failed) if asleep.waking.is_none() && now < failed.rests_until() => Target::Down {
            why: format!("it was asleep and could not be woken: {}", failed.why),
        },
        _ => Target::Asleep {
            wait: start_limit(release) + MARGIN,
        },
    }
}

/// How long a release may take from its start until it is well.
fn start_limit(release: &Release) -> Duration {
    let own = release.health.start_seconds;
    let seconds = if release.stack.is_some() { own.max(STACK_START) } else { own };
    Duration::from_secs(seconds.into())
}

/// As they were seen last.
fn of_app(ground: &Ground, app: &AppId) -> Vec<Container> {
    let observed = ground.observed.load();
    observed.containers.iter().filter(|one| one.owner.app == *app).cloned().collect()
}
