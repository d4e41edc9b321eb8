//! Archives that people upload: tar, plain or packed with gzip or zstd, and zip. What they say is not believed.
//!
//! Nothing is written outside the folder: a path with `..` or from `/` is refused, links are made when all files are
//! written, and nothing may lie below a link. Where a link leads does not matter then: as with Git, links are sent to a
//! build as links. Files get the modes that Git knows; owners and times are not taken over.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Component, Path, PathBuf},
};
use types::{Doing, Error, Result};

/// What an archive may grow to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub files: u64,
    pub bytes: u64,
}

/// What was in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Files and links.
    pub files: u64,
    pub bytes: u64,
}

/// Unpacks `archive` into the folder `into`, which must not be there yet. With `strip_top`, a single folder that holds
/// everything is the top itself. Blocks. Fails with `Invalid`, in words for whoever sent it; `into` is half filled then.
pub fn unpack(archive: &Path, into: &Path, strip_top: bool, bounds: Bounds) -> Result<Contents> {
    let mut file = File::open(archive).doing("opening an upload")?;
    fs::create_dir_all(into).doing("making a folder for an upload")?;
    let mut unpacking = Unpacking {
        root: into.to_owned(),
        bounds,
        found: Contents::default(),
        links: BTreeMap::new(),
        paths: HashSet::new(),
    };
    match kind_of(&mut file)? {
        Packing::Tar => unpacking.tar(BufReader::new(file))?,
        Packing::Gzip => unpacking.tar(flate2::read::MultiGzDecoder::new(BufReader::new(file)))?,
        Packing::Zstd => unpacking.tar(zstd::Decoder::new(file).map_err(unreadable)?)?,
        Packing::Zip => unpacking.zip(file)?,
    }
    if unpacking.found.files == 0 {
        return Err(wrong("holds no files"));
    }
    unpacking.make_links()?;
    if strip_top {
        strip(into)?;
    }
    Ok(unpacking.found)
}

enum Packing {
    Tar,
    Gzip,
    Zstd,
    Zip,
}

fn wrong(why: impl Into<String>) -> Error {
    Error::invalid("archive", why)
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    wrong(format!("cannot be read to its end: {error}"))
}

/// By its first bytes: names lie.
fn kind_of(file: &mut File) -> Result<Packing> {
    let mut head = [0; 265];
    let mut read = 0;
    while read < head.len() {
        match file.read(&mut head[read..]).doing("reading an upload")? {
            0 => break,
            more => read += more,
        }
    }
    file.seek(SeekFrom::Start(0)).doing("reading an upload")?;
    match &head[..read] {
        [] => Err(wrong("is empty")),
        [0x1f, 0x8b, ..] => Ok(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Packing::Zstd),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Ok(Packing::Zip),
        head if head.len() >= 262 && &head[257..262] == b"ustar" => Ok(Packing::Tar),
        _ => Err(wrong("is no tar, tar.gz, tar.zst or zip archive")),
    }
}

struct Unpacking {
    root: PathBuf,
    bounds: Bounds,
    found: Contents,
    /// Made at the end: where, and what they say.
    links: BTreeMap<PathBuf, PathBuf>,
    /// Everything else that was named.
    paths: HashSet<PathBuf>,
}

