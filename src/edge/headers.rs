//! Which headers pass through the edge, and which it writes itself.

use crate::{
    connection::Guest,
    cookies::{self, Cookies},
    forward::Errand,
    limits::holds,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request, response};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use std::net::IpAddr;

/// The address of the client, for the panel: the edge sets it on every request and drops it from the client's.
/// So a request on the panel's socket that has it came from outside, and one without it from this machine.
pub const CLIENT_HEADER: &str = "x-serverkit-client";

static CLIENT: HeaderName = HeaderName::from_static(CLIENT_HEADER);
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Where a request goes: the panel gets one header more, and its own cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiver {
    App,
    Panel,
}

/// Who asks: the client of the connection, or whom a trusted proxy says it asks for.
#[derive(Debug)]
pub(crate) struct Caller {
    pub ip: IpAddr,
    /// The client speaks HTTPS, to us or to the proxy.
    pub secure: bool,
    /// `None`: as in [`Guest::address`].
    text: Option<HeaderValue>,
}

impl Caller {
    pub(crate) fn plain(guest: &Guest) -> Caller {
        Caller {
            ip: guest.ip,
            secure: guest.secure(),
            text: None,
        }
    }

    /// From a connection of a trusted proxy: the last address in `X-Forwarded-For` that is no trusted proxy itself.
    /// Everything before it could be made up by that client.
    pub(crate) fn told(guest: &Guest, headers: &HeaderMap, trusted: &[IpNet]) -> Caller {
        let values: Vec<&str> = headers
            .get_all(&FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let mut ip = guest.ip;
        for item in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            let Some(address) = address_in(item.trim()) else { break };
            ip = address;
            if !holds(trusted, address) {
                break;
            }
        }
        let proto = headers.get(&FORWARDED_PROTO).and_then(|proto| proto.to_str().ok());
        Caller {
            ip,
            secure: match proto.and_then(|proto| proto.rsplit(',').next()).map(str::trim) {
                Some(proto) => proto.eq_ignore_ascii_case("https"),
                None => guest.secure(),
            },
            text: HeaderValue::from_str(&ip.to_string()).ok(),
        }
    }

    pub(crate) fn text<'a>(&'a self, guest: &'a Guest) -> &'a HeaderValue {
        self.text.as_ref().unwrap_or(&guest.address)
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
pub(crate) fn address_in(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').split(']').next().unwrap_or_default();
    let parsed = bare.parse::<IpAddr>().ok().or_else(|| bare.split_once(':')?.0.parse().ok());
    parsed.map(|address| address.to_canonical())
}

/// A request on its way to an app.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub request: &'a RequestHeader,
    pub errand: &'a Errand<'a>,
    pub guest: &'a Guest,
    pub receiver: Receiver,
}

