//! Makes, renews and removes what a preview is made of: an environment, a copy of the app, one of its database, a domain.
//!
//! Each step can be done again: a crash, a forge that sends twice and an engine that is away are the same case.

use super::settings::host_for;
use crate::{
    apps::settled,
    copies::{self, Twins, copy_of},
    deployments::{self, Wanted, moved},
    domain_claims,
    domains::insert_domain,
    freezes,
    ground::Ground,
    projects, quotas,
    variables::{VariableChange, variables_of},
};
use std::collections::{BTreeMap, BTreeSet};
use store::{Batch, Stored};
use types::{
    Actor, App, AppId, Cause, DesiredState, Environment, Error, GitRef, Mount, Phase, Preview, PreviewData, PreviewRules, PreviewState,
    PullRequest, Result, Sealed, Secret, Slug, Source, Variable, VariableKey, VariableOwner, VariableScope, Volume, VolumeId,
};

/// Letters of 5 bits of a password that is made up.
const PASSWORD: usize = 32;

/// What one step has come to.
pub(crate) enum Step {
    /// It was made just now.
    Made,
    /// The newest commit is with the deployer.
    Deployed,
    /// Not yet, and why.
    Waits(String),
    /// What was there is half gone, and is removed first.
    Cleared,
}

/// The next step towards what is wanted.
pub(crate) async fn advance(ground: &Ground, rules: &PreviewRules, of: &App, stored: Stored<Preview>) -> Result<Step> {
    if !stored.is_trusted() {
        return Err(Error::busy("it comes from a fork, and nobody has allowed its newest commit"));
    }
    if stored.environment.is_none() {
        make(ground, rules, of, stored).await?;
        return Ok(Step::Made);
    }
    let app = match &stored.app {
        Some(id) => ground.store.apps.find(id.as_str())?,
        None => None,
    };
    let Some(app) = app.filter(|app| app.trashed_at.is_none()) else {
        remove(ground, stored).await?;
        return Ok(Step::Cleared);
    };
    let now = ground.world.now();
    if let Some(frozen) = freezes::frozen(&ground.store, &app.organization, &app.environment, now)? {
        return Ok(Step::Waits(format!("{}; it goes on when that ends", frozen.words())));
    }
    if let Some(database) = &stored.database
        && let Some(why) = database_is_missing(ground, rules, database, &stored.by).await?
    {
        return Ok(Step::Waits(why));
    }
    hand_over(ground, app, stored).await?;
    Ok(Step::Deployed)
}

/// Brings the copy of the database up. `None`: it is.
async fn database_is_missing(ground: &Ground, rules: &PreviewRules, id: &AppId, by: &str) -> Result<Option<String>> {
    let mut copy = ground.store.apps.get(id.as_str())?;
    if copy.release.is_some() {
        return Ok(None);
    }
    let last = match &copy.last_deployment {
        Some(id) => deployments::find(ground, id)?,
        None => None,
    };
    let name = copy.name.to_string();
    if let Some(last) = last {
        return Ok(Some(match last.phase {
            Phase::Failed | Phase::Cancelled => format!("its `{name}` did not start; see its deployment, and deploy it again"),
            _ => format!("its `{name}` is starting"),
        }));
    }
    if let Some(wish) = rules.database.as_ref().filter(|wish| wish.data == PreviewData::Copy) {
        copy_data(ground, &wish.app, &copy).await?;
    }
    let batch = deployments::queue(ground, by.to_owned(), &mut copy.value, Cause::Created, Wanted::Usual, Batch::new())?;
    ground.store.commit(batch.save(copy)).await?;
    ground.wake_deploy();
    Ok(Some(format!("its `{name}` is starting")))
}

/// Copies what is in the volumes of a stopped app. Fails with `Busy` while it runs.
async fn copy_data(ground: &Ground, from: &AppId, to: &App) -> Result<()> {
    let from = ground.store.apps.find(from.as_str())?;
    let from = from
        .ok_or_else(|| Error::busy("the app whose data it should get is gone; choose another one"))?
        .value;
    if from.desired == DesiredState::Running && from.release.is_some() {
        return Err(copies::runs(from.name.as_str()));
    }
    copies::must_be_still(ground, std::slice::from_ref(&from)).await?;
    for (old, new) in pairs(&from, to) {
        copies::copy_volume(ground, &from, &old, &new).await?;
    }
    Ok(())
}

