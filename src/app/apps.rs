//! Apps: made, changed, started, stopped. What becomes of a change is a deployment's business.

mod checks;
mod sources;
mod views;

pub(crate) use sources::new_source;
pub use views::AppView;
pub(crate) use views::views;

use crate::{
    build_servers,
    deployments::{self, Wanted},
    domains::insert_domain,
    files::files_fit,
    freezes,
    ground::Ground,
    previews,
    projects::find_environment,
    quotas,
    sight::{of, owned},
    sleeping, timetable,
    variables::{VariableChange, sealed_variable},
    volumes,
};
pub(crate) use checks::checked_limits;
use checks::{checked_command, checked_health, checked_port, checked_sleep, commands_fit, in_range, replicas_fit, volumes_fit};
use sources::deploy_key;
pub(crate) use sources::settled;
use std::sync::Arc;
use store::Batch;
use types::{
    Action, Actor, App, AppId, AppName, BuildPlace, BuildWish, Cause, ContainerPath, DeployCommands, DeployLock, DesiredState, Environment,
    Error, Fact, GitRef, GitUrl, HealthCheck, Host, ImageRef, Installed, Kind, Limits, Phase, RepoPath, RepositoryPath, Result, Secret,
    Slug, Source, VariableOwner,
};

/// What somebody wants to run.
#[derive(Debug, Clone)]
pub struct NewApp {
    pub name: AppName,
    /// Ids or names; the first ones where none are given.
    pub project: Option<String>,
    pub environment: Option<String>,
    pub source: NewSource,
    pub port: Option<u16>,
    pub command: Option<Vec<String>>,
    /// `None`: one under the apps' domain, if there is one.
    pub domains: Option<Vec<Host>>,
    pub limits: Limits,
    pub health: Option<HealthCheck>,
    pub commands: DeployCommands,
    pub mounts: Vec<MountWish>,
    pub variables: Vec<VariableChange>,
    pub grace_seconds: Option<u32>,
    pub deploy_timeout_seconds: Option<u32>,
    pub replicas: Option<u32>,
    /// Deploy at once.
    pub deploy: bool,
}

// There is one in a wish, so the room that an image leaves unused does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum NewSource {
    Git {
        /// Left out with `forge`.
        url: Option<GitUrl>,
        /// A repository at a connected forge, by whose id or name; in place of `url`, `user` and `password`.
        forge: Option<(String, RepositoryPath)>,
        branch: Option<GitRef>,
        folder: RepoPath,
        dockerfile: RepoPath,
        target: Option<String>,
        submodules: bool,
        /// `None` leaves it as it was.
        build: Option<BuildWish>,
        compose: Option<TreeWish>,
        user: Option<String>,
        password: Option<Secret>,
        /// Make a key for ssh.
        deploy_key: bool,
    },
    Image {
        reference: ImageRef,
    },
    Upload {
        folder: RepoPath,
        dockerfile: RepoPath,
        target: Option<String>,
        /// `None` leaves it as it was.
        build: Option<BuildWish>,
        compose: Option<TreeWish>,
    },
    Compose {
        text: Secret,
        profiles: Vec<String>,
        /// The service that domains lead to.
        main: Option<String>,
        /// From which template it is.
        template: Option<Box<Installed>>,
    },
}

