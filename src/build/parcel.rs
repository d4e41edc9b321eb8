//! A folder of somebody's machine as an archive to upload: without what Git or Docker would leave out.

use crate::{
    ignore::Ignore,
    pack::{append, rules},
};
use ::ignore::WalkBuilder;
use std::{fs, io::Write, path::Path};
use tar::Builder;
use types::{Doing, Error, Result};

/// What was packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parcel {
    /// Files and links.
    pub files: u64,
    pub bytes: u64,
}

/// Writes the files of `folder` as a tar archive to `out`, in the order of their names. `.git`, what a `.gitignore` names
/// (also one above, within the same repository) and what the folder's `.dockerignore` names stay out; Dockerfiles at the
/// top always go in. Links go as links. Blocks. Fails with `Invalid` when the folder cannot be read or nothing is left.
pub fn parcel(folder: &Path, out: impl Write) -> Result<Parcel> {
    let root = folder
        .canonicalize()
        .map_err(|error| Error::invalid("folder", format!("{} cannot be read: {error}", folder.display())))?;
    if !root.is_dir() {
        return Err(Error::invalid("folder", format!("{} is no folder", folder.display())));
    }
    let (docker, _) = rules(&root, "Dockerfile")?;
    let walk = WalkBuilder::new(&root)
        .standard_filters(false)
        // Without a repository there is no end above.
        .parents(root.ancestors().any(|above| above.join(".git").exists()))
        .git_ignore(true)
        .git_exclude(true)
        .require_git(false)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let (mut archive, mut packed) = (Builder::new(out), Parcel::default());
    for entry in walk {
        let entry = entry.map_err(|error| Error::invalid("folder", format!("cannot be read: {error}")))?;
        let Ok(path) = entry.path().strip_prefix(&root) else { continue };
        if path.as_os_str().is_empty() || left_out(&docker, path) {
            continue;
        }
        let facts = fs::symlink_metadata(entry.path()).doing("looking at a file")?;
        if facts.is_dir() {
            // Folders come with what is in them; an empty one means nothing, to Git neither.
            continue;
        }
        append(&mut archive, &root, path, &facts).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Error::invalid("folder", format!("{} cannot be read: {error}", path.display())),
            _ => Error::internal(format!("packing {}", path.display()), error),
        })?;
        if facts.is_file() || facts.is_symlink() {
            packed.files += 1;
            packed.bytes += if facts.is_file() { facts.len() } else { 0 };
        }
    }
    if packed.files == 0 {
        return Err(Error::invalid(
            "folder",
            format!("there is nothing to upload in {}", folder.display()),
        ));
    }
    archive.into_inner().and_then(|mut out| out.flush()).doing("packing a folder")?;
    Ok(packed)
}

/// By the folder's `.dockerignore`. The server applies it again; here it saves sending.
fn left_out(docker: &Ignore, path: &Path) -> bool {
    let text = path.to_string_lossy();
    let at_top = !text.contains('/');
    if at_top && (text.ends_with(".dockerignore") || text.to_lowercase().contains("dockerfile")) {
        return false;
    }
    let mut matched = docker.nothing();
    for (place, _) in text.match_indices('/') {
        matched = docker.matches(&text[..place], &matched);
    }
    docker.ignores(&docker.matches(&text, &matched))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{io::Read, os::unix::fs::symlink};

    fn names(folder: &Path) -> Vec<String> {
        let mut bytes = Vec::new();
        let packed = parcel(folder, &mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(entry.path().unwrap().display().to_string());
            entry.read_to_end(&mut Vec::new()).unwrap();
        }
        assert_eq!(packed.files, names.len() as u64);
        names
    }

    #[test]
    fn what_is_ignored_stays_at_home() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (path, text) in [
            (".git/HEAD", "ref"),
            (".gitignore", "*.log\nnode_modules/\n/build\n!keep.log\n"),
            (".dockerignore", "docs\n!docs/keep.md\nDockerfile\nsecret.env\n"),
            ("Dockerfile", "FROM x"),
            (".env.example", "A=1"),
            ("a.log", "x"),
            ("keep.log", "x"),
            ("node_modules/x/index.js", "x"),
            ("build/out", "x"),
            ("src/build/in", "x"),
            ("src/.gitignore", "generated\n"),
            ("src/generated", "x"),
            ("docs/a.md", "x"),
            ("docs/keep.md", "x"),
            ("secret.env", "x"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir(root.join("empty")).unwrap();
        symlink("/etc/passwd", root.join("link")).unwrap();
        let expected = [
            ".dockerignore",
            ".env.example",
            ".gitignore",
            "Dockerfile",
            "docs/keep.md",
            "keep.log",
            "link",
            "src/.gitignore",
            "src/build/in",
        ];
        assert_eq!(names(root), expected);
        // A folder of the repository follows the rules above it.
        assert_eq!(names(&root.join("src")), [".gitignore", "build/in"]);
    }

    #[test]
    fn nothing_to_upload() {
        let dir = tempfile::tempdir().unwrap();
        let why = |folder: &Path| parcel(folder, Vec::new()).unwrap_err().to_string();
        assert!(why(dir.path()).contains("nothing to upload"));
        assert!(why(&dir.path().join("missing")).contains("cannot be read"));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(why(&dir.path().join("file")).contains("is no folder"));
    }
}
