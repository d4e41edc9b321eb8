//! HTTP: the handlers behind `/api/v1`, sign-in, live streams, the documentation, and the embedded UI.
//!
//! The only crate that names poem or a status code. Rules are `app`'s business: a handler parses, asks a service,
//! answers. Around the handlers, from the outside in: `outermost` (ids, problems, headers), `signed` (who asks),
//! `once` (`Idempotency-Key`), `kinds` (what a token is for of such things).

mod allow_lists;
mod answers;
mod api_limits;
mod app_jobs;
mod apps;
mod audit;
mod back_channel;
mod build_cache;
mod build_servers;
mod bundle;
mod catalogs;
mod certificates;
mod ci_trusts;
mod clones;
mod deployments;
mod dns;
mod docs;
mod document;
mod domains;
mod edge;
mod events;
mod failures;
mod files;
mod forges;
mod freezes;
mod health;
mod hooks;
mod identity_providers;
mod image_watches;
mod imports;
mod invitations;
mod kinds;
mod listen;
mod live;
mod logs;
mod mail;
mod marketplace;
mod metrics;
mod once;
mod organizations;
mod outermost;
mod overview;
mod passkeys;
mod passwords;
mod policies;
mod previews;
mod projects;
mod quotas;
mod registries;
mod releases;
mod rights;
mod saml;
mod scim;
mod second_factors;
mod servers;
mod sessions;
mod settings;
mod setup;
mod shape;
mod shared_variables;
mod signed;
mod sources;
mod stacks;
mod stream;
mod tags;
mod template_updates;
#[cfg(test)]
mod tests;
mod tokens;
mod traffic;
mod ui;
mod upgrades;
mod uploads;
mod users;
mod variables;
mod volumes;
mod webhooks;

pub use document::document;
pub use listen::Sockets;

pub(crate) use app::Panel;
use failures::Code;
use live::Stop;
use poem::{
    Endpoint, EndpointExt, IntoEndpoint, Request, Response, Route, Server,
    endpoint::make,
    get,
    http::{StatusCode, header},
    middleware::CookieJarManager,
};
use serde_json::json;
use shape::Schemas;
use signed::Signed;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use types::{Doing, Result, World};

/// The largest body that is taken.
pub(crate) const BODY_BYTES: usize = 4 << 20;

/// Everything that HTTP needs.
#[derive(Clone)]
pub struct Api {
    panel: Panel,
    world: World,
    /// Ends streams and WebSockets.
    stop: CancellationToken,
    ready: Arc<AtomicBool>,
}

impl Api {
    pub fn new(panel: Panel, world: World, stop: CancellationToken) -> Api {
        Api {
            panel,
            world,
            stop,
            ready: Arc::default(),
        }
    }

    /// From now on `/ready` says so.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Serves both sockets until it is stopped; requests under way get `drain` to end.
    pub async fn serve(self, sockets: Sockets, drain: Duration) -> Result<()> {
        let endpoint = Arc::new(self.endpoint());
        let stop = self.stop;
        let serve = |socket| {
            let (endpoint, stop) = (endpoint.clone(), stop.clone());
            Server::new_with_acceptor(socket).run_with_graceful_shutdown(endpoint, stop.cancelled_owned(), Some(drain))
        };
        let (panel, edge) = sockets.doors()?;
        let (panel, edge) = tokio::join!(serve(panel), serve(edge));
        panel.and(edge).doing("serving the API")
    }

