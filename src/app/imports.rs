//! What other panels install from, turned into templates of ours.

use catalog::imports::{self, Format, Imported};
use std::collections::BTreeMap;
use types::{Action, Actor, Error, Result};

/// A template of somebody else's.
#[derive(Debug, Clone)]
pub struct ImportWish {
    /// `None`: it is recognised.
    pub format: Option<Format>,
    pub text: String,
    /// Files that belong to it, by name: the Compose file beside a Dokploy template.
    pub files: BTreeMap<String, String>,
}

/// Keeps nothing: what comes out is put into a catalog by whoever asked.
#[derive(Clone, Default)]
pub struct Imports;

impl Imports {
    /// Fails with `Invalid { field: "text" }` when it is of no format that is known, or cannot be read.
    pub async fn convert(&self, actor: &Actor, wish: ImportWish) -> Result<Vec<Imported>> {
        actor.may(Action::Configure)?;
        // A whole catalog of Portainer's is read in one go.
        let read = tokio::task::spawn_blocking(move || imports::import(wish.format, &wish.text, &wish.files)).await;
        let read = read.map_err(|error| Error::internal("reading a template", error))?;
        read.map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Error::invalid("text", lines.join("; "))
        })
    }
}
