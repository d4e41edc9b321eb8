//! Roles that people make, teams, and who is granted what where.

#[cfg(test)]
mod tests;

use crate::{
    access::{Access, check_name},
    sight::Placed,
};
use std::{collections::BTreeSet, sync::Arc};
use store::{Batch, Store, Stored};
use types::{
    Action, Actor, CustomRole, Environment, Error, Fact, Given, Grant, GrantedRole, Grantee, Kind, Project, Result, Role, Site, Spot, Team,
    User, UserId,
};

const NAME: usize = 60;
const WORDS: usize = 300;
/// Of each kind in one organization.
const MOST: usize = 500;

/// Makes, lists and removes roles, teams and grants.
#[derive(Clone)]
pub struct Rights {
    access: Arc<Access>,
}

#[derive(Debug, Clone)]
pub struct RoleView {
    pub role: CustomRole,
    /// How often it is granted.
    pub grants: usize,
}

/// What to change about a role; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct RoleChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub rights: Option<BTreeSet<Action>>,
}

#[derive(Debug, Clone)]
pub struct TeamView {
    pub team: Team,
    pub members: Vec<User>,
}

/// What to change about a team; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct TeamChange {
    pub name: Option<String>,
    /// Ids of people and service accounts: these, and no others.
    pub members: Option<Vec<String>>,
}

/// A grant to make.
#[derive(Debug, Clone)]
pub struct GrantWish {
    /// `viewer`, `developer`, `admin`, or the id or name of a role.
    pub role: String,
    /// `user:` with id or mail address, or `team:` with id or name.
    pub to: String,
    /// As [`find_spot`] reads it.
    pub place: String,
}

/// A grant in words.
#[derive(Debug, Clone)]
pub struct GrantView {
    pub grant: Grant,
    pub role: String,
    pub to: String,
    /// As it is written, and in words.
    pub place: (String, String),
}

impl Rights {
    pub(crate) fn new(access: Arc<Access>) -> Rights {
        Rights { access }
    }

    /// By name.
    pub fn roles(&self, actor: &Actor) -> Result<Vec<RoleView>> {
        actor.may(Action::ViewTeam)?;
        let grants = self.access.store.grants.list()?;
        let mut views = Vec::new();
        for role in self.access.store.roles.list()? {
            if role.organization == actor.organization {
                let is_its = |grant: &&Stored<Grant>| grant.role == GrantedRole::Custom(role.id.clone());
                views.push(RoleView {
                    grants: grants.iter().filter(is_its).count(),
                    role: role.value,
                });
            }
        }
        views.sort_by(|a, b| a.role.name.cmp(&b.role.name));
        Ok(views)
    }

    /// Nobody makes a role that may more than they may.
    pub async fn create_role(&self, actor: &Actor, name: &str, description: &str, rights: BTreeSet<Action>) -> Result<RoleView> {
        actor.may(Action::ManageTeam)?;
        let role = CustomRole {
            id: self.access.world.id(),
            organization: actor.organization.clone(),
            name: check_role_name(name)?,
            description: check_words(description)?,
            rights: check_rights(actor, rights, &Site::organization())?,
            created_at: self.access.world.now(),
        };
        let store = &self.access.store;
        if store
            .roles
            .list()?
            .iter()
            .filter(|other| other.organization == role.organization)
            .count()
            >= MOST
        {
            return Err(Error::busy(format!("there are {MOST} roles already")));
        }
        let role = store.roles.insert(role).await?.value;
        self.tell_role(actor, &role.name, "made").await;
        Ok(RoleView { role, grants: 0 })
    }

    /// Everybody who has the role has the new rights at once.
    pub async fn update_role(&self, actor: &Actor, called: &str, change: RoleChange) -> Result<RoleView> {
        actor.may(Action::ManageTeam)?;
        let mut stored = self.find_role(actor, called)?;
        let before = stored.value.clone();
        // Who changes a role could else take away what they do not have themselves.
        check_rights(actor, before.rights.clone(), &Site::organization())?;
        if let Some(name) = &change.name {
            stored.name = check_role_name(name)?;
        }
        if let Some(description) = &change.description {
            stored.description = check_words(description)?;
        }
        if let Some(rights) = change.rights {
            stored.rights = check_rights(actor, rights, &Site::organization())?;
        }
        if stored.value != before {
            stored = self.access.store.roles.save(stored).await?;
            self.tell_role(actor, &stored.name, "changed").await;
        }
        let views = self.roles(actor)?;
        let found = views.into_iter().find(|view| view.role.id == stored.id);
        found.ok_or_else(|| Error::not_found(Kind::Role, called))
    }

