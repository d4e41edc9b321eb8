//! What a doctor would say of this machine: each finding with its remedy.

use crate::{
    Host, clock,
    machine::{disk, kib, read},
    names,
    ports::{Holder, holder},
};
use std::{os::unix::fs::MetadataExt, path::Path};
use types::{EngineStatus, Finding, FindingLevel};

/// Says `Y` where the kernel confines programs by AppArmor, as Debian's and Ubuntu's do.
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";
/// Where the engine keeps images, if it is the usual one.
const ENGINE_DATA: &str = "/var/lib/docker";
const GIB: u64 = 1 << 30;

impl Host {
    /// Everything there is to say. `ports` should be free or this process's own; `authority` is the host that certificates
    /// come from, if it has a name. Takes 3 s at most.
    pub async fn doctor(&self, engine: &EngineStatus, ports: &[u16], authority: Option<&str>) -> Vec<Finding> {
        let names = async {
            match authority {
                Some(name) => Some(names::finding(name).await),
                None => None,
            }
        };
        let (clock, names) = tokio::join!(clock::finding(self.world().now()), names);
        let mut findings = vec![engine_finding(engine)];
        findings.extend(apparmor(
            std::fs::read_to_string(APPARMOR).is_ok_and(|text| text.starts_with('Y')),
            ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser", "/usr/bin/apparmor_parser"]
                .iter()
                .any(|path| Path::new(path).exists()),
        ));
        findings.extend(ports.iter().map(|port| port_finding(*port, holder(*port), std::process::id())));
        findings.extend(self.disks());
        findings.extend([memory(), clock]);
        findings.extend(names);
        findings
    }

    /// The panel's disk, and the engine's if that is another one.
    fn disks(&self) -> Vec<Finding> {
        let device = |path: &Path| path.ancestors().find_map(|path| path.metadata().ok()).map(|found| found.dev());
        let mut folders = vec![self.data()];
        let engine = Path::new(ENGINE_DATA);
        if engine.exists() && device(engine) != device(self.data()) {
            folders.push(engine);
        }
        folders
            .into_iter()
            .map(|folder| match disk(folder) {
                Ok((used, total)) => disk_finding(folder, total.saturating_sub(used), total),
                Err(error) => finding("disk", FindingLevel::Warning, types::report(&error), "df -h"),
            })
            .collect()
    }
}

fn finding(check: &'static str, level: FindingLevel, summary: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding {
        check,
        level,
        summary: summary.into(),
        fix: fix.into(),
    }
}

fn engine_finding(engine: &EngineStatus) -> Finding {
    match engine {
        EngineStatus::Up { version, api_version } => finding(
            "engine",
            FindingLevel::Ok,
            format!("Docker {version} answers (API {api_version})"),
            "",
        ),
        EngineStatus::Down { why, fix } => finding("engine", FindingLevel::Problem, why, fix),
    }
}

/// Docker starts no container where AppArmor is on and its tools are missing; Debian's package only recommends them.
fn apparmor(is_on: bool, has_tools: bool) -> Option<Finding> {
    (is_on && !has_tools).then(|| {
        finding(
            "engine",
            FindingLevel::Problem,
            "AppArmor is on, but its tools are not installed: Docker starts no container",
            "apt-get install -y apparmor && systemctl restart docker",
        )
    })
}

fn port_finding(port: u16, holder: Option<Holder>, own: u32) -> Finding {
    let Some(holder) = holder else {
        return finding("ports", FindingLevel::Ok, format!("port {port} is free"), "");
    };
    match holder.pid {
        Some(pid) if pid == own => finding("ports", FindingLevel::Ok, format!("port {port} is served by serverkit"), ""),
        Some(pid) => {
            let fix = match holder.name.as_str() {
                "nginx" | "apache2" | "httpd" | "caddy" | "haproxy" | "lighttpd" | "traefik" => {
                    format!("systemctl disable --now {}", holder.name)
                }
                "docker-proxy" => format!("docker ps --filter publish={port}, then stop that container or publish another port"),
                _ => format!("kill {pid}, or let it listen on another port"),
            };
            let summary = format!("port {port} is taken by {} (pid {pid})", holder.name);
            finding("ports", FindingLevel::Problem, summary, fix)
        }
        None => {
            let fix = format!("ss -ltnp 'sport = :{port}' as root shows by which");
            finding(
                "ports",
                FindingLevel::Problem,
                format!("port {port} is taken by {}", holder.name),
                fix,
            )
        }
    }
}

