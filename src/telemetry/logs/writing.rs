//! Writing a log: lines are taken at once, and are on disk in batches.

use super::{Log, blocking};
use crate::{redactor::Redactor, segments::Appender};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use types::{LogLine, OrganizationId, Result};

/// A batch is written when its first line is this old, or when it holds this much text.
const BATCH_TIME: Duration = Duration::from_millis(50);
const BATCH_BYTES: usize = 64 << 10;

pub(super) enum Message {
    Line(LogLine),
    Finish(oneshot::Sender<Result<()>>),
}

/// Writes at the end of a log. When the last clone goes, what was given is still written, and the log stays unfinished.
#[derive(Clone)]
pub struct LogWriter {
    pub(super) whose: OrganizationId,
    pub(super) redactor: Redactor,
    pub(super) outbox: mpsc::Sender<Message>,
}

impl LogWriter {
    /// Takes a line; it is on disk within about 50 ms. A disk that fails is told of by [`LogWriter::finish`].
    /// After `finish` nothing is taken.
    pub async fn line(&self, mut line: LogLine) {
        if let std::borrow::Cow::Owned(redacted) = self.redactor.redact_for(&self.whose, &line.text) {
            line.text = redacted;
        }
        let _ = self.outbox.send(Message::Line(line)).await;
    }

    /// Writes what is waiting and closes the log for all who write and follow it. Fails when lines were lost on the way.
    pub async fn finish(&self) -> Result<()> {
        let (sender, answer) = oneshot::channel();
        if self.outbox.send(Message::Finish(sender)).await.is_err() {
            return Ok(());
        }
        answer.await.unwrap_or(Ok(()))
    }
}

/// What is written in one go.
#[derive(Default)]
struct Batch {
    lines: Vec<LogLine>,
    bytes: usize,
    finish: Option<oneshot::Sender<Result<()>>>,
}

impl Batch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Line(line) => {
                self.bytes += line.text.len();
                self.lines.push(line);
            }
            Message::Finish(answer) => self.finish = Some(answer),
        }
    }
    fn is_ready(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.finish.is_some()
    }
}

/// Runs until the log is finished or nobody writes it any more.
pub(super) async fn write(log: Arc<Log>, appender: Appender, mut inbox: mpsc::Receiver<Message>) {
    let appender = Arc::new(Mutex::new(appender));
    let mut failure = None;
    while let Some(first) = inbox.recv().await {
        let mut batch = Batch::default();
        batch.add(first);
        let until = Instant::now() + BATCH_TIME;
        while !batch.is_ready() {
            match timeout_at(until, inbox.recv()).await {
                Ok(Some(message)) => batch.add(message),
                Ok(None) | Err(_) => break,
            }
        }
        let (log, appender, lines, finishing) = (log.clone(), appender.clone(), batch.lines, batch.finish.is_some());
        let name = log.name.clone();
        let written = blocking(&name, move || {
            let mut appender = appender.lock().unwrap_or_else(PoisonError::into_inner);
            log.change(|| {
                let added = appender.append(&lines);
                if finishing { added.and(appender.finish()) } else { added }
            })
        })
        .await;
        if let Err(error) = written {
            if failure.is_none() {
                tracing::warn!(log = name, error = types::report(&error), "lines of a log are lost");
            }
            failure.get_or_insert(error);
        }
        if let Some(answer) = batch.finish {
            inbox.close();
            let _ = answer.send(failure.map_or(Ok(()), Err));
            return;
        }
    }
}
