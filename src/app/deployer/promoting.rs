//! A release of another environment, made live here with this app's own configuration: its image, or those of all its services.

use super::{
    step::{Made, Next, Step},
    work_folder,
};
use crate::{promotions, quotas, registries, releases, secrets, stacks, uploads};
use catalog::compose::Composed;
use std::collections::BTreeMap;
use types::{Error, Probe, PullPolicy, Release, ReleaseStack, Result, Source};

impl Step<'_> {
    pub(super) async fn fetch_promoted(&self, id: &types::ReleaseId) -> Result<Next> {
        self.note_missing_variables().await?;
        let gone = || Error::busy("the release to promote is gone");
        let from = releases::find(self.ground, id)?.ok_or_else(gone)?;
        let mut next = match &from.stack {
            Some(live) => self.promoted_stack(&from, live).await?,
            None => self.promoted_image(&from).await?,
        };
        if let Some(Made::Release(release)) = &mut next.live {
            release.commit.clone_from(&from.commit);
        }
        next.commit = from.commit;
        Ok(next)
    }

    /// Its image, as it is; from its registry if the engine has it no more.
    async fn promoted_image(&self, from: &Release) -> Result<Next> {
        let node = &self.ground.node;
        self.log
            .note(format!("taking the image of release #{}: {}", from.number, from.image_name))
            .await;
        let image = match (node.image_find(&from.image).await?, &from.digest) {
            (Some(image), _) => image,
            (None, Some(digest)) => {
                let way = registries::way_to(self.ground, &self.app.organization, digest).await?;
                node.image_pull(digest, way.login.as_ref(), PullPolicy::Missing, &way.egress, &self.log.lines())
                    .await?
            }
            (None, None) => {
                return Err(Error::busy(format!(
                    "the image of release #{} is gone from this server",
                    from.number
                )));
            }
        };
        let probe = match self.app.health.probe {
            Probe::Auto => from.health.probe.clone(),
            _ => self.app.health.probe.clone(),
        };
        let mut next = self.released(image, from.image_name.clone(), probe)?;
        if let Some(Made::Release(release)) = &mut next.live {
            release.digest.clone_from(&from.digest);
        }
        Ok(next)
    }

    /// The services of this app's own file, each from the image that the service of its name has in the release.
    async fn promoted_stack(&self, from: &Release, live: &ReleaseStack) -> Result<Next> {
        let composed = self.promoted_file(from).await?;
        secrets::learn_stack(self.ground, &self.app.organization, &composed.stack);
        let mut stack = self.as_preview(self.with_variables(composed.stack)?).await?;
        quotas::admit_stack(self.ground, &self.app.id, stack.demand(&self.app.limits)).await?;
        let mut images = BTreeMap::new();
        for service in &mut stack.services {
            let made = promotions::counterpart(from, live, &service.name)?;
            let image = self.ground.node.image_find(&made.image).await?.ok_or_else(|| {
                Error::busy(format!(
                    "the image {} of `{}` in release #{} is gone from this server",
                    made.image_name, made.name, from.number
                ))
            })?;
            let words = format!("{}: taking {} of release #{}", service.name, made.image_name, from.number);
            self.log.note(words).await;
            service.build = None;
            service.image = Some(made.image_name.clone());
            images.insert(made.image_name.clone(), image);
        }
        for left in live.services.iter().filter(|one| stack.service(&one.name).is_none()) {
            let words = format!("{}: the file of this app has no such service, so its image is not taken", left.name);
            self.log.note(words).await;
        }
        let hash = stacks::source_hash(&self.app.source).unwrap_or_default();
        self.stack_released(hash, stack, &images)
    }

    /// What this app's file comes to with the values of now; of one among its source, as it is in what the release was made from.
    async fn promoted_file(&self, from: &Release) -> Result<Composed> {
        let (Some(tree), Some(source)) = (self.app.source.tree_stack(), self.app.source.buildable()) else {
            let composed = stacks::compose(self.ground, self.app)?;
            for hint in &composed.hints {
                self.log.note(format!("compose: {hint}")).await;
            }
            return Ok(composed);
        };
        match &self.app.source {
            Source::Git(git) => {
                let commit = promotions::commit_of(self.app, from)?;
                self.fetch_source(git, Some(commit.id.parse()?)).await?;
            }
            _ => {
                let owner = self.ground.store.apps.get(from.app.as_str())?;
                let upload = uploads::find(self.ground, &owner, promotions::upload_of(self.app, from)?)?;
                self.log.note(format!("unpacking {}", upload.words())).await;
                uploads::unpack(self.ground, &upload, work_folder(self.ground, &self.deployment.id)).await?;
            }
        }
        let folder = work_folder(self.ground, &self.deployment.id);
        let composed = self.read_tree(&folder, &source.folder, tree).await?;
        self.settle_tree(&composed).await?;
        Ok(composed)
    }
}
