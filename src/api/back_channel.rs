//! Where a provider of OpenID Connect says that somebody has signed out there: outside of `/api/v1`, proven by the signature
//! of what it sends (OpenID Connect Back-Channel Logout 1.0, section 2.5).

use crate::{Panel, api_limits, listen, outermost};
use poem::{
    Endpoint, EndpointExt, Request, Response,
    endpoint::make,
    http::{Method, StatusCode, header},
};
use serde_json::json;
use types::{Error, report};
use url::form_urlencoded;

/// Bytes of the form.
const FORM: usize = 64 << 10;

/// `/oidc/:id/logout`.
pub(crate) fn logout(panel: Panel) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let panel = panel.clone();
        async move {
            if *request.method() != Method::POST {
                return Err(poem::Error::from(outermost::nothing()));
            }
            api_limits::admit_sign_in(&panel, &request)?;
            Ok::<_, poem::Error>(take(&panel, request).await)
        }
    })
    .map_to_response()
}

async fn take(panel: &Panel, mut request: Request) -> Response {
    let id = request.uri().path().split('/').nth(2).unwrap_or_default().to_owned();
    let address = listen::address(&request);
    let body = request.take_body().into_bytes_limit(FORM).await.unwrap_or_default();
    let token = form_urlencoded::parse(&body).find(|(name, _)| name == "logout_token");
    let done = match token {
        Some((_, token)) => panel.sessions.end_by_provider(&id, &token, address).await,
        None => Err(Error::invalid("logout_token", "is missing")),
    };
    match done {
        Ok(()) => answer(StatusCode::OK, String::new()),
        Err(error) => {
            tracing::warn!("a logout by the provider {id} is not taken: {}", report(&error));
            let why = match &error {
                Error::Internal { .. } => "something went wrong here; the log says what".to_owned(),
                error => error.to_string(),
            };
            let body = json!({"error": "invalid_request", "error_description": why});
            answer(StatusCode::BAD_REQUEST, body.to_string())
        }
    }
}

fn answer(status: StatusCode, body: String) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .body(body)
}