    /// Fails with `Busy` while somebody has it.
    pub async fn remove_role(&self, actor: &Actor, called: &str) -> Result<()> {
        actor.may(Action::ManageTeam)?;
        let _team = self.access.team.lock().await;
        let stored = self.find_role(actor, called)?;
        check_rights(actor, stored.rights.clone(), &Site::organization())?;
        let store = &self.access.store;
        let role = GrantedRole::Custom(stored.id.clone());
        if store.grants.list()?.iter().any(|grant| grant.role == role) {
            return Err(Error::busy(format!(
                "the role {} is granted; take the grants away first",
                stored.name
            )));
        }
        store.roles.remove(stored.id.as_str()).await?;
        self.tell_role(actor, &stored.name, "removed").await;
        Ok(())
    }

    /// By name.
    pub fn teams(&self, actor: &Actor) -> Result<Vec<TeamView>> {
        actor.may(Action::ViewTeam)?;
        let mut views = Vec::new();
        for team in self.access.store.teams.list()? {
            if team.organization == actor.organization {
                views.push(self.team_view(team.value)?);
            }
        }
        views.sort_by(|a, b| a.team.name.cmp(&b.team.name));
        Ok(views)
    }

    pub async fn create_team(&self, actor: &Actor, name: &str, members: Vec<String>) -> Result<TeamView> {
        actor.may(Action::ManageTeam)?;
        let _team = self.access.team.lock().await;
        let store = &self.access.store;
        let team = Team {
            id: self.access.world.id(),
            organization: actor.organization.clone(),
            name: check_name("name", name, NAME)?,
            members: self.members(actor, &members)?,
            created_at: self.access.world.now(),
        };
        if store
            .teams
            .list()?
            .iter()
            .filter(|other| other.organization == team.organization)
            .count()
            >= MOST
        {
            return Err(Error::busy(format!("there are {MOST} teams already")));
        }
        let team = store.teams.insert(team).await?.value;
        self.tell_team(actor, &team.name, "made").await;
        self.team_view(team)
    }

    /// Nobody lets somebody into a team that may more than they may themselves.
    pub async fn update_team(&self, actor: &Actor, called: &str, change: TeamChange) -> Result<TeamView> {
        actor.may(Action::ManageTeam)?;
        let _team = self.access.team.lock().await;
        let mut stored = self.find_team(actor, called)?;
        self.check_team(actor, &stored)?;
        let before = stored.value.clone();
        if let Some(name) = &change.name {
            stored.name = check_name("name", name, NAME)?;
        }
        if let Some(members) = &change.members {
            stored.members = self.members(actor, members)?;
        }
        if stored.value != before {
            stored = self.access.store.teams.save(stored).await?;
            self.tell_team(actor, &stored.name, "changed").await;
        }
        self.team_view(stored.value)
    }

    /// With what was granted to it.
    pub async fn remove_team(&self, actor: &Actor, called: &str) -> Result<()> {
        actor.may(Action::ManageTeam)?;
        let _team = self.access.team.lock().await;
        let stored = self.find_team(actor, called)?;
        self.check_team(actor, &stored)?;
        let store = &self.access.store;
        let mut batch = Batch::new().remove(&stored);
        for grant in store.grants.list()? {
            if grant.to == Grantee::Team(stored.id.clone()) {
                batch = batch.remove(&grant);
            }
        }
        store.commit(batch).await?;
        self.tell_team(actor, &stored.name, "removed").await;
        Ok(())
    }

    /// Oldest first.
    pub fn grants(&self, actor: &Actor) -> Result<Vec<GrantView>> {
        actor.may(Action::ViewTeam)?;
        let grants = self.access.store.grants.list()?.into_iter().map(|stored| stored.value);
        let own = grants.filter(|grant| grant.organization == actor.organization);
        own.map(|grant| self.grant_view(grant)).collect()
    }

