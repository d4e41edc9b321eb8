//! Jobs of apps, commands that are run once, and what became of each run.

use crate::{
    Panel,
    answers::{Accepted, Created, Done, Named, Page, accepted, created, moment, page},
    deployments::{DeploymentLine, DeploymentLog},
    failures::{Answer, Failure},
    signed::Signed,
    tags::Tag,
};
use futures::StreamExt;
use poem::web::websocket::BoxWebSocketUpgraded;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::{MaybeUndefined, ToJSON},
};
use time::OffsetDateTime;

use crate::live::Upgrade;

/// A command that is run again and again, with the image, variables, files and volumes of what is live.
#[derive(Debug, Object)]
pub struct AppJob {
    pub id: String,
    /// Unique in the app.
    pub name: String,
    /// Arguments; no shell.
    pub command: Vec<String>,
    /// Which service's image, of an app of several; null: the main one's.
    pub service: Option<String>,
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// Such as `Europe/Berlin`.
    pub zone: String,
    /// A run that takes longer is ended.
    pub limit_seconds: u32,
    pub overlap: Overlap,
    /// A time that passed while serverkit did not run is made up for, once.
    pub catch_up: bool,
    pub enabled: bool,
    /// Administrators get a mail when it begins to fail and when it is well again.
    pub alert: bool,
    /// Null: never, or not while it is off.
    pub next_at: Option<OffsetDateTime>,
    /// The next times, at most 3.
    pub upcoming: Vec<OffsetDateTime>,
    /// Since when a run waits for the one before it.
    pub waiting_since: Option<OffsetDateTime>,
    /// The newest run.
    pub last: Option<JobRun>,
    pub created_at: OffsetDateTime,
}

/// What happens when it is time again and the run before is still going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Overlap {
    /// The new one is left out.
    Skip,
    /// The new one waits until the old one has ended; at most one waits.
    Queue,
    /// The old one is ended.
    Replace,
    /// Both go on.
    Beside,
}

/// A job to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AppJobCreate {
    /// 1 to 63 of a-z, 0-9 and -; unique in the app.
    pub name: String,
    /// Arguments; for a shell give `sh`, `-c` and the line.
    pub command: Vec<String>,
    pub service: Option<String>,
    /// Five fields, such as `0 3 * * *`, or `@daily`.
    pub cron: String,
    /// Left out: UTC.
    pub zone: Option<String>,
    /// 1 to 604800; left out: 3600.
    pub limit_seconds: Option<u32>,
    /// Left out: skip.
    pub overlap: Option<Overlap>,
    /// Make up, once, for times that pass while serverkit does not run; left out: false.
    pub catch_up: Option<bool>,
    /// Left out: true.
    pub enabled: Option<bool>,
    /// Left out: true.
    pub alert: Option<bool>,
}

/// What to change about a job; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AppJobPatch {
    pub name: Option<String>,
    pub command: Option<Vec<String>>,
    /// Null: the main one.
    pub service: MaybeUndefined<String>,
    pub cron: Option<String>,
    pub zone: Option<String>,
    pub limit_seconds: Option<u32>,
    pub overlap: Option<Overlap>,
    pub catch_up: Option<bool>,
    pub enabled: Option<bool>,
    pub alert: Option<bool>,
}

/// One run of a job, or of a command that somebody gave.
#[derive(Debug, Object)]
pub struct JobRun {
    pub id: String,
    pub app: Named,
    /// The id of its job; null: a command that somebody gave.
    pub job: Option<String>,
    /// What the job was called then.
    pub name: Option<String>,
    /// The release whose image it ran in.
    pub release: String,
    /// Without what is known to be secret.
    pub command: Vec<String>,
    pub service: Option<String>,
    pub limit_seconds: u32,
    /// It ends when nobody follows its output any more.
    pub attached: bool,
    /// Who asked, in words.
    pub by: String,
    pub phase: RunPhase,
    /// The command's exit code, once it has ended by itself.
    pub code: Option<i64>,
    /// Why it did not go well, in one sentence.
    pub error: Option<String>,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum RunPhase {
    Running,
    Done,
    Failed,
    /// It took longer than its limit.
    TimedOut,
    Cancelled,
    /// The one before was still going, or too many were.
    Skipped,
    /// serverkit did not run when it was time.
    Missed,
    /// The panel ended while it ran.
    Lost,
}

/// A command to run once.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct JobRunCreate {
    /// Arguments; for a shell give `sh`, `-c` and the line.
    pub command: Vec<String>,
    pub service: Option<String>,
    /// 1 to 604800; left out: 3600.
    pub limit_seconds: Option<u32>,
    /// End it when nobody has followed its log for 20 seconds; left out: false.
    pub attached: Option<bool>,
}

const LIMIT: u32 = 3600;

impl From<types::Overlap> for Overlap {
    fn from(overlap: types::Overlap) -> Overlap {
        match overlap {
            types::Overlap::Skip => Overlap::Skip,
            types::Overlap::Queue => Overlap::Queue,
            types::Overlap::Replace => Overlap::Replace,
            types::Overlap::Beside => Overlap::Beside,
        }
    }
}

