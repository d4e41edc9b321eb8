//! `serverkit run` and `serverkit job …`: commands in an app's image, once or at times.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    logs,
    output::{Cell, Table, Tone, span, when},
    spans,
};
use clap::{Args, Subcommand, ValueEnum};
use client::{
    Client,
    types::{AppJob, AppJobCreate, JobRun, JobRunCreate, LogStream, Overlap, RunPhase},
};
use serde_json::{Map, Value, json};
use std::pin::pin;
use types::{Clock, SystemClock};

#[derive(Debug, Args)]
pub struct Run {
    /// Name or id of the app
    name: String,
    /// In the image of this service, for an app of several
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// End it after this long, such as 10m; 1h unless said
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    limit: Option<u32>,
    /// Let it go on alone, and do not wait for its end. Without this, it ends when this command does
    #[arg(long, short = 'd')]
    detach: bool,
    /// The command and its arguments, behind --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the jobs of an app
    #[command(visible_alias = "ls")]
    List(List),
    /// Make a job: a command that is run at times, with the image and variables of what is live
    Create(Create),
    /// Change a job
    Update(Update),
    /// Delete a job; its history stays
    #[command(visible_alias = "rm")]
    Delete(Named),
    /// Run a job now and show what it prints
    Run(RunJob),
    /// List what was run, the newest first
    History(History),
    /// Print what a run printed
    Log(Log),
    /// End a run
    Cancel(Cancel),
}

#[derive(Debug, Args)]
pub struct List {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the app
    name: String,
    /// Name or id of the job
    job: String,
}

#[derive(Debug, Args)]
pub struct RunJob {
    /// Name or id of the app
    name: String,
    /// Name or id of the job
    job: String,
    /// Do not wait for its end
    #[arg(long, short = 'd')]
    detach: bool,
}

#[derive(Debug, Args)]
pub struct History {
    /// Name or id of the app
    name: String,
    /// Only of this job
    job: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

#[derive(Debug, Args)]
pub struct Log {
    /// The id of the run (run_…, see `serverkit job history`)
    run: String,
    /// Go on as lines come, until it ends
    #[arg(long, short = 'f')]
    follow: bool,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// The id of the run (run_…, see `serverkit job history`)
    run: String,
}

/// What happens when it is time again and the run before is still going.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OverlapArg {
    /// The new one is left out
    Skip,
    /// The new one waits until the old one has ended
    Queue,
    /// The old one is ended
    Replace,
    /// Both go on
    Beside,
}

#[derive(Debug, Args)]
pub struct Times {
    /// The time zone of the times, such as Europe/Berlin; UTC unless said
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// In the image of this service, for an app of several
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// End a run after this long, such as 10m; 1h unless said
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    limit: Option<u32>,
    /// When it is time again and the run before is still going
    #[arg(long, value_enum)]
    overlap: Option<OverlapArg>,
    /// When a time passes while serverkit does not run
    #[arg(long, value_enum)]
    missed: Option<MissedArg>,
    /// Whether administrators get a mail when it begins to fail and when it is well again; yes unless said
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    alert: Option<bool>,
}

