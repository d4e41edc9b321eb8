//! Catalogs beside the one that comes with the program: from Git, from the web, or filled by hand.

use crate::{
    catalog_reading::{Looked, look},
    ground::Ground,
    shelves::{MAX_TEXT, Shelves},
    sight::{of, owned},
};
use catalog::{Shelf, template::Finding};
use minisign_verify::PublicKey;
use std::{collections::BTreeMap, sync::Arc};
use store::Batch;
use types::{
    Action, Actor, Catalog, CatalogPlace, CatalogReading, CatalogTexts, Error, Fact, GitRef, GitUrl, Kind, RepoPath, Result, Secret, Slug,
    report,
};
use url::Url;

/// A catalog to add.
#[derive(Debug, Clone)]
pub struct NewCatalog {
    pub name: Slug,
    pub place: NewPlace,
    /// A minisign public key, in base64.
    pub key: Option<String>,
}

#[derive(Debug, Clone)]
pub enum NewPlace {
    Own,
    Git {
        url: GitUrl,
        branch: Option<GitRef>,
        folder: RepoPath,
        user: Option<String>,
        password: Option<Secret>,
    },
    Web {
        url: Url,
    },
}

#[derive(Clone)]
pub struct Catalogs {
    ground: Arc<Ground>,
    shelves: Shelves,
}

impl Catalogs {
    pub(crate) fn new(ground: Arc<Ground>, shelves: Shelves) -> Catalogs {
        Catalogs { ground, shelves }
    }

    /// By name.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Catalog>> {
        actor.may(Action::View)?;
        let mut found: Vec<_> = of(&self.ground, actor, self.ground.store.catalogs.list()?)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Keeps the catalog once it was read. Fails as reading it does, and with `Taken`.
    pub async fn add(&self, actor: &Actor, wish: NewCatalog) -> Result<Catalog> {
        actor.may(Action::Administer)?;
        let ground = &self.ground;
        if let Some(key) = &wish.key {
            PublicKey::from_base64(key).map_err(|error| Error::invalid("key", format!("is no public key of minisign: {error}")))?;
        }
        let claim = format!("{}/{}", actor.organization, wish.name);
        if ground.store.catalogs.claimed(&claim)?.is_some() {
            return Err(Error::Taken {
                kind: Kind::Catalog,
                name: wish.name.to_string(),
                by: None,
            });
        }
        let catalog = Catalog {
            id: ground.world.id(),
            organization: actor.organization.clone(),
            name: wish.name,
            place: self.place(actor, wish.place, wish.key.is_some())?,
            key: wish.key,
            read: None,
            problem: None,
            looked_at: None,
            created_at: ground.world.now(),
        };
        let looked = match catalog.place {
            CatalogPlace::Own => Looked::default(),
            _ => look(ground, &catalog).await?,
        };
        let mut catalog = catalog;
        let (reading, texts) = judged(ground, &catalog, looked);
        catalog.looked_at = Some(reading.at);
        catalog.read = Some(reading);
        let batch = Batch::new().insert(texts).insert(catalog.clone());
        ground.store.commit(batch).await?;
        let name = catalog.name.to_string();
        ground.events.emit(actor, Fact::CatalogAdded { name }).await;
        Ok(catalog)
    }

    fn place(&self, actor: &Actor, place: NewPlace, signed: bool) -> Result<CatalogPlace> {
        Ok(match place {
            NewPlace::Own => CatalogPlace::Own,
            NewPlace::Git {
                url,
                branch,
                folder,
                user,
                password,
            } => {
                if url.is_local() {
                    actor.may(Action::UseLocalPaths)?;
                }
                if url.is_ssh() {
                    return Err(Error::invalid(
                        "url",
                        "must be an https address; private ones take a user and a token",
                    ));
                }
                let password = password.map(|password| {
                    self.ground.redactor.learn(&actor.organization, &password);
                    self.ground.store.seal(&password)
                });
                CatalogPlace::Git {
                    url,
                    branch,
                    folder,
                    user,
                    password: password.transpose()?,
                }
            }
            NewPlace::Web { url } => {
                if !url.path().ends_with(".json") {
                    return Err(Error::invalid(
                        "url",
                        "must be the address of an index.json, as `serverkit catalog source index` writes it",
                    ));
                }
                // What is signed cannot be changed on its way.
                if url.scheme() != "https" && !(url.scheme() == "http" && signed) {
                    return Err(Error::invalid(
                        "url",
                        "must begin with https://; http:// is for catalogs with a key",
                    ));
                }
                CatalogPlace::Web { url }
            }
        })
    }

    /// Reads it anew, now.
    pub async fn refresh(&self, actor: &Actor, called: &str) -> Result<Catalog> {
        actor.may(Action::Configure)?;
        let catalog = self.find(actor, called)?;
        if catalog.place == CatalogPlace::Own {
            return Err(Error::busy("this catalog is filled by hand; there is nothing to read"));
        }
        read_again(&self.ground, &catalog).await?;
        self.shelves.forget(&catalog.id);
        self.find(actor, called)
    }

    /// Apps that were installed from it stay as they are.
    pub async fn remove(&self, actor: &Actor, called: &str) -> Result<()> {
        actor.may(Action::Administer)?;
        let found = self.find(actor, called)?;
        let store = &self.ground.store;
        let mut batch = Batch::new().remove(&store.catalogs.get(found.id.as_str())?);
        if let Some(texts) = store.catalog_texts.find(found.id.as_str())? {
            batch = batch.remove(&texts);
        }
        store.commit(batch).await?;
        self.shelves.forget(&found.id);
        let name = found.name.to_string();
        self.ground.events.emit(actor, Fact::CatalogRemoved { name }).await;
        Ok(())
    }

