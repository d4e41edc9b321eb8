//! Apps that sleep, on an engine that does as it is told.

use super::{reasons::is_busy, waking::wake};
use crate::{
    Apps, Deployer, Deployments,
    testing::Bench,
    tests::{order, reconcile, settle, wish},
};
use jobs::Job;
use std::time::Duration;
use store::Batch;
use types::{Error, Phase, Target};

/// Lets what was begun to sleep or to wake come to its end.
async fn bedtime(bench: &Bench) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        reconcile(bench).await;
        if bench.ground.sleeping.is_idle() {
            return reconcile(bench).await;
        }
        assert!(tokio::time::Instant::now() < deadline, "it neither sleeps nor wakes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An app that may sleep, live.
async fn dozy() -> (Bench, Apps, types::AppId) {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let made = apps.create(&bench.owner, wish("blog")).await.expect("made");
    settle(&bench, "blog").await;
    let change = crate::AppChange {
        sleep_after_minutes: Some(Some(30)),
        ..crate::AppChange::default()
    };
    apps.update(&bench.owner, "blog", change).await.expect("allowed");
    (bench, apps, made.app.id)
}

async fn state(bench: &Bench) -> crate::AppState {
    let apps = Apps::new(bench.ground.clone());
    apps.get(&bench.owner, "blog").await.expect("is there").state
}

#[tokio::test]
async fn an_app_sleeps_over_a_crash_and_a_request_wakes_it() {
    let (bench, apps, id) = dozy().await;
    let running = bench.node.running();
    apps.sleep(&bench.owner, "blog").await.expect("nobody uses it");
    bedtime(&bench).await;
    assert_eq!(bench.node.running(), Vec::<String>::new());
    assert_eq!(bench.node.containers.lock().expect("test").len(), 1, "it is kept");
    assert!(matches!(bench.node.target_of("blog.localhost"), Some(Target::Asleep { .. })));
    assert_eq!(state(&bench).await, crate::AppState::Asleep);
    // A crash leaves it asleep, also one before its containers were stopped.
    let bench = bench.again().await;
    for container in bench.node.containers.lock().expect("test").values_mut() {
        container.state = types::ContainerState::Running;
    }
    bedtime(&bench).await;
    assert_eq!(bench.node.running(), Vec::<String>::new());
    // Many wishes wake it once.
    let wake = || wake(&bench.ground, &id, "a request");
    let (one, two) = tokio::join!(wake(), wake());
    one.and(two).expect("it is woken");
    bedtime(&bench).await;
    assert_eq!(bench.node.running(), running);
    assert!(matches!(bench.node.target_of("blog.localhost"), Some(Target::Upstreams(_))));
    assert_eq!(state(&bench).await, crate::AppState::Running);
    let events = bench.ground.store.events.last(50).expect("lists");
    let told = |kind: &str| events.iter().filter(|event| event.fact.kind() == kind).count();
    assert_eq!((told("app_asleep"), told("app_awake"), told("wake_failed")), (1, 1, 0));
}

#[tokio::test]
async fn a_crash_while_it_wakes_is_no_end_of_it() {
    let (bench, apps, id) = dozy().await;
    apps.sleep(&bench.owner, "blog").await.expect("nobody uses it");
    bedtime(&bench).await;
    let at = bench.ground.world.now();
    let waking = |app: &mut types::App| {
        let asleep = app.asleep.as_mut().expect("it sleeps");
        asleep.waking = Some(types::Waking {
            at,
            why: "a request".into(),
        });
        Ok(())
    };
    bench.ground.store.apps.update(id.as_str(), waking).await.expect("saved");
    let bench = bench.again().await;
    crate::Sleeper::new(bench.ground.clone()).run().await.expect("runs");
    bedtime(&bench).await;
    assert_eq!(state(&bench).await, crate::AppState::Running);
    assert_eq!(bench.node.running().len(), 1);
}

#[tokio::test]
async fn one_that_cannot_be_woken_is_tried_again_later() {
    let (bench, apps, id) = dozy().await;
    apps.sleep(&bench.owner, "blog").await.expect("nobody uses it");
    bedtime(&bench).await;
    let stored = bench.ground.store.apps.get(id.as_str()).expect("is there");
    let live = stored.release.clone().expect("it is live");
    let mut release = bench
        .ground
        .store
        .releases
        .claimed(live.as_str())
        .expect("reads")
        .expect("is there");
    release.health.start_seconds = 1;
    bench.ground.store.commit(Batch::new().save(release)).await.expect("saved");
    order(&bench, |orders| orders.unhealthy = Some("port 80 is closed".into()));
    wake(&bench.ground, &id, "a request").await.expect("begins");
    bedtime(&bench).await;
    let Some(Target::Down { why }) = bench.node.target_of("blog.localhost") else {
        panic!("{:?}", bench.node.target_of("blog.localhost"));
    };
    assert!(
        why.contains("could not be woken: not healthy after 1 s") && why.contains("port 80 is closed"),
        "{why}"
    );
    assert_eq!(bench.node.running(), Vec::<String>::new(), "it is stopped again");
    order(&bench, |orders| orders.unhealthy = None);
    // A request does not try at once again; somebody may.
    wake(&bench.ground, &id, "a request").await.expect("is left alone");
    bedtime(&bench).await;
    assert_eq!(state(&bench).await, crate::AppState::Asleep);
    apps.start(&bench.owner, "blog").await.expect("begins");
    bedtime(&bench).await;
    assert_eq!(state(&bench).await, crate::AppState::Running);
}

#[tokio::test]
async fn what_ends_its_sleep_and_what_forbids_it() {
    let (bench, apps, id) = dozy().await;
    apps.sleep(&bench.owner, "blog").await.expect("nobody uses it");
    bedtime(&bench).await;
    // A deployment.
    Deployments::new(bench.ground.clone())
        .create(&bench.owner, "blog", crate::Wanted::Usual)
        .await
        .expect("queued");
    assert_eq!(settle(&bench, "blog").await.0, Phase::Live);
    assert_eq!(state(&bench).await, crate::AppState::Running);
    assert_eq!(bench.node.running().len(), 1);
    // Who stops it does not want it to wake.
    apps.sleep(&bench.owner, "blog").await.expect("nobody uses it");
    apps.stop(&bench.owner, "blog").await.expect("stops");
    wake(&bench.ground, &id, "a request").await.expect("is left alone");
    bedtime(&bench).await;
    assert_eq!(state(&bench).await, crate::AppState::Stopped);
    assert!(matches!(bench.node.target_of("blog.localhost"), Some(Target::Down { .. })));
    apps.start(&bench.owner, "blog").await.expect("starts");
    bedtime(&bench).await;
    // No more sleep: it wakes by that.
    apps.sleep(&bench.owner, "blog").await.expect("nobody uses it");
    let never = crate::AppChange {
        sleep_after_minutes: Some(None),
        ..crate::AppChange::default()
    };
    apps.update(&bench.owner, "blog", never).await.expect("changed");
    bedtime(&bench).await;
    assert_eq!(state(&bench).await, crate::AppState::Running);
    assert!(matches!(apps.sleep(&bench.owner, "blog").await, Err(Error::Busy { .. })));
    for minutes in [0, 10_081] {
        let wrong = crate::AppChange {
            sleep_after_minutes: Some(Some(minutes)),
            ..crate::AppChange::default()
        };
        let refused = apps.update(&bench.owner, "blog", wrong).await;
        assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "sleep_after_minutes"));
    }
    // Nothing could wake it.
    crate::Domains::new(bench.ground.clone())
        .remove(&bench.owner, "blog.localhost")
        .await
        .expect("removed");
    let change = crate::AppChange {
        sleep_after_minutes: Some(Some(5)),
        ..crate::AppChange::default()
    };
    let view = apps.update(&bench.owner, "blog", change).await.expect("changed");
    assert!(view.kept_awake.expect("says why").contains("no domain leads to it"));
    assert!(matches!(apps.sleep(&bench.owner, "blog").await, Err(Error::Busy { .. })));
}

