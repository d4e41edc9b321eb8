//! `serverkit image-watch …`: newer images under the tags of apps.

use crate::{
    commands::Context,
    failure::Result,
    output::{Facts, span, when},
    spans,
};
use clap::{Args, Subcommand, ValueEnum};
use client::types::{ImageWatch, ImageWatchInput, ImageWindowInput, OnNewImage, WatchedImage};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what becomes of newer images, and what registries said last
    Show(Named),
    /// Say what becomes of newer images: tell of them, or deploy them, also only at some times
    ///
    /// Registries are asked for the digest of the tag, which is no pull. Newer images wait while the app is stopped, locked or
    /// frozen, and one from which somebody went back to an earlier release is not deployed again.
    Set(Set),
    /// Ask the registries now
    Check(Named),
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the app
    name: String,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or id of the app
    name: String,
    /// What becomes of a newer image
    #[arg(value_enum)]
    on_new: What,
    /// Ask about an image this often, such as 30m; 15 minutes unless said
    #[arg(long, value_name = "SPAN", value_parser = spans::seconds)]
    every: Option<u32>,
    /// When newer images may be deployed: minute, hour, day of month, month, day of week, such as '0 3 * * SAT,SUN'
    #[arg(long, value_name = "CRON", requires = "lasts")]
    at: Option<String>,
    /// For how long each time, such as 2h
    #[arg(long = "for", id = "lasts", value_name = "SPAN", value_parser = spans::seconds, requires = "at")]
    lasts: Option<u32>,
    /// The time zone of the times, such as Europe/Berlin; UTC unless said
    #[arg(long, value_name = "ZONE", requires = "at")]
    zone: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Registries are not asked
    Off,
    /// It is told, and marked at the app
    Notify,
    /// It is deployed
    Deploy,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let (name, answer) = match command {
        Command::Show(args) => {
            let answer = client.ask(client.image_watch_show(&args.name)).await?;
            (args.name, answer)
        }
        Command::Set(args) => {
            let body = input(&args);
            let answer = client.ask(client.image_watch_set(&args.name, &body)).await?;
            (args.name, answer)
        }
        Command::Check(args) => {
            let answer = client.ask(client.image_watch_check(&args.name)).await?;
            (args.name, answer)
        }
    };
    context.out.answer(&answer.json, || words(context, &name, &answer.value))
}

fn input(args: &Set) -> ImageWatchInput {
    let minutes = |seconds: u32| seconds.div_ceil(60);
    ImageWatchInput {
        on_new: match args.on_new {
            What::Off => OnNewImage::Off,
            What::Notify => OnNewImage::Notify,
            What::Deploy => OnNewImage::Deploy,
        },
        every_minutes: args.every.map(minutes),
        window: args.at.clone().map(|cron| ImageWindowInput {
            cron,
            zone: args.zone.clone(),
            minutes: args.lasts.map(minutes).unwrap_or_default(),
        }),
    }
}

fn words(context: &Context, name: &str, watch: &ImageWatch) -> String {
    let what = match watch.on_new {
        OnNewImage::Off => {
            return format!("newer images of {name} are not watched for; switch it on: serverkit image-watch set {name} notify\n");
        }
        OnNewImage::Notify => "are told",
        OnNewImage::Deploy => "are deployed",
    };
    let mut facts = Facts::new();
    facts
        .add("Newer images", what)
        .add("Asked", format!("every {}", span(u64::from(watch.every_minutes) * 60)));
    if let Some(window) = &watch.window {
        let times = format!("{} ({}) for {}", window.cron, window.zone, span(u64::from(window.minutes) * 60));
        let state = match (&window.open_until, &window.opens_at) {
            (Some(until), _) => format!("open until {until}"),
            (None, Some(at)) => format!("opens at {at}"),
            (None, None) => "never opens again".to_owned(),
        };
        facts.add("Window", format!("{times}; {state}"));
    }
    for image in &watch.images {
        facts.add("Image", found(image));
    }
    facts.maybe("Waiting", watch.waiting.clone());
    facts.print(&context.out)
}

/// `ghcr.io/team/app:1: a newer one is there (sha256:1a2b3c4d5e6f, asked 3 minutes ago)`
fn found(image: &WatchedImage) -> String {
    let short = |digest: &str| digest.chars().take(19).collect::<String>();
    let mut notes: Vec<String> = image.newest.as_deref().map(short).into_iter().collect();
    if let Some(at) = &image.asked_at {
        notes.push(format!("asked {}", when(at, SystemClock.now())));
    }
    let state = match (&image.problem, image.newer, &image.newest) {
        (Some(problem), ..) => problem.as_str(),
        (None, true, _) => "a newer one is there",
        (None, false, Some(_)) => "the newest runs",
        (None, false, None) => "not asked yet",
    };
    match notes.is_empty() {
        true => format!("{}: {state}", image.reference),
        false => format!("{}: {state} ({})", image.reference, notes.join(", ")),
    }
}
