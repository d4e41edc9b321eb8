//! What a registry has under a tag, without pulling it.
//!
//! The registry is asked directly, by `HEAD` (OCI distribution specification, "Checking if content exists in the registry"):
//! registries that count pulls do not count that one, while the engine's own question is a `GET`. A registry that cannot be reached so, such as one
//! with a certificate that only the engine trusts, is asked by the engine; but not for those who may not reach every address, because the
//! engine goes wherever the registry sends it.

use crate::{
    connect::Docker,
    failures::{self, checked, words},
    images::{credentials_of, name_and_tag, of_outside, password_of, registry_failure},
};
use egress::{Egress, Outbound};
use reqwest::{Client, Method, Response, StatusCode, header::HeaderMap};
use serde_json::Value;
use std::{net::IpAddr, time::Duration};
use types::{Error, Kind, RegistryLogin, RegistryServer, Result, innermost};
use url::Url;

const CONNECTING: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(15);
/// Of the answer of a token service.
const BYTES: usize = 1 << 20;
/// What a registry that wants to be left alone gets when it does not say how long, and the longest that it gets.
const REST: u64 = 15 * 60;
const LONGEST_REST: u64 = 24 * 60 * 60;
/// An index before what is in it: the engine remembers an image by the digest of the index.
const KINDS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

impl Docker {
    /// The digest (`sha256:…`) of what the registry has under the reference's tag now. Fails with `NotFound`, with `Unauthenticated` when the
    /// registry wants another login, with `Throttled` when it wants to be left alone for a while, and with `Unavailable`.
    /// `egress`: how far the registry may lead, and the token service that it names.
    pub async fn image_digest(&self, reference: &str, login: Option<&RegistryLogin>, egress: &Egress) -> Result<String> {
        checked(Kind::Image, reference)?;
        let question = Question::new(reference, login, egress)?;
        match question.ask().await {
            Err(Failure::Unreached(why)) if egress.is_bounded() => Err(of_outside(egress, reference, Error::unavailable(why))),
            Err(Failure::Unreached(why)) => {
                tracing::debug!("{reference}: {why}; asking the engine");
                self.digest_by_engine(reference, login).await
            }
            Err(Failure::Answered(error)) => Err(error),
            Ok(digest) => Ok(digest),
        }
    }

    /// Why a pull failed, for those who may not go everywhere. Registries send the engine elsewhere, for tokens and by redirections: whether it
    /// met a refusal there, nothing, or nobody at all would tell what listens inside. So the registry is asked again by who keeps to the
    /// bounds, and that answer is told; the engine's is for the panel's journal.
    pub(crate) async fn failed_outside(&self, reference: &str, login: Option<&RegistryLogin>, egress: &Egress, error: Error) -> Error {
        match error {
            Error::Unavailable { .. } | Error::Unauthenticated { .. } | Error::NotFound { .. } | Error::Throttled { .. } => {
                let told = of_outside(egress, reference, Error::unavailable_by("pulling it", error));
                self.image_digest(reference, login, egress).await.err().unwrap_or(told)
            }
            error => error,
        }
    }

    async fn digest_by_engine(&self, reference: &str, login: Option<&RegistryLogin>) -> Result<String> {
        let proof = login.map(credentials_of).transpose()?;
        let (name, tag) = name_and_tag(reference);
        match self.client().inspect_registry_image(&format!("{name}:{tag}"), proof).await {
            Ok(found) => found.descriptor.digest.ok_or_else(|| strange(reference)),
            Err(refusal) => Err(match failures::answer(&refusal) {
                Some((_, message)) if message.contains("toomanyrequests") => Error::Throttled { seconds: REST },
                Some((status, message)) => registry_failure(reference, status, message).unwrap_or_else(|| {
                    let message = failures::plain(message);
                    Error::unavailable(format!("asking for `{reference}`: {message}"))
                }),
                None => words(format!("asking for `{reference}`"))(refusal),
            }),
        }
    }
}

/// Why there is no digest.
enum Failure {
    /// Nobody answered in a way that could be understood.
    Unreached(String),
    Answered(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Answered(error)
    }
}

struct Question<'a> {
    client: Outbound,
    reference: &'a str,
    login: Option<&'a RegistryLogin>,
    manifest: Url,
    /// Of the repository, as token services call it.
    scope: String,
}

