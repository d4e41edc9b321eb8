//! One log on disk: a folder of segments, each a text file of numbered lines. Everything here blocks.
//!
//! A segment is named by its first line's number. It holds one line per line of the log: its number, its moment in
//! milliseconds, `o`, `e` or `n` for the stream, and the text, with `\\`, `\n` and `\r` escaped. So a write that a crash
//! cut short is a last line without an end, which is left out and later cut away. Full segments are compressed; when
//! there are too many, the oldest beyond the first few go. A reader sees a gap in the numbers and says so in a line.

use crate::logs::{Numbered, Page};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use types::{LogLine, LogStream, Time};

/// A segment is full at this size, uncompressed.
const SEGMENT_BYTES: u64 = 2 << 20;
/// Segments kept: 32 MiB in all, of which the first 8 MiB are the log's beginning.
const MOST_SEGMENTS: usize = 16;
const FIRST_SEGMENTS: usize = 4;
/// A text is cut at this many bytes.
const LONGEST_TEXT: usize = 16 << 10;
/// A page holds about this much text at most.
const PAGE_BYTES: usize = 1 << 20;
const FINISHED: &str = "finished";

/// Writes at the end of a log.
pub struct Appender {
    folder: PathBuf,
    segment: Option<Segment>,
    /// The number of the next line.
    next: u64,
}

/// The one that is written to.
struct Segment {
    path: PathBuf,
    file: File,
    /// Up to here it holds whole lines.
    bytes: u64,
}

impl Appender {
    /// Opens a log to write on, a new one or one that was left or finished earlier.
    pub fn open(folder: &Path) -> io::Result<Appender> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        remove_if_there(&folder.join(FINISHED))?;
        let mut found = list(folder)?;
        let mut appender = Appender {
            folder: folder.to_owned(),
            segment: None,
            next: last_number(folder)? + 1,
        };
        if let Some(newest) = found.pop_if(|newest| !newest.packed) {
            let file = OpenOptions::new().read(true).write(true).open(&newest.path)?;
            let bytes = whole_bytes(&fs::read(&newest.path)?);
            appender.segment = Some(Segment {
                path: newest.path,
                file,
                bytes,
            });
        }
        for segment in &found {
            if segment.packed {
                remove_if_there(&segment.path.with_extension(""))?;
            } else {
                pack(&segment.path)?;
            }
        }
        Ok(appender)
    }

    /// Adds lines. On failure, a full disk say, they are lost but their numbers are not used again.
    pub fn append(&mut self, lines: &[LogLine]) -> io::Result<()> {
        for chunk in lines.chunks(1_024) {
            let first = self.next;
            self.next += chunk.len() as u64;
            let mut text = Vec::new();
            for (line, number) in chunk.iter().zip(first..) {
                write_frame(&mut text, number, line);
            }
            self.write(first, &text)?;
        }
        Ok(())
    }

    fn write(&mut self, first: u64, text: &[u8]) -> io::Result<()> {
        if self.segment.as_ref().is_some_and(|segment| segment.bytes >= SEGMENT_BYTES) {
            self.close()?;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => none.insert(Segment::create(&self.folder, first)?),
        };
        // A write that failed midway may have left a part behind.
        segment.file.set_len(segment.bytes)?;
        segment.file.seek(SeekFrom::Start(segment.bytes))?;
        segment.file.write_all(text)?;
        segment.bytes += text.len() as u64;
        Ok(())
    }

    /// Compresses the segment that was written to, and drops the middle of a log that is too long.
    fn close(&mut self) -> io::Result<()> {
        if let Some(segment) = self.segment.take() {
            segment.file.set_len(segment.bytes)?;
            drop(segment.file);
            pack(&segment.path)?;
        }
        let mut found = list(&self.folder)?;
        while found.len() >= MOST_SEGMENTS {
            remove_if_there(&found.remove(FIRST_SEGMENTS).path)?;
        }
        Ok(())
    }

    /// Nothing more will come, unless the log is opened again.
    pub fn finish(&mut self) -> io::Result<()> {
        self.close()?;
        File::create(self.folder.join(FINISHED))?.sync_all()
    }
}

