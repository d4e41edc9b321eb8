//! The way back from a release that keeps exiting soon after it went live: to what was live before, by the panel itself. Only once: what is
//! live by a way back, whoever asked for that, is given up on like any other, so that two releases do not take turns.

use crate::{
    Wanted,
    apps::is_active,
    deployments::{self, moved},
    ground::Ground,
    quotas, release_images, releases,
};
use std::time::Duration;
use store::Batch;
use types::{Actor, App, Cause, Container, Deployment, Fact, Phase, Reach, Release, Result, report};

/// Where a release goes back to that is given up on soon after it went live.
pub(crate) enum WayBack {
    Open(Box<Release>),
    /// In words why it stays as it is, although it should go back.
    Barred(String),
}

/// `None`: it is not to go back by itself, or nothing was live before.
pub(crate) async fn way_back(ground: &Ground, app: &App, live: &Release, container: &Container) -> Result<Option<WayBack>> {
    let deployments = ground.store.deployments.prefix(&format!("{}/", app.id))?;
    let deployments: Vec<Deployment> = deployments.into_iter().map(|stored| stored.value).collect();
    if !is_soon(ground, app, live, &deployments) {
        return Ok(None);
    }
    let Some(target) = releases::live_before(ground, app) else {
        return Ok(None);
    };
    let Some(target) = releases::find(ground, &target)? else {
        return Ok(None);
    };
    // A service that did not change would go on exiting.
    if target.owns(container) {
        return Ok(None);
    }
    if let Some(other) = deployments.iter().find(|one| is_active(one.phase)) {
        // Another service of the app was first: it is the way back.
        if matches!(&other.cause, Cause::Rollback { why: Some(_), .. }) {
            return Ok(None);
        }
        return Ok(Some(WayBack::Barred(format!("#{} is under way", other.number))));
    }
    if let Err(error) = quotas::must_fit_with(ground, Some(app), app, Some(&target)) {
        return Ok(Some(WayBack::Barred(report(&error))));
    }
    Ok(Some(match release_images::lost(ground, &target).await {
        Ok(None) => WayBack::Open(Box::new(target)),
        Ok(Some(why)) => WayBack::Barred(why),
        Err(error) => WayBack::Barred(report(&error)),
    }))
}

/// Whether it went live within the app's time, and not by a way back.
fn is_soon(ground: &Ground, app: &App, live: &Release, deployments: &[Deployment]) -> bool {
    let made_live = |one: &&Deployment| one.phase == Phase::Live && one.release.as_ref() == Some(&live.id);
    let Some(newest) = deployments.iter().filter(made_live).max_by_key(|one| one.number) else {
        return false;
    };
    let within = Duration::from_secs(u64::from(app.rollback_within_minutes) * 60);
    let since = newest.finished_at.map(|at| ground.world.now().since(at));
    !within.is_zero() && since.is_some_and(|since| since <= within) && !matches!(newest.cause, Cause::Rollback { .. })
}

/// Whether nobody has deployed, stopped or trashed it since the way back was found.
pub(crate) fn is_as_it_was(then: &App, now: &App) -> bool {
    let is_same = then.release == now.release && then.last_deployment == now.last_deployment;
    is_same && then.desired == now.desired && now.trashed_at.is_none()
}

/// Adds the deployment that goes back. Domains and ports stay as they are: nobody's wish says how they should be.
pub(crate) fn queue(ground: &Ground, app: &mut App, target: &Release, why: String, batch: Batch) -> Result<Batch> {
    let cause = Cause::Rollback {
        to: target.id.clone(),
        keep_routes: true,
        keep_ports: true,
        reach: Reach::default(),
        kept: Vec::new(),
        why: Some(why),
    };
    let by = Actor::system(app.organization.clone()).who.to_string();
    deployments::queue(ground, by, app, cause, Wanted::Usual, batch)
}

/// Tells of the deployment that was queued, if one was.
pub(crate) async fn tell_queued(ground: &Ground, app: &App) -> Result<()> {
    let newest = app.last_deployment.as_ref().map(|id| deployments::find(ground, id)).transpose()?;
    if let Some(deployment) = newest.flatten().filter(|one| one.phase == Phase::Queued) {
        ground
            .events
            .emit(&Actor::system(app.organization.clone()), moved(app, &deployment))
            .await;
        ground.wake_deploy();
    }
    Ok(())
}

