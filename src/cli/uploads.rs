//! Source from this machine: packed, or an archive as it is, and sent as a stream.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Table, bytes, when},
};
use client::{
    Answer, Client,
    types::{Upload, UploadDraft},
};
use futures::StreamExt;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};
use tokio::io::DuplexStream;
use tokio_util::io::{ReaderStream, SyncIoBridge};
use types::{Clock, SystemClock};

type Sent<T> = std::result::Result<Answer<T>, client::Failure>;

/// Between packing and sending.
const AHEAD: usize = 1 << 20;

/// Sends a folder or an archive to an app; what `.gitignore` and `.dockerignore` name stays here.
pub async fn send(context: &Context, client: &Client, app: &str, from: &Path) -> Result<Answer<Upload>> {
    let to_app = async |strip_top, body| client.ask(client.upload_create(app, Some(strip_top), body)).await;
    let upload = stream(from, to_app).await?;
    tell(context, from, upload.value.files, upload.value.bytes);
    Ok(upload)
}

/// The same for no app yet, so that it can be looked at first.
pub async fn send_draft(context: &Context, client: &Client, from: &Path) -> Result<Answer<UploadDraft>> {
    let to_nobody = async |strip_top, body| client.ask(client.upload_draft(Some(strip_top), body)).await;
    let draft = stream(from, to_nobody).await?;
    tell(context, from, draft.value.files, draft.value.bytes);
    Ok(draft)
}

fn tell(context: &Context, from: &Path, files: u64, size: u64) {
    context
        .out
        .note(format!("uploaded {} ({files} files, {})", from.display(), bytes(size)));
}

/// `send` is told whether the one folder at the top is the top, and what to send.
async fn stream<T>(from: &Path, send: impl AsyncFnOnce(bool, reqwest::Body) -> Sent<T>) -> Result<Answer<T>> {
    let facts = std::fs::metadata(from).map_err(|error| Failure::usage(format!("cannot read {}: {error}", from.display())))?;
    if facts.is_dir() {
        return folder(from.to_owned(), send).await;
    }
    let file = tokio::fs::File::open(from)
        .await
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", from.display())))?;
    let body = reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, 64 << 10));
    Ok(send(true, body).await?)
}

async fn folder<T>(from: PathBuf, send: impl AsyncFnOnce(bool, reqwest::Body) -> Sent<T>) -> Result<Answer<T>> {
    let (reader, writer) = tokio::io::duplex(AHEAD);
    let (told, whole) = tokio::sync::oneshot::channel();
    let packing = tokio::task::spawn_blocking(move || {
        let packed = pack(&from, SyncIoBridge::new(writer));
        let _ = told.send(packed.is_ok());
        packed
    });
    // What was cut short must not end like what is whole.
    let verdict = futures::stream::once(whole).filter_map(async |whole| match whole {
        Ok(true) => None,
        _ => Some(Err(io::Error::other("the folder could not be packed"))),
    });
    let body = reqwest::Body::wrap_stream(ReaderStream::with_capacity(reader, 64 << 10).chain(verdict.boxed()));
    let sent = send(false, body).await;
    match packing.await.map_err(|error| Failure::failed(format!("packing failed: {error}")))? {
        // A panel that refuses reads no further, and says itself why.
        Err(types::Error::Internal { .. }) if sent.is_err() => Ok(sent?),
        Err(error) => Err(Failure::usage(error.to_string())),
        Ok(()) => Ok(sent?),
    }
}

fn pack(from: &Path, mut pipe: SyncIoBridge<DuplexStream>) -> types::Result<()> {
    let mut gzip = flate2::write::GzEncoder::new(&mut pipe, flate2::Compression::fast());
    build::parcel(from, &mut gzip)?;
    let finished = gzip.finish().map(drop).and_then(|()| pipe.flush()).and_then(|()| pipe.shutdown());
    finished.map_err(|error| types::Error::internal("sending a folder", error))
}

pub async fn list(context: &Context, app: &str) -> Result {
    let client = context.panel()?;
    let uploads = lists::all::<Upload, _>(async |cursor| client.ask(client.upload_list(app, cursor, lists::LIMIT)).await).await?;
    let now = SystemClock.now();
    context
        .out
        .list(&uploads.json, "nothing was uploaded; do: serverkit deploy NAME --from .", || {
            let mut table = Table::new(["ID", "DIGEST", "SIZE", "FILES", "BY", "UPLOADED"]);
            for upload in &uploads.items {
                table.row([
                    upload.id.clone().into(),
                    upload.digest.chars().take(10).collect::<String>().into(),
                    bytes(upload.bytes).into(),
                    upload.files.to_string().into(),
                    upload.by.clone().into(),
                    when(&upload.at, now).into(),
                ]);
            }
            table
        })
}
