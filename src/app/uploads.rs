//! Uploaded source: taken in, looked through, kept as it came for as long as a release or the next deployment needs it.

use crate::{
    apps::{find_app, not_trashed},
    drafts::{self, UploadDraft},
    ground::Ground,
    quotas,
    releases::releases_of,
};
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use source::archive::{self, Bounds, Contents};
use std::{collections::HashSet, io, path::PathBuf, sync::Arc, time::Duration};
use store::Batch;
use tokio::io::AsyncWriteExt;
use types::{Action, Actor, App, Doing, Error, Family, Kind, Result, Source, Upload, UploadId, report};

/// Of an archive as it is sent; without what no build needs, source is far smaller.
pub const MOST_BYTES: u64 = 512 << 20;
const BOUNDS: Bounds = Bounds {
    files: 200_000,
    bytes: 4 << 30,
};
/// Of one that no release has: somebody may be about to deploy it.
const SPARED: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub struct Uploads {
    ground: Arc<Ground>,
}

impl Uploads {
    pub(crate) fn new(ground: Arc<Ground>) -> Uploads {
        Uploads { ground }
    }

    /// Newest first; those that are kept.
    pub async fn list(&self, actor: &Actor, app: &str) -> Result<Vec<Upload>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let all = self.ground.store.uploads.prefix(&format!("{}/", app.id))?;
        Ok(all.into_iter().rev().map(|stored| stored.value).collect())
    }

    /// Takes an archive in. It is what the next deployment of an app without a repository builds; another app builds it
    /// when a deployment names it. Fails with `Invalid` for one that is too large, broken or tries to leave its folder.
    pub async fn receive(
        &self,
        actor: &Actor,
        app: &str,
        strip_top: bool,
        body: impl Stream<Item = io::Result<impl AsRef<[u8]>>> + Send,
    ) -> Result<Upload> {
        actor.may_somewhere(Action::Deploy)?;
        let app = self.receiver(actor, app)?;
        let room = |bytes| quotas::must_have_room(&self.ground, &app.organization, &app.project, bytes);
        let draft = self.take_in(strip_top, body, room).await?;
        let upload = upload_of(actor, &app, draft);
        self.record(&app, &upload).await?;
        Ok(upload)
    }

    /// Takes an archive in that belongs to no app yet, so that it can be looked into first. Who sent it may give it to an
    /// app within 50 minutes; then it is forgotten.
    pub async fn draft(
        &self,
        actor: &Actor,
        strip_top: bool,
        body: impl Stream<Item = io::Result<impl AsRef<[u8]>>> + Send,
    ) -> Result<UploadDraft> {
        actor.may_somewhere(Action::Deploy)?;
        let (drafts, now) = (&self.ground.drafts, || self.ground.world.now());
        let draft = self.take_in(strip_top, body, |bytes| drafts.must_have_room(now(), bytes)).await?;
        for old in drafts.insert(actor, draft.clone()) {
            remove_file(&self.ground, &old).await;
        }
        Ok(draft)
    }

    /// Gives the app what was uploaded as a draft, as if it had been sent to it now.
    pub async fn take(&self, actor: &Actor, app: &str, draft: &str) -> Result<Upload> {
        actor.may_somewhere(Action::Deploy)?;
        let app = self.receiver(actor, app)?;
        let now = self.ground.world.now();
        let found = self.ground.drafts.find(actor, draft, now)?;
        quotas::must_have_room(&self.ground, &app.organization, &app.project, found.bytes)?;
        let upload = upload_of(actor, &app, self.ground.drafts.take(actor, draft, now)?);
        self.record(&app, &upload).await?;
        Ok(upload)
    }

    /// The app, if something may be uploaded for it.
    fn receiver(&self, actor: &Actor, app: &str) -> Result<App> {
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        match app.source {
            Source::Upload(_) => {}
            // It runs what its repository says; something else is a change of what it is.
            Source::Git(_) => actor.touching(Family::Apps).may_in(Action::Configure, &app.place())?,
            Source::Image { .. } | Source::Compose(_) => {
                return Err(Error::busy(format!(
                    "`{}` is not built from source, so nothing can be uploaded for it",
                    app.name
                )));
            }
        }
        Ok(app)
    }

    /// Writes what comes to disk and looks through it. `room` says whether there is some for so many bytes.
    async fn take_in(
        &self,
        strip_top: bool,
        body: impl Stream<Item = io::Result<impl AsRef<[u8]>>> + Send,
        room: impl Fn(u64) -> Result<()>,
    ) -> Result<UploadDraft> {
        room(0)?;
        let id: UploadId = self.ground.world.id();
        let _gone = Gone(partial(&self.ground, &id));
        let (digest, bytes) = self.keep(&id, body).await?;
        room(bytes)?;
        let found = self.look_through(&id, strip_top).await?;
        tokio::fs::rename(partial(&self.ground, &id), place(&self.ground, &id))
            .await
            .doing("keeping an upload")?;
        let at = self.ground.world.now();
        Ok(UploadDraft {
            id,
            digest,
            bytes,
            files: found.files,
            unpacked_bytes: found.bytes,
            strip_top,
            at,
            expires_at: at.plus(drafts::KEPT),
        })
    }

    async fn record(&self, app: &App, upload: &Upload) -> Result<()> {
        let store = &self.ground.store;
        loop {
            let mut stored = store.apps.get(app.id.as_str())?;
            let mut batch = Batch::new().insert(upload.clone());
            if let Source::Upload(source) = &mut stored.source {
                source.newest = Some(upload.id.clone());
                batch = batch.save(stored);
            }
            match store.commit(batch).await {
                Err(Error::Stale { .. }) => continue,
                other => return other,
            }
        }
    }

    /// Writes what comes to disk; answers its digest and its bytes.
    async fn keep(&self, id: &UploadId, body: impl Stream<Item = io::Result<impl AsRef<[u8]>>> + Send) -> Result<(String, u64)> {
        let full = |error| Error::unavailable_by("the disk does not take what was uploaded", error);
        let path = partial(&self.ground, id);
        tokio::fs::create_dir_all(folder(&self.ground)).await.map_err(full)?;
        let mut file = tokio::fs::File::create_new(&path).await.map_err(full)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
        let mut body = std::pin::pin!(body);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| Error::invalid("archive", format!("did not come whole: {error}")))?;
            let piece = piece.as_ref();
            bytes += piece.len() as u64;
            if bytes > MOST_BYTES {
                return Err(Error::invalid("archive", format!("is longer than {} MiB", MOST_BYTES >> 20)));
            }
            hash.update(piece);
            file.write_all(piece).await.map_err(full)?;
        }
        file.flush().await.map_err(full)?;
        file.sync_all().await.map_err(full)?;
        let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((digest, bytes))
    }

    /// Unpacks it once, so that who sends it hears at once what is wrong.
    async fn look_through(&self, id: &UploadId, strip_top: bool) -> Result<Contents> {
        // Begins like what a fetch leaves behind, so that it is swept like that after a crash.
        let into = self.ground.options.data.join("work").join(format!(".fetch-look-{id}"));
        let _gone = Gone(into.clone());
        let archive = partial(&self.ground, id);
        tokio::task::spawn_blocking(move || archive::unpack(&archive, &into, strip_top, BOUNDS))
            .await
            .doing("looking through an upload")?
    }
}

