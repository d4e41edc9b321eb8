//! The panel as a SAML service provider: its key, its metadata, its requests.

use super::{HTTP_POST, MD, PROTOCOL, SAML, SAMLP, xml::escaped};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::DeflateEncoder};
use std::io::Write;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{Doing, Error, Result, Secret, Time};
use url::{Url, form_urlencoded::byte_serialize};

const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const YEARS: i32 = 30;

/// Where the panel is, as a provider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name; it is the address of the metadata too.
    pub entity_id: String,
    /// Where browsers bring the answers.
    pub consumer: String,
}

/// The panel's key at one provider: it signs requests, and assertions are encrypted for it.
#[derive(Debug)]
pub struct OwnKey {
    /// PKCS #8, in base64.
    pub key: Secret,
    /// DER, in base64.
    pub certificate: String,
}

impl OwnKey {
    /// A new one: 3072 bits of RSA, which takes a moment.
    pub fn make(name: &str, now: Time) -> Result<OwnKey> {
        let failed = |error: &dyn std::fmt::Display| Error::internal("making a key", error.to_string());
        let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(|error| failed(&error))?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|error| failed(&error))?;
        let wrapped = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der.as_ref().into(), &rcgen::PKCS_RSA_SHA256);
        let signer = wrapped.map_err(|error| failed(&error))?;
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let today = now.to_utc();
        parameters.not_before = today;
        parameters.not_after = today.replace_year(today.year() + YEARS).unwrap_or(today);
        let certificate = parameters.self_signed(&signer).map_err(|error| failed(&error))?;
        Ok(OwnKey {
            key: Secret::from(BASE64_STANDARD.encode(der.as_ref())),
            certificate: BASE64_STANDARD.encode(certificate.der()),
        })
    }
}

/// What a provider is told of the panel (SAML Metadata, section 2.4.4).
pub fn metadata(place: &Place, certificate: &str) -> String {
    let key = |uses: &str, more: &str| {
        format!(
            "<md:KeyDescriptor use=\"{uses}\"><ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data>\
             <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>{more}</md:KeyDescriptor>"
        )
    };
    let methods = [
        "http://www.w3.org/2009/xmlenc11#aes256-gcm",
        "http://www.w3.org/2009/xmlenc11#aes128-gcm",
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
    ]
    .map(|method| format!("<md:EncryptionMethod Algorithm=\"{method}\"/>"));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor xmlns:md=\"{MD}\" entityID=\"{}\">\
         <md:SPSSODescriptor AuthnRequestsSigned=\"true\" WantAssertionsSigned=\"true\" protocolSupportEnumeration=\"{PROTOCOL}\">{}{}\
         <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>\
         <md:NameIDFormat>urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress</md:NameIDFormat>\
         <md:AssertionConsumerService Binding=\"{HTTP_POST}\" Location=\"{}\" index=\"0\" isDefault=\"true\"/>\
         </md:SPSSODescriptor></md:EntityDescriptor>\n",
        escaped(&place.entity_id),
        key("signing", ""),
        key("encryption", &methods.concat()),
        escaped(&place.consumer),
    )
}

/// The address that the browser is sent to: a signed request by HTTP-Redirect (SAML Bindings, section 3.4).
pub(super) fn request(place: &Place, id: &str, now: Time, to: &Url, state: &str, key: &Secret) -> Result<Url> {
    let issued = now.to_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let issued = issued.format(&Rfc3339).map_err(|error| Error::internal("writing a time", error))?;
    let message = format!(
        "<samlp:AuthnRequest xmlns:samlp=\"{SAMLP}\" xmlns:saml=\"{SAML}\" ID=\"{id}\" Version=\"2.0\" IssueInstant=\"{issued}\" \
         Destination=\"{}\" ProtocolBinding=\"{HTTP_POST}\" AssertionConsumerServiceURL=\"{}\"><saml:Issuer>{}</saml:Issuer>\
         <samlp:NameIDPolicy AllowCreate=\"true\"/></samlp:AuthnRequest>",
        escaped(to.as_str()),
        escaped(&place.consumer),
        escaped(&place.entity_id),
    );
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(message.as_bytes()).doing("compressing a request")?;
    let message = BASE64_STANDARD.encode(deflated.finish().doing("compressing a request")?);
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let mut query = format!(
        "SAMLRequest={}&RelayState={}&SigAlg={}",
        encoded(&message),
        encoded(state),
        encoded(RSA_SHA256)
    );
    let signature = sign(key, query.as_bytes())?;
    query.push_str(&format!("&Signature={}", encoded(&BASE64_STANDARD.encode(signature))));
    let mut url = to.clone();
    let before = url.query().map(|before| format!("{before}&")).unwrap_or_default();
    url.set_query(Some(&format!("{before}{query}")));
    Ok(url)
}

fn sign(key: &Secret, message: &[u8]) -> Result<Vec<u8>> {
    let failed = || Error::internal("signing a request", "the key is not one");
    let pair = RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(key.expose()).map_err(|_| failed())?).map_err(|_| failed())?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| failed())?;
    Ok(signature)
}