fn disk_finding(folder: &Path, free: u64, total: u64) -> Finding {
    let summary = format!("{} of {} free on the disk of {}", size(free), size(total), folder.display());
    // docker builder prune takes the build cache only, never data.
    let fix = "docker builder prune --force frees the build cache; du -xh --max-depth=2 / | sort -h | tail shows the rest";
    match (free, total) {
        _ if free < GIB / 2 || free < total / 50 => finding("disk", FindingLevel::Problem, format!("only {summary}"), fix),
        _ if free < 2 * GIB || free < total / 10 => finding("disk", FindingLevel::Warning, format!("only {summary}"), fix),
        _ => finding("disk", FindingLevel::Ok, summary, ""),
    }
}

fn memory() -> Finding {
    match read("/proc/meminfo") {
        Ok(text) => memory_finding(kib(&text, "MemAvailable"), kib(&text, "MemTotal"), kib(&text, "SwapTotal")),
        Err(error) => finding("memory", FindingLevel::Warning, types::report(&error), ""),
    }
}

fn memory_finding(available: u64, total: u64, swap: u64) -> Finding {
    let summary = format!("{} of {} of memory available", size(available), size(total));
    let add_swap = "fallocate -l 2G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile";
    let free_some = "give apps less, stop one, or take a larger machine";
    match available {
        _ if available < 100 << 20 => finding(
            "memory",
            FindingLevel::Problem,
            format!("only {summary}"),
            if swap == 0 { add_swap } else { free_some },
        ),
        _ if available < total / 10 => finding(
            "memory",
            FindingLevel::Warning,
            format!("only {summary}"),
            if swap == 0 { add_swap } else { free_some },
        ),
        _ if total < GIB && swap == 0 => finding(
            "memory",
            FindingLevel::Warning,
            format!("{summary}, and no swap: large builds will fail"),
            add_swap,
        ),
        _ => finding("memory", FindingLevel::Ok, summary, ""),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes < GIB => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / GIB as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::World;

    #[test]
    fn disks_are_judged() {
        let level = |free, total| disk_finding(Path::new("/data"), free, total).level;
        assert_eq!(level(50 * GIB, 100 * GIB), FindingLevel::Ok);
        assert_eq!(level(9 * GIB, 100 * GIB), FindingLevel::Warning);
        assert_eq!(level(GIB, 5 * GIB), FindingLevel::Warning);
        assert_eq!(level(GIB / 4, 5 * GIB), FindingLevel::Problem);
        let finding = disk_finding(Path::new("/data"), GIB, 5 * GIB);
        assert_eq!(finding.summary, "only 1.0 GiB of 5.0 GiB free on the disk of /data");
    }

    #[test]
    fn holders_are_named() {
        let holder = |name: &str| {
            Some(Holder {
                pid: Some(12),
                name: name.into(),
            })
        };
        assert_eq!(port_finding(80, None, 1).level, FindingLevel::Ok);
        assert_eq!(port_finding(80, holder("serverkit"), 12).level, FindingLevel::Ok);
        let taken = port_finding(80, holder("nginx"), 1);
        assert_eq!(taken.summary, "port 80 is taken by nginx (pid 12)");
        assert_eq!(taken.fix, "systemctl disable --now nginx");
    }

    #[test]
    fn apparmor_without_its_tools_is_a_problem() {
        let fix = apparmor(true, false).map(|finding| finding.fix).unwrap_or_default();
        assert!(fix.starts_with("apt-get install -y apparmor"), "{fix}");
        assert_eq!((apparmor(true, true), apparmor(false, false)), (None, None));
    }

    #[test]
    fn memory_is_judged() {
        let level = |available, total, swap| memory_finding(available, total, swap).level;
        assert_eq!(level(GIB, 2 * GIB, 0), FindingLevel::Ok);
        assert_eq!(level(400 << 20, GIB - 1, 0), FindingLevel::Warning);
        assert_eq!(level(150 << 20, 2 * GIB, GIB), FindingLevel::Warning);
        assert_eq!(level(50 << 20, 2 * GIB, GIB), FindingLevel::Problem);
    }

    #[tokio::test]
    async fn every_check_reports() {
        let host = Host::new("/nonexistent".into(), World::system());
        let engine = EngineStatus::Down {
            why: "Docker is not installed".into(),
            fix: "apt-get install -y docker.io".into(),
        };
        let findings = host.doctor(&engine, &[1], Some("localhost")).await;
        let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
        for check in ["engine", "ports", "disk", "memory", "clock", "dns"] {
            assert!(checks.contains(&check), "{checks:?}");
        }
        for finding in findings {
            assert_eq!(finding.fix.is_empty(), finding.level == FindingLevel::Ok, "{finding:?}");
        }
    }
}
