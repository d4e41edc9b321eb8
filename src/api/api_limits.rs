//! How often the panel's own API may be asked: where each request is counted, and the rules.

use crate::{
    Panel,
    edge::networks,
    failures::Answer,
    listen,
    policies::{shown, typed},
    signed::{Identity, Signed},
    tags::Tag,
};
use app::{ApiLimitsChange, Asker};
use poem::{
    Request,
    http::{Method, header},
};
use poem_openapi::{Enum, Object, OpenApi, payload::Json};
use types::ApiClass as Class;

/// Operations that nobody needs to be signed in for and that could be tried until they work. Reading `/setup` and estimating
/// a password, which is done at every letter of it, are not among them.
const OPEN: [&str; 16] = [
    "/ci/token",
    "/setup",
    "/session",
    "/session/oidc/begin",
    "/session/oidc",
    "/session/saml/begin",
    "/session/saml",
    "/session/ldap",
    "/session/passkey/question",
    "/session/passkey",
    "/session/refresh",
    "/invitation",
    "/invitation/accept",
    "/invitation/mail",
    "/password/forgotten",
    "/password/reset",
];

/// Counts a request to an operation, whose asker has been looked for. `path` is without `/api/v1`.
pub(crate) fn admit(panel: &Panel, request: &Request, path: &str) -> Answer<()> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let class = match reads {
        true => Class::Read,
        false if request.method() == Method::POST && OPEN.contains(&path) => Class::SignIn,
        false => Class::Write,
    };
    count(panel, class, request)
}

/// Counts what comes of a sign-in elsewhere, outside of the operations.
pub(crate) fn admit_sign_in(panel: &Panel, request: &Request) -> Answer<()> {
    count(panel, Class::SignIn, request)
}

/// Counts what an identity provider sends that puts people in; its refusals have a form of their own.
pub(crate) fn admit_provisioner(panel: &Panel, request: &Request) -> types::Result<()> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    judge(panel, if reads { Class::Read } else { Class::Write }, request)
}

/// Counts what a forge sends.
pub(crate) fn admit_hook(panel: &Panel, request: &Request) -> Answer<()> {
    count(panel, Class::Hooks, request)
}

fn count(panel: &Panel, class: Class, request: &Request) -> Answer<()> {
    Ok(judge(panel, class, request)?)
}

fn judge(panel: &Panel, class: Class, request: &Request) -> types::Result<()> {
    let address = listen::address(request);
    let identity = request.data::<Identity>().and_then(|identity| identity.0.as_ref().ok());
    let asker = Asker {
        address: address.as_deref(),
        actor: identity.map(|who| &who.actor),
    };
    let path = request.original_uri().path();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    match panel.api_limits.admit(class, path, asker) {
        Ok(()) => Ok(()),
        Err(error) => {
            let agent = request.header(header::USER_AGENT).unwrap_or_default();
            tracing::debug!("{class:?} of {} ({agent}) is over a limit", address.unwrap_or_default());
            Err(error)
        }
    }
}

/// How often the panel's own API may be asked, and who asks too often just now.
#[derive(Debug, Object)]
pub struct ApiLimits {
    /// A request that any of these refuses gets 429 with `Retry-After`.
    pub rules: Vec<ApiLimit>,
    /// Addresses or networks that are never limited. The panel's Unix socket never is either.
    pub exempt: Vec<String>,
    /// Who was refused in the last ten minutes, or would have been; the most often refused first.
    pub limited: Vec<ApiLimited>,
}

/// What to change; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ApiLimitsPatch {
    /// All of them; in place of those that are there.
    pub rules: Option<Vec<ApiLimit>>,
    pub exempt: Option<Vec<String>>,
}

/// One rule for requests to the panel.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct ApiLimit {
    /// Unique; shown with its counters.
    pub name: String,
    pub class: ApiClass,
    /// Only requests to endpoints of this path, without `/api/v1`: `/apps/*/deployments`, where `*` is any one part and `**` at the end any that
    /// follow. Left out: to all.
    pub path: Option<String>,
    pub per: ApiCaller,
    /// Allowed in each period.
    pub requests: u32,
    pub period_seconds: u32,
    /// Allowed at once when nothing came before; left out or 0: as many as `requests`.
    pub burst: Option<u32>,
    /// Only count what would be refused.
    pub dry_run: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ApiClass {
    /// Those of all other classes.
    Any,
    /// GET of operations, and `/metrics`.
    Read,
    /// Every other method.
    Write,
    /// What nobody needs to be signed in for: signing in, renewing a session, claiming a fresh panel, invitations.
    SignIn,
    /// What forges send.
    Hooks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ApiCaller {
    /// An IPv4 address, or the /64 of an IPv6 one.
    Address,
    /// A token, or a person with all their browsers; who is neither counts by address.
    Caller,
}

/// Somebody that a rule refused, or would have.
#[derive(Debug, Object)]
pub struct ApiLimited {
    /// The rule's name.
    pub limit: String,
    /// An address, a token's name with its id, or a person's email.
    pub key: String,
    pub refused: u64,
    pub dry_run: bool,
    /// How long ago the last was.
    pub seconds_ago: u64,
}

impl From<types::ApiLimited> for ApiLimited {
    fn from(limited: types::ApiLimited) -> ApiLimited {
        ApiLimited {
            limit: limited.limit,
            key: limited.key,
            refused: limited.refused,
            dry_run: limited.dry_run,
            seconds_ago: limited.seconds_ago,
        }
    }
}

#[derive(Clone)]
pub(crate) struct ApiLimitsApi(pub Panel);

#[OpenApi(tag = "Tag::Edge")]
impl ApiLimitsApi {
    /// Show the rate limits of the panel's own API
    ///
    /// And who asks too often just now. Needs the role admin.
    #[oai(path = "/api-limits", method = "get", operation_id = "api_limits_show")]
    async fn api_limits_show(&self, who: Signed) -> Answer<Json<ApiLimits>> {
        let limits = self.0.api_limits.show(&who.actor)?;
        self.answer(&who, limits)
    }

    /// Change the rate limits of the panel's own API
    ///
    /// It is in force when this answers. Rules that stay as they are keep what they have counted. Needs the role admin.
    #[oai(path = "/api-limits", method = "patch", operation_id = "api_limits_update")]
    async fn api_limits_update(&self, who: Signed, body: Json<ApiLimitsPatch>) -> Answer<Json<ApiLimits>> {
        who.actor.may(types::Action::Operate)?;
        let rules = body.0.rules.map(|rules| rules.iter().map(typed).collect()).transpose()?;
        let exempt = body.0.exempt.map(|list| networks("exempt", list)).transpose()?;
        let limits = self.0.api_limits.update(&who.actor, ApiLimitsChange { rules, exempt }).await?;
        self.answer(&who, limits)
    }
}

impl ApiLimitsApi {
    fn answer(&self, who: &Signed, limits: types::ApiLimits) -> Answer<Json<ApiLimits>> {
        let limited = self.0.api_limits.limited(&who.actor)?;
        Ok(Json(ApiLimits {
            rules: limits.rules.iter().map(shown).collect(),
            exempt: limits.exempt.iter().map(ToString::to_string).collect(),
            limited: limited.into_iter().map(ApiLimited::from).collect(),
        }))
    }
}
