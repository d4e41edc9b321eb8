//! Catalogs beside the one that comes with the program.

use crate::{
    Panel,
    answers::{Created, Done, Page, created, moment, page},
    failures::{Answer, Failure},
    signed::Signed,
    tags::Tag,
};
use app::NewPlace;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::{CatalogPlace, Secret};

/// A catalog of templates. Those that come with the program are in none.
#[derive(Debug, Object)]
pub struct Catalog {
    pub id: String,
    /// Stands before its templates' names: `acme:wiki`.
    pub name: String,
    pub kind: CatalogKind,
    /// Of the repository, or of the index.
    pub url: Option<String>,
    /// Null: the repository's default branch.
    pub branch: Option<String>,
    /// In the repository.
    pub folder: Option<String>,
    pub user: Option<String>,
    /// A password or token is kept for it.
    pub has_password: bool,
    /// Its publisher's public key; only what it signed is taken.
    pub key: Option<String>,
    /// How many can be installed.
    pub templates: u32,
    /// Templates that cannot be used.
    pub left_out: Vec<LeftOutTemplate>,
    /// The commit, or the hash of the index.
    pub version: Option<String>,
    /// When it was read last.
    pub read_at: Option<OffsetDateTime>,
    /// When its publisher signed what was read; what was signed earlier is refused.
    pub signed_at: Option<OffsetDateTime>,
    /// Why the last look failed; the templates are those from before.
    pub problem: Option<String>,
    pub created_at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CatalogKind {
    /// Filled by hand and by imports.
    Own,
    /// A folder of a repository, with a folder for each template.
    Git,
    /// An `index.json` with the templates beside it.
    Web,
}

/// A template that cannot be used, and why.
#[derive(Debug, Object)]
pub struct LeftOutTemplate {
    pub name: String,
    pub why: String,
}

/// A catalog to add.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CatalogCreate {
    /// Small letters, digits and `-`.
    pub name: String,
    pub kind: CatalogKind,
    /// For `git` the address of the repository, for `web` that of the index.
    pub url: Option<String>,
    /// Left out: the repository's default branch.
    pub branch: Option<String>,
    /// In the repository; left out: the top.
    pub folder: Option<String>,
    pub user: Option<String>,
    /// A password, or better a token that may only read.
    pub password: Option<String>,
    /// The publisher's public key (minisign): `index.json` must have its signature beside it, as `index.json.minisig`.
    pub key: Option<String>,
}

/// The two files of a template.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CatalogFiles {
    /// `template.yaml`.
    pub template: String,
    /// `compose.yaml`.
    pub compose: String,
}

impl From<types::Catalog> for Catalog {
    fn from(catalog: types::Catalog) -> Catalog {
        let mut made = Catalog {
            id: catalog.id.to_string(),
            name: catalog.name.to_string(),
            kind: CatalogKind::Own,
            url: None,
            branch: None,
            folder: None,
            user: None,
            has_password: false,
            key: catalog.key,
            templates: 0,
            left_out: Vec::new(),
            version: None,
            read_at: None,
            signed_at: None,
            problem: catalog.problem,
            created_at: moment(catalog.created_at),
        };
        match catalog.place {
            CatalogPlace::Own => {}
            CatalogPlace::Git {
                url,
                branch,
                folder,
                user,
                password,
            } => {
                made.kind = CatalogKind::Git;
                made.url = Some(url.to_string());
                made.branch = branch.map(|branch| branch.to_string());
                made.folder = Some(folder.to_string());
                made.user = user;
                made.has_password = password.is_some();
            }
            CatalogPlace::Web { url } => {
                made.kind = CatalogKind::Web;
                made.url = Some(url.to_string());
            }
        }
        if let Some(read) = catalog.read {
            made.templates = read.templates;
            made.version = Some(read.version).filter(|version| !version.is_empty());
            made.read_at = Some(moment(read.at));
            made.signed_at = read.signed_at.map(moment);
            let left_out = |(name, why)| LeftOutTemplate { name, why };
            made.left_out = read.left_out.into_iter().map(left_out).collect();
        }
        made
    }
}

