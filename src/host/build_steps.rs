//! The running steps of builds, as the kernel sees them: where their control groups are, and what they may use.
//!
//! The engine's `POST /build` takes no limits for BuildKit (moby/moby#45796, moby/buildkit#593), but BuildKit runs each
//! step in a control group of its own, named after an id of 25 letters and digits:
//!
//! - cgroupfs driver: `docker/buildkit/ID`
//! - systemd driver: `system.slice/system.slice:docker:ID`; `docker-ID.scope` where runc is told to ask systemd
//!
//! Both in the one hierarchy of version 2 and below each controller of version 1. The engine's own containers have ids of
//! 64 hex digits, so they are never taken for a step.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use types::BuildLimits;

const ROOT: &str = "/sys/fs/cgroup";
/// `user.slice/user-1000.slice/user@1000.service/user.slice/…` is as deep as an engine lies.
const DEPTH: usize = 6;
const ID_LENGTH: usize = 25;
/// Where most engines have them.
const USUAL: [&str; 2] = ["system.slice", "docker/buildkit"];
const WALK_EVERY: Duration = Duration::from_secs(1);
/// Of memory that is taken up to the limit, this share may be seen late: the look at a step is not continuous.
const NEARLY: f64 = 0.9;

/// Control groups of one kernel: version 2 has one tree, version 1 one for each controller.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    is_v2: bool,
}

/// A step that runs now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BuildStep {
    /// From the root of the tree (of each controller's).
    path: PathBuf,
}

/// What was seen of a step. What cannot be read counts as nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepUse {
    /// Its programs' own memory, without what the kernel keeps of files.
    pub memory_bytes: u64,
    /// The most it ever had, with files: near the limit it may have been killed before it was looked at again.
    pub memory_peak_bytes: u64,
    /// What it may have; `None` without a limit.
    pub memory_limit_bytes: Option<u64>,
    pub pids: u64,
    /// The kernel killed a process because the limit was reached.
    pub was_killed: bool,
    /// The kernel refused a new process because of the limit.
    pub was_refused: bool,
}

/// How a step went beyond its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    Memory,
    Processes,
}

impl Tree {
    pub fn of_machine() -> Tree {
        Tree::at(ROOT.into())
    }

    fn at(root: PathBuf) -> Tree {
        let is_v2 = root.join("cgroup.controllers").exists();
        Tree { root, is_v2 }
    }

    /// A controller's file of a step.
    fn file(&self, path: &Path, controller: &str, name: &str) -> PathBuf {
        match self.is_v2 {
            true => self.root.join(path).join(name),
            false => self.root.join(controller).join(path).join(name),
        }
    }

    /// Those of all builds of all engines on this machine.
    pub fn steps(&self) -> Vec<BuildStep> {
        let mut found = Vec::new();
        walk(&self.top(), Path::new(""), DEPTH, &mut found);
        found
    }

    fn top(&self) -> PathBuf {
        match self.is_v2 {
            true => self.root.clone(),
            false => self.root.join("memory"),
        }
    }

    pub fn look(&self, step: &BuildStep) -> StepUse {
        let text = |controller: &str, name: &str| fs::read_to_string(self.file(&step.path, controller, name)).unwrap_or_default();
        let memory = |name: &str| text("memory", name);
        let (stat, events, peak, limit) = match self.is_v2 {
            true => ("memory.stat", "memory.events", "memory.peak", "memory.max"),
            false => (
                "memory.stat",
                "memory.oom_control",
                "memory.max_usage_in_bytes",
                "memory.limit_in_bytes",
            ),
        };
        let stat = memory(stat);
        let own = match self.is_v2 {
            true => field(&stat, "anon") + field(&stat, "shmem"),
            false => field(&stat, "total_rss") + field(&stat, "total_shmem"),
        };
        StepUse {
            memory_bytes: own,
            memory_peak_bytes: number(&memory(peak)).unwrap_or(own),
            // Version 1 has no word for "no limit", only a number of bytes that no machine has.
            memory_limit_bytes: number(&memory(limit)).filter(|bytes| *bytes < 1 << 60),
            pids: number(&text("pids", "pids.current")).unwrap_or(0),
            was_killed: field(&memory(events), "oom_kill") > 0,
            was_refused: field(&text("pids", "pids.events"), "max") > 0,
        }
    }

