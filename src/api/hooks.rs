//! The address that forges send to, outside `/api/v1`: who asks is proven by the signature of the body.

use crate::{
    Panel, api_limits,
    failures::{Answer, Code, Failure},
    listen, outermost,
};
use app::Arrival;
use poem::{
    Endpoint, EndpointExt, Request, Response,
    endpoint::make,
    http::{HeaderMap, Method, StatusCode},
};
use serde_json::json;
use types::Decision;

/// GitHub sends at most 25 MB.
const MOST: usize = 25 << 20;

/// How long a body may be: long ones only where somebody listens.
pub(crate) fn most_bytes(panel: &Panel, path: &str) -> Option<usize> {
    let key = path.strip_prefix("/hooks/")?;
    panel.webhooks.knows(key).then_some(MOST)
}

/// `/hooks/:key`.
pub(crate) fn endpoint(panel: Panel) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let panel = panel.clone();
        async move {
            match *request.method() {
                Method::POST => {
                    api_limits::admit_hook(&panel, &request)?;
                    Ok(receive(&panel, request).await?)
                }
                _ if most_bytes(&panel, request.uri().path()).is_some() => Err(poem::Error::from(
                    Failure::new(Code::Invalid, "webhooks come by POST").with_status(StatusCode::METHOD_NOT_ALLOWED),
                )),
                _ => Err(poem::Error::from(outermost::nothing())),
            }
        }
    })
    .map_to_response()
}

async fn receive(panel: &Panel, mut request: Request) -> Answer<Response> {
    let key = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let address = listen::address(&request);
    let body = request.take_body().into_bytes().await;
    let body = body.map_err(|error| Failure::from(poem::Error::from(error)))?;
    let headers: &HeaderMap = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let arrival = Arrival {
        header: &header,
        body: &body,
        address,
    };
    let delivery = panel.inbox.receive(&key, arrival).await?;
    let status = match delivery.decision {
        Decision::Deployed => StatusCode::ACCEPTED,
        Decision::BadSignature => StatusCode::UNAUTHORIZED,
        Decision::Unreadable => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let told = json!({
        "delivery": delivery.id,
        "decision": delivery.decision,
        "why": delivery.why,
        "deployment": delivery.deployment,
    });
    Ok(Response::builder()
        .status(status)
        .content_type("application/json; charset=utf-8")
        .header("cache-control", "no-store")
        .body(told.to_string()))
}
