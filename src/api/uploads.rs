//! Source that is uploaded. The one place where a body flows through instead of being read first.

use crate::{
    Panel,
    answers::{Page, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use poem::{Body, http::Method};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::{Binary, Json},
};
use std::{io, pin::pin, time::Duration};
use time::OffsetDateTime;

/// Nothing may come for so long.
const SILENCE: Duration = Duration::from_secs(60);
/// Of a body that is refused, so much is read on: a client that is still sending does not look at an answer.
const FORGOTTEN_BYTES: usize = 64 << 20;

/// Whether the body of this request is not to be read before its handler.
pub(crate) fn flows(method: &Method, path: &str) -> bool {
    let app = path.strip_prefix("/api/v1/apps/").and_then(|rest| rest.strip_suffix("/upload"));
    let is_upload = path == "/api/v1/sources/upload" || app.is_some_and(|app| !app.is_empty() && !app.contains('/'));
    *method == Method::PUT && is_upload
}

/// An archive of source, kept as it came.
#[derive(Debug, Object)]
pub struct Upload {
    pub id: String,
    /// Of the archive: SHA-256 in hex.
    pub digest: String,
    /// Of the archive.
    pub bytes: u64,
    /// Files and links in it.
    pub files: u64,
    pub unpacked_bytes: u64,
    /// Everything lies in one folder, and that folder is the top.
    pub strip_top: bool,
    pub at: OffsetDateTime,
    /// Who, in words.
    pub by: String,
}

impl From<types::Upload> for Upload {
    fn from(upload: types::Upload) -> Upload {
        Upload {
            id: upload.id.to_string(),
            digest: upload.digest,
            bytes: upload.bytes,
            files: upload.files,
            unpacked_bytes: upload.unpacked_bytes,
            strip_top: upload.strip_top,
            at: moment(upload.at),
            by: upload.by,
        }
    }
}

/// An archive of source that belongs to no app yet.
#[derive(Debug, Object)]
pub struct UploadDraft {
    pub id: String,
    /// Of the archive: SHA-256 in hex.
    pub digest: String,
    /// Of the archive.
    pub bytes: u64,
    /// Files and links in it.
    pub files: u64,
    pub unpacked_bytes: u64,
    /// Then it is forgotten.
    pub expires_at: OffsetDateTime,
}

impl From<app::UploadDraft> for UploadDraft {
    fn from(draft: app::UploadDraft) -> UploadDraft {
        UploadDraft {
            id: draft.id.to_string(),
            digest: draft.digest,
            bytes: draft.bytes,
            files: draft.files,
            unpacked_bytes: draft.unpacked_bytes,
            expires_at: moment(draft.expires_at),
        }
    }
}

/// What an app is given.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct UploadTake {
    /// The id of an upload that was sent to be looked at.
    pub upload: String,
}

#[derive(Clone)]
pub(crate) struct UploadsApi(pub Panel);

#[OpenApi(tag = "Tag::Deployments")]
impl UploadsApi {
    /// Upload source
    ///
    /// A tar, tar.gz, tar.zst or zip archive of at most 512 MiB that grows to at most 4 GiB in 200,000 files. The next
    /// deployment of an app with a source of the kind `upload` builds it; one of an app from Git does when it names it,
    /// and uploading for such an app needs the right to change it. It is kept as long as a release that was built from it.
    #[oai(path = "/apps/:app/upload", method = "put", operation_id = "upload_create")]
    async fn upload_create(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// When everything lies in one folder, that folder is the top.
        strip_top: Query<Option<bool>>,
        body: Binary<Body>,
    ) -> Answer<Json<Upload>> {
        let mut pieces = pin!(patient(body.0.into_bytes_stream()).fuse());
        let strip_top = strip_top.0.unwrap_or(false);
        match self.0.uploads.receive(&who.actor, &app.0, strip_top, pieces.as_mut()).await {
            Ok(upload) => Ok(Json(upload.into())),
            Err(error) => {
                forget(pieces).await;
                Err(error.into())
            }
        }
    }

    /// Upload source to look at it first
    ///
    /// As for an app, but it belongs to none yet: `source_inspect` shows how it would be built, and `upload_take` gives it
    /// to an app. Only who sent it sees it, at most 4 at a time, and after 50 minutes or a restart it is forgotten.
    #[oai(path = "/sources/upload", method = "put", operation_id = "upload_draft")]
    async fn upload_draft(
        &self,
        who: Signed,
        /// When everything lies in one folder, that folder is the top.
        strip_top: Query<Option<bool>>,
        body: Binary<Body>,
    ) -> Answer<Json<UploadDraft>> {
        let mut pieces = pin!(patient(body.0.into_bytes_stream()).fuse());
        let strip_top = strip_top.0.unwrap_or(false);
        match self.0.uploads.draft(&who.actor, strip_top, pieces.as_mut()).await {
            Ok(draft) => Ok(Json(draft.into())),
            Err(error) => {
                forget(pieces).await;
                Err(error.into())
            }
        }
    }

    /// Give an app what was uploaded to be looked at
    ///
    /// As if it had been uploaded for this app.
    #[oai(path = "/apps/:app/uploads", method = "post", operation_id = "upload_take")]
    async fn upload_take(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<UploadTake>,
    ) -> Answer<Json<Upload>> {
        Ok(Json(self.0.uploads.take(&who.actor, &app.0, &body.0.upload).await?.into()))
    }

    /// List uploads of an app
    ///
    /// Those that are kept, newest first.
    #[oai(path = "/apps/:app/uploads", method = "get", operation_id = "upload_list")]
    async fn upload_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Upload>>> {
        let uploads = self.0.uploads.list(&who.actor, &app.0).await?;
        page(uploads, cursor.0.as_deref(), limit.0, |upload| upload.id.to_string())
    }
}

/// Ends with a failure when nothing comes for a while.
fn patient(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::unfold(Some(pieces.boxed()), async |pieces| {
        let mut pieces = pieces?;
        match tokio::time::timeout(SILENCE, pieces.next()).await {
            Ok(Some(piece)) => Some((piece, Some(pieces))),
            Ok(None) => None,
            Err(_) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came for 60 s")), None)),
        }
    })
}

async fn forget(mut pieces: impl Stream<Item = io::Result<Bytes>> + Unpin) {
    let mut read = 0;
    let reading = async {
        while let Some(Ok(piece)) = pieces.next().await {
            read += piece.len();
            if read > FORGOTTEN_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(SILENCE, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_flow() {
        for (method, path, expected) in [
            (Method::PUT, "/api/v1/apps/blog/upload", true),
            (Method::PUT, "/api/v1/sources/upload", true),
            (Method::POST, "/api/v1/sources/upload", false),
            (Method::POST, "/api/v1/apps/blog/upload", false),
            (Method::PUT, "/api/v1/apps/blog/variables", false),
            (Method::PUT, "/api/v1/apps//upload", false),
            (Method::PUT, "/api/v1/apps/blog/x/upload", false),
            (Method::PUT, "/apps/blog/upload", false),
        ] {
            assert_eq!(flows(&method, path), expected, "{method} {path}");
        }
    }
}