fn upload_of(actor: &Actor, app: &App, draft: UploadDraft) -> Upload {
    Upload {
        id: draft.id,
        organization: app.organization.clone(),
        app: app.id.clone(),
        digest: draft.digest,
        bytes: draft.bytes,
        files: draft.files,
        unpacked_bytes: draft.unpacked_bytes,
        strip_top: draft.strip_top,
        at: draft.at,
        by: actor.who.to_string(),
    }
}

/// Removes the file or folder when it goes.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let path = self.0.clone();
        // Whoever waits for the answer need not wait for this.
        std::thread::spawn(move || {
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_dir_all(path);
        });
    }
}

fn folder(ground: &Ground) -> PathBuf {
    ground.options.data.join("uploads")
}

fn place(ground: &Ground, id: &UploadId) -> PathBuf {
    folder(ground).join(id.as_str())
}

fn partial(ground: &Ground, id: &UploadId) -> PathBuf {
    folder(ground).join(format!("{id}.part"))
}

/// One of the app's. Fails with `NotFound` when it is another's or is not kept any more.
pub(crate) fn find(ground: &Ground, app: &App, id: &UploadId) -> Result<Upload> {
    let found = ground.store.uploads.claimed(id.as_str())?.map(|stored| stored.value);
    found
        .filter(|upload| upload.app == app.id)
        .ok_or_else(|| Error::not_found(Kind::Upload, id))
}