impl Unpacking {
    fn tar(&mut self, packed: impl Read) -> Result<()> {
        // A bomb of padding or of names must end too.
        let most = self.bounds.bytes.saturating_add(self.bounds.files.saturating_mul(2048));
        let mut archive = tar::Archive::new(packed.take(most));
        for entry in archive.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let kind = entry.header().entry_type();
            if kind.is_pax_global_extensions() {
                continue;
            }
            let name = entry.path().map_err(unreadable)?.into_owned();
            let Some(path) = inside(&name)? else { continue };
            let link = entry.link_name().map_err(unreadable)?.map(std::borrow::Cow::into_owned);
            match (kind, link) {
                (tar::EntryType::Directory, _) => self.folder(&path)?,
                (tar::EntryType::Symlink, Some(to)) => self.link(path, to)?,
                (tar::EntryType::Link, Some(to)) => self.copy(&path, &to)?,
                (kind, _) if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => {
                    let is_program = entry.header().mode().unwrap_or(0) & 0o111 != 0;
                    self.file(&path, is_program, &mut entry)?;
                }
                _ => {
                    return Err(wrong(format!(
                        "holds `{}`, which is no file, folder or link; leave it out",
                        name.display()
                    )));
                }
            }
        }
        Ok(())
    }

    fn zip(&mut self, file: File) -> Result<()> {
        let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(unreadable)?;
            let name = PathBuf::from(entry.name().map_err(unreadable)?.into_owned());
            let Some(path) = inside(&name)? else { continue };
            let mode = entry.unix_mode().unwrap_or(0o644);
            if entry.is_dir() {
                self.folder(&path)?;
            } else if mode & 0o170_000 == 0o120_000 {
                let mut to = String::new();
                (&mut entry).take(4096).read_to_string(&mut to).map_err(unreadable)?;
                self.link(path, to.into())?;
            } else {
                self.file(&path, mode & 0o111 != 0, &mut entry)?;
            }
        }
        Ok(())
    }

    /// Counts one more, and remembers that it is there.
    fn enter(&mut self, path: &Path) -> Result<()> {
        self.found.files += 1;
        if self.found.files > self.bounds.files {
            return Err(wrong(format!("holds more than {} files", self.bounds.files)));
        }
        self.paths.insert(path.to_owned());
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> Result<()> {
        // Folders cost as much as files.
        if self.paths.insert(path.to_owned()) && self.paths.len() as u64 > self.bounds.files * 2 {
            return Err(wrong(format!("holds more than {} folders", self.bounds.files)));
        }
        fs::create_dir_all(self.root.join(path)).map_err(|error| clash(path, &error))
    }

    fn file(&mut self, path: &Path, is_program: bool, content: &mut impl Read) -> Result<()> {
        self.enter(path)?;
        let mut file = self.made(path, is_program)?;
        let left = self.bounds.bytes.saturating_sub(self.found.bytes);
        let mut content = content.take(left.saturating_add(1));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            self.found.bytes += read as u64;
            if self.found.bytes > self.bounds.bytes {
                return Err(wrong(format!("grows to more than {} MiB", self.bounds.bytes >> 20)));
            }
            file.write_all(&buffer[..read]).map_err(full)?;
        }
        Ok(())
    }

    /// An empty file at `path`. No link is there yet, so nothing is followed.
    fn made(&self, path: &Path, is_program: bool) -> Result<File> {
        let place = self.root.join(path);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(|error| clash(path, &error))?;
        }
        let mode = if is_program { 0o755 } else { 0o644 };
        // The last of several with one name holds, as with tar.
        let _ = fs::remove_file(&place);
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&place);
        opened.map_err(|error| clash(path, &error))
    }

    /// What tar calls a hard link: another name of a file before it. It becomes a file of its own.
    fn copy(&mut self, path: &Path, of: &Path) -> Result<()> {
        let source = inside(of)?.filter(|of| self.root.join(of).is_file() && of != path);
        let source = source.ok_or_else(|| wrong(format!("`{}` is a link to nothing in it", path.display())))?;
        let mut content = File::open(self.root.join(&source)).doing("reading an upload")?;
        let mode = content.metadata().doing("reading an upload")?;
        let is_program = std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o111 != 0;
        self.file(path, is_program, &mut content)
    }

    fn link(&mut self, path: PathBuf, to: PathBuf) -> Result<()> {
        if to.as_os_str().is_empty() || to.as_os_str().len() > 4095 {
            return Err(wrong(format!("`{}` is a link to nothing", path.display())));
        }
        self.enter(&path)?;
        self.links.insert(path, to);
        Ok(())
    }

    /// Links come last, so that no file is written through one; and nothing may lie below one.
    fn make_links(&mut self) -> Result<()> {
        let links = std::mem::take(&mut self.links);
        for path in &self.paths {
            if let Some(link) = path.ancestors().skip(1).find(|above| links.contains_key(*above)) {
                return Err(wrong(format!(
                    "`{}` lies below `{}`, which is a link",
                    path.display(),
                    link.display()
                )));
            }
        }
        for (path, to) in links {
            let place = self.root.join(&path);
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder).map_err(|error| clash(&path, &error))?;
            }
            let _ = fs::remove_file(&place);
            symlink(to, &place).map_err(|error| clash(&path, &error))?;
        }
        Ok(())
    }
}

