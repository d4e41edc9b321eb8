//! API tokens for scripts. A token acts for its person: with their present role, and no further than its scope.

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
        let spots = match &wish.places {
            Some(places) if places.is_empty() || places.len() > MOST_BOUNDS => {
                return Err(Error::invalid("places", format!("name 1 to {MOST_BOUNDS}, or leave it out")));
            }
            Some(places) => Some(
                places
                    .iter()
                    .map(|text| find_spot(store, actor, text))
                    .collect::<Result<Vec<_>>>()?,
            ),
            None => None,
        };
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
        let days = match wish.lasts {
            Lasts::Default => Some(DEFAULT_DAYS),
            Lasts::Days(days) if (1..=LONGEST_DAYS).contains(&days) => Some(days),
            Lasts::Days(_) => {
                return Err(Error::invalid(
                    "expires_in_days",
                    format!("must be 1 to {LONGEST_DAYS}, or null for no end"),
                ));
            }
            Lasts::ForEver => None,
        };
        let asked = days.map(|days| now.plus(Duration::from_secs(u64::from(days) * 86_400)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::tests::Gate, sessions::Known, users::UserChange};

    fn wish(name: &str, scope: Scope) -> NewToken {
        NewToken {
            name: name.into(),
            scopes: Scopes::up_to(scope),
            places: None,
            networks: Vec::new(),
            lasts: Lasts::Default,
            user: None,
        }
    }

    impl Gate {
        async fn with(&self, secret: &Secret) -> Result<Known> {
            self.sessions
                .by_token(secret.expose_str().expect("text"), Some("10.0.0.9".into()))
                .await
        }
    }

    #[tokio::test]
    async fn a_token_acts_for_its_person() {
        let (gate, owner) = Gate::claimed().await;
        let (bob, bob_actor) = gate.add(&owner, "bob@example.com", Role::Developer).await;
        let (view, secret) = gate.tokens.create(&bob_actor, wish(" ci ", Scope::Write)).await.expect("made");
        let text = secret.expose_str().expect("text");
        assert!(text.starts_with(&view.token.hint) && view.token.name == "ci" && view.user.id == bob.id);
        let on_disk = gate.access.store.tokens.list().expect("lists");
        assert!(
            !serde_json::to_string(&on_disk[0].value).expect("JSON").contains(&text[8..]),
            "only its hash is kept"
        );

        let known = gate.with(&secret).await.expect("known");
        assert_eq!(
            (known.actor.role, known.actor.scopes.clone()),
            (Role::Developer, Scopes::up_to(Scope::Write))
        );
        assert_eq!(known.actor.who.to_string(), "token ci");
        assert_eq!(known.actor.user(), Some(&bob.id));
        assert_eq!(gate.sessions.show(&known).expect("shown").user.expect("a person").id, bob.id);
        gate.sessions.check_csrf(&known, None).expect("no cookie, no need");

        // The role is the person's present one, and a disabled person's token rests.
        let change = UserChange {
            role: Some(Role::Viewer),
            ..UserChange::default()
        };
        gate.users.update(&owner, bob.id.as_str(), change).await.expect("lowered");
        assert_eq!(gate.with(&secret).await.expect("known").actor.role, Role::Viewer);
        for (disabled, works) in [(true, false), (false, true)] {
            let change = UserChange {
                disabled: Some(disabled),
                ..UserChange::default()
            };
            gate.users.update(&owner, bob.id.as_str(), change).await.expect("changed");
            assert_eq!(gate.with(&secret).await.is_ok(), works);
        }
        gate.users.remove(&owner, bob.id.as_str()).await.expect("removed");
        assert!(matches!(gate.with(&secret).await, Err(Error::Unauthenticated { .. })));
        assert!(gate.access.store.tokens.list().expect("lists").is_empty());
    }

    #[tokio::test]
    async fn use_is_noted_once_a_minute() {
        let (gate, owner) = Gate::claimed().await;
        let (view, secret) = gate.tokens.create(&owner, wish("ci", Scope::Read)).await.expect("made");
        let noted = || gate.access.store.tokens.get(view.token.id.as_str()).expect("there");
        assert!(noted().last_used_at.is_none());
        gate.with(&secret).await.expect("known");
        let first = noted();
        assert_eq!(first.last_used_at, Some(gate.access.world.now()));
        gate.clock.forward(Duration::from_secs(59));
        gate.with(&secret).await.expect("known");
        assert_eq!(noted(), first, "nothing is written");
        gate.clock.forward(Duration::from_secs(1));
        gate.with(&secret).await.expect("known");
        assert_eq!(noted().last_used_at, Some(gate.access.world.now()));
    }

    #[tokio::test]
    async fn tokens_end() {
        let (gate, owner) = Gate::claimed().await;
        for (lasts, days) in [(Lasts::Default, 90), (Lasts::Days(1), 1), (Lasts::Days(3650), 3650)] {
            let (view, secret) = gate
                .tokens
                .create(
                    &owner,
                    NewToken {
                        lasts,
                        ..wish("ci", Scope::Read)
                    },
                )
                .await
                .expect("made");
            let end = view.token.expires_at.expect("an end");
            assert_eq!(end.since(gate.access.world.now()), Duration::from_secs(days * 86_400));
            gate.clock.forward(Duration::from_secs(days * 86_400 - 1));
            gate.with(&secret).await.expect("still good");
            gate.clock.forward(Duration::from_secs(1));
            let error = gate.with(&secret).await.expect_err("ended");
            assert!(error.to_string().contains("expired"), "{error}");
        }
        for days in [0, 3651, u32::MAX] {
            let error = gate
                .tokens
                .create(
                    &owner,
                    NewToken {
                        lasts: Lasts::Days(days),
                        ..wish("ci", Scope::Read)
                    },
                )
                .await;
            assert!(matches!(error, Err(Error::Invalid { .. })), "{days}");
        }
        let (view, _) = gate
            .tokens
            .create(
                &owner,
                NewToken {
                    lasts: Lasts::ForEver,
                    ..wish("ci", Scope::Read)
                },
            )
            .await
            .expect("made");
        assert!(view.token.expires_at.is_none());
        for name in ["", " ", "a\nb", &"x".repeat(61)] {
            assert!(
                matches!(
                    gate.tokens.create(&owner, wish(name, Scope::Read)).await,
                    Err(Error::Invalid { .. })
                ),
                "{name:?}"
            );
        }
        for wrong in ["", "sk_", "sk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(matches!(
                gate.sessions.by_token(wrong, None).await,
                Err(Error::Unauthenticated { .. })
            ));
        }
    }

    #[tokio::test]
    async fn a_token_makes_none_that_reach_further_or_last_longer() {
        let (gate, owner) = Gate::claimed().await;
        for (own, wished, allowed) in [
            (Scope::Read, Scope::Read, false),
            (Scope::Deploy, Scope::Read, false),
            (Scope::Write, Scope::Read, true),
            (Scope::Write, Scope::Write, true),
            (Scope::Write, Scope::Admin, false),
            (Scope::Admin, Scope::Admin, true),
        ] {
            let lasts = Lasts::Days(7);
            let (parent, secret) = gate
                .tokens
                .create(
                    &owner,
                    NewToken {
                        lasts,
                        ..wish("parent", own)
                    },
                )
                .await
                .expect("made");
            let actor = gate.with(&secret).await.expect("known").actor;
            for lasts in [Lasts::Default, Lasts::ForEver] {
                let made = gate
                    .tokens
                    .create(
                        &actor,
                        NewToken {
                            lasts,
                            ..wish("child", wished)
                        },
                    )
                    .await;
                assert_eq!(made.is_ok(), allowed, "{own:?} makes {wished:?}");
                if let Ok((child, _)) = made {
                    assert_eq!(child.token.expires_at, parent.token.expires_at);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_token_gets_no_secret_of_one_that_lasts_longer_or_comes_from_elsewhere() {
        let (gate, owner) = Gate::claimed().await;
        let net = |text: &str| -> Vec<IpNet> { vec![text.parse().expect("a network")] };
        let made = async |name: &str, lasts: Lasts, networks: Vec<IpNet>| {
            let wish = NewToken {
                lasts,
                networks,
                ..wish(name, Scope::Write)
            };
            gate.tokens.create(&owner, wish).await.expect("made")
        };
        let (short, secret) = made("short", Lasts::Days(7), Vec::new()).await;
        let ending = gate.with(&secret).await.expect("known").actor;
        let (_, secret) = made("near", Lasts::ForEver, net("10.0.0.0/24")).await;
        let near = gate.with(&secret).await.expect("known").actor;
        let (twin, _) = made("twin", Lasts::Days(7), net("10.0.0.9/32")).await;
        let (long, _) = made("long", Lasts::Days(8), Vec::new()).await;
        let (endless, _) = made("endless", Lasts::ForEver, Vec::new()).await;
        let (far, _) = made("far", Lasts::Days(1), net("10.0.0.0/8")).await;
        for (asks, token, needs) in [
            (&ending, &short, None),
            (&ending, &twin, None),
            (&ending, &long, Some("lasts as long")),
            (&ending, &endless, Some("lasts as long")),
            (&near, &twin, None),
            (&near, &long, Some("from anywhere")),
            (&near, &far, Some("all these networks")),
            (&owner, &endless, None),
        ] {
            let rotated = gate.tokens.rotate(asks, token.token.id.as_str(), 60).await;
            let name = &token.token.name;
            match needs {
                None => drop(rotated.unwrap_or_else(|error| panic!("{name}: {error}"))),
                Some(needs) => {
                    let error = rotated.err().unwrap_or_else(|| panic!("{name} is rotated")).to_string();
                    assert!(error.contains(needs), "{name}: {error}");
                }
            }
        }
    }

    #[tokio::test]
    async fn whose_token_is_an_owners_is_asked_in_this_organization() {
        let (gate, owner) = Gate::claimed().await;
        let acme = gate.organizations.create(&owner, "acme".parse().expect("a name"), None).await;
        let acme = acme.expect("made").organization.id;
        let mut there = Vec::new();
        for (email, role) in [("eve@example.com", Role::Owner), ("cy@example.com", Role::Admin)] {
            // At home both only look.
            let (user, actor) = gate.add(&owner, email, Role::Viewer).await;
            let membership = types::Membership {
                organization: acme.clone(),
                user: user.id,
                role,
                created_at: gate.access.world.now(),
            };
            gate.access.store.memberships.insert(membership).await.expect("in");
            there.push(Actor {
                organization: acme.clone(),
                role,
                hosts: false,
                ..actor
            });
        }
        let (theirs, _) = gate.tokens.create(&there[0], wish("eve's", Scope::Read)).await.expect("made");
        let revoked = gate.tokens.revoke(&there[1], theirs.token.id.as_str()).await;
        assert!(matches!(revoked, Err(Error::Forbidden { .. })), "owners are above admins here too");
        gate.tokens.revoke(&there[0], theirs.token.id.as_str()).await.expect("own");
    }

    #[tokio::test]
    async fn who_sees_and_revokes_which() {
        let (gate, owner) = Gate::claimed().await;
        let (_, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
        let (_, bob) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
        let (_, eve) = gate.add(&owner, "eve@example.com", Role::Developer).await;
        let (of_owner, _) = gate.tokens.create(&owner, wish("owner's", Scope::Admin)).await.expect("made");
        gate.clock.forward(Duration::from_millis(1));
        let (of_bob, secret) = gate.tokens.create(&bob, wish("bob's", Scope::Read)).await.expect("made");
        gate.clock.forward(Duration::from_millis(1));
        let (second, _) = gate.tokens.create(&bob, wish("bob's second", Scope::Read)).await.expect("made");
        let names = |actor: &Actor| {
            gate.tokens
                .list(actor)
                .expect("lists")
                .into_iter()
                .map(|view| view.token.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&admin), ["bob's second", "bob's", "owner's"]);
        assert_eq!(names(&bob), ["bob's second", "bob's"]);
        assert!(names(&eve).is_empty());

        let revoke = async |actor: &Actor, view: &TokenView| gate.tokens.revoke(actor, view.token.id.as_str()).await;
        assert!(matches!(revoke(&eve, &of_bob).await, Err(Error::NotFound { .. })));
        assert!(
            matches!(revoke(&admin, &of_owner).await, Err(Error::Forbidden { .. })),
            "owners are above admins"
        );
        let itself = gate.with(&secret).await.expect("known").actor;
        assert!(
            matches!(revoke(&itself, &second).await, Err(Error::Forbidden { .. })),
            "it only reads"
        );
        revoke(&itself, &of_bob).await.expect("a token may end itself");
        assert!(gate.with(&secret).await.is_err());
        revoke(&admin, &second).await.expect("an admin may");
        assert!(matches!(revoke(&admin, &second).await, Err(Error::NotFound { .. })));
        revoke(&owner, &of_owner).await.expect("own");
        assert_eq!(gate.facts().iter().filter(|fact| *fact == "token_revoked").count(), 3);

        let machine = gate.sessions.by_machine(0).expect("known").actor;
        let (view, _) = gate.tokens.create(&machine, wish("made here", Scope::Admin)).await.expect("made");
        assert_eq!(view.user.email.as_str(), "ada@example.com");
        assert_eq!(gate.tokens.get(&machine, &view.token.id).expect("there").token.name, "made here");
    }

    #[tokio::test]
    async fn a_token_is_bound_to_places_and_networks() {
        let (gate, owner) = Gate::claimed().await;
        let project = gate.access.store.projects.list().expect("lists")[0].id.clone();
        let bound = NewToken {
            places: Some(vec!["project:default".into()]),
            networks: vec!["10.0.0.0/24".parse().expect("a network")],
            ..wish("bound", Scope::Admin)
        };
        let (view, secret) = gate.tokens.create(&owner, bound).await.expect("made");
        assert_eq!(view.places, Some(vec![(format!("project:{project}"), "project default".into())]));
        let known = gate.with(&secret).await.expect("from 10.0.0.9");
        assert_eq!(known.actor.spots, Some(vec![Spot::Project(project.clone())]));
        assert!(known.actor.may(Action::View).is_err() && known.actor.may(Action::ManageTeam).is_err());
        assert!(known.actor.may_in(Action::Terminal, &types::Site::project(project)).is_ok());
        assert!(
            gate.tokens.create(&known.actor, wish("child", Scope::Read)).await.is_err(),
            "it makes none"
        );
        let text = secret.expose_str().expect("text");
        for (address, lets_in) in [
            (Some("10.0.0.9"), true),
            (Some("::ffff:10.0.0.9"), true),
            (Some("10.0.1.9"), false),
            (Some("nonsense"), false),
            (None, false),
        ] {
            let known = gate.sessions.by_token(text, address.map(str::to_owned)).await;
            assert_eq!(known.is_ok(), lets_in, "{address:?}");
        }
        let seen = gate.tokens.list(&owner).expect("lists").remove(0).token;
        assert_eq!(seen.last_used_address.as_deref(), Some("::ffff:10.0.0.9"));
        for places in [
            vec![],
            vec!["project:nosuch".into()],
            vec!["app:nosuch".into()],
            vec!["moon".into()],
        ] {
            let odd = NewToken {
                places: Some(places),
                ..wish("odd", Scope::Read)
            };
            assert!(gate.tokens.create(&owner, odd).await.is_err());
        }
        let whole = "10.0.0.0/8".parse::<IpNet>().expect("a network");
        let part = "10.1.0.0/16".parse::<IpNet>().expect("a network");
        assert_eq!(within(&[whole], vec![]).expect("inherits"), [whole]);
        assert_eq!(within(&[whole], vec![part]).expect("fits"), [part]);
        assert!(within(&[part], vec![whole]).is_err());
    }

    #[tokio::test]
    async fn a_rotated_token_has_a_grace_time() {
        let (gate, owner) = Gate::claimed().await;
        let (view, old) = gate.tokens.create(&owner, wish("ci", Scope::Deploy)).await.expect("made");
        let id = view.token.id.as_str();
        assert!(gate.tokens.rotate(&owner, id, LONGEST_GRACE + 1).await.is_err());
        let (_, new) = gate.tokens.rotate(&owner, id, 60).await.expect("rotated");
        let itself = gate.with(&new).await.expect("new").actor;
        gate.with(&old).await.expect("the old one is still good");
        gate.clock.forward(Duration::from_secs(3600));
        let told = gate.with(&old).await.err().map(|error| error.to_string()).expect("refused");
        assert!(told.contains("another secret"), "{told}");
        let (_, newest) = gate.tokens.rotate(&itself, id, 0).await.expect("a token rotates itself");
        assert!(gate.with(&new).await.is_err() && gate.with(&old).await.is_err());
        gate.with(&newest).await.expect("newest");
        let (_, other) = gate.add(&owner, "bob@example.com", Role::Admin).await;
        assert!(gate.tokens.rotate(&other, id, 0).await.is_err(), "not another person's");
    }

    #[tokio::test]
    async fn service_accounts_have_tokens_and_no_password() {
        let (gate, owner) = Gate::claimed().await;
        let (_, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
        let made = gate
            .users
            .create_service(&admin, "CI of the shop", Role::Developer)
            .await
            .expect("made");
        assert!(made.user.service && made.user.email.as_str().starts_with("ci-of-the-shop."));
        let email = made.user.email.as_str();
        let signed = gate
            .sessions
            .create(
                email,
                &"".into(),
                &crate::Further::default(),
                &crate::access::tests::visitor("10.0.0.1"),
            )
            .await;
        assert!(matches!(signed, Err(Error::Unauthenticated { .. })), "nobody signs in as it");
        let password = UserChange {
            password: Some("correct horse battery".into()),
            ..UserChange::default()
        };
        assert!(gate.users.update(&admin, made.user.id.as_str(), password).await.is_err());
        let for_it = |scope| NewToken {
            user: Some(made.user.id.to_string()),
            ..wish("deploys", scope)
        };
        let (view, secret) = gate.tokens.create(&admin, for_it(Scope::Deploy)).await.expect("made");
        let known = gate.with(&secret).await.expect("known");
        assert_eq!((view.user.id, known.actor.role), (made.user.id.clone(), Role::Developer));
        gate.tokens
            .rotate(&admin, view.token.id.as_str(), 0)
            .await
            .expect("admins rotate it");
        let (bob, developer) = gate.add(&owner, "bob@example.com", Role::Developer).await;
        assert!(gate.tokens.create(&developer, for_it(Scope::Read)).await.is_err());
        let for_bob = NewToken {
            user: Some(bob.id.to_string()),
            ..wish("as bob", Scope::Read)
        };
        assert!(gate.tokens.create(&admin, for_bob).await.is_err(), "people make their own");
        assert!(gate.users.create_service(&admin, "above", Role::Owner).await.is_err());
        gate.users
            .remove(&admin, made.user.id.as_str())
            .await
            .expect("removed with its tokens");
        assert!(gate.with(&secret).await.is_err());
    }
}
