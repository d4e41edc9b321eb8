//! A copy of an app's volumes from before an update of its template, for the way back with the data of then.
//!
//! The deployment of the update makes it, between stopping what writes and starting what is new, so that it is of one moment. The copies are
//! volumes of the panel like any others: going back mounts them in place of the ones that were written to since, and those stay. Another try
//! after a deployment that failed keeps the first copy: it is the one from before the new version ever ran.

use crate::{
    containers::must_be_here,
    ground::Ground,
    stacks::{compose_of, free_name},
    volumes::new_volume,
};
use std::collections::HashSet;
use store::Batch;
use types::{App, BeforeUpdate, Error, Kind, Release, Result, Source, Volume, VolumeCopy, VolumeId, report};

/// Left free beside what a copy takes.
const SPARED: u64 = 1 << 30;

/// What there is to copy, and whether it fits.
#[derive(Debug, Clone, Default)]
pub struct DataPlan {
    /// By the file's name; `None`: not measured.
    pub volumes: Vec<(String, Option<u64>)>,
    /// What the disk that they lie on has left; `None`: not known.
    pub free_bytes: Option<u64>,
}

impl DataPlan {
    pub fn bytes(&self) -> u64 {
        self.volumes.iter().filter_map(|(_, bytes)| *bytes).sum()
    }
    /// Why there is no room for it.
    pub fn problem(&self) -> Option<String> {
        let needed = self.bytes().saturating_add(SPARED);
        let free = self.free_bytes.filter(|free| *free < needed)?;
        Some(format!(
            "a copy of the data takes {} MiB and a GiB should stay free, but {} MiB are left on the disk; make room, or update without a copy",
            self.bytes() >> 20,
            free >> 20
        ))
    }
}

/// The app's own volumes: those of the file that are not of somebody else's making.
fn own_volumes(ground: &Ground, app: &App) -> Result<Vec<(String, Volume)>> {
    let mut found = Vec::new();
    for (name, id) in &compose_of(app)?.setup.volumes {
        let shared = |other: &App| other.id != app.id && other.mounts.iter().any(|mount| mount.volume == *id);
        if ground.store.apps.list()?.iter().any(|other| shared(other)) {
            continue;
        }
        if let Some(volume) = ground.store.volumes.find(id.as_str())? {
            found.push((name.clone(), volume.value));
        }
    }
    Ok(found)
}

/// While the engine does not answer, nothing is measured.
pub(crate) async fn plan(ground: &Ground, app: &App) -> Result<DataPlan> {
    let mut plan = DataPlan::default();
    for (name, volume) in own_volumes(ground, app)? {
        if !ground.node.volume_exists(&volume.engine_name).await.unwrap_or(true) {
            continue;
        }
        plan.volumes
            .push((name, ground.node.volume_bytes(&volume.engine_name).await.unwrap_or(None)));
        plan.free_bytes = ground.node.volume_room(&volume.engine_name).await.unwrap_or(None);
    }
    Ok(plan)
}

/// The update whose copy is still to be made.
pub(crate) fn wanted(app: &App) -> Option<&BeforeUpdate> {
    let Source::Compose(source) = &app.source else { return None };
    let before = source.template.as_ref()?.before.as_ref()?;
    before.copy_wanted.then_some(before)
}

/// Makes the copy: nobody writes to the volumes meanwhile. A crash leaves it wanted, and it begins anew. Answers the copies.
pub(crate) async fn make(ground: &Ground, app: &App, release: &Release) -> Result<Vec<VolumeCopy>> {
    let before = wanted(app).ok_or_else(|| Error::busy("no copy is wanted"))?;
    for copy in &before.copies {
        remove(ground, &copy.volume).await;
    }
    let environment = ground.store.environments.get(app.environment.as_str())?.value;
    let mut taken: HashSet<String> = ground
        .store
        .volumes
        .list()?
        .iter()
        .filter(|volume| volume.environment == environment.id)
        .map(|volume| volume.name.to_string())
        .collect();
    let (mut copies, mut pairs, mut batch) = (Vec::new(), Vec::new(), Batch::new());
    for (name, volume) in own_volumes(ground, app)? {
        if !ground.node.volume_exists(&volume.engine_name).await? {
            continue;
        }
        let copy = new_volume(ground, &environment, free_name(&app.name, &format!("{name}-before"), &mut taken)?);
        copies.push(VolumeCopy {
            name,
            volume: copy.id.clone(),
            bytes: 0,
        });
        pairs.push((volume.engine_name, copy.id.clone()));
        batch = batch.insert(copy);
    }
    // On disk before they are made, so that a crash loses none of them.
    let noted = note(ground, app, &copies, true, batch).await;
    noted?;
    for (copy, (from, to)) in copies.iter_mut().zip(&pairs) {
        let to = must_be_here(ground, to).await?;
        ground.node.volume_copy(from, &to, &release.image).await?;
        copy.bytes = ground.node.volume_bytes(&to).await?.unwrap_or(0);
    }
    let stale = before.stale.clone();
    note(ground, app, &copies, false, Batch::new()).await?;
    for old in stale {
        remove(ground, &old).await;
    }
    Ok(copies)
}

/// Records the copies at the app. What the copies before were is over once these are made.
async fn note(ground: &Ground, app: &App, copies: &[VolumeCopy], wanted: bool, batch: Batch) -> Result<()> {
    let mut stored = ground.store.apps.get(app.id.as_str())?;
    let before = before_of(&mut stored.value).ok_or_else(|| Error::busy("the update was taken back meanwhile"))?;
    before.copies = copies.to_vec();
    before.copy_wanted = wanted;
    if !wanted {
        before.stale.clear();
    }
    ground.store.commit(batch.save(stored)).await
}

fn before_of(app: &mut App) -> Option<&mut BeforeUpdate> {
    let Source::Compose(source) = &mut app.source else { return None };
    source.template.as_mut()?.before.as_deref_mut()
}

/// Removes a copy with its record. One that somebody mounts elsewhere stays.
pub(crate) async fn remove(ground: &Ground, id: &VolumeId) {
    let gone = async {
        let Some(volume) = ground.store.volumes.find(id.as_str())? else {
            return Ok(());
        };
        let mounted = |app: &App| app.mounts.iter().any(|mount| mount.volume == *id);
        if ground.store.apps.list()?.iter().any(|app| mounted(app)) {
            return Ok(());
        }
        ground.node.volume_remove(&volume.engine_name).await?;
        ground.store.volumes.remove(id.as_str()).await
    };
    let gone: Result<()> = gone.await;
    if let Err(error) = gone {
        tracing::warn!("removing the copy {id}: {}", report(&error));
    }
}

/// Fails with `NotFound` for a copy that somebody removed.
pub(crate) fn must_be_there(ground: &Ground, copies: &[VolumeCopy]) -> Result<()> {
    for copy in copies {
        if ground.store.volumes.find(copy.volume.as_str())?.is_none() {
            return Err(Error::not_found(Kind::Volume, format!("{} from before the update", copy.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_needs_room() {
        let plan = |free_bytes: Option<u64>| DataPlan {
            volumes: vec![("data".into(), Some(3 << 30)), ("logs".into(), None)],
            free_bytes,
        };
        assert_eq!((plan(None).problem(), plan(Some(5 << 30)).problem()), (None, None));
        let why = plan(Some(2 << 30)).problem().expect("it does not fit");
        assert!(why.contains("takes 3072 MiB") && why.contains("2048 MiB are left"), "{why}");
        assert_eq!(DataPlan::default().problem(), None);
    }
}
