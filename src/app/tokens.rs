//! API tokens for scripts. A token acts for its person: with their present role, and no further than its scope.

#[cfg(test)]
mod tests;

use crate::{
    access::{Access, check_name},
    rights::{find_spot, spot_words},
};
use identity::token;
use ipnet::IpNet;
use std::{sync::Arc, time::Duration};
use types::{Action, Actor, ApiToken, Error, Fact, Kind, ReplacedSecret, Result, Role, Scope, Scopes, Secret, Spot, TokenId, User, Who};

const DEFAULT_DAYS: u32 = 90;
const LONGEST_DAYS: u32 = 3650;
const NAME: usize = 60;
/// Of one person.
const MOST: usize = 200;
/// Places and networks of one token.
const MOST_BOUNDS: usize = 50;
/// How long an old secret may still be good, in minutes.
const LONGEST_GRACE: u32 = 30 * 24 * 60;

/// Makes, lists and revokes tokens.
#[derive(Clone)]
pub struct Tokens {
    access: Arc<Access>,
}

/// A token to make.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: String,
    pub scopes: Scopes,
    /// Where it is of use, as [`find_spot`] reads it; `None`: everywhere.
    pub places: Option<Vec<String>>,
    /// Where it may come from; empty: from anywhere.
    pub networks: Vec<IpNet>,
    pub lasts: Lasts,
    /// A service account, by id, in place of the one who asks.
    pub user: Option<String>,
}

/// How long a token is good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lasts {
    /// 90 days.
    #[default]
    Default,
    /// 1 to 3650.
    Days(u32),
    ForEver,
}

impl Lasts {
    /// `None`: without end.
    fn days(self) -> Result<Option<u32>> {
        match self {
            Lasts::Default => Ok(Some(DEFAULT_DAYS)),
            Lasts::Days(days) if (1..=LONGEST_DAYS).contains(&days) => Ok(Some(days)),
            Lasts::Days(_) => Err(Error::invalid(
                "expires_in_days",
                format!("must be 1 to {LONGEST_DAYS}, or null for no end"),
            )),
            Lasts::ForEver => Ok(None),
        }
    }
}

/// A token and whose it is.
#[derive(Debug, Clone)]
pub struct TokenView {
    pub token: ApiToken,
    pub user: User,
    /// Where it is of use: each place as it is written and in words; `None`: everywhere.
    pub places: Option<Vec<(String, String)>>,
}

impl Tokens {
    pub(crate) fn new(access: Arc<Access>) -> Tokens {
        Tokens { access }
    }

    /// The own ones; for those who see the team, all of the organization. Newest first.
    pub fn list(&self, actor: &Actor) -> Result<Vec<TokenView>> {
        let sees_all = actor.may(Action::ViewTeam).is_ok();
        let mut views = Vec::new();
        for token in self.access.store.tokens.list()?.into_iter().rev() {
            let is_own = actor.user() == Some(&token.user);
            if token.organization == actor.organization && (is_own || sees_all) {
                views.push(self.view(token.value)?);
            }
        }
        Ok(views)
    }

