//! Brings a working tree here.

use crate::{
    Login, failures, lfs,
    progress::Lines,
    references::{self, Offer, Wanted},
    remote::{Access, Work, offers},
    setup::prepare,
    submodules,
    target::Target,
};
use egress::Egress;
use git2::{CheckoutNotificationType, Oid, Reference, Repository, RepositoryInitOptions, build::CheckoutBuilder};
use std::{
    cell::RefCell,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::sync::CancellationToken;
use types::{Commit, Doing, Error, GitRef, GitUrl, Result, Time};

/// Folders beside the destination that are on their way begin so.
const PARTIAL: &str = ".fetch-";
/// No fetch takes longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What to bring here.
#[derive(Debug, Clone)]
pub struct Fetch {
    pub url: GitUrl,
    /// A branch, tag or commit; `None`: the default branch.
    pub reference: Option<GitRef>,
    pub login: Login,
    /// With submodules, and theirs.
    pub submodules: bool,
    /// With the files that are kept in Git LFS; else their pointers stay.
    pub lfs: bool,
    /// The SSH host key that must be met (`SHA256:…`); `None`: trust the one that comes, and answer it.
    pub host_key: Option<String>,
    /// How far addresses may lead: the repository's, its submodules', those of its files in Git LFS.
    pub egress: Egress,
    /// The folder for the working tree. What is in it already is replaced, once everything is here.
    pub into: PathBuf,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub commit: Commit,
    /// Over ssh: the host key that was met, to be asked for from now on.
    pub host_key: Option<String>,
}

/// Fetches one commit, without its history where the server can leave that out, and checks it out with its links and
/// modes. The folder appears whole or not at all; it holds the tree and a `.git`. Lines of progress go to `progress`.
///
/// Fails with `Invalid` where the address, the name or the login is wrong, with `Unavailable` where the server or the disk
/// is, with `Cancelled` at once when `cancel` is. A thread that waits for a silent server then ends a little later.
pub async fn fetch(fetch: Fetch, progress: mpsc::Sender<String>, cancel: CancellationToken) -> Result<Fetched> {
    off_thread(cancel, move |cancel| {
        let work = Work {
            cancel,
            lines: RefCell::new(Lines::new(progress)),
            egress: fetch.egress.clone(),
        };
        fetch_now(&fetch, &work)
    })
    .await
}

/// Runs blocking work until it ends or `cancel` says so; then, or when the future is dropped, its own token says so too.
pub async fn off_thread<T: Send + 'static>(
    cancel: CancellationToken,
    work: impl FnOnce(CancellationToken) -> Result<T> + Send + 'static,
) -> Result<T> {
    let own = cancel.child_token();
    let _when_dropped = own.clone().drop_guard();
    let work = spawn_blocking(move || {
        prepare();
        work(own)
    });
    tokio::select! {
        biased;
        done = work => done.doing("using Git")?,
        () = cancel.cancelled() => Err(Error::Cancelled),
    }
}

fn fetch_now(fetch: &Fetch, work: &Work) -> Result<Fetched> {
    let parent = fetch.into.parent().unwrap_or(Path::new("/"));
    let making = |error| failures::local(&format!("making a folder in {}", parent.display()), error);
    fs::create_dir_all(parent).map_err(making)?;
    sweep(parent);
    let partial = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(parent).map_err(making)?;
    let tree = Tree {
        url: &fetch.url,
        reference: fetch.reference.as_ref(),
        login: &fetch.login,
        host_key: fetch.host_key.as_deref(),
        submodules: fetch.submodules,
        lfs: fetch.lfs,
        into: partial.path(),
        depth: 0,
    };
    let fetched = tree.check_out(work)?;
    if work.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let moving = |error| failures::local(&format!("moving the checkout to {}", fetch.into.display()), error);
    remove_if_there(&fetch.into)
        .and_then(|()| fs::rename(partial.path(), &fetch.into))
        .map_err(moving)?;
    let _moved = partial.keep();
    Ok(fetched)
}

/// Removes what fetches left behind that a crash cut short.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let age = entry
            .metadata()
            .and_then(|facts| facts.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) && age.is_some_and(|age| age > LONGEST) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

