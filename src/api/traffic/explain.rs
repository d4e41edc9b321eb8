//! Why a request would be answered as it would.

use poem_openapi::Object;
use types::{Error, Question};

/// A request that somebody might make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ExplainQuestion {
    /// Such as `https://blog.example.com/api?x=1`.
    pub url: String,
    /// Left out: GET.
    pub method: Option<String>,
    pub headers: Option<Vec<ExplainHeader>>,
    /// The address of who asks; left out: address lists are not looked at.
    pub client: Option<String>,
}

/// A header of a request.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ExplainHeader {
    pub name: String,
    pub value: String,
}

/// Which part of the configuration answers, and why.
#[derive(Debug, Object)]
pub struct Explanation {
    /// The domain that the host led to.
    pub host: Option<String>,
    /// The rule that answers; null: the domain's own app, or none was reached.
    pub rule: Option<String>,
    /// What the client gets, in one sentence.
    pub answer: String,
    /// Everything that was asked on the way, in order.
    pub steps: Vec<ExplainStep>,
}

/// One thing that was asked on the way.
#[derive(Debug, Object)]
pub struct ExplainStep {
    pub what: String,
    /// Whether this decided the answer.
    pub decides: bool,
    pub why: String,
}

impl From<types::Explanation> for Explanation {
    fn from(told: types::Explanation) -> Explanation {
        let step = |step: types::ExplainStep| ExplainStep {
            what: step.what,
            decides: step.decides,
            why: step.why,
        };
        Explanation {
            host: told.host.map(String::from),
            rule: told.rule.map(|id| id.to_string()),
            answer: told.answer,
            steps: told.steps.into_iter().map(step).collect(),
        }
    }
}

impl ExplainQuestion {
    pub(super) fn read(self) -> types::Result<Question> {
        Ok(Question {
            url: self
                .url
                .parse()
                .map_err(|_| Error::invalid("url", "must be like https://blog.example.com/path"))?,
            method: self.method.unwrap_or_else(|| "GET".into()).to_ascii_uppercase(),
            headers: self
                .headers
                .into_iter()
                .flatten()
                .map(|header| (header.name, header.value))
                .collect(),
            client: match self.client {
                Some(text) => Some(
                    text.parse()
                        .map_err(|_| Error::invalid("client", "must be an address such as 203.0.113.5"))?,
                ),
                None => None,
            },
        })
    }
}
