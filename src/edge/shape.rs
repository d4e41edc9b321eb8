//! What a policy does to an answer on its way to the client: headers, compression, pages in place of errors, keeping it,
//! and its speed. A site without a policy has none of this.

use crate::{
    cache::{self, Capture, Doubted, Entry, Kept, Share},
    compress::{self, Coding, Encoder},
    headers::{Receiver, response_of},
    policy::Policy,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use std::{sync::Arc, time::Duration};

/// `None`: answers pass as they are; but for `Alt-Svc` (RFC 7838), where HTTP/3 is served, and cookies of the panel, which an app
/// does not set.
pub(crate) struct Shaper(pub Option<Box<Shape>>, pub Option<HeaderValue>, pub Receiver);

pub(crate) struct Shape {
    pub policy: Arc<Policy>,
    pub secure: bool,
    /// Brings the client back to the same upstream.
    pub cookie: Option<HeaderValue>,
    /// Where the answer may be kept.
    pub keep: Option<(Arc<Share>, String)>,
    /// Kept, and being asked whether it still holds.
    pub doubted: Option<Doubted>,
    /// [`cache::note`]
    pub note: Option<&'static str>,
    capture: Option<Capture>,
    mode: Mode,
}

enum Mode {
    Pass,
    Encode(Encoder),
    /// The answer has been replaced.
    Discard,
}

impl Shape {
    pub(crate) fn new(policy: Arc<Policy>, secure: bool) -> Shape {
        Shape {
            policy,
            secure,
            cookie: None,
            keep: None,
            doubted: None,
            note: None,
            capture: None,
            mode: Mode::Pass,
        }
    }

    /// The head that the client gets; with it, a whole body in place of the app's.
    pub(crate) fn head(
        &mut self,
        request: &RequestHeader,
        answer: Box<ResponseHeader>,
        ended: bool,
    ) -> (Box<ResponseHeader>, Option<Bytes>) {
        let status = answer.status;
        if status == StatusCode::NOT_MODIFIED
            && let (Some(doubted), Some(cache)) = (self.doubted.take(), &self.policy.raw.cache)
            && let Some(entry) = doubted.holds(cache, request, &answer)
            && let Entry::Answer(kept) = entry.as_ref()
        {
            self.note = Some("serverkit; hit; detail=revalidated");
            return self.recalled(request, kept);
        }
        if let (Some((share, key)), Some(cache)) = (self.keep.take(), &self.policy.raw.cache) {
            self.capture = Capture::begin(&share, &key, cache, request, &answer);
            if ended && let Some(capture) = self.capture.take() {
                capture.end();
            }
        }
        if let Some(page) = self.policy.page(status.as_u16()).filter(|page| page.replace_app) {
            let body = filled(&page.body, status);
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            self.finish(request, &mut headers);
            self.mode = Mode::Discard;
            self.capture = None;
            return (response_of(status, headers), Some(body));
        }
        if self.capture.is_some() && status == StatusCode::OK && cache::is_known(&request.headers, &answer.headers) {
            // It was asked for whole, to be kept; the client has it already.
            let mut headers = answer.headers.clone();
            headers.remove(header::CONTENT_LENGTH);
            self.finish(request, &mut headers);
            self.mode = Mode::Discard;
            return (response_of(StatusCode::NOT_MODIFIED, headers), Some(Bytes::new()));
        }
        let mut headers = answer.headers.clone();
        if self.policy.raw.compression && compress::gains(status, &headers) {
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            if !ended
                && request.method != Method::HEAD
                && let Some(coding) = Coding::wanted(&request.headers)
                && let Ok(encoder) = Encoder::new(coding)
            {
                compress::mark(&mut headers, coding);
                self.mode = Mode::Encode(encoder);
            }
        }
        self.finish(request, &mut headers);
        (response_of(status, headers), None)
    }

    /// A kept answer in place of the app's.
    fn recalled(&mut self, request: &RequestHeader, kept: &Kept) -> (Box<ResponseHeader>, Option<Bytes>) {
        self.mode = Mode::Discard;
        let (status, mut headers, body) = kept.given(request, self.policy.raw.compression);
        if !matches!(status.as_u16(), 204 | 304) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        self.finish(request, &mut headers);
        (response_of(status, headers), Some(body))
    }

    fn finish(&mut self, request: &RequestHeader, headers: &mut HeaderMap) {
        if let Some(cookie) = self.cookie.take() {
            headers.append(header::SET_COOKIE, cookie);
        }
        if let Some(note) = self.note {
            cache::note(headers, note);
        }
        self.policy.decorate(&request.headers, headers, self.secure);
    }

    /// What becomes of a piece of the body. `Ok(None)`: nothing to write. `Err`: it cannot be compressed.
    pub(crate) fn piece(&mut self, piece: Bytes, last: bool) -> std::io::Result<Option<Bytes>> {
        if let Some(capture) = &mut self.capture {
            capture.piece(&piece);
        }
        if last && let Some(capture) = self.capture.take() {
            capture.end();
        }
        match &mut self.mode {
            Mode::Pass => Ok(Some(piece)),
            Mode::Discard => Ok(None),
            Mode::Encode(_) if last => match std::mem::replace(&mut self.mode, Mode::Pass) {
                Mode::Encode(encoder) => encoder.end(&piece).map(|made| Some(made.into())),
                _ => Ok(Some(piece)),
            },
            Mode::Encode(_) if piece.is_empty() => Ok(None),
            Mode::Encode(encoder) => encoder.piece(&piece).map(|made| Some(made.into())),
        }
    }

    /// How long to wait before so many bytes.
    pub(crate) fn wait(&self, bytes: usize) -> Duration {
        self.policy
            .throttle
            .as_ref()
            .map_or(Duration::ZERO, |throttle| throttle.wait(bytes))
    }
}

/// A page with its status filled in.
pub(crate) fn filled(page: &str, status: StatusCode) -> Bytes {
    page.replace("{status}", status.as_str())
        .replace("{title}", status.canonical_reason().unwrap_or("Error"))
        .into()
}
