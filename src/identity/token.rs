//! Random words that let somebody in, and their hashes. With 256 random bits no slow hash is needed.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use types::{Secret, World};

/// Letters of a word with 256 random bits.
const LETTERS: usize = 52;
const PREFIX: &str = "sk_";
const HINT: usize = 7;

/// A new API token. The secret is shown once and not kept.
pub struct NewToken {
    /// `sk_` and 52 letters.
    pub secret: Secret,
    /// SHA-256 of all of it, hex.
    pub hash: String,
    /// Its first letters, to tell tokens apart.
    pub hint: String,
}

pub fn new(world: &World) -> NewToken {
    let text = format!("{PREFIX}{}", world.word(LETTERS));
    NewToken {
        hash: hash(&text),
        hint: text[..HINT].to_owned(),
        secret: text.into(),
    }
}

/// A random word of 256 bits, for links and cookies.
pub fn word(world: &World) -> String {
    world.word(LETTERS)
}

/// SHA-256, hex.
pub fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` has this hash; takes the same time wherever they differ.
pub fn matches(text: &str, hash: &str) -> bool {
    self::hash(text).as_bytes().ct_eq(hash.as_bytes()).into()
}

/// Whether two texts are the same; takes the same time wherever they differ.
pub fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash() {
        let (one, two) = (new(&World::system()), new(&World::system()));
        let text = one.secret.expose_str().expect("text").to_owned();
        assert_eq!((text.len(), &text[..3]), (55, "sk_"));
        assert!(text.starts_with(&one.hint) && one.hint.len() == 7);
        assert!(matches(&text, &one.hash) && !matches(&text, &two.hash) && !matches("", &one.hash) && !matches(&text, ""));
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(same("a", "a") && !same("a", "b") && !same("a", "aa"));
    }
}