fn place(body: &mut CatalogCreate) -> Result<NewPlace, Failure> {
    let missing = || types::Error::invalid("url", "is missing");
    Ok(match body.kind {
        CatalogKind::Own => NewPlace::Own,
        CatalogKind::Git => NewPlace::Git {
            url: body.url.as_deref().ok_or_else(missing)?.parse()?,
            branch: body
                .branch
                .as_deref()
                .filter(|branch| !branch.is_empty())
                .map(str::parse)
                .transpose()?,
            folder: body.folder.as_deref().unwrap_or(".").parse()?,
            user: body.user.take().filter(|user| !user.is_empty()),
            password: body.password.take().filter(|password| !password.is_empty()).map(Secret::from),
        },
        CatalogKind::Web => NewPlace::Web {
            url: body
                .url
                .as_deref()
                .ok_or_else(missing)?
                .parse()
                .map_err(|error| types::Error::invalid("url", format!("is no address: {error}")))?,
        },
    })
}

#[derive(Clone)]
pub(crate) struct CatalogsApi(pub Panel);

#[OpenApi(tag = "Tag::Catalog")]
impl CatalogsApi {
    /// List catalogs
    ///
    /// The one that comes with the program is not among them.
    #[oai(path = "/catalogs", method = "get", operation_id = "catalog_source_list")]
    async fn catalog_source_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Catalog>>> {
        let catalogs = self.0.catalogs.list(&who.actor).await?;
        page(catalogs, cursor.0.as_deref(), limit.0, |catalog| catalog.name.to_string())
    }

    /// Add a catalog
    ///
    /// It is read at once, and every few hours from then on. Nothing is kept when it cannot be read.
    #[oai(path = "/catalogs", method = "post", operation_id = "catalog_source_create")]
    async fn catalog_source_create(&self, who: Signed, body: Json<CatalogCreate>) -> Answer<Created<Catalog>> {
        let mut body = body.0;
        let wish = app::NewCatalog {
            place: place(&mut body)?,
            name: body.name.parse()?,
            key: body.key.filter(|key| !key.is_empty()),
        };
        Ok(created(self.0.catalogs.add(&who.actor, wish).await?))
    }

    /// Read a catalog now
    #[oai(path = "/catalogs/:name/refresh", method = "post", operation_id = "catalog_source_refresh")]
    async fn catalog_source_refresh(
        &self,
        who: Signed,
        /// Its name or id.
        name: Path<String>,
    ) -> Answer<Json<Catalog>> {
        Ok(Json(self.0.catalogs.refresh(&who.actor, &name.0).await?.into()))
    }

    /// Remove a catalog
    ///
    /// Apps that were installed from it stay as they are.
    #[oai(path = "/catalogs/:name", method = "delete", operation_id = "catalog_source_delete")]
    async fn catalog_source_delete(
        &self,
        who: Signed,
        /// Its name or id.
        name: Path<String>,
    ) -> Answer<Done> {
        self.0.catalogs.remove(&who.actor, &name.0).await?;
        Ok(Done::Done)
    }

    /// Put a template into a catalog of your own
    ///
    /// In place of the one of this name. Fails with what keeps it from being installed.
    #[oai(
        path = "/catalogs/:name/templates/:template",
        method = "put",
        operation_id = "catalog_template_put"
    )]
    async fn catalog_template_put(
        &self,
        who: Signed,
        /// The catalog's name or id.
        name: Path<String>,
        /// The template's name.
        template: Path<String>,
        body: Json<CatalogFiles>,
    ) -> Answer<Done> {
        let files = body.0;
        self.0
            .catalogs
            .put(&who.actor, &name.0, &template.0, files.template, files.compose)
            .await?;
        Ok(Done::Done)
    }

    /// Take a template out of a catalog of your own
    #[oai(
        path = "/catalogs/:name/templates/:template",
        method = "delete",
        operation_id = "catalog_template_delete"
    )]
    async fn catalog_template_delete(
        &self,
        who: Signed,
        /// The catalog's name or id.
        name: Path<String>,
        /// The template's name.
        template: Path<String>,
    ) -> Answer<Done> {
        self.0.catalogs.take(&who.actor, &name.0, &template.0).await?;
        Ok(Done::Done)
    }
}
