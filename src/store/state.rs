//! sled, and only here. One tree holds every record under `<tree>/<key>`, so that one sled batch is one commit.
//!
//! Beside the records lies a tally: which sequence number was applied last, how many records there are and a sum of
//! their hashes. A scan at opening compares, so a record that sled lost is noticed like one that it damaged.
//! sled may panic on damaged files; every call that reads from disk for the first time is guarded.

use crate::{
    codec::Cursor,
    envelope,
    journal::{Entry, Step},
};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};
use types::{Doing, Error, Result};

/// Sorts before every record.
const TALLY: &[u8] = b"\0tally";
const CACHE_BYTES: u64 = 8 << 20;
/// How long an earlier instance in this process may take to let go of its files.
const RELEASE: Duration = Duration::from_secs(5);

/// What is in the state, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of the last batch applied; 0 before the first.
    pub sequence: u64,
    pub records: u64,
    /// The wrapping sum of a hash of each record.
    pub sum: u64,
}

/// Which record holds a claim: `<tree>/<claim>` to `<tree>/<key>`.
pub type Claims = HashMap<String, String>;

/// What a change of records means for their claims.
#[derive(Default)]
pub struct ClaimChange {
    old: Claims,
    new: Claims,
}

impl ClaimChange {
    pub fn make(self, claims: &mut Claims) {
        for (claim, holder) in self.old {
            if claims.get(&claim) == Some(&holder) {
                claims.remove(&claim);
            }
        }
        claims.extend(self.new);
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
        guarded("opening the state", || {
            let state = State { db: open(dir)? };
            let (tally, claims) = state.verify()?;
            Ok((state, tally, claims))
        })
    }

    /// An empty one with these records, which the caller has verified.
    pub fn build<'a>(dir: &Path, sequence: u64, records: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<(State, Tally, Claims)> {
        guarded("building the state anew", || {
            let state = State { db: open(dir)? };
            let mut tally = Tally {
                sequence,
                ..Tally::default()
            };
            let mut claims = Claims::new();
            let mut batch = sled::Batch::default();
            let mut pending = 0;
            for (path, bytes) in records {
                tally.add(path, bytes);
                learn(&mut claims, path, bytes)?;
                batch.insert(path, bytes);
                pending += bytes.len();
                if pending > 1 << 20 {
                    state.db.apply_batch(std::mem::take(&mut batch)).doing("building the state anew")?;
                    pending = 0;
                }
            }
            batch.insert(TALLY, tally.bytes());
            state.db.apply_batch(batch).doing("building the state anew")?;
            state.flush()?;
            Ok((state, tally, claims))
        })
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
        for item in self.db.range(prefix.as_bytes()..end.as_slice()).rev().take(n) {
            let (path, bytes) = item.doing("reading the state")?;
            each(text(&path)?, &bytes)?;
        }
        Ok(())
    }

    /// Applies what is in the journal already, in one sled batch, and flushes. Entries up to the tally's own sequence
    /// number are skipped, so applying twice is applying once.
    pub fn apply(&self, entries: &[Entry], tally: &mut Tally) -> Result<ClaimChange> {
        guarded("writing the state", || {
            let mut latest: HashMap<&str, Option<&[u8]>> = HashMap::new();
            let mut after = *tally;
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
            let mut change = ClaimChange::default();
            for (path, bytes) in latest {
                if let Some(old) = self.get(path)? {
                    after.subtract(path, &old);
                    learn(&mut change.old, path, &old)?;
                }
                match bytes {
                    Some(bytes) => {
                        after.add(path, bytes);
                        learn(&mut change.new, path, bytes)?;
                        batch.insert(path, bytes);
                    }
                    None => batch.remove(path),
                }
            }
            batch.insert(TALLY, after.bytes());
            self.db.apply_batch(batch).doing("writing the state")?;
            self.flush()?;
            *tally = after;
            Ok(change)
        })
    }

    pub fn flush(&self) -> Result<()> {
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

/// A former instance in this process may still be letting go of the file: waits for its lock.
fn open(dir: &Path) -> Result<sled::Db> {
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

/// Turns a panic inside sled into an error.
fn guarded<T>(doing: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Err(Error::internal(doing, format!("sled panicked: {words}")))
    })
}
