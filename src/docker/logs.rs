//! What a container prints, line by line.

use crate::{
    connect::Docker,
    failures::{answer, checked, words_or_missing},
    lines::LineBuffer,
};
use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures::{StreamExt, stream, stream::BoxStream};
use std::collections::VecDeque;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{Error, Kind, LogLine, LogQuery, LogStream, Result, Time};

impl Docker {
    /// Its lines, oldest first. With `follow` it ends when the container does. A failure is the last item.
    pub fn container_logs(&self, id: &str, query: LogQuery) -> BoxStream<'static, Result<LogLine>> {
        let id = match checked(Kind::Container, id) {
            Ok(id) => id.to_owned(),
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        let start = Reading {
            frames: self.client().logs(&id, Some(options_of(&query))).boxed(),
            docker: self.clone(),
            stdout: Half::new(LogStream::Stdout),
            stderr: Half::new(LogStream::Stderr),
            ready: VecDeque::new(),
            since: query.since,
            is_following: query.follow,
            told: Told::default(),
            again: None,
            id,
            is_over: false,
        };
        stream::unfold(start, |mut reading| async move { reading.next().await.map(|item| (item, reading)) }).boxed()
    }
}

fn options_of(query: &LogQuery) -> bollard::query_parameters::LogsOptions {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(query.follow);
    // Whole seconds here; the milliseconds are looked at below.
    let options = match query.since {
        Some(since) => options.since(i32::try_from(since.0.div_euclid(1000)).unwrap_or(i32::MAX)),
        None => options,
    };
    match query.tail {
        Some(lines) => options.tail(&lines.to_string()).build(),
        None => options.tail("all").build(),
    }
}

struct Reading {
    frames: BoxStream<'static, std::result::Result<LogOutput, bollard::errors::Error>>,
    stdout: Half,
    stderr: Half,
    ready: VecDeque<LogLine>,
    since: Option<Time>,
    is_following: bool,
    told: Told,
    /// In the second reading: lines of the first one that are still to come again.
    again: Option<Told>,
    docker: Docker,
    id: String,
    is_over: bool,
}

/// How far the lines were passed on: so many that bear this time, and all before.
#[derive(Default, Clone, Copy)]
struct Told {
    at: Time,
    lines: usize,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                if self.since.is_some_and(|since| line.at < since) || self.was_told(&line) {
                    continue;
                }
                self.told = self.told.and(line.at);
                return Some(Ok(line));
            }
            if self.is_over {
                match std::mem::take(&mut self.is_following) {
                    true => self.read_again(),
                    false => return None,
                }
            }
            match self.frames.next().await {
                Some(Ok(frame)) => self.take(frame),
                Some(Err(refusal)) => {
                    self.is_over = true;
                    self.is_following = false;
                    // 409: it is being removed, and its log with it.
                    return Some(Err(match answer(&refusal) {
                        Some((409, _)) => Error::not_found(Kind::Container, &self.id),
                        _ => words_or_missing("reading a container's log", Kind::Container, &self.id)(refusal),
                    }));
                }
                None => {
                    self.ready.extend(self.stdout.rest());
                    self.ready.extend(self.stderr.rest());
                    self.is_over = true;
                }
            }
        }
    }

    /// A followed log ends with its container, and the engine may then swallow the last lines, which tell why it
    /// ended. So what was written since the last line is read once more.
    fn read_again(&mut self) {
        let query = LogQuery {
            since: Some(self.told.at),
            ..LogQuery::default()
        };
        self.again = Some(self.told);
        self.is_over = false;
        self.frames = self.docker.client().logs(&self.id, Some(options_of(&query))).boxed();
    }

    fn was_told(&mut self, line: &LogLine) -> bool {
        match &mut self.again {
            Some(again) if line.at == again.at && again.lines > 0 => {
                again.lines -= 1;
                true
            }
            Some(again) => line.at < again.at,
            None => false,
        }
    }

    fn take(&mut self, frame: LogOutput) {
        let lines = match &frame {
            LogOutput::StdErr { message } => self.stderr.take(message),
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => self.stdout.take(message),
        };
        self.ready.extend(lines);
    }
}

impl Told {
    fn and(self, at: Time) -> Told {
        let lines = if at == self.at { self.lines + 1 } else { 1 };
        Told { at, lines }
    }
}

/// One of the two streams. The engine keeps a long line in pieces of 16 KiB, each with a time of its own.
struct Half {
    stream: LogStream,
    at: Time,
    buffer: LineBuffer,
}

