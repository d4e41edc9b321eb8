//! sled, and only here. One tree holds every record under `<tree>/<key>`, so that one sled batch is one commit.
//!
//! Beside the records lies a tally: which sequence number was applied last, how many records there are and a sum of
//! their hashes. A scan at opening compares, so a record that sled lost is noticed like one that it damaged.
//! sled may panic on damaged files, and on a full disk it may wait for ever (0.34: a failed write does not wake who waits
//! for it, nor does dropping it end). So whatever writes, or reads from disk for the first time, runs in a thread of its
//! own with a limit; what failed is leaked and not dropped, and its folder is moved aside.

use crate::{
    backwards,
    codec::Cursor,
    envelope,
    journal::{Entry, Step},
};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use types::{Doing, Error, Result, report};

/// Sorts before every record.
const TALLY: &[u8] = b"\0tally";
const CACHE_BYTES: u64 = 8 << 20;
/// How long an earlier instance in this process may take to let go of its files.
const RELEASE: Duration = Duration::from_secs(5);
/// How long reading or writing everything may take, and how long closing.
const WHOLE: Duration = Duration::from_secs(120);
const CLOSE: Duration = Duration::from_secs(20);

/// What is in the state, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of the last batch applied; 0 before the first.
    pub sequence: u64,
    pub records: u64,
    /// The wrapping sum of a hash of each record.
    pub sum: u64,
}

/// Which record holds a claim: `<tree>/<claim>` to `<tree>/<key>`. In order, so that those that begin alike are next to each other.
pub type Claims = BTreeMap<String, String>;

/// Forgets claims that nobody made anew.
pub fn forget(claims: &mut Claims, gone: Claims) {
    for (claim, holder) in gone {
        if claims.get(&claim) == Some(&holder) {
            claims.remove(&claim);
        }
    }
}

/// The records in sled.
pub struct State {
    db: sled::Db,
}

impl State {
    /// Opens and reads everything once. Fails with `Internal` when sled does not open, panics, or anything in it does
    /// not verify.
    pub fn open(dir: &Path) -> Result<(State, Tally, Claims)> {
        let dir = dir.to_owned();
        within(WHOLE, "opening the state", move || {
            let state = ManuallyDrop::new(State { db: open(&dir)? });
            let (tally, claims) = state.verify()?;
            Ok((ManuallyDrop::into_inner(state), tally, claims))
        })
    }

    /// An empty one with these records, which the caller has verified.
    pub fn build(dir: &Path, sequence: u64, records: BTreeMap<String, Vec<u8>>) -> Result<(State, Tally, Claims)> {
        let dir = dir.to_owned();
        within(WHOLE, "building the state anew", move || {
            let doing = "building the state anew";
            let state = ManuallyDrop::new(State { db: open(&dir)? });
            let mut tally = Tally {
                sequence,
                ..Tally::default()
            };
            let mut claims = Claims::new();
            let mut batch = sled::Batch::default();
            let mut pending = 0;
            for (path, bytes) in records {
                tally.add(&path, &bytes);
                learn(&mut claims, &path, &bytes)?;
                pending += bytes.len();
                batch.insert(path.as_bytes(), bytes);
                if pending > 1 << 20 {
                    state.db.apply_batch(std::mem::take(&mut batch)).doing(doing)?;
                    pending = 0;
                }
            }
            batch.insert(TALLY, tally.bytes());
            state.db.apply_batch(batch).doing(doing)?;
            state.flush()?;
            Ok((ManuallyDrop::into_inner(state), tally, claims))
        })
    }

