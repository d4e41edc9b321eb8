//! What of its organization somebody sees: where things lie, and whether the rights reach there.

use crate::ground::Ground;
use store::{Store, Stored};
use types::{
    Action, Actor, App, AppId, Catalog, Delivery, Deployment, DnsProvider, Domain, Environment, EnvironmentId, Error, Event,
    ForgeConnection, Freeze, JobRun, Kind, OrganizationId, Project, Registry, Result, Scope, Site, Stream, Volume, Who,
};

/// A record that lies somewhere in an organization.
pub(crate) trait Placed {
    fn organization(&self) -> &OrganizationId;
    /// `None`: it lies in something that is gone.
    fn place(&self, store: &Store) -> Result<Option<Site>>;
    /// Whether somebody of its organization sees it.
    fn is_seen(&self, store: &Store, actor: &Actor) -> Result<bool> {
        Ok(self.place(store)?.is_some_and(|place| actor.is_permitted(Action::View, &place)))
    }
}

/// Those of the actor's organization that they see.
pub(crate) fn of<T: Placed>(ground: &Ground, actor: &Actor, all: Vec<Stored<T>>) -> Result<Vec<T>> {
    let sees_all = actor.sees_all();
    let mut seen = Vec::new();
    for stored in all {
        if stored.organization() == &actor.organization && (sees_all || stored.is_seen(&ground.store, actor)?) {
            seen.push(stored.value);
        }
    }
    Ok(seen)
}

/// The record, if the actor sees it and may do this to it. Fails with `Forbidden` when they may nowhere, with `NotFound`
/// when they do not see it, as if it were not there, then with `Forbidden` when they may not here.
pub(crate) fn owned<T: Placed>(
    ground: &Ground,
    actor: &Actor,
    action: Action,
    found: Option<Stored<T>>,
    kind: Kind,
    name: &str,
) -> Result<T> {
    actor.may_somewhere(action)?;
    let missing = || Error::not_found(kind, name);
    let found = found.map(|stored| stored.value).ok_or_else(missing)?;
    if found.organization() != &actor.organization || !(actor.sees_all() || found.is_seen(&ground.store, actor)?) {
        return Err(missing());
    }
    if action != Action::View {
        actor.may_in(action, &found.place(&ground.store)?.ok_or_else(missing)?)?;
    }
    Ok(found)
}

/// What the actor may do to what lies there, of what can be given in one place: for what is shown. A second factor may still be asked
/// for.
pub(crate) fn rights_at(actor: &Actor, place: &Site) -> Vec<Action> {
    let placed = Action::ALL.into_iter().filter(|action| action.is_placed());
    placed.filter(|action| actor.is_permitted(*action, place)).collect()
}

/// What the actor may do everywhere in the organization, and to what is of the whole.
pub fn rights_everywhere(actor: &Actor) -> Vec<Action> {
    let whole = Site::organization();
    Action::ALL
        .into_iter()
        .filter(|action| actor.is_permitted(*action, &whole))
        .collect()
}

/// Whether somebody learns of an event.
pub(crate) fn sees_event(store: &Store, actor: &Actor, event: &Event) -> Result<bool> {
    if event.organization != actor.organization {
        return Ok(false);
    }
    // A token that is bound to kinds of things learns of those.
    if !actor.scopes.has(Scope::Read, Some(event.fact.family())) {
        return Ok(false);
    }
    if event.fact.is_about_people() {
        // Who is there, and from where they failed to come in, is for those who see the team, and for each of themselves.
        return Ok(actor.is_permitted(Action::ViewTeam, &Site::organization()) || is_own(actor, event));
    }
    if actor.sees_all() {
        return Ok(true);
    }
    if let Some(app) = event.fact.app() {
        return Ok(place_of_app(store, app)?.is_some_and(|place| actor.is_permitted(Action::View, &place)));
    }
    let Some(project) = event.fact.project() else { return Ok(false) };
    let Some(project) = store.projects.find(project.as_str())? else {
        return Ok(false);
    };
    match event.fact {
        // What a project may have and has is for those who see it whole, as in the list of quotas.
        types::Fact::QuotaChanged { .. } | types::Fact::QuotaReached { .. } => {
            Ok(actor.is_permitted(Action::View, &Project::place(&project)))
        }
        _ => project.is_seen(store, actor),
    }
}

