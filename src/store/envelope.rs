//! The bytes of one record on disk: version byte, CRC-32, revision, claims, then the value as JSON.
//!
//! The checksum covers the key and all that follows it, so that a record under a wrong key is noticed too. Claims are
//! beside the value so that the writer need not know the type.

use crate::codec::Cursor;
use types::{Error, Result};

/// A record's bytes, taken apart and checked.
pub struct Envelope<'a> {
    pub version: u8,
    /// The sequence number of the batch that wrote it.
    pub revision: u64,
    pub claims: Vec<&'a str>,
    pub json: &'a [u8],
}

pub fn encode(key: &str, version: u8, revision: u64, claims: &[String], json: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len() + 32);
    bytes.push(version);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&revision.to_le_bytes());
    bytes.extend_from_slice(&u16::try_from(claims.len()).expect("a record has a handful of claims").to_le_bytes());
    for claim in claims {
        bytes.extend_from_slice(&u16::try_from(claim.len()).expect("a claim is a short text").to_le_bytes());
        bytes.extend_from_slice(claim.as_bytes());
    }
    bytes.extend_from_slice(json);
    let checksum = checksum(key, &bytes);
    bytes[1..5].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Fails with `Internal` if the bytes are not what was written under `key`.
pub fn decode<'a>(key: &str, bytes: &'a [u8]) -> Result<Envelope<'a>> {
    open(key, bytes).ok_or_else(|| Error::internal(format!("reading the record `{key}`"), "it is damaged on disk"))
}

fn open<'a>(key: &str, bytes: &'a [u8]) -> Option<Envelope<'a>> {
    let mut cursor = Cursor(bytes);
    let version = cursor.u8()?;
    if cursor.u32()? != checksum(key, bytes) {
        return None;
    }
    let revision = cursor.u64()?;
    let mut claims = Vec::new();
    for _ in 0..cursor.u16()? {
        let length = cursor.u16()?;
        claims.push(std::str::from_utf8(cursor.take(usize::from(length))?).ok()?);
    }
    Some(Envelope {
        version,
        revision,
        claims,
        json: cursor.0,
    })
}

/// Over the key, the version byte, and what comes after the checksum's own place.
fn checksum(key: &str, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(&bytes[..1]);
    hasher.update(bytes.get(5..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let bytes = encode("apps/a", 3, 77, &["env/blog".into()], br#"{"a":1}"#);
        let envelope = decode("apps/a", &bytes).expect("own bytes");
        assert_eq!(
            (envelope.version, envelope.revision, envelope.json),
            (3, 77, br#"{"a":1}"#.as_slice())
        );
        assert_eq!(envelope.claims, ["env/blog"]);
        assert!(decode("apps/b", &bytes).is_err(), "under another key");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode("apps/a", &bad).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode("apps/a", &bytes[..length]).is_err(), "cut to {length}");
        }
    }
}
