//! Files that a repository keeps in Git LFS: its tree holds pointers, and a server beside the repository what they stand for.
//!
//! Source: git-lfs, `docs/spec.md` (pointers), `docs/api/server-discovery.md` and `docs/api/batch.md`. The transfer is `basic`. For a
//! repository by ssh a command on the forge's host tells where the server is and what it wants to hear (`lfs_by_ssh`); where there is
//! no such command pointers stay, and a line says so.

use crate::{
    Login, failures,
    fetch::Tree,
    lfs_by_ssh::{Asking, Pass},
    remote::Work,
    target::Target,
};
use egress::{Egress, Outbound};
use git2::{AttrCheckFlags, Repository};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use types::{Doing, Error, Result};
use url::Url;

const KIND: &str = "application/vnd.git-lfs+json";
/// Pointers are smaller.
const POINTER: u64 = 1024;
/// Asked for at once, as Git's own client does.
const BATCH: usize = 100;
/// Of all files of one tree together.
const LARGEST: u64 = 32 << 30;
/// Of an answer that lists them.
const ANSWER: usize = 4 << 20;
const CONNECTING: Duration = Duration::from_secs(10);
/// A server that says nothing for so long is given up on.
const SILENCE: Duration = Duration::from_secs(30);

/// What stands in the tree in place of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pointer {
    /// SHA-256 of the content: 64 hex digits in small letters.
    id: String,
    bytes: u64,
}

impl Pointer {
    fn of(text: &str) -> Option<Pointer> {
        let mut lines = text.lines();
        let version = lines.next()?.strip_prefix("version ")?;
        if !version.starts_with("https://git-lfs.github.com/spec/") {
            return None;
        }
        let (mut id, mut bytes) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => id = value.strip_prefix("sha256:").map(str::to_owned),
                ("size", value) => bytes = value.parse().ok(),
                _ => {}
            }
        }
        let id = id.filter(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))?;
        Some(Pointer { id, bytes: bytes? })
    }
}

/// The paths in the tree that each object goes to.
type Wanted = BTreeMap<Pointer, Vec<PathBuf>>;

/// Puts the files in place of their pointers. Fails with `Invalid` when the server has one not, or wants another login, and
/// with `Unavailable` when it does not answer or the disk is full.
///
/// `host_key`: the one that the fetch met, by ssh.
pub fn fill(tree: &Tree<'_>, repository: &Repository, host_key: Option<&str>, work: &Work) -> Result<()> {
    let wanted = pointers(tree.into, repository)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let bytes = wanted.keys().fold(0, |sum: u64, pointer| sum.saturating_add(pointer.bytes));
    if bytes > LARGEST {
        return Err(Error::invalid(
            "git",
            format!("its files in Git LFS are larger than {} GiB together", LARGEST >> 30),
        ));
    }
    let files = match wanted.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let target = Target::of(tree.url)?;
    match &target {
        Target::Path(path) => {
            work.lines.borrow().tell(format!("Git LFS: {files}"));
            from_folder(tree.into, Path::new(path), &wanted)
        }
        Target::Web(url) => {
            let server = Server::of(url, tree, &work.egress)?;
            server.fill_all(tree.into, &files, &wanted, bytes, work)
        }
        Target::Ssh { .. } => {
            let asking = Asking {
                target: &target,
                login: tree.login,
                host_key,
                egress: &work.egress,
                path: path_by_ssh(tree.url.as_str(), &target),
            };
            match Server::by_ssh(tree, asking)? {
                Some(server) => server.fill_all(tree.into, &files, &wanted, bytes, work),
                None => {
                    work.lines.borrow().tell(format!(
                        "Note: {files} in Git LFS stay pointers, because {} does not give them by ssh; use the repository's https address",
                        target.place()
                    ));
                    Ok(())
                }
            }
        }
    }
}

/// As it stands in the address: `ada/blog.git` of `git@host:ada/blog.git`.
fn path_by_ssh<'a>(url: &str, target: &'a Target) -> &'a str {
    let Target::Ssh { path, .. } = target else { return "" };
    let is_from_home = !url.contains("://") && !url.contains(":/");
    if is_from_home { path.trim_start_matches('/') } else { path }
}

