//! Volumes: data that outlives containers.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};

/// A volume.
#[derive(Debug, Object)]
pub struct Volume {
    pub id: String,
    pub name: String,
    pub environment: Named,
    /// Null while the engine has not said.
    pub bytes: Option<u64>,
    /// The apps that mount it.
    pub apps: Vec<VolumeUse>,
}

#[derive(Debug, Object)]
pub struct VolumeUse {
    pub id: String,
    pub name: String,
    /// Where, inside the app's container.
    pub path: String,
}

/// A volume to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct VolumeCreate {
    /// 1 to 63 of a-z, 0-9 and -; unique in its environment.
    pub name: String,
    /// Id or name; left out: the first one.
    pub project: Option<String>,
    /// Id or name; left out: the project's first one.
    pub environment: Option<String>,
}

impl From<app::VolumeView> for Volume {
    fn from(view: app::VolumeView) -> Volume {
        Volume {
            id: view.volume.id.to_string(),
            name: view.volume.name.to_string(),
            environment: view.environment.into(),
            bytes: view.bytes,
            apps: view
                .apps
                .into_iter()
                .map(|(id, name, path)| VolumeUse {
                    id: id.to_string(),
                    name: name.to_string(),
                    path: path.to_string(),
                })
                .collect(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct VolumesApi(pub Panel);

#[OpenApi(tag = "Tag::Volumes")]
impl VolumesApi {
    /// List volumes
    #[oai(path = "/volumes", method = "get", operation_id = "volume_list")]
    async fn volume_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Volume>>> {
        let volumes = self.0.volumes.list(&who.actor).await?;
        page(volumes, cursor.0.as_deref(), limit.0, |view| view.volume.id.to_string())
    }

    /// Make a volume
    #[oai(path = "/volumes", method = "post", operation_id = "volume_create")]
    async fn volume_create(&self, who: Signed, body: Json<VolumeCreate>) -> Answer<Created<Volume>> {
        let VolumeCreate {
            name,
            project,
            environment,
        } = body.0;
        let volume = self
            .0
            .volumes
            .create(&who.actor, name.parse()?, project.as_deref(), environment.as_deref())
            .await?;
        Ok(created(volume))
    }

    /// Delete a volume and its data
    ///
    /// Fails with `busy` while an app mounts it.
    #[oai(path = "/volumes/:id", method = "delete", operation_id = "volume_delete")]
    async fn volume_delete(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.volumes.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}
