//! The rules at work, on an engine that does as it is told.

use crate::{
    AppChange, Apps, Deployer, Deployments, NewApp, NewSource, Reconciler, Releases, VariableChange, Variables, Wanted, deployments,
    testing::{Bench, Orders},
};
use futures::StreamExt;
use jobs::Job;
use std::time::Duration;
use store::Batch;
use types::{Cause, DeploymentId, Error, Limits, Phase, Secret, Target, VariableScope};

pub(crate) fn wish(name: &str) -> NewApp {
    NewApp {
        replicas: None,
        name: name.parse().expect("a name"),
        project: None,
        environment: None,
        source: NewSource::Image {
            reference: "nginx:1".parse().expect("a reference"),
        },
        port: None,
        command: None,
        domains: None,
        limits: Limits::default(),
        health: None,
        commands: Default::default(),
        mounts: Vec::new(),
        variables: Vec::new(),
        grace_seconds: None,
        deploy_timeout_seconds: None,
        deploy: true,
    }
}

/// Of a Compose file with two services, of which `web` is made from this image.
pub(crate) fn two_services(web: &str) -> NewSource {
    let web = format!("{{image: '{web}', ports: ['80'], restart: always}}");
    let text = format!("services:\n  web: {web}\n  db: {{image: 'db:1', restart: always}}\n");
    NewSource::Compose {
        text: text.into(),
        profiles: Vec::new(),
        main: None,
        template: None,
    }
}

