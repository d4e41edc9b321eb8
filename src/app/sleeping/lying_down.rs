//! How an app is put to sleep: it is recorded, the edge holds its requests, then its containers are stopped.

use super::{
    of_app,
    reasons::{Ways, is_busy},
    waking::wake,
};
use crate::{
    apps::{find_app, not_trashed},
    containers,
    ground::Ground,
    last_words, releases, routing,
};
use std::{sync::Arc, time::Duration};
use types::{Action, Actor, App, AppId, Asleep, Container, Error, Fact, Result, report};

/// A request that was given the old route in the moment of the swap has begun by then.
const SETTLE: Duration = Duration::from_millis(300);

/// Puts an app to sleep at once, because somebody asks. Fails with `Busy` when it may not sleep, or is in use.
pub(crate) async fn put_to_sleep(ground: &Arc<Ground>, actor: &Actor, wanted: &str) -> Result<AppId> {
    actor.may_somewhere(Action::Deploy)?;
    let app = find_app(ground, actor, Action::Deploy, wanted)?;
    not_trashed(&app)?;
    if app.sleeps() {
        return Ok(app.id);
    }
    let stays = |why: String| Error::busy(format!("`{}` stays awake: {why}", app.name));
    if app.sleep_after_minutes.is_none() {
        return Err(stays("it is not allowed to sleep; say after how many minutes it may".into()));
    }
    if let Some(why) = Ways::of(ground)?.keep_awake(&app).or(is_busy(ground, &app)?) {
        return Err(stays(why));
    }
    if app.asleep.is_some() {
        return Err(stays("it is being woken".into()));
    }
    let own: Vec<Container> = of_app(ground, &app.id);
    match containers::under_way(ground, &own).await? {
        0 => {}
        number => return Err(stays(format!("{number} requests or WebSockets are under way"))),
    }
    lay(ground, &app, format!("{} put it to sleep", actor.who), actor).await?;
    Ok(app.id)
}

/// Records that it is asleep; the edge holds its requests from then on, and the reconciler stops its containers.
pub(super) async fn lay(ground: &Arc<Ground>, app: &App, why: String, actor: &Actor) -> Result<()> {
    let since = ground.world.now();
    let set = |now: &mut App| {
        // Whoever deployed, started or stopped it meanwhile is heeded.
        if now.last_deployment != app.last_deployment || now.desired != app.desired || now.asleep.is_some() || now.trashed_at.is_some() {
            return Err(Error::busy(format!("`{}` was changed just now; try again", app.name)));
        }
        now.asleep = Some(Asleep {
            since,
            why: why.clone(),
            waking: None,
            failed: None,
        });
        Ok(())
    };
    ground.store.apps.update(app.id.as_str(), set).await?;
    let (app, name) = (app.id.clone(), app.name.to_string());
    ground.events.emit(actor, Fact::AppAsleep { app, name, why }).await;
    ground.wake_reconcile();
    routing::apply(ground).await
}

/// Stops the containers of apps that sleep, beside what else happens: the reconciler asks at each turn.
pub(crate) fn lie_down(ground: &Arc<Ground>, app: &App, containers: Vec<Container>) {
    if !ground
        .sleeping
        .lying_down
        .lock()
        .expect("no panic while held")
        .insert(app.id.clone())
    {
        return;
    }
    let (ground, app) = (ground.clone(), app.clone());
    tokio::spawn(async move {
        if let Err(error) = stop_all(&ground, &app, containers).await {
            tracing::warn!("putting {} to sleep: {}", app.name, report(&error));
        }
        ground.sleeping.lying_down.lock().expect("no panic while held").remove(&app.id);
        ground.wake_reconcile();
    });
}

async fn stop_all(ground: &Arc<Ground>, app: &App, mut own: Vec<Container>) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    if containers::under_way(ground, &own).await? > 0 {
        // Requests that came in the moment between the last look and the new route.
        return wake(ground, &app.id, "it was in use again").await;
    }
    // Who wakes it records that first and then waits for us: so either we see it, or it does.
    if !ground.store.apps.find(app.id.as_str())?.is_some_and(|app| app.sleeps()) {
        return Ok(());
    }
    let release = releases::live(ground, app)?;
    let order = |container: &Container| {
        let stack = release.as_ref().and_then(|release| release.stack.as_ref());
        let mark = container.owner.service.as_ref();
        let place = stack
            .zip(mark)
            .and_then(|(stack, mark)| stack.services.iter().position(|one| one.name == mark.name));
        std::cmp::Reverse(place)
    };
    own.sort_by_key(order);
    for container in &own {
        let grace = Duration::from_secs(app.grace_seconds.into());
        last_words::stop_well(ground, container, grace).await?;
        // What its last check said is of no use when it is started again.
        containers::mark(ground, &container.id, Some("it was asleep".into()));
    }
    Ok(())
}
