//! The access log: one JSON line for each request. A request only appends to a buffer of its thread; one writer thread
//! empties the buffers a few times a second. When the disk cannot keep up, lines are dropped and counted, and nobody
//! waits.

use crate::{connection::Port, upstream::Place};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};
use types::{Doing, Result, Time, World};

const EVERY: Duration = Duration::from_millis(200);
/// Bytes that wait for the writer, for each thread.
const WAITING: usize = 4 << 20;
/// A file of this size is moved to `.1`, that one to `.2`, and so on.
const ROTATE_AT: u64 = 64 << 20;
const KEPT: usize = 4;

/// What is written about one request. The query is left out: it is where tokens are.
pub(crate) struct Line<'a> {
    pub at: Time,
    pub port: Port,
    pub client: &'a [u8],
    pub host: &'a [u8],
    pub method: &'a str,
    pub path: &'a [u8],
    pub protocol: &'static str,
    pub status: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub took: Duration,
    pub site: Option<&'a str>,
    pub upstream: Option<&'a Place>,
    pub agent: &'a [u8],
    pub referer: &'a [u8],
}

#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    /// The second that `stamp` shows, so that a date is formatted once a second.
    second: i64,
    stamp: String,
}

pub(crate) struct AccessLog {
    buffers: Box<[Mutex<Buffer>]>,
    dropped: AtomicU64,
    ended: Mutex<bool>,
    wake: Condvar,
}

impl AccessLog {
    /// Opens `path` for appending and starts the writer; it ends, with everything written, after [`AccessLog::end`].
    pub(crate) fn start(path: &Path, workers: usize, world: World) -> Result<(Arc<AccessLog>, JoinHandle<()>)> {
        let file = OpenLog::open(path).doing(format!("opening the access log {}", path.display()))?;
        let log = Arc::new(AccessLog {
            buffers: (0..workers).map(|_| Mutex::default()).collect(),
            dropped: AtomicU64::new(0),
            ended: Mutex::new(false),
            wake: Condvar::new(),
        });
        let writer = log.clone();
        let thread = std::thread::Builder::new()
            .name("edge-log".into())
            .spawn(move || writer.write_until_ended(file, &world))
            .doing("starting the thread of the access log")?;
        Ok((log, thread))
    }

    pub(crate) fn end(&self) {
        *self.ended.lock().expect("no panic under this lock") = true;
        self.wake.notify_all();
    }

