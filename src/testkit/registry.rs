//! A registry of private images (Debian's `docker-registry`), which wants a login.

use crate::{engine::docker, network::free_port, polling::eventually};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// It and its data go when it is dropped. It listens on loopback, where engines speak plain HTTP.
pub struct Registry {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Registry {
    pub const USER: &str = "ada";
    pub const PASSWORD: &str = "let me pull";
    /// The password, by bcrypt.
    const HTPASSWD: &str = "ada:$2b$04$abcdefghijklmnopqrstuu/WZWQO3QaPfExUv0JgLDJQbj1zlSZJW\n";

    pub async fn start() -> Registry {
        let port = free_port();
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("htpasswd"), Self::HTPASSWD).expect("it is writable");
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\nauth:\n  htpasswd:\n    realm: tests\n    path: {}\n",
            path("data").display(),
            path("htpasswd").display()
        );
        fs::write(path("config.yml"), config).expect("it is writable");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/run.sh installs docker-registry");
        let address = format!("127.0.0.1:{port}");
        eventually("the registry listens", Duration::from_secs(20), || async {
            tokio::net::TcpStream::connect(&address).await.ok()
        })
        .await;
        Registry {
            process,
            address,
            _folder: folder,
        }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Puts an image there as `name` (`team/app:1`), made of one of the engine at `host`; that engine does not keep it.
    pub fn push(&self, host: &str, image: &str, name: &str) {
        let reference = format!("{}/{name}", self.address);
        let login = tempfile::tempdir().expect("there is a temporary folder");
        let login = login.path().to_str().expect("its name is plain");
        let run = |arguments: &[&str]| docker(host, arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"));
        // A layer of its own: nothing else on that engine is this image.
        let container = run(&["create", image]);
        run(&[
            "commit",
            "--change",
            &format!("LABEL tests.name={reference}"),
            &container,
            &reference,
        ]);
        run(&["rm", &container]);
        run(&["--config", login, "login", "-u", Self::USER, "-p", Self::PASSWORD, &self.address]);
        run(&["--config", login, "push", &reference]);
        run(&["rmi", &reference]);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
