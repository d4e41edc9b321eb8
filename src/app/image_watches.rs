//! What becomes of newer images of an app: nothing, a word, or a deployment at times. Registries are asked by `image_watcher`.

use crate::{
    apps::{find_app, not_trashed},
    cron::next_after,
    freezes,
    ground::Ground,
    image_watcher,
};
use std::sync::Arc;
use store::Stored;
use types::{Action, Actor, App, DeployWindow, Error, Fact, Family, FreezeWhen, ImageWatch, OnNewImage, Result, Scope, Source, Time};

/// Asking more often would annoy registries, and some count it.
const EVERY_MINUTES: std::ops::RangeInclusive<u32> = 5..=1440;
const USUAL_MINUTES: u32 = 15;

/// What should be from now on.
#[derive(Debug, Clone)]
pub struct ImageWatchWish {
    pub on_new: OnNewImage,
    /// `None`: 15.
    pub every_minutes: Option<u32>,
    /// `None`: newer images are deployed at any time.
    pub window: Option<DeployWindow>,
}

#[derive(Debug, Clone)]
pub struct ImageWatchView {
    pub watch: ImageWatch,
    /// Until when the window is open, if it is now.
    pub open_until: Option<Time>,
    /// When it opens next.
    pub opens_at: Option<Time>,
}

#[derive(Clone)]
pub struct ImageWatches {
    ground: Arc<Ground>,
}

impl ImageWatches {
    pub(crate) fn new(ground: Arc<Ground>) -> ImageWatches {
        ImageWatches { ground }
    }

    /// Of an app for which nothing was set: off.
    pub async fn get(&self, actor: &Actor, app: &str) -> Result<ImageWatchView> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let found = self.ground.store.image_watches.find(app.id.as_str())?;
        self.view(found.map_or_else(|| off(&app), |stored| stored.value))
    }

    /// Whoever has newer images deployed must be allowed to deploy. Fails with `Invalid` for an app that is not from images, and
    /// for times that do not come.
    pub async fn set(&self, actor: &Actor, app: &str, wish: ImageWatchWish) -> Result<ImageWatchView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Configure, app)?;
        if wish.on_new == OnNewImage::Deploy {
            actor.touching(Family::Deployments).may_in(Action::Deploy, &app.place())?;
        }
        not_trashed(&app)?;
        must_be_of_images(&app)?;
        let wish = checked(wish, ground.world.now())?;
        let set = |watch: &mut ImageWatch| {
            if wish.on_new == OnNewImage::Deploy && watch.on_new != OnNewImage::Deploy {
                // What was only told so far is deployed.
                watch.images.iter_mut().for_each(|image| image.handled = None);
            }
            watch.on_new = wish.on_new;
            watch.every_minutes = wish.every_minutes.unwrap_or(USUAL_MINUTES);
            watch.window.clone_from(&wish.window);
            watch.waiting = None;
        };
        let kept = match ground.store.image_watches.find(app.id.as_str())? {
            None => {
                let mut watch = off(&app);
                watch.created_at = ground.world.now();
                set(&mut watch);
                ground.store.image_watches.insert(watch).await?
            }
            Some(_) => {
                let change = |watch: &mut ImageWatch| {
                    set(watch);
                    Ok(())
                };
                ground.store.image_watches.update(app.id.as_str(), change).await?
            }
        };
        let fact = Fact::AppChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
        };
        ground.events.emit(actor, fact).await;
        self.view(kept.value)
    }

    /// Asks the registries now, and does what is to be done. Fails with `Busy` while nothing is watched or a registry wants to be
    /// left alone.
    pub async fn check(&self, actor: &Actor, app: &str) -> Result<ImageWatchView> {
        actor.may_somewhere(Action::Deploy)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Deploy, app)?;
        actor.spans(Scope::Deploy, Family::Deployments)?;
        not_trashed(&app)?;
        let watch: Option<Stored<ImageWatch>> = ground.store.image_watches.find(app.id.as_str())?;
        let off = || Error::busy(format!("newer images of `{}` are not watched for; switch that on first", app.name));
        let watch = watch.filter(|watch| watch.on_new != OnNewImage::Off).ok_or_else(off)?;
        let watch = image_watcher::look(ground, &app, watch.value, true).await?;
        self.view(watch)
    }

    fn view(&self, watch: ImageWatch) -> Result<ImageWatchView> {
        let now = self.ground.world.now();
        let (open_until, opens_at) = match &watch.window {
            None => (None, None),
            Some(window) => (
                freezes::holds_until(&times(window), now)?,
                next_after(&window.cron, &window.zone, now)?,
            ),
        };
        Ok(ImageWatchView {
            watch,
            open_until,
            opens_at,
        })
    }
}

fn off(app: &App) -> ImageWatch {
    ImageWatch {
        app: app.id.clone(),
        organization: app.organization.clone(),
        on_new: OnNewImage::Off,
        every_minutes: USUAL_MINUTES,
        window: None,
        images: Vec::new(),
        waiting: None,
        created_at: app.created_at,
    }
}

fn must_be_of_images(app: &App) -> Result<()> {
    match &app.source {
        Source::Image { reference } if reference.as_str().contains('@') => Err(Error::invalid(
            "on_new",
            "the app's image is named by its digest, so there is never a newer one",
        )),
        Source::Image { .. } | Source::Compose(_) => Ok(()),
        Source::Git(_) | Source::Upload(_) => Err(Error::invalid(
            "on_new",
            "the app is built here; only images from a registry have newer ones",
        )),
    }
}

fn checked(wish: ImageWatchWish, now: Time) -> Result<ImageWatchWish> {
    if wish.every_minutes.is_some_and(|minutes| !EVERY_MINUTES.contains(&minutes)) {
        let (least, most) = EVERY_MINUTES.into_inner();
        return Err(Error::invalid("every_minutes", format!("must be between {least} and {most}")));
    }
    if let Some(window) = &wish.window {
        freezes::check(&times(window), now)?;
    }
    Ok(wish)
}

/// A window is a freeze turned round.
pub(crate) fn times(window: &DeployWindow) -> FreezeWhen {
    FreezeWhen::Repeated {
        cron: window.cron.clone(),
        zone: window.zone.clone(),
        minutes: window.minutes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_that_cannot_be() {
        let wish = |minutes, cron: Option<(&str, &str, u32)>| ImageWatchWish {
            on_new: OnNewImage::Deploy,
            every_minutes: minutes,
            window: cron.map(|(cron, zone, minutes)| DeployWindow {
                cron: cron.into(),
                zone: zone.into(),
                minutes,
            }),
        };
        let now = Time(1_700_000_000_000);
        assert!(checked(wish(None, None), now).is_ok());
        assert!(checked(wish(Some(5), Some(("0 3 * * SAT,SUN", "Europe/Berlin", 120))), now).is_ok());
        for (wrong, field) in [
            (wish(Some(4), None), "every_minutes"),
            (wish(Some(1441), None), "every_minutes"),
            (wish(None, Some(("nonsense", "UTC", 60))), "cron"),
            (wish(None, Some(("0 0 30 2 *", "UTC", 60))), "cron"),
            (wish(None, Some(("0 3 * * *", "Mars/Olympus", 60))), "zone"),
            (wish(None, Some(("0 3 * * *", "UTC", 0))), "minutes"),
        ] {
            match checked(wrong, now) {
                Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
