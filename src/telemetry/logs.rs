//! Logs by name: written in batches, read by pages, followed live.
//!
//! A log that nobody wrote yet is an empty one, so a reader may come before the writer. How a log lies on disk is
//! `segments`' business.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod writing;

pub use writing::LogWriter;

use crate::{
    redactor::Redactor,
    segments::{self, Appender},
};
use futures::{StreamExt, stream, stream::BoxStream};
use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
    time::UNIX_EPOCH,
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, watch},
    task::{JoinHandle, spawn_blocking},
};
use types::{Doing, Error, LogLine, OrganizationId, Result, Time};
use writing::{Message, write};

/// Lines that may wait for the disk; then writers wait.
const WAITING: usize = 1_024;
/// Lines that a follower reads at once.
const FOLLOW_LINES: usize = 1_000;

/// All logs of a panel. Clones share them.
#[derive(Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    redactor: Redactor,
    /// Those that are written or followed right now.
    open: Mutex<HashMap<String, Weak<Log>>>,
}

/// A line and its number in its log, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    pub n: u64,
    pub line: LogLine,
}

/// Some lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub lines: Vec<Numbered>,
    /// Read on behind this number.
    pub next: u64,
    /// Nothing comes behind `next`, now or later.
    pub complete: bool,
}

/// One log in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub name: String,
    /// On disk, compressed.
    pub bytes: u64,
    pub changed_at: Time,
    pub finished: bool,
}

impl LogStore {
    /// Keeps logs under `dir`, which is made if need be. Every line passes `redactor` on its way in, as of the log's organization.
    pub fn open(dir: &Path, redactor: Redactor) -> Result<LogStore> {
        fs::create_dir_all(dir).doing(format!("making the folder for logs, {}", dir.display()))?;
        Ok(LogStore {
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                redactor,
                open: Mutex::default(),
            }),
        })
    }

    /// Opens a log to write at its end. Two writers of one log share it. Names are words of letters, digits, `-` and `_`
    /// with `/` between them: `deployment/dep_…`. The people of the organization `whose` read it, so its secrets are taken out.
    pub async fn writer(&self, name: &str, whose: &OrganizationId) -> Result<LogWriter> {
        let log = self.log(name)?;
        let mut writing = log.writing.lock().await;
        if let Some(outbox) = writing.as_ref().and_then(Writing::outbox) {
            return Ok(self.writer_to(whose, outbox));
        }
        if let Some(before) = writing.take() {
            let _ = before.task.await;
        }
        let opened = log.clone();
        let appender = blocking(name, move || opened.appender()).await?;
        let (outbox, inbox) = mpsc::channel(WAITING);
        *writing = Some(Writing {
            outbox: outbox.downgrade(),
            task: tokio::spawn(write(log.clone(), appender, inbox)),
        });
        Ok(self.writer_to(whose, outbox))
    }

    fn writer_to(&self, whose: &OrganizationId, outbox: mpsc::Sender<Message>) -> LogWriter {
        LogWriter {
            whose: whose.clone(),
            redactor: self.shared.redactor.clone(),
            outbox,
        }
    }

    /// Up to `limit` lines behind number `after`; from the beginning with 0. A page may hold fewer when lines are long.
    pub async fn read(&self, name: &str, after: u64, limit: usize) -> Result<Page> {
        self.log(name)?.read(after, limit).await
    }

    /// The last `limit` lines.
    pub async fn tail(&self, name: &str, limit: usize) -> Result<Page> {
        let log = self.log(name)?;
        let folder = log.folder.clone();
        let last = blocking(name, move || segments::last_number(&folder)).await?;
        log.read(last.saturating_sub(limit as u64), limit).await
    }

    /// Whether anything was ever written under this name.
    pub async fn exists(&self, name: &str) -> Result<bool> {
        let folder = self.log(name)?.folder.clone();
        blocking(name, move || folder.try_exists()).await
    }

    /// Every line behind number `after`, those that are there and those to come, until the log is finished or removed.
    /// A name that cannot be, or a broken disk, ends it at once.
    pub fn follow(&self, name: &str, after: u64) -> BoxStream<'static, Numbered> {
        match self.log(name) {
            Ok(log) => {
                let progress = log.progress.subscribe();
                let follower = Follower {
                    log,
                    progress,
                    after,
                    ready: VecDeque::new(),
                    complete: false,
                };
                stream::unfold(follower, |mut follower| async move {
                    follower.next().await.map(|line| (line, follower))
                })
                .boxed()
            }
            Err(error) => {
                tracing::warn!(name, %error, "cannot follow a log");
                stream::empty().boxed()
            }
        }
    }

    /// Removes a log, or every log below a name: `app/app_…` takes `app/app_…/1` too. Gone already is fine.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let log = self.log(name)?;
        let below = format!("{name}/");
        let mut doomed = Vec::new();
        self.in_use().retain(|other, weak| {
            let goes = other == name || other.starts_with(&below);
            doomed.extend(weak.upgrade().filter(|_| goes));
            !goes
        });
        blocking(name, move || {
            for doomed in &doomed {
                doomed.discard();
            }
            match fs::remove_dir_all(&log.folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            }
        })
        .await
    }

    /// Every log below `prefix`, all with an empty one, by name.
    pub async fn list(&self, prefix: &str) -> Result<Vec<LogEntry>> {
        let root = self.shared.dir.clone();
        let folder = if prefix.is_empty() {
            root.clone()
        } else {
            self.log(prefix)?.folder.clone()
        };
        blocking(prefix, move || {
            let mut found = Vec::new();
            collect(&root, &folder, &mut found)?;
            found.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(found)
        })
        .await
    }

    /// The log, shared with everybody who writes or follows it now.
    fn log(&self, name: &str) -> Result<Arc<Log>> {
        check_name(name)?;
        let mut open = self.in_use();
        if let Some(log) = open.get(name).and_then(Weak::upgrade) {
            return Ok(log);
        }
        open.retain(|_, log| log.strong_count() > 0);
        let log = Arc::new(Log {
            name: name.to_owned(),
            folder: self.shared.dir.join(name),
            disk: RwLock::new(Standing::Kept),
            progress: watch::Sender::new(0),
            writing: AsyncMutex::new(None),
        });
        open.insert(name.to_owned(), Arc::downgrade(&log));
        Ok(log)
    }

    fn in_use(&self) -> MutexGuard<'_, HashMap<String, Weak<Log>>> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Words of letters, digits, `-` and `_`: neither `..` nor a file of a log can be one.