impl From<Overlap> for types::Overlap {
    fn from(overlap: Overlap) -> types::Overlap {
        match overlap {
            Overlap::Skip => types::Overlap::Skip,
            Overlap::Queue => types::Overlap::Queue,
            Overlap::Replace => types::Overlap::Replace,
            Overlap::Beside => types::Overlap::Beside,
        }
    }
}

impl From<types::RunPhase> for RunPhase {
    fn from(phase: types::RunPhase) -> RunPhase {
        match phase {
            types::RunPhase::Running => RunPhase::Running,
            types::RunPhase::Done => RunPhase::Done,
            types::RunPhase::Failed => RunPhase::Failed,
            types::RunPhase::TimedOut => RunPhase::TimedOut,
            types::RunPhase::Cancelled => RunPhase::Cancelled,
            types::RunPhase::Skipped => RunPhase::Skipped,
            types::RunPhase::Missed => RunPhase::Missed,
            types::RunPhase::Lost => RunPhase::Lost,
        }
    }
}

impl From<app::RunView> for JobRun {
    fn from(view: app::RunView) -> JobRun {
        let run = view.run;
        JobRun {
            id: run.id.to_string(),
            app: Named::new(run.app, view.app_name),
            job: run.job.map(String::from),
            name: run.name.map(String::from),
            release: run.release.to_string(),
            command: run.command,
            service: run.service,
            limit_seconds: run.limit_seconds,
            attached: run.attached,
            by: run.by,
            phase: run.phase.into(),
            code: run.code,
            error: run.error,
            started_at: moment(run.started_at),
            finished_at: run.finished_at.map(moment),
        }
    }
}

impl From<app::JobView> for AppJob {
    fn from(view: app::JobView) -> AppJob {
        let job = view.job;
        AppJob {
            id: job.id.to_string(),
            name: job.name.to_string(),
            command: job.command,
            service: job.service,
            cron: job.cron,
            zone: job.zone,
            limit_seconds: job.limit_seconds,
            overlap: job.overlap.into(),
            catch_up: job.catch_up,
            enabled: job.enabled,
            alert: job.alert,
            next_at: job.next_at.map(moment),
            upcoming: view.upcoming.into_iter().map(moment).collect(),
            waiting_since: job.waiting_since.map(moment),
            last: view.last.map(|run| {
                JobRun::from(app::RunView {
                    app_name: view.app_name.clone(),
                    run,
                })
            }),
            created_at: moment(job.created_at),
        }
    }
}

impl AppJobPatch {
    fn over(self, old: app::JobWish) -> types::Result<app::JobWish> {
        Ok(app::JobWish {
            name: self.name.map(|name| name.parse()).transpose()?.unwrap_or(old.name),
            command: self.command.unwrap_or(old.command),
            service: match self.service {
                MaybeUndefined::Undefined => old.service,
                MaybeUndefined::Null => None,
                MaybeUndefined::Value(name) => Some(name),
            },
            cron: self.cron.unwrap_or(old.cron),
            zone: self.zone.unwrap_or(old.zone),
            limit_seconds: self.limit_seconds.unwrap_or(old.limit_seconds),
            overlap: self.overlap.map_or(old.overlap, types::Overlap::from),
            catch_up: self.catch_up.unwrap_or(old.catch_up),
            enabled: self.enabled.unwrap_or(old.enabled),
            alert: self.alert.unwrap_or(old.alert),
        })
    }
}

#[derive(Clone)]
pub(crate) struct AppJobsApi(pub Panel);

#[OpenApi(tag = "Tag::Jobs")]
impl AppJobsApi {
    /// List the jobs of an app
    #[oai(path = "/apps/:app/jobs", method = "get", operation_id = "job_list")]
    async fn job_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<Page<AppJob>>> {
        let jobs = self.0.app_jobs.list(&who.actor, &app.0).await?;
        Ok(Json(Page {
            items: jobs.into_iter().map(AppJob::from).collect(),
            next: None,
        }))
    }

    /// Create a job
    ///
    /// Its runs use the image, variables, files and volumes of what is live then, so a rollback changes what they run in, and not
    /// the job; a promotion does not bring jobs along. While the app is stopped it does not run.
    #[oai(path = "/apps/:app/jobs", method = "post", operation_id = "job_create")]
    async fn job_create(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<AppJobCreate>,
    ) -> Answer<Created<AppJob>> {
        let body = body.0;
        let wish = app::JobWish {
            name: body.name.parse()?,
            command: body.command,
            service: body.service,
            cron: body.cron,
            zone: body.zone.unwrap_or_else(|| "UTC".into()),
            limit_seconds: body.limit_seconds.unwrap_or(LIMIT),
            overlap: body.overlap.unwrap_or(Overlap::Skip).into(),
            catch_up: body.catch_up.unwrap_or(false),
            enabled: body.enabled.unwrap_or(true),
            alert: body.alert.unwrap_or(true),
        };
        Ok(created(self.0.app_jobs.create(&who.actor, &app.0, wish).await?))
    }

