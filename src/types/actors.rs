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
    /// Run services that reach the host itself: privileged, its network, its paths, the engine's socket.
    UseHost,
    /// See people, roles and tokens of others.
    ViewTeam,
    /// Read the audit log.
    Audit,
    /// Invite, change and remove people.
    ManageTeam,
    /// Change settings of the panel; see and mend the machine.
    Administer,
    /// Change what guards the panel: who must have a second factor, how sessions end.
    Secure,
    /// Make somebody an owner, or stop them being one; take a second factor away.
    ManageOwners,
}

impl Action {
    /// The least role and the least token scope.
    pub fn needs(self) -> (Role, Scope) {
        match self {
            Action::View => (Role::Viewer, Scope::Read),
            Action::Deploy => (Role::Developer, Scope::Deploy),
            Action::Configure | Action::RevealSecrets | Action::Terminal | Action::Delete => (Role::Developer, Scope::Write),
            Action::ViewTeam | Action::Audit => (Role::Admin, Scope::Read),
            Action::UseLocalPaths | Action::UseHost | Action::ManageTeam | Action::Administer | Action::Secure => {
                (Role::Admin, Scope::Admin)
            }
            Action::ManageOwners => (Role::Owner, Scope::Admin),
        }
    }

    /// Whether those who have a second factor must have shown it lately: it cannot be taken back, shows secrets, or
    /// decides who gets in.
    pub fn is_dangerous(self) -> bool {
        matches!(
            self,
            Action::RevealSecrets | Action::Terminal | Action::Delete | Action::ManageTeam | Action::Secure | Action::ManageOwners
        )
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

/// How well somebody has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// No more is asked of them.
    Full,
    /// They have a second factor and have not shown it lately: not enough for what is dangerous.
    Stale,
    /// They must have a second factor and have none: enough for setting one up, and nothing else.
    Lacking,
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
    pub assurance: Assurance,
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
            assurance: Assurance::Full,
            address: None,
        }
    }
    /// Fails with `Forbidden` unless role and scope suffice, then with `Unenrolled` or `Unconfirmed` where a second
    /// factor is asked for. That the thing is in the actor's organization is
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
        match self.assurance {
            Assurance::Lacking => Err(Error::Unenrolled),
            Assurance::Stale if action.is_dangerous() => Err(Error::Unconfirmed),
            Assurance::Full | Assurance::Stale => Ok(()),
        }
    }
    /// For what is dangerous and open to every role, such as making a token that acts for oneself.
    pub fn is_certain(&self) -> Result<()> {
        match self.assurance {
            Assurance::Full => Ok(()),
            Assurance::Stale => Err(Error::Unconfirmed),
            Assurance::Lacking => Err(Error::Unenrolled),
        }
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

    #[test]
    fn a_second_factor_is_asked_for_after_the_role() {
        let mut actor = Actor::system(World::system().id());
        let answer = |actor: &Actor, action| match actor.may(action) {
            Ok(()) => "yes",
            Err(Error::Unconfirmed) => "confirm",
            Err(Error::Unenrolled) => "enrol",
            Err(_) => "no",
        };
        for (assurance, role, action, expected) in [
            (Assurance::Full, Role::Owner, Action::ManageOwners, "yes"),
            (Assurance::Stale, Role::Owner, Action::View, "yes"),
            (Assurance::Stale, Role::Owner, Action::Deploy, "yes"),
            (Assurance::Stale, Role::Owner, Action::Administer, "yes"),
            (Assurance::Stale, Role::Owner, Action::Terminal, "confirm"),
            (Assurance::Stale, Role::Owner, Action::RevealSecrets, "confirm"),
            (Assurance::Stale, Role::Owner, Action::Delete, "confirm"),
            (Assurance::Stale, Role::Owner, Action::ManageTeam, "confirm"),
            (Assurance::Stale, Role::Owner, Action::Secure, "confirm"),
            (Assurance::Stale, Role::Viewer, Action::Terminal, "no"),
            (Assurance::Lacking, Role::Owner, Action::View, "enrol"),
            (Assurance::Lacking, Role::Viewer, Action::Deploy, "no"),
        ] {
            (actor.assurance, actor.role) = (assurance, role);
            assert_eq!(answer(&actor, action), expected, "{assurance:?} {role:?} {action:?}");
        }
        actor.assurance = Assurance::Stale;
        assert!(matches!(actor.is_certain(), Err(Error::Unconfirmed)));
    }
}
