//! Where what is deployed comes from: a repository, an upload or an image.

use super::{
    step::{Next, Step},
    work_folder,
};
use crate::{deployments::git_login, registries, uploads, variables::missing_references};
use source::Fetch;
use tokio_util::sync::CancellationToken;
use types::{App, Error, GitRef, GitSource, Phase, PullPolicy, Result, Source, UploadId};

impl Step<'_> {
    pub(super) async fn fetch(&self) -> Result<Next> {
        self.note_missing_variables().await?;
        if let Some(upload) = &self.deployment.upload {
            return self.fetch_upload(upload).await;
        }
        match &self.app.source {
            Source::Git(git) => {
                let reference = self.deployment.reference.clone().or_else(|| git.branch.clone());
                let commit = self.fetch_source(git, reference).await?;
                Ok(Next {
                    commit: Some(commit),
                    ..Next::to(Phase::Building)
                })
            }
            Source::Image { reference } => {
                let reference = self.deployment.image.as_ref().unwrap_or(reference);
                let way = registries::way_to(self.ground, &self.app.organization, reference.as_str()).await?;
                let by = way.login.as_ref().map(|login| format!(" as {}", login.user)).unwrap_or_default();
                self.log.note(format!("getting the image {reference}{by}")).await;
                let image = self
                    .ground
                    .node
                    .image_pull(
                        reference.as_str(),
                        way.login.as_ref(),
                        PullPolicy::Always,
                        &way.egress,
                        &self.log.lines(),
                    )
                    .await?;
                self.released(image, reference.as_str().to_owned(), self.app.health.probe.settled(false))
            }
            Source::Compose(source) => self.fetch_stack(source).await,
            Source::Upload(_) => Err(Error::busy("what was uploaded is gone; upload it again")),
        }
    }

    /// A misspelt name is no failure, since values may merely look like references; but somebody may look for it.
    pub(super) async fn note_missing_variables(&self) -> Result<()> {
        for sentence in missing_references(self.ground, self.app)? {
            self.log.note(sentence).await;
        }
        Ok(())
    }

    pub(super) async fn fetch_upload(&self, id: &UploadId) -> Result<Next> {
        let upload = uploads::find(self.ground, self.app, id)?;
        self.log
            .note(format!("unpacking {}, uploaded by {} at {}", upload.words(), upload.by, upload.at))
            .await;
        uploads::unpack(self.ground, &upload, work_folder(self.ground, &self.deployment.id)).await?;
        Ok(Next::to(Phase::Building))
    }

    /// Brings a branch, tag or commit into the work folder; `None`: the default branch.
    pub(super) async fn fetch_source(&self, git: &GitSource, reference: Option<GitRef>) -> Result<types::Commit> {
        let folder = work_folder(self.ground, &self.deployment.id);
        let _ = tokio::fs::remove_dir_all(&folder).await;
        let login = git_login(self.ground, git).await?;
        let wanted = reference
            .as_ref()
            .map_or_else(|| "the default branch".to_owned(), ToString::to_string);
        self.log.note(format!("fetching {wanted} from {}", git.url)).await;
        let cancel = CancellationToken::new();
        let _stop_with_us = cancel.clone().drop_guard();
        let fetch = Fetch {
            url: git.url.clone(),
            reference,
            login,
            submodules: git.submodules,
            lfs: true,
            host_key: git.host_key.clone(),
            egress: self.ground.egress(&self.app.organization)?,
            into: folder,
        };
        let fetched = source::fetch(fetch, self.log.words(), cancel).await?;
        if let Some(seen) = fetched.host_key.filter(|seen| git.host_key.as_ref() != Some(seen)) {
            let pin = |app: &mut App| {
                if let Source::Git(git) = &mut app.source {
                    git.host_key = Some(seen.clone());
                }
                Ok(())
            };
            self.ground.store.apps.update(self.app.id.as_str(), pin).await?;
        }
        let short = &fetched.commit.id[..fetched.commit.id.len().min(10)];
        self.log
            .note(format!("at {short} {} ({})", fetched.commit.subject, fetched.commit.author))
            .await;
        Ok(fetched.commit)
    }
}
