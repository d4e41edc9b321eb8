//! Jobs of apps: commands in the image of what is live, at times or once. The work itself is in `job_runs`.

use crate::{
    apps::{find_app, not_trashed},
    cron::{next_after, upcoming},
    ground::Ground,
    job_runs::{self, Follow, Wish},
    sight::owned,
};
use futures::{StreamExt, stream::BoxStream};
use std::sync::Arc;
use store::Batch;
use telemetry::{Numbered, Page};
use types::{Action, Actor, App, AppJob, AppName, Error, Fact, JobRun, Kind, Overlap, Result, Slug, Time};

/// Jobs of one app.
const MOST: usize = 50;
/// Times to come that are shown of a job.
const SHOWN: usize = 3;

/// A job to make, or to have in place of one.
#[derive(Debug, Clone)]
pub struct JobWish {
    pub name: Slug,
    pub command: Vec<String>,
    pub service: Option<String>,
    pub cron: String,
    pub zone: String,
    pub limit_seconds: u32,
    pub overlap: Overlap,
    pub catch_up: bool,
    pub enabled: bool,
    pub alert: bool,
}

/// A command to run once.
#[derive(Debug, Clone)]
pub struct Once {
    pub command: Vec<String>,
    pub service: Option<String>,
    pub limit_seconds: u32,
    pub attached: bool,
}

#[derive(Debug, Clone)]
pub struct JobView {
    pub job: AppJob,
    pub app_name: AppName,
    /// When it is due, the next times.
    pub upcoming: Vec<Time>,
    /// The newest.
    pub last: Option<JobRun>,
}

#[derive(Debug, Clone)]
pub struct RunView {
    pub run: JobRun,
    pub app_name: AppName,
}

#[derive(Clone)]
pub struct AppJobs {
    ground: Arc<Ground>,
}

impl AppJobs {
    pub(crate) fn new(ground: Arc<Ground>) -> AppJobs {
        AppJobs { ground }
    }

