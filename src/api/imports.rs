//! Templates of other panels.

use crate::{Panel, failures::Answer, signed::Signed, tags::Tag};
use app::ImportFormat as Format;
use poem_openapi::{Enum, Object, OpenApi, payload::Json};
use std::collections::BTreeMap;

/// A template of another panel.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CatalogImport {
    /// Left out: it is recognised.
    pub format: Option<CatalogFormat>,
    /// What its file says.
    pub text: Option<String>,
    /// Where its file lies, in place of `text`: an address on the web.
    pub url: Option<String>,
    /// Files that belong to it, by name or address: `docker-compose.yml` beside a Dokploy template. Under `name`: what it
    /// is to be called.
    pub files: Option<BTreeMap<String, String>>,
    /// Let the panel get what lies elsewhere and is not among `files`.
    pub fetch: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CatalogFormat {
    Portainer,
    Caprover,
    Coolify,
    Dokploy,
}

/// What a template of another panel comes to here.
#[derive(Debug, Object)]
pub struct ImportedTemplate {
    pub name: String,
    pub title: String,
    /// `template.yaml`.
    pub template: String,
    /// `compose.yaml`.
    pub compose: String,
    /// What differs from how it was there, and what is guessed.
    pub notes: Vec<String>,
    /// Addresses whose texts it needs first: send them in `files`, by address, or ask for `fetch`.
    pub fetch: Vec<String>,
    /// What keeps it from being carried over; it has no files then.
    pub problems: Vec<String>,
}

/// What came of an import.
#[derive(Debug, Object)]
pub struct CatalogImported {
    pub templates: Vec<ImportedTemplate>,
}

#[derive(Clone)]
pub(crate) struct ImportsApi(pub Panel);

#[OpenApi(tag = "Tag::Catalog")]
impl ImportsApi {
    /// Turn another panel's template into one of this
    ///
    /// Of Portainer, CapRover, Coolify or Dokploy. Nothing is kept: look at it, then put it into a catalog of your own.
    #[oai(path = "/catalog-imports", method = "post", operation_id = "catalog_import")]
    async fn catalog_import(&self, who: Signed, body: Json<CatalogImport>) -> Answer<Json<CatalogImported>> {
        let wish = app::ImportWish {
            format: body.0.format.map(|format| match format {
                CatalogFormat::Portainer => Format::Portainer,
                CatalogFormat::Caprover => Format::Caprover,
                CatalogFormat::Coolify => Format::Coolify,
                CatalogFormat::Dokploy => Format::Dokploy,
            }),
            text: body.0.text.filter(|text| !text.is_empty()),
            url: body.0.url.filter(|url| !url.is_empty()),
            files: body.0.files.unwrap_or_default(),
            fetch: body.0.fetch.unwrap_or(false),
        };
        let imported = self.0.imports.convert(&who.actor, wish).await?;
        let templates = imported.into_iter().map(|one| ImportedTemplate {
            name: one.name,
            title: one.title,
            template: one.template,
            compose: one.compose,
            notes: one.notes,
            fetch: one.fetch,
            problems: one.problems,
        });
        Ok(Json(CatalogImported {
            templates: templates.collect(),
        }))
    }
}
