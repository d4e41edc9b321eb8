//! How much a folder takes on its disk.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt, path::Path};
use types::{Doing, Result};

/// Bytes of disk under `folder`, hard links counted once, without what is mounted inside. Blocks; walks the whole tree.
/// What goes away meanwhile is left out.
pub fn folder_bytes(folder: &Path) -> Result<u64> {
    let root = fs::symlink_metadata(folder).doing(format!("looking at {}", folder.display()))?;
    let mut seen = HashSet::new();
    let mut bytes = root.blocks() * 512;
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.dev() != root.dev() || (found.nlink() > 1 && !found.is_dir() && !seen.insert(found.ino())) {
                continue;
            }
            bytes += found.blocks() * 512;
            if found.is_dir() {
                left.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

/// What programs without the administrator's reserve may still write where `folder` lies. Source: `statvfs(3)`.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(folder).doing(format!("asking for the disk of {}", folder.display()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_count_once() {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).expect("it is writable");
        let empty = folder_bytes(folder.path()).expect("it is readable");
        fs::write(inside.join("file"), vec![7; 100_000]).expect("it is writable");
        fs::hard_link(inside.join("file"), folder.path().join("link")).expect("it is writable");
        std::os::unix::fs::symlink("/", folder.path().join("root")).expect("it is writable");
        let full = folder_bytes(folder.path()).expect("it is readable");
        assert!((100_000..200_000).contains(&(full - empty)), "{}", full - empty);
        assert!(folder_bytes(Path::new("/nonexistent")).is_err());
        assert!(free_bytes(folder.path()).is_ok_and(|bytes| bytes > 0) && free_bytes(Path::new("/nonexistent")).is_err());
    }
}
