//! The panel's UI and the documentation. A release embeds them as `build.rs` compressed them; debug builds read `ui-dist`
//! from disk, and make the documentation, at each request.
//!
//! Names with a version in them never change; all others are checked by their `ETag` at each use, so that a page never
//! mixes two versions.

use crate::{
    bundle::{self, Bundle},
    docs,
    document::made,
    signed::SESSION_COOKIE,
};
use bytes::Bytes;
use poem::{
    Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};
use rust_embed::RustEmbed;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    io::{Read, Write},
};

#[derive(RustEmbed)]
#[cfg_attr(embedded, folder = "$OUT_DIR/embedded")]
#[cfg_attr(not(embedded), folder = "$CARGO_MANIFEST_DIR/../../ui-dist")]
#[exclude = "types/*"]
#[exclude = "README.md"]
#[allow_missing = true]
struct Files;

/// The OpenAPI document, without spaces.
pub(crate) const DOCUMENT: &str = "api/openapi.json";
/// The documentation of the API.
pub(crate) const REFERENCE: &str = "api/docs.html";

/// The one page that sends a form elsewhere: to GitHub, or to an Enterprise Server wherever that is.
const APP_PAGE: &str = "forges/app";

/// What pages may load: their own origin and nothing else. No script and no style stands in a page itself.
pub(crate) const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What every page needs, said in its head, which a browser reads sooner than the page.
const FIRST_NEEDED: [&str; 4] = [
    "</first.js>; rel=modulepreload",
    "</first.css>; rel=preload; as=style",
    "</vendor/inter-latin-5.3.0.woff2>; rel=preload; as=font; type=\"font/woff2\"; crossorigin",
    "</api/v1/session>; rel=preload; as=fetch; crossorigin",
];
/// What a page asks the API for first: a browser with a session may ask at once, before the script is there to say so.
const FIRST_ASKED: [(&str, &str); 2] = [("", "overview"), ("marketplace", "catalog?limit=500")];

