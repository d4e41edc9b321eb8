//! How an app is woken: a request, somebody or a job wishes it, which is recorded; then it is followed until it is well or has failed.

use super::{
    readiness::{NotYet, is_ready},
    start_limit,
};
use crate::{containers, ground::Ground, releases, routing};
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use types::{Actor, App, AppId, Asleep, DesiredState, Error, Fact, FailedWake, Result, Waking, report};

/// The longest pause between two looks at an app that is being woken.
const PAUSE: Duration = Duration::from_millis(500);

/// Sees to it that it wakes, as a request does: not again at once after a failure, nor one that should not run at all.
pub(crate) async fn wake(ground: &Arc<Ground>, id: &AppId, why: &str) -> Result<()> {
    begin(ground, id, why, false).await
}

/// The same because somebody wants it, who need not wait after a failure.
pub(crate) async fn wake_now(ground: &Arc<Ground>, id: &AppId, why: &str) -> Result<()> {
    begin(ground, id, why, true).await
}

async fn begin(ground: &Arc<Ground>, id: &AppId, why: &str, at_once: bool) -> Result<()> {
    let now = ground.world.now();
    let may = |app: &App| {
        let rests = |asleep: &Asleep| !at_once && asleep.failed.as_ref().is_some_and(|failed| now < failed.rests_until());
        app.desired == DesiredState::Running
            && app.trashed_at.is_none()
            && app.asleep.as_ref().is_some_and(|asleep| asleep.waking.is_some() || !rests(asleep))
    };
    // A wish for one that went, is awake or is not to run is no failure.
    let Some(app) = ground.store.apps.find(id.as_str())?.filter(|app| may(app)) else {
        return Ok(());
    };
    if app.sleeps() {
        let set = |app: &mut App| {
            if may(app)
                && let Some(asleep) = &mut app.asleep
                && asleep.waking.is_none()
            {
                asleep.waking = Some(Waking {
                    at: now,
                    why: why.to_owned(),
                });
                app.halted.clear();
            }
            Ok(())
        };
        ground.store.apps.update(id.as_str(), set).await?;
    }
    go_on(ground, id);
    Ok(())
}

/// Waits until it is awake, for who needs its containers. Fails with `Unavailable` when it does not wake.
pub(crate) async fn awake(ground: &Arc<Ground>, id: &AppId, why: &str) -> Result<()> {
    wake_now(ground, id, why).await?;
    loop {
        let asleep = ground.store.apps.find(id.as_str())?.and_then(|app| app.value.asleep);
        match asleep {
            None => return Ok(()),
            Some(Asleep { waking: Some(_), .. }) => tokio::time::sleep(PAUSE).await,
            Some(Asleep { failed, .. }) => {
                let why = failed.map_or_else(|| "it was put to sleep again".into(), |failed| failed.why);
                return Err(Error::unavailable(format!("its app could not be woken: {why}")));
            }
        }
    }
}

/// Listens to the edge for ever: each app that it has requests for is woken.
pub(crate) async fn listen(ground: Arc<Ground>) {
    let mut wanted = ground.node.edge_wanted();
    while let Some(app) = wanted.next().await {
        if let Err(error) = wake(&ground, &app, "a request").await {
            tracing::warn!("waking {app}: {}", report(&error));
        }
    }
}

/// Follows an app that is recorded as being woken, unless that is done already: also after a crash.
pub(super) fn go_on(ground: &Arc<Ground>, id: &AppId) {
    if !ground.sleeping.waking.lock().expect("no panic while held").insert(id.clone()) {
        return;
    }
    let (ground, id) = (ground.clone(), id.clone());
    tokio::spawn(async move {
        if let Err(error) = carry_out(&ground, &id).await {
            tracing::warn!("waking {id}: {}", report(&error));
        }
        ground.sleeping.waking.lock().expect("no panic while held").remove(&id);
        ground.wake_reconcile();
    });
}

async fn carry_out(ground: &Arc<Ground>, id: &AppId) -> Result<()> {
    while ground.sleeping.is_lying_down(id) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ground.wake_reconcile();
    let (began, mut pause) = (Instant::now(), Duration::from_millis(50));
    let mut up_since = None;
    loop {
        let Some(app) = ground.store.apps.find(id.as_str())?.map(|stored| stored.value) else {
            return Ok(());
        };
        let waking = app.asleep.as_ref().and_then(|asleep| asleep.waking.clone());
        // Somebody stopped or deployed it meanwhile.
        let (Some(waking), true) = (waking, app.should_run()) else {
            return Ok(());
        };
        let Some(release) = releases::live(ground, &app)? else {
            return Ok(());
        };
        let limit = start_limit(&release);
        let why = match is_ready(ground, &app, &release, &mut up_since).await {
            Ok(()) => return is_awake(ground, &app, &waking).await,
            Err(NotYet::Never(why)) => return failed(ground, &app, why).await,
            Err(NotYet::Wait(why)) => why,
        };
        if began.elapsed() > limit {
            let problem = ground.observed.load().problems.get(id).cloned();
            let why = format!("not healthy after {} s: {}", limit.as_secs(), problem.unwrap_or(why));
            return failed(ground, &app, why).await;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE);
    }
}

async fn is_awake(ground: &Arc<Ground>, app: &App, waking: &Waking) -> Result<()> {
    containers::look(ground).await?;
    let set = |app: &mut App| {
        // Unless it was stopped, or sleeps again, meanwhile.
        if app.asleep.as_ref().is_some_and(|asleep| asleep.waking.is_some()) {
            app.asleep = None;
        }
        Ok(())
    };
    ground.store.apps.update(app.id.as_str(), set).await?;
    let took = ground.world.now().since(waking.at);
    let fact = Fact::AppAwake {
        app: app.id.clone(),
        name: app.name.to_string(),
        why: waking.why.clone(),
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    };
    let routed = routing::apply(ground).await;
    ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    routed
}

async fn failed(ground: &Arc<Ground>, app: &App, why: String) -> Result<()> {
    let at = ground.world.now();
    let set = |app: &mut App| {
        if let Some(asleep) = &mut app.asleep
            && asleep.waking.take().is_some()
        {
            let tries = asleep.failed.as_ref().map_or(0, |failed| failed.tries).saturating_add(1);
            asleep.failed = Some(FailedWake {
                at,
                why: why.clone(),
                tries,
            });
        }
        Ok(())
    };
    ground.store.apps.update(app.id.as_str(), set).await?;
    let fact = Fact::WakeFailed {
        app: app.id.clone(),
        name: app.name.to_string(),
        why: why.clone(),
    };
    let routed = routing::apply(ground).await;
    ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    routed
}
