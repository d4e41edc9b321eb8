//! The spellings under which a secret turns up in text: as it is, and as common tools encode and quote it.

use base64::{
    Engine,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{GeneralPurpose, general_purpose::NO_PAD, general_purpose::PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::{collections::BTreeSet, fmt::Write};

/// What is shorter is found in any text, so it is not looked for.
pub const SHORTEST: usize = 4;
/// Lines of a secret of several lines are looked for one by one, from this length on.
const SHORTEST_LINE: usize = 8;

/// Every spelling of `secret` that is looked for; none for secrets shorter than [`SHORTEST`] bytes.
pub fn spellings(secret: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in parts(secret) {
        add_base64(part, &mut found);
        add_percent(part, &mut found);
        found.insert(hex(part, false));
        found.insert(hex(part, true));
        match std::str::from_utf8(part) {
            Ok(text) => {
                found.insert(text.to_owned());
                add_json(text, &mut found);
                add_shell(text, &mut found);
            }
            // As log readers replace what is not UTF-8; what is left must still be telling.
            Err(_) if part.iter().filter(|byte| byte.is_ascii_graphic()).count() >= SHORTEST => {
                found.insert(String::from_utf8_lossy(part).into_owned());
            }
            Err(_) => {}
        }
    }
    found.retain(|spelling| spelling.len() >= SHORTEST && !spelling.trim().is_empty());
    found
}

/// The secret, without the newline at its end, and, as logs are cut into lines, each line of it.
fn parts(secret: &[u8]) -> Vec<&[u8]> {
    let whole = secret.trim_ascii_end();
    let mut parts = vec![secret, whole];
    if whole.contains(&b'\n') {
        let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        // The first and last line of PEM are the same for every key.
        parts.extend(lines.filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with(b"-----")));
    }
    parts.retain(|part| part.len() >= SHORTEST);
    parts.dedup();
    parts
}

/// Both alphabets, with and without padding, inside a longer text at each of the three alignments, and wrapped into
/// lines as `base64` (76 letters) and PEM (64) do.
fn add_base64(secret: &[u8], found: &mut BTreeSet<String>) {
    for alphabet in [&STANDARD, &URL_SAFE] {
        found.insert(encode(alphabet, secret, true));
        let whole = encode(alphabet, secret, false);
        for width in [64, 76] {
            if whole.len() > width {
                let lines = whole.as_bytes().chunks(width).filter(|line| line.len() >= SHORTEST_LINE);
                found.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
            }
        }
        found.insert(whole);
        for before in 0..3 {
            found.insert(encode_within(alphabet, secret, before));
        }
    }
}

/// The letters that depend on `secret` alone when `before` bytes stand before it and anything behind it.
fn encode_within(alphabet: &Alphabet, secret: &[u8], before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let first = (before * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    encode(alphabet, &bytes, false)[first..end].to_owned()
}

fn encode(alphabet: &Alphabet, bytes: &[u8], padded: bool) -> String {
    GeneralPurpose::new(alphabet, if padded { PAD } else { NO_PAD }).encode(bytes)
}

/// RFC 3986, unreserved letters.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// `encodeURIComponent` of JavaScript.
const COMPONENT: &AsciiSet = &STRICT.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// `encodeURI` of JavaScript.
const WHOLE: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b',')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b'#');
/// RFC 3986, `pchar`: a part of a path.
const PATH: &AsciiSet = &COMPONENT
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
/// `quote` of Python leaves the slash.
const QUOTE: &AsciiSet = &STRICT.remove(b'/');
/// The form encoding of the URL standard, before its spaces become `+`.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

fn add_percent(secret: &[u8], found: &mut BTreeSet<String>) {
    for set in [STRICT, COMPONENT, WHOLE, PATH, QUOTE, FORM, NON_ALPHANUMERIC] {
        let upper = percent_encode(secret, set).to_string();
        found.insert(lower_escapes(&upper));
        found.insert(upper.replace("%20", "+"));
        found.insert(lower_escapes(&upper).replace("%20", "+"));
        found.insert(upper);
    }
}

