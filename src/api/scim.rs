//! SCIM 2.0 at `/scim/v2`, outside `/api/v1`: it has a media type, errors and tokens of its own, which are good for nothing
//! else. And the operations by which administrators turn it on.
//!
//! `openapi.json` says nothing of it: it describes itself at `/Schemas` and `/ResourceTypes`, as identity providers expect,
//! and nobody generates a client for one panel's SCIM.

use crate::{
    Panel,
    answers::{Created, Done, created, moment},
    api_limits,
    failures::Answer,
    listen,
    signed::Signed,
    tags::Tag,
};
use app::{Provisioner, ProvisioningView, ScimQuery};
use poem::{
    Endpoint, EndpointExt, Request, Response,
    endpoint::make,
    http::{Method, StatusCode, header},
};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use serde_json::{Value, json};
use time::OffsetDateTime;
use types::{Error, Result, report};
use url::{Url, form_urlencoded};

const KIND: &str = "application/scim+json";
const BODY: usize = 1 << 20;

/// How an identity provider puts people and groups in itself (SCIM 2.0).
#[derive(Debug, Object)]
pub struct Provisioning {
    /// Where the provider sends to, at the address that the panel is opened by.
    pub path: String,
    /// The first letters of its token.
    pub hint: String,
    pub created_at: OffsetDateTime,
    /// When the token ends.
    pub expires_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    /// Whom it put in.
    pub users: u64,
    pub groups: u64,
}

/// A token for a provider to come with.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ProvisioningRenew {
    /// Days until it ends, 1 to 1095; left out: 365.
    pub expires_in_days: Option<u32>,
}

/// Provisioning, and its token, which is shown once.
#[derive(Debug, Object)]
pub struct NewProvisioning {
    pub provisioning: Provisioning,
    /// Sent as `Authorization: Bearer`.
    pub token: String,
}

impl From<ProvisioningView> for Provisioning {
    fn from(view: ProvisioningView) -> Provisioning {
        Provisioning {
            path: "/scim/v2".into(),
            hint: view.provisioning.hint,
            created_at: moment(view.provisioning.created_at),
            expires_at: moment(view.provisioning.expires_at),
            last_used_at: view.provisioning.last_used_at.map(moment),
            users: view.users as u64,
            groups: view.groups as u64,
        }
    }
}

#[derive(Clone)]
pub(crate) struct ScimApi(pub Panel);

#[OpenApi(tag = "Tag::Sessions")]
impl ScimApi {
    /// Show a provider's provisioning
    ///
    /// Needs the role admin. 404 while it is off.
    #[oai(path = "/identity-providers/:id/provisioning", method = "get", operation_id = "provisioning_show")]
    async fn provisioning_show(
        &self,
        who: Signed,
        /// The provider's id.
        id: Path<String>,
    ) -> Answer<Json<Provisioning>> {
        Ok(Json(self.0.scim.get(&who.actor, &id.0)?.into()))
    }

