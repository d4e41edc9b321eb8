//! BuildKit's status stream as the lines of a build log, and a failed build as one error.

use crate::{images::registry_failure, lines::LineBuffer};
use bollard::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};
use std::collections::{HashMap, VecDeque};
use types::{Error, LogLine, LogStream, Time};

/// Lines of the failing step that the error repeats.
const LAST_LINES: usize = 12;
/// And of those before them, the first that speak of an error: some tools explain themselves at length after it.
const FIRST_ERRORS: usize = 3;

/// The steps of one build, as far as the engine has told of them.
#[derive(Default)]
pub struct Progress {
    steps: HashMap<String, Step>,
    count: usize,
    /// Whose lines come now.
    current: Option<String>,
    failed: Option<Failed>,
}

#[derive(Default)]
struct Step {
    number: usize,
    name: String,
    started_at: Option<Time>,
    is_done: bool,
    stdout: LineBuffer,
    stderr: LineBuffer,
    printed: Excerpt,
}

struct Failed {
    name: String,
    printed: Excerpt,
}

/// What of a step's output its error repeats.
#[derive(Default, Clone)]
struct Excerpt {
    count: usize,
    /// With their places in the output.
    errors: Vec<(usize, String)>,
    last: VecDeque<String>,
}

impl Excerpt {
    fn take(&mut self, text: &str) {
        let is_error = text.split_whitespace().count() > 2
            && text
                .split(|letter: char| !letter.is_alphanumeric())
                .any(|word| matches!(word.to_ascii_lowercase().as_str(), "error" | "fatal" | "err"));
        if is_error && self.errors.len() < FIRST_ERRORS {
            self.errors.push((self.count, text.to_owned()));
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(text.to_owned());
        self.count += 1;
    }
    fn words(&self) -> String {
        if self.last.is_empty() {
            return "it printed nothing".to_owned();
        }
        let begins = self.count - self.last.len();
        let errors: Vec<&str> = self
            .errors
            .iter()
            .filter(|(at, _)| *at < begins)
            .map(|(_, text)| text.as_str())
            .collect();
        let last: Vec<&str> = self.last.iter().map(String::as_str).collect();
        match errors.as_slice() {
            [] => format!("last lines:\n{}", last.join("\n")),
            errors => format!("first errors:\n{}\nlast lines:\n{}", errors.join("\n"), last.join("\n")),
        }
    }
}

impl Progress {
    pub fn take(&mut self, status: StatusResponse, now: Time) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let (ended, begun): (Vec<Vertex>, Vec<Vertex>) = status.vertexes.into_iter().partition(|vertex| vertex.completed.is_some());
        for vertex in begun {
            self.begin(&vertex, now, &mut lines);
        }
        for log in status.logs {
            self.print(log, now, &mut lines);
        }
        for vertex in ended {
            self.end(&vertex, now, &mut lines);
        }
        lines
    }

    fn step(&mut self, digest: &str, name: &str) -> &mut Step {
        let count = &mut self.count;
        self.steps.entry(digest.to_owned()).or_insert_with(|| {
            *count += 1;
            Step {
                number: *count,
                name: short(name),
                ..Step::default()
            }
        })
    }

    fn begin(&mut self, vertex: &Vertex, now: Time, lines: &mut Vec<LogLine>) {
        let Some(started) = &vertex.started else {
            return;
        };
        let at = moment(started.seconds, started.nanos);
        let step = self.step(&vertex.digest, &vertex.name);
        if step.started_at.is_some() {
            return;
        }
        step.started_at = Some(at);
        if !step.is_internal() {
            lines.push(note(now, step.title()));
            self.current = Some(vertex.digest.clone());
        }
    }

