//! TLS certificates.

use crate::{
    Panel,
    answers::{Accepted, Created, Done, Page, accepted, created, moment, page},
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

/// A certificate: of one host, or shared by all hosts that it covers.
#[derive(Debug, Object)]
pub struct Certificate {
    /// The host, or `crt_…` of a shared one.
    pub id: String,
    /// Of a shared one: its first name, without `*.`.
    pub host: String,
    /// What it is for, or is to be for.
    pub names: Vec<String>,
    /// The hosts that it serves now.
    pub serves: Vec<String>,
    /// Chosen by somebody, or kept for a wildcard; else it belongs to one host.
    pub shared: bool,
    /// Kept by the panel itself.
    pub automatic: bool,
    /// How the names were proven; null: they were not.
    pub challenge: Option<Challenge>,
    /// Whole days until its end; 0 when it has ended.
    pub days_left: Option<u32>,
    /// What to do about the error.
    pub next_step: Option<String>,
    /// From when to when the authority wants it renewed, where it says so (RFC 9773).
    pub renew_from: Option<OffsetDateTime>,
    pub renew_to: Option<OffsetDateTime>,
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

/// How a name is shown to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Challenge {
    /// HTTP-01: the authority fetches a file on port 80.
    Http,
    /// TLS-ALPN-01: the authority opens TLS on port 443.
    TlsAlpn,
    /// DNS-01: the authority looks for a TXT record. The only one for wildcards.
    Dns,
}

impl From<types::ChallengeKind> for Challenge {
    fn from(kind: types::ChallengeKind) -> Challenge {
        match kind {
            types::ChallengeKind::Http => Challenge::Http,
            types::ChallengeKind::TlsAlpn => Challenge::TlsAlpn,
            types::ChallengeKind::Dns => Challenge::Dns,
        }
    }
}

impl From<Challenge> for types::ChallengeKind {
    fn from(challenge: Challenge) -> types::ChallengeKind {
        match challenge {
            Challenge::Http => types::ChallengeKind::Http,
            Challenge::TlsAlpn => types::ChallengeKind::TlsAlpn,
            Challenge::Dns => types::ChallengeKind::Dns,
        }
    }
}

/// Names to order a certificate for.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CertificateOrder {
    /// 1 to 100, such as `example.com` and `*.example.com`.
    pub names: Vec<String>,
    /// Left out: what fits.
    pub challenge: Option<Challenge>,
    /// A DNS provider, by id or name; left out: whichever has the zone.
    pub provider: Option<String>,
}

/// A certificate of one's own.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CertificateUpload {
    /// PEM: the certificate, then those that issued it; they are put in order.
    pub chain_pem: String,
    /// PEM: its private key, without a passphrase.
    pub key_pem: String,
}

/// A certificate that was taken.
#[derive(Debug, Object)]
pub struct CertificateUploaded {
    pub certificate: Certificate,
    /// What is worth knowing though it serves: a sentence each.
    pub remarks: Vec<String>,
}

/// Whether an order would work.
#[derive(Debug, Object)]
pub struct CertificateForecast {
    /// No problem was found.
    pub ok: bool,
    /// How the names would be proven.
    pub challenge: Challenge,
    pub notes: Vec<CertificateNote>,
    /// What the names resolve to.
    pub addresses: Vec<String>,
}

