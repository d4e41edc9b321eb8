//! Facts of the machine, and samples of what it uses.

use crate::interfaces;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use types::{Doing, Error, MachineFacts, MachineSample, Result, Time, World};

/// Between the two readings of the first sample.
const FIRST_SPAN: Duration = Duration::from_millis(100);

/// The machine this runs on. Clones share what the last sample saw.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    data: PathBuf,
    world: World,
    earlier: Mutex<Option<Counters>>,
}

/// What only grows.
#[derive(Debug, Clone, Copy)]
struct Counters {
    at: Instant,
    cpu_busy: u64,
    cpu_total: u64,
    net_in: u64,
    net_out: u64,
}

impl Host {
    /// `data` lies on the disk that matters.
    pub fn new(data: PathBuf, world: World) -> Host {
        let inner = Inner {
            data,
            world,
            earlier: Mutex::new(None),
        };
        Host { inner: Arc::new(inner) }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.inner.data
    }

    pub(crate) fn world(&self) -> &World {
        &self.inner.world
    }

    pub fn now(&self) -> Time {
        self.inner.world.now()
    }

    pub fn facts(&self) -> MachineFacts {
        let system = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        MachineFacts {
            hostname: text(system.nodename()),
            os: os_name(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
            kernel: text(system.release()),
            architecture: text(system.machine()),
            cores: cores(),
            memory_bytes: read("/proc/meminfo").map(|text| kib(&text, "MemTotal")).unwrap_or(0),
        }
    }

    /// Addresses of its interfaces, without loopback, link-local ones and those of bridges and containers.
    pub fn addresses(&self) -> Vec<IpAddr> {
        interfaces::addresses()
    }

    /// Shares and rates are since the last call; the first call takes two readings 100 ms apart.
    pub async fn sample(&self) -> Result<MachineSample> {
        if self.earlier().is_none() {
            self.remember(counters()?);
            tokio::time::sleep(FIRST_SPAN).await;
        }
        let now = counters()?;
        let earlier = self.remember(now).unwrap_or(now);
        let memory = read("/proc/meminfo")?;
        let (disk_used_bytes, disk_total_bytes) = disk(self.data())?;
        let rate = |pick: fn(&Counters) -> u64| per_second(pick(&earlier), pick(&now), now.at - earlier.at);
        Ok(MachineSample {
            cpu: share(
                now.cpu_busy.saturating_sub(earlier.cpu_busy),
                now.cpu_total.saturating_sub(earlier.cpu_total),
            ),
            cores: cores(),
            load_1m: first_number(&read("/proc/loadavg")?),
            memory_used_bytes: kib(&memory, "MemTotal").saturating_sub(kib(&memory, "MemAvailable")),
            memory_total_bytes: kib(&memory, "MemTotal"),
            swap_used_bytes: kib(&memory, "SwapTotal").saturating_sub(kib(&memory, "SwapFree")),
            swap_total_bytes: kib(&memory, "SwapTotal"),
            disk_used_bytes,
            disk_total_bytes,
            net_in_per_second: rate(|counters| counters.net_in),
            net_out_per_second: rate(|counters| counters.net_out),
            panel_memory_bytes: kib(&read("/proc/self/status")?, "VmRSS"),
            uptime_seconds: first_number(&read("/proc/uptime")?) as u64,
        })
    }

    fn earlier(&self) -> Option<Counters> {
        *self.inner.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, now: Counters) -> Option<Counters> {
        self.inner.earlier.lock().unwrap_or_else(PoisonError::into_inner).replace(now)
    }
}

pub(crate) fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).doing(format!("reading {path}"))
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

fn counters() -> Result<Counters> {
    let (cpu_busy, cpu_total) = cpu_times(&read("/proc/stat")?)?;
    let (net_in, net_out) = interfaces::traffic(&read("/proc/net/dev")?);
    Ok(Counters {
        at: Instant::now(),
        cpu_busy,
        cpu_total,
        net_in,
        net_out,
    })
}

/// Busy and all ticks of all cores. Guest time is part of user time already (proc(5)), waiting for a disk is idleness.
fn cpu_times(stat: &str) -> Result<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Vec<u64> = line
        .unwrap_or_default()
        .split_whitespace()
        .take(8)
        .filter_map(|tick| tick.parse().ok())
        .collect();
    if ticks.len() < 5 {
        return Err(Error::internal("reading /proc/stat", "it has no line `cpu`"));
    }
    let total: u64 = ticks.iter().sum();
    Ok((total - ticks[3] - ticks[4], total))
}

/// `MemTotal:  1024 kB` in bytes; 0 when the line is missing.
pub(crate) fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        << 10
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// 0 when the counter went back, as it does when an interface goes.
fn per_second(earlier: u64, later: u64, span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    if seconds > 0.0 {
        later.saturating_sub(earlier) as f64 / seconds
    } else {
        0.0
    }
}

/// All bytes of the file system that holds `path`.
pub fn disk_bytes(path: &Path) -> Result<u64> {
    disk(path).map(|(_, total)| total)
}

/// Used and all bytes of the file system that holds `path`. What is kept for root counts as used: apps cannot have it.
pub(crate) fn disk(path: &Path) -> Result<(u64, u64)> {
    // The data folder may not exist yet; what is above it lies on the same disk.
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let found = rustix::fs::statvfs(there).doing(format!("asking for the disk of {}", path.display()))?;
    let total = found.f_blocks * found.f_frsize;
    Ok((total.saturating_sub(found.f_bavail * found.f_frsize), total))
}

fn os_name(release: &str) -> String {
    let value = |key: &str| release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value("PRETTY_NAME")
        .or(value("NAME"))
        .unwrap_or("Linux")
        .trim_matches('"')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "cpu  100 0 50 800 50 0 0 0 30 0\ncpu0 1 1 1 1\n";
        assert_eq!(cpu_times(stat).expect("it is right"), (150, 1000));
        assert!(cpu_times("intr 1").is_err());
        assert_eq!(kib("MemTotal:     2048 kB\nMemFree: 1 kB\n", "MemTotal"), 2 << 20);
        assert_eq!(kib("MemTotal: 1 kB\n", "Mem"), 0);
        assert_eq!(
            os_name("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
        assert_eq!(os_name(""), "Linux");
    }

    #[test]
    fn rates_do_not_go_below_zero() {
        assert_eq!(per_second(10, 30, Duration::from_secs(2)), 10.0);
        assert_eq!(per_second(30, 10, Duration::from_secs(2)), 0.0);
        assert_eq!(per_second(0, 10, Duration::ZERO), 0.0);
    }

    #[tokio::test]
    async fn a_sample_is_plausible() {
        let host = Host::new("/nonexistent/data".into(), World::system());
        let first = host.sample().await.expect("this is Linux");
        let second = host.sample().await.expect("this is Linux");
        for sample in [first, second] {
            assert!((0.0..=1.0).contains(&sample.cpu), "{sample:?}");
            assert!(
                sample.memory_used_bytes > 0 && sample.memory_used_bytes < sample.memory_total_bytes,
                "{sample:?}"
            );
            assert!(
                sample.disk_used_bytes > 0 && sample.disk_used_bytes <= sample.disk_total_bytes,
                "{sample:?}"
            );
            assert!(sample.panel_memory_bytes > 100_000 && sample.uptime_seconds > 0, "{sample:?}");
        }
        let facts = host.facts();
        assert!(
            facts.cores > 0 && facts.memory_bytes > 0 && !facts.hostname.is_empty() && !facts.os.is_empty(),
            "{facts:?}"
        );
    }
}