impl Segment {
    fn create(folder: &Path, first: u64) -> io::Result<Segment> {
        let path = folder.join(format!("{first:012}.log"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok(Segment { path, file, bytes: 0 })
    }
}

pub fn is_finished(folder: &Path) -> bool {
    folder.join(FINISHED).exists()
}

/// The number of the last line; 0 when there is none.
pub fn last_number(folder: &Path) -> io::Result<u64> {
    for segment in list(folder)?.iter().rev() {
        let text = segment.text();
        if let Some(last) = frames(&text).last() {
            return Ok(last.n);
        }
    }
    Ok(0)
}

/// Up to `limit` lines behind number `after`. Lines that are gone are told of in a line that bears the last one's number.
pub fn read(folder: &Path, after: u64, limit: usize) -> io::Result<Page> {
    let finished = is_finished(folder);
    let found = list(folder)?;
    let begin = found
        .iter()
        .rposition(|segment| segment.first <= after.saturating_add(1))
        .unwrap_or(0);
    let mut page = Page {
        lines: Vec::new(),
        next: after,
        complete: false,
    };
    let mut bytes = 0;
    for segment in &found[begin.min(found.len())..] {
        let text = segment.text();
        for found in frames(&text).filter(|line| line.n > after) {
            if found.n > page.next.saturating_add(1) {
                page.lines.push(gap(page.next + 1, &found));
            }
            page.next = found.n;
            bytes += found.line.text.len();
            page.lines.push(found);
            if page.lines.len() >= limit || bytes >= PAGE_BYTES {
                page.lines.truncate(limit);
                page.next = page.lines.last().map_or(after, |line| line.n);
                return Ok(page);
            }
        }
    }
    page.complete = finished;
    Ok(page)
}

fn gap(first: u64, behind: &Numbered) -> Numbered {
    let count = behind.n - first;
    let text = if count == 1 {
        "… 1 line is left out here".to_owned()
    } else {
        format!("… {count} lines are left out here")
    };
    Numbered {
        n: behind.n - 1,
        line: LogLine {
            at: behind.line.at,
            stream: LogStream::Note,
            text,
        },
    }
}

struct Found {
    first: u64,
    path: PathBuf,
    packed: bool,
}

impl Found {
    /// What can be read of it; a reader goes on behind what is broken.
    fn text(&self) -> String {
        let bytes = if self.packed { unpack(&self.path) } else { fs::read(&self.path) };
        let bytes = bytes.unwrap_or_else(|error| {
            tracing::warn!(path = %self.path.display(), %error, "a part of a log cannot be read");
            Vec::new()
        });
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The segments in order. Of one that is there twice, because a crash came between packing and removing, the packed one.
fn list(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some((number, kind)) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.split_once('.'))
        else {
            continue;
        };
        let (Ok(first), "log" | "log.zst") = (number.parse(), kind) else {
            continue;
        };
        let packed = kind == "log.zst";
        found.push(Found { first, path, packed });
    }
    found.sort_by_key(|segment| (segment.first, !segment.packed));
    found.dedup_by_key(|segment| segment.first);
    Ok(found)
}

/// Compresses a segment. The result is whole on disk before it takes its name.
fn pack(path: &Path) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    zstd::stream::copy_encode(File::open(path)?, &mut file, 3)?;
    file.sync_all()?;
    fs::rename(&partial, path.with_extension("log.zst"))?;
    remove_if_there(path)
}

fn unpack(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Whatever the file says, no more than a segment and its last batch can be.
    let most = 2 * SEGMENT_BYTES + (64 << 20);
    zstd::stream::Decoder::new(File::open(path)?)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn write_frame(out: &mut Vec<u8>, number: u64, line: &LogLine) {
    let stream = match line.stream {
        LogStream::Stdout => 'o',
        LogStream::Stderr => 'e',
        LogStream::Note => 'n',
    };
    let text = &line.text[..line.text.floor_char_boundary(LONGEST_TEXT)];
    let text = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    writeln!(out, "{number} {} {stream} {text}", line.at.0).expect("a Vec takes what is written to it");
}

/// The whole lines in `text`. What is not one is passed over.
fn frames(text: &str) -> impl Iterator<Item = Numbered> {
    text.split_inclusive('\n').filter_map(|line| frame(line.strip_suffix('\n')?))
}

fn frame(line: &str) -> Option<Numbered> {
    let mut parts = line.splitn(4, ' ');
    let n = parts.next()?.parse().ok()?;
    let at = Time(parts.next()?.parse().ok()?);
    let stream = match parts.next()? {
        "o" => LogStream::Stdout,
        "e" => LogStream::Stderr,
        "n" => LogStream::Note,
        _ => return None,
    };
    let text = unescape(parts.next()?);
    Some(Numbered {
        n,
        line: LogLine { at, stream, text },
    })
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.push(match letters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            }),
            letter => out.push(letter),
        }
    }
    out
}

