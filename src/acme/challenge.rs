//! What is shown to an authority as proof that a name is ours.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use types::{Doing, Host, Result, Secret};

/// One proof, ready to be shown.
#[derive(Debug, Clone)]
pub enum Proof {
    /// At `http://HOST/.well-known/acme-challenge/TOKEN`, port 80 (RFC 8555, 8.3).
    Http { token: String, answer: String },
    /// By TLS on port 443 to a client that offers `acme-tls/1` (RFC 8737).
    TlsAlpn { host: Host, chain_pem: String, key_pem: Secret },
    /// As TXT record `_acme-challenge.HOST` (RFC 8555, 8.4).
    Dns { name: String, value: String },
}

/// Where proofs are shown.
#[async_trait::async_trait]
pub trait Challenges: Send + Sync {
    /// Returns once the authority would see it.
    async fn publish(&self, proof: &Proof) -> Result<()>;
    async fn withdraw(&self, proof: &Proof);
}

/// The certificate of RFC 8737, 3: for `host`, with the digest of the key authorization in a critical extension. It proves
/// something to the authority and nothing to anybody else.
pub(crate) fn alpn_certificate(host: &Host, digest: &[u8]) -> Result<(String, Secret)> {
    let doing = "making a certificate for TLS-ALPN-01";
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).doing(doing)?;
    let mut params = CertificateParams::new(vec![host.to_string()]).doing(doing)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ACME challenge");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).doing(doing)?;
    Ok((certificate.pem(), Secret::from(key.serialize_pem())))
}
