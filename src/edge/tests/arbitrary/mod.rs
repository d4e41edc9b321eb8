//! What holds of every input, on some hundreds of them that look like the real ones; `tests/fuzz` has the same for a fuzzer.

use proptest::prelude::*;
use serverkit_edge::{
    hello::{Hello, server_name},
    proxy_protocol::{header, read},
};
use types::{HostPattern, ProxyVersion, Redirect, encoded_path, is_below, normal_path};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn greetings(begin in prop::sample::select(vec![&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\0\x40\x01\0\0\x3c\x03\x03"]), rest in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [begin, &rest].concat();
        let whole = server_name(&bytes);
        for cut in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
            match server_name(&bytes[..cut]) {
                Hello::Partial => {}
                early => prop_assert_eq!(early, whole.clone()),
            }
        }
    }

    #[test]
    fn proxy_headers(begin in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 1.2.3.4 ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"]), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [begin, &rest].concat();
        if let Ok(Some(told)) = read(&bytes) {
            prop_assert!(told.size <= bytes.len());
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let written = header(version, told.between);
                let again = read(&written).expect("our own header").expect("whole");
                prop_assert_eq!(again.size, written.len());
            }
        }
    }

    #[test]
    fn paths(text in "(/|[a-z.%/?\\\\]|%2[efEF]|%5c|\\PC){0,40}") {
        if let Some(normal) = normal_path(&text) {
            prop_assert!(normal.starts_with('/'));
            prop_assert!(!normal.split('/').any(|part| part == ".." || part == "."));
            prop_assert!(!normal.contains("//") && !normal.contains('\0'));
            let again = normal_path(&encoded_path(&normal)).map(|path| path.into_owned());
            prop_assert_eq!(again.as_deref(), Some(&*normal));
            prop_assert!(is_below(&normal, "/"));
        }
    }

    #[test]
    fn redirects(rest in "([a-z./\\\\@:?%]|%0[ad]|%2[efEF]|%5c|\\PC){0,40}") {
        let uri = format!("/{rest}");
        let Some(path) = normal_path(&uri) else { return Ok(()) };
        let pattern: HostPattern = "*.example.test".parse().expect("a host");
        for (over, to, begins) in [
            (None, "{path}", "/"),
            (None, "{uri}", "/"),
            (Some("(?s)^(.*)$"), "/x$1", "/x"),
            (Some("(?s)^/(.*)$"), "/$1", "/"),
            (Some("(?s)^/(.*)$"), "https://new.test/$1", "https://new.test/"),
        ] {
            let redirect = Redirect { pattern: over.map(str::to_owned), to: to.to_owned(), status: 308 };
            let compiled = redirect.compile().expect("it can be used");
            let location = compiled.location("a.example.test", &pattern, &uri, &path).expect("it fits");
            prop_assert!(location.starts_with(begins), "{}", location);
            prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{}", location);
        }
    }
}
