//! Apps of several services, as people see them: a look at a Compose file, the file of an app, and its services.
//!
//! `reading` goes from the file to a stack, `running` from the stack to its containers, `compare` from one release to another.

mod compare;
mod reading;
mod running;

pub(crate) use compare::{differences, image_differences};
pub(crate) use reading::*;
pub(crate) use running::*;

use crate::{apps::find_app, ground::Ground};
use catalog::compose::Composed;
use std::{collections::BTreeMap, sync::Arc};
use types::{
    Action, Actor, App, ComposeSource, Container, Error, HostRight, Kind, Limits, Notice, ReleaseService, Result, StackHook, StackService,
};

/// A look at a Compose file, for whoever is writing it.
#[derive(Debug, Clone, Default)]
pub struct ComposeReport {
    /// Why it cannot be deployed; empty: it can.
    pub problems: Vec<Notice>,
    pub hints: Vec<Notice>,
    /// What only an administrator may allow.
    pub rights: Vec<HostRight>,
    /// In the order in which they start.
    pub services: Vec<ServiceView>,
    pub volumes: Vec<String>,
    /// The service that domains would lead to.
    pub main: Option<String>,
}

impl ComposeReport {
    /// `limits`: of services whose file says nothing else.
    pub(crate) fn of(read: std::result::Result<Composed, Vec<Notice>>, named: Option<&str>, limits: &Limits) -> ComposeReport {
        let composed = match read {
            Ok(composed) => composed,
            Err(problems) => {
                return ComposeReport {
                    problems,
                    ..ComposeReport::default()
                };
            }
        };
        let main = main_of(&composed.stack, named).map(|service| service.name.clone());
        let view = |service: &StackService| ServiceView::new(service, None, main.as_deref(), limits);
        ComposeReport {
            problems: Vec::new(),
            services: composed.stack.services.iter().map(view).collect(),
            volumes: composed.stack.volumes.iter().map(|volume| volume.name.clone()).collect(),
            hints: composed.hints,
            rights: composed.rights,
            main,
        }
    }
}

#[derive(Clone)]
pub struct Stacks {
    ground: Arc<Ground>,
}

impl Stacks {
    pub(crate) fn new(ground: Arc<Ground>) -> Stacks {
        Stacks { ground }
    }

    /// What a Compose file comes to, with the variables of `app` where one is named, and its profiles unless others are given.
    pub async fn check(&self, actor: &Actor, text: &str, profiles: Option<&[String]>, app: Option<&str>) -> Result<ComposeReport> {
        actor.may_somewhere(Action::Configure)?;
        let app = app.map(|app| find_app(&self.ground, actor, Action::Configure, app)).transpose()?;
        let (variables, template) = match &app {
            Some(app) if app.source.stack().is_some() => {
                let values = values_shown(&self.ground, actor, app)?;
                let template = template_with(&self.ground, app, values.clone(), None)?;
                (values, template)
            }
            _ => (BTreeMap::new(), None),
        };
        let setup = app.as_ref().and_then(|app| app.source.stack());
        let named = setup.and_then(|setup| setup.main.clone());
        let profiles = profiles
            .or_else(|| setup.map(|setup| setup.profiles.as_slice()))
            .unwrap_or_default();
        let limits = app.as_ref().map(|app| app.limits.clone()).unwrap_or_default();
        let read = read(text, profiles, &variables, template.as_ref());
        let mut report = ComposeReport::of(read, named.as_deref(), &limits);
        hide(&self.ground, actor, &mut report.services);
        Ok(report)
    }

