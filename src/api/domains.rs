//! Hosts that lead to apps.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    certificates::CertificateState,
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;

/// A host that leads to an app.
#[derive(Debug, Object)]
pub struct Domain {
    pub host: String,
    pub app: Named,
    /// The one that links show.
    pub primary: bool,
    /// Plain HTTP is sent to HTTPS.
    pub force_https: bool,
    /// Another service than the main one, for an app of several.
    pub service: Option<String>,
    /// The port of that service.
    pub service_port: Option<u16>,
    /// Null: none yet.
    pub certificate: Option<DomainCertificate>,
    pub url: String,
}

/// The certificate of a host, in short.
#[derive(Debug, Object)]
pub struct DomainCertificate {
    pub state: CertificateState,
    pub not_after: Option<OffsetDateTime>,
    pub issuer: String,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// A host to add.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct DomainAdd {
    pub host: String,
    /// Left out: true.
    pub force_https: Option<bool>,
    /// For an app of several services: the one that it leads to; left out: the main one.
    pub service: Option<String>,
    /// The port of that service; needed with `service`.
    pub service_port: Option<u16>,
}

/// Whether a host's name leads here.
#[derive(Debug, Object)]
pub struct DomainCheck {
    pub ok: bool,
    /// What the name resolves to.
    pub addresses: Vec<String>,
    /// What it should resolve to, one of these.
    pub expected: Vec<String>,
    /// What to do, in a sentence.
    pub detail: String,
}

impl From<app::DomainView> for Domain {
    fn from(view: app::DomainView) -> Domain {
        Domain {
            host: view.domain.host.to_string(),
            app: Named::new(view.domain.app, view.app_name),
            primary: view.domain.primary,
            force_https: view.domain.force_https,
            service_port: view.domain.service.as_ref().map(|place| place.port),
            service: view.domain.service.map(|place| place.service),
            certificate: view.certificate.map(|certificate| DomainCertificate {
                state: certificate.state.into(),
                not_after: certificate.not_after.map(moment),
                issuer: certificate.issuer,
                last_error: certificate.last_error,
            }),
            url: view.url,
        }
    }
}

impl From<app::DomainCheck> for DomainCheck {
    fn from(check: app::DomainCheck) -> DomainCheck {
        let words = |addresses: Vec<std::net::IpAddr>| addresses.iter().map(ToString::to_string).collect();
        DomainCheck {
            ok: check.ok,
            addresses: words(check.addresses),
            expected: words(check.expected),
            detail: check.detail,
        }
    }
}

#[derive(Clone)]
pub(crate) struct DomainsApi(pub Panel);

#[OpenApi(tag = "Tag::Domains")]
impl DomainsApi {
    /// List the domains of an app
    #[oai(path = "/apps/:app/domains", method = "get", operation_id = "domain_list_app")]
    async fn domain_list_app(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Domain>>> {
        let domains = self.0.domains.list(&who.actor, Some(&app.0)).await?;
        page(domains, cursor.0.as_deref(), limit.0, |view| view.domain.host.to_string())
    }

    /// Add a domain
    ///
    /// It serves at once; its certificate follows.
    #[oai(path = "/apps/:app/domains", method = "post", operation_id = "domain_add")]
    async fn domain_add(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<DomainAdd>,
    ) -> Answer<Created<Domain>> {
        let DomainAdd {
            host,
            force_https,
            service,
            service_port,
        } = body.0;
        let place = match (service.filter(|service| !service.is_empty()), service_port) {
            (Some(service), Some(port)) => Some(types::ServicePort { service, port }),
            (None, None) => None,
            (Some(_), None) => return Err(types::Error::invalid("service_port", "is needed with service").into()),
            (None, Some(_)) => return Err(types::Error::invalid("service_port", "goes with service only").into()),
        };
        let domain = self
            .0
            .domains
            .add(&who.actor, &app.0, host.parse()?, force_https.unwrap_or(true), place)
            .await?;
        Ok(created(domain))
    }

    /// List all domains
    #[oai(path = "/domains", method = "get", operation_id = "domain_list")]
    async fn domain_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Domain>>> {
        let domains = self.0.domains.list(&who.actor, None).await?;
        page(domains, cursor.0.as_deref(), limit.0, |view| view.domain.host.to_string())
    }

    /// Remove a domain
    #[oai(path = "/domains/:host", method = "delete", operation_id = "domain_remove")]
    async fn domain_remove(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
    ) -> Answer<Done> {
        self.0.domains.remove(&who.actor, &host.0).await?;
        Ok(Done::Done)
    }

    /// Check that a name leads here
    #[oai(path = "/domains/:host/check", method = "get", operation_id = "domain_check")]
    async fn domain_check(
        &self,
        who: Signed,
        /// Any host; it need not be added yet.
        host: Path<String>,
    ) -> Answer<Json<DomainCheck>> {
        Ok(Json(self.0.domains.check(&who.actor, &host.0).await?.into()))
    }
}
