//! What commands print: the API's JSON, or aligned plain text for people. Colours only on a terminal.

use crate::failure::Result;
use serde_json::Value;
use std::io::{self, IsTerminal, Write};
use types::Time;

/// Where a command prints to, and how.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Print the API's JSON, and nothing else.
    pub json: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    pub colour: bool,
}

/// What a text means; a colour on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
    Faint,
    Strong,
}

impl Output {
    pub fn of_process(json: bool) -> Output {
        let terminal = io::stdout().is_terminal();
        let wanted =
            std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb");
        Output {
            json,
            terminal,
            colour: terminal && wanted && !json,
        }
    }
    pub fn line(&self, text: impl AsRef<str>) -> Result {
        let mut out = io::stdout().lock();
        out.write_all(text.as_ref().as_bytes())?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }
    /// Bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }
    /// A remark for people: to standard error, so that it never mixes with a result; silent with `--json`.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.json {
            // Nobody to tell if standard error is gone.
            let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
        }
    }
    pub fn value(&self, value: &Value) -> Result {
        let text = if self.terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(text.expect("a JSON value always prints"))
    }
    /// The answer as JSON, or else as `text` says it.
    pub fn answer(&self, json: &Value, text: impl FnOnce() -> String) -> Result {
        if self.json {
            if json.is_null() { Ok(()) } else { self.value(json) }
        } else {
            let text = text();
            if text.is_empty() {
                Ok(())
            } else {
                self.line(text.trim_end_matches('\n'))
            }
        }
    }
    /// A list as JSON, or as a table; `empty` says what to do when there is nothing in it.
    pub fn list(&self, json: &Value, empty: &str, table: impl FnOnce() -> Table) -> Result {
        if self.json {
            return self.value(json);
        }
        let table = table();
        if table.rows.is_empty() {
            self.note(empty);
            return Ok(());
        }
        self.line(table.print(self).trim_end_matches('\n'))
    }
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warn => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// One value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub fn tone(text: impl Into<String>, tone: Tone) -> Cell {
        Cell { text: text.into(), tone }
    }
    /// The state of an app, a deployment or a certificate, in its colour.
    pub fn state(text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell {
            tone: tone_of(&text),
            text,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::tone(text, Tone::Plain)
    }
}

pub fn tone_of(state: &str) -> Tone {
    match state {
        "running" | "live" | "valid" | "ok" | "active" => Tone::Good,
        "failed" | "crashing" | "unhealthy" | "expired" | "problem" | "disabled" => Tone::Bad,
        "queued" | "fetching" | "building" | "starting" | "waking" | "checking" | "trying" | "deploying" | "pending" | "warning" => {
            Tone::Warn
        }
        "stopped" | "asleep" | "new" | "superseded" | "cancelled" | "unknown" => Tone::Faint,
        _ => Tone::Plain,
    }
}