/// How many bytes from the beginning are whole lines.
fn whole_bytes(bytes: &[u8]) -> u64 {
    let mut whole = 0;
    let mut seen = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        seen += line.len();
        if line.ends_with(b"\n") && frame(String::from_utf8_lossy(line).trim_end_matches('\n')).is_some() {
            whole = seen;
        }
    }
    whole as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: impl Into<String>) -> LogLine {
        LogLine {
            at: Time(1_700_000_000_000),
            stream: LogStream::Stdout,
            text: text.into(),
        }
    }

    fn texts(folder: &Path) -> Vec<String> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = read(folder, after, 10_000).unwrap();
            if page.lines.is_empty() {
                return all;
            }
            after = page.next;
            all.extend(page.lines.into_iter().map(|line| line.line.text));
        }
    }

    #[test]
    fn lines_are_numbered_from_one_and_kept_over_reopening() {
        let dir = tempfile::tempdir().unwrap();
        Appender::open(dir.path()).unwrap().append(&[line("a"), line("b")]).unwrap();
        let mut again = Appender::open(dir.path()).unwrap();
        assert_eq!(last_number(dir.path()).unwrap(), 2);
        again.append(&[line("c")]).unwrap();
        let page = read(dir.path(), 0, 10).unwrap();
        assert_eq!(page.lines.iter().map(|line| line.n).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(!page.complete);
        again.finish().unwrap();
        assert!(read(dir.path(), 0, 3).unwrap().next == 3);
        assert!(read(dir.path(), 3, 10).unwrap().complete);
        let mut third = Appender::open(dir.path()).unwrap();
        assert!(!is_finished(dir.path()));
        third.append(&[line("d")]).unwrap();
        assert_eq!(texts(dir.path()), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_crash_in_mid_line_loses_that_line_only() {
        let whole = {
            let dir = tempfile::tempdir().unwrap();
            Appender::open(dir.path())
                .unwrap()
                .append(&[line("first"), line("sec\nond"), line("third")])
                .unwrap();
            fs::read(dir.path().join("000000000001.log")).unwrap()
        };
        for cut in 0..=whole.len() {
            for junk in [&b""[..], b"\0\0\0\0", b"\xff\xfe\0"] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("000000000001.log");
                fs::write(&path, [&whole[..cut], junk].concat()).unwrap();
                let mut kept: Vec<String> = ["first", "sec\nond", "third"].map(str::to_owned).to_vec();
                kept.truncate(whole[..cut].iter().filter(|byte| **byte == b'\n').count());
                let mut appender = Appender::open(dir.path()).unwrap();
                appender.append(&[line("after")]).unwrap();
                kept.push("after".into());
                assert_eq!(texts(dir.path()), kept, "cut at {cut} before {junk:?}");
            }
        }
    }

    #[test]
    fn a_long_log_loses_its_middle() {
        let dir = tempfile::tempdir().unwrap();
        let mut appender = Appender::open(dir.path()).unwrap();
        let filling = "x".repeat(1_000);
        for batch in 0..1_000 {
            let lines: Vec<LogLine> = (0..50).map(|number| line(format!("{batch} {number} {filling}"))).collect();
            appender.append(&lines).unwrap();
        }
        appender.finish().unwrap();
        let texts = texts(dir.path());
        assert!(texts[0].starts_with("0 0 "));
        assert!(texts.last().unwrap().starts_with("999 49 "));
        let notes: Vec<&String> = texts.iter().filter(|text| text.starts_with('…')).collect();
        assert_eq!(notes.len(), 1);
        let left_out: usize = notes[0].split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(texts.len() - 1 + left_out, 50_000);
        assert!((28 << 20..=33 << 20).contains(&texts.iter().map(String::len).sum::<usize>()));
        assert!(fs::read_dir(dir.path()).unwrap().count() <= MOST_SEGMENTS + 1);
        assert_eq!(last_number(dir.path()).unwrap(), 50_000);
    }

    #[test]
    fn a_broken_segment_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let mut appender = Appender::open(dir.path()).unwrap();
        appender.append(&[line("a")]).unwrap();
        appender.close().unwrap();
        appender.append(&[line("b"), line("c")]).unwrap();
        appender.close().unwrap();
        appender.append(&[line("d")]).unwrap();
        fs::write(dir.path().join("000000000002.log.zst"), b"broken").unwrap();
        assert_eq!(texts(dir.path()), ["a", "… 2 lines are left out here", "d"]);
    }

    #[test]
    fn a_crash_while_packing_doubles_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut appender = Appender::open(dir.path()).unwrap();
        appender.append(&[line("a"), line("b")]).unwrap();
        let plain = fs::read(dir.path().join("000000000001.log")).unwrap();
        appender.close().unwrap();
        fs::write(dir.path().join("000000000001.log"), plain).unwrap();
        fs::write(dir.path().join("000000000001.partial"), b"x").unwrap();
        let mut appender = Appender::open(dir.path()).unwrap();
        appender.append(&[line("c")]).unwrap();
        assert_eq!(texts(dir.path()), ["a", "b", "c"]);
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let dir = tempfile::tempdir().unwrap();
        Appender::open(dir.path())
            .unwrap()
            .append(&[line("ä".repeat(20_000)), line("b")])
            .unwrap();
        let texts = texts(dir.path());
        assert_eq!((texts[0].len(), texts[1].as_str()), (LONGEST_TEXT, "b"));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(texts in proptest::collection::vec(".*|[\\\\\n\r a]*", 1..20), limit in 1_usize..7) {
            let dir = tempfile::tempdir().unwrap();
            let lines: Vec<LogLine> = texts.iter().map(line).collect();
            let mut appender = Appender::open(dir.path()).unwrap();
            appender.append(&lines).unwrap();
            appender.finish().unwrap();
            let mut found = Vec::new();
            let mut after = 0;
            loop {
                let page = read(dir.path(), after, limit).unwrap();
                found.extend(page.lines.into_iter().map(|line| line.line));
                after = page.next;
                if page.complete {
                    break;
                }
            }
            prop_assert_eq!(found, lines);
        }
    }
}
