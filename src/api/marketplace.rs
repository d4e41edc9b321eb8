//! The marketplace: templates of the catalog, and apps made from them.

use crate::{
    Panel,
    answers::{Created, Page, created, page},
    apps::{App, Limits},
    failures::{Answer, Failure},
    signed::Signed,
    stacks::{ComposeRight, PlannedService},
    tags::Tag,
};
use app::template::{Asked, AskedKind, Backup, Template};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Any,
};
use std::collections::BTreeMap;

/// A template of the catalog, to choose from.
#[derive(Debug, Object)]
pub struct CatalogEntry {
    /// `wordpress`, or `acme:wiki` from the catalog `acme`.
    pub name: String,
    /// Null: it comes with the program.
    pub catalog: Option<String>,
    pub title: String,
    /// Of what is installed, then the template's own revision.
    pub version: String,
    pub description: String,
    /// One or two letters, and their colour.
    pub icon_text: String,
    pub icon_color: String,
    pub categories: Vec<String>,
    pub tags: Vec<String>,
    pub memory_mb: u32,
    pub disk_mb: u32,
    /// Apps that were made from it.
    pub installed: Vec<InstalledApp>,
}

/// An app that was made from a template.
#[derive(Debug, Object)]
pub struct InstalledApp {
    pub app: String,
    pub version: String,
    /// Which of the versions that the template offers, such as `17`; null: there was nothing to choose.
    pub chosen: Option<String>,
    /// The catalog has another version.
    pub outdated: bool,
}

/// Everything about a template.
#[derive(Debug, Object)]
pub struct CatalogDetail {
    pub entry: CatalogEntry,
    /// Paragraphs and lists, as Markdown.
    pub details: String,
    pub website: Option<String>,
    pub documentation: Option<String>,
    pub source: Option<String>,
    pub licence: String,
    /// What differs from how the project itself sets it up.
    pub differs: Option<String>,
    pub upgrade_notes: Option<String>,
    /// It answers HTTP, so a domain leads to it; else other apps of its environment reach it by the app's name.
    pub web: bool,
    /// Versions to choose from, the usual one first; empty: there is one only.
    pub versions: Vec<CatalogVersion>,
    /// The main service's.
    pub port: u16,
    /// What it asks, in the order of the form; then a domain for each of its further ports, which may be left empty.
    pub variables: Vec<CatalogVariable>,
    pub services: Vec<PlannedService>,
    /// Further web ports, each of which may get a domain.
    pub also: Vec<CatalogPort>,
    /// What is worth backing up.
    pub backup: Vec<String>,
    /// Rights on the host that it cannot do without.
    pub rights: Vec<String>,
    /// The Compose file of the usual version, with `{{ name }}` for variables.
    pub compose: String,
    /// A name that is free.
    pub suggested_name: String,
    /// Under which it would be reached unless another is given.
    pub suggested_domain: Option<String>,
    /// Of its main service.
    pub size: CatalogSize,
}

/// A version of what a template installs.
#[derive(Debug, Object)]
pub struct CatalogVersion {
    /// Such as `17`.
    pub name: String,
    /// How long it is supported, or who should take it.
    pub notes: Option<String>,
    /// Of the main service.
    pub image: String,
    /// Versions whose data it can go on with: apps of these can be updated to it.
    pub takes_over: Vec<String>,
}

/// How large the main service of a template is.
#[derive(Debug, Object)]
pub struct CatalogSize {
    pub service: String,
    /// What it may use unless something else is given.
    pub usual: Limits,
    /// Less is refused.
    pub least_memory_bytes: u64,
}

/// A web port beside the main one.
#[derive(Debug, Object)]
pub struct CatalogPort {
    pub service: String,
    pub port: u16,
    pub title: String,
}