/// The path within the folder; `None` for the folder itself.
fn inside(name: &Path) -> Result<Option<PathBuf>> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(wrong(format!(
                    "holds `{}`, which leads out of it",
                    name.display().to_string().escape_debug()
                )));
            }
        }
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(wrong("holds a name with a zero byte"));
    }
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

fn full(error: io::Error) -> Error {
    Error::unavailable_by("the disk does not take what was uploaded", error)
}

fn clash(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => full(io::Error::from(io::ErrorKind::StorageFull)),
        _ => wrong(format!(
            "`{}` cannot be unpacked: {error}",
            path.display().to_string().escape_debug()
        )),
    }
}

/// Makes the only folder at the top the top.
fn strip(into: &Path) -> Result<()> {
    let doing = "looking at an upload";
    let mut entries = fs::read_dir(into).doing(doing)?.collect::<io::Result<Vec<_>>>().doing(doing)?;
    let (Some(only), true) = (entries.pop(), entries.is_empty()) else {
        return Ok(());
    };
    if !only.file_type().doing(doing)?.is_dir() {
        return Ok(());
    }
    // Beside, under a name that its content cannot have.
    let aside = into.with_extension("top");
    let _ = fs::remove_dir_all(&aside);
    fs::rename(only.path(), &aside).doing(doing)?;
    fs::remove_dir(into).doing(doing)?;
    fs::rename(aside, into).doing(doing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const BOUNDS: Bounds = Bounds {
        files: 100,
        bytes: 1 << 20,
    };

    enum Item<'a> {
        File(&'a str, &'a str),
        Program(&'a str, &'a str),
        Folder(&'a str),
        Link(&'a str, &'a str),
        Hard(&'a str, &'a str),
        Device(&'a str),
    }
    use Item::{Device, File as AFile, Folder, Hard, Link, Program};

    /// A tar whose names are not checked, as an attacker would write it.
    fn tarred(items: &[Item]) -> Vec<u8> {
        let mut out = tar::Builder::new(Vec::new());
        for item in items {
            let (name, kind, mode, to, text) = match item {
                AFile(name, text) => (name, tar::EntryType::Regular, 0o666, "", *text),
                Program(name, text) => (name, tar::EntryType::Regular, 0o4777, "", *text),
                Folder(name) => (name, tar::EntryType::Directory, 0o777, "", ""),
                Link(name, to) => (name, tar::EntryType::Symlink, 0o777, *to, ""),
                Hard(name, to) => (name, tar::EntryType::Link, 0o777, *to, ""),
                Device(name) => (name, tar::EntryType::Char, 0o777, "", ""),
            };
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.as_mut_bytes()[157..157 + to.len()].copy_from_slice(to.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(text.len() as u64);
            header.set_cksum();
            out.append(&header, text.as_bytes()).unwrap();
        }
        out.into_inner().unwrap()
    }

    struct Place {
        dir: TempDir,
    }

    impl Place {
        fn new() -> Place {
            Place {
                dir: tempfile::tempdir().unwrap(),
            }
        }
        fn unpack(&self, bytes: &[u8], strip_top: bool, bounds: Bounds) -> Result<Contents> {
            let archive = self.dir.path().join("archive");
            fs::write(&archive, bytes).unwrap();
            let _ = fs::remove_dir_all(self.dir.path().join("into"));
            super::unpack(&archive, &self.dir.path().join("into"), strip_top, bounds)
        }
        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.dir.path().join("into").join(path)).unwrap()
        }
        fn refused(&self, bytes: &[u8]) -> String {
            self.unpack(bytes, false, BOUNDS).unwrap_err().to_string()
        }
    }

    #[test]
    fn every_kind_of_archive() {
        let place = Place::new();
        let plain = tarred(&[
            Folder("web"),
            AFile("web/a.txt", "hello"),
            Program("./run", "#!"),
            Link("l", "web/a.txt"),
        ]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
        for bytes in [plain, gzip.finish().unwrap(), zstd] {
            let found = place.unpack(&bytes, false, BOUNDS).unwrap();
            assert_eq!(found, Contents { files: 3, bytes: 7 });
            assert_eq!((place.text("web/a.txt"), place.text("l")), ("hello".into(), "hello".into()));
            let mode = |path: &str| {
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(place.dir.path().join("into").join(path)).unwrap().permissions())
            };
            assert_eq!((mode("run") & 0o7777, mode("web/a.txt") & 0o7777), (0o755, 0o644));
        }
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().unix_permissions(0o644);
        zip.start_file("web/a.txt", options).unwrap();
        zip.write_all(b"hello").unwrap();
        zip.add_symlink("l", "web/a.txt", options).unwrap();
        let bytes = zip.finish().unwrap().into_inner();
        assert_eq!(place.unpack(&bytes, false, BOUNDS).unwrap(), Contents { files: 2, bytes: 5 });
        assert_eq!(place.text("l"), "hello");
    }

    #[test]
    fn nothing_is_written_outside() {
        let place = Place::new();
        let outside = place.dir.path().join("victim");
        let out = outside.to_str().unwrap();
        for (items, why) in [
            (vec![AFile("../victim", "x")], "leads out"),
            (vec![AFile("a/../../victim", "x")], "leads out"),
            (vec![AFile(out, "x")], "leads out"),
            (vec![Folder("../victim")], "leads out"),
            (vec![Link("../victim", "a")], "leads out"),
            (vec![Link("up", ".."), AFile("up/victim", "x")], "which is a link"),
            (vec![AFile("up/victim", "x"), Link("up", "..")], "which is a link"),
            (vec![Link("a", ".."), Link("a/victim", "b"), AFile("c", "")], "which is a link"),
            (vec![Link("f", out), Hard("f", "../victim")], "leads out"),
            (vec![Hard("f", "/etc/passwd")], "leads out"),
            (vec![Link("l", "/etc/passwd"), Hard("f", "l")], "link to nothing"),
            (vec![Device("null"), AFile("a", "")], "no file, folder or link"),
        ] {
            let error = place.refused(&tarred(&items));
            assert!(error.contains(why), "{error}");
            assert!(!outside.exists(), "{why}");
        }
        // A link that leads out is kept as a link, and a file of its name does not go through it.
        place
            .unpack(&tarred(&[Link("l", out), AFile("l", "mine"), AFile("a", "")]), false, BOUNDS)
            .unwrap();
        assert!(!outside.exists());
    }

    #[test]
    fn what_is_too_large_or_broken() {
        let place = Place::new();
        let bomb = zstd::encode_all(tarred(&[AFile("a", &"0".repeat(2 << 20))]).as_slice(), 1).unwrap();
        assert!(bomb.len() < 10_000);
        assert!(place.refused(&bomb).contains("grows to more than 1 MiB"));
        let many: Vec<String> = (0..101).map(|n| format!("f{n}")).collect();
        let items: Vec<Item> = many.iter().map(|name| AFile(name, "")).collect();
        assert!(place.refused(&tarred(&items)).contains("more than 100 files"));
        let cut = &tarred(&[AFile("a", &"x".repeat(3000))])[..1000];
        assert!(place.refused(cut).contains("cannot be read to its end"), "{}", place.refused(cut));
        assert!(place.refused(&[]).contains("is empty"));
        assert!(place.refused(b"#!/bin/sh\necho hello").contains("is no tar"));
        assert!(place.refused(&tarred(&[Folder("a")])).contains("holds no files"));
        assert!(
            place
                .refused(&tarred(&[AFile("a", ""), AFile("a/b", "")]))
                .contains("cannot be unpacked")
        );
    }

    #[test]
    fn one_folder_that_holds_everything_can_be_the_top() {
        let place = Place::new();
        let one = tarred(&[
            Folder("repo-main"),
            AFile("repo-main/Dockerfile", "FROM x"),
            AFile("repo-main/repo-main/a", "b"),
        ]);
        place.unpack(&one, true, BOUNDS).unwrap();
        assert_eq!((place.text("Dockerfile"), place.text("repo-main/a")), ("FROM x".into(), "b".into()));
        place.unpack(&one, false, BOUNDS).unwrap();
        assert_eq!(place.text("repo-main/Dockerfile"), "FROM x");
        place.unpack(&tarred(&[AFile("a/b", "1"), AFile("c", "2")]), true, BOUNDS).unwrap();
        assert_eq!(place.text("a/b"), "1");
    }
}
