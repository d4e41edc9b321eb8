//! The container engine of the tests: the one that `DOCKER_HOST` names, and private ones that a test may stop.

use crate::polling::eventually_ok;
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Where the tests' engine listens.
pub fn docker_host() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

/// Runs the `docker` command against an engine; the error is what it printed.
pub fn docker(host: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .env("DOCKER_HOST", host)
        .args(arguments)
        .output()
        .map_err(|error| format!("docker: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Removes all containers, networks, volumes and images with `label` (`key=value`), and the images named `images`.
pub(crate) fn remove_labelled(host: &str, label: &str) {
    let filter = format!("label={label}");
    for (list, remove) in [
        (&["ps", "-aq"][..], &["rm", "-fv"][..]),
        (&["network", "ls", "-q"], &["network", "rm"]),
        (&["volume", "ls", "-q"], &["volume", "rm", "-f"]),
        (&["images", "-aq"], &["rmi", "-f"]),
    ] {
        let found = docker(host, &[list, &["--filter", &filter]].concat()).unwrap_or_default();
        let mut ids: Vec<&str> = found.lines().collect();
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            // Something may be gone already; what is left shows in the next test run's `docker ps`.
            let _ = docker(host, &[remove, &ids].concat());
        }
    }
}

/// A `dockerd` of one test, with its own images, which the test may stop, freeze and start again.
/// It makes no firewall rules and has a bridge of its own, so it does not disturb another engine on the machine: without
/// a bridge it would even delete `docker0`.
pub struct PrivateEngine {
    folder: TempDir,
    bridge: String,
    process: Option<Child>,
}

impl PrivateEngine {
    /// Starts it and gives it `images` from the tests' engine. Needs root.
    pub async fn start(images: &[&str]) -> PrivateEngine {
        let (number, bridge) = bridge();
        let mut engine = PrivateEngine {
            folder: tempfile::Builder::new().prefix("sk-engine-").tempdir().expect("a temporary folder"),
            bridge,
            process: None,
        };
        let address = format!("172.30.{}.{}/28", number / 16, number % 16 * 16 + 1);
        ip(&["addr", "add", &address, "dev", &engine.bridge]);
        ip(&["link", "set", &engine.bridge, "up"]);
        engine.resume().await;
        if !images.is_empty() {
            engine.load(images);
        }
        engine
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it again after [`PrivateEngine::stop`].
    pub async fn resume(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("the log opens");
        let process = Command::new("dockerd")
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .arg("--host")
            .arg(self.host())
            .args(["--iptables=false", "--ip-masq=false", "--bridge", &self.bridge])
            .args([
                "--containerd-namespace",
                &self.bridge,
                "--containerd-plugins-namespace",
                &format!("{}-plugins", self.bridge),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .spawn()
            .expect("dockerd starts (Debian package docker.io)");
        self.process = Some(process);
        eventually_ok("the private engine answers", Duration::from_secs(60), || async {
            let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
            docker(&self.host(), &["version"]).map(drop).map_err(|_| log())
        })
        .await;
    }

    fn load(&self, images: &[&str]) {
        let mut save = Command::new("docker")
            .env("DOCKER_HOST", docker_host())
            .arg("save")
            .args(images)
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker save starts");
        let loaded = Command::new("docker")
            .env("DOCKER_HOST", self.host())
            .args(["load", "-q"])
            .stdin(save.stdout.take().expect("its output is a pipe"))
            .stdout(Stdio::null())
            .status()
            .expect("docker load starts");
        let saved = save.wait().expect("docker save ends");
        assert!(
            saved.success() && loaded.success(),
            "the test images {images:?} could not be copied: run tests/images/build.sh"
        );
    }

    /// Stops it as `systemctl stop docker` would: its containers stop too.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal(&process, rustix::process::Signal::TERM);
            wait_or_kill(&mut process, Duration::from_secs(40));
        }
    }

    /// Where it listens.
    pub fn socket(&self) -> String {
        self.path("docker.sock").display().to_string()
    }

    /// Makes it silent: it takes connections and answers nothing.
    pub fn freeze(&self) {
        signal(self.process.as_ref().expect("it runs"), rustix::process::Signal::STOP);
    }
    pub fn thaw(&self) {
        signal(self.process.as_ref().expect("it runs"), rustix::process::Signal::CONT);
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        let bridge = self.bridge.clone();
        let Some(process) = &self.process else {
            ip(&["link", "del", &bridge]);
            return;
        };
        signal(process, rustix::process::Signal::CONT);
        let all = docker(&self.host(), &["ps", "-aq"]).unwrap_or_default();
        let ids: Vec<&str> = all.lines().collect();
        if !ids.is_empty() {
            let _ = docker(&self.host(), &[&["rm", "-fv"][..], &ids].concat());
        }
        let networks = docker(&self.host(), &["network", "ls", "-q", "--filter", "type=custom"]).unwrap_or_default();
        for network in networks.lines() {
            let _ = docker(&self.host(), &["network", "rm", network]);
        }
        self.stop();
        ip(&["link", "del", &bridge]);
    }
}

/// A bridge that nobody else has, and its number: tests run in processes of their own, and one may have several engines.
fn bridge() -> (u32, String) {
    let begin = std::process::id();
    for number in (0..64).map(|more| (begin + more * 61) % 4096) {
        let name = format!("sk-engine-{number}");
        let made = Command::new("ip")
            .args(["link", "add", &name, "type", "bridge"])
            .stderr(Stdio::null())
            .status();
        if made.is_ok_and(|made| made.success()) {
            return (number, name);
        }
    }
    panic!("no bridge could be made: the private engine needs root");
}

/// Runs `ip`; what it cannot do shows when the engine does not start.
fn ip(arguments: &[&str]) {
    let _ = Command::new("ip").args(arguments).stderr(Stdio::null()).status();
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(process: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw);
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid.expect("a process has a positive id"), signal);
}

/// Waits for it to end; kills it after `limit`.
pub(crate) fn wait_or_kill(process: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Ok(Some(status)) = process.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn docker_a_private_engine_stops_and_starts() {
        let mut engine = PrivateEngine::start(&[]).await;
        let host = engine.host();
        assert_eq!(docker(&host, &["ps", "-q"]).as_deref(), Ok(""));
        engine.stop();
        assert!(docker(&host, &["ps", "-q"]).is_err());
        engine.resume().await;
        assert_eq!(docker(&host, &["ps", "-q"]).as_deref(), Ok(""));
    }
}
