//! How catalogs beside the program's own are kept, and their templates' files.

use crate::{Audited, Record, Told};
use types::{Catalog, CatalogTexts, Kind};

impl Record for Catalog {
    const KIND: Kind = Kind::Catalog;
    const TREE: &'static str = "catalogs";
    const VERSION: u8 = 1;
    /// Reading it again and again is nobody's doing.
    const AUDIT: Audited = Audited::when(Told::ByPeople);
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![format!("{}/{}", self.organization, self.name)]
    }
}

impl Record for CatalogTexts {
    const KIND: Kind = Kind::Catalog;
    const TREE: &'static str = "catalog_texts";
    const VERSION: u8 = 1;
    /// The catalog itself is told of, and the texts are long.
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.catalog.to_string()
    }
}
