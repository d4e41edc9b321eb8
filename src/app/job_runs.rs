//! Runs of jobs and commands: begun, watched to their end, and begun again when it is time.
//!
//! A run is a container of its own. It does not outlive the panel: what a restart interrupted is closed in words, and its
//! container removed. Times that passed while the panel was off are recorded as missed, or made up for once. The schedule is a
//! time on disk beside each job, looked at each second, so that a restart, a clock that jumps and a change are one case.

use crate::{containers, cron::next_after, ground::Ground, job_alerts, releases, sleeping};
use async_trait::async_trait;
use futures::{Stream, stream::BoxStream};
use std::{
    collections::HashMap,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};
use store::{Batch, Stored};
use telemetry::{LogWriter, Numbered};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{
    Actor, App, AppId, AppJob, DesiredState, Error, Fact, JobId, JobRun, LogLine, LogStream, Overlap, Result, RunEnd, RunId, RunPhase,
    Slug, Time, report,
};

/// Runs of one app at once.
const AT_ONCE: usize = 10;
/// Runs of one app that are kept.
const KEPT: usize = 200;
/// Turns, of a second each, from one look at what is too old to the next.
const FORGET_EVERY: u64 = 600;
/// Later than this, a time was missed.
const LATE: Duration = Duration::from_secs(90);
/// How long a run that is to end has between the signal and the kill.
const GRACE: Duration = Duration::from_secs(10);
/// How long an attached run goes on without anybody who follows it: a client may lose its line and come back.
const ALONE: Duration = Duration::from_secs(20);

/// Runs that are under way in this process.
#[derive(Default)]
pub(crate) struct RunsUnderWay {
    runs: Mutex<HashMap<RunId, UnderWay>>,
}

#[derive(Default)]
struct UnderWay {
    cancel: CancellationToken,
    followers: usize,
}

impl RunsUnderWay {
    fn enter(&self, id: &RunId) -> CancellationToken {
        self.held().entry(id.clone()).or_default().cancel.clone()
    }
    fn leave(&self, id: &RunId) {
        self.held().remove(id);
    }
    fn has(&self, id: &RunId) -> bool {
        self.held().contains_key(id)
    }
    pub fn cancel(&self, id: &RunId) {
        if let Some(run) = self.held().get(id) {
            run.cancel.cancel();
        }
    }
    fn follow(&self, id: &RunId, by: isize) {
        if let Some(run) = self.held().get_mut(id) {
            run.followers = run.followers.saturating_add_signed(by);
        }
    }
    fn is_followed(&self, id: &RunId) -> bool {
        self.held().get(id).is_some_and(|run| run.followers > 0)
    }
    fn held(&self) -> MutexGuard<'_, HashMap<RunId, UnderWay>> {
        self.runs.lock().expect("no panic while held")
    }
}

/// The lines of a run for somebody who waits for them: as long as this is there, the run is followed.
pub(crate) struct Follow {
    ground: Arc<Ground>,
    id: RunId,
    lines: BoxStream<'static, Numbered>,
}

impl Follow {
    pub fn new(ground: &Arc<Ground>, id: &RunId, lines: BoxStream<'static, Numbered>) -> Follow {
        ground.job_runs.follow(id, 1);
        Follow {
            ground: ground.clone(),
            id: id.clone(),
            lines,
        }
    }
}

