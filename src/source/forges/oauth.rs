//! OAuth at forges: the authorization code flow (RFC 6749, section 4.1) with PKCE (RFC 7636) where the forge knows it, and
//! new access tokens for refresh tokens.

use super::{strange, web::Web};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use egress::Egress;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;
use types::{Error, Forge, ForgeUrl, Result, Secret};
use url::Url;

/// An application that somebody registered at the forge.
pub struct OauthClient {
    pub forge: Forge,
    pub url: ForgeUrl,
    pub client_id: String,
    pub client_secret: Secret,
    /// How far the address may lead.
    pub egress: Egress,
}

/// What binds an answer to the one who asked.
#[derive(Debug, Clone)]
pub struct Pkce {
    /// 43 to 128 letters and digits.
    pub verifier: String,
}

/// What the forge gave.
#[derive(Debug, Clone)]
pub struct Granted {
    pub access: Secret,
    pub refresh: Option<Secret>,
    /// From now on; `None`: the access token does not end.
    pub lasts: Option<Duration>,
}

impl OauthClient {
    /// Where the browser goes.
    pub fn authorize(&self, back: &str, state: &str, pkce: &Pkce) -> Url {
        let mut url = self.url.join(match self.forge {
            Forge::Gitlab => "oauth/authorize",
            Forge::Bitbucket => "site/oauth2/authorize",
            _ => "login/oauth/authorize",
        });
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(pkce.verifier.as_bytes()));
        let mut query = url.query_pairs_mut();
        query
            .append_pair("client_id", &self.client_id)
            .append_pair("response_type", "code")
            .append_pair("state", state);
        match self.forge {
            Forge::Github => query.append_pair("scope", "repo admin:repo_hook"),
            Forge::Gitlab => query.append_pair("scope", "api"),
            // Gitea's tokens may all unless it is told less; Bitbucket's what the application may.
            _ => &mut query,
        };
        if self.forge != Forge::Bitbucket {
            query
                .append_pair("redirect_uri", back)
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
        }
        drop(query);
        url
    }

    /// For the code that the browser came back with.
    pub async fn redeem(&self, code: &str, back: &str, pkce: &Pkce) -> Result<Granted> {
        let mut form = vec![("grant_type", "authorization_code"), ("code", code)];
        if self.forge != Forge::Bitbucket {
            form.extend([("redirect_uri", back), ("code_verifier", pkce.verifier.as_str())]);
        }
        self.ask(form).await
    }

    /// A new access token, and mostly a new refresh token: the old one is void then.
    pub async fn refresh(&self, refresh: &Secret) -> Result<Granted> {
        let refresh = refresh.expose_str().unwrap_or_default();
        self.ask(vec![("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    }

    async fn ask(&self, mut form: Vec<(&str, &str)>) -> Result<Granted> {
        let url = self.url.join(match self.forge {
            Forge::Gitlab => "oauth/token",
            Forge::Bitbucket => "site/oauth2/access_token",
            _ => "login/oauth/access_token",
        });
        let secret = self.client_secret.expose_str().unwrap_or_default();
        let basic = match self.forge {
            Forge::Bitbucket => Some((self.client_id.as_str(), secret)),
            _ => {
                form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
                None
            }
        };
        let web = Web::new(self.forge, self.url.join(""), None, &self.egress)?;
        let (status, body) = web.form(url, &form, basic).await?;
        let name = self.forge.name();
        // GitHub answers 200 to what it refuses.
        match body["access_token"].as_str() {
            Some(access) if status == 200 || status == 201 => Ok(Granted {
                access: Secret::from(access.to_owned()),
                refresh: body["refresh_token"].as_str().map(|text| Secret::from(text.to_owned())),
                lasts: body["expires_in"].as_u64().map(Duration::from_secs),
            }),
            _ if status >= 500 => Err(Error::unavailable(format!("{name} answers {status} to a request for a token"))),
            _ => Err(refused(self.forge, &body)),
        }
    }
}

fn refused(forge: Forge, body: &Value) -> Error {
    let words = body["error_description"].as_str().or(body["error"].as_str());
    match words {
        Some(words) => Error::invalid("access", format!("{} gives no token: {}", forge.name(), super::short(words, 200))),
        None => strange(forge, "a token"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_browsers_go() {
        for (forge, url, expected) in [
            (
                Forge::Github,
                "https://github.com",
                "https://github.com/login/oauth/authorize?client_id=me&response_type=code&state=s&scope=repo+admin",
            ),
            (
                Forge::Gitlab,
                "https://example.com/gitlab",
                "https://example.com/gitlab/oauth/authorize?client_id=me&response_type=code&state=s&scope=api&redirect_uri=https%3A%2F%2Fp%2Fback&code_challenge=47DEQ",
            ),
            (
                Forge::Bitbucket,
                "https://bitbucket.org",
                "https://bitbucket.org/site/oauth2/authorize?client_id=me&response_type=code&state=s",
            ),
            (
                Forge::Gitea,
                "https://codeberg.org",
                "https://codeberg.org/login/oauth/authorize?client_id=me&response_type=code&state=s&redirect_uri=",
            ),
        ] {
            let client = OauthClient {
                forge,
                url: url.parse().expect("it is one"),
                client_id: "me".into(),
                client_secret: Secret::from("x".to_owned()),
                egress: Egress::Anywhere,
            };
            let pkce = Pkce { verifier: String::new() };
            let url = client.authorize("https://p/back", "s", &pkce).to_string();
            assert!(url.starts_with(expected), "{url}");
            assert!(!url.contains("secret"));
        }
    }
}
