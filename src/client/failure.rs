//! Why a call brought no answer: the panel refused, or it was not reached.

use crate::Address;
use serde::{Deserialize, Serialize};
use std::error::Error as StdError;

/// What the panel says when it refuses (RFC 9457). Fields that a later panel adds are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What a program goes by: `not_found`, `taken`, `invalid`, `stale`, `busy`, `unauthenticated`, `forbidden`,
    /// `throttled`, `unavailable`, `cancelled`, `internal`.
    pub code: String,
    pub title: String,
    /// One sentence.
    pub detail: String,
    /// Which value of the request was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Several wrong values at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldProblem>>,
    /// To find it in the panel's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldProblem {
    pub field: String,
    pub message: String,
}

impl Problem {
    /// Reads the body of a refusal; something that is none (a proxy's page) becomes one from its status.
    pub fn read(status: u16, body: &[u8]) -> Problem {
        let mut problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status;
        if problem.code.is_empty() {
            problem.code = code_of(status).to_owned();
        }
        if problem.sentence().is_empty() {
            problem.detail = format!("the panel answered {status} without saying why");
        }
        problem
    }
    /// The one sentence to show.
    pub fn sentence(&self) -> String {
        let told = if self.detail.is_empty() { &self.title } else { &self.detail };
        let fields: Vec<String> = self
            .errors
            .iter()
            .flatten()
            .filter(|each| !told.contains(&each.message))
            .map(|each| format!("{}: {}", each.field, each.message))
            .collect();
        match (told.is_empty(), fields.is_empty()) {
            (_, true) => told.clone(),
            (true, false) => fields.join("; "),
            (false, false) => format!("{told} ({})", fields.join("; ")),
        }
    }
}

/// The code for a status whose body is no problem of ours.
fn code_of(status: u16) -> &'static str {
    match status {
        401 => "unauthenticated",
        403 => "forbidden",
        404 => "not_found",
        409 => "busy",
        429 => "throttled",
        400..500 => "invalid",
        502..=504 => "unavailable",
        _ => "internal",
    }
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The panel refused.
    #[error("{}", .0.sentence())]
    Refused(Box<Problem>),
    /// Nobody answers at the address.
    #[error("{address} cannot be reached: {why}")]
    Unreachable { address: Box<Address>, why: String },
    /// Somebody answers, with a certificate from an authority that is not trusted here.
    #[error("the certificate of {address} is not trusted: {why}")]
    Untrusted { address: Box<Address>, why: String },
    /// The answer is not what this version expects.
    #[error("the answer of the panel is not understood: {0}")]
    Odd(String),
    /// The call cannot be made with these values.
    #[error("{0}")]
    Invalid(String),
}

impl Failure {
    /// Sorts out why a connection to `address` did not come about or broke.
    pub(crate) fn from_connection(address: &Address, error: &(dyn StdError + 'static)) -> Failure {
        let (address, why) = (Box::new(address.clone()), innermost(error));
        match certificate_error(error) {
            Some(why) => Failure::Untrusted { address, why },
            None => Failure::Unreachable { address, why },
        }
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The deepest cause is the one that helps: "Connection refused", not "error sending request".
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

fn certificate_error(error: &(dyn StdError + 'static)) -> Option<String> {
    match tls_error(error)? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            Some("nobody that this machine trusts has signed it".to_owned())
        }
        rustls::Error::InvalidCertificate(why) => Some(why.to_string()),
        _ => None,
    }
}

/// The first TLS error among the causes. An `io::Error` leaves what it wraps out of its `source`, so that is asked for.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .map(|wrapped| wrapped as &(dyn StdError + 'static));
    tls_error(wrapped.or_else(|| error.source())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_become_one_sentence() {
        for (status, body, code, sentence) in [
            (
                404,
                r#"{"code":"not_found","detail":"no app named `x`","new":1}"#,
                "not_found",
                "no app named `x`",
            ),
            (502, "<html>", "unavailable", "the panel answered 502 without saying why"),
            (
                422,
                r#"{"title":"Invalid","errors":[{"field":"port","message":"too large"}]}"#,
                "invalid",
                "Invalid (port: too large)",
            ),
            (
                422,
                r#"{"detail":"port: too large","errors":[{"field":"port","message":"too large"}]}"#,
                "invalid",
                "port: too large",
            ),
        ] {
            let problem = Problem::read(status, body.as_bytes());
            assert_eq!((problem.code.as_str(), problem.sentence().as_str()), (code, sentence));
        }
    }
}
