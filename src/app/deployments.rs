//! The queue of deployments, and what people ask of it. The work itself is in `deployer`.

use crate::{
    apps::{find_app, is_active, not_trashed},
    deployer::Waits,
    forge_reports, forges, freezes,
    ground::Ground,
    promotions, quotas, release_ports, release_routes, releases,
    sight::{of, owned},
    superseding, uploads,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use source::Login;
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::{Batch, Stored};
use telemetry::{Numbered, Page};
use types::{
    Action, Actor, App, AppId, AppName, Cause, Deployment, DeploymentId, DesiredState, Error, Fact, Family, ForgeReport, GitRef, GitSource,
    Kind, Phase, Release, Result, Source, Step, UploadId,
};

#[derive(Debug, Clone)]
pub struct DeploymentView {
    pub deployment: Deployment,
    pub app_name: AppName,
    pub cancellable: bool,
    /// Why it has not begun yet.
    pub waits: Option<Waits>,
}

/// What to deploy.
#[derive(Debug, Clone, Default)]
pub enum Wanted {
    /// As the app's source says: its branch, its image, what was uploaded last.
    #[default]
    Usual,
    /// In place of the app's branch.
    Reference(GitRef),
    /// In place of what the app is made from otherwise.
    Upload(UploadId),
    /// Of an app from an image: another tag or digest of its repository.
    Image(String),
}

impl From<Option<GitRef>> for Wanted {
    fn from(reference: Option<GitRef>) -> Wanted {
        reference.map_or(Wanted::Usual, Wanted::Reference)
    }
}

/// Lines of a log that are looked through at a time.
const SEARCHED: usize = 5_000;
/// Who follows a log in which nothing comes for so long looks whether anything still can.
const SILENCE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct Deployments {
    ground: Arc<Ground>,
}

impl Deployments {
    pub(crate) fn new(ground: Arc<Ground>) -> Deployments {
        Deployments { ground }
    }

    /// Queues a deployment. One that still waits may give way to it.
    pub async fn create(&self, actor: &Actor, app: &str, wanted: Wanted) -> Result<DeploymentView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        must_be_unlocked(&self.ground, &app)?;
        self.create_for(actor, &app, wanted).await
    }

    /// The same in spite of a freeze, for an administrator with a reason. A lock still holds.
    pub async fn create_anyway(&self, actor: &Actor, app: &str, wanted: Wanted, why: &str) -> Result<DeploymentView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        must_have_no_lock(&self.ground, &app)?;
        let now = self.ground.world.now();
        let Some(frozen) = freezes::frozen(&self.ground.store, &app.organization, &app.environment, now)? else {
            return self.create_for(actor, &app, wanted).await;
        };
        actor.may(Action::Administer)?;
        let why = why.trim();
        if why.is_empty() || why.chars().count() > 200 || why.chars().any(char::is_control) {
            return Err(Error::invalid("anyway", "must be a reason: one line of 1 to 200 letters"));
        }
        let view = self.create_for(actor, &app, wanted).await?;
        let fact = Fact::FreezeOverridden {
            app: app.id.clone(),
            name: app.name.to_string(),
            freeze: frozen.name,
            why: why.to_owned(),
        };
        self.ground.events.emit(actor, fact).await;
        Ok(view)
    }

    async fn create_for(&self, actor: &Actor, app: &App, wanted: Wanted) -> Result<DeploymentView> {
        match &wanted {
            Wanted::Reference(_) if !matches!(app.source, Source::Git(_)) => {
                return Err(Error::invalid(
                    "reference",
                    "an app that is not from Git has no branches; change its source instead",
                ));
            }
            Wanted::Upload(id) => drop(uploads::find(&self.ground, app, id)?),
            Wanted::Image(_) if !matches!(app.source, Source::Image { .. }) => {
                return Err(Error::invalid(
                    "image",
                    "only an app from an image has tags; name a reference or an upload of this one",
                ));
            }
            Wanted::Reference(_) | Wanted::Image(_) | Wanted::Usual => {}
        }
        self.queue(actor, app, Cause::Manual, wanted).await
    }

    /// Queues the way back to a release: of the deployment or release that is named, or the one that was live before.
    /// Its domains get their rules and policies back too, and its ports of the server lead as they did, unless `keep_routes` or `actor`
    /// may not change those: who goes back gains no right by it. What stays for that reason is said in the deployment.
    pub async fn roll_back(&self, actor: &Actor, app: &str, to: Option<&str>, keep_routes: bool) -> Result<DeploymentView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        let releases = releases::releases_of(&self.ground, &app.id)?;
        let target = match to {
            Some(to) => releases::named(&releases, to)?,
            None => releases
                .iter()
                .rev()
                .find(|release| Some(&release.id) == releases::live_before(&self.ground, &app).as_ref())
                .ok_or_else(|| Error::busy(format!("`{}` has no earlier release to go back to", app.name)))?,
        };
        if app.release.as_ref() == Some(&target.id) {
            return Err(Error::busy(format!("release #{} is live already", target.number)));
        }
        // It goes with its deployment when that fails.
        if find(&self.ground, &target.deployment)?.is_some_and(|made_by| is_active(made_by.phase)) {
            return Err(Error::busy(format!("release #{} is just being deployed", target.number)));
        }
        let cause = self.way_back(actor, &app, target, keep_routes)?;
        quotas::must_fit_with(&self.ground, Some(&app), &app, Some(target))?;
        self.queue(actor, &app, cause, Wanted::Usual).await
    }

    /// The way back to a release as far as `actor` may go it.
    fn way_back(&self, actor: &Actor, app: &App, target: &Release, keep_routes: bool) -> Result<Cause> {
        let ground = &self.ground;
        let may_configure = actor.touching(Family::Domains).may_in(Action::Configure, &app.place());
        let may_open = actor.may(Action::Operate);
        let reach = release_routes::reach(ground, actor, target);
        let mut kept = Vec::new();
        match &may_configure {
            _ if keep_routes => {}
            Ok(()) => kept = release_routes::kept(ground, target, &reach)?,
            Err(why) if release_routes::would_change(ground, target)? => {
                kept.push(format!("domains stay as they are: changing them is not yours to do ({why})"));
            }
            Err(_) => {}
        }
        if let (Err(why), false) = (&may_open, keep_routes)
            && release_ports::would_change(ground, target)?
        {
            kept.push(format!(
                "ports of the server stay as they are: changing them is not yours to do ({why})"
            ));
        }
        Ok(Cause::Rollback {
            to: target.id.clone(),
            keep_routes: keep_routes || may_configure.is_err(),
            keep_ports: keep_routes || may_open.is_err(),
            reach,
            kept,
            why: None,
        })
    }

    /// Queues a deployment of `to` with the images of a release of `app`: the live one, unless another is named. `to` is an
    /// app of the same project, or an environment in which there is an app of the same name. Variables, limits and all else
    /// are the target's own.
    pub async fn promote(&self, actor: &Actor, app: &str, release: Option<&str>, to: &str) -> Result<DeploymentView> {
        actor.may_somewhere(Action::Deploy)?;
        let ground = &self.ground;
        let from = find_app(ground, actor, Action::View, app)?;
        let release = releases::promoted(ground, &from, release)?;
        let target = releases::other_place(ground, actor, Action::Deploy, &from, to)?;
        not_trashed(&target)?;
        must_be_unlocked(ground, &target)?;
        promotions::must_fit(ground, &release, &target)?;
        let cause = Cause::Promotion {
            app: from.id.clone(),
            release: release.id,
        };
        self.queue(actor, &target, cause, Wanted::Usual).await
    }

    async fn queue(&self, actor: &Actor, app: &App, cause: Cause, wanted: Wanted) -> Result<DeploymentView> {
        actor.may_in(Action::Deploy, &app.place())?;
        let ground = &self.ground;
        quotas::may_deploy(ground, app, &cause)?;
        loop {
            let mut stored = ground.store.apps.get(app.id.as_str())?;
            not_trashed(&stored)?;
            stored.desired = DesiredState::Running;
            let batch = queue(
                ground,
                actor.who.to_string(),
                &mut stored.value,
                cause.clone(),
                wanted.clone(),
                Batch::new(),
            )?;
            let id = stored.last_deployment.clone().expect("it was queued just now");
            match ground.store.commit(batch.save(stored)).await {
                Err(Error::Stale { .. }) => continue,
                other => other?,
            }
            let deployment = find(ground, &id)?.ok_or_else(|| Error::not_found(Kind::Deployment, &id))?;
            ground.events.emit(actor, moved(app, &deployment)).await;
            ground.wake_deploy();
            return Ok(view(ground, app.name.clone(), deployment));
        }
    }

    /// Asks the deployment to end. What is live stays live.
    pub async fn cancel(&self, actor: &Actor, id: &str) -> Result<DeploymentView> {
        actor.may_somewhere(Action::Deploy)?;
        let (deployment, app) = self.find(actor, Action::Deploy, id)?;
        if deployment.phase.is_final() {
            return Err(Error::busy(format!(
                "#{} is {} already",
                deployment.number,
                deployment.phase.word()
            )));
        }
        let stored = self
            .ground
            .store
            .deployments
            .update(&store::Record::key(&deployment), |deployment| {
                deployment.cancel_requested = true;
                Ok(())
            })
            .await?;
        self.ground.running.cancel(&deployment.id);
        self.ground.wake_deploy();
        Ok(view(&self.ground, app.name.clone(), stored.value))
    }

    /// Newest first: of one app, or of all; only unfinished ones if `active`.
    pub async fn list(&self, actor: &Actor, app: Option<&str>, active: bool) -> Result<Vec<DeploymentView>> {
        actor.may_somewhere(Action::View)?;
        let ground = &self.ground;
        let names: HashMap<AppId, AppName> = of(ground, actor, ground.store.apps.list()?)?
            .into_iter()
            .map(|app| (app.id.clone(), app.name))
            .collect();
        let all = match app {
            Some(app) => ground
                .store
                .deployments
                .prefix(&format!("{}/", find_app(ground, actor, Action::View, app)?.id))?,
            None => ground.store.deployments.list()?,
        };
        let mut views: Vec<_> = all
            .into_iter()
            .map(|stored| stored.value)
            .filter(|deployment| deployment.organization == actor.organization && (!active || is_active(deployment.phase)))
            .filter_map(|deployment| Some(view(ground, names.get(&deployment.app)?.clone(), deployment)))
            .collect();
        views.sort_by(|a, b| b.deployment.id.cmp(&a.deployment.id));
        Ok(views)
    }

    pub async fn get(&self, actor: &Actor, id: &str) -> Result<DeploymentView> {
        actor.may_somewhere(Action::View)?;
        let (deployment, app) = self.find(actor, Action::View, id)?;
        Ok(view(&self.ground, app.name, deployment))
    }

    /// Lines of its log after line `after`, at most `limit`.
    pub async fn log(&self, actor: &Actor, id: &str, after: u64, limit: usize) -> Result<Page> {
        actor.may_somewhere(Action::View)?;
        let (deployment, _) = self.find(actor, Action::View, id)?;
        // Asked before the log is read: what is over by then writes no more.
        let over = is_over(&self.ground, &deployment.id);
        let mut page = self.ground.logs.read(&log_name(&deployment.id), after, limit).await?;
        page.complete |= over && page.lines.is_empty();
        Ok(page)
    }

    /// Of its whole log after line `after`: the first `limit` lines with `text` in them, whatever the case, each with the step in which it
    /// was printed. The page's `next` is where the search goes on.
    pub async fn log_search(&self, actor: &Actor, id: &str, after: u64, limit: usize, text: &str) -> Result<(Page, Vec<Option<String>>)> {
        actor.may_somewhere(Action::View)?;
        let (deployment, _) = self.find(actor, Action::View, id)?;
        let name = log_name(&deployment.id);
        let text = text.to_lowercase();
        let (mut found, mut steps) = (Vec::new(), Vec::new());
        // From the start, since a step may have begun before `after`.
        let (mut step, mut seen) = (None, 0);
        loop {
            let page = self.ground.logs.read(&name, seen, SEARCHED).await?;
            for numbered in &page.lines {
                let is_note = numbered.line.stream == types::LogStream::Note;
                if numbered.n > after && numbered.line.text.to_lowercase().contains(&text) {
                    if found.len() == limit {
                        let next = found.last().map_or(after, |last: &Numbered| last.n);
                        return Ok((
                            Page {
                                lines: found,
                                next,
                                complete: false,
                            },
                            steps,
                        ));
                    }
                    steps.push(step.clone().filter(|_| !is_note));
                    found.push(numbered.clone());
                }
                if is_note {
                    step = Some(numbered.line.text.clone());
                }
            }
            seen = page.next;
            if page.lines.is_empty() {
                let next = seen.max(after);
                return Ok((
                    Page {
                        lines: found,
                        next,
                        complete: page.complete,
                    },
                    steps,
                ));
            }
        }
    }

    /// Lines of its log after line `after`, and those to come; ends with the deployment, also with one that never began.
    pub async fn follow(&self, actor: &Actor, id: &str, after: u64) -> Result<BoxStream<'static, Numbered>> {
        actor.may_somewhere(Action::View)?;
        let (deployment, _) = self.find(actor, Action::View, id)?;
        let lines = self.ground.logs.follow(&log_name(&deployment.id), after);
        Ok(until_over(self.ground.clone(), deployment.id, lines))
    }

    /// What the app's forge was told of it; `None`: the app is from no connected forge, or there was no commit yet.
    pub async fn forge_report(&self, actor: &Actor, id: &str) -> Result<Option<ForgeReport>> {
        actor.may_somewhere(Action::View)?;
        let (deployment, _) = self.find(actor, Action::View, id)?;
        let known = self.ground.store.forge_reports.find(deployment.id.as_str())?;
        Ok(known.map(|stored| stored.value))
    }

    /// Tells the forge again, now. Fails with `Busy` when there is nothing to tell.
    pub async fn report_again(&self, actor: &Actor, id: &str) -> Result<ForgeReport> {
        actor.may_somewhere(Action::Deploy)?;
        let (deployment, _) = self.find(actor, Action::Deploy, id)?;
        let now = self.ground.world.now();
        let again = |known: &mut ForgeReport| {
            known.next_at = Some(now);
            known.failures = 0;
            Ok(())
        };
        match self.ground.store.forge_reports.update(deployment.id.as_str(), again).await {
            Err(Error::NotFound { .. }) => Err(Error::busy("there is no forge to tell of this deployment")),
            other => {
                self.ground.wake_forge_reports();
                other.map(|stored| stored.value)
            }
        }
    }

    fn find(&self, actor: &Actor, action: Action, id: &str) -> Result<(Deployment, App)> {
        let stored = self.ground.store.deployments.claimed(id)?;
        let deployment = owned(&self.ground, actor, action, stored, Kind::Deployment, id)?;
        let app = self.ground.store.apps.get(deployment.app.as_str())?.value;
        Ok((deployment, app))
    }
}

