//! What other panels install from, turned into templates of ours.

use crate::ground::Ground;
use catalog::imports::{self, Format, Imported};
use source::Downloads;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use types::{Action, Actor, Error, Result};
use url::Url;

/// Texts that are got for one import, how large each may be, and how long all of it may take.
const MOST: usize = 40;
const LARGEST: usize = 1 << 20;
/// How large what is imported may be: some lists of Portainer's hold hundreds of templates.
const LARGEST_LIST: usize = 4 << 20;
const GETTING: Duration = Duration::from_secs(90);
/// Beside `template.toml` of Dokploy's.
const COMPOSE_BESIDE: &str = "docker-compose.yml";
/// What was got may name more.
const ROUNDS: usize = 3;

/// A template of somebody else's.
#[derive(Debug, Clone)]
pub struct ImportWish {
    /// `None`: it is recognised.
    pub format: Option<Format>,
    pub text: Option<String>,
    /// Where the text lies, in place of it.
    pub url: Option<String>,
    /// Files that belong to it, by name: the Compose file beside a Dokploy template. Or by address, what lies elsewhere.
    pub files: BTreeMap<String, String>,
    /// Get what lies elsewhere and is not among `files`.
    pub fetch: bool,
}

/// Keeps nothing: what comes out is put into a catalog by whoever asked.
#[derive(Clone)]
pub struct Imports {
    ground: Arc<Ground>,
}

impl Imports {
    pub(crate) fn new(ground: Arc<Ground>) -> Imports {
        Imports { ground }
    }

    /// Fails with `Invalid { field: "url" }` when nothing can be got there, with `Invalid { field: "text" }` when it is of no format
    /// that is known, or cannot be read. What it needs from elsewhere and cannot be got is told with the template that needs it.
    pub async fn convert(&self, actor: &Actor, wish: ImportWish) -> Result<Vec<Imported>> {
        actor.may_somewhere(Action::Configure)?;
        let downloads = Downloads::new(&self.ground.egress(&actor.organization)?)?;
        let mut files = wish.files;
        let until = Instant::now() + GETTING;
        let text = match (wish.text, wish.url) {
            (Some(text), None) => text,
            (None, Some(url)) => {
                let got = tokio::time::timeout_at(until, whole(&downloads, &url, &mut files)).await;
                got.map_err(|_| Error::invalid("url", format!("{url} took longer than {} s", GETTING.as_secs())))??
            }
            _ => return Err(Error::invalid("url", "give either `text` or `url`")),
        };
        let mut imported = read(wish.format, &text, &files).await?;
        if !wish.fetch {
            return Ok(imported);
        }
        let mut failed: BTreeMap<String, String> = BTreeMap::new();
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
                match tokio::time::timeout_at(until, get(&downloads, "fetch", &address, LARGEST)).await {
                    Ok(Ok(text)) => files.insert(address, text),
                    Ok(Err(error)) => failed.insert(address, types::report(&error)),
                    Err(_) => failed.insert(address, format!("it took longer than {} s", GETTING.as_secs())),
                };
            }
            imported = read(wish.format, &text, &files).await?;
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

/// The text at an address; with the Compose file beside a `template.toml`, which is half a template of Dokploy's.
async fn whole(downloads: &Downloads, address: &str, files: &mut BTreeMap<String, String>) -> Result<String> {
    let text = match get(downloads, "url", address, LARGEST_LIST).await {
        Ok(text) => text,
        Err(error @ Error::Invalid { .. }) => return Err(error),
        Err(error) => return Err(Error::invalid("url", types::report(&error))),
    };
    if text.trim_start().to_ascii_lowercase().starts_with("<!doctype html") {
        return Err(Error::invalid(
            "url",
            format!("{address} is a page for people; give the address of the file itself"),
        ));
    }
    let beside = match address.strip_suffix("/template.toml") {
        Some(folder) if !files.contains_key(COMPOSE_BESIDE) => format!("{folder}/{COMPOSE_BESIDE}"),
        _ => return Ok(text),
    };
    // When it is not there, the reading says what is missing.
    if let Ok(compose) = get(downloads, "url", &beside, LARGEST).await {
        files.insert(COMPOSE_BESIDE.to_owned(), compose);
    }
    Ok(text)
}

async fn get(downloads: &Downloads, field: &str, address: &str, most: usize) -> Result<String> {
    let wrong = |why: &str| Error::invalid(field, format!("{address} {why}"));
    let url: Url = address.parse().map_err(|_| wrong("is no address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is not on the web"));
    }
    let bytes = downloads.get(&url, most).await?;
    String::from_utf8(bytes).map_err(|_| wrong("is not a text in UTF-8"))
}
