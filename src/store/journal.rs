//! The journal: every committed batch, in order, in files that are only appended to.
//!
//! A frame is `magic, length, CRC-32, payload` and holds the batches of one sync, so a frame that a crash tore is the
//! last one and was never acknowledged. A bad frame with a good one after it is damage, and is reported.

use crate::{
    codec::{Cursor, put_bytes},
    directory::sync_dir,
    record,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use types::{Doing, Error, Result};

const MAGIC: [u8; 4] = *b"SKJ\x01";
const FRAME_HEAD: usize = 12;
/// The first line of a segment; a newer layout gets another number.
const HEAD: &[u8] = b"serverkit journal 1\n";

/// One committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 1, 2, 3, …
    pub sequence: u64,
    pub steps: Vec<Step>,
}

/// What a batch did to one record; safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Put { path: String, bytes: Vec<u8> },
    Remove { path: String },
}

/// The end that is written to.
pub struct Journal {
    dir: PathBuf,
    /// Oldest first; the last one is open.
    segments: Vec<Segment>,
    file: File,
    /// Up to here the open segment is good.
    length: u64,
    /// An append failed and what it left could not be cut off: cut before the next one.
    ragged: bool,
    segment_bytes: u64,
}

struct Segment {
    first: u64,
    path: PathBuf,
}

/// What a journal on disk holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Those after the asked-for sequence number, in order.
    pub entries: Vec<Entry>,
    /// Sequence numbers of the first and the last entry there is; 0 if there is none.
    pub first: u64,
    pub last: u64,
    /// Whether numbers are missing among `entries`, or between what was asked for and the first of them.
    pub gap: bool,
    /// A last frame that was not written whole: the file and where it begins.
    pub torn: Option<(PathBuf, u64)>,
    /// What is wrong in the middle, in words.
    pub damage: Vec<String>,
}

/// Reads all segments; keeps the entries after `after`.
pub fn read(dir: &Path, after: u64) -> Result<Contents> {
    let mut contents = Contents::default();
    let segments = segments(dir)?;
    let mut expected = None;
    for (index, segment) in segments.iter().enumerate() {
        let bytes = fs::read(&segment.path).doing(format!("reading {}", segment.path.display()))?;
        let is_last = index + 1 == segments.len();
        read_segment(segment, &bytes, is_last, &mut contents, |contents, entry| {
            if expected.is_some_and(|expected| entry.sequence < expected) {
                contents.damage.push(format!("batch {} is there twice", entry.sequence));
                return;
            }
            if expected.is_some_and(|expected| entry.sequence > expected) {
                contents.damage.push(format!("batches before {} are missing", entry.sequence));
            }
            expected = Some(entry.sequence + 1);
            if contents.first == 0 {
                contents.first = entry.sequence;
            }
            contents.last = entry.sequence;
            if entry.sequence > after {
                contents.gap |= entry.sequence != contents.entries.last().map_or(after, |entry| entry.sequence) + 1;
                contents.entries.push(entry);
            }
        })?;
    }
    Ok(contents)
}

fn read_segment(
    segment: &Segment,
    bytes: &[u8],
    is_last: bool,
    contents: &mut Contents,
    mut each: impl FnMut(&mut Contents, Entry),
) -> Result<()> {
    let name = segment.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut at = HEAD.len().min(bytes.len());
    if &bytes[..at] != HEAD {
        if at < HEAD.len() && is_last {
            contents.torn = Some((segment.path.clone(), 0));
            return Ok(());
        }
        if bytes.starts_with(b"serverkit journal ") && bytes[..at.min(18)] == HEAD[..18] && bytes.get(18).is_some_and(|digit| *digit > b'1')
        {
            return Err(record::refused(format!(
                "the journal {name} was written by a newer serverkit; start that one"
            )));
        }
        contents.damage.push(format!("{name} does not begin like a journal"));
    }
    while at < bytes.len() {
        if let Some((entries, next)) = frame(bytes, at) {
            for entry in entries {
                each(contents, entry);
            }
            at = next;
            continue;
        }
        let next = (at + 1..bytes.len()).find(|next| bytes[*next..].starts_with(&MAGIC) && frame(bytes, *next).is_some());
        match next {
            Some(next) => {
                contents.damage.push(format!("{name} is damaged from byte {at} to {next}"));
                at = next;
            }
            None if is_last => {
                contents.torn = Some((segment.path.clone(), at as u64));
                break;
            }
            None => {
                contents.damage.push(format!("{name} is damaged from byte {at} to its end"));
                break;
            }
        }
    }
    Ok(())
}

/// The entries of the frame at `at`, and where the next one begins; `None` if it is not whole and right.
fn frame(bytes: &[u8], at: usize) -> Option<(Vec<Entry>, usize)> {
    let mut cursor = Cursor(&bytes[at..]);
    if cursor.take(4)? != MAGIC {
        return None;
    }
    let length = cursor.u32()? as usize;
    let checksum = cursor.u32()?;
    let payload = cursor.take(length)?;
    if frame_checksum(payload) != checksum {
        return None;
    }
    let mut cursor = Cursor(payload);
    let entries = (0..cursor.u32()?).map(|_| entry(&mut cursor)).collect::<Option<Vec<_>>>()?;
    Some((entries, at + FRAME_HEAD + length))
}

