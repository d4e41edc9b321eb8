//! What apps print, and terminals into them.

use crate::{
    Panel,
    answers::moment,
    failures::{Answer, Failure},
    live::Upgrade,
    signed::Signed,
    tags::Tag,
};
use futures::StreamExt;
use poem::web::websocket::BoxWebSocketUpgraded;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::ToJSON,
};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use types::Time;
use types::World;

/// Lines of an app's containers, oldest first.
#[derive(Debug, Object)]
pub struct AppLog {
    pub lines: Vec<AppLine>,
}

#[derive(Debug, Object)]
pub struct AppLine {
    pub at: OffsetDateTime,
    pub stream: LogStream,
    pub text: String,
    /// The container's name.
    pub container: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum LogStream {
    Stdout,
    Stderr,
    /// serverkit's own words.
    Note,
}

impl From<types::LogStream> for LogStream {
    fn from(stream: types::LogStream) -> LogStream {
        match stream {
            types::LogStream::Stdout => LogStream::Stdout,
            types::LogStream::Stderr => LogStream::Stderr,
            types::LogStream::Note => LogStream::Note,
        }
    }
}

impl From<app::AppLine> for AppLine {
    fn from(line: app::AppLine) -> AppLine {
        AppLine {
            at: moment(line.line.at),
            stream: line.line.stream.into(),
            text: line.line.text,
            container: line.container,
        }
    }
}

/// Lines in one answer.
const LINES_MAX: u32 = 5000;

fn bounded(tail: Option<u32>, usual: u32) -> Answer<u32> {
    match tail.unwrap_or(usual) {
        tail if (1..=LINES_MAX).contains(&tail) => Ok(tail),
        _ => Err(Failure::invalid("tail", format!("must be 1 to {LINES_MAX}"))),
    }
}

/// A moment, or how long before `now`: `90s`, `10m`, `2h`, `1d`.
fn moment_of(text: Option<&str>, now: Time) -> Answer<Option<Time>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Some(Time::from_utc(moment)));
    }
    let wrong = || Failure::invalid("since", "must be a time (2026-01-31T12:00:00Z) or a span (90s, 10m, 2h, 1d)");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Some(now.minus(Duration::from_secs(u64::from(number) * unit))))
}

#[derive(Clone)]
pub(crate) struct LogsApi(pub Panel, pub World);

#[OpenApi(tag = "Tag::Logs")]
impl LogsApi {
    /// Read what an app printed
    #[oai(path = "/apps/:app/logs", method = "get", operation_id = "app_logs")]
    async fn app_logs(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// From this moment (RFC 3339), or so long ago (`10m`, `2h`, `1d`).
        since: Query<Option<String>>,
        /// The last so many lines: 1 to 5000; left out: 500.
        tail: Query<Option<u32>>,
        /// Only lines that hold this text, in any case of letters.
        search: Query<Option<String>>,
        /// Only of this service, for an app of several.
        service: Query<Option<String>>,
    ) -> Answer<Json<AppLog>> {
        let since = moment_of(since.0.as_deref(), self.1.now())?;
        let tail = bounded(tail.0, 500)?;
        let search = search.0.filter(|search| !search.is_empty());
        let service = service.0.filter(|service| !service.is_empty());
        let lines = self
            .0
            .logs
            .read(&who.actor, &app.0, since, Some(tail), search.as_deref(), service.as_deref())
            .await?;
        Ok(Json(AppLog {
            lines: lines.into_iter().map(AppLine::from).collect(),
        }))
    }

    /// Follow what an app prints
    ///
    /// A WebSocket: each frame is a line as JSON (`AppLine`).
    #[oai(path = "/apps/:app/logs/stream", method = "get", operation_id = "app_log_stream")]
    async fn app_log_stream(
        &self,
        who: Signed,
        socket: Upgrade,
        /// Id or name.
        app: Path<String>,
        /// From this moment (RFC 3339), or so long ago (`10m`, `2h`, `1d`).
        since: Query<Option<String>>,
        /// First the last so many lines; left out: 100.
        tail: Query<Option<u32>>,
        /// Only of this service, for an app of several.
        service: Query<Option<String>>,
    ) -> Answer<BoxWebSocketUpgraded> {
        let since = moment_of(since.0.as_deref(), self.1.now())?;
        let tail = bounded(tail.0, 100)?;
        let lines = self.0.logs.follow(&who.actor, &app.0, since, Some(tail), service.0).await?;
        Ok(socket.send(
            Box::pin(who.revoked(self.0.clone())),
            lines.map(|line| AppLine::from(line).to_json_string()).boxed(),
        ))
    }

    /// Open a terminal in an app
    ///
    /// A WebSocket: binary frames are bytes in both directions; the text frame `{"resize":{"columns":80,"rows":24}}` sets the size; at the end comes the text frame `{"exit":0}`.
    #[oai(path = "/apps/:app/terminal", method = "get", operation_id = "app_terminal")]
    #[allow(clippy::too_many_arguments)] // each is a parameter of the request
    async fn app_terminal(
        &self,
        who: Signed,
        socket: Upgrade,
        /// Id or name.
        app: Path<String>,
        /// Left out: 80.
        columns: Query<Option<u16>>,
        /// Left out: 24.
        rows: Query<Option<u16>>,
        /// A program and its arguments, one parameter each; left out: a shell.
        command: Query<Option<Vec<String>>>,
        /// In this service of an app of several; left out: the main one.
        service: Query<Option<String>>,
    ) -> Answer<BoxWebSocketUpgraded> {
        let (columns, rows) = (columns.0.unwrap_or(80), rows.0.unwrap_or(24));
        let command = command.0.unwrap_or_default();
        let exec = self
            .0
            .logs
            .terminal(&who.actor, &app.0, service.0.as_deref(), command, columns, rows)
            .await?;
        Ok(socket.join(Box::pin(who.revoked(self.0.clone())), exec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_moments_and_spans() {
        let now = Time(1_000_000_000);
        for (text, expected) in [
            (None, Some(None)),
            (Some(""), Some(None)),
            (Some("10m"), Some(Some(Time(1_000_000_000 - 600_000)))),
            (Some("1970-01-01T00:00:01Z"), Some(Some(Time(1000)))),
            (Some("10"), None),
            (Some("m"), None),
            (Some("-1m"), None),
            (Some("99999999999d"), None),
            (Some("ü"), None),
        ] {
            assert_eq!(moment_of(text, now).ok(), expected, "{text:?}");
        }
    }
}