    /// A new token and its secret, which is not kept. It reaches no further and lasts no longer than what the one who
    /// asks came with. On the machine it is made for the first owner.
    pub async fn create(&self, actor: &Actor, wish: NewToken) -> Result<(TokenView, Secret)> {
        // A token is not asked for a second factor: whoever makes one has shown theirs.
        actor.is_certain()?;
        // A token makes none that reaches further than itself.
        actor.reaches(Scope::Write)?;
        if !actor.scopes.includes(&wish.scopes) {
            return Err(Error::Forbidden {
                needs: "a token with all these scopes".into(),
            });
        }
        let store = &self.access.store;
        let spots = wish.places.as_deref().map(|places| self.spots(actor, places)).transpose()?;
        if wish.networks.len() > MOST_BOUNDS {
            return Err(Error::invalid("networks", format!("must be at most {MOST_BOUNDS}")));
        }
        let name = check_name("name", &wish.name, NAME)?;
        // Nobody is removed while a token is made for them.
        let _team = self.access.team.lock().await;
        let user = match &wish.user {
            Some(id) => self.service_account(actor, id)?,
            None => self.owner_of_new(actor)?,
        };
        let world = &self.access.world;
        let now = world.now();
        let asked = wish
            .lasts
            .days()?
            .map(|days| now.plus(Duration::from_secs(u64::from(days) * 86_400)));
        // A token cannot prolong itself.
        let parent = match &actor.who {
            Who::Token { id, .. } => Some(store.tokens.get(id.as_str())?),
            _ => None,
        };
        let bound = parent.as_ref().and_then(|parent| parent.expires_at);
        let networks = within(parent.as_ref().map_or(&[], |parent| &parent.networks), wish.networks)?;
        let expires_at = match (asked, bound) {
            (Some(asked), Some(bound)) => Some(asked.min(bound)),
            (asked, bound) => asked.or(bound),
        };
        if store.tokens.list()?.iter().filter(|token| token.user == user.id).count() >= MOST {
            return Err(Error::busy(format!("{} has {MOST} tokens already; revoke some first", user.email)));
        }
        let made = token::new(world);
        let record = ApiToken {
            id: world.id(),
            organization: actor.organization.clone(),
            user: user.id.clone(),
            name,
            hash: made.hash,
            hint: made.hint,
            scopes: wish.scopes,
            spots,
            networks,
            created_at: now,
            expires_at,
            last_used_at: None,
            last_used_address: None,
            replaced: None,
        };
        let record = store.tokens.insert(record).await?.value;
        self.access
            .events
            .emit(actor, Fact::TokenCreated { name: record.name.clone() })
            .await;
        Ok((self.view(record)?, made.secret))
    }

    fn spots(&self, actor: &Actor, places: &[String]) -> Result<Vec<Spot>> {
        if places.is_empty() || places.len() > MOST_BOUNDS {
            return Err(Error::invalid("places", format!("name 1 to {MOST_BOUNDS}, or leave it out")));
        }
        places.iter().map(|text| find_spot(&self.access.store, actor, text)).collect()
    }

    /// Gives a token another secret; the old one stays good for some minutes. An own token, a service account's for those
    /// who manage people, and a token itself.
    pub async fn rotate(&self, actor: &Actor, id: &str, grace_minutes: u32) -> Result<(TokenView, Secret)> {
        let store = &self.access.store;
        let missing = || Error::not_found(Kind::Token, id);
        let found = store.tokens.find(id)?.filter(|token| token.organization == actor.organization);
        let mut token = found.ok_or_else(missing)?;
        let is_itself = matches!(&actor.who, Who::Token { id, .. } if *id == token.id);
        if !is_itself {
            if actor.user() == Some(&token.user) {
                actor.is_certain()?;
                actor.reaches(Scope::Write)?;
                if !actor.scopes.includes(&token.scopes) {
                    return Err(Error::Forbidden {
                        needs: "a token with all the scopes of this one".into(),
                    });
                }
            } else {
                actor.may(Action::ViewTeam).map_err(|_| missing())?;
                self.service_account(actor, token.user.as_str())?;
            }
            if let Who::Token { id, .. } = &actor.who {
                let asks = store.tokens.get(id.as_str())?;
                must_not_exceed(&asks, &token)?;
            }
        }
        if grace_minutes > LONGEST_GRACE {
            return Err(Error::invalid("grace_minutes", format!("must be 0 to {LONGEST_GRACE}")));
        }
        let world = &self.access.world;
        let made = token::new(world);
        let old = std::mem::replace(&mut token.hash, made.hash);
        token.hint = made.hint;
        token.replaced = (grace_minutes > 0).then(|| ReplacedSecret {
            hash: old,
            until: world.now().plus(Duration::from_secs(u64::from(grace_minutes) * 60)),
        });
        let saved = store.tokens.save(token).await?.value;
        let fact = Fact::TokenRotated { name: saved.name.clone() };
        self.access.events.emit(actor, fact).await;
        Ok((self.view(saved)?, made.secret))
    }

