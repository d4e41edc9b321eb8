//! Opening: sled as it is if it verifies, else built anew from the newest good snapshot and the journal.
//!
//! Sled, journal and snapshots each hold what was acknowledged; any one of them may be damaged. What was found and
//! mended comes back in words, for the log and for `serverkit doctor`.

use crate::{
    directory::sync_dir,
    journal::{self, Contents, Journal, Step},
    snapshot,
    state::{self, Claims, State, Tally},
    store::Tuning,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};
use types::{Doing, Error, Result, World, report};

/// Broken folders that are kept for a look.
const BROKEN_KEPT: usize = 2;

/// A state that can be read and written.
pub struct Recovered {
    pub state: Arc<State>,
    pub tally: Tally,
    pub claims: Claims,
    pub journal: Journal,
    /// Bytes of journal since the newest snapshot.
    pub unsnapped: u64,
    /// Of the newest snapshot; 0 without one.
    pub snapshot_bytes: u64,
    /// What was wrong and is right again, a sentence each.
    pub mended: Vec<String>,
}

/// With `failed`, sled is not even tried: this process has failed with it and still holds its files.
pub fn recover(dir: &Path, tuning: &Tuning, world: &World, failed: Option<Error>) -> Result<Recovered> {
    let (state_dir, journal_dir, snapshot_dir) = (dir.join("state"), dir.join("journal"), dir.join("snapshots"));
    let mut mended = Vec::new();
    let newest = snapshot::list(&snapshot_dir)?.first().map_or(0, |snapshot| snapshot.sequence);

    let opened = failed
        .map_or_else(|| State::open(&state_dir), Err)
        .and_then(|(state, tally, claims)| {
            let contents = journal::read(&journal_dir, tally.sequence)?;
            if contents.gap || tally.sequence.max(contents.last) < newest {
                return Err(Error::internal(
                    "checking the state",
                    "it is older than the journal and the snapshots",
                ));
            }
            Ok((state, tally, claims, contents))
        });
    let (state, tally, claims, contents) = match opened {
        Ok((state, mut tally, mut claims, mut contents)) => {
            let state = Arc::new(state);
            if !contents.entries.is_empty() {
                let (early, made) = mpsc::channel();
                let claim = move |made| drop(early.send(made));
                let (after, gone) = state.apply(std::mem::take(&mut contents.entries), tally, tuning.patience, claim)?;
                tally = after;
                claims.extend(made.try_iter().flatten());
                state::forget(&mut claims, gone);
            }
            (state, tally, claims, contents)
        }
        Err(why @ Error::Unavailable { .. }) => return Err(why),
        Err(why) => rebuild(dir, &why, &mut mended, world)?,
    };

    if let Some((path, at)) = &contents.torn {
        if tally.sequence > contents.last {
            mended.push(format!(
                "the end of the journal {} was damaged; nothing is lost, the state had it",
                path.display()
            ));
        }
        journal::cut(path, *at)?;
    }
    for damage in &contents.damage {
        mended.push(format!("the journal was damaged: {damage}"));
    }
    let is_ahead = tally.sequence > contents.last.max(newest);
    let fresh = !mended.is_empty() || is_ahead;
    if fresh {
        snapshot::write(&snapshot_dir, &state, tally.sequence)?;
    }
    if !contents.damage.is_empty() {
        // All of it is in the snapshot now; left in place it would be found damaged again and again.
        move_aside(&journal_dir, world)?;
        fs::create_dir(&journal_dir).doing("creating the journal")?;
    }
    let newest = snapshot::list(&snapshot_dir)?.into_iter().next();
    let snapshot_bytes = newest
        .as_ref()
        .and_then(|newest| fs::metadata(&newest.path).ok())
        .map_or(0, |facts| facts.len());
    let journal = Journal::open(&journal_dir, tally.sequence + 1, fresh, tuning.segment_bytes)?;
    for sentence in &mended {
        tracing::error!("{sentence}");
    }
    Ok(Recovered {
        unsnapped: journal.bytes_after(newest.map_or(0, |newest| newest.sequence)),
        state,
        tally,
        claims,
        journal,
        snapshot_bytes,
        mended,
    })
}

/// Moves what is there aside and builds it from a snapshot and the journal after it.
fn rebuild(dir: &Path, why: &Error, mended: &mut Vec<String>, world: &World) -> Result<(Arc<State>, Tally, Claims, Contents)> {
    let state_dir = dir.join("state");
    let (mut sequence, mut records, contents) = best_base(dir, why, mended)?;
    if contents.gap {
        mended.push("changes are missing from the journal: the state is incomplete; compare it with a backup".into());
    }
    for entry in &contents.entries {
        sequence = entry.sequence;
        for step in &entry.steps {
            match step {
                Step::Put { path, bytes } => records.insert(path.clone(), bytes.clone()),
                Step::Remove { path } => records.remove(path),
            };
        }
    }
    let kept = move_aside(&state_dir, world)?;
    mended.push(format!(
        "the state could not be used ({}); it was built anew from snapshot and journal up to change {sequence}, the old one is in {}",
        report(why),
        kept.display()
    ));
    let (state, tally, claims) = State::build(&state_dir, sequence, records)?;
    Ok((Arc::new(state), tally, claims, contents))
}

type Records = BTreeMap<String, Vec<u8>>;

/// The newest good snapshot from which the journal goes on without a gap; else the newest good one; else nothing, if
/// the journal goes back to the first change.
fn best_base(dir: &Path, why: &Error, mended: &mut Vec<String>) -> Result<(u64, Records, Contents)> {
    let journal_dir = dir.join("journal");
    let mut second_best = None;
    for snapshot in snapshot::list(&dir.join("snapshots"))? {
        match snapshot::load(&snapshot) {
            Err(error) => mended.push(report(&error)),
            Ok(loaded) => {
                let contents = journal::read(&journal_dir, loaded.sequence)?;
                let is_whole = !contents.gap;
                let base = (loaded.sequence, loaded.records.into_iter().collect(), contents);
                if is_whole {
                    return Ok(base);
                }
                second_best.get_or_insert(base);
            }
        }
    }
    let contents = journal::read(&journal_dir, 0)?;
    let is_lost = contents.entries.is_empty() && !contents.damage.is_empty();
    if !contents.gap && !is_lost {
        return Ok((0, Records::new(), contents));
    }
    second_best.ok_or_else(|| {
        Error::unavailable(format!(
            "the state in {} is damaged ({}) and neither its snapshots nor its journal are enough to build it anew; put the directory back from a backup",
            dir.display(),
            report(why)
        ))
    })
}

/// Renames a folder to `<name>.broken-<time>` and removes all but the newest such.
pub fn move_aside(folder: &Path, world: &World) -> Result<PathBuf> {
    let parent = folder.parent().expect("a folder of the store lies in its directory");
    let prefix = format!("{}.broken-", folder.file_name().unwrap_or_default().to_string_lossy());
    let mut at = world.now().0;
    let mut target = parent.join(format!("{prefix}{at}"));
    while target.exists() {
        at += 1;
        target = parent.join(format!("{prefix}{at}"));
    }
    if folder.exists() {
        fs::rename(folder, &target).doing(format!("moving {} aside", folder.display()))?;
        sync_dir(parent)?;
    }
    let mut broken: Vec<PathBuf> = fs::read_dir(parent)
        .doing(format!("reading {}", parent.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect();
    broken.sort();
    for old in broken.iter().rev().skip(BROKEN_KEPT) {
        fs::remove_dir_all(old).doing(format!("removing {}", old.display()))?;
    }
    Ok(target)
}
