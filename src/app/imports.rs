//! What other panels install from, turned into templates of ours.

use catalog::imports::{self, Format, Imported};
use source::Downloads;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;
use types::{Action, Actor, Error, Result};
use url::Url;

/// Texts that are got for one import, how large each may be, and how long all of it may take.
const MOST: usize = 40;
const LARGEST: usize = 1 << 20;
const GETTING: Duration = Duration::from_secs(90);
/// What was got may name more.
const ROUNDS: usize = 3;

/// A template of somebody else's.
#[derive(Debug, Clone)]
pub struct ImportWish {
    /// `None`: it is recognised.
    pub format: Option<Format>,
    pub text: String,
    /// Files that belong to it, by name: the Compose file beside a Dokploy template. Or by address, what lies elsewhere.
    pub files: BTreeMap<String, String>,
    /// Get what lies elsewhere and is not among `files`.
    pub fetch: bool,
}

/// Keeps nothing: what comes out is put into a catalog by whoever asked.
#[derive(Clone, Default)]
pub struct Imports;

impl Imports {
    /// Fails with `Invalid { field: "text" }` when it is of no format that is known, or cannot be read. What cannot be got is told with the
    /// template that needs it.
    pub async fn convert(&self, actor: &Actor, wish: ImportWish) -> Result<Vec<Imported>> {
        actor.may_somewhere(Action::Configure)?;
        let mut files = wish.files;
        let mut imported = read(wish.format, &wish.text, &files).await?;
        if !wish.fetch {
            return Ok(imported);
        }
        let mut failed: BTreeMap<String, String> = BTreeMap::new();
        let until = Instant::now() + GETTING;
        let downloads = Downloads::new()?;
        for _ in 0..ROUNDS {
            let wanted: BTreeSet<String> = imported.iter().flat_map(|one| one.fetch.iter().cloned()).collect();
            let room = MOST.saturating_sub(files.len() + failed.len());
            let wanted: Vec<String> = wanted
                .into_iter()
                .filter(|address| !failed.contains_key(address))
                .take(room)
                .collect();
            if wanted.is_empty() {
                break;
            }
            for address in wanted {
                match tokio::time::timeout_at(until, get(&downloads, &address)).await {
                    Ok(Ok(text)) => files.insert(address, text),
                    Ok(Err(error)) => failed.insert(address, types::report(&error)),
                    Err(_) => failed.insert(address, format!("it took longer than {} s", GETTING.as_secs())),
                };
            }
            imported = read(wish.format, &wish.text, &files).await?;
        }
        for one in &mut imported {
            let words = one.fetch.iter().filter_map(|address| failed.get(address));
            let words: Vec<String> = words.map(|why| format!("not got: {why}")).collect();
            one.notes.extend(words);
        }
        Ok(imported)
    }
}

async fn read(format: Option<Format>, text: &str, files: &BTreeMap<String, String>) -> Result<Vec<Imported>> {
    let (text, files) = (text.to_owned(), files.clone());
    // A whole catalog of Portainer's is read in one go.
    let read = tokio::task::spawn_blocking(move || imports::import(format, &text, &files)).await;
    let read = read.map_err(|error| Error::internal("reading a template", error))?;
    read.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::invalid("text", lines.join("; "))
    })
}

async fn get(downloads: &Downloads, address: &str) -> Result<String> {
    let wrong = |why: &str| Error::invalid("fetch", format!("{address} {why}"));
    let url: Url = address.parse().map_err(|_| wrong("is no address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is not on the web"));
    }
    let bytes = downloads.get(&url, LARGEST).await?;
    String::from_utf8(bytes).map_err(|_| wrong("is not a text in UTF-8"))
}
