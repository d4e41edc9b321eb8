//! Failures as the wire sees them: RFC 9457 problems. The one place that picks a status.
//!
//! A [`Failure`] travels as a response that carries its [`Problem`]; the outermost layer (`outermost`) adds the
//! request id, logs what the caller must not see, and writes the body.

use crate::shape;
use poem::{
    IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, SizedLimitError},
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Enum, Object,
    error::{ContentTypeError, ParseParamError, ParsePathError},
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};
use serde_json::Value;
use types::Error;

/// What every handler answers.
pub type Answer<T> = Result<T, Failure>;

/// What went wrong, by RFC 9457.
#[derive(Debug, Clone, Object)]
pub struct Problem {
    /// Where the code is explained: `/api/docs/errors#<code>`.
    #[oai(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What went wrong this time, in one sentence.
    pub detail: String,
    /// For programs.
    pub code: Code,
    /// The field that is wrong, when there is one.
    pub field: Option<String>,
    /// Each field that is wrong.
    pub errors: Vec<FieldError>,
    /// Name it when you ask for help: the server's log has the causes under it.
    pub request_id: String,
}

/// A field that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

/// The kinds of failure. A client reacts to these, people read `detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Code {
    NotFound,
    Taken,
    Invalid,
    Stale,
    Busy,
    Unauthenticated,
    SecondFactorNeeded,
    Forbidden,
    Unconfirmed,
    Unenrolled,
    Throttled,
    Unavailable,
    Cancelled,
    Internal,
}

impl Code {
    pub const ALL: [Code; 14] = [
        Code::NotFound,
        Code::Taken,
        Code::Invalid,
        Code::Stale,
        Code::Busy,
        Code::Unauthenticated,
        Code::SecondFactorNeeded,
        Code::Forbidden,
        Code::Unconfirmed,
        Code::Unenrolled,
        Code::Throttled,
        Code::Unavailable,
        Code::Cancelled,
        Code::Internal,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Code::NotFound => "not_found",
            Code::Taken => "taken",
            Code::Invalid => "invalid",
            Code::Stale => "stale",
            Code::Busy => "busy",
            Code::Unauthenticated => "unauthenticated",
            Code::SecondFactorNeeded => "second_factor_needed",
            Code::Forbidden => "forbidden",
            Code::Unconfirmed => "unconfirmed",
            Code::Unenrolled => "unenrolled",
            Code::Throttled => "throttled",
            Code::Unavailable => "unavailable",
            Code::Cancelled => "cancelled",
            Code::Internal => "internal",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Code::NotFound => "Not found",
            Code::Taken => "Already taken",
            Code::Invalid => "Not valid",
            Code::Stale => "Changed meanwhile",
            Code::Busy => "Not possible now",
            Code::Unauthenticated => "Not signed in",
            Code::SecondFactorNeeded => "A code is needed",
            Code::Forbidden => "Not allowed",
            Code::Unconfirmed => "To be confirmed",
            Code::Unenrolled => "A second factor is asked for",
            Code::Throttled => "Too many attempts",
            Code::Unavailable => "Not available",
            Code::Cancelled => "Cancelled",
            Code::Internal => "Internal error",
        }
    }

    /// What it means and what to do; shown in the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Code::NotFound => "Nothing has this name or id, or you may not see it.",
            Code::Taken => "Somebody has this name already. Choose another, or use the one that is there.",
            Code::Invalid => "The request, or a value in it, cannot be used. `errors` names each field and says what would be right.",
            Code::Stale => "The record changed between reading and writing it. Load it again, then repeat the change.",
            Code::Busy => "The thing exists but cannot do this now: something else is under way or stands in the way. `detail` says what.",
            Code::Unauthenticated => {
                "No credentials, or they are wrong or expired. Sign in, renew the session with POST /api/v1/session/refresh, or send a token."
            }
            Code::Forbidden => "You are known but lack the right. `detail` names the role or the token scope that is needed.",
            Code::SecondFactorNeeded => {
                "The password is right, and the account has a second factor: sign in again with `code` too, from the authenticator app or a recovery code."
            }
            Code::Unconfirmed => {
                "You have the right, and did not show lately that it is you: POST /api/v1/session/confirm with a code of your second factor, or without one with your password, then repeat the request."
            }
            Code::Unenrolled => {
                "This panel asks for a second factor and you have none. Until you set one up in your account, nothing else is allowed."
            }
            Code::Throttled => "Too many attempts. Wait as many seconds as `Retry-After` says.",
            Code::Unavailable => {
                "Something outside does not answer or refuses: the container engine, a Git server, a certificate authority. Try again later."
            }
            Code::Cancelled => "Somebody asked for it to end.",
            Code::Internal => "A bug or a broken disk. The server's log has the causes under `request_id`.",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Taken | Code::Stale | Code::Busy | Code::Cancelled => StatusCode::CONFLICT,
            Code::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Code::Unauthenticated | Code::SecondFactorNeeded => StatusCode::UNAUTHORIZED,
            Code::Forbidden | Code::Unconfirmed | Code::Unenrolled => StatusCode::FORBIDDEN,
            Code::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A problem on its way out.
