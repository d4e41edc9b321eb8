//! A real registry (Debian's `docker-registry`) that wants a login: pulls, builds and checks with a right one, a wrong one, none.

use crate::testing::{self, eventually};
use bollard::{
    auth::DockerCredentials,
    query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder},
};
use futures::TryStreamExt;
use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command, Stdio},
};
use tokio::sync::mpsc;
use types::{BuildSpec, Error, LogLine, RegistryLogin, Secret, World};

/// `let me pull`, by bcrypt.
const HTPASSWD: &str = "ada:$2b$04$abcdefghijklmnopqrstuu/WZWQO3QaPfExUv0JgLDJQbj1zlSZJW\n";

/// It and its data go when it is dropped.
struct Registry {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// On loopback, where engines speak plain HTTP.
    async fn start() -> Registry {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
            listener.local_addr().expect("it is bound").port()
        };
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("htpasswd"), HTPASSWD).expect("it is writable");
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
        eventually("the registry listens", || async {
            tokio::net::TcpStream::connect(&address).await.is_ok()
        })
        .await;
        Registry {
            process,
            address,
            _folder: folder,
        }
    }

    fn login(&self, password: &str) -> RegistryLogin {
        RegistryLogin {
            server: self.address.parse().expect("it is a server"),
            user: "ada".into(),
            password: Secret::from(password),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn docker_private_images_are_pulled_and_built_from() {
    let docker = testing::docker();
    let registry = Registry::start().await;
    let (right, wrong) = (registry.login("let me pull"), registry.login("let me in"));

    docker.registry_check(&right).await.expect("it is right");
    let error = docker.registry_check(&wrong).await.expect_err("it is wrong");
    let server = &registry.address;
    let expected = format!("password: the registry {server} does not take this user and password");
    assert_eq!(error.to_string(), expected);

    // Something of our own: only what nothing else needs goes away again.
    let repository = format!("{server}/team/private");
    let tag = TagImageOptionsBuilder::default().repo(&repository).tag("1").build();
    docker
        .client()
        .tag_image("tests/http:latest", Some(tag))
        .await
        .expect("it is tagged");
    let credentials = DockerCredentials {
        username: Some("ada".into()),
        password: Some("let me pull".into()),
        ..Default::default()
    };
    let options = PushImageOptionsBuilder::default().tag("1").build();
    let pushed: Result<Vec<_>, _> = docker
        .client()
        .push_image(&repository, Some(options), Some(credentials))
        .try_collect()
        .await;
    pushed.expect("it is pushed");
    let reference = format!("{repository}:1");
    docker.image_remove(&reference).await.expect("the name goes");

    let (lines, mut said) = mpsc::channel::<LogLine>(1000);
    let error = docker
        .image_pull(&reference, None, false, &lines)
        .await
        .expect_err("it wants a login");
    assert!(
        matches!(&error, Error::Unauthenticated { why } if why.contains("needs a user and password")),
        "{error:?}"
    );
    let error = docker
        .image_pull(&reference, Some(&wrong), false, &lines)
        .await
        .expect_err("it is wrong");
    assert!(error.to_string().contains("does not let `ada` pull"), "{error}");

    let world = World::system();
    let spec = |logins: Vec<RegistryLogin>| BuildSpec {
        tag: format!("serverkit-test-registry-{}:1", world.word(6)),
        owner_app: world.id(),
        context: "/nonexistent".into(),
        dockerfile: "Dockerfile".into(),
        target: None,
        arguments: BTreeMap::new(),
        secrets: BTreeMap::new(),
        logins,
        labels: BTreeMap::new(),
    };
    let context = || {
        let file = format!("FROM {reference}\nENV FROM_PRIVATE=yes\n");
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(file.len() as u64);
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut header, "Dockerfile", file.as_bytes()).expect("it fits");
        std::io::Cursor::new(tar.into_inner().expect("it fits"))
    };
    for logins in [vec![], vec![wrong]] {
        let error = docker
            .image_build(&spec(logins), context(), &lines)
            .await
            .expect_err("the base image is private");
        assert!(error.to_string().contains("does not let us pull"), "{error}");
    }
    let built = docker
        .image_build(&spec(vec![right.clone()]), context(), &lines)
        .await
        .expect("it builds");
    docker.image_remove(&built.id).await.expect("nothing uses it");

    let pulled = docker
        .image_pull(&reference, Some(&right), false, &lines)
        .await
        .expect("it is right");
    assert_eq!(pulled.ports, [8080]);
    let digest = pulled.digest.expect("it came from a registry");
    assert!(digest.starts_with(&format!("{}@sha256:", reference.rsplit_once(':').expect("a tag").0)), "{digest}");
    drop(lines);
    let mut log = Vec::new();
    while let Some(line) = said.recv().await {
        log.push(line.text);
    }
    assert!(log.iter().any(|line| line.starts_with("Digest: sha256:")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("let me")), "no password is printed");

    // What the engine lost is the same again, by its digest.
    docker.image_remove(&pulled.id).await.expect("nothing uses it");
    let again = docker
        .image_pull(&digest, Some(&right), false, &lines_of_nobody())
        .await
        .expect("the registry has it");
    assert_eq!((again.id, again.digest), (pulled.id, Some(digest)));
    docker
        .image_pull(&reference, Some(&right), false, &lines_of_nobody())
        .await
        .expect("under its name too");

    // What is here is used when the registry is away.
    drop(registry);
    docker
        .image_pull(&reference, Some(&right), true, &lines_of_nobody())
        .await
        .expect("it is here");
    docker.image_remove(&reference).await.expect("the name goes");
}

fn lines_of_nobody() -> mpsc::Sender<LogLine> {
    mpsc::channel(1).0
}