/// Whether nothing more comes to its log: it has ended, and so has its work.
fn is_over(ground: &Ground, id: &DeploymentId) -> bool {
    let has_ended = match find(ground, id) {
        Ok(found) => found.is_none_or(|deployment| deployment.phase.is_final()),
        Err(_) => false,
    };
    has_ended && !ground.running.has(id)
}

/// Ends the lines of a log that nobody closes: of a deployment that gave way or was cancelled before it began, or whose panel was killed
/// when it was live already. It ends when nothing came for [`SILENCE`] after it was over.
fn until_over(ground: Arc<Ground>, id: DeploymentId, lines: BoxStream<'static, Numbered>) -> BoxStream<'static, Numbered> {
    stream::unfold((ground, id, lines), |(ground, id, mut lines)| async move {
        let mut over = false;
        loop {
            match tokio::time::timeout(SILENCE, lines.next()).await {
                Ok(line) => return line.map(|line| (line, (ground, id, lines))),
                Err(_) if over => return None,
                Err(_) => over = is_over(&ground, &id),
            }
        }
    })
    .boxed()
}

pub(crate) fn view(ground: &Ground, app_name: AppName, deployment: Deployment) -> DeploymentView {
    DeploymentView {
        waits: ground.running.waits(&deployment.id).filter(|_| deployment.phase == Phase::Queued),
        cancellable: is_active(deployment.phase) && !deployment.cancel_requested,
        app_name,
        deployment,
    }
}

pub(crate) fn find(ground: &Ground, id: &DeploymentId) -> Result<Option<Deployment>> {
    Ok(ground.store.deployments.claimed(id.as_str())?.map(|stored| stored.value))
}

/// Whether one of the app waits or is under way. For those who ask again and again: it reads what the queue held when it was looked at last,
/// and the newest, not all that the app ever had. What came since then does not end before the queue is looked at again, unless it gives way to
/// the newest: so that stands for it.
pub(crate) fn is_any_active(ground: &Ground, app: &App) -> Result<bool> {
    let Some(open) = ground.running.open(&app.id) else {
        let all = ground.store.deployments.prefix(&format!("{}/", app.id))?;
        return Ok(all.iter().any(|one| is_active(one.phase)));
    };
    for id in open.iter().chain(&app.last_deployment) {
        if find(ground, id)?.is_some_and(|one| is_active(one.phase)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds a queued deployment of `app` to the batch, and closes those that still wait and give way to it. The caller saves `app`.
/// Fails with `Busy` when nothing was uploaded yet.
pub(crate) fn queue(ground: &Ground, by: String, app: &mut App, cause: Cause, wanted: Wanted, mut batch: Batch) -> Result<Batch> {
    let image = match (&wanted, &app.source) {
        (Wanted::Image(wanted), Source::Image { reference }) => Some(reference.at(wanted)?),
        _ => None,
    };
    let (reference, upload) = match (wanted, &app.source, &cause) {
        (Wanted::Reference(reference), ..) => (Some(reference), None),
        (Wanted::Upload(upload), ..) => (None, Some(upload)),
        (Wanted::Usual, Source::Upload(source), Cause::Manual | Cause::Created | Cause::Push { .. }) => {
            let none = || Error::busy(format!("nothing was uploaded for `{}` yet; upload its source first", app.name));
            (None, Some(source.newest.clone().ok_or_else(none)?))
        }
        (Wanted::Usual | Wanted::Image(_), ..) => (None, None),
    };
    let now = ground.world.now();
    app.deployments += 1;
    let release = match &cause {
        Cause::Rollback { to, .. } => Some(to.clone()),
        Cause::Manual | Cause::Created | Cause::Push { .. } | Cause::Promotion { .. } | Cause::NewImage { .. } => None,
    };
    let deployment = Deployment {
        id: ground.world.id(),
        organization: app.organization.clone(),
        app: app.id.clone(),
        number: app.deployments,
        cause,
        by,
        reference,
        commit: None,
        upload,
        image,
        built_on: None,
        phase: Phase::Queued,
        steps: vec![Step {
            phase: Phase::Queued,
            started_at: now,
            finished_at: None,
        }],
        release,
        previous: app.release.clone(),
        error: None,
        cancel_requested: false,
        begun: 0,
        queued_at: now,
        finished_at: None,
    };
    for mut waiting in waiting_of(ground, &app.id)? {
        if !superseding::gives_way(&waiting, &deployment) {
            continue;
        }
        waiting.enter(Phase::Superseded, now);
        waiting.error = Some(format!("#{} came before this one began", deployment.number));
        batch = forge_reports::note(ground, app, &waiting, batch)?;
        batch = batch.save(waiting);
    }
    app.last_deployment = Some(deployment.id.clone());
    Ok(batch.insert(deployment))
}

pub(crate) fn waiting_of(ground: &Ground, app: &AppId) -> Result<Vec<Stored<Deployment>>> {
    let all = ground.store.deployments.prefix(&format!("{app}/"))?;
    Ok(all.into_iter().filter(|deployment| deployment.phase == Phase::Queued).collect())
}

/// Fails with `Busy` while deployments of the app are locked, or a freeze holds.
pub(crate) fn must_be_unlocked(ground: &Ground, app: &App) -> Result<()> {
    must_have_no_lock(ground, app)?;
    freezes::must_not_hold(ground, &app.organization, &app.environment)
}

fn must_have_no_lock(ground: &Ground, app: &App) -> Result<()> {
    match app.locked(ground.world.now()) {
        Some(lock) => Err(Error::busy(format!("{}; unlock them first", lock.words()))),
        None => Ok(()),
    }
}

/// How to get into an app's repository. Of one at a connected forge this may ask the forge for a token.
pub(crate) async fn git_login(ground: &Ground, git: &GitSource) -> Result<Login> {
    if let Some(repository) = &git.forge {
        return forges::access::login(ground, repository).await;
    }
    match &git.deploy_key {
        Some(key) if git.url.is_ssh() => Ok(Login::Key {
            private: ground.store.unseal(key)?,
        }),
        _ => password_login(ground, git.user.as_deref(), git.password.as_ref()),
    }
}

/// For http(s).
pub(crate) fn password_login(ground: &Ground, user: Option<&str>, password: Option<&types::Sealed>) -> Result<Login> {
    let Some(password) = password else { return Ok(Login::None) };
    Ok(Login::Password {
        // Forges take any name, or this one, with a token.
        user: user.unwrap_or("git").to_owned(),
        password: ground.store.unseal(password)?,
    })
}

/// What the log of a deployment is called.
pub(crate) fn log_name(id: &DeploymentId) -> String {
    format!("deployment-{id}")
}

/// What happened, for the listeners.
pub(crate) fn moved(app: &App, deployment: &Deployment) -> Fact {
    Fact::DeploymentMoved {
        app: app.id.clone(),
        name: app.name.to_string(),
        deployment: deployment.id.clone(),
        number: deployment.number,
        phase: deployment.phase,
        error: deployment.error.clone(),
    }
}
