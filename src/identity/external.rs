//! What identity providers of every kind have in common: whom they name, what a test of one finds, and how they are
//! reached.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::sync::Arc;
use types::{Error, Result, Secret, Time};

/// Somebody, as an identity provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Never given to another person there.
    pub subject: String,
    pub email: Option<String>,
    /// The provider says that the address is theirs.
    pub email_verified: bool,
    pub name: Option<String>,
    pub groups: Vec<String>,
    /// What the provider calls the session that it began for them there (`sid` of OpenID Connect).
    pub session: Option<String>,
    /// When that session ends there at the latest (`SessionNotOnOrAfter` of SAML).
    pub until: Option<Time>,
    /// What the provider can be asked with later whether they are still there (a refresh token of OpenID Connect).
    pub refresh: Option<Secret>,
}

/// A step of a test, in words for who sets the provider up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub ok: bool,
    /// What was found, or what is wrong.
    pub detail: String,
}

impl Finding {
    pub(crate) fn good(what: &str, detail: impl Into<String>) -> Finding {
        Finding {
            what: what.to_owned(),
            ok: true,
            detail: detail.into(),
        }
    }
    pub(crate) fn bad(what: &str, detail: impl Into<String>) -> Finding {
        Finding {
            ok: false,
            ..Finding::good(what, detail)
        }
    }
}

/// A TLS configuration that believes this machine's authorities and those in `authority` (PEM). Fails with `Invalid` for
/// the field `authority`.
pub(crate) fn tls(authority: Option<&str>) -> Result<ClientConfig> {
    let wrong = || Error::invalid("authority", "must be certificates in PEM: -----BEGIN CERTIFICATE-----");
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let own = authority.unwrap_or_default();
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(own.as_bytes()) {
        roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
        added += 1;
    }
    if added == 0 && !own.trim().is_empty() {
        return Err(wrong());
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("setting up TLS", error))?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Fails with `Invalid` for the field `authority` unless it is certificates in PEM, or empty.
pub fn check_authority(authority: &str) -> Result<()> {
    tls(Some(authority)).map(drop)
}

/// Whether a host is this machine: only there may secrets go without TLS.
pub(crate) fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        // In an address of LDAP it is not told from a name.
        Some(url::Host::Domain(name)) => {
            let is_loopback = |text: &str| text.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            name == "localhost" || name.ends_with(".localhost") || is_loopback(name)
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