#[tokio::test]
async fn that_it_is_deployed_is_seen_without_its_history() {
    let (bench, _, id) = dozy().await;
    let orders = Deployments::new(bench.ground.clone());
    let app = |bench: &Bench| bench.ground.store.apps.get(id.as_str()).expect("is there").value;
    let look = async || {
        Deployer::new(bench.ground.clone()).run().await.expect("runs");
        let app = app(&bench);
        let (why, effort) = store::counted(async { is_busy(&bench.ground, &app) }).await;
        (why.expect("reads"), effort.records)
    };
    let before = look().await;
    assert_eq!(before.0, None);
    for _ in 0..4 {
        orders.create(&bench.owner, "blog", crate::Wanted::Usual).await.expect("queued");
        assert_eq!(settle(&bench, "blog").await.0, Phase::Live);
    }
    assert_eq!(look().await, before);
    // One that the queue has not seen yet.
    orders.create(&bench.owner, "blog", crate::Wanted::Usual).await.expect("queued");
    let under_way = Some("a deployment is under way".to_owned());
    assert_eq!(is_busy(&bench.ground, &app(&bench)).expect("reads"), under_way);
    assert_eq!(settle(&bench, "blog").await.0, Phase::Live);
    // One that is not the newest, before the queue is looked at for the first time.
    let all = bench.ground.store.deployments.prefix(&format!("{id}/")).expect("lists");
    let mut first = all.into_iter().find(|one| one.number == 1).expect("is kept");
    first.phase = Phase::Checking;
    bench.ground.store.deployments.save(first).await.expect("saved");
    let bench = bench.again().await;
    assert_eq!(is_busy(&bench.ground, &app(&bench)).expect("reads"), under_way);
}
