//! Volumes: data that outlives containers.

use crate::{
    apps::{MountWish, VolumeName},
    ground::Ground,
    projects::find_environment,
    quotas,
    sight::{of, owned},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use types::{Action, Actor, App, AppName, ContainerPath, Environment, Error, Kind, Mount, Result, Slug, Volume, VolumeId};

#[derive(Debug, Clone)]
pub struct VolumeView {
    pub volume: Volume,
    pub environment: Environment,
    /// `None` while the engine has not made or measured it.
    pub bytes: Option<u64>,
    /// Who has it, and where.
    pub apps: Vec<(types::AppId, AppName, ContainerPath)>,
}

/// How long to wait for a container that is just ending, before somebody is told to try again.
const FREE_AFTER: Duration = Duration::from_secs(3);
/// Between two looks at whether the engine has let go.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct Volumes {
    ground: Arc<Ground>,
}

impl Volumes {
    pub(crate) fn new(ground: Arc<Ground>) -> Volumes {
        Volumes { ground }
    }

    pub async fn list(&self, actor: &Actor) -> Result<Vec<VolumeView>> {
        actor.may_somewhere(Action::View)?;
        let mut views = Vec::new();
        for volume in of(&self.ground, actor, self.ground.store.volumes.list()?)? {
            views.push(self.view(volume).await?);
        }
        views.sort_by(|a, b| a.volume.name.cmp(&b.volume.name));
        Ok(views)
    }

    pub async fn create(&self, actor: &Actor, name: Slug, project: Option<&str>, environment: Option<&str>) -> Result<VolumeView> {
        actor.may_somewhere(Action::Configure)?;
        let environment = find_environment(&self.ground, actor, Action::Configure, project, environment)?;
        quotas::must_have_room(&self.ground, &environment.organization, &environment.project, 0)?;
        let volume = self
            .ground
            .store
            .volumes
            .insert(new_volume(&self.ground, &environment, name))
            .await?;
        self.view(volume.value).await
    }

    /// Deletes the volume with its data. Fails with `Busy` while an app has it, in the trash or not.
    pub async fn remove(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may_somewhere(Action::Delete)?;
        let store = &self.ground.store;
        let volume = owned(&self.ground, actor, Action::Delete, store.volumes.find(id)?, Kind::Volume, id)?;
        if let Some(app) = users(&self.ground, &volume.id)?.first() {
            let place = if app.trashed_at.is_some() { " in the trash" } else { "" };
            return Err(Error::busy(format!(
                "`{}` is mounted in the app `{}`{place}",
                volume.name, app.name
            )));
        }
        remove_when_free(&self.ground, &volume, FREE_AFTER).await?;
        store.volumes.remove(id).await
    }

    async fn view(&self, volume: Volume) -> Result<VolumeView> {
        let environment = self.ground.store.environments.get(volume.environment.as_str())?.value;
        let apps = users(&self.ground, &volume.id)?
            .into_iter()
            .flat_map(|app| {
                let paths: Vec<_> = app
                    .mounts
                    .iter()
                    .filter(|mount| mount.volume == volume.id)
                    .map(|mount| mount.path.clone())
                    .collect();
                paths.into_iter().map(move |path| (app.id.clone(), app.name.clone(), path))
            })
            .collect();
        let bytes = self.ground.node.volume_bytes(&volume.engine_name).await.unwrap_or(None);
        Ok(VolumeView {
            environment,
            bytes,
            apps,
            volume,
        })
    }
}

/// Removes it from the engine. A container that has just ended has it for a moment longer: that is waited for. Fails with `Busy` when it
/// is still in use then.
pub(crate) async fn remove_when_free(ground: &Ground, volume: &Volume, within: Duration) -> Result<()> {
    let until = Instant::now() + within;
    loop {
        match ground.node.volume_remove(&volume.engine_name).await {
            Err(Error::Busy { .. }) if Instant::now() < until => tokio::time::sleep(LOOK_AGAIN).await,
            Err(Error::Busy { .. }) => {
                return Err(Error::busy(format!(
                    "a container still uses the volume `{}`: end it, or try again in a moment (the engine calls it `{}`)",
                    volume.name, volume.engine_name
                )));
            }
            other => return other,
        }
    }
}

fn users(ground: &Ground, volume: &VolumeId) -> Result<Vec<App>> {
    let apps = ground.store.apps.list()?.into_iter().map(|stored| stored.value);
    Ok(apps.filter(|app| app.mounts.iter().any(|mount| mount.volume == *volume)).collect())
}

pub(crate) fn new_volume(ground: &Ground, environment: &Environment, name: Slug) -> Volume {
    let id: VolumeId = ground.world.id();
    Volume {
        engine_name: format!("serverkit-{}", id.as_str().trim_start_matches("vol_")),
        id,
        organization: environment.organization.clone(),
        environment: environment.id.clone(),
        name,
        created_at: ground.world.now(),
    }
}

/// The mounts that are wished for, and the volumes that must be made for them.
/// Who has rights in one app only, mounts nothing that the app does not have already: it may be another's.
pub(crate) fn mounts(
    ground: &Ground,
    actor: &Actor,
    environment: &Environment,
    own: &[Mount],
    wishes: Vec<MountWish>,
) -> Result<(Vec<Mount>, Vec<Volume>)> {
    let has_all = actor.is_permitted(Action::Configure, &environment.place());
    let mut known: Vec<Volume> = ground
        .store
        .volumes
        .list()?
        .into_iter()
        .map(|stored| stored.value)
        .filter(|volume| volume.environment == environment.id)
        .collect();
    known.retain(|volume| has_all || own.iter().any(|mount| mount.volume == volume.id));
    let mut made: Vec<Volume> = Vec::new();
    let mut mounts: Vec<Mount> = Vec::new();
    for wish in wishes {
        if mounts.iter().any(|mount| mount.path == wish.path) {
            return Err(Error::invalid("mounts", format!("two volumes at {}", wish.path)));
        }
        let found = known.iter().chain(&made).find(|volume| match &wish.volume {
            VolumeName::Id(id) => volume.id == *id,
            VolumeName::Name(name) => volume.name == *name,
        });
        let volume = match (found, wish.volume) {
            (Some(volume), _) => volume.id.clone(),
            (None, VolumeName::Id(id)) => return Err(Error::not_found(Kind::Volume, id)),
            (None, VolumeName::Name(name)) => {
                made.push(new_volume(ground, environment, name));
                made.last().expect("just pushed").id.clone()
            }
        };
        mounts.push(Mount {
            volume,
            path: wish.path,
            read_only: wish.read_only,
        });
    }
    Ok((mounts, made))
}
