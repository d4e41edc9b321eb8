//! `serverkit ssh`: a terminal in an app's container.

use crate::{
    commands::Context,
    failure::{Failure, Result},
};
use clap::Args;
use client::Stream;
use futures::{SinkExt, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Read, Write};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::Message;

#[derive(Debug, Args)]
pub struct Ssh {
    /// Name or id of the app
    name: String,
    /// In this service, for an app of several; without it the main one
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// A command and its arguments, after `--`; without it a shell
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub async fn ssh(context: &Context, args: Ssh) -> Result {
    let client = context.panel()?;
    let (columns, rows) = size();
    let mut query = vec![("columns", columns.to_string()), ("rows", rows.to_string())];
    query.extend(args.service.map(|service| ("service", service)));
    query.extend(args.command.into_iter().map(|word| ("command", word)));
    let stream = client.stream(&["apps", &args.name, "terminal"], &query).await?;
    let raw = if io::stdin().is_terminal() { Some(Raw::new()?) } else { None };
    let exit = talk(stream).await;
    drop(raw);
    match exit? {
        0 => Ok(()),
        code => Err(Failure::exit(code)),
    }
}

/// Carries bytes both ways until the program in the container ends; answers its exit code.
async fn talk(stream: Stream) -> Result<u8> {
    let (mut to, mut from) = stream.split();
    let mut typed = read_input();
    let mut resized =
        signal(SignalKind::window_change()).map_err(|error| Failure::failed(format!("cannot watch the terminal: {error}")))?;
    let gone = |error: tokio_tungstenite::tungstenite::Error| Failure::unreachable(format!("the terminal broke: {error}"));
    let mut screen = Screen::default();
    let mut open = true;
    loop {
        tokio::select! {
            message = from.next() => match message {
                Some(Ok(Message::Binary(bytes))) => screen.print(&bytes)?,
                Some(Ok(Message::Text(text))) => {
                    if let Some(code) = exit_code(&text)? {
                        screen.end()?;
                        return Ok(code);
                    }
                }
                Some(Ok(Message::Close(Some(frame)))) if !frame.reason.is_empty() => {
                    return Err(Failure::failed(frame.reason.to_string()));
                }
                Some(Ok(Message::Close(_))) | None => return Err(Failure::unreachable("the terminal broke: the panel has gone")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(gone(error)),
            },
            bytes = typed.recv(), if open => match bytes {
                Some(bytes) => to.send(Message::Binary(bytes.into())).await.map_err(gone)?,
                None => {
                    // End of input: the end-of-transmission letter, as a terminal's line discipline reads it.
                    open = false;
                    to.send(Message::Binary(vec![4].into())).await.map_err(gone)?;
                }
            },
            _ = resized.recv() => {
                let (columns, rows) = size();
                let text = json!({ "resize": { "columns": columns, "rows": rows } }).to_string();
                to.send(Message::Text(text.into())).await.map_err(gone)?;
            }
        }
    }
}

/// Standard output. The container's terminal ends lines with `\r\n`; a pipe gets them as the program wrote them.
#[derive(Default)]
struct Screen {
    /// A `\r` at the end of what came last, which may belong to a line end.
    held: bool,
}

impl Screen {
    fn print(&mut self, bytes: &[u8]) -> Result {
        let mut out = io::stdout().lock();
        if io::stdout().is_terminal() {
            out.write_all(bytes)?;
        } else {
            out.write_all(&self.unfold(bytes))?;
        }
        Ok(out.flush()?)
    }
    fn end(&mut self) -> Result {
        if std::mem::take(&mut self.held) {
            io::stdout().lock().write_all(b"\r")?;
        }
        Ok(())
    }
    fn unfold(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut unfolded = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if std::mem::take(&mut self.held) && byte != b'\n' {
                unfolded.push(b'\r');
            }
            if byte == b'\r' {
                self.held = true;
            } else {
                unfolded.push(byte);
            }
        }
        unfolded
    }
}

/// The exit code in `{"exit": 0}`; other texts are of no concern here.
fn exit_code(text: &str) -> Result<Option<u8>> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(why) = value["error"].as_str() {
        return Err(Failure::failed(why.to_owned()));
    }
    match value.get("exit") {
        Some(Value::Null) => Err(Failure::failed("the command ended, and its exit code is not known")),
        Some(code) => Ok(code.as_i64().map(|code| u8::try_from(code).unwrap_or(255))),
        None => Ok(None),
    }
}

/// Standard input, read on a thread of its own: it cannot be waited for, and the process may end while it blocks.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = io::stdin().lock().read(&mut buffer) {
            if count == 0 || sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Columns and rows of this terminal.
fn size() -> (u16, u16) {
    match tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}

/// This terminal with every key going through as it is, until this goes.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Raw> {
        let failed = |error: rustix::io::Errno| Failure::failed(format!("cannot set up the terminal: {error}"));
        let before = tcgetattr(rustix::stdio::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // If this fails the terminal is gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_get_plain_line_ends() {
        let mut screen = Screen::default();
        let text: Vec<u8> = ["a\r\nb\r", "\nc\rd\r\r\n", "e\r"]
            .iter()
            .flat_map(|part| screen.unfold(part.as_bytes()))
            .collect();
        assert_eq!(text, b"a\nb\nc\rd\r\ne");
        assert!(screen.held);
    }

    #[test]
    fn exit_codes_pass_through() {
        assert_eq!(exit_code(r#"{"exit":0}"#), Ok(Some(0)));
        assert_eq!(exit_code(r#"{"exit":137}"#), Ok(Some(137)));
        assert_eq!(exit_code(r#"{"exit":-1}"#), Ok(Some(255)));
        assert_eq!(exit_code(r#"{"hello":1}"#), Ok(None));
        assert_eq!(exit_code("no json"), Ok(None));
        assert!(exit_code(r#"{"exit":null}"#).is_err());
        assert!(exit_code(r#"{"error":"no such container"}"#).is_err());
    }
}
