//! What an authority refuses, in words that say what to do. Source: RFC 8555, 6.7.

use instant_acme::{Error as AcmeError, Problem};
use std::{fmt, time::Duration};
use types::{CertificateName, Error, OrderFailure, report};

const PREFIX: &str = "urn:ietf:params:acme:error:";

/// Why there is no certificate.
#[derive(Debug)]
pub struct OrderError {
    pub kind: OrderFailure,
    /// One sentence.
    pub words: String,
    /// What to do, one sentence; empty where only waiting helps.
    pub next_step: String,
    /// How long the authority wants us to wait.
    pub retry_after: Option<Duration>,
}

impl OrderError {
    pub fn new(kind: OrderFailure, words: impl Into<String>) -> OrderError {
        OrderError {
            kind,
            words: words.into(),
            next_step: String::new(),
            retry_after: None,
        }
    }
    /// Something that went wrong on our side.
    pub fn ours(error: Error) -> OrderError {
        OrderError::new(OrderFailure::Other, report(&error))
    }
    fn then(mut self, next_step: impl Into<String>) -> OrderError {
        self.next_step = next_step.into();
        self
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for OrderError {}

/// `retry_after` is what the server asked for, in seconds.
pub(crate) fn in_words(error: AcmeError, name: Option<&CertificateName>, retry_after: Option<u64>) -> OrderError {
    let mut failed = match error {
        AcmeError::Api(problem) => of_problem(&problem, name),
        AcmeError::Timeout(_) => OrderError::new(
            OrderFailure::Unreachable,
            "the certificate authority has not finished checking in time; it is tried again later",
        ),
        AcmeError::Json(_) => OrderError::new(
            OrderFailure::Unreachable,
            "the ACME server's answer is not what an ACME server says; check its address",
        )
        .then("check acme_directory in the settings"),
        AcmeError::Other(cause) => OrderError::new(
            OrderFailure::Unreachable,
            format!("the ACME server cannot be reached: {}", report(&*cause)),
        ),
        other => OrderError::new(OrderFailure::Other, format!("the certificate could not be had: {}", report(&other))),
    };
    failed.retry_after = retry_after.map(Duration::from_secs);
    failed
}

/// The short name of an error's problem, or nothing.
pub(crate) fn kind_of(error: &AcmeError) -> &str {
    match error {
        AcmeError::Api(problem) => kind(problem),
        _ => "",
    }
}

/// The short name of a problem: `caa`, `dns`, `rateLimited`.
pub(crate) fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().unwrap_or_default().trim_start_matches(PREFIX)
}

fn of_problem(problem: &Problem, name: Option<&CertificateName>) -> OrderError {
    // With several names in an order the reason, and the name, are in a subproblem.
    let sub = problem.subproblems.first().filter(|sub| sub.r#type.is_some());
    let (kind, detail) = match sub {
        Some(sub) => (
            sub.r#type.as_deref().unwrap_or_default().trim_start_matches(PREFIX),
            sub.detail.as_deref().or(problem.detail.as_deref()),
        ),
        None => (kind(problem), problem.detail.as_deref()),
    };
    let detail = detail.unwrap_or("no details").trim().trim_end_matches('.');
    let host = match sub.and_then(|sub| sub.identifier.as_ref()) {
        Some(identifier) => identifier.clone().authorized(false).to_string(),
        None => name.map_or("the domain".to_owned(), ToString::to_string),
    };
    let (failure, words, next) = match kind {
        "rateLimited" => (
            OrderFailure::RateLimited,
            format!("the certificate authority has had too many orders for {host} and wants us to wait ({detail})"),
            "nothing: it is tried again when the authority allows".to_owned(),
        ),
        "caa" => (
            OrderFailure::Caa,
            format!("the CAA record of {host} does not allow this certificate authority ({detail})"),
            format!("allow the authority in the CAA record of {host}, or remove the record"),
        ),
        "dns" => (
            OrderFailure::Dns,
            format!("the certificate authority cannot find {host} in DNS: point it to this server ({detail})"),
            format!("set an A or AAAA record of {host} to this server"),
        ),
        "connection" => (
            OrderFailure::Connection,
            format!("the certificate authority could not connect to {host} on port 80: check DNS and the firewall ({detail})"),
            "open ports 80 and 443 in the firewall of this server and of its provider".to_owned(),
        ),
        "unauthorized" | "incorrectResponse" => (
            OrderFailure::Unauthorized,
            format!("the certificate authority reached another server at {host}: check where its DNS records point ({detail})"),
            format!("point all A and AAAA records of {host} to this server"),
        ),
        "tls" => (
            OrderFailure::Connection,
            format!("the certificate authority met a TLS error at {host} ({detail})"),
            format!("check what stands between the internet and this server at {host}, port 443"),
        ),
        "rejectedIdentifier" => (
            OrderFailure::Rejected,
            format!("the certificate authority issues nothing for {host} ({detail})"),
            "use another certificate authority, or upload a certificate".to_owned(),
        ),
        "unsupportedContact" | "invalidContact" => (
            OrderFailure::Account,
            format!("the certificate authority does not accept the mail address of the account ({detail})"),
            "set another acme_email in the settings".to_owned(),
        ),
        "accountDoesNotExist" => (
            OrderFailure::Account,
            format!("the certificate authority does not know the account any more ({detail})"),
            String::new(),
        ),
        "externalAccountRequired" => (
            OrderFailure::Account,
            format!("the certificate authority wants an account made beforehand ({detail})"),
            "set acme_eab_key_id and acme_eab_hmac_key to what the authority gave you".to_owned(),
        ),
        "userActionRequired" => (
            OrderFailure::Account,
            format!("the certificate authority wants its terms agreed to again ({detail})"),
            "follow the address in its message".to_owned(),
        ),
        "serverInternal" => (
            OrderFailure::Unreachable,
            format!("the certificate authority has trouble of its own ({detail})"),
            String::new(),
        ),
        _ => (
            OrderFailure::Other,
            format!("the certificate authority refused: {detail}"),
            String::new(),
        ),
    };
    OrderError::new(failure, words).then(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str, retry_after: Option<u64>) -> String {
        let problem: Problem = serde_json::from_str(json).expect("a problem");
        let host = "blog.example.com".parse().expect("valid");
        in_words(AcmeError::Api(problem), Some(&host), retry_after).to_string()
    }

    #[test]
    fn each_problem_says_what_to_do() {
        for (kind, expected) in [
            (
                "caa",
                "the CAA record of blog.example.com does not allow this certificate authority (why)",
            ),
            (
                "dns",
                "the certificate authority cannot find blog.example.com in DNS: point it to this server (why)",
            ),
            (
                "connection",
                "the certificate authority could not connect to blog.example.com on port 80: check DNS and the firewall (why)",
            ),
            (
                "incorrectResponse",
                "the certificate authority reached another server at blog.example.com: check where its DNS records point (why)",
            ),
            ("somethingNew", "the certificate authority refused: why"),
        ] {
            let json = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"why.","status":400}}"#);
            assert_eq!(words(&json, None), expected);
        }
    }

    #[test]
    fn a_limit_says_when_to_try_again() {
        let json = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many","status":429}"#;
        let problem: Problem = serde_json::from_str(json).expect("a problem");
        let failed = in_words(AcmeError::Api(problem), None, Some(90));
        assert_eq!(
            (failed.kind, failed.retry_after),
            (OrderFailure::RateLimited, Some(Duration::from_secs(90)))
        );
    }

    #[test]
    fn the_reason_may_be_in_a_subproblem() {
        let json = r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"several","subproblems":[
            {"type":"urn:ietf:params:acme:error:caa","detail":"CAA says no","identifier":{"type":"dns","value":"blog.example.com"}}]}"#;
        assert_eq!(
            words(json, None),
            "the CAA record of blog.example.com does not allow this certificate authority (CAA says no)"
        );
    }
}