/// A variable of a template.
#[derive(Debug, Object)]
pub struct CatalogVariable {
    pub name: String,
    pub kind: CatalogVariableKind,
    pub title: String,
    pub description: Option<String>,
    /// A value has to be given.
    pub required: bool,
    pub default: Option<String>,
    /// Of an `enum`.
    pub options: Vec<String>,
    /// A regular expression that the whole value fits.
    pub pattern: Option<String>,
    /// Of a `boolean`: only `true` will do, as for a licence.
    pub must_accept: bool,
    /// A value is made up where none is given.
    pub generated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CatalogVariableKind {
    Domain,
    /// Generated unless given.
    Secret,
    /// Generated unless typed; shown once.
    Password,
    Mail,
    Enum,
    Boolean,
    Port,
    Text,
}

/// How to install a template.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CatalogInstall {
    /// The app's name; left out: the template's, with a number where it is taken.
    pub name: Option<String>,
    /// Id or name; left out: the first one.
    pub project: Option<String>,
    /// Id or name; left out: the project's first one.
    pub environment: Option<String>,
    /// By the names of the template's variables; what is left out is generated or has its default.
    pub values: Option<BTreeMap<String, String>>,
    /// One of the template's `versions`; left out: the first.
    pub version: Option<String>,
    /// Of the main service; left out: the template's.
    pub limits: Option<CatalogLimits>,
}

/// What the main service may use. What is left out is the template's.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CatalogLimits {
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u32>,
}

/// What installing would do.
#[derive(Debug, Object)]
pub struct CatalogPlan {
    pub name: String,
    /// Which of the template's versions; null: there is nothing to choose.
    pub chosen: Option<String>,
    pub domain: Option<String>,
    /// Those that lead to its further ports.
    pub further_domains: Vec<PlannedDomain>,
    pub services: Vec<PlannedService>,
    pub volumes: Vec<String>,
    /// None when all services share one.
    pub networks: Vec<PlannedNetwork>,
    /// Ports of the server that are opened.
    pub ports: Vec<PlannedPort>,
    /// Variables whose value is made up.
    pub generated: Vec<String>,
    /// The sum of what its services may use.
    pub memory_bytes: u64,
    /// What reaches the host: an administrator must install it.
    pub rights: Vec<ComposeRight>,
    /// In words: an account that everybody knows, and what the server has too little of, for who may see it. It can be installed nevertheless.
    pub warnings: Vec<String>,
}

/// A domain that leads to a further port of a service.
#[derive(Debug, Object)]
pub struct PlannedDomain {
    /// A name, or `*.` and a name.
    pub host: String,
    pub service: String,
    pub port: u16,
}

/// A network of the file.
#[derive(Debug, Object)]
pub struct PlannedNetwork {
    pub name: String,
    /// It has no way out.
    pub internal: bool,
}

/// A port of the server that leads to a service.
#[derive(Debug, Object)]
pub struct PlannedPort {
    /// Such as `tcp/22`.
    pub listen: String,
    pub service: String,
    pub port: u16,
}

/// A hint for the first sign-in.
#[derive(Debug, Object)]
pub struct FirstLogin {
    pub text: String,
}

impl From<app::TemplateView> for CatalogEntry {
    fn from(view: app::TemplateView) -> CatalogEntry {
        let Template { version, icon, needs, .. } = &view.entry.template;
        let installed = view.installed.into_iter().map(|one| InstalledApp {
            app: one.app.to_string(),
            outdated: one.version != *version,
            version: one.version,
            chosen: one.choice,
        });
        let template = &view.entry.template;
        CatalogEntry {
            installed: installed.collect(),
            catalog: view.name.catalog.as_ref().map(ToString::to_string),
            name: view.name.to_string(),
            title: template.title.clone(),
            version: version.clone(),
            description: template.description.clone(),
            icon_text: icon.text.clone(),
            icon_color: icon.color.clone(),
            categories: template.categories.clone(),
            tags: template.tags.clone(),
            memory_mb: needs.memory_mb,
            disk_mb: needs.disk_mb,
        }
    }
}

