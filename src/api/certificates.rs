//! TLS certificates.

use crate::{
    Panel,
    answers::{Accepted, Page, accepted, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::{Json, PlainText},
};
use time::OffsetDateTime;

/// The certificate of a host.
#[derive(Debug, Object)]
pub struct Certificate {
    pub host: String,
    pub origin: CertificateOrigin,
    pub state: CertificateState,
    pub issuer: String,
    pub not_before: Option<OffsetDateTime>,
    pub not_after: Option<OffsetDateTime>,
    /// SHA-256 of the leaf, hex.
    pub fingerprint: String,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// No order is sent before then.
    pub next_try_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CertificateOrigin {
    /// From the certificate authority in the settings, by ACME.
    Acme,
    /// From the panel's own authority: for names that are not public, and while the public one is on its way.
    Own,
    /// Brought by somebody, with its key.
    Uploaded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CertificateState {
    /// Ordered; the own authority's serves meanwhile.
    Pending,
    /// An order would fail, so none is sent: see `last_error` and `next_step`. It is looked at again by itself.
    Waiting,
    Valid,
    /// The last order failed; see `last_error` and `next_try_at`.
    Failed,
}

impl From<types::Certificate> for Certificate {
    fn from(certificate: types::Certificate) -> Certificate {
        Certificate {
            host: certificate.host.to_string(),
            origin: match certificate.origin {
                types::CertificateOrigin::Acme => CertificateOrigin::Acme,
                types::CertificateOrigin::Own => CertificateOrigin::Own,
                types::CertificateOrigin::Uploaded => CertificateOrigin::Uploaded,
            },
            state: certificate.state.into(),
            issuer: certificate.issuer,
            not_before: certificate.not_before.map(moment),
            not_after: certificate.not_after.map(moment),
            fingerprint: certificate.fingerprint,
            last_error: certificate.last_error,
            failures: certificate.failures,
            next_try_at: certificate.next_try_at.map(moment),
        }
    }
}

impl From<types::CertificateState> for CertificateState {
    fn from(state: types::CertificateState) -> CertificateState {
        match state {
            types::CertificateState::Pending => CertificateState::Pending,
            types::CertificateState::Waiting => CertificateState::Waiting,
            types::CertificateState::Valid => CertificateState::Valid,
            types::CertificateState::Failed => CertificateState::Failed,
        }
    }
}

#[derive(Clone)]
pub(crate) struct CertificatesApi(pub Panel);

#[OpenApi(tag = "Tag::Certificates")]
impl CertificatesApi {
    /// List certificates
    #[oai(path = "/certificates", method = "get", operation_id = "certificate_list")]
    async fn certificate_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Certificate>>> {
        let certificates = self.0.certificates.list(&who.actor).await?;
        page(certificates, cursor.0.as_deref(), limit.0, |certificate| {
            certificate.host.to_string()
        })
    }

    /// Get the panel's own authority
    ///
    /// PEM; trust it where names that are not public should open without a warning.
    #[oai(path = "/certificates/authority", method = "get", operation_id = "certificate_authority")]
    async fn certificate_authority(&self, who: Signed) -> Answer<PlainText<String>> {
        Ok(PlainText(self.0.certificates.authority_pem(&who.actor).await?))
    }

    /// Renew a certificate now
    #[oai(path = "/certificates/:host/renew", method = "post", operation_id = "certificate_renew")]
    async fn certificate_renew(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
    ) -> Answer<Accepted<Certificate>> {
        Ok(accepted(self.0.certificates.renew(&who.actor, &host.0).await?))
    }
}