/// Which volume of a copy stands for which.
fn pairs(from: &App, to: &App) -> Vec<(VolumeId, VolumeId)> {
    if let (Some(old), Some(new)) = (from.source.stack(), to.source.stack()) {
        let twin = |(name, id): (&String, &VolumeId)| Some((id.clone(), new.volumes.get(name)?.clone()));
        return old.volumes.iter().filter_map(twin).collect();
    }
    let twin = |mount: &Mount| {
        let twin = to.mounts.iter().find(|other| other.path == mount.path)?;
        Some((mount.volume.clone(), twin.volume.clone()))
    };
    from.mounts.iter().filter_map(twin).collect()
}

/// Gives the newest commit to the deployer.
async fn hand_over(ground: &Ground, mut app: Stored<App>, mut stored: Stored<Preview>) -> Result<()> {
    let head = stored.request.head.clone();
    point(&mut app.value.source, &stored.request)?;
    app.desired = DesiredState::Running;
    app.halted.clear();
    app.updated_at = ground.world.now();
    let (by, wanted) = (stored.by.clone(), Wanted::Reference(head.parse()?));
    let cause = if app.deployments == 0 { Cause::Created } else { Cause::Manual };
    quotas::may_deploy(ground, &app, &cause)?;
    let batch = deployments::queue(ground, by, &mut app.value, cause, wanted, Batch::new())?;
    stored.state = PreviewState::Up;
    stored.deployed = Some(head);
    stored.problem = None;
    stored.updated_at = ground.world.now();
    let told = app.value.clone();
    ground.store.commit(batch.save(app).save(stored)).await?;
    if let Some(id) = &told.last_deployment
        && let Some(deployment) = deployments::find(ground, id)?
    {
        let actor = Actor::system(told.organization.clone());
        ground.events.emit(&actor, moved(&told, &deployment)).await;
    }
    ground.wake_deploy();
    ground.wake_forge_reports();
    Ok(())
}

/// What the app follows: the request's branch. Of a fork it is the one commit that was allowed, so that no button brings
/// another one here.
fn point(source: &mut Source, request: &PullRequest) -> Result<()> {
    let Source::Git(git) = source else {
        return Err(Error::busy("the app is not from Git any more"));
    };
    let commit: GitRef = request.head.parse()?;
    git.branch = Some(match request.fork {
        true => commit,
        false => request.branch.parse().unwrap_or(commit),
    });
    if request.fork {
        // They could name any repository that the panel gets into.
        git.submodules = false;
    }
    Ok(())
}

