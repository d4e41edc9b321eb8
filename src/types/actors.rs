//! Who acts, and what they may do. Every service method begins by asking.

use crate::{Error, Family, OrganizationId, Result, Role, Scope, Scopes, Site, Spot, TokenId, UserId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// What somebody wants to do, and so also a right. The least role and the scope for each is in [`Action::needs`], the one
/// table of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// See projects, apps, deployments, logs, metrics, certificates.
    View,
    /// Deploy, roll back, cancel, start, stop, restart.
    Deploy,
    /// Create and change apps, domains, variables, projects.
    Configure,
    /// Read the values of variables marked secret.
    #[serde(rename = "secrets")]
    RevealSecrets,
    /// Open a terminal in a container.
    Terminal,
    /// Delete apps, projects, volumes; empty the trash.
    Delete,
    /// Make apps from a path on the panel's machine.
    UseLocalPaths,
    /// Run services that reach the host itself: privileged, its network, its paths, the engine's socket.
    UseHost,
    /// See the panel's own machines, and how they fare.
    ViewServers,
    /// See people, roles and tokens of others.
    ViewTeam,
    /// Read the audit log.
    Audit,
    /// Invite, change and remove people; roles, teams and service accounts.
    ManageTeam,
    /// Change what is the organization's as a whole: DNS providers, catalogs.
    Administer,
    /// Change settings of the panel; see and mend the machine.
    Operate,
    /// Change what guards the panel: who must have a second factor, how sessions end.
    Secure,
    /// Make somebody an owner, or stop them being one; take a second factor away.
    ManageOwners,
    /// Make organizations.
    ManageOrganizations,
}

impl Action {
    pub const ALL: [Action; 17] = [
        Action::View,
        Action::Deploy,
        Action::Configure,
        Action::RevealSecrets,
        Action::Terminal,
        Action::Delete,
        Action::UseLocalPaths,
        Action::UseHost,
        Action::ViewServers,
        Action::ViewTeam,
        Action::Audit,
        Action::ManageTeam,
        Action::Administer,
        Action::Operate,
        Action::Secure,
        Action::ManageOwners,
        Action::ManageOrganizations,
    ];

    /// The least role, and the scope that a token must have.
    pub fn needs(self) -> (Role, Scope) {
        match self {
            Action::View | Action::ViewServers => (Role::Viewer, Scope::Read),
            Action::Deploy => (Role::Developer, Scope::Deploy),
            Action::Configure | Action::Delete => (Role::Developer, Scope::Write),
            Action::RevealSecrets => (Role::Developer, Scope::Secrets),
            Action::Terminal => (Role::Developer, Scope::Terminal),
            Action::ViewTeam | Action::Audit => (Role::Admin, Scope::Read),
            Action::UseLocalPaths | Action::UseHost | Action::ManageTeam | Action::Administer | Action::Operate | Action::Secure => {
                (Role::Admin, Scope::Admin)
            }
            Action::ManageOwners | Action::ManageOrganizations => (Role::Owner, Scope::Admin),
        }
    }

    /// Whether people must have shown their second factor lately, or their password where they have no more: it cannot be
    /// taken back, shows secrets, or decides who gets in.
    pub fn is_dangerous(self) -> bool {
        matches!(
            self,
            Action::RevealSecrets
                | Action::Terminal
                | Action::Delete
                | Action::ManageTeam
                | Action::Secure
                | Action::ManageOwners
                | Action::ManageOrganizations
        )
    }

    /// Whether it is done to something that lies somewhere, so that it can be allowed in one project, environment or app.
    pub fn is_placed(self) -> bool {
        matches!(
            self,
            Action::View | Action::Deploy | Action::Configure | Action::RevealSecrets | Action::Terminal | Action::Delete
        )
    }

    /// Whether it reaches what all organizations share: the panel and its machines. Only the first organization, which
    /// claimed the panel, may.
    pub fn is_the_panels(self) -> bool {
        matches!(
            self,
            Action::UseLocalPaths | Action::UseHost | Action::ViewServers | Action::Operate | Action::Secure | Action::ManageOrganizations
        )
    }

