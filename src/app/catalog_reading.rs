//! Reads catalogs from where they lie: a folder of a repository, or an index on the web with the templates beside it.

use crate::{
    catalogs::read_again,
    deployments::password_login,
    ground::Ground,
    shelves::{MAX_CATALOG, MAX_TEXT, Shelves},
    sources::Gone,
    upgrades::verify,
};
use async_trait::async_trait;
use catalog::{Broken, Texts, index::Index};
use sha2::{Digest, Sha256};
use source::{Downloads, Fetch};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{Catalog, CatalogPlace, Doing, Error, Result, Time};
use url::Url;

/// A catalog is read this often, and a failed look is repeated after a quarter of it.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// A place that does not answer must not keep others waiting.
const LOOKING: Duration = Duration::from_secs(180);
const MAX_TEMPLATES: usize = 1000;

/// What lies there.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub version: String,
    pub texts: Texts,
    /// Templates that could not be read.
    pub broken: Broken,
    /// Of its signature.
    pub signed_at: Option<Time>,
}

/// Fails when the place cannot be reached, or when a signature is asked for and is not right.
pub(crate) async fn look(ground: &Ground, catalog: &Catalog) -> Result<Looked> {
    let looking = async {
        match &catalog.place {
            CatalogPlace::Own => Err(Error::internal("reading a catalog", std::io::Error::other("it has no place"))),
            CatalogPlace::Git { .. } => from_git(ground, catalog).await,
            CatalogPlace::Web { url } => {
                let downloads = Downloads::new(&ground.egress(&catalog.organization)?)?;
                from_web(&downloads, url, catalog.key.as_deref()).await
            }
        }
    };
    let looked = tokio::time::timeout(LOOKING, looking).await;
    let looked = looked.unwrap_or_else(|_| {
        Err(Error::unavailable(format!(
            "the catalog was not read within {} s",
            LOOKING.as_secs()
        )))
    })?;
    let before = catalog.read.as_ref().and_then(|read| read.signed_at);
    not_older(before, looked.signed_at)?;
    Ok(looked)
}

/// Who stands between could show an old index again, which was signed rightly, and so keep a mended template away.
fn not_older(before: Option<Time>, now: Option<Time>) -> Result<()> {
    match (before, now) {
        (Some(before), Some(now)) if now < before => Err(Error::invalid(
            "index.json",
            format!("was signed at {now}, and one that was signed at {before} was read already: an old one is shown again"),
        )),
        (Some(before), None) => Err(Error::invalid(
            "index.json",
            format!(
                "does not say when it was signed, and one that was signed at {before} was read already; keep minisign's usual trusted comment"
            ),
        )),
        _ => Ok(()),
    }
}

/// From minisign's usual trusted comment, `timestamp:1700000000` and more after a tab; `None` where the publisher wrote another.
fn signed_at(comment: &str) -> Option<Time> {
    let seconds = comment.split(['\t', ' ']).find_map(|word| word.strip_prefix("timestamp:"))?;
    seconds.parse::<i64>().ok()?.checked_mul(1000).map(Time)
}

async fn from_git(ground: &Ground, catalog: &Catalog) -> Result<Looked> {
    let CatalogPlace::Git {
        url,
        branch,
        folder,
        user,
        password,
    } = &catalog.place
    else {
        return Ok(Looked::default());
    };
    let into = ground
        .options
        .data
        .join("work")
        .join(format!(".fetch-catalog-{}", ground.world.word(12)));
    let _gone = Gone(into.clone());
    let cancel = CancellationToken::new();
    let _stop_with_us = cancel.clone().drop_guard();
    let fetch = Fetch {
        url: url.clone(),
        reference: branch.clone(),
        login: password_login(ground, user.as_deref(), password.as_ref())?,
        submodules: false,
        lfs: false,
        host_key: None,
        egress: ground.egress(&catalog.organization)?,
        into: into.clone(),
    };
    let (words, _nobody) = mpsc::channel(64);
    let fetched = source::fetch(fetch, words, cancel).await?;
    let (folder, key) = (folder.clone(), catalog.key.clone());
    let read = tokio::task::spawn_blocking(move || from_folder(&within(&into, folder.as_str())?, key.as_deref())).await;
    let looked = read.doing("reading a catalog")??;
    Ok(Looked {
        version: fetched.commit.id,
        ..looked
    })
}

/// The folder of a repository, unless a link leads it elsewhere.
fn within(top: &Path, folder: &str) -> Result<PathBuf> {
    let missing = |_| Error::invalid("folder", format!("there is no `{folder}` in the repository"));
    let found = top.join(folder).canonicalize().map_err(missing)?;
    let top = top.canonicalize().map_err(missing)?;
    match found.starts_with(&top) {
        true => Ok(found),
        false => Err(Error::invalid("folder", "is a link that leads out of the repository")),
    }
}