pub fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// One repository's tree: the one asked for, or a submodule's.
pub struct Tree<'a> {
    pub url: &'a GitUrl,
    pub reference: Option<&'a GitRef>,
    pub login: &'a Login,
    pub host_key: Option<&'a str>,
    pub submodules: bool,
    pub lfs: bool,
    /// An empty folder.
    pub into: &'a Path,
    /// 0 for the one asked for, 1 for its submodules, and so on.
    pub depth: u32,
}

impl Tree<'_> {
    pub fn check_out(&self, work: &Work) -> Result<Fetched> {
        let access = Access::new(self.url, self.login, self.host_key, work)?;
        let (repository, id) = match &access.target {
            Target::Path(path) => self.borrow(Path::new(path)),
            _ => self.download(&access),
        }?;
        let failed = |error: git2::Error| access.explain(&error);
        let commit = repository.find_commit(id).map_err(failed)?;
        let told = describe(&commit);
        work.lines
            .borrow()
            .tell(format!("Checking out {} {}", &told.id[..12], told.subject));
        put_files(&repository, &commit, work).map_err(failed)?;
        if self.lfs {
            lfs::fill(self, &repository, access.host_key().as_deref(), work)?;
        }
        if self.submodules {
            submodules::check_out(self, &repository, &commit, work)?;
        } else if self.into.join(".gitmodules").is_file() {
            work.lines
                .borrow()
                .tell("Note: its submodules are left out, as the app is set; `--submodules` or the source's settings bring them");
        }
        Ok(Fetched {
            commit: told,
            host_key: access.host_key(),
        })
    }

    /// From a server: a download of what is needed.
    fn download(&self, access: &Access<'_>) -> Result<(Repository, Oid)> {
        access.work.lines.borrow().tell(format!("Connecting to {}", access.target.place()));
        let failed = |error: git2::Error| access.explain(&error);
        let repository = init(self.into).map_err(failed)?;
        let mut remote = access.remote(&repository)?;
        let mut connection = access.connect(&mut remote)?;
        let offers = offers(&connection).map_err(failed)?;
        if offers.is_empty() {
            return Err(empty(self.url));
        }
        let wanted = references::choose(&offers, self.reference)?;
        let (spec, id) = match &wanted {
            Wanted::Offered { name, commit } => (Some(format!("+{name}:{name}")), Some(*commit)),
            Wanted::Id(id) => (Some(id.to_string()), Some(*id)),
            Wanted::ShortId(_) => (None, None),
        };
        if let Some(spec) = spec {
            match connection.remote().download(&[spec.as_str()], Some(&mut access.options(1))) {
                Ok(()) => {}
                Err(_) if access.work.cancel.is_cancelled() => return Err(Error::Cancelled),
                // Some servers give no single commits and some no shallow history; then everything must come.
                Err(error) if may_work_in_full(&error, &wanted) => {}
                Err(error) => return Err(access.explain(&error)),
            }
        }
        drop(connection);
        drop(remote);
        if let Some(id) = id.filter(|id| repository.find_commit(*id).is_ok()) {
            return Ok((repository, id));
        }
        self.download_all(access, &repository)?;
        let id = find(&repository, &wanted).ok_or_else(|| references::missing(&offers, self.reference.map_or("HEAD", GitRef::as_str)))?;
        Ok((repository, id))
    }

    fn download_all(&self, access: &Access<'_>, repository: &Repository) -> Result<()> {
        access.work.lines.borrow().tell("Fetching the whole history");
        let failed = |error: git2::Error| access.explain(&error);
        let mut remote = access.remote(repository)?;
        let mut connection = access.connect(&mut remote)?;
        let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        connection.remote().download(&all, Some(&mut access.options(0))).map_err(failed)
    }

    /// From a path on this machine: its objects are used where they are.
    fn borrow(&self, path: &Path) -> Result<(Repository, Oid)> {
        let lender = open(self.url, path)?;
        let offers = local_offers(&lender).doing("reading the repository's branches")?;
        if offers.is_empty() {
            return Err(empty(self.url));
        }
        let wanted = references::choose(&offers, self.reference)?;
        let id = find(&lender, &wanted).ok_or_else(|| references::missing(&offers, self.reference.map_or("HEAD", GitRef::as_str)))?;
        let objects = lender.commondir().join("objects");
        let making = |error| failures::local("making the checkout", error);
        let own = init(self.into).doing("making the checkout")?;
        fs::write(own.path().join("objects/info/alternates"), format!("{}\n", objects.display())).map_err(making)?;
        let own = Repository::open(self.into).doing("opening the checkout")?;
        Ok((own, id))
    }
}

