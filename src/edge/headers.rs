//! Which headers pass through the edge, and which it writes itself.

use crate::connection::Guest;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request, response};
use pingora::http::{RequestHeader, ResponseHeader};

/// The address of the client, for the panel: the edge sets it on every request and drops it from the client's.
/// So a request on the panel's socket that has it came from outside, and one without it from this machine.
pub const CLIENT_HEADER: &str = "x-serverkit-client";

static CLIENT: HeaderName = HeaderName::from_static(CLIENT_HEADER);
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Where a request goes: the panel gets one header more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiver {
    App,
    Panel,
}

/// The request as the app gets it: without hop-by-hop headers (RFC 9110, 7.6.1) and without what only the edge may
/// say about the client.
pub(crate) fn to_upstream(
    from: &RequestHeader,
    host: &HeaderValue,
    guest: &Guest,
    receiver: Receiver,
    websocket: bool,
    chunked: bool,
) -> Box<RequestHeader> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = from.method.clone();
    parts.version = http::Version::HTTP_11;
    if let Some(path) = from.uri.path_and_query() {
        parts.uri = Uri::from(path.clone());
    }
    let mut headers = HeaderMap::with_capacity(from.headers.len() + 8);
    headers.append(header::HOST, host.clone());
    let nominated = nominations(&from.headers);
    for (name, value) in &from.headers {
        if *name == header::COOKIE && headers.contains_key(header::COOKIE) {
            continue; // joined below
        }
        if !dropped(name) && !nominated.contains(&name.as_str()) {
            headers.append(name.clone(), value.clone());
        }
    }
    join_cookies(&from.headers, &mut headers);
    if websocket {
        headers.append(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.append(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    if chunked {
        headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    headers.append(FORWARDED_FOR.clone(), guest.address.clone());
    headers.append(REAL_IP.clone(), guest.address.clone());
    headers.append(FORWARDED_HOST.clone(), host.clone());
    headers.append(FORWARDED_PORT.clone(), guest.port_text.clone());
    headers.append(
        FORWARDED_PROTO.clone(),
        HeaderValue::from_static(if guest.secure() { "https" } else { "http" }),
    );
    if receiver == Receiver::Panel {
        headers.append(CLIENT.clone(), guest.address.clone());
    }
    parts.headers = headers;
    let mut request = RequestHeader::from(parts);
    if !from.raw_path_is_utf8() {
        // A path that is no UTF-8 is passed on byte for byte; `set_raw_path` takes what the parser took.
        let _ = request.set_raw_path(from.raw_path());
    }
    Box::new(request)
}

/// HTTP/2 may split cookies over several headers; an HTTP/1.1 server expects one (RFC 9113, 8.2.3).
fn join_cookies(from: &HeaderMap, to: &mut HeaderMap) {
    let mut cookies = from.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let mut joined = Vec::new();
    for cookie in from.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        to.insert(header::COOKIE, joined);
    }
}

/// Headers that end here. `_` counts as `-`: CGI and WSGI apps see both as the same variable.
fn dropped(name: &HeaderName) -> bool {
    let text = name.as_str();
    match text.as_bytes()[0] {
        b'c' => text == "connection",
        b'e' => text == "expect",
        b'f' => text == "forwarded",
        b'h' => text == "host" || text == "http2-settings",
        b'k' => text == "keep-alive",
        b'p' => matches!(text, "proxy" | "proxy-connection" | "proxy-authorization" | "proxy-authenticate"),
        b't' => matches!(text, "te" | "trailer" | "transfer-encoding"),
        b'u' => text == "upgrade",
        b'x' => {
            let begins = |prefix: &str| {
                text.len() >= prefix.len() && text.bytes().zip(prefix.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
            };
            begins("x-forwarded") || (begins("x-real-ip") && text.len() == 9) || begins("x-serverkit-")
        }
        _ => false,
    }
}

/// The headers that `Connection` declares to be for this hop only. Empty for nearly every request.
fn nominations(headers: &HeaderMap) -> Vec<&str> {
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for token in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            // What the app needs to see cannot be taken away by naming it here.
            let kept = [
                "keep-alive",
                "close",
                "upgrade",
                "host",
                "content-length",
                "cookie",
                "authorization",
                "content-type",
            ];
            if !token.is_empty() && !kept.iter().any(|kept| token.eq_ignore_ascii_case(kept)) {
                names.push(token);
            }
        }
    }
    if names.iter().any(|name| name.bytes().any(|byte| byte.is_ascii_uppercase())) {
        names = headers
            .keys()
            .map(HeaderName::as_str)
            .filter(|name| names.iter().any(|token| token.eq_ignore_ascii_case(name)))
            .collect();
    }
    names
}

/// The response as the client gets it: without hop-by-hop headers and without what tells about the software behind.
pub(crate) fn to_client(from: &ResponseHeader, upgraded: bool) -> Box<ResponseHeader> {
    let (mut parts, ()): (response::Parts, ()) = http::Response::new(()).into_parts();
    parts.status = from.status;
    parts.version = http::Version::HTTP_11;
    let mut headers = HeaderMap::with_capacity(from.headers.len() + 3);
    for (name, value) in &from.headers {
        let text = name.as_str();
        let hop = match text.as_bytes()[0] {
            b'c' => text == "connection",
            b'k' => text == "keep-alive",
            b'p' => matches!(text, "proxy-connection" | "proxy-authenticate"),
            b's' => text == "server",
            b't' => matches!(text, "trailer" | "transfer-encoding"),
            b'u' => text == "upgrade",
            b'v' => text == "via",
            _ => false,
        };
        if !hop {
            headers.append(name.clone(), value.clone());
        }
    }
    if upgraded {
        headers.append(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.append(
            header::UPGRADE,
            from.headers
                .get(header::UPGRADE)
                .cloned()
                .unwrap_or(HeaderValue::from_static("websocket")),
        );
    }
    parts.headers = headers;
    Box::new(ResponseHeader::from(parts))
}

/// A WebSocket handshake (RFC 6455, 4.1). Other upgrades are not passed on: what they turn the connection into
/// nobody has checked.
pub(crate) fn is_websocket(request: &request::Parts) -> bool {
    request.version == http::Version::HTTP_11
        && request.method == http::Method::GET
        && has_token(&request.headers, &header::UPGRADE, "websocket")
        && has_token(&request.headers, &header::CONNECTION, "upgrade")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_about_the_client_end_here() {
        for (name, gone) in [
            ("x-forwarded-for", true),
            ("x_forwarded_for", true),
            ("x-forwarded-prefix", true),
            ("x-real-ip", true),
            ("x_real_ip", true),
            ("x-serverkit-client", true),
            ("x_serverkit_client", true),
            ("forwarded", true),
            ("proxy", true),
            ("te", true),
            ("upgrade", true),
            ("x-request-id", false),
            ("x-real-ipx", false),
            ("cf-connecting-ip", false),
            ("accept", false),
        ] {
            assert_eq!(dropped(&HeaderName::from_bytes(name.as_bytes()).expect("valid")), gone, "{name}");
        }
    }

    #[test]
    fn connection_names_headers_but_never_those_an_app_relies_on() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::CONNECTION,
            HeaderValue::from_static("keep-alive, X-Hop, Host, Authorization"),
        );
        headers.append("x-hop", HeaderValue::from_static("1"));
        assert_eq!(nominations(&headers), ["x-hop"]);
    }
}
