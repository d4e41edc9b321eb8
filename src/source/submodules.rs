//! Submodules: repositories within a working tree, each at the commit that the tree names.

use crate::{
    failures,
    fetch::{Tree, remove_if_there},
    remote::Work,
    target::{self, Target},
};
use git2::{FileMode, Repository};
use std::{fs, path::PathBuf};
use types::{Error, GitRef, Result};

/// Submodules of submodules of …
const DEEPEST: u32 = 8;

/// Checks out every submodule of `commit`, and theirs. Their `.git` folders are removed, as nothing needs them.
pub fn check_out(tree: &Tree<'_>, repository: &Repository, commit: &git2::Commit<'_>, work: &Work) -> Result<()> {
    for found in list(repository, commit)? {
        if tree.depth >= DEEPEST {
            return Err(failed(&found, "is nested too deeply"));
        }
        let Some(address) = &found.address else {
            work.lines.borrow().tell(format!(
                "Note: the submodule {} is left out: .gitmodules has no address for it",
                found.path.display()
            ));
            continue;
        };
        work.lines.borrow().tell(format!("Submodule {}", found.path.display()));
        check_out_one(tree, &found, address, work).map_err(|error| match error {
            Error::Invalid { why, .. } => failed(&found, &why),
            Error::Unavailable { what, source } => Error::Unavailable {
                what: format!("submodule {}: {what}", found.path.display()),
                source,
            },
            other => other,
        })?;
    }
    Ok(())
}

fn failed(found: &Found, why: &str) -> Error {
    Error::invalid("submodules", format!("submodule {}: {why}", found.path.display()))
}

fn check_out_one(tree: &Tree<'_>, found: &Found, address: &str, work: &Work) -> Result<()> {
    let (url, login) = target::submodule(tree.url, tree.login, address)?;
    let same_host = Target::of(&url)?.place() == Target::of(tree.url)?.place();
    let into = tree.into.join(&found.path);
    remove_if_there(&into)
        .and_then(|()| fs::create_dir_all(&into))
        .map_err(|error| failures::local("making a submodule's folder", error))?;
    let below = Tree {
        url: &url,
        reference: Some(&found.commit),
        login: &login,
        host_key: tree.host_key.filter(|_| same_host),
        submodules: true,
        lfs: tree.lfs,
        into: &into,
        depth: tree.depth + 1,
    };
    below.check_out(work)?;
    remove_if_there(&into.join(".git")).map_err(|error| failures::local("removing a submodule's .git", error))
}

struct Found {
    /// In the tree, where each part above it is a folder: a link cannot lead it astray.
    path: PathBuf,
    commit: GitRef,
    address: Option<String>,
}

/// What the commit's tree holds as submodules, with the addresses that `.gitmodules` has for them.
fn list(repository: &Repository, commit: &git2::Commit<'_>) -> Result<Vec<Found>> {
    let broken = |error: git2::Error| Error::invalid("submodules", format!(".gitmodules cannot be read: {}", error.message()));
    let mut found = Vec::new();
    let tree = commit.tree().map_err(broken)?;
    for submodule in repository.submodules().map_err(broken)? {
        let path = submodule.path().to_owned();
        let Ok(entry) = tree.get_path(&path) else { continue };
        if entry.filemode() != i32::from(FileMode::Commit) {
            continue;
        }
        found.push(Found {
            commit: entry.id().to_string().parse()?,
            address: submodule.opt_url_bytes().map(|url| String::from_utf8_lossy(url).into_owned()),
            path,
        });
    }
    Ok(found)
}
