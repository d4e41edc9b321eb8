//! Tries a new release beside the one that is live: with a share of the requests, for a while, within limits. When it breaks one of them, or
//! its health check fails, the deployment fails, and what is live stays so.

use super::{
    starting::broken,
    step::{Next, Step},
};
use crate::{
    deployments, superseding,
    trials::{self, Places, Trial},
};
use std::time::Duration;
use tokio::time::Instant;
use types::{CanaryReport, Container, DesiredState, Error, Phase, Probe, Release, Result, report};

/// From one look at it to the next. The edge takes requests back without being looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// Probes of a container that may fail in a row.
const PATIENCE: u32 = 2;

impl Step<'_> {
    /// How long the work of this phase is meant to take, whatever a deployment may take.
    pub(super) fn meant_to_take(&self) -> Result<Duration> {
        if self.deployment.phase != Phase::Trying {
            return Ok(Duration::ZERO);
        }
        let app = self.ground.store.apps.get(self.app.id.as_str())?;
        Ok(app
            .canary
            .as_ref()
            .map_or(Duration::ZERO, |canary| Duration::from_secs(canary.seconds.into())))
    }

    /// Where a release goes whose checks passed: to a share of the requests, if that was wished and can be, or live.
    pub(super) async fn after_checks(&self, release: &Release) -> Result<Next> {
        Ok(match self.places(release).await? {
            Some(_) => Next::to(Phase::Trying),
            None => Next::live(release),
        })
    }

    /// Where it is tried. That it is not, although it should be, is said in the log.
    pub(super) async fn places(&self, release: &Release) -> Result<Option<Places>> {
        let app = self.ground.store.apps.get(self.app.id.as_str())?;
        match trials::places(self.ground, &app, release, self.is_rollback()).await? {
            Some(Ok(places)) => Ok(Some(places)),
            Some(Err(why)) => {
                self.log.note(format!("no canary: {why}")).await;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    pub(super) async fn try_out(&self) -> Result<Next> {
        if self.goes_on {
            // What the edge counted is gone with the panel before, and the containers may be too: checked and tried anew.
            return Ok(Next::to(Phase::Checking));
        }
        let release = self.release()?;
        let Some(places) = self.places(&release).await? else {
            return Ok(Next::live(&release));
        };
        let began_at = self
            .deployment
            .steps
            .last()
            .map_or_else(|| self.ground.world.now(), |step| step.started_at);
        let trial = Trial {
            release: release.id.clone(),
            canary: places.canary.clone(),
            since: began_at,
        };
        self.tell_places(&places).await;
        let _share = trials::begin(self.ground, &self.app.id, trial).await?;
        self.watch(&release, &places).await
    }

    async fn tell_places(&self, places: &Places) {
        let hosts: Vec<&str> = places.hosts.iter().map(|host| host.as_str()).collect();
        let words = format!("trying it: {} to {} go to it", places.canary.words(), hosts.join(", "));
        self.log.note(words).await;
        for host in &places.others {
            self.log.note(format!("{host} has a canary of its own, which stays as it is")).await;
        }
    }

    /// Until its time is over, or something ends it before.
    async fn watch(&self, release: &Release, places: &Places) -> Result<Next> {
        let limit = Duration::from_secs(places.canary.seconds.into());
        // One that ended is to be seen soon, however seldom its health is asked for.
        let interval = Duration::from_secs(release.health.interval_seconds.clamp(1, 10).into());
        let replicas = release.room_for(self.ground.store.apps.get(self.app.id.as_str())?.replicas);
        let (began, mut probed, mut failures, mut seen) = (Instant::now(), Instant::now(), 0, None);
        while began.elapsed() < limit {
            tokio::time::sleep(PAUSE.min(limit)).await;
            if let Some(end) = self.overtaken()? {
                return Ok(end);
            }
            seen = self.seen(release).await?.or(seen);
            if let Some(why) = seen.as_ref().and_then(|seen| seen.failed.as_ref()) {
                return Err(Error::unavailable(format!("the canary failed: {why}")));
            }
            if probed.elapsed() >= interval {
                self.look_after(release, replicas, &mut failures).await?;
                probed = Instant::now();
            }
        }
        self.log.note(how_it_did(seen.as_ref(), places)).await;
        self.grow(release, replicas).await?;
        Ok(Next::live(release))
    }

    /// The app may have been given more containers meanwhile; all requests come to it from now on.
    async fn grow(&self, release: &Release, had: u32) -> Result<()> {
        let wanted = release.room_for(self.ground.store.apps.get(self.app.id.as_str())?.replicas);
        for replica in had..wanted {
            crate::containers::bring_up(self.ground, self.app, release, replica).await?;
            self.check_replica(release, replica).await?;
        }
        Ok(())
    }

    /// How it does by the edge, over all hosts. `None`: no route has it.
    async fn seen(&self, release: &Release) -> Result<Option<CanaryReport>> {
        let all = self.ground.node.edge_canaries().await?;
        Ok(all.into_iter().find(|one| one.release.as_ref() == Some(&release.id)))
    }

    /// Why it ends although nothing is wrong with it: somebody wants something else by now.
    fn overtaken(&self) -> Result<Option<Next>> {
        let app = self.ground.store.apps.get(self.app.id.as_str())?;
        if app.desired == DesiredState::Stopped {
            return Ok(Some(Next::ends(Phase::Cancelled, "the app was stopped while its canary was tried")));
        }
        if app.last_deployment.as_ref() == Some(&self.deployment.id) {
            return Ok(None);
        }
        let waiting = deployments::waiting_of(self.ground, &app.id)?;
        let newer = waiting.iter().find(|newer| {
            newer.number > self.deployment.number && !newer.cancel_requested && superseding::ends_trial(self.deployment, newer)
        });
        Ok(newer.map(|newer| {
            let why = format!("#{} came before its canary was over", newer.number);
            Next::ends(Phase::Superseded, why)
        }))
    }

    /// Fails when one of its containers does not serve any more. An engine that does not answer says nothing of them.
    async fn look_after(&self, release: &Release, replicas: u32, failures: &mut u32) -> Result<()> {
        let Ok(all) = self.ground.node.containers().await else {
            return Ok(());
        };
        let mut ill = None;
        for replica in 0..replicas {
            let is_it = |container: &&Container| container.owner.release == release.id && container.owner.replica == replica;
            let Some(container) = all.iter().find(is_it) else {
                return Err(Error::unavailable("the canary failed: its container is gone; somebody removed it"));
            };
            if let Some(why) = broken(release, container) {
                return Err(Error::unavailable(format!("the canary failed: {why}")));
            }
            if !container.state.is_running() {
                ill = Some(container.state.words());
            } else if release.health.probe != Probe::Running
                && let Err(error) = self.probe(release, container, Instant::now()).await
            {
                ill = Some(report(&error));
            }
        }
        match ill {
            None => *failures = 0,
            Some(why) if *failures >= PATIENCE => {
                return Err(Error::unavailable(format!("the canary failed: it is not healthy any more: {why}")));
            }
            Some(_) => *failures += 1,
        }
        Ok(())
    }
}

/// What is said of one that did not fail.
fn how_it_did(seen: Option<&CanaryReport>, places: &Places) -> String {
    let least = places.canary.limits.min_requests.max(1);
    match seen {
        Some(seen) if seen.requests >= u64::from(least) => {
            let p95 = seen
                .p95_millis
                .map(|millis| format!(", 95 of 100 within {millis} ms"))
                .unwrap_or_default();
            format!(
                "the canary did well: {} requests, {} of them failed{p95}",
                seen.requests, seen.errors
            )
        }
        seen => format!(
            "only {} requests came to the canary, {} of them failed, too few to judge it by ({least} are needed); its health checks passed",
            seen.map_or(0, |seen| seen.requests),
            seen.map_or(0, |seen| seen.errors)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{CanaryLimits, ReleaseCanary, Time, World};

    #[test]
    fn how_a_canary_did_in_words() {
        let places = Places {
            canary: ReleaseCanary {
                percent: 10,
                seconds: 600,
                limits: CanaryLimits::default(),
            },
            hosts: Vec::new(),
            others: Vec::new(),
        };
        let seen = |requests, errors, p95_millis| CanaryReport {
            host: "blog.test".parse().expect("a host"),
            app: World::system().id(),
            since: Time(0),
            requests,
            errors,
            p95_millis,
            failed: None,
            release: Some(World::system().id()),
        };
        let check = |seen: Option<CanaryReport>, words: &str| assert_eq!(how_it_did(seen.as_ref(), &places), words);
        check(
            Some(seen(50, 2, Some(20))),
            "the canary did well: 50 requests, 2 of them failed, 95 of 100 within 20 ms",
        );
        check(Some(seen(70, 0, None)), "the canary did well: 70 requests, 0 of them failed");
        let few = |n: u64| {
            format!(
                "only {n} requests came to the canary, 0 of them failed, too few to judge it by (50 are needed); its health checks passed"
            )
        };
        check(Some(seen(49, 0, Some(20))), &few(49));
        check(None, &few(0));
        assert_eq!(places.canary.words(), "10 of 100 requests for 10 min");
    }
}
