//! What an authority refuses, in words that say what to do. Source: RFC 8555, 6.7.

use instant_acme::{Error as AcmeError, Problem};
use types::{Error, Host, report};

const PREFIX: &str = "urn:ietf:params:acme:error:";

/// `retry_after` is what the server asked for, in seconds.
pub(crate) fn in_words(error: AcmeError, host: Option<&Host>, retry_after: Option<u64>) -> Error {
    match error {
        AcmeError::Api(problem) => of_problem(&problem, host, retry_after),
        AcmeError::Timeout(_) => Error::unavailable("the certificate authority has not finished checking in time; it is tried again later"),
        AcmeError::Json(_) => Error::unavailable("the ACME server's answer is not what an ACME server says; check its address"),
        AcmeError::Other(cause) => Error::unavailable(format!("the ACME server cannot be reached: {}", report(&*cause))),
        other => Error::unavailable(format!("the certificate could not be had: {}", report(&other))),
    }
}

/// The short name of a problem: `caa`, `dns`, `rateLimited`.
pub(crate) fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().unwrap_or_default().trim_start_matches(PREFIX)
}

pub(crate) fn of_problem(problem: &Problem, host: Option<&Host>, retry_after: Option<u64>) -> Error {
    // With several names in an order the reason is in a subproblem; we order one name each.
    let (kind, detail) = match problem.subproblems.first() {
        Some(sub) if sub.r#type.is_some() => (
            sub.r#type.as_deref().unwrap_or_default().trim_start_matches(PREFIX),
            sub.detail.as_deref().or(problem.detail.as_deref()),
        ),
        _ => (kind(problem), problem.detail.as_deref()),
    };
    let detail = detail.unwrap_or("no details").trim().trim_end_matches('.');
    let host = host.map_or("the domain", Host::as_str);
    if kind == "rateLimited" {
        tracing::warn!(host, detail, "the certificate authority limits us");
        return Error::Throttled {
            seconds: retry_after.unwrap_or(3600),
        };
    }
    let words = match kind {
        "caa" => format!("the CAA record of {host} does not allow this certificate authority ({detail})"),
        "dns" => format!("the certificate authority cannot find {host} in DNS: point it to this server ({detail})"),
        "connection" => format!("the certificate authority could not connect to {host} on port 80: check DNS and the firewall ({detail})"),
        "unauthorized" | "incorrectResponse" => {
            format!("the certificate authority reached another server at {host}: check where its DNS records point ({detail})")
        }
        "tls" => format!("the certificate authority met a TLS error at {host} ({detail})"),
        "rejectedIdentifier" => format!("the certificate authority issues nothing for {host} ({detail})"),
        "unsupportedContact" | "invalidContact" => {
            format!("the certificate authority does not accept the mail address of the account ({detail})")
        }
        "accountDoesNotExist" => format!("the certificate authority does not know the account any more ({detail})"),
        "externalAccountRequired" => {
            format!("the certificate authority wants an account made beforehand, which is not supported ({detail})")
        }
        "userActionRequired" => format!("the certificate authority wants its terms agreed to again ({detail})"),
        _ => format!("the certificate authority refused: {detail}"),
    };
    Error::unavailable(words)
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
        assert_eq!(words(json, Some(90)), "too many attempts; try again in 90 s");
        assert_eq!(words(json, None), "too many attempts; try again in 3600 s");
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
