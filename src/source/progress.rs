//! Lines that tell how far a fetch is.

use git2::Progress;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Between two lines of one stage.
const PAUSE: Duration = Duration::from_millis(500);
/// Or this much more done.
const STEP: usize = 20;

/// Sends lines. One that nobody has room for is left out: telling must not slow the work down.
pub struct Lines {
    out: mpsc::Sender<String>,
    stage: &'static str,
    percent: usize,
    told_at: Instant,
    /// What the server said since its last newline.
    heard: String,
}

impl Lines {
    pub fn new(out: mpsc::Sender<String>) -> Lines {
        Lines {
            out,
            stage: "",
            percent: 0,
            told_at: Instant::now(),
            heard: String::new(),
        }
    }

    pub fn tell(&self, line: impl Into<String>) {
        let _ = self.out.try_send(line.into());
    }

    /// `Receiving objects 40 % (12/30)`, not too often.
    pub fn transferred(&mut self, progress: &Progress<'_>) {
        if progress.received_objects() < progress.total_objects() || self.stage.is_empty() {
            self.step("Receiving objects", progress.received_objects(), progress.total_objects());
        } else {
            self.step("Receiving objects", progress.total_objects(), progress.total_objects());
            self.step("Resolving deltas", progress.indexed_deltas(), progress.total_deltas());
        }
    }

    pub fn checked_out(&mut self, done: usize, total: usize) {
        self.step("Checking out files", done, total);
    }

    /// Of files in Git LFS, in bytes.
    pub fn brought(&mut self, done: u64, total: u64) {
        let mib = |bytes: u64| usize::try_from(bytes.div_ceil(1 << 20)).unwrap_or(usize::MAX >> 10);
        self.step("Git LFS, MiB", mib(done), mib(total));
    }

    fn step(&mut self, stage: &'static str, done: usize, total: usize) {
        if total == 0 || (stage == "Receiving objects" && self.stage == "Resolving deltas") {
            return;
        }
        let percent = done * 100 / total;
        let fresh = self.stage != stage;
        let far = percent >= self.percent + STEP || (percent == 100 && self.percent < 100);
        if fresh || far || (percent > self.percent && self.told_at.elapsed() >= PAUSE) {
            (self.stage, self.percent, self.told_at) = (stage, percent, Instant::now());
            self.tell(format!("{stage} {percent} % ({done}/{total})"));
        }
    }

    /// What the server prints. Only what a terminal would show in the end: behind the last carriage return of each line.
    pub fn heard(&mut self, bytes: &[u8]) {
        self.heard.push_str(&String::from_utf8_lossy(bytes));
        while let Some((line, rest)) = self.heard.split_once('\n') {
            let shown = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
            let shown: String = shown.chars().filter(|letter| !letter.is_control()).collect();
            if !shown.trim().is_empty() {
                self.tell(format!("remote: {}", shown.trim()));
            }
            self.heard = rest.to_owned();
        }
        if self.heard.len() > 4096 {
            self.heard.clear();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(work: impl FnOnce(&mut Lines)) -> Vec<String> {
        let (out, mut inbox) = mpsc::channel(1_000);
        work(&mut Lines::new(out));
        std::iter::from_fn(|| inbox.try_recv().ok()).collect()
    }

    #[test]
    fn stages_are_told_in_steps() {
        let told = lines(|lines| {
            for done in 0..=30 {
                lines.step("Receiving objects", done, 30);
            }
            lines.step("Resolving deltas", 4, 4);
            lines.step("Receiving objects", 30, 30);
            lines.step("Checking out files", 0, 0);
        });
        let expected = [
            "0 % (0/30)",
            "20 % (6/30)",
            "40 % (12/30)",
            "60 % (18/30)",
            "80 % (24/30)",
            "100 % (30/30)",
        ];
        let mut expected: Vec<String> = expected.iter().map(|text| format!("Receiving objects {text}")).collect();
        expected.push("Resolving deltas 100 % (4/4)".into());
        assert_eq!(told, expected);
    }

    #[test]
    fn the_server_is_heard_line_by_line() {
        let told = lines(|lines| {
            for part in [
                "Counting: 1%\rCount",
                "ing: 100%, done.\n\n",
                "\x1b[31mred\x1b[0m\r\n",
                "unfinished",
            ] {
                lines.heard(part.as_bytes());
            }
        });
        assert_eq!(told, ["remote: Counting: 100%, done.", "remote: [31mred[0m"]);
    }
}
