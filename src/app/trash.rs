//! Deleting with a way back: an app goes to the trash first. Its containers stop, its domains and its name are free for
//! others, its volumes and releases stay until it is purged, by somebody or by the clock.

use crate::{
    apps::{AppView, find_app, not_trashed, views},
    domain_claims, forge_reports,
    ground::Ground,
    networks, quotas, release_routes,
    releases::{self, releases_of},
    sight::owned,
    volumes,
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Batch;
use types::{
    Action, Actor, App, AppId, Container, Error, Fact, Family, Kind, Phase, Release, Removal, Result, Scope, Source, VolumeId, report,
};

/// How long the engine may take to let go of what a container had.
const FREE_AFTER: Duration = Duration::from_secs(15);

/// What deleting an app would do.
#[derive(Debug, Clone)]
pub struct DeletePlan {
    pub containers: Vec<(String, String)>,
    pub images: Vec<Removal>,
    /// They are kept.
    pub volumes: Vec<Removal>,
    pub domains: Vec<String>,
    pub releases: usize,
    /// What purging frees, without the volumes.
    pub bytes: u64,
}

#[derive(Clone)]
pub struct Trash {
    ground: Arc<Ground>,
}

impl Trash {
    pub(crate) fn new(ground: Arc<Ground>) -> Trash {
        Trash { ground }
    }

    /// Apps in the trash, by name.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<AppView>> {
        actor.may_somewhere(Action::View)?;
        views(&self.ground, actor, |app, _, _| app.trashed_at.is_some())
    }

    /// What would go and what would stay, in objects and bytes.
    pub async fn plan(&self, actor: &Actor, app: &str) -> Result<DeletePlan> {
        actor.may_somewhere(Action::View)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::View, app)?;
        let releases = releases_of(ground, &app.id)?;
        let containers = ground
            .observed
            .load()
            .containers
            .iter()
            .filter(|container| container.owner.app == app.id)
            .map(|c| (c.id.clone(), c.name.clone()))
            .collect();
        let mut images = Vec::new();
        let built: BTreeMap<String, String> = releases.iter().flat_map(built_images).collect();
        for (id, name) in built {
            if let Ok(Some(image)) = ground.node.image_find(&id).await {
                images.push(Removal {
                    kind: Kind::Image,
                    id,
                    name,
                    bytes: image.bytes,
                });
            }
        }
        let mut volumes = Vec::new();
        for id in own_volumes(&app) {
            if let Some(volume) = ground.store.volumes.find(id.as_str())? {
                let bytes = ground.node.volume_bytes(&volume.engine_name).await.ok().flatten().unwrap_or(0);
                volumes.push(Removal {
                    kind: Kind::Volume,
                    id: volume.id.to_string(),
                    name: volume.name.to_string(),
                    bytes,
                });
            }
        }
        let domains = ground
            .store
            .domains
            .list()?
            .iter()
            .filter(|domain| domain.app == app.id)
            .map(|domain| domain.host.to_string())
            .collect();
        let bytes = images.iter().map(|image| image.bytes).sum();
        Ok(DeletePlan {
            containers,
            images,
            volumes,
            domains,
            releases: releases.len(),
            bytes,
        })
    }

    /// Moves the app to the trash. Its deployments end.
    pub async fn put(&self, actor: &Actor, app: &str) -> Result<()> {
        actor.may_somewhere(Action::Delete)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Delete, app)?;
        not_trashed(&app)?;
        put_away(ground, &app.id).await?;
        ground
            .events
            .emit(
                actor,
                Fact::AppTrashed {
                    app: app.id,
                    name: app.name.to_string(),
                },
            )
            .await;
        Ok(())
    }

    /// Takes the app out of the trash. Its name must be free again; its domains were given up, and come back with their rules and policies
    /// where they are free and `actor` may have them so.
    pub async fn restore(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = self.find(actor, Action::Configure, app)?;
        let claiming = domain_claims::gate(ground).await;
        let _gate = quotas::gate(ground).await;
        let back = App {
            trashed_at: None,
            ..app.clone()
        };
        quotas::must_fit(ground, None, &back)?;
        ground
            .store
            .apps
            .update(app.id.as_str(), |app| {
                app.trashed_at = None;
                Ok(())
            })
            .await?;
        release_routes::restore(&claiming, actor, &app).await?;
        ground.wake_reconcile();
        ground.wake_certificates();
        ground
            .events
            .emit(
                actor,
                Fact::AppRestored {
                    app: app.id.clone(),
                    name: app.name.to_string(),
                },
            )
            .await;
        views(ground, actor, |other, _, _| other.id == app.id)?
            .pop()
            .ok_or_else(|| Error::not_found(Kind::App, &app.id))
    }

    /// Deletes the app for good: containers, built images, variables, releases, deployments and their logs; its volumes
    /// only if `volumes`, and only those that no other app has.
    pub async fn purge(&self, actor: &Actor, app: &str, volumes: bool) -> Result<()> {
        actor.may_somewhere(Action::Delete)?;
        let app = self.find(actor, Action::Delete, app)?;
        if volumes {
            actor.spans(Scope::Write, Family::Volumes)?;
        }
        purge(&self.ground, &app, volumes).await?;
        self.ground
            .events
            .emit(
                actor,
                Fact::AppRemoved {
                    app: app.id,
                    name: app.name.to_string(),
                },
            )
            .await;
        Ok(())
    }

    /// In the trash, by id or name. An id is looked for in one way, whether somebody has it or not.
    fn find(&self, actor: &Actor, action: Action, wanted: &str) -> Result<App> {
        let store = &self.ground.store;
        let found = match wanted.starts_with("app_") {
            true => store.apps.find(wanted)?,
            false => store
                .apps
                .list()?
                .into_iter()
                .find(|app| app.trashed_at.is_some() && app.organization == actor.organization && app.name.as_str() == wanted),
        };
        let app = owned(&self.ground, actor, action, found, Kind::App, wanted)?;
        if app.trashed_at.is_none() {
            Err(Error::busy(format!("`{}` is not in the trash", app.name)))
        } else {
            Ok(app)
        }
    }
}