#[derive(Debug, Clone)]
pub struct Failure {
    status: StatusCode,
    retry_after: Option<u64>,
    inside: Box<Unfinished>,
}

/// What the outermost layer needs to finish a failed answer.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    pub problem: Problem,
    /// For the log only.
    pub causes: Option<String>,
}

impl Failure {
    pub fn new(code: Code, detail: impl Into<String>) -> Failure {
        let problem = Problem {
            kind: format!("/api/docs/errors#{}", code.word()),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            detail: detail.into(),
            code,
            field: None,
            errors: Vec::new(),
            request_id: String::new(),
        };
        Failure {
            status: code.status(),
            retry_after: None,
            inside: Box::new(Unfinished { problem, causes: None }),
        }
    }

    pub fn invalid(field: &str, message: impl Into<String>) -> Failure {
        Failure::from(Error::invalid(field, message))
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Failure {
        self.status = status;
        self.inside.problem.status = status.as_u16();
        self
    }

    fn with_field(mut self, field: &str, message: &str) -> Failure {
        self.inside.problem.field = Some(field.to_owned());
        self.inside.problem.errors = vec![FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        }];
        self
    }

    fn with_causes(mut self, error: &Error) -> Failure {
        self.inside.causes = Some(types::report(error));
        self
    }

    pub fn code(&self) -> Code {
        self.inside.problem.code
    }
    pub fn status(&self) -> StatusCode {
        self.status
    }
    pub fn problem(&self) -> &Problem {
        &self.inside.problem
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let text = error.to_string();
        match &error {
            Error::NotFound { .. } => Failure::new(Code::NotFound, text),
            Error::Taken { .. } => Failure::new(Code::Taken, text),
            Error::Invalid { field, why } => Failure::new(Code::Invalid, &text).with_field(field, why),
            Error::Stale { .. } => Failure::new(Code::Stale, text),
            Error::Busy { .. } => Failure::new(Code::Busy, text),
            Error::Unauthenticated { .. } => Failure::new(Code::Unauthenticated, text),
            Error::SecondFactorNeeded => Failure::new(Code::SecondFactorNeeded, text),
            Error::Forbidden { .. } => Failure::new(Code::Forbidden, text),
            Error::Unconfirmed => Failure::new(Code::Unconfirmed, text),
            Error::Unenrolled => Failure::new(Code::Unenrolled, text),
            Error::Throttled { seconds } => {
                let mut failure = Failure::new(Code::Throttled, text);
                failure.retry_after = Some(*seconds);
                failure
            }
            Error::Unavailable { .. } => Failure::new(Code::Unavailable, text).with_causes(&error),
            Error::Cancelled => Failure::new(Code::Cancelled, text),
            Error::Internal { .. } => Failure::new(
                Code::Internal,
                "something went wrong inside serverkit; its log has the causes under this request id",
            )
            .with_causes(&error),
        }
    }
}

/// poem's own refusals: no such path, wrong method, bodies that are too large or not JSON, validators.
impl From<poem::Error> for Failure {
    fn from(error: poem::Error) -> Failure {
        if error.is::<NotFoundError>() {
            return Failure::new(Code::NotFound, "there is nothing at this address");
        }
        if error.is::<MethodNotAllowedError>() {
            return Failure::new(Code::Invalid, "this address does not take that method").with_status(StatusCode::METHOD_NOT_ALLOWED);
        }
        if let Some(error) = error.downcast_ref::<ParseParamError>() {
            let message = plain(&error.reason);
            return Failure::new(Code::Invalid, format!("{}: {message}", error.name)).with_field(error.name, &message);
        }
        if let Some(error) = error.downcast_ref::<ParsePathError>() {
            let message = plain(&error.reason);
            return Failure::new(Code::Invalid, format!("{}: {message}", error.name)).with_field(error.name, &message);
        }
        if error.is::<ContentTypeError>() {
            return Failure::new(
                Code::Invalid,
                "send the body as JSON, with the header `Content-Type: application/json`",
            )
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let status = if error.is::<SizedLimitError>() {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            error.status()
        };
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
                Code::Invalid,
                format!(
                    "the body is too large; at most {} MiB are taken, and 25 MiB at a webhook’s address",
                    crate::BODY_BYTES >> 20
                ),
            )
            .with_status(status),
            status if status.is_client_error() => Failure::new(Code::Invalid, error.to_string()).with_status(status),
            status => {
                let mut failure = Failure::from(Error::internal("answering", error.to_string())).with_status(status);
                failure.inside.causes = Some(error.to_string());
                failure
            }
        }
    }
}

