//! Around every request: its id, reading the body, making every failure a problem, security headers, compression.

use crate::{
    failures::{self, Answer, Code, Failure, Unfinished},
    shape::Schemas,
    ui,
};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use poem::{
    Body, Endpoint, IntoResponse, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use poem_openapi::{error::ParseRequestPayloadError, types::ToJSON};
use std::{panic::AssertUnwindSafe, time::Duration};
use types::{Host, World};

/// A client that takes longer to send a body is not served.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Bodies that are longer than this are cut off instead of read to their end.
const FORGOTTEN_BYTES: usize = 64 << 20;
/// Shorter answers are sent as they are.
const COMPRESS_FROM: usize = 1400;
/// For half a year the browser keeps to HTTPS.
const HSTS: &str = "max-age=15552000";

/// Answers whatever happens inside. Bodies of more than `most` bytes are not taken; `None`: the handler reads its body itself.
pub(crate) async fn answer<E: Endpoint>(
    inner: &E,
    world: &World,
    schemas: &Schemas,
    most: Option<usize>,
    mut request: Request,
) -> Response {
    let id = world.word(20);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let is_https = request.header("x-forwarded-proto") == Some("https");
    let host = request.header(header::HOST).unwrap_or_default().to_owned();
    let wants_gzip = request
        .header(header::ACCEPT_ENCODING)
        .is_some_and(|accepted| ui::accepts(accepted, "gzip"));

    let body = match most {
        Some(most) => read_body(&mut request, most).await,
        None => Ok(Bytes::new()),
    };
    let mut response = match body {
        Ok(body) => match called(inner, request, &id, (&method, &path)).await {
            Ok(response) => response.into_response(),
            Err(error) if error.is_from_response() => error.into_response(),
            Err(error) => match error.downcast_ref::<ParseRequestPayloadError>() {
                Some(error) => failures::unreadable(&error.reason, &body, schemas.get()).into_response(),
                None => Failure::from(error).into_response(),
            },
        },
        Err(failure) => failure.into_response(),
    };
    if let Some(Unfinished { mut problem, causes }) = response.extensions_mut().remove::<Unfinished>() {
        if let Some(causes) = causes {
            tracing::error!(request = %id, "{method} {path}: {causes}");
        }
        problem.request_id.clone_from(&id);
        response.set_body(problem.to_json_string());
    }
    if wants_gzip && is_json(&response) {
        response = compressed(response).await;
    }
    let refused = !response.status().is_success();
    let headers = response.headers_mut();
    if most.is_none() && refused {
        // Nobody may have read the body.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if path.starts_with("/api/") {
        set_if_missing(headers, header::CACHE_CONTROL, "no-store");
    }
    protect(headers, &id, is_https && is_public(&host));
    response
}

/// The answer from inside. The log tells, where it is asked for, what a request of the API cost: two that must not be told apart must have
/// cost the same. Other paths may hold keys.
async fn called<E: Endpoint>(inner: &E, request: Request, id: &str, (method, path): (&Method, &str)) -> poem::Result<E::Output> {
    let (answer, effort) = app::counted(AssertUnwindSafe(inner.call(request)).catch_unwind()).await;
    if path.starts_with("/api/v1/") {
        let app::Effort {
            look_ups,
            records,
            batches,
        } = effort;
        tracing::debug!(request = %id, look_ups, records, batches, "{method} {path}");
    }
    answer.unwrap_or_else(|_| Err(panicked().into()))
}

/// The panic itself is in the log: the process has a hook.
fn panicked() -> Failure {
    Failure::from(types::Error::internal("answering", "a handler panicked"))
}

/// Reads the whole body, up to the limit: what comes later works on bytes. Those of methods without a meaning for one too: what is left in a connection
/// has the server end it, and the edge keeps its connections for the requests of others.
async fn read_body(request: &mut Request, most: usize) -> Answer<Bytes> {
    let body = request.take_body();
    let bytes = match tokio::time::timeout(BODY_TIME, collect(body, most)).await {
        Ok(read) => read?,
        Err(_) => return Err(broken("the body did not come within 60 s")),
    };
    request.set_body(bytes.clone());
    Ok(bytes)
}

/// What is too long is read on for a while and forgotten: a client that is still sending does not look at an answer.
async fn collect(body: Body, most: usize) -> Answer<Bytes> {
    let mut pieces = Box::pin(body.into_bytes_stream());
    let (mut kept, mut read) = (BytesMut::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| broken("the body ended before its end"))?;
        read += piece.len();
        if read <= most {
            kept.extend_from_slice(&piece);
        } else if read > FORGOTTEN_BYTES {
            break;
        }
    }
    match read <= most {
        true => Ok(kept.freeze()),
        false => Err(poem::Error::from_status(StatusCode::PAYLOAD_TOO_LARGE).into()),
    }
}

fn broken(detail: &str) -> Failure {
    poem::Error::from_string(detail, StatusCode::BAD_REQUEST).into()
}

fn is_json(response: &Response) -> bool {
    response.content_type().is_some_and(|kind| kind.starts_with("application/json")) && response.header(header::CONTENT_ENCODING).is_none()
}

async fn compressed(mut response: Response) -> Response {
    match response.take_body().into_bytes().await {
        Ok(bytes) if bytes.len() < COMPRESS_FROM => response.set_body(bytes),
        Ok(bytes) => {
            response.set_body(Bytes::from(ui::gzip(&bytes, 1)));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        Err(error) => return Failure::from(poem::Error::from_string(error.to_string(), StatusCode::INTERNAL_SERVER_ERROR)).into_response(),
    }
    response
}

fn protect(headers: &mut HeaderMap, id: &str, is_https: bool) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(ui::POLICY));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        ),
    ] {
        set_if_missing(headers, name, value);
    }
    if is_https {
        set_if_missing(headers, header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

fn set_if_missing(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Only names with public certificates: with the panel's own authority the browser's warning must stay passable.
fn is_public(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.parse::<Host>().is_ok_and(|host| host.is_public())
}

/// For paths that lead nowhere.
pub(crate) fn nothing() -> Failure {
    Failure::new(Code::NotFound, "there is nothing at this address")
}
