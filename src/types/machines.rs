//! What a server says of itself.

use crate::{NodeId, Time};
use serde::{Deserialize, Serialize};

/// A server. The panel's own is one like any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    pub id: NodeId,
    pub name: String,
    /// The panel's own machine.
    pub local: bool,
    pub created_at: Time,
}

/// One look at a machine. Sources: `/proc/stat`, `/proc/meminfo`, `/proc/net/dev`, `/proc/loadavg`, `statvfs(3)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MachineSample {
    /// Share of all cores since the last sample, 0.0 to 1.0.
    pub cpu: f64,
    pub cores: u32,
    pub load_1m: f64,
    pub memory_used_bytes: u64,
    pub memory_total_bytes: u64,
    pub swap_used_bytes: u64,
    pub swap_total_bytes: u64,
    /// Of the file system that holds the panel's data.
    pub disk_used_bytes: u64,
    pub disk_total_bytes: u64,
    /// Bytes a second since the last sample, over all interfaces but loopback and bridges.
    pub net_in_per_second: f64,
    pub net_out_per_second: f64,
    /// Of this process.
    pub panel_memory_bytes: u64,
    pub uptime_seconds: u64,
}

/// What does not change while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MachineFacts {
    pub hostname: String,
    pub os: String,
    pub kernel: String,
    pub architecture: String,
    pub cores: u32,
    pub memory_bytes: u64,
}

/// One finding of `serverkit doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `engine`, `ports`, `disk`, `clock`, `dns`, `memory`, `state`.
    pub check: &'static str,
    pub level: FindingLevel,
    /// What was found, one sentence.
    pub summary: String,
    /// What to do, as words or a command; empty when all is well.
    pub fix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    Ok,
    Warning,
    Problem,
}

/// What a whole build may take of the disk on which the engine keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildDisk {
    pub most_bytes: u64,
    /// What stays free for the apps, whoever took the rest.
    pub reserve_bytes: u64,
}

impl BuildDisk {
    /// What is usual on a disk of this size: a quarter of it, between 4 and 64 GiB; 512 MiB stay, of small disks a part.
    pub fn usual(disk_bytes: u64) -> BuildDisk {
        BuildDisk {
            most_bytes: (disk_bytes / 4).clamp(4 << 30, 64 << 30),
            reserve_bytes: (512 << 20).min(disk_bytes / 40),
        }
    }
}

/// What each step of a build may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLimits {
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Its share of the cores when all are busy; an app has 100.
    pub cpu_weight: u32,
}

impl BuildLimits {
    pub const PIDS: u32 = 4096;
    pub const CPU_WEIGHT: u32 = 25;

    /// What is usual on a machine with so much memory: half of it, between 256 MiB and 8 GiB.
    pub fn usual(machine_bytes: u64) -> BuildLimits {
        BuildLimits {
            memory_bytes: (machine_bytes / 2).clamp(256 << 20, 8 << 30),
            pids: BuildLimits::PIDS,
            cpu_weight: BuildLimits::CPU_WEIGHT,
        }
    }
}
