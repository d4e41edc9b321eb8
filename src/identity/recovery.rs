//! Recovery codes: ten words on paper for the day when the phone is gone. Each works once.

use crate::token;
use types::{Secret, UserId, World};

const CODES: usize = 10;
/// Letters of 5 bits: 80 bits, which nobody tries out, also not against a hash.
const LETTERS: usize = 16;
const GROUP: usize = 4;

/// Ten new ones as people read them: `abcd-efgh-ijkl-mnop`.
pub fn new(world: &World) -> Vec<Secret> {
    (0..CODES)
        .map(|_| {
            let word = world.word(LETTERS);
            let groups: Vec<&str> = (0..LETTERS / GROUP)
                .map(|group| &word[group * GROUP..(group + 1) * GROUP])
                .collect();
            Secret::from(groups.join("-"))
        })
        .collect()
}

/// What is kept of one. The person's id before it makes the same code of two people differ.
pub fn hash(user: &UserId, code: &Secret) -> String {
    token::hash(&format!("{user}:{}", plain(code.expose_str().unwrap_or_default())))
}

/// Whether it could be one, so that six digits are not looked for among them.
pub fn looks_like_one(code: &str) -> bool {
    let plain = plain(code);
    plain.len() == LETTERS && plain.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

/// The place of the code among the hashes; all are looked at.
pub fn place(user: &UserId, code: &Secret, hashes: &[String]) -> Option<usize> {
    let wanted = hash(user, code);
    let mut found = None;
    for (place, hash) in hashes.iter().enumerate() {
        if token::same(hash, &wanted) {
            found = Some(place);
        }
    }
    found
}

/// Without spaces and dashes, in lower case.
fn plain(code: &str) -> String {
    let letters = code.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_as_people_type_them() {
        let world = World::system();
        let (user, other): (UserId, UserId) = (world.id(), world.id());
        let codes = new(&world);
        let hashes: Vec<String> = codes.iter().map(|code| hash(&user, code)).collect();
        assert_eq!(codes.len(), 10);
        let text = codes[3].expose_str().expect("text");
        assert_eq!((text.len(), text.matches('-').count()), (19, 3));
        for typed in [
            text.to_owned(),
            text.to_uppercase(),
            text.replace('-', ""),
            format!("  {} ", text.replace('-', " ")),
        ] {
            assert!(looks_like_one(&typed), "{typed}");
            assert_eq!(place(&user, &typed.as_str().into(), &hashes), Some(3), "{typed}");
            assert_eq!(place(&other, &typed.as_str().into(), &hashes), None, "of somebody else");
        }
        for wrong in ["", "123456", "aaaa-aaaa-aaaa-aaaa", &text[1..]] {
            assert_eq!(place(&user, &wrong.into(), &hashes), None, "{wrong}");
        }
        assert!(!looks_like_one("123456") && !looks_like_one("") && !looks_like_one("1111-1111-1111-1111"));
    }
}
