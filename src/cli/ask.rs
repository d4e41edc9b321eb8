//! Questions to the person at the terminal: passwords without echo, yes or no.

use crate::failure::{Failure, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    os::fd::AsFd,
    path::Path,
};
use types::Secret;

/// Whether somebody is there to answer.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A line from the terminal.
pub fn text(question: &str) -> Result<String> {
    let mut terminal = terminal()?;
    write!(terminal, "{question}: ").map_err(gone)?;
    read_line(&terminal)
}

/// A line from the terminal that is not shown.
pub fn secret(question: &str) -> Result<Secret> {
    let mut terminal = terminal()?;
    write!(terminal, "{question}: ").map_err(gone)?;
    let hidden = Hidden::new(&terminal)?;
    let line = read_line(&terminal);
    drop(hidden);
    writeln!(terminal).map_err(gone)?;
    Ok(Secret::from(line?))
}

/// Asks for a new password twice.
pub fn new_password() -> Result<Secret> {
    let first = secret("Password (at least 10 characters)")?;
    if first != secret("The same again")? {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(first)
}

/// Shows what will happen and asks for a yes. `--yes` answers it; without a terminal nobody can, which is a refusal.
pub fn confirm(what: &str, yes: bool) -> Result {
    if yes {
        return Ok(());
    }
    if !is_possible() {
        return Err(
            Failure::usage(format!("{}: nobody is there to confirm it", first_line(what))).hint("give --yes to do it without asking")
        );
    }
    let mut terminal = terminal()?;
    writeln!(terminal, "{what}").map_err(gone)?;
    let answer = text("Go on? [y/N]")?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed("nothing was changed"))
    }
}

/// A secret from a file, or from standard input for `-`. One line end at its end is not part of it.
/// A file that is text; `-` is standard input.
pub fn text_file(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::Read::read_to_string(&mut std::io::stdin().lock(), &mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(text)
}

pub fn secret_file(path: &Path) -> Result<Secret> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(Failure::usage(format!("{} is empty", path.display())));
    }
    Ok(Secret::new(bytes))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches(':')
}

fn terminal() -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| Failure::usage("this needs a terminal to ask at").hint("give the answer as a flag or a file; see --help"))
}

fn read_line(terminal: &File) -> Result<String> {
    let mut line = String::new();
    match BufReader::new(terminal).read_line(&mut line) {
        Ok(0) => Err(Failure::failed("no answer")),
        Ok(_) => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Err(gone(error)),
    }
}

fn gone(error: io::Error) -> Failure {
    Failure::failed(format!("the terminal does not answer: {error}"))
}

/// A terminal that does not show what is typed, until this goes.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(terminal: &'a File) -> Result<Hidden<'a>> {
        let before = tcgetattr(terminal.as_fd()).map_err(|error| gone(error.into()))?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(terminal.as_fd(), OptionalActions::Flush, &quiet).map_err(|error| gone(error.into()))?;
        Ok(Hidden { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // If this fails the terminal is gone.
        let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_line_end_is_no_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (content, expected) in [
            ("a b\n", Some("a b")),
            ("a\r\n", Some("a")),
            ("a\n\n", Some("a\n")),
            (" a", Some(" a")),
            ("\n", None),
            ("", None),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = secret_file(&path).ok();
            assert_eq!(read.as_ref().and_then(Secret::expose_str), expected, "{content:?}");
        }
        assert!(secret_file(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn yes_needs_nobody() {
        assert_eq!(confirm("This deletes everything:", true), Ok(()));
    }
}
