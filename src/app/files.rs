//! Configuration files of apps: text that is put into each new container, and is part of the release.

use crate::{
    apps::{find_app, not_trashed},
    ground::Ground,
};
use std::sync::Arc;
use types::{Action, Actor, App, ConfigFile, ContainerPath, Error, Fact, Kind, Release, Result, Secret, StackFile, Time};

/// Of one file, and how many an app may have.
const BYTES: usize = 1 << 20;
const FILES: usize = 50;

/// A file to look at.
#[derive(Debug, Clone)]
pub struct FileView {
    pub path: ContainerPath,
    pub mode: u32,
    pub bytes: usize,
    /// `None` when it is secret and was not asked for.
    pub content: Option<Secret>,
    pub secret: bool,
    pub updated_at: Time,
    pub updated_by: String,
}

/// A file to write. What is `None` stays as it was; a new one has the mode 644 and is not secret.
#[derive(Debug, Clone)]
pub struct FileWish {
    pub path: ContainerPath,
    pub content: Option<Secret>,
    pub mode: Option<u32>,
    pub secret: Option<bool>,
}

#[derive(Clone)]
pub struct Files {
    ground: Arc<Ground>,
}

impl Files {
    pub(crate) fn new(ground: Arc<Ground>) -> Files {
        Files { ground }
    }

    /// By path. `reveal` needs the right to see secrets, and is recorded.
    pub async fn list(&self, actor: &Actor, app: &str, reveal: bool) -> Result<Vec<FileView>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        if reveal {
            actor.may_in(Action::RevealSecrets, &app.place())?;
        }
        let views = self.views(&app, reveal)?;
        if reveal && views.iter().any(|view| view.secret) {
            let fact = Fact::SecretsRevealed {
                app: app.id,
                name: app.name.to_string(),
            };
            self.ground.events.emit(actor, fact).await;
        }
        Ok(views)
    }

    /// Writes a file, new or in place of the one with its path. It is there with the next deployment.
    pub async fn put(&self, actor: &Actor, app: &str, wish: FileWish) -> Result<Vec<FileView>> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Configure, app)?;
        not_trashed(&app)?;
        if app.source.stack().is_some() {
            return Err(Error::busy(format!(
                "the files of `{}` are the configs in its Compose file",
                app.name
            )));
        }
        let sealed = match &wish.content {
            Some(content) => {
                check(content)?;
                Some(ground.store.seal(content)?)
            }
            None => None,
        };
        let (now, by) = (ground.world.now(), actor.who.to_string());
        let change = |app: &mut App| {
            let old = app
                .files
                .iter()
                .position(|file| file.path == wish.path)
                .map(|at| app.files.remove(at));
            let content = sealed.clone().or_else(|| old.as_ref().map(|old| old.content.clone()));
            app.files.push(ConfigFile {
                path: wish.path.clone(),
                mode: wish.mode.or(old.as_ref().map(|old| old.mode)).unwrap_or(0o644),
                content: content.ok_or_else(|| Error::invalid("content", "is missing; a new file needs one"))?,
                secret: wish.secret.or(old.as_ref().map(|old| old.secret)).unwrap_or(false),
                updated_at: now,
                updated_by: by.clone(),
            });
            app.files.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
            app.updated_at = now;
            files_fit(app)
        };
        let stored = ground.store.apps.update(app.id.as_str(), change).await?;
        if let Some(file) = stored.files.iter().find(|file| file.path == wish.path && file.secret) {
            ground.redactor.learn(&stored.organization, &ground.store.unseal(&file.content)?);
        }
        self.tell(actor, &stored, &wish.path).await;
        self.views(&stored, false)
    }

    /// It is gone with the next deployment.
    pub async fn remove(&self, actor: &Actor, app: &str, path: &ContainerPath) -> Result<()> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        not_trashed(&app)?;
        let now = self.ground.world.now();
        let change = |app: &mut App| {
            let at = app.files.iter().position(|file| file.path == *path);
            app.files.remove(at.ok_or_else(|| Error::not_found(Kind::File, path))?);
            app.updated_at = now;
            Ok(())
        };
        let stored = self.ground.store.apps.update(app.id.as_str(), change).await?;
        self.tell(actor, &stored, path).await;
        Ok(())
    }

    async fn tell(&self, actor: &Actor, app: &App, path: &ContainerPath) {
        let fact = Fact::FileChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            path: path.to_string(),
        };
        self.ground.events.emit(actor, fact).await;
    }

    fn views(&self, app: &App, reveal: bool) -> Result<Vec<FileView>> {
        let view = |file: &ConfigFile| {
            let content = self.ground.store.unseal(&file.content)?;
            Ok(FileView {
                path: file.path.clone(),
                mode: file.mode,
                bytes: content.expose().len(),
                content: Some(content).filter(|_| reveal || !file.secret),
                secret: file.secret,
                updated_at: file.updated_at,
                updated_by: file.updated_by.clone(),
            })
        };
        app.files.iter().map(view).collect()
    }
}

fn check(content: &Secret) -> Result<()> {
    if content.expose().len() > BYTES {
        return Err(Error::invalid("content", format!("is longer than {} KiB", BYTES >> 10)));
    }
    match content.expose_str() {
        Some(_) => Ok(()),
        None => Err(Error::invalid(
            "content",
            "is not text in UTF-8; keep other files in the image or a volume",
        )),
    }
}

/// Fails with `Invalid` for a file within a volume, where it would change data that outlives the release, and for one below
/// another.
pub(crate) fn files_fit(app: &App) -> Result<()> {
    if app.files.len() > FILES {
        return Err(Error::invalid("files", format!("an app has at most {FILES}")));
    }
    for file in &app.files {
        let path = file.path.as_str();
        let within = |above: &str| path == above || path.starts_with(&format!("{above}/"));
        if let Some(mount) = app.mounts.iter().find(|mount| within(mount.path.as_str())) {
            return Err(Error::invalid(
                "path",
                format!("`{path}` is in the volume at `{}`: its data outlives releases", mount.path),
            ));
        }
        if let Some(other) = app
            .files
            .iter()
            .find(|other| other.path != file.path && within(other.path.as_str()))
        {
            return Err(Error::invalid(
                "path",
                format!("`{path}` is below `{}`, which is a file", other.path),
            ));
        }
        if ["/proc", "/sys", "/dev"].into_iter().any(within) {
            return Err(Error::invalid("path", format!("`{path}` is a place of the kernel")));
        }
    }
    Ok(())
}

/// The files of a release, for its containers.
pub(crate) fn opened(ground: &Ground, release: &Release) -> Result<Vec<StackFile>> {
    let open = |file: &ConfigFile| {
        let content = ground.store.unseal(&file.content)?;
        Ok(StackFile {
            path: file.path.to_string(),
            content: content.expose_str().unwrap_or_default().to_owned(),
            mode: file.mode,
            uid: 0,
            gid: 0,
            secret: file.secret,
        })
    };
    release.files.iter().map(open).collect()
}
