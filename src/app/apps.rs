//! Apps: made, changed, started, stopped. What becomes of a change is a deployment's business.

mod changing;
mod checks;
mod making;
mod running;
mod sources;
mod views;
mod wishes;

pub(crate) use checks::{checked_limits, in_range};
pub(crate) use making::shared_label;
pub(crate) use sources::{new_source, settled};
pub use views::AppView;
pub(crate) use views::views;
pub use wishes::{AppChange, MountWish, NewApp, NewSource, TreeWish, VolumeName};

use crate::{
    ground::Ground,
    previews,
    sight::{of, owned},
};
use sources::deploy_key;
use std::sync::Arc;
use types::{Action, Actor, App, AppId, Error, Kind, Phase, Result, Source};

#[derive(Clone)]
pub struct Apps {
    ground: Arc<Ground>,
}

impl Apps {
    pub(crate) fn new(ground: Arc<Ground>) -> Apps {
        Apps { ground }
    }

    /// Apps of the organization by name, without those in the trash, or only those.
    pub async fn list(&self, actor: &Actor, project: Option<&str>, environment: Option<&str>, trashed: bool) -> Result<Vec<AppView>> {
        actor.may_somewhere(Action::View)?;
        views(&self.ground, actor, |app, project_found, environment_found| {
            app.trashed_at.is_some() == trashed
                && project.is_none_or(|wanted| wanted == app.project.as_str() || wanted == project_found.name.as_str())
                && environment.is_none_or(|wanted| wanted == app.environment.as_str() || wanted == environment_found.name.as_str())
        })
    }

    /// By id or name.
    pub async fn get(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::View)?;
        let id = find_app(&self.ground, actor, Action::View, app)?.id;
        self.view(actor, &id)
    }

    /// Makes the app's key for ssh, or a new one in its place; answers the public half.
    pub async fn renew_deploy_key(&self, actor: &Actor, app: &str) -> Result<String> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        let (private, public) = deploy_key(&self.ground, &app.organization, &app.name)?;
        let made = public.clone();
        self.ground
            .store
            .apps
            .update(app.id.as_str(), move |app| match &mut app.source {
                Source::Git(git) => {
                    git.deploy_key = Some(private.clone());
                    git.deploy_key_public = Some(public.clone());
                    git.host_key = None;
                    Ok(())
                }
                Source::Image { .. } | Source::Compose(_) | Source::Upload(_) => Err(Error::busy("this app has no repository")),
            })
            .await?;
        Ok(made)
    }

    fn view(&self, actor: &Actor, id: &AppId) -> Result<AppView> {
        views(&self.ground, actor, |app, _, _| app.id == *id)?
            .pop()
            .ok_or_else(|| Error::not_found(Kind::App, id))
    }

    fn wake_all(&self) {
        self.ground.wake_deploy();
        self.ground.wake_reconcile();
        self.ground.wake_certificates();
    }
}

/// The app, by id, by a name that only one app of the organization has, or as `NAME@ENVIRONMENT`. Apps in the trash only by
/// id. Fails as [`owned`] does where the actor may not do this to it.
pub(crate) fn find_app(ground: &Ground, actor: &Actor, action: Action, wanted: &str) -> Result<App> {
    if wanted.starts_with("app_") {
        return owned(ground, actor, action, ground.store.apps.find(wanted)?, Kind::App, wanted);
    }
    actor.may_somewhere(action)?;
    let (name, place) = wanted.split_once('@').map_or((wanted, None), |(name, place)| (name, Some(place)));
    let environments = match place {
        Some(_) => ground.store.environments.list()?,
        None => Vec::new(),
    };
    let is_there = |app: &App| {
        place.is_none_or(|place| {
            environments
                .iter()
                .any(|one| one.id == app.environment && one.name.as_str() == place)
        })
    };
    let all = of(ground, actor, ground.store.apps.list()?)?.into_iter();
    let mut named: Vec<App> = all
        .filter(|app| app.name.as_str() == name && app.trashed_at.is_none() && is_there(app))
        .collect();
    if named.len() > 1 && place.is_none() {
        // A preview takes nobody's name away: it is meant where its environment is named.
        let mut own = Vec::new();
        for app in &named {
            if previews::of_environment(ground, &app.environment)?.is_none() {
                own.push(app.clone());
            }
        }
        if !own.is_empty() {
            named = own;
        }
    }
    let mut named = named.into_iter();
    match (named.next(), named.next()) {
        (Some(app), None) => {
            actor.may_in(action, &app.place())?;
            Ok(app)
        }
        (Some(_), Some(_)) => Err(Error::busy(format!(
            "several environments have an app `{wanted}`; use its id, or {wanted}@ENVIRONMENT"
        ))),
        (None, _) => Err(Error::not_found(Kind::App, wanted)),
    }
}

pub(crate) fn not_trashed(app: &App) -> Result<()> {
    if app.trashed_at.is_some() {
        Err(Error::busy(format!("`{}` is in the trash; restore it first", app.name)))
    } else {
        Ok(())
    }
}

/// Whether a deployment in this phase still has work to do.
pub(crate) fn is_active(phase: Phase) -> bool {
    !phase.is_final()
}
