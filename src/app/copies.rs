//! An app once more in another environment, with its volumes: what previews and clones of environments both need.
//!
//! Nothing here decides what a copy may have; that is for who makes it.

use crate::{containers::must_be_here, ground::Ground, projects, releases, trash, variables, volumes::new_volume};
use std::collections::HashSet;
use store::Batch;
use types::{App, AppId, Environment, EnvironmentId, Error, Mount, Result, Source, Volume, VolumeId};

/// The same app in another environment, as if nothing was ever done with it. Its volumes, variables and domains are others' business.
pub(crate) fn copy_of(ground: &Ground, of: &App, environment: &Environment) -> App {
    let mut copy = of.again(ground.world.id(), environment, ground.world.now());
    if let Source::Compose(source) = &mut copy.source
        && let Some(installed) = &mut source.template
    {
        // The way back of an update is the other app's, and so are the volumes that it left.
        installed.before = None;
        installed.detached.clear();
        installed.greeted = true;
    }
    copy
}

/// Empty volumes of one environment that stand for those of another: one for each, whatever mounts it.
pub(crate) struct Twins<'a> {
    ground: &'a Ground,
    pub environment: &'a Environment,
    /// The old one and the new one. The caller records the new ones.
    pub made: Vec<(Volume, Volume)>,
}

impl<'a> Twins<'a> {
    pub fn new(ground: &'a Ground, environment: &'a Environment) -> Twins<'a> {
        Twins {
            ground,
            environment,
            made: Vec::new(),
        }
    }

    /// The one that stands for a volume, of the same name. `None`: that is gone.
    pub fn of(&mut self, id: &VolumeId) -> Result<Option<VolumeId>> {
        if let Some((_, new)) = self.made.iter().find(|(old, _)| old.id == *id) {
            return Ok(Some(new.id.clone()));
        }
        let Some(old) = self.ground.store.volumes.find(id.as_str())? else {
            return Ok(None);
        };
        let new = new_volume(self.ground, self.environment, old.name.clone());
        let id = new.id.clone();
        self.made.push((old.value, new));
        Ok(Some(id))
    }

    /// Gives a copy volumes that stand for those of its app, where it mounts them and where its Compose file names them.
    pub fn give(&mut self, of: &App, copy: &mut App) -> Result<()> {
        copy.mounts.clear();
        for mount in &of.mounts {
            if let Some(volume) = self.of(&mount.volume)? {
                copy.mounts.push(Mount { volume, ..mount.clone() });
            }
        }
        if let (Some(old), Some(new)) = (of.source.stack(), copy.source.stack_mut()) {
            new.volumes.clear();
            for (name, id) in &old.volumes {
                if let Some(volume) = self.of(id)? {
                    new.volumes.insert(name.clone(), volume);
                }
            }
        }
        Ok(())
    }
}

/// Why data is copied only of what is stopped.
pub(crate) fn runs(name: &str) -> Error {
    Error::busy(format!(
        "the data of `{name}` is copied only while it is stopped: the files of a running database are not of one moment"
    ))
}

/// Fails with `Busy` while a container of one of these apps runs, a job's too.
pub(crate) async fn must_be_still(ground: &Ground, apps: &[App]) -> Result<()> {
    let containers = ground.node.containers().await?;
    let is_up = |app: &&App| {
        containers
            .iter()
            .any(|container| container.owner.app == app.id && container.state.is_running())
    };
    match apps.iter().find(is_up) {
        Some(app) => Err(runs(app.name.as_str())),
        None => Ok(()),
    }
}

/// An image that is on the engine, for containers that are never started: the app's own, else any of the organization's.
fn carrier_image(ground: &Ground, app: &App) -> Result<String> {
    if let Some(id) = &app.release
        && let Some(release) = releases::find(ground, id)?
    {
        return Ok(release.image);
    }
    let all = ground.store.apps.list()?;
    let live: HashSet<_> = all
        .iter()
        .filter(|other| other.organization == app.organization)
        .filter_map(|other| other.release.clone())
        .collect();
    let any = ground
        .store
        .releases
        .list()?
        .into_iter()
        .rev()
        .find(|release| live.contains(&release.id));
    any.map(|release| release.value.image)
        .ok_or_else(|| Error::busy("nothing was ever deployed here, so there is no image by which data could be copied"))
}

/// Copies what is in a volume of `app` into one that is made anew for it. `None`: there is nothing to copy. May be done again.
pub(crate) async fn copy_volume(ground: &Ground, app: &App, from: &VolumeId, to: &VolumeId) -> Result<Option<u64>> {
    let Some(old) = ground.store.volumes.find(from.as_str())? else {
        return Ok(None);
    };
    if !ground.node.volume_exists(&old.engine_name).await? {
        return Ok(None);
    }
    let image = carrier_image(ground, app)?;
    // What a copy that broke off has left is no part of this one.
    let new = ground.store.volumes.get(to.as_str())?;
    ground.node.volume_remove(&new.engine_name).await?;
    let name = must_be_here(ground, to).await?;
    ground.node.volume_copy(&old.engine_name, &name, &image).await?;
    Ok(Some(ground.node.volume_bytes(&name).await?.unwrap_or(0)))
}

/// Removes apps with all that they have, their volumes too; `false`: a deployment of one still ends, and the next turn goes on.
pub(crate) async fn remove_apps(ground: &Ground, ids: &[AppId]) -> Result<bool> {
    let mut apps = Vec::new();
    for id in ids {
        let Some(app) = ground.store.apps.find(id.as_str())? else {
            continue;
        };
        if app.trashed_at.is_none() {
            trash::put_away(ground, &app.id).await?;
        }
        apps.push(app.value);
    }
    for app in &apps {
        let all = ground.store.deployments.prefix(&format!("{}/", app.id))?;
        if all.iter().any(|one| !one.phase.is_final() || ground.running.has(&one.id)) {
            return Ok(false);
        }
    }
    for app in &apps {
        trash::purge(ground, app, true).await?;
    }
    Ok(true)
}

/// Removes a volume with its record.
pub(crate) async fn remove_volume(ground: &Ground, id: &VolumeId) -> Result<()> {
    if let Some(volume) = ground.store.volumes.find(id.as_str())? {
        ground.node.volume_remove(&volume.engine_name).await?;
        ground.store.volumes.remove(id.as_str()).await?;
    }
    Ok(())
}

/// An environment in which there are no apps any more: its volumes, its network and what was recorded of it.
pub(crate) async fn remove_environment(ground: &Ground, id: &EnvironmentId) -> Result<()> {
    let store = &ground.store;
    for volume in store.volumes.list()?.iter().filter(|volume| volume.environment == *id) {
        remove_volume(ground, &volume.id).await?;
    }
    if let Some(network) = store.networks.find(id.as_str())? {
        ground.node.network_remove(&network.name).await?;
        store.commit(Batch::new().remove(&network)).await?;
    }
    if let Some(environment) = store.environments.find(id.as_str())? {
        let batch = projects::forget_freezes(store, id, Batch::new().remove(&environment))?;
        store.commit(variables::forget(ground, batch, &format!("{id}/"))?).await?;
    }
    Ok(())
}
