//! ID tokens that a forge signs for a job of its CI: no person, no browser, no nonce. GitHub Actions, GitLab CI and whatever else speaks
//! OpenID Connect Discovery 1.0.
//!
//! Keys are kept for a while, since a job asks at each deployment; a token by a key that is not known has them read anew,
//! but not more often than once in a while, so that made-up tokens do not make the panel ask and ask.

use crate::{
    external::is_this_machine,
    oidc::{Expected, signed_for},
    web::Web,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::Mutex;
use types::{Error, Result, Time, World};
use url::Url;

/// A key that was taken back is believed no longer than this.
const KEPT: Duration = Duration::from_secs(600);
/// Between two readings for tokens that no known key fits.
const AGAIN: Duration = Duration::from_secs(10);
/// A token is for one job: one that lasts longer is something else.
const LONGEST: i64 = 24 * 60 * 60;
/// Longer ones are not looked at.
const BYTES: usize = 16 << 10;

/// The issuers that were asked for their keys lately.
pub struct Workloads {
    world: World,
    /// Each issuer has a lock of its own: one that does not answer holds up nobody else's jobs.
    known: Mutex<HashMap<Asked, Arc<Mutex<Option<Keys>>>>>,
}

/// An issuer, and the certificates that are believed of it.
type Asked = (String, Option<String>);

struct Keys {
    set: Value,
    read_at: Time,
}

/// What a token says of the job, and what makes it unlike all others of its issuer.
#[derive(Debug, Clone)]
pub struct Workload {
    pub claims: Value,
    /// Its `jti`.
    pub id: String,
    /// It is over then.
    pub ends_at: Time,
}

impl Workloads {
    pub fn new(world: World) -> Workloads {
        Workloads {
            world,
            known: Mutex::default(),
        }
    }

    /// The token's claims, if `issuer` signed it for `audience` and it is good now. `authority`: certificates in PEM that are believed
    /// beside this machine's own. Fails with `Unauthenticated` when not, and with
    /// `Unavailable` when the issuer cannot be asked for its keys. Only issuers that somebody trusts must be given.
    pub async fn check(&self, token: &str, issuer: &str, authority: Option<&str>, audience: &str) -> Result<Workload> {
        let now = self.world.now();
        let expected = Expected { issuer, audience, now };
        let keys = self.keys(issuer, authority, KEPT).await?;
        let claims = match signed_for(token, &keys, &expected) {
            Ok(claims) => claims,
            // The issuer may have new keys.
            Err(_) => signed_for(token, &self.keys(issuer, authority, AGAIN).await?, &expected).map_err(|why| match &why {
                why if why.contains("client") => refused(&format!("it is not for the audience {audience}")),
                why if why.contains("not signed") => untrusted(),
                why => refused(why),
            })?,
        };
        let ends = claims["exp"].as_f64().map_or(0, |seconds| seconds as i64);
        if ends > (now.0 / 1000).saturating_add(LONGEST) {
            return Err(refused("it lasts longer than a day"));
        }
        let id = claims["jti"].as_str().filter(|id| !id.is_empty() && id.len() <= 255);
        Ok(Workload {
            id: id
                .ok_or_else(|| refused("it has no id (jti), so nobody could tell whether it came before"))?
                .to_owned(),
            ends_at: Time(ends.saturating_mul(1000)),
            claims,
        })
    }

    /// The issuer's keys, no older than this.
    async fn keys(&self, issuer: &str, authority: Option<&str>, oldest: Duration) -> Result<Value> {
        // What somebody else's authority vouches for counts for them alone.
        let asked = (issuer.to_owned(), authority.map(str::to_owned));
        let own = self.known.lock().await.entry(asked).or_default().clone();
        // One reading at a time: others find what the first one read.
        let mut known = own.lock().await;
        let now = self.world.now();
        if let Some(keys) = known.as_ref()
            && now.since(keys.read_at) < oldest
        {
            return Ok(keys.set.clone());
        }
        let set = read_keys(issuer, authority).await?;
        *known = Some(Keys {
            set: set.clone(),
            read_at: now,
        });
        Ok(set)
    }
}

async fn read_keys(issuer: &str, authority: Option<&str>) -> Result<Value> {
    let web = Web::new(authority)?;
    let base = issuer.trim_end_matches('/');
    let address = Url::parse(&format!("{base}/.well-known/openid-configuration"));
    let document = web
        .get(&address.map_err(|_| Error::invalid("issuer", "is no address"))?, None)
        .await?;
    let wrong = |why: String| Error::unavailable(format!("the issuer {issuer}: {why}"));
    let own = document["issuer"].as_str().unwrap_or_default();
    if own != issuer {
        return Err(wrong(format!("it calls itself `{own}`")));
    }
    let keys = document["jwks_uri"].as_str().and_then(|text| Url::parse(text).ok());
    let keys = keys.filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(url)));
    web.get(&keys.ok_or_else(|| wrong("it names no https address of its keys".into()))?, None)
        .await
}

/// By whom a token says it is: for choosing among the issuers that are trusted, before anything of it is believed.
pub fn claimed_issuer(token: &str) -> Option<String> {
    if token.len() > BYTES {
        return None;
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

/// An issuer as people write it: https, or http on this machine, without query and end. Fails with `Invalid { field: "issuer" }`.
pub fn checked_issuer(text: &str) -> Result<String> {
    let text = text.trim();
    let wrong = || {
        Error::invalid(
            "issuer",
            "must be an https address such as https://token.actions.githubusercontent.com",
        )
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url));
    let is_plain = url.host_str().is_some() && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match is_safe && is_plain && text.len() <= 255 {
        true => Ok(text.to_owned()),
        false => Err(wrong()),
    }
}

/// For a token that its issuer did not sign, and for one of an issuer that nobody trusts: who made it up learns nothing of whom others trust.
pub fn untrusted() -> Error {
    refused("it is not signed by an issuer that is trusted here")
}

fn refused(why: &str) -> Error {
    Error::Unauthenticated {
        why: format!("the ID token is not taken: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn issuers_as_people_write_them() {
        for (text, expected) in [
            (" https://gitlab.example.com ", Some("https://gitlab.example.com")),
            (
                "https://ghe.example.com/_services/token",
                Some("https://ghe.example.com/_services/token"),
            ),
            ("http://127.0.0.1:4000", Some("http://127.0.0.1:4000")),
            ("http://gitlab.example.com", None),
            ("https://a.test/?x=1", None),
            ("https://ada@a.test", None),
            ("gitlab.example.com", None),
            ("", None),
        ] {
            assert_eq!(checked_issuer(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn who_a_token_says_it_is_by() {
        let token = |claims: &Value| format!("x.{}.y", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
        assert_eq!(
            claimed_issuer(&token(&json!({"iss": "https://a.test"}))).as_deref(),
            Some("https://a.test")
        );
        for none in [
            "",
            "a.b",
            "a.!.c",
            &token(&json!({})),
            &token(&json!({"iss": 1})),
            &"x".repeat(BYTES + 1),
        ] {
            assert_eq!(claimed_issuer(none), None);
        }
    }
}