/// Services from a Compose file of the source tree, in place of one image.
#[derive(Debug, Clone, Default)]
pub struct TreeWish {
    /// From the folder; `None`: the first of the usual names that is there.
    pub file: Option<RepoPath>,
    pub profiles: Vec<String>,
    /// The service that domains lead to.
    pub main: Option<String>,
    /// What may reach the host, in the words of a deployment that was refused; `None` leaves it as it was.
    pub host_allowed: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
pub struct MountWish {
    pub volume: VolumeName,
    pub path: ContainerPath,
    pub read_only: bool,
}

/// A volume by id, or by name: one that is missing is made.
#[derive(Debug, Clone)]
pub enum VolumeName {
    Id(types::VolumeId),
    Name(Slug),
}

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct AppChange {
    pub name: Option<AppName>,
    pub source: Option<NewSource>,
    pub port: Option<Option<u16>>,
    pub command: Option<Option<Vec<String>>>,
    pub limits: Option<Limits>,
    pub health: Option<HealthCheck>,
    pub before_deploy: Option<Option<String>>,
    pub after_deploy: Option<Option<String>>,
    pub before_stop: Option<Option<String>>,
    pub mounts: Option<Vec<MountWish>>,
    pub grace_seconds: Option<u32>,
    pub deploy_timeout_seconds: Option<u32>,
    pub keep_releases: Option<u32>,
    pub keep_release_days: Option<Option<u32>>,
    pub keep_release_bytes: Option<Option<u64>>,
    pub build_cache_bytes: Option<Option<u64>>,
    pub build_on: Option<Option<BuildPlace>>,
    pub restart_limit: Option<u32>,
    /// At once, without a deployment.
    pub replicas: Option<u32>,
    /// When it is started and when it is stopped, and in which time zone.
    pub hours: Option<Option<(String, String, String)>>,
    pub sleep_after_minutes: Option<Option<u32>>,
}

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