    /// Whether a role that people make may have it.
    pub fn is_grantable(self) -> bool {
        !matches!(self, Action::ManageOwners | Action::ManageOrganizations)
    }
}

/// How well somebody has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// No more is asked of them.
    Full,
    /// They have a second factor, or only a password, and have not shown it lately: not enough for what is dangerous.
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

/// Rights that somebody has beside their role, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub rights: BTreeSet<Action>,
    pub spot: Spot,
}

/// Somebody who acts in an organization with a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub who: Who,
    pub organization: OrganizationId,
    pub role: Role,
    /// What was granted to them and to their teams.
    pub held: Vec<Held>,
    /// The token's; all for people and the machine.
    pub scopes: Scopes,
    /// The kind of the things that are asked for, so that scopes of that kind count; `None`: only those for all kinds do.
    pub about: Option<Family>,
    /// Where the token is of use; `None`: everywhere, as for people and the machine.
    pub spots: Option<Vec<Spot>>,
    /// The organization is the one that claimed the panel.
    pub hosts: bool,
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
            held: Vec::new(),
            scopes: Scopes::all(),
            about: None,
            spots: None,
            hosts: true,
            assurance: Assurance::Full,
            address: None,
        }
    }
    /// The same, asking for things of another kind: for what an operation does beside its own.
    #[must_use]
    pub fn touching(&self, family: Family) -> Actor {
        Actor {
            about: Some(family),
            ..self.clone()
        }
    }
    /// Fails with `Forbidden` for a token that is bound to kinds and has not this scope for that kind. Others are asked as ever.
    pub fn spans(&self, scope: Scope, family: Family) -> Result<()> {
        if !self.scopes.is_bound() || self.scopes.has(scope, Some(family)) {
            return Ok(());
        }
        Err(Error::Forbidden {
            needs: format!("a token with the scope {scope} of {family}"),
        })
    }
    /// Whether they may do it in the whole organization. Fails with `Forbidden` unless role or grants, and the token,
    /// suffice, then with `Unenrolled` or `Unconfirmed` where more must be shown. That the thing is in the
    /// actor's organization is asked where it is loaded: a thing of another organization is `NotFound`, not `Forbidden`.
    pub fn may(&self, action: Action) -> Result<()> {
        self.may_in(action, &Site::organization())
    }
    /// The same in one place: a right for the whole counts in all of its parts.
    pub fn may_in(&self, action: Action, place: &Site) -> Result<()> {
        self.permitted(action, Some(place))?;
        self.assured(action)
    }
    /// Whether there is some place where they may: asked before looking for a thing, so that who may nowhere learns
    /// nothing of what is there.
    pub fn may_somewhere(&self, action: Action) -> Result<()> {
        self.permitted(action, None)?;
        self.assured(action)
    }
    /// The same as [`Actor::may_in`] without asking for a second factor: for what lists show.
    pub fn is_permitted(&self, action: Action, place: &Site) -> bool {
        self.permitted(action, Some(place)).is_ok()
    }
    /// Whether it holds for the whole organization, so that no place needs to be looked at.
    pub fn sees_all(&self) -> bool {
        self.is_permitted(Action::View, &Site::organization())
    }
    /// The rights that they have somewhere, for what they are shown.
    pub fn rights(&self) -> Vec<Action> {
        Action::ALL
            .into_iter()
            .filter(|action| self.permitted(*action, None).is_ok())
            .collect()
    }
    /// Whether they have all rights that this role has in the place; for giving the role to others.
    pub fn covers(&self, role: Role) -> bool {
        let rights = Action::ALL.into_iter().filter(|action| action.needs().0 <= role);
        rights
            .filter(|action| self.hosts || !action.is_the_panels())
            .all(|action| self.is_permitted(action, &Site::organization()))
    }

    fn permitted(&self, action: Action, place: Option<&Site>) -> Result<()> {
        let (role, scope) = action.needs();
        let lacks = |needs: String| Err(Error::Forbidden { needs });
        let at = |spot: &Spot| match place {
            _ if !action.is_placed() => *spot == Spot::Organization,
            Some(place) => spot.covers(place),
            None => true,
        };
        let is_held = |held: &Held| action.is_grantable() && held.rights.contains(&action) && at(&held.spot);
        if self.role < role && !self.held.iter().any(is_held) {
            return lacks(format!("the role {}, or another with the right {}", word(role), action.word()));
        }
        if action.is_the_panels() && !self.hosts {
            return lacks("the organization that runs this panel".into());
        }
        if !self.scopes.has(scope, self.about) {
            return lacks(self.lacking(scope));
        }
        match &self.spots {
            Some(spots) if !spots.iter().any(at) => lacks("a token that reaches further".into()),
            _ => Ok(()),
        }
    }

    fn assured(&self, action: Action) -> Result<()> {
        match self.assurance {
            Assurance::Lacking => Err(Error::Unenrolled),
            Assurance::Stale if action.is_dangerous() => Err(Error::Unconfirmed),
            Assurance::Full | Assurance::Stale => Ok(()),
        }
    }
    /// Fails with `Forbidden` for a token without the scope; for what everybody may do to their own account.
    pub fn reaches(&self, scope: Scope) -> Result<()> {
        if self.scopes.has(scope, self.about) && self.spots.is_none() {
            return Ok(());
        }
        let needs = match self.spots {
            None => self.lacking(scope),
            Some(_) => "a token that is not bound to some places".into(),
        };
        Err(Error::Forbidden { needs })
    }
    /// Fails with `Forbidden` for a token that is for nothing of the kind that is asked for: who may do anything sees it.
    pub fn sees_kind(&self) -> Result<()> {
        match self.scopes.has(Scope::Read, self.about) {
            true => Ok(()),
            false => Err(Error::Forbidden {
                needs: self.lacking(Scope::Read),
            }),
        }
    }
    /// The words for a token that does not have it.
    fn lacking(&self, scope: Scope) -> String {
        match (self.scopes.is_bound(), self.about) {
            (false, _) => format!("a token with the scope {scope}"),
            (true, Some(family)) => format!("a token with the scope {scope} of {family}"),
            (true, None) => format!("a token with the scope {scope} of all kinds"),
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

impl Action {
    /// As the API says it.
    pub fn word(self) -> String {
        let value = serde_json::to_value(self).ok();
        let text = value.as_ref().and_then(|value| value.as_str());
        text.unwrap_or_default().to_owned()
    }
}

fn word(value: impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppId, BoundScope, EnvironmentId, ProjectId, World};

    #[test]
    fn rights_grow_with_role_and_scope() {
        let mut actor = Actor::system(World::system().id());
        for (role, scope, action, allowed) in [
            (Role::Member, Scope::Admin, Action::View, false),
            (Role::Viewer, Scope::Admin, Action::View, true),
            (Role::Viewer, Scope::Admin, Action::Deploy, false),
            (Role::Developer, Scope::Admin, Action::Delete, true),
            (Role::Developer, Scope::Read, Action::Deploy, false),
            (Role::Developer, Scope::Deploy, Action::Deploy, true),
            (Role::Developer, Scope::Secrets, Action::RevealSecrets, true),
            (Role::Developer, Scope::Secrets, Action::Deploy, false),
            (Role::Developer, Scope::Terminal, Action::Configure, false),
            (Role::Developer, Scope::Write, Action::Terminal, true),
            (Role::Developer, Scope::Admin, Action::UseLocalPaths, false),
            (Role::Admin, Scope::Admin, Action::ManageOwners, false),
            (Role::Owner, Scope::Admin, Action::ManageOwners, true),
        ] {
            (actor.role, actor.scopes) = (role, Scopes::up_to(scope));
            assert_eq!(actor.may(action).is_ok(), allowed, "{role:?} {scope:?} {action:?}");
        }
    }

    #[test]
    fn scopes_of_a_kind_count_for_that_kind() {
        let mut actor = Actor::system(World::system().id());
        let bound = |family, scope| BoundScope { of: Some(family), scope };
        actor.scopes = Scopes::of([bound(Family::Apps, Scope::Deploy), bound(Family::Jobs, Scope::Read)]);
        let answer = |actor: &Actor, action| actor.may(action).map_err(|error| error.to_string());
        for (about, action, lacks) in [
            (Some(Family::Apps), Action::View, ""),
            (Some(Family::Apps), Action::Deploy, ""),
            (Some(Family::Apps), Action::Configure, "the scope write of apps"),
            (Some(Family::Jobs), Action::View, ""),
            (Some(Family::Jobs), Action::Deploy, "the scope deploy of jobs"),
            (Some(Family::Domains), Action::View, "the scope read of domains"),
            (None, Action::View, "the scope read of all kinds"),
            (None, Action::Operate, "the scope admin of all kinds"),
        ] {
            actor.about = about;
            match answer(&actor, action) {
                Ok(()) => assert_eq!(lacks, "", "{about:?} {action:?}"),
                Err(why) => assert!(!lacks.is_empty() && why.contains(lacks), "{about:?} {action:?}: {why}"),
            }
        }
        assert!(answer(&actor.touching(Family::Apps), Action::Deploy).is_ok());
        assert!(actor.spans(Scope::Read, Family::Jobs).is_ok() && actor.spans(Scope::Write, Family::Jobs).is_err());
        actor.scopes = Scopes::of([Scope::Deploy]);
        assert!(
            actor.spans(Scope::Write, Family::Jobs).is_ok(),
            "who is not bound to kinds is asked as ever"
        );
        assert!(answer(&actor, Action::Configure).is_err_and(|why| why.ends_with("the scope write")));
    }

    #[test]
    fn grants_hold_where_they_were_given() {
        let world = World::system();
        let (project, environment, app): (ProjectId, EnvironmentId, AppId) = (world.id(), world.id(), world.id());
        let here = Site::app(project.clone(), environment.clone(), app.clone());
        let beside = Site::app(project.clone(), environment.clone(), world.id());
        let mut actor = Actor::system(world.id());
        actor.role = Role::Member;
        for (spot, in_app, in_next, in_project, in_all) in [
            (Spot::App(app.clone()), true, false, false, false),
            (Spot::Environment(environment.clone()), true, true, false, false),
            (Spot::Project(project.clone()), true, true, true, false),
            (Spot::Organization, true, true, true, true),
            (Spot::Project(world.id()), false, false, false, false),
        ] {
            actor.held = vec![Held {
                rights: [Action::View, Action::Deploy, Action::ManageTeam, Action::ManageOwners].into(),
                spot: spot.clone(),
            }];
            let may = |action, place: &Site| actor.may_in(action, place).is_ok();
            assert_eq!(may(Action::Deploy, &here), in_app, "{spot:?}");
            assert_eq!(may(Action::Deploy, &beside), in_next, "{spot:?}");
            assert_eq!(may(Action::View, &Site::project(project.clone())), in_project, "{spot:?}");
            assert_eq!(actor.may(Action::View).is_ok(), in_all, "{spot:?}");
            assert_eq!(
                actor.may(Action::ManageTeam).is_ok(),
                in_all,
                "an administrative right is for the whole: {spot:?}"
            );
            assert!(!may(Action::Terminal, &here) && actor.may(Action::ManageOwners).is_err());
            assert!(actor.may_somewhere(Action::Deploy).is_ok() && actor.may_somewhere(Action::Terminal).is_err());
        }
        // A token bounds what its person may, and gives nothing.
        actor.role = Role::Owner;
        actor.spots = Some(vec![Spot::App(app)]);
        assert!(actor.may_in(Action::Terminal, &here).is_ok() && actor.may_in(Action::View, &beside).is_err());
        assert!(actor.may(Action::View).is_err() && actor.may(Action::ManageTeam).is_err() && !actor.sees_all());
        actor.role = Role::Member;
        actor.held.clear();
        assert!(actor.may_in(Action::View, &here).is_err());
    }

    #[test]
    fn only_the_panels_organization_runs_the_panel() {
        let mut actor = Actor::system(World::system().id());
        actor.hosts = false;
        for action in Action::ALL {
            assert_eq!(actor.may(action).is_ok(), !action.is_the_panels(), "{action:?}");
        }
        assert!(actor.covers(Role::Owner), "who runs an organization may give its roles");
        actor.role = Role::Developer;
        assert!(actor.covers(Role::Developer) && actor.covers(Role::Member) && !actor.covers(Role::Admin));
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
