//! Keeps builds from taking the machine down: how many run at once, and what their steps may use.
//!
//! The limits are the kernel's wherever somebody may write them: this process if it is root, else the helper that
//! `serverkit-builds.path` starts while a file named `building` is there (see [`hold_builds`]). Where nobody may, a build
//! that takes too much is ended when that is seen, and only one runs at a time.
//!
//! Which build a step belongs to cannot be told from outside. So with several builds under way, what went beyond its
//! limits is the reason of a build that fails with its step killed, and of no other.

use crate::{
    build_disk::{DiskExcess, Ledger, Place, Room},
    build_steps::{BuildStep, Excess, Finder, StepUse, Tree},
    machine::{kib, read},
};
use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use types::{BuildDisk, BuildLimits, Doing, Error, Result};

/// Between two looks at the steps.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A step that has no limit after this long gets none.
const HELD_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at the disk.
const LOOK_AT_DISK_EVERY: Duration = Duration::from_millis(200);
/// Between two looks at the free memory.
const ADMIT_EVERY: Duration = Duration::from_secs(2);
/// How long after a step was seen beyond its limits a build may still fail of it.
const RECENT: Duration = Duration::from_secs(20);
/// Tells the helper that a build is under way, and holds its limits.
const FLAG: &str = "building";

/// The builds of this machine. Clones share everything.
#[derive(Clone)]
pub struct Builds {
    inner: Arc<Inner>,
}

struct Inner {
    tree: Tree,
    limits: BuildLimits,
    flag: Option<PathBuf>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    running: usize,
    is_watched: bool,
    /// Whether the kernel holds the steps; `None` until one was seen.
    is_held: Option<bool>,
    excess: Option<(Instant, Excess)>,
    /// When a step was last so near its limit that it may have been killed before the next look.
    near: Option<Instant>,
    /// What the builds take of the disk, where that has a bound.
    ledger: Option<Ledger>,
    /// Where the engine keeps builds; empty until a build has said it.
    folders: Vec<PathBuf>,
    entered: Place,
}

/// The right to build; ends when dropped.
pub struct BuildPermit {
    builds: Builds,
    since: Instant,
    place: Place,
}

impl Builds {
    /// `runtime` is where the helper looks for its file (systemd's `RuntimeDirectory`), if there is one.
    pub fn new(limits: BuildLimits, runtime: Option<&Path>) -> Builds {
        Builds::bounded(limits, None, runtime)
    }