fn yes_or_no(text: &str) -> std::result::Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("must be yes or no".into()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MissedArg {
    /// It is in the history, and nothing runs
    Skip,
    /// It is run once as soon as serverkit runs again
    Run,
}

#[derive(Debug, Args)]
pub struct Create {
    /// Name or id of the app
    name: String,
    /// The job's name: 1 to 63 of a-z, 0-9 and -
    job: String,
    /// When: minute, hour, day of month, month, day of week, such as '0 3 * * *', or @daily
    #[arg(long, value_name = "CRON")]
    at: String,
    #[command(flatten)]
    times: Times,
    /// The command and its arguments, behind --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// Name or id of the app
    name: String,
    /// Name or id of the job
    job: String,
    /// A new name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// When: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "CRON")]
    at: Option<String>,
    #[command(flatten)]
    times: Times,
    /// Let it rest until --on
    #[arg(long, conflicts_with = "on")]
    off: bool,
    /// Let it run again
    #[arg(long)]
    on: bool,
    /// Another command, behind --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub async fn run_command(context: &Context, args: Run) -> Result {
    let client = context.panel()?;
    let body = JobRunCreate {
        command: args.command,
        service: args.service,
        limit_seconds: args.limit,
        attached: Some(!args.detach),
    };
    let run = client.ask(client.run_create(&args.name, &body)).await?;
    begun(context, &client, &run, args.detach, true).await
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List(args) => {
            let jobs = client.ask(client.job_list(&args.name)).await?;
            let empty = format!(
                "no jobs; make one: serverkit job create {} NAME --at '0 3 * * *' -- COMMAND",
                args.name
            );
            context.out.list(&jobs.json, &empty, || job_table(&jobs.value.items))
        }
        Command::Create(args) => {
            let body = AppJobCreate {
                name: args.job,
                command: args.command,
                service: args.times.service,
                cron: args.at,
                zone: args.times.zone,
                limit_seconds: args.times.limit,
                overlap: args.times.overlap.map(overlap),
                catch_up: args.times.missed.map(|missed| missed == MissedArg::Run),
                enabled: None,
                alert: args.times.alert,
            };
            let job = client.ask(client.job_create(&args.name, &body)).await?;
            context.out.answer(&job.json, || described(&job.value))
        }
        Command::Update(args) => update(context, &client, args).await,
        Command::Delete(args) => {
            let done = client.ask(client.job_delete(&args.name, &args.job)).await?;
            context.out.answer(&done.json, || format!("the job {} is deleted", args.job))
        }
        Command::Run(args) => {
            let run = client.ask(client.job_run(&args.name, &args.job)).await?;
            begun(context, &client, &run, args.detach, false).await
        }
        Command::History(args) => {
            let runs = client
                .ask(client.run_list(&args.name, None, args.job.as_deref(), Some(args.limit)))
                .await?;
            context.out.list(&runs.json, "nothing was run yet", || run_table(&runs.value.items))
        }
        Command::Log(args) => log(context, &client, &args).await,
        Command::Cancel(args) => {
            let run = client.ask(client.run_cancel(&args.run)).await?;
            context.out.answer(&run.json, || format!("{} is being ended", run.value.id))
        }
    }
}

async fn update(context: &Context, client: &Client, args: Update) -> Result {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            body.insert(key.to_owned(), value);
        }
    };
    set("name", json!(args.rename));
    set("cron", json!(args.at));
    set("alert", json!(args.times.alert));
    set("zone", json!(args.times.zone));
    set("service", json!(args.times.service));
    set("limit_seconds", json!(args.times.limit));
    set("overlap", json!(args.times.overlap.map(overlap)));
    set("catch_up", json!(args.times.missed.map(|missed| missed == MissedArg::Run)));
    if args.on || args.off {
        set("enabled", json!(args.on));
    }
    if !args.command.is_empty() {
        set("command", json!(args.command));
    }
    if body.is_empty() {
        return Err(Failure::usage("nothing to change was given").hint("see `serverkit job update --help`"));
    }
    let job = client.ask(client.job_update(&args.name, &args.job, &Value::Object(body))).await?;
    context.out.answer(&job.json, || described(&job.value))
}

fn overlap(arg: OverlapArg) -> Overlap {
    match arg {
        OverlapArg::Skip => Overlap::Skip,
        OverlapArg::Queue => Overlap::Queue,
        OverlapArg::Replace => Overlap::Replace,
        OverlapArg::Beside => Overlap::Beside,
    }
}

fn described(job: &AppJob) -> String {
    match &job.next_at {
        Some(at) => format!("the job {} runs next at {at}", job.name),
        None if job.enabled => format!("the job {} never runs by itself: `{}` does not come again", job.name, job.cron),
        None => format!("the job {} is off", job.name),
    }
}

/// Shows a run to its end, unless it goes on alone. Ends as it did. An interrupt ends one that is `attached` too.
async fn begun(context: &Context, client: &Client, run: &client::Answer<JobRun>, detach: bool, attached: bool) -> Result {
    let id = &run.value.id;
    if detach {
        return context.out.answer(&run.json, || {
            format!("{id} runs\nsee what it prints: serverkit job log {id} --follow")
        });
    }
    let mut shown = pin!(show(context, client, id));
    let done = tokio::select! {
        done = &mut shown => done?,
        _ = tokio::signal::ctrl_c(), if attached => {
            context.out.note("ending it; once more to leave at once");
            client.ask(client.run_cancel(id)).await?;
            tokio::select! {
                done = &mut shown => done?,
                _ = tokio::signal::ctrl_c() => return Err(Failure::exit(130)),
            }
        }
    };
    if context.out.json {
        context.out.value(&done.json)?;
    }
    judged(context, &done.value)
}