/// Aligned columns under a heading, two spaces apart; the last column is as long as it likes.
#[derive(Debug, Clone)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new<const N: usize>(heading: [&'static str; N]) -> Table {
        Table {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.heading.len());
        self.rows.push(cells.into());
    }
    pub fn print(&self, out: &Output) -> String {
        let heading: Vec<Cell> = self.heading.iter().map(|text| Cell::tone(*text, Tone::Faint)).collect();
        let lines = || std::iter::once(&heading).chain(&self.rows);
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|column| lines().map(|line| shown(&line[column].text).chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for line in lines() {
            for (column, cell) in line.iter().enumerate() {
                let plain = shown(&cell.text);
                text.push_str(&out.paint(cell.tone, &plain));
                if column + 1 < line.len() {
                    text.push_str(&" ".repeat(widths[column] - plain.chars().count() + 2));
                }
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

/// `Name      value` lines, for one thing.
#[derive(Debug, Default)]
pub struct Facts(Vec<(&'static str, Cell)>);

impl Facts {
    pub fn new() -> Facts {
        Facts::default()
    }
    pub fn add(&mut self, name: &'static str, value: impl Into<Cell>) -> &mut Facts {
        self.0.push((name, value.into()));
        self
    }
    /// Adds it if it is there.
    pub fn maybe(&mut self, name: &'static str, value: Option<impl Into<Cell>>) -> &mut Facts {
        if let Some(value) = value {
            self.add(name, value);
        }
        self
    }
    pub fn print(&self, out: &Output) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
        self.0
            .iter()
            .map(|(name, cell)| {
                let name = out.paint(Tone::Faint, &format!("{name:width$}"));
                format!("{name}{}\n", out.paint(cell.tone, &shown(&cell.text)))
            })
            .collect()
    }
}

/// A text from outside without what would move a terminal's cursor or change its colours.
pub fn shown(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect()
}

/// A line of a log, fit for a terminal: colours pass, everything else that steers does not. In a pipe it stays as it is.
pub fn log_text(out: &Output, text: &str) -> String {
    if !out.terminal {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_control() && letter != '\t') {
        safe.push_str(&rest[..at]);
        rest = &rest[at..];
        let colour = rest.strip_prefix("\x1b[").and_then(|behind| {
            let end = behind.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
            behind[end..].starts_with('m').then_some(end + 3)
        });
        let skip = match colour {
            Some(length) => {
                if out.colour {
                    safe.push_str(&rest[..length]);
                }
                length
            }
            None => rest.chars().next().map_or(0, char::len_utf8),
        };
        rest = &rest[skip..];
    }
    safe.push_str(rest);
    safe
}

/// `1.5 GiB`
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let power = (count.ilog2() / 10).min(5);
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let value = count as f64 / f64::from(1024_u32).powi(i32::try_from(power).unwrap_or(1));
    let unit = UNITS[power as usize - 1];
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// `42 s`, `3 min`, `5 h`, `12 d`
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `3 min ago` or `in 12 d`; what is no moment stays as it is.
pub fn when(moment: &str, now: Time) -> String {
    let Some(at) = parse_time(moment) else {
        return moment.to_owned();
    };
    if at > now {
        format!("in {}", span(at.since(now).as_secs()))
    } else {
        format!("{} ago", span(now.since(at).as_secs()))
    }
}

/// RFC 3339.
pub fn parse_time(moment: &str) -> Option<Time> {
    time::OffsetDateTime::parse(moment, &time::format_description::well_known::Rfc3339)
        .ok()
        .map(Time::from_utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Output = Output {
        json: false,
        terminal: false,
        colour: false,
    };
    const SCREEN: Output = Output {
        json: false,
        terminal: true,
        colour: true,
    };

    #[test]
    fn tables_align_by_letters_and_end_without_blanks() {
        let mut table = Table::new(["NAME", "STATE", "URL"]);
        table.row(["blög".into(), Cell::state("running"), "https://a".into()]);
        table.row(["a-longer-name".into(), Cell::state("new"), "".into()]);
        let text = table.print(&PIPE);
        assert_eq!(
            text,
            "NAME           STATE    URL\nblög           running  https://a\na-longer-name  new\n"
        );
        assert!(table.print(&SCREEN).contains("\x1b[32mrunning\x1b[0m"));
    }

    #[test]
    fn values_cannot_steer_the_terminal() {
        let mut table = Table::new(["NAME"]);
        table.row(["a\x1b]0;owned\x07\nb".into()]);
        assert_eq!(table.print(&SCREEN).lines().count(), 2);
        assert!(!table.print(&SCREEN).contains("\x1b]"));
        assert_eq!(
            log_text(&SCREEN, "\x1b[1;31mred\x1b[0m\x1b[2J\ttab"),
            "\x1b[1;31mred\x1b[0m[2J\ttab"
        );
        let plain = Output { colour: false, ..SCREEN };
        assert_eq!(log_text(&plain, "\x1b[31mred\x1b[0m"), "red");
        assert_eq!(log_text(&PIPE, "\x1b[2J"), "\x1b[2J");
    }

    #[test]
    fn amounts_for_people() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 << 20, "1.5 GiB"),
            (512 << 20, "512 MiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(bytes(u64::MAX), "16384 PiB");
        for (seconds, expected) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")] {
            assert_eq!(span(seconds), expected);
        }
        let now = parse_time("2026-01-02T00:00:00Z").expect("RFC 3339");
        assert_eq!(when("2026-01-01T23:59:00Z", now), "60 s ago");
        assert_eq!(when("2026-02-02T00:00:00Z", now), "in 31 d");
        assert_eq!(when("soon", now), "soon");
    }

    #[test]
    fn facts_align() {
        let mut facts = Facts::new();
        facts.add("Name", "blog").maybe("Port", None::<&str>).add("Address", "https://a");
        assert_eq!(facts.print(&PIPE), "Name     blog\nAddress  https://a\n");
    }
}
