//! `Idempotency-Key`: the same POST twice is done once, and answered twice.

use crate::{Panel, failures::Failure, signed::Identity};
use app::{Made, Turn};
use bytes::Bytes;
use poem::{Endpoint, IntoResponse, Request, Response, http::Method};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use types::{Secret, report};

/// Calls `inner`, unless the first answer to the same request is there. Only successes are kept: a refused request did
/// nothing, so asking again is right.
pub(crate) async fn once<E: Endpoint>(inner: &E, panel: &Panel, mut request: Request) -> poem::Result<Response> {
    let key = request.header("idempotency-key").map(str::to_owned);
    let actor = request
        .data::<Identity>()
        .and_then(|identity| identity.0.as_ref().ok())
        .map(|who| who.actor.clone());
    let (Some(key), Some(actor), &Method::POST) = (key, actor, request.method()) else {
        return inner.call(request).await.map(IntoResponse::into_response);
    };
    let body = request.take_body().into_bytes().await.map_err(poem::Error::from)?;
    let fingerprint = fingerprint(&request, &body);
    request.set_body(body);
    match panel.answers.begin(&actor, &key, &fingerprint).map_err(Failure::from)? {
        Turn::Again(answer) => {
            let status = answer.status.try_into().unwrap_or_default();
            let response = Response::builder().status(status).header("idempotency-replayed", "true");
            let body = answer.body.expose().to_vec();
            Ok(match answer.content_type {
                None => response.finish(),
                Some(kind) => response.content_type(kind).body(body),
            })
        }
        Turn::Go(ticket) => {
            let mut response = inner.call(request).await?.into_response();
            if response.status().is_success() {
                let body = response.take_body().into_bytes().await.map_err(poem::Error::from)?;
                let made = Made {
                    status: response.status().as_u16(),
                    content_type: response.content_type().map(str::to_owned),
                    body: Secret::new(&*body),
                };
                // It is done, so the caller hears of it even if it cannot be kept.
                if let Err(error) = ticket.answer(&fingerprint, &made).await {
                    tracing::error!("an answer is not kept for its Idempotency-Key: {}", report(&error));
                }
                response.set_body(body);
            }
            Ok(response)
        }
    }
}

/// Tells requests apart: another body under the same key is refused.
fn fingerprint(request: &Request, body: &Bytes) -> String {
    let mut hash = Sha256::new();
    hash.update(request.original_uri().to_string());
    hash.update([0]);
    hash.update(body);
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
