//! Another configuration of an app. It takes effect with the next deployment, but for what needs none.

use super::{
    AppChange, AppView, Apps, MountWish, NewSource, checked_limits,
    checks::{
        canary_fits, checked_canary, checked_command, checked_health, checked_port, checked_sleep, commands_fit, replicas_fit, volumes_fit,
    },
    find_app, in_range, new_source, not_trashed, settled,
};
use crate::{build_servers, files::files_fit, ground::Ground, quotas, sleeping, timetable, volumes, webhooks::same_repository};
use store::{Batch, Stored};
use types::{Action, Actor, App, Fact, Family, Result, Scope, Source, Time};

impl Apps {
    /// Changes what should be. It takes effect with the next deployment.
    pub async fn update(&self, actor: &Actor, app: &str, change: AppChange) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let id = find_app(ground, actor, Action::Configure, app)?.id;
        let mut stored = ground.store.apps.get(id.as_str())?;
        not_trashed(&stored)?;
        let before = stored.value.clone();
        let mut batch = Batch::new();
        if let Some(name) = change.name.clone() {
            stored.name = name;
        }
        if let Some(source) = change.source.clone() {
            batch = with_source(ground, actor, &mut stored, source, batch)?;
        }
        set_running(&mut stored, &change)?;
        if let Some(wishes) = change.mounts.clone() {
            actor.spans(Scope::Write, Family::Volumes)?;
            batch = with_mounts(ground, actor, &mut stored, wishes, batch)?;
        }
        set_keeping(&mut stored, &change)?;
        with_build_place(ground, actor, &mut stored, &change)?;
        set_times(&mut stored, &change, ground.world.now())?;
        if let Some(replicas) = change.replicas {
            batch = with_replicas(ground, &mut stored, replicas, batch)?;
        }
        replicas_fit(&stored)?;
        if stored.limits != before.limits || stored.source != before.source {
            quotas::reckon(ground, &mut stored.value)?;
        }
        let _gate = quotas::gate(ground).await;
        quotas::must_fit(ground, Some(&before), &stored)?;
        stored.updated_at = ground.world.now();
        let name = stored.name.to_string();
        let wakes = stored.asleep.is_some() && stored.sleep_after_minutes.is_none();
        ground.store.commit(batch.save(stored)).await?;
        if wakes {
            sleeping::wake_now(ground, &id, &actor.who.to_string()).await?;
        }
        ground.events.emit(actor, Fact::AppChanged { app: id.clone(), name }).await;
        self.wake_all();
        self.view(actor, &id)
    }
}

/// Another source, with the volumes that its services need.
fn with_source(ground: &Ground, actor: &Actor, stored: &mut Stored<App>, source: NewSource, mut batch: Batch) -> Result<Batch> {
    let before = stored.value.clone();
    stored.source = new_source(ground, actor, source, Some(&stored.source))?;
    if matches!(stored.source, Source::Git(_))
        && !same_repository(&before, stored)
        && let Some(mut webhook) = ground.store.webhooks.find(stored.id.as_str())?
    {
        // What is in another repository is no push.
        webhook.value.look_anew();
        batch = batch.save(webhook);
    }
    let environment = ground.store.environments.get(stored.environment.as_str())?.value;
    for volume in settled(ground, actor, &mut stored.value, &environment, &[], None)? {
        batch = batch.insert(volume);
    }
    Ok(batch)
}

/// How its containers run and what is run around them.
fn set_running(app: &mut App, change: &AppChange) -> Result<()> {
    if let Some(port) = change.port {
        app.port = checked_port(port)?;
    }
    if let Some(command) = change.command.clone() {
        app.command = checked_command(command)?;
    }
    if let Some(limits) = change.limits.clone() {
        app.limits = checked_limits(limits)?;
    }
    if let Some(health) = change.health.clone() {
        app.health = checked_health(health)?;
    }
    if let Some(before) = change.before_deploy.clone() {
        app.commands.before = before;
    }
    if let Some(after) = change.after_deploy.clone() {
        app.commands.after = after;
    }
    if let Some(before_stop) = change.before_stop.clone() {
        app.commands.before_stop = before_stop;
    }
    app.commands = app.commands.clone().checked()?;
    commands_fit(app)
}

fn with_mounts(ground: &Ground, actor: &Actor, stored: &mut Stored<App>, wishes: Vec<MountWish>, mut batch: Batch) -> Result<Batch> {
    volumes_fit(stored, &wishes)?;
    let environment = ground.store.environments.get(stored.environment.as_str())?.value;
    let (mounts, made) = volumes::mounts(ground, actor, &environment, &stored.mounts, wishes)?;
    stored.mounts = mounts;
    files_fit(stored)?;
    for volume in made {
        batch = batch.insert(volume);
    }
    Ok(batch)
}

/// What is kept of its releases and builds.
fn set_keeping(app: &mut App, change: &AppChange) -> Result<()> {
    if let Some(keep) = change.keep_releases {
        app.keep_releases = in_range("keep_releases", keep, 1, 100)?;
    }
    if let Some(days) = change.keep_release_days {
        app.keep_release_days = days.map(|days| in_range("keep_release_days", days, 1, 36_500)).transpose()?;
    }
    if let Some(bytes) = change.keep_release_bytes {
        app.keep_release_bytes = bytes;
    }
    if let Some(bytes) = change.build_cache_bytes {
        app.build_cache_bytes = bytes;
    }
    Ok(())
}

/// Where it is built.
fn with_build_place(ground: &Ground, actor: &Actor, app: &mut App, change: &AppChange) -> Result<()> {
    if let Some(place) = change.build_on.clone().filter(|place| *place != app.build_on) {
        build_servers::may_build_on(ground, actor, place.as_ref())?;
        app.build_on = place;
    }
    Ok(())
}

/// How long things may take, how often, and when it runs.
fn set_times(app: &mut App, change: &AppChange, now: Time) -> Result<()> {
    if let Some(seconds) = change.grace_seconds {
        app.grace_seconds = in_range("grace_seconds", seconds, 0, 3600)?;
    }
    if let Some(seconds) = change.deploy_timeout_seconds {
        app.deploy_timeout_seconds = in_range("deploy_timeout_seconds", seconds, 10, 86_400)?;
    }
    if let Some(canary) = change.canary.clone() {
        app.canary = canary.map(checked_canary).transpose()?;
        if app.canary.is_some() {
            canary_fits(app)?;
        }
    }
    if let Some(limit) = change.restart_limit {
        app.restart_limit = in_range("restart_limit", limit, 0, 1000)?;
    }
    if let Some(minutes) = change.rollback_within_minutes {
        app.rollback_within_minutes = in_range("rollback_within_minutes", minutes, 0, 1440)?;
    }
    if let Some(hours) = change.hours.clone() {
        let checked = hours.map(|(start, stop, zone)| timetable::checked_hours(start, stop, zone, now));
        app.hours = checked.transpose()?;
    }
    if let Some(minutes) = change.sleep_after_minutes {
        app.sleep_after_minutes = minutes.map(checked_sleep).transpose()?;
    }
    Ok(())
}

/// At once, and noted in what is live, so that a way back to it brings back as many.
fn with_replicas(ground: &Ground, stored: &mut Stored<App>, replicas: u32, batch: Batch) -> Result<Batch> {
    stored.replicas = replicas;
    if let Some(live) = &stored.release
        && let Some(mut release) = ground.store.releases.claimed(live.as_str())?
        && release.stack.is_none()
    {
        release.replicas = Some(replicas);
        return Ok(batch.save(release));
    }
    Ok(batch)
}
