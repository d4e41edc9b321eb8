//! What `serve` says to people: a greeting on a terminal, plain lines in a log.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
};
use types::{Error, Result, report};

/// Prints why it failed, if it did. 2 when the flags or the configuration are wrong, else 1.
pub fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = match &error {
                // The field is in the sentence already.
                Error::Invalid { field, why } if field.is_empty() => why.clone(),
                error => report(error),
            };
            // Nobody to tell if standard error is gone.
            let _ = writeln!(std::io::stderr().lock(), "serverkit: {text}");
            ExitCode::from(if matches!(error, Error::Invalid { .. }) { 2 } else { 1 })
        }
    }
}

/// What somebody who just started it wants to know.
#[derive(Debug)]
pub struct Greeting {
    pub panel: Vec<String>,
    /// The one-time link, while nobody has the panel.
    pub setup: Option<String>,
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    pub data: String,
    /// What is missing, and what to do.
    pub warnings: Vec<String>,
    pub millis: u128,
}

impl Greeting {
    pub fn print(&self) {
        let mut out = std::io::stdout().lock();
        let text = if std::io::stdout().is_terminal() {
            self.pretty()
        } else {
            self.plain()
        };
        // It serves even if nobody reads this.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn pretty(&self) -> String {
        let (bold, dim, accent, warn, off) = ("\x1b[1m", "\x1b[2m", "\x1b[1;35m", "\x1b[33m", "\x1b[0m");
        let row = |name: &str, value: &str| format!("  {dim}{name:<8}{off} {value}\n");
        let mut text = format!(
            "\n  {accent}serverkit{off} {} {dim}ready in {} ms{off}\n\n",
            env!("CARGO_PKG_VERSION"),
            self.millis
        );
        for (index, url) in self.panel.iter().enumerate() {
            text += &row(if index == 0 { "panel" } else { "" }, &format!("{bold}{url}{off}"));
        }
        text += &row("sites", &format!("http {}  https {}", list(&self.http), list(&self.https)));
        text += &row("data", &self.data);
        if let Some(link) = &self.setup {
            text += &format!("\n  Open this link once to make the first administrator:\n\n  {bold}{link}{off}\n");
        }
        for warning in &self.warnings {
            text += &format!("\n  {warn}{warning}{off}\n");
        }
        text + "\n"
    }

    fn plain(&self) -> String {
        let mut text = format!("serverkit {} is ready after {} ms\n", env!("CARGO_PKG_VERSION"), self.millis);
        for url in &self.panel {
            text += &format!("panel: {url}\n");
        }
        text += &format!("sites: http {} https {}\n", list(&self.http), list(&self.https));
        text += &format!("data: {}\n", self.data);
        if let Some(link) = &self.setup {
            text += &format!("setup: {link}\n");
        }
        for warning in &self.warnings {
            text += &format!("warning: {warning}\n");
        }
        text
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_greeting_has_one_fact_a_line() {
        let greeting = Greeting {
            panel: vec!["https://127.0.0.1:8444".into()],
            setup: Some("https://127.0.0.1:8444/setup#abc".into()),
            http: vec!["127.0.0.1:8080".parse().expect("an address")],
            https: vec!["127.0.0.1:8443".parse().expect("an address")],
            data: "/tmp/x".into(),
            warnings: vec!["Docker does not answer".into()],
            millis: 5,
        };
        let text = greeting.plain();
        assert!(text.contains("\nsetup: https://127.0.0.1:8444/setup#abc\n"), "{text}");
        assert!(!text.contains('\x1b'));
        assert!(greeting.pretty().contains("https://127.0.0.1:8444/setup#abc"));
    }
}
