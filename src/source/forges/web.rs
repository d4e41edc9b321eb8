//! JSON over HTTP from one forge: bounded in time and size, and with credentials for its own host only.

use super::{Proof, short};
use egress::{Egress, Outbound};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use std::time::Duration;
use types::{Error, Forge, Result, innermost};
use url::Url;

const CONNECTING: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(15);
/// Of one answer: a hundred repositories at GitHub are about 700 KiB.
const BYTES: usize = 4 << 20;
/// A repository that was renamed answers with a redirection.
const REDIRECTIONS: usize = 3;
/// Pages of a list that are followed.
const PAGES: usize = 10;

pub(super) struct Web {
    client: Outbound,
    forge: Forge,
    base: Url,
    proof: Option<Proof>,
}

/// What came back.
pub(super) struct Answer {
    pub status: u16,
    pub body: Value,
    /// The next page, by the `Link` header (RFC 8288) or, at both Bitbuckets, the body.
    next: Option<Url>,
    /// Asking is allowed again then, in the forge's words.
    rested: Option<String>,
}

impl Web {
    pub fn new(forge: Forge, base: Url, proof: Option<Proof>, egress: &Egress) -> Result<Web> {
        let prepare = || {
            Ok(reqwest::Client::builder()
                .user_agent(concat!("serverkit/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECTING)
                .timeout(LONGEST))
        };
        let client = Outbound::new(egress, false, prepare)?;
        Ok(Web {
            client,
            forge,
            base,
            proof,
        })
    }

    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    pub fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let text = format!("{}/{path}", self.base.as_str().trim_end_matches('/'));
        let mut url = Url::parse(&text).expect("a path below an address is one");
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        Ok(self.good(self.ask(Method::GET, self.url(path, query), None).await?)?.body)
    }
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::POST, path, body).await
    }
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        Ok(self.good(self.ask(method, self.url(path, &[]), Some(body)).await?)?.body)
    }
    /// What is gone already is no failure.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let answer = self.ask(Method::DELETE, self.url(path, &[]), None).await?;
        if answer.status == 404 {
            return Ok(());
        }
        self.good(answer).map(drop)
    }

    /// The items of a list over its pages, until `enough` of them; and whether there are more. `items` finds them in a page.
    pub async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        items: impl Fn(&Value) -> Option<&Vec<Value>>,
        enough: usize,
    ) -> Result<(Vec<Value>, bool)> {
        let mut found = Vec::new();
        let mut url = self.url(path, query);
        for _ in 0..PAGES {
            let answer = self.good(self.ask(Method::GET, url, None).await?)?;
            let page = items(&answer.body).ok_or_else(|| super::strange(self.forge, "a list"))?;
            found.extend(page.iter().cloned());
            match answer.next {
                None => return Ok((found, false)),
                Some(_) if found.len() >= enough => break,
                Some(next) => url = next,
            }
        }
        Ok((found, true))
    }

    /// A form, as the token endpoints of OAuth take it; the status and what came back.
    pub async fn form(&self, url: Url, form: &[(&str, &str)], basic: Option<(&str, &str)>) -> Result<(u16, Value)> {
        let mut request = self
            .client
            .to(&url)?
            .post(url.clone())
            .header("accept", "application/json")
            .form(form);
        if let Some((user, password)) = basic {
            request = request.basic_auth(user, Some(password));
        }
        let answer = self.answered(&url, request).await?.0;
        Ok((answer.status, answer.body))
    }

    async fn ask(&self, method: Method, mut url: Url, body: Option<&Value>) -> Result<Answer> {
        for _ in 0..=REDIRECTIONS {
            let client = self.client.to(&url)?;
            let mut request = client.request(method.clone(), url.clone()).header("accept", self.accepted());
            if self.forge == Forge::Github {
                request = request.header("x-github-api-version", "2022-11-28");
            }
            request = match &self.proof {
                Some(Proof::Bearer(token) | Proof::Account { token, .. }) => request.bearer_auth(token.expose_str().unwrap_or_default()),
                Some(Proof::Basic { user, password }) => request.basic_auth(user, password.expose_str()),
                None => request,
            };
            if let Some(body) = body {
                request = request.json(body);
            }
            let (answer, to) = self.answered(&url, request).await?;
            match to {
                // A redirected POST would be told as done by whoever answers a GET.
                Some(to) if method == Method::GET => url = self.followed(&url, &to)?,
                _ => return Ok(answer),
            }
        }
        Err(self.unavailable("it redirects without end"))
    }

    fn accepted(&self) -> &'static str {
        match self.forge {
            Forge::Github => "application/vnd.github+json",
            _ => "application/json",
        }
    }

    /// Within the same host only: elsewhere the credentials would be somebody else's.
    fn followed(&self, from: &Url, to: &str) -> Result<Url> {
        let url = from.join(to).map_err(|_| self.unavailable("it redirects to what is no address"))?;
        if url.origin() != from.origin() {
            return Err(self.unavailable(format!("it redirects to {}", short(url.host_str().unwrap_or("nowhere"), 100))));
        }
        Ok(url)
    }

    async fn answered(&self, url: &Url, request: RequestBuilder) -> Result<(Answer, Option<String>)> {
        let failed = |error: reqwest::Error| self.unavailable(innermost(&error));
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > BYTES {
                return Err(self.unavailable("its answer is larger than 4 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            Err(_) if status.is_success() && !bytes.is_empty() => {
                return Err(self.unavailable("its answer is not JSON; is the address right?"));
            }
            Err(_) => Value::Null,
        };
        let next = match self.forge {
            Forge::BitbucketDataCenter => next_start(url, &body),
            _ => next_page(&headers, &body).and_then(|next| url.join(&next).ok()),
        };
        let answer = Answer {
            status: status.as_u16(),
            // Another host would get the credentials.
            next: next.filter(|next| next.origin() == url.origin()),
            rested: rested(status.as_u16(), &headers),
            body,
        };
        let to = status
            .is_redirection()
            .then(|| text_of(&headers, "location"))
            .flatten()
            .map(str::to_owned);
        Ok((answer, to))
    }

    /// An answer of success; else what is wrong, in words.
    fn good(&self, answer: Answer) -> Result<Answer> {
        let name = self.forge.name();
        let said = said(&answer.body);
        match (answer.status, &answer.rested) {
            (200..=299, _) => Ok(answer),
            (_, Some(until)) => Err(Error::unavailable(format!("{name} takes no more requests {until}"))),
            (401, _) => Err(Error::invalid("access", format!("{name} does not know who asks{said}"))),
            (403, _) => Err(Error::invalid("access", format!("{name} does not allow it{said}"))),
            (404, _) => Err(Error::invalid(
                "repository",
                format!("{name} has no such thing, or does not show it to this connection{said}"),
            )),
            (status, _) => Err(self.unavailable(format!("it answers {status}{said}"))),
        }
    }

    fn unavailable(&self, why: impl std::fmt::Display) -> Error {
        let host = self.base.host_str().unwrap_or_default();
        Error::unavailable(format!("{} at {host} cannot be asked: {why}", self.forge.name()))
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `until …`, if the forge wants to be left alone for a while: `Retry-After`, or no requests that remain.
fn rested(status: u16, headers: &HeaderMap) -> Option<String> {
    if !matches!(status, 403 | 429) {
        return None;
    }
    if let Some(after) = text_of(headers, "retry-after") {
        return Some(format!("for {} s", short(after, 20)));
    }
    let none_left = ["x-ratelimit-remaining", "ratelimit-remaining"]
        .iter()
        .any(|name| text_of(headers, name) == Some("0"));
    if !none_left && status != 429 {
        return None;
    }
    let reset = text_of(headers, "x-ratelimit-reset").or(text_of(headers, "ratelimit-reset"));
    let reset = reset.and_then(|text| text.parse::<i64>().ok());
    Some(match reset {
        Some(seconds) => format!("until {}", types::Time(seconds.saturating_mul(1000))),
        None => "for a while".into(),
    })
}

fn next_page(headers: &HeaderMap, body: &Value) -> Option<String> {
    let by_header = text_of(headers, "link").and_then(|links| {
        links.split(',').find_map(|link| {
            let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
            let is_next = rest.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
            is_next.then(|| url.to_owned())
        })
    });
    by_header.or_else(|| body["next"].as_str().map(str::to_owned))
}

/// At Bitbucket Data Center the same address with another `start`.
fn next_start(url: &Url, body: &Value) -> Option<Url> {
    let start = body["nextPageStart"].as_u64().filter(|_| body["isLastPage"] != true)?.to_string();
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(name, _)| name != "start").collect();
    let mut next = url.clone();
    next.query_pairs_mut().clear().extend_pairs(others).append_pair("start", &start);
    Some(next)
}

/// `: what the forge says`, from the places where forges write it.
fn said(body: &Value) -> String {
    let places = [
        &body["message"],
        &body["error"]["message"],
        &body["error_description"],
        &body["error"],
        &body["errors"][0]["message"],
    ];
    let words = places.into_iter().find_map(|place| match place {
        Value::String(text) => Some(text.clone()),
        // GitLab tells by field.
        Value::Object(_) if place == &body["message"] => Some(place.to_string()),
        _ => None,
    });
    words.map(|words| format!(": {}", short(&words, 200))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages() {
        let headers = |link: &str| HeaderMap::from_iter([(reqwest::header::LINK, link.parse().expect("it is one"))]);
        let two = "<https://api.github.com/user/repos?page=1>; rel=\"prev\", <https://api.github.com/user/repos?page=3>; rel=\"next\"";
        for (headers, body, expected) in [
            (headers(two), json!([]), Some("https://api.github.com/user/repos?page=3")),
            (headers("<https://x/?page=1>; rel=\"first\""), json!([]), None),
            (HeaderMap::new(), json!({"next": "https://x/?page=2"}), Some("https://x/?page=2")),
            (HeaderMap::new(), json!({}), None),
            (headers("nonsense"), json!([]), None),
        ] {
            assert_eq!(next_page(&headers, &body).as_deref(), expected);
        }
    }

    #[test]
    fn pages_by_their_start() {
        let url = Url::parse("https://git.test/rest/api/latest/repos?limit=100&name=a%26b&start=100").expect("it is one");
        let next = |body| next_start(&url, &body).map(String::from);
        let expected = "https://git.test/rest/api/latest/repos?limit=100&name=a%26b&start=200";
        assert_eq!(next(json!({"isLastPage": false, "nextPageStart": 200})).as_deref(), Some(expected));
        for last in [
            json!({"isLastPage": true, "nextPageStart": null}),
            json!({"isLastPage": true, "nextPageStart": 200}),
            json!({"isLastPage": false, "nextPageStart": "https://elsewhere.test"}),
            json!({"isLastPage": false, "nextPageStart": -1}),
            json!([]),
        ] {
            assert_eq!(next(last.clone()), None, "{last}");
        }
    }

    #[test]
    fn what_forges_say() {
        for (body, expected) in [
            (json!({"message": "Bad credentials"}), ": Bad credentials"),
            (json!({"message": {"name": ["is taken"]}}), ": {\"name\":[\"is taken\"]}"),
            (json!({"type": "error", "error": {"message": "No"}}), ": No"),
            (
                json!({"errors": [{"context": null, "message": "No", "exceptionName": null}]}),
                ": No",
            ),
            (json!({"error": "x", "error_description": "expired"}), ": expired"),
            (Value::Null, ""),
        ] {
            assert_eq!(said(&body), expected);
        }
    }

    #[test]
    fn rests() {
        let headers = |pairs: &[(&'static str, &str)]| {
            HeaderMap::from_iter(
                pairs
                    .iter()
                    .map(|(name, value)| (name.parse().expect("it is one"), value.parse().expect("it is one"))),
            )
        };
        for (status, pairs, expected) in [
            (403, &[][..], None),
            (200, &[("x-ratelimit-remaining", "0")], None),
            (403, &[("retry-after", "60")], Some("for 60 s")),
            (429, &[], Some("for a while")),
            (
                403,
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000000")],
                Some("until 2023-11-14T22:13:20Z"),
            ),
        ] {
            assert_eq!(rested(status, &headers(pairs)).as_deref(), expected);
        }
    }
}
