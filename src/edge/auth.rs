//! Who may pass: by name and password (RFC 7617), or by what another server says.

use crate::{
    answers::Answer,
    cookies::{self, Cookies},
    fetch::fetch,
    forward::Failure,
    policy::{Own, Reply, Visitor},
    upstream::{Backend, Backends, Place, Wire},
    worker::Worker,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;
use types::{BasicAuth, Error, ForwardAuth, PasswordHash, Result};

/// Credentials that were right are remembered, as hashes under keys of this process, so that only the first request of a
/// client costs a bcrypt.
const REMEMBERED: usize = 4096;

pub(crate) struct Basic {
    auth: BasicAuth,
    hashing: Arc<Semaphore>,
    keys: (RandomState, RandomState),
    right: Mutex<HashSet<(u64, u64)>>,
}

impl Basic {
    pub(crate) fn new(auth: BasicAuth, hashing: Arc<Semaphore>) -> Basic {
        Basic {
            auth,
            hashing,
            keys: (RandomState::new(), RandomState::new()),
            right: Mutex::default(),
        }
    }

    pub(crate) fn realm(&self) -> &str {
        &self.auth.realm
    }

    pub(crate) async fn admits(&self, headers: &HeaderMap) -> bool {
        let Some((name, password)) = headers.get(header::AUTHORIZATION).and_then(credentials) else {
            return false;
        };
        let print = (self.keys.0.hash_one((&name, &password)), self.keys.1.hash_one((&name, &password)));
        if self.right.lock().expect("no panic under this lock").contains(&print) {
            return true;
        }
        let user = self.auth.users.iter().find(|user| user.name.as_bytes() == name);
        // An unknown name takes as long as a wrong password.
        let known = user.is_some();
        let hash = user.or(self.auth.users.first()).map(|user| user.hash.clone());
        let right = known & self.fits(hash, password).await;
        if right {
            let mut all = self.right.lock().expect("no panic under this lock");
            if all.len() >= REMEMBERED {
                all.clear();
            }
            all.insert(print);
        }
        right
    }

    async fn fits(&self, hash: Option<PasswordHash>, password: Vec<u8>) -> bool {
        let (Some(hash), Ok(_turn)) = (hash, self.hashing.acquire().await) else {
            return false;
        };
        // Away from the thread that serves everybody.
        tokio::task::spawn_blocking(move || hash.fits(&password)).await.unwrap_or(false)
    }
}

fn credentials(value: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

/// How long the other server may take.
const ASKING: Duration = Duration::from_secs(10);
const LARGEST_ANSWER: usize = 256 << 10;

pub(crate) struct Forward {
    backend: Arc<Backend>,
    host: HeaderValue,
    target: String,
    pass: Vec<HeaderName>,
}

impl Forward {
    pub(crate) fn build(auth: &ForwardAuth, backends: &Backends) -> Result<Forward> {
        let bad = || Error::invalid("forward_auth", "the address names no host");
        let host = auth.url.host_str().ok_or_else(bad)?;
        let port = auth.url.port_or_known_default().ok_or_else(bad)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let place = match bare.parse::<std::net::IpAddr>() {
            Ok(address) => Place::Tcp((address, port).into()),
            Err(_) => Place::Name(bare.into(), port),
        };
        let tls = match auth.url.scheme() {
            "https" => Some(Arc::new(backends.tls_out(bare, None)?)),
            _ => None,
        };
        let written = match auth.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let query = auth.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Forward {
            backend: backends.of(place, Wire { tls, ..Wire::default() }),
            host: HeaderValue::from_str(&written).map_err(|_| bad())?,
            target: format!("{}{query}", auth.url.path()),
            pass: auth
                .pass_headers
                .iter()
                .filter_map(|name| HeaderName::from_bytes(name.as_str().as_bytes()).ok())
                .collect(),
        })
    }

    /// `Ok`: it may pass, with these headers.
    pub(crate) async fn ask(&self, worker: &Worker, visitor: &Visitor<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Own> {
        let failed = |failure: &Failure| {
            tracing::warn!(?failure, upstream = %self.backend.place, "the server that decides who may pass does not answer");
            Own {
                answer: Reply::Words(Answer::cannot_ask()),
                headers: HeaderMap::new(),
            }
        };
        let request = self.question(visitor).ok_or_else(|| failed(&Failure::BadAnswer))?;
        let (head, body) = fetch(worker, &self.backend, request, LARGEST_ANSWER, ASKING)
            .await
            .map_err(|failure| failed(&failure))?;
        if head.status.is_success() {
            let each = |name: &HeaderName| head.headers.get(name).map(|value| (name.clone(), value.clone()));
            return Ok(self.pass.iter().filter_map(each).collect());
        }
        let mut headers = HeaderMap::new();
        for name in [
            header::LOCATION,
            header::WWW_AUTHENTICATE,
            header::CONTENT_TYPE,
            header::SET_COOKIE,
            header::RETRY_AFTER,
        ] {
            for value in head
                .headers
                .get_all(&name)
                .iter()
                .filter(|value| name != header::SET_COOKIE || !cookies::sets_panels(value))
            {
                headers.append(name.clone(), value.clone());
            }
        }
        Err(Own {
            answer: Reply::Whole(head.status, Bytes::from(body)),
            headers,
        })
    }

    fn question(&self, visitor: &Visitor<'_>) -> Option<Box<RequestHeader>> {
        let (mut parts, ()) = http::Request::builder()
            .method(http::Method::GET)
            .uri(self.target.as_str())
            .body(())
            .ok()?
            .into_parts();
        parts.headers.insert(header::HOST, self.host.clone());
        // Whose server this is, the panel does not know.
        let cookies = cookies::outgoing(&visitor.request.headers, true);
        for (name, value) in &visitor.request.headers {
            let own = matches!(
                name.as_str(),
                "host" | "connection" | "content-length" | "transfer-encoding" | "te" | "trailer" | "upgrade" | "keep-alive" | "expect"
            );
            let replaced = *name == header::COOKIE && cookies != Cookies::Same;
            if !own && !replaced && !name.as_str().starts_with("x-forwarded-") {
                parts.headers.append(name.clone(), value.clone());
            }
        }
        if let Cookies::One(cookies) = cookies {
            parts.headers.insert(header::COOKIE, cookies);
        }
        let uri = visitor.request.uri.path_and_query().map_or("/", |uri| uri.as_str());
        let proto = if visitor.secure { "https" } else { "http" };
        for (name, value) in [
            ("x-forwarded-method", HeaderValue::from_str(visitor.request.method.as_str()).ok()?),
            ("x-forwarded-proto", HeaderValue::from_static(proto)),
            ("x-forwarded-host", visitor.host.clone()),
            ("x-forwarded-uri", HeaderValue::from_str(uri).ok()?),
            ("x-forwarded-for", visitor.client_text.clone()),
        ] {
            parts.headers.insert(name, value);
        }
        Some(Box::new(RequestHeader::from(parts)))
    }
}
