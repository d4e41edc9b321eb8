//! The panel's UI, embedded; debug builds read it from disk at each request.
//!
//! Files are compressed once, at first use. Names with a version in them never change; all others are checked by their
//! `ETag` at each use, so that a page never mixes two versions.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use poem::{
    Request, Response,
    http::{HeaderMap, Method, StatusCode, header},
};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../ui-dist"]
#[exclude = "types/*"]
#[exclude = "*.md"]
#[allow_missing = true]
struct Files;

/// A file ready to be sent.
struct Ready {
    plain: Bytes,
    gzip: Option<Bytes>,
    brotli: Option<Bytes>,
    etag: String,
    kind: String,
    /// Hashes of its inline scripts, for the policy.
    scripts: Vec<String>,
}

/// The files and what was compressed of them.
#[derive(Clone, Default)]
pub(crate) struct Ui {
    ready: Arc<Mutex<HashMap<String, Arc<Ready>>>>,
}

/// Too short to be worth it.
const COMPRESS_FROM: usize = 512;

impl Ui {
    /// Compresses all files ahead of the first visitor.
    pub fn warm(&self) {
        if !cfg!(debug_assertions) {
            for name in Files::iter() {
                self.file(&name);
            }
        }
    }

    /// The file that the path names; the page for a path of the panel, which has no dot.
    pub fn answer(&self, request: &Request) -> Option<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let path = request.uri().path().trim_start_matches('/');
        let is_page = path.is_empty() || !path.rsplit('/').next().unwrap_or_default().contains('.');
        let name = if is_page { "index.html" } else { path };
        let file = self.file(name)?;
        Some(file.answer(name, request.headers()))
    }

    fn file(&self, name: &str) -> Option<Arc<Ready>> {
        let keep = !cfg!(debug_assertions);
        let lock = || self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = lock().get(name) {
            return Some(ready.clone());
        }
        let file = Files::get(name)?;
        let data = match file.data {
            Cow::Borrowed(embedded) => Bytes::from_static(embedded),
            Cow::Owned(read) => Bytes::from(read),
        };
        let ready = Arc::new(Ready::new(name, data, keep));
        if keep {
            lock().insert(name.to_owned(), ready.clone());
        }
        Some(ready)
    }
}

impl Ready {
    fn new(name: &str, data: Bytes, compress: bool) -> Ready {
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        let is_text = kind.type_() == "text"
            || matches!(kind.subtype().as_str(), "javascript" | "json" | "svg" | "wasm")
            || kind.suffix().is_some_and(|suffix| matches!(suffix.as_str(), "json" | "xml"));
        let compress = compress && is_text && data.len() >= COMPRESS_FROM;
        let smaller = |bytes: Vec<u8>| (bytes.len() < data.len()).then(|| Bytes::from(bytes));
        Ready {
            gzip: compress.then(|| gzip(&data, 6)).and_then(smaller),
            brotli: compress.then(|| brotli(&data)).and_then(smaller),
            etag: format!("\"{}\"", &hex(&Sha256::digest(&data))[..32]),
            scripts: if name == "index.html" { inline_scripts(&data) } else { Vec::new() },
            kind: match kind.type_().as_str() {
                "text" => format!("{kind}; charset=utf-8"),
                _ => kind.to_string(),
            },
            plain: data,
        }
    }

    fn answer(&self, name: &str, asked: &HeaderMap) -> Response {
        let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut response = Response::builder()
            .header(header::ETAG, &self.etag)
            .header(header::CACHE_CONTROL, lifetime(name))
            .header(header::VARY, "Accept-Encoding");
        if !self.scripts.is_empty() {
            response = response.header(header::CONTENT_SECURITY_POLICY, policy(&self.scripts));
        }
        let known = text(header::IF_NONE_MATCH)
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == self.etag);
        if known {
            return response.status(StatusCode::NOT_MODIFIED).finish();
        }
        response = response.content_type(&self.kind);
        let accepted = text(header::ACCEPT_ENCODING);
        match (&self.brotli, &self.gzip) {
            (Some(bytes), _) if accepts(accepted, "br") => response.header(header::CONTENT_ENCODING, "br").body(bytes.clone()),
            (_, Some(bytes)) if accepts(accepted, "gzip") => response.header(header::CONTENT_ENCODING, "gzip").body(bytes.clone()),
            _ => response.body(self.plain.clone()),
        }
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

/// What pages may load: their own origin and nothing else. Inline scripts are named by their hash (the import map).
pub(crate) fn policy(scripts: &[String]) -> String {
    let scripts: String = scripts.iter().map(|hash| format!(" 'sha256-{hash}'")).collect();
    format!(
        "default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; \
         connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// The hashes of scripts that stand in the page itself.
fn inline_scripts(page: &[u8]) -> Vec<String> {
    let page = String::from_utf8_lossy(page);
    let mut hashes = Vec::new();
    for part in page.split("<script").skip(1) {
        let Some((attributes, rest)) = part.split_once('>') else { continue };
        let Some((script, _)) = rest.split_once("</script>") else {
            continue;
        };
        if !attributes.contains("src=") && !script.is_empty() {
            hashes.push(BASE64_STANDARD.encode(Sha256::digest(script.as_bytes())));
        }
    }
    hashes
}

pub(crate) fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(data.len() / 3), flate2::Compression::new(level));
    encoder.write_all(data).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn brotli(data: &[u8]) -> Vec<u8> {
    // A window of 256 KiB holds most of these files, and keeps the compressor small.
    let mut encoder = brotli::CompressorWriter::new(Vec::with_capacity(data.len() / 3), 16 << 10, 7, 18);
    encoder.write_all(data).expect("memory takes it");
    encoder.into_inner()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn the_policy_names_inline_scripts_only() {
        let page = br#"<script type="importmap">{"a":1}</script><script type="module" src="/app.js"></script>"#;
        let hash = BASE64_STANDARD.encode(Sha256::digest(br#"{"a":1}"#));
        assert_eq!(inline_scripts(page), std::slice::from_ref(&hash));
        assert!(policy(std::slice::from_ref(&hash)).contains(&format!("script-src 'self' 'sha256-{hash}';")));
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
    fn compressed_files_are_smaller_and_named() {
        let ready = Ready::new("lib/a.js", b"export const a = 1;\n".repeat(200).into(), true);
        let mut asked = HeaderMap::new();
        asked.insert(header::ACCEPT_ENCODING, "gzip, deflate, br".parse().expect("a header"));
        let answer = ready.answer("lib/a.js", &asked);
        assert_eq!(answer.header("content-encoding"), Some("br"));
        assert_eq!(answer.content_type(), Some("text/javascript; charset=utf-8"));
        asked.insert(header::IF_NONE_MATCH, ready.etag.parse().expect("a header"));
        assert_eq!(ready.answer("lib/a.js", &asked).status(), StatusCode::NOT_MODIFIED);
        assert!(ready.gzip.is_some());
    }
}
