//! JSON and other documents over HTTP from an identity provider: bounded in time and size, and never redirected elsewhere.

use crate::external::{is_this_machine, tls};
use base64::{Engine, prelude::BASE64_STANDARD};
use egress::{Egress, Outbound};
use serde_json::Value;
use std::time::Duration;
use types::{Error, Result, Secret, innermost};
use url::{Url, form_urlencoded};

const CONNECTING: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(15);
const BYTES: usize = 1 << 20;

pub(crate) struct Web(Outbound);

/// A client's name and password at a token endpoint, by the `Authorization` header.
pub(crate) struct Basic<'a>(pub &'a str, pub &'a Secret);

impl Web {
    pub fn new(authority: Option<&str>, egress: &Egress) -> Result<Web> {
        let prepare = || {
            Ok(reqwest::Client::builder()
                .user_agent(concat!("serverkit/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECTING)
                .timeout(LONGEST)
                .tls_backend_preconfigured(tls(authority)?))
        };
        Outbound::new(egress, false, prepare).map(Web)
    }

    /// A document. Fails with `Unavailable` in words that name the address.
    pub async fn get(&self, url: &Url, bearer: Option<&Secret>) -> Result<Value> {
        let mut request = self.0.to(url)?.get(url.clone()).header("accept", "application/json");
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer.expose_str().unwrap_or_default());
        }
        match self.send(url, request).await? {
            (200, value) => Ok(value),
            (status, _) => Err(unavailable(url, format!("it answers {status}"))),
        }
    }

    /// A document that is text. Fails with `Unavailable` in words that name the address.
    pub async fn text(&self, url: &Url) -> Result<String> {
        match self.bytes(url, self.0.to(url)?.get(url.clone())).await? {
            (200, bytes) => String::from_utf8(bytes).map_err(|_| unavailable(url, "its answer is not UTF-8")),
            (status, _) => Err(unavailable(url, format!("it answers {status}"))),
        }
    }

    /// Posts a form; the status and what came back.
    pub async fn post(&self, url: &Url, form: &[(&str, &str)], basic: Option<Basic<'_>>) -> Result<(u16, Value)> {
        let mut request = self.0.to(url)?.post(url.clone()).header("accept", "application/json").form(form);
        if let Some(Basic(name, password)) = basic {
            // Both are encoded as in a form before they are joined (RFC 6749, section 2.3.1).
            let encoded = |bytes: &[u8]| form_urlencoded::byte_serialize(bytes).collect::<String>();
            let pair = format!("{}:{}", encoded(name.as_bytes()), encoded(password.expose()));
            request = request.header("authorization", format!("Basic {}", BASE64_STANDARD.encode(pair)));
        }
        self.send(url, request).await
    }

    async fn send(&self, url: &Url, request: reqwest::RequestBuilder) -> Result<(u16, Value)> {
        let (status, bytes) = self.bytes(url, request).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok((status, value)),
            Err(_) if status == 200 => Err(unavailable(url, "its answer is not JSON")),
            Err(_) => Ok((status, Value::Null)),
        }
    }

    async fn bytes(&self, url: &Url, request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>)> {
        if url.scheme() != "https" && !is_this_machine(url) {
            return Err(unavailable(url, "it must begin with https://"));
        }
        let mut answer = request.send().await.map_err(|error| unavailable(url, innermost(&error)))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unavailable(url, innermost(&error)))? {
            if bytes.len() + chunk.len() > BYTES {
                return Err(unavailable(url, "its answer is larger than 1 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes))
    }
}

fn unavailable(url: &Url, why: impl std::fmt::Display) -> Error {
    Error::unavailable(format!("{url} cannot be used: {why}"))
}