/// Records the environment and what is in it, in one step.
async fn make(ground: &Ground, rules: &PreviewRules, of: &App, mut stored: Stored<Preview>) -> Result<()> {
    let now = ground.world.now();
    let environment = Environment {
        id: ground.world.id(),
        organization: of.organization.clone(),
        project: of.project.clone(),
        name: environment_name(ground, of, stored.request.number)?,
        created_at: now,
    };
    let mut batch = Batch::new().insert(environment.clone());
    let mut app = small_copy(ground, of, &environment, stored.request.fork);
    point(&mut app.source, &stored.request)?;
    app.limits.memory_bytes = rules.memory_bytes.unwrap_or(app.limits.memory_bytes);
    app.limits.cpu_millis = rules.cpu_millis.unwrap_or(app.limits.cpu_millis);
    if let Some(tree) = app.source.tree_stack_mut() {
        // Nothing of a request reaches the host.
        tree.setup.host_allowed.clear();
        tree.setup.volumes.clear();
        tree.host_wanted.clear();
    }
    let database = match &rules.database {
        None => None,
        Some(wish) => {
            let from = ground.store.apps.find(wish.app.as_str())?.filter(|from| from.trashed_at.is_none());
            let from = from.ok_or_else(|| Error::busy("the app that is its database is gone; choose another one"))?;
            Some((small_copy(ground, &from, &environment, false), from.value))
        }
    };
    let mut given = Given::new(ground, rules, &environment, stored.request.fork)?;
    if let Some((copy, from)) = &database {
        given.add_database(ground, from, copy)?;
    }
    given.add(ground, of, &app)?;
    let mut twins = Twins::new(ground, &environment);
    // Those of a stack are settled when its file is read.
    if of.source.stack().is_none() {
        twins.give(of, &mut app)?;
    }
    stored.database = None;
    let mut beside = None;
    if let Some((mut copy, from)) = database {
        for volume in database_volumes(ground, &from, &mut copy, &mut twins, given.changes(ground)?)? {
            batch = batch.insert(volume);
        }
        stored.database = Some(copy.id.clone());
        batch = batch.insert(copy.clone());
        beside = Some(copy);
    }
    for (_, volume) in twins.made {
        batch = batch.insert(volume);
    }
    for variable in given.variables {
        batch = batch.insert(variable);
    }
    let host = host_for(ground, of, &rules.host, stored.request.number)?;
    let claiming = domain_claims::gate(ground).await;
    batch = insert_domain(
        &claiming,
        &Actor::system(of.organization.clone()),
        batch,
        &app,
        (&host).into(),
        true,
        true,
    )?;
    stored.environment = Some(environment.id.clone());
    stored.app = Some(app.id.clone());
    stored.host = Some(host);
    let _gate = quotas::gate(ground).await;
    let made: Vec<&App> = beside.iter().chain([&app]).collect();
    quotas::must_fit_all(ground, &made)?;
    stored.deployed = None;
    stored.problem = None;
    stored.updated_at = now;
    // The preview first: who sees the app must see that it is one, or its name would stand for two.
    ground.store.commit(batch.save(stored).insert(app)).await?;
    ground.wake_reconcile();
    ground.wake_certificates();
    Ok(())
}

/// `blog-pr-7`, which nobody else has in the project.
fn environment_name(ground: &Ground, of: &App, number: u64) -> Result<Slug> {
    let taken: BTreeSet<String> = projects::environments_of(ground, &of.project)?
        .into_iter()
        .map(|environment| environment.name.to_string())
        .collect();
    let end = format!("-pr-{number}");
    let front: String = of.name.as_str().chars().take(50_usize.saturating_sub(end.len())).collect();
    let usual = format!("{}{end}", front.trim_end_matches('-'));
    let mut names = std::iter::once(usual.clone()).chain((2..).map(|count| format!("{usual}-{count}")));
    names.find(|name| !taken.contains(name)).expect("the numbers do not end").parse()
}

/// A copy in one container, without what only production needs.
fn small_copy(ground: &Ground, of: &App, environment: &Environment, fork: bool) -> App {
    let copy = copy_of(ground, of, environment);
    App {
        files: of.files.iter().filter(|file| !file.secret && !fork).cloned().collect(),
        keep_releases: 1,
        replicas: 1,
        // Nobody but its reviewers asks for it.
        canary: None,
        hours: None,
        ..copy
    }
}

/// Volumes of the copy of a database: empty ones, into which a copy of the data may come later.
fn database_volumes(
    ground: &Ground,
    from: &App,
    copy: &mut App,
    twins: &mut Twins<'_>,
    changes: Vec<VariableChange>,
) -> Result<Vec<Volume>> {
    twins.give(from, copy)?;
    let actor = Actor::system(copy.organization.clone());
    settled(ground, &actor, copy, twins.environment, &changes, None)
}

/// The variables of a preview, as they are gathered.
struct Given<'a> {
    rules: &'a PreviewRules,
    fork: bool,
    environment: VariableOwner,
    /// Those that the environment has, which stand in place of the apps' own.
    keys: BTreeSet<VariableKey>,
    variables: Vec<Variable>,
}

