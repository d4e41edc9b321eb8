//! GitHub Apps: made from a manifest, proven by a JSON web token (RS256), let in by the token of an installation.
//! Source: docs.github.com/apps/creating-github-apps, /sharing-github-apps/registering-a-github-app-from-a-manifest

use super::{Proof, api_of, strange, web::Web};
use egress::Egress;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{Error, Forge, ForgeUrl, RepositoryPath, Result, Secret, Time};

/// GitHub takes at most ten minutes, and its clock may be another.
const LASTS: Duration = Duration::from_secs(9 * 60);
const BEHIND: Duration = Duration::from_secs(60);

/// An App and its private key.
pub struct AppKey {
    pub app_id: u64,
    pub private_key: Secret,
    pub url: ForgeUrl,
    /// How far the address may lead.
    pub egress: Egress,
}

/// Where an App may do something: a person or an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub id: u64,
    pub account: String,
}

/// An App that was made from a manifest.
#[derive(Debug, Clone)]
pub struct ManifestApp {
    pub app_id: u64,
    pub slug: String,
    pub name: String,
    pub private_key: Secret,
}

impl AppKey {
    /// Fails with `Invalid { field: "private_key" }` unless it is an RSA key in PEM.
    pub fn checked(&self, now: Time) -> Result<()> {
        self.token(now).map(drop)
    }

    /// As whom the App acts: its slug. Fails with `Invalid` when GitHub does not take the key.
    pub async fn slug(&self, now: Time) -> Result<String> {
        let app = self.web(now)?.get("app", &[]).await?;
        let slug = app["slug"].as_str().map(str::to_owned);
        slug.ok_or_else(|| strange(Forge::Github, "`slug`"))
    }

    /// All of them; a suspended one is none.
    pub async fn installations(&self, now: Time) -> Result<Vec<Installation>> {
        let query = [("per_page", "100")];
        let (all, _) = self
            .web(now)?
            .list("app/installations", &query, Value::as_array, usize::MAX)
            .await?;
        Ok(all
            .iter()
            .filter(|one| one["suspended_at"].is_null())
            .filter_map(installation)
            .collect())
    }

    /// The one that a repository belongs to.
    pub async fn installation_of(&self, path: &RepositoryPath, now: Time) -> Result<Installation> {
        let found = self.web(now)?.get(&format!("repos/{path}/installation"), &[]).await?;
        installation(&found).ok_or_else(|| strange(Forge::Github, "`id`"))
    }

    /// A token for an installation, and when it ends: an hour later.
    pub async fn installation_token(&self, installation: u64, now: Time) -> Result<(Secret, Time)> {
        let path = format!("app/installations/{installation}/access_tokens");
        let made = self.web(now)?.post(&path, &json!({})).await?;
        let token = made["token"].as_str().ok_or_else(|| strange(Forge::Github, "`token`"))?;
        let end = made["expires_at"]
            .as_str()
            .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let end = end.ok_or_else(|| strange(Forge::Github, "`expires_at`"))?;
        Ok((Secret::from(token.to_owned()), Time::from_utc(end)))
    }

    fn web(&self, now: Time) -> Result<Web> {
        Web::new(
            Forge::Github,
            api_of(Forge::Github, &self.url),
            Some(Proof::Bearer(self.token(now)?)),
            &self.egress,
        )
    }

    fn token(&self, now: Time) -> Result<Secret> {
        let wrong = || Error::invalid("private_key", "must be the App's private key: -----BEGIN RSA PRIVATE KEY-----");
        let key = EncodingKey::from_rsa_pem(self.private_key.expose()).map_err(|_| wrong())?;
        let seconds = |time: Time| time.0 / 1000;
        let claims = json!({
            "iat": seconds(now.minus(BEHIND)), "exp": seconds(now.plus(LASTS)), "iss": self.app_id.to_string(),
        });
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).map_err(|_| wrong())?;
        Ok(Secret::from(token))
    }
}

fn installation(body: &Value) -> Option<Installation> {
    Some(Installation {
        id: body["id"].as_u64()?,
        account: body["account"]["login"].as_str().unwrap_or_default().to_owned(),
    })
}

/// What a page posts to GitHub so that it makes an App, and where to: for the person, or for `organization`.
/// `back` is the page to come back to; `state` comes back with it.
pub fn manifest(url: &ForgeUrl, organization: Option<&str>, name: &str, panel: &str, back: &str, state: &str) -> (String, Value) {
    let path = match organization {
        Some(organization) => format!("organizations/{organization}/settings/apps/new"),
        None => "settings/apps/new".to_owned(),
    };
    let mut to = url.join(&path);
    to.query_pairs_mut().append_pair("state", state);
    let manifest = json!({
        "name": name,
        "url": panel,
        "redirect_url": back,
        "public": false,
        // Pushes come by webhooks of the repositories, each with its app's own secret.
        "hook_attributes": {"url": format!("{panel}/hooks/none"), "active": false},
        "default_permissions": {
            "contents": "read", "metadata": "read", "statuses": "write", "deployments": "write",
            "pull_requests": "write", "repository_hooks": "write",
        },
        "default_events": [],
    });
    (to.into(), manifest)
}

/// The App that was made, for the code that GitHub sent the browser back with. It is good for an hour, and once.
pub async fn manifest_app(url: &ForgeUrl, code: &str, egress: &Egress) -> Result<ManifestApp> {
    if code.is_empty() || code.len() > 200 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(Error::invalid("code", "is not what GitHub sends"));
    }
    let web = Web::new(Forge::Github, api_of(Forge::Github, url), None, egress)?;
    let made = web.post(&format!("app-manifests/{code}/conversions"), &json!({})).await?;
    let lacks = |what: &str| strange(Forge::Github, what);
    let text = |name: &str| made[name].as_str().map(str::to_owned);
    Ok(ManifestApp {
        app_id: made["id"].as_u64().ok_or_else(|| lacks("`id`"))?,
        slug: text("slug").ok_or_else(|| lacks("`slug`"))?,
        name: text("name").unwrap_or_default(),
        private_key: Secret::from(text("pem").ok_or_else(|| lacks("`pem`"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests() {
        let url = "https://github.com".parse().expect("it is one");
        let (to, body) = manifest(
            &url,
            Some("acme"),
            "serverkit",
            "https://panel.test",
            "https://panel.test/forges/back",
            "a b",
        );
        assert_eq!(to, "https://github.com/organizations/acme/settings/apps/new?state=a+b");
        assert_eq!(body["default_permissions"]["repository_hooks"], "write");
        assert!(
            manifest(&url, None, "x", "", "", "")
                .0
                .starts_with("https://github.com/settings/apps/new?")
        );
    }

    #[tokio::test]
    async fn codes_are_no_paths() {
        let url = "http://127.0.0.1:1".parse().expect("it is one");
        for code in ["", "../user", "a/b", "a?b"] {
            let refused = manifest_app(&url, code, &Egress::Anywhere).await;
            assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "code"), "{code}");
        }
    }

    #[test]
    fn keys_must_be_keys() {
        let key = AppKey {
            app_id: 1,
            private_key: Secret::from("not a key".to_owned()),
            url: "https://github.com".parse().expect("it is one"),
            egress: Egress::Anywhere,
        };
        assert!(matches!(key.checked(Time(0)), Err(Error::Invalid { field, .. }) if field == "private_key"));
    }
}
