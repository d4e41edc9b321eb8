//! How requests reach the engine: one connection each, by a way to it ([`Dial`]), under the negotiated API version.
//!
//! A connection costs well under a millisecond on a Unix socket. Not keeping any means that an engine which was
//! restarted is met by a fresh one, and that dropping a request closes its connection, which is how a build is cancelled.

use crate::dial::Dial;
use bollard::{BollardRequest, body_full, errors::Error};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header::HOST};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The newest API that the bundled models describe.
const NEWEST: (u32, u32) = (1, 51);

/// Silence after which the engine counts as not answering.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl Address {
    /// Reads what `DOCKER_HOST` holds; without it the usual socket.
    pub fn parse(host: Option<&str>) -> types::Result<Address> {
        let host = host.filter(|host| !host.is_empty()).unwrap_or("unix:///var/run/docker.sock");
        let wrong = |why: &str| types::Error::invalid("DOCKER_HOST", format!("{why}, not `{host}`"));
        match host.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Address::Unix(path.into())),
            Some(("tcp" | "http", address)) => {
                let address = address.trim_end_matches('/');
                match address.rsplit_once(':') {
                    Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => Ok(Address::Tcp(address.to_owned())),
                    _ => Err(wrong("must name a port, as in tcp://127.0.0.1:2375")),
                }
            }
            _ => Err(wrong("must be unix:///path/to/docker.sock or tcp://host:port")),
        }
    }
}

#[derive(Debug)]
pub struct Transport {
    pub dial: Arc<dyn Dial>,
    /// `1.41`; forgotten when the engine cannot be reached, as it may come back as another version.
    version: Mutex<Option<String>>,
}

impl Transport {
    pub fn new(dial: Arc<dyn Dial>) -> Transport {
        Transport {
            dial,
            version: Mutex::new(None),
        }
    }

    /// Sends it under the negotiated version. Fails with `IOError` when the engine cannot be reached.
    pub async fn send(&self, request: BollardRequest) -> Result<Response<Incoming>, Error> {
        let version = self.negotiated().await?;
        self.send_as(request, Some(&version)).await
    }

    /// [`Transport::call`] for what the engine answers at once.
    pub async fn call_soon(&self, request: BollardRequest) -> Result<Response<Incoming>, Error> {
        let answered = tokio::time::timeout(PATIENCE, self.call(request)).await;
        answered.unwrap_or(Err(Error::RequestTimeoutError))
    }

    /// Like [`Transport::send`], and anything but success is an error with the engine's own words.
    pub async fn call(&self, request: BollardRequest) -> Result<Response<Incoming>, Error> {
        let answer = self.send(request).await?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        #[derive(serde::Deserialize)]
        struct Words {
            message: String,
        }
        let body = answer.into_body().collect().await?.to_bytes();
        Err(Error::DockerResponseServerError {
            status_code: status.as_u16(),
            message: serde_json::from_slice::<Words>(&body)
                .map(|words| words.message)
                .unwrap_or_else(|_| String::from_utf8_lossy(&body).trim().to_owned()),
        })
    }

    async fn negotiated(&self) -> Result<String, Error> {
        if let Some(version) = self.remembered() {
            return Ok(version);
        }
        #[derive(serde::Deserialize)]
        struct Version {
            #[serde(rename = "ApiVersion")]
            api_version: String,
        }
        let request = Request::get("http://engine/version").body(body_full(Bytes::new()))?;
        let body = self.send_as(request, None).await?.into_body().collect().await?.to_bytes();
        let theirs = serde_json::from_slice::<Version>(&body)?.api_version;
        let version = older_of(&theirs).ok_or(Error::APIVersionParseError {})?;
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.clone());
        Ok(version)
    }

    fn remembered(&self) -> Option<String> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget(&self) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn send_as(&self, request: BollardRequest, version: Option<&str>) -> Result<Response<Incoming>, Error> {
        let wire = self.dial.dial().await.inspect_err(|_| self.forget())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(in_origin_form(request, version)?).await?)
    }
}

/// `GET /v1.41/info` and a `Host`, as an HTTP/1.1 server expects them.
fn in_origin_form(request: BollardRequest, version: Option<&str>) -> Result<BollardRequest, Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = match version {
        Some(version) => Uri::try_from(format!("/v{version}{path}"))?,
        None => Uri::try_from(path)?,
    };
    parts.headers.insert(HOST, HeaderValue::from_static("engine"));
    // The engine reads this header in the URL-safe alphabet and takes anything else for "no login"; bollard 0.21 writes
    // it in the standard one, which differs for some passwords.
    if let Some(login) = parts.headers.get_mut("X-Registry-Auth") {
        let safe: Vec<u8> = login
            .as_bytes()
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        *login = HeaderValue::from_bytes(&safe).map_err(http::Error::from)?;
    }
    Ok(Request::from_parts(parts, body))
}

/// The engine's API version, or ours if that is older.
fn older_of(theirs: &str) -> Option<String> {
    let (major, minor) = theirs.split_once('.')?;
    let theirs = (major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?);
    let (major, minor) = theirs.min(NEWEST);
    Some(format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_host_is_read() {
        let unix = |path: &str| Address::Unix(path.into());
        for (text, expected) in [
            (None, unix("/var/run/docker.sock")),
            (Some(""), unix("/var/run/docker.sock")),
            (Some("unix:///run/user/1000/docker.sock"), unix("/run/user/1000/docker.sock")),
            (Some("tcp://127.0.0.1:2375"), Address::Tcp("127.0.0.1:2375".into())),
            (Some("http://[::1]:2375/"), Address::Tcp("[::1]:2375".into())),
        ] {
            assert_eq!(Address::parse(text).expect("it is right"), expected);
        }
        for text in [
            "ssh://root@host",
            "127.0.0.1:2375",
            "tcp://host",
            "unix://relative.sock",
            "tcp://:2375",
            "tcp://host:99999",
        ] {
            assert!(Address::parse(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_older_version_is_spoken() {
        assert_eq!(older_of("1.41").as_deref(), Some("1.41"));
        assert_eq!(older_of("1.99").as_deref(), Some("1.51"));
        assert_eq!(older_of("2.0").as_deref(), Some("1.51"));
        assert_eq!(older_of("x"), None);
    }
}
