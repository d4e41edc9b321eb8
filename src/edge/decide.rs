//! What a request gets, from its head alone: an answer of the edge's own, or a site that serves it.

use crate::{
    answers::Answer,
    connection::{Guest, Port},
    gate,
    headers::Caller,
    table::{Serves, Site, Table},
};
use http::{HeaderMap, HeaderValue, Method, Version, header};
use pingora::http::RequestHeader;
use std::{borrow::Cow, net::IpAddr, sync::Arc};

pub(crate) enum Decision {
    /// A site, and the host as the client wrote it.
    Serve(Arc<Site>, HeaderValue),
    /// The answer to a certificate authority (RFC 8555, 8.3).
    Challenge(Box<str>),
    /// Permanently elsewhere.
    Redirect(String),
    Answer(Answer),
}

/// What does not change while the edge runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The port that links to `https` name; `None` when the edge has none, and then nobody is sent there.
    pub https_port: Option<u16>,
    pub head_bytes: usize,
}

const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// `raw` is the head as it came, for HTTP/1.
pub(crate) fn decide(request: &RequestHeader, raw: Option<&[u8]>, guest: &Guest, caller: &Caller, table: &Table, rules: Rules) -> Decision {
    if let Some(raw) = raw {
        if raw.len() > rules.head_bytes {
            return Decision::Answer(Answer::head_too_large());
        }
        if let Some(why) = ambiguous(&request.headers, raw) {
            return Decision::Answer(Answer::bad_request(why));
        }
    }
    if request.method == Method::CONNECT {
        return Decision::Answer(Answer::no_tunnels());
    }
    let Some(written) = host_of(request) else {
        return Decision::Answer(Answer::bad_request("The request names no host."));
    };
    let path = request.uri.path();
    if let Some(token) = path.strip_prefix(CHALLENGE)
        && let Some(answer) = table.challenges.get(token)
    {
        return Decision::Challenge(answer.clone());
    }
    let host = normal_host(written.to_str().unwrap_or_default());
    match guest.port {
        Port::Panel => return to_panel(&table.panel, request, caller, table, written),
        Port::Mistaken => return redirect(request, &host, guest.local.port()),
        Port::Https if guest.server_name.as_deref().is_some_and(|name| name != host) => return Decision::Answer(Answer::misdirected()),
        Port::Https | Port::Http => {}
    }
    let Some(site) = table.site(&host) else {
        return Decision::Answer(Answer::no_such_host(&host));
    };
    match rules.https_port {
        Some(port) if guest.port == Port::Http && !caller.secure && site.force_https => redirect(request, &host, port),
        _ if matches!(site.leads.serves, Serves::Panel(_)) => to_panel(site, request, caller, table, written),
        _ => Decision::Serve(site.clone(), written),
    }
}

/// To the panel itself, for those who may reach it from where they are.
fn to_panel(site: &Arc<Site>, request: &RequestHeader, caller: &Caller, table: &Table, written: HeaderValue) -> Decision {
    match gate::admits(&table.gate, caller.ip, &request.method, request.uri.path(), &request.headers) {
        true => Decision::Serve(site.clone(), written),
        false => Decision::Answer(Answer::not_from_here()),
    }
}

/// Framing on which two servers could disagree (RFC 9112, 6.1 and 11.2). pingora has refused the rest: several
/// different lengths, lengths that are no number, codings that do not end in `chunked`, any coding in HTTP/1.0.
pub(crate) fn ambiguous(headers: &HeaderMap, raw: &[u8]) -> Option<&'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Some("Only one Transfer-Encoding is understood here: chunked.");
        }
        // pingora drops the length when there is a coding; so the raw head is asked.
        let has_length = raw
            .split(|byte| *byte == b'\n')
            .any(|line| line.len() >= 15 && line[..15].eq_ignore_ascii_case(b"content-length:"));
        if has_length {
            return Some("The request has both a Content-Length and a Transfer-Encoding.");
        }
    }
    None
}

/// The authority that the request is for, as the client wrote it.
fn host_of(request: &RequestHeader) -> Option<HeaderValue> {
    match request.headers.get(header::HOST) {
        Some(host) if !host.is_empty() => Some(host.clone()),
        // HTTP/1.0 has no duty to name one; it gets the page for no such host.
        Some(host) if request.version < Version::HTTP_11 => Some(host.clone()),
        None if request.version < Version::HTTP_11 => Some(HeaderValue::from_static("")),
        _ => request
            .uri
            .authority()
            .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()),
    }
}

/// Without port, brackets and last dot, in lower case; allocates only for capitals.
pub(crate) fn normal_host(written: &str) -> Cow<'_, str> {
    let host = match written.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => written.split(':').next().unwrap_or_default(),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// To the same path on `https`.
fn redirect(request: &RequestHeader, host: &str, port: u16) -> Decision {
    let plain = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
    if host.is_empty() || !plain {
        return Decision::Answer(Answer::no_such_host(""));
    }
    let host = if host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    Decision::Redirect(format!("https://{host}{port}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (written, host) in [
            ("blog.test", "blog.test"),
            ("Blog.Test:8080", "blog.test"),
            ("blog.test.", "blog.test"),
            ("blog.test.:80", "blog.test"),
            ("[::1]:443", "::1"),
            ("[::1]", "::1"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("", ""),
            ("[", ""),
        ] {
            assert_eq!(normal_host(written), host, "{written}");
        }
    }

    #[test]
    fn framing() {
        let check = |head: &[u8], fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            ambiguous(&headers, head).is_some()
        };
        assert!(!check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[]));
        assert!(!check(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            &[("transfer-encoding", "Chunked")]
        ));
        assert!(check(
            b"POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\n",
            &[("transfer-encoding", "chunked")]
        ));
        assert!(check(b"", &[("transfer-encoding", "gzip, chunked")]));
        assert!(check(b"", &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]));
    }
}
