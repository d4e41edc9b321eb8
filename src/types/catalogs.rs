//! Catalogs of templates beside the one that comes with the program, and how a template is called.

use crate::{CatalogId, Error, GitRef, GitUrl, OrganizationId, RepoPath, Result, Sealed, Slug, Time};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};
use url::Url;

/// An organization's own catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    pub id: CatalogId,
    pub organization: OrganizationId,
    /// Stands before its templates' names: `acme:wiki`.
    pub name: Slug,
    pub place: CatalogPlace,
    /// Its publisher's public key (minisign, base64). With one, only what it signed is taken.
    pub key: Option<String>,
    pub read: Option<CatalogReading>,
    /// Why the last look failed; what was read before is kept.
    pub problem: Option<String>,
    pub looked_at: Option<Time>,
    pub created_at: Time,
}

/// Where a catalog comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CatalogPlace {
    /// Its templates were put in by hand.
    Own,
    /// A folder of a repository, with a folder for each template.
    Git {
        url: GitUrl,
        branch: Option<GitRef>,
        folder: RepoPath,
        user: Option<String>,
        password: Option<Sealed>,
    },
    /// The address of an `index.json`; the templates lie beside it.
    Web { url: Url },
}

/// What was read last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogReading {
    pub at: Time,
    /// The commit, or the index's SHA-256 in hex.
    pub version: String,
    pub templates: u32,
    /// When its publisher signed it, where it is signed and says so. What was signed before that is not taken any more.
    #[serde(default)]
    pub signed_at: Option<Time>,
    /// Templates that cannot be used, and why.
    pub left_out: Vec<(String, String)>,
}

/// The files of a catalog's templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogTexts {
    pub catalog: CatalogId,
    /// By the template's name: `template.yaml` and `compose.yaml`.
    pub texts: BTreeMap<String, (String, String)>,
}

/// `wordpress` of the catalog that comes with the program, `acme:wiki` of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateName {
    pub catalog: Option<Slug>,
    pub name: String,
}

impl FromStr for TemplateName {
    type Err = Error;
    fn from_str(text: &str) -> Result<TemplateName> {
        let (catalog, name) = match text.split_once(':') {
            Some((catalog, name)) => (Some(catalog.parse()?), name),
            None => (None, text),
        };
        Ok(TemplateName {
            catalog,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.catalog {
            Some(catalog) => write!(f, "{catalog}:{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_templates() {
        for text in ["wordpress", "acme:wiki"] {
            assert_eq!(text.parse::<TemplateName>().expect("it is right").to_string(), text);
        }
        for text in [":wiki", "Acme:wiki", "a/b:c"] {
            assert!(text.parse::<TemplateName>().is_err(), "{text}");
        }
    }
}
