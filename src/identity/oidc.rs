//! OpenID Connect: the authorization code flow with PKCE (RFC 7636), state and nonce, as OpenID Connect Core 1.0 and
//! RFC 9700 have it. An ID token counts only with an asymmetric signature; the provider's documents are read anew each
//! time, so a key that was rolled is known at once.

mod asking;
mod id_token;
mod logout_token;

use crate::{
    external::{Finding, Person, is_this_machine},
    web::{Basic, Web},
};
pub use asking::{Asked, Told};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use egress::Egress;
use id_token::Wanted;
pub(crate) use id_token::{Expected, check_good, signed_for};
pub use logout_token::LoggedOut;
use serde_json::Value;
use sha2::{Digest, Sha256};
use types::{Error, Result, Secret, World};
use url::Url;

/// Letters of a verifier, of 43 to 128.
const VERIFIER: usize = 64;
/// Groups that are looked at.
const GROUPS: usize = 2000;
/// The scope that has a provider give a refresh token (OpenID Connect Core 1.0, section 11).
const OFFLINE: &str = "offline_access";
/// Bytes of a refresh token.
const REFRESH: usize = 16 << 10;

/// A provider and what it knows this panel by.
pub struct Relying {
    /// As the provider writes it.
    pub issuer: String,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<Secret>,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    /// The claim with the groups; dots go into objects: `realm_access.roles`.
    pub groups_claim: String,
    /// More authorities to believe, in PEM.
    pub authority: Option<String>,
}

/// What the panel remembers of a sign-in until the browser comes back.
#[derive(Debug, Clone)]
pub struct Started {
    pub nonce: String,
    verifier: String,
    pub redirect: Url,
}

/// What the browser brings back.
#[derive(Debug, Clone)]
pub struct Returned {
    pub code: String,
    /// Who sent the browser (RFC 9207).
    pub issuer: Option<String>,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0).
struct Discovered {
    authorization: Url,
    token: Url,
    keys: Url,
    userinfo: Option<Url>,
    /// The client's secret goes into the header, else into the form.
    basic: bool,
    /// It promises to say who it is when the browser comes back.
    says_issuer: bool,
    pkce: bool,
    /// It says that it gives refresh tokens to who asks for [`OFFLINE`].
    offline: bool,
}

