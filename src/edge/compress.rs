//! Compression of answers, as the client takes it.

use http::{HeaderMap, StatusCode, header};
use std::io::{self, Write};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

/// Smaller answers gain nothing.
const SMALLEST: u64 = 256;

impl Coding {
    pub(crate) const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The best that `Accept-Encoding` allows (RFC 9110, 12.5.3), brotli before zstd before gzip.
    pub(crate) fn wanted(request: &HeaderMap) -> Option<Coding> {
        let mut best: Option<(Coding, u32)> = None;
        for value in request.get_all(header::ACCEPT_ENCODING) {
            for item in value.to_str().unwrap_or_default().split(',') {
                let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
                let weight = parameters
                    .split(';')
                    .find_map(|parameter| parameter.trim().strip_prefix("q="))
                    .map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok())
                    .filter(|weight| (0.0..=1.0).contains(weight))
                    .unwrap_or(0.0);
                // A thousandth is as fine as it gets.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let weight = (weight * 1000.0) as u32;
                let name = name.trim();
                let Some(coding) = Coding::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name())) else {
                    continue;
                };
                let place = |coding: Coding| Coding::ALL.iter().position(|one| *one == coding);
                let better = best.is_none_or(|(old, old_weight)| weight > old_weight || weight == old_weight && place(coding) < place(old));
                if weight > 0 && better {
                    best = Some((coding, weight));
                }
            }
        }
        best.map(|(coding, _)| coding)
    }
}

/// Whether an answer gains from it and may be changed.
pub(crate) fn gains(status: StatusCode, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if headers.contains_key(header::CONTENT_ENCODING)
        || headers.contains_key(header::CONTENT_RANGE)
        || status == StatusCode::PARTIAL_CONTENT
        || text(header::CACHE_CONTROL).to_ascii_lowercase().contains("no-transform")
        || text(header::CONTENT_LENGTH).parse::<u64>().is_ok_and(|length| length < SMALLEST)
    {
        return false;
    }
    let kind = text(header::CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    // Events must arrive as they happen.
    (kind.starts_with("text/") && kind != "text/event-stream")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            kind.as_str(),
            "application/json"
                | "application/javascript"
                | "application/x-javascript"
                | "application/xml"
                | "application/wasm"
                | "application/x-ndjson"
                | "application/vnd.ms-fontobject"
                | "font/ttf"
                | "font/otf"
                | "image/x-icon"
                | "image/bmp"
        )
}

/// What the head of a compressed answer says.
pub(crate) fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    headers.insert(header::CONTENT_ENCODING, http::HeaderValue::from_static(coding.name()));
    // Another representation has no strong validator in common (RFC 9110, 8.8.3).
    let weak = headers
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok())
        .filter(|tag| tag.starts_with('"'))
        .and_then(|tag| http::HeaderValue::from_str(&format!("W/{tag}")).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}

/// A compressor that gives what it has after each piece, so that a slow answer still flows.
pub(crate) enum Encoder {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    pub(crate) fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(match coding {
            // Quality 4 is about as fast as gzip's 6 and smaller.
            Coding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(Vec::new(), 16 << 10, 4, 20))),
            Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3)?),
            Coding::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6))),
        })
    }

    /// What `piece` becomes, with what was held back before it.
    pub(crate) fn piece(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Brotli(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Encoder::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Encoder::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// The last piece and the end.
    pub(crate) fn end(self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Brotli(mut encoder) => {
                encoder.write_all(piece)?;
                Ok(encoder.into_inner())
            }
            Encoder::Zstd(mut encoder) => {
                encoder.write_all(piece)?;
                encoder.finish()
            }
            Encoder::Gzip(mut encoder) => {
                encoder.write_all(piece)?;
                encoder.finish()
            }
        }
    }
}

pub(crate) fn whole(coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
    Encoder::new(coding)?.end(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::io::Read;

    #[test]
    fn the_client_chooses() {
        for (accepts, coding) in [
            ("gzip, deflate, br, zstd", Some(Coding::Brotli)),
            ("gzip", Some(Coding::Gzip)),
            ("GZIP;q=0.5, zstd;q=0.9", Some(Coding::Zstd)),
            ("br;q=0, gzip", Some(Coding::Gzip)),
            ("br; q=0.1, gzip; q=0.2", Some(Coding::Gzip)),
            ("identity", None),
            ("", None),
            ("gzip;q=nan, br;q=7", None),
            ("*", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts));
            assert_eq!(Coding::wanted(&headers), coding, "{accepts}");
        }
    }

    #[test]
    fn pieces_come_out_as_they_go_in() {
        let text = "hello edge ".repeat(3000);
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding).expect("made");
            let mut out = Vec::new();
            for piece in text.as_bytes().chunks(5000) {
                let made = encoder.piece(piece).expect("compressed");
                assert!(!made.is_empty(), "a piece does not wait");
                out.extend(made);
            }
            out.extend(encoder.end(b"!").expect("ended"));
            let mut back = String::new();
            match coding {
                Coding::Brotli => drop(brotli::Decompressor::new(&out[..], 4096).read_to_string(&mut back)),
                Coding::Zstd => drop(zstd::stream::read::Decoder::new(&out[..]).expect("zstd").read_to_string(&mut back)),
                Coding::Gzip => drop(flate2::read::GzDecoder::new(&out[..]).read_to_string(&mut back)),
            }
            assert_eq!(back, format!("{text}!"), "{coding:?}");
        }
    }
}