impl Stream for Follow {
    type Item = Numbered;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Numbered>> {
        self.lines.as_mut().poll_next(context)
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.ground.job_runs.follow(&self.id, -1);
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub job: Option<JobId>,
    pub name: Option<Slug>,
    pub command: Vec<String>,
    pub service: Option<String>,
    pub limit_seconds: u32,
    pub attached: bool,
    pub by: String,
}

impl Wish {
    pub fn of(job: &AppJob, by: String) -> Wish {
        Wish {
            job: Some(job.id.clone()),
            name: Some(job.name.clone()),
            command: job.command.clone(),
            service: job.service.clone(),
            limit_seconds: job.limit_seconds,
            attached: false,
            by,
        }
    }
}

pub(crate) fn log_name(id: &RunId) -> String {
    format!("run-{id}")
}

/// Oldest first.
pub(crate) fn of_app(ground: &Ground, app: &AppId) -> Result<Vec<JobRun>> {
    let all = ground.store.job_runs.prefix(&format!("{app}/"))?;
    Ok(all.into_iter().map(|stored| stored.value).collect())
}

/// Those that have not ended.
pub(crate) fn going(ground: &Ground, app: &AppId) -> Result<Vec<JobRun>> {
    Ok(of_app(ground, app)?.into_iter().filter(|run| !run.phase.is_final()).collect())
}

/// Ends all that run, of an app that goes.
pub(crate) fn end_all(ground: &Ground, app: &AppId) -> Result<()> {
    for run in going(ground, app)? {
        ground.job_runs.cancel(&run.id);
    }
    Ok(())
}

fn new_run(ground: &Ground, app: &App, wish: &Wish) -> Result<JobRun> {
    let release = app
        .release
        .clone()
        .ok_or_else(|| Error::busy(format!("`{}` has no release to run it in; deploy it", app.name)))?;
    // People put passwords into commands.
    let redacted = wish
        .command
        .iter()
        .map(|word| ground.redactor.redact_for(&app.organization, word).into_owned());
    Ok(JobRun {
        id: ground.world.id(),
        organization: app.organization.clone(),
        app: app.id.clone(),
        job: wish.job.clone(),
        name: wish.name.clone(),
        release,
        command: redacted.collect(),
        service: wish.service.clone(),
        limit_seconds: wish.limit_seconds,
        attached: wish.attached,
        by: wish.by.clone(),
        phase: RunPhase::Running,
        code: None,
        error: None,
        started_at: ground.world.now(),
        finished_at: None,
    })
}

/// Runs a job because somebody asks. Fails with `Busy` when it runs already, unless its runs may be beside each other.
pub(crate) async fn begin_job(ground: &Arc<Ground>, app: &App, job: &AppJob, by: String) -> Result<JobRun> {
    if job.overlap != Overlap::Beside && going(ground, &app.id)?.iter().any(|run| run.job.as_ref() == Some(&job.id)) {
        return Err(Error::busy(format!("{} runs already; wait for its end, or end it first", job.name)));
    }
    begin(ground, app, Wish::of(job, by)).await
}

/// Records a run and starts it. Fails with `Busy` when nothing is live, or too many runs are under way.
pub(crate) async fn begin(ground: &Arc<Ground>, app: &App, wish: Wish) -> Result<JobRun> {
    let going = going(ground, &app.id)?.len();
    if going >= AT_ONCE {
        return Err(Error::busy(format!(
            "{going} runs of `{}` are under way, which is the most",
            app.name
        )));
    }
    let run = new_run(ground, app, &wish)?;
    let token = ground.job_runs.enter(&run.id);
    if let Err(error) = ground.store.job_runs.insert(run.clone()).await {
        ground.job_runs.leave(&run.id);
        return Err(error);
    }
    moved(ground, app, &run).await;
    tokio::spawn(carry_out(ground.clone(), app.clone(), run.clone(), wish.command, token));
    Ok(run)
}

/// How a run ended: the phase, the exit code, and why it did not go well.
type Outcome = (RunPhase, Option<i64>, Option<String>);

async fn carry_out(ground: Arc<Ground>, app: App, mut run: JobRun, command: Vec<String>, cancel: CancellationToken) {
    let done = match ground.logs.writer(&log_name(&run.id), &run.organization).await {
        Ok(log) => {
            let done = match services_up(&ground, &app).await {
                Ok(()) => watched(&ground, &app, &run, command, &log, cancel).await,
                Err(error) => (RunPhase::Failed, None, Some(report(&error))),
            };
            if let Some(why) = &done.2 {
                note(&ground, &log, why.clone()).await;
            }
            if let Err(error) = log.finish().await {
                tracing::warn!("closing the log of run {}: {}", run.id, report(&error));
            }
            done
        }
        Err(error) => (RunPhase::Failed, None, Some(report(&error))),
    };
    (run.phase, run.code, run.error) = done;
    run.error = run
        .error
        .map(|why| ground.redactor.redact_for(&run.organization, &why).into_owned());
    run.finished_at = Some(ground.world.now());
    let saved = run.clone();
    let set = |stored: &mut JobRun| {
        *stored = saved.clone();
        Ok(())
    };
    let recorded = ground.store.job_runs.update(&store::Record::key(&run), set).await;
    ground.job_runs.leave(&run.id);
    match recorded {
        Ok(_) => moved(&ground, &app, &run).await,
        // The app was removed meanwhile.
        Err(Error::NotFound { .. }) => {}
        Err(error) => tracing::error!("run {}: {}", run.id, report(&error)),
    }
}

/// A run is a container of its own; but one of a stack may need its other services, which may sleep.
async fn services_up(ground: &Arc<Ground>, app: &App) -> Result<()> {
    match app.source.stack() {
        Some(_) => sleeping::awake(ground, &app.id, "a job").await,
        None => Ok(()),
    }
}

/// The run to its end: the command's own, or what somebody or the clock wants. Then its container has the time to end well.
async fn watched(ground: &Ground, app: &App, run: &JobRun, command: Vec<String>, log: &LogWriter, cancel: CancellationToken) -> Outcome {
    let limit = Duration::from_secs(run.limit_seconds.into());
    let mut work = pin!(attempt(ground, app, run, command, log));
    let (phase, why) = tokio::select! {
        end = &mut work => return ended(end, app),
        () = cancel.cancelled() => (RunPhase::Cancelled, "it was cancelled".to_owned()),
        () = tokio::time::sleep(limit) => (RunPhase::TimedOut, format!("it took longer than {} s", limit.as_secs())),
        () = left_alone(ground, run) => (RunPhase::Cancelled, "nobody followed it any more".to_owned()),
    };
    let name = containers::job_container(run.id.as_str());
    // What it says at its end is still taken down.
    let ending = async {
        if ground.node.container_stop(&name, GRACE).await.is_ok() {
            tokio::time::sleep(GRACE).await;
        }
    };
    tokio::select! {
        _ = work => {}
        () = ending => {}
    }
    (phase, None, Some(why))
}

/// Returns once an attached run was without a follower for [`ALONE`]; never for one that goes on by itself.
async fn left_alone(ground: &Ground, run: &JobRun) {
    if !run.attached {
        return std::future::pending().await;
    }
    let mut since = tokio::time::Instant::now();
    while since.elapsed() < ALONE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if ground.job_runs.is_followed(&run.id) {
            since = tokio::time::Instant::now();
        }
    }
}