impl Relying {
    /// Where to send the browser, but for `state`, which the caller adds; and what to remember until it comes back.
    pub async fn start(&self, world: &World, redirect: Url) -> Result<(Url, Started)> {
        let found = self.discover(&self.web()?).await?;
        let started = Started {
            nonce: crate::token::word(world),
            verifier: world.word(VERIFIER),
            redirect,
        };
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&started.verifier));
        let mut scopes = vec!["openid"];
        let asked = self.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        // Where it is not offered, some refuse to sign anybody in who asks.
        scopes.extend(asked.filter(|scope| *scope != OFFLINE || found.offline));
        let mut address = found.authorization;
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", started.redirect.as_str())
            .append_pair("scope", &scopes.join(" "))
            .append_pair("nonce", &started.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((address, started))
    }

    /// Changes the code for the person. Fails with `Unauthenticated` when anything of the answer is not as it must be.
    pub async fn finish(&self, world: &World, started: &Started, returned: &Returned) -> Result<Person> {
        let web = self.web()?;
        let found = self.discover(&web).await?;
        match &returned.issuer {
            Some(issuer) if *issuer != self.issuer => return Err(refused("another provider sent the browser back")),
            None if found.says_issuer => return Err(refused("the answer does not say which provider it is from")),
            _ => {}
        }
        let tokens = self.exchange(&web, &found, started, &returned.code).await?;
        let id_token = tokens["id_token"].as_str().ok_or_else(|| refused("it gave no ID token"))?;
        let keys = web.get(&found.keys, None).await?;
        let wanted = Wanted {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: &started.nonce,
            now: world.now(),
        };
        let claims = id_token::check(id_token, &keys, &wanted).map_err(|why| refused(&why))?;
        let mut person = self.person(&claims)?;
        let session = claims["sid"].as_str().filter(|session| (1..=255).contains(&session.len()));
        person.session = session.map(str::to_owned);
        person.refresh = self.refresh_of(&tokens).filter(|_| found.offline);
        let is_whole = person.email.is_some() && person.name.is_some() && !person.groups.is_empty();
        if let (false, Some(userinfo), Some(access)) = (is_whole, &found.userinfo, tokens["access_token"].as_str()) {
            let more = web.get(userinfo, Some(&Secret::from(access))).await?;
            self.add(&mut person, &more)?;
        }
        Ok(person)
    }

    /// Whom the provider has signed out (OpenID Connect Back-Channel Logout 1.0). What cannot be by it is refused before it is
    /// asked for its keys. Fails with `Unauthenticated`.
    pub async fn logged_out(&self, world: &World, token: &str) -> Result<LoggedOut> {
        let wanted = Wanted {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: "",
            now: world.now(),
        };
        let claims = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        id_token::check_whose(&claims, &wanted.expected()).map_err(|why| refused(&why))?;
        let web = self.web()?;
        let found = self.discover(&web).await?;
        let keys = web.get(&found.keys, None).await?;
        logout_token::check(token, &keys, &wanted).map_err(|why| refused(&why))
    }

    /// Tries what can be tried without a person, and says what is wrong.
    pub async fn test(&self, redirect: &Url) -> Vec<Finding> {
        let mut findings = Vec::new();
        let web = match self.web() {
            Ok(web) => web,
            Err(error) => return vec![Finding::bad("authority", error.to_string())],
        };
        let found = match self.discover(&web).await {
            Ok(found) => found,
            Err(error) => return vec![Finding::bad("discovery", error.to_string())],
        };
        findings.push(Finding::good("discovery", format!("{} says who it is", self.issuer)));
        findings.push(match found.pkce {
            true => Finding::good("PKCE", "S256 is supported"),
            false => Finding::good("PKCE", "not announced; it is sent all the same"),
        });
        if self.scopes.iter().any(|scope| scope == OFFLINE) {
            findings.push(match found.offline {
                true => Finding::good(
                    "removal",
                    "it is asked from time to time whether people are still there (offline_access)",
                ),
                false => Finding::good(
                    "removal",
                    "it offers no offline_access: only back-channel logout or SCIM tells who is gone",
                ),
            });
        }
        findings.push(match web.get(&found.keys, None).await.map(|keys| id_token::usable(&keys)) {
            Ok(0) => Finding::bad("keys", format!("{} has no public key to check signatures with", found.keys)),
            Ok(count) => Finding::good("keys", format!("{count} to check signatures with")),
            Err(error) => Finding::bad("keys", error.to_string()),
        });
        findings.push(self.try_client(&web, &found, redirect).await);
        findings
    }

    /// A code that nobody gave out: a provider that knows the client refuses the code, not the client.
    async fn try_client(&self, web: &Web, found: &Discovered, redirect: &Url) -> Finding {
        let started = Started {
            nonce: String::new(),
            verifier: "0".repeat(VERIFIER),
            redirect: redirect.clone(),
        };
        match self.ask(web, found, &started, "a-test-by-serverkit").await {
            Ok((_, answer)) if answer["error"] == "invalid_grant" => Finding::good("client", "its id and secret are taken"),
            Ok((_, answer)) if answer["error"] == "invalid_client" || answer["error"] == "unauthorized_client" => {
                Finding::bad("client", format!("the client's id or secret is refused: {}", said(&answer)))
            }
            Ok((status, answer)) => Finding::good("client", format!("nothing certain: it answers {status} {}", said(&answer))),
            Err(error) => Finding::bad("client", error.to_string()),
        }
    }

    fn web(&self) -> Result<Web> {
        Web::new(self.authority.as_deref(), &Egress::Anywhere)
    }

    async fn discover(&self, web: &Web) -> Result<Discovered> {
        let wrong = |why: String| Error::unavailable(format!("the provider at {}: {why}", self.issuer));
        let base = self.issuer.trim_end_matches('/');
        let address =
            Url::parse(&format!("{base}/.well-known/openid-configuration")).map_err(|_| Error::invalid("issuer", "is no address"))?;
        let document = web.get(&address, None).await?;
        let issuer = document["issuer"].as_str().unwrap_or_default();
        if issuer != self.issuer {
            return Err(wrong(format!("it calls itself `{issuer}`; set the issuer to exactly that")));
        }
        let endpoint = |name: &str| -> Result<Option<Url>> {
            let Some(text) = document[name].as_str() else {
                return Ok(None);
            };
            match Url::parse(text) {
                Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url)) => Ok(Some(url)),
                _ => Err(wrong(format!("its {name} is `{text}`, which is no https address"))),
            }
        };
        let needed = |name: &str| endpoint(name)?.ok_or_else(|| wrong(format!("its document has no {name}")));
        let lists = |name: &str, word: &str| document[name].as_array().map(|all| all.iter().any(|one| one == word));
        Ok(Discovered {
            authorization: needed("authorization_endpoint")?,
            token: needed("token_endpoint")?,
            keys: needed("jwks_uri")?,
            userinfo: endpoint("userinfo_endpoint")?,
            // Left out, it is the header.
            basic: lists("token_endpoint_auth_methods_supported", "client_secret_basic").unwrap_or(true),
            says_issuer: document["authorization_response_iss_parameter_supported"] == true,
            pkce: lists("code_challenge_methods_supported", "S256").unwrap_or(false),
            offline: lists("scopes_supported", OFFLINE).unwrap_or(false),
        })
    }

    async fn exchange(&self, web: &Web, found: &Discovered, started: &Started, code: &str) -> Result<Value> {
        match self.ask(web, found, started, code).await? {
            (200, tokens) => Ok(tokens),
            (status, answer) => Err(refused(&format!("it does not take the code: {status} {}", said(&answer)))),
        }
    }

    async fn ask(&self, web: &Web, found: &Discovered, started: &Started, code: &str) -> Result<(u16, Value)> {
        let form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", started.redirect.as_str()),
            ("code_verifier", &started.verifier),
        ];
        self.at_token_endpoint(web, found, form).await
    }

    /// Sends a form there, as this client.
    async fn at_token_endpoint<'a>(&'a self, web: &Web, found: &Discovered, mut form: Vec<(&'a str, &'a str)>) -> Result<(u16, Value)> {
        let basic = self.client_secret.as_ref().filter(|_| found.basic);
        if basic.is_none() {
            form.push(("client_id", &self.client_id));
            if let Some(secret) = &self.client_secret {
                form.push(("client_secret", secret.expose_str().unwrap_or_default()));
            }
        }
        web.post(&found.token, &form, basic.map(|secret| Basic(&self.client_id, secret)))
            .await
    }

    fn person(&self, claims: &Value) -> Result<Person> {
        let subject = claims["sub"].as_str().unwrap_or_default();
        if subject.is_empty() || subject.len() > 255 {
            return Err(refused("it does not say who it is"));
        }
        let mut person = Person {
            subject: subject.to_owned(),
            email: None,
            email_verified: false,
            name: None,
            groups: Vec::new(),
            session: None,
            until: None,
            refresh: None,
        };
        self.add(&mut person, claims)?;
        Ok(person)
    }

    /// What more is known of the same person.
    fn add(&self, person: &mut Person, claims: &Value) -> Result<()> {
        if claims["sub"] != person.subject.as_str() {
            return Err(refused("it tells of another person"));
        }
        let text = |name: &str| {
            claims[name]
                .as_str()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        if person.email.is_none() {
            person.email = text("email");
            person.email_verified = claims["email_verified"] == true || claims["email_verified"] == "true";
        }
        person.name = person.name.take().or_else(|| text("name")).or_else(|| text("preferred_username"));
        if person.groups.is_empty() {
            person.groups = groups(claims, &self.groups_claim);
        }
        Ok(())
    }
}