/// One thing that was looked at.
#[derive(Debug, Object)]
pub struct CertificateNote {
    pub name: String,
    pub level: CertificateNoteLevel,
    /// One sentence.
    pub words: String,
    /// What to do; empty when all is well.
    pub next_step: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CertificateNoteLevel {
    Ok,
    /// It may work, or may not.
    Unsure,
    /// It would fail.
    Problem,
}

impl From<app::InventoryEntry> for Certificate {
    fn from(entry: app::InventoryEntry) -> Certificate {
        let certificate = entry.certificate;
        Certificate {
            id: entry.id,
            host: certificate.host.to_string(),
            names: entry.names.iter().map(ToString::to_string).collect(),
            serves: entry.serves,
            shared: entry.shared,
            automatic: entry.automatic,
            challenge: certificate.challenge.map(Challenge::from),
            days_left: entry.days_left,
            next_step: certificate.next_step,
            renew_from: certificate.renewal.map(|renewal| moment(renewal.from)),
            renew_to: certificate.renewal.map(|renewal| moment(renewal.to)),
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

impl From<app::Uploaded> for CertificateUploaded {
    fn from(uploaded: app::Uploaded) -> CertificateUploaded {
        CertificateUploaded {
            certificate: uploaded.entry.into(),
            remarks: uploaded.remarks,
        }
    }
}

impl From<app::Forecast> for CertificateForecast {
    fn from(forecast: app::Forecast) -> CertificateForecast {
        CertificateForecast {
            ok: forecast.problem().is_none(),
            challenge: forecast.challenge.into(),
            addresses: forecast.addresses.iter().map(ToString::to_string).collect(),
            notes: forecast
                .notes
                .into_iter()
                .map(|note| CertificateNote {
                    name: note.name.to_string(),
                    level: match note.level {
                        app::ForecastLevel::Ok => CertificateNoteLevel::Ok,
                        app::ForecastLevel::Unsure => CertificateNoteLevel::Unsure,
                        app::ForecastLevel::Problem => CertificateNoteLevel::Problem,
                    },
                    words: note.words,
                    next_step: note.next_step,
                })
                .collect(),
        }
    }
}

/// Parsed, with the field's name in the failure.
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
    ///
    /// Those of hosts by name, then the shared ones.
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
        page(certificates, cursor.0.as_deref(), limit.0, |certificate| certificate.id.clone())
    }

    /// Get the panel's own authority
    ///
    /// PEM; trust it where names that are not public should open without a warning.
    #[oai(path = "/certificates/authority", method = "get", operation_id = "certificate_authority")]
    async fn certificate_authority(&self, who: Signed) -> Answer<PlainText<String>> {
        Ok(PlainText(self.0.certificates.authority_pem(&who.actor).await?))
    }

    /// Order a certificate for names of one's choice
    ///
    /// For several names in one, or a wildcard. It serves every host of the organization that it covers, and is renewed
    /// by itself. A host that has a domain needs no order.
    #[oai(path = "/certificates", method = "post", operation_id = "certificate_order")]
    async fn certificate_order(&self, who: Signed, body: Json<CertificateOrder>) -> Answer<Accepted<Certificate>> {
        let wish = app::NewOrder {
            names: app::certificate_names(&body.0.names)?,
            challenge: body.0.challenge.map(types::ChallengeKind::from),
            provider: body.0.provider,
        };
        Ok(accepted(self.0.certificates.order(&who.actor, wish).await?))
    }

    /// Say whether an order would work
    ///
    /// Asks name servers; no order is sent.
    #[oai(path = "/certificates/forecast", method = "get", operation_id = "certificate_forecast")]
    async fn certificate_forecast(
        &self,
        who: Signed,
        /// The names, with commas between them. Needed.
        name: Query<Option<String>>,
        /// Left out: what fits.
        challenge: Query<Option<Challenge>>,
    ) -> Answer<Json<CertificateForecast>> {
        let wanted: Vec<String> = name
            .0
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        let challenge = challenge.0.map(types::ChallengeKind::from);
        let forecast = self.0.forecasts.forecast(&who.actor, &wanted, challenge).await?;
        Ok(Json(forecast.into()))
    }

    /// Upload a certificate
    ///
    /// It is checked, and serves every host of the organization that it covers from now on.
    #[oai(path = "/certificates/upload", method = "post", operation_id = "certificate_upload")]
    async fn certificate_upload(&self, who: Signed, body: Json<CertificateUpload>) -> Answer<Created<CertificateUploaded>> {
        let CertificateUpload { chain_pem, key_pem } = body.0;
        let uploaded = self
            .0
            .certificates
            .upload(&who.actor, &chain_pem, &types::Secret::from(key_pem))
            .await?;
        Ok(created(uploaded))
    }

    /// Replace an uploaded certificate
    #[oai(path = "/certificates/:host", method = "put", operation_id = "certificate_replace")]
    async fn certificate_replace(
        &self,
        who: Signed,
        /// The id of an uploaded one.
        host: Path<String>,
        body: Json<CertificateUpload>,
    ) -> Answer<Json<CertificateUploaded>> {
        let CertificateUpload { chain_pem, key_pem } = body.0;
        let key = types::Secret::from(key_pem);
        let uploaded = self.0.certificates.replace(&who.actor, &host.0, &chain_pem, &key).await?;
        Ok(Json(uploaded.into()))
    }

    /// Remove a shared certificate
    ///
    /// The hosts that it serves get others. Those of single hosts go with their domains.
    #[oai(path = "/certificates/:host", method = "delete", operation_id = "certificate_remove")]
    async fn certificate_remove(
        &self,
        who: Signed,
        /// Its id.
        host: Path<String>,
    ) -> Answer<Done> {
        self.0.certificates.remove(&who.actor, &host.0).await?;
        Ok(Done::Done)
    }

    /// Renew a certificate now
    #[oai(path = "/certificates/:host/renew", method = "post", operation_id = "certificate_renew")]
    async fn certificate_renew(
        &self,
        who: Signed,
        /// The host, or the id.
        host: Path<String>,
    ) -> Answer<Accepted<Certificate>> {
        Ok(accepted(self.0.certificates.renew(&who.actor, &host.0).await?))
    }
}
