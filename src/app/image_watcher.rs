//! Asks registries what they have under the tags of apps' images, and does what an app's watch says about newer ones.
//!
//! An image is asked about once for all apps of an organization. A registry that does not answer is asked ever more seldom, and one that wants to
//! be left alone is.

use crate::{
    deployments::{self, Wanted, moved, must_be_unlocked},
    freezes,
    ground::Ground,
    image_watches::times,
    registries, releases,
};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::Batch;
use types::{
    Actor, App, Cause, DesiredState, Error, Fact, ImageWatch, OnNewImage, OrganizationId, RegistryServer, Result, Source, Time,
    WatchedImage, report,
};

/// A registry that does not answer must not keep the others waiting.
const ASKING: Duration = Duration::from_secs(40);
/// Somebody who presses the button again gets the same answer.
const JUST_ASKED: Duration = Duration::from_secs(3);
/// After failures in a row, each pause is twice the one before, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// What registries said lately, and which of them want to be left alone. In memory: what matters over a restart is in the watches.
#[derive(Default)]
pub(crate) struct Asked {
    answers: Mutex<HashMap<(OrganizationId, String), (Time, String)>>,
    rests: Mutex<HashMap<(OrganizationId, RegistryServer), Time>>,
}

impl Asked {
    /// As after a while.
    #[cfg(test)]
    pub fn forget(&self) {
        self.answers.lock().expect("no panic while held").clear();
    }
    fn answer(&self, organization: &OrganizationId, reference: &str, since: Time) -> Option<(Time, String)> {
        let answers = self.answers.lock().expect("no panic while held");
        let answer = answers.get(&(organization.clone(), reference.to_owned()));
        answer.filter(|(at, _)| *at > since).cloned()
    }
    fn keep(&self, organization: &OrganizationId, reference: &str, now: Time, digest: &str) {
        let mut answers = self.answers.lock().expect("no panic while held");
        answers.retain(|_, (at, _)| now.since(*at) < LONGEST_PAUSE);
        answers.insert((organization.clone(), reference.to_owned()), (now, digest.to_owned()));
    }
    fn rests_until(&self, organization: &OrganizationId, server: &RegistryServer, now: Time) -> Option<Time> {
        let rests = self.rests.lock().expect("no panic while held");
        let until = rests.get(&(organization.clone(), server.clone())).copied();
        until.filter(|until| now < *until)
    }
    fn rest(&self, organization: &OrganizationId, server: RegistryServer, until: Time) {
        let mut rests = self.rests.lock().expect("no panic while held");
        rests.insert((organization.clone(), server), until);
    }
}

/// See the module.
pub struct ImageWatcher {
    ground: Arc<Ground>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct ImageWatcherReport {
    pub watched: usize,
    /// Apps for which there is a newer image.
    pub newer: Vec<String>,
    pub problems: Vec<String>,
}

impl ImageWatcher {
    pub(crate) fn new(ground: Arc<Ground>) -> ImageWatcher {
        ImageWatcher { ground }
    }
}

#[async_trait]
impl jobs::Job for ImageWatcher {
    const NAME: &'static str = "image_watching";
    type Report = ImageWatcherReport;