/// The file of the UI that the path names; the page for a path of the panel, which has no dot unless it ends in a host.
pub(crate) fn answer(request: &Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path().trim_start_matches('/');
    let mut answer = file(if is_page(path) { bundle::PAGE } else { path }, request.headers());
    if let (APP_PAGE, Some(answer)) = (path, &mut answer) {
        let policy = POLICY.replace("form-action 'self'", "form-action 'self' https: http:");
        let policy = HeaderValue::from_str(&policy).expect("it is made of letters and signs");
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if let (true, Some(answer)) = (is_page(path), &mut answer) {
        let signed = request.cookie().get(SESSION_COOKIE).is_some();
        answer.headers_mut().append(header::LINK, links(path, signed));
    }
    answer
}

/// What a browser may load while the page itself is still on its way.
fn links(path: &str, signed: bool) -> HeaderValue {
    let mut links = FIRST_NEEDED.join(", ");
    if let (true, Some((_, asked))) = (signed, FIRST_ASKED.iter().find(|(page, _)| *page == path)) {
        links.push_str(&format!(", </api/v1/{asked}>; rel=preload; as=fetch; crossorigin"));
    }
    HeaderValue::from_str(&links).expect("it is made of letters and signs")
}

fn is_page(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    !last.contains('.') || path.starts_with("domains/") || path.starts_with("dns/")
}

/// The file with this name, in an encoding that was asked for; `None` when there is none.
pub(crate) fn file(name: &str, asked: &HeaderMap) -> Option<Response> {
    let found = Found::by_name(name)?;
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let response = Response::builder()
        .header(header::ETAG, &found.etag)
        .header(header::CACHE_CONTROL, lifetime(name))
        .header(header::VARY, "Accept-Encoding");
    let known = text(header::IF_NONE_MATCH)
        .split(',')
        .any(|tag| tag.trim().trim_start_matches("W/") == found.etag);
    if known {
        return Some(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let response = response.content_type(kind(name));
    let (encoding, body) = found.body(text(header::ACCEPT_ENCODING));
    Some(match encoding {
        Some(encoding) => response.header(header::CONTENT_ENCODING, encoding).body(body),
        None => response.body(body),
    })
}

/// The OpenAPI document.
pub(crate) fn openapi() -> Value {
    serde_json::from_slice(&openapi_text()).expect("the document is JSON")
}

/// The same as text.
pub(crate) fn openapi_text() -> Bytes {
    let found = Found::by_name(DOCUMENT).expect("a release carries it, others make it");
    found.body("").1
}

/// A file as it is kept. Every browser of the last years takes Brotli over TLS; for others it is unpacked, and packed with gzip.
struct Found {
    etag: String,
    kept: Kept,
}

enum Kept {
    Plain(Bytes),
    Brotli(Bytes),
}

impl Found {
    fn by_name(name: &str) -> Option<Found> {
        if !cfg!(embedded)
            && let Some(text) = bundled(name)
        {
            return Some(Found::made(text));
        }
        if let Some((plain, etag)) = stored(name) {
            return Some(Found::plain(plain, etag));
        }
        if cfg!(embedded) {
            let (brotli, etag) = stored(&format!("{name}.br"))?;
            let kept = Kept::Brotli(brotli);
            return Some(Found { etag, kept });
        }
        let made = match name {
            DOCUMENT => serde_json::from_str::<Value>(&made()).expect("the document is JSON").to_string(),
            REFERENCE => docs::reference(&openapi()),
            _ => return None,
        };
        Some(Found::made(made))
    }

    fn made(text: String) -> Found {
        let etag = tag(&Sha256::digest(&text));
        Found::plain(text.into(), etag)
    }

    fn plain(plain: Bytes, etag: String) -> Found {
        let kept = Kept::Plain(plain);
        Found { etag, kept }
    }

    /// The best of what is accepted, and the name of its encoding.
    fn body(self, accepted: &str) -> (Option<&'static str>, Bytes) {
        match self.kept {
            Kept::Plain(bytes) => (None, bytes),
            Kept::Brotli(bytes) if accepts(accepted, "br") => (Some("br"), bytes),
            Kept::Brotli(bytes) if accepts(accepted, "gzip") => (Some("gzip"), gzip(&unpacked(&bytes), 6).into()),
            Kept::Brotli(bytes) => (None, unpacked(&bytes).into()),
        }
    }
}

/// The page, the script and the style sheet of the first view, or what is served for a file that is in the script. What cannot be put
/// together says so in the browser's console.
fn bundled(name: &str) -> Option<String> {
    let read = |name: &str| String::from_utf8(stored(name)?.0.into()).ok();
    if let bundle::PAGE | bundle::SHEET = name {
        let (page, sheet) = bundle::sheet(&read(bundle::PAGE)?, &read).ok()?;
        return Some(if name == bundle::PAGE { page } else { sheet });
    }
    if !name.ends_with(".js") {
        return None;
    }
    match (Bundle::read(&read), name) {
        (Ok(bundle), bundle::NAME) => Some(bundle.script()),
        (Ok(bundle), name) => bundle.stand_in(name),
        (Err(why), bundle::NAME) => Some(format!("throw new Error({});", Value::String(why))),
        (Err(_), _) => None,
    }
}

/// The bytes that are embedded, or lie on disk in a debug build, and their tag.
fn stored(name: &str) -> Option<(Bytes, String)> {
    let file = Files::get(name)?;
    let bytes = match file.data {
        Cow::Borrowed(embedded) => Bytes::from_static(embedded),
        Cow::Owned(read) => read.into(),
    };
    Some((bytes, tag(&file.metadata.sha256_hash())))
}

fn tag(hash: &[u8]) -> String {
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn kind(name: &str) -> String {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    match kind.type_().as_str() {
        "text" => format!("{kind}; charset=utf-8"),
        _ => kind.to_string(),
    }
}

/// A name with a version, `preact-10.27.0.js` or `preact@10.27.0/…`, never changes.
fn lifetime(name: &str) -> &'static str {
    let has_version = name.starts_with("vendor/")
        && name.split(['/', '@', '-']).any(|part| {
            let mut numbers = part.splitn(3, '.');
            let is_number = |text: Option<&str>| text.is_some_and(|text| text.bytes().next().is_some_and(|byte| byte.is_ascii_digit()));
            is_number(numbers.next()) && is_number(numbers.next()) && is_number(numbers.next())
        });
    if has_version {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// Whether an `Accept-Encoding` takes this one.
pub(crate) fn accepts(accepted: &str, encoding: &str) -> bool {
    accepted.split(',').any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        name.trim() == encoding && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

pub(crate) fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(data.len() / 3), flate2::Compression::new(level));
    encoder.write_all(data).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn unpacked(brotli: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    brotli::Decompressor::new(brotli, 4096)
        .read_to_end(&mut plain)
        .expect("it was compressed when this was built");
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versioned_names_live_long() {
        for (name, long) in [
            ("vendor/preact@10.27.0/preact.js", true),
            ("vendor/preact-10.27.0.module.js", true),
            ("vendor/preact.js", false),
            ("pages/apps-1.2.3.js", false),
            ("index.html", false),
        ] {
            assert_eq!(lifetime(name).contains("immutable"), long, "{name}");
        }
    }

    #[test]
    fn pages_and_files_are_told_apart() {
        for (path, page) in [
            ("", true),
            ("apps/blog", true),
            ("domains/blog.example.com", true),
            ("domains/blog.example.com/rules", true),
            ("dns/example.com", true),
            ("app.js", false),
            ("pages/domains.js", false),
            ("favicon.ico", false),
        ] {
            assert_eq!(is_page(path), page, "{path}");
        }
    }

    #[test]
    fn the_page_needs_nothing_that_the_policy_forbids() {
        let (page, _) = stored("index.html").map_or((Bytes::new(), String::new()), |found| found);
        let page = String::from_utf8_lossy(&page);
        for part in page.split("<script").skip(1) {
            let (attributes, rest) = part.split_once('>').expect("a tag ends");
            assert!(attributes.contains("src=") && rest.starts_with("</script>"), "an inline script");
        }
        assert!(!page.contains("<style") && !page.contains(" style="), "an inline style");
        assert!(!POLICY.contains("unsafe"));
    }

    #[test]
    fn encodings_are_taken_by_name_and_weight() {
        for (accepted, taken) in [
            ("gzip, br", true),
            ("br;q=0.5", true),
            ("br;q=0", false),
            ("gzip", false),
            ("", false),
            ("brotli", false),
        ] {
            assert_eq!(accepts(accepted, "br"), taken, "{accepted}");
        }
    }

    #[test]
    fn each_encoding_holds_the_same() {
        let text = "export const a = 1;\n".repeat(200);
        let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
        brotli.write_all(text.as_bytes()).expect("memory takes it");
        let packed = Bytes::from(brotli.into_inner());
        let found = || Found {
            etag: "\"1\"".into(),
            kept: Kept::Brotli(packed.clone()),
        };
        assert_eq!(found().body("gzip, deflate, br"), (Some("br"), packed.clone()));
        let (encoding, zipped) = found().body("gzip");
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&zipped[..])
            .read_to_string(&mut plain)
            .expect("it is gzip");
        assert_eq!((encoding, &plain), (Some("gzip"), &text));
        assert_eq!(found().body(""), (None, text.into()));
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let mut asked = HeaderMap::new();
        let first = file("app.js", &asked).expect("the UI has it");
        assert_eq!(first.content_type(), Some("text/javascript; charset=utf-8"));
        let etag = first.headers()[header::ETAG].clone();
        asked.insert(header::IF_NONE_MATCH, etag);
        assert_eq!(file("app.js", &asked).expect("the UI has it").status(), StatusCode::NOT_MODIFIED);
        assert!(file("types/api.d.ts", &asked).is_none());
        assert!(file("../Cargo.toml", &asked).is_none());
    }
}
