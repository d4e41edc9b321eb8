//! What deleting an app would do.

use poem_openapi::Object;

/// What deleting would do, in objects and bytes. Volumes are kept.
#[derive(Debug, Object)]
pub struct DeletePlan {
    pub containers: Vec<PlannedContainer>,
    pub images: Vec<PlannedImage>,
    pub volumes: Vec<PlannedVolume>,
    pub domains: Vec<String>,
    /// How many releases go.
    pub releases: u64,
    /// What it frees.
    pub bytes: u64,
}

#[derive(Debug, Object)]
pub struct PlannedContainer {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Object)]
pub struct PlannedImage {
    pub name: String,
    pub bytes: u64,
}

#[derive(Debug, Object)]
pub struct PlannedVolume {
    pub name: String,
    /// Null when the engine does not know.
    pub bytes: Option<u64>,
    /// It stays.
    pub kept: bool,
}

/// How far to go.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AppPurge {
    /// Remove the volumes that only this app mounts too: their data is gone then.
    pub volumes: bool,
}

impl From<app::DeletePlan> for DeletePlan {
    fn from(plan: app::DeletePlan) -> DeletePlan {
        DeletePlan {
            containers: plan
                .containers
                .into_iter()
                .map(|(id, name)| PlannedContainer { id, name })
                .collect(),
            images: plan
                .images
                .into_iter()
                .map(|image| PlannedImage {
                    name: image.name,
                    bytes: image.bytes,
                })
                .collect(),
            volumes: plan
                .volumes
                .into_iter()
                .map(|volume| PlannedVolume {
                    name: volume.name,
                    bytes: Some(volume.bytes),
                    kept: true,
                })
                .collect(),
            domains: plan.domains,
            releases: plan.releases as u64,
            bytes: plan.bytes,
        }
    }
}
