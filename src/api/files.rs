//! Configuration files of apps.

use crate::{
    Panel,
    answers::{Done, Page, moment},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::{ConfigFile, Secret};

/// A file that is put into each new container of an app.
#[derive(Debug, Object)]
pub struct File {
    /// Where, inside the container.
    pub path: String,
    /// Permission bits in octal, such as `644`; its owner is root.
    pub mode: String,
    pub bytes: u64,
    /// Null when it is secret and was not revealed.
    pub content: Option<String>,
    /// Not shown unless somebody with the right asks.
    pub secret: bool,
    pub updated_at: OffsetDateTime,
    pub updated_by: String,
}

/// A file to write.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct FilePut {
    /// Where, inside the container: absolute, and in no volume.
    pub path: String,
    /// Text of at most 1 MiB. Left out: as before.
    pub content: Option<String>,
    /// Permission bits in octal. Left out: as before, else 644.
    pub mode: Option<String>,
    /// Left out: as before, else false.
    pub secret: Option<bool>,
}

impl From<app::FileView> for File {
    fn from(view: app::FileView) -> File {
        File {
            path: view.path.to_string(),
            mode: format!("{:o}", view.mode),
            bytes: u64::try_from(view.bytes).unwrap_or(u64::MAX),
            content: view.content.and_then(|content| content.expose_str().map(str::to_owned)),
            secret: view.secret,
            updated_at: moment(view.updated_at),
            updated_by: view.updated_by,
        }
    }
}

fn all(views: Vec<app::FileView>) -> Json<Page<File>> {
    Json(Page {
        items: views.into_iter().map(File::from).collect(),
        next: None,
    })
}

#[derive(Clone)]
pub(crate) struct FilesApi(pub Panel);

#[OpenApi(tag = "Tag::Apps")]
impl FilesApi {
    /// List the files of an app
    #[oai(path = "/apps/:app/files", method = "get", operation_id = "file_list")]
    async fn file_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Show secret contents too; needs a right of its own and is recorded.
        reveal: Query<Option<bool>>,
    ) -> Answer<Json<Page<File>>> {
        Ok(all(self.0.files.list(&who.actor, &app.0, reveal.0.unwrap_or(false)).await?))
    }

    /// Write a file of an app
    ///
    /// New, or in place of the one with its path. It is there with the next deployment, and part of its release. Answers all.
    #[oai(path = "/apps/:app/files", method = "put", operation_id = "file_put")]
    async fn file_put(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<FilePut>,
    ) -> Answer<Json<Page<File>>> {
        let wish = app::FileWish {
            path: body.0.path.parse()?,
            content: body.0.content.map(Secret::from),
            mode: body.0.mode.as_deref().map(ConfigFile::mode_of).transpose()?,
            secret: body.0.secret,
        };
        Ok(all(self.0.files.put(&who.actor, &app.0, wish).await?))
    }

    /// Remove a file of an app
    ///
    /// It is gone with the next deployment.
    #[oai(path = "/apps/:app/files", method = "delete", operation_id = "file_remove")]
    async fn file_remove(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Which one.
        path: Query<Option<String>>,
    ) -> Answer<Done> {
        who.actor.may(types::Action::Configure)?;
        let path = path.0.ok_or_else(|| types::Error::invalid("path", "is missing"))?;
        self.0.files.remove(&who.actor, &app.0, &path.parse()?).await?;
        Ok(Done::Done)
    }
}
