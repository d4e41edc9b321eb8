//! Images from one engine to another, as a stream that neither disk nor memory here holds.

use crate::{
    connect::Docker,
    containers::APP,
    failures::{checked, words, words_or_missing},
};
use bollard::{
    body_try_stream,
    query_parameters::{ImportImageOptionsBuilder, ListImagesOptionsBuilder},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use types::{AppId, Error, Image, Kind, LogLine, LogStream, Result};

/// The longest that one image may take.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);
/// Between two lines about bytes.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);
/// Pieces between the one who sends and the one who takes.
const UNDER_WAY: usize = 16;

impl Docker {
    /// Brings `built`, which `from` has under `tag`, here with that tag. Dropping the future ends it.
    /// Source: Engine API, `GET /images/{name}/get` and `POST /images/load`.
    pub async fn image_bring(&self, from: &Docker, built: &Image, tag: &str, lines: &mpsc::Sender<LogLine>) -> Result<Image> {
        let tag = checked(Kind::Image, tag)?;
        self.note(lines, "moving the image here".into()).await;
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(UNDER_WAY);
        let reading = from.sent(tag, built.bytes, sender, lines);
        let writing = self.taken(receiver);
        let (read, written) = tokio::join!(reading, writing);
        // What went wrong with reading is why writing failed, unless nobody took it any more.
        let bytes = match (read, &written) {
            (Ok(None), Ok(())) => return Err(Error::unavailable("the engine took only a part of the image")),
            (Ok(None), Err(_)) => 0,
            (read, _) => read?.unwrap_or(0),
        };
        written?;
        self.note(lines, format!("moved {:.1} MB", bytes as f64 / 1e6)).await;
        let found = self.image_find(tag).await?;
        let found = found.ok_or_else(|| Error::not_found(Kind::Image, tag))?;
        if found.id != built.id {
            let text = format!(
                "the engines keep images in different ways: it was {} there and is {} here",
                built.id, found.id
            );
            self.note(lines, text).await;
        }
        Ok(found)
    }

    /// Removes what a move that broke off left of an app's images. Only on an engine that runs nothing of the app.
    pub async fn images_forget(&self, app: &AppId) -> Result<()> {
        let filters = HashMap::from([("label", vec![format!("{APP}={app}")])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let found = self.client().list_images(Some(options)).await.map_err(words("listing images"))?;
        for image in found {
            self.image_remove(&image.id).await?;
        }
        Ok(())
    }

    /// Answers how many bytes went; `None` when nobody took them any more.
    async fn sent(
        &self,
        tag: &str,
        whole: u64,
        sender: mpsc::Sender<io::Result<Bytes>>,
        lines: &mpsc::Sender<LogLine>,
    ) -> Result<Option<u64>> {
        let client = self.patient(PATIENCE);
        let mut packed = std::pin::pin!(client.export_image(tag));
        let (mut bytes, mut told_at) = (0_u64, Instant::now());
        while let Some(piece) = packed.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(refusal) => {
                    let _ = sender.send(Err(io::Error::other("the image broke off"))).await;
                    return Err(words_or_missing("sending the image", Kind::Image, tag)(refusal));
                }
            };
            bytes += piece.len() as u64;
            if sender.send(Ok(piece)).await.is_err() {
                return Ok(None);
            }
            if told_at.elapsed() >= PROGRESS_EVERY {
                told_at = Instant::now();
                let line = format!("moved {:.1} of about {:.1} MB", bytes as f64 / 1e6, whole as f64 / 1e6);
                self.line(lines, LogStream::Stdout, line).await;
            }
        }
        Ok(Some(bytes))
    }

    async fn taken(&self, receiver: mpsc::Receiver<io::Result<Bytes>>) -> Result<()> {
        let body = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        let client = self.patient(PATIENCE);
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut said = std::pin::pin!(client.import_image(options, body_try_stream(body), None));
        while let Some(message) = said.next().await {
            message.map_err(words("taking the image in on this server"))?;
        }
        Ok(())
    }
}