impl From<&Asked> for CatalogVariable {
    fn from(asked: &Asked) -> CatalogVariable {
        CatalogVariable {
            name: asked.name.clone(),
            kind: match asked.kind {
                AskedKind::Domain => CatalogVariableKind::Domain,
                AskedKind::Secret => CatalogVariableKind::Secret,
                AskedKind::Password => CatalogVariableKind::Password,
                AskedKind::Mail => CatalogVariableKind::Mail,
                AskedKind::Enum => CatalogVariableKind::Enum,
                AskedKind::Boolean => CatalogVariableKind::Boolean,
                AskedKind::Port => CatalogVariableKind::Port,
                AskedKind::Text => CatalogVariableKind::Text,
            },
            title: asked.title.clone().unwrap_or_else(|| asked.name.clone()),
            description: asked.description.clone(),
            required: !asked.is_optional(),
            default: asked.default_text(),
            options: asked.options.clone(),
            pattern: asked.pattern.clone(),
            must_accept: asked.must_accept,
            generated: asked.is_generated(),
        }
    }
}

/// A domain that a further port may get.
impl From<&app::FurtherPort> for CatalogVariable {
    fn from(further: &app::FurtherPort) -> CatalogVariable {
        let also = &further.also;
        let such = further
            .suggested
            .as_ref()
            .map(|host| format!(", such as {host}"))
            .unwrap_or_default();
        CatalogVariable {
            name: also.variable(),
            kind: CatalogVariableKind::Domain,
            title: format!("Domain: {}", also.title),
            description: Some(format!("Leads to {}:{}{such}. Left empty, nothing does.", also.service, also.port)),
            required: false,
            default: None,
            options: Vec::new(),
            pattern: None,
            must_accept: false,
            generated: false,
        }
    }
}

impl From<(app::template::Version, String)> for CatalogVersion {
    fn from((version, image): (app::template::Version, String)) -> CatalogVersion {
        CatalogVersion {
            name: version.name,
            notes: version.notes,
            image,
            takes_over: version.takes_over,
        }
    }
}

impl From<app::TemplateDetail> for CatalogDetail {
    fn from(detail: app::TemplateDetail) -> CatalogDetail {
        let shown = detail.view.entry.clone();
        let template = &shown.template;
        let links = template.links.clone();
        let kept = |backup: &Backup| {
            let place = backup.volume.clone().or_else(|| backup.service.clone()).unwrap_or_default();
            backup.title.clone().unwrap_or(place)
        };
        CatalogDetail {
            details: template.details.clone(),
            website: links.website,
            documentation: links.documentation,
            source: links.source,
            licence: template.licence.clone(),
            differs: template.differs.clone(),
            upgrade_notes: template.upgrade_notes.clone(),
            web: template.main.web,
            versions: detail.versions.into_iter().map(CatalogVersion::from).collect(),
            port: template.main.port,
            variables: template
                .variables
                .iter()
                .map(CatalogVariable::from)
                .chain(detail.further.iter().map(CatalogVariable::from))
                .collect(),
            also: template
                .also
                .iter()
                .map(|also| CatalogPort {
                    service: also.service.clone(),
                    port: also.port,
                    title: also.title.clone(),
                })
                .collect(),
            backup: template.backup.iter().map(kept).collect(),
            rights: template.rights.clone(),
            services: detail.services.into_iter().map(PlannedService::from).collect(),
            compose: detail.compose,
            suggested_name: detail.suggested.to_string(),
            suggested_domain: detail.domain.map(|host| host.to_string()),
            size: CatalogSize {
                service: detail.size.service,
                usual: detail.size.usual.into(),
                least_memory_bytes: detail.size.least_memory_bytes,
            },
            entry: detail.view.into(),
        }
    }
}

impl From<app::InstallPlan> for CatalogPlan {
    fn from(plan: app::InstallPlan) -> CatalogPlan {
        let port = |(listen, service, port): (types::StreamPort, String, u16)| PlannedPort {
            listen: listen.to_string(),
            service,
            port,
        };
        let domain = |further: app::FurtherDomain| PlannedDomain {
            host: further.host.to_string(),
            service: further.place.service,
            port: further.place.port,
        };
        let network = |(name, internal): (String, bool)| PlannedNetwork { name, internal };
        CatalogPlan {
            name: plan.name.to_string(),
            chosen: plan.choice,
            domain: plan.domain.map(|host| host.to_string()),
            further_domains: plan.further.into_iter().map(domain).collect(),
            services: plan.services.into_iter().map(PlannedService::from).collect(),
            volumes: plan.volumes,
            networks: plan.networks.into_iter().map(network).collect(),
            ports: plan.ports.into_iter().map(port).collect(),
            generated: plan.generated,
            memory_bytes: plan.memory_bytes,
            rights: plan.rights.into_iter().map(ComposeRight::from).collect(),
            warnings: plan.warnings,
        }
    }
}

