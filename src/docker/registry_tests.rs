//! A real registry (Debian's `docker-registry`) that wants a login: pulls, builds and checks with a right one, a wrong one, none.

use crate::testing;
use egress::Egress;
use std::collections::BTreeMap;
use testkit::Registry;
use tokio::sync::mpsc;
use types::{BuildSpec, Error, LogLine, PullPolicy, RegistryLogin, Secret, World};

fn login(registry: &Registry, password: &str) -> RegistryLogin {
    RegistryLogin {
        id: World::system().id(),
        server: registry.address().parse().expect("it is a server"),
        user: Registry::USER.into(),
        password: Secret::from(password),
    }
}

#[tokio::test]
async fn docker_private_images_are_pulled_and_built_from() {
    let docker = testing::docker();
    let registry = Registry::start().await;
    let (right, wrong) = (login(&registry, Registry::PASSWORD), login(&registry, "let me in"));

    docker.registry_check(&right, &Egress::Anywhere).await.expect("it is right");
    let error = docker.registry_check(&wrong, &Egress::Anywhere).await.expect_err("it is wrong");
    let server = registry.address();
    let expected = format!("password: the registry {server} does not take this user and password");
    assert_eq!(error.to_string(), expected);

    let repository = format!("{server}/team/private");
    registry.push(&testkit::docker_host(), "tests/http:latest", "team/private:1");
    let reference = format!("{repository}:1");
    let (lines, mut said) = mpsc::channel::<LogLine>(1000);
    let error = docker
        .image_pull(&reference, None, PullPolicy::Missing, &Egress::Anywhere, &lines)
        .await
        .expect_err("it wants a login");
    assert!(
        matches!(&error, Error::Unauthenticated { why } if why.contains("needs a user and password")),
        "{error:?}"
    );
    let error = docker
        .image_pull(&reference, Some(&wrong), PullPolicy::Missing, &Egress::Anywhere, &lines)
        .await
        .expect_err("it is wrong");
    assert!(error.to_string().contains("does not let `ada` see"), "{error}");

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
        .image_pull(&reference, Some(&right), PullPolicy::Missing, &Egress::Anywhere, &lines)
        .await
        .expect("it is right");
    assert_eq!(pulled.ports, [8080]);
    let digest = pulled.digest.expect("it came from a registry");
    assert!(
        digest.starts_with(&format!("{}@sha256:", reference.rsplit_once(':').expect("a tag").0)),
        "{digest}"
    );
    drop(lines);
    let mut log = Vec::new();
    while let Some(line) = said.recv().await {
        log.push(line.text);
    }
    assert!(log.iter().any(|line| line.starts_with("Digest: sha256:")), "{log:?}");
    let others = docker.image_find(&reference).await.expect("the engine answers");
    assert_eq!(others, None, "its name is not left for others");
    let error = docker
        .image_pull(&reference, None, PullPolicy::Missing, &Egress::Anywhere, &lines_of_nobody())
        .await
        .expect_err("who has no login gets nothing");
    assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
    let by_id = docker
        .image_find(&pulled.id)
        .await
        .expect("the engine answers")
        .expect("it is there");
    assert_eq!(by_id.digest.as_ref(), Some(&digest));
    let kept = docker
        .image_pull(&reference, Some(&right), PullPolicy::Never, &Egress::Anywhere, &lines_of_nobody())
        .await
        .expect("the login has it");
    assert_eq!((&kept.id, kept.digest.as_ref()), (&pulled.id, Some(&digest)));
    assert!(!log.iter().any(|line| line.contains("let me")), "no password is printed");

    // What the engine lost is the same again, by its digest.
    docker.image_remove(&pulled.id).await.expect("nothing uses it");
    let again = docker
        .image_pull(&digest, Some(&right), PullPolicy::Missing, &Egress::Anywhere, &lines_of_nobody())
        .await
        .expect("the registry has it");
    assert_eq!((&again.id, again.digest), (&pulled.id, Some(digest)));
    docker
        .image_pull(&reference, Some(&right), PullPolicy::Missing, &Egress::Anywhere, &lines_of_nobody())
        .await
        .expect("under its name too");

    // What is here is used when the registry is away.
    drop(registry);
    docker
        .image_pull(&reference, Some(&right), PullPolicy::Always, &Egress::Anywhere, &lines_of_nobody())
        .await
        .expect("it is here");
    docker.image_remove(&again.id).await.expect("nothing uses it");
}

fn lines_of_nobody() -> mpsc::Sender<LogLine> {
    mpsc::channel(1).0
}
