//! Paths of requests, as rules see them: decoded once, without empty and dot segments. The path that an app gets stays as
//! the client wrote it; only what is compared with a rule goes through here, so that no spelling of a path gets around one.

use std::borrow::Cow;

/// `%xx` decoded once, `//` merged, `.` and `..` resolved (RFC 3986, 5.2.4), without the query. `None`: it climbs above
/// the root or holds a NUL, which no honest client writes. Allocates only where something changes.
pub fn normal_path(path: &str) -> Option<Cow<'_, str>> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let bytes = path.as_bytes();
    let plain = bytes.first() == Some(&b'/')
        && !bytes.contains(&b'%')
        && !bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
        && !bytes.contains(&0);
    if plain {
        return Some(Cow::Borrowed(path));
    }
    let decoded = decoded(bytes);
    if decoded.contains(&0) {
        return None;
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    let ends_open = decoded.ends_with(b"/") || decoded.ends_with(b"/.") || decoded.ends_with(b"/..");
    for part in decoded.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(decoded.len() + 1);
    for part in &parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() || ends_open {
        out.push(b'/');
    }
    Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

fn decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let value = match &bytes[at..] {
            [b'%', high, low, ..] => digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}

/// Whether `path`, a normal one, is `prefix` or lies below it: `/api` holds `/api` and `/api/x`, not `/apix`.
pub fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `text` as part of an address: everything that is not plainly allowed in a path is written as `%xx`.
pub fn encoded_path(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for (path, normal) in [
            ("/", Some("/")),
            ("", Some("/")),
            ("/a/b", Some("/a/b")),
            ("/a/b?c=../d", Some("/a/b")),
            ("//a///b/", Some("/a/b/")),
            ("/a/./b/.", Some("/a/b/")),
            ("/a/../b", Some("/b")),
            ("/a/b/..", Some("/a/")),
            ("/a/%2e%2e/b", Some("/b")),
            ("/%61dmin", Some("/admin")),
            ("/a%2fb", Some("/a/b")),
            ("/a%2Fb%", Some("/a/b%")),
            ("/%zz", Some("/%zz")),
            ("/%252e%252e/x", Some("/%2e%2e/x")),
            ("/...", Some("/...")),
            ("/.well-known/x", Some("/.well-known/x")),
            ("/..", None),
            ("/a/../../b", None),
            ("/%2e%2e/etc/passwd", None),
            ("/a%00b", None),
            ("*", Some("/*")),
        ] {
            assert_eq!(normal_path(path).as_deref(), normal, "{path}");
        }
    }

    #[test]
    fn prefixes_end_at_a_segment() {
        for (path, prefix, below) in [
            ("/api", "/api", true),
            ("/api/", "/api", true),
            ("/api/x", "/api/", true),
            ("/apix", "/api", false),
            ("/x", "/", true),
            ("/", "/", true),
            ("/ap", "/api", false),
        ] {
            assert_eq!(is_below(path, prefix), below, "{path} below {prefix}");
        }
        assert_eq!(encoded_path("/a b\r\n?ü"), "/a%20b%0D%0A%3F%C3%BC");
    }
}
