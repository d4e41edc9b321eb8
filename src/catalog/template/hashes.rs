//! Functions of `{{ … }}`: encodings, and hashes that apps keep of a password.
//!
//! The same input gives the same output, salts too: they are made from the place and the value. Otherwise each
//! deployment would find a changed file and start its service anew.

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// What a URL's user, password or query may hold as it is (RFC 3986, 2.3).
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names and how many values each takes.
pub const FUNCTIONS: [(&str, usize); 9] = [
    ("base64", 1),
    ("sha256_hex", 1),
    ("bcrypt", 1),
    ("argon2", 1),
    ("jwt_hs256", 2),
    ("urlencode", 1),
    ("lower", 1),
    ("uuid", 1),
    ("gib", 1),
];

/// `salt` says for whom it is, so that one password does not look the same in two apps.
pub fn call(name: &str, values: &[String], salt: &str) -> Result<String, String> {
    let takes = FUNCTIONS.iter().find(|(own, _)| *own == name).map(|(_, takes)| *takes);
    match takes {
        None => return Err(format!("there is no function `{name}`")),
        Some(takes) if takes != values.len() => {
            let plural = if takes == 1 { "" } else { "s" };
            return Err(format!("`{name}` takes {takes} value{plural}, not {}", values.len()));
        }
        Some(_) => {}
    }
    let value = values[0].as_str();
    Ok(match name {
        "base64" => STANDARD.encode(value),
        "sha256_hex" => hex(&Sha256::digest(value)),
        "bcrypt" => bcrypt(value, salt)?,
        "argon2" => argon2(value, salt)?,
        "jwt_hs256" => jwt_hs256(value, &values[1])?,
        "urlencode" => utf8_percent_encode(value, &UNRESERVED).to_string(),
        "uuid" => uuid(value),
        "gib" => gib(value)?,
        _ => value.to_lowercase(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// MiB as GiB, such as 0.5, for programs that are told so.
fn gib(mib: &str) -> Result<String, String> {
    let mib: u32 = mib.parse().map_err(|_| "`gib` takes MiB, a whole number")?;
    Ok((f64::from(mib) / 1024.0).to_string())
}

/// Always the same for one value. Its form is that of version 8, which is free for such (RFC 9562).
fn uuid(value: &str) -> String {
    let mut bytes = Sha256::digest(value);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes[..16]);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn salted(value: &str, salt: &str, what: &str) -> [u8; 16] {
    let mut mac = Hmac::<Sha256>::new_from_slice(value.as_bytes()).expect("a key of any length fits");
    mac.update(what.as_bytes());
    mac.update(&[0]);
    mac.update(salt.as_bytes());
    let whole: [u8; 32] = mac.finalize().into_bytes().into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

fn bcrypt(value: &str, salt: &str) -> Result<String, String> {
    let hash = bcrypt::hash_with_salt(value, 10, salted(value, salt, "bcrypt")).map_err(|error| format!("bcrypt: {error}"))?;
    Ok(hash.format_for_version(bcrypt::Version::TwoB))
}

/// Argon2id as OWASP proposes: 19 MiB, 2 rounds, 1 lane.
fn argon2(value: &str, salt: &str) -> Result<String, String> {
    use argon2::{Argon2, PasswordHasher, password_hash::SaltString};
    let salt = SaltString::encode_b64(&salted(value, salt, "argon2")).map_err(|error| error.to_string())?;
    let hash = Argon2::default()
        .hash_password(value.as_bytes(), &salt)
        .map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// A token over `claims`, a JSON object. Source: RFC 7519.
fn jwt_hs256(secret: &str, claims: &str) -> Result<String, String> {
    let claims: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(claims).map_err(|error| format!("jwt_hs256: the claims are not a JSON object: {error}"))?;
    let body = serde_json::to_string(&claims).map_err(|error| error.to_string())?;
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(body)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length fits");
    mac.update(signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}