impl Half {
    fn new(stream: LogStream) -> Half {
        Half {
            stream,
            at: Time::default(),
            buffer: LineBuffer::default(),
        }
    }

    fn take(&mut self, frame: &[u8]) -> Vec<LogLine> {
        let (at, text) = split_time(frame);
        if self.buffer.is_empty() {
            self.at = at.unwrap_or(self.at);
        }
        let lines = self.buffer.push(text);
        lines.into_iter().map(|text| self.line(text)).collect()
    }

    fn rest(&mut self) -> Option<LogLine> {
        self.buffer.rest().map(|text| self.line(text))
    }

    fn line(&self, text: String) -> LogLine {
        LogLine {
            at: self.at,
            stream: self.stream,
            text,
        }
    }
}

/// `2023-11-14T22:13:20.123456789Z text`
fn split_time(frame: &[u8]) -> (Option<Time>, &[u8]) {
    let Some(space) = frame.iter().take(40).position(|byte| *byte == b' ') else {
        return (None, frame);
    };
    let (stamp, text) = frame.split_at(space);
    let parsed = std::str::from_utf8(stamp)
        .ok()
        .and_then(|stamp| OffsetDateTime::parse(stamp, &Rfc3339).ok());
    match parsed {
        Some(at) => (Some(Time::from_utc(at)), &text[1..]),
        None => (None, frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, World};
    use std::time::Duration;

    #[test]
    fn pieces_of_a_line_are_joined() {
        let mut half = Half::new(LogStream::Stdout);
        assert!(half.take(b"2023-11-14T22:13:20.000000001Z one ").is_empty());
        let lines = half.take(b"2023-11-14T22:13:21.000000001Z two\n");
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].at, lines[0].text.as_str()), (Time(1_700_000_000_000), "one two"));
        let lines = half.take(b"2023-11-14T22:13:22Z \n");
        assert_eq!((lines[0].at, lines[0].text.as_str()), (Time(1_700_000_002_000), ""));
        assert_eq!(half.take(b"no time\n")[0].text, "no time");
    }

    #[tokio::test]
    async fn docker_logs_have_streams_times_and_tails() {
        let world = World::new("logs").await;
        let mut spec = world.spec("tests/http:latest");
        let script = "echo one; sleep 0.1; echo two >&2; sleep 0.1; head -c 40000 /dev/zero | tr '\\0' x; echo; sleep 0.1; printf three; touch /tmp/printed; sleep 600";
        spec.command = Some(vec!["sh".into(), "-c".into(), script.into()]);
        let id = world.docker.container_start(&spec).await.expect("it starts");
        let docker = &world.docker;
        let id = id.as_str();
        let printed = || async { testing::run(docker, id, &["cat", "/tmp/printed"]).await.is_empty() };
        testing::eventually("all is printed", printed).await;
        let lines = testing::lines_of(docker, id, LogQuery::default()).await;
        assert_eq!((lines[0].text.as_str(), lines[0].stream), ("one", LogStream::Stdout));
        assert_eq!((lines[1].text.as_str(), lines[1].stream), ("two", LogStream::Stderr));
        assert_eq!(lines[2].text.len(), crate::lines::LONGEST);
        assert!(lines[0].at <= lines[1].at && lines[0].at.0 > 1_700_000_000_000);

        let since = LogQuery {
            since: Some(lines[1].at),
            ..LogQuery::default()
        };
        assert_eq!(testing::lines_of(docker, id, since).await[0].text, "two");
        let tail = LogQuery {
            tail: Some(1),
            ..LogQuery::default()
        };
        assert!(testing::lines_of(docker, id, tail).await.len() <= 1);
        let mut follow = docker.container_logs(
            id,
            LogQuery {
                follow: true,
                ..LogQuery::default()
            },
        );
        assert_eq!(follow.next().await.expect("there is a line").expect("it is readable").text, "one");
        docker.container_stop(id, Duration::from_secs(1)).await.expect("it stops");
        let rest: Vec<_> = tokio::time::timeout(Duration::from_secs(10), follow.collect::<Vec<_>>())
            .await
            .expect("it ends with the container");
        assert_eq!(rest.last().expect("there are more").as_ref().expect("it is readable").text, "three");
        docker.container_remove(id).await.expect("it goes");
        let gone: Vec<_> = docker.container_logs(id, LogQuery::default()).collect().await;
        assert!(matches!(gone.as_slice(), [Err(types::Error::NotFound { .. })]), "{gone:?}");
    }
}