/// Its containers stop, its deployments end, its domains are free.
pub(crate) async fn put_away(ground: &Ground, app: &AppId) -> Result<()> {
    let mut stored = ground.store.apps.get(app.as_str())?;
    let mut batch = Batch::new();
    // Whoever restores it gets its hosts back as they are now.
    if let Some(live) = &stored.release
        && let Some(mut release) = ground.store.releases.claimed(live.as_str())?
    {
        releases::keep_up(ground, &stored, &mut release)?;
        batch = batch.save(release);
    }
    let told = stored.value.clone();
    stored.trashed_at = Some(ground.world.now());
    batch = batch.save(stored);
    for domain in ground.store.domains.list()?.iter().filter(|domain| domain.app == *app) {
        batch = batch.remove(domain);
    }
    for mut deployment in ground
        .store
        .deployments
        .prefix(&format!("{app}/"))?
        .into_iter()
        .filter(|d| !d.phase.is_final())
    {
        deployment.cancel_requested = true;
        if deployment.phase == Phase::Queued {
            deployment.enter(Phase::Cancelled, ground.world.now());
            // Nobody takes it up any more, who would tell.
            batch = forge_reports::note(ground, &told, &deployment, batch)?;
        }
        ground.running.cancel(&deployment.id);
        batch = batch.save(deployment);
    }
    ground.store.commit(batch).await?;
    crate::job_runs::end_all(ground, app)?;
    ground.wake_reconcile();
    ground.wake_deploy();
    ground.wake_forge_reports();
    Ok(())
}