/// Unpacks it into a folder that becomes its content.
pub(crate) async fn unpack(ground: &Ground, upload: &Upload, into: PathBuf) -> Result<()> {
    unpack_archive(ground, &upload.id, upload.strip_top, into).await
}

pub(crate) async fn unpack_archive(ground: &Ground, id: &UploadId, strip_top: bool, into: PathBuf) -> Result<()> {
    let _ = tokio::fs::remove_dir_all(&into).await;
    let archive = place(ground, id);
    if !archive.is_file() {
        return Err(Error::busy("what was uploaded is gone; upload it again"));
    }
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&archive, &into, strip_top, BOUNDS));
    unpacked.await.doing("unpacking an upload")?.map(drop)
}

/// Forgets what no release of the app was built from and no deployment is to build. Answers how many.
pub(crate) async fn sweep(ground: &Ground, app: &App) -> Result<usize> {
    let prefix = format!("{}/", app.id);
    let uploads = ground.store.uploads.prefix(&prefix)?;
    if uploads.is_empty() {
        return Ok(0);
    }
    let mut needed: HashSet<UploadId> = releases_of(ground, &app.id)?
        .into_iter()
        .filter_map(|release| release.upload)
        .collect();
    let open = ground.store.deployments.prefix(&prefix)?.into_iter();
    needed.extend(
        open.filter(|deployment| !deployment.phase.is_final())
            .filter_map(|deployment| deployment.upload.clone()),
    );
    if let Source::Upload(source) = &app.source {
        needed.extend(source.newest.clone());
    }
    let limit = ground.world.now().minus(SPARED);
    let over: Vec<_> = uploads
        .iter()
        .filter(|upload| !needed.contains(&upload.id) && upload.at < limit)
        .collect();
    for upload in &over {
        ground.store.commit(Batch::new().remove(upload)).await?;
        remove_file(ground, &upload.id).await;
    }
    Ok(over.len())
}

/// Keeps the same archive once more under another id, for another app. The file takes no room of its own.
pub(crate) async fn keep_again(ground: &Ground, old: &UploadId, new: &UploadId) -> Result<()> {
    let (from, to) = (place(ground, old), place(ground, new));
    if !from.is_file() {
        return Err(Error::busy("what was uploaded is gone; upload it again"));
    }
    tokio::fs::hard_link(&from, &to).await.doing("keeping an upload for another app")
}

pub(crate) async fn remove_file(ground: &Ground, id: &UploadId) {
    match tokio::fs::remove_file(place(ground, id)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!("removing {id}: {}", report(&error)),
        _ => {}
    }
}

/// Removes files that no record names: a crash came between.
pub(crate) async fn sweep_files(ground: &Ground) -> Result<()> {
    let Ok(mut entries) = tokio::fs::read_dir(folder(ground)).await else {
        return Ok(());
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let known = entry
            .file_name()
            .to_str()
            .is_some_and(|name| ground.store.uploads.claimed(name).is_ok_and(|found| found.is_some()));
        let is_old = entry.metadata().await.ok().and_then(|facts| facts.modified().ok()?.elapsed().ok());
        if !known && is_old.is_some_and(|age| age > SPARED) {
            let _ = tokio::fs::remove_file(entry.path()).await;
        }
    }
    Ok(())
}