    pub(crate) fn line(&self, worker: usize, line: &Line<'_>) {
        let mut buffer = self.buffers[worker].lock().expect("no panic under this lock");
        if buffer.lines.len() > WAITING {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let second = line.at.0.div_euclid(1000);
        if buffer.second != second || buffer.stamp.is_empty() {
            buffer.second = second;
            buffer.stamp = Time(second * 1000).to_string().trim_end_matches('Z').to_owned();
        }
        let Buffer { lines, stamp, .. } = &mut *buffer;
        write_line(lines, stamp, line);
    }

    fn write_until_ended(&self, mut file: OpenLog, world: &World) {
        let mut taken = Vec::new();
        loop {
            let ended = {
                let ended = self.ended.lock().expect("no panic under this lock");
                *self
                    .wake
                    .wait_timeout_while(ended, EVERY, |ended| !*ended)
                    .expect("no panic under this lock")
                    .0
            };
            for buffer in &self.buffers {
                std::mem::swap(&mut taken, &mut buffer.lock().expect("no panic under this lock").lines);
                if !taken.is_empty() {
                    let lines = taken.iter().filter(|byte| **byte == b'\n').count() as u64;
                    if let Err(error) = file.append(&taken) {
                        self.dropped.fetch_add(lines, Relaxed);
                        tracing::warn!(%error, "the access log cannot be written");
                    }
                    taken.clear();
                }
            }
            let dropped = self.dropped.swap(0, Relaxed);
            if dropped > 0 {
                tracing::warn!(dropped, "lines of the access log were dropped");
                let _ = file.append(format!("{{\"time\":\"{}\",\"dropped\":{dropped}}}\n", world.now()).as_bytes());
            }
            if ended {
                return;
            }
        }
    }
}

struct OpenLog {
    path: PathBuf,
    file: File,
    size: u64,
    inode: u64,
}

impl OpenLog {
    fn open(path: &Path) -> std::io::Result<OpenLog> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
        let about = file.metadata()?;
        Ok(OpenLog {
            path: path.to_owned(),
            size: about.len(),
            inode: about.ino(),
            file,
        })
    }
    /// Appends; opens a new file when this one is full, or when somebody moved it away.
    fn append(&mut self, lines: &[u8]) -> std::io::Result<()> {
        if self.size > ROTATE_AT {
            for n in (1..KEPT).rev() {
                let _ = fs::rename(self.numbered(n), self.numbered(n + 1));
            }
            fs::rename(&self.path, self.numbered(1))?;
        }
        let moved = fs::metadata(&self.path).map_or(true, |about| about.ino() != self.inode);
        if moved {
            *self = OpenLog::open(&self.path.clone())?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }
    fn numbered(&self, n: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }
}

fn write_line(out: &mut Vec<u8>, stamp: &str, line: &Line<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(stamp.as_bytes());
    out.push(b'.');
    let millis = line.at.0.rem_euclid(1000) as u64;
    push_padded(out, millis);
    out.extend_from_slice(b"Z\",\"client\":");
    push_text(out, line.client);
    out.extend_from_slice(b",\"port\":");
    out.extend_from_slice(match line.port {
        Port::Http | Port::Mistaken => b"\"http\"",
        Port::Https => b"\"https\"",
        Port::Panel => b"\"panel\"",
    });
    out.extend_from_slice(b",\"host\":");
    push_text(out, line.host);
    out.extend_from_slice(b",\"method\":");
    push_text(out, line.method.as_bytes());
    out.extend_from_slice(b",\"path\":");
    push_text(out, line.path);
    out.extend_from_slice(b",\"protocol\":\"");
    out.extend_from_slice(line.protocol.as_bytes());
    out.extend_from_slice(b"\",\"status\":");
    push_number(out, u64::from(line.status));
    out.extend_from_slice(b",\"bytes_in\":");
    push_number(out, line.bytes_in);
    out.extend_from_slice(b",\"bytes_out\":");
    push_number(out, line.bytes_out);
    out.extend_from_slice(b",\"micros\":");
    push_number(out, u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX));
    if let Some(site) = line.site {
        out.extend_from_slice(b",\"app\":");
        push_text(out, site.as_bytes());
    }
    match line.upstream {
        Some(Place::Tcp(address)) => {
            let _ = write!(out, ",\"upstream\":\"{address}\"");
        }
        Some(Place::Name(..)) => {
            let _ = write!(out, ",\"upstream\":\"{}\"", line.upstream.expect("just matched"));
        }
        Some(Place::Unix(path)) => {
            out.extend_from_slice(b",\"upstream\":");
            push_text(out, path.as_os_str().as_encoded_bytes());
        }
        None => {}
    }
    if !line.agent.is_empty() {
        out.extend_from_slice(b",\"agent\":");
        push_text(out, line.agent);
    }
    if !line.referer.is_empty() {
        out.extend_from_slice(b",\"referer\":");
        push_text(out, line.referer);
    }
    out.extend_from_slice(b"}\n");
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_padded(out: &mut Vec<u8>, number: u64) {
    if number < 100 {
        out.push(b'0');
    }
    if number < 10 {
        out.push(b'0');
    }
    push_number(out, number);
}

/// A JSON string of at most 1 KiB of `text`; bytes that are no UTF-8 are shown as Latin-1.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.len().min(1024)];
    out.push(b'"');
    if text
        .iter()
        .all(|byte| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\')
    {
        out.extend_from_slice(text);
    } else {
        let utf8 = std::str::from_utf8(text).is_ok();
        for byte in text {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                0x20..=0x7e => out.push(*byte),
                0x80..=0xff if utf8 => out.push(*byte),
                _ => {
                    let _ = write!(out, "\\u{byte:04x}");
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            at: Time(1_700_000_000_007),
            port: Port::Https,
            client: b"192.0.2.1",
            host: b"blog.test",
            method: "GET",
            path: b"/a\"b\n\xff",
            protocol: "h2",
            status: 200,
            bytes_in: 0,
            bytes_out: 12,
            took: Duration::from_micros(1234),
            site: Some("blog"),
            upstream: None,
            agent: b"",
            referer: b"",
        }
    }

    #[test]
    fn a_line_is_json_whatever_the_client_sent() {
        let mut out = Vec::new();
        write_line(&mut out, "2023-11-14T22:13:20", &line());
        let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(json["time"], "2023-11-14T22:13:20.007Z");
        assert_eq!(json["path"], "/a\"b\n\u{ff}");
        assert_eq!(json["micros"], 1234);
    }

    #[test]
    fn the_file_is_rotated_by_size_and_opened_again_when_moved() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("logs/access.log");
        let mut log = OpenLog::open(&path).expect("opened");
        log.append(b"one\n").expect("written");
        fs::rename(&path, folder.path().join("moved")).expect("moved");
        log.append(b"two\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("new file"), "two\n");
        log.size = ROTATE_AT + 1;
        log.append(b"three\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("new file"), "three\n");
        assert_eq!(
            fs::read_to_string(folder.path().join("logs/access.log.1")).expect("old file"),
            "two\n"
        );
    }

    #[test]
    fn a_full_buffer_drops_lines_and_says_how_many() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let log = AccessLog {
            buffers: Box::new([Mutex::default()]),
            dropped: AtomicU64::new(0),
            ended: Mutex::new(true),
            wake: Condvar::new(),
        };
        log.buffers[0].lock().expect("free").lines = vec![b' '; WAITING + 1];
        log.line(0, &line());
        log.line(0, &line());
        log.write_until_ended(OpenLog::open(&path).expect("opened"), &World::system());
        assert!(fs::read_to_string(&path).expect("written").contains("\"dropped\":2"));
    }
}