/// The run's container, from its start to its end.
async fn attempt(ground: &Ground, app: &App, run: &JobRun, command: Vec<String>, log: &LogWriter) -> Result<RunEnd> {
    let release = releases::find(ground, &run.release)?.ok_or_else(|| Error::busy("its release was removed meanwhile"))?;
    let spec = containers::job_spec(ground, app, &release, run.service.as_deref(), command, run.id.as_str()).await?;
    let (sender, mut receiver) = mpsc::channel::<LogLine>(256);
    let copying = async {
        while let Some(line) = receiver.recv().await {
            log.line(line).await;
        }
    };
    let work = async {
        let end = containers::run(ground, app, &release, run.service.as_deref(), spec, &sender).await;
        drop(sender);
        end
    };
    tokio::join!(work, copying).0
}

fn ended(end: Result<RunEnd>, app: &App) -> Outcome {
    match end {
        Ok(RunEnd {
            code: 0,
            out_of_memory: false,
        }) => (RunPhase::Done, Some(0), None),
        Ok(RunEnd { code, out_of_memory: true }) => {
            let why = format!("killed: out of memory, limit {} MiB", app.limits.memory_bytes >> 20);
            (RunPhase::Failed, Some(code), Some(why))
        }
        Ok(RunEnd { code, .. }) => (RunPhase::Failed, Some(code), Some(format!("exited with code {code}"))),
        Err(error) => (RunPhase::Failed, None, Some(report(&error))),
    }
}

async fn note(ground: &Ground, log: &LogWriter, text: String) {
    log.line(LogLine {
        at: ground.world.now(),
        stream: LogStream::Note,
        text,
    })
    .await;
}

/// Tells the listeners, and those who should know when it did not go well.
async fn moved(ground: &Ground, app: &App, run: &JobRun) {
    let actor = Actor::system(app.organization.clone());
    let fact = Fact::RunMoved {
        app: app.id.clone(),
        name: app.name.to_string(),
        run: run.id.clone(),
        phase: run.phase,
    };
    ground.events.emit(&actor, fact).await;
    if run.phase.is_bad() {
        let fact = Fact::RunFailed {
            app: app.id.clone(),
            name: app.name.to_string(),
            run: run.id.clone(),
            what: what_ran(run),
            why: run.error.clone().unwrap_or_default(),
        };
        ground.events.emit(&actor, fact).await;
    } else if job_alerts::recovers(ground, run).unwrap_or_else(|error| {
        tracing::warn!("whether a job is well again: {}", report(&error));
        false
    }) {
        let fact = Fact::RunRecovered {
            app: app.id.clone(),
            name: app.name.to_string(),
            run: run.id.clone(),
            what: what_ran(run),
        };
        ground.events.emit(&actor, fact).await;
    }
}