    /// Lets go of the files.
    pub fn close(self: Arc<State>) {
        let closed = within(CLOSE, "closing the state", move || {
            drop(self);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::error!("{}", report(&error));
        }
    }

    pub fn get(&self, path: &str) -> Result<Option<sled::IVec>> {
        self.db.get(path).doing("reading the state")
    }

    /// Each record whose path begins with `prefix`, in order.
    pub fn prefix(&self, prefix: &str, each: &mut dyn FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        for item in self.db.scan_prefix(prefix) {
            let (path, bytes) = item.doing("reading the state")?;
            each(text(&path)?, &bytes)?;
        }
        Ok(())
    }

    /// The last `n` records whose path begins with `prefix` and is below `before`, in falling order.
    pub fn last(&self, prefix: &str, before: Option<&str>, n: usize, each: &mut dyn FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        // A path is UTF-8, in which the byte 0xff does not occur.
        let end = before.map_or_else(|| [prefix.as_bytes(), &[0xff]].concat(), |before| before.as_bytes().to_vec());
        if end.as_slice() <= prefix.as_bytes() {
            return Ok(());
        }
        for (path, bytes) in backwards::last(&self.db, prefix.as_bytes(), &end, n).doing("reading the state")? {
            each(text(&path)?, &bytes)?;
        }
        Ok(())
    }

    /// Applies what is in the journal already, in one sled batch, and flushes. Entries up to the tally's own sequence
    /// number are skipped, so applying twice is applying once. `claim` gets the new claims before a record is to be seen,
    /// so that none is seen without them; answered are the claims that are gone. Fails when sled does, or takes longer than
    /// `limit`.
    pub fn apply(
        self: &Arc<State>,
        entries: Vec<Entry>,
        tally: Tally,
        limit: Duration,
        claim: impl FnOnce(Claims) + Send + 'static,
    ) -> Result<(Tally, Claims)> {
        let state = ManuallyDrop::new(self.clone());
        within(limit, "writing the state", move || {
            let done = state.apply_here(&entries, tally, claim)?;
            drop(ManuallyDrop::into_inner(state));
            Ok(done)
        })
    }

    fn apply_here(&self, entries: &[Entry], tally: Tally, claim: impl FnOnce(Claims)) -> Result<(Tally, Claims)> {
        let mut latest: HashMap<&str, Option<&[u8]>> = HashMap::new();
        let mut after = tally;
        for entry in entries.iter().filter(|entry| entry.sequence > tally.sequence) {
            after.sequence = entry.sequence;
            for step in &entry.steps {
                match step {
                    Step::Put { path, bytes } => latest.insert(path, Some(bytes)),
                    Step::Remove { path } => latest.insert(path, None),
                };
            }
        }
        let mut batch = sled::Batch::default();
        let (mut gone, mut made) = (Claims::new(), Claims::new());
        for (path, bytes) in latest {
            if let Some(old) = self.get(path)? {
                after.subtract(path, &old);
                learn(&mut gone, path, &old)?;
            }
            match bytes {
                Some(bytes) => {
                    after.add(path, bytes);
                    learn(&mut made, path, bytes)?;
                    batch.insert(path, bytes);
                }
                None => batch.remove(path),
            }
        }
        batch.insert(TALLY, after.bytes());
        gone.retain(|claim, holder| made.get(claim) != Some(holder));
        claim(made);
        self.db.apply_batch(batch).doing("writing the state")?;
        self.flush()?;
        Ok((after, gone))
    }

    fn flush(&self) -> Result<()> {
        self.db.flush().doing("flushing the state").map(drop)
    }

    /// Reads all there is; compares with the tally.
    fn verify(&self) -> Result<(Tally, Claims)> {
        let mut found = Tally::default();
        let mut stated = None;
        let mut claims = Claims::new();
        for item in self.db.iter() {
            let (path, bytes) = item.doing("reading the state")?;
            if path == TALLY {
                stated = Some(Tally::read(&bytes).ok_or_else(|| damaged("its tally does not verify"))?);
            } else {
                let path = text(&path)?;
                learn(&mut claims, path, &bytes)?;
                found.add(path, &bytes);
            }
        }
        let stated = stated.unwrap_or_default();
        found.sequence = stated.sequence;
        if found != stated {
            return Err(damaged(format!(
                "it should hold {} records and holds {}, or others than it should",
                stated.records, found.records
            )));
        }
        Ok((stated, claims))
    }
}

impl Tally {
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(hash(path, bytes));
    }
    fn subtract(&mut self, path: &str, bytes: &[u8]) {
        self.records = self.records.saturating_sub(1);
        self.sum = self.sum.wrapping_sub(hash(path, bytes));
    }
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28);
        for number in [self.sequence, self.records, self.sum] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }
    fn read(bytes: &[u8]) -> Option<Tally> {
        let mut cursor = Cursor(bytes);
        let tally = Tally {
            sequence: cursor.u64()?,
            records: cursor.u64()?,
            sum: cursor.u64()?,
        };
        (cursor.u32()? == crc32fast::hash(bytes.get(..24)?) && cursor.0.is_empty()).then_some(tally)
    }
}

/// 64 bits of a record.
fn hash(path: &str, bytes: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(path.as_bytes());
    let path_hash = hasher.clone().finalize();
    hasher.update(bytes);
    u64::from(path_hash) << 32 | u64::from(hasher.finalize())
}

/// Notes the claims of a record; so also checks it.
fn learn(claims: &mut Claims, path: &str, bytes: &[u8]) -> Result<()> {
    for claim in envelope::decode(path, bytes)?.claims {
        claims.insert(claim_path(path, claim), path.to_owned());
    }
    Ok(())
}

/// `<tree>/<claim>` for a claim of the record at `path`.
pub fn claim_path(path: &str, claim: &str) -> String {
    let tree = path.split_once('/').map_or(path, |(tree, _)| tree);
    format!("{tree}/{claim}")
}

fn text(path: &[u8]) -> Result<&str> {
    std::str::from_utf8(path).map_err(|_| damaged("a key is not text"))
}

fn damaged(why: impl Into<String>) -> Error {
    Error::internal("checking the state", why.into())
}

/// Removes the summary of its log that sled writes while it opens, `snap.….generating`, where a kill left it half done: sled 0.34 means to
/// pass it over, looks for another ending, and calls the state damaged. The log and the summary before it have all that it says.
/// Can go with <https://github.com/spacejam/sled/issues/1527>.
fn remove_half_done(dir: &Path) -> Result<()> {
    let doing = "looking for what a kill left half done";
    let found = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.doing(doing)?,
    };
    for entry in found {
        let path = entry.doing(doing)?.path();
        if path.extension().is_some_and(|ending| ending == "generating") {
            fs::remove_file(&path).doing(format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// A former instance in this process may still be letting go of the file: waits for its lock.
fn open(dir: &Path) -> Result<sled::Db> {
    remove_half_done(dir)?;
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .mode(sled::Mode::LowSpace)
        .flush_every_ms(None);
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") && begun.elapsed() < RELEASE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done.doing("opening the state"),
        }
    }
}

/// Does `work` in a thread of its own. A panic there is an error, and so is no answer in time; then the thread is left
/// to itself.
fn within<T: Send + 'static>(limit: Duration, doing: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (answer, answers) = mpsc::channel();
    std::thread::Builder::new()
        .name("state".into())
        .spawn(move || {
            // Nobody waits any more if it took too long.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        })
        .doing(doing)?;
    match answers.recv_timeout(limit) {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => {
            let words = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Err(Error::internal(doing, format!("sled panicked: {words}")))
        }
        Err(_) => Err(Error::internal(doing, format!("sled did not answer for {} s", limit.as_secs()))),
    }
}
