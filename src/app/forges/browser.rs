//! What needs a browser at the forge: allowing an OAuth application, and making a GitHub App from a manifest. Both come back
//! to the page `/forges/back` with a state that only this panel knows; the page sends it on as the person who began.

use super::{AccessWish, NewForge, access};
use crate::{access::Visitor, ground::Ground};
use source::forges::{Pkce, manifest, manifest_app};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use types::{Actor, Error, Forge, ForgeConnection, ForgeId, ForgeUrl, Kind, OauthGrant, OrganizationId, Result, Time, Who};
use url::Url;

const LASTS: Duration = Duration::from_secs(600);
/// Begun and not finished; more would be somebody who only fills memory.
const MOST: usize = 200;
/// 160 bits.
const STATE: usize = 32;

/// What was begun, by its state.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<String, Begun>>);

struct Begun {
    organization: OrganizationId,
    who: Who,
    until: Time,
    back: String,
    what: What,
}

enum What {
    Allow { connection: ForgeId, pkce: Pkce },
    Make(AppWish),
}

/// A GitHub App to make.
#[derive(Debug, Clone)]
pub struct AppWish {
    /// Of the connection; the App is called like it, and can be renamed at GitHub.
    pub name: String,
    /// `None`: github.com.
    pub url: Option<ForgeUrl>,
    /// The organization that it is made in; `None`: the person's own account.
    pub owner: Option<String>,
}

/// What a page posts, and where to.
#[derive(Debug, Clone)]
pub struct AppPage {
    pub url: String,
    /// The value of the field `manifest`: JSON.
    pub manifest: String,
}

/// What came of it.
pub(super) enum Back {
    Granted(ForgeId, OauthGrant),
    Made(Box<NewForge>),
}

pub(super) fn authorize(ground: &Ground, actor: &Actor, connection: &ForgeConnection, visitor: &Visitor) -> Result<String> {
    let client = access::client(ground, connection)?;
    let client = client.ok_or_else(|| Error::busy("only a connection by OAuth is allowed at the forge; this one needs nothing more"))?;
    let back = back(ground, visitor)?;
    let pkce = Pkce {
        verifier: ground.world.word(64),
    };
    let what = What::Allow {
        connection: connection.id.clone(),
        pkce: pkce.clone(),
    };
    let state = begin(ground, actor, &back, what)?;
    Ok(client.authorize(&back, &state, &pkce).into())
}

pub(super) fn app_page(ground: &Ground, actor: &Actor, wish: AppWish, visitor: &Visitor) -> Result<AppPage> {
    let back = back(ground, visitor)?;
    let url = wish.url.clone().or_else(|| ForgeUrl::usual(Forge::Github)).expect("GitHub has one");
    let panel = back.trim_end_matches("/forges/back");
    let state = begin(ground, actor, &back, What::Make(wish.clone()))?;
    let (to, body) = manifest(&url, wish.owner.as_deref(), &wish.name, panel, &back, &state);
    Ok(AppPage {
        url: to,
        manifest: body.to_string(),
    })
}

pub(super) async fn come_back(ground: &Ground, actor: &Actor, state: &str, code: &str) -> Result<Back> {
    let begun = end(ground, actor, state)?;
    match begun.what {
        What::Allow { connection, pkce } => {
            let stored = ground.store.forges.get(connection.as_str())?.value;
            let client = access::client(ground, &stored)?;
            let client = client.ok_or_else(|| Error::not_found(Kind::ForgeConnection, &stored.name))?;
            let granted = client.redeem(code, &begun.back, &pkce).await?;
            Ok(Back::Granted(
                connection,
                access::sealed(ground, &stored.organization, granted, None)?,
            ))
        }
        What::Make(wish) => {
            let url = wish.url.clone().or_else(|| ForgeUrl::usual(Forge::Github)).expect("GitHub has one");
            let made = manifest_app(&url, code, &ground.egress(&actor.organization)?).await?;
            Ok(Back::Made(Box::new(NewForge {
                name: wish.name,
                forge: Forge::Github,
                url: Some(url),
                owner: wish.owner,
                access: AccessWish::App {
                    app_id: made.app_id,
                    private_key: made.private_key,
                },
            })))
        }
    }
}

/// The page to come back to, at the address by which the panel is open in this browser.
fn back(ground: &Ground, visitor: &Visitor) -> Result<String> {
    let origin = visitor.origin.as_deref().and_then(|origin| Url::parse(origin).ok());
    match origin.filter(|origin| origin.scheme() == "https") {
        Some(mut origin) => {
            origin.set_path("/forges/back");
            Ok(origin.into())
        }
        None => Ok(format!("{}/forges/back", ground.panel_address()?)),
    }
}

fn begin(ground: &Ground, actor: &Actor, back: &str, what: What) -> Result<String> {
    let now = ground.world.now();
    let state = ground.world.word(STATE);
    let mut all = ground.forges.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, begun| now < begun.until);
    if all.len() >= MOST {
        return Err(Error::busy("too many have begun this and not finished; wait ten minutes"));
    }
    let begun = Begun {
        organization: actor.organization.clone(),
        who: actor.who.clone(),
        until: now.plus(LASTS),
        back: back.to_owned(),
        what,
    };
    all.insert(state.clone(), begun);
    Ok(state)
}

fn end(ground: &Ground, actor: &Actor, state: &str) -> Result<Begun> {
    let mut all = ground.forges.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
    let now = ground.world.now();
    let is_theirs = |begun: &Begun| begun.organization == actor.organization && begun.who == actor.who && now < begun.until;
    if !all.get(state).is_some_and(is_theirs) {
        return Err(Error::invalid(
            "state",
            "was not begun here by you within the last ten minutes; begin again",
        ));
    }
    all.remove(state)
        .ok_or_else(|| Error::invalid("state", "was not begun here; begin again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[tokio::test]
    async fn only_who_began_may_finish() {
        let bench = Bench::new().await;
        let ground = &bench.ground;
        let named = || {
            let mut actor = bench.owner.clone();
            actor.who = Who::Token {
                id: ground.world.id(),
                user: ground.world.id(),
                name: "ci".into(),
            };
            actor
        };
        let (ada, eve) = (named(), named());
        assert_eq!(ada.who.to_string(), eve.who.to_string(), "a name alone is nobody");
        let wish = AppWish {
            name: "GitHub".into(),
            url: None,
            owner: None,
        };
        let state = begin(ground, &ada, "https://panel.test/forges/back", What::Make(wish)).expect("begun");
        assert!(end(ground, &eve, &state).is_err());
        let mut elsewhere = ada.clone();
        elsewhere.organization = ground.world.id();
        assert!(end(ground, &elsewhere, &state).is_err());
        end(ground, &ada, &state).expect("finished");
        assert!(end(ground, &ada, &state).is_err(), "once");
    }
}