    /// Gives a role to somebody in some place. Nobody gives what they do not have there. Fails with `Taken` when they have
    /// it already.
    pub async fn grant(&self, actor: &Actor, wish: GrantWish) -> Result<GrantView> {
        actor.may(Action::ManageTeam)?;
        let _team = self.access.team.lock().await;
        let store = &self.access.store;
        let role = self.read_role(actor, &wish.role)?;
        let to = self.read_grantee(actor, &wish.to)?;
        let spot = find_spot(store, actor, &wish.place)?;
        check_rights(actor, self.grantable(&role, &spot)?, &site_of(store, &spot)?)?;
        if store
            .grants
            .list()?
            .iter()
            .filter(|grant| grant.organization == actor.organization)
            .count()
            >= 4 * MOST
        {
            return Err(Error::busy(format!("there are {} grants already", 4 * MOST)));
        }
        let grant = Grant {
            id: self.access.world.id(),
            organization: actor.organization.clone(),
            role,
            to,
            spot,
            created_at: self.access.world.now(),
        };
        let mut view = self.grant_view(grant)?;
        view.grant = match store.grants.insert(view.grant).await {
            Ok(stored) => stored.value,
            Err(Error::Taken { .. }) => {
                return Err(Error::Taken {
                    kind: Kind::Grant,
                    name: format!("{} in {}", view.role, view.place.1),
                    by: Some(view.to),
                });
            }
            Err(error) => return Err(error),
        };
        let fact = Fact::RightsGranted {
            to: view.to.clone(),
            role: view.role.clone(),
            place: view.place.1.clone(),
        };
        self.access.events.emit(actor, fact).await;
        Ok(view)
    }

