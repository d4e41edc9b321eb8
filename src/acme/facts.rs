//! What a certificate says.

use sha2::{Digest, Sha256};
use types::{Error, Result, Time};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, pem::Pem, time::ASN1Time};

/// The leaf of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The issuer's common name, or its organization.
    pub issuer: String,
    /// SHA-256, hex.
    pub fingerprint: String,
    pub not_before: Time,
    pub not_after: Time,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
}

/// Reads the first certificate of `chain_pem`. Fails with `Invalid` when it is not a certificate in PEM.
pub fn inspect(chain_pem: &str) -> Result<Facts> {
    let invalid = |why: &str| Error::invalid("certificate", why);
    let pem = Pem::iter_from_buffer(chain_pem.as_bytes())
        .next()
        .and_then(|pem| pem.ok())
        .ok_or_else(|| invalid("is not in PEM"))?;
    let leaf = pem.parse_x509().map_err(|_| invalid("cannot be read"))?;
    Ok(Facts {
        issuer: issuer(&leaf),
        fingerprint: Sha256::digest(&pem.contents).iter().map(|byte| format!("{byte:02x}")).collect(),
        not_before: time(leaf.validity().not_before),
        not_after: time(leaf.validity().not_after),
        names: names(&leaf),
    })
}

fn issuer(leaf: &X509Certificate<'_>) -> String {
    let issuer = leaf.issuer();
    issuer
        .iter_common_name()
        .chain(issuer.iter_organization())
        .find_map(|name| name.as_str().ok())
        .unwrap_or("unknown")
        .to_owned()
}

fn time(at: ASN1Time) -> Time {
    Time(at.timestamp() * 1000)
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes)
                    .ok()
                    .map(|bytes| std::net::IpAddr::from(bytes).to_string()),
                16 => <[u8; 16]>::try_from(*bytes)
                    .ok()
                    .map(|bytes| std::net::IpAddr::from(bytes).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}