    async fn run(&mut self) -> Result<ImageWatcherReport> {
        let ground = &self.ground;
        let mut done = ImageWatcherReport::default();
        for watch in ground.store.image_watches.list()? {
            if watch.on_new == OnNewImage::Off {
                continue;
            }
            let Some(app) = ground.store.apps.find(watch.app.as_str())?.filter(|app| app.trashed_at.is_none()) else {
                continue;
            };
            done.watched += 1;
            match look(ground, &app, watch.value, false).await {
                Ok(watch) if watch.has_newer() => done.newer.push(app.name.to_string()),
                Ok(_) => {}
                Err(error) => done
                    .problems
                    .push(format!("{}: {}", app.name, ground.redactor.redact(&report(&error)))),
            }
        }
        Ok(done)
    }
}

/// Asks about what is due, or about everything if `at_once`; tells or deploys what is new. Answers the watch as it is then.
pub(crate) async fn look(ground: &Arc<Ground>, app: &App, watch: ImageWatch, at_once: bool) -> Result<ImageWatch> {
    let mut images = Vec::new();
    for (reference, live) in live_images(ground, app).await? {
        let known = watch.images.iter().find(|known| known.reference == reference);
        let mut image = known.cloned().unwrap_or_default();
        image.reference = reference;
        image.live = live;
        if image.live.is_none() {
            image.problem = Some("it was not fetched from a registry".into());
        } else if at_once || image.next_at.is_none_or(|at| at <= ground.world.now()) {
            ask(ground, &watch, &mut image, at_once).await;
        }
        // What ran once is not news when somebody goes back from it.
        if image.live.is_some() && image.live == image.newest {
            image.handled.clone_from(&image.newest);
        }
        images.push(image);
    }
    act(ground, app, &watch, images).await
}

/// The images of what is live that have tags, and their digests.
async fn live_images(ground: &Ground, app: &App) -> Result<Vec<(String, Option<String>)>> {
    let Some(release) = releases::live(ground, app)? else {
        return Ok(Vec::new());
    };
    let bare = |digest: &str| digest.split_once('@').map(|(_, digest)| digest.to_owned());
    match (&app.source, &release.stack) {
        // Another image was promoted here, or is to come with the next deployment.
        (Source::Image { reference }, None) if release.image_name != reference.as_str() => Ok(Vec::new()),
        (Source::Image { reference }, None) => Ok(vec![(reference.to_string(), release.digest.as_deref().and_then(bare))]),
        (Source::Compose(_), Some(_)) => {
            let mut found = Vec::new();
            for (id, name) in release.images().into_iter().filter(|(_, name)| !name.contains('@')) {
                // Under its own name, unless that means another one by now.
                let image = match ground.node.image_find(name).await? {
                    Some(image) if image.id == id => Some(image),
                    _ => ground.node.image_find(id).await?,
                };
                let digest = image.and_then(|image| image.digest);
                found.push((name.to_owned(), digest.as_deref().and_then(bare)));
            }
            Ok(found)
        }
        _ => Ok(Vec::new()),
    }
}

/// Asks the image's registry, unless it wants to be left alone or was asked for another app just now.
async fn ask(ground: &Ground, watch: &ImageWatch, image: &mut WatchedImage, at_once: bool) {
    let now = ground.world.now();
    let every = Duration::from_secs(u64::from(watch.every_minutes) * 60);
    let answer = digest(
        ground,
        &watch.organization,
        &image.reference,
        if at_once { JUST_ASKED } else { every },
    )
    .await;
    image.asked_at = Some(now);
    match answer {
        Ok((at, digest)) => {
            image.newest = Some(digest);
            (image.failures, image.problem) = (0, None);
            image.asked_at = Some(at);
            image.next_at = Some(at.plus(every));
        }
        Err(error) => {
            let pause = match &error {
                Error::Throttled { seconds } => every.max(Duration::from_secs(*seconds)),
                _ => every.saturating_mul(1 << image.failures.min(8)).min(LONGEST_PAUSE),
            };
            image.failures += 1;
            image.next_at = Some(now.plus(pause));
            image.problem = Some(match error {
                Error::Throttled { .. } => format!("its registry takes no more questions until {}", now.plus(pause)),
                error => ground.redactor.redact_for(&watch.organization, &report(&error)).into_owned(),
            });
        }
    }
}

/// What the registry has, and when it said so: no longer ago than `within`. Fails with `Throttled` also while the registry wants to be left alone.
async fn digest(ground: &Ground, organization: &OrganizationId, reference: &str, within: Duration) -> Result<(Time, String)> {
    let now = ground.world.now();
    let asked = &ground.registries_asked;
    if let Some(answer) = asked.answer(organization, reference, now.minus(within)) {
        return Ok(answer);
    }
    let server = RegistryServer::of(reference);
    if let Some(until) = asked.rests_until(organization, &server, now) {
        return Err(Error::Throttled {
            seconds: until.since(now).as_secs().max(1),
        });
    }
    let way = registries::way_to(ground, organization, reference).await?;
    let asking = ground.node.image_digest(reference, way.login.as_ref(), &way.egress);
    let asking = tokio::time::timeout(ASKING, asking);
    let slow = |_| Error::unavailable(format!("the registry {server} did not answer in time"));
    match asking.await.map_err(slow)? {
        Ok(digest) => {
            asked.keep(organization, reference, now, &digest);
            Ok((now, digest))
        }
        Err(Error::Throttled { seconds }) => {
            asked.rest(organization, server, now.plus(Duration::from_secs(seconds)));
            Err(Error::Throttled { seconds })
        }
        Err(error) => Err(error),
    }
}

/// Keeps what was found, and tells or deploys what is new.
async fn act(ground: &Arc<Ground>, app: &App, watch: &ImageWatch, mut images: Vec<WatchedImage>) -> Result<ImageWatch> {
    let fresh: Vec<WatchedImage> = images.iter().filter(|image| image.is_new()).cloned().collect();
    let mut waiting = None;
    if watch.on_new == OnNewImage::Deploy && !fresh.is_empty() {
        waiting = held(ground, app, watch)?;
    }
    let acting = !fresh.is_empty() && waiting.is_none();
    if acting {
        for image in &mut images {
            image.handled.clone_from(&image.newest);
        }
    }
    let (saved, first) = keep(ground, app, watch, &images, waiting).await?;
    // Kept before it is done: what a crash loses is one deployment, and not one more at every start.
    if acting && first {
        tell(ground, app, &fresh).await;
        if watch.on_new == OnNewImage::Deploy {
            deploy(ground, app, &fresh[0]).await?;
        }
    }
    Ok(saved)
}

/// Why newer images are not deployed now.
fn held(ground: &Ground, app: &App, watch: &ImageWatch) -> Result<Option<String>> {
    let now = ground.world.now();
    if let Some(window) = &watch.window
        && freezes::holds_until(&times(window), now)?.is_none()
    {
        return Ok(Some("it waits for its window".into()));
    }
    if app.desired == DesiredState::Stopped {
        return Ok(Some("it waits until the app is started".into()));
    }
    if let Some(last) = &app.last_deployment
        && deployments::find(ground, last)?.is_some_and(|last| !last.phase.is_final())
    {
        return Ok(Some("it waits for the deployment that is under way".into()));
    }
    match must_be_unlocked(ground, app) {
        Err(Error::Busy { .. }) => Ok(Some(match app.locked(now) {
            Some(lock) => format!("it waits: {}", lock.words()),
            None => "it waits for the end of a freeze".into(),
        })),
        other => other.map(|()| None),
    }
}

/// Saves only what is another than before. Answers also whether it could be: somebody else may have looked or changed the watch
/// meanwhile, and then the next turn looks again.
async fn keep(
    ground: &Ground,
    app: &App,
    watch: &ImageWatch,
    images: &[WatchedImage],
    waiting: Option<String>,
) -> Result<(ImageWatch, bool)> {
    if watch.images == images && watch.waiting == waiting {
        return Ok((watch.clone(), true));
    }
    let first = AtomicBool::new(true);
    let change = |stored: &mut ImageWatch| {
        let is_before = stored.images == watch.images && stored.on_new == watch.on_new;
        first.store(is_before, Ordering::Relaxed);
        if !is_before {
            return Ok(());
        }
        stored.images = images.to_vec();
        stored.waiting.clone_from(&waiting);
        Ok(())
    };
    let saved = ground.store.image_watches.update(app.id.as_str(), change).await?.value;
    Ok((saved, first.into_inner()))
}

async fn tell(ground: &Ground, app: &App, fresh: &[WatchedImage]) {
    for image in fresh {
        let fact = Fact::NewerImageFound {
            app: app.id.clone(),
            name: app.name.to_string(),
            image: image.reference.clone(),
            digest: image.newest.clone().unwrap_or_default(),
        };
        ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    }
}

async fn deploy(ground: &Arc<Ground>, app: &App, image: &WatchedImage) -> Result<()> {
    let cause = Cause::NewImage {
        image: image.reference.clone(),
        digest: image.newest.clone().unwrap_or_default(),
    };
    loop {
        let mut stored = ground.store.apps.get(app.id.as_str())?;
        let by = format!("a newer {}", image.reference);
        let batch = deployments::queue(ground, by, &mut stored.value, cause.clone(), Wanted::Usual, Batch::new())?;
        let id = stored.last_deployment.clone().expect("it was queued just now");
        match ground.store.commit(batch.save(stored)).await {
            Err(Error::Stale { .. }) => continue,
            other => other?,
        }
        if let Some(deployment) = deployments::find(ground, &id)? {
            ground
                .events
                .emit(&Actor::system(app.organization.clone()), moved(app, &deployment))
                .await;
        }
        ground.wake_deploy();
        return Ok(());
    }
}