/// A body that is not JSON is a 400; JSON of the wrong shape says which fields are wrong. `reason` is poem-openapi's and
/// names types, the outermost last: `… (occurred while parsing "SourceInput") (occurred while parsing "AppCreate")`.
pub(crate) fn unreadable(reason: &str, body: &[u8], schemas: &Value) -> Failure {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Failure::new(Code::Invalid, "the body is not JSON").with_status(StatusCode::BAD_REQUEST);
    };
    let name = reason.rsplit('"').nth(1).unwrap_or_default();
    let faults = shape::faults(schemas, name, &value);
    let Some(first) = faults.first() else {
        return Failure::new(Code::Invalid, "the body does not have the shape that the documentation describes");
    };
    let detail = match first.field.as_str() {
        "" => format!("the body {}", first.message),
        field => format!("{field}: {}", first.message),
    };
    let mut failure = Failure::new(Code::Invalid, detail);
    failure.inside.problem.field = Some(first.field.clone()).filter(|field| !field.is_empty());
    failure.inside.problem.errors = faults;
    failure
}

/// poem-openapi's words about a parameter in ours: `failed to parse "integer_uint32": invalid digit found in string`.
fn plain(reason: &str) -> String {
    if reason.contains("expects an input value") {
        return "is missing".to_owned();
    }
    let mut rest = reason.split(" (occurred while parsing").next().unwrap_or(reason);
    while let Some((_, behind)) = rest.strip_prefix("failed to parse \"").and_then(|rest| rest.split_once("\": ")) {
        rest = behind;
    }
    match rest.trim_end_matches('.') {
        "invalid digit found in string" | "cannot parse integer from empty string" => "must be a whole number, not negative".to_owned(),
        "number too large to fit in target type" => "is too large".to_owned(),
        rest if rest.contains("component could not be parsed") || rest.contains("character literal was not valid") => {
            "must be a time, such as 2026-01-31T12:00:00Z".to_owned()
        }
        rest => rest.to_owned(),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .content_type("application/problem+json")
            .body(self.inside.problem.to_json_string());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"serverkit\""));
        }
        response.set_data(*self.inside);
        response
    }
}

impl From<Failure> for poem::Error {
    fn from(failure: Failure) -> poem::Error {
        let unfinished = failure.inside.clone();
        let mut error = poem::Error::from_response(failure.into_response());
        error.set_error_message(&unfinished.problem.detail);
        // The response's own data is lost inside an error; the error's is handed on.
        error.set_data(*unfinished);
        error
    }
}

/// The failures that the document lists at every operation.
const LISTED: [(u16, &str); 11] = [
    (400, "The body is not JSON."),
    (401, "Not signed in, or the session or token has ended (`unauthenticated`)."),
    (403, "The role or the token's scope does not suffice (`forbidden`)."),
    (404, "No such thing (`not_found`)."),
    (409, "Not possible as things are (`taken`, `stale`, `busy`, `cancelled`)."),
    (413, "The body is too large."),
    (415, "The body is not of the type that is asked for (`invalid`)."),
    (422, "A value cannot be used (`invalid`)."),
    (429, "Too many attempts (`throttled`); see `Retry-After`."),
    (500, "A bug or a broken disk (`internal`)."),
    (503, "Something outside does not answer (`unavailable`)."),
];