fn entry(cursor: &mut Cursor<'_>) -> Option<Entry> {
    let sequence = cursor.u64()?;
    let steps = (0..cursor.u32()?)
        .map(|_| match cursor.u8()? {
            0 => Some(Step::Remove { path: cursor.text()? }),
            1 => Some(Step::Put {
                path: cursor.text()?,
                bytes: cursor.bytes()?.to_vec(),
            }),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Entry { sequence, steps })
}

fn write_frame(entries: &[Entry]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        payload.extend_from_slice(&entry.sequence.to_le_bytes());
        payload.extend_from_slice(&(entry.steps.len() as u32).to_le_bytes());
        for step in &entry.steps {
            match step {
                Step::Remove { path } => {
                    payload.push(0);
                    put_bytes(&mut payload, path.as_bytes());
                }
                Step::Put { path, bytes } => {
                    payload.push(1);
                    put_bytes(&mut payload, path.as_bytes());
                    put_bytes(&mut payload, bytes);
                }
            }
        }
    }
    let mut frame = Vec::with_capacity(FRAME_HEAD + payload.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&frame_checksum(&payload).to_le_bytes());
    frame.extend_from_slice(&payload);
    frame
}

/// Over the length too, so that zeros are not a frame.
fn frame_checksum(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The segments in a folder, oldest first.
fn segments(dir: &Path) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).doing(format!("reading {}", dir.display()))? {
        let path = entry.doing(format!("reading {}", dir.display()))?.path();
        let first = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".log"))
            .and_then(|name| name.parse().ok());
        if let Some(first) = first {
            segments.push(Segment { first, path });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

impl Journal {
    /// Opens the end for writing; what a crash tore must have been cut off with [`cut`]. `next` is the sequence number
    /// that comes next; with `fresh`, a new segment is begun even if the last one has room.
    pub fn open(dir: &Path, next: u64, fresh: bool, segment_bytes: u64) -> Result<Journal> {
        let mut segments = segments(dir)?;
        let reuse = segments.last().filter(|_| !fresh).map(|segment| segment.path.clone());
        let (file, length) = match reuse {
            Some(path) => {
                let mut file = OpenOptions::new().write(true).open(&path).doing("opening the journal")?;
                let length = file.seek(SeekFrom::End(0)).doing("opening the journal")?;
                (file, length)
            }
            None => {
                let (segment, file) = begin(dir, next)?;
                segments.retain(|old| old.first != next);
                segments.push(segment);
                (file, HEAD.len() as u64)
            }
        };
        Ok(Journal {
            dir: dir.to_owned(),
            segments,
            file,
            length,
            ragged: false,
            segment_bytes,
        })
    }

    /// Appends the entries as one frame and syncs. On failure the journal is as it was before.
    pub fn append(&mut self, entries: &[Entry]) -> Result<u64, std::io::Error> {
        if self.ragged {
            self.smooth()?;
        }
        if self.length >= self.segment_bytes {
            self.rotate(entries[0].sequence)?;
        }
        let frame = write_frame(entries);
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.ragged = true;
            // If even this fails it is tried again before the next append.
            let _ = self.smooth();
            return Err(error);
        }
        self.length += frame.len() as u64;
        Ok(frame.len() as u64)
    }

    /// Begins a new segment, whose first entry will be `next`.
    pub fn rotate(&mut self, next: u64) -> Result<(), std::io::Error> {
        if self.length == HEAD.len() as u64 {
            return Ok(());
        }
        let (segment, file) = begin(&self.dir, next).map_err(|error| match error {
            Error::Internal { source, .. } => source
                .downcast::<std::io::Error>()
                .map_or_else(std::io::Error::other, |error| *error),
            other => std::io::Error::other(other),
        })?;
        self.segments.push(segment);
        self.file = file;
        self.length = HEAD.len() as u64;
        Ok(())
    }

    /// Removes segments all of whose entries are at or before `sequence`.
    pub fn prune(&mut self, sequence: u64) -> Result<()> {
        while self.segments.len() > 1 && self.segments[1].first <= sequence + 1 {
            let segment = self.segments.remove(0);
            fs::remove_file(&segment.path).doing("removing an old part of the journal")?;
        }
        sync_dir(&self.dir)
    }

    /// The size of what came after a snapshot at `sequence`.
    pub fn bytes_after(&self, sequence: u64) -> u64 {
        let later = self.segments.iter().filter(|segment| segment.first > sequence);
        later.filter_map(|segment| Some(fs::metadata(&segment.path).ok()?.len())).sum()
    }

    /// Cuts off what a failed append left behind.
    fn smooth(&mut self) -> Result<(), std::io::Error> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_data()?;
        self.ragged = false;
        Ok(())
    }
}

/// Cuts a file at the place where a crash tore it; removes it when nothing is left.
pub fn cut(path: &Path, at: u64) -> Result<()> {
    let doing = || format!("cutting the torn end off {}", path.display());
    if at < HEAD.len() as u64 {
        fs::remove_file(path).doing(doing())?;
        return sync_dir(path.parent().expect("a segment lies in a folder"));
    }
    let file = OpenOptions::new().write(true).open(path).doing(doing())?;
    file.set_len(at).doing(doing())?;
    file.sync_all().doing(doing())
}

fn begin(dir: &Path, first: u64) -> Result<(Segment, File)> {
    let path = dir.join(format!("{first:020}.log"));
    let doing = "beginning a new part of the journal";
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .doing(doing)?;
    file.write_all(HEAD).doing(doing)?;
    file.sync_all().doing(doing)?;
    sync_dir(dir)?;
    Ok((Segment { first, path }, file))
}