/// Lets the loops turn until the app's newest deployment is over; answers its phase and error.
pub(crate) async fn settle(bench: &Bench, app: &str) -> (Phase, Option<String>) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        Deployer::new(bench.ground.clone()).run().await.expect("runs");
        Reconciler::new(bench.ground.clone()).run().await.expect("runs");
        let newest = newest(bench, app).await;
        if newest.0.is_final() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            reconcile(bench).await;
            return newest;
        }
        assert!(tokio::time::Instant::now() < deadline, "still {newest:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One turn of the loops.
async fn settle_once(bench: &Bench) {
    Deployer::new(bench.ground.clone()).run().await.expect("runs");
    Reconciler::new(bench.ground.clone()).run().await.expect("runs");
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// One turn of the reconciler, and what it takes away is gone.
pub(crate) async fn reconcile(bench: &Bench) {
    Reconciler::new(bench.ground.clone()).run().await.expect("runs");
    while !bench.ground.retiring.is_idle() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn newest(bench: &Bench, app: &str) -> (Phase, Option<String>) {
    let mut all = Deployments::new(bench.ground.clone())
        .list(&bench.owner, Some(app), false)
        .await
        .expect("lists");
    let newest = all.remove(0).deployment;
    (newest.phase, newest.error)
}

#[tokio::test]
async fn a_diff_shows_values_but_no_secrets() {
    let bench = Bench::new().await;
    let (variables, releases) = (Variables::new(bench.ground.clone()), Releases::new(bench.ground.clone()));
    let change = |key: &str, value: &str, secret: bool| VariableChange {
        key: key.parse().expect("a key"),
        value: Some(Secret::from(value)),
        scope: None,
        secret: Some(secret),
    };
    let mut app = wish("blog");
    app.variables = vec![change("COLOUR", "green", false), change("PASSWORD", "first-4711", true)];
    Apps::new(bench.ground.clone()).create(&bench.owner, app).await.expect("made");
    settle(&bench, "blog").await;
    let set = vec![
        change("COLOUR", "blue", false),
        change("PASSWORD", "second-4712", true),
        change("TOKEN", "third-4713", true),
    ];
    variables.update(&bench.owner, "blog", to_set(set)).await.expect("set");
    Deployments::new(bench.ground.clone())
        .create(&bench.owner, "blog", crate::Wanted::Usual)
        .await
        .expect("queued");
    settle(&bench, "blog").await;
    let found = releases
        .diff(&bench.owner, "blog", Some("1"), Some("2"), None)
        .await
        .expect("both are there");
    let variable = |key: &str| {
        let what = format!("variable {key}");
        let one = found.iter().find(|one| one.what == what).expect("it changed");
        (one.from.as_deref(), one.to.as_deref())
    };
    assert_eq!(variable("COLOUR"), (Some("green"), Some("blue")));
    assert_eq!(variable("PASSWORD"), (Some("changed"), Some("changed")));
    assert_eq!(variable("TOKEN"), (None, Some("set")));
}

fn to_set(set: Vec<VariableChange>) -> crate::VariableWish {
    crate::VariableWish { set, unset: Vec::new() }
}

#[tokio::test]
async fn bytes_that_are_no_text_fit_a_build_secret_only() {
    let bench = Bench::new().await;
    let variables = Variables::new(bench.ground.clone());
    let mut app = wish("blog");
    app.deploy = false;
    Apps::new(bench.ground.clone()).create(&bench.owner, app).await.expect("made");
    for (scope, secret, taken) in [
        (VariableScope::Run, true, false),
        (VariableScope::Both, true, false),
        (VariableScope::Build, false, false),
        (VariableScope::Build, true, true),
    ] {
        let change = VariableChange {
            key: "BYTES".parse().expect("a key"),
            value: Some(Secret::new(vec![0xff, 0xfe])),
            scope: Some(scope),
            secret: Some(secret),
        };
        let answer = variables.update(&bench.owner, "blog", to_set(vec![change])).await;
        assert_eq!(answer.is_ok(), taken, "{scope:?} {secret}");
    }
}

pub(crate) fn order(bench: &Bench, change: impl FnOnce(&mut Orders)) {
    change(&mut bench.node.orders.lock().expect("test"));
}

#[tokio::test]
async fn an_app_goes_live_with_a_route() {
    let bench = Bench::new().await;
    Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made");
    assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
    assert_eq!(bench.node.running().len(), 1);
    assert!(matches!(bench.node.target_of("blog.localhost"), Some(Target::Upstreams(upstreams)) if upstreams.len() == 1));
}

/// Who reads that a deployment is live must find it serving, not its predecessor.
#[tokio::test]
async fn live_is_recorded_after_the_route_is_there() {
    let bench = Bench::new().await;
    let deployments = Deployments::new(bench.ground.clone());
    Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made");
    settle(&bench, "blog").await;
    let before = bench.node.target_of("blog.localhost");
    order(&bench, |orders| orders.slow_edge = true);
    deployments
        .create(&bench.owner, "blog", crate::Wanted::Usual)
        .await
        .expect("queued");
    let seen_at_live = async {
        loop {
            if newest(&bench, "blog").await.0 == Phase::Live {
                return bench.node.target_of("blog.localhost");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (seen, _) = tokio::join!(seen_at_live, settle(&bench, "blog"));
    assert_ne!(seen, before);
    assert!(matches!(seen, Some(Target::Upstreams(_))));
}

#[tokio::test]
async fn a_failed_check_leaves_the_old_release_serving() {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let deployments = Deployments::new(bench.ground.clone());
    let view = apps.create(&bench.owner, wish("blog")).await.expect("made");
    settle(&bench, "blog").await;
    let before = (bench.node.running(), bench.node.target_of("blog.localhost"));
    order(&bench, |orders| orders.exit = Some(3));
    deployments
        .create(&bench.owner, view.app.id.as_str(), crate::Wanted::Usual)
        .await
        .expect("queued");
    let (phase, error) = settle(&bench, "blog").await;
    assert_eq!(phase, Phase::Failed);
    assert!(error.expect("says why").contains("exited with code 3"));
    assert_eq!((bench.node.running(), bench.node.target_of("blog.localhost")), before);
}

#[tokio::test]
async fn a_new_release_replaces_the_old_and_rollback_brings_it_back() {
    let bench = Bench::new().await;
    let deployments = Deployments::new(bench.ground.clone());
    Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made");
    settle(&bench, "blog").await;
    deployments
        .create(&bench.owner, "blog", crate::Wanted::Usual)
        .await
        .expect("queued");
    assert_eq!(settle(&bench, "blog").await.0, Phase::Live);
    let running = bench.node.running();
    assert!(running.len() == 1 && running[0].starts_with("sk-blog-2-"), "{running:?}");
    deployments.roll_back(&bench.owner, "blog", None, false).await.expect("queued");
    assert_eq!(settle(&bench, "blog").await.0, Phase::Live);
    let running = bench.node.running();
    assert!(running.len() == 1 && running[0].starts_with("sk-blog-1-"), "{running:?}");
    assert!(matches!(
        deployments.roll_back(&bench.owner, "blog", Some("1"), false).await,
        Err(Error::Busy { .. })
    ));
}

#[tokio::test]
async fn one_that_waits_is_superseded_and_one_that_hangs_can_be_cancelled() {
    let bench = Bench::new().await;
    let deployments = Deployments::new(bench.ground.clone());
    Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made");
    order(&bench, |orders| orders.hang = true);
    Deployer::new(bench.ground.clone()).run().await.expect("runs");
    // While it is only queued, the next one takes its place.
    for _ in 0..500 {
        let list = deployments.list(&bench.owner, Some("blog"), false).await.expect("lists");
        if list.iter().all(|view| view.deployment.phase != Phase::Queued) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = deployments
        .create(&bench.owner, "blog", crate::Wanted::Usual)
        .await
        .expect("queued")
        .deployment
        .id;
    let third = deployments
        .create(&bench.owner, "blog", crate::Wanted::Usual)
        .await
        .expect("queued")
        .deployment
        .id;
    assert_eq!(
        deployments
            .get(&bench.owner, second.as_str())
            .await
            .expect("is there")
            .deployment
            .phase,
        Phase::Superseded
    );
    let first = deployments
        .list(&bench.owner, Some("blog"), false)
        .await
        .expect("lists")
        .pop()
        .expect("three")
        .deployment
        .id;
    deployments.cancel(&bench.owner, first.as_str()).await.expect("asked");
    order(&bench, |orders| orders.hang = false);
    assert_eq!(settle(&bench, "blog").await.0, Phase::Live);
    assert_eq!(
        deployments
            .get(&bench.owner, first.as_str())
            .await
            .expect("is there")
            .deployment
            .phase,
        Phase::Cancelled
    );
    assert_eq!(
        deployments
            .get(&bench.owner, third.as_str())
            .await
            .expect("is there")
            .deployment
            .phase,
        Phase::Live
    );
}

/// What is followed to its end: the texts of a deployment's log.
async fn followed(bench: &Bench, id: &DeploymentId) -> Vec<String> {
    let lines = Deployments::new(bench.ground.clone()).follow(&bench.owner, id.as_str(), 0).await;
    let lines = lines.expect("is there").map(|one| one.line.text).collect();
    tokio::time::timeout(Duration::from_secs(20), lines).await.expect("it ends")
}

/// Whoever waited for one that gave way, or was cancelled before it began, waited for ever: it has no log that anybody closes.
#[tokio::test]
async fn the_log_of_one_that_never_began_ends() {
    let bench = Bench::new().await;
    let orders = Deployments::new(bench.ground.clone());
    Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made");
    let queue = async || {
        let view = orders.create(&bench.owner, "blog", crate::Wanted::Usual).await.expect("queued");
        view.deployment.id
    };
    let (second, third) = (queue().await, queue().await);
    let of_third = orders.log(&bench.owner, third.as_str(), 0, 10).await.expect("reads");
    assert!(!of_third.complete, "it may begin yet");
    orders.cancel(&bench.owner, third.as_str()).await.expect("asked");
    Deployer::new(bench.ground.clone()).run().await.expect("runs");
    for (id, phase) in [(second, Phase::Superseded), (third, Phase::Cancelled)] {
        let view = orders.get(&bench.owner, id.as_str()).await.expect("is there");
        assert_eq!(view.deployment.phase, phase);
        assert_eq!(followed(&bench, &id).await, Vec::<String>::new());
        let page = orders.log(&bench.owner, id.as_str(), 0, 10).await.expect("reads");
        assert!(page.complete && page.lines.is_empty(), "{page:?}");
    }
}

/// Live is recorded before what follows it: a panel that was killed in between left a log without an end, and said nothing of the command.
#[tokio::test]
async fn what_was_live_when_the_panel_was_killed_has_an_end() {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let view = apps.create(&bench.owner, wish("blog")).await.expect("made");
    let change = AppChange {
        after_deploy: Some(Some("./warm-up".into())),
        ..AppChange::default()
    };
    apps.update(&bench.owner, "blog", change).await.expect("changed");
    let deployment = view.deployment.expect("queued");
    let at = bench.ground.world.now();
    let lived = |deployment: &mut types::Deployment| {
        deployment.enter(Phase::Live, at);
        Ok(())
    };
    let key = store::Record::key(&deployment);
    bench.ground.store.deployments.update(&key, lived).await.expect("saved");
    let name = deployments::log_name(&deployment.id);
    let writer = bench.ground.logs.writer(&name, &view.app.organization).await.expect("opens");
    let line = types::LogLine {
        at,
        stream: types::LogStream::Note,
        text: "now that it is live: ./warm-up".into(),
    };
    writer.line(line).await;
    drop(writer);
    assert_eq!(followed(&bench, &deployment.id).await, ["now that it is live: ./warm-up"]);
    Deployer::new(bench.ground.clone()).run().await.expect("runs");
    let lines = followed(&bench, &deployment.id).await;
    let last = lines.last().expect("it says so");
    assert!(
        lines.len() == 2 && last.contains("restarted") && last.contains("look whether `./warm-up` has done its work"),
        "{lines:?}"
    );
    // Once.
    let orders = Deployments::new(bench.ground.clone());
    let page = orders.log(&bench.owner, deployment.id.as_str(), 0, 10).await.expect("reads");
    assert!(page.complete, "{page:?}");
}

async fn push(bench: &Bench, app: &types::AppId) -> DeploymentId {
    let mut app = bench.ground.store.apps.get(app.as_str()).expect("is there");
    let cause = Cause::Push {
        delivery: bench.ground.world.id(),
    };
    let batch = deployments::queue(&bench.ground, "ada".into(), &mut app.value, cause, Wanted::Usual, Batch::new()).expect("queued");
    let id = app.last_deployment.clone().expect("it was queued");
    bench.ground.store.commit(batch.save(app)).await.expect("saved");
    id
}

/// A rollback that waited was closed by whatever was pushed before it began.
#[tokio::test]
async fn a_push_leaves_what_somebody_has_named_in_the_queue() {
    let bench = Bench::new().await;
    let orders = Deployments::new(bench.ground.clone());
    let app = Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made")
        .app
        .id;
    settle(&bench, "blog").await;
    orders.create(&bench.owner, "blog", Wanted::Usual).await.expect("queued");
    assert_eq!(settle(&bench, "blog").await.0, Phase::Live);
    order(&bench, |orders| orders.hang = true);
    let hangs = orders
        .create(&bench.owner, "blog", Wanted::Usual)
        .await
        .expect("queued")
        .deployment
        .id;
    let phase = async |id: &DeploymentId| orders.get(&bench.owner, id.as_str()).await.expect("is there").deployment.phase;
    Deployer::new(bench.ground.clone()).run().await.expect("runs");
    while phase(&hangs).await == Phase::Queued {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let back = async || {
        let view = orders.roll_back(&bench.owner, "blog", Some("1"), false).await.expect("queued");
        view.deployment.id
    };
    let first = back().await;
    let tag = Wanted::Image("2".into());
    let image = orders.create(&bench.owner, "blog", tag).await.expect("queued").deployment.id;
    let pushed = push(&bench, &app).await;
    let again = push(&bench, &app).await;
    for (id, expected) in [
        (&first, Phase::Queued),
        (&image, Phase::Queued),
        (&pushed, Phase::Superseded),
        (&again, Phase::Queued),
    ] {
        assert_eq!(phase(id).await, expected);
    }
    // The newer rollback takes the place of the older one, and of the push that it is newer than.
    let second = back().await;
    let last = push(&bench, &app).await;
    for (id, expected) in [
        (&first, Phase::Superseded),
        (&image, Phase::Queued),
        (&again, Phase::Superseded),
        (&second, Phase::Queued),
        (&last, Phase::Queued),
    ] {
        assert_eq!(phase(id).await, expected);
    }
    // They are done in their order.
    orders.cancel(&bench.owner, hangs.as_str()).await.expect("asked");
    order(&bench, |orders| orders.hang = false);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !phase(&last).await.is_final() {
        assert!(tokio::time::Instant::now() < deadline);
        settle_once(&bench).await;
    }
    let mut ended = Vec::new();
    for id in [&image, &second, &last] {
        let done = orders.get(&bench.owner, id.as_str()).await.expect("is there").deployment;
        assert_eq!(done.phase, Phase::Live);
        ended.push((done.number, done.finished_at));
    }
    assert!(ended.is_sorted_by_key(|(_, at)| *at), "{ended:?}");
}

#[tokio::test]
async fn a_crash_in_any_phase_goes_on_from_there() {
    for phase in [Phase::Queued, Phase::Fetching, Phase::Building, Phase::Starting, Phase::Checking] {
        let bench = Bench::new().await;
        let view = Apps::new(bench.ground.clone())
            .create(&bench.owner, wish("blog"))
            .await
            .expect("made");
        // The phase is set as a crash would have left it.
        let deployment = view.deployment.expect("queued");
        if matches!(phase, Phase::Starting | Phase::Checking) {
            order(&bench, |orders| orders.unhealthy = Some("not yet".into()));
            Deployer::new(bench.ground.clone()).run().await.expect("runs");
            let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
            while newest(&bench, "blog").await.0 != Phase::Checking {
                assert!(tokio::time::Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            bench.ground.running.stopped_for_test().await;
        }
        let at = bench.ground.world.now();
        bench
            .ground
            .store
            .deployments
            .update(&store::Record::key(&deployment), |deployment| {
                deployment.enter(phase, at);
                Ok(())
            })
            .await
            .expect("saved");
        let bench = bench.again().await;
        order(&bench, |orders| orders.unhealthy = None);
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None), "{phase:?}");
        assert_eq!(bench.node.running().len(), 1, "{phase:?}");
    }
}

/// One that takes the panel with it each time does not do so for ever.
#[tokio::test]
async fn what_broke_off_too_often_is_given_up() {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let deployment = apps.create(&bench.owner, wish("blog")).await.expect("made").deployment;
    let key = store::Record::key(&deployment.expect("queued"));
    let at = bench.ground.world.now();
    let worn = |deployment: &mut types::Deployment| {
        deployment.enter(Phase::Building, at);
        deployment.begun = 6;
        Ok(())
    };
    bench.ground.store.deployments.update(&key, worn).await.expect("saved");
    let (phase, why) = settle(&bench, "blog").await;
    assert_eq!(phase, Phase::Failed);
    assert!(
        why.as_deref()
            .is_some_and(|why| why.contains("was begun 6 times and broke off each time")),
        "{why:?}"
    );
    // The next one is as any other.
    Deployments::new(bench.ground.clone())
        .create(&bench.owner, "blog", Default::default())
        .await
        .expect("queued");
    assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
}

#[tokio::test]
async fn a_silent_engine_keeps_routes_and_what_it_lost_comes_back() {
    let bench = Bench::new().await;
    Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made");
    settle(&bench, "blog").await;
    let route = bench.node.target_of("blog.localhost");
    order(&bench, |orders| orders.engine_down = true);
    Reconciler::new(bench.ground.clone()).run().await.expect("runs");
    assert_eq!(bench.node.target_of("blog.localhost"), route);
    order(&bench, |orders| orders.engine_down = false);
    bench.node.containers.lock().expect("test").clear();
    Reconciler::new(bench.ground.clone()).run().await.expect("runs");
    assert_eq!(bench.node.running().len(), 1, "a container that somebody removed is made again");
}

#[tokio::test]
async fn a_host_leads_to_one_app_only() {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let host = || Some(vec!["www.example.com".parse().expect("a host")]);
    apps.create(
        &bench.owner,
        NewApp {
            domains: host(),
            ..wish("one")
        },
    )
    .await
    .expect("made");
    let error = apps
        .create(
            &bench.owner,
            NewApp {
                domains: host(),
                ..wish("two")
            },
        )
        .await
        .expect_err("is taken");
    assert_eq!(error.to_string(), "the domain `www.example.com` is taken by the app `one`");
    assert!(
        matches!(apps.create(&bench.owner, wish("one")).await, Err(Error::Taken { .. })),
        "and a name too"
    );
}