impl<'a> Given<'a> {
    fn new(ground: &Ground, rules: &'a PreviewRules, environment: &Environment, fork: bool) -> Result<Given<'a>> {
        let mut given = Given {
            rules,
            fork,
            environment: VariableOwner::Environment(environment.id.clone()),
            keys: BTreeSet::new(),
            variables: Vec::new(),
        };
        for wish in &rules.variables {
            given.keys.insert(wish.key.clone());
            if !(fork && wish.secret) {
                given.push_shared(ground, wish.key.clone(), wish.value.clone(), wish.scope, wish.secret);
            }
        }
        Ok(given)
    }

    fn push_shared(&mut self, ground: &Ground, key: VariableKey, value: Sealed, scope: VariableScope, secret: bool) {
        self.keys.insert(key.clone());
        self.variables.push(Variable {
            organization: self.rules.organization.clone(),
            owner: self.environment.clone(),
            key,
            value,
            scope,
            secret,
            refers: Vec::new(),
            updated_at: ground.world.now(),
            updated_by: "serverkit".into(),
        });
    }

    fn is_handed_on(&self, variable: &Variable) -> bool {
        !variable.secret || (!self.fork && self.rules.secrets.contains(&variable.key))
    }

    /// Those of an app and its services that its copy may have.
    fn add(&mut self, ground: &Ground, of: &App, copy: &App) -> Result<()> {
        let mut own: Vec<Variable> = variables_of(ground, &of.id)?.into_iter().map(|stored| stored.value).collect();
        own.retain(|variable| !self.keys.contains(&variable.key));
        let services = ground.store.variables.prefix(&format!("{}.", of.id))?;
        own.extend(services.into_iter().map(|stored| stored.value));
        for variable in own {
            if !self.is_handed_on(&variable) {
                continue;
            }
            let owner = match &variable.owner {
                VariableOwner::Service { service, .. } => VariableOwner::Service {
                    app: copy.id.clone(),
                    service: service.clone(),
                },
                _ => VariableOwner::App(copy.id.clone()),
            };
            self.variables.push(Variable { owner, ..variable });
        }
        Ok(())
    }

    /// A database does not start without its passwords: those that it may not have are made up, and its app finds them by
    /// name (`${POSTGRES_PASSWORD}`).
    fn add_database(&mut self, ground: &Ground, of: &App, copy: &App) -> Result<()> {
        for stored in variables_of(ground, &of.id)? {
            if self.keys.contains(&stored.key) || self.is_handed_on(&stored.value) {
                continue;
            }
            let made = Secret::from(ground.world.word(PASSWORD));
            ground.redactor.learn(&of.organization, &made);
            let sealed = ground.store.seal(&made)?;
            self.push_shared(ground, stored.key.clone(), sealed, stored.scope, true);
        }
        self.add(ground, of, copy)
    }

    /// As wishes, by key.
    fn changes(&self, ground: &Ground) -> Result<Vec<VariableChange>> {
        let mut all = BTreeMap::new();
        for variable in &self.variables {
            let change = VariableChange {
                key: variable.key.clone(),
                value: Some(ground.store.unseal(&variable.value)?),
                scope: Some(variable.scope),
                secret: Some(variable.secret),
            };
            all.insert(variable.key.clone(), change);
        }
        Ok(all.into_values().collect())
    }
}

/// Removes all that a preview has; `false`: something still ends, and the next turn goes on.
pub(crate) async fn remove(ground: &Ground, mut stored: Stored<Preview>) -> Result<bool> {
    if let Some(id) = stored.environment.clone() {
        let own = |app: &Stored<App>| app.environment == id;
        let apps: Vec<AppId> = ground.store.apps.list()?.into_iter().filter(own).map(|app| app.value.id).collect();
        if !copies::remove_apps(ground, &apps).await? {
            return Ok(false);
        }
        copies::remove_environment(ground, &id).await?;
    }
    if let Some(host) = &stored.host
        && let Some(certificate) = ground.store.certificates.find(host.as_str())?
    {
        ground.store.certificates.remove(certificate.host.as_str()).await?;
    }
    stored.environment = None;
    stored.app = None;
    stored.database = None;
    stored.host = None;
    stored.deployed = None;
    stored.problem = None;
    stored.updated_at = ground.world.now();
    if stored.state == PreviewState::Going {
        stored.state = PreviewState::Gone;
    }
    ground.store.previews.save(stored).await?;
    ground.wake_reconcile();
    ground.wake_certificates();
    Ok(true)
}
