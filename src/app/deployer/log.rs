//! What a deployment says while it goes on.

use crate::{deployments::log_name, ground::Ground};
use node::Lines;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use types::{Container, DeploymentId, LogLine, LogQuery, LogStream, OrganizationId, Result, report};

/// The log of a deployment: lines from everywhere go into one file, in order.
pub(super) struct Log {
    ground: Arc<Ground>,
    sender: mpsc::Sender<LogLine>,
    writer: tokio::task::JoinHandle<telemetry::LogWriter>,
}

impl Log {
    pub(super) async fn open(ground: &Arc<Ground>, id: &DeploymentId, whose: &OrganizationId) -> Result<Log> {
        let writer = ground.logs.writer(&log_name(id), whose).await?;
        let (sender, mut receiver) = mpsc::channel::<LogLine>(1024);
        let writer = tokio::spawn(async move {
            while let Some(line) = receiver.recv().await {
                writer.line(line).await;
            }
            writer
        });
        Ok(Log {
            ground: ground.clone(),
            sender,
            writer,
        })
    }

    pub(super) fn lines(&self) -> Lines {
        self.sender.clone()
    }

    /// A channel for plain words of progress.
    pub(super) fn words(&self) -> mpsc::Sender<String> {
        let (sender, mut receiver) = mpsc::channel::<String>(256);
        let (lines, world) = (self.sender.clone(), self.ground.world.clone());
        tokio::spawn(async move {
            while let Some(text) = receiver.recv().await {
                let _ = lines
                    .send(LogLine {
                        at: world.now(),
                        stream: LogStream::Stdout,
                        text,
                    })
                    .await;
            }
        });
        sender
    }

    pub(super) async fn note(&self, text: String) {
        let _ = self
            .sender
            .send(LogLine {
                at: self.ground.world.now(),
                stream: LogStream::Note,
                text,
            })
            .await;
    }

    /// The last words of a container that is about to go.
    pub(super) async fn tail_of(&self, ground: &Ground, container: &Container) {
        use futures::StreamExt;
        let lines = ground.node.container_logs(
            &container.id,
            LogQuery {
                tail: Some(50),
                ..LogQuery::default()
            },
        );
        let copy = async {
            let mut lines = std::pin::pin!(lines);
            let mut is_first = true;
            while let Some(line) = lines.next().await {
                let Ok(line) = line else { continue };
                if std::mem::take(&mut is_first) {
                    self.note("the last lines of the container:".into()).await;
                }
                let _ = self.sender.send(line).await;
            }
            if is_first {
                self.note("the container printed nothing".into()).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), copy).await;
    }

    /// Closes the log for good.
    pub(super) async fn finish(self) {
        drop(self.sender);
        match self.writer.await {
            Ok(writer) => {
                if let Err(error) = writer.finish().await {
                    tracing::warn!("closing a deployment's log: {}", report(&error));
                }
            }
            Err(error) => tracing::warn!("closing a deployment's log: {error}"),
        }
    }

    /// Writes what there is, and leaves the log open for the next start.
    pub(super) async fn pause(self) {
        drop(self.sender);
        let _ = self.writer.await;
    }
}
