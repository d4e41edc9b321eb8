//! What the tests on a real engine share: a world of their own that goes away with the test, and polling.

use crate::connect::Docker;
use futures::TryStreamExt;
use ipnet::IpNet;
use std::{future::Future, path::PathBuf, process::Command, time::Duration};
use tokio::{
    io::AsyncReadExt,
    net::UnixListener,
    task::{JoinHandle, JoinSet},
};
use types::{Container, ContainerSpec, ExecSpec, Limits, LogLine, LogQuery, NetworkSpec, Owner};

pub fn docker() -> Docker {
    Docker::connect(types::World::system()).expect("DOCKER_HOST is right")
}

/// A network, and whatever is put on it.
pub struct World {
    pub docker: Docker,
    pub name: String,
    pub subnet: IpNet,
    pub network: NetworkSpec,
}

impl World {
    pub async fn new(about: &str) -> World {
        let world = types::World::system();
        let docker = docker();
        let name = format!("serverkit-test-{about}-{}", world.word(6));
        for _ in 0..100 {
            let [high, low] = world.bytes::<2>();
            let subnet = format!("10.213.{high}.{}/28", low & 0xf0).parse().expect("it is a subnet");
            let network = NetworkSpec {
                name: name.clone(),
                organization: world.id(),
                environment: world.id(),
                subnet,
                internal: false,
            };
            if docker.network_ensure(&network).await.is_ok() {
                return World {
                    docker,
                    name,
                    subnet,
                    network,
                };
            }
        }
        panic!("no subnet is free; the tests need an engine");
    }

    pub fn spec(&self, image: &str) -> ContainerSpec {
        let mut spec = spec(&self.name, image, &self.name);
        spec.owner.environment = self.network.environment.clone();
        spec
    }

    /// A container that is there.
    pub async fn container(&self, id: &str) -> Container {
        let found = self.docker.container_find(id).await.expect("the engine answers");
        found.expect("it is there")
    }
}

impl Drop for World {
    /// Also after a failed test, when nothing asynchronous runs any more.
    fn drop(&mut self) {
        let label = format!("label=serverkit.environment={}", self.network.environment);
        let found = Command::new("docker")
            .args(["ps", "-aq", "--filter", &label])
            .output()
            .expect("docker is there");
        let ids = String::from_utf8_lossy(&found.stdout).into_owned();
        let quietly = |arguments: &[&str]| {
            let _ = Command::new("docker").args(arguments).output();
        };
        for id in ids.split_whitespace() {
            quietly(&["rm", "-fv", id]);
        }
        quietly(&["network", "rm", &self.name]);
        quietly(&["volume", "rm", &self.name]);
        quietly(&["image", "rm", "-f", &format!("{}:1", self.name)]);
        // Earlier builds of a test lost their name to later ones.
        quietly(&["image", "prune", "-f", "--filter", &format!("label=serverkit.test={}", self.name)]);
    }
}

pub fn spec(name: &str, image: &str, network: &str) -> ContainerSpec {
    let world = types::World::system();
    ContainerSpec {
        name: name.to_owned(),
        owner: Owner {
            organization: world.id(),
            environment: world.id(),
            app: world.id(),
            release: world.id(),
            replica: 0,
            service: None,
        },
        image: image.to_owned(),
        command: None,
        environment: vec![],
        network: network.to_owned(),
        aliases: vec![],
        mounts: vec![],
        limits: Limits::default(),
        grace_seconds: 10,
        files: Vec::new(),
        service: None,
    }
}

/// What a command in a container prints.
pub async fn run(docker: &Docker, id: &str, command: &[&str]) -> String {
    let spec = ExecSpec::plain(command.iter().map(|part| (*part).to_owned()).collect());
    let mut exec = docker.exec(id, &spec).await.expect("it runs");
    let mut bytes = Vec::new();
    exec.output.read_to_end(&mut bytes).await.expect("it ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub async fn lines_of(docker: &Docker, id: &str, query: LogQuery) -> Vec<LogLine> {
    docker.container_logs(id, query).try_collect().await.expect("the log is readable")
}

/// Waits until `is_so`, 30 s at most.
pub async fn eventually<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {what}");
}

/// Is there a process on this machine with this command line?
pub fn has_process(command: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    entries.flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect();
        line.join(" ").trim() == command
    })
}

/// Bytes that this process had resident at most.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel says it");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .expect("it is a number")
        << 10
}

/// Stands between a client and the engine, so that "the engine stops" needs no stopping of it.
pub struct Relay {
    socket: PathBuf,
    serving: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    pub async fn start() -> Relay {
        let socket = std::env::temp_dir().join(format!("serverkit-relay-{}.sock", types::World::system().word(8)));
        let relay = Relay {
            socket,
            serving: std::sync::Mutex::new(None),
        };
        relay.resume().await;
        relay
    }

    pub fn docker(&self) -> Docker {
        Docker::at(Some(&format!("unix://{}", self.socket.display())), types::World::system()).expect("the address is right")
    }

    pub async fn stop(&self) {
        let serving = self.serving.lock().expect("no test panicked here").take();
        if let Some(serving) = serving {
            serving.abort();
            let _ = serving.await;
        }
        let _ = std::fs::remove_file(&self.socket);
    }

    pub async fn resume(&self) {
        let listener = UnixListener::bind(&self.socket).expect("the path is free");
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut far = docker().inner.transport.dial.dial().await.expect("the engine is there");
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        *self.serving.lock().expect("no test panicked here") = Some(serving);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}
