//! The build context as a tar stream.

use crate::{
    ignore::{Ignore, Matched},
    plan,
};
use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tar::{Builder, EntryType, Header};
use types::{Doing, Error, Result};

/// Writes `context` as a tar archive to `out` and answers its size in bytes. Blocks.
///
/// What `.dockerignore` names stays out, or what `<dockerfile>.dockerignore` names if there is one; those files and the
/// Dockerfile itself always go in, `.git` at the top never. Symbolic links go as links, wherever they lead. Modes are
/// Git's: 755 for folders and what may be run, else 644, whatever the umask of the checkout was. The order is by name.
pub fn pack(context: &Path, dockerfile: &str, out: impl Write) -> Result<u64> {
    let dockerfile = plan::dockerfile(context, dockerfile)?;
    let (ignore, ignore_file) = rules(context, &dockerfile)?;
    let above = ignore.nothing();
    let mut packer = Packer {
        context,
        always: [Some(dockerfile), ignore_file].into_iter().flatten().collect(),
        ignore,
        waiting: Vec::new(),
        archive: Builder::new(Counted { out, bytes: 0 }),
    };
    let packed = packer.folder("", &above).and_then(|()| packer.archive.into_inner());
    Ok(packed.doing("packing the build context")?.bytes)
}

/// The rules, and the file that they are from.
pub(crate) fn rules(context: &Path, dockerfile: &str) -> Result<(Ignore, Option<String>)> {
    for name in [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()] {
        let path = context.join(&name);
        match fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_file() => {
                let text = fs::read(&path).doing(format!("reading {name}"))?;
                return Ok((Ignore::parse(&String::from_utf8_lossy(&text))?, Some(name)));
            }
            Ok(_) => return Err(Error::invalid(".dockerignore", format!("`{name}` is not a file"))),
            Err(_) => {}
        }
    }
    Ok((Ignore::parse("")?, None))
}

struct Packer<'a, W: Write> {
    context: &'a Path,
    /// Paths that go in whatever the rules say.
    always: Vec<String>,
    ignore: Ignore,
    /// Ignored folders on the way here: they go in only when something below them does.
    waiting: Vec<(PathBuf, Metadata)>,
    archive: Builder<Counted<W>>,
}

