//! The panel's own certificate authority.

use crate::Issued;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use std::time::Duration;
use types::{CertificateName, Doing, Error, Result, Secret, World};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clients whose clocks are a little behind accept it too.
const BEFORE: Duration = Duration::from_secs(60 * 60);
const CA_LIFE: Duration = DAY.saturating_mul(3652);
/// The most that browsers accept (CA/Browser Forum, 6.3.2, until March 2026; own authorities are not bound by it).
const LEAF_LIFE: Duration = DAY.saturating_mul(397);

/// Signs certificates for names that no public authority knows.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, valid for 10 years: certificate and private key, in PEM. The key comes from the crypto
    /// library's own random source.
    pub fn create(world: &World) -> Result<(String, Secret)> {
        let doing = "making the certificate authority";
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // Machines trust several of these: the name tells them apart.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("serverkit authority {}", world.word(6)));
        params.distinguished_name.push(DnType::OrganizationName, "serverkit");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, world, CA_LIFE);
        let certificate = params.self_signed(&key).doing(doing)?;
        Ok((certificate.pem(), Secret::from(key.serialize_pem())))
    }

    /// Fails with `Invalid` when the two are not a certificate and its key.
    pub fn load(certificate_pem: &str, key: &Secret) -> Result<Authority> {
        let invalid = |why: &str| Error::invalid("certificate authority", why);
        let key = key
            .expose_str()
            .and_then(|key| KeyPair::from_pem(key).ok())
            .ok_or_else(|| invalid("the private key cannot be read"))?;
        let pem = x509_parser::pem::Pem::iter_from_buffer(certificate_pem.as_bytes())
            .next()
            .and_then(|pem| pem.ok());
        let own_key = pem
            .as_ref()
            .and_then(|pem| pem.parse_x509().ok())
            .is_some_and(|certificate| certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw());
        if !own_key {
            return Err(invalid("the private key belongs to another certificate"));
        }
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key).map_err(|_| invalid("the certificate cannot be read"))?;
        Ok(Authority {
            certificate_pem: certificate_pem.to_owned(),
            issuer,
        })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for all of `names`, with a new key, valid for 397 days. The chain holds the authority too.
    pub fn issue(&self, names: &[CertificateName], world: &World) -> Result<Issued> {
        let doing = "issuing a certificate";
        let first = names.first().ok_or_else(|| Error::invalid("hosts", "name at least one"))?;
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // A common name has at most 64 letters (RFC 5280, A.1); clients read the names below.
        params
            .distinguished_name
            .push(DnType::CommonName, first.as_str().chars().take(64).collect::<String>());
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.address() {
                Some(address) => Ok(SanType::IpAddress(address)),
                None => name.as_str().try_into().map(SanType::DnsName),
            })
            .collect::<Result<_, rcgen::Error>>()
            .doing(doing)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, world, LEAF_LIFE);
        let certificate = params.signed_by(&key, &self.issuer).doing(doing)?;
        Issued::of(
            format!("{}{}", certificate.pem(), self.certificate_pem),
            Secret::from(key.serialize_pem()),
        )
    }
}

fn new_key() -> Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).doing("making a private key")
}

fn set_validity(params: &mut CertificateParams, world: &World, life: Duration) {
    let from = world.now().minus(BEFORE);
    params.not_before = from.to_utc();
    params.not_after = from.plus(life).to_utc();
    let mut serial: [u8; 16] = world.bytes();
    serial[0] = serial[0] & 0x7f | 0x40; // positive, and always of the same length (RFC 5280, 4.1.2.2)
    params.serial_number = Some(SerialNumber::from_slice(&serial));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect;
    use std::process::Command;

    fn authority() -> Authority {
        let (certificate, key) = Authority::create(&World::system()).expect("made");
        Authority::load(&certificate, &key).expect("loads what it made")
    }

    fn host(text: &str) -> CertificateName {
        text.parse().expect("valid")
    }

    #[test]
    fn issues_for_names_and_addresses() {
        let world = World::system();
        let issued = authority()
            .issue(&[host("blog.test"), host("127.0.0.1"), host("::1")], &world)
            .expect("issued");
        let facts = inspect(&issued.chain_pem).expect("read");
        assert_eq!(facts.names, ["blog.test", "127.0.0.1", "::1"]);
        assert!(facts.issuer.starts_with("serverkit authority "), "{}", facts.issuer);
        assert_eq!(facts.fingerprint.len(), 64);
        assert_eq!(issued.not_after.since(issued.not_before), LEAF_LIFE);
        assert!(issued.not_before < world.now());
        assert!(!format!("{issued:?}").contains("PRIVATE"), "the key is not shown");
    }

    #[test]
    fn openssl_accepts_it_for_its_names_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = authority();
        let issued = authority
            .issue(&[host("blog.test"), host("127.0.0.1")], &World::system())
            .expect("issued");
        let (ca, leaf) = (folder.path().join("ca.pem"), folder.path().join("leaf.pem"));
        std::fs::write(&ca, authority.certificate_pem()).expect("written");
        std::fs::write(&leaf, &issued.chain_pem).expect("written");
        for (flag, name, accepted) in [
            ("-verify_hostname", "blog.test", true),
            ("-verify_hostname", "shop.test", false),
            ("-verify_ip", "127.0.0.1", true),
            ("-verify_ip", "127.0.0.2", false),
        ] {
            let verified = Command::new("openssl")
                .args(["verify", "-x509_strict", "-purpose", "sslserver", flag, name, "-CAfile"])
                .args([&ca, &leaf])
                .output()
                .expect("openssl runs");
            assert_eq!(
                verified.status.success(),
                accepted,
                "{name}: {}",
                String::from_utf8_lossy(&verified.stderr)
            );
        }
    }

    #[test]
    fn a_key_of_another_authority_is_refused() {
        let world = World::system();
        let (certificate, _) = Authority::create(&world).expect("made");
        let (_, key) = Authority::create(&world).expect("made");
        let error = Authority::load(&certificate, &key).err().expect("refused").to_string();
        assert_eq!(error, "certificate authority: the private key belongs to another certificate");
        assert!(Authority::load("", &key).is_err());
        assert!(Authority::load(&certificate, &Secret::from("")).is_err());
    }

    #[test]
    fn nothing_is_issued_for_no_host() {
        assert!(authority().issue(&[], &World::system()).is_err());
    }
}
