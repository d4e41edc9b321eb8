//! The files beside a Compose file: where `include`, `extends`, `env_file`, configs and secrets are read from.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Paths are relative to the Compose file, cleaned by [`within`].
pub trait Files {
    /// `None`: there is no such file. `Err` says in words why it cannot be read.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
    /// Whether there is anything at all, for messages.
    fn any(&self) -> bool {
        true
    }
}

/// A Compose file that stands alone.
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn any(&self) -> bool {
        false
    }
}

impl Files for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.get(path).cloned())
    }
}

/// A work tree. Links that lead out of it are not followed.
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let top = self.0.canonicalize().map_err(|error| error.to_string())?;
        let file = match top.join(path).canonicalize() {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if !file.starts_with(&top) {
            return Err("it is a link that leads out of the repository".into());
        }
        match fs::metadata(&file) {
            Ok(facts) if !facts.is_file() => return Err("it is not a file".into()),
            Ok(facts) if facts.len() > MAX_BYTES => return Err("it is larger than 1 MiB".into()),
            _ => {}
        }
        let bytes = fs::read(&file).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map(Some).map_err(|_| "it is not a text in UTF-8".into())
    }
}

/// `path` as seen from `folder`, without `.` and `..`; `None` when it leads out of the top.
pub fn within(folder: &str, path: &str) -> Option<String> {
    if path.starts_with(['/', '~']) {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The folder of a file, `""` for the top.
pub fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within() {
        for (folder, path, expected) in [
            ("", "./a/b", Some("a/b")),
            ("x/y", "../a", Some("x/a")),
            ("x", "../../a", None),
            ("", "..", None),
            ("", "/etc/passwd", None),
            ("", "~/x", None),
            ("x", ".", Some("x")),
        ] {
            assert_eq!(within(folder, path).as_deref(), expected, "{folder} {path}");
        }
    }

    #[test]
    fn links_out_of_the_folder_are_refused() {
        let top = tempfile::tempdir().expect("a folder");
        fs::write(top.path().join("a.env"), "A=1").expect("written");
        std::os::unix::fs::symlink("/etc/hostname", top.path().join("out")).expect("linked");
        let folder = Folder(top.path().to_owned());
        assert_eq!(folder.read("a.env"), Ok(Some("A=1".into())));
        assert_eq!(folder.read("missing"), Ok(None));
        assert!(folder.read("out").is_err());
        assert!(folder.read("").is_err());
    }
}
