//! In how many containers an app runs, and when it does not.

use crate::{commands::Context, failure::Result, spans};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub struct Scale {
    /// Name or id of the app
    name: String,
    /// How many containers
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    replicas: u32,
}

#[derive(Debug, Args)]
pub struct Hours {
    /// Name or id of the app
    name: String,
    /// When it is started: minute, hour, day of month, month, day of week, such as '0 8 * * MON-FRI'
    #[arg(long, value_name = "CRON", requires = "stop")]
    start: Option<String>,
    /// When it is stopped
    #[arg(long, value_name = "CRON", requires = "start")]
    stop: Option<String>,
    /// The time zone of the times, such as Europe/Berlin; UTC unless said
    #[arg(long, value_name = "ZONE", requires = "start")]
    zone: Option<String>,
    /// It runs at all hours again
    #[arg(long, conflicts_with = "start", required_unless_present = "start")]
    always: bool,
}

#[derive(Debug, Args)]
pub struct Sleep {
    /// Name or id of the app
    name: String,
    /// It sleeps when no request came for so long, such as 30m or 2h
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    after: Option<u32>,
    /// It never sleeps
    #[arg(long, conflicts_with = "after")]
    never: bool,
}

/// Without a flag it is put to sleep now.
pub(super) async fn sleep(context: &Context, args: Sleep) -> Result {
    let client = context.panel()?;
    let minutes = args.after.map(|seconds| seconds.div_ceil(60));
    if minutes.is_none() && !args.never {
        let app = client.ask(client.app_sleep(&args.name)).await?;
        return context
            .out
            .answer(&app.json, || format!("{} sleeps until a request for it comes", app.value.name));
    }
    let body = json!({ "sleep_after_minutes": minutes });
    let app = client.ask(client.app_update(&args.name, &body)).await?;
    context.out.answer(&app.json, || {
        let name = &app.value.name;
        match (minutes, &app.value.kept_awake) {
            (None, _) => format!("{name} never sleeps"),
            (Some(_), Some(why)) => format!("{name} would sleep after {}, but stays awake: {why}", minutes_text(minutes)),
            (Some(_), None) => format!("{name} sleeps after {} without a request", minutes_text(minutes)),
        }
    })
}

fn minutes_text(minutes: Option<u32>) -> String {
    match minutes.unwrap_or_default() {
        1 => "a minute".into(),
        several => format!("{several} minutes"),
    }
}

pub(super) async fn hours(context: &Context, args: Hours) -> Result {
    let client = context.panel()?;
    let body = match args.start {
        Some(start) => json!({ "hours": { "start": start, "stop": args.stop, "zone": args.zone } }),
        None => json!({ "hours": null }),
    };
    let app = client.ask(client.app_update(&args.name, &body)).await?;
    context.out.answer(&app.json, || match &app.value.hours {
        Some(hours) => {
            let at = |at: &Option<String>| at.clone().unwrap_or_else(|| "never".into());
            format!(
                "{} is started next at {} and stopped next at {}",
                app.value.name,
                at(&hours.next_start),
                at(&hours.next_stop)
            )
        }
        None => format!("{} runs at all hours", app.value.name),
    })
}

pub(super) async fn scale(context: &Context, args: Scale) -> Result {
    let client = context.panel()?;
    let body = json!({ "replicas": args.replicas });
    let app = client.ask(client.app_update(&args.name, &body)).await?;
    let words = match args.replicas {
        1 => "1 container".to_owned(),
        several => format!("{several} containers"),
    };
    let running = app.value.running;
    context
        .out
        .answer(&app.json, || format!("{} gets {words}; {running} run now", app.value.name))
}