    /// A service account whose tokens the actor may make: they may all that it may.
    fn service_account(&self, actor: &Actor, id: &str) -> Result<User> {
        actor.may(Action::ManageTeam)?;
        let user = self.access.member(&actor.organization, id)?.value;
        if !user.service {
            return Err(Error::Forbidden {
                needs: "a service account; people make their own tokens".into(),
            });
        }
        self.access.covers(actor, &user)?;
        Ok(user)
    }

    /// Ends a token: an own one, or anybody's for those who manage the team. A token may always end itself.
    pub async fn revoke(&self, actor: &Actor, id: &str) -> Result<()> {
        let store = &self.access.store;
        let missing = || Error::not_found(Kind::Token, id);
        let found = store
            .tokens
            .find(id)?
            .filter(|token| token.organization == actor.organization)
            .ok_or_else(missing)?;
        let is_itself = matches!(&actor.who, Who::Token { id, .. } if *id == found.id);
        if actor.user() != Some(&found.user) {
            // Who may not see it, does not learn that it is there.
            actor.may(Action::ViewTeam).map_err(|_| missing())?;
            actor.may(Action::ManageTeam)?;
            // What they are here, not where their account belongs.
            let user = store.users.get(found.user.as_str())?;
            if self.access.role_in(&user, &actor.organization)? == Some(Role::Owner) {
                actor.may(Action::ManageOwners)?;
            }
        } else if !is_itself {
            actor.reaches(Scope::Write)?;
        }
        store.tokens.remove(id).await?;
        self.access
            .events
            .emit(actor, Fact::TokenRevoked { name: found.name.clone() })
            .await;
        Ok(())
    }

    /// Whose a new token is.
    fn owner_of_new(&self, actor: &Actor) -> Result<User> {
        if let Some(id) = actor.user() {
            return Ok(self.access.member(&actor.organization, id.as_str())?.value);
        }
        let users = self.access.store.users.list()?.into_iter().map(|user| user.value);
        let mut owners = users.filter(|user| user.organization == actor.organization && user.role == Role::Owner && !user.disabled);
        owners
            .next()
            .ok_or_else(|| Error::busy("there is no owner whose token it could be"))
    }

    fn view(&self, token: ApiToken) -> Result<TokenView> {
        let store = &self.access.store;
        let user = store.users.get(token.user.as_str())?.value;
        let told = |spots: &Vec<Spot>| spots.iter().map(|spot| spot_words(store, spot)).collect::<Result<Vec<_>>>();
        let places = token.spots.as_ref().map(told).transpose()?;
        Ok(TokenView { token, user, places })
    }

    /// A token by its id, for those who come with one.
    pub fn get(&self, actor: &Actor, id: &TokenId) -> Result<TokenView> {
        let views = self.list(actor)?;
        let found = views.into_iter().find(|view| view.token.id == *id);
        found.ok_or_else(|| Error::not_found(Kind::Token, id))
    }
}

/// Fails with `Forbidden` when a token lasts longer than the one that asks for its secret, or may come from elsewhere: with
/// that secret the one that asks would have no bounds.
fn must_not_exceed(asks: &ApiToken, token: &ApiToken) -> Result<()> {
    let ends_before = match (asks.expires_at, token.expires_at) {
        (Some(bound), Some(end)) => end <= bound,
        (Some(_), None) => false,
        (None, _) => true,
    };
    if !ends_before {
        return Err(Error::Forbidden {
            needs: "a token that lasts as long as this one".into(),
        });
    }
    if within(&asks.networks, token.networks.clone())? != token.networks {
        return Err(Error::Forbidden {
            needs: "a token that may come from anywhere".into(),
        });
    }
    Ok(())
}

/// Where a token may come from that another made: from nowhere that the other may not.
fn within(parent: &[IpNet], wished: Vec<IpNet>) -> Result<Vec<IpNet>> {
    if parent.is_empty() {
        return Ok(wished);
    }
    if wished.is_empty() {
        return Ok(parent.to_vec());
    }
    let fits = |network: &IpNet| parent.iter().any(|parent| parent.contains(network));
    match wished.iter().all(fits) {
        true => Ok(wished),
        false => Err(Error::Forbidden {
            needs: "a token that may come from all these networks".into(),
        }),
    }
}