impl ApiResponse for Failure {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: LISTED
                .iter()
                .map(|(status, description)| MetaResponse {
                    description,
                    status: Some(*status),
                    status_range: None,
                    content: vec![MetaMediaType {
                        content_type: "application/problem+json",
                        schema: Problem::schema_ref(),
                    }],
                    headers: Vec::new(),
                })
                .collect(),
        }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use types::Kind;

    #[test]
    fn every_error_has_its_status_and_code() {
        for (error, status, code) in [
            (Error::not_found(Kind::App, "blog"), 404, Code::NotFound),
            (
                Error::Taken {
                    kind: Kind::App,
                    name: "blog".into(),
                    by: None,
                },
                409,
                Code::Taken,
            ),
            (Error::invalid("port", "must be 1 to 65535"), 422, Code::Invalid),
            (Error::Stale { what: "the app".into() }, 409, Code::Stale),
            (Error::busy("it is in the trash"), 409, Code::Busy),
            (Error::Unauthenticated { why: "no".into() }, 401, Code::Unauthenticated),
            (
                Error::Forbidden {
                    needs: "the role admin".into(),
                },
                403,
                Code::Forbidden,
            ),
            (Error::Throttled { seconds: 7 }, 429, Code::Throttled),
            (Error::unavailable("the engine does not answer"), 503, Code::Unavailable),
            (Error::Cancelled, 409, Code::Cancelled),
            (Error::internal("reading", "disk"), 500, Code::Internal),
        ] {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!((failure.status().as_u16(), failure.code()), (status, code), "{text}");
            assert_eq!(failure.problem().status, status);
            assert_eq!(failure.problem().kind, format!("/api/docs/errors#{}", code.word()));
        }
    }

    #[test]
    fn the_inside_stays_inside() {
        let failure = Failure::from(Error::internal("reading /var/lib/secret", "disk"));
        assert!(!failure.problem().detail.contains("secret"));
        assert_eq!(failure.inside.causes.as_deref(), Some("while reading /var/lib/secret: disk"));
        let failure = Failure::from(Error::unavailable_by("the forge does not answer", "connect to 10.0.0.7"));
        assert_eq!(failure.problem().detail, "the forge does not answer");
    }

    #[test]
    fn fields_are_named() {
        let problem = Failure::from(Error::invalid("port", "must be 1 to 65535")).inside.problem;
        assert_eq!(problem.field.as_deref(), Some("port"));
        assert_eq!(
            problem.errors,
            [FieldError {
                field: "port".into(),
                message: "must be 1 to 65535".into()
            }]
        );
    }

    #[test]
    fn waiting_is_said_in_a_header() {
        let response = Failure::from(Error::Throttled { seconds: 7 }).into_response();
        assert_eq!(response.header("retry-after"), Some("7"));
    }

    /// What poem-openapi says of a body, in our words.
    fn refused(body: &str) -> (u16, Option<String>, String) {
        use poem_openapi::types::ParseFromJSON;
        let reason = match serde_json::from_str(body) {
            Err(error) => error.to_string(),
            Ok(value) => crate::apps::AppCreate::parse_from_json(Some(value)).unwrap_err().into_message(),
        };
        let document: Value = serde_json::from_str(&crate::document()).unwrap();
        let failure = unreadable(&reason, body.as_bytes(), &document["components"]["schemas"]);
        (
            failure.status().as_u16(),
            failure.inside.problem.field,
            failure.inside.problem.detail,
        )
    }

    #[test]
    fn wrong_bodies_are_explained() {
        for (body, status, field, part) in [
            ("", 400, None, "not JSON"),
            ("{", 400, None, "not JSON"),
            ("[]", 422, None, "must be an object"),
            ("null", 422, None, "must be an object"),
            (r#"{"name": ["x"]}"#, 422, Some("source"), "missing"),
            (r#"{"name": ["x"], "source": {"kind": "git"}}"#, 422, Some("name"), "must be a text"),
            (r#"{"source": {"kind": "git"}}"#, 422, Some("name"), "missing"),
            (r#"{"name": null, "source": {"kind": "git"}}"#, 422, Some("name"), "missing"),
            (
                r#"{"name": "x", "source": {"kind": "svn"}}"#,
                422,
                Some("source.kind"),
                "must be one of git, image",
            ),
            (
                r#"{"name": "x", "source": {"kind": "git", "password": ["hunter2"]}}"#,
                422,
                Some("source.password"),
                "a text",
            ),
            (
                r#"{"name": "x", "source": {"kind": "git"}, "port": 70000}"#,
                422,
                Some("port"),
                "65535",
            ),
            (
                r#"{"name": "x", "source": {"kind": "git"}, "port": -1}"#,
                422,
                Some("port"),
                "65535",
            ),
            (
                r#"{"name": "x", "source": {"kind": "git"}, "surprise": 1}"#,
                422,
                Some("surprise"),
                "not a known field",
            ),
            (
                r#"{"name": "x", "source": {"kind": "git"}, "command": ["a", {}]}"#,
                422,
                Some("command[1]"),
                "a text",
            ),
        ] {
            let (got, at, detail) = refused(body);
            assert!(
                got == status && at.as_deref() == field && detail.contains(part),
                "{body}: {got} {at:?} {detail}"
            );
            assert!(!detail.contains("hunter2"), "{detail}");
        }
    }

    #[test]
    fn parameters_are_explained() {
        for (reason, words) in [
            (
                r#"failed to parse "integer_uint32": invalid digit found in string"#,
                "must be a whole number, not negative",
            ),
            (r#"Type "string" expects an input value."#, "is missing"),
            (
                r#"failed to parse "string_date-time": the 'year' component could not be parsed"#,
                "must be a time, such as 2026-01-31T12:00:00Z",
            ),
        ] {
            assert_eq!(plain(reason), words);
        }
    }
}