    /// Holds a step to `limits`. Needs the right to write there, which is root's. Fails when memory stays without a limit.
    pub fn hold(&self, step: &BuildStep, limits: &BuildLimits) -> io::Result<()> {
        let write = |controller: &str, name: &str, value: u64| fs::write(self.file(&step.path, controller, name), value.to_string());
        let share = u64::from(limits.cpu_weight);
        // What not every kernel has is no reason to fail.
        let _ = write("pids", "pids.max", limits.pids.into());
        if self.is_v2 {
            let _ = write("memory", "memory.oom.group", 1);
            let _ = write("memory", "memory.swap.max", 0);
            let _ = write("cpu", "cpu.weight", share);
            write("memory", "memory.max", limits.memory_bytes)?;
        } else {
            let _ = write("cpu", "cpu.shares", share * 1024 / 100);
            write("memory", "memory.limit_in_bytes", limits.memory_bytes)?;
            // With swap counted; not every kernel does.
            let _ = write("memory", "memory.memsw.limit_in_bytes", limits.memory_bytes);
        }
        // The group in which an engine keeps all its steps stands beside the apps' own.
        if let Some(parent) = step.path.parent().filter(|parent| parent.ends_with("buildkit")) {
            let (name, value) = if self.is_v2 {
                ("cpu.weight", share)
            } else {
                ("cpu.shares", share * 1024 / 100)
            };
            let _ = fs::write(self.file(parent, "cpu", name), value.to_string());
        }
        Ok(())
    }

    /// Ends all its processes. Needs root's rights.
    pub fn kill(&self, step: &BuildStep) -> io::Result<()> {
        if self.is_v2 && fs::write(self.root.join(&step.path).join("cgroup.kill"), "1").is_ok() {
            return Ok(());
        }
        // Kernels before 5.14, and version 1: those it made meanwhile are met the next time.
        let pids = fs::read_to_string(self.file(&step.path, "pids", "cgroup.procs"))?;
        for pid in pids
            .lines()
            .filter_map(|pid| pid.parse().ok())
            .filter_map(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        Ok(())
    }
}

/// Finds steps often: where steps were before it looks each time, everywhere now and then.
pub struct Finder {
    tree: Tree,
    places: BTreeSet<PathBuf>,
    walked_at: Option<Instant>,
}

impl Finder {
    pub fn new(tree: Tree) -> Finder {
        Finder {
            tree,
            places: USUAL.iter().map(PathBuf::from).collect(),
            walked_at: None,
        }
    }

    pub fn steps(&mut self) -> Vec<BuildStep> {
        if self.walked_at.is_none_or(|at| at.elapsed() > WALK_EVERY) {
            self.walked_at = Some(Instant::now());
            let found = self.tree.steps();
            self.places
                .extend(found.iter().filter_map(|step| step.path.parent()).map(Path::to_owned));
            return found;
        }
        let (top, mut found) = (self.tree.top(), Vec::new());
        for place in &self.places {
            walk(&top, place, 1, &mut found);
        }
        found
    }
}

impl StepUse {
    /// Whether it is held by the kernel, so that it cannot take more.
    pub fn is_held(&self, limits: &BuildLimits) -> bool {
        self.memory_limit_bytes.is_some_and(|bytes| bytes <= limits.memory_bytes)
    }
    pub fn excess(&self, limits: &BuildLimits) -> Option<Excess> {
        if self.was_killed || self.memory_bytes > limits.memory_bytes {
            Some(Excess::Memory)
        } else if self.was_refused || self.pids > limits.pids.into() {
            Some(Excess::Processes)
        } else {
            None
        }
    }
    /// If it is killed now, this is why.
    pub fn is_near(&self, limits: &BuildLimits) -> bool {
        self.memory_peak_bytes as f64 > limits.memory_bytes as f64 * NEARLY
    }
}

fn walk(top: &Path, path: &Path, depth: usize, found: &mut Vec<BuildStep>) {
    let Ok(entries) = fs::read_dir(top.join(path)) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let below = path.join(name);
        if is_step(path, name) {
            found.push(BuildStep { path: below });
        } else if depth > 1 && !is_container(name) {
            walk(top, &below, depth - 1, found);
        }
    }
}

fn is_step(parent: &Path, name: &str) -> bool {
    let is_id = |id: &str| id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match (
        name.rsplit_once(':'),
        name.strip_prefix("docker-").and_then(|name| name.strip_suffix(".scope")),
    ) {
        (Some((_, id)), _) => is_id(id),
        (None, Some(id)) => is_id(id),
        (None, None) => parent.ends_with("buildkit") && is_id(name),
    }
}

