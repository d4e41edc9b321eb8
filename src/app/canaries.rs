//! Canaries of domains that have failed. The edge takes the requests back by itself; here that is recorded and told, so that they stay back over
//! a restart of the panel and a deployment of the canary's app, until somebody sets the canary again.

use crate::{ground::Ground, routing};
use std::{sync::Arc, time::Duration};
use types::{Actor, CanaryFailure, CanaryReport, Domain, Error, Fact, Result, report};

/// From one look at the edge to the next. It has the requests back before.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at the edge's canaries for ever.
pub(crate) async fn watch(ground: Arc<Ground>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = look(&ground).await {
            tracing::warn!("looking at canaries: {}", report(&error));
        }
    }
}

pub(crate) async fn look(ground: &Ground) -> Result<()> {
    for canary in ground.node.edge_canaries().await? {
        // A release that is tried is the business of its deployment.
        if canary.release.is_none()
            && let Some(why) = canary.failed.clone()
        {
            record(ground, &canary, why).await?;
        }
    }
    Ok(())
}

/// Keeps it beside the domain, unless somebody has set the canary again meanwhile.
async fn record(ground: &Ground, seen: &CanaryReport, why: String) -> Result<()> {
    let Some(mut stored) = ground.store.domains.find(seen.host.as_str())? else {
        return Ok(());
    };
    let is_it = |canary: &&mut types::Canary| canary.app == seen.app && canary.since == seen.since && canary.failed.is_none();
    let Some(canary) = stored.value.canary.as_mut().filter(is_it) else {
        return Ok(());
    };
    canary.failed = Some(CanaryFailure {
        at: ground.world.now(),
        why: why.clone(),
        requests: seen.requests,
        errors: seen.errors,
        p95_millis: seen.p95_millis,
    });
    let fact = Fact::CanaryFailed {
        app: stored.app.clone(),
        host: stored.host.clone(),
        name: match ground.store.apps.find(seen.app.as_str())? {
            Some(app) => app.name.to_string(),
            None => seen.app.to_string(),
        },
        why,
    };
    let actor = Actor::system(stored.organization.clone());
    match ground.store.domains.save(stored).await {
        // Somebody was faster; the next look finds what is so then.
        Err(Error::Stale { .. } | Error::NotFound { .. }) => return Ok(()),
        other => other?,
    };
    ground.events.emit(&actor, fact).await;
    ground.wake_reconcile();
    routing::apply(ground).await
}

/// How the domain's canary did that has failed, in the edge's words: it is not in the table any more.
pub(crate) fn failed(domain: &Domain) -> Option<CanaryReport> {
    let canary = domain.canary.as_ref()?;
    let failure = canary.failed.as_ref()?;
    Some(CanaryReport {
        host: domain.host.clone(),
        app: canary.app.clone(),
        since: canary.since,
        requests: failure.requests,
        errors: failure.errors,
        p95_millis: failure.p95_millis,
        failed: Some(failure.why.clone()),
        release: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Apps, Traffic,
        testing::Bench,
        tests::{settle, wish},
    };
    use types::{AppId, Canary, CanaryLimits, Target};

    /// Whether the edge has the canary.
    fn is_tried(bench: &Bench) -> bool {
        let config = routing::compute(&bench.ground, None).expect("computes");
        let route = config.routes.iter().find(|(host, _)| host.as_str() == "blog.localhost");
        let (_, route) = route.expect("the domain has a route");
        assert!(matches!(route.target, Target::Upstreams(_)), "{:?}", route.target);
        route.canary.is_some()
    }

    #[tokio::test]
    async fn one_that_failed_stays_so_until_it_is_set_again() {
        let bench = Bench::new().await;
        let (apps, traffic) = (Apps::new(bench.ground.clone()), Traffic::new(bench.ground.clone()));
        for name in ["blog", "next"] {
            apps.create(&bench.owner, wish(name)).await.expect("made");
            settle(&bench, name).await;
        }
        let canary = |app: AppId| Canary {
            app,
            percent: 50,
            header: None,
            limits: CanaryLimits::default(),
            since: types::Time::default(),
            failed: None,
        };
        let host = "blog.localhost";
        let set = traffic.set_canary(&bench.owner, host, Some("next"), canary).await.expect("set");
        assert!(is_tried(&bench));
        let set = set.canary.expect("it has one");
        let failed = CanaryReport {
            host: host.parse().expect("a host"),
            app: set.app.clone(),
            since: set.since,
            requests: 100,
            errors: 7,
            p95_millis: Some(20),
            failed: Some("7 of 100 requests failed, and 5 may".into()),
            release: None,
        };
        bench.node.orders.lock().expect("test").canaries = vec![failed.clone()];
        look(&bench.ground).await.expect("looks");
        look(&bench.ground).await.expect("looks");
        assert!(!is_tried(&bench));
        let told = |bench: &Bench| {
            let all = bench.ground.store.events.last(50).expect("lists").into_iter();
            all.filter(|event| matches!(event.fact, Fact::CanaryFailed { .. }))
                .map(|event| event.fact.words())
                .collect::<Vec<_>>()
        };
        let words = "took blog.localhost back from the canary next: 7 of 100 requests failed, and 5 may";
        assert_eq!(told(&bench), [words]);

        // A restart, with an edge that knows of nothing.
        bench.node.orders.lock().expect("test").canaries = Vec::new();
        drop((apps, traffic));
        let bench = bench.again().await;
        crate::containers::look(&bench.ground).await.expect("looks");
        assert!(!is_tried(&bench));
        let traffic = Traffic::new(bench.ground.clone());
        let domain = traffic.domain(&bench.owner, host).await.expect("found");
        let shown = super::failed(&domain).expect("it is shown");
        assert_eq!(shown, failed);

        // The same wish again is another try, whatever is still said of the first.
        tokio::time::sleep(Duration::from_millis(5)).await;
        traffic.set_canary(&bench.owner, host, Some("next"), canary).await.expect("set");
        bench.node.orders.lock().expect("test").canaries = vec![failed];
        look(&bench.ground).await.expect("looks");
        assert!(is_tried(&bench));
    }
}
