//! Newer images that are told, deployed, held back and left alone, with an engine and a registry that do as they are told.

use crate::{
    Apps, Deployer, Deployments, ImageWatchWish, ImageWatcher, ImageWatches, NewApp, NewSource, Reconciler, testing::Bench, tests::wish,
};
use jobs::Job;
use std::time::Duration;
use types::{Cause, DeployWindow, Deployment, Error, ImageWatch, OnNewImage};

const OLD: &str = "sha256:aaaa";
const NEW: &str = "sha256:bbbb";

fn registry_has(bench: &Bench, digest: &str) {
    bench.node.orders.lock().expect("test").digest = Some(digest.to_owned());
}

fn asked(bench: &Bench) -> u32 {
    bench.node.orders.lock().expect("test").digests_asked
}

async fn live(bench: &Bench) {
    let wish = NewApp {
        source: NewSource::Image {
            reference: "registry.test/blog:1".parse().expect("a reference"),
        },
        ..wish("blog")
    };
    registry_has(bench, OLD);
    Apps::new(bench.ground.clone()).create(&bench.owner, wish).await.expect("made");
    settle(bench).await;
}

/// Until nothing is deployed any more.
async fn settle(bench: &Bench) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while deployments(bench).iter().any(|one| !one.phase.is_final()) {
        assert!(tokio::time::Instant::now() < deadline);
        Deployer::new(bench.ground.clone()).run().await.expect("runs");
        Reconciler::new(bench.ground.clone()).run().await.expect("runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn deployments(bench: &Bench) -> Vec<Deployment> {
    let all = bench.ground.store.deployments.list().expect("lists");
    all.into_iter().map(|stored| stored.value).collect()
}

async fn set(bench: &Bench, on_new: OnNewImage, window: Option<DeployWindow>) {
    let wish = ImageWatchWish {
        on_new,
        every_minutes: None,
        window,
    };
    let watches = ImageWatches::new(bench.ground.clone());
    watches.set(&bench.owner, "blog", wish).await.expect("set");
}

/// Everything is due; the watcher turns once.
async fn turn(bench: &Bench) -> ImageWatch {
    bench.ground.registries_asked.forget();
    let watches = &bench.ground.store.image_watches;
    for watch in watches.list().expect("lists") {
        let due = |watch: &mut ImageWatch| {
            watch.images.iter_mut().for_each(|image| image.next_at = None);
            Ok(())
        };
        watches.update(watch.app.as_str(), due).await.expect("saved");
    }
    again(bench).await
}

/// The watcher turns once.
async fn again(bench: &Bench) -> ImageWatch {
    ImageWatcher::new(bench.ground.clone()).run().await.expect("runs");
    bench.ground.store.image_watches.list().expect("lists")[0].value.clone()
}

fn told(bench: &Bench) -> usize {
    let events = bench.ground.store.events.list().expect("lists");
    events.iter().filter(|event| event.fact.kind() == "newer_image_found").count()
}

#[tokio::test]
async fn a_newer_image_is_told_once() {
    let bench = Bench::new().await;
    live(&bench).await;
    let before = asked(&bench);
    set(&bench, OnNewImage::Notify, None).await;
    let watch = turn(&bench).await;
    assert!(!watch.has_newer() && watch.images[0].newest.as_deref() == Some(OLD), "{watch:?}");
    again(&bench).await;
    assert_eq!(asked(&bench), before + 1, "not before its time");
    registry_has(&bench, NEW);
    for _ in 0..3 {
        assert!(turn(&bench).await.has_newer());
    }
    assert_eq!((told(&bench), deployments(&bench).len()), (1, 1));
    let app = Apps::new(bench.ground.clone())
        .get(&bench.owner, "blog")
        .await
        .expect("it is there");
    assert!(app.newer_image);
    set(&bench, OnNewImage::Off, None).await;
    let before = asked(&bench);
    turn(&bench).await;
    assert_eq!(asked(&bench), before);
}

#[tokio::test]
async fn a_newer_image_waits_and_is_deployed_once() {
    let bench = Bench::new().await;
    live(&bench).await;
    let never = DeployWindow {
        cron: "0 0 29 2 *".into(),
        zone: "UTC".into(),
        minutes: 1,
    };
    set(&bench, OnNewImage::Deploy, Some(never)).await;
    registry_has(&bench, NEW);
    assert_eq!(turn(&bench).await.waiting.as_deref(), Some("it waits for its window"));
    let apps = Apps::new(bench.ground.clone());
    set(&bench, OnNewImage::Deploy, None).await;
    apps.lock(&bench.owner, "blog", "release week".into(), None).await.expect("locked");
    let waiting = again(&bench).await.waiting.unwrap_or_default();
    assert!(waiting.starts_with("it waits: deployments are locked by"), "{waiting}");
    apps.unlock(&bench.owner, "blog").await.expect("unlocked");
    apps.stop(&bench.owner, "blog").await.expect("stopped");
    assert_eq!(again(&bench).await.waiting.as_deref(), Some("it waits until the app is started"));
    assert_eq!((told(&bench), deployments(&bench).len()), (0, 1));
    apps.start(&bench.owner, "blog").await.expect("started");
    assert_eq!(again(&bench).await.waiting, None);
    settle(&bench).await;
    let all = deployments(&bench);
    let expected = Cause::NewImage {
        image: "registry.test/blog:1".into(),
        digest: NEW.into(),
    };
    assert_eq!((all.len(), &all[1].cause), (2, &expected));
    assert!(!turn(&bench).await.has_newer());

    // Somebody goes back: the same image is not brought again, the next one is.
    let service = Deployments::new(bench.ground.clone());
    service.roll_back(&bench.owner, "blog", None, false).await.expect("queued");
    settle(&bench).await;
    assert!(turn(&bench).await.has_newer());
    assert_eq!((told(&bench), deployments(&bench).len()), (1, 3));
    registry_has(&bench, "sha256:cccc");
    turn(&bench).await;
    settle(&bench).await;
    assert_eq!((told(&bench), deployments(&bench).len()), (2, 4));
}

#[tokio::test]
async fn what_was_only_told_is_deployed_when_that_is_asked_for() {
    let bench = Bench::new().await;
    live(&bench).await;
    set(&bench, OnNewImage::Notify, None).await;
    registry_has(&bench, NEW);
    turn(&bench).await;
    set(&bench, OnNewImage::Deploy, None).await;
    again(&bench).await;
    settle(&bench).await;
    assert_eq!(deployments(&bench).len(), 2);
}

#[tokio::test]
async fn a_registry_that_wants_rest_gets_it() {
    let bench = Bench::new().await;
    live(&bench).await;
    set(&bench, OnNewImage::Notify, None).await;
    bench.node.orders.lock().expect("test").registry_rests = Some(3600);
    let watch = turn(&bench).await;
    let image = &watch.images[0];
    let rest = image.next_at.expect("it is asked again").since(bench.ground.world.now());
    assert!(rest > Duration::from_secs(3500), "{rest:?}");
    assert!(
        image.problem.as_deref().is_some_and(|why| why.contains("no more questions until")),
        "{image:?}"
    );
    let before = asked(&bench);
    ImageWatches::new(bench.ground.clone())
        .check(&bench.owner, "blog")
        .await
        .expect("it says why");
    turn(&bench).await;
    assert_eq!(asked(&bench), before);
}

#[tokio::test]
async fn a_registry_that_is_away_is_asked_more_seldom() {
    let bench = Bench::new().await;
    live(&bench).await;
    set(&bench, OnNewImage::Notify, None).await;
    bench.node.orders.lock().expect("test").digest = None;
    let mut last = Duration::ZERO;
    for failures in 1..=4 {
        let watch = turn(&bench).await;
        let pause = watch.images[0].next_at.expect("it is asked again").since(bench.ground.world.now());
        assert!(pause > last && watch.images[0].failures == failures, "{pause:?} {watch:?}");
        last = pause;
    }
    registry_has(&bench, OLD);
    let image = turn(&bench).await.images.remove(0);
    assert_eq!((image.failures, image.problem), (0, None));
}

#[tokio::test]
async fn what_is_built_has_no_newer_images() {
    let bench = Bench::new().await;
    live(&bench).await;
    let watches = ImageWatches::new(bench.ground.clone());
    let busy = watches.check(&bench.owner, "blog").await;
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let make = |app: &mut types::App| {
        app.source = types::Source::Image {
            reference: format!("registry.test/blog@sha256:{}", "ab".repeat(32)).parse()?,
        };
        Ok(())
    };
    let id = bench.ground.store.apps.list().expect("lists")[0].id.clone();
    bench.ground.store.apps.update(id.as_str(), make).await.expect("saved");
    let wish = ImageWatchWish {
        on_new: OnNewImage::Notify,
        every_minutes: None,
        window: None,
    };
    let refused = watches.set(&bench.owner, "blog", wish).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}