fn what_ran(run: &JobRun) -> String {
    match &run.name {
        Some(name) => format!("the job {name}"),
        None => "a command".to_owned(),
    }
}

/// Begins what is due, and closes what a restart left.
pub struct JobRunner {
    ground: Arc<Ground>,
    turns: u64,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct JobRunnerReport {
    pub begun: usize,
    pub skipped: usize,
    pub lost: usize,
    pub forgotten: usize,
}

impl JobRunner {
    pub(crate) fn new(ground: Arc<Ground>) -> JobRunner {
        JobRunner { ground, turns: 0 }
    }

    /// What an earlier process left: in this one, every run is watched.
    async fn close_lost(&self) -> Result<usize> {
        let ground = &self.ground;
        let mut lost = 0;
        for mut stored in ground.store.job_runs.list()? {
            if stored.phase.is_final() || ground.job_runs.has(&stored.id) {
                continue;
            }
            stored.phase = RunPhase::Lost;
            stored.error = Some("serverkit was restarted while it ran".into());
            stored.finished_at = Some(ground.world.now());
            let run = stored.value.clone();
            ground.store.commit(Batch::new().save(stored)).await?;
            if let Some(app) = ground.store.apps.find(run.app.as_str())? {
                let name = containers::job_container(run.id.as_str());
                if let Err(error) = ground.node.container_remove(&name).await {
                    tracing::warn!("removing {name}: {}", report(&error));
                }
                moved(ground, &app, &run).await;
            }
            if let Ok(log) = ground.logs.writer(&log_name(&run.id), &run.organization).await {
                note(
                    ground,
                    &log,
                    "serverkit was restarted while this ran; its container was removed".into(),
                )
                .await;
                log.finish().await?;
            }
            lost += 1;
        }
        Ok(lost)
    }

    /// Begins one that is due, or says why not; either way it is due again later.
    async fn due(&self, mut stored: Stored<AppJob>, report_: &mut JobRunnerReport) -> Result<()> {
        let ground = &self.ground;
        let now = ground.world.now();
        let due_at = stored.next_at.unwrap_or(now);
        stored.next_at = next_after(&stored.cron, &stored.zone, now).unwrap_or(None);
        let Some(app) = self.runs_jobs(&stored)? else {
            return ground.store.commit(Batch::new().save(stored)).await.map(drop);
        };
        let late = now.since(due_at) > LATE;
        let is_going = self.is_going(&stored)?;
        let by = match late {
            true => format!("its schedule, made up for {due_at}"),
            false => "its schedule".to_owned(),
        };
        let wish = Wish::of(&stored, by);
        let left_out = match stored.overlap {
            _ if late && !stored.catch_up => Some((RunPhase::Missed, missed_words(&stored, due_at, now))),
            Overlap::Skip if is_going => Some((RunPhase::Skipped, "the run before it was still going".to_owned())),
            Overlap::Queue if is_going && stored.waiting_since.is_some() => Some((
                RunPhase::Skipped,
                "the run before it was still going, and another one waits".to_owned(),
            )),
            _ => None,
        };
        let waits = left_out.is_none() && is_going && matches!(stored.overlap, Overlap::Queue | Overlap::Replace);
        if waits {
            stored.waiting_since = stored.waiting_since.or(Some(now));
        }
        let (job, replaces) = (stored.value.clone(), stored.overlap == Overlap::Replace);
        ground.store.commit(Batch::new().save(stored)).await?;
        match left_out {
            Some((phase, why)) => self.leave_out(&app, &wish, phase, why, report_).await,
            None if waits => {
                if replaces {
                    self.end_runs(&job)?;
                }
                Ok(())
            }
            None => self.try_to_begin(&app, wish, report_).await,
        }
    }

