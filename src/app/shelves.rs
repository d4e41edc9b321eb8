//! All templates that an organization can install: those of the program, and those of its own catalogs, unpacked once.

use crate::ground::Ground;
use catalog::{Entry, Shelf};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};
use types::{Actor, Catalog, CatalogId, Error, Kind, Result, TemplateName};

/// Longest file of a template, in bytes.
pub const MAX_TEXT: usize = 256 << 10;
/// All files of a catalog together, in bytes.
pub const MAX_CATALOG: usize = 8 << 20;

#[derive(Clone)]
pub(crate) struct Shelves {
    ground: Arc<Ground>,
    /// Unpacked when it is first asked for.
    embedded: Arc<OnceLock<Arc<Shelf>>>,
    others: Arc<Mutex<HashMap<CatalogId, Arc<Shelf>>>>,
}

impl Shelves {
    pub fn new(ground: Arc<Ground>) -> Shelves {
        Shelves {
            ground,
            embedded: Arc::default(),
            others: Arc::default(),
        }
    }

    /// Unpacks the program's own catalog where it is not yet: reading it takes longer than a request may keep others waiting.
    pub async fn ready(&self) -> Result<()> {
        if self.embedded.get().is_some() {
            return Ok(());
        }
        let shelves = self.clone();
        let read = tokio::task::spawn_blocking(move || shelves.embedded()).await;
        read.map_err(|error| Error::internal("unpacking the catalog", error))?.map(drop)
    }

    fn embedded(&self) -> Result<Arc<Shelf>> {
        if let Some(shelf) = self.embedded.get() {
            return Ok(shelf.clone());
        }
        let read = Arc::new(Shelf::embedded()?);
        Ok(self.embedded.get_or_init(|| read).clone())
    }

    /// The program's own first, then those of other catalogs; each with its name.
    pub fn all(&self, actor: &Actor) -> Result<Vec<(TemplateName, Arc<Entry>)>> {
        let embedded = self.embedded()?;
        let mut found = named(None, &embedded);
        let mut catalogs: Vec<Catalog> = {
            let all = self.ground.store.catalogs.list()?.into_iter().map(|stored| stored.value);
            all.filter(|catalog| catalog.organization == actor.organization).collect()
        };
        catalogs.sort_by(|a, b| a.name.cmp(&b.name));
        for catalog in catalogs {
            let shelf = self.of(&catalog)?;
            found.extend(named(Some(&catalog), &shelf));
        }
        Ok(found)
    }

    /// Fails with `NotFound`.
    pub fn entry(&self, actor: &Actor, name: &TemplateName) -> Result<Arc<Entry>> {
        let missing = || Error::not_found(Kind::Template, name);
        let shelf = match &name.catalog {
            None => self.embedded()?,
            Some(own) => {
                let claim = format!("{}/{own}", actor.organization);
                let catalog = self.ground.store.catalogs.claimed(&claim)?.ok_or_else(missing)?;
                self.of(&catalog)?
            }
        };
        shelf.get(&name.name).cloned().ok_or_else(missing)
    }

    fn of(&self, catalog: &Catalog) -> Result<Arc<Shelf>> {
        let mut others = self.others.lock().expect("no panic under this lock");
        if let Some(shelf) = others.get(&catalog.id) {
            return Ok(shelf.clone());
        }
        let texts = self.ground.store.catalog_texts.find(catalog.id.as_str())?;
        let texts = texts.map(|stored| stored.value.texts).unwrap_or_default();
        // What does not fit was left out when it came.
        let (shelf, _) = Shelf::of_texts(texts);
        let shelf = Arc::new(shelf);
        others.insert(catalog.id.clone(), shelf.clone());
        Ok(shelf)
    }

    /// Its templates are others now.
    pub fn forget(&self, catalog: &CatalogId) {
        self.others.lock().expect("no panic under this lock").remove(catalog);
    }
}

fn named(catalog: Option<&Catalog>, shelf: &Shelf) -> Vec<(TemplateName, Arc<Entry>)> {
    let name = |entry: &Arc<Entry>| TemplateName {
        catalog: catalog.map(|catalog| catalog.name.clone()),
        name: entry.template.name.clone(),
    };
    shelf.list().map(|entry| (name(entry), entry.clone())).collect()
}
