//! Secrets and passwords that nobody typed, from the world's randomness.

use super::{Alphabet, Asked, AskedKind};
use types::World;

const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Without letters that look alike: it is read from a screen and typed.
const TYPED: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
/// Short, common, each with another beginning: 8 bits a word.
const SYLLABLES: [&str; 16] = [
    "ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "za",
];

/// A new value for a secret or password; `None` for what is not generated.
pub fn generated(asked: &Asked, world: &World) -> Option<String> {
    if !asked.is_generated() {
        return None;
    }
    let (letters, usual) = match asked.kind {
        AskedKind::Secret => (ALNUM, 32),
        AskedKind::Password => (TYPED, 20),
        _ => return None,
    };
    let length = asked.length.unwrap_or(usual);
    Some(match asked.alphabet {
        None => pick(letters, length, world),
        Some(Alphabet::Alnum) => pick(ALNUM, length, world),
        Some(Alphabet::Hex) => pick(b"0123456789abcdef", length, world),
        Some(Alphabet::Digits) => pick(b"0123456789", length, world),
        // Whole groups of four letters decode, and need no padding.
        Some(Alphabet::Base64) => pick(BASE64, length.next_multiple_of(4), world),
        Some(Alphabet::Words) => words(length, world),
    })
}

/// Every letter equally likely: bytes that would favour the first ones are thrown away.
fn pick(letters: &[u8], length: usize, world: &World) -> String {
    let fair = 256 - 256 % letters.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in world.bytes::<64>() {
            let byte = usize::from(byte);
            if byte < fair && text.len() < length {
                text.push(char::from(letters[byte % letters.len()]));
            }
        }
    }
    text
}

fn words(count: usize, world: &World) -> String {
    let syllable = |index: u8| SYLLABLES[usize::from(index & 15)];
    let word = || {
        let bytes = world.bytes::<3>();
        bytes.map(syllable).concat()
    };
    (0..count.clamp(3, 12)).map(|_| word()).collect::<Vec<_>>().join("-")
}
