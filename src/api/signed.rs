//! Who asks: the session cookie, a token, or somebody on the machine itself.
//!
//! [`identify`] looks once for each request, in front of the handlers; the handlers' [`Signed`] takes what it found.

use crate::{
    Panel,
    failures::{Answer, Code, Failure},
    listen::{self, Door},
};
use app::{Known, Visitor};
use poem::{
    FromRequest, Request, RequestBody,
    http::{Method, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use std::time::Duration;
use types::{Actor, Secret};

/// Holds the JWT. By its prefix browsers take it from this host only, not from a name beside or above it (RFC 6265bis, 4.1.3);
/// the others cannot have it, because they have a path.
pub(crate) const SESSION_COOKIE: &str = "__Host-serverkit_session";
/// Holds the secret that renews it; sent to `REFRESH_PATH` only.
pub(crate) const REFRESH_COOKIE: &str = "serverkit_refresh";
pub(crate) const REFRESH_PATH: &str = "/api/v1/session";
/// Tells a browser from one that was never here; sent to `REFRESH_PATH` only.
pub(crate) const DEVICE_COOKIE: &str = "serverkit_device";
/// Binds a sign-in at an identity provider to the browser that began it; sent to `REFRESH_PATH` only.
pub(crate) const SIGN_IN_COOKIE: &str = "serverkit_sign_in";
const CSRF_HEADER: &str = "x-csrf-token";
/// How long a stream may go on after its session or token was ended.
const RECHECK: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 15_000 });

/// Somebody known. Every operation that is not open takes one.
#[derive(Clone)]
pub(crate) struct Signed {
    pub actor: Actor,
    pub known: Known,
    proof: Proof,
}

/// What showed who it is.
#[derive(Clone)]
enum Proof {
    /// While it stands; its JWT may have expired since.
    Session,
    Token(Secret),
    Machine,
}

/// What [`identify`] found; in every request to an operation.
#[derive(Clone)]
pub(crate) struct Identity(pub Result<Signed, Failure>);

pub(crate) async fn identify(panel: &Panel, request: &mut Request) {
    let found = find(panel, request).await;
    request.set_data(Identity(found));
}

/// A token goes before the machine, and that before a cookie: who names somebody means it.
async fn find(panel: &Panel, request: &Request) -> Answer<Signed> {
    let address = listen::address(request);
    if let Some(header) = request.header(header::AUTHORIZATION) {
        let token = bearer(header).ok_or_else(|| Failure::new(Code::Unauthenticated, "send `Authorization: Bearer sk_…`"))?;
        let known = panel.sessions.by_token(token, address).await?;
        return Ok(Signed::new(known, Proof::Token(Secret::from(token))));
    }
    if let Some(uid) = machine(request) {
        return Ok(Signed::new(panel.sessions.by_machine(uid)?, Proof::Machine));
    }
    let cookie = request.cookie().get(SESSION_COOKIE);
    let cookie = cookie.ok_or_else(|| Failure::new(Code::Unauthenticated, "sign in first"))?;
    let known = panel.sessions.by_cookie(cookie.value_str(), address)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        panel.sessions.check_csrf(&known, request.header(CSRF_HEADER))?;
    }
    Ok(Signed::new(known, Proof::Session))
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Signed {
    fn new(known: Known, proof: Proof) -> Signed {
        Signed {
            actor: known.actor.clone(),
            known,
            proof,
        }
    }

    /// Who asks; fails when it is not known.
    pub fn of(request: &Request) -> Answer<Signed> {
        match request.data::<Identity>() {
            Some(identity) => identity.0.clone(),
            None => Err(Failure::new(Code::Unauthenticated, "sign in first")),
        }
    }

    /// Whether it would be let in now too: streams ask from time to time.
    pub async fn still_holds(&self, panel: &Panel) -> bool {
        if !panel.allow_lists.admits(&self.actor).unwrap_or(false) {
            return false;
        }
        match &self.proof {
            Proof::Session => panel.sessions.still_holds(&self.known).await.unwrap_or(false),
            Proof::Token(token) => {
                let again = panel
                    .sessions
                    .by_token(token.expose_str().unwrap_or_default(), self.actor.address.clone());
                again.await.is_ok_and(|known| app::same_rights(&known.actor, &self.actor))
            }
            Proof::Machine => true,
        }
    }

    /// Ends when it would no longer be let in as it was.
    pub async fn revoked(self, panel: Panel) {
        loop {
            tokio::time::sleep(RECHECK).await;
            if !self.still_holds(&panel).await {
                return;
            }
        }
    }
}

impl<'a> ApiExtractor<'a> for Signed {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = |ty, description| MetaSecurityScheme {
            ty,
            description: Some(description),
            name: None,
            key_in: None,
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(
            "session",
            MetaSecurityScheme {
                name: Some(SESSION_COOKIE),
                key_in: Some("cookie"),
                ..scheme(
                    "apiKey",
                    "The cookie of a signed-in browser, good for 10 minutes: `POST /session/refresh` renews it. Requests other \
                     than GET and HEAD need the header `X-CSRF-Token` too, with `csrf` from `GET /session`.",
                )
            },
        );
        registry.create_security_scheme(
            "token",
            MetaSecurityScheme {
                scheme: Some("bearer"),
                ..scheme(
                    "http",
                    "An API token, `sk_…`. On the panel's own machine its Unix socket needs none: root and the server's own \
                     user are known there.",
                )
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec!["session", "token"]
    }

    async fn from_request(request: &'a Request, _body: &mut RequestBody, _options: ExtractParamOptions<()>) -> poem::Result<Self> {
        Ok(Signed::of(request)?)
    }
}

/// Where a request comes from, for those who are not known yet.
pub(crate) struct Caller {
    pub visitor: Visitor,
    /// On the machine itself, root or the server's own user.
    pub machine: Option<u32>,
}

impl<'a> FromRequest<'a> for Caller {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Caller {
            visitor: Visitor {
                address: listen::address(request),
                agent: request.header(header::USER_AGENT).unwrap_or_default().to_owned(),
                origin: request.header(header::ORIGIN).map(str::to_owned),
                device: request.cookie().get(DEVICE_COOKIE).map(|cookie| cookie.value_str().to_owned()),
            },
            machine: machine(request),
        })
    }
}

/// Who is on the machine itself and needs no other proof: root, or the server's own user.
fn machine(request: &Request) -> Option<u32> {
    match Door::of(request) {
        Door::Machine { uid } if uid == 0 || uid == rustix::process::geteuid().as_raw() => Some(uid),
        _ => None,
    }
}
