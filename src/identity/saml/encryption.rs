//! Assertions that are encrypted for the panel (XML Encryption 1.1): AES of 128 or 256 bits by GCM or CBC, whose key is
//! encrypted by RSA-OAEP. RSA of PKCS #1 v1.5 is not taken. Whatever is wrong, it is told in the same words: an answer
//! that told paddings apart could be asked for the text.

use super::{
    SAML,
    signature::{DS, bytes},
    xml::{Comments, Element, parse},
};
use aws_lc_rs::{
    aead,
    cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use types::Secret;
use zeroize::Zeroizing;

const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
const XENC11: &str = "http://www.w3.org/2009/xmlenc11#";

/// The assertion in an `EncryptedAssertion`.
pub(super) fn assertion(encrypted: &Element, key: &Secret) -> Result<Element, String> {
    let data = encrypted.one(XENC, "EncryptedData")?;
    let method = method(data);
    let length = match method {
        "http://www.w3.org/2009/xmlenc11#aes128-gcm" | "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => 16,
        "http://www.w3.org/2009/xmlenc11#aes256-gcm" | "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => 32,
        _ => return Err(format!("the encryption {method} is not taken; let the provider use AES-GCM")),
    };
    let wrapped = wrapped_key(encrypted, data)?;
    let algorithm = transport(wrapped)?;
    let (hidden, cipher_key) = (value(data)?, value(wrapped)?);
    let unreadable = || "what is encrypted cannot be read; has the provider the panel's metadata of today?".to_owned();
    let own = BASE64_STANDARD.decode(key.expose()).map(Zeroizing::new).map_err(|_| unreadable())?;
    let own = PrivateDecryptingKey::from_pkcs8(&own)
        .ok()
        .and_then(|own| OaepPrivateDecryptingKey::new(own).ok())
        .ok_or_else(unreadable)?;
    let mut room = Zeroizing::new(vec![0; own.min_output_size()]);
    let cipher_key = own.decrypt(algorithm, &cipher_key, &mut room, None).map_err(|_| unreadable())?;
    let plain = (cipher_key.len() == length)
        .then(|| decrypt(method.ends_with("gcm"), cipher_key, hidden))
        .flatten()
        .ok_or_else(unreadable)?;
    let text = String::from_utf8(plain).map_err(|_| unreadable())?;
    let assertion = parse(&text, Comments::Refused, &data.scope).map_err(|_| unreadable())?;
    match assertion.is(SAML, "Assertion") {
        true => Ok(assertion),
        false => Err("what is encrypted is no assertion".into()),
    }
}

fn method(element: &Element) -> &str {
    let method = element.all(XENC, "EncryptionMethod").next();
    method.and_then(|method| method.attribute("Algorithm")).unwrap_or_default()
}

/// In the key's info of the data, or beside it.
fn wrapped_key<'a>(encrypted: &'a Element, data: &'a Element) -> Result<&'a Element, String> {
    let inside = data
        .at_most_one(DS, "KeyInfo")?
        .map(|info| info.at_most_one(XENC, "EncryptedKey"))
        .transpose()?
        .flatten();
    match inside {
        Some(key) => Ok(key),
        None => encrypted.one(XENC, "EncryptedKey"),
    }
}

fn transport(wrapped: &Element) -> Result<&'static OaepAlgorithm, String> {
    let details = wrapped.one(XENC, "EncryptionMethod")?;
    let named = |namespace: &str, local: &str| {
        let found = details.all(namespace, local).next();
        found.and_then(|one| one.attribute("Algorithm")).unwrap_or_default().to_owned()
    };
    let digest = named(DS, "DigestMethod");
    let (sha1, sha256) = ("http://www.w3.org/2000/09/xmldsig#sha1", "http://www.w3.org/2001/04/xmlenc#sha256");
    let is_sha1 = digest.is_empty() || digest == sha1;
    let mask = named(XENC11, "MGF");
    match method(wrapped) {
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p" if is_sha1 => Ok(&OAEP_SHA1_MGF1SHA1),
        "http://www.w3.org/2009/xmlenc11#rsa-oaep" if is_sha1 && (mask.is_empty() || mask.ends_with("#mgf1sha1")) => {
            Ok(&OAEP_SHA1_MGF1SHA1)
        }
        "http://www.w3.org/2009/xmlenc11#rsa-oaep" if digest == sha256 && mask.ends_with("#mgf1sha256") => Ok(&OAEP_SHA256_MGF1SHA256),
        other => Err(format!(
            "the encryption of the key, {other} with {digest}, is not taken; let the provider use RSA-OAEP"
        )),
    }
}

fn value(element: &Element) -> Result<Vec<u8>, String> {
    bytes(element.one(XENC, "CipherData")?.one(XENC, "CipherValue")?)
}

/// The nonce stands before the text, and with GCM the tag behind it.
fn decrypt(is_gcm: bool, key: &[u8], mut hidden: Vec<u8>) -> Option<Vec<u8>> {
    if is_gcm {
        let algorithm = if key.len() == 16 { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, key).ok()?);
        let nonce = aead::Nonce::try_assume_unique_for_key(hidden.get(..12)?).ok()?;
        let mut text = hidden.split_off(12);
        let length = key.open_in_place(nonce, aead::Aad::empty(), &mut text).ok()?.len();
        text.truncate(length);
        return Some(text);
    }
    let algorithm = if key.len() == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
    let key = PaddedBlockDecryptingKey::cbc_iso10126(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let start: [u8; 16] = hidden.get(..16)?.try_into().ok()?;
    let mut text = hidden.split_off(16);
    let length = key.decrypt(&mut text, DecryptionContext::Iv128(start.into())).ok()?.len();
    text.truncate(length);
    Some(text)
}