    /// With a bound for what a whole build takes of the disk.
    pub fn bounded(limits: BuildLimits, disk: Option<BuildDisk>, runtime: Option<&Path>) -> Builds {
        let state = State {
            ledger: disk.map(Ledger::new),
            ..State::default()
        };
        let inner = Inner {
            tree: Tree::of_machine(),
            limits,
            flag: runtime.map(|folder| folder.join(FLAG)),
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        Builds { inner: Arc::new(inner) }
    }

    pub fn limits(&self) -> BuildLimits {
        self.inner.limits
    }

    /// What a whole build may take of the disk; `None`: that has no bound.
    pub fn disk(&self) -> Option<BuildDisk> {
        self.state().ledger.as_ref().map(Ledger::disk)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for one more build: at once for the first; for another when the kernel holds the limits
    /// and so much memory is free. `waiting` is told why, once.
    pub async fn enter(&self, waiting: impl AsyncFnOnce(String)) -> BuildPermit {
        let mut waiting = Some(waiting);
        loop {
            let free = read("/proc/meminfo").map(|text| kib(&text, "MemAvailable")).unwrap_or(0);
            // Made before the look: a build that ends meanwhile is not missed.
            let changed = self.inner.changed.notified();
            if let Some(permit) = self.admit(free) {
                return permit;
            }
            if let Some(waiting) = waiting.take() {
                let needs = self.inner.limits.memory_bytes >> 20;
                let is_crowded = self.state().ledger.as_ref().is_some_and(Ledger::is_crowded);
                waiting(match is_crowded {
                    true => "waiting: the builds that run have taken much of the disk".to_owned(),
                    false => format!(
                        "waiting: another build runs, and of the {needs} MiB that this one may take {} MiB are free",
                        free >> 20
                    ),
                })
                .await;
            }
            let _ = tokio::time::timeout(ADMIT_EVERY, changed).await;
        }
    }

    fn admit(&self, free: u64) -> Option<BuildPermit> {
        let mut state = self.state();
        let is_crowded = state.ledger.as_ref().is_some_and(Ledger::is_crowded);
        let has_room = state.is_held == Some(true) && free > self.inner.limits.memory_bytes && !is_crowded;
        if state.running > 0 && !has_room {
            return None;
        }
        state.running += 1;
        state.entered += 1;
        let place = state.entered;
        state.look_at_disk();
        if let Some(ledger) = &mut state.ledger {
            ledger.enter(place);
        }
        if state.running == 1 {
            self.raise_flag();
        }
        if !std::mem::replace(&mut state.is_watched, true) {
            let builds = self.clone();
            tokio::task::spawn_blocking(move || builds.watch());
        }
        Some(BuildPermit {
            builds: self.clone(),
            since: Instant::now(),
            place,
        })
    }

    fn raise_flag(&self) {
        let Some(flag) = &self.inner.flag else { return };
        let BuildLimits {
            memory_bytes,
            pids,
            cpu_weight,
        } = self.inner.limits;
        // Whole and readable from the first moment: the helper is root without the right to look past modes.
        let fresh = flag.with_extension("new");
        let written = fs::write(&fresh, format!("{memory_bytes} {pids} {cpu_weight}\n"))
            .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644)))
            .and_then(|()| fs::rename(&fresh, flag));
        if let Err(error) = written {
            tracing::warn!("builds run without limits of the kernel: writing {}: {error}", flag.display());
        }
    }

    /// Until no build runs.
    fn watch(&self) {
        let mut seen = HashMap::new();
        let mut finder = Finder::new(self.inner.tree.clone());
        let mut looked_at_disk = Instant::now();
        loop {
            {
                let mut state = self.state();
                if state.running == 0 {
                    state.is_watched = false;
                    return;
                }
                if looked_at_disk.elapsed() > LOOK_AT_DISK_EVERY {
                    looked_at_disk = Instant::now();
                    state.look_at_disk();
                    self.inner.changed.notify_waiters();
                }
            }
            self.look(finder.steps(), &mut seen);
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn look(&self, steps: Vec<BuildStep>, seen: &mut HashMap<BuildStep, Instant>) {
        let Inner { tree, limits, .. } = &*self.inner;
        let now = Instant::now();
        for (step, usage) in hold_all(tree, steps, limits) {
            let since = *seen.entry(step).or_insert(now);
            let mut state = self.state();
            if usage.is_held(limits) {
                state.is_held = Some(true);
            } else if since.elapsed() > HELD_WITHIN {
                state.is_held = Some(false);
            }
            if let Some(excess) = usage.excess(limits) {
                state.excess = Some((now, excess));
                self.inner.changed.notify_waiters();
            }
            if usage.is_near(limits) {
                state.near = Some(now);
            }
        }
    }
}

/// Gives limits to the steps that have none, ends those that went beyond, as far as this process may; what was seen of
/// each. A step that somebody else gave another limit is left alone.
fn hold_all(tree: &Tree, steps: Vec<BuildStep>, limits: &BuildLimits) -> Vec<(BuildStep, StepUse)> {
    let mut seen = Vec::new();
    for step in steps {
        let mut usage = tree.look(&step);
        if usage.memory_limit_bytes.is_none() && tree.hold(&step, limits).is_ok() {
            usage = tree.look(&step);
        }
        // The kernel rounds down to whole pages.
        let is_ours = usage
            .memory_limit_bytes
            .is_none_or(|bytes| bytes <= limits.memory_bytes && limits.memory_bytes - bytes < 1 << 16);
        if !is_ours {
            continue;
        }
        if usage.excess(limits).is_some() {
            let _ = tree.kill(&step);
        }
        seen.push((step, usage));
    }
    seen
}

/// The helper's whole work, as root: holds all builds to the limits that the file in `runtime` names, until it is gone.
pub fn hold_builds(runtime: &Path) -> Result<()> {
    let flag = runtime.join(FLAG);
    let tree = Tree::of_machine();
    let mut finder = Finder::new(tree.clone());
    loop {
        let text = match fs::read_to_string(&flag) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).doing(format!("reading {}", flag.display())),
        };
        if let Some(limits) = limits_of(&text) {
            hold_all(&tree, finder.steps(), &limits);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn limits_of(text: &str) -> Option<BuildLimits> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let limits = BuildLimits {
        memory_bytes: words.next()?.parse().ok()?,
        pids: words.next()?.parse().ok()?,
        cpu_weight: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(limits)
}

impl State {
    fn look_at_disk(&mut self) {
        if let (Some(ledger), Some(room)) = (&mut self.ledger, Room::of(&self.folders)) {
            ledger.look(room);
        }
    }
}

impl BuildPermit {
    /// Where the engine keeps what it builds. Until one build knows, nobody looks at what they take of the disk.
    pub fn watch_disk(&self, folders: Vec<PathBuf>) {
        let mut state = self.builds.state();
        if !folders.is_empty() {
            state.folders = folders;
        }
        state.look_at_disk();
    }

    /// Ends when the build has taken too much of the disk.
    pub async fn outgrew_disk(&self) -> DiskExcess {
        loop {
            let changed = self.builds.inner.changed.notified();
            if let Some(excess) = self.with_ledger(|ledger| ledger.excess(self.place)) {
                return excess;
            }
            changed.await;
        }
    }

    /// Ends when the build may have taken too much of the disk, but others ran meanwhile: somebody should find out.
    pub async fn suspected(&self) {
        loop {
            let changed = self.builds.inner.changed.notified();
            if self.with_ledger(|ledger| ledger.is_suspect(self.place).then_some(())).is_some() {
                return;
            }
            changed.await;
        }
    }

    /// What the engine keeps says that this build made so much.
    pub fn proved(&self, bytes: u64) {
        self.with_ledger(|ledger| {
            ledger.prove(self.place, bytes);
            None::<()>
        });
        self.builds.inner.changed.notify_waiters();
    }

    /// Whether no other build ran since this one began.
    pub fn was_alone(&self) -> bool {
        self.with_ledger(|ledger| ledger.was_alone(self.place).then_some(())).is_some()
    }

    fn with_ledger<T>(&self, ask: impl FnOnce(&mut Ledger) -> Option<T>) -> Option<T> {
        self.builds.state().ledger.as_mut().and_then(ask)
    }

    /// Ends when a step is seen beyond its limits, if it can only be this build's.
    pub async fn exceeded(&self) -> Excess {
        loop {
            let changed = self.builds.inner.changed.notified();
            {
                let state = self.builds.state();
                if let (1, Some((at, excess))) = (state.running, state.excess)
                    && at > self.since
                {
                    return excess;
                }
            }
            changed.await;
        }
    }

    /// Why the build failed with `why`, if that was its limits.
    pub fn reason(&self, why: &str) -> Option<Excess> {
        let state = self.builds.state();
        let was_killed = why.contains("exit code 137");
        let is_of_now = |at: Instant| at > self.since && at.elapsed() < RECENT;
        match (state.excess, state.near) {
            (Some((at, excess)), _) if is_of_now(at) && (was_killed || state.running == 1) => Some(excess),
            (_, Some(at)) if is_of_now(at) && was_killed => Some(Excess::Memory),
            // Between two looks a step can take everything and be ended by the kernel.
            _ if was_killed && state.is_held == Some(true) => Some(Excess::Memory),
            _ => None,
        }
    }

    /// One sentence, and what is known of the step.
    pub fn failure(&self, excess: Excess, detail: Option<&str>) -> Error {
        let BuildLimits { memory_bytes, pids, .. } = self.builds.limits();
        let what = match excess {
            Excess::Memory => format!("the build used more than its {} MiB of memory", memory_bytes >> 20),
            Excess::Processes => format!("the build started more than its {pids} processes"),
        };
        Error::invalid(
            "build",
            match detail {
                Some(detail) => format!("{what} ([builds] in the configuration sets the limit): {detail}"),
                None => format!("{what} ([builds] in the configuration sets the limit)"),
            },
        )
    }
}

impl Drop for BuildPermit {
    fn drop(&mut self) {
        let mut state = self.builds.state();
        state.running -= 1;
        state.look_at_disk();
        if let Some(ledger) = &mut state.ledger {
            ledger.leave(self.place);
        }
        if let (0, Some(flag)) = (state.running, &self.builds.inner.flag) {
            let _ = fs::remove_file(flag);
        }
        drop(state);
        self.builds.inner.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builds(runtime: Option<&Path>) -> Builds {
        Builds::new(
            BuildLimits {
                memory_bytes: 1 << 30,
                pids: 100,
                cpu_weight: 25,
            },
            runtime,
        )
    }

    #[tokio::test]
    async fn the_first_build_enters_at_once_and_the_next_waits_for_it() {
        let builds = builds(None);
        let first = builds.enter(async |_| panic!("nothing runs")).await;
        // As long as nobody knows whether the kernel holds them.
        let (told, mut said) = tokio::sync::mpsc::channel(1);
        let theirs = builds.clone();
        let second = tokio::spawn(async move { theirs.enter(async |words| told.send(words).await.expect("somebody listens")).await });
        let words = said.recv().await.expect("it says that it waits");
        assert!(words.starts_with("waiting: another build runs"), "{words}");
        drop(first);
        let _second = second.await.expect("it enters");
    }

    #[tokio::test]
    async fn builds_run_side_by_side_where_the_kernel_holds_them() {
        let builds = builds(None);
        let _first = builds.enter(async |_| ()).await;
        builds.state().is_held = Some(true);
        assert!(builds.admit(512 << 20).is_none(), "too little is free");
        assert!(builds.admit(2 << 30).is_some());
    }

    #[tokio::test]
    async fn what_went_wrong_is_told_of_the_right_build() {
        let builds = builds(None);
        let permit = builds.enter(async |_| ()).await;
        assert_eq!(permit.reason("`RUN x` failed with exit code 137"), None);
        builds.state().is_held = Some(true);
        assert_eq!(permit.reason("`RUN x` failed with exit code 137"), Some(Excess::Memory));
        builds.state().is_held = Some(false);
        builds.state().near = Some(Instant::now());
        assert_eq!(permit.reason("`RUN x` failed with exit code 2"), None);
        assert_eq!(permit.reason("`RUN x` failed with exit code 137"), Some(Excess::Memory));
        builds.state().excess = Some((Instant::now(), Excess::Processes));
        assert_eq!(permit.exceeded().await, Excess::Processes);
        assert_eq!(permit.reason("`RUN x` failed with exit code 2"), Some(Excess::Processes));
        builds.state().running = 2;
        assert_eq!(permit.reason("`RUN x` failed with exit code 2"), None);
        builds.state().running = 1;
        let error = permit.failure(Excess::Memory, Some("`RUN x` failed"));
        assert!(
            error.to_string().contains("the build used more than its 1024 MiB of memory"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_the_disk_loses_is_put_down_to_the_build() {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        // The disk is shared with whatever runs beside this test: more than that writes.
        let disk = BuildDisk {
            most_bytes: 1 << 60,
            reserve_bytes: u64::MAX,
        };
        let builds = Builds::bounded(builds(None).limits(), Some(disk), None);
        let permit = builds.enter(async |_| ()).await;
        let blind = tokio::time::timeout(LOOK_AT_DISK_EVERY * 3, permit.outgrew_disk()).await;
        assert!(blind.is_err(), "nobody said where to look: {blind:?}");
        permit.watch_disk(vec![folder.path().to_owned()]);
        let DiskExcess::Reserve { left_bytes, others: 0, .. } = permit.outgrew_disk().await else {
            panic!("no disk has that much left");
        };
        assert!(left_bytes > 0 && permit.was_alone());
    }

    #[tokio::test]
    async fn the_helper_is_told_and_ends() {
        let runtime = tempfile::tempdir().expect("there is a temporary folder");
        let builds = builds(Some(runtime.path()));
        let permit = builds.enter(async |_| ()).await;
        let flag = runtime.path().join(FLAG);
        assert_eq!(limits_of(&fs::read_to_string(&flag).expect("it is there")), Some(builds.limits()));
        let folder = runtime.path().to_owned();
        let helper = tokio::task::spawn_blocking(move || hold_builds(&folder));
        drop(permit);
        assert!(!flag.exists());
        helper.await.expect("it does not panic").expect("it ends well");
    }

    #[test]
    fn the_helper_reads_what_it_is_given_or_nothing() {
        for text in ["", "1 2", "1 2 3", "1 2 3 4\n", "x 2 3\n", "-1 2 3\n"] {
            assert_eq!(limits_of(text), None, "{text:?}");
        }
        assert!(limits_of("1073741824 4096 25\n").is_some());
    }
}