    /// Begins one that waited, once nothing of its job runs any more.
    async fn waiting(&self, mut stored: Stored<AppJob>, report_: &mut JobRunnerReport) -> Result<()> {
        if self.is_going(&stored)? {
            return Ok(());
        }
        stored.waiting_since = None;
        let app = self.runs_jobs(&stored)?;
        let wish = Wish::of(&stored, "its schedule, after the run before".into());
        self.ground.store.commit(Batch::new().save(stored)).await?;
        match app {
            Some(app) => self.try_to_begin(&app, wish, report_).await,
            None => Ok(()),
        }
    }

    /// The job's app, unless nothing of it runs: stopped, never deployed, in the trash.
    fn runs_jobs(&self, job: &AppJob) -> Result<Option<App>> {
        let app = self.ground.store.apps.find(job.app.as_str())?.map(|stored| stored.value);
        Ok(app.filter(|app| app.trashed_at.is_none() && app.release.is_some() && app.desired == DesiredState::Running))
    }

    fn is_going(&self, job: &AppJob) -> Result<bool> {
        Ok(going(&self.ground, &job.app)?.iter().any(|run| run.job.as_ref() == Some(&job.id)))
    }

    fn end_runs(&self, job: &AppJob) -> Result<()> {
        for run in going(&self.ground, &job.app)? {
            if run.job.as_ref() == Some(&job.id) {
                self.ground.job_runs.cancel(&run.id);
            }
        }
        Ok(())
    }

    async fn try_to_begin(&self, app: &App, wish: Wish, report_: &mut JobRunnerReport) -> Result<()> {
        match begin(&self.ground, app, wish.clone()).await {
            Ok(_) => {
                report_.begun += 1;
                Ok(())
            }
            Err(error) => self.leave_out(app, &wish, RunPhase::Skipped, report(&error), report_).await,
        }
    }

    /// A time at which nothing ran is in the history too.
    async fn leave_out(&self, app: &App, wish: &Wish, phase: RunPhase, why: String, report_: &mut JobRunnerReport) -> Result<()> {
        report_.skipped += 1;
        let mut run = new_run(&self.ground, app, wish)?;
        (run.phase, run.error, run.finished_at) = (phase, Some(why), Some(run.started_at));
        self.ground.store.job_runs.insert(run.clone()).await?;
        moved(&self.ground, app, &run).await;
        Ok(())
    }

    /// The oldest runs beyond what is kept, with their logs.
    async fn forget_old(&self) -> Result<usize> {
        let ground = &self.ground;
        let mut by_app: HashMap<AppId, Vec<Stored<JobRun>>> = HashMap::new();
        for stored in ground.store.job_runs.list()? {
            by_app.entry(stored.app.clone()).or_default().push(stored);
        }
        let mut forgotten = 0;
        for (app, runs) in by_app {
            let is_gone = ground.store.apps.find(app.as_str())?.is_none();
            let over = if is_gone { runs.len() } else { runs.len().saturating_sub(KEPT) };
            for stored in runs[..over].iter().filter(|run| run.phase.is_final()) {
                ground.store.commit(Batch::new().remove(stored)).await?;
                ground.logs.remove(&log_name(&stored.id)).await?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }
}

#[async_trait]
impl jobs::Job for JobRunner {
    const NAME: &'static str = "app_jobs";
    type Report = JobRunnerReport;

    async fn run(&mut self) -> Result<JobRunnerReport> {
        let mut report_ = JobRunnerReport::default();
        if self.turns == 0 {
            report_.lost = self.close_lost().await?;
        }
        if self.turns.is_multiple_of(FORGET_EVERY) {
            report_.forgotten = self.forget_old().await?;
        }
        self.turns += 1;
        let now = self.ground.world.now();
        for stored in self.ground.store.app_jobs.list()? {
            if stored.enabled && stored.next_at.is_some_and(|at| at <= now) {
                self.due(stored, &mut report_).await?;
            } else if stored.waiting_since.is_some() {
                self.waiting(stored, &mut report_).await?;
            }
        }
        Ok(report_)
    }
}

/// `the panel was off at 3 times, from … to …`.
fn missed_words(job: &AppJob, first: Time, now: Time) -> String {
    let (mut times, mut last) = (1, first);
    while let Ok(Some(next)) = next_after(&job.cron, &job.zone, last)
        && next <= now
        && times < 1000
    {
        (times, last) = (times + 1, next);
    }
    match times {
        1 => format!("it was time at {first}, when serverkit did not run"),
        1000 => format!("it was time more than 1000 times since {first}, when serverkit did not run"),
        _ => format!("it was time {times} times from {first} to {last}, when serverkit did not run"),
    }
}
