//! The greeting of TLS (RFC 8446, 4.1.2), as far as the name in it (RFC 6066, 3).

/// What is known of a greeting from its first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// In lower case, without a last dot.
    Name(Box<str>),
    /// It has no name, or is no greeting.
    None,
    /// More bytes are needed.
    Partial,
}

/// Reads the name; the greeting may span several records.
pub fn server_name(bytes: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        // A record: type 22 (handshake), version, length.
        let [kind, major, _, high, low, after @ ..] = rest else {
            let plausible = rest.first().is_none_or(|kind| *kind == 22) && rest.get(1).is_none_or(|major| *major == 3);
            return if plausible { Hello::Partial } else { Hello::None };
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind != 22 || *major != 3 || length == 0 || length > 1 << 14 {
            return Hello::None;
        }
        let part = &after[..length.min(after.len())];
        message.extend_from_slice(part);
        if message.first().is_some_and(|kind| *kind != 1) {
            return Hello::None;
        }
        if let [_, a, b, c, body @ ..] = message.as_slice() {
            let wanted = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if wanted > 1 << 16 {
                return Hello::None;
            }
            if body.len() >= wanted {
                return name_in(&body[..wanted]).map_or(Hello::None, Hello::Name);
            }
        }
        if after.len() < length {
            return Hello::Partial;
        }
        rest = &after[length..];
    }
}

/// Takes a field with its length, `size` bytes, before it.
fn field<'a>(bytes: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_at_checked(size)?;
    let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    let (field, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(field)
}

fn name_in(body: &[u8]) -> Option<Box<str>> {
    let mut rest = body.get(34..)?; // version and random
    field(&mut rest, 1)?; // session
    field(&mut rest, 2)?; // cipher suites
    field(&mut rest, 1)?; // compression
    let mut extensions = field(&mut rest, 2)?;
    while let Some((kind, after)) = extensions.split_at_checked(2) {
        extensions = after;
        let mut content = field(&mut extensions, 2)?;
        if kind == [0, 0] {
            let mut names = field(&mut content, 2)?;
            let (kind, after) = names.split_at_checked(1)?;
            names = after;
            let name = field(&mut names, 2)?;
            let name = std::str::from_utf8(name).ok().filter(|_| kind == [0])?;
            return Some(name.trim_end_matches('.').to_ascii_lowercase().into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn greeting(name: &'static str) -> Vec<u8> {
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name.try_into().expect("a name")).expect("a client");
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("written");
        bytes
    }

    #[test]
    fn the_name_is_found_and_no_sooner() {
        let bytes = greeting("Blog.Test");
        assert_eq!(server_name(&bytes), Hello::Name("blog.test".into()));
        for cut in 0..bytes.len() {
            assert_eq!(server_name(&bytes[..cut]), Hello::Partial, "cut to {cut}");
        }
        assert_eq!(server_name(&greeting("127.0.0.1")), Hello::None);
        // The same in records of 7 bytes.
        let pieces: Vec<u8> = bytes[5..]
            .chunks(7)
            .flat_map(|part| [&[22, 3, 1, 0, u8::try_from(part.len()).expect("small")][..], part].concat())
            .collect();
        assert_eq!(server_name(&pieces), Hello::Name("blog.test".into()));
    }

    #[test]
    fn nonsense_is_no_greeting() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[22, 3, 1, 0, 0],
            &[22, 3, 1, 0, 1, 2],
            &[22, 2, 0, 0, 0],
        ] {
            assert_eq!(server_name(bytes), Hello::None, "{bytes:?}");
        }
        let bytes = greeting("a.test");
        for place in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = bytes.clone();
                bad[place] = value;
                let _ = server_name(&bad); // must not panic
            }
        }
    }
}