    /// Turn provisioning on, or renew its token
    ///
    /// The token before is good no more.
    #[oai(
        path = "/identity-providers/:id/provisioning",
        method = "post",
        operation_id = "provisioning_renew"
    )]
    async fn provisioning_renew(
        &self,
        who: Signed,
        /// The provider's id.
        id: Path<String>,
        body: Json<ProvisioningRenew>,
    ) -> Answer<Created<NewProvisioning>> {
        let (view, token) = self.0.scim.renew(&who.actor, &id.0, body.0.expires_in_days).await?;
        Ok(created(NewProvisioning {
            provisioning: view.into(),
            token: token.expose_str().unwrap_or_default().to_owned(),
        }))
    }

    /// Turn provisioning off
    ///
    /// Whom it put in stays as they are.
    #[oai(
        path = "/identity-providers/:id/provisioning",
        method = "delete",
        operation_id = "provisioning_delete"
    )]
    async fn provisioning_delete(
        &self,
        who: Signed,
        /// The provider's id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.scim.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}

/// `/scim/v2/*`.
pub(crate) fn endpoint(panel: Panel) -> impl Endpoint<Output = Response> {
    make(move |request: Request| {
        let panel = panel.clone();
        async move {
            let origin = origin(&request);
            let admitted = api_limits::admit_provisioner(&panel, &request);
            Ok::<_, poem::Error>(match admitted {
                Ok(()) => answer(&panel, request, &origin).await.unwrap_or_else(|error| refusal(&error)),
                Err(error) => refusal(&error),
            })
        }
    })
    .map_to_response()
}

/// Where the panel was asked, for the addresses in answers.
fn origin(request: &Request) -> String {
    let host = request.header(header::HOST).unwrap_or_default();
    let read = Url::parse(&format!("https://{host}")).ok();
    let read = read.filter(|url| url.path() == "/" && url.username().is_empty() && url.query().is_none() && url.fragment().is_none());
    read.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

async fn answer(panel: &Panel, mut request: Request, origin: &str) -> Result<Response> {
    let header = request.header(header::AUTHORIZATION).unwrap_or_default().to_owned();
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Error::Unauthenticated {
            why: "send `Authorization: Bearer scim_…`".into(),
        })?;
    let who = panel.scim.by_token(token, listen::address(&request)).await?;
    let path = request.uri().path().strip_prefix("/scim/v2").unwrap_or_default();
    // Names of schemas have colons in them, which some clients encode.
    let path = path.trim_matches('/').replace("%3A", ":").replace("%3a", ":");
    let query = query(request.uri().query().unwrap_or_default());
    let method = request.method().clone();
    let body = match method {
        Method::POST | Method::PUT | Method::PATCH => body(&mut request).await,
        _ => Ok(Value::Null),
    };
    let (what, id) = path.split_once('/').map_or((path.as_str(), None), |(what, id)| (what, Some(id)));
    let told = match what {
        "ServiceProviderConfig" | "ResourceTypes" | "Schemas" if method != Method::GET => return Ok(not_so()),
        "ServiceProviderConfig" if id.is_none() => Told::Is(abilities()),
        "ResourceTypes" | "Schemas" => Told::Is(described(what, id)?),
        ".search" if method == Method::POST => Told::Is(searched(&who, what, &body?)?),
        "Users" | "Groups" if id == Some(".search") && method == Method::POST => Told::Is(searched(&who, what, &body?)?),
        "Users" => people(&who, &method, id, &query, body).await?,
        "Groups" => groups(&who, &method, id, &query, body).await?,
        "Bulk" | "Me" => return Ok(failure(StatusCode::NOT_IMPLEMENTED, None, "this panel does not do that by SCIM")),
        _ => return Ok(failure(StatusCode::NOT_FOUND, None, "there is nothing here")),
    };
    Ok(match told {
        Told::Is(value) => written(StatusCode::OK, located(value, origin)),
        Told::Shown(value) => written(StatusCode::OK, located(app::scim_shown(value, &query), origin)),
        Told::Made(value) => made(&located(value, origin), &query),
        Told::Gone => Response::builder().status(StatusCode::NO_CONTENT).finish(),
        Told::NotSo => not_so(),
    })
}

/// What an operation has to say.
enum Told {
    Is(Value),
    /// One resource, of which a part may be asked for.
    Shown(Value),
    Made(Value),
    Gone,
    /// Nothing is done so here.
    NotSo,
}

async fn people(who: &Provisioner, method: &Method, id: Option<&str>, query: &ScimQuery, body: Result<Value>) -> Result<Told> {
    Ok(match (method, id) {
        (&Method::GET, None) => Told::Is(who.users(query)?),
        (&Method::GET, Some(id)) => Told::Shown(who.user(id)?),
        (&Method::POST, None) => Told::Made(who.add(&body?).await?),
        (&Method::PUT, Some(id)) => Told::Shown(who.replace(id, &body?).await?),
        (&Method::PATCH, Some(id)) => Told::Shown(who.patch(id, &body?).await?),
        (&Method::DELETE, Some(id)) => {
            who.take_away(id).await?;
            Told::Gone
        }
        _ => Told::NotSo,
    })
}

async fn groups(who: &Provisioner, method: &Method, id: Option<&str>, query: &ScimQuery, body: Result<Value>) -> Result<Told> {
    Ok(match (method, id) {
        (&Method::GET, None) => Told::Is(who.groups(query)?),
        (&Method::GET, Some(id)) => Told::Shown(who.group(id)?),
        (&Method::POST, None) => Told::Made(who.add_group(&body?).await?),
        (&Method::PUT, Some(id)) => Told::Shown(who.replace_group(id, &body?).await?),
        (&Method::PATCH, Some(id)) => Told::Shown(who.patch_group(id, &body?).await?),
        (&Method::DELETE, Some(id)) => {
            who.remove_group(id).await?;
            Told::Gone
        }
        _ => Told::NotSo,
    })
}

/// With whole addresses in place of paths: they are to be those of the resources (RFC 7643, section 3.1).
fn located(mut value: Value, origin: &str) -> Value {
    match &mut value {
        Value::Array(all) => {
            for one in all {
                *one = located(one.take(), origin);
            }
        }
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                match inner.as_str() {
                    Some(path) if matches!(name.as_str(), "location" | "$ref") && path.starts_with("/scim/v2/") => {
                        *inner = Value::String(format!("{origin}{path}"));
                    }
                    Some(_) => {}
                    None => *inner = located(inner.take(), origin),
                }
            }
        }
        _ => {}
    }
    value
}

