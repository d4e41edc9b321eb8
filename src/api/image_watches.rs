//! What becomes of newer images of an app.

use crate::{Panel, answers::moment, failures::Answer, signed::Signed, tags::Tag};
use poem_openapi::{Enum, Object, OpenApi, param::Path, payload::Json};
use time::OffsetDateTime;

/// Whether registries are asked for newer images under an app's tags, and what becomes of them.
#[derive(Debug, Object)]
pub struct ImageWatch {
    pub on_new: OnNewImage,
    /// Between two questions about one image.
    pub every_minutes: u32,
    /// When newer images are deployed; null: at any time.
    pub window: Option<ImageWindow>,
    /// Of what is live, as they were found last.
    pub images: Vec<WatchedImage>,
    /// Why a newer image is not deployed yet.
    pub waiting: Option<String>,
}

/// A time that begins again and again.
#[derive(Debug, Object)]
pub struct ImageWindow {
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    pub zone: String,
    pub minutes: u32,
    /// Until when it is open, if it is now.
    pub open_until: Option<OffsetDateTime>,
    /// When it opens next.
    pub opens_at: Option<OffsetDateTime>,
}

/// An image, and what its registry has under its tag.
#[derive(Debug, Object)]
pub struct WatchedImage {
    pub reference: String,
    /// The digest of what runs.
    pub live: Option<String>,
    /// The digest that the registry answered last.
    pub newest: Option<String>,
    /// The registry has another one than runs.
    pub newer: bool,
    pub asked_at: Option<OffsetDateTime>,
    /// It is not asked about before.
    pub next_at: Option<OffsetDateTime>,
    /// Why there was no answer.
    pub problem: Option<String>,
}

/// What becomes of a newer image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum OnNewImage {
    /// Registries are not asked.
    Off,
    /// It is told as an event, and marked at the app.
    Notify,
    /// It is deployed, in the window if there is one, and not while the app is stopped, locked or frozen.
    Deploy,
}

/// What should be from now on.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ImageWatchInput {
    pub on_new: OnNewImage,
    /// 5 to 1440; left out: 15.
    pub every_minutes: Option<u32>,
    /// Left out: at any time.
    pub window: Option<ImageWindowInput>,
}

/// When newer images are deployed.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ImageWindowInput {
    /// When it opens: five fields, such as `0 3 * * SAT,SUN`.
    pub cron: String,
    /// Left out: UTC.
    pub zone: Option<String>,
    /// For how long: 1 to 43200.
    pub minutes: u32,
}

impl From<types::OnNewImage> for OnNewImage {
    fn from(on_new: types::OnNewImage) -> OnNewImage {
        match on_new {
            types::OnNewImage::Off => OnNewImage::Off,
            types::OnNewImage::Notify => OnNewImage::Notify,
            types::OnNewImage::Deploy => OnNewImage::Deploy,
        }
    }
}

impl From<OnNewImage> for types::OnNewImage {
    fn from(on_new: OnNewImage) -> types::OnNewImage {
        match on_new {
            OnNewImage::Off => types::OnNewImage::Off,
            OnNewImage::Notify => types::OnNewImage::Notify,
            OnNewImage::Deploy => types::OnNewImage::Deploy,
        }
    }
}

impl From<types::WatchedImage> for WatchedImage {
    fn from(image: types::WatchedImage) -> WatchedImage {
        WatchedImage {
            newer: image.is_newer(),
            reference: image.reference,
            live: image.live,
            newest: image.newest,
            asked_at: image.asked_at.map(moment),
            next_at: image.next_at.map(moment),
            problem: image.problem,
        }
    }
}

impl From<app::ImageWatchView> for ImageWatch {
    fn from(view: app::ImageWatchView) -> ImageWatch {
        let watch = view.watch;
        ImageWatch {
            on_new: watch.on_new.into(),
            every_minutes: watch.every_minutes,
            window: watch.window.map(|window| ImageWindow {
                cron: window.cron,
                zone: window.zone,
                minutes: window.minutes,
                open_until: view.open_until.map(moment),
                opens_at: view.opens_at.map(moment),
            }),
            images: watch.images.into_iter().map(WatchedImage::from).collect(),
            waiting: watch.waiting,
        }
    }
}

impl From<ImageWatchInput> for app::ImageWatchWish {
    fn from(input: ImageWatchInput) -> app::ImageWatchWish {
        app::ImageWatchWish {
            on_new: input.on_new.into(),
            every_minutes: input.every_minutes,
            window: input.window.map(|window| types::DeployWindow {
                cron: window.cron,
                zone: window.zone.unwrap_or_else(|| "UTC".into()),
                minutes: window.minutes,
            }),
        }
    }
}

#[derive(Clone)]
pub(crate) struct ImageWatchesApi(pub Panel);

#[OpenApi(tag = "Tag::Registries")]
impl ImageWatchesApi {
    /// Show what becomes of newer images of an app
    #[oai(path = "/apps/:app/image-watch", method = "get", operation_id = "image_watch_show")]
    async fn image_watch_show(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<ImageWatch>> {
        Ok(Json(self.0.image_watches.get(&who.actor, &app.0).await?.into()))
    }

    /// Say what becomes of newer images of an app
    ///
    /// For apps from an image and from a Compose file. The registry is asked for the tag's digest, which is no pull, with the
    /// login that is kept for it. Somebody who goes back to an earlier release is heeded: the same image is not deployed again.
    #[oai(path = "/apps/:app/image-watch", method = "put", operation_id = "image_watch_set")]
    async fn image_watch_set(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<ImageWatchInput>,
    ) -> Answer<Json<ImageWatch>> {
        Ok(Json(self.0.image_watches.set(&who.actor, &app.0, body.0.into()).await?.into()))
    }

    /// Ask the registries now
    ///
    /// What is new is told or deployed as ever.
    #[oai(path = "/apps/:app/image-watch/check", method = "post", operation_id = "image_watch_check")]
    async fn image_watch_check(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<ImageWatch>> {
        Ok(Json(self.0.image_watches.check(&who.actor, &app.0).await?.into()))
    }
}
