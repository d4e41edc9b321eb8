//! Containers on the tests' engine, and what is asked of it.

use super::*;
use crate::testing::{self, World, eventually, lines_of};
use types::{LogQuery, MountSpec, Secret};

#[test]
fn labels_carry_the_owner() {
    let spec = testing::spec("x", "image", "network");
    assert_eq!(owner_of(&labels_of(&spec)), Some(spec.owner));
    assert_eq!(owner_of(&HashMap::from([(APP.to_owned(), "../etc".to_owned())])), None);
}

#[test]
fn limits_are_always_set() {
    let mut spec = testing::spec("x", "image", "network");
    spec.limits.cpu_millis = 64_000;
    let host = host_config_of(&spec, 2, true);
    assert_eq!(host.nano_cpus, Some(2_000_000_000), "not more than there is");
    assert_eq!(host.memory, host.memory_swap);
    assert_eq!(host.memory, Some(512 << 20));
    assert_eq!(host.pids_limit, Some(512));
    assert_eq!(host.port_bindings, None);
}

#[test]
fn environment_is_byte_exact_or_refused() {
    let mut spec = testing::spec("x", "image", "network");
    spec.environment = vec![("A".into(), Secret::from("a=b\n\"$(x)\" 'ü"))];
    assert_eq!(environment_of(&spec).expect("it is text"), ["A=a=b\n\"$(x)\" 'ü"]);
    spec.environment = vec![("A".into(), Secret::new([0xff, 0xfe]))];
    assert!(environment_of(&spec).is_err());
}

#[test]
fn never_is_no_moment() {
    assert_eq!(moment("0001-01-01T00:00:00Z"), None);
    assert_eq!(moment("2023-11-14T22:13:20.5Z"), Some(Time(1_700_000_000_500)));
}

#[tokio::test]
async fn docker_container_lives_and_goes() {
    let world = World::new("lives").await;
    let spec = world.spec("tests/http:latest");
    let id = world.docker.container_start(&spec).await.expect("it starts");
    assert_eq!(world.docker.container_start(&spec).await.expect("again is fine"), id);

    let found = world.container(&id).await;
    assert_eq!(found.owner, spec.owner);
    assert_eq!(found.state, ContainerState::Running);
    let address = found.address.expect("it runs, so it has an address");
    assert!(world.subnet.contains(&address), "{address}");
    assert!(found.started_at.is_some());
    testing::eventually("it serves", || async {
        tokio::net::TcpStream::connect((address, 8080)).await.is_ok()
    })
    .await;
    assert!(world.docker.containers().await.expect("the engine answers").contains(&found));

    let begun = std::time::Instant::now();
    world.docker.container_stop(&id, Duration::from_secs(30)).await.expect("it stops");
    assert!(begun.elapsed() < Duration::from_secs(10), "SIGTERM must reach it");
    let stopped = world.container(&id).await;
    assert!(
        matches!(stopped.state, ContainerState::Exited { out_of_memory: false, .. }),
        "{:?}",
        stopped.state
    );
    assert_eq!(stopped.address, None);

    world.docker.container_remove(&id).await.expect("it goes");
    world.docker.container_remove(&id).await.expect("gone already is fine");
    world
        .docker
        .container_stop(&id, Duration::from_secs(1))
        .await
        .expect("gone already is fine");
    assert_eq!(world.docker.container_find(&id).await.expect("the engine answers"), None);
}

#[tokio::test]
async fn docker_kill_comes_after_the_grace() {
    let world = World::new("grace").await;
    let mut spec = world.spec("tests/http:latest");
    spec.command = Some(vec![
        "sh".into(),
        "-c".into(),
        "trap '' TERM; echo ready; while :; do sleep 1; done".into(),
    ]);
    let id = world.docker.container_start(&spec).await.expect("it starts");
    eventually("it no longer minds the signal", || async {
        !lines_of(&world.docker, &id, LogQuery::default()).await.is_empty()
    })
    .await;
    let begun = std::time::Instant::now();
    world.docker.container_stop(&id, Duration::from_secs(2)).await.expect("it stops");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(9), "{took:?}");
}