fn wish(template: String, body: CatalogInstall) -> Result<app::InstallWish, Failure> {
    let name = body.name.filter(|name| !name.is_empty());
    Ok(app::InstallWish {
        template,
        name: name.map(|name| name.parse()).transpose()?,
        project: body.project,
        environment: body.environment,
        values: body.values.unwrap_or_default(),
        version: body.version.filter(|version| !version.is_empty()),
        size: app::Size {
            memory_bytes: body.limits.as_ref().and_then(|limits| limits.memory_bytes),
            cpu_millis: body.limits.as_ref().and_then(|limits| limits.cpu_millis),
        },
    })
}

#[derive(Clone)]
pub(crate) struct MarketplaceApi(pub Panel);

#[OpenApi(tag = "Tag::Catalog")]
impl MarketplaceApi {
    /// List the catalog
    #[oai(path = "/catalog", method = "get", operation_id = "catalog_list")]
    async fn catalog_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<CatalogEntry>>> {
        let templates = self.0.marketplace.list(&who.actor).await?;
        page(templates, cursor.0.as_deref(), limit.0, |view| view.name.to_string())
    }

    /// Read the JSON Schema of templates
    ///
    /// Of `template.yaml`, for editors and for whoever keeps a catalog. It says nothing of this panel, and editors cannot sign in: it is
    /// open to everybody.
    #[oai(path = "/catalog/schema", method = "get", operation_id = "catalog_schema")]
    async fn catalog_schema(&self) -> Answer<Json<Any<serde_json::Value>>> {
        Ok(Json(Any(app::template::schema())))
    }

    /// Show a template
    #[oai(path = "/catalog/:name", method = "get", operation_id = "catalog_show")]
    async fn catalog_show(
        &self,
        who: Signed,
        /// Its name.
        name: Path<String>,
    ) -> Answer<Json<CatalogDetail>> {
        Ok(Json(self.0.marketplace.get(&who.actor, &name.0).await?.into()))
    }

    /// Plan an installation
    ///
    /// Nothing is made. Fails as installing would: with the value that does not fit, with what is taken, or with the right that is missing.
    #[oai(path = "/catalog/:name/plan", method = "post", operation_id = "catalog_plan")]
    async fn catalog_plan(
        &self,
        who: Signed,
        /// The template's name.
        name: Path<String>,
        body: Json<CatalogInstall>,
    ) -> Answer<Json<CatalogPlan>> {
        let wish = wish(name.0, body.0)?;
        Ok(Json(self.0.marketplace.plan(&who.actor, wish).await?.into()))
    }

    /// Install a template
    ///
    /// Makes the app with its domain, volumes and variables, and asks for its first deployment.
    #[oai(path = "/catalog/:name/install", method = "post", operation_id = "catalog_install")]
    async fn catalog_install(
        &self,
        who: Signed,
        /// The template's name.
        name: Path<String>,
        body: Json<CatalogInstall>,
    ) -> Answer<Created<App>> {
        let wish = wish(name.0, body.0)?;
        Ok(created(self.0.marketplace.install(&who.actor, wish).await?))
    }

    /// Read the hint for the first sign-in
    ///
    /// Passwords are in it, so it is told once.
    #[oai(path = "/apps/:app/first-login", method = "post", operation_id = "app_first_login")]
    async fn app_first_login(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<FirstLogin>> {
        let text = self.0.marketplace.first_login(&who.actor, &app.0).await?;
        Ok(Json(FirstLogin { text }))
    }
}
