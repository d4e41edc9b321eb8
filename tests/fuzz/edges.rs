//! What stands before the apps: greetings, the PROXY protocol, heads of requests and answers.

use edge::{
    heads,
    hello::{Hello, server_name},
    proxy_protocol::{header, read},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;
use types::ProxyVersion;

/// What was read as a name from the front stays so with more bytes.
pub(crate) fn hello(bytes: &[u8]) {
    let whole = server_name(bytes);
    for cut in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
        match server_name(&bytes[..cut]) {
            Hello::Partial => {}
            early => assert_eq!(early, whole),
        }
    }
}

/// What is read has its size, and reads the same when it is written again.
pub(crate) fn proxy_protocol(bytes: &[u8]) {
    let Ok(Some(told)) = read(bytes) else { return };
    assert!(told.size <= bytes.len());
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let written = header(version, told.between);
        let Ok(Some(again)) = read(&written) else {
            panic!("our own header is not understood: {written:?}")
        };
        assert_eq!(again.size, written.len());
        let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        if let (Some((from, to)), Some((from_again, to_again))) = (told.between, again.between) {
            assert_eq!((plain(from), plain(to)), (plain(from_again), plain(to_again)));
        }
    }
}

/// The end of an answer does not move with what comes behind its head.
pub(crate) fn answer_head(bytes: &[u8]) {
    for head_only in [false, true] {
        let Some((size, length)) = heads::answer(bytes, head_only) else {
            continue;
        };
        assert!(size <= bytes.len());
        assert_eq!(heads::answer(&bytes[..size], head_only), Some((size, length)));
        assert!(!head_only || length == 0);
    }
}

/// Names and values as a client may send them: one `Name: value` on a line.
fn map(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(60) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&line[..colon]),
            HeaderValue::from_bytes(line[colon + 1..].trim_ascii()),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

/// Hosts, cookies, who asks, and what caches are told.
pub(crate) fn headers(bytes: &[u8]) {
    let headers = map(bytes);
    for value in headers.values() {
        let Ok(text) = value.to_str() else { continue };
        let host = heads::host(text);
        assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()), "{host}");
        assert!(host.len() <= text.len());
        if let Some(address) = heads::address(text) {
            assert_eq!(address, address.to_canonical());
        }
    }
    if let Some(value) = heads::cookie(&headers, "place") {
        assert!(!value.contains(';'), "{value}");
    }
    if heads::ambiguous(&headers, bytes).is_none() {
        let codings = headers.get_all("transfer-encoding").iter().count();
        assert!(codings <= 1, "two codings are two opinions");
    }
    heads::kept(&headers);
}