    /// Puts a template into a catalog that is filled by hand, in place of the one with its name. Fails with the first rule
    /// that it breaks.
    pub async fn put(&self, actor: &Actor, called: &str, name: &str, template: String, compose: String) -> Result<()> {
        actor.may(Action::Configure)?;
        let catalog = self.own(actor, called)?;
        for (field, text) in [("template", &template), ("compose", &compose)] {
            if text.len() > MAX_TEXT {
                return Err(Error::invalid(field, format!("is larger than {} KiB", MAX_TEXT >> 10)));
            }
        }
        let texts = BTreeMap::from([(name.to_owned(), (template, compose))]);
        let (_, broken) = Shelf::of_texts(texts.clone());
        if let Some(findings) = broken.get(name) {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            return Err(Error::invalid("template", lines.join("; ")));
        }
        self.change(&catalog, move |own| own.extend(texts.clone())).await?;
        self.told(actor, &catalog, format!("put {name}")).await;
        Ok(())
    }

    /// Takes a template out of a catalog that is filled by hand.
    pub async fn take(&self, actor: &Actor, called: &str, name: &str) -> Result<()> {
        actor.may(Action::Configure)?;
        let catalog = self.own(actor, called)?;
        let there = self.ground.store.catalog_texts.find(catalog.id.as_str())?;
        if there.is_none_or(|there| !there.texts.contains_key(name)) {
            return Err(Error::not_found(Kind::Template, name));
        }
        let gone = name.to_owned();
        self.change(&catalog, move |own| drop(own.remove(&gone))).await?;
        self.told(actor, &catalog, format!("removed {name}")).await;
        Ok(())
    }

    async fn change(&self, catalog: &Catalog, change: impl Fn(&mut BTreeMap<String, (String, String)>)) -> Result<()> {
        let store = &self.ground.store;
        let mut texts = store.catalog_texts.get(catalog.id.as_str())?;
        change(&mut texts.value.texts);
        let mut record = store.catalogs.get(catalog.id.as_str())?;
        let looked = Looked {
            version: String::new(),
            texts: texts.texts.clone(),
            ..Looked::default()
        };
        record.read = Some(judged(&self.ground, catalog, looked).0);
        store.commit(Batch::new().save(texts).save(record)).await?;
        self.shelves.forget(&catalog.id);
        Ok(())
    }

    async fn told(&self, actor: &Actor, catalog: &Catalog, what: String) {
        let name = catalog.name.to_string();
        self.ground.events.emit(actor, Fact::CatalogChanged { name, what }).await;
    }

    fn own(&self, actor: &Actor, called: &str) -> Result<Catalog> {
        let catalog = self.find(actor, called)?;
        match catalog.place {
            CatalogPlace::Own => Ok(catalog),
            _ => Err(Error::busy(format!("`{}` is read from elsewhere; change it there", catalog.name))),
        }
    }

    fn find(&self, actor: &Actor, called: &str) -> Result<Catalog> {
        let store = &self.ground.store;
        if let Some(found) = store.catalogs.claimed(&format!("{}/{called}", actor.organization))? {
            return Ok(found.value);
        }
        owned(
            &self.ground,
            actor,
            Action::View,
            store.catalogs.find(called)?,
            Kind::Catalog,
            called,
        )
    }
}

/// What was read, without what cannot be used.
pub(crate) fn judged(ground: &Ground, catalog: &Catalog, looked: Looked) -> (CatalogReading, CatalogTexts) {
    let (shelf, broken) = Shelf::of_texts(looked.texts.clone());
    let first = |(name, findings): (String, Vec<Finding>)| (name, findings.first().map(ToString::to_string).unwrap_or_default());
    let left_out = looked.broken.into_iter().chain(broken).map(first).collect();
    let texts = looked.texts.into_iter().filter(|(name, _)| shelf.get(name).is_some()).collect();
    let reading = CatalogReading {
        at: ground.world.now(),
        version: looked.version,
        templates: u32::try_from(shelf.len()).unwrap_or(u32::MAX),
        signed_at: looked.signed_at,
        left_out,
    };
    let texts = CatalogTexts {
        catalog: catalog.id.clone(),
        texts,
    };
    (reading, texts)
}

/// Looks, and keeps what was found, or why nothing was. The old templates stay when it fails.
pub(crate) async fn read_again(ground: &Ground, catalog: &Catalog) -> Result<()> {
    let looked = look(ground, catalog).await;
    let store = &ground.store;
    let now = ground.world.now();
    let problem = match looked {
        Ok(looked) => {
            let (reading, texts) = judged(ground, catalog, looked);
            let mut record = store.catalogs.get(catalog.id.as_str())?;
            let mut kept = store.catalog_texts.get(catalog.id.as_str())?;
            record.looked_at = Some(now);
            record.problem = None;
            record.read = Some(reading);
            let mut batch = Batch::new().save(record);
            if kept.value != texts {
                kept.value = texts;
                batch = batch.save(kept);
            }
            store.commit(batch).await?;
            return Ok(());
        }
        Err(error) => error,
    };
    let words = ground.redactor.redact_for(&catalog.organization, &report(&problem)).into_owned();
    let note = |record: &mut Catalog| {
        record.looked_at = Some(now);
        record.problem = Some(words.clone());
        Ok(())
    };
    store.catalogs.update(catalog.id.as_str(), note).await?;
    Err(problem)
}