/// Files of the tree that are pointers, and are told to be by `.gitattributes`. Links are not followed.
fn pointers(top: &Path, repository: &Repository) -> Result<Wanted> {
    let mut wanted = Wanted::new();
    let mut folders = vec![PathBuf::new()];
    let reading = |error| failures::local("looking for files in Git LFS", error);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).map_err(reading)? {
            let entry = entry.map_err(reading)?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(reading)?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(path);
                continue;
            }
            if !kind.is_file() || entry.metadata().map_err(reading)?.len() > POINTER {
                continue;
            }
            let content = fs::read(entry.path()).map_err(reading)?;
            let Some(pointer) = std::str::from_utf8(&content).ok().and_then(Pointer::of) else {
                continue;
            };
            let filter = repository.get_attr(&path, "filter", AttrCheckFlags::FILE_THEN_INDEX);
            if filter.is_ok_and(|filter| filter == Some("lfs")) {
                wanted.entry(pointer).or_default().push(path);
            }
        }
    }
    Ok(wanted)
}

/// Of a repository on this machine: where `git lfs push` leaves them.
fn from_folder(top: &Path, repository: &Path, wanted: &Wanted) -> Result<()> {
    let store = Repository::open(repository)
        .doing("opening the repository")?
        .commondir()
        .join("lfs/objects");
    for (pointer, paths) in wanted {
        let object = store.join(&pointer.id[..2]).join(&pointer.id[2..4]).join(&pointer.id);
        if !object.is_file() {
            return Err(absent(paths));
        }
        for path in paths {
            place(&object, &top.join(path))?;
        }
    }
    Ok(())
}

fn absent(paths: &[PathBuf]) -> Error {
    let path = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    Error::invalid(
        "git",
        format!("{path} is kept in Git LFS, and the server has it not; push it with `git lfs push --all`"),
    )
}

/// Puts a copy of `content` in place of the pointer, which keeps its mode.
fn place(content: &Path, pointer: &Path) -> Result<()> {
    let placing = |error| failures::local("placing a file of Git LFS", error);
    let mode = fs::metadata(pointer).map_err(placing)?.permissions();
    let beside = tempfile::NamedTempFile::new_in(pointer.parent().unwrap_or(Path::new("/"))).map_err(placing)?;
    fs::copy(content, beside.path()).map_err(placing)?;
    fs::set_permissions(beside.path(), mode).map_err(placing)?;
    beside.persist(pointer).map_err(|error| placing(error.error))?;
    Ok(())
}