/// A search whose question is in the body (RFC 7644, section 3.4.3).
fn searched(who: &Provisioner, what: &str, body: &Value) -> Result<Value> {
    let names = |name: &str| {
        let all = body[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.map(str::to_owned).collect()
    };
    let query = ScimQuery {
        filter: body["filter"].as_str().map(str::to_owned),
        start: body["startIndex"].as_i64(),
        count: body["count"].as_i64(),
        attributes: names("attributes"),
        excluded: names("excludedAttributes"),
    };
    match what {
        "Users" => who.users(&query),
        "Groups" => who.groups(&query),
        _ => who.everything(&query),
    }
}

fn query(text: &str) -> ScimQuery {
    let mut query = ScimQuery::default();
    let names = |value: &str| value.split(',').map(|name| name.trim().to_owned()).collect();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match name.to_lowercase().as_str() {
            "filter" => query.filter = Some(value.into_owned()),
            "startindex" => query.start = value.parse().ok(),
            "count" => query.count = value.parse().ok(),
            "attributes" => query.attributes = names(&value),
            "excludedattributes" => query.excluded = names(&value),
            _ => {}
        }
    }
    query
}

async fn body(request: &mut Request) -> Result<Value> {
    let bytes = request.take_body().into_bytes_limit(BODY).await;
    let bytes = bytes.map_err(|_| Error::invalid("syntax", "the body is larger than 1 MiB, or did not come whole"))?;
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| Error::invalid("syntax", "the body is not JSON"))?;
    match body.is_object() {
        true => Ok(body),
        false => Err(Error::invalid("syntax", "the body is no object")),
    }
}

fn made(resource: &Value, query: &ScimQuery) -> Response {
    let at = resource["meta"]["location"].as_str().unwrap_or_default().to_owned();
    let mut response = written(StatusCode::CREATED, app::scim_shown(resource.clone(), query));
    if let Ok(at) = at.parse() {
        response.headers_mut().insert(header::LOCATION, at);
    }
    response
}

fn not_so() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, None, "nothing is done by this method here")
}

fn written(status: StatusCode, value: Value) -> Response {
    Response::builder()
        .status(status)
        .content_type(KIND)
        .header(header::CACHE_CONTROL, "no-store")
        .body(value.to_string())
}

/// RFC 7644, section 3.12.
fn failure(status: StatusCode, kind: Option<&str>, detail: &str) -> Response {
    let mut error = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": status.as_u16().to_string(),
        "detail": detail,
    });
    if let Some(kind) = kind {
        error["scimType"] = json!(kind);
    }
    written(status, error)
}

fn refusal(error: &Error) -> Response {
    let detail = error.to_string();
    match error {
        Error::NotFound { .. } => failure(StatusCode::NOT_FOUND, None, &detail),
        Error::Taken { .. } => failure(StatusCode::CONFLICT, Some("uniqueness"), &detail),
        Error::Invalid { field, .. } => {
            let kind = match field.as_str() {
                "filter" => "invalidFilter",
                "path" => "invalidPath",
                "syntax" => "invalidSyntax",
                "mutability" => "mutability",
                "noTarget" => "noTarget",
                _ => "invalidValue",
            };
            failure(StatusCode::BAD_REQUEST, Some(kind), &detail)
        }
        Error::Unauthenticated { .. } => {
            let mut response = failure(StatusCode::UNAUTHORIZED, None, &detail);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            response
        }
        Error::Throttled { seconds } => {
            let mut response = failure(StatusCode::TOO_MANY_REQUESTS, None, &detail);
            response.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
            response
        }
        Error::Forbidden { .. } => failure(StatusCode::FORBIDDEN, None, &detail),
        Error::Stale { .. } | Error::Busy { .. } => failure(StatusCode::CONFLICT, None, &detail),
        Error::Unavailable { .. } => failure(StatusCode::SERVICE_UNAVAILABLE, None, &detail),
        _ => {
            tracing::error!("SCIM: {}", report(error));
            failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                None,
                "something went wrong here; the log says what",
            )
        }
    }
}

/// RFC 7643, section 5.
fn abilities() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": 500},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": false},
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "Token", "description": "The token of the identity provider's provisioning", "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": "/scim/v2/ServiceProviderConfig"},
    })
}

/// A list of what there is, or the one with this id.
fn described(what: &str, id: Option<&str>) -> Result<Value> {
    let all: Value = serde_json::from_str(match what {
        "Schemas" => include_str!("scim/schemas.json"),
        _ => include_str!("scim/resource_types.json"),
    })
    .map_err(|error| Error::internal("reading what SCIM has here", error))?;
    let Some(id) = id else {
        let total = all.as_array().map_or(0, Vec::len);
        return Ok(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total, "startIndex": 1, "itemsPerPage": total, "Resources": all,
        }));
    };
    let found = all.as_array().into_iter().flatten().find(|one| one["id"] == id).cloned();
    found.ok_or_else(|| Error::not_found(types::Kind::Setting, id))
}
