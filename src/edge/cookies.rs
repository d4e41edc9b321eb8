//! Cookies on their way to apps and back. Browsers bind a cookie to a host, not to a port: whoever opens the panel as
//! `https://HOST:8443` shows its cookies to an app on `https://HOST` too. So those of the panel end here, both ways.

use http::{HeaderMap, HeaderValue, header};
use pingora::http::ResponseHeader;

/// What the names of all the panel's cookies begin with, after a prefix such as `__Host-`.
const PANELS: &[u8] = b"serverkit_";

/// What an app gets in place of the cookies of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// As they are.
    Same,
    One(HeaderValue),
    None,
}

/// HTTP/2 may split cookies over several headers; an HTTP/1.1 server expects one (RFC 9113, 8.2.3). `to_app`: without the panel's.
pub(crate) fn outgoing(from: &HeaderMap, to_app: bool) -> Cookies {
    let mut values = from.get_all(header::COOKIE).iter();
    let Some(first) = values.next() else { return Cookies::Same };
    let mut all: Option<Vec<u8>> = None;
    for value in values {
        let joined = all.get_or_insert_with(|| first.as_bytes().to_vec());
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(value.as_bytes());
    }
    let written = all.as_deref().unwrap_or(first.as_bytes());
    if to_app && mentions(written) {
        let kept: Vec<&[u8]> = written.split(|byte| *byte == b';').filter(|pair| !is_panels(pair)).collect();
        let kept = kept.join(&b';');
        let kept = kept.trim_ascii();
        return match HeaderValue::from_bytes(kept) {
            Ok(value) if !kept.is_empty() => Cookies::One(value),
            _ => Cookies::None,
        };
    }
    match all.map(|joined| HeaderValue::from_bytes(&joined)) {
        Some(Ok(value)) => Cookies::One(value),
        _ => Cookies::Same,
    }
}

/// Takes away what would set or end one of the panel's cookies.
pub(crate) fn keep_panels(answer: &mut ResponseHeader) {
    let values = || answer.headers.get_all(header::SET_COOKIE).iter();
    if !values().any(sets_panels) {
        return;
    }
    let kept: Vec<HeaderValue> = values().filter(|value| !sets_panels(value)).cloned().collect();
    answer.remove_header(&header::SET_COOKIE);
    for value in kept {
        let _ = answer.append_header(header::SET_COOKIE, value);
    }
}

/// Whether this `Set-Cookie` names one of the panel's.
pub(crate) fn sets_panels(value: &HeaderValue) -> bool {
    let written = value.as_bytes();
    mentions(written) && is_panels(written.split(|byte| *byte == b';').next().unwrap_or_default())
}

/// Cheap, and false for nearly every request.
fn mentions(written: &[u8]) -> bool {
    written.windows(PANELS.len()).any(|part| part.eq_ignore_ascii_case(PANELS))
}

/// `NAME=VALUE`, or one without `=`, or with an empty name: browsers send the last two without `=`, and servers read them as
/// a name (RFC 6265bis, 5.7 and 8.7).
fn is_panels(pair: &[u8]) -> bool {
    let pair = pair.trim_ascii();
    let pair = match pair.strip_prefix(b"=") {
        Some(value) => value.trim_ascii_start(),
        None => pair,
    };
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let bare = match name.strip_prefix(b"__") {
        Some(rest) => rest.rsplit(|byte| *byte == b'-').next().unwrap_or_default(),
        None => name,
    };
    bare.len() >= PANELS.len() && bare[..PANELS.len()].eq_ignore_ascii_case(PANELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &'static str) -> Cookies {
        Cookies::One(HeaderValue::from_static(value))
    }

    #[test]
    fn apps_get_all_cookies_but_the_panels() {
        let cases: &[(&[&str], bool, Cookies)] = &[
            (&[], true, Cookies::Same),
            (&["a=1; b=serverkit"], true, Cookies::Same),
            (&["a=1", "b=2"], true, one("a=1; b=2")),
            (&["serverkit_session=x"], true, Cookies::None),
            (&["serverkit_session=x", "__Host-serverkit_session=y"], true, Cookies::None),
            (&["a=1; serverkit_refresh=x; b=2"], true, one("a=1; b=2")),
            (&["serverkit_session=x; a=1", "b=2"], true, one("a=1; b=2")),
            (&["a=1;__Secure-serverkit_x=y; b=2"], true, one("a=1; b=2")),
            (&["a=1; __Host-Http-serverkit_session=x; b=2;SERVERKIT_x"], true, one("a=1; b=2")),
            // Split where a browser joins, whatever quotes an app has put around it.
            (&["q=\"1; serverkit_session=x; r=2\""], true, one("q=\"1; r=2\"")),
            (
                &["not=serverkit_session; my_serverkit_x=1"],
                true,
                one("not=serverkit_session; my_serverkit_x=1"),
            ),
            (&["a=1; serverkit_session=x"], false, Cookies::Same),
            (&["a=1", "serverkit_session=x"], false, one("a=1; serverkit_session=x")),
        ];
        for (headers, to_app, expected) in cases {
            let mut from = HeaderMap::new();
            for value in *headers {
                from.append(header::COOKIE, HeaderValue::from_str(value).expect("a value"));
            }
            assert_eq!(outgoing(&from, *to_app), *expected, "{headers:?}");
        }
    }

    #[test]
    fn apps_set_no_cookie_of_the_panel() {
        for (value, gone) in [
            ("a=1; Path=/", false),
            ("a=serverkit_session; Path=/", false),
            ("a=1; Path=/serverkit_session", false),
            ("serverkit_session=x; Path=/", true),
            (" serverkit_refresh =x", true),
            ("__Host-serverkit_session=; Max-Age=0", true),
            ("__secure-Serverkit_x=1", true),
            ("=serverkit_session=x", true),
            ("serverkit_session", true),
        ] {
            let mut answer = ResponseHeader::build(200, None).expect("a status");
            for cookie in ["first=1", value, "last=1"] {
                let value = HeaderValue::from_str(cookie).expect("a value");
                answer.append_header(header::SET_COOKIE, value).expect("a header");
            }
            keep_panels(&mut answer);
            let left = answer.headers.get_all(header::SET_COOKIE).iter();
            let left: Vec<&str> = left.map(|value| value.to_str().expect("text")).collect();
            let expected = if gone {
                vec!["first=1", "last=1"]
            } else {
                vec!["first=1", value, "last=1"]
            };
            assert_eq!(left, expected);
        }
    }
}
