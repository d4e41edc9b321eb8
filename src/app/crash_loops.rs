//! Containers that keep exiting: the engine starts them again and again; here it is counted, and given up on when the app's
//! limit is reached. Somebody who starts the app, or a new release, begins anew.

use crate::{
    crash_rollbacks::{self, WayBack},
    ground::Ground,
    last_words,
};
use futures::StreamExt;
use std::{collections::HashMap, time::Duration};
use store::Batch;
use types::{Actor, App, Container, ContainerState, Error, Fact, Halt, LogQuery, Release, Result, STEADY, Time, report};

/// Of what a container printed last, so many lines and letters of each are in the reason.
const LINES: usize = 3;
const LETTERS: usize = 160;
/// An engine that does not tell them in time holds nothing up.
const TELLING: Duration = Duration::from_secs(5);

/// The restarts in a row of each container.
#[derive(Default)]
pub(crate) struct CrashLoops {
    rows: HashMap<String, Row>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    /// What the engine counted when it was last seen.
    counted: u32,
    /// Without a time in between in which it ran well.
    restarts: u32,
    /// How it ended last.
    why: Option<String>,
}

impl CrashLoops {
    /// Counts, and stops what has reached its limit; that is recorded in the app first, so that a crash in between is no way
    /// around it.
    pub async fn end(&mut self, ground: &Ground, live: &mut [(App, Release)], seen: &[Container]) -> Result<()> {
        let now = ground.world.now();
        self.rows.retain(|id, _| seen.iter().any(|container| container.id == *id));
        for (app, release) in live {
            for container in seen.iter().filter(|container| release.owns(container)) {
                let row = self.rows.entry(container.id.clone()).or_default();
                row.look(container, release, now);
                let service = container.owner.service.as_ref().map(|mark| mark.name.clone());
                let halted = app.given_up(&release.id).any(|halt| halt.service == service);
                // Of several that are the same, the others go on as long as they do.
                let again = halted && (app.replicas == 1 || matches!(container.state, ContainerState::Restarting { .. }));
                if app.restart_limit == 0 || (!again && row.restarts < app.restart_limit) {
                    continue;
                }
                if !halted {
                    let why = row.why.as_deref().unwrap_or("it keeps exiting");
                    let halt = Halt {
                        release: release.id.clone(),
                        service,
                        why: format!("{why}{}", last_lines(ground, app, container).await),
                        restarts: row.restarts,
                        at: now,
                    };
                    let back = crash_rollbacks::way_back(ground, app, release, container).await?;
                    *app = record(ground, app, halt, back).await?;
                }
                row.restarts = 0;
                if !matches!(container.state, ContainerState::Exited { .. } | ContainerState::Created) {
                    let grace = Duration::from_secs(release.grace_seconds.into());
                    if let Err(error) = last_words::stop_well(ground, container, grace).await {
                        tracing::warn!("giving up on {}: {}", container.name, report(&error));
                    }
                }
            }
        }
        let deaths: HashMap<String, String> = self
            .rows
            .iter()
            .filter_map(|(id, row)| Some((id.clone(), row.why.clone()?)))
            .collect();
        ground.observed.rcu(|observed| {
            let mut observed = (**observed).clone();
            observed.deaths.clone_from(&deaths);
            observed
        });
        Ok(())
    }
}

/// `: cannot open the database`, what the container printed last; empty if that was nothing.
async fn last_lines(ground: &Ground, app: &App, container: &Container) -> String {
    let query = LogQuery {
        tail: Some(20),
        ..LogQuery::default()
    };
    let lines = ground.node.container_logs(&container.id, query);
    let texts = lines.filter_map(|line| async move { line.ok().map(|line| line.text) });
    let texts: Vec<String> = tokio::time::timeout(TELLING, texts.collect()).await.unwrap_or_default();
    // Before anything is cut: half a secret is not known as one.
    let texts: Vec<_> = texts
        .iter()
        .map(|text| ground.redactor.redact_for(&app.organization, text))
        .collect();
    match in_one_line(&texts) {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    }
}