/// Prints what a run prints, to its end. What serverkit says of it goes to standard error.
async fn show(context: &Context, client: &Client, id: &str) -> Result<client::Answer<JobRun>> {
    logs::stream_lines(client, &["runs", id, "log", "stream"], async |line| {
        match (context.out.json, line.stream) {
            (true, _) | (_, LogStream::Note) => Ok(()),
            _ => context.out.line(crate::output::log_text(&context.out, &line.text)),
        }
    })
    .await?;
    ended(client, id).await
}

/// The log ends a moment before the record says so.
async fn ended(client: &Client, id: &str) -> Result<client::Answer<JobRun>> {
    loop {
        let run = client.ask(client.run_show(id)).await?;
        if run.value.phase != RunPhase::Running {
            return Ok(run);
        }
        tokio::time::sleep(crate::deployments::PAUSE).await;
    }
}

/// A command that failed by itself gives its exit code to ours.
fn judged(context: &Context, run: &JobRun) -> Result {
    if run.phase == RunPhase::Done {
        return Ok(());
    }
    let why = run.error.clone().unwrap_or_else(|| "no reason was recorded".into());
    let mut failure = Failure::failed(format!("`{}`: {why}", run.command.join(" ")));
    failure.quiet = context.out.json;
    failure.exit = run.code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code > 0);
    Err(failure)
}

async fn log(context: &Context, client: &Client, args: &Log) -> Result {
    let print = |text: &str| context.out.line(crate::output::log_text(&context.out, text));
    if args.follow {
        return logs::stream_lines(client, &["runs", &args.run, "log", "stream"], async |line| print(&line.text)).await;
    }
    let mut after = None;
    loop {
        let part = client.ask(client.run_log(&args.run, after, Some(5000))).await?;
        for (line, json) in part.value.lines.iter().zip(part.json["lines"].as_array().into_iter().flatten()) {
            match context.out.json {
                true => context.out.line(json.to_string())?,
                false => print(&line.text)?,
            }
        }
        if part.value.lines.is_empty() {
            return Ok(());
        }
        after = Some(part.value.next);
    }
}

fn phase(run: &JobRun) -> Cell {
    let word = run.phase.to_string().replace('_', " ");
    let tone = match run.phase {
        RunPhase::Done => Tone::Good,
        RunPhase::Running => Tone::Plain,
        RunPhase::Failed | RunPhase::TimedOut | RunPhase::Missed | RunPhase::Lost => Tone::Bad,
        RunPhase::Cancelled | RunPhase::Skipped => Tone::Faint,
    };
    Cell::tone(word, tone)
}

fn job_table(jobs: &[AppJob]) -> Table {
    let mut table = Table::new(["NAME", "AT", "ZONE", "NEXT", "LAST", "COMMAND"]);
    for job in jobs {
        let next = match (&job.next_at, job.enabled) {
            (Some(at), _) => at.clone().into(),
            (None, true) => Cell::tone("never", Tone::Faint),
            (None, false) => Cell::tone("off", Tone::Faint),
        };
        table.row([
            job.name.clone().into(),
            job.cron.clone().into(),
            job.zone.clone().into(),
            next,
            job.last.as_ref().map_or_else(|| Cell::from(""), phase),
            job.command.join(" ").into(),
        ]);
    }
    table
}

fn run_table(runs: &[JobRun]) -> Table {
    let mut table = Table::new(["RUN", "JOB", "PHASE", "CODE", "WHEN", "TOOK", "BY", "COMMAND", "WHY"]);
    let now = SystemClock.now();
    for run in runs {
        let times = (
            crate::output::parse_time(&run.started_at),
            run.finished_at.as_deref().and_then(crate::output::parse_time),
        );
        let took = match times {
            (Some(from), Some(to)) => span(to.since(from).as_secs()),
            _ => String::new(),
        };
        table.row([
            run.id.clone().into(),
            run.name.clone().unwrap_or_default().into(),
            phase(run),
            run.code.map(|code| code.to_string()).unwrap_or_default().into(),
            when(&run.started_at, now).into(),
            took.into(),
            run.by.clone().into(),
            run.command.join(" ").into(),
            run.error.clone().unwrap_or_default().into(),
        ]);
    }
    table
}
