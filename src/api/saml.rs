//! SAML 2.0: settings of a provider, signing in by one, and the two addresses outside `/api/v1` that a provider knows:
//! the panel's metadata, and where browsers bring answers. These come from another site, so no cookie comes with them;
//! what is in them is put aside, and the browser sent to the page `/sso`, which asks for it as any page of the panel does.

use crate::{
    Panel,
    answers::{Created, created},
    api_limits,
    failures::{Answer, Failure},
    identity_providers::{OidcAway, some},
    listen, outermost,
    sessions::{Session, let_in, short_cookie},
    signed::{Caller, SIGN_IN_COOKIE},
    tags::Tag,
};
use app::{ProtocolWish, SamlWish, Visitor};
use poem::{
    Endpoint, EndpointExt, Request, Response,
    endpoint::make,
    http::{Method, StatusCode, header},
    web::cookie::CookieJar,
};
use poem_openapi::{Object, OpenApi, payload::Json};
use types::{Error, IdentityProviderId, World};
use url::{Url, form_urlencoded};

/// Bytes of the form with an answer.
const FORM: usize = 1 << 20;

/// SAML 2.0, begun at the panel; with `metadata_url` or `metadata`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SamlInput {
    /// Where the provider's metadata is; read at each sign-in, so that keys may be rolled over.
    pub metadata_url: Option<String>,
    /// The metadata itself: XML.
    pub metadata: Option<String>,
    /// Which provider, where the metadata tells of several.
    pub entity_id: Option<String>,
    /// The attribute that names people for ever; left out: the NameID, which must not be a transient one.
    pub subject_attribute: Option<String>,
    /// By its name or its friendly name; left out: `mail` and what it is usually called.
    pub email_attribute: Option<String>,
    /// Left out: `displayName`, `cn` and what it is usually called.
    pub name_attribute: Option<String>,
    /// Left out: `groups`, `memberOf` and what it is usually called.
    pub groups_attribute: Option<String>,
    /// More authorities to believe when the metadata is read: certificates in PEM.
    pub authority: Option<String>,
}

/// SAML 2.0.
#[derive(Debug, Object)]
pub struct SamlProvider {
    pub metadata_url: Option<String>,
    pub metadata: Option<String>,
    pub entity_id: Option<String>,
    pub subject_attribute: Option<String>,
    pub email_attribute: Option<String>,
    pub name_attribute: Option<String>,
    pub groups_attribute: Option<String>,
    pub authority: Option<String>,
    /// The panel's metadata for this provider, at the address that the panel is opened by. It is the panel's entity ID too.
    pub own_metadata: String,
    /// Where browsers bring answers (Assertion Consumer Service, HTTP-POST).
    pub consumer: String,
}

/// What the page `/sso` was opened with.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SamlBack {
    /// The value of `saml` in its address.
    pub answer: String,
}

/// Whom to go to.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SamlBegin {
    /// The provider's id.
    pub provider: String,
}

impl SamlProvider {
    pub(crate) fn of(id: &IdentityProviderId, settings: types::SamlSettings) -> SamlProvider {
        SamlProvider {
            metadata_url: settings.metadata_url,
            metadata: settings.metadata,
            entity_id: settings.entity_id,
            subject_attribute: settings.subject_attribute,
            email_attribute: settings.email_attribute,
            name_attribute: settings.name_attribute,
            groups_attribute: settings.groups_attribute,
            authority: settings.authority,
            own_metadata: format!("/saml/{id}/metadata"),
            consumer: format!("/saml/{id}/acs"),
        }
    }
}

impl From<SamlInput> for ProtocolWish {
    fn from(input: SamlInput) -> ProtocolWish {
        ProtocolWish::Saml(Box::new(SamlWish {
            metadata_url: some(input.metadata_url),
            metadata: some(input.metadata),
            entity_id: some(input.entity_id),
            subject_attribute: some(input.subject_attribute),
            email_attribute: some(input.email_attribute),
            name_attribute: some(input.name_attribute),
            groups_attribute: some(input.groups_attribute),
            authority: some(input.authority),
        }))
    }
}