    fn print(&mut self, log: VertexLog, now: Time, lines: &mut Vec<LogLine>) {
        let at = log.timestamp.as_ref().map_or(now, |at| moment(at.seconds, at.nanos));
        let is_current = self.current.as_ref() == Some(&log.vertex);
        let step = self.step(&log.vertex, "");
        let (buffer, stream) = match log.stream {
            2 => (&mut step.stderr, LogStream::Stderr),
            _ => (&mut step.stdout, LogStream::Stdout),
        };
        let texts = buffer.push(&log.msg);
        if texts.is_empty() {
            return;
        }
        if !is_current {
            lines.push(note(now, step.title()));
        }
        for text in texts {
            step.printed.take(&text);
            lines.push(LogLine { at, stream, text });
        }
        self.current = Some(log.vertex);
    }

    fn end(&mut self, vertex: &Vertex, now: Time, lines: &mut Vec<LogLine>) {
        let completed = vertex.completed.as_ref().map_or(now, |at| moment(at.seconds, at.nanos));
        let was_current = self.current.as_ref() == Some(&vertex.digest);
        let step = self.step(&vertex.digest, &vertex.name);
        if std::mem::replace(&mut step.is_done, true) {
            return;
        }
        for (rest, stream) in [(step.stdout.rest(), LogStream::Stdout), (step.stderr.rest(), LogStream::Stderr)] {
            if let Some(text) = rest {
                step.printed.take(&text);
                lines.push(LogLine { at: now, stream, text });
            }
        }
        let label = if was_current { format!("#{}", step.number) } else { step.title() };
        let took = step.started_at.or(vertex.started.as_ref().map(|at| moment(at.seconds, at.nanos)));
        if !vertex.error.is_empty() && !vertex.error.contains("context canceled") {
            let failed = Failed {
                name: step.name.clone(),
                printed: step.printed.clone(),
            };
            lines.push(note(now, format!("{label} failed: {}", plain(&vertex.error))));
            self.failed.get_or_insert(failed);
        } else if vertex.error.is_empty() && !step.is_internal() {
            let how = match (vertex.cached, took) {
                (true, _) => "cached".to_owned(),
                (false, Some(began)) => format!("done in {:.1} s", completed.since(began).as_secs_f64()),
                (false, None) => "done".to_owned(),
            };
            lines.push(note(now, format!("{label} {how}")));
        }
    }

    /// What the engine's last word means.
    pub fn failure(&self, message: &str) -> Error {
        let message = plain(message);
        if message.contains("context canceled") {
            return Error::Cancelled;
        }
        if message.contains("no space left on device") {
            return Error::unavailable("the disk is full: the build found no space left");
        }
        let of_step = self.failed.as_ref();
        if let Some(code) = message.rsplit_once("exit code: ").map(|(_, code)| code.trim()) {
            let name = of_step.map_or("a step", |step| step.name.as_str());
            let hint = if code == "137" {
                " (killed; most likely it ran out of memory)"
            } else {
                ""
            };
            let printed = of_step.map(|step| step.printed.clone()).unwrap_or_default().words();
            return Error::invalid("build", format!("`{name}` failed with exit code {code}{hint}; {printed}"));
        }
        if let Some(image) = of_step.and_then(|step| step.name.split("load metadata for ").nth(1)) {
            return match registry_failure(image, 500, &message) {
                Some(error @ Error::Unavailable { .. }) => error,
                Some(error) => Error::invalid("build", format!("base image: {error}")),
                None => Error::invalid("build", message),
            };
        }
        if message.contains("failed to read dockerfile") && message.contains("no such file") {
            return Error::invalid("build", "there is no such Dockerfile in the build context");
        }
        Error::invalid("build", message)
    }
}

impl Step {
    /// Steps that every build has and that nobody wrote.
    fn is_internal(&self) -> bool {
        let is_own = self.name.starts_with("[internal]") && !self.name.contains("load metadata");
        // Older engines show how they unpack the context.
        is_own || self.name == "copy /context /"
    }
    fn title(&self) -> String {
        format!("#{} {}", self.number, self.name)
    }
}

fn note(at: Time, text: String) -> LogLine {
    LogLine {
        at,
        stream: LogStream::Note,
        text,
    }
}

fn moment(seconds: i64, nanos: i32) -> Time {
    Time(seconds.saturating_mul(1000).saturating_add(i64::from(nanos) / 1_000_000))
}