/// Tells that the panel went back by itself, once the deployment has made the release live.
pub(crate) async fn tell_done(ground: &Ground, app: &App, deployment: &Deployment) -> Result<()> {
    let (Phase::Live, Cause::Rollback { to, why: Some(why), .. }) = (deployment.phase, &deployment.cause) else {
        return Ok(());
    };
    if let Some(release) = releases::find(ground, to)? {
        let fact = Fact::RolledBack {
            app: app.id.clone(),
            name: app.name.to_string(),
            number: release.number,
            why: why.clone(),
        };
        ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AppChange, Apps, Deployments, NewApp, NewSource,
        testing::Bench,
        tests::{reconcile, settle, two_services, wish},
    };
    use types::{ContainerState, Halt, ReleaseId};

    /// An app with two releases, the second live, that goes back within so many minutes.
    async fn bench(minutes: u32) -> Bench {
        bench_of(minutes, None).await
    }

    /// With an image of this digest.
    async fn bench_of(minutes: u32, digest: Option<&str>) -> Bench {
        let bench = Bench::new().await;
        bench.node.orders.lock().expect("test").digest = digest.map(str::to_owned);
        let apps = Apps::new(bench.ground.clone());
        apps.create(&bench.owner, wish("blog")).await.expect("made");
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let change = AppChange {
            rollback_within_minutes: Some(minutes),
            ..AppChange::default()
        };
        apps.update(&bench.owner, "blog", change).await.expect("changed");
        deploy(&bench).await;
        bench
    }

    async fn deploy(bench: &Bench) {
        let orders = Deployments::new(bench.ground.clone());
        orders.create(&bench.owner, "blog", Wanted::Usual).await.expect("queued");
        assert_eq!(settle(bench, "blog").await, (Phase::Live, None));
    }

    fn app(bench: &Bench) -> App {
        bench.ground.store.apps.list().expect("lists").remove(0).value
    }

    /// The one that was given up on.
    fn given_up(bench: &Bench) -> Halt {
        let mut halted = app(bench).halted;
        assert_eq!(halted.len(), 1, "{halted:?}");
        halted.remove(0)
    }

    /// Newest first.
    async fn history(bench: &Bench) -> Vec<Deployment> {
        let orders = Deployments::new(bench.ground.clone());
        let all = orders.list(&bench.owner, Some("blog"), false).await.expect("lists");
        let mut all: Vec<Deployment> = all.into_iter().map(|view| view.deployment).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.number));
        all
    }

    fn made_by(all: &[Deployment], number: u64) -> Option<ReleaseId> {
        all.iter().find(|one| one.number == number).and_then(|one| one.release.clone())
    }

    /// What runs exits again and again from now on.
    async fn crash(bench: &Bench) {
        crash_of(bench, |_| true).await;
    }

    async fn crash_of(bench: &Bench, crashes: impl Fn(&Container) -> bool) {
        let mut all = bench.node.containers.lock().expect("test").clone();
        for container in all.values_mut().filter(|one| crashes(one)) {
            container.restarts = 50;
            container.state = ContainerState::Restarting {
                code: 3,
                out_of_memory: false,
            };
        }
        *bench.node.containers.lock().expect("test") = all;
        reconcile(bench).await;
    }

    fn told(bench: &Bench) -> Vec<String> {
        let all = bench.ground.store.events.last(50).expect("lists").into_iter();
        all.filter(|event| matches!(event.fact, Fact::RolledBack { .. }))
            .map(|event| event.fact.words())
            .collect()
    }

    #[tokio::test]
    async fn a_release_that_loops_soon_gives_way_once() {
        let bench = bench(10).await;
        crash(&bench).await;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let all = history(&bench).await;
        assert_eq!((all.len(), app(&bench).release), (3, made_by(&all, 1)));
        let why = "exited with code 3";
        assert!(
            matches!(&all[0].cause, Cause::Rollback { why: Some(said), keep_routes: true, .. } if said == why),
            "{:?}",
            all[0].cause
        );
        assert_eq!((all[0].by.as_str(), app(&bench).halted.len()), ("serverkit", 0));
        assert_eq!(told(&bench), [format!("rolled blog back to #1: {why}")]);

        // The older one loops too: it is given up on, and the newer one does not come back.
        crash(&bench).await;
        crash(&bench).await;
        let halt = given_up(&bench);
        assert_eq!((halt.release, history(&bench).await.len()), (made_by(&all, 1).expect("made"), 3));

        // A new one may go back again.
        deploy(&bench).await;
        crash(&bench).await;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        assert_eq!((app(&bench).release, told(&bench).len()), (made_by(&all, 1), 2));
    }

    #[tokio::test]
    async fn what_is_not_wished_or_not_soon_is_given_up_on() {
        let off = bench(0).await;
        crash(&off).await;
        given_up(&off);
        assert_eq!(history(&off).await.len(), 2);

        let late = bench(10).await;
        let id = app(&late).last_deployment.expect("it was deployed");
        let mut newest = late
            .ground
            .store
            .deployments
            .claimed(id.as_str())
            .expect("reads")
            .expect("is there");
        let long_ago = types::Time(newest.queued_at.0 - 11 * 60 * 1000);
        newest.finished_at = Some(long_ago);
        late.ground.store.deployments.save(newest).await.expect("saved");
        crash(&late).await;
        given_up(&late);
        assert_eq!(history(&late).await.len(), 2);
    }

    #[tokio::test]
    async fn what_was_stopped_or_trashed_meanwhile_does_not_go_back() {
        let bench = bench(10).await;
        let then = app(&bench);
        assert!(is_as_it_was(&then, &then));
        let mut stopped = then.clone();
        stopped.desired = types::DesiredState::Stopped;
        let mut trashed = then.clone();
        trashed.trashed_at = Some(bench.ground.world.now());
        let mut deployed = then.clone();
        deployed.last_deployment = None;
        for now in [stopped, trashed, deployed] {
            assert!(!is_as_it_was(&then, &now), "{now:?}");
        }
    }

    #[tokio::test]
    async fn what_is_under_way_is_not_undone() {
        let bench = bench(10).await;
        let orders = Deployments::new(bench.ground.clone());
        orders.create(&bench.owner, "blog", Wanted::Usual).await.expect("queued");
        crash(&bench).await;
        let why = given_up(&bench).words();
        assert!(
            why.contains("exited with code 3; not rolled back: #3 is under way; not started"),
            "{why}"
        );
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let all = history(&bench).await;
        assert_eq!((all.len(), app(&bench).release), (3, made_by(&all, 3)));
    }

    #[tokio::test]
    async fn an_image_that_is_gone_comes_from_its_registry_or_bars_the_way() {
        let take_off = |bench: &Bench| {
            let mut orders = bench.node.orders.lock().expect("test");
            orders.gone.insert("sha256:nginx:1".into());
        };
        let known = bench_of(10, Some("sha256:aaaa")).await;
        take_off(&known);
        crash(&known).await;
        assert_eq!(settle(&known, "blog").await, (Phase::Live, None));
        let all = history(&known).await;
        assert_eq!((all.len(), app(&known).release), (3, made_by(&all, 1)));
        assert!(known.node.orders.lock().expect("test").gone.is_empty());

        let built = bench(10).await;
        take_off(&built);
        crash(&built).await;
        let why = given_up(&built).why;
        let gone = "; not rolled back: the image nginx:1 in release #1 is gone from this server";
        assert!(why.ends_with(gone), "{why}");
        assert_eq!(history(&built).await.len(), 2);
    }

    fn is_of(service: &str) -> impl Fn(&Container) -> bool {
        move |container| container.owner.service.as_ref().is_some_and(|mark| mark.name == service)
    }

    #[tokio::test]
    async fn a_service_that_changed_gives_way_and_one_that_did_not_is_given_up_on() {
        let bench = Bench::new().await;
        let apps = Apps::new(bench.ground.clone());
        let new = NewApp {
            source: two_services("web:1"),
            ..wish("blog")
        };
        apps.create(&bench.owner, new).await.expect("made");
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let moves_on = async |web: &str| {
            let change = AppChange {
                source: Some(two_services(web)),
                ..AppChange::default()
            };
            apps.update(&bench.owner, "blog", change).await.expect("changed");
            deploy(&bench).await;
        };
        moves_on("web:2").await;
        crash_of(&bench, is_of("web")).await;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let all = history(&bench).await;
        assert_eq!((all.len(), app(&bench).release), (3, made_by(&all, 1)));
        assert_eq!(told(&bench), ["rolled blog back to #1: web: exited with code 3"]);
        assert_eq!(bench.node.running().len(), 2);

        moves_on("web:3").await;
        crash_of(&bench, is_of("db")).await;
        let halt = given_up(&bench);
        assert_eq!((halt.service.as_deref(), history(&bench).await.len()), (Some("db"), 4));
        assert_eq!(told(&bench).len(), 1);
    }

    /// Two services, both from images of this tag.
    fn both(tag: &str) -> NewSource {
        let web = format!("{{image: 'web:{tag}', ports: ['80'], restart: always}}");
        let text = format!("services:\n  web: {web}\n  db: {{image: 'db:{tag}', restart: always}}\n");
        NewSource::Compose {
            text: text.into(),
            profiles: Vec::new(),
            main: None,
            template: None,
        }
    }

    #[tokio::test]
    async fn services_that_loop_at_once_go_back_once_and_are_all_given_up_on() {
        let bench = Bench::new().await;
        let apps = Apps::new(bench.ground.clone());
        let new = NewApp {
            source: both("1"),
            ..wish("blog")
        };
        apps.create(&bench.owner, new).await.expect("made");
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let change = AppChange {
            source: Some(both("2")),
            ..AppChange::default()
        };
        apps.update(&bench.owner, "blog", change).await.expect("changed");
        deploy(&bench).await;

        crash(&bench).await;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let all = history(&bench).await;
        assert_eq!((all.len(), app(&bench).release), (3, made_by(&all, 1)));
        assert_eq!((told(&bench).len(), app(&bench).halted.len()), (1, 0));
        assert_eq!(bench.node.running().len(), 2);

        // The older ones loop too: neither makes the other come back.
        crash(&bench).await;
        for _ in 0..3 {
            reconcile(&bench).await;
            assert_eq!(bench.node.running(), Vec::<String>::new());
        }
        let detail = apps.get(&bench.owner, "blog").await.expect("is there").state_detail;
        let detail = detail.expect("says why");
        let words = |service: &str| format!("{service}: exited with code 3; not started again after 50 restarts");
        assert!(
            app(&bench).halted.len() == 2 && detail.contains(&words("web")) && detail.contains(&words("db")),
            "{detail}"
        );
        assert_eq!((history(&bench).await.len(), told(&bench).len()), (3, 1));
        apps.start(&bench.owner, "blog").await.expect("started");
        assert!(app(&bench).halted.is_empty());
    }
}
