//! Images of an app that are watched for newer ones under the same tag.

use crate::{AppId, OrganizationId, Time};
use serde::{Deserialize, Serialize};

/// What becomes of newer images of one app. Without a record nothing is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageWatch {
    pub app: AppId,
    pub organization: OrganizationId,
    pub on_new: OnNewImage,
    /// Between two questions about one image.
    pub every_minutes: u32,
    /// When newer images are deployed; `None`: at any time.
    pub window: Option<DeployWindow>,
    /// Those of what is live, as they were found last.
    pub images: Vec<WatchedImage>,
    /// Why a newer image is not deployed yet, in words.
    pub waiting: Option<String>,
    pub created_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNewImage {
    /// Registries are not asked.
    Off,
    /// It is told, and marked at the app.
    Notify,
    /// It is deployed.
    Deploy,
}

/// A time that begins again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployWindow {
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// By its name in the IANA database.
    pub zone: String,
    pub minutes: u32,
}

/// An image, and what its registry has under its tag. Digests are `sha256:…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedImage {
    /// `ghcr.io/team/app:1`
    pub reference: String,
    /// What runs; `None`: it was not fetched from a registry.
    pub live: Option<String>,
    /// What the registry answered last.
    pub newest: Option<String>,
    /// Has been told or deployed, or ran once: somebody who went back from it is heeded.
    pub handled: Option<String>,
    pub asked_at: Option<Time>,
    /// It is not asked about before.
    pub next_at: Option<Time>,
    /// Questions in a row without an answer.
    pub failures: u32,
    /// Why there was none.
    pub problem: Option<String>,
}

impl WatchedImage {
    /// Whether the registry has another one than runs.
    pub fn is_newer(&self) -> bool {
        matches!((&self.live, &self.newest), (Some(live), Some(newest)) if live != newest)
    }

    /// Whether something is to be done about that still.
    pub fn is_new(&self) -> bool {
        self.is_newer() && self.handled != self.newest
    }
}

impl ImageWatch {
    pub fn has_newer(&self) -> bool {
        self.on_new != OnNewImage::Off && self.images.iter().any(WatchedImage::is_newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer() {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        for (live, newest, handled, newer, new) in [
            ("", "", "", false, false),
            ("a", "", "", false, false),
            ("", "b", "", false, false),
            ("a", "a", "", false, false),
            ("a", "b", "", true, true),
            ("a", "b", "a", true, true),
            // It was told, or somebody went back from it.
            ("a", "b", "b", true, false),
        ] {
            let image = WatchedImage {
                live: some(live),
                newest: some(newest),
                handled: some(handled),
                ..WatchedImage::default()
            };
            assert_eq!((image.is_newer(), image.is_new()), (newer, new), "{image:?}");
        }
    }
}
