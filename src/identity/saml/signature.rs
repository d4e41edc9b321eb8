//! XML signatures, of exactly the shape that SAML asks for (SAML Core, section 5.4): in the element that they sign, over that
//! element whole, named by its ID. What is verified is the node itself, never something that is looked up by its name, so
//! a signature cannot be carried off to another place.

use super::{
    canonical::canonical,
    certificates::{Certificate, Curve, Key},
    xml::Element,
};
use aws_lc_rs::{digest, signature};
use base64::{Engine, prelude::BASE64_STANDARD};
use subtle::ConstantTimeEq;

pub(super) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// With comments it is the same: there are none.
const EXCLUSIVE: [&str; 2] = [
    "http://www.w3.org/2001/10/xml-exc-c14n#",
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
];
const EXCLUSIVE_LIST: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// Whether the element is signed by one of these. `Ok(false)`: it bears no signature; fails when it bears one that is not
/// as it must be.
pub(super) fn is_signed(element: &Element, by: &[Certificate]) -> Result<bool, String> {
    let Some(found) = element.at_most_one(DS, "Signature")? else {
        return Ok(false);
    };
    let info = found.one(DS, "SignedInfo")?;
    let reference = info.one(DS, "Reference")?;
    let id = element
        .attribute("ID")
        .filter(|id| !id.is_empty())
        .ok_or("what is signed has no ID")?;
    if reference.attribute("URI") != Some(&format!("#{id}")) {
        return Err("the signature is of another element than the one it stands in".into());
    }
    let inclusive = transforms(reference)?;
    let method = reference.one(DS, "DigestMethod")?.attribute("Algorithm").unwrap_or_default();
    let made = digest::digest(digest_of(method)?, &canonical(element, Some(found), &inclusive));
    let told = bytes(reference.one(DS, "DigestValue")?)?;
    if !bool::from(made.as_ref().ct_eq(&told)) {
        return Err("what is signed was changed".into());
    }
    let canonicalization = info.one(DS, "CanonicalizationMethod")?;
    let algorithm = canonicalization.attribute("Algorithm").unwrap_or_default();
    if !EXCLUSIVE.contains(&algorithm) {
        return Err(format!("the canonicalization {algorithm} is not taken"));
    }
    let signed = canonical(info, None, &prefixes(canonicalization)?);
    let method = info.one(DS, "SignatureMethod")?.attribute("Algorithm").unwrap_or_default();
    let value = bytes(found.one(DS, "SignatureValue")?)?;
    for certificate in by {
        if is_by(&certificate.key, method, &signed, &value)? {
            return Ok(true);
        }
    }
    Err("the signature is by none of the provider's keys".into())
}

/// The transforms that are: without the signature, then exclusive canonicalization, whose list of prefixes is the answer.
fn transforms(reference: &Element) -> Result<Vec<String>, String> {
    let all: Vec<&Element> = reference.one(DS, "Transforms")?.elements().collect();
    let named = |element: &Element| element.attribute("Algorithm").unwrap_or_default().to_owned();
    match all.as_slice() {
        [first, second] if named(first) == ENVELOPED && EXCLUSIVE.contains(&named(second).as_str()) => prefixes(second),
        _ => Err("the signature's transforms are not the two that SAML has".into()),
    }
}

fn prefixes(method: &Element) -> Result<Vec<String>, String> {
    let Some(list) = method.at_most_one(EXCLUSIVE_LIST, "InclusiveNamespaces")? else {
        return Ok(Vec::new());
    };
    let words = list.attribute("PrefixList").unwrap_or_default().split_whitespace();
    Ok(words
        .map(|word| if word == "#default" { String::new() } else { word.to_owned() })
        .collect())
}

fn digest_of(method: &str) -> Result<&'static digest::Algorithm, String> {
    match method {
        "http://www.w3.org/2001/04/xmlenc#sha256" => Ok(&digest::SHA256),
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => Ok(&digest::SHA384),
        "http://www.w3.org/2001/04/xmlenc#sha512" => Ok(&digest::SHA512),
        _ => Err(format!("the digest {method} is not taken; let the provider use SHA-256")),
    }
}

fn is_by(key: &Key, method: &str, signed: &[u8], value: &[u8]) -> Result<bool, String> {
    let name = method.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#");
    let pss = method.strip_prefix("http://www.w3.org/2007/05/xmldsig-more#");
    let wanted: &dyn signature::VerificationAlgorithm = match (name, pss, key) {
        (Some("rsa-sha256"), _, Key::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (Some("rsa-sha384"), _, Key::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Some("rsa-sha512"), _, Key::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (_, Some("sha256-rsa-MGF1"), Key::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA256,
        (_, Some("sha384-rsa-MGF1"), Key::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA384,
        (_, Some("sha512-rsa-MGF1"), Key::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA512,
        (Some("ecdsa-sha256"), _, Key::Curve(Curve::P256, _)) => &signature::ECDSA_P256_SHA256_FIXED,
        (Some("ecdsa-sha384"), _, Key::Curve(Curve::P384, _)) => &signature::ECDSA_P384_SHA384_FIXED,
        (Some("ecdsa-sha512"), _, Key::Curve(Curve::P521, _)) => &signature::ECDSA_P521_SHA512_FIXED,
        // Of another kind of key.
        (Some("rsa-sha256" | "rsa-sha384" | "rsa-sha512" | "ecdsa-sha256" | "ecdsa-sha384" | "ecdsa-sha512"), ..) => return Ok(false),
        _ => {
            return Err(format!(
                "the signature's algorithm {method} is not taken; let the provider use RSA with SHA-256"
            ));
        }
    };
    let key = signature::UnparsedPublicKey::new(wanted, key.bytes());
    Ok(key.verify(signed, value).is_ok())
}

/// Base64 with white space anywhere in it.
pub(super) fn bytes(element: &Element) -> Result<Vec<u8>, String> {
    let text: String = element.text()?.split_whitespace().collect();
    BASE64_STANDARD.decode(text).map_err(|_| format!("{} is not base64", element.local))
}
