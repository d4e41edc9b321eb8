//! The files beside a Compose file: where `include`, `extends`, `env_file`, configs and secrets are read from.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// More files of one folder belong into an image.
const MAX_FILES: usize = 500;
/// Folders in folders that are looked into.
const MAX_DEPTH: usize = 20;

/// Paths are relative to the Compose file, cleaned by [`within`].
pub trait Files {
    /// `None`: there is no such file. `Err` says in words why it cannot be read.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
    /// Whether there is anything at all, for messages.
    fn any(&self) -> bool {
        true
    }
    /// Every file below a folder, as paths from it, in order. `None`: there is no such folder.
    fn list(&self, _folder: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
    /// Whether a folder is there; the top always is where there are files.
    fn has_folder(&self, folder: &str) -> bool {
        folder.is_empty() && self.any()
    }
    /// Permission bits of a file.
    fn mode(&self, _path: &str) -> u32 {
        0o644
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
    fn list(&self, folder: &str) -> Result<Option<Vec<String>>, String> {
        let front = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let all: Vec<String> = self
            .keys()
            .filter_map(|path| path.strip_prefix(&front))
            .map(str::to_owned)
            .collect();
        Ok((!all.is_empty()).then_some(all))
    }
    fn has_folder(&self, folder: &str) -> bool {
        folder.is_empty()
            || self
                .keys()
                .any(|path| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// A work tree. Links that lead out of it are not followed.
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let Some(file) = self.real(path)? else { return Ok(None) };
        match fs::metadata(&file) {
            Ok(facts) if !facts.is_file() => return Err("it is not a file".into()),
            Ok(facts) if facts.len() > MAX_BYTES => return Err("it is larger than 1 MiB".into()),
            _ => {}
        }
        let bytes = fs::read(&file).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map(Some).map_err(|_| "it is not a text in UTF-8".into())
    }

    fn list(&self, folder: &str) -> Result<Option<Vec<String>>, String> {
        let top = match self.real(folder)? {
            Some(top) if top.is_dir() => top,
            _ => return Ok(None),
        };
        let mut all = Vec::new();
        walk(&top, "", 0, &mut all)?;
        all.sort();
        Ok(Some(all))
    }

    fn has_folder(&self, folder: &str) -> bool {
        matches!(self.real(folder), Ok(Some(path)) if path.is_dir())
    }

    fn mode(&self, path: &str) -> u32 {
        let facts = self.real(path).ok().flatten().and_then(|file| fs::metadata(file).ok());
        match facts {
            Some(facts) if facts.permissions().mode() & 0o111 != 0 => 0o755,
            _ => 0o644,
        }
    }
}

impl Folder {
    /// Where a path leads to, links followed; `None` when nothing is there.
    fn real(&self, path: &str) -> Result<Option<PathBuf>, String> {
        let top = self.0.canonicalize().map_err(|error| error.to_string())?;
        let file = match top.join(path).canonicalize() {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if !file.starts_with(&top) {
            return Err("it is a link that leads out of the repository".into());
        }
        Ok(Some(file))
    }
}

/// Adds the files below a folder. Links are not followed, so that none leads in a circle; reading one by its name follows it.
fn walk(folder: &Path, front: &str, depth: usize, all: &mut Vec<String>) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("its folders are nested too deeply".into());
    }
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name();
        let name = name.to_str().ok_or("a name in it is not UTF-8")?;
        let kind = entry.file_type().map_err(|error| error.to_string())?;
        let path = format!("{front}{name}");
        if kind.is_dir() {
            // Git's own.
            if name != ".git" {
                walk(&entry.path(), &format!("{path}/"), depth + 1, all)?;
            }
        } else {
            all.push(path);
        }
        if all.len() > MAX_FILES {
            return Err(format!("it holds more than {MAX_FILES} files; put them into an image instead"));
        }
    }
    Ok(())
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

    #[test]
    fn folders_are_listed() {
        let top = tempfile::tempdir().expect("a folder");
        for path in ["conf/a.ini", "conf/more/b.ini", "conf/.git/config", "run.sh"] {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "x").expect("written");
        }
        fs::set_permissions(top.path().join("run.sh"), fs::Permissions::from_mode(0o750)).expect("set");
        std::os::unix::fs::symlink(top.path(), top.path().join("conf/up")).expect("linked");
        let folder = Folder(top.path().to_owned());
        let expected = ["a.ini", "more/b.ini", "up"].map(str::to_owned).to_vec();
        assert_eq!(folder.list("conf"), Ok(Some(expected)));
        assert_eq!(
            (folder.list("gone"), folder.list("run.sh"), folder.read("run.sh/x")),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(
            (folder.has_folder("conf"), folder.has_folder("run.sh"), folder.has_folder("")),
            (true, false, true)
        );
        assert_eq!(
            (folder.mode("run.sh"), folder.mode("conf/a.ini"), folder.mode("gone")),
            (0o755, 0o644, 0o644)
        );
        let map = BTreeMap::from([("a/b".to_owned(), String::new()), ("ab".to_owned(), String::new())]);
        assert_eq!((map.list("a"), map.list("b")), (Ok(Some(vec!["b".to_owned()])), Ok(None)));
        assert_eq!((map.has_folder("a"), map.has_folder("ab")), (true, false));
    }
}
