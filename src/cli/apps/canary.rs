//! `serverkit app canary`: how new releases are tried.

use crate::{commands::Context, failure::Result, spans};
use clap::Args;
use client::types::AppCanary;
use serde_json::json;

#[derive(Debug, Args)]
pub struct Canary {
    /// Name or id of the app
    name: String,
    /// Requests of a hundred that go to a new release: 1 to 50
    #[arg(long, required_unless_present = "off", value_parser = clap::value_parser!(u8).range(1..=50))]
    percent: Option<u8>,
    /// For how long, such as 30s, 10m or 2h; if it did well until then it goes live
    #[arg(long = "for", value_name = "SPAN", default_value = "10m", value_parser = spans::seconds)]
    span: u32,
    /// It has failed when more than so many of a hundred answers are errors
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    max_errors: u8,
    /// It has failed when 5 of a hundred answers take longer than this
    #[arg(long, value_name = "MILLISECONDS")]
    max_p95: Option<u32>,
    /// Nothing is decided on fewer requests than this
    #[arg(long, value_name = "REQUESTS", default_value_t = 50)]
    min_requests: u32,
    /// A new release gets all requests at once again
    #[arg(long, conflicts_with_all = ["percent", "max_p95"])]
    off: bool,
}

pub(super) async fn canary(context: &Context, args: Canary) -> Result {
    let client = context.panel()?;
    let canary = args.percent.map(|percent| {
        json!({
            "percent": percent,
            "seconds": args.span,
            "limits": {"min_requests": args.min_requests, "max_error_percent": args.max_errors, "max_p95_millis": args.max_p95},
        })
    });
    let app = client.ask(client.app_update(&args.name, &json!({ "canary": canary }))).await?;
    context.out.answer(&app.json, || match &app.value.canary {
        Some(canary) => format!("a new release of {} gets {} before it goes live", app.value.name, words(canary)),
        None => format!("a new release of {} gets all requests at once", app.value.name),
    })
}

pub(super) fn words(canary: &AppCanary) -> String {
    types::share_in_words(canary.percent, canary.seconds)
}