fn client(egress: &Egress, base: &Url) -> Result<Outbound> {
    Target::Web(base.clone()).check(egress)?;
    Outbound::new(egress, true, || {
        Ok(Client::builder()
            .user_agent(concat!("serverkit/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECTING)
            .read_timeout(SILENCE))
    })
}

/// The LFS server of a repository.
struct Server<'a> {
    client: Outbound,
    /// Without a slash at the end.
    base: Url,
    login: &'a Login,
    /// The login is for this server.
    own: bool,
    /// What was told by ssh.
    pass: Option<Pass<'a>>,
}

impl<'a> Server<'a> {
    /// The one that `.lfsconfig` names, else `<repository>.git/info/lfs`. Another host gets no login.
    fn of(repository: &Url, tree: &'a Tree<'_>, egress: &Egress) -> Result<Server<'a>> {
        let base = match named(tree.into)? {
            Some(url) => url,
            None => {
                let mut url = repository.clone();
                let path = repository.path().trim_end_matches('/');
                let path = path.strip_suffix(".git").unwrap_or(path);
                url.set_path(&format!("{path}.git/info/lfs"));
                url
            }
        };
        Ok(Server {
            client: client(egress, &base)?,
            own: base.origin() == repository.origin(),
            base,
            login: tree.login,
            pass: None,
        })
    }

    /// The one that `.lfsconfig` names, which gets no login, else the one that the forge tells; `None` when it tells none.
    fn by_ssh(tree: &'a Tree<'_>, asking: Asking<'a>) -> Result<Option<Server<'a>>> {
        let egress = asking.egress;
        let (base, pass) = match named(tree.into)? {
            Some(url) => (url, None),
            None => match asking.ask()? {
                Some(pass) => (pass.base.clone(), Some(pass)),
                None => return Ok(None),
            },
        };
        Ok(Some(Server {
            client: client(egress, &base)?,
            own: pass.is_some(),
            base,
            login: tree.login,
            pass,
        }))
    }

    fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match self.login {
            Login::Password { user, password } if self.own => request.basic_auth(user, password.expose_str()),
            _ => {
                let headers = self.pass.iter().flat_map(|pass| &pass.headers);
                headers.fold(request, |request, (name, value)| request.header(name, value))
            }
        }
    }

    fn fill_all(mut self, top: &Path, files: &str, wanted: &Wanted, bytes: u64, work: &Work) -> Result<()> {
        work.lines
            .borrow()
            .tell(format!("Git LFS: {files}, {} MiB", bytes.div_ceil(1 << 20)));
        tokio::runtime::Handle::current().block_on(self.fill(top, wanted, bytes, work))
    }

    /// A pass is good for some time only.
    fn renew(&mut self) -> Result<()> {
        if let Some(old) = self.pass.as_ref().filter(|pass| pass.is_over()) {
            let renewed = old.asking.clone().ask()?;
            self.pass = Some(renewed.ok_or_else(|| self.unavailable("it gives no new pass by ssh"))?);
        }
        Ok(())
    }

    async fn fill(&mut self, top: &Path, wanted: &Wanted, all: u64, work: &Work) -> Result<()> {
        let mut done = 0;
        let wanted: Vec<_> = wanted.iter().collect();
        for part in wanted.chunks(BATCH) {
            self.renew()?;
            let offers = tokio::select! {
                offers = self.offers(part) => offers?,
                () = work.cancel.cancelled() => return Err(Error::Cancelled),
            };
            for (pointer, paths) in part {
                let offer = offers.get(&pointer.id).ok_or_else(|| absent(paths))?;
                let content = tokio::select! {
                    content = self.object(top, pointer, paths, offer) => content?,
                    () = work.cancel.cancelled() => return Err(Error::Cancelled),
                };
                for path in paths.iter() {
                    place(content.path(), &top.join(path))?;
                }
                done += pointer.bytes;
                work.lines.borrow_mut().brought(done, all);
            }
        }
        Ok(())
    }

    /// What the server says of each object.
    async fn offers(&self, part: &[(&Pointer, &Vec<PathBuf>)]) -> Result<BTreeMap<String, Value>> {
        let objects: Vec<Value> = part
            .iter()
            .map(|(pointer, _)| json!({"oid": pointer.id, "size": pointer.bytes}))
            .collect();
        let body = json!({"operation": "download", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"});
        let url = format!("{}/objects/batch", self.base.as_str().trim_end_matches('/'));
        let url = Url::parse(&url).doing("asking for files in Git LFS")?;
        let request = self.client.to(&url)?.post(url).header("accept", KIND).header("content-type", KIND);
        let request = self.signed(request.body(body.to_string()));
        let mut answer = request.send().await.map_err(|error| self.silent(&error))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.silent(&error))? {
            if bytes.len() + chunk.len() > ANSWER {
                return Err(self.unavailable("its answer is larger than 4 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        self.must_be_good(status, &said)?;
        let list = said["objects"]
            .as_array()
            .ok_or_else(|| self.unavailable("its answer lists no objects"))?;
        let offer = |one: &Value| Some((one["oid"].as_str()?.to_owned(), one.clone()));
        Ok(list.iter().filter_map(offer).collect())
    }

    fn must_be_good(&self, status: StatusCode, said: &Value) -> Result<()> {
        let why = said["message"].as_str().map(|text| text.chars().take(200).collect::<String>());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        match (status.as_u16(), self.login) {
            (200..=299, _) => Ok(()),
            (401 | 403, Login::Password { .. }) if self.own => Err(Error::invalid(
                "password",
                format!("{} does not give its files in Git LFS for this login{why}", self.host()),
            )),
            (401 | 403, _) => Err(Error::invalid(
                "git",
                format!("{} wants a login for the files in Git LFS{why}", self.host()),
            )),
            (404, _) => Err(Error::invalid(
                "git",
                format!("{} has no Git LFS for this repository{why}", self.host()),
            )),
            (status, _) => Err(self.unavailable(format!("it answers {status}{why}"))),
        }
    }

    /// One object, in a file beside the tree's others, checked by its size and its digest.
    async fn object(&self, top: &Path, pointer: &Pointer, paths: &[PathBuf], offer: &Value) -> Result<tempfile::NamedTempFile> {
        if let Some(code) = offer["error"]["code"].as_u64() {
            return Err(match code {
                404 | 410 => absent(paths),
                code => self.unavailable(format!("it refuses {} ({code})", paths[0].display())),
            });
        }
        let action = &offer["actions"]["download"];
        let href = action["href"].as_str().and_then(|href| self.base.join(href).ok());
        let href = href
            .filter(|href| matches!(href.scheme(), "http" | "https"))
            .ok_or_else(|| absent(paths))?;
        let headers: Vec<(&str, &str)> = action["header"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
            .collect();
        let is_signed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let mut request = self.client.to(&href)?.get(href.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !is_signed && href.origin() == self.base.origin() {
            request = self.signed(request);
        }
        let mut answer = request.send().await.map_err(|error| self.silent(&error))?;
        match answer.status().as_u16() {
            200 => {}
            404 | 410 => return Err(absent(paths)),
            status => return Err(self.unavailable(format!("{} is answered with {status}", paths[0].display()))),
        }
        let keeping = |error| failures::local("keeping a file of Git LFS", error);
        let mut file = tempfile::NamedTempFile::new_in(top.join(".git")).map_err(keeping)?;
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.silent(&error))? {
            bytes += chunk.len() as u64;
            if bytes > pointer.bytes {
                break;
            }
            digest.update(&chunk);
            file.write_all(&chunk).map_err(keeping)?;
        }
        let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if bytes != pointer.bytes || found != pointer.id {
            return Err(self.unavailable(format!("what it sends for {} is not what the repository names", paths[0].display())));
        }
        Ok(file)
    }

    fn silent(&self, error: &reqwest::Error) -> Error {
        let why = match error {
            error if error.is_timeout() => "it does not answer in time",
            error if error.is_connect() => "there is no connection to it",
            _ => "its answer breaks off",
        };
        self.unavailable(why)
    }

    fn unavailable(&self, why: impl std::fmt::Display) -> Error {
        Error::unavailable(format!("the files in Git LFS cannot be had from {}: {why}", self.host()))
    }
}

/// The server that the repository itself names in `.lfsconfig`.
fn named(top: &Path) -> Result<Option<Url>> {
    let path = top.join(".lfsconfig");
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|error| failures::local("reading .lfsconfig", error))?;
    let Some(url) = url_in(&text) else { return Ok(None) };
    let wrong = || Error::invalid("git", "the address in .lfsconfig is none of http or https");
    let url = Url::parse(&url).map_err(|_| wrong())?;
    match url.scheme() {
        "http" | "https" => Ok(Some(url)),
        _ => Err(wrong()),
    }
}

/// `url` in the part `[lfs]` of a file in Git's form; nothing else of it counts, so that it includes no other files.
fn url_in(text: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.eq_ignore_ascii_case("[lfs]");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside)
            && key.trim().eq_ignore_ascii_case("url")
        {
            found = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read() {
        let id = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize 12345\n");
        let pointer = Pointer::of(&text).unwrap();
        assert_eq!((pointer.id.as_str(), pointer.bytes), (id, 12345));
        for (from, to) in [
            ("sha256:", "md5:"),
            ("4d7a", "../x"),
            ("4d7a", "4D7A"),
            ("size 12345", "size -1"),
            ("size 12345", ""),
            ("git-lfs.github.com", "example.com"),
            ("version", "vers"),
        ] {
            assert_eq!(Pointer::of(&text.replace(from, to)), None, "{from} {to}");
        }
    }

    #[test]
    fn the_path_is_told_as_it_stands_in_the_address() {
        for (url, path) in [
            ("git@forge.example:ada/blog.git", "ada/blog.git"),
            ("git@forge.example:/srv/blog.git", "/srv/blog.git"),
            ("ssh://git@forge.example:2222/ada/blog.git", "/ada/blog.git"),
        ] {
            let target = Target::of(&url.parse().unwrap()).unwrap();
            assert_eq!(path_by_ssh(url, &target), path, "{url}");
        }
    }

    #[test]
    fn a_repository_names_its_server() {
        for (text, wanted) in [
            ("[lfs]\n\turl = \"https://lfs.example/x\"\n", Some("https://lfs.example/x")),
            ("[lfs]\nurl=https://a.example\n[other]\nurl = b\n", Some("https://a.example")),
            ("[remote \"lfs\"]\n url = https://a.example\n", None),
            ("", None),
        ] {
            assert_eq!(url_in(text).as_deref(), wanted, "{text}");
        }
    }
}