pub(crate) async fn purge(ground: &Ground, app: &App, volumes: bool) -> Result<()> {
    let store = &ground.store;
    end_containers(ground, app).await?;
    networks::remove_of(ground, app).await?;
    if volumes {
        let others = store.apps.list()?;
        for id in own_volumes(app) {
            let shared = others
                .iter()
                .any(|other| other.id != app.id && other.mounts.iter().any(|theirs| theirs.volume == id));
            if let (false, Some(volume)) = (shared, store.volumes.find(id.as_str())?) {
                volumes::remove_when_free(ground, &volume, FREE_AFTER).await?;
                store.volumes.remove(volume.id.as_str()).await?;
            }
        }
    }
    let mut batch = Batch::new().remove(&store.apps.get(app.id.as_str())?);
    let prefix = format!("{}/", app.id);
    batch = crate::variables::forget(ground, batch, app.id.as_str())?;
    let releases = store.releases.prefix(&prefix)?;
    for release in &releases {
        batch = batch.remove(release);
    }
    let deployments = store.deployments.prefix(&prefix)?;
    for deployment in &deployments {
        batch = crate::forge_reports::forget(ground, &deployment.id, batch)?;
        batch = batch.remove(deployment);
    }
    for job in &store.app_jobs.prefix(&prefix)? {
        batch = batch.remove(job);
    }
    let uploads = store.uploads.prefix(&prefix)?;
    for upload in &uploads {
        batch = batch.remove(upload);
    }
    for trust in &store.ci_trusts.prefix(&prefix)? {
        batch = batch.remove(trust);
    }
    if let Some(watch) = &store.image_watches.find(app.id.as_str())? {
        batch = batch.remove(watch);
    }
    // A port whose app is gone would be nobody's and taken for ever.
    for port in store.streams.list()?.iter().filter(|port| port.app == app.id) {
        batch = batch.remove(port);
    }
    batch = crate::previews::forget(ground, &app.id, batch)?;
    let webhook = store.webhooks.find(app.id.as_str())?;
    if let Some(webhook) = &webhook {
        batch = batch.remove(webhook);
    }
    for delivery in &store.deliveries.prefix(&prefix)? {
        batch = batch.remove(delivery);
    }
    store.commit(batch).await?;
    if let Some(registered) = webhook.and_then(|webhook| webhook.value.registered)
        && let Err(error) = crate::webhooks::unregister(ground, &registered).await
    {
        tracing::warn!("the webhook of {} at {}: {}", app.name, registered.repository.path, report(&error));
    }
    for upload in &uploads {
        crate::uploads::remove_file(ground, &upload.id).await;
    }
    for deployment in deployments {
        if let Err(error) = ground.logs.remove(&crate::deployments::log_name(&deployment.id)).await {
            tracing::warn!("removing a log: {}", report(&error));
        }
    }
    let built: BTreeMap<String, String> = releases.iter().flat_map(|release| built_images(release)).collect();
    for image in built.keys() {
        remove_image(ground, image).await;
    }
    ground.metrics.forget(&format!("app/{}/", app.id));
    ground.wake_reconcile();
    Ok(())
}

/// Stops and removes the app's containers, and waits until the engine has none: others may be removing the same ones already, and a
/// deployment that was just cancelled may have one more. Fails with `Busy` when one does not go.
async fn end_containers(ground: &Ground, app: &App) -> Result<()> {
    let grace = Duration::from_secs(app.grace_seconds.into());
    let until = Instant::now() + grace + FREE_AFTER;
    loop {
        let all = ground.node.containers().await?;
        let own: Vec<&Container> = all.iter().filter(|container| container.owner.app == app.id).collect();
        let Some(first) = own.first() else { return Ok(()) };
        if Instant::now() > until {
            return Err(Error::busy(format!(
                "the container `{}` of `{}` does not go: try again, or look at it with `docker inspect`",
                first.name, app.name
            )));
        }
        for container in own {
            match ground.node.container_stop(&container.id, grace).await {
                // Somebody else removes it right now.
                Ok(()) | Err(Error::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
            ground.node.container_remove(&container.id).await?;
        }
        tokio::time::sleep(volumes::LOOK_AGAIN).await;
    }
}

/// Volumes of an app: what it mounts, copies from before its last update, and what taking updates back detached. Each once.
fn own_volumes(app: &App) -> Vec<VolumeId> {
    let mut ids: Vec<VolumeId> = app.mounts.iter().map(|mount| mount.volume.clone()).collect();
    if let Source::Compose(source) = &app.source
        && let Some(installed) = &source.template
    {
        ids.extend(installed.volumes_apart());
    }
    ids.sort();
    ids.dedup();
    ids
}

/// Images of a release that were built here, with their names.
pub(crate) fn built_images(release: &Release) -> Vec<(String, String)> {
    let built = release.images().into_iter().filter(|(_, name)| name.starts_with("serverkit/"));
    built.map(|(id, name)| (id.to_owned(), name.to_owned())).collect()
}

/// Removes an image that we built, unless another release has it.
pub(crate) async fn remove_image(ground: &Ground, image: &str) {
    let used = ground
        .store
        .releases
        .list()
        .map(|all| all.iter().any(|release| release.images().iter().any(|(id, _)| *id == image)))
        .unwrap_or(true);
    if !used && let Err(error) = ground.node.image_remove(image).await {
        tracing::warn!("removing image {image}: {}", report(&error));
    }
}
