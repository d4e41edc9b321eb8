//! Who acts, and what they may do. Every service method begins by asking.

use crate::{Error, OrganizationId, Result, Role, TokenId, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What somebody wants to do. The least role and scope for each is in [`Action::needs`], the one table of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See projects, apps, deployments, logs, metrics, certificates.
    View,
    /// Deploy, roll back, cancel, start, stop, restart.
    Deploy,
    /// Create and change apps, domains, variables, projects.
    Configure,
    /// Read the values of variables marked secret.
    RevealSecrets,
    /// Open a terminal in a container.
    Terminal,
    /// Delete apps, projects, volumes; empty the trash.
    Delete,
    /// Make apps from a path on the panel's machine.
    UseLocalPaths,
    /// See people, roles and tokens of others.
    ViewTeam,
    /// Invite, change and remove people.
    ManageTeam,
    /// Change settings of the panel; see and mend the machine.
    Administer,
    /// Make somebody an owner, or stop them being one.
    ManageOwners,
}

impl Action {
    /// The least role and the least token scope.
    pub fn needs(self) -> (Role, Scope) {
        match self {
            Action::View => (Role::Viewer, Scope::Read),
            Action::Deploy => (Role::Developer, Scope::Deploy),
            Action::Configure | Action::RevealSecrets | Action::Terminal | Action::Delete => (Role::Developer, Scope::Write),
            Action::ViewTeam => (Role::Admin, Scope::Read),
            Action::UseLocalPaths | Action::ManageTeam | Action::Administer => (Role::Admin, Scope::Admin),
            Action::ManageOwners => (Role::Owner, Scope::Admin),
        }
    }
}

/// How far a token reaches; each includes the ones before it. Its user's role still bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Read,
    Deploy,
    Write,
    Admin,
}

/// Who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Who {
    User {
        id: UserId,
        email: String,
    },
    Token {
        id: TokenId,
        user: UserId,
        name: String,
    },
    /// Somebody on the machine itself, known by the peer credentials of the socket.
    Machine {
        uid: u32,
    },
    /// serverkit itself: a reconciler, a schedule.
    System,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::User { email, .. } => f.write_str(email),
            Who::Token { name, .. } => write!(f, "token {name}"),
            Who::Machine { uid: 0 } => f.write_str("root on this machine"),
            Who::Machine { uid } => write!(f, "user {uid} on this machine"),
            Who::System => f.write_str("serverkit"),
        }
    }
}

/// Somebody who acts in an organization with a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub who: Who,
    pub organization: OrganizationId,
    pub role: Role,
    /// The token's reach; `Admin` for people and the machine.
    pub scope: Scope,
    /// The address of the request, for the audit log and for throttling.
    pub address: Option<String>,
}

impl Actor {
    /// serverkit acting by itself.
    pub fn system(organization: OrganizationId) -> Actor {
        Actor {
            who: Who::System,
            organization,
            role: Role::Owner,
            scope: Scope::Admin,
            address: None,
        }
    }
    /// Fails with `Forbidden` unless role and scope suffice. That the thing is in the actor's organization is
    /// asked where it is loaded: a thing of another organization is `NotFound`, not `Forbidden`.
    pub fn may(&self, action: Action) -> Result<()> {
        let (role, scope) = action.needs();
        if self.role < role {
            return Err(Error::Forbidden {
                needs: format!("the role {}", word(role)),
            });
        }
        if self.scope < scope {
            return Err(Error::Forbidden {
                needs: format!("a token with the scope {}", word(scope)),
            });
        }
        Ok(())
    }
    /// The person behind it, if there is one.
    pub fn user(&self) -> Option<&UserId> {
        match &self.who {
            Who::User { id, .. } | Who::Token { user: id, .. } => Some(id),
            Who::Machine { .. } | Who::System => None,
        }
    }
}

fn word(value: impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    #[test]
    fn rights_grow_with_role_and_scope() {
        let mut actor = Actor::system(World::system().id());
        for (role, scope, action, allowed) in [
            (Role::Viewer, Scope::Admin, Action::View, true),
            (Role::Viewer, Scope::Admin, Action::Deploy, false),
            (Role::Developer, Scope::Admin, Action::Delete, true),
            (Role::Developer, Scope::Read, Action::Deploy, false),
            (Role::Developer, Scope::Deploy, Action::Deploy, true),
            (Role::Developer, Scope::Admin, Action::UseLocalPaths, false),
            (Role::Admin, Scope::Admin, Action::ManageOwners, false),
            (Role::Owner, Scope::Admin, Action::ManageOwners, true),
        ] {
            (actor.role, actor.scope) = (role, scope);
            assert_eq!(actor.may(action).is_ok(), allowed, "{role:?} {scope:?} {action:?}");
        }
    }
}
