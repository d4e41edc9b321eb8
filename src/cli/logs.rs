//! `serverkit logs`: what an app prints, and the logs of its deployments.

use crate::{
    commands::Context,
    deployments,
    failure::{Code, Failure, Result},
    output::{Tone, bytes, log_text},
    spans,
};
use clap::Args;
use client::{
    Client, Stream,
    types::{AppLine, DeploymentLine, LogStream},
};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio_tungstenite::tungstenite::{Message, error::Error as Broken};
use types::{Clock, SystemClock};

#[derive(Debug, Args)]
pub struct Logs {
    /// Name or id of the app
    name: String,
    /// Go on as lines come, until Ctrl-C
    #[arg(long, short = 'f')]
    follow: bool,
    /// Only lines of the last 10m, 2h or 3d, or since a moment such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = |text: &str| spans::moment(text, SystemClock.now()))]
    since: Option<types::Time>,
    /// The last so many lines
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=5000))]
    tail: Option<u32>,
    /// Only lines that hold this text, in any case of letters
    #[arg(long, value_name = "TEXT", conflicts_with = "follow")]
    search: Option<String>,
    /// Only this service, for an app of several
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Put the time before each line
    #[arg(long, short = 't')]
    timestamps: bool,
    /// The log of a deployment instead (number or id); without a value the newest
    #[arg(long, value_name = "DEPLOYMENT", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["since", "tail", "service"])]
    build: Option<String>,
    /// Write the whole log of the deployment to this file, as plain text
    #[arg(long, short, value_name = "FILE", requires = "build", conflicts_with_all = ["follow", "search", "timestamps"])]
    output: Option<PathBuf>,
}

pub async fn logs(context: &Context, args: Logs) -> Result {
    let client = context.panel()?;
    match &args.build {
        Some(called) => build(context, &client, &args, called).await,
        None if args.follow => follow(context, &client, &args).await,
        None => print(context, &client, &args).await,
    }
}

async fn print(context: &Context, client: &Client, args: &Logs) -> Result {
    let since = args.since.map(|since| since.to_string());
    let call = client.app_logs(
        &args.name,
        args.search.as_deref(),
        args.service.as_deref(),
        since.as_deref(),
        args.tail,
    );
    let answer = client.ask(call).await?;
    if context.out.json {
        return context.out.value(&answer.json);
    }
    if answer.value.lines.is_empty() {
        context.out.note("no lines");
    }
    for line in &answer.value.lines {
        app_line(context, args, line)?;
    }
    Ok(())
}

async fn follow(context: &Context, client: &Client, args: &Logs) -> Result {
    let mut query = Vec::new();
    query.extend(args.since.map(|since| ("since", since.to_string())));
    query.extend(args.tail.map(|tail| ("tail", tail.to_string())));
    query.extend(args.service.clone().map(|service| ("service", service)));
    let stream = client.stream(&["apps", &args.name, "logs", "stream"], &query).await?;
    each(stream, async |json, line: AppLine| {
        if context.out.json {
            context.out.line(json.to_string())
        } else {
            app_line(context, args, &line)
        }
    })
    .await
}

fn app_line(context: &Context, args: &Logs, line: &AppLine) -> Result {
    log_line(context, args.timestamps, &line.at, line.stream, &line.text)
}

fn log_line(context: &Context, timestamps: bool, at: &str, stream: LogStream, text: &str) -> Result {
    let out = &context.out;
    let time = if timestamps {
        out.paint(Tone::Faint, &format!("{at} "))
    } else {
        String::new()
    };
    let text = log_text(out, text);
    let text = if stream == LogStream::Note {
        out.paint(Tone::Strong, &text)
    } else {
        text
    };
    out.line(format!("{time}{text}"))
}

