//! Files of `env_file`: `KEY=value` a line, with quotes, comments and `$NAME`.
//! Source: the Compose documentation, "Env file syntax".

use crate::expand::{Scope, expand};
use std::cell::RefCell;

/// The pairs in order. `variable` answers for names, and above it in the file they may be set for those that it does not know; a key
/// without `=` is taken from there. An error carries its line.
pub fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, (u32, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .map_or((line.trim_end(), None), |(key, value)| (key.trim_end(), Some(value)));
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err((number, format!("`{}` is not KEY=value", key.chars().take(20).collect::<String>())));
        }
        let Some(value) = value else {
            pairs.extend(variable(key).map(|value| (key.to_owned(), value)));
            continue;
        };
        let mut value = value.trim_start().to_owned();
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let known = pairs.clone();
        let look = |name: &str| {
            let own = || known.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            variable(name).or_else(own)
        };
        let fill = |text: &str| {
            let unset = RefCell::default();
            let scope = Scope {
                variable: &look,
                template: None,
                unset: &unset,
            };
            expand(text, &scope).map_err(|why| (number, why))
        };
        let value = match quote {
            Some(quote) => {
                let end = loop {
                    match closing(&value[1..], quote) {
                        Some(end) => break end + 1,
                        None => match lines.next() {
                            Some((_, more)) => {
                                value.push('\n');
                                value.push_str(more);
                            }
                            None => return Err((number, format!("a {quote} is not closed"))),
                        },
                    }
                };
                let inner = &value[1..end];
                if quote == '\'' { inner.to_owned() } else { fill(&unescape(inner))? }
            }
            None => {
                let end = value.find(" #").unwrap_or(value.len());
                fill(value[..end].trim_end())?
            }
        };
        pairs.push((key.to_owned(), value));
    }
    Ok(pairs)
}

/// The same without quotes, comments and `$`: what follows `=` is the value.
pub fn raw(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.to_owned()));
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(pair)
        .collect()
}

fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices()
        .find(|(_, letter)| {
            let ends = *letter == quote && !escaped;
            escaped = quote == '"' && *letter == '\\' && !escaped;
            ends
        })
        .map(|(at, _)| at)
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                // Stays a dollar when names are put in.
                Some('$') => out.push_str("$$"),
                Some(other @ ('"' | '\\')) => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            (letter, false) => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let outer = |name: &str| (name == "OUT").then(|| "o".to_owned());
        let read = |text: &str| parse(text, &outer);
        for (text, expected) in [
            ("A=1", vec![("A", "1")]),
            ("export A=1\n# c\n\n B = 2 # c", vec![("A", "1"), ("B", "2")]),
            ("A=a#b", vec![("A", "a#b")]),
            ("A='$X \\n'", vec![("A", "$X \\n")]),
            ("A=\"x\\ny\" # c", vec![("A", "x\ny")]),
            ("A=\"q\\\"q\"", vec![("A", "q\"q")]),
            ("A=\"\\$5\"", vec![("A", "$5")]),
            ("A=1\nB=${A}2$OUT", vec![("A", "1"), ("B", "12o")]),
            ("OUT=own\nB=$OUT", vec![("OUT", "own"), ("B", "o")]),
            ("OUT\nGONE", vec![("OUT", "o")]),
            ("A='one\ntwo'\nB=3", vec![("A", "one\ntwo"), ("B", "3")]),
            ("A=", vec![("A", "")]),
            ("A=\"\"", vec![("A", "")]),
        ] {
            let expected = expected
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        assert_eq!(read("A=1\nB='x").map_err(|(line, _)| line), Err(2));
        assert_eq!(read("two words=1").map_err(|(line, _)| line), Err(1));
        assert_eq!(raw("A='x' # y\n#B=1"), [("A".to_owned(), "'x' # y".to_owned())]);
    }
}