    /// Records the app, its domains, volumes and variables in one step, and asks for its first deployment.
    /// Fails with `Taken` when the name or a domain is.
    pub async fn create(&self, actor: &Actor, wish: NewApp) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        if wish.deploy {
            actor.may_somewhere(Action::Deploy)?;
        }
        let ground = &self.ground;
        let environment = find_environment(
            ground,
            actor,
            Action::Configure,
            wish.project.as_deref(),
            wish.environment.as_deref(),
        )?;
        if wish.deploy {
            actor.may_in(Action::Deploy, &environment.place())?;
            freezes::must_not_hold(ground, &actor.organization, &environment.id)?;
        }
        let now = ground.world.now();
        let mut app = App {
            id: ground.world.id(),
            organization: actor.organization.clone(),
            project: environment.project.clone(),
            environment: environment.id.clone(),
            name: wish.name,
            source: new_source(ground, actor, wish.source, None)?,
            port: checked_port(wish.port)?,
            command: checked_command(wish.command)?,
            limits: checked_limits(wish.limits)?,
            health: checked_health(wish.health.unwrap_or_default())?,
            commands: wish.commands.checked()?,
            mounts: Vec::new(),
            files: Vec::new(),
            grace_seconds: in_range("grace_seconds", wish.grace_seconds.unwrap_or(15), 0, 3600)?,
            deploy_timeout_seconds: in_range("deploy_timeout_seconds", wish.deploy_timeout_seconds.unwrap_or(1800), 10, 86_400)?,
            keep_releases: 5,
            keep_release_days: None,
            keep_release_bytes: None,
            build_cache_bytes: None,
            build_on: None,
            restart_limit: types::restart_limit(),
            halted: None,
            desired: DesiredState::Running,
            hours: None,
            sleep_after_minutes: None,
            asleep: None,
            replicas: wish.replicas.unwrap_or(1),
            demand: None,
            release: None,
            last_deployment: None,
            deployments: 0,
            variables_version: 0,
            created_at: now,
            updated_at: now,
            lock: None,
            trashed_at: None,
        };
        commands_fit(&app)?;
        volumes_fit(&app, &wish.mounts)?;
        let mut batch = Batch::new();
        let (mounts, made) = volumes::mounts(ground, actor, &environment, &[], wish.mounts)?;
        app.mounts = mounts;
        replicas_fit(&app)?;
        for volume in made {
            batch = batch.insert(volume);
        }
        let hosts = match wish.domains {
            Some(hosts) => hosts,
            None => default_host(ground, &app.name, &environment)?.into_iter().collect(),
        };
        for (index, host) in hosts.iter().enumerate() {
            batch = insert_domain(ground, batch, &app, host.into(), index == 0, true)?;
        }
        for volume in settled(ground, actor, &mut app, &environment, &wish.variables, hosts.first())? {
            batch = batch.insert(volume);
        }
        for change in wish.variables {
            batch = batch.insert(sealed_variable(ground, actor, VariableOwner::App(app.id.clone()), change)?);
        }
        let _gate = quotas::gate(ground).await;
        quotas::must_fit(ground, None, &app)?;
        // What is uploaded comes after this.
        if wish.deploy && !matches!(app.source, Source::Upload(_)) {
            quotas::may_deploy(ground, &app, &Cause::Created)?;
            batch = deployments::queue(ground, actor.who.to_string(), &mut app, Cause::Created, Wanted::Usual, batch)?;
        }
        ground.store.commit(batch.insert(app.clone())).await?;
        ground
            .events
            .emit(
                actor,
                Fact::AppCreated {
                    app: app.id.clone(),
                    name: app.name.to_string(),
                },
            )
            .await;
        for host in hosts {
            ground
                .events
                .emit(
                    actor,
                    Fact::DomainAdded {
                        app: app.id.clone(),
                        host: host.into(),
                    },
                )
                .await;
        }
        self.wake_all();
        self.view(actor, &app.id)
    }

    /// Changes what should be. It takes effect with the next deployment.
    pub async fn update(&self, actor: &Actor, app: &str, change: AppChange) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let mut stored = ground
            .store
            .apps
            .get(find_app(ground, actor, Action::Configure, app)?.id.as_str())?;
        not_trashed(&stored)?;
        let before = stored.value.clone();
        let mut batch = Batch::new();
        if let Some(name) = change.name {
            stored.name = name;
        }
        if let Some(source) = change.source {
            stored.source = new_source(ground, actor, source, Some(&stored.source))?;
            let environment = ground.store.environments.get(stored.environment.as_str())?.value;
            for volume in settled(ground, actor, &mut stored.value, &environment, &[], None)? {
                batch = batch.insert(volume);
            }
        }
        if let Some(port) = change.port {
            stored.port = checked_port(port)?;
        }
        if let Some(command) = change.command {
            stored.command = checked_command(command)?;
        }
        if let Some(limits) = change.limits {
            stored.limits = checked_limits(limits)?;
        }
        if let Some(health) = change.health {
            stored.health = checked_health(health)?;
        }
        if let Some(before) = change.before_deploy {
            stored.commands.before = before;
        }
        if let Some(after) = change.after_deploy {
            stored.commands.after = after;
        }
        if let Some(before_stop) = change.before_stop {
            stored.commands.before_stop = before_stop;
        }
        stored.value.commands = stored.value.commands.clone().checked()?;
        commands_fit(&stored)?;
        if let Some(wishes) = change.mounts {
            volumes_fit(&stored, &wishes)?;
            let environment = ground.store.environments.get(stored.environment.as_str())?.value;
            let (mounts, made) = volumes::mounts(ground, actor, &environment, &stored.mounts, wishes)?;
            stored.mounts = mounts;
            files_fit(&stored)?;
            for volume in made {
                batch = batch.insert(volume);
            }
        }
        if let Some(seconds) = change.grace_seconds {
            stored.grace_seconds = in_range("grace_seconds", seconds, 0, 3600)?;
        }
        if let Some(seconds) = change.deploy_timeout_seconds {
            stored.deploy_timeout_seconds = in_range("deploy_timeout_seconds", seconds, 10, 86_400)?;
        }
        if let Some(keep) = change.keep_releases {
            stored.keep_releases = in_range("keep_releases", keep, 1, 100)?;
        }
        if let Some(days) = change.keep_release_days {
            stored.keep_release_days = days.map(|days| in_range("keep_release_days", days, 1, 36_500)).transpose()?;
        }
        if let Some(bytes) = change.keep_release_bytes {
            stored.keep_release_bytes = bytes;
        }
        if let Some(bytes) = change.build_cache_bytes {
            stored.build_cache_bytes = bytes;
        }
        if let Some(place) = change.build_on.filter(|place| *place != before.build_on) {
            build_servers::may_build_on(ground, actor, place.as_ref())?;
            stored.build_on = place;
        }
        if let Some(limit) = change.restart_limit {
            stored.restart_limit = in_range("restart_limit", limit, 0, 1000)?;
        }
        if let Some(replicas) = change.replicas {
            stored.replicas = replicas;
            // So that a way back to what is live now brings back as many.
            if let Some(live) = &stored.release
                && let Some(mut release) = ground.store.releases.claimed(live.as_str())?
                && release.stack.is_none()
            {
                release.replicas = Some(replicas);
                batch = batch.save(release);
            }
        }
        if let Some(hours) = change.hours {
            let now = ground.world.now();
            let checked = hours.map(|(start, stop, zone)| timetable::checked_hours(start, stop, zone, now));
            stored.hours = checked.transpose()?;
        }
        if let Some(minutes) = change.sleep_after_minutes {
            stored.sleep_after_minutes = minutes.map(checked_sleep).transpose()?;
        }
        replicas_fit(&stored)?;
        if stored.limits != before.limits || stored.source != before.source {
            quotas::reckon(ground, &mut stored.value)?;
        }
        let _gate = quotas::gate(ground).await;
        quotas::must_fit(ground, Some(&before), &stored)?;
        stored.updated_at = ground.world.now();
        let (id, name) = (stored.id.clone(), stored.name.to_string());
        let wakes = stored.asleep.is_some() && stored.sleep_after_minutes.is_none();
        ground.store.commit(batch.save(stored)).await?;
        if wakes {
            sleeping::wake_now(ground, &id, &actor.who.to_string()).await?;
        }
        ground.events.emit(actor, Fact::AppChanged { app: id.clone(), name }).await;
        self.wake_all();
        self.view(actor, &id)
    }

    /// Lets nothing be deployed, for some minutes or until it is unlocked. Rolling back stays possible.
    pub async fn lock(&self, actor: &Actor, app: &str, why: String, minutes: Option<u32>) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        if why.chars().count() > 200 || why.chars().any(char::is_control) {
            return Err(Error::invalid("why", "must be one line of at most 200 letters"));
        }
        if let Some(minutes) = minutes {
            in_range("minutes", minutes, 1, 525_600)?;
        }
        let now = self.ground.world.now();
        let lock = DeployLock {
            by: actor.who.to_string(),
            why: why.trim().to_owned(),
            at: now,
            until: minutes.map(|minutes| now.plus(std::time::Duration::from_secs(u64::from(minutes) * 60))),
        };
        self.set_lock(actor, &app, Some(lock)).await
    }

    pub async fn unlock(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        self.set_lock(actor, &app, None).await
    }

    async fn set_lock(&self, actor: &Actor, app: &App, lock: Option<DeployLock>) -> Result<AppView> {
        let set = |app: &mut App| {
            app.lock.clone_from(&lock);
            Ok(())
        };
        self.ground.store.apps.update(app.id.as_str(), set).await?;
        let fact = Fact::DeploymentsLocked {
            app: app.id.clone(),
            name: app.name.to_string(),
            why: lock.map(|lock| lock.why),
        };
        self.ground.events.emit(actor, fact).await;
        self.view(actor, &app.id)
    }

    /// Asks for it to run. Fails with `Busy` when nothing was ever deployed.
    pub async fn start(&self, actor: &Actor, app: &str) -> Result<AppView> {
        self.want(actor, app, DesiredState::Running).await
    }

    /// Asks for it to stop; the edge answers that it is down.
    pub async fn stop(&self, actor: &Actor, app: &str) -> Result<AppView> {
        self.want(actor, app, DesiredState::Stopped).await
    }

    /// Puts it to sleep before its time: the next request wakes it. Fails with `Busy` when it may not sleep or is in use.
    pub async fn sleep(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let id = sleeping::put_to_sleep(&self.ground, actor, app).await?;
        self.view(actor, &id)
    }

    async fn want(&self, actor: &Actor, app: &str, desired: DesiredState) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        if desired == DesiredState::Running && app.release.is_none() {
            return Err(Error::busy(format!("`{}` has no release to start; deploy it", app.name)));
        }
        if desired == DesiredState::Running && app.asleep.is_some() {
            // The edge goes on holding its requests until it is well.
            sleeping::wake_now(&self.ground, &app.id, &actor.who.to_string()).await?;
            return self.view(actor, &app.id);
        }
        let changed = app.desired != desired || app.halted.is_some();
        self.ground
            .store
            .apps
            .update(app.id.as_str(), |app| {
                app.desired = desired;
                app.halted = None;
                app.asleep = None;
                Ok(())
            })
            .await?;
        if changed {
            let state = if desired == DesiredState::Running { "started" } else { "stopped" };
            let fact = Fact::AppStateChanged {
                app: app.id.clone(),
                name: app.name.to_string(),
                state: state.into(),
                why: None,
            };
            self.ground.events.emit(actor, fact).await;
        }
        self.wake_all();
        self.view(actor, &app.id)
    }

    /// Stops the container of the live release with its grace period and starts it again.
    pub async fn restart(&self, actor: &Actor, app: &str) -> Result<AppView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        not_trashed(&app)?;
        if app.asleep.is_some() {
            return self.want(actor, app.id.as_str(), DesiredState::Running).await;
        }
        let release = app
            .release
            .clone()
            .ok_or_else(|| Error::busy(format!("`{}` has no release to start; deploy it", app.name)))?;
        let fact = Fact::AppStateChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            state: "restarted".into(),
            why: None,
        };
        let (ground, id, grace, replicas) = (self.ground.clone(), app.id.clone(), app.grace_seconds, app.replicas);
        self.ground
            .store
            .apps
            .update(id.as_str(), |app| {
                app.desired = DesiredState::Running;
                app.halted = None;
                Ok(())
            })
            .await?;
        tokio::spawn(async move {
            let found = ground.node.containers().await.unwrap_or_default();
            let release = crate::releases::find(&ground, &release).ok().flatten();
            let own = |container: &&types::Container| release.as_ref().is_some_and(|release| release.owns(container));
            for container in found.iter().filter(own) {
                if let Some(release) = release.as_ref().filter(|_| replicas > 1)
                    && let Err(error) = crate::containers::set_aside(&ground, release, container).await
                {
                    tracing::warn!("restart of {}: {}", container.name, types::report(&error));
                }
                let grace = std::time::Duration::from_secs(grace.into());
                if let Err(error) = crate::last_words::stop_well(&ground, container, grace).await {
                    tracing::warn!("restart of {}: {}", container.name, types::report(&error));
                }
                // One after the other, so that the others serve meanwhile.
                if let Some(release) = release.as_ref().filter(|_| replicas > 1) {
                    ground.wake_reconcile();
                    crate::containers::serves_again(&ground, release, container).await;
                }
            }
            ground.wake_reconcile();
        });
        self.ground.events.emit(actor, fact).await;
        self.view(actor, &app.id)
    }

    /// Makes the app's key for ssh, or a new one in its place; answers the public half.
    pub async fn renew_deploy_key(&self, actor: &Actor, app: &str) -> Result<String> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        let (private, public) = deploy_key(&self.ground, &app.name)?;
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

/// `NAME.<apps' domain>`, or with the environment where that is taken; `None` when there is no such domain.
pub(crate) fn default_host(ground: &Ground, name: &AppName, environment: &Environment) -> Result<Option<Host>> {
    let Some(domain) = ground.apps_domain()? else { return Ok(None) };
    for host in [format!("{name}.{domain}"), format!("{name}-{}.{domain}", environment.name)] {
        let host: Host = host.parse()?;
        if ground.store.domains.find(host.as_str())?.is_none() {
            return Ok(Some(host));
        }
    }
    Ok(None)
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