#[tokio::test]
async fn docker_restarts_are_seen() {
    let world = World::new("restarts").await;
    let mut spec = world.spec("tests/http:latest");
    spec.command = Some(vec!["sh".into(), "-c".into(), "echo failing; exit 3".into()]);
    let id = world.docker.container_start(&spec).await.expect("it starts");
    let world = &world;
    testing::eventually("it is seen to exit again and again", || async {
        let found = world.container(&id).await;
        found.restarts >= 2
            && matches!(
                found.state,
                ContainerState::Restarting {
                    code: 3,
                    out_of_memory: false
                }
            )
    })
    .await;
    let lines = testing::lines_of(&world.docker, &id, LogQuery::default()).await;
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.text == "failing"), "{lines:?}");
}

/// Where an init is process 1 the container starts, and the init says what it did not find.
#[tokio::test]
async fn docker_a_program_that_is_missing_is_named() {
    let world = World::new("program").await;
    let mut spec = world.spec("tests/http:latest");
    spec.command = Some(vec!["no-such-program".into()]);
    let id = match world.docker.container_start(&spec).await {
        Ok(id) => id,
        Err(error) => {
            assert!(error.to_string().contains("no-such-program"), "{error}");
            let left = world.docker.container_find(&spec.name).await.expect("the engine answers");
            return assert_eq!(left, None, "nothing is left");
        }
    };
    let world = &world;
    testing::eventually("it is seen to fail", || async {
        let found = world.container(&id).await;
        matches!(found.state, ContainerState::Restarting { code, .. } | ContainerState::Exited { code, .. } if code != 0)
    })
    .await;
    let lines = testing::lines_of(&world.docker, &id, LogQuery::default()).await;
    assert!(lines.iter().any(|line| line.text.contains("no-such-program")), "{lines:?}");
}

#[tokio::test]
async fn docker_start_failures_are_words() {
    let world = World::new("words").await;
    let missing_image = world.spec("no-such-image:1");
    let error = world.docker.container_start(&missing_image).await.expect_err("no such image");
    assert_eq!(error.to_string(), "no image named `no-such-image:1`");

    let mut missing_volume = world.spec("tests/http:latest");
    missing_volume.mounts = vec![MountSpec {
        volume: "serverkit-test-none".into(),
        path: "/data".into(),
        read_only: false,
    }];
    let error = world.docker.container_start(&missing_volume).await.expect_err("no such volume");
    assert_eq!(error.to_string(), "no volume named `serverkit-test-none`");
    assert!(!world.docker.volume_exists("serverkit-test-none").await.expect("the engine answers"));

    let mut missing_network = world.spec("tests/http:latest");
    missing_network.network = "serverkit-test-none".into();
    let error = world.docker.container_start(&missing_network).await.expect_err("no such network");
    assert!(matches!(error, Error::NotFound { kind: Kind::Network, .. }), "{error}");
}

#[tokio::test]
async fn docker_out_of_memory_is_told() {
    let world = World::new("memory").await;
    let mut spec = world.spec("python:3.11-slim");
    spec.limits.memory_bytes = 32 << 20;
    spec.command = Some(vec![
        "python".into(),
        "-c".into(),
        "x = bytearray(200_000_000)\nimport time\ntime.sleep(60)".into(),
    ]);
    let id = world.docker.container_start(&spec).await.expect("it starts");
    let world = &world;
    testing::eventually("it is killed, and for what", || async {
        let found = world.container(&id).await;
        matches!(
            found.state,
            ContainerState::Restarting {
                code: 137,
                out_of_memory: true
            }
        )
    })
    .await;
}

#[tokio::test]
async fn docker_variables_arrive_byte_for_byte() {
    let world = World::new("variables").await;
    let value = "line one\nline 'two' \"$HOME\" `x` \\ ü=\u{1F600} ";
    let mut spec = world.spec("tests/http:latest");
    spec.environment = vec![("VALUE".into(), Secret::from(value))];
    spec.command = Some(vec![
        "sh".into(),
        "-c".into(),
        "printf %s \"$VALUE\" >/www/index.html; exec httpd -f -p 8080 -h /www".into(),
    ]);
    let id = world.docker.container_start(&spec).await.expect("it starts");
    let said = testing::run(&world.docker, &id, &["cat", "/www/index.html"]).await;
    assert_eq!(said, value);
}