/// What a claim says; nothing where it is left out. A name with dots is tried whole first.
fn claimed<'c>(claims: &'c Value, claim: &str) -> Option<&'c Value> {
    let nested = || claim.split('.').try_fold(claims, |value, name| value.get(name));
    claims.get(claim).or_else(nested).filter(|value| !value.is_null())
}

/// The groups in a claim: a list of texts, or one text.
fn groups(claims: &Value, claim: &str) -> Vec<String> {
    match claimed(claims, claim) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).take(GROUPS).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// What a provider says of a failure (RFC 6749, section 5.2), in bounds.
fn said(answer: &Value) -> String {
    let text = [&answer["error"], &answer["error_description"]]
        .into_iter()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(": ");
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

fn refused(why: &str) -> Error {
    Error::Unauthenticated {
        why: format!("the identity provider's answer is not taken: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_are_found_where_providers_put_them() {
        for (claims, claim, expected) in [
            (json!({"groups": ["a", "b", 3]}), "groups", vec!["a", "b"]),
            (json!({"groups": "a"}), "groups", vec!["a"]),
            (json!({"realm_access": {"roles": ["x"]}}), "realm_access.roles", vec!["x"]),
            (
                json!({"https://example.com/groups": ["y"]}),
                "https://example.com/groups",
                vec!["y"],
            ),
            (json!({"groups": {"a": 1}}), "groups", vec![]),
            (json!({}), "groups", vec![]),
        ] {
            assert_eq!(groups(&claims, claim), expected, "{claims} {claim}");
        }
    }

    #[test]
    fn userinfo_of_another_person_is_refused() {
        let relying = Relying {
            issuer: "https://id.example.com".into(),
            client_id: "panel".into(),
            client_secret: None,
            scopes: Vec::new(),
            groups_claim: "groups".into(),
            authority: None,
        };
        let mut person = relying.person(&json!({"sub": "1", "email": "a@example.com"})).expect("a person");
        assert!(!person.email_verified);
        assert!(relying.add(&mut person, &json!({"sub": "2", "groups": ["admins"]})).is_err());
        relying
            .add(
                &mut person,
                &json!({"sub": "1", "groups": ["devs"], "email": "b@example.com", "email_verified": true}),
            )
            .expect("added");
        assert_eq!((person.email.as_deref(), person.email_verified), (Some("a@example.com"), false));
        assert_eq!(person.groups, ["devs"]);
        for nobody in [json!({}), json!({"sub": ""}), json!({"sub": 1}), json!({"sub": "x".repeat(256)})] {
            assert!(relying.person(&nobody).is_err());
        }
    }
}
