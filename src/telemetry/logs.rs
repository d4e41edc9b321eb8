//! Logs by name: written in batches, read by pages, followed live.
//!
//! A log that nobody wrote yet is an empty one, so a reader may come before the writer. How a log lies on disk is
//! `segments`' business.

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
    time::{Duration, UNIX_EPOCH},
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout_at},
};
use types::{Doing, Error, LogLine, OrganizationId, Result, Time};

/// A batch is written when its first line is this old, or when it holds this much text.
const BATCH_TIME: Duration = Duration::from_millis(50);
const BATCH_BYTES: usize = 64 << 10;
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

enum Message {
    Line(LogLine),
    Finish(oneshot::Sender<Result<()>>),
}

/// Writes at the end of a log. When the last clone goes, what was given is still written, and the log stays unfinished.
#[derive(Clone)]
pub struct LogWriter {
    whose: OrganizationId,
    redactor: Redactor,
    outbox: mpsc::Sender<Message>,
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
async fn write(log: Arc<Log>, appender: Appender, mut inbox: mpsc::Receiver<Message>) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tempfile::TempDir;
    use types::{LogStream, Secret};

    fn store() -> (TempDir, LogStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = LogStore::open(dir.path(), Redactor::new()).unwrap();
        (dir, store)
    }

    fn us() -> OrganizationId {
        format!("org_{}", "0".repeat(26)).parse().unwrap()
    }

    fn line(text: impl Into<String>) -> LogLine {
        LogLine {
            at: Time(1_700_000_000_000),
            stream: LogStream::Stderr,
            text: text.into(),
        }
    }

    async fn texts(store: &LogStore, name: &str) -> Vec<String> {
        let page = store.read(name, 0, 100_000).await.unwrap();
        page.lines.into_iter().map(|line| line.line.text).collect()
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let (_dir, store) = store();
        let writer = store.writer("deployment/dep_1", &us()).await.unwrap();
        for number in 0..2_000 {
            writer.line(line(format!("line {number}"))).await;
        }
        writer.finish().await.unwrap();
        let page = store.read("deployment/dep_1", 10, 5).await.unwrap();
        assert_eq!(
            (page.lines[0].n, page.lines[0].line.text.as_str(), page.next, page.complete),
            (11, "line 10", 15, false)
        );
        assert!(store.read("deployment/dep_1", 2_000, 5).await.unwrap().complete);
        let tail = store.tail("deployment/dep_1", 3).await.unwrap();
        assert_eq!((tail.lines[0].n, tail.next, tail.complete), (1_998, 2_000, false));
        assert_eq!(store.list("").await.unwrap()[0].name, "deployment/dep_1");
    }

    #[tokio::test]
    async fn no_secret_lands_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let redactor = Redactor::new();
        redactor.learn(&us(), &Secret::from("hunter2hunter2"));
        let store = LogStore::open(dir.path(), redactor).unwrap();
        let writer = store.writer("a", &us()).await.unwrap();
        writer.line(line("PASSWORD=hunter2hunter2 aHVudGVyMmh1bnRlcjI=")).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let raw = fs::read_to_string(dir.path().join("a/000000000001.log")).unwrap();
        assert!(raw.contains("PASSWORD=•••• ••••") && !raw.contains("hunter2"), "{raw}");
    }

    #[tokio::test]
    async fn followers_see_old_and_new_lines_until_the_end() {
        let (_dir, store) = store();
        let early = store.follow("a", 0);
        let early = tokio::spawn(early.map(|line| line.n).collect::<Vec<_>>());
        let writer = store.writer("a", &us()).await.unwrap();
        writer.line(line("1")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut late = store.follow("a", 0);
        assert_eq!(late.next().await.unwrap().n, 1);
        for number in 2..=5_000 {
            writer.line(line(number.to_string())).await;
        }
        writer.finish().await.unwrap();
        let rest: Vec<Numbered> = late.collect().await;
        assert!(
            rest.iter()
                .zip(2..)
                .all(|(line, number)| line.n == number && line.line.text == number.to_string())
        );
        assert_eq!(rest.len(), 4_999);
        assert_eq!(early.await.unwrap(), (1..=5_000).collect::<Vec<u64>>());
        assert_eq!(store.follow("a", 4_999).count().await, 1);
    }

    #[tokio::test]
    async fn two_writers_share_a_log_and_a_third_comes_later() {
        let (_dir, store) = store();
        let (one, two) = (store.writer("a", &us()).await.unwrap(), store.writer("a", &us()).await.unwrap());
        one.line(line("one")).await;
        two.line(line("two")).await;
        drop((one, two));
        let three = store.writer("a", &us()).await.unwrap();
        three.line(line("three")).await;
        three.finish().await.unwrap();
        three.line(line("too late")).await;
        assert_eq!(texts(&store, "a").await, ["one", "two", "three"]);
    }

    #[tokio::test]
    async fn a_log_that_a_crash_left_is_continued() {
        let (dir, first) = store();
        let writer = first.writer("a", &us()).await.unwrap();
        writer.line(line("before")).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut raw = fs::OpenOptions::new()
            .append(true)
            .open(dir.path().join("a/000000000001.log"))
            .unwrap();
        io::Write::write_all(&mut raw, b"2 170000").unwrap();
        let second = LogStore::open(dir.path(), Redactor::new()).unwrap();
        let follower = second.follow("a", 0);
        let writer = second.writer("a", &us()).await.unwrap();
        writer.line(line("after")).await;
        writer.finish().await.unwrap();
        let lines: Vec<String> = follower.map(|line| line.line.text).collect().await;
        assert_eq!(lines, ["before", "after"]);
    }

    #[tokio::test]
    async fn removing_ends_followers_and_writing() {
        let (dir, store) = store();
        let writer = store.writer("app/a/1", &us()).await.unwrap();
        writer.line(line("x")).await;
        let mut follower = store.follow("app/a/1", 0);
        assert!(follower.next().await.is_some());
        store.remove("app/a").await.unwrap();
        assert!(follower.next().await.is_none());
        writer.line(line("y")).await;
        writer.finish().await.unwrap();
        assert!(!dir.path().join("app/a").exists());
        assert!(!store.exists("app/a/1").await.unwrap());
        store.remove("app/a").await.unwrap();
        let again = store.writer("app/a/1", &us()).await.unwrap();
        again.line(line("z")).await;
        again.finish().await.unwrap();
        assert_eq!(texts(&store, "app/a/1").await, ["z"]);
    }

    #[tokio::test]
    async fn names_that_could_escape_are_refused() {
        let (_dir, store) = store();
        let long = "a".repeat(300);
        for name in [
            "",
            "..",
            "../a",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a.log",
            "a/",
            "a\0",
            "ä",
            "a b",
            "finished",
            "a/b/c/d/e",
            &long,
        ] {
            assert!(matches!(store.writer(name, &us()).await, Err(Error::Invalid { .. })), "{name:?}");
            assert!(
                store.read(name, 0, 1).await.is_err() && store.remove(name).await.is_err(),
                "{name:?}"
            );
            assert_eq!(store.follow(name, 0).count().await, 0, "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_is_told_of() {
        let (dir, store) = store();
        let writer = store.writer("a", &us()).await.unwrap();
        fs::create_dir(dir.path().join("a/000000000001.log")).unwrap();
        writer.line(line("lost")).await;
        let error = writer.finish().await.unwrap_err();
        assert_eq!(error.to_string(), "while using the log a");
    }
}