    pub async fn take(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::ManageTeam)?;
        let store = &self.access.store;
        let found = store.grants.find(id)?.filter(|grant| grant.organization == actor.organization);
        let found = found.ok_or_else(|| Error::not_found(Kind::Grant, id))?.value;
        let site = site_of(store, &found.spot).unwrap_or_default();
        check_rights(actor, self.grantable(&found.role, &found.spot)?, &site)?;
        let view = self.grant_view(found)?;
        store.grants.remove(id).await?;
        let fact = Fact::RightsTaken {
            to: view.to,
            role: view.role,
            place: view.place.1,
        };
        self.access.events.emit(actor, fact).await;
        Ok(())
    }

    /// What of a role holds in a place: administrative rights hold only for the whole.
    fn grantable(&self, role: &GrantedRole, spot: &Spot) -> Result<BTreeSet<Action>> {
        let mut rights = self.access.rights_of(role)?;
        rights.retain(|right| right.is_grantable() && (right.is_placed() || *spot == Spot::Organization));
        Ok(rights)
    }

    /// A role and a place as they are written, for a rule that gives them. Nobody writes one that gives what they do not have there.
    pub(crate) fn read_given(&self, actor: &Actor, role: &str, place: &str) -> Result<Given> {
        let store = &self.access.store;
        let role = self.read_role(actor, role)?;
        let spot = find_spot(store, actor, place)?;
        check_rights(actor, self.grantable(&role, &spot)?, &site_of(store, &spot)?)?;
        Ok(Given { role, spot })
    }

    fn read_role(&self, actor: &Actor, text: &str) -> Result<GrantedRole> {
        Ok(match text {
            "viewer" => GrantedRole::BuiltIn(Role::Viewer),
            "developer" => GrantedRole::BuiltIn(Role::Developer),
            "admin" => GrantedRole::BuiltIn(Role::Admin),
            "owner" => return Err(Error::invalid("role", "an owner owns the whole; change the person's role instead")),
            called => GrantedRole::Custom(self.find_role(actor, called)?.id.clone()),
        })
    }

    fn read_grantee(&self, actor: &Actor, text: &str) -> Result<Grantee> {
        match text.split_once(':') {
            Some(("user", called)) => Ok(Grantee::User(self.find_user(actor, called)?)),
            Some(("team", called)) => {
                let team = self.find_team(actor, called)?;
                Ok(Grantee::Team(team.id.clone()))
            }
            _ => Err(Error::invalid(
                "to",
                "must be `user:` with a mail address or id, or `team:` with a name or id",
            )),
        }
    }

    fn find_user(&self, actor: &Actor, called: &str) -> Result<UserId> {
        let by_email = match called.parse::<types::Email>() {
            Ok(email) => self.access.store.users.claimed(email.as_str())?.map(|user| user.id.to_string()),
            Err(_) => None,
        };
        // Who is in another organization is not there.
        let missing = |_| Error::not_found(Kind::User, called);
        let id = by_email.unwrap_or_else(|| called.to_owned());
        Ok(self.access.member(&actor.organization, &id).map_err(missing)?.id.clone())
    }

    fn find_role(&self, actor: &Actor, called: &str) -> Result<Stored<CustomRole>> {
        let roles = &self.access.store.roles;
        let found = match roles.claimed(&format!("{}/{called}", actor.organization))? {
            Some(found) => Some(found),
            None => roles.find(called)?.filter(|role| role.organization == actor.organization),
        };
        found.ok_or_else(|| Error::not_found(Kind::Role, called))
    }

    fn find_team(&self, actor: &Actor, called: &str) -> Result<Stored<Team>> {
        let teams = &self.access.store.teams;
        let found = match teams.claimed(&format!("{}/{called}", actor.organization))? {
            Some(found) => Some(found),
            None => teams.find(called)?.filter(|team| team.organization == actor.organization),
        };
        found.ok_or_else(|| Error::not_found(Kind::Team, called))
    }

    fn members(&self, actor: &Actor, called: &[String]) -> Result<BTreeSet<UserId>> {
        if called.len() > MOST {
            return Err(Error::invalid("members", format!("must be at most {MOST}")));
        }
        called.iter().map(|called| self.find_user(actor, called)).collect()
    }

    /// Fails with `Forbidden` unless the actor may all that the team may.
    fn check_team(&self, actor: &Actor, team: &Team) -> Result<()> {
        let store = &self.access.store;
        for grant in store.grants.list()? {
            if grant.to == Grantee::Team(team.id.clone()) {
                let site = site_of(store, &grant.spot).unwrap_or_default();
                check_rights(actor, self.grantable(&grant.role, &grant.spot)?, &site)?;
            }
        }
        Ok(())
    }

    fn team_view(&self, team: Team) -> Result<TeamView> {
        let mut members = Vec::new();
        for id in &team.members {
            members.extend(self.access.store.users.find(id.as_str())?.map(|user| user.value));
        }
        Ok(TeamView { team, members })
    }

    fn grant_view(&self, grant: Grant) -> Result<GrantView> {
        let store = &self.access.store;
        let gone = || "(gone)".to_owned();
        let role = match &grant.role {
            GrantedRole::BuiltIn(role) => format!("{role:?}").to_lowercase(),
            GrantedRole::Custom(id) => store.roles.find(id.as_str())?.map_or_else(gone, |role| role.value.name),
        };
        let to = match &grant.to {
            Grantee::User(id) => store.users.find(id.as_str())?.map_or_else(gone, |user| user.email.to_string()),
            Grantee::Team(id) => match store.teams.find(id.as_str())? {
                Some(team) => format!("team {}", team.name),
                None => gone(),
            },
        };
        let place = spot_words(store, &grant.spot)?;
        Ok(GrantView { grant, role, to, place })
    }

    async fn tell_role(&self, actor: &Actor, name: &str, what: &str) {
        let (name, what) = (name.to_owned(), what.to_owned());
        self.access.events.emit(actor, Fact::RoleChanged { name, what }).await;
    }

    async fn tell_team(&self, actor: &Actor, name: &str, what: &str) {
        let (name, what) = (name.to_owned(), what.to_owned());
        self.access.events.emit(actor, Fact::TeamChanged { name, what }).await;
    }
}

/// Built-in roles keep their names.
fn check_role_name(name: &str) -> Result<String> {
    let name = check_name("name", name, NAME)?;
    match name.to_lowercase().as_str() {
        "member" | "viewer" | "developer" | "admin" | "owner" => Err(Error::invalid("name", "is a built-in role's")),
        _ => Ok(name),
    }
}

fn check_words(words: &str) -> Result<String> {
    match words.chars().count() <= WORDS && !words.chars().any(char::is_control) {
        true => Ok(words.trim().to_owned()),
        false => Err(Error::invalid(
            "description",
            format!("must be at most {WORDS} characters on one line"),
        )),
    }
}