fn init(folder: &Path) -> Result<Repository, git2::Error> {
    let mut options = RepositoryInitOptions::new();
    Repository::init_opts(folder, options.external_template(false).initial_head("main"))
}

/// Whether a failed download of one commit may be a matter of what the server can do: no shallow history, no single
/// commits. Servers differ in their words, so for single commits it is anything but time and room.
fn may_work_in_full(error: &git2::Error, wanted: &Wanted) -> bool {
    let text = error.message().to_lowercase();
    let outside = error.code() == git2::ErrorCode::Timeout || text.contains("no space left");
    text.contains("shallow") || (matches!(wanted, Wanted::Id(_)) && !outside)
}

fn find(repository: &Repository, wanted: &Wanted) -> Option<Oid> {
    let text = match wanted {
        Wanted::Offered { commit: id, .. } | Wanted::Id(id) => id.to_string(),
        Wanted::ShortId(text) => text.clone(),
    };
    let commit = repository.revparse_single(&text).ok()?.peel_to_commit().ok()?;
    Some(commit.id())
}

/// A repository on this machine, at exactly this path.
pub fn open(url: &GitUrl, path: &Path) -> Result<Repository> {
    if !path.exists() {
        return Err(Error::invalid("git", format!("{url}: there is no such folder on this machine")));
    }
    Repository::open(path).map_err(|error| match error.code() {
        git2::ErrorCode::NotFound => Error::invalid("git", format!("{url}: is not a Git repository")),
        _ => Error::unavailable_by(format!("{url} cannot be opened"), error),
    })
}

/// What a server would offer of it.
pub fn local_offers(repository: &Repository) -> Result<Vec<Offer>, git2::Error> {
    let mut offers = Vec::new();
    for reference in repository.references()? {
        offers.extend(local_offer(&reference?));
    }
    if let Ok(head) = repository.head() {
        offers.extend(local_offer(&head).map(|offer| Offer {
            name: "HEAD".to_owned(),
            points_to: Some(offer.name).filter(|_| head.is_branch()),
            id: offer.id,
        }));
    }
    Ok(offers)
}

/// `None` for what is no commit.
fn local_offer(reference: &Reference<'_>) -> Option<Offer> {
    Some(Offer {
        name: reference.name().ok()?.to_owned(),
        id: reference.peel_to_commit().ok()?.id(),
        points_to: None,
    })
}

fn put_files(repository: &Repository, commit: &git2::Commit<'_>, work: &Work) -> Result<(), git2::Error> {
    repository.set_head_detached(commit.id())?;
    let mut checkout = CheckoutBuilder::new();
    checkout
        .force()
        .progress(|_, done, total| work.lines.borrow_mut().checked_out(done, total))
        .notify_on(CheckoutNotificationType::UPDATED | CheckoutNotificationType::CONFLICT | CheckoutNotificationType::DIRTY)
        .notify(|_, _, _, _, _| !work.cancel.is_cancelled());
    repository.checkout_tree(commit.as_object(), Some(&mut checkout))
}

fn empty(url: &GitUrl) -> Error {
    Error::invalid("git", format!("{url}: the repository is empty; push a commit first"))
}

fn describe(commit: &git2::Commit<'_>) -> Commit {
    let message = String::from_utf8_lossy(commit.message_bytes());
    Commit {
        id: commit.id().to_string(),
        subject: message
            .trim_start()
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .chars()
            .take(200)
            .collect(),
        author: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
        at: Time(commit.time().seconds().saturating_mul(1_000)),
    }
}