    /// Change a job
    #[oai(path = "/apps/:app/jobs/:job", method = "patch", operation_id = "job_update")]
    async fn job_update(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Id or name.
        job: Path<String>,
        body: Json<AppJobPatch>,
    ) -> Answer<Json<AppJob>> {
        let change = |old| body.0.over(old);
        Ok(Json(self.0.app_jobs.update(&who.actor, &app.0, &job.0, change).await?.into()))
    }

    /// Delete a job
    ///
    /// What it ran stays in the history.
    #[oai(path = "/apps/:app/jobs/:job", method = "delete", operation_id = "job_delete")]
    async fn job_delete(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Id or name.
        job: Path<String>,
    ) -> Answer<Done> {
        self.0.app_jobs.remove(&who.actor, &app.0, &job.0).await?;
        Ok(Done::Done)
    }

    /// Run a job now
    ///
    /// Whatever time it is, and also when it is off. One that runs already is not begun again, unless its runs may overlap.
    #[oai(path = "/apps/:app/jobs/:job/run", method = "post", operation_id = "job_run")]
    async fn job_run(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Id or name.
        job: Path<String>,
    ) -> Answer<Accepted<JobRun>> {
        Ok(accepted(self.0.app_jobs.run_job(&who.actor, &app.0, &job.0).await?))
    }

    /// List the runs of an app
    ///
    /// Newest first: of its jobs and of commands that were given.
    #[oai(path = "/apps/:app/runs", method = "get", operation_id = "run_list")]
    async fn run_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Only of this job: id or name.
        job: Query<Option<String>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<JobRun>>> {
        let runs = self.0.app_jobs.runs(&who.actor, &app.0, job.0.as_deref()).await?;
        page(runs, cursor.0.as_deref(), limit.0, |view| view.run.id.to_string())
    }

    /// Run a command
    ///
    /// Once, in a container of its own with the image, variables, files and volumes of what is live.
    #[oai(path = "/apps/:app/runs", method = "post", operation_id = "run_create")]
    async fn run_create(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<JobRunCreate>,
    ) -> Answer<Accepted<JobRun>> {
        let JobRunCreate {
            command,
            service,
            limit_seconds,
            attached,
        } = body.0;
        let once = app::Once {
            command,
            service,
            limit_seconds: limit_seconds.unwrap_or(LIMIT),
            attached: attached.unwrap_or(false),
        };
        Ok(accepted(self.0.app_jobs.run(&who.actor, &app.0, once).await?))
    }

    /// Show a run
    #[oai(path = "/runs/:id", method = "get", operation_id = "run_show")]
    async fn run_show(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Json<JobRun>> {
        Ok(Json(self.0.app_jobs.run_get(&who.actor, &id.0).await?.into()))
    }

    /// Cancel a run
    ///
    /// Its command gets its signal, and is killed after 10 seconds; its container is removed.
    #[oai(path = "/runs/:id/cancel", method = "post", operation_id = "run_cancel")]
    async fn run_cancel(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Accepted<JobRun>> {
        Ok(accepted(self.0.app_jobs.cancel(&who.actor, &id.0).await?))
    }

    /// Read the log of a run
    #[oai(path = "/runs/:id/log", method = "get", operation_id = "run_log")]
    async fn run_log(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        /// The `n` of the last line seen; left out: from the start.
        after: Query<Option<u64>>,
        /// At most so many lines: 1 to 5000; left out: 1000.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<DeploymentLog>> {
        let limit = limit.0.unwrap_or(1000);
        if !(1..=5000).contains(&limit) {
            return Err(Failure::invalid("limit", "must be 1 to 5000"));
        }
        let part = self.0.app_jobs.log(&who.actor, &id.0, after.0.unwrap_or(0), limit as usize).await?;
        Ok(Json(DeploymentLog {
            lines: part.lines.into_iter().map(DeploymentLine::from).collect(),
            next: part.next,
            complete: part.complete,
        }))
    }

    /// Follow the log of a run
    ///
    /// A WebSocket: each frame is a line as JSON (`DeploymentLine`); it closes after the last one.
    #[oai(path = "/runs/:id/log/stream", method = "get", operation_id = "run_log_stream")]
    async fn run_log_stream(
        &self,
        who: Signed,
        socket: Upgrade,
        /// Its id.
        id: Path<String>,
        /// The `n` of the last line seen; left out: from the start.
        after: Query<Option<u64>>,
    ) -> Answer<BoxWebSocketUpgraded> {
        let lines = self.0.app_jobs.follow(&who.actor, &id.0, after.0.unwrap_or(0)).await?;
        let frames = lines.map(|numbered| DeploymentLine::from(numbered).to_json_string());
        Ok(socket.send(Box::pin(who.revoked(self.0.clone())), frames.boxed()))
    }
}
