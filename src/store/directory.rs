//! The directory as a whole: one process holds it, a newer version's is refused, and changes of names are synced.

use crate::{record, sealing::Sealer};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};
use types::{Doing, Error, Result, Sealed, Secret, World};

/// Of the layout of the directory; not of records, which have versions of their own.
const FORMAT: u32 = 1;
const KEY_CHECK: &str = "serverkit";

/// Held while the directory is in use; the kernel lets go of it when the process ends, however it ends.
pub struct Lock {
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
    /// The version of serverkit that first wrote it in this format.
    serverkit: String,
    /// A known text, sealed: tells a wrong master key before it does harm.
    key_check: Sealed,
}

/// Makes the directory if there is none and takes its lock. Fails with `Busy` if another process has it.
pub fn lock(dir: &Path) -> Result<Lock> {
    for folder in [dir, &dir.join("journal"), &dir.join("snapshots")] {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .doing(format!("creating {}", folder.display()))?;
    }
    let path = dir.join("lock");
    let doing = || format!("locking {}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .doing(doing())?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // Who holds it is a courtesy; that somebody does is what counts.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() {
                "another process"
            } else {
                holder.trim()
            };
            return Err(Error::busy(format!("{} is in use by {holder}; stop it first", dir.display())));
        }
        Err(error) => return Err(Error::internal(doing(), std::io::Error::from(error))),
    }
    let command: Vec<String> = std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect();
    file.set_len(0).doing(doing())?;
    file.rewind().doing(doing())?;
    writeln!(file, "pid {} ({})", std::process::id(), command.join(" ")).doing(doing())?;
    Ok(Lock { _file: file })
}

/// Reads `format` and the master key, or makes them in an empty directory. Fails with `Unavailable`, in words, when a
/// newer version wrote the directory or the key is missing, readable by others, or not the one it was sealed with.
pub fn prepare(dir: &Path, world: &World) -> Result<Sealer> {
    let path = dir.join("format");
    let key = dir.join("master.key");
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::internal(format!("reading {}", path.display()), error)),
    };
    let Some(text) = text else {
        let sealer = Sealer::load_or_create(&key, world)?;
        let format = Format {
            format: FORMAT,
            serverkit: env!("CARGO_PKG_VERSION").into(),
            key_check: sealer.seal(&Secret::from(KEY_CHECK), world)?,
        };
        let text = serde_json::to_string_pretty(&format).doing("writing the format file")?;
        write_whole(&path, format!("{text}\n").as_bytes(), 0o600)?;
        return Ok(sealer);
    };
    refuse_newer(&text, dir)?;
    let format: Format = serde_json::from_str(&text)
        .map_err(|error| Error::unavailable_by(format!("{} is damaged; put it back from a backup", path.display()), error))?;
    let sealer = Sealer::load(&key)?;
    match sealer.unseal(&format.key_check) {
        Ok(check) if check.expose() == KEY_CHECK.as_bytes() => Ok(sealer),
        _ => Err(Error::unavailable(format!(
            "{} is not the key that this state was sealed with; put the right one back",
            key.display()
        ))),
    }
}

/// Before anything else in the file is read: a newer format may have other fields.
fn refuse_newer(text: &str, dir: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
        #[serde(default)]
        serverkit: String,
    }
    match serde_json::from_str::<Head>(text) {
        Ok(head) if head.format > FORMAT => Err(record::refused(format!(
            "{} was written by serverkit {} in format {}; this is serverkit {}, which knows formats up to {FORMAT}: start the newer one",
            dir.display(),
            head.serverkit,
            head.format,
            env!("CARGO_PKG_VERSION"),
        ))),
        _ => Ok(()),
    }
}

/// Writes a file beside `path`, syncs it, and moves it in place: there is never half a file.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let part = path.with_extension("part");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&part)
        .doing(doing())?;
    file.write_all(bytes).doing(doing())?;
    file.sync_all().doing(doing())?;
    fs::rename(&part, path).doing(doing())?;
    sync_dir(path.parent().expect("a file lies in a folder"))
}

/// Makes names that were created, renamed or removed in `dir` last through a power failure.
pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .doing(format!("syncing {}", dir.display()))
}

/// Bytes that this process may still write on the file system of `dir`. Source: `statvfs(3)`; root may use the reserve.
pub fn free_bytes(dir: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(dir).map_err(|error| Error::internal("asking for free disk space", std::io::Error::from(error)))?;
    let blocks = if rustix::process::geteuid().is_root() {
        stat.f_bfree
    } else {
        stat.f_bavail
    };
    Ok(blocks.saturating_mul(stat.f_frsize))
}