/// The rights with `View` among them. Fails with `Invalid` for what is never given, with `Forbidden` unless the actor has
/// all of them in this place themselves.
fn check_rights(actor: &Actor, mut rights: BTreeSet<Action>, site: &Site) -> Result<BTreeSet<Action>> {
    rights.insert(Action::View);
    for right in &rights {
        if !right.is_grantable() {
            return Err(Error::invalid("rights", format!("{} is for owners only", right.word())));
        }
        if !actor.is_permitted(*right, site) {
            return Err(Error::Forbidden {
                needs: format!("the right {} itself, to give or take it", right.word()),
            });
        }
    }
    Ok(rights)
}

/// A place that the actor sees: `organization`, `project:NAME`, `environment:PROJECT/NAME` or `app:NAME`; ids in place of
/// names. Fails with `NotFound`.
pub(crate) fn find_spot(store: &Store, actor: &Actor, text: &str) -> Result<Spot> {
    let (level, name) = text.split_once(':').unwrap_or((text, ""));
    match level {
        "organization" if name.is_empty() => Ok(Spot::Organization),
        "project" => Ok(Spot::Project(seen_project(store, actor, name)?.id)),
        "environment" => {
            let wanted = match name.split_once('/') {
                Some((project, name)) => Some((seen_project(store, actor, project)?.id, name)),
                None => None,
            };
            let is_meant = |environment: &Environment| match &wanted {
                Some((project, name)) => environment.project == *project && environment.name.as_str() == *name,
                None => environment.id.as_str() == name,
            };
            let found = seen(store, actor, store.environments.list()?, is_meant)?;
            found
                .map(|environment| Spot::Environment(environment.id))
                .ok_or_else(|| Error::not_found(Kind::Environment, name))
        }
        "app" => {
            let is_meant = |app: &types::App| app.id.as_str() == name || (app.name.as_str() == name && app.trashed_at.is_none());
            let found = seen(store, actor, store.apps.list()?, is_meant)?;
            found.map(|app| Spot::App(app.id)).ok_or_else(|| Error::not_found(Kind::App, name))
        }
        _ => Err(Error::invalid(
            "place",
            "must be `organization`, `project:NAME`, `environment:PROJECT/NAME` or `app:NAME`",
        )),
    }
}

fn seen_project(store: &Store, actor: &Actor, called: &str) -> Result<Project> {
    let is_meant = |project: &Project| project.id.as_str() == called || project.name.as_str() == called;
    seen(store, actor, store.projects.list()?, is_meant)?.ok_or_else(|| Error::not_found(Kind::Project, called))
}

/// The one that is meant and that the actor sees. Fails with `Busy` when there are several.
fn seen<T: Placed>(store: &Store, actor: &Actor, all: Vec<Stored<T>>, is_meant: impl Fn(&T) -> bool) -> Result<Option<T>> {
    let mut found = None;
    for one in all {
        if one.organization() == &actor.organization && is_meant(&one.value) && one.is_seen(store, actor)? {
            if found.is_some() {
                return Err(Error::busy("several have this name; use the id"));
            }
            found = Some(one.value);
        }
    }
    Ok(found)
}

/// Where a spot lies. Fails with `NotFound` when it is gone.
fn site_of(store: &Store, spot: &Spot) -> Result<Site> {
    Ok(match spot {
        Spot::Organization => Site::organization(),
        Spot::Project(id) => Site::project(id.clone()),
        Spot::Environment(id) => store.environments.get(id.as_str())?.value.place(),
        Spot::App(id) => store.apps.get(id.as_str())?.value.place(),
    })
}

/// A place as it is written, with its id, and in words.
pub(crate) fn spot_words(store: &Store, spot: &Spot) -> Result<(String, String)> {
    let gone = "(gone)".to_owned();
    Ok(match spot {
        Spot::Organization => ("organization".into(), "the organization".into()),
        Spot::Project(id) => {
            let found = store.projects.find(id.as_str())?;
            let words = found.map_or(gone, |project| format!("project {}", project.name));
            (format!("project:{id}"), words)
        }
        Spot::Environment(id) => {
            let mut words = gone;
            if let Some(environment) = store.environments.find(id.as_str())? {
                let project = store.projects.find(environment.project.as_str())?;
                let project = project.map_or_else(String::new, |project| format!(" of {}", project.name));
                words = format!("environment {}{project}", environment.name);
            }
            (format!("environment:{id}"), words)
        }
        Spot::App(id) => {
            let found = store.apps.find(id.as_str())?;
            (format!("app:{id}"), found.map_or(gone, |app| format!("app {}", app.name)))
        }
    })
}
