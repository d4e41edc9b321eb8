//! The work of one deployment, from its begin to its end.

use super::{
    abandon, finish, load,
    log::Log,
    save,
    step::{Made, Next, Step},
    work_folder,
};
use crate::{builders::Place, deployments::log_name, ground::Ground, routing};
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::{Batch, Stored};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::{App, AppId, Cause, Deployment, DeploymentId, Error, Phase, Result, report};

/// Work that is begun more often than this ends the panel, or itself, each time: it is given up.
const MOST_BEGUN: u32 = 6;
/// After work that could not even be recorded.
const PAUSE: Duration = Duration::from_secs(1);

/// Leaves the list of running ones however the work ends.
struct Leave(Arc<Ground>, DeploymentId);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.running.leave(&self.1);
        self.0.wake_deploy();
        self.0.wake_reconcile();
    }
}

/// Does the work of one deployment to its end.
pub(super) async fn drive(ground: Arc<Ground>, id: DeploymentId, cancel: CancellationToken) {
    let _leave = Leave(ground.clone(), id.clone());
    if let Err(error) = drive_to_end(&ground, &id, cancel).await {
        tracing::error!("deployment {id}: {}", report(&error));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Closes the logs of what was live already when the panel was stopped or killed: that is over, and nobody takes it up.
pub(super) async fn close_logs(ground: &Arc<Ground>, all: &[Stored<Deployment>]) {
    let mut newest: HashMap<&AppId, &Stored<Deployment>> = HashMap::new();
    for deployment in all.iter().filter(|one| one.phase == Phase::Live) {
        let known = newest.entry(&deployment.app).or_insert(deployment);
        if known.number < deployment.number {
            *known = deployment;
        }
    }
    for deployment in newest.into_values() {
        if let Err(error) = close_log(ground, deployment).await {
            tracing::warn!("closing the log of deployment {}: {}", deployment.id, report(&error));
        }
    }
}

/// Says in it that a command after the deployment may not have come to its end.
async fn close_log(ground: &Arc<Ground>, deployment: &Deployment) -> Result<()> {
    let found = ground.logs.list(&log_name(&deployment.id)).await?;
    let is_open = found.iter().any(|log| !log.finished) && !ground.running.has(&deployment.id);
    let Some(app) = ground.store.apps.find(deployment.app.as_str())?.filter(|_| is_open) else {
        return Ok(());
    };
    let log = Log::open(ground, &deployment.id, &app.organization).await?;
    let ended = "serverkit was restarted before this had come to its end";
    log.note(match (&app.commands.after, &deployment.cause) {
        (None, _) | (_, Cause::Rollback { .. }) => ended.to_owned(),
        (Some(command), _) => format!("{ended}; look whether `{command}` has done its work: it is not run again"),
    })
    .await;
    log.finish().await;
    Ok(())
}

/// Counts that its work begins. Fails with `Busy` when it began too often.
async fn begin(ground: &Ground, id: &DeploymentId) -> Result<()> {
    let one_more = |deployment: &mut Deployment| {
        if deployment.begun >= MOST_BEGUN {
            return Err(Error::busy(format!(
                "its work was begun {MOST_BEGUN} times and broke off each time, the last time while {}; the panel's own log says why",
                deployment.phase.word()
            )));
        }
        deployment.begun += 1;
        Ok(())
    };
    count(ground, id, one_more).await
}

/// Takes that back: who stops the panel breaks nothing off. A canary that is tried for a day may see many restarts.
async fn lay_down(ground: &Ground, id: &DeploymentId) -> Result<()> {
    let one_less = |deployment: &mut Deployment| {
        deployment.begun = deployment.begun.saturating_sub(1);
        Ok(())
    };
    count(ground, id, one_less).await
}

async fn count(ground: &Ground, id: &DeploymentId, change: impl Fn(&mut Deployment) -> Result<()>) -> Result<()> {
    loop {
        let mut deployment = load(ground, id)?;
        change(&mut deployment.value)?;
        match ground.store.commit(Batch::new().save(deployment)).await {
            Err(Error::Stale { .. }) => continue,
            other => return other,
        }
    }
}

/// Takes it from phase to phase until it has ended, or the panel is stopping.
async fn drive_to_end(ground: &Arc<Ground>, id: &DeploymentId, cancel: CancellationToken) -> Result<()> {
    let worn_out = match begin(ground, id).await {
        Err(error @ Error::Busy { .. }) => Some(error),
        Err(error) => return Err(error),
        Ok(()) => None,
    };
    let mut deployment = load(ground, id)?;
    let app = ground.store.apps.get(deployment.app.as_str())?.value;
    let log = Log::open(ground, id, &app.organization).await?;
    if let Some(error) = worn_out {
        deployment = end(ground, &log, deployment, Phase::Failed, Some(report(&error))).await?;
    } else if deployment.phase != Phase::Queued {
        log.note(format!(
            "serverkit was restarted while this was {}; going on from there",
            deployment.phase.word()
        ))
        .await;
    }
    if deployment.cancel_requested {
        cancel.cancel();
    }
    let mut way = Way::new(ground, &app, &log, cancel);
    let mut goes_on = deployment.phase != Phase::Queued;
    while !deployment.phase.is_final() {
        let Some(made) = way.perform(&deployment, std::mem::take(&mut goes_on)).await? else {
            log.note("serverkit is stopping; this goes on when it is back".into()).await;
            log.pause().await;
            return lay_down(ground, id).await;
        };
        deployment = match outcome(ground, &app, made) {
            Ok(next) => way.advance(&deployment, next).await?,
            Err((phase, why)) => end(ground, &log, deployment, phase, why).await?,
        };
    }
    if deployment.phase == Phase::Live {
        way.step(&deployment, false).settle(way.deadline).await?;
    }
    log.finish().await;
    let _ = tokio::fs::remove_dir_all(work_folder(ground, id)).await;
    Ok(())
}

/// The way of one deployment, and until when it has to be gone.
struct Way<'a> {
    ground: &'a Arc<Ground>,
    app: &'a App,
    log: &'a Log,
    cancel: CancellationToken,
    limit: Duration,
    deadline: Instant,
}

impl<'a> Way<'a> {
    fn new(ground: &'a Arc<Ground>, app: &'a App, log: &'a Log, cancel: CancellationToken) -> Way<'a> {
        let limit = Duration::from_secs(app.deploy_timeout_seconds.into());
        Way {
            ground,
            app,
            log,
            cancel,
            limit,
            deadline: Instant::now() + limit,
        }
    }

    fn step<'s>(&self, deployment: &'s Deployment, goes_on: bool) -> Step<'s>
    where
        'a: 's,
    {
        Step {
            ground: self.ground,
            app: self.app,
            deployment,
            log: self.log,
            goes_on,
        }
    }

    /// What the work of its phase made, however that ended; `None`: the panel is stopping.
    async fn perform(&mut self, deployment: &Deployment, goes_on: bool) -> Result<Option<Result<Next>>> {
        let step = self.step(deployment, goes_on);
        // How long a canary is tried is beside what a deployment may take.
        let meant = step.meant_to_take()?;
        let began = Instant::now();
        let made = tokio::select! {
            made = step.perform() => made,
            () = self.cancel.cancelled() => Err(Error::Cancelled),
            () = self.ground.running.stopping.cancelled() => return Ok(None),
            () = tokio::time::sleep_until(self.deadline + meant) => {
                let (seconds, doing) = (self.limit.as_secs(), deployment.phase.word());
                Err(Error::busy(format!("it took longer than {seconds} s while {doing}")))
            }
        };
        if deployment.phase == Phase::Trying {
            self.deadline += began.elapsed();
        }
        Ok(Some(made))
    }

    /// Records where it goes from here.
    async fn advance(&self, deployment: &Stored<Deployment>, next: Next) -> Result<Stored<Deployment>> {
        let (ground, id) = (self.ground, &deployment.id);
        let at = ground.world.now();
        let mut changed = deployment.clone();
        next.change(&mut changed.value);
        if let Some(Place::There(name)) = ground.running.place(id) {
            changed.built_on = Some(name);
        }
        changed.enter(next.phase, at);
        if let Some(Made::Live(release)) = &next.live
            && let Err(error) = routing::go_ahead(ground, &self.app.id, release).await
        {
            tracing::warn!("the route of deployment {id}: {}", report(&error));
        }
        let saved = save(ground, self.app, changed, next.live).await;
        ground.routing.recorded(&self.app.id);
        ground.running.rest(id, next.phase == Phase::Trying);
        if matches!(next.phase, Phase::Starting | Phase::Trying) {
            // A slot of a build server is free, or one of this server.
            ground.wake_deploy();
        }
        saved
    }
}

/// Ends it in another way than live, and says why in its log.
async fn end(
    ground: &Arc<Ground>,
    log: &Log,
    deployment: Stored<Deployment>,
    phase: Phase,
    why: Option<String>,
) -> Result<Stored<Deployment>> {
    log.note(why.clone().unwrap_or_else(|| "cancelled".into())).await;
    abandon(ground, &deployment, log).await;
    finish(ground, deployment, phase, why).await
}

/// Where the work of a phase leads: on, or to another end than live and why.
fn outcome(ground: &Ground, app: &App, made: Result<Next>) -> std::result::Result<Next, (Phase, Option<String>)> {
    match made {
        Ok(next) if next.phase.is_final() && next.phase != Phase::Live => Err((next.phase, next.why)),
        Ok(next) => Ok(next),
        Err(Error::Cancelled) => Err((Phase::Cancelled, None)),
        Err(error) => {
            let why = ground.redactor.redact_for(&app.organization, &report(&error)).into_owned();
            Err((Phase::Failed, Some(why)))
        }
    }
}