/// Nothing of the engine's is below a container.
fn is_container(name: &str) -> bool {
    let id = name.trim_start_matches("docker-").trim_end_matches(".scope");
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number after `name` in lines of `name number`.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(number)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "epjrphb6swbwqi8n9mqahf3si";

    #[test]
    fn steps_are_told_from_containers() {
        let container = "d9139c5c062d2c95f35f5d661ff2f2c52cc70d8560122d518494c9f7852f081f";
        for (parent, name, expected) in [
            ("docker/buildkit", ID.to_owned(), true),
            ("docker", ID.to_owned(), false),
            ("system.slice", format!("system.slice:docker:{ID}"), true),
            ("system.slice", format!("docker-{ID}.scope"), true),
            ("system.slice", format!("docker-{container}.scope"), false),
            ("docker", container.to_owned(), false),
            ("system.slice", "docker.service".to_owned(), false),
            ("docker", "buildkit".to_owned(), false),
        ] {
            assert_eq!(is_step(Path::new(parent), &name), expected, "{parent}/{name}");
        }
        assert!(is_container(container) && is_container(&format!("docker-{container}.scope")) && !is_container(ID));
    }

    fn limits() -> BuildLimits {
        BuildLimits {
            memory_bytes: 512 << 20,
            pids: 100,
            cpu_weight: 20,
        }
    }

    fn made(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().expect("there is a temporary folder");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it is writable");
            fs::write(path, text).expect("it is writable");
        }
        let tree = Tree::at(dir.path().to_owned());
        (dir, tree)
    }

    #[test]
    fn version_2() {
        let group = format!("system.slice/system.slice:docker:{ID}");
        let (dir, tree) = made(&[
            ("cgroup.controllers", "cpu memory pids"),
            (&format!("{group}/memory.stat"), "anon 700\nfile 9000\nshmem 5\n"),
            (
                &format!("{group}/memory.events"),
                "low 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n",
            ),
            (&format!("{group}/memory.max"), "max\n"),
            (&format!("{group}/pids.current"), "7\n"),
            (&format!("{group}/pids.events"), "max 0\n"),
        ]);
        let [step] = tree.steps().try_into().expect("there is one");
        let seen = tree.look(&step);
        assert_eq!((seen.memory_bytes, seen.pids, seen.memory_limit_bytes), (705, 7, None));
        assert_eq!((seen.excess(&limits()), seen.is_held(&limits())), (None, false));
        tree.hold(&step, &limits()).expect("it is writable");
        assert!(tree.look(&step).is_held(&limits()));
        let read = |name: &str| fs::read_to_string(dir.path().join(&group).join(name)).expect("it was written");
        assert_eq!((read("pids.max").as_str(), read("cpu.weight").as_str()), ("100", "20"));
        assert_eq!((read("memory.oom.group").as_str(), read("memory.swap.max").as_str()), ("1", "0"));
        fs::write(dir.path().join(&group).join("memory.events"), "oom_kill 3\n").expect("it is writable");
        assert_eq!(tree.look(&step).excess(&limits()), Some(Excess::Memory));
    }

    #[test]
    fn version_1() {
        let group = format!("docker/buildkit/{ID}");
        let (dir, tree) = made(&[
            (
                &format!("memory/{group}/memory.stat"),
                "rss 1\ntotal_rss 600000000\ntotal_shmem 0\n",
            ),
            (
                &format!("memory/{group}/memory.oom_control"),
                "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
            ),
            (&format!("memory/{group}/memory.limit_in_bytes"), "9223372036854771712\n"),
            (&format!("memory/{group}/memory.max_usage_in_bytes"), "600000000\n"),
            (&format!("pids/{group}/pids.events"), "max 4\n"),
            (&format!("cpu/{group}/cpu.shares"), "1024\n"),
        ]);
        let [step] = tree.steps().try_into().expect("there is one");
        let seen = tree.look(&step);
        // It has no limit yet, and more than it should.
        assert_eq!((seen.memory_limit_bytes, seen.excess(&limits())), (None, Some(Excess::Memory)));
        assert!(seen.was_refused && seen.is_near(&limits()));
        tree.hold(&step, &limits()).expect("it is writable");
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).expect("it was written");
        assert_eq!(read(&format!("cpu/{group}/cpu.shares")), "204");
        assert_eq!(read("cpu/docker/buildkit/cpu.shares"), "204");
        assert_eq!(read(&format!("memory/{group}/memory.limit_in_bytes")), "536870912");
    }

    #[test]
    fn steps_are_found_in_unusual_places_too() {
        let (dir, tree) = made(&[("cgroup.controllers", ""), (&format!("a.slice/x:docker:{ID}/memory.max"), "max")]);
        let mut finder = Finder::new(tree);
        assert_eq!(finder.steps().len(), 1);
        // Without a walk: where one was before, and where they usually are.
        for place in ["a.slice", "docker/buildkit"] {
            fs::create_dir_all(
                dir.path()
                    .join(place)
                    .join(ID.replace("ep", if place == "a.slice" { "x:ep" } else { "zz" })),
            )
            .expect("it is writable");
        }
        assert_eq!(finder.steps().len(), 3);
    }

    #[test]
    fn a_machine_without_groups_has_no_steps() {
        let (_dir, tree) = made(&[]);
        assert_eq!(tree.steps(), []);
        let step = BuildStep { path: "x".into() };
        assert_eq!(tree.look(&step), StepUse::default());
        assert!(tree.hold(&step, &limits()).is_err());
    }
}