fn check_name(name: &str) -> Result<()> {
    let word =
        |word: &str| (1..=128).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if name.split('/').count() <= 4 && name.split('/').all(word) && !name.ends_with("/finished") && name != "finished" {
        Ok(())
    } else {
        Err(Error::invalid(
            "log",
            "use letters, digits, - and _, with / between at most 4 parts",
        ))
    }
}

/// Adds every log in `folder`, at any depth.
fn collect(root: &Path, folder: &Path, found: &mut Vec<LogEntry>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let (mut bytes, mut changed_at, mut any) = (0, Time(0), false);
    for entry in entries {
        let entry = entry?;
        // A log may be finished, packed or removed while it is looked at.
        let Ok(facts) = entry.metadata() else { continue };
        if facts.is_dir() {
            collect(root, &entry.path(), found)?;
        } else {
            any = true;
            bytes += facts.len();
            let age = facts.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            changed_at = changed_at.max(Time(0).plus(age));
        }
    }
    if let (true, Ok(name)) = (any, folder.strip_prefix(root)) {
        found.push(LogEntry {
            name: name.to_string_lossy().into_owned(),
            bytes,
            changed_at,
            finished: segments::is_finished(folder),
        });
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(name: &str, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let doing = || format!("using the log {name}");
    spawn_blocking(work).await.doing(doing())?.doing(doing())
}

/// A log that is written or followed.
struct Log {
    name: String,
    folder: PathBuf,
    /// Shared by readers; held alone by whoever adds, packs or removes files.
    disk: RwLock<Standing>,
    /// Goes up whenever there is something new to read.
    progress: watch::Sender<u64>,
    writing: AsyncMutex<Option<Writing>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Kept,
    Removed,
}

struct Writing {
    outbox: mpsc::WeakSender<Message>,
    task: JoinHandle<()>,
}

impl Writing {
    /// A way to the task, unless it is ending.
    fn outbox(&self) -> Option<mpsc::Sender<Message>> {
        self.outbox.upgrade().filter(|outbox| !outbox.is_closed())
    }
}

impl Log {
    fn appender(&self) -> io::Result<Appender> {
        let _alone = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        Appender::open(&self.folder)
    }

    async fn read(self: &Arc<Self>, after: u64, limit: usize) -> Result<Page> {
        let log = self.clone();
        blocking(&self.name, move || {
            let standing = log.disk.read().unwrap_or_else(PoisonError::into_inner);
            let mut page = segments::read(&log.folder, after, limit.max(1))?;
            page.complete |= *standing == Standing::Removed;
            Ok(page)
        })
        .await
    }

    /// Changes the files, unless they were removed meanwhile; then tells the followers.
    fn change(&self, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let standing = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        let done = if *standing == Standing::Kept { work() } else { Ok(()) };
        drop(standing);
        self.progress.send_modify(|version| *version += 1);
        done
    }

    fn discard(&self) {
        *self.disk.write().unwrap_or_else(PoisonError::into_inner) = Standing::Removed;
        self.progress.send_modify(|version| *version += 1);
    }
}

struct Follower {
    log: Arc<Log>,
    progress: watch::Receiver<u64>,
    after: u64,
    ready: VecDeque<Numbered>,
    complete: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Numbered> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.complete {
                return None;
            }
            // Marked as seen before reading, so that what comes while reading wakes us again.
            self.progress.borrow_and_update();
            match self.log.read(self.after, FOLLOW_LINES).await {
                Ok(page) => {
                    self.after = page.next;
                    self.complete = page.complete;
                    self.ready = page.lines.into();
                }
                Err(error) => {
                    tracing::warn!(log = self.log.name, error = types::report(&error), "cannot follow a log");
                    return None;
                }
            }
            if self.ready.is_empty() && !self.complete {
                self.progress.changed().await.ok()?;
            }
        }
    }
}
