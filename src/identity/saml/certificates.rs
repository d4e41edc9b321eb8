//! Certificates of SAML are only what keys come in (SAML Metadata Interoperability Profile): who issued them and until when
//! they are good does not matter to the protocol, so both are only told.

use base64::{Engine, prelude::BASE64_STANDARD};
use types::Time;
use x509_parser::{der_parser::oid, parse_x509_certificate, public_key::PublicKey};

/// A key by which a provider signs.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub subject: String,
    pub not_after: Time,
    pub(super) key: Key,
}

#[derive(Debug, Clone)]
pub(super) enum Key {
    /// As in PKCS #1.
    Rsa(Vec<u8>),
    /// An uncompressed point.
    Curve(Curve, Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Key {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Key::Rsa(bytes) | Key::Curve(_, bytes) => bytes,
        }
    }
}

/// From base64, as it stands in metadata.
pub(super) fn read(text: &str) -> Result<Certificate, String> {
    let text: String = text.split_whitespace().collect();
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|_| "a certificate in the metadata is not base64".to_owned())?;
    let (_, certificate) = parse_x509_certificate(&bytes).map_err(|_| "a certificate in the metadata cannot be read".to_owned())?;
    let info = certificate.public_key();
    let bits = info.subject_public_key.data.to_vec();
    let curve = || {
        let named = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
        match () {
            () if named == oid!(1.2.840.10045.3.1.7) => Some(Curve::P256),
            () if named == oid!(1.3.132.0.34) => Some(Curve::P384),
            () if named == oid!(1.3.132.0.35) => Some(Curve::P521),
            () => None,
        }
    };
    let key = match info.parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < 2048 => return Err(format!("a key of {} bits is too weak; use 2048", key.key_size())),
        Ok(PublicKey::RSA(_)) => Key::Rsa(bits),
        Ok(PublicKey::EC(_)) => Key::Curve(curve().ok_or("a certificate's curve is not taken; use P-256")?, bits),
        _ => return Err("a certificate's key is neither RSA nor of a curve".into()),
    };
    Ok(Certificate {
        subject: certificate.subject().to_string(),
        not_after: Time(certificate.validity().not_after.timestamp().saturating_mul(1000)),
        key,
    })
}
