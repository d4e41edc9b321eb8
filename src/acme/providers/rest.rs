//! JSON over HTTPS to a service: names by hickory (a static binary cannot use libc's resolver), a limit on everything, and
//! failures in words without credentials.

use egress::Egress;
use reqwest::{
    Client, Method, RequestBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use types::{BoxError, Error, Result, Secret};
use url::Url;

const ANSWER: Duration = Duration::from_secs(30);
const LARGEST: usize = 8 << 20;

struct Hickory {
    egress: Egress,
    port: u16,
}

impl Resolve for Hickory {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, port) = (self.egress.clone(), self.port);
        Box::pin(async move {
            let asked = name.as_str();
            let found = async {
                let resolver = hickory_resolver::TokioResolver::builder_tokio()?.build()?;
                let found = resolver.lookup_ip(format!("{}.", asked.trim_end_matches('.'))).await?;
                Ok::<Vec<SocketAddr>, BoxError>(found.iter().map(|address| SocketAddr::new(address, 0)).collect())
            };
            let found = found.await?;
            egress.check_resolved(name.as_str(), found.iter().map(|address| (address.ip(), port).into()))?;
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// A client for one service, which follows no redirections. Fails with `Invalid` when its address may not be asked.
pub(super) fn client(base: &Url, egress: &Egress) -> Result<Client> {
    egress.check_written(base)?;
    let resolver = Hickory {
        egress: egress.clone(),
        port: base.port_or_known_default().unwrap_or(0),
    };
    Client::builder()
        .dns_resolver(Arc::new(resolver))
        .timeout(ANSWER)
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("serverkit/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::internal("preparing a client", error))
}

/// One service.
pub(super) struct Rest {
    client: Client,
    base: Url,
    token: Option<Secret>,
    /// What people call it.
    name: &'static str,
}

impl Rest {
    /// `endpoint` in place of the usual address.
    pub fn new(name: &'static str, endpoint: Option<&str>, usual: &str, token: Option<Secret>, egress: &Egress) -> Result<Rest> {
        let base = address(endpoint.unwrap_or(usual))?;
        Ok(Rest {
            client: client(&base, egress)?,
            base,
            token,
            name,
        })
    }

    /// The answer's JSON; `null` for none. Fails with `Unavailable`, saying what the service said.
    pub async fn ask(&self, method: Method, path: &str, query: &[(&str, String)], body: Option<&Value>) -> Result<Value> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut request = self.client.request(method, url).query(query);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_str().unwrap_or_default());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, text) = send(self.name, request).await?;
        if !(200..300).contains(&status) {
            let said = serde_json::from_str(&text).ok().and_then(|json| message(&json));
            return Err(refused(self.name, status, said.as_deref()));
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| Error::unavailable(format!("{} does not answer in JSON; is its address right?", self.name)))
    }
}

/// Status and text of the answer.
pub(super) async fn send(name: &str, request: RequestBuilder) -> Result<(u16, String)> {
    let silent = |error: reqwest::Error| {
        // The address may hold a secret of a webhook.
        Error::unavailable_by(format!("{name} does not answer"), error.without_url())
    };
    let mut answer = request.send().await.map_err(silent)?;
    let status = answer.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(silent)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(Error::unavailable(format!("{name} answers with more than {LARGEST} bytes")));
        }
    }
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

pub(super) fn refused(name: &str, status: u16, said: Option<&str>) -> Error {
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    Error::unavailable(match status {
        401 | 403 => format!("{name} does not accept the credentials, or they lack a right{said}"),
        404 => format!("{name} does not know that{said}"),
        429 => format!("{name} has had too many requests; try again later{said}"),
        500.. => format!("{name} has trouble of its own (status {status}){said}"),
        _ => format!("{name} refuses (status {status}){said}"),
    })
}

/// What services write into their failures.
fn message(json: &Value) -> Option<String> {
    let first = &json["errors"][0];
    [&first["message"], &json["error"]["message"], &json["message"], &json["error"]]
        .into_iter()
        .find_map(|text| text.as_str())
        .map(|text| text.chars().take(300).collect())
}

/// Fails with `Invalid` when it is no web address.
pub(super) fn address(text: &str) -> Result<Url> {
    let url: Url = text
        .parse()
        .map_err(|_| Error::invalid("endpoint", "must be an address that begins with https://"))?;
    match url.scheme() {
        "https" | "http" if url.host().is_some() => Ok(url),
        _ => Err(Error::invalid("endpoint", "must be an address that begins with https://")),
    }
}