#[derive(Clone)]
pub(crate) struct SamlApi(pub Panel, pub World);

#[OpenApi(tag = "Tag::Sessions")]
impl SamlApi {
    /// Begin to sign in by SAML
    ///
    /// Gives the address that the browser goes to, and a cookie that it shows when it comes back to the page `/sso`.
    #[oai(path = "/session/saml/begin", method = "post", operation_id = "session_begin_by_saml")]
    async fn session_begin_by_saml(&self, caller: Caller, jar: &CookieJar, body: Json<SamlBegin>) -> Answer<Json<OidcAway>> {
        let (url, cookie) = self.0.sessions.send_away_by_saml(&body.0.provider, &caller.visitor).await?;
        jar.add(short_cookie(SIGN_IN_COOKIE, cookie.expose_str().unwrap_or_default().to_owned()));
        Ok(Json(OidcAway { url }))
    }

    /// Sign in by SAML
    ///
    /// With what the page `/sso` was opened with after the browser brought an answer, at once and once. Sets the session
    /// cookies.
    #[oai(path = "/session/saml", method = "post", operation_id = "session_create_by_saml")]
    async fn session_create_by_saml(&self, caller: Caller, jar: &CookieJar, body: Json<SamlBack>) -> Answer<Created<Session>> {
        let cookie = jar.get(SIGN_IN_COOKIE).map(|cookie| cookie.value_str().to_owned());
        let signed = self
            .0
            .sessions
            .create_by_saml(&body.0.answer, cookie.as_deref(), &caller.visitor)
            .await?;
        Ok(created(let_in(jar, signed, self.1.now())))
    }
}

/// `/saml/:id/acs`.
pub(crate) fn consumer(panel: Panel) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let panel = panel.clone();
        async move {
            match *request.method() {
                Method::POST => {
                    api_limits::admit_sign_in(&panel, &request)?;
                    Ok::<_, poem::Error>(take(&panel, request).await?)
                }
                _ => Err(poem::Error::from(outermost::nothing())),
            }
        }
    })
    .map_to_response()
}

/// `/saml/:id/metadata`.
pub(crate) fn own_metadata(panel: Panel) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let panel = panel.clone();
        async move {
            match *request.method() {
                Method::GET | Method::HEAD => Ok::<_, poem::Error>(tell(&panel, &request)?),
                _ => Err(poem::Error::from(outermost::nothing())),
            }
        }
    })
    .map_to_response()
}

/// The id in `/saml/:id/…`.
fn id(request: &Request) -> String {
    request.uri().path().split('/').nth(2).unwrap_or_default().to_owned()
}

async fn take(panel: &Panel, mut request: Request) -> Answer<Response> {
    let id = id(&request);
    let visitor = Visitor {
        address: listen::address(&request),
        ..Visitor::default()
    };
    let body = request.take_body().into_bytes_limit(FORM).await;
    let body = body.map_err(|error| Failure::from(poem::Error::from(error)))?;
    let (mut state, mut answer) = (String::new(), String::new());
    for (name, value) in form_urlencoded::parse(&body) {
        match name.as_ref() {
            "RelayState" => state = value.into_owned(),
            "SAMLResponse" => answer = value.into_owned(),
            _ => {}
        }
    }
    // What is wrong is told by the page: to the browser that began, and to no other.
    let landed = panel.sessions.land(&id, &state, &answer, &visitor).unwrap_or_else(|| "none".into());
    Ok(Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, format!("/sso?saml={landed}"))
        .header(header::CACHE_CONTROL, "no-store")
        .finish())
}

fn tell(panel: &Panel, request: &Request) -> Answer<Response> {
    let host = request.header(header::HOST).unwrap_or_default();
    let origin = Url::parse(&format!("https://{host}"))
        .ok()
        .filter(|url| url.path() == "/" && url.username().is_empty());
    let origin = origin.ok_or_else(|| Error::invalid("host", "is no name or address"))?;
    let text = panel.identity_providers.own_metadata(&id(request), &origin)?;
    Ok(Response::builder()
        .content_type("application/samlmetadata+xml")
        .header(header::CACHE_CONTROL, "no-cache")
        .body(text))
}