/// Of a step's text in the log and in failures: whole scripts are somebody's steps.
const LONGEST: usize = 300;

fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", name[..end].trim_end()),
        None => name.to_owned(),
    }
}

/// Without the names of BuildKit's own parts.
fn plain(message: &str) -> String {
    let mut message = crate::failures::plain(message);
    for prefix in [
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve: ",
        "failed to build LLB: ",
        "failed to create LLB definition: ",
        "rpc error: code = Unknown desc = ",
    ] {
        while let Some(rest) = message.strip_prefix(prefix) {
            message = rest.to_owned();
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::moby::buildkit::v1::StatusResponse;

    /// `VertexLog` and `Vertex` name a timestamp type that bollard does not export, so times are left out.
    fn log(vertex: &str, stream: i64, text: &str) -> StatusResponse {
        StatusResponse {
            logs: vec![VertexLog {
                vertex: vertex.into(),
                stream,
                msg: text.into(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn long_steps_are_cut() {
        assert_eq!(short("RUN make"), "RUN make");
        let long = short(&format!("RUN {}", "ä ".repeat(400)));
        assert!(long.ends_with("ä…") && long.chars().count() <= LONGEST + 1, "{long}");
    }

    #[test]
    fn interleaved_steps_are_titled() {
        let mut progress = Progress::default();
        progress.step("a", "[1/2] RUN one");
        progress.step("b", "[2/2] RUN two");
        let mut said = Vec::new();
        for (vertex, text) in [("a", "x\ny"), ("b", "z\n"), ("a", "\n")] {
            said.extend(progress.take(log(vertex, 1, text), Time(5)).into_iter().map(|line| line.text));
        }
        assert_eq!(said, ["#1 [1/2] RUN one", "x", "#2 [2/2] RUN two", "z", "#1 [1/2] RUN one", "y"]);
    }

    fn excerpt(lines: &[&str]) -> Excerpt {
        let mut printed = Excerpt::default();
        for line in lines {
            printed.take(line);
        }
        printed
    }

    #[test]
    fn errors_that_are_followed_by_much_are_kept() {
        let mut lines = vec!["npm error", "npm error code EUSAGE", "0 errors in lint"];
        lines.extend(["Usage:"; 20]);
        let words = excerpt(&lines).words();
        assert!(
            words.starts_with("first errors:\nnpm error code EUSAGE\nlast lines:\nUsage:"),
            "{words}"
        );
        assert_eq!(excerpt(&["make: *** error 2 in x"]).words(), "last lines:\nmake: *** error 2 in x");
    }

    #[test]
    fn failures_are_words() {
        let mut progress = Progress {
            failed: Some(Failed {
                name: "[2/2] RUN make".into(),
                printed: excerpt(&["cc: no", "make: stop"]),
            }),
            ..Progress::default()
        };
        let check = |progress: &Progress, message: &str, expected: &str| {
            assert_eq!(progress.failure(message).to_string(), expected);
        };
        check(
            &progress,
            "executor failed running [/bin/sh -c make]: exit code: 2",
            "build: `[2/2] RUN make` failed with exit code 2; last lines:\ncc: no\nmake: stop",
        );
        progress.failed = Some(Failed {
            name: "[internal] load metadata for docker.io/library/none:1".into(),
            printed: Excerpt::default(),
        });
        check(
            &progress,
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dial tcp: lookup x: no such host",
            "the registry of `docker.io/library/none:1` cannot be reached: no such host",
        );
        let progress = Progress::default();
        check(
            &progress,
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RUUN",
            "build: dockerfile parse error line 2: unknown instruction: RUUN",
        );
        check(&progress, "rpc error: code = Canceled desc = context canceled", "cancelled");
        check(
            &progress,
            "failed to solve with frontend dockerfile.v0: failed to read dockerfile: open /tmp/x/Dockerfile: no such file or directory",
            "build: there is no such Dockerfile in the build context",
        );
    }
}