impl<'a> Question<'a> {
    fn new(reference: &'a str, login: Option<&'a RegistryLogin>, egress: &Egress) -> Result<Question<'a>> {
        let (base, path, tag) = place_of(reference);
        let prepare = || {
            Ok(Client::builder()
                .user_agent(concat!("serverkit/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECTING)
                .timeout(LONGEST))
        };
        let client = Outbound::new(egress, false, prepare)?;
        let manifest = Url::parse(&format!("{base}/v2/{path}/manifests/{tag}"));
        Ok(Question {
            client,
            reference,
            login,
            manifest: manifest.map_err(|_| Error::invalid("image", "names no registry that can be asked"))?,
            scope: format!("repository:{path}:pull"),
        })
    }

    async fn ask(&self) -> std::result::Result<String, Failure> {
        let mut answer = self.head(None).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let proof = match Challenge::of(answer.headers()) {
                Some(Challenge::Basic) if self.login.is_some() => None,
                Some(Challenge::Bearer { realm, service }) => Some(self.token(&realm, service.as_deref()).await?),
                _ => return Err(self.refused().into()),
            };
            answer = self.head(Some(proof)).await?;
        }
        self.read(&answer).map_err(Failure::from)
    }

    /// `proof`: with the login itself, or with a token in its place.
    async fn head(&self, proof: Option<Option<String>>) -> std::result::Result<Response, Failure> {
        let client = self.client.to(&self.manifest)?;
        let mut request = client.request(Method::HEAD, self.manifest.clone()).header("accept", KINDS);
        request = match (proof, self.login) {
            (Some(Some(token)), _) => request.bearer_auth(token),
            (Some(None), Some(login)) => request.basic_auth(&login.user, Some(password_of(login)?)),
            _ => request,
        };
        request.send().await.map_err(|error| Failure::Unreached(innermost(&error)))
    }

    fn read(&self, answer: &Response) -> Result<String> {
        match answer.status().as_u16() {
            200 => {
                let digest = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
                let digest = digest.filter(|digest| is_digest(digest)).ok_or_else(|| strange(self.reference))?;
                Ok(digest.to_owned())
            }
            401 | 403 => Err(self.refused()),
            404 => Err(Error::not_found(Kind::Image, self.reference)),
            429 => Err(Error::Throttled {
                seconds: rest(answer.headers()),
            }),
            status => Err(Error::unavailable(format!("the registry of `{}` answers {status}", self.reference))),
        }
    }

    fn refused(&self) -> Error {
        let why = match self.login {
            Some(login) => format!(
                "the registry {} does not let `{}` see `{}`: the password is wrong, the image does not exist, or it is not theirs to see",
                login.server, login.user, self.reference
            ),
            None => format!(
                "the registry does not let us see `{}`: the image does not exist, or it needs a user and password (serverkit registry add)",
                self.reference
            ),
        };
        Error::Unauthenticated { why }
    }

    /// From the service that the registry names, as engines get theirs (Docker registry token authentication).
    async fn token(&self, realm: &str, service: Option<&str>) -> std::result::Result<String, Failure> {
        let url = Url::parse(realm).ok().filter(|url| self.may_be_told(url));
        let mut url = url.ok_or_else(|| Failure::Unreached("it names no token service that may be asked".into()))?;
        url.query_pairs_mut().append_pair("scope", &self.scope);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let mut request = self.client.to(&url)?.get(url);
        if let Some(login) = self.login {
            request = request.basic_auth(&login.user, Some(password_of(login)?));
        }
        let mut answer = request.send().await.map_err(|error| Failure::Unreached(innermost(&error)))?;
        if answer.status() != StatusCode::OK {
            return Err(match self.read(&answer) {
                Err(error) => error.into(),
                Ok(_) => strange(self.reference).into(),
            });
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| Failure::Unreached(innermost(&error)))? {
            if bytes.len() + chunk.len() > BYTES {
                return Err(strange(self.reference).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = body["token"].as_str().or_else(|| body["access_token"].as_str());
        Ok(token.map(str::to_owned).ok_or_else(|| strange(self.reference))?)
    }

    /// A password goes over an open line only to this machine itself.
    fn may_be_told(&self, url: &Url) -> bool {
        url.scheme() == "https"
            || (self.manifest.scheme() == "http" && url.scheme() == "http" && url.host_str().is_some_and(is_this_machine))
    }
}

/// Where the registry is, the repository's path there, and the tag or digest.
fn place_of(reference: &str) -> (String, String, &str) {
    let (name, tag) = name_and_tag(reference);
    let server = RegistryServer::of(reference);
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    };
    if server.as_str() == "docker.io" {
        let official = if path.contains('/') { "" } else { "library/" };
        return ("https://registry-1.docker.io".into(), format!("{official}{path}"), tag);
    }
    // Engines take registries on loopback without encryption too.
    let scheme = match is_this_machine(server.as_str().rsplit_once(':').map_or(server.as_str(), |(host, _)| host)) {
        true => "http",
        false => "https",
    };
    (format!("{scheme}://{server}"), path.to_owned(), tag)
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"` (RFC 9110, section 11.6.1).
    fn of(headers: &HeaderMap) -> Option<Challenge> {
        let all = headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        let mut found: Vec<Challenge> = all.filter_map(Challenge::read).collect();
        // Where both are offered, the token.
        found.sort_by_key(|one| *one == Challenge::Basic);
        found.into_iter().next()
    }

    fn read(text: &str) -> Option<Challenge> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        let of = |wanted: &str| {
            let mut rest = rest;
            while let Some((key, after)) = rest.split_once('=') {
                let (value, next) = match after.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"')?,
                    None => after.split_once(',').unwrap_or((after, "")),
                };
                if key.trim_matches([',', ' ']).eq_ignore_ascii_case(wanted) {
                    return Some(value.to_owned());
                }
                rest = next;
            }
            None
        };
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        Some(Challenge::Bearer {
            realm: of("realm").filter(|_| is_bearer)?,
            service: of("service"),
        })
    }
}