fn from_folder(folder: &Path, key: Option<&str>) -> Result<Looked> {
    let (texts, broken) = catalog::texts_of_tree(folder)?;
    bounded(&texts)?;
    let mut signed = None;
    if let Some(key) = key {
        let read = |name: &str| {
            fs::read(folder.join(name)).map_err(|_| Error::invalid("key", format!("the catalog has no {name}, so it is not signed")))
        };
        let index = read("index.json")?;
        signed = signed_at(&verify(&index, &read("index.json.minisig")?, Some(key))?);
        as_listed(&index_of(&index)?, &texts)?;
    }
    if texts.is_empty() && broken.is_empty() {
        return Err(Error::invalid("folder", "has no folder with a template.yaml in it"));
    }
    Ok(Looked {
        version: String::new(),
        texts,
        broken,
        signed_at: signed,
    })
}

fn index_of(bytes: &[u8]) -> Result<Index> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("index.json", "is not a text in UTF-8"))?;
    Index::read(text)
}

/// Fails with the first file that is not as the index says.
fn as_listed(index: &Index, texts: &Texts) -> Result<()> {
    match index.check(texts).first() {
        Some(difference) => Err(Error::invalid("index.json", difference.to_string())),
        None => Ok(()),
    }
}

async fn from_web(downloads: &Downloads, url: &Url, key: Option<&str>) -> Result<Looked> {
    let bytes = downloads.get(url, MAX_CATALOG).await?;
    let mut signed = None;
    if key.is_some() {
        let mut signature = url.clone();
        signature.set_path(&format!("{}.minisig", url.path()));
        signed = signed_at(&verify(&bytes, &downloads.get(&signature, 16 << 10).await?, key)?);
    }
    let index = index_of(&bytes)?;
    let mut texts = Texts::new();
    for name in index.templates.keys() {
        let file = async |file: &str| {
            let url = url.join(&format!("{name}/{file}")).doing("reading the index")?;
            let bytes = downloads.get(&url, MAX_TEXT).await?;
            String::from_utf8(bytes).map_err(|_| Error::invalid("url", format!("{url} is not a text in UTF-8")))
        };
        let pair = (file("template.yaml").await?, file("compose.yaml").await?);
        texts.insert(name.to_owned(), pair);
        bounded(&texts)?;
    }
    as_listed(&index, &texts)?;
    Ok(Looked {
        version: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        texts,
        broken: Broken::new(),
        signed_at: signed,
    })
}

fn bounded(texts: &Texts) -> Result<()> {
    let bytes: usize = texts.values().map(|(template, compose)| template.len() + compose.len()).sum();
    if texts.len() > MAX_TEMPLATES || bytes > MAX_CATALOG {
        return Err(Error::invalid(
            "catalog",
            format!("has more than {MAX_TEMPLATES} templates or {} MiB of text", MAX_CATALOG >> 20),
        ));
    }
    Ok(())
}

/// Reads catalogs again and again.
pub struct CatalogReader {
    ground: Arc<Ground>,
    shelves: Shelves,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct CatalogReport {
    pub read: Vec<String>,
    pub problems: Vec<String>,
}

impl CatalogReader {
    pub(crate) fn new(ground: Arc<Ground>, shelves: Shelves) -> CatalogReader {
        CatalogReader { ground, shelves }
    }
}

#[async_trait]
impl jobs::Job for CatalogReader {
    const NAME: &'static str = "catalogs";
    type Report = CatalogReport;

    async fn run(&mut self) -> Result<CatalogReport> {
        let mut done = CatalogReport::default();
        let now = self.ground.world.now();
        for catalog in self.ground.store.catalogs.list()? {
            let rest = if catalog.problem.is_some() { EVERY / 4 } else { EVERY };
            let due = catalog.looked_at.is_none_or(|at| now.since(at) >= rest);
            if !due || catalog.place == CatalogPlace::Own {
                continue;
            }
            match read_again(&self.ground, &catalog).await {
                Ok(()) => done.read.push(catalog.name.to_string()),
                // The catalog keeps the reason.
                Err(error) => done.problems.push(format!("{}: {error}", catalog.name)),
            }
            self.shelves.forget(&catalog.id);
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_signatures_are_refused() {
        let first = signed_at("timestamp:1700000000\tfile:index.json\thashed");
        assert_eq!(first, Some(Time(1_700_000_000_000)));
        assert_eq!(
            (
                signed_at("of ada"),
                signed_at("timestamp:x"),
                signed_at("timestamp:9223372036854775807")
            ),
            (None, None, None)
        );
        let later = signed_at("timestamp:1700000001");
        assert!(not_older(None, None).is_ok() && not_older(None, first).is_ok());
        assert!(not_older(first, first).is_ok() && not_older(first, later).is_ok());
        let why = not_older(later, first).expect_err("older").to_string();
        assert!(why.contains("2023-11-14T22:13:20"), "{why}");
        assert!(not_older(first, None).is_err());
    }
}
