//! Asking a provider with a refresh token whether somebody is still there (OpenID Connect Core 1.0, section 12).

use super::{Discovered, Expected, OFFLINE, REFRESH, Relying, Web, claimed, groups, id_token, refused, said};
use crate::external::Person;
use serde_json::{Value, json};
use types::{Error, Result, Secret, World};

/// What a provider answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Still(Told),
    /// The token is good no more: they were removed, or shut, or what they agreed to was taken back. With its words.
    Gone(String),
}

/// What it tells of somebody who is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// With the groups of now; `None`: it tells nothing of them.
    pub person: Option<Person>,
    /// Takes the place of the token that was shown.
    pub refresh: Option<Secret>,
}

impl Relying {
    /// Asks about the person whom it calls `subject`. Fails with `Unavailable` when it cannot be asked, and with `Unauthenticated` when
    /// its answer is not as it must be: neither says that they are gone.
    pub async fn ask_again(&self, world: &World, refresh: &Secret, subject: &str) -> Result<Asked> {
        let web = self.web()?;
        let found = self.discover(&web).await?;
        let shown = refresh.expose_str().unwrap_or_default();
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", shown)];
        let tokens = match self.at_token_endpoint(&web, &found, form).await? {
            (200, tokens) => tokens,
            // The one failure that is about the token (RFC 6749, section 5.2); others are about the client, or the provider itself.
            (_, answer) if answer["error"] == "invalid_grant" => return Ok(Asked::Gone(said(&answer))),
            (status, answer) => {
                let why = format!("the provider at {}: it answers {status} {}", self.issuer, said(&answer));
                return Err(Error::unavailable(why));
            }
        };
        let refresh = self.refresh_of(&tokens);
        let person = match self.person_of(&web, &found, &tokens, subject, world).await {
            // They are there, and what was shown may be spent by now: the new one must not be lost with the rest.
            Err(Error::Unavailable { .. }) if refresh.is_some() => None,
            other => other?,
        };
        Ok(Asked::Still(Told { person, refresh }))
    }

    /// Whom new tokens tell of, asked about at userinfo too where they say nothing of groups.
    async fn person_of(&self, web: &Web, found: &Discovered, tokens: &Value, subject: &str, world: &World) -> Result<Option<Person>> {
        let shown = match tokens["id_token"].as_str() {
            // It has no nonce, or the first one: it came straight from the provider, for the token that was shown.
            Some(id_token) => {
                let keys = web.get(&found.keys, None).await?;
                let expected = Expected {
                    issuer: &self.issuer,
                    audience: &self.client_id,
                    now: world.now(),
                };
                let claims = id_token::signed_for(id_token, &keys, &expected).map_err(|why| refused(&why))?;
                if claims["sub"] != subject {
                    return Err(refused("it tells of another person"));
                }
                Some(claims)
            }
            None => None,
        };
        let has_groups = shown.as_ref().is_some_and(|claims| !groups(claims, &self.groups_claim).is_empty());
        let more = match (&found.userinfo, tokens["access_token"].as_str()) {
            (Some(userinfo), Some(access)) if !has_groups => Some(web.get(userinfo, Some(&Secret::from(access))).await?),
            _ => None,
        };
        self.with_groups(subject, shown.as_ref(), more.as_ref())
    }

    /// The person with the groups of now, by the claims of a new ID token and of userinfo; `None` where neither says anything of groups: a
    /// claim that is no standard one need not come again (section 12.2). Without a new ID token only groups that are there say something: at
    /// the sign-in they may have come by the ID token alone.
    fn with_groups(&self, subject: &str, shown: Option<&Value>, more: Option<&Value>) -> Result<Option<Person>> {
        let mut person = match shown {
            Some(claims) => self.person(claims)?,
            None => self.person(&json!({ "sub": subject }))?,
        };
        if let Some(more) = more {
            self.add(&mut person, more)?;
        }
        let says = |claims: &Value| claimed(claims, &self.groups_claim).is_some();
        let is_sure = shown.is_some_and(|claims| says(claims) || more.is_some_and(says));
        Ok(Some(person).filter(|person| is_sure || !person.groups.is_empty()))
    }

    /// The refresh token, where one was asked for: others end with the browser's session at the provider, and would end ours with it.
    pub(super) fn refresh_of(&self, tokens: &Value) -> Option<Secret> {
        let is_asked = self.scopes.iter().any(|scope| scope == OFFLINE);
        let given = tokens["refresh_token"]
            .as_str()
            .filter(|token| (1..=REFRESH).contains(&token.len()));
        given.filter(|_| is_asked).map(Secret::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_kept_where_one_was_asked_for_and_silence_about_groups_takes_none() {
        let mut relying = Relying {
            issuer: "https://id.example.com".into(),
            client_id: "panel".into(),
            client_secret: None,
            scopes: vec!["email".into()],
            groups_claim: "groups".into(),
            authority: None,
        };
        let tokens = json!({"refresh_token": "again"});
        assert_eq!(relying.refresh_of(&tokens), None);
        relying.scopes.push(OFFLINE.into());
        assert_eq!(relying.refresh_of(&tokens), Some("again".into()));
        for none in [
            json!({}),
            json!({"refresh_token": ""}),
            json!({"refresh_token": "x".repeat(REFRESH + 1)}),
        ] {
            assert_eq!(relying.refresh_of(&none), None);
        }

        let with = |shown: Option<Value>, more: Option<Value>| relying.with_groups("1", shown.as_ref(), more.as_ref());
        let groups = |shown, more| with(shown, more).expect("read").map(|person| person.groups);
        let silent = || Some(json!({"sub": "1"}));
        let none = || Some(json!({"sub": "1", "groups": []}));
        let dev = || Some(json!({"sub": "1", "groups": ["dev"]}));
        for nothing in [
            groups(None, None),
            groups(None, silent()),
            groups(None, none()),
            groups(silent(), None),
            groups(silent(), silent()),
            groups(silent(), Some(json!({"sub": "1", "groups": null}))),
        ] {
            assert_eq!(nothing, None);
        }
        for left in [groups(none(), None), groups(none(), silent()), groups(silent(), none())] {
            assert_eq!(left, Some(Vec::new()));
        }
        for told in [
            groups(None, dev()),
            groups(dev(), None),
            groups(silent(), dev()),
            groups(none(), dev()),
        ] {
            assert_eq!(told, Some(vec!["dev".to_owned()]));
        }
        assert!(with(None, Some(json!({"sub": "2", "groups": ["dev"]}))).is_err());
    }
}