/// Seconds for which the registry wants to be left alone.
fn rest(headers: &HeaderMap) -> u64 {
    let after = headers.get("retry-after").and_then(|value| value.to_str().ok());
    after
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(REST)
        .clamp(1, LONGEST_REST)
}

/// `sha256:` and 64 hex digits, or another algorithm's.
fn is_digest(text: &str) -> bool {
    let hex = |text: &str| (32..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_once(':')
        .is_some_and(|(algorithm, rest)| !algorithm.is_empty() && algorithm.len() <= 20 && hex(rest))
}

fn strange(reference: &str) -> Error {
    Error::unavailable(format!("the registry of `{reference}` does not say which image it has"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress::Bounds;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use types::Secret;

    #[test]
    fn places() {
        for (reference, base, path, tag) in [
            ("nginx", "https://registry-1.docker.io", "library/nginx", "latest"),
            ("docker.io/team/app:1", "https://registry-1.docker.io", "team/app", "1"),
            ("ghcr.io/team/app:v1", "https://ghcr.io", "team/app", "v1"),
            ("127.0.0.1:5000/app:1", "http://127.0.0.1:5000", "app", "1"),
            ("localhost/a/b/c", "http://localhost", "a/b/c", "latest"),
            ("registry.test:5000/app", "https://registry.test:5000", "app", "latest"),
        ] {
            assert_eq!(place_of(reference), (base.to_owned(), path.to_owned(), tag), "{reference}");
        }
    }

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(str::to_owned),
            })
        };
        for (text, expected) in [
            ("Basic realm=\"tests\"", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.test/token\",service=\"registry.test\",scope=\"repository:a,b:pull\"",
                bearer("https://auth.test/token", Some("registry.test")),
            ),
            (
                "bearer service=x, realm=\"https://auth.test/t,k\"",
                bearer("https://auth.test/t,k", Some("x")),
            ),
            ("Bearer service=\"x\"", None),
            ("Negotiate", None),
            ("Bearer realm=\"never closed", None),
        ] {
            assert_eq!(Challenge::read(text), expected, "{text}");
        }
    }

    #[test]
    fn rests_and_digests() {
        for (text, expected) in [("60", 60), ("0", 1), ("99999999", LONGEST_REST), ("soon", REST)] {
            let headers = HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, text.parse().expect("it is one"))]);
            assert_eq!(rest(&headers), expected, "{text}");
        }
        assert_eq!(rest(&HeaderMap::new()), REST);
        assert!(is_digest(&format!("sha256:{}", "0a".repeat(32))));
        assert!(!is_digest("sha256:") && !is_digest("latest") && !is_digest(&format!("sha256:{}", "x".repeat(64))));
    }

    /// Without an engine.
    fn nowhere() -> Docker {
        Docker::at(Some("unix:///nonexistent/docker.sock"), types::World::system()).expect("it is an address")
    }

    /// Answers one request after the other with these, and tells the heads of what it was asked.
    async fn registry(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has one").to_string();
        let asked = tokio::spawn(async move {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("somebody asks");
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a head"));
                }
                heads.push(String::from_utf8(head).expect("text").to_lowercase());
                stream.write_all(answer.as_bytes()).await.expect("it listens");
            }
            heads
        });
        (address, asked)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn a_token_is_got_where_the_registry_wants_one() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let (services, asked_there) = registry(vec![answer("200 OK", "", "{\"token\":\"t0ken\"}")]).await;
        let challenge = format!("www-authenticate: Bearer realm=\"http://{services}/token\",service=\"tests\"\r\n");
        let (address, asked) = registry(vec![
            answer("401 Unauthorized", &challenge, ""),
            answer("200 OK", &format!("docker-content-digest: {digest}\r\n"), ""),
        ])
        .await;
        let login = RegistryLogin {
            id: types::World::system().id(),
            server: address.parse().expect("a server"),
            user: "ada".into(),
            password: Secret::from("let me"),
        };
        let found = nowhere()
            .image_digest(&format!("{address}/team/app:1"), Some(&login), &Egress::Anywhere)
            .await;
        assert_eq!(found.expect("it has one"), digest);
        let (asked, there) = (asked.await.expect("it ends"), asked_there.await.expect("it ends"));
        assert!(asked[0].starts_with("head /v2/team/app/manifests/1 "), "{asked:?}");
        assert!(
            !asked[0].contains("authorization") && asked[1].contains("authorization: bearer t0ken"),
            "{asked:?}"
        );
        assert!(there[0].contains("scope=repository%3ateam%2fapp%3apull&service=tests"), "{there:?}");
        assert!(there[0].contains("authorization: basic "), "{there:?}");
    }

    #[tokio::test]
    async fn a_registry_that_wants_rest_says_how_long() {
        let (address, _asked) = registry(vec![answer("429 Too Many Requests", "retry-after: 77\r\n", "")]).await;
        let error = nowhere().image_digest(&format!("{address}/app"), None, &Egress::Anywhere).await;
        assert!(matches!(error, Err(Error::Throttled { seconds: 77 })), "{error:?}");
        // A password goes to no token service without encryption, unless it is this machine.
        let challenge = "www-authenticate: Bearer realm=\"http://auth.test/token\"\r\n";
        let (address, _asked) = registry(vec![answer("401 Unauthorized", challenge, "")]).await;
        let error = nowhere().image_digest(&format!("{address}/app"), None, &Egress::Anywhere).await;
        assert!(matches!(error, Err(Error::Unavailable { .. })), "{error:?}");
    }

    /// As for others than who runs the panel, where tests may be asked.
    fn bounded() -> Egress {
        Egress::public(Bounds {
            open: vec!["127.0.0.1/32".parse().expect("a network")],
            ..Bounds::default()
        })
    }

    #[tokio::test]
    async fn a_registry_leads_nobody_further_than_they_may_go() {
        let inner = TcpListener::bind("127.0.0.2:0").await.expect("a port is free");
        let open = inner.local_addr().expect("it has one");
        for realm in [format!("http://{open}/token"), "https://10.0.0.5:22/token".into()] {
            let challenge = format!("www-authenticate: Bearer realm=\"{realm}\"\r\n");
            let (address, _asked) = registry(vec![answer("401 Unauthorized", &challenge, "")]).await;
            let error = nowhere().image_digest(&format!("{address}/app"), None, &bounded()).await;
            let error = error.expect_err("it leads inside").to_string();
            assert!(error.contains("leads to an inner address"), "{error}");
        }
        let nobody = tokio::time::timeout(Duration::from_millis(50), inner.accept()).await;
        assert!(nobody.is_err(), "something was connected to");
    }

    #[tokio::test]
    async fn what_the_engine_met_inside_is_not_told() {
        let challenge = "www-authenticate: Bearer realm=\"https://10.0.0.5:22/token\"\r\n";
        for (registry_answers, expected) in [
            (answer("401 Unauthorized", challenge, ""), "10.0.0.5 leads to an inner address"),
            (answer("404 Not Found", "", ""), "no image"),
        ] {
            for met in [
                Error::unavailable("connection refused"),
                Error::not_found(Kind::Image, "app"),
                Error::Unauthenticated { why: "401".into() },
            ] {
                let (address, _asked) = registry(vec![registry_answers.clone()]).await;
                let error = nowhere().failed_outside(&format!("{address}/app"), None, &bounded(), met).await;
                assert!(error.to_string().contains(expected), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn the_engine_is_not_asked_for_those_who_may_not_go_everywhere() {
        let (address, _asked) = registry(vec![String::new()]).await;
        let reference = format!("{address}/app");
        let error = nowhere()
            .image_digest(&reference, None, &bounded())
            .await
            .expect_err("it says nothing");
        assert_eq!(error.to_string(), format!("the registry of `{reference}` could not be used"));
    }
}