/// `%2F` becomes `%2f`; the rest stays.
fn lower_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut escape = 0;
    for letter in text.chars() {
        out.push(if escape > 0 { letter.to_ascii_lowercase() } else { letter });
        escape = if letter == '%' { 2 } else { u8::saturating_sub(escape, 1) };
    }
    out
}

fn hex(secret: &[u8], upper: bool) -> String {
    secret.iter().fold(String::new(), |mut out, byte| {
        let wrote = if upper {
            write!(out, "{byte:02X}")
        } else {
            write!(out, "{byte:02x}")
        };
        wrote.expect("a String takes what is written to it");
        out
    })
}

/// As JSON writers do it: the least; `/` as PHP; `<`, `>`, `&` as Go; beyond ASCII as Python; and JSON within JSON.
fn add_json(text: &str, found: &mut BTreeSet<String>) {
    let least = json(text);
    let slashes = least.replace('/', "\\/");
    let angles = least.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    for spelling in [least.clone(), slashes.clone(), angles, json(&least)] {
        found.insert(ascii(&spelling, false));
        found.insert(ascii(&spelling, true));
        found.insert(spelling);
    }
    found.insert(ascii(&slashes, false));
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

/// Letters beyond ASCII as `\uXXXX`.
fn ascii(text: &str, upper: bool) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let wrote = if upper {
                write!(out, "\\u{unit:04X}")
            } else {
                write!(out, "\\u{unit:04x}")
            };
            wrote.expect("a String takes what is written to it");
        }
    }
    out
}

/// Inside single and double quotes, and with backslashes as `printf %q` writes it.
fn add_shell(text: &str, found: &mut BTreeSet<String>) {
    found.insert(text.replace('\'', "'\\''"));
    found.insert(text.replace('\'', "'\"'\"'"));
    found.insert(text.replace('\'', "\\'"));
    found.insert(before_each(text, |letter| "\\\"$`".contains(letter)));
    found.insert(before_each(text, |letter| "\\\"$`!".contains(letter)));
    found.insert(before_each(text, |letter| {
        letter.is_ascii() && !letter.is_ascii_alphanumeric() && !"_@%+=:,./-".contains(letter)
    }));
    found.insert(before_each(text, |letter| {
        letter.is_ascii() && !letter.is_ascii_alphanumeric() && !"_@%+=:./-".contains(letter)
    }));
}

fn before_each(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if special(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(secret: &str, expected: &[&str]) {
        let found = spellings(secret.as_bytes());
        for spelling in expected {
            assert!(found.contains(*spelling), "{spelling:?} is not among {found:?}");
        }
    }

    #[test]
    fn spellings_of_common_tools() {
        check("hunter2", &["hunter2", "aHVudGVyMg==", "aHVudGVyMg", "68756e74657232"]);
        check(
            "a b/c&d",
            &["a%20b%2Fc%26d", "a%20b%2fc%26d", "a+b%2Fc%26d", "a%20b/c%26d", "a\\ b/c\\&d"],
        );
        check("tab\t\"q\"", &["tab\\t\\\"q\\\"", "tab\\\\t\\\\\\\"q\\\\\\\""]);
        check("it's$5", &["it'\\''s$5", "it's\\$5", "it\\'s\\$5", "it'\"'\"'s$5"]);
        check("Grüße", &["Gr\\u00fc\\u00dfe", "Gr\\u00FC\\u00DFe", "Gr%C3%BC%C3%9Fe"]);
        check("<a>&b/c", &["\\u003ca\\u003e\\u0026b/c", "<a>&b\\/c"]);
        check(
            "first line\nsecond line\n",
            &["first line", "second line", "first line\\nsecond line"],
        );
    }

    #[test]
    fn short_secrets_have_none() {
        for secret in ["", "a", "abc"] {
            assert!(spellings(secret.as_bytes()).is_empty(), "{secret}");
        }
        assert!(!spellings(b"abcd").is_empty());
    }

    #[test]
    fn the_frame_of_pem_is_not_a_secret() {
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";
        let found = spellings(key.as_bytes());
        assert!(found.contains("MC4CAQAwBQYDK2VwBCIEIA"));
        assert!(!found.contains("-----BEGIN PRIVATE KEY-----"));
    }
}
