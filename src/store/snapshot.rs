//! All records at one sequence number, in one file with a checksum over the whole. The newest two are kept.

use crate::{
    codec::{Cursor, put_bytes},
    directory::sync_dir,
    state::State,
};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};
use types::{Doing, Error, Result};

const HEAD: &[u8] = b"serverkit snapshot 1\n";
const KEPT: usize = 2;

/// A snapshot file that is there; whether it is good, [`load`] finds out.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub sequence: u64,
    pub path: PathBuf,
}

/// The records of a good snapshot.
pub struct Loaded {
    pub sequence: u64,
    pub records: Vec<(String, Vec<u8>)>,
}

/// Newest first.
pub fn list(dir: &Path) -> Result<Vec<Snapshot>> {
    let mut snapshots = Vec::new();
    for entry in fs::read_dir(dir).doing(format!("reading {}", dir.display()))? {
        let path = entry.doing(format!("reading {}", dir.display()))?.path();
        let sequence = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".snapshot"))
            .and_then(|name| name.parse().ok());
        if let Some(sequence) = sequence {
            snapshots.push(Snapshot { sequence, path });
        }
    }
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence));
    Ok(snapshots)
}

/// Writes all of `state` beside the snapshots, then moves it in place. Answers its path and size.
pub fn write(dir: &Path, state: &State, sequence: u64) -> Result<(PathBuf, u64)> {
    let path = dir.join(format!("{sequence:020}.snapshot"));
    let part = dir.join("part");
    let done = write_to(&part, state, sequence);
    let bytes = match done {
        Ok(bytes) => bytes,
        Err(error) => {
            // It may have filled the disk; the error that matters is the first.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
    };
    fs::rename(&part, &path).doing("moving the snapshot in place")?;
    sync_dir(dir)?;
    Ok((path, bytes))
}

fn write_to(part: &Path, state: &State, sequence: u64) -> Result<u64> {
    let doing = "writing a snapshot";
    let mut out = Summed {
        out: BufWriter::new(File::create(part).doing(doing)?),
        hasher: crc32fast::Hasher::new(),
        bytes: 0,
    };
    out.put(HEAD)?;
    out.put(&sequence.to_le_bytes())?;
    let mut count = 0u64;
    state.prefix("", &mut |path, bytes| {
        if path.starts_with('\0') {
            return Ok(());
        }
        count += 1;
        let mut record = vec![1];
        put_bytes(&mut record, path.as_bytes());
        put_bytes(&mut record, bytes);
        out.put(&record)
    })?;
    out.put(&[0])?;
    out.put(&count.to_le_bytes())?;
    let checksum = out.hasher.clone().finalize();
    out.put(&checksum.to_le_bytes())?;
    out.out.flush().doing(doing)?;
    out.out.get_ref().sync_all().doing(doing)?;
    Ok(out.bytes)
}

/// Reads and checks a whole snapshot. Fails with `Internal` if any bit of it is wrong.
pub fn load(snapshot: &Snapshot) -> Result<Loaded> {
    let name = snapshot.path.display();
    let bytes = fs::read(&snapshot.path).doing(format!("reading {name}"))?;
    parse(&bytes)
        .filter(|loaded| loaded.sequence == snapshot.sequence)
        .ok_or_else(|| Error::internal(format!("reading {name}"), "it is damaged"))
}

fn parse(bytes: &[u8]) -> Option<Loaded> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc32fast::hash(body).to_le_bytes() != checksum {
        return None;
    }
    let mut cursor = Cursor(body.strip_prefix(HEAD)?);
    let sequence = cursor.u64()?;
    let mut records = Vec::new();
    while cursor.u8()? == 1 {
        records.push((cursor.text()?, cursor.bytes()?.to_vec()));
    }
    (cursor.u64()? == records.len() as u64 && cursor.0.is_empty()).then_some(Loaded { sequence, records })
}

/// Removes all but the newest; answers the sequence number of the oldest kept, from which the journal is needed.
pub fn prune(dir: &Path) -> Result<u64> {
    let snapshots = list(dir)?;
    for old in snapshots.iter().skip(KEPT) {
        fs::remove_file(&old.path).doing("removing an old snapshot")?;
    }
    // With one snapshot only, all of the journal is the second way back.
    Ok(snapshots.get(KEPT - 1).map_or(0, |snapshot| snapshot.sequence))
}

/// Writes and sums up what it writes.
struct Summed {
    out: BufWriter<File>,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl Summed {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).doing("writing a snapshot")
    }
}