/// The log of a deployment: what there is, and with `--follow` what comes until it is over.
async fn build(context: &Context, client: &Client, args: &Logs, called: &str) -> Result {
    let id = match called {
        "" => deployments::newest(client, &args.name).await?.id,
        called => deployments::find(client, &args.name, called).await?,
    };
    if let Some(path) = &args.output {
        return build_file(context, client, &id, path).await;
    }
    if args.follow {
        return build_lines(client, &id, async |line| build_line(context, args, &line)).await;
    }
    let (mut after, mut step) = (None, None);
    loop {
        let part = client
            .ask(client.deployment_log(&id, after, Some(5000), args.search.as_deref()))
            .await?;
        for (line, json) in part.value.lines.iter().zip(part.json["lines"].as_array().into_iter().flatten()) {
            if context.out.json {
                context.out.line(json.to_string())?;
            } else {
                if line.step.is_some() && line.step != step {
                    step.clone_from(&line.step);
                    let words = step.as_deref().unwrap_or_default();
                    context.out.line(context.out.paint(Tone::Faint, &log_text(&context.out, words)))?;
                }
                build_line(context, args, line)?;
            }
        }
        if part.value.lines.is_empty() {
            return Ok(());
        }
        after = Some(part.value.next);
    }
}

/// As the panel keeps it, into a file.
async fn build_file(context: &Context, client: &Client, id: &str, path: &Path) -> Result {
    let stream = client.ask(client.deployment_log_text(id)).await?.value;
    let text = client.read(stream).await?;
    fs::write(path, &text).map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
    context
        .out
        .note(format!("{} of log are in {}", bytes(text.len() as u64), path.display()));
    Ok(())
}

fn build_line(context: &Context, args: &Logs, line: &DeploymentLine) -> Result {
    if context.out.json {
        return context.out.line(serde_json::to_string(line).expect("a line always prints"));
    }
    log_line(context, args.timestamps, &line.at, line.stream, &line.text)
}

/// Hands every line of a deployment's log to `show` until it is over.
pub async fn build_lines(client: &Client, id: &str, show: impl AsyncFn(DeploymentLine) -> Result) -> Result {
    stream_lines(client, &["deployments", id, "log", "stream"], show).await
}

/// Hands every line of a log to `show` until it is over. A stream that breaks (the panel restarts, a proxy
/// on the way gives up) is opened again behind the last line seen.
pub async fn stream_lines(client: &Client, place: &[&str], show: impl AsyncFn(DeploymentLine) -> Result) -> Result {
    let mut after = 0;
    let mut failures = None;
    loop {
        let seen = std::cell::Cell::new(after);
        let opened = client.stream(place, &[("after", after.to_string())]).await;
        let ended = match opened {
            Ok(stream) => {
                failures = Some(0);
                each(stream, async |_, line: DeploymentLine| {
                    seen.set(line.n);
                    show(line).await
                })
                .await
            }
            Err(error) => Err(Failure::from(error)),
        };
        after = seen.get();
        match ended {
            Ok(()) => return Ok(()),
            Err(failure) if failure.code == Code::Unreachable && failures.is_some_and(|count| count < deployments::PATIENCE) => {
                failures = failures.map(|count| count + 1);
                tokio::time::sleep(deployments::PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Reads a stream of JSON lines to its end.
async fn each<T: DeserializeOwned>(mut stream: Stream, show: impl AsyncFn(Value, T) -> Result) -> Result {
    while let Some(message) = stream.next().await {
        let text = match message {
            Ok(Message::Text(text)) => text,
            Ok(Message::Close(frame)) => return closed(frame.as_ref().map(|frame| (u16::from(frame.code), frame.reason.as_str()))),
            Ok(_) => continue,
            Err(Broken::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(Failure::unreachable(format!("the stream broke: {error}"))),
        };
        let odd = |error: serde_json::Error| Failure::from(client::Failure::Odd(error.to_string()));
        let json: Value = serde_json::from_str(&text).map_err(odd)?;
        let line = T::deserialize(&json).map_err(odd)?;
        show(json, line).await?;
    }
    Err(Failure::unreachable("the stream broke: the panel has gone"))
}

/// How the other side said good-bye: normally, or with a reason.
fn closed(frame: Option<(u16, &str)>) -> Result {
    match frame {
        None | Some((1000, _)) => Ok(()),
        Some((1001 | 1012, _)) => Err(Failure::unreachable("the stream broke: the panel is going down")),
        Some((_, "")) => Err(Failure::failed("the panel ended the stream")),
        Some((_, reason)) => Err(Failure::failed(reason.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_byes() {
        assert!(closed(None).is_ok());
        assert!(closed(Some((1000, "bye"))).is_ok());
        assert_eq!(closed(Some((1001, ""))).map_err(|failure| failure.code), Err(Code::Unreachable));
        assert_eq!(
            closed(Some((1011, "no such container"))).map_err(|failure| failure.sentence),
            Err("no such container".to_owned())
        );
    }
}