/// Whether it is of the one who asks, by whatever they came.
fn is_own(actor: &Actor, event: &Event) -> bool {
    let by = match &event.by {
        Who::User { id, .. } => Some(id),
        Who::Token { user, .. } => Some(user),
        Who::Machine { .. } | Who::System => None,
    };
    let own = actor.user().filter(|_| actor.spots.is_none());
    own.is_some() && (by == own || event.fact.user() == own)
}

fn place_of_app(store: &Store, app: &AppId) -> Result<Option<Site>> {
    Ok(store.apps.find(app.as_str())?.map(|app| app.place()))
}

fn place_of_environment(store: &Store, environment: &EnvironmentId) -> Result<Option<Site>> {
    Ok(store
        .environments
        .find(environment.as_str())?
        .map(|environment| environment.value.place()))
}

/// Whether an app that the actor sees is among those that `wanted` takes.
fn sees_some(store: &Store, actor: &Actor, wanted: impl Fn(&App) -> bool) -> Result<bool> {
    let apps = store.apps.list()?;
    Ok(apps
        .iter()
        .any(|app| wanted(app) && actor.is_permitted(Action::View, &app.value.place())))
}

impl Placed for App {
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }
    fn place(&self, _store: &Store) -> Result<Option<Site>> {
        Ok(Some(App::place(self)))
    }
}

/// Who sees something in a project knows its name.
impl Placed for Project {
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }
    fn place(&self, _store: &Store) -> Result<Option<Site>> {
        Ok(Some(Project::place(self)))
    }
    fn is_seen(&self, store: &Store, actor: &Actor) -> Result<bool> {
        if actor.is_permitted(Action::View, &Project::place(self)) {
            return Ok(true);
        }
        let environments = store.environments.list()?;
        let mut own = environments.iter().filter(|environment| environment.project == self.id);
        let by_environment = own.any(|environment| actor.is_permitted(Action::View, &environment.value.place()));
        Ok(by_environment || sees_some(store, actor, |app| app.project == self.id)?)
    }
}

impl Placed for Environment {
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }
    fn place(&self, _store: &Store) -> Result<Option<Site>> {
        Ok(Some(Environment::place(self)))
    }
    fn is_seen(&self, store: &Store, actor: &Actor) -> Result<bool> {
        Ok(actor.is_permitted(Action::View, &Environment::place(self)) || sees_some(store, actor, |app| app.environment == self.id)?)
    }
}

/// It is the environment's; who sees an app sees also what is mounted in it.
impl Placed for Volume {
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }
    fn place(&self, store: &Store) -> Result<Option<Site>> {
        place_of_environment(store, &self.environment)
    }
    fn is_seen(&self, store: &Store, actor: &Actor) -> Result<bool> {
        let by_environment = Placed::place(self, store)?.is_some_and(|place| actor.is_permitted(Action::View, &place));
        let is_mounted = |app: &App| app.mounts.iter().any(|mount| mount.volume == self.id);
        Ok(by_environment || sees_some(store, actor, is_mounted)?)
    }
}

/// What is an app's.
macro_rules! of_an_app {
    ($($type:ty),*) => {$(
        impl Placed for $type {
            fn organization(&self) -> &OrganizationId {
                &self.organization
            }
            fn place(&self, store: &Store) -> Result<Option<Site>> {
                place_of_app(store, &self.app)
            }
        }
    )*};
}
of_an_app!(Domain, Stream, Deployment, Delivery, JobRun);

/// An environment's, or the organization's.
impl Placed for Freeze {
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }
    fn place(&self, store: &Store) -> Result<Option<Site>> {
        match &self.environment {
            Some(environment) => place_of_environment(store, environment),
            None => Ok(Some(Site::organization())),
        }
    }
}

/// What is the organization's as a whole.
macro_rules! of_the_whole {
    ($($type:ty),*) => {$(
        impl Placed for $type {
            fn organization(&self) -> &OrganizationId {
                &self.organization
            }
            fn place(&self, _store: &Store) -> Result<Option<Site>> {
                Ok(Some(Site::organization()))
            }
        }
    )*};
}
of_the_whole!(Catalog, DnsProvider, ForgeConnection, Registry);