    /// All paths.
    pub(crate) fn endpoint(&self) -> impl Endpoint<Output = Response> + use<> {
        let file = |name: &'static str| {
            get(make(move |request: Request| {
                let answer = ui::file(name, request.headers());
                async move { answer.ok_or_else(|| poem::Error::from(outermost::nothing())) }
            }))
        };
        let page = |text: &str, kind: &'static str| {
            let text: Arc<str> = text.into();
            get(make(move |_| {
                let answer = kept(&text, kind);
                async move { answer }
            }))
        };
        let errors = docs::errors(Code::ALL.iter().map(|code| (code.word(), code.title(), code.meaning())));
        let api = self.clone();
        let ready = self.ready.clone();
        let routes = Route::new()
            .nest("/api/v1", self.operations())
            .at("/api/openapi.json", file(ui::DOCUMENT))
            .at("/api/docs", file(ui::REFERENCE))
            .at("/api/docs/errors", page(&errors, "text/html; charset=utf-8"))
            .at("/api/docs/style.css", page(docs::STYLE, "text/css; charset=utf-8"))
            .at("/health", get(make(|_| async { status(StatusCode::OK, "ok") })))
            .at(
                "/ready",
                get(make(move |_| {
                    let is_ready = ready.load(Ordering::Acquire);
                    async move {
                        match is_ready {
                            true => status(StatusCode::OK, "ready"),
                            false => status(StatusCode::SERVICE_UNAVAILABLE, "starting"),
                        }
                    }
                })),
            )
            .at(
                "/metrics",
                get(make(move |request| {
                    let api = api.clone();
                    async move { api.metrics(request).await }
                })),
            )
            .at("/hooks/:key", hooks::endpoint(self.panel.clone()))
            .at("/scim/v2/*", scim::endpoint(self.panel.clone()))
            .at("/oidc/:id/logout", back_channel::logout(self.panel.clone()))
            .at("/saml/:id/acs", saml::consumer(self.panel.clone()))
            .at("/saml/:id/metadata", saml::own_metadata(self.panel.clone()))
            .at(
                "/api/*",
                make(|_| async { Err::<Response, _>(poem::Error::from(outermost::nothing())) }),
            )
            .at(
                "/*",
                make(move |request: Request| {
                    let answer = ui::answer(&request);
                    async move { answer.ok_or_else(|| poem::Error::from(outermost::nothing())) }
                }),
            );
        let (world, stop, panel) = (self.world.clone(), Stop(self.stop.clone()), self.panel.clone());
        let routes = Arc::new(routes.with(CookieJarManager::new()));
        let schemas = Arc::new(Schemas::default());
        make(move |mut request: Request| {
            let (routes, world, schemas) = (routes.clone(), world.clone(), schemas.clone());
            let path = request.uri().path();
            let most = match uploads::flows(request.method(), path) {
                true => None,
                false => Some(hooks::most_bytes(&panel, path).unwrap_or(BODY_BYTES)),
            };
            request.set_data(stop.clone());
            async move { outermost::answer(&routes, &world, &schemas, most, request).await }
        })
        .map_to_response()
    }

    /// `/api/v1`.
    fn operations(&self) -> impl Endpoint + use<> {
        let panel = self.panel.clone();
        let service = document::service(document::Served(operations(&self.panel, &self.world)));
        let inner = Arc::new(service.into_endpoint());
        make(move |mut request: Request| {
            let (panel, inner) = (panel.clone(), inner.clone());
            async move {
                signed::identify(&panel, &mut request).await;
                api_limits::admit(&panel, &request, request.uri().path())?;
                match Signed::of(&request) {
                    Ok(who) => app::acting((&who.actor).into(), once::once(&inner, &panel, request)).await,
                    Err(_) => once::once(&inner, &panel, request).await,
                }
            }
        })
    }

    async fn metrics(&self, mut request: Request) -> poem::Result<Response> {
        signed::identify(&self.panel, &mut request).await;
        api_limits::admit(&self.panel, &request, "/metrics")?;
        let who = Signed::of(&request)?;
        let text = health::metrics(&self.panel, &who).await?;
        Ok(Response::builder().content_type(health::KIND).body(text))
    }
}

/// An answer that is the same until the next version.
fn kept(text: &str, kind: &str) -> Response {
    Response::builder()
        .content_type(kind)
        .header(header::CACHE_CONTROL, "no-cache")
        .body(text.to_owned())
}

fn status(status: StatusCode, word: &str) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .body(json!({ "status": word }).to_string())
}