/// The last lines that say something, without colours.
fn in_one_line(texts: &[impl AsRef<str>]) -> String {
    let plain = texts.iter().map(|text| without_colours(text.as_ref()));
    let mut kept: Vec<String> = plain.filter(|text| !text.is_empty()).collect();
    kept.drain(..kept.len().saturating_sub(LINES));
    kept.join(" / ")
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            // A sequence ends with a letter.
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else if !letter.is_control() {
            plain.push(letter);
        }
    }
    let plain = plain.trim();
    match plain.char_indices().nth(LETTERS) {
        Some((at, _)) => format!("{}…", &plain[..at]),
        None => plain.to_owned(),
    }
}

/// Keeps it at the app, and queues the way back if there is one: both are one batch.
async fn record(ground: &Ground, app: &App, mut halt: Halt, back: Option<WayBack>) -> Result<App> {
    let back = match back {
        Some(WayBack::Open(target)) => Some(target),
        Some(WayBack::Barred(why)) => {
            halt.why = format!("{}; not rolled back: {why}", halt.why);
            None
        }
        None => None,
    };
    let (stored, is_queued) = loop {
        let mut stored = ground.store.apps.get(app.id.as_str())?;
        // Its other services stay given up on.
        stored
            .halted
            .retain(|other| other.release == halt.release && other.service != halt.service);
        stored.halted.push(halt.clone());
        let mut batch = Batch::new();
        let target = back.as_ref().filter(|_| crash_rollbacks::is_as_it_was(app, &stored));
        if let Some(target) = target {
            batch = crash_rollbacks::queue(ground, &mut stored.value, target, halt.reason(), batch)?;
        }
        let kept = stored.value.clone();
        match ground.store.commit(batch.save(stored)).await {
            Err(Error::Stale { .. }) => continue,
            other => other?,
        }
        break (kept, target.is_some());
    };
    let fact = Fact::AppStateChanged {
        app: app.id.clone(),
        name: app.name.to_string(),
        state: "given up on".into(),
        why: Some(halt.words()),
    };
    ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    if is_queued {
        crash_rollbacks::tell_queued(ground, &stored).await?;
    }
    Ok(stored)
}

impl Row {
    fn look(&mut self, container: &Container, release: &Release, now: Time) {
        let steady = container.state.is_running() && container.started_at.is_some_and(|at| now.since(at) >= STEADY);
        self.restarts = match steady {
            true => 0,
            // The engine counts anew when somebody starts it.
            false => self.restarts + container.restarts.saturating_sub(self.counted),
        };
        self.counted = container.restarts;
        if let ContainerState::Exited { code, out_of_memory } | ContainerState::Restarting { code, out_of_memory } = container.state {
            self.why = Some(died(code, out_of_memory, release));
        }
    }
}

/// `killed: out of memory, limit 256 MiB`, `exited with code 1`.
fn died(code: i64, out_of_memory: bool, release: &Release) -> String {
    match (out_of_memory, &release.stack) {
        (true, None) => format!("killed: out of memory, limit {} MiB", release.limits.memory_bytes >> 20),
        (true, Some(_)) => "killed: out of memory".into(),
        (false, _) => format!("exited with code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_in_one() {
        let long = "x".repeat(200);
        let cut = format!("{}…", "x".repeat(LETTERS));
        let none: &[&str] = &[];
        for (lines, expected) in [
            (none, ""),
            (&["", "  "], ""),
            (&["one", "two", "three", "", "four"], "two / three / four"),
            (&["\u{1b}[31mError:\u{1b}[0m no disk\r"], "Error: no disk"),
            (&[long.as_str()], cut.as_str()),
        ] {
            assert_eq!(in_one_line(lines), expected);
        }
    }
}
