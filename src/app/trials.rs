//! Releases that are tried: beside the one that is live, with a share of the requests. Which are is not on disk: a deployment says it as
//! long as it tries one, so that a share goes back with whatever ends that. The edge counts, and takes the share back when it fails.

use crate::{containers, containers::must_stop_first, ground::Ground, releases, routing};
use types::{App, AppId, Container, DesiredState, Domain, HostPattern, Release, ReleaseCanary, ReleaseId, Result, Time};

/// One under way.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    pub release: ReleaseId,
    pub canary: ReleaseCanary,
    pub since: Time,
}

/// Where a release is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    pub canary: ReleaseCanary,
    pub hosts: Vec<HostPattern>,
    /// Hosts with a canary of their own.
    pub others: Vec<HostPattern>,
}

/// A release with its share. When this is dropped the next [`routing::apply`] takes that back.
pub(crate) struct Share<'a> {
    ground: &'a Ground,
    app: AppId,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.ground.routing.end_trial(&self.app);
    }
}

/// Sends a share of the app's requests to the release from now on.
pub(crate) async fn begin<'a>(ground: &'a Ground, app: &AppId, trial: Trial) -> Result<Share<'a>> {
    // The new containers have to be seen before routes can lead to them.
    containers::look(ground).await?;
    ground.routing.begin_trial(app, trial);
    let share = Share { ground, app: app.clone() };
    routing::apply(ground).await?;
    Ok(share)
}

/// Whether a release of the domain's app can be tried on it: its requests come to the edge, and no other app is tried on them.
pub(crate) fn is_place(domain: &Domain) -> bool {
    goes_through_the_edge(domain) && !has_own(domain)
}

fn goes_through_the_edge(domain: &Domain) -> bool {
    domain.passthrough.is_none() && domain.service.is_none()
}

fn has_own(domain: &Domain) -> bool {
    domain.canary.as_ref().is_some_and(|canary| canary.failed.is_none())
}

/// Where a new release of the app is tried; in words why it is not; `None`: nobody asked for it.
pub(crate) async fn places(
    ground: &Ground,
    app: &App,
    new: &Release,
    is_rollback: bool,
) -> Result<Option<std::result::Result<Places, String>>> {
    let Some(canary) = &app.canary else { return Ok(None) };
    let live = releases::live(ground, app)?;
    let seen = containers::look(ground).await?;
    if let Some(why) = obstacle(app, live.as_ref(), new, &seen, is_rollback) {
        return Ok(Some(Err(why.to_owned())));
    }
    let domains = ground.store.domains.list()?.into_iter().map(|stored| stored.value);
    let own: Vec<Domain> = domains
        .filter(|domain| domain.app == app.id && goes_through_the_edge(domain))
        .collect();
    let (others, free): (Vec<Domain>, Vec<Domain>) = own.into_iter().partition(has_own);
    let hosts = |domains: Vec<Domain>| -> Vec<HostPattern> { domains.into_iter().map(|domain| domain.host).collect() };
    let places = Places {
        canary: canary.clone(),
        hosts: hosts(free),
        others: hosts(others),
    };
    Ok(Some(match (places.hosts.is_empty(), places.others.is_empty()) {
        (false, _) => Ok(places),
        (true, true) => Err("no domain leads to it through the edge".to_owned()),
        (true, false) => Err("its domains have canaries of their own, which stay as they are".to_owned()),
    }))
}