/// All handlers.
type Operations = (
    (
        setup::SetupApi,
        sessions::SessionsApi,
        second_factors::SecondFactorsApi,
        users::UsersApi,
        tokens::TokensApi,
        invitations::InvitationsApi,
        rights::RightsApi,
        organizations::OrganizationsApi,
    ),
    (
        traffic::TrafficApi,
        edge::EdgeApi,
        allow_lists::AllowListsApi,
        api_limits::ApiLimitsApi,
        quotas::QuotasApi,
    ),
    (
        projects::ProjectsApi,
        apps::AppsApi,
        variables::VariablesApi,
        shared_variables::SharedVariablesApi,
        files::FilesApi,
        domains::DomainsApi,
        certificates::CertificatesApi,
        dns::DnsApi,
    ),
    (
        deployments::DeploymentsApi,
        releases::ReleasesApi,
        logs::LogsApi,
        metrics::MetricsApi,
        volumes::VolumesApi,
        registries::RegistriesApi,
        image_watches::ImageWatchesApi,
        ci_trusts::CiTrustsApi,
        webhooks::WebhooksApi,
        sources::SourcesApi,
        uploads::UploadsApi,
    ),
    (
        build_cache::BuildCacheApi,
        build_servers::BuildServersApi,
        servers::ServersApi,
        overview::OverviewApi,
        events::EventsApi,
        settings::SettingsApi,
        mail::MailApi,
        upgrades::UpgradesApi,
    ),
    (
        stacks::StacksApi,
        marketplace::MarketplaceApi,
        audit::AuditApi,
        passwords::PasswordsApi,
        passkeys::PasskeysApi,
        identity_providers::IdentityProvidersApi,
        saml::SamlApi,
        scim::ScimApi,
    ),
    (
        catalogs::CatalogsApi,
        forges::ForgesApi,
        imports::ImportsApi,
        template_updates::TemplateUpdatesApi,
        app_jobs::AppJobsApi,
        previews::PreviewsApi,
        clones::ClonesApi,
        freezes::FreezesApi,
    ),
);

fn operations(panel: &Panel, world: &World) -> Operations {
    let panel = || panel.clone();
    (
        (
            setup::SetupApi(panel(), world.clone()),
            sessions::SessionsApi(panel(), world.clone()),
            second_factors::SecondFactorsApi(panel()),
            users::UsersApi(panel()),
            tokens::TokensApi(panel()),
            invitations::InvitationsApi(panel(), world.clone()),
            rights::RightsApi(panel()),
            organizations::OrganizationsApi(panel(), world.clone()),
        ),
        (
            traffic::TrafficApi(panel()),
            edge::EdgeApi(panel()),
            allow_lists::AllowListsApi(panel()),
            api_limits::ApiLimitsApi(panel()),
            quotas::QuotasApi(panel()),
        ),
        (
            projects::ProjectsApi(panel()),
            apps::AppsApi(panel()),
            variables::VariablesApi(panel()),
            shared_variables::SharedVariablesApi(panel()),
            files::FilesApi(panel()),
            domains::DomainsApi(panel()),
            certificates::CertificatesApi(panel()),
            dns::DnsApi(panel()),
        ),
        (
            deployments::DeploymentsApi(panel()),
            releases::ReleasesApi(panel()),
            logs::LogsApi(panel(), world.clone()),
            metrics::MetricsApi(panel()),
            volumes::VolumesApi(panel()),
            registries::RegistriesApi(panel()),
            image_watches::ImageWatchesApi(panel()),
            ci_trusts::CiTrustsApi(panel()),
            webhooks::WebhooksApi(panel()),
            sources::SourcesApi(panel()),
            uploads::UploadsApi(panel()),
        ),
        (
            build_cache::BuildCacheApi(panel()),
            build_servers::BuildServersApi(panel()),
            servers::ServersApi(panel()),
            overview::OverviewApi(panel()),
            events::EventsApi(panel()),
            settings::SettingsApi(panel()),
            mail::MailApi(panel()),
            upgrades::UpgradesApi(panel()),
        ),
        (
            stacks::StacksApi(panel()),
            marketplace::MarketplaceApi(panel()),
            audit::AuditApi(panel()),
            passwords::PasswordsApi(panel()),
            passkeys::PasskeysApi(panel(), world.clone()),
            identity_providers::IdentityProvidersApi(panel(), world.clone()),
            saml::SamlApi(panel(), world.clone()),
            scim::ScimApi(panel()),
        ),
        (
            catalogs::CatalogsApi(panel()),
            forges::ForgesApi(panel()),
            imports::ImportsApi(panel()),
            template_updates::TemplateUpdatesApi(panel()),
            app_jobs::AppJobsApi(panel()),
            previews::PreviewsApi(panel()),
            clones::ClonesApi(panel()),
            freezes::FreezesApi(panel()),
        ),
    )
}
