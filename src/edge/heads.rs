//! The reading of heads, as the fuzz targets in `tests/fuzz` call it. Nothing else does.

use crate::{balance, cache, compress, decide, headers};
use http::{HeaderMap, Method};
use pingora::http::{RequestHeader, ResponseHeader};
use std::net::IpAddr;

/// Size of the head of an app's answer, and of its body, if both are known from the head.
pub fn answer(bytes: &[u8], head_only: bool) -> Option<(usize, u64)> {
    let method = if head_only { Method::HEAD } else { Method::GET };
    match headers::read_plain(bytes, &method) {
        headers::Read::Plain(head) => Some((head.size, head.length)),
        headers::Read::Partial | headers::Read::Other => None,
    }
}

pub fn host(written: &str) -> String {
    decide::normal_host(written).into_owned()
}

/// As a proxy names a client.
pub fn address(text: &str) -> Option<IpAddr> {
    headers::address_in(text)
}

pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    balance::cookie(headers, name)
}

/// Why a request with this head could be read in two ways.
pub fn ambiguous(headers: &HeaderMap, raw: &[u8]) -> Option<&'static str> {
    decide::ambiguous(headers, raw)
}

/// Whatever a cache asks of the headers of a request and of its answer.
pub fn kept(headers: &HeaderMap) {
    let (Ok(mut request), Ok(mut answer)) = (RequestHeader::build("GET", b"/", None), ResponseHeader::build(200, None)) else {
        return;
    };
    for (name, value) in headers {
        let _ = request.append_header(name.clone(), value.clone());
        let _ = answer.append_header(name.clone(), value.clone());
    }
    let _ = cache::is_about(&request);
    let _ = cache::is_known(headers, headers);
    let _ = compress::Coding::wanted(headers);
    cache::rehearse(&request, &answer);
}
