//! A new app: its record with its domains, volumes and variables, all in one step.

use super::{
    AppView, Apps, NewApp, checked_limits,
    checks::{checked_command, checked_health, checked_port, commands_fit, replicas_fit, volumes_fit},
    in_range, new_source, settled,
};
use crate::{
    deployments::{self, Wanted},
    domain_claims::{self, Claiming, default_host},
    domains::insert_domain,
    freezes,
    ground::Ground,
    organizations,
    projects::find_environment,
    quotas,
    variables::sealed_variable,
    volumes,
};
use std::collections::BTreeSet;
use store::Batch;
use types::{Action, Actor, App, Cause, Environment, Fact, Family, Host, OrganizationId, Result, Scope, Source, VariableOwner};

/// What is about to be recorded.
struct Draft {
    app: App,
    hosts: Vec<Host>,
    /// What belongs to it, without itself.
    batch: Batch,
}

impl Apps {
    /// Records the app, its domains, volumes and variables in one step, and asks for its first deployment.
    /// Fails with `Taken` when the name or a domain is.
    pub async fn create(&self, actor: &Actor, wish: NewApp) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let environment = place(ground, actor, &wish)?;
        let deploy = wish.deploy;
        let claiming = domain_claims::gate(ground).await;
        let Draft { mut app, hosts, mut batch } = draft(&claiming, actor, &environment, wish)?;
        let _gate = quotas::gate(ground).await;
        quotas::must_fit(ground, None, &app)?;
        // What is uploaded comes after this.
        if deploy && !matches!(app.source, Source::Upload(_)) {
            quotas::may_deploy(ground, &app, &Cause::Created)?;
            batch = deployments::queue(ground, actor.who.to_string(), &mut app, Cause::Created, Wanted::Usual, batch)?;
        }
        ground.store.commit(batch.insert(app.clone())).await?;
        drop(claiming);
        self.tell_made(actor, &app, hosts).await;
        self.wake_all();
        self.view(actor, &app.id)
    }

    async fn tell_made(&self, actor: &Actor, app: &App, hosts: Vec<Host>) {
        let events = &self.ground.events;
        let made = Fact::AppCreated {
            app: app.id.clone(),
            name: app.name.to_string(),
        };
        events.emit(actor, made).await;
        for host in hosts {
            let added = Fact::DomainAdded {
                app: app.id.clone(),
                host: host.into(),
            };
            events.emit(actor, added).await;
        }
    }
}

/// Where it is to be, if the actor may make it there, and deploy it if that is wanted.
fn place(ground: &Ground, actor: &Actor, wish: &NewApp) -> Result<Environment> {
    let deployments = actor.touching(Family::Deployments);
    if wish.deploy {
        deployments.may_somewhere(Action::Deploy)?;
    }
    beside(actor, wish)?;
    let (project, environment) = (wish.project.as_deref(), wish.environment.as_deref());
    let environment = find_environment(ground, actor, Action::Configure, project, environment)?;
    if wish.deploy {
        deployments.may_in(Action::Deploy, &environment.place())?;
        freezes::must_not_hold(ground, &actor.organization, &environment.id)?;
    }
    Ok(environment)
}

/// What is made beside the app is of other kinds, to which a token must reach too. What comes of the app by itself is the app's: its name
/// below the apps' domain, and the volumes of its Compose file.
fn beside(actor: &Actor, wish: &NewApp) -> Result<()> {
    if wish.domains.as_ref().is_some_and(|hosts| !hosts.is_empty()) {
        actor.spans(Scope::Write, Family::Domains)?;
    }
    if !wish.variables.is_empty() {
        actor.spans(Scope::Write, Family::Variables)?;
    }
    if !wish.mounts.is_empty() {
        actor.spans(Scope::Write, Family::Volumes)?;
    }
    Ok(())
}

/// The app and all that belongs to it, checked.
fn draft(claiming: &Claiming<'_>, actor: &Actor, environment: &Environment, wish: NewApp) -> Result<Draft> {
    let ground = claiming.ground;
    let source = new_source(ground, actor, wish.source, None)?;
    let usual = App::new(ground.world.id(), environment, wish.name, source, ground.world.now());
    let mut app = App {
        port: checked_port(wish.port)?,
        command: checked_command(wish.command)?,
        limits: checked_limits(wish.limits)?,
        health: checked_health(wish.health.unwrap_or_default())?,
        commands: wish.commands.checked()?,
        grace_seconds: in_range("grace_seconds", wish.grace_seconds.unwrap_or(usual.grace_seconds), 0, 3600)?,
        deploy_timeout_seconds: in_range(
            "deploy_timeout_seconds",
            wish.deploy_timeout_seconds.unwrap_or(usual.deploy_timeout_seconds),
            10,
            86_400,
        )?,
        replicas: wish.replicas.unwrap_or(usual.replicas),
        ..usual
    };
    commands_fit(&app)?;
    volumes_fit(&app, &wish.mounts)?;
    let mut batch = Batch::new();
    let (mounts, made) = volumes::mounts(ground, actor, environment, &[], wish.mounts)?;
    app.mounts = mounts;
    replicas_fit(&app)?;
    for volume in made {
        batch = batch.insert(volume);
    }
    let hosts = match wish.domains {
        Some(hosts) => hosts,
        None => default_host(ground, actor, &app.name, environment)?.into_iter().collect(),
    };
    for (index, host) in hosts.iter().enumerate() {
        batch = insert_domain(claiming, actor, batch, &app, host.into(), index == 0, true)?;
    }
    for volume in settled(ground, actor, &mut app, environment, &wish.variables, hosts.first())? {
        batch = batch.insert(volume);
    }
    let places = BTreeSet::from([environment.id.clone()]);
    // One that refers to another app's secrets is asked for as a variable.
    let writer = actor.touching(Family::Variables);
    for change in wish.variables {
        batch = batch.insert(sealed_variable(
            ground,
            &writer,
            VariableOwner::App(app.id.clone()),
            &places,
            change,
        )?);
    }
    Ok(Draft { app, hosts, batch })
}

/// A label below the apps' domain, where the names of all organizations are beside each other. The one that runs the panel has
/// these words alone; what is made up for others carries their own name, so that it meets nobody's and tells of nobody.
pub(crate) fn shared_label(ground: &Ground, organization: &OrganizationId, words: &str) -> Result<String> {
    match organizations::host(&ground.store)? {
        Some(host) if host.id != *organization => {
            let own = ground.store.organizations.get(organization.as_str())?;
            Ok(format!("{words}-{}", own.name))
        }
        _ => Ok(words.to_owned()),
    }
}