/// Why a release cannot be tried beside what is live.
fn obstacle(app: &App, live: Option<&Release>, new: &Release, seen: &[Container], is_rollback: bool) -> Option<&'static str> {
    if is_rollback {
        return Some("the way back goes live at once");
    }
    if new.stack.is_some() {
        return Some("an app of several services goes live as a whole");
    }
    let Some(live) = live else {
        return Some("nothing is live yet, beside which it could be tried");
    };
    if must_stop_first(new) {
        return Some("what was live had to stop first, because both would write to the same volume");
    }
    let serves = |container: &Container| live.serves_with(container) && container.state.is_running();
    if app.desired == DesiredState::Stopped || app.asleep.is_some() || !seen.iter().any(serves) {
        return Some("what is live does not run, so it could not have the other requests");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AppChange, Apps, Deployer, Deployments, MountWish, NewApp, Reconciler, Traffic, VolumeName, builders,
        testing::Bench,
        tests::{reconcile, settle, wish},
    };
    use jobs::Job;
    use std::time::Duration;
    use types::{Canary, CanaryLimits, CanaryReport, Deployment, DeploymentId, EdgeCanary, HealthCheck, Phase, Target};

    const HOST: &str = "blog.localhost";

    /// A panel with a live app whose new releases are tried for so long.
    async fn bench(seconds: u32) -> Bench {
        let bench = Bench::new().await;
        make(&bench, wish("blog")).await;
        settle(&bench, "blog").await;
        tries_for(&bench, seconds).await;
        bench
    }

    async fn make(bench: &Bench, wish: NewApp) {
        Apps::new(bench.ground.clone()).create(&bench.owner, wish).await.expect("made");
    }

    async fn change(bench: &Bench, change: AppChange) {
        Apps::new(bench.ground.clone())
            .update(&bench.owner, "blog", change)
            .await
            .expect("changed");
    }

    async fn tries_for(bench: &Bench, seconds: u32) {
        let canary = ReleaseCanary {
            percent: 10,
            seconds,
            limits: CanaryLimits::default(),
        };
        let wish = AppChange {
            canary: Some(Some(canary)),
            ..AppChange::default()
        };
        change(bench, wish).await;
    }

    async fn deploy(bench: &Bench) -> DeploymentId {
        let orders = Deployments::new(bench.ground.clone());
        let view = orders.create(&bench.owner, "blog", Default::default()).await.expect("queued");
        view.deployment.id
    }

    async fn deployment(bench: &Bench, id: &DeploymentId) -> Deployment {
        let orders = Deployments::new(bench.ground.clone());
        orders.get(&bench.owner, id.as_str()).await.expect("is there").deployment
    }

    /// What the edge has of it.
    fn share(bench: &Bench) -> Option<EdgeCanary> {
        let edge = bench.node.edge.lock().expect("test");
        let route = edge.routes.get(&HOST.parse().expect("a host")).expect("the domain has a route");
        route.canary.as_deref().cloned()
    }

    /// Lets the loops turn until the deployment's release has its share.
    async fn tried(bench: &Bench, id: &DeploymentId) -> EdgeCanary {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            Deployer::new(bench.ground.clone()).run().await.expect("runs");
            Reconciler::new(bench.ground.clone()).run().await.expect("runs");
            let now = deployment(bench, id).await;
            if let (Phase::Trying, Some(share)) = (now.phase, share(bench)) {
                return share;
            }
            assert!(tokio::time::Instant::now() < deadline, "it is {:?}: {:?}", now.phase, now.error);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn log(bench: &Bench, id: &DeploymentId) -> String {
        let orders = Deployments::new(bench.ground.clone());
        let page = orders.log(&bench.owner, id.as_str(), 0, 1000).await.expect("it has a log");
        let lines: Vec<String> = page.lines.into_iter().map(|one| one.line.text).collect();
        lines.join("\n")
    }

    fn live(bench: &Bench) -> Option<ReleaseId> {
        let apps = bench.ground.store.apps.list().expect("lists");
        apps.into_iter()
            .find(|app| app.name.as_str() == "blog")
            .and_then(|app| app.value.release)
    }

    /// How the canary does, by the edge.
    fn seen(share: &EdgeCanary, requests: u64, errors: u64, failed: Option<&str>) -> CanaryReport {
        CanaryReport {
            host: HOST.parse().expect("a host"),
            app: share.app.clone(),
            since: share.since,
            requests,
            errors,
            p95_millis: Some(20),
            failed: failed.map(str::to_owned),
            release: share.release.clone(),
        }
    }

    /// What was live stays so, alone, and has all requests.
    async fn is_taken_back(bench: &Bench, before: &(Option<ReleaseId>, Vec<String>)) {
        reconcile(bench).await;
        assert_eq!((&live(bench), &bench.node.running()), (&before.0, &before.1));
        assert_eq!(share(bench), None);
    }

    #[tokio::test]
    async fn one_that_fails_goes_and_what_was_live_stays() {
        let bench = bench(300).await;
        let before = (live(&bench), bench.node.running());
        let id = deploy(&bench).await;
        let share = tried(&bench, &id).await;
        let release = deployment(&bench, &id).await.release;
        assert_eq!((&share.release, share.percent), (&release, 10));
        assert!(matches!(share.target, Target::Upstreams(_)), "{:?}", share.target);
        assert_ne!(Some(share.target.clone()), bench.node.target_of(HOST));
        assert_eq!(bench.node.running().len(), 2);
        // It takes nobody's turn while it only waits.
        assert_eq!(builders::count_here(&bench.ground.running), 0);
        let why = "12 of 100 requests failed, and 5 may";
        bench.node.orders.lock().expect("test").canaries = vec![seen(&share, 100, 12, Some(why))];
        let (phase, error) = settle(&bench, "blog").await;
        assert_eq!((phase, error), (Phase::Failed, Some(format!("the canary failed: {why}"))));
        is_taken_back(&bench, &before).await;
        assert!(
            releases::find(&bench.ground, release.as_ref().expect("made"))
                .expect("reads")
                .is_none()
        );
    }

    #[tokio::test]
    async fn one_that_is_ill_meanwhile_fails() {
        let bench = bench(300).await;
        let health = HealthCheck {
            interval_seconds: 1,
            ..HealthCheck::default()
        };
        let wish = AppChange {
            health: Some(health),
            ..AppChange::default()
        };
        change(&bench, wish).await;
        let before = (live(&bench), bench.node.running());
        let id = deploy(&bench).await;
        tried(&bench, &id).await;
        bench.node.orders.lock().expect("test").unhealthy = Some("it hangs".into());
        let (phase, error) = settle(&bench, "blog").await;
        assert_eq!(phase, Phase::Failed);
        let error = error.unwrap_or_default();
        assert!(error.contains("not healthy any more: it hangs"), "{error}");
        is_taken_back(&bench, &before).await;
    }

    #[tokio::test]
    async fn one_that_does_well_goes_live() {
        let bench = bench(2).await;
        let id = deploy(&bench).await;
        let share = tried(&bench, &id).await;
        bench.node.orders.lock().expect("test").canaries = vec![seen(&share, 60, 1, None)];
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        assert_eq!(live(&bench), share.release);
        reconcile(&bench).await;
        assert_eq!((bench.node.running().len(), self::share(&bench)), (1, None));
        let log = log(&bench, &id).await;
        assert!(
            log.contains("trying it: 10 of 100 requests for 2 s to blog.localhost go to it"),
            "{log}"
        );
        assert!(log.contains("the canary did well: 60 requests, 1 of them failed"), "{log}");
    }

    #[tokio::test]
    async fn what_is_wished_meanwhile_ends_it() {
        // Cancelled, stopped, and a newer deployment.
        for ending in [Phase::Cancelled, Phase::Failed, Phase::Superseded] {
            let bench = bench(300).await;
            let before = (live(&bench), bench.node.running());
            let id = deploy(&bench).await;
            tried(&bench, &id).await;
            let (expected, words) = match ending {
                Phase::Cancelled => {
                    let orders = Deployments::new(bench.ground.clone());
                    orders.cancel(&bench.owner, id.as_str()).await.expect("asked");
                    (Phase::Cancelled, None)
                }
                Phase::Failed => {
                    Apps::new(bench.ground.clone()).stop(&bench.owner, "blog").await.expect("asked");
                    (Phase::Cancelled, Some("the app was stopped while its canary was tried"))
                }
                _ => {
                    let none = AppChange {
                        canary: Some(None),
                        ..AppChange::default()
                    };
                    change(&bench, none).await;
                    deploy(&bench).await;
                    (Phase::Superseded, Some("#3 came before its canary was over"))
                }
            };
            settle(&bench, "blog").await;
            let over = deployment(&bench, &id).await;
            assert_eq!((over.phase, over.error.as_deref()), (expected, words));
            match ending {
                Phase::Cancelled => is_taken_back(&bench, &before).await,
                Phase::Failed => {
                    reconcile(&bench).await;
                    assert_eq!(live(&bench), before.0);
                }
                _ => {
                    reconcile(&bench).await;
                    assert_ne!(live(&bench), before.0);
                    assert_eq!(bench.node.running().len(), 1);
                }
            }
        }
    }

    #[tokio::test]
    async fn after_a_restart_it_is_checked_and_tried_anew() {
        let bench = bench(300).await;
        let id = deploy(&bench).await;
        tried(&bench, &id).await;
        bench.ground.running.stopped_for_test().await;
        let bench = bench.again().await;
        // Until its deployment goes on, it has no share.
        Reconciler::new(bench.ground.clone()).run().await.expect("runs");
        assert_eq!(share(&bench), None);
        assert_eq!(bench.node.running().len(), 2, "its container is kept");
        tries_for(&bench, 1).await;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let steps: Vec<Phase> = deployment(&bench, &id).await.steps.iter().map(|step| step.phase).collect();
        let end = [Phase::Checking, Phase::Trying, Phase::Checking, Phase::Trying, Phase::Live];
        assert!(steps.ends_with(&end), "{steps:?}");
    }

    #[tokio::test]
    async fn it_outlives_many_restarts() {
        let mut bench = bench(300).await;
        let id = deploy(&bench).await;
        for _ in 0..8 {
            tried(&bench, &id).await;
            bench.ground.running.stopped_for_test().await;
            bench = bench.again().await;
        }
        tries_for(&bench, 1).await;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
    }

    #[tokio::test]
    async fn an_app_does_not_sleep_while_one_is_tried() {
        let bench = bench(300).await;
        let sleeps = AppChange {
            sleep_after_minutes: Some(Some(30)),
            ..AppChange::default()
        };
        change(&bench, sleeps).await;
        let apps = Apps::new(bench.ground.clone());
        let app = apps.get(&bench.owner, "blog").await.expect("is there").app;
        let id = deploy(&bench).await;
        tried(&bench, &id).await;
        // As when a newer deployment was cancelled meanwhile.
        let other = |now: &mut App| {
            now.last_deployment.clone_from(&app.last_deployment);
            Ok(())
        };
        bench.ground.store.apps.update(app.id.as_str(), other).await.expect("saved");
        let refused = apps.sleep(&bench.owner, "blog").await.expect_err("refused").to_string();
        assert!(refused.contains("a deployment is under way"), "{refused}");
        let orders = Deployments::new(bench.ground.clone());
        orders.cancel(&bench.owner, id.as_str()).await.expect("asked");
    }

    /// Where it cannot be, the log says why, and the release goes live at once.
    #[tokio::test]
    async fn what_cannot_be_tried_says_why() {
        async fn check(bench: &Bench, words: &str) {
            let id = deploy(bench).await;
            assert_eq!(settle(bench, "blog").await, (Phase::Live, None));
            let steps = deployment(bench, &id).await.steps;
            assert!(steps.iter().all(|step| step.phase != Phase::Trying), "{words}: {steps:?}");
            let log = log(bench, &id).await;
            assert!(log.contains(&format!("no canary: {words}")), "{words}: {log}");
        }
        let first = Bench::new().await;
        let undeployed = NewApp {
            deploy: false,
            ..wish("blog")
        };
        make(&first, undeployed).await;
        tries_for(&first, 300).await;
        check(&first, "nothing is live yet").await;

        let no_domain = Bench::new().await;
        let hidden = NewApp {
            domains: Some(Vec::new()),
            ..wish("blog")
        };
        make(&no_domain, hidden).await;
        settle(&no_domain, "blog").await;
        tries_for(&no_domain, 300).await;
        check(&no_domain, "no domain leads to it through the edge").await;

        let writes = Bench::new().await;
        let mount = MountWish {
            volume: VolumeName::Name("data".parse().expect("a name")),
            path: "/data".parse().expect("a path"),
            read_only: false,
        };
        // Volumes that come later than the wish.
        make(&writes, wish("blog")).await;
        settle(&writes, "blog").await;
        tries_for(&writes, 300).await;
        let writer = AppChange {
            mounts: Some(vec![mount]),
            ..AppChange::default()
        };
        change(&writes, writer).await;
        check(&writes, "what was live had to stop first").await;

        let own = bench(300).await;
        make(&own, wish("next")).await;
        settle(&own, "next").await;
        let other = |app| Canary {
            app,
            percent: 50,
            header: None,
            limits: CanaryLimits::default(),
            since: Time::default(),
            failed: None,
        };
        let traffic = Traffic::new(own.ground.clone());
        traffic.set_canary(&own.owner, HOST, Some("next"), other).await.expect("set");
        check(&own, "its domains have canaries of their own").await;
        let left = share(&own).expect("the domain's own stays");
        assert_eq!((left.release, left.percent), (None, 50));
    }

    #[tokio::test]
    async fn a_way_back_is_not_tried() {
        let bench = bench(300).await;
        let none = AppChange {
            canary: Some(None),
            ..AppChange::default()
        };
        change(&bench, none).await;
        deploy(&bench).await;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        tries_for(&bench, 300).await;
        let orders = Deployments::new(bench.ground.clone());
        let back = orders
            .roll_back(&bench.owner, "blog", None, false)
            .await
            .expect("queued")
            .deployment
            .id;
        assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
        let log = log(&bench, &back).await;
        assert!(log.contains("no canary: the way back goes live at once"), "{log}");
    }

    /// What is tried goes with its deployment, so nobody can go back to it.
    #[tokio::test]
    async fn there_is_no_way_back_to_what_is_tried() {
        let bench = bench(300).await;
        let id = deploy(&bench).await;
        tried(&bench, &id).await;
        let orders = Deployments::new(bench.ground.clone());
        let refused = orders.roll_back(&bench.owner, "blog", Some("2"), false).await;
        let why = refused.expect_err("refused").to_string();
        assert!(why.contains("release #2 is just being deployed"), "{why}");
        orders.cancel(&bench.owner, id.as_str()).await.expect("asked");
        settle(&bench, "blog").await;
    }
}
