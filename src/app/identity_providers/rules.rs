//! What the groups of a provider give, as it is written and as it is kept.

use super::{IdentityProviders, line};
use crate::{
    rights::{Rights, spot_words},
    users::may_give,
};
use types::{Actor, Error, Given, GrantedRole, GroupRole, IdentityProvider, Result, Role, Spot};

/// Who is in the group has the role, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupWish {
    pub group: String,
    /// `member`, `viewer`, `developer`, `admin`, or the id or name of a role.
    pub role: String,
    /// As in a grant; `None`: in the whole.
    pub place: Option<String>,
}

impl IdentityProviders {
    /// A provider's rules as they are written: a role that is gone by its id.
    pub fn rules(&self, provider: &IdentityProvider) -> Result<Vec<GroupWish>> {
        provider.groups.iter().map(|rule| self.written(rule)).collect()
    }

    fn written(&self, rule: &GroupRole) -> Result<GroupWish> {
        let store = &self.access.store;
        let whole = || Given {
            role: GrantedRole::BuiltIn(rule.role),
            spot: Spot::Organization,
        };
        let given = rule.given.clone().unwrap_or_else(whole);
        let role = match &given.role {
            GrantedRole::BuiltIn(role) => format!("{role:?}").to_lowercase(),
            GrantedRole::Custom(id) => {
                let found = store.roles.find(id.as_str())?;
                found.map_or_else(|| id.to_string(), |role| role.value.name)
            }
        };
        let place = match &given.spot {
            Spot::Organization => None,
            spot => Some(spot_words(store, spot)?.0),
        };
        Ok(GroupWish {
            group: rule.group.clone(),
            role,
            place,
        })
    }

    /// Reads rules. Those that are there already stay, also when their role is gone since: they give nothing then.
    pub(super) fn read_rules(&self, actor: &Actor, wishes: &[GroupWish], before: Option<&IdentityProvider>) -> Result<Vec<GroupRole>> {
        let there = before.map(|before| before.groups.as_slice()).unwrap_or_default();
        let written: Vec<GroupWish> = there.iter().map(|rule| self.written(rule)).collect::<Result<_>>()?;
        let read = |wish: &GroupWish| match written.iter().position(|one| one == wish) {
            Some(place) => Ok(there[place].clone()),
            None => self.rule(actor, wish),
        };
        wishes.iter().map(read).collect()
    }

    /// Nobody writes one that gives what they do not have there.
    fn rule(&self, actor: &Actor, wish: &GroupWish) -> Result<GroupRole> {
        let group = line("groups", &wish.group)?;
        let role = match wish.role.as_str() {
            "member" => Some(Role::Member),
            "viewer" => Some(Role::Viewer),
            "developer" => Some(Role::Developer),
            "admin" => Some(Role::Admin),
            "owner" => return Err(no_owners()),
            _ => None,
        };
        if let (Some(role), None) = (role, &wish.place) {
            may_give(actor, role)?;
            return Ok(GroupRole { group, role, given: None });
        }
        let place = wish.place.as_deref().unwrap_or("organization");
        let given = Rights::new(self.access.clone()).read_given(actor, &wish.role, place);
        let given = given.map_err(|error| match error {
            Error::NotFound { .. } | Error::Invalid { .. } | Error::Busy { .. } => {
                Error::invalid("groups", format!("cannot be used: {error}"))
            }
            other => other,
        })?;
        Ok(GroupRole {
            group,
            role: Role::Member,
            given: Some(given),
        })
    }
}

/// Fails with `Forbidden` unless the actor has all that an administrator has: a provider says who people are and who is in which group, so
/// whoever says where it is, or has its token, comes in as anybody but an owner.
pub(crate) fn may_say_who_is_who(actor: &Actor) -> Result<()> {
    match actor.covers(Role::Admin) {
        true => Ok(()),
        false => Err(Error::Forbidden {
            needs: "all the rights of an administrator: an identity provider lets people in as whoever it says that they are".into(),
        }),
    }
}

pub(super) fn no_owners() -> Error {
    Error::invalid(
        "groups",
        "cannot make owners: owners have a password of the panel's own, so that one always gets in",
    )
}