impl Outgoing<'_> {
    /// The headers as the app gets them: without hop-by-hop ones (RFC 9110, 7.6.1) and with what only the edge may say
    /// about the client.
    fn each_header(&self, mut put: impl FnMut(&HeaderName, &HeaderValue)) {
        let errand = self.errand;
        put(&header::HOST, errand.upstream_host.unwrap_or(errand.host));
        let from = &self.request.headers;
        let nominated = nominations(from);
        let cookies = cookies::outgoing(from, self.receiver == Receiver::App);
        for (name, value) in from {
            if dropped(name) || nominated.contains(&name.as_str()) || (cookies != Cookies::Same && *name == header::COOKIE) {
                continue;
            }
            if errand.for_cache && matches!(name.as_str(), "accept-encoding" | "if-none-match" | "if-modified-since") {
                continue;
            }
            if errand.more.iter().any(|(other, _)| other == name) {
                continue;
            }
            put(name, value);
        }
        for (name, value) in errand.more.iter().chain(&errand.validators) {
            put(name, value);
        }
        if let Cookies::One(cookies) = &cookies
            && !errand.more.iter().any(|(name, _)| *name == header::COOKIE)
        {
            put(&header::COOKIE, cookies);
        }
        let client = errand.caller.text(self.guest);
        put(&FORWARDED_FOR, client);
        put(&REAL_IP, client);
        put(&FORWARDED_HOST, errand.host);
        if let Some(Ok(prefix)) = errand.prefix.map(HeaderValue::from_str) {
            put(&FORWARDED_PREFIX, &prefix);
        }
        put(&FORWARDED_PORT, &self.guest.port_text);
        put(
            &FORWARDED_PROTO,
            &HeaderValue::from_static(if errand.caller.secure { "https" } else { "http" }),
        );
        if self.receiver == Receiver::Panel {
            put(&CLIENT, client);
        }
    }

    /// The request as one of pingora's sessions sends it.
    pub(crate) fn to_header(self, upgrade: Option<&HeaderValue>, chunked: bool) -> Box<RequestHeader> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = self.request.method.clone();
        parts.version = http::Version::HTTP_11;
        if let Some(path) = self.errand.path.and_then(|path| path.parse().ok()) {
            parts.uri = path;
        } else if let Some(path) = self.request.uri.path_and_query() {
            parts.uri = Uri::from(path.clone());
        }
        parts.headers.reserve(self.request.headers.len() + 8);
        self.each_header(|name, value| {
            parts.headers.append(name.clone(), value.clone());
        });
        if let Some(protocol) = upgrade {
            parts.headers.append(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            parts.headers.append(header::UPGRADE, protocol.clone());
        }
        if chunked {
            parts.headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let mut request = RequestHeader::from(parts);
        if self.errand.path.is_none() && !self.request.raw_path_is_utf8() {
            // A path that is no UTF-8 is passed on byte for byte; `set_raw_path` takes what the parser took.
            let _ = request.set_raw_path(self.request.raw_path());
        }
        Box::new(request)
    }

    /// The request as it goes over the wire, for one without a body. Names are written as `Content-Type`: HTTP does not
    /// care, some apps do.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.request.method.as_str().as_bytes());
        out.push(b' ');
        match self.request.uri.path_and_query() {
            _ if self.errand.path.is_some() => out.extend_from_slice(self.errand.path.unwrap_or("/").as_bytes()),
            _ if !self.request.raw_path_is_utf8() => {
                out.extend(
                    self.request
                        .raw_path()
                        .iter()
                        .filter(|byte| !matches!(byte, 0 | b' ' | b'\r' | b'\n')),
                );
            }
            Some(path) => out.extend_from_slice(path.as_str().as_bytes()),
            None => out.push(b'/'),
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.each_header(|name, value| {
            let mut begins = true;
            out.extend(name.as_str().bytes().map(|byte| {
                let written = if begins { byte.to_ascii_uppercase() } else { byte };
                begins = byte == b'-';
                written
            }));
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        });
        out.extend_from_slice(b"\r\n");
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
    let mut headers = HeaderMap::with_capacity(from.headers.len() + 3);
    for (name, value) in &from.headers {
        if !kept_back(name.as_str()) {
            headers.append(name.clone(), value.clone());
        }
    }
    if upgraded {
        let protocol = from.headers.get(header::UPGRADE).cloned();
        headers.append(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.append(header::UPGRADE, protocol.unwrap_or(HeaderValue::from_static("websocket")));
    }
    response_of(from.status, headers)
}

/// Whether a header of a response, in lower case, ends here.
fn kept_back(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => matches!(name, "proxy-connection" | "proxy-authenticate"),
        Some(b's') => name == "server",
        Some(b't') => matches!(name, "trailer" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        Some(b'v') => name == "via",
        _ => false,
    }
}

pub(crate) fn response_of(status: StatusCode, headers: HeaderMap) -> Box<ResponseHeader> {
    let (mut parts, ()): (response::Parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    Box::new(ResponseHeader::from(parts))
}

/// An answer whose end is known from its head, on a connection that stays open: nearly all of them.
pub(crate) struct PlainHead {
    pub to_client: Box<ResponseHeader>,
    /// Bytes of the head itself.
    pub size: usize,
    /// Bytes of the body.
    pub length: u64,
}

/// What the first bytes of an answer are.
pub(crate) enum Read {
    Plain(PlainHead),
    /// More bytes are needed.
    Partial,
    /// Something that pingora's session has to look at: chunks, 1xx answers, a connection that will close, or no HTTP.
    Other,
}

/// Reads the head of an answer to a request with `method` from `bytes`.
pub(crate) fn read_plain(bytes: &[u8], method: &Method) -> Read {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let size = match response.parse(bytes) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Read::Partial,
        Err(_) => return Read::Other,
    };
    let status = match response.code.map(StatusCode::from_u16) {
        Some(Ok(status)) if !status.is_informational() && response.version == Some(1) => status,
        _ => return Read::Other,
    };
    // The values share one copy of the head.
    let head = Bytes::copy_from_slice(&bytes[..size]);
    let mut headers = HeaderMap::with_capacity(response.headers.len() + 3);
    let mut length = None;
    for field in response.headers.iter() {
        let Ok(name) = HeaderName::from_bytes(field.name.as_bytes()) else {
            return Read::Other;
        };
        match name.as_str() {
            "transfer-encoding" => return Read::Other,
            "connection" if !field.value.eq_ignore_ascii_case(b"keep-alive") => return Read::Other,
            "content-length" => match declared(field.value) {
                Some(declared) if length.is_none() => length = Some(declared),
                _ => return Read::Other,
            },
            _ => {}
        }
        if kept_back(name.as_str()) {
            continue;
        }
        let Ok(value) = HeaderValue::from_maybe_shared(head.slice_ref_of(bytes, field.value)) else {
            return Read::Other;
        };
        headers.append(name, value);
    }
    let without_body = *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match if without_body { Some(0) } else { length } {
        Some(length) => Read::Plain(PlainHead {
            to_client: response_of(status, headers),
            size,
            length,
        }),
        None => Read::Other,
    }
}

/// A Content-Length: digits only (RFC 9110, 8.6).
fn declared(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

trait SliceOf {
    /// The part of this copy of `original` that is where `part` is in it.
    fn slice_ref_of(&self, original: &[u8], part: &[u8]) -> Bytes;
}

impl SliceOf for Bytes {
    fn slice_ref_of(&self, original: &[u8], part: &[u8]) -> Bytes {
        let begin = part.as_ptr() as usize - original.as_ptr() as usize;
        self.slice(begin..begin + part.len())
    }
}

/// The protocol that a client asks to change to (RFC 9110, 7.8): WebSocket or any other, one at a time. Not HTTP/2, which
/// would carry requests past the edge.
pub(crate) fn upgrade_of(request: &request::Parts) -> Option<&HeaderValue> {
    if request.version != http::Version::HTTP_11 || !has_token(&request.headers, &header::CONNECTION, "upgrade") {
        return None;
    }
    let mut values = request.headers.get_all(header::UPGRADE).iter();
    let protocol = values.next().filter(|_| values.next().is_none())?;
    let text = protocol.to_str().ok()?.to_ascii_lowercase();
    let fits = !text.is_empty() && !text.contains(',') && !["h2c", "h2", "http/", "tls/"].iter().any(|bad| text.starts_with(bad));
    fits.then_some(protocol)
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
    fn plain_answers_are_told_from_others() {
        let read = |text: &str| match read_plain(text.as_bytes(), &Method::GET) {
            Read::Plain(head) => format!("{} {}", head.to_client.status.as_u16(), head.length),
            Read::Partial => "partial".to_owned(),
            Read::Other => "other".to_owned(),
        };
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 5"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", "200 5"),
            ("HTTP/1.1 204 No Content\r\n\r\n", "204 0"),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 0"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "partial"),
            ("", "partial"),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", "other"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                "other",
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", "other"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "other"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "other"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "other"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "other"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "other"),
            (
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                "other",
            ),
            ("HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n", "other"),
            ("SSH-2.0-OpenSSH\r\n", "other"),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        let head = match read_plain(
            b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 1\r\nX-A: b\r\nx-a:  c \r\n\r\n!",
            &Method::HEAD,
        ) {
            Read::Plain(head) => head,
            _ => panic!("plain"),
        };
        assert_eq!((head.length, head.size), (0, 67));
        assert_eq!(head.to_client.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["b", "c"]);
        assert!(head.to_client.headers.get("server").is_none());
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
