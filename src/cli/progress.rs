//! How far a deployment is: a line that moves on a terminal, plain lines in a pipe.

use crate::{
    failure::Result,
    output::{Output, log_text, shown},
};
use client::types::Deployment;
use indicatif::{ProgressBar, ProgressStyle};
use std::{cell::RefCell, io::IsTerminal, time::Duration};

pub struct Progress {
    out: Output,
    /// `None` in a pipe, and with `--json`.
    bar: Option<ProgressBar>,
    /// The phase said last.
    said: RefCell<String>,
}

impl Progress {
    pub fn new(out: Output) -> Progress {
        let moving = out.terminal && !out.json && std::io::stderr().is_terminal();
        let bar = moving.then(|| {
            let style = if out.colour {
                "{spinner:.green} {msg} {elapsed:.dim}"
            } else {
                "{spinner} {msg} {elapsed}"
            };
            let style = ProgressStyle::with_template(style).expect("the template is fixed");
            ProgressBar::new_spinner().with_style(style)
        });
        Progress {
            out,
            bar,
            said: RefCell::default(),
        }
    }
    pub fn begin(&self, deployment: &Deployment) {
        self.out.note(format!(
            "deployment #{} of {} ({})",
            deployment.number,
            shown(&deployment.app.name),
            deployment.id
        ));
    }
    /// Says a phase once. What is over is said by the end of the command.
    pub fn phase(&self, deployment: &Deployment) {
        let phase = match &deployment.waits {
            Some(waits) => format!("{}, {}", deployment.phase, crate::deployments::waits_text(waits)),
            None => deployment.phase.to_string(),
        };
        if *self.said.borrow() == phase || crate::deployments::is_final(deployment.phase) {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_message(phase.clone());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
            None => self.out.note(format!("{phase} …")),
        }
        self.said.replace(phase);
    }
    /// A line of the log, to standard output.
    pub fn line(&self, text: &str) -> Result {
        let text = log_text(&self.out, text);
        match &self.bar {
            Some(bar) => bar.suspend(|| self.out.line(text)),
            None => self.out.line(text),
        }
    }
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
