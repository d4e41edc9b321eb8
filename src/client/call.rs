//! One call: the typed answer together with the JSON as the panel sent it, or why there is none.
//!
//! The generated calls keep only what they decode. Programs that pass answers on (`serverkit --json`) want them
//! whole, so every call is watched while it runs and its body is kept.

use crate::{Address, Client, Failure, Link, Login, Problem};
use bytes::Bytes;
use futures::TryStreamExt;
use progenitor_client::{ByteStream, ClientHooks, ClientInfo, Error, OperationInfo, ResponseValue};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap},
};
use std::{
    future::Future,
    sync::{Arc, Mutex},
};
use types::World;

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    pub value: T,
    /// The body as the panel sent it; `Null` where it sent no JSON.
    pub json: serde_json::Value,
    pub headers: HeaderMap,
}

/// Body and status of an answer.
struct Heard {
    status: u16,
    body: Bytes,
}

tokio::task_local! {
    /// Where the call that this task makes leaves its answer.
    static HEARD: Arc<Mutex<Option<Heard>>>;
}

impl Client {
    /// A client for the panel at `address`. Nothing is sent yet.
    pub fn connect(address: Address, login: Login) -> Result<Client, Failure> {
        let link = Link::new(address, login)?;
        let base = format!("{}/api/v1", link.address().base());
        Ok(Client::new_with_client(&base, link.http()?, link))
    }
    /// Where its panel is.
    pub fn address(&self) -> &Address {
        self.inner().address()
    }
    /// Makes a call: `client.ask(client.app_show("blog"))`.
    pub async fn ask<T, E>(&self, call: impl Future<Output = Result<ResponseValue<T>, Error<E>>>) -> Result<Answer<T>, Failure> {
        let heard = Arc::new(Mutex::new(None));
        let result = HEARD.scope(Arc::clone(&heard), call).await;
        let heard = heard.lock().expect("nobody panics while holding it").take();
        match result {
            Ok(answer) => Ok(Answer {
                headers: answer.headers().clone(),
                json: heard.and_then(|heard| serde_json::from_slice(&heard.body).ok()).unwrap_or_default(),
                value: answer.into_inner(),
            }),
            Err(error) => Err(why(self.inner(), error, heard)),
        }
    }
    /// Reads an answer that is plain bytes to its end.
    pub async fn read(&self, stream: ByteStream) -> Result<Bytes, Failure> {
        let pieces: Vec<Bytes> = stream
            .into_inner()
            .try_collect()
            .await
            .map_err(|error| Failure::from_connection(self.address(), &error))?;
        Ok(pieces.concat().into())
    }
}

fn why<E>(link: &Link, error: Error<E>, heard: Option<Heard>) -> Failure {
    if let Some(heard) = heard.filter(|heard| heard.status >= 300) {
        return Failure::Refused(Box::new(Problem::read(heard.status, &heard.body)));
    }
    match error {
        Error::InvalidRequest(why) => Failure::Invalid(why),
        Error::CommunicationError(error) if error.is_timeout() => Failure::Unreachable {
            address: Box::new(link.address.clone()),
            why: "no answer in time".to_owned(),
        },
        Error::CommunicationError(error) | Error::ResponseBodyError(error) | Error::InvalidUpgrade(error) => {
            Failure::from_connection(&link.address, &error)
        }
        Error::InvalidResponsePayload(_, error) => Failure::Odd(error.to_string()),
        Error::UnexpectedResponse(response) => Failure::Odd(format!("status {}", response.status())),
        Error::ErrorResponse(response) => Failure::Odd(format!("status {}", response.status())),
        Error::Custom(why) => Failure::Odd(why),
    }
}

impl ClientHooks<Link> for Client {
    /// Leaves the answer for [`Client::ask`] and hands on an equal one. What is neither JSON nor a refusal flows on
    /// unread: it may never end.
    async fn exec(&self, request: reqwest::Request, _info: &OperationInfo) -> reqwest::Result<reqwest::Response> {
        let response = send(self.client(), request).await?;
        let Ok(heard) = HEARD.try_with(Arc::clone) else {
            return Ok(response);
        };
        let status = response.status();
        if status.is_success() && !is_json(response.headers()) {
            return Ok(response);
        }
        let (parts, body) = http::Response::from(response).into_parts();
        let body = reqwest::Response::from(http::Response::new(body)).bytes().await?;
        *heard.lock().expect("nobody panics while holding it") = Some(Heard {
            status: status.as_u16(),
            body: body.clone(),
        });
        Ok(http::Response::from_parts(parts, body).into())
    }
}

/// Sends a request. A POST bears a key of its own, under which the panel answers a repeated one as it did the first;
/// so one whose answer got lost (the panel restarted, the line broke) is sent once more.
async fn send(http: &reqwest::Client, mut request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
    if request.method() == Method::POST {
        let key = World::system().word(26).parse().expect("letters and digits make a header");
        request.headers_mut().entry("idempotency-key").or_insert(key);
    }
    let repeatable = matches!(*request.method(), Method::GET | Method::POST | Method::PUT);
    let again = request.try_clone().filter(|_| repeatable);
    match (http.execute(request).await, again) {
        (Err(error), Some(again)) if !error.is_connect() && !error.is_timeout() && !error.is_builder() => http.execute(again).await,
        (result, _) => result,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.contains("json"))
}