    /// The file as it was written. Passwords may be in it, so seeing it takes the right to change it.
    pub async fn text(&self, actor: &Actor, app: &str) -> Result<String> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        text_of(&self.ground, compose_of(&app)?)
    }

    /// The services of what is live, or of the file when nothing was deployed yet; of one in a repository nothing is known then.
    pub async fn services(&self, actor: &Actor, app: &str) -> Result<Vec<ServiceView>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let setup = app.source.stack().ok_or_else(|| one_container(&app))?;
        let release = match &app.release {
            Some(id) => crate::releases::find(&self.ground, id)?,
            None => None,
        };
        let Some((release, live)) = release.as_ref().and_then(|release| Some((release, release.stack.as_ref()?))) else {
            if app.source.tree_stack().is_some() {
                return Ok(Vec::new());
            }
            let stack = compose(&self.ground, &app)?.stack;
            let main = main_of(&stack, setup.main.as_deref()).map(|service| service.name.clone());
            let view = |service: &StackService| ServiceView::new(service, None, main.as_deref(), &app.limits);
            let mut views = stack.services.iter().map(view).collect::<Vec<_>>();
            self.hide_of(actor, &app, &mut views);
            return Ok(views);
        };
        let stack = open(&self.ground, live)?;
        let observed = self.ground.observed.load();
        let view = |service: &StackService| {
            let is_own = |container: &&Container| {
                release.owns(container) && container.owner.service.as_ref().is_some_and(|mark| mark.name == service.name)
            };
            let containers = observed.containers.iter().filter(is_own).cloned().collect();
            let made = live.services.iter().find(|one| one.name == service.name);
            ServiceView {
                containers,
                ..ServiceView::new(service, made, Some(&live.main), &release.limits)
            }
        };
        let mut views = stack.services.iter().map(view).collect::<Vec<_>>();
        self.hide_of(actor, &app, &mut views);
        Ok(views)
    }

    /// The file is read with the real values here, and the name of an image may have one in it too.
    fn hide_of(&self, actor: &Actor, app: &App, views: &mut [ServiceView]) {
        hide(&self.ground, actor, views);
        if reveals(actor, app) {
            return;
        }
        for view in views {
            view.image = self.ground.redactor.redact_for(&actor.organization, &view.image).into_owned();
        }
    }
}

/// A command line may have the value of a secret variable in it.
pub(crate) fn hide(ground: &Ground, actor: &Actor, views: &mut [ServiceView]) {
    for view in views {
        for line in view.post_start.iter_mut().chain(&mut view.pre_stop) {
            *line = ground.redactor.redact_for(&actor.organization, line).into_owned();
        }
    }
}

/// A service as people see it.
#[derive(Debug, Clone)]
pub struct ServiceView {
    pub name: String,
    pub image: String,
    /// Domains lead to it.
    pub main: bool,
    pub ports: Vec<u16>,
    pub replicas: u32,
    pub once: bool,
    pub depends_on: Vec<String>,
    /// Of its file; none when all services share the app's own.
    pub networks: Vec<String>,
    /// Why its old container stops before a new one starts; `None`: the new one takes over while the old one serves.
    pub stops_first: Option<String>,
    /// Command lines that are run inside its containers.
    pub post_start: Vec<String>,
    pub pre_stop: Vec<String>,
    /// What each of its containers may use.
    pub limits: Limits,
    pub containers: Vec<Container>,
}

impl ServiceView {
    /// Without its containers. `limits`: of services whose file says nothing else.
    pub(crate) fn new(service: &StackService, made: Option<&ReleaseService>, main: Option<&str>, limits: &Limits) -> ServiceView {
        let image = made.map(|made| made.image_name.clone()).or_else(|| service.image.clone());
        ServiceView {
            name: service.name.clone(),
            image: image.unwrap_or_default(),
            main: main == Some(service.name.as_str()),
            ports: service.ports.iter().map(|port| port.target).collect(),
            replicas: service.replicas,
            once: service.runs_once(),
            depends_on: service.depends_on.iter().map(|one| one.service.clone()).collect(),
            networks: service.networks.iter().map(|network| network.name.clone()).collect(),
            stops_first: service.why_stop_first(),
            post_start: lines(&service.post_start),
            pre_stop: lines(&service.pre_stop),
            limits: service.limits.or(limits),
            containers: Vec::new(),
        }
    }
}

fn lines(hooks: &[StackHook]) -> Vec<String> {
    hooks.iter().map(|hook| hook.command.join(" ")).collect()
}

/// Of an app whose Compose file the panel keeps.
pub(crate) fn compose_of(app: &App) -> Result<&ComposeSource> {
    match &app.source {
        types::Source::Compose(source) => Ok(source),
        source if source.tree_stack().is_some() => Err(Error::busy(format!(
            "the Compose file of `{}` is among its source; change it there",
            app.name
        ))),
        _ => Err(one_container(app)),
    }
}

fn one_container(app: &App) -> Error {
    Error::invalid("app", format!("`{}` is not made from a Compose file", app.name))
}

/// Fails with `NotFound` unless the app has this service: in its file, or in what is live where the file is in a repository.
pub(crate) fn must_have(ground: &Ground, app: &App, service: &str) -> Result<()> {
    let none = || Error::not_found(Kind::Service, service);
    if app.source.tree_stack().is_some() {
        let first = || Error::busy(format!("the services of `{}` are known once it was deployed", app.name));
        let id = app.release.as_ref().ok_or_else(first)?;
        let live = crate::releases::find(ground, id)?
            .and_then(|release| release.stack)
            .ok_or_else(first)?;
        return live.services.iter().find(|one| one.name == service).map(drop).ok_or_else(none);
    }
    compose_of(app)?;
    compose(ground, app)?.stack.service(service).map(drop).ok_or_else(none)
}