impl<W: Write> Packer<'_, W> {
    /// Everything in a folder; `prefix` is empty or ends with `/`.
    fn folder(&mut self, prefix: &str, above: &Matched) -> io::Result<()> {
        let mut names: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(self.context.join(prefix))? {
            names.push(entry?.file_name());
        }
        names.sort();
        for name in names {
            if !(prefix.is_empty() && name == ".git") {
                self.entry(Path::new(prefix).join(&name), above)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, above: &Matched) -> io::Result<()> {
        let text = path.to_string_lossy().into_owned();
        let matched = self.ignore.matches(&text, above);
        let ignored = self.ignore.ignores(&matched) && !self.always.contains(&text);
        let facts = fs::symlink_metadata(self.context.join(&path))?;
        if !facts.is_dir() {
            return if ignored { Ok(()) } else { self.append(&path, &facts) };
        }
        if ignored && !self.must_look_below(&text) {
            return Ok(());
        }
        let waiting = self.waiting.len();
        if ignored {
            self.waiting.push((path, facts));
        } else {
            self.append(&path, &facts)?;
        }
        self.folder(&format!("{text}/"), &matched)?;
        self.waiting.truncate(waiting);
        Ok(())
    }

    fn must_look_below(&self, folder: &str) -> bool {
        let below = format!("{folder}/");
        self.always.iter().any(|path| path.starts_with(&below)) || self.ignore.may_keep_below(folder)
    }

    /// Adds an entry, behind the folders that waited for one.
    fn append(&mut self, path: &Path, facts: &Metadata) -> io::Result<()> {
        for (path, facts) in std::mem::take(&mut self.waiting) {
            append(&mut self.archive, self.context, &path, &facts)?;
        }
        append(&mut self.archive, self.context, path, facts)
    }
}

/// Adds one entry: a folder, a file or a link; nothing else means something to a build.
pub(crate) fn append(archive: &mut Builder<impl Write>, root: &Path, path: &Path, facts: &Metadata) -> io::Result<()> {
    let place = root.join(path);
    let mut header = Header::new_gnu();
    header.set_mtime(u64::try_from(facts.mtime()).unwrap_or(0));
    header.set_mode(if facts.is_dir() || facts.mode() & 0o111 != 0 {
        0o755
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    if facts.is_dir() {
        header.set_entry_type(EntryType::Directory);
        archive.append_data(&mut header, path, io::empty())
    } else if facts.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        archive.append_link(&mut header, path, fs::read_link(place)?)
    } else if facts.is_file() {
        header.set_entry_type(EntryType::Regular);
        header.set_size(facts.size());
        let content = Whole {
            file: File::open(place)?,
            left: facts.size(),
        };
        archive.append_data(&mut header, path, content)
    } else {
        // Sockets, pipes and devices mean nothing to a build.
        Ok(())
    }
}

/// A file of a known size: neither more nor less is read, or the entries behind it would be garbage.
struct Whole {
    file: File,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        self.left -= read as u64;
        if read == 0 && most > 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "a file became shorter while it was read"));
        }
        Ok(read)
    }
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::folder;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// The paths in the archive, with folders marked by `/`.
    fn packed(context: &Path, dockerfile: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        let size = pack(context, dockerfile, &mut bytes).unwrap();
        assert_eq!(size, bytes.len() as u64);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let slash = if entry.header().entry_type().is_dir() { "/" } else { "" };
            format!("{}{slash}", entry.path().unwrap().display().to_string().trim_end_matches('/'))
        });
        entries.collect()
    }

    #[test]
    fn what_is_sent() {
        let all = [
            (".git/HEAD", ""),
            ("Dockerfile", ""),
            ("README.md", ""),
            ("docs/deep/keep.md", ""),
            ("docs/other.md", ""),
            ("src/.git", ""),
            ("src/main.rs", ""),
        ];
        for (ignore, expected) in [
            (
                "",
                &[
                    "Dockerfile",
                    "README.md",
                    "docs/",
                    "docs/deep/",
                    "docs/deep/keep.md",
                    "docs/other.md",
                    "src/",
                    "src/.git",
                    "src/main.rs",
                ][..],
            ),
            ("docs", &["Dockerfile", "README.md", "src/", "src/.git", "src/main.rs"]),
            (
                "docs\nsrc\n!docs/deep/keep.md",
                &["Dockerfile", "README.md", "docs/", "docs/deep/", "docs/deep/keep.md"],
            ),
            ("*\n!**/keep.md", &["Dockerfile", "docs/", "docs/deep/", "docs/deep/keep.md"]),
            ("*\n!src/main.rs\n!.git", &["Dockerfile", "src/", "src/main.rs"]),
            ("**/*", &["Dockerfile"]),
            (
                "Dockerfile\n.dockerignore\n*.md\nsrc",
                &["Dockerfile", "docs/", "docs/deep/", "docs/deep/keep.md", "docs/other.md"],
            ),
        ] {
            let dir = folder(&all);
            fs::write(dir.path().join(".dockerignore"), ignore).unwrap();
            let mut expected: Vec<&str> = expected.to_vec();
            expected.insert(0, ".dockerignore");
            assert_eq!(packed(dir.path(), "Dockerfile"), expected, "{ignore:?}");
        }
    }

    #[test]
    fn a_dockerfile_may_have_its_own_rules_and_lie_in_an_ignored_folder() {
        let dir = folder(&[
            ("build/prod/Dockerfile", ""),
            ("build/prod/Dockerfile.dockerignore", "build\nb"),
            ("build/prod/x", ""),
            (".dockerignore", "*"),
            ("a", ""),
            ("b", ""),
        ]);
        let expected = [
            ".dockerignore",
            "a",
            "build/",
            "build/prod/",
            "build/prod/Dockerfile",
            "build/prod/Dockerfile.dockerignore",
        ];
        assert_eq!(packed(dir.path(), "build/prod/Dockerfile"), expected);
    }

    #[test]
    fn links_modes_and_long_names_are_kept() {
        let long = format!("{}/{}", "d".repeat(120), "ä".repeat(100));
        let dir = folder(&[("Dockerfile", "FROM scratch"), ("run.sh", "#!"), (&long, "long")]);
        fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(dir.path().join("Dockerfile"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("/etc/passwd", dir.path().join("out")).unwrap();
        symlink("l".repeat(200), dir.path().join("broken")).unwrap();
        symlink(".", dir.path().join("loop")).unwrap();
        let mut bytes = Vec::new();
        pack(dir.path(), "Dockerfile", &mut bytes).unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            seen.push((
                entry.path().unwrap().display().to_string(),
                entry.header().mode().unwrap(),
                link,
                text,
            ));
        }
        let row = |path: &str, mode, link: Option<&str>, text: &str| (path.to_owned(), mode, link.map(str::to_owned), text.to_owned());
        let expected = [
            row("Dockerfile", 0o644, None, "FROM scratch"),
            row("broken", 0o777, Some(&"l".repeat(200)), ""),
            row(&"d".repeat(120), 0o755, None, ""),
            row(&long, 0o644, None, "long"),
            row("loop", 0o777, Some("."), ""),
            row("out", 0o777, Some("/etc/passwd"), ""),
            row("run.sh", 0o755, None, "#!"),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_dockerfile_outside_is_refused() {
        let dir = folder(&[("Dockerfile", ""), ("web/x", "")]);
        symlink("/etc/hostname", dir.path().join("web/Link")).unwrap();
        for name in ["../Dockerfile", "/etc/hostname", "Link", "Dockerfile"] {
            let error = pack(&dir.path().join("web"), name, Vec::new()).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_an_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(pack(folder(&[("Dockerfile", "")]).path(), "Dockerfile", Gone).is_err());
    }
}
