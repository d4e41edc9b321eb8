//! What a commit says and which files differ from another, where a forge does not tell.

use crate::{
    Login,
    fetch::{off_thread, open},
    progress::Lines,
    references::Offer,
    remote::{Access, Work, offers},
    target::Target,
};
use egress::Egress;
use git2::{Oid, Repository};
use std::{cell::RefCell, collections::BTreeSet, path::Path};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{Doing, Error, GitUrl, Result};

/// Of a message.
const MESSAGE: usize = 2000;

/// Two commits of a repository.
#[derive(Debug, Clone)]
pub struct Compare {
    pub url: GitUrl,
    pub login: Login,
    pub host_key: Option<String>,
    pub egress: Egress,
    /// 40 hex digits; `None`: only the message is wanted.
    pub before: Option<String>,
    /// 40 hex digits.
    pub after: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Of `after`.
    pub message: String,
    pub author: String,
    /// The files that differ; `None` when `before` was not given or is not there any more.
    pub files: Option<Vec<String>>,
}

/// A branch or tag and its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// `refs/heads/main`
    pub reference: String,
    /// 40 hex digits.
    pub commit: String,
    /// The branch that is taken when none is named.
    pub default: bool,
}

/// Brings the trees of both commits into memory of this machine for a moment, without their history where the server can
/// leave that out, and compares them. Fails as [`crate::fetch`] does.
pub async fn compare(of: Compare) -> Result<Compared> {
    off_thread(CancellationToken::new(), move |cancel| {
        let work = quiet(cancel, of.egress.clone());
        let access = Access::new(&of.url, &of.login, of.host_key.as_deref(), &work)?;
        if let Target::Path(path) = &access.target {
            return look(&open(&of.url, Path::new(path))?, &of);
        }
        let folder = tempfile::tempdir().doing("making a folder to compare commits")?;
        let repository = Repository::init_bare(folder.path()).doing("making a folder to compare commits")?;
        bring(&access, &repository, &of)?;
        look(&repository, &of)
    })
    .await
}

/// Every branch and tag of the repository. Fails as [`crate::fetch`] does.
pub async fn tips(url: &GitUrl, login: &Login, host_key: Option<&str>, egress: Egress) -> Result<Vec<Tip>> {
    let (url, login, host_key) = (url.clone(), login.clone(), host_key.map(str::to_owned));
    off_thread(CancellationToken::new(), move |cancel| {
        let work = quiet(cancel, egress);
        let access = Access::new(&url, &login, host_key.as_deref(), &work)?;
        Ok(list(&crate::branches::offered(&access)?))
    })
    .await
}

fn quiet(cancel: CancellationToken, egress: Egress) -> Work {
    Work {
        cancel,
        lines: RefCell::new(Lines::new(mpsc::channel(1).0)),
        egress,
    }
}

fn list(offers: &[Offer]) -> Vec<Tip> {
    let default = crate::references::default_branch(offers);
    let peeled = |name: &str| {
        offers
            .iter()
            .find(|offer| offer.name == format!("{name}^{{}}"))
            .map(|offer| offer.id)
    };
    offers
        .iter()
        .filter(|offer| (offer.name.starts_with("refs/heads/") || offer.name.starts_with("refs/tags/")) && !offer.name.ends_with("^{}"))
        .map(|offer| Tip {
            reference: offer.name.clone(),
            commit: peeled(&offer.name).unwrap_or(offer.id).to_string(),
            default: default.as_deref() == Some(&offer.name),
        })
        .collect()
}

/// Downloads both commits, alone if the server gives single ones, else with everything.
fn bring(access: &Access<'_>, repository: &Repository, of: &Compare) -> Result<()> {
    let failed = |error: git2::Error| access.explain(&error);
    let wanted: Vec<&str> = [Some(of.after.as_str()), of.before.as_deref()].into_iter().flatten().collect();
    let mut remote = access.remote(repository)?;
    let mut connection = access.connect(&mut remote)?;
    let offered = offers(&connection).map_err(failed)?;
    let specs: Vec<String> = wanted
        .iter()
        .map(|id| {
            match offered
                .iter()
                .find(|offer| offer.id.to_string() == **id && offer.name.starts_with("refs/"))
            {
                Some(offer) => format!("+{0}:{0}", offer.name.trim_end_matches("^{}")),
                None => (*id).to_owned(),
            }
        })
        .collect();
    let alone = connection.remote().download(&specs, Some(&mut access.options(1)));
    if access.work.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    drop(connection);
    if alone.is_ok()
        && wanted
            .iter()
            .all(|id| Oid::from_str(id).is_ok_and(|id| repository.find_commit(id).is_ok()))
    {
        return Ok(());
    }
    let mut connection = access.connect(&mut remote)?;
    let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    connection.remote().download(&all, Some(&mut access.options(0))).map_err(failed)
}

fn look(repository: &Repository, of: &Compare) -> Result<Compared> {
    let gone = || Error::invalid("commit", format!("{}: it has no commit {}", of.url, of.after));
    let find = |id: &str| repository.find_commit(Oid::from_str(id).ok()?).ok();
    let after = find(&of.after).ok_or_else(gone)?;
    let before = of.before.as_deref().and_then(find);
    let files = match before {
        None => None,
        Some(before) => Some(differ(repository, &before, &after).doing("comparing two commits")?),
    };
    let message = String::from_utf8_lossy(after.message_bytes());
    Ok(Compared {
        message: message.chars().take(MESSAGE).collect(),
        author: String::from_utf8_lossy(after.author().name_bytes()).into_owned(),
        files,
    })
}

fn differ(repository: &Repository, before: &git2::Commit<'_>, after: &git2::Commit<'_>) -> Result<Vec<String>, git2::Error> {
    let diff = repository.diff_tree_to_tree(Some(&before.tree()?), Some(&after.tree()?), None)?;
    let mut files = BTreeSet::new();
    for delta in diff.deltas() {
        for file in [delta.old_file(), delta.new_file()] {
            files.extend(file.path_bytes().map(|path| String::from_utf8_lossy(path).into_owned()));
        }
    }
    Ok(files.into_iter().collect())
}
