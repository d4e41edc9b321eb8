//! A release of another environment, made live here with this app's own configuration: its image, or those of all its services.

use super::{
    step::{Made, Next, Step},
    work_folder,
};
use crate::{promotions, quotas, release_images::ReleaseImage, releases, secrets, stacks, uploads};
use catalog::compose::Composed;
use std::collections::BTreeMap;
use types::{Error, Probe, Release, ReleaseStack, Result, Source};

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

    async fn promoted_image(&self, from: &Release) -> Result<Next> {
        self.log
            .note(format!("taking the image of release #{}: {}", from.number, from.image_name))
            .await;
        let image = ReleaseImage::single(from);
        let image = image.bring(self.ground, &self.app.organization, &self.log.lines()).await?;
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
            let words = format!("{}: taking {} of release #{}", service.name, made.image_name, from.number);
            self.log.note(words).await;
            let image = ReleaseImage::of_service(from, made, service.pull);
            let mut image = image.bring(self.ground, &self.app.organization, &self.log.lines()).await?;
            // Asked by its id, the engine names any registry that it knows it from.
            image.digest.clone_from(&made.digest);
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

#[cfg(test)]
mod tests {
    use crate::{
        AppChange, Apps, Deployments, NewApp, Wanted,
        testing::Bench,
        tests::{settle, two_services, wish},
    };
    use std::collections::BTreeSet;
    use types::{Phase, ReleaseService};

    const WEB: &str = "sha256:web:1";

    /// An app of two services that is live, with images of this digest, and another that was never deployed.
    async fn bench(digest: Option<&str>) -> Bench {
        let bench = Bench::new().await;
        bench.node.orders.lock().expect("test").digest = digest.map(str::to_owned);
        let apps = Apps::new(bench.ground.clone());
        for (name, deploy) in [("shop", true), ("other", false)] {
            let new = NewApp {
                source: two_services("web:1"),
                deploy,
                ..wish(name)
            };
            apps.create(&bench.owner, new).await.expect("made");
        }
        assert_eq!(settle(&bench, "shop").await, (Phase::Live, None));
        bench
    }

    fn take_off(bench: &Bench, images: &[&str]) {
        bench.node.orders.lock().expect("test").gone = images.iter().map(|id| (*id).to_owned()).collect();
    }

    fn gone(bench: &Bench) -> BTreeSet<String> {
        bench.node.orders.lock().expect("test").gone.clone()
    }

    async fn live_services(bench: &Bench, app: &str) -> Vec<ReleaseService> {
        let apps = Apps::new(bench.ground.clone());
        let release = apps.get(&bench.owner, app).await.expect("is there").release.expect("is live");
        release.stack.expect("has services").services
    }

    #[tokio::test]
    async fn services_whose_images_are_gone_come_from_their_registry() {
        let bench = bench(Some("sha256:aaaa")).await;
        take_off(&bench, &[WEB, "sha256:db:1"]);
        let orders = Deployments::new(bench.ground.clone());
        orders.promote(&bench.owner, "shop", None, "other").await.expect("queued");
        assert_eq!(settle(&bench, "other").await, (Phase::Live, None));
        assert_eq!(gone(&bench), BTreeSet::new());
        let images = |services: Vec<ReleaseService>| -> Vec<_> { services.into_iter().map(|one| (one.image, one.digest)).collect() };
        let (from, to) = (
            images(live_services(&bench, "shop").await),
            images(live_services(&bench, "other").await),
        );
        assert!(from.contains(&(WEB.to_owned(), Some("web:1@sha256:aaaa".to_owned()))), "{from:?}");
        assert_eq!(from, to);
    }

    #[tokio::test]
    async fn the_way_back_of_services_leads_over_the_registry() {
        let bench = bench(Some("sha256:aaaa")).await;
        let change = AppChange {
            source: Some(two_services("web:2")),
            ..AppChange::default()
        };
        Apps::new(bench.ground.clone())
            .update(&bench.owner, "shop", change)
            .await
            .expect("changed");
        let orders = Deployments::new(bench.ground.clone());
        orders.create(&bench.owner, "shop", Wanted::Usual).await.expect("queued");
        assert_eq!(settle(&bench, "shop").await, (Phase::Live, None));
        take_off(&bench, &[WEB]);
        orders.roll_back(&bench.owner, "shop", None, false).await.expect("queued");
        assert_eq!(settle(&bench, "shop").await, (Phase::Live, None));
        assert_eq!(gone(&bench), BTreeSet::new());
        let runs_it = bench.node.containers.lock().expect("test").values().any(|one| one.image == WEB);
        assert!(runs_it);
    }

    #[tokio::test]
    async fn services_whose_images_are_nowhere_say_so() {
        let bench = bench(None).await;
        take_off(&bench, &[WEB]);
        let orders = Deployments::new(bench.ground.clone());
        orders.promote(&bench.owner, "shop", None, "other").await.expect("queued");
        let (phase, error) = settle(&bench, "other").await;
        let error = error.expect("says why");
        assert!(
            phase == Phase::Failed && error.contains("the image web:1 of `web` in release #1 is gone from this server"),
            "{error}"
        );
    }
}
