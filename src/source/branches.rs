//! The branches of a repository.

use crate::{
    Login,
    fetch::{local_offers, off_thread, open},
    progress::Lines,
    references::{self, Offer},
    remote::{Access, Work, offers},
    target::Target,
};
use egress::Egress;
use git2::Repository;
use std::{cell::RefCell, path::Path};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{Doing, GitUrl, Result};

/// A branch on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub name: String,
    /// 40 hex digits.
    pub commit: String,
    /// What is taken when no branch is named.
    pub default: bool,
}

/// Every branch, by name; none for an empty repository. `host_key` and failures as with [`crate::fetch`].
pub async fn branches(url: &GitUrl, login: &Login, host_key: Option<&str>, egress: Egress) -> Result<Vec<Branch>> {
    let (url, login, host_key) = (url.clone(), login.clone(), host_key.map(str::to_owned));
    off_thread(CancellationToken::new(), move |cancel| {
        let work = Work {
            cancel,
            lines: RefCell::new(Lines::new(mpsc::channel(1).0)),
            egress,
        };
        let access = Access::new(&url, &login, host_key.as_deref(), &work)?;
        Ok(list(&offered(&access)?))
    })
    .await
}

/// Everything that the repository offers.
pub fn offered(access: &Access<'_>) -> Result<Vec<Offer>> {
    match &access.target {
        Target::Path(path) => local_offers(&open(access.url, Path::new(path))?).doing("reading the repository's branches"),
        _ => ask(access),
    }
}

fn ask(access: &Access<'_>) -> Result<Vec<Offer>> {
    let doing = "making a folder to ask a repository";
    let folder = tempfile::tempdir().doing(doing)?;
    let here = Repository::init_bare(folder.path()).doing(doing)?;
    let mut remote = access.remote(&here)?;
    let connection = access.connect(&mut remote)?;
    offers(&connection).map_err(|error| access.explain(&error))
}

fn list(offers: &[Offer]) -> Vec<Branch> {
    let default = references::default_branch(offers);
    let mut branches: Vec<Branch> = references::branches(offers)
        .map(|(name, commit)| Branch {
            name: name.to_owned(),
            commit: commit.to_string(),
            default: default.as_deref().and_then(|name| name.strip_prefix("refs/heads/")) == Some(name),
        })
        .collect();
    branches.sort_by(|one, other| one.name.cmp(&other.name));
    branches
}
