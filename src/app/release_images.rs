//! The images of releases: the very ones that they were made of, as the engine has them, or, where somebody removed them or the machine is
//! another, from their registry again by their digest. What was built here is nowhere else.

use crate::{ground::Ground, registries, stacks};
use node::Lines;
use tokio::sync::mpsc;
use types::{App, Error, Image, Kind, OrganizationId, PullPolicy, Release, ReleaseService, Result};

/// What the containers of a release, or of one of its services, are made from.
pub(crate) struct ReleaseImage<'a> {
    /// Of the release.
    number: u64,
    id: &'a str,
    name: &'a str,
    digest: Option<&'a str>,
    service: Option<&'a str>,
    pull: PullPolicy,
}

impl<'a> ReleaseImage<'a> {
    /// Of an app of one container.
    pub fn single(release: &'a Release) -> ReleaseImage<'a> {
        ReleaseImage {
            number: release.number,
            id: &release.image,
            name: &release.image_name,
            digest: release.digest.as_deref(),
            service: None,
            pull: PullPolicy::Missing,
        }
    }

    /// `pull`: as its file says.
    pub fn of_service(release: &'a Release, made: &'a ReleaseService, pull: PullPolicy) -> ReleaseImage<'a> {
        ReleaseImage {
            number: release.number,
            id: &made.image,
            name: &made.image_name,
            digest: made.digest.as_deref(),
            service: Some(&made.name),
            pull,
        }
    }

    fn all(ground: &Ground, release: &'a Release) -> Result<Vec<ReleaseImage<'a>>> {
        let Some(live) = &release.stack else {
            return Ok(vec![ReleaseImage::single(release)]);
        };
        let stack = stacks::open(ground, live)?;
        let pull = |made: &ReleaseService| stack.service(&made.name).map_or(PullPolicy::Missing, |service| service.pull);
        let of_service = |made| ReleaseImage::of_service(release, made, pull(made));
        Ok(live.services.iter().map(of_service).collect())
    }

    /// As it is; from its registry if the engine has it no more. Fails with `Busy` when it must not, or cannot, come from there.
    pub async fn bring(&self, ground: &Ground, whose: &OrganizationId, lines: &Lines) -> Result<Image> {
        let node = &ground.node;
        if let Some(image) = node.image_find(self.id).await? {
            return Ok(image);
        }
        let digest = self.at_registry().map_err(Error::busy)?;
        let way = registries::way_to(ground, whose, digest).await?;
        node.image_pull(digest, way.login.as_ref(), PullPolicy::Missing, &way.egress, lines)
            .await
    }

    /// By what it can be pulled; `Err` says in words why it cannot.
    fn at_registry(&self) -> std::result::Result<&'a str, String> {
        let service = self.service.map(|name| format!(" of `{name}`")).unwrap_or_default();
        let gone = format!(
            "the image {}{service} in release #{} is gone from this server",
            self.name, self.number
        );
        match (self.digest, self.pull) {
            (Some(_), PullPolicy::Never) => Err(format!("{gone}, and the `pull_policy` of the service is `never`")),
            (Some(digest), _) => Ok(digest),
            (None, _) => Err(gone),
        }
    }
}

/// Why a release cannot run again for want of an image, in words. `None`: the engine has them all, or their registries may.
pub(crate) async fn lost(ground: &Ground, release: &Release) -> Result<Option<String>> {
    for image in ReleaseImage::all(ground, release)? {
        if let Err(why) = image.at_registry()
            && ground.node.image_find(image.id).await?.is_none()
        {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Brings an image back that the engine did not find when it made a container of this service, or of the main one. Answers its id. Fails
/// with the engine's `error` if that is of something else.
pub(crate) async fn again(
    ground: &Ground,
    app: &App,
    release: &Release,
    service: Option<&str>,
    error: Error,
    lines: &Lines,
) -> Result<String> {
    let Error::NotFound { kind: Kind::Image, .. } = error else {
        return Err(error);
    };
    let main = release.stack.as_ref().map(|live| live.main.as_str());
    let wanted = service.or(main);
    let mut all = ReleaseImage::all(ground, release)?.into_iter();
    let image = all.find(|image| image.service == wanted).ok_or(error)?;
    Ok(image.bring(ground, &app.organization, lines).await?.id)
}

/// For what nobody follows.
pub(crate) fn unheard() -> Lines {
    let (lines, mut said) = mpsc::channel(64);
    tokio::spawn(async move { while said.recv().await.is_some() {} });
    lines
}

#[cfg(test)]
mod tests {
    use crate::{
        Apps, NewApp, NewSource,
        testing::Bench,
        tests::{reconcile, settle, wish},
    };
    use types::{Container, Phase};

    /// An app of two services that is live with images of this digest, whose `web` is pulled so; then somebody takes the image and the
    /// container of `web` away.
    async fn bench_without_web(digest: Option<&str>, pull: &str) -> Bench {
        let bench = Bench::new().await;
        bench.node.orders.lock().expect("test").digest = digest.map(str::to_owned);
        let web = format!("{{image: 'web:1', ports: ['80'], restart: always, pull_policy: {pull}}}");
        let text = format!("services:\n  web: {web}\n  db: {{image: 'db:1', restart: always}}\n");
        let source = NewSource::Compose {
            text: text.into(),
            profiles: Vec::new(),
            main: None,
            template: None,
        };
        let new = NewApp { source, ..wish("shop") };
        Apps::new(bench.ground.clone()).create(&bench.owner, new).await.expect("made");
        assert_eq!(settle(&bench, "shop").await, (Phase::Live, None));
        bench.node.orders.lock().expect("test").gone.insert("sha256:web:1".into());
        let is_other = |one: &Container| one.owner.service.as_ref().is_none_or(|mark| mark.name != "web");
        bench.node.containers.lock().expect("test").retain(|_, one| is_other(one));
        reconcile(&bench).await;
        bench
    }

    #[tokio::test]
    async fn a_service_that_is_missing_is_made_from_an_image_that_was_gone() {
        let bench = bench_without_web(Some("sha256:aaaa"), "missing").await;
        assert_eq!(bench.node.running().len(), 2);
        assert!(bench.node.orders.lock().expect("test").gone.is_empty());
    }

    #[tokio::test]
    async fn what_may_not_or_cannot_be_pulled_is_said() {
        let gone = "the image web:1 of `web` in release #1 is gone from this server";
        let barred = format!("{gone}, and the `pull_policy` of the service is `never`");
        for (digest, pull, expected) in [(Some("sha256:aaaa"), "never", barred.as_str()), (None, "missing", gone)] {
            let bench = bench_without_web(digest, pull).await;
            assert_eq!(bench.node.running().len(), 1);
            let observed = bench.ground.observed.load_full();
            let problems: Vec<&String> = observed.problems.values().collect();
            assert_eq!(problems, [expected], "{digest:?} {pull}");
        }
    }
}