    /// By name.
    pub async fn list(&self, actor: &Actor, app: &str) -> Result<Vec<JobView>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        self.views(&app)
    }

    /// Fails with `Taken` when the app has one of this name.
    pub async fn create(&self, actor: &Actor, app: &str, wish: JobWish) -> Result<JobView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Configure, app)?;
        not_trashed(&app)?;
        if ground.store.app_jobs.prefix(&format!("{}/", app.id))?.len() >= MOST {
            return Err(Error::busy(format!("`{}` has {MOST} jobs, which is the most", app.name)));
        }
        let job = AppJob {
            id: ground.world.id(),
            organization: app.organization.clone(),
            app: app.id.clone(),
            name: wish.name.clone(),
            command: Vec::new(),
            service: None,
            cron: String::new(),
            zone: String::new(),
            limit_seconds: 0,
            overlap: wish.overlap,
            catch_up: false,
            enabled: false,
            alert: true,
            next_at: None,
            waiting_since: None,
            created_at: ground.world.now(),
        };
        let job = self.fitted(&app, job, wish)?;
        ground.store.app_jobs.insert(job.clone()).await?;
        self.told(actor, &app, &job).await;
        Ok(self.view(&app, job, None))
    }

    /// `change` gets the job as a wish and answers it as it should be.
    pub async fn update(&self, actor: &Actor, app: &str, job: &str, change: impl FnOnce(JobWish) -> Result<JobWish>) -> Result<JobView> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        let old = self.find(&app, job)?;
        let wish = change(JobWish {
            name: old.name.clone(),
            command: old.command.clone(),
            service: old.service.clone(),
            cron: old.cron.clone(),
            zone: old.zone.clone(),
            limit_seconds: old.limit_seconds,
            overlap: old.overlap,
            catch_up: old.catch_up,
            enabled: old.enabled,
            alert: old.alert,
        })?;
        let new = self.fitted(&app, old.clone(), wish)?;
        let set = |job: &mut AppJob| {
            *job = new.clone();
            Ok(())
        };
        let stored = self.ground.store.app_jobs.update(&store::Record::key(&old), set).await?;
        self.told(actor, &app, &stored).await;
        let mut views = self.views(&app)?.into_iter();
        views
            .find(|view| view.job.id == old.id)
            .ok_or_else(|| Error::not_found(Kind::Job, job))
    }

    /// Its runs stay in the history.
    pub async fn remove(&self, actor: &Actor, app: &str, job: &str) -> Result<()> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        let job = self.find(&app, job)?;
        let stored = self.ground.store.app_jobs.get(&store::Record::key(&job))?;
        self.ground.store.commit(Batch::new().remove(&stored)).await?;
        self.told(actor, &app, &job).await;
        Ok(())
    }

    /// Runs a job now, whatever time it is.
    pub async fn run_job(&self, actor: &Actor, app: &str, job: &str) -> Result<RunView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        let job = self.find(&app, job)?;
        let run = job_runs::begin_job(&self.ground, &app, &job, actor.who.to_string()).await?;
        Ok(RunView { run, app_name: app.name })
    }

    /// Runs a command once, in a container of its own beside what is live. An `attached` one ends when nobody follows its
    /// output any more.
    pub async fn run(&self, actor: &Actor, app: &str, once: Once) -> Result<RunView> {
        actor.may_somewhere(Action::Terminal)?;
        let app = find_app(&self.ground, actor, Action::Terminal, app)?;
        not_trashed(&app)?;
        let wish = Wish {
            job: None,
            name: None,
            command: checked_command(once.command)?,
            service: self.checked_service(&app, once.service)?,
            limit_seconds: checked_limit(once.limit_seconds)?,
            attached: once.attached,
            by: actor.who.to_string(),
        };
        let run = job_runs::begin(&self.ground, &app, wish).await?;
        Ok(RunView { run, app_name: app.name })
    }

    /// Newest first; of one job only, by id or name.
    pub async fn runs(&self, actor: &Actor, app: &str, job: Option<&str>) -> Result<Vec<RunView>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let is_asked = |run: &JobRun| {
            job.is_none_or(|job| {
                run.job.as_ref().is_some_and(|id| id.as_str() == job) || run.name.as_ref().is_some_and(|name| name.as_str() == job)
            })
        };
        let mut runs = job_runs::of_app(&self.ground, &app.id)?;
        runs.reverse();
        let view = |run: JobRun| RunView {
            run,
            app_name: app.name.clone(),
        };
        Ok(runs.into_iter().filter(is_asked).map(view).collect())
    }

    pub async fn run_get(&self, actor: &Actor, id: &str) -> Result<RunView> {
        actor.may_somewhere(Action::View)?;
        self.found(actor, Action::View, id)
    }

    /// Ends a run; its container is removed.
    pub async fn cancel(&self, actor: &Actor, id: &str) -> Result<RunView> {
        actor.may_somewhere(Action::Deploy)?;
        let view = self.found(actor, Action::Deploy, id)?;
        if view.run.phase.is_final() {
            return Err(Error::busy("it has ended already"));
        }
        self.ground.job_runs.cancel(&view.run.id);
        Ok(view)
    }

    /// Lines of its log after line `after`, at most `limit`.
    pub async fn log(&self, actor: &Actor, id: &str, after: u64, limit: usize) -> Result<Page> {
        actor.may_somewhere(Action::View)?;
        let view = self.found(actor, Action::View, id)?;
        self.ground.logs.read(&job_runs::log_name(&view.run.id), after, limit).await
    }

    /// Lines of its log after line `after`, and those to come; ends with the run.
    pub async fn follow(&self, actor: &Actor, id: &str, after: u64) -> Result<BoxStream<'static, Numbered>> {
        actor.may_somewhere(Action::View)?;
        let view = self.found(actor, Action::View, id)?;
        let lines = self.ground.logs.follow(&job_runs::log_name(&view.run.id), after);
        Ok(Follow::new(&self.ground, &view.run.id, lines).boxed())
    }

    fn found(&self, actor: &Actor, action: Action, id: &str) -> Result<RunView> {
        let stored = self.ground.store.job_runs.claimed(id)?;
        let run = owned(&self.ground, actor, action, stored, Kind::Run, id)?;
        let app_name = self.ground.store.apps.get(run.app.as_str())?.name.clone();
        Ok(RunView { run, app_name })
    }

    /// By id or name.
    fn find(&self, app: &App, wanted: &str) -> Result<AppJob> {
        let all = self.ground.store.app_jobs.prefix(&format!("{}/", app.id))?;
        all.into_iter()
            .map(|stored| stored.value)
            .find(|job| job.id.as_str() == wanted || job.name.as_str() == wanted)
            .ok_or_else(|| Error::not_found(Kind::Job, wanted))
    }

    fn views(&self, app: &App) -> Result<Vec<JobView>> {
        let runs = job_runs::of_app(&self.ground, &app.id)?;
        let jobs = self.ground.store.app_jobs.prefix(&format!("{}/", app.id))?;
        let mut views: Vec<JobView> = jobs
            .into_iter()
            .map(|stored| {
                let last = runs.iter().rfind(|run| run.job.as_ref() == Some(&stored.id)).cloned();
                self.view(app, stored.value, last)
            })
            .collect();
        views.sort_by(|a, b| a.job.name.as_str().cmp(b.job.name.as_str()));
        Ok(views)
    }

    fn view(&self, app: &App, job: AppJob, last: Option<JobRun>) -> JobView {
        let upcoming = match job.next_at {
            Some(first) => std::iter::once(first)
                .chain(upcoming(&job.cron, &job.zone, first, SHOWN - 1))
                .collect(),
            None => Vec::new(),
        };
        JobView {
            last,
            upcoming,
            app_name: app.name.clone(),
            job,
        }
    }

    /// The job as it is wished, with the time when it is due next.
    fn fitted(&self, app: &App, job: AppJob, wish: JobWish) -> Result<AppJob> {
        let next = next_after(&wish.cron, &wish.zone, self.ground.world.now())?;
        Ok(AppJob {
            name: wish.name,
            command: checked_command(wish.command)?,
            service: self.checked_service(app, wish.service)?,
            cron: wish.cron,
            zone: wish.zone,
            limit_seconds: checked_limit(wish.limit_seconds)?,
            overlap: wish.overlap,
            catch_up: wish.catch_up,
            enabled: wish.enabled,
            alert: wish.alert,
            next_at: next.filter(|_| wish.enabled),
            waiting_since: job.waiting_since.filter(|_| wish.enabled),
            ..job
        })
    }

    fn checked_service(&self, app: &App, service: Option<String>) -> Result<Option<String>> {
        let Some(name) = &service else { return Ok(None) };
        if app.source.stack().is_none() {
            return Err(Error::invalid("service", format!("`{}` has no services", app.name)));
        }
        // What a Compose file of the source tree has is known once it was deployed.
        if let Some(live) = crate::releases::live(&self.ground, app)?.and_then(|release| release.stack)
            && !live.services.iter().any(|one| one.name == *name)
        {
            let names: Vec<_> = live.services.iter().map(|one| one.name.as_str()).collect();
            return Err(Error::invalid("service", format!("is none of {}", names.join(", "))));
        }
        Ok(service)
    }

    async fn told(&self, actor: &Actor, app: &App, job: &AppJob) {
        let fact = Fact::JobChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            job: job.name.to_string(),
        };
        self.ground.events.emit(actor, fact).await;
    }
}

fn checked_command(command: Vec<String>) -> Result<Vec<String>> {
    let bytes: usize = command.iter().map(String::len).sum();
    if command.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("command", "must name a program"));
    }
    if bytes > 64 << 10 || command.iter().any(|word| word.contains('\0')) {
        return Err(Error::invalid("command", "must be at most 64 KiB, without NUL"));
    }
    Ok(command)
}

fn checked_limit(seconds: u32) -> Result<u32> {
    match (1..=604_800).contains(&seconds) {
        true => Ok(seconds),
        false => Err(Error::invalid("limit_seconds", "must be between 1 and 604800")),
    }
}
